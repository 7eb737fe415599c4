"""The five sentences, and what each key of a rule is compared with."""

from __future__ import annotations

import pytest

from proxyplane.decisions import Charge
from proxyplane.effects import ALL_EFFECTS, Effect

from .asking import allow, deny, policy, request

BUDGET = "[budgets.rows_seen]\nlimit = 500\n[budgets.looks]\nlimit = 9"


# -- 1: nothing is allowed unless a rule allows it --------------------------------------------------------------


@pytest.mark.parametrize("effect", sorted(ALL_EFFECTS))
def test_without_rules_everything_is_refused(effect: str) -> None:
    """An empty policy allows nothing, and says that no rule speaks of it."""
    decision = policy().decide(request(effect))
    assert (decision.verdict, decision.rule, decision.effect) == ("deny", None, effect)
    assert f'no rule allows "{effect}" for agent "a" on "visits"' in decision.hint


def test_an_operation_without_effects_is_refused() -> None:
    """No declared effect, no call."""
    assert policy(allow("all", "*")).decide(request()).verdict == "deny"


def test_deny_rules_alone_allow_nothing() -> None:
    """What a deny does not match is still not allowed."""
    assert policy(deny("no", "net")).decide(request("read")).rule is None


# -- 2: the strictest wins; an allow covers every root ----------------------------------------------------------


@pytest.mark.parametrize("turned", [False, True])
def test_deny_wins_in_any_order(turned: bool) -> None:
    """Order and specificity do not matter."""
    rules = [allow("yes", "mutate", 'member = "head"', agent="a", objects="visits"), deny("no", "*")]
    decision = policy(*(reversed(rules) if turned else rules)).decide(request("mutate"))
    assert (decision.verdict, decision.rule, decision.effect) == ("deny", "no", Effect.MUTATE)
    assert set(decision.matched) == {"yes", "no"}


def test_an_allow_must_cover_every_root() -> None:
    """A merge of a granted object with another one is refused, and the hint names the other one."""
    decision = policy(allow("v", "read", objects="visits")).decide(request("read", roots="visits hr"))
    assert decision.verdict == "deny"
    assert decision.hint.startswith('no rule allows "read" for agent "a" on "hr"')


def test_several_allows_may_share_the_roots() -> None:
    """Each root may be covered by a different rule."""
    both = policy(allow("v", "read", objects="visits"), allow("h", "read", objects="hr-*"))
    decision = both.decide(request("read", roots="visits hr-1"))
    assert (decision.verdict, decision.matched) == ("allow", ("v", "h"))


def test_without_roots_a_rule_for_any_object_covers() -> None:
    """Constants and modules have no roots: agent and effect decide alone."""
    rules = policy(allow("v", "read", agent="a", objects="visits"))
    assert rules.decide(request("read", roots="")).verdict == "allow"
    assert rules.decide(request("read", roots="", agent="b")).verdict == "deny"
    assert rules.decide(request("compute", roots="")).verdict == "deny"


def test_a_deny_matches_if_any_root_does() -> None:
    """One guarded argument is enough; without roots a deny for an object does not match, but one for `*` does."""
    rules = policy(allow("all", "read"), deny("no", "read", 'object = "hr*"'))
    assert rules.decide(request("read", roots="visits hr")).rule == "no"
    assert rules.decide(request("read", roots="visits")).verdict == "allow"
    assert rules.decide(request("read", roots="")).verdict == "allow"
    assert (
        policy(allow("all", "read"), deny("no", "read", 'object = "*"')).decide(request("read", roots="")).rule == "no"
    )


# -- 3: each effect must be granted -----------------------------------------------------------------------------


def test_each_effect_must_be_granted() -> None:
    """An allow for one effect of an operation is not enough, and the refused one is named."""
    rules = policy(allow("r", "read"))
    decision = rules.decide(request("read", "fs.write"))
    assert (decision.verdict, decision.effect) == ("deny", Effect.FS_WRITE)
    assert decision.hint.endswith("allowed there: read")
    assert policy(allow("r", "read"), allow("w", "fs.write")).decide(request("read", "fs.write")).verdict == "allow"


@pytest.mark.parametrize("effect", ["unknown", "memory"])
@pytest.mark.parametrize("pattern", ["*", "?*", "[a-z]*", None])
def test_some_effects_must_be_named(effect: str, pattern: str | None) -> None:
    """No pattern in an allow, and no missing key, grants raw memory or what nobody has described."""
    key = "" if pattern is None else f'effect = "{pattern}"'
    open_to_all = policy(f'id = "all"; agent = "*"; object = "*"; decide = "allow"; {key}')
    assert open_to_all.decide(request(effect)).verdict == "deny"
    assert open_to_all.decide(request("fs.write", "net")).verdict == "allow"
    assert policy(allow("named", effect)).decide(request(effect)).verdict == "allow"


