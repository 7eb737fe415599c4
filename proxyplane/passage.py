"""One operation on its way down the road: each method is one station of `ControlPlane.handle`."""

from __future__ import annotations

import inspect
import io
import types
from typing import TYPE_CHECKING, Any, NamedTuple

from proxyplane import display, hosts, warned
from proxyplane.access import Access, is_folder, measure, open_paths
from proxyplane.amounts import Source, spread
from proxyplane.catalog import Entry, Expected
from proxyplane.decisions import Decision, Facts, Request
from proxyplane.effects import LOOKING, Effect
from proxyplane.errors import Denied, DeniedAttribute, ProtocolError, ProxyPlaneError, ReferenceFailed, Refusal
from proxyplane.grants import flat_labels
from proxyplane.lowering import dunder_of, lower, lower_printing, lower_zeroed, replaced, scoped
from proxyplane.membrane import CARRIED, CONTAINER, NOTHING, REFERENCE, VALUE
from proxyplane.operations import Operation
from proxyplane.policies import Reservation
from proxyplane.recording import Trace, result_of
from proxyplane.subjects import Subject, joined, subject_of

if TYPE_CHECKING:
    from proxyplane.sessions import Session

__all__ = ["Outcome", "Passage", "Raised"]

_UNKNOWN = frozenset({Effect.UNKNOWN})
_READ = frozenset({Effect.READ})
_COMPUTE = frozenset({Effect.COMPUTE})
_MUTATE = frozenset({Effect.MUTATE})
_REVEAL = frozenset({Effect.REVEAL})
_REVEAL_BY_CALLBACK = frozenset({Effect.REVEAL, Effect.CALLBACK})
"""A function of the guest formats what is shown."""
_NO_FACTS = Facts()
_NO_FLAGS: frozenset[str] = frozenset()
_DRAWING = frozenset({"state"})
_NOTHING_SHOWN = Facts(0, 0, 0)
_ONE = Facts(1, 1, None)
_VIA = {"callback": "callback"}
_ATTRIBUTES = frozenset({"getattr", "setattr", "delattr", "call"})
_EXPLORING = frozenset({"describe", "list"})
_ELEMENTWISE = frozenset({"binop", "compare"})
_LABELS = frozenset({"name", "names"})
"""Schema members whose numbers are labels and not sizes."""
_PLAIN = frozenset({str, int, float, bool, bytes})

_DYNAMIC = Entry("dynamic attribute", "property", _COMPUTE, frozenset(), None, None, ())
_DYNAMIC_SET = Entry("dynamic attribute", "property", _MUTATE, frozenset(), None, None, ())
_OPTION = Entry("option", "property", _READ, frozenset({"schema"}), None, None, ())
_OPTION_SET = Entry("option", "property", _COMPUTE, frozenset({"state", "keeps"}), None, None, ())
_SCHEMA = Entry("schema", "method", _READ, frozenset({"schema", "fresh"}), None, None, ())
ABSENT = Entry("absent attribute", "property", _READ, frozenset(), None, None, ())
_CALLBACK = Entry("guest function", "function", frozenset({Effect.CALLBACK}), frozenset(), None, None, ())
_FETCHED = Entry("catalogued member", "property", _READ, frozenset(), None, None, ())
_BUFFERS = (io.StringIO, io.BytesIO)
_MADE_UP = (_DYNAMIC, _DYNAMIC_SET, _OPTION, _OPTION_SET, ABSENT)
"""Lines that hold for one object and not for all of its type."""
_BEFOREHAND = ("receiver", "display")
_UNCATALOGUED = "no catalog describes it, and only catalogued members can be used"
_KEPT = "only options that can be a session's own can be set (display.*, mode.*), and not with values out of data"
_UNDECIDED = Decision("allow", None)


class Written(NamedTuple):
    """A buffer of the agent after the host has used it."""

    at: int | str
    """Its place among the arguments."""
    content: str | bytes | None
    """None where it is as it was."""
    position: int


