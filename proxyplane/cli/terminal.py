"""Showing text to a person. What agents or data wrote may hold terminal escapes; they are shown, never obeyed."""

from __future__ import annotations

import re
import sys
from typing import Final, TextIO

__all__ = ["escaped", "one_line", "put", "put_agents"]

_HOSTILE: Final = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f"  # C0 without tab and line feed, DEL, C1
    "\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069"  # reordering of what a person reads (CVE-2021-42574)
    "\u2028\u2029\ud800-\udfff]"  # line separators, lone surrogates
)


def escaped(text: str) -> str:
    """The text with every control character but tab and line feed as a visible backslash escape."""
    return _HOSTILE.sub(_visible, text)


def one_line(text: str) -> str:
    """`escaped`, with tabs and line feeds visible too."""
    return escaped(text).replace("\t", "\\t").replace("\n", "\\n")


def put(text: str, stream: TextIO | None = None) -> None:
    """Write text that holds something of an agent, a policy or a log, escaped, to standard output or `stream`."""
    _write(escaped(text), stream or sys.stdout)


def put_agents(text: str, stream: TextIO) -> None:
    """Write an agent's own output: escaped on a terminal, unchanged into a file or pipe."""
    _write(escaped(text) if stream.isatty() else text, stream)


def _write(text: str, stream: TextIO) -> None:
    encoding = stream.encoding or "utf-8"
    stream.write(text.encode(encoding, "backslashreplace").decode(encoding))
    stream.flush()


def _visible(match: re.Match[str]) -> str:
    number = ord(match[0])
    return f"\\x{number:02x}" if number < 0x100 else f"\\u{number:04x}"
