"""What the plane must know about values of host libraries: how much they hold, how they cross, how they are projected.

This package imports no library. A value is given to the adapter of the library that its exact type comes from, and only
when that library is loaded already; everything else is answered for built-in types, or with "not known".
"""

from __future__ import annotations

import importlib
import sys
from types import BuiltinFunctionType, FunctionType, GeneratorType, MethodType, ModuleType
from typing import Any, Final, NamedTuple, Protocol

from proxyplane.decisions import Facts
from proxyplane.errors import PolicyError
from proxyplane.hosts.rows import RowFilter, matching

__all__ = [
    "Adapter",
    "Carried",
    "carried",
    "column_names",
    "displayed",
    "extended",
    "facts",
    "family",
    "has_dynamic",
    "is_database",
    "labels",
    "may_set",
    "names",
    "project",
    "schema",
    "shown",
    "singleton",
    "singleton_name",
    "unshared",
    "viewable",
]


class Carried(NamedTuple):
    """The content of a value-carrying reference (VALUE_REF in `docs/protocol.md`)."""

    value: Any
    """A built-in value."""
    repr: str | None = None
    """None: `np.NAME(VALUE!r)`, or the fields of a row."""
    str: str | None = None
    """None: as of the value."""
    extra: Any = None
    """Nanoseconds of a `Timestamp` or `Timedelta`; the field names of a row."""


class Adapter(Protocol):
    """What each `hosts/NAME.py` offers. Every function gets values of types of that library only."""

    SINGLETONS: tuple[str, ...]

    def facts(self, value: Any) -> Facts: ...
    def shown(self, value: Any) -> Facts: ...
    def carried(self, value: Any) -> Carried | None: ...
    def labels(self, value: Any) -> tuple[Any, ...] | None: ...
    def index_labels(self, value: Any) -> tuple[Any, ...] | None: ...
    def column_names(self, value: Any) -> tuple[Any, ...] | None: ...
    def names(self, value: Any) -> list[str]: ...
    def has_dynamic(self, value: Any, name: str) -> bool: ...
    def schema(self, value: Any) -> dict[str, Any] | None: ...
    def family(self, value: Any) -> tuple[Any, ...]: ...
    def project(self, value: Any, show: tuple[Any, ...] | None, hide: tuple[Any, ...]) -> Any: ...


_LIBRARIES: Final = ("numpy", "pandas", "polars")
"""Libraries with an adapter of their own, which may have singletons."""
_FIELDS: Final = ("sklearn", "scipy", "matplotlib")
_ADAPTERS: Final = {**{name: name for name in (*_LIBRARIES, "pyarrow")}, **dict.fromkeys(_FIELDS, "fields")}
"""Top-level module to the adapter for its types."""
_DATABASES: Final = ("sqlite3", "sqlalchemy")
_ABSENT: Final = object()
_UNKNOWN: Final = Facts()
_NOTHING: Final = Facts(0, 0, 0)
_ONE: Final = Facts(1, 1, None)
_MAX_DEPTH: Final = 20
_CONTAINERS: Final = (list, tuple, set, frozenset, dict)
_NAMED: Final = (FunctionType, MethodType, BuiltinFunctionType, GeneratorType, ModuleType, type)
_SCALARS: Final = (type(None), bool, int, float, complex, range, slice, type(Ellipsis), type(NotImplemented))
_PLAIN_MODULES: Final = frozenset(("datetime", "decimal", "uuid", "fractions", "re", "zoneinfo"))
_adapters: dict[str, Adapter | None] = {}
_singletons: dict[int, tuple[Any, str]] = {}
_collected: set[str] = set()


def _adapter(value: Any) -> Adapter | None:
    kind = type(value)
    top = kind.__module__.partition(".")[0] if type(kind.__module__) is str else ""
    found = _adapters.get(top, _ABSENT)
    if found is not _ABSENT:
        return found  # type: ignore[return-value]
    if top not in _ADAPTERS or top not in sys.modules:
        return None
    adapter: Any = importlib.import_module(f"proxyplane.hosts.{_ADAPTERS[top]}")
    _adapters[top] = adapter
    return _adapters[top]


def facts(value: Any) -> Facts:
    """Rows, cells and bytes of a value's whole content, nested frames and arrays included.

    A scalar is one row; a tuple inside a list is one row. `Facts()` where it is not known: an iterator, an object of a
    library without an adapter, a container that holds itself.
    """
    return _facts(value, 0)


