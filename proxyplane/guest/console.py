"""The guest's standard streams: text goes to the host in frames, nothing comes in."""

from __future__ import annotations

import io
import time
from collections.abc import Callable, Iterable
from typing import Any, Final, NoReturn

__all__ = ["Console", "NoInput", "OutputStream"]

_FLUSH_CHARS: Final = 8192
_FLUSH_SECONDS: Final = 0.1
_FRAME_CHARS: Final = 1 << 16
_NOTE_CHARS: Final = 64
"""Kept free under the bound for the line that says how much was dropped."""


class _Bytes:
    """The `buffer` of a stream: bytes, decoded as UTF-8."""

    def __init__(self, stream: OutputStream) -> None:
        self._stream = stream

    def write(self, data: bytes) -> int:
        self._stream.write(bytes(data).decode("utf-8", "replace"))
        return len(data)

    def flush(self) -> None:
        self._stream.flush()


class OutputStream(io.TextIOBase):
    """A text stream whose text becomes OUTPUT frames.

    Args:
        emit: sends a text to the host.
        before: called before text is taken, so that the two streams keep their order.
        limit: characters of one run that are sent; the rest is counted and dropped.
    """

    encoding = "utf-8"
    errors = "surrogatepass"

    def __init__(self, emit: Callable[[str], None], before: Callable[[OutputStream], None], limit: int) -> None:
        super().__init__()
        self._emit = emit
        self._before = before
        self._limit = limit
        self._parts: list[str] = []
        self._held = 0
        self._sent_at = 0.0
        self._taken = 0
        self._dropped = 0
        self.buffer = _Bytes(self)

    def write(self, text: str) -> int:
        """Take text. Sent when 8 KiB are held, or with a line's end when nothing was sent for 0.1 s."""
        if not isinstance(text, str):
            raise TypeError(f"write() argument must be str, not {type(text).__name__}")
        room = self._limit - self._taken
        if len(text) > room:
            self._dropped += len(text) - room
            kept = str.__getitem__(text, slice(0, room))
        else:
            kept = str.__str__(text)
        if kept:
            self._before(self)
            self._taken += len(kept)
            self._held += len(kept)
            self._parts.append(kept)
            if self._held >= _FLUSH_CHARS or ("\n" in kept and time.monotonic() - self._sent_at > _FLUSH_SECONDS):
                self.flush()
        return len(text)

    def writelines(self, lines: Iterable[str]) -> None:  # type: ignore[override]
        """Take several texts."""
        for line in lines:
            self.write(line)

    def flush(self) -> None:
        """Send what is held."""
        if self._parts:
            text = "".join(self._parts)
            self._parts, self._held = [], 0
            self._sent_at = time.monotonic()
            for start in range(0, len(text), _FRAME_CHARS):
                self._emit(text[start : start + _FRAME_CHARS])

    def holds(self) -> bool:
        """Whether text is held that the host does not have yet."""
        return bool(self._parts)

    def finish(self) -> None:
        """End of a run: send everything, say how much was dropped, begin to count anew."""
        if self._dropped:
            self._parts.append(f"\n... output cut: {self._dropped} more characters ...\n")
        self.flush()
        self._taken = self._dropped = 0

    def writable(self) -> bool:
        """True."""
        return True

    def isatty(self) -> bool:
        """False."""
        return False

    def fileno(self) -> int:
        """There is none.

        Raises:
            io.UnsupportedOperation: always.
        """
        raise io.UnsupportedOperation("the guest's standard streams have no file descriptor")

    def close(self) -> None:
        """Send what is held; the stream stays open, since later code of the agent needs it."""
        self.flush()


class NoInput(io.TextIOBase):
    """Standard input of a guest: at its end from the start."""

    encoding = "utf-8"

    def _refuse(self, *_: Any) -> NoReturn:
        raise EOFError("there is no standard input here; put the text into the code")

    read = readline = readlines = __next__ = _refuse

    def readable(self) -> bool:
        """True."""
        return True


class Console:
    """Both output streams.

    Args:
        send: sends one text of one stream (1 standard output, 2 standard error).
        limit: characters of one run and stream, with the line that says how much was cut.
    """

    def __init__(self, send: Callable[[int, str], None], limit: int) -> None:
        limit = max(limit - _NOTE_CHARS, 0)
        self.out = OutputStream(lambda text: send(1, text), self._other_first, limit)
        self.err = OutputStream(lambda text: send(2, text), self._other_first, limit)

    def _other_first(self, writing: OutputStream) -> None:
        other = self.err if writing is self.out else self.out
        if other.holds():
            other.flush()

    def finish(self) -> None:
        """End of a run."""
        self.out.finish()
        self.err.finish()
