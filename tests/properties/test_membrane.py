"""The membrane: plain values come back equal, hostile ones end in an error of the protocol, and counts are honest."""

from __future__ import annotations

import datetime as dt
import uuid
from decimal import Decimal
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from proxyplane.callables import GuestCallable, GuestToken, MediatedCallable
from proxyplane.catalog import Catalog
from proxyplane.errors import Denied, ProtocolError, ProxyPlaneError, TooDeep
from proxyplane.membrane import CARRIED, CONTAINER, NOTHING, REFERENCE, VALUE, Arguments, Membrane
from proxyplane.objects import ObjectTable
from proxyplane.transport.wire import Limits, Tag

FORMS = {NOTHING, VALUE, CARRIED, CONTAINER, REFERENCE}
HASHABLE = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False), st.text(), st.binary(), st.dates(), st.uuids(),
    st.datetimes(), st.timedeltas(), st.decimals(allow_nan=False), st.complex_numbers(allow_nan=False),
)  # fmt: skip
PLAIN = st.recursive(
    HASHABLE,
    lambda inner: st.one_of(
        st.lists(inner, max_size=4),
        st.lists(inner, max_size=4).map(tuple),
        st.dictionaries(HASHABLE, inner, max_size=4),
        st.sets(HASHABLE, max_size=4),
        st.frozensets(HASHABLE, max_size=4),
        st.builds(slice, HASHABLE, HASHABLE, HASHABLE),
    ),
    max_leaves=20,
)
WIRE_SCALARS = st.one_of(
    st.none(), st.booleans(), st.integers(-(2**63), 2**64 - 1), st.floats(), st.text(max_size=8), st.binary(max_size=8)
)
TAGS = st.one_of(st.sampled_from([value for name, value in vars(Tag).items() if name.isupper()]), st.integers(-2, 99))
HANDLES = st.integers(0, 12)
WIRE = st.recursive(
    WIRE_SCALARS,
    lambda inner: st.one_of(
        st.builds(lambda tag, fields: [tag, *fields], TAGS, st.lists(st.one_of(inner, HANDLES), max_size=5)),
        st.builds(lambda handle: [Tag.REF, handle], HANDLES),
        st.builds(
            lambda handle, name: [Tag.BOUND, handle, name],
            HANDLES,
            st.sampled_from(["sum", "to_csv", "map", "__class__", "_mgr", "nope", "", "pipe", "T", "apply", 5]),
        ),
        st.builds(lambda number: [Tag.TYPE, number], st.integers(0, 9)),
        st.builds(lambda names, values: [Tag.RECORD, "R", names, values], st.lists(inner), st.lists(inner)),
        st.lists(inner, max_size=4),
        st.dictionaries(st.text(max_size=3), inner, max_size=3),
    ),
    max_leaves=12,
)


def membrane(handles: bool = False) -> Membrane:
    """A membrane of a session that holds a few objects, under handles from 1 on."""
    table = ObjectTable(10_000)
    made = Membrane(
        table,
        Catalog.load(),
        Limits(),
        "s-test",
        callable_of=lambda number, name, doc: GuestCallable(lambda *_: None, number, name, doc),
        mediate=lambda held, member, name: MediatedCallable(lambda args, kwargs: None, name),
    )
    if handles:
        table._next = 1
        frame = pd.DataFrame({"a": [1, 2]})
        for value in (frame, frame.a, [1, 2], pd.DataFrame, pd, pd.read_csv, frame.sum, np.float64(2.5), object(), len):
            made.encode(value, False)
    return made


@given(value=PLAIN)
def test_a_plain_value_comes_back_equal(value: Any):
    """Out and in again, a value made of built-in types is the same, also its types, order and nesting."""
    made = membrane()
    found = made.decode_value(made.encode(value, True))
    assert found == value
    assert repr(found) == repr(value) or isinstance(value, set | frozenset) or _has_set(value)
    assert len(made.table) == 0


def _has_set(value: Any) -> bool:
    return "{" in repr(value)


@given(value=PLAIN)
def test_the_form_of_a_value_is_one_of_five(value: Any):
    """The answers are a closed set, and a value that is shared and could change goes by reference."""
    made = membrane()
    assert made.form(value, True) in FORMS
    if type(value) in (list, dict, set):
        assert made.form(value, False) == REFERENCE
        assert made.encode(value, False)[0] == Tag.REF


@given(value=PLAIN)
def test_what_is_not_shown_is_not_counted_and_what_is_shown_is(value: Any):
    """A value counts as many cells as it has leaves, and as a row where it has any."""
    facts = membrane().content(value, True)
    assert facts.cells == _leaves(value)
    assert bool(facts.rows) == bool(facts.cells)
    shared = membrane().content([value], False)
    assert (shared.rows, shared.cells) == (0, 0)


def _leaves(value: Any) -> int:
    if isinstance(value, list | tuple | set | frozenset):
        return sum(map(_leaves, value))
    if isinstance(value, dict):
        return sum(_leaves(key) + _leaves(item) for key, item in value.items())
    return int(value is not None and not isinstance(value, slice))


@given(wire=WIRE)
@settings(max_examples=500, deadline=None)
def test_hostile_values_end_in_an_error_of_the_protocol(wire: Any):
    """Whatever a guest sends as an argument becomes plain values, known objects or stand-ins, or is refused as such."""
    made = membrane(handles=True)
    found = Arguments()
    try:
        value = made.decode_value(wire, found)
    except (ProtocolError, Denied):
        return
    own = {id(held.value) for held in made.table}
    assert all(made.table.get(held.handle) is held for held in found.held)
    _check(value, own)


