"""The wire between a guest and its host: frames, tags, and the values that cross as themselves.

Both ends run this file, so it imports the standard library, msgpack and the error tree only. The protocol is
written down in `docs/protocol.md`. Everything that arrives at the host is hostile bytes: lengths are checked
before anything is allocated, msgpack extension types are not used, depth is bounded by the walk that decodes.
"""

from __future__ import annotations

import datetime as dt
import re
import socket
import struct
import time
import uuid
import zoneinfo
from collections.abc import Callable
from decimal import Decimal
from typing import Any, Final, NamedTuple

import msgpack

from proxyplane.errors import FrameTooLarge, GuestTimeout, ProtocolError, TooDeep, UnknownType

SPINS: Final = 60
"""Looks of about a microsecond each: less than it takes to be woken on another core."""

__all__ = ["FILES", "LEAVES", "MODULES", "PROTOCOL", "Channel", "Limits", "Tag", "decode_leaf", "leaf_encoder"]

PROTOCOL: Final = 1

FILES: Final = "[fs]"
"""The name, which no variable can have, under which BIND gives a guest its files."""

MODULES: Final = "[modules]"
"""The same for the shelf of granted modules that wait for their first import, and their names."""


class Kind:
    """First element of every frame."""

    HELLO: Final = 1
    REQUEST: Final = 2
    OUTPUT: Final = 3
    DONE: Final = 4
    RESULT: Final = 5
    ERROR: Final = 6
    RUN: Final = 7
    CALLBACK: Final = 8
    BIND: Final = 9
    FETCH: Final = 10
    FORGET: Final = 11


class Tag:
    """First element of every array that stands for a value. Scalars of msgpack stand for themselves."""

    LIST: Final = 0
    TUPLE: Final = 1
    DICT: Final = 2
    SET: Final = 3
    FROZENSET: Final = 4
    SLICE: Final = 5
    INT: Final = 6
    COMPLEX: Final = 7
    RANGE: Final = 8
    DATE: Final = 9
    TIME: Final = 10
    DATETIME: Final = 11
    TIMEDELTA: Final = 12
    DECIMAL: Final = 13
    UUID: Final = 14
    PATTERN: Final = 15
    SINGLETON: Final = 16
    TIMEZONE: Final = 17
    REF: Final = 20
    VALUE_REF: Final = 21
    TYPE: Final = 22
    MODULE: Final = 23
    FUNCTION: Final = 24
    CALLABLE: Final = 25
    BOUND: Final = 26
    TOKEN: Final = 27
    RECORD: Final = 28
    BUILTIN: Final = 29


class Limits(NamedTuple):
    """Bounds on what one guest may send or hold, each with its reason."""

    frame_bytes: int = 16 << 20
    """A guest cannot make the host allocate more than this for one frame."""
    depth: int = 32
    """The walk over a value recurses; deeper nesting than this has no honest use."""
    int_bytes: int = 4096
    """Arithmetic on huge integers is quadratic or worse."""
    handles: int = 500_000
    """Live references of one session: each keeps a host object alive."""
    callables: int = 10_000
    """Guest functions that the host may hold at one time."""
    callbacks: int = 16
    """Nested callbacks: each nests a stack frame of a host library."""
    operations: int = 5_000_000
    """Operations of one run."""
    output_chars: int = 1 << 20
    """Characters of standard output, and of standard error, kept of one run."""
    name_chars: int = 512
    """Length of a member's name."""


_LENGTH = struct.Struct(">I")


def decode_body(body: memoryview | bytes) -> list[Any]:
    """The array of one frame.

    Raises:
        ProtocolError: the bytes are not one msgpack array with a leading integer.
    """
    try:
        message = msgpack.unpackb(body, raw=False, strict_map_key=False, unicode_errors="surrogatepass")
    except RecursionError:
        raise TooDeep("a frame is nested too deeply") from None
    except Exception as error:  # msgpack raises ValueError, TypeError, StackError, ExtraData, FormatError ...
        raise ProtocolError(f"a frame is not valid msgpack ({type(error).__name__})") from None
    if type(message) is not list or not message or type(message[0]) is not int:
        raise ProtocolError("a frame is not an array that begins with its kind")
    return message


