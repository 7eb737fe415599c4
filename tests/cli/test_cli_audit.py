"""`proxyplane audit`: verdicts as exit codes, records as lines that a terminal cannot be fooled with."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from proxyplane.audit import AuditLog
from proxyplane.cli.problems import Exit
from proxyplane.clock import Identifiers, SystemClock

from .conftest import Command

NASTY = "\x1b[2Jmallory\nroot"


def effect(number: int, agent: str = "analyst-1") -> dict[str, object]:
    """A record of one look."""
    clock = SystemClock()
    identifier = Identifiers(clock).next()
    return {
        "kind": "effect",
        "phase": "single",
        "id": identifier,
        "op": identifier,
        "time": 1_700_000_000_000_000_000 + number,
        "session": "s-1",
        "agent": agent,
        "verb": "getattr",
        "member": "shape",
        "target": {"id": 1, "version": 0, "name": "sales", "type": "pandas.DataFrame"},
        "effects": {"declared": ["read"]},
        "verdict": "allow",
        "rule": "look",
        "status": "ok",
    }


@pytest.fixture
def log(tmp_path: Path) -> Path:
    """A closed log of five records, the last by an agent with a nasty name."""
    with AuditLog.open(tmp_path / "log") as opened:
        for number in range(4):
            opened.append(effect(number))
        opened.append(effect(4, NASTY))
    return tmp_path / "log"


def test_verify_clean(command: Command, log: Path):
    """A whole log is `clean`, `unanchored`, code 0."""
    ran = command("audit", "verify", str(log))
    assert ran.code == 0
    assert ran.out.startswith("clean unanchored since 0; 5 records")


def test_verify_a_changed_byte(command: Command, log: Path):
    """A changed byte is a fault, code 1."""
    segment = next(log.glob("*.seg"))
    data = bytearray(segment.read_bytes())
    data[len(data) // 2] ^= 1
    segment.write_bytes(data)
    ran = command("audit", "verify", str(log))
    assert ran.code == 1
    assert ran.out.split()[0].startswith("corrupt")


@pytest.mark.parametrize("what", ["verify", "tail", "query", "stats"])
def test_no_log(command: Command, tmp_path: Path, what: str):
    """What is no log is code 4, with a sentence."""
    (tmp_path / "empty").mkdir()
    for name in ("empty", "missing"):
        ran = command("audit", what, name)
        assert ran.code == Exit.AUDIT
        assert name in ran.out + ran.err or "no audit log" in ran.out
        assert "Traceback" not in ran.err


def test_tail_shows_the_last_records(command: Command, log: Path):
    """One line for each record: number, agent, what was done to what, effects, verdict, rule."""
    ran = command("audit", "tail", str(log), "-n", "2")
    lines = ran.out.splitlines()
    assert ran.code == 0
    assert [int(line.split()[0]) for line in lines] == [3, 4]
    for word in ("2023-11-14 22:13:20", "analyst-1", "getattr sales.shape", "read", "allow", "ok", "by look"):
        assert word in lines[0]


def test_tail_escapes_names(command: Command, log: Path):
    """An agent's name cannot clear the screen or make a line of its own."""
    ran = command("audit", "tail", str(log), "-n", "1")
    assert len(ran.out.splitlines()) == 1
    assert "\\x1b[2Jmallory\\nroot" in ran.out


def test_tail_as_json(command: Command, log: Path):
    """`--json` gives one object on each line, in ASCII."""
    ran = command("audit", "tail", str(log), "--json")
    records = [json.loads(line) for line in ran.out.splitlines()]
    assert ran.out.isascii()
    assert [record["seq"] for record in records] == [0, 1, 2, 3, 4]
    assert records[-1]["agent"] == NASTY


def test_tail_of_nothing(command: Command, log: Path):
    """No records asked, none shown."""
    ran = command("audit", "tail", str(log), "-n", "0")
    assert (ran.code, ran.out) == (0, "")


