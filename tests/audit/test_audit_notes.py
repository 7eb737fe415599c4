"""Signed notes: read exactly as they are written, and believed only from a known key."""

from __future__ import annotations

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxyplane.audit import keys, notes
from proxyplane.audit.keys import Signer
from proxyplane.audit.notes import Note, PublicKey, Signature

LOG_ID = bytes(range(16))
ORIGIN = notes.origin_of(LOG_ID)
SIGNER = Signer(ORIGIN, b"\1" * 32, b"\2" * 32)
OTHER = Signer(ORIGIN, b"\3" * 32, b"\2" * 32)


def signed(size: int = 5, root: bytes = b"\7" * 32, signer: Signer = SIGNER) -> Note:
    """A checkpoint of one log."""
    return notes.note_of(ORIGIN, size, root, signer.public.id, signer.sign(size, root))


def test_the_example_of_the_note_format() -> None:
    """The key, key id and signature that the format's first implementation documents are accepted."""
    key = PublicKey.parse("PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW")
    text = b"If you think cryptography is the answer to your problem,\nthen you don't know what your problem is.\n"
    line = "x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM="
    data = base64.b64decode(line)
    assert (key.name, key.id.hex(), data[:4]) == ("PeterNeumann", "c74f20a3", key.id)
    assert keys.check_signature(key.public, data[4:], text)
    assert not keys.check_signature(key.public, data[4:], text + b"\n")


@given(size=st.integers(0, 2**64), root=st.binary(min_size=32, max_size=32))
def test_a_note_comes_back_and_is_signed(size: int, root: bytes) -> None:
    """What is written is read again, and its signature holds for that size and root only."""
    note = signed(size, root)
    assert Note.parse(note.text()) == note
    assert keys.is_signed(note, [SIGNER.public])
    assert not keys.is_signed(note._replace(size=size + 1), [SIGNER.public])
    assert not keys.is_signed(note._replace(root=bytes(31) + b"\1"), [SIGNER.public]) or root == bytes(31) + b"\1"


def test_other_keys_are_not_believed() -> None:
    """An unknown key, no key, another name, and a known key's id under a wrong signature are all refused."""
    note = signed()
    assert not keys.is_signed(note, [])
    assert not keys.is_signed(note, [OTHER.public])
    assert not keys.is_signed(note, [SIGNER.public._replace(name="elsewhere")])
    forged = note._replace(signatures=(Signature(ORIGIN, SIGNER.public.id, OTHER.sign(5, b"\7" * 32)),))
    assert not keys.is_signed(forged, [SIGNER.public, OTHER.public])
    both = note._replace(signatures=(*note.signatures, *signed(signer=OTHER).signatures))
    assert keys.is_signed(both, [SIGNER.public])
    assert keys.is_signed(both, [OTHER.public])
    half = note._replace(signatures=(*note.signatures, *forged.signatures))
    assert not keys.is_signed(half, [SIGNER.public]), "a wrong signature of a known key is never passed over"


def test_a_rotated_key_is_believed_beside_the_old_one() -> None:
    """`log.pub` may name several keys, one on each line; a note of either is signed."""
    both = keys.public_keys(f"{SIGNER.public.line()}\n{OTHER.public.line()}\n".encode())
    assert all(keys.is_signed(signed(signer=signer), both) for signer in (SIGNER, OTHER))


def test_sixteen_signatures_are_read_and_seventeen_are_not() -> None:
    """The number of signatures has a bound, and so has the length of a note."""
    foreign = Signature("witness.example", b"\1\2\3\4", b"s" * 64)
    many = signed()._replace(signatures=(*signed().signatures, *[foreign] * 15))
    assert keys.is_signed(Note.parse(many.text()), [SIGNER.public])
    with pytest.raises(ValueError, match="at most 16"):
        Note.parse(many._replace(signatures=(*many.signatures, foreign)).text())
    with pytest.raises(ValueError, match="at most 16384 bytes"):
        Note.parse(signed()._replace(origin="o" * 20_000).text())


TEXT = signed().text()


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\xff\xfe",
        TEXT[:-1],
        TEXT + b"\n",
        TEXT.replace(b"\n5\n", b"\n05\n"),
        TEXT.replace(b"\n5\n", b"\n-5\n"),
        TEXT.replace(b"\n5\n", "\n\u0665\n".encode()),
        TEXT.replace(b"\n5\n", b"\n5\nextension\n"),
        TEXT.replace(b"BwcH", b"Bwc", 1),
        TEXT.replace(b"BwcH", b"Bw\nH", 1),
        TEXT.replace("\u2014 ".encode(), b"- "),
        TEXT.replace(b"proxyplane.local", b"proxy plane.local"),
        TEXT.replace(b"\n", b"\r\n"),
    ],
)
def test_what_is_not_written_so_is_not_read(data: bytes) -> None:
    """Anything but the one form of a checkpoint is an error, never a guess."""
    with pytest.raises(ValueError):
        Note.parse(data)


@pytest.mark.parametrize(
    "line",
    [
        "",
        "name",
        f"{ORIGIN}+00000000+{base64.b64encode(b'1' * 33).decode()}",
        SIGNER.public.line() + " ",
        SIGNER.public.line().replace("+", "-"),
        PublicKey("with space", bytes(32)).line(),
        PublicKey("name", bytes(31)).line(),
    ],
)
def test_what_is_no_key_is_not_read(line: str) -> None:
    """A verifier key has a name, its own id and 32 bytes."""
    with pytest.raises(ValueError):
        PublicKey.parse(line)


def test_an_origin_names_its_log() -> None:
    """The log's id can be read from its origin, and from no other text."""
    assert notes.log_id_of(ORIGIN) == LOG_ID
    for other in (ORIGIN.upper(), ORIGIN[:-1], "proxyplane.local/" + "0" * 32, "elsewhere/" + ORIGIN):
        with pytest.raises(ValueError):
            notes.log_id_of(other)
