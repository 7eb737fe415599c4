"""The catalog: what is known of types and modules, and of nothing else."""

from __future__ import annotations

import types
from pathlib import Path

import pytest

from proxyplane.catalog import Catalog, Entry
from proxyplane.effects import Effect
from proxyplane.errors import CatalogError

np = pytest.importorskip("numpy")
pd = pytest.importorskip("pandas")

HEAD = 'library = "builtins"\nversions = ">=3.11"\n'


@pytest.fixture(scope="module")
def catalog() -> Catalog:
    return Catalog.load()


def written(folder: Path, text: str) -> Catalog:
    path = folder / "own.toml"
    path.write_text(HEAD + text)
    return Catalog.load("builtins", extra=[path])


def test_a_member_has_the_effects_of_its_line(catalog: Catalog) -> None:
    """`of` gives the lines of a type by member."""
    frame = catalog.of(pd.DataFrame)
    assert frame is not None
    head = frame.members["head"]
    assert (head.name, head.kind, head.effects) == ("pandas.DataFrame.head", "method", {Effect.COMPUTE})
    assert frame.members["shape"].flags == {"schema", "fresh"}
    assert frame.dunders["__setitem__"].effects == {Effect.MUTATE}
    assert frame.dynamic == "columns"
    assert not frame.hashable
    assert frame.constructor is not None


DANGEROUS = {
    pd.DataFrame: "to_gbq to_xarray _mgr _data _values _constructor __array__",
    pd.Series: "_values __array__ __array_ufunc__ __reduce__",
    np.ndarray: "base data ctypes strides dump dumps setflags resize setfield getfield __array__ "
    "__array_interface__ __reduce__ __setstate__ __buffer__",
    type(np.add): "__reduce__",
    np.str_: "format format_map maketrans __mod__",
    str: "format format_map __mod__",
    types.FunctionType: "__globals__ __code__ __closure__ __call__",
    types.GeneratorType: "gi_frame gi_code send throw",
}


@pytest.mark.parametrize("kind", DANGEROUS, ids=lambda kind: kind.__name__)
def test_what_reaches_memory_or_the_world_is_not_catalogued(catalog: Catalog, kind: type) -> None:
    """Members that hand out raw memory, files, frames or code have no line at all."""
    entry = catalog.of(kind)
    assert entry is not None
    known = {*entry.members, *entry.dunders}
    assert known.isdisjoint(DANGEROUS[kind].split())


@pytest.mark.parametrize(
    ("module", "names"),
    [
        (
            "pandas",
            "compat read_gbq test set_eng_float_format",
        ),
        (
            "numpy",
            "memmap ctypeslib f2py seterrcall nditer test",
        ),
        ("numpy.lib.stride_tricks", "as_strided"),
        ("numpy.ma", "frombuffer core"),
        ("numpy.random", "get_bit_generator set_bit_generator"),
        ("pandas.core", "internals generic reshape"),
        ("pandas.io", "common sql clipboard parsers pickle"),
        ("numpy.testing", "rundocs runstring tempdir measure assert_raises"),
    ],
)
def test_dangerous_functions_of_a_module_are_not_catalogued(catalog: Catalog, module: str, names: str) -> None:
    """Loaders, evaluators, registries, process-wide switches have no line."""
    entry = catalog.module(module)
    assert entry is not None
    assert entry.members.keys().isdisjoint(names.split())


def test_what_ordinary_analysis_uses_is_catalogued(catalog: Catalog) -> None:
    """Members that every notebook uses are there, on each of the kinds of object that a chain goes through."""
    frame = pd.DataFrame({"a": [1, 2], "b": ["x", "y"], "t": pd.to_datetime(["2020", "2021"])})
    uses: list[tuple[object, str]] = [
        (frame, "groupby merge sort_values loc iloc head describe pivot_table query assign apply to_csv drop fillna"),
        (frame.a, "map value_counts str dt cat rolling cumsum between clip astype tolist nlargest"),
        (frame.groupby("b"), "agg transform sum mean size apply filter ngroup cumcount nth head"),
        (frame.groupby("b").a, "agg transform nunique idxmax value_counts rank shift"),
        (frame.b.str, "contains split upper extract replace len strip zfill"),
        (frame.t.dt, "year month floor strftime day_name tz_localize"),
        (frame.b.astype("category").cat, "categories codes rename_categories"),
        (frame.rolling(1), "mean sum apply agg std"),
        (frame.set_index("t").resample("D"), "mean sum ohlc ffill interpolate"),
        (frame.index, "tolist union isin get_loc is_unique"),
        (frame.a.to_numpy(), "sum mean reshape tolist astype T shape"),
        (pd.Timestamp("2020"), "year strftime floor isoformat to_pydatetime tz_localize"),
    ]
    for value, names in uses:
        entry = catalog.of(type(value))
        assert entry is not None
        missing = [name for name in names.split() if name not in entry.members]
        assert not missing, (entry.name, missing)


