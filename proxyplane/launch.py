"""The host's side of guests: start the zygote, have it fork guests, end them.

    with Zygote.start(tier_required="sealed") as zygote:
        guest = zygote.spawn(GuestLimits(memory_bytes=256 << 20))
        guest.sock                      # the stream socket to it; its first frame is the guest's own hello
        guest.kill(); guest.wait(1.0)   # ExitStatus "killed by SIGKILL"

The zygote is a new process made by exec, never a fork of the host: what the host holds is in no guest's
memory. Spawning makes no process, socket or thread in the host, so it also works in a host that has sealed
itself, and in one with many threads.
"""

from __future__ import annotations

import contextlib
import importlib.util
import os
import select
import signal
import socket
import subprocess
import sys
import threading
from dataclasses import asdict, dataclass
from types import TracebackType
from typing import Any, Final, NamedTuple

import msgpack

from proxyplane.errors import GuestCrashed, TierUnavailable

__all__ = ["TIERS", "ExitStatus", "GuestLimits", "GuestProcess", "Probe", "Zygote", "probe"]

TIERS: Final = ("sealed", "filtered", "split")
"""Strongest first: seccomp + Landlock + rlimits; seccomp + rlimits; a process with rlimits (not a boundary)."""

_PACKAGE: Final = os.path.dirname(os.path.abspath(__file__))
_ANSWER_SECONDS: Final = 30.0
_MESSAGE_BYTES: Final = 1 << 16
_MEANINGS: Final = {
    70: "its code raised an error that nothing caught",
    71: "it ran out of memory",
    78: "it could not be confined",
    -signal.SIGSYS: "the system-call filter",
    -signal.SIGXCPU: "the CPU limit",
}


@dataclass(frozen=True)
class GuestLimits:
    """What one guest may use up."""

    memory_bytes: int = 512 << 20
    """Address space (RLIMIT_AS). Beyond it the guest gets a MemoryError."""
    cpu_seconds: int = 3600
    """CPU time over the guest's whole life. The time of one run is the host's to watch."""
    open_files: int = 16
    """File descriptors; a sealed guest has four."""


class ExitStatus(NamedTuple):
    """How a guest ended."""

    code: int | None
    """Exit code; minus the signal's number when it was killed; None when its zygote ended first."""

    def __str__(self) -> str:
        if self.code is None:
            return "ended with its zygote"
        meaning = f" ({_MEANINGS[self.code]})" if self.code in _MEANINGS else ""
        if self.code < 0:
            return f"killed by {signal.Signals(-self.code).name}{meaning}"
        return f"exited with {self.code}{meaning}"


class GuestProcess:
    """One guest. Made by `Zygote.spawn`; `close` it when it is no longer needed.

    Attributes:
        pid: for people; signals go by the pidfd, which cannot come to mean another process.
        pidfd: becomes readable when the guest has ended.
        sock: connected stream socket to the guest.
        tier: how strictly it was asked to be confined. The guest's hello says what is enforced.
    """

    def __init__(self, zygote: Zygote, number: int, *, pid: int, pidfd: int, sock: socket.socket, tier: str) -> None:
        self.pid = pid
        self.pidfd = pidfd
        self.sock = sock
        self.tier = tier
        self._zygote = zygote
        self._number = number
        self._status: ExitStatus | None = None
        self._closed = False
        self._lock = threading.Lock()

    @property
    def alive(self) -> bool:
        """Whether the process has not ended yet."""
        return not self._ended(0.0)

    def kill(self) -> None:
        """End the guest now. Any number of times, from any thread."""
        with self._lock:
            if not self._closed:
                with contextlib.suppress(ProcessLookupError):
                    signal.pidfd_send_signal(self.pidfd, signal.SIGKILL)

    def wait(self, timeout: float | None = None) -> ExitStatus | None:
        """How the guest ended.

        Args:
            timeout: seconds to wait at most; None waits until it ends.

        Returns:
            None when it still runs after that time.
        """
        if not self._ended(timeout):
            return None
        with self._lock:
            if self._status is None:
                self._status = self._zygote._status_of(self._number)
            return self._status

    def close(self) -> None:
        """Kill the guest, wait for its end and give back both descriptors. Idempotent."""
        self.kill()
        self.wait()
        with self._lock:
            if self._closed:
                return
            self._closed = True
            self.sock.close()
            os.close(self.pidfd)
        self._zygote._forget(self)

    def _ended(self, timeout: float | None) -> bool:
        if self._closed or self._status is not None:
            return True
        poller = select.poll()
        poller.register(self.pidfd, select.POLLIN)
        return bool(poller.poll(None if timeout is None else max(0.0, timeout) * 1000))

    def __enter__(self) -> GuestProcess:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<GuestProcess {self.pid} {self.tier} {'alive' if self.alive else self._status or 'ended'}>"