@pytest.mark.parametrize("effect", sorted(ALL_EFFECTS))
def test_a_deny_for_everything_includes_everything(effect: str) -> None:
    """Patterns in a deny leave nothing out."""
    rules = policy(allow("all", " ".join(sorted(ALL_EFFECTS))), deny("no", "*"))
    assert rules.decide(request(effect)).rule == "no"


def test_patterns_of_effects() -> None:
    """`fs.*` is both file effects and nothing else."""
    rules = policy(allow("fs", "fs.* notebook.*"))
    assert rules.decide(request("fs.read", "fs.write", "notebook.run")).verdict == "allow"
    assert rules.decide(request("net")).verdict == "deny"


# -- 4: all charges apply -----------------------------------------------------------------------------------------


def test_charges_of_all_matching_rules_apply() -> None:
    """Each budget is charged once for each root, by the counts of the request."""
    rules = policy(
        allow("one", "read reveal", "charge = { rows_seen = 'rows' }", objects="visits"),
        allow("two", "reveal", "charge = { rows_seen = 'rows', looks = 1 }"),
        allow("three", "reveal", "charge = { looks = 3 }", objects="hr"),
        head=BUDGET,
    )
    decision = rules.decide(request("read", "reveal", roots="visits", rows=7))
    assert decision.charges == (
        Charge("looks", frozenset({"visits"}), 1),
        Charge("rows_seen", frozenset({"visits"}), 7),
    )
    both = rules.decide(request("reveal", roots="visits hr", rows=7))
    assert set(both.charges) == {
        Charge("looks", frozenset({"visits"}), 1),
        Charge("looks", frozenset({"hr"}), 3),
        Charge("rows_seen", frozenset({"visits", "hr"}), 7),
    }


@pytest.mark.parametrize("amounts", [(1, 3), (3, 1)])
def test_the_largest_charge_counts(amounts: tuple[int, int]) -> None:
    """Two rules that take different amounts from one budget take the larger one, in any order."""
    bodies = (allow(f"r{each}", "read", f"charge = {{ looks = {each} }}") for each in amounts)
    assert policy(*bodies, head=BUDGET).decide(request("read")).charges == (Charge("looks", frozenset({"visits"}), 3),)


def test_rules_that_do_not_match_charge_nothing() -> None:
    """A charge belongs to its rule; a refusal has none."""
    rules = policy(
        allow("free", "reveal", "when = { rows = '< 5' }"),
        allow("paid", "reveal", "when = { rows = '>= 5' }; charge = { rows_seen = 'rows' }"),
        head=BUDGET,
    )
    assert rules.decide(request("reveal", rows=4)).charges == ()
    assert rules.decide(request("reveal", rows=5)).charges[0].amount == 5
    assert rules.decide(request("reveal", "net", rows=5)).charges == ()


def test_content_is_charged_only_where_it_can_leave() -> None:
    """Computing without showing takes no rows, whether their number is known or not, but counts as an operation."""
    rules = policy(allow("all", "compute reveal", "charge = { rows_seen = 'rows', looks = 1 }"), head=BUDGET)
    for rows in (None, 40):
        decision = rules.decide(request("compute", rows=rows))
        assert decision.charges == (Charge("looks", frozenset({"visits"}), 1),)


def test_what_cannot_be_counted_cannot_be_charged() -> None:
    """An allow that charges rows does not match while their number is unknown, even without a condition."""
    rules = policy(allow("all", "reveal", "charge = { rows_seen = 'rows' }"), head=BUDGET)
    decision = rules.decide(request("reveal", cells=5))
    assert (decision.verdict, decision.rule, decision.effect) == ("deny", "all", Effect.REVEAL)
    assert "known number of rows" in decision.hint
    assert rules.could_reveal(request("reveal", cells=5)).verdict == "allow"


# -- 5: what cannot be evaluated is strict ------------------------------------------------------------------------


def test_an_unknown_count_allows_nothing_and_denies() -> None:
    """The same condition counts as matched in a deny and as not matched in an allow."""
    assert policy(allow("some", "reveal", "when = { rows = '<= 9' }")).decide(request("reveal")).verdict == "deny"
    strict = policy(allow("all", "reveal"), deny("big", "reveal", "when = { rows = '> 9' }"))
    assert strict.decide(request("reveal")).rule == "big"
    assert strict.decide(request("reveal", rows=9)).verdict == "allow"
    except_small = policy(allow("all", "reveal"), deny("big", "reveal", "unless = { rows = '<= 9' }"))
    assert except_small.decide(request("reveal")).rule == "big"
    assert except_small.decide(request("reveal", rows=9)).verdict == "allow"
    assert except_small.decide(request("reveal", rows=10)).rule == "big"


