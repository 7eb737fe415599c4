"""Paths of an agent as text: where they lead below the root of `[fs]`, and which globs grant them.

Nothing here touches a disk. `..` is taken out of the text, since no symbolic link is ever followed; what leads out of
the root has no place. `*`, `?` and `[...]` match within one name and no leading dot, `**` any number of folders.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from fnmatch import translate
from functools import cached_property
from typing import Final

__all__ = ["WORKING_FOLDER", "Globs", "Parts", "escaped", "in_words", "locate", "printable"]

WORKING_FOLDER: Final = "/work"
"""What agents are told is their working folder: how the host's own folders are called is not their business."""
PATH_CHARS: Final = 4096
_SHOWN_CHARS: Final = 400

Parts = tuple[str, ...]
"""Names from the root down; empty for the root itself."""


def locate(text: str, root: str) -> Parts | None:
    """Where a path leads; None where that is not below the root.

    Args:
        text: relative to the root, or absolute below `WORKING_FOLDER` or the real root.
        root: the real path of the root.

    Raises:
        ValueError: no file can have that path (empty, too long, a NUL, text that is no file name).
    """
    if not text or len(text) > PATH_CHARS:
        raise ValueError(f"a path has 1 to {PATH_CHARS} characters, this one {len(text)}")
    if "\0" in text:
        raise ValueError("embedded null byte")
    try:
        os.fsencode(text)
    except UnicodeEncodeError:
        raise ValueError("a path with characters that no file name can hold") from None
    rest = text
    if text.startswith("/"):
        whole = _names(text)
        for base in (root, WORKING_FOLDER):
            start = _names(base) or ()
            if whole is not None and start and whole[: len(start)] == start:
                return whole[len(start) :]
        return None
    return _names(rest)


def _names(text: str) -> Parts | None:
    found: list[str] = []
    for name in text.split("/"):
        if name == "..":
            if not found:
                return None
            found.pop()
        elif name not in ("", "."):
            found.append(name)
    return tuple(found)


class Globs:
    """The patterns of one kind of access.

    Args:
        patterns: as in the policy, relative to the root.
    """

    def __init__(self, patterns: Iterable[str]) -> None:
        self.patterns = tuple(patterns)

    @cached_property
    def _compiled(self) -> list[list[re.Pattern[str] | None]]:
        """Each pattern name by name; None stands for `**`."""
        return [
            [
                None if name == "**" else re.compile(translate(name))
                for name in pattern.split("/")
                if name not in ("", ".")
            ]
            for pattern in self.patterns
        ]

    @cached_property
    def _dotted(self) -> list[list[bool]]:
        """Whether each name of each pattern begins with a dot, and so may match one that does."""
        return [[n.startswith(".") for n in p.split("/") if n not in ("", ".")] for p in self.patterns]

    def grants(self, parts: Parts) -> bool:
        """Whether a pattern matches this path."""
        return bool(parts) and any(
            self._match(pattern, dots, parts, whole=True)
            for pattern, dots in zip(self._compiled, self._dotted, strict=True)
        )

    def leads(self, parts: Parts) -> bool:
        """Whether this could be a folder on the way to a path that a pattern matches."""
        return any(
            self._match(pattern, dots, parts, whole=False)
            for pattern, dots in zip(self._compiled, self._dotted, strict=True)
        )

    @staticmethod
    def _match(pattern: list[re.Pattern[str] | None], dots: list[bool], parts: Parts, *, whole: bool) -> bool:
        reached = {0}
        """Places in the pattern that the names so far can have led to."""
        last = len(pattern) - 1
        for name in parts:
            following = set()
            for at in _past(pattern, reached):
                each = pattern[at] if at <= last else None
                if at > last or (name.startswith(".") and not dots[at]):
                    continue
                if each is None:
                    following |= {at, at + 1} if at == last else {at}
                elif each.match(name):
                    following.add(at + 1)
            reached = following
        return last + 1 in reached if whole else any(at <= last for at in reached)

    def scratch(self) -> str | None:
        """A folder below which anything may be made: that of the first pattern that ends in `**`."""
        for pattern in self.patterns:
            *front, last = [name for name in pattern.split("/") if name not in ("", ".")] or [""]
            if last == "**" and not any(character in name for name in front for character in "*?["):
                return "/".join(front)
        return None


def _past(pattern: list[re.Pattern[str] | None], reached: set[int]) -> set[int]:
    """Places that can be reached without another name: `**` stands for no folder too, but at the end for a name."""
    found = set(reached)
    for start in reached:
        at = start
        while at < len(pattern) - 1 and pattern[at] is None:
            at += 1
            found.add(at)
    return found


def in_words(patterns: Iterable[str]) -> str:
    """Globs for a message."""
    return ", ".join(patterns) or "nothing"


def escaped(text: str) -> str:
    """A path without control and other invisible characters."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else c.encode("unicode_escape", "surrogatepass").decode() for c in text)


def printable(text: str) -> str:
    """A path for records and messages: escaped, and bounded."""
    return escaped(text if len(text) <= _SHOWN_CHARS else f"{text[:_SHOWN_CHARS]}...")
