"""The adapter for pyarrow: tables, batches, arrays, scalars, schemas."""

from __future__ import annotations

from typing import Any, Final

import pyarrow as pa

from proxyplane.decisions import Facts
from proxyplane.errors import PolicyError
from proxyplane.hosts import Carried
from proxyplane.hosts.polars import names_of

__all__ = ["SINGLETONS", "carried", "column_names", "facts", "family", "has_dynamic", "index_labels", "labels"]
__all__ += ["names", "project", "schema", "shown", "width"]

SINGLETONS: Final = ()

_NOTHING: Final = Facts(0, 0, 0)
_ONE: Final = Facts(1, 1, None)
_UNKNOWN: Final = Facts()
_WINDOW: Final = 10
"""Items that the repr of an array shows at each end."""
_CHUNKS: Final = 2
"""Chunks that the repr of a chunked array shows at each end."""
_MAX_DEPTH: Final = 20
_TABLES: Final = (pa.Table, pa.RecordBatch)
_LISTS: Final = (pa.ListArray, pa.LargeListArray, pa.FixedSizeListArray, pa.ListViewArray, pa.LargeListViewArray)


def facts(value: Any) -> Facts:
    """Rows, cells and bytes; what lists, maps, structs and dictionaries in cells hold is added."""
    if isinstance(value, _TABLES):
        columns = [_cells(column, 0) for column in value.columns]
        if None in columns:
            return _UNKNOWN
        cells = [count or 0 for count in columns]
        return Facts(max([value.num_rows, *cells]), sum(cells), int(value.nbytes))
    if isinstance(value, (pa.Array, pa.ChunkedArray)):
        count = _cells(value, 0)
        return _UNKNOWN if count is None else Facts(count, count, int(value.nbytes))
    if isinstance(value, pa.Scalar):
        count = _cells(pa.array([value.as_py()], value.type), 0) if _nests(value.type) else 1
        return _UNKNOWN if count is None else Facts(count, count, None)
    return _ONE if isinstance(value, (pa.DataType, pa.Field, pa.Schema)) else _UNKNOWN


def _cells(array: Any, depth: int) -> int | None:
    """Leaves of an array: a cell that is a list counts as often as it has items."""
    if depth > _MAX_DEPTH:
        return None
    if isinstance(array, pa.ChunkedArray):
        return _sum(_cells(chunk, depth) for chunk in array.chunks)
    if isinstance(array, pa.MapArray):
        parts = _cells(array.keys, depth + 1), _cells(array.items, depth + 1)
        return _most(len(array), _sum(parts))
    if isinstance(array, _LISTS):
        return _most(len(array), _cells(array.flatten(), depth + 1))
    if isinstance(array, pa.StructArray):
        return _most(len(array), _sum(_cells(part, depth + 1) for part in array.flatten()))
    if isinstance(array, pa.DictionaryArray):
        return _most(len(array), _cells(array.dictionary, depth + 1))
    if isinstance(array, pa.ExtensionArray):
        return _cells(array.storage, depth + 1)
    if isinstance(array, pa.RunEndEncodedArray):
        return _most(len(array), _cells(array.values, depth + 1))
    return None if isinstance(array, pa.UnionArray) else len(array)


def _sum(parts: Any) -> int | None:
    total = 0
    for part in parts:
        if part is None:
            return None
        total += part
    return total


def _most(length: int, inner: int | None) -> int | None:
    return None if inner is None else max(length, inner)


def _nests(kind: Any) -> bool:
    return bool(pa.types.is_nested(kind)) or isinstance(kind, pa.BaseExtensionType)


def shown(value: Any) -> Facts:
    """What a repr shows: of an array both ends, of a table both ends of each column."""
    if isinstance(value, _TABLES):
        parts = [shown(column) for column in value.columns]
        if any(part.rows is None for part in parts):
            return _UNKNOWN
        return Facts(max([part.rows or 0 for part in parts], default=0), sum(part.cells or 0 for part in parts), None)
    if isinstance(value, pa.ChunkedArray):
        chunks = value.chunks
        seen = chunks if len(chunks) <= 2 * _CHUNKS else [*chunks[:_CHUNKS], *chunks[-_CHUNKS:]]
        count = _sum(shown(chunk).rows for chunk in seen)
        return _UNKNOWN if count is None else Facts(count, count, None)
    if isinstance(value, pa.Array):
        if len(value) <= 2 * _WINDOW:
            return facts(value)
        count = _sum((_cells(value.slice(0, _WINDOW), 0), _cells(value.slice(len(value) - _WINDOW), 0)))
        return _UNKNOWN if count is None else Facts(count, count, None)
    if isinstance(value, pa.Scalar):
        return facts(value)
    return _ONE if isinstance(value, (pa.DataType, pa.Field, pa.Schema)) else _NOTHING


