"""The closed sets of words that a policy file may use."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches

from proxyplane.effects import ALL_EFFECTS, Effect
from proxyplane.operations import VERBS

__all__ = [
    "CONDITIONS",
    "CONTENT",
    "COUNTS",
    "DURATIONS",
    "EFFECT_ORDER",
    "FACTS",
    "FILES",
    "FLOOR",
    "MEMBERLESS",
    "NAMED_ONLY",
    "ORIGINS",
    "PRESETS",
    "REMEMBER",
    "SCHEMA",
    "UNITS",
    "near",
    "suggest",
]

SCHEMA = 1
"""The version of the file's form; a file says which one it was written for."""

PRESETS: tuple[str, ...] = ("open", "read_only", "analyst", "locked")

ORIGINS: frozenset[str] = frozenset({"guest", "host", "inproc", "http", "mcp", "callback"})
"""By which way an operation came; compared with `Request.via`."""

FACTS: tuple[str, ...] = ("rows", "cells", "bytes", "group")
"""Counts of what would reach the agent; same order as the fields of `Facts`."""

UNITS: tuple[str, ...] = ("rows", "cells", "bytes")
"""What a charge may count."""

COUNTS: tuple[str, ...] = ("session.operations", "session.runs")
DURATIONS: tuple[str, ...] = ("age", "session.age")
NAMES: tuple[str, ...] = ("path", "host", "session.tier")
CONDITIONS: tuple[str, ...] = (*FACTS, *COUNTS, *DURATIONS, *NAMES)
"""What a condition may compare; besides, `args.NAME`."""

NAMED_ONLY: frozenset[Effect] = frozenset({Effect.UNKNOWN, Effect.MEMORY})
"""Effects that are granted only by their literal name, never through a pattern."""

CONTENT: frozenset[Effect] = frozenset({Effect.REVEAL, Effect.CALLBACK, Effect.DISPLAY})
"""Effects with which content leaves the host; without one of them rows, cells and bytes are not charged."""

FILES: frozenset[Effect] = frozenset({Effect.FS_READ, Effect.FS_WRITE})

FLOOR: frozenset[Effect] = frozenset(
    {Effect.MEMORY, Effect.UNKNOWN, Effect.EXEC, Effect.PROCESS, Effect.NET, Effect.ENV, Effect.PACKAGE_INSTALL}
)
"""Effects that `mode = "observe"` refuses like any other mode: watching must open no door to the outside."""

MEMBERLESS: frozenset[str] = VERBS - frozenset(
    {"getattr", "setattr", "delattr", "call", "callback", "binop", "unop", "compare"}
)
"""Verbs that name no member."""

REMEMBER: tuple[str, ...] = ("never", "call", "shape", "session")
"""For what an approval holds, the shortest first."""

EFFECT_ORDER: tuple[Effect, ...] = tuple(effect for effect in Effect if effect in ALL_EFFECTS)
"""Which effect is reported first when several are refused."""

_NEAR = 0.8


def suggest(word: str, known: Iterable[str]) -> str:
    """A hint for a misspelt word: the nearest known one, else all of them."""
    names = sorted(known)
    close = get_close_matches(word, names, n=1)
    if close:
        return f'did you mean "{close[0]}"?'
    return f"known: {', '.join(names)}" if names else ""


def near(word: str, known: Iterable[str]) -> str | None:
    """The known word that an unknown one was surely meant to be; `None` where it may well be another name."""
    if len(word) < 4:
        return None
    close = get_close_matches(word, sorted(known), n=1, cutoff=_NEAR)
    return close[0] if close else None
