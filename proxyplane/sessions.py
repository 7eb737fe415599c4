"""Sessions: one agent, its objects, its guest, its place in the log."""

from __future__ import annotations

import hashlib
import importlib
import keyword
import re
import secrets
import threading
import time
import types
import weakref
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, Self

from proxyplane import describe, hosts
from proxyplane.callables import GuestCallable, GuestToken, MediatedCallable
from proxyplane.capabilities import Capability, mint
from proxyplane.conversation import Conversation, Exchange
from proxyplane.effects import Effect
from proxyplane.errors import (
    AuditUnavailable,
    GuestError,
    GuestTimeout,
    PolicyError,
    ProtocolError,
    ProxyPlaneError,
    UnknownObject,
)
from proxyplane.exceptions import rebuild
from proxyplane.membrane import Arguments, Membrane
from proxyplane.objects import Held, ObjectTable
from proxyplane.operations import Operation, Origin
from proxyplane.passage import Outcome, Raised
from proxyplane.results import RunError, RunResult
from proxyplane.subjects import Subject
from proxyplane.transport.wire import Kind, Tag

if TYPE_CHECKING:
    from proxyplane.plane import ControlPlane

__all__ = ["Session"]

START_SECONDS = 20.0
"""How long a new guest may take to say hello."""
ANSWER_SECONDS = 10.0
"""How long a guest may take to hand over a variable."""
_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]*")
_BUILTIN_MODULE = "builtins"


