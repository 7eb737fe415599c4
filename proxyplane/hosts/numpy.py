"""The adapter for numpy: arrays, scalars, dtypes."""

from __future__ import annotations

from typing import Any, Final

import numpy as np

from proxyplane.decisions import Facts
from proxyplane.errors import PolicyError
from proxyplane.hosts import Carried
from proxyplane.hosts import facts as facts_of
from proxyplane.hosts.numpy_forms import gapless, meant

SINGLETONS: Final = ("numpy.nan", "numpy.ma.masked")

_NOTHING: Final = Facts(0, 0, 0)
_ONE: Final = Facts(1, 1, None)
_UNKNOWN: Final = Facts()
_CARRIED: Final = frozenset(
    kind for kind in (np.bool_, np.str_, np.bytes_, np.float16, np.float32, np.float64, np.complex64, np.complex128)
) | frozenset(np.dtype(code).type for code in "bhilqpBHILQP")
_NESTING: Final = (list, tuple, dict, set, frozenset, np.ndarray)


def facts(value: Any) -> Facts:
    """An array's rows are its first axis; nested content of object cells counts."""
    if isinstance(value, np.ndarray):
        rows = len(value) if value.ndim else 1
        cells = int(value.size)
        if value.dtype == object:
            return nested(value.ravel().tolist(), rows, cells, int(value.nbytes))
        if value.dtype.names:
            cells *= len(value.dtype.names)
        return Facts(rows, cells, int(value.nbytes))
    if isinstance(value, np.void):
        return Facts(1, max(1, len(value.dtype.names or ())), int(value.nbytes))
    if isinstance(value, np.generic):
        return Facts(1, 1, int(value.nbytes))
    if isinstance(value, np.poly1d):
        return facts(value.coeffs)
    if isinstance(value, (np.dtype, np.ufunc)):
        return _ONE
    if isinstance(value, tuple):  # results of numpy.linalg
        return facts_of(tuple(value))
    coefficients = getattr(value, "coef", None)
    return facts(coefficients) if isinstance(coefficients, np.ndarray) else _UNKNOWN


def nested(cells: list[Any], rows: int, count: int, size: int) -> Facts:
    """Facts of object cells: what containers and arrays in them hold is added to the cells themselves."""
    for cell in cells:
        kind = type(cell)
        if kind is str or kind is bytes:
            size += len(cell)
        elif cell is None or kind in (int, float, bool):
            continue
        elif isinstance(cell, _NESTING) or kind.__module__.startswith("pandas"):
            inner = facts_of(cell)
            if inner.rows is None:
                return _UNKNOWN
            if isinstance(cell, tuple):
                inner = inner._replace(rows=1)
            rows += max(inner.rows or 0, 1) - 1
            count += max(inner.cells or 0, 1) - 1
            size += inner.bytes or 0
    return Facts(rows, count, size)


def shown(value: Any) -> Facts:
    """Beyond `threshold` cells numpy shows `edgeitems` at each end of every axis."""
    if not isinstance(value, np.ndarray):
        return _NOTHING if isinstance(value, np.ufunc) else _generic_shown(value)
    options: Any = np.get_printoptions()
    if value.size <= options["threshold"] or value.dtype == object or value.dtype.names or not value.ndim:
        return facts(value)
    edge = max(0, 2 * int(options["edgeitems"]))
    cells = 1
    for length in value.shape:
        cells *= min(length, edge)
    return Facts(min(len(value), edge), cells, cells * int(value.itemsize))


def _generic_shown(value: Any) -> Facts:
    found = facts(value)
    return _ONE if found.rows is None and type(value).__module__.startswith("numpy.") else found


def carried(value: Any) -> Carried | None:
    """Scalars whose content a built-in holds exactly. `longdouble` and `datetime64` have none: references."""
    kind = type(value)
    if kind not in _CARRIED:
        return None
    content = value.item()
    native = repr(value)
    usual = f"np.{content}_" if kind is np.bool_ else f"np.{kind.__name__}({content!r})"
    text = str(value)
    return Carried(content, None if native == usual else native, None if text == str(content) else text)


