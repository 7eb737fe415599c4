"""Raw, shared, uninitialised or unchecked memory is reachable by no member of any type, under no preset."""

from __future__ import annotations

import types
import warnings
from collections.abc import Iterator
from typing import Any

import pytest

from proxyplane import ControlPlane, Policy
from proxyplane.catalog import Catalog
from proxyplane.effects import Effect
from proxyplane.errors import Denied
from tests.catalog import objects

np = pytest.importorskip("numpy")
pd = pytest.importorskip("pandas")
pl = pytest.importorskip("polars")
pa = pytest.importorskip("pyarrow")
pytest.importorskip("matplotlib")

CATALOG = Catalog.load()
NAMES = """
base data ctypes strides setflags resize getfield setfield dump dumps tofile to_device itemset tostring newbuffer cffi
capsule lock bit_generator buffers buffer from_buffers from_buffer as_buffer get_buffer get_chunks
get_total_buffer_size from_dlpack to_tensor from_tensor address memory_pool obj grouper sp_index is_cpu device_type
copy_to nulls_ ptr _get_buffer_info _get_buffers _from_buffer _from_buffers _ndarray _pa_array _values _mgr _data
_codes _s _df _ldf _pyexpr _export_to_c _import_from_c _export_to_c_device _import_from_c_device _arrow_array
_simple_new _from_mgr _constructor __array_interface__ __array_struct__ __array_finalize__ __array_wrap__
__array_prepare__ __buffer__ __dlpack__ __dlpack_device__ __arrow_c_array__ __arrow_c_stream__ __arrow_c_schema__
__arrow_c_device_array__ __reduce__ __reduce_ex__ __setstate__ __getstate__ __array__ __array_ufunc__
__array_function__ __array_priority__ __dict__ __class__ __getattribute__ __subclasses__ __mro__ __code__ __globals__
__closure__ __self__ __func__ __wrapped__ __init_subclass__
""".split()
PLAIN = {
    ("MaskedArray", "data"),  # the array without its mask, which fresh masked arrays have anyway; a view that is known
    ("ChunkedArray", "data"),  # itself
    ("Series", "get_chunks"),  # of polars: series
    *((kind.__name__, "base") for kind in map(type, map(np.dtype, np.typecodes["All"]))),  # another dtype
}
FILES = {"tofile"}
"""These are described, and write to what `[fs]` allows."""


def kinds() -> list[type]:
    makers = (objects.pandas, objects.numpy, objects.polars, objects.pyarrow, objects.builtins)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        values = [value for make in makers for value in make() if not isinstance(value, types.ModuleType)]
    return list(dict.fromkeys(type(value) for value in values))


KINDS = kinds()


@pytest.mark.parametrize("name", NAMES)
def test_the_member_is_described_for_no_type_that_has_it(name: str) -> None:
    """Whatever type offers it, asked for on an object or on the type, no line performs it."""
    for kind in KINDS:
        entry = CATALOG.of(kind)
        if (
            entry is None
            or not hasattr(kind, name)
            or (kind.__name__, name) in PLAIN
            or (name in FILES and issubclass(kind, np.ndarray))
        ):
            continue
        described = entry.members.get(name) or entry.dunders.get(name)
        assert described is None, f"{entry.name}.{name}"


@pytest.mark.parametrize("kind", [kind for kind in KINDS if CATALOG.of(kind)], ids=lambda kind: kind.__name__)
def test_no_unreviewed_special_member_is_described(kind: type) -> None:
    """Beyond operators, conversions and iteration there is no special member of any type."""
    entry = CATALOG.of(kind)
    assert entry is not None
    odd = [
        name
        for name in entry.dunders
        if name.startswith(("__array", "__arrow", "__dl", "__buffer", "__reduce", "__get"))
    ]
    assert [name for name in odd if name not in ("__getitem__",)] == []


CALLS: list[tuple[Any, str, tuple[Any, ...], dict[str, Any]]] = [
    (np.ndarray, "()", ((2,), "O", b"1" * 16), {}),
    (np.ndarray, "()", ((2,), float, None, 0, (1 << 40,)), {}),
    (np.zeros(2), "view", ("O",), {}),
    (np.zeros(2), "view", (), {"dtype": "O"}),
    (np.array([None]), "view", ("i8",), {}),
    (np.zeros(2), "view", (), {"type": np.recarray, "dtype": "O"}),
    (np.int64(1), "view", ("O",), {}),
    (np.lib.stride_tricks, "sliding_window_view", (np.zeros(3), 2), {"writeable": True}),
    (np, "frombuffer", (np.zeros(2),), {}),
    (np, "frombuffer", (memoryview(b"12345678"),), {}),
    (np, "frombuffer", (bytearray(8),), {}),
    (pd.Series([1]), "view", ("O",), {}),
    (pa.compute, "filter", (1, pa.array([True])), {}),
    (pa.compute, "round", (pa.array([1]), 1 << 40), {}),
    (pa.array([1]), "cast", ("int8",), {"safe": False}),
    (pa.compute, "take", (pa.array([1]), pa.array([9])), {"boundscheck": False}),
    (pa.array([1]), "sum", (), {"memory_pool": object()}),
]


