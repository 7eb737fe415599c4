"""The sentinel: what host code really begins while it performs an operation, beside what was declared.

One audit hook for the process. While an operation is lowered, an event that its effects do not cover is recorded
(`observed`), stopped where Python lets it be stopped, and freezes the session until a person resumes it. A tripwire and
not a wall: libraries that do their input and output in compiled code raise no events (`docs/isolation.md`).

Events are tied to operations and not only to threads:

    the thread lowers an operation                  that operation
    the thread serves the plane meanwhile           nobody: it is the plane's own work, or the agent's side
    a thread that was started by a lowering         the operations under way; when there are none, the one it is from
    a thread that Python did not start              the operations under way (a library's pool)
    any other thread                                nobody: it belongs to the program around the plane
"""

from __future__ import annotations

import contextlib
import os
import sys
import tempfile
import threading
import weakref
from collections.abc import Iterator
from threading import get_ident
from typing import Any, Final

from proxyplane.effects import Effect
from proxyplane.errors import UndeclaredEffect
from proxyplane.folder import Folder
from proxyplane.frozen import freeze
from proxyplane.sightings import WATCHED, Sight, beneath, prepare, sight_of

__all__ = ["LIVE", "install", "rest", "resting", "wake"]


class _Rest:
    """Stands for a thread that does the plane's own work, or the agent's, in the middle of a lowering."""

    __slots__ = ("outer",)

    def __init__(self, outer: Any) -> None:
        self.outer = outer
        """What it lowers besides; None when it lowers nothing."""


LIVE: Final[dict[int, Any]] = {}
"""Thread to the operation that is lowered in it."""
_BORN: Final[dict[threading.Thread, weakref.ref[Any]]] = {}
"""Living threads that lowerings have started, and the session of each."""
_START: Final = "_thread.start_new_thread"
_FILES: Final = frozenset({Effect.FS_READ, Effect.FS_WRITE})
_FRAMES: Final = 200
_installing: Final = threading.Lock()
_installed: list[bool] = []


def install() -> None:
    """Put the hook in place, once for the process: audit hooks cannot be taken out again."""
    with _installing:
        if not _installed:
            prepare()
            sys.addaudithook(_hook)
            if sys.version_info < (3, 12):
                _tell_of_threads()
            _installed.append(True)


def _tell_of_threads() -> None:
    """Before 3.12 the interpreter raises no event for a thread that starts (PEP 578's table has it since)."""
    start: Any = threading._start_new_thread  # type: ignore[attr-defined]

    def start_new_thread(function: Any, args: Any, *more: Any) -> Any:
        _hook(_START, (function,))
        return start(function, args, *more)

    threading._start_new_thread = start_new_thread  # type: ignore[attr-defined]


def rest() -> Any:
    """This thread goes on with the plane's own work; gives what `wake` needs."""
    thread = get_ident()
    before = LIVE.get(thread)
    LIVE[thread] = _Rest(before)
    return before


def wake(before: Any) -> None:
    """This thread goes on with what it did before `rest`."""
    if before is None:
        LIVE.pop(get_ident(), None)
    else:
        LIVE[get_ident()] = before


@contextlib.contextmanager
def resting() -> Iterator[None]:
    """`rest`, and `wake` at the end."""
    before = rest()
    try:
        yield
    finally:
        wake(before)


def _hook(event: str, args: tuple[Any, ...]) -> None:
    # At nearly every event of the process this is all that runs.
    if not LIVE and not _BORN:
        return
    if event in WATCHED:
        _watch(event, args)
    elif event == _START:
        _born(args)


def _watch(event: str, args: tuple[Any, ...]) -> None:
    mine = LIVE.get(get_ident())
    if type(mine) is _Rest:
        return
    judged: list[Any] = [mine] if mine is not None else _attributed()
    if not judged:
        return
    sight = sight_of(event, args)
    if sight is None or any(_covers(one, sight) for one in judged):
        return
    if sight.at_import and _by_a_library():
        return
    _trip(judged, sight, own=mine is not None)


