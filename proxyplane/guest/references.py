"""What the agent holds in place of host objects: stubs, their classes' type, and attributes that were not fetched.

No check here protects anything: the host decides on every request. Refusals made here only spare a round trip and say
what the host would say.
"""

from __future__ import annotations

import re
import sys
import types
from collections.abc import Callable
from typing import Any, ClassVar, Final, NoReturn

from proxyplane.errors import DeniedAttribute
from proxyplane.guest.dunders import Request
from proxyplane.guest.mappings import maker_of, remade

__all__ = ["Bound", "Constant", "HostFunction", "MethodName", "Reference", "StubType", "missing"]


def _is_private(name: str) -> bool:
    """Stubs' own names, and private members of the host's: neither is listed."""
    return name.startswith("_") and not name.startswith("__")


_EXPRESSIONS: Final = frozenset(("query", "eval"))
_NAMING: Final = {"sql": ("query", "frames"), "bmat": ("obj", "ldict")}
"""Functions of modules whose text names variables: its parameter, and the keyword by which these are given."""
_LOCALLY: Final = _EXPRESSIONS | _NAMING.keys() | {"to_dict"}
"""Where arguments are looked at here before they go."""
_VARIABLE: Final = re.compile(r"@([^\W\d]\w*)")
_WORD: Final = re.compile(r"(?<![.\w])[^\W\d]\w*")


class StubType(type):
    """The type of stub classes. What is not in the class's namespace is asked of the host's type."""

    _handle: int
    _type_id: int
    _request: Request
    _methods: frozenset[str]
    _dynamic: bool
    _fields: Any

    def __new__(mcs, name: str, bases: tuple[type, ...], namespace: dict[str, Any], *, made: bool = False) -> StubType:
        if not made:
            parent = next((base.__name__ for base in bases if isinstance(base, StubType)), "a host type")
            raise TypeError(
                f"cannot make {name!r} a subclass of {parent}: its instances live on the host, where no class of this "
                f"code can run; keep a {parent} in an attribute of {name!r} instead"
            )
        return super().__new__(mcs, name, bases, namespace)

    def __init__(cls, name: str, bases: tuple[type, ...], namespace: dict[str, Any], *, made: bool = False) -> None:
        super().__init__(name, bases, namespace)

    def __call__(cls, *args: Any, **kwargs: Any) -> Any:
        return cls._request("call", cls._handle, None, args, kwargs)

    def __getattr__(cls, name: str) -> Any:
        if name.startswith("_"):
            raise DeniedAttribute(f"type object {cls.__name__!r} has no attribute {name!r}")
        return cls._request("getattr", cls._handle, name)

    def __dir__(cls) -> list[str]:
        return [name for name in type.__dir__(cls) if not _is_private(name)]

    def __setattr__(cls, name: str, value: Any) -> None:
        cls._request("setattr", cls._handle, name, (value,))

    def __delattr__(cls, name: str) -> None:
        cls._request("delattr", cls._handle, name)


class Reference:
    """Base of all stubs: a handle, and what every object has."""

    _handle: int
    _request: ClassVar[Request]
    _methods: ClassVar[frozenset[str]] = frozenset()
    _dynamic: ClassVar[bool] = False
    _rich: ClassVar[bool] = False
    _shown: str | None = None
    _text: str | None = None
    _extra: Any = None

    def __repr__(self) -> str:
        return str(self._request("repr", self._handle))

    def __str__(self) -> str:
        return str(self._request("str", self._handle))

    def __format__(self, spec: str) -> str:
        return str(self._request("format", self._handle, None, (spec,)))

    def __getattr__(self, name: str) -> Any:
        raise missing(self, name)

    def __setattr__(self, name: str, value: Any) -> None:
        if name.startswith("_"):
            raise missing(self, name)
        self._request("setattr", self._handle, name, (value,))

    def __delattr__(self, name: str) -> None:
        if name.startswith("_"):
            raise missing(self, name)
        self._request("delattr", self._handle, name)

    def __dir__(self) -> list[str]:
        cls = type(self)
        names = {name for name in object.__dir__(self) if not _is_private(name)}
        if cls._dynamic:
            names.update(self._request("list", self._handle))
        return sorted(names)

    def __copy__(self) -> Any:
        if "_value" in self.__dict__:
            return self
        if "copy" in type(self)._methods:
            return self._request("call", self._handle, "copy")
        raise TypeError(f"cannot copy a {type(self).__name__}: it lives on the host and has no copy method")

    def __deepcopy__(self, memo: object) -> Any:
        if "_value" in self.__dict__ or "copy" not in type(self)._methods:
            return self.__copy__()
        try:
            return self._request("call", self._handle, "copy", (), {"deep": True})
        except TypeError:  # numpy's copy takes no such argument
            return self._request("call", self._handle, "copy")

    def __reduce_ex__(self, protocol: object) -> NoReturn:
        raise TypeError(f"cannot pickle a {type(self).__name__}: it lives on the host")


