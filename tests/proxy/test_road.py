"""In-process proxies take the same road as a guest: policy, budgets, projections, records."""

from __future__ import annotations

import gc
import io
import warnings
from collections.abc import Iterator
from typing import ClassVar

import numpy as np
import pandas as pd
import pytest

from proxyplane import BudgetExceeded, ControlPlane, Denied, Expired, Policy, Revoked, TierUnavailable, UnknownObject
from proxyplane.sessions import Session

from .conftest import PERMISSIVE, effects

GUARDED = """
schema = 1
default = "deny"

[objects.sales]
hide = ["ssn"]

[budgets.rows]
limit = 40

[[rules]]
id     = "work"
agent  = "*"
object = "*"
origin = ["inproc", "callback"]
effect = ["read", "compute", "callback", "display"]
decide = "allow"

[[rules]]
id     = "show"
agent  = "*"
object = "*"
effect = ["reveal"]
when   = { rows = "<= 20" }
charge = { rows = "rows" }
decide = "allow"
"""


def table(rows: int = 6) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "region": [["n", "s", "e"][n % 3] for n in range(rows)],
            "amount": [float(n) for n in range(rows)],
            "ssn": [f"CANARY-{n}" for n in range(rows)],
        }
    )


@pytest.fixture
def guarded() -> Iterator[ControlPlane]:
    """A plane that hides a column and meters rows."""
    with ControlPlane(policy=Policy.parse(GUARDED), require_tier="cooperative") as plane:
        yield plane


def test_the_session_says_cooperative(guarded: ControlPlane):
    """The opening record and the grant of a proxy name the tier."""
    guarded.proxy(table(), agent="a", name="sales")
    (opened,) = [r for r in guarded.log.records() if r["kind"] == "session.open"]
    assert opened["detail"]["tier"] == "cooperative"
    assert any(r["kind"] == "grant" and r["detail"].get("tier") == "cooperative" for r in guarded.log.records())


def test_no_guest_runs_there(guarded: ControlPlane):
    """A plane that was made for proxies has no zygote, and says so when code is to run."""
    assert guarded.zygote.pid == 0
    with guarded.session("a") as session, pytest.raises(TierUnavailable, match="no guests"):
        session.run("1")


def test_isolation_that_was_asked_for_is_not_given_up():
    """A policy that requires a tier gets no in-process proxy."""
    policy = Policy.parse('require_tier = "split"\n' + PERMISSIVE)
    with ControlPlane(policy=policy) as plane, plane.session("a", objects={"rows": [1]}) as session:
        with pytest.raises(TierUnavailable, match="isolates nothing"):
            plane.proxy([1])
        with pytest.raises(TierUnavailable, match="isolates nothing"):
            session.proxy("rows")


def test_a_session_with_a_guest_gives_proxies_too():
    """`session.proxy` is the guest's capability: what one changes the other sees, and revoking ends both."""
    with (
        ControlPlane(policy=Policy.preset("open")) as plane,
        plane.session("a", objects={"rows": [1, 2]}) as session,
    ):
        assert session.run("rows.append(3)").ok
        rows = session.proxy("rows")
        assert rows is session.proxy("rows")
        rows.append(4)
        assert session.run("list(rows)").value == "[1, 2, 3, 4]"
        asked = [r["via"] for r in effects(plane) if r.get("member") == "append"]
        assert asked == ["socket", "socket", "inproc", "inproc"]
        with pytest.raises(UnknownObject):
            session.proxy("nothing")
        session.revoke("rows")
        with pytest.raises(Revoked):
            rows.append(5)


def test_a_guest_that_ends_takes_no_proxy_along():
    """The objects of proxies outlive the guest of their session."""
    with (
        ControlPlane(policy=Policy.preset("open")) as plane,
        plane.session("a", objects={"df": table()}) as session,
    ):
        top = session.proxy("df").head(2)
        assert not session.run("import os, signal\nwhile True: pass", timeout=0.5).ok
        assert session.run("1 + 1").value == "2"
        assert len(top) == 2


def test_projections_hold(guarded: ControlPlane):
    """A hidden column does not exist for the proxy, by whatever road."""
    frame = table()
    proxy = guarded.proxy(frame, agent="a", name="sales")
    assert list(proxy.columns) == ["region", "amount"]
    with pytest.raises(KeyError):
        proxy["ssn"]
    with pytest.raises(AttributeError):
        proxy.ssn
    assert "CANARY" not in str(proxy.head(3))
    assert guarded.proxy(frame, agent="a") is proxy
    assert "CANARY" not in "".join(map(str, guarded.log.records()))


