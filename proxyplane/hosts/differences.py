"""What an operation would change, told before it is done: it is tried on a copy, and the copy compared.

For the person who is asked to approve it. The texts hold values of the data, so they never go to an agent or into the
log. Nothing of the original is written: pandas objects are copied on write (3.0), arrays and containers are copied.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any, Final

__all__ = ["foretold"]

_MOST_CELLS: Final = 5_000_000
"""Of larger objects it is not worked out."""
_EXAMPLES: Final = 3
_COLUMNS: Final = 12
_CHARS: Final = 60
_INDEXERS: Final = {"_LocIndexer": "loc", "_iLocIndexer": "iloc", "_AtIndexer": "at", "_iAtIndexer": "iat"}


def foretold(value: Any, perform: Callable[[Any], Any]) -> tuple[str, ...]:
    """Lines that say what `perform(value)` would change.

    Args:
        value: what would be changed.
        perform: does it to what it is given; nothing of it may have another effect.

    Returns:
        Nothing where it cannot be told: a type that cannot be copied cheaply, too many cells, an error.
    """
    try:
        shadow = _shadow(value)
        if shadow is None:
            return ()
        before, target, after = shadow
        perform(target)
        return tuple(_told(before, after()))
    except Exception:  # a preview is a courtesy: the operation itself will say what is wrong with it
        return ()


def _shadow(value: Any) -> tuple[Any, Any, Callable[[], Any]] | None:
    """The original, the copy's target to work on, and how to get at the copy afterwards."""
    kind = type(value)
    if kind in (list, dict, set):
        copied = kind(value)
        return (value, copied, lambda: copied) if len(value) <= _MOST_CELLS else None
    numpy, pandas = sys.modules.get("numpy"), sys.modules.get("pandas")
    if numpy is not None and kind is numpy.ndarray:
        if value.size > _MOST_CELLS or value.dtype.hasobject:
            return None
        array = value.copy()
        return value, array, lambda: array
    if pandas is None:
        return None
    name = _INDEXERS.get(kind.__name__) if kind.__module__.startswith("pandas.core.indexing") else None
    frame = value.obj if name is not None else value
    if type(frame) not in (pandas.DataFrame, pandas.Series) or frame.size > _MOST_CELLS:
        return None
    fresh = frame.copy(deep=False)
    return frame, getattr(fresh, name) if name is not None else fresh, lambda: fresh


def _told(before: Any, after: Any) -> list[str]:
    kind = type(before)
    if kind is list:
        return _lengths(len(before), len(after), "items") + _cells(list(zip(before, after, strict=False)), "item")
    if kind is set:
        return [f"+ {_clip(item)}" for item in list(after - before)[:_EXAMPLES]] + [
            f"- {_clip(item)}" for item in list(before - after)[:_EXAMPLES]
        ]
    if kind is dict:
        lines = [f"+ {_clip(key)}: {_clip(after[key])}" for key in after if key not in before][:_COLUMNS]
        lines += [f"- {_clip(key)}" for key in before if key not in after][:_COLUMNS]
        shared = [key for key in before if key in after and before[key] is not after[key]]
        return lines + [f"~ {_clip(key)}: {_clip(before[key])} -> {_clip(after[key])}" for key in shared[:_COLUMNS]]
    if kind.__name__ == "ndarray":
        return _of_arrays(before, after)
    if kind.__name__ == "Series":
        if not before.index.equals(after.index):
            return [*_lengths(len(before), len(after), "rows"), "~ rows are ordered, chosen or labelled differently"]
        return _of_columns("", before, after) or ["no cell would differ"]
    return _of_frames(before, after)


def _of_frames(before: Any, after: Any) -> list[str]:
    lines = _lengths(len(before), len(after), "rows")
    olds, news = list(before.columns), list(after.columns)
    lines += [f"+ column {_clip(label)}, {after[label].dtype}" for label in news if label not in olds][:_COLUMNS]
    lines += [f"- column {_clip(label)}" for label in olds if label not in news][:_COLUMNS]
    if not before.index.equals(after.index):
        return [*lines, "~ rows are ordered, chosen or labelled differently"]
    told = 0
    for label in olds:
        if label in news and told < _COLUMNS and olds.count(label) == 1 == news.count(label):
            found = _of_columns(f"column {_clip(label)}: ", before[label], after[label])
            lines += found
            told += bool(found)
    return lines or ["no cell would differ"]


def _of_columns(prefix: str, before: Any, after: Any) -> list[str]:
    lines = [f"~ {prefix}{before.dtype} becomes {after.dtype}"] if before.dtype != after.dtype else []
    differs = ~((before == after) | (before.isna() & after.isna())).to_numpy(dtype=bool, na_value=False)
    count = int(differs.sum())
    if not count:
        return lines
    places = differs.nonzero()[0][:_EXAMPLES]
    shown = "; ".join(
        f"row {_clip(before.index[at])}: {_clip(before.iloc[at])} -> {_clip(after.iloc[at])}" for at in places
    )
    more = "; ..." if count > len(places) else ""
    return [*lines, f"~ {prefix}{count:,} of {len(before):,} cells differ ({shown}{more})"]


def _of_arrays(before: Any, after: Any) -> list[str]:
    if before.shape != after.shape:
        return [f"~ shape {before.shape} becomes {after.shape}"]
    differs = before != after
    count = int(differs.sum())
    return [f"~ {count:,} of {before.size:,} elements differ"] if count else ["no element would differ"]


def _lengths(before: int, after: int, what: str) -> list[str]:
    return [f"~ {before:,} {what} become {after:,}"] if before != after else []


def _cells(pairs: list[tuple[Any, Any]], what: str) -> list[str]:
    found = [(at, old, new) for at, (old, new) in enumerate(pairs) if old is not new and repr(old) != repr(new)]
    return [f"~ {what} {at}: {_clip(old)} -> {_clip(new)}" for at, old, new in found[:_EXAMPLES]]


def _clip(value: Any) -> str:
    text = repr(value) if type(value) in (str, int, float, bool, type(None), tuple) else str(value)
    return text if len(text) <= _CHARS else f"{text[: _CHARS - 3]}..."
