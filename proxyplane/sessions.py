"""Sessions: one agent, its objects, its guest, its place in the log."""

from __future__ import annotations

import contextlib
import hashlib
import importlib
import secrets
import threading
import time
import types
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, Self

from proxyplane import describe, rights, warned
from proxyplane.audit.record import Prefix
from proxyplane.callables import GuestToken
from proxyplane.capabilities import Capability, mint
from proxyplane.conversation import Conversation
from proxyplane.dispatch import Dispatch
from proxyplane.errors import (
    AuditUnavailable,
    Denied,
    GuestError,
    GuestTimeout,
    ProtocolError,
    UnknownObject,
)
from proxyplane.exceptions import rebuild
from proxyplane.folder import Folder
from proxyplane.frozen import Frozen, resume
from proxyplane.grants import Grants
from proxyplane.membrane import Membrane
from proxyplane.objects import Held, ObjectTable
from proxyplane.operations import Operation, Origin
from proxyplane.passage import Raised
from proxyplane.redaction import Masks
from proxyplane.results import RunError, RunResult
from proxyplane.shelf import Shelf, granted, waiting
from proxyplane.state import SessionState
from proxyplane.transport.wire import FILES, MODULES, Kind

if TYPE_CHECKING:
    from proxyplane.plane import ControlPlane
    from proxyplane.proxies import InProcess

__all__ = ["Session"]

START_SECONDS = 20.0
"""How long a new guest may take to say hello."""
ANSWER_SECONDS = 10.0
"""How long a guest may take to hand over a variable."""
_WAYS = {"guest": "socket", "agent": "inproc", "http": "http", "mcp": "mcp"}
"""What records call the ways by which operations come."""


