"""A look-up table over a log, so that a question need not read all of it. Rebuilt from the segments at any time.

SQLite in `index/index.sqlite` of the audit directory, made by whoever asks and not by the log. It says only where
records lie: what a query answers is read from the segments again and judged again. `verify` never opens it.
"""

from __future__ import annotations

import os
import sqlite3
import zlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, Final

import msgpack

from proxyplane.audit import record, segments
from proxyplane.audit.segments import Header
from proxyplane.errors import AuditCorrupt

__all__ = ["SEPARATOR", "Index", "within"]

_VERSION: Final = 1
_FOLDER: Final = "index"
_BATCH: Final = 20_000
_NOT_DAMAGED: Final = frozenset(
    {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_FULL, sqlite3.SQLITE_CANTOPEN}
)
"""Errors that say nothing against the table: another process has it, or there is no room."""
_LEAST: Final = -(1 << 63)
_MOST: Final = (1 << 63) - 1
SEPARATOR: Final = "\x1f"
"""Between several words in one column."""

_SCHEMA: Final = """
create table facts (name text primary key, value text not null) without rowid;
create table words (id integer primary key, word text not null unique);
create table entries (
    seq integer primary key, segment integer not null, at integer not null, time integer, kind integer, session integer,
    agent integer, object integer, handle integer, roots integer, labels integer, verb integer, effects integer,
    verdict integer, rule integer, status integer, rows integer, code integer
);
"""
_INDEXES: Final = """
create index if not exists by_object on entries (object) where object is not null;
create index if not exists by_handle on entries (handle) where handle is not null;
create index if not exists by_time on entries (time);
create index if not exists by_verdict on entries (verdict) where verdict <> 1;
"""
_ALLOW_ID: Final = 1
"""Word number of `allow`: the index of verdicts leaves the many out and keeps the few."""
_INSERT: Final = "insert into entries values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"


