"""What the tools do. Each is a function of a session, its arguments and its errand, and runs in a thread."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from typing import Any, Final, NamedTuple

from mcp_types import Tool, ToolAnnotations
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from proxyplane import rights
from proxyplane.errors import ProxyPlaneError, UnknownObject
from proxyplane.objects import Held
from proxyplane.remote import Busy, Lane
from proxyplane.shelf import granted
from proxyplane.transport.http import running, work
from proxyplane.transport.http.problems import Problem, of_error
from proxyplane.transport.http.roster import Rules, Seat
from proxyplane.transport.mcp.answers import Answer, document, failed, fault, ran
from proxyplane.transport.mcp.errands import RUN, Errand

__all__ = [
    "STATUS",
    "TOOLS",
    "Kind",
    "Place",
    "Status",
    "arguments",
    "listing",
    "outline",
    "performed",
    "policy",
    "stubs",
]

_NAMES_TOLD: Final = 40
"""Names of members in one line of an outline."""
_REFERENCES: Final = 256
"""References of a session that clients of this protocol hold; the oldest is given back for the next."""


class Place(NamedTuple):
    """Where a tool works: a session, what is held in it for its client, and the limits."""

    seat: Seat
    """With references of this protocol's clients alone."""
    base: Seat
    """As the roster has it: it knows when the session is used."""
    rules: Rules
    held: OrderedDict[str, None]
    """Handles that answers named, the oldest first."""

    @property
    def lane(self) -> Lane:
        """The client's references."""
        return self.seat.lanes.plain


class _Arguments(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)


class _OfSession(_Arguments):
    session: str | None = Field(None, max_length=64, description="Its id (list_sessions); by default your first one.")


class Objects(_OfSession):
    """`list_objects`."""


class Describe(_OfSession):
    """`describe`."""

    name: str = Field(max_length=512, description="A name that list_objects shows, or the number of a $ref.")
    members: list[str] = Field(
        default_factory=list, max_length=100, description="Members of which effects, verdict and rule are wanted."
    )


class ListAttrs(_OfSession):
    """`list_attrs`."""

    name: str = Field(max_length=512, description="A name that list_objects shows, or the number of a $ref.")
    match: str = Field("", max_length=200, description="Only names that begin so.")
    offset: int = Field(0, ge=0, le=1 << 31)
    limit: int = Field(200, ge=1, le=1000)


class GetAttr(_OfSession):
    """`get_attr`."""

    name: str = Field(max_length=512, description="A name that list_objects shows, or the number of a $ref.")
    attribute: str = Field(max_length=512, description="One of list_attrs; for a method, run code that calls it.")


class Execute(_OfSession):
    """`execute_code`."""

    code: str = Field(max_length=1 << 20, description="Python. Names persist between calls.")
    timeout: float | None = Field(None, gt=0, description="Seconds of run time, without the wait for a person.")
    wait: float | None = Field(None, ge=0, description="Seconds until you get a ticket instead of the answer.")


class Status(_Arguments):
    """`request_approval_status`."""

    ticket: str | None = Field(None, max_length=64, description="By default all of yours are listed.")
    wait: float = Field(0, ge=0, description="Seconds to wait for the answer, within the server's bound.")


class Sessions(_Arguments):
    """`list_sessions`."""


class Kind(NamedTuple):
    """One tool."""

    name: str
    description: str
    model: type[BaseModel]
    perform: Callable[[Place, Any, Errand], Answer] | None
    """None: it is about the server and not about one session."""
    looks: bool = True
    """It changes nothing."""


def _objects(place: Place, given: Objects, errand: Errand) -> Answer:
    found = {"session": place.seat.session.id, "objects": work.listed(place.seat)}
    return document(found)


def _describe(place: Place, given: Describe, errand: Errand) -> Answer:
    told, _ = work.described(place.seat, given.name, None, place.rules.wait_seconds)
    members = told.pop("members")
    told["members"] = outline(members)
    if given.members:
        absent = {"verdict": "deny", "why": "there is no such member, or the catalog does not have it"}
        told["asked"] = {name: members.get(name, absent) for name in given.members}
    return document(told)


def outline(members: dict[str, Any]) -> dict[str, Any]:
    """Members by verdict: how many are allowed; who must approve, or why it is refused, joined by the reason."""
    found: dict[str, Any] = {"allowed": 0, "ask": {}, "refused": {}}
    for name, member in sorted(members.items()):
        if member["verdict"] == "allow":
            found["allowed"] += 1
        else:
            found["ask" if member["verdict"] == "ask" else "refused"].setdefault(member["why"], []).append(name)
    for reasons in (found["ask"], found["refused"]):
        for why, names in reasons.items():
            if len(names) > _NAMES_TOLD:
                reasons[why] = [*names[:_NAMES_TOLD], f"... and {len(names) - _NAMES_TOLD} more"]
    return found


def _list_attrs(place: Place, given: ListAttrs, errand: Errand) -> Answer:
    wait = place.rules.wait_seconds
    found, _ = work.attributes(
        place.seat, given.name, None, wait, offset=given.offset, limit=given.limit, wanted=given.match
    )
    return document(found)


def _get_attr(place: Place, given: GetAttr, errand: Errand) -> Answer:
    found, _ = work.attribute(place.seat, given.name, given.attribute, None, place.rules.wait_seconds)
    _hold(place, found["value"])
    return document(found)


