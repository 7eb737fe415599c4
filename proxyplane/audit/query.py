"""Questions to a log: filters that compose, answered from the records themselves.

A filter given as text may hold `*` and `?` (as in a shell). The index, where there is one, only says which records to
read; each record is judged again by the same filters.
"""

from __future__ import annotations

import fnmatch
import os
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass, fields, replace
from functools import partial
from pathlib import Path
from typing import Any

from proxyplane.audit import reader, record, segments
from proxyplane.audit.index import SEPARATOR, Index, within
from proxyplane.errors import AuditCorrupt

__all__ = ["Query", "count", "find_operation", "follow", "query"]


@dataclass(frozen=True)
class Query:
    """What records must be. Every field that is not None must hold.

    Times are ns UTC; `since` is included and `until` is not.
    """

    kind: str | None = None
    agent: str | None = None
    session: str | None = None
    object: str | None = None
    """Granted name of the target, or `#` and its handle."""
    lineage: str | None = None
    """A granted name: the object itself and everything made from it."""
    label: str | None = None
    verb: str | None = None
    effect: str | None = None
    """One of the declared effects."""
    verdict: str | None = None
    rule: str | None = None
    status: str | None = None
    min_rows: int | None = None
    """Rows that reached the agent, at least."""
    max_rows: int | None = None
    since: int | None = None
    until: int | None = None
    code: str | None = None
    """A text that the agent's code held."""

    def matches(self, found: dict[str, Any], codes: frozenset[str] | None = None) -> bool:
        """Whether a record (by its JSON names) is meant; `codes` are the digests of code with the wanted text."""
        target = found.get("target") or {}
        name = target.get("name") or ("" if target else found.get("cap", ""))
        rows = (found.get("result") or {}).get("rows")
        time = found.get("time")
        return (
            all(_alike(found.get(key), getattr(self, key)) for key in _PLAIN)
            and (self.object is None or _alike(name, self.object) or f"#{target.get('id')}" == self.object)
            and (self.lineage is None or _alike(name, self.lineage) or _any(target.get("roots"), self.lineage))
            and (self.label is None or _any(target.get("labels"), self.label))
            and (self.effect is None or _any((found.get("effects") or {}).get("declared"), self.effect))
            and (self.min_rows is None or (isinstance(rows, int) and rows >= self.min_rows))
            and (self.max_rows is None or (isinstance(rows, int) and rows <= self.max_rows))
            and (self.since is None or (time is not None and time >= self.since))
            and (self.until is None or (time is not None and time < self.until))
            and (self.code is None or (found.get("where") or {}).get("code_sha256") in (codes or ()))
        )


_LONGEST = 36
_SHORTEST = 8
"""Characters of an identifier that are enough to look for."""
_PLAIN = ("kind", "agent", "session", "verb", "verdict", "rule", "status")


def _alike(value: object, wanted: str | None) -> bool:
    return wanted is None or (isinstance(value, str) and bool(value) and fnmatch.fnmatchcase(value, wanted))


def _any(values: object, wanted: str) -> bool:
    return isinstance(values, list) and any(_alike(value, wanted) for value in values)


def query(directory: str | Path, wanted: Query, *, index: bool = True) -> Iterator[dict[str, Any]]:
    """The records that are meant, in order, by their JSON names.

    Args:
        directory: the audit directory.
        wanted: the filters.
        index: use (and make, or catch up) the table that says where records lie.

    Raises:
        OSError: the log cannot be read.
        AuditCorrupt: at the place where the bytes are not what was written.
    """
    codes = _codes(directory, wanted, index=index)
    table = _index(directory) if index else None
    if table is None:
        yield from (found for found in reader.read(directory) if wanted.matches(found, codes))
        return
    with closing(table):
        yield from _found(directory, wanted, codes, table)


def _found(
    directory: str | Path, wanted: Query, codes: frozenset[str] | None, table: Index
) -> Iterator[dict[str, Any]]:
    """What the index leads to. Where it leads astray it is made again, once, and the rest comes from the new one."""
    last = -1
    for attempt in (1, 2):
        places = _Places(directory)
        try:
            first, end = last + 1, (1 << 63) - 1
            timeless = wanted
            if wanted.since is not None or wanted.until is not None:
                # Records are nearly in the order of their times: a span of numbers is read in order, without a sort.
                since, end = table.span(wanted.since, wanted.until)
                first, timeless = max(first, since), replace(wanted, since=None, until=None)
            condition, values = _condition(timeless, codes, table)
            for seq, segment, at in table.places(f"seq between {first} and {end} and {condition}", values):
                found = places.read(seq, segment, at)
                last = seq
                if wanted.matches(found, codes):
                    yield found
        except (sqlite3.DatabaseError, AuditCorrupt):
            if attempt == 2:
                raise
            table.rebuild()
        else:
            return


def count(directory: str | Path, wanted: Query, *, index: bool = True) -> int:
    """How many records are meant.

    Raises:
        OSError, AuditCorrupt: as `query`.
    """
    table = _index(directory) if index else None
    if table is None:
        return sum(1 for _ in query(directory, wanted, index=False))
    codes = _codes(directory, wanted, index=index)
    with closing(table):
        try:
            return table.count(*_condition(wanted, codes, table))
        except sqlite3.DatabaseError:
            table.rebuild()
            return table.count(*_condition(wanted, codes, table))


def follow(
    directory: str | Path,
    wanted: Query,
    *,
    first: int = 0,
    poll: float = 0.1,
    stop: Callable[[], bool] = lambda: False,
) -> Iterator[dict[str, Any]]:
    """The records that are meant from number `first` on, then each new one; see `reader.follow`."""
    codes: set[str] = set()
    if wanted.code is not None:
        codes.update(_codes(directory, wanted, index=False) or ())
    for found in reader.follow(directory, first=first, poll=poll, stop=stop):
        if wanted.code is not None and found["kind"] == "code" and wanted.code in _text(found):
            codes.add(found["where"]["code_sha256"])
        if wanted.matches(found, frozenset(codes)):
            yield found


