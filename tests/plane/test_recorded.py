"""What the log says of each way that an operation can go."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import pandas as pd
import pytest

from proxyplane import ControlPlane, Policy
from proxyplane.sessions import Session

from .tables import ANALYST, records, sales


def ran(session: Session, code: str) -> list[dict[str, Any]]:
    """The effect records of one run, of however it ended."""
    before = len(records(session))
    session.run(code)
    return records(session)[before:]


def seen(record: dict[str, Any]) -> tuple[Any, ...]:
    """Verb, member, phase, and status where there is one."""
    return record["verb"], record.get("member"), record["phase"], record.get("status")


def test_a_look_is_one_record(analyst: Callable[..., Session]):
    """Reading, computing and showing write one record each, with how it crossed."""
    found = ran(analyst(), "sales.amount.head(2).tolist()")
    assert [seen(record) for record in found] == [
        ("getattr", "amount", "single", "ok"),
        ("call", "head", "single", "ok"),
        ("call", "tolist", "single", "ok"),
    ]
    assert [record["result"]["crossing"] for record in found] == ["ref", "ref", "value"]
    assert found[2]["result"] == {"crossing": "value", "type": "list", "rows": 2, "cells": 2, "cols": ["amount"]}
    assert set(found[2]["effects"]["declared"]) == {"compute", "reveal"}
    assert found[0]["rule"] == "work"
    assert set(found[2]["matched"]) == {"work", "show"}
    assert found[2]["budget"][0]["charged"] == 2


def test_a_record_says_where_it_came_from(analyst: Callable[..., Session]):
    """Line and digest of the agent's code, the session, the agent, the policy, and the lineage of the target."""
    session = analyst()
    found = ran(session, "x = 1\nbig = sales[sales.amount > 10]\n\nbig.shape")
    assert [record["where"]["line"] for record in found] == [2, 2, 2, 4]
    assert len({record["where"]["code_sha256"] for record in found}) == 1
    for record in found:
        assert (record["session"], record["agent"], record["origin"]) == (session.id, "analyst-1", "guest")
        assert record["target"]["roots"] == ["sales"]
        assert record["policy"]["digest"] == session.plane.policy.digest.hex()


def test_a_refusal_is_a_record(analyst: Callable[..., Session]):
    """Refused before anything happened: `denied`, with the rule, and no outcome."""
    found = ran(analyst(), "sales.to_csv('out.csv')")
    assert [seen(record) for record in found] == [("call", "to_csv", "single", "denied")]
    assert found[0]["rule"] == "no-outside-world"
    assert found[0]["verdict"] == "deny"
    assert "result" not in found[0]


def test_an_error_is_a_record(analyst: Callable[..., Session]):
    """What the real object raised is named by its type; its text, which may hold cells, is not in the record."""
    found = ran(analyst(), "sales.region.astype(float)")
    assert seen(found[-1]) == ("call", "astype", "single", "error")
    assert found[-1]["error"]["type"] == "ValueError"
    assert "north" not in repr(found)


def test_a_result_that_may_not_be_shown_is_withheld(analyst: Callable[..., Session]):
    """Performed, but beyond the cap: `withheld`, without rows, and nothing is charged."""
    session = analyst(sales(200))
    found = ran(session, "sales.amount.tolist()")
    assert seen(found[-1]) == ("call", "tolist", "single", "withheld")
    assert found[-1]["verdict"] == "deny"
    assert "budget" not in found[-1]
    assert "result" not in found[-1]


def test_a_mutation_is_on_record_before_it_happens(analyst: Callable[..., Session]):
    """Intent, then outcome with the versions that moved; both under one operation."""
    session = analyst()
    intent, outcome = ran(session, "sales['doubled'] = 2")
    assert seen(intent) == ("setitem", None, "intent", None)
    assert seen(outcome) == ("setitem", None, "outcome", "ok")
    assert intent["op"] == outcome["op"]
    handle = intent["target"]["id"]
    assert outcome["changes"] == [{"id": handle, "from": 1, "to": 2, "kind": "declared"}]
    assert ran(session, "sales.shape")[0]["target"]["version"] == 2


def test_intent_is_written_before_the_object_is_touched(
    analyst: Callable[..., Session], monkeypatch: pytest.MonkeyPatch
):
    """When the mutation begins, its intent is in the log already."""
    session = analyst()
    during: list[str] = []

    real = pd.DataFrame.__setitem__

    def watched(self: pd.DataFrame, key: Any, value: Any) -> None:
        during.extend(record["phase"] for record in records(session) if record["verb"] == "setitem")
        real(self, key, value)

    monkeypatch.setattr(pd.DataFrame, "__setitem__", watched)
    assert len(ran(session, "sales['a'] = 1")) == 2
    assert during == ["intent"]


def test_a_mutation_that_failed_has_an_outcome(analyst: Callable[..., Session]):
    """The outcome of a change that raised says so, and that the object may have changed."""
    intent, outcome = ran(analyst(), "sales['x'] = [1, 2]")
    assert intent["phase"] == "intent"
    assert seen(outcome) == ("setitem", None, "outcome", "error")
    assert outcome["changes"][0]["to"] == 2


