"""A projection shares nothing with its original and remembers nothing that is not visible."""

from __future__ import annotations

import datetime as dt
import gc
import io
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from proxyplane import hosts
from proxyplane.errors import PolicyError

np = pytest.importorskip("numpy")
pd = pytest.importorskip("pandas")

CANARY = "Kanarienvogel7f3a"
NUMBER = 0x5EC2E7CA
COUNT = 40


def secrets() -> list[str]:
    return [f"{CANARY}-{i:04d}-{'x' * 20}" for i in range(COUNT)]


def buffers(value: Any) -> Iterator[bytes]:
    """The raw memory of an array, of the block it lies in, and of Arrow buffers in their whole length."""
    if isinstance(value, np.ndarray):
        base = value
        while isinstance(base.base, np.ndarray):
            base = base.base
        yield from (array.tobytes() for array in (value, base) if array.dtype != object)
    arrow = getattr(value, "_pa_array", None)
    for chunk in getattr(arrow, "chunks", ()):
        yield from arrow_buffers(chunk)


def arrow_buffers(array: Any) -> Iterator[bytes]:
    for buffer in array.buffers():
        if buffer is not None:
            yield buffer.to_pybytes()
            parent = buffer.parent
            while parent is not None:
                yield parent.to_pybytes()
                parent = parent.parent
    dictionary = getattr(array, "dictionary", None)
    if dictionary is not None:
        yield from arrow_buffers(dictionary)


INSIDE = (
    "_mgr _values _data _ndarray _cache _codes _levels dtype array blocks axes index columns attrs _mask _left _right "
    "_pa_array categories levels codes"
).split()


def attribute(value: Any, name: str) -> Any:
    try:
        return getattr(value, name, None)
    except (ValueError, TypeError):
        return None


def traces(root: Any) -> list[str]:
    """Everywhere that something reachable from `root` holds the canary: objects, attributes, buffers."""
    needles = [CANARY.encode(), CANARY.encode("utf-32-le"), NUMBER.to_bytes(8, "little")]
    needles.append(np.float64(NUMBER).tobytes())
    found: list[str] = []
    seen: set[int] = set()
    queue: list[Any] = [root]
    kept = []
    while queue:
        value = queue.pop()
        if id(value) in seen or isinstance(value, (type, type(gc), type(len), type(traces))):
            continue
        seen.add(id(value))
        kept.append(value)
        if isinstance(value, str) and CANARY in value:
            found.append("text")
        elif isinstance(value, int) and value == NUMBER:
            found.append("number")
        whole = (raw for raw in buffers(value) if any(needle in raw for needle in needles))
        found.extend(f"buffer of {type(value).__name__}" for _ in whole)
        queue.extend(gc.get_referents(value))
        if isinstance(value, np.ndarray):
            queue.append(value.base)
            if value.dtype == object:
                queue.extend(value.ravel().tolist())
        if type(value).__module__.startswith("pandas"):
            queue.extend(attribute(value, name) for name in INSIDE)
    return found


def from_dict() -> Any:
    return pd.DataFrame({"a": range(COUNT), "b": np.arange(COUNT) * 2.0, "ssn": secrets(), "n": [NUMBER] * COUNT})


def from_array() -> Any:
    block = np.array([[str(i), s, "z"] for i, s in enumerate(secrets())], dtype=object)
    return pd.DataFrame(block, columns=["a", "ssn", "b"], dtype=object)


def from_numbers() -> Any:
    block = np.full((COUNT, 3), NUMBER, dtype=np.int64)
    block[:, 0] = range(COUNT)
    return pd.DataFrame(block, columns=["a", "ssn", "n"])


def from_csv() -> Any:
    text = "a,ssn,b\n" + "".join(f"{i},{s},w{i}\n" for i, s in enumerate(secrets()))
    return pd.read_csv(io.StringIO(text))


def dated_index() -> Any:
    return from_dict().set_index(pd.date_range("2020", periods=COUNT, freq="D", name="day", tz="UTC"))


def with_attrs() -> Any:
    frame = from_dict()
    frame.attrs["source"] = frame["ssn"]
    return frame


FRAMES = [from_dict, from_array, from_numbers, from_csv, dated_index, with_attrs]