def labels(value: Any) -> tuple[Any, ...] | None:
    """Field names of a structured array with their titles, inner ones too."""
    if not isinstance(value, (np.ndarray, np.void, np.dtype)):
        return None
    return tuple(_fields(value if isinstance(value, np.dtype) else value.dtype)) or None


def _fields(dtype: Any) -> list[Any]:
    found: list[Any] = []
    for name in dtype.base.names or ():
        field = dtype.base.fields[name]
        found += [name, *field[2:], *_fields(field[0])]
    return found


def width(value: Any, displayed: bool = False) -> int | None:
    """Cells of one row of an array: of all its axes but the first, and of its fields."""
    if not isinstance(value, np.ndarray) or not value.ndim:
        return None
    found = int(np.prod(value.shape[1:], dtype=int)) * len(value.dtype.names or (1,))
    options = np.get_printoptions()
    cut = displayed and value.size > options["threshold"]
    return min(found, (2 * options["edgeitems"]) ** (value.ndim - 1) * len(value.dtype.names or (1,))) if cut else found


def viewable(value: Any, wanted: Any) -> bool:
    """Whether each byte of it is part of a value, before and after, and nothing but 0 and 1 becomes a truth value."""
    wanted = meant(wanted)
    if isinstance(wanted, type) and issubclass(wanted, np.ndarray):
        return wanted in _ARRAYS
    if isinstance(wanted, type):
        if not issubclass(wanted, (int, float, complex, np.generic)):
            return False
    elif not isinstance(wanted, (str, list, tuple, np.dtype)):
        return False
    try:
        described, dtype = np.dtype(wanted), value.dtype
    except (TypeError, ValueError):  # as numpy will say itself
        return True
    if not (gapless(dtype) and gapless(described)):
        return False
    return not _has_bool(described) or dtype == described


def _has_bool(dtype: Any) -> bool:
    base = dtype.base
    return any(_has_bool(base[name]) for name in base.names) if base.names else base.kind == "b"


_ARRAYS: Final = (np.ndarray, np.matrix, np.recarray, np.ma.MaskedArray)


def index_labels(value: Any) -> tuple[Any, ...] | None:
    """Arrays are no indexes."""
    return None


def column_names(value: Any) -> tuple[Any, ...] | None:
    """An array has no columns."""
    return None


def names(value: Any) -> list[str]:
    """Fields of a record array."""
    fields = (value.dtype.names or ()) if isinstance(value, np.recarray) else ()
    return [name for name in fields if name.isidentifier() and not name.startswith("_")]


def has_dynamic(value: Any, name: str) -> bool:
    """Whether it is a field of a record array."""
    return isinstance(value, np.recarray) and name in (value.dtype.names or ())


def schema(value: Any) -> dict[str, Any] | None:
    """Shape and dtype of an array, dtype of a scalar."""
    if isinstance(value, np.ndarray):
        return {"kind": "array", "shape": list(value.shape), "dtype": str(value.dtype)}
    if isinstance(value, np.generic):
        return {"kind": "scalar", "dtype": str(value.dtype)}
    return None


def family(value: Any) -> tuple[Any, ...]:
    """The arrays that an array is a view of, up to the one that owns the memory."""
    found: list[Any] = []
    if isinstance(value, np.flatiter):
        return (value.base, *family(value.base))
    if isinstance(value, np.ndarray):
        base = value.base
        while isinstance(base, np.ndarray):
            found.append(base)
            base = base.base
        if base is not None:
            found.append(base)
    return tuple(found)


def project(value: Any, show: tuple[Any, ...] | None, hide: tuple[Any, ...]) -> Any:
    """An array has no columns to choose from.

    Raises:
        PolicyError: always.
    """
    raise PolicyError(
        f"show and hide need a DataFrame; this object is a {type(value).__name__}",
        hint="grant a DataFrame, or an array that holds only what may be seen",
    )
