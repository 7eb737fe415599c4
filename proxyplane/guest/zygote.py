"""The zygote: a process that holds no data and makes guests by forking itself.

It is executed by its path (`python -I -S zygote.py key=value ...`) before it has anything worth hiding, reads the
standard library into memory, imports what guests need, finds out how strictly this machine can confine them,
freezes its heap and then waits on one SEQPACKET socket. Each message is one msgpack map:

    -> {"cmd": "fork", "tier", "limits", "options"}     <- {"guest", "pid"} with [pidfd, guest's stream socket]
    -> {"cmd": "status", "guest"}                       <- {"status": exit status as waitpid gives it, or None}
    <- {"ready": True, "tier", "reasons", ...}          once, at the start; {"error": text} when anything fails

End of file on the socket, or the end of the host, ends the zygote and all its guests.

The file runs as a script, so it makes a bare `proxyplane` package itself: the guest's modules are imported
without `proxyplane/__init__.py`, which is the host's.
"""

from __future__ import annotations

import collections
import gc
import os
import select
import signal
import socket
import struct
import sys
import time
import traceback
import types
from collections.abc import Callable
from importlib.machinery import PathFinder
from importlib.util import module_from_spec, spec_from_file_location
from typing import Any, NamedTuple, NoReturn

__all__ = ["EXIT_CRASHED", "EXIT_NO_MEMORY", "EXIT_UNCONFINED", "main"]

EXIT_CRASHED, EXIT_NO_MEMORY, EXIT_UNCONFINED = 70, 71, 78
_STATUSES_KEPT = 4096
_MESSAGE_BYTES = 1 << 16

Entry = Callable[[socket.socket, dict[str, Any], dict[str, Any]], None]


class GuestOrder(NamedTuple):
    """What a freshly forked child needs to become a guest."""

    tier: str
    limits: dict[str, int]
    options: dict[str, Any]
    zygote: int
    sock: socket.socket


def main(arguments: list[str]) -> None:
    """Prepare, say so, and serve. Returns in no process: each ends by `os._exit`."""
    settings = dict(argument.split("=", 1) for argument in arguments)
    control = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET, fileno=int(settings["control"]))
    host = os.pidfd_open(os.getppid())
    try:
        entry, ready = _prepare(settings)
        control.send(_pack({"ready": True, **ready}))
    except BaseException as error:
        if not isinstance(error, BrokenPipeError):
            _send_failure(control, "".join(traceback.format_exception(error)))
        os._exit(1)
    # The roads back are cut before agent code runs: serve() returns only in a child, its frames are gone.
    order = _Nursery(control, host).serve()
    _run_guest(entry, order)


def _run_guest(entry: Entry, order: GuestOrder) -> None:
    """Confine this child and hand it to its entry."""
    from proxyplane.guest import sandbox  # noqa: PLC0415

    code = EXIT_CRASHED
    try:
        try:
            report: dict[str, Any] = {"pid": os.getpid(), **sandbox.lock_down(order.limits, order.tier, order.zygote)}
        except sandbox.SandboxError:
            os._exit(EXIT_UNCONFINED)
        sandbox.forget()
        del sandbox
        sys.modules["__main__"] = types.ModuleType("__main__")
        entry(order.sock, report, order.options)
        code = 0
    except MemoryError:
        code = EXIT_NO_MEMORY
    except SystemExit as ending:
        code = ending.code if isinstance(ending.code, int) else int(ending.code is not None)
    finally:
        os._exit(code & 0xFF)


