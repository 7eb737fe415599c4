"""What a refusal tells: the rule in the way, and what would be allowed instead. Names and counts only."""

from __future__ import annotations

from collections.abc import Collection, Iterable

from proxyplane.decisions import Request
from proxyplane.effects import Effect
from proxyplane.policies.match import Bound, count, in_words
from proxyplane.policies.model import Rule
from proxyplane.policies.vocabulary import FACTS

__all__ = ["NOTHING_ALLOWS", "absent", "capped", "denied", "exceptions", "generosity", "terms"]

NOTHING_ALLOWS = "nothing is allowed unless a rule allows it"


def absent(effect: Effect, request: Request, missing: Collection[str], granted: Collection[Effect]) -> str:
    """No rule grants the effect for these roots at all."""
    where = f" on {_names(missing)}" if missing else ""
    return f'no rule allows "{effect}" for agent "{request.agent}"{where}' + _instead(granted)


def denied(rule: Rule, effect: Effect, request: Request, granted: Collection[Effect]) -> str:
    """A deny rule matched."""
    condition = f" for {words}" if (words := terms(rule)) else ""
    exception = f" except for {words}" if (words := exceptions(rule)) else ""
    where = f" on {_names(request.roots)}" if request.roots else ""
    return f'"{effect}"{where} is refused{condition}{exception} by rule "{rule.id}"' + _instead(granted)


def capped(rule: Rule, effect: Effect, request: Request) -> tuple[str, str]:
    """Reason and hint where an allow rule would match, had its conditions held."""
    caps = _caps(rule)
    words = terms(rule)
    exception = f"not {exceptions(rule)}" if exceptions(rule) else ""
    wanted = " and ".join(term for term in (words, exception) if term)
    fixed = f'{effect} is capped at {count(caps[0][1], caps[0][0])} by rule "{rule.id}"' if caps else ""
    unknown = _unknown(rule, request)
    reason = f'rule "{rule.id}" allows {wanted}' if wanted else f'rule "{rule.id}" charges a budget'
    if unknown:
        reason += f", and it is not known beforehand how many {' or '.join(unknown)} there are"
    if fixed and len(rule.when) == 1 and not rule.unless and not rule.contextual:
        return reason, f"{fixed}; try {_smaller(*caps[0])}"
    advice = f"; try {_smaller(*caps[0])}" if caps else "" if rule.contextual else "; try .head(10) or an aggregate"
    return (
        reason,
        f'rule "{rule.id}" allows {effect} for {wanted or "a known number of " + " and ".join(unknown)}{advice}',
    )


def terms(rule: Rule) -> str:
    """What must hold for the rule to match, in words; empty where nothing must."""
    parts = [in_words(rule.when)] if rule.when else []
    if "column" in rule.globs:
        parts.append(f"column {' or '.join(rule.column)}")
    if rule.declassify:
        parts.append("aggregates of source columns by declared keys")
    return " and ".join([*parts, *(each.words() for each in rule.when_also)])


def exceptions(rule: Rule) -> str:
    """For what the rule does not match, in words; empty where it has no exception."""
    parts = [in_words(rule.unless)] if rule.unless else []
    return " and ".join([*parts, *(each.words() for each in rule.unless_also)])


def generosity(rule: Rule) -> tuple[float, int]:
    """Orders allow rules by how much they let through, the earlier of two equals last."""
    return min((high for _, high in _caps(rule)), default=float("inf")), -rule.index


def _caps(rule: Rule) -> list[tuple[str, int]]:
    return [
        (FACTS[each.fact], each.high) for each in rule.when if each.high is not None and FACTS[each.fact] != "group"
    ]


def _unknown(rule: Rule, request: Request) -> list[str]:
    """Facts that the rule needs and nobody knows."""
    bounds: Iterable[Bound] = (*rule.when, *rule.unless)
    needed = {each.fact for each in bounds} | {take.fact for take in rule.takes if take.fact is not None}
    words = {"group": "rows behind each value"}
    return [words.get(FACTS[fact], FACTS[fact]) for fact in sorted(needed) if request.facts[fact] is None]


def _smaller(unit: str, high: int) -> str:
    if unit == "rows" and high > 0:
        return f".head({high}) or an aggregate"
    return "fewer rows or columns, or an aggregate" if high > 0 else "an operation that shows nothing"


def _instead(granted: Collection[Effect]) -> str:
    return f"; allowed there: {', '.join(granted)}" if granted else ""


def _names(names: Iterable[str]) -> str:
    return " and ".join(f'"{name}"' for name in sorted(names))
