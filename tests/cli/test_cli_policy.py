"""`proxyplane policy`: faults all at once, tests, explanations, and recorded logs under other policies."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from proxyplane import ControlPlane, Policy
from proxyplane.cli.problems import Exit

from .conftest import Command

POLICY = """schema = 1

[objects.sales]
labels = ["customer-data"]
show = ["region", "amount"]

[budgets.seen]
limit = 100
per = "session"

[[rules]]
id = "work"
agent = "analyst-*"
object = "sales"
effect = ["read", "compute"]
decide = "allow"

[[rules]]
id = "look"
agent = "analyst-*"
object = "sales"
effect = "reveal"
when = { rows = "<= 5" }
charge = { seen = "rows" }
decide = "allow"

[[rules]]
id = "no-files"
effect = "fs.*"
decide = "deny"

[[tests]]
try = { agent = "analyst-1", object = "sales", effect = ["read", "fs.write"] }
expect = { decision = "deny", rule = "no-files" }
"""


@pytest.fixture
def policy(tmp_path: Path) -> Path:
    """The policy as a file in the folder where commands run."""
    (tmp_path / "p.toml").write_text(POLICY)
    return tmp_path / "p.toml"


@pytest.fixture
def log(tmp_path: Path, policy: Path) -> Path:
    """A log of two agents under that policy."""
    pandas = pytest.importorskip("pandas", reason="the log is of a DataFrame")
    frame = pandas.DataFrame({"region": ["n", "s"] * 10, "amount": range(20), "ssn": ["1-1"] * 20})
    with ControlPlane(policy=Policy.load(policy), audit=tmp_path / "log") as plane:
        with plane.session("analyst-1", objects={"sales": frame}) as session:
            session.run("sales.groupby('region').amount.sum()")
            session.run("sales.head(3).amount.tolist()")
            session.run("sales.amount.tolist()")
            session.run("import pandas as pd")
            session.run("f = sales.head\nlen(f(2))")
            session.run("sales.amount.isin([sales.region]).any()")
        with plane.session("intern", objects={"sales": frame}) as session:
            session.run("sales.amount.sum()")
    return tmp_path / "log"


def test_check(command: Command, policy: Path) -> None:
    """Tests are run, rules that no test reaches are told, and so is what is probably not meant."""
    ran = command("policy", "check", "p.toml", "--object", "sales")
    assert ran.code == Exit.OK, ran.err
    assert "ok: 3 rules, 1 tests, 0 failed, 1 notes" in ran.out
    assert "coverage: 2 of 3 rules" in ran.out
    assert "not reached: look (p.toml, line 18)" in ran.out
    assert "counts per session: whoever can open sessions resets it" in ran.out
    assert command("policy", "check", "p.toml", "--strict").code == Exit.FAILED
    assert "describes an object that is not granted" in command("policy", "check", "p.toml", "--object", "x").out


def test_all_faults_at_once(command: Command, tmp_path: Path) -> None:
    """Each with file, line and what was meant; members and types are compared with the catalogs."""
    text = POLICY.replace('effect = "fs.*"', 'effect = "fs.raed"\nmember = "to_cvs"\ntype = "pandas.Dataframe"')
    (tmp_path / "bad.toml").write_text(text.replace("limit = 100", "limits = 100"))
    ran = command("policy", "check", "bad.toml")
    assert ran.code == Exit.USAGE
    assert "5 faults in the policy" in ran.err
    for line, hint in ((8, '"limit"'), (7, ""), (29, '"fs.read"'), (30, '"to_csv"'), (31, '"pandas.DataFrame"')):
        assert f"bad.toml:{line}: " in ran.err
        assert hint in ran.err
    missing = command("policy", "check", "pp.toml")
    assert (missing.code, "did you mean p.toml" in missing.err or "bad.toml" in missing.err) == (Exit.USAGE, True)


def test_tests(command: Command, policy: Path) -> None:
    """All tests are told, and one that fails makes the command fail."""
    assert command("policy", "test", "p.toml").out.startswith("pass p.toml:")
    policy.write_text(POLICY.replace('rule = "no-files"', 'rule = "work"'))
    ran = command("policy", "test", "p.toml")
    assert ran.code == Exit.FAILED
    assert "FAIL p.toml:" in ran.out
    assert "expected deny by work, came deny by no-files" in ran.out


def test_schema(command: Command) -> None:
    """The schema is JSON, and names every key that a file may have."""
    found = json.loads(command("policy", "schema").out)
    keys = "schema default mode require_tier objects budgets modules fs rules tests".split()
    assert set(found["properties"]) == set(keys)
    rule = found["$defs"]["RuleShape"]["properties"]
    assert {"id", "decide", "when", "unless", "redact", "ask", "charge", "declassify"} <= set(rule)
    assert all("description" in each for name, each in rule.items() if name != "schema")


def test_explain_what_might_come(command: Command, policy: Path) -> None:
    """Verdict, deciding rule as it is written with file and line, what failed, and what would turn it."""
    options = ["--agent", "analyst-1", "--object", "sales", "--effect", "reveal", "--rows", "7"]
    ran = command("policy", "explain", "p.toml", *options)
    assert ran.out.startswith(
        "deny: implicit deny, of the effect reveal\nby rule look (p.toml, line 18):\n    [[rules]]\n"
    )
    assert 'when = { rows = "<= 5" }' in ran.out
    assert "would be allow: with rows = 5 (now 7)" in ran.out
    found = json.loads(command("policy", "explain", "p.toml", *options, "--json").out)
    assert (found["verdict"], found["rule"], found["line"], found["kind"]) == ("deny", "look", 18, "implicit deny")
    assert command("policy", "explain", "p.toml", *options[:-1], "5").out.startswith("allow: allowed")
    assert command("policy", "explain", "p.toml").code == Exit.USAGE
    assert "did you mean reveal" in command("policy", "explain", "p.toml", "--agent", "a", "--effect", "raveal").err


def test_explain_what_was_recorded(command: Command, log: Path) -> None:
    """A refusal of the log, by its number."""
    number = json.loads(command("audit", "tail", str(log), "-n", "99", "--json").out.splitlines()[-2])["seq"]
    ran = command("policy", "explain", "p.toml", "--log", str(log), "--record", str(number))
    assert ran.out.startswith(f"record {number} was decided: deny\ndeny: implicit deny")
    assert 'agent is "intern", not "analyst-*"' in ran.out
    assert command("policy", "explain", "p.toml", "--log", str(log), "--record", "0").code == Exit.USAGE


def test_diff(command: Command, log: Path, tmp_path: Path) -> None:
    """Nothing flips under the same policy; under a milder one exactly what was refused before."""
    same = command("policy", "diff", "p.toml", "p.toml", "--log", str(log))
    assert (same.code, same.out.splitlines()[-1].startswith("0 kinds")) == (Exit.OK, True), same.out
    (tmp_path / "mild.toml").write_text(POLICY.replace("<= 5", "<= 50"))
    ran = command("policy", "diff", "p.toml", "mild.toml", "--log", str(log))
    assert ran.code == Exit.FAILED
    (line, _) = ran.out.splitlines()
    assert line.startswith(
        "deny -> allow  1 x  analyst-1: call pandas.Series.tolist on sales (compute,reveal, 20 rows)"
    )
    (flip,) = json.loads(command("policy", "diff", "p.toml", "mild.toml", "--log", str(log), "--json").out)
    assert (flip["before"], flip["after"], flip["times"], flip["rule"]) == ("deny", "allow", 1, "work")


def test_learn(command: Command, log: Path, tmp_path: Path) -> None:
    """The learned file allows what was allowed and refuses what was refused, passes its tests and replaces nothing."""
    ran = command("policy", "learn", str(log), "-o", "learned.toml")
    assert ran.code == Exit.OK, ran.err
    assert "0 of them it would not allow, 0 refused ones it would" in ran.err
    assert command("policy", "test", "learned.toml").code == Exit.OK
    assert command("policy", "diff", "p.toml", "learned.toml", "--log", str(log)).code == Exit.OK
    learned = Policy.load(tmp_path / "learned.toml")
    assert {rule.agent for rule in learned.rules} == {("analyst-1",)}
    assert {rule.object for rule in learned.rules} == {("sales",)}
    assert command("policy", "learn", str(log), "-o", "learned.toml").code == Exit.USAGE
    assert command("policy", "learn", str(log)).out == (tmp_path / "learned.toml").read_text()


def test_layers(command: Command, policy: Path, tmp_path: Path) -> None:
    """Commands take further layers; what they exclude is told."""
    (tmp_path / "managed.toml").write_text('schema = 1\n[[rules]]\nid = "none"\ndecide = "deny"\n')
    options = ["--agent", "analyst-1", "--object", "sales", "--effect", "read", "--layer", "managed.toml"]
    assert "by rule none (managed.toml, line 2)" in command("policy", "explain", "p.toml", *options).out
    (tmp_path / "managed.toml").write_text('schema = 1\n[[rules]]\nid = "work"\ndecide = "deny"\n')
    ran = command("policy", "explain", "p.toml", *options)
    assert (ran.code, "used in two layers" in ran.err) == (Exit.USAGE, True)


def test_presets_are_policies(command: Command) -> None:
    """A preset stands wherever a file does."""
    for name in ("open", "read_only", "analyst", "locked"):
        assert command("policy", "check", name).code == Exit.OK
