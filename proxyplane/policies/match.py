"""What a rule compares: globs over names, and bounds over counts."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from fnmatch import translate
from typing import NamedTuple

from proxyplane.decisions import Facts
from proxyplane.policies.vocabulary import FACTS

__all__ = [
    "LONGEST",
    "NOTHING",
    "Bound",
    "Glob",
    "Names",
    "bound",
    "can_hold",
    "count",
    "glob",
    "hold",
    "in_words",
    "interval",
    "is_literal",
]

Glob = Callable[[str], object]
"""Truthy for the names that it matches."""

_COMPARISON = re.compile(r"\s*(<=|>=|==|<|>)\s*([0-9]{1,18})\s*")
NOTHING = "()"
"""As a member: none; the object itself is called, or the verb names no member."""
_SPECIAL = re.compile(r"[*?\[]")
_GROUP = FACTS.index("group")
_NOBODY = 1 << 62
"""Rows behind a value that nothing was shown of: as many as anybody may ask."""
LONGEST = 256
"""Characters of a name that is remembered; how long names are is the guest's choice, too."""
_KEPT = 1024
"""Names whose rules are remembered; names are the guest's choice, so their number must not be."""


def glob(patterns: Iterable[str]) -> Glob | None:
    """One matcher for several case-sensitive patterns of `*`, `?` and `[...]`; `None` when they match every name."""
    wanted = sorted(set(patterns))
    if "*" in wanted:
        return None
    return re.compile("|".join(translate(pattern) for pattern in wanted)).match


def is_literal(pattern: str) -> bool:
    """Whether a pattern means one name only."""
    return _SPECIAL.search(pattern) is None


class Names:
    """Which of many rules accept a name, as the bits of a number: rule 0 is bit 0.

    A name is looked up, not compared with each rule; only patterns that are no literal names are tried, each
    different one once.

    Args:
        patterns: of one key, for each rule; `*` accepts every name.
    """

    __slots__ = ("_globs", "_kept", "_literal", "open")

    def __init__(self, patterns: Iterable[tuple[str, ...]]) -> None:
        self.open = 0
        """Rules that accept every name, and the lack of one; the pattern `()` accepts the lack alone."""
        self._literal: dict[str, int] = {}
        globs: dict[str, int] = {}
        self._kept: dict[str, int] = {}
        for number, wanted in enumerate(patterns):
            if "*" in wanted:
                self.open |= 1 << number
                continue
            for pattern in wanted:
                table = self._literal if is_literal(pattern) else globs
                table[pattern] = table.get(pattern, 0) | 1 << number
        self._globs = [(re.compile(translate(pattern)).match, bits) for pattern, bits in globs.items()]

    def bits(self, name: str | None) -> int:
        """The rules that accept it."""
        if name is None:
            return self._literal.get(NOTHING, 0) | self.open
        if not self._globs:
            return self._literal.get(name, 0) | self.open
        found = self._kept.get(name)
        if found is None:
            found = self._literal.get(name, 0) | self.open
            for matches, bits in self._globs:
                if matches(name):
                    found |= bits
            if len(name) <= LONGEST:
                if len(self._kept) >= _KEPT:
                    self._kept.clear()
                self._kept[name] = found
        return found


class Bound(NamedTuple):
    """A comparison as the closed interval of counts that satisfy it."""

    fact: int
    """Index into `Facts`: 0 rows, 1 cells, 2 bytes, 3 group."""
    low: int
    high: int | None
    """`None`: no upper end."""


def bound(fact: str, text: str) -> Bound | None:
    """Read a comparison such as `<= 100`; `None` if it is not one.

    Args:
        fact: one of `FACTS`.
        text: an operator out of `<= < == >= >` and a whole number of at most 18 digits.
    """
    found = interval(text)
    return None if found is None else Bound(FACTS.index(fact), *found)


def interval(text: str, unit: Callable[[str], int | None] | None = None) -> tuple[int, int | None] | None:
    """The closed interval that a comparison means; `None` if it is not one.

    Args:
        text: an operator and a whole number, with `unit` followed by a word that scales it.
        unit: the factor of such a word; `None` for words that it does not know.
    """
    factor: int | None = 1
    if unit is not None:
        text, word = text.rstrip()[:-1], text.rstrip()[-1:]
        factor = unit(word)
    found = _COMPARISON.fullmatch(text)
    if found is None or factor is None:
        return None
    number = int(found[2]) * factor
    bounds: dict[str, tuple[int, int | None]] = {
        "<=": (0, number),
        "<": (0, number - 1),
        "==": (number, number),
        ">=": (number, None),
        ">": (number + 1, None),
    }
    return bounds[found[1]]


def hold(bounds: Sequence[Bound], facts: Facts) -> bool | None:
    """Whether all bounds hold: yes, no, or not known (one that fails outweighs one that is not known)."""
    answer: bool | None = True
    for fact, low, high in bounds:
        value = facts[fact]
        if value is None and fact == _GROUP and facts.cells == 0:
            value = _NOBODY
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
    if each.fact == _GROUP:
        many = f"at least {each.low}" if each.high is None else f"at most {each.high}"
        return f"groups of {many if each.low != each.high else f'exactly {each.low}'} rows"
    if each.high is None:
        return f"at least {count(each.low, unit)}"
    if each.low == each.high:
        return f"exactly {count(each.low, unit)}"
    return f"at most {count(each.high, unit)}"


def count(number: int, unit: str) -> str:
    """A number with its unit, in the singular where it belongs."""
    return f"{number} {unit.removesuffix('s') if number == 1 else unit}"
