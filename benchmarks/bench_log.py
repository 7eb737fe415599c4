"""The log: appending, verifying, asking and opening, beside the same records into SQLite in WAL mode.

`PROXYPLANE_BENCH_RECORDS` is the size of the long log that is asked; by default 10,000,000.
"""

from __future__ import annotations

import os
import sqlite3
import statistics
import tempfile
import time
from collections.abc import Callable
from itertools import islice
from pathlib import Path
from typing import Any

from proxyplane.audit import AuditLog, verify
from proxyplane.audit import record as field
from proxyplane.audit.index import Index
from proxyplane.audit.query import Query, count, query
from proxyplane.audit.record import Encoder, Prefix

RECORDS = 50_000
ROUNDS = 5
LONG = int(os.environ.get("PROXYPLANE_BENCH_RECORDS", "10000000"))
BEGAN = 1_700_000_000_000_000_000
STEP = 1_000_000
OBJECTS = 200
DENIED = 100
"""Every so manieth record is a refusal."""


def shared(verdict: str = "allow") -> dict[int, Any]:
    """What the road packs once per session, plan and decision."""
    return {
        field.KIND: "effect",
        field.PHASE: "single",
        field.SESSION: "s-0123456789abcdef",
        field.AGENT: "analyst",
        field.VERB: "getattr",
        field.MEMBER: "shape",
        field.EFFECTS: {"declared": ["read"]},
        field.VERDICT: verdict,
        field.RULE: "everything",
        field.STATUS: "ok" if verdict == "allow" else "denied",
    }


def moving(number: int) -> dict[int, Any]:
    """What differs from record to record."""
    return {
        field.ID: number.to_bytes(16, "big"),
        field.OP: number.to_bytes(16, "big"),
        field.TIME: BEGAN + number * STEP,
        field.MONO: number,
        field.TARGET: {
            "id": number % OBJECTS,
            "version": 1,
            "type": "pandas.DataFrame",
            "name": f"df{number % OBJECTS}",
        },
    }


def append_all(log: AuditLog, records: list[dict[int, Any]], prefix: Prefix) -> float:
    """Microseconds per record in the caller's path."""
    began = time.perf_counter()
    for record in records:
        log.append(record, prefix)
    return (time.perf_counter() - began) / len(records) * 1e6


def into_sqlite(path: Path, records: list[dict[int, Any]]) -> float:
    """Microseconds per record, the same bytes, a commit each."""
    base = sqlite3.connect(path, isolation_level=None)
    base.execute("pragma journal_mode=wal")
    base.execute("pragma synchronous=normal")
    base.execute("create table log (seq integer primary key, payload blob)")
    encoder = Encoder()
    prefix = encoder.prefix(shared())
    began = time.perf_counter()
    for number, record in enumerate(records):
        base.execute("insert into log values (?, ?)", (number, encoder.encode(record, number, prefix)))
    spent = (time.perf_counter() - began) / len(records) * 1e6
    base.close()
    return spent


def measure() -> list[dict[str, Any]]:
    """Rows of this benchmark."""
    records = [moving(number) for number in range(RECORDS)]
    ours: list[float] = []
    theirs: list[float] = []
    sustained: list[float] = []
    checks: list[float] = []
    with tempfile.TemporaryDirectory() as folder:
        for round_number in range(ROUNDS):
            where = Path(folder) / f"audit-{round_number}"
            with AuditLog.open(where) as log:
                began = time.perf_counter()
                ours.append(append_all(log, records, log.prefix(shared())))
                log.sync()
                sustained.append(RECORDS / (time.perf_counter() - began))
            began = time.perf_counter()
            assert verify(where).exit_code == 0
            checks.append(RECORDS / (time.perf_counter() - began))
            theirs.append(into_sqlite(Path(folder) / f"log-{round_number}.db", records))
        rows = long_log(Path(folder) / "long")
    mine, other = statistics.median(ours), statistics.median(theirs)
    return [
        {
            "what": "append to the log, encoding included (buffered)",
            "measured": f"{mine:.1f} µs",
            "beside": f"SQLite WAL, a commit each {other:.1f} µs",
            "ratio": round(mine / other, 2),
            "wanted": "2 µs, and not slower than SQLite",
            "met": mine <= 2.0 and mine <= other,
            "raw": {"ours_us": ours, "sqlite_us": theirs},
        },
        at_least("ring to disk, synced at the end", sustained, 250_000),
        at_least("verify", checks, 250_000),
        *rows,
    ]


def at_least(what: str, rates: list[float], wanted: int) -> dict[str, Any]:
    """A row of records per second."""
    rate = statistics.median(rates)
    return {
        "what": what,
        "measured": f"{rate:,.0f} records/s",
        "wanted": f"{wanted:,} records/s",
        "met": rate >= wanted,
        "raw": {"per_second": rates},
    }


def long_log(where: Path) -> list[dict[str, Any]]:
    """Questions to a long log, and opening it."""
    with AuditLog.open(where) as log:
        prefixes = [log.prefix(shared("deny")), *[log.prefix(shared())] * (DENIED - 1)]
        for number in range(LONG):
            log.append(moving(number), prefixes[number % DENIED])
    began = time.perf_counter()
    Index(where).close()
    made = time.perf_counter() - began
    window = Query(since=BEGAN + LONG // 2 * STEP, until=BEGAN + (LONG // 2 + LONG // 100) * STEP)
    asked: list[tuple[str, Callable[[], object], int]] = [
        ("records of one object, counted, and the first 100", lambda: look(where, Query(object="df7")), 100),
        ("refusals, counted", lambda: count(where, Query(verdict="deny")), 200),
        ("a 1 % time window, counted, and the first 100", lambda: look(where, window), 50),
    ]
    assert count(where, Query(verdict="deny")) == -(-LONG // DENIED)
    assert count(where, window) == LONG // 100
    rows = [at_most(f"of {LONG:,} records: {what}", ask, wanted) for what, ask, wanted in asked]
    rows[0]["beside"] = f"the index is made in {made:.0f} s"
    return [*rows, at_most(f"open a log of {LONG:,} records for append", lambda: AuditLog.open(where).close(), 300)]


def look(where: Path, wanted: Query) -> int:
    """What a person asks first: how many, and the first page."""
    list(islice(query(where, wanted), 100))
    return count(where, wanted)


def at_most(what: str, ask: Callable[[], object], wanted: int) -> dict[str, Any]:
    """A row of milliseconds."""
    spent: list[float] = []
    for _ in range(ROUNDS):
        began = time.perf_counter()
        ask()
        spent.append((time.perf_counter() - began) * 1e3)
    middle = statistics.median(spent)
    return {
        "what": what,
        "measured": f"{middle:.0f} ms",
        "wanted": f"{wanted} ms",
        "met": middle <= wanted,
        "raw": {"ms": spent},
    }
