"""Minimum groups: no value is shown behind which, or behind whose difference from another, fewer rows stand."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pandas as pd
import pytest

from proxyplane import ControlPlane, Policy
from proxyplane.reveals import MOST, Reveals
from proxyplane.sessions import Session

POLICY = """
schema = 1
default = "deny"
[objects.df]
min_group = 10
keys = ["region", "team"]
[modules]
host = ["pandas", "numpy"]
guest = "stdlib"
[[rules]]
id = "work"
agent = "*"
object = "*"
effect = ["read", "compute", "mutate", "callback", "display", "reveal"]
decide = "allow"
"""
ROWS = 200


def table() -> pd.DataFrame:
    return pd.DataFrame(
        {
            "region": ["a"] * 90 + ["b"] * 100 + ["c"] * 7 + ["d"] * 3,
            "team": (list("xyz") * 67)[:ROWS],
            "pay": np.arange(ROWS) * 1.5,
            "id": range(ROWS),
        }
    )


@pytest.fixture
def plane() -> Iterator[ControlPlane]:
    with ControlPlane(policy=Policy.parse(POLICY)) as opened:
        yield opened


@pytest.fixture
def session(plane: ControlPlane) -> Iterator[Session]:
    with plane.session("agent", objects={"df": table()}) as opened:
        yield opened


def test_small_groups_are_folded_into_one(session: Session):
    """Groups of fewer than ten rows become one remainder group, and the agent is told."""
    result = session.run("df.groupby('region').pay.agg(['sum', 'count'])")
    assert result.value is not None
    assert "(other)   2917.5     10" in result.value
    assert "groups of fewer than 10 rows are put together" in result.stderr
    assert session.run("df.groupby('region').size().to_dict()").error is not None  # which keys there are is content
    assert session.run("df.groupby('region').size().sum()").ok is False


def test_a_remainder_that_is_too_small_is_left_out(plane: ControlPlane):
    """Three rows alone are in no group that could be shown."""
    with plane.session("agent", objects={"df": table().query("region != 'c'")}) as session:
        value = session.run("df.groupby('region').size()").value
    assert value is not None
    assert "other" not in value
    assert "d" not in value.replace("dtype", "").replace("redacted", "")


def test_sums_over_keys_equal_the_native_ones(session: Session):
    """Where enough rows stand behind a value it is the native one, through rounding and sorting too."""
    frame = table()
    assert session.run("float(df.pay.mean())").value == repr(float(frame.pay.mean()))
    assert session.run("df[df.region == 'a'].pay.sum()").value == repr(frame[frame.region == "a"].pay.sum())
    assert session.run("df.groupby('team').pay.mean().round(1).sort_values()").value == repr(
        frame.groupby("team").pay.mean().round(1).sort_values()
    )


REFUSED = """
df
df.head()
df.pay.max()
df.pay.median()
df.pay.iloc[:1].sum()
df.pay.head(3).sum()
df.pay.nlargest(1).sum()
df[df.id == 7].pay.sum()
df[df.pay > 298].pay.sum()
df.query('id == 7').pay.sum()
df.loc[df.id == 7].pay.sum()
df.loc[7:7].pay.sum()
(df.pay * (df.id == 7)).sum()
df.pay.where(df.id == 7).sum()
df.pay.where(df.id == 7).count()
df.pay.mask(df.id != 7).mean()
df[df.region == 'c'].pay.sum()
df.groupby('id').pay.sum()
df.groupby(df.id).pay.sum()
df.groupby(lambda i: i).pay.sum()
df.groupby(['region', 'id']).pay.sum()
df.groupby('region').pay.max()
df.groupby('region').pay.first()
df.groupby('region').pay.nth(0)
df.groupby('region').head(1)
df.groupby('region').pay.agg('max')
df.groupby('region').pay.agg(lambda s: s.iloc[0])
df.groupby('region').pay.apply(lambda s: s.iloc[0])
df.groupby('region').agg(m=('pay', 'max'))
df.groupby('region').agg({'pay': ['sum', 'max']})
df.groupby('region').get_group('c')
df.groupby('region').groups
df.groupby('region').indices
df.groupby('region').ngroup()
df.groupby('region').pay.cumsum()
df.groupby('region').pay.transform('sum')
df.groupby('region').rolling(1).pay.sum()
df.region.unique()
df.region.value_counts()
df.pivot_table(index='id', values='pay', aggfunc='sum')
df[df.region == 'c'].shape
len(df[df.region == 'c'])
df[df.region == 'c'].size
df[df.id == 7].empty
(df.region == 'c').sum()
df.pay.sum() > 3
bool(df.pay.iloc[0] == 0)
[x for x in df.pay]
df.apply(lambda r: r.pay, axis=1)
df.pay.map(print)
df.describe()
df.pay.quantile(0.5)
df.pay.to_dict()
f'{df.pay.iloc[0]}'
df['pay'] = df.pay * (df.id == 7); df.pay.sum()
df['region'] = df.id.astype(str); df.groupby('region').pay.sum()
df.columns = ['id', 'team', 'pay', 'region']; df.groupby('region').pay.sum()
df.loc[df.id != 7, 'pay'] = 0; df.pay.sum()
df.rename(columns={'id': 'region', 'region': 'id'}).groupby('region').pay.sum()
gb = df.groupby('region'); df['pay'] = df.pay * (df.id == 7); gb.pay.sum()
s = df.pay; s[1:] = 0; s.sum()
a = df.copy(); a.loc[1:, 'pay'] = 0; a.groupby('team').pay.sum()
df.sample(1).pay.sum()
df.drop_duplicates('team').pay.sum()
df.pay.sum() - df[df.region != 'd'].pay.sum()
""".strip().splitlines()


@pytest.mark.parametrize("code", REFUSED)
def test_what_shows_fewer_rows_is_refused(session: Session, code: str):
    """Single rows, small groups, weights that pick a row, and changed columns: none of it is shown."""
    result = session.run(code.replace("; ", "\n"))
    assert result.error is not None, result.value
    assert result.value is None


def test_two_aggregates_that_differ_by_few_rows_are_not_both_shown(session: Session):
    """The differencing attack: all of them, then all but three."""
    assert session.run("df.pay.sum()").ok
    refused = session.run("df[df.region != 'd'].pay.sum()").error
    assert refused is not None
    assert "differencing" in refused.message
    assert session.run("df[df.region != 'a'].pay.sum()").ok


def test_differencing_is_seen_across_sessions(plane: ControlPlane):
    """A second session of the same agent does not forget what the first has seen; another agent has its own."""
    with plane.session("agent", objects={"df": table()}) as session:
        assert session.run("df.pay.sum()").ok
    with plane.session("agent", objects={"df": table()}) as session:
        assert not session.run("df[df.region != 'd'].pay.sum()").ok
    with plane.session("another", objects={"df": table()}) as session:
        assert session.run("df[df.region != 'd'].pay.sum()").ok


def test_what_one_session_changes_is_not_taken_for_the_source(plane: ControlPlane):
    """The agent works on a copy: a column that it has overwritten is not what the next session is granted."""
    frame = table()
    for _ in range(2):
        with plane.session("agent", objects={"df": frame}) as session:
            session.run("df['pay'] = df.pay * (df.id == 7)")
    with plane.session("agent", objects={"df": frame}) as session:
        assert session.run("df.pay.sum()").value == repr(table().pay.sum())


def test_missing_cells_are_no_rows(plane: ControlPlane):
    """A mean of a hundred rows, of which one has a value, is that value."""
    frame = table()
    frame.loc[frame.index != 7, "pay"] = None
    with plane.session("agent", objects={"df": frame}) as session:
        for code in ("df.pay.mean()", "df.groupby('region').pay.sum()", "df.groupby('team').agg({'pay': 'mean'})"):
            assert session.run(code).error is not None, code
        assert session.run("df.groupby('team').size()").ok
        assert session.run("df.groupby('team').id.sum()").ok


def test_more_aggregates_than_can_be_kept_apart_are_not_shown():
    """The memory of what was shown is bounded, and full it refuses what is new."""
    seen = Reveals()
    assert [seen.admit("a", "df", (number << 20,), 0) for number in range(MOST)] == [None] * MOST
    assert seen.admit("a", "df", (MOST << 20,), 0) == 0
    assert seen.admit("a", "df", (5 << 20,), 0) is None
    assert seen.admit("b", "df", (MOST << 20,), 0) is None


def test_schema_stays_readable(session: Session):
    """Names, types and the size of the whole table are no content."""
    assert session.run("df.shape, list(df.columns), str(df.dtypes['pay']), len(df)").value == (
        "((200, 4), ['region', 'team', 'pay', 'id'], 'float64', 200)"
    )
