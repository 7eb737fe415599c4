"""Sparse matrices as the plane makes them: of copies, and with every index checked against the shape.

Compiled code reads and writes memory where the index arrays of a matrix say. scipy looks at them only in part when a
matrix is made, and shares them with whoever gave them, who could change them afterwards.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import scipy.sparse  # type: ignore[import-untyped]

__all__ = ["KINDS", "load_npz"]

KINDS: Final = tuple(
    f"{form}_{kind}" for form in ("bsr", "coo", "csc", "csr", "dia", "dok", "lil") for kind in ("array", "matrix")
)


def load_npz(file: Any) -> Any:
    """`scipy.sparse.load_npz`, checked: the file can be the agent's."""
    return _checked(scipy.sparse.load_npz(file))


def _checked(matrix: Any) -> Any:
    """The matrix, if each of its indices lies within its shape."""
    check = getattr(matrix, "check_format", None)
    if check is not None:
        check(full_check=True)
    elif matrix.format == "coo":
        matrix._check()
    return matrix


def _maker(kind: type) -> Callable[..., Any]:
    def make(arg1: Any, *args: Any, **kwargs: Any) -> Any:
        options = dict(zip(_ORDER[kind.__name__[:3]], args, strict=False)) | kwargs
        if options.get("shape") is None:
            options.pop("shape", None)
        return _checked(kind(arg1, **{**options, "copy": True}))

    make.__name__ = make.__qualname__ = kind.__name__
    make.__doc__ = f"`scipy.sparse.{kind.__name__}`, of copies and checked."
    return make


_ORDER: Final = dict.fromkeys(("coo", "csc", "csr", "dia", "dok", "lil"), ("shape", "dtype", "copy")) | {
    "bsr": ("shape", "dtype", "copy", "blocksize")
}
"""Parameters after the first."""

globals().update({name: _maker(getattr(scipy.sparse, name)) for name in KINDS})
