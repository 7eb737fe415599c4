"""Values in JSON documents: what JSON has no form for is an object with one `$` member.

    1, "a", true, null, [1, 2], {"a": 1}        themselves
    {"$ref": 17, "type": "pandas.DataFrame"}    an object that stays with the host
    {"$ref": 18, "type": "...", "value": 2.5}   the same, with its content
    {"$tuple": [...]}  {"$set": [...]}  {"$frozenset": [...]}  {"$dict": [[key, value], ...]}  {"$slice": [1, 5, null]}
    {"$bytes": "base64"}  {"$float": "nan"}  {"$complex": [re, im]}  {"$range": [start, stop, step]}
    {"$date": "2026-01-31"}  {"$time": ...}  {"$datetime": ...}  {"$timedelta": [days, seconds, microseconds]}
    {"$decimal": "1.50"}  {"$uuid": ...}  {"$pattern": ["^a", flags]}  {"$constant": "pandas.NA"}  {"$builtin": "int"}

Only a client sends: {"$name": "sales"}, {"$result": 0} (of an earlier operation of the batch), and
{"$bound": [17, "upper"]} (a method that is not called).
"""

from __future__ import annotations

import base64
import datetime as dt
import math
import re
import uuid
from collections.abc import Callable
from decimal import Decimal, InvalidOperation
from typing import Any, Final

from proxyplane.errors import ProtocolError, UnknownType
from proxyplane.transport.wire import LEAVES, Limits, Tag, decode_leaf, encode_int

__all__ = ["Names", "from_wire", "to_wire"]

_DEPTH: Final = Limits().depth
Names = Callable[[str, Any], Any]
"""Takes `name` or `result` and what it is; gives a wire form."""
TypeName = Callable[[int], str]
"""Takes a handle; gives the type's name."""

_SEQUENCES: Final = {"$tuple": Tag.TUPLE, "$set": Tag.SET, "$frozenset": Tag.FROZENSET}
_SEQUENCE_NAMES: Final = {tag: name for name, tag in _SEQUENCES.items()}
_PARSERS: Final[dict[str, Callable[[Any], Any]]] = {
    "$complex": lambda given: complex(float(given[0]), float(given[1])),
    "$range": lambda given: range(*_integers(given, 3)),
    "$date": dt.date.fromisoformat,
    "$time": dt.time.fromisoformat,
    "$datetime": dt.datetime.fromisoformat,
    "$timedelta": lambda given: dt.timedelta(*_integers(given, 3)),
    "$decimal": Decimal,
    "$uuid": uuid.UUID,
}


def _integers(given: Any, count: int) -> list[int]:
    if type(given) is not list or len(given) != count or not all(type(item) is int for item in given):
        raise ValueError
    return given


# From a client


def to_wire(value: Any, named: Names, depth: int = 0) -> Any:
    """The wire form of a value of a JSON document.

    Args:
        value: as above.
        named: resolves `$name` and `$result`.

    Raises:
        ProtocolError: it is none.
    """
    if depth > _DEPTH:
        raise ProtocolError(f"a value is nested deeper than {_DEPTH}")
    kind = type(value)
    if value is None or kind in (bool, str, float, bytes):
        return value
    if kind is int:
        if value.bit_length() > Limits().int_bytes * 8:
            raise ProtocolError(f"an integer of more than {Limits().int_bytes} bytes")
        return encode_int(value)
    if kind is list:
        return [Tag.LIST, *[to_wire(item, named, depth + 1) for item in value]]
    if kind is not dict:
        raise UnknownType(f"a value of type {kind.__name__} cannot cross")
    special = next((key for key in value if type(key) is str and key.startswith("$")), None)
    if special is None:
        return _pairs([[key, item] for key, item in value.items()], named, depth)
    try:
        return _special(special, value, named, depth)
    except (ValueError, TypeError, IndexError, OverflowError, InvalidOperation):
        raise ProtocolError(f"a {special} that is not formed as docs/http.md says") from None


def _pairs(pairs: Any, named: Names, depth: int) -> list[Any]:
    flat: list[Any] = [Tag.DICT]
    for key, item in pairs:
        flat += [to_wire(key, named, depth + 1), to_wire(item, named, depth + 1)]
    return flat


