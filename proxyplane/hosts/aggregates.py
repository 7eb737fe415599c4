"""Minimum groups: how many rows of a table stand behind each value of an aggregate, and which rows these are.

Known for what is made of a granted pandas DataFrame by selecting columns, filtering by declared keys (comparisons with
constants), grouping by declared keys, and reducing with `REDUCTIONS`; not known, and so not shown under a minimum, for
anything else. (`(salary * (id == 7)).sum()` is a sum over all rows, and shows one.) k-anonymity: Sweeney, 2002.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from itertools import combinations
from typing import Any, Final, NamedTuple

from proxyplane.operations import Operation

__all__ = ["OTHERS", "REDUCTIONS", "Behind", "closest", "folded", "granted", "stands_behind"]

REDUCTIONS: Final = frozenset("sum mean count size std var sem".split())
"""Aggregates in which every row counts. (`min`, `max`, `median` and `first` show the cell of one row.)"""
OTHERS: Final = "(other)"
"""The key of the group that small groups are folded into."""
_MASKING: Final = frozenset(
    {"isin", "between", "isna", "notna", "isnull", "notnull", "eq", "ne", "lt", "le", "gt", "ge"}
)
_LOGICAL: Final = frozenset(f"{way}{name}" for way in ("", "r") for name in ("and", "or", "xor"))
_PLAIN: Final = (str, int, float, bool, type(None))
_AS_IS: Final = frozenset("round sort_values sort_index head tail copy to_frame reset_index rename astype abs".split())
_MOST_SETS: Final = 64


class Behind(NamedTuple):
    """What stands behind the values of an object."""

    state: str
    """`rows` of the source, a `mask` over them, `grouped`, or `sums`."""
    root: str
    keys: frozenset[str]
    """The columns that may be grouped and filtered by."""
    chosen: Any
    """Positions of its rows in the source, as an array; of a mask those that it is over; None for `sums`."""
    total: int = 0
    """Rows of the source."""
    group: int = 1
    """Rows behind the smallest value."""
    sets: tuple[int, ...] | None = None
    """Of sums: the rows behind each value, a bit for each row of the source; None when they are too many to keep."""
    source: Any = None
    """Of a groupby: the table that is grouped."""
    version: int = 0
    """Of that table: changed since, nothing is known of it any more."""
    by: tuple[Any, ...] = ()
    options: Mapping[str, Any] = {}
    selection: Any = None


def granted(table: Any, root: str, keys: frozenset[str]) -> Behind | None:
    """What stands behind a table as it is granted; None for what is no pandas DataFrame."""
    if type(table).__name__ != "DataFrame" or not type(table).__module__.startswith("pandas"):
        return None
    import numpy as np  # noqa: PLC0415 - only with pandas objects

    return Behind("rows", root, keys, np.arange(len(table)), total=len(table))


def stands_behind(
    operation: Operation,
    receiver: Any,
    value: Any,
    target: Behind | None,
    inputs: list[Behind | None],
    least: int,
    version_of: Callable[[Any], int],
) -> Behind | None:
    """What stands behind the result of an operation; None when it is not known.

    Args:
        operation: with real objects as arguments.
        receiver: what it was performed on, as the agent sees it.
        value: the result.
        target, inputs: what stands behind the target and each object among the arguments.
        least: the minimum group.
        version_of: how often an object was changed.
    """
    if target is None or any(found is None or found.root != target.root for found in inputs) or operation.joined:
        return None
    verb, member, args = operation.verb, operation.member, operation.args
    if target.state == "rows":
        found = _of_rows(operation, receiver, value, target, [each for each in inputs if each is not None])
        return found._replace(version=version_of(receiver)) if found is not None and found.state == "grouped" else found
    if target.state == "mask":
        logical = (verb == "binop" and member in _LOGICAL) or (verb == "unop" and member == "invert")
        masks = all(each is not None and each.state == "mask" for each in inputs)
        return target if logical and masks and all(type(arg) in _PLAIN or inputs for arg in args) else None
    if target.state == "grouped":
        if version_of(target.source) != target.version:
            return None
        if verb in ("getitem", "getattr") and "GroupBy" in type(value).__name__:
            key = args[0] if verb == "getitem" else member
            return target._replace(selection=key) if type(key) is str or _is_labels(key) else None
        return (
            _reduced_groups(target, least, cells=member != "size")
            if verb == "call" and is_reduction(operation)
            else None
        )
    sums = [target, *(each for each in inputs if each is not None)]
    if any(each.state != "sums" for each in sums):
        return None
    simple = verb in ("binop", "unop", "getitem", "getattr", "iter", "next") or (verb == "call" and member in _AS_IS)
    if not simple:
        return None
    sets = (
        None
        if any(each.sets is None for each in sums)
        else tuple({found for each in sums for found in each.sets or ()})
    )
    return target._replace(group=min(each.group for each in sums), sets=sets)


def is_reduction(operation: Operation) -> bool:
    """Whether it makes sums, and nothing else."""
    member, args, named = operation.member, operation.args, operation.kwargs
    if member in REDUCTIONS:
        return True
    if member not in ("agg", "aggregate"):
        return False
    asked = [*args, *named.values()]
    return bool(asked) and all(map(_names_reductions, asked))


def _names_reductions(asked: Any) -> bool:
    if type(asked) is str:
        return asked in REDUCTIONS
    if type(asked) is tuple and len(asked) == 2:  # a column and what is done to it
        return _names_reductions(asked[1])
    parts = list(asked.values()) if type(asked) is dict else asked if type(asked) is list else []
    return bool(parts) and all(map(_names_reductions, parts))


def _of_rows(operation: Operation, receiver: Any, value: Any, target: Behind, inputs: list[Behind]) -> Behind | None:
    verb, member, args, named = operation.verb, operation.member, operation.args, operation.kwargs
    kind = type(value).__name__
    if verb == "getattr" and kind in ("Series", "DataFrame") and not inputs and len(value) == len(receiver):
        return target
    if verb == "getitem" and args:
        key = args[0]
        if inputs and inputs[0].state == "mask" and len(inputs) == 1 and len(key) == len(receiver):
            return target._replace(chosen=target.chosen[key.to_numpy(dtype=bool, na_value=False)])
        chosen = (
            (type(key) is str or _is_labels(key)) and kind in ("Series", "DataFrame") and len(value) == len(receiver)
        )
        return target if chosen and not inputs else None
    filters = kind == "Series" and _within_keys(receiver, target.keys) and not inputs
    if filters and (verb == "compare" or (verb == "call" and member in _MASKING)) and all(map(_is_constant, args)):
        return target._replace(state="mask") if value.dtype == bool else None
    if verb == "call" and member == "groupby" and type(receiver).__name__ == "DataFrame" and not inputs:
        by = named.get("by", args[0] if args else None)
        labels = tuple(by) if type(by) is list else (by,)
        if not all(type(label) is str and label in target.keys for label in labels):
            return None
        options = {name: given for name, given in named.items() if name != "by"}
        return target._replace(state="grouped", source=receiver, by=labels, options=options)
    if verb == "call" and is_reduction(operation) and not inputs and named.get("axis", 0) in (0, "index"):
        if args and member in REDUCTIONS:
            return None
        counts: Any = receiver.count() if member != "size" else len(receiver)
        least_count = counts.min() if type(counts).__name__ == "Series" else counts
        group = 0 if math.isnan(least_count) else int(least_count)
        return target._replace(state="sums", group=group, sets=(_bits(target.chosen, target.total),), chosen=None)
    return None


def _within_keys(series: Any, keys: frozenset[str]) -> bool:
    return type(series).__name__ == "Series" and series.name in keys


def _is_labels(key: Any) -> bool:
    return type(key) is list and bool(key) and all(type(label) is str for label in key)


def _is_constant(value: Any) -> bool:
    return type(value) in _PLAIN or (type(value) in (list, set, tuple) and all(type(part) in _PLAIN for part in value))


def _small(target: Behind, least: int) -> tuple[Any, Any]:
    """Rows in groups that are too small, and rows that must go: those, where they are too few together."""
    sizes = target.source.groupby(list(target.by), dropna=False)[target.by[0]].transform("size")
    small = (sizes < least).to_numpy()
    return small, small if 0 < small.sum() < least else None


def folded(target: Behind, least: int) -> Any:
    """The groupby with groups of fewer than `least` rows folded into one; None when there are none.

    Where even those together are too few, their rows are left out.
    """
    small, gone = _small(target, least)
    if not small.any():
        return None
    table = target.source.copy(deep=False)
    if gone is not None:
        table = table[~gone]
    else:
        for label in target.by:
            table[label] = table[label].astype(object).mask(small, OTHERS)
    grouped = table.groupby(list(target.by) if len(target.by) > 1 else target.by[0], **target.options)
    return grouped if target.selection is None else grouped[target.selection]


def _reduced_groups(target: Behind, least: int, *, cells: bool) -> Behind:
    """Of what a groupby is reduced to; with `cells` a missing cell is no row behind a value."""
    import numpy as np  # noqa: PLC0415 - only with pandas objects

    table = target.source
    small, gone = _small(target, least)
    numbers = table.groupby(list(target.by), dropna=False).ngroup().to_numpy().copy()
    numbers[small] = -1
    kept = numbers if gone is None else numbers[~gone]
    rows = target.chosen if gone is None else target.chosen[~gone]
    sizes = np.unique(kept, return_counts=True)[1]
    group = int(sizes.min()) if len(sizes) else 0
    if cells:
        chosen = table.columns if target.selection is None else target.selection
        shown = table[[chosen] if type(chosen) is str else list(chosen)]
        present = (shown if gone is None else shown[~gone]).notna().groupby(kept).sum().to_numpy()
        group = int(min(group, present[present > 0].min(initial=group)))
    few = len(sizes) <= _MOST_SETS
    known = tuple(_bits(rows[kept == number], target.total) for number in np.unique(kept)) if few else None
    return target._replace(state="sums", chosen=None, group=group, sets=known, source=None)


def _bits(rows: Any, total: int) -> int:
    """Positions as one number with a bit for each row: a million rows take 125 kB."""
    import numpy as np  # noqa: PLC0415

    mask: Any = np.zeros(total, dtype=bool)
    mask[rows] = True
    return int.from_bytes(np.packbits(mask).tobytes(), "big")


def closest(sets: tuple[int, ...], before: list[int]) -> int | None:
    """The smallest number of rows by which two sets of rows differ that are not the same; None for none.

    Args:
        sets: of what is to be shown.
        before: of what was shown already.
    """
    fresh = [found for found in sets if found not in before]
    pairs = [*((one, two) for one in fresh for two in before), *combinations(fresh, 2)]
    return min(((one ^ two).bit_count() for one, two in pairs if one != two), default=None)
