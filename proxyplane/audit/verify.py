"""Recomputes a log from its bytes and says what they prove. Nothing that is stored is believed unrecomputed.

Without anchors (states of the log that somebody else keeps) this can prove that the log is consistent, not that
nobody who may write to the directory has rewritten it; so every verdict says `unanchored since 0`.
"""

from __future__ import annotations

import fcntl
import os
import uuid
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from proxyplane.audit import record, segments
from proxyplane.audit.segments import Checkpoint, Damage, Header, Mark
from proxyplane.errors import AuditCorrupt

__all__ = ["Verdict", "verify"]

CLEAN: Final = "clean"
TORN: Final = "torn-tail"
GAP: Final = "gap"
CORRUPT: Final = "corrupt"
FORKED: Final = "forked"
ROLLED_BACK: Final = "rolled-back"
UNREADABLE: Final = "unreadable"


@dataclass(frozen=True)
class Verdict:
    """What the bytes of a log prove. `str()` is one line whose first word is the state."""

    state: str
    """`clean`; `torn-tail` (unfinished writes, benign); `gap` (a segment or records are missing); `corrupt@SEQ`
    (bytes were changed at or after record SEQ); `forked` (the log went on from another state than the one that was
    durable); `rolled-back` (durable records are missing at the end); `unreadable`."""
    text: str = ""
    """What was found where; empty when clean."""
    log_id: str = ""
    """UUID text; empty when unknown."""
    records: int = 0
    """Records that were recomputed."""
    segments: int = 0
    torn_bytes: int = 0
    recorded_gaps: int = 0
    """Records of kind `gap`: the log itself tells that it was once not closed cleanly."""
    live: bool = False
    """A writer holds the log; it was verified as far as it was written."""
    closed: bool = False
    """The log ends with a checkpoint that says it was closed."""

    @property
    def exit_code(self) -> int:
        """0 for clean and torn-tail, 1 for any other fault, 4 when it is not a readable log."""
        if self.state in (CLEAN, TORN):
            return 0
        return 4 if self.state == UNREADABLE else 1

    @property
    def anchor(self) -> str:
        """From which record on nobody else vouches for the log."""
        return "unanchored since 0"

    def __str__(self) -> str:
        if self.state == UNREADABLE:
            return f"{self.state} {self.text}"
        facts = [_counted(self.records, "record"), _counted(self.segments, "segment")]
        if self.torn_bytes:
            facts.append(_counted(self.torn_bytes, "torn byte"))
        if self.recorded_gaps:
            facts.append(_counted(self.recorded_gaps, "recorded gap"))
        if self.live:
            facts.append("still being written")
        elif not self.closed:
            facts.append("not closed")
        text = f" ({self.text})" if self.text else ""
        return f"{self.state} {self.anchor}; {', '.join(facts)}{text}"


def _counted(number: int, word: str) -> str:
    return f"{number} {word}" if number == 1 else f"{number} {word}s"


class _FaultError(Exception):
    """A state that ends the scan, and why."""

    def __init__(self, state: str, text: str) -> None:
        super().__init__(text)
        self.state = state


def verify(directory: str | Path) -> Verdict:
    """Recomputes frames, sequence numbers, chain and checkpoints of a whole log.

    A log that is being written is verified as far as it has come.

    Args:
        directory: the audit directory.
    """
    try:
        handle = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError as error:
        return Verdict(UNREADABLE, f"{directory}: {error.strerror}")
    scan = _Scan(handle)
    try:
        scan.run()
    except _FaultError as fault:
        return scan.verdict(fault.state, str(fault))
    except OSError as error:
        return scan.verdict(UNREADABLE, f"{directory}: {error.strerror} ({error.filename})")
    finally:
        os.close(handle)
    torn = scan.torn_bytes > 0
    return scan.verdict(TORN if torn else CLEAN, "")