def _special(special: str, value: dict[str, Any], named: Names, depth: int) -> Any:
    given = value[special]
    if special == "$ref":  # what came with it, as it was sent to the client
        return [Tag.REF, *_integers([given], 1)]
    if len(value) != 1:
        raise ValueError
    if special in ("$name", "$result"):
        return named(special[1:], given)
    if special in _SEQUENCES and type(given) is list:
        return [_SEQUENCES[special], *[to_wire(item, named, depth + 1) for item in given]]
    if special == "$dict":
        return _pairs(given, named, depth)
    if special == "$slice":
        start, stop, step = given
        return [Tag.SLICE, *[to_wire(item, named, depth + 1) for item in (start, stop, step)]]
    if special == "$bytes":
        return base64.b64decode(given, validate=True)
    if special == "$float":
        return {"nan": math.nan, "inf": math.inf, "-inf": -math.inf}.get(given) or _fail()
    if special in ("$constant", "$builtin") and type(given) is str:
        return [Tag.SINGLETON if special == "$constant" else Tag.BUILTIN, given]
    if special == "$bound":
        handle, member = given
        return [Tag.BOUND, *_integers([handle], 1), member]
    if special == "$pattern":
        text, flags = given
        return LEAVES[re.Pattern](re.compile(text, *_integers([flags], 1)))
    parsed = _PARSERS[special](given) if special in _PARSERS else _fail()
    return LEAVES[type(parsed)](parsed)


def _fail() -> Any:
    raise ValueError


# To a client


def from_wire(wire: Any, type_name: TypeName) -> Any:
    """The JSON form of a wire value.

    Args:
        wire: as the membrane made it.
        type_name: names the type of a handle's object.
    """
    kind = type(wire)
    if kind is float:
        return wire if math.isfinite(wire) else {"$float": str(wire)}
    if kind is bytes:
        return {"$bytes": base64.b64encode(wire).decode()}
    if kind is not list:
        return wire
    tag, rest = wire[0], wire[1:]
    if tag == Tag.LIST:
        return [from_wire(item, type_name) for item in rest]
    if tag in _SEQUENCE_NAMES:
        return {_SEQUENCE_NAMES[tag]: [from_wire(item, type_name) for item in rest]}
    if tag == Tag.DICT:
        return _mapping([from_wire(item, type_name) for item in rest])
    if tag == Tag.SLICE:
        return {"$slice": [from_wire(item, type_name) for item in rest]}
    if tag == Tag.REF:
        return {"$ref": rest[0], "type": type_name(rest[0])}
    if tag == Tag.VALUE_REF:
        return _carried(rest, type_name)
    if tag in (Tag.FUNCTION, Tag.MODULE):
        return {"$ref": rest[0], "type": "function" if tag == Tag.FUNCTION else "module", "name": rest[1]}
    if tag == Tag.SINGLETON:
        return {"$float": "nan"} if rest[0] == "numpy.nan" else {"$constant": rest[0]}
    if tag == Tag.BUILTIN:
        return {"$builtin": rest[0]}
    if tag == Tag.TYPE:
        return {"$type": rest[0]}
    return _leaf(decode_leaf(tag, rest))


def _mapping(flat: list[Any]) -> Any:
    pairs = [list(pair) for pair in zip(flat[::2], flat[1::2], strict=True)]
    if all(type(key) is str and not key.startswith("$") for key, _ in pairs):
        return dict(pairs)
    return {"$dict": pairs}


def _carried(rest: list[Any], type_name: TypeName) -> dict[str, Any]:
    handle, _, content, shown, text, _ = rest
    found: dict[str, Any] = {"$ref": handle, "type": type_name(handle) if handle else ""}
    found["value"] = from_wire(content, type_name)
    if (shown or text) is not None:
        found["text"] = text or shown
    return found


def _leaf(value: Any) -> Any:
    if type(value) is int:
        return value
    if isinstance(value, complex):
        return {"$complex": [from_wire(value.real, str), from_wire(value.imag, str)]}
    if isinstance(value, range):
        return {"$range": [value.start, value.stop, value.step]}
    if isinstance(value, dt.timedelta):
        return {"$timedelta": [value.days, value.seconds, value.microseconds]}
    if isinstance(value, re.Pattern):
        return {"$pattern": [from_wire(value.pattern, str), value.flags]}
    for kind, name in ((dt.datetime, "$datetime"), (dt.date, "$date"), (dt.time, "$time")):
        if isinstance(value, kind):
            return {name: value.isoformat()}
    name = {Decimal: "$decimal", uuid.UUID: "$uuid"}.get(type(value), "$text")
    return {name: str(value)}
