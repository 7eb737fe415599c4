"""What was recorded, decided again: flips between two policies, and the least policy that would do."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from proxyplane.decisions import Facts, Request
from proxyplane.effects import Effect
from proxyplane.policies import Policy, Recorded, flips, learned, try_all

from .asking import allow, deny, policy, request


def test_flips() -> None:
    """Equal operations are one line with their number, the most frequent first; what is decided alike is not told."""
    before = policy(allow("all", "read mutate net"))
    after = policy(allow("r", "read"), 'id = "q"; effect = "mutate"; decide = "ask"')
    log = [Recorded(request(effect), "allow", at) for at, effect in enumerate(["net", "read", "mutate", "mutate"])]
    found = flips(before, after, log)
    assert [(f.before.verdict, f.after.verdict, f.times, f.number) for f in found] == [
        ("allow", "ask", 2, 2),
        ("allow", "deny", 1, 0),
    ]
    assert flips(before, before, log) == []


NAMES = st.sampled_from(["a", "b*", "[x]", 'q"', "ü😀", "plain"])
REQUESTS = st.builds(
    Request,
    st.sampled_from(["agent-1", "x*", "ü"]),
    st.sampled_from(["guest", "callback", "host"]),
    st.sampled_from(["call", "getitem", "callback"]),
    st.none() | NAMES,
    st.sampled_from(["pandas.DataFrame", "builtins.module"]),
    st.frozensets(st.sampled_from(["sales", "hr"]), max_size=2),
    st.just(frozenset()),
    st.frozensets(st.sampled_from([Effect.READ, Effect.MUTATE, Effect.REVEAL, Effect.MEMORY]), min_size=1),
    st.builds(Facts, st.none() | st.integers(0, 9), st.none() | st.integers(0, 9)),
)


@settings(max_examples=150, deadline=None)
@given(st.lists(REQUESTS, max_size=6), st.lists(REQUESTS, max_size=4))
def test_what_is_learned_allows_what_was_allowed_and_nothing_of_another_name(
    allowed: list[Request], others: list[Request]
) -> None:
    """What was allowed is, every generated test passes; another agent, member, verb, type, or more rows are not."""
    log = [Recorded(each, "allow", at) for at, each in enumerate(allowed)]
    log += [Recorded(each, "deny", at + 100) for at, each in enumerate(others)]
    text = learned(log)
    rules = Policy.parse(text)
    assert all(rules.decide(each).verdict == "allow" for each in allowed)
    assert [str(each) for each in try_all(rules) if not each.passed] == []
    assert text.count("\n# ") >= len(rules.rules)
    for each in allowed:
        for changed in (
            each._replace(agent=each.agent + "2"),
            each._replace(verb="delitem"),
            each._replace(type="polars.DataFrame"),
            each._replace(via="inproc"),
            each._replace(roots=each.roots | {"unseen"}),
            each._replace(effects=each.effects | {Effect.NET}),
        ):
            assert rules.decide(changed).verdict == "deny"
        if each.verb != "callback":
            assert rules.decide(each._replace(member="never_used")).verdict == "deny"
    shown = [r.facts.rows for r in allowed if r.facts.rows is not None]
    for each in allowed:
        if Effect.REVEAL in each.effects and all(r.facts.rows is not None for r in allowed):
            assert rules.decide(each._replace(facts=Facts(max(shown) + 1, each.facts.cells))).verdict == "deny"


def test_refusals_teach_nothing() -> None:
    """A log of refusals gives a policy that allows nothing."""
    log = [Recorded(request("read"), verdict, 1) for verdict in ("deny", "ask")]
    assert Policy.parse(learned(log)).rules == ()
    assert policy(deny("x", "read")).decide(request("read")).verdict == "deny"