class Channel:
    """One end of the framed stream socket between guest and host.

    Args:
        sock: a connected stream socket; the channel owns it.
        frame_bytes: longest frame that is accepted.
    """

    def __init__(self, sock: socket.socket, *, frame_bytes: int = Limits().frame_bytes) -> None:
        self._sock = sock
        self._limit = frame_bytes
        self._pack: Callable[[Any], bytes] = msgpack.Packer(use_bin_type=True, unicode_errors="surrogatepass").pack
        self._buffer = bytearray(1 << 16)
        self._view = memoryview(self._buffer)
        self._start = 0
        self._end = 0
        self._fills = 0
        self._misses = 0
        self._left_out = 0
        self.spins = 0
        """How often to look for bytes before sleeping. Never on a machine where both ends share their only core."""
        self.deadline: float | None = None
        """Monotonic seconds after which `receive` and `send` raise `GuestTimeout`."""

    def tick(self, seconds: float) -> None:
        """Wake blocked system calls this often, so that the deadline is seen without a poll per frame."""
        interval = struct.pack("ll", int(seconds), int(seconds % 1 * 1_000_000))
        self._sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, interval)
        self._sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, interval)

    def _late(self) -> bool:
        return self.deadline is not None and time.monotonic() >= self.deadline

    def send(self, message: list[Any]) -> None:
        """Write one frame.

        Raises:
            EOFError: the other end is gone.
            GuestTimeout: the deadline passed before the other end took it.
        """
        body = self._pack(message)
        data = _LENGTH.pack(len(body)) + body
        try:
            sent = self._sock.send(data)
        except BlockingIOError:
            sent = 0
        except OSError:
            raise EOFError("the other end of the guest socket is gone") from None
        if sent != len(data):
            self._send_rest(memoryview(data)[sent:])

    def _send_rest(self, rest: memoryview) -> None:
        while rest:
            if self._late():
                raise GuestTimeout("the guest did not read what it was sent in time")
            try:
                rest = rest[self._sock.send(rest) :]
            except BlockingIOError:
                continue
            except OSError:
                raise EOFError("the other end of the guest socket is gone") from None

    def receive(self) -> list[Any]:
        """Read one frame.

        Raises:
            EOFError: the other end is gone, also in the middle of a frame.
            FrameTooLarge, ProtocolError: the bytes break the protocol.
            GuestTimeout: the deadline passed.
        """
        while True:
            have = self._end - self._start
            need = 4
            if have >= 4:
                (length,) = _LENGTH.unpack_from(self._buffer, self._start)
                if length > self._limit:
                    raise FrameTooLarge(f"a frame of {length} bytes; the limit is {self._limit}")
                need += length
                if have >= need:
                    begin = self._start + 4
                    self._start += need
                    return decode_body(self._view[begin : self._start])
            self._fill(need)

    def _make_room(self, need: int) -> None:
        kept = bytes(self._view[self._start : self._end])
        if need > len(self._buffer):
            self._buffer = bytearray(need + 4096)
            self._view = memoryview(self._buffer)
        self._view[: len(kept)] = kept
        self._start, self._end = 0, len(kept)

    def _fill(self, need: int) -> None:
        if self._start == self._end:
            self._start = self._end = 0
        if self._start + need > len(self._buffer):
            self._make_room(need)
        view = self._view[self._end :] if self._end else self._view
        while True:
            try:
                count = (self._spin(view) if self.spins else 0) or self._sock.recv_into(view)
            except BlockingIOError:
                if self._late():
                    raise GuestTimeout("time is up") from None
                continue
            except OSError:
                raise EOFError("the other end of the guest socket is gone") from None
            if not count:
                raise EOFError("the other end of the guest socket is gone")
            self._end += count
            self._fills += 1
            if not self._fills & 63 and self._late():  # a guest that never stops sending
                raise GuestTimeout("time is up")
            return

    def _spin(self, view: memoryview) -> int:
        """Look again and again for a short while before sleeping: to be woken takes longer than most answers.

        After a look in vain the next ones are left out, twice as many each time, so that a guest that computes, or a
        busy machine, costs nothing.
        """
        if self._left_out:
            self._left_out -= 1
            return 0
        receive = self._sock.recv_into
        for _ in range(self.spins):
            try:
                count = receive(view, 0, socket.MSG_DONTWAIT)
            except BlockingIOError:
                continue
            if count:
                self._misses = 0
            return count
        self._misses = min(self._misses + 1, 6)
        self._left_out = (1 << self._misses) - 1
        return 0

    def fileno(self) -> int:
        """The socket's descriptor."""
        return self._sock.fileno()

    def close(self) -> None:
        """Close the socket; idempotent."""
        self._sock.close()


# Values that cross as themselves and are not msgpack scalars. Each has an exact type, a tag and two functions.

_ZONE_KEY = re.compile(r"[A-Za-z0-9_+\-]+(/[A-Za-z0-9_+\-]+){0,3}")


def _encode_zone(zone: dt.tzinfo | None) -> Any:
    if zone is None:
        return None
    if type(zone) is dt.timezone:
        return zone.utcoffset(None) // dt.timedelta(microseconds=1)
    if type(zone) is zoneinfo.ZoneInfo and zone.key:
        return zone.key
    raise UnknownType(f"a time zone of type {type(zone).__name__} cannot cross; use datetime.timezone or zoneinfo")


