"""The files of one operation: found before it is decided, given to host code while it runs, let go of afterwards."""

from __future__ import annotations

import contextlib
import os
import pathlib
import re
from collections.abc import Iterator
from typing import Any, Final, NamedTuple

from proxyplane.catalogs.arguments import PATH_EFFECT, ended
from proxyplane.catalogs.lines import Entry
from proxyplane.decisions import Facts
from proxyplane.effects import Effect
from proxyplane.errors import Denied
from proxyplane.files import READ_BYTES, Files, NotGranted, OpenFile, Place, open_again, position_after
from proxyplane.folder import Folder
from proxyplane.hosts.held import holds_open, path_of
from proxyplane.operations import Operation
from proxyplane.paths import printable
from proxyplane.subjects import Subject

__all__ = ["Access", "Moved", "is_folder", "measure", "open_paths"]

ROW_BYTES: Final = 256
"""A longer line of a file counts as several rows."""
_REMOTE: Final = re.compile(r"(?:https?|ftp|s3|gs)://[^\x00-\x20]+", re.IGNORECASE)
"""URLs that name something elsewhere. (`file://` and `simplecache::` lead to this machine's files.)"""
_PATHS: Final = (str, bytes, pathlib.PurePath)
_DEPTH: Final = 4


class Moved(NamedTuple):
    """An open file of the agent after host code has used it."""

    at: int | str
    position: int


class Access:
    """What one operation reaches of the file system.

    Args:
        files: of the plane.
        operation: whose paths they are.
        paths: what the catalog says that its arguments name: effect and text.
        folder: whether the operation is on the agent's `Folder`, which takes places and no paths.
    """

    __slots__ = (
        "_created",
        "_failed",
        "_files",
        "_folder",
        "_opened",
        "_stages",
        "_used",
        "described",
        "places",
        "refusal",
        "refused",
    )

    def __init__(self, files: Files, operation: Operation, paths: tuple[tuple[Effect, str], ...], folder: bool) -> None:
        self._files = files
        self._folder = folder
        self.places: dict[tuple[Effect, str], Place] = {}
        self.refusal: str | None = None
        """Why a path cannot be reached."""
        self.refused: Effect = Effect.FS_READ
        self._created: list[Place] = []
        self._failed = False
        self._used: set[Place] = set()
        self._stages: list[tuple[str, str, Place]] = []
        self._opened: list[tuple[int | str, Any, Place]] = []
        wanted = list(paths)
        self.described = [
            {"effect": str(e), "path": printable(text.removeprefix("./"))} for e, text in dict.fromkeys(wanted)
        ]
        """For the record."""
        making = folder and operation.member == "make"
        for effect, text in dict.fromkeys(wanted):
            self._admit(effect, text, making)

    def _admit(self, effect: Effect, text: str, making: bool) -> None:
        try:
            if effect is Effect.NET:
                check_address(text)
                return
            self.places[effect, text] = self._files.place(effect, text, making=making)
        except NotGranted as error:
            if self.refusal is None:
                self.refused = Effect.FS_READ if effect is Effect.READ else effect
                self.refusal = f"{error}; {self.hint}"

    @property
    def hint(self) -> str:
        """What would be allowed instead of what is refused."""
        if self.refused is Effect.NET:
            return "give an address of one of these kinds"
        if self._files.grant is not None:
            return self._files.granted()
        key = "write" if self.refused is Effect.FS_WRITE else "read"
        return f'it needs [fs] with {key} = ["..."] in the policy, and a rule that allows "{self.refused}"'

    def join(self, subject: Subject) -> Subject:
        """The subject with the files that are read in it: what they give is theirs, and what it was made from."""
        roots, labels, schema = subject.roots, subject.labels, subject.schema
        for (effect, _), place in self.places.items():
            if effect is Effect.FS_READ:
                lineage = self._files.lineage(place)
                roots, labels, schema = roots | lineage.roots, labels | lineage.labels, False
        return subject._replace(roots=roots, labels=labels, schema=schema)

    # What host code gets

    def given(self, operation: Operation, line: Entry | None, skipped: int, receiver: Any = None) -> Operation:
        """The operation with what leads to the pinned files in place of the agent's paths.

        Args:
            operation: as the agent asked it.
            line: what says which arguments are paths.
            skipped: positional arguments before the first that the line counts.
            receiver: the object itself, which may hold a file open.

        Raises:
            OSError: a file cannot be given, as natively.
        """
        given = list(operation.args)
        named = dict(operation.kwargs)
        for param in line.params if line is not None else ():
            action = param.action
            if param.name == "self":
                self._replaced(receiver, action)
            elif action in PATH_EFFECT:
                at = None if param.position is None else param.position + skipped
                if at is not None and at < len(given):
                    given[at] = self._replaced(given[at], action)
                elif param.name in named:
                    named[param.name] = self._replaced(named[param.name], action)
            elif action == "named":  # which of them reaches the named method as a path is not known
                given = [self._anywhere(value, 0) for value in given]
                named = {name: self._anywhere(value, 0) for name, value in named.items()}
        for number, value in enumerate(given):
            if type(value) is OpenFile:
                given[number] = self._reopen(number, value)
        for name, value in named.items():
            if type(value) is OpenFile:
                named[name] = self._reopen(name, value)
        if not self._used.issuperset(self.places.values()):  # a library would open what nobody pinned
            raise Denied("a path among the arguments cannot be given to host code", effect=self.refused, reason="fs")
        return operation._replace(args=tuple(given), kwargs=named)

    def _replaced(self, value: Any, action: str) -> Any:
        if action == "source-read" and type(value) in (list, tuple):
            return type(value)([self._replaced(item, action) for item in value])
        if holds_open(value):  # its file was given when it was opened
            place = self.places.get((PATH_EFFECT[action], path_of(value) or ""))
            self._used.update(() if place is None else (place,))
        elif isinstance(value, _PATHS):
            text = os.path.expanduser(os.fsdecode(ended(action, value)))
            place = self.places.get((PATH_EFFECT[action], text))
            if place is not None:
                self._used.add(place)
                found = place if self._folder else self._staged(place)
                return os.fsencode(found) if isinstance(value, bytes) and isinstance(found, str) else found
        return value

    def _anywhere(self, value: Any, depth: int) -> Any:
        kind = type(value)
        if isinstance(value, _PATHS):
            for action in ("path-write", "path-read"):
                found = self._replaced(value, action)
                if found is not value:
                    return found
        elif kind in (list, tuple) and depth < _DEPTH:
            return kind(self._anywhere(item, depth + 1) for item in value)
        elif kind is dict and depth < _DEPTH:
            return {key: self._anywhere(item, depth + 1) for key, item in value.items()}
        return value

    def _staged(self, place: Place) -> str:
        for _, path, known in self._stages:
            if known is place:
                return path
        if place.effect is Effect.FS_WRITE and place.create():
            self._created.append(place)
        if place.effect is Effect.FS_READ and place.size() > READ_BYTES:
            raise ValueError(f"the file has more than {READ_BYTES:,} bytes, the most that is read at once")
        folder, path = self._files.stage(place)
        self._stages.append((folder, path, place))
        return path

    def _reopen(self, at: int | str, given: OpenFile) -> Any:
        place = self.places[given.effect, given.path]
        if place.effect is Effect.FS_READ and place.size() > READ_BYTES:
            raise ValueError(f"the file has more than {READ_BYTES:,} bytes, the most that is read at once")
        file = open_again(place, given)
        self._used.add(place)
        self._opened.append((at, file, place))
        return file

    def native(self, error: BaseException) -> BaseException:
        """An error of host code with the agent's path in it instead of the private one.

        It is noted too: an empty file that was made for the operation goes, as it would not have been made.
        """
        self._failed = True
        if isinstance(error, OSError) and isinstance(error.filename, str | bytes):
            for _, path, place in self._stages:
                if os.fsdecode(error.filename) == path:
                    error.filename = place.text
        return error

    # Afterwards

    def settle(self, subject: Subject, line: Entry | None, session: str) -> list[Moved]:
        """Remember what was written, take back what was given, close all.

        Args:
            subject: what the operation worked on, which is what the files that it wrote are made from.
            line: of what was called; with `holds` host code opens the files later.
            session: whose operation it is.

        Returns:
            Where host code left the agent's open files.
        """
        moved = []
        for at, file, place in self._opened:
            with contextlib.suppress(OSError):
                moved.append(Moved(at, position_after(file, place)))
        for (effect, _), place in self.places.items():
            if effect is Effect.FS_WRITE and not self._folder:
                self._files.wrote(place, subject.roots, subject.labels)
        for place in self._created:
            with contextlib.suppress(OSError):
                if self._failed and not place.size():
                    os.unlink(place.parts[-1], dir_fd=place.parent())
        if line is not None and "holds" in line.flags and not self._failed:
            self._files.keep(session, self)
        else:
            self.release()
        return moved

    def reaches(self, path: str) -> bool:
        """Whether an absolute path leads to what host code was given."""
        return any(path == staged or path.startswith(f"{folder}/") for folder, staged, _ in self._stages)

    def release(self) -> None:
        """Take back what host code was given, without a look at it; idempotent."""
        for folder, path, _ in self._stages:
            with contextlib.suppress(OSError):
                os.unlink(path)
                os.rmdir(folder)
        self._stages.clear()
        self._opened.clear()
        for place in self.places.values():
            place.close()


