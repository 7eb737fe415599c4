"""Making this process a sealed host, for the commands that are one: `run`, `exec`, `demo`, `serve`, `mcp`.

The order is that of `proxyplane.seal`: what must be started or opened is started and opened first.
"""

from __future__ import annotations

import contextlib
import importlib
import os
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from proxyplane.cli.problems import Problem
from proxyplane.cli.terminal import put
from proxyplane.desk import Desk
from proxyplane.plane import ControlPlane
from proxyplane.policies import Policy
from proxyplane.seal import SEALED, Seal, SealError

__all__ = ["Hosting", "Sealing", "sealing"]

_AT_ONCE = ("numpy", "pandas")
"""Imported before the system-call filter: the data is loaded with them."""


@dataclass(frozen=True)
class Sealing:
    """How a command's process is to be sealed."""

    own: bool = False
    """The process is the command's own; one that only calls it cannot be sealed."""
    wanted: bool = True
    required: bool = False
    memory: int | None = None
    """Bytes that the host may hold."""
    secret: str | None = field(default=None, repr=False)
    """By which a person of this user approves, where there is no terminal to show a new one on."""


class Hosting:
    """The steps of sealing, each of which does nothing where there is no seal."""

    def __init__(self, how: Sealing) -> None:
        self._how = how
        self._failed = False
        self.seal: Seal | None = None
        self.desk: Desk | None = None

    def give_up(self, error: SealError) -> None:
        """Go on without a seal, and say so; or not, where one is required."""
        if self._how.required:
            hint = "run `proxyplane doctor` to see what this machine offers, or leave --require-sealed out"
            raise Problem(f"the host cannot be sealed: {error}", hint=hint) from None
        put(f"proxyplane: NOT SEALED: {error}; host libraries are held by the catalog alone\n", sys.stderr)
        self._failed = True  # the watchdog still watches

    def close_files(self, plane: ControlPlane) -> None:
        """Landlock; log writer and zygote run by now."""
        if self.seal is not None:
            try:
                self.seal.close_files(plane)
            except SealError as error:
                self.give_up(error)

    def close_calls(self, plane: ControlPlane, modules: Iterable[str]) -> None:
        """Import what is needed anyway, then the system-call filter."""
        if self.seal is None or self._failed:
            return
        for name in _AT_ONCE:
            if name in modules:
                with contextlib.suppress(ImportError):
                    importlib.import_module(name)
        try:
            self.seal.close_calls(plane)
        except SealError as error:
            self.give_up(error)
            return
        plane.host_tier = SEALED
        for note in self.seal.notes:
            if self._how.required:
                raise Problem(f"the seal is not whole: {note}", hint="keep it in another folder")
            put(f"proxyplane: note: {note}\n", sys.stderr)

    def limit(self, plane: ControlPlane) -> None:
        """Bound memory and time, and answer people; the data is loaded by now."""
        if self.seal is not None:
            self.seal.limit(plane)
        if self.desk is None or (self.desk.secret is None and os.getuid() == 0):
            plane.approvals.nobody = "there is no terminal here on which a person could be asked"
        if self.desk is not None:
            self.desk.open(plane)
            plane.desk = self.desk

    def end(self) -> None:
        """The host closes; idempotent."""
        if self.seal is not None:
            self.seal.end()
            self.seal = None


@contextmanager
def sealing(
    how: Sealing,
    policy: Policy,
    audit: Path,
    guarded: Iterable[str],
    writable: Iterable[Path] = (),
    left: Iterable[Path] = (),
) -> Iterator[Hosting]:
    """A host to be sealed step by step, which ends with the context.

    Args:
        how: whether, and how strictly.
        policy: its `[fs]` stays reachable.
        audit: the audit directory.
        guarded: files that must not be reached by path: sources of projections, the policy.
        writable: folders that the command itself writes into.
        left: files that the watchdog removes when this process has ended.

    Raises:
        Problem: a seal is required and cannot be had.
    """
    hosting = Hosting(how)
    if how.required and not how.own:
        raise Problem("the host cannot be sealed: this process is not the command's own", hint="run the command itself")
    if how.required and not how.wanted:
        raise Problem("--require-sealed and --no-seal cannot both hold", hint="give one of them")
    if not how.wanted:
        put("proxyplane: NOT SEALED (--no-seal): host libraries are held by the catalog alone\n", sys.stderr)
    if how.own and how.wanted:
        with contextlib.suppress(OSError):  # without a private folder nobody can resume from a command line
            hosting.desk = Desk()
            if how.secret is not None:
                hosting.desk.secret = how.secret
            elif any(rule.decide == "ask" for rule in policy.rules):
                hosting.desk.show_secret()
        try:
            left = (*left, *(() if hosting.desk is None else (hosting.desk.path,)))
            hosting.seal = Seal(
                audit=audit,
                fs=policy.fs,
                modules=policy.modules.host,
                guarded=guarded,
                writable=writable,
                memory=how.memory,
                left=left,
            )
        except SealError as error:
            hosting.give_up(error)
    try:
        yield hosting
    finally:
        hosting.end()
        if hosting.desk is not None:
            hosting.desk.close()
