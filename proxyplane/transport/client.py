"""The client: a session of a plane that another process serves, with the same stubs as in a guest.

    with proxyplane.connect("http://127.0.0.1:8123", token) as session:
        session.run("top = sales.groupby('region').amount.sum()")
        sales = session.objects.sales              a stub: each touch is one request
        total = session.chain("sales").amount.sum()   nothing is sent ...
        session.pull(total)                        ... until a value is needed: one request for all of it

Nothing of an object is here: what a stub is asked, the host decides, performs and records. Functions of this process
do not cross; run code that has them.
"""

from __future__ import annotations

import asyncio
import json
import sys
import threading
import warnings
from collections.abc import Callable, Iterator
from typing import Any, Final, Self

import httpx
import msgpack

from proxyplane.errors import Expired, ProtocolError, ProxyPlaneError, Refusal, tree
from proxyplane.guest.agentcode import Agentcode
from proxyplane.guest.failures import Remembered, rebuild
from proxyplane.guest.imports import Modules
from proxyplane.guest.stubs import Stubs
from proxyplane.guest.values import Values
from proxyplane.results import RunError, RunResult
from proxyplane.transport.chains import Chain, gathered

__all__ = ["AsyncRemoteSession", "Objects", "RemoteSession", "connect", "connect_async"]

MSGPACK: Final = "application/msgpack"
_SECONDS: Final = 120.0
_ATTEMPTS: Final = 3
_CLASSES: Final = {kind.code: kind for kind in tree().values()}


class _NoCode(Agentcode):
    """This process's functions: they stay here."""

    def encode(self, function: Any) -> list[Any]:
        name = getattr(function, "__name__", "a function")
        raise TypeError(f"{name!r} cannot cross: functions of this process do not run there; define it in session.run")


class _Values(Values):
    def _token(self, value: Any) -> list[Any]:
        raise TypeError(f"a {type(value).__name__} cannot cross: it is of a class of this process; send plain values")


