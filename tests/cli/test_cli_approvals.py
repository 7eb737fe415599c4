"""`proxyplane approvals`: a person answers at a terminal what an agent of the same user cannot."""

from __future__ import annotations

import json
import os
import pty
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from proxyplane import ControlPlane, Policy
from proxyplane.cli import main
from proxyplane.desk import Desk, DeskError, ask

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
ask = { timeout = "20s" }
"""


@pytest.fixture(autouse=True)
def runtime(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))


class Held:
    """A plane with a desk and one operation that waits."""

    def __init__(self, plane: ControlPlane, code: str = "df['c'] = 1\ndf.shape") -> None:
        self.plane = plane
        plane.desk = self.desk = Desk()
        self.desk.open(plane)
        self.session = plane.session("agent", objects={"df": pd.DataFrame({"a": [1], "\x1b[31mred": [2]})})
        self.result: Any = None
        self.thread = threading.Thread(target=lambda: setattr(self, "result", self.session.run(code)))
        self.thread.start()
        while not plane.approvals.pending():
            time.sleep(0.002)
        self.id = plane.approvals.pending()[0].id

    def ended(self) -> Any:
        self.thread.join(30)
        return self.result


@pytest.fixture
def plane() -> Iterator[ControlPlane]:
    with ControlPlane(policy=Policy.parse(POLICY)) as opened:
        yield opened
        for approval in opened.approvals.pending():
            opened.approvals.deny(approval.id, by="the test")


def test_list_shows_what_waits(plane: ControlPlane, capsys: pytest.CaptureFixture[str]):
    """Who, what, why and what would change; text of agents and data cannot move the cursor."""
    held = Held(plane, "df['\\x1b[2Jc'] = 1")
    assert main(["approvals", "list"]) == 0
    shown = capsys.readouterr().out
    assert held.id in shown
    assert "changes in place" in shown
    assert "rule ask-first" in shown
    assert "\x1b" not in shown
    assert main(["approvals", "list", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)[0]["agent"] == "agent"
    assert main(["approvals", "watch", "-n", "1"]) == 0
    assert held.id in capsys.readouterr().out


def test_deny_needs_no_secret(plane: ControlPlane, capsys: pytest.CaptureFixture[str]):
    """A no is safe from anybody; the agent gets the note."""
    held = Held(plane)
    assert main(["approvals", "deny", held.id, "--note", "not today"]) == 0
    assert f"{held.id} is rejected" in capsys.readouterr().out
    assert "not today" in held.ended().error.message
    assert main(["approvals", "list", "--all"]) == 0
    assert "rejected" in capsys.readouterr().out


def test_the_planes_own_user_cannot_approve_without_the_secret(plane: ControlPlane):
    """An agent with a shell of the same user has the socket, and still no yes; five wrong secrets end it."""
    held = Held(plane)
    with pytest.raises(DeskError, match="no terminal to show a secret on"):
        ask(held.desk.path, "approve", id=held.id)
    held.desk.secret = "aaaa-bbbb-cccc"
    for _ in range(5):
        with pytest.raises(DeskError, match="not the secret"):
            ask(held.desk.path, "approve", id=held.id, secret="guess")
    with pytest.raises(DeskError, match="too many wrong"):
        ask(held.desk.path, "approve", id=held.id, secret="aaaa-bbbb-cccc")
    assert plane.approvals.find(held.id).state == "pending"


def test_a_person_with_the_secret_approves_at_a_terminal(plane: ControlPlane):
    """The secret is typed at the terminal: given in an argument, the environment or standard input it is not read."""
    held = Held(plane)
    held.desk.secret = "aaaa-bbbb-cccc"
    command = [sys.executable, "-m", "proxyplane", "approvals", "approve", held.id, "--by", "ann"]
    piped = subprocess.run(
        command, input="aaaa-bbbb-cccc\n", capture_output=True, text=True, start_new_session=True, check=False
    )
    assert piped.returncode == 2
    assert "needs a terminal" in piped.stderr
    child, terminal = pty.fork()
    if child == 0:
        os.execv(sys.executable, command)
    try:
        shown = b""
        while b"approval secret" not in shown:
            shown += os.read(terminal, 4096)
        os.write(terminal, b"aaaa-bbbb-cccc\n")
        while b"is approved" not in shown:
            shown += os.read(terminal, 4096)
    finally:
        os.close(terminal)
        os.waitpid(child, 0)
    assert held.ended().value == "(1, 3)"
    assert plane.approvals.find(held.id).by == ("ann",)


def test_unknown_questions_are_told(plane: ControlPlane, capsys: pytest.CaptureFixture[str]):
    """A wrong id is an error that says where the right ones are."""
    assert main(["approvals", "approve", "00000000"]) == 2
    assert "proxyplane approvals list" in capsys.readouterr().err
    assert main(["approvals", "list"]) == 0
    assert "nothing waits" in capsys.readouterr().out
