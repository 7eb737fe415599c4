"""The command line.

run, exec   running       an agent's code over objects from files
demo        demo          the example, with its operations counted from the log
doctor      doctor        how strictly this machine isolates, tried out
audit       auditing      verify and tail
            problems      exit codes, messages       terminal   escaping

Exit codes: 0 done; 1 the agent's code failed (`doctor`: too weak, `audit`: a fault); 2 usage, a bad policy, a missing
file; 3 a refusal that the agent's code did not catch; 4 the audit log cannot be written or read.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from proxyplane import __version__
from proxyplane.cli.problems import Exit, Problem
from proxyplane.cli.terminal import put

__all__ = ["app", "main"]

app = typer.Typer(
    name="proxyplane",
    help="Run an agent's ordinary Python over live objects: every touch decided, performed by the host, recorded.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
audit = typer.Typer(help="Look at an audit log.", no_args_is_help=True)
app.add_typer(audit, name="audit")

Objects = Annotated[
    list[str],
    typer.Option(
        "--object",
        metavar="NAME=FILE",
        help="Grant a data file (.csv .tsv .parquet .feather .json .jsonl).",
    ),
]
PolicyName = Annotated[
    str,
    typer.Option(
        "--policy", metavar="FILE|PRESET", help="A policy file, or a preset: open, read_only, analyst, locked."
    ),
]
AuditFolder = Annotated[Path, typer.Option("--audit", metavar="DIR", help="Where the log is written; made if missing.")]
Timeout = Annotated[float, typer.Option("--timeout", metavar="SECONDS", min=0.1, help="When the guest is ended.")]
Tier = Annotated[
    str | None,
    typer.Option(
        "--require-tier", metavar="TIER", help="The weakest isolation that will do: sealed, filtered or split."
    ),
]
LogFolder = Annotated[Path, typer.Argument(metavar="DIR", help="The audit directory.")]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command.

    Args:
        arguments: without the program's name; by default those of this process.

    Returns:
        The exit code, see `problems.Exit`.
    """
    try:
        app(args=list(sys.argv[1:] if arguments is None else arguments), prog_name="proxyplane")
    except Problem as problem:
        put(f"proxyplane: {problem}\n", sys.stderr)
        if problem.hint:
            put(f"  hint: {problem.hint}\n", sys.stderr)
        return problem.code
    except KeyboardInterrupt:
        return 130
    except SystemExit as ending:
        return ending.code if isinstance(ending.code, int) else 0 if ending.code is None else Exit.FAILED
    return Exit.OK


def _show_version(wanted: bool) -> None:
    if wanted:
        put(f"proxyplane {__version__}\n")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    """Options of all commands."""


@app.command()
def run(
    script: Annotated[Path, typer.Argument(metavar="SCRIPT", help="The agent's code, a Python file.")],
    policy: PolicyName,
    audit: AuditFolder,
    objects: Objects = [],  # noqa: B006 - typer copies it
    agent: Annotated[str | None, typer.Option("--agent", help="The agent's name; by default the script's.")] = None,
    timeout: Timeout = 60.0,
    require_tier: Tier = None,
) -> None:
    """Run a script in a sealed guest over objects from files."""
    from proxyplane.cli.running import Settings, run_script

    name = script.stem if agent is None else agent
    settings = Settings(tuple(objects), policy, audit, name, timeout, require_tier)
    raise typer.Exit(run_script(script, settings))


@app.command("exec")
def execute(
    policy: PolicyName,
    audit: AuditFolder,
    code: Annotated[str | None, typer.Option("-c", metavar="CODE", help="The code; by default standard input.")] = None,
    objects: Objects = [],  # noqa: B006 - typer copies it
    agent: Annotated[str, typer.Option("--agent", help="The agent's name.")] = "agent",
    timeout: Timeout = 60.0,
    require_tier: Tier = None,
) -> None:
    """Run code given as text and print its last expression, as a REPL does."""
    from proxyplane.cli.running import Settings
    from proxyplane.cli.running import execute as execute_code

    settings = Settings(tuple(objects), policy, audit, agent, timeout, require_tier)
    raise typer.Exit(execute_code(sys.stdin.read() if code is None else code, settings))


@app.command()
def demo(
    audit: Annotated[
        Path | None, typer.Option("--audit", metavar="DIR", help="Where the log is written; by default a new folder.")
    ] = None,
) -> None:
    """Let an example agent analyse example data, then show what the log tells of it."""
    from proxyplane.cli.demo import run_demo

    raise typer.Exit(run_demo(audit))


@app.command()
def doctor(json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False) -> None:
    """Try harmless attacks from inside throw-away guests and tell what was refused."""
    from proxyplane.cli.doctor import examine

    raise typer.Exit(examine(as_json=json))


@audit.command()
def verify(directory: LogFolder) -> None:
    """Recompute a log from its bytes; the first word printed is its state."""
    from proxyplane.cli.auditing import verify_log

    raise typer.Exit(verify_log(directory))


@audit.command()
def tail(
    directory: LogFolder,
    count: Annotated[int, typer.Option("-n", metavar="N", min=0, help="How many records.")] = 20,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Then each new record, until interrupted.")] = False,
    json: Annotated[bool, typer.Option("--json", help="One JSON object on each line.")] = False,
) -> None:
    """Show the last records of a log."""
    from proxyplane.cli.auditing import tail_log

    raise typer.Exit(tail_log(directory, count, follow=follow, as_json=json))
