"""`proxyplane policy diff` and `learn`: a log's operations under another policy."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from proxyplane.cli.policing import load
from proxyplane.cli.problems import Exit, Problem
from proxyplane.cli.replaying import Replay, recorded
from proxyplane.cli.terminal import one_line, put
from proxyplane.decisions import Request
from proxyplane.policies import Flip, Policy, flips, learned, try_all

__all__ = ["compare", "learn"]


def compare(before: str, after: str, directory: Path, *, as_json: bool) -> Exit:
    """Decide a recorded log under two policies and tell what flips; exit code 1 if anything does."""
    old, new = load(before), load(after)
    operations, replay = recorded(directory)
    found = flips(old, new, operations)
    if as_json:
        put(json.dumps([_flip(each) for each in found], indent=2) + "\n")
        return Exit.FAILED if found else Exit.OK
    for each in found:
        put(
            f"{each.before.verdict} -> {each.after.verdict}  {each.times} x  {_words(each.request)}  "
            f"(by {one_line(each.after.rule or 'default')}; first in record {each.number})\n"
        )
    put(f"{len(found)} kinds of operations flip, of {len(operations)} operations decided again\n")
    _left_out(replay, old.needs | new.needs)
    return Exit.FAILED if found else Exit.OK


def _flip(each: Flip) -> dict[str, Any]:
    return {
        "before": each.before.verdict,
        "after": each.after.verdict,
        "rule": each.after.rule,
        "times": each.times,
        "record": each.number,
        "operation": _words(each.request),
    }


def learn(directory: Path, output: Path | None) -> Exit:
    """Write the least policy that allows what was allowed."""
    operations, replay = recorded(directory)
    text = learned(operations)
    policy = Policy.parse(text, file=str(output or "<learned>"))
    failed = [each for each in operations if each.verdict == "allow" and policy.decide(each.request).verdict != "allow"]
    wider = [each for each in operations if each.verdict == "deny" and policy.decide(each.request).verdict == "allow"]
    tests = sum(not result.passed for result in try_all(policy))
    if output is None:
        put(text)
    else:
        if output.exists():
            raise Problem(f"{output} exists already", hint="a learned policy replaces nothing by itself")
        output.write_text(text, encoding="utf-8")
    allowed = sum(each.verdict == "allow" for each in operations)
    put(
        f"{len(policy.rules)} rules for {allowed} allowed operations; {len(failed)} of them it would not allow, "
        f"{len(wider)} refused ones it would; {len(policy.trials)} tests, {tests} fail\n",
        sys.stderr,
    )
    _left_out(replay, frozenset())
    return Exit.FAILED if failed or wider or tests else Exit.OK


def _left_out(replay: Replay, needs: frozenset[str]) -> None:
    if replay.unclear:
        put(f"note: {replay.unclear} operations were left out: the log does not tell what they worked on\n", sys.stderr)
    if replay.ungranted:
        put(
            f"note: {replay.ungranted} operations were left out: they were refused before any rule was asked\n",
            sys.stderr,
        )
    unknown = sorted(needs - {"paths", "columns"})
    if unknown:
        put(f"note: a log does not tell {', '.join(unknown)}; rules that ask it are decided strictly\n", sys.stderr)


def _words(request: Request) -> str:
    name = f"{request.type}{'.' + request.member if request.member else ''}"
    roots = ", ".join(sorted(request.roots)) or "no object"
    rows = f", {request.facts.rows} rows" if request.facts.rows is not None else ""
    effects = ",".join(sorted(request.effects))
    return one_line(f"{request.agent}: {request.verb} {name} on {roots} ({effects}{rows})")
