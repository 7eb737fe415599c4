"""Proxy classes: one for each type of host object, made once, with every special method an operation.

Nothing falls through to wrapt's own slots. A special method that the host type has asks the host; one that the host type
has not fails as natively, here, because there is nothing to touch. A class per type instead of `__getattr__` for
everything: a failed lookup before each attribute costs 300 ns.
"""

from __future__ import annotations

import sys
import types
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, Final, NoReturn
from weakref import WeakKeyDictionary

import wrapt

from proxyplane.catalog import Catalog, TypeEntry
from proxyplane.cooperative import SHARED, Rendered
from proxyplane.errors import Refusal
from proxyplane.objects import Held
from proxyplane.proxies.grip import Bound, Grip, ProxyType, grip_of

if TYPE_CHECKING:
    from proxyplane.proxies.inprocess import InProcess

__all__ = ["class_of", "make"]

_BINARY: Final = "add sub mul truediv floordiv mod matmul divmod and or xor lshift rshift pow".split()
_COMPARE: Final = {"lt": "<", "le": "<=", "gt": ">", "ge": ">=", "eq": "==", "ne": "!="}
_UNARY: Final = {"neg": "-", "pos": "+", "invert": "~", "abs": "abs()"}
_COERCED: Final[dict[str, type]] = {"int": int, "float": float, "complex": complex}
_NAMED: Final = (type, types.ModuleType, types.FunctionType, types.BuiltinFunctionType, types.MethodType)
"""Objects whose names are their own and not their type's."""
_SEQUENCES: Final = (list, tuple, str, bytes)
_CALLED: Final = frozenset({"method", "classmethod", "function"})
_CHUNK: Final = 512
"""Most items that are read ahead from an iterator."""
_ALWAYS: Final = frozenset(
    "__init__ __new__ __class__ __dict__ __wrapped__ __weakref__ __module__ __doc__ __getattribute__ __getattr__ "
    "__setattr__ __delattr__ __dir__ __slots__ __reduce__ __reduce_ex__ __getstate__ __setstate__ __sizeof__ "
    "__init_subclass__ __subclasshook__ __getnewargs__ __getnewargs_ex__ __get__ __set__ __delete__ __set_name__ "
    "__del__ __class_getitem__ __array_ufunc__ __array_function__ __array_interface__ __array_struct__ __buffer__ "
    "__release_buffer__ __annotations__ __abstractmethods__ __prepare__ __qualname__ __name__ __array_priority__".split()
)
"""What a class never takes over from its host type's list of special methods: `_base` has it, or nothing should."""

Method = Callable[..., Any]

_classes: WeakKeyDictionary[Catalog, dict[type, type]] = WeakKeyDictionary()
_wrapt: Any = wrapt.ObjectProxy


def class_of(held: Held, catalog: Catalog) -> type:
    """The proxy class for the type of an object; made at its first object."""
    known = _classes.setdefault(catalog, {})
    real = type(held.value)
    found = known.get(real)
    if found is None:
        found = known[real] = _class_for(real, held.kind)
    return found


def make(cls: type, inprocess: InProcess, held: Held) -> Any:
    """A proxy; the only way to one."""
    proxy = _wrapt.__new__(cls)
    _wrapt.__init__(proxy, Grip(inprocess, held))
    return proxy


def _class_for(real: type, kind: TypeEntry | None) -> type:
    namespace: dict[str, Any] = {"__slots__": (), "_proxied": f"{real.__module__}.{real.__qualname__}"}
    for name in _special_names(real):
        namespace[name] = _passed_on(name)
    namespace |= _operators(real) | _special(real) | _base()
    for name, line in kind.members.items() if kind is not None and not issubclass(real, type) else ():
        namespace[name] = _Method(name) if line.kind in _CALLED else _property(name)
    return ProxyType(real.__name__, (wrapt.ObjectProxy,), namespace)


def _has(real: type, name: str) -> bool:
    """Whether a type defines a special method itself: what every object has from `object` does not count."""
    for owner in real.__mro__[:-1]:  # not getattr: it would find the methods of the metaclass
        if name in vars(owner):
            return vars(owner)[name] is not None
    return False


def _special_names(real: type) -> Iterator[str]:
    """Special methods of a type that no table here names."""
    for owner in real.__mro__[:-1]:
        for name, value in vars(owner).items():
            if name.startswith("__") and name.endswith("__") and callable(value) and name not in _ALWAYS | SHARED:
                yield name


