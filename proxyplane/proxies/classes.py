"""Proxy classes: one for each type of host object, made once, with every special method an operation.

Nothing falls through to wrapt's own slots. A special method that the host type has asks the host; one that the host
type has not fails as natively, here, because there is nothing to touch. A class per type instead of `__getattr__` for
everything: a failed lookup before each attribute costs 300 ns.
"""

from __future__ import annotations

import sys
import types
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final, NoReturn
from weakref import WeakKeyDictionary

import wrapt

from proxyplane.catalog import Catalog, TypeEntry
from proxyplane.cooperative import SHARED, Rendered
from proxyplane.errors import Refusal
from proxyplane.objects import Held
from proxyplane.proxies.dunders import operators, passed_on, special
from proxyplane.proxies.grip import Bound, Grip, ProxyType, grip_of

if TYPE_CHECKING:
    from proxyplane.proxies.inprocess import InProcess

__all__ = ["class_of", "make"]

_NAMED: Final = (type, types.ModuleType, types.FunctionType, types.BuiltinFunctionType, types.MethodType)
"""Objects whose names are their own and not their type's."""
_CALLED: Final = frozenset({"method", "classmethod", "function"})
_ALWAYS: Final = frozenset(
    "__init__ __new__ __class__ __dict__ __wrapped__ __weakref__ __module__ __doc__ __getattribute__ __getattr__ "
    "__setattr__ __delattr__ __dir__ __slots__ __reduce__ __reduce_ex__ __getstate__ __setstate__ __sizeof__ "
    "__init_subclass__ __subclasshook__ __getnewargs__ __getnewargs_ex__ __get__ __set__ __delete__ __set_name__ "
    "__del__ __class_getitem__ __array_ufunc__ __array_function__ __array_interface__ __array_struct__ __buffer__ "
    "__release_buffer__ __length_hint__ __annotations__ __abstractmethods__ __prepare__ __qualname__ __name__ "
    "__array_priority__".split()
)
"""What a class never takes over from its host type's list of special methods: `_base` has it, or nothing should."""

_ABSTRACT: Final = frozenset(
    "__len__ __iter__ __next__ __contains__ __reversed__ __getitem__ __hash__ __call__ __await__ __aiter__ __anext__ "
    "__enter__ __exit__ __aenter__ __aexit__ __fspath__ __index__ __int__ __float__ __complex__ __abs__ __round__ "
    "__bytes__ __length_hint__ __index__ send throw close asend athrow aclose".split()
)
"""What the abstract classes of the standard library look for."""

_MATCHED: Final[dict[int, Any]] = {1 << 5: Sequence, 1 << 6: Mapping}
"""Bits of `__flags__` by which the `match` statement tells sequences and mappings; registering sets them."""

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
    namespace: dict[str, Any] = {
        "__slots__": (),
        "_proxied": f"{real.__module__}.{real.__qualname__}",
        "_outline": _outline(real),
    }
    for name in _special_names(real):
        namespace[name] = passed_on(name)
    namespace |= operators(real) | special(real) | _base()
    for name, line in kind.members.items() if kind is not None and not issubclass(real, type) else ():
        namespace[name] = _Method(name) if line.kind in _CALLED else _property(name)
    made = ProxyType(real.__name__, (_wrapt,), namespace)
    for flag, kind_of in _MATCHED.items():
        if real.__flags__ & flag:
            kind_of.register(made)
    return made


def _outline(real: type) -> type:
    """A class with nothing but the names of what abstract classes ask for, where the host type has them."""
    names: dict[str, Any] = {}
    for owner in reversed(real.__mro__[:-1]):
        for name, value in vars(owner).items():
            if name in _ABSTRACT:
                names[name] = None if value is None else _declared
    return type("Outline", (), names)


def _declared(*args: Any, **kwargs: Any) -> NoReturn:
    raise TypeError("an outline names the methods of a host type; it has none itself")


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


def _property(name: str, *, raw: bool = False, told: bool = False) -> property:
    """An attribute that the class has.

    Args:
        name: of the attribute.
        raw: what the operation came to is given as it is: the object itself, or the bases of a class.
        told: a fact of the type, which is no operation again while what it was decided by stays as it is.
    """

    def fetch(proxy: Any) -> Any:
        grip = grip_of(proxy)
        try:
            if told:
                return grip.inprocess.fact(grip, name)
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
        "__reduce__": lambda proxy: _refuse_pickle(),
        "__reduce_ex__": lambda proxy, protocol: _refuse_pickle(),
        "__getstate__": lambda proxy: _refuse_pickle(),
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
    found["__class__"] = _property("__class__", told=True)
    for name in "__bases__ __wrapped__".split():
        found[name] = _property(name, raw=True)
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


def _refuse_pickle() -> NoReturn:
    error = NotImplementedError("object proxy must define __reduce__()")
    error.add_note("in-process proxies are not pickled; send the result")
    raise error


def _copied(proxy: Any, name: str, args: tuple[Any, ...]) -> Any:
    grip = grip_of(proxy)
    if grip.held.kind is None:
        error = NotImplementedError(f"object proxy must define {name}()")
        error.add_note("no catalog says what a copy of it would do")
        raise error
    return grip.inprocess.perform("call", grip.held, name, () if name == "__copy__" else ({},))


def _bases(proxy: Any, bases: tuple[Any, ...]) -> tuple[Any, ...]:
    grip = grip_of(proxy)
    return tuple(grip.inprocess.ask("call", grip.held, "__mro_entries__", (bases,))[0].value)


def _shown(proxy: Any) -> tuple[str, str]:
    """How a notebook shows it: decided as `display` and, since the text passes through the agent's hands, `reveal`."""
    grip = grip_of(proxy)
    try:
        mime, text = grip.inprocess.perform("call", grip.held, "_mime_")
    except Refusal as refusal:
        return "text/plain", f"cooperative proxy of {grip.held.type_name}: {refusal}"
    return str(mime), str(text)


def _ufunc(proxy: Any, ufunc: Any, method: str, *inputs: Any, **kwargs: Any) -> Any:
    inprocess: InProcess = grip_of(proxy).inprocess
    numpy: Any = sys.modules["numpy"]
    name: str = ufunc.__name__
    if getattr(numpy, name, None) is ufunc and method == "__call__":
        return inprocess.perform("call", inprocess.library(numpy), name, inputs, kwargs)
    return inprocess.perform("call", inprocess.library(ufunc), None if method == "__call__" else method, inputs, kwargs)


def _array_function(proxy: Any, function: Any, kinds: Any, args: Any, kwargs: Any) -> Any:
    inprocess = grip_of(proxy).inprocess
    module: Any = sys.modules.get(function.__module__)
    name: str = function.__name__
    if module is None or getattr(module, name, None) is not function:
        return NotImplemented
    return inprocess.perform("call", inprocess.library(module), name, tuple(args), dict(kwargs))