class RemoteSession:
    """One session of a served plane; a context manager. Made by `connect`.

    Args:
        http: the connection, which the session owns.
        identifier: the session's id.
        owned: close the session of the server with this one.
    """

    def __init__(self, http: httpx.Client, identifier: str, *, owned: bool) -> None:
        self.id = identifier
        """With it, a later `connect(url, token, session=id)` finds the session again."""
        self.display: list[dict[str, Any]] = []
        """What operations displayed, as mime bundles."""
        self.requests = 0
        """Round trips so far."""
        self._http = http
        self._owned = owned
        self._lane: str | None = None
        self._turn = threading.RLock()
        self._releases: list[int] = []
        self._start()

    def _start(self) -> None:
        """What is known of the other side: nothing yet."""
        self._stubs = stubs = Stubs(self._request, lambda handle, count: self._releases.extend((handle, count)))
        modules = Modules(self._request)
        self._values = _Values(stubs, modules.module, _NoCode())
        self._remembered = Remembered()
        self.objects = Objects(self.bind)
        """What the session was granted, and the agent's variables, by name."""

    # The session

    def run(self, code: str, timeout: float = 60.0, on_output: Callable[[str, str], None] | None = None) -> RunResult:
        """Run code in the session's guest; see `Session.run`.

        Args:
            code: Python source.
            timeout: seconds.
            on_output: told what is printed as it comes: `stdout` or `stderr`, and the text.

        Raises:
            ProxyPlaneError: it could not begin.
        """
        streams: dict[str, list[Any]] = {"stdout": [], "stderr": [], "display": []}
        body = {"code": code, "timeout": timeout}
        headers = {"accept": "text/event-stream"}
        url = f"/v1/sessions/{self.id}/run"
        self.requests += 1
        with self._http.stream("POST", url, json=body, headers=headers, timeout=timeout + _SECONDS) as response:
            if response.status_code != 200:
                response.read()
                raise problem_of(response)
            for kind, data in events(response.iter_lines()):
                if kind in streams:
                    streams[kind].append(data["data"])
                    if on_output is not None and kind != "display":
                        on_output(kind, data["data"])
                elif kind == "error":
                    raise error_of(data)
                elif kind == "done":
                    return result_of(data, streams)
        raise ProtocolError("the stream ended before the run did; its session is still there")

    def describe(self, name: str) -> dict[str, Any]:
        """What the agent may know of an object; see `Session.describe`."""
        found: dict[str, Any] = self._get(f"/objects/{name}/describe")
        return found

    def list_attrs(self, name: str) -> list[str]:
        """Names that the agent may use; see `Session.list_attrs`."""
        names: list[str] = []
        at: int | None = 0
        while at is not None:
            page = self._get(f"/objects/{name}/attrs?offset={at}&limit=1000")
            names += page["attrs"]
            at = page["next"]
        return names

    def get_attr(self, name: str, attribute: str) -> Any:
        """An attribute: its value, or a stub of it; see `Session.get_attr`."""
        stub = self.bind(name)
        return self._request("getattr", stub._handle, attribute)

    def _get(self, path: str) -> Any:
        self.requests += 1
        response = self._http.get(f"/v1/sessions/{self.id}{path}")
        if response.status_code != 200:
            raise problem_of(response)
        return response.json()

    def bind(self, name: str) -> Any:
        """The stub of a granted object, a granted module or a variable; a plain value of the guest as itself.

        Raises:
            UnknownObject: the name means nothing that can be used from here.
        """
        return self._send([], bind=[name])["bound"][name]

    def close(self) -> None:
        """End the connection, and the session if it was opened with it; idempotent."""
        if self._http.is_closed:
            return
        try:
            if self._owned:
                self._http.delete(f"/v1/sessions/{self.id}")
        except httpx.HTTPError:
            pass  # the server is gone, and its sessions with it
        finally:
            self._http.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exit_info: object) -> None:
        self.close()

    # Operations

    def chain(self, name: str) -> Chain:
        """The start of an expression that is sent in one request once its value is needed; see `pull`."""
        stub = self.bind(name)
        return Chain(self._pull, "value", (stub,))

    def pull(self, chain: Any) -> Any:
        """What an expression comes to: a value where it crosses as one, else a stub. One request.

        Raises:
            BaseException: what the first operation that failed raised.
        """
        return self._pull(chain) if isinstance(chain, Chain) else chain

    def _pull(self, chain: Chain) -> Any:
        if chain.done:
            return chain.value
        with self._turn:
            operations, values = gathered(chain, self._values.encode)
            if not operations:
                return values
            chain.settle(self._send(operations, results="last")["results"][0])
        return chain.value

    def _request(
        self, verb: str, handle: int, member: str | None = None, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        """One operation: what stubs ask. See `guest.link.Link.request`."""
        args = tuple(self.pull(value) for value in args)
        encode = self._values.encode
        sent = [encode(value) for value in args]
        named = {name: encode(self.pull(value)) for name, value in kwargs.items()} if kwargs else None
        return self._send([[verb, handle, member, sent, named]])["results"][0]

    def _send(self, operations: list[Any], *, bind: list[str] | None = None, results: str = "all") -> dict[str, Any]:
        with self._turn:
            releases, self._releases[:] = self._releases[:], []
            body = {"form": "wire", "lane": self._lane, "operations": operations, "release": releases}
            body |= {"bind": bind or [], "results": results}
            answer = self._post(f"/v1/sessions/{self.id}/operations", body)
            self._lane = answer["lane"]
            self._stubs.announce(answer["news"])
            for printed, more in (side for side in answer["sides"] if len(side) == 2):
                sys.stdout.write(printed)
                for category, text in more.get("warned") or ():
                    warnings.warn(text, self._category(category), stacklevel=6)
            self.display += answer["display"]
            decode = self._values.decode
            decoded = {"results": [decode(wire) for wire in answer["results"]]}
            if "failed" in answer:
                error = answer["failed"]["error"]
                raise rebuild(error, decode, self._stubs.types.get, self._remembered)
            return {**decoded, "bound": {name: decode(wire) for name, wire in answer["bound"].items()}}

    def _category(self, named: Any) -> type[Warning]:
        found = self._stubs.types.get(named) if type(named) is int else getattr(__builtins__, str(named), None)
        return found if isinstance(found, type) and issubclass(found, Warning) else UserWarning

    def _post(self, url: str, body: dict[str, Any]) -> Any:
        packed = msgpack.packb(body, use_bin_type=True, unicode_errors="surrogatepass")
        headers = {"content-type": MSGPACK, "accept": MSGPACK}
        if self._http.is_closed:
            raise Expired("this connection is closed; connect again")
        self.requests += 1
        response = self._http.post(url, content=packed, headers=headers)
        if response.status_code != 200:
            raise problem_of(response)
        return msgpack.unpackb(response.content, raw=False, strict_map_key=False, unicode_errors="surrogatepass")


class Objects:
    """Objects of a session by name: `objects.sales`, `objects["sales"]`."""

    def __init__(self, bind: Callable[[str], Any]) -> None:
        self._bind = bind

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)
        try:
            return self._bind(name)
        except ProxyPlaneError as error:
            raise AttributeError(str(error)) from error

    def __getitem__(self, name: str) -> Any:
        return self._bind(name)


