"""`proxyplane run` and `exec`: where output goes, and how a run's end becomes an exit code."""

from __future__ import annotations

import io
import json
import os
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from proxyplane import audit
from proxyplane.cli.problems import Exit
from proxyplane.results import RunResult
from proxyplane.sessions import Session

from .conftest import Command

ROOT = Path(__file__).parents[2]

POLICY = """
schema = 1
[objects.sales]
hide = ["ssn"]
[modules]
host = ["pandas", "numpy"]
[[rules]]
id = "work"
agent = "*"
object = "*"
effect = ["read", "compute", "reveal", "callback"]
decide = "allow"
[[rules]]
id = "no-files"
effect = ["fs.*"]
decide = "deny"
reason = "files are not for agents"
"""


@pytest.fixture
def options(tmp_path: Path, sales: Path) -> tuple[str, ...]:
    """Options with which a run goes well."""
    (tmp_path / "policy.toml").write_text(POLICY, encoding="utf-8")
    return ("--object", "sales=sales.csv", "--policy", "policy.toml", "--audit", "log")


def script(text: str) -> str:
    """A script in the current folder."""
    Path("work.py").write_text(text, encoding="utf-8")
    return "work.py"


def test_run_prints_what_the_script_prints(command: Command, options: tuple[str, ...]):
    """Standard output and error come out where they belong; a last expression is not printed."""
    text = "import sys\nprint(sales.amount.sum())\nprint('careful', file=sys.stderr)\nsales.amount.max()\n"
    ran = command("run", script(text), *options)
    assert ran == (Exit.OK, "60\n", "careful\n")


def test_the_log_holds_what_the_run_did(command: Command, options: tuple[str, ...]):
    """After a run its log is whole, names the script as the agent, and has its operations."""
    command("run", script("print(sales.amount.sum())"), *options)
    assert audit.verify("log").state == "clean"
    records = list(audit.read("log"))
    assert {record["agent"] for record in records if "agent" in record} == {"work"}
    assert any(record.get("member") == "sum" for record in records if record["kind"] == "effect")


def test_runs_share_a_log(command: Command, options: tuple[str, ...]):
    """A second run continues the log of the first."""
    for agent in ("first", "second"):
        assert command("run", script("print(len(sales))"), *options, "--agent", agent).code == Exit.OK
    assert {record["agent"] for record in audit.read("log") if "agent" in record} == {"first", "second"}
    assert audit.verify("log").state == "clean"


def test_a_failing_script_is_code_1_with_the_agents_traceback(command: Command, options: tuple[str, ...]):
    """An error of the agent's code is told with its own frames, as Python does."""
    ran = command("run", script("print('begun')\n\ndef ratio():\n    return 1 / 0\n\nratio()\n"), *options)
    assert (ran.code, ran.out) == (Exit.FAILED, "begun\n")
    assert "line 4, in ratio" in ran.err
    assert ran.err.rstrip().endswith("ZeroDivisionError: division by zero")
    assert "proxyplane/" not in ran.err


def test_a_syntax_error_is_code_1(command: Command, options: tuple[str, ...]):
    """A script that cannot be compiled failed."""
    ran = command("run", script("print('never'\n"), *options)
    assert ran.code == Exit.FAILED
    assert "SyntaxError" in ran.err


def test_a_hidden_column_is_a_key_error(command: Command, options: tuple[str, ...]):
    """A hidden column is absent: an ordinary failure, code 1, and its values are nowhere."""
    ran = command("run", script("sales['ssn']\n"), *options)
    assert ran.code == Exit.FAILED
    assert "KeyError: 'ssn'" in ran.err
    assert "1-1" not in ran.out + ran.err


def test_an_uncaught_refusal_is_code_3_with_rule_and_hint(command: Command, options: tuple[str, ...], tmp_path: Path):
    """A refusal that ends the script names effect, rule and reason, and nothing was written."""
    ran = command("run", script("sales.to_csv('out.csv')\n"), *options)
    assert ran.code == Exit.REFUSED
    for word in ("fs.write", "no-files", "files are not for agents"):
        assert word in ran.err
    assert not (tmp_path / "out.csv").exists()


