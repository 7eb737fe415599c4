"""Planes without guests, for tests of in-process proxies."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from proxyplane import ControlPlane, Policy

PERMISSIVE = """
schema = 1
default = "deny"

[[rules]]
id     = "everything"
agent  = "*"
object = "*"
effect = ["read", "compute", "mutate", "reveal", "callback", "display", "unknown"]
decide = "allow"
"""


@pytest.fixture
def open_plane() -> Iterator[ControlPlane]:
    """A plane with the preset `open`."""
    with ControlPlane(policy=Policy.preset("open"), require_tier="cooperative") as plane:
        yield plane


@pytest.fixture
def native() -> Iterator[Callable[[Any], Any]]:
    """Makes proxies under a policy that names `unknown`, so that objects of any class can be used."""
    with ControlPlane(policy=Policy.parse(PERMISSIVE), require_tier="cooperative") as plane:
        yield plane.proxy


def effects(plane: ControlPlane) -> list[dict[str, Any]]:
    """The effect records of a plane with its log in memory."""
    return [record for record in plane.log.records() if record["kind"] == "effect"]
