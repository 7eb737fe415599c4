"""The grammar of the texts that `query` and `eval` take.

Names, `@name`, literals, arithmetic, comparison, boolean operators, `in`, `not in`, parentheses and lists. No
attributes, calls, subscripts, comments or escapes: pandas would resolve those with more authority than the agent has.
`@name` stands for a variable that the agent sent along: the plane gives pandas those and no others, so that it never
walks the host's frames. It is stricter than pandas' own: what could be read in two ways is refused.
"""

from __future__ import annotations

import keyword
import re
import unicodedata
from collections.abc import Callable
from typing import Final

__all__ = ["MAX_CHARS", "is_plain"]

MAX_CHARS: Final = 10_000
_MAX_DEPTH: Final = 50

_TOKEN: Final = re.compile(
    r"""(?P<space>[ \t]+)
    |(?P<number>(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?(?![\w.]))
    |(?P<text>'[^'"`\\\n\#]*'|"[^'"`\\\n\#]*")
    |(?P<local>@[^\W\d]\w*)
    |(?P<column>[^\W\d]\w*\.[^\W\d]\w*(?!\s*\())
    |(?P<quoted>`[^`'"\\\n\#]+`)
    |(?P<name>[^\W\d]\w*)
    |(?P<operator>\*\*|//|<=|>=|==|!=|[-+*/%<>&|^~=()\[\],])
    """,
    re.VERBOSE,
)
_BINARY: Final = frozenset("+ - * / // % ** < <= > >= == != & | ^ and or in".split())
_UNARY: Final = frozenset("- + ~ not".split())
_CLOSING: Final = {"(": ")", "[": "]"}
_OPERANDS: Final = frozenset(("name", "text", "number", "quoted", "local", "column"))
_LITERALS: Final = frozenset(("True", "False", "None"))


def is_plain(text: str, is_column: Callable[[str, str], bool] | None = None) -> bool:
    """Whether a text is one of the grammar: it computes on named columns and literals and does nothing else.

    Lines of the form `name = expression` are allowed, as in `DataFrame.eval`.

    Args:
        text: what is to be evaluated.
        is_column: whether the second name is a column of the table that the first one names; without it no attribute
            is allowed.
    """
    if len(text) > MAX_CHARS:
        return False
    lines = [line for line in text.split("\n") if line.strip()]
    return bool(lines) and all(_plain_line(line, is_column) for line in lines)


def _plain_line(line: str, is_column: Callable[[str, str], bool] | None) -> bool:
    tokens = _tokens(line)
    for kind, value in tokens or ():
        if kind == "column" and (is_column is None or not is_column(*value.split("."))):
            return False
    if tokens is None:
        return False
    if len(tokens) > 2 and tokens[0][0] in ("name", "quoted") and tokens[1] == ("operator", "="):
        tokens = tokens[2:]
    return _alternates(tokens)


def _tokens(line: str) -> list[tuple[str, str]] | None:
    found: list[tuple[str, str]] = []
    position, spaced = 0, True
    while position < len(line):
        match = _TOKEN.match(line, position)
        if match is None:
            return None
        kind, value = match.lastgroup or "", match.group()
        position = match.end()
        if kind == "space":
            spaced = True
            continue
        if found and not spaced and {found[-1][0], kind} <= _OPERANDS:
            return None  # a prefix such as f"" or a suffix such as 1j
        if kind == "local" and (value.startswith("@__") or keyword.iskeyword(value[1:])):
            return None
        if kind == "column" and not all(map(_is_plain_name, value.split("."))):
            return None
        if kind == "name":
            if value in ("and", "or", "not", "in"):
                kind = "operator"
            elif value.startswith("__") or (keyword.iskeyword(value) and value not in _LITERALS):
                return None
        found.append((kind, value))
        spaced = False
    return found


def _is_plain_name(name: str) -> bool:
    """Whether it is public, no keyword, and the name that Python reads (it takes `𝐚ttrs` for `attrs`)."""
    return not (name.startswith("_") or keyword.iskeyword(name)) and unicodedata.normalize("NFKC", name) == name


def _alternates(tokens: list[tuple[str, str]]) -> bool:
    """Operands and operators take turns, and every bracket closes. `[` opens a list only where an operand may stand."""
    wants_operand, open_brackets = True, list[str]()
    position = 0
    while position < len(tokens):
        kind, value = tokens[position]
        position += 1
        if wants_operand:
            if kind != "operator":
                wants_operand = False
            elif value in _CLOSING:
                open_brackets.append(_CLOSING[value])
                if len(open_brackets) > _MAX_DEPTH:
                    return False
            elif value not in _UNARY:
                return False
        elif kind != "operator":
            return False
        elif open_brackets and value == open_brackets[-1]:
            open_brackets.pop()
        elif value == "not" and position < len(tokens) and tokens[position] == ("operator", "in"):
            position += 1
            wants_operand = True
        elif value in _BINARY or (value == "," and open_brackets):
            wants_operand = True
        else:
            return False
    return not wants_operand and not open_brackets