def test_a_mutation_whose_result_is_withheld_is_still_a_mutation(analyst: Callable[..., Session]):
    """`pop` from a granted list that may not be shown: the item is gone, and the record says that it changed."""
    closed = ANALYST.replace('rows = "<= 100"', 'rows = "<= 0"')
    box = ["north-secret", "south-secret"]
    session = analyst(text=closed)
    session.put("box", box)
    found = [r for r in ran(session, "box.pop()") if r.get("member") == "pop"]
    assert box == ["north-secret"]
    assert [seen(record) for record in found] == [
        ("call", "pop", "intent", None),
        ("call", "pop", "outcome", "withheld"),
    ]
    assert found[1]["changes"][0]["to"] == 2


def test_callbacks_name_their_parent(analyst: Callable[..., Session]):
    """Each call of the agent's function is an operation under the one that caused it, and so is what it asks."""
    found = ran(analyst(), "_ = sales.units.head(3).map(lambda x: len(sales))")
    cause = next(record for record in found if record.get("member") == "map" and record["phase"] == "intent")
    calls = [record for record in found if record["verb"] == "callback"]
    assert len(calls) == 3
    assert {record["parent"] for record in calls} == {cause["op"]}
    assert all(set(record["effects"]["declared"]) == {"callback", "reveal"} for record in calls)
    assert all(record["result"]["rows"] == 1 for record in calls)
    places = [found.index(record) for record in calls]
    outcome = next(record for record in found if record["op"] == cause["op"] and record["phase"] == "outcome")
    assert found.index(cause) < min(places) <= max(places) < found.index(outcome)


def test_host_functions_that_host_code_calls_are_records(analyst: Callable[..., Session]):
    """`map(pd.read_csv)` on a column of paths: each call is an operation of its own, on its actual argument."""
    found = ran(analyst(), "import pandas as pd\n_ = pd.Series(['a.csv', 'b.csv']).map(pd.read_csv)")
    call, cause = found[-2:]
    assert seen(call) == ("call", "read_csv", "single", "denied")
    assert set(call["effects"]["declared"]) == {"compute", "fs.read"}
    assert call["parent"] == cause["op"]
    assert seen(cause) == ("call", "map", "single", "error")


def test_the_end_of_a_guest_is_a_record(analyst: Callable[..., Session]):
    """A crash and a timeout are observed, with how the process ended; the session's own end follows."""
    session = analyst()
    session.run("import os\nos._exit(3)")
    session.run("while True: pass", timeout=0.3)
    session.close()
    own = [record for record in session.plane.log.records() if record.get("session") == session.id]
    observed = [(record["status"], record["reason"]) for record in own if record["kind"] == "observed"]
    assert observed == [("panic", "GuestCrashed"), ("timeout", "GuestTimeout")]
    assert [record["kind"] for record in own[:2]] == ["session.open", "grant"]
    assert own[-1]["kind"] == "session.close"


def test_records_hold_no_cell():
    """Arguments, results and errors are recorded by form and type: nothing of the content is in the log."""
    code = """
import pandas as pd
sales.head(3).to_dict()
sales[sales.region == sales.region.iloc[0]].amount.tolist()
sales.region.map(lambda x: x + "!")
sales['copy'] = sales.region
try:
    sales.region.astype(float)
except ValueError:
    pass
pd.concat([sales, sales]).drop_duplicates().shape
"""
    with (
        ControlPlane(policy=Policy.preset("open")) as plane,
        plane.session("agent", objects={"sales": sales()}) as session,
        warnings.catch_warnings(),
    ):
        warnings.simplefilter("ignore")
        assert session.run(code).ok
        text = repr(plane.log.records())
    for cell in ("north", "south", "canary", "SECRET"):
        assert cell not in text


@pytest.mark.parametrize(
    "code", ["sales.shape", "sales['x'] = 1", "sales.amount.tolist()", "sales.to_csv('x')", "sales['no']"]
)
def test_every_operation_has_exactly_one_end(analyst: Callable[..., Session], code: str):
    """Each operation id ends once: by a single record or by an outcome."""
    found = ran(analyst(), code)
    ends = [record["op"] for record in found if record["phase"] != "intent"]
    assert len(ends) == len(set(ends))
    assert {record["op"] for record in found} == set(ends)


def test_a_record_names_who_touched_the_object_whatever_came_before() -> None:
    """The same look by host code on the agent's behalf, by the agent and by the session keeps its own origin."""
    policy = Policy.preset("open")
    for order in (("guest", "mediated"), ("mediated", "guest")):
        codes = {"guest": "r = np.sum(df.units)", "mediated": "r = df[['units']].agg(np.sum)"}
        with ControlPlane(policy=policy) as plane, plane.session("a", objects={"df": sales()}) as session:
            session.run("import numpy as np")
            for which in order * 2:
                assert session.run(codes[which]).ok
            session.get_attr("df", "shape")
            assert session.run("df.shape").ok
            session.get_attr("df", "shape")
            found = records(session)
            shapes = [r["origin"] for r in found if r.get("member") == "shape" and r["status"] == "ok"]
            assert shapes == ["agent", "guest", "agent"]
            sums = {(bool(r.get("parent")), r["origin"]) for r in found if r.get("member") == "sum"}
            assert sums == {(False, "guest"), (True, "agent")}
