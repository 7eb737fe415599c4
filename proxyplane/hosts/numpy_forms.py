"""numpy's functions in the form in which the plane performs them, where numpy's own would read or show memory that
holds nobody's values, unpickle, or evaluate a text in its caller's frames.

Each stands in for the function of the same name, with its arguments; what it will not do it refuses with a TypeError.
"""

from __future__ import annotations

from typing import Any, NoReturn

import numpy as np

from proxyplane.hosts.filled import raw_bytes

__all__ = [
    "bmat",
    "chararray",
    "gapless",
    "load",
    "masked_all",
    "masked_all_like",
    "masked_empty",
    "masked_empty_like",
    "meant",
    "records",
    "records_of_bytes",
    "records_of_file",
    "save",
    "savez",
    "savez_compressed",
    "tobytes",
    "tofile",
    "view",
]


def gapless(dtype: Any) -> bool:
    """Whether every byte of an element belongs to a value: no padding, no Python objects, no `longdouble`."""
    if dtype.subdtype is not None:
        return gapless(dtype.subdtype[0])
    if dtype.names is None:
        return dtype.kind in "biufcmMSU" and dtype.char not in "gG"
    taken = 0
    for name in dtype.names:
        part, offset = dtype.fields[name][:2]
        if offset != taken or not gapless(part):
            return False
        taken += part.itemsize
    return bool(taken == dtype.itemsize)


def _clean(array: Any) -> Any:
    """The array, with zeroes where no value lies: what lay there before belongs to somebody else."""
    if array.dtype.hasobject or gapless(array.dtype):
        return array
    return np.frombuffer(raw_bytes(np.asarray(array)), array.dtype).reshape(array.shape)


def meant(value: Any) -> Any:
    """The type behind what the plane hands out for a type that host code might call."""
    kind = getattr(value, "stands_for", None)
    return kind if isinstance(kind, type) else value


def view(array: Any, *args: Any, **kwargs: Any) -> Any:
    """`ndarray.view`, of classes by name."""
    return array.view(*map(meant, args), **{name: meant(value) for name, value in kwargs.items()})


def tobytes(array: Any, *args: Any, **kwargs: Any) -> bytes:
    """`tobytes` of an array, scalar or masked array, with padding as zeroes."""
    if isinstance(array, np.ma.MaskedArray):
        return _masked_bytes(array, *args, **kwargs)
    return raw_bytes(array, *args, **kwargs)


def _masked_bytes(array: Any, fill_value: Any = None, order: Any = "C") -> bytes:
    return raw_bytes(np.asarray(array.filled(fill_value)), order)


def tofile(array: Any, fid: Any, sep: str = "", format: str = "%s") -> None:
    """`ndarray.tofile`, with padding as zeroes."""
    _clean(array).tofile(fid, sep=sep, format=format)


def save(file: Any, arr: Any, allow_pickle: bool = False) -> None:
    """`numpy.save` without pickles: one would hold whatever the cells lead to, hidden parts included."""
    _no_pickle(allow_pickle)
    np.save(file, _clean(np.asanyarray(arr)), allow_pickle=False)


def savez(file: Any, *args: Any, allow_pickle: bool = False, **kwds: Any) -> None:
    """`numpy.savez` without pickles."""
    _no_pickle(allow_pickle)
    parts, named = [_clean(np.asanyarray(a)) for a in args], {k: _clean(np.asanyarray(v)) for k, v in kwds.items()}
    np.savez(file, *parts, allow_pickle=False, **named)


def savez_compressed(file: Any, *args: Any, allow_pickle: bool = False, **kwds: Any) -> None:
    """`numpy.savez_compressed` without pickles."""
    _no_pickle(allow_pickle)
    parts, named = [_clean(np.asanyarray(a)) for a in args], {k: _clean(np.asanyarray(v)) for k, v in kwds.items()}
    np.savez_compressed(file, *parts, allow_pickle=False, **named)


