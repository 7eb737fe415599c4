"""The adapter for pandas: frames, series, indexes, groupbys, scalars."""

from __future__ import annotations

import datetime as dt
import zoneinfo
from typing import Any, Final

import numpy as np
import pandas as pd

from proxyplane.decisions import Facts
from proxyplane.hosts import Carried
from proxyplane.hosts import facts as facts_of
from proxyplane.hosts.numpy import nested
from proxyplane.hosts.projection import project
from proxyplane.hosts.swapped import reachable

__all__ = ["SINGLETONS", "carried", "column_names", "facts", "family", "has_dynamic", "index_labels", "labels"]
__all__ += ["names", "project", "schema", "shown"]

SINGLETONS: Final = ("pandas.NA", "pandas.NaT", "pandas.api.extensions.no_default")

_NOTHING: Final = Facts(0, 0, 0)
_ONE: Final = Facts(1, 1, None)
_UNKNOWN: Final = Facts()
_SCALARS: Final = (
    pd.Timestamp,
    pd.Timedelta,
    pd.Period,
    pd.Interval,
    type(pd.NA),
    type(pd.NaT),
    pd.tseries.offsets.BaseOffset,
)
_GROUPED: Final = (pd.api.typing.DataFrameGroupBy, pd.api.typing.SeriesGroupBy, pd.api.typing.Resampler)
_typing: Final = pd.api.typing
_WINDOWS: Final = (_typing.Rolling, _typing.Window, _typing.Expanding, _typing.ExponentialMovingWindow)
_OPTIONS: Final = type(pd.options)
_FORMATTED: Final = (pd.Index, pd.api.extensions.ExtensionArray)
_AUTO_COLUMNS: Final = 64
"""More than fit on any terminal: what `display.max_columns = 0` leaves to its width."""
_ARRAY_ITEMS: Final = 10
"""Of a long index or array pandas shows this many items at each end; of a categorical half of it."""


def facts(value: Any) -> Facts:
    """A frame's rows, cells and bytes; what containers in object cells hold is added."""
    if isinstance(value, pd.DataFrame):
        levels = value.index.nlevels if not isinstance(value.index, pd.RangeIndex) else 0
        size = sum(array.nbytes for array in value._iter_column_arrays())  # memory_usage() takes 20 times as long
        total = Facts(len(value), int(value.size) + levels * len(value), int(size))
        return _with_objects(total, (array for array in value._iter_column_arrays() if array.dtype == object))
    if isinstance(value, pd.Series):
        return _with_objects(Facts(len(value), int(value.size), int(value.nbytes)), (value,))
    if isinstance(value, pd.MultiIndex):
        return Facts(len(value), len(value) * value.nlevels, int(value.memory_usage()))
    if isinstance(value, _FORMATTED):
        return Facts(len(value), len(value), int(value.nbytes))
    if isinstance(value, pd.CategoricalDtype):
        return Facts(len(value.categories) if value.categories is not None else 0, 0, None)
    if isinstance(value, (*_SCALARS, pd.api.extensions.ExtensionDtype)):
        return _ONE
    if isinstance(value, (list, dict, tuple)):
        return facts_of(dict(value) if isinstance(value, dict) else list(value))
    return _UNKNOWN


def _with_objects(total: Facts, columns: Any) -> Facts:
    rows, cells, size = total.rows or 0, total.cells or 0, total.bytes or 0
    most = rows
    for column in columns:
        if column.dtype == object:
            inner = nested(column.tolist(), rows, 0, 0)
            if inner.rows is None:
                return _UNKNOWN
            most = max(most, inner.rows)
            cells += inner.cells or 0
            size += inner.bytes or 0
    return Facts(most, cells, size)


