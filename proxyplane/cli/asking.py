"""`proxyplane audit query`, `show`, `stats` and `export`."""

from __future__ import annotations

import json
import re
import sys
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from typing import Any, Final

from proxyplane.audit import export, reader
from proxyplane.audit.query import Query, count, find_operation, follow, query
from proxyplane.audit.stats import Stats, stats
from proxyplane.cli.auditing import line_of, readable, stamp_of
from proxyplane.cli.problems import Exit, Problem
from proxyplane.cli.terminal import one_line, put

__all__ = ["Answer", "ask", "ask_sql", "export_log", "show_operation", "show_stats", "wanted_of"]

_UNITS: Final = {"s": 1, "m": 60, "h": 3600, "d": 86400}
_MOST_CODE: Final = 3
"""Lines of code shown before and after the line of an operation."""


@dataclass(frozen=True)
class Answer:
    """How the answer is given."""

    limit: int | None
    follow: bool
    as_json: bool
    count: bool
    index: bool


def wanted_of(*, since: str | None, until: str | None, **filters: Any) -> Query:
    """The query of the options."""
    return Query(since=_time_of(since), until=_time_of(until), **filters)


def _time_of(text: str | None) -> int | None:
    if text is None:
        return None
    ago = re.fullmatch(r"(\d{1,9})([smhd])", text)
    if ago:
        return time.time_ns() - int(ago[1]) * _UNITS[ago[2]] * 1_000_000_000
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        hint = "such as 2026-03-01, 2026-03-01T12:00:00, or 90s, 15m, 2h, 7d ago"
        raise Problem(f"{one_line(text)!r} is no time", hint=hint) from None
    moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    since = moment - datetime(1970, 1, 1, tzinfo=UTC)
    return ((since.days * 86400 + since.seconds) * 1_000_000 + since.microseconds) * 1000


def ask(directory: Path, wanted: Query, answer: Answer) -> Exit:
    """Print the records that are meant, or their number."""
    shown = export.json_line if answer.as_json else line_of
    with readable(directory):
        _needs_log(directory)
        if answer.count:
            put(f"{count(directory, wanted, index=answer.index)}\n")
            return Exit.OK
        found = follow(directory, wanted) if answer.follow else query(directory, wanted, index=answer.index)
        for record in islice(found, answer.limit):
            put(f"{shown(record)}\n")
    return Exit.OK


def _needs_log(directory: Path) -> None:
    if not any(directory.glob("*.seg")):
        raise Problem(f"{directory} holds no audit log", code=Exit.AUDIT)


def ask_sql(directory: Path, statement: str, *, as_json: bool) -> Exit:
    """Print the rows of an SQL statement."""
    from proxyplane.audit.columns import sql  # noqa: PLC0415 - an extra

    with readable(directory):
        _needs_log(directory)
        try:
            names, rows = sql(directory, statement)
        except (ImportError, ValueError) as error:
            raise Problem(f"--sql: {error}") from error
    if as_json:
        for row in rows:
            put(f"{export.json_line(dict(zip(names, row, strict=True)))}\n")
        return Exit.OK
    put("".join(f"{line}\n" for line in _table([names, *([_cell(cell) for cell in row] for row in rows)])))
    return Exit.OK


def _cell(value: object) -> str:
    return "" if value is None else one_line(str(value))


def _table(rows: list[list[str]]) -> Iterator[str]:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        yield "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()


# ---- one operation


def show_operation(directory: Path, identifier: str, *, as_json: bool) -> Exit:
    """Print the page of one operation: where in the code, on what, how decided, what came of it."""
    with readable(directory):
        _needs_log(directory)
        found = find_operation(directory, identifier)
        if not found:
            raise Problem(f"no record or operation is {one_line(identifier)!r}")
        if as_json:
            for record in found:
                put(f"{export.json_line(record)}\n")
            return Exit.OK
        own = found[0].get("op")
        page = [record for record in found if record.get("op") == own]
        for line in _page(page, _code(directory, page[0])):
            put(f"{one_line(line)}\n")
        caused = [record for record in found if record.get("op") != own]
        for record in caused:
            put(f"  caused       {line_of(record).strip()}\n")
    return Exit.OK


def _code(directory: Path, record: dict[str, Any]) -> list[str]:
    """The lines of code around that of an operation, numbered; from the `code` records."""
    where = record.get("where") or {}
    digest, line = where.get("code_sha256"), where.get("line")
    if digest is None or line is None:
        return []
    parts: dict[int, str] = {}
    for item in query(directory, Query(kind="code")):
        if item["where"]["code_sha256"] == digest:
            parts[item["detail"]["part"]] = item["detail"]["text"]
    lines = "".join(parts[part] for part in sorted(parts)).split("\n")
    first, last = max(line - 1 - _MOST_CODE, 0), min(line + _MOST_CODE, len(lines))
    return [f"{'>' if at + 1 == line else ' '} {at + 1:>4}  {lines[at]}" for at in range(first, last)]


