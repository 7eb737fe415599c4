"""Inward: bytes of a guest become plain built-in values, objects of its session, or inert stand-ins.

Classes of the guest never exist here, nothing is unpickled, and no special method of anything that the guest made is
ever called.
"""

from __future__ import annotations

import builtins
import io
import keyword
import types
from collections import namedtuple
from collections.abc import Callable
from typing import Any, Final

from proxyplane import hosts
from proxyplane.callables import GuestCallable, GuestToken
from proxyplane.catalog import Catalog, Entry
from proxyplane.effects import Effect
from proxyplane.errors import Denied, ProtocolError, TooDeep, UnknownType
from proxyplane.files import OpenFile, opened
from proxyplane.objects import Held, ObjectTable
from proxyplane.transport.wire import Limits, Tag, decode_leaf

__all__ = ["BUILTINS", "CALLED", "FUNCTIONS", "SCALARS", "Arguments", "Inward"]

SCALARS: Final = frozenset({bool, float, str, bytes})
_BUILDERS: Final[dict[int, Callable[[Any], Any]]] = {
    Tag.LIST: list,
    Tag.TUPLE: tuple,
    Tag.SET: set,
    Tag.FROZENSET: frozenset,
}
_PERFORMED: Final = frozenset({"zeroed", "state", "random", "replaced"})
"""Flags of what only the plane may perform, in its own way."""
_LOOKING: Final = frozenset({Effect.READ, Effect.COMPUTE})
_NAMED: Final = frozenset({"numpy.generic", "polars.datatypes.classes.DataType"})
"""Classes of dtypes."""
FUNCTIONS: Final = (
    types.FunctionType,
    types.BuiltinFunctionType,
    types.MethodType,
    types.MethodWrapperType,
    types.WrapperDescriptorType,
    types.MethodDescriptorType,
    types.ClassMethodDescriptorType,
)
BUILTINS: Final[dict[str, Any]] = {
    name: getattr(builtins, name)
    for name in (
        "int float str bool complex bytes list dict set frozenset tuple object sum min max len abs any all round sorted"
    ).split()
}
CALLED: Final = frozenset({"method", "classmethod", "function"})
_SIGNATURE_CHARS: Final = 2000
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


