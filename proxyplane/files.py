"""`[fs]`: which files an agent's path names, and how host code gets them.

    path of the agent -> Place (globs, walk without symbolic links) -> decision -> what the library opens

A path is walked name by name, each relative to the folder before it and none through a symbolic link, and what is
found is pinned by a descriptor. That very file is decided on, and that very file is given to host code: as a name
in a private folder of this process which leads to the descriptor, so nothing that happens to the path in between
matters. Pinning opens nothing for reading: a pipe does not block and a device does not notice.
"""

from __future__ import annotations

import contextlib
import errno
import io
import os
import shutil
import stat
import tempfile
import threading
from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Final, NamedTuple, Protocol

from proxyplane.effects import Effect
from proxyplane.errors import PolicyError, ProtocolError
from proxyplane.paths import WORKING_FOLDER, Globs, Parts, escaped, in_words, locate, printable
from proxyplane.policies import FsGrant, Policy

__all__ = ["Files", "Lineage", "NotGranted", "OpenFile", "Place", "check_sources", "identity_of", "kind_of"]

READ_BYTES: Final = 2 << 30
"""A larger file is not given to host code: it would be read into this process's memory."""
_PIN: Final = os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC
_KEPT: Final = 64
"""Operations of one session whose files host code may open later; each keeps descriptors."""
_NOTHING: Final[frozenset[str]] = frozenset()

Identity = tuple[int, int]
"""Device and inode."""


class NotGranted(Exception):  # noqa: N818 - becomes a Denied once it is recorded
    """`[fs]` does not grant a path; the text says what it grants."""


class Releasable(Protocol):
    """What `Files.keep` holds."""

    def release(self) -> None:
        """Let go of it."""

    def reaches(self, path: str) -> bool:
        """Whether an absolute path leads to it."""


class Lineage(NamedTuple):
    """What the content of a file was made from."""

    roots: frozenset[str] = _NOTHING
    labels: frozenset[str] = _NOTHING


@dataclass(frozen=True, slots=True)
class OpenFile:
    """A file that the agent has opened and passed to host code, which opens it anew at the same place."""

    path: str
    mode: str
    """`r`, `w` or `a`; with `b` for bytes."""
    encoding: str | None
    errors: str | None
    newline: str | None
    position: int
    """In bytes."""
    FIELDS: ClassVar[tuple[str, ...]] = ("path", "mode", "encoding", "errors", "newline", "position")

    @property
    def effect(self) -> Effect:
        """What host code does with it."""
        return Effect.FS_READ if self.mode[0] == "r" else Effect.FS_WRITE


