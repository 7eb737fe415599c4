"""The log on its directory: recover what is there, then append, checkpoint, rotate and sync one segment after another.

Any error is final: the store is closed, nothing is tried again on that file, and the next opening starts a new
segment (after a failed fsync the kernel may have dropped the pages and still say yes the second time).
Standard library only (the log-writer process runs this).
"""

from __future__ import annotations

import os
import time
import zlib
from collections.abc import Callable
from typing import Final, NamedTuple

from proxyplane.audit import segments
from proxyplane.audit.segments import Checkpoint, Damage, Header, Mark
from proxyplane.audit.storage import Storage

__all__ = ["CHECKPOINT_RECORDS", "LastEnd", "SegmentStore", "StoreError"]

CHECKPOINT_RECORDS: Final = 1024
"""Records between two checkpoints, at most."""
_TEMPORARY: Final = "checkpoint.new"


class StoreError(Exception):
    """The directory holds a log that cannot be continued: durable records are changed or gone."""


class LastEnd(NamedTuple):
    """How the log that was found here ended."""

    how: str
    """`new`: there was none. `closed`: by its host. `host-lost`: the host died, its records are all here.
    `writer-lost`: the writer died or the power failed, records after the last sync may be gone."""
    durable: int
    """Records found."""
    torn: int
    """Bytes of an unfinished write, left where they are."""
    segment: int
    """Number of the last segment found; 0 if none."""


