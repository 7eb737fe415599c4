"""Expressions that wait: what is done with a chain is kept until a value is needed, then sent as one batch.

north = chain[chain["region"] == "north"].amount.sum()      nothing was sent
f"{north}"                                                 now: five operations, one request
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, Final

from proxyplane.transport.wire import Tag

__all__ = ["Chain", "gathered"]

RESULT_TAG: Final = 30
"""`[30, 2]`: the third result of the same batch (`docs/http.md`)."""
_NESTED: Final[dict[type, int]] = {list: Tag.LIST, tuple: Tag.TUPLE, set: Tag.SET, frozenset: Tag.FROZENSET}
_put = object.__setattr__

Operations = list[list[Any]]


class Chain:
    """One step of an expression that was not computed yet.

    Attributes, calls, items, comparisons and operators give further steps; everything that needs a value (`repr`,
    `str`, `bool`, `len`, `iter`, `int`, `float`, `format`, `in`) computes it.

    Args:
        pull: computes a chain.
        verb: of the step; `value` for its start, `attribute` for a name that may yet be called.
        parts: what it works on, and with what.
        kwargs: keyword arguments of a call.
    """

    __slots__ = ("_kwargs", "_parts", "_pull", "_verb", "done", "value")

    def __init__(
        self,
        pull: Callable[[Chain], Any],
        verb: str,
        parts: tuple[Any, ...],
        kwargs: dict[str, Any] | None = None,
    ) -> None:
        _put(self, "_pull", pull)
        _put(self, "_verb", verb)
        _put(self, "_parts", parts)
        _put(self, "_kwargs", kwargs or {})
        _put(self, "done", verb == "value")
        _put(self, "value", parts[0] if verb == "value" else None)

    def settle(self, value: Any) -> None:
        """It has been computed."""
        _put(self, "value", value)
        _put(self, "done", True)
        _put(self, "_parts", ())

    def _step(self, verb: str, *parts: Any, **kwargs: Any) -> Chain:
        return Chain(self._pull, verb, (self, *parts), kwargs)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(f"a chain has no attribute {name!r}; private names are refused everywhere")
        return self._step("attribute", name)

    def __setattr__(self, name: str, value: Any) -> None:
        raise AttributeError("a chain only computes; set attributes of a stub (session.objects) or in session.run")

    def __call__(self, /, *args: Any, **kwargs: Any) -> Chain:
        return Chain(self._pull, "call", (self, *args), kwargs)

    def __getitem__(self, key: Any) -> Chain:
        return self._step("getitem", key)

    def __repr__(self) -> str:
        return repr(self._pull(self))

    def __str__(self) -> str:
        return str(self._pull(self))

    def __format__(self, spec: str) -> str:
        return format(self._pull(self), spec)

    def __bool__(self) -> bool:
        return bool(self._pull(self))

    def __len__(self) -> int:
        return len(self._pull(self))

    def __iter__(self) -> Iterator[Any]:
        return iter(self._pull(self))

    def __contains__(self, item: Any) -> bool:
        return item in self._pull(self)

    def __int__(self) -> int:
        return int(self._pull(self))

    def __float__(self) -> float:
        return float(self._pull(self))

    def __index__(self) -> int:
        value: int = self._pull(self).__index__()
        return value

    __hash__ = None  # type: ignore[assignment]  # it compares as what it will be


def _operator(verb: str, member: str) -> Callable[..., Chain]:
    def operate(self: Chain, *others: Any) -> Chain:
        return self._step(verb, member, *others)

    operate.__name__ = operate.__qualname__ = f"__{member}__"
    return operate


_BINARY: Final = "add sub mul truediv floordiv mod pow matmul and or xor lshift rshift".split()
for _name in (*_BINARY, *(f"r{each}" for each in _BINARY)):
    setattr(Chain, f"__{_name}__", _operator("binop", _name))
for _name in ("eq", "ne", "lt", "le", "gt", "ge"):
    setattr(Chain, f"__{_name}__", _operator("compare", _name))
for _name in ("neg", "pos", "abs", "invert"):
    setattr(Chain, f"__{_name}__", _operator("unop", _name))


def gathered(chain: Chain, encode: Callable[[Any], Any]) -> tuple[Operations, Any]:
    """The operations that a chain needs, in order, each once, and its value where it needs none.

    Args:
        chain: what is wanted.
        encode: gives the wire form of what is no chain.

    Raises:
        TypeError, ValueError: something in it cannot cross.
    """
    operations: Operations = []
    numbers: dict[int, int] = {}

    def place(value: Any) -> Any:
        if not isinstance(value, Chain):
            tag = _NESTED.get(type(value))
            if tag is not None:
                return [tag, *[place(item) for item in value]]
            if type(value) is dict:
                return [Tag.DICT, *[place(item) for pair in value.items() for item in pair]]
            if type(value) is slice:
                return [Tag.SLICE, *[place(item) for item in (value.start, value.stop, value.step)]]
            return encode(value)
        if value.done:
            return encode(value.value)
        return [RESULT_TAG, step(value)]

    def target(value: Any) -> Any:
        if isinstance(value, Chain) and not value.done:
            return [RESULT_TAG, step(value)]
        held = value.value if isinstance(value, Chain) else value
        handle = getattr(held, "_handle", None)
        if type(handle) is not int:
            raise TypeError(
                f"a {type(held).__name__} is here already, and no object of the host; go on without a chain"
            )
        return handle

    def step(link: Chain) -> int:
        known = numbers.get(id(link))
        if known is not None:
            return known
        operation = _operation(link, target, place)
        operations.append(operation)
        numbers[id(link)] = len(operations) - 1
        return len(operations) - 1

    if chain.done:
        return [], chain.value
    step(chain)
    return operations, None


def _operation(link: Chain, target: Callable[[Any], Any], place: Callable[[Any], Any]) -> list[Any]:
    verb, (first, *rest) = link._verb, link._parts
    if verb == "attribute":
        return ["getattr", target(first), rest[0], [], None]
    if verb == "call":
        member = None
        if isinstance(first, Chain) and not first.done and first._verb == "attribute":
            first, member = first._parts  # a method is called in one operation
        on = target(first)
        named = {name: place(value) for name, value in link._kwargs.items()} or None
        return ["call", on, member, [place(value) for value in rest], named]
    if verb in ("binop", "compare", "unop"):
        name, *others = rest
        return [verb, target(first), name, [place(value) for value in others], None]
    return [verb, target(first), None, [place(value) for value in rest], None]
