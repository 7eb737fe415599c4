"""Data files to objects: formats, and messages that name places and never values."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from proxyplane.loading import FORMATS, DataFile, load

pd = pytest.importorskip("pandas", reason="data files become DataFrames; the core installs without pandas")

ROWS = [{"region": "north", "amount": 1}, {"region": "south", "amount": 2}]
FRAME = pd.DataFrame(ROWS)


def write(path: Path) -> Path:
    """The table in the format of the extension."""
    lines = "\n".join(json.dumps(row) for row in ROWS) + "\n"
    match path.suffix:
        case ".csv":
            FRAME.to_csv(path, index=False)
        case ".tsv":
            FRAME.to_csv(path, index=False, sep="\t")
        case ".parquet":
            FRAME.to_parquet(path)
        case ".feather":
            FRAME.to_feather(path)
        case ".json":
            path.write_text(json.dumps(ROWS, indent=1), encoding="utf-8")
        case _:
            path.write_text(lines, encoding="utf-8")
    return path


@pytest.mark.parametrize("extension", sorted(FORMATS))
def test_every_format_gives_the_same_table(tmp_path: Path, extension: str):
    """What was written in a format is read from it, whatever the case of its extension."""
    path = write(tmp_path / f"table{extension}")
    pd.testing.assert_frame_equal(load(path), FRAME)
    pd.testing.assert_frame_equal(load(path.rename(tmp_path / f"TABLE{extension.upper()}")), FRAME)


@pytest.mark.parametrize("orient", ["columns", "split", "records"])
def test_json_as_pandas_writes_it(tmp_path: Path, orient: str):
    """What `DataFrame.to_json` writes comes back as the same table, also by columns, its default."""
    frame = pd.DataFrame({"a": [1, 2, 3], "b": ["x", "y", None], "c": [0.5, 1.5, 2.5]})
    path = tmp_path / "table.json"
    frame.to_json(path, orient=orient)
    loaded = load(path)
    assert loaded.equals(frame)
    assert list(loaded.index) == [0, 1, 2]


def test_json_lines_are_known_by_their_first_character(tmp_path: Path):
    """A .json file that begins with an object has one on each line."""
    path = tmp_path / "lines.json"
    path.write_text('\n{"a": 1}\n\n{"a": 2}\n', encoding="utf-8")
    assert load(path)["a"].tolist() == [1, 2]


def test_a_file_that_is_open_is_read_even_when_it_is_gone(tmp_path: Path):
    """Opening comes first: what happens to the name later does not matter."""
    path = write(tmp_path / "table.csv")
    with DataFile.open(path) as source:
        path.unlink()
        assert len(source.load()) == 2


def test_names_of_one_file_have_one_identity(tmp_path: Path):
    """A link to a file is that file."""
    path = write(tmp_path / "table.csv")
    (tmp_path / "link.csv").symlink_to(path)
    (tmp_path / "other.csv").write_text("a\n1\n", encoding="utf-8")
    names = ("table.csv", "link.csv", "other.csv")
    opened = [DataFile.open(tmp_path / name) for name in names]
    assert opened[0].identity == opened[1].identity != opened[2].identity
    for source in opened:
        source.close()


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("a.csv", "secret,x\n4711\n4712,1,2,3\n", "line 3"),
        ("a.csv", "", "No columns"),
        ("a.json", '[{"secret": 4711},', "line 1"),
        ("a.json", '["4711"]', "array of objects"),
        ("a.json", "4711", "array of objects"),
        ("a.jsonl", '{"secret": 1}\n{"secret": 4711', "line 2"),
        ("a.json", '{\n"secret": 4711}\n', "line 1"),
        ("a.parquet", "secret 4711", "parquet"),
        ("a.feather", "secret 4711", "feather"),
    ],
)
def test_damaged_files_are_told_without_their_content(tmp_path: Path, name: str, content: str, words: str):
    """The message has the file and the place, and no value of the data."""
    path = tmp_path / name
    path.write_text(content, encoding="utf-8")
    with pytest.raises(ValueError, match=words) as caught:
        load(path)
    assert name in str(caught.value)
    assert "4711" not in str(caught.value)


def test_text_in_another_encoding(tmp_path: Path):
    """What is not UTF-8 is told by the byte."""
    path = tmp_path / "latin.csv"
    path.write_bytes(b"name\ngr\xfc\xdfe\n")
    with pytest.raises(ValueError, match="not UTF-8 text"):
        load(path)


def test_only_regular_files_are_data_files(tmp_path: Path):
    """A folder, a device and a pipe are refused at once: two of them could go on for ever."""
    (tmp_path / "folder.csv").mkdir()
    (tmp_path / "zero.csv").symlink_to("/dev/zero")
    os.mkfifo(tmp_path / "pipe.csv")
    for name in ("folder.csv", "zero.csv", "pipe.csv"):
        with pytest.raises(ValueError, match="not a regular file"):
            DataFile.open(tmp_path / name)
