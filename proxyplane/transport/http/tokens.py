"""Tokens: who may ask for what. Each belongs to a principal and has one role.

    [[token]]
    role = "agent"              # works on objects, in sessions of its own
    principal = "agent"         # rules and budgets go by it
    secret = "ppa-..."

    [[token]]
    role = "reader"             # reads the log
    ...

`approver` answers questions, and reads the log. Its secret must not be where an agent can read it, so it never stands
in the file of the agents' tokens: it has a file of its own, or is shown once on the terminal of the server.
"""

from __future__ import annotations

import hashlib
import os
import secrets
import stat
import tomllib
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final, NamedTuple

__all__ = ["ROLES", "Principal", "TokenError", "Tokens", "load", "made"]

AGENT: Final = "agent"
APPROVER: Final = "approver"
READER: Final = "reader"
ROLES: Final = (AGENT, APPROVER, READER)
_LEAST_CHARS: Final = 24
_MOST_CHARS: Final = 200
_HEAD: Final = """# Tokens of `proxyplane serve`: who may ask for what. Keep this file to yourself (0600).
# role: agent (works on objects), reader (reads the log), approver (answers questions; in a file of its own)
"""


class TokenError(ValueError):
    """A token file that cannot be used; the text says why, and holds no secret."""


class Principal(NamedTuple):
    """Who asks, and as what."""

    name: str
    role: str


class Tokens:
    """Known secrets, kept as digests."""

    def __init__(self) -> None:
        self._known: dict[bytes, Principal] = {}

    def add(self, principal: Principal, secret: str) -> None:
        """Let this secret stand for a principal.

        Raises:
            TokenError: it is too short, or stands for somebody already.
        """
        if not _LEAST_CHARS <= len(secret) <= _MOST_CHARS or not secret.isascii() or not secret.isprintable():
            raise TokenError(f"a secret is {_LEAST_CHARS} to {_MOST_CHARS} printable ASCII characters")
        if principal.role not in ROLES:
            raise TokenError(f"a role is one of {', '.join(ROLES)}; got {principal.role!r}")
        if not 0 < len(principal.name) <= 100 or not principal.name.isprintable():
            raise TokenError("a principal is a name of 1 to 100 printable characters")
        digest = _digest(secret)
        if digest in self._known:
            raise TokenError(f"the secret of {principal.name!r} stands for {self._known[digest].name!r} already")
        self._known[digest] = principal

    def find(self, secret: str) -> Principal | None:
        """Who a secret stands for. The search is for a digest, so its time tells nothing of other secrets."""
        return self._known.get(_digest(secret[:_MOST_CHARS]))

    def of(self, role: str) -> list[Principal]:
        """Principals of a role."""
        return [principal for principal in self._known.values() if principal.role == role]


def _digest(secret: str) -> bytes:
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).digest()


def made(role: str) -> str:
    """A new secret of 256 bits."""
    return f"pp{role[0] if role != APPROVER else 'p'}-{secrets.token_urlsafe(32)}"


def load(path: Path, tokens: Tokens, *, fresh: Iterable[Principal], approvers: bool = False) -> bool:
    """Read a token file; where there is none, make it (0600) with new secrets.

    Args:
        path: the file.
        tokens: to which they are added.
        fresh: principals of a file that is made.
        approvers: it is the file of approvers, and may hold nothing else.

    Returns:
        Whether it was made.

    Raises:
        TokenError: others can read it, or it says something else than tokens.
        OSError: it cannot be read or made.
    """
    try:
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    except FileExistsError:
        for principal, secret in _read(path, approvers):
            tokens.add(principal, secret)
        return False
    parts = [_HEAD]
    for principal in fresh:
        secret = made(principal.role)
        tokens.add(principal, secret)
        name = principal.name.replace("\\", "\\\\").replace('"', '\\"')
        parts.append(f'\n[[token]]\nrole = "{principal.role}"\nprincipal = "{name}"\nsecret = "{secret}"\n')
    with open(handle, "w", encoding="utf-8") as file:
        file.write("".join(parts))
    return True


def _read(path: Path, approvers: bool) -> list[tuple[Principal, str]]:
    with open(path, "rb") as file:
        status = os.fstat(file.fileno())
        if not stat.S_ISREG(status.st_mode) or status.st_mode & 0o077 or status.st_uid not in (0, os.getuid()):
            raise TokenError(f"{path} can be read by others; chmod 600 it, and make new secrets if they may have been")
        try:
            content = tomllib.load(file)
        except (tomllib.TOMLDecodeError, UnicodeDecodeError):
            raise TokenError(f"{path} is not TOML; remove it to have a new one made") from None
    entries = content.get("token")
    if type(entries) is not list or not entries or set(content) != {"token"}:
        raise TokenError(f"{path} holds no [[token]] tables; remove it to have a new one made")
    return [_entry(path, number, entry, approvers) for number, entry in enumerate(entries, start=1)]


def _entry(path: Path, number: int, entry: Any, approvers: bool) -> tuple[Principal, str]:
    fields = ("role", "principal", "secret")
    if type(entry) is not dict or set(entry) != set(fields) or not all(type(entry[name]) is str for name in fields):
        raise TokenError(f"{path}, token {number}: expected the texts role, principal and secret, and nothing else")
    if (entry["role"] == APPROVER) is not approvers:
        where = "only approvers' tokens" if approvers else "no approver's token, which an agent could read there"
        raise TokenError(f"{path}, token {number}: this file holds {where}; see --approver-token-file")
    return Principal(entry["principal"], entry["role"]), entry["secret"]
