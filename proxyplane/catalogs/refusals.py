"""Why a public member is refused: the effect that it would have, and a reason for people, by library.

A word is `.member` (of any type), `Type.member` (of a type or what inherits it), `module.member`, or a pattern of
them; the first block that has one counts. `generate` writes a line `denied EFFECT: reason` for each member that the
reviews leave out, and what no word here explains shows in its output as not reviewed.
"""

from __future__ import annotations

import functools
from fnmatch import fnmatchcase

__all__ = ["NOT_REVIEWED", "reason"]

NOT_REVIEWED = "denied unknown: not reviewed"
BORROWED = "denied import: not of this library; import it from where it belongs"

_EVERYWHERE = """
memory: frames of the host hang on a traceback
  BaseException.with_traceback
reveal: an error crosses rebuilt from the words that may be shown
  BaseException.args OSError.* AttributeError.* NameError.* ImportError.* AxisError.* ModuleUpgradeRequiredError.*
mutate: changes an error that host code holds
  BaseException.add_note
exec: test runners run code and write files
  *.test *.tests *.decorate_methods *.extbuild *.rundocs *.runstring *.measure *.run_threaded *.bench
env: tells of the machine, its folders and how the library was built
  *.show_versions *.show_config *.show_runtime *.show_info *.get_include *.get_libraries *.get_library_dirs
  *.build_info *.runtime_info *.cpu_count *.io_thread_count *.info *.jemalloc_conf *.cpp_version* *.cpp_build_info
"""