class Outcome(NamedTuple):
    """What an operation came to."""

    value: Any
    """The real result."""
    form: str
    """How it crosses."""
    fresh: bool
    """Containers in it were made for this operation."""
    show: bool
    """Whether its content may cross."""
    schema: bool
    """Its content is schema."""
    subject: Subject
    """Lineage that new objects in it inherit."""
    line: Entry | None
    """The catalog line it was performed under."""
    printed: str
    """What the host printed while it was performed."""
    written: tuple[Written, ...] = ()
    """What it wrote into the agent's buffers."""
    heard: list[warned.Heard] = []  # noqa: RUF012 - replaced, never changed in place
    """Warnings that host code issued."""
    bundles: list[dict[str, Any]] = []  # noqa: RUF012 - replaced, never changed in place
    """What it displays, which does not cross to the guest."""


class Raised(Exception):  # noqa: N818 - not an error of the plane: it carries the operation's
    """A lowered operation raised. Holds the real exception, which never crosses as it is."""

    def __init__(self, error: BaseException, own: tuple[Any, ...], heard: list[warned.Heard] | None = None) -> None:
        super().__init__("the operation raised")
        self.unknown = False
        """Whether it was granted the effect `unknown`, so that nothing is known to be held back."""
        self.error = error
        self.own = own
        self.heard = heard or []


class Plan(NamedTuple):
    """What is known of an operation before its arguments are looked at; kept per type, verb and member."""

    line: Entry | None
    expected: Expected
    drawn: bool
    """It is about a figure: see `display.subject`."""


