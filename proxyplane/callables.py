"""What stands on one side of the membrane for something callable, or opaque, of the other side."""

from __future__ import annotations

import ast
import inspect
import keyword
import re
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

    def sign(self, text: str) -> None:
        """Carry the parameters of the agent's function as data: some libraries count them.

        Args:
            text: as the guest wrote it. What is not plainly a list of names is no signature.
        """
        found = signature_of(text)
        if found is not None:
            self.__signature__ = found

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self._call(self._number, args, kwargs)

    def __deepcopy__(self, memo: object) -> GuestCallable:
        return self  # as a function natively

    def __repr__(self) -> str:
        return f"<guest function {self.__name__}>"

    def __reduce__(self) -> NoReturn:
        raise GuestError("a guest function cannot be pickled")


_PARAMETER = re.compile(r"(\*{0,2})([^\W\d]\w*)?(=(?:\.\.\.|None|True|False|-?[\d.e+-]+|'[^'\\]*'))?(?:, |$)")
_MOST_PARAMETERS = 100


def signature_of(text: str) -> inspect.Signature | None:
    """The signature that a guest describes as `(x, a=1, *args, b=..., **rest)`; None where it describes none."""
    if not (text.startswith("(") and text.endswith(")")):
        return None
    text, at = text[1:-1], 0
    kind: Any = inspect.Parameter.POSITIONAL_OR_KEYWORD
    found: list[inspect.Parameter] = []
    while at < len(text) and len(found) < _MOST_PARAMETERS:
        part = _PARAMETER.match(text, at)
        if part is None or part.end() == at:
            return None
        at = part.end()
        stars, name, default = part.groups()
        if stars == "*":
            kind = inspect.Parameter.KEYWORD_ONLY
            if name is None:
                continue
        if name is None or keyword.iskeyword(name):
            return None
        here = {"*": inspect.Parameter.VAR_POSITIONAL, "**": inspect.Parameter.VAR_KEYWORD}.get(stars, kind)
        given = {"default": _default(default[1:])} if default else {}
        found.append(inspect.Parameter(name, here, **given))
    try:
        return inspect.Signature(found)
    except ValueError:  # twice the same name, or an order that Python does not have
        return None


def _default(text: str) -> Any:
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError):
        return ...


class MediatedCallable:
    """A host callable that an agent passed to host code: each call is an operation of its own.

    (`Series([path]).map(pd.read_csv)` reads a file whose name comes out of data: only the actual arguments say what
    the call would do.)
    """

    def __init__(self, call: Callable[[tuple[Any, ...], dict[str, Any]], Any], name: str) -> None:
        self._call = call
        self.__name__ = name
        self.__qualname__ = name
        self.stands_for: type | None = None
        """The type that it is called for, for what only wants to know which one is meant."""

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self._call(args, kwargs)

    def __deepcopy__(self, memo: object) -> MediatedCallable:
        return self

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
