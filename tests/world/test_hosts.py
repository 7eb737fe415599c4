"""What the adapters say about values: how much they hold and show, and what of them crosses."""

from __future__ import annotations

import datetime as dt
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxyplane import hosts
from proxyplane.decisions import Facts
from proxyplane.hosts import Carried

np = pytest.importorskip("numpy")
pd = pytest.importorskip("pandas")

NOTHING = Facts(0, 0, 0)


def rows(value: Any) -> int | None:
    return hosts.facts(value).rows


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (pd.DataFrame({"a": range(7), "b": range(7)}), 7),
        (pd.DataFrame({"a": []}), 0),
        (pd.Series(range(5)), 5),
        (pd.Index(range(4)), 4),
        (pd.MultiIndex.from_product([[1, 2], [3, 4]]), 4),
        (pd.Categorical(["a", "b"]), 2),
        (pd.array([1, None]), 2),
        (np.zeros((3, 4)), 3),
        (np.array(5), 1),
        (np.float64(1), 1),
        (pd.Timestamp("2020"), 1),
        (pd.NaT, 1),
        ("text", 1),
        (3, 1),
        (None, 1),
        ([1, 2, 3], 3),
        ([(1, 2), (3, 4)], 2),
        ((1, 2, 3), 3),
        ({"a": 1, "b": 2}, 2),
        ({"a": [1, 2, 3]}, 3),
        ([[1, 2], [3]], 3),
        ([pd.DataFrame({"a": range(5)}), pd.Series(range(6))], 11),
        ([(1, pd.Series(range(6)))], 6),
        (pd.Series([[1, 2, 3], [4]]), 4),
        (pd.DataFrame({"k": ["x"], "v": [list(range(50))]}), 50),
        (np.array([[1, 2], None], dtype=object), 3),
        (np.poly1d([1, 2, 3]), 3),
    ],
    ids=lambda value: type(value).__name__,
)
def test_rows_count_what_is_inside(value: Any, expected: int) -> None:
    """A row is a row of a frame or an item of a container; nested content counts, a tuple in a list is one row."""
    assert rows(value) == expected


def test_cells_and_bytes_are_counted_too() -> None:
    """A frame's cells are all its cells; a text's bytes its length."""
    frame = pd.DataFrame({"a": [1, 2], "b": [1.0, 2.0]})
    assert hosts.facts(frame).cells == 4
    assert (hosts.facts(frame).bytes or 0) >= 32
    assert hosts.facts("abc") == Facts(1, 1, 3)
    assert (hosts.facts(pd.DataFrame({"a": [["x" * 1000]]})).bytes or 0) >= 1000


@pytest.mark.parametrize(
    "value", [iter([1]), (n for n in "ab"), object(), map(str, [1]), pd.DataFrame({"a": [1]}).groupby("a")]
)
def test_what_is_not_known_is_said_not_to_be_known(value: Any) -> None:
    """Iterators are not consumed, strange objects are not asked."""
    assert hosts.facts(value) == Facts()


def test_a_container_that_holds_itself_is_not_known() -> None:
    """A cycle ends the count."""
    loop: list[Any] = [1]
    loop.append(loop)
    assert hosts.facts(loop) == Facts()
    assert hosts.facts({"a": loop}) == Facts()


@given(
    st.recursive(st.one_of(st.integers(), st.text(max_size=3), st.none()), lambda inner: st.lists(inner, max_size=4))
)
def test_a_container_has_at_least_as_many_cells_as_leaves(value: Any) -> None:
    """No nesting hides content from the count."""

    def leaves(item: Any) -> int:
        return sum(leaves(part) for part in item) if isinstance(item, list) else 1

    assert (hosts.facts(value).cells or 0) >= leaves(value)


@pytest.mark.parametrize("length", [1, 59, 60, 61, 500])
@pytest.mark.parametrize(
    "make",
    [
        lambda n: pd.DataFrame({"a": [f"v{i}v" for i in range(n)], "b": 1}),
        lambda n: pd.Series([f"v{i}v" for i in range(n)]),
        lambda n: pd.Index([f"v{i}v" for i in range(n)]),
        lambda n: pd.Categorical([f"v{i}v" for i in range(n)]),
        lambda n: pd.CategoricalIndex([f"v{i}v" for i in range(n)]),
        lambda n: pd.Series([f"v{i}v" for i in range(n)], dtype="category"),
        lambda n: pd.Series([f"v{i}v" for i in range(n)]).array,
        lambda n: np.array([f"v{i}v" for i in range(n * 4)]),
        lambda n: [f"v{i}v" for i in range(n)],
    ],
    ids=["frame", "series", "index", "categorical", "categorical-index", "category", "array", "ndarray", "list"],
)
def test_shown_is_never_less_than_a_repr_shows(make: Any, length: int) -> None:
    """The distinct values that appear in the text are at most the rows that `shown` announced."""
    value = make(length)
    text = repr(value)
    visible = sum(1 for i in range(length * 4) if f"v{i}v" in text)
    announced = hosts.shown(value)
    assert announced.rows is not None
    assert visible <= announced.rows


