"""One operation on its way down the road: each method is one station of `ControlPlane.handle`."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from threading import get_ident
from types import ModuleType
from typing import TYPE_CHECKING, Any

from proxyplane import display, hosts
from proxyplane.access import Access, is_folder
from proxyplane.audit import record as field
from proxyplane.decisions import Decision, Facts
from proxyplane.effects import LOOKING, Effect
from proxyplane.errors import AuditUnavailable, Denied, ProtocolError, ProxyPlaneError
from proxyplane.exceptions import sizes_in
from proxyplane.hosts.held import Lent, forget_buffers, lent_buffers, remember
from proxyplane.identity import identity
from proxyplane.lowering import lower, lower_printing, lower_zeroed, plainly, replaced, scoped
from proxyplane.operations import Operation
from proxyplane.overheard import overheard
from proxyplane.policies import Reservation
from proxyplane.recording import Trace, columns_shown, result_of
from proxyplane.sentinel import LIVE
from proxyplane.subjects import Subject, joined, subject_of

if TYPE_CHECKING:
    from proxyplane.sessions import Session


from proxyplane.finding import Finding
from proxyplane.underway import (
    ABSENT,
    BUFFERS,
    ELEMENTWISE,
    LENT,
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
        self.generation = plane.generation
        self.operation = operation
        self.bundles = NO_BUNDLES
        self.target = target = session.table.get(operation.target)
        self.subject: Subject = subject_of(session.table, target, operation.inputs, operation.verb in ELEMENTWISE)
        if session.seen_labels and (operation.args or operation.kwargs):
            self.subject = self.subject._replace(labels=self.subject.labels | session.seen_labels)
        self.receiver: Any = target.value
        self.printed = ""
        self.written: tuple[Written, ...] = ()
        self.facts: Facts | None = None
        self.instead = None
        self._performed = False
        self._skipped = 0
        self.access: Access | None = None
        self.reservation: Reservation | None = None
        self.decision = UNDECIDED
        key = (identity(target.kind), operation.verb, operation.member, self.way)
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
            UndeclaredEffect: the session is frozen; recorded.
        """
        if self.session.frozen is not None:
            self._refused(Decision("deny", None, reason="frozen"), reason="frozen")
            raise self.session.frozen.refusal()
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
        if self.decision.redaction is not None and self.facts is not None:
            self._redact_receiver(self._measured())
        elif self.plane.policy.follows and self.operation.verb == "call":
            self._fold()
        self._reserve(self.decision)

    def _decide_again(self) -> None:
        """The policy was reloaded after the decision and before the deed.

        Raises:
            Denied: the new policy refuses it; recorded.
        """
        self.generation = self.plane.generation
        facts = self.facts if self.facts is not None else NO_FACTS
        decision = self._decided(self.effects, facts)
        if not self.plane.policy.passes(decision, self.effects) and decision.verdict not in ("ask", "redact"):
            if self.reservation is not None:
                self.reservation.release()
            phase = "single" if self._single else "outcome"
            self._append(self.trace.outcome(phase, decision, "denied", reason="reloaded"))
            raise self._denial(decision)
        self.decision = self._approved(decision, self.effects, facts) if decision.verdict == "ask" else decision
        self._reserve(self.decision)

    def intend(self) -> None:
        """Write the intent record of an operation that may do more than look."""
        if not self._single:
            self._append(self.trace.intent(self.decision))

    def lower(self) -> Any:
        """Perform it on the real object.

        Raises:
            Raised: the real object raised; recorded.
            UndeclaredEffect: the sentinel saw what was not declared; recorded, and whatever came of it is withheld.
        """
        operation, line = self.operation, self.line
        if self.plane.generation != self.generation:
            self._decide_again()
        buffers = self._buffers() if operation.args or operation.kwargs else None
        filled = self._filled() if self.plan.judged and self.expected.mutated else ()
        began = self.plane.clock.mono()
        try:
            if self.access is not None:
                operation = self.access.given(operation, line, self._skipped, self.receiver)
            value = self._watched(self._directly if self.plan.direct else self._lowered, operation)
            if self.session.frozen is not None:
                raise self.session.frozen.refusal()  # noqa: TRY301 - recorded below, as every failure
            return value  # noqa: TRY300
        except Exception as error:
            raise self._raised(error if self.access is None else self.access.native(error)) from None
        finally:
            self._performed = True
            if buffers:
                self.written = tuple([after for before in buffers if (after := written(*before)) is not None])
                if "holds" in self.plan.flags:
                    self.written += tuple([Written(before[0], None, LENT) for before in buffers])
            if filled:
                self.written += tuple([Written(at, value, 0) for at, value, before in filled if changed(value, before)])
            if Effect.CALLBACK in self.effects or operation.inputs:
                self._join_returned()
            if self.access is not None:
                moved = self.access.settle(self.subject, line, self.session.id)
                self.written += tuple(Written(at, None, position) for at, position in moved)
            self.trace.lowered = self.plane.clock.mono() - began

    def _watched(self, perform: Callable[[Operation], Any], operation: Operation) -> Any:
        """Perform it, with the sentinel knowing that what this thread begins belongs to it."""
        thread = get_ident()
        outer = LIVE.get(thread)
        LIVE[thread] = self
        try:
            return self.session.state.perform(perform, self.plan.flags, operation)
        finally:
            if outer is None:
                del LIVE[thread]
            else:
                LIVE[thread] = outer

    def _directly(self, operation: Operation) -> Any:
        target = self.target.value if self.instead is None else self.instead[0]
        return self._perform(operation.verb, target, operation.member, operation.args, operation.kwargs)

    def _lowered(self, operation: Operation) -> Any:
        line, member = self.line, operation.member
        target = self.target.value if self.instead is None else self.instead[0]
        displayed = display.lowered(line, target) if member in display.MEMBERS or self.plan.drawn else None
        if displayed is not None:
            text, self.bundles = displayed
            return text
        if line is ABSENT:  # not getattr: an object may make up what a static look does not find
            return absent(target, member)
        if line is not None:
            if "replaced" in line.flags:
                target, member = replaced(target, member), None
            if line.prints and operation.kwargs.get(line.prints) is None:
                value, self.printed = lower_printing(
                    line.prints, operation.verb, target, member, operation.args, operation.kwargs
                )
                return value
            if "scoped" in line.flags:
                return lower(operation.verb, target, member, operation.args, scoped(operation.kwargs))
            if "zeroed" in line.flags:
                return lower_zeroed(target, member, operation.args, operation.kwargs)
            if "holds" in line.flags:
                return self._holding(target, member, operation)
            if "plainly" in line.flags:
                return plainly(self._perform(operation.verb, target, member, operation.args, operation.kwargs))
            if "copied" in line.flags:
                return hosts.unshared(self._perform(operation.verb, target, member, operation.args, operation.kwargs))
            if "speaks" in line.flags:
                with overheard() as said:
                    value = self._perform(operation.verb, target, member, operation.args, operation.kwargs)
                self.printed = said.getvalue()
                return value
        return self._perform(operation.verb, target, member, operation.args, operation.kwargs)

    def _holding(self, target: Any, member: str | None, operation: Operation) -> Any:
        """Open, or close, what writes its file or buffer at its end."""
        lent = [(place, given, given.buffer.getvalue()) for place, given in enumerate(lent_buffers(target))]
        value = self._perform(operation.verb, target, member, operation.args, operation.kwargs)
        if lent:
            forget_buffers(target)
            self.written = tuple([Written(-1 - place, given.buffer.getvalue(), 0) for place, given, _ in lent])
            return value
        agents = next((text for effect, text in self.expected.paths if effect is not Effect.NET), None)
        remember(value, agents, [Lent(at, buffer) for at, buffer, *_ in self._buffers()])
        return value

    def _buffers(self) -> list[tuple[int | str, Any, Any, int]]:
        """Buffers of the agent among the arguments: place, buffer, content, position."""
        operation = self.operation
        given: list[tuple[int | str, Any]] = [*enumerate(operation.args), *operation.kwargs.items()]
        return [(at, value, value.getvalue(), value.tell()) for at, value in given if type(value) in BUFFERS]

    def _filled(self) -> list[tuple[int | str, list[Any], list[Any]]]:
        """Lists of the agent that the call writes into: place, list, what it holds."""
        operation, table = self.operation, self.session.table
        given: list[tuple[int | str, Any]] = [*enumerate(operation.args), *operation.kwargs.items()]
        lists = [(at, value) for at, value in given if type(value) is list and table.find(value) is None]
        return [(at, value, value[:]) for at, value in lists if any(value is part for part in self.expected.mutated)]

    def _join_returned(self) -> None:
        """What callbacks returned went into the result: its lineage joins the subject's."""
        for held in self.session.dispatch.returned_to(self.operation.id):
            self.subject = joined(self.subject, held)
        if self.session.seen_labels and Effect.CALLBACK in self.effects:  # plain values that it returned
            self.subject = self.subject._replace(labels=self.subject.labels | self.session.seen_labels)

    def _raised(self, error: BaseException) -> BaseException:
        """Record that the operation raised; a failure may have shown or changed as much as a success."""
        if self.session.frozen is not None:
            error = self.session.frozen.refusal()
            self.plane.reachable()
        elif isinstance(error, PermissionError) and self.plane.host_tier == "sealed" and not isinstance(error, Denied):
            self.plane.stopped_by_seal.append(self._name_of_target())
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

    def interrupted(self, error: BaseException) -> None:
        """Record that an interrupt or exit ended the operation; what it was charged stays charged if it was performed.

        The log is what may be failing, so its errors do not take the place of the interrupt.
        """
        if self.reservation is not None:
            with contextlib.suppress(ValueError, AuditUnavailable):  # it had ended just before
                self.reservation.commit() if self._performed else self.reservation.release()
        detail = {"type": type(error).__name__, "code": "panic"}
        with contextlib.suppress(AuditUnavailable):
            phase = "single" if self._single else "outcome"
            self._append(self.trace.outcome(phase, self.decision, "panic", error=detail))

    def sent(self) -> tuple[Any, ...]:
        """The plain values that the guest itself sent with this operation, and the sizes of what it was sent to, where
        these are schema: only they may come back in a text."""
        operation = self.operation
        own = (operation.member, *operation.args, *operation.kwargs, *operation.kwargs.values())
        hidden = self.subject.sized or (self.plane.policy.follows and self._hides_counts())
        known = [] if hidden else [self.receiver]
        return (*self.session.table.sent_by_guest(own), *sizes(operation, known))

    def conclude(self, outcome: Outcome) -> None:
        """Commit the charges and write the outcome record. Only after this may anything cross."""
        budget = None
        if self.reservation is not None:
            budget = self.reservation.commit() or None
        if self._kept and self._single and self.effects is self.plan.expected.effects:
            fields = self.trace.looked(self.plan, self.decision)
        else:
            fields = self.trace.outcome("single" if self._single else "outcome", self.decision, "ok")
        fields[field.RESULT] = result = result_of(outcome.form, type(outcome.value).__name__, None, self.facts)
        if self.facts is not None and self.facts.cells:
            if self.subject.labels:  # what the agent sends from now on may have come from it
                self.session.seen_labels |= self.subject.labels
            result["cols"] = columns_shown(self.receiver, self.session.grants.known)
        if Effect.MUTATE in self.effects and (changes := self._changes()) is not None:
            fields[field.CHANGES] = changes
        if budget is not None:
            fields[field.BUDGET] = budget
        if outcome.heard:
            warned = {"warned": [heard.category.__name__ for heard in outcome.heard]}
            fields[field.DETAIL] = {**fields.get(field.DETAIL, {}), **warned}
        self._append(fields)


