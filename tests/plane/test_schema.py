"""Schema is free, content is not: labels that came out of the data count as content wherever they show."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pandas as pd
import pytest

from proxyplane.sessions import Session

from .tables import ANALYST, records

CLOSED = ANALYST.replace('when   = { rows = "<= 100" }\ncharge = { revealed_rows = "rows" }\n', "").replace(
    'effect = ["reveal"]\ndecide = "allow"', 'effect = ["reveal"]\ndecide = "deny"'
)

FREE = [
    "list(sales.columns)",
    "sales.columns.tolist()",
    "sales.shape, len(sales), sales.size, sales.ndim, sales.empty",
    "[c for c in sales]",
    "'amount' in sales, 'nope' in sales.columns",
    "sales.amount.dtype.name",
    "sales.keys().tolist()",
    "sales.amount.name",
    "sales.index.names",
    "dir(sales)[:1] and None",
    "sales.assign(doubled=sales.amount * 2).columns.tolist()",
    "sales.rename(columns={'amount': 'euros'}).columns.tolist()",
    "sales.groupby('region').amount.sum().name",
    "sales[sales.amount > 20].shape",
    "sales.set_index('region').index.name",
    "sales[['units', 'amount']].columns.tolist()",
]

CONTENT = [
    "list(sales.set_index('city').T.columns)",
    "list(sales.set_index('city').T)",
    "sales.set_index('city').T.columns.tolist()",
    "[c for c in sales.set_index('city').T.columns]",
    "sales.set_index('city').T.columns[0]",
    "sales.set_index('city').T.keys().tolist()",
    "repr(sales.set_index('city').T.columns)",
    "sales.pivot(index='units', columns='city', values='amount').columns.tolist()",
    "import pandas as pd; pd.get_dummies(sales.city).columns.tolist()",
    "sales.city.str.get_dummies().columns.tolist()",
    "sales.city.value_counts().to_frame().T.columns.tolist()",
    "sales.groupby('city').amount.sum().to_frame().T.columns.tolist()",
    "dir(sales.set_index('city').T)",
    "dir(sales.set_index('city').amount)",
    "sales.set_index('city').T.info()",
    "sales.set_index('city').T.to_records().dtype.names",
    "sales.set_index('city').T.dtypes.index.tolist()",
    "str(sales.city.astype('category').dtype)",
    "sales.city.astype('category').cat.categories.tolist()",
    "sales.set_index('city').iloc[0].name",
    "sales.set_index('units').iloc[3].name",
    "'Zurichcanary' in sales.set_index('city').T",
    "sales.set_index('units').T.columns.tolist()",
]


def table() -> pd.DataFrame:
    """Six cities, each once."""
    cities = ["Aarauxx", "Bernxx", "Churxx", "Davosxx", "Erlenxx", "Zurichxx"]
    frame = pd.DataFrame({"city": cities, "region": ["n", "s"] * 3, "amount": [10.0 * n for n in range(6)]})
    return frame.assign(units=range(500, 506), ssn="hidden")


def used(session: Session) -> int:
    """Rows of the budget that are gone."""
    return 500 - session.plane.ledger.left("revealed_rows", "analyst-1", "sales")


@pytest.fixture
def closed(analyst: Callable[..., Session]) -> Session:
    """A session whose policy shows nothing."""
    return analyst(table(), CLOSED)


@pytest.mark.parametrize("code", FREE)
def test_schema_is_free(closed: Session, code: str):
    """It crosses under a policy that shows nothing, as an effect `read`."""
    result = closed.run(code)
    assert result.error is None
    assert all("reveal" not in record["effects"]["declared"] for record in records(closed))


def test_schema_costs_nothing(analyst: Callable[..., Session]):
    """No row of a budget goes for it."""
    session = analyst(table())
    for code in FREE:
        assert session.run(code).ok
    assert used(session) == 0


@pytest.mark.parametrize("code", CONTENT)
def test_labels_out_of_the_data_are_refused_where_nothing_may_be_shown(closed: Session, code: str):
    """Neither the labels nor whether one of them exists; the refusal speaks of `reveal`."""
    result = closed.run(code)
    assert result.error is not None
    assert result.error.effect == "reveal"
    assert "xx" not in result.stdout + result.error.message
    assert "505" not in result.error.message


@pytest.mark.parametrize("code", CONTENT)
def test_labels_out_of_the_data_are_charged(analyst: Callable[..., Session], code: str):
    """Where they may be shown they cost rows, as the same cells would."""
    session = analyst(table())
    native: dict[str, Any] = {"sales": table().drop(columns="ssn")}
    result = session.run(code)
    assert result.error is None
    assert used(session) > 0
    shown = result.value
    if shown is not None and "import" not in code and not code.startswith("dir"):
        assert shown == repr(eval(code, native))


def test_a_label_that_the_agent_gave_is_the_agents(closed: Session):
    """Columns that the agent named itself stay schema, though the table holds cells of the same names."""
    code = "sales.columns = ['Bernxx', 'b', 'c', 'd']\nlist(sales.columns)"
    assert closed.run(code).value == "['Bernxx', 'b', 'c', 'd']"


def test_info_prints_labels_and_is_charged_for_them(analyst: Callable[..., Session]):
    """`info` of a table is schema; of a table with labels out of the data it is charged by its lines."""
    session = analyst(table())
    assert session.run("sales.info()").error is None
    assert used(session) == 0
    assert "Bernxx" in session.run("sales.set_index('city').T.info()").stdout
    assert used(session) >= 6
