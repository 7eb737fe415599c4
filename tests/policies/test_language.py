"""The whole language at the level of decisions: asks, redactions, further conditions, the file's own tests."""

from __future__ import annotations

from typing import Any

import pytest

from proxyplane.decisions import NO_CONTEXT, Ask, Context, Decision, Facts, Redaction
from proxyplane.policies import Policy, try_all

from .asking import allow, deny, policy, request


def decide(
    rules: Policy, *effects: str, context: Context = NO_CONTEXT, facts: Facts | None = None, **more: Any
) -> Decision:
    asked = request(*effects, **more)
    return rules.decide(asked._replace(context=context, facts=asked.facts if facts is None else facts))


EXAMPLE = """
schema  = 1
default = "deny"
[objects.sales]
type   = "pandas.DataFrame"
labels = ["customer-data"]
show   = ["region", "product", "day", "amount", "customer"]
[budgets.revealed_rows]
limit = 500
[[rules]]
id     = "compute-on-sales"
agent  = "analyst-*"
object = "sales"
effect = ["read", "compute"]
decide = "allow"
[modules]
host  = ["pandas", "numpy"]
[[rules]]
id     = "show-results"
agent  = "analyst-*"
object = "sales"
effect = ["reveal"]
when   = { rows = "<= 100" }
charge = { revealed_rows = "rows" }
decide = "allow"
[[rules]]
id     = "ask-before-mutating"
effect = ["mutate"]
decide = "ask"
ask    = { who = "notebook-owner", timeout = "5m", remember = "never" }
[[rules]]
id     = "ssn-stays-hidden"
column = ["ssn"]
decide = "deny"
reason = "ssn is not shown to agents; see the data-governance page"
[[rules]]
id     = "no-outside-world"
effect = ["fs.write", "net", "process", "exec"]
decide = "deny"
[[tests]]
try    = { agent = "analyst-1", object = "sales", op = "call", name = "to_csv", effect = ["read", "fs.write"] }
expect = { decision = "deny", rule = "no-outside-world" }
[[tests]]
name   = "ssn"
try    = { agent = "analyst-1", object = "sales", column = "ssn", effect = "read" }
expect = { decision = "deny", rule = "ssn-stays-hidden" }
[[tests]]
try    = { agent = "analyst-1", object = "sales", op = "setitem", effect = "mutate" }
expect = { decision = "ask", rule = "ask-before-mutating" }
[[tests]]
try    = { agent = "analyst-1", object = "sales", effect = "reveal", rows = 101 }
expect = { decision = "deny", rule = "show-results" }
[[tests]]
try    = { agent = "analyst-1", object = "sales", effect = "reveal" }
expect = { decision = "deny", rule = "show-results" }
[[tests]]
try    = { agent = "analyst-1", object = "sales", effect = "reveal", rows = 100 }
expect = { decision = "allow" }
[[tests]]
try    = { agent = "intern", object = "sales", effect = "read" }
expect = { decision = "deny", rule = "default" }
"""


def test_the_example_passes_its_tests() -> None:
    """The worked example loads with nothing to remark, and each of its tests is decided as it says."""
    example = Policy.parse(EXAMPLE)
    results = try_all(example)
    assert [str(each) for each in results if not each.passed] == []
    assert len(results) == 7
    assert example.check(["sales"]) == []
    assert example.needs == {"columns"}


def test_a_failed_test_says_what_came() -> None:
    """Expected and actual decision stand in one line with the place of the test."""
    (result, *_) = try_all(
        Policy.parse(
            EXAMPLE.replace('expect = { decision = "deny", rule = "no', 'expect = { decision = "ask", rule = "no')
        )
    )
    assert not result.passed
    assert str(result).endswith("expected ask by no-outside-world, came deny by no-outside-world")


# -- ask ------------------------------------------------------------------------------------------------------------


