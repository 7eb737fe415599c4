"""What requests do with a session's objects. Everything here blocks, and runs in a thread of its own."""

from __future__ import annotations

from typing import Any, Final

from proxyplane import describe
from proxyplane.errors import ProtocolError, ProxyPlaneError
from proxyplane.objects import Held
from proxyplane.remote import NESTED, Busy, Lane, as_sent
from proxyplane.transport.http.models import Batch, Operation, Wire
from proxyplane.transport.http.problems import Problem, of_error, of_map
from proxyplane.transport.http.roster import Seat
from proxyplane.transport.http.values import from_wire, to_wire
from proxyplane.transport.wire import Kind, Tag

__all__ = ["attribute", "attributes", "described", "etag", "listed", "operate", "release", "spoken"]

RESULT_TAG: Final = 30
"""`[30, 2]` in the wire form stands for the third result of the same batch. Only this transport knows it."""


def etag(held: Held) -> str:
    """The object and its version."""
    return f'"{held.handle}.{held.version}"'


def expect(held: Held, match: str | None) -> None:
    """Whether the object is the version that the client expects.

    Raises:
        Problem: it is not (412).
    """
    if match is None or match.strip() == "*":
        return
    if etag(held) not in {part.strip() for part in match.split(",")}:
        text = f"the object has changed: it is version {held.version} now; look again, then decide"
        raise Problem(412, "changed", text, headers={"etag": etag(held)})


def listed(seat: Seat) -> list[dict[str, Any]]:
    """The session's objects: what it was granted, and the variables of the agent that stand for host objects."""
    session = seat.session
    granted = [_named(name, held, "granted") for name, held in sorted(session.grants.objects.items())]
    found = []
    for name, handle in sorted(session._variables.items()):
        if name in session.grants.objects or not handle or not session.table.holds(handle):
            continue
        found.append(_named(name, session.table.get(handle), "variable"))
    return granted + found


def _named(name: str, held: Held, kind: str) -> dict[str, Any]:
    return {"name": name, "kind": kind, "type": held.type_name, "version": held.version, "etag": etag(held)}


def described(seat: Seat, key: str, match: str | None, wait: float) -> tuple[dict[str, Any], str]:
    """`describe`, and the object's tag."""
    with seat.lanes.turn(wait):
        held = seat.lanes.plain.find(key)
        expect(held, match)
        schema = seat.lanes.plain.explore("describe", held)
        return describe.describe(seat.session, held) | {"schema": schema}, etag(held)


def attributes(
    seat: Seat, key: str, match: str | None, wait: float, *, offset: int, limit: int, wanted: str
) -> tuple[dict[str, Any], str]:
    """`list_attrs`, a page of it.

    Args:
        seat, key, match, wait: as for all.
        offset, limit: of the page.
        wanted: only names that begin so.
    """
    with seat.lanes.turn(wait):
        held = seat.lanes.plain.find(key)
        expect(held, match)
        dynamic = seat.lanes.plain.explore("list", held)
        members = held.kind.members if held.kind is not None else {}
        told = {*members, *(dynamic or ())}
        names = [name for name in describe.list_attrs(seat.session, held) if name in told and name.startswith(wanted)]
    end = offset + limit
    found = {"name": key, "total": len(names), "offset": offset, "attrs": names[offset:end]}
    return found | {"next": end if end < len(names) else None}, etag(held)


def attribute(seat: Seat, key: str, name: str, match: str | None, wait: float) -> tuple[dict[str, Any], str]:
    """`get_attr`: a value where it crosses as one, else a reference."""
    with seat.lanes.turn(wait):
        lane = seat.lanes.plain
        held = lane.find(key)
        expect(held, match)
        reply = lane.perform("getattr", held, name, [], None)
        lane.news()
        if reply[0] == Kind.ERROR:
            problem = of_map(reply[2])
            if reply[2].get("type") == "AttributeError":
                problem.status = 404
            raise problem
        return {"name": key, "attribute": name, "value": from_wire(reply[2], _type_name(seat))}, etag(held)


def release(seat: Seat, key: str, wait: float) -> None:
    """Give back a reference of the plain lane, whatever often it was given."""
    with seat.lanes.turn(wait):
        seat.lanes.plain.drop(key)


def _type_name(seat: Seat) -> Any:
    return lambda handle: seat.session.table.get(handle).type_name


# Operations in documents


