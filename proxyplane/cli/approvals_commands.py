"""`proxyplane approvals`: what waits for a person at running planes, and the answers."""

from __future__ import annotations

import getpass
import json as json_format
import time
from pathlib import Path
from typing import Annotated, Any

import typer

from proxyplane.cli.problems import Exit, Problem
from proxyplane.cli.terminal import one_line, put

__all__ = ["app"]

app = typer.Typer(help="Operations that wait for a person's approval.", no_args_is_help=True)

Identifier = Annotated[str, typer.Argument(metavar="ID", help="The question, as `approvals list` shows it.")]
By = Annotated[str | None, typer.Option("--by", metavar="NAME", help="Who answers, where the rule names people.")]


def _found(*, every: bool = False) -> list[tuple[Path, dict[str, Any]]]:
    """Every question of every plane of this user that answers."""
    from proxyplane.desk import DeskError, ask, desks

    found = []
    try:
        for path in desks():
            try:
                found += [(path, each) for each in ask(path, "approvals", every=every)]
            except DeskError:
                continue
    except OSError as error:
        raise Problem(str(error.strerror or error)) from None
    return found


def _show(question: dict[str, Any]) -> None:
    """One question: who, what, why, what would happen, what would differ."""
    objects = ", ".join(question["objects"]) or "nothing granted"
    member = f" {question['member']}" if question["member"] else ""
    where = f", line {question['line']} of its code" if question["line"] else ""
    rules = ", ".join(question["rules"])
    put(
        one_line(f"{question['id']}  {question['state']}  agent {question['agent']}, session {question['session']}")
        + "\n"
    )
    put(one_line(f"    {question['verb']}{member} of {question['type']} on {objects}{where}") + "\n")
    put(one_line(f"    {question['consequence']}") + "\n")
    for line in question["changes"]:
        put(one_line(f"      {line}") + "\n")
    reason = f": {question['reason']}" if question["reason"] else ""
    put(one_line(f"    {question['effect']} is asked for by rule {rules}{reason}") + "\n")
    wanted = f", wanted from {', '.join(question['wanted'])}" if question["wanted"] else ""
    left = question["asked"] // 1_000_000_000 + question["seconds"] - int(time.time())
    if question["state"] == "pending":
        put(one_line(f"    {max(left, 0)} s left{wanted}; a yes holds for: {question['remember']}") + "\n")


@app.command("list")
def list_questions(
    every: Annotated[bool, typer.Option("--all", help="Also the last that were answered.")] = False,
    json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Show what waits for an answer."""
    found = [question for _, question in _found(every=every)]
    if json:
        print(json_format.dumps(found, indent=2, sort_keys=True))
        return
    if not found:
        put("nothing waits for an approval\n")
    for question in found:
        _show(question)


@app.command()
def watch(
    seconds: Annotated[float, typer.Option("--every", metavar="SECONDS", min=0.05, help="How often to look.")] = 1.0,
    count: Annotated[int, typer.Option("-n", metavar="N", min=0, help="Stop after so many questions; 0: never.")] = 0,
) -> None:
    """Show each question as it comes, until interrupted."""
    seen: set[tuple[str, str]] = set()
    shown = 0
    while not count or shown < count:
        for path, question in _found():
            if (str(path), question["id"]) not in seen:
                seen.add((str(path), question["id"]))
                _show(question)
                shown += 1
        if not count or shown < count:
            time.sleep(seconds)


@app.command()
def approve(
    identifier: Identifier,
    by: By = None,
    scope: Annotated[
        str | None,
        typer.Option("--for", metavar="SCOPE", help="never, call, shape or session; not more than the rule allows."),
    ] = None,
) -> None:
    """Let an operation be performed."""
    _answer(identifier, "approve", by=by, scope=scope)


@app.command()
def deny(
    identifier: Identifier,
    by: By = None,
    note: Annotated[str, typer.Option("--note", metavar="TEXT", help="What the agent is told.")] = "",
) -> None:
    """Refuse an operation."""
    _answer(identifier, "deny", by=by, note=note)


def _answer(identifier: str, command: str, **more: Any) -> None:
    from proxyplane.desk import DeskError, ask

    matching = [(path, question) for path, question in _found() if question["id"] == identifier]
    if not matching:
        raise Problem(f"no open question has the id {identifier!r}", hint="proxyplane approvals list")
    path, question = matching[0]
    _show(question)
    if command == "approve" and question["secret"]:
        more["secret"] = typed_secret()
    try:
        state = ask(path, command, id=identifier, **more)
    except DeskError as error:
        raise Problem(str(error)) from None
    put(one_line(f"{identifier} is {state['state']}") + "\n")
    if state["wanted"]:
        put(one_line(f"still wanted: {', '.join(state['wanted'])}") + "\n")


def typed_secret() -> str:
    """From the terminal and from nowhere else: an agent with this user's rights has arguments, files and pipes."""
    try:
        with open("/dev/tty", "r+b", buffering=0):
            pass
    except OSError:
        hint = "answer at a terminal with the secret that the plane has shown on its own, or as root"
        raise Problem("an approval by the plane's own user needs a terminal", hint=hint, code=Exit.USAGE) from None
    return getpass.getpass("approval secret (the plane shows it on its terminal): ").strip()
