"""Whatever bytes a guest sends: the host goes on, the session ends with an error and a record; nothing leaks."""

from __future__ import annotations

import random
import secrets
import socket
import struct
import threading
from typing import Any

import msgpack
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from proxyplane import ControlPlane, Policy
from proxyplane.launch import ExitStatus
from proxyplane.operations import VERBS
from proxyplane.results import RunResult
from proxyplane.sessions import Session
from proxyplane.transport.wire import PROTOCOL, Kind, Tag

from .settings import FRAMES, SEED
from .walker import POLICY, Vault, bounded

ENDINGS = {"ProtocolError", "FrameTooLarge", "TooDeep", "UnknownType", "GuestCrashed", "GuestTimeout"}
WORDS = [
    "df",
    "ssn",
    "name",
    "head",
    "to_csv",
    "shape",
    "_mgr",
    "__class__",
    "iloc",
    "sum",
    "x" * 600,
    "",
    "\ud800",
    "pay",
]
TAGS = [value for name, value in vars(Tag).items() if name.isupper()]
KINDS = [value for name, value in vars(Kind).items() if name.isupper()]


class Played:
    """Stands where a guest process would: everything that it will ever say is in the socket already."""

    pid = 0

    def __init__(self, frames: list[bytes]) -> None:
        self.sock, self._theirs = socket.socketpair()
        self._theirs.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 22)
        self.heard = bytearray()
        first = [Kind.HELLO, PROTOCOL, {"tier": "sealed"}], [Kind.RESULT, 1, None, []]
        self._thread = threading.Thread(target=self._listen, daemon=True)
        self._thread.start()
        self._theirs.sendall(b"".join([*map(framed, first), *frames]))
        self._theirs.shutdown(socket.SHUT_WR)

    def _listen(self) -> None:
        while part := self._theirs.recv(1 << 16):
            self.heard += part

    def kill(self) -> None:
        self.sock.shutdown(socket.SHUT_RDWR)

    def wait(self, timeout: float | None = None) -> ExitStatus | None:
        self._thread.join(5)
        return ExitStatus(0)

    def close(self) -> None:
        self.sock.close()
        self._thread.join(5)
        self._theirs.close()


def framed(message: Any) -> bytes:
    """One frame."""
    body = message if isinstance(message, bytes) else msgpack.packb(message, unicode_errors="surrogatepass")
    return struct.pack(">I", len(body)) + body


class Host:
    """A plane, an honest session that must not notice anything, and sessions whose guests play what they are told."""

    def __init__(self) -> None:
        self.plane = ControlPlane(policy=Policy.parse(POLICY))
        self.vault = Vault()
        self.neighbour = self.plane.session("neighbour", objects=self.vault.objects)
        assert self.neighbour.run("keep = df.n.sum()").ok

    def play(self, make: Any) -> tuple[RunResult, int]:
        """Run a session against the frames that `make` makes of the handles of its objects; frames that were read."""
        session: Session = self.plane.session("forger", objects=self.vault.objects)
        handles = [session.grants.held(name).handle for name in self.vault.objects]
        played = Played(make(handles))
        honest = self.plane.zygote.spawn
        self.plane.zygote.spawn = lambda *_, **__: played  # type: ignore[method-assign, assignment, return-value]
        try:
            result = session.run("pass", timeout=20)
        finally:
            self.plane.zygote.spawn = honest  # type: ignore[method-assign]
        session.close()
        assert result.error is not None
        assert result.error.type in ENDINGS, result.error
        found = self.vault.pattern.search(bytes(played.heard) + result.error.message.encode("utf-8", "surrogatepass"))
        assert found is None, found
        return result, result.operations + 1

    def check(self) -> None:
        """Everybody else is well, every end is on record, and the plane itself never failed."""
        assert self.neighbour.run("int(keep)").value == "10"
        records = list(self.plane.log.records())
        ended = [r for r in records if r["kind"] == "observed" and r["agent"] == "forger"]
        odd = [r for r in ended if r.get("verb") or r["status"] not in ("panic", "timeout")]
        assert not odd, "; ".join(map(str, odd[:3]))
        assert len(ended) == sum(r["kind"] == "session.open" and r["agent"] == "forger" for r in records)

    def close(self) -> None:
        """End it."""
        self.plane.close()