def test_an_ask_grants_once_it_is_answered() -> None:
    """An effect that only an ask rule speaks of is asked for; what no rule grants beside it is refused, not asked."""
    rules = policy(allow("r", "read", objects="visits"), 'id = "q"; effect = "mutate"; decide = "ask"')
    asked = rules.decide(request("read", "mutate"))
    assert (asked.verdict, asked.rule, asked.effect) == ("ask", "q", "mutate")
    assert asked.matched == ("r", "q")
    assert rules.decide(request("mutate", "fs.write")).verdict == "deny"
    assert rules.decide(request("read", "mutate", roots="visits hr")).verdict == "deny"


def test_an_ask_is_stricter_than_an_allow_and_milder_than_a_deny() -> None:
    """Whatever allows it beside, it is asked; whatever denies it, it is not even asked."""
    ask = 'id = "q"; object = "visits"; decide = "ask"'
    assert policy(allow("all", "*"), ask).decide(request("read", roots="visits hr")).verdict == "ask"
    assert policy(allow("all", "*"), ask).decide(request("read", roots="hr")).verdict == "allow"
    assert policy(allow("all", "*"), ask, deny("no", "read")).decide(request("read")).rule == "no"


def test_terms_of_several_asks_are_joined() -> None:
    """Everybody's answer, the shortest wait, the shortest memory."""
    rules = policy(
        'id = "a"; decide = "ask"; ask = { who = "owner", timeout = "1h", remember = "session" }',
        'id = "b"; decide = "ask"; ask = { who = ["owner", "dpo"], timeout = "30s", remember = "shape" }',
        'id = "c"; decide = "ask"; ask = { remember = "call" }',
    )
    assert rules.decide(request("read")).ask == Ask(("owner", "dpo"), 30, "call", ("a", "b", "c"))
    assert policy('id = "a"; decide = "ask"').decide(request("read")).ask == Ask((), 300, "never", ("a",))


def test_charges_apply_after_an_approved_ask() -> None:
    """What is shown after an approval is charged like any other look."""
    rules = policy(
        allow("look", "reveal", 'charge = { seen = "rows" }'),
        'id = "q"; effect = "reveal"; when = { rows = "> 5" }; decide = "ask"; charge = { looks = 1 }',
        head="[budgets]\nseen = { limit = 9 }\nlooks = { limit = 9 }",
    )
    decision = rules.decide(request("reveal", rows=6))
    assert (decision.verdict, {(c.budget, c.amount) for c in decision.charges}) == ("ask", {("seen", 6), ("looks", 1)})
    assert {c.budget for c in rules.decide(request("reveal", rows=5)).charges} == {"seen"}


@pytest.mark.parametrize("effect", ["unknown", "memory"])
def test_no_pattern_asks_for_what_must_be_named(effect: str) -> None:
    """A person is not asked about raw memory because a rule says `*`."""
    assert policy('id = "q"; decide = "ask"').decide(request(effect)).verdict == "deny"
    assert policy(f'id = "q"; effect = "{effect}"; decide = "ask"').decide(request(effect)).verdict == "ask"


def test_an_ask_that_cannot_be_evaluated_asks_and_grants_nothing() -> None:
    """Not known counts against the agent twice: it is asked, and only what is surely granted can be."""
    ask = 'id = "q"; effect = "reveal"; when = { rows = "<= 5" }; decide = "ask"'
    assert policy(ask).decide(request("reveal")).verdict == "deny"
    assert policy(ask, allow("all", "reveal")).decide(request("reveal")).verdict == "ask"
    assert policy(ask, allow("all", "reveal")).decide(request("reveal", rows=6)).verdict == "allow"


# -- redact ---------------------------------------------------------------------------------------------------------