def test_shown_is_not_much_more_than_a_repr_shows() -> None:
    """A long frame shows ten rows, a long series ten, a long array six, under the usual options."""
    assert hosts.shown(pd.DataFrame({"a": range(1000)})).rows == 10
    assert hosts.shown(pd.Series(range(1000))).rows == 10
    assert hosts.shown(np.arange(5000)).rows == 6
    assert hosts.shown(pd.Index(np.arange(1000) * 3)).rows == 20
    with pd.option_context("display.max_rows", None):
        assert hosts.shown(pd.DataFrame({"a": range(1000)})).rows == 1000


def test_a_repr_that_shows_no_content_shows_nothing() -> None:
    """Groupbys, accessors, functions, types and iterators."""
    frame = pd.DataFrame({"a": ["x"]})
    for value in (frame.groupby("a"), frame.a.str, len, frame.head, pd.DataFrame, iter([1]), np.add):
        assert hosts.shown(value).rows == 0


SCALARS = [
    np.float64(1.5),
    np.float64("nan"),
    np.float64("inf"),
    np.float32(0.1),
    np.float16(0.1),
    np.int64(-3),
    np.int8(1),
    np.uint64(2**63),
    np.bool_(True),
    np.bool_(False),
    np.str_("it's"),
    np.bytes_(b"a"),
    np.complex128(1 + 2j),
    np.complex64(1j),
    np.float64(1e22),
    np.float32(1e-10),
    np.longlong(4),
    np.float64(-0.0),
]


def guest_repr(name: str, carried: Carried) -> str:
    """What the guest shows (docs/protocol.md, VALUE_REF)."""
    if carried.repr is not None:
        return carried.repr
    return f"np.{carried.value}_" if type(carried.value) is bool else f"np.{name}({carried.value!r})"


@pytest.mark.parametrize("value", SCALARS, ids=repr)
def test_a_numpy_scalar_is_shown_by_the_guest_as_natively(value: Any) -> None:
    """Value, repr and str on the other side are those of the scalar."""
    carried = hosts.carried(value)
    assert carried is not None
    assert type(carried.value).__module__ == "builtins"
    assert carried.value == value or np.isnan(value)
    assert guest_repr(type(value).__name__, carried) == repr(value)
    assert (carried.str if carried.str is not None else str(carried.value)) == str(value)


@given(st.floats(width=32))
def test_every_float32_is_shown_as_natively(number: float) -> None:
    """Short reprs of narrow floats survive."""
    value = np.float32(number)
    carried = hosts.carried(value)
    assert carried is not None
    assert guest_repr("float32", carried) == repr(value)


TIMES = [
    "2020-01-01",
    "2020-01-01 12:30:15.123456789",
    "1677-09-22",
    "2020-06-01 00:00:00.000000001",
]


@pytest.mark.parametrize("zone", [None, "Europe/Berlin", "UTC", dt.timezone(dt.timedelta(hours=5, minutes=30))])
@pytest.mark.parametrize("text", TIMES)
def test_a_timestamp_is_shown_by_the_guest_as_natively(text: str, zone: Any) -> None:
    """As datetime and nanosecond, with its zone."""
    value = pd.Timestamp(text, tz=zone)
    carried = hosts.carried(value)
    assert carried is not None
    assert type(carried.value) is dt.datetime
    assert carried.extra == value.nanosecond
    assert carried.repr == repr(value)
    assert (carried.str or str(carried.value)) == str(value)
    assert carried.value == value.floor("us")


@pytest.mark.parametrize("text", ["1D", "-1ns", "3h 2us 7ns", "-5D 1us", "0s"])
def test_a_timedelta_is_shown_by_the_guest_as_natively(text: str) -> None:
    """As timedelta and nanoseconds, which together are the value."""
    value = pd.Timedelta(text)
    carried = hosts.carried(value)
    assert carried is not None
    assert type(carried.value) is dt.timedelta
    assert pd.Timedelta(carried.value) + pd.Timedelta(carried.extra, "ns") == value
    assert (carried.repr, carried.str) == (repr(value), str(value))