def carried(value: Any) -> Carried | None:
    """Scalars of Arrow are references; `as_py` gives their content."""
    return None


def labels(value: Any) -> tuple[Any, ...] | None:
    """Field names at every level: what a schema shows."""
    if isinstance(value, (*_TABLES, pa.Schema)):
        fields = value if isinstance(value, pa.Schema) else value.schema
        return tuple(label for field in fields for label in _field_labels(field))
    if isinstance(value, pa.Field):
        return tuple(_field_labels(value))
    if isinstance(value, pa.DataType):
        return tuple(_type_labels(value))
    if isinstance(value, (pa.Array, pa.ChunkedArray, pa.Scalar)):
        return tuple(_type_labels(value.type))
    return None


def _field_labels(field: Any) -> list[str]:
    return [field.name, *_type_labels(field.type)]


def _type_labels(kind: Any) -> list[str]:
    if not _nests(kind) or isinstance(kind, pa.BaseExtensionType):
        return []
    return [label for at in range(kind.num_fields) for label in _field_labels(kind.field(at))]


def width(value: Any, displayed: bool = False) -> int | None:
    """Columns of a table; an array is one."""
    if isinstance(value, _TABLES):
        return int(value.num_columns)
    return 1 if isinstance(value, (pa.Array, pa.ChunkedArray)) else None


def index_labels(value: Any) -> tuple[Any, ...] | None:
    """Arrow has no indexes."""
    return None


def column_names(value: Any) -> tuple[Any, ...] | None:
    """Columns of a table."""
    return tuple(value.schema.names) if isinstance(value, _TABLES) else None


def names(value: Any) -> list[str]:
    """No attribute of a table is a column."""
    return []


def has_dynamic(value: Any, name: str) -> bool:
    """No attribute of a table is a column."""
    return False


def schema(value: Any) -> dict[str, Any] | None:
    """Shape and types; a dictionary type without its values."""
    if isinstance(value, _TABLES):
        columns = [{"name": field.name, "dtype": str(field.type)} for field in value.schema]
        return {"kind": "table", "shape": [value.num_rows, value.num_columns], "columns": columns}
    if isinstance(value, (pa.Array, pa.ChunkedArray)):
        return {"kind": "array", "shape": [len(value)], "dtype": str(value.type)}
    return None


def family(value: Any) -> tuple[Any, ...]:
    """What Arrow holds is never written in place."""
    return ()


def project(value: Any, show: tuple[Any, ...] | None, hide: tuple[Any, ...]) -> Any:
    """What may be seen of a table, in fresh memory, without metadata (which names hidden columns).

    Args:
        value: a `pyarrow.Table` or `RecordBatch`.
        show: columns that stay, or None for all.
        hide: columns that go.

    Raises:
        PolicyError: not a table; a name that matches nothing, or more than one column; a type that cannot be rebuilt.
    """
    if not isinstance(value, _TABLES):
        raise PolicyError(
            f"show and hide need a table; this object is a {type(value).__name__}",
            hint="grant a table, or an object that holds only what may be seen",
        )
    every = value.schema.names
    names_of(every, (*(show or ()), *hide))
    kept = [at for at, name in enumerate(every) if (show is None or name in show) and name not in hide]
    arrays = [_fresh(every[at], value.column(at)) for at in kept]
    fields = [pa.field(every[at], value.schema.field(at).type) for at in kept]
    return type(value).from_arrays(arrays, schema=pa.schema(fields))


def _fresh(name: str, column: Any) -> Any:
    """An array that shares no buffer with the original: rebuilt from its values.

    (A slice keeps its parent's buffers, a null the value that it hides, a dictionary the values of other rows.)
    """
    try:
        return pa.array(column.to_pylist(), column.type)
    except (pa.ArrowException, TypeError, ValueError):
        raise PolicyError(
            f"the column {name!r} is of a type that cannot be rebuilt from its values",
            hint="grant columns of numbers, texts, dates, lists and structs",
        ) from None
