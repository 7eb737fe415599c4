"""What host code prints while it performs an operation: it belongs to the agent that asked, not to the host's terminal.

    with overheard() as text: lower(...)    # text.getvalue(): what this thread has printed

Standard output is one for the whole process. While any operation listens it is split by thread; what other threads
print goes where it went before. Nothing is replaced while nobody listens.
"""

from __future__ import annotations

import io
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

__all__ = ["MOST", "overheard"]

MOST: Final = 1 << 20
"""Characters of one operation's output that are kept."""

_lock: Final = threading.Lock()
_listening: Final[dict[int, io.StringIO]] = {}
"""Thread to the innermost operation that listens there."""


class _Split(io.TextIOBase):
    """Standard output, by thread."""

    def __init__(self, rest: Any) -> None:
        super().__init__()
        self.rest = rest
        self.users = 0

    def write(self, text: str) -> int:
        """Keep it for the operation of this thread, or pass it on."""
        own = _listening.get(threading.get_ident())
        if own is None:
            return int(self.rest.write(text))
        return own.write(text[: max(0, MOST - own.tell())]) and len(text)

    def flush(self) -> None:
        """Pass it on."""
        self.rest.flush()

    def __getattr__(self, name: str) -> Any:
        return getattr(self.rest, name)


@contextmanager
def overheard() -> Iterator[io.StringIO]:
    """Listen to what this thread prints; operations inside (callbacks of the agent) listen for themselves."""
    thread, own = threading.get_ident(), io.StringIO()
    with _lock:
        split: Any = sys.stdout
        if not isinstance(split, _Split):
            sys.stdout = split = _Split(split)
        split.users += 1
        before = _listening.get(thread)
        _listening[thread] = own
    try:
        yield own
    finally:
        with _lock:
            if before is None:
                del _listening[thread]
            else:
                _listening[thread] = before
            split.users -= 1
            rest: Any = split.rest
            if not split.users and sys.stdout is split:
                sys.stdout = rest
