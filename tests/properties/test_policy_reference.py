"""The engine, with its indexes and caches, against a plain reading of the five sentences."""

from __future__ import annotations

import json
from fnmatch import fnmatchcase
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from proxyplane.decisions import STRICTNESS, Context, Facts, Request
from proxyplane.effects import Effect
from proxyplane.policies import Policy
from proxyplane.policies.match import bound, can_hold

EFFECTS = [Effect.READ, Effect.MUTATE, Effect.REVEAL, Effect.FS_READ, Effect.FS_WRITE, Effect.MEMORY]
COMPARE = {"<=": int.__le__, "<": int.__lt__, "==": int.__eq__, ">=": int.__ge__, ">": int.__gt__}
LABELS = {"a": {"pii"}, "b": {"pii", "eu"}, "c": set()}

Rule = dict[str, Any]


# -- the plain reading ----------------------------------------------------------------------------------------------


def some(rule: Rule, key: str, name: str | None) -> bool:
    """Whether a key of a rule accepts a name."""
    patterns = rule.get(key, ["*"])
    return "*" in patterns or (name is not None and any(fnmatchcase(name, each) for each in patterns))


def names_effect(rule: Rule, effect: Effect) -> bool:
    patterns = rule.get("effect", ["*"])
    if rule["decide"] != "deny" and effect in (Effect.MEMORY, Effect.UNKNOWN):
        return effect.value in patterns
    return any(fnmatchcase(effect.value, each) for each in patterns)


def holds(conditions: dict[str, Any], request: Request, some_name: bool) -> bool | None:
    """All conditions of a table; of several paths some must match, or all."""
    results: list[bool | None] = []
    for fact, text in conditions.items():
        if fact == "path":
            paths = request.context.paths
            found = [fnmatchcase(path, text) for path in paths]
            unknown = not request.effects.isdisjoint({Effect.FS_READ, Effect.FS_WRITE})
            results.append((any(found) if some_name else all(found)) if found else None if unknown else False)
            continue
        operator, number = text.split()
        value = getattr(request.facts, fact)
        results.append(None if value is None else COMPARE[operator](value, int(number)))
    return False if False in results else None if None in results else True


def applies(rule: Rule, request: Request, gives: bool) -> bool | None:
    """Conditions of a rule: asked for what it gives, it must speak of all columns and paths, else of any."""
    columns = request.context.columns
    answers = [holds(rule.get("when", {}), request, not gives)]
    if "*" not in rule.get("column", ["*"]):
        found = None if columns is None else [some(rule, "column", each) for each in columns]
        answers.append(None if found is None else all(found) if gives else any(found))
    if "unless" in rule:
        excepted = holds(rule["unless"], request, gives)
        answers.append(None if excepted is None else not excepted)
    if False in answers:
        return False
    if Effect.REVEAL in request.effects:
        answers += [None for unit in rule.get("charge", {}).values() if unit == "rows" and request.facts.rows is None]
    return None if None in answers else True


def speaks(rule: Rule, request: Request, effect: Effect) -> bool:
    return (
        names_effect(rule, effect)
        and some(rule, "agent", request.agent)
        and some(rule, "origin", request.via)
        and some(rule, "member", request.member)
        and some(rule, "type", request.type)
        and request.verb in rule.get("op", [request.verb])
    )


def limits(rule: Rule, request: Request, effect: Effect, hopeful: bool) -> bool:
    """Whether a rule that is stricter than an allow matches."""
    touched = all(
        "*" in rule.get(key, ["*"]) or any(some(rule, key, name) for name in names)
        for key, names in (("object", request.roots), ("label", request.labels))
    )
    if rule["decide"] == "allow" or not speaks(rule, request, effect) or not touched:
        return False
    if rule["decide"] == "redact" and effect != Effect.REVEAL:
        return False
    return applies(rule, request, gives=False) in ((True,) if hopeful else (True, None))


def covers(rule: Rule, request: Request, effect: Effect, hopeful: bool) -> set[str] | None:
    """The roots for which a rule grants the effect."""
    if rule["decide"] == "deny" or (rule["decide"] == "redact" and not {"agent", "object"} <= rule.keys()):
        return None
    if not speaks(rule, request, effect) or applies(rule, request, gives=True) not in (
        (True, None) if hopeful else (True,)
    ):
        return None
    roots = {root for root in request.roots if some(rule, "object", root)}
    if "*" not in rule.get("label", ["*"]):
        if not request.labels or not all(some(rule, "label", label) for label in request.labels):
            return None
        if len(request.roots) > 1:
            roots = {root for root in roots if any(some(rule, "label", label) for label in LABELS.get(root, ()))}
    return roots if roots or not request.roots else None


