"""Operations on a session's objects from outside of its guest: what a transport such as HTTP asks for an agent.

    lanes = Lanes(session)
    lane = lanes.open()                 one client: what types it was told of, and what it holds
    with lanes.turn(5.0):               a session does one thing at a time
        wire = lane.bind("sales")
        reply = lane.perform("getattr", lane.find("sales"), "shape", [], None)

It is the road that requests of a guest take: the same membrane, decisions and records (`via` is `http`). A lane cannot
be called back, so functions of its client do not cross.
"""

from __future__ import annotations

import importlib
import secrets
import threading
import time
import types
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

from proxyplane import warned
from proxyplane.callables import GuestCallable
from proxyplane.conversation import Exchange
from proxyplane.dispatch import Dispatch
from proxyplane.errors import Expired, ProtocolError, UnknownObject
from proxyplane.membrane import Arguments, Membrane
from proxyplane.objects import Held
from proxyplane.operations import VERBS, Operation, Origin
from proxyplane.shelf import granted
from proxyplane.transport.wire import LEAVES, Kind, Tag

if TYPE_CHECKING:
    from proxyplane.sessions import Session

__all__ = ["NESTED", "WAY", "Busy", "Lane", "Lanes", "as_sent", "interrupt"]

WAY: Final = "http"
"""`Origin.via` of what a lane asks."""
_MOST_LANES: Final = 16
_MOST_LENT: Final = 100_000
"""References that one client may hold: each keeps an object alive."""
_NOT_ASKED: Final = frozenset({"callback", "describe"})
_HANDLED: Final = frozenset({Tag.REF, Tag.VALUE_REF, Tag.MODULE, Tag.FUNCTION})
"""Wire forms with a handle in second place."""
_NAMING: Final = _HANDLED | {Tag.BOUND}
NESTED: Final = frozenset({Tag.LIST, Tag.TUPLE, Tag.SET, Tag.FROZENSET, Tag.DICT, Tag.SLICE})
"""Wire forms that hold wire forms."""
_PLAIN: Final = (type(None), bool, int, float, str, bytes)
_RUN_SECONDS: Final = 60.0
"""How long one batch may take before the watchdog of a sealed host takes it for hanging."""


class Busy(RuntimeError):  # noqa: N818 - as the tree names its errors
    """The session is doing something else."""


class _Membrane(Membrane):
    """The crossing point of one lane, over the objects of its session."""

    def __init__(self, session: Session, dispatch: _Dispatch) -> None:
        own = session.membrane
        super().__init__(
            own.table, own.catalog, own.limits, session.id, callable_of=_no_function, mediate=dispatch.mediate
        )
        self._substitutes = own._substitutes  # a projection belongs to the object's identity, by whatever road
        self.lent: dict[int, int] = {}
        """Handle -> how often the client was given it."""
        self._kinds: set[int] = set()
        """Handles of types that the client was told of."""

    def knows(self, handle: Any) -> bool:
        """Whether the client may name this handle."""
        return type(handle) is int and (handle in self.lent or handle in self._kinds)

    def _announcement(self, kind: type, number: int) -> dict[str, Any]:
        told = super()._announcement(kind, number)
        self._kinds.add(told["handle"])
        return told

    def _encode_object(self, value: Any, kind: type, made: Callable[[Held], None] | None, show: bool) -> Any:
        known = self.table.find(self.seen_as(value))
        told = known.type_id if known is not None else 0
        if known is not None:
            known.type_id = 0  # what the guest was told of its type, this client was not
        try:
            wire = super()._encode_object(value, kind, made, show)
        finally:
            if known is not None:
                known.type_id = told
        if wire[0] in _HANDLED:
            held = self.table.get(wire[1])
            held.type_id = told
            held.sent -= 1  # the guest does not hold it by this
            self.lend(held)
        return wire

    def lend(self, held: Held) -> None:
        """The client was given a reference: the object stays until it gives it back."""
        count = self.lent.get(held.handle, 0)
        if not count:
            self.table.pin([held])
        self.lent[held.handle] = count + 1

    def take_back(self, handle: Any, count: Any) -> None:
        """The client has dropped references.

        Raises:
            ProtocolError: more than it was given.
        """
        lent = self.lent.get(handle, 0) if type(handle) is int else 0
        if type(count) is not int or not 0 < count <= lent:
            raise ProtocolError("a handle is released more often than it was sent")
        if count < lent:
            self.lent[handle] = lent - count
            return
        del self.lent[handle]
        self.table.unpin([self.table.get(handle)])

    def _token(self, wire: list[Any], found: Arguments, depth: int) -> Any:
        raise ProtocolError("objects of a client's own classes do not cross")

    def _decode(self, wire: Any, found: Arguments, depth: int) -> Any:
        if type(wire) is list and wire and wire[0] in (Tag.TOKEN, Tag.CALLABLE):
            raise ProtocolError("functions and objects of a client's own classes do not cross; run code that has them")
        if type(wire) is list and len(wire) > 1 and wire[0] in _NAMING and not self.knows(wire[1]):
            raise UnknownObject("a handle that this client was not given, or has given back")
        return super()._decode(wire, found, depth)


