"""What stays within reach of a sealed host, as rules: folders of `[fs]`, of libraries, of granted modules."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from proxyplane.policies import FsGrant
from proxyplane.reach import READ, WRITE, Reach, library_folders, module_places


def reached(reach: Reach) -> dict[str, int]:
    """Rules by path."""
    return {os.readlink(f"/proc/self/fd/{descriptor}"): rights for descriptor, rights in reach.rules}


def granted(
    root: Path, read: tuple[str, ...], write: tuple[str, ...], *guarded: Path
) -> tuple[dict[str, int], list[str]]:
    with Reach() as reach:
        reach.add_granted(FsGrant(root, read, write), guarded)
        return {os.path.relpath(path, root): rights for path, rights in reached(reach).items()}, list(reach.notes)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for name in ("data/a.csv", "data/b.csv", "data/deep/c.csv", "d.csv"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("a\n1\n")
    return tmp_path


def test_globs_become_the_folders_that_hold_what_they_match(root: Path):
    """Reading gives no right to write; a folder that is to be written is made where it is missing."""
    rules, notes = granted(root, ("data/*.csv",), ("out/**", "tables/2024/x*.csv"))
    assert rules == {"data": READ, "out": WRITE, "tables/2024": WRITE}
    assert notes == []
    assert (root / "out").is_dir()


def test_a_folder_with_something_closed_is_granted_file_by_file(root: Path):
    """The source of a projection beside granted files stays out of reach of the kernel, too."""
    rules, _ = granted(root, ("data/*.csv",), (), root / "data" / "b.csv")
    assert set(rules) == {"data/a.csv"}
    rules, _ = granted(root, ("**",), (), root / "data")
    assert set(rules) == {"d.csv"}


def test_what_cannot_be_kept_closed_is_noted(root: Path):
    """A folder that is written as a whole cannot exclude the log in it: that is said."""
    (root / "log").mkdir()
    rules, notes = granted(root, (), ("*.csv",), root / "log")
    assert rules == {".": WRITE}
    assert len(notes) == 1
    assert "does not keep it closed" in notes[0]


def test_a_link_to_something_closed_is_no_way_around(root: Path):
    """The file is meant, not its name."""
    (root / "data" / "again.csv").symlink_to(root / "d.csv")
    rules, _ = granted(root, ("data/*.csv",), (), root / "d.csv", root / "data" / "b.csv")
    assert set(rules) == {"data/a.csv"}


def test_libraries_are_reached_and_working_folders_are_not(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """The import path holds the folder one works in; its files are no libraries."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    folders = library_folders([])
    assert str(tmp_path) not in folders
    assert os.path.dirname(os.path.realpath(os.__file__)) in folders
    assert not {"/", "/root", "/home", "/tmp", "/etc", os.path.expanduser("~")} & set(folders)


def test_a_granted_module_in_a_working_folder_can_be_imported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Its folder may be listed and nothing in it be read but the module."""
    (tmp_path / "gauges.py").write_text("")
    (tmp_path / "meters").mkdir()
    (tmp_path / "meters" / "__init__.py").write_text("")
    monkeypatch.syspath_prepend(str(tmp_path))
    found = dict(module_places(["gauges", "meters.deep", "json", "nowhere"]))
    assert found[str(tmp_path / "gauges.py")] == found[str(tmp_path / "meters")] == READ
    assert found[str(tmp_path)] & READ == 1 << 3
    assert len(found) == 3
