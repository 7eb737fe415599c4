"""The catalog: what each public member of a host library does, as data.

    catalogs/*.toml -> Catalog.load() -> of(type), module(name) -> Entry -> expected(entry, receiver, args) -> Expected

A packaged file is read when its library is first asked about: a plane over pandas need not read what is known of scipy.

Deny by default: a member that no catalog line describes has the effect `unknown`. The lines are generated from the
installed libraries by named rules and reviewed (`catalogs/generate.py`); their grammar is in `docs/catalog.md`.
"""

from __future__ import annotations

import builtins
import functools
import hashlib
import importlib.metadata
import operator
import platform
import sys
import threading
import tomllib
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from types import MappingProxyType, ModuleType
from typing import Any, Final, NamedTuple
from weakref import WeakKeyDictionary

from proxyplane.catalogs.arguments import judge
from proxyplane.catalogs.check import mistakes
from proxyplane.catalogs.lines import ABSENT, DENIED, Denial, Entry, Expected, Param, denial, parse
from proxyplane.catalogs.rules import Rules
from proxyplane.errors import CatalogError

__all__ = ["Catalog", "Denial", "Entry", "Expected", "ModuleEntry", "Param", "TypeEntry"]

_FOLDER: Final = Path(__file__).parent / "catalogs"
_DISTRIBUTIONS: Final = {"scikit-learn": "sklearn"}
"""Distributions whose module has another name."""
LIBRARIES: Final = frozenset(path.stem for path in _FOLDER.glob("*.toml"))
"""What the package describes itself. No other file may: it could unsay a refusal."""
_PARTS: Final = {"mpl_toolkits": "matplotlib"}
"""Packages that a library brings beside its own."""


class TypeEntry(NamedTuple):
    """What is known of one real type: the catalog's lines, as far as that type really has the members."""

    name: str
    """The catalogued type, such as `pandas.DataFrame`; of an uncatalogued subclass, its nearest catalogued base."""
    builtin: str | None
    """The built-in that its guest class inherits: `float int str bytes complex datetime timedelta tuple list dict`."""
    carries: bool
    """Instances cross as a value-carrying reference."""
    dynamic: str | None
    """Instances offer further attributes: `columns` (of a frame or groupby) or `fields` (of a record)."""
    hashable: bool
    members: Mapping[str, Entry]
    """Methods, properties, class methods and class constants."""
    dunders: Mapping[str, Entry]
    constructor: Entry | None
    extends: tuple[str, ...] = ()
    """It is made to be inherited: methods of a class of the agent that host code calls on its instances."""


class ModuleEntry(NamedTuple):
    """What is known of one module."""

    name: str
    members: Mapping[str, Entry]


class _Table(NamedTuple):
    """One `[type."..."]` table as written."""

    name: str
    inherits: tuple[str, ...]
    builtin: str | None
    carries: bool
    dynamic: str | None
    absent: frozenset[str]
    lines: dict[str, Entry]
    denied: dict[str, Denial]
    extends: tuple[str, ...] = ()


