"""Prints of objects: equal before and after a call that changes nothing."""

from __future__ import annotations

import pickle
import types
from typing import Any

__all__ = ["NOT_COMPARED", "arrays_of", "print_of", "ranges_of", "same_thing"]

NOT_COMPARED = "not compared"
_MAX_DEPTH = 6
_ATOMS = (int, float, complex, str, bytes, bool, type(None), type, types.ModuleType, types.FunctionType)
_ATOMS += (types.BuiltinFunctionType, types.MethodType, slice, range)


def _referred(value: Any) -> Any:
    """What an object was made from, if it only refers to that."""
    kind = type(value)
    if kind.__module__.partition(".")[0] != "pandas":
        return value
    name = kind.__name__
    if name in ("_LocIndexer", "_iLocIndexer", "_AtIndexer", "_iAtIndexer") or hasattr(kind, "_selected_obj"):
        return value.obj
    held = vars(value) if "Plot" in name else {"_groupby": value.groupby_object} if "Nth" in name else {}
    return held.get("_parent", held.get("_groupby", value))


def print_of(value: Any, depth: int = 0) -> Any:
    """What is compared: content, labels, dtype, flags; `NOT_COMPARED` for what cannot be read without using it up."""
    inner = _referred(value)
    if inner is not value:
        return print_of(inner, depth + 1)
    kind = type(value)
    if isinstance(value, _ATOMS):
        return value if not isinstance(value, (float, complex)) else repr(value)
    if depth > _MAX_DEPTH or hasattr(kind, "__next__"):
        return NOT_COMPARED
    if kind in (list, tuple):
        return kind, [print_of(item, depth + 1) for item in value]
    if kind is dict:
        return [(print_of(key, depth + 1), print_of(item, depth + 1)) for key, item in value.items()]
    top = kind.__module__.partition(".")[0]
    if top == "numpy" and hasattr(value, "tobytes"):
        writeable = value.flags.writeable if hasattr(value, "flags") else None
        mask = print_of(value.mask, depth + 1) if hasattr(value, "mask") else None
        content = value.tobytes() if not value.dtype.hasobject else repr(value.tolist())
        return str(value.dtype), value.shape, writeable, mask, content
    if (top == "polars" and kind.__name__ in ("LazyFrame", "Expr")) or kind.__module__.startswith("polars.expr"):
        return str(value)
    try:
        return pickle.dumps(value)
    except Exception:  # it is no worse for not being compared, and is counted as such
        return NOT_COMPARED


def same_thing(before: Any, value: Any) -> bool:
    """Whether a value still prints as before. Pickles of equal objects may differ by what they have cached."""
    after = print_of(value)
    if before == after:
        return True
    if type(before) is bytes and type(after) is bytes:
        return _equal(pickle.loads(before), _referred(_referred(value)))
    return False


def _equal(old: Any, new: Any) -> bool:
    if type(old) is not type(new):
        return False
    if type(new).__repr__ is object.__repr__:
        return True  # its attributes may be caches; what it computes with was compared where it came from
    names = "dtype dtypes shape index columns name names flags attrs freq ordered categories".split()
    for name in names:
        first, second = getattr(old, name, None), getattr(new, name, None)
        if name in ("index", "columns") and hasattr(first, "equals"):
            if not (first.equals(second) and list(first.names) == list(second.names)):
                return False
        elif not callable(first) and repr(first) != repr(second):
            return False
    equals = getattr(old, "equals", None)
    try:
        return bool(equals(new)) if callable(equals) else repr(old) == repr(new)
    except Exception:
        return repr(old) == repr(new)


def arrays_of(value: Any, depth: int = 0) -> list[Any]:
    """The numpy arrays that a value is, or directly holds."""
    import numpy as np

    if isinstance(value, np.ndarray):
        return [value]
    if depth > 1:
        return []
    if type(value) in (list, tuple):
        return [array for item in value[:20] for array in arrays_of(item, depth + 1)]
    if type(value) is dict:
        return [array for item in list(value.values())[:20] for array in arrays_of(item, depth + 1)]
    kind = type(value)
    if kind.__module__.startswith("pandas"):
        return _pandas_arrays(value)
    return []


def ranges_of(value: Any) -> list[tuple[int, int]]:
    """Addresses of the Arrow buffers that a value of pyarrow or polars lies in, each first and behind last."""
    kind = type(value)
    top, name = kind.__module__.partition(".")[0], kind.__name__
    if top == "polars" and name == "DataFrame":
        return [place for column in value.get_columns() for place in ranges_of(column)]
    if top == "polars" and name == "Series" and value.dtype.is_numeric():
        return ranges_of(value.to_arrow())  # no copy of numbers
    if top != "pyarrow":
        return []
    if name in ("Table", "RecordBatch"):
        return [place for column in value.columns for place in ranges_of(column)]
    if name == "ChunkedArray":
        return [place for chunk in value.chunks for place in ranges_of(chunk)]
    if not hasattr(kind, "buffers"):
        return []
    return [(each.address, each.address + each.size) for each in value.buffers() if each is not None and each.size]


def _pandas_arrays(value: Any) -> list[Any]:
    import numpy as np

    blocks = getattr(getattr(value, "_mgr", None), "blocks", ())
    found = [*(block.values for block in blocks), getattr(value, "_data", None), getattr(value, "_ndarray", None)]
    plain = [getattr(item, "_ndarray", item) for item in found]
    return [item for item in plain if isinstance(item, np.ndarray)]
