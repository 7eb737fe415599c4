"""Recomputes a log from its bytes and says what they prove. Nothing that is stored is believed unrecomputed.

Every record is hashed again into the tree; every checkpoint must state that tree and be signed by the log's key. What
that cannot show is a log that was cut, or rewritten by somebody who has the key: for this, states of the log that
others keep (`anchors`) are compared, and the verdict says since which record nobody else vouches for it.
"""

from __future__ import annotations

import fcntl
import os
import uuid
import zlib
from collections.abc import Iterable
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Final

from proxyplane.audit import keys, notes, record, segments
from proxyplane.audit.anchors import Anchored, read_anchor
from proxyplane.audit.merkle import Tree
from proxyplane.audit.notes import Note, PublicKey
from proxyplane.audit.segments import Checkpoint, Header
from proxyplane.errors import AuditCorrupt

__all__ = ["Verdict", "verify"]

CLEAN: Final = "clean"
TORN: Final = "torn-tail"
GAP: Final = "gap"
CORRUPT: Final = "corrupt"
FORKED: Final = "forked"
ROLLED_BACK: Final = "rolled-back"
BAD_SIGNATURE: Final = "bad-signature"
UNREADABLE: Final = "unreadable"

_FAR: Final = 1 << 64


@dataclass(frozen=True)
class Verdict:
    """What the bytes of a log prove. `str()` is one line whose first word is the state."""

    state: str
    """`clean`; `torn-tail` (unfinished writes, benign); `gap` (a segment or records are missing); `corrupt@SEQ`
    (bytes were changed at or after record SEQ); `bad-signature` (a checkpoint is not signed by the log's key);
    `forked` (a state that was signed or anchored is not in this log); `rolled-back` (records that were signed or
    anchored are missing at the end); `unreadable`."""
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
    anchored: int = 0
    """Records that the newest anchor vouches for."""
    root: str = ""
    """Root hash of the tree over all records, hex."""

    @property
    def exit_code(self) -> int:
        """0 for clean and torn-tail, 1 for any other fault, 4 when it is not a readable log."""
        if self.state in (CLEAN, TORN):
            return 0
        return 4 if self.state == UNREADABLE else 1

    @property
    def anchor(self) -> str:
        """From which record on nobody else vouches for the log."""
        return "anchored" if self.anchored == self.records > 0 else f"unanchored since {self.anchored}"

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


def verify(directory: str | Path, *, anchors: Iterable[str | Path] = (), key: str | None = None) -> Verdict:
    """Recomputes frames, sequence numbers, tree, checkpoints and signatures of a whole log.

    A log that is being written is verified as far as it has come.

    Args:
        directory: the audit directory.
        anchors: folders or git repositories to which its checkpoints were taken (see `anchors`).
        key: the log's public key, as one line of `log.pub`; by default what that file says. Anchors keep a copy of
            the key of their own, which wins over the file.
    """
    try:
        handle = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError as error:
        return Verdict(UNREADABLE, f"{directory}: {error.strerror}")
    scan = _Scan(handle)
    try:
        scan.run(anchors, key)
    except _FaultError as fault:
        return scan.verdict(fault.state, str(fault))
    except OSError as error:
        return scan.verdict(UNREADABLE, f"{error.filename or directory}: {error.strerror}")
    finally:
        os.close(handle)
    return scan.verdict(TORN if scan.torn_bytes > 0 else CLEAN, "")


