"""The MCP server: tools and resources over the sessions of a roster."""

from __future__ import annotations

import asyncio
import copy
from collections import OrderedDict
from collections.abc import Callable
from typing import Any, Final
from urllib.parse import quote, unquote

from mcp import MCPError
from mcp.server import Server
from mcp_types import (
    INVALID_PARAMS,
    CallToolRequestParams,
    CallToolResult,
    ListResourcesResult,
    ListResourceTemplatesResult,
    ListToolsResult,
    PaginatedRequestParams,
    ReadResourceRequestParams,
    ReadResourceResult,
    Resource,
    ResourceTemplate,
    TextResourceContents,
)

from proxyplane.errors import ProxyPlaneError
from proxyplane.remote import Busy, Lanes
from proxyplane.transport.http.problems import Problem, of_error
from proxyplane.transport.http.roster import Roster, Seat
from proxyplane.transport.http.tokens import Principal
from proxyplane.transport.mcp import tools
from proxyplane.transport.mcp.answers import Answer, document, failed, fault, plain, result, rpc_error
from proxyplane.transport.mcp.errands import Errand, Errands
from proxyplane.transport.mcp.tools import STATUS, TOOLS, Kind, Place

__all__ = ["ANSWER_SECONDS", "Plane"]

ANSWER_SECONDS: Final = 25.0
"""After which a call is answered with a ticket: clients give up after a minute, some after half of one."""
WAY: Final = "mcp"
"""`via` in the records of what the tools look at."""
_SCHEME: Final = "proxyplane://"
_INSTRUCTIONS: Final = (
    "Objects that stay with a host: every touch is decided by a policy and recorded. Look first (list_objects, "
    "describe), then write ordinary Python (execute_code): the objects have their names there, and pandas and others "
    "are imported as usual. A refusal names the effect, the rule and what would be allowed: do that, do not try the "
    "same again. Where a person has to approve, you get a ticket: ask request_approval_status for it."
)