# Descriptors


class _Method:
    """A catalogued method: what it gives is made at each access, as natively."""

    __slots__ = ("_name",)

    def __init__(self, name: str) -> None:
        self._name = name

    def __get__(self, proxy: Any, owner: Any) -> Any:
        if proxy is None:
            name = self._name
            return lambda instance, /, *args, **kwargs: Bound(instance, name)(*args, **kwargs)
        return Bound(proxy, self._name)


def _property(name: str, *, raw: bool = False) -> property:
    """An attribute that the class has.

    Args:
        name: of the attribute.
        raw: what the operation came to is given as it is: the object itself, or its class for `isinstance`.
    """

    def fetch(proxy: Any) -> Any:
        grip = grip_of(proxy)
        try:
            if raw:
                return grip.inprocess.ask("getattr", grip.held, name)[0].value
            return grip.inprocess.perform("getattr", grip.held, name)
        except AttributeError as error:
            grip.refused = (name, error)
            raise

    return property(fetch, lambda proxy, value: _set(proxy, name, value), lambda proxy: _delete(proxy, name))


def _set(proxy: Any, name: str, value: Any) -> None:
    if name.startswith("_self_"):  # wrapt's own contract: such names are the proxy's and not the object's
        _wrapt.__setattr__(proxy, name, value)
        return
    if name == "__wrapped__":
        raise TypeError("the object of an in-process proxy cannot be exchanged; get a proxy of the other object")
    grip = grip_of(proxy)
    grip.inprocess.perform("setattr", grip.held, name, (value,))


def _delete(proxy: Any, name: str) -> None:
    if name.startswith("_self_"):
        _wrapt.__delattr__(proxy, name)
        return
    if name == "__wrapped__":
        raise TypeError("can't delete __wrapped__ attribute")
    grip = grip_of(proxy)
    grip.inprocess.perform("delattr", grip.held, name)


def _fetch(proxy: Any, name: str) -> Any:
    """An attribute that the class does not have."""
    grip = grip_of(proxy)
    refused = grip.refused
    if refused is not None and refused[0] == name:
        grip.refused = None
        raise refused[1]
    held = grip.held
    if name.startswith("_self_"):
        raise AttributeError(f"the proxy has no attribute {name!r} of its own")
    if isinstance(held.value, (type, types.ModuleType)):
        line = grip.inprocess.session.membrane.member_of(held, name)
        if line is not None and line.kind in _CALLED:
            return Bound(proxy, name)
    return grip.inprocess.perform("getattr", held, name)


# Every class


def _base() -> dict[str, Any]:
    """What all proxy classes have; none of it is wrapt's."""
    found: dict[str, Any] = {
        "__init__": _not_made,
        "__getattribute__": object.__getattribute__,
        "__getattr__": _fetch,
        "__setattr__": _set,
        "__delattr__": _delete,
        "__dir__": _names,
        "__reduce__": lambda proxy: _refuse_copy("__reduce__"),
        "__reduce_ex__": lambda proxy, protocol: _refuse_copy("__reduce_ex__"),
        "__copy__": lambda proxy: _copied(proxy, "__copy__", ()),
        "__deepcopy__": lambda proxy, memo: _copied(proxy, "__deepcopy__", (memo,)),
        "__array_ufunc__": _ufunc,
        "__array_function__": _array_function,
        "__pandas_priority__": 1_000_000,
        "__mro_entries__": _bases,
        "__class_getitem__": None,
        "_mime_": _shown,
        "_display_": lambda proxy: Rendered(*_shown(proxy)),
    }
    for name in "__doc__ __name__ __module__ __dict__ __annotations__".split():
        found[name] = _property(name)
    found["__class__"], found["__wrapped__"] = _property("__class__", raw=True), _property("__wrapped__", raw=True)
    return found


def _not_made(proxy: Any, *args: Any, **kwargs: Any) -> NoReturn:
    raise TypeError("in-process proxies are made by plane.proxy(...) and session.proxy(...) only")


def _names(proxy: Any) -> list[str]:
    grip = grip_of(proxy)
    held = grip.held
    if held.kind is None or isinstance(held.value, _NAMED):
        try:
            return list(grip.inprocess.perform("call", held, "__dir__"))
        except Refusal:
            if held.kind is None:
                raise
    dynamic = grip.inprocess.perform("list", held)
    return [*held.kind.members, *(name for name in held.kind.dunders if name != "()"), *dynamic]


