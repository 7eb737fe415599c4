"""Granting, narrowing and revoking while a session runs."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from proxyplane import ControlPlane, Policy
from proxyplane.clock import SystemClock
from proxyplane.errors import Revoked, UnknownObject
from proxyplane.sessions import Session

from .tables import records, sales


class Hands(SystemClock):
    """A clock whose monotonic hand is moved by the test."""

    moved = 0

    def mono(self) -> int:  # type: ignore[override]
        """The real time, and what the test has added."""
        return SystemClock.mono() + self.moved


@pytest.fixture
def clock() -> Hands:
    """A clock to move."""
    return Hands()


@pytest.fixture
def session(clock: Hands) -> Iterator[Session]:
    """A session over `df` under `open`, with a clock to move."""
    with (
        ControlPlane(policy=Policy.preset("open"), clock=clock) as plane,
        plane.session("agent", objects={"df": sales()}) as opened,
    ):
        yield opened


def refused(session: Session, code: str) -> str:
    """The class of the error that the code ends with."""
    result = session.run(code)
    assert result.error is not None
    return result.error.type


def test_what_is_put_is_there_at_once(session: Session):
    """Also in the middle of a session, and in a guest that begins later."""
    assert session.run("len(df)").value == "6"
    session.put("more", sales(3))
    assert session.run("len(more)").value == "3"
    session.run("import os; os._exit(1)")
    assert session.run("len(more), len(df)").value == "(3, 6)"


def test_revocation_cascades_over_what_was_made(session: Session):
    """Everything that was made from the object dies with it, at any depth; the rest goes on."""
    session.put("more", sales(4))
    code = (
        "part = more[more.units > 0]\ntotal = part.amount.sum()\njoined = df.merge(part, on='units')\n"
        "column = joined.amount_x\nit = iter(more.units)\nmeth = part.head\nmine = df.head(2)"
    )
    assert session.run(code).ok
    session.revoke("more")
    for use in ("more.shape", "len(part)", "total + 1", "joined.columns", "column.tolist()", "next(it)", "meth(1)"):
        assert refused(session, use) == "Revoked", use
    for use in ("df.merge(part, on='units')", "df.units.isin(more.units)", "df.units.map(lambda x: len(part))"):
        assert refused(session, use) == "Revoked", use
    assert session.run("len(mine), df.shape").value == "(2, (6, 4))"
    reasons = [record.get("reason") for record in records(session) if record.get("status") == "denied"]
    assert set(reasons) == {"revoked"}


def test_explorers_are_revoked_too(session: Session):
    """Nothing of a revoked object is described, listed or fetched; what was never granted is unknown."""
    session.put("more", sales(4))
    session.revoke("more")
    for explore in (session.describe, session.list_attrs, lambda name: session.get_attr(name, "shape")):
        with pytest.raises(Revoked):
            explore("more")
    for ask in (session.describe, session.revoke):
        with pytest.raises(UnknownObject, match="df, more"):
            ask("nothing")


def test_a_revoked_name_stays_revoked(session: Session):
    """To grant the name again would bring back to life what was made from the former object."""
    session.put("more", sales(4))
    session.run("part = more.head(2)")
    session.revoke("more")
    with pytest.raises(ValueError, match="another name"):
        session.put("more", sales(4))
    session.put("again", sales(4))
    assert session.run("len(again)").value == "4"
    assert refused(session, "len(part)") == "Revoked"


def test_revocation_holds_in_a_new_guest(session: Session):
    """A variable that was bound to a derived object comes back after a crash, and stays dead."""
    session.put("more", sales(4))
    session.run("part = more.head(2)")
    session.revoke("more")
    session.run("import os; os._exit(1)")
    assert refused(session, "len(part)") == "Revoked"


def test_a_capability_is_narrower_than_the_policy(session: Session):
    """Effects that were not granted with it are refused for it and for all that is made from it."""
    session.put("read_only", sales(4), effects=["read", "compute"])
    assert session.run("half = read_only.head(2)\nhalf.shape").value == "(2, 4)"
    for use in (
        "read_only['x'] = 1",
        "half['x'] = 1",
        "half.amount.tolist()",
        "df.merge(half, on='units').amount_x.tolist()",
    ):
        result = session.run(use)
        assert result.error is not None
        assert result.error.effect in ("mutate", "reveal")
        assert "read_only" in result.error.message
    assert session.run("df['x'] = 1; df.shape").value == "(6, 5)"


def test_uses_run_out(session: Session):
    """Three operations, counted over what is made from it, and no fourth."""
    session.put("few", sales(4), uses=3)
    assert session.run("a = few.head(2)\nb = a.amount\nb.sum()").ok
    assert refused(session, "b.sum()") == "Expired"
    assert refused(session, "len(few)") == "Expired"


def test_time_runs_out(session: Session, clock: Hands):
    """After so many seconds it is dead, with all that was made from it."""
    session.put("brief", sales(4), seconds=60)
    assert session.run("a = brief.head(2)\nlen(a)").value == "2"
    clock.moved = 59 * 10**9
    assert session.run("len(a)").ok
    clock.moved = 61 * 10**9
    assert refused(session, "len(a)") == "Expired"
    assert refused(session, "len(brief)") == "Expired"
    assert session.run("len(df)").ok


def test_narrowing_takes_hold_at_once(session: Session):
    """A capability that `put` returned can be attenuated later, with effect on the next operation."""
    capability = session.put("more", sales(4))
    assert session.run("more['x'] = 1").ok
    capability.attenuate(effects=["read", "mutate"])
    capability.attenuate(effects=["read", "compute"])
    assert refused(session, "more['y'] = 1") == "Denied"
    assert session.run("more.shape").value == "(4, 5)"
    capability.revoke()
    assert refused(session, "more.shape") == "Revoked"
    own = [r for r in session.plane.log.records() if r.get("session") == session.id and r.get("cap") == "more"]
    assert [record["kind"] for record in own] == ["grant", "grant", "grant", "revoke"]
    assert own[2]["detail"]["effects"] == ["read"]


def test_an_agent_cannot_end_its_own_narrowing(session: Session):
    """A name that the agent binds to something else changes nothing for the object."""
    session.put("read_only", sales(4), effects=["read"])
    assert session.run("keep = read_only\nread_only = df\nread_only['x'] = 1").ok
    assert refused(session, "keep['x'] = 1") == "Denied"
    assert refused(session, "import pandas as pd; pd.concat([keep, df])") == "Denied"


@pytest.mark.parametrize("name", ["", "1a", "_hidden", "a b", "class", "pandas", "a.b", "ä", "x\n"])
def test_a_name_must_be_one(session: Session, name: str):
    """Names that are no identifiers, private, keywords or modules are refused."""
    with pytest.raises(ValueError, match="name"):
        session.put(name, sales())


def test_grants_and_revocations_are_on_record(session: Session):
    """With the effects that were granted."""
    session.put("more", sales(4), effects=["read"])
    session.revoke("more")
    own = [r for r in session.plane.log.records() if r.get("session") == session.id and r.get("cap") == "more"]
    assert [record["kind"] for record in own] == ["grant", "revoke"]
    assert own[0]["detail"]["effects"] == ["read"]
