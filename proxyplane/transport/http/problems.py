"""Errors as answers: `application/problem+json` (RFC 9457), one status for each error of the tree."""

from __future__ import annotations

from typing import Any, Final

from starlette.requests import Request
from starlette.responses import Response

from proxyplane.errors import ProxyPlaneError, tree
from proxyplane.remote import Busy
from proxyplane.transport.http.media import answer

__all__ = ["Problem", "of_error", "of_map", "response"]

_CLASSES: Final[dict[str, type[ProxyPlaneError]]] = {kind.code: kind for kind in tree().values()}
_TITLES: Final = {
    400: "Bad request", 401: "No valid token", 403: "Refused", 404: "Not found", 405: "Method not allowed",
    406: "No such representation", 408: "Nobody answered", 409: "Conflict", 410: "Gone", 412: "It has changed",
    413: "Too large", 415: "Unknown content type", 421: "Unknown host", 422: "Cannot be done", 429: "Too much",
    500: "Failed", 502: "The guest failed", 503: "Unavailable", 504: "Time is up",
}  # fmt: skip


class Problem(Exception):  # noqa: N818 - it is the answer
    """What a request came to instead of a result.

    Args:
        status: of HTTP.
        code: the machine's word for it.
        detail: what was expected, what came, what to do. Holds no value of a guarded object.
        headers: of the answer.
        more: further members.
    """

    def __init__(
        self, status: int, code: str, detail: str, *, headers: dict[str, str] | None = None, **more: Any
    ) -> None:
        super().__init__(detail)
        self.status = status
        self.code = code
        self.detail = detail
        self.headers = headers or {}
        self.more = {key: value for key, value in more.items() if value is not None and value != ""}

    def body(self) -> dict[str, Any]:
        """The members of the document."""
        title = _TITLES.get(self.status, "Failed")
        found = {"type": f"urn:proxyplane:{self.code}", "title": title, "status": self.status}
        return found | {"code": self.code, "detail": self.detail} | self.more


def of_error(error: ProxyPlaneError | Busy, **more: Any) -> Problem:
    """The problem that an error of the plane is."""
    if isinstance(error, Busy):
        return Problem(409, "busy", str(error), headers={"retry-after": "1"}, **more)
    told = {key: getattr(error, key, None) for key in ("effect", "rule", "reason", "hint")}
    return Problem(error.http_status, error.code, str(error), **{**told, **more})


def of_map(error: dict[str, Any], **more: Any) -> Problem:
    """The problem that an error map of the wire is (`docs/protocol.md`)."""
    code = str(error.get("code", "raised"))
    told = {key: error.get(key) for key in ("effect", "rule", "reason", "hint")}
    kind = _CLASSES.get(code)
    status = kind.http_status if kind is not None else 422
    return Problem(status, code, str(error.get("message") or "the operation raised"), **told, **more)


def response(request: Request, problem: Problem) -> Response:
    """The answer, in the form that the client takes."""
    return answer(request, problem.body(), problem.status, headers=problem.headers, problem=True)