def reference(rules: list[Rule], request: Request, hopeful: bool) -> tuple[Any, ...]:
    """Verdict, refused effect, ids that matched, charges, and the rows to show at most."""
    effects = [effect for effect in Effect if effect in request.effects]
    denied, missing, charges, strict = [], [], {}, []
    matched = [
        rule["id"]
        for rule in rules
        if any(limits(rule, request, e, hopeful) or covers(rule, request, e, hopeful) is not None for e in effects)
    ]
    for effect in effects:
        limiting = [rule for rule in rules if limits(rule, request, effect, hopeful)]
        denied += [effect for rule in limiting if rule["decide"] == "deny"]
        strict += [rule for rule in limiting if rule["decide"] != "deny"]
        covering = [(rule, covers(rule, request, effect, hopeful)) for rule in rules]
        found = [roots for _, roots in covering if roots is not None]
        if not found or set().union(*found) != request.roots:
            missing.append(effect)
        taking = covering + [(rule, {r for r in request.roots if some(rule, "object", r)}) for rule in limiting]
        for rule, roots in taking:
            for budget, unit in rule.get("charge", {}).items():
                shown = Effect.REVEAL in request.effects
                amount = unit if isinstance(unit, int) else (getattr(request.facts, unit) or 0) if shown else 0
                for root in roots or ():
                    charges[budget, root] = max(amount, charges.get((budget, root), 0))
    if denied or missing or not effects:
        return "deny", next(iter(denied + missing), None), tuple(matched) if effects else (), {}, None
    verdict = max((rule["decide"] for rule in strict), key=STRICTNESS.index, default="allow")
    rows = min((rule["redact"]["rows"] for rule in strict if "redact" in rule), default=None)
    return verdict, None, tuple(matched), {key: amount for key, amount in charges.items() if amount}, rows


# -- policies and requests ------------------------------------------------------------------------------------------


def listed(*names: str) -> st.SearchStrategy[list[str]]:
    return st.lists(st.sampled_from(names), min_size=1, max_size=2, unique=True)


COMPARISONS = st.sampled_from(["<= 1", "< 2", "== 1", ">= 2", "> 2"])
COUNTED = st.dictionaries(st.sampled_from(["rows", "cells"]), COMPARISONS, min_size=1, max_size=2)
CONDITIONS = COUNTED | st.fixed_dictionaries({"path": st.sampled_from(["out/*", "data/x"])})
RULES = st.fixed_dictionaries(
    {
        "agent": listed("*", "x", "x*", "y"),
        "object": listed("*", "a", "b", "[bc]"),
        "decide": st.sampled_from(["allow"]),
    },
    optional={
        "effect": listed("*", "read", "mutate", "reveal", "fs.*", "m*", "memory"),
        "origin": listed("guest", "call*"),
        "type": listed("pandas.*", "m?dule"),
        "label": listed("*", "pii", "e*"),
        "member": listed("*", "to_*", "head"),
        "op": listed("call", "getitem"),
        "column": listed("*", "ssn", "re*"),
        "when": CONDITIONS,
        "unless": CONDITIONS,
        "charge": st.fixed_dictionaries({}, optional={"seen": st.just("rows"), "looks": st.sampled_from([1, 2])}),
    },
)
# Most rules restrict little, or hardly any request would be allowed.
WIDE = st.fixed_dictionaries(
    {"agent": st.just(["*"]), "object": listed("*", "a", "[bc]"), "decide": st.just("allow"), "effect": st.just(["*"])},
    optional={"when": CONDITIONS, "charge": st.just({"seen": "rows", "looks": 1})},
)
COUNTS = st.none() | st.integers(0, 3)
REQUESTS = st.builds(
    Request,
    st.sampled_from(["x", "xy", "y", "z"]),
    st.sampled_from(["guest", "callback"]),
    st.sampled_from(["call", "getitem"]),
    st.sampled_from([None, "head", "to_csv"]),
    st.sampled_from(["pandas.DataFrame", "module"]),
    st.frozensets(st.sampled_from("abcd"), max_size=3),
    st.frozensets(st.sampled_from(["pii", "eu"]), max_size=2),
    st.frozensets(st.sampled_from(EFFECTS), max_size=3),
    st.builds(Facts, COUNTS, COUNTS, COUNTS),
    st.builds(
        Context,
        st.none() | st.frozensets(st.sampled_from(["ssn", "region", "day"]), max_size=2),
        st.frozensets(st.sampled_from(["out/a", "data/x", "b"]), max_size=2),
    ),
)


