"""The demo: the same script natively and in a sealed guest, and a table that is counted from the log."""

from __future__ import annotations

import contextlib
import io
import tomllib
from pathlib import Path

import pytest

from proxyplane import audit
from proxyplane.cli.demo import count_operations, example
from proxyplane.cli.problems import Exit

from .conftest import Command, Ran

pd = pytest.importorskip("pandas", reason="the demo analyses a DataFrame; the core installs without pandas")


@pytest.fixture(scope="module")
def shown(tmp_path_factory: pytest.TempPathFactory) -> tuple[Ran, Path]:
    """One run of the demo, and its log."""
    from proxyplane.cli import main

    log = tmp_path_factory.mktemp("demo") / "log"
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        code = main(["demo", "--audit", str(log)])
    return Ran(code, out.getvalue(), err.getvalue()), log


def test_the_demo_ends_well(shown: tuple[Ran, Path]):
    """It exits with 0, says nothing on standard error, and its log is clean."""
    ran, log = shown
    assert (ran.code, ran.err) == (Exit.OK, "")
    assert "audit verify: clean" in ran.out
    assert audit.verify(log).state == "clean"


def test_the_analysis_prints_what_it_prints_natively(shown: tuple[Ran, Path]):
    """Up to the refusals the guest's output is, to the character, that of plain pandas."""
    hidden = tomllib.loads(example("analyst.toml").read_text(encoding="utf-8"))["objects"]["visits"]["hide"]
    analysis, marker, _ = example("analyst.py").read_text(encoding="utf-8").partition("# --- ")
    assert marker
    visits = pd.read_csv(example("data/randhie.csv")).drop(columns=hidden)
    out = io.StringIO()
    with contextlib.redirect_stdout(out):
        exec(compile(analysis, "analyst.py", "exec"), {"visits": visits})
    assert len(out.getvalue().splitlines()) > 30
    assert out.getvalue() in shown[0].out


def test_the_three_things_fail_as_they_must(shown: tuple[Ran, Path]):
    """A hidden column is absent, a file is refused by its rule, a look beyond the cap names the cap."""
    refusals = shown[0].out.partition("a hidden column:")[2]
    assert "KeyError: 'disea'" in refusals
    assert "fs.write" in refusals
    assert "no-outside-world" in refusals
    assert "20 rows" in refusals
    assert "went through" not in refusals


def test_the_demo_shows_no_hidden_column(shown: tuple[Ran, Path]):
    """Names of hidden columns occur in the refusal only, their values nowhere in the log."""
    ran, log = shown
    assert ran.out.count("disea") == 1
    assert b"13.73189" not in b"".join(path.read_bytes() for path in log.glob("*.seg"))


def test_the_table_is_counted_from_the_log(shown: tuple[Ran, Path]):
    """Each row of the table is what a reader of the log counts."""
    ran, log = shown
    counted = count_operations(audit.read(log))
    assert counted["fs.write", "refused"] == 1
    assert counted["mutate", "allowed"] > 0
    for effect in {effect for effect, _ in counted}:
        row = next(line for line in ran.out.splitlines() if line.startswith(f"│ {effect} "))
        numbers = [int(cell) for cell in row.strip("│").split("│")[1:]]
        assert numbers == [counted[effect, ending] for ending in ("allowed", "refused", "raised")]


def test_an_operation_with_two_records_counts_once():
    """The record before an operation is replaced by the one after it; a look has one record."""
    before = {"kind": "effect", "op": "1", "effects": {"declared": ["mutate"]}, "phase": "intent"}
    after = {**before, "phase": "outcome", "status": "error"}
    refused = {"kind": "effect", "op": "2", "effects": {"declared": ["read", "reveal"]}, "status": "denied"}
    assert count_operations([{"kind": "session.open"}, before, refused, after]) == {
        ("mutate", "raised"): 1,
        ("read", "refused"): 1,
        ("reveal", "refused"): 1,
        ("all operations", "raised"): 1,
        ("all operations", "refused"): 1,
    }


def test_the_demo_makes_a_new_log_each_time(command: Command, tmp_path: Path):
    """Without --audit each run has a folder of its own below `.demo`."""
    assert command("demo").code == Exit.OK
    assert command("demo").code == Exit.OK
    assert len(list((tmp_path / ".demo").iterdir())) == 2