def test_masks_and_keys_are_unwrapped(open_plane: ControlPlane):
    """Proxies work as indexers, in containers, in slices and as keyword arguments."""
    frame = table()
    proxy = open_plane.proxy(frame, name="sales")
    mask = proxy.amount > 2
    assert type(mask) is not pd.Series
    pd.testing.assert_frame_equal(native_of(proxy[mask], open_plane), frame[frame.amount > 2])
    assert proxy.loc[mask & (proxy.region == "n"), ["amount"]].shape == (1, 1)
    assert proxy.assign(double=proxy.amount * 2).double.sum() == 30.0
    assert proxy.iloc[proxy.shape[0] - 1 :].index.tolist() == [5]
    assert proxy.merge(proxy.head(2), on="region").shape[0] == 4


def native_of(proxy: pd.DataFrame, plane: ControlPlane) -> pd.DataFrame:
    """The real object behind a proxy, as the host looks it up."""
    from proxyplane.proxies.grip import grip_of

    return grip_of(proxy).held.value


def test_the_host_stands_on_the_left_too(open_plane: ControlPlane):
    """Arrays and frames that are not proxied leave operators and functions to a proxy on their right."""
    proxy = open_plane.proxy(table(3).amount, name="amounts")
    for result in (
        np.array([1.0, 1.0, 1.0]) + proxy,
        pd.Series([1.0, 1.0, 1.0]) + proxy,
        np.add(np.ones(3), proxy),
        np.concatenate([np.ones(1), proxy])[1:] + 1,
    ):
        assert list(result) == [1.0, 2.0, 3.0]
        assert type(result) not in (np.ndarray, pd.Series)
    assert np.add.reduce(open_plane.proxy(np.arange(3.0))) == 3.0


def test_budgets_count(guarded: ControlPlane):
    """Rows that reach in-process code are capped and charged as for a guest."""
    proxy = guarded.proxy(table(30), agent="a", name="sales")
    with pytest.raises(Denied, match="capped at 20 rows"):
        proxy.amount.tolist()
    with pytest.raises(Denied):
        np.asarray(proxy.amount)
    assert len(proxy.amount.head(20).tolist()) == 20
    with pytest.raises(BudgetExceeded):
        list(zip(*[proxy.amount.head(19).tolist()] * 2, strict=True)) + proxy.amount.head(19).tolist()


def test_functions_of_the_agent_are_metered(guarded: ControlPlane):
    """Each value that a function of the agent is given is decided, charged and recorded before it arrives."""
    proxy = guarded.proxy(table(50), agent="a", name="sales")
    seen: list[float] = []
    with pytest.raises(BudgetExceeded):
        proxy.amount.map(lambda value: seen.append(value) or value)
    assert len(seen) == 40
    called = [r for r in effects(guarded) if r["verb"] == "callback"]
    assert [r["status"] for r in called] == ["ok"] * 40 + ["withheld"]
    assert all(r["parent"] == called[0]["parent"] for r in called)


def test_what_a_function_returns_keeps_its_lineage(open_plane: ControlPlane):
    """A result that a function of the agent brought in has both origins."""
    left, right = open_plane.proxy(table(), name="left"), open_plane.proxy(table(), name="right")
    mixed = left.pipe(lambda frame: right)
    from proxyplane.proxies.grip import grip_of

    assert mixed is right
    mixed = left.groupby("region").apply(lambda group: right.head(1))
    assert grip_of(mixed).held.roots == {"left", "right"}


def test_other_sessions(open_plane: ControlPlane):
    """A proxy of another agent is no argument; two proxies of one agent are."""
    one, two = open_plane.proxy([1], agent="a"), open_plane.proxy([2], agent="b")
    with pytest.raises(UnknownObject, match="another session"):
        one + two
    assert one + open_plane.proxy([3], agent="a") == [1, 3]


def test_arguments_of_unknown_classes_are_refused(open_plane: ControlPlane):
    """An object whose methods would be given host data is refused before anything happens."""

    class Spy:
        seen: ClassVar[list[object]] = []
        __array_ufunc__ = None

        def __eq__(self, other: object) -> bool:
            self.seen.append(other)
            return True

        __hash__ = object.__hash__

    proxy = open_plane.proxy(table().amount, name="amounts")
    with pytest.raises(Denied) as caught:
        bool(proxy == Spy())
    assert caught.value.effect == "unknown"
    assert not Spy.seen


def test_host_functions_as_arguments_are_decided_at_each_call(open_plane: ControlPlane, tmp_path):
    """`map(pd.read_csv)` is refused where it would read, not where it is named."""
    file = tmp_path / "x.csv"
    file.write_text("a\n1\n")
    names = open_plane.proxy(pd.Series([str(file)]), name="names")
    with pytest.raises(Denied) as caught:
        names.map(pd.read_csv)
    assert caught.value.effect == "fs.read"


def test_error_texts_are_rebuilt(open_plane: ControlPlane):
    """The text of a native error holds no data, and its class is the native one."""
    proxy = open_plane.proxy(pd.Series(["CANARY-7", "1"]), name="texts")
    with pytest.raises(ValueError, match="could not convert") as caught:
        proxy.astype(float)
    assert "CANARY" not in str(caught.value)
    assert caught.value.__cause__ is None