@pytest.mark.parametrize(("owner", "member", "args", "kwargs"), CALLS)
def test_arguments_that_reach_memory_are_refused(owner: Any, member: str, args: Any, kwargs: Any) -> None:
    """With a dtype, buffer, stride or switch that makes it harmful a member has an effect that no preset grants."""
    if isinstance(owner, types.ModuleType):
        module = CATALOG.module(owner.__name__)
        line = module.members.get(member) if module is not None else None
    else:
        entry = CATALOG.of(owner if isinstance(owner, type) else type(owner))
        assert entry is not None
        line = entry.constructor if member == "()" else entry.members.get(member)
    if line is None:
        return  # it is refused whatever it is given
    effects = CATALOG.expected(line, owner, args, kwargs).effects
    assert effects & {Effect.UNKNOWN, Effect.MEMORY}


@pytest.mark.parametrize("make", ["ndarray", "empty", "empty_like"])
def test_uninitialised_arrays_are_lowered_to_zeros(make: str) -> None:
    """What would show freed memory is made of zeros instead."""
    if make == "ndarray":
        entry = CATALOG.of(np.ndarray)
        assert entry is not None
        assert entry.constructor is not None
        assert "zeroed" in entry.constructor.flags
    else:
        module = CATALOG.module("numpy")
        assert module is not None
        assert "zeroed" in module.members[make].flags


ATTEMPTS = [
    "arr.base",
    "arr.data",
    "arr.ctypes",
    "arr.strides",
    "memoryview(arr)",
    "bytes(arr.data)",
    "arr.flags.writeable = True",
    "arr.flags['WRITEABLE'] = True",
    "arr.setflags(write=True)",
    "arr.resize(1000, refcheck=False)",
    "arr.view('O')",
    "df.values.base",
    "df.to_numpy().base",
    "df.a.array._ndarray",
    "df.a.values.base",
    "df._mgr",
    "df.a._values",
    "df.a.array.base",
    "arr.__array_interface__",
    "arr.__array_struct__",
    "arr.getfield('O')",
    "arr.dumps()",
    "np.ndarray((2,), 'O', b'1' * 16)",
    "np.ndarray(shape=(2,), strides=(1 << 40,))",
    "np.ndarray.view(arr, 'O')",
    "type(arr)((2,), dtype='O', buffer=b'1' * 16)",
    "np.lib.stride_tricks.as_strided(arr, (1000,))",
    "np.ctypeslib.as_ctypes(arr)",
    "np.ctypeslib.as_array(1)",
    "np.frombuffer(arr)",
    "np.frombuffer(arr.data)",
    "np.from_dlpack(arr)",
    "np.nditer(arr)",
    "np.lib.stride_tricks.sliding_window_view(arr, 2, writeable=True)",
    "np.void(b'12345678').view('O')",
    "np.memmap('x')",
    "np.random.default_rng(0).bit_generator.ctypes",
    "np.ma.frombuffer(b'12345678')",
    "np.core.multiarray",
    "np.rec.recarray((1,), 'O')",
    "ser._get_buffer_info()",
    "ser._get_buffers()",
    "ser._from_buffer(pl.Int64, 1, ser)",
    "pl.wrap_s(ser)",
    "ser._s",
    "tab._df",
    "pa.foreign_buffer(1, 8)",
    "pa.py_buffer(b'x')",
    "pa.array([1]).buffers()",
    "pa.Array.from_buffers(pa.int64(), 1, [None, None])",
    "type(pa.array([1])).from_buffers(pa.int64(), 1, [])",
    "pa.memory_map('x')",
    "pa.array([1]).__arrow_c_array__()",
    "pa.array([1]).view('float64')",
    "pa.table({'a': [1]}).__arrow_c_stream__()",
    "pa.array([1])._export_to_c(1)",
    "pa.compute.call_function('take', [])",
    "df.__array__()",
    "df.__dataframe__().get_chunks()",
    "np.array(df).base",
    "df.T.values.base.base",
    "(lambda a: a.base)(arr)",
    "getattr(arr, 'ba' + 'se')",
    "list(map(memoryview, [arr]))",
]


@pytest.fixture(scope="module", params=["open", "read_only", "analyst", "locked"])
def preset(request: pytest.FixtureRequest) -> Iterator[Any]:
    """A session with an array, a frame and a series, under one preset."""
    granted = {
        "arr": np.arange(3.0),
        "df": pd.DataFrame({"a": [1, 2]}),
        "ser": pl.Series([1, 2]),
        "tab": pl.DataFrame({"a": [1]}),
    }
    with (
        ControlPlane(policy=Policy.preset(request.param)) as plane,
        plane.session("agent", objects=granted) as session,
    ):
        session.run(
            "import numpy as np\nimport pandas as pd\nimport polars as pl\nimport pyarrow as pa\nimport pyarrow.compute"
        )
        yield session


@pytest.mark.parametrize("code", ATTEMPTS)
def test_no_preset_lets_an_agent_reach_memory(preset: Any, code: str) -> None:
    """Each attempt ends in an error in the guest, and its objects are as they were."""
    result = preset.run(f"_ = {code}" if " = " not in code else code)
    assert result.error is not None, code
    assert preset.get("arr").tolist() == [0.0, 1.0, 2.0]


@pytest.mark.parametrize("member", ["base", "data", "ctypes", "strides", "setflags", "resize", "getfield", "setfield"])
def test_a_forged_request_is_refused_by_the_host(preset: Any, member: str) -> None:
    """Whoever leaves the stubs aside and asks the plane for the member is refused, as `memory` and with the reason."""
    with pytest.raises(Denied, match="refused as memory: ") as caught:
        preset.get_attr("arr", member)
    assert caught.value.effect == "memory"
