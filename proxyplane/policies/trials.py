"""The file's own tests: reading them, and deciding them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

from proxyplane.decisions import Context, Decision, Facts, Request
from proxyplane.effects import ALL_EFFECTS, Effect
from proxyplane.operations import VERBS
from proxyplane.policies.faults import Faults
from proxyplane.policies.form import Form
from proxyplane.policies.locate import Path
from proxyplane.policies.model import ObjectFacts, PolicyModel, Trial
from proxyplane.policies.ruling import seconds
from proxyplane.policies.shape import FileShape, TestShape, TryShape
from proxyplane.policies.vocabulary import ORIGINS, near, suggest

if TYPE_CHECKING:
    from proxyplane.policies.policy import Policy

__all__ = ["Result", "read_trials", "request_of", "try_all"]

_SESSION = {"operations": int, "runs": int, "age": str, "tier": str}


class Result(NamedTuple):
    """How one test went."""

    trial: Trial
    decision: Decision

    @property
    def passed(self) -> bool:
        """Whether it was decided as expected."""
        trial, decision = self.trial, self.decision
        if decision.verdict != trial.decision:
            return False
        return trial.rule is None or (decision.rule or "default") == trial.rule

    def __str__(self) -> str:
        trial, decision = self.trial, self.decision
        wanted = trial.decision + (f" by {trial.rule}" if trial.rule else "")
        came = f"{decision.verdict} by {decision.rule or 'default'}"
        where = f"{trial.file}:{trial.line}" if trial.line else trial.file
        return f"{where}: {trial.name or 'test'}: " + (came if self.passed else f"expected {wanted}, came {came}")


def try_all(policy: Policy) -> list[Result]:
    """Decide every test of a policy."""
    return [Result(trial, policy.decide(trial.request)) for trial in policy.trials]


def read_trials(shape: FileShape, faults: Faults, form: Form, model: PolicyModel) -> tuple[Trial, ...]:
    """The file's tests; only good if there were no faults."""
    ids = {rule.id for rule in model.rules}
    found = []
    for index, each in enumerate(shape.tests):
        path: Path = ("tests", index)
        if form.is_spoilt(path, "*"):
            continue
        _check(each, path, faults, model.objects, ids)
        if each.attempt.effect and all(name in ALL_EFFECTS for name in each.attempt.effect):
            request = request_of(each.attempt, model.objects)
            name = each.name or f"test {index + 1}"
            expect = each.expect
            found.append(Trial(name, request, expect.decision, expect.rule, faults.line(path), faults.file))
    return tuple(found)


def _check(each: TestShape, path: Path, faults: Faults, objects: Mapping[str, ObjectFacts], ids: set[str]) -> None:
    attempt, inside = each.attempt, (*path, "try")
    if not attempt.effect:
        faults("an operation has at least one effect", (*inside, "effect"), hint='such as effect = ["read"]')
    for at, name in enumerate(attempt.effect):
        if name not in ALL_EFFECTS:
            faults(f'unknown effect "{name}"', (*inside, "effect", at), hint=suggest(name, ALL_EFFECTS))
    if attempt.op not in VERBS:
        faults(f'unknown verb "{attempt.op}"', (*inside, "op"), hint=suggest(attempt.op, VERBS))
    if attempt.origin not in ORIGINS:
        faults(f'unknown origin "{attempt.origin}"', (*inside, "origin"), hint=suggest(attempt.origin, ORIGINS))
    for at, name in enumerate(attempt.object):
        close = None if name in objects else near(name, objects)
        if close:
            faults(f'unknown object "{name}"', (*inside, "object", at), hint=f'did you mean "{close}"?')
    rule = each.expect.rule
    if rule is not None and rule != "default" and rule not in ids:
        section, _, name = rule.partition(".")
        if section != "objects" or name not in objects:
            hint = suggest(rule, {*ids, "default"})
            faults(f'unknown rule "{rule}"', (*path, "expect", "rule"), hint=hint)
    if attempt.age is not None and seconds(attempt.age) is None:
        faults(f'"{attempt.age}" is not a duration', (*inside, "age"), hint="such as 30s, 5m, 2h, 1d")
    for key, value in attempt.session.items():
        if key not in _SESSION:
            faults(f'unknown fact "session.{key}"', (*inside, "session", key), hint=suggest(key, _SESSION))
        elif type(value) is not _SESSION[key] or (key == "age" and seconds(str(value)) is None):
            faults(f'"{value}" is no value of session.{key}', (*inside, "session", key))


def request_of(attempt: TryShape, objects: Mapping[str, ObjectFacts]) -> Request:
    """The question that a `try` puts.

    What it does not say is not touched (columns, files) or not known (counts); labels and type are those of the
    objects.
    """
    facts = [objects[name] for name in attempt.object if name in objects]
    labels = frozenset(attempt.label) if attempt.label is not None else frozenset().union(*(f.labels for f in facts))
    known = {each.type for each in facts if each.type is not None}
    kind = attempt.type if attempt.type is not None else known.pop() if len(known) == 1 else ""
    return Request(
        attempt.agent,
        attempt.origin,
        attempt.op,
        attempt.name,
        kind,
        frozenset(attempt.object),
        labels,
        frozenset(Effect(name) for name in attempt.effect),
        Facts(attempt.rows, attempt.cells, attempt.bytes, attempt.group),
        _context(attempt),
    )


def _context(attempt: TryShape) -> Context:
    session: dict[str, Any] = attempt.session
    age = session.get("age")
    return Context(
        columns=frozenset(attempt.column),
        paths=frozenset(attempt.path),
        hosts=frozenset(attempt.host),
        args=dict(attempt.args),
        age=None if attempt.age is None else seconds(attempt.age),
        session_age=seconds(age) if isinstance(age, str) else None,
        operations=session.get("operations"),
        runs=session.get("runs"),
        tier=session.get("tier"),
        aggregate=attempt.aggregate,
    )
