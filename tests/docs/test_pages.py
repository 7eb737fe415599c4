"""The README and the pages of docs/: their examples run, their commands exist, their links lead somewhere."""

from __future__ import annotations

import contextlib
import io
import re
import shlex
from pathlib import Path

import pytest

from proxyplane import Policy, cli, effects, errors
from proxyplane.policies.vocabulary import PRESETS

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", ROOT / "CHANGELOG.md", *sorted((ROOT / "docs").glob("*.md"))]
TAUGHT = [ROOT / "README.md", ROOT / "docs" / "quickstart.md"]


def blocks(page: Path, language: str) -> list[str]:
    """The fenced code blocks of a page in a language."""
    return re.findall(rf"^```{language}\n(.*?)^```", page.read_text(encoding="utf-8"), flags=re.DOTALL | re.MULTILINE)


def commands() -> list[str]:
    """Command lines of the taught pages, continuation lines joined; each once."""
    found = []
    for page in TAUGHT:
        for block in blocks(page, "console"):
            found += re.findall(r"^\$ proxyplane (.*)$", block.replace("\\\n", " "), flags=re.MULTILINE)
    return sorted(set(found))


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with what the pages speak of, where their commands run."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "examples").symlink_to(ROOT / "examples")
    (tmp_path / "sales.csv").write_text("region,amount,card_number\nnorth,10,1\nsouth,20,2\n", encoding="utf-8")
    (tmp_path / "script.py").write_text("print(sales.amount.sum())\n", encoding="utf-8")
    (tmp_path / "analyst.toml").write_text(blocks(ROOT / "README.md", "toml")[0], encoding="utf-8")
    return tmp_path


def test_the_readme_example_does_what_it_says(folder: Path, capsys: pytest.CaptureFixture[str]):
    """The library example of the README runs as printed; its second run ends with a refusal."""
    pytest.importorskip("pandas", reason="the example works on a DataFrame")
    (example,) = blocks(ROOT / "README.md", "python")
    assert len(example.splitlines()) <= 15
    names: dict[str, object] = {}
    exec(compile(example, "README.md", "exec"), names)
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "True 40"
    assert lines[-1].startswith("Denied fs.write ")
    assert not (folder / "out.csv").exists()


def test_the_quickstart_example_does_what_it_says():
    """The library example of the quickstart runs as printed; it asserts what it says."""
    pytest.importorskip("pandas", reason="the example works on a DataFrame")
    (example,) = blocks(ROOT / "docs" / "quickstart.md", "python")
    assert example.count("assert ") >= 3
    exec(compile(example, "quickstart.md", "exec"), {})


@pytest.mark.parametrize("line", [line for line in commands() if "--follow" not in line and "doctor" not in line])
def test_commands_of_the_pages_run(folder: Path, line: str):
    """Each command that a page teaches, typed as printed, ends well."""
    pytest.importorskip("pandas", reason="the commands grant data files")
    if line.startswith("audit"):
        assert cli.main(shlex.split("exec -c 1 --policy open --audit audit/")) == 0
    arguments = shlex.split(line)
    if arguments[0] == "run" and arguments[1] == "script.py":
        arguments += ["--agent", "analyst-1"]  # the README's policy is for analysts
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        assert cli.main(arguments) == 0, err.getvalue()
    assert out.getvalue()


def test_the_readme_policy_hides_its_column(folder: Path):
    """The README's policy loads and means what its comments say."""
    policy = Policy.load("analyst.toml")
    assert policy.objects["sales"].hide == ("card_number",)
    assert policy.check(["sales"]) == []


def test_the_example_policy_has_nothing_that_is_probably_not_meant():
    """`examples/analyst.toml` loads without a note."""
    assert Policy.load(ROOT / "examples" / "analyst.toml").check(["visits"]) == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path):
    """A link to a file of the project leads to one."""
    for target in re.findall(r"\]\(([^)#\s]+)", page.read_text(encoding="utf-8")):
        assert "://" in target or (page.parent / target).exists(), target


def test_every_page_is_in_the_index():
    """A page that nobody links is not found."""
    index = (ROOT / "docs" / "index.md").read_text(encoding="utf-8")
    for page in (ROOT / "docs").glob("*.md"):
        assert page.name == "index.md" or f"({page.name})" in index, page.name


def test_the_architecture_page_names_every_module():
    """A newcomer finds each module and folder of the package in its place; a new one has to be put there."""
    text = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    package = ROOT / "proxyplane"
    names = {path.stem for path in package.glob("*.py")} | {path.parent.name for path in package.glob("*/__init__.py")}
    names -= {"__init__", "__main__"}
    assert len(names) > 50
    assert {name for name in names if not re.search(rf"`(\w+/)?{name}(/\w+|\.\w+)*`", text)} == set()


def test_every_error_is_on_the_page_about_sessions():
    """Whoever catches an error of the package can read when it comes."""
    text = (ROOT / "docs" / "sessions.md").read_text(encoding="utf-8")
    assert {name for name in errors.__all__ if f"`{name}`" not in text} == set()


def test_presets_and_tiers_are_named_in_the_readme():
    """The README names each preset and each tier of a guest."""
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    assert all(f"`{name}`" in text for name in (*PRESETS, "sealed", "filtered", "split"))


def test_the_glossary_names_effects_that_exist():
    """The row of effects in the glossary uses the closed vocabulary."""
    row = next(line for line in (ROOT / "docs" / "glossary.md").read_text("utf-8").splitlines() if "| effect |" in line)
    listed = next(part for part in row.split("`") if part.startswith("read ")).split()
    assert set(listed) <= set(effects.Effect)


@pytest.mark.parametrize("target", ["demo", "test", "lint", "bench", "clean"])
def test_the_makefile_has_its_targets(target: str):
    """What README and CI call exists."""
    assert re.search(rf"^{target}:", (ROOT / "Makefile").read_text(encoding="utf-8"), flags=re.MULTILINE)
