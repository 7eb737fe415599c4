"""What a call does because of its arguments: the parameter rules of a catalog line, applied.

Measured on pandas: `df.agg("to_csv", path_or_buf=p)` writes its file and then raises, so texts that name methods are
resolved before anything is called. Nothing here calls a method of an argument that the plane did not make itself.
"""

from __future__ import annotations

import fnmatch
import io
import os
import pathlib
import re
import sys
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Any, Final

from proxyplane import hosts
from proxyplane.catalogs.expression import is_plain
from proxyplane.catalogs.lines import Entry, Expected, Param
from proxyplane.catalogs.values import (
    connection_effects,
    is_arrow_array,
    is_exported_style,
    is_plain_format,
    is_plain_parts,
    is_polars_statement,
    is_query,
    is_sql_types,
    is_timestamp,
)
from proxyplane.effects import Effect
from proxyplane.hosts.held import holds_open, path_of
from proxyplane.hosts.swapped import swappable

if TYPE_CHECKING:
    from proxyplane.catalog import Catalog

__all__ = ["PATH_EFFECT", "ended", "judge", "reason_of", "sources"]

_ABSENT: Final = object()
_MAX_DEPTH: Final = 4
_MANY: Final = 1000
"""Longer lists are data, in which no names of parameters are looked for."""
_AXES: Final = ("index", "columns", "rows")
_URL: Final = re.compile(r"[\x00-\x20]*[A-Za-z][A-Za-z0-9+.-]*:|.*(?:::|://)", re.DOTALL)
"""Wider than what looks like a URL: `file:/etc/passwd` and `simplecache::s3://x` are opened as URLs too."""
_DROPPED: Final = str.maketrans("", "", "\t\r\n")
"""What `urllib` takes out of a URL before it reads it."""
_PATTERN: Final = re.compile(r"[\w.\\^$]*")
_PATHS: Final = (pathlib.PurePosixPath, pathlib.PosixPath)
_BUFFERS: Final = (io.StringIO, io.BytesIO)
PATH_EFFECT: Final = {
    "path-read": Effect.FS_READ,
    "source-read": Effect.FS_READ,
    "path-write": Effect.FS_WRITE,
    "path-write.npy": Effect.FS_WRITE,
    "path-write.npz": Effect.FS_WRITE,
    "path-look": Effect.READ,
}
"""Actions on paths; what follows a dot in one is the ending that the library adds to a name without it."""
_NOT_BY_NAME: Final = frozenset(("draws", "plainly", "holds", "local", "replaced", "zeroed", "state", "copied"))
_PLAIN_VALUES: Final = (str, bytes, int, float, bool)
_FAMILIES: Final = (
    ("pandas", "DataFrame"),
    ("pandas", "Series"),
    ("pandas", "Index"),
    ("pandas.api.typing", "DataFrameGroupBy"),
    ("pandas.api.typing", "SeriesGroupBy"),
    ("pandas.api.typing", "Rolling"),
    ("pandas.api.typing", "Expanding"),
    ("pandas.api.typing", "ExponentialMovingWindow"),
    ("pandas.api.typing", "Resampler"),
)
"""Types on which pandas may look up a method that a text names, whatever it was called on."""


