"""Planes and sessions for tests of the whole road."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from proxyplane import ControlPlane, Policy
from proxyplane.sessions import Session

from .tables import ANALYST, sales


@pytest.fixture(scope="session")
def open_plane() -> Iterator[ControlPlane]:
    """A plane with the preset `open`, shared by tests that only look."""
    with ControlPlane(policy=Policy.preset("open")) as plane:
        yield plane


@pytest.fixture
def session(open_plane: ControlPlane) -> Iterator[Session]:
    """A session over a fresh table `df` under `open`."""
    with open_plane.session("agent", objects={"df": sales()}) as opened:
        yield opened


@pytest.fixture
def analyst() -> Iterator[Callable[..., Session]]:
    """Makes sessions under the analyst policy; each call has a plane of its own, so budgets are fresh."""
    planes: list[ControlPlane] = []

    def make(frame: Any = None, text: str = ANALYST, **options: Any) -> Session:
        plane = ControlPlane(policy=Policy.parse(text), **options)
        planes.append(plane)
        return plane.session("analyst-1", objects={"sales": sales() if frame is None else frame})

    yield make
    for plane in planes:
        plane.close()
