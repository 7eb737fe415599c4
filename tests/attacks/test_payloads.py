"""Payloads written against this code, each in a fresh sealed guest: none gets what it wants, and the host goes on."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from proxyplane.cli.terminal import escaped
from proxyplane.results import RunResult
from proxyplane.sessions import Session

from .planes import Planes
from .world import World, everything_of, process_state

# What the agent does makes libraries warn in the host; that is nobody's mistake here.
pytestmark = [pytest.mark.filterwarnings("ignore"), pytest.mark.timeout(120)]

FILES = sorted((Path(__file__).parent / "payloads").glob("*.jsonl"))
PAYLOADS: list[dict[str, str]] = [json.loads(line) for file in FILES for line in file.read_text().splitlines()]
PREFACE = "import pandas as pd, numpy as np\n"
ENDS = {
    "MemoryError",
    "UndeclaredEffect",
    "GuestTimeout",
    "GuestCrashed",
    "ProtocolError",
    "FrameTooLarge",
    "TooDeep",
    "RecursionError",
}


def test_there_are_enough() -> None:
    """There are at least 150 payloads, each with its own name and a criterion."""
    assert len(PAYLOADS) >= 150
    assert len({payload["id"] for payload in PAYLOADS}) == len(PAYLOADS)
    assert all(payload["technique"] and payload["success"] and payload["code"].strip() for payload in PAYLOADS)


@pytest.mark.parametrize("payload", PAYLOADS, ids=lambda payload: payload["id"])
def test_a_payload_gets_nothing(
    payload: dict[str, str], planes: Planes, world: World, capfd: pytest.CaptureFixture[str]
) -> None:
    """It reaches no hidden value, file, port, right or state, and prints nothing on the host; the session, its
    neighbour and the host go on."""
    plane, neighbour, theirs = planes.of(payload["setup"], world.root)
    world.theirs = theirs
    state = process_state()
    try:
        with plane.session("attacker", objects=world.objects()) as session:
            code = world.code(payload["code"], neighbour.grants.held("theirs").handle)
            session.run(PREFACE)
            world.soil()
            result = session.run(code, timeout=4 if payload["kind"] == "survive" else 20)
            assert not world.succeeded(payload["kind"], result), everything_of(result)[:3000]
            assert_goes_on(payload, session, result)
        printed = capfd.readouterr().out
        assert not printed, printed[:500]
        assert neighbour.run("theirs.shape").value == "(4, 1)"
        assert process_state() == state
    finally:
        if payload["setup"] == "files":
            plane.close()


def assert_goes_on(payload: dict[str, str], session: Session, result: RunResult) -> None:
    """Whatever the payload did, the session works, or has ended with an error that says why."""
    if payload["kind"] == "clean":
        assert not {"\x1b", "\x9b", "\u202e"} & set(escaped(everything_of(result)))
        assert all("<script>alert" not in html_of(bundle) for bundle in result.display)
    after = session.run("df.shape")
    if after.ok:
        assert str(after.value).startswith("(")
    else:
        assert after.error is not None
        assert after.error.type in ENDS, after.error
        assert after.error.message


def html_of(bundle: dict[str, Any]) -> str:
    """The HTML of a bundle."""
    return str(bundle.get("text/html", ""))
