"""The Python examples of the pages about sessions and the membrane run as printed; each asserts what it says."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from proxyplane import ControlPlane, Policy
from proxyplane.transport.wire import Limits

DOCS = Path(__file__).parents[2] / "docs"
EXAMPLES = [
    pytest.param(block, id=f"{name}-{at}")
    for name in ("sessions.md", "membrane.md", "approvals.md", "redaction.md")
    for at, block in enumerate(
        re.findall(r"^```python\n(.*?)^```", (DOCS / name).read_text(encoding="utf-8"), flags=re.DOTALL | re.MULTILINE)
    )
]


@pytest.mark.parametrize("example", EXAMPLES)
def test_the_example_does_what_it_says(example: str):
    """Copied into a file and run, its assertions hold."""
    pytest.importorskip("pandas", reason="the examples work on a DataFrame")
    assert example.count("assert ") >= 1
    exec(compile(example, "page.md", "exec"), {})


@pytest.mark.parametrize(
    ("code", "outcome"),
    [
        ("import pandas as pd\nclass Mine(pd.DataFrame): pass", "TypeError"),
        ("import pickle; pickle.dumps(df)", "TypeError"),
        ("import copy; copy.deepcopy(df).equals(df)", "True"),
        ("df.values.base", "AttributeError"),
        ("df.values.ctypes", "AttributeError"),
        ("df.values.data", "AttributeError"),
        ("df.values.__array_interface__", "DeniedAttribute"),
        ("import numpy as np; np.empty(2).tolist()", "[0.0, 0.0]"),
        ("list.append(box, 9); 9 in box", "False"),
        ("list.__getitem__(box, 0)", "TypeError"),
        ("box.append(3); box[2], [0] + box", "(3, [0, 1, 2, 3])"),
        ("import pandas as pd; pd.DataFrame.mine = len", "Denied"),
        ("import threading; t = threading.Thread(target=box.append, args=(3,)); t.start(); box", "[1, 2, 3]"),
        ("class Id(str): pass\nbox.extend([Id('a'), {1: 2}.keys(), iter('xy')]); box", "[1, 2, 'a', [1], ['x', 'y']]"),
        ("import asyncio; await asyncio.sleep(0, df.amount.sum())", "np.int64(3)"),
        ("import asyncio; await asyncio.Event().wait()", "RuntimeError"),
        ("import subprocess; subprocess.run(['true'])", "PermissionError"),
        ("import multiprocessing; multiprocessing.Process(target=print).start()", "PermissionError"),
        ("import pandas as pd; pd.read_csv.__code__", "AttributeError"),
        ("import pandas as pd; pd.read_csv.__globals__", "AttributeError"),
    ],
)
def test_what_cannot_be_as_natively_is_as_the_page_says(code: str, outcome: str):
    """Each row of the table of differences ends as it is written there."""
    pandas = pytest.importorskip("pandas", reason="the rows speak of pandas")
    objects = {"df": pandas.DataFrame({"amount": [1, 2]}), "box": [1, 2]}
    with ControlPlane(policy=Policy.preset("open")) as plane, plane.session("agent", objects=objects) as session:
        result = session.run(code)
    assert (result.error.type if result.error is not None else result.value) == outcome


def test_the_pages_have_examples():
    """Nobody has lost them."""
    assert len(EXAMPLES) >= 5


def test_the_limits_are_those_of_the_code():
    """The table of limits in the membrane's page has the defaults of `Limits`, and leaves none out."""
    rows = re.findall(
        r"^\| [^|]+ \| ([0-9,]+)( MiB)? \|", (DOCS / "membrane.md").read_text(encoding="utf-8"), re.MULTILINE
    )
    numbers = [int(number.replace(",", "")) << (20 if unit else 0) for number, unit in rows]
    assert sorted(numbers) == sorted(Limits())