def _no_pickle(allow_pickle: bool) -> None:
    if allow_pickle:
        raise TypeError("arrays of objects are not saved here (allow_pickle): convert them to a plain dtype first")


def load(
    file: Any, mmap_mode: None = None, allow_pickle: bool = False, fix_imports: bool = True, **options: Any
) -> Any:
    """`numpy.load`. Files are read and not mapped: one that shrinks under a map ends the process."""
    return np.load(file, mmap_mode=None, allow_pickle=bool(allow_pickle), fix_imports=fix_imports, **options)


def bmat(obj: Any, ldict: Any = None, gdict: Any = None) -> Any:
    """`numpy.bmat`; names in a text are looked up in `ldict` alone, never in the frames of a caller."""
    if isinstance(obj, str):
        names: dict[str, Any] = ldict if type(ldict) is dict else {}
        return np.bmat(obj, ldict=names, gdict={"": None})  # an empty one would be taken for none
    return np.bmat(obj)


def masked_all(shape: Any, dtype: Any = float) -> Any:
    """`numpy.ma.masked_all`, over zeroes."""
    return np.ma.masked_array(np.zeros(shape, dtype), mask=np.ones(shape, np.ma.make_mask_descr(np.dtype(dtype))))


def masked_all_like(arr: Any) -> Any:
    """`numpy.ma.masked_all_like`, over zeroes."""
    found = np.zeros_like(arr).view(np.ma.MaskedArray)
    found._mask = np.ones(found.shape, dtype=np.ma.make_mask_descr(found.dtype))
    return found


def masked_empty(*args: Any, **kwargs: Any) -> Any:
    """`numpy.ma.empty`, over zeroes."""
    return np.ma.zeros(*args, **kwargs)


def masked_empty_like(*args: Any, **kwargs: Any) -> Any:
    """`numpy.ma.empty_like`, over zeroes."""
    return np.ma.zeros_like(*args, **kwargs)


def records(
    obj: Any, dtype: Any = None, shape: Any = None, offset: int = 0, strides: None = None, **format: Any
) -> Any:
    """`numpy.rec.array` of lists, tuples and arrays."""
    if strides is not None or offset or not isinstance(obj, (list, tuple, np.ndarray)):
        _not_raw(obj)
    return np.rec.array(obj, dtype, shape, **format)


def records_of_bytes(datastring: Any, dtype: Any = None, shape: Any = None, offset: int = 0, **format: Any) -> Any:
    """`numpy.rec.fromstring` of bytes, as plain values without padding."""
    described = _described(dtype, format)
    if type(datastring) is not bytes or not gapless(described):
        _not_raw(datastring)
    return np.rec.fromstring(datastring, described, shape, offset)


def records_of_file(fd: Any, dtype: Any = None, shape: Any = None, offset: int = 0, **format: Any) -> Any:
    """`numpy.rec.fromfile`, as plain values without padding."""
    described = _described(dtype, format)
    if not gapless(described):
        _not_raw(fd)
    return np.rec.fromfile(fd, described, shape, offset)


def chararray(shape: Any, itemsize: int = 1, unicode: bool = False, order: Any = "C") -> Any:
    """`numpy.char.chararray` over zeroes."""
    return np.zeros(shape, f"{'U' if unicode else 'S'}{int(itemsize)}", order=order).view(np.char.chararray)


def _described(dtype: Any, format: dict[str, Any]) -> Any:
    if dtype is not None:
        return np.dtype(dtype)
    names = ("formats", "names", "titles", "aligned", "byteorder")
    parser: Any = np.rec.format_parser
    return parser(*[format.get(name) for name in names]).dtype


def _not_raw(value: Any) -> NoReturn:
    raise TypeError(
        "records are made of lists, tuples and arrays, or of bytes as plain numbers and texts without padding; "
        f"got a {type(value).__name__}, an offset or strides"
    )
