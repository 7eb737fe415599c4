"""The Python client: stubs, expressions that wait, runs, and what is refused."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Callable
from typing import Any

import pytest

import proxyplane
from proxyplane import Denied, DeniedAttribute, Expired, UnknownObject
from proxyplane.transport.client import RemoteSession

from .conftest import SECRETS, Site, sales


def test_stubs_are_as_in_a_guest(session: RemoteSession):
    """Attributes, calls, items, iteration, comparison and isinstance work as on the object."""
    df = session.objects.sales
    assert type(df).__name__ == "DataFrame"
    assert df.shape == (3, 3)
    assert df["amount"].sum() == 60
    assert list(df.amount) == [10, 20, 30]
    assert df[df["amount"] > 15].region.tolist() == ["south", "north"]
    assert str(df.head(1)) == str(sales().head(1))
    assert session.bind("sales") is df
    pd = session.bind("pandas")
    assert isinstance(df, pd.DataFrame)
    assert pd.concat([df, df]).shape == (6, 3)
    assert session.objects["numbers"] == [1, 2, 3]


def test_what_is_refused_raises_as_in_a_guest(session: RemoteSession):
    """Refusals, native errors and unknown names are the exceptions that they are there."""
    df = session.objects.sales
    with pytest.raises(Denied, match=r"fs\.write") as refused:
        df.to_csv("x.csv")
    assert refused.value.hint
    with pytest.raises(DeniedAttribute):
        session.get_attr("sales", "_mgr")
    with pytest.raises(KeyError):
        df["nope"]
    with pytest.raises(AttributeError):
        _ = df.nope
    with pytest.raises(UnknownObject):
        session.bind("nope")
    with pytest.raises(AttributeError):
        _ = session.objects.nope


def test_functions_of_the_client_stay_here(session: RemoteSession):
    """A function or an object of an own class does not cross, and nothing is sent."""
    df, before = session.objects.sales, session.requests
    with pytest.raises(TypeError, match=r"session\.run"):
        df.apply(lambda row: row)
    with pytest.raises(TypeError, match="class of this process"):
        df.equals(object())
    assert session.requests == before


def test_runs_and_objects_belong_together(session: RemoteSession):
    """A run sees what stubs changed, and its variables are objects afterwards; output comes as it is printed."""
    heard: list[tuple[str, str]] = []
    result = session.run(
        "print('hi')\ntop = sales.groupby('region').amount.sum()\nplain = [1, 'a']\ntop",
        on_output=lambda *x: heard.append(x),
    )
    assert result.ok
    assert result.stdout == "hi\n"
    assert heard == [("stdout", "hi\n")]
    assert session.objects.top.loc["north"] == 40
    assert session.objects.plain == [1, "a"]
    failed = session.run("1/0")
    assert failed.error is not None
    assert failed.error.type == "ZeroDivisionError"
    assert session.describe("top")["type"] == "pandas.Series"
    assert "amount" in session.list_attrs("sales")
    assert session.get_attr("sales", "shape") == (3, 3)


def test_a_chain_is_one_round_trip(session: RemoteSession):
    """An expression of ten steps that needs no value in between is one request, and equals the native one."""
    chain, native = session.chain("sales"), sales()

    def steps(df: Any) -> Any:
        return (
            df[df["amount"] > 5].assign(twice=df["amount"] * 2).sort_values("twice").groupby("region").twice.sum()
            .reset_index().rename(columns={"twice": "total"}).head(2)
        )  # fmt: skip

    before = session.requests
    got = session.pull(steps(chain))
    assert session.requests == before + 1
    assert got.to_dict("list") == steps(native).to_dict("list")


def test_a_chain_is_computed_when_a_value_is_needed(session: RemoteSession):
    """Text, truth, numbers, lengths and iteration compute it, once; errors come then."""
    chain, before = session.chain("sales"), session.requests
    total = chain.amount.sum() + 1
    assert session.requests == before
    assert f"{total}" == "61"
    assert int(total) == 61
    assert float(-total) == -61.0
    assert session.requests == before + 2
    assert len(chain.amount) == 3
    assert list(chain.region.unique()) == ["north", "south"]
    assert 2 in session.chain("numbers")
    wrong = chain.groupby("nope").sum()
    with pytest.raises(KeyError):
        session.pull(wrong)
    with pytest.raises(AttributeError):
        chain._mgr
    with pytest.raises(AttributeError):
        chain.new = 1


def test_numbers_are_no_results(session: RemoteSession):
    """A plain list that looks like a reference to an earlier result is a list."""
    numbers = session.chain("numbers")
    assert session.pull(numbers.copy().index(2)) == 1
    assert session.pull(session.chain("sales").head(30).shape) == (3, 3)
    assert session.pull(session.chain("sales").iloc[[0, 2]].shape) == (2, 3)


def test_what_is_dropped_is_released(site: Site, session: RemoteSession):
    """The server holds what stubs stand for, until they are gone."""
    df = session.objects.sales
    parts = [df.head(number) for number in range(1, 20)]
    (lane,) = site.seat(session.id).lanes._lanes.values()
    assert len(lane.handles) == 20
    del parts
    gc.collect()
    assert df.shape == (3, 3)
    assert len(lane.handles) == 1


def test_a_session_is_found_again(site: Site):
    """A client that comes back with the id has its variables; one that was owned ended with its client."""
    with site.connect() as first:
        first.run("kept = sales.head(1)")
        with site.connect(session=first.id) as second:
            assert second.objects.kept.shape == (1, 3)
        assert first.objects.kept.shape == (1, 3)
        identifier = first.id
    with pytest.raises(Expired):
        site.connect(session=identifier)


def test_two_clients_of_one_session_do_not_disturb_each_other(site: Site):
    """Each client is told of the types that it meets, and its references are its own."""
    with site.connect() as first, site.connect(session=first.id) as second:
        assert first.objects.sales.groupby("region").ngroups == 2
        assert second.objects.sales.groupby("region").ngroups == 2
        assert first.run("sales.groupby('region').ngroups").value == "2"


def test_who_may_not_connect_is_told(site: Site):
    """No token, a wrong one, another role and no server each raise what they are."""
    with pytest.raises(PermissionError, match="Authorization"):
        proxyplane.connect(site.url)
    with pytest.raises(PermissionError, match="token"):
        proxyplane.connect(site.url, "x" * 40)
    with pytest.raises(PermissionError, match="agent"):
        proxyplane.connect(site.url, SECRETS["reader"])
    with pytest.raises(ConnectionError):
        proxyplane.connect("http://127.0.0.1:9", "x" * 40)
    with pytest.raises(LookupError):
        site.connect(session="s-nope")


def test_the_async_client_does_the_same(site: Site):
    """Awaited, the same methods give the same."""

    async def work() -> tuple[Any, ...]:
        async with await proxyplane.connect_async(site.url, SECRETS["agent"]) as session:
            chain = await session.chain("sales")
            total = await session.pull(chain.amount.sum())
            return int(total), (await session.run("1 + 1")).value, await session.get_attr("sales", "shape")

    assert asyncio.run(work()) == (60, "2", (3, 3))


def test_projections_hold_for_clients(serve: Callable[..., Site]):
    """A hidden column is reached by no stub, no chain and no module function."""
    text = """schema = 1
