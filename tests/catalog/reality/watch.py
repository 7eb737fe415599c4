"""Watching one native call of a catalogued member."""

from __future__ import annotations

import os
import site
import sys
import sysconfig
import tempfile
import types
from collections.abc import Callable
from typing import Any, NamedTuple

from proxyplane import hosts
from proxyplane.catalog import Catalog, Entry
from proxyplane.effects import Effect
from tests.catalog.reality.prints import NOT_COMPARED, arrays_of, print_of, ranges_of, same_thing

__all__ = ["Fault", "Watch"]

_LIBRARY_FOLDERS = tuple(
    os.path.realpath(path)
    for path in {
        *site.getsitepackages(),
        *sysconfig.get_paths().values(),
        *sys.path,
        "/usr/share",
        "/etc/ssl",
        "/usr/lib",
    }
    if path
)
_HARMLESS = (
    "/etc/mime.types",
    "/dev/null",
    "/dev/urandom",
    "/proc/cpuinfo",
    "/proc/self",
    "/sys/fs/cgroup",
    "/proc/stat",
    "/etc/localtime",
)
_NET = ("socket.connect", "socket.bind", "socket.sendto", "socket.getaddrinfo", "urllib.Request")
_PROCESS = ("subprocess.Popen", "os.system", "os.exec", "os.posix_spawn", "os.fork", "os.forkpty", "os.startfile")
_WRITES = ("os.remove", "os.rename", "os.mkdir", "os.rmdir", "os.truncate", "os.chmod", "shutil.copyfile", "os.link")
_READS = ("os.listdir", "os.scandir")
_EXEC = ("pickle.find_class",)
_MEMORY = ("ctypes.dlopen", "ctypes.cdata", "ctypes.string_at", "ctypes.cdata/buffer")
_DRAWN = ("Generator", "RandomState", "BitGenerator", "SeedSequence")
"""Their state moves on with every draw. That is what they are for, and is said in `docs/catalog.md`."""


class Fault(NamedTuple):
    """A member that did what its line does not say."""

    name: str
    what: str
    where: str


