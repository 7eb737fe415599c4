"""A guest that sends forged frames ends its own session, and nothing else."""

from __future__ import annotations

import contextlib
import json
import random
import socket
import struct
import threading
from collections.abc import Callable, Iterator
from typing import Any

import msgpack
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from proxyplane import ControlPlane, Policy
from proxyplane.launch import ExitStatus
from proxyplane.results import RunResult
from proxyplane.sessions import Session
from proxyplane.transport.wire import PROTOCOL, Kind, Tag

from .tables import sales

Attack = Callable[[socket.socket, dict[str, Any]], None]


class ForgedGuest:
    """Stands where a guest process would: a thread of the test that writes what it likes."""

    pid = 0

    def __init__(self, attack: Attack) -> None:
        self.sock, self._theirs = socket.socketpair()
        self._attack = attack
        self._thread = threading.Thread(target=self._live, daemon=True)
        self._thread.start()

    def _live(self) -> None:
        sock = self._theirs
        try:
            send(sock, [Kind.HELLO, PROTOCOL, {"tier": "sealed"}])
            bind = read(sock)
            send(sock, [Kind.RESULT, bind[1], None, []])
            run = read(sock)
            self._attack(sock, {"run": run[1], "names": bind[2]})
            sock.shutdown(socket.SHUT_WR)
            while sock.recv(65536):
                pass
        except OSError:
            pass
        finally:
            sock.close()

    def kill(self) -> None:
        with contextlib.suppress(OSError):
            self.sock.shutdown(socket.SHUT_RDWR)

    def wait(self, timeout: float | None = None) -> ExitStatus | None:
        self._thread.join(5)
        return ExitStatus(0)

    def close(self) -> None:
        self.sock.close()


def send(sock: socket.socket, message: Any) -> None:
    body = msgpack.packb(message, unicode_errors="surrogatepass")
    sock.sendall(struct.pack(">I", len(body)) + body)


def read(sock: socket.socket) -> Any:
    (length,) = struct.unpack(">I", sock.recv(4, socket.MSG_WAITALL))
    return msgpack.unpackb(sock.recv(length, socket.MSG_WAITALL), strict_map_key=False)


@pytest.fixture(scope="module")
def plane() -> Iterator[ControlPlane]:
    with ControlPlane(policy=Policy.preset("open")) as made:
        yield made


@pytest.fixture(scope="module")
def neighbour(plane: ControlPlane) -> Iterator[Session]:
    """An honest session on the same plane, which must not notice anything."""
    with plane.session("neighbour", objects={"df": sales()}) as session:
        assert session.run("keep = df.amount.sum()").ok
        yield session


def attack(plane: ControlPlane, what: Attack, timeout: float = 5.0) -> tuple[Session, RunResult]:
    """Run a session whose guest is forged."""
    session = plane.session("forger", objects={"df": sales()})
    honest = plane.zygote.spawn
    plane.zygote.spawn = lambda *_, **__: ForgedGuest(what)  # type: ignore[method-assign, assignment, return-value]
    try:
        return session, session.run("pass", timeout=timeout)
    finally:
        plane.zygote.spawn = honest  # type: ignore[method-assign]


def ends_clearly(plane: ControlPlane, neighbour: Session, what: Attack) -> RunResult:
    """The forger's session ends with an error that says so; the neighbour and the host go on."""
    session, result = attack(plane, what)
    assert not result.ok
    assert result.error is not None
    assert result.error.type in {"ProtocolError", "FrameTooLarge", "TooDeep", "UnknownType", "GuestCrashed"}
    assert "canary" not in result.error.message
    if result.error.type != "GuestCrashed":
        assert not session.run("1").ok
    session.close()
    assert neighbour.run("keep").ok
    return result


def request(**changes: Any) -> list[Any]:
    """A request frame with fields changed by position."""
    frame = [Kind.REQUEST, 1, "getattr", 1, "shape", [], None, 1, None]
    for name, value in changes.items():
        frame[int(name[1:])] = value
    return frame


def handle_of_df(known: dict[str, Any]) -> int:
    handle: int = known["names"]["df"][1]
    return handle


def test_random_bytes(plane: ControlPlane, neighbour: Session) -> None:
    """Noise is not a frame."""
    noise = random.Random(7)
    for _ in range(20):
        body = noise.randbytes(noise.randrange(1, 300))
        ends_clearly(plane, neighbour, lambda s, k, b=body: s.sendall(struct.pack(">I", len(b)) + b))  # type: ignore[misc]


