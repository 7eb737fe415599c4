"""Building the records of the road: what is written before a call, after it, and instead of it.

Integer keys, see `proxyplane.audit.record`. Arguments are recorded by form (value, reference, guest function), type
and handle; of a text its length and a keyed hash, never its content.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from proxyplane import hosts
from proxyplane.audit import record as field
from proxyplane.callables import GuestCallable, MediatedCallable
from proxyplane.decisions import Decision, Facts
from proxyplane.effects import Effect
from proxyplane.identity import identity
from proxyplane.objects import Held
from proxyplane.operations import Operation

if TYPE_CHECKING:
    from proxyplane.sessions import Session

__all__ = ["Trace"]

_MOST_COLUMNS = 64
"""Column names in one record."""
_WAYS = {"guest": "guest", "http": "http", "mcp": "mcp"}
"""Which of a session's shared fields go with the way by which an operation came; all others are `agent`."""
_MOST_STABLE = 4096
"""Packed prefixes that a session keeps."""


def argument_forms(args: tuple[Any, ...], kwargs: dict[str, Any], find: Any) -> list[dict[str, Any]]:
    """How each argument came: its place, form and type, and the handle of a reference."""
    forms = []
    for at, value in [*enumerate(args), *kwargs.items()]:
        kind = type(value)
        form: dict[str, Any] = {"at": at, "type": kind.__name__}
        if kind is GuestCallable:
            form["form"] = "guest"
        elif kind is MediatedCallable:
            form["form"] = "mediated"
        else:
            held = find(value)
            form["form"] = "value" if held is None else "ref"
            if held is not None:
                form["ref"] = held.handle
            elif kind is str or kind is bytes:
                form["size"], form["hmac"] = len(value), field.Hashed(value)
        forms.append(form)
    return forms


def inside(forms: list[dict[str, Any]], inputs: tuple[int, ...]) -> list[dict[str, Any]]:
    """Objects that stand inside containers among the arguments: they are worked on, too."""
    told = {form.get("ref") for form in forms}
    return [{"at": "inside", "form": "ref", "ref": handle} for handle in dict.fromkeys(inputs) if handle not in told]


