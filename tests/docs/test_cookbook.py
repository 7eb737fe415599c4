"""The ten policies of the cookbook: their own tests pass, and on a real table they do what their text says."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from proxyplane import ControlPlane, Policy
from proxyplane.policies import try_all

PAGE = (Path(__file__).parents[2] / "docs" / "policies-cookbook.md").read_text(encoding="utf-8")
RECIPES = dict(re.findall(r"^## \d+\. ([^\n]+)\n.*?^```toml\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL))
Ask = Callable[..., list[str]]


def test_there_are_ten() -> None:
    """Nobody has lost one."""
    assert len(RECIPES) == 10


@pytest.mark.parametrize("name", RECIPES)
def test_each_recipe_passes_its_tests(name: str) -> None:
    """It loads, has tests that allow or ask and tests that refuse, and every rule is reached by one of them."""
    policy = Policy.parse(RECIPES[name], file=name)
    results = try_all(policy)
    assert [str(result) for result in results if not result.passed] == []
    assert len({trial.decision for trial in policy.trials}) > 1
    reached = {rule for result in results for rule in (*result.decision.matched, result.decision.rule)}
    assert {rule.id for rule in policy.rules} <= reached


@pytest.fixture
def asked(tmp_path: Path) -> Iterator[Ask]:
    """Runs pieces of code under a recipe and tells what came of each: the value, or the error's type."""
    planes: list[ControlPlane] = []

    def run(recipe: str, agent: str, codes: list[str], name: str = "sales", **options: Any) -> list[str]:
        pandas = pytest.importorskip("pandas", reason="the recipes are tried on a DataFrame")
        frame = pandas.DataFrame(
            {"region": ["n", "s"] * 100, "product": ["p"] * 200, "amount": range(200), "ssn": ["1-1"] * 200}
        ).assign(consent=[True] * 150 + [False] * 50)
        plane = ControlPlane(policy=Policy.parse(RECIPES[recipe], folder=tmp_path), **options)
        planes.append(plane)
        session = plane.session(agent, objects={name: frame})
        results = [session.run(code) for code in codes]
        return [str(each.value) if each.error is None else each.error.type for each in results]

    yield run
    for plane in planes:
        plane.close()


def test_read_only_analyst(asked: Ask) -> None:
    """Looks of 100 rows, computes on all, changes nothing."""
    codes = [
        "len(sales.amount.head(100).tolist())",
        "sales.amount.tolist()",
        "sales['x'] = 1",
        "sales.amount.sum().item()",
    ]
    assert asked("Read-only analyst", "analyst-1", codes) == ["100", "Denied", "Denied", "19900"]


def test_personal_data_hidden(asked: Ask) -> None:
    """The column and the rows are not there; a table without the projection is refused as soon as it has the column."""
    codes = ["sales.shape", "sales.ssn", "sales['ssn']", "sales.head(2).to_dict('list')"]
    found = asked("Personal data hidden", "a", codes)
    assert found == [
        "(150, 3)",
        "AttributeError",
        "KeyError",
        "{'region': ['n', 's'], 'product': ['p', 'p'], 'amount': [0, 1]}",
    ]
    assert asked("Personal data hidden", "a", ["t.head(1).to_dict()"], name="t") == ["Denied"]


def test_aggregates_only(asked: Ask) -> None:
    """Rows are never shown."""
    codes = ["patients.head(3).to_dict()", "patients.amount.tolist()", "patients.shape"]
    assert asked("Aggregates only, of at least ten", "a", codes, name="patients") == ["Denied", "Denied", "(200, 5)"]


def test_feature_engineer(asked: Ask) -> None:
    """A yes makes the column, a no does not; nothing is dropped whoever says yes."""
    codes = ["sales['x'] = sales.amount * 2\nlen(sales.columns)", "sales.drop(columns=['ssn'], inplace=True)"]
    assert asked("Feature engineer", "features-1", codes, approver=lambda _: True) == ["6", "Denied"]
    found = asked("Feature engineer", "features-1", codes, approver=lambda _: False)
    assert found == ["ApprovalRejected", "Denied"]


def test_pair_programmer(asked: Ask) -> None:
    """It works on the objects and changes them after a yes."""
    codes = ["sales.head(1).amount.tolist()", "sales.sort_values('amount', inplace=True)"]
    found = asked("Notebook pair programmer", "pair", codes, approver=lambda _: False)
    assert found == ["[0]", "ApprovalRejected"]


def test_ci_bot(asked: Ask, tmp_path: Path) -> None:
    """Reports are tables below reports/; fixtures are read, and nothing else."""
    (tmp_path / "fixtures").mkdir()
    (tmp_path / "reports").mkdir()
    (tmp_path / "fixtures" / "a.csv").write_text("x\n1\n")
    (tmp_path / "b.csv").write_text("x\n1\n")
    codes = [
        "import pandas as pd\nlen(pd.read_csv('fixtures/a.csv'))",
        "import pandas as pd\npd.read_csv('b.csv')",
        "sales.head(1).to_csv('reports/r.csv')",
        "sales.head(1).to_csv('reports/r.sh')",
    ]
    assert asked("CI bot", "ci", codes) == ["1", "Denied", "None", "Denied"]
    assert [path.name for path in (tmp_path / "reports").iterdir()] == ["r.csv"]


def test_intern(asked: Ask, tmp_path: Path) -> None:
    """Fifty rows, ten at a time, over sessions and restarts."""
    code = "len(sales.amount.head(10).tolist())"
    first = asked("Intern with a row budget", "intern-1", [code] * 3, budgets=tmp_path / "b")
    assert first == ["10"] * 3
    other = asked("Intern with a row budget", "intern-2", ["len(sales.amount.head(11).tolist())"])
    assert other == ["Denied"]


def test_model_trainer(asked: Ask, tmp_path: Path) -> None:
    """Writes below out/ only; sees scores, not rows."""
    (tmp_path / "out").mkdir()
    codes = [
        "sales.to_csv('out/x.csv')",
        "sales.to_csv('x.csv')",
        "sales.amount.tolist()",
        "sales.amount.mean().item()",
    ]
    assert asked("Model trainer", "trainer", codes) == ["None", "Denied", "Denied", "99.5"]
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_incident_responder(asked: Ask) -> None:
    """What no rule expects goes on; raw memory and files do not."""
    codes = ["sales.head(1).amount.tolist()", "sales['x'] = 1\nlen(sales.columns)", "sales.to_csv('x.csv')"]
    assert asked("Incident responder", "responder-1", codes) == ["[0]", "6", "Denied"]


def test_break_glass() -> None:
    """With one of the two yes nothing happens; with both it holds for the session."""
    pandas = pytest.importorskip("pandas", reason="the recipes are tried on a DataFrame")
    answers = [["security"], ["security", "data-owner"]]

    def agree(approval: Any) -> bool | None:
        names = answers.pop(0)
        for name in names:
            plane.approvals.approve(approval.id, by=name)
        if len(names) == 1:
            plane.approvals.deny(approval.id, by="data-owner")
        return None

    with ControlPlane(policy=Policy.parse(RECIPES["Break-glass"]), approver=agree) as plane:
        session = plane.session("oncall-1", objects={"t": pandas.DataFrame({"a": [1]})})
        result = session.run("t.shape")
        assert result.error is not None
        assert result.error.type == "ApprovalRejected"
        assert session.run("t.shape").value == "(1, 1)"
        assert session.run("t.shape").value == "(1, 1)"
    assert answers == []
