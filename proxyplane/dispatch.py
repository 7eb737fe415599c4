"""What the guest asks of its host, and what host code asks of the guest: frames to operations and back."""

from __future__ import annotations

import builtins
import threading
import weakref
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from proxyplane import display
from proxyplane.callables import GuestCallable, MediatedCallable
from proxyplane.conversation import Exchange
from proxyplane.effects import Effect
from proxyplane.errors import (
    AuditUnavailable,
    Denied,
    GuestCrashed,
    GuestError,
    GuestTimeout,
    ProtocolError,
    ProxyPlaneError,
)
from proxyplane.exceptions import rebuild, rebuild_warning
from proxyplane.membrane import CALLED, Arguments, Membrane
from proxyplane.objects import Held
from proxyplane.operations import Operation, Origin
from proxyplane.passage import Outcome, Raised
from proxyplane.subjects import Subject
from proxyplane.transport.wire import Kind, Tag
from proxyplane.underway import Written
from proxyplane.warned import Heard

if TYPE_CHECKING:
    from proxyplane.sessions import Session

__all__ = ["Dispatch"]


_PLAIN_LABELS = (int, float, bool)
_MOST_LABELS = 200
"""Longer lists are data."""
_MOST_KNOWN = 5_000
"""Texts of one session that count as its own. A label or a word of an error that is among them crosses without
`reveal`, so that whoever could send all codes of four digits would be told the cell."""


