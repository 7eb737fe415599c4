"""Schema 1 of the effect record: which fields exist, how a record becomes bytes and comes back.

A record is a dict. Its keys are either the JSON names (`{"kind": "effect", "verb": "call"}`) or, on the hot path,
the integers that are stored (`{record.KIND: "effect", record.VERB: "call"}`), which saves one dict per record. What
is stored is a msgpack map with those integers as keys; the exact stored bytes are what the log hashes, so nothing is
ever canonicalised. `v` and `seq` are stamped by the log and always come first, in a form of fixed length: the
sequence number of every stored record is bytes 7 to 14 of its payload (see `docs/audit-format.md`).

There are no floats in a record: times are int nanoseconds, sizes bytes, shapes rows and cells.
"""

from __future__ import annotations

import difflib
import os
import struct
import uuid
from collections.abc import Callable, Mapping
from hashlib import sha256
from typing import Any, Final

import msgpack

from proxyplane.decisions import STRICTNESS
from proxyplane.errors import AuditCorrupt

__all__ = [
    "FIELDS",
    "KINDS",
    "MAX_RECORD",
    "PHASES",
    "SCHEMA",
    "STATUSES",
    "VERDICTS",
    "Encoder",
    "Fields",
    "Hashed",
    "Prefix",
    "decode",
]

SCHEMA: Final = 1
"""Value of `v` in every record of this schema."""

MAX_RECORD: Final = 1 << 20
"""Longest payload in bytes: what is longer was not cut by its maker and is refused."""

Fields = Mapping[Any, Any]
"""A record before it is stored: JSON names or integer keys."""

V: Final = 0
SEQ: Final = 1
KIND: Final = 2
PHASE: Final = 3
ID: Final = 4
OP: Final = 5
PARENT: Final = 6
TIME: Final = 7
MONO: Final = 8
SESSION: Final = 9
AGENT: Final = 10
FOR: Final = 11
ORIGIN: Final = 12
CAP: Final = 13
VIA: Final = 14
PEER: Final = 15
REQUEST_ID: Final = 16
TRACE: Final = 17
SPAN: Final = 18
WHERE: Final = 19
VERB: Final = 20
TARGET: Final = 21
MEMBER: Final = 22
ARGS: Final = 23
EFFECTS: Final = 24
VERDICT: Final = 25
RULE: Final = 26
MATCHED: Final = 27
POLICY: Final = 28
REASON: Final = 29
OBLIGATIONS: Final = 30
APPROVAL: Final = 31
BUDGET: Final = 32
STATUS: Final = 33
ERROR: Final = 34
RESULT: Final = 35
CHANGES: Final = 36
DUR: Final = 37
DETAIL: Final = 38

FIELDS: Final[dict[str, int]] = {
    "v": V,
    "seq": SEQ,
    "kind": KIND,
    "phase": PHASE,
    "id": ID,
    "op": OP,
    "parent": PARENT,
    "time": TIME,
    "mono": MONO,
    "session": SESSION,
    "agent": AGENT,
    "for": FOR,
    "origin": ORIGIN,
    "cap": CAP,
    "via": VIA,
    "peer": PEER,
    "request_id": REQUEST_ID,
    "trace": TRACE,
    "span": SPAN,
    "where": WHERE,
    "verb": VERB,
    "target": TARGET,
    "member": MEMBER,
    "args": ARGS,
    "effects": EFFECTS,
    "verdict": VERDICT,
    "rule": RULE,
    "matched": MATCHED,
    "policy": POLICY,
    "reason": REASON,
    "obligations": OBLIGATIONS,
    "approval": APPROVAL,
    "budget": BUDGET,
    "status": STATUS,
    "error": ERROR,
    "result": RESULT,
    "changes": CHANGES,
    "dur": DUR,
    "detail": DETAIL,
}
"""JSON name -> stored key. A key is never used again for something else."""

NAMES: Final[dict[int, str]] = {key: name for name, key in FIELDS.items()}

KINDS: Final = frozenset(
    {
        "effect",
        "session.open",
        "session.close",
        "policy.load",
        "grant",
        "revoke",
        "approval",
        "code",
        "observed",
        "gap",
        "degraded",
    }
)
PHASES: Final = frozenset({"intent", "outcome", "single"})
VERDICTS: Final = frozenset(STRICTNESS)
STATUSES: Final = frozenset({"ok", "error", "denied", "withheld", "timeout", "cancelled", "panic"})

