"""Every special method that Python or a library could ask for: an operation on record or a failure, never silent."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pandas as pd
import pytest

from proxyplane import ControlPlane, Policy

from .conftest import PERMISSIVE


def _generator() -> Iterator[int]:
    yield 1


@contextlib.contextmanager
def _manager() -> Iterator[int]:
    yield 1


VALUES: list[Callable[[], Any]] = [
    lambda: pd.DataFrame({"a": [1, 2]}), lambda: pd.Series([1, 2]), lambda: pd.Index([1, 2]), lambda: np.arange(3),
    lambda: np.float64(1), lambda: pd.Timestamp("2024-01-01"), lambda: [1, 2], lambda: {1: 2}, lambda: {1},
    lambda: (1,),
    lambda: 5, lambda: 2.5, lambda: 1j, lambda: "ab", lambda: b"ab", lambda: range(3), lambda: io.StringIO("a"),
    _generator, _manager, lambda: int, lambda: pd.DataFrame, lambda: len, lambda: _generator, lambda: pd,
    lambda: iter([1]), lambda: None, object,
]  # fmt: skip
MODEL = frozenset(
    "__getnewargs__ __getnewargs_ex__ __setstate__ __copy__ __deepcopy__ __matmul__ __rmatmul__ __imatmul__ __index__ "
    "__length_hint__ __missing__ __await__ __aiter__ __anext__ __aenter__ __aexit__ __fspath__ __buffer__ "
    "__release_buffer__ __dataframe__ __arrow_c_array__ __arrow_c_schema__ __arrow_c_stream__ __dlpack__ "
    "__array_function__ __array_ufunc__ __array_wrap__ __array_finalize__ __array_prepare__ __cuda_array_interface__ "
    "__get__ __set__ __delete__ __set_name__ __prepare__ __annotations__ __type_params__ __mro_entries__ __coerce__ "
    "__trunc__ __floor__ __ceil__ __getslice__ __nonzero__ __unicode__ __cmp__".split()
)
NAMES = sorted(
    MODEL
    | {
        name
        for value in [make() for make in VALUES]
        for held in (value, type(value))
        for name in dir(held)
        if name.startswith("__") and name.endswith("__")
    }
)
OF_THE_PROXY = frozenset("__slots__ __sizeof__ __init_subclass__ __subclasshook__ __class_getitem__".split())
"""What speaks of the proxy and its class alone, as in wrapt."""
GUESSES: tuple[tuple[Any, ...], ...] = ((), (1,), ("a",), (1, 2), (None, None, None))


def _reach(proxy: Any, name: str) -> Any:
    """What a special method comes to with the first arguments that it takes; NotImplemented where it fails."""
    found = getattr(proxy, name)
    if type(found).__name__ not in ("method", "builtin_function_or_method", "method-wrapper"):
        return found
    for args in GUESSES:
        try:
            return found(*args)
        except Exception:
            continue
    return NotImplemented


@pytest.fixture
def counted(open_plane: ControlPlane, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many effect records the plane has written."""
    written = [0]
    append = open_plane.append

    def counting(*args: Any) -> None:
        written[0] += 1
        append(*args)

    monkeypatch.setattr(open_plane, "append", counting)
    return written


@pytest.mark.parametrize("make", VALUES, ids=lambda make: type(make()).__name__)
def test_none_is_silent(open_plane: ControlPlane, counted: list[int], make: Callable[[], Any]):
    """Each special method of each kind of object makes a record, or fails, or says that it is not implemented."""
    proxy = open_plane.proxy(make())
    silent = []
    for name in NAMES:
        if name in OF_THE_PROXY:
            continue
        before = counted[0]
        try:
            came = _reach(proxy, name)
        except Exception:
            continue
        if counted[0] == before and came is not NotImplemented and came is not None:
            silent.append(name)
    assert silent == ["__pandas_priority__"]  # a number by which pandas lets proxies go first


def test_the_proxy_has_no_state_to_copy(open_plane: ControlPlane):
    """What pickle and copy would collect of an object cannot be had of a proxy."""
    proxy = open_plane.proxy([1])
    for name in ("__reduce__", "__getstate__"):
        with pytest.raises(NotImplementedError, match="object proxy must define"):
            getattr(proxy, name)()


def _spy() -> Any:
    """An object of a class with every special method, which keeps what it was asked."""
    asked: list[str] = []

    def method(name: str) -> Any:
        def answer(self: Any, *args: Any, **kwargs: Any) -> Any:
            asked.append(name)
            return {"__len__": 1, "__hash__": 1, "__bool__": True, "__index__": 1, "__int__": 1}.get(
                name, NotImplemented
            )

        return answer

    skipped = "__new__ __init__ __init_subclass__ __class__ __getattribute__ __setattr__ __dict__ __weakref__ __doc__ "
    skipped += (
        "__slots__ __module__ __name__ __qualname__ __annotations__ __abstractmethods__ __bases__ __base__ __mro__ "
    )
    skipped += "__set_name__ __subclasshook__ __getattr__ __instancecheck__ __subclasscheck__ __class_getitem__ __del__"
    names = [name for name in NAMES if name not in skipped.split()]
    return type("Spy", (), {name: method(name) for name in names})(), asked


def test_the_object_is_reached_by_operations_only(monkeypatch: pytest.MonkeyPatch):
    """Whenever the real object is asked anything, a record of it is written: whatever the policy grants."""
    spy, asked = _spy()
    with ControlPlane(policy=Policy.parse(PERMISSIVE), require_tier="cooperative") as plane:
        written = [0]
        append = plane.append

        def counting(*args: Any) -> None:
            written[0] += 1
            append(*args)

        monkeypatch.setattr(plane, "append", counting)
        proxy = plane.proxy(spy)
        asked.clear()
        reached = 0
        for name in NAMES:
            before = written[0]
            with contextlib.suppress(Exception):
                _reach(proxy, name)
            assert not asked or written[0] > before, name
            reached += bool(asked)
            asked.clear()
    assert reached > 60
