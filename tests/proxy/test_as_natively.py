"""What ordinary code does with an object it does with a proxy of it, and what comes out stays behind proxies."""

from __future__ import annotations

import math
from collections import abc
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest

from proxyplane import ControlPlane
from proxyplane.proxies.grip import is_proxy

from .conftest import effects

ABSTRACT = [getattr(abc, name) for name in abc.__all__]
VALUES: list[Callable[[], Any]] = [
    object, lambda: 5, lambda: 2.5, lambda: [1], lambda: {1: 2}, lambda: {1}, lambda: "x", lambda: range(3),
    lambda: (n for n in [1]), lambda: iter([1]), lambda: len, lambda: pd.DataFrame({"a": [1]}), lambda: pd.Series([1]),
    lambda: np.zeros(2),
]  # fmt: skip


@pytest.mark.parametrize("make", VALUES, ids=lambda make: type(make()).__name__)
def test_abstract_classes_see_the_host_type(open_plane: ControlPlane, make: Callable[[], Any]):
    """`isinstance(p, Sized)` and its like say of a proxy what they say of its object."""
    value = make()
    proxy = open_plane.proxy(value)
    wrong = [kind.__name__ for kind in ABSTRACT if isinstance(proxy, kind) != isinstance(value, kind)]
    assert wrong == []


def matched(value: Any) -> str:
    match value:
        case [first, *rest]:
            return f"sequence {first} and {len(rest)} more"
        case {"x": x}:
            return f"mapping {x}"
        case _:
            return "other"


@pytest.mark.parametrize("value", [[1, 2], (3,), {"x": 1}, {"y": 2}, "text", 5, {1}], ids=repr)
def test_match(open_plane: ControlPlane, value: Any):
    """Patterns of sequences and mappings match proxies of sequences and mappings, on record, and nothing else."""
    assert matched(open_plane.proxy(value)) == matched(value)


def test_classes_of_a_proxied_module(open_plane: ControlPlane):
    """Making an instance by a class of a proxied module is an operation; its parts may be proxies."""
    pandas = open_plane.proxy(pd, name="pd")
    column = open_plane.proxy(pd.Series([3, 1, 2]), name="column")
    before = len(effects(open_plane))
    frame = pandas.DataFrame({"p": column, "q": column * 2})
    assert len(effects(open_plane)) > before
    assert is_proxy(frame)
    assert frame[column > 1]["q"].tolist() == [6, 4]
    assert pandas.Series(open_plane.proxy(np.array([1, 2]))).sum() == 3
    assert isinstance(frame, pandas.DataFrame)
    assert isinstance(frame, pd.DataFrame)
    assert pandas.Timestamp is pd.Timestamp
    with pytest.raises(pandas.errors.UndefinedVariableError):
        frame.query("nothing > 1")


def test_options_by_a_proxied_module(open_plane: ControlPlane):
    """A proxied module is no data: options can be set with it, for the session alone."""
    pandas = open_plane.proxy(pd, name="pd")
    before = pd.get_option("display.precision")
    with pandas.option_context("display.precision", 2):
        assert "0.33" in repr(open_plane.proxy(pd.Series([1 / 3])))
        assert pd.get_option("display.precision") == before


def test_variables_of_an_expression(open_plane: ControlPlane):
    """`@name` in `query` is the variable of the function that calls it."""
    frame = open_plane.proxy(pd.DataFrame({"x": [1, 2, 3]}))
    limit = 1
    assert frame.query("x > @limit").x.tolist() == [2, 3]
    assert limit == 1
    with pytest.raises(pd.errors.UndefinedVariableError):
        frame.query("x > @nowhere")


def test_what_stands_in_a_fresh_container_is_no_host_list(open_plane: ControlPlane):
    """A list in a cell arrives as a copy: changing the host's without a record is not possible."""
    cells = [[1], [2]]
    series = pd.Series(cells)
    proxy = open_plane.proxy(series)
    for got in (proxy.tolist(), list(proxy.to_dict().values())):
        got[0].append(9)
    assert series.tolist() == [[1], [2]]
    rows = {"x": [1]}
    copied = open_plane.proxy(rows).copy()
    copied["x"].append(2)  # of a shallow copy, as natively: an operation on the list inside
    assert rows == {"x": [1, 2]}
    assert any(record.get("member") == "append" for record in effects(open_plane))


def test_a_mark_is_itself(open_plane: ControlPlane):
    """`get(key, missing)` gives the very mark."""
    missing = object()
    assert open_plane.proxy({1: 2}).get(3, missing) is missing


def test_the_same_object_is_the_same_proxy(open_plane: ControlPlane):
    """Identity, hash and equality of proxies agree."""
    frame = open_plane.proxy(pd.DataFrame({"a": [1]}))
    assert frame.columns is frame.columns
    thing = open_plane.proxy(object())
    assert thing in {thing}
    assert [thing].index(thing) == 0
    inner: list[int] = [1]
    outer = open_plane.proxy([inner, inner])
    assert outer[0] is outer[1]


def test_subclass_checks_of_proxied_classes(native: Callable[[Any], Any]):
    """`issubclass` walks the bases of a proxied class."""

    class Base: ...

    class Child(Base): ...

    assert issubclass(native(Child), Base)
    assert issubclass(Child, native(Base))
    assert not issubclass(native(Base), Child)


def test_rounding_by_the_float(native: Callable[[Any], Any]):
    """`math.floor` and `math.ceil` use the float of an object that has nothing else."""

    class Half:
        def __float__(self) -> float:
            return 3.5

    assert (math.floor(native(Half())), math.ceil(native(Half()))) == (3, 4)
    with pytest.raises(TypeError):
        math.trunc(native(Half()))


def test_annotations(native: Callable[[Any], Any]):
    """Annotations of a proxied function equal the function's own."""

    def function(a: list[int]) -> dict[str, int] | None:
        return {"a": len(a)}

    assert native(function).__annotations__ == function.__annotations__
    assert list(reversed(native({"x": 1, "y": 2}))) == ["y", "x"]
    with pytest.raises(TypeError, match="not iterable"):
        iter(native(np.dtype("int64")))
