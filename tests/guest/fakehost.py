"""A small host for tests of the guest's side: real pandas and numpy objects, no policy, no records.

The guest runs in a process of its own, started as the zygote does it: an isolated interpreter, a bare package.
"""

from __future__ import annotations

import builtins
import contextlib
import operator
import os
import socket
import subprocess
import sys
import types
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd

from proxyplane.transport.wire import LEAVES, Channel, Kind, Tag, decode_leaf, encode_int

_ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
_START = """
import sys, types, socket
for name in ("proxyplane", "proxyplane.guest", "proxyplane.transport"):
    bare = types.ModuleType(name)
    bare.__path__ = [sys.argv[1] + "/" + name.replace(".", "/")]
    sys.modules[name] = bare
from proxyplane.guest.main import main
sys.path[:] = [p for p in sys.path if "site-packages" not in p and p != sys.argv[1]]
options = eval(sys.argv[3])
main(socket.socket(fileno=int(sys.argv[2])), {"pid": 1, "tier": "split"}, options)
"""
_FUNCTIONS = (types.FunctionType, types.BuiltinFunctionType, types.MethodType, type(np.sqrt))
_SINGLETONS = {"pandas.NA": pd.NA, "pandas.NaT": pd.NaT, "numpy.nan": np.nan, "numpy.ma.masked": np.ma.masked}
_BUILTINS = (
    "int float str bool complex bytes list dict set frozenset tuple object sum min max len abs any all round sorted"
)
_CONTAINERS = {list: Tag.LIST, tuple: Tag.TUPLE, set: Tag.SET, frozenset: Tag.FROZENSET}


@dataclass
class Ran:
    """What one run came to."""

    value: str | None = None
    error: dict[str, Any] | None = None
    names: dict[str, int] = field(default_factory=dict)
    stdout: str = ""
    stderr: str = ""
    outputs: list[tuple[int, str]] = field(default_factory=list)
    requests: list[list[Any]] = field(default_factory=list)

    @property
    def ok(self) -> bool:
        return self.error is None


class GuestFunction:
    """A function of the guest."""

    def __init__(self, host: FakeHost, wire: list[Any]) -> None:
        self.host = host
        self.number, self.__name__, self.__doc__, self.signature = wire[1:]

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self.host.callback(self.number, args, kwargs)


class GuestRaised(Exception):
    """A function of the guest raised."""

    def __init__(self, error: dict[str, Any]) -> None:
        super().__init__(error["message"])
        self.error = error


