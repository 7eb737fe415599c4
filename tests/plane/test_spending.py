"""Budgets on the whole road: what is shown is charged, once, whoever shows it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from proxyplane import ControlPlane, Policy
from proxyplane.sessions import Session

from .tables import ANALYST, records, sales

LOOKS = {
    "sales.amount.head({n}).tolist()": 1,
    "sales.head({n}).to_dict('records')": 1,
    "repr(sales.head({n}))": 1,
    "list(sales.amount.head({n}))": 1,
    "for row in sales.head({n}).itertuples(): pass": 1,
    "for i, row in sales.head({n}).iterrows(): pass": 0,
    "_ = sales.units.head({n}).map(lambda x: None)": 1,
    "_ = sales.region.head({n}).map(lambda x: x.upper())": 1,
    "sales.head({n}).to_csv()": 1,
    "sales.head({n}).index.tolist()": 1,
    "sum(sales.units.head({n}))": 1,
    "[x for x in sales.units.head({n}).values]": 1,
}


def left(session: Session) -> int:
    """Rows that remain."""
    return session.plane.ledger.left("revealed_rows", session.agent, "sales")


@pytest.mark.parametrize("look", [look for look, each in LOOKS.items() if each])
def test_a_look_at_rows_is_charged_by_its_rows(analyst: Callable[..., Session], look: str):
    """Seven rows cost seven, however they are looked at."""
    session = analyst(sales(50))
    assert session.run(look.format(n=7)).error is None
    assert left(session) == 493


@given(looks=st.lists(st.tuples(st.sampled_from(sorted(LOOKS)), st.integers(0, 40)), max_size=8))
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_every_charged_row_is_in_a_record(spending: ControlPlane, looks: list[tuple[str, int]]):
    """The rows of the records and the rows that are gone from the budget are the same number."""
    before = spending.ledger.left("revealed_rows", "analyst-1", "sales")
    with spending.session("analyst-1", objects={"sales": sales(50)}) as session:
        for look, rows in looks:
            session.run(look.format(n=rows))
        found = records(session)
    charged = [entry for record in found for entry in record.get("budget") or ()]
    rows = sum((record.get("result") or {}).get("rows", 0) for record in found)
    gone = before - spending.ledger.left("revealed_rows", "analyst-1", "sales")
    assert gone == sum(entry["charged"] for entry in charged) == rows
    assert all(entry["after"] == entry["before"] + entry["charged"] for entry in charged)


@pytest.fixture
def spending() -> Iterator[ControlPlane]:
    """A plane under the analyst policy with a budget that lasts."""
    plane = ControlPlane(policy=Policy.parse(ANALYST.replace("limit = 500", "limit = 1000000")))
    yield plane
    plane.close()


def test_a_refused_look_costs_nothing(analyst: Callable[..., Session]):
    """Neither a look beyond the cap nor one beyond the budget takes a row."""
    session = analyst(sales(400))
    assert session.run("sales.amount.tolist()").error is not None
    assert session.run("list(sales.amount)").error is not None
    first = left(session)
    assert first >= 400  # an iterator had shown rows before it met the cap
    assert session.run("repr(sales.amount.head(101).tolist())").error is not None
    assert left(session) == first


def test_iterating_in_small_steps_is_one_look(analyst: Callable[..., Session]):
    """The cap of a rule is on all that one iterator shows, not on each of its chunks."""
    session = analyst(sales(400))
    result = session.run("seen = 0\nfor x in sales.amount:\n    seen += 1")
    assert result.error is not None
    assert result.error.rule == "show"
    shown = int(session.run("seen").value or "")
    assert 50 <= shown <= 500 - left(session) <= 100


def test_two_sessions_of_one_agent_share_a_budget():
    """A new session does not refill what an agent has used up; another agent has its own."""
    with ControlPlane(policy=Policy.parse(ANALYST)) as plane:
        for used in (100, 200, 300):
            with plane.session("analyst-1", objects={"sales": sales(200)}) as session:
                assert session.run("sales.amount.head(100).tolist()").ok
                assert left(session) == 500 - used
        with plane.session("analyst-2", objects={"sales": sales(200)}) as other:
            assert left(other) == 500
        with (
            plane.session("analyst-1", objects={"sales": sales(200)}) as one,
            plane.session("analyst-1", objects={"sales": sales(200)}) as two,
        ):
            assert one.run("sales.amount.head(100).tolist()").ok
            assert two.run("sales.amount.head(100).tolist()").ok
            for session in (one, two):
                result = session.run("sales.amount.head(1).tolist()")
                assert result.error is not None
                assert result.error.type == "BudgetExceeded"


def test_many_sessions_race_for_the_last_rows():
    """Twenty sessions at once ask for more than there is: exactly what there is crosses, in sum and in the records."""
    policy = Policy.parse(ANALYST.replace("limit = 500", "limit = 95"))
    with ControlPlane(policy=policy) as plane:
        sessions = [plane.session("analyst-1", objects={"sales": sales(20)}) for _ in range(20)]
        look = "got += len(sales.amount.head(2).tolist())"
        code = f"got = 0\ntry:\n    while True:\n        {look}\nexcept PermissionError:\n    pass\ngot"

        def race(session: Session) -> int:
            result = session.run(code)
            assert result.error is None
            return int(result.value or "")

        with ThreadPoolExecutor(20) as pool:
            shown = sum(pool.map(race, sessions))
        recorded = sum((r.get("result") or {}).get("rows", 0) for s in sessions for r in records(s))
    assert shown == recorded == 94


def test_what_the_agent_brought_itself_is_free(analyst: Callable[..., Session]):
    """Objects without a granted root cost nothing, however much of them is shown."""
    session = analyst(sales(5))
    assert session.run("import pandas as pd\nown = pd.Series(range(1000))\nsum(own), own.tolist()[:1]").ok
    assert left(session) == 500


def test_a_join_with_own_rows_is_charged_to_its_source(analyst: Callable[..., Session]):
    """What is made from the table and something of the agent's counts as the table's."""
    session = analyst(sales(6))
    code = "import pandas as pd\npd.DataFrame({'region': ['north']}).merge(sales, on='region').amount.tolist()"
    assert session.run(code).value == "[0.0, 30.0]"
    assert left(session) == 498


SIDEWAYS = [
    "sales.T.to_csv()",
    "sales.T.to_dict()",
    "sales.T.to_dict('list')",
    "sales.set_index('units').T.to_dict('records')",
    "sales.T.values.tolist()",
    "sales.T.to_records().tolist()",
    "next(sales.T.itertuples())",
    "sales.set_index('units').T.head(0).to_csv()",
    "sales.amount.values.reshape(1, -1).tolist()",
    "sales.groupby('region').units.apply(list).tolist()",
    "sales.pivot_table(index='region', columns='units', values='amount').to_csv()",
    "sales.region.str.cat(sep=',')",
    "sales.T.to_string()",
    "import numpy as np; np.array2string(sales.amount.values.reshape(1, -1), threshold=10**6)",
    "import pandas as pd; pd.set_option('display.max_columns', None); repr(sales.T)",
]


@pytest.mark.parametrize("look", SIDEWAYS)
def test_a_table_on_its_side_costs_its_rows(analyst: Callable[..., Session], look: str):
    """What has a thousand rows is not three rows because it was transposed: it is beyond a cap of a hundred."""
    session = analyst(sales(1000))
    result = session.run(look)
    assert result.error is not None
    assert result.error.effect == "reveal"
    assert left(session) == 500


@pytest.mark.parametrize(
    ("look", "rows"),
    [
        ("sales.head(7).assign(a=1, b=2, c=3, d=4, e=5).to_csv()", 7),
        ("sales.head(7).assign(a=1, b=2, c=3, d=4, e=5).to_dict('records')", 7),
        ("_ = [row for row in sales.head(7).assign(a=1, b=2, c=3, d=4, e=5).itertuples()]", 7),
        ("sales.head(7).to_dict()", 7),
        ("sales.head(7).values.tolist()", 7),
        ("sales.head(3).T", 3),
        ("sales.T.head(2).iloc[:, :50].to_csv()", 51),
        ("sales.describe()", 8),
        ("sales.iloc[3].to_dict()", 3),
        ("sales.columns.tolist()", 0),
    ],
)
def test_columns_that_the_agent_named_cost_nothing_more(analyst: Callable[..., Session], look: str, rows: int):
    """A look at seven rows is seven, with as many derived columns as one likes."""
    session = analyst(sales(1000))
    assert session.run(look).error is None
    assert left(session) == 500 - rows
