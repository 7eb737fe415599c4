"""Special methods of proxy classes: a verb each where the host type has them, a native failure where it has not."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import Any, Final, NoReturn

from proxyplane.proxies.grip import grip_of, is_proxy

__all__ = ["has", "operators", "passed_on", "special"]

_BINARY: Final = "add sub mul truediv floordiv mod matmul divmod and or xor lshift rshift pow".split()
_COMPARE: Final = {"lt": "<", "le": "<=", "gt": ">", "ge": ">=", "eq": "==", "ne": "!="}
_UNARY: Final = {"neg": "-", "pos": "+", "invert": "~", "abs": "abs()"}
_COERCED: Final[dict[str, type]] = {"int": int, "float": float, "complex": complex}
_SEQUENCES: Final = (list, tuple, str, bytes)
_CONTAINERS: Final = frozenset({list, dict, set, frozenset, tuple})
_HEAP_TYPE: Final = 1 << 9
_CHUNK: Final = 512
"""Most items that are read ahead from an iterator."""

Method = Callable[..., Any]


def has(real: type, name: str) -> bool:
    """Whether a type defines a special method itself: what every object has from `object` does not count."""
    for owner in real.__mro__[:-1]:  # not getattr: it would find the methods of the metaclass
        if name in vars(owner):
            return vars(owner)[name] is not None
    return False


def operators(real: type) -> dict[str, Any]:
    """Binary operators and comparisons."""
    found: dict[str, Any] = {}
    for name in _BINARY:
        if has(real, f"__{name}__"):
            found[f"__{name}__"] = _power() if name == "pow" else _operator("binop", name)
        else:
            found[f"__{name}__"] = _left_to_other(f"r{name}")
        reflected = has(real, f"__r{name}__")
        found[f"__r{name}__"] = _operator("binop", f"r{name}") if reflected else _forward(name, real)
        if name != "divmod":
            own = has(real, f"__i{name}__")
            either = own or has(real, f"__{name}__")
            found[f"__i{name}__"] = _in_place(f"i{name}" if own else name) if either else _declined
    for name in _COMPARE:
        ordered = name in ("eq", "ne") or has(real, f"__{name}__")
        found[f"__{name}__"] = _operator("compare", name) if ordered else _declined
    return found


def _declined(proxy: Any, other: Any, *more: Any) -> Any:
    """The host type has no such operator: Python asks the other operand, then fails as natively."""
    return NotImplemented


def _operator(verb: str, member: str) -> Method:
    def method(proxy: Any, other: Any, /) -> Any:
        grip = grip_of(proxy)
        return grip.inprocess.perform(verb, grip.held, member, (other,))

    return method


def _in_place(member: str) -> Method:
    def method(proxy: Any, other: Any, /) -> Any:
        grip = grip_of(proxy)
        return grip.inprocess.perform_held("binop", grip.held, member, (other,))

    return method


def _power() -> Method:
    def method(proxy: Any, other: Any, modulus: Any = None, /) -> Any:
        grip = grip_of(proxy)
        return grip.inprocess.perform("binop", grip.held, "pow", (other,) if modulus is None else (other, modulus))

    return method


def _left_to_other(member: str) -> Method:
    """The host type has no such operator, and the other operand is left to try; pandas' own leaves it to proxies."""

    def method(proxy: Any, other: Any, *modulus: Any) -> Any:
        if is_proxy(other) or not hasattr(type(other), "__pandas_priority__"):
            return NotImplemented
        inprocess = grip_of(proxy).inprocess
        return inprocess.perform("binop", inprocess.library(other), member, (proxy,))

    return method


def _forward(name: str, real: type) -> Method:
    """`[1] + proxy`: sequences have no reflected method; the other operand becomes the target."""
    left = _left_to_other(name)

    def method(proxy: Any, other: Any, /) -> Any:
        if name != "add" or type(other) not in _SEQUENCES or not issubclass(real, type(other)):
            return left(proxy, other)
        inprocess = grip_of(proxy).inprocess
        return inprocess.perform("binop", inprocess.library(other), name, (proxy,))

    return method


# Other special methods


