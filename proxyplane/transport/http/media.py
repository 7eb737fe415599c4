"""Bodies: JSON or msgpack, by `Content-Type` and `Accept`."""

from __future__ import annotations

import json
from typing import Any, Final

import msgpack
from starlette.requests import Request
from starlette.responses import Response

__all__ = ["JSON", "MSGPACK", "BodyError", "answer", "parse", "wants_msgpack"]

JSON: Final = "application/json"
MSGPACK: Final = "application/msgpack"
_FORM: Final = "application/x-www-form-urlencoded"
_HEADERS: Final = {"cache-control": "no-store", "x-content-type-options": "nosniff"}


class BodyError(ValueError):
    """A body that cannot be read; `status` is what to answer."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(text)
        self.status = status


def wants_msgpack(request: Request) -> bool:
    """Whether msgpack comes before JSON in what the client takes."""
    accepted = request.headers.get("accept", "")
    if MSGPACK not in accepted:
        return False
    return JSON not in accepted or accepted.index(MSGPACK) < accepted.index(JSON)


def answer(
    request: Request, content: Any, status: int = 200, *, headers: dict[str, str] | None = None, problem: bool = False
) -> Response:
    """A document as a response."""
    if wants_msgpack(request):
        body, kind = msgpack.packb(content, use_bin_type=True, unicode_errors="surrogatepass"), MSGPACK
    else:
        # Texts of data may hold lone surrogates, which are no UTF-8: JSON writes all but ASCII as escapes.
        body = json.dumps(content, allow_nan=False, separators=(",", ":")).encode("ascii")
        kind = "application/problem+json" if problem else JSON
    return Response(body, status, {**_HEADERS, **(headers or {})}, media_type=kind)


def parse(request: Request, body: bytes, *, lenient: bool = False) -> Any:
    """The content of a request's body; None where there is none.

    Args:
        request: whose headers say what it is.
        body: its bytes.
        lenient: what a shell script sends without saying what it is counts as JSON.

    Raises:
        BodyError: it is not what its content type says, or in no known one.
    """
    if not body:
        return None
    kind = request.headers.get("content-type", JSON).partition(";")[0].strip().lower()
    if lenient and kind == _FORM:
        kind = JSON
    if kind == MSGPACK:
        try:
            return msgpack.unpackb(body, raw=False, strict_map_key=True, unicode_errors="surrogatepass")
        except Exception as error:  # msgpack raises ValueError, TypeError, StackError, ExtraData ...
            raise BodyError(400, f"the body is not msgpack ({type(error).__name__})") from None
    if kind == JSON:
        try:
            return json.loads(body)
        except (ValueError, RecursionError) as error:
            raise BodyError(400, f"the body is not JSON ({type(error).__name__})") from None
    raise BodyError(415, f"the content type is none of {JSON}, {MSGPACK}")
