"""What an audit event of the interpreter says: which effect begins, and on which path.

Pure but for looking paths up. What every library does all the time is no sighting: imports and data files from the
folders where libraries are installed, time zones, fonts, what the kernel tells of the machine.

Source: the interpreter's table of audit events (PEP 578).
"""

from __future__ import annotations

import functools
import os
import site
import sys
import sysconfig
import tempfile
from collections.abc import Callable, Iterable
from typing import Any, Final, NamedTuple

from proxyplane.effects import Effect
from proxyplane.hosts.swapped import is_swapped_variable

__all__ = ["WATCHED", "Sight", "beneath", "places", "prepare", "sight_of"]


class Sight(NamedTuple):
    """Something that host code began."""

    effect: Effect
    event: str
    path: str = ""
    """Absolute; empty where it is not about a file."""
    at_import: bool = False
    """A library may do it while it is being imported: load shared libraries, set its own variables, keep its compiled
    modules."""


Look = Callable[[str, tuple[Any, ...]], "Sight | None"]

_PROGRAMS: Final = frozenset({"fc-list", "lscpu"})
"""Started by matplotlib for its fonts and by joblib to count cores, with fixed arguments."""
_WRITING: Final = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
_OF_THE_MACHINE: Final = (
    *("/usr/share/zoneinfo", "/etc/localtime", "/etc/timezone", "/usr/lib", "/usr/lib64", "/lib", "/lib64"),
    *("/usr/local/lib", "/usr/share/fonts", "/usr/local/share/fonts", "/etc/fonts", "/usr/share/fontconfig"),
    *("/usr/share/mime", "/etc/mime.types", "/etc/os-release", "/etc/ld.so.cache", "/sys/devices/system/cpu"),
    *("/sys/devices/system/node", "/sys/fs/cgroup", "/proc/cpuinfo", "/proc/meminfo", "/proc/self/cgroup"),
    *("/proc/self/status", "/proc/self/statm", "/proc/self/stat", "/proc/self/maps", "/proc/stat", "/proc/sys/vm"),
    "/dev/urandom",
)
_NOWHERE: Final = "/dev/null"
_SOURCE: Final = (".py", ".pyc", ".so", ".pyd", ".zip", ".pth")


class Places(NamedTuple):
    """Folders that libraries may use without being told."""

    libraries: tuple[str, ...]
    """May be read."""
    own: tuple[str, ...]
    """Where matplotlib keeps its list of fonts."""


@functools.cache
def places() -> Places:
    """Where libraries live on this machine. Looked up once: the environment may change later."""
    installed = [*sysconfig.get_paths().values(), sys.prefix, sys.base_prefix, site.getusersitepackages()]
    installed += [os.path.dirname(os.path.abspath(__file__))]
    kept = os.environ.get("MPLCONFIGDIR")
    caches = [kept] if kept else []
    for variable, usual in (("XDG_CONFIG_HOME", "~/.config"), ("XDG_CACHE_HOME", "~/.cache")):
        caches.append(os.path.join(os.environ.get(variable) or os.path.expanduser(usual), "matplotlib"))
    fonts = [os.path.expanduser(folder) for folder in ("~/.fonts", "~/.local/share/fonts", "~/.fontconfig")]
    libraries = {os.path.realpath(folder) for folder in (*installed, *_OF_THE_MACHINE, *fonts, *caches) if folder}
    libraries -= {"/", os.path.realpath(os.path.expanduser("~")), "/usr"}
    return Places(tuple(sorted(libraries)), tuple(os.path.realpath(folder) for folder in caches))


def prepare() -> None:
    """Have done beforehand what libraries do once, and what would look like more than it is."""
    places()
    tempfile.gettempdir()  # tries to write into each candidate


def beneath(path: str, folders: Iterable[str]) -> bool:
    """Whether a real path is one of the folders or lies in one."""
    return any(path == folder or path.startswith(f"{folder.rstrip('/')}/") for folder in folders)


def sight_of(event: str, args: tuple[Any, ...]) -> Sight | None:
    """What an event of `WATCHED` shows; None when it is what every library does."""
    return WATCHED[event](event, args)


def _path(value: Any) -> str | None:
    """The path of an argument; None for a descriptor or anything else that names no file."""
    try:
        return os.path.abspath(os.fsdecode(value))
    except (TypeError, ValueError):
        return None


def _opened(event: str, args: tuple[Any, ...]) -> Sight | None:
    path = _path(args[0])
    if path is None or path == _NOWHERE:
        return None
    mode, flags = args[1], args[2]
    if isinstance(mode, str):
        writes = not set("wax+").isdisjoint(mode)
    else:
        writes = isinstance(flags, int) and bool(flags & _WRITING)
    return _written(event, (path,)) if writes else _read(event, path)


def _variable(event: str, args: tuple[Any, ...]) -> Sight | None:
    """Variables in which a library keeps options that are each session's own are put back with these."""
    return None if is_swapped_variable(os.fsdecode(args[0])) else Sight(Effect.ENV, event, at_import=True)


def _read(event: str, path: str) -> Sight | None:
    real = os.path.realpath(path)
    if beneath(real, places().libraries):
        return None
    on_the_way = real.endswith(_SOURCE) or ".dist-info/" in real or ".egg-info/" in real
    if on_the_way and beneath(path, (os.path.abspath(entry) for entry in sys.path)):
        return None
    return Sight(Effect.FS_READ, event, path)


def _written(event: str, args: tuple[Any, ...]) -> Sight | None:
    for argument in args[:2]:
        path = _path(argument)
        real = os.path.realpath(path) if path is not None else None
        if path is not None and real is not None and not _is_font_list(real):
            return Sight(Effect.FS_WRITE, event, path, _is_compiled(real))
    return None


