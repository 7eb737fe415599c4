"""Hand decisions about numpy.

Left out on purpose: raw memory (`base`, `data`, `ctypes`, `strides`, `setflags`, `resize`, `from_dlpack`,
`as_strided`, `nditer`), maps of files (`memmap`), process-wide state that no session can have for itself
(`seterrcall`, `setbufsize`, `set_bit_generator`), pickles, compilers and test runners. A `view` of another dtype is
taken where every byte is a value before and after (`hosts.viewable`); what could show padding, uninitialised memory
or frames of the host is performed by `hosts/numpy_forms.py`.
"""

from __future__ import annotations

import importlib
from typing import Any

from proxyplane.catalogs.generate import Review, TypeReview

np: Any = importlib.import_module("numpy")  # by name: only the generator reads this table

_ABSTRACT = "number integer signedinteger unsignedinteger inexact floating complexfloating flexible character".split()
_CONCRETE = sorted(
    {kind.__name__ for kind in np.generic.__subclasses__()}
    | {name for name in dir(np) if isinstance(getattr(np, name), type) and issubclass(getattr(np, name), np.generic)}
)
_BUILTIN = {"float64": "float", "str_": "str", "bytes_": "bytes", "complex128": "complex"}
_WITHOUT_CONTENT = (np.void, np.object_, np.record, np.longdouble, np.clongdouble, np.datetime64, np.timedelta64)
"""No built-in holds what these hold."""
_DTYPES = sorted(name for name in dir(np.dtypes) if name.endswith("DType"))
_POLYNOMIALS = ("Polynomial", "Chebyshev", "Hermite", "HermiteE", "Laguerre", "Legendre")


def _scalars() -> list[TypeReview]:
    found = [TypeReview("numpy:generic", make=None, immutable=True)]
    seen = {np.generic}
    found.extend(TypeReview(f"numpy:{name}", ("numpy.generic",), make=None, immutable=True) for name in _ABSTRACT)
    seen |= {getattr(np, name) for name in _ABSTRACT}
    for name in _CONCRETE:
        kind = getattr(np, name, None)
        if kind is None or kind in seen:
            continue
        seen.add(kind)
        if kind in _WITHOUT_CONTENT:
            meta: tuple[str, ...] = ()
        else:
            builtin = _BUILTIN.get(kind.__name__)
            meta = ("carries = true", *([f'builtin = "{builtin}"'] if builtin else []))
        only = None if kind is not np.record and kind is not np.void else _VOID
        make = None if kind in (np.record, np.void) else "compute"  # they read bytes as whatever dtype is named
        found.append(TypeReview(f"numpy:{kind.__name__}", ("numpy.generic",), meta, only, make, immutable=True))
    return found


_VOID = frozenset(
    "dtype item tolist shape size ndim nbytes itemsize __getitem__ __len__ __eq__ __ne__ __repr__ "
    "__str__ __hash__".split()
)
_FINFO = (
    "bits dtype eps epsneg iexp max min maxexp minexp nexp nmant precision resolution smallest_normal "
    "smallest_subnormal tiny"
).split()
_COEFFICIENTS = ('coef = "property read instance"',)
_POWER_SERIES = ("polynomial", "chebyshev", "hermite", "hermite_e", "laguerre", "legendre", "polyutils")
_FLAGS = (
    "aligned behaved c_contiguous carray contiguous f_contiguous farray fnc forc fortran owndata writeable "
    "writebackifcopy"
).split()
_UNIQUE = ("UniqueAllResult", "UniqueCountsResult", "UniqueInverseResult")
_RESULTS = ("EigResult", "EighResult", "QRResult", "SlogdetResult", "SVDResult")

_ERRORS = "ignore|warn|raise"
_DRAWING = sorted(
    {"ranf", "sample"}
    | {n for n in dir(np.random) if getattr(getattr(np.random, n), "__self__", None) is np.random.mtrand._rand}
)
"""Functions that draw from the generator of the process."""

