"""Projection: a frame rebuilt column by column into fresh memory.

Nothing of the result shares a buffer, a base or a parent with the original, and nothing of it remembers what is not
visible. (Measured: after `drop(columns=["ssn"])` the public `.values.base` still holds ssn; hidden rows live on in
categories, index levels and Arrow buffers.) It costs one copy of what is visible.
"""

from __future__ import annotations

import datetime as dt
import decimal
import difflib
import fractions
import uuid
from typing import Any, Final

import numpy as np
import pandas as pd

from proxyplane.errors import PolicyError

__all__ = ["fresh_array", "fresh_cell", "fresh_index", "project"]

_MAX_DEPTH: Final = 20
_NOTHING_INSIDE: Final = (type(None), bool, int, float, complex, str, bytes, range, type(Ellipsis))
_TIMES: Final = (dt.date, dt.datetime, dt.time, dt.timedelta, dt.timezone, pd.Timestamp, pd.Timedelta, pd.Period)
_OTHERS: Final = (decimal.Decimal, fractions.Fraction, uuid.UUID, type(pd.NA), type(pd.NaT))
_IMMUTABLE: Final = frozenset((*_NOTHING_INSIDE, *_TIMES, *_OTHERS))


def project(value: Any, show: tuple[Any, ...] | None, hide: tuple[Any, ...]) -> Any:
    """What may be seen of a frame, in fresh memory.

    A name means every column of that label. Under a MultiIndex of columns `show` means the top level or the whole
    tuple, `hide` a label on any level or the whole tuple. A name can also mean an index level: hidden levels go (a
    plain range takes the place of the last), and `show` keeps only the named levels that it lists. An index without a
    name stays.

    Args:
        value: a `pandas.DataFrame`, exactly.
        show: labels that stay, or None for all.
        hide: labels that go.

    Raises:
        PolicyError: not a frame; a name that matches nothing; cells that cannot be rebuilt.
    """
    if type(value) is not pd.DataFrame:
        raise PolicyError(
            f"show and hide need a DataFrame; this object is a {type(value).__name__}",
            hint="grant a DataFrame, or an object that holds only what may be seen",
        )
    _check_names(value, (*(show or ()), *hide))
    labels = list(value.columns)
    kept = [
        position
        for position, label in enumerate(labels)
        if (show is None or any(_is_shown(label, name) for name in show))
        and not any(_is_hidden(label, name) for name in hide)
    ]
    index = fresh_index(_visible_levels(value.index, show, hide))
    columns = fresh_index(value.columns.take(kept))
    parts = {place: _column(value.iloc[:, position], labels[position], index) for place, position in enumerate(kept)}
    result = pd.DataFrame(parts, index=index) if parts else pd.DataFrame(index=index)
    result.columns = columns
    return result


def _column(column: Any, label: Any, index: Any) -> Any:
    array = fresh_array(column.array, label)
    if isinstance(array, pd.arrays.NumpyExtensionArray):
        array = array.to_numpy()
    dtype = None if isinstance(column.dtype, pd.CategoricalDtype) else column.dtype  # else texts would be inferred
    return pd.Series(array, index=index, dtype=dtype, copy=False)


def _check_names(frame: pd.DataFrame, names: tuple[Any, ...]) -> None:
    levels = [name for name in frame.index.names if name is not None]
    for name in names:
        if any(_is_hidden(label, name) for label in frame.columns) or any(_matches(level, name) for level in levels):
            continue
        known = [str(part) for label in frame.columns for part in (label if isinstance(label, tuple) else (label,))]
        close = difflib.get_close_matches(str(name), [*known, *map(str, levels)], 1)
        raise PolicyError(
            f"the frame has no column or index level {name!r}",
            hint=f"did you mean {close[0]!r}?" if close else "correct the name, or remove it from the policy",
        )