class _Scan:
    """One pass over all segments."""

    def __init__(self, handle: int) -> None:
        self._handle = handle
        self._tree = Tree()
        self._leaves: list[bytes] = []
        self._trusted = 0
        self._keys: list[PublicKey] = []
        self._stated: dict[int, tuple[bytes, str]] = {}
        """Sizes that somebody states roots for, and who."""
        self._stops: list[int] = []
        """The same sizes, largest first."""
        self._next_stop = _FAR
        self._last = False
        self._forked = ""
        self.count = 0
        self.anchored = 0
        self.log_id = b""
        self.done = 0
        self.torn_bytes = 0
        self.gaps = 0
        self.live = False
        self.closed = False

    def verdict(self, state: str, text: str) -> Verdict:
        """The verdict with what was counted so far."""
        log_id = str(uuid.UUID(bytes=self.log_id)) if self.log_id else ""
        self._grow()
        anchored = self.anchored if state in (CLEAN, TORN) else 0
        return Verdict(
            state, text, log_id, self.count, self.done, self.torn_bytes, self.gaps, self.live, self.closed, anchored,
            self._tree.root().hex(),
        )  # fmt: skip

    def run(self, anchors: Iterable[str | Path], key: str | None) -> None:
        """Scans everything; a `_FaultError` says what is wrong."""
        # Asked before reading: a writer that begins or ends while we read only makes us more careful.
        self.live = _is_locked(self._handle)
        text, public = self._read_or_none(segments.MARK_NAME), self._read_or_none(keys.PUBLIC_NAME)
        numbers = sorted(n for n in map(segments.number_of, os.listdir(self._handle)) if n is not None)
        if not numbers and text is None:
            raise _FaultError(UNREADABLE, "there is no audit log in this directory")
        kept = [self._anchor(where) for where in anchors]
        mark = self._identify(text, public, key, kept)
        stated = [(mark, "the checkpoint file")] if mark else []
        for place in kept:
            stated += [(note, f"the anchor {place.where}") for note in place.notes]
        self._expect(stated)
        self._segments(numbers)
        self._judge(text, mark, kept)

    # ---- who signs, and what is stated elsewhere

    def _anchor(self, where: str | Path) -> Anchored:
        try:
            return read_anchor(where)
        except (OSError, ValueError) as error:
            raise _FaultError(UNREADABLE, f"the anchor {where}: {error}") from None

    def _identify(self, text: bytes | None, public: bytes | None, key: str | None, kept: list[Anchored]) -> Note | None:
        """The log's keys and its newest checkpoint; None when that file is missing or damaged."""
        try:
            own = keys.public_keys(public) if public is not None else []
            pinned = [PublicKey.parse(key)] if key is not None else []
        except ValueError as error:
            raise _FaultError(BAD_SIGNATURE, f"the key cannot be read: {error}") from None
        if not own and not pinned:
            raise _FaultError(BAD_SIGNATURE, "the file log.pub, which names the log's key, is missing")
        self._keys = pinned or own
        try:
            mark = Note.parse(text) if text is not None else None
        except ValueError:
            return None
        if mark is None:
            return None
        for place in kept:
            theirs = [item for item in place.keys if item.name == mark.origin]
            if theirs and not set(theirs) & set(self._keys):
                raise _FaultError(BAD_SIGNATURE, f"the anchor {place.where} knows this log under another key")
            self._keys = theirs or self._keys
        self._check_signature(mark, "the checkpoint file")
        self.log_id = notes.log_id_of(mark.origin)
        return mark

    def _check_signature(self, note: Note, where: str) -> None:
        if not keys.is_signed(note, self._keys):
            raise _FaultError(BAD_SIGNATURE, f"{where} is not signed by the log's key")

    def _expect(self, stated: list[tuple[Note, str]]) -> None:
        origin = self._keys[0].name
        for note, where in stated:
            if note.origin != origin:
                continue  # an anchor may keep other logs, too
            self._check_signature(note, where)
            root, who = self._stated.setdefault(note.size, (note.root, where))
            if root != note.root:
                raise _FaultError(FORKED, f"{who} and {where} state different roots of {note.size} records")
        self._stops = sorted(self._stated, reverse=True)
        self._stop()

    def _stop(self) -> None:
        """Compares the root at a size that somebody stated."""
        while self._stops and self._stops[-1] == self.count:
            self._grow()
            root, who = self._stated[self._stops.pop()]
            if self._tree.root() != root:
                # If the records do not fit the log's own checkpoints either, that is the fault to tell of.
                self._forked = self._forked or f"{who} states another root of {self.count} records"
        self._next_stop = self._stops[-1] if self._stops else _FAR

    def _grow(self) -> None:
        self._tree.extend(self._leaves)
        self._leaves.clear()

    # ---- segments

    def _read_or_none(self, name: str) -> bytes | None:
        try:
            return self._read(name)
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
            self._last = index + 1 == len(numbers)
            previous_length = self._segment(data, number, previous_length, self._limit_of(numbers, index))
            expected += 1

    def _limit_of(self, numbers: list[int], index: int) -> int | None:
        """Where the next segment says that this one ends, if it can be read."""
        if index + 1 == len(numbers):
            return None
        try:
            following = self._read(segments.segment_name(numbers[index + 1]))
            return Header.unpack(following).previous_length if segments.is_begun(following) else None
        except (OSError, ValueError):
            return None

    def _segment(self, data: bytes, number: int, previous_length: int, limit: int | None) -> int:
        """Scans one segment, returns its valid length. `limit` is where its successor says that it ends."""
        if not segments.is_begun(data):
            self._tear(len(data))
            return 0
        try:
            header = Header.unpack(data)
        except ValueError as error:
            raise self._corrupt(f"segment {number}: {error}") from None
        self._check_header(header, number, previous_length)
        self.done += 1
        self.closed = False
        if limit is not None and limit > len(data):
            self._frames(data, number, len(data), soft=True)
            raise _FaultError(GAP, f"segment {number} ends {limit - len(data)} bytes before its successor says")
        end = self._frames(data, number, len(data) if limit is None else limit, soft=limit is None)
        if len(data) > end:
            self._tear(len(data) - end)
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
        self._grow()
        if (header.first_seq, header.previous_root) != (self.count, self._tree.root()):
            raise self._corrupt(f"segment {number} does not continue the one before")
        if header.previous_length != previous_length:
            raise self._corrupt(f"segment {number} does not know the length of the one before")

    def _frames(self, data: bytes, number: int, end: int, *, soft: bool) -> int:
        """Checks the frames up to `end`, returns where they end; with `soft` they may be torn before."""
        unpack, stamp, crc_of, hash_of = segments.FRAME.unpack_from, segments.STAMP.unpack_from, zlib.crc32, sha256
        check, leaves, kind = record.check, self._leaves, record.KIND
        at = segments.HEADER_BYTES
        while end - at >= 8:
            length, crc = unpack(data, at)
            stop = at + 8 + length
            if stop > end or not 0 < length <= segments.MAX_PAYLOAD:
                break
            payload = data[at + 8 : stop]
            if crc_of(payload) != crc:
                break
            if at == segments.HEADER_BYTES or payload[0] == segments.CHECKPOINT_MARKER:
                self._checkpoint(payload, number, begins=at == segments.HEADER_BYTES)
            else:
                if length < 15 or stamp(payload) != (0xDE, 0x000101CF, self.count):
                    raise self._wrong(number, "another record stands in its place")
                try:
                    stored = check(payload)
                except AuditCorrupt as error:
                    raise self._wrong(number, str(error)) from None
                leaves.append(hash_of(b"\0" + payload).digest())
                self.count += 1
                if stored[kind] == "gap":
                    self.gaps += 1
                self.closed = False
                if self.count == self._next_stop:
                    self._stop()
            at = stop
        if at < end:
            found = segments.damage(data, at, end, "bytes that are no whole frame")
            if not (soft and found.torn):
                raise self._wrong(number, f"byte {found.offset}: {found.text}")
        return at

    def _checkpoint(self, payload: bytes, number: int, *, begins: bool) -> None:
        try:
            found = Checkpoint.unpack(payload)
        except ValueError as error:
            raise self._corrupt(f"segment {number}: {error}") from None
        self._grow()
        fits = (found.records, list(found.peaks)) == (self.count, self._tree.peaks())
        if not fits or begins != (found.reason == segments.BEGIN):
            raise self._corrupt(f"segment {number}: the checkpoint after record {self.count - 1} does not fit")
        origin = notes.origin_of(self.log_id)
        note = notes.note_of(origin, found.records, self._tree.root(), found.key, found.signature)
        self._check_signature(note, f"segment {number}: the checkpoint after record {self.count - 1}")
        self._trusted = self.count
        self.closed = found.reason == segments.CLOSE

    def _tear(self, size: int) -> None:
        """Bytes of an unfinished write; at the end of a live log they are a write that is not finished yet."""
        if not (self._last and self.live):
            self.torn_bytes += size

    def _wrong(self, number: int, text: str) -> _FaultError:
        return _FaultError(f"{CORRUPT}@{self.count}", f"segment {number}: {text}")

    def _corrupt(self, text: str) -> _FaultError:
        """A fault that lies somewhere after the last state which something confirmed."""
        return _FaultError(f"{CORRUPT}@{self._trusted}", text)

    def _judge(self, text: bytes | None, mark: Note | None, kept: list[Anchored]) -> None:
        if text is None:
            raise _FaultError(ROLLED_BACK, "the checkpoint file is missing, so records may be missing at the end")
        if mark is None:
            raise _FaultError(f"{CORRUPT}@{self.count}", "the checkpoint file is damaged")
        if self._forked:
            raise _FaultError(FORKED, self._forked)
        if self._stops:
            size = self._stops[0]
            raise _FaultError(ROLLED_BACK, f"{self._stated[size][1]} states {size} records, {self.count} are here")
        own = [note.size for place in kept for note in place.notes if note.origin == mark.origin]
        self.anchored = max(own, default=0)


def _is_locked(handle: int) -> bool:
    try:
        fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    fcntl.flock(handle, fcntl.LOCK_UN)
    return False