def test_an_override_in_an_uncatalogued_subclass_is_unknown(catalog: Catalog) -> None:
    """Of a subclass only what the catalogued class defines counts; an override is code that nobody reviewed."""

    class Own(pd.DataFrame):
        def head(self, n: int = 5) -> object:
            return n

        def brand_new(self) -> None: ...

    entry = catalog.of(Own)
    assert entry is not None
    assert entry.name == "pandas.DataFrame"
    assert "tail" in entry.members
    assert "head" not in entry.members
    assert "brand_new" not in entry.members
    assert entry.constructor is None


def test_a_subclass_with_its_own_attribute_access_is_unknown(catalog: Catalog) -> None:
    """`__getattribute__` or `__getattr__` can turn any member into another."""

    class Turned(pd.DataFrame):
        def __getattribute__(self, name: str) -> object:
            return None

    assert catalog.of(Turned) is None


def test_a_class_that_only_has_the_name_of_a_catalogued_one_is_unknown(catalog: Catalog) -> None:
    """A class is found by its name and must then be the library's own object."""
    forged = type("DataFrame", (), {"__module__": "pandas", "head": lambda self: None})
    assert catalog.of(forged) is None


def test_nothing_is_known_of_other_types(catalog: Catalog) -> None:
    """Deny by default."""
    assert catalog.of(type("Thing", (), {})) is None
    assert catalog.of(object) is None
    assert catalog.module("os") is None


def test_members_are_those_that_the_real_type_has(catalog: Catalog) -> None:
    """A line inherited from another table counts only where the type really has the member."""
    for kind in (pd.RangeIndex, pd.MultiIndex, np.int64, np.bool_, pd.api.typing.SeriesGroupBy, pd.arrays.SparseArray):
        entry = catalog.of(kind)
        assert entry is not None
        assert [name for name in (*entry.members, *entry.dunders) if not hasattr(kind, name)] == []
    mask = catalog.of(np.bool_)
    assert mask is not None
    assert "__iter__" not in mask.dunders


def test_value_types_say_which_built_in_they_inherit(catalog: Catalog) -> None:
    """numpy scalars and timestamps carry their value; the guest class inherits the real base where there is one."""
    expected = {
        np.float64: ("float", True), np.str_: ("str", True), np.int64: (None, True), np.bool_: (None, True),
        np.complex128: ("complex", True), pd.Timestamp: ("datetime", True), pd.Timedelta: ("timedelta", True),
        np.datetime64: (None, False), np.longdouble: (None, False), list: ("list", False), dict: ("dict", False),
    }  # fmt: skip
    for kind, (builtin, carries) in expected.items():
        entry = catalog.of(kind)
        assert entry is not None
        assert (entry.builtin, entry.carries) == (builtin, carries), kind


def test_rows_of_itertuples_are_tuples_that_carry_their_value(catalog: Catalog) -> None:
    """Each call of itertuples makes a class of its own; all of them are known as rows."""
    for name in ("Pandas", "Other"):
        row = next(pd.DataFrame({"a": [1]}).itertuples(name=name))
        entry = catalog.of(type(row))
        assert entry is not None
        assert (entry.builtin, entry.carries, entry.dynamic) == ("tuple", True, "fields")
        assert "_asdict" not in entry.members


def test_every_catalogued_function_exists_and_every_constant_too(catalog: Catalog) -> None:
    """No module line speaks of a name that the library does not have."""
    for name in ("numpy", "numpy.linalg", "numpy.random", "pandas", "pandas.api.types", "pandas.errors"):
        module = pytest.importorskip(name)
        entry = catalog.module(name)
        assert entry is not None
        assert [member for member in entry.members if not hasattr(module, member)] == []