default = "deny"
[objects.sales]
hide = ["ssn"]
[modules]
host = ["pandas"]
guest = "stdlib"
[[rules]]
id = "all"
agent = "*"
object = "*"
effect = ["read", "compute", "reveal", "mutate", "callback", "display"]
decide = "allow"
"""
    with serve(text).connect() as session:
        df = session.objects.sales
        assert list(df.columns) == ["region", "amount"]
        with pytest.raises(KeyError):
            df["ssn"]
        with pytest.raises(KeyError):
            session.pull(session.chain("sales")["ssn"])
        assert "ssn" not in str(session.bind("pandas").concat([df, df]))


def test_hostile_wire_forms_are_refused(site: Site, session: RemoteSession):
    """Handles, tags, verbs and releases that no honest client sends are 4xx, and the session lives on."""
    df = session.objects.sales
    handle = df._handle
    good = ["getattr", handle, "shape", [], None]
    hostile: list[dict[str, Any]] = [
        {"operations": [["callback", handle, None, [], None]]},
        {"operations": [["describe", handle, None, [], None]]},
        {"operations": [["nope", handle, None, [], None]]},
        {"operations": [["getattr", handle + 999, "shape", [], None]]},
        {"operations": [["getattr", True, "shape", [], None]]},
        {"operations": [["getattr", handle, 7, [], None]]},
        {"operations": [["getattr", handle]]},
        {"operations": [good, ["getattr", [30, 0], "real", [], None]]},
        {"operations": [["getattr", [30, 0], "real", [], None]]},
        {"operations": [["call", handle, "equals", [[25, 1, "f"]], None]]},
        {"operations": [["call", handle, "equals", [[27, 1]], None]]},
        {"operations": [["call", handle, "equals", [[20, handle + 999]], None]]},
        {"operations": [["call", handle, "equals", [[21, handle + 999]], None]]},
        {"operations": [["call", handle, "equals", [[99]], None]]},
        {"operations": [["call", handle, "equals", 5, None]]},
        {"operations": [["call", handle, "equals", [], [1]]]},
        {"operations": [], "release": [handle, 99]},
        {"operations": [], "release": [handle]},
        {"operations": [], "release": ["x", 1]},
        {"operations": [], "lane": "nope"},
        {"operations": [], "bind": ["nope"]},
        {"operations": [good] * 1001},
    ]
    with site.http() as http:
        for body in hostile:
            whole = {"form": "wire", "lane": session._lane, **body}
            answer = http.post(f"/v1/sessions/{session.id}/operations", json=whole)
            refused = 400 <= answer.status_code < 500 or "failed" in answer.json()
            assert refused, (body, answer.text)
    assert df.shape == (3, 3)
