"""For agents that speak to notebooks already: the routes that their scripts ask, answered from proxyplane's sessions.

`GET /api/sessions` and `POST /api/kernel/execute` are what `marimo pair` and the scripts of its skill ask;
`/notebooks/cells` is the interface of bridges to notebook editors. The notebook is the session's own list of cells.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Any

from starlette.requests import Request
from starlette.responses import Response

from proxyplane.transport.http import running
from proxyplane.transport.http.media import answer
from proxyplane.transport.http.models import CodeRun, Create, checked
from proxyplane.transport.http.notebook import Cell
from proxyplane.transport.http.openapi import ToldRoute
from proxyplane.transport.http.problems import Problem
from proxyplane.transport.http.roster import Seat
from proxyplane.transport.http.tokens import AGENT, Principal

if TYPE_CHECKING:
    from proxyplane.transport.http.app import Served

__all__ = ["DropIn"]

_HEADERS = ("Marimo-Session-Id", "Marimo-Stable-Session-Id")


class DropIn:
    """The endpoints.

    Args:
        served: what they work on.
    """

    def __init__(self, served: Served) -> None:
        self._served = served
        self._roster = served.roster

    def routes(self) -> list[ToldRoute]:
        """All routes."""
        route, agent, cells = self._served.route, (AGENT,), "/notebooks/cells"
        return [
            route("/api/sessions", self.sessions, agent),
            route("/api/kernel/execute", self.execute, agent, "POST"),
            route(cells, self.cells, agent),
            route(cells, self.create, agent, "POST"),
            route(f"{cells}/{{n}}", self.edit, agent, "PATCH"),
            route(f"{cells}/{{n}}", self.delete, agent, "DELETE"),
            route(f"{cells}/{{n}}/run", self.run, agent, "POST"),
        ]

    async def sessions(self, request: Request, principal: Principal) -> Response:
        """The principal's sessions as notebooks; one is opened where there is none."""
        await self._served.blocking(self._roster.first, principal)
        found = {}
        for seat in self._roster.of(principal.name):
            path = seat.notebook.path
            found[seat.session.id] = {"session_id": seat.session.id, "filename": path, "path": path}
        return answer(request, found)

    def _named(self, request: Request, principal: Principal) -> Seat:
        """The session of the headers; what is wrong is said in the words that scripts look for."""
        plain, stable = (request.headers.get(name) for name in _HEADERS)
        given = plain if plain is not None else stable
        if given is None:
            raise Problem(400, "session", "Missing Marimo-Session-Id header")
        try:
            return self._roster.find(principal, given)
        except Problem as problem:
            kind = "session id" if plain is not None else "stable session id"
            ended = " (it has ended)" if problem.status == 410 else ""
            raise Problem(problem.status, "session", f"Invalid {kind}: {shown(given)}{ended}") from None

    async def execute(self, request: Request, principal: Principal) -> Response:
        """Run code in a session; the stream that notebook clients read."""
        seat = self._named(request, principal)
        wanted = checked(CodeRun, await self._served.guard.body(request, lenient=True))
        rules = self._roster.rules
        found = running.events(
            seat, wanted.code, rules.longest_run_seconds, rules.wait_seconds, workers=self._served.workers
        )
        return running.stream(spoken(found))

    # Cells

    def _notebook(self, request: Request, principal: Principal, named: str | None = None) -> Seat:
        """The session of a notebook: its path or the session's id.

        Raises:
            Problem: there is none (404), or none was named and there are several (400).
        """
        wanted = named if named is not None else request.query_params.get("notebook")
        mine = self._roster.of(principal.name)
        if wanted is None:
            if len(mine) == 1:
                return mine[0]
            raise Problem(400, "notebook", "missing notebook; GET /api/sessions lists them", ok=False)
        for seat in mine:
            if wanted in (seat.session.id, seat.notebook.path, f"file://{seat.notebook.path}"):
                seat.used = seat.session.plane.clock.mono()
                return seat
        text = f"notebook not found: {shown(wanted)} (GET /api/sessions lists yours)"
        raise Problem(404, "notebook", text, ok=False)

    @staticmethod
    def _index(request: Request, seat: Seat) -> int:
        """The cell of the path.

        Raises:
            Problem: it is no number (400), or there is no such cell (404).
        """
        text, total = request.path_params["n"], len(seat.notebook.cells)
        if not text.isascii() or not text.isdigit() or len(text) > 9:
            raise Problem(400, "cell", "a cell is named by its number, from 0", ok=False)
        if int(text) >= total:
            detail = f"cell index {int(text)} out of bounds (cellCount={total})"
            raise Problem(404, "cell", detail, ok=False, error=detail)
        return int(text)

    async def _code(self, request: Request, model: Any) -> Any:
        content = await self._served.guard.body(request, lenient=True)
        if type(content) is not dict or type(content.get("code")) is not str:
            detail = "missing body.code (string) - refusing to wipe cell"
            if request.method != "PATCH":
                detail = "missing body.code (string)"
            raise Problem(400, "cell", detail, ok=False, error=detail)
        return checked(model, content)

    async def cells(self, request: Request, principal: Principal) -> Response:
        """All cells of a notebook."""
        seat = self._notebook(request, principal)
        told = [cell.described(index) for index, cell in enumerate(seat.notebook.cells)]
        result = {"notebookUri": seat.notebook.path, "cellCount": len(told), "cells": told}
        return answer(request, {"ok": True, "result": result})

    async def create(self, request: Request, principal: Principal) -> Response:
        """A new cell, which does not run yet."""
        wanted = await self._code(request, Create)
        seat = self._notebook(request, principal, wanted.notebookUri)
        total = len(seat.notebook.cells)
        if wanted.index is not None and wanted.index > total:
            detail = f"cell index {wanted.index} out of bounds (cellCount={total})"
            raise Problem(404, "cell", detail, ok=False, error=detail)
        try:
            index = seat.notebook.add(Cell(wanted.code), wanted.index)
        except ValueError as error:
            raise Problem(422, "cell", str(error), ok=False) from None
        return answer(request, {"ok": True, "result": {"index": index, "cellCount": len(seat.notebook.cells)}})

    async def edit(self, request: Request, principal: Principal) -> Response:
        """Other code for a cell."""
        wanted = await self._code(request, CodeRun)
        seat = self._notebook(request, principal)
        index = self._index(request, seat)
        seat.notebook.put(index, Cell(wanted.code))
        return answer(request, {"ok": True, "result": {"index": index, "cellCount": len(seat.notebook.cells)}})

    async def delete(self, request: Request, principal: Principal) -> Response:
        """Without a cell."""
        seat = self._notebook(request, principal)
        index = self._index(request, seat)
        seat.notebook.drop(index)
        return answer(request, {"ok": True, "result": {"index": index, "cellCount": len(seat.notebook.cells)}})

    async def run(self, request: Request, principal: Principal) -> Response:
        """Run a cell, and give it as it is then."""
        seat = self._notebook(request, principal)
        index = self._index(request, seat)
        rules, code = self._roster.rules, seat.notebook.cells[index].code
        found = running.events(seat, code, rules.run_seconds, rules.wait_seconds, index, workers=self._served.workers)
        async for event in found:
            if event is not None and event[0] == "error":
                raise Problem(event[1]["status"], event[1]["code"], event[1]["detail"], ok=False)
        return answer(request, {"ok": True, "result": seat.notebook.cells[index].described(index)})


