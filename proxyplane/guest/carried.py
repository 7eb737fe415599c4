"""Value-carrying references: what a host scalar (`numpy.int64`, `Timestamp`, a row of `itertuples`) does locally.

Such an object crossed with its content, which was charged as revealed, so showing it, its hash, its truth, its
conversions and comparisons with plain values need no request. Everything else of it (`.dtype`, arithmetic) is asked.
"""

from __future__ import annotations

import datetime as dt
import operator
from collections.abc import Callable
from decimal import Decimal
from fractions import Fraction
from typing import Any, Final

__all__ = ["LOCAL_MEMBERS", "VALUE_BASES", "carry", "local_methods", "make"]

Method = Callable[..., Any]

VALUE_BASES: Final[dict[str, type]] = {
    "float": float,
    "int": int,
    "str": str,
    "bytes": bytes,
    "complex": complex,
    "datetime": dt.datetime,
    "date": dt.date,
    "timedelta": dt.timedelta,
    "tuple": tuple,
}
"""Built-ins whose content a guest class can hold itself."""

_TEXTUAL: Final = ("str", "bytes", "tuple")
_DATE_FIELDS: Final = frozenset("year month day weekday isoweekday isocalendar toordinal timetuple".split())
_CLOCK_FIELDS: Final = frozenset(
    "hour minute second microsecond tzinfo fold utctimetuple utcoffset dst tzname date time".split()
)

LOCAL_MEMBERS: Final[dict[str, frozenset[str]]] = {
    **{name: frozenset(dir(VALUE_BASES[name])) for name in _TEXTUAL},
    "datetime": _DATE_FIELDS | _CLOCK_FIELDS,
    "date": _DATE_FIELDS,
    "timedelta": frozenset(("days", "seconds", "microseconds")),
    "float": frozenset(("real", "imag")),
    "complex": frozenset(("real", "imag")),
}
"""Members that the built-in answers from the content exactly as the host type would: no request for these."""

_PLAIN: Final = frozenset(
    (int, float, bool, complex, str, bytes, dt.datetime, dt.date, dt.timedelta, dt.time, Decimal, Fraction, type(None))
)
_NUMBERS: Final = frozenset((int, float, bool))
_CONTAINERS: Final = frozenset((list, tuple, set, frozenset, dict, range))
_COMPARE: Final = ("lt", "le", "eq", "ne", "gt", "ge")
_ABSENT: Final = object()


def make(cls: type, builtin: str, value: Any) -> Any:
    """An instance of a guest class that inherits a built-in, holding the value.

    Args:
        cls: the class.
        builtin: its built-in base, a key of `VALUE_BASES`.
        value: a value of exactly that built-in.

    Raises:
        TypeError: the value is of another kind.
    """
    base: Any = VALUE_BASES[builtin]
    if type(value) is not base:
        raise TypeError(f"expected a {builtin}, got a {type(value).__name__}")
    if base is dt.datetime:
        parts = (value.year, value.month, value.day, value.hour, value.minute, value.second, value.microsecond)
        return dt.datetime.__new__(cls, *parts, value.tzinfo, fold=value.fold)
    if base is dt.date:
        return dt.date.__new__(cls, value.year, value.month, value.day)
    if base is dt.timedelta:
        return dt.timedelta.__new__(cls, value.days, value.seconds, value.microseconds)
    return base.__new__(cls, value)


def carry(stub: Any, value: Any, shown: str | None, text: str | None, extra: Any) -> None:
    """Put the content into a stub: the value, its repr and str (None: the usual ones), and what the value lacks."""
    content = stub.__dict__
    content["_value"] = value
    if shown is not None:
        content["_shown"] = shown
    if text is not None:
        content["_text"] = text
    if extra is not None:
        content["_extra"] = extra


