"""The application: routes behind the guard, errors as problems, and what ends with the server."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import importlib.util
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from proxyplane.errors import ProxyPlaneError
from proxyplane.remote import Busy
from proxyplane.transport.http import openapi
from proxyplane.transport.http.api import Api
from proxyplane.transport.http.dropin import DropIn
from proxyplane.transport.http.effects import Effects
from proxyplane.transport.http.guard import Guard
from proxyplane.transport.http.media import answer
from proxyplane.transport.http.openapi import ToldRoute
from proxyplane.transport.http.problems import Problem, of_error, response
from proxyplane.transport.http.roster import Roster, Seat
from proxyplane.transport.http.tokens import Principal

__all__ = ["Served", "application"]

_SWEEP_SECONDS: Final = 5.0
_WORKERS: Final = 256
"""Threads for what blocks; each principal has its own, lower limit."""
Endpoint = Callable[[Request, Principal], Awaitable[Response]]


class Served:
    """What the endpoints share.

    Args:
        roster: the sessions.
        guard: judges requests.
        effects: reads the log; None where it cannot be read.
        version: of this program, for the interface's description.
    """

    def __init__(self, roster: Roster, guard: Guard, effects: Effects | None, version: str) -> None:
        self.version = version
        self.roster = roster
        self.guard = guard
        self.effects = effects
        self.stopping = asyncio.Event()
        """The server ends: streams that have no end of their own end now."""
        self.workers = ThreadPoolExecutor(_WORKERS, thread_name_prefix="proxyplane-http")

    async def blocking(self, function: Callable[..., Any], *args: Any, seat: Seat | None = None, **kwargs: Any) -> Any:
        """Call what blocks, in a thread.

        Args:
            function, args, kwargs: what to call.
            seat: the session that it uses, which does not expire meanwhile.
        """
        if seat is not None:
            seat.busy += 1
        try:
            loop = asyncio.get_running_loop()
            return await loop.run_in_executor(self.workers, functools.partial(function, *args, **kwargs))
        finally:
            if seat is not None:
                seat.busy -= 1
                seat.used = seat.session.plane.clock.mono()

    def route(self, path: str, endpoint: Endpoint, roles: Iterable[str], method: str = "GET") -> ToldRoute:
        """A route for these roles."""

        async def guarded(request: Request) -> Response:
            principal = self.guard.allow(request, roles)
            self.guard.rates.enter(principal.name)
            try:
                return await endpoint(request, principal)
            finally:
                self.guard.rates.leave(principal.name)

        summary = (endpoint.__doc__ or "").strip().partition("\n")[0]
        return ToldRoute(path, guarded, method, summary=summary, roles=tuple(roles))


def application(served: Served) -> Starlette:
    """The ASGI application.

    Args:
        served: what it serves; its threads end with the application, its sessions with the plane.
    """

    async def health(request: Request) -> Response:
        served.guard.check_place(request)
        return answer(request, {"status": "healthy"})

    async def sweeping() -> None:
        while True:
            await asyncio.sleep(_SWEEP_SECONDS)
            await served.blocking(served.roster.sweep)

    @contextlib.asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        task = asyncio.create_task(sweeping())
        try:
            async with contextlib.nullcontext() if mcp is None else mcp.living():
                yield
        finally:
            served.stopping.set()
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task
            served.workers.shutdown(wait=False, cancel_futures=True)

    mcp = _mcp(served)
    api_routes = [*Api(served).routes(), *DropIn(served).routes()]
    document = openapi.document(api_routes, served.version)

    async def described(request: Request) -> Response:
        served.guard.check_place(request)
        return answer(request, document)

    async def page(request: Request) -> Response:
        served.guard.check_place(request)
        return openapi.page(document)

    open_to_all = [Route(path, health, methods=["GET"]) for path in ("/health", "/healthz")]
    open_to_all += [Route("/openapi.json", described, methods=["GET"]), Route("/docs", page, methods=["GET"])]
    open_to_all += [] if mcp is None else [mcp.route()]  # it has a guard of its own
    handlers: Any = {Problem: _problem, ProxyPlaneError: _error, Busy: _error, HTTPException: _http, Exception: _fault}
    return Starlette(routes=[*open_to_all, *api_routes], exception_handlers=handlers, lifespan=lifespan)


def _mcp(served: Served) -> Any:
    """What serves the Model Context Protocol; None where its SDK is not installed."""
    if importlib.util.find_spec("mcp") is None:
        return None
    from proxyplane.transport.mcp.mounted import Mounted  # noqa: PLC0415 - an extra

    return Mounted(served, served.version)


async def _problem(request: Request, problem: Problem) -> Response:
    return response(request, problem)


async def _error(request: Request, error: ProxyPlaneError | Busy) -> Response:
    return response(request, of_error(error))


async def _http(request: Request, error: HTTPException) -> Response:
    text = {404: "there is nothing here; GET /docs lists what there is", 405: "this cannot be done here; see GET /docs"}
    problem = Problem(error.status_code, "http", text.get(error.status_code, error.detail))
    problem.headers = dict(error.headers or {})
    return response(request, problem)


async def _fault(request: Request, error: Exception) -> Response:
    """A fault of the server itself: its text may hold anything, so only its type is told."""
    return response(request, Problem(500, "fault", f"the server failed on this request ({type(error).__name__})"))