@st.composite
def policies(draw: st.DrawFn) -> list[Rule]:
    rules = draw(st.lists(RULES | WIDE, max_size=6))
    for number, rule in enumerate(rules):
        rule["id"] = f"r{number}"
        decide = draw(st.sampled_from(["allow", "allow", "allow", "deny", "ask", "redact"]))
        if decide != "allow":
            rule["decide"] = decide
            if decide == "deny":
                rule.pop("charge", None)
            if decide == "redact":
                rule["redact"] = {"rows": draw(st.integers(1, 3))}
                rule["effect"] = sorted({*rule.get("effect", ["*"]), "reveal"})
            if draw(st.booleans()):
                del rule["agent"], rule["object"]
        if "when" in rule and "unless" in rule:  # on the same fact they may exclude each other, which does not load
            rule["unless"] = (
                {"bytes": "<= 1"}
                if "path" in rule["unless"]
                else {{"rows": "cells", "cells": "bytes"}[key]: text for key, text in rule["unless"].items()}
            )
            rule["when"] = {"rows": "> 1"} if "path" in rule["when"] else {"rows": next(iter(rule["when"].values()))}
    return rules


def written(rules: list[Rule]) -> str:
    parts = ["schema = 1", "[budgets]", "seen = { limit = 9 }", "looks = { limit = 9 }"]
    parts += [f"[objects.{name}]\nlabels = {json.dumps(sorted(labels))}" for name, labels in LABELS.items()]
    for rule in rules:
        parts.append("[[rules]]")
        for key, value in rule.items():
            if isinstance(value, dict):
                parts.append(f"{key} = {{ " + ", ".join(f"{k} = {json.dumps(v)}" for k, v in value.items()) + " }")
            else:
                parts.append(f"{key} = {json.dumps(value)}")
    return "\n".join(parts)


def summary(decision: Any) -> tuple[Any, ...]:
    charges = {(each.budget, root): each.amount for each in decision.charges for root in each.roots}
    refused = decision.effect if decision.verdict == "deny" else None
    rows = decision.redaction.rows if decision.redaction is not None else None
    return decision.verdict, refused, decision.matched, charges, rows


@settings(max_examples=300, deadline=None)
@given(policies(), st.data())
def test_the_engine_is_the_five_sentences(rules: list[Rule], data: st.DataObject) -> None:
    """For any rules and requests, asked in any order and twice, engine and plain reading agree."""
    policy = Policy.parse(written(rules))
    requests = data.draw(st.lists(REQUESTS, min_size=1, max_size=6))
    for request in requests + requests:
        assert summary(policy.decide(request)) == reference(rules, request, hopeful=False)
        assert summary(policy.could_reveal(request)) == reference(rules, request, hopeful=True)


@settings(max_examples=150, deadline=None)
@given(policies(), REQUESTS, st.randoms())
def test_order_of_rules_does_not_matter(rules: list[Rule], request: Request, random: Any) -> None:
    """Turning the file around changes no verdict, no refused effect and no charge."""
    shuffled = random.sample(rules, len(rules))
    one, other = (summary(Policy.parse(written(each)).decide(request)) for each in (rules, shuffled))
    assert (one[0], one[1], set(one[2]), *one[3:]) == (other[0], other[1], set(other[2]), *other[3:])


@settings(max_examples=150, deadline=None)
@given(policies(), REQUESTS)
def test_knowing_more_never_turns_a_hope_into_more(rules: list[Rule], request: Request) -> None:
    """What `decide` allows for some counts, `could_reveal` allowed while the counts were not known."""
    policy = Policy.parse(written(rules))
    if policy.decide(request).verdict != "deny":
        assert policy.could_reveal(request).verdict != "deny"
        unknown = request._replace(facts=Facts(), context=request.context._replace(columns=None))
        assert policy.could_reveal(unknown).verdict != "deny"


def counted(conditions: dict[str, str], facts: Facts) -> bool | None:
    nobody = Request("a", "guest", "call", None, "", frozenset(), frozenset(), frozenset(), facts)
    return holds(conditions, nobody, some_name=True)


TEXTS = st.sampled_from(["< 0", ">= 0", "> 0", "<= 1", "< 2", "== 1", ">= 2"])
BOUNDS = st.dictionaries(st.sampled_from(["rows", "cells"]), TEXTS)


@given(BOUNDS, BOUNDS)
def test_a_rule_loads_exactly_if_it_can_match(when: dict[str, str], unless: dict[str, str]) -> None:
    """The check for rules that can never match agrees with trying all small counts."""
    parsed = [[bound(fact, text) for fact, text in each.items()] for each in (when, unless)]
    counts = [Facts(rows, cells, 0) for rows in range(5) for cells in range(5)]
    tried = any(counted(when, facts) and not (unless and counted(unless, facts)) for facts in counts)
    assert can_hold(*parsed) == tried  # type: ignore[arg-type]