class SegmentStore:
    """Writes the segments of one log. Not thread-safe.

    Args:
        storage: the locked directory.
        segment_bytes: size after which a new segment begins.
        wall: wall clock, ns.

    Raises:
        StoreError: what is there must not be continued.
        OSError: from the directory.
    """

    def __init__(
        self,
        storage: Storage,
        *,
        segment_bytes: int = segments.SEGMENT_BYTES,
        wall: Callable[[], int] = time.time_ns,
    ) -> None:
        self._storage = storage
        self._segment_bytes = segment_bytes
        self._wall = wall
        self._file = -1
        self._length = 0
        self._previous_length = 0
        self._since_checkpoint = 0
        self._segment_first = 0
        self.log_id = b""
        self.number = 0
        self.count = 0
        """Records in the log; the number of the next one."""
        self.durable = 0
        """Records of which it is known that they survive a power failure."""
        self.head = segments.NO_HEAD
        self.dirty = False
        """Whether something was written since the last sync."""
        self._open = True
        self._stated = (0, segments.NO_HEAD)
        try:
            self.last_end = self._recover()
            self.durable = self.count
            self._begin_segment()
        except BaseException:
            self.abandon()
            raise

    # ---- what is there

    def _recover(self) -> LastEnd:
        numbers = sorted(n for n in map(segments.number_of, self._storage.names()) if n is not None)
        self._storage.remove(_TEMPORARY)
        mark = self._read_mark(bool(numbers))
        if mark is None:
            self.log_id = os.urandom(16)
            self._write_mark()
            return LastEnd("new", 0, 0, 0)
        self.log_id = mark.log_id
        if not numbers:
            if mark.number:
                raise StoreError("the log's segments are gone; keep the rest as evidence and open another directory")
            return LastEnd("new", 0, 0, 0)
        if mark.number > numbers[-1]:
            raise StoreError("the log's newest segment is gone; keep the rest as evidence and open another directory")
        return self._recover_last(numbers, mark)

    def _read_mark(self, needed: bool) -> Mark | None:
        try:
            return Mark.unpack(self._storage.read(segments.MARK_NAME))
        except FileNotFoundError:
            if needed:
                raise StoreError(
                    "the checkpoint file is missing beside segments; run `proxyplane audit verify`, keep the directory "
                    "as evidence and open another one"
                ) from None
            return None
        except ValueError as error:
            raise StoreError(f"{error}; keep the directory as evidence and open another one") from None

    def _recover_last(self, numbers: list[int], mark: Mark) -> LastEnd:
        """Continues after the last segment; one whose header never became durable is passed over."""
        number = numbers[-1]
        data = self._storage.read(segments.segment_name(number))
        try:
            header = Header.unpack(data)
        except ValueError as error:
            if data.strip(b"\0") and len(data) >= segments.HEADER_BYTES:
                raise StoreError(f"segment {number}: {error}; open another directory") from None
            if mark.number >= number:
                raise StoreError(f"segment {number}: {error}, though it was durable; open another directory") from None
            if len(numbers) > 1:
                end = self._recover_last(numbers[:-1], mark)
                # The segment before it is known to the next header only through this one: nothing of it counts.
                return self._pass_over(end, number, len(data))
            self.number, self._previous_length = number, 0
            return LastEnd("writer-lost", 0, len(data), number)
        if (header.log_id, header.number) != (mark.log_id, number):
            raise StoreError(f"segment {number} belongs to another log or place; open another directory")
        return self._scan(data, header, mark)

    def _pass_over(self, end: LastEnd, number: int, length: int) -> LastEnd:
        self.number, self._previous_length = number, 0
        return LastEnd("writer-lost", end.durable, end.torn + length, number)

    def _scan(self, data: bytes, header: Header, mark: Mark) -> LastEnd:
        self.number, self.count = header.number, header.first_seq
        self.head = segments.chain(header.previous_head, data[: segments.HEADER_BYTES])
        length, how, trusted = segments.HEADER_BYTES, "writer-lost", mark.number < header.number
        trusted = trusted or (self.count, self.head) == (mark.records, mark.head)
        torn = 0
        for item in segments.frames(data):
            if isinstance(item, Damage):
                torn = len(data) - item.offset
                break
            how = self._take(item)
            length = item.end
            trusted = trusted or (self.count == mark.records and self.head == mark.head)
        if not trusted:
            raise StoreError(
                f"the log was durable up to record {mark.records}, but its segments do not hold that state; run "
                "`proxyplane audit verify`, keep the directory as evidence and open another one"
            )
        self._previous_length = length
        return LastEnd(how if not torn else "writer-lost", self.count, torn, header.number)

    def _take(self, item: segments.Frame) -> str:
        if item.is_checkpoint:
            try:
                checkpoint = Checkpoint.unpack(item.payload)
            except ValueError as error:
                raise StoreError(f"after record {self.count}: {error}; open another directory") from None
            if (checkpoint.records, checkpoint.head) != (self.count, self.head):
                raise StoreError(f"a checkpoint after record {self.count} does not fit; open another directory")
        elif item.seq != self.count:
            raise StoreError(f"where record {self.count} should be is another one; open another directory")
        self.head = segments.chain(self.head, item.payload)
        if not item.is_checkpoint:
            self.count += 1
            return "writer-lost"
        return {segments.CLOSE: "closed", segments.HOST_LOST: "host-lost"}.get(checkpoint.reason, "writer-lost")

    # ---- what comes

    def append(self, batch: bytes) -> int:
        """Writes whole frames of records as they came from the host. Returns how many there were.

        Raises:
            ValueError: the bytes are not whole, intact, contiguous records; the ones before the fault are written.
            OSError: from the file system. Either error is final.
        """
        view = memoryview(batch)
        at = start = 0
        before = self.count
        unpack, header_size, crc_of, end = segments.FRAME.unpack_from, segments.FRAME.size, zlib.crc32, len(batch)
        while at < end:
            if end - at < header_size:
                raise ValueError("the ring holds part of a frame")
            length, crc = unpack(batch, at)
            stop = at + header_size + length
            payload = view[at + header_size : stop]
            if stop > end or crc_of(payload) != crc or segments.seq_of(payload) != self.count:
                self._write(view[start:at])
                raise ValueError(f"the ring holds something else where record {self.count} should be")
            if self._length + (stop - start) > self._segment_bytes and self.count > self._segment_first:
                self._write(view[start:at])
                start = at
                self._rotate()
            self.head = segments.chain(self.head, payload)
            self.count += 1
            self._since_checkpoint += 1
            at = stop
            if self._since_checkpoint >= CHECKPOINT_RECORDS:
                self._write(view[start:at])
                start = at
                self._checkpoint(segments.PERIODIC)
        self._write(view[start:at])
        return self.count - before

    def sync(self, reason: int | None = None) -> None:
        """Makes everything written durable.

        Args:
            reason: when given, a checkpoint with this reason is written before, if records came since the last one
                (always for rotation and an end).

        Raises:
            OSError: from the file system, or because the segment was touched by somebody else. Final.
        """
        if reason is not None and (self._since_checkpoint or reason >= segments.ROTATION):
            self._checkpoint(reason)
        if self.dirty:
            self._storage.sync(self._file)
            size = self._storage.size_if_same(segments.segment_name(self.number), self._file)
            if size != self._length:
                raise OSError("the segment was removed, renamed or changed by another program")
            self.dirty = False
        self.durable = self.count

    def mark(self) -> None:
        """Replaces the checkpoint file by what the newest checkpoint states, which must be durable."""
        self._write_mark()

    def close(self, reason: int) -> None:
        """Last checkpoint, sync, checkpoint file; gives up the directory."""
        self.sync(reason)
        self._write_mark()
        self._storage.sync_directory()
        self.abandon()

    def abandon(self) -> None:
        """Gives up the directory and writes nothing more."""
        if self._file >= 0:
            self._storage.close_file(self._file)
            self._file = -1
        if self._open:
            self._open = False
            self._storage.close()

    def _checkpoint(self, reason: int) -> None:
        self._stated = (self.count, self.head)
        payload = Checkpoint(reason, self.count, self.head, self._wall()).pack()
        self._write(segments.frame(payload))
        self.head = segments.chain(self.head, payload)
        self._since_checkpoint = 0

    def _rotate(self) -> None:
        self.sync(segments.ROTATION)
        self._storage.close_file(self._file)
        self._file = -1
        self._previous_length = self._length
        self._begin_segment()

    def _begin_segment(self) -> None:
        header = Header(self.log_id, self.number + 1, self.count, self.head, self._previous_length, self._wall()).pack()
        self.number += 1
        self._file = self._storage.create(segments.segment_name(self.number))
        self._length = 0
        self._segment_first = self.count
        self._write(header)
        self._storage.sync(self._file)
        self._storage.sync_directory()
        self.head = segments.chain(self.head, header)
        self._stated = (self.count, self.head)
        self.dirty = False
        self._write_mark()

    def _write(self, data: bytes | memoryview) -> None:
        view = memoryview(data)
        while view:
            taken = self._storage.write(self._file, view)
            if taken <= 0:
                raise OSError("the file system took no bytes")
            self._length += taken
            self.dirty = True
            view = view[taken:]

    def _write_mark(self) -> None:
        handle = self._storage.create(_TEMPORARY)
        try:
            data = memoryview(Mark(self.log_id, self.number, *self._stated).pack())
            while data:
                taken = self._storage.write(handle, data)
                if taken <= 0:
                    raise OSError("the file system took no bytes")
                data = data[taken:]
            self._storage.sync(handle)
        finally:
            self._storage.close_file(handle)
        self._storage.replace(_TEMPORARY, segments.MARK_NAME)
