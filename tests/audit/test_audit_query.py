"""Questions to a log: filters, the index, numbers, columns, and other programs' forms."""

from __future__ import annotations

import gzip
import io
import json
import os
import shutil
import sqlite3
import subprocess
import sys
import threading
import time
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from proxyplane.audit import AuditLog, export, read, verify
from proxyplane.audit.index import Index
from proxyplane.audit.query import Query, count, find_operation, follow, query
from proxyplane.audit.stats import stats
from proxyplane.clock import Identifiers, SystemClock
from proxyplane.errors import AuditCorrupt

DOC = Path(__file__).parents[2] / "docs" / "audit-format.md"
BEGAN = 1_700_000_000_000_000_000
IDS = Identifiers(SystemClock())


def effect(number: int, **more: Any) -> dict[str, Any]:
    """An effect record; every third is a refusal, every fifth shows rows."""
    identifier = IDS.next()
    found: dict[str, Any] = {
        "kind": "effect",
        "phase": "single",
        "id": identifier,
        "op": identifier,
        "time": BEGAN + number * 1_000_000_000,
        "session": f"s-{number % 2}",
        "agent": f"analyst-{number % 4}",
        "verb": ("getattr", "call", "getitem")[number % 3],
        "member": "head",
        "target": {"id": number % 7, "version": 0, "type": "pandas.DataFrame", "roots": ["sales"]},
        "effects": {"declared": ["read", "reveal"] if number % 5 == 0 else ["read"]},
        "verdict": "deny" if number % 3 == 0 else "allow",
        "rule": "look",
        "status": "denied" if number % 3 == 0 else "ok",
        "where": {"line": number, "code_sha256": (b"\1" if number < 20 else b"\2") * 32},
    }
    if number % 7 == 0:
        found["target"]["name"] = "sales"
    if number % 11 == 0:
        found["target"]["labels"] = ["personal", "eu"]
    if number % 5 == 0:
        found["result"] = {"crossing": "value", "rows": number, "cells": number * 2, "cols": ["region"]}
    return {**found, **more}


def fill(log: AuditLog, count: int = 40) -> None:
    """Two pieces of code and effects of them."""
    for digest, text in ((b"\1", "df.head()"), (b"\2", "df.groupby('region').sum()")):
        where, detail = {"code_sha256": digest * 32}, {"text": text, "part": 0, "parts": 1}
        log.append({"kind": "code", "time": BEGAN, "session": "s-0", "agent": "a", "where": where, "detail": detail})
    for number in range(count):
        log.append(effect(number))


@pytest.fixture
def log(tmp_path: Path) -> Path:
    """A closed log of several segments."""
    with AuditLog.open(tmp_path / "log", segment_bytes=4000) as opened:
        fill(opened)
    assert len(list((tmp_path / "log").glob("*.seg"))) > 2
    return tmp_path / "log"


FILTERS: list[tuple[Query, Any]] = [
    (Query(), lambda r: True),
    (Query(kind="code"), lambda r: r["kind"] == "code"),
    (Query(agent="analyst-2"), lambda r: r["agent"] == "analyst-2"),
    (Query(agent="analyst-*"), lambda r: r["agent"].startswith("analyst")),
    (Query(session="s-1"), lambda r: r["session"] == "s-1"),
    (Query(object="sales"), lambda r: r.get("target", {}).get("name") == "sales"),
    (Query(object="#3"), lambda r: r.get("target", {}).get("id") == 3),
    (Query(lineage="sales"), lambda r: "sales" in r.get("target", {}).get("roots", ())),
    (Query(label="eu"), lambda r: "eu" in r.get("target", {}).get("labels", ())),
    (Query(verb="call", verdict="allow"), lambda r: (r.get("verb"), r.get("verdict")) == ("call", "allow")),
    (Query(effect="reveal"), lambda r: "reveal" in r.get("effects", {}).get("declared", ())),
    (Query(verdict="deny"), lambda r: r.get("verdict") == "deny"),
    (Query(rule="l??k", status="ok"), lambda r: r.get("rule") == "look" and r["status"] == "ok"),
    (Query(min_rows=10, max_rows=30), lambda r: 10 <= r.get("result", {}).get("rows", -1) <= 30),
    (
        Query(since=BEGAN + 5_000_000_000, until=BEGAN + 9_000_000_000),
        lambda r: BEGAN + 5_000_000_000 <= r["time"] < BEGAN + 9_000_000_000,
    ),
    (Query(code="groupby"), lambda r: r["where"]["code_sha256"] == "02" * 32),
    (Query(agent="nobody"), lambda r: False),
]