def _attributed() -> list[Any]:
    """Whose work an event is, on a thread that lowers nothing itself."""
    # Not threading.current_thread(): it would make an entry for a thread that Python did not start.
    thread = threading._active.get(get_ident())  # type: ignore[attr-defined]
    if thread is not None and not isinstance(thread, threading._DummyThread) and thread not in _BORN:
        return []
    under_way = [lowered for one in list(LIVE.values()) if (lowered := _lowered(one)) is not None]
    if not under_way and thread in _BORN:
        from_one = _BORN[thread]()
        return [from_one] if from_one is not None else []
    return under_way


def _lowered(one: Any) -> Any:
    """The operation that a thread lowers, be it at rest now."""
    while type(one) is _Rest:
        one = one.outer
    return one


def _born(args: tuple[Any, ...]) -> None:
    """A lowering starts a thread: what that does is its doing."""
    thread = getattr(args[0], "__self__", None)
    mine = LIVE.get(get_ident())
    if type(mine) is _Rest or not isinstance(thread, threading.Thread):
        return
    for other in [known for known in list(_BORN) if known.ident is not None and not known.is_alive()]:
        _BORN.pop(other, None)
    parent = threading._active.get(get_ident())  # type: ignore[attr-defined]
    if mine is not None:
        _BORN[thread] = weakref.ref(mine.session)
    elif parent in _BORN:
        _BORN[thread] = _BORN[parent]


def _covers(watched: Any, sight: Sight) -> bool:
    """Whether it is what the operation was granted. Of a session without a live operation nothing is."""
    effects = getattr(watched, "effects", None)
    if effects is None:
        return False
    if Effect.UNKNOWN in effects:  # granted by name: nothing is known to be held back
        return True
    if sight.effect not in _FILES:
        return sight.effect in effects
    if type(watched.target.value) is Folder:  # the plane's own code, on places that were decided
        return True
    if not sight.path:
        return not _FILES.isdisjoint(effects)
    if "scratch" in watched.plan.flags and beneath(os.path.realpath(sight.path), (_scratch(),)):
        return True
    access = watched.access
    if access is not None and access.reaches(sight.path):
        return True
    return bool(watched.plane.files.reaches(watched.session.id, sight.path))


def _scratch() -> str:
    """Where libraries keep temporary files of their own."""
    return os.path.realpath(tempfile.gettempdir())


def _by_a_library() -> bool:
    """Whether this is what libraries do by themselves, and not what they are told to do with the agent's arguments.

    The lowering imports something, and a library's top-level code runs; or a library sets the number of threads of
    others, which it finds among what is loaded (threadpoolctl, for scikit-learn).
    """
    frame = sys._getframe(3)
    for _ in range(_FRAMES):
        code = frame.f_code
        if code.co_name == "_find_and_load" and code.co_filename.startswith("<frozen importlib"):
            return True
        if code.co_filename.endswith("/threadpoolctl.py") and frame.f_globals.get("__name__") == "threadpoolctl":
            return True
        if frame.f_back is None or (code.co_name == "lower" and code.co_filename.endswith("/passage.py")):
            return False
        frame = frame.f_back
    return False


def _trip(judged: list[Any], sight: Sight, *, own: bool) -> None:
    for one in judged:
        session, operation = getattr(one, "session", one), getattr(one, "operation", None)
        if operation is not None:
            one.trace.undeclared(sight.effect)
        freeze(session, sight, operation, own=own)
    raise UndeclaredEffect(
        f"host code began {sight.effect} ({sight.event}), which its catalog line does not declare; it was stopped, and "
        "this session is frozen until a person has looked at it",
        effect=sight.effect,
        reason="undeclared",
        hint="use another way to the same result; `proxyplane sessions resume` is for a person",
    )