def test_a_condition_that_fails_for_sure_needs_no_other_fact() -> None:
    """One known count that fails settles the rule, whatever is unknown beside it."""
    rules = policy(allow("all", "reveal"), deny("big", "reveal", "when = { rows = '> 9', cells = '> 9' }"))
    assert rules.decide(request("reveal", rows=1)).verdict == "allow"
    assert rules.decide(request("reveal", rows=10)).verdict == "deny"
    settled = policy(allow("all", "reveal"), deny("big", "reveal", "unless = { rows = '<= 9', cells = '<= 9' }"))
    assert settled.decide(request("reveal", rows=1)).verdict == "deny"
    assert settled.decide(request("reveal", rows=1, cells=1)).verdict == "allow"


def test_unless_exempts_from_an_allow() -> None:
    """An exception whose facts are unknown is assumed against the agent."""
    rules = policy(allow("most", "reveal", "unless = { rows = '> 9' }"))
    assert rules.decide(request("reveal", rows=9)).verdict == "allow"
    assert rules.decide(request("reveal", rows=10)).verdict == "deny"
    assert rules.decide(request("reveal")).verdict == "deny"


@pytest.mark.parametrize(
    ("text", "holds", "fails"),
    [("<= 3", 3, 4), ("< 3", 2, 3), ("== 3", 3, 2), (">= 3", 3, 2), ("> 3", 4, 3), ("  <=3 ", 0, 4), ("== 0", 0, 1)],
)
@pytest.mark.parametrize("fact", ["rows", "cells", "bytes"])
def test_comparisons(fact: str, text: str, holds: int, fails: int) -> None:
    """Every operator compares the fact that it stands beside."""
    rules = policy(allow("some", "reveal", f"when = {{ {fact} = '{text}' }}"))
    key = "size" if fact == "bytes" else fact
    assert rules.decide(request("reveal", **{key: holds})).verdict == "allow"  # type: ignore[arg-type]
    assert rules.decide(request("reveal", **{key: fails})).verdict == "deny"  # type: ignore[arg-type]


# -- before lowering ------------------------------------------------------------------------------------------------


def test_could_reveal_hopes_for_the_unknown_only() -> None:
    """An unknown count may turn out well; a known one, and a rule without conditions, are final."""
    rules = policy(
        allow("some", "read reveal", "when = { rows = '<= 9' }"), deny("big", "reveal", "when = { cells = '> 9' }")
    )
    assert rules.could_reveal(request("reveal")).verdict == "allow"
    assert rules.could_reveal(request("reveal", rows=10)).verdict == "deny"
    assert rules.could_reveal(request("reveal", cells=10)).rule == "big"
    assert rules.could_reveal(request("reveal", "net")).effect is Effect.NET
    assert policy(allow("all", "reveal"), deny("no", "reveal")).could_reveal(request("reveal")).rule == "no"


# -- keys -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("key", "matching", "other"),
    [
        ("origin = 'call*'", {"via": "callback"}, {"via": "guest"}),
        ("type = ['pandas.*', 'polars.*']", {"kind": "polars.DataFrame"}, {"kind": "xpandas.DataFrame"}),
        ("member = 'to_*'", {"member": "to_csv"}, {"member": "head"}),
        ("member = 'to_*'", {"member": "to_csv"}, {"member": None}),
        ("member = '[ab]?'", {"member": "a1"}, {"member": "a1\n"}),
        ("op = ['getitem', 'call']", {"verb": "getitem"}, {"verb": "setitem"}),
        ("label = 'pii*'", {"labels": "pii-eu"}, {"labels": "public"}),
        ("label = 'pii*'", {"labels": "pii-eu"}, {"labels": ""}),
        ("agent = 'an-*'", {"agent": "an-1"}, {"agent": "AN-1"}),
    ],
)
@pytest.mark.parametrize("strict", [False, True])
def test_keys_restrict_a_rule(key: str, matching: dict[str, str], other: dict[str, str], strict: bool) -> None:
    """Each key narrows both kinds of rules; globs are anchored and case-sensitive."""
    if strict:
        rules = policy(allow("all", "read"), deny("no", "read", key))
    else:
        body = allow("some", "read", key)
        rules = policy(body.replace('agent = "*"; ', "") if key.startswith("agent") else body)
    assert rules.decide(request("read", **matching)).verdict == ("deny" if strict else "allow")  # type: ignore[arg-type]
    assert rules.decide(request("read", **other)).verdict == ("allow" if strict else "deny")  # type: ignore[arg-type]