def test_follow_shows_new_records_until_interrupted(tmp_path: Path):
    """`--follow` shows what is appended while it runs, each once, and ends at Ctrl-C without a traceback."""
    arguments = [sys.executable, "-m", "proxyplane", "audit", "tail", str(tmp_path / "log"), "-n", "1", "-f", "--json"]
    with AuditLog.open(tmp_path / "log") as opened:
        for number in range(2):
            opened.append(effect(number))
        opened.sync()
        follower = subprocess.Popen(arguments, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        assert follower.stdout is not None
        try:
            seen = [json.loads(follower.stdout.readline())["seq"]]
            for number in range(2, 4):
                opened.append(effect(number))
                opened.sync()
                seen.append(json.loads(follower.stdout.readline())["seq"])
        finally:
            follower.send_signal(signal.SIGINT)
            rest, err = follower.communicate(timeout=20)
        assert seen == [1, 2, 3]
        assert (follower.returncode, rest) == (130, "")
        assert "Traceback" not in err


def test_anchored_and_not(command: Command, log: Path, tmp_path: Path):
    """`anchor` takes the newest checkpoint away, and `verify --anchor` then says `anchored`."""
    place = str(tmp_path / "anchor")
    assert command("audit", "anchor", str(log), "--to", place).out == "5 records anchored\n"
    assert command("audit", "verify", str(log), "--anchor", place).out.startswith("clean anchored; 5 records")
    with AuditLog.open(log) as opened:
        opened.append(effect(5))
    assert command("audit", "verify", str(log), "--anchor", place).out.startswith("clean unanchored since 5; 6 records")
    assert command("audit", "anchor", str(tmp_path / "none"), "--to", place).code == Exit.AUDIT


def test_verify_with_a_key(command: Command, log: Path, tmp_path: Path):
    """`--key` takes the line or a file with it; another key is a fault."""
    line = (log / "log.pub").read_text().strip()
    for key in (line, str(log / "log.pub")):
        assert command("audit", "verify", str(log), "--key", key).code == 0
    with AuditLog.open(tmp_path / "other") as other:
        other.append(effect(0))
    ran = command("audit", "verify", str(log), "--key", str(tmp_path / "other" / "log.pub"))
    assert (ran.code, ran.out.split()[0]) == (1, "bad-signature")


def test_prove_and_the_standalone_verifier(command: Command, log: Path, tmp_path: Path):
    """`prove` writes a proof that the verifier which `verify --standalone` writes accepts, on its own."""
    verifier, proof = tmp_path / "verifier.py", tmp_path / "proof"
    assert command("audit", "verify", "--standalone", str(verifier)).code == 0
    assert command("audit", "prove", str(log), "4", "-o", str(proof)).code == 0
    assert command("audit", "prove", str(log), "4").out.encode() == proof.read_bytes()
    for arguments in (["log", str(log)], ["proof", str(proof), "--key", (log / "log.pub").read_text().strip()]):
        ran = subprocess.run(
            [sys.executable, "-I", "-S", str(verifier), *arguments],
            capture_output=True,
            text=True,
            timeout=60,
            check=True,
        )
        assert ran.stdout.isascii()
    assert json.loads(ran.stdout)["agent"] == NASTY
    assert command("audit", "verify", "--standalone", str(verifier)).code == Exit.USAGE
    assert command("audit", "prove", str(log), "5").code == Exit.USAGE
    assert command("audit", "verify").code == Exit.USAGE


def test_query_filters(command: Command, log: Path):
    """Filters together, as lines, as JSON, and counted."""
    found = command("audit", "query", str(log), "--agent", "analyst-*", "--object", "sales", "--json")
    assert [json.loads(line)["seq"] for line in found.out.splitlines()] == [0, 1, 2, 3]
    assert command("audit", "query", str(log), "--verdict", "deny", "--count").out == "0\n"
    assert command("audit", "query", str(log), "--count", "--no-index").out == "5\n"
    assert len(command("audit", "query", str(log), "-n", "2").out.splitlines()) == 2
    assert command("audit", "query", str(log), "--since", "2023-11-14T22:13:21", "--count").out == "0\n"
    assert command("audit", "query", str(log), "--until", "2023-11-15", "--count").out == "5\n"
    assert command("audit", "query", str(log), "--since", "7d", "--count").out == "0\n"
    ran = command("audit", "query", str(log), "--since", "yesterday")
    assert (ran.code, "no time" in ran.err) == (Exit.USAGE, True)


def test_everything_that_is_shown_is_escaped(command: Command, log: Path):
    """No command lets the text of an agent reach the terminal as it is."""
    pages = [
        command("audit", "query", str(log)),
        command("audit", "show", str(log), "4"),
        command("audit", "show", str(log), "4", "--json"),
        command("audit", "stats", str(log)),
        command("audit", "stats", str(log), "--json"),
        command("audit", "export", str(log), "--jsonl", "-"),
        command("audit", "query", str(log), "--agent", NASTY),
        command("audit", "show", str(log), NASTY),
    ]
    for page in pages:
        assert "\x1b" not in page.out + page.err
        assert "\nroot" not in page.out + page.err


def test_show_is_the_page_of_an_operation(command: Command, tmp_path: Path):
    """Code line, target with version, declared effects, verdict, rule and timings; what it caused below."""
    log = tmp_path / "log"
    own, child, digest = b"\1" * 16, b"\2" * 16, b"\3" * 32
    where, dur = {"line": 2, "code_sha256": digest}, {"total": 5000, "lower": 1000}
    with AuditLog.open(log) as opened:
        text = {"text": "a = 1\nb = df\n", "part": 0, "parts": 1}
        opened.append({"kind": "code", "where": {"code_sha256": digest}, "detail": text})
        opened.append(effect(1) | {"id": own, "op": own, "phase": "intent", "where": where, "status": None})
        opened.append(effect(2) | {"id": child, "op": child, "parent": own})
        opened.append(effect(3) | {"id": own, "op": own, "phase": "outcome", "where": where, "dur": dur})
    page = command("audit", "show", str(log), "1").out
    for word in (
        "records      1 intent, 3 outcome", ">    2  b = df", "getattr shape", "sales pandas.DataFrame #1, version 0",
        "declared     read", "verdict      allow", "rule         look", "total 5.0 µs", "caused       2",
    ):  # fmt: skip
        assert word in page, page
    assert command("audit", "show", str(log), "77").code == Exit.USAGE


def test_stats_and_exports(command: Command, log: Path, tmp_path: Path):
    """Numbers for a person and as JSON; JSON Lines into a new file only."""
    assert "5 records, 5 operations" in command("audit", "stats", str(log)).out
    assert json.loads(command("audit", "stats", str(log), "--json").out)["verdicts"] == {"allow": 5}
    target = tmp_path / "out.jsonl"
    assert command("audit", "export", str(log), "--jsonl", str(target)).code == 0
    assert [json.loads(line)["seq"] for line in target.read_text().splitlines()] == [0, 1, 2, 3, 4]
    assert command("audit", "export", str(log), "--jsonl", str(target)).code == Exit.USAGE
    assert command("audit", "export", str(log)).code == Exit.USAGE
    assert command("audit", "export", str(log), "--otlp", "http://127.0.0.1:9").code == Exit.AUDIT


def test_sql(command: Command, log: Path):
    """`--sql` prints a table, or JSON; what is no statement is a usage error."""
    pytest.importorskip("duckdb")
    pytest.importorskip("pyarrow")
    ran = command("audit", "query", str(log), "--sql", "select agent, count(*) n from log group by 1 order by 2 desc")
    assert [line.split() for line in ran.out.splitlines()[:2]] == [["agent", "n"], ["analyst-1", "4"]]
    assert "\\x1b[2Jmallory" in ran.out
    ran = command("audit", "query", str(log), "--json", "--sql", "select count(*) n from log")
    assert json.loads(ran.out) == {"n": 5}
    assert command("audit", "query", str(log), "--sql", "select from").code == Exit.USAGE
