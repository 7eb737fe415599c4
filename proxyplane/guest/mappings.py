"""`to_dict(into=...)`: mappings of the agent's own classes are made here, of the plain dicts that the host gives."""

from __future__ import annotations

import functools
from collections import defaultdict
from collections.abc import Callable, MutableMapping
from typing import Any

__all__ = ["maker_of", "remade"]


def maker_of(into: Any) -> Callable[[Any], Any]:
    """What makes a mapping of that kind; `into` is a class, or an instance whose kind is meant.

    Raises:
        TypeError: as pandas raises it.
    """
    if not isinstance(into, type):
        if isinstance(into, defaultdict):
            return functools.partial(defaultdict, into.default_factory)
        into = type(into)
    if not issubclass(into, MutableMapping):
        raise TypeError(f"unsupported type: {into}")
    if into is defaultdict:
        raise TypeError("to_dict() only accepts initialized defaultdicts")
    maker: Callable[[Any], Any] = into
    return maker


def remade(found: Any, maker: Callable[[Any], Any], orient: Any) -> Any:
    """What the host gave, with mappings of that kind where pandas makes them.

    Args:
        found: a dict, or a list of them.
        maker: of `maker_of`.
        orient: as it was given; None for the default.
    """
    if isinstance(found, list):
        return [maker(item) for item in found]
    if orient in (None, "dict"):
        return maker({key: maker(item) if type(item) is dict else item for key, item in found.items()})
    return maker(found)