_CLOSED: Final[dict[int, frozenset[str]]] = {KIND: KINDS, PHASE: PHASES, VERDICT: VERDICTS, STATUS: STATUSES}
_PHASES_OR_NONE: Final = PHASES | {None}
_VERDICTS_OR_NONE: Final = VERDICTS | {None}
_STATUSES_OR_NONE: Final = STATUSES | {None}
_GIVEN: Final = frozenset(NAMES) - {V, SEQ}
_is_given: Final = _GIVEN.issuperset
_is_known: Final = frozenset(NAMES).issuperset
_has_no_word: Final = frozenset(_CLOSED).isdisjoint
"""Whether a record leaves out every field whose words are a closed list."""

_STAMP: Final = struct.Struct(">BHHHQ")
"""map 16 marker, number of fields, key 0 with value 1, key 1 with the uint 64 marker, sequence number."""
_stamp: Final = _STAMP.pack
_FIXMAP_LIMIT: Final = 16
_LONGEST_HASHED: Final = 64
_UUIDS: Final = (ID, OP, PARENT)


class Hashed:
    """A sensitive text in a record: the log stores its HMAC-SHA-256 (32 bytes), whose key only the log writer has.

    Equal texts have equal hashes in one log; that much can be seen. Of a text longer than 64 bytes it is the HMAC of
    its SHA-256.
    """

    __slots__ = ("text",)

    def __init__(self, text: str | bytes) -> None:
        data = text.encode("utf-8", "backslashreplace") if isinstance(text, str) else text
        self.text = data if len(data) <= _LONGEST_HASHED else sha256(data).digest()


class Prefix:
    """Fields that many records share (session, agent ...), checked and packed once. Made by `Encoder.prefix`."""

    __slots__ = ("count", "packed")

    def __init__(self, count: int, packed: bytes) -> None:
        self.count = count
        self.packed = packed


class Encoder:
    """Turns records into payload bytes. One per log: the buffer inside is used again, so calls must not overlap."""

    __slots__ = ("_mark", "_marks", "_pack", "secrets")

    def __init__(self) -> None:
        # Text from agents may hold lone surrogates; a record must neither fail on them nor store invalid UTF-8.
        packer = msgpack.Packer(autoreset=True, default=self._plain, unicode_errors="backslashreplace")
        self._mark = os.urandom(24)
        self._marks = 0
        self.secrets: list[tuple[bytes, bytes]] = []
        """Placeholders in the payload that was encoded last, and the texts whose hashes belong there."""
        self._pack: Callable[[Any], bytes] = packer.pack

    def _plain(self, value: object) -> object:
        """What msgpack does not know but a record may hold: sets (sorted), integers beyond 64 bits (as hex text)."""
        if isinstance(value, Hashed):
            self._marks += 1
            placeholder = self._mark + self._marks.to_bytes(8, "big")  # nobody can guess it into another field
            self.secrets.append((placeholder, value.text))
            return placeholder
        if isinstance(value, (set, frozenset)):
            return sorted(value)
        if isinstance(value, int):
            return hex(value)
        raise TypeError(type(value).__qualname__)

    def prefix(self, fields: Fields) -> Prefix:
        """Pack fields that every record of a kind shares, for `encode`. Needs `kind`; at most 15 fields.

        Raises:
            ValueError, TypeError: as for `encode`.
        """
        shared = by_key(fields)
        if shared.get(KIND) not in KINDS or len(shared) >= _FIXMAP_LIMIT:
            raise ValueError(_outside(shared))
        self.encode(shared, 0)
        if self.secrets:
            raise ValueError("shared fields hold no sensitive text")
        return Prefix(len(shared), self._pack(shared)[1:])

    def encode(self, fields: Fields, seq: int, prefix: Prefix | None = None) -> bytes:
        """The payload of one record.

        Args:
            fields: the record without `v` and `seq`; left untouched. `kind` is required.
            seq: the record's number in its log.
            prefix: packed fields that come first, of which `fields` then has none.

        Raises:
            ValueError: an unknown field, a value outside a closed list, or a payload above `MAX_RECORD`.
            TypeError: a value that has no stored form.
        """
        if self.secrets:
            self.secrets = []
        if not _is_given(fields):
            fields = by_key(fields)
        if (prefix is None or not _has_no_word(fields)) and not _are_words(fields, kind_needed=prefix is None):
            raise ValueError(_outside(fields))
        try:
            body = self._pack(fields)
        except (TypeError, ValueError, OverflowError, RecursionError):
            raise TypeError(self._unstorable(fields)) from None
        count = len(fields)
        body = body[1 if count < _FIXMAP_LIMIT else 3 :]
        if prefix is None:
            payload = _stamp(0xDE, count + 2, 0x0001, 0x01CF, seq) + body
        else:
            payload = _stamp(0xDE, count + 2 + prefix.count, 0x0001, 0x01CF, seq) + prefix.packed + body
        if len(payload) > MAX_RECORD:
            raise ValueError(
                f"a record takes at most {MAX_RECORD} bytes, this one {len(payload)}; cut its longest field"
            )
        return payload

    def _unstorable(self, fields: Fields) -> str:
        for key, value in fields.items():
            try:
                self._pack(value)
            except (TypeError, ValueError, OverflowError, RecursionError):
                return (
                    f"record field {NAMES[key]!r} of type {type(value).__qualname__} cannot be stored: only None, "
                    "bool, int, str, bytes, and lists, dicts, sets of them, not nested deeply; store a digest instead"
                )
        return "the record is nested too deeply; store a digest instead"


