"""The bytes of the log on disk: segment headers, frames, checkpoints, the chain. See `docs/audit-format.md`.

Standard library only and no sibling imports: the log-writer process runs this, and verify recomputes with it.
"""

from __future__ import annotations

import hashlib
import re
import struct
import zlib
from collections.abc import Iterator
from typing import Final, NamedTuple

__all__ = ["Checkpoint", "Damage", "Frame", "Header", "Mark", "chain", "frame", "frames", "number_of", "segment_name"]

MAGIC: Final = b"\x89PPLOG\r\n"
VERSION: Final = 1
SEGMENT_BYTES: Final = 16 << 20
MARK_NAME: Final = "checkpoint"
NO_HEAD: Final = bytes(32)

FRAME: Final = struct.Struct("<II")
"""Length of the payload, CRC-32 of the payload."""
MAX_PAYLOAD: Final = 1 << 20

_HEADER: Final = struct.Struct("<8sII16sQQ32sQQ28x")
_CRC: Final = struct.Struct("<I")
HEADER_BYTES: Final = _HEADER.size + _CRC.size

_CHECKPOINT: Final = struct.Struct("<BBHQ32sQ")
CHECKPOINT_MARKER: Final = 0x43
RECORD_MARKER: Final = 0xDE
_SEQ: Final = struct.Struct(">Q")
_STAMP_BYTES: Final = 15

PERIODIC, SYNC, ROTATION, CLOSE, HOST_LOST = range(5)
"""Why a checkpoint was written. `CLOSE`: the host closed the log; `HOST_LOST`: it died, all it appended is here."""

_NAME: Final = re.compile(r"(\d{8})\.seg\Z", re.ASCII)
_SECTOR: Final = 512
_ZEROS: Final = 16
"""Fewer zeros than this at the end may be the end of a record."""


class Header(NamedTuple):
    """First 128 bytes of a segment."""

    log_id: bytes
    """16 bytes, the same in all segments of a log."""
    number: int
    """From 1, without holes."""
    first_seq: int
    """Number of the first record in this segment, if it has one."""
    previous_head: bytes
    """Chain head at the end of the segment before; zeros in the first."""
    previous_length: int
    """Valid bytes of the segment before; what follows them there is a torn tail. 0 in the first."""
    created: int
    """Wall clock, ns UTC."""

    def pack(self) -> bytes:
        """The 128 bytes."""
        body = _HEADER.pack(
            MAGIC,
            VERSION,
            0,
            self.log_id,
            self.number,
            self.first_seq,
            self.previous_head,
            self.previous_length,
            self.created,
        )
        return body + _CRC.pack(zlib.crc32(body))

    @classmethod
    def unpack(cls, data: bytes) -> Header:
        """From the start of a segment; a ValueError says what is wrong."""
        if len(data) < HEADER_BYTES:
            raise ValueError(f"a segment header has {HEADER_BYTES} bytes, here are {len(data)}")
        magic, version, flags, log_id, number, first, head, length, created = _HEADER.unpack_from(data)
        if magic != MAGIC:
            raise ValueError("not a segment of a proxyplane audit log")
        if _CRC.unpack_from(data, _HEADER.size)[0] != zlib.crc32(data[: _HEADER.size]):
            raise ValueError("the segment header's CRC does not match")
        if (version, flags) != (VERSION, 0) or any(data[_HEADER.size - 28 : _HEADER.size]):
            raise ValueError(f"segment format {version} is newer than {VERSION}; read it with a newer proxyplane")
        return cls(log_id, number, first, head, length, created)


class Checkpoint(NamedTuple):
    """A frame in which the log states how far it is."""

    reason: int
    records: int
    """Records before it in the log."""
    head: bytes
    """Chain head before it."""
    time: int
    """Wall clock, ns UTC."""

    def pack(self) -> bytes:
        """The payload of its frame."""
        return _CHECKPOINT.pack(CHECKPOINT_MARKER, self.reason, 0, self.records, self.head, self.time)

    @classmethod
    def unpack(cls, payload: bytes | memoryview) -> Checkpoint:
        """From a payload; a ValueError says what is wrong."""
        if len(payload) != _CHECKPOINT.size:
            raise ValueError(f"a checkpoint has {_CHECKPOINT.size} bytes, not {len(payload)}")
        marker, reason, zero, count, head, time = _CHECKPOINT.unpack(payload)
        if marker != CHECKPOINT_MARKER or zero or reason > HOST_LOST:
            raise ValueError("not a checkpoint of this format")
        return cls(reason, count, head, time)


