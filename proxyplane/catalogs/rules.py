"""Rules for whole libraries: lines that are made from the installed library when it is first met.

A big library of functions that compute (scipy, scikit-learn) is described by a few sentences instead of ten thousand
lines: which modules count, what is left out, which parameters name files or start processes, which methods change
their object. Everything else that is public there computes something new.

Deny by default holds here too: private names, names of other libraries, patterns under `except`, and callables whose
signature cannot be read, so that no parameter rule could be applied to them, have no line.
"""

from __future__ import annotations

import importlib
import sys
import types
from collections.abc import Iterable, Iterator
from fnmatch import fnmatchcase
from typing import Any, Final

from proxyplane.catalogs.lines import Entry, parse
from proxyplane.catalogs.signatures import kind_word, positions_of, takes_keywords

__all__ = ["Rules"]

_KEYS: Final = (
    "modules",
    "types",
    "except",
    "mutate",
    "reveal",
    "params",
    "lines",
    "dynamic",
    "also",
    "speaks",
    "needs",
)
_READING: Final = (
    "__len__ __contains__ __iter__ __next__ __getitem__ __eq__ __ne__ __lt__ __le__ __gt__ __ge__ __hash__ __bool__ "
    "__int__ __float__ __complex__ __index__ __round__ __reversed__ __neg__ __pos__ __invert__ __abs__ __call__ "
    "__enter__ __exit__"
).split()
_OPERATORS: Final = "add sub mul truediv floordiv mod pow matmul divmod and or xor lshift rshift".split()
_ARITHMETIC: Final = frozenset(f"__{side}{name}__" for name in _OPERATORS for side in ("", "r"))
_CHANGING: Final = frozenset(("__setitem__", "__delitem__", *(f"__i{name}__" for name in _OPERATORS)))
_SHOWING: Final = frozenset(("__repr__", "__str__", "__format__"))
_OBJECTS: Final = _SHOWING | {"__eq__", "__ne__", "__hash__"}
"""What every object has from `object`."""
_SPECIAL: Final = frozenset(_READING) | _ARITHMETIC | _CHANGING | _SHOWING
_CONTAINERS: Final[dict[type, str]] = {tuple: "builtins.tuple", dict: "builtins.dict", list: "builtins.list"}
_SIGNED: Final = (types.FunctionType, types.BuiltinFunctionType, types.MethodType)
_COMPILED: Final = ("cython_function_or_method", "_ArrayFunctionDispatcher", "_Function")
_SEEDS: Final = frozenset(("random_state", "seed"))
"""Parameters of what draws from the generator of the process unless they are given."""
_PLAIN: Final = (int, float, complex, str, bool, type(None))


