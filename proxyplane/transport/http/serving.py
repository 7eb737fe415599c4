"""A server on a socket: opened before the host seals itself, served afterwards, ended in order."""

from __future__ import annotations

import asyncio
import json
import os
import secrets
import signal
import socket
import ssl
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from types import FrameType
from typing import Any, Final, NamedTuple

import uvicorn

__all__ = ["Listener", "registry_file", "serve"]

_GRACE_SECONDS: Final = 10
"""How long requests may take to end once the server is asked to stop."""
_MOST_CONNECTIONS: Final = 512
_BACKLOG: Final = 256


class _Late:
    """An application that is made after its server was configured."""

    app: Any = None

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        await self.app(scope, receive, send)


class _Listening(socket.socket):
    """A socket that listens from its start: the event loop asks once more, which a sealed host may not."""

    def listen(self, backlog: int = _BACKLOG) -> None:
        """Nothing: it does already."""

    def begin(self) -> None:
        """Take connections from now on; they wait until the server accepts them."""
        super().listen(_BACKLOG)


class Listener(NamedTuple):
    """A listening socket, and a server that is ready for it: all files that it needs are read."""

    socket: socket.socket
    config: uvicorn.Config
    late: _Late
    host: str
    port: int
    secure: bool

    @classmethod
    def open(cls, host: str, port: int, *, certificate: Path | None = None, key: Path | None = None) -> Listener:
        """Bind and listen.

        Args:
            host: an address.
            port: 0 for a free one.
            certificate, key: PEM files, for TLS.

        Raises:
            OSError: it cannot be bound, or a file cannot be read.
            ValueError: the files are no certificate and key.
        """
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        # Named, so that the event loop sees TCP and switches off waiting for more to send (measured: 40 ms a request).
        sock = _Listening(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
        try:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            sock.bind((host, port))
            sock.begin()
            sock.setblocking(False)
            late = _Late()
            config = uvicorn.Config(
                late,
                http="h11",
                ws="none",
                loop="asyncio",
                lifespan="on",
                log_config=None,
                log_level="error",  # that a client sends nonsense is no news
                access_log=False,
                proxy_headers=False,  # a client must not say where it comes from
                server_header=False,
                limit_concurrency=_MOST_CONNECTIONS,
                timeout_keep_alive=30,
                timeout_graceful_shutdown=_GRACE_SECONDS,
                ssl_certfile=certificate,
                ssl_keyfile=key,
            )
            config.load()
        except ssl.SSLError as error:
            sock.close()
            raise ValueError(f"no usable certificate and key ({error.reason or 'unknown form'})") from None
        except BaseException:
            sock.close()
            raise
        return cls(sock, config, late, host, int(sock.getsockname()[1]), certificate is not None)

    @property
    def url(self) -> str:
        """Where it is reached."""
        host = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(self.host, self.host)  # noqa: S104 - names
        if ":" in host and not host.startswith("["):
            host = f"[{host}]"
        return f"http{'s' if self.secure else ''}://{host}:{self.port}"


class _Server(uvicorn.Server):
    """Tells the application when it is asked to end, so that endless streams end too."""

    stopping: Callable[[], object]

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """A signal asks the server to end."""
        self.stopping()
        super().handle_exit(sig, frame)


def serve(listener: Listener, app: Any, stopping: asyncio.Event) -> None:
    """Serve until a signal asks to end: then finish what goes on, for some seconds.

    Args:
        listener: where.
        app: the ASGI application.
        stopping: set when the end begins.
    """
    listener.late.app = app
    server = _Server(listener.config)

    async def main() -> None:
        loop = asyncio.get_running_loop()
        server.stopping = lambda: loop.call_soon_threadsafe(stopping.set)
        await server.serve(sockets=[listener.socket])

    # uvicorn raises the signal again when it is done; by then it has been heard, and the log is still to be closed.
    before = {number: signal.signal(number, _heard) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        asyncio.run(main())
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _heard(number: int, frame: FrameType | None) -> None:
    """Nothing: the server has ended by this signal."""


def registry_file(listener: Listener, version: str) -> Path:
    """Write the file by which notebook agents find servers on this machine; it is removed with the server.

    Args:
        listener: where the server is.
        version: of this program.

    Raises:
        OSError: it cannot be written.
    """
    state = os.environ.get("XDG_STATE_HOME") or os.path.join(os.path.expanduser("~"), ".local", "state")
    folder = Path(state) / "marimo" / "servers"
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"proxyplane-{listener.port}.json"
    host = listener.url.partition("://")[2].rpartition(":")[0]
    entry = {
        "server_id": f"{host}:{listener.port}",
        "pid": os.getpid(),
        "host": host,
        "port": listener.port,
        "base_url": "",
        "started_at": datetime.now(UTC).isoformat(),
        "version": f"proxyplane-{version}",
    }
    draft = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    with open(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
        json.dump(entry, file)
    try:
        os.replace(draft, path)
    except OSError:
        with suppress(OSError):
            draft.unlink()
        raise
    return path
