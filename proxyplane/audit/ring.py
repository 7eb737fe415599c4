"""The way from the host to the log writer: a ring of bytes in memory that both map.

One process puts, the other takes. Putting is a copy into the mapping and no system call, and what was put is in
memory of the kernel's keeping: it outlives the process that put it. Nothing is overwritten before it was taken.

Layout: one page with the header, then the data. The header holds native-endian words of 64 bits, each on a cache
line of its own: at 0 the magic, at 64 the head (bytes ever put, written by the host only), at 128 the tail (bytes
ever taken, written by the writer only). What lies between tail and head is whole frames. The head is stored, as one
aligned word, after the bytes are there; on machines that may show the two in the other order the taker sees a frame
whose CRC does not match yet, and looks again.

Standard library only (the log-writer process runs this).
"""

from __future__ import annotations

import fcntl
import mmap
import os
from typing import Final

__all__ = ["Ring", "RingError"]

_PAGE: Final = 4096
_MAGIC: Final = int.from_bytes(b"PPRING\0\1", "little")
_HEAD: Final = 8
_TAIL: Final = 16


class RingError(Exception):
    """The header of the ring says what cannot be: something wrote into memory that is not its own."""


class Ring:
    """One end of the ring. The putter must be locked against other threads by its owner.

    Args:
        memory: descriptor of the shared memory; stays the caller's to close.
        create: lay the header out (the host's end) instead of checking it.

    Raises:
        RingError: the memory is not a ring.
    """

    __slots__ = ("_map", "_mask", "_seen", "_words", "capacity")

    def __init__(self, memory: int, *, create: bool = False) -> None:
        size = os.fstat(memory).st_size
        self.capacity = size - _PAGE
        """Bytes that fit, a power of two."""
        if self.capacity < _PAGE or self.capacity & (self.capacity - 1):
            raise RingError("the shared memory has not the size of a ring")
        self._mask = self.capacity - 1
        self._map = mmap.mmap(memory, size)
        self._words = memoryview(self._map)[:_PAGE].cast("Q")
        self._seen = 0
        if create:
            self._words[0] = _MAGIC
        elif self._words[0] != _MAGIC:
            raise RingError("the shared memory does not begin like a ring")

    def put(self, frame: bytes) -> int:
        """Copies a frame in. Returns the bytes ever put; 0 when there is no room for it now.

        Raises:
            RingError: the header is not what it can be.
        """
        words = self._words
        head = words[_HEAD]
        size = len(frame)
        if head - self._seen + size > self.capacity:
            tail = words[_TAIL]
            if not self._seen <= tail <= head:
                raise RingError("the tail of the ring is not between where it was and the head")
            self._seen = tail
            if head - tail + size > self.capacity:
                return 0
        at = head & self._mask
        room = self.capacity - at
        if size <= room:
            self._map[_PAGE + at : _PAGE + at + size] = frame
        else:
            self._map[_PAGE + at : _PAGE + at + room] = frame[:room]
            self._map[_PAGE : _PAGE + size - room] = frame[room:]
        words[_HEAD] = head = head + size
        return head

    @property
    def head(self) -> int:
        """Bytes ever put."""
        return self._words[_HEAD]

    def peek(self) -> bytes:
        """Everything that was put and not yet taken; stays in the ring until `take`.

        Raises:
            RingError: the header is not what it can be.
        """
        head, tail = self._words[_HEAD], self._seen
        if head == tail:
            return b""
        if not tail < head <= tail + self.capacity or self._words[_TAIL] != tail:
            raise RingError("the head of the ring is not between the tail and one ring further")
        at, size = tail & self._mask, head - tail
        room = self.capacity - at
        if size <= room:
            return self._map[_PAGE + at : _PAGE + at + size]
        return self._map[_PAGE + at : _PAGE + self.capacity] + self._map[_PAGE : _PAGE + size - room]

    def take(self, size: int) -> None:
        """Gives the room of the first `size` bytes back."""
        self._seen += size
        self._words[_TAIL] = self._seen

    def close(self) -> None:
        """Unmaps the memory."""
        self._words.release()
        self._map.close()


def shared_memory(capacity: int) -> int:
    """Descriptor of anonymous memory for a ring of `capacity` bytes (a power of two), which nobody can resize."""
    memory = os.memfd_create("proxyplane-audit-ring", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    os.ftruncate(memory, _PAGE + capacity)
    fcntl.fcntl(memory, fcntl.F_ADD_SEALS, fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_SEAL)
    return memory
