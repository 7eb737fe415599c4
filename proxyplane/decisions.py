"""What a policy answers: a verdict, the rule that gave it, and what follows from it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from proxyplane.effects import Effect

__all__ = ["STRICTNESS", "Ask", "Charge", "Context", "Decision", "Facts", "Redaction", "Request"]

STRICTNESS: tuple[str, ...] = ("allow", "redact", "fork", "ask", "deny")
"""Verdicts from the mildest to the strictest; the strictest matching rule wins."""


class Facts(NamedTuple):
    """How much of what would reach the agent. `None` means not known, which no allow can rely on."""

    rows: int | None = None
    cells: int | None = None
    bytes: int | None = None
    group: int | None = None
    """Rows of the source behind the smallest value that is shown."""


NOTHING_KNOWN = Facts()


class Context(NamedTuple):
    """What else is known of an operation. The plane works it out only for policies that ask (`Policy.needs`)."""

    columns: frozenset[str] | None = None
    """Columns of granted objects that it touches or shows; `None`: not known."""
    paths: frozenset[str] = frozenset()
    """Files that it names, below the root of `[fs]`. None of them with an effect on files: not known."""
    hosts: frozenset[str] = frozenset()
    """Network hosts likewise."""
    args: Mapping[str, object] | None = None
    """Plain values that the agent itself sent, by parameter; what is absent is not known."""
    age: int | None = None
    """Seconds since the oldest of its source objects was granted."""
    session_age: int | None = None
    operations: int | None = None
    """Operations of the session so far."""
    runs: int | None = None
    tier: str | None = None
    """How the session is isolated."""
    aggregate: bool | None = None
    """What is shown is an aggregate of unmodified source columns, grouped or filtered by declared keys."""


NO_CONTEXT = Context()


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
    context: Context = NO_CONTEXT


class Charge(NamedTuple):
    """Units that an allowed operation takes from a budget, counted for each root."""

    budget: str
    roots: frozenset[str]
    amount: int
    names: frozenset[str] = frozenset()
    """For a budget of distinct columns: which; each counts once, and `amount` does not."""


class Ask(NamedTuple):
    """The terms of an approval, joined from all ask rules that match."""

    who: tuple[str, ...]
    """Everybody whose answer is wanted; empty: whoever may approve."""
    seconds: int
    """After so long without an answer it is a no."""
    remember: str
    """For what a yes holds: `never` or `call` (this operation), `shape` (the like of it), `session`."""
    rules: tuple[str, ...]


class Redaction(NamedTuple):
    """What must happen to content before it crosses, joined from all rules and objects that speak of it."""

    rows: int | None = None
    """Show at most so many."""
    mask: frozenset[str] = frozenset()
    """Columns whose values are replaced by tokens."""
    digits: int | None = None
    """Numbers are rounded to so many decimal digits; negative: to tens, hundreds ..."""
    min_group: int | None = None
    """Groups of fewer rows are folded into one remainder group."""
    rules: tuple[str, ...] = ()

    def described(self) -> list[dict[str, Any]]:
        """What a record says of it: `{kind, n}` or `{kind, columns}` each."""
        numbers = (("rows", self.rows), ("round", self.digits), ("min_group", self.min_group))
        found: list[dict[str, Any]] = [{"kind": kind, "n": number} for kind, number in numbers if number is not None]
        if self.mask:
            found.append({"kind": "mask", "columns": sorted(self.mask)})
        return found


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
    """The effect that was refused, or that is asked for."""
    hint: str = ""
    """What would be allowed instead."""
    charges: tuple[Charge, ...] = ()
    ask: Ask | None = None
    """With the verdict `ask`: what an approval has to be."""
    redaction: Redaction | None = None
    """What to do to the content; an `allow` has none."""
    declassify: frozenset[str] = frozenset()
    """Labels that the result loses."""

    def __bool__(self) -> bool:
        raise TypeError("a Decision has no truth value; compare its verdict")
