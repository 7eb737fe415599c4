"""Objects of every kind that the supported libraries make: what tests of the catalog look at."""

from __future__ import annotations

import importlib
import re
import types
from collections.abc import Iterator
from typing import Any

__all__ = ["arguments", "builtins", "numpy", "pandas", "polars", "pyarrow"]


def pandas() -> Iterator[Any]:
    """Frames, series, indexes, groups, windows, accessors, arrays, dtypes, scalars."""
    import pandas as pd

    frame = pd.DataFrame(
        {"a": [1.0, 2.0, 2.0], "b": ["xxx", "yyy", "zzz"], "c": [3, 1, 2]}, index=pd.date_range("2024", periods=3)
    )
    series, text, when = frame["a"], frame["b"], frame.index.to_series()
    yield from (frame, series, text, frame.groupby("b"), frame.groupby("b").a, frame.groupby("b").nth)
    yield from (frame[["a", "c"]], frame.groupby("c"), frame.groupby("c").a, frame.resample("D"), frame.a.resample("D"))
    yield from (frame[["a"]].rolling(1), frame[["a"]].expanding(), frame[["a"]].ewm(1))
    yield from (series.rolling(1, win_type="boxcar"), series.rolling(1), series.expanding(), series.ewm(1))
    yield from (series.groupby(text).rolling(1), series.groupby(text).expanding(), series.groupby(text).ewm(1))
    yield from (frame.groupby("b").resample("D"), frame.loc, frame.iloc, frame.at, frame.iat, text.str, when.dt)
    yield from (pd.RangeIndex(2), pd.Index([1]), pd.Index(["xxx", "yyy"]), frame.index)
    yield from (pd.period_range("2024", periods=2, freq="D"), pd.timedelta_range("1D", periods=2))
    yield from (pd.interval_range(0, 2), pd.CategoricalIndex(["a"]), pd.MultiIndex.from_tuples([(1, 2), (1, 3)]))
    yield from (
        pd.Series(pd.period_range("2024", periods=2, freq="D")).dt,
        pd.Series(pd.timedelta_range("1D", periods=2)).dt,
    )
    yield from (text.astype("category").cat, pd.Series(pd.arrays.SparseArray([0, 1])).sparse)
    yield from (pd.DataFrame({"a": pd.arrays.SparseArray([0, 1])}).sparse, pd.Index(["a"]).str)
    yield from (frame.index.freq, pd.Timestamp("2024"), pd.Timedelta("1D"), pd.Period("2024"), pd.Interval(0, 1))
    yield from (pd.NA, pd.NaT, frame.index.dtype, text.dtype, text.array, series.array, frame.index.array)
    yield from (pd.array([1]), pd.array([1.0]), pd.array([True]), pd.array(["a"]), pd.Categorical(["a", "b"]))
    yield from (pd.array([1], "int64[pyarrow]"), pd.arrays.SparseArray([0, 1]), text.astype("category").dtype)
    yield from (when.dt.tz_localize("UTC").array, pd.Series(pd.period_range("2024", periods=2, freq="D")).array)
    yield from (pd.Series(pd.timedelta_range("1D", periods=2)).array, pd.arrays.IntervalArray.from_breaks([0, 1, 2]))
    for name in dir(pd.offsets):
        kind = getattr(pd.offsets, name)
        if isinstance(kind, type) and name not in ("BaseOffset", "Tick"):
            yield kind(weekday=1, startingMonth=1) if name.startswith("FY") else kind()
    pd.Series([1]).plot
    yield from (frame.plot, frame.style)
    for name in "pandas pandas.api.types pandas.testing pandas.tseries.frequencies pandas.util".split():
        yield importlib.import_module(name)


def numpy() -> Iterator[Any]:
    """Arrays, scalars, dtypes, generators, polynomials and the results of functions."""
    import numpy as np

    yield from (np.array([3.0, 1.0, 2.0]), np.array([3, 1, 2]), np.arange(4).reshape(2, 2), np.array(["bbb", "aaa"]))
    yield from (
        np.array([True, False]),
        np.array([1j, 2]),
        np.array(["2024-01-01"], "M8[D]"),
        np.array(["a", "b"], "S1"),
    )
    yield from (
        np.ma.array([3.0, 1.0, 2.0], mask=[0, 1, 0]),
        np.ma.arange(4).reshape(2, 2),
        np.matrix([[1.0, 2], [3, 5]]),
    )
    yield from (np.float64(1), np.int64(1), np.str_("a"), np.bytes_(b"a"), np.bool_(1), np.complex128(1))
    yield from (np.datetime64("2024"), np.timedelta64(1, "D"), np.float32(1), np.longdouble(1), np.uint8(1))
    yield from (np.dtype("i8"), np.dtype([("a", "i4"), ("b", "U3")]), np.add, np.sin, np.arange(4.0).flat)
    yield from (np.zeros(1).flags, np.poly1d([1, 2]), np.random.default_rng(0), np.random.RandomState(0))
    yield from (np.broadcast([1], [2]), np.finfo(float), np.iinfo(int), np.unique_counts([1]), np.linalg.svd(np.eye(2)))
    yield from (np.char.array(["ab", "cd"]), np.rec.array([(1, "a")], dtype=[("x", int), ("y", "U3")]))
    yield from (np.random.PCG64(0), np.random.SeedSequence(0), np.busdaycalendar(), np.ndenumerate(np.eye(2)))
    for name in "Polynomial Chebyshev Hermite HermiteE Laguerre Legendre".split():
        yield getattr(np.polynomial, name)([1, 2])
    names = "numpy numpy.linalg numpy.fft numpy.random numpy.ma numpy.strings numpy.char numpy.polynomial.polynomial"
    for name in f"{names} numpy.lib.scimath numpy.polynomial.polyutils numpy.testing".split():
        yield importlib.import_module(name)