def operate(seat: Seat, batch: Batch, match: str | None, wait: float, most: int) -> dict[str, Any]:
    """Operations in order, each with what came of it.

    Raises:
        Problem: one failed; `at` says which, `results` holds those before it.
    """
    _bounded(len(batch.operations), most)
    with seat.lanes.turn(wait):
        lane, name_type = seat.lanes.plain, _type_name(seat)
        results: list[Any] = []
        told: list[Any] = []
        for at, operation in enumerate(batch.operations):
            try:
                reply = _one(lane, operation, results, match if not at else None)
            except (ProxyPlaneError, Busy) as error:
                raise of_error(error, at=at, results=told) from None
            except Problem as problem:
                problem.more |= {"at": at, "results": told}
                raise
            lane.news()
            if reply[0] == Kind.ERROR:
                raise of_map(reply[2], at=at, results=told, display=lane.displayed() or None)
            results.append(reply[2])
            told.append(from_wire(reply[2], name_type))
        found: dict[str, Any] = {"results": told if batch.results == "all" else told[-1:]}
        if batch.results == "last":
            lane.drop_all(results[:-1])
        shown = lane.displayed()
        return found | ({"display": shown} if shown else {})


def _one(lane: Lane, operation: Operation, results: list[Any], match: str | None) -> list[Any]:
    def named(kind: str, given: Any) -> Any:
        if kind == "name":
            return [Tag.REF, _lent(lane, given)]
        return _earlier(results, given)

    target = operation.target
    if type(target) is dict:
        target = to_wire(target, named)
        if type(target) is not list or target[0] != Tag.REF:
            raise ProtocolError("a target is a name, a handle, a $ref, or a $result that is an object")
        target = target[1]
    if type(target) not in (str, int):
        raise ProtocolError("a target is a name, a handle, a $ref, or a $result that is an object")
    held = lane.find(str(target))
    expect(held, match)
    args = [to_wire(item, named) for item in operation.args]
    kwargs = {name: to_wire(item, named) for name, item in operation.kwargs.items()} or None
    return lane.perform(operation.verb, held, operation.member, args, kwargs)


def _lent(lane: Lane, name: Any) -> int:
    if type(name) is not str:
        raise ProtocolError("a $name is a text")
    held = lane.find(name)
    lane.lend(held)
    return held.handle


def _earlier(results: list[Any], number: Any) -> Any:
    if type(number) is not int or not 0 <= number < len(results):
        raise ProtocolError("a $result is the number of an earlier operation of the batch")
    return as_sent(results[number])


def _bounded(count: int, most: int) -> None:
    if count > most:
        raise Problem(413, "too_many_operations", f"{count} operations in one request; at most {most} are done")


# Operations in the wire form


def spoken(seat: Seat, request: Wire, match: str | None, wait: float, most: int) -> dict[str, Any]:
    """The same for a client that has stubs; a failed operation is part of the answer."""
    _bounded(len(request.operations), most)
    with seat.lanes.turn(wait):
        lane = seat.lanes.open() if request.lane is None else seat.lanes.get(request.lane)
        lane.release(request.release)
        answer: dict[str, Any] = {"lane": lane.id, "bound": {}, "results": []}
        for name in request.bind:
            answer["bound"][name] = lane.bind(name)
        news = lane.news()
        results: list[Any] = []
        sides: list[Any] = []
        for at, operation in enumerate(request.operations):
            if len(operation) != 5:
                raise ProtocolError("an operation is verb, target, member, arguments and keyword arguments")
            verb, target, member, args, kwargs = _placed(operation, results)
            held = lane.held(target)
            if not at:
                expect(held, match)
            reply = lane.perform(verb, held, member, args, kwargs)
            news += [*reply[3], *lane.news()]
            sides.append(reply[4:])
            if reply[0] == Kind.ERROR:
                answer["failed"] = {"at": at, "error": reply[2]}
                break
            results.append(reply[2])
        wanted = results if request.results == "all" else results[-1:] if "failed" not in answer else []
        if request.results == "last":
            lane.drop_all(results[: len(results) - len(wanted)])
        return answer | {"results": wanted, "news": news, "sides": sides, "display": lane.displayed()}


def _placed(operation: list[Any], results: list[Any]) -> tuple[Any, Any, Any, Any, Any]:
    """The operation with earlier results in place of what stands for them."""
    verb, target, member, args, kwargs = operation
    if type(target) is list:
        target = _value(target, results)
        if type(target) is not list or target[0] != Tag.REF:
            raise ProtocolError("an operation on an earlier result that is no object of the host")
        target = target[1]
    if type(args) is list:
        args = [_value(item, results) for item in args]
    if type(kwargs) is dict:
        kwargs = {name: _value(item, results) for name, item in kwargs.items()}
    return verb, target, member, args, kwargs


def _value(wire: Any, results: list[Any], depth: int = 0) -> Any:
    if type(wire) is not list or not wire or depth > _DEPTH:
        return wire
    if wire[0] == RESULT_TAG and len(wire) == 2:
        return _earlier(results, wire[1])
    if wire[0] in NESTED:
        return [wire[0], *[_value(item, results, depth + 1) for item in wire[1:]]]
    return wire


_DEPTH: Final = 40
