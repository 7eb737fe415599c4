"""The policies that come with the package."""

from __future__ import annotations

import pytest

from proxyplane.effects import ALL_EFFECTS
from proxyplane.errors import PolicyError
from proxyplane.policies import Policy

from .asking import request

GRANTED = {
    "open": "read compute mutate reveal import callback display",
    "read_only": "read compute reveal callback display",
    "analyst": "read compute reveal callback display",
    "locked": "read",
}


@pytest.mark.parametrize("name", GRANTED)
@pytest.mark.parametrize("effect", sorted(ALL_EFFECTS))
def test_presets_grant_exactly_these_effects(name: str, effect: str) -> None:
    """For a small look, each preset allows its effects and refuses all others; the analyst asks before changes."""
    verdict = Policy.preset(name).decide(request(effect, rows=1, cells=1, size=1)).verdict
    otherwise = "ask" if (name, effect) == ("analyst", "mutate") else "deny"
    assert verdict == ("allow" if effect in GRANTED[name].split() else otherwise)


@pytest.mark.parametrize("name", GRANTED)
def test_presets_are_clean(name: str) -> None:
    """A preset reaches no file, has a name and gives no warning."""
    preset = Policy.preset(name)
    assert (preset.name, preset.fs, preset.check({"df"})) == (name, None, [])
    assert preset.modules.guest == "stdlib"


def test_the_analyst_sees_little() -> None:
    """At most 100 rows in one look, charged to 500 for each principal; a change is asked for."""
    preset = Policy.preset("analyst")
    budget = preset.budgets["revealed_rows"]
    assert (budget.limit, budget.per, budget.unit, budget.rules) == (500, "principal", "rows", ("show-results",))
    allowed = preset.decide(request("read", "reveal", rows=100))
    assert [(charge.budget, charge.amount) for charge in allowed.charges] == [("revealed_rows", 100)]
    assert preset.decide(request("reveal", rows=101)).rule == "show-results"
    assert preset.decide(request("reveal")).verdict == "deny"
    change = preset.decide(request("mutate"))
    assert (change.verdict, change.rule) == ("ask", "ask-before-changing")
    assert change.ask is not None
    assert (change.ask.who, change.ask.seconds, change.ask.remember) == ((), 300, "never")
    assert preset.decide(request("mutate", "fs.write")).verdict == "deny"


def test_modules_of_presets() -> None:
    """Data libraries are granted where content may be seen, and none where it may not."""
    assert Policy.preset("open").modules.host == (
        "pandas",
        "numpy",
        "polars",
        "scipy",
        "sklearn",
        "pyarrow",
        "matplotlib",
    )
    assert Policy.preset("locked").modules.host == ()


def test_an_unknown_preset_is_an_error() -> None:
    """A misspelt name is met with the right one."""
    with pytest.raises(PolicyError, match="unknown preset") as caught:
        Policy.preset("analist")
    assert caught.value.hint == 'did you mean "analyst"?'
