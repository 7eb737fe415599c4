"""The audit log as the plane sees it: append, sync, close. No record, no result."""

from __future__ import annotations

import os
import threading
import uuid
import weakref
import zlib
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Protocol, Self

from proxyplane.audit import record, segments
from proxyplane.audit.keys import hashed
from proxyplane.audit.link import Opening, Places, WriterLink
from proxyplane.audit.record import Encoder, Fields, Prefix
from proxyplane.clock import Clock, Identifiers, SystemClock
from proxyplane.errors import AuditUnavailable

__all__ = ["MEMORY", "AuditLog"]

MEMORY: Final = ":memory:"
RING_BYTES: Final = 8 << 20
_LEAST_RING: Final = 4096
_UNCLEAN: Final = ("host-lost", "writer-lost")

_head: Final = segments.FRAME.pack
_crc: Final = zlib.crc32
_system_clock: Final = SystemClock()


class Sink(Protocol):
    """Where frames go: the link to the log writer, or a list in memory."""

    reason: str
    durable: int

    @property
    def written(self) -> int: ...
    def put(self, frame: bytes) -> int: ...
    def sync(self, count: int) -> None: ...
    def close(self, count: int) -> None: ...


class MemorySink:
    """Keeps payloads in the process; for tests. Survives nothing."""

    def __init__(self) -> None:
        self.reason = ""
        self.durable = 0
        self.written = 0
        self.payloads: list[bytes] = []
        self._secret = os.urandom(32)

    def put(self, frame: bytes) -> int:
        payload = frame[segments.FRAME.size :]
        if segments.FRAME.unpack_from(frame)[0] & segments.SECRETS:
            payload = segments.unsealed(payload, lambda text: hashed(self._secret, text))
        self.payloads.append(payload)
        self.written += len(frame)
        return self.written

    def sync(self, count: int) -> None:
        if self.reason:
            raise AuditUnavailable(self.reason)
        self.durable = count

    def close(self, count: int) -> None:
        self.durable = count
        self.reason = "the log was closed by its host"


