"""Row filters: a small grammar over columns, read into plain tuples and evaluated on a frame's columns.

    region == "north" and (amount > 10 or not day < "2024-03-01")
    product in ["a", "b"]       `two words` != 3       amount >= 2 * cost

It is the grammar of `DataFrame.query` without what could reach beyond the columns: no attributes, calls, subscripts
or `@names`. A comparison with a missing value is neither true nor false, and only rows for which the whole is true are
kept (Kleene's three values, as in SQL's WHERE).
"""

from __future__ import annotations

import difflib
import operator
import re
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final, NamedTuple

from proxyplane.errors import PolicyError

__all__ = ["RowFilter", "matching", "parse"]

_TOKEN: Final = re.compile(
    r"""(?P<space>\s+)
    |(?P<number>(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?(?![\w.]))
    |(?P<text>'[^'\\\n]*'|"[^"\\\n]*")
    |(?P<quoted>`[^`\n]+`)
    |(?P<name>[^\W\d]\w*)
    |(?P<operator><=|>=|==|!=|[-+*/%<>()\[\],])
    """,
    re.VERBOSE,
)
_COMPARE: Final[dict[str, Callable[[Any, Any], Any]]] = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
    "==": operator.eq,
    "!=": operator.ne,
}
_ADD: Final = {"+": operator.add, "-": operator.sub}
_TIMES: Final = {"*": operator.mul, "/": operator.truediv, "%": operator.mod}
_ARITHMETIC: Final[dict[str, Callable[[Any, Any], Any]]] = {**_ADD, **_TIMES}
_LITERALS: Final = {"True": True, "False": False, "true": True, "false": False}
_WORDS: Final = frozenset(("and", "or", "not", "in"))
_MAX_CHARS: Final = 2_000
_MAX_DEPTH: Final = 50


class RowFilter(NamedTuple):
    """A condition on rows."""

    text: str
    tree: tuple[Any, ...]
    columns: frozenset[str]
    """Columns that it names; they need not be visible."""

    def keep(self, column: Callable[[str], Any], missing: Callable[[Any], Any]) -> Any:
        """Which rows are kept, as a boolean array.

        Args:
            column: the values of a column, as something that compares elementwise.
            missing: which of such values are missing, as a boolean array.

        Raises:
            TypeError, ValueError: a column cannot be compared with what it is compared with.
        """
        return _Truth(column, missing).of(self.tree)[0]


def parse(text: str) -> RowFilter:
    """Read a row filter.

    Raises:
        ValueError: it is none; says what was expected, and where.
    """
    if len(text) > _MAX_CHARS:
        raise ValueError(f"is longer than {_MAX_CHARS} characters")
    reader = _Reader(list(_tokens(text)))
    tree = reader.whole()
    if not reader.columns:
        raise ValueError("names no column")
    return RowFilter(text, tree, frozenset(reader.columns))


def matching(frame: Any, filters: Sequence[RowFilter]) -> Any:
    """The rows of a frame for which all filters are true.

    Args:
        frame: a DataFrame of pandas or polars, or a LazyFrame, which is collected and is lazy again after.
        filters: at least one.

    Raises:
        PolicyError: no frame, a column that it does not have once, or one that cannot be so compared.
    """
    library, kind = type(frame).__module__.partition(".")[0], type(frame).__name__
    if (library, kind) == ("polars", "LazyFrame"):
        return matching(frame.collect(), filters).lazy()
    if library not in ("pandas", "polars") or kind != "DataFrame":
        raise PolicyError(f"where needs a DataFrame; this object is a {kind}", hint="grant a DataFrame")
    is_missing = _missing_in_pandas if library == "pandas" else _missing_in_polars
    keep = None
    for each in filters:
        _check_columns(frame, each)
        try:
            one = each.keep(lambda name: _values(frame, name), is_missing)
        except Exception as error:  # whatever a library raises: the frame is not granted
            hint = "compare texts with texts, numbers with numbers"
            raise PolicyError(f"where cannot be evaluated on this object ({type(error).__name__})", hint=hint) from None
        keep = one if keep is None else keep & one
    return frame[keep] if library == "pandas" else frame.filter(keep)


