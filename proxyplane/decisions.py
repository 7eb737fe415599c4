"""What a policy answers: a verdict, the rule that gave it, and what follows from it."""

from __future__ import annotations

from typing import Any, NamedTuple

from proxyplane.effects import Effect

__all__ = ["STRICTNESS", "Charge", "Decision", "Facts", "Request"]

STRICTNESS: tuple[str, ...] = ("allow", "redact", "fork", "ask", "deny")
"""Verdicts from the mildest to the strictest; the strictest matching rule wins."""


class Facts(NamedTuple):
    """How much of what would reach the agent. `None` means not known, which no allow can rely on."""

    rows: int | None = None
    cells: int | None = None
    bytes: int | None = None


NOTHING_KNOWN = Facts()


class Request(NamedTuple):
    """The question that the plane puts to a policy. Holds names and counts, never values of objects."""

    agent: str
    via: str
    verb: str
    member: str | None
    type: str
    """Qualified type name of the target, such as `pandas.DataFrame`."""
    roots: frozenset[str]
    """Granted names that the target and the arguments were made from. Constants and modules have none."""
    labels: frozenset[str]
    effects: frozenset[Effect]
    facts: Facts = NOTHING_KNOWN


class Charge(NamedTuple):
    """Units that an allowed operation takes from a budget, counted for each root."""

    budget: str
    roots: frozenset[str]
    amount: int


class Decision(NamedTuple):
    """A policy's answer. Truth value is not defined: compare `verdict`."""

    verdict: str
    """One of `STRICTNESS`."""
    rule: str | None
    """Id of the deciding rule; `None` when no rule speaks of it (default deny)."""
    matched: tuple[str, ...] = ()
    reason: str = ""
    """The rule's own reason, or why nothing allows it."""
    effect: Effect | None = None
    """The effect that was refused."""
    hint: str = ""
    """What would be allowed instead."""
    charges: tuple[Charge, ...] = ()
    obligations: tuple[dict[str, Any], ...] = ()

    def __bool__(self) -> bool:
        raise TypeError("a Decision has no truth value; compare its verdict")
