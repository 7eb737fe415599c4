"""Which objects show what is written into another: those over the same memory, and those that hold it.

Measured: `b = a.reshape(3, 1)`, `pl.Series(a)`, `pa.table(df)`, `df.x.values` all show what is later copied into `a` or
`df`. What came from somewhere else into an object has therefore come into every object that shares with it.

Where that cannot be told, the answer is yes.
"""

from __future__ import annotations

import gc
import sys
import types
from collections.abc import Callable
from typing import Any, Final

__all__ = ["may_change", "may_show"]

_Places = list[tuple[int, int]]
_MOST: Final = 20_000
"""Objects looked at inside one other; beyond, it may hold anything."""
_BARE: Final = (
    *(type(None), bool, int, float, complex, str, bytes, range, type),
    *(types.ModuleType, types.FunctionType, types.CodeType, types.GetSetDescriptorType, types.MethodDescriptorType),
)
_HAVE_GC: Final = 1 << 14
"""`Py_TPFLAGS_HAVE_GC`: what such an object refers to can be asked."""
_BARE_MODULES: Final = (
    "datetime",
    "decimal",
    "uuid",
    "fractions",
    "re",
    "zoneinfo",
    "_thread",
    "dateutil.tz.tz",
    "pytz",
)
_APART: Final = ("String", "Binary", "Boolean", "Categorical", "Enum", "Null")
"""Dtypes of polars that no array of numbers lies under."""
_OPAQUE: Final = ("polars", "builtins.PyExpr", "duckdb", "_sqlite3", "sqlite3", "torch", "xgboost", "lightgbm")

_OURS: Final = tuple(f"proxyplane.{name}" for name in "callables dispatch sessions conversation membrane plane".split())
"""Functions of the agent, and what they lead to. What is called there is decided on its own."""


def may_show(changed: Any, other: Any) -> bool:
    """Whether what was written into `changed` can be seen in `other`."""
    if changed is other:
        return True
    memory, seen = _written(changed), _places(other)
    if seen == []:
        return False
    if memory is not None and seen is not None:
        return _overlap(memory, seen)
    if seen is not None:  # a database, a model: they write into what they hold, if into anything
        opaque = isinstance(changed, (bytearray, memoryview)) or _top(type(changed)) in ("array", "numpy", "mmap")
        return _reaches(changed, _hit(other, seen), opaque)
    return _reaches(other, _hit(changed, memory), True)


def _written(changed: Any) -> _Places | None:
    """Where it is written in place: of a table not into Arrow's memory and labels, which are replaced as a whole."""
    pd = sys.modules.get("pandas")
    if type(changed).__module__ == "pandas.core.indexing":  # what an indexer writes is its table
        changed = changed.obj
    if pd is None or not isinstance(changed, (pd.DataFrame, pd.Series)):
        return _places(changed)
    return _joined([block.values for block in changed._mgr.blocks if not hasattr(block.values, "_pa_array")])


def may_change(value: Any) -> bool:
    """Whether anything can be written into it: not into functions, types, modules and values."""
    return _places(value) != []


def _hit(changed: Any, memory: _Places | None) -> Callable[[Any], bool]:
    def hit(value: Any) -> bool:
        if value is changed:
            return True
        places = _places(value) if memory else None
        return bool(memory and places and _overlap(memory, places))

    return hit


def _overlap(first: _Places, second: _Places) -> bool:
    return any(low < end and start < high for low, high in first for start, end in second)


def _reaches(start: Any, hit: Callable[[Any], bool], opaque: bool) -> bool:
    """Whether an object that is hit can be reached from another; `opaque` answers for what cannot be looked into."""
    waiting, seen = [start], {id(start)}
    while waiting:
        value = waiting.pop()
        if hit(value):
            return True
        kind = type(value)
        if isinstance(value, _BARE) or kind.__module__ in _BARE_MODULES:
            continue
        if _places(value) is not None or kind.__module__ in _OURS:
            continue
        held = _inside(value)
        if held is None or len(seen) + len(held) > _MOST:
            if opaque:
                return True
            continue
        for inner in held:
            if id(inner) not in seen and not isinstance(inner, _BARE):
                seen.add(id(inner))
                waiting.append(inner)
    return False


