"""What agents are told of their rights: annotated members, and a stub file of what they may use."""

from __future__ import annotations

import ast

import pandas as pd
import pytest

from proxyplane import ControlPlane, Denied, Policy

ASKING = """
schema = 1
default = "deny"
[modules]
guest = "stdlib"
[objects.sales]
hide = ["ssn"]
[[rules]]
id = "compute"
agent = "*"
object = "*"
effect = ["read", "compute", "mutate"]
decide = "allow"
[[rules]]
id = "ask-first"
effect = ["mutate"]
decide = "ask"
reason = "changes are for a person to allow"
[[rules]]
id = "no-describe"
member = ["describe"]
decide = "deny"
reason = "use sum"
"""


def frame() -> pd.DataFrame:
    return pd.DataFrame({"region": ["a"], "ssn": ["871-5001"], "two words": [1], 'x"""\nimport os': [2], "class": [3]})


def test_members_say_what_they_need_and_why():
    """Each member: allow, ask or deny, with the rule and its reason; hidden columns appear nowhere."""
    with (
        ControlPlane(policy=Policy.parse(ASKING)) as plane,
        plane.session("agent", objects={"sales": frame()}) as session,
    ):
        members = session.describe("sales")["members"]
        assert members["groupby"]["verdict"] == "allow"
        assert members["insert"] == {
            "effects": ["mutate"],
            "verdict": "ask",
            "rule": "ask-first",
            "why": "a person must approve it: changes are for a person to allow",
        }
        assert (members["describe"]["verdict"], members["describe"]["why"]) == ("deny", "use sum")
        assert "describe" not in session.list_attrs("sales")
        assert "ssn" not in str(session.describe("sales")) + session.stubs("sales")


@pytest.mark.parametrize("preset", ["open", "analyst", "read_only", "locked"])
def test_a_stub_file_is_python(preset: str):
    """It parses whatever columns are called, and holds what is permitted, with docs."""
    with ControlPlane(policy=Policy.preset(preset)) as plane:
        with plane.session("agent", objects={"sales": frame()}) as session:
            text = session.stubs("sales")
        described = [record for record in plane.log.records() if record.get("verb") == "describe"]
    module = ast.parse(text)
    names = {node.name for node in ast.walk(module) if isinstance(node, ast.ClassDef | ast.FunctionDef)}
    assert "DataFrame" in names
    assert ("groupby" in names) == (preset != "locked")
    assert not [node for node in ast.walk(module) if isinstance(node, ast.Import)]
    assert "region: Any  # column, str" in text
    assert "# column 'two words', int64" in text
    assert described  # it is on record


def test_refused_members_stand_at_the_end_with_the_reason():
    """What is not there is named, so that a model need not try it."""
    with (
        ControlPlane(policy=Policy.parse(ASKING)) as plane,
        plane.session("agent", objects={"sales": frame()}) as session,
    ):
        text = session.stubs("sales")
    assert "#   describe: use sum" in text
    assert "# ask: a person must approve it: changes are for a person to allow" in text


def test_no_schema_no_stubs():
    """Who may not read the schema is told nothing of it."""
    policy = Policy.parse('schema = 1\ndefault = "deny"\n[modules]\nguest = "stdlib"\n')
    with (
        ControlPlane(policy=policy) as plane,
        plane.session("agent", objects={"sales": frame()}) as session,
        pytest.raises(Denied),
    ):
        session.stubs("sales")
