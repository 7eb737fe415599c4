"""Libraries of other versions than the reviewed ones, and what the generator tells of them."""

from __future__ import annotations

import os
import subprocess
import sys
import types
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from proxyplane.catalog import Catalog
from proxyplane.catalogs import generate
from proxyplane.catalogs.generate import Review, TypeReview, differences, render, unreviewed

OLD = """
class Gauge:
    def mean(self): ...
    def reset(self, out=None): ...
    def gone(self): ...
def load(path): ...
"""
NEW = """
import os
class Gauge:
    def mean(self, weights=None): ...
    def reset(self, hard=False, out=None): ...
    def wipe_disk(self): ...
    base = property(lambda self: None)
def load(path): ...
def fetch(url): ...
"""


def review() -> Review:
    return Review(
        library="gaugelib",
        versions=">=1",
        types=(TypeReview("gaugelib:Gauge", only=frozenset(("mean", "reset", "gone"))),),
        modules={"gaugelib": ("fetch",)},
        lines={"gaugelib.load": "function compute path:path-read"},
        absent=frozenset(),
        params={"out": "fills"},
        schema=frozenset(),
        fresh=frozenset(),
    )


@pytest.fixture
def installed() -> Iterator[Any]:
    """Installs a version of the library."""

    def install(source: str) -> types.ModuleType:
        module = types.ModuleType("gaugelib")
        module.__dict__["__name__"] = "gaugelib"
        exec(source, module.__dict__)
        sys.modules["gaugelib"] = module
        return module

    yield install
    sys.modules.pop("gaugelib", None)


def test_members_that_a_newer_version_brings_are_refused_at_run_time(installed: Any, tmp_path: Path) -> None:
    """The file of the reviewed version says nothing of them, and members that are gone offer nothing."""
    installed(OLD)
    path = tmp_path / "gaugelib.toml"
    path.write_text(render(review(), {}))
    module = installed(NEW)
    catalog = Catalog.load("builtins", extra=[path])
    entry, functions = catalog.of(module.Gauge), catalog.module("gaugelib")
    assert entry is not None
    assert functions is not None
    assert set(entry.members) == {"mean", "reset"}
    assert set(functions.members) == {"Gauge", "load"}
    assert catalog.denial(module.Gauge, "wipe_disk") is None


def test_the_generator_tells_what_a_newer_version_brings(installed: Any) -> None:
    """New, gone, moved and not reviewed: one line for each member."""
    installed(OLD)
    before = render(review(), {})
    installed(NEW)
    after = render(review(), {})
    told = [*differences("gaugelib", before, after), *unreviewed("gaugelib", after)]
    assert told == [
        "gaugelib: + gaugelib.Gauge.base = denied unknown: not reviewed",
        "gaugelib: - gaugelib.Gauge.gone = method compute",
        "gaugelib: ~ gaugelib.Gauge.reset: method compute out@0:fills -> method compute out@1:fills",
        "gaugelib: + gaugelib.Gauge.wipe_disk = denied unknown: not reviewed",
        "gaugelib: + gaugelib.fetch = denied unknown: not reviewed",
        "gaugelib: + gaugelib.os = denied import: not of this library; import it from where it belongs",
        "gaugelib: ? gaugelib.fetch: not reviewed",
        "gaugelib: ? gaugelib.Gauge.base: not reviewed",
        "gaugelib: ? gaugelib.Gauge.wipe_disk: not reviewed",
    ]


def test_the_check_fails_until_somebody_has_looked(
    installed: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """`--check` writes nothing and fails on a difference; writing settles that, but not what nobody reviewed."""
    installed(OLD)
    monkeypatch.setattr(generate, "FOLDER", tmp_path)
    monkeypatch.setattr(generate, "reviews", lambda: [review()])
    monkeypatch.setattr(generate, "expand", lambda ruled: 'library  = "pyarrow"\nversions = ">=18"\n')
    assert generate.main([]) == 0
    assert generate.main(["--check"]) == 0
    installed(NEW)
    assert generate.main(["--check"]) == 1
    assert "gaugelib: + gaugelib.Gauge.wipe_disk" in capsys.readouterr().out
    assert generate.main([]) == 0
    assert generate.main(["--check"]) == 1
    assert "gaugelib: ? gaugelib.Gauge.wipe_disk: not reviewed" in capsys.readouterr().out


def test_an_optional_library_changes_nothing(tmp_path: Path) -> None:
    """With numexpr installed, pandas offers the same members as without."""
    pd = pytest.importorskip("pandas")
    if not pd.__version__.startswith("3.1."):
        pytest.skip("the catalogs were generated from another version")
    (tmp_path / "numexpr.py").write_text(
        '__version__ = "99.0"\ndef set_num_threads(n): ...\ndef evaluate(*a, **k): ...\n'
    )
    code = "import numexpr, pandas as pd, sys; from proxyplane.catalogs.generate import render; "
    code += "from proxyplane.catalogs import review_builtins, review_numpy, review_pandas as r; t = {}; "
    code += "render(review_builtins.REVIEW, t); render(review_numpy.REVIEW, t); sys.stdout.write(render(r.REVIEW, t))"
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PYTHONPATH": f"{tmp_path}:{Path(generate.__file__).parents[2]}"},
    )
    assert done.returncode == 0, done.stderr[-500:]
    assert done.stdout == (generate.FOLDER / "pandas.toml").read_text()
