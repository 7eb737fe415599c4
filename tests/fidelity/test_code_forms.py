"""Forms of ordinary Python around host objects print what they print natively."""

from __future__ import annotations

import ast
import asyncio
import contextlib
import io
import textwrap
import warnings
from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd
import pytest

from proxyplane import ControlPlane, Policy
from proxyplane.sessions import Session


def frame() -> pd.DataFrame:
    return pd.DataFrame({"a": [1, 2, 3], "b": [1.5, 2.5, 3.5], "c": ["x", "y", "z"]})


@pytest.fixture(scope="module")
def plane() -> Iterator[ControlPlane]:
    """A plane with the preset `open`."""
    with ControlPlane(policy=Policy.preset("open")) as opened:
        yield opened


@pytest.fixture
def session(plane: ControlPlane) -> Iterator[Session]:
    """A frame that lives on the host."""
    with plane.session("agent", objects={"df": frame()}) as opened:
        assert opened.run("import pandas as pd, numpy as np").ok
        yield opened


FORMS = {
    "abstract classes": """
        import collections.abc, datetime, numbers
        print(isinstance(np.float64(1.5), float), isinstance(np.int64(1), numbers.Integral))
        print(isinstance(pd.Timestamp("2020"), datetime.datetime), isinstance(next(df.itertuples()), tuple))
        print(isinstance(df, collections.abc.Sized), isinstance(df.a, collections.abc.Iterable))
    """,
    "match": """
        match df.shape:
            case (rows, columns): print(rows, columns)
        match df.iloc[0].to_dict():
            case {"a": first, **rest}: print(first, rest)
        match df:
            case pd.DataFrame(): print("frame")
    """,
    "walrus and chained comparison": """
        if (n := len(df)) > 2: print(n, 1 < df.a.iloc[1] < 3, [y for x in df.a if (y := x * 2) > 2])
    """,
    "own classes and decorators": """
        import functools
        class Box:
            def __init__(self, f): self.f = f
            def __call__(self, v): return self.f(v)
        def decorated(f):
            @functools.wraps(f)
            def inner(*a, **k): return f(*a, **k)
            return inner
        @decorated
        def plus(x, y=1): return x + y
        print(df.a.map(Box(lambda v: v + 1)).tolist())
        print(df.a.apply(plus, y=5).tolist(), df.a.apply(plus, args=(2,)).tolist())
    """,
    "callables of the library": """
        import functools, operator
        print(df.a.map(functools.partial(operator.add, 3)).tolist(), df.c.map(str.upper).tolist())
        print(df.a.map({1: "p"}.get).tolist(), sorted(df.a, key=lambda v: -v), df.c.apply(" {} ".format).tolist())
        print(max(df.c, key=operator.methodcaller("upper")))
    """,
    "buffers": """
        import io
        text = io.StringIO(); df.info(buf=text); print(text.getvalue())
        print(pd.read_csv(io.StringIO(df.to_csv(index=False))).equals(df))
    """,
    "singletons": """
        print((df.a >= 0).all() is True, pd.array([1, None])[1] is pd.NA, pd.to_datetime([None])[0] is pd.NaT)
    """,
    "generators": """
        def rows():
            yield {"a": 1}
            yield {"a": 2}
        print(pd.DataFrame(rows()), pd.Series(x * x for x in range(3)).tolist())
    """,
    "warnings": """
        import warnings
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            np.array([1.0]) / 0
        print([str(each.message) for each in caught])
    """,
    "errors": """
        class Mine(Exception): pass
        def boom(v): raise Mine("own")
        try: df.a.map(boom)
        except Mine as error: print("caught", error)
        try: df["zz"]
        except KeyError as error: print(repr(error))
        try: df.merge(df.drop(columns="a"), on="a")
        except KeyError as error: print(repr(error))
    """,
    "unpacking": """
        first, *rest = df.a
        print(first, rest, [*df], {**df.iloc[0].to_dict()}, "".join(name for name in df))
        lookup = {df.shape: 1, pd.Timestamp("2020"): 2, np.int64(3): 4}
        print(lookup[(3, 3)], lookup[pd.Timestamp("2020")], lookup[3])
    """,
    "await": """
        import asyncio
        async def size():
            await asyncio.sleep(0)
            return len(df)
        async def numbers():
            for number in range(3): yield number
        task = asyncio.create_task(size())
        print(await size(), await asyncio.gather(size(), size()), [n async for n in numbers()], await task)
        async with asyncio.timeout(5): print(await asyncio.to_thread(len, "abc"))
    """,
    "asyncio.run": """
        import asyncio
        async def size(): return len(df)
        print(asyncio.run(size()))
    """,
    "threads": """
        import threading
        from concurrent.futures import ThreadPoolExecutor, as_completed
        with ThreadPoolExecutor(4) as pool:
            print(list(pool.map(lambda v: v * 2, df.a)))
            print([done.result() for done in as_completed([pool.submit(len, df)])])
        seen = []
        thread = threading.Thread(target=seen.append, args=(1,)); thread.start(); thread.join()
        print(seen, thread.is_alive(), threading.current_thread().name)
    """,
}


@pytest.mark.parametrize("name", FORMS)
def test_a_form_prints_what_it_prints_natively(session: Session, name: str) -> None:
    """The output of the guest is that of the same code in this process."""
    code = textwrap.dedent(FORMS[name])
    ran = session.run(code)
    assert ran.error is None, ran.error
    assert ran.stdout == natively(code)


