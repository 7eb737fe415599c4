"""Writes the packaged catalogs from the installed libraries.

    python -m proxyplane.catalogs.generate          # rewrite proxyplane/catalogs/*.toml
    python -m proxyplane.catalogs.generate --check  # exit 1 when a file differs from what would be written

Both print what is new, gone or described differently, member by member, and what nobody has reviewed.

What is introspected: which members there are, of what kind, and at which position a parameter stands. What they do is
decided by hand: the tables in `review_pandas`, `review_numpy` and `review_builtins`. A member that no table speaks of
computes something new and changes nothing; that default was checked for every line, and a new version of a library is
reviewed as the diff of the generated file.
"""

from __future__ import annotations

import importlib
import inspect
import re
import sys
import tomllib
import types
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from proxyplane.catalogs import refusals
from proxyplane.catalogs.rules import Rules
from proxyplane.catalogs.signatures import kind_word, positions_of

__all__ = ["Review", "TypeReview", "main", "render"]

FOLDER = Path(__file__).parent
_DUNDERS = frozenset(
    "__len__ __contains__ __iter__ __next__ __getitem__ __setitem__ __delitem__ __eq__ __ne__ __lt__ "
    "__le__ __gt__ __ge__ "
    "__hash__ __bool__ __int__ __float__ __complex__ __index__ __round__ __trunc__ __floor__ __ceil__ "
    "__reversed__ __neg__ "
    "__pos__ __invert__ __abs__ __repr__ __str__ __format__ __dataframe__ "
    "__enter__ __exit__ __call__ __copy__ __deepcopy__".split()
)
_OPERATORS = "add sub mul truediv floordiv mod pow matmul divmod and or xor lshift rshift".split()
_ARITHMETIC = frozenset(f"__{side}{name}__" for name in _OPERATORS for side in ("", "r"))
_IN_PLACE = frozenset(f"__i{name}__" for name in _OPERATORS)
_SHOWING = frozenset(("__repr__", "__str__", "__format__"))


class TypeReview(NamedTuple):
    """How one type is described."""

    path: str
    """`module:Name`, where it can be imported from."""
    inherits: tuple[str, ...] = ()
    """Names of other tables. Lines that say the same are left out here."""
    meta: tuple[str, ...] = ()
    """Lines about the type itself, such as `carries = true`."""
    only: frozenset[str] | None = None
    """If given, no members but these."""
    make: str | None = "compute"
    """What calling the type does; None: it cannot be called."""
    hashable: bool = True
    """False where `__hash__` exists and raises."""
    extra: tuple[str, ...] = ()
    """Whole lines for what instances have and the class does not."""
    immutable: bool = False
    """In-place operators give a new object."""
    deferred: tuple[str, ...] = ()
    """Tables whose harmless members it names, to be used later on an object of that type: they are its own."""


class Review(NamedTuple):
    """All hand decisions about one library."""

    library: str
    versions: str
    types: tuple[TypeReview, ...]
    modules: dict[str, Sequence[str]]
    """Module name to the names that are left out; a list that begins with `only` has what is kept instead."""
    lines: dict[str, str]
    """`Type.member`, `module.member` or `.member` to its line without positions."""
    absent: frozenset[str]
    """The same keys: members that are not in the catalog."""
    params: dict[str, str]
    """Parameter name to action, wherever a parameter has that name."""
    schema: frozenset[str]
    """Properties and methods that give schema."""
    fresh: frozenset[str]
    """Members whose containers were made for the call."""
    written: tuple[str, ...] = ()
    """Lines that nothing can be introspected for, as they stand in the file."""
    private: dict[str, tuple[str, str]] = {}  # noqa: RUF012 - a NamedTuple's default; nobody changes it
    """`Type.member` with one leading underscore to its line, and why it may be reached all the same."""


Tables = dict[str, dict[str, str]]
"""Lines by type name, of this file and of those that it builds on."""


