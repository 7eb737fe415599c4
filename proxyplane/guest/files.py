"""Files in the guest: `open` and the path functions of `os` become operations on the host.

The guest itself opens nothing. What it is given at its start is one object of the host, the folder of its files; each
use of it is decided and recorded there like every other operation. `pathlib`, `tempfile`, `shutil`, `zipfile` and all
else that goes by `open` and `os` then works as it is. A file that is passed on to host code before anything of it was
read is opened there: its content does not come here.
"""

from __future__ import annotations

import builtins
import contextlib
import errno
import io
import os
import stat
import weakref
from collections.abc import Callable, Iterator
from typing import Any, Final, NoReturn

from proxyplane.errors import Denied
from proxyplane.guest.rawfiles import Ask, RawFile, wrap

__all__ = ["Files", "handed_over", "moved_to"]

_FIRST_NUMBER: Final = 1 << 20
"""Descriptors begin far above those that this process can have."""
_FOLDER_MODE: Final = stat.S_IFDIR | 0o755
_FILE_MODE: Final = stat.S_IFREG | 0o644
_FIELDS: Final = ["path", "mode", "encoding", "errors", "newline", "position"]


class Files:
    """The files of this guest, and the functions that stand for those of `io` and `os`."""

    def __init__(self) -> None:
        self._folder: Any = None
        self._where = "/"
        self._scratch: str | None = None
        self._open: weakref.WeakSet[Any] = weakref.WeakSet()
        self._numbers: dict[int, RawFile] = {}
        self._next = _FIRST_NUMBER
        self._native: dict[str, Any] = {}

    def grant(self, folder: Any, where: str | None, scratch: str | None) -> None:
        """Take what the host gives at the start.

        Args:
            folder: the stub of the host's folder.
            where: the working folder; None without any files.
            scratch: where temporary files go; None where nothing may be made.
        """
        if self._folder is None:
            self._install()
        self._folder = folder
        self._scratch = scratch
        if where is not None:
            self._where = where
        if scratch is not None:
            os.environ["TMPDIR"] = scratch

    def _install(self) -> None:
        """Put these functions in the place of the process's own, which the kernel refuses."""
        builtins.open = io.open = self.open
        for name, function in self._functions().items():
            self._native[name] = getattr(os, name)
            setattr(os, name, function)

    def rest(self) -> None:
        """End of a run: what was written and not flushed is written."""
        for file in list(self._open):
            with contextlib.suppress(ValueError):
                if not file.closed and file.writable():
                    file.flush()

    # Asking the host

    def _ask(self, member: str, path: Any, *more: Any) -> Any:
        """One operation on the host's folder; native errors carry the path as the agent wrote it."""
        try:
            return getattr(self._folder, member)(_text(path), *more)
        except OSError as error:
            if error.errno is None or isinstance(error, Denied):
                raise
            raise OSError(error.errno, error.strerror, path) from None

    def _making(self, member: str, path: Any, *more: Any) -> Any:
        """The same, where the folder for temporary files may have to be made first."""
        try:
            return self._ask(member, path, *more)
        except FileNotFoundError:
            if self._scratch is None or os.path.dirname(os.path.join(self._where, _text(path))) != self._scratch:
                raise
        self._ask("make", self._scratch, True, True)
        return self._ask(member, path, *more)

    # open

    def open(
        self,
        file: Any,
        mode: str = "r",
        buffering: int = -1,
        encoding: str | None = None,
        errors: str | None = None,
        newline: str | None = None,
        closefd: bool = True,
        opener: Callable[[Any, int], int] | None = None,
    ) -> Any:
        """`open`, as in the standard library."""
        letters = _checked(mode, buffering, encoding, errors, newline)
        raw = self._raw_of(file, letters, closefd, opener)
        try:
            opened = wrap(raw, letters, buffering, encoding, errors, newline)
        except BaseException:
            raw.close()
            raise
        if opened is not raw:
            self._open.add(opened)
        return opened

    def _raw_of(self, file: Any, letters: set[str], closefd: bool, opener: Any) -> RawFile:
        if isinstance(file, int) and not isinstance(file, bool):
            found = self._numbers.get(file)
            if found is None:
                raise OSError(errno.EBADF, os.strerror(errno.EBADF))
            return found if closefd else found.again()
        if not closefd:
            raise ValueError("Cannot use closefd=False with file name")
        if opener is not None:
            return self._numbers[opener(file, _flags(letters))]
        path = os.fspath(file)
        if not isinstance(path, str | bytes):
            raise TypeError(f"expected str, bytes or os.PathLike object, not {type(file).__name__}")
        return self._opened(path, letters)

    def _opened(self, path: Any, letters: set[str]) -> RawFile:
        ask: Ask = self._ask
        if "r" in letters and "+" not in letters:
            size = self._present(path)
        else:
            how = next(letter for letter in "wxa+" if letter in letters)
            size = self._making("open", path, how)
        return RawFile(ask, path, letters, size, self._closed)

    def _present(self, path: Any) -> int:
        found = self._ask("look", path)
        if found is None or found[0] == "folder":
            number = errno.ENOENT if found is None else errno.EISDIR
            raise OSError(number, os.strerror(number), path)
        return int(found[1])

    def _closed(self, raw: RawFile) -> None:
        if raw.number is not None:
            self._numbers.pop(raw.number, None)

    # os

    def _functions(self) -> dict[str, Callable[..., Any]]:
        names = (
            "listdir scandir stat lstat mkdir makedirs rmdir remove unlink rename replace getcwd open close read write "
            "lseek fstat access truncate chmod utime"
        )
        return {name: getattr(self, f"_os_{name}") for name in names.split()}

    def _os_getcwd(self) -> str:
        return self._where

    def _os_stat(self, path: Any, *, dir_fd: int | None = None, follow_symlinks: bool = True) -> os.stat_result:
        if isinstance(path, int):
            return self._os_fstat(path)
        _no_folder(dir_fd)
        if _text(path).startswith("<"):  # where code of the guest's own library says that it lies
            raise OSError(errno.ENOENT, os.strerror(errno.ENOENT), path)
        found = self._ask("look", path)
        if found is None:
            raise OSError(errno.ENOENT, os.strerror(errno.ENOENT), path)
        return _status(*found)

    def _os_lstat(self, path: Any, *, dir_fd: int | None = None) -> os.stat_result:
        return self._os_stat(path, dir_fd=dir_fd)

    def _os_fstat(self, fd: int) -> os.stat_result:
        raw = self._numbers.get(fd)
        if raw is None:
            return self._native["fstat"](fd)  # type: ignore[no-any-return]
        return self._os_stat(raw.name)

    def _os_access(self, path: Any, mode: int, **options: Any) -> bool:
        try:
            self._os_stat(path)
        except OSError:
            return False
        return not mode & os.X_OK

    def _os_listdir(self, path: Any = ".") -> list[Any]:
        entries = [name for name, *_ in self._ask("list", path)]
        return [os.fsencode(name) for name in entries] if isinstance(path, bytes) else entries

    def _os_scandir(self, path: Any = ".") -> _Scan:
        folder = os.fspath(path)
        return _Scan([Entry(folder, *found) for found in self._ask("list", path)])

    def _os_mkdir(self, path: Any, mode: int = 0o777, *, dir_fd: int | None = None) -> None:
        _no_folder(dir_fd)
        self._making("make", path, False, False)

    def _os_makedirs(self, name: Any, mode: int = 0o777, exist_ok: bool = False) -> None:
        self._ask("make", name, True, exist_ok)

    def _os_rmdir(self, path: Any, *, dir_fd: int | None = None) -> None:
        _no_folder(dir_fd)
        self._ask("remove_folder", path)

    def _os_unlink(self, path: Any, *, dir_fd: int | None = None) -> None:
        _no_folder(dir_fd)
        for raw in self._numbers.values():
            if raw.is_at(path):
                raw.keep()
        self._ask("remove", path)

    _os_remove = _os_unlink

    def _os_rename(self, src: Any, dst: Any, *, src_dir_fd: int | None = None, dst_dir_fd: int | None = None) -> None:
        _no_folder(src_dir_fd if src_dir_fd is not None else dst_dir_fd)
        self._ask("rename", src, _text(dst))

    _os_replace = _os_rename

    def _os_truncate(self, path: Any, length: int) -> None:
        self._ask("cut", path, length)

    def _os_chmod(self, path: Any, mode: int, **options: Any) -> None:
        """Modes stay as the host made them; whether the file may be written is asked all the same."""
        if not stat.S_ISDIR(self._os_stat(path).st_mode):
            self._ask("open", path, "+")

    def _os_utime(self, path: Any, times: Any = None, *, ns: Any = None, **options: Any) -> None:
        if ns is None and times is not None:
            ns = tuple(int(seconds * 1e9) for seconds in times)
        self._ask("touch", path, None if ns is None else int(ns[1]))

    def _os_open(self, path: Any, flags: int, mode: int = 0o777, *, dir_fd: int | None = None) -> int:
        _no_folder(dir_fd)
        letters = _letters(flags)
        raw = self._opened(os.fspath(path), letters)
        raw.number, self._next = self._next, self._next + 1
        self._numbers[raw.number] = raw
        return raw.number

    def _os_close(self, fd: int) -> None:
        raw = self._numbers.get(fd)
        raw.close() if raw is not None else self._native["close"](fd)

    def _os_read(self, fd: int, length: int, /) -> Any:
        raw = self._numbers.get(fd)
        return raw.read(length) if raw is not None else self._native["read"](fd, length)

    def _os_write(self, fd: int, data: Any, /) -> Any:
        raw = self._numbers.get(fd)
        return raw.write(data) if raw is not None else self._native["write"](fd, data)

    def _os_lseek(self, fd: int, position: int, whence: int, /) -> Any:
        raw = self._numbers.get(fd)
        return raw.seek(position, whence) if raw is not None else self._native["lseek"](fd, position, whence)