class Session:
    """An agent at work. Opened by `ControlPlane.session`; a context manager.

    A session outlives its guests: after a crash or a timeout the next run begins in a new guest with the granted
    names, and with those variables that were bound to objects of the host.
    """

    def __init__(self, plane: ControlPlane, agent: str) -> None:
        if not agent or len(agent) > 200 or not agent.isprintable():
            raise ValueError("an agent's name is 1 to 200 printable characters")
        self.plane = plane
        self.agent = agent
        self.id = f"s-{secrets.token_hex(8)}"
        self.opened = plane.clock.mono()
        self.table = ObjectTable(plane.limits.handles)
        self.membrane = Membrane(
            self.table,
            plane.catalog,
            plane.limits,
            self.id,
            callable_of=self._guest_callable,
            mediate=self._mediate,
        )
        self.policy_stamp = {"digest": plane.policy.digest, "generation": 1, "mode": "enforce"}
        self.attenuated = False
        """Whether any capability says something beyond the policy."""
        self._capabilities: dict[str, Capability] = {}
        self._granted: dict[str, Held] = {}
        self._known: set[str] = set()
        self._callables: weakref.WeakValueDictionary[int, GuestCallable] = weakref.WeakValueDictionary()
        self._variables: dict[str, int] = {}
        self._conversation: Conversation | None = None
        self._lock = threading.RLock()
        self._runs = 0
        self._code = b""
        self._deciding = b""
        self._ended: str | None = None
        self._closed = False

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exit_info: object) -> None:
        self.close()

    # Opening, granting, closing

    def open(self, objects: dict[str, Any]) -> None:
        """Write the opening record and grant the objects; called by the plane."""
        self.plane.record(
            "session.open",
            session=self.id,
            agent=self.agent,
            policy=self.policy_stamp,
            detail={"tier": self.plane.tier, "objects": sorted(objects)},
        )
        merged: dict[int, list[str]] = {}
        for name, value in objects.items():
            merged.setdefault(id(value), []).append(name)
        for name, value in objects.items():
            self._grant(name, value, aliases=merged[id(value)])

    def put(
        self,
        name: str,
        value: Any,
        *,
        effects: Iterable[str] | None = None,
        uses: int | None = None,
        seconds: float | None = None,
    ) -> Capability:
        """Grant an object while the session runs.

        Args:
            name: what the agent calls it.
            value: the object; the policy's projection for that name is applied.
            effects: attenuation: only these effects, of those that the policy allows.
            uses: attenuation: at most so many operations on it and what is made from it.
            seconds: attenuation: it expires after so long.

        Raises:
            PolicyError: the projection names something that the object does not have.
            ValueError: a name that is no identifier, or that names a granted module.
        """
        with self._lock:
            expires = None if seconds is None else self.plane.clock.mono() + int(seconds * 1e9)
            capability = mint(name, effects=effects, uses=uses, expires=expires)
            held = self._grant(name, value, aliases=[name], capability=capability)
            if self._conversation is not None:
                self._bind({name: held})
            return capability

    def _grant(self, name: str, value: Any, *, aliases: list[str], capability: Capability | None = None) -> Held:
        if not _NAME.fullmatch(name) or keyword.iskeyword(name):
            raise ValueError(f"{name!r} cannot be a granted name; use a Python identifier that begins with a letter")
        if name in self.plane.policy.modules.host:
            raise ValueError(f"{name!r} is the name of a granted module; choose another name for the object")
        shown = self._project(name, value, aliases)
        held, _ = self.table.adopt(shown, self.plane.catalog.of(type(shown)))
        self.table.keep(held)
        facts = self.plane.policy.objects.get(name)
        held.name = held.name or name
        held.roots |= {name}
        held.labels |= facts.labels if facts is not None else frozenset()
        self._granted[name] = held
        self._capabilities[name] = capability if capability is not None else mint(name)
        self.attenuated = self.attenuated or not self._capabilities[name].plain
        self._known.update(flat_labels(hosts.column_names(shown)))
        self.plane.record(
            "grant",
            session=self.id,
            agent=self.agent,
            cap=name,
            target={"id": held.handle, "version": held.version, "type": held.type_name, "name": name},
            detail={"effects": sorted(self._capabilities[name].effects), "projected": shown is not value},
        )
        return held

    def _project(self, name: str, value: Any, aliases: list[str]) -> Any:
        seen = self.membrane.seen_as(value)
        if seen is not value:
            return seen
        policy = self.plane.policy
        show: tuple[str, ...] | None = None
        hide: tuple[str, ...] = ()
        for alias in aliases:  # a projection belongs to the object: all names of it get the strictest
            facts = policy.objects.get(alias)
            if facts is None:
                continue
            if facts.type is not None and facts.type != type_name(value):
                raise PolicyError(
                    f"[objects.{alias}] says type {facts.type!r}, but the object is a {type_name(value)}",
                    file=policy.name,
                    hint="correct the type, or grant another object",
                )
            if facts.show is not None:
                show = facts.show if show is None else tuple(column for column in show if column in facts.show)
            hide += tuple(column for column in facts.hide if column not in hide)
        if show is None and not hide:
            return value
        if self.table.find(value) is not None:
            raise ValueError(f"the object of {name!r} is granted already, unprojected; grant a copy")
        shown = value
        if show is not None:
            shown = hosts.project(shown, show=tuple(column for column in show if column not in hide), hide=())
        else:
            shown = hosts.project(shown, show=None, hide=hide)
        self.membrane.substitute(value, shown)
        return shown

    def revoke(self, name: str) -> None:
        """Take a capability back; what was made from the object dies with it.

        Raises:
            UnknownObject: nothing was granted under that name.
        """
        if name not in self._capabilities:
            raise UnknownObject(f"nothing is granted as {name!r}; granted: {', '.join(sorted(self._granted)) or 'none'}")
        self._capabilities[name].revoke()
        self.attenuated = True
        self.plane.record("revoke", session=self.id, agent=self.agent, cap=name)

    def use_capabilities(self, roots: frozenset[str], effects: frozenset[Effect]) -> None:
        """Count one use of every capability among these roots; raises where one does not allow it."""
        now = self.plane.clock.mono()
        for root in roots:
            self._capabilities[root].use(effects, now)

    def close(self) -> None:
        """End the guest and the session; idempotent."""
        with self._lock:
            if self._closed:
                return
            self._closed = True
            if self._conversation is not None:
                self._conversation.end()
                self._conversation = None
            self.plane.forget(self)
            try:
                self.plane.record("session.close", session=self.id, agent=self.agent, reason=self._ended or "closed")
            except AuditUnavailable:
                pass  # the log says so itself when the plane closes it

    # Running

    def run(self, code: str, timeout: float = 60.0) -> RunResult:
        """Run an agent's code in the guest.

        Args:
            code: Python source.
            timeout: seconds after which the guest is killed.

        Returns:
            What it came to. Nothing that the code did is raised here.

        Raises:
            AuditUnavailable: the log cannot be written, so nothing more may happen.
            TierUnavailable: no guest can be isolated as strictly as was required.
            RuntimeError: the session or its plane is closed.
        """
        with self._lock:
            if self._closed:
                raise RuntimeError("this session is closed; open a new one")
            began = self.plane.clock.mono()
            if self._ended is not None:
                return RunResult(False, error=RunError("ProtocolError", f"this session has ended: {self._ended}"))
            self._runs += 1
            self._code = hashlib.sha256(code.encode("utf-8", "surrogatepass")).digest()
            conversation = None
            try:
                conversation = self._guest()
                conversation.begin(time.monotonic() + timeout)
                frame = [Kind.RUN, conversation.next_id(), code, f"<agent-{self._runs}>"]
                message = conversation.ask(frame, done=Kind.DONE)
                result = self._finished(conversation, message)
            except (EOFError, GuestError, ProtocolError) as error:
                result = self._broken(conversation, error, timeout)
            finally:
                self.plane.log.sync()  # nothing that was revealed leaves the plane before its record is durable
            elapsed = self.plane.clock.mono() - began
            return replace_elapsed(result, elapsed)

    def _finished(self, conversation: Conversation, message: list[Any]) -> RunResult:
        if len(message) != 5 or type(message[2]) not in (str, type(None)) or type(message[4]) is not list:
            raise ProtocolError("a run ended with something else than a text, an error and names")
        error = None
        if message[3] is not None:
            error = run_error(message[3])
        self._variables = {}
        for pair in message[4]:
            if type(pair) is list and len(pair) == 2 and type(pair[0]) is str and type(pair[1]) is int:
                self._variables[pair[0]] = pair[1]
        limit = self.plane.limits.output_chars
        value = message[2]
        return RunResult(
            ok=error is None,
            stdout=conversation.stdout.text(),
            stderr=conversation.stderr.text(),
            value=value if value is None or len(value) <= limit else f"{value[:limit]}... output cut ...",
            error=error,
            operations=conversation.requests,
        )

    def _broken(self, conversation: Conversation | None, error: BaseException, timeout: float) -> RunResult:
        """The guest is late, dead or hostile: end it, keep the session unless it broke the protocol."""
        ending = conversation.end() if conversation is not None else ""
        self._conversation = None
        lost = tuple(sorted(n for n, handle in self._variables.items() if not handle and n not in self._granted))
        note = f"; lost: {', '.join(lost)}" if lost else ""
        if isinstance(error, ProtocolError):
            self._ended = f"the guest broke the protocol: {error}"
            described = RunError(type(error).__name__, self._ended)
        elif isinstance(error, GuestTimeout):
            described = RunError("GuestTimeout", f"the run took longer than {timeout:g} s and its guest was ended{note}")
        else:
            detail = str(error) if conversation is None or not isinstance(error, EOFError) else ending
            described = RunError("GuestCrashed", f"the guest ended before its work did: {detail}{note}")
        status = "timeout" if isinstance(error, GuestTimeout) else "panic"
        self.plane.record(
            "observed",
            session=self.id,
            agent=self.agent,
            status=status,
            reason=described.type,
            detail={"ending": ending},
        )
        kept = {name: handle for name, handle in self._variables.items() if handle and name not in self._granted}
        self._keep_variables(kept)
        return RunResult(
            ok=False,
            stdout=conversation.stdout.text() if conversation is not None else "",
            stderr=conversation.stderr.text() if conversation is not None else "",
            error=described,
            operations=conversation.requests if conversation is not None else 0,
            lost=lost,
        )

    def _keep_variables(self, kept: dict[str, int]) -> None:
        alive: dict[str, Held] = {}
        for name, handle in kept.items():
            try:
                alive[name] = self.table.get(handle)
            except ProtocolError:
                continue
        for held in alive.values():
            self.table.keep(held)
        self.membrane.forget_guest()
        self._restored = alive

    _restored: dict[str, Held] = {}  # noqa: RUF012 - replaced, never changed in place

    def _guest(self) -> Conversation:
        """The guest, started and bound to the granted names where there is none."""
        if self._conversation is not None:
            return self._conversation
        process = self.plane.zygote.spawn(self.plane.guest_limits, self.plane.tier)
        conversation = Conversation(process, self.plane.limits, self._perform)
        try:
            conversation.hello(time.monotonic() + START_SECONDS)
        except (GuestError, ProtocolError):
            conversation.end()
            raise
        self._conversation = conversation
        self._bind({**self._granted, **self._restored}, modules=True)
        for held in self._restored.values():
            if held.name is None:
                self.table.unkeep(held)
        self._restored = {}
        return conversation

    def _bind(self, names: dict[str, Held], *, modules: bool = False) -> None:
        conversation = self._conversation
        assert conversation is not None
        conversation.begin(time.monotonic() + ANSWER_SECONDS)
        bound = {name: self.membrane.encode(held.value, False, None, show=False) for name, held in names.items()}
        granted = self._modules() if modules else {}
        frame = [Kind.BIND, conversation.next_id(), bound, granted, self.membrane.news()]
        answer = conversation.ask(frame)
        if answer[0] == Kind.ERROR:
            raise ProtocolError("a guest refused its names")

    def _modules(self) -> dict[str, Any]:
        """The granted modules that are installed and that a catalog describes."""
        found = {}
        for name in self.plane.policy.modules.host:
            if self.plane.catalog.module(name) is None:
                continue
            try:
                module = importlib.import_module(name)
            except ImportError:
                continue
            held, _ = self.table.adopt(module, self.plane.catalog.of(types.ModuleType))
            self.table.keep(held)
            found[name] = self.membrane.encode(module, False)
        return found

    # Requests of the guest

    def _perform(self, exchange: Exchange, message: list[Any]) -> list[Any]:
        """Answer one request frame with one frame."""
        _, number, verb, target, member, args, kwargs, line, releases = message
        if releases:
            self.table.release(releases)
        if member is not None and (type(member) is not str or len(member) > self.plane.limits.name_chars):
            raise ProtocolError("a member that is not a short text")
        if type(target) is not int or (line is not None and type(line) is not int):
            raise ProtocolError("a target or line that is not a number")
        operation = None
        try:
            identifier = self._deciding = self.plane.ids.next()
            found = self.membrane.decode(args, kwargs)
            if found.args or found.kwargs:
                self._learn(found.args)
                self._learn(found.kwargs.values())
            operation = self._operation(identifier, verb, target, member, found, line)
            exchange.operation = operation
            outcome = self.plane.handle(operation)
            wire = self.encode(outcome, operation)
            reply = [Kind.RESULT, number, wire, self.membrane.news()]
            if outcome.printed:
                reply.append(outcome.printed)
        except Raised as raised:
            error = self._raised_map(raised)
            reply = [Kind.ERROR, number, error, self.membrane.news()]
        except (ProtocolError, AuditUnavailable, GuestError):
            raise
        except ProxyPlaneError as refused:
            reply = [Kind.ERROR, number, refusal_map(refused), self.membrane.news()]
        return reply

    def _operation(
        self, identifier: bytes, verb: str, target: int, member: str | None, found: Arguments, line: int | None
    ) -> Operation:
        joined: frozenset[Effect] = frozenset()
        if found.callables:
            joined = frozenset({Effect.CALLBACK})
        for entry in found.mediated:
            joined |= entry.effects
        return Operation(
            identifier,
            verb,
            target,
            member,
            found.args,
            found.kwargs,
            Origin(self.id, self.agent, "guest", line, self._code),
            b"",
            tuple([held.handle for held in found.held]) if found.held else (),
            joined,
        )

    def encode(self, outcome: Outcome, operation: Operation) -> Any:
        """The wire form of an outcome; new objects in it get their lineage."""
        subject, line, schema = outcome.subject, outcome.line, outcome.schema
        flags = line.flags if line is not None else frozenset()

        def made(held: Held) -> None:
            held.roots, held.labels, held.inputs = subject.roots, subject.labels, subject.handles
            held.made_by, held.schema = operation.id, schema
            held.items_fresh, held.pure = "fresh" in flags, "pure" in flags
            if operation.verb == "getattr":
                held.entry = self.membrane.member_of(self.table.get(operation.target), operation.member or "")

        if operation.verb == "next":
            finished, items = outcome.value
            encoded = [self.membrane.encode(item, outcome.fresh, made) for item in items]
            return [Tag.TUPLE, finished, [Tag.LIST, *encoded]]
        return self.membrane.encode(outcome.value, outcome.fresh, made, show=outcome.show)

    def hold(self, value: Any, made_by: bytes, subject: Subject) -> Held:
        """The entry of an object that the host made for the guest, with its lineage when it is new."""
        held, new = self.table.adopt(value, self.plane.catalog.of(type(value)))
        if new:
            held.roots, held.labels, held.inputs, held.made_by = subject.roots, subject.labels, subject.handles, made_by
        return held

    def knows(self, label: Any) -> bool:
        """Whether a column label is one that the agent had before it asked: schema, and not content."""
        return type(label) is not str or label in self._known or label in self.plane.catalog.vocabulary

    def _learn(self, values: Iterable[Any], depth: int = 0) -> None:
        for value in values:
            kind = type(value)
            if kind is str:
                if len(value) <= 64 and len(self._known) < 100_000:
                    self._known.add(value)
            elif kind in (list, tuple, set) and depth < 3:
                self._learn(value, depth + 1)
            elif kind is dict and depth < 3:
                self._learn(value.keys(), depth + 1)
                self._learn(value.values(), depth + 1)

    def _raised_map(self, raised: Raised) -> dict[str, Any]:
        rebuilt = rebuild(raised.error, raised.own, self.knows_word)
        if rebuilt.token is not None:
            return {"code": "callback_raised", "args": [rebuilt.token], "message": rebuilt.message}
        kind = rebuilt.type
        named: Any = kind.__name__ if kind.__module__ == _BUILTIN_MODULE else self.membrane.type_id(kind)
        return {"code": "raised", "type": named, "args": list(rebuilt.args), "message": rebuilt.message}

    def knows_word(self, word: str) -> bool:
        """Whether a word of an error text is one that the agent has already."""
        return word in self._known or word in self.plane.catalog.vocabulary

    # Callbacks

    def _guest_callable(self, number: int, name: str, doc: Any) -> GuestCallable:
        found = self._callables.get(number)
        if found is None:
            if len(self._callables) >= self.plane.limits.callables:
                raise ProtocolError(f"more than {self.plane.limits.callables} guest functions are held")
            found = self._callables[number] = GuestCallable(self._call_guest, number, name, doc)
            if self._conversation is not None:
                weakref.finalize(found, self._conversation.forget, number).atexit = False
        return found

    def _call_guest(self, number: int, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Host code calls a function of the guest: decided, recorded, then run there."""
        conversation = self._conversation
        below = conversation.performing if conversation is not None else None
        if conversation is None or below is None or below.operation is None:
            raise GuestError("a guest function was called outside of the operation that received it")
        cause: Operation = below.operation
        held = self._callables.get(number)
        operation = Operation(
            self.plane.ids.next(),
            "callback",
            cause.target,
            held.__name__ if held is not None else None,
            args,
            kwargs,
            cause.origin,
            cause.id,
            cause.inputs,
        )
        outcome = self.plane.handle(operation)

        def made(new: Held) -> None:
            new.roots, new.labels, new.inputs = outcome.subject.roots, outcome.subject.labels, outcome.subject.handles
            new.made_by, new.schema = operation.id, outcome.schema

        encoded = [self.membrane.encode(value, False, made) for value in args]
        named = {key: self.membrane.encode(value, False, made) for key, value in kwargs.items()}
        frame = [Kind.CALLBACK, conversation.next_id(), number, encoded, named or None, self.membrane.news()]
        try:
            answer = conversation.ask(frame)
        except EOFError:
            raise GuestError("the guest ended while it was called back") from None
        if answer[0] == Kind.ERROR:
            raise callback_error(answer[2])
        found = Arguments()
        value = self.membrane.decode_value(answer[2], found)
        below.returned.extend(found.held)
        return value

    def returned_to(self, operation: bytes) -> list[Held]:
        """Objects of the session that callbacks returned into this operation."""
        conversation = self._conversation
        below = conversation.performing if conversation is not None else None
        if below is None or below.operation is None or below.operation.id != operation:
            return []
        returned, below.returned = below.returned, []
        return returned

    def _mediate(self, held: Held, member: str | None, name: str) -> MediatedCallable:
        cause, line = self._deciding, None

        def call(args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
            inputs = tuple(found.handle for value in (*args, *kwargs.values()) if (found := self.table.find(value)))
            origin = Origin(self.id, self.agent, "mediated", line, self._code)
            below = self._conversation.performing if self._conversation is not None else None
            around = (below.operation.target, *below.operation.inputs) if below and below.operation else ()
            operation = Operation(
                self.plane.ids.next(), "call", held.handle, member, args, kwargs, origin, cause, (*inputs, *around)
            )
            try:
                return self.plane.handle(operation).value
            except Raised as raised:
                raise raised.error from None

        return MediatedCallable(call, name)

    # What the host and explorers ask

    def get(self, name: str) -> Any:
        """The real object behind a variable of the agent.

        Args:
            name: a granted name or a variable of the guest.

        Returns:
            The host's object for a reference, an equal plain value otherwise.

        Raises:
            UnknownObject: there is no such variable.
            GuestError: the guest could not answer.
        """
        with self._lock:
            conversation = self._conversation
            if conversation is None:
                held = self._restored.get(name) or self._granted.get(name)
                if held is None:
                    raise UnknownObject(f"the session has no variable {name!r}")
                return held.value
            conversation.begin(time.monotonic() + ANSWER_SECONDS)
            try:
                answer = conversation.ask([Kind.FETCH, conversation.next_id(), name])
            except (EOFError, GuestError, ProtocolError) as error:
                self._broken(conversation, error, ANSWER_SECONDS)
                raise GuestError(f"the guest ended while {name!r} was fetched") from None
            if answer[0] == Kind.ERROR:
                raise UnknownObject(f"the session has no variable {name!r} that can be handed over")
            value = self.membrane.decode_value(answer[2])
            return value if type(value) is not GuestToken else None

    def describe(self, name: str) -> dict[str, Any]:
        """What the agent may know of a granted object: type, version, schema, members with effects and verdicts.

        Raises:
            UnknownObject: nothing is granted under that name.
            Denied: its schema may not be read.
        """
        return describe.describe(self, self._explore(name, "describe"))

    def list_attrs(self, name: str) -> list[str]:
        """Names of an object's members that the agent could use; hidden columns are not among them.

        Raises:
            UnknownObject, Denied: as for `describe`.
        """
        return describe.list_attrs(self, self._explore(name, "list"))

    def get_attr(self, name: str, attribute: str) -> Any:
        """An attribute of a granted object, as the agent would get it: decided, charged and recorded.

        Returns:
            The value, where it would cross as one; else a `describe.Reference`.

        Raises:
            UnknownObject, Denied, DeniedAttribute, AttributeError.
        """
        with self._lock:
            held = self._held(name)
            try:
                outcome = self.plane.handle(self._own_operation("getattr", held, attribute))
            except Raised as raised:
                rebuilt = rebuild(raised.error, raised.own, self.knows_word)
                raise rebuilt.type(*rebuilt.args) from None
            return describe.outcome_value(self, outcome)

    def _explore(self, name: str, verb: str) -> Held:
        with self._lock:
            held = self._held(name)
            self.plane.handle(self._own_operation(verb, held, None))
            return held

    def _own_operation(self, verb: str, held: Held, member: str | None) -> Operation:
        origin = Origin(self.id, self.agent, "host")
        return Operation(self.plane.ids.next(), verb, held.handle, member, (), {}, origin)

    def _held(self, name: str) -> Held:
        held = self._granted.get(name)
        if held is None:
            raise UnknownObject(f"nothing is granted as {name!r}; granted: {', '.join(sorted(self._granted)) or 'none'}")
        return held


def type_name(value: Any) -> str:
    """Qualified name of a value's exact type."""
    return f"{type(value).__module__}.{type(value).__qualname__}"


def flat_labels(labels: Iterable[Any] | None) -> set[str]:
    """Texts among column labels, also inside the tuples of a MultiIndex."""
    found: set[str] = set()
    for label in labels or ():
        found.update(part for part in (label if type(label) is tuple else (label,)) if type(part) is str)
    return found


def run_error(wire: Any) -> RunError:
    """The error of a DONE frame."""
    if type(wire) is not dict or type(wire.get("type")) is not str:
        raise ProtocolError("a run ended with an error that is not described")
    texts = {key: wire.get(key) for key in ("message", "traceback", "effect", "rule", "hint")}
    if any(value is not None and type(value) is not str for value in texts.values()):
        raise ProtocolError("a run ended with an error that is not described in text")
    return RunError(
        wire["type"], texts["message"] or "", texts["traceback"] or "", texts["effect"], texts["rule"], texts["hint"]
    )


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
    import builtins  # noqa: PLC0415 - read only here

    kind = getattr(builtins, wire["type"], None)
    simple = isinstance(kind, type) and issubclass(kind, Exception) and not issubclass(kind, UnicodeError)
    error: Exception = kind(wire["message"]) if simple and kind is not None else RuntimeError(wire["message"])
    token = wire.get("token")
    if type(token) is int:
        error._proxyplane_token = token  # type: ignore[attr-defined]
    return error


def replace_elapsed(result: RunResult, elapsed: int) -> RunResult:
    """The result with its wall time."""
    return RunResult(
        result.ok, result.stdout, result.stderr, result.value, result.display, result.error, result.operations, elapsed,
        result.lost,
    )  # fmt: skip
