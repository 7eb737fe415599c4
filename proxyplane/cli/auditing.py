"""`proxyplane audit verify` and `proxyplane audit tail`."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from proxyplane import audit
from proxyplane.cli.problems import Exit, Problem
from proxyplane.cli.terminal import one_line, put
from proxyplane.errors import AuditCorrupt

__all__ = ["line_of", "tail_log", "verify_log"]


def verify_log(directory: Path) -> int:
    """Print the verdict on a log; its exit code."""
    verdict = audit.verify(directory)
    put(f"{one_line(str(verdict))}\n")
    return verdict.exit_code


def tail_log(directory: Path, count: int, *, follow: bool = False, as_json: bool = False) -> Exit:
    """Print the last records, and with `follow` each new one.

    Args:
        directory: the audit directory.
        count: how many records to begin with.
        follow: go on until interrupted.
        as_json: one JSON object on each line.

    Raises:
        Problem: there is no log, or it is damaged.
    """
    shown = as_line if as_json else line_of
    with _readable(directory):
        last = audit.tail(directory, count)
        for record in last:
            put(f"{shown(record)}\n")
        if not follow:
            if not last and not any(directory.glob("*.seg")):
                raise Problem(f"{directory} holds no audit log", code=Exit.AUDIT)
            return Exit.OK
        first = last[-1]["seq"] + 1 if last else _end(directory)
        for record in audit.follow(directory, first=first):
            put(f"{shown(record)}\n")
    return Exit.OK


def as_line(record: dict[str, Any]) -> str:
    """A record as one line of ASCII."""
    return json.dumps(record, ensure_ascii=True, default=str).replace("\x7f", "\\u007f")


def line_of(record: dict[str, Any]) -> str:
    """A record for a person: number, time, agent, what was done to what, effects, decision, how it ended."""
    seconds, rest = divmod(record["time"], 1_000_000_000)
    stamp = f"{time.strftime('%Y-%m-%d %H:%M:%S', time.gmtime(seconds))}.{rest // 1_000_000:03}Z"
    parts = [f"{record['seq']:>6}", stamp, record["kind"]]
    if "agent" in record:
        parts.append(record["agent"])
    if record["kind"] == "effect":
        parts += [record.get("phase", ""), _touched(record), ",".join(record.get("effects", {}).get("declared", ()))]
    elif "cap" in record:
        parts.append(record["cap"])
    parts += [str(record[key]) for key in ("verdict", "status") if key in record]
    if record.get("rule"):
        parts.append(f"by {record['rule']}")
    if record.get("reason"):
        parts.append(f"({record['reason']})")
    return one_line("  ".join(part for part in parts if part))


def _touched(record: dict[str, Any]) -> str:
    target = record.get("target", {})
    name = target.get("name") or f"{target.get('type', 'object').rpartition('.')[2]}#{target.get('id', '?')}"
    return f"{record.get('verb', '')} {name}{'.' + record['member'] if record.get('member') else ''}"


def _end(directory: Path) -> int:
    """The number of the record that will be written next."""
    last = audit.tail(directory, 1)
    return last[-1]["seq"] + 1 if last else 0


@contextmanager
def _readable(directory: Path) -> Iterator[None]:
    if not directory.is_dir():
        raise Problem(f"there is no audit directory {directory}", code=Exit.AUDIT)
    try:
        yield
    except AuditCorrupt as error:
        hint = f"run `proxyplane audit verify {directory}`"
        raise Problem(f"the log is damaged: {error}", hint=hint, code=Exit.FAILED) from error
    except BrokenPipeError:  # of the output: whoever read it has seen enough
        raise
    except OSError as error:
        raise Problem(f"the log {directory} cannot be read: {error.strerror}", code=Exit.AUDIT) from error