class Place:
    """One path of an operation, pinned: the folder that holds it and, where it exists, the file itself.

    Attributes:
        effect: `fs.read`, `fs.write`, or `read` for what shows no content.
        text: as the agent wrote it.
        parts: below the root.
        leaf: descriptor of what is there; None where nothing is.
    """

    __slots__ = ("_parent", "_problem", "effect", "leaf", "parts", "status", "text")

    def __init__(self, effect: Effect, text: str, parts: Parts) -> None:
        self.effect = effect
        self.text = text
        self.parts = parts
        self.leaf: int | None = None
        self.status: os.stat_result | None = None
        self._parent: int | None = None
        self._problem: OSError | None = None

    def __del__(self) -> None:
        self.close()

    def close(self) -> None:
        """Let go of the descriptors; idempotent."""
        for descriptor in (self.leaf, self._parent):
            if descriptor is not None:
                os.close(descriptor)
        self.leaf = self._parent = None

    @property
    def kind(self) -> str | None:
        """`file`, `folder`, `link`, `other`; None where nothing is."""
        return None if self.status is None else kind_of(self.status.st_mode)

    @property
    def identity(self) -> Identity | None:
        """Of what is there."""
        return None if self.status is None else (self.status.st_dev, self.status.st_ino)

    @property
    def relative(self) -> str:
        """Below the root, as text."""
        return "/".join(self.parts)

    def walk(self, root: int, stops: frozenset[Identity]) -> bool:
        """Go there from the root; False where the way leads through a symbolic link or a folder in `stops`."""
        at, name = os.dup(root), ""
        try:
            status = os.fstat(at)
            for number, name in enumerate(self.parts):
                if not stat.S_ISDIR(status.st_mode):
                    raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR))
                if self._parent is not None:
                    os.close(self._parent)
                self._parent, at = at, -1
                try:
                    at = os.open(name, _PIN, dir_fd=self._parent)
                except FileNotFoundError:
                    if number == len(self.parts) - 1:
                        return True
                    raise
                status = os.fstat(at)
                if stat.S_ISLNK(status.st_mode) or (status.st_dev, status.st_ino) in stops:
                    return False
            self.leaf, self.status, at = at, status, -1
        except OSError as error:
            self._problem = OSError(error.errno, os.strerror(error.errno or 0), self.text)
        finally:
            if at >= 0:
                os.close(at)
        return True

    def problem(self, number: int) -> OSError:
        """The native error for this path."""
        return OSError(number, os.strerror(number), self.text)

    def file(self) -> int:
        """The descriptor of the regular file that is there.

        Raises:
            OSError: there is none, or a folder, as natively.
        """
        if self._problem is not None:
            raise self._problem
        if self.leaf is None:
            raise self.problem(errno.ENOENT)
        if self.kind == "folder":
            raise self.problem(errno.EISDIR)
        return self.leaf

    def folder(self) -> int:
        """The descriptor of the folder that is there.

        Raises:
            OSError: there is none, as natively.
        """
        if self._problem is not None:
            raise self._problem
        if self.leaf is None or self.kind != "folder":
            raise self.problem(errno.ENOENT if self.leaf is None else errno.ENOTDIR)
        return self.leaf

    def parent(self) -> int:
        """The descriptor of the folder that holds it, or would.

        Raises:
            OSError: there is none, as natively.
        """
        if self._problem is not None:
            raise self._problem
        if self._parent is None:
            raise self.problem(errno.EBUSY)
        return self._parent

    def create(self, *, exclusive: bool = False) -> bool:
        """Make an empty file where nothing is; whether this call made it.

        Raises:
            OSError: a folder is there, nothing can be made there, or something is there already and `exclusive`.
        """
        if self.leaf is not None or self._problem is not None:
            if exclusive and self.leaf is not None:
                raise self.problem(errno.EEXIST)
            self.file()
            return False
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        try:
            os.close(os.open(self.parts[-1], flags, 0o666, dir_fd=self.parent()))
            self.leaf = os.open(self.parts[-1], _PIN, dir_fd=self.parent())
        except OSError as error:
            raise self.problem(error.errno or 0) from None
        self.status = os.fstat(self.leaf)
        if not stat.S_ISREG(self.status.st_mode):  # taken away and replaced between the two
            raise self.problem(errno.EEXIST)
        return True

    def open(self, flags: int) -> int:
        """A descriptor of the pinned file itself, for reading or writing.

        Raises:
            OSError: no file is there, or the host may not open it so.
        """
        leaf = self.file()
        try:
            return os.open(f"/proc/self/fd/{leaf}", flags | os.O_CLOEXEC | os.O_NOCTTY | os.O_NONBLOCK)
        except OSError as error:
            raise self.problem(error.errno or 0) from None

    def size(self) -> int:
        """Bytes of the pinned file now."""
        return os.fstat(self.file()).st_size