def test_a_truncated_frame(plane: ControlPlane, neighbour: Session) -> None:
    """A frame that ends early is a guest that crashed."""
    result = ends_clearly(plane, neighbour, lambda s, k: s.sendall(struct.pack(">I", 100) + b"x" * 10))
    assert result.error is not None
    assert result.error.type == "GuestCrashed"


def test_a_huge_length(plane: ControlPlane, neighbour: Session) -> None:
    """A length beyond the limit is refused before anything is allocated."""
    result = ends_clearly(plane, neighbour, lambda s, k: s.sendall(struct.pack(">I", 0xFFFFFFFF)))
    assert result.error is not None
    assert result.error.type == "FrameTooLarge"


def test_a_huge_array_header(plane: ControlPlane, neighbour: Session) -> None:
    """A msgpack header that promises four billion items allocates nothing."""
    body = b"\xdd\xff\xff\xff\xff\x01"
    ends_clearly(plane, neighbour, lambda s, k: s.sendall(struct.pack(">I", len(body)) + body))


@pytest.mark.parametrize("depth", [33, 1000, 10_000, 200_000])
def test_depth(plane: ControlPlane, neighbour: Session, depth: int) -> None:
    """Nesting beyond the limit ends the session, not the host's stack."""

    def deep(sock: socket.socket, known: dict[str, Any]) -> None:
        head = msgpack.packb([Kind.REQUEST, 1, "getitem", handle_of_df(known)])[1:]
        body = b"\x99" + head + b"\xc0" + b"\x91" + b"\x92\x00" * depth + b"\xc0" + b"\xc0\x01\xc0"
        sock.sendall(struct.pack(">I", len(body)) + body)

    ends_clearly(plane, neighbour, deep)


def test_an_unknown_handle(plane: ControlPlane, neighbour: Session) -> None:
    """A handle that was never given names nothing."""
    for handle in (0, -1, 1, 2**31, 2**63, 2**64 - 1):
        ends_clearly(plane, neighbour, lambda s, k, h=handle: send(s, request(_3=h)))  # type: ignore[misc]


def test_a_handle_of_another_session(plane: ControlPlane, neighbour: Session) -> None:
    """Handles mean something only inside their own session."""
    theirs = neighbour.grants.held("df").handle
    ends_clearly(plane, neighbour, lambda s, k: send(s, request(_3=theirs)))
    item = [[Tag.REF, theirs]]
    ends_clearly(plane, neighbour, lambda s, k: send(s, request(_2="getitem", _3=handle_of_df(k), _4=None, _5=item)))


def test_a_reply_without_a_request(plane: ControlPlane, neighbour: Session) -> None:
    """Answers to nothing, hellos in the middle and frames that only a host sends are refused."""
    for frame in (
        [Kind.RESULT, 12345, None, []],
        [Kind.ERROR, 12345, {}, []],
        [Kind.HELLO, PROTOCOL, {}],
        [Kind.RUN, 1, "x", "y"],
        [Kind.CALLBACK, 1, 1, [], None, []],
        [99],
        [-1, 2, 3],
        [2**40],
    ):
        ends_clearly(plane, neighbour, lambda s, k, f=frame: send(s, f))  # type: ignore[misc]


WRONG: list[Any] = [None, True, -5, 1.5, "text", b"bytes", [], {}, [1, 2], {"a": 1}, [[0, [0]]], 2**63, "x" * 5000]


@pytest.mark.parametrize("field", range(1, 9))
def test_a_wrong_type_in_every_field_of_a_request(plane: ControlPlane, neighbour: Session, field: int) -> None:
    """No field of a request may be of another type: what happens to fit is answered, the rest ends the session."""
    for value in WRONG:

        def wrong(sock: socket.socket, known: dict[str, Any], value: Any = value) -> None:
            send(sock, request(**{"_3": handle_of_df(known), f"_{field}": value}))

        session, result = attack(plane, wrong)
        assert not result.ok
        assert result.error is not None
        assert "canary" not in result.error.message
        session.close()
    assert neighbour.run("keep").ok


@pytest.mark.parametrize("field", range(1, 5))
def test_a_wrong_type_in_every_field_of_done(plane: ControlPlane, neighbour: Session, field: int) -> None:
    """A forged end of a run is an ending or an error, never a crash of the host."""
    for value in WRONG:

        def wrong(sock: socket.socket, known: dict[str, Any], value: Any = value) -> None:
            frame: list[Any] = [Kind.DONE, known["run"], None, None, []]
            frame[field] = value
            send(sock, frame)

        session, _ = attack(plane, wrong)
        session.close()
    assert neighbour.run("keep").ok


