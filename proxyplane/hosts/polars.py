"""The adapter for polars: frames, lazy frames, series, schemas, groupings."""

from __future__ import annotations

import difflib
import os
from typing import Any, Final

import polars as pl

from proxyplane.decisions import Facts
from proxyplane.errors import PolicyError
from proxyplane.hosts import Carried
from proxyplane.hosts import facts as facts_of

__all__ = ["SINGLETONS", "carried", "column_names", "facts", "family", "has_dynamic", "index_labels", "labels"]
__all__ += ["names", "project", "schema", "shown"]

SINGLETONS: Final = ()

_NOTHING: Final = Facts(0, 0, 0)
_ONE: Final = Facts(1, 1, None)
_UNKNOWN: Final = Facts()
_ROWS_SHOWN: Final = 10
"""Rows, or items of a series, that a repr shows unless `POLARS_FMT_MAX_ROWS` says otherwise."""
_MAX_DEPTH: Final = 20


def facts(value: Any) -> Facts:
    """A frame's rows, cells and bytes; what lists, structs and objects in cells hold is added."""
    if isinstance(value, pl.DataFrame):
        columns = [facts(column) for column in value.get_columns()]
        if any(column.rows is None for column in columns):
            return _UNKNOWN
        rows = max([value.height, *((column.rows or 0) for column in columns)])
        return Facts(rows, sum(column.cells or 0 for column in columns), int(value.estimated_size()))
    if isinstance(value, pl.Series):
        cells = _cells(value, 0)
        return _UNKNOWN if cells is None else Facts(max(len(value), cells), cells, int(value.estimated_size()))
    if isinstance(value, (pl.DataType, pl.Schema, pl.Field)) or _is_expression(value):
        return _ONE
    return _UNKNOWN


def _cells(column: Any, depth: int) -> int | None:
    """Leaves of a series: a cell that is a list counts as often as it has items."""
    kind = column.dtype
    if depth > _MAX_DEPTH:
        return None
    if kind == pl.Object:
        counted = facts_of(column.to_list())
        return None if counted.cells is None else max(len(column), counted.cells)
    if isinstance(kind, pl.List | pl.Array):
        inner = _cells(column.explode(), depth + 1)
        return None if inner is None else max(len(column), inner)
    if isinstance(kind, pl.Struct):
        parts = [_cells(part, depth + 1) for part in column.struct.unnest().get_columns()]
        if None in parts:
            return None
        most = max([len(column), *(part or 0 for part in parts)])
        return most if depth == 0 else max(most, sum(part or 0 for part in parts))
    return len(column)


def _is_expression(value: Any) -> bool:
    return isinstance(value, pl.Expr) or type(value).__module__.startswith(("polars.expr", "polars.functions"))


