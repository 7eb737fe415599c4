"""Lines of a TOML text: where each table, key and array element stands.

`tomllib` gives values without positions. This scanner reads a text that `tomllib` has *already accepted*, so it
only has to find the extent of things and never has to judge them. Source: TOML 1.0.0, https://toml.io/en/v1.0.0.
"""

from __future__ import annotations

import re
import tomllib
from bisect import bisect_right

__all__ = ["Path", "locate", "nearest"]

Path = tuple[str | int, ...]
"""Keys and array indexes from the top of the file, as `("rules", 2, "effect", 0)`."""

_BARE = re.compile(r"[A-Za-z0-9_-]+")
_SCALAR = re.compile(r"[^,\]}#\n]*")
_GAP = re.compile(r"(?:[ \t\r\n]+|#[^\n]*)*")
_SPACE = re.compile(r"[ \t]*")
_BASIC = re.compile(r'"(?:[^"\\\n]|\\.)*"')
_LITERAL = re.compile(r"'[^'\n]*'")
_BASIC_BLOCK = re.compile(r'"""(?:[^\\]|\\[\s\S])*?"{3,5}')
_LITERAL_BLOCK = re.compile(r"'''[\s\S]*?'{3,5}")


def locate(text: str) -> dict[Path, int]:
    """The 1-based line of every table, key and array element.

    Args:
        text: TOML that `tomllib.loads` accepts.
    """
    return _Scanner(text.replace("\r\n", "\n")).document()


def nearest(lines: dict[Path, int], path: Path) -> int | None:
    """The line of the path, or of the innermost thing around it that has one."""
    for end in range(len(path), 0, -1):
        line = lines.get(path[:end])
        if line is not None:
            return line
    return None


class _Scanner:
    """One walk over one text."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.at = 0
        self.lines: dict[Path, int] = {}
        self._starts = [0, *(match.end() for match in re.finditer("\n", text))]
        self._tables: dict[Path, int] = {}
        """Index of the newest element of each array of tables."""

    def document(self) -> dict[Path, int]:
        prefix: Path = ()
        while self._skip(_GAP) < len(self.text):
            start = self.at
            if self.text.startswith("[[", start):
                self.at += 2
                prefix = self._next_element(self._key(), start)
                self.at = self.text.index("]]", self.at) + 2
            elif self.text[start] == "[":
                self.at += 1
                prefix = self._resolve(self._key())
                self._note(prefix, start, always=True)
                self.at = self.text.index("]", self.at) + 1
            else:
                self._pair(prefix)
        return self.lines

    def _next_element(self, keys: tuple[str, ...], start: int) -> Path:
        array = (*self._resolve(keys[:-1]), keys[-1])
        index = self._tables[array] = self._tables.get(array, -1) + 1
        self._note((*array, index), start)
        return (*array, index)

    def _resolve(self, keys: tuple[str, ...]) -> Path:
        """The path of a header: below an array of tables it means the newest element."""
        path: Path = ()
        for key in keys:
            path = (*path, key)
            if path in self._tables:
                path = (*path, self._tables[path])
        return path

    def _note(self, path: Path, start: int, *, always: bool = False) -> None:
        line = bisect_right(self._starts, start)
        for end in range(1, len(path)):
            self.lines.setdefault(path[:end], line)
        if always:  # a table's own header is a better place than a header of something inside it
            self.lines[path] = line
        else:
            self.lines.setdefault(path, line)

    def _skip(self, pattern: re.Pattern[str]) -> int:
        match = pattern.match(self.text, self.at)
        if match is not None:
            self.at = match.end()
        return self.at

    def _key(self) -> tuple[str, ...]:
        """A key with its dots; leaves the position behind it and the blanks that follow."""
        parts: list[str] = []
        while True:
            start = self._skip(_SPACE)
            quote = self.text[start]
            if quote in "\"'":
                self._skip(_BASIC if quote == '"' else _LITERAL)
                parts.append(str(tomllib.loads("k = " + self.text[start : self.at])["k"]))
            else:
                parts.append(self.text[start : self._skip(_BARE)])
            end = self._skip(_SPACE)
            if not self.text.startswith(".", end):
                return tuple(parts)
            self.at = end + 1

    def _pair(self, prefix: Path) -> None:
        start = self.at
        path = (*prefix, *self._key())
        self._note(path, start)
        self.at += 1  # the equals sign
        self._skip(_SPACE)
        self._value(path)

    def _value(self, path: Path) -> None:
        rest = self.text[self.at : self.at + 3]
        if rest == '"""':
            self._skip(_BASIC_BLOCK)
        elif rest == "'''":
            self._skip(_LITERAL_BLOCK)
        elif rest[:1] == '"':
            self._skip(_BASIC)
        elif rest[:1] == "'":
            self._skip(_LITERAL)
        elif rest[:1] == "[":
            self._array(path)
        elif rest[:1] == "{":
            self._inline(path)
        else:
            self._skip(_SCALAR)

    def _array(self, path: Path) -> None:
        self.at += 1
        index = 0
        while self.text[self._skip(_GAP)] != "]":
            if self.text[self.at] == ",":
                self.at += 1
                continue
            self._note((*path, index), self.at)
            self._value((*path, index))
            index += 1
        self.at += 1

    def _inline(self, path: Path) -> None:
        self.at += 1
        while self.text[self._skip(_GAP)] != "}":
            if self.text[self.at] == ",":
                self.at += 1
            else:
                self._pair(path)
        self.at += 1