class Rules:
    """The `[rules]` table of one catalog file.

    Args:
        library: the top-level module.
        table: as written.

    Raises:
        ValueError: a key that does not exist, or a value of the wrong form.
    """

    def __init__(self, library: str, table: dict[str, Any]) -> None:
        if type(table) is not dict:
            raise ValueError("rules are not a table")
        for key in table:
            if key not in _KEYS:
                raise ValueError(f"unknown key {key!r} (rules have {', '.join(_KEYS)})")
        self.library = library
        self.modules = _texts(table, "modules")
        """Modules whose public members count."""
        self._tops = (library, *_texts(table, "also"))
        """Packages that count as its own."""
        self._types = _texts(table, "types") or tuple(f"{top}.*" for top in self._tops)
        self._needs = _mapping(table, "needs")
        """Module to another one, without which it lacks members."""
        self._spoken = " speaks" if table.get("speaks") is True else ""
        self._except = _texts(table, "except")
        self._mutate = _texts(table, "mutate")
        self._reveal = _texts(table, "reveal")
        self._params = _mapping(table, "params")
        self._lines = _mapping(table, "lines")
        self.dynamic = table.get("dynamic")
        for name, line in self._lines.items():
            parse(name, name.rpartition(".")[2], line.replace(" !known", ""))
        for name, action in self._params.items():
            parse(name, "f", f"function compute {name.replace('*', '_')}:{action}")

    def module_lines(self, name: str) -> dict[str, Entry] | None:
        """Lines of a module that the rules list; None for any other, or while it is not imported."""
        lines = self.module_texts(name)
        return (
            None
            if lines is None
            else {member: parse(f"{name}.{member}", member, line) for member, line in lines.items()}
        )

    def module_texts(self, name: str) -> dict[str, str] | None:
        """The same lines, as they would stand in a file."""
        module = sys.modules.get(name)
        if name not in self.modules or module is None:
            return None
        if name in self._needs:
            importlib.import_module(self._needs[name])
        lines: dict[str, str] = {}
        listed: Iterable[str] = getattr(module, "__all__", None) or dir(module)
        children = (other.rpartition(".")[2] for other in self.modules if other.rpartition(".")[0] == name)
        for member in sorted({*listed, *children, *self._own_names(name)}):
            line = None if member.startswith("_") else self._module_line(name, member, module)
            if line is not None:
                lines[member] = line
        return lines

    def _own_names(self, module: str) -> Iterator[str]:
        for key in self._lines:
            owner, _, name = key.rpartition(".")
            if owner == module:
                yield name

    def _module_line(self, module: str, member: str, owner: types.ModuleType) -> str | None:
        hand = self._lines.get(f"{module}.{member}")
        if f"{module}.{member}" in self.modules and hand is None:
            return "module"
        try:
            value = getattr(owner, member, None)
        except Exception:  # a module that makes its members at first use, and does not want to make this one
            return None
        if value is None or (hand is None and self._left_out(f"{module}.{member}", member)):
            return None
        if hand is not None:
            return self._with_params(hand, value, bound=True)
        if isinstance(value, type):
            full = f"{value.__module__}.{value.__qualname__}"
            return "type" if self._is_own(value) and _matches(full, self._types) else None
        if isinstance(value, types.ModuleType):
            return None
        if type(value).__name__ == "ufunc":
            return f"function compute joins out@{value.nin}:fills"
        if type(value) in _PLAIN or self._is_own(type(value)):
            return "constant"
        if (isinstance(value, _SIGNED) or type(value).__name__ in _COMPILED) and self._is_own(value):
            return self._with_params(f"function compute fresh joins{self._spoken}", value, bound=True)
        return None

    def type_lines(self, kind: type) -> tuple[dict[str, Entry], str | None, tuple[str, ...]] | None:
        """Lines of a class of the library, the built-in that its guest class inherits, and the tables that apply too.

        None for a class of another library, or one that is left out.
        """
        found = self.type_texts(kind)
        if found is None:
            return None
        texts, builtin, inherits = found
        name = f"{kind.__module__}.{kind.__qualname__}"
        lines = {member: parse(f"{name}.{member}", member, line) for member, line in texts.items()}
        return lines, builtin, inherits

    def type_texts(self, kind: type) -> tuple[dict[str, str], str | None, tuple[str, ...]] | None:
        """The same, its lines as they would stand in a file."""
        name = f"{kind.__module__}.{kind.__qualname__}"
        if not self._is_own(kind) or not _matches(name, self._types) or self._left_out(name, kind.__name__):
            return None
        lines: dict[str, str] = {}
        if issubclass(kind, BaseException):
            return lines, None, ("builtins.BaseException",)
        made = self._lines.get(f"{kind.__name__}.()", "compute")
        constructor = self._with_params(made, kind, bound=True)
        if constructor is not None and not self._left_out(f"{kind.__name__}.()", "()"):
            lines["()"] = constructor
        for member in dir(kind):
            line = self._member_line(kind, member)
            if line is not None:
                lines[member] = line
        for name, line in self._lines.items():
            owner, _, member = name.rpartition(".")
            if "instance" in line.split() and any(base.__name__ == owner for base in kind.__mro__):
                lines.setdefault(member, line)
        base = next((base for base in _CONTAINERS if issubclass(kind, base)), None)
        return lines, base.__name__ if base else None, (_CONTAINERS[base],) if base else ()

    def _member_line(self, kind: type, member: str) -> str | None:
        special = member in _SPECIAL
        owner = next((base for base in kind.__mro__ if member in vars(base)), None)
        if (member.startswith("_") and not special) or owner is None:
            return None
        static = vars(owner)[member]
        if static is None:
            return None
        own = self._is_own(owner) or (owner is object and member in _OBJECTS)
        hand = next((h for base in kind.__mro__ if (h := self._lines.get(f"{base.__name__}.{member}"))), None)
        if hand is not None:
            return self._with_params(hand, getattr(kind, member, static), bound=kind_word(static) == "classmethod")
        if not own or any(self._left_out(f"{base.__name__}.{member}", member) for base in kind.__mro__):
            return None
        if special:
            return self._special_line(member, static)
        word = kind_word(static)
        if word == "property" and isinstance(getattr(kind, member, None), types.FunctionType):
            word = "method"  # a method that is there under a condition
        if word == "constant":
            return "constant" if type(static) in _PLAIN else None
        if word == "property":
            return "property compute joins"
        effect = "mutate compute" if _matches(member, self._mutate) else "compute"
        if _matches(member, self._reveal):
            effect = f"{effect} reveals=receiver"
        drawing = "" if _SEEDS.isdisjoint(positions_of(kind, bound=True) or ()) else " random"
        line = f"{word} {effect} fresh joins{self._spoken}{drawing}"
        return self._with_params(line, getattr(kind, member, static), bound=word == "classmethod")

    def _special_line(self, member: str, static: Any) -> str | None:
        if member in _SHOWING:
            return "reveal reveals=display"
        if member in _CHANGING:
            return "mutate"
        if member == "__len__":
            return "read schema"
        if member == "__call__":
            return self._with_params(f"compute fresh joins{self._spoken}", static, bound=False)
        return "compute"

    def _with_params(self, line: str, value: Any, *, bound: bool) -> str | None:
        """The line with the rules for its parameters; None when the signature cannot be read."""
        places = positions_of(value, bound)
        words = [word for word in line.split() if word != "!known"]
        if places is None:
            return " ".join(words) if "!known" in line or not _rules_needed(words) else None
        passes_on = takes_keywords(value)
        if words[0] not in ("constant", "module", "type", "property") and not _SEEDS.isdisjoint(places):
            words.append("random")
        given = {word.partition(":")[0].partition("@")[0] for word in words if ":" in word}
        for name, action in self._params.items():
            if "*" in name:
                found = [place for place in places if fnmatchcase(place, name)]
                if passes_on:
                    words.append(f"{name}:{action}")
            else:
                found = [name] if name in places or passes_on else []
            words += [f"{place}:{action}" for place in found if place not in given]
        return " ".join(_placed(word, places) for word in words)

    def _left_out(self, full: str, name: str) -> bool:
        return any(fnmatchcase(full, pattern) or fnmatchcase(name, pattern) for pattern in self._except)

    def _is_own(self, value: Any) -> bool:
        module = getattr(value, "__module__", None)
        return type(module) is str and module.partition(".")[0] in self._tops


def _placed(word: str, places: dict[str, int | None]) -> str:
    name, colon, action = word.partition(":")
    position = places.get(name)
    return f"{name}@{position}:{action}" if colon and "@" not in name and position is not None else word


def _rules_needed(words: list[str]) -> bool:
    """A constant, a module or a plain property has no parameters."""
    return words[0] not in ("constant", "module", "type", "property")


def _matches(name: str, patterns: tuple[str, ...]) -> bool:
    return any(fnmatchcase(name, pattern) for pattern in patterns)


def _texts(table: dict[str, Any], key: str) -> tuple[str, ...]:
    found = table.get(key, [])
    if not isinstance(found, list) or not all(isinstance(item, str) for item in found):
        raise ValueError(f"{key} is not a list of texts")
    return tuple(word for item in found for word in item.split())


def _mapping(table: dict[str, Any], key: str) -> dict[str, str]:
    found = table.get(key, {})
    if not isinstance(found, dict) or not all(isinstance(item, str) for item in found.values()):
        raise ValueError(f"{key} is not a table of texts")
    return dict(found)
