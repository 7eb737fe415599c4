"""The bytes of the log on disk: segment headers, frames, checkpoints. See `docs/audit-format.md`.

Standard library only and no sibling imports: the log-writer process runs this, and verify recomputes with it.
"""

from __future__ import annotations

import re
import struct
import zlib
from collections.abc import Callable, Iterator, Sequence
from typing import Final, NamedTuple

__all__ = [
    "Checkpoint",
    "Damage",
    "Frame",
    "Header",
    "frame",
    "frames",
    "number_of",
    "sealed_frame",
    "segment_name",
    "unsealed",
]

MAGIC: Final = b"\x89PPLOG\r\n"
VERSION: Final = 2
"""1 was a hash chain and never released."""
SEGMENT_BYTES: Final = 16 << 20
MARK_NAME: Final = "checkpoint"
CHECKPOINT_RECORDS: Final = 1024
"""Records between two checkpoints, at most."""

FRAME: Final = struct.Struct("<II")
"""Length of the payload, CRC-32 of the payload."""
MAX_PAYLOAD: Final = 1 << 20

_HEADER: Final = struct.Struct("<8sII16sQQ32sQQ28x")
_CRC: Final = struct.Struct("<I")
HEADER_BYTES: Final = _HEADER.size + _CRC.size

_CHECKPOINT: Final = struct.Struct("<BBHQQ4s64s")
LONGEST_CHECKPOINT: Final = _CHECKPOINT.size + 64 * 32
CHECKPOINT_MARKER: Final = 0x43
RECORD_MARKER: Final = 0xDE
STAMP: Final = struct.Struct(">B2xIQ")
"""First 15 bytes of a record: marker, (number of fields), `STAMP_WORD`, sequence number."""
STAMP_WORD: Final = 0x000101CF
HASH_BYTES: Final = 32

PERIODIC, BEGIN, ROTATION, CLOSE, HOST_LOST = range(5)
"""Why a checkpoint was written. `BEGIN`: first frame of a segment; `CLOSE`: the host closed the log; `HOST_LOST`: it
died, all it appended is here."""

SECRETS: Final = 0x80000000
"""Set in a frame's length on its way to the writer (never on disk): texts follow, of which only a hash is stored."""
_SECRET: Final = struct.Struct("<II")

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
    previous_root: bytes
    """Root of the tree over the records before this segment."""
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
            self.previous_root,
            self.previous_length,
            self.created,
        )
        return body + _CRC.pack(zlib.crc32(body))

    @classmethod
    def unpack(cls, data: bytes) -> Header:
        """From the start of a segment; a ValueError says what is wrong."""
        if len(data) < HEADER_BYTES:
            raise ValueError(f"a segment header has {HEADER_BYTES} bytes, here are {len(data)}")
        magic, version, flags, log_id, number, first, root, length, created = _HEADER.unpack_from(data)
        if magic != MAGIC:
            raise ValueError("not a segment of a proxyplane audit log")
        if _CRC.unpack_from(data, _HEADER.size)[0] != zlib.crc32(data[: _HEADER.size]):
            raise ValueError("the segment header's CRC does not match")
        if (version, flags) != (VERSION, 0) or any(data[_HEADER.size - 28 : _HEADER.size]):
            word = "an older" if version < VERSION else "a newer"
            raise ValueError(f"segment format {version} is not {VERSION}; read it with {word} proxyplane")
        return cls(log_id, number, first, root, length, created)


