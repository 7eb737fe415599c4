"""Lines of a TOML text."""

from __future__ import annotations

import tomllib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxyplane.policies.locate import Path, locate, nearest

TRICKY = '''# a comment with [brackets] and "quotes"
schema = 1 # [[rules]]
title = """
[not.a.table]
key = "no" \\""" still inside"""
raw = \'\'\'
[[rules]]
it's fine\'\'\'
"quoted key" = 'literal # not a comment'
a.b."c.d" = [ # nested
  1,
  ["]", "#"], # two
  { x = 1, "y z" = [2,
    3] },
]

[ objects . "my table" ]
hide = ["a",
  "b"]

[[rules]]
id = "one"
when = { rows = "<= 1" }

[[rules]] # second
id = "two"
"esc\\u0061pe" = 1979-05-27 07:32:00
[rules.when]
rows = "<= 2"
[[rules.parts]]
n = 1
[[rules.parts]]
n = 2
'''


@pytest.mark.parametrize(
    ("path", "line"),
    [
        (("schema",), 2),
        (("title",), 3),
        (("raw",), 6),
        (("quoted key",), 9),
        (("a", "b", "c.d"), 10),
        (("a", "b", "c.d", 0), 11),
        (("a", "b", "c.d", 1, 1), 12),
        (("a", "b", "c.d", 2, "x"), 13),
        (("a", "b", "c.d", 2, "y z", 1), 14),
        (("objects", "my table"), 17),
        (("objects", "my table", "hide", 1), 19),
        (("rules", 0), 21),
        (("rules", 0, "when", "rows"), 23),
        (("rules", 1), 25),
        (("rules", 1, "escape"), 27),
        (("rules", 1, "when"), 28),
        (("rules", 1, "when", "rows"), 29),
        (("rules", 1, "parts", 1, "n"), 33),
    ],
)
def test_everything_has_its_line(path: Path, line: int) -> None:
    """Comments, all four kinds of strings, dotted and quoted keys and nested arrays do not confuse the lines."""
    assert locate(TRICKY)[path] == line


def test_a_missing_path_falls_back_to_what_is_around_it() -> None:
    """An error about a key that is not there points at the table that lacks it."""
    lines = locate(TRICKY)
    assert nearest(lines, ("rules", 1, "decide")) == 25
    assert nearest(lines, ("nothing", "here")) is None


def test_windows_line_ends_count_once() -> None:
    """A file from another system has the same lines."""
    assert locate(TRICKY.replace("\n", "\r\n")) == locate(TRICKY)


def test_strings_may_end_in_quotes() -> None:
    """One or two quotes directly before the closing three belong to the string."""
    text = 'a = """x"""""\nb = \'\'\'y\'\'\'\'\nc = ""\nd = \'\'\ne = """"""\nf = 1\n'
    assert tomllib.loads(text)["a"] == 'x""'
    assert [locate(text)[(key,)] for key in "abcdef"] == [1, 2, 3, 4, 5, 6]


KEYS = st.sampled_from(["a", "b-1", '"c d"', "'e.f'", '"g\\"h"', "i . j"])
STRINGS = st.text("ab#[]{},=\"'\n\\", max_size=6)


def _written(value: Any) -> str:
    if isinstance(value, str):
        escaped = value.replace("\\", "\\\\").replace('"', '\\"')
        return f'"""{escaped}"""' if "\n" in value else f'"{escaped}"'
    if isinstance(value, list):
        return "[ # [\n" + "".join(_written(each) + " , #,\n" for each in value) + "]"
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key} = {_written(each)}" for key, each in value.items()) + "}"
    return str(value).lower()


VALUES = st.recursive(
    st.one_of(st.integers(), st.booleans(), STRINGS),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3), st.dictionaries(KEYS.filter(lambda k: k != "i . j"), inner, max_size=3)
    ),
    max_leaves=8,
)
TABLES = st.lists(st.tuples(st.sampled_from(["[[rules]]", "[[ 'x y'.z ]]"]), st.dictionaries(KEYS, VALUES, max_size=4)))


def _paths(value: Any, path: Path = ()) -> set[Path]:
    found = {path} if path else set()
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, each in items:
        found |= _paths(each, (*path, key))
    return found


@given(st.dictionaries(KEYS, VALUES, max_size=4), TABLES)
def test_the_scanner_finds_exactly_what_the_parser_finds(
    top: dict[str, Any], tables: list[tuple[str, dict[str, Any]]]
) -> None:
    """For every text that `tomllib` reads, the located paths are the paths of its values, with lines in the text."""
    parts = [("", top), *tables]
    text = "\n".join(
        head + "\n" + "".join(f" {key} = {_written(value)} # =\n" for key, value in body.items())
        for head, body in parts
    )
    lines = locate(text)
    assert set(lines) == _paths(tomllib.loads(text))
    total = text.count("\n") + 1
    assert all(1 <= line <= total for line in lines.values())