def judge(catalog: Catalog, entry: Entry, receiver: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Expected:
    """The effects of one call. See `Catalog.expected`."""
    verdict = _Judgement(catalog, receiver)
    verdict.effects |= entry.effects
    why: Param | None = None
    before: Param | None = None
    for param in entry.params:
        if why is None and before is not None and Effect.UNKNOWN in verdict.effects:
            why = before
        before = param if Effect.UNKNOWN not in verdict.effects else None
        if "*" in param.name:
            for value in _matching(param.name, (kwargs, *args), 0):
                verdict.given(param, value)
            continue
        value = receiver if param.name == "self" else _argument(param, args, kwargs)
        if param.action == "named":
            passed_on = () if entry.kind == "function" else args  # functions hand on keywords only
            verdict.named(value, passed_on, kwargs, 0)
        elif param.action == "fills-after-inputs":
            verdict.fill_after_inputs(receiver, args, kwargs)
        elif param.action == "options":
            verdict.options(args, kwargs)
        elif param.action == "evaluated":
            verdict.evaluated(value, kwargs)
        elif param.action == "overwrites":
            verdict.overwrite(value, args, kwargs)
        elif value is not _ABSENT:
            verdict.given(param, value)
    if why is None and Effect.UNKNOWN in verdict.effects:
        why = before
    return Expected(frozenset(verdict.effects), tuple(verdict.mutated), tuple(verdict.paths), why)


def _argument(param: Param, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    if param.position is not None and param.position < len(args):
        return args[param.position]
    return kwargs.get(param.name, _ABSENT)


def _matching(pattern: str, values: Iterable[Any], depth: int) -> Iterator[Any]:
    """Keyword arguments that a pattern means, such as `*memory` (scikit-learn names parameters of parts so), and what
    stands under such a key in dicts among the arguments."""
    for value in values:
        if type(value) is dict and depth <= _MAX_DEPTH:
            for name, item in value.items():
                if isinstance(name, str) and fnmatch.fnmatchcase(name, pattern):
                    yield item
            yield from _matching(pattern, value.values(), depth + 1)
        elif type(value) in (list, tuple) and depth <= _MAX_DEPTH and len(value) <= _MANY:
            yield from _matching(pattern, value, depth + 1)


class _Judgement:
    """Effects, changed objects and paths of one call, as they are found."""

    def __init__(self, catalog: Catalog, receiver: Any) -> None:
        self.catalog = catalog
        self.receiver = receiver
        self.effects: set[Effect] = set()
        self.mutated: list[Any] = []
        self.paths: list[tuple[Effect, str]] = []

    def given(self, param: Param, value: Any) -> None:
        """One argument that was given, under any rule but `named`."""
        action = param.action
        if action in PATH_EFFECT:
            for item in sources(action, value):
                self.path(PATH_EFFECT[action], ended(action, item))
        elif action == "view":
            if value is not None and not hosts.viewable(self.receiver, value):
                self.effects.add(Effect.MEMORY)
        elif action == "expression":
            if type(value) is not str or not is_plain(value):
                self.effects.add(Effect.UNKNOWN)
        elif action == "scope":
            if type(value) is not dict or not all(type(name) is str and name.isidentifier() for name in value):
                self.effects.add(Effect.UNKNOWN)
        elif action == "connection":
            self.effects |= connection_effects(value)
        elif action in _ACCEPTED:
            if not _ACCEPTED[action](value):
                self.effects.add(Effect.UNKNOWN)
        elif action == "fills":
            self.fill(value)
        elif action == "never":
            if value is not None and value is not False:
                self.effects.add(Effect.UNKNOWN)
        elif action.startswith("one-of("):
            allowed = action[len("one-of(") : -1].split("|")
            if value is not None and (type(value) not in (str, bool, int) or str(value) not in allowed):
                self.effects.add(Effect.UNKNOWN)
        elif _truthy(value):
            self.effects.add(Effect(action))

    def path(self, effect: Effect, value: Any) -> None:
        """A value where a path is accepted."""
        kind = type(value)
        if value is None or kind in _BUFFERS or _is_stand_in(kind):
            return
        if isinstance(value, (str, bytes)) or kind in _PATHS:
            text = os.fsdecode(value)
            found = Effect.NET if _URL.match(text.translate(_DROPPED)) else effect
            if found is effect:
                text = os.path.expanduser(text)  # as the library will
            self.effects.add(Effect.FS_READ if found is Effect.READ else found)
            self.paths.append((found, text))
            return
        if holds_open(value):
            place = path_of(value)
            if place is not None:
                self.effects.add(Effect.FS_READ if effect is Effect.READ else effect)
                self.paths.append((effect, place))
            if value is not self.receiver and effect is Effect.FS_WRITE:
                self.fill(value)  # what is written into it is of other data than it was
            return
        self.effects.add(Effect.UNKNOWN)

    def fill(self, value: Any) -> None:
        """A value that the call writes into, or several in a tuple."""
        if value is None or type(value) in (int, float, bool, str):
            return  # nothing can be written into these
        self.effects.add(Effect.MUTATE)
        if type(value) in (tuple, list):
            self.mutated.extend(item for item in value if item is not None)
        if type(value) is not tuple:  # a list may be filled itself, as by shuffle
            self.mutated.append(value)

    def fill_after_inputs(self, receiver: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        """A universal function takes its outputs after its inputs."""
        inputs = getattr(receiver, "nin", None)
        outputs = args[inputs:] if type(inputs) is int else args[1:]
        for value in (*outputs, kwargs.get("out")):
            self.fill(value)

    def overwrite(self, value: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        """A true value lets the call use its first argument, wherever that is given, as scratch memory."""
        if value is not _ABSENT and _truthy(value):
            self.fill(args[0] if args else tuple(kwargs.values()))

    def evaluated(self, value: Any, kwargs: dict[str, Any]) -> None:
        """A text that names variables, and columns of tables among them."""
        scope = kwargs.get("local_dict")
        known = scope if type(scope) is dict else {}

        def is_column(table: str, column: str) -> bool:
            return table in known and hosts.has_dynamic(known[table], column)

        if type(value) is not str or not is_plain(value, is_column):
            self.effects.add(Effect.UNKNOWN)

    def options(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        """Patterns of pandas options, each before its value: only those that can differ between sessions."""
        config: Any = sys.modules.get("pandas._config.config")
        first = args[0] if args else kwargs.get("pat")
        patterns = list(first) if type(first) is dict else [first, *args[2::2]]
        for pattern in patterns:
            try:
                plain = type(pattern) is str and _PATTERN.fullmatch(pattern)  # it is tried on every option's name
                names = config._select_options(pattern) if plain else ()
            except re.error:
                names = ()
            if not names and plain:
                continue  # there is no such option, as pandas will say
            if not names or (pattern != "all" and not all(map(swappable, names))):
                self.effects.add(Effect.UNKNOWN)

    # Texts that name methods

    def named(self, value: Any, args: tuple[Any, ...], kwargs: dict[str, Any], depth: int) -> None:
        """A function given by name, by several names, or as named aggregations in the keyword arguments."""
        others = [item for item in args if item is not value]
        rest = {name: item for name, item in kwargs.items() if item is not value}
        specs: list[Any] = [value]
        if value is _ABSENT or value is None:
            specs = [item[1] if isinstance(item, tuple) and len(item) == 2 else item for item in rest.values()]
        for spec in _named_aggs(specs, 0):
            others.extend(getattr(spec, "args", None) or ())
            rest |= getattr(spec, "kwargs", None) or {}
        for name in _names(specs, 0):
            if name is None:
                self.effects.add(Effect.UNKNOWN)
            else:
                self.member(name, others, rest, depth)

    def member(self, name: str, args: list[Any], kwargs: dict[str, Any], depth: int) -> None:
        """All that a method of this name could do with what remains of the arguments."""
        if name.startswith("_") or depth >= _MAX_DEPTH:
            self.effects.add(Effect.UNKNOWN)
            return
        entries = list(self._entries(name))
        for entry in entries:
            if entry is None or entry.prints or entry.flags & _NOT_BY_NAME:  # by name, the plane could not do its part
                self.effects.add(Effect.UNKNOWN)
                continue
            self.effects |= entry.effects
            for param in entry.params:
                values = [kwargs[param.name]] if param.name in kwargs else []
                values.extend(_could_be(param, [*args, kwargs.get("args", ())]))
                for value in values:
                    if param.action == "expression" and isinstance(value, str) and "@" in value:
                        self.effects.add(Effect.UNKNOWN)  # called by name, nothing keeps it from the host's frames
                    elif param.action == "named":
                        self.named(value, tuple(args), kwargs, depth + 1)
                    elif param.action == "fills-after-inputs":
                        self.fill(value)
                    else:
                        self.given(param, value)

    def _entries(self, name: str) -> Iterator[Entry | None]:
        """The lines under which pandas may find a name; None for a member that is really there but not catalogued."""
        known = False
        for kind in (type(self.receiver), *_family_types()):
            entry = self.catalog.of(kind)
            line = entry.members.get(name) if entry is not None else None
            if line is not None:
                known = True
                yield line
            elif any(name in vars(base) for base in kind.__mro__):
                known = True
                yield None
        numpy = sys.modules.get("numpy")
        if not known and hasattr(numpy, name):
            module = self.catalog.module("numpy")
            yield module.members.get(name) if module is not None else None


def _family_types() -> Iterator[type]:
    for module, name in _FAMILIES:
        kind = getattr(sys.modules.get(module), name, None)
        if isinstance(kind, type):
            yield kind


def _names(specs: Iterable[Any], depth: int) -> Iterator[str | None]:
    """The names in a specification; None for something that may hide one."""
    for spec in specs:
        if isinstance(spec, str):
            yield str(spec)
        elif depth > _MAX_DEPTH:
            yield None
        elif isinstance(spec, dict):
            yield from _names(spec.values(), depth + 1)
        elif isinstance(spec, (list, tuple, set, frozenset)):
            yield from _names(spec, depth + 1)
        elif _named_agg(spec):
            yield from _names([spec.aggfunc], depth + 1)
        elif not callable(spec) and spec is not None and type(spec) not in (int, float, bool):
            yield None


def _named_aggs(specs: Iterable[Any], depth: int) -> Iterator[Any]:
    for spec in specs:
        if _named_agg(spec):
            yield spec
        elif depth <= _MAX_DEPTH and isinstance(spec, (list, tuple, dict)):
            yield from _named_aggs(spec.values() if isinstance(spec, dict) else spec, depth + 1)


def _named_agg(value: Any) -> bool:
    kind = type(value)
    return kind.__module__ == "pandas" and kind.__qualname__ in ("NamedAgg", "NamedFunc")


def _could_be(param: Param, values: Iterable[Any]) -> Iterator[Any]:
    """Positional arguments that may end up as this parameter of the named method; which one does is not known."""
    chooses = param.action == "never" or param.action.startswith("one-of(")
    for value in _flat(values):
        plain = value is None or type(value) in (int, float, bool) or (type(value) is str and value in _AXES)
        if not chooses or (param.position is not None and not plain):
            yield value


def _flat(values: Iterable[Any]) -> Iterator[Any]:
    for value in values:
        if type(value) in (list, tuple):
            yield from value
        else:
            yield value


_ACCEPTED: Final[dict[str, Callable[[Any], bool]]] = {
    "sql": lambda value: isinstance(value, str) and is_query(value),
    "query": is_query,
    "sql-types": is_sql_types,
    "whole": lambda value: not isinstance(value, (tuple, list)) or is_plain_parts(value),
    "plain": lambda value: value is None or type(value) in _PLAIN_VALUES,
    "format-text": is_plain_format,
    "exported": is_exported_style,
    "timestamp": is_timestamp,
    "array": is_arrow_array,
    "polars-sql": is_polars_statement,
}
"""Actions that are a question about the value; the answer no is `unknown`."""


def sources(action: str, value: Any) -> Iterable[Any]:
    """The single paths of an argument; for `source-read` bytes are content, and a list names several files."""
    if action != "source-read":
        return (value,)
    if isinstance(value, bytes):
        return ()
    return value if type(value) in (list, tuple) else (value,)


def ended(action: str, value: Any) -> Any:
    """A path with the ending that the library will give it."""
    ending = action.partition(".")[2]
    if not ending or not isinstance(value, (str, *_PATHS)):
        return value
    text = os.fspath(value)
    return text if text.endswith(f".{ending}") else f"{text}.{ending}"


_REASONS: Final = {
    "expression": "is a text of names, `quoted names`, @name, literals, operators, comparison, and, or, not, in, "
    "parentheses and lists; calls, attributes and subscripts are not",
    "evaluated": "is a text of names, columns of tables (df.x), literals, operators, comparison, parentheses and lists",
    "named": "names methods that a catalog describes and that may be called by name; pass a function instead",
    "sql": "is one statement as a text, without attach, vacuum, pragma or extension",
    "query": "is a statement without attach, vacuum, pragma or extension, or one of sqlalchemy's",
    "sql-types": "is of sqlalchemy's types, or names such as VARCHAR(10)",
    "connection": "is a sqlite3 connection, or an engine or connection of sqlalchemy, made or granted here",
    "format-text": "is a function, or a text whose fields are plain ({}, {0}, {name:.2f}) without . or [ in them",
    "exported": "is what Styler.export gave",
    "timestamp": "is a pandas.Timestamp",
    "whole": "is rows of numbers, a shape, or numbers with the rows and columns of each, as lists",
    "plain": "is a plain text or number",
    "never": "cannot be given here",
    "options": "names options of display, styler, future or mode",
    "view": "is a dtype of the same size without objects",
}
"""What a parameter takes, to complete a sentence."""


def reason_of(param: Param) -> str:
    """Why a call is not known: what the parameter takes."""
    action = param.action
    if action.startswith("one-of("):
        return f"{param.name!r} is one of {', '.join(action[len('one-of(') : -1].split('|'))}"
    if action in PATH_EFFECT:
        return f"{param.name!r} is a path, or a buffer of the io module"
    return f"{param.name!r} {_REASONS.get(action, 'is something else')}"


def _truthy(value: Any) -> bool:
    if value is None or type(value) in (bool, int):
        return bool(value)
    return True


def _is_stand_in(kind: type) -> bool:
    """Whether the plane made it for something of the guest's own: a function, a file, a record."""
    return kind.__module__.startswith("proxyplane.")
