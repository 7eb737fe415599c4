"""How many rows of its source a look shows, also where the source lies on its side.

Rules and budgets count rows. A table of a thousand rows has three after `df.T`, none after `df.T.head(0)` (whose
labels are the cells of an index), an array of it one after `reshape(1, -1)`: counted as they lie, such looks would
be nearly free. So what is wider than its source, not by columns that the agent has named, counts by what lies across.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, NamedTuple

from proxyplane import hosts
from proxyplane.decisions import Facts

__all__ = ["Source", "spread"]

_MAX_DEPTH: Final = 4


class Source(NamedTuple):
    """What a look is measured by."""

    widths: tuple[int | None, ...]
    """Cells of one row of each granted object that the content came from; None where it has no rows of that kind."""
    knows: Callable[[Any], bool]
    """Whether a label is schema for this agent."""


def spread(amount: Facts, shown: Any, receiver: Any, source: Source, *, displayed: bool = False) -> Facts:
    """The amount, with rows counted across where that is more.

    Args:
        amount: as counted lengthwise.
        shown: the container that crosses; None where the receiver itself is shown.
        receiver: the object that was asked.
        source: where the content came from.
        displayed: only as much as its repr shows.
    """
    if amount.rows is None or not source.widths or None in source.widths:
        return amount
    lies = hosts.width(receiver, displayed=displayed) or 0
    labels = _labels(receiver, shown)[: lies if displayed and lies else None]
    known = sum(map(source.knows, labels))
    width = max(sum(cells or 0 for cells in source.widths), known + 1)
    across = _across(shown, 0) if shown is not None else max(lies, len(labels))
    if across <= width:
        return amount
    cells = min(amount.cells or 0, amount.rows * lies) if displayed else amount.cells or 0
    if shown is None:
        cells += len(labels) - known  # labels out of the data cross with the object
    by_cells = 0 if _has_dict(shown) else -(-cells // width)  # the keys of a dict are no cells of a row
    return amount._replace(rows=max(amount.rows, across, by_cells), cells=cells)


def _labels(receiver: Any, shown: Any) -> tuple[Any, ...]:
    """Labels that lie across: of a table's columns, or of the fields of a record."""
    columns = hosts.column_names(receiver)
    if columns is not None:
        return tuple(part for label in columns for part in (label if type(label) is tuple else (label,)))
    first = shown[0] if type(shown) is list and shown else shown
    fields = getattr(type(first), "_fields", None)
    return fields if type(fields) is tuple else (hosts.labels(receiver) or ())


def _across(value: Any, depth: int) -> int:
    """The longest container inside the outermost; a tuple, and a dict of containers, lie across themselves."""
    if depth > _MAX_DEPTH or not isinstance(value, (list, tuple, set, frozenset, dict)):
        return 0
    parts = value.values() if isinstance(value, dict) else value
    inner = [part for part in parts if isinstance(part, (list, tuple, set, frozenset, dict))]
    lies = depth or isinstance(value, tuple) or (isinstance(value, dict) and bool(inner))
    return max([len(value) if lies else 0, *(_across(part, depth + 1) for part in inner)])


def _has_dict(value: Any) -> bool:
    return isinstance(value, dict) or (isinstance(value, (list, tuple)) and any(type(part) is dict for part in value))
