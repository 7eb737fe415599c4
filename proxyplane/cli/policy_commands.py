"""The commands of `proxyplane policy`: arguments and options; what they do is in `policing`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from proxyplane.cli.problems import Problem

__all__ = ["app"]

app = typer.Typer(help="Check, try and explain policies.", no_args_is_help=True)

PolicyName = Annotated[str, typer.Argument(metavar="FILE|PRESET", help="A policy file, or a preset.")]
Layers = Annotated[list[str], typer.Option("--layer", metavar="FILE", help="A further policy that holds with it.")]
LogFolder = Annotated[Path, typer.Option("--log", metavar="DIR", help="An audit directory.")]
AsJson = Annotated[bool, typer.Option("--json", help="JSON instead of text.")]


@app.command()
def check(
    policy: PolicyName,
    layers: Layers = [],  # noqa: B006 - typer copies it
    objects: Annotated[
        list[str], typer.Option("--object", metavar="NAME", help="A name that objects are granted by.")
    ] = [],  # noqa: B006 - typer copies it
    strict: Annotated[bool, typer.Option("--strict", help="Fail on notes, too.")] = False,
) -> None:
    """Tell every fault at once, what is probably not meant, and how the file's own tests go."""
    from proxyplane.cli.policing import check as check_policy

    raise typer.Exit(check_policy(policy, layers, objects, strict=strict))


@app.command("test")
def run_tests(policy: PolicyName, layers: Layers = []) -> None:  # noqa: B006 - typer copies it
    """Run the tests that stand in the file."""
    from proxyplane.cli.policing import run_tests as run

    raise typer.Exit(run(policy, layers))


@app.command()
def schema() -> None:
    """Print the JSON schema of policy files, for editors."""
    from proxyplane.cli.policing import print_schema

    raise typer.Exit(print_schema())


@app.command()
def explain(
    policy: PolicyName,
    layers: Layers = [],  # noqa: B006 - typer copies it
    log: Annotated[
        Path | None, typer.Option("--log", metavar="DIR", help="Explain an operation of this log ...")
    ] = None,
    record: Annotated[int | None, typer.Option("--record", metavar="N", min=0, help="... of this number.")] = None,
    agent: Annotated[str | None, typer.Option("--agent", help="Or one that might come: who asks.")] = None,
    objects: Annotated[list[str], typer.Option("--object", metavar="NAME", help="What it works on.")] = [],  # noqa: B006
    op: Annotated[str, typer.Option("--op", metavar="VERB", help="Such as call, getitem, setitem.")] = "call",
    name: Annotated[str | None, typer.Option("--name", metavar="MEMBER", help="The attribute or method.")] = None,
    effects: Annotated[list[str], typer.Option("--effect", help="Its effects.")] = [],  # noqa: B006
    columns: Annotated[list[str], typer.Option("--column", help="Columns that it touches.")] = [],  # noqa: B006
    paths: Annotated[list[str], typer.Option("--path", help="Files that it names.")] = [],  # noqa: B006
    kind: Annotated[str | None, typer.Option("--type", help="The target's type.")] = None,
    origin: Annotated[str, typer.Option("--origin", help="guest, host, inproc, http, mcp or callback.")] = "guest",
    rows: Annotated[int | None, typer.Option("--rows", min=0, help="Rows that it would show.")] = None,
    cells: Annotated[int | None, typer.Option("--cells", min=0, help="Cells that it would show.")] = None,
    group: Annotated[int | None, typer.Option("--group", min=0, help="Rows behind the smallest value.")] = None,
    json: AsJson = False,
) -> None:
    """Say why an operation is decided as it is, and what would turn it."""
    from proxyplane.cli import policing

    if log is not None and record is not None:
        raise typer.Exit(policing.explain_recorded(policy, layers, log, record, as_json=json))
    if agent is None or not effects:
        raise Problem(
            "explain needs --log and --record, or --agent and --effect", hint="such as --agent a --effect read"
        )
    asked: dict[str, Any] = {
        "agent": agent, "object": objects, "op": op, "name": name, "effect": effects, "column": columns, "path": paths,
        "type": kind, "origin": origin, "rows": rows, "cells": cells, "group": group,
    }  # fmt: skip
    raise typer.Exit(policing.explain_asked(policy, layers, asked, as_json=json))


@app.command()
def diff(
    before: Annotated[str, typer.Argument(metavar="BEFORE", help="A policy file, or a preset.")],
    after: Annotated[str, typer.Argument(metavar="AFTER", help="Another.")],
    log: LogFolder,
    json: AsJson = False,
) -> None:
    """Decide every operation of a log again under two policies and show those that differ."""
    from proxyplane.cli.redeciding import compare

    raise typer.Exit(compare(before, after, log, as_json=json))


@app.command()
def learn(
    log: Annotated[Path, typer.Argument(metavar="DIR", help="An audit directory.")],
    output: Annotated[
        Path | None, typer.Option("--output", "-o", metavar="FILE", help="Where the policy goes; else standard output.")
    ] = None,
) -> None:
    """Propose the least policy that allows what was allowed in a log."""
    from proxyplane.cli.redeciding import learn as learn_policy

    raise typer.Exit(learn_policy(log, output))