def _page(records: list[dict[str, Any]], code: list[str]) -> Iterator[str]:
    last = records[-1]
    target, where = last.get("target") or {}, last.get("where") or {}
    yield f"{last['kind']} {last.get('op') or last.get('id') or last['seq']}"
    yield from _pairs(
        ("records", ", ".join(f"{record['seq']} {record.get('phase', '')}".strip() for record in records)),
        ("time", stamp_of(last["time"]) if "time" in last else None),
        ("agent", last.get("agent")),
        ("session", last.get("session")),
        ("parent", last.get("parent")),
        ("line", where.get("line")),
    )
    for line in code:
        yield f"               {line}"
    yield from _pairs(
        ("did", " ".join(str(last[key]) for key in ("verb", "member") if last.get(key))),
        ("target", _target(target)),
        ("arguments", "; ".join(_argument(form) for form in last.get("args") or ())),
    )
    effects = last.get("effects") or {}
    yield from _pairs(
        ("declared", ", ".join(effects.get("declared") or ())),
        ("observed", ", ".join(map(str, effects.get("observed") or ()))),
        ("undeclared", ", ".join(map(str, effects["undeclared"])) if effects.get("undeclared") else None),
        ("verdict", last.get("verdict")),
        ("rule", last.get("rule")),
        ("matched", ", ".join(last.get("matched") or ())),
        ("reason", last.get("reason")),
        ("policy", (last.get("policy") or {}).get("digest")),
    )
    for key in ("obligations", "budget", "changes"):
        for item in last.get(key) or ():
            yield from _pairs((key, _flat(item)))
    for key in ("approval", "result", "error", "detail"):
        yield from _pairs((key, _flat(last.get(key) or {})))
    yield from _pairs(
        ("status", last.get("status") or "no outcome: the operation was begun and never ended"),
        ("timings", ", ".join(f"{name} {value / 1000:.1f} µs" for name, value in (last.get("dur") or {}).items())),
    )


def _pairs(*pairs: tuple[str, object]) -> Iterator[str]:
    for name, value in pairs:
        if value not in (None, ""):
            yield f"  {name:<12} {value}"


def _flat(item: dict[str, Any]) -> str:
    return ", ".join(f"{name} {value}" for name, value in item.items() if value is not None)


def _target(target: dict[str, Any]) -> str:
    if not target:
        return ""
    text = f"{target.get('name') or ''} {target.get('type', 'object')} #{target.get('id')}".strip()
    text += f", version {target.get('version', 0)}"
    for key in ("roots", "labels"):
        if target.get(key):
            text += f", {key} {' '.join(map(str, target[key]))}"
    return text


def _argument(form: dict[str, Any]) -> str:
    text = f"{form.get('at')}: {form.get('form')} {form.get('type', '')}".rstrip()
    return f"{text} #{form['ref']}" if form.get("ref") is not None else text


# ---- counts


def show_stats(directory: Path, *, as_json: bool) -> Exit:
    """Print a log in numbers."""
    with readable(directory):
        _needs_log(directory)
        found = stats(reader.read(directory))
    if as_json:
        put(f"{json.dumps(found.as_json(), ensure_ascii=True)}\n")
        return Exit.OK
    for line in _numbers(found):
        put(f"{one_line(line)}\n")
    return Exit.OK


def _numbers(found: Stats) -> Iterator[str]:
    span = f", {stamp_of(found.first)} to {stamp_of(found.last)}" if found.first and found.last else ""
    yield f"{found.records} records, {found.operations} operations, {found.sessions} sessions{span}"
    if found.gaps:
        yield f"  {found.gaps} gaps: the log was not always closed cleanly"
    for name in found.open_intents:
        yield f"  begun and never ended: {name}"
    for title, counter in (
        ("effects", found.effects), ("verdicts", found.verdicts), ("statuses", found.statuses), ("rules", found.rules),
        ("agents", found.agents), ("objects", found.objects),
    ):  # fmt: skip
        if counter:
            yield f"{title}"
            yield from (f"  {number:>8}  {word}" for word, number in counter.most_common())
    if found.ledger:
        yield "revealed (agent, object)"
    for (agent, name), item in sorted(found.ledger.items()):
        unknown = f", {item.unmeasured} of unknown amount" if item.unmeasured else ""
        yield f"  {agent}, {name}: {item.cells} cells in {item.rows} rows, {item.looks} looks{unknown}"
        if item.columns:
            yield "    columns " + ", ".join(f"{column} ({number})" for column, number in item.columns.items())


def export_log(directory: Path, jsonl: Path | None, otlp: str | None, parquet: Path | None) -> Exit:
    """Write a log in another form; each that is asked for."""
    if jsonl is None and otlp is None and parquet is None:
        raise Problem("name --jsonl FILE, --otlp URL or --parquet FOLDER")
    with readable(directory):
        _needs_log(directory)
        try:
            if jsonl is not None:
                _write_jsonl(reader.read(directory), jsonl)
            if otlp is not None:
                put(f"{export.to_otlp(reader.read(directory), otlp)} records sent\n", sys.stderr)
            if parquet is not None:
                from proxyplane.audit.columns import to_parquet  # noqa: PLC0415 - an extra

                put(f"{len(to_parquet(directory, parquet))} segments\n", sys.stderr)
        except ImportError as error:
            raise Problem(f"{error.name or 'a package'} is missing; install proxyplane[otel,analytics]") from error
    return Exit.OK


def _write_jsonl(records: Iterable[dict[str, Any]], path: Path) -> None:
    if str(path) == "-":
        export.write_jsonl(records, sys.stdout)
        return
    try:
        with path.open("x", encoding="ascii") as file:
            export.write_jsonl(records, file)
    except FileExistsError:
        raise Problem(f"{path} is there already; name a new file") from None