def test_host_warnings_arrive(open_plane: ControlPlane):
    """Warnings of host code reach the code that holds the proxy."""
    proxy = open_plane.proxy(np.array([0.0, 1.0]), name="numbers")
    with pytest.warns(RuntimeWarning, match="divide by zero"):
        1 / proxy
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert (1 + proxy).tolist() == [1.0, 2.0]


def test_buffers_are_written_after_the_decision(guarded: ControlPlane):
    """A buffer of the agent gets what the host wrote, and nothing of what was refused."""
    proxy = guarded.proxy(table(25), agent="a", name="sales")
    small, large = io.StringIO(), io.StringIO()
    proxy.head(2).to_csv(small, index=False)
    assert small.getvalue() == "region,amount\nn,0.0\ns,1.0\n"
    with pytest.raises(Denied):
        proxy.to_csv(large)
    assert large.getvalue() == ""


def test_display(guarded: ControlPlane):
    """A notebook shows what the policy lets it: HTML within the cap, the refusal beyond."""
    proxy = guarded.proxy(table(30), agent="a", name="sales")
    mime, html = proxy.head(3)._mime_()
    assert mime == "text/html"
    assert "<table" in html
    assert "CANARY" not in html
    shown = proxy._display_()._mime_()
    assert shown[0] == "text/plain"
    assert "cooperative" in shown[1]
    assert "capped at 20 rows" in shown[1]
    asked = [r for r in effects(guarded) if r.get("member") == "_mime_"]
    assert all(set(r["effects"]["declared"]) == {"display", "reveal"} for r in asked)
    assert [r.get("status") for r in asked] == [None, "ok", "denied"]


def test_locked_shows_schema_only():
    """Under `locked` shape and class are there, content, copies and display are not."""
    with ControlPlane(policy=Policy.preset("locked"), require_tier="cooperative") as plane:
        proxy = plane.proxy(table(), name="sales")
        assert proxy.shape == (6, 3)
        assert isinstance(proxy, pd.DataFrame)
        for touch in (repr, str, lambda p: p.amount, lambda p: p == 1, lambda p: p[0:1], np.asarray):
            with pytest.raises(Denied):
                touch(proxy)
        assert proxy._mime_()[0] == "text/plain"


def test_objects_are_released(open_plane: ControlPlane):
    """A proxy that ended is no object of the session any more; the same object has the same proxy while it lives."""
    proxy = open_plane.proxy(table(), name="sales")
    session: Session = open_plane._local["local"]
    len(proxy)
    held = len(session.table)
    for _ in range(50):
        proxy.head(1)
    gc.collect()
    len(proxy)
    assert len(session.table) <= held + 1
    assert proxy.columns is proxy.columns


def test_closed_sessions(open_plane: ControlPlane):
    """A proxy of a closed session says so; the agent's next proxy belongs to a new one."""
    rows = open_plane.proxy([1], agent="a")
    open_plane._local["a"].close()
    with pytest.raises(Expired, match="closed"):
        len(rows)
    assert len(open_plane.proxy([1, 2], agent="a")) == 2


def test_guests_cannot_use_what_proxies_may():
    """Special members stay closed for a guest, also after a proxy used them on an object of the same type."""
    with (
        ControlPlane(policy=Policy.parse(PERMISSIVE + '[modules]\nhost = ["pandas"]\n')) as plane,
        plane.session("a", objects={"df": table()}) as session,
    ):
        frame = session.proxy("df")
        assert isinstance(frame, pd.DataFrame)
        assert frame._mgr is not None
        assert frame.__wrapped__ is not None
        result = session.run(
            "found = []\n"
            "for name in ('__wrapped__', '_mgr', '__class__', '_mime_', '__array__'):\n"
            "    try:\n        found.append(type(df)._request('getattr', df._handle, name))\n"
            "    except AttributeError: pass\n"
            "found"
        )
        assert result.value == "[]"


def test_columns_are_followed_through_proxies_too():
    """A rule by column goes by the columns that a result came from, and not by all of its table."""
    policy = Policy.parse("""
schema = 1
default = "deny"

[[rules]]
id     = "work"
agent  = "*"
object = "*"
effect = ["read", "compute", "callback"]
decide = "allow"

[[rules]]
id     = "amounts"
agent  = "*"
object = "*"
effect = "reveal"
column = ["amount"]
decide = "allow"
""")
    staff = pd.DataFrame({"amount": [1, 2], "ssn": [7, 8]})
    with ControlPlane(policy=policy, require_tier="cooperative") as plane:
        table = plane.proxy(staff, name="staff")
        assert int(table["amount"].sum()) == 3
        assert table[["amount"]].amount.tolist() == [1, 2]
        for column in (table["ssn"], table.amount + table.ssn):
            with pytest.raises(Denied, match="amounts"):
                column.tolist()
