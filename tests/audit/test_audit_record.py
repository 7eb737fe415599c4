"""Records become bytes and come back."""

from __future__ import annotations

import hashlib
import re
import uuid
from pathlib import Path

import msgpack
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from proxyplane.audit import record, segments
from proxyplane.audit.record import FIELDS, Encoder, decode
from proxyplane.errors import AuditCorrupt

DOC = Path(__file__).parents[2] / "docs" / "audit-format.md"
PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.text(max_size=10),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4),
    max_leaves=5,
)
FREE = [name for name in FIELDS if name not in {"v", "seq", "kind", "phase", "verdict", "status"}]


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    fields=st.dictionaries(st.sampled_from(FREE), PLAIN, max_size=6),
    kind=st.sampled_from(sorted(record.KINDS)),
    seq=st.integers(0, 2**64 - 1),
)
def test_what_is_stored_comes_back(fields: dict, kind: str, seq: int) -> None:
    """Any record of plain values is decoded to itself, with `v` and `seq` first."""
    given_fields = {"kind": kind, **fields}
    payload = Encoder().encode(given_fields, seq)
    expected = {"v": 1, "seq": seq, **given_fields}
    assert decode(payload) == expected
    assert list(decode(payload))[:2] == ["v", "seq"]


@given(seq=st.integers(0, 2**64 - 1), extra=st.integers(0, 30))
def test_the_number_has_a_fixed_place(seq: int, extra: int) -> None:
    """The sequence number of a record of any size is bytes 7 to 14 of its payload."""
    payload = Encoder().encode({"kind": "effect", **dict.fromkeys(FREE[:extra], "x")}, seq)
    assert int.from_bytes(payload[7:15], "big") == segments.seq_of(payload) == seq


def test_names_and_numbers_store_the_same() -> None:
    """A record by JSON names and one by integer keys give the same bytes, and neither is changed."""
    by_name = {"kind": "effect", "verb": "call", "status": "ok"}
    by_number = {record.KIND: "effect", record.VERB: "call", record.STATUS: "ok"}
    encode = Encoder().encode
    assert encode(by_name, 5) == encode(by_number, 5)
    assert by_number == {record.KIND: "effect", record.VERB: "call", record.STATUS: "ok"}


def test_module_constants_are_the_field_table() -> None:
    """Each field has a constant of its name in capitals, and no key is used twice."""
    assert {name: getattr(record, name.upper()) for name in FIELDS} == FIELDS
    assert len(set(FIELDS.values())) == len(FIELDS)


def test_identifiers_read_as_uuid_and_digests_as_hex() -> None:
    """Decoding shows ids as UUID text and every other byte string as hex, also inside maps and lists."""
    ident = uuid.uuid4()
    fields = {"kind": "effect", "id": ident.bytes, "span": b"\1" * 8, "policy": {"digest": b"\2"}, "args": [b"\3"]}
    shown = decode(Encoder().encode(fields, 0))
    assert (shown["id"], shown["span"]) == (str(ident), "01" * 8)
    assert (shown["policy"], shown["args"]) == ({"digest": "02"}, ["03"])


@pytest.mark.parametrize(
    ("fields", "text"),
    [
        ({"kind": "effect", "verbs": 1}, 'did you mean "verb"'),
        ({"kind": "effect", 99: 1}, "unknown record field 99"),
        ({"kind": "effect", "seq": 3}, "stamped by the log"),
        ({"kind": "effect", record.V: 1}, "stamped by the log"),
        ({"kind": "effect", record.KIND: "effect"}, "given twice"),
        ({"verb": "call"}, "'kind' must be one of"),
        ({"kind": "effect", "phase": "later"}, "'phase' must be one of"),
        ({"kind": "effect", "verdict": "perhaps"}, "'verdict' must be one of"),
        ({"kind": "effect", "status": "fine"}, "'status' must be one of"),
        ({"kind": "effect", "member": "x" * record.MAX_RECORD}, "at most 1048576 bytes"),
    ],
)
def test_what_is_not_schema_1_is_refused(fields: dict, text: str) -> None:
    """A field or word that schema 1 does not have is a ValueError that names it."""
    with pytest.raises(ValueError, match=re.escape(text)):
        Encoder().encode(fields, 0)


