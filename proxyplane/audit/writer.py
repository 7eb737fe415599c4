"""The log-writer process: the only one that holds the audit directory.

It takes frames from the ring and appends them to the log. When nothing comes it sleeps in `poll` on its socket, from
2 ms growing to 20 ms, so an idle log costs about 50 short wake-ups a second; a request on the socket wakes it at
once. SIGINT, SIGTERM and SIGHUP are ignored: it ends when its host says so or is gone, never before the last record.

Messages on the socket (SOCK_SEQPACKET, ASCII, one per packet):

    host:    sync                                   make all records of the ring durable
             close                                  the same, end the log cleanly and exit
    writer:  open ID COUNT HOW DURABLE TORN SEGMENT the log is open, COUNT is the next number; then the last end
             durable COUNT                          the first COUNT records survive a power failure
             done COUNT                             answer to close
             corrupt TEXT                           the directory must not be continued
             closed TEXT                            an error; nothing more is written
             anchor TEXT                            an anchor could not take a checkpoint; the log goes on

The standard library and, for signatures, `cryptography`.
"""

from __future__ import annotations

import os
import resource
import select
import signal
import socket
import sys
import time
import zlib
from collections.abc import Sequence
from typing import Final

from proxyplane.audit import segments
from proxyplane.audit.ring import Ring, RingError
from proxyplane.audit.storage import Storage
from proxyplane.audit.store import SegmentStore, StoreError

__all__ = ["Writer", "main"]

SYNC_SECONDS: Final = 0.25
SYNC_RECORDS: Final = 1000
CHECKPOINT_SECONDS: Final = 1.0
ANCHOR_SECONDS: Final = 60.0
SHORTEST_SLEEP: Final = 0.002
LONGEST_SLEEP: Final = 0.020
_LOOKS_AGAIN: Final = 20
_STORES_IN_ORDER: Final = os.uname().machine in ("x86_64", "i686")
"""Whether this machine shows another process the bytes of a frame before the head that covers them."""
_MESSAGE: Final = 64


class Writer:
    """The loop between a ring, a socket and a store.

    Args:
        store: the open log.
        ring: the taker's end.
        wire: socket to the host.
        host: process id of the host; when it is not our parent any more, it is gone (its forks may hold the socket).
        anchors: folders that get the newest checkpoint each minute of activity and at the end.
    """

    def __init__(
        self, store: SegmentStore, ring: Ring, wire: socket.socket, host: int, anchors: Sequence[str] = ()
    ) -> None:
        self._anchors = anchors
        self._anchored = (0, time.monotonic())
        self._store = store
        self._ring = ring
        self._wire = wire
        self._host = host
        self._told = store.durable
        self._synced_at = self._marked_at = time.monotonic()
        self._marked = store.durable

    def run(self) -> None:
        """Until the host closes the log or is gone. Errors of store and ring pass through."""
        poll = select.poll()
        poll.register(self._wire, select.POLLIN)
        sleep = SHORTEST_SLEEP
        while True:
            poll.poll(sleep * 1000)
            asked = self._requests()
            gone = b"gone" in asked or os.getppid() != self._host
            taken = self._drain()
            if gone or b"close" in asked:
                self._finish(segments.HOST_LOST if gone else segments.CLOSE)
                return
            self._keep_durable(b"sync" in asked)
            # While work goes on, what is left of the periodic sync still wants a look every so often.
            sleep = SHORTEST_SLEEP if taken else min(sleep * 1.5, LONGEST_SLEEP)

    def _requests(self) -> set[bytes]:
        asked: set[bytes] = set()
        while True:
            try:
                message = self._wire.recv(_MESSAGE, socket.MSG_DONTWAIT)
            except BlockingIOError:
                return asked
            except OSError:
                message = b""
            if not message:
                asked.add(b"gone")
                return asked
            asked.add(message)

    def _drain(self) -> int:
        taken = 0
        while batch := self._whole_batch():
            taken += self._store.append(batch)
            self._ring.take(len(batch))
            if taken >= SYNC_RECORDS:
                break
        return taken

    def _whole_batch(self) -> bytes:
        batch = self._ring.peek()
        if _STORES_IN_ORDER:
            return batch
        for _ in range(_LOOKS_AGAIN):
            if not batch or _is_whole(batch):
                break
            time.sleep(0.001)
            batch = self._ring.peek()
        return batch

    def _keep_durable(self, asked: bool) -> None:
        now = time.monotonic()
        store = self._store
        pending = store.count - store.durable
        if store.count > self._marked and now - self._marked_at >= CHECKPOINT_SECONDS:
            store.sync(segments.PERIODIC)
            store.mark()
            self._marked, self._marked_at, self._synced_at = store.count, now, now
            if now - self._anchored[1] >= ANCHOR_SECONDS:
                self._anchor()
        elif asked or pending >= SYNC_RECORDS or (store.dirty and now - self._synced_at >= SYNC_SECONDS):
            store.sync()
            self._synced_at = now
        if asked or store.durable != self._told:
            self._tell(f"durable {store.durable}")
            self._told = store.durable

    def _finish(self, reason: int) -> None:
        while self._drain():
            pass
        self._store.close(reason)
        self._anchor()
        self._tell(f"done {self._store.durable}")

    def _anchor(self) -> None:
        """Takes the newest checkpoint to the anchors. One that fails is told of, and is no reason to stop the log."""
        note = self._store.note
        if not self._anchors or note is None or note.size == self._anchored[0]:
            return
        from proxyplane.audit.anchors import leave  # noqa: PLC0415 - loaded when there are any

        for where in self._anchors:
            try:
                leave(where, self._store.public, note)
            except (OSError, ValueError) as error:
                self._tell(f"anchor {reason_of(error)}")
        self._anchored = (note.size, time.monotonic())

    def _tell(self, text: str) -> None:
        tell(self._wire, text)


