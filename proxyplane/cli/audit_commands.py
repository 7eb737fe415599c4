"""The commands of `proxyplane audit`: arguments and options; what they do is in `auditing` and `asking`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from proxyplane.cli.problems import Problem

__all__ = ["app"]

app = typer.Typer(help="Look at an audit log.", no_args_is_help=True)

LogFolder = Annotated[Path, typer.Argument(metavar="DIR", help="The audit directory.")]
AsJson = Annotated[bool, typer.Option("--json", help="JSON instead of text.")]
Follow = Annotated[bool, typer.Option("--follow", "-f", help="Then each new record, until interrupted.")]
Anchors = Annotated[
    list[Path], typer.Option("--anchor", metavar="PLACE", help="A folder or git repository that keeps checkpoints.")
]
KeyLine = Annotated[
    str | None, typer.Option("--key", metavar="KEY", help="The log's public key, as a line or a file that holds it.")
]


@app.command()
def verify(
    directory: Annotated[Path | None, typer.Argument(metavar="DIR", help="The audit directory.")] = None,
    anchors: Anchors = [],  # noqa: B006 - typer copies it
    key: KeyLine = None,
    standalone: Annotated[
        Path | None,
        typer.Option("--standalone", metavar="FILE", help="Write a verifier that needs only this one file."),
    ] = None,
) -> None:
    """Recompute a log from its bytes; the first word printed is its state, the next whether it is anchored."""
    from proxyplane.cli.auditing import verify_log, write_standalone

    if standalone is not None:
        write_standalone(standalone)
    if directory is not None:
        raise typer.Exit(verify_log(directory, anchors, key))
    if standalone is None:
        raise Problem("name an audit directory, or --standalone FILE")


@app.command()
def prove(
    directory: LogFolder,
    number: Annotated[int, typer.Argument(metavar="N", min=0, help="Number of the record.")],
    output: Annotated[
        Path | None, typer.Option("--output", "-o", metavar="FILE", help="Where the proof goes; else standard output.")
    ] = None,
) -> None:
    """Export one record with the proof that it is in the log."""
    from proxyplane.cli.auditing import prove_record

    raise typer.Exit(prove_record(directory, number, output))


@app.command()
def anchor(
    directory: LogFolder,
    place: Annotated[Path, typer.Option("--to", metavar="PLACE", help="A folder, or a git repository to commit to.")],
) -> None:
    """Take the newest signed checkpoint to a place that keeps it."""
    from proxyplane.cli.auditing import anchor_log

    raise typer.Exit(anchor_log(directory, place))


@app.command()
def tail(
    directory: LogFolder,
    count: Annotated[int, typer.Option("-n", metavar="N", min=0, help="How many records.")] = 20,
    follow: Follow = False,
    json: AsJson = False,
) -> None:
    """Show the last records of a log."""
    from proxyplane.cli.auditing import tail_log

    raise typer.Exit(tail_log(directory, count, follow=follow, as_json=json))


@app.command()
def query(
    directory: LogFolder,
    kind: Annotated[str | None, typer.Option(help="Kind of record, such as effect, grant, code.")] = None,
    agent: Annotated[str | None, typer.Option(help="The agent's name; * and ? stand for anything.")] = None,
    session: Annotated[str | None, typer.Option(help="Id of the session.")] = None,
    object_: Annotated[str | None, typer.Option("--object", help="Granted name, or # and a handle.")] = None,
    lineage: Annotated[str | None, typer.Option(help="A granted name: it and all that was made from it.")] = None,
    label: Annotated[str | None, typer.Option(help="A label of the target.")] = None,
    verb: Annotated[str | None, typer.Option(help="Such as call, getattr, setitem.")] = None,
    effect: Annotated[str | None, typer.Option(help="A declared effect, such as reveal.")] = None,
    verdict: Annotated[str | None, typer.Option(help="allow, redact, fork, ask or deny.")] = None,
    rule: Annotated[str | None, typer.Option(help="Id of the deciding rule.")] = None,
    status: Annotated[str | None, typer.Option(help="ok, error, denied, withheld ...")] = None,
    min_rows: Annotated[int | None, typer.Option(min=0, help="Rows revealed, at least.")] = None,
    max_rows: Annotated[int | None, typer.Option(min=0, help="Rows revealed, at most.")] = None,
    since: Annotated[str | None, typer.Option(help="A time (ISO 8601, UTC), or 90s, 15m, 2h, 7d ago.")] = None,
    until: Annotated[str | None, typer.Option(help="The same; not included.")] = None,
    code: Annotated[str | None, typer.Option(help="A text in the agent's code.")] = None,
    limit: Annotated[int | None, typer.Option("-n", min=0, help="At most so many records.")] = None,
    follow: Follow = False,
    json: AsJson = False,
    count: Annotated[bool, typer.Option("--count", help="Only how many.")] = False,
    index: Annotated[bool, typer.Option(help="Use the table in DIR/index, made when missing.")] = True,
    sql: Annotated[str | None, typer.Option(metavar="SQL", help="One statement over the table `log` (DuckDB).")] = None,
) -> None:
    """Find records; every filter that is given must hold."""
    from proxyplane.cli.asking import Answer, ask, ask_sql, wanted_of

    if sql is not None:
        raise typer.Exit(ask_sql(directory, sql, as_json=json))
    wanted = wanted_of(
        kind=kind, agent=agent, session=session, object=object_, lineage=lineage, label=label, verb=verb, effect=effect,
        verdict=verdict, rule=rule, status=status, min_rows=min_rows, max_rows=max_rows, since=since, until=until,
        code=code,
    )  # fmt: skip
    raise typer.Exit(ask(directory, wanted, Answer(limit, follow, json, count, index)))


@app.command()
def show(
    directory: LogFolder,
    identifier: Annotated[str, typer.Argument(metavar="ID", help="Number of a record, or (the start of) an id.")],
    json: AsJson = False,
) -> None:
    """Show everything about one operation."""
    from proxyplane.cli.asking import show_operation

    raise typer.Exit(show_operation(directory, identifier, as_json=json))


@app.command()
def stats(directory: LogFolder, json: AsJson = False) -> None:
    """Count effects, decisions and objects, and what was revealed to whom."""
    from proxyplane.cli.asking import show_stats

    raise typer.Exit(show_stats(directory, as_json=json))


@app.command()
def export(
    directory: LogFolder,
    jsonl: Annotated[Path | None, typer.Option(metavar="FILE", help="JSON Lines; - for standard output.")] = None,
    otlp: Annotated[str | None, typer.Option(metavar="URL", help="OpenTelemetry receiver, OTLP over HTTP.")] = None,
    parquet: Annotated[Path | None, typer.Option(metavar="FOLDER", help="Sealed segments as Parquet.")] = None,
) -> None:
    """Give a log to other programs."""
    from proxyplane.cli.asking import export_log

    raise typer.Exit(export_log(directory, jsonl, otlp, parquet))
