"""The adapter for objects that are little more than their attributes: estimators, results of tests and optimisers.

Their public attributes (parameters, what a fit has found, the keys of a result) are reachable as natively; what these
hold
crosses by its own type. How much data such an object holds is not known, so a text of all of it is never cheap.
"""

from __future__ import annotations

import types
from typing import Any, Final

from proxyplane.decisions import Facts
from proxyplane.errors import PolicyError
from proxyplane.hosts import Carried
from proxyplane.hosts import facts as facts_of
from proxyplane.hosts import shown as shown_of

SINGLETONS: Final = ()

_NOTHING: Final = Facts(0, 0, 0)
_UNKNOWN: Final = Facts()
_REFUSED: Final = frozenset(("memory", "input", "cachedir", "location"))
"""Parameters that name files: set when the object is made, where the catalog's rules look at them."""
_RAW: Final = frozenset("data indices indptr row col coords offsets rows".split())
"""Of a sparse matrix: compiled code reads memory where these say."""
_MAX_DEPTH: Final = 10
_HIDDEN: Final = (types.ModuleType, types.FunctionType, types.BuiltinFunctionType, types.MethodType)


def facts(value: Any) -> Facts:
    """Of a result that is a tuple or dict what its items hold, of a sparse matrix what it stores; else not known."""
    if type(value).__module__.startswith("scipy.sparse."):
        return _sparse(value)
    if isinstance(value, dict):
        return facts_of(dict(value))
    return facts_of(tuple(value)) if isinstance(value, tuple) else _UNKNOWN


def _sparse(value: Any) -> Facts:
    stored, shape = getattr(value, "nnz", None), getattr(value, "shape", None)
    if type(stored) is not int or type(shape) is not tuple or not shape:
        return _UNKNOWN
    return Facts(max(shape[0], 1), max(stored, shape[0], 1), None)


def shown(value: Any) -> Facts:
    """Of an estimator the repr shows its parameters, of a result all that it holds."""
    parameters = getattr(type(value), "get_params", None)
    if parameters is None:
        known = isinstance(value, (dict, tuple)) or type(value).__module__.startswith("scipy.sparse.")
        return facts(value) if known else _UNKNOWN
    rows = cells = 0
    for part in vars(value).values():
        if isinstance(part, _HIDDEN) or type(part).__module__.startswith(("sklearn.", "scipy.")):
            continue
        inner = shown_of(part)
        if inner.rows is None:
            return _UNKNOWN
        rows, cells = max(rows, inner.rows), cells + (inner.cells or 0)
    return Facts(max(rows, 1), max(cells, 1), None)


def displayed(value: Any, depth: int = 0) -> Facts:
    """Of an estimator what its HTML shows: its parameters, and what a fit has found, in its parts too."""
    if depth > _MAX_DEPTH:
        return _UNKNOWN
    rows = cells = 1
    parts = [part for name, part in vars(value).items() if not name.startswith("_")]
    while parts:
        part = parts.pop()
        if isinstance(part, _HIDDEN) or part is None:
            continue
        if type(part) in (list, tuple):
            parts.extend(part)
            continue
        nested = hasattr(type(part), "get_params") and type(part).__module__.startswith("sklearn.")
        inner = displayed(part, depth + 1) if nested else facts_of(part)
        if inner.rows is None:
            return _UNKNOWN
        rows, cells = max(rows, inner.rows), cells + (inner.cells or 0)
    return Facts(rows, cells, None)


def names(value: Any) -> list[str]:
    """Public attributes of the instance that are no functions, and the keys of a result."""
    found = {name: part for name, part in _attributes(value).items() if not isinstance(part, _HIDDEN)}
    return sorted(n for n in found if type(n) is str and n.isidentifier() and n[0] != "_" and has_dynamic(value, n))


def has_dynamic(value: Any, name: str) -> bool:
    """Whether it is one of `names` that names no file."""
    if name in _REFUSED or (name in _RAW and type(value).__module__.startswith("scipy.")):
        return False
    found = _attributes(value)
    return name in found and not isinstance(found[name], _HIDDEN)


def may_set(value: Any, name: str) -> bool:
    """Only parameters of an estimator: what was found by a fit, and the parts of a result, compiled code trusts."""
    parameters = getattr(type(value), "get_params", None)
    return parameters is not None and not name.endswith("_") and name in value.get_params(deep=False)


def _attributes(value: Any) -> dict[Any, Any]:
    found: dict[Any, Any] = dict(value) if isinstance(value, dict) else {}
    return found | getattr(value, "__dict__", {})


def carried(value: Any) -> Carried | None:
    """None of them crosses with its content."""
    return None


def labels(value: Any) -> tuple[Any, ...] | None:
    """No schema."""
    return None


def index_labels(value: Any) -> tuple[Any, ...] | None:
    """No index."""
    return None


def column_names(value: Any) -> tuple[Any, ...] | None:
    """No columns."""
    return None


def schema(value: Any) -> dict[str, Any] | None:
    """Only that it is an object."""
    return None


def family(value: Any) -> tuple[Any, ...]:
    """What its attributes share is not known."""
    return ()


def project(value: Any, show: tuple[Any, ...] | None, hide: tuple[Any, ...]) -> Any:
    """It has no columns to choose from.

    Raises:
        PolicyError: always.
    """
    raise PolicyError(
        f"show and hide need a DataFrame; this object is a {type(value).__name__}",
        hint="grant a DataFrame, or an object that holds only what may be seen",
    )
