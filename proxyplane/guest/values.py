"""How the guest's values cross: by exact type to the host, and back from what the host sends.

The host trusts none of this. What is refused here would be refused there too, at the price of the session.
"""

from __future__ import annotations

import array
import builtins
import collections
import dataclasses
import datetime as dt
import enum
import functools
import io
import os
import types
from collections.abc import Callable, Iterator
from itertools import islice
from typing import Any, Final

from proxyplane.errors import ProtocolError
from proxyplane.guest import singletons
from proxyplane.guest.agentcode import Agentcode
from proxyplane.guest.extensions import Extension, parts_of
from proxyplane.guest.files import handed_over
from proxyplane.guest.imports import HostModule
from proxyplane.guest.references import Bound, HostFunction, StubType
from proxyplane.guest.stubs import Stubs
from proxyplane.transport.wire import LEAVES, Limits, Tag, decode_leaf, encode_int

__all__ = ["BUILTINS", "Values"]

_LIMITS: Final = Limits()
_MOST_ITEMS: Final = 1_000_000
_MOST_TOKENS: Final = 100_000
_DECIMAL_CHARS: Final = 4300

BUILTINS: Final[dict[str, Any]] = {
    name: getattr(builtins, name)
    for name in (
        "int float str bool complex bytes list dict set frozenset tuple object sum min max len abs any all round sorted"
    ).split()
}
"""Built-ins that become the host's own. Every other callable of the guest runs in the guest."""

_BUILTIN_NAMES: Final = {id(value): name for name, value in BUILTINS.items()}
_VIEWS: Final[tuple[type, ...]] = (type({}.keys()), type({}.values()), type({}.items()), collections.deque, array.array)
_MAPPINGS: Final = (types.MappingProxyType, collections.ChainMap, collections.UserDict)

Encoder = Callable[[Any, int], Any]


