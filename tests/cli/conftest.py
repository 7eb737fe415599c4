"""The command line as a person uses it, in this process: arguments in, exit code and texts out."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest

from proxyplane.cli import main


class Ran(NamedTuple):
    """What a command came to."""

    code: int
    out: str
    err: str


Command = Callable[..., Ran]

SALES = "region,amount,ssn\nnorth,10,1-1\nsouth,20,2-2\nnorth,30,3-3\n"


@pytest.fixture
def command(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Command:
    """Run a command in a folder of its own."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "200")

    def run(*arguments: str) -> Ran:
        capsys.readouterr()
        code = main(arguments)
        out, err = capsys.readouterr()
        return Ran(code, out, err)

    return run


@pytest.fixture
def sales(tmp_path: Path) -> Path:
    """A data file with three rows, in the command's folder."""
    path = tmp_path / "sales.csv"
    path.write_text(SALES, encoding="utf-8")
    return path
