"""Containers of in-process code: the host gets its own, and what it writes into a list comes back."""

from __future__ import annotations

import gc
import weakref
from collections import Counter, OrderedDict, defaultdict, deque
from types import MappingProxyType
from typing import Any

import numpy as np
import pandas as pd
import pytest

from proxyplane import ControlPlane, DeniedAttribute, Policy
from proxyplane.errors import TooDeep
from proxyplane.proxies.grip import is_proxy

from .conftest import effects

MAKERS: dict[str, Any] = {
    "list": lambda item: [item],
    "tuple of a list": lambda item: ([item],),
    "dict": lambda item: {"x": item},
    "values": lambda item: {"x": item}.values(),
    "items": lambda item: {"x": item}.items(),
    "mapping": lambda item: MappingProxyType({"x": item}),
    "ordered": lambda item: OrderedDict(x=item),
    "default": lambda item: defaultdict(list, x=item),
    "counter": lambda item: Counter({"x": item}),
    "deque": lambda item: deque([item], 3),
}


def inside(value: Any) -> list[Any]:
    """Everything that a host object holds, to some depth."""
    found, next_ones = [], [value]
    for _ in range(4):
        next_ones = [part for each in next_ones for part in gc.get_referents(each) if not isinstance(part, type)]
        found += next_ones
    return found


@pytest.mark.parametrize("kind", MAKERS)
def test_no_proxy_comes_to_rest_in_a_host_object(open_plane: ControlPlane, kind: str):
    """Proxies in any container that the host keeps are the real objects there."""
    granted: list[Any] = []
    series = pd.Series([1, 2])
    rows, item = open_plane.proxy(granted, name="rows"), open_plane.proxy(series, name="series")
    rows.append(MAKERS[kind](item))
    assert type(granted[0]) is type(MAKERS[kind](item))
    parts = inside(granted)
    assert not any(is_proxy(part) for part in parts)
    assert any(part is series for part in parts)


def test_what_the_agent_does_with_its_own_list_later_changes_no_granted_object(open_plane: ControlPlane):
    """A granted object changes by operations only: not by a list that was put into it, also not by one deep inside."""
    granted: dict[str, Any] = {}
    table = open_plane.proxy(granted, name="table")
    own: list[Any] = [1]
    table["own"] = own
    table["deep"] = {"x": (own, [own])}
    touched = len(effects(open_plane))
    own.append(table)
    assert granted == {"own": [1], "deep": {"x": ([1], [[1]])}}
    assert len(effects(open_plane)) == touched


def test_one_container_in_two_places_is_one_for_the_host(open_plane: ControlPlane):
    """Identity inside one call is kept."""
    granted: list[Any] = []
    own = [1]
    open_plane.proxy(granted, name="rows").extend([own, own])
    assert granted[0] is granted[1]


def test_a_container_that_holds_itself_is_refused(open_plane: ControlPlane):
    """Also where it is a dict or a view of one; nothing stays in the table."""
    rows = open_plane.proxy([1], name="rows")
    knot: dict[str, Any] = {}
    knot["x"] = knot.values()
    session = open_plane._local["local"]
    before = len(session.table)
    with pytest.raises(TooDeep):
        rows.append(knot)
    assert len(session.table) == before


def test_a_list_that_host_code_shuffles_is_the_agents_own(open_plane: ControlPlane):
    """What is written into a list of the agent comes back into it; its containers and proxies are the same."""
    numpy = open_plane.proxy(np, name="np")
    inner, item = [1], open_plane.proxy([2], name="item")
    own = [inner, item, 3, 4, 5]
    numpy.random.seed(3)
    numpy.random.shuffle(own)
    assert sorted(map(id, own)) == sorted(map(id, [inner, item, 3, 4, 5]))
    assert own != [inner, item, 3, 4, 5]


def test_lineage_of_what_an_iterator_hands_over_joins_the_result():
    """A column that comes by way of a generator is still that object's."""
    with ControlPlane(policy=Policy.preset("open"), require_tier="cooperative") as plane:
        rows = plane.proxy([], name="rows")
        secret = plane.proxy([7], name="secret")
        rows.extend(part for part in [secret])
        assert plane._local["local"].grants.held("rows").roots == {"rows", "secret"}