class Mark(NamedTuple):
    """The file `checkpoint`: how far the log had durably come when it was last replaced."""

    log_id: bytes
    number: int
    """Segment that holds the end of it; 0 before the first."""
    records: int
    head: bytes

    def pack(self) -> bytes:
        """The whole text of the file, ASCII."""
        body = f"proxyplane audit checkpoint 1\n{self.log_id.hex()}\n{self.number}\n{self.records}\n{self.head.hex()}\n"
        return f"{body}{zlib.crc32(body.encode()):08x}\n".encode()

    @classmethod
    def unpack(cls, text: bytes) -> Mark:
        """From the file's bytes; a ValueError when they are not exactly what `pack` gives."""
        try:
            _, log_id, number, count, head, _, _ = text.decode("ascii").split("\n")
            mark = cls(bytes.fromhex(log_id), int(number), int(count), bytes.fromhex(head))
        except ValueError:
            mark = None
        if mark is None or mark.pack() != text:
            raise ValueError("the checkpoint file is damaged")
        return mark


class Frame(NamedTuple):
    """One frame as found in a segment."""

    payload: memoryview
    end: int
    """Offset of the byte after it."""

    @property
    def is_checkpoint(self) -> bool:
        """Whether it holds a checkpoint and not a record."""
        return self.payload[0] == CHECKPOINT_MARKER

    @property
    def seq(self) -> int:
        """Number of the record; -1 when the payload does not begin like one."""
        return seq_of(self.payload)


class Damage(NamedTuple):
    """Why the frames end before the bytes do."""

    offset: int
    """Where the valid frames end."""
    torn: bool
    """Looks like a write that was cut short, as a power failure leaves it; otherwise something changed the bytes."""
    text: str


def segment_name(number: int) -> str:
    """File name of a segment."""
    return f"{number:08d}.seg"


def number_of(name: str) -> int | None:
    """Number of the segment with this file name; None for any other file."""
    match = _NAME.match(name)
    return int(match[1]) if match else None


def frame(payload: bytes) -> bytes:
    """The frame around a payload."""
    return FRAME.pack(len(payload), zlib.crc32(payload)) + payload


def chain(head: bytes, payload: bytes | memoryview) -> bytes:
    """The next chain head: SHA-256 of the head before and the exact payload bytes."""
    state = hashlib.sha256(head)
    state.update(payload)
    return state.digest()


def seq_of(payload: bytes | memoryview) -> int:
    """Number of a stored record, from its fixed place; -1 when the bytes do not begin like a record."""
    if len(payload) < _STAMP_BYTES or payload[0] != RECORD_MARKER:
        return -1
    if bytes(payload[3:7]) != b"\x00\x01\x01\xcf":
        return -1
    return int(_SEQ.unpack_from(payload, 7)[0])


def frames(data: bytes, start: int = HEADER_BYTES, limit: int | None = None) -> Iterator[Frame | Damage]:
    """The frames of a segment in order; the last item is a `Damage` when they end before `limit` does."""
    view = memoryview(data)
    end = len(data) if limit is None else limit
    at = start
    while at < end:
        if end - at < FRAME.size:
            yield _damage(data, at, end, "part of a frame's length and CRC")
            return
        length, crc = FRAME.unpack_from(data, at)
        stop = at + FRAME.size + length
        if not 0 < length <= MAX_PAYLOAD:
            yield _damage(data, at, end, "a frame with an impossible length")
            return
        if stop > end:
            yield _damage(data, at, end, "part of a frame")
            return
        payload = view[at + FRAME.size : stop]
        if zlib.crc32(payload) != crc:
            yield _damage(data, at, end, "a frame whose CRC does not match")
            return
        yield Frame(payload, stop)
        at = stop


def _damage(data: bytes, at: int, end: int, text: str) -> Damage:
    return Damage(at, _is_torn(data, at, end), text)


def _is_torn(data: bytes, at: int, end: int) -> bool:
    """Whether the bytes from `at` on look like one unfinished write rather than like changed bytes."""
    rest = data[at:end]
    written = len(rest.rstrip(b"\0"))
    if not written:
        return True  # a file that grew before its data was written
    sector = -(-(at + written) // _SECTOR) * _SECTOR
    if end - sector >= _ZEROS:
        return True  # whole sectors that never reached the disk
    if len(rest) < FRAME.size:
        return True
    length, crc = FRAME.unpack_from(rest)
    if len(rest) - FRAME.size >= length > 0:
        return False
    # The frame seems to go on after the end. If some shorter payload fits its CRC, it is the length that was changed.
    found = 0
    for index in range(FRAME.size, min(len(rest), FRAME.size + MAX_PAYLOAD)):
        found = zlib.crc32(rest[index : index + 1], found)
        if found == crc:
            return False
    return True
