"""The plane over MCP, with the official client on the standard streams of a real `proxyplane mcp` process."""

from __future__ import annotations

import asyncio
import base64
import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("mcp", reason="the protocol's SDK is an extra")
pytest.importorskip("pandas", reason="the objects are DataFrames")

from mcp import Client, MCPError

from proxyplane.desk import DeskError, ask, desks
from proxyplane.errors import tree
from proxyplane.transport.mcp import answers
from proxyplane.transport.mcp.tools import TOOLS as KINDS

from .mcpsite import ROOT, Site, made, run, text_of

TOOLS = {
    "list_sessions", "list_objects", "describe", "list_attrs", "get_attr", "execute_code", "request_approval_status",
}  # fmt: skip


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Site:
    """A folder to serve, whose sockets this process finds, too."""
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path / "run"))
    return made(tmp_path)


def answered(site: Site, command: str, **more: Any) -> dict[str, Any]:
    """A person's answer to the question that waits, by the plane's local socket."""
    for _ in range(2000):
        for path in desks():
            if waiting := ask(path, "approvals"):
                return ask(path, command, id=waiting[0]["id"], **more)
        time.sleep(0.005)
    raise AssertionError("nothing waits")


def secret(site: Site) -> str:
    """What only the person reads."""
    return (site.folder / "secret").read_text(encoding="ascii").strip()


def test_every_tool_is_listed_with_a_schema_and_a_description(site: Site):
    """A client sees seven tools, what each takes, and which of them only look."""

    async def work(client: Client) -> Any:
        assert "describe" in (client.instructions or "")
        return (await client.list_tools()).tools

    tools = {tool.name: tool for tool in site.use(work)}
    assert set(tools) == TOOLS
    assert all(tool.description and tool.input_schema["additionalProperties"] is False for tool in tools.values())
    assert not tools["execute_code"].annotations.read_only_hint
    assert all(tool.annotations.read_only_hint for name, tool in tools.items() if name != "execute_code")


def test_every_tool_answers(site: Site):
    """Each tool, called once, does what its description says; a hidden column is nowhere."""

    async def work(client: Client) -> dict[str, Any]:
        calls: dict[str, dict[str, Any]] = {
            "list_sessions": {},
            "list_objects": {},
            "describe": {"name": "sales", "members": ["to_clipboard", "groupby"]},
            "list_attrs": {"name": "sales", "match": "a", "limit": 3},
            "get_attr": {"name": "sales", "attribute": "shape"},
            "execute_code": {"code": "print('all')\nsales.groupby('region').amount.sum()"},
            "request_approval_status": {},
        }
        return {name: await client.call_tool(name, given) for name, given in calls.items()}

    found = site.use(work)
    assert set(found) == TOOLS
    assert not any(result.is_error for result in found.values())
    told = {name: result.structured_content for name, result in found.items()}
    (session,) = told["list_sessions"]["sessions"]
    assert (session["agent"], session["objects"]) == ("analyst", ["sales"])
    assert [each["name"] for each in told["list_objects"]["objects"]] == ["sales"]
    assert [each["name"] for each in told["describe"]["schema"]["columns"]] == ["region", "amount"]
    assert told["describe"]["asked"]["to_clipboard"]["verdict"] == "deny"
    assert told["describe"]["asked"]["groupby"]["verdict"] == "allow"
    assert "insert" in next(iter(told["describe"]["members"]["ask"].values()))
    assert told["list_attrs"]["attrs"] == ["abs", "add", "add_prefix"]
    assert told["get_attr"]["value"] == {"$tuple": [3, 2]}
    assert text_of(found["execute_code"]).splitlines()[:3] == ["all", "region", "north    40"]
    assert told["execute_code"]["session"] == session["id"]
    assert told["request_approval_status"] == {"tickets": []}
    assert not any("ssn" in json.dumps(each) for each in told.values())
    looked = [record for record in site.records() if record["kind"] == "effect" and record["via"] == "mcp"]
    assert {record["verb"] for record in looked} == {"describe", "list", "getattr"}


