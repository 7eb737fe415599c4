"""What comes into an object comes into all that share its memory, and so does where it came from."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from proxyplane import ControlPlane, Policy
from proxyplane.hosts.shared import may_change, may_show

np = pytest.importorskip("numpy")
pd = pytest.importorskip("pandas")
pl = pytest.importorskip("polars")
pa = pytest.importorskip("pyarrow")

POLICY = """
schema = 1
[modules]
host = ["pandas", "numpy", "polars", "pyarrow"]
[[rules]]
id = "work"
agent = "*"
object = "*"
effect = ["read", "compute", "mutate", "callback", "display"]
decide = "allow"
[[rules]]
id = "see"
agent = "*"
object = "mine"
effect = ["reveal"]
decide = "allow"
"""
SECRET = 424242.0

OVER_AN_ARRAY = (
    """
a.reshape(3, 1)|a[:2]|a.T|a.view()|np.matrix(a, copy=False)|np.ma.array(a, copy=False)
np.broadcast_to(a, (2, 3))|a.flat|np.split(a, 3)[0]|np.lib.stride_tricks.sliding_window_view(a, 2)
np.ndenumerate(a)|iter(a)|pd.Series(a, copy=False)|pd.DataFrame(a, copy=False)
pd.DataFrame({'x': a}, copy=False)|pd.Index(a, copy=False)|pd.array(a, copy=False)|pl.Series(a)
pd.arrays.NumpyExtensionArray(a)|pd.Series(a, copy=False).array|pl.from_numpy(a)|pl.DataFrame({'x': a})
pl.lit(pl.Series(a))|pl.DataFrame({'x': a}).lazy()|pa.array(a)|pa.table({'x': a})
pa.chunked_array([pa.array(a)])|pa.table({'x': a}).to_batches()[0]|pd.Series(a, copy=False).rolling(1)
pd.Series(a, copy=False).groupby([0, 0, 1])|pd.Series([a, a], dtype=object)
""".strip()
    .replace("\n", "|")
    .split("|")
)
OVER_A_FRAME = (
    """
pl.from_pandas(f)|pa.table(f)|pl.DataFrame(f)|f.x.values|f['x'].to_numpy()|f.values|np.asarray(f.x)|f.x.array|pl.Series(f.x)
pa.array(f.x)|f.groupby('x')|f.rolling(1)|f.copy(deep=False)|f.T|f.x|f.loc
""".strip()
    .replace("\n", "|")
    .split("|")
)
WRITES = [
    "f.iloc[:, 0] = theirs.x", "f.iloc[:] = theirs", "f.loc[0, 'x'] = theirs.x.sum() / 3", "f['x'] = theirs.x",
    "f.x.array[:] = theirs.x.array", "f.update(theirs)", "f.at[0, 'x'] = theirs.x.sum() / 3",
]  # fmt: skip
SHOW = "\nprint(repr(b))\nfor item in b: print(item)\nprint(b.sum())\nprint(b.collect())\nprint(b.get_group(0))"


@pytest.fixture(scope="module")
def plane() -> Iterator[ControlPlane]:
    """What came from `secret` may be computed with and not seen."""
    with ControlPlane(policy=Policy.parse(POLICY)) as plane:
        yield plane


def shown(plane: ControlPlane, code: str) -> str:
    """All that a session gets to see of `b`, each way of looking tried."""
    objects = {"secret": np.full(3, SECRET), "theirs": pd.DataFrame({"x": np.full(3, SECRET)}), "mine": np.zeros(3)}
    with plane.session("agent", objects=objects) as session:
        first = session.run(f"import numpy as np, pandas as pd, polars as pl, pyarrow as pa\n{code}")
        assert first.error is None, first.error
        found = [session.run(look) for look in SHOW.strip().split("\n")]
    return "".join(f"{each.stdout}{each.stderr}{each.value}{each.error}" for each in found)


@pytest.mark.parametrize("made", OVER_AN_ARRAY)
def test_a_view_of_an_array_shows_nothing_that_the_array_may_not(plane: ControlPlane, made: str) -> None:
    """Whatever lies over the memory of an array takes on the lineage of what is written there."""
    assert "424242" not in shown(plane, f"a = np.zeros(3)\nb = {made}\nnp.copyto(a, secret)")


@pytest.mark.parametrize("write", WRITES)
@pytest.mark.parametrize("made", OVER_A_FRAME)
def test_what_was_made_of_a_frame_shows_nothing_that_the_frame_may_not(
    plane: ControlPlane, made: str, write: str
) -> None:
    """Conversions without a copy see later writes, also those that go through an indexer or an array."""
    assert "424242" not in shown(plane, f"f = pd.DataFrame({{'x': [0.0, 1.0, 2.0]}})\nb = {made}\n{write}")


def test_what_shares_nothing_stays_visible(plane: ControlPlane) -> None:
    """A copy, and what has nothing to do with it, is as visible as before."""
    for made in ("a.copy()", "np.ones(3) + 7", "pd.Series(a) + 0", "pl.Series([8.0])", "pd.Series(['x', '8.0'])"):
        seen = shown(plane, f"a = np.ones(3) + 7\nb = {made}\nnp.copyto(a, secret)")
        assert "8.0" in seen
        assert "424242" not in seen


def test_memory_is_compared_by_address() -> None:
    """Sharing is yes, apart is no, and what nothing can be written into shows nothing of anything."""
    array = np.arange(6.0)
    frame = pd.DataFrame({"x": array}, copy=False)
    shares = [array[2:], frame, frame.x, pl.Series(array), pa.array(array), [array], {"a": [frame]}, (x for x in array)]
    apart = [
        array.copy(),
        frame + 1,
        pl.Series([1.0]),
        pa.array([1.0]),
        ["text", 1],
        {},
        np.float64(1),
        np.add,
        "x",
        None,
    ]
    assert all(may_show(array, other) for other in shares)
    assert not any(may_show(array, other) for other in apart)
    assert not may_show(array[:2], array[2:])
    inner: list[Any] = []
    assert may_show(inner, {"a": [inner]})
    assert not may_show(inner, {"a": [[]]})
    assert [may_change(value) for value in (array, inner, np, np.add, len, 1, "x", np.float64(1))] == [True, True] + [
        False
    ] * 6
