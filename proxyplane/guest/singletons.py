"""Objects of which a library has exactly one, such as `pandas.NA`: the guest has one of each too.

They cross by name, so `x is pd.NA` and `x is np.nan` hold on both sides. What they do natively without looking at
any data they do here without a request.
"""

from __future__ import annotations

import datetime as dt
import importlib
from collections.abc import Callable
from typing import Any, Final, NoReturn

__all__ = ["NA", "NAN", "NaT", "Singleton", "name_of", "named"]

NAN: Final = float("nan")
"""`numpy.nan`: this very object."""

_FORWARD: Final = "add sub mul truediv floordiv mod divmod matmul and or xor pow".split()
_ARITHMETIC: Final = [f"__{side}{name}__" for name in _FORWARD for side in ("", "r")]
_COMPARE: Final = "__eq__ __ne__ __lt__ __le__ __gt__ __ge__".split()
_OPERANDS: Final = (int, float, complex, str, bytes, dt.date, dt.timedelta, dt.time, type(None))


class Singleton:
    """A host singleton without behaviour of its own.

    Args:
        name: its dotted path in the library.
    """

    def __init__(self, name: str) -> None:
        self._name = name

    def __repr__(self) -> str:
        return f"<{self._name.rpartition('.')[2]}>"

    def __copy__(self) -> Singleton:
        return self

    def __deepcopy__(self, memo: object) -> Singleton:
        return self

    def __reduce__(self) -> NoReturn:
        raise TypeError(f"cannot pickle {self._name!r}: there is only one")


class Masked(Singleton):
    """`numpy.ma.masked`: it shows itself as numpy does."""

    def __repr__(self) -> str:
        return "masked"

    def __str__(self) -> str:
        return "--"

    def __format__(self, spec: str) -> str:
        return str(self)


class NAType(Singleton):
    """`pandas.NA`: every operation with it gives it back, and its truth cannot be known."""

    def __repr__(self) -> str:
        return "<NA>"

    def __format__(self, spec: str) -> str:
        try:
            return format(repr(self), spec)
        except ValueError:
            return repr(self)

    def __bool__(self) -> NoReturn:
        raise TypeError("boolean value of NA is ambiguous")

    def __hash__(self) -> int:
        return 2**61 - 1

    def __and__(self, other: Any) -> Any:
        return False if other is False else _with_na(self, other)

    __rand__ = __and__

    def __or__(self, other: Any) -> Any:
        return True if other is True else _with_na(self, other)

    __ror__ = __or__

    def __pow__(self, other: Any) -> Any:
        return type(other)(1) if _plain_number(other) and other == 0 else _with_na(self, other)

    def __rpow__(self, other: Any) -> Any:
        return other if _plain_number(other) and other == 1 else _with_na(self, other)

    def __divmod__(self, other: Any) -> Any:
        result = _with_na(self, other)
        return result if result is NotImplemented else (self, self)

    __rdivmod__ = __divmod__

    def _itself(self) -> NAType:
        return self

    __neg__ = __pos__ = __abs__ = __invert__ = _itself


def _plain_number(value: Any) -> bool:
    return type(value) in (int, float, bool)


def _with_na(na: NAType, other: Any) -> Any:
    return na if other is na or isinstance(other, _OPERANDS) else NotImplemented


class NaTType(dt.datetime):
    """`pandas.NaT`: not a time. Compares as unequal to everything, and arithmetic gives it back."""

    _name = "pandas.NaT"

    def __repr__(self) -> str:
        return "NaT"

    __str__ = __repr__

    def isoformat(self, *args: Any, **kwargs: Any) -> str:
        """`NaT`."""
        return "NaT"

    def __format__(self, spec: str) -> str:
        return "NaT"

    def __hash__(self) -> int:
        return -(2**63)

    def __bool__(self) -> bool:
        return True

    def __copy__(self) -> NaTType:
        return self

    def __deepcopy__(self, memo: object) -> NaTType:
        return self

    def __reduce_ex__(self, protocol: object) -> NoReturn:
        raise TypeError("cannot pickle pandas.NaT: there is only one")

    def __getattribute__(self, name: str) -> Any:
        return NAN if name in _FIELDS else super().__getattribute__(name)

    def _itself(self, *args: Any, **kwargs: Any) -> NaTType:
        return self

    ceil = floor = round = normalize = tz_convert = tz_localize = as_unit = to_period = _itself
    astimezone = replace = to_pydatetime = date = _itself

    def to_numpy(self, *args: Any, **kwargs: Any) -> Any:
        """`numpy.datetime64('NaT')`, of the host's numpy."""
        return importlib.import_module("numpy").datetime64("NaT", "ns")

    to_datetime64 = to_numpy

    def _no_number(self, *args: Any, **kwargs: Any) -> float:
        return NAN

    day_name = month_name = total_seconds = _no_number
    weekday = isoweekday = _no_number  # type: ignore[assignment]


_FIELDS: Final = frozenset(
    "year month day hour minute second microsecond nanosecond quarter dayofyear day_of_year dayofweek day_of_week "
    "days_in_month daysinmonth week weekofyear days seconds microseconds nanoseconds".split()
)


def _na_operator(self: NAType, other: Any) -> Any:
    return _with_na(self, other)


def _nat_operator(self: NaTType, other: Any) -> Any:
    return self if isinstance(other, (dt.date, dt.timedelta, int, float, NAType)) else NotImplemented


def _nat_comparison(answer: bool, ordering: bool) -> Callable[[Any, Any], Any]:
    def compare(self: NaTType, other: Any) -> Any:
        if isinstance(other, (dt.datetime, dt.timedelta)) or (not ordering and isinstance(other, _OPERANDS)):
            return answer
        return NotImplemented

    return compare


for _dunder in (*_ARITHMETIC, *_COMPARE):
    if _dunder not in NAType.__dict__ or _dunder == "__eq__":
        setattr(NAType, _dunder, _na_operator)
for _dunder in _ARITHMETIC:
    if "and" not in _dunder and "or" not in _dunder:
        setattr(NaTType, _dunder, _nat_operator)
for _dunder in _COMPARE:
    setattr(NaTType, _dunder, _nat_comparison(_dunder == "__ne__", _dunder not in ("__eq__", "__ne__")))
for _kind, _module in ((NAType, "pandas._libs.missing"), (NaTType, "pandas._libs.tslibs.nattype")):
    _kind.__module__ = _module

NA: Final = NAType("pandas.NA")
NaT: Final = NaTType(1, 1, 1)

_by_name: dict[str, Any] = {
    "Ellipsis": ...,
    "NotImplemented": NotImplemented,
    "numpy.nan": NAN,
    "numpy.ma.masked": Masked("numpy.ma.masked"),
    "pandas.NA": NA,
    "pandas.NaT": NaT,
}


def named(name: str) -> Any:
    """The one object of this name, made at its first use."""
    found = _by_name.get(name)
    if found is None:
        found = _by_name[name] = Singleton(name)
    return found


def name_of(value: Any) -> str:
    """The name by which a `Singleton` or NaT crosses."""
    return str(value._name)
