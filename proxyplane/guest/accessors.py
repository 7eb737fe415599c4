"""Accessors of the agent's own: `register_dataframe_accessor` and its like act on this guest's stub classes.

Nothing of it reaches the host: the accessor is an object of this guest that holds the stub.
"""

from __future__ import annotations

import sys
import warnings
from collections.abc import Callable
from typing import Any, Final

__all__ = ["registrar"]

_KINDS: Final = {
    ("pandas.api.extensions", "register_dataframe_accessor"): ("pandas", "DataFrame"),
    ("pandas.api.extensions", "register_series_accessor"): ("pandas", "Series"),
    ("pandas.api.extensions", "register_index_accessor"): ("pandas", "Index"),
    ("polars.api", "register_dataframe_namespace"): ("polars", "DataFrame"),
    ("polars.api", "register_expr_namespace"): ("polars", "Expr"),
    ("polars.api", "register_lazyframe_namespace"): ("polars", "LazyFrame"),
    ("polars.api", "register_series_namespace"): ("polars", "Series"),
}


class _Accessor:
    """The attribute by which an accessor is reached: made for each object at its first use."""

    def __init__(self, name: str, kind: Any) -> None:
        self._name = name
        self._kind = kind

    def __get__(self, stub: Any, owner: Any) -> Any:
        if stub is None:
            return self._kind
        found = stub.__dict__[self._name] = self._kind(stub)
        return found


def registrar(module: str, name: str) -> Callable[..., Any] | None:
    """The function of that name that registers an accessor here; None for any other name."""
    place = _KINDS.get((module, name))
    if place is None:
        return _dtype if (module, name) == ("pandas.api.extensions", "register_extension_dtype") else None
    library, kind = place

    def register(name: str) -> Callable[[Any], Any]:
        def decorate(accessor: Any) -> Any:
            cls: Any = getattr(sys.modules[library], kind)
            if hasattr(cls, name):
                text = (
                    f"registration of accessor {accessor!r} under name {name!r} for type {cls!r} is overriding a "
                    "preexisting attribute with the same name."
                )
                warnings.warn(text, UserWarning, stacklevel=2)
            type.__setattr__(cls, name, _Accessor(name, accessor))
            return accessor

        return decorate

    register.__name__ = register.__qualname__ = name
    register.__module__ = module
    return register


def _dtype(cls: type) -> type:
    """`register_extension_dtype`: what can be given here is a dtype of the host's, which is registered already."""
    return cls
