"""`proxyplane sessions`: those of running planes, and letting a frozen one go on."""

from __future__ import annotations

import json as json_format
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from proxyplane.cli.approvals_commands import typed_secret
from proxyplane.cli.problems import Exit, Problem
from proxyplane.cli.terminal import one_line, put
from proxyplane.desk import DeskError, ask, desks

__all__ = ["app"]

app = typer.Typer(help="Sessions of running planes.", no_args_is_help=True)


def _found() -> list[tuple[Path, dict[str, Any]]]:
    """Every session of every plane of this user that answers."""
    found = []
    try:
        for path in desks():
            try:
                found += [(path, session) for session in ask(path, "sessions")]
            except DeskError:
                continue
    except OSError as error:
        raise Problem(str(error.strerror or error)) from None
    return found


@app.command("list")
def list_sessions(json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False) -> None:
    """List the sessions of planes that run as this user and can be reached: `run`, `serve`, and any that is frozen."""
    found = [session for _, session in _found()]
    if json:
        print(json_format.dumps(found, indent=2, sort_keys=True))
        return
    if not found:
        put("no session can be reached\n")
    for session in found:
        put(one_line(f"{session['session']}  {session['state']:<8} {session['agent']}  log {session['log']}") + "\n")
        frozen = session.get("frozen")
        if frozen:
            put(one_line(_why(frozen)) + "\n")


def _why(frozen: dict[str, Any]) -> str:
    path = f" on {frozen['path']}" if frozen["path"] else ""
    member = f", operation {frozen['operation']} ({frozen['member']})" if frozen["operation"] else ""
    return f"    began {frozen['effect']} without having declared it: {frozen['event']}{path}{member}"


@app.command()
def resume(
    session: Annotated[str, typer.Argument(metavar="ID", help="The session, as `sessions list` shows it.")],
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
) -> None:
    """Let a frozen session go on, after you have looked at what was seen."""
    matching = [(path, each) for path, each in _found() if each["session"] == session]
    if not matching:
        raise Problem(f"no running plane has a session {session!r}", hint="proxyplane sessions list")
    path, found = matching[0]
    frozen = found.get("frozen")
    if not frozen:
        raise Problem(f"the session {session} is not frozen")
    put(one_line(_why(frozen)) + "\n")
    if not yes:
        if not sys.stdin.isatty():
            raise Problem("a person must answer this at a terminal", hint="or give --yes")
        put("let it go on? type yes: ")
        if sys.stdin.readline().strip() != "yes":
            raise typer.Exit(Exit.FAILED)
    more = {"secret": typed_secret()} if found["secret"] else {}
    try:
        ask(path, "resume", session=session, **more)
    except DeskError as error:
        raise Problem(str(error)) from None
    put(f"{session} goes on\n")
