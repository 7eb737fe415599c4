"""The log's two secrets, and what their public half is good for.

`ed25519` signs checkpoints, `hmac` hides texts that a record may only compare. Both lie in a folder that the
log-writer process alone opens; the host never sees them. Whoever has them can rewrite the log since its last anchor.

Runs in the log-writer process: the standard library and, for signatures, `cryptography`.
"""

from __future__ import annotations

import hmac
import os
from collections.abc import Iterable
from hashlib import sha256
from typing import Any, Final

from proxyplane.audit import notes
from proxyplane.audit.notes import Note, PublicKey
from proxyplane.audit.storage import Storage

__all__ = ["PUBLIC_NAME", "Signer", "hashed", "is_signed", "public_keys"]

PUBLIC_NAME: Final = "log.pub"
SIGNING_NAME: Final = "ed25519"
HMAC_NAME: Final = "hmac"
_SECRET_BYTES: Final = 32
_SIGNATURE_BYTES: Final = 64


class Signer:
    """Signs checkpoints of one log and hashes its sensitive texts.

    Args:
        origin: the log's name.
        signing: the Ed25519 seed, 32 bytes.
        secret: the HMAC key, 32 bytes.
    """

    __slots__ = ("_key", "_secret", "origin", "public")

    def __init__(self, origin: str, signing: bytes, secret: bytes) -> None:
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey  # noqa: PLC0415 - 15 ms

        self._key = Ed25519PrivateKey.from_private_bytes(signing)
        self._secret = secret
        self.origin = origin
        self.public = PublicKey(origin, self._key.public_key().public_bytes_raw())

    def sign(self, size: int, root: bytes) -> bytes:
        """Signature of the checkpoint with this size and root."""
        return bytes(self._key.sign(notes.body_of(self.origin, size, root)))

    def hashed(self, text: bytes) -> bytes:
        """HMAC-SHA-256 of a sensitive text."""
        return hashed(self._secret, text)

    @classmethod
    def make(cls, storage: Storage, origin: str) -> Signer:
        """The keys of a new log, made where there are none yet."""
        made = False
        for name in (SIGNING_NAME, HMAC_NAME):
            if storage.read_key(name) is None:
                storage.create_key(name, os.urandom(_SECRET_BYTES))
                made = True
        if made:
            storage.sync_keys()
        signer = cls.load(storage, origin)
        assert signer is not None
        return signer

    @classmethod
    def load(cls, storage: Storage, origin: str) -> Signer | None:
        """The keys of a log that exists; None when one of them is missing or has not its size."""
        signing, secret = storage.read_key(SIGNING_NAME), storage.read_key(HMAC_NAME)
        if signing is None or secret is None or (len(signing), len(secret)) != (_SECRET_BYTES, _SECRET_BYTES):
            return None
        return cls(origin, signing, secret)


def hashed(secret: bytes, text: bytes) -> bytes:
    """HMAC-SHA-256."""
    return hmac.digest(secret, text, sha256)


def public_keys(text: bytes) -> list[PublicKey]:
    """The keys of a `log.pub` file, one on each line; a ValueError says what is wrong."""
    try:
        lines = text.decode("ascii").split("\n")
    except UnicodeDecodeError:
        raise ValueError("the file log.pub is not text") from None
    if len(lines) < 2 or lines.pop():
        raise ValueError("the file log.pub is not one key on each line")
    return [PublicKey.parse(line) for line in lines]


def is_signed(note: Note, keys: Iterable[PublicKey]) -> bool:
    """Whether one of these keys signed the note, and none of them is said to have and has not."""
    known = {(key.name, key.id): key for key in keys if key.name == note.origin}
    good = False
    for item in note.signatures:
        key = known.get((item.name, item.key))
        if key is not None:
            if not check_signature(key.public, item.signature, note.body()):
                return False
            good = True
    return good


_loaded: dict[bytes, Any] = {}
"""Public keys that were used, ready for use again."""


def check_signature(public: bytes, signature: bytes, body: bytes) -> bool:
    """Whether it is an Ed25519 signature of the body."""
    from cryptography.exceptions import InvalidSignature  # noqa: PLC0415
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey  # noqa: PLC0415

    if len(signature) != _SIGNATURE_BYTES:
        return False
    key = _loaded.get(public)
    if key is None:
        try:
            key = _loaded[public] = Ed25519PublicKey.from_public_bytes(public)
        except ValueError:
            return False
    try:
        key.verify(signature, body)
    except InvalidSignature:
        return False
    return True