class Watch:
    """Calls members natively and compares what happens with what the catalog says.

    Args:
        catalog: what is claimed.
        library: whose members are looked at.
    """

    def __init__(self, catalog: Catalog, library: str) -> None:
        self.catalog = catalog
        self.library = library
        self.exercised: dict[str, int] = {}
        self.faults: dict[tuple[str, str], Fault] = {}
        self.aliases: dict[str, str] = {}
        """Members whose result goes on sharing memory with an array that can be written."""
        self.where = ""
        self._events: list[list[tuple[str, str]]] = []
        sys.addaudithook(self._heard)

    # What examples are rewritten to

    def attribute(self, owner: Any, name: str) -> Any:
        """`owner.name`, watched where it is a property."""
        line = self._line_of(owner, name)
        if line is None or line.kind != "property" or isinstance(owner, type):
            return getattr(owner, name)
        return self._watched(line, owner, (), {}, lambda: getattr(owner, name))

    def method(self, owner: Any, name: str, *args: Any, **kwargs: Any) -> Any:
        """`owner.name(...)`."""
        line = self._line_of(owner, name)
        called = getattr(owner, name)
        if line is None or line.kind in ("property", "constant", "module"):
            return self.function(called, *args, **kwargs)
        if line.kind == "type":
            return self.function(called, *args, **kwargs)
        if line.kind == "method" and isinstance(owner, type):
            receiver = args[0] if args else None
            return self._watched(line, receiver, args[1:], kwargs, lambda: called(*args, **kwargs))
        return self._watched(line, owner, args, kwargs, lambda: called(*args, **kwargs))

    def function(self, called: Any, *args: Any, **kwargs: Any) -> Any:
        """`called(...)`."""
        if isinstance(called, type):
            entry = self.catalog.of(called)
            line = entry.constructor if entry is not None else None
        elif isinstance(called, types.MethodType):
            line = self._line_of(called.__self__, called.__name__)
        else:
            line = self.catalog.function(called)
            entry = self.catalog.of(type(called)) if line is None else None
            line = entry.dunders.get("__call__") if entry is not None else line
        if line is None:
            return called(*args, **kwargs)
        return self._watched(line, called, args, kwargs, lambda: called(*args, **kwargs))

    def item(self, owner: Any, key: Any) -> Any:
        """`owner[key]`."""
        entry = self.catalog.of(type(owner))
        line = entry.dunders.get("__getitem__") if entry is not None else None
        if line is None or not self._is_own(line):
            return owner[key]
        return self._watched(line, owner, (key,), {}, lambda: owner[key])

    # Judging

    def _is_own(self, line: Entry) -> bool:
        """Whether it is of the library that is looked at; others have their own run."""
        return line.name.partition(".")[0] == self.library

    def _line_of(self, owner: Any, name: str) -> Entry | None:
        if isinstance(owner, types.ModuleType):
            module = self.catalog.module(owner.__name__)
            return module.members.get(name) if module is not None else None
        if type(owner).__module__ == "builtins" and not isinstance(owner, type):
            return None
        entry = self.catalog.of(owner if isinstance(owner, type) else type(owner))
        return entry.members.get(name) if entry is not None else None

    def _watched(
        self, line: Entry, receiver: Any, args: tuple[Any, ...], kwargs: dict[str, Any], call: Callable[[], Any]
    ) -> Any:
        if not self._is_own(line):
            return call()
        expected = self.catalog.expected(line, receiver, args, kwargs)
        effects = expected.effects
        if "replaced" in line.flags or Effect.UNKNOWN in effects or effects & {Effect.PROCESS, Effect.NET, Effect.EXEC}:
            return call()  # refused, not what the plane performs, or decided by effects that cannot be tried here
        inputs = {"its receiver": receiver, **{f"argument {at}": value for at, value in enumerate(args)}}
        inputs |= {f"argument {name}": value for name, value in kwargs.items()}
        before = {name: print_of(value) for name, value in inputs.items()}
        self._events.append([])
        try:
            result = call()
        finally:
            events = self._events.pop()
            if self._events:
                self._events[-1].extend(events)
        self.exercised[line.name] = self.exercised.get(line.name, 0) + 1
        self._judge_events(line, effects, events)
        self._judge_changes(line, expected, inputs, before)
        self._judge_result(line, receiver, inputs, result)
        return result

    def _fault(self, line: Entry, what: str) -> None:
        self.faults.setdefault((line.name, what), Fault(line.name, what, self.where))

    def _judge_events(self, line: Entry, effects: frozenset[Effect], events: list[tuple[str, str]]) -> None:
        for effect, detail in events:
            if effect not in effects:
                self._fault(line, f"{effect}: {detail}")

    def _judge_changes(self, line: Entry, expected: Any, inputs: dict[str, Any], before: dict[str, Any]) -> None:
        may = [id(value) for value in expected.mutated]
        for name, value in inputs.items():
            declared = Effect.MUTATE in expected.effects and (name == "its receiver" or id(value) in may)
            drawn = any(base.__name__ in _DRAWN for base in type(value).__mro__)
            if declared or drawn or before[name] is NOT_COMPARED or line.flags & {"state", "random"}:
                continue
            if not same_thing(before[name], value) and not self._held_by(value, expected.mutated):
                self._fault(line, f"changes {name}")

    @staticmethod
    def _held_by(value: Any, mutated: tuple[Any, ...]) -> bool:
        """A tuple of outputs changes when one of them is declared to."""
        return type(value) in (tuple, list) and any(item is other for item in value for other in mutated)

    def _judge_result(self, line: Entry, receiver: Any, inputs: dict[str, Any], result: Any) -> None:
        if "fresh" in line.flags and type(result) in (list, dict, set):
            known = _holders(result, inputs)
            if known:
                self._fault(line, f"a fresh {type(result).__name__} is {known}")
        self._judge_memory(line, inputs, result)
        self._judge_buffers(line, inputs, result)
        cells = _texts_of(receiver if not isinstance(receiver, types.ModuleType) else next(iter(inputs.values()), None))
        if not isinstance(receiver, (types.ModuleType, type)) and len(cells) > 1:
            self._judge_texts(line, cells, result)

    def _judge_memory(self, line: Entry, inputs: dict[str, Any], result: Any) -> None:
        """An array that can be written must be known as a view of what it shares memory with."""
        import numpy as np

        for array in arrays_of(result) if isinstance(result, (np.ndarray, list, tuple, dict)) else ():
            if not array.flags.writeable or not array.size:
                continue
            owners = {id(array), *(id(base) for base in hosts.family(array))}
            for name, value in inputs.items():
                if value is result:
                    continue
                for other in arrays_of(value):
                    related = {id(other), *(id(base) for base in hosts.family(other))}
                    if np.may_share_memory(array, other) and _overlap(array, other) and not owners & related:
                        self._fault(line, f"a writeable array shares memory with {name} ({type(value).__name__})")

    def _judge_buffers(self, line: Entry, inputs: dict[str, Any], result: Any) -> None:
        """Nothing that can be written may lie in Arrow's memory; what Arrow takes over of an array is noted."""
        held = ranges_of(result)
        for name, value in inputs.items():
            for array in arrays_of(value) if held else ():
                if array.flags.writeable and _meets(array, held):
                    kinds = f"{type(result).__name__} of {type(value).__name__}"
                    self.aliases.setdefault(line.name, f"{kinds} ({name})")
            places = ranges_of(value)
            for array in arrays_of(result) if places else ():
                if array.flags.writeable and _meets(array, places):
                    self._fault(line, f"a writeable array lies in the memory of {name} ({type(value).__name__})")

    def _judge_texts(self, line: Entry, cells: set[str], result: Any) -> None:
        if "schema" in line.flags:
            texts = [result] if isinstance(result, str) else result if type(result) in (list, tuple, set, dict) else ()
            shown = {text for text in texts if isinstance(text, str)} & cells
            if shown:
                self._fault(line, "schema that holds a cell")
        counted = line.reveals is not None or "joins" in line.flags or Effect.REVEAL in line.effects
        if type(result) is str and not counted and sum(cell in result for cell in cells) > 1:
            self._fault(line, "a text with several rows that is counted as one")

    # The audit hook

    def _heard(self, event: str, args: tuple[Any, ...]) -> None:
        if not self._events:
            return
        if event == "open":
            self._opened(args)
        for names, effect in (
            (_NET, Effect.NET),
            (_PROCESS, Effect.PROCESS),
            (_WRITES, Effect.FS_WRITE),
            (_EXEC, Effect.EXEC),
            (_MEMORY, Effect.MEMORY),
        ):
            if event in names and not (event == "pickle.find_class" and _is_plain_class(args)):
                self._events[-1].append(
                    (effect, f"{event} {'.'.join(map(str, args[:2]))}" if effect == Effect.EXEC else event)
                )

    def _opened(self, args: tuple[Any, ...]) -> None:
        path, mode, flags = (*args, None, None)[:3]
        if isinstance(path, int) or path is None:
            return
        full = os.path.realpath(os.fsdecode(path))
        writing = bool(flags and flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC))
        writing = writing or any(letter in (mode or "") for letter in "wax+")
        if full.startswith(_HARMLESS) or (not writing and full.startswith(_LIBRARY_FOLDERS)):
            return
        if "__pycache__" in full or full.startswith(f"{tempfile.gettempdir()}/openpyxl."):
            return  # (a scratch file that openpyxl removes again)
        effect = Effect.FS_WRITE if writing else Effect.FS_READ
        self._events[-1].append((effect, f"open {full}"))


