"""A catalog file looked at before it is used: every mistake at once, each with its line and a hint.

`mistakes` reads the text alone; `against` also compares it with the installed library, which is imported for that.
"""

from __future__ import annotations

import builtins
import importlib
import inspect
import re
import tomllib
from collections.abc import Iterator
from difflib import get_close_matches
from typing import Any, Final, NamedTuple

from proxyplane.catalogs.lines import ABSENT, DENIED, KINDS, denial, parse
from proxyplane.catalogs.rules import Rules
from proxyplane.catalogs.signatures import positions_of, takes_keywords

__all__ = ["Mistake", "against", "mistakes"]

_TOP: Final = ("library", "versions", "module", "type", "rules")
_META: Final = ("inherits", "builtin", "carries", "dynamic")
_BUILTINS: Final = ("float", "int", "str", "bytes", "complex", "datetime", "timedelta", "tuple", "list", "dict")
_BOUND: Final = re.compile(r"(>=|<=|==|<)\s*\d+(\.\d+)*")
_HEADER: Final = re.compile(r"\s*\[+([^\]]*)\]")
_KEY: Final = re.compile(r"""\s*("[^"]*"|'[^']*'|[\w-]+)\s*=""")


class Mistake(NamedTuple):
    """One thing that is wrong with a catalog file."""

    file: str
    line: int | None
    """1-based; None where it is about the whole file."""
    message: str
    hint: str = ""

    def __str__(self) -> str:
        where = f"{self.file}:{self.line}" if self.line else self.file
        return f"{where}: {self.message}" + (f" ({self.hint})" if self.hint else "")


