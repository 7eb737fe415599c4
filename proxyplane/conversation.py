"""The host's end of the talk with one guest process.

A conversation is a stack of exchanges. The bottom one is a run; while the host performs a request of the guest, host
code may call back into the guest, which opens an exchange on top, inside which the guest may send requests again. A
callback may come from any thread of the host (libraries call from pools): a new exchange may begin only while the
topmost one is performing a request, and a request is answered only when its exchange is the topmost again.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from typing import Any

from proxyplane.display import Displays
from proxyplane.errors import GuestCrashed, GuestError, GuestTimeout, ProtocolError
from proxyplane.launch import GuestProcess
from proxyplane.operations import VERBS
from proxyplane.transport.wire import PROTOCOL, SPINS, Channel, Kind, Limits

__all__ = ["Conversation", "Output"]

Perform = Callable[["Exchange", list[Any]], list[Any]]


class Exchange:
    """One level of the stack: something the host asked of the guest and has no answer to yet."""

    __slots__ = ("operation", "performing", "returned", "thread")

    def __init__(self) -> None:
        self.performing = False
        self.thread = threading.get_ident()
        """The thread that serves this level, and performs its requests."""
        self.operation: Any = None
        """The operation that is being performed on this level."""
        self.returned: list[Any] = []
        """Objects of the session that callbacks returned into that operation."""


class Output:
    """What a run printed, bounded; what is beyond the bound is counted and marked."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._parts: list[str] = []
        self._kept = 0
        self._cut = 0

    def write(self, text: str) -> str:
        """Keep the text, as far as the bound allows; what was kept."""
        room = self._limit - self._kept
        if len(text) > room:
            self._cut += len(text) - room
            text = text[:room]
        if text:
            self._parts.append(text)
            self._kept += len(text)
        return text

    def text(self) -> str:
        """All of it."""
        text = "".join(self._parts)
        return f"{text}\n... output cut: {self._cut} more characters ...\n" if self._cut else text


