"""Approvals: what a rule asks a person about is held until there is an answer, and nothing the agent sends is one."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pandas as pd
import pytest

from proxyplane import ControlPlane, Policy
from proxyplane.approvals import Approval, Approvals, Question
from proxyplane.clock import SystemClock
from proxyplane.decisions import Ask

POLICY = """
schema = 1
default = "deny"
[modules]
host = ["pandas"]
guest = "stdlib"
[[rules]]
id = "work"
agent = "*"
object = "*"
effect = ["read", "compute", "reveal", "callback", "display", "mutate"]
decide = "allow"
[[rules]]
id = "ask-first"
effect = ["mutate"]
decide = "ask"
reason = "changes are for a person to allow"
ask = {{ timeout = "{timeout}", remember = "{remember}"{who} }}
"""

Make = Callable[..., ControlPlane]


def policy(timeout: str = "5s", remember: str = "never", who: str = "") -> Policy:
    return Policy.parse(POLICY.format(timeout=timeout, remember=remember, who=who))


def table() -> pd.DataFrame:
    return pd.DataFrame({"a": [1, 2, 3], "b": ["x", "y", "z"]})


@pytest.fixture
def make() -> Iterator[Make]:
    planes: list[ControlPlane] = []

    def opened(asked: Policy, **more: Any) -> ControlPlane:
        planes.append(ControlPlane(policy=asked, **more))
        return planes[-1]

    yield opened
    for plane in planes:
        plane.close()


def answered_later(plane: ControlPlane, answer: Callable[[Approval], Any], count: int = 1) -> threading.Thread:
    """A person: answers the next questions from a thread of their own."""

    def person() -> None:
        for _ in range(count):
            for _ in range(2000):
                if waiting := plane.approvals.pending():
                    answer(waiting[0])
                    break
                time.sleep(0.002)

    thread = threading.Thread(target=person)
    thread.start()
    return thread


def records(plane: ControlPlane, kind: str) -> list[dict[str, Any]]:
    return [record for record in plane.log.records() if record["kind"] == kind]


def test_a_held_operation_goes_on_once_it_is_approved(make: Make):
    """The operation waits, is performed after a yes, and its record names the approval."""
    plane = make(policy())
    with plane.session("agent", objects={"df": table()}) as session:
        person = answered_later(plane, lambda asked: plane.approvals.approve(asked.id, by="ann"))
        result = session.run("df['c'] = df.a * 2\ndf.c.sum()")
        person.join()
    assert result.ok
    assert result.value == "np.int64(12)"
    asked, answered = records(plane, "approval")
    assert (asked["verdict"], answered["verdict"]) == ("ask", "allow")
    changed = [record for record in records(plane, "effect") if record.get("verb") == "setitem"]
    assert {record["approval"]["by"] for record in changed} == {"ann"}
    assert all(record["rule"] == "ask-first" for record in changed)


def test_what_a_person_is_told(make: Make):
    """Who, what, why, the consequence in words, and the difference where there is one."""
    seen: list[dict[str, Any]] = []
    plane = make(policy(), approver=lambda asked: bool(seen.append(asked.described())) or True)
    with plane.session("agent", objects={"df": table()}) as session:
        assert session.run("df['a'] = [1, 2, 4]\ndf.loc[0, 'b'] = 'w'").ok
    first, second = seen
    assert first["agent"] == "agent"
    assert first["member"] == "'a'"
    assert first["objects"] == ("df",)
    assert first["reason"] == "changes are for a person to allow"
    assert first["line"] == 1
    assert "changes" in first["consequence"]
    assert first["changes"] == ("~ column 'a': 1 of 3 cells differ (row 2: 3 -> 4)",)
    assert second["changes"] == ("~ column 'b': 1 of 3 cells differ (row 0: 'x' -> 'w')",)


def test_a_no_is_a_refusal_that_says_so_and_changes_nothing(make: Make):
    """The agent gets PermissionError with the rule and the person's words; the object is as before."""
    plane = make(policy())
    frame = table()
    with plane.session("agent", objects={"df": frame}) as session:
        person = answered_later(plane, lambda asked: plane.approvals.deny(asked.id, by="ann", note="not on Fridays"))
        result = session.run("try:\n    df['c'] = 1\nexcept PermissionError as e:\n    print(type(e).__name__, e)")
        person.join()
    assert result.ok
    assert "ApprovalRejected" in result.stdout
    assert "not on Fridays" in result.stdout
    assert "ask-first" in result.stdout
    assert list(frame.columns) == ["a", "b"]