def _is_font_list(real: str) -> bool:
    """What matplotlib keeps of the fonts, with its lock, and the folder for it."""
    own = places().own
    return real in own or (os.path.basename(real).startswith("fontlist-") and beneath(real, own))


def _is_compiled(real: str) -> bool:
    """A compiled module beside its source, or the folder for them."""
    folder = real if real.endswith("/__pycache__") else os.path.dirname(real)
    in_library = beneath(real, (*places().libraries, *(os.path.realpath(entry) for entry in sys.path)))
    return in_library and folder.endswith("/__pycache__") and (".pyc" in real or real == folder)


def _changed(event: str, args: tuple[Any, ...]) -> Sight | None:
    return _written(event, args[:1])


def _listed(event: str, args: tuple[Any, ...]) -> Sight | None:
    path = _path(args[0] if args and args[0] is not None else ".")
    if path is None or path in {os.path.abspath(entry) for entry in sys.path}:
        return None
    return _read(event, path)


def _database(event: str, args: tuple[Any, ...]) -> Sight | None:
    name = args[0]
    if name in ("", ":memory:", b":memory:"):
        return None
    return Sight(Effect.FS_WRITE, event, _path(name) or "")


def _mapped(event: str, args: tuple[Any, ...]) -> Sight | None:
    return Sight(Effect.FS_READ, event) if args and args[0] != -1 else None


def _imported(event: str, args: tuple[Any, ...]) -> Sight | None:
    """An extension module that is loaded from a file; sources show as files that are opened."""
    path = _path(args[1]) if args[1] else None
    if path is None:
        return None
    found = _read(event, path)
    return found and found._replace(effect=Effect.IMPORT)


def _started(event: str, args: tuple[Any, ...]) -> Sight | None:
    program = args[0] if args else ""
    return None if program in _PROGRAMS else Sight(Effect.PROCESS, event)


def _plainly(effect: Effect) -> Look:
    return lambda event, args: Sight(effect, event, at_import=effect is Effect.MEMORY)


_NET: Final = (
    *("socket.__new__", "socket.bind", "socket.connect", "socket.sendto", "socket.sendmsg", "socket.getaddrinfo"),
    *("socket.gethostbyname", "socket.gethostbyaddr", "socket.getnameinfo", "socket.getservbyname"),
    *("socket.getservbyport", "socket.sethostname", "urllib.Request", "http.client.connect", "http.client.send"),
    *("ftplib.connect", "ftplib.sendcmd", "smtplib.connect", "smtplib.send", "imaplib.open", "imaplib.send"),
    *("poplib.connect", "poplib.putline", "nntplib.connect", "nntplib.putline", "telnetlib.Telnet.open"),
    *("telnetlib.Telnet.write", "webbrowser.open", "syslog.syslog", "syslog.openlog"),
)
_PROCESS: Final = (
    *("os.system", "os.exec", "os.fork", "os.forkpty", "os.posix_spawn", "os.spawn", "os.startfile", "os.kill"),
    *("os.killpg", "pty.spawn", "signal.pthread_kill", "resource.setrlimit", "resource.prlimit"),
)
_EXEC: Final = (
    *("pickle.find_class", "marshal.load", "sys.addaudithook", "sys.settrace", "sys.setprofile"),
    *("setopencodehook", "builtins.breakpoint", "pdb.Pdb", "ensurepip.bootstrap"),
    *("sqlite3.enable_load_extension", "sqlite3.load_extension"),
)
_MEMORY: Final = (
    *("ctypes.dlopen", "ctypes.dlsym", "ctypes.dlsym/handle", "ctypes.call_function", "ctypes.cdata"),
    *("ctypes.cdata/buffer", "ctypes.string_at", "ctypes.wstring_at", "ctypes.addressof", "ctypes.PyObj_FromPtr"),
    *("gc.get_objects", "gc.get_referrers", "gc.get_referents"),
)
_WRITE_FIRST: Final = (
    *("os.remove", "os.rmdir", "os.mkdir", "os.truncate", "os.chmod", "os.chown", "os.utime", "os.setxattr"),
    *("os.removexattr", "os.chflags", "os.lchflags", "os.lockf", "shutil.rmtree", "shutil.chown"),
    *("shutil.unpack_archive", "tempfile.mkstemp", "tempfile.mkdtemp", "os.chdir", "os.chroot"),
)
_WRITE_BOTH: Final = ("os.rename", "os.link", "os.symlink", "shutil.move", "shutil.copyfile", "shutil.copytree")
_WRITE_SOME: Final = ("shutil.copymode", "shutil.copystat", "shutil.make_archive")
_LISTING: Final = ("os.listdir", "os.scandir", "os.walk", "os.fwalk", "glob.glob", "glob.glob/2", "os.listxattr")

WATCHED: Final[dict[str, Look]] = {
    "open": _opened,
    "import": _imported,
    "mmap.__new__": _mapped,
    "sqlite3.connect": _database,
    "subprocess.Popen": _started,
    **dict.fromkeys(_NET, _plainly(Effect.NET)),
    **dict.fromkeys(_PROCESS, _plainly(Effect.PROCESS)),
    **dict.fromkeys(_EXEC, _plainly(Effect.EXEC)),
    **dict.fromkeys(_MEMORY, _plainly(Effect.MEMORY)),
    **dict.fromkeys(("os.putenv", "os.unsetenv"), _variable),
    **dict.fromkeys(_WRITE_FIRST, _changed),
    **dict.fromkeys((*_WRITE_BOTH, *_WRITE_SOME), _written),
    **dict.fromkeys(_LISTING, _listed),
}
"""Event to what it shows. `compile` and `exec` are not here: `DataFrame.query` raises them with the agent's own words,
and what the code then does shows by itself."""
