"""The few system calls that the log makes on its directory: one seam, so that tests can make each of them fail.

Everything is relative to the open directory, nothing follows a symbolic link, and nothing is ever opened for
overwriting. Standard library only (the log-writer process runs this).
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import stat
import time

__all__ = ["Storage"]

_BUSY_SECONDS = 0.3
_KEY_BYTES = 4096


class Storage:
    """An audit directory, locked for one writer.

    Args:
        path: the directory; made with mode 0700 when missing.
        keys: folder of the signing and the HMAC key; by default `keys` in it.

    Raises:
        OSError: it cannot be made or opened, is a symbolic link, belongs to another user, may be written by others,
            or another writer holds it.
    """

    def __init__(self, path: str, keys: str | None = None) -> None:
        self.path = path
        self._keys = keys if keys is not None else os.path.join(path, "keys")
        try:
            os.makedirs(path, mode=0o700)
        except FileExistsError:
            made = False
        else:
            made = True
        self._directory = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
        try:
            self._claim()
            if made:
                self._sync_parent()
        except BaseException:
            os.close(self._directory)
            raise

    def _claim(self) -> None:
        facts = os.fstat(self._directory)
        if facts.st_uid != os.geteuid():
            raise PermissionError(errno.EPERM, "the audit directory belongs to another user; use one of your own")
        if stat.S_IMODE(facts.st_mode) & 0o022:
            raise PermissionError(errno.EPERM, "other users may write to the audit directory; chmod it to 700")
        until = time.monotonic() + _BUSY_SECONDS
        while True:
            try:
                fcntl.flock(self._directory, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                # A verify looks for a writer by holding a shared lock for a moment.
                if time.monotonic() > until:
                    raise BlockingIOError(
                        errno.EWOULDBLOCK, "another log writer holds the audit directory; use another one or end that"
                    ) from None
                time.sleep(0.02)
            else:
                return

    def _sync_parent(self) -> None:
        parent = os.open(os.path.dirname(os.path.abspath(self.path)), os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(parent)
        finally:
            os.close(parent)

    def names(self) -> list[str]:
        """Names in the directory."""
        return os.listdir(self._directory)

    def read(self, name: str) -> bytes:
        """All bytes of a file."""
        handle = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=self._directory)
        with open(handle, "rb") as file:
            return file.read()

    def create(self, name: str) -> int:
        """A new file to append to, mode 0600; it must not exist. Returns its descriptor."""
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND | os.O_NOFOLLOW | os.O_CLOEXEC
        return os.open(name, flags, 0o600, dir_fd=self._directory)

    def write(self, handle: int, data: bytes | memoryview) -> int:
        """As `os.write`: may take fewer bytes than given."""
        return os.write(handle, data)

    def sync(self, handle: int) -> None:
        """Everything written to the file is durable when this returns."""
        os.fdatasync(handle)

    def sync_directory(self) -> None:
        """All names made or replaced in the directory are durable when this returns."""
        os.fsync(self._directory)

    def replace(self, source: str, target: str) -> None:
        """Renames within the directory, atomically."""
        os.replace(source, target, src_dir_fd=self._directory, dst_dir_fd=self._directory)

    def remove(self, name: str) -> None:
        """Removes a file if it is there."""
        try:
            os.unlink(name, dir_fd=self._directory)
        except FileNotFoundError:
            return

    def size_if_same(self, name: str, handle: int) -> int:
        """Size of the open file, or -1 when `name` in the directory is not that file any more."""
        mine = os.fstat(handle)
        try:
            named = os.stat(name, dir_fd=self._directory, follow_symlinks=False)
        except FileNotFoundError:
            return -1
        same = (mine.st_dev, mine.st_ino) == (named.st_dev, named.st_ino)
        return mine.st_size if same else -1

    def read_key(self, name: str) -> bytes | None:
        """A secret, None when there is none.

        Raises:
            OSError: it cannot be read, or others could.
        """
        try:
            folder = self._key_folder()
        except FileNotFoundError:
            return None
        try:
            handle = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=folder)
            with open(handle, "rb") as file:
                if stat.S_IMODE(os.fstat(handle).st_mode) & 0o077:
                    raise PermissionError(errno.EPERM, "other users could read the log's keys; chmod them to 600")
                return file.read(_KEY_BYTES)
        except FileNotFoundError:
            return None
        finally:
            os.close(folder)

    def create_key(self, name: str, data: bytes) -> None:
        """A new secret, mode 0600; it must not exist."""
        os.makedirs(self._keys, mode=0o700, exist_ok=True)
        folder = self._key_folder()
        try:
            flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
            handle = os.open(name, flags, 0o600, dir_fd=folder)
            try:
                if self.write(handle, data) != len(data):
                    raise OSError(errno.EIO, "a key could not be written as a whole")
                self.sync(handle)
            finally:
                os.close(handle)
        except BaseException:
            with contextlib.suppress(OSError):  # half a key is none
                os.unlink(name, dir_fd=folder)
            raise
        finally:
            os.close(folder)

    def sync_keys(self) -> None:
        """The names of all keys are durable when this returns."""
        folder = self._key_folder()
        try:
            os.fsync(folder)
        finally:
            os.close(folder)

    def _key_folder(self) -> int:
        return os.open(self._keys, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)

    def open_append(self, name: str) -> int:
        """A file that is there, to append to. Returns its descriptor."""
        flags = os.O_WRONLY | os.O_APPEND | os.O_NOFOLLOW | os.O_CLOEXEC
        return os.open(name, flags, dir_fd=self._directory)

    def close_file(self, handle: int) -> None:
        """Closes a file made by `create`."""
        os.close(handle)

    def close(self) -> None:
        """Gives up the lock and the directory."""
        os.close(self._directory)
