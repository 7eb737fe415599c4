"""Hand decisions about pandas.

Left out on purpose: raw or shared memory (`base`, `obj`, `grouper`), texts for `str.format` with more than plain fields
in them (they walk from a cell to all that the process holds), templates, registration of dtypes, the interchange
protocol (addresses of buffers), and everything under `pandas.io`, `core`, `compat` but the names of types that stand
in this file.
"""

from __future__ import annotations

import importlib
from typing import Any

from proxyplane.catalogs.generate import Review, TypeReview
from proxyplane.catalogs.pandas_files import EXCEL, FILES, TEXT_OUT
from proxyplane.catalogs.pandas_private import PRIVATE

offsets: Any = importlib.import_module("pandas.tseries.offsets")  # by name: only the generator reads this table
holiday: Any = importlib.import_module("pandas.tseries.holiday")

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
_STYLED = (
    "format format_index format_index_names relabel_index apply apply_index map map_index pipe export use table_styles "
    "table_attributes caption tooltips uuid data to_excel to_html to_latex to_string to_typst"
).split()
"""Members of Styler; `from_custom_template` runs templates of the agent's in the host."""
_STYLER_FORMAT = "method mutate compute formatter:format-text escape:one-of(html|latex|latex-math|typst)"
_STYLER_FIELDS = ("table_styles", "table_attributes", "caption")
_WRITER = frozenset("close sheets date_format datetime_format engine if_sheet_exists __enter__ __exit__".split())
_READER = frozenset("close parse sheet_names __enter__ __exit__ __repr__ __str__ __eq__ __ne__ __hash__".split())
_DRIVER = "driver:one-of(H5FD_SEC2|H5FD_STDIO|H5FD_CORE)"
_STORE = frozenset(
    "append append_to_multiple close create_table_index flush get info is_open keys put remove select "
    "select_as_coordinates select_as_multiple select_column __getitem__ __setitem__ __delitem__ __contains__ __len__ "
    "__iter__ __enter__ __exit__ __repr__ __str__".split()
)
_CHECKED = "verify_integrity:one-of(True)"
"""Compiled code reads where codes say: unchecked ones read memory far behind the levels."""


def _index_made(name: str) -> str:
    return f"compute {_CHECKED}" if name == "MultiIndex" else "compute"