def _facts(value: Any, depth: int) -> Facts:
    kind = type(value)
    if kind is str or kind is bytes:
        return Facts(1, 1, len(value))
    if kind in _CONTAINERS:
        return _container(value, depth)
    adapter = _adapter(value)
    if adapter is not None:
        return adapter.facts(value)
    if kind in _SCALARS or kind.__module__ in _PLAIN_MODULES:
        return _ONE
    return _container(value, depth) if isinstance(value, _CONTAINERS) else _UNKNOWN


def _container(value: Any, depth: int) -> Facts:
    if depth > _MAX_DEPTH:
        return _UNKNOWN
    rows = cells = size = 0
    items = value.values() if isinstance(value, dict) else value
    for item in items:
        if item is None or type(item) in (int, float, bool):
            rows, cells = rows + 1, cells + 1
            continue
        inner = _facts(item, depth + 1)
        if inner.rows is None:
            return _UNKNOWN
        rows += inner.rows if not isinstance(item, tuple) else _tuple_rows(item, inner.rows)
        cells += inner.cells or 0
        size += inner.bytes or 0
    if isinstance(value, dict):
        cells += len(value)
        rows = max(rows, len(value))
    return Facts(rows, cells, size)


def _tuple_rows(item: tuple[Any, ...], rows: int) -> int:
    """A tuple of scalars is one row of a table; what it holds beyond scalars counts."""
    return 1 + rows - len(item) if rows > len(item) else 1


def shown(value: Any) -> Facts:
    """What `repr` or `str` shows of it under the display options in force."""
    kind = type(value)
    plain: Any = object.__repr__
    if kind in _NAMED or isinstance(value, type) or kind.__repr__ is plain:
        return _NOTHING
    adapter = _adapter(value)
    if adapter is not None:
        return adapter.shown(value)
    if kind.__module__ == "builtins" and hasattr(kind, "__next__"):
        return _NOTHING
    return facts(value)


def carried(value: Any) -> Carried | None:
    """The content of a numpy scalar, `Timestamp`, `Timedelta` or row of `itertuples`; None if no built-in holds it."""
    adapter = _adapter(value)
    return adapter.carried(value) if adapter is not None else None


def is_options(value: Any) -> bool:
    """Whether it stands for a library's options, which are each session's own: setting its attributes sets them."""
    return type(value).__module__ == "pandas._config.config"


def singleton_name(value: Any) -> str | None:
    """The dotted name of a library's singleton, by identity; None for every other value."""
    for library in _LIBRARIES:
        if library not in _collected and library in sys.modules:
            _collect(library)
    found = _singletons.get(id(value))
    return found[1] if found is not None else None


def singleton(name: str) -> Any:
    """The singleton of that name.

    Raises:
        KeyError: no loaded library has such a singleton.
    """
    singleton_name(None)
    for value, known in _singletons.values():
        if known == name:
            return value
    raise KeyError(f"expected the name of a singleton of a loaded library, got {name[:100]!r}")


def _collect(library: str) -> None:
    module = sys.modules[library]
    if getattr(getattr(module, "__spec__", None), "_initializing", False):
        return
    adapter: Any = importlib.import_module(f"proxyplane.hosts.{library}")
    _collected.add(library)
    for name in adapter.SINGLETONS:
        value: Any = module
        for part in name.split(".")[1:]:
            value = getattr(value, part, _ABSENT)
        if value is not _ABSENT:
            _singletons.setdefault(id(value), (value, name))


def project(
    value: Any,
    *,
    show: tuple[Any, ...] | None,
    hide: tuple[Any, ...],
    where: tuple[RowFilter, ...] = (),
    whole: bool = False,
) -> Any:
    """A frame rebuilt column by column in fresh memory, with only what may be seen. See `hosts.projection`.

    Args:
        value: a frame of pandas or polars.
        show: the columns and named index levels that stay; None for all.
        hide: those that go.
        where: conditions on rows; all must be true of those that stay.
        whole: rebuild it also where everything may be seen.

    Raises:
        PolicyError: not a frame, a name that matches nothing, a condition that cannot be evaluated, or content that
            cannot be rebuilt.
    """
    if show is None and not hide and not where and not whole:
        return value
    adapter = _adapter(value)
    if adapter is None:
        raise PolicyError(
            f"show and hide need a DataFrame; this object is a {type(value).__name__}",
            hint="grant a DataFrame, or an object that holds only what may be seen",
        )
    return adapter.project(matching(value, where) if where else value, show, hide)