@pytest.mark.parametrize("index", [True, False])
@pytest.mark.parametrize(("wanted", "meant"), FILTERS, ids=[str(number) for number in range(len(FILTERS))])
def test_each_filter_means_what_it_says(log: Path, wanted: Query, meant: Any, index: bool) -> None:
    """With and without the index a filter gives exactly the records that are meant, in order, and counts them."""
    expected = [record for record in read(log) if meant(record)]
    assert list(query(log, wanted, index=index)) == expected
    assert count(log, wanted, index=index) == len(expected)


WORDS = {
    "kind": st.sampled_from(["effect", "code"]),
    "agent": st.sampled_from(["analyst-1", "analyst-?", "a"]),
    "object": st.sampled_from(["sales", "#1", "nothing"]),
    "verdict": st.sampled_from(["allow", "deny", "*"]),
    "effect": st.sampled_from(["read", "reveal"]),
    "min_rows": st.integers(0, 40),
    "since": st.integers(BEGAN, BEGAN + 40_000_000_000),
    "until": st.integers(BEGAN, BEGAN + 40_000_000_000),
    "code": st.sampled_from(["head", "groupby", "absent"]),
}


@settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(filters=st.fixed_dictionaries({}, optional=WORDS))
def test_filters_compose(log: Path, filters: dict[str, Any]) -> None:
    """Any filters together give the same with the index as by reading everything."""
    wanted = Query(**filters)
    assert list(query(log, wanted)) == list(query(log, wanted, index=False))
    assert count(log, wanted) == count(log, wanted, index=False)


def test_every_filter_is_tried() -> None:
    """No field of a query is left out by the tests above."""
    used = {item.name for wanted, _ in FILTERS for item in fields(Query) if getattr(wanted, item.name) is not None}
    assert used == {item.name for item in fields(Query)}


# ---- the index (fault 28)


def test_the_index_keeps_up(tmp_path: Path) -> None:
    """What was appended since is found, in the same and in later segments, while the log is open and after."""
    place = tmp_path / "log"
    for _ in range(2):
        with AuditLog.open(place, segment_bytes=4000) as opened:
            for _ in range(2):
                fill(opened, 15)
                opened.sync()
                for wanted in (Query(verdict="deny"), Query()):
                    assert count(place, wanted) == count(place, wanted, index=False)
    assert verify(place).state == "clean"


@pytest.mark.parametrize("how", ["removed", "emptied", "rubbish", "older", "another", "edited", "version"])
def test_a_damaged_index_is_made_again(log: Path, tmp_path: Path, how: str) -> None:
    """Whatever happened to the index, questions have the right answer, and verify never asked it."""
    wanted = Query(verdict="deny")
    expected = list(query(log, wanted, index=False))
    assert list(query(log, wanted)) == expected
    path = log / "index" / "index.sqlite"
    if how == "removed":
        path.unlink()
    elif how == "emptied":
        os.truncate(path, 0)
    elif how == "rubbish":
        path.write_bytes(os.urandom(10_000))
    elif how == "another":
        with AuditLog.open(tmp_path / "other") as other:
            fill(other, 5)
        Index(tmp_path / "other").close()
        shutil.copy(tmp_path / "other" / "index" / "index.sqlite", path)
    else:
        base = sqlite3.connect(path)
        statement = {
            "older": "delete from entries where seq > 10",
            "edited": "update entries set at = at + 1",
            "version": "pragma user_version = 99",
        }[how]
        base.execute(statement)
        base.commit()
        base.close()
    before = verify(log)
    assert list(query(log, wanted)) == expected
    assert count(log, wanted) == len(expected)
    assert (verify(log), before.state) == (before, "clean")


