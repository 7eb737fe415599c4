"""MCP over standard streams: a client starts this process and speaks to it, one JSON document on a line.

The streams are taken first of all, before any other process is started: from then on the descriptors 0 and 1 are
nothing and standard error, so that nobody but this module reads what the client sends or writes what it reads.
"""

from __future__ import annotations

import asyncio
import fcntl
import os
import queue
import signal
import sys
import threading
from collections.abc import Callable
from typing import Any, BinaryIO, Final, NamedTuple

from mcp.server import Server
from mcp.server.stdio import stdio_server

__all__ = ["Streams", "serve"]

_LINE_BYTES: Final = 8 << 20
_AHEAD: Final = 32
"""Lines that are read before the first of them is taken."""


class Streams(NamedTuple):
    """The client's ends."""

    reading: BinaryIO
    writing: BinaryIO

    @classmethod
    def take(cls) -> Streams:
        """Take standard input and output away from all else in this process, and its children.

        Raises:
            OSError: one of them is closed.
        """
        sys.stdout.flush()
        reading = fcntl.fcntl(0, fcntl.F_DUPFD_CLOEXEC, 3)
        writing = fcntl.fcntl(1, fcntl.F_DUPFD_CLOEXEC, 3)
        nothing = os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC)
        os.dup2(nothing, 0)
        os.close(nothing)
        os.dup2(2, 1)
        return cls(os.fdopen(reading, "rb"), os.fdopen(writing, "wb", buffering=0))


class _Lines:
    """The lines of a stream, read by a thread that a signal need not wait for."""

    def __init__(self, stream: BinaryIO, told: Callable[[str], None]) -> None:
        self._stream = stream
        self._told = told
        self._loop = asyncio.get_running_loop()
        self._queue: asyncio.Queue[bytes] = asyncio.Queue()
        self._room = threading.Semaphore(_AHEAD)
        threading.Thread(target=self._read, name="proxyplane-mcp-in", daemon=True).start()

    def _read(self) -> None:
        line = b"\n"
        while line:
            self._room.acquire()
            try:
                line = self._stream.readline(_LINE_BYTES + 1)
            except OSError:
                line = b""
            if len(line) > _LINE_BYTES:
                self._told(f"a message of more than {_LINE_BYTES:,} bytes came; the connection ends")
                line = b""
            try:
                self._loop.call_soon_threadsafe(self._queue.put_nowait, line)
            except RuntimeError:  # the loop has ended
                return

    def __aiter__(self) -> _Lines:
        return self

    async def __anext__(self) -> str:
        line = await self._queue.get()
        self._room.release()
        if not line:
            raise StopAsyncIteration
        return line.decode("utf-8", "replace")


class _Out:
    """Where answers are written, by a thread: a client that does not read holds up nothing else."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream
        self._loop = asyncio.get_running_loop()
        self._queue: queue.SimpleQueue[tuple[bytes, asyncio.Future[None]]] = queue.SimpleQueue()
        self._text = ""
        threading.Thread(target=self._write, name="proxyplane-mcp-out", daemon=True).start()

    def _write(self) -> None:
        while True:
            data, written = self._queue.get()
            try:
                while data:
                    data = data[self._stream.write(data) or 0 :]
            except OSError:
                pass  # the client is gone; the end of its own stream ends us
            try:
                self._loop.call_soon_threadsafe(_settle, written)
            except RuntimeError:  # the loop has ended
                return

    async def write(self, text: str) -> None:
        self._text += text

    async def flush(self) -> None:
        text, self._text = self._text, ""
        written: asyncio.Future[None] = self._loop.create_future()
        self._queue.put((text.encode("utf-8"), written))
        await written


def _settle(written: asyncio.Future[None]) -> None:
    if not written.done():
        written.set_result(None)


def serve(server: Server[Any], streams: Streams, told: Callable[[str], None]) -> None:
    """Serve one client until its stream ends, or a signal asks to end.

    Args:
        server: what answers.
        streams: of the client.
        told: takes what a person should know.
    """

    async def main() -> None:
        loop, task = asyncio.get_running_loop(), asyncio.current_task()
        assert task is not None
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            loop.add_signal_handler(number, task.cancel)
        lines: Any = _Lines(streams.reading, told)
        out: Any = _Out(streams.writing)
        try:
            async with stdio_server(lines, out) as (reading, writing):
                await server.run(reading, writing, server.create_initialization_options())
        except asyncio.CancelledError:
            told("asked to end")

    asyncio.run(main())
