"""`display(...)` for the agent, and how the last expression of a run is shown.

The host makes what is displayed of its own objects and puts it into the result of the run; here it is only asked for.
"""

from __future__ import annotations

import builtins
import sys
import types
from typing import Any, Final

from proxyplane.errors import BudgetExceeded
from proxyplane.guest.references import Reference, StubType

__all__ = ["display", "install", "last_text"]

_MEMBER: Final = "_repr_mimebundle_"


def display(*objects: Any) -> None:
    """Show objects: a frame as a table, a figure as a picture, everything else as its repr.

    What lives here and not on the host is printed.

    Raises:
        PermissionError: it may not be shown, or not be displayed.
    """
    for value in objects:
        if _on_host(value):
            value._request("call", value._handle, _MEMBER)
        else:
            print(repr(value))


def install() -> None:
    """Make `display` a built-in, and importable as in a notebook."""
    builtins.display = display  # type: ignore[attr-defined]
    module = types.ModuleType("IPython.display", "Only display(); the rest of IPython is not here.")
    package = types.ModuleType("IPython", module.__doc__)
    module.display = package.display = display  # type: ignore[attr-defined]
    package.__path__ = []
    sys.modules |= {"IPython": package, "IPython.display": module}


def last_text(value: Any) -> str:
    """The text of the last expression; what has more to show is displayed too, where that is allowed."""
    if _on_host(value) and type(value)._rich:
        try:
            return str(value._request("call", value._handle, _MEMBER, ("last",)))
        except PermissionError as error:  # not as a whole; perhaps as text
            if getattr(error, "effect", None) == "reveal" and not isinstance(error, BudgetExceeded):
                raise
            return str(value._request("call", value._handle, "_repr_pretty_"))
    return repr(value)


def _on_host(value: Any) -> bool:
    """Whether it is a stub that does not carry its content."""
    kind = type(value)
    return type(kind) is StubType and issubclass(kind, Reference) and "_value" not in value.__dict__