def _is_whole(batch: bytes) -> bool:
    """Whether the bytes of all frames have arrived, judged by their CRCs."""
    at, end = 0, len(batch)
    while end - at >= segments.FRAME.size:
        length, crc = segments.FRAME.unpack_from(batch, at)
        at += segments.FRAME.size
        body = batch[at : at + (length & ~segments.SECRETS)]
        at += len(body)
        if zlib.crc32(body) != crc:
            return False
    return at == end


def tell(wire: socket.socket, text: str) -> None:
    """Sends a message; a host that is gone or does not read is not waited for."""
    try:
        wire.send(text.encode("ascii", "backslashreplace")[:4096], socket.MSG_DONTWAIT | socket.MSG_NOSIGNAL)
    except OSError:
        return


def reason_of(error: BaseException) -> str:
    """One line that says what went wrong, without values."""
    if isinstance(error, OSError) and error.strerror:
        name = f" ({os.path.basename(str(error.filename))})" if error.filename else ""
        return f"{error.strerror}{name}"
    return str(error) or type(error).__name__


def main(arguments: list[str]) -> int:
    """Runs the process.

    Args:
        arguments: directory, socket, shared memory, host's process id, bytes of a segment, where `cryptography` lies,
            folder of the keys, second directory (either may be empty), anchors.
    """
    directory, wire_number, memory, host, segment_bytes, library, keys, mirror, *anchors = arguments
    sys.path.append(library)
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGXFSZ):
        signal.signal(number, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    os.umask(0o077)
    wire = socket.socket(fileno=int(wire_number))
    try:
        ring = Ring(int(memory))
        os.close(int(memory))
        store = SegmentStore(_storage(directory, mirror, keys or None), segment_bytes=int(segment_bytes))
    except StoreError as error:
        tell(wire, f"corrupt {error}")
        return 1
    except (OSError, RingError, ImportError) as error:
        tell(wire, f"closed {reason_of(error)}")
        return 1
    end = store.last_end
    tell(wire, f"open {store.log_id.hex()} {store.count} {end.how} {end.durable} {end.torn} {end.segment}")
    try:
        Writer(store, ring, wire, int(host), anchors).run()
    except BaseException as error:
        tell(wire, f"closed {reason_of(error)}")
        store.abandon()
        return 1
    return 0


def _storage(directory: str, mirror: str, keys: str | None) -> Storage:
    if not mirror:
        return Storage(directory, keys)
    from proxyplane.audit.mirror import Mirrored  # noqa: PLC0415 - loaded when there is one

    return Mirrored(directory, mirror, keys)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