class Entry:
    """What `os.scandir` gives of each entry."""

    def __init__(self, folder: Any, name: str, kind: str, size: int, changed: int) -> None:
        self.name = os.fsencode(name) if isinstance(folder, bytes) else name
        self.path = os.path.join(folder, self.name)
        self._look = (kind, size, changed)

    def __fspath__(self) -> Any:
        return self.path

    def __repr__(self) -> str:
        return f"<DirEntry {self.name!r}>"

    def is_file(self, *, follow_symlinks: bool = True) -> bool:
        """Whether it is a regular file."""
        return self._look[0] == "file"

    def is_dir(self, *, follow_symlinks: bool = True) -> bool:
        """Whether it is a folder."""
        return self._look[0] == "folder"

    def is_symlink(self) -> bool:
        """False: links are not shown."""
        return False

    is_junction = is_symlink

    def stat(self, *, follow_symlinks: bool = True) -> os.stat_result:
        """Kind, size and time of change as the host listed them."""
        return _status(*self._look)


class _Scan:
    """What `os.scandir` gives: an iterator that can be closed."""

    def __init__(self, entries: list[Entry]) -> None:
        self._entries = iter(entries)

    def __iter__(self) -> Iterator[Entry]:
        return self

    def __next__(self) -> Entry:
        return next(self._entries)

    def __enter__(self) -> _Scan:
        return self

    def __exit__(self, *exit_info: object) -> None:
        self.close()

    def close(self) -> None:
        """Nothing is held."""


