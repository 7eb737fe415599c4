"""`proxyplane serve` as a process of its own: sealed, found, used with curl, and ended in order."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
import tomllib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from proxyplane.audit import verify
from proxyplane.cli import main

from .conftest import httpx

ROOT = Path(__file__).parents[2]
CSV = "region,amount,ssn\nnorth,10,1-1\nsouth,20,2-2\nnorth,30,3-3\n"


class Process:
    """A running server, in a folder of its own."""

    def __init__(self, folder: Path, *options: str, policy: str = "open") -> None:
        self.folder = folder
        (folder / "sales.csv").write_text(CSV, encoding="utf-8")
        arguments = ["serve", "--object", "sales=sales.csv", "--policy", policy, "--audit", "audit", *options]
        environment = {**os.environ, "PYTHONPATH": str(ROOT), "XDG_STATE_HOME": str(folder / "state")}
        self.process = subprocess.Popen(
            [sys.executable, "-m", "proxyplane", *arguments],
            cwd=folder,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self.lines: list[str] = []
        self.url = ""
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.lines.append(line)
            if "serving " in line:
                self.url = line.rpartition(" ")[2].strip()
                return
        raise AssertionError(self.end())

    def token(self, role: str = "agent", file: str = "proxyplane-tokens.toml") -> str:
        """The first secret of a role."""
        entries = tomllib.loads((self.folder / file).read_text())["token"]
        return next(str(entry["secret"]) for entry in entries if entry["role"] == role)

    def http(self, role: str = "agent", **options: Any) -> Any:
        """A client with the token of a role."""
        headers = {"authorization": f"Bearer {self.token(role)}"}
        return httpx.Client(base_url=self.url, headers=headers, timeout=30, trust_env=False, **options)

    def end(self, number: signal.Signals = signal.SIGTERM) -> tuple[int, str, str]:
        """Ask it to end; exit code and texts."""
        if self.process.poll() is None:
            self.process.send_signal(number)
        out, err = self.process.communicate(timeout=60)
        return self.process.returncode, "".join(self.lines) + out, err


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., Process]]:
    """Starts servers; each ends with the test."""
    started: list[Process] = []

    def make(*options: str, **more: Any) -> Process:
        started.append(Process(tmp_path, *options, **more))
        return started[-1]

    yield make
    for each in started:
        each.end()


def registry(folder: Path) -> list[Path]:
    """What discovery finds."""
    return sorted((folder / "state" / "marimo" / "servers").glob("*.json"))


def test_a_server_serves_and_ends_in_order(start: Callable[..., Process], tmp_path: Path):
    """Sealed where the machine can, it runs code, keeps the notebook and the log, and a signal ends it cleanly."""
    (tmp_path / "books").mkdir()
    server = start("--register", "--notebooks", "books", "--approver-token-file", "approvers.toml")
    (entry,) = registry(tmp_path)
    told = json.loads(entry.read_text())
    assert f"http://{told['server_id']}" == server.url
    assert told["pid"] == server.process.pid
    with server.http() as http, server.http("reader") as reader:
        assert http.get("/health").json() == {"status": "healthy"}
        ((session, _),) = http.get("/api/sessions").json().items()
        body = {"code": "sales.groupby('region').amount.sum().to_dict()"}
        done = http.post("/api/kernel/execute", json=body, headers={"Marimo-Session-Id": session}).text
        assert "{'north': 40, 'south': 20}" in done
        hidden = {"code": "open('proxyplane-tokens.toml')"}
        done = http.post("/api/kernel/execute", json=hidden, headers={"Marimo-Session-Id": session}).text
        assert '"success": false' in done
        records = reader.get("/v1/effects", params={"session": session, "kind": "effect"}).json()["records"]
        assert {"groupby", "sum"} <= {record.get("member") for record in records}
        assert reader.get("/v1/effects/verify").json()["state"] == "clean"
    (book,) = (tmp_path / "books").glob("*.py")
    assert "sales = load(" in book.read_text()
    code, out, err = server.end()
    assert (code, err) == (0, "")
    assert "stopped" in out
    until = time.monotonic() + 10
    while registry(tmp_path) and time.monotonic() < until:
        time.sleep(0.05)
    assert registry(tmp_path) == []
    verdict = verify(tmp_path / "audit")
    assert (verdict.state, verdict.closed) == ("clean", True)


def test_a_run_that_goes_on_does_not_keep_the_server(start: Callable[..., Process], tmp_path: Path):
    """Asked to end while code runs and somebody follows the log, it ends what runs, and the log is whole."""
    server = start("--approver-token-file", "approvers.toml")
    follow = {"accept": "text/event-stream"}
    with server.http() as http, server.http("reader") as reader:
        path = "/v1/sessions/" + http.post("/v1/sessions", json={}).json()["id"]
        code = {"code": "import time\nprint(1, flush=True)\ntime.sleep(3)\nprint(2)"}
        with (
            http.stream("POST", f"{path}/run", json=code) as running,
            reader.stream("GET", "/v1/effects", headers=follow) as following,
        ):
            lines = running.iter_lines()
            assert next(lines) == "event: stdout"
            server.process.send_signal(signal.SIGINT)
            assert any("event: done" in line for line in lines)
            assert any(line.startswith("data") for line in following.iter_lines())
    code_of_exit, _, err = server.end()
    assert (code_of_exit, err) == (0, "")
    assert verify(tmp_path / "audit").state == "clean"


@pytest.mark.skipif(shutil.which("curl") is None, reason="the protocol is tried as scripts do")
def test_curl_does_what_notebook_scripts_do(start: Callable[..., Process], tmp_path: Path):
    """Discovery by file, health without a token, sessions with one, code executed, the end of the stream seen."""
    server = start("--register", "--approver-token-file", "approvers.toml")

    def curl(*arguments: str) -> str:
        return subprocess.run(["curl", "-sN", *arguments], capture_output=True, text=True, check=True).stdout

    (entry,) = registry(tmp_path)
    told = json.loads(entry.read_text())
    url = f"http://{told['host']}:{told['port']}{told['base_url']}"
    os.kill(told["pid"], 0)
    assert '"healthy"' in curl(f"{url}/health")
    bearer = f"Authorization: Bearer {server.token()}"
    session = next(iter(json.loads(curl("-H", bearer, f"{url}/api/sessions"))))
    for header in ("Marimo-Session-Id", "Marimo-Stable-Session-Id"):
        text = curl(
            "-X", "POST", "-H", bearer, "-H", f"{header}: {session}", "-H", "Content-Type: application/json",
            "-d", json.dumps({"code": "print(sales.shape)"}), f"{url}/api/kernel/execute",
        )  # fmt: skip
        assert text.startswith('event: stdout\ndata: {"data": "(3, 3)\\n"}\n\nevent: done\ndata: {"success": true')


def test_without_tokens_only_where_nobody_else_is(start: Callable[..., Process], tmp_path: Path):
    """`--no-token` serves the agent on loopback and says so; elsewhere it does not start."""
    server = start("--no-token")
    with httpx.Client(base_url=server.url, trust_env=False) as http:
        assert http.get("/api/sessions").status_code == 200
        assert http.get("/v1/effects").status_code == 403
        assert http.get("/api/sessions", headers={"origin": "https://example.org"}).status_code == 403
    assert "NO TOKENS" in server.end()[2]


@pytest.mark.parametrize(
    ("options", "word"),
    [
        (("--no-token", "--host", "0.0.0.0"), "everybody"),
        (("--certfile", "x.pem"), "--keyfile"),
        (("--certfile", "x.pem", "--keyfile", "y.pem"), "cannot listen"),
        (("--host", "256.1.1.1"), "cannot listen"),
        (("--token-file", "missing/tokens.toml"), "token file"),
        (("--policy", "nope.toml"), "nope.toml"),
        (("--object", "x=missing.csv"), "missing.csv"),
    ],
)
def test_what_cannot_be_served_is_told(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    options: tuple[str, ...],
    word: str,
):
    """A mistake in the options ends with code 2 and says what is wrong."""
    monkeypatch.chdir(tmp_path)
    given = ["serve", "--audit", "audit", "--approver-token-file", "approvers.toml"]
    policy = [] if "--policy" in options else ["--policy", "open"]
    assert main([*given, *policy, *options]) == 2
    assert word in capsys.readouterr().err


def test_tls(start: Callable[..., Process], tmp_path: Path):
    """With a certificate the server speaks TLS, and a client that trusts it is served."""
    openssl = shutil.which("openssl")
    if openssl is None:
        pytest.skip("a certificate is made with openssl")
    subject = ["-subj", "/CN=localhost", "-addext", "subjectAltName=IP:127.0.0.1"]
    made = [
        openssl,
        "req",
        "-x509",
        "-newkey",
        "rsa:2048",
        "-nodes",
        "-keyout",
        "key.pem",
        "-out",
        "cert.pem",
        *subject,
    ]
    subprocess.run(made, cwd=tmp_path, check=True, capture_output=True)
    server = start("--certfile", "cert.pem", "--keyfile", "key.pem", "--approver-token-file", "approvers.toml")
    assert server.url.startswith("https://127.0.0.1:")
    import ssl

    with server.http(verify=ssl.create_default_context(cafile=str(tmp_path / "cert.pem"))) as http:
        assert http.get("/v1/sessions").status_code == 200
