"""`proxyplane mcp`: the plane over the Model Context Protocol on standard streams, from a sealed host."""

from __future__ import annotations

import os
import secrets
import stat
import sys
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path

from proxyplane import __version__
from proxyplane.cli.problems import Exit, Problem
from proxyplane.cli.running import Settings, hosted
from proxyplane.cli.terminal import put

__all__ = ["Speaking", "speak"]

_SECRET_CHARS = 200
_SHORTEST = 12


@dataclass(frozen=True)
class Speaking:
    """What the options say, beyond those of a run."""

    answer_within: float
    """Seconds after which a call is answered with a ticket."""
    secret_file: Path | None = None


def speak(settings: Settings, speaking: Speaking) -> Exit:
    """Serve one client on standard streams until it goes.

    Raises:
        Problem: it could not begin.
    """
    if not settings.sealing.own:
        raise Problem("mcp speaks on standard streams, so it needs a process of its own", hint="run the command itself")
    try:
        from proxyplane.transport.http.roster import Roster, Rules  # noqa: PLC0415 - an extra
        from proxyplane.transport.http.tokens import AGENT, Principal  # noqa: PLC0415
        from proxyplane.transport.mcp.server import Plane  # noqa: PLC0415
        from proxyplane.transport.mcp.stdio import Streams, serve  # noqa: PLC0415
    except ImportError as error:
        hint = 'pip install "proxyplane[mcp]"'
        raise Problem(f"mcp needs a package that is not installed: {error.name}", hint=hint) from None

    if sys.stdin.isatty():
        _say("a client such as an agent's own program speaks to this command on its standard streams (docs/mcp.md)")
    with ExitStack() as stack:
        hidden: dict[str, str] = {}
        if speaking.secret_file is not None:
            secret = _secret(speaking.secret_file)
            hidden[str(speaking.secret_file)] = "the approval secret"
            settings = replace(settings, sealing=replace(settings.sealing, secret=secret))
        try:
            streams = Streams.take()
        except OSError as error:
            raise Problem(f"the standard streams cannot be used: {error.strerror}") from None
        plane, objects = stack.enter_context(hosted(settings, hidden=hidden))
        longest = max(settings.timeout, Rules.longest_run_seconds)
        rules = Rules(run_seconds=settings.timeout, longest_run_seconds=longest)
        roster, agent = Roster(plane, objects, rules), Principal(settings.agent, AGENT)
        roster.open(agent)
        served = Plane(roster, lambda context: agent, answer_seconds=speaking.answer_within)
        stack.callback(served.close)
        _say(f"{plane.host_tier} host, guests {plane.tier}; serving MCP on standard streams")
        serve(served.server(__version__), streams, _say)
    return Exit.OK


def _say(text: str) -> None:
    put(f"proxyplane: {text}\n", sys.stderr)


def _secret(path: Path) -> str:
    """The secret by which a person approves, from a file of theirs alone; made where it is missing.

    Raises:
        Problem: it cannot be read or made, or others can read it.
    """
    try:
        return _read(path, lambda: _made(path))
    except OSError as error:
        raise Problem(f"--approval-secret {path}: {error.strerror}") from None


def _made(path: Path) -> str:
    secret = "-".join(secrets.token_hex(2) for _ in range(5))
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    with open(handle, "w", encoding="ascii") as file:
        file.write(f"{secret}\n")
    _say(f"a new approval secret is in {path}")
    return secret


def _read(path: Path, made: Callable[[], str]) -> str:
    try:
        file = open(os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC), encoding="utf-8")  # noqa: SIM115
    except FileNotFoundError:
        return made()
    with file:
        status = os.fstat(file.fileno())
        if not stat.S_ISREG(status.st_mode) or status.st_mode & 0o077 or status.st_uid not in (0, os.getuid()):
            hint = "chmod 600 it, and make a new one if it may have been read"
            raise Problem(f"--approval-secret {path} can be read by others", hint=hint)
        try:
            secret = file.read(_SECRET_CHARS + 1).strip()
        except UnicodeDecodeError:
            secret = ""
    if not _SHORTEST <= len(secret) <= _SECRET_CHARS or not secret.isprintable():
        raise Problem(
            f"--approval-secret {path} holds no line of {_SHORTEST} to {_SECRET_CHARS} characters",
            hint="remove it to have a new one made",
        )
    return secret
