"""Hand decisions about pyarrow: the rules that `generate` makes a line per member from.

Left out on purpose: files, file systems, formats and flight, buffers and addresses, memory pools, extension types,
what a list holds beyond its slice (`values`), settings of the process. What each refused member would do stands in
`refusals.py`.
"""

from __future__ import annotations

from typing import Any

__all__ = ["LIBRARY", "LINES", "MODULES", "RULES", "VERSIONS"]

LIBRARY = "pyarrow"
VERSIONS = ">=18,<27"
MODULES = ("pyarrow", "pyarrow.compute", "pyarrow.csv", "pyarrow.parquet", "pyarrow.types")

RULES: dict[str, Any] = {
    "modules": list(MODULES),
    "types": [
        "pyarrow.lib.*Array pyarrow.lib.*Scalar pyarrow.lib.*Type pyarrow.lib.Table pyarrow.lib.RecordBatch",
        "pyarrow.lib.Schema pyarrow.lib.Field pyarrow.lib.ChunkedArray pyarrow.lib.TableGroupBy pyarrow.lib._Tabular",
        "pyarrow.lib._PandasConvertible pyarrow.lib.Arrow* pyarrow.lib._Weakrefable pyarrow.compute.*Options",
        "pyarrow._compute.*Options pyarrow._compute.Expression pyarrow.lib._Temporal* pyarrow.lib.DataType",
        "pyarrow._csv.*Options pyarrow._csv.InvalidRow",
    ],
    "except": [
        "*extension* *Extension* *memory_pool* *MemoryPool* *memory_map* open_* *_buffer foreign_buffer py_buffer",
        "*Buffer *File *Stream* input_stream output_stream serialize* deserialize* read_* write_* log_* jemalloc*",
        "mimalloc* fs hdfs ipc set_cpu_count set_io_thread_count set_memory_pool set_timezone_db_path",
        "flight get_include get_libraries get_library_dirs create_library_symlinks show_* compress decompress",
        "cpu_count io_* buffers from_buffers from_buffer export_* *address* values storage dictionary_ to_tensor",
        "from_tensor from_dense from_sparse Tensor Sparse* view *dlpack* *substrait* CastOptions *Array.from_arrays",
        "register_* *_registry get_function call_function call_tabular_function list_functions list_functions_",
        "have_* enable_* supported_memory_backends runtime_info util total_allocated_bytes allocate* nulls_ device*",
        "copy_to from_pylist_ get_total_buffer_size is_cpu cast_ to_reader from_stream validate_ Codec foreign*",
        "benchmark* UnknownExtensionType DeviceAllocationType",
        "array_take array_filter *_meta_binary MapArray.value_parent_indices Expression.equals",  # they crash
    ],
    "params": {
        "memory_pool": "never",
        "memory_map": "never",
        "out": "fills",
        "safe": "one-of(True)",
        "boundscheck": "one-of(True)",
        "ndigits": f"one-of({'|'.join(map(str, range(-18, 31)))})",  # by far larger ones kernels loop, or crash
    },
}

LINES: dict[str, str] = {
    "pyarrow.compute.filter": "function compute fresh joins input:array",
    "pyarrow.compute.array_sort_indices": "function compute fresh joins array:array",
    # files of two forms; (IPC and feather files can lead out of their own buffers)
    "pyarrow.csv.read_csv": "function compute input_file:path-read",
    "pyarrow.csv.write_csv": "function compute output_file:path-write",
    "pyarrow.parquet.read_table": "function compute source:path-read filesystem:never decryption_properties:never "
                                  "partitioning:one-of(hive)",
    "pyarrow.parquet.read_schema": "function compute where:path-read filesystem:never decryption_properties:never",
    "pyarrow.parquet.write_table": "function compute where:path-write filesystem:never encryption_properties:never",
    **{f"{kind}.()": "compute !known" for kind in ("ReadOptions", "ParseOptions", "ConvertOptions", "WriteOptions")},
    **{f"{kind}.set_column": "method compute" for kind in ("Table", "RecordBatch", "_Tabular")},
    # mixed in from collections.abc, which the rules take for somebody else's
    **{f"{kind}.{name}": "method compute fresh joins" for kind in ("StructScalar", "MapScalar")
       for name in ("keys", "items", "get", "index", "count")},
    **{f"{kind}.{name}": "method compute" for kind in (
        "ListScalar", "LargeListScalar", "ListViewScalar", "LargeListViewScalar", "FixedSizeListScalar")
       for name in ("index", "count")},
    # counts; names can come out of cells, and so are content
    **{f"{kind}.{name}": "property read schema fresh" for kind in ("Table", "RecordBatch", "_Tabular")
       for name in ("num_columns", "num_rows", "shape", "nbytes")},
}  # fmt: skip
"""`Type.member` to its line, where the rules say something else or nothing; a member that a type has not is no loss."""
