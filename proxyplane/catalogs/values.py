"""What single arguments may be, where a library would do more with some values than with others.

Each function looks at exact types of values that the plane made or the host owns, and calls nothing of the guest's.
"""

from __future__ import annotations

import re
import string
import types
from typing import Any, Final

from proxyplane.effects import Effect

__all__ = [
    "connection_effects",
    "is_arrow_array",
    "is_exported_style",
    "is_plain_format",
    "is_plain_parts",
    "is_query",
    "is_sql_types",
    "is_timestamp",
]

_FIELD: Final = re.compile(r"\w*")
_SQL_OUT: Final = re.compile(r"attach|vacuum|pragma|extension", re.IGNORECASE)
"""Statements that open files, or let them be opened; no comment can part a keyword."""
_POLARS_OUT: Final = re.compile(r"(?:read|scan|sink|write|load)_|attach|catalog|copy|u&", re.IGNORECASE)
_SQL_TYPE: Final = re.compile(r"\w[\w ]*(\([\d, ]*\))?")
_MEMORY: Final = ("sqlite://", "sqlite:///:memory:")
_NUMBERS: Final = (int, float, complex, bool)
_MAX_DEPTH: Final = 4


def is_plain_format(value: Any, depth: int = 0) -> bool:
    """Whether a formatter is a function, or a text for `str.format` whose fields are plain names or numbers.

    (`{0.__class__}` walks from a cell to all that the process holds, and `{0[x]}` looks up items.)
    """
    if isinstance(value, str):
        return _plain_fields(value, 0)
    if type(value) is dict and depth < _MAX_DEPTH:
        return all(is_plain_format(item, depth + 1) for item in value.values())
    if type(value) in (list, tuple) and depth < _MAX_DEPTH:
        return all(is_plain_format(item, depth + 1) for item in value)
    return value is None or type(value) in _NUMBERS or callable(value)


def _plain_fields(text: str, depth: int) -> bool:
    try:
        parts = list(string.Formatter().parse(text))
    except ValueError:  # the library will say so
        return True
    for _, name, spec, _ in parts:
        if name is not None and not _FIELD.fullmatch(name):
            return False
        if spec and (depth > 1 or not _plain_fields(spec, depth + 1)):
            return False
    return True


def is_arrow_array(value: Any) -> bool:
    """Whether pyarrow takes it for an array or a table. (Measured: given a scalar, kernels of arrays read past it.)"""
    kind = type(value)
    name = kind.__name__
    return kind is list or (kind.__module__ == "pyarrow.lib" and name.endswith(("Array", "Table", "RecordBatch")))


def is_exported_style(value: Any) -> bool:
    """Whether it is what `Styler.export` gave: its steps are functions that pandas made, called with the Styler."""
    if type(value) is not dict:
        return False
    steps = value.get("apply") or []
    return type(steps) is list and all(type(step) is tuple and step and _is_pandas_own(step[0]) for step in steps)


def _is_pandas_own(function: Any) -> bool:
    return type(function) is types.FunctionType and function.__module__ == "pandas.io.formats.style"


def connection_effects(value: Any) -> frozenset[Effect]:
    """What it means to use a database: nothing more for sqlite, whose statements are looked at; `net` for others."""
    kind = type(value)
    if value is None or (kind is str and value in _MEMORY):
        return frozenset()
    if kind is str:
        return frozenset({Effect.NET, Effect.UNKNOWN})  # an address: sqlite's lead to files, others to servers
    name = f"{kind.__module__}.{kind.__qualname__}"
    if name == "sqlite3.Connection":
        return frozenset()
    if name in ("sqlalchemy.engine.base.Engine", "sqlalchemy.engine.base.Connection"):
        return frozenset() if value.dialect.name == "sqlite" else frozenset({Effect.NET})
    return frozenset({Effect.UNKNOWN})


def is_query(value: Any) -> bool:
    """Whether it is a statement without words that lead to files, or one that was built of sqlalchemy's parts."""
    if isinstance(value, str):
        return not _SQL_OUT.search(value)
    return type(value).__module__.startswith("sqlalchemy.sql.")


def is_polars_statement(value: Any) -> bool:
    """Whether it is one or several statements of polars without a word that opens files: table functions such as
    `read_csv`, also as parts of longer names, since quotes and comments may stand around them."""
    if type(value) in (list, tuple):
        return all(type(item) is str and is_polars_statement(item) for item in value)
    return type(value) is str and not _POLARS_OUT.search(value)


def is_sql_types(value: Any, depth: int = 0) -> bool:
    """Whether column types are sqlalchemy's, or names such as `VARCHAR(10)`: pandas writes a text into a statement."""
    if type(value) is dict and depth == 0:
        return all(is_sql_types(item, 1) for item in value.values())
    if isinstance(value, str):
        return bool(_SQL_TYPE.fullmatch(value))
    kind = value if isinstance(value, type) else type(value)
    return value is None or kind.__module__.startswith("sqlalchemy.sql.")


def is_timestamp(value: Any) -> bool:
    """Whether it is a `pandas.Timestamp`, and of no other class."""
    kind = type(value)
    return f"{kind.__module__}.{kind.__qualname__}" in ("pandas.Timestamp", "pandas._libs.tslibs.timestamps.Timestamp")


def is_plain_parts(value: Any) -> bool:
    """Whether a sparse matrix can be made of it without looking where it says: rows of numbers, a shape, or values
    with the places of each, all of them numbers that the agent sent.

    (What is made of places is checked against the shape when it is made. Arrays of the agent could be changed
    afterwards; three parts are an index that nothing checks, and compiled code reads memory where it points.)
    """
    if type(value) is list:
        return _is_numbers(value, 0)
    if type(value) is not tuple or len(value) != 2:
        return False
    data, places = value
    if type(data) is int and type(places) is int:
        return True
    pairs = type(places) in (list, tuple) and len(places) == 2
    return pairs and all(_is_numbers(part, 0) for part in (data, *places))


def _is_numbers(value: Any, depth: int) -> bool:
    if type(value) not in (list, tuple) or depth > 1:
        return False
    return all(type(item) in _NUMBERS or _is_numbers(item, depth + 1) for item in value)