@pytest.fixture
def host() -> Any:
    """A host under attack."""
    made = Host()
    with bounded():
        yield made
    made.check()
    made.close()


def value(source: random.Random, handles: list[int], depth: int) -> Any:
    """A wire value, more or less well formed."""
    chance = source.random()
    if chance < 0.2:
        return source.choice(WORDS)
    if chance < 0.35:
        return source.choice((0, 1, -1, 2**31, 2**63, 2**64 - 1, -(2**63), source.getrandbits(20)))
    if chance < 0.45:
        return source.choice((None, True, False, 0.5, float("nan"), float("inf"), b"", b"\xff" * 9))
    if chance < 0.6:
        return [Tag.REF, source.choice((*handles, 0, -1, handles[0] + source.randint(-9, 9)))]
    if depth > 3:
        return []
    items = [value(source, handles, depth + 1) for _ in range(source.randint(0, 4))]
    if chance < 0.9:
        return [source.choice(TAGS), *items]
    return source.choice((items, {source.choice(WORDS): 1}, {1: items}, {None: None}))


def frame(source: random.Random, handles: list[int]) -> bytes:
    """One frame: a request, one with a wrong field, another kind, or noise."""
    chance = source.random()
    verbs = sorted(VERBS)
    args = [value(source, handles, 0) for _ in range(source.randint(0, 3))]
    request = [
        Kind.REQUEST,
        source.getrandbits(8),
        source.choice(verbs),
        handles[0],
        source.choice((None, *WORDS[:10])),
    ]
    request += [args, source.choice((None, None, {"axis": 1}, {WORDS[1]: args})), 1, None]
    if chance < 0.6:
        return framed(request)
    if chance < 0.8:
        request[source.randrange(len(request))] = value(source, handles, 0)
        return framed(request)
    if chance < 0.88:
        return framed([source.choice((*KINDS, 0, 99, -1)), *args, source.getrandbits(4)])
    if chance < 0.94:
        body = bytearray(framed(request))
        for _ in range(source.randint(1, 4)):
            body[source.randrange(4, len(body))] = source.getrandbits(8)
        return bytes(body)
    if chance < 0.97:
        return framed(source.randbytes(source.randint(1, 200)))
    return source.randbytes(source.randint(1, 40))


@pytest.mark.slow
@pytest.mark.timeout(0)
@pytest.mark.filterwarnings("ignore")  # what chance asks for makes libraries warn
def test_frames_of_all_kinds(host: Host) -> None:
    """Thousands of sessions are sent requests, half-right requests, other kinds of frames and noise until they end."""
    seed = SEED if SEED is not None else secrets.randbelow(1 << 32)
    source = random.Random(seed)
    sent = 0
    try:
        while sent < FRAMES:
            _, read = host.play(lambda handles: [frame(source, handles) for _ in range(source.randint(1, 30))])
            sent += read
    except AssertionError as error:
        raise AssertionError(f"seed {seed}, frame {sent}: {error}") from error


MESSAGES = st.lists(
    st.recursive(
        st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.floats() | st.text(max_size=8) | st.binary(),
        lambda inner: st.lists(inner, max_size=5) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
        max_leaves=12,
    ),
    max_size=10,
)


@given(messages=st.lists(st.binary(min_size=1, max_size=60) | MESSAGES, min_size=1, max_size=4))
@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_messages_of_any_form(host: Host, messages: list[Any]) -> None:
    """Any msgpack, and any bytes in a frame, end the session and nothing else."""
    host.play(lambda _: [framed(message) for message in messages])