REVIEW = Review(
    library="numpy",
    versions=">=2.0,<3",
    types=(
        TypeReview("numpy:ndarray", make="compute zeroed buffer:never offset:never strides:never"),
        *_scalars(),
        TypeReview(
            "numpy:dtype",
            only=frozenset(
                "alignment base byteorder char descr fields flags hasobject isalignedstruct isbuiltin isnative "
                "itemsize kind name names "
                "ndim newbyteorder num shape str subdtype type __eq__ __ne__ __lt__ __le__ __gt__ "
                "__ge__ __hash__ __repr__ __str__ "
                "__getitem__ __len__ __bool__".split()
            ),
        ),
        *(TypeReview(f"numpy.dtypes:{name}", ("numpy.dtype",), only=frozenset()) for name in _DTYPES),
        TypeReview(
            "numpy:ufunc",
            make=None,
            only=frozenset(
                "accumulate at identity nargs nin nout ntypes outer reduce reduceat resolve_dtypes signature types "
                "__call__ __repr__ __str__ "
                "__eq__ __ne__ __hash__".split()
            ),
        ),
        TypeReview("numpy.random:Generator"),
        TypeReview("numpy.random:RandomState"),
        *(
            TypeReview(
                f"numpy.random:{name}", only=frozenset(("jumped", "spawn", "__eq__", "__ne__", "__hash__", "__repr__"))
            )
            for name in ("BitGenerator", "MT19937", "PCG64", "PCG64DXSM", "Philox", "SFC64")
        ),
        TypeReview(
            "numpy.random:SeedSequence",
            only=frozenset(
                "entropy generate_state n_children_spawned pool_size spawn spawn_key __eq__ __ne__ __hash__ "
                "__repr__".split()
            ),
        ),
        TypeReview(
            "numpy.lib.npyio:NpzFile",
            make=None,
            only=frozenset(
                "close files get items keys values __contains__ __enter__ __exit__ __getitem__ __iter__ __len__".split()
            ),
            extra=('files = "property read instance"',),
        ),
        TypeReview("numpy:poly1d"),
        TypeReview("numpy.polynomial:Polynomial", extra=_COEFFICIENTS),
        *(
            TypeReview(f"numpy.polynomial:{name}", ("numpy.polynomial.polynomial.Polynomial",), extra=_COEFFICIENTS)
            for name in _POLYNOMIALS[1:]
        ),
        TypeReview(
            "numpy:vectorize", only=frozenset(("__call__", "__eq__", "__ne__", "__hash__", "__repr__", "__str__"))
        ),
        TypeReview(
            "numpy:finfo",
            only=frozenset(("__repr__", "__str__", "__eq__", "__ne__", "__hash__")),
            extra=tuple(f'{name} = "property read instance"' for name in _FINFO),
        ),
        TypeReview(
            "numpy:iinfo",
            only=frozenset(("max", "min", "__repr__", "__str__", "__eq__", "__ne__", "__hash__")),
            extra=tuple(f'{name} = "property read instance"' for name in ("bits", "dtype", "kind")),
        ),
        TypeReview("numpy:ndenumerate"),
        TypeReview("numpy:ndindex", only=frozenset(("__iter__", "__next__", "__repr__", "__str__"))),
        TypeReview("numpy:busdaycalendar"),
        TypeReview(
            "numpy:errstate",
            make=f"compute call:never all:one-of({_ERRORS}) divide:one-of({_ERRORS}) over:one-of({_ERRORS}) "
            f"under:one-of({_ERRORS}) invalid:one-of({_ERRORS})",
            only=frozenset(("__enter__", "__exit__")),
        ),
        TypeReview("proxyplane.hosts.numpy_options:PrintOptions", make=None, only=frozenset(("__enter__", "__exit__"))),
        *(
            TypeReview(
                f"numpy.lib._index_tricks_impl:{name}",
                make=None,
                only=frozenset(("__getitem__", "__len__", "__repr__", "__eq__", "__hash__")),
            )
            for name in ("IndexExpression", "RClass", "CClass", "nd_grid", "MGridClass", "OGridClass")
        ),
        TypeReview("numpy.ma.extras:mr_class", make=None, only=frozenset(("__getitem__", "__eq__", "__hash__"))),
        TypeReview("numpy.rec:format_parser", only=frozenset(), extra=('dtype = "property read instance"',)),
        TypeReview(
            "numpy:broadcast", only=frozenset("__iter__ __next__ index nd ndim numiter reset shape size".split())
        ),
        TypeReview(
            "numpy:flatiter",
            make=None,
            only=frozenset("coords copy index __getitem__ __setitem__ __iter__ __next__ __len__ __eq__ __ne__".split()),
            hashable=False,
        ),
        TypeReview(
            "numpy._core.multiarray:flagsobj",
            make=None,
            only=frozenset((*_FLAGS, "__getitem__", "__eq__", "__ne__", "__repr__", "__str__")),
            hashable=False,
        ),
        *(
            TypeReview(f"numpy.lib._arraysetops_impl:{name}", ("builtins.tuple",), ('builtin = "tuple"',), make=None)
            for name in _UNIQUE
        ),
        TypeReview("numpy.ma:MaskedArray", ("numpy.ndarray",), make="compute", extra=('data = "property read"',)),
        TypeReview("numpy.rec:recarray", ("numpy.ndarray",), ('dynamic = "fields"',), make=None, only=frozenset()),
        TypeReview("numpy:matrix", ("numpy.ndarray",)),
        TypeReview(
            "numpy.char:chararray",
            ("numpy.ndarray",),
            make="compute replaced buffer:never offset:never strides:never",
        ),
        *(
            TypeReview(f"numpy.linalg._linalg:{name}", ("builtins.tuple",), ('builtin = "tuple"',), make=None)
            for name in _RESULTS
        ),
        *(
            TypeReview(f"numpy.exceptions:{name}", ("builtins.BaseException",), only=frozenset())
            for name in (
                "AxisError",
                "ComplexWarning",
                "DTypePromotionError",
                "RankWarning",
                "TooHardError",
                "VisibleDeprecationWarning",
            )
        ),
        TypeReview("numpy.linalg:LinAlgError", ("builtins.BaseException",), only=frozenset()),
    ),
    modules={
        "numpy": (
            "DataSource core ctypeslib f2py flatiter from_dlpack "
            "get_include geterrcall info memmap nditer nested_iters seterrcall setbufsize "
            "show_config show_runtime test typing"
        ).split(),
        "numpy.linalg": ("test",),
        "numpy.fft": ("test",),
        "numpy.random": (
            "bit_generator",
            "get_bit_generator",
            "mtrand",
            "set_bit_generator",
            "test",
        ),
        "numpy.ma": ("MAError MaskError core extras frombuffer test masked_print_option mvoid").split(),
        "numpy.char": (),
        "numpy.strings": (),
        "numpy.rec": (),
        "numpy.dtypes": (),
        "numpy.exceptions": (),
        "numpy.polynomial": ("only", *_POLYNOMIALS, *_POWER_SERIES),
        **{
            f"numpy.polynomial.{name}": ("only", *getattr(np.polynomial, name).__all__, *_POLYNOMIALS)
            for name in _POWER_SERIES
        },
        "numpy.lib": ("only", "scimath", "stride_tricks"),
        "numpy.lib.stride_tricks": ("only sliding_window_view broadcast_to broadcast_arrays broadcast_shapes".split()),
        "numpy.lib.scimath": (),
        "numpy.testing": (
            "only assert_ assert_allclose assert_almost_equal assert_approx_equal "
            "assert_array_almost_equal assert_array_equal "
            "assert_array_less assert_equal assert_string_equal assert_array_almost_equal_nulp assert_array_max_ulp "
            "print_assert_equal"
        ).split(),
    },
    lines={
        "numpy.set_printoptions": "function compute state keeps",
        "numpy.printoptions": "function compute keeps replaced",
        "numpy.get_printoptions": "function read schema fresh",
        "numpy.seterr": "function compute fresh state keeps "
        + " ".join(f"{name}:one-of({_ERRORS})" for name in ("all", "divide", "over", "under", "invalid")),
        "numpy.geterr": "function read schema fresh",
        "PrintOptions.__enter__": "compute fresh state",
        "PrintOptions.__exit__": "compute state",
        **{f"numpy.random.{name}": "function compute random" for name in _DRAWING},
        "numpy.random.seed": "function compute random keeps",
        "numpy.random.get_state": "function compute random",
        "numpy.random.set_state": "function compute random keeps replaced",
        "numpy.pad": "function compute "
        "mode:one-of(constant|edge|linear_ramp|maximum|mean|median|minimum|reflect|symmetric|wrap)",
        "errstate.__enter__": "compute state",
        "errstate.__exit__": "compute state",
        "numpy.emath": "module",
        "numpy.lib.stride_tricks.sliding_window_view": "function compute writeable:never",
        "numpy.frombuffer": "function compute buffer@0:plain",
        "numpy.fromstring": "function compute string@0:plain",
        "ndarray.shape": "property read schema fresh settable",
        "ndarray.flags": "property read",
        "ndarray.flat": "property read settable",
        "flagsobj.__getitem__": "read schema",
        **{f"flagsobj.{name}": "property read schema" for name in _FLAGS},
        "Generator.spawn": "method mutate compute fresh",
        "SeedSequence.spawn": "method mutate compute fresh",
        "numpy.empty": "function compute zeroed",
        "numpy.empty_like": "function compute zeroed",
        "numpy.copyto": "function compute dst:fills",
        "numpy.put": "function compute a:fills",
        "numpy.place": "function compute arr:fills",
        "numpy.putmask": "function compute a:fills",
        "numpy.put_along_axis": "function compute arr:fills",
        "numpy.fill_diagonal": "function compute a:fills",
        "numpy.ma.put": "function compute a:fills",
        "numpy.ma.putmask": "function compute a:fills",
        "numpy.ma.harden_mask": "function mutate a@0:fills !params",
        "numpy.ma.soften_mask": "function mutate a@0:fills !params",
        "numpy.ma.set_fill_value": "function compute a:fills",
        "numpy.nan_to_num": "function compute copy:one-of(True)",
        "numpy.getbufsize": "function read schema",
        "numpy.load": "function compute replaced file:path-read mmap_mode:never allow_pickle:exec",
        "numpy.save": "function compute replaced file:path-write.npy",
        "numpy.savez": "function compute replaced file:path-write.npz",
        "numpy.savez_compressed": "function compute replaced file:path-write.npz",
        "numpy.fromfile": "function compute file@0:path-read",
        "numpy.fromregex": "function compute file:path-read",
        "numpy.bmat": "function compute replaced ldict:scope gdict:never",
        "numpy.ma.empty": "function compute replaced",
        "numpy.ma.empty_like": "function compute replaced",
        "numpy.ma.masked_all": "function compute replaced",
        "numpy.ma.masked_all_like": "function compute replaced",
        "numpy.rec.array": "function compute replaced",
        "numpy.rec.fromstring": "function compute replaced",
        "numpy.rec.fromfile": "function compute replaced fd:path-read",
        "NpzFile.__getitem__": "compute",
        "NpzFile.__contains__": "read",
        "NpzFile.__iter__": "compute",
        "NpzFile.close": "method compute",
        "ufunc.resolve_dtypes": "method compute fresh",
        "numpy.loadtxt": "function compute fname:path-read",
        "numpy.genfromtxt": "function compute fname:path-read",
        "numpy.savetxt": "function compute fname:path-write",
        "numpy.array2string": "function reveal reveals=receiver",
        "numpy.array_repr": "function reveal reveals=receiver",
        "numpy.array_str": "function reveal reveals=receiver",
        "numpy.require": "function compute",
        "numpy.random.shuffle": "function compute random x:fills",
        "numpy.shape": "function read schema fresh",
        "numpy.ndim": "function read schema",
        "numpy.size": "function read schema",
        "numpy.ma.shape": "function read schema fresh",
        "numpy.ma.ndim": "function read schema",
        "numpy.ma.size": "function read schema",
        "numpy.ma.fix_invalid": "function compute copy:one-of(True)",
        "numpy.ma.masked": "constant",
        "numpy.ma.masked_singleton": "constant",
        "numpy.ma.mr_": "constant",
        "numpy.index_exp": "constant",
        "numpy.s_": "constant",
        "numpy.typecodes": "constant",
        "ndarray.T": "property read",
        "ndarray.mT": "property read",
        "ndarray.real": "property read settable",
        "ndarray.imag": "property read settable",
        "ndarray.sort": "method mutate",
        "ndarray.fill": "method mutate",
        "ndarray.put": "method mutate",
        "ndarray.partition": "method mutate",
        "ndarray.view": "method compute replaced dtype@0:view type@1:view !params",
        "MaskedArray.view": "method compute replaced dtype@0:view type@1:view !params",
        "ndarray.byteswap": "method compute inplace:mutate",
        "ndarray.tobytes": "method reveal reveals=receiver replaced",
        "ndarray.tofile": "method compute replaced fid@0:path-write !params",
        "ndarray.tolist": "method compute fresh reveals=result",
        "ndarray.__iter__": "compute pure",
        "ndarray.__getitem__": "compute",
        "generic.view": "method compute replaced dtype@0:view type@1:never !params",
        "generic.tolist": "method compute fresh reveals=result",
        "MaskedArray.harden_mask": "method mutate",
        "MaskedArray.soften_mask": "method mutate",
        "MaskedArray.unshare_mask": "method mutate",
        "MaskedArray.shrink_mask": "method mutate",
        "MaskedArray.set_fill_value": "method mutate",
        "MaskedArray.mask": "property read settable",
        "MaskedArray.fill_value": "property read settable",
        "MaskedArray.toflex": "method compute",
        "MaskedArray.tobytes": "method reveal reveals=receiver replaced",
        "generic.tobytes": "method compute replaced",
        "MaskedArray.recordmask": "property read",
        "ufunc.__call__": "compute out:fills-after-inputs",
        "ufunc.at": "method compute a@0:fills !params",
        "ufunc.reduce": "method compute joins out@3:fills !params",
        "ufunc.accumulate": "method compute out@3:fills !params",
        "ufunc.reduceat": "method compute out@4:fills !params",
        "ufunc.types": "property read fresh",
        "Generator.shuffle": "method compute x:fills",
        "RandomState.shuffle": "method compute x:fills",
        "dtype.descr": "property read schema fresh",
        "dtype.newbyteorder": "method compute",
        "dtype.__getitem__": "read schema",
        "Generator.bytes": "method compute",
        **{f"numpy.{name}": "function compute joins" for name in ("sum", "nansum")},
        "ndarray.sum": "method compute joins",
        "ndarray.dot": "method compute joins",
        "numpy.dot": "function compute joins",
    },
    absent=frozenset(
        (
            "str_.maketrans str_.format str_.format_map str_.__mod__ str_.__rmod__ bytes_.__mod__ "
            "bytes_.__rmod__ bytes_.maketrans "
            "ndarray.base generic.base flatiter.base broadcast.base .data .ctypes .strides generic.tofile "
            "MaskedArray.tofile .dump .dumps .setflags .resize .setfield .getfield "
            ".to_device .tostring .itemset .bit_generator BitGenerator.spawn .capsule .cffi .lock .state "
            ".get_state .set_state .baseclass .metadata .as_series .ndincr "
            ".torecords .ids .iscontiguous"
        ).split()
    ),
    params={"out": "fills", "overwrite_input": "overwrites"},
    schema=frozenset("shape ndim size nbytes itemsize dtype names kind char num name".split()),
    fresh=frozenset(
        "shape nonzero where split array_split hsplit vsplit dsplit meshgrid ix_ unique unique_all unique_counts "
        "unique_inverse histogram histogram2d histogramdd broadcast_arrays broadcast_shapes divmod modf frexp "
        "polydiv tril_indices triu_indices diag_indices tril_indices_from triu_indices_from "
        "diag_indices_from mask_indices unravel_index "
        "polyfit gradient intersect1d average lstsq qr svd eig eigh slogdet einsum_path typename atleast_1d atleast_2d "
        "atleast_3d as_integer_ratio unstack ogrid indices finfo find_duplicate".split()
    ),
)
