"""Sends records by OTLP over HTTP through opentelemetry-sdk (extra `otel`). `export` imports this when asked to."""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import sha256
from typing import Any, Final

from opentelemetry._logs import LogRecord, SeverityNumber
from opentelemetry.exporter.otlp.proto.http._log_exporter import OTLPLogExporter
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk._logs import ReadableLogRecord
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import NonRecordingSpan, SpanContext, SpanKind, TraceFlags, set_span_in_context
from opentelemetry.trace.status import Status, StatusCode

from proxyplane.audit.export import attributes_of, severity_of, tool_of

__all__ = ["Sender"]

_SCOPE: Final = InstrumentationScope("proxyplane.audit", "1")
_RESOURCE: Final = Resource({"service.name": "proxyplane"})
_FAILED: Final = ("error", "denied", "withheld", "timeout", "cancelled", "panic")


class Sender:
    """A connection to one receiver.

    Args:
        endpoint: its base address; `/v1/logs` and `/v1/traces` are added.
        timeout: seconds for each batch.
    """

    def __init__(self, endpoint: str, timeout: float) -> None:
        base = endpoint.rstrip("/")
        self._logs = OTLPLogExporter(endpoint=f"{base}/v1/logs", timeout=timeout)
        self._spans = OTLPSpanExporter(endpoint=f"{base}/v1/traces", timeout=timeout)

    def send(self, batch: Sequence[dict[str, Any]]) -> None:
        """Sends a batch of records; an OSError when the receiver did not take it."""
        if self._logs.export([_log(record) for record in batch]).name != "SUCCESS":
            raise OSError("the OpenTelemetry receiver did not take a batch of log records")
        spans = [_span(record) for record in batch if record["kind"] == "effect" and record.get("phase") != "intent"]
        if spans and self._spans.export(spans).name != "SUCCESS":
            raise OSError("the OpenTelemetry receiver did not take a batch of spans")

    def close(self) -> None:
        """Ends the connection."""
        self._logs.shutdown()
        self._spans.shutdown()


def _log(record: dict[str, Any]) -> ReadableLogRecord:
    severity = severity_of(record)
    context = _context(record, "op")
    made = LogRecord(
        timestamp=record.get("time"),
        observed_timestamp=record.get("time"),
        context=set_span_in_context(NonRecordingSpan(context)) if context is not None else None,
        severity_number=SeverityNumber(severity),
        severity_text={9: "INFO", 13: "WARN", 17: "ERROR"}[severity],
        attributes=attributes_of(record),
        event_name=f"proxyplane.{record['kind']}",
    )
    return ReadableLogRecord(made, _RESOURCE, _SCOPE)


def _span(record: dict[str, Any]) -> ReadableSpan:
    began = record.get("time", 0)
    failed = record.get("status") in _FAILED
    return ReadableSpan(
        name=f"execute_tool {tool_of(record)}",
        context=_context(record, "op"),
        parent=_context(record, "parent"),
        resource=_RESOURCE,
        attributes=attributes_of(record),
        kind=SpanKind.INTERNAL,
        status=Status(StatusCode.ERROR if failed else StatusCode.UNSET),
        start_time=began,
        end_time=began + (record.get("dur") or {}).get("total", 0),
        instrumentation_scope=_SCOPE,
    )


def _context(record: dict[str, Any], key: str) -> SpanContext | None:
    """The span of an operation: its trace is the session's, unless the record names one of its own."""
    operation = record.get(key)
    if not operation:
        return None
    trace = record.get("trace") or sha256(str(record.get("session")).encode()).hexdigest()[:32]
    span = int(str(operation).replace("-", "")[-16:], 16)
    return SpanContext(int(trace, 16), span, is_remote=False, trace_flags=TraceFlags(TraceFlags.SAMPLED))
