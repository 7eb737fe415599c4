"""What people type wrong: one screen that says what was expected, what came and what to do; never a traceback."""

from __future__ import annotations

from pathlib import Path

import pytest

from proxyplane.cli.problems import Exit, guess

from .conftest import Command

GOOD = ("--policy", "read_only", "--audit", "log")


@pytest.fixture
def script(tmp_path: Path) -> str:
    """A script that would run."""
    (tmp_path / "work.py").write_text("print('ran')\n", encoding="utf-8")
    return "work.py"


def expect_problem(command: Command, arguments: tuple[str, ...], *words: str, code: int = Exit.USAGE) -> None:
    ran = command(*arguments)
    assert ran.code == code, ran.err
    assert "Traceback" not in ran.err
    assert ran.out == ""
    assert len(ran.err.splitlines()) <= 24
    for word in words:
        assert word in ran.err


def test_version(command: Command):
    """`--version` prints name and version."""
    ran = command("--version")
    assert (ran.code, ran.out) == (0, "proxyplane 0.1.0\n")


def test_without_arguments_it_tells_the_commands(command: Command):
    """A bare `proxyplane` shows its commands and is no success."""
    ran = command()
    assert ran.code == Exit.USAGE
    assert all(name in ran.out + ran.err for name in ("run", "exec", "demo", "doctor", "audit"))


@pytest.mark.parametrize(
    "arguments",
    [
        ("fly",),
        ("run",),
        ("run", "x.py"),
        ("run", "x.py", "--policy", "open"),
        ("run", "x.py", "--fast"),
        ("audit", "x"),
    ],
)
def test_bad_usage_is_code_2(command: Command, arguments: tuple[str, ...]):
    """Unknown commands and options, and missing ones, are usage errors."""
    ran = command(*arguments)
    assert ran.code == Exit.USAGE
    assert "Traceback" not in ran.err


def test_missing_script(command: Command, script: str):
    """A script that is not there: the nearest one is named."""
    expect_problem(command, ("run", "wrok.py", *GOOD), "there is no script wrok.py", "did you mean work.py?")


def test_script_is_a_folder(command: Command, tmp_path: Path):
    """A folder is no script."""
    (tmp_path / "folder").mkdir()
    expect_problem(command, ("run", "folder", *GOOD), "folder cannot be read")


def test_script_is_not_utf8(command: Command, tmp_path: Path):
    """A script in another encoding is told by the byte."""
    (tmp_path / "latin.py").write_bytes(b"x = '\xe9'\n")
    expect_problem(command, ("run", "latin.py", *GOOD), "not UTF-8", "byte 5")


@pytest.mark.parametrize("item", ["sales", "=sales.csv", "sales=", "sales.csv"])
def test_object_is_not_name_and_file(command: Command, script: str, item: str):
    """`--object` without a name or a file shows an example."""
    expect_problem(
        command, ("run", script, "--object", item, *GOOD), f"NAME=FILE, not {item!r}", "sales=data/sales.csv"
    )


@pytest.mark.parametrize("name", ["my-sales", "2024", "class", "_private", "a b", "größe"])
def test_object_name_is_no_identifier(command: Command, script: str, sales: Path, name: str):
    """A name that the agent could not write is refused before anything starts."""
    expect_problem(command, ("run", script, "--object", f"{name}=sales.csv", *GOOD), repr(name), "letter")


def test_object_name_twice(command: Command, script: str, sales: Path):
    """One name for two files is an error, not a surprise."""
    given = ("--object", "s=sales.csv", "--object", "s=other.csv")
    expect_problem(command, ("run", script, *given, *GOOD), "'s' twice", "sales.csv and other.csv")


def test_object_name_of_a_module(command: Command, script: str, sales: Path):
    """A name that hides a granted module is an error."""
    expect_problem(command, ("run", script, "--object", "pandas=sales.csv", *GOOD), "'pandas'", "module")


def test_missing_data_file_with_a_near_one(command: Command, script: str, sales: Path):
    """A misspelt data file: the nearest one is named."""
    expect_problem(
        command, ("run", script, "--object", "s=slaes.csv", *GOOD), "no file slaes.csv", "did you mean sales.csv?"
    )


