"""`get_attr` over HTTP beside a bare route with the same answer, many clients, and an expression on a slow link."""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx

from proxyplane.transport.client import connect

ROUNDS = 15
LOOPS = 100
CLIENTS = 32
SECONDS = 4.0
DELAY = 0.02
"""Seconds that each request is held up on the slow link."""
BARE = """
import json, sys
import uvicorn
from starlette.applications import Starlette
from starlette.responses import Response
from starlette.routing import Route
BODY = {"name": "sales", "attribute": "shape", "value": {"$tuple": [1000, 2]}}
async def answer(request):
    return Response(json.dumps(BODY, separators=(",", ":")), media_type="application/json")
app = Starlette(routes=[Route("/bare", answer)])
config = uvicorn.Config(app, http="h11", loop="asyncio", port=0, log_level="info", access_log=False)
uvicorn.Server(config).run()
"""
LOAD = """
import sys, time, httpx
url, path, token, seconds = sys.argv[1:]
with httpx.Client(base_url=url, headers={"authorization": "Bearer " + token}, trust_env=False) as http:
    http.get(path).raise_for_status()
    sys.stdin.readline()
    until, count = time.monotonic() + float(seconds), 0
    while time.monotonic() < until:
        http.get(path).raise_for_status()
        count += 1
print(count)
"""


def _started(command: list[str], folder: str, mark: str, errors: bool) -> tuple[subprocess.Popen[str], str]:
    """A server, and its URL out of the line with `mark`."""
    process = subprocess.Popen(
        command, cwd=folder, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT if errors else None,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])},
    )  # fmt: skip
    assert process.stdout is not None
    for line in process.stdout:
        if mark in line:
            if errors:
                threading.Thread(target=process.stdout.read, daemon=True).start()
            return process, next(word for word in line.split() if word.startswith("http://"))
    raise RuntimeError("a server did not start")


def _latency(get: Callable[[], Any]) -> float:
    began = time.perf_counter()
    for _ in range(LOOPS):
        get()
    return (time.perf_counter() - began) / LOOPS * 1e6


def _throughput(url: str, path: str, token: str) -> float:
    """Requests a second of many clients, each in a process of its own."""

    def one() -> subprocess.Popen[str]:
        arguments = [sys.executable, "-c", LOAD, url, path, token, str(SECONDS)]
        return subprocess.Popen(arguments, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE)

    clients = [one() for _ in range(CLIENTS)]
    time.sleep(4)
    with ThreadPoolExecutor(CLIENTS) as pool:
        done = list(pool.map(lambda client: int(client.communicate("\n")[0]), clients))
    return sum(done) / SECONDS


class _Slow(httpx.HTTPTransport):
    """A link that holds up each request."""

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        time.sleep(DELAY)
        return super().handle_request(request)


def _chain(url: str, token: str) -> tuple[int, float]:
    """Round trips and seconds of an expression of ten steps."""
    with connect(url, token, transport=_Slow(), objects=["sales"]) as session:
        before, began = session.requests, time.perf_counter()
        sales = session.chain("sales")
        large = sales[sales["a"] > 500].assign(c=sales["b"] * 2).sort_values("c").groupby("b").c.sum()
        text = str(large.reset_index().head(3).round(1))
        assert text
        return session.requests - before, time.perf_counter() - began


def measure() -> list[dict[str, Any]]:
    """Rows for the page: latency, throughput, round trips."""
    with tempfile.TemporaryDirectory() as folder:
        lines = "".join(f"{number},{number % 7}\n" for number in range(1000))
        Path(folder, "sales.csv").write_text("a,b\n" + lines, encoding="utf-8")
        serve = [sys.executable, "-m", "proxyplane", "serve", "--object", "sales=sales.csv", "--policy", "open"]
        serve += ["--audit", "audit", "--approver-token-file", "approvers.toml", "--rate", "100000", "--at-once", "64"]
        server, url = _started(serve, folder, "serving ", False)
        bare, bare_url = _started([sys.executable, "-c", BARE], folder, "running on", True)
        try:
            text = Path(folder, "proxyplane-tokens.toml").read_text(encoding="utf-8")
            token = text.split('secret = "')[1].partition('"')[0]
            return _rows(url, bare_url, token)
        finally:
            for process in (server, bare):
                process.terminate()
                process.wait()


def _rows(url: str, bare_url: str, token: str) -> list[dict[str, Any]]:
    headers = {"authorization": f"Bearer {token}"}
    with (
        httpx.Client(base_url=url, headers=headers, trust_env=False) as http,
        httpx.Client(base_url=bare_url, headers=headers, trust_env=False) as peer,
    ):
        session = http.post("/v1/sessions", json={}).json()["id"]
        path = f"/v1/sessions/{session}/objects/sales/attrs/shape"
        ours, theirs = [], []
        for _ in range(ROUNDS):
            ours.append(_latency(lambda: http.get(path).raise_for_status()))
            theirs.append(_latency(lambda: peer.get("/bare").raise_for_status()))
        mine, other = statistics.median(ours), statistics.median(theirs)
        many, many_bare = _throughput(url, path, token), _throughput(bare_url, "/bare", token)
    trips, seconds = _chain(url, token)
    return [
        {
            "what": "get_attr over HTTP, log buffered",
            "measured": f"{mine:.0f} us",
            "beside": f"bare route {other:.0f} us",
            "ratio": f"{mine / other:.2f}",
            "wanted": "at most 2.0",
            "met": mine / other <= 2.0,
        },
        {
            "what": f"get_attr over HTTP, {CLIENTS} clients",
            "measured": f"{many:.0f}/s",
            "beside": f"bare route {many_bare:.0f}/s",
            "ratio": f"{many / many_bare:.2f}",
            "wanted": "at least 0.5",
            "met": many / many_bare >= 0.5,
        },
        {
            "what": f"ten steps on a link of {DELAY * 1000:.0f} ms",
            "measured": f"{trips} round trips, {seconds * 1000:.0f} ms",
            "wanted": "at most 3 round trips",
            "met": trips <= 3,
        },
    ]
