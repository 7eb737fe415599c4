"""Under a policy that names `unknown`, proxies of plain objects behave as the objects do."""

from __future__ import annotations

import asyncio
import functools
import math
import types
from collections.abc import Callable
from typing import Any

import pytest
import wrapt

Proxied = Callable[[Any], Any]


class Base:
    """documentation"""


class Target(Base):
    """documentation"""

    def __init__(self, number: int = 1) -> None:
        self.number = number

    def double(self) -> int:
        return self.number * 2

    def me(self) -> Target:
        return self

    def give(self, *args: Any, **kwargs: Any) -> Any:
        return args, kwargs

    def fail(self) -> None:
        raise LookupError("not here", self.number)

    def __matmul__(self, other: Any) -> Any:
        return ("matmul", other)

    def __round__(self, digits: Any = None) -> Any:
        return ("round", digits)

    def __enter__(self) -> Target:
        self.number += 1
        return self

    def __exit__(self, kind: Any, error: Any, trace: Any) -> bool:
        self.seen = (kind, error)
        return kind is KeyError


class Made:
    """Makes attributes up."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("x"):
            return name * 2
        raise AttributeError(name)


def function(*args: Any, **kwargs: Any) -> Any:
    """documentation"""
    return args, kwargs


@pytest.mark.parametrize("value", [Target, Target(), function, 1, "text", [1], {}, None, len, math, Target().double])
def test_class_and_names(native: Proxied, value: Any):
    """Class, isinstance, documentation, names, `dir` and hash are those of the object."""
    proxy = native(value)
    assert proxy.__class__ is type(value)
    assert isinstance(proxy, type(value))
    assert isinstance(proxy, wrapt.ObjectProxy)
    for name in ("__name__", "__qualname__", "__module__", "__doc__"):
        assert getattr(proxy, name, "none") == getattr(value, name, "none")
    if not isinstance(value, str | list | dict):  # a catalog says which names of these can be used
        assert dir(proxy) == dir(value)
    assert callable(proxy) == callable(value)
    assert proxy == value
    assert value == proxy
    if value.__hash__ is not None:
        assert hash(proxy) == hash(value)
        assert {value: 5}.get(proxy) == 5
        assert {proxy: 5}.get(value) == 5


def test_base_classes_count(native: Proxied):
    """`isinstance` with a base class, and with a proxied class."""
    assert isinstance(native(Target()), Base)
    assert isinstance(Target(), native(Base))
    assert issubclass(Target, native(Base))
    assert not isinstance(5, native(Base))


def test_a_proxied_class_is_a_base(native: Proxied):
    """Deriving from the proxy of a class derives from the class."""

    class Derived(native(Base)):  # type: ignore[misc]
        pass

    assert issubclass(Derived, Base)


def test_attributes(native: Proxied):
    """Attributes are read, set and deleted on the object; names with `_self_` belong to the proxy."""
    value = Target(3)
    proxy = native(value)
    assert proxy.number == 3
    proxy.number = 4
    assert value.number == 4
    del proxy.number
    assert not hasattr(value, "number")
    assert not hasattr(proxy, "number")
    proxy._self_mark = True
    assert proxy._self_mark is True
    assert not hasattr(value, "_self_mark")
    del proxy._self_mark
    assert not hasattr(proxy, "_self_mark")
    assert vars(proxy) == vars(value)
    assert native(Made()).xy == "xyxy"
    with pytest.raises(AttributeError):
        native(Made()).yx


def test_calls(native: Proxied):
    """Functions, methods, classes and instances are called with what was passed, and results are the same."""
    assert native(function)() == ((), {})
    assert native(function)(1, "a", key=[2]) == ((1, "a"), {"key": [2]})
    proxy = native(Target(5))
    assert proxy.double() == 10
    assert proxy.me() is proxy
    assert proxy.give(proxy, n=1)[0][0] is proxy
    assert native(Target)(7).double() == 14
    assert native(functools.partial(function, 1))(2) == ((1, 2), {})
    assert native(Target.double)(Target(2)) == 4


def test_exceptions_are_the_objects_own(native: Proxied):
    """Where `unknown` was granted, the very exception arrives."""
    with pytest.raises(LookupError) as caught:
        native(Target(5)).fail()
    assert caught.value.args == ("not here", 5)


def test_functions_of_the_agent_see_proxies(native: Proxied):
    """A function that the host calls gets wrapped arguments; what it returns is unwrapped; its errors are its own."""
    inner = Target(2)
    rows = native([inner, inner])
    seen: list[Any] = []
    rows.sort(key=lambda item: seen.append(item) or item.number)
    assert [type(item) for item in seen] == [type(native(inner))] * 2
    assert native(Target(1)).give(rows)[0][0] is rows

    class Own(Exception):
        pass

    def fails(item: Any) -> None:
        raise Own("mine")

    with pytest.raises(Own, match="mine"):
        rows.sort(key=fails)


def test_numbers(native: Proxied):
    """Arithmetic, comparison and conversion, on either side; in-place operators give a proxy."""
    two, three = native(2), native(3)
    assert [three + two, 3 - two, three * 2, 3 / two, three // two, 3 % two] == [5, 1, 6, 1.5, 1, 1]
    assert [three**two, 3**two, pow(three, 2, 2), divmod(three, two)] == [9, 9, 1, (1, 1)]
    assert [three << two, 3 >> two, three & two, 3 | two, three ^ 2] == [12, 0, 2, 3, 1]
    assert [-three, +three, ~three, abs(native(-3)), int(two), float(two), complex(two)] == [
        -3,
        3,
        -4,
        3,
        2,
        2.0,
        2 + 0j,
    ]
    assert [round(native(2.6)), math.floor(native(2.6)), math.ceil(native(2.1)), math.trunc(native(2.6))] == [
        3,
        2,
        3,
        2,
    ]
    assert two < three <= 3
    assert 2 < three  # noqa: SIM300 - the reflected one
    assert hex(native(20)) == "0x14"
    assert [0, 1, 2][native(1)] == 1
    assert f"{native(1):0>3}" == "001"
    assert (str(native(10)), repr(native(10))) == ("10", "10")
    total = other = native(1)
    total += 1
    total *= native(3)
    assert isinstance(total, wrapt.ObjectProxy)
    assert (total, other) == (6, 1)
    with pytest.raises(TypeError, match="unsupported operand"):
        native(Target()) + 1
    assert native(Target()) @ 2 == ("matmul", 2)
    assert round(native(Target()), 1) == ("round", 1)


def test_containers(native: Proxied):
    """Lists, dicts and sets: items, slices, deletion, membership, iteration, in-place operators."""
    rows = native(list(range(5)))
    rows[1:4] = reversed(rows[1:4])
    assert rows == [0, 3, 2, 1, 4]
    del rows[1:4]
    same = rows
    rows += [native(5)]
    assert rows is same
    assert list(rows) == [0, 4, 5]
    assert (4 in rows, 9 in rows, len(rows), [*rows], bool(native([]))) == (True, False, 3, [0, 4, 5], False)
    table = native({"a": 1})
    table["b"] = 2
    del table["a"]
    assert dict(table.items()) == {"b": 2}
    assert {**native({"c": 3})} == {"c": 3}
    assert [1, *native((2, 3))] == [1, 2, 3]
    assert "".join(native(["a", "b"])) == "ab"
    with pytest.raises(TypeError):
        native(5)[0]
    with pytest.raises(TypeError):
        len(native(5))
    with pytest.raises(TypeError):
        iter(native(5))
    assert bytes(native(b"ab")) == b"ab"


def test_iterators(native: Proxied):
    """Generators give their items once; `next` ends with StopIteration."""
    numbers = native(n for n in (1, 2, 3))
    assert iter(numbers) is numbers
    assert next(numbers) == 1
    assert list(numbers) == [2, 3]
    with pytest.raises(StopIteration):
        next(numbers)


def test_context_managers(native: Proxied):
    """`with` enters and leaves the object, and hands it the exception."""
    value = Target(1)
    with native(value) as inside:
        assert inside.number == 2
        raise KeyError("swallowed")
    assert value.seen[0] is KeyError
    with pytest.raises(TypeError, match="context manager"), native(5):
        pass


def test_async_context_managers(native: Proxied):
    """`async with` awaits what the object gives."""
    log: list[str] = []

    class Manager:
        async def __aenter__(self) -> str:
            log.append("in")
            return "value"

        async def __aexit__(self, *error: object) -> None:
            log.append("out")

    async def run() -> None:
        async with native(Manager()) as value:
            assert value == "value"

    asyncio.run(run())
    assert log == ["in", "out"]


def test_modules(native: Proxied):
    """A proxied module gives its functions and constants."""
    module = types.ModuleType("pieces")
    module.number = 5  # type: ignore[attr-defined]
    module.function = function  # type: ignore[attr-defined]
    proxy = native(module)
    assert proxy.number == 5
    assert proxy.function(1) == ((1,), {})
    assert native(math).sqrt(native(4)) == 2.0