def test_a_private_member_is_code_3(command: Command, options: tuple[str, ...]):
    """A refused attribute is a refusal too."""
    assert command("run", script("sales._mgr\n"), *options).code == Exit.REFUSED


def test_a_caught_refusal_is_no_failure(command: Command, options: tuple[str, ...]):
    """An agent that handles a refusal goes on."""
    text = "try:\n    sales.to_csv('out.csv')\nexcept PermissionError:\n    print('went on')\n"
    assert command("run", script(text), *options) == (Exit.OK, "went on\n", "")


def test_time_that_is_up_is_code_1(command: Command, options: tuple[str, ...]):
    """A script that does not end is ended, and its log is whole."""
    ran = command("run", script("while True:\n    pass\n"), *options, "--timeout", "0.5")
    assert ran.code == Exit.FAILED
    assert "GuestTimeout" in ran.err
    assert audit.verify("log").state == "clean"


def test_a_policy_that_hides_a_column_that_is_not_there(command: Command, options: tuple[str, ...], tmp_path: Path):
    """A projection that matches nothing is an error before anything runs: code 2, with the column."""
    (tmp_path / "policy.toml").write_text(POLICY.replace('"ssn"', '"sssn"'), encoding="utf-8")
    ran = command("run", script("print('never')"), *options)
    assert (ran.code, ran.out) == (Exit.USAGE, "")
    assert "sssn" in ran.err
    assert "Traceback" not in ran.err


def test_a_policy_for_an_object_that_is_not_granted_is_noted(command: Command, options: tuple[str, ...]):
    """A misspelt name would leave its columns unhidden: a note says that nothing of that name is granted."""
    ran = command("run", script("print('ran')"), "--object", "sale=sales.csv", *options[2:])
    assert ran.code == Exit.OK
    assert "[objects.sales]" in ran.err


def test_two_names_of_one_file_are_one_object(command: Command, options: tuple[str, ...]):
    """A second name for a file does not bring its hidden column back."""
    ran = command("run", script("print(list(again.columns))"), "--object", "again=./sales.csv", *options)
    assert (ran.code, ran.out) == (Exit.OK, "['region', 'amount']\n")


def test_a_tier_that_is_there(command: Command, options: tuple[str, ...]):
    """A run that needs a guest at least `split` finds one on every Linux."""
    assert command("run", script("print(1)"), *options, "--require-tier", "split").code == Exit.OK


def test_hostile_output_reaches_a_file_unchanged(command: Command, options: tuple[str, ...]):
    """Standard output that is no terminal gets what the script printed; errors are always escaped."""
    ran = command("run", script("print('\\x1b[31m')\nraise ValueError('\\x1b[2J')"), *options)
    assert ran.out == "\x1b[31m\n"
    assert "\x1b" not in ran.err
    assert "\\x1b[2J" in ran.err


def test_exec_prints_the_last_expression(command: Command, options: tuple[str, ...]):
    """`exec -c` shows what a REPL shows."""
    ran = command("exec", "-c", "sales.groupby('region').amount.sum().to_dict()", *options)
    assert ran == (Exit.OK, "{'north': 40, 'south': 20}\n", "")


def test_exec_prints_nothing_for_none(command: Command, options: tuple[str, ...]):
    """A REPL prints nothing for None."""
    assert command("exec", "-c", "print(1)", *options) == (Exit.OK, "1\n", "")


def test_exec_reads_standard_input(command: Command, options: tuple[str, ...], monkeypatch: pytest.MonkeyPatch):
    """Without -c the code is what comes on standard input."""
    monkeypatch.setattr("sys.stdin", io.StringIO("x = 2\nx * 21\n"))
    assert command("exec", *options) == (Exit.OK, "42\n", "")


def test_exec_ends_with_the_same_codes(command: Command, options: tuple[str, ...]):
    """A refusal in `exec` is code 3 too."""
    assert command("exec", "-c", "sales.to_csv('x.csv')", *options).code == Exit.REFUSED


