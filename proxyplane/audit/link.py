"""The host's end of the log: starts the log-writer process, feeds the ring, waits for what is durable.

Fails closed: the first error, the writer's death, or a wait past the deadline ends the link for good, and from then
on every put and sync raises `AuditUnavailable` with that first reason.
"""

from __future__ import annotations

import contextlib
import importlib.util
import os
import socket
import subprocess
import sys
import threading
import time
import weakref
from collections.abc import Callable
from pathlib import Path
from typing import Final, NamedTuple

from proxyplane.audit.ring import Ring, RingError, shared_memory
from proxyplane.errors import AuditCorrupt, AuditUnavailable

__all__ = ["Opening", "Places", "WriterLink"]

_PACKAGE: Final = Path(__file__).resolve().parent.parent

_START: Final = """
import sys, types
root = sys.argv[1]
for name, path in (("proxyplane", root), ("proxyplane.audit", root + "/audit")):
    package = types.ModuleType(name)
    package.__path__ = [path]
    sys.modules[name] = package
from proxyplane.audit.writer import main
sys.exit(main(sys.argv[2:]))
"""
# The packages' own __init__ files are passed over: the writer starts in some 20 ms and imports nothing that it does
# not run. -I and -S keep environment, working directory and site-packages out of it; `main` adds, last, the folder
# that holds cryptography.

_START_SECONDS: Final = 10.0
_FULL_RING_SLEEP: Final = 0.0005
_ENVIRONMENT: Final = ("LD_LIBRARY_PATH", "PATH", "TZ")

_links: weakref.WeakSet[WriterLink] = weakref.WeakSet()


class Opening(NamedTuple):
    """What the writer found when it opened the directory."""

    log_id: bytes
    records: int
    """Number of the next record."""
    how: str
    """`new`, `closed`, `host-lost` or `writer-lost` (see `store.LastEnd`)."""
    durable: int
    torn: int
    segment: int


class Places(NamedTuple):
    """Where else the writer keeps something; absolute paths."""

    keys: str = ""
    """Folder of the signing and HMAC keys; by default `keys` in the audit directory."""
    mirror: str = ""
    """Second directory that must take every byte, too."""
    anchors: tuple[str, ...] = ()
    """Folders that get signed checkpoints."""


