"""Attacks that a guest tries on its own confinement, harmless when they succeed.

`proxyplane.launch.probe` runs each in a throw-away guest of its own, since some of them end the process. Nothing is
read further than its first byte, nothing is changed, nothing is sent.
"""

from __future__ import annotations

import errno
import mmap
import os
import resource
import socket
import sys
from collections.abc import Callable
from typing import Any

import msgpack

__all__ = ["PROBES", "main"]

_REFUSALS = (errno.EPERM, errno.EACCES, errno.EAGAIN)  # EAGAIN: RLIMIT_NPROC


def main(sock: socket.socket, report: dict[str, Any], options: dict[str, Any]) -> None:
    """The guest's entry: run the probe that the options name, or tell the names of all.

    Args:
        sock: gets one msgpack value: a list of names, or (refused, how).
        report: what is enforced; not used, the probes find out.
        options: `probe`, a name; `host`, the pid of the host.
    """
    name = options.get("probe")
    if name is None:
        sock.sendall(msgpack.packb(list(PROBES)))
        return
    sock.sendall(msgpack.packb(_tried(PROBES[name], int(options["host"]))))


def _tried(probe: Callable[[int], str], host: int) -> tuple[bool, str]:
    """Whether the probe was refused, and by what."""
    try:
        got = probe(host)
    except MemoryError:
        return True, "MemoryError"
    except ImportError:
        return True, "ImportError"
    except OSError as error:
        name = errno.errorcode.get(error.errno or 0, "OSError")
        return error.errno in _REFUSALS, name
    except ValueError as error:  # resource.setrlimit says it so
        return "not allowed" in str(error), "ValueError"
    return False, got


def _opened(path: str) -> str:
    with open(path, "rb", buffering=0) as file:
        file.read(1)
    return f"{path} was read"


def _create_file(host: int) -> str:
    path = f"/tmp/proxyplane-probe-{os.getpid()}"  # noqa: S108 - a writable place, which is what is asked for
    os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
    os.unlink(path)
    return f"{path} was made"


def _list_folder(host: int) -> str:
    return f"{len(os.listdir('/'))} names"


def _look_up(host: int) -> str:
    os.stat("/etc/passwd")
    return "the size and time of a file"


def _socket(family: socket.AddressFamily, kind: socket.SocketKind, address: Any) -> Callable[[int], str]:
    def connect(host: int) -> str:
        with socket.socket(family, kind) as sock:
            try:
                sock.connect(address)
            except ConnectionRefusedError:
                return "nobody listens there, but the way is open"
        return "connected"

    return connect


def _fork(host: int) -> str:
    child = os.fork()
    if not child:
        os._exit(0)
    os.waitpid(child, 0)
    return "a child process"


def _spawn(host: int) -> str:
    os.waitpid(os.posix_spawn("/bin/true", ["true"], {}), 0)
    return "a program was started"


def _execute(host: int) -> str:
    os.execv("/bin/true", ["true"])  # noqa: S606 - when it succeeds this guest is /bin/true, and ends
    return "unreachable"


def _signal_host(host: int) -> str:
    os.kill(host, 0)
    return "the host could be signalled"


def _hold_host(host: int) -> str:
    os.close(os.pidfd_open(host))
    return "a descriptor of the host's process"


def _executable_memory(host: int) -> str:
    mmap.mmap(-1, mmap.PAGESIZE, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC).close()
    return "memory that is writable and executable"


def _memory_file(host: int) -> str:
    os.close(os.memfd_create("probe"))
    return "an executable file in memory"


def _raise_limits(host: int) -> str:
    resource.setrlimit(resource.RLIMIT_AS, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    return "no limit on memory"


def _much_memory(host: int) -> str:
    return f"{len(bytearray(1 << 30)) >> 20} MiB"


def _raw(name: str, *arguments: Any) -> int:
    """Call a function of the C library, with what an agent can find of ctypes without importing it."""
    data = next(kind for kind in object.__subclasses__() if kind.__name__ == "_CData")
    pointer: Any = next(kind for kind in data.__subclasses__() if kind.__name__ == "CFuncPtr")
    simple: Any = next(kind for kind in data.__subclasses__() if kind.__name__ == "_SimpleCData")
    number = type("Number", (simple,), {"_type_": "i"})
    library = type("Library", (), {"_handle": 0})()  # RTLD_DEFAULT: all that is loaded
    function: Any = type("Function", (pointer,), {"_flags_": 0x1 | 0x8, "_restype_": number})
    result: int = function((name, library))(*arguments)
    return result


def _raw_open(host: int) -> str:
    if _raw("open", b"/etc/passwd", 0) < 0:
        raise PermissionError(errno.EPERM, "refused")
    return "/etc/passwd was opened"


def _raw_trace(host: int) -> str:
    if _raw("ptrace", 0x4206, host, 0, 0) < 0:  # PTRACE_SEIZE; this guest's end lets go
        raise PermissionError(errno.EPERM, "refused")
    return "the host is traced"


def _foreign_code(host: int) -> str:
    """Import what only a site-packages folder has."""
    __import__("pip")
    return f"a module from {getattr(sys.modules['pip'], '__file__', 'somewhere')}"


PROBES: dict[str, Callable[[int], str]] = {
    "read a file": lambda host: _opened("/etc/passwd"),
    "create a file": _create_file,
    "list a folder": _list_folder,
    "look up a file's size and time": _look_up,
    "read its own environment": lambda host: _opened("/proc/self/environ"),
    "read the host's memory": lambda host: _opened(f"/proc/{host}/mem"),
    "read the host's command line": lambda host: _opened(f"/proc/{host}/cmdline"),
    "connect by TCP": _socket(socket.AF_INET, socket.SOCK_STREAM, ("127.0.0.1", 1)),
    "connect by UDP": _socket(socket.AF_INET, socket.SOCK_DGRAM, ("127.0.0.1", 1)),
    "connect to a local socket": _socket(socket.AF_UNIX, socket.SOCK_STREAM, "\0proxyplane-probe"),
    "fork": _fork,
    "start a program": _spawn,
    "become another program": _execute,
    "signal the host": _signal_host,
    "get hold of the host's process": _hold_host,
    "make memory executable": _executable_memory,
    "make a file in memory": _memory_file,
    "raise its own limits": _raise_limits,
    "use more memory than granted": _much_memory,
    "open a file by a raw system call": _raw_open,
    "trace the host by a raw system call": _raw_trace,
    "import an installed package": _foreign_code,
}