@pytest.mark.parametrize(
    ("ending", "code"),
    [("sys.exit()", Exit.OK), ("sys.exit(0)", Exit.OK), ("sys.exit(3)", Exit.FAILED), ("sys.exit('no')", Exit.FAILED)],
)
def test_a_script_that_exits_by_itself(command: Command, options: tuple[str, ...], ending: str, code: Exit):
    """`sys.exit` ends a script well or not, as it does in Python; its number stays the script's own affair."""
    assert command("run", script(f"import sys\n{ending}\n"), *options).code == code


@pytest.mark.parametrize(("code", "words"), [("print('\udcff')", "not UTF-8"), ("#" * (1 << 21), "at most 1,048,576")])
def test_code_that_cannot_be_sent(command: Command, options: tuple[str, ...], code: str, words: str):
    """Bytes that are no text, and more text than a guest takes, are told before anything starts."""
    ran = command("exec", "-c", code, *options)
    assert (ran.code, ran.out) == (Exit.USAGE, "")
    assert words in ran.err
    assert not Path("log").exists()


def test_a_log_that_ends_during_a_run_is_code_4(
    command: Command, options: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
):
    """Without its log a run comes to nothing: what the code printed is not shown."""
    unharmed = Session.run

    def run(session: Session, code: str, timeout: float) -> RunResult:
        pid = session.plane.log.writer_pid
        assert pid is not None
        os.kill(pid, signal.SIGKILL)
        return unharmed(session, code, timeout)

    monkeypatch.setattr(Session, "run", run)
    ran = command("run", script("print(sales.amount.sum())"), *options)
    assert (ran.code, ran.out) == (Exit.AUDIT, "")
    assert "audit log" in ran.err
    assert "Traceback" not in ran.err


def test_an_interrupted_run_ends_with_130_and_a_clean_log(options: tuple[str, ...], tmp_path: Path):
    """Ctrl-C ends guest, log and command; nothing is left open."""
    text = "print('begun')\nwhile True:\n    len(sales)\n"
    (tmp_path / "work.py").write_text(text, encoding="utf-8")
    arguments = [sys.executable, "-m", "proxyplane", "run", "work.py", *options]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    running = subprocess.Popen(arguments, cwd=tmp_path, env=environment, stderr=subprocess.PIPE, text=True)
    try:
        for record in (
            audit.follow(tmp_path / "log", stop=lambda: running.poll() is not None) if started(tmp_path) else ()
        ):
            if record.get("verb") == "len":
                break
    finally:
        running.send_signal(signal.SIGINT)
        _, err = running.communicate(timeout=30)
    assert running.returncode == 130
    assert "Traceback" not in err
    verdict = audit.verify(tmp_path / "log")
    assert (verdict.state, verdict.closed) == ("clean", True)


def started(folder: Path) -> bool:
    """Whether a log begins to be written in the folder within ten seconds."""
    deadline = time.monotonic() + 10
    while not list(folder.glob("log/*.seg")) and time.monotonic() < deadline:
        time.sleep(0.01)
    return bool(list(folder.glob("log/*.seg")))


def test_a_reader_that_has_seen_enough_is_no_problem(command: Command, options: tuple[str, ...]):
    """`proxyplane audit tail | head -1` ends quietly."""
    for _ in range(4):
        assert command("exec", "-c", "[len(sales) for _ in range(200)]", *options).code == Exit.OK
    line = f"{shlex.quote(sys.executable)} -m proxyplane audit tail log -n 100000 --json | head -n 1"
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(["sh", "-c", line], env=environment, capture_output=True, text=True, check=True)
    assert json.loads(done.stdout)["seq"] == 0
    assert done.stderr == ""


def test_doctor_tells_the_tier(command: Command):
    """`doctor --json` tells a tier and every probe with what refused it; its code says whether that is enough."""
    ran = command("doctor", "--json")
    found = json.loads(ran.out)
    assert found["tier"] in ("sealed", "filtered", "split")
    assert all({"name", "refused", "how"} == set(each) for each in found["probes"])
    assert (ran.code == Exit.OK) == found["ok"]
    assert found["ok"] == (found["tier"] != "split" and all(each["refused"] for each in found["probes"]))


def test_doctor_for_people(command: Command):
    """`doctor` begins with the tier and ends with how many attacks were refused."""
    lines = command("doctor").out.splitlines()
    assert lines[0].startswith("tier: ")
    assert lines[-1].endswith("attacks refused")