class AuditLog:
    """An open log. Made by `AuditLog.open`; thread-safe; usable by the process that opened it only.

    The state goes from `open` to `closed: reason` and never back. Every error of the log (a dead or hanging writer, a
    full disk, a failed sync) closes it, and then every append and sync raises `AuditUnavailable`.
    """

    def __init__(self, sink: Sink, *, log_id: bytes, count: int, location: str) -> None:
        self._sink = sink
        self._count = count
        self._written = sink.written
        self._encoder = encoder = Encoder()
        self._encode = encoder.encode
        self.prefix = encoder.prefix
        """Packs fields that many records share, for `append`; see `Encoder.prefix`."""
        self._lock = threading.RLock()
        self._busy = False
        self._pid = os.getpid()
        self._getpid = os.getpid
        self.id = str(uuid.UUID(bytes=log_id))
        """The log's own identity, UUID text; the same each time this directory is opened."""
        self.location = location
        """Absolute path of the directory, or `:memory:`."""
        self._finalizer = weakref.finalize(self, _close_forgotten, sink)

    @classmethod
    def open(
        cls,
        where: str | Path,
        *,
        clock: Clock = _system_clock,
        deadline: float = 2.0,
        ring_bytes: int = RING_BYTES,
        segment_bytes: int = segments.SEGMENT_BYTES,
        keys: str | Path | None = None,
        mirror: str | Path | None = None,
        anchors: Iterable[str | Path] = (),
    ) -> AuditLog:
        """Opens a log for appending, new or where it ended.

        If it was not closed cleanly, the first record is a `gap` that says how it ended: `reason` is `host-lost`
        (nothing is missing, but operations may have no outcome) or `writer-lost` (records after the last sync may be
        missing), `detail` has `durable` (records found), `torn` (bytes of an unfinished write) and `segment`.

        Args:
            where: a directory (made when missing; one log each), or `:memory:` for tests.
            clock: of the log's own records.
            deadline: seconds that an append to a full ring, a sync, or the close may take before the log closes.
            ring_bytes: what the host may be ahead of the writer, a power of two from 4,096.
            segment_bytes: size after which a new segment file begins.
            keys: folder of the signing and the HMAC key, which only the writer opens; by default `keys` in `where`.
            mirror: a second directory, best on another device: nothing counts before it has it, too.
            anchors: folders that get the newest signed checkpoint each minute of activity and at the end.

        Raises:
            AuditUnavailable: the directory cannot be used, or another writer holds it.
            AuditCorrupt: durable records are changed or gone; the directory is left as it is.
        """
        if str(where) == MEMORY:
            return cls(MemorySink(), log_id=Identifiers(clock).next(), count=0, location=MEMORY)
        if ring_bytes < _LEAST_RING or ring_bytes & (ring_bytes - 1):
            raise ValueError(f"ring_bytes must be a power of two from {_LEAST_RING}, not {ring_bytes}")
        location = os.path.abspath(where)
        second, secrets = (os.path.abspath(place) if place is not None else "" for place in (mirror, keys))
        places = Places(secrets, second, tuple(os.path.abspath(place) for place in anchors))
        link = WriterLink(
            location, deadline=deadline, ring_bytes=ring_bytes, segment_bytes=segment_bytes, places=places
        )
        opening = link.opening
        log = cls(link, log_id=opening.log_id, count=opening.records, location=location)
        if opening.how in _UNCLEAN:
            log._append_gap(opening, clock)
        return log

    def append(self, fields: Fields, prefix: Prefix | None = None) -> int:
        """Adds one record and returns its number. On return it is in memory that survives the death of this process.

        Args:
            fields: the record, by JSON names or (faster) by the integers of `proxyplane.audit.record`, without `v`
                and `seq`. It is not changed and may be used again.
            prefix: fields packed by `prefix`, which `fields` then has not.

        Raises:
            AuditUnavailable: the log is closed, or closed now; or the call came from a signal handler or finaliser
                that interrupted another append on the same thread (then the log stays open).
            ValueError, TypeError: the record is not one of schema 1; the log stays open.
        """
        if self._getpid() != self._pid:
            raise AuditUnavailable("the log belongs to the process that opened it; a forked child cannot append")
        with self._lock:
            sink = self._sink
            if sink.reason or self._busy:
                raise AuditUnavailable(sink.reason or "an append was interrupted by another one on the same thread")
            seq = self._count
            try:
                self._busy = True
                payload = self._encode(fields, seq, prefix)
                secrets = self._encoder.secrets
                frame = (
                    segments.sealed_frame(payload, secrets) if secrets else _head(len(payload), _crc(payload)) + payload
                )
                self._count, self._written = seq + 1, sink.put(frame)
            except BaseException:
                # A KeyboardInterrupt may come between the copy and the count. The ring knows which of them was.
                if sink.written != self._written:
                    self._count, self._written = seq + 1, sink.written
                raise
            finally:
                self._busy = False
            return seq

    def sync(self) -> None:
        """Returns when every record appended before the call is durable.

        Raises:
            AuditUnavailable: the log is closed, or closed now because the deadline passed.
        """
        if self._getpid() != self._pid:
            raise AuditUnavailable("the log belongs to the process that opened it; a forked child cannot sync")
        self._sink.sync(self._count)

    def close(self) -> None:
        """Syncs, ends the writer, closes. Calling it again does nothing.

        Raises:
            AuditUnavailable: not every appended record is known to be durable.
        """
        if self._getpid() != self._pid or self._finalizer.detach() is None:
            return
        with self._lock:
            self._sink.close(self._count)

    @property
    def state(self) -> str:
        """`open`, or `closed: ` and the first reason."""
        return f"closed: {self._sink.reason}" if self._sink.reason else "open"

    @property
    def count(self) -> int:
        """Records in the log, which is also the number that the next one gets."""
        return self._count

    @property
    def durable(self) -> int:
        """Records that are known to survive a power failure."""
        return self._sink.durable

    @property
    def places(self) -> tuple[str, ...]:
        """Absolute paths at which the log keeps something: its directory, its keys, the second directory, anchors."""
        if not isinstance(self._sink, WriterLink):
            return ()
        keys, mirror, anchors = self._sink.places
        return tuple(place for place in (self.location, keys, mirror, *anchors) if place)

    @property
    def anchor_problem(self) -> str:
        """Why an anchor did not take a checkpoint; empty when none failed."""
        return self._sink.anchor_problem if isinstance(self._sink, WriterLink) else ""

    @property
    def writer_pid(self) -> int | None:
        """Process id of the log writer; None for a log in memory."""
        return self._sink.pid if isinstance(self._sink, WriterLink) else None

    @property
    def threads(self) -> int:
        """Threads that the log keeps in this process."""
        return int(isinstance(self._sink, WriterLink))

    def aside(self, task: Callable[[], None]) -> None:
        """Have the log's own thread, where there is one, do something once, and wait until it has.

        For what holds for one thread only, as giving up files does.

        Raises:
            AuditUnavailable: the log is closed, or closed now because the deadline passed.
        """
        if isinstance(self._sink, WriterLink):
            self._sink.aside(task)

    def records(self) -> Iterator[dict[str, Any]]:
        """All records in order, by their JSON names. Of a directory: those that the writer has written.

        Raises:
            OSError: this process may not read the directory (as in a sealed host).
        """
        if isinstance(self._sink, MemorySink):
            return map(record.decode, list(self._sink.payloads))
        from proxyplane.audit.reader import read  # noqa: PLC0415 - only those who look need it

        return read(self.location)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _append_gap(self, opening: Opening, clock: Clock) -> None:
        try:
            self.append(
                {
                    record.KIND: "gap",
                    record.PHASE: "single",
                    record.ID: Identifiers(clock).next(),
                    record.TIME: clock.wall(),
                    record.REASON: opening.how,
                    record.DETAIL: {"durable": opening.durable, "torn": opening.torn, "segment": opening.segment},
                }
            )
            self.sync()
        except BaseException:
            _close_forgotten(self._sink)
            raise


def _close_forgotten(sink: Sink) -> None:
    """For a log that nobody closed, when it is collected or the interpreter ends."""
    try:
        sink.close(0)
    except AuditUnavailable:
        return
