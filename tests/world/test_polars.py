"""The adapter for polars: how much a value holds, how much its repr shows, and projections."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxyplane import hosts
from proxyplane.errors import PolicyError

pl = pytest.importorskip("polars")

FRAME = {"a": [1, 2, 3], "b": ["x", "y", None], "ssn": ["s1", "s2", "s3"]}


def test_facts_count_what_cells_hold() -> None:
    """Rows and cells of a frame; lists, structs and objects count with what is in them."""
    assert hosts.facts(pl.DataFrame(FRAME))[:2] == (3, 9)
    assert hosts.facts(pl.Series([1, 2]))[:2] == (2, 2)
    packed = pl.DataFrame(FRAME).select(pl.all().implode())
    assert packed.height == 1
    assert hosts.facts(packed)[:2] == (3, 9)
    assert (hosts.facts(pl.DataFrame({"a": [[[1, 2], [3]]]})).rows or 0) == 3
    assert (hosts.facts(pl.Series([{"x": [1, 2, 3], "y": 1}])).rows or 0) >= 3
    assert (hosts.facts(pl.Series([[1, 2, 3]], dtype=pl.Object)).rows or 0) >= 3
    assert hosts.facts(pl.LazyFrame(FRAME)).rows is None


@given(st.lists(st.lists(st.integers(-9, 9), max_size=5), min_size=1, max_size=30))
def test_facts_never_count_too_little(rows: list[list[int]]) -> None:
    """However values are packed into lists, each of them is counted."""
    frame = pl.DataFrame({"v": rows}, schema={"v": pl.List(pl.Int64)})
    leaves = sum(len(row) for row in rows)
    for value in (frame, frame.get_column("v"), frame.select(pl.col("v").implode()), frame.select(pl.struct("v"))):
        assert (hosts.facts(value).cells or 0) >= leaves


def test_a_long_repr_shows_ten_rows() -> None:
    """A frame of a thousand rows shows ten of them."""
    long = pl.DataFrame({"a": range(1000)})
    assert hosts.shown(long).rows == 10
    assert hosts.shown(long.get_column("a")).rows == 10
    assert hosts.shown(long.lazy()).rows == 1
    assert str(long).count("\n") < 20


def test_schema_and_labels() -> None:
    """Names of columns and of struct fields and categories of enums are labels; `describe` names no category."""
    frame = pl.DataFrame({"e": ["u"], "s": [{"f": 1}]}, schema_overrides={"e": pl.Enum(["u", "w"])})
    assert set(hosts.labels(frame) or ()) == {"e", "s", "u", "w", "f"}
    assert "w" not in repr(hosts.schema(frame))
    assert hosts.column_names(frame.lazy()) == ("e", "s")


@pytest.mark.parametrize("lazy", [False, True])
def test_a_projection_holds_only_what_may_be_seen(lazy: bool) -> None:
    """Hidden columns are gone, and what is left is equal to the original."""
    frame: Any = pl.DataFrame(FRAME)
    given_: Any = frame.lazy() if lazy else frame
    for options in ({"show": ("a", "b"), "hide": ()}, {"show": None, "hide": ("ssn",)}):
        found = hosts.project(given_, **options)
        assert type(found) is type(given_)
        assert found.lazy().collect().equals(frame.drop("ssn"))


def test_a_projection_shares_no_buffer() -> None:
    """A slice's parent, and what a null hides, are not in the rebuilt columns."""
    parent = pl.Series("a", ["a long text that is secret and not inlined", "another such text that is visible here"])
    found = hosts.project(pl.DataFrame([parent.slice(1), pl.Series("h", [1])]), show=("a",), hide=())
    buffers = found.get_column("a").to_arrow().buffers()
    assert all(b"secret" not in buffer.to_pybytes() for buffer in buffers if buffer is not None)


@pytest.mark.parametrize(
    ("frame", "options"),
    [
        (pl.DataFrame(FRAME), {"show": ("nope",), "hide": ()}),
        (pl.DataFrame(FRAME).lazy(), {"show": None, "hide": ("nope",)}),
        (pl.Series([1]), {"show": ("a",), "hide": ()}),
        (pl.DataFrame({"a": [1], "c": pl.Series(["x"], dtype=pl.Categorical)}), {"show": ("a",), "hide": ()}),
        (pl.DataFrame({"a": [1], "o": pl.Series([object()], dtype=pl.Object)}), {"show": ("o",), "hide": ()}),
    ],
)
def test_what_cannot_be_projected_is_a_policy_error(frame: Any, options: dict[str, Any]) -> None:
    """Names that match nothing, hidden categoricals and Python objects are refused when the object is granted."""
    with pytest.raises(PolicyError):
        hosts.project(frame, **options)
