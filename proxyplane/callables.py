"""What stands on one side of the membrane for something callable, or opaque, of the other side."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NoReturn

from proxyplane.errors import GuestError

__all__ = ["GuestCallable", "GuestToken", "MediatedCallable"]


class GuestCallable:
    """A function of the guest, as host code sees it: calling it runs the agent's code in the guest.

    It carries name and doc as data. It works only while its session performs an operation for the guest; a host
    library that kept it and calls it later gets a `GuestError`.
    """

    def __init__(self, call: Callable[[int, tuple[Any, ...], dict[str, Any]], Any], number: int, name: str, doc: Any):
        self._call = call
        self._number = number
        self.__name__ = name
        self.__qualname__ = name
        self.__doc__ = doc

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self._call(self._number, args, kwargs)

    def __repr__(self) -> str:
        return f"<guest function {self.__name__}>"

    def __reduce__(self) -> NoReturn:
        raise GuestError("a guest function cannot be pickled")


class MediatedCallable:
    """A host callable that an agent passed to host code: each call is an operation of its own.

    (`Series([path]).map(pd.read_csv)` reads a file whose name comes out of data: only the actual arguments say what
    the call would do.)
    """

    def __init__(self, call: Callable[[tuple[Any, ...], dict[str, Any]], Any], name: str) -> None:
        self._call = call
        self.__name__ = name
        self.__qualname__ = name

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self._call(args, kwargs)

    def __repr__(self) -> str:
        return f"<mediated {self.__name__}>"

    def __reduce__(self) -> NoReturn:
        raise GuestError("a mediated callable cannot be pickled")


class GuestToken:
    """An object of a guest's own class. The host can keep it and give it back, nothing else."""

    __slots__ = ("number", "session")

    def __init__(self, session: str, number: int) -> None:
        self.session = session
        self.number = number

    def __repr__(self) -> str:
        return "<guest object>"