class Zygote:
    """The process that guests are forked from. Made by `Zygote.start`.

    Attributes:
        pid: its process.
        tier: the strongest tier that was seen to hold on this machine, tried in the zygote.
        reasons: for each stronger tier, why it could not be had.
        facts: `modules` served from memory, `prepared_ns` of its start.
    """

    def __init__(self, process: subprocess.Popen[bytes], control: socket.socket, ready: dict[str, Any]) -> None:
        self.pid = process.pid
        self.tier: str = ready["tier"]
        self.reasons: dict[str, str] = ready["reasons"]
        self.facts: dict[str, int] = {name: ready[name] for name in ("modules", "prepared_ns")}
        self._process = process
        self._control = control
        self._guests: set[GuestProcess] = set()
        self._lock = threading.Lock()
        self._closed = False

    @classmethod
    def start(cls, *, tier_required: str | None = None, entry: str = "proxyplane.guest.main:main") -> Zygote:
        """Execute a zygote and wait until it is ready. Do this before the host loads data or seals itself.

        Args:
            tier_required: the weakest tier that will do, one of `TIERS`.
            entry: what runs in each guest: `module:function` or `/path/file.py:function`, called with the
                socket, the report of what is enforced, and the options of `spawn`.

        Raises:
            TierUnavailable: this machine cannot confine a guest as strictly as required.
            GuestCrashed: the zygote could not be started.
        """
        _check_tier(tier_required)
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        try:
            with theirs:
                process = _execute(theirs.fileno(), entry)
        except BaseException:
            ours.close()
            raise
        try:
            ours.settimeout(_ANSWER_SECONDS)
            ready = _first_answer(ours)
            _require(tier_required, ready)
        except BaseException:
            ours.close()
            process.kill()
            process.wait()
            raise
        return cls(process, ours, ready)

    @property
    def alive(self) -> bool:
        """Whether the zygote runs and can make guests."""
        return not self._closed and self._process.poll() is None

    def spawn(
        self, limits: GuestLimits | None = None, tier: str | None = None, options: dict[str, Any] | None = None
    ) -> GuestProcess:
        """Fork a guest. Thread-safe. Its hello is not read here: a guest that cannot be confined never says one.

        Args:
            limits: what it may use up.
            tier: how strictly to confine it; None takes the strongest there is.
            options: plain values for the guest's entry, 32 KiB at most.

        Raises:
            TierUnavailable: a stricter tier than this machine has.
            GuestCrashed: the zygote has ended, or could not fork.
        """
        _check_tier(tier)
        tier = tier or self.tier
        if _is_weaker(self.tier, tier):
            raise TierUnavailable(f"tier {tier!r} was asked for and this machine offers {self.tier!r} at most")
        request = {"cmd": "fork", "tier": tier, "limits": asdict(limits or GuestLimits()), "options": options or {}}
        answer, fds = self._ask(request)
        if len(fds) != 2:
            for fd in fds:
                os.close(fd)
            raise GuestCrashed(f"no guest could be made: {answer.get('error', 'the zygote sent no descriptors')}")
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM, fileno=fds[1])
        guest = GuestProcess(self, answer["guest"], pid=answer["pid"], pidfd=fds[0], sock=sock, tier=tier)
        with self._lock:
            self._guests.add(guest)
            late = self._closed
        if late:
            guest.close()
            raise GuestCrashed("the zygote was closed: open a new plane to make guests")
        return guest

    def close(self) -> None:
        """End all guests and the zygote. Idempotent; leaves no process and no descriptor behind."""
        with self._lock:
            first, self._closed = not self._closed, True
            if first:
                self._control.close()  # end of file: the zygote kills and reaps its guests, then ends
        try:
            self._process.wait(_ANSWER_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        for guest in list(self._guests):
            guest.close()

    def _ask(self, request: dict[str, Any]) -> tuple[dict[str, Any], list[int]]:
        """One request, one answer."""
        message = msgpack.packb(request)
        if len(message) > _MESSAGE_BYTES // 2:
            raise ValueError(f"options of {len(message)} bytes are too long: expected at most {_MESSAGE_BYTES // 2}")
        with self._lock:
            if self._closed:
                raise GuestCrashed("the zygote was closed: open a new plane to make guests")
            try:
                self._control.send(message)
                answer, fds, _, _ = socket.recv_fds(self._control, _MESSAGE_BYTES, 2, socket.MSG_CMSG_CLOEXEC)
            except OSError:
                answer, fds = b"", []
            if not answer:
                raise GuestCrashed(
                    f"the zygote is gone ({self._epitaph()}), and all its guests with it: open a new plane"
                )
        return msgpack.unpackb(answer), list(fds)

    def _epitaph(self) -> str:
        """How the zygote ended; one that does not answer is ended here, so that nothing of it lives on unseen."""
        try:
            return str(ExitStatus(self._process.wait(1.0)))
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
            return "did not answer and was killed"

    def _status_of(self, number: int) -> ExitStatus:
        """How a guest that has ended did so; known once, then forgotten by the zygote."""
        try:
            status = self._ask({"cmd": "status", "guest": number})[0]["status"]
        except GuestCrashed:
            status = None
        return ExitStatus(None if status is None else os.waitstatus_to_exitcode(status))

    def _forget(self, guest: GuestProcess) -> None:
        with self._lock:
            self._guests.discard(guest)

    def __enter__(self) -> Zygote:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<Zygote {self.pid} {self.tier} {'alive' if self.alive else 'ended'}, {len(self._guests)} guests>"


class Probe(NamedTuple):
    """One attack that was tried from inside a throw-away guest."""

    name: str
    refused: bool
    how: str
    """What refused it, or what it got."""


def probe(tier: str | None = None) -> list[Probe]:
    """Try harmless attacks from inside guests, each in its own, and tell what was refused.

    Args:
        tier: how to confine these guests; None takes the strongest there is.

    Raises:
        TierUnavailable: a stricter tier than this machine has.
    """
    with Zygote.start(entry="proxyplane.guest.probes:main") as zygote:
        names = msgpack.unpackb(_said_by(zygote, tier, {})[0])
        return [_probed(zygote, tier, name) for name in names]


def _probed(zygote: Zygote, tier: str | None, name: str) -> Probe:
    said, status = _said_by(zygote, tier, {"probe": name, "host": os.getpid()})
    if said:
        refused, how = msgpack.unpackb(said)
        return Probe(name, bool(refused), str(how))
    killed = status.code is not None and status.code < 0
    return Probe(name, killed, str(status))


def _said_by(zygote: Zygote, tier: str | None, options: dict[str, Any]) -> tuple[bytes, ExitStatus]:
    """All that a guest wrote until its end, and how it ended."""
    with zygote.spawn(GuestLimits(memory_bytes=256 << 20, cpu_seconds=10), tier, options) as guest:
        guest.sock.settimeout(_ANSWER_SECONDS)
        said = b""
        with contextlib.suppress(OSError):
            while chunk := guest.sock.recv(1 << 16):
                said += chunk
        return said, guest.wait(_ANSWER_SECONDS) or ExitStatus(None)


def _check_tier(tier: str | None) -> None:
    if tier is not None and tier not in TIERS:
        raise ValueError(f"unknown tier {tier!r}: expected one of {', '.join(TIERS)}")


def _require(tier: str | None, ready: dict[str, Any]) -> None:
    if tier and _is_weaker(ready["tier"], tier):
        reasons = "; ".join(f"{name}: {reason}" for name, reason in ready["reasons"].items())
        raise TierUnavailable(
            f"tier {tier!r} is required and this machine offers {ready['tier']!r} at most ({reasons}). "
            "Lower require_tier, or run `proxyplane doctor` to see what is missing."
        )


def _is_weaker(tier: str, than: str) -> bool:
    return TIERS.index(tier) > TIERS.index(than)


def _execute(control: int, entry: str) -> subprocess.Popen[bytes]:
    """Run the zygote's file with an empty environment and nothing open but its control socket."""
    settings = {
        "control": str(control),
        "package": _PACKAGE,
        "msgpack": os.path.dirname(os.path.dirname(os.path.abspath(msgpack.__file__))),
        "zones": _zone_folder(),
        "entry": entry,
    }
    script = os.path.join(_PACKAGE, "guest", "zygote.py")
    command = [sys.executable, "-I", "-S", "-X", "utf8", script, *(f"{key}={value}" for key, value in settings.items())]
    try:
        return subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env={"TZ": os.environ["TZ"]} if "TZ" in os.environ else {},
            cwd="/",
            pass_fds=(control,),
            start_new_session=True,
        )
    except OSError as error:
        raise GuestCrashed(f"the interpreter {sys.executable!r} could not be started: {error.strerror}") from None


def _zone_folder() -> str:
    """Where the tzdata package keeps its zones, for machines without their own; empty when it is not installed."""
    spec = importlib.util.find_spec("tzdata")
    folders = list(spec.submodule_search_locations or ()) if spec else []
    return os.path.join(folders[0], "zoneinfo") if folders else ""


def _first_answer(control: socket.socket) -> dict[str, Any]:
    try:
        answer = control.recv(_MESSAGE_BYTES)
    except OSError as error:
        raise GuestCrashed(f"the zygote did not get ready: {type(error).__name__}") from None
    if not answer:
        raise GuestCrashed("the zygote ended before it was ready: run `proxyplane doctor` to see why")
    ready: dict[str, Any] = msgpack.unpackb(answer)
    if "error" in ready:
        raise GuestCrashed(f"the zygote could not get ready: {ready['error']}")
    return ready