def _decode_zone(zone: Any) -> dt.tzinfo | None:
    if zone is None:
        return None
    if type(zone) is int:
        return dt.timezone(dt.timedelta(microseconds=zone))
    if type(zone) is str and len(zone) <= 64 and _ZONE_KEY.fullmatch(zone):
        return zoneinfo.ZoneInfo(zone)
    raise ProtocolError("a time zone is neither an offset nor a key")


def _decode_int(text: bytes) -> int:
    if type(text) is not bytes or len(text) > Limits().int_bytes:
        raise ProtocolError("a long integer is not bytes within the limit")
    return int.from_bytes(text, "big", signed=True)


def _decode_range(start: int, stop: int, step: int) -> range:
    if not all(type(x) is int for x in (start, stop, step)):
        raise ProtocolError("a range of something else than integers")
    return range(start, stop, step)


def _decode_pattern(pattern: Any, flags: int) -> re.Pattern[Any]:
    if type(pattern) not in (str, bytes) or type(flags) is not int:
        raise ProtocolError("a pattern is not text and flags")
    return re.compile(pattern, flags)


def _long(value: int) -> list[Any]:
    return [Tag.INT, value.to_bytes(value.bit_length() // 8 + 1, "big", signed=True)]


def encode_int(value: int) -> Any:
    """An integer: itself when msgpack can hold it, else its two's complement bytes."""
    return value if -(1 << 63) <= value < 1 << 64 else _long(value)


LEAVES: Final[dict[type, Callable[[Any], Any]]] = {
    complex: lambda v: [Tag.COMPLEX, v.real, v.imag],
    range: lambda v: [Tag.RANGE, encode_int(v.start), encode_int(v.stop), encode_int(v.step)],
    dt.date: lambda v: [Tag.DATE, v.year, v.month, v.day],
    dt.time: lambda v: [Tag.TIME, v.hour, v.minute, v.second, v.microsecond, _encode_zone(v.tzinfo), v.fold],
    dt.datetime: lambda v: [
        Tag.DATETIME, v.year, v.month, v.day, v.hour, v.minute, v.second, v.microsecond, _encode_zone(v.tzinfo), v.fold,
    ],
    dt.timedelta: lambda v: [Tag.TIMEDELTA, v.days, v.seconds, v.microseconds],
    dt.timezone: lambda v: [Tag.TIMEZONE, _encode_zone(v)],
    zoneinfo.ZoneInfo: lambda v: [Tag.TIMEZONE, _encode_zone(v)],
    Decimal: lambda v: [Tag.DECIMAL, str(v)],
    uuid.UUID: lambda v: [Tag.UUID, v.bytes],
    re.Pattern: lambda v: [Tag.PATTERN, v.pattern, v.flags],
    bytearray: bytes,
}  # fmt: skip
"""Exact type -> encoder. `int` is not here: it is a msgpack scalar unless it is long (`encode_int`)."""

_DECODERS: Final[dict[int, Callable[..., Any]]] = {
    Tag.INT: _decode_int,
    Tag.COMPLEX: complex,
    Tag.RANGE: _decode_range,
    Tag.DATE: dt.date,
    Tag.TIME: lambda h, m, s, u, z, f: dt.time(h, m, s, u, _decode_zone(z), fold=f),
    Tag.DATETIME: lambda y, mo, d, h, m, s, u, z, f: dt.datetime(y, mo, d, h, m, s, u, _decode_zone(z), fold=f),
    Tag.TIMEDELTA: lambda d, s, u: dt.timedelta(days=d, seconds=s, microseconds=u),
    Tag.TIMEZONE: _decode_zone,
    Tag.DECIMAL: lambda text: Decimal(text[:4300]),
    Tag.UUID: lambda raw: uuid.UUID(bytes=raw),
    Tag.PATTERN: _decode_pattern,
}


def leaf_encoder(kind: type) -> Callable[[Any], Any] | None:
    """The encoder for values of exactly this type, or None."""
    return LEAVES.get(kind)


def decode_leaf(tag: int, fields: list[Any]) -> Any:
    """The value of a tagged leaf.

    Args:
        tag: one of the leaf tags.
        fields: what followed the tag in its array.

    Raises:
        UnknownType: no leaf has this tag.
        ProtocolError: the fields do not make a value.
    """
    decoder = _DECODERS.get(tag)
    if decoder is None:
        raise UnknownType(f"no value has the tag {tag}")
    # A range that holds long integers carries them as tagged arrays.
    plain = [_decode_int(x[1]) if type(x) is list and len(x) == 2 and x[0] == Tag.INT else x for x in fields]
    try:
        return decoder(*plain)
    except ProtocolError:
        raise
    except Exception as error:  # wrong number, type or range of fields, unknown zone, bad pattern
        raise ProtocolError(f"the fields of a value with tag {tag} do not fit ({type(error).__name__})") from None