class _Scan:
    """One pass over all segments."""

    def __init__(self, handle: int) -> None:
        self._handle = handle
        self._mark: Mark | None = None
        self._matched = False
        self._trusted = 0
        self.count = 0
        self.head = segments.NO_HEAD
        self.log_id = b""
        self.done = 0
        self.torn_bytes = 0
        self.gaps = 0
        self.live = False
        self.closed = False

    def verdict(self, state: str, text: str) -> Verdict:
        log_id = str(uuid.UUID(bytes=self.log_id)) if self.log_id else ""
        return Verdict(state, text, log_id, self.count, self.done, self.torn_bytes, self.gaps, self.live, self.closed)

    def run(self) -> None:
        """Scans; a `_FaultError` is any other end than clean or torn."""
        self.live = _is_locked(self._handle)
        # Before the segments: of a live log it may then be older than they are, never newer.
        mark_text = self._read_mark()
        numbers = sorted(n for n in map(segments.number_of, os.listdir(self._handle)) if n is not None)
        if not numbers and mark_text is None:
            raise _FaultError(UNREADABLE, "there is no audit log in this directory")
        try:
            self._mark = Mark.unpack(mark_text) if mark_text is not None else None
        except ValueError:
            self._mark = None
        if self._mark:
            self._pass_state(0)
        self._segments(numbers)
        self._judge_mark(mark_text)

    def _read_mark(self) -> bytes | None:
        try:
            return self._read(segments.MARK_NAME)
        except FileNotFoundError:
            return None

    def _read(self, name: str) -> bytes:
        handle = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=self._handle)
        with open(handle, "rb") as file:
            return file.read()

    def _segments(self, numbers: list[int]) -> None:
        expected, previous_length = 1, 0
        for index, number in enumerate(numbers):
            if number != expected:
                raise _FaultError(GAP, f"segment {expected} is missing")
            name = segments.segment_name(number)
            try:
                data = self._read(name)
            except OSError as error:
                if os.path.islink(f"/proc/self/fd/{self._handle}/{name}"):
                    raise _FaultError(GAP, f"segment {number} is a symbolic link") from None
                raise error from None
            limit = self._limit_of(numbers, index)
            previous_length = self._segment(data, number, previous_length, limit)
            expected += 1

    def _limit_of(self, numbers: list[int], index: int) -> int | None:
        """Where the next segment says that this one ends, if it can be read."""
        if index + 1 == len(numbers):
            return None
        try:
            following = self._read(segments.segment_name(numbers[index + 1]))[: segments.HEADER_BYTES]
            return Header.unpack(following).previous_length
        except (OSError, ValueError):
            return None

    def _segment(self, data: bytes, number: int, previous_length: int, limit: int | None) -> int:
        """Scans one segment, returns its valid length. `limit` is where its successor says that it ends."""
        last = limit is None
        try:
            header = Header.unpack(data)
        except ValueError as error:
            if len(data) < segments.HEADER_BYTES or not data.strip(b"\0"):
                self._tear(len(data), last)
                return 0
            raise self._corrupt(f"segment {number}: {error}") from None
        self._check_header(header, number, previous_length)
        self.head = segments.chain(self.head, data[: segments.HEADER_BYTES])
        self.done += 1
        self.closed = False
        self._pass_state(number)
        end = segments.HEADER_BYTES
        if limit is not None and limit > len(data):
            self._frames(data, number, None)
            raise _FaultError(GAP, f"segment {number} ends {limit - len(data)} bytes before its successor says")
        end = self._frames(data, number, limit)
        if len(data) > end:
            self._tear(len(data) - end, last)
        return end

    def _check_header(self, header: Header, number: int, previous_length: int) -> None:
        # Segment 1 may never have begun; the first header that was written names the log.
        self.log_id = self.log_id or header.log_id
        if header.log_id != self.log_id or header.number != number:
            raise self._corrupt(f"segment {number} belongs to another log or another place")
        if header.first_seq > self.count:
            raise _FaultError(
                GAP, f"records {self.count} to {header.first_seq - 1} are missing before segment {number}"
            )
        if (header.first_seq, header.previous_head) != (self.count, self.head):
            raise self._corrupt(f"segment {number} does not continue the one before")
        if header.previous_length != previous_length:
            raise self._corrupt(f"segment {number} does not know the length of the one before")

    def _frames(self, data: bytes, number: int, limit: int | None) -> int:
        end = segments.HEADER_BYTES
        for item in segments.frames(data, end, limit):
            if isinstance(item, Damage):
                if limit is not None or not item.torn:
                    raise _FaultError(f"{CORRUPT}@{self.count}", f"segment {number}, byte {item.offset}: {item.text}")
                break
            if item.is_checkpoint:
                self._checkpoint(item.payload, number)
            else:
                self._record(item, number)
            self.head = segments.chain(self.head, item.payload)
            end = item.end
            self._pass_state(number)
        return end

    def _checkpoint(self, payload: memoryview, number: int) -> None:
        try:
            checkpoint = Checkpoint.unpack(payload)
        except ValueError as error:
            raise self._corrupt(f"segment {number}: {error}") from None
        if (checkpoint.records, checkpoint.head) != (self.count, self.head):
            raise self._corrupt(f"segment {number}: the checkpoint after record {self.count - 1} does not fit")
        self._trusted = self.count
        self.closed = checkpoint.reason == segments.CLOSE

    def _record(self, item: segments.Frame, number: int) -> None:
        if item.seq != self.count:
            raise _FaultError(f"{CORRUPT}@{self.count}", f"segment {number}: another record stands in its place")
        try:
            stored = record.check(item.payload)
        except AuditCorrupt as error:
            raise _FaultError(f"{CORRUPT}@{self.count}", f"segment {number}: {error}") from None
        self.gaps += stored[record.KIND] == "gap"
        self.count += 1
        self.closed = False

    def _pass_state(self, number: int) -> None:
        mark = self._mark
        if mark and not self._matched and (mark.records, mark.number, mark.head) == (self.count, number, self.head):
            self._matched = True

    def _tear(self, size: int, last: bool) -> None:
        """Bytes of an unfinished write; at the end of a live log they are a write that is not finished yet."""
        if not (last and self.live):
            self.torn_bytes += size

    def _corrupt(self, text: str) -> _FaultError:
        """A fault that lies somewhere after the last state which something confirmed."""
        return _FaultError(f"{CORRUPT}@{self._trusted}", text)

    def _judge_mark(self, text: bytes | None) -> None:
        if text is None:
            raise _FaultError(ROLLED_BACK, "the checkpoint file is missing, so records may be missing at the end")
        mark = self._mark
        if mark is None:
            raise _FaultError(f"{CORRUPT}@{self.count}", "the checkpoint file is damaged")
        self.log_id = self.log_id or mark.log_id
        if mark.log_id != self.log_id:
            raise _FaultError(f"{CORRUPT}@0", "the checkpoint file belongs to another log")
        if self._matched:
            return
        if mark.records >= self.count or mark.number > self.done:
            raise _FaultError(ROLLED_BACK, f"{mark.records} records were durable, {self.count} are here")
        raise _FaultError(FORKED, f"the state that was durable after {mark.records} records is not in this log")


def _is_locked(handle: int) -> bool:
    try:
        fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    fcntl.flock(handle, fcntl.LOCK_UN)
    return False