def test_a_reference_is_a_name_for_the_other_tools(site: Site):
    """What stays with the host is explored by its number, and only by numbers that were given."""

    async def work(client: Client) -> list[Any]:
        index = await client.call_tool("get_attr", {"name": "sales", "attribute": "index"})
        number = index.structured_content["value"]["$ref"]
        told = await client.call_tool("describe", {"name": str(number)})
        return [told, await client.call_tool("describe", {"name": str(number + 1000)})]

    told, other = site.use(work)
    assert told.structured_content["type"] == "pandas.RangeIndex"
    assert other.is_error
    assert other.structured_content["error"]["code"] == "unknown_object"


def test_names_persist_between_runs(site: Site):
    """A session is one REPL; a variable that stands for an object is listed."""

    async def work(client: Client) -> list[Any]:
        first = await run(client, "top = sales.head(1)\nn = 41")
        objects = await client.call_tool("list_objects", {})
        return [first, objects, await run(client, "n + len(top)")]

    first, objects, last = site.use(work)
    assert text_of(first).startswith("(done")
    assert [each["name"] for each in objects.structured_content["objects"]] == ["sales", "top"]
    assert text_of(last) == "42"


def test_a_refusal_is_a_tool_error_with_effect_rule_and_hint(site: Site):
    """The model reads what was refused, by what, and what would be allowed; a program reads the same, with the code."""

    async def work(client: Client) -> list[Any]:
        private = await client.call_tool("get_attr", {"name": "sales", "attribute": "_mgr"})
        return [private, await run(client, "sales.to_csv('out.csv')"), await run(client, "sales['ssn']")]

    private, written, hidden = site.use(work)
    told = private.structured_content["error"]
    assert private.is_error
    assert (told["code"], told["mcp_error"]) == ("denied_attribute", tree()["DeniedAttribute"].mcp_error)
    assert told["hint"] in text_of(private)
    error = written.structured_content["error"]
    assert written.is_error
    assert (error["type"], error["effect"], error["mcp_error"]) == ("Denied", "fs.write", tree()["Denied"].mcp_error)
    assert "refused: fs.write, by default: no rule allows it" in text_of(written)
    assert "allowed there" in error["hint"]
    assert hidden.structured_content["error"]["type"] == "KeyError"
    assert "private-name" not in text_of(written)


def test_code_that_fails_is_a_tool_error_with_its_traceback(site: Site):
    """The agent's own frames, what was printed before, and that it is no refusal."""
    result = site.use(lambda client: run(client, "print('before')\n1 / 0"))
    assert result.is_error
    assert text_of(result).startswith("before\nTraceback")
    assert "ZeroDivisionError: division by zero" in text_of(result)
    assert result.structured_content["error"]["code"] == "raised"


@pytest.mark.parametrize(
    ("tool", "given", "said"),
    [
        ("execute_code", {}, "code: Field required"),
        ("execute_code", {"code": 1}, "code: Input should be a valid string"),
        ("execute_code", {"code": "1", "more": 1}, "more: Extra inputs"),
        ("execute_code", {"code": "1", "timeout": 0}, "timeout: Input should be greater than 0"),
        ("describe", {"name": "nobody"}, "nobody"),
        ("describe", {"name": "sales", "session": "s-0"}, "no session of yours"),
        ("get_attr", {"name": "sales", "attribute": "nothing"}, "no attribute"),
        ("list_attrs", {"name": "sales", "limit": 0}, "limit: Input should be greater"),
        ("request_approval_status", {"ticket": "t-0"}, "no such ticket"),
    ],
)
def test_what_a_call_lacks_is_said(site_client: Callable[..., Any], tool: str, given: dict[str, Any], said: str):
    """Wrong arguments and unknown names are tool errors that a model can act on; the server goes on."""
    result = site_client(tool, given)
    assert result.is_error
    assert said in text_of(result)
    assert not site_client("list_sessions", {}).is_error