def test_a_row_is_carried_as_tuple_and_names() -> None:
    """Rows of itertuples of any name."""
    frame = pd.DataFrame({"a": [1], "b": ["x"]})
    for name in ("Pandas", "Row"):
        carried = hosts.carried(next(frame.itertuples(name=name)))
        assert carried == Carried((0, 1, "x"), None, None, ("Index", "a", "b"))


@pytest.mark.parametrize(
    "value",
    [
        np.longdouble(1),
        np.datetime64("2020"),
        np.void(b"x"),
        pd.Period("2020"),
        pd.NaT,
        3,
        "x",
        pd.Timestamp.max.as_unit("s") + pd.Timedelta(days=3_000_000),
    ],
    ids=repr,
)
def test_what_no_built_in_holds_is_not_carried(value: Any) -> None:
    """They cross as plain references."""
    assert hosts.carried(value) is None


def test_singletons_are_known_by_identity() -> None:
    """Both ways; an equal value that is another object is none."""
    for name, value in {
        "pandas.NA": pd.NA,
        "pandas.NaT": pd.NaT,
        "numpy.nan": np.nan,
        "numpy.ma.masked": np.ma.masked,
        "pandas.api.extensions.no_default": pd.api.extensions.no_default,
    }.items():
        assert hosts.singleton_name(value) == name
        assert hosts.singleton(name) is value
    assert hosts.singleton_name(float("nan")) is None
    assert hosts.singleton_name(None) is None
    with pytest.raises(KeyError):
        hosts.singleton("pandas.DataFrame")


def test_dynamic_names_are_columns_labels_and_fields() -> None:
    """Identifiers only, never private ones, never one that a real member hides."""
    frame = pd.DataFrame({"amount": [1], "no way": [1], "_x": [1], "head": [1], 3: [1]})
    assert hosts.names(frame) == ["amount"]
    assert hosts.has_dynamic(frame, "amount")
    for name in ("nothing", "_x", "head", "no way"):
        assert not hosts.has_dynamic(frame, name)
    assert hosts.has_dynamic(frame.iloc[0], "amount")
    assert hosts.has_dynamic(frame.groupby("amount"), "amount")
    assert hosts.has_dynamic(frame[["amount"]].rolling(1), "amount")
    assert hosts.names(np.rec.fromarrays([[1], [2]], names="a,b")) == ["a", "b"]
    assert hosts.names(3) == []


def test_a_schema_has_no_values() -> None:
    """Shape, names and dtypes; a categorical is a category and nothing more."""
    frame = pd.DataFrame({"c": pd.Categorical(["secret"]), "n": [1]})
    assert hosts.schema(frame) == {
        "kind": "frame",
        "shape": [1, 2],
        "index": [""],
        "columns": [{"name": "c", "dtype": "category"}, {"name": "n", "dtype": "int64"}],
    }
    for value in (
        frame.c,
        frame.set_index("c").index,
        frame.groupby("c"),
        frame.c.array,
        np.array(["secret"]),
        ["secret"],
    ):
        assert "secret" not in str(hosts.schema(value))
    assert hosts.schema(3) is None


def test_labels_are_all_that_schema_could_show() -> None:
    """Labels of every level, names of axes, and categories, which come out of data."""
    frame = pd.DataFrame({("a", "b"): pd.Categorical(["cat"])}, index=pd.Index([1], name="i"))
    found = hosts.labels(frame)
    assert found is not None
    assert {"a", "b", "i", "cat"} <= set(found)
    assert "cat" in (hosts.labels(frame[("a", "b")]) or ())
    assert "cat" in (hosts.labels(frame[("a", "b")].dtype) or ())
    assert hosts.labels(pd.Series([1], name="n")) == ("n", None)
    assert hosts.labels(3) is None
    assert hosts.column_names(frame) == (("a", "b"),)
    assert hosts.column_names(frame.groupby("i")) == (("a", "b"),)


def test_family_is_what_shares_memory() -> None:
    """All arrays that a view is a view of."""
    base = np.arange(10)
    half = base[:5]
    part = half[1:]
    assert any(member is base for member in hosts.family(part))
    assert hosts.family(base) == ()
    assert hosts.family(pd.DataFrame({"a": [1]})) == ()
    assert hosts.family([1]) == ()
