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


@pytest.mark.parametrize("what", ["verify", "tail"])
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