REVIEW = Review(
    library="pandas",
    versions=">=3.0,<4",
    types=(
        TypeReview("pandas:DataFrame", meta=('dynamic = "columns"',), hashable=False),
        TypeReview("pandas:Series", meta=('dynamic = "columns"',), hashable=False),
        TypeReview("pandas:Index", hashable=False),
        *(TypeReview(f"pandas:{name}", _INDEX, hashable=False, make=_index_made(name)) for name in _INDEX_KINDS),
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
            make="compute formatter:format-text escape:one-of(html|latex|latex-math|typst)",
            only=frozenset((*_STYLING, *_STYLED, "__eq__", "__ne__", "__hash__")),
            extra=(
                *(f'{name} = "property read settable instance"' for name in _STYLER_FIELDS),
                'uuid = "property read instance"',
                'data = "property read instance"',
            ),
        ),
        TypeReview("pandas.core.flags:Flags", hashable=False, make=None),
        TypeReview(
            "pandas.core.groupby.indexing:GroupByPositionalSelector", make=None, only=frozenset(("__getitem__",))
        ),
        TypeReview(
            "pandas._libs.tslibs.timedeltas:Components",
            ("builtins.tuple",),
            make=None,
            only=frozenset("days hours minutes seconds milliseconds microseconds nanoseconds".split()),
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
        TypeReview(
            "pandas.core.col:Expression",
            make=None,
            only=_COLUMN_EXPRESSION | {"__call__", "__getitem__", "case_when"},
            immutable=True,
            hashable=False,
            deferred=(
                "pandas.Series",
                "pandas.core.strings.accessor.StringMethods",
                "pandas.core.indexes.accessors.DatetimeProperties",
                "pandas.core.arrays.categorical.CategoricalAccessor",
                "pandas.core.arrays.arrow.accessors.ListAccessor",
                "pandas.core.arrays.arrow.accessors.StructAccessor",
            ),
        ),
        TypeReview("pandas:ExcelFile", make=f"compute path_or_buffer:path-read engine:{EXCEL} holds", only=_READER),
        *(
            TypeReview(path, make=f"compute path:path-write engine:{EXCEL} holds", only=_WRITER)
            for path in (
                "pandas:ExcelWriter",
                "pandas.io.excel._openpyxl:OpenpyxlWriter",
                "pandas.io.excel._xlsxwriter:XlsxWriter",
                "pandas.io.excel._odswriter:ODSWriter",
            )
        ),
        TypeReview(
            "pandas:HDFStore", make=f"exec compute path:path-write {_DRIVER} holds", only=_STORE, hashable=False
        ),
        TypeReview(
            "pandas.io.sql:SQLTable",
            make=None,
            only=frozenset(),
            extra=('name = "property read instance"', 'table = "property read instance"'),
        ),
        TypeReview("proxyplane.hosts.pandas_plain:PlotSetting", make=None, only=frozenset(("__enter__", "__exit__"))),
        TypeReview(
            "pandas.plotting._misc:_Options",
            make=None,
            only=frozenset("use reset __getitem__ __setitem__ __contains__ __repr__ __len__".split()),
            hashable=False,
        ),
        TypeReview("dateutil._common:weekday", make=None, only=frozenset("__call__ __repr__ __str__ __eq__".split())),
        TypeReview(
            "pandas.tseries.holiday:Holiday",
            only=frozenset("dates __repr__ __str__".split()),
            hashable=False,
            extra=tuple(
                f'{name} = "property read instance"'
                for name in "name year month day offset observance start_date end_date days_of_week".split()
            ),
        ),
        *(
            TypeReview(
                f"pandas.tseries.holiday:{name}",
                only=frozenset("holidays merge rule_from_name start_date end_date __repr__ __str__".split()),
                extra=('rules = "property read instance"', 'name = "property read instance"'),
            )
            for name in ("AbstractHolidayCalendar", "USFederalHolidayCalendar")
        ),
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
        TypeReview("pandas.api.indexers:BaseIndexer", meta=('extends = "get_window_bounds"',), only=frozenset()),
        TypeReview(
            "pandas.core.interchange.dataframe:PandasDataFrameXchg",
            make=None,
            only=frozenset(
                "column_names num_columns num_rows num_chunks select_columns select_columns_by_name "
                "__dataframe__".split()
            ),
        ),
        *(TypeReview(f"pandas.errors:{name}", _ERROR, only=_ERROR_LINES) for name in _ERRORS),
    ),
    modules={
        "pandas": ("annotations compat pandas read_gbq read_iceberg set_eng_float_format test").split(),
        "pandas.api": (),
        "pandas.api.types": (),
        "pandas.api.typing": (),
        "pandas.api.indexers": (),
        "pandas.api.interchange": ("only", "from_dataframe"),
        "pandas.api.extensions": (
            "only ExtensionArray ExtensionDtype no_default take register_dataframe_accessor register_series_accessor "
            "register_index_accessor register_extension_dtype"
        ).split(),
        "pandas.core": ("only", "arrays", "frame", "series", "dtypes"),
        "pandas.core.arrays": ("only", *_ARRAYS, "ExtensionArray"),
        "pandas.core.frame": ("only", "DataFrame"),
        "pandas.core.series": ("only", "Series"),
        "pandas.core.dtypes": ("only", "common"),
        "pandas.core.dtypes.common": (
            "only",
            *(name for name in dir(importlib.import_module("pandas.api.types")) if name.startswith("is_")),
        ),
        "pandas.io": ("only", "formats"),
        "pandas.io.formats": ("only", "style"),
        "pandas.io.formats.style": ("only", "Styler"),
        "pandas.arrays": (),
        "pandas.errors": ("abc", "annotations", "cow", "ctypes"),
        "pandas.plotting": (
            "only",
            *_PLOTTING,
            "plot_params",
            "register_matplotlib_converters",
            "deregister_matplotlib_converters",
        ),
        "pandas.testing": (),
        "pandas.tseries": ("only", "offsets", "frequencies", "holiday"),
        "pandas.tseries.holiday": (
            "only",
            *(n for n in dir(holiday) if n.startswith("US") or n.endswith(("workday", "day", "tuesday", "Calendar"))),
            *(
                "Holiday MO TU WE TH FR SA SU Easter Day DateOffset GoodFriday EasterMonday HolidayCalendarFactory"
            ).split(),
        ),
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
        "pandas.show_versions": "function read schema replaced prints=buf as_json:one-of(True|False) !params",
        **{
            f"pandas.api.extensions.register_{kind}": "function read local"
            for kind in ("dataframe_accessor", "series_accessor", "index_accessor", "extension_dtype")
        },
        **{
            f"pandas.plotting.{how}register_matplotlib_converters": "function compute state draws" for how in ("", "de")
        },
        "pandas.plotting.plot_params": "constant",
        "_Options.use": "method compute state keeps replaced",
        "_Options.reset": "method compute state",
        "_Options.__setitem__": "compute state keeps",
        "PlotSetting.__enter__": "compute state",
        "PlotSetting.__exit__": "compute state",
        "pandas.eval": (
            "function compute scoped expr:evaluated engine:one-of(numexpr|python) parser:one-of(pandas|python) "
            "resolvers:never level:never local_dict:scope global_dict:never inplace:never"
        ),
        "pandas.get_option": "function read schema !params",
        "pandas.options": "constant",
        "pandas.offsets": "module",
        "pandas.api.extensions.no_default": "constant",
        **FILES,
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
        **{f"Styler.{name}": _STYLER_FORMAT for name in ("format", "format_index", "format_index_names")},
        **{f"Styler.{name}": "method mutate compute" for name in ("map", "map_index", "apply", "apply_index")},
        "Styler.relabel_index": "method mutate compute labels:format-text",
        "Styler.use": "method mutate compute styles:exported",
        "Styler.to_excel": f"method compute scratch excel_writer:path-write engine:{EXCEL}",
        **{f"Styler.to_{form}": f"method compute {TEXT_OUT}" for form in ("html", "latex", "string", "typst")},
        # labels and schema
        "NDFrame.columns": "property read schema settable",
        "DataFrame.columns": "property read schema settable",
        "DataFrame.index": "property read settable",
        "Series.index": "property read settable",
        "Series.name": "property read schema settable",
        "Index.name": "property read schema settable",
        "Index.names": "property read schema settable",
        "DataFrame.axes": "property read fresh",
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
        "MultiIndex.set_codes": f"method compute {_CHECKED}",
        "MultiIndex.set_levels": f"method compute {_CHECKED}",
        "Categorical.from_codes": "classmethod compute validate:one-of(True)",
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
        "ExtensionArray.sort": "method mutate",
        # by far larger ones kernels of Arrow loop, or crash
        "ArrowExtensionArray.round": f"method compute decimals:one-of({'|'.join(map(str, range(-18, 31)))})",
        "ExtensionArray.fillna": "method compute copy:one-of(True)",
        "ExtensionArray.interpolate": "method mutate compute",  # in place unless told to copy
        # what an object says of itself
        "NDFrame.attrs": "property compute settable plainly",
        "NDFrame.flags": "property read",
        "Flags.allows_duplicate_labels": "property read schema settable",
        **{  # compiled code that takes anything for a Timestamp, and ends the process
            f"BaseOffset.is_{period}_{edge}": "method compute ts@0:timestamp"
            for period in ("month", "quarter", "year")
            for edge in ("start", "end")
        },
        "BaseOffset.kwds": "property compute fresh",
        "BaseOffset.calendar": "property read",
        "ExtensionArray.view": "method compute dtype:never",
        "Timedelta.view": "method compute",
        "Index.to_flat_index": "method compute",
        "SparseFrameAccessor.to_coo": "method compute",
        # frames of a reader
        "TextFileReader.close": "method read",
    },
    absent=frozenset(
        (
            ".base .data .ctypes .strides .obj .grouper "
            ".to_gbq .to_iceberg "
            ".to_xarray ..win_type .online .raise_on_error .exclusions .binner .buffers .ndarray .sp_index "
            ".__array__ .construct_from_string .construct_array_type .register "
            ".pyarrow_dtype "
            "TimedeltaArray.days_docstring "
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
    private=PRIVATE,
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
