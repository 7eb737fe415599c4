"""One operation on its way down the road: each method is one station of `ControlPlane.handle`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from proxyplane import display
from proxyplane.access import Access, is_folder
from proxyplane.audit import record as field
from proxyplane.decisions import Decision, Facts
from proxyplane.effects import LOOKING, Effect
from proxyplane.errors import Denied, ProtocolError, ProxyPlaneError
from proxyplane.lowering import lower, lower_printing, lower_zeroed, replaced, scoped
from proxyplane.operations import Operation
from proxyplane.policies import Reservation
from proxyplane.recording import Trace, result_of
from proxyplane.subjects import Subject, joined, subject_of

if TYPE_CHECKING:
    from proxyplane.sessions import Session


from proxyplane.finding import Finding
from proxyplane.underway import (
    ABSENT,
    BUFFERS,
    ELEMENTWISE,
    MADE_UP,
    NO_BUNDLES,
    NO_FACTS,
    READ,
    REVEAL,
    REVEAL_BY_CALLBACK,
    UNDECIDED,
    Outcome,
    Raised,
    Written,
    plan_of,
)

__all__ = ["ABSENT", "Outcome", "Passage", "Raised"]


class Passage(Finding):
    """One operation, from its catalog line to its record.

    Args:
        session: whose operation it is.
        operation: what was asked.

    Raises:
        ProtocolError: the target is no object of the session.
    """

    __slots__ = ()

    _perform = staticmethod(lower)

    def __init__(self, session: Session, operation: Operation) -> None:
        self.session = session
        self.plane = plane = session.plane
        self.operation = operation
        self.bundles = NO_BUNDLES
        self.target = target = session.table.get(operation.target)
        self.subject: Subject = subject_of(session.table, target, operation.inputs, operation.verb in ELEMENTWISE)
        self.receiver: Any = target.value
        self.printed = ""
        self.written: tuple[Written, ...] = ()
        self.facts: Facts | None = None
        self._performed = False
        self._skipped = 0
        self.access: Access | None = None
        self.reservation: Reservation | None = None
        self.decision = UNDECIDED
        key = (id(target.kind), operation.verb, operation.member, self.way)
        plan = plane.plans.get(key) if target.plain else None
        self._kept = plan is not None
        if plan is None:
            plan = plan_of(self._find_line(), target.value, operation.member)
            if target.plain and plan.line is not None and plan.line not in MADE_UP:
                plane.plans[key] = plan
        self.plan = plan
        self.line = plan.line
        if plan.drawn:
            self.subject = display.subject(self.subject, session)
        if "content" in plan.flags:
            self.subject = self.subject._replace(schema=False)
        self.expected = expected = self._expect() if operation.joined or plan.judged else plan.expected
        effects = expected.effects
        if self.subject.schema or plan.schema:
            effects = (effects - REVEAL or READ) if Effect.REVEAL in effects else effects
        elif not expected.paths and (plan.reveals or Effect.REVEAL in effects) and plan.line is not None:
            self.facts = self._facts_before(plan.line)
            effects = effects | (REVEAL if not session.state.calls_back else REVEAL_BY_CALLBACK)
        self.effects = effects
        self._single = effects <= LOOKING or operation.verb == "callback"
        self.trace = Trace(session, operation, target, effects)

    def decide(self) -> None:
        """Ask capabilities, policy and budgets.

        Raises:
            Denied, DeniedAttribute, BudgetExceeded, Revoked, Expired: refused, and recorded as refused.
        """
        paths = self.expected.paths
        if paths:
            self.access = Access(self.plane.files, self.operation, paths, is_folder(self.target.value))
            self.subject = self.access.join(self.subject)
            self.trace.note("files", self.access.described)
        facts = self.facts if self.facts is not None else NO_FACTS
        self.decision = self._ask(self.effects, facts)
        if self.access is not None and self.access.refusal is not None:
            self._refused(Decision("deny", None, reason="fs"), reason="fs")
            hint = self.access.hint
            raise Denied(self.access.refusal, effect=self.access.refused, reason="fs", hint=hint)
        self._reserve(self.decision)

    def intend(self) -> None:
        """Write the intent record of an operation that may do more than look."""
        if not self._single:
            self._append(self.trace.intent(self.decision))

    def lower(self) -> Any:
        """Perform it on the real object.

        Raises:
            Raised: the real object raised; recorded.
        """
        operation, line = self.operation, self.line
        buffers = self._buffers() if operation.args or operation.kwargs else None
        began = self.plane.clock.mono()
        try:
            if self.access is not None:
                operation = self.access.given(operation, line, self._skipped)
            perform = self._directly if self.plan.direct else self._lowered
            return self.session.state.perform(perform, self.plan.flags, operation)
        except Exception as error:
            raise self._raised(error if self.access is None else self.access.native(error)) from None
        finally:
            self._performed = True
            if buffers:
                self.written = tuple([after for before in buffers if (after := written(*before)) is not None])
            if Effect.CALLBACK in self.effects or operation.inputs:
                self._join_returned()
            if self.access is not None:
                moved = self.access.settle(self.subject, line, self.session.id)
                self.written += tuple(Written(at, None, position) for at, position in moved)
            self.trace.lowered = self.plane.clock.mono() - began

    def _directly(self, operation: Operation) -> Any:
        return self._perform(operation.verb, self.target.value, operation.member, operation.args, operation.kwargs)

    def _lowered(self, operation: Operation) -> Any:
        line, target, member = self.line, self.target.value, operation.member
        displayed = display.lowered(line, target) if member in display.MEMBERS or self.plan.drawn else None
        if displayed is not None:
            text, self.bundles = displayed
            return text
        if line is ABSENT:  # not getattr: an object may make up what a static look does not find
            return absent(target, member)
        if line is not None:
            if "replaced" in line.flags:
                target, member = replaced(target, member), None
            if line.prints and line.prints not in operation.kwargs:
                value, self.printed = lower_printing(
                    line.prints, operation.verb, target, member, operation.args, operation.kwargs
                )
                return value
            if "scoped" in line.flags:
                return lower(operation.verb, target, member, operation.args, scoped(operation.kwargs))
            if "zeroed" in line.flags:
                return lower_zeroed(target, member, operation.args, operation.kwargs)
        return self._perform(operation.verb, target, member, operation.args, operation.kwargs)

    def _buffers(self) -> list[tuple[int | str, Any, Any, int]]:
        """Buffers of the agent among the arguments: place, buffer, content, position."""
        operation = self.operation
        given: list[tuple[int | str, Any]] = [*enumerate(operation.args), *operation.kwargs.items()]
        return [(at, value, value.getvalue(), value.tell()) for at, value in given if type(value) in BUFFERS]

    def _join_returned(self) -> None:
        """What callbacks returned went into the result: its lineage joins the subject's."""
        for held in self.session.dispatch.returned_to(self.operation.id):
            self.subject = joined(self.subject, held)

    def _raised(self, error: BaseException) -> BaseException:
        """Record that the operation raised; a failure may have shown or changed as much as a success."""
        if self.reservation is not None:
            self.reservation.commit()
        if isinstance(error, ProtocolError):
            return error
        changes = self._changes()
        phase = "single" if self._single else "outcome"
        detail = {"type": type(error).__name__, "code": "raised"}
        self._append(self.trace.outcome(phase, self.decision, "error", error=detail, changes=changes))
        if isinstance(error, ProxyPlaneError):
            return error
        return Raised(error, self.sent(), self._heard())

    def sent(self) -> tuple[Any, ...]:
        """The plain values that the guest itself sent with this operation: only they may come back in a text."""
        operation = self.operation
        own = (operation.member, *operation.args, *operation.kwargs, *operation.kwargs.values())
        return tuple(self.session.table.sent_by_guest(own))

    def conclude(self, outcome: Outcome) -> None:
        """Commit the charges and write the outcome record. Only after this may anything cross."""
        budget = None
        if self.reservation is not None:
            budget = self.reservation.commit() or None
        if self._kept and self._single and self.effects is self.plan.expected.effects:
            fields = self.trace.looked(self.plan, self.decision)
        else:
            fields = self.trace.outcome("single" if self._single else "outcome", self.decision, "ok")
        fields[field.RESULT] = result_of(outcome.form, type(outcome.value).__name__, None, self.facts)
        if Effect.MUTATE in self.effects and (changes := self._changes()) is not None:
            fields[field.CHANGES] = changes
        if budget is not None:
            fields[field.BUDGET] = budget
        if outcome.heard:
            warned = {"warned": [heard.category.__name__ for heard in outcome.heard]}
            fields[field.DETAIL] = {**fields.get(field.DETAIL, {}), **warned}
        self._append(fields)


def written(at: int | str, buffer: Any, before: Any, position: int) -> Written | None:
    """What the host left in a buffer; None where nothing is new."""
    if buffer.closed or (buffer.tell() == position and buffer.getvalue() == before):
        return None
    content = buffer.getvalue()
    return Written(at, content if content != before else None, buffer.tell())


def absent(target: Any, member: str | None) -> Any:
    """Raise what a missing attribute raises natively."""
    raise AttributeError(f"{type(target).__name__!r} object has no attribute {member!r}")
