"""Data files to objects: what `proxyplane run --object NAME=FILE` grants.

A file is opened first and read later, so that its bytes are what they were when the command was checked, and so that
a host which has given up the file system can still read them. pandas is imported when the first file is read.
"""

from __future__ import annotations

import io
import json
import os
import stat
from collections.abc import Callable
from difflib import get_close_matches
from pathlib import Path
from typing import Any, BinaryIO, Final, Self

__all__ = ["FORMATS", "DataFile", "load"]


def _csv(file: BinaryIO) -> Any:
    import pandas as pd  # noqa: PLC0415

    return pd.read_csv(file, low_memory=False)  # one pass over all rows: a column's type does not depend on chunks


def _tsv(file: BinaryIO) -> Any:
    import pandas as pd  # noqa: PLC0415

    return pd.read_csv(file, sep="\t", low_memory=False)


def _parquet(file: BinaryIO) -> Any:
    import pandas as pd  # noqa: PLC0415

    return pd.read_parquet(file)


def _feather(file: BinaryIO) -> Any:
    import pandas as pd  # noqa: PLC0415

    return pd.read_feather(file)


def _json(file: BinaryIO) -> Any:
    start = file.peek(4096)[:4096].lstrip() if hasattr(file, "peek") else b""
    if not start.startswith(b"{"):
        return _json_records(file)
    text = file.read()
    try:
        whole = json.loads(text)
    except ValueError:
        whole = None  # one object on each line, or broken: said with its line
    table = _json_columns(whole) if type(whole) is dict else None
    return table if table is not None else _json_lines(io.BytesIO(text))


def _json_columns(whole: dict[str, Any]) -> Any:
    """A table that is one object: by columns (the default of `DataFrame.to_json`), of lists, or split; else None."""
    import pandas as pd  # noqa: PLC0415

    if set(whole) == {"columns", "index", "data"}:
        return pd.DataFrame(whole["data"], index=whole["index"], columns=whole["columns"])
    if whole and all(type(column) is list for column in whole.values()):
        return pd.DataFrame(whole)
    if not whole or not all(type(column) is dict for column in whole.values()):
        return None
    table = pd.DataFrame(whole)
    if all(type(label) is str and label.isdecimal() for label in table.index):
        table.index = table.index.astype(int)  # JSON has only texts for keys
    return table


def _json_records(file: BinaryIO) -> Any:
    import pandas as pd  # noqa: PLC0415

    return pd.DataFrame(_records(json.load(file)))


def _json_lines(file: BinaryIO) -> Any:
    import pandas as pd  # noqa: PLC0415

    rows = []
    for number, line in enumerate(file, 1):
        if line.strip():
            try:
                rows.append(json.loads(line))
            except json.JSONDecodeError as error:
                raise ValueError(f"line {number}, column {error.colno}: {error.msg}") from None
    return pd.DataFrame(_records(rows))


def _records(rows: Any) -> list[dict[str, Any]]:
    if type(rows) is not list or not all(type(row) is dict for row in rows):
        raise ValueError("expected an array of objects, or one object on each line")
    return rows


FORMATS: Final[dict[str, Callable[[BinaryIO], Any]]] = {
    ".csv": _csv,
    ".feather": _feather,
    ".json": _json,
    ".jsonl": _json_lines,
    ".ndjson": _json_lines,
    ".parquet": _parquet,
    ".tsv": _tsv,
}
"""Readers by extension. Each makes a pandas DataFrame."""


class DataFile:
    """A data file that is open and not read yet. Made by `DataFile.open`; a context manager.

    Attributes:
        path: as it was given.
        identity: device and inode; equal for two names of the same file.
    """

    def __init__(self, path: Path, file: BinaryIO, read: Callable[[BinaryIO], Any]) -> None:
        self.path = path
        status = os.fstat(file.fileno())
        self.identity = (status.st_dev, status.st_ino)
        self._file = file
        self._read = read

    @classmethod
    def open(cls, path: str | Path) -> DataFile:
        """Open a data file.

        Args:
            path: its extension says what it holds, see `FORMATS`.

        Raises:
            ValueError: an extension that is not supported, or not a regular file.
            OSError: it does not exist or may not be read; the text says what there is instead.
        """
        path = Path(path)
        extension = path.suffix.lower()
        if extension not in FORMATS:
            shown = f"the extension {extension!r}" if extension else "a name without an extension"
            raise ValueError(f"{path} has {shown}; supported: {', '.join(FORMATS)}")
        try:
            # Not blocking: a named pipe with nobody at its other end would otherwise wait for ever.
            descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        except FileNotFoundError:
            raise FileNotFoundError(f"there is no file {path}; {_instead(path)}") from None
        except OSError as error:
            raise OSError(f"{path} cannot be read: {error.strerror}") from None
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            os.close(descriptor)
            raise ValueError(f"{path} is not a regular file")
        return cls(path, open(descriptor, "rb"), FORMATS[extension])

    def load(self) -> Any:
        """Read the object.

        Raises:
            ValueError: the content is not what the extension says. The text holds places and counts, no values.
            ImportError: a library for this format is not installed; the text says how to get it.
        """
        try:
            return self._read(self._file)
        except ImportError as error:
            library = error.name or "pyarrow"
            raise ImportError(
                f"reading {self.path.name} needs {library}; install it with: pip install 'proxyplane[pandas]'"
            ) from error
        except UnicodeDecodeError as error:
            raise ValueError(f"{self.path} is not UTF-8 text (byte {error.start})") from None
        except (ValueError, OSError, RecursionError) as error:
            first = str(error).strip().partition("\n")[0]
            raise ValueError(f"{self.path} is not a valid {self.path.suffix} file: {first}") from None

    def close(self) -> None:
        """Close the file; idempotent."""
        self._file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exit_info: object) -> None:
        self.close()


def load(path: str | Path) -> Any:
    """Open and read a data file at once.

    Raises:
        ValueError, OSError, ImportError: as `DataFile.open` and `DataFile.load`.
    """
    with DataFile.open(path) as source:
        return source.load()


def _instead(path: Path) -> str:
    """What lies where a missing file was looked for."""
    folder = path.parent
    try:
        names = sorted(entry.name for entry in folder.iterdir() if entry.suffix.lower() in FORMATS)
    except OSError:
        return f"the folder {folder} does not exist or cannot be read"
    near = get_close_matches(path.name, names, n=1)
    if near:
        return f"did you mean {folder / near[0]}?"
    where = "this folder" if folder == Path() else str(folder)
    return (
        f"data files in {where}: {', '.join(names[:8])}{', ...' if len(names) > 8 else ''}"
        if names
        else (f"{where} holds no data files ({', '.join(FORMATS)})")
    )