class Conversation:
    """Frames to and from one guest.

    Args:
        process: the guest; the conversation owns it.
        limits: bounds on what it may send.
        perform: answers one request frame with one frame.
    """

    def __init__(self, process: GuestProcess, limits: Limits, perform: Perform) -> None:
        self.process = process
        self.report: dict[str, Any] = {}
        self.requests = 0
        self.spins = 0
        self.stdout = Output(limits.output_chars)
        self.stderr = Output(limits.output_chars)
        self.displays = Displays()
        self.printed: Callable[[int, str], None] | None = None
        """Told what the guest prints, as it comes: 1 or 2 for standard output or error, and the text."""
        self._limits = limits
        self._perform = perform
        self._channel = Channel(process.sock, frame_bytes=limits.frame_bytes)
        self._channel.tick(0.1)
        self._stack: list[Exchange] = []
        self._turn = threading.Condition()
        self._ids = 0
        self._fatal: BaseException | None = None
        self._forget: list[int] = []

    def hello(self, deadline: float) -> dict[str, Any]:
        """Wait for the guest to report how it is locked down.

        Args:
            deadline: monotonic seconds.

        Raises:
            GuestCrashed: it ended before it said anything.
            ProtocolError: it said something else.
        """
        self._channel.deadline = deadline
        try:
            message = self._channel.receive()
        except EOFError:
            raise GuestCrashed(f"the guest did not start: {self.ending()}") from None
        if len(message) != 3 or message[0] != Kind.HELLO or message[1] != PROTOCOL or type(message[2]) is not dict:
            raise ProtocolError("a guest began with something else than hello")
        self.report = message[2]
        return self.report

    def ending(self) -> str:
        """How the guest process ended, in words."""
        status = self.process.wait(1.0)
        return str(status) if status is not None else "its socket closed"

    def performing(self) -> list[Exchange]:
        """The exchanges that are performing a request now: this thread's own first, then from the top down."""
        found = [level for level in reversed(self._stack) if level.performing and level.operation is not None]
        here = threading.get_ident()
        return sorted(found, key=lambda level: level.thread != here)

    def begin(self, deadline: float) -> None:
        """A new run: fresh output, fresh counts.

        Args:
            deadline: monotonic seconds until which the guest must be done.
        """
        self.stdout, self.stderr = Output(self._limits.output_chars), Output(self._limits.output_chars)
        self.displays = Displays()
        self.requests = 0
        self._channel.deadline = deadline
        # Only where the other end can run at the same time (measured: 5 ms an operation where it cannot).
        self._channel.spins = self.spins = SPINS if len(os.sched_getaffinity(0)) > 1 else 0

    def extend(self, seconds: float) -> None:
        """The guest had to wait for a person: that time is not its own."""
        if self._channel.deadline is not None:
            self._channel.deadline += seconds

    def next_id(self) -> int:
        """An id for something that the host asks."""
        self._ids += 1
        return self._ids

    def ask(self, frame: list[Any] | Callable[[], list[Any]], *, done: int = Kind.RESULT) -> list[Any]:
        """Send a frame and serve the guest until it answers.

        Args:
            frame: kind, id, ... as `docs/protocol.md` says, or what makes it when its turn has come: types are
                announced in the order of the frames.
            done: the kind of frame that ends it.

        Returns:
            The answering frame; an ERROR frame too.

        Raises:
            EOFError, GuestTimeout, ProtocolError: the guest is gone, late or breaks the protocol.
        """
        exchange = Exchange()
        with self._turn:
            if self._stack:
                if len(self._stack) > self._limits.callbacks:
                    raise RecursionError(f"callbacks nested deeper than {self._limits.callbacks}")
                self._turn.wait_for(lambda: bool(self._fatal) or not self._stack or self._stack[-1].performing)
                if not self._stack:
                    raise GuestError("a guest function was called after its operation had ended")
            if self._fatal is not None:
                raise self._fatal
            self._stack.append(exchange)
        try:
            if self._forget:
                numbers, self._forget = self._forget, []
                self._channel.send([Kind.FORGET, numbers])
            message = frame() if callable(frame) else frame
            self._channel.send(message)
            return self._serve(exchange, message[1], done)
        except (EOFError, GuestCrashed, GuestTimeout, ProtocolError) as error:
            self._fatal = error
            raise
        finally:
            with self._turn:
                if exchange in self._stack:
                    del self._stack[self._stack.index(exchange) :]
                self._turn.notify_all()

    def _serve(self, exchange: Exchange, number: int, done: int) -> list[Any]:
        while True:
            message = self._channel.receive()
            kind = message[0]
            if kind == Kind.REQUEST:
                self._answer(exchange, message)
            elif kind == Kind.OUTPUT:
                self._print(message)
            elif kind in (done, Kind.ERROR):
                if len(message) < 3 or message[1] != number:
                    raise ProtocolError("an answer to something that was not asked")
                return message
            else:
                raise ProtocolError(f"a frame of kind {kind} where an answer or a request was due")

    def _answer(self, exchange: Exchange, message: list[Any]) -> None:
        well_formed = len(message) == 9 and type(message[1]) is int and type(message[2]) is str
        if not well_formed or message[2] not in VERBS:
            raise ProtocolError("a request with the wrong number of fields, or a verb that does not exist")
        self.requests += 1
        if self.requests > self._limits.operations:
            raise ProtocolError(f"more than {self._limits.operations} operations in one run")
        exchange.performing = True
        try:
            reply = self._perform(exchange, message)
        finally:
            if self._stack[-1] is not exchange or len(self._stack) > 1:
                with self._turn:
                    self._turn.wait_for(lambda: bool(self._fatal) or self._stack[-1] is exchange)
            exchange.performing = False
            exchange.operation = None
        if self._fatal is not None:
            raise self._fatal
        self._channel.send(reply)

    def _print(self, message: list[Any]) -> None:
        if len(message) != 3 or message[1] not in (1, 2) or type(message[2]) is not str:
            raise ProtocolError("output that is not a stream and a text")
        kept = (self.stdout if message[1] == 1 else self.stderr).write(message[2])
        if kept and self.printed is not None:
            self.printed(message[1], kept)

    def forget(self, number: int) -> None:
        """The host no longer holds this guest function; the guest is told with the next question."""
        self._forget.append(number)

    def end(self) -> str:
        """Kill the guest and close the socket; how it ended."""
        self.process.kill()
        ending = self.ending()
        self._channel.close()
        self.process.close()
        return ending
