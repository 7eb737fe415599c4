"""Checks of a policy that go beyond its form: its sections. Rules are read by `ruling`, tests by `trials`."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path as FilePath
from pathlib import PurePosixPath
from types import MappingProxyType
from typing import Any

from proxyplane.hosts import rows
from proxyplane.policies.faults import Faults
from proxyplane.policies.form import Form
from proxyplane.policies.locate import Path
from proxyplane.policies.model import Budget, FsGrant, Guest, ModuleGrant, ObjectFacts, PolicyModel, Rule
from proxyplane.policies.ruling import Ruling
from proxyplane.policies.shape import FileShape, FsShape, ObjectShape
from proxyplane.policies.surface import Surface
from proxyplane.policies.trials import read_trials
from proxyplane.policies.vocabulary import FACTS, near

__all__ = ["Meaning", "units_of"]

_MODULE = re.compile(r"[^\W\d]\w*(\.[^\W\d]\w*)*")


class Meaning:
    """One pass over one file.

    Args:
        shape: the file, without what has the wrong form.
        faults: where to tell what is wrong.
        form: knows what was taken out.
        surface: see `load.parse`.
    """

    def __init__(self, shape: FileShape, faults: Faults, form: Form, surface: Surface | None) -> None:
        self.shape = shape
        self.faults = faults
        self.form = form
        self.surface = surface

    def model(self, folder: FilePath) -> PolicyModel:
        """The model; `folder` is what a relative `[fs] root` starts from. Only good if there were no faults."""
        shape = self.shape
        objects = {name: self._object(name, each) for name, each in shape.objects.items()}
        modules = ModuleGrant(host=self._modules("host"), guest=self._guest())
        for name, budget in shape.budgets.items():
            if budget.limit < 0:
                self.faults(f'the limit of budget "{name}" is below 0', ("budgets", name, "limit"))
        ruling = Ruling(shape, self.faults, self.form, objects, self.surface)
        rules = ruling.rules()
        model = PolicyModel(
            rules=rules,
            objects=MappingProxyType(objects),
            budgets=MappingProxyType(self._charged(rules)),
            modules=modules,
            fs=None if shape.fs is None else self._fs(shape.fs, folder),
            fs_root="" if shape.fs is None else shape.fs.root,
            require_tier=shape.require_tier,
            mode=shape.mode,
            guest_stated=shape.modules is not None and "guest" in shape.modules.model_fields_set,
        )
        return replace(model, trials=read_trials(shape, self.faults, self.form, model))

    def _object(self, name: str, shape: ObjectShape) -> ObjectFacts:
        path: Path = ("objects", name)
        if not name:
            self.faults("an object needs a name", path)
        if shape.show is not None and shape.hide is not None:
            self.faults(f'object "{name}" has both show and hide', (*path, "hide"), hint="keep show, the allow-list")
        for key in ("show", "hide", "labels", "mask", "keys"):
            for index, each in enumerate(getattr(shape, key) or ()):
                if not each:
                    self.faults(f'"{key}" holds an empty name', (*path, key, index))
        if shape.show == []:
            self.faults(f'object "{name}" would have no column left', (*path, "show"), "do not grant it instead")
        if shape.min_group is not None and shape.min_group < 2:
            self.faults("a group of fewer than 2 rows protects nobody", (*path, "min_group"), hint="such as 10")
        self._visible(shape, path)
        return ObjectFacts(
            shape.type,
            frozenset(shape.labels),
            None if shape.show is None else tuple(shape.show),
            tuple(shape.hide or ()),
            tuple(shape.mask or ()),
            tuple(self._filters(shape, path)),
            tuple(shape.keys or ()),
            shape.min_group,
        )

    def _visible(self, shape: ObjectShape, path: Path) -> None:
        """What is masked or a key must exist for the agent."""
        for key in ("mask", "keys"):
            for index, name in enumerate(getattr(shape, key) or ()):
                if shape.show is not None and name not in shape.show:
                    close = near(name, shape.show)
                    hint = f'did you mean "{close}"?' if close else "add it to show, or take it away here"
                    self.faults(f'"{key}" names "{name}", which is not shown', (*path, key, index), hint)
                elif name in (shape.hide or ()):
                    self.faults(f'"{key}" names "{name}", which is hidden', (*path, key, index), "keep one of the two")

    def _filters(self, shape: ObjectShape, path: Path) -> Iterable[rows.RowFilter]:
        for index, text in enumerate(shape.where or ()):
            try:
                yield rows.parse(text)
            except ValueError as error:
                hint = "compare columns with values, such as \"region == 'north' and amount > 10\""
                self.faults(f'"where": {error}', (*path, "where", index), hint)

    def _modules(self, key: str) -> tuple[str, ...]:
        if self.shape.modules is None:
            return () if key == "host" else ("stdlib",)
        names: list[str] = getattr(self.shape.modules, key)
        for index, name in enumerate(names):
            if not _MODULE.fullmatch(name):
                self.faults(f'"{name}" is not the name of a module', ("modules", key, index), hint='such as "pandas"')
        return tuple(dict.fromkeys(names))

    def _guest(self) -> Guest:
        names = self._modules("guest")
        if names == ("stdlib",):
            return "stdlib"
        if "stdlib" in names:
            self.faults('"stdlib" stands alone', ("modules", "guest"), hint='guest = "stdlib", or a list of modules')
        return names

    def _fs(self, shape: FsShape, folder: FilePath) -> FsGrant:
        if not shape.root:
            self.faults('"root" is empty', ("fs", "root"), hint='"." is the folder of this file')
        for key in ("read", "write"):
            for index, pattern in enumerate(getattr(shape, key)):
                parts = PurePosixPath(pattern)
                if not pattern or parts.is_absolute() or ".." in parts.parts:
                    hint = 'write a glob below root, such as "data/*.csv"'
                    self.faults(f'"{pattern}" does not stay below root', ("fs", key, index), hint=hint)
        return FsGrant((folder / shape.root).absolute(), tuple(shape.read), tuple(shape.write))

    def _charged(self, rules: tuple[Rule, ...]) -> dict[str, Budget]:
        """Budgets with the one unit in which rules charge them."""

        def differ(rule: Rule, budget: str, known: str, unit: str, first: str) -> None:
            message = f'budget "{budget}" is charged in {known} by rule "{first}" and in {unit} here'
            self.faults(message, ("rules", rule.index, "charge", budget), hint="use one unit for a budget")

        units = units_of(rules, differ)
        found = {}
        for name, shape in self.shape.budgets.items():
            unit, ids = units.get(name, ("", ()))
            found[name] = Budget(name, shape.limit, shape.per, shape.exceeded, unit, ids)
        return found


def units_of(rules: Iterable[Rule], differ: Any) -> dict[str, tuple[str, tuple[str, ...]]]:
    """Unit and charging rules of each budget.

    Args:
        rules: in file order.
        differ: called with rule, budget, known unit, unit and first rule where two rules charge in different units.
    """
    units: dict[str, tuple[str, tuple[str, ...]]] = {}
    for rule in rules:
        for take in rule.takes:
            unit = "columns" if take.columns else "operations" if take.fact is None else FACTS[take.fact]
            known, ids = units.get(take.budget, (unit, ()))
            if known != unit:
                differ(rule, take.budget, known, unit, ids[0])
            units[take.budget] = (known, (*ids, rule.id))
    return units
