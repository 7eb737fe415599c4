"""Texts of errors hold nothing of the data, also where the data came along as an argument by handle."""

from __future__ import annotations

import pytest

from proxyplane import ControlPlane, Policy

SECRET = "CANARYVALUE77"
POLICY = """
schema = 1
[modules]
host = ["pandas", "numpy"]
[[rules]]
id = "look"
agent = "*"
object = "*"
effect = ["read", "compute", "callback", "mutate"]
decide = "allow"
"""


@pytest.mark.parametrize(
    "code",
    [
        "pd.to_numeric(rows)",
        "pd.to_datetime(rows)",
        "pd.Series(rows).astype(int)",
        "pd.Series([1, 2], index=[0, 1]).loc[rows]",
        "pd.DataFrame({'a': [1]})[rows]",
        "pd.DataFrame({'a': [1]}).drop(columns=rows)",
        "pd.DataFrame({'a': [1]}).set_index(rows)",
        "pd.DataFrame({'a': [1]}).sort_values(rows)",
        "pd.DataFrame({'a': [1]}).astype({'a': rows})",
        "np.array(rows, dtype=float)",
        "rows.index('absent')",
        "pd.Series(rows).get(rows)",
        "pd.DataFrame(columns=rows).columns[0]",
        "list(pd.DataFrame(columns=rows).columns)",
        "pd.DataFrame(columns=rows).info()",
        "pd.DataFrame(columns=rows).dtypes",
        "rows",
        "repr(rows)",
        "rows[0]",
        "list(rows)",
        "rows[0] == 'x'",
        "'x' in rows",
        "len(rows), [x for x in rows]",
        "pd.Series(rows).map(lambda x: print(x))",
        "bool(rows == ['x'])",
        "hash(rows[0])",
        "sorted(rows)",
        "f'{rows}'",
        "{rows[0]: 1}",
    ],
)
def test_contents_of_a_granted_list_stay_in_the_host(code: str) -> None:
    """A list granted without `reveal` is used by handle; neither errors, labels nor any look show its texts."""
    rows = [SECRET, SECRET + "b"]
    with ControlPlane(policy=Policy.parse(POLICY)) as plane, plane.session("a", objects={"rows": rows}) as session:
        result = session.run(f"import pandas as pd, numpy as np\nr = {code}\nprint(r)")
        again = session.run("import traceback\ntry:\n    print(r)\nexcept Exception as e:\n    print(repr(e), e.args)")
    seen = result.stdout + result.stderr + (result.value or "") + repr(result.error) + again.stdout + repr(again.error)
    assert SECRET not in seen
