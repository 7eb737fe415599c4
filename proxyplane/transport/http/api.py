"""The REST interface: sessions, objects, operations, runs, approvals and the log, under `/v1`."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Any, Final

from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response

from proxyplane.approvals import Approval
from proxyplane.transport.http import running, work
from proxyplane.transport.http.logreader import FILTERS, MOST
from proxyplane.transport.http.media import answer
from proxyplane.transport.http.models import Answered, Batch, Code, Open, Operation, Wire, checked
from proxyplane.transport.http.openapi import ToldRoute
from proxyplane.transport.http.problems import Problem
from proxyplane.transport.http.roster import Seat
from proxyplane.transport.http.tokens import AGENT, APPROVER, READER, Principal

if TYPE_CHECKING:
    from proxyplane.transport.http.app import Served

__all__ = ["Api"]

_FOLLOW_SECONDS: Final = 0.25
_PAGE: Final = 200
_OWN_ONLY: Final = ("id", "state", "effect", "reason", "consequence", "seconds", "remember", "rules")
"""What an agent may know of a question of its own; the rest goes to people."""


class Api:
    """The endpoints.

    Args:
        served: what they work on.
    """

    def __init__(self, served: Served) -> None:
        self._served = served
        self._roster = served.roster

    def routes(self) -> list[ToldRoute]:
        """All routes of `/v1`."""
        agent, people = (AGENT,), (APPROVER, READER)
        session = "/v1/sessions/{s}"
        one = f"{session}/objects/{{o}}"
        route = self._served.route
        return [
            route("/v1/sessions", self.sessions, (AGENT, *people)),
            route("/v1/sessions", self.open, agent, "POST"),
            route(session, self.session, agent),
            route(session, self.close, agent, "DELETE"),
            route(f"{session}/notebook", self.notebook, agent),
            route(f"{session}/objects", self.objects, agent),
            route(one, self.release, agent, "DELETE"),
            route(f"{one}/describe", self.describe, agent),
            route(f"{one}/attrs", self.attrs, agent),
            route(f"{one}/attrs/{{name}}", self.attr, agent),
            route(f"{session}/operations", self.operations, agent, "POST"),
            route(f"{session}/run", self.run, agent, "POST"),
            route("/v1/approvals", self.approvals, (AGENT, APPROVER)),
            route("/v1/approvals/{a}", self.approval, (AGENT, APPROVER)),
            route("/v1/approvals/{a}", self.decide, (APPROVER,), "POST"),
            route("/v1/effects", self.effects, people),
            route("/v1/effects/verify", self.verify, people),
            route("/v1/effects/{operation}", self.operation, people),
            route("/v1/effects/{seq:int}/proof", self.proof, people),
        ]

    # Sessions

    async def sessions(self, request: Request, principal: Principal) -> Response:
        """Sessions: an agent's own, for people all."""
        seats = self._roster.of(principal.name) if principal.role == AGENT else self._roster.all()
        return answer(request, {"sessions": [seat.described() for seat in seats]})

    async def open(self, request: Request, principal: Principal) -> Response:
        """Open a session."""
        wanted = checked(Open, await self._served.guard.body(request))
        seat = await self._served.blocking(self._roster.open, principal, wanted.objects)
        return answer(request, seat.described(), 201, headers={"location": f"/v1/sessions/{seat.session.id}"})

    async def session(self, request: Request, principal: Principal) -> Response:
        """One session."""
        return answer(request, self._seat(request, principal).described())

    async def close(self, request: Request, principal: Principal) -> Response:
        """End a session, and what it runs."""
        await self._served.blocking(self._roster.close, self._seat(request, principal))
        return Response(status_code=204)

    async def notebook(self, request: Request, principal: Principal) -> Response:
        """The session's runs as a marimo notebook."""
        return PlainTextResponse(self._seat(request, principal).notebook.text(), headers={"cache-control": "no-store"})

    def _seat(self, request: Request, principal: Principal) -> Seat:
        return self._roster.find(principal, request.path_params["s"])

    # Objects

    async def objects(self, request: Request, principal: Principal) -> Response:
        """What the session has."""
        return answer(request, {"objects": work.listed(self._seat(request, principal))})

    async def release(self, request: Request, principal: Principal) -> Response:
        """Give a reference back."""
        seat = self._seat(request, principal)
        await self._served.blocking(work.release, seat, request.path_params["o"], self._wait, seat=seat)
        return Response(status_code=204)

    async def describe(self, request: Request, principal: Principal) -> Response:
        """What an object is, and what may be done with it."""
        return await self._of_object(request, principal, work.described)

    async def attrs(self, request: Request, principal: Principal) -> Response:
        """A page of the names that the agent may use."""
        offset, limit = number(request, "offset", 0, 1 << 31), number(request, "limit", 100, 1000)
        wanted = request.query_params.get("match", "")
        return await self._of_object(request, principal, work.attributes, offset=offset, limit=limit, wanted=wanted)

    async def attr(self, request: Request, principal: Principal) -> Response:
        """One attribute's value, or a reference to it."""
        seat, match = self._seat(request, principal), request.headers.get("if-match")
        key, name = request.path_params["o"], request.path_params["name"]
        found, tag = await self._served.blocking(work.attribute, seat, key, name, match, self._wait, seat=seat)
        return answer(request, found, headers={"etag": tag})

    async def _of_object(self, request: Request, principal: Principal, ask: Any, **more: Any) -> Response:
        seat, match = self._seat(request, principal), request.headers.get("if-match")
        key = request.path_params["o"]
        found, tag = await self._served.blocking(ask, seat, key, match, self._wait, seat=seat, **more)
        return answer(request, found, headers={"etag": tag})

    @property
    def _wait(self) -> float:
        return self._roster.rules.wait_seconds

    # Operations and runs

    async def operations(self, request: Request, principal: Principal) -> Response:
        """One operation, or several in order."""
        seat, match = self._seat(request, principal), request.headers.get("if-match")
        content = await self._served.guard.body(request)
        most = self._roster.rules.batch
        if type(content) is dict and content.get("form") == "wire":
            wire = checked(Wire, content)
            spoken = await self._served.blocking(work.spoken, seat, wire, match, self._wait, most, seat=seat)
            return answer(request, spoken)
        single = type(content) is dict and "operations" not in content
        batch = Batch(operations=[checked(Operation, content)], results="all") if single else checked(Batch, content)
        found = await self._served.blocking(work.operate, seat, batch, match, self._wait, most, seat=seat)
        if single:
            shown = {"display": found["display"]} if "display" in found else {}
            found = {"result": found["results"][0], **shown}
        return answer(request, found)

    async def run(self, request: Request, principal: Principal) -> Response:
        """Run code: a stream of events, or with `Accept: application/json` all of them at the end."""
        seat = self._seat(request, principal)
        wanted = checked(Code, await self._served.guard.body(request))
        rules = self._roster.rules
        timeout = min(wanted.timeout or rules.run_seconds, rules.longest_run_seconds)
        found = running.events(seat, wanted.code, timeout, self._wait, workers=self._served.workers)
        accepted = request.headers.get("accept", "*/*")
        if "text/event-stream" in accepted or "*/*" in accepted:
            return running.stream(found)
        streams: dict[str, list[Any]] = {"stdout": [], "stderr": [], "display": []}
        last: dict[str, Any] = {}
        async for event in found:
            if event is not None and event[0] in streams:
                streams[event[0]].append(event[1]["data"])
            elif event is not None and event[0] == "error":
                raise Problem(event[1]["status"], event[1]["code"], event[1]["detail"])
            elif event is not None:
                last = event[1]
        texts = {name: "".join(streams[name]) for name in ("stdout", "stderr")}
        return answer(request, {**last, **texts, "display": streams["display"]})

    # Approvals

    def _asked(self, principal: Principal, approval: Approval) -> dict[str, Any] | None:
        described = json.loads(json.dumps(approval.described(), default=str))
        if principal.role == APPROVER:
            return dict(described)
        mine = approval.question.session in {seat.session.id for seat in self._roster.of(principal.name)}
        return {name: described[name] for name in _OWN_ONLY if name in described} if mine else None

    async def approvals(self, request: Request, principal: Principal) -> Response:
        """Questions that wait for a person; an agent sees its own, with `state=all` also answered ones."""
        approvals = self._roster.plane.approvals
        chosen = approvals.all() if request.query_params.get("state") == "all" else approvals.pending()
        told = [self._asked(principal, approval) for approval in chosen]
        return answer(request, {"approvals": [each for each in told if each is not None]})

    async def approval(self, request: Request, principal: Principal) -> Response:
        """Where one question stands."""
        try:
            told = self._asked(principal, self._roster.plane.approvals.find(request.path_params["a"]))
        except LookupError:
            told = None
        if told is None:
            raise Problem(404, "unknown_approval", "there is no such question (GET /v1/approvals lists them)")
        return answer(request, told)

    async def decide(self, request: Request, principal: Principal) -> Response:
        """Answer a question; who answers is whose token it is."""
        said = checked(Answered, await self._served.guard.body(request))
        approvals, identifier = self._roster.plane.approvals, request.path_params["a"]
        try:
            if said.decision == "approve":
                approval = approvals.approve(identifier, by=principal.name, scope=said.scope)
            else:
                approval = approvals.deny(identifier, by=principal.name, note=said.note)
        except LookupError as error:
            known = {each.id for each in approvals.all()}
            raise Problem(409 if identifier in known else 404, "unknown_approval", str(error.args[0])) from None
        except ValueError as error:
            raise Problem(422, "approval", str(error)) from None
        wanted = list(approval.wanted) if approval.answer is None else []
        return answer(request, {"id": approval.id, "state": approval.state, "wanted": wanted})

    # The log

    def _log(self) -> Any:
        if self._served.effects is None:
            raise Problem(503, "audit", "this server's log is in memory, and cannot be read from outside")
        return self._served.effects

    async def effects(self, request: Request, principal: Principal) -> Response:
        """Records of the log: a page, or with `Accept: text/event-stream` those to come too."""
        log = self._log()
        wanted = filters(request)
        after, limit = number(request, "after", -1, 1 << 62), number(request, "limit", _PAGE, MOST)
        if "text/event-stream" in request.headers.get("accept", ""):
            return running.stream(self._follow(log, wanted, after))
        found = await self._served.blocking(log.ask, "query", wanted=wanted, after=after, limit=limit)
        records = [json.loads(line) for line in found["records"]]
        return answer(request, {"records": records, "next": found["last"] if len(records) == limit else None})

    async def _follow(self, log: Any, wanted: dict[str, Any], after: int) -> AsyncIterator[running.Event | None]:
        while not self._served.stopping.is_set():
            found = await self._served.blocking(log.ask, "query", wanted=wanted, after=after, limit=_PAGE)
            for line in found["records"]:
                record = json.loads(line)
                wanted = {**wanted, "since": max(int(wanted.get("since", 0)), record.get("time", 0) - 1_000_000_000)}
                yield "record", record
            after = found["last"]
            if not found["records"]:
                yield None
                await asyncio.sleep(_FOLLOW_SECONDS)

    async def operation(self, request: Request, principal: Principal) -> Response:
        """All records of one operation."""
        asked = request.path_params["operation"]
        found = await self._served.blocking(self._log().ask, "operation", operation=asked)
        if not found["records"]:
            raise Problem(404, "unknown_operation", "the log has no such operation")
        return answer(request, {"records": [json.loads(line) for line in found["records"]]})

    async def verify(self, request: Request, principal: Principal) -> Response:
        """Whether the log is whole."""
        return answer(request, await self._served.blocking(self._log().ask, "verify"))

    async def proof(self, request: Request, principal: Principal) -> Response:
        """A record with the proof that it is in the log (C2SP tlog-proof)."""
        found = await self._served.blocking(self._log().ask, "prove", seq=request.path_params["seq"])
        return PlainTextResponse(found["proof"], headers={"cache-control": "no-store"})


def number(request: Request, name: str, default: int, most: int) -> int:
    """A number of the query string.

    Raises:
        Problem: it is none, or out of bounds.
    """
    text = request.query_params.get(name)
    if text is None:
        return default
    if not text.isascii() or not text.isdigit() or len(text) > 20 or int(text) > most:
        raise Problem(422, "query", f"{name} is a number from 0 to {most}")
    return int(text)


def filters(request: Request) -> dict[str, Any]:
    """Filters of the log in the query string (`docs/audit-format.md`).

    Raises:
        Problem: one that does not exist, or no number where one is needed.
    """
    found: dict[str, Any] = {}
    for name, value in request.query_params.items():
        if name in ("after", "limit"):
            continue
        if name not in FILTERS:
            raise Problem(422, "query", f"there is no such filter; filters: {', '.join(sorted(FILTERS))}, after, limit")
        found[name] = number(request, name, 0, 1 << 62) if FILTERS[name] == "int" else value
    return found
