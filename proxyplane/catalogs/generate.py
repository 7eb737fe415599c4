"""Writes the packaged catalogs from the installed libraries.

    python -m proxyplane.catalogs.generate          # rewrite proxyplane/catalogs/*.toml
    python -m proxyplane.catalogs.generate --check  # exit 1 when a file differs from what would be written

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
import types
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from proxyplane.catalogs.signatures import kind_word, positions_of

__all__ = ["Review", "TypeReview", "main", "render"]

FOLDER = Path(__file__).parent
_DUNDERS = frozenset(
    "__len__ __contains__ __iter__ __next__ __getitem__ __setitem__ __delitem__ __eq__ __ne__ __lt__ "
    "__le__ __gt__ __ge__ "
    "__hash__ __bool__ __int__ __float__ __complex__ __index__ __round__ __trunc__ __floor__ __ceil__ "
    "__reversed__ __neg__ "
    "__pos__ __invert__ __abs__ __repr__ __str__ __format__ __enter__ __exit__ __call__ __copy__ __deepcopy__".split()
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
    for name, left_out in review.modules.items():
        module = importlib.import_module(name)
        keep = frozenset(left_out[1:]) if left_out and left_out[0] == "only" else None
        yield ""
        yield f'[module."{name}"]'
        for member in sorted(dir(module)):
            if member.startswith("_") or (keep is not None and member not in keep):
                continue
            if (keep is None and member in left_out) or f"{name}.{member}" in review.absent:
                continue
            line = _module_line(review, name, member, getattr(module, member), described)
            if line is not None:
                yield f"{_key(member)} = {_quoted(line)}"


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
            if inherited.get(member) != line:
                yield f"{_key(member)} = {_quoted(line)}"
        yield from entry.extra


def _members(review: Review, entry: TypeReview, kind: type, inherited: dict[str, str]) -> Iterator[tuple[str, str]]:
    for member in sorted(dir(kind), key=lambda name: (name.startswith("__"), name)):
        special = member in _DUNDERS or member in _ARITHMETIC or member in _IN_PLACE
        if (member.startswith("_") and not special) or (entry.only is not None and member not in entry.only):
            continue
        if _is_absent(review, kind, member):
            if member in inherited:
                yield member, "absent"
            continue
        static = inspect.getattr_static(kind, member, None)
        if static is None or (member == "__hash__" and not entry.hashable):
            continue
        line = _special_line(review, entry, kind, member) if special else _member_line(review, kind, member, static)
        if line is not None:
            yield member, line


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
        if not colon or "@" in name or positions is None or name in positions:
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


def reviews() -> list[Review]:
    """The reviews of all packaged catalogs; imports the libraries."""
    names = ("review_builtins", "review_numpy", "review_pandas", "review_polars")
    return [importlib.import_module(f"proxyplane.catalogs.{name}").REVIEW for name in names]


def main(arguments: list[str]) -> int:
    """Write the files, or with `--check` compare them; the exit code."""
    differing: list[str] = []
    tables: Tables = {}
    for review in reviews():
        path = FOLDER / f"{review.library}.toml"
        text = render(review, tables)
        if not path.exists() or path.read_text() != text:
            differing.append(path.name)
            if "--check" not in arguments:
                path.write_text(text)
    print("\n".join(differing) or "the catalogs are as generated")
    return 1 if differing and "--check" in arguments else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