def by_key(fields: Fields) -> dict[int, Any]:
    """The same record with the stored integers as keys; an unknown or stamped field is a ValueError."""
    found: dict[int, Any] = {}
    for name, value in fields.items():
        key = FIELDS.get(name, -1) if isinstance(name, str) else name
        if key in (V, SEQ):
            raise ValueError(f"record field {NAMES[key]!r} is stamped by the log; leave it out")
        if key not in _GIVEN:
            close = difflib.get_close_matches(str(name), FIELDS, n=1)
            hint = f'did you mean "{close[0]}"?' if close else "see docs/audit-format.md"
            raise ValueError(f"unknown record field {name!r} ({hint})")
        if key in found:
            raise ValueError(f"record field {NAMES[key]!r} is given twice, by name and by number")
        found[key] = value
    return found


def _are_words(fields: Fields, *, kind_needed: bool) -> bool:
    """Whether the fields with closed lists of words hold words of them."""
    get = fields.get
    return (
        (not kind_needed or get(KIND) in KINDS)
        and get(PHASE) in _PHASES_OR_NONE
        and get(VERDICT) in _VERDICTS_OR_NONE
        and get(STATUS) in _STATUSES_OR_NONE
    )


def _outside(fields: Fields) -> str:
    for key, allowed in _CLOSED.items():
        value = fields.get(key)
        if value not in allowed and (value is not None or key == KIND):
            # These four fields are words of the plane, never data, so the wrong word may be shown.
            return f"record field {NAMES[key]!r} must be one of {', '.join(sorted(allowed))}; it is {value!r}"
    return "a record must be a mapping with a kind"


def check(payload: bytes | memoryview) -> dict[int, Any]:
    """The stored map as it is (integer keys), after every check of the schema.

    Raises:
        AuditCorrupt: not a record of schema 1.
    """
    try:
        stored = msgpack.unpackb(payload, strict_map_key=False)
    except (ValueError, TypeError, msgpack.UnpackException) as error:
        raise AuditCorrupt(f"a stored record is not msgpack ({type(error).__name__})") from None
    if not isinstance(stored, dict):
        raise AuditCorrupt("a stored record is not a msgpack map")
    get = stored.get
    if (
        get(V) == SCHEMA
        and _is_known(stored)
        and type(get(SEQ)) is int
        and _are_words(stored, kind_needed=True)  # the same words as when it was written
    ):
        return stored
    raise AuditCorrupt(_why_not(stored))


def _why_not(stored: dict[Any, Any]) -> str:
    """What is wrong with a stored map."""
    if stored.get(V) != SCHEMA:
        return "a stored record is not of schema 1; read this log with a newer proxyplane"
    if not _is_known(stored):
        return "a stored record has a field that schema 1 does not know; read it with a newer proxyplane"
    if not isinstance(stored.get(SEQ), int) or stored.get(KIND) not in KINDS:
        return "a stored record has no seq or no known kind"
    return "a stored record has an unknown phase, verdict or status"


def decode(payload: bytes | memoryview) -> dict[str, Any]:
    """The record under its JSON names; `id`, `op`, `parent` as UUID text, all other bytes as hex.

    Text that came from agents or data is returned as it was stored: whoever shows it must escape it.

    Raises:
        AuditCorrupt: not a record of schema 1.
    """
    record: dict[str, Any] = {}
    for key, value in check(payload).items():
        if key in _UUIDS and isinstance(value, bytes) and len(value) == 16:
            record[NAMES[key]] = str(uuid.UUID(bytes=value))
        else:
            record[NAMES[key]] = _readable(value)
    return record


def _readable(value: Any) -> Any:
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, list):
        return [_readable(item) for item in value]
    if isinstance(value, dict):
        return {_readable(key): _readable(item) for key, item in value.items()}
    return value
