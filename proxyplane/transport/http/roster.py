"""The sessions that are served: whose they are, who uses them, when they end."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from proxyplane.remote import Lanes
from proxyplane.transport.http.notebook import Notebook
from proxyplane.transport.http.problems import Problem
from proxyplane.transport.http.tokens import Principal

if TYPE_CHECKING:
    from proxyplane.plane import ControlPlane
    from proxyplane.sessions import Session

__all__ = ["Roster", "Rules", "Seat"]

_ENDED_KEPT: Final = 1000
"""Ids of ended sessions, so that who asks for one is told that it has ended."""


@dataclass(frozen=True)
class Rules:
    """What one principal may take of the server."""

    sessions: int = 8
    """Open at one time."""
    idle_seconds: float = 3600.0
    """After which an unused session is closed."""
    run_seconds: float = 60.0
    """How long a run may take unless it asks for less."""
    longest_run_seconds: float = 600.0
    requests_per_second: float = 500.0
    """In the long run; a burst may be twice that."""
    body_bytes: int = 4 << 20
    batch: int = 1000
    """Operations in one request."""
    wait_seconds: float = 10.0
    """How long a request waits for a session that is busy."""
    at_once: int = 32
    """Requests of one principal that are served at the same time."""


class Seat:
    """One served session: its owner, its clients, its cells."""

    def __init__(self, session: Session, owner: str, now: int, notebook: Notebook) -> None:
        self.session = session
        self.owner = owner
        self.lanes = Lanes(session)
        self.used = now
        """Monotonic nanoseconds."""
        self.busy = 0
        """Requests that use it now; it does not expire meanwhile."""
        self.notebook = notebook

    def described(self) -> dict[str, Any]:
        """For a list of sessions."""
        session = self.session
        state = "frozen" if session.frozen is not None else "running" if session.due is not None else "idle"
        return {
            "id": session.id,
            "agent": session.agent,
            "tier": session.tier,
            "host": session.plane.host_tier,
            "state": state,
            "runs": session.runs,
            "objects": sorted(session.grants.objects),
            "notebook": self.notebook.path,
        }


class Roster:
    """Opens, finds and ends sessions for principals.

    Args:
        plane: whose sessions they are.
        objects: what a session may be granted, by name.
        rules: limits.
        notebooks: the folder in which the cells of sessions are kept; None keeps them in memory.
        sources: files from which objects came, for notebooks.
    """

    def __init__(
        self,
        plane: ControlPlane,
        objects: Mapping[str, Any],
        rules: Rules,
        *,
        notebooks: Path | None = None,
        sources: Mapping[str, str] | None = None,
    ) -> None:
        self.plane = plane
        self.objects = dict(objects)
        self.rules = rules
        self._notebooks = notebooks
        self._sources = dict(sources or {})
        self._seats: dict[str, Seat] = {}
        self._ended: OrderedDict[str, str] = OrderedDict()
        self._lock = threading.Lock()

    def open(self, principal: Principal, names: Iterable[str] | None = None) -> Seat:
        """A new session of this principal.

        Args:
            principal: its agent; rules and budgets go by the name.
            names: objects to grant; by default all.

        Raises:
            Problem: an unknown name, or too many sessions.
        """
        wanted = list(self.objects) if names is None else list(dict.fromkeys(names))
        missing = [name for name in wanted if name not in self.objects]
        if missing:
            known = ", ".join(sorted(self.objects)) or "none"
            raise Problem(404, "unknown_object", f"there is no object {missing[0]!r} to grant; there are: {known}")
        with self._lock:
            if len(self.of(principal.name)) >= self.rules.sessions:
                text = f"{principal.name} has {self.rules.sessions} sessions, which is the limit; close one"
                raise Problem(429, "too_many_sessions", text)
            session = self.plane.session(principal.name, objects={name: self.objects[name] for name in wanted})
            loaded = {name: self._sources[name] for name in wanted if name in self._sources}
            notebook = Notebook(session.id, folder=self._notebooks, sources=loaded)
            seat = Seat(session, principal.name, self.plane.clock.mono(), notebook)
            self._seats[session.id] = seat
            return seat

    def of(self, owner: str) -> list[Seat]:
        """A principal's open sessions, the oldest first."""
        return [seat for seat in list(self._seats.values()) if seat.owner == owner and not seat.session.closed]

    def all(self) -> list[Seat]:
        """All open sessions."""
        return [seat for seat in list(self._seats.values()) if not seat.session.closed]

    def first(self, principal: Principal) -> Seat:
        """The principal's oldest session, opened where there is none."""
        mine = self.of(principal.name)
        return mine[0] if mine else self.open(principal)

    def find(self, principal: Principal, identifier: str) -> Seat:
        """One of the principal's own sessions, which counts as used now.

        Raises:
            Problem: there is none of this id (also: it is another's), or it has ended.
        """
        seat = self._seats.get(identifier)
        if seat is not None and seat.owner == principal.name and not seat.session.closed:
            seat.used = self.plane.clock.mono()
            return seat
        if (seat is not None and seat.owner == principal.name) or self._ended.get(identifier) == principal.name:
            raise Problem(410, "expired", "this session has ended; open another one (POST /v1/sessions)")
        raise Problem(404, "unknown_session", "there is no session of yours with this id (GET /v1/sessions lists them)")

    def close(self, seat: Seat) -> None:
        """End a session."""
        seat.session.close()
        self._forget(seat)

    def _forget(self, seat: Seat) -> None:
        with self._lock:
            self._seats.pop(seat.session.id, None)
            self._ended[seat.session.id] = seat.owner
            while len(self._ended) > _ENDED_KEPT:
                self._ended.popitem(last=False)

    def sweep(self) -> list[str]:
        """End the sessions that nobody has used for too long; their ids."""
        latest = self.plane.clock.mono() - int(self.rules.idle_seconds * 1e9)
        ended = []
        for seat in list(self._seats.values()):
            if seat.session.closed or (not seat.busy and seat.used < latest):
                self.close(seat)
                ended.append(seat.session.id)
        return ended
