"""No memory that nobody has written: what numpy would leave as it found it is filled, or wiped, before anybody sees it.

Three roads lead to such memory besides `numpy.empty`: a universal function with `where=` and no `out=` computes some
cells and returns the rest as they were; the bytes between the fields of a structured array, and behind the ten that a
long double uses, are never written; and an array of objects is an array of addresses. (Measured: `np.log(x,
where=False)` showed freed cells of another session's table, 20 times of 20.)
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any, Final, NoReturn

from proxyplane.effects import Effect
from proxyplane.errors import Denied

__all__ = ["called_where", "raw_bytes", "wiped"]

_HANDING_ON: Final = frozenset(("apply", "agg", "aggregate", "transform", "pipe", "map", "clip"))
"""Methods that hand their keywords on to a universal function that is named or fixed."""


def called_where(function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """Perform a call that has `where` among its keywords; cells that it leaves out are zeros.

    Raises:
        Denied: the function hands `where` on to one that would leave memory unwritten.
    """
    numpy: Any = sys.modules.get("numpy")
    if numpy is None or kwargs["where"] is True or kwargs.get("out") is not None:
        return function(*args, **kwargs)
    owner = getattr(function, "__self__", None)
    name = getattr(function, "__name__", "")
    if isinstance(function, numpy.ufunc):
        return _filled(numpy, function, args, kwargs) if len(args) <= function.nin else function(*args, **kwargs)
    outer = name == "outer" and isinstance(owner, numpy.ufunc)
    masked = type(function).__module__.startswith("numpy.ma") or type(owner).__module__.startswith("numpy.ma")
    if outer or name in _HANDING_ON or (masked and not isinstance(owner, numpy.ndarray)):
        _skipping()
    return function(*args, **kwargs)


def _skipping() -> NoReturn:
    raise Denied(
        "where= leaves cells out, whose memory nobody has written",
        effect=Effect.MEMORY,
        hint="give out= too: it says what those cells hold",
    )


def _filled(numpy: Any, function: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    if all(kind.partition("->")[2].strip("O") == "" for kind in function.types):
        return function(*args, **kwargs)  # of objects: numpy itself begins with None
    rest = {name: value for name, value in kwargs.items() if name not in ("where", "out")}
    with numpy.errstate(all="ignore"):
        computed = function(*args, **rest)
    several = computed if isinstance(computed, tuple) else (computed,)
    if not all(isinstance(one, numpy.ndarray | numpy.generic) for one in several):
        _skipping()
    shape = numpy.broadcast_shapes(numpy.shape(several[0]), numpy.shape(kwargs["where"]))
    outs = tuple(numpy.full(shape, None) if one.dtype == object else numpy.zeros(shape, one.dtype) for one in several)
    function(*args, **rest, where=kwargs["where"], out=outs)
    found = tuple(out if shape else out[()] for out in outs)
    return found if isinstance(computed, tuple) else found[0]


def raw_bytes(array: Any, order: Any = "C") -> bytes:
    """The bytes of an array's content, with zeros where no field lies.

    Args:
        array: an ndarray or a numpy scalar.
        order: as of `ndarray.tobytes`.

    Raises:
        Denied: its memory holds addresses instead of content.
    """
    numpy: Any = sys.modules["numpy"]
    if array.dtype.hasobject or array.dtype.kind == "T":
        raise Denied(
            "the bytes of this array are addresses in the host, not content",
            effect=Effect.MEMORY,
            hint="convert it first: astype('S') or astype('U'), or tolist()",
        )
    content: bytes = array.tobytes() if isinstance(array, numpy.generic) else array.tobytes(order)
    used = _used(numpy, array.dtype)
    if used is None or not content:
        return content
    cells = numpy.frombuffer(content, numpy.uint8).reshape(-1, array.dtype.itemsize)
    return bytes(numpy.where(used, cells, 0).astype(numpy.uint8).tobytes())


def wiped(value: Any) -> None:
    """Zero the bytes of a new array's own memory that no field uses; a view's belong to what it is a view of.

    Raises:
        Denied: bytes were taken for text that is none. (CPython trusts its texts, and numpy makes them of anything.)
    """
    numpy: Any = sys.modules["numpy"]
    if not isinstance(value, numpy.ndarray) or (value.dtype.kind not in "UV" and value.dtype.char not in "gG"):
        return
    if not _is_text(numpy, value):
        raise Denied(
            "the bytes of this array are no text, although its dtype says so",
            effect=Effect.MEMORY,
            hint="take them for numbers (dtype 'u4'), or decode them",
        )
    array = value if type(value) is numpy.ndarray or type(value.base) is not numpy.ndarray else value.base
    flags = array.flags
    used = _used(numpy, array.dtype) if flags.owndata and flags.forc and flags.writeable else None
    if used is not None and array.size:
        plain = array.ravel(order="K").view(numpy.ndarray)
        cells = plain.view(numpy.uint8) if not array.dtype.hasobject else None
        if cells is not None:
            cells.reshape(-1, array.dtype.itemsize)[:, ~used] = 0


def _is_text(numpy: Any, array: Any) -> bool:
    """Whether every character of texts in an array is one of Unicode."""
    dtype = array.dtype
    if dtype.names is not None:
        return all(_is_text(numpy, numpy.ndarray.__getitem__(array, name)) for name in dtype.names)
    if dtype.kind != "U" or not dtype.itemsize or not array.size:
        return True
    codes = numpy.ascontiguousarray(array, numpy.dtype(dtype)).view(numpy.ndarray).view(f"{dtype.str[0]}u4")
    return int(codes.max()) <= sys.maxunicode


def _used(numpy: Any, dtype: Any) -> Any:
    """Which bytes of an item belong to a field; None when all do."""
    found = numpy.zeros(dtype.itemsize, dtype=bool)
    _mark(numpy, dtype, found)
    return None if found.all() else found


def _mark(numpy: Any, dtype: Any, found: Any) -> None:
    if dtype.subdtype is not None:
        base, _ = dtype.subdtype
        for start in range(0, dtype.itemsize, base.itemsize or 1):
            _mark(numpy, base, found[start : start + base.itemsize])
    elif dtype.names is not None:
        for name in dtype.names:
            field, start = dtype.fields[name][:2]
            _mark(numpy, field, found[start : start + field.itemsize])
    elif dtype.kind in "fc" and dtype.char in "gG":
        width = dtype.itemsize // (2 if dtype.char == "G" else 1)
        content = 10 if numpy.finfo(dtype).nmant == 63 else width  # the x87 format; other machines use all of it
        for start in range(0, dtype.itemsize, width):
            found[start : start + content] = True
    else:
        found[:] = True
