"""What is legal in a policy but probably not meant."""

from __future__ import annotations

from collections.abc import Iterable
from fnmatch import fnmatchcase

from proxyplane.effects import Effect
from proxyplane.policies.match import NOTHING, is_literal
from proxyplane.policies.model import PolicyModel
from proxyplane.policies.vocabulary import CONTENT, FILES, FLOOR, MEMBERLESS, suggest

__all__ = ["notes"]


def notes(model: PolicyModel, names: Iterable[str] | None) -> list[str]:
    """One sentence for each thing.

    Args:
        model: the policy.
        names: the names that objects are granted by, if they are known.
    """
    found: list[str] = []
    if names is not None:
        found += _names(model, sorted(set(names)))
    for told in (_budgets, _effects, _labels, _redactions, _verbs, _mode):
        found += told(model)
    return found


def _names(model: PolicyModel, granted: list[str]) -> Iterable[str]:
    for rule in model.rules:
        named = [pattern for pattern in rule.object if not pattern.startswith("fs:")]
        if (
            named
            and not any(fnmatchcase(name, pattern) for name in granted for pattern in named)
            and (rule.object != ("*",))
        ):
            yield f'rule "{rule.id}" (line {rule.line}) names {_quoted(rule.object)}, and no granted object is that'
    for name in model.objects:
        if name not in granted:
            yield f"[objects.{name}] describes an object that is not granted; hint: {suggest(name, granted)}"


def _budgets(model: PolicyModel) -> Iterable[str]:
    for budget in model.budgets.values():
        if not budget.rules:
            yield f'budget "{budget.name}" is never charged: add charge = {{ {budget.name} = "rows" }} to a rule'
        if budget.per == "session":
            yield f'budget "{budget.name}" counts per session: whoever can open sessions resets it'
    for rule in model.rules:
        if CONTENT.isdisjoint(rule.effects) and any(take.fact is not None or take.columns for take in rule.takes):
            yield f'rule "{rule.id}" (line {rule.line}) charges for content but grants no effect that shows any'


def _effects(model: PolicyModel) -> Iterable[str]:
    allowed = {effect for rule in model.rules if rule.grants and not rule.deny for effect in rule.effects}
    for key, effect in (("read", Effect.FS_READ), ("write", Effect.FS_WRITE)):
        if model.fs is not None and getattr(model.fs, key) and effect not in allowed:
            yield f'[fs] {key} lists files, and no rule allows "{effect}"'
    for effect in sorted(FILES):
        if model.fs is None and effect in allowed:
            yield f'a rule allows "{effect}", and without [fs] no file is reachable'


def _labels(model: PolicyModel) -> Iterable[str]:
    """A label comes from an object's facts and from nowhere else."""
    declared = {label for facts in model.objects.values() for label in facts.labels}
    for rule in model.rules:
        for pattern in (*rule.label, *sorted(rule.declassify)):
            if pattern != "*" and not any(fnmatchcase(label, pattern) for label in declared):
                yield f'rule "{rule.id}" (line {rule.line}) speaks of the label "{pattern}", and no object carries it'
        if rule.declassify and not any(facts.keys for facts in model.objects.values()):
            yield f'rule "{rule.id}" (line {rule.line}) declassifies aggregates, and no object has keys to group by'


def _redactions(model: PolicyModel) -> Iterable[str]:
    granted = {effect for rule in model.rules if rule.grants and not rule.deny for effect in rule.effects}
    for rule in model.rules:
        if rule.decide == "redact" and not rule.grants and granted.isdisjoint(rule.effects & CONTENT):
            yield (
                f'rule "{rule.id}" (line {rule.line}) redacts what no rule grants; name agent and object in it, or add '
                "an allow"
            )
        for name in sorted(rule.redaction.mask) if rule.redaction is not None else ():
            if not is_literal(name):
                yield f'rule "{rule.id}" (line {rule.line}) masks the column "{name}", which is no pattern but a name'


def _verbs(model: PolicyModel) -> Iterable[str]:
    for rule in model.rules:
        if "member" in rule.globs and NOTHING not in rule.member and rule.ops and rule.ops <= MEMBERLESS:
            named = " and ".join(sorted(rule.ops))
            yield f'rule "{rule.id}" (line {rule.line}) can never match: {named} name no member'


def _mode(model: PolicyModel) -> Iterable[str]:
    if model.mode == "observe":
        kept = ", ".join(sorted(FLOOR))
        yield f'mode = "observe" refuses nothing but {kept}, hidden columns and rows, and files outside [fs]'


def _quoted(names: Iterable[str]) -> str:
    return ", ".join(f'"{name}"' for name in names)