def changed(now: list[Any], before: list[Any]) -> bool:
    """Whether a list holds other objects than before, or in another order."""
    return len(now) != len(before) or any(one is not other for one, other in zip(now, before, strict=True))


def written(at: int | str, buffer: Any, before: Any, position: int) -> Written | None:
    """What the host left in a buffer; None where nothing is new."""
    if buffer.closed or (buffer.tell() == position and buffer.getvalue() == before):
        return None
    content = buffer.getvalue()
    return Written(at, content if content != before else None, buffer.tell())


def sizes(operation: Operation, known: list[Any]) -> Iterator[str]:
    """Shapes of what an operation was about, as a message may tell them: its arguments', and those of `known`.

    Arguments are the agent's own lists, and objects of the session where their size is schema.
    """
    values = (
        (*known, *operation.args, *operation.kwargs.values())
        if known
        else (*operation.args, *operation.kwargs.values())
    )
    shapes: list[tuple[int, ...]] = []
    for value in values:
        kind = type(value)
        if kind in (list, tuple) and len(value) <= _MOST_SIZED:
            shapes += [(len(value),), value if kind is tuple else ()]
        elif known and kind.__module__.partition(".")[0] in _SIZED and type(getattr(value, "shape", None)) is tuple:
            shapes.append(value.shape)
    return iter(sizes_in(shapes))


_SIZED = frozenset(("numpy", "pandas", "polars"))
_MOST_SIZED = 1000


def absent(target: Any, member: str | None) -> Any:
    """Raise what a missing attribute raises natively."""
    of_module = isinstance(target, ModuleType)
    what = f"module {target.__name__!r}" if of_module else f"{type(target).__name__!r} object"
    raise AttributeError(f"{what} has no attribute {member!r}")
