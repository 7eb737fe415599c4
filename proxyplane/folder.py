"""The agent's own way to its files: what `open`, `os`, `pathlib` and `tempfile` of the guest ask.

One object of each session, behind a handle like any other; its lines are in `catalogs/files.toml`. Each method gets
places that were found, decided and recorded (`proxyplane.access`), never a path.
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat
from collections.abc import Callable
from typing import Final

from proxyplane.errors import Denied
from proxyplane.files import Files, Place, kind_of
from proxyplane.paths import Parts

__all__ = ["CONTENT_BYTES", "Folder"]

CONTENT_BYTES: Final = 8 << 20
"""The most that crosses at once; half a frame, since text may need twice its bytes."""
_LISTED: Final = 100_000

Look = tuple[str, int, int]
"""Kind (`file` or `folder`), bytes, nanoseconds of the last change."""

Listing = list[tuple[str, str, int, int]]
"""Name and look of each entry."""


class Folder:
    """The files that a policy grants, below one root.

    Args:
        files: of the plane.
    """

    def __init__(self, files: Files) -> None:
        self._files = files

    def look(self, place: Place) -> Look | None:
        """What is there; None where nothing is."""
        if place.status is None:
            return None
        return str(place.kind), place.status.st_size if place.kind == "file" else 0, place.status.st_mtime_ns

    def list(self, place: Place) -> Listing:
        """Name and look of what a folder holds, as far as it is granted or leads there; links are left out.

        Raises:
            OSError: it is no folder, or cannot be read.
        """
        descriptor = os.open(f"/proc/self/fd/{place.folder()}", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        found: Listing = []
        try:
            with os.scandir(descriptor) as entries:
                for entry in entries:
                    if len(found) >= _LISTED:
                        raise place.problem(errno.EOVERFLOW)
                    try:
                        status = entry.stat(follow_symlinks=False)
                    except FileNotFoundError:
                        continue
                    kind = kind_of(status.st_mode)
                    if kind in ("file", "folder") and self._shows((*place.parts, entry.name), kind):
                        found.append((entry.name, kind, status.st_size if kind == "file" else 0, status.st_mtime_ns))
        finally:
            os.close(descriptor)
        return sorted(found)

    def _shows(self, parts: Parts, kind: str) -> bool:
        globs = (self._files.read, self._files.write)
        return any(each.grants(parts) or (kind == "folder" and each.leads(parts)) for each in globs)

    def read(self, place: Place) -> bytes:
        """The whole content of a file.

        Raises:
            OSError: it cannot be read, as natively.
            ValueError: it is larger than what crosses at once.
        """
        size = place.size()
        if size <= CONTENT_BYTES:
            descriptor = place.open(os.O_RDONLY)
            with open(descriptor, "rb", buffering=0) as file:
                content = _all_of(file.fileno())
            if len(content) <= CONTENT_BYTES:
                return content
        raise ValueError(
            f"the file is larger than the {CONTENT_BYTES:,} bytes that can be read here; let a library of the "
            "host read it, as pandas.read_csv(path) does"
        )

    def open(self, place: Place, how: str) -> int:
        """Make a file ready for writing.

        Args:
            place: where.
            how: `w` begin anew, `a` make it where it is missing, `x` make it and nothing else, `+` it must be there.

        Returns:
            Its size in bytes.

        Raises:
            OSError: as natively.
            ValueError: another word.
        """
        if how not in ("w", "a", "x", "+"):
            raise ValueError("a file is opened with w, a, x or +")
        if how != "+":
            place.create(exclusive=how == "x")
        descriptor = place.open(os.O_WRONLY)
        try:
            if how == "w":
                os.ftruncate(descriptor, 0)
            return os.fstat(descriptor).st_size
        finally:
            os.close(descriptor)

    def write(self, place: Place, data: bytes, at: int | None) -> int:
        """Write bytes into a file that exists.

        Args:
            place: where.
            data: what.
            at: at which byte; None at its end.

        Returns:
            The file's size afterwards.

        Raises:
            OSError: as natively.
            TypeError, ValueError: not bytes, or not a place in a file.
        """
        if type(data) is not bytes or not (at is None or (type(at) is int and 0 <= at <= 1 << 40)):
            raise TypeError("bytes are written at a number of bytes from the start, or at the end")
        descriptor = place.open(os.O_WRONLY | (os.O_APPEND if at is None else 0))
        try:
            view = memoryview(data)
            if at is not None:
                os.lseek(descriptor, at, os.SEEK_SET)
            while view:
                view = view[os.write(descriptor, view) :]
            return os.fstat(descriptor).st_size
        finally:
            os.close(descriptor)

    def cut(self, place: Place, size: int) -> int:
        """Make a file exactly so long.

        Raises:
            OSError, ValueError: as natively.
        """
        if type(size) is not int or not 0 <= size <= 1 << 30:
            raise ValueError("a file is cut to 0 bytes and more, at most 1 GiB")
        descriptor = place.open(os.O_WRONLY)
        try:
            os.ftruncate(descriptor, size)
        finally:
            os.close(descriptor)
        return size

    def touch(self, place: Place, changed: int | None) -> None:
        """Set the time of a file's last change.

        Args:
            place: which.
            changed: nanoseconds since 1970; None for now.

        Raises:
            OSError: as natively.
            TypeError: another kind of time.
        """
        if not (changed is None or (type(changed) is int and 0 <= changed < 1 << 62)):
            raise TypeError("a time is a number of nanoseconds since 1970")
        path = f"/proc/self/fd/{place.file()}"
        os.utime(path) if changed is None else os.utime(path, ns=(changed, changed))

    def make(self, place: Place, parents: bool, existing: bool) -> None:
        """Make a folder.

        Args:
            place: where.
            parents: make those above it too.
            existing: it may be there already.

        Raises:
            OSError: as natively.
        """
        if place.kind == "folder" and existing:
            return
        if place.leaf is not None:
            raise place.problem(errno.EEXIST)
        if not parents:
            try:
                os.mkdir(place.parts[-1], 0o777, dir_fd=place.parent())
            except OSError as error:
                raise place.problem(error.errno or 0) from None
            return
        self._make_all(place)

    def _make_all(self, place: Place) -> None:
        """Each folder from the root down, by descriptor, none through a link."""
        at = os.dup(self._files.root())
        try:
            for number, name in enumerate(place.parts):
                if not self._files.write.leads(place.parts[: number + 1]) and number < len(place.parts) - 1:
                    raise Denied(
                        f"{place.text!r}: the folder above it does not exist", effect=place.effect,
                        hint=self._files.granted(),
                    )  # fmt: skip
                with contextlib.suppress(FileExistsError):
                    os.mkdir(name, 0o777, dir_fd=at)
                below = os.open(name, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=at)
                os.close(at)
                at = below
                if not stat.S_ISDIR(os.fstat(at).st_mode):
                    raise place.problem(errno.ENOTDIR)
        except OSError as error:
            if isinstance(error, Denied):
                raise
            raise place.problem(error.errno or 0) from None
        finally:
            os.close(at)

    def remove(self, place: Place) -> None:
        """Remove a file.

        Raises:
            OSError: as natively.
        """
        place.file()
        _from_parent(os.unlink, place)

    def remove_folder(self, place: Place) -> None:
        """Remove an empty folder.

        Raises:
            OSError: as natively.
        """
        place.folder()
        _from_parent(os.rmdir, place)

    def rename(self, old: Place, new: Place) -> None:
        """Give a file another name; one that is there is replaced.

        Raises:
            OSError: as natively.
            Denied: it would become readable, which it was not.
        """
        old.file()
        if self._files.read.grants(new.parts) and not self._files.read.grants(old.parts):
            raise Denied(
                f"{old.text!r} may not be read, and under its new name it could be",
                effect="fs.read",
                hint=self._files.granted(),
            )
        if new.kind == "folder":
            raise new.problem(errno.EISDIR)
        try:
            os.rename(old.parts[-1], new.parts[-1], src_dir_fd=old.parent(), dst_dir_fd=new.parent())
        except OSError as error:
            raise new.problem(error.errno or 0) from None


def _from_parent(remove: Callable[..., None], place: Place) -> None:
    try:
        remove(place.parts[-1], dir_fd=place.parent())
    except OSError as error:
        raise place.problem(error.errno or 0) from None


def _all_of(descriptor: int) -> bytes:
    """A file's content up to one byte more than may cross: it may grow while it is read."""
    parts, left = [], CONTENT_BYTES + 1
    while left > 0 and (part := os.read(descriptor, min(left, 1 << 20))):
        parts.append(part)
        left -= len(part)
    return b"".join(parts)
