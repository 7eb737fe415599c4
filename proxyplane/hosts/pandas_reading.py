"""pandas' readers in the form in which the plane performs them, where a file can make compiled code read beyond it."""

from __future__ import annotations

import io
from typing import Any

import pandas as pd

__all__ = ["read_feather"]


def read_feather(path: Any, columns: Any = None, use_threads: bool = True, **options: Any) -> Any:
    """`pandas.read_feather` of a file whose every offset and index was checked.

    (Arrow trusts them: a text at the offset 4,000 of a column of ten bytes is memory of the host.)

    Raises:
        pyarrow.ArrowInvalid: an offset or an index leads out of the file.
    """
    from pyarrow import feather  # noqa: PLC0415 - as pandas does: only who reads such a file needs it

    if hasattr(path, "read"):
        content = path.read()
    else:
        with open(path, "rb") as file:
            content = file.read()
    feather.read_table(io.BytesIO(content), use_threads=use_threads, memory_map=False).validate(full=True)
    return pd.read_feather(io.BytesIO(content), columns=columns, use_threads=use_threads, **options)