class Plane:
    """What MCP clients reach of one plane.

    Args:
        roster: the sessions.
        principal: who asks, by the request's context.
        answer_seconds: see `ANSWER_SECONDS`.
    """

    def __init__(
        self, roster: Roster, principal: Callable[[Any], Principal], *, answer_seconds: float = ANSWER_SECONDS
    ) -> None:
        self._roster = roster
        self._principal = principal
        self._bound = answer_seconds
        self._errands = Errands()
        self._places: dict[str, Place] = {}

    def server(self, version: str) -> Server[Any]:
        """A server for the SDK's transports."""
        made: Server[Any] = Server(
            "proxyplane",
            version=version,
            instructions=_INSTRUCTIONS,
            on_list_tools=self._list_tools,
            on_call_tool=self._call_tool,
            on_list_resources=self._list_resources,
            on_list_resource_templates=self._list_templates,
            on_read_resource=self._read_resource,
        )
        made.middleware.clear()  # no traces go anywhere but into the log
        return made

    def close(self) -> None:
        """End what goes on."""
        self._errands.close()

    # Tools

    async def _list_tools(self, context: Any, params: PaginatedRequestParams | None) -> ListToolsResult:
        return ListToolsResult(tools=tools.listing())

    async def _call_tool(self, context: Any, params: CallToolRequestParams) -> CallToolResult:
        kind = TOOLS.get(params.name)
        if kind is None:
            raise MCPError(INVALID_PARAMS, f"there is no such tool; tools: {', '.join(TOOLS)}")
        try:
            given = tools.arguments(kind, params.arguments)
            principal = self._principal(context)
            if kind.name == STATUS:
                return result(await self._status(principal, given))
            if kind.perform is None:
                return result(await self._sessions(principal))
            return result(await self._perform(principal, kind, given))
        except Problem as problem:
            return result(failed(problem))
        except (ProxyPlaneError, Busy) as error:
            return result(failed(of_error(error)))
        except MCPError:
            raise
        except Exception as error:
            return result(failed(fault(error)))

    async def _perform(self, principal: Principal, kind: Kind, given: Any) -> Answer:
        place = await self._place(principal, given.session)
        if kind.name != "list_objects":  # it waits for nothing
            self._errands.check_free(principal.name, place.seat.session.id)
        errand = self._errands.begin(
            principal.name, place.base, kind.name, lambda errand: tools.performed(place, kind, given, errand)
        )
        wanted = getattr(given, "wait", None)
        return await self._answer(errand, self._bound if wanted is None else wanted)

    async def _answer(self, errand: Errand, seconds: float) -> Answer:
        answer = await self._errands.answer(errand, min(seconds, self._bound))
        if answer is None:
            told = errand.told()
            return Answer(_pending(told), told)
        if not errand.ticketed:
            return answer
        return answer._replace(data={**answer.data, "ticket": errand.ticket, "state": "done"})

    async def _status(self, principal: Principal, given: tools.Status) -> Answer:
        if given.ticket is None:
            return document({"tickets": [errand.told() for errand in self._errands.of(principal.name)]})
        return await self._answer(self._errands.find(principal.name, given.ticket), given.wait)

    async def _sessions(self, principal: Principal) -> Answer:
        await asyncio.to_thread(self._roster.first, principal)
        return document({"sessions": [seat.described() for seat in self._roster.of(principal.name)]})

    async def _place(self, principal: Principal, session: str | None) -> Place:
        """The session that a call is about.

        Raises:
            Problem: there is no such session of this principal.
        """
        if session is None:
            seat = await asyncio.to_thread(self._roster.first, principal)
        else:
            seat = self._found(principal, session)
        seat.used = self._roster.plane.clock.mono()
        place = self._places.get(seat.session.id)
        if place is None:
            self._places = {key: one for key, one in self._places.items() if not one.seat.session.closed}
            place = self._places[seat.session.id] = Place(_own(seat), seat, self._roster.rules, OrderedDict())
        return place

    def _found(self, principal: Principal, session: str) -> Seat:
        try:
            return self._roster.find(principal, session)
        except Problem as problem:
            text = "this session has ended" if problem.status == 410 else "there is no session of yours with this id"
            raise Problem(problem.status, problem.code, text, hint="list_sessions shows yours") from None

    # Resources: the policy as the agent sees it

    async def _list_resources(self, context: Any, params: PaginatedRequestParams | None) -> ListResourcesResult:
        principal = self._principal(context)
        await asyncio.to_thread(self._roster.first, principal)
        found = []
        for seat in self._roster.of(principal.name):
            uri, told = f"{_SCHEME}{seat.session.id}/policy", "What you may do here: objects, modules, isolation."
            found.append(Resource(uri=uri, name="policy", description=told, mime_type="text/plain"))
            for name in sorted(seat.session.grants.objects):
                uri = f"{_SCHEME}{seat.session.id}/objects/{quote(name, safe='')}"
                told = f"What you may use of {name}, as a Python stub file; what is refused, and why, at its end."
                found.append(Resource(uri=uri, name=plain(name), description=plain(told), mime_type="text/x-python"))
        return ListResourcesResult(resources=found)

    async def _list_templates(self, context: Any, params: PaginatedRequestParams | None) -> ListResourceTemplatesResult:
        template = ResourceTemplate(
            uri_template=f"{_SCHEME}{{session}}/objects/{{name}}",
            name="rights",
            description="What you may use of an object, or of a variable of yours that stands for one.",
            mime_type="text/x-python",
        )
        return ListResourceTemplatesResult(resource_templates=[template])

    async def _read_resource(self, context: Any, params: ReadResourceRequestParams) -> ReadResourceResult:
        try:
            session, name = _parts(str(params.uri))
            place = await self._place(self._principal(context), session)
            self._errands.check_free(place.base.owner, session)
            text = await self._read(place, name)
        except Problem as problem:
            raise rpc_error(problem) from None
        except (ProxyPlaneError, Busy) as error:
            raise rpc_error(of_error(error)) from None
        kind = "text/plain" if name is None else "text/x-python"
        contents = TextResourceContents(uri=str(params.uri), text=plain(text), mime_type=kind)
        return ReadResourceResult(contents=[contents])

    async def _read(self, place: Place, name: str | None) -> str:
        caught: list[Problem] = []

        def perform(errand: Errand) -> Answer:
            try:
                with place.seat.lanes.turn(place.rules.wait_seconds):
                    errand.enter()
                    return tools.policy(place) if name is None else tools.stubs(place, name)
            except Problem as problem:
                caught.append(problem)
            except (ProxyPlaneError, Busy) as error:
                caught.append(of_error(error))
            except Exception as error:
                caught.append(fault(error))
            return Answer("", {}, error=True)

        errand = self._errands.begin(place.base.owner, place.base, "resources/read", perform)
        answer = await self._errands.answer(errand, self._bound)
        if caught:
            raise caught[0]
        if answer is None:
            errand.abandon()
            raise Problem(408, "approval_timed_out", "a person has to approve this, and has not; use the tool describe")
        return answer.text


def _own(seat: Seat) -> Seat:
    """The same session, with references of this protocol's clients alone."""
    own = copy.copy(seat)
    own.lanes = Lanes(seat.session, WAY)
    return own


def _parts(uri: str) -> tuple[str, str | None]:
    """Session and object of a resource; no object for the policy of the whole session.

    Raises:
        Problem: it is no resource of this server.
    """
    if uri.startswith(_SCHEME):
        match uri.removeprefix(_SCHEME).split("/"):
            case [session, "policy"]:
                return session, None
            case [session, "objects", name]:
                return session, unquote(name)
    raise Problem(404, "unknown_resource", "there is no such resource; resources/list names them")


def _pending(told: dict[str, Any]) -> str:
    """What the model reads in place of an answer."""
    lines = [f"Not done yet: {told['tool']} is {told['state']} (ticket {told['ticket']})."]
    for asked in told["approvals"]:
        reason = f" ({asked['reason']})" if asked["reason"] else ""
        rules = ", ".join(asked["rules"])
        lines.append(f"A person is asked about {asked['effect']}, by rule {rules}{reason}: {asked['consequence']}")
        lines.append(
            f"  approval {asked['id']}: {asked['state']}; nobody's answer within {asked['seconds']:g} s is a no"
        )
    lines.append(f'Ask {STATUS}(ticket="{told["ticket"]}", wait=20) for the answer. It goes on meanwhile.')
    return "\n".join(lines)
