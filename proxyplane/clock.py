"""Time and identifiers behind one small seam, so that tests never sleep."""

from __future__ import annotations

import os
import time
from typing import Protocol

__all__ = ["Clock", "Identifiers", "SystemClock"]


class Clock(Protocol):
    """Wall time for people, monotonic time for order and durations; both int nanoseconds."""

    def wall(self) -> int: ...

    def mono(self) -> int: ...


class SystemClock:
    """The clocks of this machine."""

    wall = staticmethod(time.time_ns)
    mono = staticmethod(time.monotonic_ns)


class Identifiers:
    """UUIDv7 values as 16 bytes, strictly increasing within one instance (RFC 9562, 6.2 method 2).

    The random part starts from `os.urandom` and is then counted up, which costs no system call per
    identifier and keeps them unguessable across instances.
    """

    __slots__ = ("_clock", "_count", "_head", "_milliseconds")

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._milliseconds = -1
        self._head = b""
        # Variant 0b10, then a count that starts at random in the lower half of its 62 bits: it cannot run over.
        self._count = 0b10 << 62 | int.from_bytes(os.urandom(8), "big") >> 3

    def next(self) -> bytes:
        """The next identifier."""
        now = self._clock.wall() // 1_000_000
        if now > self._milliseconds:  # a clock that steps back does not take the order with it
            self._milliseconds = now
            self._head = ((now & 0xFFFFFFFFFFFF) << 16 | 0x7000).to_bytes(8, "big")
        self._count = count = self._count + 1
        return self._head + count.to_bytes(8, "big")
