"""What agents that speak to notebooks ask, in the words of their protocol."""

from __future__ import annotations

import json
import os
import stat
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from proxyplane.transport.http.notebook import Cell, Notebook
from proxyplane.transport.http.serving import Listener, registry_file

from .conftest import Site
from .test_http_api import events

NAMES = ("Marimo-Session-Id", "Marimo-Stable-Session-Id")


@pytest.fixture
def here(site: Site) -> Iterator[tuple[Any, str]]:
    """A client and the id of a session of its own."""
    with site.http() as http:
        identifier = http.post("/v1/sessions", json={}).json()["id"]
        yield http, identifier
        http.delete(f"/v1/sessions/{identifier}")


def test_there_is_always_a_session(serve: Callable[..., Site]):
    """The first look opens a session; the next finds the same."""
    with serve().http() as http:
        found = http.get("/api/sessions").json()
        ((key, told),) = found.items()
        assert set(told) == {"session_id", "filename", "path"}
        assert told["session_id"] == key
        assert http.get("/api/sessions").json() == found


@pytest.mark.parametrize("header", NAMES)
def test_code_is_executed(here: tuple[Any, str], header: str):
    """Both headers name the session; output and the last value come as the scripts read them."""
    http, session = here
    body = {"code": "import sys\nprint('hello')\nprint('err', file=sys.stderr)\n1 + 1"}
    answer = http.post("/api/kernel/execute", headers={header: session}, json=body)
    assert answer.headers["content-type"].startswith("text/event-stream")
    assert events(answer.text) == [
        ("stdout", {"data": "hello\n"}),
        ("stderr", {"data": "err\n"}),
        ("done", {"success": True, "output": {"mimetype": "text/plain", "data": "2"}}),
    ]


def test_a_failure_is_told_on_stderr(here: tuple[Any, str]):
    """A traceback of the agent's own frames comes as stderr, then the end without success."""
    http, session = here
    answer = http.post("/api/kernel/execute", headers={NAMES[0]: session}, json={"code": "print(1)\n1/0"})
    found = events(answer.text)
    assert [kind for kind, _ in found] == ["stdout", "stderr", "done"]
    assert "ZeroDivisionError: division by zero" in found[1][1]["data"]
    assert found[2][1] == {"success": False, "output": {"mimetype": "text/plain", "data": ""}}
    denied = http.post("/api/kernel/execute", headers={NAMES[0]: session}, json={"code": "sales.to_csv('x')"})
    assert "refused: fs.write" in events(denied.text)[0][1]["data"]


@pytest.mark.parametrize(
    ("headers", "status", "detail"),
    [
        ({}, 400, "Missing Marimo-Session-Id header"),
        ({NAMES[0]: "nope"}, 404, "Invalid session id: nope"),
        ({NAMES[1]: "nope"}, 404, "Invalid stable session id: nope"),
    ],
)
def test_a_session_that_is_none_is_told_as_the_scripts_expect(
    site: Site, headers: dict[str, str], status: int, detail: str
):
    """A missing or unknown session is told with the detail that marimo gives."""
    with site.http() as http:
        answer = http.post("/api/kernel/execute", headers=headers, json={"code": "1"})
        assert (answer.status_code, answer.json()["detail"]) == (status, detail)


def test_cells_are_made_read_changed_run_and_deleted(here: tuple[Any, str]):
    """The cells of a session: each verb does what it says, and a run's outcome is in its cell."""
    http, session = here
    query = {"notebook": session}
    made = http.post("/notebooks/cells", json={"notebookUri": session, "code": "x = 1\nprint(x)\nx"}).json()
    assert made == {"ok": True, "result": {"index": 0, "cellCount": 1}}
    assert (
        http.post("/notebooks/cells", params=query, json={"code": "y = 2", "index": 0}).json()["result"]["index"] == 0
    )
    cells = http.get("/notebooks/cells", params=query).json()["result"]["cells"]
    assert [cell["code"] for cell in cells] == ["y = 2", "x = 1\nprint(x)\nx"]
    assert cells[0]["executionSummary"] is None
    assert http.patch("/notebooks/cells/0", params=query, json={"code": "y = 3"}).json()["ok"] is True
    ran = http.post("/notebooks/cells/1/run", params=query).json()["result"]
    assert ran["executionSummary"] == {"success": True}
    assert ran["outputs"] == [{"stream": "stdout", "text": "1\n"}, {"mimetype": "text/plain", "data": "1"}]
    assert http.delete("/notebooks/cells/0", params=query).json()["result"]["cellCount"] == 1
    assert http.get("/notebooks/cells", params=query).json()["result"]["cells"][0]["code"].startswith("x = 1")