def mistakes(file: str, text: bytes, taken: frozenset[str] = frozenset()) -> list[Mistake]:
    """What is wrong with a catalog file, in the order of its lines.

    Args:
        file: its name, for messages.
        text: its content.
        taken: libraries that the package describes itself; nobody else may.
    """
    try:
        content = tomllib.loads(text.decode())
    except (UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        found = re.search(r"line (\d+)", str(error))
        return [Mistake(file, int(found[1]) if found else None, f"this is not TOML: {error}")]
    reading = _Reading(file, text.decode(), content, taken)
    return sorted(reading.all(), key=lambda each: each.line or 0)


class _Reading:
    """One file while it is looked at."""

    def __init__(self, file: str, text: str, content: dict[str, Any], taken: frozenset[str]) -> None:
        self.file = file
        self.content = content
        self.taken = taken
        self._places = _places(text)

    def all(self) -> Iterator[Mistake]:
        """Every mistake."""
        for key in self.content:
            if key not in _TOP:
                yield self._at((key,), f"unknown key {key!r}", _nearest(key, _TOP))
        yield from self._library()
        for section in ("module", "type"):
            tables = self.content.get(section, {})
            if not isinstance(tables, dict):
                yield self._at((section,), f"{section!r} is no table", f'write [{section}."gauges"]')
                continue
            for name, lines in tables.items():
                yield from self._table(section, name, lines)
        yield from self._rules()

    def _library(self) -> Iterator[Mistake]:
        library, versions = self.content.get("library"), self.content.get("versions")
        if not isinstance(library, str):
            yield self._at(
                ("library",), "the library is missing", 'write library = "gauges", its name as it is installed'
            )
        elif library in self.taken and library != "builtins":  # which stands for modules that are no distribution
            yield self._at(("library",), f"{library} is described by proxyplane itself", "its lines cannot be changed")
        bounds = versions.split(",") if isinstance(versions, str) else []
        if not bounds or not all(_BOUND.fullmatch(bound.strip()) for bound in bounds):
            yield self._at(
                ("versions",), "the reviewed versions are missing or no bounds", 'write versions = ">=1.2,<2"'
            )

    def _table(self, section: str, name: str, lines: Any) -> Iterator[Mistake]:
        place = (section, name)
        if not isinstance(lines, dict):
            yield self._at(place, f"{name!r} is no table", f'write [{section}."{name}"] above its lines')
            return
        if any(isinstance(line, dict) for line in lines.values()):
            yield self._at(
                place, f"a dotted name must be quoted in [{section}.{name}...]", f'write [{section}."{name}.…"]'
            )
            return
        if name.partition(".")[0] in self.taken:
            yield self._at(place, f"{name} is described by proxyplane itself", "its lines cannot be changed")
        for member, line in lines.items():
            if section == "type" and member in _META:
                yield from self._meta(name, member, line)
            else:
                yield from self._line(section, name, member, line)

    def _meta(self, name: str, key: str, value: Any) -> Iterator[Mistake]:
        place = ("type", name, key)
        if key == "inherits" and not (isinstance(value, list) and all(isinstance(base, str) for base in value)):
            yield self._at(place, "inherits is no list of type names", 'write inherits = ["gauges.Base"]')
        elif key == "inherits":
            for base in value:
                known = self.content.get("type", {})
                if base not in known and base.partition(".")[0] not in (*self.taken, "builtins"):
                    yield self._at(place, f"it inherits {base!r}, which no catalog describes", _nearest(base, known))
        elif key == "builtin" and value not in _BUILTINS:
            yield self._at(place, f"builtin is {value!r}", f"one of {', '.join(_BUILTINS)}")
        elif key == "carries" and type(value) is not bool:
            yield self._at(place, "carries is neither true nor false")
        elif key == "dynamic" and value not in ("columns", "fields"):
            yield self._at(place, f"dynamic is {value!r}", '"columns" or "fields"')

    def _line(self, section: str, name: str, member: str, line: Any) -> Iterator[Mistake]:
        place = (section, name, member)
        if not isinstance(line, str):
            yield self._at(
                place, f"the line of {member!r} is a {type(line).__name__}", "write a text such as 'method compute'"
            )
            return
        if section == "type" and line == ABSENT:
            return
        try:
            if line.partition(" ")[0] == DENIED:
                denial(f"{name}.{member}", line)
            else:
                parse(f"{name}.{member}", member, line)
        except ValueError as error:
            yield self._at(place, f"{member}: {error}", _kind_hint(section, line))

    def _rules(self) -> Iterator[Mistake]:
        library = self.content.get("library")
        if "rules" not in self.content or not isinstance(library, str):
            return
        try:
            Rules(library, self.content["rules"])
        except (AttributeError, ValueError) as error:
            yield self._at(("rules",), f"rules: {error}")

    def _at(self, place: tuple[str, ...], message: str, hint: str = "") -> Mistake:
        return Mistake(self.file, self._places.get(place), message, hint)


def _kind_hint(section: str, line: str) -> str:
    words = line.split()
    if words and words[0] not in KINDS:
        usual = "function compute" if section == "module" else "method compute"
        return _nearest(words[0], (*KINDS, DENIED)) or f"such as {usual!r}"
    return ""


def _nearest(given: str, known: Any) -> str:
    near = get_close_matches(given, list(known), n=1)
    return f"did you mean {near[0]!r}?" if near else ""


def _places(text: str) -> dict[tuple[str, ...], int]:
    """The line of each table and key, as far as they are written one to a line."""
    found: dict[tuple[str, ...], int] = {}
    table: tuple[str, ...] = ()
    for number, line in enumerate(text.splitlines(), 1):
        header, key = _HEADER.match(line), _KEY.match(line)
        if header is not None:
            table = _parts(header[1])
            for end in range(1, len(table) + 1):
                found.setdefault(table[:end], number)
        elif key is not None:
            found.setdefault((*table, key[1].strip("\"'")), number)
    return found


def _parts(header: str) -> tuple[str, ...]:
    return tuple(part.strip().strip("\"'") for part in re.findall(r"\"[^\"]*\"|'[^']*'|[^.\s]+", header))


# Against the library


def against(file: str, text: bytes, module: str) -> tuple[list[Mistake], list[str]]:
    """What a catalog says of members or parameters that do not exist, and which public members it does not describe.

    Args:
        file: its name, for messages.
        text: its content, without mistakes.
        module: imported for this: code of the library runs.

    Raises:
        ImportError: there is no such module.
    """
    importlib.import_module(module)
    content = tomllib.loads(text.decode())
    places = _places(text.decode())
    wrong: list[Mistake] = []
    missing: list[str] = []
    for section in ("module", "type"):
        for name, lines in content.get(section, {}).items():
            owner = _found(section, name)
            if owner is None:
                wrong.append(Mistake(file, places.get((section, name)), f"there is no {section} {name!r}"))
                continue
            members = {member: line for member, line in lines.items() if section == "module" or member not in _META}
            for member, line in members.items():
                place = places.get((section, name, member))
                wrong += [Mistake(file, place, *told) for told in _untrue(owner, member, line, section)]
            known = {*members, *_inherited(content, lines)}
            missing += [
                f"{name}.{member}" for member in dir(owner) if not member.startswith("_") and member not in known
            ]
    return wrong, missing


def _found(section: str, name: str) -> Any:
    """The module or type of that name, in modules that are loaded or can be."""
    if section == "module":
        try:
            return importlib.import_module(name)
        except ImportError:
            return None
    home, _, path = name.rpartition(".")
    owner = _found("module", home) if home else builtins
    return getattr(owner, path, None)


def _inherited(content: dict[str, Any], lines: dict[str, Any], depth: int = 0) -> Iterator[str]:
    for base in lines.get("inherits", []) if depth < 20 else []:
        above = content.get("type", {}).get(base, {})
        yield from above
        yield from _inherited(content, above, depth + 1)


def _untrue(owner: Any, member: str, line: str, section: str) -> Iterator[tuple[str, str]]:
    """What a line says that the member is not like."""
    if line == ABSENT or line.partition(" ")[0] == DENIED:
        return
    entry = parse(member, member, line)
    value = owner if member == "()" else getattr(owner, member, None)
    if value is None:
        if "instance" not in entry.flags:
            public = [name for name in dir(owner) if not name.startswith("_")]
            yield f"{member!r} does not exist", _nearest(member, public)
        return
    if not callable(value) or member.startswith("__"):
        return
    static = inspect.getattr_static(owner, member, None)
    bound = section == "module" or member == "()" or isinstance(static, (classmethod, staticmethod))
    places = positions_of(value, bound)
    for param in entry.params if places is not None else ():
        if "*" in param.name or places is None:
            continue
        if param.name not in places:
            if not takes_keywords(value):
                yield f"{member!r} has no parameter {param.name!r}", _nearest(param.name, places)
        elif param.position != places[param.name] and places[param.name] is not None:
            place = places[param.name]
            yield (
                f"{param.name!r} of {member!r} can be given at position {place}",
                f"write {param.name}@{place}:{param.action}",
            )
