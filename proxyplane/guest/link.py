"""The guest's end of the socket: requests, the frames that arrive while one waits, and what the host may forget.

The guest has one thread and its frames nest: while a request waits, the host may call the agent's functions, which may
send requests of their own. Garbage collection is off between the choice of a request's id and the arrival of its
answer: an agent's `__del__` that runs there could send a request of its own in the middle of a frame.
"""

from __future__ import annotations

import gc
import io
import socket
import sys
from collections.abc import Callable
from typing import Any, Final

import msgpack

from proxyplane.errors import ProtocolError
from proxyplane.guest.failures import AGENT_PREFIX
from proxyplane.guest.files import moved_to
from proxyplane.transport.wire import Channel, Kind, Limits

__all__ = ["HostGone", "Link"]

_MAX_FRAMES_WALKED: Final = 64
"""An agent's line further up the stack than this is not looked for."""


class HostGone(BaseException):
    """The host closed the socket. Not an Exception, so that `except Exception` in the agent's code does not stop it."""


class Link:
    """Requests to the host, and the dispatch of everything that the host sends.

    Args:
        sock: the connected stream socket, which the link owns; None until `connect`.
        frame_bytes: longest frame in either direction, in bytes.

    The collaborators are set once, before the first frame: `encode` and `decode` turn values into wire values and
    back, `announce` makes the classes of announced types, `failure` makes the exception of an error map, `warn` issues
    a warning of the host here, `serve` takes every frame that is not an answer.
    """

    encode: Callable[[Any], Any]
    decode: Callable[[Any], Any]
    announce: Callable[[list[Any]], None]
    failure: Callable[[dict[str, Any]], BaseException]
    serve: Callable[[list[Any]], None]
    warn: Callable[[Any, str], None]

    def __init__(self, sock: socket.socket | None = None, *, frame_bytes: int = Limits().frame_bytes) -> None:
        if sock is not None:
            self.connect(sock, frame_bytes)
        self._pack = msgpack.Packer(use_bin_type=True, unicode_errors="surrogatepass").pack
        self._sequence = 0
        self._stash: dict[int, list[Any]] = {}
        self._waits: set[int] = set()
        self.owed: list[int] = []
        """Callbacks that ended without an answer, because the answer itself failed."""
        self.releases: list[int] = []
        """Flat: handle, count, handle, count ... to go with the next request."""
        self._lent: dict[int, list[Any]] = {}
        """Buffers of the agent that an object of the host writes at its end, by its handle."""
        self.kept: list[Any] = []
        """Items of iterators that a frame names: alive until it is sent, or their release would go before it."""

    def connect(self, sock: socket.socket, frame_bytes: int) -> None:
        """Take the socket, where the link was made before there was one."""
        self._channel = Channel(sock, frame_bytes=frame_bytes)
        self._sock = sock
        self._limit = frame_bytes

    def request(
        self,
        verb: str,
        handle: int,
        member: str | None = None,
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        """Ask the host for one operation.

        Args:
            verb: a verb of the protocol.
            handle: the target.
            member: name of the attribute, method or operator.
            args: positional arguments, any objects of the guest.
            kwargs: keyword arguments.

        Returns:
            The decoded result.

        Raises:
            TypeError, ValueError: an argument cannot cross; nothing was sent.
            BaseException: whatever the host answers, rebuilt.
            HostGone: the socket is closed.
        """
        encode, kept = self.encode, len(self.kept)
        try:
            sent = [encode(x) for x in args] if args else []
            named = {name: encode(x) for name, x in kwargs.items()} if kwargs else None
        except BaseException:
            del self.kept[kept:]
            raise
        if self.owed:
            self._settle()
        message: list[Any] = [Kind.REQUEST, 0, verb, handle, member, sent, named, _agent_line(), None]
        collecting = gc.isenabled()
        if collecting:
            gc.disable()
        try:
            if self.releases:
                message[8], self.releases = self.releases, []
            number = self._sequence + 1
            message[1] = number
            try:
                self._send(message)
            except ValueError:
                self.releases = (message[8] or []) + self.releases
                raise
            self._sequence = number
            if len(self.kept) > kept:
                del self.kept[kept:]
            frame = self._receive()
        finally:
            if collecting:
                gc.enable()
        if frame[0] != Kind.RESULT or frame[1] != number:
            frame = self._wait(number, frame)
        elif frame[3]:
            self.announce(frame[3])
        if len(frame) > 4:
            self._take_sides(frame, handle, args, kwargs)
        if frame[0] == Kind.RESULT:
            value = frame[2]
            return value if type(value) is not list else self.decode(value)
        raise self.failure(frame[2])

    def _take_sides(self, frame: list[Any], handle: int, args: tuple[Any, ...], kwargs: dict[str, Any] | None) -> None:
        """What the host printed, warned of and wrote into buffers while it performed the operation."""
        more = frame[5] if len(frame) > 5 else {}
        lent: list[Any] = []
        for at, content, position in more.get("written") or ():
            if type(at) is int and at < 0:
                write_back(self._lent[handle][-1 - at], content, position)
                continue
            given = (kwargs or {})[at] if type(at) is str else args[at]
            if position < 0:
                lent.append(given)
            else:
                write_back(given, self.decode(content) if type(content) is list else content, position)
        if lent and type(frame[2]) is list:
            self._lent[frame[2][1]] = lent
        if frame[4]:
            sys.stdout.write(frame[4])
        for category, text in more.get("warned") or ():
            self.warn(category, text)

    def _wait(self, number: int, frame: list[Any]) -> list[Any]:
        """The answer to request `number`; `frame` is the first that came. Serves all others."""
        self._waits.add(number)
        try:
            while True:
                kind = frame[0]
                if kind in (Kind.RESULT, Kind.ERROR):
                    # Types are announced once, in the order of the frames, so also those of an answer that waits.
                    if len(frame) > 3 and frame[3]:
                        self.announce(frame[3])
                    if frame[1] == number:
                        return frame
                    if frame[1] in self._waits:
                        self._stash[frame[1]] = frame
                else:
                    self.serve(frame)
                    if number in self._stash:
                        return self._stash.pop(number)
                frame = self.receive()
        finally:
            self._waits.discard(number)
            self._stash.pop(number, None)

    def receive(self) -> list[Any]:
        """The next frame, whatever it is.

        Raises:
            HostGone: the host closed the socket.
        """
        collecting = gc.isenabled()
        if collecting:
            gc.disable()
        try:
            return self._receive()
        finally:
            if collecting:
                gc.enable()

    def spin(self, looks: int) -> None:
        """How often to look for an answer before sleeping; the host knows whether that pays."""
        self._channel.spins = looks

    def _receive(self) -> list[Any]:
        try:
            return self._channel.receive()
        except EOFError:
            raise HostGone("the host is gone") from None

    def send(self, message: list[Any]) -> None:
        """Write one frame.

        Raises:
            ValueError: the frame is longer than the limit; nothing was sent.
            HostGone: the host closed the socket.
        """
        collecting = gc.isenabled()
        if collecting:
            gc.disable()
        try:
            self._send(message)
        finally:
            if collecting:
                gc.enable()

    def _send(self, message: list[Any]) -> None:
        body = self._pack(message)
        if len(body) > self._limit:
            raise ValueError(
                f"{len(body)} bytes do not cross at once, the limit is {self._limit}; send the data in parts"
            )
        try:
            self._sock.sendall(len(body).to_bytes(4, "big") + body)
        except OSError:
            raise HostGone("the host is gone") from None

    def _settle(self) -> None:
        """Answer the callbacks that were left without one: the host waits for each."""
        while self.owed:
            self.send([Kind.ERROR, self.owed[-1], {"type": "RuntimeError", "message": "the callback broke off"}, []])
            self.owed.pop()

    def rest(self) -> None:
        """Forget what a finished run left behind: answers that nobody waits for, callbacks without an answer."""
        self._stash.clear()
        if self.owed:
            self._settle()

    def answer(self, frame: list[Any]) -> None:
        """Serve one frame while nothing waits. A late answer to an abandoned request only announces its types.

        Raises:
            ProtocolError: the host sent something else than a frame of the protocol.
        """
        if frame[0] in (Kind.RESULT, Kind.ERROR):
            if len(frame) > 3 and frame[3]:
                self.announce(frame[3])
        elif Kind.RUN <= frame[0] <= Kind.FORGET:
            self.serve(frame)
        else:
            raise ProtocolError(f"the host sent a frame of kind {frame[0]}, which only a guest sends")


def write_back(buffer: Any, content: str | bytes | None, position: int) -> None:
    """Bring a buffer of the agent to where the host's copy of it is; to a stream, write what the host wrote."""
    if type(buffer) is list:
        buffer[:] = content or ()
        return
    if not isinstance(buffer, (io.StringIO, io.BytesIO)) and not (content is not None and _is_random(buffer)):
        if content is None and moved_to(buffer, position):
            return
        buffer.write(content or "")
        return
    if content is not None:
        buffer.seek(0)
        buffer.truncate()
        buffer.write(content)
    buffer.seek(position)


def _is_random(file: Any) -> bool:
    """Whether a file of the agent crossed as all of its content: it is for reading and writing at once."""
    return isinstance(file, io.BufferedRandom)


def _agent_line() -> int | None:
    """Line of the innermost frame of the agent's own code."""
    frame = sys._getframe(2)
    for _ in range(_MAX_FRAMES_WALKED):
        if frame.f_code.co_filename.startswith(AGENT_PREFIX):
            return frame.f_lineno
        outer = frame.f_back
        if outer is None:
            return None
        frame = outer
    return None