_REFUSED = {
    "builtins": """
exec: a format text walks from what it is given to all that the process holds
  str.format str.format_map
exec: the frame and code of a generator, or running it with what is sent
  generator.gi_* generator.send generator.throw generator.close
callback: the function that makes missing values
  defaultdict.default_factory
unknown: the container behind the view, which may not be granted; ask for it by its own name
  .mapping
unknown: what a class holds, private members included
  mappingproxy.*
unknown: how a class is made up
  type.mro
unknown: undocumented; span() and start() tell the same
  Match.regs
unknown: a buffer of the host by another way; read(), seek() and getvalue() give its content
  BytesIO.* StringIO.*
unknown: a function of the class, which the agent's own Python has
  .maketrans .fromkeys
""",
    "numpy": """
memory: the buffer itself, its address, or the object that it is a view of
  .base .data .ctypes .strides .setfield .getfield .setflags .resize .to_device .field recarray.* record.* void.*
  .flags numpy.from_dlpack numpy.ctypeslib numpy.lib.stride_tricks.as_strided .cffi .capsule .lock .iscontiguous
  numpy.lib.array_utils numpy.lib.introspect numpy.lib.tracemalloc_domain numpy.ma.frombuffer numpy.ma.fromflex
memory: uninitialised memory
  numpy.ma.empty numpy.ma.empty_like numpy.ma.masked_all numpy.ma.masked_all_like
memory: an iterator whose buffers are written behind the back of the arrays
  numpy.nditer numpy.nested_iters numpy.flatiter flatiter.base broadcast.iters numpy.lib.Arrayterator
fs.write: writes a file, or makes a pickle
  .tofile .dump .dumps numpy.save numpy.savez numpy.savez_compressed numpy.memmap numpy.testing.temp*
fs.read: reads a file that may hold pickles or raw memory
  numpy.load numpy.fromfile numpy.fromregex numpy.rec.fromfile numpy.lib.format numpy.lib.npyio NpzFile.*
net: a URL is fetched
  numpy.DataSource
exec: a text is evaluated, in frames that the agent does not own
  numpy.bmat str_.format str_.format_map bytes_.format
exec: compilers, C code or a type with hooks of its own
  numpy.f2py numpy.core numpy.lib.mixins numpy.ma.core numpy.ma.extras numpy.rec.format_parser
  numpy.polynomial.*.ABCPolyBase
  StringDType.coerce StringDType.na_object ufunc.resolve_dtypes numpy.ScalarType numpy.sctypeDict numpy.lib.user_array
mutate: state of the whole process, which no session can have for itself
  numpy.getbufsize numpy.setbufsize numpy.geterrcall numpy.seterrcall numpy.random.set_bit_generator
  numpy.random.get_bit_generator numpy.polynomial.set_default_printstyle numpy.lib.add_docstring numpy.lib.add_newdoc
  numpy.ma.masked_print_option _ABCPolyBase.basis_name ABCPolyBase.*
mutate: an array that the whole process shares
  .domain .window
memory: raw state of a generator, which a forged value would let read past its end
  .state .get_state .set_state .bit_generator BitGenerator.* SeedSequence.* MT19937.* PCG64.* PCG64DXSM.*
  Philox.* SFC64.*
  numpy.random.bit_generator numpy.random.mtrand
reveal: objects that somebody attached to a dtype or mask
  .metadata .baseclass .recordmask .toflex .torecords .ids
unknown: reads its content from bytes as whatever dtype is named
  numpy.recarray numpy.rec.recarray numpy.rec.array numpy.rec.fromstring numpy.char.chararray numpy.ma.mvoid
unknown: undocumented part of an implementation
  .as_series .ndincr .tostring .itemset finfo.* RClass.* CClass.* AxisConcatenator.* broadcast.* nd_grid.* MGridClass.*
  OGridClass.* IndexExpression.* numpy.polynomial.*.pu numpy.polynomial.*.np numpy.typing numpy.lib.NumpyVersion
  chararray.* numpy.testing.* numpy.ma.MAError numpy.ma.MaskError .num .pprint
unknown: a function of the class, which the agent's own Python has
  .maketrans
""",
    "pandas": """
memory: compiled code that does not look at what it is given, and ends the process
  BaseOffset.is_month_* BaseOffset.is_quarter_* BaseOffset.is_year_*
memory: the buffer itself, or the object that it is a view of
  .base .data .ctypes .strides .view .from_dlpack .buffers .ndarray .sp_index
reveal: the whole object that this was made from, hidden parts included
  .obj .grouper .exclusions .binner .attrs
mutate: flags of an object that others share
  .flags .set_flags pandas.Flags
net: a database, a warehouse, the clipboard or a cloud
  .to_sql .to_gbq .to_iceberg pandas.read_gbq pandas.read_iceberg pandas.read_sql* .online
fs.write: opens its file and keeps it
  pandas.HDFStore pandas.ExcelWriter .to_typst
fs.read: opens its file and keeps it, or follows what the file names
  pandas.ExcelFile pandas.read_xml pandas.api.typing.JsonReader pandas.api.typing.SASReader
  pandas.api.typing.StataReader
exec: a text or a template is evaluated, or functions run that nobody looked at
  pandas.eval Styler.* pandas.api.executors pandas.io
fs.write: parts of a file that is open
  ExcelFile.* ExcelWriter.* HDFStore.* SQLTable.*
mutate: what all calendars of the process share
  AbstractHolidayCalendar.*
mutate: settings of plots, which all sessions share
  _Options.*
unknown: part of another library's object
  weekday.*
mutate: state of the whole process, which no session can have for itself
  pandas.set_eng_float_format pandas.plotting.*register_matplotlib_converters pandas.plotting.plot_params
  pandas.api.extensions.register_* .register .reset_cache .update_dtype pandas.plotting.PlotAccessor
callback: classes of the agent do not exist on the host, so there is nothing to inherit these for
  pandas.api.extensions.ExtensionScalarOpsMixin pandas.api.indexers.BaseIndexer .get_window_bounds .index_class
  .construct_from_string .construct_array_type pandas.api.internals .from_numpy_dtype .numpy_dtype
memory: raw Arrow buffers are taken over
  PandasDataFrameXchg.* pandas.api.interchange.DataFrame .from_arrow pandas.api.interchange .pyarrow_dtype
import: another library would be loaded and given the object
  .to_xarray
reveal: categories are content; .cat.categories gives them
  CategoricalDtype.*
unknown: drawing by another name; use .plot, .hist and .boxplot
  pandas.plotting.boxplot* pandas.plotting.hist_* pandas.plotting.bootstrap_plot
unknown: an internal part that the documentation does not speak of
  .kwds .calendar .*_docstring .level .keys .win_type .raise_on_error .axis .name .ndim .shape .str .empty .version
  .is_*signed_integer .isnative .isbuiltin .subdtype .min .max .resolution .interpolate .template_string .validate_*
  .fill_value .fromkeys .from_coo .case_when NamedAgg.args pandas.core pandas.compat pandas.pandas
  pandas.api.typing.NoDefault pandas.util.version pandas.errors.cow pandas.tseries.api pandas.tseries.frequencies.*
  pandas.*.TYPE_CHECKING
""",
    "polars": """
memory: buffers, or objects of the engine that refer to them
  polars.wrap_* .get_chunks .lower_bound_ polars.scan_arrow_c_stream polars.from_dataframe polars.interchange polars.plr
net: a database, a warehouse, a cloud, the clipboard
  polars.read_clipboard polars.read_database* polars.read_delta polars.scan_delta polars.scan_iceberg polars.scan_lance
  polars.delete_iceberg polars.Catalog polars.catalog polars.CredentialProvider* polars.RemoteEngine .write_clipboard
  .write_database .write_delta .write_iceberg .sink_delta .sink_iceberg .remote
exec: plans and expressions that are read back hold pickled functions
  .deserialize .serialize .execute .from_lazyframe_resolver polars.defer polars.scan_external_reader
exec: a statement names files, or objects in the frames of the caller
  .sql polars.sql polars.sql_expr polars.SQLContext polars.scan_pyarrow_dataset
exec: shared libraries, plug-ins and classes of everybody
  polars.plugins polars.api polars.register_extension_type polars.unregister_extension_type polars.get_extension_type
  .ext polars.BaseExtension polars.Extension polars.datatypes.BaseExtension polars.datatypes.Extension
exec: a statement names objects in the frames of the caller, or a catalog of elsewhere
  SQLContext.execute_global SQLContext.register_globals SQLContext.register_catalog SQLContext.unregister_catalog
env: sets or shows any variable of the process, chooses engines and memory, or holds secrets
  Config.*
fs.write: files of another form, encrypted or partitioned, whose names are made up on the way
  .write_excel .sink_batches polars.PartitionBy polars.FileProviderArgs polars.Parquet*Properties
process: a viewer or a browser is opened
  .show .show_graph .inspect
mutate: state of the whole process, which no session can have for itself
  polars.Config polars.config polars.StringCache polars.string_cache polars.enable_string_cache polars.set_random_seed
  polars.disable_string_cache polars.using_string_cache polars.override .flags
reveal: categories are one table for the whole process, with the texts of every session
  polars.Categories polars.datatypes.Categories ExprCatNameSpace.to CatNameSpace.to ExprCatNameSpace.physical
  CatNameSpace.physical
import: another library would be loaded and given the object
  .to_jax .to_torch polars.from_torch .style .plot
callback: runs later, when nobody can be asked
  .collect_async .collect_batches polars.collect_all_async
unknown: engines and options of plans other than the usual ones
  polars.Engine polars.*Engine polars.ScanCastOptions polars.CompatLevel QueryOptFlags.*
unknown: an internal part that the documentation does not speak of
  polars.convert polars.dataframe polars.datatype_expr polars.expr polars.functions polars.io polars.lazyframe
  polars.meta polars.schema polars.series polars.*.TYPE_CHECKING polars.selectors.* polars.exceptions.PanicException
  polars.datatypes.[a-z]* polars.datatypes.DataTypeClass polars.datatypes.Field polars.datatypes.Utf8
  polars.datatypes.DTYPE_TEMPORAL_UNITS polars.datatypes.N_INFER_DEFAULT polars.testing.asserts Struct.* .fromkeys
""",
    "pyarrow": """
exec: extension types, whose classes may be anybody's
  ExtensionArray.* ExtensionScalar.* BaseExtensionType.* ExtensionType.* pyarrow.*Extension*
unknown: an internal part that the documentation does not speak of
  pyarrow.types.TypesEnum pyarrow.types.lib
  pyarrow.lib pyarrow.util pyarrow.vendored pyarrow.*Info pyarrow.types pyarrow.DictionaryMemo pyarrow.CacheOptions
  pyarrow.Message pyarrow.ArrowIOError pyarrow.MonthDayNano pyarrow.MetadataVersion
  pyarrow.KeyValueMetadata pyarrow.compute.*Kernel pyarrow.compute.docscrape
  pyarrow.compute.pa pyarrow.types.TypesEnum pyarrow.types.lib .fromkeys
memory: buffers, addresses, pools and devices
  .buffers .from_buffers .get_total_buffer_size *.total_allocated_bytes *buffer* *Buffer* *memory* *Memory* *.jemalloc*
  *.mimalloc* .is_cpu .device* .copy_to .to_tensor .from_tensor *Tensor* *tensor* *Sparse* *dlpack* *.nulls_ *alloc*
  *Device* .view *address* pyarrow.log_memory_allocations
reveal: what stands outside of the slice that was granted
  .values .storage .dictionary_ .from_arrays *Array.from_arrays
fs.read: parts and metadata of files, or folders of them; read_table and write_table take single files under [fs]
  pyarrow.parquet.* pyarrow.csv.*
fs.write: files by names that are made up on the way
  pyarrow.parquet.write_* pyarrow.parquet.ParquetDataset
reveal: statistics of a file, which are of all its rows
  pyarrow.parquet.ColumnChunkMetaData pyarrow.parquet.RowGroupMetaData pyarrow.parquet.Statistics
unknown: an internal part that the documentation does not speak of
  pyarrow.parquet.[A-Zc]* pyarrow.csv.InvalidRow InvalidRow.*
fs.read: files, streams and file systems; read them by pandas or polars under [fs]
  *.open_* *.read_* *Stream* *File* *.fs *.hdfs *.ipc *.OSFile *.input_stream *.output_stream *.memory_map *.Codec
  *.compress *.decompress *.parquet *.dataset *.feather *.csv *.json *.orc *.cffi *.cuda *Reader* *Writer*
  pyarrow.create_* .to_reader .from_stream
net: services over the network
  *flight* *.substrait
exec: pickles and functions of everybody's registry
  *serialize* *.register_* *unregister_* *registry* *_function *function* *Function* *UDF* *Udf* *Extension* *extension*
  *.list_functions *.get_function *.call_function *.function_registry *substrait* *scalar_udf*
mutate: state of the whole process, which no session can have for itself
  pyarrow.set_* pyarrow.enable_* pyarrow.have_* pyarrow.log_* *.jemalloc_set_*
memory: given a scalar where it takes an array, it reads past it
  pyarrow.compute.array_take pyarrow.compute.array_filter pyarrow.compute.*_meta_binary
memory: follows a pointer that nobody checked, and ends the process
  Expression.equals MapArray.value_parent_indices
memory: values are taken over unchecked
  *CastOptions* .from_pylist_ .cast_ .validate_ .from_dense .from_sparse
""",
}


def reason(library: str, owners: tuple[str, ...], member: str) -> str:
    """The line that refuses a member.

    Args:
        library: the name of the catalog.
        owners: names of the module, or of the type and of what it inherits.
        member: its name.
    """
    names = [f".{member}", *(f"{owner}.{member}" for owner in owners)]
    for line, words in _blocks(library):
        for word in words:
            if any(fnmatchcase(name, word) for name in names):
                return line
    return NOT_REVIEWED


@functools.cache
def _blocks(library: str) -> list[tuple[str, list[str]]]:
    found: list[tuple[str, list[str]]] = []
    for line in (_EVERYWHERE + _REFUSED.get(library, "")).splitlines():
        if line.startswith("  "):
            found[-1][1].extend(line.split())
        elif line:
            found.append((f"denied {line}", []))
    return found
