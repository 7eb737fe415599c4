"""`proxyplane skill`: the skill is put where an agent looks for it, and nothing of anybody else's is touched."""

from __future__ import annotations

import os
import tomllib
from pathlib import Path

import pytest

from proxyplane.cli.skill_commands import source

from .conftest import Command

ROOT = Path(__file__).parents[2]


def test_it_is_installed_into_a_folder_of_skills(command: Command, tmp_path: Path):
    """The file is as in the project, in a folder of its own name, which is made."""
    ran = command("skill", "install", ".claude/skills")
    path = tmp_path / ".claude/skills/proxyplane/SKILL.md"
    assert ran.code == 0
    assert ran.out.strip() == ".claude/skills/proxyplane/SKILL.md"
    assert path.read_text(encoding="utf-8") == source().read_text(encoding="utf-8")
    assert [each.name for each in path.parent.iterdir()] == ["SKILL.md"]


def test_an_earlier_version_is_replaced(command: Command, tmp_path: Path):
    """What calls itself this skill in its head is this skill."""
    folder = tmp_path / "proxyplane"
    folder.mkdir()
    (folder / "SKILL.md").write_text("---\nname: proxyplane\ndescription: old\n---\n\nold\n", encoding="utf-8")
    (folder / "notes.md").write_text("mine", encoding="utf-8")
    assert command("skill", "install", ".").code == 0
    assert "old" not in (folder / "SKILL.md").read_text(encoding="utf-8").splitlines()
    assert (folder / "notes.md").read_text(encoding="utf-8") == "mine"


@pytest.mark.parametrize(
    "foreign",
    ["", "my own notes\n", "---\nname: other\n---\n", "---\nname: other\n---\nname: proxyplane\n", b"\xff\xfe"],
    ids=["empty", "text", "other-skill", "name-in-the-body", "no-text"],
)
def test_a_foreign_file_is_left_alone(command: Command, tmp_path: Path, foreign: str | bytes):
    """Something else under the skill's name stops the command, and stays as it was."""
    path = tmp_path / "proxyplane" / "SKILL.md"
    path.parent.mkdir()
    content = foreign if isinstance(foreign, bytes) else foreign.encode()
    path.write_bytes(content)
    ran = command("skill", "install", ".")
    assert ran.code == 2
    assert "is not this skill" in ran.err
    assert path.read_bytes() == content


def test_links_are_not_followed(command: Command, tmp_path: Path):
    """A link in the skill's place could lead to a file that somebody needs."""
    other = tmp_path / "other.md"
    other.write_text("---\nname: proxyplane\n---\n", encoding="utf-8")
    (tmp_path / "proxyplane").mkdir()
    (tmp_path / "proxyplane" / "SKILL.md").symlink_to(other)
    ran = command("skill", "install", ".")
    assert ran.code == 2
    assert "a link" in ran.err
    assert other.read_text(encoding="utf-8") == "---\nname: proxyplane\n---\n"


def test_a_folder_that_is_a_file_is_said(command: Command, tmp_path: Path):
    """No traceback, and the name of what is in the way."""
    (tmp_path / "skills").write_text("", encoding="utf-8")
    ran = command("skill", "install", "skills")
    assert ran.code == 2
    assert "skills" in ran.err
    assert "not a folder" in ran.err


@pytest.mark.skipif(os.getuid() == 0, reason="root may write everywhere")
def test_a_folder_that_cannot_be_written_is_said(command: Command, tmp_path: Path):
    """The reason is the system's own."""
    (tmp_path / "skills").mkdir(mode=0o500)
    ran = command("skill", "install", "skills")
    assert ran.code == 2
    assert "Permission denied" in ran.err


def test_show_prints_it(command: Command):
    """For agents that are given text and not folders."""
    assert command("skill", "show").out == source().read_text(encoding="utf-8")


def test_the_wheel_includes_it():
    """The build's rule puts the skills beside the package's own files."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    build = project["tool"]["hatch"]["build"]["targets"]
    assert build["wheel"]["force-include"]["skills"] == "proxyplane/skills"
    assert "/skills" in build["sdist"]["include"]