def test_redactions_are_joined() -> None:
    """The fewest rows, every masked column, the coarsest rounding, the largest group."""
    rules = policy(
        allow("all", "reveal"),
        'id = "a"; decide = "redact"; redact = { rows = 20, mask = "x", round = 2 }',
        'id = "b"; decide = "redact"; redact = { rows = 30, mask = ["y"], round = -1, min_group = 5 }',
    )
    decision = rules.decide(request("reveal", rows=100))
    assert (decision.verdict, decision.rule) == ("redact", "a")
    assert decision.redaction == Redaction(20, frozenset("xy"), -1, 5, ("a", "b"))
    assert decision.redaction.described() == [
        {"kind": "rows", "n": 20},
        {"kind": "round", "n": -1},
        {"kind": "min_group", "n": 5},
        {"kind": "mask", "columns": ["x", "y"]},
    ]


def test_a_redact_speaks_of_content_only() -> None:
    """Nothing is redacted of an operation that shows nothing."""
    rules = policy(allow("all", "read reveal"), 'id = "a"; decide = "redact"; redact = { rows = 20 }')
    assert rules.decide(request("read")).verdict == "allow"
    assert rules.decide(request("read", "reveal", rows=1)).verdict == "redact"


def test_only_a_redact_that_names_agent_and_object_grants() -> None:
    """A broad redact narrows what others grant; by itself it gives nothing to anybody."""
    broad = 'id = "a"; effect = "reveal"; decide = "redact"; redact = { rows = 20 }'
    named = broad + '; agent = "a"; object = "visits"'
    assert policy(broad).decide(request("reveal", rows=1)).verdict == "deny"
    assert policy(named).decide(request("reveal", rows=1)).verdict == "redact"
    assert policy(named).decide(request("reveal", rows=1, roots="visits hr")).verdict == "deny"


def test_masks_and_groups_of_an_object_redact_every_look() -> None:
    """What an object's facts demand needs no rule, and stays with what is made from it."""
    head = '[objects.visits]\nmask = "name"\nmin_group = 10\n[objects.hr]\nmin_group = 20'
    rules = policy(allow("all", "compute reveal"), head=head)
    assert rules.decide(request("compute")).verdict == "allow"
    decision = rules.decide(request("compute", "reveal", rows=1, roots="visits hr"))
    assert (decision.verdict, decision.rule) == ("redact", "objects.hr")
    assert decision.redaction == Redaction(None, frozenset({"name"}), None, 20, ("objects.hr", "objects.visits"))
    assert rules.decide(request("reveal", rows=1, roots="other")).verdict == "allow"


def test_an_ask_keeps_the_redaction() -> None:
    """Obligations apply also after an approved ask."""
    rules = policy(
        allow("all", "reveal"),
        'id = "r"; decide = "redact"; redact = { rows = 3 }',
        'id = "q"; decide = "ask"',
    )
    decision = rules.decide(request("reveal", rows=5))
    assert (decision.verdict, decision.redaction) == ("ask", Redaction(3, rules=("r",)))


# -- columns and other facts ----------------------------------------------------------------------------------------


def columns(*names: str) -> Context:
    return Context(columns=frozenset(names))


def test_columns() -> None:
    """A deny matches if any column does, an allow covers all of them; not known columns count against the agent."""
    rules = policy(allow("some", "read", 'column = ["region", "am*"]'), deny("no", "read", 'column = "ssn"'))
    assert decide(rules, "read", context=columns("region", "amount")).verdict == "allow"
    assert decide(rules, "read", context=columns("region", "day")).rule == "some"
    assert decide(rules, "read", context=columns("region", "ssn")).rule == "no"
    assert decide(rules, "read", context=columns()).verdict == "allow"
    assert decide(rules, "read").rule == "no"