def _refuse_copy(name: str) -> NoReturn:
    raise NotImplementedError(f"object proxy must define {name}(): in-process proxies are not pickled; send the result")


def _copied(proxy: Any, name: str, args: tuple[Any, ...]) -> Any:
    grip = grip_of(proxy)
    if grip.held.kind is None:
        raise NotImplementedError(f"object proxy must define {name}(): no catalog says what a copy would do")
    return grip.inprocess.perform("call", grip.held, name, () if name == "__copy__" else ({},))


def _bases(proxy: Any, bases: tuple[Any, ...]) -> tuple[Any, ...]:
    grip = grip_of(proxy)
    return tuple(grip.inprocess.ask("call", grip.held, "__mro_entries__")[0].value)


def _shown(proxy: Any) -> tuple[str, str]:
    """How a notebook shows it: decided as `display` and, since the text passes through the agent's hands, `reveal`."""
    grip = grip_of(proxy)
    try:
        mime, text = grip.inprocess.perform("call", grip.held, "_mime_")
    except Refusal as refusal:
        return "text/plain", f"cooperative proxy of {grip.held.type_name}: {refusal}"
    return str(mime), str(text)


def _as_array(proxy: Any, dtype: Any = None, copy: Any = None) -> Any:
    """All of the content as an array in memory of its own: `reveal` of every row."""
    grip = grip_of(proxy)
    if copy is False:
        raise ValueError("an in-process proxy shares no memory: an array of it is always a copy")
    return grip.inprocess.ask("call", grip.held, "__array__", () if dtype is None else (dtype,))[0].value


def _ufunc(proxy: Any, ufunc: Any, method: str, *inputs: Any, **kwargs: Any) -> Any:
    inprocess = grip_of(proxy).inprocess
    numpy = sys.modules["numpy"]
    if getattr(numpy, ufunc.__name__, None) is ufunc and method == "__call__":
        return inprocess.perform("call", inprocess.library(numpy), ufunc.__name__, inputs, kwargs)
    return inprocess.perform("call", inprocess.library(ufunc), None if method == "__call__" else method, inputs, kwargs)


def _array_function(proxy: Any, function: Any, kinds: Any, args: Any, kwargs: Any) -> Any:
    inprocess = grip_of(proxy).inprocess
    module = sys.modules.get(function.__module__)
    if module is None or getattr(module, function.__name__, None) is not function:
        return NotImplemented
    return inprocess.perform("call", inprocess.library(module), function.__name__, tuple(args), dict(kwargs))


# Operators


def _operators(real: type) -> dict[str, Any]:
    """Binary operators and comparisons."""
    found: dict[str, Any] = {}
    for name in _BINARY:
        if _has(real, f"__{name}__"):
            found[f"__{name}__"] = _power() if name == "pow" else _operator("binop", name)
        else:
            found[f"__{name}__"] = _declined
        reflected = _has(real, f"__r{name}__")
        found[f"__r{name}__"] = _operator("binop", f"r{name}") if reflected else _forward(name)
        if name != "divmod":
            own = _has(real, f"__i{name}__")
            either = own or _has(real, f"__{name}__")
            found[f"__i{name}__"] = _in_place(f"i{name}" if own else name) if either else _declined
    for name in _COMPARE:
        ordered = name in ("eq", "ne") or _has(real, f"__{name}__")
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


def _forward(name: str) -> Method:
    """`[1] + proxy`: sequences have no reflected method; the other operand becomes the target."""

    def method(proxy: Any, other: Any, /) -> Any:
        if type(other) not in _SEQUENCES:
            return NotImplemented
        inprocess = grip_of(proxy).inprocess
        return inprocess.perform("binop", inprocess.library(other), name, (proxy,))

    return method


# Other special methods


