"""Warnings that host code issues while it performs an operation: they are the agent's, not the host's.

A filter at the front of Python's list matches only in a thread that is lowering an operation, so whatever the host
asked for (errors, silence, once per place) goes on holding for the host's own code, and what a library silences by
itself stays silent. What matches is kept with the operation; it is neither shown to the host nor raised in it.
"""

from __future__ import annotations

import sys
import types
import warnings
from threading import get_ident
from typing import Any, Final, NamedTuple

__all__ = ["Heard", "Listening", "begin", "end"]

_MOST: Final = 100
"""Warnings of one operation that are kept."""
_MAX_FRAMES: Final = 200


class Heard(NamedTuple):
    """One warning."""

    category: type[Warning]
    message: Warning
    codes: tuple[types.CodeType, ...]
    """Code of the frames that issued it, the innermost first: their constants are the templates of its text."""


Listening = tuple[list[Heard], Any]
"""What an operation has heard, and where Python showed warnings when it began."""

_listening: dict[int, Listening] = {}


class _InLowering:
    """Stands in a filter where a pattern of messages stands otherwise."""

    def match(self, text: str) -> bool:
        """Whether this thread is lowering an operation."""
        return get_ident() in _listening


_FILTER: Final[Any] = ("always", _InLowering(), Warning, None, 0)
_original: Any = None


def begin(heard: list[Heard]) -> Listening | None:
    """Keep this thread's warnings in `heard` from now on.

    Returns:
        What `end` must be given: what was listening before.
    """
    thread = get_ident()
    before = _listening.get(thread)
    if before is None and (not warnings.filters or warnings.filters[0] is not _FILTER):
        _install()
    _listening[thread] = (heard, warnings._showwarnmsg_impl)  # type: ignore[attr-defined]
    return before


def end(before: Listening | None) -> None:
    """Listen no more, or again for the operation around this one."""
    if before is None:
        _listening.pop(get_ident(), None)
    else:
        _listening[get_ident()] = before


def _install() -> None:
    global _original  # noqa: PLW0603 - one hook for the process
    module: Any = warnings
    module.filters.insert(0, _FILTER)
    module._filters_mutated()
    if module._showwarnmsg is not _show:
        _original = module._showwarnmsg
        module._showwarnmsg = _show


def _show(shown: Any) -> None:
    listening = _listening.get(get_ident())
    if listening is None or warnings._showwarnmsg_impl is not listening[1]:  # type: ignore[attr-defined]
        _original(shown)  # not ours, or a library that records its own warnings
        return
    heard, _ = listening
    if len(heard) < _MOST:
        heard.append(Heard(shown.category, shown.message, tuple(_codes())))


def _codes() -> list[types.CodeType]:
    codes: list[types.CodeType] = []
    frame: types.FrameType | None = sys._getframe(2)
    while frame is not None and len(codes) < _MAX_FRAMES and frame.f_globals.get("__name__") != "proxyplane.lowering":
        codes.append(frame.f_code)
        frame = frame.f_back
    return codes
