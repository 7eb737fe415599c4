"""The command line.

run, exec   running       an agent's code over objects from files
serve       serving       the same over HTTP
mcp         mcping        the same over the Model Context Protocol, on standard streams
            hosting       sealing this process       displaying   pictures and HTML
demo        demo          the example, with its operations counted from the log
sessions    sessions_commands   list those of running planes, resume a frozen one
approvals   approvals_commands   what waits for a person, and the answers
doctor      doctor        how strictly this machine isolates, tried out
audit       audit_commands, auditing (verify, prove, anchor, tail), asking (query, show, stats, export)
policy      policy_commands, policing (check, test, explain, schema), redeciding (diff, learn), replaying
catalog     catalog_commands, catalogs   check, show and list what is known of libraries
skill       skill_commands    instructions for agents, put where they look for them
            problems      exit codes, messages       terminal   escaping

Exit codes: 0 done; 1 the agent's code failed (`doctor`: too weak, `audit`: a fault); 2 usage, a bad policy, a missing
file; 3 a refusal that the agent's code did not catch; 4 the audit log cannot be written or read.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from proxyplane import __version__
from proxyplane.cli import (
    approvals_commands,
    audit_commands,
    catalog_commands,
    policy_commands,
    sessions_commands,
    skill_commands,
)
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
app.add_typer(audit_commands.app, name="audit")
app.add_typer(policy_commands.app, name="policy")
app.add_typer(sessions_commands.app, name="sessions")
app.add_typer(approvals_commands.app, name="approvals")
app.add_typer(catalog_commands.app, name="catalog")
app.add_typer(skill_commands.app, name="skill")

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
Seal = Annotated[
    bool, typer.Option("--seal/--no-seal", help="Give up files, network and processes before any data is loaded.")
]
RequireSealed = Annotated[
    bool, typer.Option("--require-sealed", help="Run only where this process can be sealed, with nothing left open.")
]
Memory = Annotated[
    float | None,
    typer.Option(
        "--memory", metavar="GIB", min=0.1, help="What this process may hold; by default most of the machine."
    ),
]
DisplayFolder = Annotated[
    Path | None,
    typer.Option("--display-dir", metavar="DIR", help="Where pictures and HTML that the agent displays are saved."),
]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command.

    Args:
        arguments: without the program's name; by default those of this process.

    Returns:
        The exit code, see `problems.Exit`.
    """
    try:
        # A process that another program owns, which gives the arguments, is never sealed.
        own = arguments is None
        app(args=list(sys.argv[1:] if own else arguments or ()), prog_name="proxyplane", obj=own)
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


def sealing_of(context: typer.Context, wanted: bool, required: bool, memory: float | None) -> Any:
    """How the options say that this process is sealed."""
    from proxyplane.cli.hosting import Sealing

    size = None if memory is None else int(memory * (1 << 30))
    return Sealing(own=bool(context.obj), wanted=wanted, required=required, memory=size)


@app.command()
def run(
    context: typer.Context,
    script: Annotated[Path, typer.Argument(metavar="SCRIPT", help="The agent's code, a Python file.")],
    policy: PolicyName,
    audit: AuditFolder,
    objects: Objects = [],  # noqa: B006 - typer copies it
    agent: Annotated[str | None, typer.Option("--agent", help="The agent's name; by default the script's.")] = None,
    timeout: Timeout = 60.0,
    require_tier: Tier = None,
    seal: Seal = True,
    require_sealed: RequireSealed = False,
    memory: Memory = None,
    display_dir: DisplayFolder = None,
    catalogs: catalog_commands.Files = [],  # noqa: B006 - typer copies it
) -> None:
    """Run a script in a sealed guest, from a sealed host, over objects from files."""
    from proxyplane.cli.running import Settings, run_script

    name = script.stem if agent is None else agent
    how = sealing_of(context, seal, require_sealed, memory)
    settings = Settings(tuple(objects), policy, audit, name, timeout, require_tier, how, display_dir, tuple(catalogs))
    raise typer.Exit(run_script(script, settings))


@app.command("exec")
def execute(
    context: typer.Context,
    policy: PolicyName,
    audit: AuditFolder,
    code: Annotated[str | None, typer.Option("-c", metavar="CODE", help="The code; by default standard input.")] = None,
    objects: Objects = [],  # noqa: B006 - typer copies it
    agent: Annotated[str, typer.Option("--agent", help="The agent's name.")] = "agent",
    timeout: Timeout = 60.0,
    require_tier: Tier = None,
    seal: Seal = True,
    require_sealed: RequireSealed = False,
    memory: Memory = None,
    display_dir: DisplayFolder = None,
    catalogs: catalog_commands.Files = [],  # noqa: B006 - typer copies it
) -> None:
    """Run code given as text and print its last expression, as a REPL does."""
    from proxyplane.cli.running import Settings
    from proxyplane.cli.running import execute as execute_code

    how = sealing_of(context, seal, require_sealed, memory)
    settings = Settings(tuple(objects), policy, audit, agent, timeout, require_tier, how, display_dir, tuple(catalogs))
    raise typer.Exit(execute_code(sys.stdin.read() if code is None else code, settings))


