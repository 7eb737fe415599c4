"""`help`: for host objects their documentation, for everything else Python's own."""

from __future__ import annotations

import inspect
from typing import Any

from proxyplane.guest.references import Bound, HostFunction, Reference, StubType

__all__ = ["give_help"]


def give_help(*asked: Any) -> None:
    """Print what is known of an object.

    Args:
        asked: at most one object; without one, a hint.
    """
    if not asked:
        print("help(name) shows the documentation of name; dir(name) lists its members")
        return
    thing = asked[0]
    kind = type(thing)
    if isinstance(thing, (Bound, HostFunction)):
        print(_host_text("function", thing.__qualname__, thing.__doc__))
    elif kind is StubType or isinstance(thing, Reference) or type(kind) is StubType:
        shown: Any = thing if kind is StubType else kind
        print(_host_text("class", f"{shown.__module__}.{shown.__qualname__}", shown.__doc__))
        print("\nMembers: " + ", ".join(name for name in dir(thing) if not name.startswith("_")))
    else:
        import pydoc  # noqa: PLC0415 - large, and most agents never ask

        print(pydoc.plain(pydoc.render_doc(thing, "Help on %s")))


def _host_text(kind: str, name: str, doc: str | None) -> str:
    indented = "\n".join(f"    {line}".rstrip() for line in inspect.cleandoc(doc).splitlines()) if doc else ""
    return f"Help on {kind} {name}:\n\n{name}\n{indented}"
