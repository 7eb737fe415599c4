"""A second device: every byte of the log also goes into another directory, and nothing counts before both have it.

The second directory is a complete log to `verify` and to read; only the keys are not in it. Standard library only
(the log-writer process runs this).
"""

from __future__ import annotations

from proxyplane.audit import segments
from proxyplane.audit.keys import PUBLIC_NAME
from proxyplane.audit.storage import Storage

__all__ = ["Mirrored"]


class Mirrored(Storage):
    """Two directories behind the one seam; an error of either is an error.

    Args:
        path: the first directory, which is read from.
        mirror: the second; empty, or a copy of the first.
        keys: as of `Storage`.

    Raises:
        OSError: as of `Storage`, for either; or the second holds another log.
    """

    def __init__(self, path: str, mirror: str, keys: str | None = None) -> None:
        super().__init__(path, keys)
        try:
            self._other = Storage(mirror)
        except BaseException:
            super().close()
            raise
        self._twins: dict[int, int] = {}
        try:
            self._catch_up()
        except BaseException:
            self.close()
            raise

    def _catch_up(self) -> None:
        """Gives each directory what only the other has; a machine may have stopped between the two."""
        if not _bytes(self._first(), PUBLIC_NAME) and _bytes(self._other, PUBLIC_NAME):
            raise OSError("the second directory of the log holds a log and the first none; copy it back, with its keys")
        mine, theirs = (set(filter(segments.number_of, storage.names())) for storage in (self._first(), self._other))
        names = sorted(mine | theirs)
        for name in names:
            if name in mine and name in theirs and name not in names[-2:]:
                continue  # sealed long ago; verify compares what it holds
            self._level(name, _bytes(self._first(), name), _bytes(self._other, name))
        for name in (PUBLIC_NAME, segments.MARK_NAME):
            known, other = _bytes(self._first(), name), _bytes(self._other, name)
            if known and known != other:
                if other and name == PUBLIC_NAME:
                    raise OSError("the second directory of the log holds another log; name an empty one")
                _replace(self._other, name, known)
        self._other.sync_directory()
        super().sync_directory()

    def _level(self, name: str, first: bytes, second: bytes) -> None:
        shorter, longer = sorted((first, second), key=len)
        if not longer.startswith(shorter):
            raise OSError("the second directory of the log holds something else; keep it and name an empty one")
        if len(shorter) == len(longer):
            return
        behind = self._first() if len(first) < len(second) else self._other
        handle = behind.open_append(name) if name in behind.names() else behind.create(name)
        try:
            _write_all(behind, handle, longer[len(shorter) :])
            behind.sync(handle)
        finally:
            behind.close_file(handle)

    def _first(self) -> Storage:
        """The first directory alone."""
        alone = object.__new__(Storage)
        alone.path, alone._keys, alone._directory = self.path, self._keys, self._directory
        return alone

    def create(self, name: str) -> int:
        handle = super().create(name)
        self._twins[handle] = self._other.create(name)
        return handle

    def write(self, handle: int, data: bytes | memoryview) -> int:
        taken = super().write(handle, data)
        twin = self._twins.get(handle)
        if twin is not None:
            _write_all(self._other, twin, bytes(data[:taken]))
        return taken

    def sync(self, handle: int) -> None:
        super().sync(handle)
        twin = self._twins.get(handle)
        if twin is not None:
            self._other.sync(twin)

    def sync_directory(self) -> None:
        super().sync_directory()
        self._other.sync_directory()

    def replace(self, source: str, target: str) -> None:
        super().replace(source, target)
        self._other.replace(source, target)

    def remove(self, name: str) -> None:
        super().remove(name)
        self._other.remove(name)

    def size_if_same(self, name: str, handle: int) -> int:
        size = super().size_if_same(name, handle)
        return size if self._other.size_if_same(name, self._twins[handle]) == size else -1

    def close_file(self, handle: int) -> None:
        twin = self._twins.pop(handle, None)
        try:
            super().close_file(handle)
        finally:
            if twin is not None:
                self._other.close_file(twin)

    def close(self) -> None:
        try:
            super().close()
        finally:
            self._other.close()


def _bytes(storage: Storage, name: str) -> bytes:
    try:
        return storage.read(name)
    except FileNotFoundError:
        return b""


def _write_all(storage: Storage, handle: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        taken = storage.write(handle, view)
        if taken <= 0:
            raise OSError("the second directory of the log took no bytes")
        view = view[taken:]


def _replace(storage: Storage, name: str, data: bytes) -> None:
    temporary = f"{name}.new"
    storage.remove(temporary)
    handle = storage.create(temporary)
    try:
        _write_all(storage, handle, data)
        storage.sync(handle)
    finally:
        storage.close_file(handle)
    storage.replace(temporary, name)