class Index:
    """The table of one log, caught up with its segments when opened.

    Args:
        directory: the audit directory.

    Raises:
        OSError, sqlite3.Error: there is no room for it or it cannot be written; read the log instead.
        AuditCorrupt: the log itself is damaged.
    """

    def __init__(self, directory: str | Path) -> None:
        self._place = Path(directory)
        folder = self._place / _FOLDER
        folder.mkdir(mode=0o700, exist_ok=True)
        self._path = folder / "index.sqlite"
        self._words: dict[str, int] = {}
        self._base: sqlite3.Connection | None = None
        try:
            self._begin()
        except sqlite3.DatabaseError as error:
            if getattr(error, "sqlite_errorcode", 0) & 0xFF in _NOT_DAMAGED:
                raise
            self.rebuild()
        except _BehindError:
            self.rebuild()

    def _begin(self) -> None:
        try:
            self._base = self._opened()
            self._catch_up()
        except BaseException:
            self.close()
            raise

    def rebuild(self) -> None:
        """Throws the table away and reads the whole log again."""
        self.close()
        for suffix in ("", "-journal", "-wal", "-shm"):
            Path(f"{self._path}{suffix}").unlink(missing_ok=True)
        self._words = {}
        self._begin()

    def _opened(self) -> sqlite3.Connection:
        handle = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        os.close(handle)
        base = sqlite3.connect(self._path, isolation_level=None)
        try:
            base.execute("pragma journal_mode=memory")
            base.execute("pragma synchronous=off")  # it can always be made again
            version = base.execute("pragma user_version").fetchone()[0]
            if version not in (0, _VERSION):
                raise sqlite3.DatabaseError("an index of another version")  # noqa: TRY301
            if not version:
                base.executescript(_SCHEMA)
                base.execute("insert into words values (?, 'allow')", (_ALLOW_ID,))
                base.execute(f"pragma user_version={_VERSION}")
            self._words = dict(base.execute("select word, id from words"))
        except BaseException:
            base.close()
            raise
        return base

    def close(self) -> None:
        """Closes the table."""
        if self._base is not None:
            self._base.close()
            self._base = None

    @property
    def _open(self) -> sqlite3.Connection:
        assert self._base is not None, "the table is closed"
        return self._base

    # ---- keeping up

    def _catch_up(self) -> None:
        if not self._behind():
            return
        self._open.execute("begin immediate")  # one at a time; who waited here finds it done
        try:
            self._words = dict(self._open.execute("select word, id from words"))
            for current, start in self._behind():
                at, seq = self._take(current, start, self._records())
                self._state(log=self._log_id(current), segment=current, at=at, records=seq)
            self._open.execute("commit")
        except BaseException:
            self._open.execute("rollback")
            raise
        self._open.executescript(_INDEXES)

    def _records(self) -> int:
        found = self._open.execute("select value from facts where name = 'records'").fetchone()
        return int(found[0]) if found else 0

    def _behind(self) -> list[tuple[int, int]]:
        """Segments with something new, and where it begins; a `_BehindError` when the table is not of this log."""
        facts = dict(self._open.execute("select name, value from facts"))
        number, at, seq = (int(facts.get(name, 0)) for name in ("segment", "at", "records"))
        names = sorted(n for n in map(segments.number_of, os.listdir(self._place)) if n)
        if number and (number not in names or facts.get("log") != self._log_id(number) or self._size(number) < at):
            raise _BehindError
        if self._open.execute("select coalesce(max(seq), -1) + 1 from entries").fetchone()[0] != seq:
            raise _BehindError
        found = [(current, segments.HEADER_BYTES) for current in names if current > number]
        return [(number, at), *found] if number and self._size(number) > at else found

    def _log_id(self, number: int) -> str:
        with open(self._place / segments.segment_name(number), "rb") as file:
            try:
                return Header.unpack(file.read(segments.HEADER_BYTES)).log_id.hex()
            except ValueError:
                return ""

    def _size(self, number: int) -> int:
        return (self._place / segments.segment_name(number)).stat().st_size

    def _state(self, **facts: object) -> None:
        self._open.executemany("insert or replace into facts values (?, ?)", [(k, str(v)) for k, v in facts.items()])

    def _take(self, number: int, at: int, seq: int) -> tuple[int, int]:
        """Reads a segment from an offset on; returns where whole records end and the next number."""
        data = (self._place / segments.segment_name(number)).read_bytes()
        if not segments.is_begun(data):
            return segments.HEADER_BYTES, seq
        unpack, word = msgpack.unpackb, self._word
        rows: list[tuple[Any, ...]] = []
        for start, payload in _payloads(data, at):
            at = start + segments.FRAME.size + len(payload)
            if payload[0] != segments.RECORD_MARKER:
                continue
            if segments.seq_of(payload) != seq:
                raise AuditCorrupt(f"segment {number}: another record stands where {seq} should be")
            get = unpack(payload, strict_map_key=False).get
            rows.append((seq, number, start, get(record.TIME), *_entry(get, word)))
            seq += 1
            if len(rows) >= _BATCH:
                self._open.executemany(_INSERT, rows)
                rows.clear()
        self._open.executemany(_INSERT, rows)
        return at, seq

    def _word(self, text: str | None) -> int | None:
        if text is None:
            return None
        found = self._words.get(text)
        if found is None:
            cursor = self._open.execute("insert into words (word) values (?)", (text,))
            found = self._words[text] = int(cursor.lastrowid or 0)
        return found

    # ---- asking

    def words(self) -> Iterable[str]:
        """All words that the table knows."""
        return self._words

    def number(self, word: str) -> int:
        """The number of a word; -1 when no record has it."""
        return self._words.get(word, -1)

    def places(self, where: str, values: Iterable[object]) -> Iterator[tuple[int, int, int]]:
        """(seq, segment, offset) of the entries for which an SQL condition of `query` holds, in order."""
        yield from self._open.execute(
            f"select seq, segment, at from entries where {where} order by seq",  # noqa: S608 - made by `query`
            tuple(values),
        )

    def span(self, since: int | None, until: int | None) -> tuple[int, int]:
        """The first and last number of the records from a time on and before another; (0, -1) when there are none."""
        limits = (_LEAST if since is None else within(since), _MOST if until is None else within(until))
        found = self._open.execute("select min(seq), max(seq) from entries where time >= ? and time < ?", limits)
        first, last = found.fetchone()
        return (0, -1) if first is None else (first, last)

    def count(self, where: str, values: Iterable[object]) -> int:
        """How many entries there are for which it holds."""
        found = self._open.execute(f"select count(*) from entries where {where}", tuple(values))  # noqa: S608
        return int(found.fetchone()[0])


def within(number: int) -> int:
    """The nearest number that a column can hold."""
    return max(_LEAST, min(number, _MOST))


class _BehindError(Exception):
    """The table does not belong to what the segments are now."""


def _payloads(data: bytes, at: int) -> Iterator[tuple[int, bytes]]:
    """Offset and payload of each whole frame."""
    unpack, crc_of, end = segments.FRAME.unpack_from, zlib.crc32, len(data)
    while end - at >= 8:
        length, crc = unpack(data, at)
        payload = data[at + 8 : at + 8 + length]
        if not length or len(payload) != length or crc_of(payload) != crc:
            return
        yield at, payload
        at += 8 + length


_NOTHING: Final[dict[Any, Any]] = {}


def _entry(get: Any, word: Any) -> tuple[Any, ...]:
    """The columns after `time`, in their order."""
    target = get(record.TARGET) or _NOTHING
    effects, result, where = get(record.EFFECTS), get(record.RESULT), get(record.WHERE)
    roots, labels = target.get("roots"), target.get("labels")
    code = where.get("code_sha256") if where else None
    return (
        word(get(record.KIND)),
        word(get(record.SESSION)),
        word(get(record.AGENT)),
        word(target.get("name") or (get(record.CAP) if not target else None)),
        target.get("id"),
        word(SEPARATOR.join(roots)) if roots else None,
        word(SEPARATOR.join(labels)) if labels else None,
        word(get(record.VERB)),
        word(SEPARATOR.join(effects.get("declared", ()))) if effects else None,
        word(get(record.VERDICT)),
        word(get(record.RULE)),
        word(get(record.STATUS)),
        result.get("rows") if result else None,
        word(code.hex()) if isinstance(code, bytes) else None,
    )
