"""Checks of a policy that go beyond its form: words that exist, names that resolve, rules that can match."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from fnmatch import fnmatchcase
from pathlib import Path as FilePath
from pathlib import PurePosixPath
from types import MappingProxyType
from typing import Any, NoReturn, Protocol

from proxyplane.effects import ALL_EFFECTS, Effect
from proxyplane.operations import VERBS
from proxyplane.policies.locate import Path, nearest
from proxyplane.policies.match import Bound, bound, can_hold
from proxyplane.policies.model import Budget, FsGrant, Guest, ModuleGrant, ObjectFacts, PolicyModel, Rule, Take
from proxyplane.policies.shape import FileShape, FsShape, RuleShape
from proxyplane.policies.vocabulary import FACTS, NAMED_ONLY, ORIGINS, suggest

__all__ = ["Meaning"]

_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:/-]*")
_MODULE = re.compile(r"[^\W\d]\w*(\.[^\W\d]\w*)*")
_NAMES = ("agent", "origin", "object", "type", "label", "member", "op", "effect")


class Fail(Protocol):
    """Raises the `PolicyError` for what stands at `path`."""

    def __call__(self, message: str, path: Path, hint: str = "") -> NoReturn: ...


class Meaning:
    """One pass over one file whose form is right.

    Args:
        shape: the file.
        lines: where its parts stand.
        fail: called with the first thing that is wrong; must not return.
    """

    def __init__(self, shape: FileShape, lines: dict[Path, int], fail: Fail) -> None:
        self.shape = shape
        self.lines = lines
        self.fail = fail

    def model(self, folder: FilePath) -> PolicyModel:
        """The checked model; `folder` is what a relative `[fs] root` starts from."""
        objects = {name: self._object(name) for name in self.shape.objects}
        modules = ModuleGrant(host=self._modules("host"), guest=self._guest())
        fs = self.shape.fs
        self._budgets()
        rules = self._rules()
        return PolicyModel(
            rules=rules,
            objects=MappingProxyType(objects),
            budgets=MappingProxyType(self._charged(rules)),
            modules=modules,
            fs=None if fs is None else self._fs(fs, folder),
            fs_root="" if fs is None else fs.root,
            require_tier=self.shape.require_tier,
        )

    # -- sections ---------------------------------------------------------------------------------------------

    def _object(self, name: str) -> ObjectFacts:
        path: Path = ("objects", name)
        shape = self.shape.objects[name]
        if not name:
            self.fail("an object needs a name", path)
        if shape.show is not None and shape.hide is not None:
            self.fail(f'object "{name}" has both show and hide', (*path, "hide"), hint="keep show, the allow-list")
        for key, names in (("show", shape.show), ("hide", shape.hide), ("labels", shape.labels)):
            for index, each in enumerate(names or ()):
                if not each:
                    self.fail(f'"{key}" holds an empty name', (*path, key, index))
        if shape.show == []:
            self.fail(f'object "{name}" would have no column left', (*path, "show"), hint="do not grant it instead")
        show = None if shape.show is None else tuple(shape.show)
        return ObjectFacts(shape.type, frozenset(shape.labels), show, tuple(shape.hide or ()))

    def _modules(self, key: str) -> tuple[str, ...]:
        names: list[str] = getattr(self.shape.modules, key)
        for index, name in enumerate(names):
            if not _MODULE.fullmatch(name):
                self.fail(f'"{name}" is not the name of a module', ("modules", key, index), hint='such as "pandas"')
        return tuple(dict.fromkeys(names))

    def _guest(self) -> Guest:
        names = self._modules("guest")
        if names == ("stdlib",):
            return "stdlib"
        if "stdlib" in names:
            self.fail('"stdlib" stands alone', ("modules", "guest"), hint='guest = "stdlib", or a list of modules')
        return names

    def _fs(self, shape: FsShape, folder: FilePath) -> FsGrant:
        if not shape.root:
            self.fail('"root" is empty', ("fs", "root"), hint='"." is the folder of this file')
        for key in ("read", "write"):
            for index, pattern in enumerate(getattr(shape, key)):
                parts = PurePosixPath(pattern)
                if not pattern or parts.is_absolute() or ".." in parts.parts:
                    hint = 'write a glob below root, such as "data/*.csv"'
                    self.fail(f'"{pattern}" does not stay below root', ("fs", key, index), hint=hint)
        return FsGrant((folder / shape.root).absolute(), tuple(shape.read), tuple(shape.write))

    def _budgets(self) -> None:
        for name, shape in self.shape.budgets.items():
            if shape.limit < 0:
                self.fail(f'the limit of budget "{name}" is below 0', ("budgets", name, "limit"))

    def _charged(self, rules: tuple[Rule, ...]) -> dict[str, Budget]:
        """Budgets with the one unit in which rules charge them."""
        units: dict[str, tuple[str, list[str]]] = {}
        for rule in rules:
            for take in rule.takes:
                unit = "operations" if take.fact is None else FACTS[take.fact]
                known, ids = units.setdefault(take.budget, (unit, []))
                if known != unit:
                    message = f'budget "{take.budget}" is charged in {known} by rule "{ids[0]}" and in {unit} here'
                    self.fail(message, ("rules", rule.index, "charge", take.budget), hint="use one unit for a budget")
                ids.append(rule.id)
        found = {}
        for name, shape in self.shape.budgets.items():
            unit, ids = units.get(name, ("", []))
            found[name] = Budget(name, shape.limit, shape.per, shape.exceeded, unit, tuple(ids))
        return found

    # -- rules ------------------------------------------------------------------------------------------------

    def _rules(self) -> tuple[Rule, ...]:
        seen: dict[str, int] = {}
        found = []
        for index, shape in enumerate(self.shape.rules):
            path: Path = ("rules", index)
            if not _ID.fullmatch(shape.id):
                self.fail(f'"{shape.id}" cannot be an id', (*path, "id"), hint="letters, digits and . _ - : / only")
            if shape.id in seen:
                first = nearest(self.lines, ("rules", seen[shape.id], "id"))
                self.fail(f'rule id "{shape.id}" is used twice', (*path, "id"), hint=f"first used in line {first}")
            seen[shape.id] = index
            found.append(self._rule(index, shape))
        return tuple(found)

    def _rule(self, index: int, shape: RuleShape) -> Rule:
        path: Path = ("rules", index)
        deny = shape.decide == "deny"
        self._names(shape, path)
        if not deny:
            for key in ("agent", "object"):
                if getattr(shape, key) is None:
                    hint = f'{key} = "*" means every {key}'
                    self.fail(f'rule "{shape.id}" allows, so it must name "{key}"', (*path, "decide"), hint=hint)
        elif shape.charge is not None:
            self.fail(f'rule "{shape.id}" denies, so it cannot charge', (*path, "charge"), hint="charge in an allow")
        when = self._bounds(shape.when, (*path, "when"))
        unless = self._bounds(shape.unless, (*path, "unless"))
        if not can_hold(when, unless):
            where = (*path, "unless" if can_hold(when, ()) else "when")
            self.fail(f'rule "{shape.id}" can never match', where, hint="no count satisfies its conditions")
        return Rule(
            index=index,
            id=shape.id,
            deny=deny,
            effects=self._effects(shape.effect or ["*"], deny, (*path, "effect")),
            **{key: tuple(getattr(shape, key) or "*") for key in _NAMES[:6]},
            ops=self._ops(shape.op, (*path, "op")),
            when=when,
            unless=unless,
            takes=self._takes(shape.charge, path),
            reason=shape.reason,
            line=nearest(self.lines, path),
        )

    def _names(self, shape: RuleShape, path: Path) -> None:
        for key in _NAMES:
            names: list[str] | None = getattr(shape, key)
            if names is None:
                continue
            if not names:
                hint = "remove the key, or name something"
                self.fail(f'rule "{shape.id}" can never match: "{key}" is empty', (*path, key), hint=hint)
            for at, name in enumerate(names):
                if not name:
                    message = f'rule "{shape.id}" can never match: "{key}" holds an empty name'
                    self.fail(message, (*path, key, at))
                if key == "origin" and not any(fnmatchcase(origin, name) for origin in ORIGINS):
                    self.fail(f'unknown origin "{name}"', (*path, key, at), hint=suggest(name, ORIGINS))

    def _effects(self, patterns: list[str], deny: bool, path: Path) -> frozenset[Effect]:
        """Effects that the patterns name. A pattern in an allow never reaches those that must be named."""
        found: set[Effect] = set()
        for index, pattern in enumerate(patterns):
            matched = {effect for effect in ALL_EFFECTS if fnmatchcase(effect.value, pattern)}
            if not matched:
                self.fail(f'unknown effect "{pattern}"', (*path, index), hint=suggest(pattern, ALL_EFFECTS))
            if not deny and pattern not in ALL_EFFECTS:
                if matched <= NAMED_ONLY:
                    hint = f'write "{min(matched)}"'
                    self.fail(f'"{pattern}" grants nothing: such an effect must be named', (*path, index), hint=hint)
                matched -= NAMED_ONLY
            found |= matched
        return frozenset(found)

    def _ops(self, names: list[str] | None, path: Path) -> frozenset[str] | None:
        if names is None or "*" in names:
            return None
        for index, name in enumerate(names):
            if name not in VERBS:
                self.fail(f'unknown verb "{name}"', (*path, index), hint=suggest(name, VERBS))
        return frozenset(names)

    def _bounds(self, conditions: Mapping[str, Any] | None, path: Path) -> tuple[Bound, ...]:
        if conditions is None:
            return ()
        if not conditions:
            self.fail(f'"{path[-1]}" holds no comparison', path, hint='such as { rows = "<= 100" }')
        found = []
        for fact, text in conditions.items():
            if fact not in FACTS:
                self.fail(f'unknown fact "{fact}"', (*path, fact), hint=suggest(fact, FACTS))
            each = bound(fact, text) if isinstance(text, str) else None
            if each is None:
                given = f'"{text}"' if isinstance(text, str) else f"{text}"
                hint = 'an operator out of <= < == >= > and a whole number, such as "<= 100"'
                self.fail(f"{given} is not a comparison", (*path, fact), hint=hint)
            found.append(each)
        return tuple(sorted(found))

    def _takes(self, charges: Mapping[str, Any] | None, path: Path) -> tuple[Take, ...]:
        found = []
        for budget, amount in (charges or {}).items():
            where = (*path, "charge", budget)
            if budget not in self.shape.budgets:
                self.fail(f'unknown budget "{budget}"', where, hint=_budget_hint(budget, self.shape.budgets))
            if isinstance(amount, str) and amount in FACTS:
                found.append(Take(budget, FACTS.index(amount)))
            elif type(amount) is int and amount > 0:
                found.append(Take(budget, None, amount))
            else:
                given = f'"{amount}"' if isinstance(amount, str) else f"{amount}"
                hint = '"rows", "cells", "bytes", or a whole number above 0 for each operation'
                self.fail(f"{given} cannot be charged", where, hint=hint)
        return tuple(found)


def _budget_hint(name: str, known: Collection[str]) -> str:
    return suggest(name, known) if known else f"declare it: [budgets.{name}] with a limit"