def _hold(place: Place, value: Any) -> None:
    """Remember the references of an answer, and give the oldest back where there are too many."""
    pending = [value]
    while pending:
        item = pending.pop()
        if isinstance(item, dict):
            if isinstance(item.get("$ref"), int):
                place.held[str(item["$ref"])] = None
                place.held.move_to_end(str(item["$ref"]))
            pending += item.values()
        elif isinstance(item, list):
            pending += item
    while len(place.held) > _REFERENCES:
        oldest, _ = place.held.popitem(last=False)
        try:
            work.release(place.seat, oldest, place.rules.wait_seconds)
        except UnknownObject:
            continue


def _execute(place: Place, given: Execute, errand: Errand) -> Answer:
    rules = place.rules
    timeout = min(given.timeout or rules.run_seconds, rules.longest_run_seconds)
    parts: dict[str, list[Any]] = {"stdout": [], "stderr": [], "display": []}
    told: dict[str, Any] = {}

    def emit(event: running.Event) -> None:
        if event[0] in parts:
            parts[event[0]].append(event[1]["data"])
        elif event[0] == "done":
            told.update(event[1])

    running.perform(place.seat, given.code, timeout, rules.wait_seconds, emit)
    told["session"] = place.seat.session.id
    return ran(told, "".join(parts["stdout"]), "".join(parts["stderr"]), parts["display"])


STATUS: Final = "request_approval_status"
_KINDS: Final = (
    Kind("list_sessions", "Your sessions: id, isolation, state, names of their objects.", Sessions, None),
    Kind("list_objects", "A session's objects, and variables of yours that stand for objects.", Objects, _objects),
    Kind(
        "describe",
        "What an object is: type, version, schema; how many members you may use, which a person must approve, which "
        "are refused and why. Begin here.",
        Describe,
        _describe,
    ),
    Kind("list_attrs", "An object's members and columns that you could use, a page of them.", ListAttrs, _list_attrs),
    Kind(
        "get_attr",
        "One attribute: its value, or {'$ref': number} for an object that stays with the host; the number serves as a "
        "name.",
        GetAttr,
        _get_attr,
    ),
    Kind(
        RUN,
        "Run Python in a session, as in a REPL: what it prints, the last expression, or the error. The objects are "
        "there under their names. A refusal says which effect, by which rule, and what would be allowed.",
        Execute,
        _execute,
        looks=False,
    ),
    Kind(
        STATUS,
        "Where a ticket stands (waiting for a person, running, done), and its answer once it is done.",
        Status,
        None,
    ),
)
TOOLS: Final = {kind.name: kind for kind in _KINDS}
"""By name."""


def listing() -> list[Tool]:
    """The tools for the SDK."""
    return [
        Tool(
            name=kind.name,
            description=kind.description,
            input_schema=kind.model.model_json_schema(),
            annotations=ToolAnnotations(read_only_hint=kind.looks, open_world_hint=False),
        )
        for kind in TOOLS.values()
    ]


def arguments(kind: Kind, given: dict[str, Any] | None) -> Any:
    """The arguments of a call.

    Raises:
        Problem: they do not fit; the text names the places, and no value.
    """
    try:
        found = kind.model.model_validate(given or {})
    except ValidationError as error:
        faults = [f"{'.'.join(map(str, fault['loc'])) or 'arguments'}: {fault['msg']}" for fault in error.errors()[:5]]
        raise Problem(422, "body", f"{kind.name}: {'; '.join(faults)}") from None
    for name, value in found:
        if isinstance(value, str) and any("\ud800" <= char <= "\udfff" for char in value):
            raise Problem(422, "body", f"{kind.name}: {name}: a text with lone surrogates is no Unicode text")
    return found


def performed(place: Place, kind: Kind, given: Any, errand: Errand) -> Answer:
    """What a tool came to, or why it came to nothing; raises nothing."""
    assert kind.perform is not None
    try:
        if kind.model is Objects:  # it waits for nothing
            return kind.perform(place, given, errand)
        with place.seat.lanes.turn(place.rules.wait_seconds):
            errand.enter()
            return kind.perform(place, given, errand)
    except Problem as problem:
        return failed(problem)
    except (ProxyPlaneError, Busy) as error:
        return failed(of_error(error))
    except Exception as error:
        if place.seat.session.closed:
            return failed(Problem(410, "expired", "this session has ended"))
        return failed(fault(error))


def policy(place: Place) -> Answer:
    """The policy as this session's agent sees it: isolation, modules, and what may be done with each object."""
    session = place.seat.session
    modules = session.plane.policy.modules
    lines = [f"agent {session.agent}, session {session.id}: {session.tier} guest, {session.plane.host_tier} host"]
    lines += [f"modules of the host: {', '.join(granted(modules.host)) or 'none'}"]
    for name in sorted(session.grants.objects):
        try:
            told, _ = work.described(place.seat, name, None, place.rules.wait_seconds)
        except ProxyPlaneError as error:
            lines.append(f"{name}: {error}")
            continue
        found = outline(told["members"])
        lines.append(f"{name} ({told['type']}): {found['allowed']} members are allowed")
        lines += [f"  a person is asked: {', '.join(names)}: {why}" for why, names in found["ask"].items()]
        lines += [f"  refused: {', '.join(names)}: {why}" for why, names in found["refused"].items()]
    lines.append("arguments and amounts count too: a refusal says what it was that the policy does not allow")
    return Answer("\n".join(lines), {})


def stubs(place: Place, name: str) -> Answer:
    """A stub file of what may be used of an object: the policy as the agent sees it. Within a turn."""
    held: Held = place.lane.find(name)
    place.lane.explore("describe", held)
    return Answer(rights.stub_text(place.seat.session, held), {})
