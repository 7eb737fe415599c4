"""Warnings that host code issues while it performs an agent's operations: they are the agent's, not the host's.

A filter at the front of Python's list matches only in a thread that serves a run, so whatever the host asked for
(errors, silence, once per place) goes on holding for the host's own code, and what a library silences by itself
stays silent. What matches is kept for the operation; it is neither shown to the host nor raised in it.
"""

from __future__ import annotations

import sys
import types
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from threading import get_ident
from typing import Any, Final, NamedTuple

__all__ = ["Heard", "listening"]

_MOST: Final = 100
"""Warnings that are kept until an operation takes them."""
_MAX_FRAMES: Final = 200


class Heard(NamedTuple):
    """One warning."""

    category: type[Warning]
    message: Warning
    codes: tuple[types.CodeType, ...]
    """Code of the frames that issued it, the innermost first: their constants are the templates of its text."""


_listening: dict[int, tuple[list[Heard], Any]] = {}
"""Thread to what was heard in it, and to where Python showed warnings when that began."""


class _Serving:
    """Stands in a filter where a pattern of messages stands otherwise."""

    pattern = ""
    """For libraries that rebuild the filters for a job (scikit-learn): within it all warnings are heard."""

    def match(self, text: str) -> bool:
        """Whether this thread serves a run."""
        return get_ident() in _listening


_FILTER: Final[Any] = ("always", _Serving(), Warning, None, 0)
_original: Any = None


@contextmanager
def listening(heard: list[Heard]) -> Iterator[None]:
    """Keep the warnings of this thread in `heard`, from which operations take them."""
    thread = get_ident()
    before = _listening.get(thread)
    if before is None and (not warnings.filters or warnings.filters[0] is not _FILTER):
        _install()
    _listening[thread] = (heard, warnings._showwarnmsg_impl)  # type: ignore[attr-defined]
    try:
        yield
    finally:
        heard.clear()
        if before is None:
            del _listening[thread]
        else:
            _listening[thread] = before


def _install() -> None:
    global _original  # noqa: PLW0603 - one hook for the process
    module: Any = warnings
    module.filters.insert(0, _FILTER)
    module._filters_mutated()
    if module._showwarnmsg is not _show:
        _original = module._showwarnmsg
        module._showwarnmsg = _show


def _show(shown: Any) -> None:
    heard, shower = _listening.get(get_ident(), (None, None))
    if heard is None or warnings._showwarnmsg_impl is not shower:  # type: ignore[attr-defined]
        _original(shown)  # not ours, or a library that records its own warnings
        return
    if len(heard) < _MOST:
        heard.append(Heard(shown.category, shown.message, tuple(_codes())))


def _codes() -> list[types.CodeType]:
    codes: list[types.CodeType] = []
    frame: types.FrameType | None = sys._getframe(2)
    while frame is not None and len(codes) < _MAX_FRAMES:
        if str(frame.f_globals.get("__name__")).startswith("proxyplane."):
            break  # further out is the host's own program, whose texts are nobody's templates
        codes.append(frame.f_code)
        frame = frame.f_back
    return codes