def _check(value: Any, own: set[int]) -> None:
    """Every part is of a type that the membrane may make."""
    kind = type(value)
    if id(value) in own or kind in (GuestCallable, GuestToken, MediatedCallable):
        return
    if value is Ellipsis or value is NotImplemented:
        return
    if kind in (list, tuple, set, frozenset) or hasattr(kind, "_fields"):
        for part in value:
            _check(part, own)
    elif kind is dict:
        for key, part in value.items():
            _check(key, own)
            _check(part, own)
    elif kind is slice:
        for part in (value.start, value.stop, value.step):
            _check(part, own)
    else:
        simple = (type(None), bool, int, float, str, bytes, complex, range, dt.date, dt.time, dt.timedelta, dt.tzinfo)
        named = value is pd.NA or value is pd.NaT or kind.__module__ in ("re", "io", "_io")
        host = callable(value) and kind.__module__ in ("builtins", "functools", "pandas", "numpy")
        assert isinstance(value, (*simple, Decimal, uuid.UUID, type)) or named or host, kind


@given(args=WIRE, kwargs=WIRE)
@settings(max_examples=200, deadline=None)
def test_hostile_arguments_end_in_an_error_of_the_protocol(args: Any, kwargs: Any):
    """Arguments are an array and a map of short texts, or refused."""
    try:
        found = membrane(handles=True).decode(args, kwargs)
    except (ProtocolError, Denied):
        return
    assert type(found.args) is tuple
    assert all(type(name) is str for name in found.kwargs)


@pytest.mark.parametrize("depth", [10, 32, 33, 34, 200])
def test_depth_is_bounded(depth: int):
    """A value nested deeper than the limit is refused before the walk runs out of stack."""
    wire: Any = 1
    for _ in range(depth):
        wire = [Tag.LIST, wire]
    if depth <= Limits().depth + 1:
        assert membrane().decode_value(wire) is not None
    else:
        with pytest.raises(TooDeep):
            membrane().decode_value(wire)


def test_a_list_that_holds_itself_is_cut_by_a_reference():
    """A cycle in a fresh value ends in a reference, and is counted without end."""
    cycle: list[Any] = [1]
    cycle.append(cycle)
    made = membrane()
    assert made.encode(cycle, True)[0] == Tag.LIST
    assert made.content(cycle, True).cells == Limits().depth


def test_private_names_are_refused_on_every_way_in():
    """A bound attribute, a record's field and a keyword with a private or odd name do not arrive."""
    made = membrane(handles=True)
    bad = [
        [Tag.BOUND, 1, "_mgr"],
        [Tag.BOUND, 1, "__class__"],
        [Tag.BOUND, 1, "x" * 600],
        [Tag.RECORD, "R", ["a b"], [1]],
        [Tag.RECORD, "class", ["a"], [1]],
        [Tag.RECORD, "R", ["a", "a"], [1, 2]],
        [Tag.RECORD, "R", ["a"], []],
    ]
    for wire in bad:
        with pytest.raises(ProtocolError):
            made.decode_value(wire)
    with pytest.raises(ProtocolError):
        made.decode([], {"x" * 600: 1})


def test_a_property_is_not_fetched_on_the_way_in():
    """An attribute that would have to be computed is refused as an argument: to fetch it is an operation of its own."""
    made = membrane(handles=True)
    for name in ("T", "values", "shape", "loc"):
        with pytest.raises(ProtocolError):
            made.decode_value([Tag.BOUND, 1, name])
    assert callable(made.decode_value([Tag.BOUND, 1, "sum"]))


def test_a_projection_belongs_to_the_object():
    """Whatever road leads to the original, what stands for it crosses."""
    made = membrane()
    original, shown = pd.DataFrame({"a": [1], "b": [2]}), pd.DataFrame({"a": [1]})
    made.substitute(original, shown)
    handles = {made.encode(value, True)[1] for value in (original, shown)}
    inside = made.encode([original, (original,), {"k": original}], True)
    assert len(handles) == 1
    assert inside[1][1] == inside[2][1][1] == inside[3][2][1] == handles.pop()
    assert made.table.find(original) is None


def test_a_carried_value_without_show_is_a_bare_handle():
    """What may not be shown crosses without its content, in whatever container."""
    made = membrane()
    value = np.float64(734.25)
    assert "734.25" in repr(made.encode(value, False))
    for hidden in (value, (value,), [value], {"k": value}):
        assert "734.25" not in repr(made.encode(hidden, True, show=False))


@given(count=st.integers(0, 60), limit=st.integers(1, 40))
@settings(max_examples=30)
def test_handles_are_bounded(count: int, limit: int):
    """A session cannot make the host hold more objects than its limit."""
    made = membrane()
    made.table = ObjectTable(limit)
    held = 0
    for _ in range(count):
        try:
            made.encode(object(), False)
        except ProxyPlaneError:
            break
        held += 1
    assert len(made.table) <= limit
    assert held <= limit


class Asked:
    """An object of the host that must not be compared with anything."""

    def __eq__(self, other: object) -> bool:
        raise AssertionError("it was asked whether it equals something")

    __hash__ = object.__hash__


@pytest.mark.parametrize("tag", [Tag.SINGLETON, Tag.BUILTIN, Tag.TYPE, Tag.TOKEN, Tag.BOUND, Tag.REF])
def test_an_object_in_place_of_a_name_is_not_asked_anything(tag: int):
    """A handle where a name or number belongs breaks the protocol; no special method of the object decides that."""
    made = membrane()
    held, _ = made.table.adopt(Asked(), None)
    wire = [tag, [Tag.REF, held.handle], *(["x"] if tag == Tag.BOUND else [])]
    with pytest.raises(ProtocolError):
        made.decode_value(wire)
