"""`proxyplane doctor`: how strictly this machine isolates guests. Tried out, not looked up."""

from __future__ import annotations

import json
import os
import platform
import time
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from proxyplane.cli.problems import Exit, explained
from proxyplane.cli.terminal import one_line
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
    }


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
    table = Table("a guest tries to", "refused", "how")
    for each in found["probes"]:
        refused = "yes" if each["refused"] else "[bold red]NO[/bold red]"
        table.add_row(_shown(each["name"]), refused, _shown(each["how"]))
    console.print(table)
    refused = sum(each["refused"] for each in found["probes"])
    console.print(f"{refused} of {len(found['probes'])} attacks refused")


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