def handed_over(value: Any) -> tuple[list[str], list[Any]] | None:
    """Field names and values of the record by which a file goes to host code, to be opened there.

    None for all else, and for a file of which something was read here: what is left of it goes by value.
    """
    value = getattr(value, "file", value) if type(value).__name__ == "_TemporaryFileWrapper" else value
    if not isinstance(value, io.IOBase):
        return None
    buffer = value.buffer if isinstance(value, io.TextIOWrapper) else value
    raw = getattr(buffer, "raw", buffer)
    if not isinstance(raw, RawFile) or raw.closed or (raw.readable() and raw.started):
        return None
    if raw.nameless:  # a temporary file: it goes by value
        return None
    if raw.writable():
        value.flush()
    text = value if isinstance(value, io.TextIOWrapper) else None
    encoding, errors = (text.encoding, text.errors) if text is not None else (None, None)
    newline = getattr(text, "proxyplane_newline", None)
    mode = raw.kind + ("" if text is not None else "b")
    return _FIELDS, [_text(raw.name), mode, encoding, errors, newline, raw.tell()]


def moved_to(value: Any, position: int) -> bool:
    """Bring a file to where host code left it; False for what is no file of this kind."""
    value = getattr(value, "file", value) if type(value).__name__ == "_TemporaryFileWrapper" else value
    buffer = getattr(value, "buffer", value)
    raw = getattr(buffer, "raw", buffer)
    if not isinstance(raw, RawFile):
        return False
    raw.grown(position)
    if not value.closed:
        value.seek(position)
    return True


