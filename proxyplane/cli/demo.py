"""`proxyplane demo`: an example agent analyses example data; then what the log tells of it."""

from __future__ import annotations

import json
import os
import sys
import time
import traceback
from collections import Counter
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

import proxyplane
from proxyplane import audit
from proxyplane.cli.hosting import Sealing
from proxyplane.cli.problems import Exit, Problem, explained
from proxyplane.cli.running import Live, Settings, open_session, show
from proxyplane.cli.terminal import one_line, put

__all__ = ["count_operations", "example", "run_demo"]

_AGENT = "analyst-1"
_SECONDS = 60.0


def run_demo(directory: Path | None = None, how: Sealing = Sealing()) -> Exit:  # noqa: B008 - frozen
    """Run the example and print what came of it.

    Args:
        directory: where the log is written; by default `.demo/audit-` and the time, below the current folder.
        how: how the process that holds the data is sealed.

    Raises:
        Problem: the examples are not there, or the log could not be written.
    """
    script, policy, data = example("analyst.py"), example("analyst.toml"), example("data/randhie.csv")
    if directory is None:
        directory = Path(".demo") / time.strftime("audit-%Y%m%d-%H%M%S")
        suffix = 1
        while directory.exists():
            directory, suffix = directory.with_name(f"{directory.name.partition('.')[0]}.{suffix}"), suffix + 1
    began = time.monotonic()
    settings = Settings((f"visits={data}",), str(policy), directory, _AGENT, _SECONDS, sealing=how)
    put(f"{script.name}, in a sealed guest, over {data.name} under {policy.name}:\n\n")
    code, tiers, requests = _aside(how, lambda: _analysed(script.read_text(encoding="utf-8"), settings))
    if not tiers:
        return Exit(code)
    with explained():
        effects = count_operations(audit.read(directory))
    verdict = audit.verify(directory)
    _print(effects)
    put(f"tier: {tiers}\n")
    put(f"audit verify: {one_line(str(verdict))}\n")
    put(f"log: {directory}   (proxyplane audit tail {directory})\n")
    put(f"time: {time.monotonic() - began:.1f} s, {requests} requests of the guest\n")
    return Exit(code) if code != Exit.OK or verdict.exit_code == 0 else Exit.FAILED


def _analysed(code: str, settings: Settings) -> tuple[int, str, int]:
    """Run the example: its exit code, the tiers of guest and host, and the requests of the guest."""
    with open_session(settings) as session:
        live = Live()
        session.on_output = live
        result = session.run(code, _SECONDS)
        ended = show(result, live=live)
        return int(ended), f"{session.plane.tier}, host {session.plane.host_tier}", result.operations


def _aside(how: Sealing, act: Callable[[], tuple[int, str, int]]) -> tuple[int, str, int]:
    """Do it in a child when this process is to be sealed: who is sealed cannot read the log afterwards."""
    if not (how.own and how.wanted):
        return act()
    sys.stdout.flush()
    reader, writer = os.pipe()
    child = os.fork()
    if not child:
        code = int(Exit.FAILED)
        try:
            found = act()
            code = found[0]
            os.write(writer, json.dumps(found).encode())
        except Problem as problem:
            put(f"proxyplane: {problem}\n", sys.stderr)
            code = int(problem.code)
        except KeyboardInterrupt:
            code = 130
        except BaseException:
            traceback.print_exc()
        finally:
            sys.stdout.flush()
            os._exit(code)
    os.close(writer)
    with open(reader, "rb") as answers:
        answer = answers.read()
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    if not answer:
        return (status if status > 0 else int(Exit.FAILED)), "", 0
    code, tiers, requests = json.loads(answer)
    return code, tiers, requests


def example(name: str) -> Path:
    """An example file: of the installed package, or of the checkout that the package is imported from.

    Raises:
        Problem: it is not there.
    """
    package = Path(proxyplane.__file__).parent
    for folder in (package / "examples", package.parent / "examples"):
        if (folder / name).is_file():
            return folder / name
    raise Problem(f"the example {name} is not installed", hint="install the package again, or run it from a checkout")


def count_operations(records: Iterable[dict[str, Any]]) -> Counter[tuple[str, str]]:
    """Operations by effect and by what became of them: `allowed`, `refused` or `raised`.

    An operation with several effects counts once for each; the record after an operation replaces the one before it.
    """
    last: dict[str, dict[str, Any]] = {}
    for record in records:
        if record["kind"] == "effect":
            last[record["op"]] = record
    counted: Counter[tuple[str, str]] = Counter()
    for record in last.values():
        ended = _ended(record)
        for effect in record["effects"]["declared"]:
            counted[effect, ended] += 1
        counted["all operations", ended] += 1
    return counted


def _ended(record: dict[str, Any]) -> str:
    if record.get("status") in ("denied", "withheld"):
        return "refused"
    return "raised" if record.get("status") == "error" else "allowed"


def _print(counted: Counter[tuple[str, str]]) -> None:
    endings = ("allowed", "refused", "raised")
    effects = sorted({effect for effect, _ in counted} - {"all operations"})
    table = Table("effect", title="operations in the log, by effect and decision", title_justify="left")
    for ending in endings:
        table.add_column(ending, justify="right")
    for effect in [*effects, "all operations"]:
        if effect == "all operations":
            table.add_section()
        table.add_row(escape(one_line(effect)), *(str(counted[effect, ending]) for ending in endings))
    put("\n")
    Console(highlight=False).print(table)
