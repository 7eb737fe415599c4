"""The format does not change by accident: a stored log, its proof and its answers stay what they are."""

from __future__ import annotations

import importlib.util
import json
import shutil
from pathlib import Path

import pytest

from proxyplane.audit import AuditLog, Proof, read, standalone, verify
from proxyplane.audit.notes import PublicKey

HERE = Path(__file__).parent
GOLDEN = ("log/checkpoint", "log/log.pub", "log/00000001.seg", "record-7.tlog-proof", "records.json", "verdict.txt")


def test_the_same_log_is_written_today(tmp_path: Path) -> None:
    """The same records, keys and clock give the stored bytes, file by file."""
    spec = importlib.util.spec_from_file_location("make_vectors", HERE / "make.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    module.make(tmp_path)
    made = {str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*") if path.is_file()}
    kept = {
        str(path.relative_to(HERE)) for path in HERE.rglob("*") if path.is_file() and path.suffix not in (".py", ".pyc")
    }
    assert made == kept
    assert set(GOLDEN) < kept
    for name in kept:
        assert (tmp_path / name).read_bytes() == (HERE / name).read_bytes(), name


def test_the_stored_log_reads_and_verifies() -> None:
    """Records and verdict are the stored ones."""
    assert list(read(HERE / "log")) == json.loads((HERE / "records.json").read_text())
    verdict = verify(HERE / "log")
    assert (HERE / "verdict.txt").read_text() == f"{verdict}\nroot {verdict.root}\n"
    assert verdict.state == "clean"


def test_the_stored_proof_holds(capsys: pytest.CaptureFixture[str]) -> None:
    """Both verifiers accept the stored log and proof."""
    key = (HERE / "log" / "log.pub").read_text().strip()
    found = Proof.parse((HERE / "record-7.tlog-proof").read_bytes()).check(PublicKey.parse(key))
    assert found == json.loads((HERE / "records.json").read_text())[7]
    assert standalone.main(["proof", str(HERE / "record-7.tlog-proof"), "--key", key]) == 0
    assert json.loads(capsys.readouterr().out)["seq"] == 7
    assert standalone.main(["log", str(HERE / "log"), "--key", key]) == 0


def test_the_stored_log_cannot_be_continued_without_its_keys(tmp_path: Path) -> None:
    """A copy that has no keys is for reading."""
    shutil.copytree(HERE / "log", tmp_path / "log")
    (tmp_path / "log").chmod(0o700)
    with pytest.raises(Exception, match="keys are missing"):
        AuditLog.open(tmp_path / "log")
