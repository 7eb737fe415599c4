"""One open file of the agent: bytes that are read from the host once, and written there as they come.

Below the standard library's own buffers and text layers, so lines, encodings, newlines and seeking are Python's.
"""

from __future__ import annotations

import io
import os
from collections.abc import Callable
from typing import Any, Final, Protocol

__all__ = ["Ask", "RawFile", "wrap"]

_WRITE_BYTES: Final = 1 << 20
"""Bytes of one write: each is an operation."""
_READ_BUFFER: Final = 1 << 16


class Ask(Protocol):
    """Asks the host's folder for one operation."""

    def __call__(self, member: str, path: Any, /, *more: Any) -> Any: ...


class RawFile(io.RawIOBase):
    """An unbuffered file.

    Args:
        ask: asks the host.
        path: as the agent wrote it.
        letters: of the mode: one of `r w a x`, `+`, `b`; `s` for `a` that writes at its place and not at the end.
        size: bytes that it has now.
        closed: told when it is closed.
    """

    def __init__(self, ask: Ask, path: Any, letters: set[str], size: int, closed: Callable[[RawFile], None]) -> None:
        super().__init__()
        self._ask = ask
        self._letters = letters
        self._size = size
        self._content: bytes | None = None
        self._own: bytearray | None = None
        """All of it, once its name is gone: a temporary file lives on in here."""
        self._on_close = closed
        self.name = self._path = path
        self.number: int | None = None
        """Its descriptor, where it was opened as one."""
        self.mode = "".join(letter for letter in "rwaxb+" if letter in letters)
        self._appends = "a" in letters and "s" not in letters
        self._position = size if self._appends else 0

    @property
    def kind(self) -> str:
        """`r`, `w` or `a`: what host code may do with it."""
        return "a" if self._appends else "w" if self.writable() else "r"

    @property
    def started(self) -> bool:
        """Whether something of it was read here."""
        return self._content is not None

    @property
    def nameless(self) -> bool:
        """Whether its name was removed while it was open."""
        return self._own is not None

    def keep(self) -> None:
        """Its name is about to be removed: what it holds stays, as natively."""
        if self._own is None and not self.closed:
            self._own = bytearray(self._ask("read", self._path) if self._size else b"")

    def is_at(self, path: Any) -> bool:
        """Whether it was opened under this name."""
        return bool(os.fspath(self._path) == os.fspath(path))

    def again(self) -> RawFile:
        """The same file, opened once more."""
        return RawFile(self._ask, self._path, self._letters, self._size, lambda raw: None)

    def grown(self, end: int) -> None:
        """Host code has used it: what was read may have changed, and it may be longer."""
        self._content = None
        self._size = max(self._size, end)

    def readable(self) -> bool:
        """Whether the mode allows reading."""
        return "r" in self._letters or "+" in self._letters

    def writable(self) -> bool:
        """Whether the mode allows writing."""
        return "r" not in self._letters or "+" in self._letters

    def seekable(self) -> bool:
        """True."""
        return True

    def fileno(self) -> int:
        """Its descriptor, where it was opened as one.

        Raises:
            io.UnsupportedOperation: it was not.
        """
        if self.number is None:
            raise io.UnsupportedOperation("a file of the host has no file descriptor here")
        return self.number

    def readinto(self, buffer: Any) -> int:
        """Read as much as there is room for."""
        self._check("read", self.readable())
        if self._own is not None:
            self._content = bytes(self._own)
        elif self._content is None:
            self._content = self._ask("read", self._path)
            self._size = len(self._content)
        part = self._content[self._position : self._position + len(memoryview(buffer).cast("B"))]
        memoryview(buffer).cast("B")[: len(part)] = part
        self._position += len(part)
        return len(part)

    def write(self, data: Any) -> int:
        """Write all of it on the host."""
        self._check("write", self.writable())
        whole = bytes(memoryview(data).cast("B"))
        if self._own is not None:
            at = len(self._own) if self._appends else self._position
            self._own.extend(bytes(max(0, at - len(self._own))))
            self._own[at : at + len(whole)] = whole
            self._size, self._position = len(self._own), at + len(whole)
            return len(whole)
        for start in range(0, len(whole), _WRITE_BYTES):
            part = whole[start : start + _WRITE_BYTES]
            self._size = self._ask("write", self._path, part, None if self._appends else self._position)
            self._position = self._size if self._appends else self._position + len(part)
        if whole:
            self._content = None
        return len(whole)

    def seek(self, position: int, whence: int = os.SEEK_SET) -> int:
        """Move."""
        self._check("seek", True)
        start = {os.SEEK_SET: 0, os.SEEK_CUR: self._position, os.SEEK_END: self._size}[whence]
        if start + position < 0:
            raise ValueError(f"negative seek value {start + position}")
        self._position = start + position
        return self._position

    def tell(self) -> int:
        """Where it is."""
        self._check("tell", True)
        return self._position

    def truncate(self, size: int | None = None) -> int:
        """Make it exactly so long, by default as far as it is."""
        self._check("truncate", self.writable())
        end = self._position if size is None else size
        if self._own is not None:
            del self._own[end:]
            self._own.extend(bytes(end - len(self._own)))
            self._size = end
        else:
            self._size = self._ask("cut", self._path, end)
        self._content = None
        return self._size

    def close(self) -> None:
        """Nothing is held on the host."""
        if not self.closed:
            super().close()
            self._on_close(self)

    def _check(self, what: str, able: bool) -> None:
        if self.closed:
            raise ValueError("I/O operation on closed file.")
        if not able:
            raise io.UnsupportedOperation(f"not {what}able" if what == "read" else "not writable")


def wrap(
    raw: RawFile, letters: set[str], buffering: int, encoding: str | None, errors: str | None, newline: str | None
) -> Any:
    """The file object that `open` gives: raw, buffered or text."""
    if buffering == 0:
        return raw
    size = buffering if buffering > 1 else _WRITE_BYTES
    buffer: Any
    if raw.readable() and raw.writable():
        buffer = io.BufferedRandom(raw, size)
    elif raw.writable():
        buffer = io.BufferedWriter(raw, size)
    else:
        buffer = io.BufferedReader(raw, min(size, _READ_BUFFER))
    if "b" in letters:
        return buffer
    text: Any = io.TextIOWrapper(buffer, encoding or "utf-8", errors, newline, line_buffering=buffering == 1)
    text.mode = "".join(letter for letter in "rwax+" if letter in letters)
    text.proxyplane_newline = newline
    return text
