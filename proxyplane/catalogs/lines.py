"""One line of a catalog: its grammar and what it says.

KIND? EFFECT* FLAG* (reveals=WHAT)? (prints=PARAMETER)? (NAME(@POSITION)?:ACTION)*
"""

from __future__ import annotations

import difflib
import re
from typing import Any, Final, NamedTuple

from proxyplane.effects import Effect

__all__ = [
    "ABSENT",
    "ACTIONS",
    "DENIED",
    "FLAGS",
    "KINDS",
    "REVEALS",
    "Denial",
    "Entry",
    "Expected",
    "Param",
    "denial",
    "parse",
]

KINDS: Final = ("method", "classmethod", "property", "function", "type", "constant", "module")
FLAGS: Final = (
    "fresh",
    "pure",
    "schema",
    "zeroed",
    "settable",
    "instance",
    "joins",
    "scoped",
    "state",
    "random",
    "keeps",
    "replaced",
    "content",
    "holds",
    "draws",
    "plainly",
    "scratch",
    "speaks",
    "copied",
    "local",
)
REVEALS: Final = ("receiver", "display", "result")
ACTIONS: Final = (
    "path-read",
    "path-write",
    "path-write.npy",
    "path-write.npz",
    "path-look",
    "source-read",
    "view",
    "polars-sql",
    "named",
    "expression",
    "evaluated",
    "fills",
    "fills-after-inputs",
    "overwrites",
    "array",
    "scope",
    "options",
    "never",
    "sql",
    "query",
    "sql-types",
    "connection",
    "format-text",
    "timestamp",
    "exported",
    "plain",
    "whole",
)
"""Besides these an action is an effect's name, or `one-of(a|b)`."""

ABSENT: Final = "absent"
"""Instead of a line: not catalogued here, although an inherited table has it."""
DENIED: Final = "denied"
"""The first word of a line that refuses a member by name: `denied EFFECT: reason`."""
_DENIED: Final = re.compile(r"denied ([a-z.]+): (\S.{4,})")
_EFFECTS: Final = frozenset(effect.value for effect in Effect)
_PARAM: Final = re.compile(r"([A-Za-z_*][\w*]*)(?:@(\d+))?:(.+)")
_ONE_OF: Final = re.compile(r"one-of\([^()\s]+\)")


class Param(NamedTuple):
    """What one argument can do."""

    name: str
    """With `*` in it: every keyword argument that matches."""
    position: int | None
    """Counted without self; None where it can only be given by name."""
    action: str


class Entry(NamedTuple):
    """One catalogued member."""

    name: str
    """Such as `pandas.DataFrame.head`."""
    kind: str
    effects: frozenset[Effect]
    flags: frozenset[str]
    reveals: str | None
    """How many rows a textual or container result shows: all of the `receiver` (for a function: the first argument),
    those that its repr shows (`display`), or those of the `result` itself. A plain scalar is one row: None."""
    prints: str | None
    """It writes to standard output unless this parameter is given."""
    params: tuple[Param, ...]


class Denial(NamedTuple):
    """A member that was looked at and is refused: no call of it is performed."""

    name: str
    """Such as `numpy.ndarray.base`."""
    effect: Effect
    """What it would do."""
    reason: str
    """For people: why, in a few words."""


class Expected(NamedTuple):
    """What a call with certain arguments will do."""

    effects: frozenset[Effect]
    mutated: tuple[Any, ...]
    """Argument objects that it changes."""
    paths: tuple[tuple[Effect, str], ...]
    """Files and URLs that it opens."""
    why: Param | None = None
    """The rule for a parameter that makes it `unknown`."""


def parse(full: str, name: str, line: str) -> Entry:
    """Read one line.

    Args:
        full: qualified name of the member.
        name: its own name; dunders and `()` have no kind word.
        line: what follows the `=`.

    Raises:
        ValueError: a word that the grammar does not know, or a line without kind or effect.
    """
    words = line.split()
    kind = "type" if name == "()" else "method"
    if name != "()" and not name.startswith("__"):
        if not words or words[0] not in KINDS:
            raise ValueError(f"a line begins with one of {', '.join(KINDS)}")
        kind = words.pop(0)
    effects, flags, params = set[Effect](), set[str](), list[Param]()
    reveals: str | None = None
    prints: str | None = None
    for word in words:
        if word in _EFFECTS:
            effects.add(Effect(word))
        elif word in FLAGS:
            flags.add(word)
        elif word.startswith("reveals=") and word.removeprefix("reveals=") in REVEALS:
            reveals = word.removeprefix("reveals=")
        elif word.startswith("prints=") and word.removeprefix("prints=").isidentifier():
            prints = word.removeprefix("prints=")
        else:
            params.append(_param(word))
    if not effects and (kind not in ("type", "constant", "module") or name == "()"):
        raise ValueError("it names no effect (write at least read or compute)")
    if not effects:
        effects.add(Effect.READ)
    return Entry(full, kind, frozenset(effects), frozenset(flags), reveals, prints, tuple(params))


def denial(full: str, line: str) -> Denial:
    """Read one line that refuses a member.

    Args:
        full: qualified name of the member.
        line: what follows the `=`, beginning with `denied`.

    Raises:
        ValueError: not of the form `denied EFFECT: reason`.
    """
    found = _DENIED.fullmatch(line)
    if found is None or found[1] not in _EFFECTS:
        raise ValueError("a refusal is written as 'denied EFFECT: reason', such as 'denied memory: raw addresses'")
    return Denial(full, Effect(found[1]), found[2])


def _param(word: str) -> Param:
    found = _PARAM.fullmatch(word)
    if found is None:
        close = difflib.get_close_matches(word, [*_EFFECTS, *FLAGS, *KINDS], 1)
        hint = f"did you mean {close[0]!r}?" if close else "a parameter is NAME@POSITION:ACTION"
        raise ValueError(f"unknown word {word!r} ({hint})")
    name, position, action = found.groups()
    if action not in ACTIONS and action not in _EFFECTS and not _ONE_OF.fullmatch(action):
        raise ValueError(f"unknown action {action!r} (an effect, one-of(a|b), or {', '.join(ACTIONS)})")
    return Param(name, int(position) if position is not None else None, action)
