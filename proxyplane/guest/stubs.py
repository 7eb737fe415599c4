"""Stub classes and stubs: what the agent holds in place of host types and host objects.

A stub is a handle. Its class is made once per host type from the type's announcement and looks as natively:
`type(x) is pd.DataFrame`, `isinstance`, names, documentation, exactly the special methods that the host type has. No
check here protects anything: the host decides on every request.
"""

from __future__ import annotations

import builtins
import numbers
import types
import weakref
from collections.abc import Callable
from typing import Any, ClassVar, Final, NoReturn

from proxyplane.errors import DeniedAttribute, ProtocolError
from proxyplane.guest import carried
from proxyplane.guest.dunders import Method, Request, special_methods

__all__ = ["Bound", "HostFunction", "Reference", "StubType", "Stubs"]

_PRIVATE: Final = frozenset(
    "_handle _value _extra _shown _text _hash _feed _request _type_id _methods _dynamic _carries".split()
)
_put = object.__setattr__
_TOWER: Final[dict[str, type]] = {
    "number": numbers.Number,
    "integer": numbers.Integral,
    "signedinteger": numbers.Integral,
    "unsignedinteger": numbers.Integral,
    "inexact": numbers.Complex,
    "complexfloating": numbers.Complex,
    "floating": numbers.Real,
}


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

    def __repr__(self) -> str:
        return str(self._request("repr", self._handle))

    def __str__(self) -> str:
        return str(self._request("str", self._handle))

    def __format__(self, spec: str) -> str:
        return str(self._request("format", self._handle, None, (spec,)))

    def __getattr__(self, name: str) -> Any:
        raise _missing(self, name)

    def __setattr__(self, name: str, value: Any) -> None:
        if name.startswith("_"):
            raise _missing(self, name)
        self._request("setattr", self._handle, name, (value,))

    def __delattr__(self, name: str) -> None:
        if name.startswith("_"):
            raise _missing(self, name)
        self._request("delattr", self._handle, name)

    def __dir__(self) -> list[str]:
        cls = type(self)
        names = {name for name in object.__dir__(self) if name not in _PRIVATE}
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


def _missing(stub: Any, name: str) -> AttributeError:
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
        return self._request("call", self._handle, self.__name__, args, kwargs)

    def _fetched(self) -> Any:
        return self._request("getattr", self._handle, self.__name__)

    @property
    def __qualname__(self) -> str:
        owner = self.__self__
        if isinstance(owner, types.ModuleType):
            return self.__name__
        kind = owner if isinstance(owner, type) else type(owner)
        return f"{kind.__name__}.{self.__name__}"

    @property
    def __module__(self) -> str | None:  # type: ignore[override]
        owner = self.__self__
        return owner.__name__ if isinstance(owner, types.ModuleType) else getattr(owner, "__module__", None)

    @property
    def __doc__(self) -> str | None:  # type: ignore[override]
        return getattr(self._fetched(), "__doc__", None)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(f"{self.__name__!r} has no attribute {name!r}")
        return getattr(self._fetched(), name)

    def __repr__(self) -> str:
        owner = self.__self__
        if isinstance(owner, (type, types.ModuleType)):
            return f"<function {self.__qualname__}>"
        return f"<bound method {self.__qualname__}>"

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


class _MethodName:
    """A method in a stub class: what it gives is made at each access, as natively."""

    __slots__ = ("_name", "_request")

    def __init__(self, request: Request, name: str) -> None:
        self._request = request
        self._name = name

    def __get__(self, stub: Any, owner: Any) -> Bound:
        if stub is None:
            return Bound(self._request, owner, owner._handle, self._name)
        return Bound(self._request, stub, stub._handle, self._name)


class _Life(weakref.ref[Any]):
    """Notices the end of a stub and knows how often its handle was received."""

    __slots__ = ("count", "handle")

    handle: int
    count: int