@pytest.fixture(scope="module")
def site_client(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Calls tools of one process that the tests of this module share."""
    folder = tmp_path_factory.mktemp("shared")
    shared = made(folder)
    with asyncio.Runner() as runner:
        asked: asyncio.Queue[Any] = asyncio.Queue()

        async def living() -> None:
            async with shared.client() as client:
                while (call := await asked.get()) is not None:
                    name, given, future = call
                    try:
                        future.set_result(await client.call_tool(name, given))
                    except MCPError as error:
                        future.set_exception(error)

        async def begin() -> Any:
            return asyncio.get_running_loop().create_task(living())

        async def call(name: str, given: dict[str, Any]) -> Any:
            future = asyncio.get_running_loop().create_future()
            await asked.put((name, given, future))
            return await future

        async def end() -> None:
            await asked.put(None)
            await life

        life = runner.run(begin())
        yield lambda name, given: runner.run(call(name, given))
        runner.run(end())


def test_an_unknown_tool_is_an_error_of_the_protocol(site_client: Callable[..., Any]):
    """A program that misspells a tool is told which there are."""
    with pytest.raises(MCPError, match="execute_code"):
        site_client("execute", {})


@pytest.mark.parametrize(
    ("code", "text"),
    [
        ("print('\\x1b[31mred\\u202e')", "\\x1b[31mred\\u202e"),
        ("print('\\ud800')", "\\ud800"),
        ("'<script>alert(1)</script>'", "'<script>alert(1)</script>'"),
        ("print('[a](javascript:b)')", "[a](javascript:b)"),
    ],
    ids=["escapes", "surrogates", "html", "markdown"],
)
def test_text_of_an_agent_is_plain_text(site_client: Callable[..., Any], code: str, text: str):
    """What agents or data wrote is a text block, with control characters shown; nothing of it breaks the stream."""
    result = site_client("execute_code", {"code": code})
    assert [part.type for part in result.content] == ["text"]
    assert text_of(result) == text
    assert not site_client("list_sessions", {}).is_error


def test_long_output_is_cut_and_says_so(site_client: Callable[..., Any]):
    """A model's context is not filled by one print."""
    result = site_client("execute_code", {"code": "print('x' * 300_000)"})
    assert len(text_of(result)) < 120_000
    assert "more characters are cut" in text_of(result)


def test_the_policy_as_the_agent_sees_it_is_a_resource(site: Site):
    """Stubs of what may be used, what a person must approve, what is refused; nothing that only the policy names."""

    async def work(client: Client) -> tuple[Any, Any, list[str]]:
        listed = (await client.list_resources()).resources
        templates = (await client.list_resource_templates()).resource_templates
        return listed, templates, [(await client.read_resource(each.uri)).contents[0].text for each in listed]

    listed, templates, (policy, stubs) = site.use(work)
    assert [each.name for each in listed] == ["policy", "sales"]
    assert templates[0].uri_template.endswith("/objects/{name}")
    assert "a person is asked:" in policy
    assert "modules of the host: pandas" in policy
    compile(stubs, "sales.pyi", "exec")
    assert "amount: Any  # column, int64" in stubs
    for text in (policy, stubs):
        assert "ssn" not in text
        assert "nothing_here" not in text
        assert str(site.folder) not in text


@pytest.mark.parametrize(
    "uri", ["proxyplane://s-0/policy", "proxyplane://x", "file:///etc/passwd", "proxyplane://a/b/c"]
)
def test_a_resource_that_is_none_is_an_error_of_the_protocol(site: Site, uri: str):
    """With the code and what to do; no file is a resource."""

    async def work(client: Client) -> None:
        with pytest.raises(MCPError, match=r"session of yours|no such resource") as caught:
            await client.read_resource(uri)
        assert caught.value.data["code"] in ("unknown_session", "unknown_resource")

    site.use(work)


def test_a_run_that_takes_too_long_is_ended_and_the_session_lives(site: Site):
    """The time limit of the run: its guest ends, what was lost is named, the next run works."""

    async def work(client: Client) -> list[Any]:
        await run(client, "kept = 1")
        return [await run(client, "while True: pass", timeout=0.5), await run(client, "sales.shape")]

    late, after = site.use(work)
    error = late.structured_content["error"]
    assert (error["type"], error["mcp_error"]) == ("GuestTimeout", tree()["GuestTimeout"].mcp_error)
    assert late.structured_content["lost"] == ["kept"]
    assert text_of(after) == "(3, 2)"


def test_a_client_that_stops_waiting_ends_its_run(site: Site):
    """A cancelled call is no longer worked on: the session is free at once."""

    async def work(client: Client) -> Any:
        with pytest.raises(MCPError, match=r"(?i)timed out"):
            await client.call_tool("execute_code", {"code": "while True: pass"}, read_timeout_seconds=1.0)
        return await run(client, "1 + 1")

    assert text_of(site.use(work)) == "2"


def test_a_long_run_is_answered_with_a_ticket(site: Site):
    """The call ends within its bound; the run goes on, the session is busy, and the ticket gives the answer."""

    async def work(client: Client) -> list[Any]:
        early = await run(client, "import time\ntime.sleep(1.5)\nprint('slept')", wait=0)
        ticket = early.structured_content["ticket"]
        busy = await run(client, "1")
        seen = await client.call_tool("request_approval_status", {})
        done = await client.call_tool("request_approval_status", {"ticket": ticket, "wait": 20})
        again = await client.call_tool("request_approval_status", {"ticket": ticket})
        return [early, busy, seen, done, again, await run(client, "2")]

    early, busy, seen, done, again, free = site.use(work)
    assert not early.is_error
    assert early.structured_content["state"] == "running"
    assert busy.is_error
    assert early.structured_content["ticket"] in text_of(busy)
    assert [each["ticket"] for each in seen.structured_content["tickets"]] == [early.structured_content["ticket"]]
    assert text_of(done) == text_of(again) == "slept"
    assert done.structured_content["state"] == "done"
    assert text_of(free) == "2"


def approval(site: Site, *, command: str, **more: Any) -> tuple[Any, Any, Any]:
    """A change that a person is asked about: the ticket, where it stands then, and its answer after theirs."""

    async def work(client: Client) -> tuple[Any, Any, Any]:
        early = await run(client, "sales['double'] = sales.amount * 2\nsales.double.sum()", wait=0.5)
        ticket = early.structured_content["ticket"]
        status = await client.call_tool("request_approval_status", {"ticket": ticket})
        given = {**more, "secret": secret(site)} if command == "approve" else more
        await asyncio.to_thread(answered, site, command, **given)
        return early, status, await client.call_tool("request_approval_status", {"ticket": ticket, "wait": 20})

    return site.use(work, "--approval-secret", str(site.folder / "secret"))


def test_an_approval_is_a_ticket_until_a_person_says_yes(site: Site):
    """The agent is told what is asked and by which rule; after the yes its run goes on where it was."""
    early, status, done = approval(site, command="approve")
    assert early.structured_content["state"] in ("waiting", "running")
    assert not status.is_error
    (asked,) = status.structured_content["approvals"]
    assert status.structured_content["state"] == "waiting"
    assert (asked["effect"], asked["rules"], asked["state"]) == ("mutate", ["changes"], "pending")
    assert asked["reason"] == "changes are for a person to allow"
    assert "changes" not in asked
    assert "Ask request_approval_status" in text_of(status)
    assert text_of(done) == "np.int64(120)"
    assert done.structured_content["state"] == "done"


def test_a_no_reaches_the_agent_as_a_refusal(site: Site):
    """With the rule, the person's words and what to do."""
    _, _, done = approval(site, command="deny", note="not today")
    error = done.structured_content["error"]
    assert done.is_error
    assert (error["type"], error["rule"]) == ("ApprovalRejected", "changes")
    assert error["mcp_error"] == tree()["ApprovalRejected"].mcp_error
    assert "not today" in text_of(done)
    assert "do not ask the same again" in text_of(done)


def test_nobody_approves_without_the_secret(site: Site):
    """The person's file is made for them alone, no agent reads it, and another secret approves nothing."""

    async def work(client: Client) -> list[Any]:
        early = await run(client, "sales['double'] = 1", wait=0.5)
        with pytest.raises(DeskError, match="not the secret"):
            await asyncio.to_thread(answered, site, "approve", secret="a-guess")
        await asyncio.to_thread(answered, site, "deny")
        await client.call_tool("request_approval_status", {"ticket": early.structured_content["ticket"], "wait": 20})
        return [await run(client, f"open({str(site.folder / 'secret')!r}).read()")]

    (read,) = site.use(work, "--approval-secret", str(site.folder / "secret"))
    assert (site.folder / "secret").stat().st_mode & 0o777 == 0o600
    assert read.is_error
    assert secret(site) not in text_of(read)


@pytest.mark.skipif(os.getuid() != 0, reason="an ordinary user's plane waits for root")
def test_where_nobody_can_be_asked_nothing_waits(site: Site):
    """Without a terminal and without a secret a question is a no at once, which says why."""
    result = site.use(lambda client: run(client, "sales['double'] = 1"))
    assert result.structured_content["error"]["type"] == "ApprovalRejected"
    assert "no terminal" in text_of(result)


@pytest.mark.parametrize(
    ("content", "mode", "said"),
    [("a-good-long-secret\n", 0o644, "can be read by others"), ("short\n", 0o600, "holds no line")],
)
def test_a_secret_that_is_none_is_said(site: Site, content: str, mode: int, said: str):
    """A file that others read, or that holds too little, ends the command before anything is served."""
    path = site.folder / "secret"
    path.write_text(content, encoding="utf-8")
    path.chmod(mode)
    command = [sys.executable, *site.arguments("--approval-secret", str(path))]
    done = subprocess.run(
        command,
        check=False,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        env={**os.environ, **site.environment},
    )
    assert done.returncode == 2
    assert said in done.stderr
    assert content.strip() not in done.stderr
    assert done.stdout == ""


def test_pictures_are_images(site: Site):
    """A plot that the code shows comes as an image, which is counted in the text."""
    pytest.importorskip("matplotlib", reason="the picture is a plot")
    code = "import matplotlib.pyplot as plt\nplt.plot([1, 2])\nplt.show()"
    result = site.use(lambda client: run(client, code), "--policy", "open")
    (picture,) = [part for part in result.content if part.type == "image"]
    assert picture.mime_type == "image/png"
    assert base64.b64decode(picture.data).startswith(b"\x89PNG")
    assert text_of(result) == "[pictures] 1"


@pytest.mark.parametrize(
    "content", ["\ud800", "<svg/>", "A", "A" * (5 << 20)], ids=["surrogate", "svg", "one", "large"]
)
def test_a_picture_that_is_none_is_text(content: str):
    """What a bundle says of itself is not believed; HTML stays behind."""
    told = {"value": None, "error": None, "lost": [], "ok": True}
    bundles = [{"image/png": content, "text/plain": "a plot"}, {"image/png": content, "text/html": "<b>"}]
    found = answers.result(answers.ran(told, "", "", bundles))
    assert [part.type for part in found.content] == ["text"]
    assert text_of(found) == "[display]\na plot\n[display]\n(image/png, text/html)"
    assert found.model_dump_json()


def test_a_call_that_is_cancelled_before_its_turn_does_nothing(site: Site):
    """Two calls at once take turns; the one that is given up meanwhile is not worked on when its turn comes."""

    async def work(client: Client) -> Any:
        first = asyncio.create_task(run(client, "import time\ntime.sleep(1.5)\nn = 1"))
        await asyncio.sleep(0.5)
        second = asyncio.create_task(run(client, "n = 2"))
        await asyncio.sleep(0.3)
        second.cancel()
        assert not (await first).is_error
        return await run(client, "n")

    assert text_of(site.use(work)) == "1"


PAGE = (ROOT / "docs" / "mcp.md").read_text(encoding="utf-8")


def test_the_page_names_the_errors_as_they_are():
    """Each row of the table of errors has the number of the class."""
    rows = dict(re.findall(r"^\| `(\w+)` \| (-\d+) \|$", PAGE, flags=re.MULTILINE))
    assert len(rows) >= 8
    assert {name: tree()[name].mcp_error for name in rows} == {name: int(number) for name, number in rows.items()}


def test_the_page_names_the_tools_and_their_arguments():
    """The table of tools is what a client is told."""
    rows = re.findall(r"^\| `(\w+)` \| ([^|]*)\| ", PAGE.partition("## Resources")[0], flags=re.MULTILINE)
    told = {name: set(re.findall(r"`(\w+)`", arguments)) for name, arguments in rows if name in KINDS}
    assert told == {name: set(kind.model.model_fields) - {"session"} for name, kind in KINDS.items()}


def test_the_page_names_the_options(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch):
    """Each option of the page is one of the command, and none of the command is left out."""
    from proxyplane.cli import main

    monkeypatch.setenv("COLUMNS", "200")
    assert main(["mcp", "--help"]) == 0
    known = set(re.findall(r"--[a-z][a-z-]+", capsys.readouterr().out)) - {"--help", "--no-seal"}
    assert known == set(re.findall(r"--[a-z][a-z-]+", PAGE.partition("## Tools")[0]))