@pytest.mark.parametrize(
    ("when", "context", "allowed", "denied"),
    [
        ('path = "out/*"', Context(paths=frozenset({"out/a"})), True, True),
        ('path = "out/*"', Context(paths=frozenset({"out/a/b"})), False, False),
        ('path = "out/**"', Context(paths=frozenset({"out/a/b"})), True, True),
        ('path = "**/a"', Context(paths=frozenset({"a"})), True, True),
        ('path = "out/*"', Context(paths=frozenset({"out/a", "b"})), False, True),
        ('path = "out/*"', Context(), False, True),
        ('age = "<= 1h"', Context(age=3600), True, True),
        ('age = "<= 1h"', Context(age=3601), False, False),
        ('age = "<= 1h"', Context(), False, True),
        ('session.age = "< 1m"', Context(session_age=59), True, True),
        ('session.operations = "< 5"', Context(operations=5), False, False),
        ('session.runs = "== 1"', Context(runs=1), True, True),
        ('session.tier = ["sealed", "filt*"]', Context(tier="filtered"), True, True),
        ('session.tier = "sealed"', Context(tier="split"), False, False),
        ("args.index = false", Context(args={"index": False}), True, True),
        ("args.index = false", Context(args={"index": True}), False, False),
        ("args.index = false", Context(args={"index": 0}), False, False),
        ("args.index = false", Context(args={}), False, True),
        ("args.n = 5", Context(args={"n": 5}), True, True),
        ('args.n = "<= 5"', Context(args={"n": 6}), False, False),
        ('args.n = "<= 5"', Context(args={"n": True}), False, False),
        ('args.sep = ["|", ","]', Context(args={"sep": ","}), True, True),
        ('args.sep = "|"', Context(args={"sep": None}), False, False),
    ],
)
def test_conditions(when: str, context: Context, allowed: bool, denied: bool) -> None:
    """In an allow a condition must hold surely and of all; in a deny any, or not known, will do."""
    mild = policy(allow("yes", "fs.write", f"when = {{ {when} }}"))
    assert (decide(mild, "fs.write", context=context).verdict == "allow") is allowed
    strict = policy(allow("yes", "fs.write"), deny("no", "fs.write", f"when = {{ {when} }}"))
    assert (decide(strict, "fs.write", context=context).verdict == "deny") is denied


def test_exceptions_must_hold_for_all() -> None:
    """Of two files one inside the exception is not enough for a deny; for an allow one that is excepted is too much."""
    both = Context(paths=frozenset({"out/a", "b"}))
    strict = policy(allow("yes", "fs.write"), deny("no", "fs.write", 'unless = { path = "out/*" }'))
    assert decide(strict, "fs.write", context=both).verdict == "deny"
    assert decide(strict, "fs.write", context=Context(paths=frozenset({"out/a"}))).verdict == "allow"
    assert decide(strict, "fs.write").verdict == "deny"
    mild = policy(allow("yes", "fs.write", 'unless = { path = "secret/*" }'))
    assert decide(mild, "fs.write", context=Context(paths=frozenset({"secret/a", "b"}))).verdict == "deny"
    assert decide(mild, "fs.write", context=Context(paths=frozenset({"b"}))).verdict == "allow"


def test_a_condition_on_arguments_is_about_calls() -> None:
    """Assigning a column has no argument `inplace`; a condition on it says nothing there."""
    rules = policy(allow("yes", "mutate"), deny("no", "mutate", "when = { args.inplace = true }"))
    assert rules.decide(request("mutate", verb="setitem")).verdict == "allow"
    assert rules.decide(request("mutate", verb="call")).verdict == "deny"


def test_no_member() -> None:
    """`()` accepts the call of an object itself, and no member."""
    rules = policy(allow("c", "read", 'member = ["()", "head"]'))
    assert [rules.decide(request("read", member=name)).verdict for name in (None, "head", "tail")] == [
        "allow", "allow", "deny",
    ]  # fmt: skip


