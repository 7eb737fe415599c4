"""`proxyplane run` and `exec`: where output goes, and how a run's end becomes an exit code."""

from __future__ import annotations

import io
import json
from pathlib import Path

import pytest

from proxyplane import audit
from proxyplane.cli.problems import Exit

from .conftest import Command

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