def special(real: type) -> dict[str, Any]:
    found: dict[str, Any] = {}
    noun = real.__name__
    for name, sign in _UNARY.items():
        found[f"__{name}__"] = (
            _unary(name) if has(real, f"__{name}__") else _fails(f"bad operand type for {sign}: {noun!r}")
        )
    for name, of_float in (("floor", math.floor), ("ceil", math.ceil)):
        if not has(real, f"__{name}__") and (has(real, "__float__") or has(real, "__index__")):
            found[f"__{name}__"] = _of_float(of_float)
    for name in {"trunc", "floor", "ceil", "reversed"} - {name[2:-2] for name in found}:
        able = has(real, f"__{name}__")
        found[f"__{name}__"] = _unary(name) if able else _fails(f"type {noun} doesn't define __{name}__ method")
    whole = has(real, "__index__") or has(real, "__trunc__")
    for name, kind in _COERCED.items():
        able = has(real, f"__{name}__") or whole or issubclass(real, str)
        found[f"__{name}__"] = _coerced(name, kind) if able else _fails(f"{name}() argument must not be {noun!r}")
    if not has(real, "__reversed__") and has(real, "__getitem__") and has(real, "__len__"):
        found["__reversed__"] = _backwards
    found |= _container(real, noun) | _text()
    found["__round__"] = _rounded if has(real, "__round__") else _fails(f"type {noun} doesn't define __round__ method")
    index = has(real, "__index__")
    found["__index__"] = _index if index else _fails(f"{noun!r} object cannot be interpreted as an integer")
    found["__bytes__"] = _bytes(real)
    found["__instancecheck__"], found["__subclasscheck__"] = _instance_check, passed_on("__subclasscheck__")
    manages = has(real, "__enter__") and has(real, "__exit__")
    refused = _fails(f"{noun!r} object does not support the context manager protocol")
    found["__enter__"], found["__exit__"] = (_enter, _leave) if manages else (refused, refused)
    awaited = has(real, "__aenter__") and has(real, "__aexit__")
    refused = _fails(f"{noun!r} object does not support the asynchronous context manager protocol")
    for name in ("__aenter__", "__aexit__"):
        found[name] = passed_on(name) if awaited else refused
    if has(real, "__array__"):
        found["__array__"] = _as_array
    if has(real, "__await__"):
        found["__await__"] = _awaited
    if callable_type(real):
        found["__call__"] = _call
    return found


def callable_type(real: type) -> bool:
    """Whether instances can be called."""
    return has(real, "__call__")


def _container(real: type, noun: str) -> dict[str, Any]:
    found: dict[str, Any] = {}
    subscripts = has(real, "__getitem__")
    iterates = has(real, "__iter__")
    sized = has(real, "__len__")
    found["__len__"] = _length if sized else _fails(f"object of type {noun!r} has no len()")
    found["__bool__"] = _sized_truth if sized and not has(real, "__bool__") else _truth
    found["__hash__"] = _hashed if getattr(real, "__hash__", None) is not None else _fails(f"unhashable type: {noun!r}")
    found["__getitem__"] = (
        _item if subscripts or issubclass(real, type) else _fails(f"{noun!r} object is not subscriptable")
    )
    for verb, name, text in (("setitem", "__setitem__", "assignment"), ("delitem", "__delitem__", "deletion")):
        refused = _fails(f"{noun!r} object does not support item {text}")
        found[name] = _written(verb) if has(real, name) else refused
    if has(real, "__next__"):
        found["__next__"] = _following
    sequence = subscripts and (iterates or _in_python(real, "__getitem__") or issubclass(real, _SEQUENCES))
    found["__iter__"] = _iterate if iterates or sequence else None
    within = has(real, "__contains__") or iterates or sequence
    found["__contains__"] = _contains if within else _fails(f"argument of type {noun!r} is not iterable")
    return found


def _in_python(real: type, name: str) -> bool:
    """Whether a special method is of a class in Python: such a `__getitem__` is iterated over, one in C maps keys."""
    owner = next(owner for owner in real.__mro__ if name in vars(owner))
    return bool(owner.__flags__ & _HEAP_TYPE)


def _fails(text: str) -> Method:
    def method(proxy: Any, *args: Any, **kwargs: Any) -> NoReturn:
        raise TypeError(text)

    return method


def _backwards(proxy: Any) -> Iterator[Any]:
    """What Python makes of a sequence that cannot be reversed by itself: item by item from the end."""
    return (_item(proxy, at) for at in range(_length(proxy) - 1, -1, -1))


def _unary(member: str) -> Method:
    def method(proxy: Any, /) -> Any:
        grip = grip_of(proxy)
        return grip.inprocess.perform("unop", grip.held, member)

    return method


def _coerced(member: str, kind: type) -> Method:
    def method(proxy: Any, /) -> Any:
        grip = grip_of(proxy)
        return kind(grip.inprocess.perform("unop", grip.held, member))

    return method


def _of_float(function: Callable[[float], int]) -> Method:
    """`math.floor` and `math.ceil` take the float of what has no such method."""
    to_float = _coerced("float", float)
    return lambda proxy: function(to_float(proxy))


def _rounded(proxy: Any, digits: Any = None, /) -> Any:
    grip = grip_of(proxy)
    return grip.inprocess.perform("unop", grip.held, "round", () if digits is None else (digits,))