class Inward:
    """How what a guest sends is understood; the half of `Membrane` that faces the guest."""

    table: ObjectTable
    catalog: Catalog
    limits: Limits
    _session: str
    _callable_of: Callable[[int, str, Any], GuestCallable]
    _mediate: Callable[[Held, str | None, str], Any]
    _types: dict[int, type]
    _records: dict[tuple[str, tuple[str, ...]], Any]

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
            if wire is None or kind is int or kind in SCALARS:
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
        if held.entry is not None or type(held.value) in FUNCTIONS:
            return self._callable(held, None, held.entry, held.value, found)
        if isinstance(held.value, type):
            return self._given_type(held.value)
        if callable(held.value) and not self._calls_harmlessly(held):
            return self._mediate(held, None, str(getattr(held.value, "__name__", "function")))
        return held.value

    def _calls_harmlessly(self, held: Held) -> bool:
        """Whether host code may call an object by itself: the call makes something, whatever the arguments are."""
        line = held.kind.dunders.get("__call__") if held.kind is not None else None
        return line is not None and not line.params and line.effects <= _LOOKING and not line.flags & _PERFORMED

    def _bound(self, wire: list[Any], found: Arguments, depth: int) -> Any:
        handle, member = self._fields(wire, 2, found, depth)
        held = self.table.get(handle)
        if type(member) is not str or member.startswith("__") or len(member) > self.limits.name_chars:
            raise ProtocolError("a bound attribute without a public name")
        found.held.append(held)
        entry = self.member_of(held, member)
        if entry is None and member.startswith("_"):
            raise ProtocolError("a bound attribute without a public name")
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
        return self._given_type(kind)

    def _given_type(self, kind: type) -> Any:
        """A host type as an argument: itself when calling it could do no more than make a value, else mediated."""
        entry = self.catalog.of(kind)
        maker = entry.constructor if entry is not None else None
        if maker is None:  # nobody may make one; host code that is given the type would call it
            return kind if _is_only_named(kind) else self._mediated_type(kind)
        if hasattr(kind, "_from_sequence"):  # numpy would call compiled methods of the array type without an array
            return self._mediated_type(kind)
        if not maker.effects <= _LOOKING:
            return self._mediated_type(kind)
        if not maker.params or (entry is not None and entry.carries):
            return kind
        return kind if all(p.action in ("fills", "mutate") for p in maker.params) else self._mediated_type(kind)

    def _mediated_type(self, kind: type) -> Any:
        held, _ = self.table.adopt(kind, self.catalog.of(type))
        self.table.keep(held)
        made = self._mediate(held, None, kind.__name__)
        made.stands_for = kind
        return made

    def _guest_callable(self, wire: list[Any], found: Arguments, depth: int) -> Any:
        if not 3 <= len(wire) <= 5:
            raise ProtocolError("a guest function with the wrong number of fields")
        number, name = wire[1], wire[2]
        doc = wire[3] if len(wire) > 3 else None
        if type(number) is not int or type(name) is not str or type(doc) not in (str, type(None)):
            raise ProtocolError("a guest function whose fields have the wrong types")
        found.callables = True
        made = self._callable_of(number, name[: self.limits.name_chars], doc)
        if len(wire) > 4 and type(wire[4]) is str and len(wire[4]) <= _SIGNATURE_CHARS:
            made.sign(wire[4])
        return made

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
        if key == ("Extended", ("type", "hooks", "attributes")):
            return self._extended(*values)
        if key == ("File", OpenFile.FIELDS):
            found.files.append(opened(values))
            return found.files[-1]
        made = self._records.get(key)
        if made is None:
            if len(self._records) >= 1000:
                raise ProtocolError("more than 1,000 kinds of records in one session")
            made = self._records[key] = namedtuple(wire[1], fields, rename=True)
        return made(*values)

    def _extended(self, kind: Any, hooks: Any, attributes: Any) -> Any:
        """An object of the plane's own in place of one whose class the agent made of a host class with hooks."""
        entry = self.catalog.of(kind) if isinstance(kind, type) else None
        if entry is None or type(hooks) is not dict or not set(entry.extends).issuperset(hooks):
            raise ProtocolError("an object with hooks of a type that has no such hooks")
        if type(attributes) is not dict or not all(type(hook) is GuestCallable for hook in hooks.values()):
            raise ProtocolError("an object with hooks that are no functions of the guest")
        return hosts.extended(kind, hooks, attributes)

    def _singleton(self, wire: list[Any], found: Arguments, depth: int) -> Any:
        (name,) = self._fields(wire, 1, found, depth)
        if type(name) is str:  # an object of the session among the fields must not be asked whether it equals a text
            if name == "Ellipsis":
                return Ellipsis
            if name == "NotImplemented":
                return NotImplemented
            try:
                return hosts.singleton(name)
            except (KeyError, ValueError, ImportError):
                pass
        raise ProtocolError("a singleton that does not exist")

    def _builtin(self, wire: list[Any], found: Arguments, depth: int) -> Any:
        (name,) = self._fields(wire, 1, found, depth)
        if type(name) is not str or name not in BUILTINS:
            raise ProtocolError("a built-in that may not cross by name")
        return BUILTINS[name]


_INWARD: Final[dict[int, Callable[[Inward, list[Any], Arguments, int], Any]]] = {
    Tag.REF: Inward._reference,
    Tag.VALUE_REF: Inward._reference,
    Tag.FUNCTION: Inward._reference,
    Tag.MODULE: Inward._reference,
    Tag.TYPE: Inward._type,
    Tag.CALLABLE: Inward._guest_callable,
    Tag.BOUND: Inward._bound,
    Tag.TOKEN: Inward._token,
    Tag.RECORD: Inward._record,
    Tag.SINGLETON: Inward._singleton,
    Tag.BUILTIN: Inward._builtin,
}


def _is_only_named(kind: type) -> bool:
    """Whether a type that cannot be made is still given as itself: to choose columns by, or to be compared with."""
    return issubclass(kind, BaseException) or not _NAMED.isdisjoint(
        f"{base.__module__}.{base.__qualname__}" for base in kind.__mro__
    )


def _buffer(name: str, content: Any, position: Any) -> Any:
    kind, text = _BUFFERS[name]
    if type(content) is not text or type(position) is not int or not 0 <= position <= len(content):  # type: ignore[arg-type]
        raise ProtocolError("a buffer that is not content and position")
    buffer = kind(content)
    buffer.seek(position)
    return buffer