def with_variables(owner: Any, name: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> dict[str, Any]:
    """The keyword arguments of `query` or `eval` with the caller's variables that the expression names with `@`.

    Natively pandas looks them up in its caller's frame, which on the host is not the agent's. The `eval` of a module
    has no columns: there every name is a variable.
    """
    of_module = isinstance(owner, types.ModuleType)
    parameter, keyword = _NAMING.get(name, ("expr", "local_dict"))
    text = args[0] if args else kwargs.get(parameter)
    if not isinstance(text, str) or keyword in kwargs or not (of_module or (name in _EXPRESSIONS and "@" in text)):
        return kwargs
    frame = sys._getframe(2)
    found: dict[str, Any] = {}
    for variable in set((_WORD if of_module else _VARIABLE).findall(text)):
        for scope in (frame.f_locals, frame.f_globals):
            if variable in scope:
                found[variable] = scope[variable]
                break
    if name == "sql":
        found = {word: value for word, value in found.items() if isinstance(value, Reference)}
    return {**kwargs, keyword: found} if found else kwargs


def missing(stub: Any, name: str) -> AttributeError:
    """The error for a name that a stub does not have; private names are refused, others are absent."""
    text = f"{type(stub).__name__!r} object has no attribute {name!r}"
    return DeniedAttribute(text) if name.startswith("_") else AttributeError(text, name=name, obj=stub)


class Bound:
    """A host attribute that was not fetched: calling it is one request, and so is asking for its documentation."""

    __slots__ = ("__name__", "__self__", "__weakref__", "_handle", "_request")

    def __init__(self, request: Request, owner: Any, handle: int, name: str) -> None:
        self._request = request
        self.__self__ = owner
        self._handle = handle
        self.__name__ = name

    def __call__(self, /, *args: Any, **kwargs: Any) -> Any:
        if self.__name__ in _LOCALLY:
            if "into" in kwargs and kwargs["into"] is not dict:
                return self._into(args, dict(kwargs))
            kwargs = with_variables(self.__self__, self.__name__, args, kwargs)
        return self._request("call", self._handle, self.__name__, args, kwargs)

    def _into(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        maker = maker_of(kwargs.pop("into"))
        found = self._request("call", self._handle, self.__name__, args, kwargs)
        return remade(found, maker, args[0] if args else kwargs.get("orient"))

    def _fetched(self) -> Any:
        return self._request("getattr", self._handle, self.__name__)

    @property
    def __module__(self) -> str | None:  # type: ignore[override]
        owner = self.__self__
        return owner.__name__ if isinstance(owner, types.ModuleType) else getattr(owner, "__module__", None)

    @property
    def __doc__(self) -> str | None:  # type: ignore[override]
        return getattr(self._fetched(), "__doc__", None)

    def __getattr__(self, name: str) -> Any:
        if name == "__qualname__":  # a class cannot define it for its instances
            return self._qualified()
        if name.startswith("_"):
            raise AttributeError(f"{self.__name__!r} has no attribute {name!r}")
        return getattr(self._fetched(), name)

    def _qualified(self) -> str:
        owner = self.__self__
        if isinstance(owner, types.ModuleType):
            return self.__name__
        kind = owner if isinstance(owner, type) else type(owner)
        return f"{kind.__name__}.{self.__name__}"

    def __repr__(self) -> str:
        owner = self.__self__
        if isinstance(owner, (type, types.ModuleType)):
            return f"<function {self._qualified()}>"
        return f"<bound method {self._qualified()}>"

    def __eq__(self, other: object) -> bool:
        return type(other) is Bound and (self._handle, self.__name__) == (other._handle, other.__name__)

    def __hash__(self) -> int:
        return hash((self._handle, self.__name__))


class HostFunction:
    """A host function or method object that was fetched."""

    def __init__(self, request: Request, handle: int, qualname: str, doc: str | None) -> None:
        self._request = request
        self._handle = handle
        self.__qualname__ = qualname
        self.__name__ = qualname.rpartition(".")[2]
        self.__doc__ = doc

    def __call__(self, /, *args: Any, **kwargs: Any) -> Any:
        return self._request("call", self._handle, None, args, kwargs)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(f"function {self.__qualname__!r} has no attribute {name!r}")
        return self._request("getattr", self._handle, name)

    def __repr__(self) -> str:
        return f"<function {self.__qualname__}>"


class Constant:
    """An attribute that the type has as well as its instances, such as `Timestamp.max` or `Series.str`.

    Args:
        request: asks the host.
        name: of the attribute.
        fetch: gives an instance's.
    """

    __slots__ = ("_fetch", "_name", "_request")

    def __init__(self, request: Request, name: str, fetch: Callable[[Any], Any]) -> None:
        self._request = request
        self._name = name
        self._fetch = fetch

    def __get__(self, stub: Any, owner: Any) -> Any:
        return self._fetch(stub) if stub is not None else self._request("getattr", owner._handle, self._name)


class MethodName:
    """A method in a stub class: what it gives is made at each access, as natively."""

    __slots__ = ("_name", "_request")

    def __init__(self, request: Request, name: str) -> None:
        self._request = request
        self._name = name

    def __get__(self, stub: Any, owner: Any) -> Bound:
        if stub is None:
            return Bound(self._request, owner, owner._handle, self._name)
        return Bound(self._request, stub, stub._handle, self._name)
