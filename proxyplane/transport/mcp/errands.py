"""Work that may outlast the call that asked for it: a person has to be asked, or a run is long.

A call waits for its errand for a bounded time and then gets a ticket; the errand goes on in its thread, and whoever
holds the ticket asks for it later.
"""

from __future__ import annotations

import asyncio
import secrets
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final

from proxyplane.approvals import Approval
from proxyplane.remote import interrupt
from proxyplane.transport.http.problems import Problem
from proxyplane.transport.http.roster import Seat
from proxyplane.transport.mcp.answers import Answer

__all__ = ["RUN", "Errand", "Errands"]

_KEPT: Final = 64
"""Finished errands whose answer can still be asked for, of each principal."""
_WORKERS: Final = 64
RUN: Final = "execute_code"
"""The tool whose work is the agent's own code."""
_AT_ONCE: Final = 16
"""Calls of one principal that go on at the same time."""


class Errand:
    """One call's work.

    Args:
        owner: the principal.
        seat: the session.
        tool: what was called.
    """

    def __init__(self, owner: str, seat: Seat, tool: str) -> None:
        self.ticket = f"t-{secrets.token_hex(8)}"
        self.owner = owner
        self.seat = seat
        self.tool = tool
        self._begun = False
        self._dropped = False
        self._turn = threading.Lock()
        self.ticketed = False
        """The call has ended without the answer."""
        self.done: asyncio.Future[Answer]
        self._questions: dict[str, Approval] = {}

    def enter(self) -> None:
        """It has the session to itself from now on.

        Raises:
            Problem: nobody wants it any more.
        """
        with self._turn:
            if self._dropped:
                raise Problem(409, "cancelled", "the call was cancelled before its turn came")
            self._begun = True

    def hear(self, approval: Approval) -> None:
        """A question of this plane was put, or answered."""
        if self._begun and approval.question.session == self.seat.session.id:
            self._questions[approval.id] = approval

    @property
    def questions(self) -> list[dict[str, Any]]:
        """What a person was asked, as the agent may know it: not what would change, which may hold values."""
        return [_told(approval) for approval in list(self._questions.values())]

    @property
    def state(self) -> str:
        """`waiting` for a person, `running` or `done`."""
        if self.done.done():
            return "done"
        open_ = any(approval.answer is None for approval in list(self._questions.values()))
        return "waiting" if open_ else "running"

    def told(self) -> dict[str, Any]:
        """Where it stands."""
        found = {"ticket": self.ticket, "state": self.state, "tool": self.tool, "session": self.seat.session.id}
        return found | {"approvals": self.questions}

    def abandon(self) -> None:
        """Nobody wants the answer any more: a run ends, and nothing waits for a person on its account."""
        session = self.seat.session
        with self._turn:
            self._dropped = True
            if not self._begun or self.done.done():
                return
        if self.tool == RUN:
            interrupt(session)
        elif self.state == "waiting":
            session.plane.approvals.cancel(session.id)


def _told(approval: Approval) -> dict[str, Any]:
    question = approval.question
    found: dict[str, Any] = {"id": approval.id, "state": approval.state, "effect": question.effect}
    found |= {"rules": list(question.rules), "reason": question.reason, "consequence": question.consequence}
    return found | {"seconds": approval.ask.seconds}


class Errands:
    """All errands of one server; its threads end with their sessions."""

    def __init__(self) -> None:
        self._all: dict[str, Errand] = {}
        self._workers = ThreadPoolExecutor(_WORKERS, thread_name_prefix="proxyplane-mcp")
        self._going: dict[asyncio.Task[None], Errand] = {}

    def begin(self, owner: str, seat: Seat, tool: str, work: Callable[[Errand], Answer]) -> Errand:
        """Do something in a thread.

        Args:
            owner, seat, tool: see `Errand`.
            work: makes the answer, also of what went wrong; raises nothing.

        Raises:
            Problem: too much of this principal goes on already.
        """
        if sum(each.owner == owner for each in self._going.values()) >= _AT_ONCE:
            raise Problem(429, "too_many_at_once", f"{_AT_ONCE} calls are going on already; wait for them to end")
        errand = Errand(owner, seat, tool)

        def perform() -> Answer:
            listeners = seat.session.plane.approvals.listeners
            listeners.append(errand.hear)
            try:
                return work(errand)
            finally:
                listeners.remove(errand.hear)

        errand.done = asyncio.wrap_future(self._workers.submit(perform))
        holding = asyncio.get_running_loop().create_task(self._hold(errand))
        self._going[holding] = errand
        holding.add_done_callback(lambda ended: self._going.pop(ended, None))
        return errand

    @staticmethod
    async def _hold(errand: Errand) -> None:
        """A session does not expire while an errand uses it."""
        seat = errand.seat
        seat.busy += 1
        try:
            await asyncio.wait({errand.done})
        finally:
            seat.busy -= 1
            seat.used = seat.session.plane.clock.mono()

    async def answer(self, errand: Errand, seconds: float) -> Answer | None:
        """Wait for an answer; None when there is none yet, and then the errand's ticket is good.

        Whoever stops waiting ends the errand, unless its ticket was given before.
        """
        try:
            await asyncio.wait({errand.done}, timeout=seconds)
        except asyncio.CancelledError:
            if not errand.ticketed:
                errand.abandon()
            raise
        if errand.done.done():
            return errand.done.result()
        self._keep(errand)
        return None

    def _keep(self, errand: Errand) -> None:
        errand.ticketed = True
        self._all[errand.ticket] = errand
        finished = [each for each in self.of(errand.owner) if each.state == "done"]
        for each in finished[: len(finished) - _KEPT]:
            del self._all[each.ticket]

    def find(self, owner: str, ticket: str) -> Errand:
        """A principal's own errand.

        Raises:
            Problem: there is none with this ticket.
        """
        errand = self._all.get(ticket)
        if errand is None or errand.owner != owner:
            text = "there is no such ticket of yours; without `ticket`, request_approval_status lists them"
            raise Problem(404, "unknown_ticket", text)
        return errand

    def of(self, owner: str) -> list[Errand]:
        """A principal's errands that have tickets, the oldest first."""
        return [errand for errand in self._all.values() if errand.owner == owner]

    def check_free(self, owner: str, session: str) -> None:
        """Whether nothing of this principal goes on in a session.

        Raises:
            Problem: something does; it names the ticket.
        """
        for errand in self.of(owner):
            if errand.seat.session.id == session and errand.state != "done":
                text = f"the session is still busy with {errand.tool} (ticket {errand.ticket}, {errand.state})"
                hint = "ask request_approval_status for it; list_sessions, list_objects and it still answer"
                raise Problem(409, "busy", text, hint=hint)

    def close(self) -> None:
        """Take nothing more; what goes on ends with its session."""
        for errand in list(self._going.values()):
            errand.abandon()
        self._workers.shutdown(wait=False, cancel_futures=True)
