"""Granted modules that nobody has asked for yet: each is imported on the host when the agent first imports it.

(Importing every granted library would cost a session seconds before its first line: scikit-learn alone takes one.)
"""

from __future__ import annotations

import importlib
import importlib.util
import sys
import types
from collections.abc import Iterable
from typing import Final

from proxyplane.catalog import Catalog

__all__ = ["Shelf", "granted", "waiting"]

_AT_ONCE = frozenset(("numpy", "pandas"))
"""What nearly every session uses."""


_WITH: Final = {"matplotlib": "mpl_toolkits"}
"""Packages that come with a granted library."""


def granted(names: Iterable[str]) -> tuple[str, ...]:
    """The granted modules, with those that come with them."""
    given = tuple(names)
    return (*given, *(beside for name, beside in _WITH.items() if name in given and beside not in given))


class Shelf:
    """One session's granted modules that wait for their first import.

    Args:
        names: dotted names; no other can be had.
    """

    def __init__(self, names: tuple[str, ...]) -> None:
        self._names = frozenset(names)

    def load(self, name: str) -> types.ModuleType:
        """Import one of them.

        Raises:
            ModuleNotFoundError: it is not one of them, or is not installed after all.
        """
        if name not in self._names:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
        return importlib.import_module(name)


def waiting(name: str, catalog: Catalog) -> bool:
    """Whether a granted module can wait: a catalog knows its library, which is installed and not imported yet."""
    top = name.partition(".")[0]
    if name in sys.modules or top in _AT_ONCE or not catalog.describes(top):
        return False
    return importlib.util.find_spec(top) is not None
