"""Code that nobody here wrote runs on the road as it does natively; skipped where the corpora are not there."""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterator
from pathlib import Path

import pytest

from benchmarks import fidelity
from proxyplane import ControlPlane

pytestmark = pytest.mark.skipif(not fidelity.CORPORA.is_dir(), reason="the corpora are not there")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where examples write their files."""
    return tmp_path_factory.mktemp("examples")


@pytest.fixture(scope="module")
def plane(folder: Path) -> Iterator[ControlPlane]:
    """One permissive plane for all corpora."""
    with fidelity.permissive(folder) as opened:
        yield opened


@pytest.fixture(autouse=True)
def _quiet_elsewhere(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Examples write files and warn natively; neither is what is tested here."""
    monkeypatch.chdir(folder)
    monkeypatch.setitem(os.environ, "MPLBACKEND", "Agg")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def failures(cases: Iterator[fidelity.Case]) -> tuple[list[str], int]:
    """Names and reasons of what differs from native, and how many ran."""
    ran = list(cases)
    return [f"{case.name}: {case.note}" for case in ran if not case.ok], len(ran)


def test_solutions_of_ds1000_give_native_results(plane: ControlPlane) -> None:
    """The first 80 reference solutions that run natively here pass their checkers and equal the native result."""
    failed, ran = failures(fidelity.ds1000(plane, limit=80))
    assert ran > 60
    assert [line for line in failed if "No module named" not in line] == []


def test_tpch_queries_give_native_results(plane: ControlPlane) -> None:
    """All TPC-H queries, in pandas and in polars, equal their native result."""
    pytest.importorskip("pyarrow")
    failed, ran = failures(fidelity.tpch(plane))
    assert ran == 30
    assert failed == []


def test_puzzles_print_what_they_print_natively(plane: ControlPlane) -> None:
    """The pandas puzzles, in one session: only the one that shows the machine may differ."""
    failed, ran = failures(fidelity.puzzles(plane))
    assert ran > 40
    assert [line for line in failed if "show_versions" not in line] == []


def test_a_sample_of_pandas_examples_passes(plane: ControlPlane) -> None:
    """Of every tenth docstring at least 97 of 100 examples give their documented output."""
    pytest.importorskip("jinja2")
    pytest.importorskip("matplotlib")
    failed, ran = failures(fidelity.pandas_examples(plane, limit=150))
    assert ran > 300
    assert len(failed) <= ran * 0.03, "\n".join(failed)
