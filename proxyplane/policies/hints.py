"""What a refusal tells: the rule in the way, and what would be allowed instead. Names and counts only."""

from __future__ import annotations

from collections.abc import Collection, Iterable

from proxyplane.decisions import Facts, Request
from proxyplane.effects import Effect
from proxyplane.policies.match import Bound, count, in_words
from proxyplane.policies.model import Rule
from proxyplane.policies.vocabulary import FACTS

__all__ = ["NOTHING_ALLOWS", "absent", "capped", "denied", "generosity"]

NOTHING_ALLOWS = "nothing is allowed unless a rule allows it"


def absent(effect: Effect, request: Request, missing: Collection[str], granted: Collection[Effect]) -> str:
    """No rule grants the effect for these roots at all."""
    where = f" on {_names(missing)}" if missing else ""
    return f'no rule allows "{effect}" for agent "{request.agent}"{where}' + _instead(granted)


def denied(rule: Rule, effect: Effect, request: Request, granted: Collection[Effect]) -> str:
    """A deny rule matched."""
    condition = f" for {in_words(rule.when)}" if rule.when else ""
    exception = f" except for {in_words(rule.unless)}" if rule.unless else ""
    where = f" on {_names(request.roots)}" if request.roots else ""
    return f'"{effect}"{where} is refused{condition}{exception} by rule "{rule.id}"' + _instead(granted)


def capped(rule: Rule, effect: Effect, facts: Facts) -> tuple[str, str]:
    """Reason and hint where an allow rule would match, had its conditions held."""
    caps = _caps(rule)
    words = in_words(rule.when) if rule.when else ""
    exception = f"not {in_words(rule.unless)}" if rule.unless else ""
    terms = " and ".join(term for term in (words, exception) if term)
    fixed = f'{effect} is capped at {count(caps[0][1], caps[0][0])} by rule "{rule.id}"' if caps else ""
    unknown = _unknown(rule, facts)
    reason = f'rule "{rule.id}" allows {terms}' if terms else f'rule "{rule.id}" charges a budget'
    if unknown:
        reason += f", and it is not known beforehand how many {' or '.join(unknown)} there are"
    if fixed and len(rule.when) == 1 and not rule.unless:
        return reason, f"{fixed}; try {_smaller(*caps[0])}"
    return reason, f'rule "{rule.id}" allows {effect} for {terms or "a known number of " + " and ".join(unknown)}' + (
        f"; try {_smaller(*caps[0])}" if caps else "; try .head(10) or an aggregate"
    )


def generosity(rule: Rule) -> tuple[float, int]:
    """Orders allow rules by how much they let through, the earlier of two equals last."""
    return min((high for _, high in _caps(rule)), default=float("inf")), -rule.index


def _caps(rule: Rule) -> list[tuple[str, int]]:
    return [(FACTS[each.fact], each.high) for each in rule.when if each.high is not None]


def _unknown(rule: Rule, facts: Facts) -> list[str]:
    """Facts that the rule needs and nobody knows."""
    bounds: Iterable[Bound] = (*rule.when, *rule.unless)
    needed = {each.fact for each in bounds} | {take.fact for take in rule.takes if take.fact is not None}
    return [FACTS[fact] for fact in sorted(needed) if facts[fact] is None]


def _smaller(unit: str, high: int) -> str:
    if unit == "rows" and high > 0:
        return f".head({high}) or an aggregate"
    return "fewer rows or columns, or an aggregate" if high > 0 else "an operation that shows nothing"


def _instead(granted: Collection[Effect]) -> str:
    return f"; allowed there: {', '.join(granted)}" if granted else ""


def _names(names: Iterable[str]) -> str:
    return " and ".join(f'"{name}"' for name in sorted(names))
