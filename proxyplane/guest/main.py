"""The guest's main loop: runs the agent's code against stubs until the host hangs up.

Code runs as in an interactive interpreter, in one `__main__` namespace that lasts from run to run. Whatever it does,
the run ends with a DONE frame; nothing that the agent's code raises ends the loop.
"""

from __future__ import annotations

import ast
import builtins
import linecache
import socket
import sys
import types
from typing import Any, Final

from proxyplane.guest import displaying, inline
from proxyplane.guest.agentcode import Agentcode
from proxyplane.guest.console import Console, NoInput
from proxyplane.guest.failures import Remembered, describe, hide_own_frames, rebuild, warn
from proxyplane.guest.files import Files
from proxyplane.guest.helping import give_help
from proxyplane.guest.imports import HostModule, Modules
from proxyplane.guest.link import HostGone, Link
from proxyplane.guest.references import Reference, StubType
from proxyplane.guest.stubs import Stubs
from proxyplane.guest.values import Values
from proxyplane.transport.wire import FILES, MODULES, PROTOCOL, Kind, Limits

__all__ = ["Guest", "main"]

_SOURCES_KEPT: Final = 1000
_COROUTINE: Final = 0x80
"""The flag of code that awaits (`inspect.CO_COROUTINE`)."""
_CUT: Final = "\n... output cut: {} more characters ...\n"


