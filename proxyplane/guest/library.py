"""The guest's standard library, held in memory.

A confined guest cannot open a file, so everything it may import is read beforehand, in the zygote: the code
objects of the whole pure-Python standard library as one read-only block that all guests share, and the time
zone data. Extension modules cannot be loaded later either (that takes executable memory), so those are
imported up front.

The block is a sealed memfd mapped privately: pages that no guest has used are in no guest's memory, and a
guest that writes on them writes on a copy of its own.
"""

from __future__ import annotations

import _imp
import contextlib
import gc
import importlib
import importlib.machinery
import importlib.util
import io
import marshal
import mmap
import os
import sys
import types
import warnings
from collections.abc import Iterator, Mapping, Sequence
from importlib.machinery import ModuleSpec
from typing import Any, NamedTuple

__all__ = ["Library", "read_library"]

_FOLDER = "<stdlib>"

_LEFT_OUT = frozenset(
    (
        *("test", "tests", "idlelib", "tkinter", "turtle", "turtledemo", "curses", "readline", "ctypes", "pydoc_data"),
        *("lib2to3", "ensurepip", "distutils", "venv", "msilib", "site-packages", "dist-packages", "lib-dynload"),
        *("sitecustomize", "usercustomize", "_aix_support", "_osx_support", "__pycache__", "__hello__", "__phello__"),
        *("crypt", "nis", "ossaudiodev", "spwd", "audioop", "antigravity", "this"),
    )
)
"""Tests, graphics, packaging, what talks to devices, and `ctypes`."""

_EXTENSIONS_LEFT_OUT = frozenset(
    (
        *(
            "_ctypes",
            "_ctypes_test",
            "_tkinter",
            "_curses",
            "_curses_panel",
            "_dbm",
            "_gdbm",
            "readline",
            "nis",
            "ossaudiodev",
            "spwd",
        ),
        *("_crypt", "audioop", "_ssl", "_hashlib", "_asyncio", "syslog", "xxlimited", "xxlimited_35", "xxsubtype"),
        *("_multiprocessing", "_posixshmem", "termios", "grp"),
    )
)
"""`_ssl` and `_hashlib` bring OpenSSL, megabytes of it; `hashlib` falls back on its own modules.
`_asyncio` would import all of asyncio, which works without it. The last row serves processes, terminals and groups,
which a guest has not."""

_ZONE_FOLDERS = ("/usr/share/zoneinfo", "/usr/lib/zoneinfo", "/usr/share/lib/zoneinfo", "/etc/zoneinfo")


class Entry(NamedTuple):
    """Where one module lies in the block."""

    start: int
    end: int
    package: bool
    compiled: bool
    """A marshalled code object; else source, for interpreters that come without cached code."""


