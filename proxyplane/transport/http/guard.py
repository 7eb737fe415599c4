"""What every request passes before anything looks at it: host, origin, token, role, rate, size.

A page of another site that a person looks at can send requests to a server on this machine. It cannot set the token,
its browser says where it comes from (`Origin`), and a name that it resolves to this machine is not ours (`Host`).
"""

from __future__ import annotations

import base64
import binascii
import threading
from collections.abc import Iterable
from typing import Any, Final

from starlette.requests import ClientDisconnect, Request

from proxyplane.clock import Clock
from proxyplane.transport.http import media, tokens
from proxyplane.transport.http.problems import Problem
from proxyplane.transport.http.roster import Rules
from proxyplane.transport.http.tokens import Principal, Tokens

__all__ = ["Guard", "Rates", "hosts_of"]

_LOCAL: Final = ("127.0.0.1", "localhost", "[::1]")
_EVERYWHERE: Final = frozenset({"0.0.0.0", "::", ""})  # noqa: S104 - names, not what is bound
_MOST_PRINCIPALS: Final = 10_000


def hosts_of(host: str, port: int, more: Iterable[str] = ()) -> frozenset[str]:
    """Values of `Host` under which a server may be asked.

    Args:
        host: what it is bound to.
        port: its port.
        more: further names of it; with a port or without.
    """
    names = [*_LOCAL] if host in _LOCAL or host == "::1" or host in _EVERYWHERE else [host]
    if host not in _EVERYWHERE and host not in names:
        names.append(f"[{host}]" if ":" in host else host)
    found = {f"{name}:{port}".lower() for name in names}
    if port in (80, 443):
        found |= {name.lower() for name in names}
    for name in more:
        lower = name.lower()
        found |= {lower, lower if ":" in lower.rpartition("]")[2] else f"{lower}:{port}"}
    return frozenset(found)


class Rates:
    """A bucket of requests for each principal, and how many are served at once.

    Args:
        rules: limits.
        clock: monotonic time.
    """

    def __init__(self, rules: Rules, clock: Clock) -> None:
        self._rules = rules
        self._clock = clock
        self._left: dict[str, tuple[float, int]] = {}
        self._now: dict[str, int] = {}
        self._lock = threading.Lock()

    def enter(self, name: str) -> None:
        """One more request of this principal; `leave` must follow.

        Raises:
            Problem: too many in this second, or at this moment.
        """
        most = self._rules.requests_per_second
        with self._lock:
            now = self._clock.mono()
            left, since = self._left.get(name, (2 * most, now))
            left = min(2 * most, left + (now - since) / 1e9 * most)
            if left < 1:
                self._left[name] = (left, now)
                wait = max(1, round((1 - left) / most))
                text = f"more than {most:g} requests a second; wait, or send several operations in one request"
                raise Problem(429, "too_many_requests", text, headers={"retry-after": str(wait)})
            if self._now.get(name, 0) >= self._rules.at_once:
                text = f"{self._rules.at_once} requests are being served already, which is the limit at one time"
                raise Problem(429, "too_many_at_once", text, headers={"retry-after": "1"})
            if len(self._left) >= _MOST_PRINCIPALS:
                self._left.clear()
            self._left[name] = (left - 1, now)
            self._now[name] = self._now.get(name, 0) + 1

    def leave(self, name: str) -> None:
        """A request has been served."""
        with self._lock:
            self._now[name] -= 1
            if not self._now[name]:
                del self._now[name]


class Guard:
    """Judges requests.

    Args:
        known: the tokens; None: everybody is the agent `principal`, which `serve --no-token` says aloud.
        hosts: values of `Host` that are ours.
        rules: limits.
        clock: monotonic time.
        anybody: who asks where there are no tokens.
        secure: the server speaks TLS.
    """

    def __init__(
        self,
        known: Tokens | None,
        hosts: frozenset[str],
        rules: Rules,
        clock: Clock,
        *,
        anybody: Principal | None = None,
        secure: bool = False,
    ) -> None:
        self._known = known
        self._anybody = anybody
        self._hosts = hosts
        self._scheme = "https" if secure else "http"
        self.rules = rules
        self.rates = Rates(rules, clock)

    def check_place(self, request: Request) -> None:
        """Whether the request was meant for this server, and by whom it was caused.

        Raises:
            Problem: another host's name (421), or a page of another site (403).
        """
        host = request.headers.getlist("host")
        if len(host) != 1 or host[0].lower() not in self._hosts:
            raise Problem(421, "host", "this server does not go by the name in Host; use the URL that serve printed")
        origin = request.headers.get("origin")
        if origin is not None and origin.lower() not in {f"{self._scheme}://{name}" for name in self._hosts}:
            raise Problem(403, "origin", "a page of another site may not use this server (Origin)")

    def principal(self, request: Request) -> Principal:
        """Who asks.

        Raises:
            Problem: no token, or one that nobody has.
        """
        if self._known is None:
            assert self._anybody is not None
            return self._anybody
        headers = {"www-authenticate": 'Bearer realm="proxyplane"'}
        given = request.headers.get("authorization", "")
        if not given:
            raise Problem(401, "no_token", "Authorization header required", headers=headers)
        kind, _, secret = given.partition(" ")
        if kind.lower() == "basic":
            secret = _password(secret)
        found = self._known.find(secret.strip()) if kind.lower() in ("bearer", "basic") else None
        if found is None:
            text = "the token is not one of this server's; it is in the token file (Authorization: Bearer ...)"
            raise Problem(401, "bad_token", text, headers=headers)
        return found

    def allow(self, request: Request, roles: Iterable[str]) -> Principal:
        """Who asks, if the role may.

        Raises:
            Problem: it may not, or as `check_place` and `principal`.
        """
        self.check_place(request)
        principal = self.principal(request)
        wanted = tuple(roles)
        if principal.role not in wanted:
            text = f"this needs the token of {' or '.join(_with_article(role) for role in wanted)}"
            raise Problem(403, "wrong_role", f"{text}; yours is {_with_article(principal.role)}'s")
        return principal

    async def body(self, request: Request, *, lenient: bool = False) -> Any:
        """The content of the body; see `media.parse`.

        Raises:
            Problem: too large, or not what it says it is.
        """
        most = self.rules.body_bytes
        text = f"a body of more than {most:,} bytes; send it in parts"
        length = request.headers.get("content-length", "0")
        if length.isascii() and length.isdigit() and int(length[:20]) > most:
            raise Problem(413, "too_large", text)
        parts = bytearray()
        try:
            async for part in request.stream():
                parts += part
                if len(parts) > most:
                    raise Problem(413, "too_large", text)
        except ClientDisconnect:
            raise Problem(400, "gone", "the client went away before it had sent its body") from None
        try:
            return media.parse(request, bytes(parts), lenient=lenient)
        except media.BodyError as error:
            raise Problem(error.status, "body", str(error)) from None


def _password(given: str) -> str:
    try:
        return base64.b64decode(given.strip(), validate=True).decode("ascii").partition(":")[2]
    except (binascii.Error, UnicodeDecodeError, ValueError):
        return ""


def _with_article(role: str) -> str:
    return f"{'an' if role in (tokens.AGENT, tokens.APPROVER) else 'a'} {role}"
