"""Hand decisions about pandas.

Left out on purpose: raw or shared memory (`attrs`, `flags`, `base`, `obj`, `grouper`), whatever takes a text for
`str.format` (it walks from a cell to all that the process holds), plotting's settings of the process, registration of
accessors and dtypes, databases, methods of `col` (they run later than they are named), `eval` outside a frame, XML
reading (entities), and everything under `pandas.io`, `core`, `compat`.
"""

from __future__ import annotations

import importlib
from typing import Any

from proxyplane.catalogs.generate import Review, TypeReview

offsets: Any = importlib.import_module("pandas.tseries.offsets")  # by name: only the generator reads this table

_ERROR_LINES = frozenset(("__repr__", "__str__", "__eq__", "__ne__", "__hash__"))
_ERROR = ("builtins.BaseException",)
_API = "pandas.api.typing"
_RESAMPLE = "pandas.core.resample"
_INDEX_KINDS = "RangeIndex CategoricalIndex IntervalIndex DatetimeIndex TimedeltaIndex PeriodIndex MultiIndex".split()
_INDEX = ("pandas.Index",)
_ARRAYS = (
    "Categorical ArrowExtensionArray ArrowStringArray BooleanArray DatetimeArray FloatingArray "
    "IntegerArray IntervalArray "
    "NumpyExtensionArray PeriodArray SparseArray StringArray TimedeltaArray"
).split()
_DTYPES = (
    "ArrowDtype BooleanDtype DatetimeTZDtype Float32Dtype Float64Dtype Int8Dtype Int16Dtype Int32Dtype "
    "Int64Dtype IntervalDtype PeriodDtype SparseDtype StringDtype UInt8Dtype UInt16Dtype UInt32Dtype UInt64Dtype"
).split()
_OFFSETS = sorted(
    {
        getattr(offsets, n).__name__
        for n in dir(offsets)
        if isinstance(getattr(offsets, n), type) and n not in ("BaseOffset", "Tick")
    }
)
_ERRORS = sorted(
    name
    for name, value in vars(importlib.import_module("pandas.errors")).items()
    if isinstance(value, type) and issubclass(value, BaseException) and not name.startswith("_")
)
_WINDOWS = (
    "boxcar|triang|blackman|hamming|bartlett|parzen|bohman|blackmanharris|nuttall|barthann|cosine|tukey|taylor|kaiser|gaussian|"
    "general_gaussian|general_cosine|general_hamming|exponential|hann|dpss"
)
_DTYPE_MEMBERS = frozenset(
    "name kind type itemsize na_value ordered unit tz freq subtype closed storage num names "
    "is_dtype __eq__ __ne__ __hash__ __str__".split()
)
_COLUMN_EXPRESSION = frozenset(
    {f"__{side}{name}__" for name in "add sub mul truediv floordiv mod pow and or xor".split() for side in ("", "r")}
    | {f"__{name}__" for name in "eq ne lt le gt ge invert neg repr".split()}
)
_EXCEL = "one-of(openpyxl|xlsxwriter|xlrd|odf|pyxlsb|calamine)"
_PARQUET = "one-of(auto|pyarrow|fastparquet)"
_TEXT_OUT = "buf:path-write reveals=receiver"
_DRAWS = (
    "compute draws backend:one-of(matplotlib) *usetex:never *fname:never canvas:never prop:never *fontproperties:plain "
    "font:plain"
)
"""Drawing by matplotlib, with the rules for its parameters that `matplotlib.toml` has too: what pandas does not know
itself, it hands on."""
_PLOTS = "line bar barh box hist kde density area pie scatter hexbin".split()
_PLOTTING = "andrews_curves autocorrelation_plot lag_plot parallel_coordinates radviz scatter_matrix table".split()
_STYLING = (
    "background_gradient bar clear concat hide highlight_between highlight_max highlight_min highlight_null "
    "highlight_quantile set_caption set_properties set_sticky set_table_attributes set_table_styles set_td_classes "
    "set_tooltips set_uuid text_gradient"
).split()
_STYLED = ("format", "format_index", "to_excel", "to_html", "to_latex", "to_string")
"""Members of Styler. The others take a text for `str.format`, or hand on functions that nobody looked at (`use`)."""
_STYLER_FORMAT = "method mutate compute formatter:never escape:one-of(html|latex|latex-math)"

