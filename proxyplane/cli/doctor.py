"""`proxyplane doctor`: how strictly this machine isolates guests. Tried out, not looked up."""

from __future__ import annotations

import json
import os
import platform
import time
from typing import Any, Final, NamedTuple

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from proxyplane.cli.problems import Exit, explained
from proxyplane.cli.terminal import one_line
from proxyplane.cli.trial import try_seal
from proxyplane.conversation import Conversation
from proxyplane.launch import TIERS, Zygote, probe
from proxyplane.transport.wire import Limits

__all__ = ["examine"]

_HELLO_SECONDS = 20.0
_MEANINGS = {
    "sealed": "system-call filter + Landlock + resource limits",
    "filtered": "system-call filter + resource limits",
    "split": "a process with resource limits: not a boundary",
}


def examine(*, as_json: bool = False) -> Exit:
    """Print the findings. OK when guests are at least `filtered` and every attack was refused.

    Raises:
        Problem: no guest can be started at all.
    """
    with explained():
        found = findings()
    print(json.dumps(found, indent=2, sort_keys=True)) if as_json else _print(found)
    return Exit.OK if found["ok"] else Exit.FAILED


def findings() -> dict[str, Any]:
    """What this machine offers, as plain values.

    Raises:
        GuestError: no guest can be started.
    """
    with Zygote.start() as zygote:
        conversation = Conversation(zygote.spawn(), Limits(), lambda _exchange, message: message)
        try:
            report = conversation.hello(time.monotonic() + _HELLO_SECONDS)
        finally:
            conversation.end()
        tier, reasons = zygote.tier, dict(zygote.reasons)
    probes = [found._asdict() for found in probe()]
    strong = TIERS.index(tier) <= TIERS.index("filtered")
    return {
        "ok": strong and all(found["refused"] for found in probes),
        "tier": tier,
        "weaker_because": reasons,
        "kernel": platform.release(),
        "machine": platform.machine(),
        "python": platform.python_version(),
        "landlock_abi": report.get("landlock", 0),
        "seccomp": bool(report.get("seccomp")),
        "rlimits": bool(report.get("rlimits")),
        "host_uid": os.getuid(),
        "guest_uid": report.get("uid"),
        "probes": probes,
        "host": try_seal(),
        "libraries": [library._asdict() for library in LIBRARIES],
    }


class Library(NamedTuple):
    """What stands between a host library and the world."""

    name: str
    sentinel: str
    """What the sentinel sees of its input and output."""
    open_host: str
    """What stands there in a host that is not sealed, such as a notebook's kernel."""


_ALL: Final = "catalog, then sentinel"
_CATALOG: Final = "catalog alone"
LIBRARIES: Final = (
    Library("standard library, sqlite3", "all but ATTACH, stat and environment reads", _ALL),
    Library("pandas", "all but to_parquet and what pyarrow does for it", _ALL),
    Library("numpy, scipy", "all", _ALL),
    Library("scikit-learn, joblib", "all", _ALL),
    Library("matplotlib", "all", _ALL),
    Library("polars", "nothing: it reads and writes in Rust", _CATALOG),
    Library("pyarrow", "nothing: it reads and writes in C++", _CATALOG),
    Library("duckdb", "nothing: it reads and writes in C++", "not catalogued, so refused"),
)
"""Measured: which libraries raise audit events for their input and output (docs/isolation.md)."""


def _print(found: dict[str, Any]) -> None:
    console = Console(highlight=False)
    tier = found["tier"]
    console.print(f"tier: [bold]{tier}[/bold] ({_MEANINGS[tier]})")
    for stronger, reason in found["weaker_because"].items():
        console.print(f"  not {stronger}: {_shown(reason)}")
    landlock = f"ABI {found['landlock_abi']}" if found["landlock_abi"] else "not used"
    console.print(f"kernel {_shown(found['kernel'])} {found['machine']}, Python {found['python']}")
    console.print(f"landlock: {landlock}   seccomp: {_yes(found['seccomp'])}   rlimits: {_yes(found['rlimits'])}")
    console.print(_uids(found["host_uid"], found["guest_uid"]))
    host = found["host"]
    because = f" (not sealed: {_shown(host['because'])})" if host["because"] else ""
    console.print(
        f"host of run, exec, demo, serve, mcp: [bold]{host['tier']}[/bold]{because}; "
        "host in a notebook: unsealed, always"
    )
    console.print(
        f"log writer: a process of its own, as the host's user ({found['host_uid']}); in a sealed host the kernel "
        "keeps the log's files out of reach, elsewhere the catalog does"
    )
    console.print(
        "people: whoever shares this user reaches running planes, and approves only with the secret that a plane shows "
        "on its terminal; an agent that has that terminal could approve itself, so give agents another user"
    )
    _print_attempts(console, "a guest tries to", found["probes"])
    _print_attempts(console, "code in a sealed host tries to", host["probes"])
    table = Table("host library", "the sentinel sees of its input and output", "without a seal there stands")
    for library in found["libraries"]:
        table.add_row(*(_shown(library[key]) for key in ("name", "sentinel", "open_host")))
    console.print(table)
    every = [*found["probes"], *host["probes"]]
    refused = sum(each["refused"] for each in every)
    console.print(f"{refused} of {len(every)} attacks refused")


def _print_attempts(console: Console, title: str, probes: list[dict[str, Any]]) -> None:
    """Those that were refused in a line, and the others so that nobody overlooks them."""
    refused = [_shown(each["name"]) for each in probes if each["refused"]]
    if refused:
        console.print(f"{title}, and is refused ({len(refused)}): {', '.join(refused)}")
    for each in probes:
        if not each["refused"]:
            console.print(f"[bold red]NOT REFUSED[/bold red]: {_shown(each['name'])}: {_shown(each['how'])}")


def _uids(host: int, guest: int | None) -> str:
    if guest in (None, -1):
        return f"user: guests run as the host's user ({host})"
    if guest == host:
        return f"user: guests run as the host's user ({host}); only root can give them another"
    return f"user: the host is {host}, guests are {guest}"


def _yes(value: bool) -> str:
    return "yes" if value else "no"


def _shown(text: object) -> str:
    return escape(one_line(str(text)))