def _check_columns(frame: Any, each: RowFilter) -> None:
    levels = [name for name in getattr(getattr(frame, "index", None), "names", ()) if name is not None]
    labels = list(frame.columns)
    for name in sorted(each.columns):
        if labels.count(name) + levels.count(name) != 1:
            close = difflib.get_close_matches(name, [str(label) for label in (*labels, *levels)], 1)
            hint = f"did you mean {close[0]!r}?" if close else "correct the name, or remove it from the policy"
            raise PolicyError(f"where names {name!r}, which is not one column of the frame", hint=hint)


def _values(frame: Any, name: str) -> Any:
    if name in list(frame.columns):
        return frame[name]
    return frame.index.get_level_values(name).to_series(index=frame.index)


def _missing_in_pandas(values: Any) -> Any:
    return values.isna().to_numpy()


def _missing_in_polars(values: Any) -> Any:
    missing = values.is_null()
    return ((missing | values.is_nan()) if values.dtype.is_float() else missing).to_numpy()


def _tokens(text: str) -> Iterator[tuple[str, str]]:
    at = 0
    while at < len(text):
        found = _TOKEN.match(text, at)
        if found is None:
            raise ValueError(f"{text[at]!r} (character {at + 1}) is no part of a row filter")
        at = found.end()
        kind, value = found.lastgroup or "", found.group()
        if kind == "name" and value in _WORDS:
            kind = "operator"
        if kind != "space":
            yield kind, value


class _Reader:
    """Recursive descent; `or` binds weakest, then `and`, `not`, comparison, `+ -`, `* / %`."""

    def __init__(self, tokens: list[tuple[str, str]]) -> None:
        self._tokens = tokens
        self._at = 0
        self._depth = 0
        self.columns: set[str] = set()

    def whole(self) -> tuple[Any, ...]:
        """The tree of all tokens."""
        tree = _condition(self._either())
        if self._at < len(self._tokens):
            raise ValueError(f"{self._found()} was not expected; join comparisons with and, or")
        return tree

    def _next(self, *values: str) -> str | None:
        if self._at < len(self._tokens):
            kind, value = self._tokens[self._at]
            if kind == "operator" and value in values:
                self._at += 1
                return value
        return None

    def _found(self) -> str:
        return repr(self._tokens[self._at][1]) if self._at < len(self._tokens) else "the end"

    def _either(self) -> tuple[Any, ...]:
        found = self._both()
        while self._next("or"):
            found = ("or", _condition(found), _condition(self._both()))
        return found

    def _both(self) -> tuple[Any, ...]:
        found = self._negated()
        while self._next("and"):
            found = ("and", _condition(found), _condition(self._negated()))
        return found

    def _negated(self) -> tuple[Any, ...]:
        turned = False
        negated = False
        while self._next("not"):
            turned, negated = not turned, True
        found = self._comparison()
        if negated:
            found = _condition(found)
        return ("not", found) if turned else found

    def _comparison(self) -> tuple[Any, ...]:
        left = self._sum()
        compared = self._next(*_COMPARE)
        if compared is not None:
            found = ("compare", compared, _value(left), _value(self._sum()))
            if self._next(*_COMPARE):
                raise ValueError("a comparison has two sides; join several with and")
            return found
        turned = self._next("not")
        if self._next("in"):
            inside = ("in", _value(left), self._list())
            return ("not", inside) if turned else inside
        if turned:
            raise ValueError(f"in was expected after not, instead of {self._found()}")
        return left

    def _list(self) -> tuple[Any, ...]:
        if not self._next("["):
            raise ValueError(f"a list such as ['a', 'b'] was expected after in, not {self._found()}")
        values = []
        while not self._next("]"):
            found = self._operand()
            if found[0] != "value":
                raise ValueError("a list holds texts and numbers only")
            values.append(found[1])
            if not self._next(",") and self._found() != "']'":
                raise ValueError(f"a list goes on with a comma, not {self._found()}")
        return tuple(values)

    def _sum(self) -> tuple[Any, ...]:
        found = self._product()
        while sign := self._next(*_ADD):
            found = ("arithmetic", sign, _value(found), _value(self._product()))
        return found

    def _product(self) -> tuple[Any, ...]:
        found = self._operand()
        while sign := self._next(*_TIMES):
            found = ("arithmetic", sign, _value(found), _value(self._operand()))
        return found

    def _operand(self) -> tuple[Any, ...]:
        self._depth += 1
        if self._depth > _MAX_DEPTH:
            raise ValueError("is nested too deeply")
        try:
            if self._next("("):
                inner = self._either()
                if not self._next(")"):
                    raise ValueError(f"a closing parenthesis was expected, not {self._found()}")
                return inner
            if self._next("-"):
                found = _value(self._operand())
                number = found[0] == "value" and type(found[1]) in (int, float)
                return ("value", -found[1]) if number else ("arithmetic", "-", ("value", 0), found)
            return self._name_or_value()
        finally:
            self._depth -= 1

    def _name_or_value(self) -> tuple[Any, ...]:
        if self._at >= len(self._tokens) or self._tokens[self._at][0] == "operator":
            raise ValueError(f"a column or a value was expected, not {self._found()}")
        kind, value = self._tokens[self._at]
        self._at += 1
        if kind == "number":
            return ("value", float(value) if any(mark in value for mark in ".eE") else int(value))
        if kind == "text":
            return ("value", value[1:-1])
        if value in _LITERALS:
            return ("value", _LITERALS[value])
        name = value.strip("`")
        self.columns.add(name)
        return ("column", name)


