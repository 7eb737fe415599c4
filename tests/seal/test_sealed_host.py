"""A sealed host: its libraries compute as usual, and the kernel refuses what the catalog could miss."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from proxyplane import audit
from proxyplane.guest import sandbox

from . import attempts

pytest.importorskip("pandas")
pytest.importorskip("polars")
pytest.importorskip("pyarrow")
pytest.importorskip("sklearn")
pytest.importorskip("matplotlib")

ROOT = Path(__file__).parents[2]

pytestmark = pytest.mark.skipif(not sandbox._landlock_abi, reason="this kernel has no Landlock")

COMPUTED = {
    "pandas": "{'north': 40, 'south': 20}",
    "pandas csv": "(3, 2)",
    "pandas parquet": "(3, 2)",
    "granted file": "(1, 2)",
    "polars": "6",
    "polars parquet": "(1, 1)",
    "pyarrow": "3",
    "files": "'hi'",
    "scikit-learn": "165.0",
    "matplotlib": "True",
    "time zones": "'2024-01-01T00:00:00+01:00'",
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    found = tmp_path_factory.mktemp("sealed")
    (found / "secret.csv").write_text("region,amount\nnorth,10\nsouth,20\nnorth,30\n")
    (found / "work" / "data").mkdir(parents=True)
    (found / "work" / "data" / "more.csv").write_text("a,b\n1,2\n")
    return found


@pytest.fixture(scope="module")
def found(folder: Path) -> dict[str, Any]:
    """What a sealed process could and could not do; run once."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listener:
        listener.bind(str(folder / "listener.sock"))
        listener.listen()
        environment = {**os.environ, "PYTHONPATH": str(ROOT), "LISTENER": str(folder / "listener.sock")}
        done = subprocess.run(
            [sys.executable, "-m", "tests.seal.attempts", str(folder)],
            cwd=ROOT, env=environment, capture_output=True, text=True, timeout=100, check=False,
        )  # fmt: skip
    assert done.returncode == 0, done.stderr
    results: dict[str, Any] = json.loads(done.stdout)
    return results


@pytest.mark.parametrize("name", attempts.SNIPPETS)
def test_libraries_compute_as_usual(found: dict[str, Any], name: str):
    """What an agent may do works in a sealed host as in an open one, the files under [fs] included."""
    value = found["snippets"][name]
    if name == "scikit-learn":
        assert float(value) > 0
    else:
        assert value == COMPUTED[name]


NAMES = (
    *("polars write_parquet", "polars write_csv", "polars sink_csv", "polars sink_parquet", "polars scan_csv"),
    *("polars read_csv", "pyarrow write_table", "pyarrow write_dataset", "pyarrow read", "python open"),
    *("python write", "remove", "change mode", "make a folder", "write a log segment", "read a log segment"),
    *("remove a log segment", "list the log", "/etc/passwd", "other processes' memory", "tcp", "udp", "unix socket"),
    *("datagram pair", "child process", "shell", "fork", "ptrace", "signal the log writer"),
    *("pidfd of the log writer", "type into the terminal", "a new user", "duckdb copy", "duckdb read_text"),
)


@pytest.mark.parametrize("name", NAMES)
def test_the_kernel_refuses(found: dict[str, Any], name: str):
    """Native input and output from warm pools, sockets, processes and the log's own files: all refused."""
    if name not in found["attempts"]:
        pytest.skip("duckdb is not installed")
    wanted = ("IOException",) if name.startswith("duckdb") else ("PermissionError",)
    assert found["attempts"][name] in wanted


def test_memory_has_a_limit(found: dict[str, Any]):
    """A request beyond the limit is a MemoryError and not the end of the machine."""
    assert found["attempts"]["memory beyond the limit"] == "MemoryError"


def test_nothing_of_it_is_left(found: dict[str, Any], folder: Path):
    """No file came to be, none went, the log is whole, and the session went on."""
    assert sorted(path.name for path in folder.iterdir()) == ["listener.sock", "log", "secret.csv", "work"]
    assert (folder / "secret.csv").read_text().startswith("region")
    assert audit.verify(folder / "log").state == "clean"
    assert found["after"] == "(3, 2)"
    assert found["frozen"] is None


def test_the_tier_is_in_the_opening_record(found: dict[str, Any], folder: Path):
    """Who reads the log sees how guest and host were confined."""
    opened = [record for record in audit.read(folder / "log") if record["kind"] == "session.open"]
    assert [record["detail"]["host"] for record in opened] == ["sealed"] == [found["host"]]