def _matches(label: Any, name: Any) -> bool:
    """Whether a label is the one that a policy names; labels that are no text are named by their text."""
    if isinstance(label, str) or isinstance(name, tuple):
        return bool(label == name) if isinstance(label, type(name)) or isinstance(name, type(label)) else False
    return str(label) == str(name)


def _is_shown(label: Any, name: Any) -> bool:
    return _matches(label[0] if isinstance(label, tuple) and label and not isinstance(name, tuple) else label, name)


def _is_hidden(label: Any, name: Any) -> bool:
    if isinstance(label, tuple) and not isinstance(name, tuple):
        return any(_matches(part, name) for part in label)
    return _matches(label, name)


def _visible_levels(index: Any, show: tuple[Any, ...] | None, hide: tuple[Any, ...]) -> Any:
    gone = [
        level
        for level, name in enumerate(index.names)
        if name is not None
        and (
            any(_matches(name, hidden) for hidden in hide)
            or (show is not None and not any(_matches(name, shown) for shown in show))
        )
    ]
    if not gone:
        return index
    return pd.RangeIndex(len(index)) if len(gone) == index.nlevels else index.droplevel(gone)


def fresh_index(index: Any) -> Any:
    """An index of the same kind, values, names and frequency in memory of its own."""
    if isinstance(index, pd.MultiIndex):
        return _fresh_multi(index)
    if isinstance(index, pd.RangeIndex):
        return pd.RangeIndex(index.start, index.stop, index.step, name=index.name)
    array = fresh_array(index.array, index.name)
    if isinstance(array, pd.arrays.NumpyExtensionArray):
        array = array.to_numpy()
    result = pd.Index(
        array, dtype=None if isinstance(index.dtype, pd.CategoricalDtype) else index.dtype, name=index.name
    )
    frequency = getattr(index, "freq", None)
    if frequency is not None and isinstance(result, (pd.DatetimeIndex, pd.TimedeltaIndex)):
        result.freq = frequency
    return result


def _fresh_multi(index: Any) -> Any:
    levels, codes = [], []
    for level, code in zip(index.levels, index.codes, strict=True):
        mine = np.array(code, copy=True)
        used = np.unique(mine[mine >= 0])
        moved = np.where(mine >= 0, np.searchsorted(used, mine), -1)
        levels.append(fresh_index(level.take(used)))
        codes.append(moved)
    return pd.MultiIndex(levels=levels, codes=codes, names=index.names, verify_integrity=False)


def fresh_array(array: Any, label: Any = None) -> Any:
    """An array of the same dtype and visible values in memory of its own; categories only as far as they are used.

    Args:
        array: an ndarray or one of pandas' own extension arrays.
        label: the column's label, for the error.

    Raises:
        PolicyError: an extension array that pandas does not bring, or an object cell that cannot be copied.
    """
    if isinstance(array, np.ndarray):
        if array.dtype == object:
            return _fresh_objects(array, label)
        return np.array(array, copy=True, order="C", subok=False)
    if isinstance(array, pd.arrays.NumpyExtensionArray) and not isinstance(array.dtype, pd.StringDtype):
        return pd.arrays.NumpyExtensionArray(fresh_array(array.to_numpy(), label))
    if isinstance(array, pd.Categorical):
        return _fresh_categorical(array)
    if isinstance(array, pd.arrays.ArrowExtensionArray):
        return _fresh_arrow(array)
    if isinstance(array.dtype, pd.StringDtype):
        return pd.array(_fresh_objects(np.asarray(array, dtype=object), label), dtype=array.dtype)
    if isinstance(array, (pd.arrays.IntegerArray, pd.arrays.FloatingArray, pd.arrays.BooleanArray)):
        return _fresh_masked(array)
    if isinstance(array, (pd.arrays.DatetimeArray, pd.arrays.TimedeltaArray, pd.arrays.PeriodArray)):
        return array.copy()
    if isinstance(array, pd.arrays.IntervalArray):
        sides = (fresh_array(side.array, label) for side in (array.left, array.right))
        return pd.arrays.IntervalArray.from_arrays(*sides, closed=array.closed)
    if isinstance(array, pd.arrays.SparseArray):
        return pd.arrays.SparseArray(fresh_array(np.asarray(array), label), dtype=array.dtype)
    raise PolicyError(
        f"the column {label!r} is a {type(array).__name__}, which cannot be rebuilt in memory of its own",
        hint="convert it to a dtype of pandas before it is granted",
    )


