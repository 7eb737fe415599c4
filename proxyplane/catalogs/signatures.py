"""What can be read off a member of an installed library: its kind, and at which position each parameter stands."""

from __future__ import annotations

import inspect
from typing import Any

__all__ = ["kind_word", "positions_of", "takes_keywords"]


def positions_of(value: Any, bound: bool) -> dict[str, int | None] | None:
    """Parameters in order, each with its position without self, or None where it goes by name only.

    Decorators that deprecate positional arguments announce them as keyword-only and still take them, so the
    innermost function counts.
    """
    outer = _own(value, bound)
    inner = _own(inspect.unwrap(value), bound) if hasattr(value, "__wrapped__") else None
    return {**(outer or {}), **inner} if inner is not None else outer


def _own(value: Any, bound: bool) -> dict[str, int | None] | None:
    try:
        parameters = list(inspect.signature(value, follow_wrapped=False).parameters.values())
    except (ValueError, TypeError):
        return None
    if not bound and not inspect.ismethod(value) and parameters and parameters[0].name == "self":
        parameters = parameters[1:]
    found: dict[str, int | None] = {}
    counted = True
    for position, parameter in enumerate(parameters):
        counted = counted and parameter.kind in (parameter.POSITIONAL_ONLY, parameter.POSITIONAL_OR_KEYWORD)
        if parameter.kind not in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD):
            found[parameter.name] = position if counted else None
    return found


def kind_word(static: Any) -> str:
    """`method`, `classmethod`, `property` or `constant`, of what stands in a class."""
    if isinstance(static, classmethod) or type(static).__name__ == "classmethod_descriptor":
        return "classmethod"
    if isinstance(static, staticmethod):
        return "classmethod"
    if isinstance(static, type) or type(static).__name__ == "Accessor":
        return "property"
    if hasattr(type(static), "__get__") and not callable(static):
        return "property"
    return "method" if callable(static) else "constant"


def takes_keywords(value: Any) -> bool:
    """Whether a callable hands on keyword arguments that its signature does not name."""
    try:
        return any(p.kind is p.VAR_KEYWORD for p in inspect.signature(value).parameters.values())
    except (ValueError, TypeError):
        return True