def test_a_value_without_stored_form_is_named_by_field_only() -> None:
    """An object in a record is a TypeError that tells field and type and nothing of the value."""

    class Secret:
        def __repr__(self) -> str:
            return "123-45-6789"

    encoder = Encoder()
    with pytest.raises(TypeError, match=r"'member' of type .*Secret") as caught:
        encoder.encode({"kind": "effect", "member": Secret()}, 0)
    assert "123-45" not in str(caught.value)
    deep: list = []
    for _ in range(5000):
        deep = [deep]
    with pytest.raises(TypeError, match="'args' of type list"):
        encoder.encode({"kind": "effect", "args": deep}, 0)
    assert decode(encoder.encode({"kind": "effect"}, 1)) == {"v": 1, "seq": 1, "kind": "effect"}


def test_hostile_text_and_numbers_do_not_stop_a_record() -> None:
    """Lone surrogates, integers beyond 64 bits and sets are stored in a readable form."""
    fields = {"kind": "effect", "member": "a\ud800b", "result": {"rows": 10**5000}, "matched": {"b", "a"}}
    shown = decode(Encoder().encode(fields, 0))
    assert (shown["member"], shown["matched"]) == ("a\\ud800b", ["a", "b"])
    assert int(shown["result"]["rows"], 16) == 10**5000


@pytest.mark.parametrize(
    "payload",
    [
        b"\xc1",
        b"\x01",
        msgpack.packb({0: 2, 1: 0, 2: "effect"}),
        msgpack.packb({0: 1, 1: 0, 2: "effect", 77: 1}),
        msgpack.packb({0: 1, 1: 0, 2: "other"}),
        msgpack.packb({0: 1, 1: "0", 2: "effect"}),
        msgpack.packb({0: 1, 1: 0, 2: "effect", 3: "later"}),
    ],
)
def test_stored_bytes_of_another_schema_are_refused(payload: bytes) -> None:
    """What is not a record of schema 1 is never decoded to something."""
    with pytest.raises(AuditCorrupt):
        decode(payload)


def test_the_document_has_the_same_fields_and_words() -> None:
    """`docs/audit-format.md` lists exactly the keys, fields and closed words of `record.py`."""
    text = DOC.read_text(encoding="utf-8")
    rows = re.findall(r"^\| (\d+) \| `(\w+)` \|", text, re.MULTILINE)
    assert {name: int(key) for key, name in rows} == FIELDS
    enums = {
        name: set(re.findall(r"`([\w.]+)`", words))
        for name, words in re.findall(r"^\| `(\w+)` \| (`.*`) \|$", text, re.MULTILINE)
    }
    closed = {"kind": record.KINDS, "phase": record.PHASES, "verdict": record.VERDICTS, "status": record.STATUSES}
    assert enums == {name: set(words) for name, words in closed.items()}
    assert f"{segments.SEGMENT_BYTES:,}" in text
    assert f"{segments.MAX_PAYLOAD:,}" in text


def hashed(text: bytes) -> bytes:
    """Stands in for the writer's keyed hash."""
    return hashlib.sha256(text).digest()


@given(texts=st.lists(st.text(max_size=80), max_size=5), seq=st.integers(0, 2**64 - 1))
def test_sensitive_texts_travel_beside_the_record(texts: list[str], seq: int) -> None:
    """A record with sensitive texts, framed for the writer and opened there, holds their hashes in their places."""
    encoder = Encoder()
    payload = encoder.encode({"kind": "effect", "args": [record.Hashed(text) for text in texts]}, seq)
    assert len(encoder.secrets) == len(texts)
    if not texts:
        return
    frame = segments.sealed_frame(payload, encoder.secrets)
    length = segments.FRAME.unpack_from(frame)[0]
    assert length & segments.SECRETS
    opened = segments.unsealed(frame[segments.FRAME.size :], hashed)
    assert len(opened) == len(payload)
    expected = [hashed(item.text).hex() for item in map(record.Hashed, texts)]
    assert decode(opened) == {"v": 1, "seq": seq, "kind": "effect", "args": expected}


@given(
    body=st.binary(max_size=200)
    | st.builds(lambda n, rest: n.to_bytes(4, "little") + rest, st.integers(0, 99), st.binary())
)
def test_hostile_bytes_for_the_writer_are_an_error(body: bytes) -> None:
    """Whatever a host puts where texts should be, it is a record of the length it says or a ValueError."""
    try:
        opened = segments.unsealed(body, hashed)
    except ValueError:
        return
    assert len(opened) == int.from_bytes(body[:4], "little")


def test_shared_fields_hold_no_sensitive_text() -> None:
    """A prefix is packed once and would show the same placeholder again."""
    with pytest.raises(ValueError, match="no sensitive text"):
        Encoder().prefix({"kind": "effect", "member": record.Hashed("x")})
