"""MCP in the HTTP server: the official client over streamable HTTP, behind the same guard as every request."""

from __future__ import annotations

import asyncio
import json
import signal
import threading
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("mcp", reason="the protocol's SDK is an extra")

import httpx2
from mcp import Client
from mcp.client.streamable_http import streamable_http_client

from proxyplane.transport.mcp.tools import TOOLS

from .conftest import SECRETS, Site
from .test_serve import Process

CALL = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": "list_sessions", "arguments": {}}}
HEADERS = {"accept": "application/json, text/event-stream", "content-type": "application/json"}
ASKING = """
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
id = "changes"
effect = ["mutate"]
decide = "ask"
ask = { timeout = "60s" }
"""


def use(site: Site, role: str, work: Callable[[Client], Awaitable[Any]], mode: str = "auto") -> Any:
    """Do something with a client that has the token of a role."""

    async def main() -> Any:
        headers = {"authorization": f"Bearer {SECRETS[role]}"}
        async with httpx2.AsyncClient(headers=headers, trust_env=False, timeout=30) as http:
            transport = streamable_http_client(f"{site.url}/mcp", http_client=http)
            async with Client(transport, mode=mode) as client:
                return await work(client)

    return asyncio.run(main())


@pytest.mark.parametrize("mode", ["auto", "legacy"])
def test_the_official_client_works_over_http(site: Site, mode: str):
    """It lists the tools, looks, runs and reads the policy, by the protocol of today and by that of yesterday."""

    async def work(client: Client) -> Any:
        tools = await client.list_tools()
        assert {tool.name for tool in tools.tools} == set(TOOLS)
        shape = await client.call_tool("get_attr", {"name": "sales", "attribute": "shape"})
        run = await client.call_tool("execute_code", {"code": "sales.amount.sum()"})
        resources = (await client.list_resources()).resources
        policy = await client.read_resource(resources[0].uri)
        return shape.structured_content["value"], run.content[0].text, policy.contents[0].text

    shape, text, policy = use(site, "agent", work, mode)
    assert shape == {"$tuple": [3, 3]}
    assert text == "np.int64(60)"
    assert "agent agent" in policy


def test_a_principal_has_its_own_sessions_only(site: Site):
    """Another's session does not exist, by tool and by resource; who asks is whose token it is."""

    async def sessions(client: Client) -> list[str]:
        told = await client.call_tool("list_sessions", {})
        return [each["id"] for each in told.structured_content["sessions"]]

    mine, theirs = use(site, "agent", sessions), use(site, "other", sessions)
    assert mine
    assert theirs
    assert not set(mine) & set(theirs)

    async def reach(client: Client) -> Any:
        return await client.call_tool("describe", {"name": "sales", "session": mine[0]})

    refused = use(site, "other", reach)
    assert refused.is_error
    assert refused.structured_content["error"]["code"] == "unknown_session"


def test_tickets_are_their_owner_s(serve: Callable[..., Site]):
    """A ticket of another principal does not exist; an approver's yes lets the run go on."""
    site = serve(ASKING)

    async def begin(client: Client) -> Any:
        return await client.call_tool("execute_code", {"code": "sales['b'] = 1\nsales.shape", "wait": 0.5})

    async def status(client: Client) -> Any:
        return await client.call_tool("request_approval_status", {"ticket": ticket, "wait": 20})

    ticket = use(site, "agent", begin).structured_content["ticket"]
    assert use(site, "other", status).structured_content["error"]["code"] == "unknown_ticket"
    with site.http("approver") as http:
        (question,) = http.get("/v1/approvals").json()["approvals"]
        assert http.post(f"/v1/approvals/{question['id']}", json={"decision": "approve"}).status_code == 200
    assert use(site, "agent", status).content[0].text == "(3, 4)"


@pytest.mark.parametrize(
    ("role", "headers", "status"),
    [
        (None, {}, 401),
        ("reader", {}, 403),
        ("approver", {}, 403),
        ("agent", {"origin": "http://evil.example"}, 403),
        ("agent", {"host": "evil.example"}, 421),
    ],
    ids=["no-token", "reader", "approver", "origin", "host"],
)
def test_the_guard_stands_before_it(site: Site, role: str | None, headers: dict[str, str], status: int):
    """No token, a wrong role, another site's page and another name are refused as everywhere."""
    with site.http(role) as http:
        assert http.post("/mcp", json=CALL, headers={**HEADERS, **headers}).status_code == status


def test_a_body_that_is_too_large_is_refused(site: Site):
    """The server's own limit holds."""
    with site.http() as http:
        large = {**CALL, "params": {"name": "execute_code", "arguments": {"code": "x" * (5 << 20)}}}
        assert http.post("/mcp", json=large, headers=HEADERS).status_code == 413


@pytest.mark.parametrize("method", ["GET", "DELETE", "PUT"])
def test_only_calls_are_taken(site: Site, method: str):
    """There are no connections to listen on or to end."""
    with site.http() as http:
        assert http.request(method, "/mcp", headers=HEADERS).status_code == 405


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b'"\\ud800"', b"[" * 5000, json.dumps({"id": 1}).encode()])
def test_what_is_no_message_is_a_client_s_error(site: Site, body: bytes):
    """Never a fault of the server."""
    with site.http() as http:
        assert 400 <= http.post("/mcp", content=body, headers=HEADERS).status_code < 500


def test_a_client_that_goes_leaves_a_session_that_can_be_used(site: Site):
    """Over HTTP a request that is no longer waited for is no longer worked on."""

    async def leave(client: Client) -> None:
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(client.call_tool("execute_code", {"code": "while True: pass"}), 1.0)

    async def again(client: Client) -> Any:
        return await client.call_tool("execute_code", {"code": "1 + 1"})

    use(site, "agent", leave)
    assert use(site, "agent", again).content[0].text == "2"


def test_a_server_that_ends_ends_its_calls(tmp_path: Path):
    """A run that goes on does not keep the server: its call is told so, and the process ends in order."""
    process = Process(tmp_path)
    call = {**CALL, "params": {"name": "execute_code", "arguments": {"code": "while True: pass"}}}
    answers: list[Any] = []
    with process.http() as http, process.http() as other:
        worker = threading.Thread(target=lambda: answers.append(http.post("/mcp", json=call, headers=HEADERS)))
        worker.start()
        while [each["state"] for each in other.get("/v1/sessions").json()["sessions"]] != ["running"]:
            time.sleep(0.02)
        process.process.send_signal(signal.SIGTERM)
        worker.join(30)
    assert process.process.wait(30) == 0
    process.process.communicate()
    assert [answer.status_code for answer in answers] == [503]
    assert answers[0].json()["code"] == "stopping"