def _no_function(number: int, name: str, doc: Any) -> GuestCallable:
    raise ProtocolError("functions of a client do not cross; run code that has them")


class _Dispatch(Dispatch):
    """Turns what one client asks into operations."""

    def __init__(self, session: Session, way: str) -> None:
        super().__init__(session)
        self.membrane = self.own = _Membrane(session, self)
        self.origin = Origin(session.id, session.agent, way)
        self.displayed: list[dict[str, Any]] = []

    def _origin_at(self, line: int | None) -> Origin:
        return self.origin

    def display(self, bundles: list[dict[str, Any]]) -> None:
        """Keep what was displayed for the answer."""
        self.displayed += bundles


class Lane:
    """One client's references into a session. `Lanes.open` makes it; use it within `Lanes.turn`."""

    def __init__(self, session: Session, way: str = WAY) -> None:
        self.id = secrets.token_hex(8)
        self.used = 0
        self._session = session
        self._dispatch = _Dispatch(session, way)

    @property
    def handles(self) -> list[int]:
        """What the client holds."""
        return list(self._dispatch.own.lent)

    def news(self) -> list[dict[str, Any]]:
        """Announcements of types that the next answer must carry."""
        return self._dispatch.own.news()

    def displayed(self) -> list[dict[str, Any]]:
        """What was displayed since this was asked last."""
        shown, self._dispatch.displayed = self._dispatch.displayed, []
        return shown

    def held(self, target: Any) -> Held:
        """The entry of a handle that this client was given.

        Raises:
            UnknownObject: it was not given it.
        """
        if not self._dispatch.own.knows(target):
            raise UnknownObject("a handle that this client was not given, or has given back")
        return self._dispatch.own.table.get(int(target))

    def find(self, key: str) -> Held:
        """The entry behind a name or a handle; the client is not given it by this.

        Args:
            key: a granted name, a variable of the agent, or the digits of a handle that the client holds.

        Raises:
            UnknownObject: it names nothing that the host has.
        """
        session = self._session
        granted_as = session.grants.objects.get(key)
        if granted_as is not None:
            return granted_as
        if key.isascii() and key.isdigit():
            return self.held(int(key[:20]))
        held = self._dispatch.own.table.find(session.get(key)) if key.isidentifier() else None
        if held is None:
            raise session.grants.unknown(key)
        return held

    def explore(self, verb: str, held: Held) -> Any:
        """What may be known of an object: its schema (`describe`), its dynamic names (`list`); decided and recorded.

        Labels may be data (columns of a pivot are cells of the table): then they are content, and without a grant to
        reveal them the answer is None.

        Raises:
            Refusal, ReferenceFailed: it may not be known.
        """
        plane = self._session.plane
        outcome = plane.handle(Operation(plane.ids.next(), verb, held.handle, None, (), {}, self._dispatch.origin))
        return outcome.value if outcome.show else None

    def perform(self, verb: str, target: Held, member: str | None, args: Any, kwargs: Any) -> list[Any]:
        """One operation, as a guest would ask it.

        Args:
            verb: one of `operations.VERBS`.
            target: see `held` and `find`.
            member, args, kwargs: as in a REQUEST frame (`docs/protocol.md`).

        Returns:
            A RESULT or ERROR frame.

        Raises:
            ProtocolError: no honest client asks this.
            UnknownObject: a handle that it does not hold.
            AuditUnavailable: it could not be recorded, so nothing crosses.
        """
        if type(verb) is not str or verb not in VERBS or verb in _NOT_ASKED:
            raise ProtocolError("a verb that does not exist, or that cannot be asked so")
        if len(self._dispatch.own.lent) >= _MOST_LENT:
            raise ProtocolError(f"this client holds {_MOST_LENT:,} objects, which is the limit; give some back")
        frame = [Kind.REQUEST, 0, verb, target.handle, member, args, kwargs, None, None]
        with warned.listening(self._session.heard):
            return self._dispatch.perform(Exchange(), frame)

    def bind(self, name: str) -> Any:
        """The wire form of what a name means to the agent: a granted object, a granted module, or a variable.

        Nothing of a host object's content crosses; a plain value of the guest is the agent's own.

        Raises:
            UnknownObject: it means nothing, or something that lives in the guest alone.
        """
        session, membrane = self._session, self._dispatch.own
        held = session.grants.objects.get(name)
        if held is not None:
            return membrane.encode(held.value, False, None, show=False)
        if name in granted(session.plane.policy.modules.host):
            return membrane.encode(self._module(name), False, None, show=False)
        value = session.get(name)
        if membrane.table.find(value) is None and not _is_plain(value):
            raise UnknownObject(
                f"{name!r} is no object of the host and no plain value; only the guest's code can use it"
            )
        return membrane.encode(value, True, None, show=False)

    def _module(self, name: str) -> types.ModuleType:
        plane = self._session.plane
        try:
            module = importlib.import_module(name) if plane.catalog.describes(name) else None
        except ImportError:
            module = None
        if module is None or plane.catalog.module(name) is None:
            raise UnknownObject(f"the granted module {name!r} is not installed, or no catalog describes it")
        held, _ = self._dispatch.own.table.adopt(module, plane.catalog.of(types.ModuleType))
        self._dispatch.own.table.keep(held)
        return module

    def release(self, pairs: Any) -> None:
        """Take back references: handle, count, handle, count ...

        Raises:
            ProtocolError: not pairs of integers, or more than was given.
        """
        if type(pairs) is not list or len(pairs) % 2:
            raise ProtocolError("releases are not pairs of handle and count")
        for at in range(0, len(pairs), 2):
            self._dispatch.own.take_back(pairs[at], pairs[at + 1])

    def lend(self, held: Held) -> None:
        """Give the client a reference to what it named."""
        self._dispatch.own.lend(held)

    def drop(self, key: str) -> None:
        """Take back a handle, however often it was given.

        Raises:
            UnknownObject: the client does not hold it.
        """
        handle = int(key[:20]) if key.isascii() and key.isdigit() else -1
        count = self._dispatch.own.lent.get(handle)
        if count is None:
            raise UnknownObject("a handle that this client was not given, or has given back")
        self._dispatch.own.take_back(handle, count)

    def drop_all(self, wires: Iterable[Any]) -> None:
        """Take back every reference in wire forms that were made for the client, and that it does not get."""
        for wire in wires:
            if type(wire) is list and wire:
                if wire[0] in _HANDLED:
                    if wire[1] in self._dispatch.own.lent:
                        self._dispatch.own.take_back(wire[1], 1)
                elif wire[0] in NESTED:
                    self.drop_all(wire[1:])

    def end(self) -> None:
        """The client is gone: nothing is held for it."""
        own = self._dispatch.own
        for handle, count in list(own.lent.items()):
            own.take_back(handle, count)