class Values:
    """Both directions of the membrane, on the guest's side.

    Args:
        stubs: the guest's stub classes and stubs.
        module: gives the local module object for (handle, dotted name, description or None).
        code: the agent's functions that the host may call.
    """

    def __init__(
        self, stubs: Stubs, module: Callable[[int, str, dict[str, Any] | None], types.ModuleType], code: Agentcode
    ) -> None:
        self._stubs = stubs
        self._code = code
        self.kept: list[Any] = []
        """`Link.kept`."""
        self._module = module
        self._tokens: dict[int, Any] = {}
        self._token_numbers: dict[int, int] = {}
        self._encoders: dict[type, Encoder] = {}
        kind: type
        for kind in (type(None), bool, str, bytes):
            self._encoders[kind] = _itself
        self._encoders |= {
            int: _integer,
            float: _float,
            slice: lambda v, depth: [Tag.SLICE, *(self._encode(x, depth + 1) for x in (v.start, v.stop, v.step))],
            type(...): lambda v, depth: [Tag.SINGLETON, "Ellipsis"],
            type(NotImplemented): lambda v, depth: [Tag.SINGLETON, "NotImplemented"],
            list: self._sequence(Tag.LIST),
            tuple: self._sequence(Tag.TUPLE),
            set: self._sequence(Tag.SET),
            frozenset: self._sequence(Tag.FROZENSET),
            dict: self._dict,
            Bound: lambda v, depth: [Tag.BOUND, v._handle, v.__name__],
            HostFunction: lambda v, depth: [Tag.REF, v._handle],
            HostModule: lambda v, depth: [Tag.MODULE, v._handle],
            StubType: lambda v, depth: [Tag.TYPE, v._type_id],
            type: self._class,
        }
        for kind in (types.FunctionType, types.MethodType, functools.partial):
            self._encoders[kind] = self._callable
        self._encoders[types.BuiltinFunctionType] = self._builtin
        for kind in (singletons.Singleton, singletons.NAType, singletons.NaTType, singletons.Masked):
            self._encoders[kind] = lambda v, depth: [Tag.SINGLETON, singletons.name_of(v)]
        for kind, leaf in LEAVES.items():
            self._encoders[kind] = _leaf(leaf)
        self._encoders[bytearray] = lambda v, depth: bytes(v)
        stubs.on_class = self._know_stubs
        self._decoders = self._make_decoders()

    # To the host

    def encode(self, value: Any) -> Any:
        """The wire form of a value.

        Raises:
            TypeError: it is nested too deeply, or holds what cannot cross.
            ValueError: it is too large.
        """
        encoder = self._encoders.get(type(value))
        return encoder(value, 0) if encoder is not None else self._encode_other(value, 0)

    def _encode(self, value: Any, depth: int) -> Any:
        if depth >= _LIMITS.depth:
            raise TypeError(
                f"a value nested deeper than {_LIMITS.depth} levels cannot cross to the host (does it contain itself?)"
            )
        encoder = self._encoders.get(type(value))
        return encoder(value, depth) if encoder is not None else self._encode_other(value, depth)

    def _sequence(self, tag: int) -> Encoder:
        def encode(value: Any, depth: int) -> list[Any]:
            return [tag, *[self._encode(x, depth + 1) for x in value]]

        return encode

    def _dict(self, value: dict[Any, Any], depth: int) -> list[Any]:
        flat: list[Any] = [Tag.DICT]
        for key, item in value.items():
            flat.append(self._encode(key, depth + 1))
            flat.append(self._encode(item, depth + 1))
        return flat

    def _know_stubs(self, cls: type) -> None:
        advance = hasattr(cls, "__next__")
        self._encoders[cls] = self._iterator_stub if advance else self._tuple_stub if issubclass(cls, tuple) else _stub

    def _iterator_stub(self, stub: Any, depth: int) -> Any:
        feed = stub.__dict__.get("_feed")
        if feed is None or not feed.ahead:
            return _stub(stub, depth)
        return self._items(stub, depth)  # the host's iterator is ahead of the agent's: send what is left

    def _tuple_stub(self, stub: Any, depth: int) -> Any:
        return _stub(stub, depth) if stub._handle else self._sequence(Tag.TUPLE)(stub, depth)

    def _class(self, value: type, depth: int) -> Any:
        name = _BUILTIN_NAMES.get(id(value))
        if name is not None:
            return [Tag.BUILTIN, name]
        number = self._stubs.type_ids.get(value)
        return [Tag.TYPE, number] if number is not None else self._code.encode(value)

    def _builtin(self, value: Any, depth: int) -> Any:
        name = _BUILTIN_NAMES.get(id(value))
        return [Tag.BUILTIN, name] if name is not None else self._code.encode(value)

    def _callable(self, value: Any, depth: int) -> Any:
        return self._code.encode(value)

    def _items(self, value: Any, depth: int) -> list[Any]:
        """Whatever is iterable, as a list."""
        items = list(islice(value, _MOST_ITEMS + 1))
        if len(items) > _MOST_ITEMS:
            raise ValueError(f"an iterable of more than {_MOST_ITEMS:,} items cannot cross to the host; use islice")
        self.kept.append(items)
        return [Tag.LIST, *[self._encode(x, depth + 1) for x in items]]

    def _encode_other(self, value: Any, depth: int) -> Any:
        """A value of no known exact type: a subclass, a record, an iterator, something callable; else a token."""
        kind = type(value)
        if isinstance(value, type):
            return self._class(value, depth)
        if isinstance(value, Extension):
            number, hooks, attributes = parts_of(value)
            parts = [[Tag.TYPE, number], self._dict(hooks, depth), self._dict(attributes, depth)]
            return [Tag.RECORD, "Extended", ["type", "hooks", "attributes"], parts]
        if isinstance(value, tuple) and isinstance(getattr(kind, "_fields", None), tuple):
            return self._record(value, list(kind._fields), list(tuple.__iter__(value)), depth)
        if dataclasses.is_dataclass(value):
            fields = [field.name for field in dataclasses.fields(value)]
            return self._record(value, fields, [getattr(value, name, None) for name in fields], depth)
        for base, exact in _BASES.items():
            if isinstance(value, base):
                return self._encode(exact(value), depth)
        if isinstance(value, enum.Enum):
            return self._token(value)
        for base in (dt.datetime, *LEAVES):  # a datetime is a date too
            if isinstance(value, base):
                return _leaf(LEAVES[base])(value, depth)
        return self._encode_object(value, kind, depth)

    def _encode_object(self, value: Any, kind: type, depth: int) -> Any:
        if isinstance(value, (io.StringIO, io.BytesIO)):
            name = "StringIO" if isinstance(value, io.StringIO) else "BytesIO"
            return [Tag.RECORD, name, ["content", "position"], [value.getvalue(), value.tell()]]
        file = handed_over(value)
        if file is not None:
            return [Tag.RECORD, "File", file[0], [self._encode(x, depth + 1) for x in file[1]]]
        if isinstance(value, io.BufferedRandom):  # what the host makes of it is written back
            at = value.tell()
            value.seek(0)
            content = value.read()
            value.seek(at)
            return [Tag.RECORD, "BytesIO", ["content", "position"], [content, at]]
        if isinstance(value, io.IOBase) and value.readable() and not value.writable():
            return self._buffered(value)
        if isinstance(value, io.TextIOBase) and value.writable():  # what the host writes is written to it then
            return [Tag.RECORD, "StringIO", ["content", "position"], ["", 0]]
        if isinstance(value, (*_VIEWS, Iterator)):
            return self._items(value, depth)
        if isinstance(value, _MAPPINGS):
            return self._dict(dict(value), depth)
        if isinstance(value, memoryview):
            return value.tobytes()
        if isinstance(value, os.PathLike):
            return self._encode(os.fspath(value), depth)
        return self._code.encode(value) if callable(value) else self._token(value)

    @staticmethod
    def _buffered(value: Any) -> list[Any]:
        """What is left of a readable stream, as a buffer in memory."""
        rest = value.read() or ("" if isinstance(value, io.TextIOBase) else b"")
        return [Tag.RECORD, "StringIO" if isinstance(rest, str) else "BytesIO", ["content", "position"], [rest, 0]]

    def _record(self, value: Any, fields: list[str], values: list[Any], depth: int) -> Any:
        name = type(value).__name__
        if not name.isidentifier():
            return self._token(value)
        return [Tag.RECORD, name, fields, [self._encode(x, depth + 1) for x in values]]

    def _token(self, value: Any) -> list[Any]:
        number = self._token_numbers.get(id(value))
        if number is None:
            if len(self._tokens) >= _MOST_TOKENS:
                raise ValueError(
                    f"the host keeps {_MOST_TOKENS:,} objects of this code's own classes already; send plain values"
                )
            number = len(self._tokens) + 1
            self._tokens[number] = value
            self._token_numbers[id(value)] = number
        return [Tag.TOKEN, number]

    # From the host

    def decode(self, wire: Any) -> Any:
        """The value of a wire form.

        Raises:
            ProtocolError: it is none.
        """
        if type(wire) is not list:
            return wire
        decoder = self._decoders.get(wire[0])
        return decoder(wire) if decoder is not None else decode_leaf(wire[0], wire[1:])

    def _make_decoders(self) -> dict[int, Callable[[list[Any]], Any]]:
        decode, stubs = self.decode, self._stubs

        def items(wire: list[Any]) -> list[Any]:
            return [x if type(x) is not list else decode(x) for x in wire[1:]]

        def mapping(wire: list[Any]) -> dict[Any, Any]:
            flat = items(wire)
            return dict(zip(flat[::2], flat[1::2], strict=True))

        def value_reference(wire: list[Any]) -> Any:
            _, handle, number, value, shown, text, extra = wire
            extra = extra if type(extra) is not list or (extra and type(extra[0]) is str) else decode(extra)
            return stubs.value_reference(handle, number, decode(value), shown, text, extra)

        return {
            Tag.LIST: items,
            Tag.TUPLE: lambda wire: tuple(items(wire)),
            Tag.SET: lambda wire: set(items(wire)),
            Tag.FROZENSET: lambda wire: frozenset(items(wire)),
            Tag.DICT: mapping,
            Tag.SLICE: lambda wire: slice(*items(wire)),
            Tag.SINGLETON: lambda wire: singletons.named(wire[1]),
            Tag.REF: lambda wire: stubs.reference(wire[1], wire[2]),
            Tag.VALUE_REF: value_reference,
            Tag.TYPE: self._decode_type,
            Tag.MODULE: lambda wire: self._module(wire[1], wire[2], wire[3]),
            Tag.FUNCTION: lambda wire: stubs.host_function(wire[1], wire[2], wire[3]),
            Tag.TOKEN: self._decode_token,
            Tag.BUILTIN: lambda wire: BUILTINS[wire[1]],
        }

    def _decode_type(self, wire: list[Any]) -> type:
        found = self._stubs.types.get(wire[1])
        if found is None:
            raise ProtocolError(f"the host sent type {wire[1]}, which it has not announced")
        return found

    def _decode_token(self, wire: list[Any]) -> Any:
        try:
            return self._tokens[wire[1]]
        except KeyError:
            raise ProtocolError(f"the host sent token {wire[1]}, which this guest never made") from None