def local_methods(
    dunders: frozenset[str],
    remote: Callable[[str], Method],
    is_stub: Callable[[Any], bool],
    truths: dict[bool, Any] | None = None,
) -> Any:
    """Special methods that a class with content gets.

    Args:
        dunders: special methods that the host type has.
        remote: the method that asks the host, for instances that came without content.
        is_stub: whether an object is a stub.
        truths: what comparisons give where they give no plain bool: numpy's two, as far as they have been seen.
    """
    methods: dict[str, Method] = {"__repr__": _repr, "__str__": _str, "__format__": _format}
    for name, method in list(methods.items()):
        methods[name] = _or_remote(method, remote(name))
    for name, convert in _CONVERSIONS.items():
        if f"__{name}__" in dunders:
            methods[f"__{name}__"] = _or_remote(convert, remote(f"__{name}__"))
    methods["__bool__"] = _or_remote(_bool, remote("__bool__"))
    methods["__hash__"] = _or_remote(_hash, remote("__hash__"))
    for name in _COMPARE:
        if f"__{name}__" in dunders:
            methods[f"__{name}__"] = _comparison(getattr(operator, name), remote(f"__{name}__"), is_stub, truths)
    return methods


def _or_remote(local: Method, remote: Method) -> Method:
    def method(self: Any, /, *args: Any) -> Any:
        value = self.__dict__.get("_value", _ABSENT)
        return remote(self, *args) if value is _ABSENT else local(self, value, *args)

    return method


def _repr(stub: Any, value: Any) -> str:
    shown = stub._shown
    if shown is not None:
        return str(shown)
    if type(value) is tuple:
        return _row_repr(stub, value)
    return f"np.{value}_" if type(value) is bool else f"np.{type(stub).__name__}({value!r})"


def _row_repr(stub: Any, value: tuple[Any, ...]) -> str:
    parts = ", ".join(f"{name}={item!r}" for name, item in zip(stub._extra or (), value, strict=False))
    return f"{type(stub).__name__}({parts})"


def _str(stub: Any, value: Any) -> str:
    if stub._text is not None:
        return str(stub._text)
    return repr(stub) if type(value) is tuple else str(value)


def _format(stub: Any, value: Any, spec: str = "") -> str:
    return format(value, spec) if spec else str(stub)


def _bool(stub: Any, value: Any) -> bool:
    return bool(value) or (isinstance(value, dt.timedelta) and bool(stub._extra))


def _hash(stub: Any, value: Any) -> int:
    extra = stub._extra
    return hash((value, extra)) if type(extra) is int and extra else hash(value)


_CONVERSIONS: Final[dict[str, Method]] = {
    "int": lambda stub, value: int(value),
    "float": lambda stub, value: float(value),
    "complex": lambda stub, value: complex(value),
    "index": lambda stub, value: operator.index(value),
}


def _comparison(
    compare: Callable[[Any, Any], Any],
    remote: Method,
    is_stub: Callable[[Any], bool],
    truths: dict[bool, Any] | None,
) -> Method:
    def method(self: Any, other: Any, /) -> Any:
        mine = self.__dict__
        value = mine.get("_value", _ABSENT)
        kind = type(other)
        theirs: Any = other
        extra = None
        if kind not in _PLAIN:
            if kind in _CONTAINERS and type(value) is not tuple:
                return remote(self, other)
            if is_stub(other):
                theirs = other.__dict__.get("_value", _ABSENT)
                extra = other.__dict__.get("_extra")
            elif kind not in _CONTAINERS:
                return NotImplemented
        if value is _ABSENT or theirs is _ABSENT:
            return remote(self, other)
        if truths is not None:
            if type(theirs) not in _NUMBERS:
                return remote(self, other)
            truth = truths.get(compare(value, theirs))
            return remote(self, other) if truth is None else truth
        try:
            own_extra = mine.get("_extra")
            if type(own_extra) is int or type(extra) is int:
                return compare((value, own_extra or 0), (theirs, extra or 0))
            return compare(value, theirs)
        except TypeError:
            return NotImplemented

    return method
