"""A catalog of one's own: as the page shows it, checked, and used on the road."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from proxyplane import ControlPlane, Policy
from proxyplane.catalog import LIBRARIES, Catalog
from proxyplane.catalogs.check import against, mistakes
from proxyplane.cli import main
from proxyplane.errors import CatalogError, Denied

PAGE = (Path(__file__).parents[2] / "docs" / "catalog.md").read_text(encoding="utf-8")
OWN = re.search(r'```toml\n(library  = "gauges".*?)```', PAGE, flags=re.DOTALL)
assert OWN is not None
TEXT = OWN[1]
SOURCE = """
class Gauge:
    def __init__(self): self.values = [1.0, 3.0]
    def mean(self): return sum(self.values) / len(self.values)
    def reset(self): self.values.clear()
    def tune(self, factor): self.values[:] = [factor * value for value in self.values]
    raw = b"buffer"
def load(path):
    with open(path) as file: return len(file.read())
"""
POLICY = """
schema = 1
[modules]
host = ["gauges"]
[[rules]]
id = "look"
agent = "*"
object = "*"
effect = ["read", "compute", "reveal", "callback", "display"]
decide = "allow"
"""


@pytest.fixture
def gauges(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """The library, installed for one test."""
    (tmp_path / "gauges.py").write_text(SOURCE)
    monkeypatch.syspath_prepend(str(tmp_path))
    import gauges  # type: ignore[import-not-found]

    yield gauges
    del sys.modules["gauges"]


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """The catalog of the page."""
    path = tmp_path / "gauges.toml"
    path.write_text(TEXT)
    return path


def test_ten_lines_are_enough(gauges: Any, file: Path) -> None:
    """The library of the page works: described members do, refused ones say why, the rest is unknown."""
    assert len(TEXT.strip().splitlines()) == 10
    plane = ControlPlane(policy=Policy.parse(POLICY), catalogs=[file])
    with plane, plane.session("agent", objects={"gauge": gauges.Gauge()}) as session:
        assert session.run("gauge.mean()").value == "2.0"
        refused = session.run("gauge.reset()").error
        assert refused is not None
        assert refused.effect == "mutate"
        assert session.run("hasattr(gauge, 'tune')").value == "False"
        with pytest.raises(Denied) as caught:
            session.get_attr("gauge", "tune")
        assert caught.value.effect == "unknown"
        assert session.run("hasattr(gauge, 'raw')").value == "False"
        with pytest.raises(Denied, match="the device's own buffer") as caught:
            session.get_attr("gauge", "raw")
        assert caught.value.effect == "memory"
        refused = session.run("import gauges\ngauges.load('/etc/hostname')").error
        assert refused is not None
        assert refused.effect == "fs.read"


def test_without_its_catalog_a_library_is_refused(gauges: Any) -> None:
    """An object that no catalog describes offers nothing."""
    plane = ControlPlane(policy=Policy.parse(POLICY.replace('host = ["gauges"]', "")))
    with plane, plane.session("agent", objects={"gauge": gauges.Gauge()}) as session:
        assert session.run("gauge.mean()").error is not None


MISTAKES = """librery = "gauges"
library = "gauges"
versions = "newest"
[module."gauges"]
load = "function compote"
save = 3
fetch = "functoin compute"
open = "function compute path@0:path-reed"
[type."gauges.Gauge"]
inherits = ["gauges.Guage"]
builtin = "number"
carries = "yes"
dynamic = "everything"
raw = "denied memory"
[type."pandas.DataFrame"]
attrs = "property read"
"""


def test_every_mistake_is_told_at_once_with_its_line() -> None:
    """One run of the check is enough to mend a file."""
    found = mistakes("own.toml", MISTAKES.encode(), LIBRARIES)
    assert [each.line for each in found] == [1, 3, 5, 6, 7, 8, 10, 11, 12, 13, 14, 15]
    told = "\n".join(map(str, found))
    for hint in ("did you mean 'library'?", "did you mean 'compute'?", "did you mean 'function'?", "unknown action"):
        assert hint in told
    for hint in ("did you mean 'gauges.Gauge'?", "float", "true nor false", '"columns"', "denied EFFECT: reason"):
        assert hint in told
    assert "described by proxyplane itself" in told


def test_loading_a_file_with_mistakes_tells_them_all(tmp_path: Path) -> None:
    """A plane is not opened over a catalog that is wrong."""
    path = tmp_path / "own.toml"
    path.write_text(MISTAKES)
    with pytest.raises(CatalogError) as caught:
        ControlPlane(policy=Policy.parse(POLICY), catalogs=[path])
    assert len(caught.value.mistakes) == 12


@pytest.mark.parametrize(
    "text", ["[module", "library = 3\nversions = 4\n", "", "module = 1\n", "[type.gauges.Gauge]\nx = 'y'\n"]
)
def test_whatever_is_in_a_file_is_told_and_never_raised(text: str) -> None:
    """A file of any form ends in messages."""
    assert mistakes("own.toml", text.encode(), LIBRARIES)


@pytest.mark.parametrize("library", sorted(LIBRARIES - {"builtins"}))
def test_no_file_may_describe_what_the_package_describes(tmp_path: Path, library: str) -> None:
    """A refusal of the package cannot be unsaid by another file."""
    for text in (
        f'library = "{library}"\nversions = ">=0"\n',
        f'library = "x"\nversions = ">=0"\n[type."{library}.T"]\nf = "property read"\n',
    ):
        path = tmp_path / "own.toml"
        path.write_text(text)
        with pytest.raises(CatalogError, match="itself"):
            Catalog.load(extra=[path])


def test_a_file_is_compared_with_its_library(gauges: Any) -> None:
    """Members, parameters and positions that are not so are told; so is what has no line."""
    text = TEXT.replace("mean  ", "meen  ").replace("path@0:", "path:").replace("reset  = ", "tune = ")
    text = text.replace('"method mutate"', '"method mutate facter@0:fills"')
    wrong, missing = against("own.toml", text.encode(), "gauges")
    told = "\n".join(map(str, wrong))
    assert "own.toml:7: 'meen' does not exist (did you mean 'mean'?)" in told
    assert "write path@0:path-read" in told
    assert "'tune' has no parameter 'facter' (did you mean 'factor'?)" in told
    assert missing == ["gauges.Gauge.mean", "gauges.Gauge.reset"]


@pytest.fixture
def command(capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, str]]:
    def run(*arguments: object) -> tuple[int, str]:
        capsys.readouterr()
        code = main([*map(str, arguments)])
        out, err = capsys.readouterr()
        return code, out + err

    return run


def test_the_commands(command: Any, gauges: Any, file: Path, tmp_path: Path) -> None:
    """`catalog check`, `show` and `list` tell what a person needs, with exit codes."""
    code, out = command("catalog", "check", file, "--module", "gauges")
    assert (code, "not described, so refused: gauges.Gauge.tune" in out) == (0, True)
    assert "5 members described, 1 refused by name" in out
    bad = tmp_path / "bad.toml"
    bad.write_text(MISTAKES)
    code, out = command("catalog", "check", bad)
    assert (code, "bad.toml:5: " in out, "12 mistakes" in out) == (1, True, True)
    assert command("catalog", "check", tmp_path / "none.toml")[0] == 2
    assert command("catalog", "check", file, "--module", "no_such_module")[0] == 2
    code, out = command("catalog", "show", "gauges.Gauge.raw", "--catalog", file)
    assert (code, "refused as memory: the device's own buffer" in out) == (0, True)
    code, out = command("catalog", "show", "pandas.DataFrame.to_csv")
    assert (code, "path_or_buf@0:path-write" in out) == (0, True)
    code, out = command("catalog", "show", "pandas.DataFrame.to_csw")
    assert (code, "did you mean to_csv?" in out) == (2, True)
    code, out = command("catalog", "list", "--catalog", file)
    assert (code, "gauges" in out, "pandas" in out) == (0, True, True)
    assert command("catalog", "list", "--catalog", bad)[0] == 2


def test_run_takes_a_catalog(command: Any, file: Path, tmp_path: Path, gauges: Any) -> None:
    """`proxyplane run --catalog` is the operator's way; a wrong file ends it before anything runs."""
    pytest.importorskip("pandas")
    script, policy = tmp_path / "agent.py", tmp_path / "policy.toml"
    script.write_text("import gauges\nprint(gauges.Gauge().mean())\n")
    policy.write_text(POLICY)
    common = (script, "--policy", policy, "--audit", tmp_path / "audit", "--no-seal", "--catalog")
    assert command("run", *common, file)[0] == 0
    file.write_text(MISTAKES)
    assert command("run", *common, file)[0] == 2
