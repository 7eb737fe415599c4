"""`proxyplane serve`: the plane over HTTP, from a sealed host."""

from __future__ import annotations

import os
import sys
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from proxyplane import __version__
from proxyplane.cli.problems import Exit, Problem
from proxyplane.cli.running import Settings, hosted, made
from proxyplane.cli.terminal import put

if TYPE_CHECKING:
    from proxyplane.plane import ControlPlane
    from proxyplane.transport.http.serving import Listener
    from proxyplane.transport.http.tokens import Tokens

__all__ = ["Serving", "serve"]

_LOOPBACK = ("127.0.0.1", "localhost", "::1")


@dataclass(frozen=True)
class Serving:
    """What the options say, beyond those of a run."""

    host: str = "127.0.0.1"
    port: int = 0
    token_file: Path = Path("proxyplane-tokens.toml")
    approver_file: Path | None = None
    tokens: bool = True
    register: bool = False
    names: tuple[str, ...] = ()
    """Further values of `Host`."""
    certificate: Path | None = None
    key: Path | None = None
    notebooks: Path | None = None
    idle: float = 3600.0
    """Seconds after which an unused session ends."""
    rate: float = 500.0
    """Requests a second of one principal."""
    at_once: int = 32
    """Requests of one principal at one time."""
    sessions: int = 8
    """Open sessions of one principal."""


def serve(settings: Settings, serving: Serving) -> Exit:
    """Serve until a signal asks to end.

    Raises:
        Problem: it could not begin.
    """
    try:
        from proxyplane.transport.http.effects import Effects
        from proxyplane.transport.http.serving import Listener, registry_file
        from proxyplane.transport.http.serving import serve as serve_app
    except ImportError as error:
        hint = 'pip install "proxyplane[serve]"'
        raise Problem(f"serve needs a package that is not installed: {error.name}", hint=hint) from None

    _check(serving)
    with ExitStack() as stack:
        known, secret = _tokens(settings, serving)
        notebooks = None if serving.notebooks is None else made(serving.notebooks, "--notebooks").absolute()
        try:
            listener = Listener.open(serving.host, serving.port, certificate=serving.certificate, key=serving.key)
        except (OSError, ValueError, OverflowError) as error:
            raise Problem(f"cannot listen on {serving.host}:{serving.port}: {_why(error)}") from None
        stack.callback(listener.socket.close)
        effects = stack.enter_context(Effects(settings.audit))
        left = []
        if serving.register:
            try:
                left.append(registry_file(listener, __version__))
            except OSError as error:
                raise Problem(f"--register: {error.filename}: {error.strerror}") from None
            stack.callback(_unlink, left[0])
        hidden = {str(path): "the tokens" for path in (serving.token_file, serving.approver_file) if path is not None}
        writable = [] if notebooks is None else [notebooks]
        plane, objects = stack.enter_context(hosted(settings, hidden=hidden, writable=writable, left=left))
        effects.open()
        served = _served(settings, serving, plane, objects, listener, known, notebooks, effects)
        _announce(plane, listener, serving, secret)
        from proxyplane.transport.http.app import application

        serve_app(listener, application(served), served.stopping)
        put("proxyplane: stopped\n")
    return Exit.OK


def _served(
    settings: Settings,
    serving: Serving,
    plane: ControlPlane,
    objects: dict[str, Any],
    listener: Listener,
    known: Tokens | None,
    notebooks: Path | None,
    effects: Any,
) -> Any:
    from proxyplane.transport.http.app import Served
    from proxyplane.transport.http.guard import Guard, hosts_of
    from proxyplane.transport.http.roster import Roster, Rules
    from proxyplane.transport.http.tokens import AGENT, Principal

    longest = max(settings.timeout, Rules.longest_run_seconds)
    rules = Rules(
        sessions=serving.sessions,
        idle_seconds=serving.idle,
        run_seconds=settings.timeout,
        longest_run_seconds=longest,
        requests_per_second=serving.rate,
        at_once=serving.at_once,
    )
    sources = {name: os.path.abspath(path) for name, _, path in (item.partition("=") for item in settings.objects)}
    roster = Roster(plane, objects, rules, notebooks=notebooks, sources=sources)
    names = hosts_of(listener.host, listener.port, serving.names)
    anybody = Principal(settings.agent, AGENT)
    guard = Guard(known, names, rules, plane.clock, anybody=anybody, secure=listener.secure)
    return Served(roster, guard, effects, __version__)


def _check(serving: Serving) -> None:
    if not serving.tokens and serving.host not in _LOOPBACK:
        raise Problem(f"--no-token on {serving.host} would let everybody in", hint="use tokens, or --host 127.0.0.1")
    if (serving.certificate is None) is not (serving.key is None):
        raise Problem("TLS needs both --certfile and --keyfile")


def _tokens(settings: Settings, serving: Serving) -> tuple[Tokens | None, str]:
    """The tokens, and the approver's where it is not in a file."""
    from proxyplane.transport.http import tokens
    from proxyplane.transport.http.tokens import Principal, TokenError

    if not serving.tokens:
        return None, ""
    known = tokens.Tokens()
    fresh = [Principal(settings.agent, tokens.AGENT), Principal("reader", tokens.READER)]
    approver = Principal("approver", tokens.APPROVER)
    try:
        if tokens.load(serving.token_file, known, fresh=fresh):
            put(f"proxyplane: new tokens in {serving.token_file}\n")
        if serving.approver_file is not None:
            tokens.load(serving.approver_file, known, fresh=[approver], approvers=True)
            return known, ""
    except TokenError as error:
        raise Problem(str(error)) from None
    except OSError as error:
        raise Problem(f"the token file {error.filename} cannot be used: {error.strerror}") from None
    secret = tokens.made(tokens.APPROVER)
    known.add(approver, secret)
    return known, secret


def _announce(plane: ControlPlane, listener: Listener, serving: Serving, secret: str) -> None:
    if secret:
        try:
            # The terminal itself, and not a stream that an agent may have been given.
            with open("/dev/tty", "w", encoding="utf-8") as terminal:
                terminal.write(f"proxyplane: approver token {secret}\n")
        except OSError:
            put("proxyplane: no terminal to show the approver's token on; give --approver-token-file\n", sys.stderr)
    if not serving.tokens:
        put("proxyplane: NO TOKENS: every program on this machine is the agent\n", sys.stderr)
    put(f"proxyplane: {plane.host_tier} host, guests {plane.tier}\nproxyplane: serving {listener.url}\n")
    sys.stdout.flush()


def _unlink(path: Path) -> None:
    with suppress(OSError):  # a sealed host cannot; its watchdog does
        path.unlink(missing_ok=True)


def _why(error: BaseException) -> str:
    if isinstance(error, OSError) and error.strerror:
        return f"{error.filename}: {error.strerror}" if error.filename else error.strerror
    return str(error)