def test_no_answer_in_time_is_a_no(make: Make):
    """Nobody answers: refused, and the guest has not been ended for waiting longer than its own timeout."""
    plane = make(policy(timeout="1s"))
    with plane.session("agent", objects={"df": table()}) as session:
        result = session.run("df['c'] = 1", timeout=0.5)
        assert result.error is not None
        assert result.error.type == "ApprovalTimedOut"
        assert result.error.rule == "ask-first"
        assert session.run("df.shape").value == "(3, 2)"
    assert plane.approvals.counts["timed_out"] == 1


@pytest.mark.parametrize(
    ("remember", "asked"), [("never", 4), ("shape", 2), ("session", 1)], ids=["never", "shape", "session"]
)
def test_for_what_a_yes_holds(make: Make, remember: str, asked: int):
    """Every time; for the like of it; for the rest of the session."""
    plane = make(policy(remember=remember), approver=lambda _: True)
    with plane.session("agent", objects={"df": table()}) as session:
        assert session.run("for n in range(2):\n    df['c'] = n\n    df['d'] = n").ok
    assert plane.approvals.counts["asked"] == asked


def test_another_session_is_asked_anew(make: Make):
    """What one session was allowed says nothing about another one."""
    plane = make(policy(remember="session"), approver=lambda _: True)
    for _ in range(2):
        with plane.session("agent", objects={"df": table()}) as session:
            assert session.run("df['c'] = 1").ok
    assert plane.approvals.counts["asked"] == 2


def test_everybody_whom_the_rule_names_must_say_yes(make: Make):
    """Two names, two answers; a third person's yes is none."""
    plane = make(policy(who=', who = ["ann", "bob"]'))
    said: list[str] = []

    def person(asked: Approval) -> None:
        with pytest.raises(ValueError, match="asks ann, bob"):
            plane.approvals.approve(asked.id, by="eve")
        said.append(plane.approvals.approve(asked.id, by="ann").state)
        with pytest.raises(ValueError, match="said yes already"):
            plane.approvals.approve(asked.id, by="ann")
        said.append(plane.approvals.approve(asked.id, by="bob").state)

    with plane.session("agent", objects={"df": table()}) as session:
        waiting = answered_later(plane, person)
        assert session.run("df['c'] = 1").ok
        waiting.join()
    assert said == ["pending", "approved"]


def test_nothing_waits_for_a_closed_session(make: Make):
    """Closing a session ends its questions; the thread that ran it comes back."""
    plane = make(policy(timeout="5m"))
    session = plane.session("agent", objects={"df": table()})
    closer = answered_later(plane, lambda asked: session.close())
    result = session.run("df['c'] = 1")
    closer.join()
    assert not result.ok
    assert plane.approvals.pending() == []


def test_the_guest_has_no_way_to_answer(make: Make):
    """No module, no name and no operation of a guest reaches the questions."""
    plane = make(policy(timeout="1s"))
    code = (
        "import sys, socket, os\n"
        "found = [name for name in sys.modules if 'approval' in name]\n"
        "try:\n    socket.socket(socket.AF_UNIX)\nexcept OSError:\n    found.append('no socket')\n"
        "try:\n    os.listdir('/tmp')\nexcept OSError:\n    found.append('no folder')\n"
        "try:\n    df.approve('x')\nexcept (AttributeError, PermissionError):\n    found.append('no member')\n"
        "found"
    )
    with plane.session("agent", objects={"df": table()}) as session:
        assert session.run(code).value == "['no socket', 'no folder', 'no member']"


def test_a_capability_revoked_meanwhile_stays_revoked(make: Make):
    """A yes does not bring back what was taken away while the operation waited."""
    plane = make(policy())
    with plane.session("agent", objects={"df": table()}) as session:

        def person(asked: Approval) -> None:
            session.grants.revoke("df")
            plane.approvals.approve(asked.id, by="ann")

        waiting = answered_later(plane, person)
        result = session.run("df['c'] = 1")
        waiting.join()
    assert result.error is not None
    assert result.error.type == "Revoked"


