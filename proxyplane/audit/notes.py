"""Checkpoints as text: C2SP signed notes (`signed-note`, `tlog-checkpoint`) with Ed25519 signatures.

    proxyplane.local/0190a1b2-...       origin: the log's name, which is also its key's name
    1024                                records in the tree
    nJ2...=                             root hash, base64
                                        (an empty line)
    — proxyplane.local/0190a1b2-... kZ...=      key id (4 bytes) and signature, base64

Standard library only and no sibling imports: the log-writer process runs this. Signatures are made and checked by
`keys`.
"""

from __future__ import annotations

import base64
import binascii
from hashlib import sha256
from typing import Final, NamedTuple

__all__ = ["MOST_SIGNATURES", "Note", "PublicKey", "Signature", "body_of", "note_of", "origin_of"]

MOST_SIGNATURES: Final = 16
"""What an implementation must at least accept, and this one does at most."""
MOST_BYTES: Final = 16_384
_ED25519: Final = b"\1"
_DASH: Final = "\u2014 "
_ROOT_BYTES: Final = 32


class PublicKey(NamedTuple):
    """A verifier key: a name and an Ed25519 public key."""

    name: str
    public: bytes
    """32 bytes."""

    @property
    def id(self) -> bytes:
        """4 bytes that stand beside each signature: a hint which key to try, no proof."""
        return sha256(self.name.encode() + b"\n" + _ED25519 + self.public).digest()[:4]

    def line(self) -> str:
        """The key as one line of text, `NAME+ID+KEY`."""
        return f"{self.name}+{self.id.hex()}+{base64.b64encode(_ED25519 + self.public).decode()}"

    @classmethod
    def parse(cls, line: str) -> PublicKey:
        """From its line; a ValueError says what is wrong."""
        name, _, rest = line.partition("+")
        named, _, text = rest.partition("+")
        data = _decoded(text)
        key = cls(name, data[1:])
        if len(data) != 1 + 32 or data[:1] != _ED25519 or key.line() != line or not _is_name(name):
            raise ValueError(f"not an Ed25519 verifier key with the id {named!a}")
        return key


class Signature(NamedTuple):
    """One signature line."""

    name: str
    key: bytes
    """4 bytes: id of the key."""
    signature: bytes

    def line(self) -> str:
        """With its line feed."""
        return f"{_DASH}{self.name} {base64.b64encode(self.key + self.signature).decode()}\n"


class Note(NamedTuple):
    """A signed checkpoint: so many records with this root."""

    origin: str
    size: int
    root: bytes
    signatures: tuple[Signature, ...]

    def body(self) -> bytes:
        """What is signed."""
        return body_of(self.origin, self.size, self.root)

    def text(self) -> bytes:
        """The whole note."""
        return self.body() + b"\n" + "".join(item.line() for item in self.signatures).encode()

    @classmethod
    def parse(cls, data: bytes) -> Note:
        """From its bytes; a ValueError says what is wrong. Signatures are not checked here."""
        if len(data) > MOST_BYTES:
            raise ValueError(f"a note takes at most {MOST_BYTES} bytes, this one {len(data)}")
        try:
            text = data.decode("utf-8")
        except UnicodeDecodeError:
            raise ValueError("a note is UTF-8 text") from None
        head, found, tail = text.rpartition("\n\n")
        lines = head.split("\n")
        if not found or len(lines) != 3:
            raise ValueError("a checkpoint is origin, size and root, an empty line, and signatures")
        origin, size, root = lines[0], lines[1], _decoded(lines[2])
        if not _is_name(origin) or not size.isascii() or not size.isdigit() or str(int(size)) != size:
            raise ValueError("a checkpoint begins with an origin and a decimal size")
        if len(root) != _ROOT_BYTES:
            raise ValueError("a root hash has 32 bytes")
        note = cls(origin, int(size), root, tuple(_signatures(tail)))
        if note.text() != data:
            raise ValueError("a note that is not written as its parts are")
        return note


def _signatures(tail: str) -> list[Signature]:
    if not tail.endswith("\n"):
        raise ValueError("a note ends with a line feed")
    lines = tail[:-1].split("\n")
    if len(lines) > MOST_SIGNATURES:
        raise ValueError(f"a note has at most {MOST_SIGNATURES} signatures, this one {len(lines)}")
    found = []
    for line in lines:
        dash, name, text = line[:2], *line[2:].partition(" ")[::2]
        data = _decoded(text)
        if dash != _DASH or not _is_name(name) or len(data) <= 4:
            raise ValueError("not a signature line")
        found.append(Signature(name, data[:4], data[4:]))
    return found


def origin_of(log_id: bytes) -> str:
    """The origin, and key name, of the log with this id."""
    text = log_id.hex()
    return f"proxyplane.local/{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"


def log_id_of(origin: str) -> bytes:
    """The id of the log with this origin; a ValueError when it is not one of ours."""
    found = bytes.fromhex(origin.removeprefix("proxyplane.local/").replace("-", ""))
    if len(found) != 16 or origin_of(found) != origin:
        raise ValueError("not the origin of a proxyplane log")
    return found


def body_of(origin: str, size: int, root: bytes) -> bytes:
    """The text that is signed: three lines."""
    return f"{origin}\n{size}\n{base64.b64encode(root).decode()}\n".encode()


def note_of(origin: str, size: int, root: bytes, key: bytes, signature: bytes) -> Note:
    """The note with one signature of the log itself."""
    return Note(origin, size, root, (Signature(origin, key, signature),))


def _is_name(name: str) -> bool:
    return bool(name) and "+" not in name and not any(character.isspace() for character in name)


def _decoded(text: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise ValueError("not base64") from None