class FakeHost:
    """One guest and what it may touch.

    Args:
        objects: granted names.
        modules: granted host modules.
        options: the guest's options.
    """

    def __init__(
        self,
        objects: dict[str, Any] | None = None,
        modules: tuple[str, ...] = ("pandas", "numpy"),
        options: dict[str, Any] | None = None,
    ) -> None:
        ours, theirs = socket.socketpair()
        command = [sys.executable, "-I", "-c", _START, _ROOT, str(theirs.fileno()), repr(options or {})]
        self.process = subprocess.Popen(command, pass_fds=[theirs.fileno()])
        theirs.close()
        ours.settimeout(30)
        self.channel = Channel(ours)
        self.handles: dict[int, Any] = {}
        self.by_id: dict[int, int] = {}
        self.sent: dict[int, int] = {}
        self.types: dict[type, int] = {}
        self.type_of: dict[int, type] = {}
        self.described: set[str] = set()
        self.news: list[dict[str, Any]] = []
        self.tokens: list[int] = []
        self.ran = Ran()
        self.number = 0
        self.reveal = True
        self.refuse: Callable[[str, str | None], dict[str, Any] | None] = lambda verb, member: None
        self.hello = self.channel.receive()
        self.bind(objects or {}, modules)

    def __enter__(self) -> FakeHost:
        return self

    def __exit__(self, *exc: object) -> None:
        self.channel.close()
        self.process.wait(10)

    # Frames

    def send(self, message: list[Any]) -> None:
        self.channel.send(message)

    def bind(self, names: dict[str, Any], modules: tuple[str, ...] = ()) -> None:
        wires = {name: self.encode(value) for name, value in names.items()}
        hosts = {name: self.encode(__import__(name, fromlist=["_"])) for name in modules}
        self.number += 1
        self.send([Kind.BIND, self.number, wires, hosts, self.take_news()])
        answer = self.until(self.number)
        assert answer[:3] == [Kind.RESULT, self.number, None]

    def fetch(self, name: str) -> Any:
        self.number += 1
        self.send([Kind.FETCH, self.number, name])
        answer = self.until(self.number)
        if answer[0] == Kind.ERROR:
            raise GuestRaised(answer[2])
        return self.decode(answer[2])

    def run(self, code: str) -> Ran:
        self.ran = Ran()
        self.number += 1
        self.send([Kind.RUN, self.number, code, f"<agent-{self.number}>"])
        frame = self.until(self.number)
        assert frame[0] == Kind.DONE
        self.ran.value, self.ran.error = frame[2], frame[3]
        self.ran.names = dict(frame[4])
        for stream, text in self.ran.outputs:
            if stream == 1:
                self.ran.stdout += text
            else:
                self.ran.stderr += text
        return self.ran

    def callback(self, number: int, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        self.number += 1
        mine = self.number
        wires = [self.encode(x) for x in args]
        named = {k: self.encode(v) for k, v in kwargs.items()}
        self.send([Kind.CALLBACK, mine, number, wires, named or None, self.take_news()])
        answer = self.until(mine)
        if answer[0] == Kind.ERROR:
            raise GuestRaised(answer[2])
        return self.decode(answer[2])

    def until(self, number: int) -> list[Any]:
        """Serve the guest until it answers this."""
        while True:
            frame = self.channel.receive()
            if frame[0] == Kind.OUTPUT:
                self.ran.outputs.append((frame[1], frame[2]))
            elif frame[0] == Kind.REQUEST:
                self.ran.requests.append(frame)
                self.send(self.answer(frame))
            else:
                assert frame[1] == number, frame
                return frame

    def answer(self, frame: list[Any]) -> list[Any]:
        _, number, verb, handle, member, args, kwargs, _line, releases = frame
        for released, count in zip((releases or [])[::2], (releases or [])[1::2], strict=True):
            self.sent[released] -= count
            assert self.sent[released] >= 0, (released, count)
        refusal = self.refuse(verb, member)
        if refusal is not None:
            return [Kind.ERROR, number, refusal, []]
        try:
            target = self.handles[handle]
            decoded = [self.decode(x) for x in args]
            named = {k: self.decode(v) for k, v in (kwargs or {}).items()}
            result = self.lower(verb, target, member, decoded, named)
            return [Kind.RESULT, number, self.encode(result), self.take_news()]
        except GuestRaised as error:
            return [Kind.ERROR, number, {"code": "callback_raised", "args": [error.error["token"]]}, []]
        except Exception as error:
            kind = type(error)
            name = kind.__name__ if kind.__module__ == "builtins" else self.type_id(kind)
            args = [str(x) if type(x) is not str else x for x in error.args]
            return [Kind.ERROR, number, {"code": "raised", "type": name, "args": args}, self.take_news()]

    def lower(self, verb: str, target: Any, member: Any, args: list[Any], kwargs: dict[str, Any]) -> Any:
        one = args[0] if args else None
        if verb == "call":
            return (target if member is None else getattr(target, member))(*args, **kwargs)
        if verb in ("getattr", "setattr", "delattr"):
            return getattr(builtins, verb)(target, member, *args)
        if verb in ("getitem", "setitem", "delitem", "contains"):
            return getattr(operator, verb)(target, *args)
        if verb == "compare":
            return getattr(operator, member)(target, one)
        if verb == "binop":
            special = {"divmod": divmod, "rdivmod": divmod}
            if member in special:
                return special[member](*((target, one) if member == "divmod" else (one, target)))
            if member in ("and", "or"):
                member += "_"
            if member.startswith("r") and member != "rshift":
                name = member[1:]
                return getattr(operator, name + "_" if name in ("and", "or") else name)(one, target)
            return pow(target, *args) if member == "pow" else getattr(operator, member)(target, one)
        if verb == "unop":
            functions = {"abs": abs, "round": round, "int": int, "float": float, "complex": complex,
                         "reversed": reversed}  # fmt: skip
            return (functions.get(member) or getattr(operator, member))(target, *args)
        if verb == "iter":
            return iter(target), not isinstance(target, types.GeneratorType) or getattr(self, "pure", True)
        if verb == "next":
            items: list[Any] = []
            for _ in range(one):
                try:
                    items.append(next(target))
                except StopIteration:
                    return True, items
            return False, items
        if verb in ("enter", "exit"):
            return target.__enter__() if verb == "enter" else target.__exit__(None, None, None)
        if verb == "list":
            return [str(x) for x in dir(target) if not x.startswith("_")]
        plain = {"len": len, "bool": bool, "hash": hash, "repr": repr, "str": str, "format": format,
                 "index": operator.index}  # fmt: skip
        return plain[verb](target, *args)

    # Values

    def encode(self, value: Any) -> Any:
        kind = type(value)
        if value is None or kind in (str, bool, bytes):
            return value
        for name, known in _SINGLETONS.items():
            if value is known:
                return [Tag.SINGLETON, name]
        if value is Ellipsis:
            return [Tag.SINGLETON, "Ellipsis"]
        if kind is float:
            return value
        if kind is int:
            return encode_int(value)
        if kind in LEAVES:
            return LEAVES[kind](value)
        if kind in _CONTAINERS:
            return [_CONTAINERS[kind], *[self.encode(x) for x in value]]
        if kind is dict:
            return [Tag.DICT, *[self.encode(x) for pair in value.items() for x in pair]]
        if kind is slice:
            return [Tag.SLICE, *[self.encode(x) for x in (value.start, value.stop, value.step)]]
        if kind is Token:
            return [Tag.TOKEN, value.number]
        if kind is GuestFunction:
            raise AssertionError("a guest function does not cross back")
        if isinstance(value, type):
            return self.encode_type(value)
        handle = self.handle(value)
        if kind is types.ModuleType:
            return [Tag.MODULE, handle, value.__name__, self.describe(value)]
        if isinstance(value, _FUNCTIONS) and kind is not type(np.sqrt):
            return [Tag.FUNCTION, handle, value.__qualname__, value.__doc__]
        number = self.type_id(kind)
        carried = self.carried(value) if self.reveal else None
        if carried is not None:
            content, shown, text, extra = carried
            return [Tag.VALUE_REF, handle, number, self.encode(content), shown, text, self.encode(extra)]
        return [Tag.REF, handle, number]

    def carried(self, value: Any) -> tuple[Any, str | None, str | None, Any] | None:
        if isinstance(value, pd.Timestamp):
            return value.to_pydatetime(warn=False), repr(value), str(value), value.nanosecond
        if isinstance(value, pd.Timedelta):
            return value.to_pytimedelta(), repr(value), str(value), value.nanoseconds
        if isinstance(value, np.generic):
            return value.item(), None, None, None
        if isinstance(value, tuple):
            return tuple(value), None, None, list(value._fields)  # type: ignore[attr-defined]
        return None

    def encode_type(self, kind: type) -> list[Any]:
        if kind.__module__ == "builtins" and kind.__name__ in _BUILTINS.split():
            return [Tag.BUILTIN, kind.__name__]
        return [Tag.TYPE, self.type_id(kind)]

    def handle(self, value: Any) -> int:
        handle = self.by_id.get(id(value))
        if handle is None:
            handle = len(self.handles) + 1
            self.handles[handle] = value
            self.by_id[id(value)] = handle
        self.sent[handle] = self.sent.get(handle, 0) + 1
        return handle

    def take_news(self) -> list[dict[str, Any]]:
        news, self.news = self.news, []
        return news

    def type_id(self, kind: type) -> int:
        number = self.types.get(kind)
        if number is None:
            number = self.types[kind] = len(self.types) + 1
            self.type_of[number] = kind
            self.news.append(self.announcement(kind, number))
        return number

    def announcement(self, kind: type, number: int) -> dict[str, Any]:
        names = [name for name in dir(kind) if not name.startswith("_")]
        members = {name: getattr(kind, name, None) for name in names}
        methods = [name for name, x in members.items() if callable(x) and not isinstance(x, type)]
        return {
            "id": number,
            "handle": self.handle(kind),
            "name": kind.__name__,
            "module": kind.__module__,
            "doc": kind.__doc__ if type(kind.__doc__) is str else None,
            "bases": [self.type_id(base) for base in _bases(kind)],
            "builtin": _builtin(kind),
            "methods": methods,
            "properties": [name for name in names if name not in methods],
            "dunders": [
                x for x in dir(kind) if x.startswith("__") and getattr(kind, x, 0) is not getattr(object, x, 1)
            ],
            "dynamic": kind.__name__ in ("DataFrame", "Series", "DataFrameGroupBy"),
            "hashable": kind.__hash__ is not None,
        }

    def describe(self, module: types.ModuleType) -> dict[str, Any] | None:
        if module.__name__ in self.described:
            return None
        self.described.add(module.__name__)
        found: dict[str, Any] = {"functions": [], "types": [], "constants": [], "modules": [], "doc": module.__doc__}
        for name in [*dir(module), "__version__"]:
            if (name.startswith("_") and name != "__version__") or name in ("test", "testing"):
                continue
            value = getattr(module, name, None)
            if isinstance(value, types.ModuleType):
                found["modules"].append(name)
            elif isinstance(value, type):
                found["types"].append(name)
            else:
                found["functions" if callable(value) else "constants"].append(name)
        return found

    def decode(self, wire: Any) -> Any:
        if type(wire) is not list:
            return wire
        tag, *fields = wire
        if tag in (Tag.LIST, Tag.TUPLE, Tag.SET, Tag.FROZENSET):
            make = {number: kind for kind, number in _CONTAINERS.items()}[tag]
            return make([self.decode(x) for x in fields])
        if tag == Tag.DICT:
            flat = [self.decode(x) for x in fields]
            return dict(zip(flat[::2], flat[1::2], strict=True))
        if tag == Tag.SLICE:
            return slice(*[self.decode(x) for x in fields])
        if tag in (Tag.REF, Tag.MODULE):
            return self.handles[fields[0]]
        if tag == Tag.BOUND:
            return getattr(self.handles[fields[0]], fields[1])
        if tag == Tag.TYPE:
            return self.type_of[fields[0]]
        if tag == Tag.CALLABLE:
            return GuestFunction(self, wire)
        if tag == Tag.TOKEN:
            return Token(fields[0])
        if tag == Tag.RECORD:
            return Record(fields[0], dict(zip(fields[1], [self.decode(x) for x in fields[2]], strict=True)))
        if tag == Tag.SINGLETON:
            return _SINGLETONS.get(fields[0], Ellipsis if fields[0] == "Ellipsis" else NotImplemented)
        if tag == Tag.BUILTIN:
            assert fields[0] in _BUILTINS.split()
            return getattr(builtins, fields[0])
        return decode_leaf(tag, fields)


@dataclass(frozen=True)
class Token:
    """An object of the guest."""

    number: int


@dataclass(frozen=True)
class Record:
    """A dataclass or named tuple of the guest."""

    name: str
    fields: dict[str, Any]


class Box:
    """A host object whose methods show what arrived, for tests."""

    seen: Any = None

    def __init__(self) -> None:
        self.kept: list[Any] = []

    def take(self, value: Any, **more: Any) -> str:
        self.seen = (value, more) if more else value
        return f"{type(value).__name__} {value!r}"

    def echo(self, value: Any) -> Any:
        return value

    def keep(self, value: Any) -> None:
        self.kept.append(value)

    def call(self, function: Any, *args: Any) -> Any:
        return function(*args)

    def numbers(self, count: int) -> Iterator[int]:
        for number in range(count):
            self.seen = number
            yield number

    def scalar(self, name: str, value: Any) -> Any:
        return getattr(np, name)(value)

    def fail(self, name: str, *args: Any) -> None:
        raise getattr(builtins, name)(*args)

    @contextlib.contextmanager
    def opened(self) -> Iterator[int]:
        self.seen = "open"
        yield 7
        self.seen = "closed"


def _bases(kind: type) -> list[type]:
    chosen: list[type] = []
    for base in kind.__mro__[1:]:
        if base.__module__ == "builtins" or any(issubclass(other, base) for other in chosen):
            continue
        if base.__module__ == "numpy" or issubclass(base, (BaseException, pd.Index)):
            chosen.append(base)
    return chosen


def _builtin(kind: type) -> str | None:
    if issubclass(kind, BaseException):
        return next(base.__name__ for base in kind.__mro__ if base.__module__ == "builtins")
    if hasattr(kind, "_fields") and issubclass(kind, tuple):
        return "tuple"
    for base in kind.__mro__[1:]:
        if (
            base.__name__ in ("float", "str", "bytes", "complex", "datetime", "timedelta")
            and kind.__module__ != "builtins"
        ):
            return base.__name__
    return None