async def spoken(found: AsyncIterator[running.Event | None]) -> AsyncIterator[running.Event | None]:
    """The events of a run in the words of the notebook's protocol."""
    try:
        async for event in found:
            if event is None or event[0] in ("stdout", "stderr"):
                yield event
            elif event[0] == "approval-pending":
                text = f"proxyplane: waiting for a person: {event[1]['consequence']} (approval {event[1]['id']})\n"
                yield "stderr", {"data": text}
            elif event[0] == "error":
                yield "stderr", {"data": f"{event[1]['detail']}\n"}
                yield "done", failed()
            elif event[0] == "done" and event[1]["ok"]:
                yield "done", {"success": True, "output": {"mimetype": "text/plain", "data": event[1]["value"] or ""}}
            elif event[0] == "done":
                yield "stderr", {"data": explained(event[1]["error"])}
                yield "done", failed()
    finally:
        close = getattr(found, "aclose", None)
        if close is not None:
            await close()


def failed() -> dict[str, Any]:
    """The end of a run that did not go well."""
    return {"success": False, "output": {"mimetype": "text/plain", "data": ""}}


def explained(error: dict[str, Any]) -> str:
    """An error as Python prints it, then what decided a refusal and what would be allowed."""
    last = f"{error['type']}: {error['message']}" if error["message"] else error["type"]
    text = (error["traceback"] or "").rstrip("\n")
    if not text.endswith(last):
        text = f"{text}\n{last}".lstrip("\n")
    if error["effect"]:
        by = f"rule {error['rule']}" if error["rule"] else "default: no rule allows it"
        text += f"\n  refused: {error['effect']}, by {by}"
    if error["hint"] and error["hint"] not in text:
        text += f"\n  hint: {error['hint']}"
    return f"{text}\n"


def shown(text: str) -> str:
    """What a client sent, short and without control characters."""
    return "".join(char for char in text[:100] if char.isprintable())
