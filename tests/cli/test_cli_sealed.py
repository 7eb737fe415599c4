"""`proxyplane run` and `exec` as processes of their own: sealed, with output as it comes and displays in files."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from proxyplane import audit
from proxyplane.cli.displaying import show_displays
from proxyplane.guest import sandbox

ROOT = Path(__file__).parents[2]

pytestmark = pytest.mark.skipif(not sandbox._landlock_abi, reason="this kernel has no Landlock")

POLICY = """
schema = 1
[objects.sales]
hide = ["ssn"]
[modules]
host = ["pandas", "numpy", "matplotlib"]
[fs]
root = "work"
write = ["out/**"]
[[rules]]
id = "work"
agent = "*"
object = "*"
effect = ["read", "compute", "reveal", "callback", "display", "mutate", "fs.write"]
decide = "allow"
"""


@pytest.fixture
def folder(tmp_path: Path, sales: Path) -> Path:
    (tmp_path / "policy.toml").write_text(POLICY, encoding="utf-8")
    (tmp_path / "work").mkdir()
    return tmp_path


def started(folder: Path, code: str, *more: str) -> subprocess.Popen[str]:
    arguments = [sys.executable, "-m", "proxyplane", "exec", "-c", code, "--object", "sales=sales.csv"]
    arguments += ["--policy", "policy.toml", "--audit", "log", *more]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "XDG_RUNTIME_DIR": str(folder)}
    return subprocess.Popen(
        arguments, cwd=folder, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def ran(folder: Path, code: str, *more: str) -> tuple[int, str, str]:
    process = started(folder, code, *more)
    out, err = process.communicate(timeout=60)
    return process.returncode, out, err


def host_tiers(folder: Path) -> list[str]:
    return [record["detail"]["host"] for record in audit.read(folder / "log") if record["kind"] == "session.open"]


def test_a_run_is_sealed_by_itself(folder: Path):
    """Without an option the host gives up files and network, says nothing of it, and records it."""
    code = "sales.to_csv('out/x.csv', index=False)\nint(sales.amount.sum())"
    assert ran(folder, code, "--require-sealed") == (0, "60\n", "")
    assert host_tiers(folder) == ["sealed"]
    assert (folder / "work" / "out" / "x.csv").read_text().startswith("region,amount\n")
    assert audit.verify(folder / "log").state == "clean"
    assert not list((folder / "proxyplane").iterdir())


def test_no_seal_says_so_loudly(folder: Path):
    """Who leaves the seal out reads what that means, and so does who reads the log."""
    code, out, err = ran(folder, "1 + 1", "--no-seal")
    assert (code, out) == (0, "2\n")
    assert "NOT SEALED" in err
    assert host_tiers(folder) == ["unsealed"]


def test_a_required_seal_cannot_be_left_out(folder: Path):
    """Both options at once are a mistake, told before anything starts."""
    code, out, err = ran(folder, "1 + 1", "--no-seal", "--require-sealed")
    assert (code, out) == (2, "")
    assert "--require-sealed" in err
    assert not (folder / "log").exists()


def test_a_log_below_a_folder_that_is_written_is_told(folder: Path):
    """What the kernel cannot keep closed is said; where a seal is required, nothing runs."""
    code, _, err = ran(folder, "1 + 1", "--audit", "work/out/log")
    assert code == 0
    assert "does not keep it closed" in err
    code, out, err = ran(folder, "1 + 1", "--audit", "work/out/log2", "--require-sealed")
    assert (code, out) == (2, "")
    assert "the seal is not whole" in err


def test_output_comes_as_it_is_printed(folder: Path):
    """What the agent's code prints is there while it still runs."""
    process = started(folder, "import time\nprint('begun', flush=True)\nwhile True:\n    time.sleep(0.05)\n")
    guard = threading.Timer(60, process.kill)
    guard.start()
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == "begun\n"
        assert process.poll() is None
    finally:
        guard.cancel()
        process.terminate()
        process.communicate(timeout=30)


def test_output_is_whole_and_in_order(folder: Path):
    """Pieces that came early are not printed again at the end."""
    code = "for i in range(300):\n    print(i, flush=True)\nprint('end')"
    _, out, _ = ran(folder, code)
    assert out == "".join(f"{i}\n" for i in range(300)) + "end\n"


def test_displays_are_saved(folder: Path):
    """Pictures and HTML go into the folder, a line says where; HTML cannot run scripts there."""
    code = (
        "import matplotlib.pyplot as plt\nplt.plot([1, 2])\nplt.show()\n"
        "import pandas as pd\ndisplay(pd.DataFrame({'a': ['<script>alert(1)</script>']}))"
    )
    status, out, err = ran(folder, code, "--display-dir", "shown", "--require-sealed")
    assert status == 0, err
    assert "<script>" in out
    files = {path.suffix: path for path in (folder / "shown").iterdir()}
    assert files[".png"].read_bytes().startswith(b"\x89PNG")
    page = files[".html"].read_text()
    assert "sandbox" in page
    assert "<script>" not in page
    assert re.findall(r"display \d: shown/display-\d\.\w+", err)


def test_displays_without_a_folder_are_told(capsys: pytest.CaptureFixture[str]):
    """The text is shown, and how to have the picture is said."""
    show_displays([{"text/plain": "<Figure>", "image/png": "aaaa"}], None)
    out, err = capsys.readouterr()
    assert out == "<Figure>\n"
    assert "--display-dir" in err


def test_a_name_that_is_taken_is_left_alone(tmp_path: Path):
    """Nothing that is in the folder is written over."""
    (tmp_path / "display-1.png").write_bytes(b"mine")
    show_displays([{"image/png": "aGk="}], tmp_path)
    assert (tmp_path / "display-1.png").read_bytes() == b"mine"
    assert (tmp_path / "display-1-1.png").read_bytes() == b"hi"


def test_a_sealed_session_can_be_reached_by_a_person(folder: Path):
    """The desk of a sealed host answers on a socket that was made before the seal."""
    process = started(folder, "import time\nprint('begun', flush=True)\nwhile True:\n    time.sleep(0.05)\n")
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == "begun\n"
        listed = subprocess.run(
            [sys.executable, "-m", "proxyplane", "sessions", "list"], cwd=folder, text=True, capture_output=True,
            env={**os.environ, "PYTHONPATH": str(ROOT), "XDG_RUNTIME_DIR": str(folder)}, check=True, timeout=30,
        )  # fmt: skip
        assert re.search(r"s-\w+\s+running\s+agent", listed.stdout)
    finally:
        process.terminate()
        process.communicate(timeout=30)
    deadline = time.monotonic() + 10
    while list((folder / "proxyplane").iterdir()) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not list((folder / "proxyplane").iterdir())
