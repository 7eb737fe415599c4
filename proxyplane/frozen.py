"""A frozen session: host code began something for it that was not declared, and nothing more is done until a person
resumes it."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING, Any, NamedTuple

from proxyplane.errors import UndeclaredEffect
from proxyplane.paths import printable
from proxyplane.sightings import Sight

if TYPE_CHECKING:
    from proxyplane.operations import Operation
    from proxyplane.sessions import Session

__all__ = ["Frozen", "freeze", "resume"]


class Frozen(NamedTuple):
    """Why a session is frozen."""

    effect: str
    """That was begun and not declared."""
    event: str
    """The interpreter's name of what was seen."""
    path: str
    """Which file; empty where it was none."""
    operation: str
    """Id of the operation, as the log shows it; empty when it came from a thread that outlived its own."""
    member: str | None
    at: int
    """Nanoseconds since 1970."""

    def refusal(self) -> UndeclaredEffect:
        """What is raised for every further operation."""
        return UndeclaredEffect(
            f"this session is frozen: host code began {self.effect}, which its catalog line does not declare, and a "
            "person must look at that first",
            effect=self.effect,
            reason="frozen",
            hint="nothing can be done from here; a person sees it in the log and in `proxyplane sessions list`",
        )


def freeze(session: Session, sight: Sight, operation: Operation | None, *, own: bool) -> None:
    """Record what was seen and let the session do nothing more. May be called by any thread, amid host code.

    Args:
        session: whose operation it was.
        sight: what was seen.
        operation: None when it came from a thread that a finished operation had started.
        own: it was seen on the thread that performs the operation, which leaves no doubt whose it is.
    """
    plane, path = session.plane, printable(sight.path)
    identifier = operation.id if operation is not None else None
    member = operation.member if operation is not None else None
    about: dict[str, Any] = {"op": identifier} if identifier is not None else {}
    if operation is not None:
        about |= {"verb": operation.verb, "member": member}
    named = str(uuid.UUID(bytes=identifier)) if identifier is not None and len(identifier) == 16 else ""
    if session.frozen is None:
        session.frozen = Frozen(str(sight.effect), sight.event, path, named, member, plane.clock.wall())
    plane.record(
        "observed",
        session=session.id,
        agent=session.agent,
        status="denied",
        reason="undeclared",
        effects={"undeclared": [str(sight.effect)]},
        detail={"event": sight.event, "path": path, "thread": "lowering" if own else "other"},
        **about,
    )


def resume(session: Session, by: dict[str, Any]) -> bool:
    """Let a frozen session go on; False when it is not frozen.

    Args:
        session: the session.
        by: who decided it, for the record.

    Raises:
        AuditUnavailable: it cannot be recorded, so the session stays frozen.
    """
    frozen = session.frozen
    if frozen is None:
        return False
    session.plane.record(
        "approval",
        session=session.id,
        agent=session.agent,
        verdict="allow",
        reason="resume",
        detail={"by": by, "effect": frozen.effect, "operation": frozen.operation},
    )
    session.plane.log.sync()
    session.frozen = None
    return True