def _condition(tree: tuple[Any, ...]) -> tuple[Any, ...]:
    """A tree that is true or false of each row; a column alone means that it is true."""
    if tree[0] == "column":
        return ("compare", "==", tree, ("value", True))
    if tree[0] in ("value", "arithmetic"):
        raise ValueError("a comparison was expected, such as amount > 10")
    return tree


def _value(tree: tuple[Any, ...]) -> tuple[Any, ...]:
    """A tree that has a value in each row."""
    if tree[0] not in ("value", "column", "arithmetic"):
        raise ValueError("a column or a value was expected beside an operator, not a comparison")
    return tree


class _Truth:
    """Evaluates a tree to two arrays: where it is true, and where it is false."""

    def __init__(self, column: Callable[[str], Any], missing: Callable[[Any], Any]) -> None:
        self._column = column
        self._missing = missing

    def of(self, tree: tuple[Any, ...]) -> tuple[Any, Any]:
        kind = tree[0]
        if kind == "not":
            yes, no = self.of(tree[1])
            return no, yes
        if kind in ("and", "or"):
            (yes, no), (also, nor) = self.of(tree[1]), self.of(tree[2])
            return (yes & also, no | nor) if kind == "and" else (yes | also, no & nor)
        if kind == "in":
            found = None
            for value in tree[2]:
                one = self.of(("compare", "==", tree[1], ("value", value)))
                found = one if found is None else (found[0] | one[0], found[1] & one[1])
            if found is None:
                yes, no = self.of(("compare", "==", tree[1], tree[1]))
                return yes & no, yes | no
            return found
        sides = [self._value(side) for side in tree[2:]]
        known = None
        for (side, *_), value in zip(tree[2:], sides, strict=True):
            if side != "value":
                present = ~self._missing(value)
                known = present if known is None else known & present
        if known is None:
            raise ValueError("a comparison names no column")
        holds = _array(_COMPARE[tree[1]](*sides), known)
        return holds & known, ~holds & known

    def _value(self, tree: tuple[Any, ...]) -> Any:
        if tree[0] == "value":
            return tree[1]
        if tree[0] == "column":
            return self._column(tree[1])
        return _ARITHMETIC[tree[1]](self._value(tree[2]), self._value(tree[3]))


def _array(result: Any, like: Any) -> Any:
    """A comparison's result as a boolean array; where it is missing, the value does not count."""
    import numpy as np  # noqa: PLC0415 - only where a library with frames has loaded it already

    if hasattr(result, "to_numpy"):
        result = result.fill_null(False) if hasattr(result, "fill_null") else result.fillna(False)
        result = result.to_numpy()
    found = np.asarray(result, dtype=bool)
    if found.shape != like.shape:
        raise TypeError("the comparison does not give one answer for each row")
    return found
