"""`proxyplane audit verify`, `prove`, `anchor` and `tail`."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from proxyplane import audit
from proxyplane.audit.export import json_line
from proxyplane.cli.problems import Exit, Problem
from proxyplane.cli.terminal import one_line, put
from proxyplane.errors import AuditCorrupt

__all__ = [
    "anchor_log",
    "line_of",
    "prove_record",
    "readable",
    "stamp_of",
    "tail_log",
    "verify_log",
    "write_standalone",
]


def verify_log(directory: Path, anchors: Sequence[Path] = (), key: str | None = None) -> int:
    """Print the verdict on a log; its exit code."""
    if key is not None and Path(key).is_file():
        key = Path(key).read_text(encoding="utf-8").strip()
    verdict = audit.verify(directory, anchors=anchors, key=key)
    put(f"{one_line(str(verdict))}\n")
    return verdict.exit_code


def write_standalone(target: Path) -> None:
    """Write the verifier that needs nothing else. It is a copy of `audit/standalone.py`."""
    source = Path(audit.__file__).with_name("standalone.py").read_bytes()
    try:
        with target.open("xb") as file:
            file.write(source)
    except FileExistsError:
        raise Problem(f"{target} is there already; name a new file") from None
    except OSError as error:
        raise Problem(f"{target} cannot be written: {error.strerror}") from error


def prove_record(directory: Path, number: int, output: Path | None) -> Exit:
    """Print the proof of one record, or write it to a new file."""
    with readable(directory):
        try:
            proof = audit.prove(directory, number)
        except FileNotFoundError:
            raise Problem(f"{directory} holds no audit log", code=Exit.AUDIT) from None
        except IndexError as error:
            raise Problem(str(error)) from None
    if output is None:
        put(proof.text().decode())
        return Exit.OK
    try:
        with output.open("xb") as file:
            file.write(proof.text())
    except OSError as error:
        raise Problem(f"{output} cannot be written: {error.strerror}") from error
    return Exit.OK


def anchor_log(directory: Path, place: Path) -> Exit:
    """Take the newest checkpoint to an anchor."""
    try:
        note = audit.anchor(directory, place)
    except FileNotFoundError as error:
        raise Problem(f"{directory} holds no audit log ({error.filename})", code=Exit.AUDIT) from error
    except OSError as error:
        raise Problem(f"the anchor {place}: {error.strerror or error}", code=Exit.AUDIT) from error
    except ValueError as error:
        raise Problem(f"the anchor {place}: {error}", code=Exit.FAILED) from error
    put(f"{note.size} records anchored\n")
    return Exit.OK


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
    shown = json_line if as_json else line_of
    with readable(directory):
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


def stamp_of(time_ns: int) -> str:
    """A wall-clock time for a person, UTC."""
    seconds, rest = divmod(time_ns, 1_000_000_000)
    return f"{time.strftime('%Y-%m-%d %H:%M:%S', time.gmtime(seconds))}.{rest // 1_000_000:03}Z"


def line_of(record: dict[str, Any]) -> str:
    """A record for a person: number, time, agent, what was done to what, effects, decision, how it ended."""
    stamp = stamp_of(record["time"]) if "time" in record else ""
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
def readable(directory: Path) -> Iterator[None]:
    """Turn what can go wrong with reading a log into messages for a person."""
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
