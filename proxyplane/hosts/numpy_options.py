"""numpy's `printoptions` as the plane performs it: with nothing left to run later (see `pandas_options`); and the state
of its random generator, checked before it is set."""

from __future__ import annotations

from typing import Any

import numpy as np

__all__ = ["PrintOptions", "set_state"]


class PrintOptions:
    """`numpy.printoptions`: print options that hold inside a `with` statement. Arguments as for `set_printoptions`."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self._args, self._kwargs = args, kwargs
        self._before: list[Any] = []

    def __enter__(self) -> dict[str, Any]:
        self._before.append(np.get_printoptions())
        np.set_printoptions(*self._args, **self._kwargs)
        return dict(np.get_printoptions())

    def __exit__(self, *exit_info: object) -> None:
        if self._before:
            np.set_printoptions(**self._before.pop())


_WORDS = 624
"""Of the state of MT19937."""


def set_state(state: Any) -> None:
    """`numpy.random.set_state`. The position is where compiled code reads next, and numpy does not look at it.

    Raises:
        ValueError: a position outside of the state.
    """
    inner = state.get("state", {}) if isinstance(state, dict) else {}
    position = inner.get("pos") if isinstance(state, dict) else (*state, None, None, None)[2]
    if type(position) is not int or not 0 <= position <= _WORDS:
        raise ValueError(f"the position in a state of the generator is an integer from 0 to {_WORDS}")
    np.random.set_state(state)