class Session:
    """An agent at work. Opened by `ControlPlane.session`; a context manager.

    A session outlives its guests: after a crash or a timeout the next run begins in a new guest with the granted
    names, and with those variables that were bound to objects of the host.
    """

    def __init__(self, plane: ControlPlane, agent: str, *, tier: str | None = None) -> None:
        if not agent or len(agent) > 200 or not agent.isprintable():
            raise ValueError("an agent's name is 1 to 200 printable characters")
        self.plane = plane
        self.agent = agent
        self.tier = tier if tier is not None else plane.tier
        """How the agent's code is confined; `cooperative` for in-process proxies without a guest."""
        self.id = f"s-{secrets.token_hex(8)}"
        self.opened = plane.clock.mono()
        self.shared = {way: self._shared(way) for way in _WAYS}
        """The fields that all effect records of this session share, by who touched the proxy, and by which way."""
        self.prefixes = {origin: plane.log.prefix(fields) for origin, fields in self.shared.items()}
        """The same, packed."""
        self.stable: dict[tuple[int, int, str], tuple[object, object, Prefix]] = {}
        """Fields that records of one plan, decision and origin share, packed; see `Trace.looked`."""
        self._where: tuple[Origin | None, dict[str, Any]] = (None, {})
        self.grants = Grants(self)
        self.dispatch = Dispatch(self)
        self.table = ObjectTable(plane.limits.handles)
        self.membrane = Membrane(
            self.table,
            plane.catalog,
            plane.limits,
            self.id,
            callable_of=self.dispatch.guest_callable,
            mediate=self.dispatch.mediate,
        )
        self.dispatch.membrane = self.membrane
        self.folder, _ = self.table.adopt(Folder(plane.files), plane.catalog.of(Folder))
        """The agent's way to its files."""
        self.table.keep(self.folder)
        self.conversation: Conversation | None = None
        """The talk with the guest, while there is one."""
        self.inprocess: InProcess | None = None
        """In-process proxies of this session's objects, once there are any."""
        self.state = SessionState()
        """Display options and the like that this session has set; in force only while it is served."""
        self.seen_labels: frozenset[str] = frozenset()
        """Labels of content that was revealed to the agent: what it sends afterwards carries them."""
        self.masks = Masks()
        """Makes the tokens of masked cells."""
        self.heard: list[warned.Heard] = []
        """Warnings of host code that no operation has taken yet."""
        self.code = b""
        """SHA-256 of the source that runs."""
        self.frozen: Frozen | None = None
        """Why nothing more is done until a person resumes it; see `resume`."""
        self.on_output: Callable[[int, str], None] | None = None
        """Told what a run prints, as it comes: 1 or 2 for standard output or error, and the text."""
        self.due: float | None = None
        """Until when the run that goes on must be done, in monotonic seconds."""
        self._variables: dict[str, int] = {}
        self._lock = threading.RLock()
        self.runs = 0
        """Runs begun so far."""
        self.operations = 0
        """Operations of the runs that have ended."""
        self._ended: str | None = None
        self._closed = False

    def _shared(self, way: str) -> dict[str, Any]:
        return {
            "kind": "effect",
            "session": self.id,
            "agent": self.agent,
            "origin": "guest" if way == "guest" else "agent",
            "via": _WAYS[way],
            "policy": self.plane.policy_stamp,
        }

    def reloaded(self, changed: Iterable[str]) -> list[str]:
        """Go by the plane's new policy: records carry its stamp, and names of which it says other facts are revoked.

        Args:
            changed: names of which it says other facts.

        Returns:
            The names that were revoked.
        """
        self.shared = {way: self._shared(way) for way in _WAYS}
        self.prefixes = {origin: self.plane.log.prefix(fields) for origin, fields in self.shared.items()}
        self.stable = {}
        revoked = sorted(self.grants.objects.keys() & set(changed))
        for name in revoked:
            self.grants.revoke(name)
        return revoked

    def where(self, origin: Origin) -> dict[str, Any]:
        """The `where` field of records: which line of which source."""
        last, stamp = self._where
        if last is not origin:
            stamp = {"line": origin.line, "code_sha256": origin.code}
            self._where = (origin, stamp)
        return stamp

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
            policy=self.plane.policy_stamp,
            detail={"tier": self.tier, "host": self.plane.host_tier, "objects": sorted(objects)},
        )
        merged: dict[int, list[str]] = {}
        for name, value in objects.items():
            merged.setdefault(id(value), []).append(name)
        for name, value in objects.items():
            self.grants.grant(name, value, aliases=merged[id(value)])

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
            held = self.grants.grant(name, value, aliases=[name], capability=capability)
            if self.conversation is not None:
                self._bind({name: held})
            return capability

    def proxy(self, name: str) -> Any:
        """An in-process proxy of a granted object: the same capability, without isolation (`docs/proxies.md`).

        Raises:
            UnknownObject: nothing was granted under that name.
            TierUnavailable: the plane or its policy requires isolation, which a proxy does not give.
        """
        self.plane.allow_cooperative()
        with self._lock:
            held = self.grants.held(name)
            if self.inprocess is None:
                from proxyplane.proxies import InProcess  # noqa: PLC0415 - only who asks for a proxy needs wrapt

                self.inprocess = InProcess(self)
            self.plane.record(
                "grant",
                session=self.id,
                agent=self.agent,
                cap=name,
                target=held.described(),
                detail={"tier": "cooperative", "via": "inproc"},
            )
            return self.inprocess.proxy_of(held)

    @property
    def closed(self) -> bool:
        """Whether the session has ended for good."""
        return self._closed

    def revoke(self, name: str) -> None:
        """Take a capability back; what was made from the object dies with it.

        Raises:
            UnknownObject: nothing was granted under that name.
        """
        with self._lock:
            self.grants.revoke(name)

    def resume(self, by: str = "host") -> bool:
        """Let the session go on after the sentinel has frozen it. For a person who has looked at what was seen.

        Args:
            by: who decided it, for the record.

        Returns:
            False when it is not frozen.

        Raises:
            AuditUnavailable: it cannot be recorded, so it stays frozen.
        """
        return resume(self, {"name": by})

    def close(self) -> None:
        """End the guest and the session; idempotent."""
        conversation = self.conversation
        self.plane.approvals.cancel(self.id)
        if conversation is not None:
            conversation.process.kill()  # a run in another thread ends with it, and lets go of the lock
        with self._lock:
            if self._closed:
                return
            self._closed = True
            self.state.close()
            if self.conversation is not None:
                self.conversation.end()
                self.conversation = None
            self.plane.forget(self)
            self.plane.files.forget(self.id)
            with contextlib.suppress(AuditUnavailable):  # the log says so itself when the plane closes it
                self.plane.record("session.close", session=self.id, agent=self.agent, reason=self._ended or "closed")

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
            self.runs += 1
            self.code = hashlib.sha256(code.encode("utf-8", "surrogatepass")).digest()
            self.plane.record_code(self, code)
            conversation = None
            try:
                self.due = time.monotonic() + timeout
                if self.plane.pulse is not None:
                    self.plane.pulse()
                conversation = self._guest()
                conversation.begin(time.monotonic() + timeout)
                frame = [Kind.RUN, conversation.next_id(), code, f"<agent-{self.runs}>", conversation.spins]
                with warned.listening(self.heard):
                    message = conversation.ask(frame, done=Kind.DONE)
                result = self._finished(conversation, message)
            except (EOFError, GuestError, ProtocolError) as error:
                result = self._broken(conversation, error, timeout)
            finally:
                self.due = None
                self.operations += conversation.requests if conversation is not None else 0
                self.plane.log.sync()  # nothing that was revealed leaves the plane before its record is durable
                self.plane.ledger.sync()
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
            display=conversation.displays.all(),
            value=value if value is None or len(value) <= limit else f"{value[:limit]}... output cut ...",
            error=error,
            operations=conversation.requests,
        )

    def _broken(self, conversation: Conversation | None, error: BaseException, timeout: float) -> RunResult:
        """The guest is late, dead or hostile: end it, keep the session unless it broke the protocol."""
        ending = conversation.end() if conversation is not None else ""
        self.conversation = None
        lost = tuple(sorted(n for n, handle in self._variables.items() if not handle and n not in self.grants.objects))
        note = f"; lost: {', '.join(lost)}" if lost else ""
        if isinstance(error, ProtocolError):
            self._ended = f"the guest broke the protocol: {error}"
            described = RunError(type(error).__name__, self._ended)
        elif isinstance(error, GuestTimeout):
            text = f"the run took longer than {timeout:g} s and its guest was ended{note}"
            described = RunError("GuestTimeout", text)
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
        kept = {name: handle for name, handle in self._variables.items() if handle and name not in self.grants.objects}
        self._keep_variables(kept)
        return RunResult(
            ok=False,
            stdout=conversation.stdout.text() if conversation is not None else "",
            stderr=conversation.stderr.text() if conversation is not None else "",
            display=conversation.displays.all() if conversation is not None else [],
            error=described,
            operations=conversation.requests if conversation is not None else 0,
            lost=lost,
        )

    def refused(self, verb: str, member: str | None, error: Denied) -> None:
        """Record a refusal that came before there was an operation: an argument that may not cross."""
        self.plane.record(
            "effect",
            phase="single",
            session=self.id,
            agent=self.agent,
            verb=verb,
            member=member,
            effects={"declared": [error.effect]},
            verdict="deny",
            status="denied",
            reason="argument",
        )

    def panicked(self, error: str, verb: str, member: str | None) -> None:
        """Record that the plane itself failed on an operation."""
        self.plane.record(
            "observed",
            session=self.id,
            agent=self.agent,
            status="panic",
            verb=verb,
            member=member,
            error={"type": error, "code": "panic"},
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
        self.state.forget_guest()
        self._restored = alive

    _restored: dict[str, Held] = {}  # noqa: RUF012 - replaced, never changed in place

    def _guest(self) -> Conversation:
        """The guest, started and bound to the granted names where there is none."""
        if self.conversation is not None:
            return self.conversation
        process = self.plane.zygote.spawn(self.plane.guest_limits, self.plane.tier)
        conversation = Conversation(process, self.plane.limits, self.dispatch.perform)
        conversation.printed = self._printed
        try:
            conversation.hello(time.monotonic() + START_SECONDS)
        except (GuestError, ProtocolError):
            conversation.end()
            raise
        self.conversation = conversation
        self._bind({**self.grants.objects, **self._restored}, modules=True)
        for held in self._restored.values():
            if held.name is None:
                self.table.unkeep(held)
        self._restored = {}
        return conversation

    def _printed(self, stream: int, text: str) -> None:
        if self.on_output is not None:
            self.plane.log.sync()  # what was revealed leaves the plane here
            self.on_output(stream, text)

    def _bind(self, names: dict[str, Held], *, modules: bool = False) -> None:
        conversation = self.conversation
        assert conversation is not None
        conversation.begin(time.monotonic() + ANSWER_SECONDS)
        bound = {name: self.membrane.encode(held.value, False, None, show=False) for name, held in names.items()}
        granted = self._modules() if modules else {}
        if modules:  # a new guest
            files = (self.folder.value, *self.plane.files.told())
            bound[FILES] = self.membrane.encode(files, True, None)
            bound[MODULES] = self._shelf()
        frame = [Kind.BIND, conversation.next_id(), bound, granted, self.membrane.news()]
        answer = conversation.ask(frame)
        if answer[0] == Kind.ERROR:
            raise ProtocolError("a guest refused its names")

    def _modules(self) -> dict[str, Any]:
        """The granted modules that are installed and that a catalog describes."""
        found = {}
        for name in granted(self.plane.policy.modules.host):
            if waiting(name, self.plane.catalog):
                continue
            try:
                module = importlib.import_module(name) if self.plane.catalog.describes(name) else None
            except ImportError:
                continue
            if module is None or self.plane.catalog.module(name) is None:
                continue
            held, _ = self.table.adopt(module, self.plane.catalog.of(types.ModuleType))
            self.table.keep(held)
            found[name] = self.membrane.encode(module, False)
        return found

    def _shelf(self) -> Any:
        """The shelf of granted modules that wait, and their names."""
        names = tuple(name for name in granted(self.plane.policy.modules.host) if waiting(name, self.plane.catalog))
        held, _ = self.table.adopt(Shelf(names), self.plane.catalog.of(Shelf))
        self.table.keep(held)
        return self.membrane.encode((held.value, *names), True, None)

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
            conversation = self.conversation
            if conversation is None:
                held = self._restored.get(name) or self.grants.objects.get(name)
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

    def stubs(self, name: str) -> str:
        """A `.pyi` of what the agent may use of a granted object, with the first words of the docs.

        Raises:
            UnknownObject, Denied: as for `describe`.
        """
        return rights.stub_text(self, self._explore(name, "describe"))

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
            held = self.grants.held(name)
            try:
                outcome = self.plane.handle(self._own_operation("getattr", held, attribute))
            except Raised as raised:
                rebuilt = rebuild(raised.error, raised.own, self.dispatch.knows_word)
                raise rebuilt.type(*rebuilt.args) from None
            return describe.outcome_value(self, outcome)

    def _explore(self, name: str, verb: str) -> Held:
        with self._lock:
            held = self.grants.held(name)
            self.plane.handle(self._own_operation(verb, held, None))
            return held

    def _own_operation(self, verb: str, held: Held, member: str | None) -> Operation:
        origin = Origin(self.id, self.agent, "host")
        return Operation(self.plane.ids.next(), verb, held.handle, member, (), {}, origin)


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


def replace_elapsed(result: RunResult, elapsed: int) -> RunResult:
    """The result with its wall time."""
    return RunResult(
        result.ok, result.stdout, result.stderr, result.value, result.display, result.error, result.operations, elapsed,
        result.lost,
    )  # fmt: skip