def find_operation(directory: str | Path, identifier: str, *, index: bool = True) -> list[dict[str, Any]]:
    """All records of one operation: its own, and those of operations that it caused.

    Args:
        directory: the audit directory.
        identifier: UUID text of a record or operation, the start of one (8 digits or more), or a record's number.
        index: as for `query`.
    """
    if len(identifier) <= _LONGEST and identifier.isdecimal() and str(int(identifier)) == identifier:
        found = [item for item in _near(directory, int(identifier), index=index) if item["seq"] == int(identifier)]
        if found and "op" not in found[0]:
            return found
        identifier = found[0]["op"] if found else identifier
    if len(identifier) < _SHORTEST:
        return []
    wanted = _minute_of(identifier)
    for scope in [wanted, Query()] if wanted else [Query()]:
        found = [
            item
            for item in query(directory, scope, index=index)
            if any(str(item.get(key, "")).startswith(identifier) for key in ("op", "id", "parent"))
        ]
        if found:
            return found
    return []


def _minute_of(identifier: str) -> Query | None:
    """An identifier tells when it was made (UUIDv7); its records are from about then."""
    digits = identifier.replace("-", "")
    if len(digits) < 12:
        return None
    try:
        made = int(digits[:12], 16) * 1_000_000
    except ValueError:
        return None
    return Query(since=made - 60_000_000_000, until=made + 3_600_000_000_000)


def _near(directory: str | Path, seq: int, *, index: bool) -> Iterator[dict[str, Any]]:
    table = _index(directory) if index else None
    if table is None:
        yield from reader.read(directory)
        return
    with closing(table):
        places = _Places(directory)
        for place in table.places("seq = ?", (within(seq),)):
            yield places.read(*place)


def _index(directory: str | Path) -> Index | None:
    if not os.path.isdir(directory):
        return None
    try:
        return Index(directory)
    except (OSError, sqlite3.Error, OverflowError):
        return None  # a folder that only its owner may write to; the log itself answers


def _codes(directory: str | Path, wanted: Query, *, index: bool) -> frozenset[str] | None:
    """Digests of the code that holds the wanted text."""
    if wanted.code is None:
        return None
    found = query(directory, Query(kind="code"), index=index)
    return frozenset(item["where"]["code_sha256"] for item in found if wanted.code in _text(item))


def _text(found: dict[str, Any]) -> str:
    return str((found.get("detail") or {}).get("text", ""))


def _condition(wanted: Query, codes: frozenset[str] | None, table: Index) -> tuple[str, list[object]]:
    """The same filters as SQL over the index's columns."""
    parts: list[str] = ["1"]
    values: list[object] = []

    def one_of(column: str, test: Callable[[str], bool]) -> str:
        numbers = [table.number(word) for word in table.words() if test(word)]
        values.extend(numbers)
        return f"{column} in ({', '.join('?' * len(numbers))})"

    for item in fields(wanted):
        name, value = item.name, getattr(wanted, item.name)
        if value is None:
            continue
        if name in _PLAIN:
            parts.append(_words_like(name, value, table, values))
            if name == "verdict" and not _alike("allow", value):
                parts.append("verdict <> 1")  # the partial index needs to hear it
        elif name == "object":
            if value[:1] == "#" and value[1:].isdigit():
                parts.append("handle = ?")
                values.append(int(value[1:]))
            else:
                parts.append(_words_like("object", value, table, values))
        elif name == "lineage":
            both = _words_like("object", value, table, values)
            parts.append(f"({both} or {one_of('roots', partial(_one_word, value))})")
        elif name in ("label", "effect"):
            column = "labels" if name == "label" else "effects"
            parts.append(one_of(column, partial(_one_word, value)))
        elif name == "code":
            parts.append(one_of("code", lambda word: word in (codes or ())))
        else:
            column, sign = {
                "min_rows": ("rows", ">="), "max_rows": ("rows", "<="), "since": ("time", ">="), "until": ("time", "<"),
            }[name]  # fmt: skip
            parts.append(f"{column} {sign} ?")
            values.append(within(value))
    return " and ".join(parts), values


def _one_word(wanted: str, words: str) -> bool:
    """Whether one of the words in a column of several is meant."""
    return _any(words.split(SEPARATOR), wanted)


def _words_like(column: str, wanted: str, table: Index, values: list[object]) -> str:
    if not any(sign in wanted for sign in "*?["):
        values.append(table.number(wanted))
        return f"{column} = ?"
    numbers = [table.number(word) for word in table.words() if _alike(word, wanted)]
    values.extend(numbers)
    return f"{column} in ({', '.join('?' * len(numbers))})"


class _Places:
    """Reads single records from their places in the segments."""

    def __init__(self, directory: str | Path) -> None:
        self._directory = directory
        self._number = 0
        self._data = b""

    def read(self, seq: int, segment: int, at: int) -> dict[str, Any]:
        """The record at a place; AuditCorrupt when it is not there."""
        if segment != self._number:
            path = os.path.join(self._directory, segments.segment_name(segment))
            with open(os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC), "rb") as file:
                self._number, self._data = segment, file.read()
        item = next(segments.frames(self._data, at), None)
        if not isinstance(item, segments.Frame) or item.seq != seq:
            raise AuditCorrupt(
                f"segment {segment}: record {seq} is not where the index has it; remove the folder `index`, or run "
                "`proxyplane audit verify`"
            )
        return record.decode(item.payload)
