"""What the catalog claims is what the libraries do: a sample of `python -m tests.catalog.reality`."""

from __future__ import annotations

import importlib
from typing import Any

import pytest

from proxyplane.catalog import Catalog
from tests.catalog.reality.__main__ import BRIEF, LIBRARIES, exercise, page
from tests.catalog.reality.watch import Watch

np = pytest.importorskip("numpy")


@pytest.mark.parametrize("library", LIBRARIES)
def test_no_member_does_what_its_line_does_not_say(library: str) -> None:
    """Neither examples nor simple calls change, open, spawn or share anything that the catalog does not declare."""
    for needed in (library, "matplotlib", "pandas", "pyarrow"):
        pytest.importorskip(needed)
    found = exercise(library, BRIEF)
    assert found["faults"] == []
    assert found["exercised"] > found["described"] * 0.5


WRONG = """
library  = "gauges"
versions = ">=1"
[module."gauges"]
grow    = "function compute"
save    = "function compute"
run     = "function compute"
part    = "function compute"
whole   = "function compute fresh"
honest  = "function compute values@0:fills"
"""


@pytest.fixture
def watch(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    """A library with a catalog that lies about it, and a watch over both."""
    import sys
    import types

    module = types.ModuleType("gauges")
    source = """
import os, subprocess, sys
import numpy as np
KEPT = []
def grow(values): values.append(1)
def honest(values): values[0] = 5
def save(path): open(path, "w").close()
def run(): subprocess.run([sys.executable, "-c", ""], check=True)
def part(values): return np.lib.stride_tricks.as_strided(values, (2,))
def whole(values): return values
"""
    exec(source, module.__dict__)
    monkeypatch.setitem(sys.modules, "gauges", module)
    path = tmp_path / "gauges.toml"
    path.write_text(WRONG)
    return Watch(Catalog.load("builtins", extra=[path]), "gauges")


LIES = {
    "grow": ("changes argument 0", lambda folder: [[]]),
    "save": ("fs.write: open", lambda folder: [str(folder / "x")]),
    "run": ("process: subprocess.Popen", lambda folder: []),
    "whole": ("a fresh list is argument 0", lambda folder: [[1]]),
    "part": ("a writeable array shares memory", lambda folder: [np.arange(3.0)]),
}


@pytest.mark.parametrize("name", LIES)
def test_a_line_that_lies_is_found(watch: Any, tmp_path: Any, name: str) -> None:
    """Each kind of lie that the check is made for is caught by it."""
    module = importlib.import_module("gauges")
    what, arguments = LIES[name]
    watch.method(module, name, *arguments(tmp_path))
    assert [fault.what.startswith(what) for fault in watch.faults.values()] == [True]
    assert set(watch.exercised) == {f"gauges.{name}"}


def test_a_line_that_tells_the_truth_is_not(watch: Any) -> None:
    """A declared change is no fault."""
    watch.method(importlib.import_module("gauges"), "honest", [1])
    assert not watch.faults


def test_the_page_lists_what_was_not_exercised() -> None:
    """Nothing is hidden: every member without a use stands on the page."""
    found: dict[str, Any] = {
        "library": "x",
        "described": 2,
        "exercised": 1,
        "uses": 3,
        "missing": ["x.T.a", "x.T.b"],
        "faults": [],
    }
    found["aliases"] = {"x.f": "Array of ndarray (argument 0)"}
    text = page([found])
    assert "- `x.T`: a, b" in text
    assert "- `x.f`: Array of ndarray (argument 0)" in text
    assert "| x | 2 | 1 (50%) | 3 | 0 |" in text
