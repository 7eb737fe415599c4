"""Exceptions on the guest's side: those that the host's errors become, and those of the agent's code as text.

The agent sees its own frames only: the frames of this package say nothing to it and would hide the line that matters.
"""

from __future__ import annotations

import builtins
import contextlib
import functools
import sys
import traceback
import warnings
from collections.abc import Callable, Iterator
from itertools import count
from typing import Any, Final

from proxyplane.errors import ProxyPlaneError, Refusal, tree

__all__ = ["AGENT_PREFIX", "Remembered", "describe", "hide_own_frames", "rebuild", "warn"]

AGENT_PREFIX: Final = "<agent"
"""File names of the agent's sources begin with this."""

_TEXT_CHARS: Final = 1 << 16
_REMEMBERED: Final = 256
_REFUSALS: Final[dict[str, type[ProxyPlaneError]]] = {kind.code: kind for kind in tree().values()}


class Remembered:
    """Exceptions that callbacks raised, by number, until the host reports the operation that they broke."""

    def __init__(self) -> None:
        self._numbers = count(1)
        self._kept: dict[int, BaseException] = {}

    def keep(self, error: BaseException) -> int:
        """The number under which `take` gives the exception back. The oldest of 256 is dropped."""
        if len(self._kept) >= _REMEMBERED:
            del self._kept[next(iter(self._kept))]
        number = next(self._numbers)
        self._kept[number] = error
        return number

    def take(self, number: object) -> BaseException | None:
        """The exception kept under the number, once."""
        return self._kept.pop(number, None) if type(number) is int else None

    def clear(self) -> None:
        """Drop all: a run has ended, and exceptions hold the frames that raised them."""
        self._kept.clear()


def rebuild(
    error: dict[str, Any],
    decode: Callable[[Any], Any],
    host_type: Callable[[int], type | None],
    remembered: Remembered,
) -> BaseException:
    """The exception of an error map.

    Args:
        error: as the protocol defines it.
        decode: turns wire values into values.
        host_type: the class of a type id, or None.
        remembered: exceptions of this guest's callbacks.
    """
    code = error.get("code", "raised")
    message = str(error.get("message") or "")
    args = [decode(x) for x in error.get("args") or ()]
    if code == "callback_raised":
        kept = remembered.take(args[0] if args else None)
        return kept if kept is not None else RuntimeError(message or "a function that the host called raised")
    if code == "raised":
        return _raised(_exception_type(error.get("type"), host_type), args, message)
    kind = _REFUSALS.get(code, ProxyPlaneError)
    if issubclass(kind, Refusal):
        texts = {name: error.get(name) or "" for name in ("effect", "reason", "hint")}
        return kind(message, rule=error.get("rule"), **texts)
    return Exception.__new__(kind, message)


def _exception_type(name: Any, host_type: Callable[[int], type | None]) -> type[BaseException]:
    found = host_type(name) if type(name) is int else getattr(builtins, str(name), None)
    return found if isinstance(found, type) and issubclass(found, BaseException) else RuntimeError


def _raised(kind: type[BaseException], args: list[Any], message: str) -> BaseException:
    if not args and message:
        args = [message]
    for make in (kind, functools.partial(kind.__new__, kind)):
        with contextlib.suppress(Exception):  # such as UnicodeDecodeError, which needs five arguments
            return make(*args)
    return RuntimeError(f"{kind.__name__}: {message or 'the operation raised'}")


def describe(error: BaseException) -> dict[str, Any]:
    """The error map of DONE. The traceback has the agent's frames only; a refusal also has effect, rule, hint."""
    described: dict[str, Any] = {"type": type(error).__name__, "message": _cut(_text(error)), "traceback": ""}
    try:
        rendered = traceback.TracebackException.from_exception(error, compact=True)
        _keep_agent_frames(rendered)
        described["traceback"] = _cut("".join(rendered.format()))
    except Exception as problem:  # no memory, no stack, or an agent's exception class that fights back
        described["traceback"] = f"{described['type']}: {described['message']} (no traceback: {type(problem).__name__})"
    if isinstance(error, Refusal):
        described |= {"effect": error.effect, "rule": error.rule, "hint": error.hint}
    return described


def _text(error: BaseException) -> str:
    try:
        return str(error)
    except Exception as problem:
        return f"<str() of the exception raised {type(problem).__name__}>"


def _cut(text: str) -> str:
    if len(text) <= _TEXT_CHARS:
        return text
    half = _TEXT_CHARS // 2
    return f"{text[:half]}\n... {len(text) - 2 * half} characters cut ...\n{text[-half:]}"


def _keep_agent_frames(root: traceback.TracebackException) -> None:
    waiting: list[traceback.TracebackException | None] = [root]
    while waiting:
        rendered = waiting.pop()
        if rendered is None:
            continue
        rendered.stack[:] = [x for x in rendered.stack if x.filename.startswith(AGENT_PREFIX)]
        waiting += [rendered.__cause__, rendered.__context__, *(getattr(rendered, "exceptions", None) or ())]


def warn(category: Any, text: str, host_type: Callable[[int], type | None]) -> None:
    """Issue a warning of the host, as if the agent's own line had caused it: its filters decide.

    Args:
        category: name of a built-in category, or a type id.
        text: the message.
        host_type: the class of a type id, or None.
    """
    kind = host_type(category) if type(category) is int else getattr(builtins, str(category), None)
    if not (isinstance(kind, type) and issubclass(kind, Warning)):
        kind = UserWarning
    frame = sys._getframe(1)
    while not frame.f_code.co_filename.startswith(AGENT_PREFIX):
        if frame.f_back is None:
            warnings.warn_explicit(text, kind, "<host>", 1, "__main__")
            return
        frame = frame.f_back
    registry = frame.f_globals.setdefault("__warningregistry__", {})
    warnings.warn_explicit(text, kind, frame.f_code.co_filename, frame.f_lineno, "__main__", registry)


def hide_own_frames() -> None:
    """Let the `traceback` module of this process skip the frames of this package, for agents that print tracebacks."""
    for name in ("walk_tb", "_walk_tb_with_full_positions"):
        walk = getattr(traceback, name, None)
        if walk is not None and not hasattr(walk, "proxyplane"):
            setattr(traceback, name, _skipping(walk))


def _skipping(walk: Callable[[Any], Iterator[tuple[Any, Any]]]) -> Callable[[Any], Iterator[tuple[Any, Any]]]:
    def skipping(tb: Any) -> Iterator[tuple[Any, Any]]:
        for frame, position in walk(tb):
            if not str(frame.f_globals.get("__name__", "")).startswith("proxyplane."):
                yield frame, position

    skipping.proxyplane = True  # type: ignore[attr-defined]
    return skipping