class Lanes:
    """The clients of one session.

    Args:
        session: whose objects they use.
        way: `Origin.via` of what they ask.
    """

    def __init__(self, session: Session, way: str = WAY) -> None:
        self._session = session
        self._way = way
        self._lanes: dict[str, Lane] = {}
        self._count = 0
        self._lock = threading.Lock()
        self.plain = Lane(session, way)
        """Of clients that name no lane."""

    def open(self) -> Lane:
        """A new lane; the one that was unused for longest ends where there are too many."""
        with self._lock:
            if len(self._lanes) >= _MOST_LANES:
                oldest = min(self._lanes.values(), key=lambda lane: lane.used)
                del self._lanes[oldest.id]
                oldest.end()
            lane = Lane(self._session, self._way)
            self._lanes[lane.id] = lane
            return self._use(lane)

    def get(self, identifier: str) -> Lane:
        """A lane that was opened.

        Raises:
            Expired: it has ended, or never was.
        """
        with self._lock:
            lane = self._lanes.get(identifier)
            if lane is None:
                raise Expired("this client's references have ended; connect again")
            return self._use(lane)

    def _use(self, lane: Lane) -> Lane:
        self._count += 1
        lane.used = self._count
        return lane

    @contextmanager
    def turn(self, seconds: float) -> Iterator[None]:
        """Have the session to oneself.

        Args:
            seconds: how long to wait for what it does now.

        Raises:
            Busy: it does something else for longer.
            Expired: it is closed.
        """
        session = self._session
        if not session._lock.acquire(timeout=seconds):
            raise Busy("the session is running code; wait for it to end, or use another session")
        due = session.due
        try:
            if session.closed:
                raise Expired("this session is closed; open another one")
            session.due = time.monotonic() + _RUN_SECONDS
            if session.plane.pulse is not None:
                session.plane.pulse()
            yield
        finally:
            session.due = due
            session._lock.release()


def _is_plain(value: Any, depth: int = 0) -> bool:
    kind = type(value)
    if kind in _PLAIN or kind in LEAVES:
        return True
    if depth > 16:
        return False
    if kind is dict:
        return all(_is_plain(key, depth + 1) and _is_plain(item, depth + 1) for key, item in value.items())
    return kind in (list, tuple, set, frozenset) and all(_is_plain(item, depth + 1) for item in value)


def as_sent(wire: Any) -> Any:
    """The wire form of a result as a client would send it back as an argument."""
    if type(wire) is not list or not wire:
        return wire
    tag = wire[0]
    if tag in _HANDLED:
        return [Tag.REF, wire[1]]
    if tag in NESTED:
        return [tag, *[as_sent(item) for item in wire[1:]]]
    return wire


def interrupt(session: Session) -> None:
    """End what the session runs now, from another thread; the session lives on in a new guest."""
    conversation = session.conversation
    if conversation is not None and session.due is not None:
        conversation.process.kill()
        session.plane.approvals.cancel(session.id)
