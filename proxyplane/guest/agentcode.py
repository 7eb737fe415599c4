"""The agent's functions that the host may call: numbered while the host holds them."""

from __future__ import annotations

from collections import OrderedDict
from typing import Any, Final

from proxyplane.transport.wire import Limits, Tag

__all__ = ["Agentcode"]

_MOST: Final = Limits().callables
_FORGOTTEN_KEPT: Final = 256
_DOC_CHARS: Final = 4096
_NAME_CHARS: Final = 256
_SIMPLE: Final = (int, float, str, bool, type(None))
_POSITIONAL: Final = 0x04
_KEYWORDS: Final = 0x08


class Agentcode:
    """Functions, and other callables of the guest, by number.

    A callable keeps its number while the host holds it, and so is kept alive here. The host may forget one while a
    frame that names it again is on its way, so the last 256 that were forgotten can still be called.
    """

    def __init__(self) -> None:
        self._next = 1
        self._wire: dict[Any, list[Any]] = {}
        self._held: dict[int, tuple[Any, Any]] = {}
        self._forgotten: OrderedDict[int, Any] = OrderedDict()

    def encode(self, function: Any) -> list[Any]:
        """The wire form of a callable.

        Raises:
            ValueError: the host holds too many already.
        """
        key = _identity(function)
        wire = self._wire.get(key)
        if wire is None:
            if len(self._held) >= _MOST:
                raise ValueError(f"the host holds {_MOST:,} functions of this code already; reuse one")
            number, self._next = self._next, self._next + 1
            wire = [Tag.CALLABLE, number, _name(function), _doc(function), _signature(function)]
            self._wire[key] = wire
            self._held[number] = (function, key)
        return wire

    def get(self, number: int) -> Any:
        """The callable of a number.

        Raises:
            LookupError: the host let go of it long ago.
        """
        found = self._held.get(number)
        if found is not None:
            return found[0]
        try:
            return self._forgotten[number]
        except KeyError:
            raise LookupError("the host called a function that it had let go of") from None

    def forget(self, numbers: list[int]) -> None:
        """The host holds these no more."""
        for number in numbers:
            found = self._held.pop(number, None)
            if found is not None:
                del self._wire[found[1]]
                self._forgotten[number] = found[0]
                if len(self._forgotten) > _FORGOTTEN_KEPT:
                    self._forgotten.popitem(last=False)

    def settle(self) -> None:
        """A run begins: no frame is on its way that could name what the host has forgotten."""
        self._forgotten.clear()

    def __len__(self) -> int:
        return len(self._held)


def _identity(function: Any) -> Any:
    """A bound method is made anew at each access: its parts say which one it is. The table keeps them alive."""
    bound = getattr(type(function), "__func__", None) is not None
    return (id(function.__self__), id(function.__func__)) if bound else id(function)


def _name(function: Any) -> str:
    name = getattr(function, "__name__", None)
    return name[:_NAME_CHARS] if type(name) is str else type(function).__name__


def _doc(function: Any) -> str | None:
    doc = getattr(function, "__doc__", None) if hasattr(function, "__code__") or isinstance(function, type) else None
    return doc[:_DOC_CHARS] if type(doc) is str else None


def _signature(function: Any) -> str | None:
    """Parameters as text, read off the code object: `inspect` would take longer than the call."""
    code = getattr(function, "__code__", None)
    if code is None:
        return None
    bound = getattr(function, "__func__", None) is not None
    function = getattr(function, "__func__", function)
    names = list(code.co_varnames)
    count = code.co_argcount
    defaults = function.__defaults__ or ()
    texts = names[:count]
    for position, default in zip(range(count - len(defaults), count), defaults, strict=True):
        texts[position] += f"={default!r}" if type(default) in _SIMPLE else "=..."
    after = count + code.co_kwonlyargcount
    if code.co_flags & _POSITIONAL:
        texts.append("*" + names[after])
        after += 1
    elif code.co_kwonlyargcount:
        texts.append("*")
    keywords = function.__kwdefaults__ or {}
    for name in names[count : count + code.co_kwonlyargcount]:
        texts.append(f"{name}=..." if name in keywords else name)
    if code.co_flags & _KEYWORDS:
        texts.append("**" + names[after])
    return f"({', '.join(texts[1:] if bound and count else texts)})"[:_DOC_CHARS]