REVIEW = Review(
    library="pandas",
    versions=">=3.0,<4",
    types=(
        TypeReview("pandas:DataFrame", meta=('dynamic = "columns"',), hashable=False),
        TypeReview("pandas:Series", meta=('dynamic = "columns"',), hashable=False),
        TypeReview("pandas:Index", hashable=False),
        *(TypeReview(f"pandas:{name}", _INDEX, hashable=False) for name in _INDEX_KINDS),
        TypeReview(
            "pandas.core.indexes.frozen:FrozenList",
            ("builtins.list",),
            ('builtin = "list"',),
            make=None,
            only=frozenset(("difference", "union")),
        ),
        TypeReview(
            "pandas.io.formats.printing:PrettyDict",
            ("builtins.dict",),
            ('builtin = "dict"',),
            make=None,
            only=frozenset(),
        ),
        TypeReview(f"{_API}:DataFrameGroupBy", meta=('dynamic = "columns"',), make=None),
        TypeReview(f"{_API}:SeriesGroupBy", (f"{_API}.DataFrameGroupBy",), make=None),
        TypeReview(
            "pandas.core.groupby.indexing:GroupByNthSelector", make=None, only=frozenset(("__call__", "__getitem__"))
        ),
        TypeReview(f"{_API}:Rolling", meta=('dynamic = "columns"',), make=None),
        *(
            TypeReview(f"{_API}:{name}", (f"{_API}.Rolling",), ('dynamic = "columns"',), make=None)
            for name in ("Window", "Expanding", "ExponentialMovingWindow")
        ),
        TypeReview(f"{_API}:RollingGroupBy", (f"{_API}.Rolling",), ('dynamic = "columns"',), make=None),
        TypeReview(f"{_API}:ExpandingGroupBy", (f"{_API}.Expanding",), ('dynamic = "columns"',), make=None),
        TypeReview(
            f"{_API}:ExponentialMovingWindowGroupBy",
            (f"{_API}.ExponentialMovingWindow",),
            ('dynamic = "columns"',),
            make=None,
        ),
        TypeReview(f"{_API}:Resampler", meta=('dynamic = "columns"',), make=None),
        *(
            TypeReview(
                f"{_RESAMPLE}:{kind}IndexResampler{group}", (f"{_API}.Resampler",), ('dynamic = "columns"',), make=None
            )
            for kind in ("Datetime", "Period", "Timedelta")
            for group in ("", "GroupBy")
        ),
        TypeReview("pandas.core.strings.accessor:StringMethods", make=None),
        TypeReview("pandas.plotting._core:PlotAccessor", make=None, only=frozenset(("__call__", *_PLOTS))),
        TypeReview("pandas.core.groupby.groupby:GroupByPlot", make=None, only=frozenset(("__call__",))),
        TypeReview(
            "pandas.io.formats.style:Styler",
            make=None,
            only=frozenset((*_STYLING, *_STYLED, "__eq__", "__ne__", "__hash__")),
        ),
        *(
            TypeReview(f"pandas.core.indexes.accessors:{name}", inherits, make=None)
            for name, inherits in (
                ("DatetimeProperties", ()),
                *(
                    (f"{other}", ("pandas.core.indexes.accessors.DatetimeProperties",))
                    for other in (
                        "TimedeltaProperties",
                        "PeriodProperties",
                        "CombinedDatetimelikeProperties",
                        "ArrowTemporalProperties",
                    )
                ),
            )
        ),
        TypeReview("pandas.core.arrays.categorical:CategoricalAccessor", make=None),
        TypeReview("pandas.core.arrays.arrow.accessors:ListAccessor", make=None),
        TypeReview("pandas.core.arrays.arrow.accessors:StructAccessor", make=None),
        TypeReview("pandas.core.arrays.sparse.accessor:SparseAccessor", make=None),
        TypeReview("pandas.core.arrays.sparse.accessor:SparseFrameAccessor", make=None),
        *(
            TypeReview(
                f"pandas.core.indexing:{name}", make=None, only=frozenset(("__getitem__", "__setitem__", "__call__"))
            )
            for name in ("_LocIndexer", "_iLocIndexer", "_AtIndexer", "_iAtIndexer")
        ),
        TypeReview("pandas.core.indexing:_IndexSlice", make=None, only=frozenset(("__getitem__",))),
        TypeReview("pandas:Timestamp", meta=("carries = true", 'builtin = "datetime"'), immutable=True),
        TypeReview("pandas:Timedelta", meta=("carries = true", 'builtin = "timedelta"'), immutable=True),
        TypeReview("pandas:Period", immutable=True),
        TypeReview("pandas:Interval", immutable=True),
        TypeReview(
            f"{_API}:NAType", make=None, only=frozenset(("__repr__", "__str__", "__hash__", "__eq__", "__bool__"))
        ),
        TypeReview(f"{_API}:NaTType", make=None, immutable=True),
        TypeReview("pandas.api.extensions:ExtensionArray", make=None, hashable=False),
        *(
            TypeReview(f"pandas.arrays:{name}", ("pandas.api.extensions.ExtensionArray",), hashable=False)
            for name in _ARRAYS
        ),
        TypeReview("pandas.api.extensions:ExtensionDtype", make=None, only=_DTYPE_MEMBERS),
        TypeReview(
            "pandas:CategoricalDtype",
            ("pandas.api.extensions.ExtensionDtype",),
            only=_DTYPE_MEMBERS | {"__repr__", "categories"},
        ),
        *(
            TypeReview(f"pandas:{name}", ("pandas.api.extensions.ExtensionDtype",), only=_DTYPE_MEMBERS | {"__repr__"})
            for name in _DTYPES
        ),
        TypeReview("pandas.tseries.offsets:BaseOffset", make=None, immutable=True),
        TypeReview(
            "pandas.tseries.offsets:Tick", ("pandas._libs.tslibs.offsets.BaseOffset",), make=None, immutable=True
        ),
        *(
            TypeReview(f"pandas.tseries.offsets:{name}", ("pandas._libs.tslibs.offsets.BaseOffset",), immutable=True)
            for name in _OFFSETS
        ),
        TypeReview("pandas._config.config:DictWrapper", meta=('dynamic = "fields"',), make=None, only=frozenset()),
        TypeReview(
            "proxyplane.hosts.pandas_options:OptionContext", make=None, only=frozenset(("__enter__", "__exit__"))
        ),
        TypeReview("pandas.core.col:Expression", make=None, only=_COLUMN_EXPRESSION, immutable=True, hashable=False),
        TypeReview("pandas:Grouper", only=frozenset(("__repr__", "__str__"))),
        TypeReview(f"{_API}:TimeGrouper", make=None, only=frozenset(("__repr__", "__str__"))),
        TypeReview(
            "pandas:NamedAgg",
            only=frozenset(("__repr__", "__str__", "__eq__", "__ne__")),
            extra=('aggfunc = "property read instance"', 'column = "property read instance"'),
        ),
        TypeReview(
            "pandas.io.parsers.readers:TextFileReader",
            make=None,
            only=frozenset("close get_chunk read __iter__ __next__ __enter__ __exit__".split()),
        ),
        *(
            TypeReview(f"pandas.api.indexers:{name}", only=frozenset(("__repr__", "__str__")))
            for name in ("FixedForwardWindowIndexer", "VariableOffsetWindowIndexer")
        ),
        *(TypeReview(f"pandas.errors:{name}", _ERROR, only=_ERROR_LINES) for name in _ERRORS),
    ),
    modules={
        "pandas": (
            "annotations compat core eval io "
            "pandas read_gbq "
            "read_iceberg read_sql read_sql_query read_sql_table read_xml set_eng_float_format "
            "show_versions test"
        ).split(),
        "pandas.api": (),
        "pandas.api.types": (),
        "pandas.api.typing": (),
        "pandas.api.indexers": (),
        "pandas.api.extensions": ("only", "ExtensionArray", "ExtensionDtype", "no_default", "take"),
        "pandas.arrays": (),
        "pandas.errors": ("abc", "annotations", "cow", "ctypes"),
        "pandas.plotting": ("only", *_PLOTTING),
        "pandas.testing": (),
        "pandas.tseries": ("only", "offsets", "frequencies"),
        "pandas.tseries.offsets": ("annotations",),
        "pandas.tseries.frequencies": ("only", "to_offset", "infer_freq"),
        "pandas.util": ("only", "hash_array", "hash_pandas_object"),
    },
    lines={
        # modules
        "pandas.NA": "constant",
        "pandas.NaT": "constant",
        "pandas.IndexSlice": "constant",
        # options, a session's own
        "pandas.set_option": "function compute state keeps args@0:options !params",
        "pandas.reset_option": "function compute state replaced pat@0:options !params",
        "pandas.option_context": "function compute keeps replaced args@0:options !params",
        "pandas.describe_option": "function read schema replaced prints=buf !params",
        "pandas.get_option": "function read schema !params",
        "pandas.options": "constant",
        "pandas.offsets": "module",
        "pandas.api.extensions.no_default": "constant",
        "pandas.read_pickle": "function exec compute filepath_or_buffer:path-read",
        "pandas.read_hdf": "function exec compute path_or_buf:path-read",
        "pandas.read_clipboard": "function process compute",
        "pandas.to_pickle": "function compute filepath_or_buffer:path-write",
        "pandas.read_excel": f"function compute fresh io:path-read engine:{_EXCEL}",
        "pandas.read_html": "function compute fresh io:path-read",
        "pandas.read_csv": "function compute filepath_or_buffer:path-read engine:one-of(c|python|pyarrow|python-fwf)",
        "pandas.read_table": "function compute filepath_or_buffer:path-read engine:one-of(c|python|pyarrow|python-fwf)",
        "pandas.read_fwf": "function compute filepath_or_buffer:path-read engine:never storage_options:never",
        "pandas.read_json": "function compute path_or_buf:path-read engine:one-of(ujson|pyarrow)",
        "pandas.read_parquet": f"function compute path:path-read engine:{_PARQUET}",
        "pandas.read_feather": "function compute path:path-read",
        "pandas.read_orc": "function compute path:path-read",
        "pandas.read_sas": "function compute filepath_or_buffer:path-read",
        "pandas.read_spss": "function compute path:path-read",
        "pandas.read_stata": "function compute filepath_or_buffer:path-read",
        "pandas.pivot_table": "function compute aggfunc:named",
        "pandas.crosstab": "function compute aggfunc:named",
        # writing
        "NDFrame.to_csv": "method compute reveals=receiver path_or_buf:path-write",
        "NDFrame.to_json": "method compute reveals=receiver path_or_buf:path-write",
        "NDFrame.to_excel": f"method compute excel_writer:path-write engine:{_EXCEL}",
        "NDFrame.to_pickle": "method compute path:path-write",
        "NDFrame.to_hdf": "method compute path_or_buf:path-write",
        "NDFrame.to_latex": f"method compute {_TEXT_OUT} header:one-of(True|False)",  # a list is for `str.format`
        "NDFrame.to_clipboard": "method process compute",
        "DataFrame.to_parquet": f"method compute reveals=receiver path:path-write engine:{_PARQUET}",
        "DataFrame.to_feather": "method compute path:path-write",
        "DataFrame.to_orc": "method compute reveals=receiver path:path-write engine:one-of(pyarrow)",
        "DataFrame.to_stata": "method compute path:path-write",
        "DataFrame.to_xml": "method compute reveals=receiver path_or_buffer:path-write stylesheet:never",
        **{
            f"{kind}.to_{form}": f"method compute {_TEXT_OUT}"
            for kind in ("DataFrame", "Series")
            for form in ("html", "string", "markdown")
        },
        "DataFrame.to_records": "method compute",
        "DataFrame.to_dict": "method compute fresh reveals=result",
        "Series.to_dict": "method compute fresh reveals=result",
        ".to_list": "method compute fresh reveals=result",
        ".tolist": "method compute fresh reveals=result",
        "Series.info": "method read schema prints=buf",
        "DataFrame.info": "method read schema prints=buf",
        # evaluated texts and names of methods
        "DataFrame.query": (
            "method compute scoped expr:expression engine:one-of(numexpr|python) "
            "parser:one-of(pandas|python) resolvers:never level:never "
            "local_dict:scope global_dict:never target:never"
        ),
        "DataFrame.eval": (
            "method compute scoped expr:expression engine:one-of(numexpr|python) "
            "parser:one-of(pandas|python) resolvers:never level:never "
            "local_dict:scope global_dict:never target:never"
        ),
        **{
            f"{kind}.{name}": "method compute joins func:named engine:one-of(cython|python|numba) engine_kwargs:never"
            for kind in (
                "DataFrame",
                "Series",
                "DataFrameGroupBy",
                "SeriesGroupBy",
                "GroupBy",
                "Resampler",
                "BaseWindow",
                "Rolling",
                "Expanding",
                "ExponentialMovingWindow",
                "Window",
            )
            for name in ("agg", "aggregate", "apply", "transform")
        },
        "Resampler.apply": "method compute func:named",
        "Resampler.transform": "method compute arg:named",
        "DataFrame.pivot_table": "method compute aggfunc:named",
        # drawing and styling
        **{f"{kind}.plot": "property read draws" for kind in ("DataFrame", "Series", "DataFrameGroupBy")},
        "SeriesGroupBy.plot": "property read draws",
        "PlotAccessor.__call__": f"{_DRAWS}",
        "GroupByPlot.__call__": f"{_DRAWS}",
        **{f"PlotAccessor.{name}": f"method {_DRAWS}" for name in _PLOTS},
        **{
            f"{kind}.{name}": f"method {_DRAWS}"
            for kind in ("DataFrame", "Series", "DataFrameGroupBy", "SeriesGroupBy")
            for name in ("hist", "boxplot")
        },
        **{f"pandas.plotting.{name}": f"function {_DRAWS}" for name in _PLOTTING},
        **{f"Styler.{name}": "method mutate compute" for name in _STYLING},
        "Styler.format": _STYLER_FORMAT,
        "Styler.format_index": _STYLER_FORMAT,
        "Styler.to_excel": f"method compute excel_writer:path-write engine:{_EXCEL}",
        **{f"Styler.to_{form}": f"method compute {_TEXT_OUT}" for form in ("html", "latex", "string")},
        # labels and schema
        "NDFrame.columns": "property read schema settable",
        "DataFrame.columns": "property read schema settable",
        "DataFrame.index": "property read settable",
        "Series.index": "property read settable",
        "Series.name": "property read schema settable",
        "Index.name": "property read schema settable",
        "Index.names": "property read schema settable",
        "DataFrame.axes": "property read schema fresh",
        "Series.axes": "property read fresh",
        "DataFrame.keys": "method read schema",
        "DataFrame.__iter__": "read schema pure",
        "DataFrame.__contains__": "read schema",
        "DataFrame.memory_usage": "method compute",
        ".dtypes": "property read schema",
        "CategoricalDtype.categories": "property compute content",
        "CategoricalDtype.__repr__": "reveal reveals=display content",
        "OptionContext.__enter__": "compute state",
        "OptionContext.__exit__": "compute state",
        "MultiIndex.dtypes": "property read schema",
        # iteration
        **{
            f"{kind}.{name}": "method compute pure fresh"
            for kind in ("DataFrame", "Series")
            for name in ("iterrows", "itertuples", "items")
        },
        **{
            f"{kind}.__iter__": "compute pure fresh"
            for kind in ("BaseGroupBy", "BaseWindow", "Resampler", "Rolling", "Expanding")
        },
        "BaseGroupBy.__len__": "read",
        # changing in place
        "DataFrame.insert": "method mutate",
        "DataFrame.isetitem": "method mutate",
        "DataFrame.pop": "method compute mutate",
        "Series.pop": "method compute mutate",
        "DataFrame.update": "method mutate",
        "Series.update": "method mutate",
        "NDFrame.sample": "method compute random",
        "BaseGroupBy.sample": "method compute random",
        "NDFrame.sum": "method compute joins",
        "DataFrame.sum": "method compute joins",
        "Series.sum": "method compute joins",
        "StringMethods.cat": "method compute joins",
        "FrozenList.difference": "method compute",
        # arrays
        "ExtensionArray.fillna": "method compute copy:one-of(True)",
        "ExtensionArray.view": "method compute dtype:never",
        "Index.view": "method compute cls:never",
        "Index.to_flat_index": "method compute",
        "SparseFrameAccessor.to_coo": "method compute",
        # frames of a reader
        "TextFileReader.close": "method read",
    },
    absent=frozenset(
        (
            "ExtensionArray.interpolate "
            ".attrs .flags .base .data .ctypes .strides .obj .grouper "
            ".to_sql .to_gbq .to_iceberg "
            ".to_xarray .from_arrow ..win_type .online .raise_on_error .exclusions .binner .buffers .ndarray .sp_index "
            ".__array__ .calendar .construct_from_string .construct_array_type .register .kwds "
            ".pyarrow_dtype .set_flags "
            "Series.from_coo Timedelta.view TimedeltaArray.days_docstring "
            "TimedeltaArray.seconds_docstring TimedeltaArray.microseconds_docstring "
            "TimedeltaArray.nanoseconds_docstring"
        ).split()
    ),
    params={
        "inplace": "mutate",
        "storage_options": "never",
        "filesystem": "never",
        "engine_kwargs": "never",
        "engine": "one-of(cython|python|numba)",
        "win_type": f"one-of({_WINDOWS})",
        "out": "fills",
    },
    schema=frozenset(
        "shape ndim size empty dtype dtypes nbytes columns name names nlevels ordered freq freqstr tz "
        "unit resolution inferred_type".split()
    ),
    fresh=frozenset(
        "shape axes align factorize cut qcut reindex get_indexer_non_unique get_loc_level sortlevel as_tuple "
        "divmod rdivmod slice_locs slice_indexer get_slice_bound as_integer_ratio to_coo join".split()
    ),
    written=(
        "",
        "# Rows of itertuples: each call makes a class of its own, a tuple, in this module.",
        '[type."pandas.core.frame.*"]',
        'inherits = ["builtins.tuple"]',
        'builtin = "tuple"',
        "carries = true",
        'dynamic = "fields"',
    ),
)
