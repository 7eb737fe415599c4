"""References to lists, dicts and sets of the host: their classes inherit the built-in, and their content stays there.

So `isinstance(rows, list)`, `[1] + rows`, `json.dumps(config)` and `{**config}` work, and every look at the content
is an operation. The storage that C code would read past all methods (`heapq`) holds one item that refuses every use:
such code fails, and does not find an empty list where there is a full one. No set is inherited: C code reads sets
without asking their class.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any, Final, NoReturn

__all__ = ["CONTAINERS", "container_methods", "make"]

CONTAINERS: Final[dict[str, type]] = {"list": list, "dict": dict}
"""Built-ins that stub classes inherit."""


class _Elsewhere:
    """What C code finds in the storage of such a stub."""

    def __hash__(self) -> int:
        return 0

    def __eq__(self, other: object) -> bool:
        return self is other or self._refuse()

    def _refuse(self, *_: object) -> NoReturn:
        raise TypeError("this container lives on the host: make a copy with list(...) or dict(...) first")

    __lt__ = __le__ = __gt__ = __ge__ = __int__ = __index__ = __float__ = __bool__ = __repr__ = __str__ = _refuse
    __add__ = __radd__ = __call__ = __iter__ = __len__ = _refuse


_ELSEWHERE: Final = _Elsewhere()


def make(cls: Any, builtin: str) -> Any:
    """An instance of a stub class that inherits a list or dict."""
    if builtin == "list":
        stub = list.__new__(cls)
        list.append(stub, _ELSEWHERE)
    else:
        stub = dict.__new__(cls)
        dict.__setitem__(stub, _ELSEWHERE, _ELSEWHERE)
    return stub


def container_methods(builtin: str, known: frozenset[str]) -> dict[str, Any]:
    """What such a class has besides the host type's own methods.

    Args:
        builtin: `list`, `dict` or `set`.
        known: names that the class answers already.
    """
    found: dict[str, Any] = {"__deepcopy__": _DEEPCOPY[builtin]}
    if builtin == "set":
        return found | {"__class__": property(lambda stub: set)}
    for name in vars(CONTAINERS[builtin]):
        if name not in known and name not in _HARMLESS:
            found[name] = _unreachable(name)
    if builtin == "list":
        found["__radd__"] = _joined
    return found


_HARMLESS: Final = frozenset("__new__ __init__ __getattribute__ __doc__ __hash__ __class_getitem__ __sizeof__".split())
_DEEPCOPY: Final[dict[str, Callable[[Any, Any], Any]]] = {
    "list": lambda stub, memo: [copy.deepcopy(item, memo) for item in stub],
    "dict": lambda stub, memo: {key: copy.deepcopy(item, memo) for key, item in stub.items()},
    "set": lambda stub, memo: set(stub),
}


def _joined(stub: Any, other: Any) -> Any:
    return [*other, *stub] if isinstance(other, list) else NotImplemented


def _unreachable(name: str) -> Any:
    def method(stub: Any, /, *args: Any, **kwargs: Any) -> NoReturn:
        raise TypeError(f"{name} of a {type(stub).__name__} that lives on the host is not available; copy it first")

    return method
