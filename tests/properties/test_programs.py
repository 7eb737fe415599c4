"""Random programs come to the same in a guest, with in-process proxies, and natively."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from proxyplane import ControlPlane, Policy

from .programs import by_proxies, in_guest, natively, pool, programs

TOGETHER = 12
"""Most programs of one session."""
NIGHT = int(os.environ.get("PROXYPLANE_NIGHT", "0"))
"""How many batches of programs to run where there is time: `PROXYPLANE_NIGHT=800 pytest tests/properties`."""

batches = st.lists(programs(), min_size=1, max_size=TOGETHER)
quick = settings(
    max_examples=NIGHT or 40,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much],
)


@pytest.fixture(scope="module")
def plane() -> Iterator[ControlPlane]:
    with ControlPlane(policy=Policy.preset("open")) as made:
        yield made


@pytest.fixture(scope="module")
def local() -> Iterator[ControlPlane]:
    with ControlPlane(policy=Policy.preset("open"), require_tier="cooperative") as made:
        yield made


def same(texts: list[str], native: list[object], got: list[object]) -> None:
    assert len(got) == len(native)
    for text, wanted, came in zip(texts, native, got, strict=True):
        assert came == wanted, f"\n{text}"


@given(texts=batches)
@quick
@pytest.mark.filterwarnings("ignore")
def test_a_guest_comes_to_the_same(plane: ControlPlane, texts: list[str]):
    """Every variable of a program has the same value in a guest as natively, or the same exception ended it."""
    with plane.session("agent", objects={"pool": pool(len(texts))}) as session:
        got = in_guest(session, texts)
    same(texts, natively(texts), got)


@given(texts=batches)
@quick
@pytest.mark.filterwarnings("ignore")
def test_proxies_come_to_the_same(local: ControlPlane, texts: list[str]):
    """The same holds for in-process proxies."""
    got = by_proxies(local, texts)
    local._local["local"].close()
    same(texts, natively(texts), got)
