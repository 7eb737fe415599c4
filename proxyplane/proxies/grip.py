"""What a proxy holds instead of its object, and how it is told from everything else."""

from __future__ import annotations

import re
import sys
import types
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import wrapt

if TYPE_CHECKING:
    from proxyplane.objects import Held
    from proxyplane.proxies.inprocess import InProcess

__all__ = ["Bound", "Grip", "ProxyType", "Told", "grip_of", "is_proxy"]


class Told(NamedTuple):
    """A fact of a type that in-process code was told, and what the decision to tell it went by."""

    value: Any
    generation: int
    roots: frozenset[str]
    labels: frozenset[str]


class Grip:
    """Stands where wrapt keeps the wrapped object.

    So a slot of wrapt's own that was overlooked here would act on this, which can do nothing, and not on the real
    object.
    """

    __slots__ = ("finished", "held", "inprocess", "items", "refused", "size", "told")

    def __init__(self, inprocess: InProcess, held: Held) -> None:
        self.inprocess = inprocess
        self.held = held
        self.refused: tuple[str, AttributeError] | None = None
        """An attribute of the class that was refused: Python asks `__getattr__` next, which must not ask again."""
        self.items: list[Any] = []
        """Of an iterator: what was read ahead, the next one last."""
        self.size = 1
        self.finished = False
        self.told: Told | None = None
        """The object's class, once that was allowed and recorded."""

    def __getattr__(self, name: str) -> Any:
        if name != "__qualname__":  # the one name that a class cannot have as a property: wrapt asks here
            raise AttributeError(name)
        try:
            return self.inprocess.perform("getattr", self.held, name)
        except AttributeError as error:
            self.refused = (name, error)
            raise


class ProxyType(type):
    """Class of proxy classes."""

    def __repr__(cls) -> str:
        return f"<cooperative proxy class for {vars(cls).get('_proxied', 'objects')}>"

    def __setattr__(cls, name: str, value: Any) -> None:
        raise TypeError(f"{cls!r} cannot be changed: its instances are proxies of one host type")

    @property
    def __mro__(cls) -> tuple[type, ...]:
        """What the abstract classes of `collections.abc` read: the special methods of the host type, and no others.

        A proxy class has every special method, most of them to fail as natively: it would pass for anything.
        """
        outline: type = vars(cls)["_outline"]
        return outline.__mro__

    @property
    def __module__(cls) -> str:  # type: ignore[override] # instances have a property of that name
        return "proxyplane.proxies"

    @property
    def __doc__(cls) -> str:  # type: ignore[override]
        return "A class of in-process proxies."


grip_of = wrapt.ObjectProxy.__mro__[1].__dict__["__wrapped__"].__get__
"""The grip of a proxy, past its own `__wrapped__`."""


def is_proxy(value: Any) -> bool:
    """Whether it is an in-process proxy; nothing of the value is asked."""
    return type(type(value)) is ProxyType


_EXPRESSIONS: Final = frozenset({"query", "eval"})
_VARIABLE: Final = re.compile(r"@([^\W\d]\w*)")


def _with_variables(args: tuple[Any, ...], kwargs: dict[str, Any], frame: types.FrameType) -> dict[str, Any]:
    """Keyword arguments with the caller's variables that an expression names with `@`: pandas would look in ours."""
    text = args[0] if args else kwargs.get("expr")
    if type(text) is not str or "@" not in text or "local_dict" in kwargs:
        return kwargs
    names = set(_VARIABLE.findall(text))
    scopes = (frame.f_globals, frame.f_locals)
    return {**kwargs, "local_dict": {name: scope[name] for scope in scopes for name in names if name in scope}}


class Bound:
    """A method of a proxied object, or a function of a proxied module, not yet called. A call is one operation."""

    __slots__ = ("__name__", "_proxy")

    def __init__(self, proxy: Any, name: str) -> None:
        self._proxy = proxy
        self.__name__ = name

    def __call__(self, /, *args: Any, **kwargs: Any) -> Any:
        if self.__name__ in _EXPRESSIONS:
            kwargs = _with_variables(args, kwargs, sys._getframe(1))
        grip = grip_of(self._proxy)
        return grip.inprocess.perform("call", grip.held, self.__name__, args, kwargs)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(f"method {self.__name__!r} has no attribute {name!r}")
        grip = grip_of(self._proxy)
        return getattr(grip.inprocess.perform("getattr", grip.held, self.__name__), name)

    @property
    def __self__(self) -> Any:
        return self._proxy

    def __repr__(self) -> str:
        return f"<method {self.__name__} of a cooperative proxy>"

    def __eq__(self, other: object) -> bool:
        return type(other) is Bound and self._proxy is other._proxy and self.__name__ == other.__name__

    def __hash__(self) -> int:
        return hash((id(self._proxy), self.__name__))
