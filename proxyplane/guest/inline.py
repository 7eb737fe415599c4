"""One thread, and no way to wait for the world: `threading`, thread pools and `asyncio` as they can work here.

A guest can start no thread. What is given to one runs at once, in the only thread there is, and so does what is
submitted to a pool. The event loop waits with `time.sleep` instead of a selector. Patched when the agent's code first
imports them.
"""

from __future__ import annotations

import importlib.machinery
import sys
import time
import types
from collections.abc import Callable, Sequence
from typing import Any, Final

__all__ = ["install", "run_coroutine"]

_loops: list[Any] = []


class _Waiter:
    """In the place of a selector: there is nothing to select from."""

    def select(self, timeout: float | None) -> list[Any]:
        """Wait for the next timer."""
        if timeout is None:
            raise RuntimeError(
                "this code waits for something that cannot happen here: there is no network, no other process and no "
                "other thread; await what runs by itself, such as asyncio.sleep"
            )
        if timeout > 0:
            time.sleep(timeout)
        return []


def _asyncio(asyncio: Any) -> None:
    class Loop(asyncio.base_events.BaseEventLoop):  # type: ignore[misc]
        """An event loop of timers and callbacks."""

        def __init__(self) -> None:
            super().__init__()
            self._selector = _Waiter()

        def _process_events(self, event_list: list[Any]) -> None:
            """There are none."""

        def _write_to_self(self) -> None:
            """Nothing sleeps that could be woken."""

    class Policy(asyncio.DefaultEventLoopPolicy):  # type: ignore[misc]
        """Makes such loops."""

        _loop_factory = Loop

    for kind in (Loop, Policy):
        kind.__module__ = "asyncio"
        kind.__qualname__ = kind.__name__
    asyncio.set_event_loop_policy(Policy())


def _threading(threading: Any) -> None:
    def start(self: Any) -> None:
        if self._started.is_set():
            raise RuntimeError("threads can only be started once")
        self._started.set()
        try:
            self.run()
        except SystemExit:
            pass
        except BaseException:
            threading.excepthook(threading.ExceptHookArgs((*sys.exc_info(), self)))
        finally:
            self._ran_inline = True

    def join(self: Any, timeout: float | None = None) -> None:
        if not self._started.is_set():
            raise RuntimeError("cannot join thread before it is started")

    def is_alive(self: Any) -> bool:
        return bool(self._started.is_set() and not getattr(self, "_ran_inline", False))

    for method in (start, join, is_alive):
        method.__qualname__ = f"Thread.{method.__name__}"
        setattr(threading.Thread, method.__name__, method)
    threading._DummyThread.is_alive = threading._MainThread.is_alive = lambda self: True


def _pools(pools: Any) -> None:
    def submit(self: Any, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Any:
        if self._shutdown:
            raise RuntimeError("cannot schedule new futures after shutdown")
        future = pools._base.Future()
        pools._WorkItem(future, fn, args, kwargs).run()
        return future

    pools.ThreadPoolExecutor.submit = submit


_PATCHES: Final[dict[str, Callable[[Any], None]]] = {
    "asyncio": _asyncio,
    "threading": _threading,
    "concurrent.futures.thread": _pools,
}


class _Patching:
    """Finder and loader of the modules that are patched after they have run."""

    def __init__(self) -> None:
        self._loaders: dict[str, Any] = {}

    def find_spec(
        self, fullname: str, path: Sequence[str] | None = None, target: types.ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        """What the others find, loaded by this one; None for all other modules."""
        if fullname not in _PATCHES:
            return None
        for finder in sys.meta_path:
            spec = finder.find_spec(fullname, path, target) if finder is not self else None
            if spec is not None:
                self._loaders[fullname] = spec.loader
                spec.loader = self  # type: ignore[assignment]
                return spec
        return None

    def create_module(self, spec: importlib.machinery.ModuleSpec) -> types.ModuleType | None:
        """As the real loader does."""
        loader: Any = self._loaders[spec.name]
        made: types.ModuleType | None = loader.create_module(spec)
        return made

    def exec_module(self, module: types.ModuleType) -> None:
        """Run it, then patch it."""
        self._loaders[module.__name__].exec_module(module)
        _PATCHES[module.__name__](module)

    def __getattr__(self, name: str) -> Any:  # get_source and the like, by which tracebacks find lines
        raise AttributeError(name)


def install() -> None:
    """Have these modules patched, those that are loaded already at once."""
    for name, patch in _PATCHES.items():
        if name in sys.modules:
            patch(sys.modules[name])
    sys.meta_path.insert(0, _Patching())


def run_coroutine(coroutine: Any) -> Any:
    """The result of a coroutine of top-level code, on a loop that lasts as long as the guest."""
    import asyncio  # noqa: PLC0415 - most code awaits nothing

    if not _loops:
        _loops.append(asyncio.new_event_loop())
        asyncio.set_event_loop(_loops[0])
    return _loops[0].run_until_complete(coroutine)
