"""Explanations say what decided, and the change they propose turns the verdict."""

from __future__ import annotations

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from proxyplane.decisions import Context
from proxyplane.policies import Policy, explain, quote

from .asking import allow, deny, policy, request

TEXT = """schema = 1

[[rules]]                         # looks
id = "look"
agent = "analyst-*"
object = "visits"
effect = ["read", "reveal"]
when = { rows = "<= 100" }
decide = "allow"

# nothing leaves
[[rules]]
id = "no-net"
effect = ["net"]
decide = "deny"
[rules.when]
rows = "> 0"

[budgets.x]
limit = 1
"""


def test_a_rule_is_quoted_as_it_is_written() -> None:
    """From its header to its last line, comments and inner tables included, nothing of what follows."""
    rules = Policy.parse(TEXT)
    assert quote(rules, rules.rules[0]) == TEXT[12:].partition("\n\n")[0]
    assert quote(rules, rules.rules[1]).endswith('rows = "> 0"')


def test_an_implicit_deny_with_a_rule_in_the_way() -> None:
    """The rule whose condition failed is named, and at how many rows it would not."""
    found = explain(Policy.parse(TEXT), request("read", "reveal", agent="analyst-1", rows=250))
    assert (found.decision.verdict, found.kind) == ("deny", "implicit deny")
    assert found.deciding is not None
    assert (found.deciding.id, found.deciding.line) == ("look", 3)
    assert (found.change.words, found.change.verdict) == ("with rows = 100 (now 250)", "allow")


def test_an_explicit_deny() -> None:
    """It is told apart from a missing allow; the effect that is in the way is what has to go."""
    rules = policy(allow("a", "read"), deny("no", "fs.write"))
    found = explain(rules, request("read", "fs.write"))
    assert (found.kind, found.change.words) == ("explicit deny", "without the effect fs.write")
    assert [rule.id for rule in found.others] == ["a"]
    alone = explain(rules, request("fs.write"))
    assert alone.change.request is None
    assert 'in rule "no"' in alone.change.words


def test_each_failed_condition_is_told() -> None:
    """Agent, member, type, op, object, label, way and conditions, each with what came and what was wanted."""
    rule = allow(
        "a", "read", 'member = "head"; type = "x"; op = "len"; label = "pii"; origin = "host"; when = { rows = "> 5" }',
        agent="b", objects="c",
    )  # fmt: skip
    (miss,) = explain(policy(rule), request("read", member="tail", rows=1)).misses
    assert [text.partition(" ")[0] for text in miss.failed] == [
        "agent", "origin", "member", "type", "op", "object", "label", "at",
    ]  # fmt: skip
    assert 'agent is "a", not "b"' in miss.failed


def test_nothing_speaks_of_it() -> None:
    """A rule that would be missing is written out, and does what it says."""
    rules = policy(allow("a", "read", objects="other"))
    found = explain(rules, request("mutate", roots="visits"))
    assert found.change.request is None
    rule = found.change.words.partition("\n")[2]
    mended = Policy.parse(f"schema = 1\n{rule}")
    assert mended.decide(request("mutate", roots="visits")).verdict == "allow"


def test_verdicts_have_their_kind() -> None:
    """Allowed, asked and redacted are told by name."""
    rules = policy(
        allow("a", "read reveal"),
        'id = "q"; effect = "mutate"; decide = "ask"',
        'id = "r"; effect = "reveal"; decide = "redact"; redact = { rows = 1 }',
    )
    kinds = [explain(rules, request(effect, rows=1)).kind for effect in ("read", "mutate", "reveal", "net")]
    assert kinds == ["allowed", "needs approval", "redacted", "implicit deny"]


def test_a_column_in_the_way() -> None:
    """The column that a deny names is what has to go."""
    rules = policy(allow("a", "read"), deny("no", "read", 'column = "ssn"'))
    asked = request("read")._replace(context=Context(columns=frozenset({"ssn", "day"})))
    assert explain(rules, asked).change.words == 'without the column "ssn"'


EFFECTS = st.sets(st.sampled_from(["read", "mutate", "reveal", "net"]), min_size=1)
RULE = st.fixed_dictionaries(
    {"decide": st.sampled_from(["allow", "deny", "ask"]), "effect": EFFECTS},
    optional={
        "object": st.sampled_from(["visits", "hr"]),
        "agent": st.sampled_from(["a", "b*"]),
        "rows": st.integers(0, 9),
    },
)


def written(number: int, rule: dict[str, Any]) -> str:
    parts = [f'id = "r{number}"', f'decide = "{rule["decide"]}"', f"effect = {sorted(rule['effect'])}"]
    defaults = {"object": "*", "agent": "*"} if rule["decide"] == "allow" else {}
    parts += [f'{key} = "{value}"' for key, value in {**defaults, **rule}.items() if key in ("object", "agent")]
    parts += [f'when = {{ rows = "<= {rule["rows"]}" }}'] if "rows" in rule else []
    return "; ".join(parts)


@settings(max_examples=200, deadline=None)
@given(st.lists(RULE, max_size=5), EFFECTS, st.none() | st.integers(0, 9), st.sampled_from(["visits", "hr visits", ""]))
def test_a_change_that_is_proposed_turns_the_verdict(
    rules: list[dict[str, Any]], effects: set[str], rows: int | None, roots: str
) -> None:
    """For any policy and request: the proposed change is decided as the explanation says, and otherwise than before."""
    loaded = policy(*(written(number, rule) for number, rule in enumerate(rules)))
    found = explain(loaded, request(*effects, rows=rows, roots=roots))
    assert found.decision == loaded.decide(found.request)
    assert not {miss.rule.id for miss in found.misses} & set(found.decision.matched)
    if found.change.request is not None:
        verdict = loaded.decide(found.change.request).verdict
        assert verdict == found.change.verdict != found.decision.verdict
