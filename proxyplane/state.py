"""Process-wide state of host libraries, one for each session.

Options of pandas and polars, numpy's print options and error state, its legacy random generator and pyplot's figures
belong to the process. A session that changes them gets its own: they are put in place around each of its lowerings,
and what the host had is put back afterwards, also on error and while a callback runs in the guest.

    perform(lowering) -> nobody has state of its own: just do it
                      -> this session has: wait until no other session lowers, swap in, lower, swap out
                      -> another session has: wait until its state is swapped out

What lives in context variables (numpy's options) is swapped by running the lowering in the session's own context.
Host code of other threads that runs at the same time can still see what is swapped in: it is one process.
"""

from __future__ import annotations

import contextvars
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import get_ident
from typing import Any, Final, TypeVar

from proxyplane.callables import GuestCallable
from proxyplane.hosts.swapped import Random, Table, load_drawing, printing, tables
from proxyplane.sentinel import resting

__all__ = ["SessionState"]

_T = TypeVar("_T")

_TOUCHING: Final = frozenset({"state", "random"})
"""Catalog flags of what changes state of the process."""
_PATIENCE: Final = 0.01
"""Seconds between looks at lowerings that end without a word, as those do that nothing was swapped for."""


class _Gate:
    """Who may lower: any number of sessions with the host's own state in place, or one with its own."""

    def __init__(self) -> None:
        self.private = 0
        """Open sessions that have state of their own."""
        self.turn = threading.Condition()
        self.owner: SessionState | None = None
        self.waiting = 0
        """Sessions that wait to become the owner."""
        self.running: dict[int, SessionState] = {}
        """Thread to the session that lowers in it."""


_GATE: Final = _Gate()


class _Turn:
    """One lowering, with those inside it, for which a session's own state is in place."""

    __slots__ = ("changes", "depth")

    def __init__(self) -> None:
        self.depth = 1
        self.changes = False
        """One of its operations may change the state."""