def shown(value: Any) -> Facts:
    """What a repr shows: of a long frame or series the first and last rows."""
    if isinstance(value, (pl.DataFrame, pl.Series)):
        rows = _rows_shown(len(value))
        if rows >= len(value):
            return facts(value)
        return facts(value.head((rows + 1) // 2).clear() if rows == 0 else _edges(value, rows))
    if isinstance(value, pl.LazyFrame):
        return _ONE  # the plan: names and literals
    if isinstance(value, (pl.DataType, pl.Schema, pl.Field)) or _is_expression(value):
        return _ONE
    return _NOTHING


def _edges(value: Any, rows: int) -> Any:
    first, last = value.head((rows + 1) // 2), value.tail(rows // 2)
    return first.vstack(last) if isinstance(value, pl.DataFrame) else first.clone().append(last)


def _rows_shown(length: int) -> int:
    text = os.environ.get("POLARS_FMT_MAX_ROWS", "")
    try:
        most = int(text) if text else _ROWS_SHOWN
    except ValueError:
        most = _ROWS_SHOWN
    return length if most < 0 else min(length, most)


def carried(value: Any) -> Carried | None:
    """polars gives scalars as built-in values."""
    return None


def labels(value: Any) -> tuple[Any, ...] | None:
    """Column names, names of struct fields and categories of enums: what a schema shows."""
    if isinstance(value, pl.DataFrame):
        return _schema_labels(value.schema)
    if isinstance(value, pl.LazyFrame):
        return _schema_labels(value.collect_schema())
    if isinstance(value, pl.Schema):
        return _schema_labels(value)
    if isinstance(value, pl.Series):
        return (value.name, *_dtype_labels(value.dtype))
    if isinstance(value, pl.DataType):
        return tuple(_dtype_labels(value))
    if isinstance(value, pl.Field):
        return (value.name, *_dtype_labels(value.dtype))
    return None


def _schema_labels(found: Any) -> tuple[Any, ...]:
    return tuple(label for name, kind in found.items() for label in (name, *_dtype_labels(kind)))


def _dtype_labels(kind: Any) -> list[Any]:
    if isinstance(kind, pl.Enum):
        return list(kind.categories)
    if isinstance(kind, pl.List | pl.Array):
        return _dtype_labels(kind.inner)
    if isinstance(kind, pl.Struct):
        return [label for field in kind.fields for label in (field.name, *_dtype_labels(field.dtype))]
    return []


def width(value: Any, displayed: bool = False) -> int | None:
    """Columns of a frame; a series is one."""
    if isinstance(value, pl.DataFrame):
        return int(value.width)
    return 1 if isinstance(value, pl.Series) else None


def index_labels(value: Any) -> tuple[Any, ...] | None:
    """polars has no indexes."""
    return None


def column_names(value: Any) -> tuple[Any, ...] | None:
    """Columns of a frame; of a lazy frame those of its schema."""
    if isinstance(value, pl.DataFrame):
        return tuple(value.columns)
    return tuple(value.collect_schema().names()) if isinstance(value, pl.LazyFrame) else None


def names(value: Any) -> list[str]:
    """No attribute of a frame is a column; `pl.col` answers every name and lists none."""
    return []


def has_dynamic(value: Any, name: str) -> bool:
    """`pl.col.NAME` is `pl.col("NAME")`."""
    return value is pl.col


def schema(value: Any) -> dict[str, Any] | None:
    """Shape and dtypes; an enum without its categories."""
    if isinstance(value, pl.DataFrame):
        return {"kind": "frame", "shape": list(value.shape), "columns": _columns(value.schema)}
    if isinstance(value, pl.LazyFrame):
        return {"kind": "lazy frame", "columns": _columns(value.collect_schema())}
    if isinstance(value, pl.Series):
        return {"kind": "series", "shape": [len(value)], "dtype": _dtype_text(value.dtype)}
    return None


def _columns(found: Any) -> list[dict[str, str]]:
    return [{"name": name, "dtype": _dtype_text(kind)} for name, kind in found.items()]


def _dtype_text(kind: Any) -> str:
    return "Enum" if isinstance(kind, pl.Enum) else str(kind)


def family(value: Any) -> tuple[Any, ...]:
    """Frames and series share nothing that can be written through: polars copies on write."""
    return ()


def project(value: Any, show: tuple[Any, ...] | None, hide: tuple[Any, ...]) -> Any:
    """What may be seen of a frame, in fresh memory; a lazy frame is collected first and is lazy again after.

    Args:
        value: a `polars.DataFrame` or `LazyFrame`, exactly.
        show: columns that stay, or None for all.
        hide: columns that go.

    Raises:
        PolicyError: not a frame; a name that matches nothing; a hidden categorical, whose categories all
            categoricals of the process share; cells that are Python objects.
    """
    if type(value) is pl.LazyFrame:
        names_of(value.collect_schema().names(), (*(show or ()), *hide))
        return project(value.collect(), show, hide).lazy()
    if type(value) is not pl.DataFrame:
        raise PolicyError(
            f"show and hide need a DataFrame; this object is a {type(value).__name__}",
            hint="grant a DataFrame, or an object that holds only what may be seen",
        )
    names_of(value.columns, (*(show or ()), *hide))
    kept = [name for name in value.columns if (show is None or name in show) and name not in hide]
    for name in value.columns:
        if _holds(value.schema[name], pl.Categorical) and name not in kept:
            raise PolicyError(
                f"the hidden column {name!r} is a Categorical, whose categories all categoricals of a process share",
                hint="read the data with that column as a String or an Enum",
            )
    return pl.DataFrame([_fresh(value.get_column(name)) for name in kept])


def names_of(columns: list[str], wanted: tuple[Any, ...]) -> None:
    """Refuse a name that is no column.

    Raises:
        PolicyError: with the column that was probably meant.
    """
    for name in wanted:
        if name not in columns:
            close = difflib.get_close_matches(str(name), columns, 1)
            raise PolicyError(
                f"the frame has no column {name!r}",
                hint=f"did you mean {close[0]!r}?" if close else "correct the name, or remove it from the policy",
            )


def _fresh(column: Any) -> Any:
    """A series that shares no buffer with the original: rebuilt from its values, null for null.

    (A slice keeps its parent's buffers, a null the value that it hides.)
    """
    if _holds(column.dtype, pl.Object):
        raise PolicyError(
            f"the column {column.name!r} holds Python objects, which cannot be copied without knowing what they hold",
            hint="grant columns of numbers, texts, dates, lists and structs",
        )
    return pl.Series(column.name, column.to_list(), dtype=column.dtype, strict=True)


def _holds(kind: Any, wanted: Any) -> bool:
    if isinstance(kind, pl.List | pl.Array):
        return _holds(kind.inner, wanted)
    if isinstance(kind, pl.Struct):
        return any(_holds(field.dtype, wanted) for field in kind.fields)
    return bool(kind == wanted)
