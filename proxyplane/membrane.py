"""How values cross between host and guest: by exact type, from a closed set of answers.

Outward (`form`, `encode`) a value is itself, carried along with its handle, or only a handle. Inward (`decode`)
bytes of a guest become plain built-in values, objects of this session, or inert stand-ins. Classes of the guest
never exist here, nothing is unpickled, and no special method of anything that the guest made is ever called.
"""

from __future__ import annotations

import builtins
import inspect
import io
import keyword
import math
import sys
import types
from collections import namedtuple
from collections.abc import Callable
from typing import Any, Final

from proxyplane import hosts
from proxyplane.callables import GuestCallable, GuestToken
from proxyplane.catalog import Catalog, Entry, TypeEntry
from proxyplane.decisions import Facts
from proxyplane.display import is_rich
from proxyplane.effects import Effect
from proxyplane.errors import Denied, ProtocolError, TooDeep, UnknownType
from proxyplane.files import OpenFile, opened
from proxyplane.objects import Held, ObjectTable
from proxyplane.transport.wire import LEAVES, Limits, Tag, decode_leaf, encode_int

__all__ = ["CALLED", "CARRIED", "CONTAINER", "NOTHING", "REFERENCE", "VALUE", "Arguments", "Membrane"]

NOTHING: Final = "none"
VALUE: Final = "value"
CARRIED: Final = "carried"
CONTAINER: Final = "container"
REFERENCE: Final = "ref"

_SCALARS: Final = frozenset({bool, float, str, bytes})
_CONTAINERS: Final[dict[type, int]] = {list: Tag.LIST, tuple: Tag.TUPLE, set: Tag.SET, frozenset: Tag.FROZENSET}
_BUILDERS: Final[dict[int, Callable[[Any], Any]]] = {
    Tag.LIST: list,
    Tag.TUPLE: tuple,
    Tag.SET: set,
    Tag.FROZENSET: frozenset,
}
_DIRECT: Final = frozenset({str, bool, bytes, type(None)})
"""Types whose values are their own wire form."""
_PERFORMED: Final = frozenset({"zeroed", "state", "random", "replaced"})
"""Flags of what only the plane may perform, in its own way."""
INTEGERS: Final = frozenset({int})
_FUNCTIONS: Final = (
    types.FunctionType,
    types.BuiltinFunctionType,
    types.MethodType,
    types.MethodWrapperType,
    types.WrapperDescriptorType,
    types.MethodDescriptorType,
    types.ClassMethodDescriptorType,
)
_BUILTINS: Final[dict[str, Any]] = {
    name: getattr(builtins, name)
    for name in (
        "int float str bool complex bytes list dict set frozenset tuple object sum min max len abs any all round sorted"
    ).split()
}
CALLED: Final = frozenset({"method", "classmethod", "function"})
_BUILTIN_NAMES: Final = {id(value): name for name, value in _BUILTINS.items()}
_DESCRIPTORS: Final = (property, types.GetSetDescriptorType, types.MemberDescriptorType)
_BUFFERS: Final[dict[str, tuple[Any, type]]] = {"StringIO": (io.StringIO, str), "BytesIO": (io.BytesIO, bytes)}
"""In-memory files cross as records of their content and position."""


class Arguments:
    """What a guest sent with a request, decoded, and what the plane must know about it."""

    __slots__ = ("args", "callables", "files", "held", "kwargs", "mediated")

    def __init__(self) -> None:
        self.args: tuple[Any, ...] = ()
        self.kwargs: dict[str, Any] = {}
        self.held: list[Held] = []
        """Objects of the session among them, at any depth."""
        self.callables = False
        """Whether a function of the guest is among them."""
        self.files: list[OpenFile] = []
        """Files that the agent has opened among them."""
        self.mediated: list[Entry] = []
        """Catalog lines of host functions that were passed on as themselves."""


_NO_ARGUMENTS: Final = Arguments()
"""Of all requests without arguments; nothing is ever added to it."""