def _special(real: type) -> dict[str, Any]:
    found: dict[str, Any] = {}
    noun = real.__name__
    for name, sign in _UNARY.items():
        found[f"__{name}__"] = (
            _unary(name) if _has(real, f"__{name}__") else _fails(f"bad operand type for {sign}: {noun!r}")
        )
    for name in ("trunc", "floor", "ceil", "reversed"):
        able = _has(real, f"__{name}__") or (name == "reversed" and _has(real, "__getitem__"))
        found[f"__{name}__"] = _unary(name) if able else _fails(f"type {noun} doesn't define __{name}__ method")
    whole = _has(real, "__index__") or _has(real, "__trunc__")
    for name, kind in _COERCED.items():
        able = _has(real, f"__{name}__") or whole or issubclass(real, str)
        found[f"__{name}__"] = _coerced(name, kind) if able else _fails(f"{name}() argument must not be {noun!r}")
    found |= _container(real, noun) | _text()
    found["__round__"] = _rounded if _has(real, "__round__") else _fails(f"type {noun} doesn't define __round__ method")
    index = _has(real, "__index__")
    found["__index__"] = _index if index else _fails(f"{noun!r} object cannot be interpreted as an integer")
    found["__bytes__"] = _bytes(real)
    for name in ("__instancecheck__", "__subclasscheck__"):
        found[name] = _passed_on(name)
    manages = _has(real, "__enter__") and _has(real, "__exit__")
    refused = _fails(f"{noun!r} object does not support the context manager protocol")
    found["__enter__"], found["__exit__"] = (_enter, _leave) if manages else (refused, refused)
    awaited = _has(real, "__aenter__") and _has(real, "__aexit__")
    refused = _fails(f"{noun!r} object does not support the asynchronous context manager protocol")
    for name in ("__aenter__", "__aexit__"):
        found[name] = _passed_on(name) if awaited else refused
    if _has(real, "__array__"):
        found["__array__"] = _as_array
    if _has(real, "__await__"):
        found["__await__"] = _awaited
    if callable_type(real):
        found["__call__"] = _call
    return found


def callable_type(real: type) -> bool:
    """Whether instances can be called."""
    return _has(real, "__call__")


def _container(real: type, noun: str) -> dict[str, Any]:
    found: dict[str, Any] = {}
    subscripts = _has(real, "__getitem__")
    iterates = _has(real, "__iter__")
    sized = _has(real, "__len__")
    found["__len__"] = _length if sized else _fails(f"object of type {noun!r} has no len()")
    found["__bool__"] = _sized_truth if sized and not _has(real, "__bool__") else _truth
    found["__hash__"] = _hashed if getattr(real, "__hash__", None) is not None else _fails(f"unhashable type: {noun!r}")
    found["__getitem__"] = (
        _item if subscripts or issubclass(real, type) else _fails(f"{noun!r} object is not subscriptable")
    )
    for verb, name, text in (("setitem", "__setitem__", "assignment"), ("delitem", "__delitem__", "deletion")):
        refused = _fails(f"{noun!r} object does not support item {text}")
        found[name] = _written(verb) if _has(real, name) else refused
    if _has(real, "__next__"):
        found["__next__"] = _following
    found["__iter__"] = _iterate if iterates or subscripts else None
    within = _has(real, "__contains__") or iterates or subscripts
    found["__contains__"] = _contains if within else _fails(f"argument of type {noun!r} is not iterable")
    return found


def _fails(text: str) -> Method:
    def method(proxy: Any, *args: Any, **kwargs: Any) -> NoReturn:
        raise TypeError(text)

    return method


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


def _rounded(proxy: Any, digits: Any = None, /) -> Any:
    grip = grip_of(proxy)
    return grip.inprocess.perform("unop", grip.held, "round", () if digits is None else (digits,))


def _passed_on(name: str) -> Method:
    """A special method that no verb stands for: a call of that member, which is `unknown` unless a table says more."""

    def method(proxy: Any, /, *args: Any, **kwargs: Any) -> Any:
        grip = grip_of(proxy)
        return grip.inprocess.perform("call", grip.held, name, args, kwargs)

    return method


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
    if _has(real, "__bytes__"):
        return _passed_on("__bytes__")
    if _has(real, "__iter__"):
        return lambda proxy: bytes(list(proxy))
    if _has(real, "__index__"):
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


def _awaited(proxy: Any) -> Any:
    """Awaiting is one operation; what it gives stays with the host, as a proxy."""
    grip = grip_of(proxy)
    outcome, operation = grip.inprocess.ask("call", grip.held, "__await__")
    value = yield from outcome.value
    return value if value is None else grip.inprocess.wrap(outcome, operation, value)
