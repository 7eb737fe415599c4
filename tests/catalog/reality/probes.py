"""Simple calls of members that no example shows: on objects of each kind, with few and plain arguments."""

from __future__ import annotations

import contextlib
import copy
import types
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from proxyplane.effects import Effect

if TYPE_CHECKING:
    from tests.catalog.reality.watch import Watch

__all__ = ["probe", "samples"]

_OUTSIDE = {Effect.PROCESS, Effect.NET, Effect.EXEC, Effect.FS_WRITE, Effect.FS_READ}


def samples(library: str) -> Iterator[Any]:
    """Objects whose members are tried."""
    from tests.catalog import objects

    yield from getattr(objects, library)()


def _tried(value: Any) -> list[tuple[Any, ...]]:
    """Arguments that a method may take."""
    return [
        (),
        (value,),
        (1,),
        ("a",),
        (["a"],),
        ([0],),
        (0, 1),
        (lambda *each: each[0],),
        ("a", "b"),
        ("a", [1, 2]),
        (1.0,),
    ]


def probe(watch: Watch, library: str) -> None:
    """Use every described member of every sample that was not exercised before."""
    from tests.catalog.reality.worker import quiet

    for value in samples(library):
        entry = watch.catalog.of(type(value)) if not isinstance(value, types.ModuleType) else None
        module = watch.catalog.module(value.__name__) if isinstance(value, types.ModuleType) else None
        members = module.members if module is not None else entry.members if entry is not None else {}
        for name, line in members.items():
            if line.name in watch.exercised or line.effects & _OUTSIDE:
                continue
            watch.where = f"probe of {line.name}"
            if line.kind == "property":
                with quiet(), contextlib.suppress(Exception, TimeoutError):
                    watch.attribute(value, name)
            elif line.kind in ("method", "classmethod", "function"):
                for args in _arguments(value, module is not None):
                    with quiet(), contextlib.suppress(Exception, TimeoutError):
                        watch.method(_copied(value), name, *args)
                    if line.name in watch.exercised:
                        break


def _arguments(value: Any, of_module: bool) -> list[tuple[Any, ...]]:
    if not of_module:
        return _tried(value)
    given = _arrays(value.__name__)
    return [*((one,) for one in given), *((one, one) for one in given), (), ("a",), (given[0], 1), (1,), (1, 2)]


def _arrays(module: str) -> list[Any]:
    from tests.catalog import objects

    return list(objects.arguments(module))


def _copied(value: Any) -> Any:
    if isinstance(value, types.ModuleType):
        return value
    try:
        return copy.copy(value)
    except Exception:
        return value
