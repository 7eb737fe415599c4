"""The in-process proxies of one session: from a touch to an operation and back."""

from __future__ import annotations

import sys
import warnings
import weakref
from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

from proxyplane import warned
from proxyplane.callables import MediatedCallable
from proxyplane.cooperative import MEDIATED, VIA
from proxyplane.effects import Effect
from proxyplane.errors import Denied, Expired, ProxyPlaneError
from proxyplane.exceptions import rebuild, rebuild_warning
from proxyplane.identity import identity
from proxyplane.membrane import CALLED
from proxyplane.objects import Held
from proxyplane.operations import NO_EFFECTS, Operation, Origin
from proxyplane.passage import Outcome, Raised
from proxyplane.proxies.classes import class_of, make
from proxyplane.proxies.crossing import AgentFunction, Cause, Crossing, Taken
from proxyplane.proxies.grip import Grip, Told

if TYPE_CHECKING:
    from proxyplane.sessions import Session

__all__ = ["InProcess"]

_NO_NAMES: Final[dict[str, Any]] = {}


class _Life(weakref.ref[Any]):
    """Notices the end of a proxy, or of a function that was lent to host code."""

    __slots__ = ("held",)

    held: Held


class InProcess:
    """Makes proxies, and takes what is asked of them down the road.

    Args:
        session: whose objects they are.
    """

    def __init__(self, session: Session) -> None:
        self.session = session
        self._plane = session.plane
        self._crossing = Crossing(self)
        self._origin = Origin(session.id, session.agent, VIA)
        self._live: dict[int, _Life] = {}
        self._ended: deque[_Life] = deque()
        self._lent: dict[int, _Life] = {}
        self._returned: dict[bytes, list[Held]] = {}
        self._raised: list[BaseException] = []
        self._underway: list[bytes] = []
        """Operations in progress, the innermost last."""

    # Proxies

    def proxy_of(self, held: Held) -> Any:
        """The proxy of an object: the same one as long as anybody holds it, so that `a is b` holds."""
        life = self._live.get(held.handle)
        proxy = life() if life is not None else None
        if proxy is None:
            proxy = make(class_of(held, self._plane.catalog), self, held)
            life = _Life(proxy, self._ended.append)
            life.held = held
            self.session.table.pin([held])
            self._live[held.handle] = life
        return proxy

    def _release(self) -> None:
        """Let go of objects whose proxies have ended."""
        table = self.session.table
        while True:
            try:
                life = self._ended.popleft()
            except IndexError:  # nothing more, or another thread was faster
                return
            try:
                self._lent.pop(id(life), None)
                if self._live.get(life.held.handle) is life:
                    del self._live[life.held.handle]
                table.unpin([life.held])
            except BaseException:  # an interrupt, or a full stack: it is done with the next operation
                self._ended.append(life)
                raise

    # Operations

    def perform(
        self, verb: str, held: Held, member: str | None = None, args: tuple[Any, ...] = (), kwargs: Any = _NO_NAMES
    ) -> Any:
        """Do one thing with an object, and give what in-process code gets for it.

        Raises:
            Denied, DeniedAttribute, BudgetExceeded, Revoked, Expired: refused.
            Exception: what the object raised; its text is rebuilt as for a guest, unless `unknown` was granted.
        """
        outcome, operation = self.ask(verb, held, member, args, kwargs)
        return self.give(outcome, operation, outcome.value)

    def perform_held(self, verb: str, held: Held, member: str | None, args: tuple[Any, ...]) -> Any:
        """The same, but what comes of it stays with the host also where it is a plain value."""
        outcome, operation = self.ask(verb, held, member, args)
        return self.wrap(outcome, operation, outcome.value)

    def give(self, outcome: Outcome, operation: Operation, value: Any) -> Any:
        """What in-process code gets for a value that an operation came to."""
        lineage = self._lineage(outcome, operation)
        return self._crossing.give(value, outcome.fresh, lineage, show=outcome.show)

    def wrap(self, outcome: Outcome, operation: Operation, value: Any) -> Any:
        """The proxy of something that an operation came to, also where it would cross as a value."""
        return self._crossing.wrap(value, self._lineage(outcome, operation))

    def fact(self, grip: Grip, member: str) -> Any:
        """A fact of the type of an object: an operation when it is first told, and when what decided it has changed.

        `isinstance` asks for it at every check. A guest has it from the announcement of the type, once.
        """
        session, held, told, generation = self.session, grip.held, grip.told, self._plane.generation
        if (
            told is not None
            and told.generation == generation
            and told.roots is held.roots
            and told.labels is held.labels
            and not session.grants.attenuated
            and session.frozen is None
            and not session.closed
        ):
            return told.value
        value = self.ask("getattr", held, member)[0].value
        plan = self._plane.plans.get((identity(held.kind), "getattr", member, VIA))
        kept = held.decided.get(identity(plan)) if plan is not None else None
        if kept is not None and kept[0] is plan and kept[3].verdict == "allow" and not kept[3].charges:
            grip.told = Told(value, generation, held.roots, held.labels)
        return value

    def library(self, value: Any) -> Held:
        """The entry of an object that in-process code has anyway: a module, a function of one, a list of its own."""
        held, _ = self.session.table.adopt(value, self._plane.catalog.of(type(value)))
        return held

    def ask(
        self, verb: str, held: Held, member: str | None = None, args: tuple[Any, ...] = (), kwargs: Any = _NO_NAMES
    ) -> tuple[Outcome, Operation]:
        """Take one operation down the road, from unwrapping its arguments to its record; see `perform`."""
        session = self.session
        if session.closed:
            raise Expired(f"the session of this proxy (agent {session.agent!r}) is closed; open another one")
        if self._ended:
            self._release()
        identifier = self._plane.ids.next()
        if not args and not kwargs:
            operation = Operation(identifier, verb, held.handle, member, args, kwargs, self._origin)
            return self._handle(operation), operation
        taken, table = Taken(), session.table
        table.pin([held])
        try:
            try:
                copied, named = self._crossing.take_buffers(args, kwargs, taken)
                real = tuple([self._crossing.take(value, taken) for value in copied])
                real_named = {name: self._crossing.take(value, taken) for name, value in named.items()}
                self._learn((*args, *kwargs, *kwargs.values()))
            finally:  # also what was taken before an argument was refused ends with the operation
                table.pin(taken.held)
            operation = self._with(identifier, verb, held, member, real, real_named, taken)
            outcome = self._handle(operation)
        finally:
            table.unpin([held, *taken.held])
        self._written(outcome, operation, taken, args, kwargs)
        return outcome, operation

    def _with(
        self,
        identifier: bytes,
        verb: str,
        held: Held,
        member: str | None,
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        taken: Taken,
    ) -> Operation:
        """The operation with unwrapped arguments."""
        inputs = tuple([found.handle for found in taken.held])
        taken.cause = Cause(identifier, held.handle, inputs)
        for function in taken.functions:
            function.cause = taken.cause
        effects = taken.effects or NO_EFFECTS
        return Operation(identifier, verb, held.handle, member, args, kwargs, self._origin, b"", inputs, effects)

    def _written(
        self, outcome: Outcome, operation: Operation, taken: Taken, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> None:
        """Copy back what host code has written into buffers and lists of the agent."""
        for change in outcome.written:
            if type(change.content) is list:
                own = args[change.at] if isinstance(change.at, int) else kwargs[change.at]
                own[:] = taken.back(change.content, lambda item: self.give(outcome, operation, item))
                continue
            buffer = taken.buffers[change.at]
            if change.content is not None:
                buffer.seek(0)
                buffer.truncate()
                buffer.write(change.content)
            buffer.seek(change.position)

    def _handle(self, operation: Operation) -> Outcome:
        session = self.session
        self._underway.append(operation.id)
        try:
            with warned.listening(session.heard):
                outcome = self._plane.handle(operation)
        except Raised as raised:
            own, error = raised.own, self._native(raised)
            self._warn(raised.heard, own)
        except ProxyPlaneError:
            raise
        except Exception as fault:  # a fault of the plane itself: nothing crosses, and it is on record
            session.panicked(type(fault).__name__, operation.verb, operation.member)
            error = Denied(
                "the plane could not judge this operation, so it is refused and its result withheld",
                effect=Effect.UNKNOWN,
            )
        else:
            if outcome.printed:
                sys.stdout.write(outcome.printed)
            if outcome.heard:
                self._warn(outcome.heard, (*operation.args, *operation.kwargs.values(), operation.member))
            return outcome
        finally:
            self._underway.remove(operation.id)
            self._returned.pop(operation.id, None)
            if not self._underway:
                self._raised.clear()
        try:
            raise error
        finally:
            del error  # or the traceback and this frame would hold each other, and all that the caller's frames hold

    def _learn(self, sent: tuple[Any, ...]) -> None:
        """Texts that the agent sends are texts that it has."""
        known = self.session.grants.known
        for value in self.session.table.sent_by_guest(sent):
            if type(value) is str and len(value) <= 64 and len(known) < 100_000:
                known.add(value)

    def _native(self, raised: Raised) -> BaseException:
        """The exception that in-process code sees."""
        if raised.unknown or any(raised.error is own for own in self._raised):
            return raised.error
        rebuilt = rebuild(raised.error, raised.own, self.session.dispatch.knows_word)
        try:
            return rebuilt.type(*rebuilt.args)
        except Exception:  # a class whose instances need more than a text
            error = rebuilt.type.__new__(rebuilt.type)
            error.args = rebuilt.args
            return error

    def _warn(self, heard: list[warned.Heard], own: tuple[Any, ...]) -> None:
        for category, message, codes in heard:
            text = rebuild_warning(str(message), codes, own, self.session.dispatch.knows_word)
            warnings.warn(text, category, stacklevel=5)

    def _lineage(self, outcome: Outcome, operation: Operation) -> Callable[[Held], None]:
        def made(held: Held) -> None:
            subject, flags = outcome.subject, outcome.line.flags if outcome.line is not None else ()
            held.roots, held.labels, held.inputs = subject.roots, subject.labels, subject.handles
            held.made_by, held.schema, held.sized = operation.id, outcome.schema, subject.sized
            if subject.columns is not None:
                held.columns = subject.columns if held.value is outcome.value else subject.columns.flat
            held.items_fresh, held.pure = "fresh" in flags, "pure" in flags
            if operation.verb == "getattr":
                target = self.session.table.get(operation.target)
                member = self.session.membrane.member_of(target, operation.member or "")
                held.entry = member if member is not None and member.kind in CALLED else None
                held.plain = held.plain and held.entry is None

        return made

    # Host code calls

    def call_back(self, function: AgentFunction, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Host code calls a function of the agent: decided, charged and recorded, then made with wrapped arguments."""
        cause = function.cause
        if cause is None:
            raise Denied("a function was called before the operation that it is an argument of", effect=Effect.CALLBACK)
        operation = Operation(
            self._plane.ids.next(),
            "callback",
            cause.target,
            function.__name__,
            args,
            kwargs,
            self._origin,
            cause.id,
            cause.inputs,
        )
        outcome = self._plane.handle(operation)
        given = [self.give(outcome, operation, value) for value in args]
        named = {name: self.give(outcome, operation, value) for name, value in kwargs.items()}
        with self.session.state.outside():
            try:
                result = function.function(*given, **named)
            except Exception as error:
                self._raised.append(error)
                raise
        taken = Taken()
        value = self._crossing.take(result, taken)
        for made in taken.functions:
            made.cause = cause
        self.joins(cause, taken.held)
        return value

    def joins(self, cause: Cause, helds: list[Held]) -> None:
        """Objects that the agent's code handed over while an operation went on: their lineage joins what it makes."""
        if not helds or not self._underway:
            return
        into = cause.id if cause.id in self._underway else self._underway[-1]
        self._returned.setdefault(into, []).extend(helds)

    def returned_to(self, operation: bytes) -> list[Held]:
        """Objects of the session that functions of the agent returned into this operation."""
        return self._returned.pop(operation, [])

    def mediate(self, held: Held, member: str | None, name: str) -> MediatedCallable:
        """A host callable that was passed to host code: each call of it is an operation of its own."""
        table = self.session.table
        origin = Origin(self.session.id, self.session.agent, MEDIATED)

        def call(args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
            inputs = tuple(found.handle for value in (*args, *kwargs.values()) if (found := table.find(value)))
            operation = Operation(
                self._plane.ids.next(), "call", held.handle, member, args, kwargs, origin, b"", inputs
            )
            try:
                return self._plane.handle(operation).value
            except Raised as raised:
                raise raised.error from None

        mediated = MediatedCallable(call, name)
        life = _Life(mediated, self._ended.append)
        life.held = held
        self._lent[id(life)] = life  # as long as host code has the function, its object stays
        table.pin([held])
        return mediated
