"""Paths as text: what leads where below the root, and which globs grant it."""

from __future__ import annotations

import os
from pathlib import PurePosixPath

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxyplane.paths import WORKING_FOLDER, Globs, escaped, locate, printable

ROOT = "/srv/agent/root"


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("a.csv", ("a.csv",)),
        ("./data//a.csv", ("data", "a.csv")),
        ("data/../a.csv", ("a.csv",)),
        (".", ()),
        ("..", None),
        ("data/../../etc/passwd", None),
        ("/etc/passwd", None),
        (f"{ROOT}/data/a.csv", ("data", "a.csv")),
        (f"{ROOT}/../other", None),
        (f"{ROOT}x/a.csv", None),
        (f"{WORKING_FOLDER}/a.csv", ("a.csv",)),
        (f"{WORKING_FOLDER}/../etc/passwd", None),
        ("~/a.csv", ("~", "a.csv")),
    ],
)
def test_where_a_path_leads(text: str, parts: tuple[str, ...] | None) -> None:
    """Relative paths and absolute ones below the root have a place; what climbs out has none."""
    assert locate(text, ROOT) == parts


@pytest.mark.parametrize("text", ["", "a\0b", "x" * 5000, "\ud800"])
def test_what_is_no_path(text: str) -> None:
    """Empty, endless and unencodable texts, and those with a NUL, are refused as such."""
    with pytest.raises(ValueError, match=r"path|null"):
        locate(text, ROOT)


@given(st.lists(st.sampled_from(["a", "..", ".", "", "b c", "~", "…"]), max_size=12), st.booleans())
def test_no_path_leads_out(names: list[str], absolute: bool) -> None:
    """Whatever the names, the place is where the kernel would be, and below the root."""
    text = ("/" if absolute else "") + "/".join(names)
    if not text:
        return
    parts = locate(text, ROOT)
    if parts is not None:
        whole = os.path.normpath(os.path.join(ROOT, text))
        assert ".." not in parts
        assert whole == os.path.join(ROOT, *parts) or absolute


@pytest.mark.parametrize(
    ("pattern", "granted", "not_granted"),
    [
        ("data/*.csv", ["data/a.csv"], ["data/b/a.csv", "data/.x.csv", "a.csv", "data", "data/a.csv/b", "Data/a.csv"]),
        ("out/**", ["out/a", "out/a/b/c"], ["out", "outer/a", "out/.git/config", "out/a/.ssh"]),
        ("**/*.csv", ["a.csv", "x/y/a.csv"], ["a.txt", ".x/a.csv"]),
        ("**", ["a", "a/b"], [".env", "a/.env"]),
        (".config/*", [".config/a"], ["config/a", ".config/.a"]),
        ("a?.[ch]", ["ab.c"], ["ab.d", "abc.c"]),
        ("*", ["a"], ["a/b"]),
    ],
)
def test_globs(pattern: str, granted: list[str], not_granted: list[str]) -> None:
    """Wildcards stay within a name and match no leading dot; `**` stands for any number of folders."""
    globs = Globs([pattern])
    assert all(globs.grants(PurePosixPath(path).parts) for path in granted)
    assert not any(globs.grants(PurePosixPath(path).parts) for path in not_granted)
    assert not globs.grants(())


def test_what_leads_to_a_grant() -> None:
    """Folders on the way to a glob are known to lead there, others are not."""
    globs = Globs(["data/2024/*.csv", "out/**"])
    assert all(globs.leads(tuple(path.split("/"))) for path in ("data", "data/2024", "out", "out/a/b"))
    assert globs.leads(())
    assert not any(globs.leads(tuple(path.split("/"))) for path in ("etc", "data/2025", "data/2024/a.csv"))


@given(st.text(min_size=1, max_size=20).filter(lambda name: "/" not in name and not name.startswith(".")))
def test_a_name_without_wildcards_grants_itself(name: str) -> None:
    """A pattern without wildcards matches exactly its own path."""
    if not set(name) & set("*?["):
        assert Globs([f"d/{name}"]).grants(("d", name))
        assert not Globs([f"d/{name}"]).grants(("d", f"{name}x"))


@given(st.text(max_size=600))
def test_what_records_show_is_printable(text: str) -> None:
    """No control character, no terminal sequence and no endless name gets into a record."""
    assert printable(text).isprintable()
    assert escaped(text).isprintable()
    assert len(printable(text)) <= 4100


def test_a_scratch_folder_is_one_in_which_all_may_be_made() -> None:
    """Only a glob that ends in `**` and begins with plain names gives one."""
    assert Globs(["out/*.csv", "tmp/x/**"]).scratch() == "tmp/x"
    assert Globs(["**"]).scratch() == ""
    assert Globs(["*/**", "out/*"]).scratch() is None
