"""Reads rules: words that exist, names that resolve, conditions that can hold, rules that can match."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping
from fnmatch import fnmatchcase
from typing import Any

from proxyplane.decisions import Redaction
from proxyplane.effects import ALL_EFFECTS, Effect
from proxyplane.operations import VERBS
from proxyplane.policies.clauses import Clause, clause
from proxyplane.policies.faults import Faults
from proxyplane.policies.form import Form
from proxyplane.policies.locate import Path
from proxyplane.policies.match import NOTHING, Bound, bound, can_hold, is_literal
from proxyplane.policies.model import ObjectFacts, Rule, Take, Terms
from proxyplane.policies.shape import FileShape, RuleShape
from proxyplane.policies.surface import Surface
from proxyplane.policies.vocabulary import (
    CONDITIONS,
    CONTENT,
    DURATIONS,
    FACTS,
    NAMED_ONLY,
    ORIGINS,
    UNITS,
    near,
    suggest,
)

__all__ = ["Ruling", "seconds"]

_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:/-]*")
_NAMES = ("agent", "origin", "object", "type", "label", "column", "member", "op", "effect")
_TIME = re.compile(r"\s*([0-9]{1,9})\s*([smhd])\s*")
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86_400}


def seconds(text: str) -> int | None:
    """A duration such as `30s`, `5m`, `2h` or `1d`; `None` if it is none."""
    found = _TIME.fullmatch(text)
    return int(found[1]) * _SECONDS[found[2]] if found else None


class Ruling:
    """Reads all rules of one file.

    Args:
        shape: the file.
        faults: where to tell what is wrong.
        form: knows what was taken out.
        objects: the facts of the file's objects.
        surface: see `load.parse`.
    """

    def __init__(
        self,
        shape: FileShape,
        faults: Faults,
        form: Form,
        objects: Mapping[str, ObjectFacts],
        surface: Surface | None,
    ) -> None:
        self.shape = shape
        self.faults = faults
        self.form = form
        self.surface = surface
        self.objects = objects
        self.labels = {label for facts in objects.values() for label in facts.labels}
        self.columns = {
            column
            for facts in objects.values()
            for column in (*(facts.show or ()), *facts.hide, *facts.mask, *facts.keys, *_filtered(facts))
        }

    def rules(self) -> tuple[Rule, ...]:
        """The rules in file order; only good if there were no faults."""
        seen: dict[str, int] = {}
        found = []
        for index, shape in enumerate(self.shape.rules):
            path: Path = ("rules", index)
            if self.form.is_spoilt(path, "*"):
                continue
            if not self.form.is_spoilt(path, "id"):
                self._id(shape.id, seen, index)
            found.append(self._rule(index, shape))
        return tuple(found)

    def _id(self, name: str, seen: dict[str, int], index: int) -> None:
        path: Path = ("rules", index, "id")
        if not _ID.fullmatch(name):
            self.faults(f'"{name}" cannot be an id', path, hint="letters, digits and . _ - : / only")
        if name in seen:
            first = self.faults.line(("rules", seen[name], "id"))
            self.faults(f'rule id "{name}" is used twice', path, hint=f"first used in line {first}")
        seen.setdefault(name, index)

    def _rule(self, index: int, shape: RuleShape) -> Rule:
        path: Path = ("rules", index)
        grants = shape.decide in ("allow", "ask", "fork") or (
            shape.decide == "redact" and shape.agent is not None and shape.object is not None
        )
        self._names(shape, path)
        if not self.form.is_spoilt(path, "decide"):
            self._decide(shape, path)
        when, when_also = self._conditions(shape.when, (*path, "when"))
        unless, unless_also = self._conditions(shape.unless, (*path, "unless"))
        if not self._possible(when, when_also, unless, unless_also):
            where = (*path, "unless" if can_hold(when, ()) else "when")
            counts = not (when_also or unless_also)
            hint = "no count satisfies its conditions" if counts else "its conditions exclude it"
            self.faults(f'rule "{shape.id}" can never match', where, hint=hint)
        effects = self._effects(shape.effect or ["*"], shape.decide == "deny", (*path, "effect"))
        if shape.decide == "redact" and effects and effects.isdisjoint(CONTENT):
            hint = f"add {', '.join(sorted(CONTENT))}, with which content is shown"
            self.faults(f'rule "{shape.id}" can never match: it redacts what shows nothing', (*path, "effect"), hint)
        return Rule(
            index=index,
            id=shape.id,
            decide=shape.decide,
            effects=effects,
            **{key: tuple(getattr(shape, key) or "*") for key in _NAMES[:7]},
            ops=self._ops(shape.op, (*path, "op")),
            when=when,
            unless=unless,
            when_also=when_also,
            unless_also=unless_also,
            takes=self._takes(shape.charge, path),
            redaction=self._redaction(shape, path),
            terms=self._terms(shape, path),
            declassify=frozenset(shape.declassify or ()),
            grants=grants,
            reason=shape.reason,
            line=self.faults.line(path),
            file=self.faults.file,
        )

    # -- what goes with which decision ------------------------------------------------------------------------

    def _decide(self, shape: RuleShape, path: Path) -> None:
        decide, name = shape.decide, shape.id
        if decide == "fork":
            hint = 'use "ask" until objects can be forked'
            self.faults('decide = "fork" is not available yet', (*path, "decide"), hint)
        if decide == "allow":
            for key in ("agent", "object"):
                if getattr(shape, key) is None and not self.form.is_spoilt(path, key):
                    hint = f'{key} = "*" means every {key}'
                    self.faults(f'rule "{name}" allows, so it must name "{key}"', (*path, "decide"), hint=hint)
        if decide == "deny" and shape.charge is not None:
            self.faults(f'rule "{name}" denies, so it cannot charge', (*path, "charge"), hint="charge in an allow")
        if decide == "redact" and shape.redact is None and not self.form.is_spoilt(path, "redact"):
            hint = "redact = { rows = 20 }, or mask, round, min_group"
            self.faults(f'rule "{name}" redacts, so it must say what', (*path, "decide"), hint)
        for key, only in (("redact", "redact"), ("ask", "ask"), ("declassify", "allow")):
            if getattr(shape, key) is not None and decide != only:
                message = f'rule "{name}" has "{key}", which goes with decide = "{only}"'
                self.faults(message, (*path, key), hint=f'take it away, or decide = "{only}"')

    def _redaction(self, shape: RuleShape, path: Path) -> Redaction | None:
        redact = shape.redact
        if redact is None:
            return None
        inside = (*path, "redact")
        if not redact.model_fields_set and not self.form.is_spoilt(path, "redact"):
            self.faults('"redact" says nothing', inside, hint="rows, mask, round or min_group")
        if redact.rows is not None and redact.rows < 0:
            self.faults('"rows" is below 0', (*inside, "rows"))
        if redact.min_group is not None and redact.min_group < 2:
            self.faults("a group of fewer than 2 rows protects nobody", (*inside, "min_group"), hint="such as 10")
        for at, name in enumerate(redact.mask):
            self._meant("column", name, self.columns, (*inside, "mask", at))
        return Redaction(redact.rows, frozenset(redact.mask), redact.round, redact.min_group, (shape.id,))

    def _terms(self, shape: RuleShape, path: Path) -> Terms | None:
        if shape.decide != "ask":
            return None
        if shape.ask is None:
            return Terms()
        wait = seconds(shape.ask.timeout)
        if not wait:
            hint = "a whole number and s, m, h or d, such as 30s or 5m"
            self.faults(f'"{shape.ask.timeout}" is not a duration', (*path, "ask", "timeout"), hint=hint)
        return Terms(tuple(shape.ask.who), wait or 0, shape.ask.remember)

    # -- names ------------------------------------------------------------------------------------------------

    def _names(self, shape: RuleShape, path: Path) -> None:
        for key in (*_NAMES, "declassify"):
            names: list[str] | None = getattr(shape, key)
            if names is None:
                continue
            if not names:
                hint = "remove the key, or name something"
                self.faults(f'rule "{shape.id}" can never match: "{key}" is empty', (*path, key), hint=hint)
            for at, name in enumerate(names):
                if not name:
                    message = f'rule "{shape.id}" can never match: "{key}" holds an empty name'
                    self.faults(message, (*path, key, at))
                elif key == "origin" and not any(fnmatchcase(origin, name) for origin in ORIGINS):
                    self.faults(f'unknown origin "{name}"', (*path, key, at), hint=suggest(name, ORIGINS))
                else:
                    self._known(key, name, (*path, key, at))

    def _known(self, key: str, name: str, path: Path) -> None:
        """A name that is nearly one of the known ones is a typing error; any other may be one that is not told here."""
        if key == "object":
            self._meant("object", name, self.objects, path)
        elif key in ("label", "declassify"):
            self._meant("label", name, self.labels, path)
        elif key == "column":
            self._meant("column", name, self.columns, path)
        elif self.surface is not None and key == "member":
            self._reachable("member", name, {*self.surface.members(), *self.columns, NOTHING}, path)
        elif self.surface is not None and key == "type":
            self._reachable("type", name, self.surface.types(), path)

    def _meant(self, what: str, name: str, known: Collection[str], path: Path) -> None:
        if name in known or not is_literal(name):
            return
        close = near(name, known)
        if close is not None:
            self.faults(f'unknown {what} "{name}"', path, hint=f'did you mean "{close}"?')

    def _reachable(self, what: str, pattern: str, known: Iterable[str], path: Path) -> None:
        names = set(known)
        if pattern in names or any(fnmatchcase(name, pattern) for name in names):
            return
        close = near(pattern, names)
        if close is None and self.surface is not None and not self.surface.complete:
            return
        hint = f'did you mean "{close}"?' if close else "see `proxyplane catalog`"
        self.faults(f'no catalog describes a {what} "{pattern}", so the rule can never match', path, hint=hint)

    def _effects(self, patterns: list[str], deny: bool, path: Path) -> frozenset[Effect]:
        """Effects that the patterns name. Only a deny reaches those that must be named by a pattern."""
        found: set[Effect] = set()
        for index, pattern in enumerate(patterns):
            matched = {effect for effect in ALL_EFFECTS if fnmatchcase(effect.value, pattern)}
            if not matched and pattern:
                self.faults(f'unknown effect "{pattern}"', (*path, index), hint=suggest(pattern, ALL_EFFECTS))
            if not deny and pattern not in ALL_EFFECTS:
                if matched and matched <= NAMED_ONLY:
                    hint = f'write "{min(matched)}"'
                    self.faults(f'"{pattern}" grants nothing: such an effect must be named', (*path, index), hint=hint)
                matched -= NAMED_ONLY
            found |= matched
        return frozenset(found)

    def _ops(self, names: list[str] | None, path: Path) -> frozenset[str] | None:
        if names is None or "*" in names:
            return None
        for index, name in enumerate(names):
            if name and name not in VERBS:
                self.faults(f'unknown verb "{name}"', (*path, index), hint=suggest(name, VERBS))
        return frozenset(names)

    # -- conditions and charges -------------------------------------------------------------------------------

    def _possible(
        self, when: tuple[Bound, ...], also: tuple[Clause, ...], unless: tuple[Bound, ...], nor: tuple[Clause, ...]
    ) -> bool:
        """Whether anything satisfies `when` without being excepted."""
        if not can_hold(when, ()):
            return False
        given = set(also)
        excepted = not can_hold(when, unless) if unless else True
        return not (excepted and given.issuperset(nor) and (unless or nor))

    def _conditions(
        self, conditions: Mapping[str, Any] | None, path: Path
    ) -> tuple[tuple[Bound, ...], tuple[Clause, ...]]:
        if conditions is None:
            return (), ()
        if not conditions:
            self.faults(f'"{path[-1]}" holds no comparison', path, hint='such as { rows = "<= 100" }')
        bounds, clauses = [], []
        for key, value, where in _flat(conditions, path):
            if key in FACTS:
                found = bound(key, value) if isinstance(value, str) else None
                if found is None:
                    hint = 'an operator out of <= < == >= > and a whole number, such as "<= 100"'
                    self.faults(f"{_given(value)} is not a comparison", where, hint=hint)
                else:
                    bounds.append(found)
            elif key in CONDITIONS or (key.startswith("args.") and len(key) > len("args.")):
                each = clause(key, value)
                if each is None:
                    self.faults(f'{_given(value)} cannot be compared with "{key}"', where, hint=_clause_hint(key))
                else:
                    clauses.append(each)
            else:
                self.faults(f'unknown fact "{key}"', where, hint=suggest(key, (*CONDITIONS, "args.NAME")))
        return tuple(sorted(bounds)), tuple(sorted(clauses, key=lambda each: (each.key, each.text)))

    def _takes(self, charges: Mapping[str, Any] | None, path: Path) -> tuple[Take, ...]:
        found = []
        for budget, amount in (charges or {}).items():
            where = (*path, "charge", budget)
            if budget not in self.shape.budgets:
                self.faults(f'unknown budget "{budget}"', where, hint=_budget_hint(budget, self.shape.budgets))
            if isinstance(amount, str) and amount in UNITS:
                found.append(Take(budget, FACTS.index(amount)))
            elif amount == "columns":
                found.append(Take(budget, None, columns=True))
            elif type(amount) is int and amount > 0:
                found.append(Take(budget, None, amount))
            else:
                hint = '"rows", "cells", "bytes", "columns", or a whole number above 0 for each operation'
                self.faults(f"{_given(amount)} cannot be charged", where, hint=hint)
        return tuple(found)


def _filtered(facts: ObjectFacts) -> Iterable[str]:
    return (column for each in facts.where for column in each.columns)


def _flat(conditions: Mapping[str, Any], path: Path) -> Iterable[tuple[str, Any, Path]]:
    """Conditions with their dotted names: `args.index = false` is a table inside a table for TOML."""
    for key, value in conditions.items():
        if key in ("args", "session") and isinstance(value, Mapping):
            for inner, one in value.items():
                yield f"{key}.{inner}", one, (*path, key, inner)
        else:
            yield key, value, (*path, key)


def _given(value: Any) -> str:
    return f'"{value}"' if isinstance(value, str) else f"{value}"


def _clause_hint(key: str) -> str:
    if key in DURATIONS:
        return 'an operator and a duration in s, m, h or d, such as "<= 15m"'
    if key in ("session.operations", "session.runs"):
        return 'an operator out of <= < == >= > and a whole number, such as "<= 100"'
    if key.startswith("args."):
        return 'a boolean, a whole number, a comparison such as "<= 5", or globs over texts'
    return "a glob, or a list of globs"


def _budget_hint(name: str, known: Collection[str]) -> str:
    return suggest(name, known) if known else f"declare it: [budgets.{name}] with a limit"
