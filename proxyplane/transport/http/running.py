"""Runs of agents' code as streams of events: what is printed as it comes, questions that wait, and how it ended."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import json
import threading
from collections.abc import AsyncIterator, Callable
from concurrent.futures import Executor
from typing import Any, Final

from starlette.responses import StreamingResponse

from proxyplane.approvals import Approval
from proxyplane.errors import ProxyPlaneError
from proxyplane.remote import Busy, interrupt
from proxyplane.results import RunResult
from proxyplane.transport.http.notebook import Cell
from proxyplane.transport.http.problems import Problem, of_error
from proxyplane.transport.http.roster import Seat

__all__ = ["Event", "events", "perform", "stream", "told"]

Event = tuple[str, dict[str, Any]]
KEEPALIVE: Final = 15.0
_HEADERS: Final = {"cache-control": "no-store", "x-content-type-options": "nosniff", "x-accel-buffering": "no"}
_OUTPUT_CHARS: Final = 20_000
"""Characters of a run's output that its cell keeps."""
_STREAMS: Final = {1: "stdout", 2: "stderr"}


def told(result: RunResult) -> dict[str, Any]:
    """What a run came to, without what it printed."""
    error = result.error
    described = None
    if error is not None:
        described = dataclasses.asdict(error)
    return {
        "ok": result.ok,
        "value": result.value,
        "error": described,
        "operations": result.operations,
        "elapsed_ns": result.elapsed_ns,
        "lost": list(result.lost),
    }


def perform(
    seat: Seat,
    code: str,
    timeout: float,
    wait: float,
    emit: Callable[[Event], None],
    cell: int | None = None,
    begun: threading.Event | None = None,
) -> None:
    """Run code and emit its events; blocks.

    Args:
        seat: the session.
        code: Python source.
        timeout: seconds.
        wait: seconds to wait for a session that is busy.
        emit: takes events, in any thread.
        cell: which cell it is; None for a new one.
        begun: set once the session is this run's.
    """
    session = seat.session

    def asked(approval: Approval) -> None:
        if approval.question.session == session.id:
            emit(_question(approval))

    listeners = session.plane.approvals.listeners
    with seat.lanes.turn(wait):
        if begun is not None:
            begun.set()
        session.on_output = lambda stream, text: emit((_STREAMS[stream], {"data": text}))
        listeners.append(asked)
        try:
            result = session.run(code, timeout)
        finally:
            listeners.remove(asked)
            session.on_output = None
    for bundle in result.display:
        emit(("display", {"data": bundle}))
    _keep(seat, code, result, cell)
    emit(("done", told(result)))


def _question(approval: Approval) -> Event:
    """A question as the agent may see it: not what would change, which may hold values."""
    question = approval.question
    found: dict[str, Any] = {
        "id": approval.id,
        "state": approval.state,
        "effect": question.effect,
        "rules": list(question.rules),
    }
    found |= {"reason": question.reason, "consequence": question.consequence, "seconds": approval.ask.seconds}
    return ("approval-pending" if approval.answer is None else "approval"), found


def _keep(seat: Seat, code: str, result: RunResult, index: int | None) -> None:
    outputs: list[dict[str, Any]] = []
    if result.stdout:
        outputs.append({"stream": "stdout", "text": result.stdout[:_OUTPUT_CHARS]})
    if result.stderr:
        outputs.append({"stream": "stderr", "text": result.stderr[:_OUTPUT_CHARS]})
    if result.value is not None:
        outputs.append({"mimetype": "text/plain", "data": result.value[:_OUTPUT_CHARS]})
    if result.error is not None:
        outputs.append({"error": result.error.type, "text": result.error.message[:_OUTPUT_CHARS]})
    cell = Cell(code, True, result.ok, tuple(outputs))
    try:
        if index is None:
            seat.notebook.add(cell)
        elif index < len(seat.notebook.cells):
            seat.notebook.put(index, cell)
    except (ValueError, OSError) as error:
        seat.notebook.fault = str(error)


async def events(
    seat: Seat, code: str, timeout: float, wait: float, cell: int | None = None, *, workers: Executor
) -> AsyncIterator[Event | None]:
    """The events of a run, ending with `done` or `error`; None now and then while nothing happens.

    Whoever stops listening ends the run.
    """
    loop = asyncio.get_running_loop()
    queue: asyncio.Queue[Event] = asyncio.Queue()
    begun = threading.Event()

    def emit(event: Event) -> None:
        with contextlib.suppress(RuntimeError):  # the server has stopped
            loop.call_soon_threadsafe(queue.put_nowait, event)

    def work() -> None:
        try:
            perform(seat, code, timeout, wait, emit, cell, begun)
        except (ProxyPlaneError, Busy) as error:
            emit(("error", of_error(error).body()))
        except Problem as problem:
            emit(("error", problem.body()))
        except RuntimeError:  # closed meanwhile
            emit(("error", Problem(410, "expired", "this session has ended; open another one").body()))

    seat.busy += 1
    ended = False
    try:
        workers.submit(work)
        while not ended:
            try:
                event = await asyncio.wait_for(queue.get(), KEEPALIVE)
            except TimeoutError:
                yield None
                continue
            ended = event[0] in ("done", "error")
            yield event
    finally:
        seat.busy -= 1
        seat.used = seat.session.plane.clock.mono()
        if not ended and begun.is_set():
            interrupt(seat.session)


def stream(found: AsyncIterator[Event | None]) -> StreamingResponse:
    """Events as `text/event-stream`."""

    async def lines() -> AsyncIterator[bytes]:
        try:
            async for event in found:
                if event is None:
                    yield b": keepalive\n\n"
                else:
                    data = json.dumps(event[1], separators=(", ", ": "))
                    yield f"event: {event[0]}\ndata: {data}\n\n".encode("ascii")
        finally:
            close = getattr(found, "aclose", None)
            if close is not None:
                await close()

    return StreamingResponse(lines(), media_type="text/event-stream", headers=_HEADERS)
