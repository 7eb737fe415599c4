"""What is wrong with a file: collected, then told all at once, from its top."""

from __future__ import annotations

from typing import NamedTuple

from proxyplane.errors import PolicyError
from proxyplane.policies.locate import Path, nearest

__all__ = ["Faults"]


class _Fault(NamedTuple):
    line: int | None
    order: int
    message: str
    hint: str


class Faults:
    """Collects faults of one file.

    Args:
        file: its name in errors.
        lines: where its parts stand.
    """

    def __init__(self, file: str, lines: dict[Path, int]) -> None:
        self.file = file
        self.lines = lines
        self._found: list[_Fault] = []

    def __call__(self, message: str, path: Path, hint: str = "") -> None:
        """Note that what stands at `path` is wrong."""
        self._found.append(_Fault(self.line(path), len(self._found), message, hint))

    def line(self, path: Path) -> int | None:
        """The line of what stands at `path`."""
        return nearest(self.lines, path)

    def __bool__(self) -> bool:
        return bool(self._found)

    def settle(self) -> None:
        """End the reading.

        Raises:
            PolicyError: something is wrong; the topmost fault, with the rest as its `problems`.
        """
        found = sorted(self._found, key=lambda each: (each.line or 0, each.order))
        if found:
            errors = [PolicyError(each.message, file=self.file, line=each.line, hint=each.hint) for each in found[1:]]
            first = found[0]
            raise PolicyError(first.message, file=self.file, line=first.line, hint=first.hint, others=errors)