@app.command()
def serve(
    context: typer.Context,
    policy: PolicyName,
    audit: AuditFolder,
    objects: Objects = [],  # noqa: B006 - typer copies it
    agent: Annotated[str, typer.Option("--agent", help="The agent's name, for a token file that is made.")] = "agent",
    host: Annotated[str, typer.Option("--host", help="The address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option("--port", min=0, max=65535, help="The port; 0 takes a free one.")] = 0,
    token_file: Annotated[
        Path, typer.Option("--token-file", help="Tokens of agents and readers; made (0600) if missing.")
    ] = Path("proxyplane-tokens.toml"),
    approver_token_file: Annotated[
        Path | None,
        typer.Option(
            "--approver-token-file", help="Tokens of approvers; made if missing. Else one is shown on the terminal."
        ),
    ] = None,
    no_token: Annotated[
        bool, typer.Option("--no-token", help="Let every program on this machine be the agent.")
    ] = False,
    register: Annotated[
        bool, typer.Option("--register", help="Let notebook agents of this user find the server.")
    ] = False,
    allow_host: Annotated[
        list[str], typer.Option("--allow-host", metavar="NAME", help="A further name of this server (Host).")
    ] = [],  # noqa: B006 - typer copies it
    certfile: Annotated[Path | None, typer.Option("--certfile", help="TLS: the certificate (PEM).")] = None,
    keyfile: Annotated[Path | None, typer.Option("--keyfile", help="TLS: its key (PEM).")] = None,
    notebooks: Annotated[
        Path | None, typer.Option("--notebooks", metavar="DIR", help="Where sessions are kept as marimo notebooks.")
    ] = None,
    idle: Annotated[float, typer.Option("--idle", metavar="SECONDS", min=1, help="When unused sessions end.")] = 3600.0,
    rate: Annotated[
        float, typer.Option("--rate", metavar="N", min=1, help="Requests a second of one principal.")
    ] = 500.0,
    at_once: Annotated[
        int, typer.Option("--at-once", metavar="N", min=1, max=128, help="Its requests at one time.")
    ] = 32,
    sessions: Annotated[int, typer.Option("--sessions", metavar="N", min=1, help="Its open sessions.")] = 8,
    timeout: Timeout = 60.0,
    require_tier: Tier = None,
    seal: Seal = True,
    require_sealed: RequireSealed = False,
    memory: Memory = None,
    catalogs: catalog_commands.Files = [],  # noqa: B006 - typer copies it
) -> None:
    """Serve objects from files to agents over HTTP, from a sealed host (docs/http.md)."""
    from proxyplane.cli.running import Settings
    from proxyplane.cli.serving import Serving
    from proxyplane.cli.serving import serve as serve_plane

    how = sealing_of(context, seal, require_sealed, memory)
    settings = Settings(tuple(objects), policy, audit, agent, timeout, require_tier, how, None, tuple(catalogs))
    tokens = (token_file, approver_token_file, not no_token)
    serving = Serving(
        host, port, *tokens, register, tuple(allow_host), certfile, keyfile, notebooks, idle, rate, at_once, sessions
    )
    raise typer.Exit(serve_plane(settings, serving))


@app.command()
def mcp(
    context: typer.Context,
    policy: PolicyName,
    audit: AuditFolder,
    objects: Objects = [],  # noqa: B006 - typer copies it
    agent: Annotated[str, typer.Option("--agent", help="The agent's name.")] = "agent",
    approval_secret: Annotated[
        Path | None,
        typer.Option(
            "--approval-secret", metavar="FILE", help="The secret of who approves (0600); made if the file is missing."
        ),
    ] = None,
    answer_within: Annotated[
        float,
        typer.Option(
            "--answer-within", metavar="SECONDS", min=0.1, max=600.0, help="When a call is answered with a ticket."
        ),
    ] = 25.0,
    timeout: Timeout = 60.0,
    require_tier: Tier = None,
    seal: Seal = True,
    require_sealed: RequireSealed = False,
    memory: Memory = None,
    catalogs: catalog_commands.Files = [],  # noqa: B006 - typer copies it
) -> None:
    """Serve objects from files to an MCP client on standard streams, from a sealed host (docs/mcp.md)."""
    from proxyplane.cli.mcping import Speaking, speak
    from proxyplane.cli.running import Settings

    how = sealing_of(context, seal, require_sealed, memory)
    settings = Settings(tuple(objects), policy, audit, agent, timeout, require_tier, how, None, tuple(catalogs))
    raise typer.Exit(speak(settings, Speaking(answer_within, approval_secret)))


@app.command()
def demo(
    context: typer.Context,
    audit: Annotated[
        Path | None, typer.Option("--audit", metavar="DIR", help="Where the log is written; by default a new folder.")
    ] = None,
    seal: Seal = True,
) -> None:
    """Let an example agent analyse example data, then show what the log tells of it."""
    from proxyplane.cli.demo import run_demo

    raise typer.Exit(run_demo(audit, sealing_of(context, seal, False, None)))


@app.command()
def doctor(json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False) -> None:
    """Try harmless attacks from inside throw-away guests and tell what was refused."""
    from proxyplane.cli.doctor import examine

    raise typer.Exit(examine(as_json=json))
