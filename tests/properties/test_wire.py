"""Values that cross as themselves arrive equal and of the same type; hostile fields are errors of the protocol."""

from __future__ import annotations

import datetime as dt
import re
import socket
import struct
import uuid
import zoneinfo
from decimal import Decimal
from typing import Any

import msgpack
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from proxyplane.errors import FrameTooLarge, ProtocolError, ProxyPlaneError
from proxyplane.transport.wire import LEAVES, Channel, Kind, Limits, Tag, decode_body, decode_leaf, encode_int

ZONES = st.one_of(
    st.none(),
    st.integers(-1439, 1439).map(lambda minutes: dt.timezone(dt.timedelta(minutes=minutes))),
    st.sampled_from(["Europe/Berlin", "UTC", "America/Argentina/Buenos_Aires"]).map(zoneinfo.ZoneInfo),
)
LEAF_VALUES = st.one_of(
    st.complex_numbers(allow_nan=False),
    st.builds(range, st.integers(), st.integers(), st.integers().filter(bool)),
    st.dates(),
    st.times(timezones=ZONES),
    st.datetimes(timezones=ZONES, allow_imaginary=True),
    st.timedeltas(),
    ZONES.filter(lambda zone: zone is not None),
    st.decimals(),
    st.uuids(),
    st.sampled_from([re.compile("a+(b)?", re.IGNORECASE), re.compile(b"[^x]", re.DOTALL), re.compile("")]),
)
SCALARS = st.one_of(st.none(), st.booleans(), st.integers(-(2**63), 2**64 - 1), st.floats(), st.text(), st.binary())
ANYTHING = st.recursive(SCALARS, lambda inner: st.lists(inner, max_size=5), max_leaves=12)


def over_the_wire(value: Any) -> Any:
    """What the other end unpacks."""
    return decode_body(msgpack.packb([0, value], unicode_errors="surrogatepass"))[1]


def arrived(value: Any) -> Any:
    """A leaf, encoded, packed, unpacked and decoded."""
    wire = over_the_wire(LEAVES[type(value)](value))
    return decode_leaf(wire[0], wire[1:])


@given(value=LEAF_VALUES)
def test_a_leaf_arrives_as_itself(value: Any):
    """Equal value, exact type, and for times the same zone and fold."""
    found = arrived(value)
    assert type(found) is type(value)
    if isinstance(value, Decimal):
        assert str(found) == str(value)  # a NaN is not equal to itself, and 1.0 is not 1.00
    elif isinstance(value, dt.datetime | dt.time):
        assert found.isoformat() == value.isoformat()
        assert found.fold == value.fold
        assert repr(found.tzinfo) == repr(value.tzinfo)
    else:
        assert found == value
        assert repr(found) == repr(value)


@given(
    value=st.one_of(st.integers(), st.integers(10**30, 10**300).map(lambda n: -n), st.just(2**64), st.just(-(2**63)))
)
def test_an_integer_of_any_length_arrives(value: int):
    """Beyond 64 bits an integer goes as its bytes."""
    wire = over_the_wire(encode_int(value))
    assert (wire if type(wire) is int else decode_leaf(wire[0], wire[1:])) == value


@given(text=st.text(alphabet=st.characters(codec=None)))
def test_every_text_arrives(text: str):
    """Also lone surrogates, which UTF-8 has no form for."""
    assert over_the_wire(text) == text


@given(tag=st.integers(-5, 40), fields=st.lists(ANYTHING, max_size=11))
@settings(max_examples=300)
def test_hostile_fields_end_in_an_error_of_the_protocol(tag: int, fields: list[Any]):
    """Whatever stands behind a tag, decoding gives a value of a known type or a `ProtocolError`; nothing else."""
    try:
        value = decode_leaf(tag, fields)
    except ProtocolError:
        return
    known = (int, complex, range, dt.date, dt.time, dt.timedelta, dt.tzinfo, Decimal, uuid.UUID, re.Pattern, type(None))
    assert isinstance(value, known)


@given(body=st.binary(max_size=300))
@settings(max_examples=300)
def test_hostile_bytes_end_in_an_error_of_the_protocol(body: bytes):
    """Any bytes at all are a frame or a `ProtocolError`."""
    try:
        message = decode_body(body)
    except ProtocolError:
        return
    assert type(message) is list
    assert type(message[0]) is int


@pytest.mark.parametrize("depth", [100, 600, 5000])
def test_deep_nesting_is_no_crash(depth: int):
    """Arrays inside arrays, deeper than any stack, are refused or unpacked; the process lives."""
    try:
        message = decode_body(b"\x92\x01" + b"\x91" * depth + b"\xc0")
    except ProxyPlaneError:
        return
    assert message[0] == 1


def test_an_integer_of_the_wire_is_bounded():
    """More bytes than the limit are no integer."""
    assert decode_leaf(Tag.INT, [b"\x7f" + bytes(Limits().int_bytes - 1)]) > 0
    with pytest.raises(ProtocolError):
        decode_leaf(Tag.INT, [bytes(Limits().int_bytes + 1)])


def test_a_time_zone_key_is_no_path():
    """A key that would lead out of the time zone database is refused."""
    for key in ("../../etc/passwd", "/etc/passwd", "Europe/../../x", "a" * 65, "Europe/Berlin\n"):
        with pytest.raises(ProtocolError):
            decode_leaf(Tag.TIMEZONE, [key])


@given(chunks=st.lists(st.integers(1, 40), min_size=1, max_size=60), frames=st.lists(ANYTHING, min_size=1, max_size=4))
@settings(max_examples=40)
def test_frames_arrive_however_they_are_cut(chunks: list[int], frames: list[Any]):
    """A stream gives the same frames in whatever pieces its bytes come."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        channel = Channel(ours)
        stream = b""
        for frame in frames:
            body = msgpack.packb([Kind.OUTPUT, frame], unicode_errors="surrogatepass")
            stream += struct.pack(">I", len(body)) + body
        at = 0
        for size in [*chunks, len(stream)]:
            theirs.sendall(stream[at : at + size])
            at += size
        for frame in frames:
            assert repr(channel.receive()) == repr([Kind.OUTPUT, frame])


def test_a_frame_beyond_the_limit_is_refused_by_its_length():
    """Four bytes are enough to refuse it: nothing of that size is allocated."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        channel = Channel(ours, frame_bytes=1000)
        theirs.sendall(struct.pack(">I", 1001))
        with pytest.raises(FrameTooLarge):
            channel.receive()