def test_the_scan_finds_what_pandas_leaves_behind() -> None:
    """The scan is worth something: it finds the hidden column behind an ordinary `drop` and behind a filter."""
    assert traces(from_array().drop(columns=["ssn"]))
    assert traces(from_numbers()[["a"]])
    frame = pd.DataFrame({"c": pd.Categorical(secrets())})
    assert traces(frame[frame.c.str.endswith("never")])


@pytest.mark.parametrize("make", FRAMES, ids=lambda make: make.__name__)
def test_a_hidden_column_leaves_no_trace(make: Any) -> None:
    """However the frame was built, nothing reachable from its projection holds the hidden column."""
    frame = make()
    gone = tuple(name for name in ("ssn", "n") if name in frame.columns)
    shown = hosts.project(frame, show=None, hide=gone)
    assert list(shown.columns) == [name for name in frame.columns if name not in gone]
    pd.testing.assert_frame_equal(shown, frame.drop(columns=list(gone)))
    assert traces(shown) == []
    allowed = hosts.project(frame, show=tuple(shown.columns) + tuple(n for n in frame.index.names if n), hide=())
    pd.testing.assert_frame_equal(allowed, shown)
    assert traces(allowed) == []


def _typed() -> dict[str, Any]:
    texts = ["open"] * 3 + secrets()
    numbers = [1, None, 3] + [NUMBER] * COUNT
    return {
        "str": pd.Series(texts),
        "object": pd.Series(texts, dtype=object),
        "string": pd.Series(texts, dtype="string"),
        "python string": pd.Series(texts, dtype=pd.StringDtype("python")),
        "pyarrow string": pd.Series(texts, dtype="string[pyarrow]"),
        "category": pd.Series(texts, dtype="category"),
        "ordered category": pd.Series(pd.Categorical(texts, categories=["open", *reversed(secrets())], ordered=True)),
        "Int64": pd.Series(numbers, dtype="Int64"),
        "Float64": pd.Series([1.5, None, 2.5] + [float(NUMBER)] * COUNT, dtype="Float64"),
        "boolean": pd.Series([True, None, False] + [True] * COUNT, dtype="boolean"),
        "datetime": pd.Series(pd.date_range("2020", periods=3 + COUNT)),
        "zoned": pd.Series(pd.date_range("2020", periods=3 + COUNT, tz="Europe/Berlin")),
        "timedelta": pd.Series(pd.timedelta_range("1D", periods=3 + COUNT)),
        "period": pd.Series(pd.period_range("2020", periods=3 + COUNT, freq="M")),
        "interval": pd.Series(pd.interval_range(0, 3 + COUNT)),
        "sparse": pd.Series(pd.arrays.SparseArray([0, 0, 3] + [NUMBER] * COUNT)),
        "nested": pd.Series([["a", ["b"]], {"k": {"s"}}, ("t", [1])] + [[s] for s in secrets()]),
        "arrow text": pd.Series(texts, dtype="string[pyarrow]").astype(_arrow("string")),
        "arrow number": pd.Series(numbers, dtype="Int64").astype(_arrow("int64")),
        "arrow list": pd.Series([["a"], None, ["b", "c"]] + [[s] for s in secrets()], dtype=_arrow("list")),
        "arrow dictionary": pd.Series(texts, dtype="string[pyarrow]").astype(_arrow("dictionary")),
    }


def _arrow(kind: str) -> Any:
    pa = pytest.importorskip("pyarrow")
    kinds = {
        "string": pa.string(),
        "int64": pa.int64(),
        "list": pa.list_(pa.string()),
        "dictionary": pa.dictionary(pa.int32(), pa.string()),
    }
    return pd.ArrowDtype(kinds[kind])


@pytest.fixture(scope="module")
def typed() -> dict[str, Any]:
    return _typed()


NO_INDEX = ("nested", "sparse", "arrow list", "arrow dictionary")
NAMES = [
    "str",
    "object",
    "string",
    "python string",
    "pyarrow string",
    "category",
    "ordered category",
    "Int64",
    "Float64",
    "boolean",
    "datetime",
    "zoned",
    "timedelta",
    "period",
    "interval",
    "sparse",
    "nested",
    "arrow text",
    "arrow number",
    "arrow list",
    "arrow dictionary",
]