def test_flipped_bytes_of_the_index_never_raise_or_invent(log: Path) -> None:
    """With any page of the index changed a question still gives only records that are meant, without an error."""
    wanted = Query(agent="analyst-1")
    expected = list(query(log, wanted))
    path = log / "index" / "index.sqlite"
    data = path.read_bytes()
    for at in range(0, len(data), 997):
        changed = bytearray(data)
        changed[at] ^= 0xFF
        path.write_bytes(changed)
        assert all(record in expected for record in query(log, wanted)), f"byte {at}"


def test_an_index_that_another_process_makes_is_not_thrown_away(log: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """While somebody else writes the index, the log itself answers, and the other's work stays."""
    wanted = Query(verdict="deny")
    expected = list(query(log, wanted))
    with AuditLog.open(log) as opened:
        opened.append(effect(0))
    native = sqlite3.connect
    monkeypatch.setattr(sqlite3, "connect", lambda *args, **options: native(*args, **{**options, "timeout": 0.01}))
    other = native(log / "index" / "index.sqlite", isolation_level=None)
    other.execute("begin immediate")
    other.execute("insert into words (word) values ('mine')")
    assert len(list(query(log, wanted))) == len(expected) + 1
    other.execute("commit")
    assert other.execute("select count(*) from words where word = 'mine'").fetchone() == (1,)
    other.close()
    assert count(log, wanted) == len(expected) + 1


def test_a_folder_that_takes_no_index_is_read(log: Path) -> None:
    """Where no index can be made the log itself answers."""
    (log / "index").write_text("a file is in the way")
    assert count(log, Query(verdict="deny")) == 14


def test_a_changed_record_is_not_answered(log: Path) -> None:
    """A record whose bytes were changed after it was indexed is an error and not an answer."""
    list(query(log, Query()))
    path = log / "00000001.seg"
    data = bytearray(path.read_bytes())
    data[data.index(b"analyst-1")] ^= 1
    path.write_bytes(data)
    with pytest.raises(AuditCorrupt):
        list(query(log, Query(agent="analyst-1")))


def test_follow_filters_what_comes(tmp_path: Path) -> None:
    """Following gives what is meant of what is there and of what comes, also by code that comes later."""
    place = tmp_path / "log"
    with AuditLog.open(place) as opened:
        fill(opened, 30)
        opened.sync()
        done = threading.Event()
        found = follow(place, Query(code="groupby", verdict="deny"), poll=0.005, stop=done.is_set)
        seen = [next(found)["seq"]]
        opened.append(effect(33))
        opened.sync()
        done.set()
        seen += [record["seq"] for record in found]
    assert seen == [record["seq"] for record in query(place, Query(code="groupby", verdict="deny"), index=False)]


def test_an_operation_is_found_by_number_and_id(tmp_path: Path) -> None:
    """By the number of a record, the id of the operation, or its start: all its records and what it caused."""
    place = tmp_path / "log"
    own, child = IDS.next(), IDS.next()
    now = time.time_ns()
    with AuditLog.open(place) as opened:
        fill(opened, 5)
        opened.append(effect(1, id=IDS.next(), op=own, phase="intent", time=now))
        opened.append(effect(2, id=child, op=child, parent=own, time=now))
        opened.append(effect(3, id=IDS.next(), op=own, phase="outcome", time=now))
    for index in (True, False):
        for identifier in ("7", "9", own.hex()[:8] + "-" + own.hex()[8:12] + "-" + own.hex()[12:16]):
            found = find_operation(place, identifier, index=index)
            assert [record["seq"] for record in found] == [7, 8, 9], identifier
        assert find_operation(place, "999", index=index) == []
        assert [record["kind"] for record in find_operation(place, "1", index=index)] == ["code"]
        for absent in ("ffffffff-ffff", "", "00", "01", str(10**30)):
            assert find_operation(place, absent, index=index) == [], absent


# ---- numbers


def test_the_ledger_says_what_reached_whom(log: Path) -> None:
    """Counts are those of the records, and revealed rows, cells and columns stand beside agent and object."""
    found = stats(read(log))
    records = list(read(log))
    effects = [record for record in records if record["kind"] == "effect"]
    assert (found.records, found.operations) == (42, 40)
    assert found.verdicts == {"deny": 14, "allow": 26}
    assert found.objects == {"sales": 40}
    shown = [r for r in effects if "reveal" in r["effects"]["declared"] and r["status"] == "ok"]
    assert sum(item.cells for item in found.ledger.values()) == sum(r["result"]["cells"] for r in shown)
    assert sum(item.columns["region"] for item in found.ledger.values()) == len(shown)
    assert {agent for agent, _ in found.ledger} == {r["agent"] for r in shown}
    assert json.loads(json.dumps(found.as_json()))["operations"] == 40


def test_an_intent_without_outcome_is_told(tmp_path: Path) -> None:
    """What was begun and never ended is counted by its operation."""
    with AuditLog.open(tmp_path / "log") as opened:
        for phase in ("intent", "outcome", "intent"):
            opened.append(effect(1, op=b"\1" * 16 if phase == "outcome" else b"\2" * 16, phase=phase))
    assert len(stats(read(tmp_path / "log")).open_intents) == 1


# ---- Parquet and SQL


def test_sql_sees_every_record(log: Path) -> None:
    """Over sealed segments as Parquet and the newest one as it is, SQL counts what reading counts."""
    pytest.importorskip("duckdb")
    pytest.importorskip("pyarrow")
    from proxyplane.audit.columns import sql, to_parquet

    names, rows = sql(log, "select verdict, count(*) n from log where kind = 'effect' group by 1 order by 1")
    assert (names, rows) == (["verdict", "n"], [("allow", 26), ("deny", 14)])
    _, rows = sql(log, "select seq, record from log order by seq")
    assert [json.loads(text) for _, text in rows] == [json.loads(json.dumps(record)) for record in read(log)]
    copies = to_parquet(log)
    assert len(copies) == len(list(log.glob("*.seg"))) - 1
    stamps = [path.stat().st_mtime_ns for path in copies]
    assert [path.stat().st_mtime_ns for path in to_parquet(log)] == stamps
    assert verify(log).state == "clean"


@pytest.mark.parametrize(
    "statement",
    [
        "copy log to '{place}/out.csv'",
        "select * from read_csv('/etc/passwd')",
        "attach '{place}/other.db'",
        "set enable_external_access=true",
        "install httpfs",
        "select nothing from nowhere",
    ],
)
def test_sql_reaches_nothing_but_the_log(log: Path, tmp_path: Path, statement: str) -> None:
    """A statement that reads or writes files, loads extensions or is none is refused."""
    pytest.importorskip("duckdb")
    pytest.importorskip("pyarrow")
    from proxyplane.audit.columns import sql

    before = sorted(tmp_path.iterdir())
    with pytest.raises(ValueError):
        sql(log, statement.format(place=tmp_path))
    assert sorted(tmp_path.iterdir()) == before


# ---- exports


def test_json_lines_are_the_records(log: Path) -> None:
    """Each line is one record in ASCII, without control characters."""
    stream = io.StringIO()
    assert export.write_jsonl(read(log), stream) == 42
    lines = stream.getvalue().splitlines()
    assert [json.loads(line) for line in lines] == [json.loads(json.dumps(record)) for record in read(log)]
    assert export.json_line({"agent": "\x1b[2J\x7f\u202e\n"}).isascii()
    assert not set(export.json_line({"agent": "\x1b[2J\x7f\u202e\n"})) & set(map(chr, [*range(32), 127]))


def test_the_mapping_is_what_the_document_says() -> None:
    """`docs/audit-format.md` lists each exported field with its OpenTelemetry name, and the export uses these names."""
    text = DOC.read_text(encoding="utf-8")
    for name, there in export.MAPPING.items():
        shown = f"`{there}`" if "." in there and " " not in there else there
        assert f"| {shown} | `{name}` |" in text, name
    made = export.attributes_of(
        effect(0, for_=None) | {"for": "user", "request_id": "r", "via": "mcp", "op": "x", "reason": "budget",
        "policy": {"digest": "00"}, "error": {"type": "KeyError"}, "seq": 3}
    )  # fmt: skip
    known = {there for there in export.MAPPING.values() if "." in there and " " not in there}
    assert set(made) == known | {"gen_ai.operation.name", "mcp.method.name"}


@pytest.mark.parametrize(
    ("more", "severity"),
    [
        ({}, 9),
        ({"verdict": "deny"}, 13),
        ({"verdict": "ask"}, 13),
        ({"verdict": "redact"}, 13),
        ({"effects": {"declared": [], "undeclared": ["net"]}}, 17),
        ({"kind": "gap"}, 17),
        ({"status": "panic"}, 17),
    ],
)
def test_severities(more: dict[str, Any], severity: int) -> None:
    """What was refused is a warning, what was not declared an error."""
    assert export.severity_of(effect(1) | more) == severity


RECEIVER = """
import http.server, sys
class Taker(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        kind = self.headers.get("Content-Encoding", "identity")
        sys.stdout.buffer.write(f"{self.path} {kind} {len(body)}\\n".encode() + body)
        sys.stdout.buffer.flush()
        self.send_response(200)
        self.send_header("Content-Type", "application/x-protobuf")
        self.send_header("Content-Length", "0")
        self.end_headers()
    def log_message(self, *arguments):
        pass
server = http.server.HTTPServer(("127.0.0.1", 0), Taker)
print(server.server_port, flush=True)
server.serve_forever()
"""


def test_opentelemetry_arrives(log: Path) -> None:
    """A receiver in a process of its own gets every record as a log record and every operation as a span, as mapped."""
    pytest.importorskip("opentelemetry.exporter.otlp.proto.http")
    from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
    from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

    receiver = subprocess.Popen([sys.executable, "-I", "-c", RECEIVER], stdout=subprocess.PIPE)
    assert receiver.stdout is not None
    try:
        port = int(receiver.stdout.readline())
        assert export.to_otlp(read(log), f"http://127.0.0.1:{port}") == 42
    finally:
        receiver.kill()
        told = receiver.stdout.read()
        receiver.stdout.close()
        receiver.wait()
    logs, spans = [], []
    while told:
        line, _, told = told.partition(b"\n")
        path, kind, size = line.decode().split()
        body, told = told[: int(size)], told[int(size) :]
        body = gzip.decompress(body) if kind == "gzip" else body
        if path == "/v1/logs":
            logs += [
                item
                for one in ExportLogsServiceRequest.FromString(body).resource_logs
                for scope in one.scope_logs
                for item in scope.log_records
            ]
        else:
            assert path == "/v1/traces"
            spans += [
                item
                for one in ExportTraceServiceRequest.FromString(body).resource_spans
                for scope in one.scope_spans
                for item in scope.spans
            ]
    records = list(read(log))
    effects = [record for record in records if record["kind"] == "effect"]
    assert [item.event_name for item in logs] == [f"proxyplane.{record['kind']}" for record in records]
    assert [item.time_unix_nano for item in logs] == [record["time"] for record in records]
    assert [item.severity_number for item in logs] == [export.severity_of(record) for record in records]
    attributes = [{each.key: each.value for each in item.attributes} for item in logs]
    assert [item["proxyplane.log.seq"].int_value for item in attributes] == [record["seq"] for record in records]
    assert attributes[5]["gen_ai.agent.id"].string_value == records[5]["agent"]
    assert [span.name for span in spans] == ["execute_tool DataFrame.head"] * len(effects)
    assert [span.span_id.hex() for span in spans] == [record["op"].replace("-", "")[16:] for record in effects]
    assert len({span.trace_id for span in spans}) == 2
    assert [span.status.code for span in spans] == [2 if r["status"] == "denied" else 0 for r in effects]


def test_a_receiver_that_is_not_there_is_an_error(log: Path) -> None:
    """What was not taken is never counted as sent."""
    pytest.importorskip("opentelemetry.exporter.otlp.proto.http")
    with pytest.raises(OSError, match="did not take"):
        export.to_otlp(read(log), "http://127.0.0.1:9", timeout=0.2)
