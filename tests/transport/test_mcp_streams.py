"""The standard streams of a real `proxyplane mcp` process: what breaks nothing, what ends it, who else may use them."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("mcp", reason="the protocol's SDK is an extra")
pytest.importorskip("pandas", reason="the objects are DataFrames")

from mcp import Client

from .mcpsite import Site, made, run, text_of


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Site:
    """A folder to serve, whose sockets this process finds, too."""
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path / "run"))
    return made(tmp_path)


def spoken(site: Site, *, data: bytes = b"") -> subprocess.Popen[bytes]:
    """A process whose streams this test holds."""
    streams: dict[str, Any] = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    process = subprocess.Popen([sys.executable, *site.arguments()], env={**os.environ, **site.environment}, **streams)
    assert process.stdin is not None
    if data:
        process.stdin.write(data)
        process.stdin.flush()
    return process


HELLO = {
    "jsonrpc": "2.0", "id": 1, "method": "initialize",
    "params": {"protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": {"name": "t", "version": "1"}},
}  # fmt: skip


@pytest.mark.parametrize(
    "hostile",
    [b"\xff\xfe\n", b"{\n", b"[]\n", b'{"jsonrpc": "2.0", "id": 2}\n', b"\x00\n", b"[" * 5000 + b"\n", b'"\\ud800"\n'],
    ids=["no-utf8", "broken", "no-object", "no-method", "null", "deep", "surrogate"],
)
def test_what_is_no_message_breaks_nothing(site: Site, hostile: bytes):
    """Broken lines of a client are passed over, and nothing but messages is written on its stream."""
    process = spoken(site, data=hostile + json.dumps(HELLO).encode() + b"\n")
    assert process.stdout is not None
    answers = []
    while not any(answer.get("id") == 1 for answer in answers):
        answers.append(json.loads(process.stdout.readline()))
    rest, _ = process.communicate()
    assert answers[-1]["result"]["serverInfo"]["name"] == "proxyplane"
    assert all(json.loads(line)["jsonrpc"] == "2.0" for line in rest.splitlines())
    assert process.returncode == 0


def test_a_message_without_end_ends_the_connection(site: Site):
    """The line is bounded; the process ends in order and says why."""
    process = spoken(site)
    _, errors = process.communicate(b'{"a": "' + b"x" * (9 << 20))
    assert process.returncode == 0
    assert b"more than 8,388,608 bytes" in errors


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT], ids=["term", "int"])
def test_a_signal_ends_it_in_order(site: Site, number: signal.Signals):
    """While a client's stream is still open: the session is closed and the log is whole."""
    process = spoken(site, data=json.dumps(HELLO).encode() + b"\n")
    assert process.stdout is not None
    assert process.stdout.readline()
    process.send_signal(number)
    assert process.wait(30) == 0
    process.communicate()
    verified = subprocess.run(
        [sys.executable, "-m", "proxyplane", "audit", "verify", str(site.folder / "audit")],
        check=False, capture_output=True, text=True, env={**os.environ, **site.environment},
    )  # fmt: skip
    assert verified.stdout.split()[0].rstrip(",") == "clean", verified.stdout
    assert [record["kind"] for record in site.records()].count("session.close") == 1


def test_a_client_that_goes_ends_what_it_began(site: Site):
    """A run that goes on when the stream ends goes down with its session, in order."""

    async def work(client: Client) -> None:
        early = await run(client, "while True: pass", wait=0)
        assert early.structured_content["state"] == "running"

    site.use(work)
    assert "session.close" in [record["kind"] for record in site.records()]
    assert "Traceback" not in site.errors


def test_nothing_else_speaks_on_the_stream(site: Site):
    """What the host prints goes to standard error; a guest's descriptors are not the client's."""
    code = "import os\nfor n in (1, 2):\n    try: os.write(n, b'stray')\n    except OSError: pass\n'fine'"
    assert "fine" in text_of(site.use(lambda client: run(client, code)))


def test_the_command_needs_a_process_of_its_own(capsys: pytest.CaptureFixture[str]):
    """A program that calls the command line keeps its standard streams."""
    from proxyplane.cli import main

    assert main(["mcp", "--policy", "open", "--audit", "audit"]) == 2
    assert "process of its own" in capsys.readouterr().err