VALUES: list[Any] = [
    [Tag.REF], [Tag.REF, "x"], [Tag.REF, 1, 2, 3], [Tag.TYPE, 99999], [Tag.TYPE, None], [Tag.CALLABLE, "x", "y"],
    [Tag.CALLABLE, 1], [Tag.BOUND, 1, "_mgr"], [Tag.BOUND, 1], [Tag.TOKEN, "x"], [Tag.RECORD, "R", ["a"], []],
    [Tag.RECORD, "class", ["a"], [1]], [Tag.RECORD, "R", ["a", "a"], [1, 2]], [Tag.RECORD, "R", ["__class__"], []],
    [Tag.BUILTIN, "eval"], [Tag.BUILTIN, "open"], [Tag.BUILTIN, "__import__"], [Tag.SINGLETON, "os.environ"],
    [Tag.SINGLETON, 5], [Tag.DICT, 1], [Tag.DICT, [Tag.LIST], 1], [Tag.SET, [Tag.LIST]], [Tag.INT, b"x" * 5000],
    [Tag.INT, "x"], [Tag.DATETIME, 1, 2], [Tag.DATETIME, 99999, 1, 1, 0, 0, 0, 0, None, 0],
    [Tag.TIME, 0, 0, 0, 0, "../../etc/passwd", 0], [Tag.PATTERN, "(", 0], [Tag.PATTERN, 5, 0], [Tag.UUID, b"short"],
    [Tag.DECIMAL, []], [Tag.RANGE, "a", "b", "c"], [Tag.SLICE, 1], [Tag.COMPLEX, "x", 1], [999], [-1], ["x"], [],
    [[Tag.LIST]], {"a": 1}, [Tag.MODULE, 1], [Tag.VALUE_REF, 1, 1, 1, 1],
]  # fmt: skip


def test_forged_values(plane: ControlPlane, neighbour: Session) -> None:
    """Every malformed or forged value among the arguments ends the session with a clear error."""
    for value in VALUES:

        def forge(sock: socket.socket, known: dict[str, Any], value: Any = value) -> None:
            send(sock, request(_2="getitem", _3=handle_of_df(known), _4=None, _5=[value]))

        ends_clearly(plane, neighbour, forge)


def test_releases_cannot_be_forged(plane: ControlPlane, neighbour: Session) -> None:
    """More releases than references, unknown handles and odd lists end the session."""
    for releases in ([1], [1, 1], ["x", 1], "x", {"a": 1}):

        def forge(sock: socket.socket, known: dict[str, Any], releases: Any = releases) -> None:
            send(sock, request(_3=handle_of_df(known), _8=releases))

        ends_clearly(plane, neighbour, forge)
    ends_clearly(plane, neighbour, lambda s, k: send(s, request(_3=handle_of_df(k), _8=[handle_of_df(k), 5])))
    ends_clearly(plane, neighbour, lambda s, k: send(s, request(_3=handle_of_df(k), _8=[handle_of_df(k), -1])))


wire_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.floats() | st.text(max_size=8) | st.binary(),
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=12,
)


@given(
    verb=st.sampled_from(["getattr", "call", "getitem", "setitem", "next", "binop", "compare", "unop", "iter", "zzz"]),
    member=st.none() | st.text(max_size=10) | st.sampled_from(["head", "shape", "__class__", "_mgr", "to_csv", "add"]),
    args=wire_values,
    kwargs=wire_values,
)
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_structured_noise(
    plane: ControlPlane, neighbour: Session, verb: str, member: Any, args: Any, kwargs: Any
) -> None:
    """Requests of random fields are answered or end the session; nothing hidden is in any error; the host lives."""

    def noise(sock: socket.socket, known: dict[str, Any]) -> None:
        send(sock, [Kind.REQUEST, 1, verb, handle_of_df(known), member, args, kwargs, 1, None])

    session, result = attack(plane, noise)
    assert not result.ok
    assert "canary" not in json.dumps(result.error.message if result.error else "")
    session.close()


def test_a_guest_that_does_not_read(plane: ControlPlane, neighbour: Session) -> None:
    """A guest that sends requests and never reads the answers runs into its deadline."""

    def deaf(sock: socket.socket, known: dict[str, Any]) -> None:
        try:
            for _ in range(200_000):
                send(sock, request(_3=handle_of_df(known)))
        except OSError:
            pass

    session, result = attack(plane, deaf, timeout=1.0)
    assert not result.ok
    session.close()
    assert neighbour.run("keep").ok
