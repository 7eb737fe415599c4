"""Host code that calls the agent's functions from several threads at once."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from proxyplane import ControlPlane, Policy
from proxyplane.catalog import Catalog
from proxyplane.sessions import Session

from .tables import records, sales

LINES = """
library = "builtins"
versions = ">=3.11"

[type."{module}.Crew"]
each = "method compute fresh"
frames = "method compute fresh"
alone = "method compute fresh"
later = "method compute"
"""

CLOSED = """
schema = 1
[modules]
host = ["pandas"]
[[rules]]
id = "work"
agent = "*"
object = "*"
effect = ["read", "compute", "callback", "mutate"]
decide = "allow"
"""


class Crew:
    """A host library that works with a pool, as polars does."""

    def __init__(self, frame: pd.DataFrame) -> None:
        self.frame = frame
        self.kept: Any = None

    def each(self, function: Any, threads: int) -> list[Any]:
        """The function of each number of units, all at once."""
        start = threading.Barrier(threads)

        def call(value: int) -> Any:
            start.wait(10)
            return function(value)

        with ThreadPoolExecutor(threads) as pool:
            return list(pool.map(call, self.frame["units"].tolist()))

    def frames(self, function: Any) -> list[Any]:
        """The function of objects of different types, which the guest has not met yet."""
        frame = self.frame
        met = [frame["units"], frame.index, frame.groupby("region"), frame.iloc, frame["region"].str, frame[["units"]]]
        start = threading.Barrier(len(met))

        def call(value: Any) -> Any:
            start.wait(10)
            return function(value)

        with ThreadPoolExecutor(len(met)) as pool:
            return list(pool.map(call, met))

    def alone(self, function: Any) -> list[Any]:
        """One call, on another thread than the one that asked."""
        with ThreadPoolExecutor(1) as pool:
            return [pool.submit(function, self.frame["units"].iloc[0].item()).result()]

    def later(self, function: Any) -> None:
        """Keep the function for a time when nothing is performed."""
        self.kept = function


@pytest.fixture(scope="module")
def catalog(tmp_path_factory: pytest.TempPathFactory) -> Catalog:
    """The packaged catalogs, and one for `Crew`."""
    file: Path = tmp_path_factory.mktemp("catalog") / "crew.toml"
    file.write_text(LINES.format(module=Crew.__module__))
    return Catalog.load(extra=[file])


@pytest.fixture
def crew(catalog: Catalog) -> Iterator[tuple[Crew, Session]]:
    """A crew over six rows, granted under `open`."""
    made = Crew(sales(6))
    with (
        ControlPlane(policy=Policy.preset("open"), catalog=catalog) as plane,
        plane.session("agent", objects={"crew": made, "df": made.frame}) as session,
    ):
        yield made, session


def test_calls_of_many_threads_are_answered_each(crew: tuple[Crew, Session]):
    """Six threads call one function of the agent at the same moment; each gets the answer to its own question."""
    result = crew[1].run("seen = []\ndef f(x):\n    seen.append(x)\n    return x * 10\ncrew.each(f, 6), sorted(seen)")
    assert result.error is None
    assert result.value == "([0, 10, 20, 30, 40, 50], [0, 1, 2, 3, 4, 5])"


def test_the_agent_sees_one_call_after_the_other(crew: tuple[Crew, Session]):
    """Calls are serialised: a function that asks the host in its middle is not entered a second time meanwhile."""
    code = """
inside = most = 0
def f(x):
    global inside, most
    inside += 1
    most = max(most, inside)
    n = len(df)
    inside -= 1
    return n + x
(crew.each(f, 6), inside)
"""
    result = crew[1].run(code)
    assert result.value == "([6, 7, 8, 9, 10, 11], 0)"
    found = records(crew[1])
    asked = next(r for r in found if r["member"] == "each" and r["phase"] == "intent")
    calls = [r for r in found if r["verb"] == "callback"]
    assert len(calls) == 6
    assert {r["parent"] for r in calls} == {asked["op"]}


def test_types_are_announced_before_they_are_used(crew: tuple[Crew, Session]):
    """Objects of new types that cross from several threads at once arrive as what they are."""
    result = crew[1].run("crew.frames(lambda x: type(x).__name__)")
    assert result.error is None
    assert result.value == repr(
        ["Series", "RangeIndex", "DataFrameGroupBy", "_iLocIndexer", "StringMethods", "DataFrame"]
    )


def test_an_exception_in_one_thread_reaches_the_agent(crew: tuple[Crew, Session]):
    """What one of the calls raised is raised to the agent, and the session goes on."""
    code = "def f(x):\n    if x == 3: raise LookupError('three')\n    return x\ncrew.each(f, 6)"
    result = crew[1].run(code)
    assert result.error is not None
    assert result.error.type == "LookupError"
    assert result.error.message == "three"
    assert crew[1].run("crew.each(abs, 6)").ok


def test_a_thread_of_the_host_does_not_escape_the_policy(catalog: Catalog):
    """What a foreign thread hands to the agent is judged by what is being worked on, and refused where that is."""
    with (
        ControlPlane(policy=Policy.parse(CLOSED), catalog=catalog) as plane,
        plane.session("agent", objects={"crew": Crew(sales(6))}) as session,
    ):
        for code in ("crew.alone(lambda x: got.append(x))", "crew.each(lambda x: got.append(x), 6)"):
            result = session.run(f"got = []\ntry:\n    {code}\nfinally:\n    print(got)")
            assert result.error is not None
            assert result.error.effect == "reveal"
            assert result.stdout == "[]\n"


def test_a_function_is_dead_when_its_operation_is_over(crew: tuple[Crew, Session]):
    """A library that kept the function and calls it later, from any thread, gets an error and nothing runs."""
    from proxyplane.errors import GuestError

    assert crew[1].run("ran = []\ncrew.later(lambda x: ran.append(x))").ok
    with ThreadPoolExecutor(1) as pool, pytest.raises(GuestError):
        pool.submit(crew[0].kept, 1).result(10)
    with pytest.raises(GuestError):
        crew[0].kept(1)
    assert crew[1].run("ran").value == "[]"


def test_a_guest_that_dies_in_a_call_of_a_thread_ends_cleanly(crew: tuple[Crew, Session]):
    """When the guest ends in the middle of such a call no thread waits for ever, and the session goes on."""
    result = crew[1].run("import os\ncrew.each(lambda x: os._exit(3), 6)")
    assert result.error is not None
    assert result.error.type == "GuestCrashed"
    assert crew[1].run("crew.each(abs, 6)").value == "[0, 1, 2, 3, 4, 5]"