class Library:
    """Finder and loader of the in-memory standard library, for `sys.meta_path`.

    Args:
        block: the bytes of all modules and zones.
        modules: module name to its place in the block.
        zones: time zone key to (start, end) in the block.
    """

    def __init__(self, block: memoryview, modules: Mapping[str, Entry], zones: Mapping[str, tuple[int, int]]) -> None:
        self._block = block
        self._modules = modules
        self._zones = zones

    @property
    def names(self) -> frozenset[str]:
        """Full names of all modules that can be served, such as `json.decoder`."""
        return frozenset(self._modules)

    @property
    def size(self) -> int:
        """Bytes of the block."""
        return len(self._block)

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: types.ModuleType | None = None
    ) -> ModuleSpec | None:
        """The import protocol's finder."""
        entry = self._modules.get(name)
        if entry is None:
            return None
        return ModuleSpec(name, self, origin=self._filename(name, entry), is_package=entry.package)  # type: ignore[arg-type]

    def create_module(self, spec: ModuleSpec) -> types.ModuleType | None:
        """Ask for an ordinary module object."""
        return None

    def exec_module(self, module: types.ModuleType) -> None:
        """Run the module's code."""
        exec(self.get_code(module.__name__), module.__dict__)  # noqa: S102 - that is what a loader does

    def get_code(self, name: str) -> types.CodeType:
        """The code object of a module.

        Raises:
            ImportError: no such module.
        """
        entry = self._modules.get(name)
        if entry is None:
            raise ImportError(f"no module {name!r} in the guest's standard library", name=name)
        filename = self._filename(name, entry)
        content = self._block[entry.start : entry.end]
        if not entry.compiled:
            return compile(bytes(content), filename, "exec", dont_inherit=True)
        code: types.CodeType = marshal.loads(content)  # noqa: S302 - our own interpreter's cached code
        _imp._fix_co_filename(code, filename)  # type: ignore[attr-defined]
        return code

    def get_source(self, name: str) -> None:
        """No source is kept; `inspect` and `linecache` then say so quietly."""
        return

    def is_package(self, name: str) -> bool:
        """Whether the name is a package of this library."""
        entry = self._modules.get(name)
        return entry is not None and entry.package

    def zone(self, key: str) -> io.BytesIO:
        """The TZif data of a time zone, as `zoneinfo` reads it.

        Raises:
            ZoneInfoNotFoundError: no such key.
        """
        place = self._zones.get(key)
        if place is None:
            import zoneinfo  # noqa: PLC0415

            raise zoneinfo.ZoneInfoNotFoundError(f"No time zone found with key {key}")
        return io.BytesIO(self._block[place[0] : place[1]])

    def zone_keys(self) -> set[str]:
        """All time zone keys, as `zoneinfo.available_timezones` gives them."""
        return set(self._zones)

    def serve_zones(self) -> None:
        """Let `zoneinfo` read its data from here and from nowhere else."""
        import zoneinfo  # noqa: PLC0415
        from zoneinfo import _common, _tzpath  # noqa: PLC0415

        zoneinfo.reset_tzpath(to=())
        common: Any = _common
        common.load_tzdata = self.zone
        _tzpath.available_timezones = zoneinfo.available_timezones = self.zone_keys

    @staticmethod
    def _filename(name: str, entry: Entry) -> str:
        return f"{_FOLDER}/{name.replace('.', '/')}{'/__init__' if entry.package else ''}.py"

    def __repr__(self) -> str:
        return f"<guest standard library: {len(self._modules)} modules, {len(self._zones)} time zones>"


class _Block:
    """The content while it is collected, in a memfd where there is one."""

    def __init__(self) -> None:
        self.length = 0
        self._file: io.FileIO | io.BytesIO
        try:
            self._file = io.FileIO(os.memfd_create("stdlib", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING), "w+")
        except OSError:
            self._file = io.BytesIO()

    def add(self, content: bytes) -> tuple[int, int]:
        """Append, and say where it lies."""
        start, view = self.length, memoryview(content)
        while view:
            view = view[self._file.write(view) :]
        self.length += len(content)
        return start, self.length

    def share(self) -> memoryview:
        """The content as read-only memory whose pages are loaded when they are first used."""
        if isinstance(self._file, io.BytesIO):
            return memoryview(self._file.getvalue())
        with self._file as file:
            with contextlib.suppress(OSError):
                _seal(file.fileno())
            # Private: a guest that makes its pages writable changes its own copy, not the other guests' library.
            return memoryview(mmap.mmap(file.fileno(), self.length, flags=mmap.MAP_PRIVATE, prot=mmap.PROT_READ))


def _seal(fd: int) -> None:
    """Make the content of a memfd final."""
    import fcntl  # noqa: PLC0415

    fcntl.fcntl(fd, fcntl.F_ADD_SEALS, fcntl.F_SEAL_WRITE | fcntl.F_SEAL_GROW | fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_SEAL)