class Catalog:
    """Catalog files, loaded. What it says never changes; `load` keeps one per set of names.

    Args:
        files: name and text of each file.
        later: those that are read when their library (the name without `.toml`) is first asked about.
    """

    def __init__(self, files: Iterable[tuple[str, bytes]], later: Iterable[tuple[str, bytes]] = ()) -> None:
        digest = hashlib.sha256()
        self.unreviewed: tuple[str, ...] = ()
        """Libraries whose installed version no catalog that was read is reviewed for. Their entries do not count."""
        self._later = {name.removesuffix(".toml"): (name, text) for name, text in later}
        self._reading = threading.Lock()
        self._rules: dict[str, Rules] = {}
        self._types: dict[str, _Table] = {}
        self._modules: dict[str, dict[str, Entry]] = {}
        self._denied: dict[str, dict[str, Denial]] = {}
        self._flat: dict[str, dict[str, Entry]] = {}
        self._known: WeakKeyDictionary[type, TypeEntry | None] = WeakKeyDictionary()
        files = sorted(files)
        for name, text in sorted([*files, *self._later.values()]):
            digest.update(hashlib.sha256(name.encode() + b"\0" + text).digest())
        self.digest = f"sha256:{digest.hexdigest()[:16]}"
        """Changes with every line of every file."""
        self._ready: dict[str, ModuleEntry] = {}
        self._vocabulary: frozenset[str] | None = None
        for name, text in files:
            self._add(name, text)

    @staticmethod
    def load(*names: str, extra: Iterable[str | Path] = ()) -> Catalog:
        """The packaged catalogs of these names (by default all), and further files.

        Args:
            names: names of packaged files without `.toml`, such as `pandas`.
            extra: paths of other catalog files.

        Raises:
            CatalogError: a file that does not exist or cannot be used; with file, key and hint.
        """
        return _load(names, tuple((Path(path).name, _read(Path(path))) for path in extra))

    def of(self, kind: type) -> TypeEntry | None:
        """What is known of a type; None when neither it nor a base of it is catalogued.

        Of a subclass that is not itself catalogued, a member counts only where the class that defines it stands at or
        after the catalogued class in the method resolution order: an override is code that nobody reviewed.
        """
        try:
            return self._known[kind]
        except KeyError:
            found = self._known[kind] = self._resolve(kind)
            return found

    @property
    def vocabulary(self) -> frozenset[str]:
        """Names that the libraries met so far make public: of modules, types, members, parameters and dtypes."""
        found = self._vocabulary
        if found is None:
            found = self._vocabulary = self._words()
        return found

    def module(self, dotted: str) -> ModuleEntry | None:
        """What is known of a module."""
        found = self._ready.get(dotted)
        if found is not None:
            return found
        rules = self._rules_of(dotted)
        found = self._ready.get(dotted)
        if found is None and rules is not None:
            lines = rules.module_lines(dotted)
            if lines is not None:
                self._modules[dotted] = lines
                found = self._ready[dotted] = ModuleEntry(dotted, MappingProxyType(lines))
                self._vocabulary = None
        return found

    def denial(self, value: Any, member: str) -> Denial | None:
        """The line that refuses a member by name; None when there is none, or when the member is described.

        Args:
            value: the object; of a type, the members of its instances are meant.
            member: its name.
        """
        if isinstance(value, ModuleType):
            self.module(value.__name__)
            return self._denied.get(value.__name__, {}).get(member)
        kind = value if isinstance(value, type) else type(value)
        for base in type.__dict__["__mro__"].__get__(kind):
            table = self._find(base)
            if table is not None:
                return self._refusal(table.name, member)
        return None

    def _refusal(self, name: str, member: str) -> Denial | None:
        table = self._types[name]
        found = table.denied.get(member)
        if found is not None or member in table.lines or member in table.absent:
            return found
        for base in table.inherits:
            self._rules_of(base)
            found = self._refusal(base, member) if base in self._types else None
            if found is not None:
                return found
        return None

    def lines(self, name: str) -> dict[str, Entry | Denial] | None:
        """All lines of a module or type by its name, refusals included; None when no file has a table of that name.

        Args:
            name: as in a file, or with the library alone before a type: `polars.DataFrame`.
        """
        self._rules_of(name)
        if name in self._modules:
            return {**self._modules[name], **self._denied.get(name, {})}
        top, _, rest = name.partition(".")
        ends = [known for known in self._types if known.startswith(f"{top}.") and known.endswith(f".{rest}")]
        found = name if name in self._types else min(ends, key=len, default=None)
        return None if found is None else {**self._lines(found), **self._refusals(found)}

    def _refusals(self, name: str) -> dict[str, Denial]:
        table = self._types[name]
        merged: dict[str, Denial] = {}
        for base in reversed(table.inherits):
            merged |= self._refusals(base)
        merged = {member: line for member, line in merged.items() if member not in table.lines}
        return merged | table.denied

    def describes(self, dotted: str) -> bool:
        """Whether there is a file, read or not, on the library that a dotted name belongs to."""
        top = _library_of(dotted)
        return top in self._later or top in self._rules or top in self._modules

    def expected(self, entry: Entry, receiver: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Expected:
        """The effects of a call with these very arguments.

        Args:
            entry: the line of the called member.
            receiver: the object whose member it is; the type or module for functions and class methods.
            args: positional arguments without self.
            kwargs: keyword arguments.
        """
        if not entry.params:
            return Expected(entry.effects, (), ())
        return judge(self, entry, receiver, args, kwargs)

    def function(self, value: Any) -> Entry | None:
        """The line of a function of a catalogued module, found by identity; None for any other object."""
        module, name = getattr(value, "__module__", None), getattr(value, "__name__", None)
        if type(module) is not str or type(name) is not str:
            return None
        owner = self.module(module)
        line = owner.members.get(name) if owner is not None else None
        return line if line is not None and getattr(sys.modules.get(module), name, None) is value else None

    def _words(self) -> frozenset[str]:
        lines = {name: table.lines for name, table in self._types.items()} | self._modules
        refused = [*self._denied.values(), *(table.denied for table in self._types.values())]
        found = {part for name in lines for part in name.split(".")}.union(*refused)
        for table in lines.values():
            for member, line in table.items():
                found.add(member)
                found.update(param.name for param in line.params)
        found.update(name.lower() for name in list(found) if name[:1].isupper())
        return frozenset(found)

    # Reading files

    def _rules_of(self, dotted: str) -> Rules | None:
        """The rules of the library that a dotted name belongs to, its file read."""
        top = _library_of(dotted)
        if top in self._later:
            with self._reading:
                waiting = self._later.get(top)
                if waiting is not None:
                    self._add(*waiting)
                    del self._later[top]
        return self._rules.get(top)

    def _add(self, file: str, text: bytes) -> None:
        try:
            content = tomllib.loads(text.decode())
        except (UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
            raise CatalogError(f"{file}: not TOML ({error})") from None
        for key in content:
            if key not in ("library", "versions", "module", "type", "rules"):
                known = "library, versions, module, type and rules"
                raise CatalogError(f"{file}: unknown key {key!r} (a catalog has {known})")
        library, versions = content.get("library"), content.get("versions")
        if not isinstance(library, str) or not isinstance(versions, str):
            raise CatalogError(f"{file}: library and versions are missing (such as pandas and >=3.0,<4)")
        if not _reviewed(library, versions, file):
            self.unreviewed += (library,)
            return
        for name, lines in _tables(content, "module", file):
            if name in self._modules:
                raise CatalogError(f"{file}: module {name!r} is described twice (keep one table)")
            self._modules[name], self._denied[name] = _split(file, name, lines)
        for name, lines in _tables(content, "type", file):
            if name in self._types:
                raise CatalogError(f"{file}: type {name!r} is described twice (keep one table)")
            self._types[name] = _table(file, name, lines)
        if "rules" in content:
            top = _DISTRIBUTIONS.get(library, library)
            try:
                self._rules[top] = Rules(top, content["rules"])
            except (AttributeError, ValueError) as error:
                raise CatalogError(f"{file}: rules: {error}") from None
        self._ready.update((name, ModuleEntry(name, MappingProxyType(lines))) for name, lines in self._modules.items())
        self._vocabulary = None

    def _lines(self, name: str, seen: frozenset[str] = frozenset()) -> dict[str, Entry]:
        """The lines of a table with those that it inherits; its own come last and win."""
        found = self._flat.get(name)
        if found is not None:
            return found
        table = self._types[name]
        merged: dict[str, Entry] = {}
        for base in reversed(table.inherits):
            self._rules_of(base)
            if base not in self._types or base in seen:
                raise CatalogError(f"type {name!r} inherits {base!r}, which no loaded catalog describes")
            merged |= {key: line for key, line in self._lines(base, seen | {name}).items() if key != "()"}
        merged |= table.lines
        for member in table.absent:
            merged.pop(member, None)
        self._flat[name] = merged
        return merged

    # Real types

    def _resolve(self, kind: type) -> TypeEntry | None:
        order = type.__dict__["__mro__"].__get__(kind)
        for position, base in enumerate(order):
            table = self._find(base)
            if table is None:
                if "__getattribute__" in vars(base) or "__getattr__" in vars(base):
                    return None
                continue
            return self._entry(table, order, position)
        return None

    def _find(self, kind: type) -> _Table | None:
        name = f"{kind.__module__}.{kind.__qualname__}"
        if kind.__module__.startswith("_cython_") and kind.__qualname__ == "generator":  # its module has a version
            name = "builtins.generator"
        rules = self._rules_of(name)
        exact = self._types.get(name)
        if exact is not None:
            return exact if _is_the_one(kind, name) else None
        if rules is not None:
            return self._ruled(rules, kind, name)
        family = self._types.get(f"{kind.__module__}.*")
        if family is None or family.builtin is None:
            return None
        return family if issubclass(kind, getattr(builtins, family.builtin)) else None

    def _ruled(self, rules: Rules, kind: type, name: str) -> _Table | None:
        """The table that the rules of its library make of a class."""
        found = rules.type_lines(kind)
        if found is None or not _is_the_one(kind, name):
            return None
        lines, builtin, inherits = found
        known = f"{name}@{id(kind):x}" if kind.__qualname__ != kind.__name__ else name
        table = _Table(known, inherits, builtin, False, rules.dynamic, frozenset(), lines, {})
        self._types.setdefault(known, table)
        return table

    def _entry(self, table: _Table, order: tuple[type, ...], position: int) -> TypeEntry:
        trusted = set(order[position:])
        members: dict[str, Entry] = {}
        dunders: dict[str, Entry] = {}
        constructor = None
        for name, line in self._lines(table.name).items():
            if name == "()":
                constructor = line if position == 0 else None
                continue
            owner = next((cls for cls in order if name in vars(cls)), None)
            if owner is None and "instance" not in line.flags:
                continue
            if owner is not None and (owner not in trusted or vars(owner)[name] is None):
                continue
            if name.startswith("_") and not name.startswith("__") and (position or name not in table.lines):
                continue  # a private member was reviewed for this very type, and for no subclass of it
            (dunders if name.startswith("__") else members)[name] = line
        return TypeEntry(
            table.name,
            table.builtin,
            table.carries,
            table.dynamic,
            "__hash__" in dunders,
            MappingProxyType(members),
            MappingProxyType(dunders),
            constructor,
            table.extends if position == 0 else (),
        )


@functools.lru_cache(maxsize=32)
def _load(names: tuple[str, ...], extra: tuple[tuple[str, bytes], ...]) -> Catalog:
    """One catalog for these very texts: a file that was edited is another one."""
    files: list[tuple[str, bytes]] = []
    later: list[tuple[str, bytes]] = []
    for path in [_FOLDER / f"{name}.toml" for name in names] if names else sorted(_FOLDER.glob("*.toml")):
        text = _read(path)
        waits = not names and b'\nlibrary  = "builtins"\n' not in text[:1000]
        (later if waits else files).append((path.name, text))
    wrong = [str(each) for name, text in extra for each in mistakes(name, text, LIBRARIES)]
    if wrong:
        raise CatalogError("\n".join(wrong), wrong)
    return Catalog([*files, *extra], later)


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise CatalogError(f"{path}: {error.strerror} (packaged catalogs: {', '.join(sorted(LIBRARIES))})") from None


def _library_of(dotted: str) -> str:
    top = dotted.partition(".")[0]
    return _PARTS.get(top, top)


def _is_the_one(kind: type, name: str) -> bool:
    """Whether a class is the library's own, where that can be looked up: a name alone is easily forged."""
    module, _, path = name.rpartition(".")
    owner = sys.modules.get(module)
    found = getattr(owner, path, None) if owner is not None else None
    return found is kind or not isinstance(found, type)


def _tables(content: dict[str, Any], key: str, file: str) -> list[tuple[str, dict[str, Any]]]:
    found = content.get(key, {})
    if not isinstance(found, dict):
        raise CatalogError(f'{file}: {key!r} is not a table (write [{key}."pandas"])')
    flat: list[tuple[str, dict[str, Any]]] = []

    def walk(prefix: str, table: dict[str, Any]) -> None:
        lines = {name: line for name, line in table.items() if not isinstance(line, dict)}
        if lines or not table:
            flat.append((prefix, lines))
        for name, line in table.items():
            if isinstance(line, dict):
                walk(f"{prefix}.{name}" if prefix else name, line)

    walk("", found) if found else None
    return [(name, lines) for name, lines in flat if name]


def _line(file: str, owner: str, name: str, line: Any) -> Entry:
    if not isinstance(line, str):
        kind = type(line).__name__
        raise CatalogError(f"{file}: {owner}.{name}: expected a text such as 'method compute', got a {kind}")
    try:
        return parse(f"{owner}.{name}", name, line)
    except ValueError as error:
        raise CatalogError(f"{file}: {owner}.{name}: {error}") from None


def _table(file: str, name: str, lines: dict[str, Any]) -> _Table:
    rest = dict(lines)
    inherits, builtin = rest.pop("inherits", []), rest.pop("builtin", None)
    carries, dynamic = rest.pop("carries", False), rest.pop("dynamic", None)
    if not isinstance(inherits, list) or not all(isinstance(base, str) for base in inherits):
        raise CatalogError(f"{file}: {name}.inherits is not a list of type names")
    if type(carries) is not bool or dynamic not in (None, "columns", "fields"):
        raise CatalogError(f'{file}: {name}: carries is true or false, dynamic is "columns" or "fields"')
    extends = rest.pop("extends", "")
    if not isinstance(extends, str) or not all(hook.isidentifier() for hook in extends.split()):
        raise CatalogError(f"{file}: {name}: extends is a text of names of methods")
    absent = frozenset(key for key, line in rest.items() if line == ABSENT)
    own, denied = _split(file, name, {key: line for key, line in rest.items() if key not in absent})
    return _Table(
        name, tuple(inherits), builtin, carries, dynamic, absent | denied.keys(), own, denied, tuple(extends.split())
    )


def _split(file: str, name: str, lines: dict[str, Any]) -> tuple[dict[str, Entry], dict[str, Denial]]:
    """Lines that describe, and lines that refuse."""
    refused = {key for key, line in lines.items() if isinstance(line, str) and line.partition(" ")[0] == DENIED}
    described = {key: _line(file, name, key, line) for key, line in lines.items() if key not in refused}
    try:
        return described, {key: denial(f"{name}.{key}", lines[key]) for key in refused}
    except ValueError as error:
        raise CatalogError(f"{file}: {name}: {error}") from None


def _reviewed(library: str, versions: str, file: str) -> bool:
    """Whether the installed version lies within the reviewed ones; a library that is not installed does no harm."""
    try:
        version = platform.python_version() if library == "builtins" else importlib.metadata.version(library)
    except importlib.metadata.PackageNotFoundError:
        return True
    return all(_within(version, bound.strip(), file) for bound in versions.split(","))


def _within(version: str, bound: str, file: str) -> bool:
    operators: dict[str, Callable[[Any, Any], bool]] = {
        ">=": operator.ge,
        "<=": operator.le,
        "==": operator.eq,
        "<": operator.lt,
    }
    for text, compare in operators.items():
        if bound.startswith(text):
            limit = bound.removeprefix(text).strip()
            if all(part.isdigit() for part in limit.split(".")):
                width = len(limit.split("."))
                return bool(compare(_numbers(version, width), _numbers(limit, width)))
    raise CatalogError(f"{file}: versions: {bound!r} is not a bound (write >=3.0,<4)")


def _numbers(version: str, width: int) -> tuple[int, ...]:
    parts = ["".join(c for c in part if c.isdigit()) or "0" for part in version.split(".")]
    return tuple(int(part) for part in [*parts, *["0"] * width][:width])
