"""The file in which budgets survive a restart: one line for each reservation and one for its end.

    proxyplane-budgets 1
    r 7 [["revealed_rows", "analyst-1", "sales", "", 12, []]] 5f1c2a90     reserved, under the number 7
    c 7 [["revealed_rows", "analyst-1", "sales", "", 3, []]] 77aa01b3      really taken
    x 8 [] 0d3b9c11                                                        given back

Each line ends with the CRC-32 of what stands before it. A reservation without an end was in progress when the process
died: what has perhaps been seen counts as seen. The file is opened once, before the host is sealed, and only ever
appended to; at the next start it is rewritten, to a new file that takes its place in one step.
"""

from __future__ import annotations

import fcntl
import json
import os
import zlib
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from proxyplane.errors import AuditUnavailable

__all__ = ["Entry", "Journal"]

_HEAD = b"proxyplane-budgets 1\n"
_FLAGS = os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW | os.O_CLOEXEC


class Entry(NamedTuple):
    """Units of one counter."""

    budget: str
    principal: str
    root: str
    period: str
    amount: int
    names: tuple[str, ...] = ()
    """For budgets of distinct columns: which."""


class Journal:
    """An open file of budgets; one process at a time has it.

    Args:
        path: made if it does not exist; its folder must.

    Raises:
        AuditUnavailable: it cannot be opened, another process has it, or its content is not what was written.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._number = 0
        try:
            held = self._locked()
            try:
                self.found = self._read(held)
                self._file = self._rewritten()
            finally:
                os.close(held)
            self._size = self._synced = os.fstat(self._file).st_size
        except OSError as error:
            raise AuditUnavailable(f"the budget file {path} cannot be used: {error.strerror}") from error

    def reserve(self, entries: Iterable[Entry]) -> int:
        """Write down what is set aside; the number to end it with."""
        self._number += 1
        self._append("r", self._number, entries)
        return self._number

    def commit(self, number: int, entries: Iterable[Entry]) -> None:
        """Write down what was really taken."""
        self._append("c", number, entries)

    def release(self, number: int) -> None:
        """Write down that nothing was taken."""
        self._append("x", number, ())

    def sync(self) -> None:
        """Make it survive a loss of power; does nothing where nothing is new."""
        if self._synced == self._size:
            return
        try:
            os.fdatasync(self._file)
            self._synced = self._size
        except OSError as error:
            raise AuditUnavailable(f"the budget file {self.path} cannot be made durable: {error.strerror}") from error

    def close(self) -> None:
        """Close the file; idempotent."""
        if self._file >= 0:
            file, self._file = self._file, -1
            os.close(file)

    def _append(self, kind: str, number: int, entries: Iterable[Entry]) -> None:
        line = _line(kind, number, entries)
        try:
            if os.fstat(self._file).st_size != self._size:
                raise AuditUnavailable(f"the budget file {self.path} was changed by somebody else")
            _write(self._file, line, self.path)
        except OSError as error:
            raise AuditUnavailable(f"the budget file {self.path} cannot be written: {error.strerror}") from error
        self._size += len(line)

    def _locked(self) -> int:
        """The file as it is, locked. The lock is of no use if the file was replaced while it was being taken."""
        file = os.open(self.path, _FLAGS, 0o600)
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            mine = os.fstat(file).st_ino == self.path.stat().st_ino
        except BlockingIOError:
            mine = False
        if not mine:
            os.close(file)
            raise AuditUnavailable(f"the budget file {self.path} is in use by another process")
        return file

    def _read(self, file: int) -> list[Entry]:
        """Everything that was taken so far."""
        with os.fdopen(os.dup(file), "rb") as stream:
            data = stream.read()
        lines = data.split(b"\n")
        lines.pop()  # empty, or a line that was not written whole: what it reserved was never given
        if data and not data.startswith(_HEAD):
            raise AuditUnavailable(f"{self.path} is no budget file; move it away, or name another")
        taken: list[Entry] = []
        open_: dict[int, list[Entry]] = {}
        for at, line in enumerate(lines[1:], 2):
            read = _parsed(line)
            if read is None:
                raise AuditUnavailable(
                    f"the budget file {self.path}, line {at}, is not what was written; restore it, or move it away to "
                    "count from 0"
                )
            kind, number, entries = read
            open_.pop(number, None)
            if kind == "r":
                open_[number] = entries
            elif kind == "c":
                taken += entries
        return _summed([*taken, *(entry for held in open_.values() for entry in held)])

    def _rewritten(self) -> int:
        """The sums alone in a new file that takes the old one's place, locked and open for appending."""
        new = self.path.with_name(f"{self.path.name}.new")
        new.unlink(missing_ok=True)
        file = os.open(new, _FLAGS | os.O_EXCL, 0o600)
        try:
            fcntl.flock(file, fcntl.LOCK_EX)
            text = _HEAD + (_line("c", 0, self.found) if self.found else b"")
            _write(file, text, self.path)
            os.fsync(file)
            new.replace(self.path)
        except BaseException:
            os.close(file)
            raise
        return file


def _summed(entries: Iterable[Entry]) -> list[Entry]:
    """One entry for each counter."""
    found: dict[tuple[str, str, str, str], Entry] = {}
    for entry in entries:
        known = found.get(entry[:4], entry._replace(amount=0))
        names = tuple(sorted({*known.names, *entry.names}))
        found[entry[:4]] = entry._replace(amount=known.amount + entry.amount, names=names)
    return list(found.values())


def _write(file: int, data: bytes, path: Path) -> None:
    if os.write(file, data) != len(data):
        raise AuditUnavailable(f"the budget file {path} could only be written in part")


def _line(kind: str, number: int, entries: Iterable[Entry]) -> bytes:
    text = f"{kind} {number} {json.dumps(list(entries), separators=(',', ':'))}".encode()
    return text + b" %08x\n" % zlib.crc32(text)


def _parsed(line: bytes) -> tuple[str, int, list[Entry]] | None:
    text, _, crc = line.rpartition(b" ")
    if not text or crc != b"%08x" % zlib.crc32(text):
        return None
    kind, number, content = text.decode().split(" ", 2)  # as written: the CRC says so
    entries = [Entry(b, who, root, period, n, tuple(names)) for b, who, root, period, n, names in json.loads(content)]
    return kind, int(number), entries
