"""A log for other programs: JSON Lines, and OpenTelemetry logs and spans (extra `otel`).

What goes where is `MAPPING`, which `docs/audit-format.md` prints. Nothing of content is exported: records hold none.
The GenAI conventions of OpenTelemetry are in development; these are the names of 2026 with the prefix `gen_ai`.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from typing import Any, Final, TextIO

__all__ = ["MAPPING", "attributes_of", "json_line", "severity_of", "to_otlp", "write_jsonl"]

MAPPING: Final[dict[str, str]] = {
    "kind": "event name `proxyplane.KIND`",
    "time": "timestamp",
    "seq": "proxyplane.log.seq",
    "phase": "proxyplane.phase",
    "session": "gen_ai.conversation.id",
    "agent": "gen_ai.agent.id",
    "for": "user.id",
    "op": "gen_ai.tool.call.id",
    "request_id": "jsonrpc.request.id",
    "verb": "proxyplane.verb",
    "target": "gen_ai.tool.name",
    "effects": "proxyplane.effects",
    "verdict": "proxyplane.verdict",
    "rule": "proxyplane.rule",
    "reason": "proxyplane.reason",
    "status": "proxyplane.status",
    "error": "error.type",
    "result": "proxyplane.result.rows",
    "where": "code.line.number",
    "policy": "proxyplane.policy.digest",
}
"""Field of a record -> where it is found in an OpenTelemetry log record or span."""

_PLAIN: Final = ("seq", "phase", "session", "agent", "for", "op", "request_id", "verb", "verdict", "rule", "reason",
                 "status")  # fmt: skip
INFO, WARN, ERROR = 9, 13, 17


def json_line(record: dict[str, Any]) -> str:
    """A record as one line of ASCII JSON, without control characters."""
    return json.dumps(record, ensure_ascii=True, default=str).replace("\x7f", "\\u007f")


def write_jsonl(records: Iterable[dict[str, Any]], stream: TextIO) -> int:
    """Writes one JSON object on each line; returns how many."""
    number = 0
    for record in records:
        stream.write(f"{json_line(record)}\n")
        number += 1
    return number


def severity_of(record: dict[str, Any]) -> int:
    """INFO 9; WARN 13 for what was refused, asked, redacted or forked; ERROR 17 for the undeclared and for gaps."""
    effects = record.get("effects") or {}
    if effects.get("undeclared") or record["kind"] in ("gap", "degraded") or record.get("status") == "panic":
        return ERROR
    return WARN if record.get("verdict") in ("deny", "ask", "redact", "fork") else INFO


def tool_of(record: dict[str, Any]) -> str:
    """`type.member`, or the type with the verb."""
    target = record.get("target") or {}
    kind = str(target.get("type") or "object").rpartition(".")[2]
    return f"{kind}.{record['member']}" if record.get("member") else f"{kind} {record.get('verb', '')}".strip()


def attributes_of(record: dict[str, Any]) -> dict[str, Any]:
    """Attributes of the log record and of the span."""
    found: dict[str, Any] = {MAPPING[name]: record[name] for name in _PLAIN if record.get(name) is not None}
    if record["kind"] == "effect":
        found["gen_ai.operation.name"] = "execute_tool"
        found[MAPPING["target"]] = tool_of(record)
        found[MAPPING["effects"]] = list((record.get("effects") or {}).get("declared") or ())
    if record.get("via") == "mcp":
        found["mcp.method.name"] = "tools/call"
    result, where, policy = (record.get(name) or {} for name in ("result", "where", "policy"))
    for value, name in ((result.get("rows"), "result"), (where.get("line"), "where"), (policy.get("digest"), "policy")):
        if value is not None:
            found[MAPPING[name]] = value
    error = (record.get("error") or {}).get("type") or ("denied" if record.get("verdict") == "deny" else None)
    if error is not None:
        found[MAPPING["error"]] = error
    return found


def to_otlp(records: Iterable[dict[str, Any]], endpoint: str, *, timeout: float = 10.0) -> int:
    """Sends every record as an OpenTelemetry log record, and every finished operation as a span, by OTLP over HTTP.

    Args:
        records: by their JSON names, in order.
        endpoint: base address of the receiver, such as `http://127.0.0.1:4318`.
        timeout: seconds for each batch.

    Returns:
        How many records were sent.

    Raises:
        ImportError: the extra `otel` is not installed.
        OSError: the receiver did not take a batch.
    """
    from proxyplane.audit import otlp  # noqa: PLC0415 - an extra

    sender = otlp.Sender(endpoint, timeout)
    number = 0
    try:
        for batch in _batches(records):
            number += len(batch)
            sender.send(batch)
    finally:
        sender.close()
    return number


_BATCH: Final = 512


def _batches(records: Iterable[dict[str, Any]]) -> Iterator[list[dict[str, Any]]]:
    batch: list[dict[str, Any]] = []
    for record in records:
        batch.append(record)
        if len(batch) >= _BATCH:
            yield batch
            batch = []
    if batch:
        yield batch