def read_library(zone_folders: Sequence[str] = ()) -> Library:
    """Read the running interpreter's standard library and time zones into memory.

    Args:
        zone_folders: further places of time zone data, tried after those of the system.
    """
    block = _Block()
    modules: dict[str, Entry] = {}
    for name, path, package in _walk(os.path.dirname(os.__file__), ""):
        content, compiled = _code_of(path)
        modules[name] = Entry(*block.add(content), package, compiled)
    build = f"_sysconfigdata_{sys.abiflags}_{sys.platform}_{getattr(sys.implementation, '_multiarch', '')}"
    modules[build] = Entry(*block.add(b"build_time_vars = {}"), False, False)  # how it was built is nobody's business
    zones: dict[str, tuple[int, int]] = {}
    for folder in (*_ZONE_FOLDERS, *zone_folders):
        if zones:
            break
        places: dict[bytes, tuple[int, int]] = {}  # many keys are names of the same zone
        for key, content in _zones_in(folder, ""):
            if content not in places:
                places[content] = block.add(content)
            zones[key] = places[content]
    return Library(block.share(), modules, zones)


def _walk(folder: str, prefix: str) -> Iterator[tuple[str, str, bool]]:
    """Name, path of the source and whether it is a package, of every module below `folder`."""
    with os.scandir(folder) as entries:
        for entry in sorted(entries, key=lambda entry: entry.name):
            stem, dot, extension = entry.name.partition(".")
            if stem in _LEFT_OUT or stem.startswith(("config-", "_sysconfigdata", "_test")):
                continue
            if extension == "py" and dot:
                if stem != "__init__":
                    yield prefix + stem, entry.path, False
            elif not dot and stem.isidentifier() and entry.is_dir():
                source = os.path.join(entry.path, "__init__.py")
                if os.path.exists(source):
                    yield prefix + stem, source, True
                    yield from _walk(entry.path, f"{prefix}{stem}.")


def _code_of(path: str) -> tuple[bytes, bool]:
    """A module's marshalled code from the interpreter's cache, or its source where there is none."""
    folder, name = os.path.split(path)
    cached = f"{folder}/__pycache__/{name[:-3]}.{sys.implementation.cache_tag}.pyc"
    try:
        with open(cached, "rb", buffering=0) as file:
            content = file.read()
        source = os.stat(path)
    except OSError:
        content = b""
    if content[:4] == importlib.util.MAGIC_NUMBER and _is_current(content[:16], source):
        return content[16:], True
    with open(path, "rb", buffering=0) as file:
        return file.read(), False


def _is_current(header: bytes, source: os.stat_result) -> bool:
    """Whether cached code belongs to its source (PEP 552); code checked by hash is taken as its maker left it."""
    if int.from_bytes(header[4:8], "little"):
        return True
    stamp = int(source.st_mtime) & 0xFFFFFFFF, source.st_size & 0xFFFFFFFF
    return (int.from_bytes(header[8:12], "little"), int.from_bytes(header[12:16], "little")) == stamp


def _zones_in(folder: str, prefix: str) -> Iterator[tuple[str, bytes]]:
    """Key and content of every time zone below `folder`."""
    try:
        entries = sorted(os.scandir(folder), key=lambda entry: entry.name)
    except OSError:
        return
    for entry in entries:
        if entry.is_dir():
            if prefix or entry.name not in ("posix", "right"):
                yield from _zones_in(entry.path, f"{prefix}{entry.name}/")
        elif "." not in entry.name and entry.name not in ("posixrules", "localtime", "Factory"):
            with open(entry.path, "rb", buffering=0) as file:
                if file.read(4) == b"TZif":
                    yield prefix + entry.name, b"TZif" + file.read()


def import_extensions() -> list[str]:
    """Import every extension module of the standard library that a guest can use; the names that worked."""
    found: list[str] = []
    suffixes = tuple(importlib.machinery.EXTENSION_SUFFIXES)
    for folder in [path for path in sys.path if path.endswith("lib-dynload")]:
        for entry in sorted(os.listdir(folder)):
            name = entry.partition(".")[0]
            if entry.endswith(suffixes) and name not in _EXTENSIONS_LEFT_OUT and not name.startswith(("_test", "_xx")):
                with contextlib.suppress(ImportError), warnings.catch_warnings():
                    warnings.simplefilter("ignore")
                    importlib.import_module(name)
                    found.append(name)
    return found