class Stubs:
    """All stub classes of this guest, and the stubs that are alive.

    Args:
        request: `Link.request`.
        release: takes (handle, count) of stubs that ended.
    """

    def __init__(self, request: Request, release: Callable[[int, int], None]) -> None:
        self._request = request
        self._release = release
        self._special = special_methods(request)
        self._named: dict[str, tuple[_MethodName, property]] = {}
        self._live: dict[int, _Life] = {}
        self._hidden: dict[int, type] = {}
        self._rows: dict[tuple[int, tuple[str, ...]], type] = {}
        self._builtin: dict[int, str] = {}
        self._announced: dict[int, dict[str, Any]] = {}
        self._refused: tuple[int, str, AttributeError] | None = None
        self.types: dict[int, type] = {}
        """Type id -> class."""
        self.type_ids: dict[type, int] = {}
        self.type_handles: dict[type, int] = {}
        self.on_class: Callable[[type], None] = lambda cls: None
        """Told of every class whose instances are stubs."""

    # Classes

    def announce(self, news: list[Any]) -> None:
        """Make the classes of announced types.

        Raises:
            ProtocolError: an announcement lacks a part.
        """
        for item in news:
            try:
                if item["id"] not in self.types:
                    self._admit(item)
            except (KeyError, AttributeError) as error:
                raise ProtocolError(f"the announcement of a type lacks a part ({error})") from None

    def _admit(self, item: dict[str, Any]) -> None:
        number = item["id"]
        name = item.get("builtin")
        builtin = getattr(builtins, name, None) if name else None
        if isinstance(builtin, type) and issubclass(builtin, BaseException):
            cls = self._exception_class(item, builtin)
        else:
            cls = self._stub_class(item, name)
        self._announced[number] = item
        self.types[number] = cls
        self.type_ids[cls] = number
        self.type_handles[cls] = item["handle"]

    def _bases(self, item: dict[str, Any]) -> list[type]:
        return [self.types[number] for number in item["bases"] if number in self.types]

    def _exception_class(self, item: dict[str, Any], builtin: type) -> type:
        """A plain local class: exceptions are rebuilt here, and agents may subclass and raise them."""
        namespace = {"__module__": item["module"], "__qualname__": item["name"], "__doc__": item.get("doc")}
        bases = [base for base in self._bases(item) if issubclass(base, BaseException)]
        rooted = any(issubclass(base, builtin) for base in bases)
        return _class(type, item["name"], bases if rooted else [*bases, builtin], builtin, namespace)

    def _stub_class(self, item: dict[str, Any], builtin: str | None) -> type:
        base = carried.VALUE_BASES.get(builtin or "")
        parents = [x for x in self._bases(item) if issubclass(x, Reference)] or [Reference]
        if base is None:
            bases = parents
        elif builtin in ("str", "bytes", "tuple"):
            bases = [base, *parents]
        else:
            bases = [*parents, base]
        namespace = self._namespace(item, builtin if base is not None else None)
        if base is not None:
            self._builtin[item["id"]] = builtin or ""
            if base is tuple:  # has no weak references
                namespace["__del__"] = self._release_row
        cls = _class(StubType, item["name"], bases, base or Reference, namespace)
        self._register_number(cls, item)
        self.on_class(cls)
        return cls

    def _namespace(self, item: dict[str, Any], builtin: str | None) -> dict[str, Any]:
        local = carried.LOCAL_MEMBERS.get(builtin or "", frozenset())
        namespace: dict[str, Any] = {}
        for name in item["properties"]:
            if name not in local:
                namespace[name] = self._member(name)[1]
        for name in item["methods"]:
            if name not in local:
                namespace[name] = self._member(name)[0]
        dunders = frozenset(item["dunders"])
        for name in dunders:
            method = self._special.get(name)
            if method is not None and name not in local:
                namespace[name] = method
        namespace["__hash__"] = self._hash_method(item, dunders)
        if "__class_getitem__" in dunders:
            namespace["__class_getitem__"] = classmethod(types.GenericAlias)
        if builtin is not None:
            namespace |= carried.local_methods(dunders, self._remote, _is_stub)
        if item.get("dynamic"):
            namespace["__getattr__"] = self._dynamic()
        return namespace | {
            "__module__": item["module"],
            "__qualname__": item["name"],
            "__doc__": item.get("doc"),
            "_request": staticmethod(self._request),
            "_handle": item["handle"],
            "_type_id": item["id"],
            "_methods": frozenset(item["methods"]),
            "_dynamic": bool(item.get("dynamic")),
        }

    def _hash_method(self, item: dict[str, Any], dunders: frozenset[str]) -> Any:
        if not item.get("hashable", True):
            return None
        return self._special["__hash__"] if "__hash__" in dunders else object.__hash__

    def _remote(self, name: str) -> Method:
        method: Method = self._special.get(name) or getattr(Reference, name)
        return method

    def _member(self, name: str) -> tuple[_MethodName, property]:
        """The descriptors of a name, shared by all classes."""
        found = self._named.get(name)
        if found is None:
            request = self._request

            def fetch(stub: Any) -> Any:
                try:
                    return request("getattr", stub._handle, name)
                except AttributeError as error:
                    # Python asks __getattr__ next: it must not ask the host again.
                    self._refused = (stub._handle, name, error)
                    raise

            found = self._named[name] = (_MethodName(request, name), property(fetch))
        return found

    def _dynamic(self) -> Method:
        request = self._request

        def __getattr__(stub: Any, name: str) -> Any:  # noqa: N807
            if name.startswith("_") or len(name) > 512:
                raise _missing(stub, name)
            handle = stub._handle
            refused, self._refused = self._refused, None
            if refused is not None and refused[0] == handle and refused[1] == name:
                raise refused[2]
            return request("getattr", handle, name)

        return __getattr__

    @staticmethod
    def _register_number(cls: type, item: dict[str, Any]) -> None:
        """numpy's scalars satisfy the abstract number types; `numbers` looks at classes, so no request."""
        if item["module"] != "numpy":
            return
        abstract = _TOWER.get(item["name"])
        if abstract is None:
            stem = item["name"].rstrip("0123456789")
            abstract = {"int": numbers.Integral, "uint": numbers.Integral, "float": numbers.Real,
                        "longdouble": numbers.Real, "complex": numbers.Complex}.get(stem)  # fmt: skip
        if abstract is not None:
            abstract.register(cls)  # type: ignore[attr-defined]

    # Stubs

    def reference(self, handle: int, number: int) -> Any:
        """The stub of a handle; the same one while it lives.

        Raises:
            ProtocolError: the type was never announced.
        """
        life = self._live.get(handle)
        if life is not None:
            stub = life()
            if stub is not None:
                life.count += 1
                return stub
        cls = self.types.get(number)
        if cls is None or not issubclass(cls, Reference):
            raise ProtocolError(f"the host sent an object of type {number}, which it has not announced as one")
        if number in self._builtin:
            cls = self._hidden.get(number) or self._hide(number)
        stub = cls.__new__(cls)
        _put(stub, "_handle", handle)
        self._watch(stub, handle, life)
        return stub

    def _watch(self, stub: Any, handle: int, before: _Life | None) -> None:
        if before is not None:
            self._release(handle, before.count)
            before.count = 0
        life = _Life(stub, self._ended)
        life.handle = handle
        life.count = 1
        self._live[handle] = life

    def _ended(self, life: _Life) -> None:
        if self._live.get(life.handle) is life:
            del self._live[life.handle]
        if life.count:
            self._release(life.handle, life.count)

    def _release_row(self, row: Any) -> None:
        handle = row.__dict__.get("_handle", 0)
        if handle:
            self._release(handle, 1)

    def value_reference(
        self, handle: int, number: int, value: Any, shown: str | None, text: str | None, extra: Any
    ) -> Any:
        """A stub that carries its content.

        Args:
            handle: the host's object; 0 when the host keeps none.
            number: type id.
            value: content, decoded.
            shown: repr, when it is not the usual one.
            text: str, when it is not the content's.
            extra: nanoseconds of a timestamp, field names of a row.
        """
        life = self._live.get(handle)
        stub = life() if life is not None else None
        if stub is not None and life is not None:
            life.count += 1
            return stub
        builtin = self._builtin.get(number)
        cls = self.types.get(number)
        if cls is None:
            raise ProtocolError(f"the host sent a value of type {number}, which it has not announced")
        if builtin == "tuple" and extra:
            cls = self._row_class(cls, number, tuple(extra))
        elif builtin is None and not cls.__dict__.get("_carries"):
            self._let_carry(cls)
        stub = cls.__new__(cls) if builtin is None else carried.make(cls, builtin, value)
        _put(stub, "_handle", handle)
        carried.carry(stub, value, shown, text, extra)
        if handle and builtin != "tuple":
            self._watch(stub, handle, life)
        return stub

    def _let_carry(self, cls: type) -> None:
        """The first instance with content has come: give the class the methods that use it."""
        dunders = frozenset(self._announced[self.type_ids[cls]]["dunders"])
        for name, method in carried.local_methods(dunders, self._remote, _is_stub).items():
            type.__setattr__(cls, name, method)
        type.__setattr__(cls, "_carries", True)

    def _hide(self, number: int) -> type:
        """The class of instances whose content was not revealed. It must not inherit the built-in: C code would read
        an empty value from it. It claims to be the announced class, so `isinstance` holds."""
        item = self._announced[number]
        shown = self.types[number]
        namespace = self._namespace(item, None) | {"__class__": property(lambda stub: shown)}
        cls = self._hidden[number] = _class(StubType, item["name"], [Reference], Reference, namespace)
        self.on_class(cls)
        return cls

    def _row_class(self, cls: type, number: int, fields: tuple[str, ...]) -> type:
        """The class of `itertuples` rows with these fields: a tuple with names."""
        found = self._rows.get((number, fields))
        if found is None:
            namespace: dict[str, Any] = {name: _field(position) for position, name in enumerate(fields)}
            namespace |= {
                "_fields": fields,
                "_asdict": lambda row: dict(zip(fields, row, strict=True)),
                "__match_args__": fields,
                "__module__": cls.__module__,
                "__qualname__": cls.__qualname__,
            }
            found = self._rows[number, fields] = _class(StubType, cls.__name__, [cls], cls, namespace)
            self.on_class(found)
        return found

    def host_function(self, handle: int, qualname: str, doc: str | None) -> Any:
        """A fetched function; the same object while it lives."""
        life = self._live.get(handle)
        function = life() if life is not None else None
        if function is not None and life is not None:
            life.count += 1
            return function
        function = HostFunction(self._request, handle, qualname, doc)
        self._watch(function, handle, life)
        return function


def _class(meta: type, name: str, bases: list[type], last: type, namespace: dict[str, Any]) -> type:
    """Make a class; where the host's order of bases does not work here, keep the first one and the built-in."""
    keywords = {"made": True} if meta is StubType else {}
    for chosen in (bases, [*bases[:1], last], [last]):
        try:
            return meta(name, tuple(dict.fromkeys(chosen)), dict(namespace), **keywords)  # type: ignore[no-any-return]
        except TypeError:
            continue
    raise ProtocolError(f"no class can be made of the announcement of {name!r}")


def _field(position: int) -> property:
    return property(lambda row: tuple.__getitem__(row, position))


def _is_stub(value: Any) -> bool:
    return type(type(value)) is StubType