def test_careless_requests_change_nothing(here: tuple[Any, str]):
    """A PATCH without code is 400 and wipes nothing; an index out of bounds is 404 with the count."""
    http, session = here
    query = {"notebook": session}
    http.post("/notebooks/cells", params=query, json={"code": "kept = 1"})
    for body in ({}, {"code": None}, {"code": 1}, None, []):
        answer = http.patch("/notebooks/cells/0", params=query, json=body)
        assert answer.status_code == 400
        assert "refusing to wipe cell" in answer.json()["detail"]
    for method, path in (("POST", "/notebooks/cells/99/run"), ("DELETE", "/notebooks/cells/1")):
        answer = http.request(method, path, params=query)
        assert answer.status_code == 404
        assert answer.json()["detail"].endswith("out of bounds (cellCount=1)")
    assert http.patch("/notebooks/cells/99", params=query, json={"code": "z"}).status_code == 404
    assert http.post("/notebooks/cells", params=query, json={"code": "z", "index": 7}).status_code == 404
    for number in ("-1", "x", "1.5"):
        assert http.delete(f"/notebooks/cells/{number}", params=query).status_code == 400
    for wrong in ({"notebook": "nope"}, {"notebook": ""}):
        assert http.get("/notebooks/cells", params=wrong).status_code == 404
    (cell,) = http.get("/notebooks/cells", params=query).json()["result"]["cells"]
    assert cell["code"] == "kept = 1"


def test_cells_of_others_do_not_exist(site: Site, here: tuple[Any, str]):
    """Another agent's notebook is not found."""
    _, session = here
    with site.http("other") as other:
        assert other.get("/notebooks/cells", params={"notebook": session}).status_code == 404


def test_runs_are_kept_as_a_notebook(site: Site, here: tuple[Any, str]):
    """Every run that went well is a cell of a file of marimo's form; what failed is not in it."""
    http, session = here
    for code in ("import math\nside = 2", "area = math.pi * side", "1/0", "area = round(area)"):
        http.post(f"/v1/sessions/{session}/run", json={"code": code})
    text = http.get(f"/v1/sessions/{session}/notebook").text
    path = Path(site.seat(session).notebook.path)
    assert path.read_text(encoding="utf-8") == text
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert text.startswith("import marimo\n")
    assert "1/0" not in text
    assert [cell["executionSummary"]["success"] for cell in http.get("/notebooks/cells", params={"notebook": session})
            .json()["result"]["cells"]] == [True, True, False, True]  # fmt: skip


def book(*codes: str) -> str:
    """The file of these cells."""
    made = Notebook("x")
    for code in codes:
        made.add(Cell(code, True, True))
    return made.text()


@pytest.mark.parametrize(
    "codes",
    [
        ("x = 1", "y = x + 1", "x = y"),
        ("import math", "import math; z = math.pi", "import math\nw = 2"),
        ("from math import pi\nfrom math import (\n    e,\n    tau,\n)", "pi = 3"),
        ('s = """a\n  b\n"""', "t = f'''{s}\nx'''"),
        ("def f(a):\n    return a * k", "k = 2", "f(3)"),
        ("for i in range(3):\n    pass", "[i for i in range(2)]", "i"),
        ("import asyncio\nawait asyncio.sleep(0)", "async def g():\n    await asyncio.sleep(0)"),
        ("class A:\n    x = 1", "a = A()", "_hidden = 1"),
        ("import os.path as p, math", "p", "not python ("),
        ("", "   ", "# only words"),
    ],
)
def test_a_notebook_defines_each_name_once(codes: tuple[str, ...]):
    """The file compiles, keeps every statement, and no two of its cells give the same name, which marimo refuses."""
    import ast

    tree = ast.parse(book(*codes))
    given: list[str] = []
    for node in tree.body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            last = node.body[-1]
            if isinstance(last, ast.Return) and isinstance(last.value, ast.Tuple):
                given += [each.id for each in last.value.elts if isinstance(each, ast.Name)]
    assert len(given) == len(set(given))
    for code in codes:
        for line in code.split("\n"):
            if line.strip() and "import" not in line and not line.startswith("  "):
                assert line.strip() in book(*codes)


def test_a_notebook_is_bounded():
    """Outputs of old cells fade, their code stays; beyond the last cell there is an error."""
    made = Notebook("x")
    for number in range(1000):
        made.add(Cell(f"x{number} = 1", True, True, ({"stream": "stdout", "text": "out"},)))
    assert sum(bool(cell.outputs) for cell in made.cells) == 100
    assert made.cells[-1].outputs
    assert made.cells[0].code == "x0 = 1"
    with pytest.raises(ValueError, match="1000"):
        made.add(Cell("y = 1"))


def test_marimo_runs_the_notebook(tmp_path: Path):
    """marimo itself runs the file as a program."""
    pytest.importorskip("marimo", reason="the notebook's own program")
    path = tmp_path / "book.py"
    path.write_text(
        book("import math\nx = 2", "y = x * 2", "x = y + 1", f"open({str(tmp_path / 'out')!r}, 'w').write(str(x))")
    )
    subprocess.run([sys.executable, path], check=True, timeout=60)
    assert (tmp_path / "out").read_text() == "5"


def test_the_registry_tells_where_the_server_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """The file has the seven fields that scripts require, a live process, and nobody else's eyes."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    listener = Listener.open("127.0.0.1", 0)
    with listener.socket:
        path = registry_file(listener, "0")
    assert path.parent == tmp_path / "marimo" / "servers"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    told = json.loads(path.read_text())
    assert set(told) == {"server_id", "pid", "host", "port", "base_url", "started_at", "version"}
    assert (told["pid"], told["host"], told["port"]) == (os.getpid(), "127.0.0.1", listener.port)
    assert f"http://{told['host']}:{told['port']}{told['base_url']}" == listener.url
