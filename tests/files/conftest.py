"""A root with a few files, and sessions that may use them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from proxyplane import ControlPlane, Policy
from proxyplane.sessions import Session

POLICY = """
schema = 1
[modules]
host = ["pandas", "numpy", "polars"]
[fs]
root  = "{root}"
read  = ["data/*.csv", "data/*.txt", "out/**"]
write = ["out/**"]
[[rules]]
id     = "work"
agent  = "*"
object = "*"
effect = ["read", "compute", "mutate", "reveal", "callback", "fs.read", "fs.write"]
decide = "allow"
"""


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """`data/` to read, `out/` to write, and a secret beside them."""
    folder = tmp_path / "root"
    (folder / "data").mkdir(parents=True)
    (folder / "out").mkdir()
    (folder / "data" / "a.csv").write_text("x,y\n1,north\n2,süd\n", encoding="utf-8")
    (folder / "data" / "secret.key").write_text("KEY-CANARY")
    (tmp_path / "outside.txt").write_text("OUTSIDE-CANARY")
    return folder


@pytest.fixture
def open_session(root: Path) -> Iterator[Callable[..., Session]]:
    """Makes sessions over `df` under a policy text in which `{root}` stands for the root."""
    planes: list[ControlPlane] = []

    def make(text: str = POLICY, **objects: Any) -> Session:
        plane = ControlPlane(policy=Policy.parse(text.replace("{root}", str(root))))
        planes.append(plane)
        return plane.session("agent", objects=objects or {"df": pd.DataFrame({"k": [1, 2, 3]})})

    yield make
    for plane in planes:
        plane.close()


@pytest.fixture
def session(open_session: Callable[..., Session]) -> Session:
    """A session under `POLICY`."""
    return open_session()