def test_a_function_is_found_by_identity(catalog: Catalog) -> None:
    """`function` finds the line of a module's function, and of nothing that merely has its name."""
    found = catalog.function(pd.merge)
    assert found is not None
    assert found.name == "pandas.merge"

    def merge() -> None: ...

    merge.__module__ = "pandas"
    assert catalog.function(merge) is None
    assert catalog.function(3) is None


def test_a_users_own_catalog_adds_types(tmp_path: Path) -> None:
    """`extra` files are read like the packaged ones and change the digest."""
    own = written(
        tmp_path, f'[type."{__name__}.Gauge"]\nread_out = "method compute reveals=result"\nreset = "method mutate"\n'
    )
    entry = own.of(Gauge)
    assert entry is not None
    assert entry.members["reset"].effects == {Effect.MUTATE}
    assert entry.members["read_out"].reveals == "result"
    assert own.digest != Catalog.load("builtins").digest


class Gauge:
    def read_out(self) -> int:
        return 1

    def reset(self) -> None: ...


def test_an_unreviewed_version_counts_for_nothing(tmp_path: Path) -> None:
    """A catalog for other versions of a library is named as unreviewed and none of its lines applies."""
    path = tmp_path / "pytest.toml"
    path.write_text('library = "pytest"\nversions = "<1.0"\n[module.pytest]\nskip = "function compute"\n')
    catalog = Catalog.load("builtins", extra=[path])
    assert catalog.unreviewed == ("pytest",)
    assert catalog.module("pytest") is None


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ('[module.m]\nf = "function compote"\n', "did you mean 'compute'"),
        ('[module.m]\nf = "function"\n', "names no effect"),
        ('[module.m]\nf = "compute"\n', "begins with one of"),
        ("[module.m]\nf = 3\n", "is a int"),
        ('[module.m]\nf = "function compute path@0:path-reed"\n', "unknown action"),
        ('[type."m.T"]\n"()" = "fresh"\n', "names no effect"),
        ('[type."m.T"]\ncarries = "yes"\n', "neither true nor false"),
        ('[type."m.T"]\ninherits = "x"\n', "list of type names"),
        ("[spells]\nx = 1\n", "unknown key 'spells'"),
        ("[module.m\n", "not TOML"),
        ('versions = ">=3"\n', "not TOML"),
    ],
)
def test_a_file_with_a_mistake_says_which_and_what_to_do(tmp_path: Path, text: str, told: str) -> None:
    """A catalog error names the file, the key and the remedy."""
    with pytest.raises(CatalogError, match=r"own\.toml") as caught:
        written(tmp_path, text)
    assert told in str(caught.value)


def test_a_table_that_inherits_a_stranger_is_an_error(tmp_path: Path) -> None:
    """`inherits` must name a table of a loaded catalog."""
    with pytest.raises(CatalogError, match=r"m\.Nothing"):
        written(tmp_path, f'[type."{__name__}.Gauge"]\ninherits = ["m.Nothing"]\nreset = "method mutate"\n')


def test_absent_takes_an_inherited_line_away(tmp_path: Path) -> None:
    """A member that means something else in a subclass is not known there, although the base's is."""
    own = written(
        tmp_path,
        f'[type."{__name__}.Gauge"]\nreset = "method mutate"\nread_out = "method compute"\n'
        f'[type."{__name__}.Odd"]\ninherits = ["{__name__}.Gauge"]\nreset = "absent"\n',
    )
    entry = own.of(Odd)
    assert entry is not None
    assert set(entry.members) == {"read_out"}


class Odd(Gauge):
    def reset(self) -> None: ...


def test_a_missing_file_is_an_error() -> None:
    """The names of the packaged catalogs are in the hint."""
    with pytest.raises(CatalogError, match="builtins, files, "):
        Catalog.load("polarz")


def test_vocabulary_holds_public_names_only(catalog: Catalog) -> None:
    """Words that error texts may keep: members, types, parameters."""
    assert {"groupby", "DataFrame", "int64", "inplace"} <= catalog.vocabulary
    assert "ssn" not in catalog.vocabulary


def test_entries_are_immutable_and_shared(catalog: Catalog) -> None:
    """The same type gives the same entry, whose mappings cannot be written."""
    entry = catalog.of(pd.DataFrame)
    assert entry is catalog.of(pd.DataFrame)
    assert entry is not None
    with pytest.raises(TypeError):
        entry.members["evil"] = Entry("x", "method", frozenset(), frozenset(), None, None, ())  # type: ignore[index]