class Dispatch:
    """Turns one session's request frames into operations, and outcomes into answers."""

    membrane: Membrane
    """What it crosses; set once, when the session has made it."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._callables: weakref.WeakValueDictionary[int, GuestCallable] = weakref.WeakValueDictionary()
        self._deciding = b""
        self._origin: Origin | None = None

    # Requests of the guest

    def perform(self, exchange: Exchange, message: list[Any]) -> list[Any]:
        """Answer one request frame with one frame."""
        session = self._session
        membrane, table = self.membrane, session.table
        _, number, verb, target, member, args, kwargs, line, releases = message
        if releases:
            table.release(releases)
        if member is not None and (type(member) is not str or len(member) > session.plane.limits.name_chars):
            raise ProtocolError("a member that is not a short text")
        if type(target) is not int or (line is not None and type(line) is not int):
            raise ProtocolError("a target or line that is not a number")
        pinned: list[Held] = []
        try:
            identifier = self._deciding = session.plane.ids.next()
            found = self._decode(verb, member, args, kwargs)
            if found.args or found.kwargs:
                self.learn(found)
            if found.held or found.callables:
                pinned = [*found.held, table.get(target)]
                table.pin(pinned)
            operation = self._operation(identifier, verb, target, member, found, line)
            if member in display.MEMBERS and verb == "call":
                operation = display.settled(session, operation)
            exchange.operation = operation
            outcome = session.plane.handle(operation)
            if outcome.bundles:
                self.display(outcome.bundles)
            wire = self.encode(outcome, operation)
            reply = [Kind.RESULT, number, wire, membrane.news()]
            if outcome.printed or outcome.written or outcome.heard:
                self._add_sides(reply, outcome, operation)
        except Raised as raised:
            error = self._raised_map(raised)
            more = {"warned": self._warnings(raised.heard, raised.own)} if raised.heard else None
            reply = [Kind.ERROR, number, error, membrane.news()]
            if more:
                reply += ["", more]
        except (ProtocolError, AuditUnavailable, GuestCrashed, GuestTimeout):
            raise
        except ProxyPlaneError as refused:
            reply = [Kind.ERROR, number, refusal_map(refused), membrane.news()]
        except Exception as error:  # a fault of the plane itself: nothing crosses, and it is on record
            session.panicked(type(error).__name__, verb, member)
            text = "the plane could not judge this operation, so it is refused and its result withheld"
            refused_map = {"code": "denied", "message": text, "effect": "unknown"}
            reply = [Kind.ERROR, number, refused_map, membrane.news()]
        finally:
            if pinned:
                table.unpin(pinned)
        return reply

    def display(self, bundles: list[dict[str, Any]]) -> None:
        """Keep what an operation displayed for the result of the run."""
        if self._session.conversation is not None:
            self._session.conversation.displays.add(bundles)

    def _decode(self, verb: str, member: str | None, args: Any, kwargs: Any) -> Arguments:
        """The arguments; one that may not cross is a refusal, and recorded as one."""
        try:
            return self.membrane.decode(args, kwargs)
        except Denied as error:
            self._session.refused(verb, member, error)
            raise

    def _operation(
        self, identifier: bytes, verb: str, target: int, member: str | None, found: Arguments, line: int | None
    ) -> Operation:
        joined: frozenset[Effect] = frozenset()
        if found.callables:
            joined = frozenset({Effect.CALLBACK})
        for entry in found.mediated:
            joined |= entry.effects
        for file in found.files:
            joined |= {file.effect}
        return Operation(
            identifier,
            verb,
            target,
            member,
            found.args,
            found.kwargs or {},
            self._origin_at(line),
            b"",
            tuple([held.handle for held in found.held]) if found.held else (),
            joined,
        )

    def _origin_at(self, line: int | None) -> Origin:
        session = self._session
        origin = self._origin
        if origin is None or origin.line != line or origin.code is not session.code:
            origin = self._origin = Origin(session.id, session.agent, "guest", line, session.code)
        return origin

    def encode(self, outcome: Outcome, operation: Operation) -> Any:
        """The wire form of an outcome; new objects in it get their lineage."""
        subject, line, schema = outcome.subject, outcome.line, outcome.schema
        flags = line.flags if line is not None else frozenset()

        def made(held: Held) -> None:
            held.roots, held.labels, held.inputs = subject.roots, subject.labels, subject.handles
            held.made_by, held.schema, held.sized = operation.id, schema, subject.sized
            if subject.columns is not None:
                held.columns = subject.columns if held.value is outcome.value else subject.columns.flat
            held.items_fresh, held.pure = "fresh" in flags, "pure" in flags
            if operation.verb == "getattr":
                member = self.membrane.member_of(self._session.table.get(operation.target), operation.member or "")
                if member is not None and member.kind in CALLED:  # what a property gives is no function
                    held.entry, held.plain = member, False  # what a call of it does, its type does not say

        if operation.verb == "next":
            finished, items = outcome.value
            encoded = [self.membrane.encode(item, outcome.fresh, made) for item in items]
            return [Tag.TUPLE, finished, [Tag.LIST, *encoded]]
        return self.membrane.encode(outcome.value, outcome.fresh, made, show=outcome.show)

    def hold(self, value: Any, made_by: bytes, subject: Subject) -> Held:
        """The entry of an object that the host made for the guest, with its lineage when it is new."""
        held, new = self._session.table.adopt(value, self._session.plane.catalog.of(type(value)))
        if new:
            held.roots, held.labels, held.inputs, held.made_by = subject.roots, subject.labels, subject.handles, made_by
            held.sized = subject.sized
            held.columns = None if subject.columns is None else subject.columns.flat
        return held

    def knows(self, label: Any) -> bool:
        """Whether a column label is one that the agent had before it asked: schema, and not content."""
        if type(label) is str:
            return self.knows_word(label)
        return label is None or (type(label) in _PLAIN_LABELS and label in self._session.grants.known)

    def learn(self, found: Arguments) -> None:
        """Texts that the guest sends are texts that it has: labels, not lists of guesses at what cells hold."""
        known = self._session.grants.known
        sent = (*found.args, *found.kwargs, *found.kwargs.values())
        for value in self._session.table.sent_by_guest(sent, longest=_MOST_LABELS):
            if type(value) is str and len(value) <= 64 and len(known) < _MOST_KNOWN:
                known.add(value)

    def _add_sides(self, reply: list[Any], outcome: Outcome, operation: Operation) -> None:
        """What else came of an operation: what it printed, warned of, and wrote into buffers."""
        more: dict[str, Any] = {}
        if outcome.heard:
            sent = (operation.member, *operation.args, *operation.kwargs, *operation.kwargs.values())
            more["warned"] = self._warnings(outcome.heard, self._session.table.sent_by_guest(sent))
            reply[3] = [*reply[3], *self.membrane.news()]
        if outcome.written:
            more["written"] = [self._filled(buffer) if type(buffer.content) is list else list(buffer)
                               for buffer in outcome.written]  # fmt: skip
        reply += [outcome.printed, more]

    def _filled(self, of_agent: Written) -> list[Any]:
        """A list of the agent that host code has written into, as it crosses."""
        return [of_agent.at, self.membrane.encode(of_agent.content, True), of_agent.position]

    def _warnings(self, heard: list[Heard], own: Iterable[Any]) -> list[list[Any]]:
        """Category (built-in name or type id) and text of each warning."""
        found: list[list[Any]] = []
        for kind, message, codes in heard:
            try:
                text = rebuild_warning(str(message), codes, own, self.knows_word)
            except Exception:  # a warning whose own text fails
                text = ""
            named = kind.__name__ if kind.__module__ == "builtins" else self.membrane.type_id(kind)
            found.append([named, text])
        return found

    def _raised_map(self, raised: Raised) -> dict[str, Any]:
        rebuilt = rebuild(raised.error, raised.own, self.knows_word)
        if rebuilt.token is not None:
            return {"code": "callback_raised", "args": [rebuilt.token], "message": rebuilt.message}
        kind = rebuilt.type
        named: Any = kind.__name__ if kind.__module__ == "builtins" else self.membrane.type_id(kind)
        return {"code": "raised", "type": named, "args": list(rebuilt.args), "message": rebuilt.message}

    def knows_word(self, word: str) -> bool:
        """Whether a word of an error text is one that the agent has already."""
        return word in self._session.grants.known or word in self._session.plane.catalog.vocabulary

    # Callbacks

    def guest_callable(self, number: int, name: str, doc: Any) -> GuestCallable:
        """What stands for a function of the agent in host code; the same one as long as the host keeps it.

        Raises:
            ProtocolError: more of them are alive than the limit allows.
        """
        found = self._callables.get(number)
        if found is None:
            if len(self._callables) >= self._session.plane.limits.callables:
                raise ProtocolError(f"more than {self._session.plane.limits.callables} guest functions are held")
            found = self._callables[number] = GuestCallable(self._call_guest, number, name, doc)
            if self._session.conversation is not None:
                weakref.finalize(found, self._session.conversation.forget, number).atexit = False
        return found

    def _call_guest(self, number: int, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Host code calls a function of the guest: decided, recorded, then run there."""
        conversation = self._session.conversation
        performing = conversation.performing() if conversation is not None else []
        if conversation is None or not performing:
            raise GuestError("a guest function was called outside of the operation that received it")
        below = performing[0]
        cause: Operation = below.operation
        held = self._callables.get(number)
        operation = Operation(
            self._session.plane.ids.next(),
            "callback",
            cause.target,
            held.__name__ if held is not None else None,
            args,
            kwargs,
            cause.origin,
            cause.id,
            (*cause.inputs, *self._others(performing)),
        )
        outcome = self._session.plane.handle(operation)
        args, kwargs = outcome.value  # redacted, maybe

        def made(new: Held) -> None:
            new.roots, new.labels, new.inputs = outcome.subject.roots, outcome.subject.labels, outcome.subject.handles
            new.made_by, new.schema, new.sized = operation.id, outcome.schema, outcome.subject.sized
            new.columns = None if outcome.subject.columns is None else outcome.subject.columns.flat

        membrane = self._session.membrane

        def frame() -> list[Any]:
            encoded = [membrane.encode(value, False, made) for value in args]
            named = {key: membrane.encode(value, False, made) for key, value in kwargs.items()}
            return [Kind.CALLBACK, conversation.next_id(), number, encoded, named or None, membrane.news()]

        try:
            with self._session.state.outside():
                answer = conversation.ask(frame)
        except EOFError:
            raise GuestError("the guest ended while it was called back") from None
        if answer[0] == Kind.ERROR:
            raise callback_error(answer[2])
        found = Arguments()
        value = membrane.decode_value(answer[2], found)
        below.returned.extend(found.held)
        return value

    def returned_to(self, operation: bytes) -> list[Held]:
        """Objects of the session that callbacks returned into this operation."""
        if self._session.inprocess is not None:
            found = self._session.inprocess.returned_to(operation)
            if found:
                return found
        conversation = self._session.conversation
        for exchange in conversation.performing() if conversation is not None else ():
            if exchange.operation.id == operation:
                returned, exchange.returned = exchange.returned, []
                return returned
        return []

    @staticmethod
    def _others(performing: list[Exchange]) -> tuple[int, ...]:
        """What the other operations in progress work on.

        Host code may call from a thread of its own, which belongs to no operation that can be told: then what it hands
        over may have come from any of them.
        """
        if performing[0].thread == threading.get_ident():
            return ()
        return tuple(h for e in performing[1:] for h in (e.operation.target, *e.operation.inputs))

    def mediate(self, held: Held, member: str | None, name: str) -> MediatedCallable:
        """What stands for a host callable among the arguments: each call of it by host code is an operation."""
        cause, line = self._deciding, None

        def call(args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
            if self._session.table.find(held.value) is not held:
                raise GuestError("a host function was called after the agent had dropped it")
            inputs = tuple(
                found.handle for value in (*args, *kwargs.values()) if (found := self._session.table.find(value))
            )
            origin = Origin(self._session.id, self._session.agent, "mediated", line, self._session.code)
            performing = self._session.conversation.performing() if self._session.conversation is not None else []
            below = performing[0].operation if performing else None
            around = (below.target, *below.inputs, *self._others(performing)) if below is not None else ()
            operation = Operation(
                self._session.plane.ids.next(),
                "call",
                held.handle,
                member,
                args,
                kwargs,
                origin,
                cause,
                (*inputs, *around),
            )
            try:
                outcome = self._session.plane.handle(operation)
            except Raised as raised:
                raise raised.error from None
            if performing and outcome.subject.roots:
                # What it gave goes into the result of the operation around it, and takes its lineage along.
                made = Held(performing[0].operation.target, None, None)
                made.roots, made.labels = outcome.subject.roots, outcome.subject.labels
                made.sized = outcome.subject.sized
                performing[0].returned.append(made)
            return outcome.value

        return MediatedCallable(call, name)


def refusal_map(error: ProxyPlaneError) -> dict[str, Any]:
    """A refusal as it crosses."""
    found: dict[str, Any] = {"code": error.code, "message": str(error)}
    for key in ("effect", "rule", "reason", "hint"):
        value = getattr(error, key, None)
        if value:
            found[key] = str(value)
    return found


def callback_error(wire: Any) -> Exception:
    """The exception that host code sees when a guest function raised: the built-in of that name, with its number."""
    if type(wire) is not dict or type(wire.get("type")) is not str or type(wire.get("message")) is not str:
        raise ProtocolError("a guest function raised something that is not described")
    kind = getattr(builtins, wire["type"], None)
    simple = isinstance(kind, type) and issubclass(kind, Exception) and not issubclass(kind, UnicodeError)
    error: Exception = kind(wire["message"]) if simple and kind is not None else RuntimeError(wire["message"])
    token = wire.get("token")
    if type(token) is int:
        error._proxyplane_token = token  # type: ignore[attr-defined]
    return error
