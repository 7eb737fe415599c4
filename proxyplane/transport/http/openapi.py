"""The description of the interface (OpenAPI 3.1), from the routes and the models, and a page that shows it."""

from __future__ import annotations

import html
import re
from collections.abc import Iterable
from typing import Any, Final

from pydantic import BaseModel
from starlette.responses import HTMLResponse
from starlette.routing import Route

from proxyplane.transport.http import models

__all__ = ["ToldRoute", "document", "page"]

_BODIES: Final[dict[str, tuple[type[BaseModel], ...]]] = {
    "POST /v1/sessions": (models.Open,),
    "POST /v1/sessions/{s}/operations": (models.Operation, models.Batch, models.Wire),
    "POST /v1/sessions/{s}/run": (models.Code,),
    "POST /v1/approvals/{a}": (models.Answered,),
    "POST /api/kernel/execute": (models.CodeRun,),
    "POST /notebooks/cells": (models.Create,),
    "PATCH /notebooks/cells/{n}": (models.CodeRun,),
}
_QUERIES: Final[dict[str, tuple[str, ...]]] = {
    "GET /v1/sessions/{s}/objects/{o}/attrs": ("offset", "limit", "match"),
    "GET /v1/approvals": ("state",),
    "GET /v1/effects": ("after", "limit", "agent", "session", "effect", "verdict", "since", "until"),
    "GET /notebooks/cells": ("notebook",),
}
_NUMBERS: Final = frozenset({"offset", "limit", "after", "since", "until"})
_STREAMS: Final = frozenset({"POST /v1/sessions/{s}/run", "POST /api/kernel/execute", "GET /v1/effects"})
_TEXTS: Final = frozenset({"GET /v1/sessions/{s}/notebook", "GET /v1/effects/{seq}/proof"})
_STYLE: Final = "body{font:16px/1.5 system-ui;max-width:60rem;margin:2rem auto;padding:0 1rem}code{font-size:.95em}"
_POLICY: Final = "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'; base-uri 'none'"


class ToldRoute(Route):
    """A route that knows what it is for, and for whom."""

    def __init__(self, path: str, endpoint: Any, method: str, *, summary: str, roles: tuple[str, ...]) -> None:
        super().__init__(path, endpoint, methods=[method], name=f"{method} {path}")
        self.methods = {method}  # no HEAD: it would be work without an answer
        self.summary = summary
        self.roles = roles


def document(routes: Iterable[ToldRoute], version: str) -> dict[str, Any]:
    """The whole description, of this version of the program."""
    schemas: dict[str, Any] = {"Problem": _PROBLEM}
    paths: dict[str, dict[str, Any]] = {}
    for route in routes:
        path = re.sub(r":int\}", "}", route.path)
        for method in route.methods or ():
            paths.setdefault(path, {})[method.lower()] = _operation(f"{method} {path}", route, schemas)
    return {
        "openapi": "3.1.0",
        "info": {"title": "proxyplane", "version": version, "description": "See docs/http.md."},
        "security": [{"token": []}],
        "paths": paths,
        "components": {
            "schemas": schemas,
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
        },
    }


def _operation(key: str, route: ToldRoute, schemas: dict[str, Any]) -> dict[str, Any]:
    names = re.findall(r"\{(\w+)", key)
    parameters = [
        {"name": name, "in": "path", "required": True, "schema": {"type": "integer" if name == "seq" else "string"}}
        for name in names
    ]
    for name in _QUERIES.get(key, ()):
        kind: dict[str, Any] = {"type": "integer", "minimum": 0} if name in _NUMBERS else {"type": "string"}
        parameters.append({"name": name, "in": "query", "schema": kind})
    content: dict[str, Any] = {"application/json": {"schema": {}}, "application/msgpack": {"schema": {}}}
    if key in _STREAMS:
        content["text/event-stream"] = {"schema": {"type": "string"}}
    if key in _TEXTS:
        content = {"text/plain": {"schema": {"type": "string"}}}
    problem = {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}}
    done = "204" if key.startswith("DELETE /v1") else "201" if key == "POST /v1/sessions" else "200"
    found: dict[str, Any] = {
        "summary": route.summary,
        "description": f"Token: {' or '.join(route.roles)}.",
        "parameters": parameters,
        "responses": {
            done: {"description": "Done."} if done == "204" else {"description": "Done.", "content": content},
            "default": {"description": "A problem (RFC 9457).", "content": problem},
        },
    }
    if key in _BODIES:
        found["requestBody"] = {"required": key != "POST /v1/sessions", "content": _body(_BODIES[key], schemas)}
    return found


def _body(kinds: tuple[type[BaseModel], ...], schemas: dict[str, Any]) -> dict[str, Any]:
    for kind in kinds:
        schema = models.described(kind)
        schemas |= schema.pop("$defs", {})
        schemas[kind.__name__] = schema
    references = [{"$ref": f"#/components/schemas/{kind.__name__}"} for kind in kinds]
    schema = references[0] if len(references) == 1 else {"anyOf": references}
    return {"application/json": {"schema": schema}, "application/msgpack": {"schema": schema}}


_PROBLEM: Final = {
    "type": "object",
    "required": ["type", "title", "status", "code", "detail"],
    "properties": {
        "type": {"type": "string"},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "code": {"type": "string"},
        "detail": {"type": "string"},
        "effect": {"type": "string"},
        "rule": {"type": "string"},
        "hint": {"type": "string"},
        "at": {"type": "integer", "description": "Which operation of a batch failed."},
        "results": {"type": "array", "items": {}, "description": "What the operations before it came to."},
    },
}


def page(described: dict[str, Any]) -> HTMLResponse:
    """A page for people, which loads nothing."""
    rows = []
    for path, methods in described["paths"].items():
        for method, told in methods.items():
            text = f"<code>{method.upper()} {html.escape(path)}</code>"
            rows.append(f"<dt>{text}</dt><dd>{html.escape(told['summary'])} {html.escape(told['description'])}</dd>")
    title = f"<h1>proxyplane {html.escape(described['info']['version'])}</h1>"
    body = f"{title}<p><a href='openapi.json'>openapi.json</a></p><dl>{''.join(rows)}</dl>"
    head = f"<!doctype html><html lang='en'><meta charset='utf-8'><title>proxyplane</title><style>{_STYLE}</style>"
    return HTMLResponse(f"{head}{body}</html>", headers={"content-security-policy": _POLICY})
