"""How an exception crosses: rebuilt, with a text that holds nothing of the data.

The text of a native exception is kept word by word only where the word stands in the source of the code that raised
it (the string constants of the frames in the traceback: the templates), in the arguments of the operation itself,
among names the agent already knows, or in a short vocabulary for errors raised by compiled code. Every other word
becomes an ellipsis. No traceback, cause, context, `obj` or note crosses. (CVE-2024-47532, vm2's and n8n's
escapes: exceptions are the oldest hole in every membrane.)
"""

from __future__ import annotations

import builtins
import contextlib
import math
import os
import re
import sys
import types
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, NamedTuple

__all__ = ["Rebuilt", "rebuild", "rebuild_warning", "sizes_in"]

_WORD = re.compile(r"[A-Za-z_][\w]*|[^\sA-Za-z_]+|\s+")
_NAME = re.compile(r"[^\W\d]\w*")
_WORDS_CHARS = 200
"""An argument up to this length also lends its single words."""
_ALONE_BEFORE, _ALONE_AFTER = r"(?<![^\s'\"()\[\]{}<>,:;=])", r"(?![^\s'\"()\[\]{}<>,:;=.!?]|[.!?]\S)"
"""What may stand beside an own argument: space, quotes, brackets, the punctuation of a sentence."""
_CALLED = re.compile(
    r"([A-Za-z_]\w*\.)?[A-Za-z_]\w*\(\) "
    r"(takes (exactly |at most |at least |from \d{1,2} to )?\d{1,2} positional arguments?"
    r"( but \d{1,3} (was|were) given)?"
    r"|missing \d{1,2} required (positional|keyword-only) arguments?: '\w+'(,? (and )?'\w+')*)"
)
"""What Python says of a call that does not fit: names of functions and parameters, and how many there are."""
_MAX_TEXT = 2_000
_DROPPED = "…"

# Words of messages that compiled code raises (CPython, numpy, Arrow, pandas' own extensions); no data can put a word
# here, and a word of the data that happens to stand here says nothing but that.
_COMPILED = frozenset(
    """
    a an and any are argument arguments array arrays as at attribute attributes axis bad base be been boolean
    bool bounds broadcast builtin by bytes callable cannot cast casting comparison conversion convert converted
    could data date datetime dimension dimensional dimensions divide division does dtype dtypes element elements
    empty encountered error exceeds expected expects failed field first float for found from function get given got
    greater underflow
    has have in incompatible index indexable indexed indexer indexers indices input instance instances int
    integer integers into invalid is it item items iterable iterator key keys keyword label length less like
    list literal long loop matching method mismatch missing more multiple must name names nan negative no non
    none not null number numbers object objects of on one only operand operands operation or order ordering out
    outside over overflow parse parser positional possible provided range rather real required requested row
    rows same scalar second sequence set shape shapes should single size slice slices some str string
    subscriptable supported supports than that the this time timestamp to together too true tuple two type types
    ufunc unable unexpected unhashable unknown unorderable unpack unsupported use using valid value values was
    were when which with without wrong zero NoneType NaN NaT NA None True False Series DataFrame Index Timestamp
    Timedelta DatetimeIndex ndarray
    aggregation aggregate available call categorical collect columns comparing compatible consider context defined dtype
    duplicate enable ensure equal evaluate exist existing exists expression expressions filter find following function
    group hint incorrect inferred join joined joining lazy lengths list literal map match mean nested occurred operator
    original output perform plan predicate produced python_udf query resolved resolving return returned returns schema
    select selected selector setting sort specify strict struct supertype this try unit units unsupported valid
    Boolean Categorical Date Datetime Duration Expr Float32 Float64 Int16 Int32 Int64 Int8 LazyFrame Null Object String
    Struct Time UInt16 UInt32 UInt64 UInt8 Utf8
    base between but contain contains core day did different gufunc hour input interval minute month position second
    signature size takes year 10: 1..12 1..12: 1..31 0..23 0..59 [0, 0, 1, (n?,k),(k,m?)->(n?,m?) (n?,k),(k)->(n?)
    """.split()
) | frozenset(name.lower() for name in dir(builtins) if name.endswith(("Error", "Exception", "Warning")))


class Rebuilt(NamedTuple):
    """What crosses of an exception."""

    type: type[BaseException]
    args: tuple[Any, ...]
    message: str
    token: int | None = None
    """Number of the guest's own exception, when a callback raised it."""


def rebuild(error: BaseException, own: Iterable[Any], known: Callable[[str], bool]) -> Rebuilt:
    """The exception as it may cross.

    Args:
        error: the real one, with its traceback.
        own: arguments of the operation that raised it.
        known: whether a name is one the agent already has (columns, names it sent).
    """
    token = getattr(error, "_proxyplane_token", None)
    own_text = set(_texts(own, 0))
    words = _templates(error)
    if isinstance(error, ImportError):
        words |= _optional_libraries()

    def allowed(word: str) -> bool:
        return word in words or word.lower() in _COMPILED or word in own_text or known(word)

    text = _text(error)
    message = text if isinstance(error, TypeError) and _CALLED.fullmatch(text) else scrub(text, own_text, allowed)
    kind = type(error)
    if isinstance(error, KeyError):
        first = error.args[0] if error.args else ""
        key = first if type(first) in (str, int, float, bool) and str(first) in own_text else scrub_key(first, allowed)
        return Rebuilt(kind, (key,), message, token)
    if isinstance(error, OSError) and type(error.errno) is int and str(error.filename) in own_text:
        return Rebuilt(kind, (error.errno, os.strerror(error.errno), str(error.filename)), message, token)
    return Rebuilt(kind, (message,) if message else (), message, token)