class Guest:
    """One guest: its link, its namespace, its standard streams.

    Args:
        sock, options: as for `connect`; a zygote makes its guest without them, once for all its children.
    """

    def __init__(self, sock: socket.socket | None = None, options: dict[str, Any] | None = None) -> None:
        self._output_chars = Limits().output_chars
        self._link = link = Link()
        self._remembered = Remembered()
        self._code = Agentcode()
        stubs = Stubs(link.request, lambda handle, count: link.releases.extend((handle, count)))
        self._modules = Modules(link.request)
        self._files = Files()
        self._values = Values(stubs, self._modules.module, self._code)
        link.encode = self._values.encode
        link.kept = self._values.kept
        link.decode = self._values.decode
        link.announce = stubs.announce
        link.failure = lambda error: rebuild(error, self._values.decode, stubs.types.get, self._remembered)
        link.serve = self._serve
        link.warn = lambda category, text: warn(category, text, stubs.types.get)
        self._names = _fresh_main()
        self._last: Any = None
        self._running = False
        self._sources: list[str] = []
        if sock is not None:
            self.connect(sock, options or {})

    def connect(self, sock: socket.socket, options: dict[str, Any]) -> None:
        """Take the socket to the host.

        Args:
            sock: connected stream socket.
            options: `output_chars` bounds the characters of one run and stream, `frame_bytes` the bytes of one frame.
        """
        limits = Limits()
        self._output_chars = int(options.get("output_chars", limits.output_chars))
        link = self._link
        link.connect(sock, int(options.get("frame_bytes", limits.frame_bytes)))
        self._console = Console(lambda stream, text: link.send([Kind.OUTPUT, stream, text]), self._output_chars)

    def install(self) -> None:
        """Make this the process's guest: `__main__`, the standard streams, the import system."""
        sys.modules["__main__"] = self._names
        sys.stdout = sys.__stdout__ = self._console.out  # type: ignore[misc,assignment]
        sys.stderr = sys.__stderr__ = self._console.err  # type: ignore[misc,assignment]
        sys.stdin = sys.__stdin__ = NoInput()  # type: ignore[assignment,misc]
        self._modules.install()
        inline.install()
        builtins.help = give_help  # type: ignore[assignment]
        displaying.install()
        hide_own_frames()

    def loop(self, report: dict[str, Any]) -> None:
        """Say hello and serve frames until the host is gone."""
        link = self._link
        try:
            link.send([Kind.HELLO, PROTOCOL, report])
            while True:
                link.answer(link.receive())
        except HostGone:
            return

    def _serve(self, frame: list[Any]) -> None:
        kind = frame[0]
        if kind == Kind.RUN:
            self._code.settle()
            self._link.spin(frame[4] if len(frame) > 4 else 0)
            self._run(frame[1], frame[2], frame[3])
        elif kind == Kind.CALLBACK:
            self._callback(frame)
        elif kind == Kind.BIND:
            self._bind(frame)
        elif kind == Kind.FETCH:
            self._fetch(frame[1], frame[2])
        elif kind == Kind.FORGET:
            self._code.forget(frame[1])

    # The host's requests

    def _bind(self, frame: list[Any]) -> None:
        _, number, names, modules, news = frame
        if news:
            self._link.announce(news)
        for name, wire in (modules or {}).items():
            module = self._values.decode(wire)
            if isinstance(module, HostModule):
                self._modules.grant(name, module)
        if names and FILES in names:
            self._files.grant(*self._values.decode(names.pop(FILES)))
        if names and MODULES in names:
            self._modules.offer(*self._values.decode(names.pop(MODULES)))
        for name, wire in (names or {}).items():
            self._names.__dict__[name] = self._values.decode(wire)
        self._link.send([Kind.RESULT, number, None, []])

    def _fetch(self, number: int, name: str) -> None:
        names = self._names.__dict__
        if name not in names:
            error: dict[str, Any] = {"type": "NameError", "message": f"name {name!r} is not defined"}
            self._link.send([Kind.ERROR, number, error, []])
            return
        try:
            self._link.send([Kind.RESULT, number, self._values.encode(names[name]), []])
        except Exception as failure:
            error = {"type": type(failure).__name__, "message": _message(failure)}
            self._link.send([Kind.ERROR, number, error, []])
        finally:
            self._link.kept.clear()

    def _callback(self, frame: list[Any]) -> None:
        """Run a function of the agent for the host. Its exception waits here for the agent's frame that caused it."""
        number = frame[1]
        answered = False
        kept = len(self._link.kept)
        try:
            try:
                answer = [Kind.RESULT, number, self._call(frame), []]
                self._link.send(answer)
            except HostGone:
                raise
            except BaseException as error:
                described: dict[str, Any] = {"type": type(error).__name__, "message": _message(error)}
                described["token"] = self._remembered.keep(error)
                self._link.send([Kind.ERROR, number, described, []])
            answered = True
        finally:
            del self._link.kept[kept:]
            if not answered:  # out of stack or memory: the host still waits
                self._link.owed.append(number)

    def _call(self, frame: list[Any]) -> Any:
        _, _, callable_id, args, kwargs, news = frame
        if news:
            self._link.announce(news)
        decode = self._values.decode
        positional = [decode(x) for x in args]
        named = {name: decode(x) for name, x in kwargs.items()} if kwargs else {}
        return self._values.encode(self._code.get(callable_id)(*positional, **named))

    # Running

    def _run(self, number: int, source: str, filename: str) -> None:
        if self._running:
            error = {"type": "RuntimeError", "message": "this session is still running other code", "traceback": ""}
            self._link.send([Kind.DONE, number, None, error, []])
            return
        self._running = True
        try:
            text, failure = self._evaluate(source, filename)
            failure = failure or self._settle_files()
            self._console.finish()
            self._link.rest()
            self._remembered.clear()
            self._link.send([Kind.DONE, number, text, failure, self._variables()])
        finally:
            self._running = False

    def _evaluate(self, source: str, filename: str) -> tuple[str | None, dict[str, Any] | None]:
        """Run source; the text of its last expression, and the error map when it failed."""
        try:
            value = self._execute(source, filename)
            if value is None:
                return None, None
            text = displaying.last_text(value)
            names = self._names.__dict__
            if names.get("_") is self._last:
                self._last = names["_"] = value
            excess = len(text) - self._output_chars
            return (text if excess <= 0 else text[: self._output_chars] + _CUT.format(excess)), None
        except HostGone:
            raise
        except SystemExit as ending:
            if ending.code is None or ending.code == 0:
                return None, None
            return None, {"type": "SystemExit", "message": _message(ending), "traceback": ""}
        except BaseException as error:
            return None, _described(error)

    def _settle_files(self) -> dict[str, Any] | None:
        """Write what the agent's open files still hold; the error map when that failed."""
        try:
            self._files.rest()
        except HostGone:
            raise
        except BaseException as error:
            return _described(error)
        return None

    def _execute(self, source: str, filename: str) -> Any:
        """The value of the last expression statement, or None."""
        self._remember_source(source, filename)
        tree = ast.parse(source, filename)
        last = tree.body[-1] if tree.body else None
        names = self._names.__dict__
        names["__builtins__"] = builtins
        if not isinstance(last, ast.Expr):
            _run_all([_compiled(tree, filename, "exec")], names)
            return None
        tree.body.pop()
        # Both are compiled before either runs, so that a syntax error anywhere means that nothing ran.
        body = _compiled(tree, filename, "exec")
        expression = _compiled(ast.Expression(last.value), filename, "eval")
        return _run_all([body, expression], names)

    def _remember_source(self, source: str, filename: str) -> None:
        """Give tracebacks the agent's lines, also those of functions that earlier runs defined."""
        linecache.cache[filename] = (len(source), None, source.splitlines(keepends=True), filename)
        self._sources.append(filename)
        if len(self._sources) > _SOURCES_KEPT:
            linecache.cache.pop(self._sources.pop(0), None)

    def _variables(self) -> list[list[Any]]:
        """The agent's names: `[name, handle]`, handle 0 for what lives in the guest. Modules are left out."""
        found: list[list[Any]] = []
        for name, value in list(self._names.__dict__.items()):
            if type(name) is not str or name.startswith("_") or isinstance(value, types.ModuleType):
                continue
            kind = type(value)
            stub = kind is StubType or (type(kind) is StubType and issubclass(kind, Reference))
            found.append([name, value._handle if stub else 0])
        return found


