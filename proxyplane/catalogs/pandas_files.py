"""Hand decisions about the members of pandas that read and write: files, buffers, stores and databases."""

from __future__ import annotations

__all__ = ["EXCEL", "FILES", "TEXT_OUT"]

EXCEL = "one-of(openpyxl|xlsxwriter|xlrd|odf|pyxlsb|calamine)"
_PARQUET = "one-of(auto|pyarrow|fastparquet)"
TEXT_OUT = "buf:path-write reveals=receiver"
_STORED = "self:path-write"
_FROM_STORE = "exec compute self:path-read"
"""What comes out of a store may have been pickled."""

FILES = {
    "pandas.read_xml": (
        "function compute path_or_buffer:path-read stylesheet:never iterparse:never parser:one-of(lxml|etree)"
    ),
    "pandas.read_sql": "function compute sql:query con:connection",
    "pandas.read_sql_query": "function compute sql:query con:connection",
    "pandas.read_sql_table": "function compute con:connection schema:never",
    "NDFrame.to_sql": "method compute con:connection con:fills schema:never dtype:sql-types",
    "pandas.read_pickle": "function exec compute filepath_or_buffer:path-read",
    "pandas.read_hdf": "function exec compute path_or_buf:path-read",
    "pandas.read_clipboard": "function process compute",
    "pandas.to_pickle": "function compute filepath_or_buffer:path-write",
    "pandas.read_excel": f"function compute fresh io:path-read engine:{EXCEL}",
    "ExcelFile.parse": "method compute fresh self:path-read",
    "ExcelFile.sheet_names": "property compute fresh self:path-read",
    "ExcelFile.close": "method read",
    "ExcelWriter.close": "method mutate holds scratch",
    "ExcelWriter.__exit__": "mutate holds scratch",
    "ExcelWriter.sheets": "property read",
    **{f"HDFStore.{name}": f"method mutate {_STORED}" for name in ("put", "append", "append_to_multiple", "remove")},
    "HDFStore.create_table_index": f"method mutate {_STORED}",
    **{f"HDFStore.__{name}item__": f"mutate {_STORED}" for name in ("set", "del")},
    **{
        f"HDFStore.{name}": f"method {_FROM_STORE} fresh"
        for name in "get select select_as_coordinates select_as_multiple select_column keys info".split()
    },
    **{f"HDFStore.__{name}__": f"{_FROM_STORE}" for name in ("getitem", "contains", "len", "iter")},
    **{f"HDFStore.{name}": "method mutate" for name in ("close", "flush")},
    "HDFStore.is_open": "property read",
    "HDFStore.__exit__": "mutate",
    "pandas.read_html": "function compute fresh io:path-read",
    "pandas.read_csv": "function compute filepath_or_buffer:path-read engine:one-of(c|python|pyarrow|python-fwf)",
    "pandas.read_table": "function compute filepath_or_buffer:path-read engine:one-of(c|python|pyarrow|python-fwf)",
    "pandas.read_fwf": "function compute filepath_or_buffer:path-read engine:never storage_options:never",
    "pandas.read_json": "function compute path_or_buf:path-read engine:one-of(ujson|pyarrow)",
    "pandas.read_parquet": f"function compute path:path-read engine:{_PARQUET}",
    "pandas.read_feather": "function compute replaced path:path-read",
    "pandas.read_orc": "function compute path:path-read",
    "pandas.read_sas": "function compute filepath_or_buffer:path-read",
    "pandas.read_spss": "function compute path:path-read",
    "pandas.read_stata": "function compute filepath_or_buffer:path-read",
    "pandas.pivot_table": "function compute aggfunc:named",
    "pandas.crosstab": "function compute aggfunc:named",
    # writing
    "NDFrame.to_csv": "method compute reveals=receiver path_or_buf:path-write",
    "NDFrame.to_json": "method compute reveals=receiver path_or_buf:path-write",
    "NDFrame.to_excel": f"method compute scratch excel_writer:path-write engine:{EXCEL}",
    "NDFrame.to_pickle": "method compute path:path-write",
    "NDFrame.to_hdf": "method compute path_or_buf:path-write",
    # A list of headers is for `str.format`.
    "NDFrame.to_latex": f"method compute {TEXT_OUT} header:one-of(True|False) formatters:fills",
    "NDFrame.to_clipboard": "method process compute",
    "DataFrame.to_parquet": f"method compute reveals=receiver path:path-write engine:{_PARQUET}",
    "DataFrame.to_feather": "method compute path:path-write",
    "DataFrame.to_orc": "method compute reveals=receiver path:path-write engine:one-of(pyarrow)",
    "DataFrame.to_stata": "method compute path:path-write",
    "DataFrame.to_xml": "method compute reveals=receiver path_or_buffer:path-write stylesheet:never",
    **{
        f"{kind}.to_{form}": f"method compute {TEXT_OUT}"
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
}
"""Lines, as in a `Review`."""
