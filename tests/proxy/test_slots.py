"""No special method of a proxy is silent: each is an operation, or touches nothing."""

from __future__ import annotations

import copy
import operator
import pickle
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest
import wrapt

from proxyplane import ControlPlane, DeniedAttribute
from proxyplane.proxies.grip import Grip, grip_of

from .conftest import effects

NOT_THE_OBJECTS = frozenset(
    "__new__ __getattribute__ __qualname__ __object_proxy__ __self_setattr__ __self_dict__ __slots__".split()
)
"""What wrapt's classes have that reaches nothing but the proxy itself; `__qualname__` asks the grip, which asks."""
VALUES: list[Any] = [
    pd.DataFrame({"a": [1]}), pd.Series([1]), np.zeros(2), [1], {1: 2}, {1}, (1,), 5, 1.5, "text", b"x", object(),
    int, len, pd, iter([1]), (n for n in [1]), None, True, range(3),
]  # fmt: skip


@pytest.mark.parametrize("value", VALUES, ids=lambda value: type(value).__name__)
def test_no_slot_of_wrapt_is_left(native: Callable[[Any], Any], value: Any):
    """Whatever the wrapped type, a proxy's class overrides everything by which wrapt would reach its object."""
    own = vars(type(native(value)))
    for base in wrapt.ObjectProxy.__mro__[:-1]:
        missing = {name for name in vars(base) if name not in own} - NOT_THE_OBJECTS
        assert not missing


def test_wrapt_holds_no_object(open_plane: ControlPlane):
    """What wrapt would act on is a grip: it has no method of the object's."""
    frame = open_plane.proxy(pd.DataFrame({"a": [1]}))
    grip = wrapt.ObjectProxy.__mro__[1].__dict__["__wrapped__"].__get__(frame)
    assert type(grip) is Grip
    with pytest.raises(AttributeError):
        grip.shape


TOUCHES: dict[str, Callable[[Any], Any]] = {
    "len": len,
    "bool": bool,
    "repr": repr,
    "str": str,
    "format": format,
    "eq": lambda p: p == 1,
    "ne": lambda p: p != 1,
    "lt": lambda p: p < [1],
    "contains": lambda p: 1 in p,
    "iter": iter,
    "getitem": lambda p: p[0],
    "add": lambda p: operator.add(p, [1]),
    "radd": lambda p: operator.add([1], p),
    "iadd": lambda p: p.__iadd__([1]),
    "mul": lambda p: p * 2,
    "reversed": reversed,
    "isinstance": lambda p: isinstance(p, list),
    "doc": lambda p: p.__doc__,
    "dir": dir,
    "absent": lambda p: getattr(p, "nothing", None),
    "private": lambda p: getattr(p, "_private", None),
    "index": lambda p: p.index(1),
    "copy": copy.copy,
}


@pytest.mark.parametrize("name", TOUCHES)
def test_every_touch_is_recorded(open_plane: ControlPlane, name: str):
    """Each way to touch a proxied list leaves a record, comparison and truth included."""
    rows = open_plane.proxy([1, 2, 3], name="rows")
    before = len(effects(open_plane))
    TOUCHES[name](rows)
    after = effects(open_plane)
    assert len(after) > before
    assert all(record["via"] == "inproc" and record["origin"] == "agent" for record in after[before:])


@pytest.mark.parametrize("touch", [hash, bool, lambda p: p == 1, lambda p: p != 1], ids="hash bool eq ne".split())
def test_identity_is_decided_too(open_plane: ControlPlane, touch: Callable[[Any], Any]):
    """Hash, truth and comparison of an object of a class without a catalog line are records with a verdict."""
    thing = open_plane.proxy(object())
    touch(thing)
    (record,) = effects(open_plane)
    assert record["verdict"] == "allow"
    assert record["effects"]["declared"] == ["read"]


def test_the_wrapped_object_is_refused(open_plane: ControlPlane):
    """`__wrapped__` is an operation with the effect `unknown`, which no preset grants; the refusal says so."""
    frame = open_plane.proxy(pd.DataFrame({"a": [1]}), name="sales")
    with pytest.raises(DeniedAttribute, match="does not hand out its object") as caught:
        frame.__wrapped__
    assert caught.value.effect == "unknown"
    assert not hasattr(frame, "__wrapped__")
    assert {record["status"] for record in effects(open_plane)} == {"denied"}


def test_the_wrapped_object_where_a_rule_names_it(native: Callable[[Any], Any]):
    """A policy that names `unknown` hands the real object out, on record."""
    value = [1]
    proxy = native(value)
    assert proxy.__wrapped__ is value
    with pytest.raises(TypeError, match="cannot be exchanged"):
        proxy.__wrapped__ = []
    with pytest.raises(TypeError, match="can't delete"):
        del proxy.__wrapped__


def test_pickle_and_copy(open_plane: ControlPlane):
    """A proxy is never pickled; a copy is the host's copy, where a catalog says what that does."""
    frame = open_plane.proxy(pd.DataFrame({"a": [1]}))
    for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
        with pytest.raises(NotImplementedError, match="object proxy must define __reduce__"):
            pickle.dumps(frame, protocol)
    twin = copy.copy(frame)
    assert twin is not frame
    assert twin.equals(frame)
    with pytest.raises(NotImplementedError, match="object proxy must define __copy__"):
        copy.copy(open_plane.proxy(object()))


@pytest.mark.parametrize(
    "name", ["__array_interface__", "__array_struct__", "__arrow_c_stream__", "__dataframe__", "__dlpack__"]
)
@pytest.mark.parametrize("value", [pd.DataFrame({"a": [1]}), np.zeros(3)], ids=["frame", "array"])
def test_shared_memory_is_refused(open_plane: ControlPlane, value: Any, name: str):
    """Protocols that share memory are absent for whoever asks."""
    assert not hasattr(open_plane.proxy(value), name)


def test_the_buffer_protocol_is_refused(open_plane: ControlPlane):
    """No buffer of a proxied array or bytes can be had."""
    for value in (np.zeros(3), b"abc"):
        with pytest.raises(TypeError):
            memoryview(open_plane.proxy(value))


def test_an_array_is_metered(open_plane: ControlPlane):
    """`np.asarray` reveals every row, on record, and gives memory of its own."""
    data = np.arange(4.0)
    proxy = open_plane.proxy(data)
    array = np.asarray(proxy)
    assert type(array) is np.ndarray
    assert not np.shares_memory(array, data)
    (record,) = [r for r in effects(open_plane) if r.get("member") == "__array__"]
    assert set(record["effects"]["declared"]) == {"compute", "reveal"}
    assert record["result"]["rows"] == 4


def test_classes_are_made_per_type(open_plane: ControlPlane):
    """Two lists share a class; only the plane makes instances, and nobody changes the class."""
    first, second = open_plane.proxy([1]), open_plane.proxy([2])
    assert type(first) is type(second)
    assert "cooperative" in repr(type(first))
    with pytest.raises(TypeError, match=r"plane\.proxy"):
        type(first)([3])
    with pytest.raises(TypeError):
        type(first).append = None
    assert grip_of(first) is not grip_of(second)