def open_paths(operation: Operation) -> Iterator[tuple[Effect, str]]:
    """Effect and path of the agent's open files among the arguments; host code gets them whatever they are for."""
    for value in (*operation.args, *operation.kwargs.values()):
        if type(value) is OpenFile:
            yield value.effect, value.path


def check_address(text: str) -> None:
    """Let only addresses pass that name something elsewhere.

    Raises:
        NotGranted: a scheme that could lead to a file of this machine, or one that is not known.
    """
    if not _REMOTE.fullmatch(text):
        raise NotGranted(f"{printable(text)!r}: of addresses only http, https, ftp, s3 and gs can be granted")


def is_folder(value: Any) -> bool:
    """Whether an operation's target is the agent's way to its files."""
    return type(value) is Folder


def measure(content: str | bytes) -> Facts:
    """How much the content of a file shows: a line is a row, and so is each begun 256 bytes of a longer one.

    Bytes that are no text are not known: a compressed table has more rows than it has lines.
    """
    if isinstance(content, bytes):
        try:
            content.decode()
        except UnicodeDecodeError:
            return Facts(None, None, len(content))
        if b"\0" in content:
            return Facts(None, None, len(content))
        lines = content.splitlines()
    else:
        lines = content.encode("utf-8", "surrogatepass").splitlines()
    rows = sum(1 + max(0, len(line) - 1) // ROW_BYTES for line in lines)
    return Facts(rows, rows, len(content))