class AsyncRemoteSession:
    """The same for code that awaits: every method of `RemoteSession` in a thread of its own.

    Args:
        session: which it uses, and owns.
    """

    def __init__(self, session: RemoteSession) -> None:
        self._session = session
        self.id = session.id

    async def run(self, code: str, timeout: float = 60.0) -> RunResult:
        """See `RemoteSession.run`."""
        return await asyncio.to_thread(self._session.run, code, timeout)

    async def describe(self, name: str) -> dict[str, Any]:
        """See `RemoteSession.describe`."""
        return await asyncio.to_thread(self._session.describe, name)

    async def list_attrs(self, name: str) -> list[str]:
        """See `RemoteSession.list_attrs`."""
        return await asyncio.to_thread(self._session.list_attrs, name)

    async def get_attr(self, name: str, attribute: str) -> Any:
        """See `RemoteSession.get_attr`."""
        return await asyncio.to_thread(self._session.get_attr, name, attribute)

    async def chain(self, name: str) -> Chain:
        """See `RemoteSession.chain`."""
        return await asyncio.to_thread(self._session.chain, name)

    async def pull(self, chain: Any) -> Any:
        """See `RemoteSession.pull`."""
        return await asyncio.to_thread(self._session.pull, chain)

    async def close(self) -> None:
        """See `RemoteSession.close`."""
        await asyncio.to_thread(self._session.close)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exit_info: object) -> None:
        await self.close()


def connect(
    url: str,
    token: str = "",
    *,
    session: str | None = None,
    objects: list[str] | None = None,
    transport: httpx.BaseTransport | None = None,
    verify: Any = True,
) -> RemoteSession:
    """Work on objects of a plane that is served.

    Args:
        url: as `proxyplane serve` printed it.
        token: an agent's.
        session: the id of a session to go on with; by default a new one, which ends with the connection.
        objects: names to be granted in a new session; by default all.
        transport: of httpx, for tests.
        verify: as for httpx: how the server's certificate is judged.

    Raises:
        ProxyPlaneError: there is no such session, or the server refuses.
        ConnectionError: the server does not answer.
        PermissionError: the token is not one of an agent.
    """
    headers = {"authorization": f"Bearer {token}"} if token else {}
    carrier = transport if transport is not None else httpx.HTTPTransport(verify=verify, retries=_ATTEMPTS)
    http = httpx.Client(base_url=url, headers=headers, timeout=_SECONDS, transport=carrier, trust_env=False)
    try:
        if session is None:
            response = http.post("/v1/sessions", json={"objects": objects})
        else:
            response = http.get(f"/v1/sessions/{session}")
        if response.status_code not in (200, 201):
            raise problem_of(response)  # noqa: TRY301
        return RemoteSession(http, response.json()["id"], owned=session is None)
    except httpx.TransportError as error:
        http.close()
        raise ConnectionError(f"{url} does not answer: {error}") from None
    except BaseException:
        http.close()
        raise


async def connect_async(url: str, token: str = "", **options: Any) -> AsyncRemoteSession:
    """`connect`, for code that awaits."""
    return AsyncRemoteSession(await asyncio.to_thread(lambda: connect(url, token, **options)))


def problem_of(response: httpx.Response) -> Exception:
    """The exception that a problem is."""
    try:
        kind = response.headers.get("content-type", "")
        told = msgpack.unpackb(response.content) if kind == MSGPACK else response.json()
    except ValueError:
        told = {}
    if type(told) is not dict or "code" not in told:
        return ConnectionError(f"the server answered {response.status_code} without saying why")
    return error_of(told)


def error_of(told: dict[str, Any]) -> Exception:
    """The exception of a problem's members."""
    code, detail, status = str(told["code"]), str(told.get("detail", "")), told.get("status")
    kind = _CLASSES.get(code)
    if kind is not None and issubclass(kind, Refusal):
        texts = {name: told.get(name) or "" for name in ("effect", "reason", "hint")}
        return kind(detail, rule=told.get("rule"), **texts)
    if kind is not None:
        error: Exception = Exception.__new__(kind, detail)
        return error
    if status in (401, 403, 421):
        return PermissionError(detail)
    if status == 410:
        return Expired(detail)
    return {408: TimeoutError, 409: RuntimeError, 404: LookupError}.get(int(status or 0), RuntimeError)(detail)


def events(lines: Iterator[str]) -> Iterator[tuple[str, dict[str, Any]]]:
    """The events of a stream."""
    kind = "message"
    for line in lines:
        if line.startswith("event: "):
            kind = line.removeprefix("event: ")
        elif line.startswith("data: "):
            yield kind, json.loads(line.removeprefix("data: "))


def result_of(data: dict[str, Any], streams: dict[str, list[Any]]) -> RunResult:
    """What a run came to."""
    error = RunError(**data["error"]) if data["error"] is not None else None
    texts = ("".join(streams["stdout"]), "".join(streams["stderr"]))
    operations, elapsed, lost = data["operations"], data["elapsed_ns"], tuple(data["lost"])
    return RunResult(data["ok"], *texts, data["value"], streams["display"], error, operations, elapsed, lost)