def _is_plain_class(args: tuple[Any, ...]) -> bool:
    return bool(args) and str(args[0]).partition(".")[0] in (
        "pandas",
        "numpy",
        "polars",
        "pyarrow",
        "copyreg",
        "_codecs",
    )


def _meets(array: Any, places: list[tuple[int, int]]) -> bool:
    import numpy as np

    low, high = np.lib.array_utils.byte_bounds(array)
    return any(low < end and start < high for start, end in places)


def _overlap(first: Any, second: Any) -> bool:
    import numpy as np

    try:
        return bool(np.shares_memory(first, second, max_work=10_000))
    except Exception:  # too hard to tell exactly; bounds overlap
        return True


def _holders(result: Any, inputs: dict[str, Any]) -> str:
    """Who else has a container that was said to be made for this call."""
    for name, value in inputs.items():
        if result is value:
            return name
        held = value.values() if type(value) is dict else value if type(value) in (list, tuple) else ()
        if any(item is result for item in held):
            return f"held by {name}"
        attributes = getattr(value, "__dict__", None)
        if type(attributes) is dict and any(item is result for item in attributes.values()):
            return f"held by {name}"
    return ""


def _texts_of(value: Any) -> set[str]:
    """Texts that stand in cells and are no labels."""
    kind = type(value)
    try:
        if kind.__name__ == "DataFrame" and kind.__module__.startswith("pandas"):
            cells = {x for name in value for x in value[name].tolist() if isinstance(x, str)}
            return {x for x in cells if len(x) > 2} - set(map(str, value.columns))
        if kind.__name__ == "DataFrame":
            cells = {x for row in value.rows() for x in row if isinstance(x, str)}
            return {x for x in cells if len(x) > 2} - set(value.columns)
        if kind.__name__ == "Series":
            listed = value.to_list()
            return {x for x in listed if isinstance(x, str) and len(x) > 2} - {str(value.name)}
        if kind.__name__ == "ndarray":
            return {x for x in value.ravel().tolist() if isinstance(x, str) and len(x) > 2}
    except Exception:
        return set()
    return set()
