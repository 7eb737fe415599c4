"""Row filters keep exactly the rows for which they are true, and reach nothing but columns."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxyplane import hosts
from proxyplane.errors import PolicyError
from proxyplane.hosts.rows import parse

np = pytest.importorskip("numpy")
pd = pytest.importorskip("pandas")

DATA = {"region": ["north", "south", None, "west"], "amount": [1.0, 20.0, 30.0, None], "two words": [3, 4, 3, 4]}
CASES = [
    ("region == 'north'", [0]),
    ('region != "north"', [1, 3]),
    ("not region == 'north'", [1, 3]),
    ("amount > 4 and (region == 'south' or amount >= 30)", [1, 2]),
    ("`two words` in [3, 5]", [0, 2]),
    ("region not in ['north']", [1, 3]),
    ("region in []", []),
    ("amount >= 2 * `two words`", [1, 2]),
    ("(amount + 1) * 2 > -amount", [0, 1, 2]),
    ("not not amount > 4", [1, 2]),
    ("not (region == 'north' or amount > 20)", [1]),
    ("amount % 7 == 6 or amount / 2 == 15", [1, 2]),
]


@pytest.mark.parametrize(("text", "rows"), CASES)
def test_rows_of_a_pandas_frame(text: str, rows: list[int]) -> None:
    """A comparison with a missing value is not true, and neither is its opposite."""
    kept = hosts.project(pd.DataFrame(DATA), show=None, hide=(), where=(parse(text),))
    assert kept.index.tolist() == rows


@pytest.mark.parametrize(("text", "rows"), CASES)
def test_rows_of_a_polars_frame(text: str, rows: list[int]) -> None:
    """The same rows as of pandas, also of a lazy frame."""
    pl = pytest.importorskip("polars")
    frame = pl.DataFrame({**DATA, "row": range(4)})
    kept = hosts.project(frame, show=None, hide=(), where=(parse(text),))
    assert kept["row"].to_list() == rows
    assert hosts.project(frame.lazy(), show=None, hide=(), where=(parse(text),)).collect()["row"].to_list() == rows


def test_a_filter_may_name_what_is_hidden_and_an_index_level() -> None:
    """Columns that decide need not be visible; what is not kept is nowhere in the result."""
    frame = pd.DataFrame(DATA).assign(region=lambda f: f.region.astype("category")).set_index("two words")
    kept = hosts.project(frame, show=("amount",), hide=(), where=(parse("region == 'south'"), parse("`two words` > 3")))
    assert (kept.amount.tolist(), list(kept.columns)) == ([20.0], ["amount"])
    kept = hosts.project(frame, show=("region",), hide=(), where=(parse("region == 'south'"),))
    assert kept.region.cat.categories.tolist() == ["south"]


@pytest.mark.parametrize(
    "text",
    ["a.b == 1", "f(x) > 1", "@x == 1", "a[0] == 1", "a == 1 b", "1 == 1", "a ==", "(a == 1", "a < b < c", "a in b",
     "a not", "1", "(a == 1) + 2 > 3", "a in ['x' 'y']", "a in [b]", "(" * 60 + "a", "-" * 60 + "a > 1", "a == 'x",
     "a == \"x\\\"", "a;b", "__import__('os')", "a if b else c", "lambda: a", "", "not", "a > 1 or", "a == 1\x00"],
)  # fmt: skip
def test_what_is_no_filter(text: str) -> None:
    """No attribute, call, subscript, variable or anything else of Python is part of the grammar."""
    with pytest.raises(ValueError):
        parse(text)


@pytest.mark.parametrize("text", ["amuont > 1", "region > 5", "amount == 'x' and amount < 'y'"])
def test_what_cannot_be_evaluated_is_not_granted(text: str) -> None:
    """A missing column or values that do not compare: the error has no value of the frame."""
    with pytest.raises(PolicyError) as caught:
        hosts.project(pd.DataFrame(DATA), show=None, hide=(), where=(parse(text),))
    assert not any(str(value) in str(caught.value) for value in ("north", "20.0", "30.0"))


@pytest.mark.parametrize("value", [[1], "x", np.arange(3)])
def test_only_frames_have_rows(value: Any) -> None:
    """Nothing else is filtered, and so nothing else is granted."""
    with pytest.raises(PolicyError):
        hosts.project(value, show=None, hide=(), where=(parse("a > 1"),))


COLUMNS = st.sampled_from(["x", "y"])
SIDES = COLUMNS | st.integers(-2, 2).map(str)
COMPARISONS = st.tuples(COLUMNS, st.sampled_from(["<", "<=", "==", "!=", ">=", ">"]), SIDES).map(" ".join)
CONDITIONS = st.recursive(
    COMPARISONS,
    lambda inner: st.one_of(
        inner.map(lambda each: f"not ({each})"),
        st.tuples(inner, st.sampled_from([" and ", " or "]), inner).map(lambda each: f"({''.join(each)})"),
    ),
    max_leaves=5,
)


@given(CONDITIONS, st.lists(st.tuples(st.integers(-2, 2), st.integers(-2, 2)), max_size=5))
def test_without_missing_values_a_filter_means_what_python_means(text: str, rows: list[tuple[int, int]]) -> None:
    """Read by Python's own grammar, the same rows are kept."""
    frame = pd.DataFrame(rows, columns=["x", "y"], dtype="int64")
    expected = [at for at, (x, y) in enumerate(rows) if eval(text, {}, {"x": x, "y": y})]
    kept = hosts.project(frame, show=None, hide=(), where=(parse(text),))
    assert kept.index.tolist() == expected