def test_the_group_behind_a_value() -> None:
    """Aggregates may be shown from so many rows on; where nothing is shown the condition is met."""
    rules = policy(allow("k", "reveal", 'when = { group = ">= 10" }'))
    assert rules.decide(request("reveal", rows=1, cells=1)).verdict == "deny"
    for group, verdict in ((9, "deny"), (10, "allow")):
        assert decide(rules, "reveal", facts=Facts(1, 1, 8, group)).verdict == verdict
    assert rules.decide(request("reveal", rows=0, cells=0)).verdict == "allow"
    assert "groups of at least 10 rows" in rules.decide(request("reveal", rows=1, cells=1)).hint


def test_declassify_is_for_aggregates() -> None:
    """Labels go only where what is shown is known to be an aggregate of source columns by declared keys."""
    rules = policy(
        allow("stats", "reveal", 'declassify = "pii"; when = { group = ">= 5" }'),
        head='[objects.visits]\nlabels = ["pii", "eu"]\nkeys = "region"',
    )
    asked = request("reveal", rows=1, cells=1, labels="pii eu")._replace(facts=Facts(1, 1, 8, 5))
    assert rules.decide(asked).verdict == "deny"
    assert rules.decide(asked._replace(context=Context(aggregate=False))).verdict == "deny"
    decision = rules.decide(asked._replace(context=Context(aggregate=True)))
    assert (decision.verdict, decision.declassify) == ("allow", {"pii"})


def test_distinct_columns_can_be_charged() -> None:
    """The charge names the columns; not known ones allow nothing."""
    rules = policy(allow("l", "reveal", 'charge = { wide = "columns" }'), head="[budgets.wide]\nlimit = 5")
    assert rules.budgets["wide"].unit == "columns"
    (charge,) = decide(rules, "reveal", context=columns("x", "y")).charges
    assert (charge.names, charge.roots, charge.amount) == ({"x", "y"}, {"visits"}, 0)
    assert decide(rules, "reveal").verdict == "deny"


def test_observe_lets_pass_what_stays_inside() -> None:
    """What would be refused goes on, but for effects that lead out of the granted objects."""
    watching = policy(allow("r", "read"), head='mode = "observe"')
    decision = watching.decide(request("mutate"))
    assert (watching.mode, decision.verdict) == ("observe", "deny")
    for effect, passes in (("mutate", True), ("fs.write", True), ("net", False), ("memory", False), ("exec", False)):
        asked = request("read", effect)
        assert watching.passes(watching.decide(asked), asked.effects) is passes
    enforcing = policy(allow("r", "read"))
    assert not enforcing.passes(enforcing.decide(request("mutate")), request("mutate").effects)


def test_needs_name_what_must_be_worked_out() -> None:
    """A policy that asks nothing of the context costs nothing."""
    assert policy(allow("r", "read", 'when = { rows = "<= 5" }')).needs == frozenset()
    more = 'column = "x"; when = { path = "a", args.n = 1 }; unless = { session.runs = "> 1" }'
    rules = policy(deny("no", "read", more))
    assert rules.needs == {"columns", "paths", "args", "session"}


def test_notes() -> None:
    """What is legal but of no use is told."""
    rules = policy(
        allow("a", "read", 'member = "x"; op = ["getitem", "len"]'),
        'id = "b"; decide = "redact"; redact = { mask = "x*" }',
        deny("c", "read", 'label = "pii"'),
        allow("d", "reveal", 'declassify = "pii"', agent="x"),
        head='mode = "observe"',
    )
    found = " ".join(rules.check())
    for word in ("getitem and len name no member", "no pattern but a name", '"c"', "no object has keys", "observe"):
        assert word in found


def test_what_guests_choose_fills_no_memory() -> None:
    """Names are the guest's choice: neither their number nor their length makes the engine keep more."""
    rules = policy(allow("a", "read", 'member = ["head", "to_*"]'))
    for number in range(6000):
        rules.decide(request("read", member=f"to_{number}"))
    plans = rules.engine.plans
    assert 0 < len(plans) <= 4096
    before = len(plans)
    assert rules.decide(request("read", member="to_" + "x" * 100_000)).verdict == "allow"
    assert len(plans) == before
