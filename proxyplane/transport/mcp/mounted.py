"""MCP in the HTTP server (streamable HTTP, without sessions of its own): `POST /mcp`, behind the server's guard.

A request is whole in itself, and who asks is whose token it carries: no number of a connection could be another's.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

from mcp.server.streamable_http_manager import StreamableHTTPSessionManager
from starlette.requests import Request
from starlette.routing import Route
from starlette.types import Message, Receive, Scope, Send

from proxyplane.transport.http.problems import Problem, response
from proxyplane.transport.http.tokens import AGENT, Principal
from proxyplane.transport.mcp.server import Plane

if TYPE_CHECKING:
    from proxyplane.transport.http.app import Served

__all__ = ["Mounted"]

_KEY = "proxyplane.principal"


class Mounted:
    """The route, and what lives as long as the application.

    Args:
        served: the sessions, and who may ask.
        version: of this program.
    """

    def __init__(self, served: Served, version: str) -> None:
        self._served = served
        self._plane = Plane(served.roster, _principal)
        self._manager = StreamableHTTPSessionManager(
            self._plane.server(version),
            json_response=True,
            stateless=True,
            max_request_body_size=served.roster.rules.body_bytes,
        )

    def route(self) -> Route:
        """For the application."""
        return Route("/mcp", self, methods=["POST"])

    @asynccontextmanager
    async def living(self) -> AsyncIterator[None]:
        """While the application serves."""
        try:
            async with self._manager.run():
                yield
        finally:
            self._plane.close()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request: judged as every other, then the protocol's."""
        request, guard = Request(scope), self._served.guard
        try:
            principal = guard.allow(request, (AGENT,))
            guard.rates.enter(principal.name)
        except Problem as problem:
            await response(request, problem)(scope, receive, send)
            return
        try:
            scope[_KEY] = principal
            await self._handle(request, scope, receive, send)
        finally:
            guard.rates.leave(principal.name)

    async def _handle(self, request: Request, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer, unless the client goes first, or the server is asked to end: then the call is cancelled."""
        whole, begun = asyncio.Event(), False

        async def hear() -> Message:
            message = await receive()
            if not message.get("more_body", False):
                whole.set()
            return message

        async def say(message: Message) -> None:
            nonlocal begun
            begun = True
            await send(message)

        async def gone() -> None:
            await whole.wait()
            while (await receive())["type"] != "http.disconnect":
                continue

        answering = asyncio.create_task(self._manager.handle_request(scope, hear, say))
        ends = [asyncio.create_task(gone()), asyncio.create_task(self._served.stopping.wait())]
        try:
            await asyncio.wait({answering, *ends}, return_when=asyncio.FIRST_COMPLETED)
            if answering.done() or begun:
                await answering
                return
        finally:
            for task in (answering, *ends):
                task.cancel()
            await asyncio.gather(answering, *ends, return_exceptions=True)
        if not ends[0].done() or ends[0].cancelled():
            await response(request, Problem(503, "stopping", "the server is ending"))(scope, receive, send)


def _principal(context: Any) -> Principal:
    """Who asks: what the guard found of this very request."""
    found = context.request.scope[_KEY]
    assert isinstance(found, Principal)
    return found