def _itself(value: Any, depth: int) -> Any:
    return value


def _integer(value: int, depth: int) -> Any:
    if value.bit_length() > 63 and value.bit_length() // 8 + 1 > _LIMITS.int_bytes:
        raise ValueError(f"an integer of more than {_LIMITS.int_bytes} bytes cannot cross to the host")
    return encode_int(value)


def _float(value: float, depth: int) -> Any:
    return [Tag.SINGLETON, "numpy.nan"] if value is singletons.NAN else value


def _stub(stub: Any, depth: int) -> list[Any]:
    return [Tag.REF, stub._handle]


def _leaf(encode: Callable[[Any], Any]) -> Encoder:
    def leaf(value: Any, depth: int) -> Any:
        try:
            wire = encode(value)
        except ProtocolError as error:  # a time zone of the agent's own making
            raise TypeError(str(error)) from None
        if wire[0] == Tag.DECIMAL and len(wire[1]) > _DECIMAL_CHARS:
            raise ValueError(f"a decimal of more than {_DECIMAL_CHARS} characters cannot cross to the host")
        return wire

    return leaf


_BASES: Final[dict[type, Callable[[Any], Any]]] = {
    str: str.__str__,
    bool: bool,
    int: int.__int__,
    float: float.__float__,
    complex: complex.__complex__ if hasattr(complex, "__complex__") else complex,
    bytes: lambda v: bytes.__getitem__(v, slice(None)),
    bytearray: bytes,
    dict: lambda v: dict(dict.items(v)),
    list: lambda v: list(list.__iter__(v)),
    tuple: lambda v: tuple(tuple.__iter__(v)),
    set: lambda v: set(set.__iter__(v)),
    frozenset: lambda v: frozenset(frozenset.__iter__(v)),
    dt.timedelta: lambda v: dt.timedelta(v.days, v.seconds, v.microseconds),
}
"""Instances of subclasses cross as the value of their built-in base, read past any method of the subclass."""
