"""Stub classes, and the stubs that are alive.

A stub is a handle. Its class is made once per host type from the type's announcement and looks as natively:
`type(x) is pd.DataFrame`, `isinstance`, names, documentation, exactly the special methods that the host type has.
"""

from __future__ import annotations

import builtins
import numbers
import types
import weakref
from collections.abc import Callable
from typing import Any, Final

from proxyplane.errors import ProtocolError
from proxyplane.guest import carried, containers
from proxyplane.guest.dunders import Method, Request, special_methods
from proxyplane.guest.extensions import extension_class
from proxyplane.guest.references import Constant, HostFunction, MethodName, Reference, StubType, missing

__all__ = ["Stubs"]

_put = object.__setattr__
_new: Callable[[type], Any] = object.__new__
_NARROW: Final = frozenset(("float16", "float32", "complex64"))
"""They round what they are compared with, so the host compares."""
_TOWER: Final[dict[str, type]] = {
    "number": numbers.Number,
    "integer": numbers.Integral,
    "signedinteger": numbers.Integral,
    "unsignedinteger": numbers.Integral,
    "inexact": numbers.Complex,
    "complexfloating": numbers.Complex,
    "floating": numbers.Real,
}


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
        self._named: dict[str, tuple[MethodName, property]] = {}
        self._live: dict[int, _Life] = {}
        self._hidden: dict[int, type] = {}
        self._rows: dict[tuple[int, tuple[str, ...]], type] = {}
        self._builtin: dict[int, str] = {}
        self._container: dict[int, str] = {}
        self._truths: dict[bool, Any] = {}
        """numpy's True and False, once they have come: there is one of each."""
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
        elif item.get("extends"):
            cls = extension_class(item)
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
        base = carried.VALUE_BASES.get(builtin or "") or containers.CONTAINERS.get(builtin or "")
        parents = [x for x in self._bases(item) if issubclass(x, Reference)] or [Reference]
        if base is None:
            bases = parents
        elif builtin in ("str", "bytes", "tuple") and not any(issubclass(parent, base) for parent in parents):
            bases = [base, *parents]
        else:
            bases = [*parents, base]
        content = builtin if builtin in carried.VALUE_BASES else None
        namespace = self._namespace(item, content)
        if builtin in ("list", "dict", "set"):
            known = namespace.keys() | vars(Reference).keys()
            namespace |= containers.container_methods(builtin, frozenset(known))
        if base is not None and content is None:
            self._container[item["id"]] = builtin or ""
        elif base is not None:
            self._builtin[item["id"]] = builtin or ""
            if base is tuple:  # has no weak references
                namespace["__del__"] = self._row_end()
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
        for name in item.get("constants") or ():
            if name not in local or builtin == "datetime":
                fetch: Any = self._member(name)[1].fget
                namespace[name] = Constant(self._request, name, fetch)
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
            namespace |= carried.local_methods(dunders, self._remote, _is_stub, self._truths_of(item))
            if "__getitem__" in dunders and "__iter__" not in dunders:  # a scalar is no sequence
                namespace["__iter__"] = None
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
            "_rich": bool(item.get("rich")),
        }

    def _hash_method(self, item: dict[str, Any], dunders: frozenset[str]) -> Any:
        if not item.get("hashable", True):
            return None
        return self._special["__hash__"] if "__hash__" in dunders else object.__hash__

    def _remote(self, name: str) -> Method:
        method: Method = self._special.get(name) or getattr(Reference, name)
        return method

    def _member(self, name: str) -> tuple[MethodName, property]:
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

            found = self._named[name] = (MethodName(request, name), property(fetch))
        return found

    def _dynamic(self) -> Method:
        request = self._request

        def __getattr__(stub: Any, name: str) -> Any:  # noqa: N807
            if name.startswith("_") or len(name) > 512:
                raise missing(stub, name)
            handle = stub._handle
            refused, self._refused = self._refused, None
            if refused is not None and refused[0] == handle and refused[1] == name:
                raise refused[2]
            return request("getattr", handle, name)

        return __getattr__

    @staticmethod
    def _register_number(made: type, item: dict[str, Any]) -> None:
        """numpy's scalars satisfy the abstract number types; `numbers` looks at classes, so no request."""
        if item["module"] != "numpy":
            return
        abstract = _TOWER.get(item["name"])
        if abstract is None:
            stem = item["name"].rstrip("0123456789")
            abstract = {"int": numbers.Integral, "uint": numbers.Integral, "float": numbers.Real,
                        "longdouble": numbers.Real, "complex": numbers.Complex}.get(stem)  # fmt: skip
        if abstract is not None:
            abstract.register(made)  # type: ignore[attr-defined]

    # Stubs

    def reference(self, handle: int, number: int) -> Any:
        """The stub of a handle; the same one while it lives.

        Raises:
            ProtocolError: the type was never announced.
        """
        life = self._live.get(handle)
        if life is not None:
            alive = life()
            if alive is not None:
                life.count += 1
                return alive
        cls = self.types.get(number)
        if cls is None or not issubclass(cls, Reference):
            raise ProtocolError(f"the host sent an object of type {number}, which it has not announced as one")
        if number in self._builtin:
            cls = self._hidden.get(number) or self._hide(number)
        stub = _new(cls) if number not in self._container else containers.make(cls, self._container[number])
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

    def _row_end(self) -> Method:
        def __del__(row: Any) -> None:  # noqa: N807
            handle = row.__dict__.get("_handle", 0)
            if handle:
                self._release(handle, 1)

        return __del__

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
        stub = _new(cls) if builtin is None else carried.make(cls, builtin, value)
        _put(stub, "_handle", handle)
        carried.carry(stub, value, shown, text, extra)
        if type(value) is bool and self._announced[number]["module"] == "numpy":
            self._truths[value] = stub
        if handle and builtin != "tuple":
            self._watch(stub, handle, life)
        return stub

    def _truths_of(self, item: dict[str, Any]) -> dict[bool, Any] | None:
        """numpy's numbers compare to numpy's bools; its texts, and all others, to plain ones."""
        if item["module"] != "numpy" or item.get("builtin") in ("str", "bytes"):
            return None
        return {} if item["name"] in _NARROW else self._truths

    def _let_carry(self, cls: type) -> None:
        """The first instance with content has come: give the class the methods that use it."""
        item = self._announced[self.type_ids[cls]]
        dunders = frozenset(item["dunders"])
        for name, method in carried.local_methods(dunders, self._remote, _is_stub, self._truths_of(item)).items():
            type.__setattr__(cls, name, method)
        if "__getitem__" in dunders and "__iter__" not in dunders:  # a scalar is no sequence
            type.__setattr__(cls, "__iter__", None)
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
