"""The closed sets of words a policy file may use, and the words that later versions will understand."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches

from proxyplane.effects import ALL_EFFECTS, Effect

__all__ = [
    "CONTENT",
    "EFFECT_ORDER",
    "FACTS",
    "NAMED_ONLY",
    "ORIGINS",
    "PRESETS",
    "SCHEMA",
    "UNAVAILABLE",
    "suggest",
]

SCHEMA = 1
"""The version of the file's form; a file says which one it was written for."""

PRESETS: tuple[str, ...] = ("open", "read_only", "analyst", "locked")

ORIGINS: frozenset[str] = frozenset({"guest", "host", "inproc", "callback"})
"""By which way an operation came; compared with `Request.via`."""

FACTS: tuple[str, ...] = ("rows", "cells", "bytes")
"""What a condition may compare and a charge may count; same order as the fields of `Facts`."""

NAMED_ONLY: frozenset[Effect] = frozenset({Effect.UNKNOWN, Effect.MEMORY})
"""Effects that an allow grants only by their literal name, never through a pattern."""

CONTENT: frozenset[Effect] = frozenset({Effect.REVEAL, Effect.CALLBACK, Effect.DISPLAY})
"""Effects with which content leaves the host; without one of them rows, cells and bytes are not charged."""

EFFECT_ORDER: tuple[Effect, ...] = tuple(effect for effect in Effect if effect in ALL_EFFECTS)
"""Which effect is reported first when several are refused."""

UNAVAILABLE: dict[str, frozenset[str]] = {
    "file": frozenset({"tests", "mode"}),
    "objects": frozenset({"mask", "where", "rows", "min_group", "declassify"}),
    "budgets": frozenset(),
    "rules": frozenset({"ask", "fork", "redact", "mask", "column", "where", "declassify"}),
    "condition": frozenset({"path", "host", "age", "args", "session"}),
    "decide": frozenset({"ask", "fork", "redact"}),
    "exceeded": frozenset({"ask"}),
}
"""Words of the whole language that this version refuses by name instead of ignoring."""


def suggest(word: str, known: Iterable[str]) -> str:
    """A hint for a misspelt word: the nearest known one, else all of them."""
    names = sorted(known)
    near = get_close_matches(word, names, n=1)
    if near:
        return f'did you mean "{near[0]}"?'
    return f"known: {', '.join(names)}" if names else ""