class WriterLink:
    """One log-writer process and the ring to it.

    `put` must be called under the log's lock; everything else may be called by any thread.

    Args:
        directory: absolute path of the audit directory.
        deadline: seconds that a full ring, a sync or the close may take.
        ring_bytes: capacity of the ring, a power of two.
        segment_bytes: size after which a new segment begins.
        places: where else the writer keeps something.

    Raises:
        AuditUnavailable: the writer could not start or open the directory.
        AuditCorrupt: the directory holds a log that must not be continued.
    """

    def __init__(
        self, directory: str, *, deadline: float, ring_bytes: int, segment_bytes: int, places: Places | None = None
    ) -> None:
        self.reason = ""
        """Why the link has ended; empty while it is open."""
        self.places = places or Places()
        """Where else the writer keeps something."""
        self.anchor_problem = ""
        """Why an anchor did not take the newest checkpoint it was given."""
        self.durable = 0
        """Records known to survive a power failure."""
        self._deadline = deadline
        self._changed = threading.Condition()
        self._done = self._ended = False
        self._task: Callable[[], None] | None = None
        self._fault = ""
        self._owner = os.getpid()
        memory = shared_memory(ring_bytes)
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        try:
            self._ring = Ring(memory, create=True)
            self._process = _start(directory, theirs.fileno(), memory, segment_bytes, self.places)
        except OSError as error:
            ours.close()
            raise AuditUnavailable(f"the log writer could not be started ({error.strerror})") from None
        finally:
            theirs.close()
            os.close(memory)
        self._wire = ours
        self.opening = self._await_opening(directory)
        self.durable = self.opening.records
        _links.add(self)
        self._listener = threading.Thread(target=self._listen, name="proxyplane-audit", daemon=True)
        self._listener.start()

    @property
    def pid(self) -> int:
        """Process id of the log writer."""
        return self._process.pid

    @property
    def written(self) -> int:
        """Bytes that were ever put into the ring."""
        return self._ring.head

    def _await_opening(self, directory: str) -> Opening:
        self._wire.settimeout(max(self._deadline, _START_SECONDS))
        try:
            message = self._wire.recv(4096).decode("ascii")
        except OSError:
            message = ""
        self._wire.settimeout(None)
        word, _, rest = message.partition(" ")
        if word == "open":
            log_id, count, how, durable, torn, segment = rest.split(" ")
            return Opening(bytes.fromhex(log_id), int(count), how, int(durable), int(torn), int(segment))
        self._wire.close()
        if not message:
            self._process.kill()
        self._process.wait()
        if word == "corrupt":
            raise AuditCorrupt(f"{directory}: {rest}")
        raise AuditUnavailable(f"{directory}: {rest or 'the log writer ended before it had opened the directory'}")

    def put(self, frame: bytes) -> int:
        """Puts one frame into the ring, waiting while it is full. Returns the bytes ever put.

        Raises:
            AuditUnavailable: the link has ended, or ended now because the writer took nothing until the deadline.
        """
        try:
            return self._ring.put(frame) or self._put_when_room(frame)
        except RingError as error:
            raise self.fail(str(error)) from None

    def _put_when_room(self, frame: bytes) -> int:
        if len(frame) > self._ring.capacity:
            raise ValueError(
                f"a record of {len(frame)} bytes does not fit into a ring of {self._ring.capacity}; cut it"
            )
        until = time.monotonic() + self._deadline
        while not (head := self._ring.put(frame)):
            if self.reason:
                raise AuditUnavailable(self.reason)
            if time.monotonic() > until:
                raise self.fail(f"the ring stayed full for {self._deadline:g} s: the log writer does not take records")
            time.sleep(_FULL_RING_SLEEP)
        return head

    def sync(self, count: int) -> None:
        """Returns when the first `count` records are durable.

        Raises:
            AuditUnavailable: the link has ended, or ended now because the deadline passed.
        """
        if self.reason:
            raise AuditUnavailable(self.reason)
        if self.durable >= count:
            return
        self._ask(b"sync")
        with self._changed:
            self._changed.wait_for(lambda: self.durable >= count or self.reason, self._deadline)
            if self.durable >= count:
                return
            if self.reason:
                raise AuditUnavailable(self.reason)
        raise self.fail(f"the log writer did not make records durable within {self._deadline:g} s")

    def aside(self, task: Callable[[], None]) -> None:
        """Has the listening thread do something once; returns when it has.

        Raises:
            AuditUnavailable: the link has ended, or ended now because the deadline passed.
        """
        done = threading.Event()

        def do() -> None:
            task()
            done.set()

        self._task = do
        self._ask(b"sync")  # the answer wakes the thread
        if not done.wait(self._deadline):
            raise self.fail("the log writer did not answer in time")

    def close(self, count: int) -> None:
        """Ends the writer; the first `count` records must then be durable.

        Raises:
            AuditUnavailable: they are not known to be.
        """
        if os.getpid() != self._owner:
            return
        failed = self.reason
        if not failed:
            # The reason goes first, so that no other thread puts records after the last one that is waited for.
            self.reason = "the log was closed by its host"
            with contextlib.suppress(AuditUnavailable):
                self._ask(b"close")
            with self._changed:
                self._changed.wait_for(lambda: self._done or self._ended, self._deadline)
        with contextlib.suppress(OSError):
            self._wire.shutdown(socket.SHUT_RDWR)
        # A writer that hangs is not killed: it will write what is in the ring and end by itself when it runs again.
        self._listener.join(self._deadline)
        if self.durable < count:
            why = failed or self._fault or "the log writer did not finish in time"
            raise AuditUnavailable(
                f"of {count} records {self.durable} are known to be durable: {why}; run `proxyplane audit verify`"
            )

    def fail(self, reason: str) -> AuditUnavailable:
        """Ends the link with this reason unless it has ended before; returns the error to raise."""
        with self._changed:
            if not self.reason:
                self.reason = reason
            self._changed.notify_all()
            return AuditUnavailable(self.reason)

    def _ask(self, message: bytes) -> None:
        try:
            # A writer that hangs does not read; the wait for the answer has the deadline, so this must not block.
            with self._changed:  # the listener closes the socket under it
                self._wire.send(message, socket.MSG_DONTWAIT | socket.MSG_NOSIGNAL)
        except BlockingIOError:
            return  # requests enough are waiting there already
        except OSError:
            raise self.fail("the log writer process ended") from None

    def _listen(self) -> None:
        while True:
            try:
                message = self._wire.recv(4096).decode("ascii")
            except OSError:
                message = ""
            if not message:
                break
            task, self._task = self._task, None
            if task is not None:
                task()
            self._hear(message)
        self._ended = True
        self.fail("the log writer process ended")
        with self._changed:
            self._wire.close()
        self._process.wait()

    def _hear(self, message: str) -> None:
        word, _, rest = message.partition(" ")
        if word == "anchor":
            self.anchor_problem = rest
            return
        if word == "closed":
            self._fault = f"the log writer stopped: {rest}"
            self.fail(self._fault)
            return
        with self._changed:
            self.durable = max(self.durable, int(rest))
            self._done = self._done or word == "done"
            self._changed.notify_all()

    def _leave_to_parent(self) -> None:
        """In a forked child: this log is the parent's. Its locks may be held by threads that do not exist here."""
        self.reason = "the log belongs to the process that opened it; a forked child cannot append"
        self._wire.close()


def _start(directory: str, wire: int, memory: int, segment_bytes: int, places: Places) -> subprocess.Popen[bytes]:
    if not sys.executable:
        raise AuditUnavailable("no Python interpreter is known (sys.executable is empty) to start the log writer with")
    found = importlib.util.find_spec("cryptography")
    if found is None or not found.origin:
        raise AuditUnavailable("the log signs its checkpoints with the package cryptography, which is not installed")
    library = os.path.dirname(os.path.dirname(found.origin))
    arguments = [directory, str(wire), str(memory), str(os.getpid()), str(segment_bytes), library, *places[:2]]
    arguments += places.anchors
    return subprocess.Popen(
        [sys.executable, "-I", "-S", "-c", _START, str(_PACKAGE), *arguments],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        pass_fds=(wire, memory),
        cwd="/",
        env={name: os.environ[name] for name in _ENVIRONMENT if name in os.environ},
        start_new_session=True,
    )


def _after_fork_in_child() -> None:
    for link in list(_links):
        link._leave_to_parent()


os.register_at_fork(after_in_child=_after_fork_in_child)