def test_missing_data_file_tells_what_there_is(command: Command, script: str, sales: Path):
    """A data file that is like nothing there: what is there is listed."""
    expect_problem(
        command, ("run", script, "--object", "s=zzzzz.parquet", *GOOD), "data files in this folder: sales.csv"
    )


def test_missing_data_folder(command: Command, script: str):
    """A folder that is not there is told as such."""
    expect_problem(command, ("run", script, "--object", "s=nowhere/s.csv", *GOOD), "nowhere does not exist")


@pytest.mark.parametrize("name", ["sales.xlsx", "sales", "sales.pkl"])
def test_unknown_extension(command: Command, script: str, name: str):
    """An extension that is not supported: the supported ones are listed."""
    expect_problem(command, ("run", script, "--object", f"s={name}", *GOOD), "supported: .csv", ".parquet")


def test_unknown_policy(command: Command, script: str):
    """A misspelt preset: the nearest one is named."""
    given = ("run", script, "--policy", "analist", "--audit", "log")
    expect_problem(command, given, "no policy file or preset 'analist'", "did you mean analyst?")


def test_bad_policy_leads_to_the_line(command: Command, script: str, tmp_path: Path):
    """A policy with a misspelt effect: file, line and the nearest effect."""
    rule = 'schema = 1\n\n[[rules]]\nid = "r"\nagent = "*"\nobject = "*"\neffect = ["revel"]\ndecide = "allow"\n'
    (tmp_path / "bad.toml").write_text(rule, encoding="utf-8")
    given = ("run", script, "--policy", "bad.toml", "--audit", "log")
    expect_problem(command, given, "bad.toml:7:", "revel", "reveal")


def test_unknown_tier(command: Command, script: str):
    """A tier that does not exist: the tiers are listed."""
    expect_problem(command, ("run", script, *GOOD, "--require-tier", "seald"), "'seald'", "did you mean sealed?")


@pytest.mark.parametrize("seconds", ["0", "-1", "soon"])
def test_timeout_is_no_time(command: Command, script: str, seconds: str):
    """A timeout must be a positive number of seconds."""
    assert command("run", script, *GOOD, "--timeout", seconds).code == Exit.USAGE


@pytest.mark.parametrize("agent", ["", "a\nb", "x" * 201])
def test_agent_name(command: Command, script: str, agent: str):
    """An agent's name is short and printable: it stands in the log."""
    expect_problem(command, ("run", script, *GOOD, "--agent", agent), "--agent")


def test_log_in_memory(command: Command, script: str):
    """A log that would end with the command is refused."""
    expect_problem(command, ("run", script, "--policy", "open", "--audit", ":memory:"), "--audit needs a directory")


def test_audit_is_a_file(command: Command, script: str, sales: Path):
    """Without a log nothing runs: code 4."""
    given = ("run", script, "--policy", "open", "--audit", "sales.csv")
    expect_problem(command, given, "audit log", code=Exit.AUDIT)


def test_audit_is_not_writable(command: Command, script: str):
    """A folder that may not be written, not even by root, is code 4."""
    given = ("run", script, "--policy", "open", "--audit", "/proc/self/log")
    expect_problem(command, given, "audit log", code=Exit.AUDIT)


def test_audit_is_held_by_another_writer(command: Command, script: str, tmp_path: Path):
    """Two writers never share a log: the second one is told, code 4."""
    from proxyplane.audit import AuditLog

    with AuditLog.open(tmp_path / "log"):
        expect_problem(command, ("run", script, *GOOD), "audit log", code=Exit.AUDIT)


def test_messages_do_not_obey_what_was_typed(command: Command, script: str):
    """Terminal escapes in arguments are shown, not obeyed."""
    ran = command("run", script, "--object", "\x1b[31mx", *GOOD)
    assert "\x1b" not in ran.err


def test_guess_names_the_nearest_and_the_rest():
    """A hint names the nearest known name first, then what there is."""
    assert guess("opne", ["open", "locked"], of="presets") == "did you mean open? presets: locked, open"
    assert guess("zzz", [], of="presets") == "presets: none"
