"""What there is to use, as far as a policy's checks ask: whoever knows the catalogs answers, so that this layer need
not load them."""

from __future__ import annotations

from collections.abc import Collection
from typing import Protocol

__all__ = ["Surface"]


class Surface(Protocol):
    """The catalogued world, by name."""

    complete: bool
    """Whether what it does not name does not exist. If not, only what is surely a typing error is a fault."""

    def members(self) -> Collection[str]:
        """Names of all attributes, methods and functions that any catalog describes."""
        ...

    def types(self) -> Collection[str]:
        """Qualified names of all types that any catalog describes."""
        ...
