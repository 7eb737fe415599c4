"""numpy's `printoptions` as the plane performs it: with nothing left to run later (see `pandas_options`)."""

from __future__ import annotations

from typing import Any

import numpy as np

__all__ = ["PrintOptions"]


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