def polars() -> Iterator[Any]:
    """Frames, lazy frames, series of each dtype, expressions and their namespaces."""
    import datetime

    import polars as pl

    table = pl.DataFrame({"a": [1, 2, 2], "b": ["xxx", "yyy", "zzz"], "c": [1.0, 2.0, 3.0]})
    yield from (table, table.lazy(), table["a"], table["b"], table["c"], pl.col("a"), table.group_by("a"))
    yield from (table.lazy().group_by("a"), pl.Series([True, False]), pl.Series([b"a"]).bin, pl.Series([[1, 2]]).list)
    yield from (pl.Series([datetime.datetime(2024, 1, 1)]).dt, pl.Series([datetime.timedelta(1)]).dt, table["b"].str)
    yield from (pl.Series([{"x": 1}]).struct, pl.Series(["a"], dtype=pl.Categorical).cat)
    yield from (pl.Series([[1, 2]], dtype=pl.Array(pl.Int64, 2)).arr, pl.col("a").str, pl.col("a").dt, pl.col("a").list)
    yield from (
        pl.col("a").struct,
        pl.col("a").cat,
        pl.col("a").bin,
        pl.col("a").arr,
        pl.col("a").name,
        pl.col("a").meta,
    )
    yield from (pl.when(True), pl.when(True).then(1), pl.when(True).then(1).when(False), table.schema, pl.Int64())
    yield from (
        pl.List(pl.Int8()),
        pl.selectors.numeric(),
        pl.col,
        pl,
        pl.selectors,
        importlib.import_module("polars.testing"),
    )


def pyarrow() -> Iterator[Any]:
    """Tables, batches, arrays, scalars, types and expressions."""
    import pyarrow as pa
    import pyarrow.compute as pc

    rows = {
        "a": [1, 2],
        "b": ["xxx", "yyy"],
        "c": [[1], [2]],
        "d": [{"x": 1}] * 2,
        "e": [1.5, None],
        "f": [True, False],
    }
    table = pa.table(rows)
    yield from (table, table["a"], table.schema, table.schema.field(0), table.group_by("a"), table.to_batches()[0])
    for name in table.column_names:
        yield from (table[name].chunk(0), table[name][0], table[name].type)
    yield from (pc.field("a") > 1, pa.scalar(1), pa.array([None]), pa.array(["a"]).dictionary_encode())
    yield from (pa.array([[("a", 1)]], pa.map_(pa.string(), pa.int64())), pa.list_(pa.int8(), 2), pa, pc)


def builtins() -> Iterator[Any]:
    """Objects of the interpreter that cross by reference."""
    yield from ([], {}, set(), frozenset(), (), "", b"", iter([]), iter({}), iter(""), {}.keys(), {}.values())
    yield from ({}.items(), map(str, []), zip(), enumerate([]), filter(None, []), reversed([]), (x for x in ()))
    yield from (len, builtins, [].append, types, re.match("", ""), ValueError(), type, iter(range(0)), int)


def arguments(module: str) -> Iterator[Any]:
    """What functions of a module may take."""
    import numpy as np

    if module.startswith("pandas"):
        import pandas as pd

        frame = pd.DataFrame({"a": [1.0, 2.0], "b": ["xxx", "yyy"]})
        yield from (frame, frame.a, frame.index, frame.b, ["2024-01-01"], pd.date_range("2024", periods=4))
    elif module.startswith("polars"):
        import polars as pl

        table = pl.DataFrame({"a": [1, 2], "b": ["xxx", "yyy"]})
        yield from ("a", table, table["a"], table.lazy(), [table, table], pl.col("a"), 1, {"a": [1]})
    elif module.startswith("pyarrow"):
        import pyarrow as pa

        yield from (pa.array([1.5, 2.5]), pa.array([1, 2]), pa.array(["xxx", "y"]), pa.array([True]), pa.array([[1]]))
        yield from (pa.table({"a": [1]}), pa.array([0], pa.timestamp("s")), pa.int64(), [1], "a")
    else:
        yield from (np.array([3.0, 1.0, 2.0]), np.array([3, 1, 2]), np.eye(2), np.array(["bb", "a"]), [1, 2], 3, (2, 2))
        yield from (np.array([True, False]), np.ma.array([1.0, 2.0], mask=[0, 1]), np.array(["2024-01-01"], "M8[D]"))
