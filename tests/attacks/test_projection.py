"""No public member of a projected object leads to a hidden column or row, whatever the frame was built from."""

from __future__ import annotations

import gc
import io
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest

from proxyplane import ControlPlane, Policy

CANARY = "CANARYSECRET"

# The agent's calls, made in every way, raise warnings in the host; they are not errors there.
pytestmark = pytest.mark.filterwarnings("ignore")


def from_dict() -> pd.DataFrame:
    return pd.DataFrame({"name": list("abc"), "n": [1, 2, 3], "ssn": [f"{CANARY}{n}" for n in range(3)]})


def from_array() -> pd.DataFrame:
    block = np.array([["a", f"{CANARY}0"], ["b", f"{CANARY}1"], ["c", f"{CANARY}2"]], dtype=object)
    return pd.DataFrame(block, columns=["name", "ssn"])


def from_csv() -> pd.DataFrame:
    return pd.read_csv(io.StringIO("name,n,ssn\n" + "".join(f"{c},{n},{CANARY}{n}\n" for n, c in enumerate("abc"))))


def with_categories() -> pd.DataFrame:
    frame = from_dict()
    frame["ssn"] = frame["ssn"].astype("category")
    frame["kind"] = pd.Categorical(["x", "y", "x"], categories=["x", "y"])
    return frame


def with_multiindex() -> pd.DataFrame:
    frame = from_dict()
    frame.index = pd.MultiIndex.from_tuples([("p", 1), ("q", 2), ("r", 3)], names=["k", "m"])
    return frame


def with_arrow() -> pd.DataFrame:
    frame = from_dict()
    for column in ("name", "ssn"):
        frame[column] = frame[column].astype("string[pyarrow]")
    return frame


def after_a_filter() -> pd.DataFrame:
    """Rows that were filtered away before the grant are hidden too: nobody granted them."""
    frame = pd.concat([from_dict(), pd.DataFrame({"name": [f"{CANARY}row"], "n": [9], "ssn": ["z"]})])
    frame["kind"] = pd.Categorical(["x", "y", "x", f"{CANARY}category"])
    return frame[frame.n < 9]


BUILT = [from_dict, from_array, from_csv, with_categories, with_multiindex, with_arrow, after_a_filter]

POLICY = """
schema = 1
[objects.df]
hide = ["ssn"]
[modules]
host = ["pandas", "numpy"]
[[rules]]
id = "everything"
agent = "*"
object = "*"
effect = ["read", "compute", "mutate", "reveal", "callback", "display"]
decide = "allow"
"""

EVERYTHING = """
import pandas as pd, numpy as np
seen, found = set(), []
def look(x, depth, path):
    for show in (repr, str):
        try: found.append((path, show(x)))
        except Exception as e: found.append((path, str(e)))
    if depth == 0: return
    for name in dir(x):
        if name.startswith("_") or (type(x), name) in seen: continue
        seen.add((type(x), name))
        try: member = getattr(x, name)
        except Exception as e: found.append((path + "." + name, str(e))); continue
        if callable(member):
            for args in ((), (0,), ("name",), ("ssn",), ("n",)):
                try: result = member(*args)
                except Exception as e: found.append((path + "." + name, repr(e) + str(e))); continue
                look(result, depth - 1, path + "." + name + "()")
        else:
            look(member, depth - 1, path + "." + name)
look(df, 2, "df")
for column in list(df.columns):
    look(df[column], 2, "df." + column)
look(df.index, 1, "df.index")
look(df.to_numpy(), 1, "array")
hits = [path for path, text in found if "CANARYSECRET" in text]
print(len(found), hits[:10])
"""


@pytest.mark.timeout(300)
@pytest.mark.parametrize("build", BUILT, ids=lambda build: build.__name__)
def test_no_member_leads_to_what_is_hidden(build: Callable[[], pd.DataFrame]) -> None:
    """A walk over every member that `dir` offers, two levels deep, called in several ways, meets no canary."""
    frame = build()
    with ControlPlane(policy=Policy.parse(POLICY)) as plane, plane.session("agent", objects={"df": frame}) as session:
        result = session.run(EVERYTHING, timeout=200)
        assert result.ok, result.error
        count, hits = result.stdout.strip().splitlines()[-1].split(" ", 1)
        assert int(count) > 300
        assert hits.strip() == "[]"
        assert CANARY not in result.stdout + result.stderr
        # And on the host: nothing that the session's table reaches holds a canary or the original.
        assert all(CANARY not in text for text in reachable_texts(session.table))


def reachable_texts(table: Any) -> list[str]:
    """Texts and buffers that can be reached from the objects of a table by ownership."""
    stack: list[Any] = [held.value for held in table if isinstance(held.value, pd.DataFrame | pd.Series | pd.Index)]
    seen: set[int] = set()
    found: list[str] = []
    while stack and len(seen) < 200_000:
        value = stack.pop()
        if id(value) in seen or isinstance(value, type) or callable(value):
            continue
        seen.add(id(value))
        if isinstance(value, str):
            found.append(value)
        elif isinstance(value, np.ndarray):
            stack.extend(value.ravel().tolist() if value.dtype == object else [])
            if value.base is not None:
                stack.append(value.base)
            if value.dtype != object and value.flags.c_contiguous:
                found.append(bytes(memoryview(value).cast("B")).decode("latin-1") if value.size else "")
        elif type(value).__module__.startswith("pyarrow"):
            for chunk in getattr(value, "chunks", []):
                found.extend(bytes(buffer).decode("latin-1") for buffer in chunk.buffers() if buffer is not None)
        elif type(value).__module__.startswith(("pandas", "builtins")):
            stack.extend(gc.get_referents(value))
    return found


def test_containers_and_aliases_lead_to_the_projection() -> None:
    """A projection belongs to the object: a list that holds it, or a second name of it, gives the projection too."""
    frame = from_dict()
    objects = {"df": frame, "again": frame, "box": {"inside": [frame]}}
    with ControlPlane(policy=Policy.parse(POLICY)) as plane, plane.session("agent", objects=objects) as session:
        code = "again is df, box['inside'][0] is df, list(again.columns), 'ssn' in box['inside'][0]"
        assert session.run(code).value == "(True, True, ['name', 'n'], False)"


def test_the_original_stays_as_it_was() -> None:
    """A projection is a fork: what the agent changes on it does not reach the base."""
    frame = from_dict()
    before = frame.copy()
    with (
        ControlPlane(policy=Policy.parse(POLICY)) as plane,
        plane.session("agent", objects={"df": frame}) as session,
    ):
        assert session.run("df['n'] = 0\ndf.loc[0, 'name'] = 'changed'\ndf.drop(columns=['n'], inplace=True)").ok
    pd.testing.assert_frame_equal(frame, before)