def _inside(value: Any) -> list[Any] | None:
    """What an object refers to; None where that cannot be asked."""
    kind, top = type(value), _top(type(value))
    if top == "numpy" and hasattr(value, "dtype") and hasattr(value, "ravel") and value.dtype.hasobject:
        return list(value.ravel()) if value.size <= _MOST and value.dtype.names is None else None
    manager = vars(value).get("_mgr") if top == "pandas" and hasattr(value, "__dict__") else None  # `pd.col` has any
    if manager is not None:
        return [*(block.values for block in manager.blocks), *value.axes]
    return gc.get_referents(value) if kind.__flags__ & _HAVE_GC and top not in _OPAQUE else None


def _top(kind: type) -> str:
    module = kind.__module__
    return module.partition(".")[0] if type(module) is str else ""


def _places(value: Any) -> _Places | None:
    """Addresses that its content lies at, each first and behind last; [] for what never changes, None if not known."""
    if isinstance(value, _BARE) or type(value).__module__ in _BARE_MODULES:
        return []
    if isinstance(value, (types.BuiltinFunctionType, types.MethodType)):
        return _places(value.__self__)
    look = _LOOKS.get(_top(type(value)))
    try:
        return look(value) if look is not None else None
    except Exception:  # a form of object that was not thought of
        return None


def _numpy(value: Any) -> _Places | None:
    np = sys.modules["numpy"]
    if isinstance(value, (np.generic, np.dtype, np.ufunc)):
        return None if isinstance(value, (np.void, np.object_)) else []
    if not isinstance(value, np.ndarray) or value.dtype.hasobject:
        return None
    if isinstance(value, np.ma.MaskedArray):
        mask = value._mask
        return _joined([value.view(np.ndarray), *([] if mask is np.ma.nomask else [mask])])
    if not value.size:
        return []
    low, high = np.lib.array_utils.byte_bounds(value)
    return [(int(low), int(high))]


def _pandas(value: Any) -> _Places | None:
    pd = sys.modules["pandas"]
    if isinstance(value, (pd.DataFrame, pd.Series)):
        return _joined([*(block.values for block in value._mgr.blocks), *value.axes])
    if isinstance(value, pd.RangeIndex):
        return []
    if isinstance(value, pd.MultiIndex):
        return _joined([*value.levels, *value.codes])
    if isinstance(value, pd.Index):
        return _places(value._data)
    if isinstance(value, pd.api.extensions.ExtensionArray):
        return _extension(value)
    immutable = (pd.Timestamp, pd.Timedelta, pd.Period, pd.offsets.BaseOffset, pd.api.extensions.ExtensionDtype)
    if value is pd.NaT or value is pd.NA or isinstance(value, immutable):
        return None if isinstance(value, pd.CategoricalDtype) else []
    return None


def _extension(value: Any) -> _Places | None:
    """The arrays that an extension array is made of."""
    names = [name for name in ("_ndarray", "_pa_array", "_data", "_mask", "_left", "_right") if hasattr(value, name)]
    if "_ndarray" in names:
        names = ["_ndarray"]
    if not names or hasattr(value, "sp_values"):
        return None
    inner = [getattr(value, name) for name in names]
    return _joined([*inner, value.categories] if hasattr(value, "categories") else inner)


def _polars(value: Any) -> _Places | None:
    pl = sys.modules["polars"]
    if isinstance(value, (pl.DataType, pl.Schema)):
        return []
    if isinstance(value, pl.DataFrame):
        return _joined(value.get_columns())
    if not isinstance(value, pl.Series) or value.dtype == pl.Object:
        return None
    return [] if type(value.dtype).__name__ in _APART else _pyarrow(value.to_arrow())


def _pyarrow(value: Any) -> _Places | None:
    pa = sys.modules["pyarrow"]
    if isinstance(value, (pa.DataType, pa.Schema, pa.Field)):
        return []
    if isinstance(value, (pa.Table, pa.RecordBatch)):
        return _joined(value.columns)
    if isinstance(value, pa.ChunkedArray):
        return _joined(value.chunks)
    if not isinstance(value, pa.Array):
        return None
    return [(each.address, each.address + each.size) for each in value.buffers() if each is not None and each.size]


def _joined(values: Any) -> _Places | None:
    found: _Places = []
    for value in values:
        places = _places(value)
        if places is None:
            return None
        found += places
    return found


_LOOKS: Final[dict[str, Callable[[Any], _Places | None]]] = {
    "numpy": _numpy,
    "pandas": _pandas,
    "polars": _polars,
    "pyarrow": _pyarrow,
}