def column_names(value: Any) -> tuple[Any, ...] | None:
    """Column labels of a frame (of a groupby: of its frame) in order; None for everything else."""
    adapter = _adapter(value)
    return adapter.column_names(value) if adapter is not None else None


def labels(value: Any) -> tuple[Any, ...] | None:
    """Every text that a schema member of it could show: column labels level by level, names of axes, categories.

    None where there is none.
    """
    adapter = _adapter(value)
    return adapter.labels(value) if adapter is not None else None


def width(value: Any, *, displayed: bool = False) -> int | None:
    """Cells of one row of a table, array or column, with the levels of its index; None for anything else.

    Args:
        value: any object.
        displayed: only as many as its repr shows under the display options in force.
    """
    measure = getattr(_adapter(value), "width", None)
    found: int | None = measure(value, displayed) if measure is not None else None
    return found


def unshared(value: Any) -> Any:
    """A copy of an array, or of a tuple of arrays, that cannot be written: compiled code trusts the original."""
    if isinstance(value, tuple):
        return tuple(unshared(item) for item in value)
    copied = value.copy()
    copied.flags.writeable = False
    return copied


def displayed(value: Any) -> Facts:
    """What the HTML of an object that is little more than its attributes shows; of everything else its repr."""
    measure = getattr(_adapter(value), "displayed", None)
    found: Facts = measure(value) if measure is not None else shown(value)
    return found


def viewable(value: Any, wanted: Any) -> bool:
    """Whether the memory of an array may be read as another dtype or class: nothing in it but values, nor seen in it.

    Args:
        value: the array or scalar.
        wanted: a dtype as numpy takes it, or a class of arrays.
    """
    judged = getattr(_adapter(value), "viewable", None)
    return judged is not None and bool(judged(value, wanted))


def index_labels(value: Any) -> tuple[Any, ...] | None:
    """The labels that an index holds, level by level, and its names; None for anything else."""
    adapter = _adapter(value)
    return adapter.index_labels(value) if adapter is not None else None


def index_names(value: Any) -> tuple[Any, ...]:
    """What the levels of a table's index are called; None for a level without a name."""
    if type(value).__module__.partition(".")[0] != "pandas":
        return ()
    return tuple(getattr(getattr(value, "index", None), "names", ()))


def ends(value: Any) -> tuple[Any, ...]:
    """First and last label of a table's rows, as a summary of it shows them; none of rows that are only counted."""
    found = getattr(_adapter(value), "ends", None)
    labels: tuple[Any, ...] = found(value) if found is not None else ()
    return labels


def names(value: Any) -> list[str]:
    """Attributes that this instance offers beyond its type: columns, labels or fields that are identifiers."""
    adapter = _adapter(value)
    return adapter.names(value) if adapter is not None else []


def has_dynamic(value: Any, name: str) -> bool:
    """Whether `name` is one of `names(value)`."""
    adapter = _adapter(value)
    return adapter is not None and name.isidentifier() and not name.startswith("_") and adapter.has_dynamic(value, name)


def is_database(value: Any) -> bool:
    """Whether it leads to rows of a database: what one connection is given, another, or a cursor made before, shows."""
    module = type(value).__module__
    return type(module) is str and module.partition(".")[0] in _DATABASES


def extended(kind: type, hooks: dict[str, Any], attributes: dict[str, Any]) -> Any:
    """An object of the plane's own that host code takes for one of `kind`.

    Args:
        kind: a type whose catalog line says `extends`.
        hooks: functions that it calls, by the name of the method.
        attributes: plain values.
    """
    adapter: Any = importlib.import_module(f"proxyplane.hosts.{kind.__module__.partition('.')[0]}")
    return adapter.extended(kind, hooks, attributes)


def may_set(value: Any, name: str) -> bool:
    """Whether the attribute `name`, one of `names(value)`, may be assigned.

    (Compiled code trusts what a fit has found.)
    """
    if not has_dynamic(value, name):
        return False
    adapter: Any = _adapter(value)
    return not hasattr(adapter, "may_set") or bool(adapter.may_set(value, name))


def schema(value: Any) -> dict[str, Any] | None:
    """Kind, shape and column dtypes for `describe`: never a value, and categorical dtypes without their categories."""
    adapter = _adapter(value)
    if adapter is not None:
        return adapter.schema(value)
    if type(value) in _CONTAINERS:
        return {"kind": type(value).__name__, "shape": [len(value)]}
    return None


def family(value: Any) -> tuple[Any, ...]:
    """Objects that share memory with it: what changes in one changes in all."""
    adapter = _adapter(value)
    return adapter.family(value) if adapter is not None else ()