class Checkpoint(NamedTuple):
    """A frame in which the log states, signed, how far it is."""

    reason: int
    records: int
    """Records before it in the log."""
    time: int
    """Wall clock, ns UTC."""
    key: bytes
    """4 bytes: which key signed."""
    signature: bytes
    """64 bytes, over the text of the checkpoint note (see `notes`)."""
    peaks: tuple[bytes, ...]
    """Of the tree over these records, the largest first; they give the root, and whoever has them can go on."""

    def pack(self) -> bytes:
        """The payload of its frame."""
        fixed = _CHECKPOINT.pack(CHECKPOINT_MARKER, self.reason, 0, self.records, self.time, self.key, self.signature)
        return fixed + b"".join(self.peaks)

    @classmethod
    def unpack(cls, payload: bytes | memoryview) -> Checkpoint:
        """From a payload; a ValueError says what is wrong."""
        if len(payload) < _CHECKPOINT.size:
            raise ValueError(f"a checkpoint has at least {_CHECKPOINT.size} bytes, not {len(payload)}")
        marker, reason, zero, count, time, key, signature = _CHECKPOINT.unpack_from(payload)
        if marker != CHECKPOINT_MARKER or zero or reason > HOST_LOST:
            raise ValueError("not a checkpoint of this format")
        rest = bytes(payload[_CHECKPOINT.size :])
        if len(rest) != HASH_BYTES * count.bit_count():
            raise ValueError(f"a checkpoint of {count} records has another number of peaks")
        peaks = tuple(rest[at : at + HASH_BYTES] for at in range(0, len(rest), HASH_BYTES))
        return cls(reason, count, time, key, signature, peaks)


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


def sealed_frame(payload: bytes, texts: Sequence[tuple[bytes, bytes]]) -> bytes:
    """The frame of a record with sensitive texts, as it goes to the writer.

    Args:
        payload: the record, with a unique placeholder of 32 bytes where the hash of each text belongs.
        texts: the placeholders with their texts.
    """
    parts = [len(payload).to_bytes(4, "little"), payload]
    for placeholder, text in texts:
        parts += [_SECRET.pack(payload.index(placeholder), len(text)), text]
    body = b"".join(parts)
    return FRAME.pack(len(body) | SECRETS, zlib.crc32(body)) + body


def unsealed(body: bytes, hashed: Callable[[bytes], bytes]) -> bytes:
    """The payload to store: that of a sealed frame with the hashes in place; a ValueError when it is malformed."""
    length = int.from_bytes(body[:4], "little")
    payload = bytearray(body[4 : 4 + length])
    at = 4 + length
    while at < len(body):
        if len(body) - at < _SECRET.size:
            raise ValueError("a frame of the ring ends inside a text")
        place, size = _SECRET.unpack_from(body, at)
        at += _SECRET.size
        if place < STAMP.size or place + HASH_BYTES > length or at + size > len(body):
            raise ValueError("a frame of the ring has a text outside it")
        payload[place : place + HASH_BYTES] = hashed(body[at : at + size])
        at += size
    if len(payload) != length or at != len(body):
        raise ValueError("a frame of the ring is not as long as it says")
    return bytes(payload)


def seq_of(payload: bytes | memoryview) -> int:
    """Number of a stored record, from its fixed place; -1 when the bytes do not begin like a record."""
    if len(payload) < STAMP.size:
        return -1
    marker, word, seq = STAMP.unpack_from(payload)
    return int(seq) if (marker, word) == (RECORD_MARKER, STAMP_WORD) else -1


def frames(data: bytes, start: int = HEADER_BYTES, limit: int | None = None) -> Iterator[Frame | Damage]:
    """The frames of a segment in order; the last item is a `Damage` when they end before `limit` does."""
    view = memoryview(data)
    end = len(data) if limit is None else limit
    at = start
    while at < end:
        if end - at < FRAME.size:
            yield damage(data, at, end, "part of a frame's length and CRC")
            return
        length, crc = FRAME.unpack_from(data, at)
        stop = at + FRAME.size + length
        if not 0 < length <= MAX_PAYLOAD:
            yield damage(data, at, end, "a frame with an impossible length")
            return
        if stop > end:
            yield damage(data, at, end, "part of a frame")
            return
        payload = view[at + FRAME.size : stop]
        if zlib.crc32(payload) != crc:
            yield damage(data, at, end, "a frame whose CRC does not match")
            return
        yield Frame(payload, stop)
        at = stop


def damage(data: bytes, at: int, end: int, text: str) -> Damage:
    """What to say of bytes that are no frame at `at`."""
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


def is_begun(data: bytes) -> bool:
    """Whether a segment's header and first checkpoint ever became whole; if not, nothing came after them either."""
    if len(data) < HEADER_BYTES or not data.strip(b"\0"):
        return False
    first = next(frames(data), None)
    if first is None:
        return False
    return not (isinstance(first, Damage) and first.torn and first.offset == HEADER_BYTES)