@pytest.mark.parametrize("kind", NAMES)
def test_hidden_rows_leave_no_trace(typed: dict[str, Any], kind: str) -> None:
    """What was filtered away before the grant is in no category, level, mask, dictionary or buffer of the result."""
    frame = pd.DataFrame({"v": typed[kind], "ssn": 1}).iloc[:3]
    shown = hosts.project(frame, show=("v",), hide=())
    if "category" in kind:
        assert list(shown.v.cat.categories) == ["open"]
        assert shown.v.cat.ordered == frame.v.cat.ordered
        assert shown.v.tolist() == frame.v.tolist()
    else:
        assert shown.v.dtype == frame.v.dtype
        pd.testing.assert_series_equal(shown.v, frame.v)
    assert traces(shown) == []


@pytest.mark.parametrize("kind", [name for name in NAMES if name not in NO_INDEX])
def test_an_index_of_hidden_rows_leaves_no_trace(typed: dict[str, Any], kind: str) -> None:
    """The same for an index, and for a level of a MultiIndex."""
    levels = [typed[kind], range(len(typed[kind]))]
    for index in (pd.Index(typed[kind], name="i"), pd.MultiIndex.from_arrays(levels, names=["i", "j"])):
        frame = pd.DataFrame({"a": 1, "ssn": 2}, index=index).iloc[:3]
        shown = hosts.project(frame, show=None, hide=("ssn",))
        assert shown.index.names == frame.index.names
        assert list(map(str, shown.index)) == list(map(str, frame.index))
        assert traces(shown) == []


def test_a_masked_value_is_not_kept_under_its_mask() -> None:
    """A nullable array that had a value before it was masked out has none afterwards."""
    column = pd.arrays.IntegerArray(np.array([1, NUMBER, 3]), np.array([False, True, False]))
    shown = hosts.project(pd.DataFrame({"a": column, "ssn": 1}), show=("a",), hide=())
    assert traces(shown) == []
    assert shown.a.tolist() == [1, pd.NA, 3]


def test_nothing_is_shared_so_nothing_written_passes_through() -> None:
    """Writing into the projection, its nested cells included, leaves the original as it was, and the reverse."""
    frame = pd.DataFrame({"n": [1, 2], "o": [[1], {"k": [2]}], "ssn": ["x", "y"]})
    shown = hosts.project(frame, show=None, hide=("ssn",))
    shown.loc[0, "n"] = 99
    shown.o[0].append(5)
    shown.o[1]["k"].append(5)
    assert frame.n.tolist() == [1, 2]
    assert frame.o.tolist() == [[1], {"k": [2]}]
    for name in shown.columns:
        assert not np.shares_memory(shown[name].to_numpy(), frame[name].to_numpy())


def test_index_kinds_frequencies_and_names_stay() -> None:
    """The visible part is exactly as it was."""
    for index in (
        pd.date_range("2020", periods=3, freq="MS", name="m"),
        pd.RangeIndex(5, 11, 2, name="r"),
        pd.timedelta_range("1D", periods=3, name="t"),
        pd.period_range("2020", periods=3, freq="Q"),
        pd.MultiIndex.from_tuples([("a", 1), ("b", 2), ("a", 3)], names=["x", None]),
        pd.CategoricalIndex(["a", "b", "a"], name="c"),
        pd.Index([1, "a", None], dtype=object),
    ):
        frame = pd.DataFrame({"v": [1, 2, 3], "ssn": 1}, index=index)
        shown = hosts.project(frame, show=None, hide=("ssn",))
        pd.testing.assert_index_equal(shown.index, index)
        assert type(shown.index) is type(index)
        assert getattr(shown.index, "freq", None) == getattr(index, "freq", None)


def test_columns_of_several_levels() -> None:
    """`show` takes the top level or a whole tuple, `hide` a label on any level or a whole tuple."""
    columns = pd.MultiIndex.from_tuples([("a", "x"), ("a", CANARY), ("b", "x")], names=["top", "low"])
    frame = pd.DataFrame([[1, 2, 3]], columns=columns)
    assert list(hosts.project(frame, show=("a",), hide=(CANARY,)).columns) == [("a", "x")]
    hidden = hosts.project(frame, show=None, hide=(("a", CANARY),))
    assert list(hidden.columns) == [("a", "x"), ("b", "x")]
    assert hidden.columns.names == ["top", "low"]
    assert traces(hidden) == []
    assert list(hosts.project(frame, show=(("b", "x"),), hide=()).columns) == [("b", "x")]