def natively(code: str) -> str:
    names: dict[str, Any] = {"df": frame(), "pd": pd, "np": np, "__name__": "__main__"}
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        waiting = eval(compile(code, "<native>", "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT), names)
        if waiting is not None:
            asyncio.run(waiting)
    return printed.getvalue()


def test_the_last_expression_may_await(session: Session) -> None:
    """Its value is shown, and names of the run outlive it."""
    assert session.run("import asyncio\nasync def size(): return len(df)").ok
    assert session.run("n = await size()\nawait size() + n").value == "6"
    assert session.run("n").value == "3"


def test_waiting_for_what_cannot_happen_is_an_error(session: Session) -> None:
    """It does not use up the time of the run."""
    ran = session.run("import asyncio\nawait asyncio.get_running_loop().create_future()")
    assert ran.error is not None
    assert ran.error.type == "RuntimeError"
    assert "cannot happen here" in ran.error.message
    assert session.run("await asyncio.sleep(0, 'again')").value == "'again'"


def test_an_error_in_a_coroutine_is_the_agents(session: Session) -> None:
    """Its traceback has the agent's lines, and no frame of this package."""
    ran = session.run("async def fail():\n    return 1 / 0\nawait fail()")
    assert ran.error is not None
    assert ran.error.type == "ZeroDivisionError"
    assert "return 1 / 0" in ran.error.traceback
    assert "proxyplane" not in ran.error.traceback


def test_what_a_list_in_a_series_cannot_do(session: Session) -> None:
    """A list that the agent put into a Series is the host's copy: docs/fidelity.md says so."""
    assert session.run("own = [1]; kept = pd.Series([own, [2]]); own.append(5)").ok
    assert session.run("kept.iloc[0], own").value == "([1], [1, 5])"


def test_a_guest_that_dies_leaves_what_lives_on_the_host(session: Session) -> None:
    """Variables bound to host objects come back with the next guest; what was lost is named."""
    assert session.run("kept = df.groupby('c').a.sum(); plain = [1, 2]").ok
    ran = session.run("import os; os._exit(3)")
    assert ran.error is not None
    assert session.run("kept.tolist()").value == "[1, 2, 3]"
    assert session.run("plain").error is not None


WRONG_CALLS = [
    'df["missing"]',
    "df.missing",
    'df[["a", "nope"]]',
    "df.loc[5]",
    "df.iloc[7]",
    'df.loc[:, "nope"]',
    'df.groupby("nope")',
    'df.groupby("c").agg("nosuch")',
    'df.sort_values("nope")',
    'df.drop(columns=["nope"])',
    'df.rename(colums={"a": "b"})',
    'df.head(n="3")',
    'df.merge(df, on="nope")',
    'df.merge(df, on="a", how="sideways")',
    'df.astype({"c": int})',
    "df.c + 1",
    "df.c.mean()",
    "df.a.str.upper()",
    "df.a.dt.year",
    'pd.to_datetime("not a date")',
    'pd.to_numeric(pd.Series(["1", "x"]))',
    'df.apply(lambda r: r["zz"], axis=1)',
    'df.query("nope > 1")',
    "pd.concat([])",
    "df.fillna()",
    "df.assign(5)",
    "bool(df.a > 1)",
    'df.columns = ["q"]',
    'df["new"] = [1, 2]',
    'pd.DataFrame({"a": [1, 2], "b": [1]})',
    "np.array([1, 2]) + np.array([1, 2, 3])",
    'df.a.rolling("x").mean()',
    'pd.Timestamp("2020-13-45")',
    "df.a.quantile(2)",
    "pd.nosuch",
    'df.iloc["a"]',
    'df.to_dict("bad")',
]


@pytest.mark.parametrize("code", WRONG_CALLS)
def test_a_wrong_call_fails_as_natively(session: Session, code: str) -> None:
    """Type and text of the error are pandas' own, so that the agent can act on it."""
    ran = session.run(code)
    assert ran.error is not None
    with pytest.raises(Exception) as native:
        exec(code, {"df": frame(), "pd": pd, "np": np})
    assert (ran.error.type, ran.error.message) == (type(native.value).__name__, str(native.value))


def test_a_refused_argument_says_what_is_accepted(session: Session) -> None:
    """The text names the parameter and what it takes."""
    ran = session.run("df.query('a.sum() > 1')")
    assert ran.error is not None
    assert "'expr' is a text of names" in ran.error.message
    ran = session.run("df.to_parquet(engine='evil')")
    assert ran.error is not None
    assert "'engine' is one of auto, pyarrow, fastparquet" in ran.error.message


def test_sizes_that_were_counted_from_content_stay_out_of_errors(plane: ControlPlane) -> None:
    """The length of a table that was made as long as a cell says is content; that of a granted one is not."""
    table = pd.DataFrame({"a": [4711, 1, 2]})
    with plane.session("agent", objects={"df": table}) as session:
        ran = session.run(
            "import numpy as np, pandas as pd; long = pd.DataFrame({'z': np.zeros(df.a.max())}); long['n'] = [1, 2]"
        )
        assert ran.error is not None
        assert "(2)" in ran.error.message
        assert "4711" not in ran.error.message
        ran = session.run("df['n'] = [1, 2]")
        assert ran.error is not None
        assert "(3)" in ran.error.message
