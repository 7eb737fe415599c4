"""`run` and `exec` with `[fs]`: the source of a projected object is not granted beside its projection."""

from __future__ import annotations

from pathlib import Path

import pytest

from proxyplane import cli

POLICY = """
schema = 1
[objects.sales]
hide = ["card"]
[fs]
root  = "."
read  = {read}
write = ["**"]
[[rules]]
id     = "all"
agent  = "*"
object = "*"
effect = ["read", "compute", "reveal", "fs.read", "fs.write"]
decide = "allow"
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A table with a column to hide, and a place to work."""
    pytest.importorskip("pandas", reason="the commands grant data files")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "sales.csv").write_text("region,card\nnorth,CANARY\n", encoding="utf-8")
    return tmp_path


def execute(code: str) -> int:
    """Run code over the table."""
    return cli.main(["exec", "-c", code, "--object", "sales=data/sales.csv", "--policy", "p.toml", "--audit", "audit"])


@pytest.mark.parametrize("read", ['["data/*.csv"]', '["**"]'])
def test_a_policy_that_grants_the_source_is_refused(
    folder: Path, capsys: pytest.CaptureFixture[str], read: str
) -> None:
    """Exit code 2, before anything runs, and the text names the file and the object."""
    (folder / "p.toml").write_text(POLICY.format(read=read))
    assert execute("1") == 2
    error = capsys.readouterr().err
    assert "data/sales.csv" in error
    assert '"sales"' in error


def test_source_policy_and_log_are_out_of_reach(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A write glob that covers everything grants neither the source, nor the policy, nor the log."""
    (folder / "p.toml").write_text(POLICY.format(read='["notes/*"]'))
    policy = (folder / "p.toml").read_text()
    code = """
import os
for path in ('data/sales.csv', 'p.toml', 'audit/x'):
    for use in (lambda: open(path, 'w'), lambda: os.rename(path, 'notes.txt'), lambda: os.remove(path)):
        try: use(); print('done', path)
        except PermissionError: print('refused')
"""
    assert execute(code) == 0
    assert capsys.readouterr().out.split() == ["refused"] * 9
    assert (folder / "p.toml").read_text() == policy
    assert "CANARY" in (folder / "data" / "sales.csv").read_text()
