"""What a policy file becomes."""

from __future__ import annotations

from pathlib import Path

import pytest

from proxyplane.decisions import Charge, Decision
from proxyplane.errors import PolicyError
from proxyplane.policies import Budget, FsGrant, Policy

from .asking import request

ANALYST = """
# policies/analyst.toml: what an analyst agent may do in this notebook
schema  = 1
default = "deny"                          # an operation no rule speaks of

[objects.sales]                           # facts about the namespace
type   = "pandas.DataFrame"
labels = ["customer-data"]
show   = ["region", "product", "day", "amount", "customer"]

[objects.costs]
hide   = "margin"

[budgets.revealed_rows]                   # counted over everything that the agent sees of it
limit    = 500
per      = "principal"
exceeded = "deny"

[[rules]]
id     = "compute-on-sales"
agent  = "analyst-*"
object = "sales"                          # sales and everything derived from it
effect = ["read", "compute"]
decide = "allow"

[modules]
host  = ["pandas", "numpy"]
guest = "stdlib"

[[rules]]
id     = "show-results"
agent  = "analyst-*"
object = "sales"
effect = ["reveal"]
when   = { rows = "<= 100" }              # at most 100 in one look
charge = { revealed_rows = "rows" }
decide = "allow"

[[rules]]
id     = "no-outside-world"
effect = ["fs.write", "net", "process", "exec"]
decide = "deny"
"""


def test_the_worked_example() -> None:
    """The example of the language decides as its author says."""
    policy = Policy.parse(ANALYST)

    def ask(*effects: str, agent: str = "analyst-1", roots: str = "sales", rows: int | None = None) -> Decision:
        return policy.decide(request(*effects, agent=agent, roots=roots, rows=rows, labels="customer-data"))

    written = ask("read", "fs.write")
    assert (written.verdict, written.rule, written.effect) == ("deny", "no-outside-world", "fs.write")
    assert ask("mutate").verdict == "deny"
    assert ask("read", "reveal", rows=101).verdict == "deny"
    assert ask("read", "reveal").verdict == "deny"
    assert ask("read", "reveal", rows=100).charges == (Charge("revealed_rows", frozenset({"sales"}), 100),)
    assert ask("read", "compute").verdict == "allow"
    assert ask("read", agent="visitor").verdict == "deny"
    assert ask("read", "compute", roots="sales costs").verdict == "deny"


def test_facts_of_the_file() -> None:
    """Objects, budgets and modules arrive as written."""
    policy = Policy.parse(ANALYST)
    sales = policy.objects["sales"]
    assert (sales.type, sales.labels) == ("pandas.DataFrame", {"customer-data"})
    assert (sales.show, sales.hide) == (("region", "product", "day", "amount", "customer"), ())
    assert (policy.objects["costs"].show, policy.objects["costs"].hide) == (None, ("margin",))
    assert policy.budgets == {
        "revealed_rows": Budget("revealed_rows", 500, "principal", "deny", "rows", ("show-results",))
    }
    assert (policy.modules.host, policy.modules.guest) == (("pandas", "numpy"), "stdlib")
    assert (policy.fs, policy.require_tier, policy.name) == (None, None, "<policy>")
    text = ANALYST.splitlines()
    for rule in policy.rules:
        assert rule.line is not None
        assert text[rule.line - 1] == "[[rules]]"
        assert text[rule.line] == f'id     = "{rule.id}"'
    with pytest.raises(TypeError):
        policy.objects["more"] = sales  # type: ignore[index]


def test_the_smallest_policy() -> None:
    """A version alone is a policy: one that allows nothing."""
    policy = Policy.parse("schema = 1")
    assert (policy.rules, dict(policy.objects), dict(policy.budgets)) == ((), {}, {})
    assert (policy.modules.host, policy.modules.guest) == ((), "stdlib")


def test_files_and_tier(tmp_path: Path) -> None:
    """`root` is relative to the folder of the file, else to the current directory."""
    text = 'schema = 1\nrequire_tier = "sealed"\n[fs]\nroot = "work"\nread = "data/*.csv"\nwrite = ["out/**"]\n'
    text += '[modules]\nguest = ["json", "os.path"]\n'
    (tmp_path / "p.toml").write_text(text)
    policy = Policy.load(tmp_path / "p.toml")
    assert policy.fs == FsGrant(tmp_path / "work", ("data/*.csv",), ("out/**",))
    assert (policy.name, policy.require_tier, policy.modules.guest) == ("p.toml", "sealed", ("json", "os.path"))
    here = Policy.parse(text)
    assert here.fs is not None
    assert here.fs.root == Path.cwd() / "work"
    assert here.digest == policy.digest


def test_the_digest_speaks_of_meaning() -> None:
    """Comments, layout and a string for a list of one change nothing; any change of meaning does."""
    base = Policy.parse(ANALYST).digest
    assert len(base) == 32
    same = ANALYST.replace("# facts about the namespace", "").replace('["reveal"]', '"reveal"').replace("\n\n", "\n")
    assert Policy.parse(same, file="other").digest == base
    changes = [
        ("500", "501"),
        ("<= 100", "<= 99"),
        ('"sales"', '"sale?"'),
        ('hide   = "margin"', 'hide = "cost"'),
        ('"customer-data"', '"pii"'),
        ('"numpy"', '"polars"'),
        ('"net", ', ""),
        ('= "rows"', '= "cells"'),
        ("schema  = 1", 'schema = 1\nrequire_tier = "split"'),
        ("[modules]", "[fs]\n[modules]"),
    ]
    digests = {Policy.parse(ANALYST.replace(old, new)).digest for old, new in changes}
    assert len(digests | {base}) == len(changes) + 1


def test_unreadable_files(tmp_path: Path) -> None:
    """A missing file, a folder and bytes that are not text are policy errors with the file's name."""
    bad = tmp_path / "bad.toml"
    bad.write_bytes(b"schema = 1\n# \xff\n")
    for path, message in ((tmp_path / "none.toml", "cannot be read"), (tmp_path, "cannot be read"), (bad, "UTF-8")):
        with pytest.raises(PolicyError, match=message) as caught:
            Policy.load(path)
        assert caught.value.file == str(path)
    assert caught.value.line == 2


def test_warnings() -> None:
    """What is legal but probably not meant is listed: names, budgets, files."""
    text = """
schema = 1
[objects.salse]
hide = "x"
[budgets.never]
limit = 1
[budgets.often]
limit = 1
per = "session"
[fs]
read = "*"
[[rules]]
id = "typo"
agent = "*"
object = ["salse", "t*"]
effect = ["read", "fs.write"]
charge = { often = "rows" }
decide = "allow"
"""
    found = Policy.parse(text).check(["sales"])
    expected = ["typo", "objects.salse", "never", "often", "charges for content", "fs.read"]
    assert len(found) == len(expected)
    assert all(any(word in warning for warning in found) for word in expected)
    assert 'did you mean "sales"' in found[1]
    clean = text.replace("salse", "sales").replace('"session"', '"day"').replace("[budgets.never]\nlimit = 1\n", "")
    clean = clean.replace('"fs.write"', '"fs.read", "reveal"')
    assert Policy.parse(clean).check(["sales"]) == []
    assert "without [fs]" in Policy.parse(clean.replace('[fs]\nread = "*"\n', "")).check(["sales"])[0]
