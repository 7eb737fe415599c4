"""Layers: several policies that hold together. Nothing of one is overridden by another.

Rules are put together, and the strictest that matches decides. Of budgets the smaller limit holds, of projections what
is left by all. What a layer does not speak of it does not restrict.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType
from typing import Any, Literal, NoReturn

from proxyplane.errors import PolicyError
from proxyplane.policies.meaning import units_of
from proxyplane.policies.model import Budget, FsGrant, Guest, ModuleGrant, ObjectFacts, PolicyModel, Rule

__all__ = ["unite"]

_TIERS = ("split", "filtered", "sealed")
_PER: tuple[Literal["session", "day", "principal"], ...] = ("session", "day", "principal")


def unite(models: Sequence[PolicyModel]) -> PolicyModel:
    """One policy of several.

    Args:
        models: the layers; their order decides only in which order rules are told.

    Raises:
        PolicyError: two rules of one id say different things, or facts of one object exclude each other.
    """
    rules = tuple(_rules(models))
    names = dict.fromkeys(name for model in models for name in model.objects)
    roots = {model.fs.root for model in models if model.fs is not None}
    if len(roots) > 1:
        _clash("[fs] has different roots in two layers", hint="let one layer have the section")
    objects = {name: _object(name, [m.objects[name] for m in models if name in m.objects]) for name in names}
    tiers = [model.require_tier for model in models if model.require_tier is not None]
    return PolicyModel(
        rules=rules,
        objects=MappingProxyType(objects),
        budgets=MappingProxyType(_budgets(models, rules)),
        modules=_modules(models),
        fs=_fs([model.fs for model in models if model.fs is not None]),
        fs_root=next((model.fs_root for model in models if model.fs is not None), ""),
        require_tier=max(tiers, key=_TIERS.index, default=None),
        mode="observe" if models and all(model.mode == "observe" for model in models) else "enforce",
        trials=tuple(trial for model in models for trial in model.trials),
        texts=MappingProxyType({file: text for model in models for file, text in model.texts.items()}),
        guest_stated=any(model.guest_stated for model in models),
    )


def _clash(message: str, *, file: str = "<layers>", line: int | None = None, hint: str = "") -> NoReturn:
    raise PolicyError(message, file=file, line=line, hint=hint)


def _rules(models: Sequence[PolicyModel]) -> Iterable[Rule]:
    """All rules, numbered anew; the same rule in two layers is one."""
    known: dict[str, Rule] = {}
    for model in models:
        for rule in model.rules:
            same = known.get(rule.id)
            if same is None:
                known[rule.id] = replace(rule, index=len(known))
            elif replace(rule, index=same.index, line=same.line, file=same.file) != same:
                hint = f"rename one of them; the other is in {same.file}, line {same.line}"
                _clash(f'rule id "{rule.id}" is used in two layers', file=rule.file, line=rule.line, hint=hint)
    return known.values()


def _object(name: str, layers: Sequence[ObjectFacts]) -> ObjectFacts:
    types = {facts.type for facts in layers if facts.type is not None}
    if len(types) > 1:
        _clash(f"[objects.{name}] has different types in two layers", hint="let one layer name it")
    shows = [facts.show for facts in layers if facts.show is not None]
    show = shows[0] if shows else None
    for other in shows[1:]:
        show = tuple(column for column in show or () if column in other)
    if show == ():
        _clash(f"[objects.{name}] shows no column that all layers show", hint="do not grant it instead")
    hide = _all(layers, lambda facts: facts.hide)
    keys = [facts.keys for facts in layers if facts.keys]
    groups = [facts.min_group for facts in layers if facts.min_group is not None]
    return ObjectFacts(
        types.pop() if types else None,
        frozenset(label for facts in layers for label in facts.labels),
        show,
        hide,
        tuple(name for name in _all(layers, lambda facts: facts.mask) if _visible(name, show, hide)),
        _all(layers, lambda facts: facts.where),
        tuple(key for key in keys[0] if all(key in other for other in keys)) if keys else (),
        max(groups, default=None),
    )


def _visible(name: str, show: tuple[str, ...] | None, hide: tuple[str, ...]) -> bool:
    return name not in hide and (show is None or name in show)


def _all(layers: Iterable[ObjectFacts], part: Callable[[ObjectFacts], Iterable[Any]]) -> tuple[Any, ...]:
    return tuple(dict.fromkeys(each for facts in layers for each in part(facts)))


def _modules(models: Sequence[PolicyModel]) -> ModuleGrant:
    """Host modules of all layers; for the guest itself what every layer leaves that says anything."""
    host = tuple(dict.fromkeys(name for model in models for name in model.modules.host))
    guest: Guest = "stdlib"
    for model in models:
        names = model.modules.guest
        if model.guest_stated and names != "stdlib":
            guest = names if guest == "stdlib" else tuple(name for name in guest if name in names)
    return ModuleGrant(host, guest)


def _fs(grants: Sequence[FsGrant]) -> FsGrant | None:
    if not grants:
        return None
    read = dict.fromkeys(pattern for grant in grants for pattern in grant.read)
    write = dict.fromkeys(pattern for grant in grants for pattern in grant.write)
    return FsGrant(grants[0].root, tuple(read), tuple(write))


def _budgets(models: Sequence[PolicyModel], rules: Sequence[Rule]) -> Mapping[str, Budget]:
    def differ(rule: Rule, budget: str, known: str, unit: str, first: str) -> None:
        message = f'budget "{budget}" is charged in {known} by rule "{first}" and in {unit} here'
        _clash(message, file=rule.file, line=rule.line, hint="use one unit for a budget")

    units = units_of(rules, differ)
    found: dict[str, Budget] = {}
    for model in models:
        for name, budget in model.budgets.items():
            unit, ids = units.get(name, ("", ()))
            other = found.get(name, budget)
            found[name] = Budget(
                name,
                min(other.limit, budget.limit),
                max(other.per, budget.per, key=_PER.index),
                "deny" if "deny" in (other.exceeded, budget.exceeded) else "ask",
                unit,
                ids,
            )
    return found