def test_a_label_does_not_lend_itself() -> None:
    """An allow by label needs all labels, and covers a root among several only if that root is declared with it."""
    head = "[objects.a]\nlabels = 'public'\n[objects.b]\nlabels = ['public', 'pii']\n[objects.c]\nlabels = 'public'"
    rules = policy(allow("pub", "read", "label = 'public'"), head=head)
    assert rules.decide(request("read", roots="a", labels="public")).verdict == "allow"
    assert rules.decide(request("read", roots="a c", labels="public")).verdict == "allow"
    assert rules.decide(request("read", roots="b", labels="public pii")).verdict == "deny"
    assert rules.decide(request("read", roots="a hr", labels="public")).verdict == "deny"
    assert rules.decide(request("read", roots="", labels="")).verdict == "deny"
    strict = policy(allow("all", "read"), deny("pii", "read", "label = 'pii'"), head=head)
    assert strict.decide(request("read", roots="a b", labels="public pii")).rule == "pii"


# -- what a refusal tells -------------------------------------------------------------------------------------------


def test_a_cap_is_explained() -> None:
    """The hint names the cap, its rule and a way that would be allowed; the most generous rule speaks."""
    rules = policy(
        allow("show-results", "reveal", "when = { rows = '<= 100' }"), allow("few", "reveal", "when = { rows = '< 5' }")
    )
    for rows in (101, None):
        decision = rules.decide(request("reveal", rows=rows))
        expected = 'reveal is capped at 100 rows by rule "show-results"; try .head(100) or an aggregate'
        assert (decision.rule, decision.hint) == ("show-results", expected)
    assert "not known" in rules.decide(request("reveal")).reason
    assert "not known" not in rules.decide(request("reveal", rows=101)).reason


def test_other_conditions_are_explained() -> None:
    """Several conditions and exceptions are told in words."""
    rules = policy(allow("mid", "reveal", "when = { rows = '<= 9', cells = '>= 2' }; unless = { bytes = '== 1' }"))
    hint = rules.decide(request("reveal", rows=10, cells=2, size=2)).hint
    assert hint.startswith('rule "mid" allows reveal for at most 9 rows and at least 2 cells and not exactly 1 byte')
    exact = policy(allow("none", "reveal", "when = { rows = '== 0' }"))
    assert exact.decide(request("reveal", rows=1)).hint.endswith("an operation that shows nothing")


def test_a_deny_is_explained() -> None:
    """The rule's own reason is given, and the hint says when it would not apply and what else is allowed."""
    rules = policy(
        allow("all", "read reveal"), deny("no", "reveal", "unless = { rows = '<= 9' }; reason = 'ask the data office'")
    )
    decision = rules.decide(request("reveal", rows=10))
    assert decision.reason == "ask the data office"
    assert decision.hint.startswith('"reveal" on "visits" is refused except for at most 9 rows by rule "no"')
    assert "allowed there: read, reveal" in decision.hint
    plain = policy(deny("no", "net")).decide(request("net", roots=""))
    assert (plain.reason, plain.hint) == ('rule "no" denies it', '"net" is refused by rule "no"')


def test_texts_hold_no_members() -> None:
    """What the agent chose freely does not come back in a text that others may read."""
    decision = policy(deny("no", "net")).decide(request("read", member="<script>"))
    assert "script" not in repr(decision)


# -- the cache ------------------------------------------------------------------------------------------------------


def test_the_cache_is_bounded_and_changes_nothing() -> None:
    """An agent that invents members and counts cannot make the host keep them all."""
    from proxyplane.policies import engine

    rules = policy(allow("some", "reveal", "when = { rows = '<= 100' }; member = 'a*'"))
    for number in range(engine.PLANS + 10):
        expected = "allow" if number % 2 else "deny"
        member = f"{'ba'[number % 2]}{number}"
        assert rules.decide(request("reveal", member=member, rows=1)).verdict == expected
    assert len(rules._engine.plans) <= engine.PLANS
    for rows in range(engine.ANSWERS + 10):
        assert rules.decide(request("reveal", member="a", rows=rows)).verdict == ("allow" if rows <= 100 else "deny")
    assert len(rules._engine.plan(request("reveal", member="a"))._kept) <= engine.ANSWERS