def _compiled(tree: Any, filename: str, mode: str) -> types.CodeType:
    """Code of the agent, in which `await` may stand outside of functions."""
    found: types.CodeType = compile(tree, filename, mode, flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT, dont_inherit=True)
    return found


def _run_all(codes: list[types.CodeType], names: dict[str, Any]) -> Any:
    """The value of the last of them; where one awaits, all run in one coroutine."""
    value = None
    if any(code.co_flags & _COROUTINE for code in codes):
        return inline.run_coroutine(_awaited(codes, names))
    for code in codes:
        value = eval(code, names)  # noqa: S307 - running code is the purpose
    return value


async def _awaited(codes: list[types.CodeType], names: dict[str, Any]) -> Any:
    value = None
    for code in codes:
        value = eval(code, names)  # noqa: S307
        if code.co_flags & _COROUTINE:
            value = await value
    return value


def _fresh_main() -> types.ModuleType:
    module = types.ModuleType("__main__")
    module.__dict__["__builtins__"] = builtins
    return module


def _message(error: BaseException) -> str:
    try:
        return str(error)[:_MESSAGE_CHARS]
    except Exception:
        return ""


_MESSAGE_CHARS: Final = 1 << 16


def _described(error: BaseException) -> dict[str, Any]:
    try:
        return describe(error)
    except Exception:  # memory or stack ran out again
        return {"type": type(error).__name__, "message": _message(error), "traceback": ""}


_prepared: list[Guest] = []


def prepare() -> None:
    """Make the guest before there is a process for it: what the zygote has made, its children share."""
    _prepared.append(Guest())


def main(sock: socket.socket, report: dict[str, Any], options: dict[str, Any]) -> None:
    """Be a guest until the host hangs up.

    Args:
        sock: connected stream socket to the host.
        report: what HELLO says about this process (`pid tier landlock seccomp rlimits uid`).
        options: see `Guest`.
    """
    guest = _prepared.pop() if _prepared else Guest()
    guest.connect(sock, options)
    guest.install()
    guest.loop(report)
