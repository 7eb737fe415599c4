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

    __slots__ = ("_clock", "_counter", "_last")

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._last = 0
        self._counter = 0

    def next(self) -> bytes:
        """The next identifier."""
        now = self._clock.wall() // 1_000_000
        if now > self._last:
            self._last = now
            if self._counter >> 73 or not self._counter:
                self._counter = int.from_bytes(os.urandom(9), "big")
        self._counter += 1
        count = self._counter
        value = (
            (self._last & 0xFFFFFFFFFFFF) << 80
            | 0x7 << 76
            | (count >> 62 & 0xFFF) << 64
            | 0b10 << 62
            | (count & 0x3FFFFFFFFFFFFFFF)
        )
        return value.to_bytes(16, "big")