def _fresh_categorical(array: Any) -> Any:
    codes = np.array(array.codes, dtype=np.int64, copy=True)
    used = np.unique(codes[codes >= 0])
    categories = fresh_index(array.categories.take(used))
    moved = np.where(codes >= 0, np.searchsorted(used, codes), -1)
    return pd.Categorical.from_codes(moved, categories=categories, ordered=array.ordered)


def _fresh_masked(array: Any) -> Any:
    """Under the mask of a nullable array there may still be a value that was masked out."""
    mask = np.array(array.isna(), copy=True)
    values = array.to_numpy(dtype=array.dtype.numpy_dtype, na_value=array.dtype.type(0), copy=True)
    return type(array)(np.ascontiguousarray(values), mask)


def _fresh_arrow(array: Any) -> Any:
    """Slices of Arrow arrays keep their parent's buffers, and dictionaries every value that was ever encoded."""
    import pyarrow as pa  # noqa: PLC0415 - only where pandas has loaded it already
    import pyarrow.compute as pc  # noqa: PLC0415

    chunked = array.__arrow_array__()
    chunked = chunked if isinstance(chunked, pa.ChunkedArray) else pa.chunked_array([chunked])
    kind = chunked.type
    if pa.types.is_nested(kind) or pa.types.is_dictionary(kind) or isinstance(kind, pa.BaseExtensionType):
        rebuilt = pa.chunked_array([pa.array(chunked.to_pylist(), type=kind)])
    else:
        rebuilt = pc.take(chunked, pa.array(np.arange(len(chunked), dtype=np.int64))).combine_chunks()
        rebuilt = rebuilt if isinstance(rebuilt, pa.ChunkedArray) else pa.chunked_array([rebuilt])
    if isinstance(array.dtype, pd.StringDtype):
        return type(array)(rebuilt, dtype=array.dtype)
    return type(array)(rebuilt)


def _fresh_objects(array: Any, label: Any) -> Any:
    result = np.empty(array.shape, dtype=object)
    for place in np.ndindex(array.shape):
        result[place] = fresh_cell(array[place], label, 0)
    return result


def fresh_cell(cell: Any, label: Any = None, depth: int = 0) -> Any:
    """An object cell that shares nothing mutable with the original.

    Raises:
        PolicyError: an object whose content is not known, so that it might hold the original.
    """
    kind = type(cell)
    if kind in _IMMUTABLE:
        return cell
    if depth < _MAX_DEPTH:
        if kind in (list, set, frozenset, tuple):
            return kind([fresh_cell(item, label, depth + 1) for item in cell])
        if kind is dict:
            return {fresh_cell(k, label, depth + 1): fresh_cell(v, label, depth + 1) for k, v in cell.items()}
        if kind is np.ndarray:
            return fresh_array(cell, label)
        if kind is pd.Series:
            return _column(cell, label, fresh_index(cell.index)).rename(cell.name)
        if kind is pd.DataFrame:
            return project(cell, None, ())
        if kind is pd.Interval:
            return pd.Interval(cell.left, cell.right, closed=cell.closed)
        if isinstance(cell, np.generic):
            return cell.copy()
    raise PolicyError(
        f"the column {label!r} holds a {kind.__name__}, which cannot be copied without knowing what it holds",
        hint="grant columns of numbers, texts, dates, and lists, dicts, sets, arrays of these",
    )