class _Nursery:
    """Forks guests and keeps their statuses. Single-threaded, so a pid cannot be reused under its hands."""

    def __init__(self, control: socket.socket, host: int) -> None:
        self._control = control
        self._host = host
        self._poll = select.poll()
        self._poll.register(control, select.POLLIN)
        self._poll.register(host, select.POLLIN)
        self._children: dict[int, tuple[int, int]] = {}  # pidfd -> (guest, pid)
        self._statuses: collections.OrderedDict[int, int] = collections.OrderedDict()
        self._guests = 0
        self._reply: dict[str, Any] = {}

    def serve(self) -> GuestOrder:
        """Answer the host until it goes away; returns only in a forked child."""
        while True:
            ready = {fd for fd, _ in self._poll.poll()}
            for pidfd in ready & self._children.keys():
                self._reap(pidfd, 0)
            if self._host in ready:
                self._end()
            if self._control.fileno() not in ready:
                continue
            try:
                message = self._control.recv(_MESSAGE_BYTES)
                if not message:
                    self._end()
                order = self._answer(_unpack(message))
            except OSError:
                self._end()
            if order is not None:
                return order

    def _answer(self, request: dict[str, Any]) -> GuestOrder | None:
        if request["cmd"] == "fork":
            return self._fork(request)
        guest = request["guest"]
        for pidfd, (number, _) in list(self._children.items()):
            if number == guest:
                self._reap(pidfd, os.WNOHANG)
        self._control.send(_pack({"status": self._statuses.pop(guest, None)}))
        return None

    def _fork(self, request: dict[str, Any]) -> GuestOrder | None:
        zygote = os.getpid()
        host_end, guest_end = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            pid = os.fork()
        except OSError as error:
            host_end.close()
            guest_end.close()
            self._control.send(_pack({"error": f"fork failed: {error.strerror}"}))
            return None
        if not pid:
            sock = self._leave(guest_end.detach(), host_end)
            return GuestOrder(request["tier"], request["limits"], request["options"], zygote, sock)
        pidfd = os.pidfd_open(pid)  # before anyone could reap: only this thread does
        self._guests += 1
        self._children[pidfd] = (self._guests, pid)
        self._poll.register(pidfd, select.POLLIN)
        socket.send_fds(self._control, [_pack({"guest": self._guests, "pid": pid})], [pidfd, host_end.fileno()])
        host_end.close()
        guest_end.close()
        return None

    def _leave(self, guest_end: int, host_end: socket.socket) -> socket.socket:
        """In the child: keep one socket. Objects whose descriptors go are detached, or they would close number 3."""
        from proxyplane.guest import sandbox  # noqa: PLC0415

        self._control.detach()
        host_end.detach()
        kept = sandbox.close_all_but(guest_end)
        os.setsid()
        return socket.socket(socket.AF_UNIX, socket.SOCK_STREAM, fileno=kept)

    def _reap(self, pidfd: int, flags: int) -> None:
        guest, pid = self._children[pidfd]
        reaped, status = os.waitpid(pid, flags)
        if not reaped:
            return
        del self._children[pidfd]
        self._poll.unregister(pidfd)
        os.close(pidfd)
        self._statuses[guest] = status
        while len(self._statuses) > _STATUSES_KEPT:
            self._statuses.popitem(last=False)

    def _end(self) -> NoReturn:
        """Take all guests along. The kernel would (PDEATHSIG); this also leaves no zombies."""
        for _, pid in self._children.values():
            os.kill(pid, signal.SIGKILL)
        for _, pid in self._children.values():
            os.waitpid(pid, 0)
        os._exit(0)


def _prepare(settings: dict[str, str]) -> tuple[Entry, dict[str, Any]]:
    """Import everything, close the import system, find the tier, freeze the heap."""
    begin = time.perf_counter()
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    for name in ("proxyplane", "proxyplane.guest", "proxyplane.transport"):
        bare = types.ModuleType(name)
        bare.__path__ = [os.path.join(settings["package"], *name.split(".")[1:])]
        sys.modules[name] = bare
        parent, _, child = name.rpartition(".")
        if parent:
            setattr(sys.modules[parent], child, bare)

    from proxyplane.guest import library  # noqa: PLC0415

    stdlib = library.read_library([settings["zones"]] if settings.get("zones") else [])
    sys.meta_path.insert(2, stdlib)
    _load("msgpack", PathFinder.find_spec("msgpack", [settings["msgpack"]]))
    library.import_common()
    library.import_extensions()
    stdlib.serve_zones()
    entry = _entry(settings["entry"])
    getattr(sys.modules[entry.__module__], "prepare", gc.collect)()  # what an entry can make once for all its guests

    from proxyplane.guest import sandbox  # noqa: PLC0415

    library.close_import_system(stdlib)
    library.hide_places(settings["package"])
    _scrub()
    sandbox.protect_zygote()
    limits = {"memory_bytes": 512 << 20, "cpu_seconds": 60, "open_files": 16}
    tier, reasons = sandbox.available(limits)
    gc.collect()
    sandbox.settle()
    gc.freeze()
    elapsed = int((time.perf_counter() - begin) * 1e9)
    return entry, {"tier": tier, "reasons": reasons, "modules": len(stdlib.names), "prepared_ns": elapsed}


def _entry(name: str) -> Entry:
    """The function `module:function` or `/path/to/file.py:function`."""
    module, _, function = name.rpartition(":")
    if module.endswith(".py"):
        loaded = _load("guest_entry", spec_from_file_location("guest_entry", module))
    else:
        __import__(module)
        loaded = sys.modules[module]
    entry: Entry = getattr(loaded, function)
    return entry


def _load(name: str, spec: Any) -> types.ModuleType:
    """Import one module from a place that is not, and will not be, on the path."""
    if spec is None:
        raise ImportError(f"{name} was not found in the folder that the host named", name=name)
    module = module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


def _scrub() -> None:
    """Forget what would tell a guest about this machine, after taking its time zone along."""
    time.tzset()
    time.localtime()
    os.environ.clear()
    os.chdir("/")
    sys.argv[:] = [""]
    sys.orig_argv[:] = [""]
    sys.executable = sys._base_executable = ""  # type: ignore[attr-defined]


def _pack(message: dict[str, Any]) -> bytes:
    packed: bytes = sys.modules["msgpack"].packb(message)
    return packed


def _unpack(message: bytes) -> dict[str, Any]:
    unpacked: dict[str, Any] = sys.modules["msgpack"].unpackb(message)
    return unpacked


def _send_failure(control: socket.socket, text: str) -> None:
    """Say what failed, in msgpack by hand: msgpack itself may be what failed."""
    content = text.encode("utf-8", "replace")[-8000:]
    control.send(b"\x81\xa5error\xda" + struct.pack(">H", len(content)) + content)


if __name__ == "__main__":
    main(sys.argv[1:])