def rebuild_warning(
    text: str, codes: Iterable[types.CodeType], own: Iterable[Any], known: Callable[[str], bool]
) -> str:
    """The text of a warning as it may cross, by the same rule.

    Args:
        text: the real one.
        codes: code of the frames that issued it.
        own, known: as for `rebuild`.
    """
    own_text = set(_texts(own, 0))
    words: set[str] = set().union(*map(_constant_words, codes))
    return scrub(text, own_text, lambda w: w in words or w.lower() in _COMPILED or w in own_text or known(w))


def scrub(text: str, own: set[str], allowed: Callable[[str], bool]) -> str:
    """The text with every word that is not allowed replaced; longest own arguments are kept whole."""
    out: list[str] = []
    for part in _split_own(text[:_MAX_TEXT], own):
        if part in own:
            out.append(part)
            continue
        for piece in _WORD.findall(part):
            if piece.isspace() or _harmless(piece) or allowed(piece):
                out.append(piece)
            elif not (out and out[-1] == _DROPPED):
                out.append(_DROPPED)
    return "".join(out)


def scrub_key(value: Any, allowed: Callable[[str], bool]) -> str:
    """The text of a KeyError's argument that is not simply one of the operation's own."""
    return scrub(value if type(value) is str else _text_of(value), set(), allowed)


def _harmless(piece: str) -> bool:
    return not any(character.isalnum() for character in piece) and len(piece) <= 8


def _split_own(text: str, own: set[str]) -> list[str]:
    """The text split at whole own arguments; inside of a longer word they are not taken for one.

    (Given all pairs of digits as arguments, a text made of such pairs would otherwise come through whole.)
    """
    long = sorted((word for word in own if len(word) > 1 and word in text), key=len, reverse=True)[:50]
    if not long:
        return [text]
    return re.split(_ALONE_BEFORE + "(" + "|".join(map(re.escape, long)) + ")" + _ALONE_AFTER, text)


def _text(error: BaseException) -> str:
    if isinstance(error, KeyError) and error.args:
        return _text_of(error.args[0])
    return _text_of(error)


def _text_of(value: Any) -> str:
    try:
        return str(value)
    except Exception:
        return ""


def sizes_in(shapes: Iterable[tuple[int, ...]]) -> Iterable[str]:
    """The forms in which libraries write shapes, lengths and sizes."""
    for shape in shapes:
        if len(shape) <= 4 and all(type(size) is int for size in shape):
            yield str(shape)
            yield f"({','.join(map(str, shape))})"
            for size in (*shape, math.prod(shape)):
                yield str(size)
                yield f"({size})"


def _texts(values: Iterable[Any], depth: int) -> Iterable[str]:
    """Texts of the plain values among the arguments, in the forms in which a message would quote them."""
    for value in values:
        kind = type(value)
        if kind in (str, int, float, bool):
            yield str(value)
            if kind is str:
                yield repr(value)
                yield f"[{value}]"
                if len(value) <= _WORDS_CHARS:
                    yield from _NAME.findall(value)
        elif kind in (list, tuple, set, frozenset) and depth < 4 and len(value) <= 200:
            yield from _texts(value, depth + 1)
        elif kind is dict and depth < 4 and len(value) <= 200:
            yield from _texts(value.keys(), depth + 1)
            yield from _texts(value.values(), depth + 1)


def _templates(error: BaseException) -> set[str]:
    """Words of the string constants in the code of the frames that the exception passed through."""
    words: set[str] = set()
    trace: types.TracebackType | None = error.__traceback__
    while trace is not None:
        code = trace.tb_frame.f_code
        words.update(_constant_words(code))
        if not code.co_filename.endswith(".py"):
            words.update(_compiled_words(str(trace.tb_frame.f_globals.get("__file__"))))
        trace = trace.tb_next
    return words


def _optional_libraries() -> set[str]:
    """Names of libraries that pandas can use: it asks for one that is missing."""
    optional: Any = sys.modules.get("pandas.compat._optional")
    asked = getattr(optional, "INSTALL_MAPPING", {})
    return {
        word for name in (*getattr(optional, "VERSIONS", ()), *asked, *asked.values()) for word in _NAME.findall(name)
    }


_compiled: dict[str, frozenset[str]] = {}
_TEXT = re.compile(rb"[ -~]{8,400}")


def _compiled_words(path: str) -> frozenset[str]:
    """Words of the messages in an extension module, whose code objects have no constants: all texts of its file in
    which words are separated by blanks."""
    found = _compiled.get(path)
    if found is None:
        words: set[str] = set()
        with contextlib.suppress(OSError):
            if path.endswith(".so"):
                for text in _TEXT.findall(Path(path).read_bytes()):
                    if b" " in text:
                        words.update(re.findall(r"[A-Za-z]{2,20}", text.decode("ascii")))
        found = _compiled[path] = frozenset(words)
    return found


_constants: dict[types.CodeType, frozenset[str]] = {}


def _constant_words(code: types.CodeType) -> frozenset[str]:
    found = _constants.get(code)
    if found is None:
        words: set[str] = set()
        for constant in code.co_consts:
            if type(constant) is str:
                words.update(constant.split())
                words.update(re.findall(r"[A-Za-z_]\w*|\d+", constant))
        words.update(code.co_varnames)
        found = _constants[code] = frozenset(words)
    return found
