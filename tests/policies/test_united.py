"""Layers hold together; none is overridden by another."""

from __future__ import annotations

from pathlib import Path

import pytest

from proxyplane.errors import PolicyError
from proxyplane.policies import Policy

from .asking import allow, deny, policy, request

MANAGED = """
schema = 1
require_tier = "filtered"
[objects.visits]
labels = ["pii"]
show = ["a", "b", "c"]
where = "a > 1"
min_group = 5
[budgets.seen]
limit = 100
per = "principal"
[modules]
host = ["pandas"]
guest = ["json", "re"]
[[rules]]
id = "no-net"
effect = "net"
decide = "deny"
"""
PROJECT = """
schema = 1
mode = "observe"
require_tier = "sealed"
[objects.visits]
type = "pandas.DataFrame"
show = ["c", "b"]
where = "b < 5"
mask = "c"
min_group = 3
[budgets.seen]
limit = 200
per = "day"
exceeded = "ask"
[modules]
host = ["numpy", "pandas"]
[[rules]]
id = "look"
agent = "*"
object = "visits"
effect = ["read", "net", "reveal"]
charge = { seen = "rows" }
decide = "allow"
[[tests]]
try = { agent = "a", object = "visits", effect = "net" }
expect = { decision = "allow" }
"""


def test_the_strictest_of_everything_holds() -> None:
    """Denies of one layer beat allows of another; of budgets, tiers, projections and modes the stricter counts."""
    united = Policy.united([Policy.parse(MANAGED, file="m"), Policy.parse(PROJECT, file="p")])
    assert united.decide(request("read")).verdict == "allow"
    assert united.decide(request("net")).rule == "no-net"
    budget = united.budgets["seen"]
    assert (budget.limit, budget.per, budget.exceeded, budget.unit, budget.rules) == (
        100, "principal", "deny", "rows", ("look",),
    )  # fmt: skip
    facts = united.objects["visits"]
    assert (facts.type, facts.labels, facts.show, facts.mask, facts.min_group) == (
        "pandas.DataFrame", {"pii"}, ("b", "c"), ("c",), 5,
    )  # fmt: skip
    assert [each.text for each in facts.where] == ["a > 1", "b < 5"]
    assert (united.require_tier, united.mode, united.name) == ("sealed", "enforce", "m + p")
    assert (united.modules.host, united.modules.guest) == (("pandas", "numpy"), ("json", "re"))
    assert [(rule.id, rule.index, rule.file) for rule in united.rules] == [("no-net", 0, "m"), ("look", 1, "p")]
    assert len(united.trials) == 1


@pytest.mark.parametrize("turned", [False, True])
def test_order_does_not_matter(turned: bool) -> None:
    """The same is decided whichever layer comes first."""
    layers = [
        policy(allow("a", "read mutate")),
        policy(deny("b", "mutate"), 'id = "c"; effect = "read"; decide = "ask"'),
    ]
    united = Policy.united(layers[::-1] if turned else layers)
    assert (united.decide(request("mutate")).rule, united.decide(request("read")).verdict) == ("b", "ask")


def test_one_layer_is_itself_and_the_same_rule_counts_once() -> None:
    """Uniting a policy with itself changes no answer and repeats no rule."""
    one = policy(allow("a", "read"))
    assert Policy.united([one]).digest == one.digest
    assert len(Policy.united([one, policy(allow("a", "read"))]).rules) == 1


@pytest.mark.parametrize(
    ("other", "message"),
    [
        (policy(allow("a", "mutate")), 'rule id "a" is used in two layers'),
        (Policy.parse("schema = 1\n[objects.x]\ntype = 'b.B'"), "different types"),
        (Policy.parse("schema = 1\n[objects.x]\nshow = 'q'"), "shows no column"),
        (Policy.parse("schema = 1\n[fs]\nroot = 'other'"), "different roots"),
        (policy(allow("b", "read", "charge = { n = 1 }"), head="[budgets.n]\nlimit = 1"), "charged in rows"),
    ],
)
def test_layers_that_exclude_each_other_are_refused(other: Policy, message: str) -> None:
    """What cannot hold together is an error and no surprise."""
    head = "[objects.x]\ntype = 'a.A'\nshow = 'p'\n[fs]\nroot = 'one'\n[budgets.n]\nlimit = 1"
    one = policy(allow("a", "read", 'charge = { n = "rows" }'), head=head)
    with pytest.raises(PolicyError, match=message):
        Policy.united([one, other])


def test_loading_with_layers(tmp_path: Path) -> None:
    """Files and loaded policies can be layers of a file."""
    (tmp_path / "managed.toml").write_text(MANAGED)
    (tmp_path / "project.toml").write_text(PROJECT)
    united = Policy.load(tmp_path / "project.toml", layers=[tmp_path / "managed.toml", policy(deny("x", "read"))])
    assert [rule.id for rule in united.rules] == ["no-net", "x", "look"]
    assert sorted(Path(name).name for name in united.texts) == ["<policy>", "managed.toml", "project.toml"]
    with pytest.raises(ValueError, match="no layers"):
        Policy.united([])
