"""What an agent asks for: one verb on one object, with arguments and an origin."""

from __future__ import annotations

from typing import Any, NamedTuple

from proxyplane.effects import Effect

__all__ = ["VERBS", "Operation", "Origin"]

VERBS: frozenset[str] = frozenset(
    "getattr setattr delattr getitem setitem delitem call callback iter next len contains compare binop "
    "unop bool hash repr str format enter exit index interchange describe list".split()
)
"""Every way in which an object can be touched. A frame with any other verb is a protocol error."""


NO_EFFECTS: frozenset[Effect] = frozenset()


class Origin(NamedTuple):
    """Who touched the object, and from which line of which code."""

    session: str
    agent: str
    via: str = "guest"
    """`guest`, `host` (the session's own methods), `inproc`."""
    line: int | None = None
    """1-based line in the agent's source."""
    code: bytes = b""
    """SHA-256 of the agent's source."""


class Operation(NamedTuple):
    """One mediated touch. Immutable; `args` and `kwargs` already hold real objects."""

    id: bytes
    """16 bytes, UUIDv7 (RFC 9562)."""
    verb: str
    target: int
    """Handle in the session's object table."""
    member: str | None
    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    origin: Origin
    parent: bytes = b""
    """The operation whose lowering caused this one (callbacks, mediated callables)."""
    inputs: tuple[int, ...] = ()
    """Handles of this session among the arguments, at any depth."""
    joined: frozenset[Effect] = NO_EFFECTS
    """Effects that the arguments bring with them: `callback` with a function of the guest."""