COMMON = (
    *("abc", "ast", "base64", "bisect", "calendar", "codecs", "collections", "collections.abc", "contextlib", "copy"),
    *("csv", "dataclasses", "datetime", "decimal", "enum", "fractions", "functools", "hashlib", "heapq", "inspect"),
    *("io", "itertools", "json", "locale", "math", "numbers", "operator", "random", "re", "reprlib"),
    *("string", "textwrap", "time", "traceback", "types", "typing", "uuid", "warnings", "weakref"),
    *("zoneinfo", "encodings.ascii", "encodings.latin_1", "encodings.cp1252", "encodings.utf_8_sig"),
    *("encodings.utf_16", "encodings.unicode_escape", "encodings.raw_unicode_escape"),
)
"""Modules that most agents use: imported once, shared by all guests."""


def import_common() -> None:
    """Import the modules that most agents use, without OpenSSL and without how this interpreter was built."""
    placeholders: dict[str, Any] = {"sysconfig": types.ModuleType("sysconfig")}
    placeholders["sysconfig"].get_config_var = lambda name: None  # zoneinfo asks for its compiled-in folders
    if importlib.util.find_spec("_md5") and importlib.util.find_spec("_sha1"):
        placeholders["_hashlib"] = None  # hashlib then takes the interpreter's own hashes
    sys.modules.update(placeholders)
    for name in COMMON:
        importlib.import_module(name)
    for name in placeholders:
        del sys.modules[name]


def close_import_system(library: Library) -> None:
    """Leave the built-in, the frozen and the in-memory modules as the only ones that can be imported."""
    builtin: Any = importlib.machinery.BuiltinImporter
    frozen: Any = importlib.machinery.FrozenImporter
    sys.meta_path[:] = [builtin, library, frozen]
    sys.path[:] = []
    sys.path_hooks[:] = []
    sys.path_importer_cache.clear()


def hide_places(package: str) -> None:
    """Replace the folders of this machine in what is already imported, as tracebacks and modules show them.

    Args:
        package: the folder of proxyplane; it is shown as `<proxyplane>`.
    """
    stdlib = os.path.dirname(os.__file__)
    shown = {stdlib: _FOLDER, package: "<proxyplane>"}

    def hidden(path: str) -> str:
        for folder, name in shown.items():
            if path.startswith(folder + os.sep):
                return name + path[len(folder) :]
        return path if path.startswith("<") else f"<guest>/{os.path.basename(path)}"

    for function in gc.get_objects():
        if type(function) is types.FunctionType and not function.__code__.co_filename.startswith("<"):
            _imp._fix_co_filename(function.__code__, hidden(function.__code__.co_filename))  # type: ignore[attr-defined]
    for module in list(sys.modules.values()):
        spec = getattr(module, "__spec__", None)
        for owner, attribute in ((module, "__file__"), (spec, "origin")):
            if isinstance(path := getattr(owner, attribute, None), str) and os.sep in path:
                setattr(owner, attribute, hidden(path))
        for owner, attribute in ((module, "__cached__"), (spec, "cached")):
            if getattr(owner, attribute, None):
                setattr(owner, attribute, None)
        loader = getattr(spec, "loader", None)
        if isinstance(path := getattr(loader, "path", None), str):
            loader.path = hidden(path)  # type: ignore[union-attr]
        if spec is not None and spec.submodule_search_locations:
            spec.submodule_search_locations = module.__path__ = []
        elif getattr(module, "__path__", None):
            module.__path__ = []
    for name in ("prefix", "exec_prefix", "base_prefix", "base_exec_prefix", "_stdlib_dir"):
        setattr(sys, name, _FOLDER)