def test_all_columns_of_a_name_are_hidden() -> None:
    """Duplicate names go together; labels that are no text are named by their text."""
    frame = pd.DataFrame([[1, 2, 3, 4]], columns=["a", "ssn", "ssn", 7])
    assert list(hosts.project(frame, show=None, hide=("ssn",)).columns) == ["a", 7]
    assert list(hosts.project(frame, show=None, hide=("7",)).columns) == ["a", "ssn", "ssn"]
    assert list(hosts.project(frame, show=("ssn",), hide=()).columns) == ["ssn", "ssn"]


def test_a_hidden_name_of_an_index_level_takes_the_level_away() -> None:
    """What was a column and became the index is hidden there too; `show` keeps only the named levels it lists."""
    frame = from_dict()[["a", "b", "ssn"]]
    alone = hosts.project(frame.set_index("ssn"), show=None, hide=("ssn",))
    assert alone.index.equals(pd.RangeIndex(COUNT))
    assert traces(alone) == []
    one_of_two = hosts.project(frame.set_index(["ssn", "a"]), show=None, hide=("ssn",))
    assert one_of_two.index.names == ["a"]
    assert traces(one_of_two) == []
    listed = hosts.project(frame.set_index(["ssn", "a"]), show=("b", "a"), hide=())
    assert listed.index.names == ["a"]
    assert traces(listed) == []


def test_a_name_that_matches_nothing_is_an_error_with_a_proposal() -> None:
    """A typing mistake in a policy must not show what it meant to hide."""
    frame = from_dict()
    with pytest.raises(PolicyError, match="did you mean 'ssn'"):
        hosts.project(frame, show=None, hide=("snn",))
    with pytest.raises(PolicyError, match="no column or index level 'zzzzz'"):
        hosts.project(frame, show=("zzzzz",), hide=())


@pytest.mark.parametrize("value", [pd.Series([1]), np.zeros(2), [1], "x", object(), pd.Index([1])])
def test_only_a_frame_can_be_projected(value: Any) -> None:
    """Other objects are granted whole or not at all."""
    with pytest.raises(PolicyError, match="need a DataFrame"):
        hosts.project(value, show=None, hide=("a",))
    assert hosts.project(value, show=None, hide=()) is value


def test_a_cell_whose_content_is_not_known_is_refused() -> None:
    """An object in a cell might hold the original; the error names the column and the type, not the value."""

    class Holder:
        def __repr__(self) -> str:
            return CANARY

    with pytest.raises(PolicyError, match="'o' holds a Holder") as caught:
        hosts.project(pd.DataFrame({"o": [Holder()], "ssn": 1}), show=None, hide=("ssn",))
    assert CANARY not in str(caught.value)


def test_frames_and_arrays_in_cells_are_rebuilt() -> None:
    """A nested view does not keep its parent alive."""
    parent = np.array(secrets())
    cells = np.empty(3, dtype=object)
    cells[:] = [parent[:0], pd.DataFrame({"c": pd.Categorical(secrets())}).iloc[:0], pd.Series(secrets()).iloc[:0]]
    shown = hosts.project(pd.DataFrame({"o": cells, "ssn": 1}), show=("o",), hide=())
    assert traces(shown) == []


@settings(max_examples=40, deadline=None)
@given(
    st.lists(
        st.tuples(
            st.one_of(st.integers(-5, 5), st.none()),
            st.one_of(st.text(max_size=4), st.none()),
            st.dates(dt.date(1990, 1, 1), dt.date(2100, 1, 1)),
        ),
        max_size=12,
    ),
    st.sampled_from([("a",), ("b",), ("a", "c"), ("d",)]),
)
def test_the_visible_part_is_unchanged(records: list[Any], hide: tuple[str, ...]) -> None:
    """Whatever the data, a projection equals the frame without the hidden columns."""
    frame = pd.DataFrame(records, columns=["a", "b", "c"])
    frame["d"] = pd.Categorical(frame["b"])
    shown = hosts.project(frame, show=None, hide=hide)
    pd.testing.assert_frame_equal(shown, frame.drop(columns=list(hide)), check_categorical=False)