def render(review: Review, written: Tables) -> str:
    """The catalog file of a library, as text.

    Args:
        review: the hand decisions.
        written: tables of the libraries before it; those of this one are added.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return "\n".join([*_header(review), *_modules(review), *_types(review, written), *review.written]) + "\n"


def _header(review: Review) -> Iterator[str]:
    yield "# Written by proxyplane/catalogs/generate.py from the reviewed tables beside it; grammar: docs/catalog.md."
    yield f'library  = "{review.library}"'
    yield f'versions = "{review.versions}"'


def _modules(review: Review) -> Iterator[str]:
    described = {_type_name(_load(entry.path)) for entry in review.types}
    loaded = {name: importlib.import_module(name) for name in review.modules}  # all, before the first is listed
    for name, left_out in review.modules.items():
        module = loaded[name]
        keep = frozenset(left_out[1:]) if left_out and left_out[0] == "only" else None
        yield ""
        yield f'[module."{name}"]'
        for member in sorted(dir(module)):
            if member.startswith("_"):
                continue
            line = None
            kept = member not in left_out if keep is None else member in keep
            if kept and f"{name}.{member}" not in review.absent:
                line = _module_line(review, name, member, getattr(module, member), described)
            if line is None:
                line = _refused(review.library, name, member, module)
            if line == refusals.NOT_REVIEWED and keep is not None:
                continue  # a module of the implementation, of which some names are offered
            yield f"{_key(member)} = {_quoted(line)}"


def _refused(library: str, name: str, member: str, module: types.ModuleType) -> str:
    """The line that refuses a member of a module: what only passes through it needs no reason of its own."""
    value = getattr(module, member, None)
    home = value.__name__ if isinstance(value, types.ModuleType) else getattr(value, "__module__", None)
    made_here = () if isinstance(value, types.ModuleType) else ("builtins", "importlib")  # as compiled code has it
    borrowed = type(home) is str and home.partition(".")[0] not in (library, *made_here)
    return refusals.BORROWED if borrowed else refusals.reason(library, (name,), member)


def _module_line(review: Review, module: str, member: str, value: Any, described: set[str]) -> str | None:
    hand = review.lines.get(f"{module}.{member}")
    if hand is not None:
        return _with_positions(review, hand, value, bound=True)
    if isinstance(value, types.ModuleType):
        return "module" if value.__name__ in review.modules and value.__name__ == f"{module}.{member}" else None
    if isinstance(value, type):
        known = _type_name(value) in described or (issubclass(value, BaseException) and value.__module__ != "builtins")
        return "type" if known else None
    if callable(value) and _is_function(value):
        words = ["function", "compute"]
        if member in review.fresh:
            words.append("fresh")
        return _with_positions(review, " ".join(words), value, bound=True)
    if type(value) in (int, float, str, bool, type(None)) or _type_name(type(value)) in described:
        return "constant"
    return None


_FUNCTIONS = frozenset(
    (
        "function builtin_function_or_method _ArrayFunctionDispatcher ufunc method cython_function_or_method "
        "_MaskedUnaryOperation _MaskedBinaryOperation _DomainedBinaryOperation _extrema_operation"
    ).split()
)


def _is_function(value: Any) -> bool:
    return type(value).__name__ in _FUNCTIONS


def _types(review: Review, written: Tables) -> Iterator[str]:
    for entry in review.types:
        kind = _load(entry.path)
        name = _type_name(kind)
        if name in written:  # an alias, such as IntDType
            continue
        inherited: dict[str, str] = {}
        for base in reversed(entry.inherits):
            inherited |= written.get(base, {})
        own = dict(_members(review, entry, kind, inherited))
        written[name] = inherited | own
        yield ""
        yield f'[type."{name}"]'
        if entry.inherits:
            yield f"inherits = [{', '.join(_quoted(base) for base in entry.inherits)}]"
        yield from entry.meta
        if entry.make is not None:
            yield f'"()" = {_quoted(_with_positions(review, entry.make, kind, bound=True))}'
        for member, line in own.items():
            if inherited.get(member) != line or _is_private(member):  # private ones hold for their own type only
                yield f"{_key(member)} = {_quoted(line)}"
        yield from entry.extra
        for member in sorted(
            {name for table in entry.deferred for name, line in written[table].items() if _later(name, line)}
        ):
            if member not in own:
                yield f'{_key(member)} = "property compute instance"'


_LATER = re.compile(
    r"(property|method) (read|compute)( (schema|fresh|pure|joins|settable|inplace:mutate|reveals=\S+))*"
)


def _later(member: str, line: str) -> bool:
    """Whether a member does nothing but compute, whatever it is called with later."""
    return not member.startswith("_") and _LATER.fullmatch(line) is not None


def _members(review: Review, entry: TypeReview, kind: type, inherited: dict[str, str]) -> Iterator[tuple[str, str]]:
    apart = {line.partition(" = ")[0] for line in entry.extra}
    for member in sorted(dir(kind), key=lambda name: (name.startswith("__"), name)):
        special = member in _DUNDERS or member in _ARITHMETIC or member in _IN_PLACE
        if _is_private(member):
            hand = review.private.get(f"{kind.__name__}.{member}")
            if hand is not None:
                static = inspect.getattr_static(kind, member)
                yield member, _with_positions(review, hand[0], getattr(kind, member, static), bound=_bound(static))
            continue
        if (member.startswith("_") and not special) or member in apart:
            continue
        left_out = _is_absent(review, kind, member) or (entry.only is not None and member not in entry.only)
        if left_out and special:
            if member in inherited and _is_absent(review, kind, member):
                yield member, "absent"
            continue
        static = inspect.getattr_static(kind, member, None)
        if special and (static is None or (member == "__hash__" and not entry.hashable)):
            continue
        if type(static).__name__ == "_tuplegetter" and 'dynamic = "fields"' in entry.meta:
            continue
        line = None
        if not left_out and static is not None:
            line = _special_line(review, entry, kind, member) if special else _member_line(review, kind, member, static)
        elif entry.only is not None and member not in entry.only and member in inherited:
            continue  # what it inherits is said there
        yield member, line or refusals.reason(review.library, _owners(kind), member)


def _owners(kind: type) -> tuple[str, ...]:
    return tuple(owner.__name__ for owner in kind.__mro__)


def _special_line(review: Review, entry: TypeReview, kind: type, member: str) -> str:
    for owner in kind.__mro__:
        hand = review.lines.get(f"{owner.__name__}.{member}")
        if hand is not None:
            return hand
    hand = review.lines.get(f".{member}")
    if hand is not None:
        return hand
    if member in _SHOWING:
        return "reveal reveals=display"
    if member in ("__setitem__", "__delitem__") or (member in _IN_PLACE and not entry.immutable):
        return "mutate"
    if member == "__len__":
        return "read schema"
    if member in ("__hash__", "__enter__", "__exit__"):
        return "read" if member == "__hash__" else "compute"
    if member == "__iter__":
        return "compute pure"
    return "compute fresh" if "divmod" in member else "compute"


def _member_line(review: Review, kind: type, member: str, static: Any) -> str | None:
    value = getattr(kind, member, static)
    for owner in kind.__mro__:
        hand = review.lines.get(f"{owner.__name__}.{member}")
        if hand is not None:
            return _with_positions(review, hand, value, bound=_bound(static))
    hand = review.lines.get(f".{member}")
    if hand is not None:
        return _with_positions(review, hand, value, bound=_bound(static))
    word = kind_word(static)
    if word == "constant":
        return "constant" if type(value) in (int, float, str, bool) or isinstance(value, kind) else None
    effect = "read" if word == "property" else "compute"
    words = [word, effect]
    if word == "property" and member in review.schema:
        words.append("schema")
    if member in review.fresh:
        words.append("fresh")
    return _with_positions(review, " ".join(words), value, bound=_bound(static))


def _bound(static: Any) -> bool:
    return kind_word(static) == "classmethod"


def _with_positions(review: Review, line: str, value: Any, *, bound: bool) -> str:
    """Add what parameter names say, and the position of each parameter."""
    positions = positions_of(value, bound)
    words = line.split()
    if "!params" in words:
        words.remove("!params")
    elif positions is not None:
        mentioned = {re.split("[@:]", word)[0] for word in words if ":" in word}
        dismissed = {word[1:] for word in words if word.startswith("-")}
        words = [word for word in words if not word.startswith("-")]
        added = [name for name in positions if name in review.params and name not in mentioned | dismissed]
        words += [f"{name}:{review.params[name]}" for name in added]
        words += _further_outputs(value)
    _check_names(words, positions, value)
    return " ".join(_with_position(word, positions or {}) for word in words)


def _further_outputs(value: Any) -> list[str]:
    """A universal function with two outputs takes two places for them; masked ones pass on what they are given."""
    if type(value).__name__ in ("_MaskedUnaryOperation", "_MaskedBinaryOperation", "_DomainedBinaryOperation"):
        return [f"out@{1 if 'Unary' in type(value).__name__ else 2}:fills"]
    if type(value).__name__ != "ufunc":
        return []
    return [f"out{place}@{value.nin + place - 1}:fills" for place in range(2, value.nout + 1)]


def _check_names(words: list[str], positions: dict[str, int | None] | None, value: Any) -> None:
    """A rule for a parameter that does not exist would be a hole."""
    for word in words:
        name, colon, action = word.partition(":")
        if not colon or "@" in name or name == "self" or positions is None or name in positions:
            continue
        if action == "never" or action.startswith("one-of") or _takes_keywords(value):
            continue  # it cannot be given, or not by position
        raise ValueError(f"{value!r} has no parameter {name!r}; correct the review")


def _takes_keywords(value: Any) -> bool:
    return any(p.kind is p.VAR_KEYWORD for p in inspect.signature(value).parameters.values())


def _with_position(word: str, positions: dict[str, int | None]) -> str:
    name, colon, action = word.partition(":")
    if not colon or "@" in name or positions.get(name) is None:
        return word
    return f"{name}@{positions[name]}:{action}"


def _is_private(member: str) -> bool:
    return member.startswith("_") and not member.startswith("__")


def _is_absent(review: Review, kind: type, member: str) -> bool:
    return f".{member}" in review.absent or any(f"{owner.__name__}.{member}" in review.absent for owner in kind.__mro__)


def _load(path: str) -> type:
    module, _, name = path.partition(":")
    value: Any = importlib.import_module(module)
    for part in name.split("."):
        value = getattr(value, part)
    if not isinstance(value, type):
        raise TypeError(f"{path} is no type; correct the review")
    return value


def _type_name(kind: type) -> str:
    return f"{kind.__module__}.{kind.__qualname__}"


def _key(name: str) -> str:
    return name if re.fullmatch(r"[A-Za-z0-9_-]+", name) else _quoted(name)


def _quoted(text: str) -> str:
    return f'"{text}"'


def expand(review: types.ModuleType) -> str:
    """The catalog file of a library that is reviewed as rules: a line for each member that they describe or leave out.

    Args:
        review: a module with `LIBRARY VERSIONS MODULES RULES LINES`, such as `review_pyarrow`.
    """
    modules = {name: importlib.import_module(name) for name in review.MODULES}
    rules = Rules(review.LIBRARY, {**review.RULES, "lines": review.LINES})
    out = ["# Written by proxyplane/catalogs/generate.py from the reviewed rules beside it; grammar: docs/catalog.md."]
    out += [f'library  = "{review.LIBRARY}"', f'versions = "{review.VERSIONS}"']
    for name, module in modules.items():
        lines = dict(rules.module_texts(name) or {})
        for member in dir(module):
            if not member.startswith("_") and member not in lines:
                lines[member] = _refused(review.LIBRARY, name, member, module)
        out += ["", f'[module."{name}"]', *(f"{_key(member)} = {_quoted(lines[member])}" for member in sorted(lines))]
    written: Tables = {}
    for kind in _classes(modules, rules):
        out += _expanded(rules, kind, written)
    return "\n".join(out) + "\n"


def _classes(modules: dict[str, types.ModuleType], rules: Rules) -> list[type]:
    """Every class that the rules describe, bases first."""
    homes = [*modules.values(), *(sys.modules[f"{name}.lib"] for name in modules if f"{name}.lib" in sys.modules)]
    found = {base for home in homes for kind in vars(home).values() if isinstance(kind, type) for base in kind.__mro__}
    described = [kind for kind in found if rules.type_texts(kind) is not None]
    return sorted(described, key=lambda kind: (len(kind.__mro__), _type_name(kind)))


def _expanded(rules: Rules, kind: type, written: Tables) -> Iterator[str]:
    """The table of one class, without the lines that its nearest described base has too."""
    lines, builtin, inherits = rules.type_texts(kind) or ({}, None, ())
    base = next((name for name in map(_type_name, kind.__mro__[1:]) if name in written), None)
    above = written[base] if base is not None else {}
    for member in dir(kind):
        if not member.startswith("_") and member not in lines and "builtins.BaseException" not in inherits:
            lines[member] = refusals.reason(rules.library, _owners(kind), member)
    lines.update((member, "absent") for member in above.keys() - lines.keys() if member != "()")
    written[_type_name(kind)] = {member: line for member, line in lines.items() if line != "absent"}
    yield ""
    yield f'[type."{_type_name(kind)}"]'
    parents = [*inherits, *([base] if base is not None else [])]
    if parents:
        yield f"inherits = [{', '.join(map(_quoted, parents))}]"
    if builtin is not None:
        yield f"builtin = {_quoted(builtin)}"
    for member in sorted(lines, key=lambda name: (name.startswith("__"), name)):
        if member == "()" or above.get(member) != lines[member]:
            yield f"{_key(member)} = {_quoted(lines[member])}"


def reviews() -> list[Review]:
    """The reviews of all packaged catalogs; imports the libraries."""
    names = ("review_builtins", "review_numpy", "review_pandas", "review_polars")
    return [importlib.import_module(f"proxyplane.catalogs.{name}").REVIEW for name in names]


def main(arguments: list[str]) -> int:
    """Write the files, or with `--check` compare them; the exit code."""
    check = "--check" in arguments
    tables: Tables = {}
    texts = {review.library: render(review, tables) for review in reviews()}
    ruled = importlib.import_module("proxyplane.catalogs.review_pyarrow")
    texts[ruled.LIBRARY] = expand(ruled)
    differing = False
    for library, text in texts.items():
        path = FOLDER / f"{library}.toml"
        before = path.read_text() if path.exists() else ""
        told = [*differences(library, before, text), *unreviewed(library, text)]
        if before != text and not told:
            told = [f"{path.name}: the same members, written differently"]
        differing = differing or bool(told)
        print(*told, sep="\n", end="\n" if told else "")
        if before != text and not check:
            path.write_text(text)
    if not differing:
        print("the catalogs are as generated")
    return 1 if differing and check else 0


def differences(library: str, before: str, after: str) -> list[str]:
    """What became of each member between two texts of a catalog: `+` new, `-` gone, `~` described differently."""
    old, new = _by_member(before), _by_member(after)
    return [
        f"{library}: + {name} = {new[name]}"
        if name not in old
        else f"{library}: - {name} = {old[name]}"
        if name not in new
        else f"{library}: ~ {name}: {old[name]} -> {new[name]}"
        for name in sorted(old.keys() | new.keys())
        if old.get(name) != new.get(name)
    ]


def unreviewed(library: str, text: str) -> list[str]:
    """Members that no review describes and no reason refuses."""
    lines = _by_member(text).items()
    return [f"{library}: ? {name}: not reviewed" for name, line in lines if line == refusals.NOT_REVIEWED]


def _by_member(text: str) -> dict[str, str]:
    content = tomllib.loads(text)
    return {
        f"{owner}.{member}": str(line)
        for section in ("module", "type")
        for owner, lines in content.get(section, {}).items()
        for member, line in lines.items()
    }


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