def test_a_full_stack_or_an_interrupt_loses_no_entry(open_plane: ControlPlane, monkeypatch: pytest.MonkeyPatch):
    """What could not be let go of because the stack was full is let go of with the next operation."""
    rows = open_plane.proxy([[1], [2]], name="rows")
    session = open_plane._local["local"]
    len(rows)
    before = len(session.table)
    first = rows[0]
    del first
    table = type(session.table)
    unpin = table.unpin
    with monkeypatch.context() as patch:
        patch.setattr(table, "unpin", lambda *given: exec("raise RecursionError"))
        with pytest.raises(RecursionError):
            len(rows)
    assert table.unpin is unpin
    len(rows)
    assert len(session.table) == before


def test_an_operation_that_raised_leaves_no_cycle(open_plane: ControlPlane):
    """The variables of a program whose operation raised end with it, without waiting for the collector."""
    series = open_plane.proxy(pd.Series([1, 2]), name="series")
    session = open_plane._local["local"]
    len(series)
    before = len(session.table)

    def program() -> None:
        kept = series + 1
        try:
            series.loc["none"]
        except KeyError:
            assert len(kept) == 2

    gc.collect()
    gc.disable()
    try:
        program()
        len(series)
        len(series)
        assert len(session.table) == before
    finally:
        gc.enable()


def test_a_function_of_the_agent_holds_nothing_of_the_call_that_brought_it(open_plane: ControlPlane):
    """What host code was given beside a function ends although the function lives on."""
    granted: dict[str, Any] = {}
    table = open_plane.proxy(granted, name="table")
    other = open_plane.proxy(pd.Series([1]), name="series") + 1
    table.update(function=lambda: None, other=other)
    real = weakref.ref(granted["other"])
    del other, table["other"]
    gc.collect()
    len(table)
    assert "function" in granted
    assert real() is None


def test_isinstance_is_decided_once_and_again_when_what_decides_it_changes():
    """A fact of a type is on record when it is told; after a new policy, and under attenuation, it is asked anew."""
    policy = Policy.parse(
        'schema = 1\ndefault = "deny"\n[[rules]]\nid = "r"\nagent = "*"\nobject = "*"\n'
        'effect = ["read"]\ndecide = "allow"\n'
    )
    locked = Policy.parse('schema = 1\ndefault = "deny"\n')
    with ControlPlane(policy=policy, require_tier="cooperative") as plane:
        frame = plane.proxy(pd.DataFrame({"x": [1]}), name="frame")
        for _ in range(3):
            assert isinstance(frame, pd.DataFrame)
        told = len(effects(plane))
        assert 1 <= told <= 2
        for _ in range(5):
            assert isinstance(frame, pd.DataFrame)
        assert len(effects(plane)) == told
        plane.reload_policy(locked)
        with pytest.raises(DeniedAttribute):
            frame.__class__
        plane.reload_policy(policy)
        assert isinstance(frame, pd.DataFrame)
        assert len(effects(plane)) == told + 2
        plane._local["local"].revoke("frame")
        with pytest.raises(Exception, match="revoked"):
            frame.__class__


def test_a_result_without_a_proxy_is_not_kept(open_plane: ControlPlane, monkeypatch: pytest.MonkeyPatch):
    """Where no proxy of a result could be made, because the stack was full, its entry ends with the operation."""
    rows = open_plane.proxy([[1], [2]], name="rows")
    session = open_plane._local["local"]
    len(rows)
    before = len(session.table)
    with monkeypatch.context() as patch:
        patch.setattr(type(session.table), "pin", lambda *given: exec("raise RecursionError"))
        with pytest.raises(RecursionError):
            rows * 2
        patch.undo()
        patch.setattr("proxyplane.proxies.inprocess.make", lambda *given: exec("raise RecursionError"))
        with pytest.raises(RecursionError):
            rows[0]
    len(rows)
    assert len(session.table) == before
