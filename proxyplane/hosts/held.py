"""Objects that hold a file or buffer open and write it when they are closed: which one it is, in the agent's words.

An `ExcelWriter` was given a private path; what names its file in a policy and in records is what the agent wrote.
"""

from __future__ import annotations

import io
from typing import Any, Final, NamedTuple
from weakref import WeakKeyDictionary

__all__ = ["Lent", "forget_buffers", "holds_open", "lent_buffers", "path_of", "remember"]

_HOLDERS: Final = frozenset(
    "pandas.ExcelFile pandas.ExcelWriter pandas.HDFStore pandas.io.excel._openpyxl.OpenpyxlWriter "
    "pandas.io.excel._xlsxwriter.XlsxWriter pandas.io.excel._odswriter.ODSWriter".split()
)
"""Exact types: a class of another library with such a name is none."""


class Lent(NamedTuple):
    """A buffer of the agent's that the host writes into later."""

    at: int | str
    """Its place among the arguments of the call that lent it."""
    buffer: io.StringIO | io.BytesIO


_paths: WeakKeyDictionary[Any, str] = WeakKeyDictionary()
_buffers: WeakKeyDictionary[Any, list[Lent]] = WeakKeyDictionary()


def holds_open(value: Any) -> bool:
    """Whether it is a writer or reader of pandas that keeps its file open."""
    kind = type(value)
    return f"{kind.__module__}.{kind.__qualname__}" in _HOLDERS


def remember(value: Any, path: str | None, buffers: list[Lent]) -> None:
    """Keep what an object was opened on.

    Args:
        value: the object.
        path: as the agent wrote it; None for a buffer.
        buffers: of the agent, that were given.
    """
    if not holds_open(value):
        return
    if path is not None:
        _paths[value] = path
        if type(value).__name__ == "HDFStore":
            value._path = path  # what its repr says
    if buffers:
        _buffers[value] = buffers


def path_of(value: Any) -> str | None:
    """The agent's path of the file that an object holds open; None where it holds none."""
    return _paths.get(value) if holds_open(value) else None


def lent_buffers(value: Any) -> list[Lent]:
    """The agent's buffers that an object holds."""
    return _buffers.get(value, []) if holds_open(value) else []


def forget_buffers(value: Any) -> None:
    """They were given back."""
    if holds_open(value):
        _buffers.pop(value, None)
