"""The agent skill, followed literally: its calls by an MCP client, its commands by a shell, its code in a session."""

from __future__ import annotations

import asyncio
import json
import os
import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("mcp", reason="the protocol's SDK is an extra")

from mcp import Client

from proxyplane import ControlPlane, Policy
from proxyplane.errors import tree
from proxyplane.transport.http.roster import Roster, Rules
from proxyplane.transport.http.tokens import AGENT, Principal
from proxyplane.transport.mcp.server import Plane
from proxyplane.transport.mcp.tools import TOOLS

from .conftest import SECRETS, Site, sales

SKILL = (Path(__file__).parents[2] / "skills/proxyplane/SKILL.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```(\w+)\n(.*?)^```", SKILL, flags=re.DOTALL | re.MULTILINE)
CALLS = [json.loads(line) for kind, block in BLOCKS if kind == "json" for line in block.splitlines()]


def test_it_has_the_form_of_an_agent_skill():
    """A head with name and description within the format's bounds; short enough to be read whole."""
    head, _, body = SKILL.removeprefix("---\n").partition("\n---\n")
    name, description = re.fullmatch(r"name: (\S+)\ndescription: >-\n((?:  .*\n)+)license: \S+", head).groups()  # type: ignore[union-attr]
    assert name == "proxyplane"
    assert 50 < len(" ".join(description.split())) <= 1024
    assert len(SKILL.splitlines()) < 200
    assert body.lstrip().startswith("# ")


def test_every_tool_is_taught():
    """What a server offers is used in the skill, and nothing else is."""
    assert {call["tool"] for call in CALLS} == set(TOOLS)


def test_the_errors_that_it_explains_exist():
    """Each name in the table of refusals is one that an agent can meet."""
    rows = re.findall(r"^\| (`\w+`(?:, `\w+`)*)", SKILL, flags=re.MULTILINE)
    named = {name for row in rows for name in re.findall(r"`(\w+)`", row)}
    assert len(named) >= 9
    assert named <= {*tree(), "KeyError"}


def test_its_calls_and_its_code_do_what_it_says():
    """Every call, in the order of the page, is answered without an error; what the code prints is what is shown."""

    async def follow(client: Client) -> int:
        printed, done = "", 0
        for kind, block in BLOCKS:
            calls = [json.loads(line) for line in block.splitlines()] if kind == "json" else []
            if kind == "python":
                calls = [{"tool": "execute_code", "arguments": {"code": block}}]
            for call in calls:
                result = await client.call_tool(call["tool"], call["arguments"])
                printed = "\n".join(part.text for part in result.content)
                assert not result.is_error, (call, printed)
                done += 1
            if kind == "text":
                assert printed == block.rstrip("\n")
        return done

    async def main(plane: Plane) -> int:
        async with Client(plane.server("0")) as client:
            return await follow(client)

    objects: dict[str, Any] = {"sales": sales()}
    with ControlPlane(policy=Policy.preset("analyst")) as plane:
        served = Plane(Roster(plane, objects, Rules()), lambda context: Principal("agent", AGENT))
        assert asyncio.run(main(served)) >= len(CALLS) + 2
        served.close()


@pytest.mark.skipif(shutil.which("curl") is None, reason="the commands are curl's")
def test_its_commands_run_as_printed(serve: Callable[..., Site]):
    """All commands in one shell, in the order of the page: each ends well, and the run's answer is there."""
    site = serve("analyst")
    script = "set -e -o pipefail\n" + "\n".join(block for kind, block in BLOCKS if kind == "bash")
    environment = {**os.environ, "PROXYPLANE_URL": site.url, "PROXYPLANE_TOKEN": SECRETS["agent"]}
    done = subprocess.run(
        ["bash", "-c", script], env=environment, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, (done.stdout, done.stderr)
    assert '"columns"' in done.stdout
    assert "north    40" in done.stdout
    assert site.served.roster.of("agent") == []