class Membrane:
    """One session's crossing point.

    Args:
        table: the session's objects.
        catalog: what is known of host types.
        limits: bounds on what may cross.
        session: the session's id, for tokens.
        callable_of: makes the host's stand-in for guest function (number, name, doc).
        mediate: makes a `MediatedCallable` for (held, member or None, name).
    """

    def __init__(
        self,
        table: ObjectTable,
        catalog: Catalog,
        limits: Limits,
        session: str,
        *,
        callable_of: Callable[[int, str, Any], GuestCallable],
        mediate: Callable[[Held, str | None, str], Any],
    ) -> None:
        self.table = table
        self.catalog = catalog
        self.limits = limits
        self._session = session
        self._callable_of = callable_of
        self._mediate = mediate
        self._substitutes: dict[int, tuple[Any, Any]] = {}
        self._type_ids: dict[type, int] = {}
        self._types: dict[int, type] = {}
        self._announced: set[type] = set()
        self._described: set[str] = set()
        self._news: list[dict[str, Any]] = []
        self._records: dict[tuple[str, tuple[str, ...]], Any] = {}

    # Outward

    def substitute(self, original: Any, shown: Any) -> None:
        """Whatever road leads to `original`, this session gets `shown`: a projection belongs to identity."""
        self._substitutes[id(original)] = (original, shown)

    def seen_as(self, value: Any) -> Any:
        """The projection that stands for this object, or the object."""
        found = self._substitutes.get(id(value))
        return found[1] if found is not None else value

    def form(self, value: Any, fresh: bool) -> str:
        """How a value would cross: nothing, value, carried, container, or reference.

        Args:
            value: any host value.
            fresh: whether the catalog says that nobody else holds it.
        """
        kind = type(value)
        if value is None:
            return NOTHING
        if kind in _SCALARS or kind is int or kind in LEAVES:
            return VALUE
        if kind is tuple or kind is frozenset or (fresh and kind in (list, dict, set)):
            return CONTAINER
        if kind is slice or value is Ellipsis or value is NotImplemented:
            return NOTHING
        entry = self.catalog.of(kind)
        if entry is not None and entry.carries:
            return CARRIED
        return REFERENCE

    def encode(self, value: Any, fresh: bool, made: Callable[[Held], None] | None = None, *, show: bool = True) -> Any:
        """The wire form of a value.

        Args:
            value: any host value.
            fresh: containers inside are fresh too.
            made: called with each entry that is new in the table, to give it its lineage.
            show: whether content may cross; without it a value-carrying type crosses as a bare handle.

        Raises:
            Denied: a module that no catalog describes.
        """
        return self._encode(value, fresh, made, show, 0)

    def _encode(self, value: Any, fresh: bool, made: Callable[[Held], None] | None, show: bool, depth: int) -> Any:
        kind = type(value)
        if value is None or kind is str or kind is bool or kind is bytes:
            return value
        if kind is float:
            return [Tag.SINGLETON, "numpy.nan"] if math.isnan(value) and hosts.singleton_name(value) else value
        if kind is int:
            return encode_int(value)
        leaf = LEAVES.get(kind)
        if leaf is not None:
            return leaf(value)
        if depth < self.limits.depth and (kind is tuple or kind is frozenset or (fresh and kind in _CONTAINERS)):
            if INTEGERS.issuperset(map(type, value)):
                return [_CONTAINERS[kind], *map(encode_int, value)]
            if _DIRECT.issuperset(map(type, value)):
                return [_CONTAINERS[kind], *value]
            return [_CONTAINERS[kind], *[self._encode(item, fresh, made, show, depth + 1) for item in value]]
        if fresh and kind is dict and depth < self.limits.depth:
            flat: list[Any] = [Tag.DICT]
            for key, item in value.items():
                flat.append(self._encode(key, fresh, made, show, depth + 1))
                flat.append(self._encode(item, fresh, made, show, depth + 1))
            return flat
        if kind is slice:
            parts = (value.start, value.stop, value.step)
            return [Tag.SLICE, *(self._encode(part, fresh, made, show, depth + 1) for part in parts)]
        return self._encode_object(value, kind, made, show)

    def _encode_object(self, value: Any, kind: type, made: Callable[[Held], None] | None, show: bool) -> Any:
        if value is Ellipsis or value is NotImplemented:
            return [Tag.SINGLETON, "Ellipsis" if value is Ellipsis else "NotImplemented"]
        if kind is GuestToken:
            return [Tag.TOKEN, value.number]
        name = hosts.singleton_name(value)
        if name is not None:
            return [Tag.SINGLETON, name]
        if id(value) in _BUILTIN_NAMES and _BUILTINS[_BUILTIN_NAMES[id(value)]] is value:
            return [Tag.BUILTIN, _BUILTIN_NAMES[id(value)]]
        if isinstance(value, type):
            return [Tag.TYPE, self.type_id(value)]
        value = self.seen_as(value)
        entry = self.catalog.of(type(value))
        held, new = self.table.adopt(value, entry)
        if new and made is not None:
            made(held)
        held.sent += 1
        if kind is types.ModuleType:
            return [Tag.MODULE, held.handle, value.__name__, self._module_description(value.__name__)]
        if kind in _FUNCTIONS:
            doc = getattr(value, "__doc__", None)
            return [Tag.FUNCTION, held.handle, getattr(value, "__qualname__", "function"), doc if held.entry else None]
        held.type_id = held.type_id or self.type_id(type(value))
        if show and entry is not None and entry.carries:
            carried = hosts.carried(value)
            if carried is not None:
                content = self._encode(carried.value, True, made, show, 1)
                extra = self._encode(carried.extra, True, made, show, 1)
                return [Tag.VALUE_REF, held.handle, held.type_id, content, carried.repr, carried.str, extra]
        return [Tag.REF, held.handle, held.type_id]

    def content(self, value: Any, fresh: bool) -> Facts:
        """How much would reach the agent if this crossed: leaves that are values; references count nothing.

        A list or set has as many rows as it has items with content, a tuple is one row, a dict has a row for each item
        or, when its items are containers (columns of a table), as many rows as the longest of them.
        """
        cells = self._leaves(value, fresh, 0)
        size = len(value) if type(value) in (str, bytes) else None
        return Facts(self._rows(value, fresh, 0) if cells else 0, cells, size)

    def _rows(self, value: Any, fresh: bool, depth: int) -> int:
        kind = type(value)
        if depth > 2 or kind not in (list, set, frozenset, dict) or self.form(value, fresh) != CONTAINER:
            return 1 if self._leaves(value, fresh, depth) else 0
        if kind is not dict:
            return sum(1 for item in value if self._leaves(item, fresh, depth + 1))
        nested = [self._rows(item, fresh, depth + 1) for item in value.values() if type(item) in (list, dict)]
        return max([*nested, 0]) if len(nested) == len(value) else len(value)

    def _leaves(self, value: Any, fresh: bool, depth: int) -> int:
        form = self.form(value, fresh)
        if form != CONTAINER:
            return 1 if form in (VALUE, CARRIED) else 0
        if depth >= self.limits.depth:
            return 0
        if type(value) is dict:
            return sum(self._leaves(k, fresh, depth + 1) + self._leaves(v, fresh, depth + 1) for k, v in value.items())
        return sum(self._leaves(item, fresh, depth + 1) for item in value)

    def news(self) -> list[dict[str, Any]]:
        """Announcements of types that the next frame must carry."""
        news, self._news = self._news, []
        return news

    def forget_guest(self) -> None:
        """A new guest knows no types and holds no references."""
        self._announced.clear()
        self._described.clear()
        self._news.clear()
        self.table.release_all()

    def type_id(self, kind: type) -> int:
        """The id of a host type, announcing it (and its bases first) where the guest has not met it."""
        number = self._type_ids.get(kind)
        if number is None:
            number = len(self._type_ids) + 1
            self._type_ids[kind] = number
            self._types[number] = kind
        if kind not in self._announced:
            self._announced.add(kind)
            self._news.append(self._announcement(kind, number))
        return number

    def _announcement(self, kind: type, number: int) -> dict[str, Any]:
        entry = self.catalog.of(kind)
        held, _ = self.table.adopt(kind, self.catalog.of(type))
        self.table.keep(held)
        own = entry if entry is not None else None
        members = own.members if own else {}
        lasting = [
            n for n, m in members.items() if m.kind == "constant" or (m.kind == "property" and _on_type(kind, n))
        ]
        return {
            "id": number,
            "handle": held.handle,
            "name": kind.__name__,
            "module": kind.__module__,
            "doc": kind.__doc__ if own and type(kind.__doc__) is str else None,
            "bases": [self.type_id(base) for base in self._bases(kind)],
            "builtin": _builtin_base(kind, own),
            "methods": [n for n, m in members.items() if m.kind in ("method", "classmethod")],
            "properties": [
                n for n, m in members.items() if m.kind not in ("method", "classmethod") and n not in lasting
            ],
            "constants": lasting,
            "dunders": [n for n in own.dunders if n != "()"] if own else [],
            "dynamic": bool(own and own.dynamic),
            "rich": is_rich(kind),
            "hashable": own.hashable if own else kind.__hash__ is not None,
        }

    def _bases(self, kind: type) -> list[type]:
        chosen: list[type] = []
        for base in kind.__mro__[1:]:
            if base.__module__ == "builtins" or any(issubclass(other, base) for other in chosen):
                continue
            entry = self.catalog.of(base)
            named = entry is not None and entry.name == f"{base.__module__}.{base.__qualname__}"
            if named or issubclass(base, BaseException):
                chosen.append(base)
        return chosen

    def _module_description(self, name: str) -> dict[str, Any] | None:
        module = self.catalog.module(name)
        if module is None:
            raise Denied(
                f"the module {name!r} is in no catalog",
                effect=Effect.UNKNOWN,
                hint="grant modules that a catalog describes",
            )
        if name in self._described:
            return None
        self._described.add(name)
        version = getattr(sys.modules.get(name), "__version__", None)
        by_kind: dict[str, list[str]] = {"function": [], "type": [], "constant": [], "module": []}
        for member, line in module.members.items():
            by_kind.setdefault(line.kind, []).append(member)
        return {
            "functions": by_kind["function"],
            "types": by_kind["type"],
            "constants": by_kind["constant"],
            "modules": by_kind["module"],
            "doc": None,
            "version": version if type(version) is str else None,
        }

    # Inward

    def decode(self, args: Any, kwargs: Any) -> Arguments:
        """The arguments of a request.

        Raises:
            ProtocolError: they break the protocol.
        """
        if args == [] and kwargs is None:
            return _NO_ARGUMENTS
        found = Arguments()
        if args is not None:
            if type(args) is not list:
                raise ProtocolError("arguments are not an array")
            found.args = tuple([self._decode(item, found, 0) for item in args])
        if kwargs:
            if type(kwargs) is not dict:
                raise ProtocolError("keyword arguments are not a map")
            for name, item in kwargs.items():
                if type(name) is not str or len(name) > self.limits.name_chars:
                    raise ProtocolError("a keyword is not a short text")
                found.kwargs[name] = self._decode(item, found, 0)
        return found

    def decode_value(self, wire: Any, found: Arguments | None = None) -> Any:
        """One value."""
        return self._decode(wire, found if found is not None else Arguments(), 0)

    def _decode(self, wire: Any, found: Arguments, depth: int) -> Any:
        kind = type(wire)
        if kind is not list:
            if wire is None or kind is int or kind in _SCALARS:
                return wire
            raise UnknownType(f"a value of wire type {kind.__name__} cannot cross")
        if depth > self.limits.depth:
            raise TooDeep(f"a value nested deeper than {self.limits.depth}")
        if not wire or type(wire[0]) is not int:
            raise ProtocolError("an array that stands for a value does not begin with a tag")
        tag = wire[0]
        build = _BUILDERS.get(tag)
        try:
            if build is not None:
                return build([self._decode(item, found, depth + 1) for item in wire[1:]])
            if tag == Tag.DICT:
                if len(wire) % 2 == 0:
                    raise ProtocolError("a dict with a key that has no value")
                items = [self._decode(item, found, depth + 1) for item in wire[1:]]
                return dict(zip(items[::2], items[1::2], strict=True))
        except TypeError:
            raise ProtocolError("a set or dict with an unhashable member") from None
        if tag == Tag.SLICE:
            return slice(*self._fields(wire, 3, found, depth))
        decoder = _INWARD.get(tag)
        if decoder is not None:
            return decoder(self, wire, found, depth)
        return decode_leaf(tag, wire[1:])

    def _fields(self, wire: list[Any], count: int, found: Arguments, depth: int) -> list[Any]:
        if len(wire) != count + 1:
            raise ProtocolError(f"a value with tag {wire[0]} has {len(wire) - 1} fields, not {count}")
        return [self._decode(item, found, depth + 1) for item in wire[1:]]

    def _reference(self, wire: list[Any], found: Arguments, depth: int) -> Any:
        (handle,) = self._fields(wire, 1, found, depth)
        held = self.table.get(handle)
        found.held.append(held)
        if type(held.value) is types.ModuleType:
            raise Denied(
                "a module cannot be passed to host code as an argument",
                effect=Effect.UNKNOWN,
                hint="pass the function or the value that is needed",
            )
        if type(held.value) in _FUNCTIONS:
            return self._callable(held, None, held.entry, held.value, found)
        return held.value

    def _bound(self, wire: list[Any], found: Arguments, depth: int) -> Any:
        handle, member = self._fields(wire, 2, found, depth)
        held = self.table.get(handle)
        if type(member) is not str or member.startswith("_") or len(member) > self.limits.name_chars:
            raise ProtocolError("a bound attribute without a public name")
        found.held.append(held)
        entry = self.member_of(held, member)
        if entry is None:
            return self._mediate(held, member, member)
        if entry.kind not in CALLED:  # to fetch a property is an operation, which nobody has decided here
            raise ProtocolError("a bound attribute that is not a method or function")
        return self._callable(held, member, entry, getattr(held.value, member, None), found)

    def member_of(self, held: Held, member: str) -> Entry | None:
        """The catalog line of a member of an object, of a type (its instances' members) or of a module."""
        value = held.value
        if isinstance(value, type):
            kind = self.catalog.of(value)
            return kind.members.get(member) if kind is not None else None
        if type(value) is types.ModuleType:
            module = self.catalog.module(value.__name__)
            return module.members.get(member) if module is not None else None
        return held.kind.members.get(member) if held.kind is not None else None

    def _callable(self, held: Held, member: str | None, entry: Entry | None, real: Any, found: Arguments) -> Any:
        """A host callable as an argument: itself when no argument could give it another effect, else mediated."""
        harmless = entry is not None and not entry.params and entry.effects <= {Effect.READ, Effect.COMPUTE}
        if (
            harmless
            and entry is not None
            and real is not None
            and not entry.flags & _PERFORMED
            and entry.prints is None
        ):
            found.mediated.append(entry)
            return real
        return self._mediate(held, member, str(member or getattr(real, "__name__", "function")))

    def _type(self, wire: list[Any], found: Arguments, depth: int) -> Any:
        (number,) = self._fields(wire, 1, found, depth)
        kind = self._types.get(number) if type(number) is int else None
        if kind is None:
            raise ProtocolError("a type id that was never announced")
        entry = self.catalog.of(kind)
        maker = entry.constructor if entry is not None else None
        if maker is None or not maker.params or (entry is not None and entry.carries):
            return kind
        return kind if all(p.action in ("fills", "mutate") for p in maker.params) else self._mediated_type(kind)

    def _mediated_type(self, kind: type) -> Any:
        held, _ = self.table.adopt(kind, self.catalog.of(type))
        self.table.keep(held)
        return self._mediate(held, None, kind.__name__)

    def _guest_callable(self, wire: list[Any], found: Arguments, depth: int) -> Any:
        if not 3 <= len(wire) <= 5:
            raise ProtocolError("a guest function with the wrong number of fields")
        number, name = wire[1], wire[2]
        doc = wire[3] if len(wire) > 3 else None
        if type(number) is not int or type(name) is not str or type(doc) not in (str, type(None)):
            raise ProtocolError("a guest function whose fields have the wrong types")
        found.callables = True
        return self._callable_of(number, name[: self.limits.name_chars], doc)

    def _token(self, wire: list[Any], found: Arguments, depth: int) -> Any:
        (number,) = self._fields(wire, 1, found, depth)
        if type(number) is not int:
            raise ProtocolError("a token that is not a number")
        return GuestToken(self._session, number)

    def _record(self, wire: list[Any], found: Arguments, depth: int) -> Any:
        if len(wire) != 4 or type(wire[1]) is not str or type(wire[2]) is not list or type(wire[3]) is not list:
            raise ProtocolError("a record is not a name, field names and values")
        fields = wire[2]
        if len(fields) != len(wire[3]) or len(fields) > 1000 or len(set(map(str, fields))) != len(fields):
            raise ProtocolError("a record whose names and values do not match")
        for name in [wire[1], *fields]:
            if type(name) is not str or not name.isidentifier() or keyword.iskeyword(name):
                raise ProtocolError("a record with a name that is no identifier")
        values = [self._decode(item, found, depth + 1) for item in wire[3]]
        key = (wire[1], tuple(fields))
        if wire[1] in _BUFFERS and key[1] == ("content", "position"):
            return _buffer(wire[1], *values)
        if key == ("File", OpenFile.FIELDS):
            found.files.append(opened(values))
            return found.files[-1]
        made = self._records.get(key)
        if made is None:
            if len(self._records) >= 1000:
                raise ProtocolError("more than 1,000 kinds of records in one session")
            made = self._records[key] = namedtuple(wire[1], fields, rename=True)
        return made(*values)

    def _singleton(self, wire: list[Any], found: Arguments, depth: int) -> Any:
        (name,) = self._fields(wire, 1, found, depth)
        if name == "Ellipsis":
            return Ellipsis
        if name == "NotImplemented":
            return NotImplemented
        if type(name) is str:
            try:
                return hosts.singleton(name)
            except (KeyError, ValueError, ImportError):
                pass
        raise ProtocolError("a singleton that does not exist")

    def _builtin(self, wire: list[Any], found: Arguments, depth: int) -> Any:
        (name,) = self._fields(wire, 1, found, depth)
        if type(name) is not str or name not in _BUILTINS:
            raise ProtocolError("a built-in that may not cross by name")
        return _BUILTINS[name]