class SessionState:
    """One session's own state of the process's libraries; nothing until it changes some."""

    def __init__(self) -> None:
        self.private = False
        """It has changed something once."""
        self.calls_back = False
        """A function of the guest is part of it (`display.float_format`)."""
        self._tables: dict[str, Table] = {}
        self._context = contextvars.Context()
        self._inside: int | None = None
        """The thread that runs in that context."""
        self._turn: _Turn | None = None

    def perform(self, function: Callable[..., _T], flags: frozenset[str] = frozenset(), *arguments: Any) -> _T:
        """Do something with the host's libraries, with this session's state in place.

        Args:
            function: a lowering, or a look at what one would show.
            flags: of its catalog line; `state` and `random` give the session state of its own.
            arguments: of `function`.

        Raises:
            Exception: what `function` raises.
        """
        thread, running = get_ident(), _GATE.running
        before = running.get(thread)
        running[thread] = self
        try:
            if not _GATE.private and flags.isdisjoint(_TOUCHING):
                return function(*arguments)
            return self._in_turn(lambda: function(*arguments), flags)
        finally:
            if before is None:
                running.pop(thread, None)
            else:
                running[thread] = before
            if _GATE.waiting:
                with _GATE.turn:
                    _GATE.turn.notify_all()

    def _in_turn(self, function: Callable[[], _T], flags: frozenset[str]) -> _T:
        changes = not flags.isdisjoint(_TOUCHING)
        if changes:
            self._become_private(flags)
        if not self.private:
            self._wait_for_the_hosts()
            return function()
        turn = self._acquire()
        if changes:
            self._watch(turn)
        try:
            return self._run(function)
        finally:
            if changes:
                self.calls_back = self._holds_guest_code()
            self._release(turn)

    def _become_private(self, flags: frozenset[str]) -> None:
        if "draws" in flags:
            load_drawing()  # or pandas would load it while it draws, and use the host's figures
        with _GATE.turn:
            if not self.private:
                self._context = contextvars.copy_context()
                _GATE.private += 1
                self.private = True
            for name, make in tables():
                self._add(name, make)
            if "random" in flags and "numpy" in sys.modules:
                self._add("numpy.random", Random)

    def _add(self, name: str, make: Callable[[], Table]) -> None:
        if name in self._tables:
            return
        table = self._tables[name] = make()
        if self._turn is not None:  # inside a lowering for which the others are in place already
            table.enter()

    def _wait_for_the_hosts(self) -> None:
        """Until the host's own state is in place; then no session swaps while this thread is known to run."""
        gate, thread = _GATE, get_ident()
        with gate.turn:
            while gate.owner is not None or (gate.waiting and not self._runs_already(thread)):
                gate.running.pop(thread, None)
                gate.turn.wait(_PATIENCE)
            gate.running[thread] = self

    def _runs_already(self, thread: int) -> bool:
        """Whether this is part of a lowering that a waiting session waits for."""
        return any(owner is self and other != thread for other, owner in list(_GATE.running.items()))

    def _run(self, function: Callable[[], _T]) -> _T:
        thread = get_ident()
        with _GATE.turn:
            entered = self._inside
            if entered is None:
                self._inside = thread
        if entered == thread:
            return function()
        if entered is not None:  # a pool's thread: like natively, what it sets is its own
            return self._context.copy().run(function)
        try:
            return self._context.run(function)
        finally:
            self._inside = None

    # Swapping

    def _acquire(self) -> _Turn:
        with _GATE.turn:
            if self._turn is not None:
                self._turn.depth += 1
                return self._turn
            turn = _Turn()
            self._own(turn)
            return turn

    def _watch(self, turn: _Turn) -> None:
        """An operation of this turn may change the state."""
        with _GATE.turn:
            turn.changes = True
            for table in self._tables.values():
                table.watch()

    def _own(self, turn: _Turn) -> None:
        """Wait until nobody else lowers, then swap in. Holds the gate's lock."""
        gate = _GATE
        mine = self._withdraw()
        gate.waiting += 1
        try:
            while turn.depth and (gate.owner is not None or any(s is not self for s in list(gate.running.values()))):
                gate.turn.wait(_PATIENCE)
        finally:
            gate.waiting -= 1
            gate.running.update(mine)
        if not turn.depth:  # the operation ended without its callback
            return
        gate.owner = self
        self._turn = turn
        try:
            for table in self._tables.values():
                table.enter()
                if turn.changes:
                    table.watch()
        except BaseException:
            self._restore(turn)
            raise

    def _withdraw(self) -> dict[int, SessionState]:
        """Take this session's lowerings out of the list of those that run."""
        mine = {thread: owner for thread, owner in list(_GATE.running.items()) if owner is self}
        for thread in mine:
            del _GATE.running[thread]
        return mine

    def _release(self, turn: _Turn) -> None:
        with _GATE.turn:
            turn.depth -= 1
            if not turn.depth and self._turn is turn:
                self._restore(turn)

    def _restore(self, turn: _Turn) -> None:
        """Put back what the host had. Holds the gate's lock."""
        try:
            for table in reversed(self._tables.values()):
                table.leave()
        finally:
            self._turn = None
            _GATE.owner = None
            _GATE.turn.notify_all()

    @contextmanager
    def outside(self) -> Iterator[None]:
        """While the guest runs a callback: the host's own state is in place, and other sessions may lower.

        What this thread does meanwhile is no lowering.
        """
        with resting():
            yield from self._outside()

    def _outside(self) -> Iterator[None]:
        if not _GATE.private:
            with self._resting():
                yield
            return
        with _GATE.turn:
            turn = self._turn
            if turn is not None and turn.depth == 1:
                self._restore(turn)
            else:
                turn = None
        try:
            with self._resting():
                yield
        finally:
            if turn is not None:
                with _GATE.turn:
                    self._own(turn)

    @contextmanager
    def _resting(self) -> Iterator[None]:
        """Nothing of this session runs on the host, so nobody needs to wait for it."""
        mine = self._withdraw()
        try:
            yield
        finally:
            if mine:
                self._running_again(mine)

    def _running_again(self, mine: dict[int, SessionState]) -> None:
        gate = _GATE
        gate.running.update(mine)
        if not gate.private:
            return
        with gate.turn:
            while gate.owner is not None and gate.owner is not self:
                for thread in mine:
                    gate.running.pop(thread, None)
                gate.turn.wait(_PATIENCE)
            gate.running.update(mine)

    # What belongs to the guest

    def _holds_guest_code(self) -> bool:
        values = [value for table in self._tables.values() for value in table.values()]
        return _has_guest_code([*values, printing(self._context)], 0)

    def forget_guest(self) -> None:
        """The guest ended, and with it its functions."""
        if not self.calls_back:
            return
        self.calls_back = False
        for table in self._tables.values():
            table.drop(lambda value: _has_guest_code([value], 0))
        if _has_guest_code([printing(self._context)], 0):
            self._context.run(sys.modules["numpy"].set_printoptions, formatter=None, override_repr=None)

    def close(self) -> None:
        """The session ends; idempotent."""
        with _GATE.turn:
            if self.private:
                self.private = False
                _GATE.private -= 1


def _has_guest_code(values: list[Any], depth: int) -> bool:
    for value in values:
        if type(value) is GuestCallable:
            return True
        if type(value) in (dict, list, tuple) and depth < 3:
            inner = list(value.values()) if type(value) is dict else list(value)
            if _has_guest_code(inner, depth + 1):
                return True
    return False