def test_an_approver_that_fails_leaves_nothing_open(make: Make):
    """Its error does not become a yes, and no question stays behind."""

    def broken(asked: Approval) -> bool:
        raise OSError("the pager is down")

    plane = make(policy(), approver=broken)
    frame = table()
    with plane.session("agent", objects={"df": frame}) as session:
        result = session.run("df['c'] = 1")
    assert result.error is not None
    assert "pager" not in result.error.message
    assert list(frame.columns) == ["a", "b"]
    assert plane.approvals.pending() == []


def test_a_budget_may_ask_instead_of_refusing(make: Make):
    """`exceeded = "ask"`: a person lets the agent go beyond, once."""
    text = """
    schema = 1
    default = "deny"
    [modules]
    guest = "stdlib"
    [budgets.rows]
    limit = 2
    exceeded = "ask"
    [[rules]]
    id = "look"
    agent = "*"
    object = "*"
    effect = ["read", "compute", "reveal"]
    charge = { rows = "rows" }
    decide = "allow"
    """
    answers = iter([True, False])
    plane = make(Policy.parse(text), approver=lambda asked: next(answers))
    with plane.session("agent", objects={"df": table()}) as session:
        assert session.run("df.head(2).a.tolist()").value == "[1, 2]"
        assert session.run("df.a.tolist()").value == "[1, 2, 3]"
        refused = session.run("df.a.tolist()").error
    assert refused is not None
    assert refused.type == "ApprovalRejected"


def question(**more: Any) -> Question:
    fields: dict[str, Any] = {"session": "s", "agent": "a", "operation": b"o", "verb": "setitem", "member": "'x'"}
    fields |= {"type": "T", "objects": ("df",), "effects": ("mutate",), "effect": "mutate", "rules": ("r",)}
    return Question(**{**fields, "reason": "", "line": 1, "consequence": "changes df", **more})


def test_a_wider_scope_than_the_rule_gives_is_an_error():
    """`shape` is the most that a rule with remember = "shape" lets a person give."""
    approvals = Approvals(SystemClock())
    seen: list[Approval] = []
    approvals.listeners.append(seen.append)
    waiting = threading.Thread(target=approvals.ask, args=(question(), Ask((), 5, "shape", ("r",))))
    waiting.start()
    while not seen:
        time.sleep(0.001)
    with pytest.raises(ValueError, match="'shape' at most"):
        approvals.approve(seen[0].id, by="ann", scope="session")
    with pytest.raises(ValueError, match="one of never"):
        approvals.approve(seen[0].id, by="ann", scope="forever")
    approvals.approve(seen[0].id, by="ann", scope="never")
    waiting.join()
    assert approvals.remembered(question()) is None
    with pytest.raises(LookupError, match="approved already"):
        approvals.deny(seen[0].id, by="ann")
    with pytest.raises(LookupError, match="approvals list"):
        approvals.find("nothing")


def test_questions_are_bounded():
    """An agent that asks without end gets a no, not the plane's memory."""
    approvals = Approvals(SystemClock())
    threads = [
        threading.Thread(target=approvals.ask, args=(question(operation=bytes([n])), Ask((), 5, "never", ("r",))))
        for n in range(100)
    ]
    for thread in threads:
        thread.start()
    while len(approvals.pending()) < 100:
        time.sleep(0.001)
    answer = approvals.ask(question(operation=b"more"), Ask((), 5, "never", ("r",)))
    approvals.cancel("s")
    for thread in threads:
        thread.join()
    assert answer.state == "rejected"
    assert approvals.counts["cancelled"] == 100


def test_a_yes_for_one_operation_is_not_kept_for_ever():
    """Only the last operations that got a yes are remembered, so a plane that lives long stays small."""
    approvals = Approvals(SystemClock(), approver=lambda asked: True)
    for number in range(300):
        approvals.ask(question(operation=number.to_bytes(2, "big")), Ask((), 5, "call", ("r",)))
    assert approvals.remembered(question(operation=(299).to_bytes(2, "big"))) is not None
    assert approvals.remembered(question(operation=b"\0\0")) is None
    assert approvals.counts["asked"] == 300
