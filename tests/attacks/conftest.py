"""A sealed plane, and canaries outside of it that no guest may reach."""

from __future__ import annotations

import os
import secrets
import socket
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pandas as pd
import pytest

from proxyplane import ControlPlane, Policy

from .planes import Planes
from .world import World

POLICY = """
schema = 1
[objects.df]
hide = ["ssn"]
[modules]
host = ["pandas", "numpy"]
[[rules]]
id = "work"
agent = "*"
object = "*"
effect = ["read", "compute", "mutate", "reveal", "callback", "display"]
decide = "allow"
[[rules]]
id = "outside"
effect = ["fs.*", "net", "process", "exec", "env"]
decide = "deny"
"""


@dataclass
class Canaries:
    """What an escape would read, write or reach."""

    folder: Path
    file: Path
    token: str
    port: int
    listener: socket.socket
    secrets: list[str] = field(default_factory=lambda: [f"CANARY-{secrets.token_hex(6)}" for _ in range(6)])

    def frame(self) -> pd.DataFrame:
        """The guarded table."""
        return pd.DataFrame({"name": list("abcdef"), "salary": range(6), "ssn": self.secrets})

    def connected(self) -> bool:
        """Whether anything connected to the port."""
        self.listener.settimeout(0.01)
        try:
            self.listener.accept()[0].close()
        except TimeoutError:
            return False
        return True


@pytest.fixture(scope="module")
def canaries(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Canaries]:
    """Fresh canaries: a world-readable file, a world-writable folder, a listening port, an environment variable."""
    folder = tmp_path_factory.mktemp("canaries")
    for parent in (folder, *folder.parents[:2]):
        parent.chmod(0o777)
    token = f"TOKEN-{secrets.token_hex(8)}"
    file = folder / "canary.txt"
    file.write_text(token)
    file.chmod(0o666)
    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    listener.listen(16)
    os.environ["PROXYPLANE_TEST_CANARY"] = token
    yield Canaries(folder, file, token, listener.getsockname()[1], listener)
    del os.environ["PROXYPLANE_TEST_CANARY"]
    listener.close()


@pytest.fixture(scope="module")
def sealed() -> Iterator[ControlPlane]:
    """A plane whose guests must be sealed; skipped on machines that cannot do it."""
    from proxyplane.errors import TierUnavailable

    try:
        plane = ControlPlane(policy=Policy.parse(POLICY), require_tier="sealed")
    except TierUnavailable as error:
        pytest.skip(f"this machine has no sealed tier: {error}")
    with plane:
        yield plane


@pytest.fixture(scope="module")
def folder() -> Iterator[Path]:
    """A folder that the uid of guests could reach, were they not sealed."""
    with tempfile.TemporaryDirectory(prefix="canaries") as made:
        Path(made).chmod(0o777)
        yield Path(made)


@pytest.fixture(scope="module")
def listener() -> Iterator[socket.socket]:
    """A port that nobody may connect to."""
    with socket.create_server(("127.0.0.1", 0)) as made:
        yield made


@pytest.fixture
def world(folder: Path, listener: socket.socket) -> World:
    """Fresh canaries."""
    return World(folder, listener.getsockname()[1], listener)


@pytest.fixture(scope="module")
def planes() -> Iterator[Planes]:
    """All planes of this file."""
    made = Planes()
    yield made
    made.close()
