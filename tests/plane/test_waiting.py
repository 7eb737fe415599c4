"""A host that waits for a person is not taken for one that hangs."""

from __future__ import annotations

import time

import pytest

from proxyplane import ControlPlane, Policy
from proxyplane.approvals import Approval

POLICY = """
schema = 1
default = "deny"
[modules]
guest = "stdlib"
[[rules]]
id = "work"
agent = "*"
object = "*"
effect = ["read", "compute", "reveal", "mutate"]
decide = "allow"
[[rules]]
id = "ask-first"
effect = ["mutate"]
decide = "ask"
ask = { timeout = "600s" }
"""


@pytest.mark.parametrize("answer", [True, False])
def test_the_time_for_an_answer_is_not_the_run_s(answer: bool):
    """The watchdog is told of a run that is due after the question's own time, and of the run's again afterwards."""
    due: list[float] = []

    def person(asked: Approval) -> bool:
        (session,) = plane.open_sessions()
        assert session.due is not None
        due.append(session.due - time.monotonic())
        return answer

    with ControlPlane(policy=Policy.parse(POLICY), approver=person) as plane:
        session = plane.session("agent", objects={"box": [1]})
        seen = session.on_output = lambda stream, text: due.append((session.due or 0) - time.monotonic())
        session.run("try:\n    box.append(2)\nexcept PermissionError:\n    pass\nprint('done')", timeout=30)
        assert seen is session.on_output
        assert session.due is None
    waiting, after = due
    assert 600 < waiting <= 630
    assert 0 < after <= 31
