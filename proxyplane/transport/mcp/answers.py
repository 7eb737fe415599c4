"""Answers in the form of MCP: plain text for the model, the same as data, and refusals that say what would be allowed.

Text that agents or data wrote is plain text: never Markdown or HTML that somebody renders, with control characters
shown and not obeyed, and bounded.
"""

from __future__ import annotations

import base64
import binascii
import json
import re
from collections.abc import Sequence
from typing import Any, Final, NamedTuple

from mcp import MCPError
from mcp_types import (
    INVALID_PARAMS,
    CallToolResult,
    ContentBlock,
    ImageContent,
    TextContent,
)

from proxyplane.cli.terminal import escaped
from proxyplane.errors import ProxyPlaneError, tree
from proxyplane.transport.http.problems import Problem

__all__ = ["Answer", "document", "failed", "fault", "plain", "ran", "result", "rpc_error"]

_SURROGATE: Final = re.compile("[\ud800-\udfff]")
_TEXT_CHARS: Final = 100_000
"""Of one text in an answer: what a model reads has to fit its context."""
_IMAGES: Final = 8
_IMAGE_CHARS: Final = 4 << 20
_IMAGE_KINDS: Final = ("image/png", "image/jpeg")
_CLASSES: Final[dict[str, type[ProxyPlaneError]]] = {kind.code: kind for kind in tree().values()}
_CODES: Final = {"body": INVALID_PARAMS}


class Answer(NamedTuple):
    """What a tool came to."""

    text: str
    data: dict[str, Any]
    error: bool = False
    images: Sequence[tuple[str, str]] = ()
    """Mime type and base64 each."""


def plain(text: str) -> str:
    """Text of agents or data for somebody's eyes: bounded, nothing in it is obeyed by a terminal."""
    if len(text) > _TEXT_CHARS:
        text = f"{text[:_TEXT_CHARS]}\n... {len(text) - _TEXT_CHARS:,} more characters are cut"
    return escaped(text)


def _sendable(value: Any) -> Any:
    """A document as JSON in UTF-8 has it: what has no form there is text, lone surrogates are visible escapes."""
    text = json.dumps(value, ensure_ascii=False, default=str)
    return json.loads(_SURROGATE.sub(lambda match: f"\\\\u{ord(match[0]):04x}", text))


def result(answer: Answer) -> CallToolResult:
    """The answer for the SDK."""
    content: list[ContentBlock] = [TextContent(text=plain(answer.text))]
    content += [ImageContent(data=data, mime_type=kind) for kind, data in answer.images]
    return CallToolResult(content=content, structured_content=_sendable(answer.data), is_error=answer.error)


def document(data: dict[str, Any]) -> Answer:
    """Data, which is its own text."""
    return Answer(json.dumps(data, ensure_ascii=False, default=str), data)


def _described(problem: Problem) -> dict[str, Any]:
    kind = _CLASSES.get(problem.code)
    number = kind.mcp_error if kind is not None else _CODES.get(problem.code, ProxyPlaneError.mcp_error)
    told = {"code": problem.code, "mcp_error": number, "message": problem.detail}
    named = ("effect", "rule", "reason", "hint")
    return told | {key: problem.more[key] for key in named if problem.more.get(key)}


def failed(problem: Problem) -> Answer:
    """A refusal, or a call that cannot be: an error of the tool, which the model sees and can act on."""
    told = _described(problem)
    return Answer(_terms(problem.detail, told), {"error": told}, error=True)


def fault(error: BaseException) -> Problem:
    """A fault of the server itself: its text may hold anything, so only its type is told."""
    return Problem(500, "fault", f"the server failed on this call ({type(error).__name__})")


def rpc_error(problem: Problem) -> MCPError:
    """The same as an error of the protocol, for what is no tool."""
    told = _sendable(_described(problem))
    return MCPError(told["mcp_error"], plain(problem.detail), data=told)


def _terms(text: str, error: dict[str, Any]) -> str:
    """What decided a refusal and what would be allowed, below its text."""
    if error.get("effect"):
        by = f"rule {error['rule']}" if error.get("rule") else "default: no rule allows it"
        text += f"\n  refused: {error['effect']}, by {by}"
    if error.get("hint") and error["hint"] not in text:
        text += f"\n  hint: {error['hint']}"
    return text


def ran(told: dict[str, Any], stdout: str, stderr: str, display: Sequence[Any]) -> Answer:
    """What a run came to, as a REPL would show it.

    Args:
        told: see `transport.http.running.told`.
        stdout, stderr: what it printed.
        display: mime bundles.
    """
    parts = [stdout.rstrip("\n")] if stdout.strip("\n") else []
    parts += [told["value"]] if told["value"] is not None else []
    parts += [f"[stderr]\n{stderr.rstrip()}"] if stderr.strip() else []
    error = told["error"]
    if error is not None:
        error = {key: value for key, value in error.items() if value}
        kind = tree().get(error["type"])
        error |= {"code": kind.code, "mcp_error": kind.mcp_error} if kind is not None else {"code": "raised"}
        parts.append(_raised(error))
    parts += [f"[lost with the guest] {', '.join(told['lost'])}"] if told["lost"] else []
    images, others = _images(display)
    parts += [f"[display]\n{text}" for text in others]
    data = {**told, "error": error, "stdout": _cut(stdout), "stderr": _cut(stderr)}
    if error is None:
        del data["error"]
    parts += [f"[pictures] {len(images)}"] if images else []
    text = "\n".join(parts) if parts else "(done; nothing was printed, and no last expression has a value)"
    return Answer(text, data, error is not None, images)


def _raised(error: dict[str, Any]) -> str:
    last = f"{error['type']}: {error['message']}" if error.get("message") else error["type"]
    text: str = error.get("traceback", "").rstrip("\n")
    if not text.endswith(last):
        text = f"{text}\n{last}".lstrip("\n")
    return _terms(text, error)


def _cut(text: str) -> str:
    return text if len(text) <= _TEXT_CHARS else f"{text[:_TEXT_CHARS]}... cut"


def _base64(text: str) -> str:
    """The text as base64 has it; empty where it is none, or too much."""
    if len(text) > _IMAGE_CHARS:
        return ""
    try:
        return base64.b64encode(base64.b64decode("".join(text.split()), validate=True)).decode("ascii")
    except (binascii.Error, ValueError):
        return ""


def _images(display: Sequence[Any]) -> tuple[list[tuple[str, str]], list[str]]:
    """Pictures of mime bundles, and the plain text of the others; HTML and the like stay behind."""
    images: list[tuple[str, str]] = []
    texts: list[str] = []
    for bundle in display:
        found = next((kind for kind in _IMAGE_KINDS if isinstance(bundle.get(kind), str)), None)
        picture = _base64(bundle[found]) if found is not None and len(images) < _IMAGES else ""
        if found is not None and picture:
            images.append((found, picture))
        elif isinstance(bundle.get("text/plain"), str):
            texts.append(bundle["text/plain"])
        else:
            texts.append(f"({', '.join(sorted(map(str, bundle)))})")
    return images, texts