def _text(path: Any) -> str:
    """A path as the host takes it: relative ones begin with a dot, so that nothing takes them for an address."""
    text = os.fspath(path)
    text = os.fsdecode(text) if isinstance(text, bytes) else text
    if not isinstance(text, str):
        raise TypeError(f"a path is a text, bytes or os.PathLike, not {type(path).__name__}")
    if "\0" in text:
        raise ValueError("embedded null byte")
    if not text:
        raise OSError(errno.ENOENT, os.strerror(errno.ENOENT), text)
    while "//" in text:
        text = text.replace("//", "/")
    return text if text.startswith(("/", "./")) else f"./{text}"


def _status(kind: str, size: int, changed: int) -> os.stat_result:
    seconds = changed / 1e9
    whole = int(seconds)
    mode = _FOLDER_MODE if kind == "folder" else _FILE_MODE
    return os.stat_result((mode, 0, 0, 1, 0, 0, size, whole, whole, whole, seconds, seconds, seconds))


def _no_folder(descriptor: int | None) -> None:
    if descriptor is not None:
        raise NotImplementedError("paths relative to a folder's descriptor are not available here; give the whole path")


def _checked(mode: str, buffering: int, encoding: Any, errors: Any, newline: Any) -> set[str]:
    """The letters of a mode, after the checks that `open` makes."""
    if not isinstance(mode, str):
        raise TypeError(f"open() argument 'mode' must be str, not {type(mode).__name__}")
    letters = set(mode)
    if letters - set("axrwb+t") or len(mode) > len(letters):
        raise ValueError(f"invalid mode: {mode!r}")
    if not letters & set("axrw"):
        raise ValueError("Must have exactly one of create/read/write/append mode and at most one plus")
    if len(letters & set("axrw")) != 1:
        raise ValueError("must have exactly one of create/read/write/append mode")
    if {"b", "t"} <= letters:
        raise ValueError("can't have text and binary mode at once")
    if "b" in letters:
        for name, value in (("encoding", encoding), ("errors", errors), ("newline", newline)):
            if value is not None:
                raise ValueError(f"binary mode doesn't take {_ARTICLE[name]} {name} argument")
    if buffering == 0 and "b" not in letters:
        raise ValueError("can't have unbuffered text I/O")
    return letters - {"t"}


_ARTICLE: Final = {"encoding": "an", "errors": "an", "newline": "a"}


def _flags(letters: set[str]) -> int:
    access = os.O_RDWR if "+" in letters else os.O_RDONLY if "r" in letters else os.O_WRONLY
    made = {"w": os.O_CREAT | os.O_TRUNC, "a": os.O_CREAT | os.O_APPEND, "x": os.O_CREAT | os.O_EXCL, "r": 0}
    return access | next(flags for letter, flags in made.items() if letter in letters)


def _letters(flags: int) -> set[str]:
    """The mode that flags of `os.open` amount to."""
    if flags & getattr(os, "O_DIRECTORY", 0):
        _refuse_folder()
    access = flags & (os.O_RDONLY | os.O_WRONLY | os.O_RDWR)
    if access == os.O_RDONLY and not flags & os.O_CREAT:
        return {"r", "b"}
    letters = {"b"} | ({"+"} if access == os.O_RDWR else set())
    if flags & os.O_CREAT:
        how = "x" if flags & os.O_EXCL else "w" if flags & os.O_TRUNC else "a"
    else:
        how = "w" if flags & os.O_TRUNC else "r"
        letters |= {"+"}
    return letters | {how} | (set() if flags & os.O_APPEND or how != "a" else {"s"})


def _refuse_folder() -> NoReturn:
    raise OSError(errno.ENOTSUP, "a folder cannot be opened here; os.scandir lists it")