class Trace:
    """The record of one operation while it is on the road."""

    __slots__ = ("_built", "_effects", "_session", "_target", "_time", "began", "lowered", "operation", "prefix")

    def __init__(self, session: Session, operation: Operation, target: Held | None, effects: Iterable[Effect]) -> None:
        clock = session.plane.clock
        self._session = session
        self._target = target
        self._effects = effects
        self._time = clock.wall()
        self._built: dict[int, Any] | None = None
        self.operation = operation
        self.began = clock.mono()
        self.lowered = 0
        self.prefix = session.prefixes[_WAYS.get(operation.origin.via, "agent")]

    def _moving(self) -> dict[int, Any]:
        """The fields that differ from operation to operation."""
        operation, session = self.operation, self._session
        fields: dict[int, Any] = {
            field.ID: operation.id,
            field.OP: operation.id,
            field.TIME: self._time,
            field.MONO: self.began - session.opened,
        }
        if operation.origin.line is not None:
            fields[field.WHERE] = session.where(operation.origin)
        if self._target is not None:
            fields[field.TARGET] = self._target.described()
        if operation.args or operation.kwargs:
            forms = argument_forms(operation.args, operation.kwargs, session.table.find)
            fields[field.ARGS] = forms if not operation.inputs else [*forms, *inside(forms, operation.inputs)]
        if operation.parent:
            fields[field.PARENT] = operation.parent
        return fields

    @property
    def _fields(self) -> dict[int, Any]:
        if self._built is None:
            self._built = self._moving()
            self._built[field.VERB] = self.operation.verb
            # Under the catalog that `policy.load` names.
            self._built[field.EFFECTS] = {"declared": list(self._effects)}
            member = self.operation.member
            if member is None and self.operation.verb == "call" and self._target is not None and self._target.entry:
                member = self._target.entry.name.rpartition(".")[2]  # fetched first, called now
            if member is not None:
                self._built[field.MEMBER] = member
        return self._built

    def looked(self, plan: object, decision: Decision) -> dict[int, Any]:
        """The record after an operation of this plan that only looked and went well.

        What its records have in common (who, verb, member, effects, verdict, rule) is packed once for the session.
        """
        if self._built is not None:  # something was noted that only this record holds
            return self.outcome("single", decision, "ok")
        stable, via = self._session.stable, self.operation.origin.via
        key = (identity(plan), identity(decision), via)
        found = stable.get(key)
        if found is None:
            if len(stable) > _MOST_STABLE:
                stable.clear()
            shared = dict(self._session.shared[_WAYS.get(via, "agent")])
            shared |= {"phase": "single", "status": "ok", "verdict": decision.verdict, "rule": decision.rule}
            shared |= {"verb": self.operation.verb, "effects": {"declared": list(self._effects)}}
            if self.operation.member is not None:
                shared["member"] = self.operation.member
            if len(decision.matched) > 1:
                shared["matched"] = list(decision.matched)
            found = stable[key] = (plan, decision, self._session.plane.log.prefix(shared))
        self.prefix = found[2]
        fields = self._moving()
        fields[field.DUR] = {"total": self._session.plane.clock.mono() - self.began, "lower": self.lowered}
        return fields

    def intent(self, decision: Decision) -> dict[int, Any]:
        """The record before an operation that may do more than look."""
        return {
            **self._fields,
            field.PHASE: "intent",
            field.VERDICT: decision.verdict,
            field.RULE: decision.rule,
            field.MATCHED: list(decision.matched),
        }

    def outcome(self, phase: str, decision: Decision, status: str, **more: Any) -> dict[int, Any]:
        """The record after an operation, or instead of one that was refused.

        Args:
            phase: `single` or `outcome`.
            decision: the deciding one: the last that was asked.
            status: one of the schema's statuses.
            more: further fields by their JSON names; None is left out.
        """
        fields = self._fields
        now = self._session.plane.clock.mono()
        fields[field.PHASE] = phase
        fields[field.STATUS] = status
        fields[field.VERDICT] = decision.verdict
        fields[field.RULE] = decision.rule
        if len(decision.matched) > 1:
            fields[field.MATCHED] = list(decision.matched)
        fields[field.DUR] = {"total": now - self.began, "lower": self.lowered}
        for name, value in more.items():
            if value is not None:
                fields[field.FIELDS[name]] = value if name != "detail" else {**fields.get(field.DETAIL, {}), **value}
        return fields

    def note(self, key: str, value: Any) -> None:
        """Something more for the `detail` field of all records of this operation."""
        self._fields[field.DETAIL] = {**self._fields.get(field.DETAIL, {}), key: value}

    def approval(self, described: dict[str, Any]) -> None:
        """Who was asked about it, and what came of that."""
        self._fields[field.APPROVAL] = described

    def obligations(self, described: list[dict[str, Any]]) -> None:
        """Redactions that were applied."""
        self._fields[field.OBLIGATIONS] = [*self._fields.get(field.OBLIGATIONS, ()), *described]

    def undeclared(self, effect: Effect) -> None:
        """An effect that host code began without its being declared."""
        effects = self._fields[field.EFFECTS]
        if effect not in effects.setdefault("undeclared", []):
            effects["undeclared"].append(effect)

    def add_effect(self, effect: Effect) -> None:
        """An effect that showed only in the result: content crosses."""
        if self._built is None:
            self._effects = [*self._effects, effect] if effect not in self._effects else self._effects
            return
        declared = self._built[field.EFFECTS]["declared"]
        if effect not in declared:
            declared.append(effect)


def columns_shown(value: Any, known: set[Any]) -> list[str]:
    """Columns of granted objects whose content an operation on `value` showed, as far as the agent knows them by right.

    Labels that came out of data (of a pivot table, say) are content, and in no record.
    """
    found = hosts.labels(value) if known else None
    return [label for label in found if type(label) is str and label in known][:_MOST_COLUMNS] if found else []


def result_of(form: str, type_name: str, handle: int | None, facts: Facts | None) -> dict[str, Any]:
    """The `result` field: how it crossed, its type, and how much content reached the agent."""
    result: dict[str, Any] = {"crossing": "ref" if form == "ref" else "none" if form == "none" else "value"}
    if form != "none":
        result["type"] = type_name
    if handle is not None:
        result["ref"] = handle
    if facts is not None:
        result["rows"], result["cells"] = facts.rows, facts.cells
    return result
