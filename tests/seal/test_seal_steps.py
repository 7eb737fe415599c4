"""The steps of the seal, each in a process of its own: what cannot be had is said, and what is needed can be had."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from proxyplane import audit
from proxyplane.cli import main
from proxyplane.guest import sandbox
from proxyplane.seal import memory_of_the_machine

ROOT = Path(__file__).parents[2]

pytestmark = pytest.mark.skipif(not sandbox._landlock_abi, reason="this kernel has no Landlock")

START = """
import sys, threading, time
from proxyplane import cli
{before}
sys.exit(cli.main())
"""

CATALOG = """
library = "msgpack"
versions = ">=1"
[module.gauges]
read = "function compute"
secret = "function compute"
"""

POLICY = """
schema = 1
[modules]
host = ["gauges"]
[[rules]]
id = "work"
agent = "*"
object = "*"
effect = ["read", "compute", "reveal", "callback"]
decide = "allow"
"""


def ran(folder: Path, code: str, *more: str, before: str = "") -> subprocess.CompletedProcess[str]:
    arguments = [sys.executable, "-c", START.format(before=before), "exec", "-c", code, "--audit", "log", *more]
    environment = {**os.environ, "PYTHONPATH": f"{ROOT}:{folder}", "XDG_RUNTIME_DIR": str(folder)}
    return subprocess.run(
        arguments, cwd=folder, env=environment, capture_output=True, text=True, timeout=60, check=False
    )


def test_threads_that_run_already_are_said(tmp_path: Path):
    """A thread that was there before would keep its files: the host does not call itself sealed."""
    before = "threading.Thread(target=time.sleep, args=(3,), daemon=True).start()"
    done = ran(tmp_path, "1 + 1", "--policy", "open", before=before)
    assert (done.returncode, done.stdout) == (0, "2\n")
    assert "NOT SEALED" in done.stderr
    assert "threads run already" in done.stderr
    opened = [record for record in audit.read(tmp_path / "log") if record["kind"] == "session.open"]
    assert [record["detail"]["host"] for record in opened] == ["unsealed"]


def test_a_kernel_without_landlock_is_said(tmp_path: Path):
    """Where a step cannot be had the run goes on, loudly; where a seal is required it does not."""
    before = "from proxyplane.guest import sandbox\nsandbox._landlock_abi = 0"
    done = ran(tmp_path, "1 + 1", "--policy", "open", before=before)
    assert (done.returncode, done.stdout) == (0, "2\n")
    assert "NOT SEALED: files could not be given up: Landlock is not available" in done.stderr
    done = ran(tmp_path, "1 + 1", "--policy", "open", "--require-sealed", before=before)
    assert (done.returncode, done.stdout) == (2, "")
    assert "cannot be sealed" in done.stderr


def test_a_filter_that_does_not_hold_is_noticed(tmp_path: Path):
    """The answer of the kernel is not believed: each step is tried."""
    before = "from proxyplane.guest import sandbox\nsandbox.install_filter = lambda program: None"
    done = ran(tmp_path, "1 + 1", "--policy", "open", before=before)
    assert "NOT SEALED: the system-call filter answered yes, and a socket could still be made" in done.stderr


def test_a_module_of_ones_own_can_be_imported_and_what_lies_beside_it_not_read(tmp_path: Path):
    """A granted module in the working folder works in a sealed host; the files around it stay closed."""
    module = "from pathlib import Path\nHERE = Path(__file__).parent\n"
    module += "def read():\n    return 7\n"
    module += "def secret():\n    import _io\n    return _io.FileIO(str(HERE / 'secret')).read()\n"
    (tmp_path / "gauges.py").write_text(module)
    (tmp_path / "secret").write_text("secret")
    (tmp_path / "own.toml").write_text(CATALOG)
    (tmp_path / "policy.toml").write_text(POLICY)
    options = ("--policy", "policy.toml", "--catalog", "own.toml", "--require-sealed")
    done = ran(tmp_path, "import gauges\ngauges.read()", *options)
    assert (done.returncode, done.stdout) == (0, "7\n"), done.stderr
    done = ran(tmp_path, "import gauges\ngauges.secret()", *options)
    assert done.returncode != 0
    assert "secret'" not in done.stdout


def test_a_process_that_only_calls_a_command_is_never_sealed(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    """A program that calls `main` with arguments keeps its files, and a required seal refuses."""
    arguments = ["exec", "-c", "1 + 1", "--policy", "open", "--audit", str(tmp_path / "log")]
    assert main(arguments) == 0
    assert capsys.readouterr() == ("2\n", "")
    assert main([*arguments, "--require-sealed"]) == 2
    Path(tmp_path / "still").write_text("here")


def test_a_host_may_hold_most_of_the_machine():
    """The default is below what there is, and above what any library needs to start."""
    total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    assert 100 << 20 < memory_of_the_machine() < total
