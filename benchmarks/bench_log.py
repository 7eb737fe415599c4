"""The log: an append in the caller's path, and verification, beside the same records into SQLite in WAL mode."""

from __future__ import annotations

import sqlite3
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

from proxyplane.audit import AuditLog, verify
from proxyplane.audit import record as field
from proxyplane.audit.record import Encoder

RECORDS = 50_000
ROUNDS = 5


def sample(number: int) -> dict[int, Any]:
    """A record as the road writes it."""
    return {
        field.KIND: "effect",
        field.PHASE: "single",
        field.ID: number.to_bytes(16, "big"),
        field.OP: number.to_bytes(16, "big"),
        field.TIME: 1_700_000_000_000_000_000 + number,
        field.MONO: number,
        field.SESSION: "s-0123456789abcdef",
        field.AGENT: "analyst",
        field.VERB: "getattr",
        field.MEMBER: "shape",
        field.TARGET: {"id": 7, "version": 1, "type": "pandas.DataFrame", "name": "df"},
        field.EFFECTS: {"declared": ["read"], "catalog": "sha256:0"},
        field.VERDICT: "allow",
        field.RULE: "everything",
        field.STATUS: "ok",
    }


def measure() -> list[dict[str, Any]]:
    """Rows of this benchmark."""
    records = [sample(number) for number in range(RECORDS)]
    ours: list[float] = []
    theirs: list[float] = []
    checks: list[float] = []
    with tempfile.TemporaryDirectory() as folder:
        for round_number in range(ROUNDS):
            where = Path(folder) / f"audit-{round_number}"
            with AuditLog.open(where) as log:
                began = time.perf_counter()
                for record in records:
                    log.append(record)
                ours.append((time.perf_counter() - began) / RECORDS * 1e6)
                log.sync()
            began = time.perf_counter()
            assert verify(where).exit_code == 0
            checks.append(RECORDS / (time.perf_counter() - began))
            base = sqlite3.connect(Path(folder) / f"log-{round_number}.db", isolation_level=None)
            base.execute("pragma journal_mode=wal")
            base.execute("pragma synchronous=normal")
            base.execute("create table log (seq integer primary key, payload blob)")
            encode = Encoder().encode
            began = time.perf_counter()
            for number, record in enumerate(records):
                base.execute("insert into log values (?, ?)", (number, encode(record, number)))
            theirs.append((time.perf_counter() - began) / RECORDS * 1e6)
            base.close()
    mine, other = statistics.median(ours), statistics.median(theirs)
    return [
        {
            "what": "append to the log, encoding included (buffered)",
            "measured": f"{mine:.1f} µs",
            "beside": f"SQLite WAL, a commit each {other:.1f} µs",
            "ratio": round(mine / other, 2),
            "raw": {"ours_us": ours, "sqlite_us": theirs},
        },
        {"what": "verify", "measured": f"{statistics.median(checks):,.0f} records/s", "raw": {"per_second": checks}},
    ]
