"""Hand decisions about polars.

Left out on purpose: statements with table functions (they open files), plans that are read back unless `exec` is
granted (they unpickle functions), plugins and namespaces (shared libraries, classes of everybody), remote engines, lake
and catalog formats, databases, the clipboard, sinks into partitions, string caches, seeds and other state of the whole
process, `show_graph`, `inspect`. Options of `Config` are each session's own (`hosts/swapped.py`). The categories of a
`Categorical` are one table for the whole process, so nothing that decodes numbers through it (`cat.to`, `Categories`)
is described.
"""

from __future__ import annotations

import importlib
from typing import Any

from proxyplane.catalogs.generate import Review, TypeReview
from proxyplane.hosts import polars_forms

pl: Any = importlib.import_module("polars")  # by name: only the generator reads this table
_selectors: Any = importlib.import_module("polars.selectors")
importlib.import_module("polars.testing")  # a part of polars only once it is imported

_EXPR = ("polars.expr.expr.Expr",)
_DTYPE = ("polars.datatypes.classes.DataType",)
_GROUPS = "NumericType IntegerType SignedIntegerType UnsignedIntegerType FloatType TemporalType NestedType".split()
_DTYPE_LINES = frozenset(
    "base_type from_python is_ is_decimal is_float is_integer is_nested is_numeric "
    "is_object is_signed_integer is_temporal "
    "is_unsigned_integer to_dtype_expr to_python is_extension __eq__ __ne__ __hash__ __repr__ __str__ max min".split()
)
_FIELDS = ("inner", "fields", "time_unit", "time_zone", "precision", "scale", "size", "shape", "width", "categories")
_ERRORS = tuple(
    sorted(
        name
        for name, value in vars(pl.exceptions).items()
        if isinstance(value, type) and issubclass(value, BaseException) and value.__module__.startswith("polars")
    )
)
_NAMESPACES = (
    *(f"polars.expr.{module}:Expr{name}" for module, name in (
        ("array", "ArrayNameSpace"), ("binary", "BinaryNameSpace"), ("categorical", "CatNameSpace"),
        ("datetime", "DateTimeNameSpace"), ("list", "ListNameSpace"), ("map", "MapNameSpace"),
        ("meta", "MetaNameSpace"),
        ("name", "NameNameSpace"), ("string", "StringNameSpace"), ("struct", "StructNameSpace"),
    )),
    *(f"polars.series.{module}:{name}" for module, name in (
        ("array", "ArrayNameSpace"), ("binary", "BinaryNameSpace"), ("categorical", "CatNameSpace"),
        ("datetime", "DateTimeNameSpace"), ("list", "ListNameSpace"), ("map", "MapNameSpace"),
        ("string", "StringNameSpace"), ("struct", "StructNameSpace"),
    )),
)  # fmt: skip
_READS = "read_csv read_json read_ndjson read_parquet read_ipc read_ipc_stream read_avro read_lines".split()
_SCANS = "scan_csv scan_ndjson scan_parquet scan_ipc scan_lines".split()
_SCHEMAS = "read_ipc_schema read_parquet_schema read_parquet_metadata".split()
_SINKS = "sink_csv sink_ndjson sink_parquet sink_ipc".split()
_WRITES = "write_csv write_json write_ndjson".split()
_FILES = "write_parquet write_ipc write_ipc_stream write_avro".split()
_FILE_RULES = "file:path-write metadata:never arrow_schema:never encryption:never partition_by:never mkdir:fs.write"
_SINK_RULES = (
    "path:path-write metadata:never arrow_schema:never encryption:never sinked_paths_callback:never mkdir:fs.write"
)

_DEFAULT_DTYPES = sorted(
    {value.__name__ for value in vars(pl).values() if isinstance(value, type) and issubclass(value, pl.DataType)}
    - {"DataType", "BaseExtension", "Extension"}
)


def _known(line: str, value: Any) -> str:
    """The line without rules for parameters that this member does not have."""
    names = importlib.import_module("inspect").signature(value).parameters
    return " ".join(word for word in line.split() if ":" not in word or word.split(":")[0] in names)