_INWARD: Final[dict[int, Callable[[Membrane, list[Any], Arguments, int], Any]]] = {
    Tag.REF: Membrane._reference,
    Tag.VALUE_REF: Membrane._reference,
    Tag.FUNCTION: Membrane._reference,
    Tag.MODULE: Membrane._reference,
    Tag.TYPE: Membrane._type,
    Tag.CALLABLE: Membrane._guest_callable,
    Tag.BOUND: Membrane._bound,
    Tag.TOKEN: Membrane._token,
    Tag.RECORD: Membrane._record,
    Tag.SINGLETON: Membrane._singleton,
    Tag.BUILTIN: Membrane._builtin,
}


def _on_type(kind: type, name: str) -> bool:
    """Whether a property has a value on the type as well, as `Timestamp.max` has, and not only a descriptor."""
    static = inspect.getattr_static(kind, name, None)
    if type(static) in _DESCRIPTORS or not hasattr(type(static), "__get__"):
        return False
    value = getattr(kind, name, static)
    return value is not static and not isinstance(value, type)


def _buffer(name: str, content: Any, position: Any) -> Any:
    kind, text = _BUFFERS[name]
    if type(content) is not text or type(position) is not int or not 0 <= position <= len(content):  # type: ignore[arg-type]
        raise ProtocolError("a buffer that is not content and position")
    buffer = kind(content)
    buffer.seek(position)
    return buffer


def _builtin_base(kind: type, entry: TypeEntry | None) -> str | None:
    if issubclass(kind, BaseException):
        return next(base.__name__ for base in kind.__mro__ if base.__module__ == "builtins")
    return entry.builtin if entry is not None else None
