"""Which columns of granted tables an object's content came from.

Kept only where a policy asks for it (rules by column, masks, minimum groups). Columns are followed through selection,
rename, merge, groupby and what keeps tables as they are; through everything else the union of all columns of all inputs
is assumed, since what is not known counts as the most restrictive. What is followed is where cells come from; that rows
were chosen or ordered by another column is not.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from types import BuiltinFunctionType, FunctionType, MethodType
from typing import Any, Final, NamedTuple

from proxyplane import hosts
from proxyplane.hosts.aggregates import Behind
from proxyplane.operations import Operation

__all__ = ["NO_COLUMNS", "Columns", "changed", "followed", "granted", "joined", "touched"]

NOTHING: Final[frozenset[str]] = frozenset()
KEEPING: Final = frozenset(
    "head tail sample copy dropna drop_duplicates sort_values sort_index nlargest nsmallest query filter drop astype "
    "round truncate select_dtypes convert_dtypes infer_objects take reset_index set_index loc iloc at iat limit slice "
    "sort unique collect lazy clone".split()
)
"""Members after which a column of the same label holds cells of the same source."""
_CELLS_STAY: Final = frozenset("drop dropna drop_duplicates sort_values sort_index fillna pop".split())
"""Members that, in place, move no cell to another column."""
_CELLWISE: Final = frozenset({"binop", "unop", "compare"})
_INDEXERS: Final = {"_LocIndexer": "loc", "_iLocIndexer": "iloc", "_AtIndexer": "at", "_iAtIndexer": "iat"}
_PLAIN: Final = (str, int, bool, float)
_FUNCTIONS: Final = (MethodType, FunctionType, BuiltinFunctionType)


class Columns(NamedTuple):
    """Where the content of one object came from."""

    body: frozenset[str] = NOTHING
    """Columns that its cells came from."""
    rows: frozenset[str] = NOTHING
    """Columns that the labels of its rows came from."""
    labels: Mapping[Any, frozenset[str]] | None = None
    """The same as `body` for each column, where they can be told apart."""
    by: frozenset[str] = NOTHING
    """Of a groupby: what it groups by."""
    indexes: str = ""
    """Of an indexer of a table with one level of labels on each axis: which (`loc`, `iloc`, `at`, `iat`)."""

    behind: Behind | None = None
    """How many rows stand behind each value, where that is known."""

    @property
    def flat(self) -> Columns:
        """Of something inside it, of which no more is known."""
        return Columns(self.every, self.rows)

    @property
    def every(self) -> frozenset[str]:
        """All of them."""
        return self.body | self.rows | self.by


NO_COLUMNS: Final = Columns()


def granted(value: Any) -> Columns:
    """The columns of a table as it is granted: each comes from itself."""
    names = hosts.column_names(value) if not isinstance(value, type) else None
    if names is None:
        return NO_COLUMNS
    labels = {label: frozenset((name_of(label),)) for label in names}
    index = frozenset(name_of(name) for name in hosts.index_names(value) if name is not None)
    return Columns(frozenset().union(*labels.values()) if labels else NOTHING, index, labels)


def name_of(label: Any) -> str:
    """The name by which a policy speaks of a column label; of a tuple the first part."""
    part = label[0] if type(label) is tuple and label else label
    return part if type(part) is str else str(part)


def joined(parts: Iterable[Columns]) -> Columns:
    """Of all of them together, when nothing more is known."""
    every: frozenset[str] = NOTHING
    index: frozenset[str] = NOTHING
    for part in parts:
        every, index = every | part.body | part.by, index | part.rows
    return Columns(every | index, index)


def touched(operation: Operation, target: Columns, inputs: Iterable[Columns]) -> frozenset[str]:
    """The columns whose cells an operation works on, before it is performed."""
    chosen = _chosen(operation, target)
    found = target.every if chosen is None else chosen.every
    for part in inputs:
        found |= part.every
    return found


def followed(operation: Operation, target: Columns, inputs: list[Columns], value: Any) -> Columns:
    """Where the result of an operation came from.

    Args:
        operation: with real objects as arguments.
        target: of what it worked on.
        inputs: of the objects of the session among the arguments.
        value: the result.
    """
    verb, member = operation.verb, operation.member
    chosen = _chosen(operation, target)
    if verb == "getattr" and isinstance(value, _FUNCTIONS):  # a method hides a column of its name
        return joined([target])
    if chosen is not None:
        others = joined(inputs)
        chosen = chosen._replace(indexes="")
        return chosen if not inputs else chosen._replace(rows=chosen.rows | others.rows)
    if target.labels is not None:
        found = _from_table(operation, target, inputs, value)
        if found is not None:
            return found
    if verb == "getattr" and member in ("index", "columns") and target.labels is not None:
        if member == "index":
            return Columns(target.rows)
        own = all(name_of(label) in found for label, found in target.labels.items())
        return NO_COLUMNS if own else Columns(target.every)  # labels may have been made of cells
    every = joined([target, *inputs])
    if verb not in _CELLWISE:  # labels of rows may have been made of cells
        every = every._replace(rows=every.every)
    labels = hosts.column_names(value) if not isinstance(value, type) else None
    return every if labels is None else every._replace(labels=dict.fromkeys(labels, every.body))


def _chosen(operation: Operation, target: Columns) -> Columns | None:
    """What a selection by plain labels leaves; None where it is none, or they are not known."""
    labels = target.labels
    if labels is None:
        return None
    verb, args = operation.verb, operation.args
    if verb == "getattr" and operation.member in labels:
        return target._replace(body=labels[operation.member], labels={operation.member: labels[operation.member]})
    if verb == "call" and operation.member in ("get", "get_column", "pop") and args and _is_label(args[0]):
        return _taken(target, [args[0]])
    if verb != "getitem" or not args:
        return None
    key = args[0]
    if target.indexes:  # rows, or rows and columns
        if target.indexes not in ("loc", "at") or type(key) is not tuple or len(key) != 2:
            return None
        key = key[1]
    if _is_label(key):
        return _taken(target, [key])
    if type(key) is list and key and all(map(_is_label, key)):
        return _taken(target, key)
    return None


def _taken(target: Columns, keys: list[Any]) -> Columns | None:
    labels = target.labels or {}
    if any(key not in labels for key in keys):
        return None
    kept = {key: labels[key] for key in keys}
    return target._replace(body=frozenset().union(*kept.values()), labels=kept)


def _is_label(key: Any) -> bool:
    return type(key) in _PLAIN or (type(key) is tuple and all(type(part) in _PLAIN for part in key))


def _from_table(operation: Operation, target: Columns, inputs: list[Columns], value: Any) -> Columns | None:
    """The result of an operation on a table, a groupby or an indexer whose columns can be told apart."""
    verb, member, named = operation.verb, operation.member, operation.kwargs
    known = dict(target.labels or {})
    index, others = target.rows, joined(inputs)
    if verb == "call" and member == "to_dict" and type(value) in (dict, list):
        orient = named.get("orient", operation.args[0] if operation.args else "dict")
        return target if orient in ("dict", "list", "series", "records") else None
    if verb == "call" and member in ("groupby", "group_by"):
        by = named.get("by", operation.args[0] if operation.args else None)
        keys = by if type(by) is list else [by]
        grouped = [known[key] for key in keys if _is_label(key) and key in known]
        every = frozenset().union(*grouped) if len(grouped) == len(keys) else target.every
        return target._replace(by=every | others.every)
    if target.by:
        names = hosts.column_names(value)
        named_anew = member in ("apply", "pipe", "transform") or (member in ("agg", "aggregate") and bool(named))
        if named_anew:
            known = {}
        labels = None if names is None else {name: known.get(name, target.body) | others.every for name in names}
        body = target.body | others.every
        return Columns(body, target.by | index, labels, target.by if _is_grouped(value) else NOTHING)
    if verb == "call" and member == "rename" and type(named.get("columns")) is dict:
        given = named["columns"]
        return target._replace(labels={given.get(label, label): found for label, found in known.items()})
    if verb == "call" and member == "assign":
        for label in named:
            known[label] = target.every | others.every if callable(named[label]) else others.every
    elif verb == "call" and member in ("merge", "join"):
        for part in inputs:
            for label, found in (part.labels or {}).items():
                known[label] = known.get(label, NOTHING) | found
    elif not (verb == "getitem" or (verb in ("call", "getattr") and member in KEEPING)):
        return None
    if verb == "call" and member == "set_index":
        index |= target.body
    names = hosts.column_names(value)
    if names is None:
        indexer = _INDEXERS.get(type(value).__name__)
        if indexer is not None:
            axes = (value.obj.index, getattr(value.obj, "columns", None))
            plain = all(axis is not None and axis.nlevels == 1 for axis in axes)
            return target._replace(indexes=indexer, labels=known if plain else None)
        row = verb == "getitem" and target.indexes in ("loc", "iloc") and type(operation.args[0]) in (str, int)
        return Columns(target.body | others.every, index | others.rows, known if row else None)
    rest = target.every | others.every
    labels = {name: known.get(name, rest) for name in names}
    body = frozenset().union(*labels.values()) if labels else NOTHING
    return Columns(body, index | others.rows, labels)


def _is_grouped(value: Any) -> bool:
    return "GroupBy" in type(value).__name__


def changed(operation: Operation, own: bool, held: Columns, inputs: list[Columns]) -> Columns:
    """Where an object's content came from after an operation changed it in place.

    Args:
        operation: what changed it.
        own: it is the operation's target, and not something that shares memory with that.
        held: of the object before.
        inputs: of the objects among the arguments.
    """
    held = held._replace(behind=None)
    every = joined(inputs).every
    verb, member, labels = operation.verb, operation.member, held.labels
    body = held.body | every
    if labels is None:
        return held._replace(body=body, rows=held.rows | every)
    label = operation.args[0] if verb == "setitem" and operation.args else member if verb == "setattr" else None
    if own and label is not None and not held.indexes and _is_label(label) and (verb == "setitem" or label in labels):
        return held._replace(body=body, labels={**labels, label: every})
    if verb in ("setitem", "delitem") or (verb == "call" and member in _CELLS_STAY):
        return held._replace(body=body, labels={key: found | every for key, found in labels.items()})
    return held._replace(body=body | held.every, rows=body | held.every, labels=None)