def passed_on(name: str) -> Method:
    """A special method that no verb stands for: a call of that member, which is `unknown` unless a table says more."""

    def method(proxy: Any, /, *args: Any, **kwargs: Any) -> Any:
        grip = grip_of(proxy)
        return grip.inprocess.perform("call", grip.held, name, args, kwargs)

    return method


def _instance_check(proxy: Any, instance: Any) -> Any:
    if type(instance) in _CONTAINERS:  # its type is what is asked about: its content stays where it is
        instance = type(instance)()
    grip = grip_of(proxy)
    return grip.inprocess.perform("call", grip.held, "__instancecheck__", (instance,))


def _call(proxy: Any, /, *args: Any, **kwargs: Any) -> Any:
    grip = grip_of(proxy)
    return grip.inprocess.perform("call", grip.held, None, args, kwargs)


def _length(proxy: Any) -> int:
    grip = grip_of(proxy)
    return int(grip.inprocess.perform("len", grip.held))


def _truth(proxy: Any) -> bool:
    grip = grip_of(proxy)
    return bool(grip.inprocess.perform("bool", grip.held))


def _sized_truth(proxy: Any) -> bool:
    return _length(proxy) != 0


def _hashed(proxy: Any) -> int:
    grip = grip_of(proxy)
    return int(grip.inprocess.perform("hash", grip.held))


def _index(proxy: Any) -> int:
    grip = grip_of(proxy)
    return int(grip.inprocess.perform("index", grip.held))


def _item(proxy: Any, key: Any) -> Any:
    grip = grip_of(proxy)
    return grip.inprocess.perform("getitem", grip.held, None, (key,))


def _written(verb: str) -> Method:
    def method(proxy: Any, *key_and_value: Any) -> None:
        grip = grip_of(proxy)
        grip.inprocess.perform(verb, grip.held, None, key_and_value)

    return method


def _contains(proxy: Any, item: Any) -> bool:
    grip = grip_of(proxy)
    return bool(grip.inprocess.perform("contains", grip.held, None, (item,)))


def _enter(proxy: Any) -> Any:
    grip = grip_of(proxy)
    return grip.inprocess.perform("enter", grip.held)


def _leave(proxy: Any, kind: Any, error: Any, trace: Any) -> Any:
    grip = grip_of(proxy)
    return grip.inprocess.perform("exit", grip.held, None, () if kind is None else (kind, error, trace))


def _text() -> dict[str, Any]:
    def shown(verb: str) -> Method:
        def method(proxy: Any) -> str:
            grip = grip_of(proxy)
            return str(grip.inprocess.perform(verb, grip.held))

        return method

    def formatted(proxy: Any, specification: str) -> str:
        grip = grip_of(proxy)
        return str(grip.inprocess.perform("format", grip.held, None, (specification,)))

    return {"__repr__": shown("repr"), "__str__": shown("str"), "__format__": formatted}


def _bytes(real: type) -> Method:
    if has(real, "__bytes__"):
        return passed_on("__bytes__")
    if has(real, "__iter__"):
        return lambda proxy: bytes(list(proxy))
    if has(real, "__index__"):
        return lambda proxy: bytes(_index(proxy))
    return _fails(f"cannot convert {real.__name__!r} object to bytes")


def _iterate(proxy: Any) -> Any:
    grip = grip_of(proxy)
    outcome, operation = grip.inprocess.ask("iter", grip.held)
    return grip.inprocess.give(outcome, operation, outcome.value[0])


def _following(proxy: Any) -> Any:
    grip = grip_of(proxy)
    if not grip.items:
        if grip.finished:
            raise StopIteration
        outcome, operation = grip.inprocess.ask("next", grip.held, None, (grip.size,))
        finished, items = outcome.value
        if grip.held.pure:
            grip.finished = finished
            grip.size = min(grip.size * 2, _CHUNK)
        if not items:
            raise StopIteration
        grip.items = [grip.inprocess.give(outcome, operation, item) for item in reversed(items)]
    return grip.items.pop()


def _as_array(proxy: Any, dtype: Any = None, copy: Any = None) -> Any:
    """All of the content as an array in memory of its own: `reveal` of every row."""
    grip = grip_of(proxy)
    if copy is False:
        raise ValueError("an in-process proxy shares no memory: an array of it is always a copy")
    return grip.inprocess.ask("call", grip.held, "__array__", () if dtype is None else (dtype,))[0].value


def _awaited(proxy: Any) -> Any:
    """Awaiting is one operation; what it gives stays with the host, as a proxy."""
    grip = grip_of(proxy)
    outcome, operation = grip.inprocess.ask("call", grip.held, "__await__")
    value = yield from outcome.value
    return value if value is None else grip.inprocess.wrap(outcome, operation, value)