class Files:
    """The files that a policy grants, for all sessions of one plane.

    Args:
        grant: the policy's `[fs]`; None: no file is reachable.
        guarded: folders that are out of reach whatever the globs say, such as the log's.
    """

    def __init__(self, grant: FsGrant | None, *, guarded: Iterable[Path] = ()) -> None:
        self.grant = grant
        self.read = Globs(grant.read if grant is not None else ())
        self.write = Globs(grant.write if grant is not None else ())
        self._root: int | None = None
        self._real = ""
        self._stops = frozenset(identity for folder in guarded if (identity := identity_of(folder)) is not None)
        self._hidden: dict[Identity, str] = {}
        self._lineage: dict[Identity, Lineage] = {}
        self._lock = threading.Lock()
        self._private: str | None = None
        self._staged = 0
        self._kept: dict[str, deque[Releasable]] = {}

    def know(self, path: str | os.PathLike[str], name: str) -> None:
        """Say that a granted object was loaded from a file: what is read from it counts as the object's."""
        identity = identity_of(path)
        if identity is not None:
            made = self._lineage.get(identity, Lineage())
            self._lineage[identity] = made._replace(roots=made.roots | {name})

    def hide(self, path: str | os.PathLike[str], what: str) -> None:
        """Put a file out of reach, whatever its names and the globs.

        Args:
            path: as it is now; the file is meant, not the name.
            what: what it is, for the refusal.
        """
        identity = identity_of(path)
        if identity is not None:
            self._hidden[identity] = what

    def root(self) -> int:
        """The descriptor of the root.

        Raises:
            OSError: it does not exist.
        """
        if self.grant is None:
            raise FileNotFoundError(errno.ENOENT, "no files are granted")
        with self._lock:
            if self._root is None:
                self._root = os.open(self.grant.root, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
                self._real = os.path.realpath(self.grant.root)
        return self._root

    def place(self, effect: Effect, text: str, *, making: bool = False) -> Place:
        """Find what a path names.

        Args:
            effect: `fs.read`, `fs.write`, or `read` for whether it exists and what kind and size it has.
            text: as the agent wrote it.
            making: a folder is to be made there, which may be one on the way to a granted path.

        Raises:
            NotGranted: `[fs]` does not grant it.
        """
        shown = repr(printable(text.removeprefix("./")))
        if self.grant is None:
            raise NotGranted(f"{shown}: no files are granted: the policy has no [fs] section")
        try:
            root = self.root()
        except OSError as error:
            raise NotGranted(f"{shown}: the root of [fs] cannot be opened: {error.strerror}") from None
        try:
            parts = locate(text, self._real)
        except ValueError as error:
            raise NotGranted(f"{shown}: not a path: {error}") from None
        if parts is None:
            raise NotGranted(f"{shown}: leads out of the root of [fs]")
        if not self._reaches(effect, parts, making=making):
            raise NotGranted(f"{shown}: not granted by [fs]")
        place = Place(effect, text, parts)
        if not place.walk(root, self._stops):
            raise NotGranted(f"{shown}: leads through a symbolic link or into the audit log, which [fs] never does")
        self._check(place, shown)
        return place

    def _check(self, place: Place, shown: str) -> None:
        if place.kind in ("other", "link"):
            raise NotGranted(f"{shown}: is neither a regular file nor a folder")
        hidden = self._hidden.get(place.identity) if place.identity is not None else None
        if hidden is not None:
            raise NotGranted(f"{shown}: is {hidden}")
        single = place.kind != "file" or place.status is None or place.status.st_nlink == 1
        if place.effect is Effect.FS_WRITE and not single:
            raise NotGranted(f"{shown}: has a second name (hard link), so where a write would go is not known")

    def _reaches(self, effect: Effect, parts: Parts, *, making: bool) -> bool:
        if effect is Effect.FS_READ:
            return self.read.grants(parts)
        if effect is Effect.FS_WRITE:
            return self.write.grants(parts) or (making and self.write.leads(parts))
        return self.shows(parts)

    def shows(self, parts: Parts) -> bool:
        """Whether the agent may know that this exists: it is granted, or a folder on the way to what is."""
        return any(globs.grants(parts) or globs.leads(parts) for globs in (self.read, self.write))

    def granted(self) -> str:
        """What is granted, in words."""
        reading, writing = in_words(self.read.patterns), in_words(self.write.patterns)
        return f"[fs] grants below its root: reading {reading}; writing {writing}"

    def lineage(self, place: Place) -> Lineage:
        """What reading this file gives: its own name, and what a host library wrote into it in this plane."""
        own = frozenset({f"fs:{escaped(place.relative)}"})
        made = self._lineage.get(place.identity, Lineage()) if place.identity is not None else Lineage()
        return Lineage(own | made.roots, made.labels)

    def wrote(self, place: Place, roots: frozenset[str], labels: frozenset[str]) -> None:
        """Remember what a file was made from: reading it back must not make it another object."""
        if place.identity is None or not (roots or labels):
            return
        made = self._lineage.get(place.identity, Lineage())
        self._lineage[place.identity] = Lineage(made.roots | roots, made.labels | labels)

    def stage(self, place: Place) -> tuple[str, str]:
        """A path in a private folder that leads to the pinned file, under the same name.

        Returns:
            The private folder, and the path in it.
        """
        with self._lock:
            if self._private is None:
                self._private = tempfile.mkdtemp(prefix="proxyplane-files-")
            self._staged += 1
            folder = f"{self._private}/{self._staged}"
        os.mkdir(folder, 0o700)
        path = f"{folder}/{place.parts[-1]}"
        os.symlink(f"/proc/self/fd/{place.file()}", path)
        return folder, path

    def keep(self, session: str, access: Releasable) -> None:
        """Hold what host code opens later (a lazy frame) until the session ends; of many the oldest goes first."""
        with self._lock:
            kept = self._kept.setdefault(session, deque())
            kept.append(access)
            oldest = kept.popleft() if len(kept) > _KEPT else None
        if oldest is not None:
            oldest.release()

    def reaches(self, session: str, path: str) -> bool:
        """Whether an absolute path leads to what is held for a session."""
        return any(access.reaches(path) for access in list(self._kept.get(session, ())))

    def forget(self, session: str) -> None:
        """Let go of what was held for a session."""
        with self._lock:
            kept = self._kept.pop(session, deque())
        for access in kept:
            access.release()

    def told(self) -> tuple[str | None, str | None]:
        """What a guest is told: its working folder, and the folder for temporary files; None where there is none."""
        scratch = self.write.scratch()
        if self.grant is None:
            return None, None
        return WORKING_FOLDER, None if scratch is None else f"{WORKING_FOLDER}/{scratch}".rstrip("/")

    def close(self) -> None:
        """Let go of the root and of the private folder; idempotent."""
        for session in list(self._kept):
            self.forget(session)
        with self._lock:
            if self._root is not None:
                os.close(self._root)
                self._root = None
            if self._private is not None:
                shutil.rmtree(self._private, ignore_errors=True)
                self._private = None


def opened(values: list[Any]) -> OpenFile:
    """The file that a guest's record describes.

    Raises:
        ProtocolError: it describes none.
    """
    path, mode, encoding, errors, newline, position = values
    texts = all(type(text) in (str, type(None)) and len(text or "") <= 64 for text in (encoding, errors, newline))
    if type(path) is not str or mode not in ("r", "w", "a", "rb", "wb", "ab") or not texts:
        raise ProtocolError("an open file is a path, a mode and how its text is read")
    if type(position) is not int or not 0 <= position <= 1 << 40:
        raise ProtocolError("an open file is at a number of bytes from its start")
    return OpenFile(path, mode, encoding, errors, newline, position)


def open_again(place: Place, given: OpenFile) -> Any:
    """A file object of the pinned file, as the agent had opened it.

    Raises:
        OSError, LookupError: it cannot be opened so.
    """
    writing = given.effect is Effect.FS_WRITE
    flags = os.O_RDONLY if not writing else os.O_WRONLY | (os.O_APPEND if given.mode[0] == "a" else 0)
    file: Any = open(place.open(flags), "wb" if writing else "rb")  # noqa: SIM115 - host code uses it
    if given.mode[0] != "a":
        file.seek(given.position)
    if "b" in given.mode:
        return file
    try:
        return io.TextIOWrapper(file, given.encoding or "utf-8", given.errors, given.newline, write_through=True)
    except BaseException:
        file.close()
        raise


def position_after(file: Any, place: Place) -> int:
    """Where host code left such a file, which is closed here; its end where host code closed it."""
    position = place.size()
    if not file.closed:
        with contextlib.suppress(OSError, ValueError):
            file.flush()
            position = getattr(file, "buffer", file).tell()
        file.close()
    return position


def identity_of(path: str | os.PathLike[str]) -> Identity | None:
    """Device and inode of what is there now; None where nothing is."""
    try:
        status = os.stat(path)
    except OSError:
        return None
    return status.st_dev, status.st_ino


def check_sources(policy: Policy, sources: Mapping[str, str | os.PathLike[str]]) -> None:
    """Refuse a policy whose `[fs]` would show the file behind a projected object.

    Args:
        policy: the policy.
        sources: granted name to the file that the object is loaded from.

    Raises:
        PolicyError: a glob of `[fs] read` matches such a file.
    """
    if policy.fs is None:
        return
    read, real = Globs(policy.fs.read), os.path.realpath(policy.fs.root)
    for name in projected(policy, sources):
        for path in (os.path.abspath(sources[name]), os.path.realpath(sources[name])):
            parts = locate(path, real) if path != real else None
            if parts is not None and read.grants(parts):
                raise PolicyError(
                    f'[fs] read grants {"/".join(parts)}, the file of "{name}", of which only a projection is granted',
                    file=policy.name,
                    hint="narrow the globs, or keep the file elsewhere",
                )


def projected(policy: Policy, sources: Mapping[str, str | os.PathLike[str]]) -> set[str]:
    """Names whose object is a projection; other names of the same file are too."""
    found = {n for n in sources if (f := policy.objects.get(n)) is not None and f.projects}
    identities = {identity_of(sources[name]) for name in found} - {None}
    return found | {name for name in sources if identity_of(sources[name]) in identities}


def kind_of(mode: int) -> str:
    """What a mode of `stat` is of: `file`, `folder`, `link` or `other`."""
    if stat.S_ISREG(mode):
        return "file"
    return "folder" if stat.S_ISDIR(mode) else "link" if stat.S_ISLNK(mode) else "other"
