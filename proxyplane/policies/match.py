"""What a rule compares: globs over names, and bounds over counts."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from fnmatch import translate
from typing import NamedTuple

from proxyplane.decisions import Facts
from proxyplane.policies.vocabulary import FACTS

__all__ = ["Bound", "Glob", "bound", "can_hold", "count", "glob", "hold", "in_words"]

Glob = Callable[[str], object]
"""Truthy for the names that it matches."""

_COMPARISON = re.compile(r"\s*(<=|>=|==|<|>)\s*([0-9]{1,18})\s*")


def glob(patterns: Iterable[str]) -> Glob | None:
    """One matcher for several case-sensitive patterns of `*`, `?` and `[...]`; `None` when they match every name."""
    wanted = sorted(set(patterns))
    if "*" in wanted:
        return None
    return re.compile("|".join(translate(pattern) for pattern in wanted)).match


class Bound(NamedTuple):
    """A comparison as the closed interval of counts that satisfy it."""

    fact: int
    """Index into `Facts`: 0 rows, 1 cells, 2 bytes."""
    low: int
    high: int | None
    """`None`: no upper end."""


def bound(fact: str, text: str) -> Bound | None:
    """Read a comparison such as `<= 100`; `None` if it is not one.

    Args:
        fact: `rows`, `cells` or `bytes`.
        text: an operator out of `<= < == >= >` and a whole number of at most 18 digits.
    """
    found = _COMPARISON.fullmatch(text)
    if found is None:
        return None
    number = int(found[2])
    low, high = {
        "<=": (0, number),
        "<": (0, number - 1),
        "==": (number, number),
        ">=": (number, None),
        ">": (number + 1, None),
    }[found[1]]
    return Bound(FACTS.index(fact), low, high)


def hold(bounds: Sequence[Bound], facts: Facts) -> bool | None:
    """Whether all bounds hold: yes, no, or not known (one that fails outweighs one that is not known)."""
    answer: bool | None = True
    for fact, low, high in bounds:
        value = facts[fact]
        if value is None:
            answer = None
        elif value < low or (high is not None and value > high):
            return False
    return answer


def can_hold(when: Sequence[Bound], unless: Sequence[Bound]) -> bool:
    """Whether any facts satisfy all of `when` and not all of `unless`."""
    if any(high is not None and high < low for _, low, high in when):
        return False
    if not unless:
        return True
    given = {fact: (low, high) for fact, low, high in when}
    return not all(_within(given.get(fact, (0, None)), low, high) for fact, low, high in unless)


def _within(inner: tuple[int, int | None], low: int, high: int | None) -> bool:
    return inner[0] >= low and (high is None or (inner[1] is not None and inner[1] <= high))


def in_words(bounds: Sequence[Bound]) -> str:
    """Bounds for people: `at most 100 rows and at least 2 cells`."""
    return " and ".join(_one(each) for each in bounds)


def _one(each: Bound) -> str:
    unit = FACTS[each.fact]
    if each.high is None:
        return f"at least {count(each.low, unit)}"
    if each.low == each.high:
        return f"exactly {count(each.low, unit)}"
    return f"at most {count(each.high, unit)}"


def count(number: int, unit: str) -> str:
    """A number with its unit, in the singular where it belongs."""
    return f"{number} {unit.removesuffix('s') if number == 1 else unit}"
