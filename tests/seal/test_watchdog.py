"""The watchdog: a host that hangs or eats memory is ended from outside, and its log says so."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from proxyplane import audit
from proxyplane.guest import sandbox

ROOT = Path(__file__).parents[2]

pytestmark = pytest.mark.skipif(not sandbox._landlock_abi, reason="this kernel has no Landlock")


def ended(folder: Path, how: str, words: str) -> subprocess.CompletedProcess[str]:
    """A host that came to that end."""
    private = folder / "tmp"
    private.mkdir()
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "TMPDIR": str(private)}
    done = subprocess.run(
        [sys.executable, "-m", "tests.seal.hanging", str(folder), how],
        cwd=ROOT, env=environment, capture_output=True, text=True, timeout=100, check=False,
    )  # fmt: skip
    # Reading to the end of standard error waits for the watchdog, which outlives its host.
    assert done.returncode == -signal.SIGKILL, done.stderr
    assert words in done.stderr
    assert not list(private.iterdir())
    return done


@pytest.mark.parametrize(
    ("how", "cause", "words"),
    [
        ("hang", "silence", "no sign of life"),
        ("loop", "silence", "no sign of life"),
        ("eat", "memory", "more memory"),
    ],
)
def test_a_host_that_hangs_or_eats_memory_is_ended(tmp_path: Path, how: str, cause: str, words: str):
    """It is killed, its log is whole and tells why, its operation is on record, and its private folder is gone."""
    ended(tmp_path, how, words)
    records = list(audit.read(tmp_path / "log"))
    seen = [record for record in records if record["kind"] == "observed"]
    assert [(record["reason"], record["detail"]["cause"]) for record in seen] == [("watchdog", cause)]
    assert audit.verify(tmp_path / "log").state == "clean"
    opened = [record for record in records if record["kind"] == "session.open"]
    assert [record["detail"]["host"] for record in opened] == ["sealed"]


def test_the_private_folder_goes_with_a_host_that_is_killed(tmp_path: Path):
    """Whatever way a host ends, nothing of it stays in the folder for temporary files."""
    assert Path(tempfile.gettempdir()) != tmp_path
    ended(tmp_path, "loop", "no sign of life")