class Passage:
    """One operation, from its catalog line to its record.

    Args:
        session: whose operation it is.
        operation: what was asked.

    Raises:
        ProtocolError: the target is no object of the session.
    """

    __slots__ = (
        "_drawn", "_performed", "_schema_line", "_single", "_skipped", "access", "bundles", "decision", "effects", "expected", "facts", "line",
        "operation", "plane", "printed", "receiver", "reservation", "session", "subject", "target", "trace",
        "written",
    )  # fmt: skip

    way = "guest"
    """By which way operations come, as rules name it."""
    _perform = staticmethod(lower)

    def __init__(self, session: Session, operation: Operation) -> None:
        self.session = session
        self.plane = plane = session.plane
        self.operation = operation
        self.bundles: list[dict[str, Any]] = []
        self.target = target = session.table.get(operation.target)
        self.subject: Subject = subject_of(session.table, target, operation.inputs, operation.verb in _ELEMENTWISE)
        self.receiver: Any = target.value
        self.printed = ""
        self.written: tuple[Written, ...] = ()
        self.facts: Facts | None = None
        self._performed = False
        self._skipped = 0
        self.access: Access | None = None
        self.reservation: Reservation | None = None
        self.decision = _UNDECIDED
        key = (id(target.kind), operation.verb, operation.member, self.way)
        plan = plane.plans.get(key) if target.plain else None
        if plan is None:
            self.line = line = self._find_line()
            expected = Expected(line.effects if line is not None else _UNKNOWN, (), ())
            plan = Plan(line, expected, line is not None and display.draws(line, target.value))
            if target.plain and line is not None and line not in _MADE_UP:
                plane.plans[key] = plan
        self.line = plan.line
        self._drawn = plan.drawn
        if plan.drawn:
            self.subject = display.subject(self.subject, session)
        self.expected = plan.expected
        if operation.joined or (plan.line is not None and (plan.line.params or "keeps" in plan.line.flags)):
            self.expected = self._expect()
        self._schema_line = plan.line is not None and "schema" in plan.line.flags
        effects = self.expected.effects
        if plan.line is not None and "content" in plan.line.flags:
            self.subject = self.subject._replace(schema=False)
        if self.subject.schema or self._schema_line:
            effects = (effects - _REVEAL or _READ) if Effect.REVEAL in effects else effects
        elif plan.line is not None and not self.expected.paths and self._reveals(plan.line, effects):
            self.facts = self._facts_before(plan.line)
            effects = effects | (_REVEAL if not session.state.calls_back else _REVEAL_BY_CALLBACK)
        self.effects = effects
        self._single = effects <= LOOKING or operation.verb == "callback"
        self.trace = Trace(session, operation, target, effects)

    # Expected effects

    @staticmethod
    def _reveals(line: Entry, effects: frozenset[Effect]) -> bool:
        return line.reveals in _BEFOREHAND or Effect.REVEAL in effects

    def _find_line(self) -> Entry | None:
        """The catalog line that says what this operation does; None when no catalog knows."""
        operation, target = self.operation, self.target
        verb, member = operation.verb, operation.member
        if verb in _EXPLORING:
            return _SCHEMA
        if verb == "callback":
            return _CALLBACK
        if verb not in _ATTRIBUTES:
            return self._dunder_line(verb, member)
        if member is None:
            return self._call_line()
        if member in display.MEMBERS and verb == "call":
            return display.line_of(target.value, member, self.plane.catalog)
        if member.startswith("_"):
            return self._refuse_private(member)
        if verb in ("setattr", "delattr") and isinstance(target.value, type | types.ModuleType):
            return None  # types and modules are shared by everybody in the process
        line = self.session.membrane.member_of(target, member)
        if verb == "getattr":
            return self._getattr_line(member, line)
        if verb == "call":
            if line is not None and line.kind == "method" and isinstance(target.value, type):
                self._unbound()
            return line if line is None or line.kind != "property" else None
        settable = line is not None and "settable" in line.flags
        if settable or (target.kind is not None and target.kind.dynamic and hosts.may_set(target.value, member)):
            return _OPTION_SET if hosts.is_options(target.value) else _DYNAMIC_SET
        return None

    def _dunder_line(self, verb: str, member: str | None) -> Entry | None:
        dunder = dunder_of(verb, member)
        if dunder is None:
            raise ProtocolError(f"the verb {verb!r} does not exist in this form")
        kind = self.target.kind
        return kind.dunders.get(dunder) if kind is not None else None

    def _call_line(self) -> Entry | None:
        target = self.target
        if isinstance(target.value, type):
            kind = self.plane.catalog.of(target.value)
            return kind.constructor if kind is not None else None
        if target.entry is not None:
            owner = getattr(target.value, "__self__", None)
            if owner is not None and not isinstance(owner, types.ModuleType):
                self.receiver = owner
            elif target.entry.kind == "method":
                self._unbound()
            return target.entry
        return target.kind.dunders.get("__call__") if target.kind is not None else None

    def _unbound(self) -> None:
        """A method that was taken from its type: the first argument is the receiver."""
        self.receiver = self.operation.args[0] if self.operation.args else None
        self._skipped = 1

    def _getattr_line(self, member: str, line: Entry | None) -> Entry | None:
        if line is not None:
            return line if line.kind == "property" and not isinstance(self.target.value, type) else _FETCHED
        target = self.target
        if target.kind is not None and target.kind.dynamic and hosts.has_dynamic(target.value, member):
            return _OPTION if hosts.is_options(target.value) else _DYNAMIC
        if inspect.getattr_static(target.value, member, self) is self:
            return ABSENT
        return None

    def _refuse_private(self, member: str) -> Entry | None:
        self.line = None
        self.effects = _UNKNOWN
        self.trace = Trace(self.session, self.operation, self.target, _UNKNOWN)
        self._append(self.trace.outcome("single", Decision("deny", None), "denied", reason="private"))
        raise DeniedAttribute(
            f"{type(self.target.value).__name__!r} object has no attribute {member!r} here: "
            "private and special members are not reachable",
            effect=Effect.UNKNOWN,
            reason="private and special members are not reachable",
            hint="use the public members; dir() lists them",
        )

    def _expect(self) -> Expected:
        line, operation = self.line, self.operation
        if line is None or ("keeps" in line.flags and self.subject.roots):  # what came out of data may not stay there
            expected = Expected(_UNKNOWN, (), ())
        else:
            args = operation.args[self._skipped :]
            expected = self.plane.catalog.expected(line, self.receiver, args, operation.kwargs)
        paths = (*expected.paths, *open_paths(operation)) if operation.joined else expected.paths
        return expected._replace(effects=expected.effects | operation.joined, paths=paths)

    def _facts_before(self, line: Entry) -> Facts:
        if not self.subject.roots:
            return _NOTHING_SHOWN
        if line.reveals not in _BEFOREHAND:
            return _ONE
        measured = self._measured()
        displayed = line.reveals == "display"
        return self._spread(self._facts_of(measured, shown=displayed), None, measured, displayed=displayed)

    def _spread(self, amount: Facts, shown: Any, receiver: Any, *, displayed: bool = False) -> Facts:
        session, roots = self.session, self.subject.roots
        source = Source(tuple([session.grants.widths.get(root) for root in roots]), session.dispatch.knows)
        if displayed:
            return session.state.perform(lambda: spread(amount, shown, receiver, source, displayed=True))
        return spread(amount, shown, receiver, source)

    def _measured(self) -> Any:
        """The object whose content is shown: the receiver; of a module's function the first argument."""
        receiver = self.receiver
        function = self.operation.verb == "call" and self.operation.member is None and self.target.entry is not None
        if receiver is self.target.value and (isinstance(receiver, types.ModuleType) or function):
            return self.operation.args[0] if self.operation.args else None
        return receiver

    def _facts_of(self, value: Any, *, shown: bool = False) -> Facts:
        line = self.line

        def look() -> Facts:
            return display.measured(line, value) if display.displays(line) else hosts.shown(value)

        try:
            return self.session.state.perform(look) if shown else hosts.facts(value)
        except Exception:  # an object that its library lets exist but cannot measure: not known, so not shown
            return _NO_FACTS

    # Deciding

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
        facts = self.facts if self.facts is not None else _NO_FACTS
        self.decision = self._ask(self.effects, facts)
        if self.access is not None and self.access.refusal is not None:
            self._refused(Decision("deny", None, reason="fs"), reason="fs")
            hint = self.access.hint
            raise Denied(self.access.refusal, effect=self.access.refused, reason="fs", hint=hint)
        self._reserve(self.decision)

    def _ask(self, effects: frozenset[Effect], facts: Facts, *, quiet: bool = False) -> Decision:
        """The policy's answer; unless `quiet`, a refusal is recorded before it is raised."""
        operation = self.operation
        if self.session.grants.attenuated:
            try:
                self.session.grants.use(self.subject.roots, effects, count=not self._performed)
            except (Refusal, ReferenceFailed) as error:
                if not quiet:
                    self._refused(Decision("deny", None, reason=error.code), reason=error.code)
                raise
        decision = self._decision(effects, facts)
        if decision.verdict != "allow":
            if not quiet:
                self._refused(decision)
            raise self._denial(decision)
        return decision

    def _decision(self, effects: frozenset[Effect], facts: Facts) -> Decision:
        operation = self.operation
        return self.plane.policy.decide(
            Request(
                operation.origin.agent,
                _VIA.get(operation.verb, operation.origin.via if operation.origin.via == "host" else self.way),
                operation.verb,
                operation.member,
                self.target.type_name,
                self.subject.roots,
                self.subject.labels,
                effects,
                facts,
            )
        )

    def allowed(self) -> bool:
        """Whether the policy would allow it; nothing is recorded, counted or charged."""
        if self.session.grants.attenuated:
            try:
                self.session.grants.use(self.subject.roots, self.effects, count=False)
            except (Refusal, ReferenceFailed):
                return False
        return self._decision(self.effects, self.facts or _NO_FACTS).verdict == "allow"

    def _reserve(self, decision: Decision, *, quiet: bool = False) -> None:
        if self.reservation is not None:  # the decision on the result takes the place of the one before lowering
            self.reservation.release()
            self.reservation = None
        if not decision.charges:
            return
        origin = self.operation.origin
        try:
            self.reservation = self.plane.ledger.reserve(
                decision.charges, principal=origin.agent, session=origin.session, rule=decision.rule
            )
        except Denied as error:
            if not quiet:
                self._refused(decision._replace(verdict="deny"), reason=error.code)
            raise

    def _denial(self, decision: Decision) -> Refusal:
        effect = decision.effect or min(self.effects)
        what = self._name_of_target()
        if effect == Effect.UNKNOWN:
            text = f"{what}: {_KEPT if self.line is not None and 'keeps' in self.line.flags else _UNCATALOGUED}"
        elif decision.reason and decision.reason not in decision.hint and "is refused" in decision.hint:
            _, instead, allowed = decision.hint.partition("; allowed there: ")
            text = f'{what}: {effect} is refused by rule "{decision.rule}": {decision.reason}{instead}{allowed}'
        else:
            text = f"{what}: {decision.hint or decision.reason}"
        return Denied(text, effect=effect, rule=decision.rule, reason=decision.reason, hint=decision.hint)

    def _name_of_target(self) -> str:
        operation = self.operation
        value = self.target.value
        base = value.__name__ if isinstance(value, type | types.ModuleType) else type(value).__name__
        name = f"{base}.{operation.member}" if operation.member and operation.verb in _ATTRIBUTES else base
        if operation.member in display.MEMBERS:
            name = f"display of {base}"
        elif operation.verb == "call":
            name += "()"
        elif operation.verb not in _ATTRIBUTES:
            name = f"{operation.verb} of {base}"
        return f"{name} on {', '.join(sorted(self.subject.roots))}" if self.subject.roots else name

    # Recording

    def intend(self) -> None:
        """Write the intent record of an operation that may do more than look."""
        if not self._single:
            self._append(self.trace.intent(self.decision))

    def _append(self, fields: dict[int, Any]) -> None:
        effects = self.effects
        if Effect.MUTATE in effects and self.subject.roots <= self.session.grants.projected:
            effects = effects - _MUTATE  # a projection shares nothing with its base: what changes is the session's own
        self.plane.append(fields, effects, self.trace.prefix)

    def _refused(self, decision: Decision, reason: str | None = None) -> None:
        if not self._performed:
            self._append(self.trace.outcome("single", decision, "denied", reason=reason))
            return
        phase = "single" if self._single else "outcome"
        self._append(self.trace.outcome(phase, decision, "withheld", reason=reason, changes=self._changes()))

    # Lowering

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
            flags = _DRAWING if self._drawn else line.flags if line is not None else _NO_FLAGS
            return self.session.state.perform(lambda: self._lowered(operation), flags)
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

    def _lowered(self, operation: Operation) -> Any:
        line, target, member = self.line, self.target.value, operation.member
        displayed = display.lowered(line, target) if member in display.MEMBERS or self._drawn else None
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

    def _heard(self) -> list[warned.Heard]:
        """Take the warnings that host code has issued."""
        heard = self.session.heard[:]
        self.session.heard.clear()
        return heard

    def _buffers(self) -> list[tuple[int | str, Any, Any, int]]:
        """Buffers of the agent among the arguments: place, buffer, content, position."""
        operation = self.operation
        given: list[tuple[int | str, Any]] = [*enumerate(operation.args), *operation.kwargs.items()]
        return [(at, value, value.getvalue(), value.tell()) for at, value in given if type(value) in _BUFFERS]

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

    def _changes(self) -> list[dict[str, Any]] | None:
        """Move the versions of what was declared to change, and of what shares its memory."""
        if Effect.MUTATE not in self.effects:
            return None
        targets = [self.receiver, *self.expected.mutated]
        everything = [*targets, *(relative for value in targets for relative in hosts.family(value))]
        moved = self.session.table.moved(everything)
        for held in moved:
            held.roots |= self.subject.roots
            held.labels |= self.subject.labels
            held.schema = held.schema and self.subject.schema
            held.sized = held.sized or self.subject.sized
        return [{"id": h.handle, "from": h.version - 1, "to": h.version, "kind": "declared"} for h in moved] or None

    # The result

    def classify(self, value: Any) -> Outcome:
        """Decide how the result crosses, and whether its content may.

        Raises:
            Denied, BudgetExceeded: the content may not cross; the result is withheld, and recorded as withheld.
        """
        line, verb = self.line, self.operation.verb
        fresh = self.target.items_fresh if verb == "next" else line is not None and "fresh" in line.flags
        schema = self.subject.schema or (self._schema_line and self._is_schema(value))
        if verb == "iter":
            return self._iterator(value, schema)
        if self.operation.origin.via == "mediated":  # the caller is host code: nothing crosses
            return Outcome(value, REFERENCE, fresh, False, schema, self.subject, line, "")
        form = CONTAINER if verb in ("next", "callback") else self.session.membrane.form(value, fresh)
        show = True
        if self.printed and not schema and self.facts is None:
            self._reveal_text(self.printed)
        if self.written and not schema and not (line is not None and line.reveals == "receiver"):
            self._reveal_written()
        if form in (VALUE, CARRIED, CONTAINER) and not schema and self.facts is None:
            show = self._reveal(value, form, fresh)
        form = form if show else REFERENCE
        heard = self._heard() if self.session.heard else []
        return Outcome(
            value, form, fresh, show, schema, self.subject, line, self.printed, self.written, heard, self.bundles
        )

    def _is_schema(self, value: Any) -> bool:
        """Whether what a schema member gave is schema: column labels that came out of data are content."""
        kind = type(value)
        number = kind is int or kind is bool or (kind is tuple and {int}.issuperset(map(type, value)))
        if number and self.operation.verb != "contains" and self.operation.member not in _LABELS:
            return not self.subject.sized
        if self.operation.verb == "describe":
            labels = self._described(value)
        else:
            labels = tuple(value) if self.operation.verb == "list" else hosts.index_labels(value)
        if labels is None:
            labels = hosts.labels(self.receiver)
        return labels is None or all(self.session.dispatch.knows(label) for label in labels)

    def _described(self, schema: dict[str, Any] | None) -> tuple[Any, ...] | None:
        """The labels that a description shows: of columns and axes, and no categories."""
        if schema is None or "index" not in schema:
            return hosts.labels(self.receiver)
        axes = tuple(name for name in schema["index"] if name)
        return axes + tuple(flat_labels(hosts.column_names(self.receiver), others=True))

    def _amount(self, value: Any, fresh: bool) -> Facts:
        """How much of the result is content that crosses with it."""
        content = self.session.membrane.content
        if self.access is not None and isinstance(value, str | bytes):
            beforehand = self.line is not None and self.line.reveals in _BEFOREHAND
            return self._facts_of(self._measured()) if beforehand else measure(value)
        if self.operation.verb == "next":  # the list of items is the protocol's own
            items = value[1]
            if _PLAIN.issuperset(map(type, items)):
                return Facts(len(items), len(items), None)
            parts = [content(item, fresh) for item in items]
            return Facts(sum(1 for part in parts if part.cells), sum(part.cells or 0 for part in parts), None)
        if self.operation.verb == "callback":
            args, kwargs = value
            return content((*args, *kwargs.values()), fresh)
        return content(value, fresh)

    def _reveal(self, value: Any, form: str, fresh: bool) -> bool:
        """Have the crossing of content decided and charged; False when a carried value must stay behind."""
        amount = self._amount(value, fresh)
        if amount.cells == 0:
            return True
        if self.line is not None and "joins" in self.line.flags and isinstance(value, str | bytes):
            amount = self._facts_of(self._measured())  # one text that can hold the content of every row
        if not self.subject.roots:
            amount = _NOTHING_SHOWN
        elif form == CONTAINER or isinstance(value, tuple):
            amount = self._spread(amount, value[1] if self.operation.verb == "next" else value, self.receiver)
        effects = self.effects | _REVEAL
        quiet = form == CARRIED  # without its content the handle still crosses, which is no refusal
        if not quiet:
            self._add_reveal()
        try:
            if self.operation.verb == "next":  # one look, in parts: the rule's cap is on all that it has shown
                self._ask(effects, Facts(self.target.shown + (amount.rows or 0), amount.cells, amount.bytes))
            decision = self._ask(effects, amount, quiet=quiet)
            self._reserve(decision, quiet=quiet)
        except (Refusal, ReferenceFailed):
            if not quiet:
                raise
            return False
        self.decision = decision
        if quiet:
            self._add_reveal()
        if self.operation.verb == "next":
            self.target.shown += amount.rows or 0
        self.facts = amount
        return True

    def _reveal_text(self, text: str) -> None:
        """What the host printed names columns that came out of data."""
        lines = text.count("\n") if self.subject.roots else 0
        self._reveal_amount(Facts(lines, lines, len(text)))

    def _reveal_written(self) -> None:
        """What the host wrote into a buffer of the agent crosses with the answer."""
        contents = [buffer.content for buffer in self.written if buffer.content is not None]
        if not contents:
            return
        if self.line is not None and self.line.prints and type(contents[0]) is str:
            self._reveal_text(contents[0])
        else:
            measured = self._measured()
            amount = self._spread(self._facts_of(measured), None, measured) if self.subject.roots else _NOTHING_SHOWN
            self._reveal_amount(amount)

    def _reveal_amount(self, amount: Facts) -> None:
        self._add_reveal()
        self.decision = self._ask(self.effects, amount)
        self._reserve(self.decision)
        self.facts = amount

    def _add_reveal(self) -> None:
        self.effects |= _REVEAL
        self.trace.add_effect(Effect.REVEAL)

    def _iterator(self, value: Any, schema: bool) -> Outcome:
        flags = self.line.flags if self.line is not None else frozenset()
        held = self.session.dispatch.hold(value, self.operation.id, self.subject)
        if held.made_by == self.operation.id:
            held.items_fresh, held.pure, held.schema = "fresh" in flags, "pure" in flags, schema
        return Outcome((value, held.pure), NOTHING, False, True, schema, self.subject, self.line, "")

    def conclude(self, outcome: Outcome) -> None:
        """Commit the charges and write the outcome record. Only after this may anything cross."""
        budget = None
        if self.reservation is not None:
            budget = self.reservation.commit() or None
        result = result_of(outcome.form, type(outcome.value).__name__, None, self.facts)
        phase = "single" if self._single else "outcome"
        changes = self._changes()
        detail = {"warned": [heard.category.__name__ for heard in outcome.heard]} if outcome.heard else None
        self._append(
            self.trace.outcome(phase, self.decision, "ok", result=result, changes=changes, budget=budget, detail=detail)
        )


def written(at: int | str, buffer: Any, before: Any, position: int) -> Written | None:
    """What the host left in a buffer; None where nothing is new."""
    if buffer.closed or (buffer.tell() == position and buffer.getvalue() == before):
        return None
    content = buffer.getvalue()
    return Written(at, content if content != before else None, buffer.tell())


def absent(target: Any, member: str | None) -> Any:
    """Raise what a missing attribute raises natively."""
    raise AttributeError(f"{type(target).__name__!r} object has no attribute {member!r}")
