"""Conditions on what is known of an operation besides its counts: files, hosts, age, arguments, the session.

A clause is true, false or not known. Over several names (files, hosts) a rule that refuses is met by any of them, a
rule that allows only by all of them, and for exceptions (`unless`) it is the other way round.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from fnmatch import translate
from typing import NamedTuple

from proxyplane.decisions import Context
from proxyplane.effects import Effect
from proxyplane.policies.match import interval
from proxyplane.policies.vocabulary import COUNTS, DURATIONS, FILES

__all__ = ["Clause", "clause", "clauses_hold", "path_glob"]

_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86_400}
_NUMBERS = {
    "age": "age",
    "session.age": "session_age",
    "session.operations": "operations",
    "session.runs": "runs",
}
_NET = frozenset({Effect.NET})
_PARTS = re.compile(r"(\*\*/?|\*|\?|\[!?\]?[^\]]*\])")


class Clause(NamedTuple):
    """One comparison. Which fields count depends on `key`."""

    key: str
    """`path`, `host`, `age`, `session.tier`, `args.index` ..."""
    text: tuple[str, ...]
    """As written."""
    low: int = 0
    high: int | None = None
    number: bool = False
    """It compares with the interval `low` to `high`."""
    equal: bool | None = None
    """It compares with this very boolean."""

    def words(self) -> str:
        """For people."""
        return f"{self.key} {' or '.join(self.text)}" if self.number else f"{self.key} = {' or '.join(self.text)}"


def clause(key: str, value: object) -> Clause | None:
    """Read one condition; `None` if the value is none that the key can be compared with.

    Args:
        key: a condition that is no count of content.
        value: as in the file: a comparison, a duration such as `<= 15m`, a glob, a list of globs, a boolean or a whole
            number.
    """
    if key.startswith("args."):
        return _argument(key, value)
    if key in COUNTS or key in DURATIONS:
        if not isinstance(value, str):
            return None
        found = interval(value, _SECONDS.get if key in DURATIONS else None)
        return None if found is None or not _possible(found) else Clause(key, (value,), *found, number=True)
    names = [value] if isinstance(value, str) else value
    if not isinstance(names, list) or not names or not all(isinstance(name, str) and name for name in names):
        return None
    return Clause(key, tuple(names))


def _argument(key: str, value: object) -> Clause | None:
    if isinstance(value, bool):
        return Clause(key, (str(value).lower(),), equal=value)
    if isinstance(value, int):
        return Clause(key, (str(value),), value, value, number=True)
    if isinstance(value, str) and (found := interval(value)) is not None:
        return Clause(key, (value,), *found, number=True) if _possible(found) else None
    names = [value] if isinstance(value, str) else value
    if not isinstance(names, list) or not names or not all(isinstance(name, str) for name in names):
        return None
    return Clause(key, tuple(names))


def _possible(found: tuple[int, int | None]) -> bool:
    return found[1] is None or found[1] >= found[0]


def clauses_hold(
    clauses: tuple[Clause, ...], context: Context, verb: str, effects: frozenset[Effect], *, any_name: bool
) -> bool | None:
    """Whether all clauses hold: yes, no, or not known.

    Args:
        clauses: of one table.
        context: what is known.
        verb: arguments belong to calls only.
        effects: of the operation; with an effect on files or the network the lack of names means "not known".
        any_name: one of several names is enough.
    """
    answer: bool | None = True
    for each in clauses:
        one = _holds(each, context, verb, effects, any_name)
        if one is False:
            return False
        if one is None:
            answer = None
    return answer


def _holds(each: Clause, context: Context, verb: str, effects: frozenset[Effect], any_name: bool) -> bool | None:
    key = each.key
    if key.startswith("args."):
        return False if verb != "call" else _argument_holds(each, context.args)
    if key in _NUMBERS:
        return _in_interval(each, getattr(context, _NUMBERS[key]))
    if key == "session.tier":
        return None if context.tier is None else _matches(each, context.tier)
    names = context.paths if key == "path" else context.hosts
    if not names:
        return False if effects.isdisjoint(FILES if key == "path" else _NET) else None
    return (any if any_name else all)(_matches(each, name) for name in names)


def _argument_holds(each: Clause, args: Mapping[str, object] | None) -> bool | None:
    name = each.key.removeprefix("args.")
    if args is None or name not in args:
        return None
    value = args[name]
    if each.equal is not None:
        return value is each.equal
    if each.number:
        return _in_interval(each, value) if type(value) is int else False
    return _matches(each, value) if isinstance(value, str) else False


def _in_interval(each: Clause, value: object) -> bool | None:
    if not isinstance(value, int):
        return None
    return value >= each.low and (each.high is None or value <= each.high)


_compiled: dict[tuple[str, bool], re.Pattern[str]] = {}


def _matches(each: Clause, name: str) -> bool:
    is_path = each.key == "path"
    for pattern in each.text:
        found = _compiled.get((pattern, is_path))
        if found is None:  # patterns come from policy files only, so there are few
            found = _compiled[pattern, is_path] = re.compile(path_glob(pattern) if is_path else translate(pattern))
        if found.match(name):
            return True
    return False


def path_glob(pattern: str) -> str:
    """A regular expression for a glob over paths: `*` stays within one folder, `**` does not.

    Args:
        pattern: such as `out/**` or `data/*.csv`.
    """
    parts = []
    for part in _PARTS.split(pattern):
        if part in ("**", "**/"):
            parts.append("(?:.*/)?" if part == "**/" else ".*")
        elif part == "*":
            parts.append("[^/]*")
        elif part == "?":
            parts.append("[^/]")
        elif part.startswith("[") and part.endswith("]") and len(part) > 2:
            parts.append(translate(part).removeprefix("(?s:").removesuffix(r")\Z"))
        else:
            parts.append(re.escape(part))
    return rf"(?s:{''.join(parts)})\Z"