def shown(value: Any) -> Facts:
    """What a repr shows under `display.max_rows`, `min_rows`, `max_seq_items` and `max_categories`."""
    if isinstance(value, (pd.DataFrame, pd.Series)):
        total = facts(value)
        rows = _rows_shown(len(value))
        if rows >= len(value):
            return _plus_categories(total, value)
        width = value.shape[1] if isinstance(value, pd.DataFrame) else 1
        edge = pd.concat([value.iloc[: (rows + 1) // 2], value.iloc[len(value) - rows // 2 :]])
        inner = facts(edge)
        if inner.rows is None:
            return _UNKNOWN
        return _plus_categories(Facts(inner.rows, max(inner.cells or 0, rows * width), inner.bytes), value)
    if isinstance(value, _FORMATTED):
        return _plus_categories(_sequence_shown(value), value)
    if isinstance(value, _GROUPED):
        return _NOTHING
    if isinstance(value, _WINDOWS):
        return _ONE
    return facts(value)


def _rows_shown(length: int) -> int:
    most = pd.get_option("display.max_rows")
    if not most or length <= most:
        return length
    least = pd.get_option("display.min_rows")
    return min(most, least) if least else int(most)


def _sequence_shown(value: Any) -> Facts:
    limit = pd.get_option("display.max_seq_items") or len(value)
    limit = min(limit, _ARRAY_ITEMS) if isinstance(value, pd.Categorical) else limit
    rows = len(value) if len(value) <= limit else min(len(value), 2 * _ARRAY_ITEMS, limit)
    return Facts(rows, rows * getattr(value, "nlevels", 1), None)


def _plus_categories(found: Facts, value: Any) -> Facts:
    """A categorical shows categories besides its items."""
    dtype = getattr(value, "dtype", None)
    if found.rows is None or not isinstance(dtype, pd.CategoricalDtype) or dtype.categories is None:
        return found
    limit = pd.get_option("display.max_categories") or len(dtype.categories)
    more = min(len(dtype.categories), max(limit, _ARRAY_ITEMS))
    return Facts(found.rows + more, (found.cells or 0) + more, found.bytes)


def carried(value: Any) -> Carried | None:
    """`Timestamp` as datetime and nanosecond, `Timedelta` likewise, a row of `itertuples` as tuple and field names."""
    kind = type(value)
    if kind is pd.Timestamp:
        return _timestamp(value)
    if kind is pd.Timedelta:
        try:
            plain = dt.timedelta(days=value.days, seconds=value.seconds, microseconds=value.microseconds)
        except OverflowError:
            return None
        return Carried(plain, repr(value), str(value), int(value.nanoseconds))
    if kind.__module__ == "pandas.core.frame" and kind.__bases__ == (tuple,):
        return Carried(tuple(value), None, None, tuple(kind._fields))
    return None


def _timestamp(value: Any) -> Carried | None:
    zone = value.tzinfo
    if zone is not None and type(zone) not in (zoneinfo.ZoneInfo, dt.timezone):
        return None
    try:
        plain = value.to_pydatetime(warn=False)
    except (ValueError, OverflowError):  # beyond the years of datetime
        return None
    text = str(value)
    return Carried(plain, repr(value), None if text == str(plain) else text, int(value.nanosecond))


def labels(value: Any) -> tuple[Any, ...] | None:
    """Column labels level by level, names of the axes, and categories, which a dtype shows."""
    if isinstance(value, (*_GROUPED, *_WINDOWS)):
        return labels(value.obj)
    found: list[Any] = []
    if isinstance(value, pd.DataFrame):
        found.extend(_flat(value.columns))
        found.extend(value.columns.names)
        found.extend(value.index.names)
        for dtype in value.dtypes:
            found.extend(_categories(dtype))
    elif isinstance(value, pd.Series):
        found.extend(_flat([value.name]))
        found.extend(value.index.names)
        found.extend(_categories(value.dtype))
    elif isinstance(value, pd.Index):
        found.extend(_flat(value.names))
        found.extend(_categories(value.dtype))
    elif isinstance(value, (pd.api.extensions.ExtensionArray, pd.CategoricalDtype)):
        found.extend(_categories(getattr(value, "dtype", value)))
    else:
        return None
    return tuple(found)


def width(value: Any, displayed: bool = False) -> int | None:
    """Columns and levels of the index of a frame; a series is one column, an index its levels."""
    if isinstance(value, pd.DataFrame):
        most = pd.get_option("display.max_columns") if displayed else None
        columns = value.shape[1] if most is None else min(value.shape[1], int(most) or _AUTO_COLUMNS)
        return int(columns + value.index.nlevels)
    if isinstance(value, pd.Series):
        return int(1 + value.index.nlevels)
    return value.nlevels if isinstance(value, pd.Index) else None


def index_labels(value: Any) -> tuple[Any, ...] | None:
    """Labels and names of an index."""
    return (*_flat(value), *_flat(value.names)) if isinstance(value, pd.Index) else None


def ends(value: Any) -> tuple[Any, ...]:
    """`info()` shows them: `Index: 3 entries, ann to cyd`."""
    index = value if isinstance(value, pd.Index) else getattr(value, "index", None)
    if not isinstance(index, pd.Index) or isinstance(index, pd.RangeIndex):
        return ()
    return (*_flat(index[:1]), *_flat(index[-1:]))


def _flat(items: Any) -> list[Any]:
    return [part for item in items for part in (item if isinstance(item, tuple) else (item,))]


def _categories(dtype: Any) -> list[Any]:
    return list(dtype.categories) if isinstance(dtype, pd.CategoricalDtype) and dtype.categories is not None else []


def column_names(value: Any) -> tuple[Any, ...] | None:
    """Column labels of a frame or of a groupby's frame."""
    if isinstance(value, pd.DataFrame):
        return tuple(value.columns)
    if isinstance(value, (*_GROUPED, *_WINDOWS)):
        return column_names(value.obj)
    return None


def names(value: Any) -> list[str]:
    """Columns of a frame and labels of a series that are identifiers and that no real member hides."""
    kind = type(value)
    axis: Any = _axis(value)
    if axis is None:
        return []
    unique = (label for label in dict.fromkeys(axis) if type(label) is str)
    return [name for name in unique if name.isidentifier() and not name.startswith("_") and not hasattr(kind, name)]


def has_dynamic(value: Any, name: str) -> bool:
    """Whether it is a column of the frame, a label of the series, or an option that is a session's own."""
    if type(value) is _OPTIONS:
        return name in value.d and reachable(f"{value.prefix}.{name}".lstrip("."))
    axis = _axis(value)
    return axis is not None and not hasattr(type(value), name) and name in axis


def _axis(value: Any) -> Any:
    if isinstance(value, pd.DataFrame):
        return value.columns.levels[0] if value.columns.nlevels > 1 else value.columns
    if isinstance(value, pd.Series):
        return value.index if value.index.nlevels == 1 else value.index.levels[0]
    if isinstance(value, (pd.api.typing.DataFrameGroupBy, pd.api.typing.Resampler, *_WINDOWS)):
        return _axis(value.obj) if isinstance(value.obj, pd.DataFrame) else None
    return None


def schema(value: Any) -> dict[str, Any] | None:
    """Shape and dtypes; a categorical dtype is just `category`."""
    if isinstance(value, pd.DataFrame):
        columns = [
            {"name": str(label), "dtype": str(dtype)} for label, dtype in zip(value.columns, value.dtypes, strict=True)
        ]
        return {"kind": "frame", "shape": list(value.shape), "columns": columns, "index": _index_names(value.index)}
    if isinstance(value, pd.Series):
        return {"kind": "series", "shape": [len(value)], "dtype": str(value.dtype), "index": _index_names(value.index)}
    if isinstance(value, pd.Index):
        return {"kind": "index", "shape": [len(value)], "dtype": str(value.dtype), "index": _index_names(value)}
    if isinstance(value, _GROUPED):
        inner = schema(value.obj) or {}
        return {**inner, "kind": "groupby"}
    if isinstance(value, pd.api.extensions.ExtensionArray):
        return {"kind": "array", "shape": [len(value)], "dtype": str(value.dtype)}
    return None


def _index_names(index: Any) -> list[str]:
    return [str(name) if name is not None else "" for name in index.names]


class _Indexer(pd.api.indexers.BaseIndexer):  # type: ignore[misc]
    """Windows whose bounds a function of the guest gives."""

    def get_window_bounds(
        self,
        num_values: int = 0,
        min_periods: int | None = None,
        center: bool | None = None,
        closed: str | None = None,
        step: int | None = None,
    ) -> tuple[Any, Any]:
        """See `BaseIndexer`. Compiled code trusts the bounds, so none may lie outside of the values."""
        hook = getattr(self, "hook", None)
        if hook is None:
            raise NotImplementedError
        found = hook(num_values, min_periods, center, closed, step)
        if type(found) is not tuple or len(found) != 2:
            raise ValueError("get_window_bounds gives a tuple of two arrays: where each window starts and ends")
        start, end = (np.array(part, dtype=np.int64).clip(0, num_values) for part in found)
        if start.ndim != 1 or end.ndim != 1:
            raise ValueError("get_window_bounds gives arrays of one dimension")
        return start, end


def extended(kind: type, hooks: dict[str, Any], attributes: dict[str, Any]) -> Any:
    """See `hosts.extended`; of pandas' types `BaseIndexer` has hooks."""
    size = attributes.get("window_size")
    return _Indexer(window_size=size if type(size) is int else 0, hook=hooks.get("get_window_bounds"))


def family(value: Any) -> tuple[Any, ...]:
    """Frames share nothing that can be written through (copied on write); what an indexer writes is its frame."""
    return (value.obj,) if type(value).__module__ == "pandas.core.indexing" and hasattr(value, "obj") else ()
