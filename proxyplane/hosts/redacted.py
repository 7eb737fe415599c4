"""Content as it may be shown: fewer rows, masked columns, rounded numbers. What comes out shares no memory with it."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any, Final

from proxyplane.columns import Columns, name_of
from proxyplane.decisions import Redaction
from proxyplane.errors import PolicyError

__all__ = ["CannotRedact", "masked_table", "redacted"]

_MAX_DEPTH: Final = 20
_PLAIN: Final = (str, int, float, complex, bytes)
_SCALARS: Final = ("numpy", "pandas._libs", "datetime", "decimal", "uuid")
"""Modules of types of single values."""
_OTHERS: Final = "show it as a pandas or polars table, a list or a number"

Token = Callable[[Any], str]
"""Gives the same text for the same value, from which the value cannot be told."""


class CannotRedact(Exception):  # noqa: N818 - it never reaches anybody: a refusal takes its place
    """What is shown is of a kind that cannot be redacted, so it must not be shown."""


def redacted(value: Any, columns: Columns, redaction: Redaction, token: Token, knows: Callable[[Any], bool]) -> Any:
    """The value as it may be shown.

    Args:
        value: a table, series, index, array, scalar, or built-in containers of scalars.
        columns: where its content came from.
        redaction: what to do; `min_group` is not done here.
        token: for cells of masked columns.
        knows: whether a label is one of the granted columns; any other may have been made of cells.

    Raises:
        CannotRedact: a value of another kind.
    """
    return _Redactor(columns, redaction, token, knows).of(value, 0)


def masked_table(table: Any, names: tuple[str, ...], token: Token) -> Any:
    """A table with tokens in place of the cells of some columns, and of index levels of these names.

    What is grouped, joined, compared or sorted by them sees tokens, so nothing has to be guarded afterwards; whoever
    sees tokens learns which cells are equal. Missing cells stay missing.

    Args:
        table: a pandas or polars DataFrame; the columns that are not masked are shared with it.
        names: columns to mask.
        token: see `redacted`.

    Raises:
        PolicyError: no DataFrame, or a name that it does not have.
    """
    library = type(table).__module__.partition(".")[0]
    if type(table).__name__ != "DataFrame" or library not in ("pandas", "polars"):
        raise PolicyError(f"mask needs a DataFrame; this object is a {type(table).__name__}", hint="grant a DataFrame")
    levels = list(table.index.names) if library == "pandas" else []
    for name in names:
        if name not in levels and not any(name_of(label) == name for label in table.columns):
            raise PolicyError(f"mask names {name!r}, which it does not have", hint="name a column that is there")
    labels = {label: frozenset((name_of(label),)) for label in table.columns}
    rows = frozenset(level for level in levels if level in names)
    if rows and len(levels) > 1:
        raise PolicyError("mask cannot name a level of an index of several levels", hint="reset_index() first")
    body = frozenset(name_of(label) for label in table.columns)
    columns = Columns(body, rows, labels)
    redactor = _Redactor(columns, Redaction(None, frozenset(names), None), token, lambda label: True)
    return redactor.of(table, 0)


class _Redactor:
    def __init__(self, columns: Columns, redaction: Redaction, token: Token, knows: Callable[[Any], bool]) -> None:
        self.knows = knows
        self.columns = columns
        self.rows = redaction.rows
        self.digits = redaction.digits
        self.mask = redaction.mask
        self.token = token
        self.hides = not columns.body.isdisjoint(self.mask)
        self.hides_index = not columns.rows.isdisjoint(self.mask)

    def of(self, value: Any, depth: int) -> Any:
        kind = type(value)
        if value is None or (kind is bool and not (self.hides or self.hides_index)):
            return value
        if kind in (list, tuple, set, frozenset, dict):
            return self._container(value, depth)
        if isinstance(value, tuple) and depth < _MAX_DEPTH:  # a row: its fields are columns
            return type(value)._make(self.of(item, depth + 1) for item in value)  # type: ignore[attr-defined]
        library = kind.__module__.partition(".")[0]
        if (library == "pandas" and kind.__name__ in ("DataFrame", "Series")) or hasattr(kind, "get_indexer"):
            return self._pandas(value)
        if library == "polars" and kind.__name__ in ("DataFrame", "Series"):
            return self._polars(value)
        if kind.__name__ == "ndarray" and library == "numpy":
            return self._array(value)
        if library == "pandas" and hasattr(kind, "_from_sequence"):  # an extension array
            import pandas as pd  # noqa: PLC0415

            return self._cells(pd.Series(value[: self.rows]), self.columns.every).array
        return self._scalar(value, kind, library)

    def _scalar(self, value: Any, kind: type, library: str) -> Any:
        if self.hides or self.hides_index:
            if kind in _PLAIN or kind is bool or kind.__module__.startswith(_SCALARS):
                return self.token(value)
            raise CannotRedact(_OTHERS)
        if self.digits is not None and (kind in (int, float, complex) or library in ("numpy", "decimal")):
            return _rounded(value, self.digits)
        if kind in _PLAIN or library in ("builtins", "re") or kind.__module__.startswith(_SCALARS):
            return value
        raise CannotRedact(_OTHERS)

    def _container(self, value: Any, depth: int) -> Any:
        if depth > _MAX_DEPTH:
            raise CannotRedact("it is nested too deeply")
        kind, most = type(value), self.rows if depth == 0 and type(value) is not tuple else None
        items = list(value.items() if kind is dict else value)[:most]
        if kind is not dict:
            return kind(self.of(item, depth + 1) for item in items)
        keyed = self.columns.labels or {}
        found = {}
        for key, item in items:
            if key in keyed and depth <= 1:  # a record or a table by columns
                narrowed = self.columns._replace(body=keyed[key], labels=None)
                inner = _Redactor(narrowed, Redaction(self.rows, self.mask, self.digits), self.token, self.knows)
                found[key] = inner.of(item, depth + 1 if type(item) is not dict else 0)
            else:
                found[self.token(key) if self.hides_index else self._label(key)] = self.of(item, depth + 1)
        return found

    def _label(self, label: Any) -> Any:
        """A label across, or a name: one that is not schema may have been made of masked cells."""
        if not (self.hides or self.hides_index) or label is None:
            return label
        if type(label) is tuple:
            return tuple(map(self._label, label))
        return label if self.knows(label) else self.token(label)

    # Tables

    def _cells(self, values: Any, sources: frozenset[str]) -> Any:
        """One column of a pandas table."""
        import pandas as pd  # noqa: PLC0415 - only with pandas objects

        if not sources.isdisjoint(self.mask):
            missing = values.isna()
            tokens = [None if gone else self.token(cell) for cell, gone in zip(values, missing, strict=True)]
            return pd.Series(tokens, index=values.index, dtype="object")
        if self.digits is not None and values.dtype.kind in "iufc":
            return values.round(self.digits)
        if self.digits is not None and values.dtype == object:
            return values.map(lambda cell: _rounded(cell, self.digits) if isinstance(cell, float | int) else cell)
        return values

    def _pandas(self, value: Any) -> Any:
        import pandas as pd  # noqa: PLC0415

        if not isinstance(value, (pd.DataFrame, pd.Series)):
            labels = pd.Series(value[: self.rows], dtype=value.dtype) if value.nlevels == 1 else None
            if labels is None:
                raise CannotRedact("an index of several levels")
            return pd.Index(self._cells(labels, self.columns.body | self.columns.rows), name=value.name)
        labels = self.columns.labels or {}
        kept = value if self.rows is None else value.head(self.rows)
        index = kept.index
        counted = type(index) is pd.RangeIndex and index.start == 0 and index.step == 1
        if self.hides_index and not counted:
            labels_of_rows = [self.token(label) for label in index]
            index = pd.Index(labels_of_rows, name=self._label(index.name))
        if isinstance(kept, pd.Series):
            row = bool(labels) and all(label in labels for label in kept.index)
            cells = self._row(kept, labels) if row else self._cells(kept, self.columns.body).copy()
            cells.index, cells.name = index, self._label(kept.name)
            return cells
        parts = {
            at: self._cells(kept.iloc[:, at], labels.get(label, self.columns.every))
            for at, label in enumerate(kept.columns)
        }
        table = pd.DataFrame(parts, index=kept.index)
        table.index, table.columns = index, kept.columns
        if self.hides or self.hides_index:
            table.columns = pd.Index(
                [self._label(label) for label in kept.columns], name=self._label(kept.columns.name)
            )
        return table

    def _row(self, row: Any, labels: Any) -> Any:
        """One row of a table: each cell by its column."""
        parts = [self._cells(row.iloc[[at]], labels[label]) for at, label in enumerate(row.index)]
        cells = [part.iloc[0] for part in parts]
        return type(row)(cells, index=row.index, dtype=row.dtype if self.mask.isdisjoint(self.columns.body) else object)

    def _polars(self, value: Any) -> Any:
        pl = sys.modules["polars"]
        kept = value if self.rows is None else value.head(self.rows)
        if isinstance(kept, pl.Series):
            return self._polars_cells(kept, self.columns.body)
        labels = self.columns.labels or {}
        return pl.DataFrame(
            [self._polars_cells(column, labels.get(column.name, self.columns.every)) for column in kept.get_columns()]
        )

    def _polars_cells(self, column: Any, sources: frozenset[str]) -> Any:
        pl = sys.modules["polars"]
        if not sources.isdisjoint(self.mask):
            return pl.Series(
                column.name, [None if cell is None else self.token(cell) for cell in column], dtype=pl.String
            )
        if self.digits is not None and column.dtype.is_numeric():
            return _rounded_polars(column, self.digits)
        return column

    def _array(self, value: Any) -> Any:
        import numpy as np  # noqa: PLC0415

        kept = value[: self.rows] if self.rows is not None and value.ndim else value
        if self.hides or self.hides_index:
            flat = [self.token(cell) for cell in kept.ravel().tolist()]
            return np.array(flat, dtype=object).reshape(kept.shape)
        if self.digits is not None and kept.dtype.kind in "iufc":
            return np.round(kept, self.digits)
        if kept.dtype.hasobject:
            return np.array([self.of(cell, 1) for cell in kept.ravel()], dtype=object).reshape(kept.shape)
        return kept.copy()


def _rounded(value: Any, digits: int) -> Any:
    if type(value) is complex:
        return complex(round(value.real, digits), round(value.imag, digits))
    try:
        return type(value)(round(value, digits))
    except (
        TypeError,
        ValueError,
        OverflowError,
    ):  # no number (np.str_, say), or one that cannot be rounded (nan as int)
        return value


def _rounded_polars(column: Any, digits: int) -> Any:
    pl = sys.modules["polars"]
    if digits >= 0:
        return column.round(digits) if column.dtype.is_float() else column
    scale = 10.0**-digits
    return ((column.cast(pl.Float64) / scale).round(0) * scale).cast(column.dtype)
