"""What stays within reach of a sealed host: folders and files with the rights that Landlock leaves on them."""

from __future__ import annotations

import importlib.util
import os
import stat
import sys
from collections.abc import Iterable
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Final, Self

from proxyplane.files import identity_of
from proxyplane.paths import Globs
from proxyplane.sightings import beneath, places

if TYPE_CHECKING:
    from proxyplane.policies import FsGrant

__all__ = ["READ", "WRITE", "Reach", "library_folders", "module_places"]

# LANDLOCK_ACCESS_FS_* (linux/landlock.h)
_WRITE_FILE, _READ_FILE, _READ_DIR, _REMOVE_DIR, _REMOVE_FILE = 1 << 1, 1 << 2, 1 << 3, 1 << 4, 1 << 5
_MAKE_DIR, _MAKE_REG, _REFER, _TRUNCATE = 1 << 7, 1 << 8, 1 << 13, 1 << 14

READ: Final = _READ_FILE | _READ_DIR
WRITE: Final = READ | _WRITE_FILE | _REMOVE_DIR | _REMOVE_FILE | _MAKE_DIR | _MAKE_REG | _REFER | _TRUNCATE
"""Also reading: many formats look at what they have written. No links, devices, pipes or sockets can be made."""
_OF_A_FILE: Final = _READ_FILE | _WRITE_FILE | _TRUNCATE
_SINGLE_FILES: Final = 4096


class Reach:
    """Rules under construction; a context manager, which lets go of the descriptors."""

    def __init__(self) -> None:
        self.rules: list[tuple[int, int]] = []
        """Descriptor and rights, for `sandbox.restrict_files`."""
        self.notes: list[str] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        for descriptor, _ in self.rules:
            os.close(descriptor)
        self.rules.clear()

    def add(self, path: str | os.PathLike[str], rights: int) -> None:
        """Leave rights on a folder with all that is in it, or on a file; what is not there has no rights to leave."""
        try:
            descriptor = os.open(path, os.O_PATH | os.O_CLOEXEC)
        except OSError:
            return
        if not stat.S_ISDIR(os.fstat(descriptor).st_mode):
            rights &= _OF_A_FILE
        self.rules.append((descriptor, rights))

    def add_granted(self, fs: FsGrant, guarded: Iterable[Path]) -> None:
        """Leave what `[fs]` grants: the folders that its globs name, which are made where they are missing."""
        closed = [Path(os.path.realpath(path)) for path in guarded]
        for pattern in fs.write:
            folder = _folder_of(fs.root, pattern)
            if os.path.isdir(fs.root):
                os.makedirs(folder, exist_ok=True)
            held = [path for path in closed if _holds(folder, path)]
            self.notes += [
                f"[fs] write grants {pattern!r}, whose folder holds {path}: the kernel does not keep it closed"
                for path in held
            ]
            self.add(folder, WRITE)
        for pattern in fs.read:
            folder = _folder_of(fs.root, pattern)
            if any(_holds(folder, path) for path in closed):
                self._add_files(fs.root, folder, pattern, closed)
            else:
                self.add(folder, READ)

    def _add_files(self, root: Path, folder: Path, pattern: str, closed: list[Path]) -> None:
        """File by file, where the folder also holds what must stay closed. Files that come later are out of reach."""
        globs = Globs([pattern])
        kept = {identity_of(path) for path in closed if path.is_file()}
        for number, path in enumerate(path for path in sorted(folder.rglob("*")) if path.is_file()):
            if number >= _SINGLE_FILES:
                self.notes.append(f"[fs] read {pattern!r}: of its files the first {_SINGLE_FILES} can be read")
                return
            inside = any(parent in closed for parent in path.parents)
            if not inside and identity_of(path) not in kept and globs.grants(path.relative_to(root).parts):
                self.add(path, READ)


def _folder_of(root: Path, pattern: str) -> Path:
    """The folder that holds all that a glob can match."""
    folder = root
    for name in [name for name in pattern.split("/") if name not in ("", ".")][:-1]:
        if any(character in name for character in "*?["):
            break
        folder /= name
    return folder


def _holds(folder: Path, path: Path) -> bool:
    return path.is_relative_to(os.path.realpath(folder))


def module_places(names: Iterable[str]) -> list[tuple[str, int]]:
    """Where granted modules lie that are not in a library folder, with the rights that importing them takes.

    The folder around a module may be listed, and nothing in it be read but the module.
    """
    found: list[tuple[str, int]] = []
    libraries = places().libraries
    for name in {name.partition(".")[0] for name in names}:
        try:
            spec = importlib.util.find_spec(name)
        except (ImportError, ValueError):
            continue
        if spec is None:
            continue
        inside = list(spec.submodule_search_locations or ()) or [spec.origin or ""]
        for place in inside:
            if os.path.isabs(place) and not beneath(os.path.realpath(place), libraries):
                found += [(place, READ), (os.path.dirname(place), _READ_DIR)]
    return found


def library_folders(guarded: Iterable[Path]) -> list[str]:
    """Where libraries are, without folders of the import path that are a person's working folders.

    Args:
        guarded: what must stay closed.
    """
    closed = [Path(os.path.realpath(path)) for path in (*guarded, Path.cwd())]
    found = list(places().libraries)
    for entry in sys.path:
        real = Path(os.path.realpath(entry))
        if entry and not any(path.is_relative_to(real) for path in closed):
            found.append(str(real))
    return found