REVIEW = Review(
    library="polars",
    versions=">=2.0,<3",
    types=(
        TypeReview("polars:DataFrame", hashable=False),
        TypeReview("polars:LazyFrame", hashable=False),
        TypeReview("polars:Series", hashable=False),
        TypeReview("polars:Expr", make=None, hashable=False),
        TypeReview("polars.selectors:Selector", _EXPR, make=None),
        TypeReview("polars:Config", make="compute state keeps replaced",
                   only=frozenset((*polars_forms.OPTIONS, "restore_defaults", "__enter__", "__exit__", "__eq__"))),
        TypeReview("polars:SQLContext", make="compute register_globals:never", hashable=False,
                   only=frozenset("execute register register_many tables unregister __enter__ __exit__".split())),
        TypeReview("polars.expr.whenthen:When", make=None),
        TypeReview("polars.expr.whenthen:ChainedWhen", make=None),
        TypeReview("polars.expr.whenthen:Then", _EXPR, make=None, hashable=False),
        TypeReview("polars.expr.whenthen:ChainedThen", _EXPR, make=None, hashable=False),
        TypeReview(
            "polars.functions.col:Col",
            meta=('dynamic = "fields"',),
            only=frozenset(("__call__", "__repr__")),
            make=None,
        ),
        *(TypeReview(path, make=None) for path in _NAMESPACES),
        *(
            TypeReview(f"polars.dataframe.group_by:{name}", make=None)
            for name in ("GroupBy", "RollingGroupBy", "DynamicGroupBy", "GroupByIter")
        ),
        TypeReview("polars.lazyframe.group_by:LazyGroupBy", make=None),
        TypeReview("polars:Schema", ("builtins.dict",), ('builtin = "dict"',), hashable=False),
        TypeReview("polars:QueryOptFlags", only=frozenset(("none", "__repr__", "__eq__", "__ne__", "__hash__"))),
        TypeReview("polars:Field", only=frozenset(("__eq__", "__ne__", "__hash__", "__repr__")),
                   extra=('name = "property read schema instance"', 'dtype = "property read instance"')),
        TypeReview("polars:DataTypeExpr", make=None),
        TypeReview("polars:DataType", only=_DTYPE_LINES,
                   extra=tuple(f'{name} = "property read fresh schema instance"' for name in _FIELDS)),
        *(TypeReview(f"polars.datatypes.classes:{name}", _DTYPE, only=_DTYPE_LINES, make=None) for name in _GROUPS),
        *(TypeReview(f"polars:{name}", _DTYPE, only=_DTYPE_LINES) for name in _DEFAULT_DTYPES),
        *(
            TypeReview(f"polars.exceptions:{name}", ("builtins.BaseException",), only=frozenset())
            for name in _ERRORS
        ),
    ),
    modules={
        "polars": (
            "Catalog CompatLevel Categories CredentialProvider CredentialProviderAWS CredentialProviderAzure "
            "CredentialProviderFunction CredentialProviderGCP Engine FileProviderArgs GPUEngine InMemoryEngine "
            "ParquetDecryptionProperties ParquetEncryptionProperties PartitionBy "
            "RemoteEngine ScanCastOptions "
            "StreamingEngine StringCache api build_info catalog collect_all_async config convert defer delete_iceberg "
            "disable_string_cache enable_string_cache from_torch functions "
            "get_extension_type interchange io jemalloc_conf "
            "override plugins read_clipboard read_database read_database_uri read_delta register_extension_type "
            "scan_arrow_c_stream scan_delta scan_external_reader scan_iceberg scan_lance scan_pyarrow_dataset "
            "set_random_seed show_versions string_cache "
            "unregister_extension_type using_string_cache wrap_df "
            "wrap_s"
        ).split(),
        "polars.selectors": ("only", *_selectors.__all__),
        "polars.exceptions": ("only", *_ERRORS),
        "polars.datatypes": ("only", "DataType", *_DEFAULT_DTYPES, *_GROUPS),
        "polars.testing": (
            "only assert_frame_equal assert_frame_not_equal assert_series_equal assert_series_not_equal "
            "assert_schema_equal"
        ).split(),
    },
    lines={
        "polars.col": "constant",
        "polars.testing": "module",
        **{f"polars.{name}": _known("function compute source:source-read decryption:never", getattr(pl, name))
           for name in _READS},
        **{f"polars.{name}": _known("function compute holds source:source-read decryption:never", getattr(pl, name))
           for name in _SCANS},
        **{f"polars.{name}": "function compute fresh source:source-read" for name in _SCHEMAS},
        **{f"polars.{name}": _known("function compute source:source-read engine:one-of(calamine|openpyxl) "
                                    "engine_options:never read_options:never", getattr(pl, name))
           for name in ("read_excel", "read_ods")},
        "polars.json_normalize": "function compute encoder:never",
        **{f"DataFrame.{name}": _known(f"method compute reveals=receiver {_FILE_RULES}", getattr(pl.DataFrame, name))
           for name in (*_WRITES, *_FILES)},
        **{f"LazyFrame.{name}": _known(f"method compute {_SINK_RULES}", getattr(pl.LazyFrame, name))
           for name in _SINKS},
        **{f"Config.{name}": "classmethod compute state keeps" for name in polars_forms.OPTIONS},
        "Config.restore_defaults": "classmethod compute state",
        "Config.__enter__": "compute state",
        "Config.__exit__": "compute state",
        "polars.sql": "function compute replaced query@0:polars-sql frames@2:scope !params",
        "polars.sql_expr": "function compute fresh sql:polars-sql",
        "SQLContext.execute": "method compute query:polars-sql",
        "SQLContext.register": "method mutate compute",
        "SQLContext.register_many": "method mutate compute",
        "SQLContext.unregister": "method mutate compute",
        "SQLContext.tables": "method compute fresh",
        "SQLContext.__exit__": "mutate",
        **{f"{kind}.sql": "method compute query:polars-sql" for kind in ("DataFrame", "LazyFrame", "Series")},
        "DataFrame.serialize": "method reveal reveals=receiver file:path-write format:one-of(binary|json)",
        "DataFrame.deserialize": "classmethod compute source:path-read format:one-of(binary|json)",
        **{f"{kind}.serialize": "method reveal reveals=receiver file:path-write format:one-of(binary|json)"
           for kind in ("LazyFrame", "ExprMetaNameSpace")},
        **{f"{kind}.deserialize": "classmethod compute exec source:path-read format:one-of(binary|json)"
           for kind in ("LazyFrame", "Expr")},
        **{f"{kind}.show": "method compute speaks state reveals=display" for kind in ("DataFrame", "LazyFrame")},
        "Series.flags": "property compute fresh",
        "DataFrame.flags": "property compute fresh",
        "Series.get_chunks": "method compute fresh",
        "DataFrame.glimpse": "method reveal reveals=receiver prints=return_type",
        "DataFrame.to_init_repr": "method reveal reveals=receiver",
        "Series.to_init_repr": "method reveal reveals=receiver",
        "DataFrame.columns": "property read schema fresh settable",
        "DataFrame.dtypes": "property read schema fresh",
        "DataFrame.estimated_size": "method read schema",
        "DataFrame.collect_schema": "method read schema",
        "LazyFrame.collect_schema": "method read schema",
        "DataFrame.get_column_index": "method read schema",
        **{f"DataFrame.{name}": "method mutate compute" for name in
           ("drop_in_place", "extend", "insert_column", "replace_column")},
        **{f"Series.{name}": "method mutate compute" for name in ("append", "extend", "scatter")},
        "DataFrame.iter_rows": "method compute fresh pure",
        "DataFrame.iter_columns": "method compute pure",
        "DataFrame.iter_slices": "method compute pure",
        "Series.to_list": "method compute fresh reveals=result",
        "Series.len": "method read schema",
        "Series.n_chunks": "method read schema",
        "Series.chunk_lengths": "method read schema fresh",
        "LazyFrame.collect": "method compute background:never engine:one-of(auto|in-memory|streaming|cpu)",
        "LazyFrame.explain": "method compute engine:one-of(auto|in-memory|streaming|cpu)",
        "polars.collect_all": "function compute fresh engine:one-of(auto|in-memory|streaming|cpu)",
        "polars.explain_all": "function compute",
        "Schema.to_arrow": "method compute",
        **{f"Schema.{name}": "method compute mutate" for name in
           ("clear", "move_to_end", "pop", "popitem", "setdefault", "update")},
        "ExprMetaNameSpace.tree_format": "method compute return_as_string:one-of(True)",
        "DataFrame.__getitem__": "compute fresh",
        "Series.__getitem__": "compute fresh",
        "DataFrame.__iter__": "compute pure",
        "Series.__iter__": "compute fresh pure",
        "GroupBy.__iter__": "compute",
        "RollingGroupBy.__iter__": "compute",
        "DynamicGroupBy.__iter__": "compute",
        "GroupByIter.__next__": "compute",
        ".__bool__": "compute",
    },
    absent=frozenset(
        (
            "DataType.deserialize Schema.deserialize .inspect .show_graph .plot .style .to_jax .to_torch .remote "
            "LazyFrame.execute .collect_async .collect_batches .sink_batches .sink_delta .sink_iceberg "
            ".from_lazyframe_resolver "
            ".write_clipboard .write_database .write_delta .write_iceberg .write_excel .lower_bound_ .ext "
            "ExprCatNameSpace.to CatNameSpace.to ExprCatNameSpace.physical CatNameSpace.physical Schema.fromkeys "
            "DataTypeExpr.inspect .lower_bound_"
        ).split()
    ),
    params={"storage_options": "never", "credential_provider": "one-of(auto)", "pyarrow_options": "never",
            "in_place": "mutate"},
    schema=frozenset("columns dtypes schema shape height width name dtype names len".split()),
    fresh=frozenset(
        "rows row to_dicts to_dict get_columns partition_by item rows_by_key fold "
        "to_list first last max min mean median mode "
        "sum product quantile std var align_frames expand_selector root_names split "
        "dtypes fields search_sorted arg_max "
        "sum_horizontal describe head items values keys names pop popitem to_python chunk_lengths index_of get".split()
    ),
)  # fmt: skip
