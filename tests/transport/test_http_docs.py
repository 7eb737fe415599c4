"""The page about HTTP: every curl is run against a server and answered well, the client's example does what it says."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from .conftest import SECRETS, Site
from .test_http_api import ASKING

PAGE = (Path(__file__).parents[2] / "docs" / "http.md").read_text(encoding="utf-8")
CURLS = [
    "curl " + command
    for block in re.findall(r"^```bash\n(.*?)^```", PAGE, flags=re.DOTALL | re.MULTILINE)
    for command in re.split(r"^curl ", block, flags=re.MULTILINE)
    if command.strip()
]


def test_the_page_has_every_verb():
    """Nobody has lost them."""
    assert len(CURLS) >= 24
    assert {"GET", "POST", "PATCH", "DELETE"} == {(re.findall(r"-X (\w+)", each) or ["GET"])[0] for each in CURLS}


@pytest.mark.skipif(shutil.which("curl") is None, reason="the commands are curl's")
def test_every_curl_of_the_page_is_answered(serve: Callable[..., Site], tmp_path: Path):
    """Run in the order of the page by a shell, each request is answered without a problem."""
    site = serve(ASKING, audit=tmp_path / "audit")
    with site.http() as http:
        session = http.post("/v1/sessions", json={}).json()["id"]
        other = http.post("/v1/sessions", json={}).json()["id"]
        asking = {"json": {"code": "sales['a'] = 1"}}
        worker = threading.Thread(target=lambda: http.post(f"/v1/sessions/{other}/run", **asking))
        worker.start()
        until = time.monotonic() + 20
        while not site.plane.approvals.pending() and time.monotonic() < until:
            time.sleep(0.05)
        (question,) = site.plane.approvals.pending()
        tokens = {"TOKEN": "agent", "READER": "reader", "APPROVER": "approver"}
        names = {name: SECRETS[role] for name, role in tokens.items()}
        environment = {**os.environ, **names, "URL": site.url, "S": session, "A": question.id}
        site.plane.log.sync()
        for command in CURLS:
            marked = command.replace("curl ", "curl -w '\\n%{http_code}' ", 1)
            done = subprocess.run(
                ["bash", "-c", marked], env=environment, capture_output=True, text=True, timeout=60, check=False
            )
            body, _, status = done.stdout.rpartition("\n")
            assert status in ("200", "201", "204"), (command, done.stdout, done.stderr)
            assert "event: error" not in body, command
        worker.join(20)
        assert site.plane.approvals.find(question.id).state == "rejected"


def test_the_client_example_does_what_it_says(site: Site):
    """The Python block runs as printed; it asserts what it says."""
    (example,) = re.findall(r"^```python\n(.*?)^```", PAGE, flags=re.DOTALL | re.MULTILINE)
    assert example.count("assert ") >= 4
    exec(compile(example, "http.md", "exec"), {"URL": site.url, "TOKEN": SECRETS["agent"]})


def test_the_limits_are_those_of_the_code():
    """The numbers of the page are the defaults."""
    from proxyplane.transport.http.roster import Rules

    rules = Rules()
    assert f"has {rules.requests_per_second:g}\nrequests a second" in PAGE
    assert f"{rules.at_once} at one time, {rules.sessions} sessions" in PAGE
    assert f"a body has {rules.body_bytes >> 20} MiB (413), a batch {rules.batch:,} operations" in PAGE
