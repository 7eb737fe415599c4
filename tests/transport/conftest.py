"""A served plane on a real socket, in a thread of the test."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("starlette", reason="the server is an extra")
pytest.importorskip("uvicorn", reason="the server is an extra")
httpx = pytest.importorskip("httpx", reason="the client is an extra")
pandas = pytest.importorskip("pandas", reason="the objects are DataFrames")

import uvicorn  # noqa: E402

from proxyplane import ControlPlane, Policy  # noqa: E402
from proxyplane.transport.client import RemoteSession, connect  # noqa: E402
from proxyplane.transport.http.app import Served, application  # noqa: E402
from proxyplane.transport.http.effects import Effects  # noqa: E402
from proxyplane.transport.http.guard import Guard, hosts_of  # noqa: E402
from proxyplane.transport.http.roster import Roster, Rules, Seat  # noqa: E402
from proxyplane.transport.http.serving import Listener  # noqa: E402
from proxyplane.transport.http.tokens import Principal, Tokens  # noqa: E402

SECRETS = {role: f"{role}-{'x' * 30}" for role in ("agent", "approver", "reader", "other")}


@dataclass
class Site:
    """One server: where it is, and what is behind it."""

    url: str
    plane: ControlPlane
    served: Served

    def http(self, role: str | None = "agent", **headers: str) -> Any:
        """A client with the token of a role."""
        told = {"authorization": f"Bearer {SECRETS[role]}"} if role is not None else {}
        return httpx.Client(base_url=self.url, headers={**told, **headers}, timeout=30, trust_env=False)

    def connect(self, role: str = "agent", **options: Any) -> RemoteSession:
        """A session by the Python client."""
        return connect(self.url, SECRETS[role], **options)

    def seat(self, identifier: str) -> Seat:
        """The server's side of a session."""
        return self.served.roster._seats[identifier]


def sales() -> Any:
    """Three rows."""
    return pandas.DataFrame({"region": ["north", "south", "north"], "amount": [10, 20, 30], "ssn": ["a", "b", "c"]})


@contextmanager
def serving(
    policy: Policy,
    objects: dict[str, Any],
    *,
    audit: str | Path = ":memory:",
    notebooks: Path | None = None,
    **rules: Any,
) -> Iterator[Site]:
    """Serve a plane until the context ends."""
    limits = Rules(**rules)
    known = Tokens()
    for name, role in (("agent", "agent"), ("other", "agent"), ("approver", "approver"), ("reader", "reader")):
        known.add(Principal(name, role), SECRETS[name])
    with ControlPlane(policy=policy, audit=audit) as plane:
        effects = Effects(Path(audit)) if str(audit) != ":memory:" else None
        if effects is not None:
            effects.open()
        listener = Listener.open("127.0.0.1", 0)
        roster = Roster(plane, objects, limits, notebooks=notebooks)
        guard = Guard(known, hosts_of("127.0.0.1", listener.port), limits, plane.clock)
        served = Served(roster, guard, effects, "0")
        listener.late.app = application(served)
        server = uvicorn.Server(listener.config)
        thread = threading.Thread(target=lambda: asyncio.run(server.serve(sockets=[listener.socket])))
        thread.start()
        try:
            yield Site(listener.url, plane, served)
        finally:
            server.should_exit = True
            thread.join()
            listener.socket.close()
            if effects is not None:
                effects.close()


@pytest.fixture(scope="package")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """A server under the preset `open`, shared by tests that open sessions of their own."""
    folder = tmp_path_factory.mktemp("site")
    (folder / "notebooks").mkdir()
    objects = {"sales": sales(), "numbers": [1, 2, 3]}
    policy = Policy.preset("open")
    with serving(policy, objects, audit=folder / "audit", notebooks=folder / "notebooks", sessions=500) as made:
        yield made


@pytest.fixture
def session(site: Site) -> Iterator[RemoteSession]:
    """A session of that server, by the Python client."""
    with site.connect() as opened:
        yield opened


@pytest.fixture
def serve() -> Iterator[Callable[..., Site]]:
    """Makes servers under a policy text or preset."""
    from contextlib import ExitStack

    with ExitStack() as stack:

        def make(text: str = "open", objects: dict[str, Any] | None = None, **options: Any) -> Site:
            policy = Policy.parse(text) if "\n" in text else Policy.preset(text)
            return stack.enter_context(serving(policy, objects or {"sales": sales()}, **options))

        yield make
