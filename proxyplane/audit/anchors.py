"""Anchors: states of the log that somebody else keeps, so that a cut or rewritten log is seen.

An anchor is a folder, best on another machine or under another account, or a git repository. It holds for each log

    ORIGIN/log.pub          the log's public key, as it was when the anchor was first used; never replaced
    ORIGIN/SIZE.note        a signed checkpoint; never replaced

where ORIGIN is the last part of the log's origin. In a git repository each new checkpoint is also a commit, so that
pushing it takes the state out of reach. An anchor takes a checkpoint only if it continues what it already has by name;
whether it really does is recomputed by `verify`.

Standard library and siblings of the writer only: the log-writer process anchors to folders.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final, NamedTuple

from proxyplane.audit import keys
from proxyplane.audit.notes import Note, PublicKey

__all__ = ["Anchored", "anchor", "leave", "read_anchor"]

_SUFFIX: Final = ".note"
_MARK_NAME: Final = "checkpoint"
_GIT_SECONDS: Final = 60


class Anchored(NamedTuple):
    """What an anchor keeps."""

    where: str
    keys: tuple[PublicKey, ...]
    notes: tuple[Note, ...]


def read_anchor(where: str | Path) -> Anchored:
    """Everything that an anchor keeps, of all logs.

    Raises:
        OSError: it cannot be read.
        ValueError: a file in it is damaged.
    """
    known: list[PublicKey] = []
    found: list[Note] = []
    for folder in sorted(Path(where).iterdir()):
        if folder.is_dir() and (folder / keys.PUBLIC_NAME).is_file():
            known += keys.public_keys((folder / keys.PUBLIC_NAME).read_bytes())
            found += [Note.parse(path.read_bytes()) for path in folder.glob(f"*{_SUFFIX}")]
    return Anchored(str(where), tuple(known), tuple(found))


def leave(where: str | Path, public: bytes, note: Note) -> Path | None:
    """Puts a checkpoint into an anchor; the path of the new file, None when it is there already.

    Raises:
        OSError: it cannot be written.
        ValueError: the anchor knows this log under another key, or another root of the same size.
    """
    folder = Path(where) / note.origin.rpartition("/")[2]
    folder.mkdir(mode=0o755, parents=True, exist_ok=True)
    _keep(folder / keys.PUBLIC_NAME, public, "the anchor knows this log under another key")
    path = folder / f"{note.size:020d}{_SUFFIX}"
    if path.exists() and Note.parse(path.read_bytes()).root == note.root:
        return None
    return path if _keep(path, note.text(), "the anchor keeps another state of the same size") else None


def anchor(directory: str | Path, where: str | Path) -> Note:
    """Takes the newest signed checkpoint of a log to an anchor. In a git repository it is committed.

    Raises:
        OSError: log or anchor cannot be read or written, or git failed.
        ValueError: the log's files are damaged or not signed, or the anchor holds something that contradicts them.
    """
    place = Path(directory)
    public = (place / keys.PUBLIC_NAME).read_bytes()
    note = Note.parse((place / _MARK_NAME).read_bytes())
    if not keys.is_signed(note, keys.public_keys(public)):
        raise ValueError("the log's checkpoint is not signed by the key that log.pub names")
    made = leave(where, public, note)
    if made is not None and (Path(where) / ".git").exists():
        _git(where, "add", "--", os.fspath(made.parent.relative_to(where)))
        _git(where, "commit", "--quiet", "--message", f"{note.origin}: {note.size} records", "--", made.parent.name)
    return note


def _keep(path: Path, data: bytes, otherwise: str) -> bool:
    """Makes the file, once and for all; false when it is there with the same content."""
    try:
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o644)
    except FileExistsError:
        if path.read_bytes() != data:
            raise ValueError(otherwise) from None
        return False
    with open(handle, "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(handle)
    return True


def _git(where: str | Path, *arguments: str) -> None:
    import subprocess  # noqa: PLC0415 - the writer, which anchors to folders, need not load it

    author = ("-c", "user.name=proxyplane", "-c", "user.email=audit@proxyplane.local")
    try:
        done = subprocess.run(
            ["git", "-C", os.fspath(where), *author, *arguments],  # noqa: S607 - the operator's own git
            capture_output=True,
            timeout=_GIT_SECONDS,
            check=False,
            stdin=subprocess.DEVNULL,
        )
    except subprocess.TimeoutExpired:
        raise OSError(f"git {arguments[0]} took longer than {_GIT_SECONDS} s in the anchor") from None
    if done.returncode:
        raise OSError(f"git {arguments[0]} failed in the anchor with code {done.returncode}")
