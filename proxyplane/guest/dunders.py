"""Special methods of stub classes: each is one request, and a class carries exactly those that its host type has."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, Final, Protocol

__all__ = ["Feed", "Request", "special_methods"]

_CHUNK: Final = 512
"""Most items that one `next` asks for."""

_BINARY: Final = "add sub mul truediv floordiv mod matmul divmod and or xor lshift rshift".split()
_COMPARE: Final = "lt le eq ne gt ge".split()
_UNARY: Final = "neg pos invert abs trunc floor ceil reversed".split()
_COERCED: Final[dict[str, type]] = {"int": int, "float": float, "complex": complex}

Method = Callable[..., Any]


class Request(Protocol):
    """`Link.request`."""

    def __call__(
        self,
        verb: str,
        handle: int,
        member: str | None = None,
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
        /,
    ) -> Any: ...


class Feed:
    """Items of one host iterator, fetched in chunks that grow while the host says that reading ahead changes nothing.

    Args:
        request: asks the host.
        handle: the iterator.
        pure: whether reading ahead is harmless.
    """

    __slots__ = ("_finished", "_handle", "_items", "_request", "_size", "pure")

    def __init__(self, request: Request, handle: int, pure: bool = False) -> None:
        self._request = request
        self._handle = handle
        self._size = 1
        self._items: list[Any] = []
        self._finished = False
        self.pure = pure

    def take(self) -> Any:
        """The next item.

        Raises:
            StopIteration: there is none.
        """
        if not self._items:
            if self._finished:
                raise StopIteration
            self._finished, items = self._request("next", self._handle, None, (self._size,))
            if self.pure and self._size < _CHUNK:
                self._size *= 2
            if not items:
                self._finished = True
                raise StopIteration
            items.reverse()
            self._items = items
        return self._items.pop()

    @property
    def ahead(self) -> bool:
        """Whether items were fetched that nobody took yet: the host's iterator is further than the agent's."""
        return bool(self._items)


def _chunks(request: Request, source: Any, handle: int, pure: bool) -> Iterator[Any]:
    """All items of a host iterator; `source` is its stub, which must live as long."""
    size = 1
    finished = False
    while not finished:
        finished, items = request("next", handle, None, (size,))
        yield from items
        finished = finished or not items
        if pure and size < _CHUNK:
            size *= 2
    del source


def special_methods(request: Request) -> dict[str, Method]:
    """Every special method that a stub class may carry, by name. The functions are shared by all classes."""
    methods: dict[str, Method] = {}
    for name in _BINARY:
        for prefix in ("", "r", "i"):
            methods[f"__{prefix}{name}__"] = _operator(request, "binop", prefix + name)
    methods["__rpow__"] = _operator(request, "binop", "rpow")
    methods["__ipow__"] = _operator(request, "binop", "ipow")
    del methods["__idivmod__"]
    for name in _COMPARE:
        methods[f"__{name}__"] = _operator(request, "compare", name)
    for name in _UNARY:
        methods[f"__{name}__"] = _unary(request, name)
    for name, kind in _COERCED.items():
        methods[f"__{name}__"] = _coerced(request, name, kind)
    for name in ("getitem", "delitem"):
        methods[f"__{name}__"] = _keyed(request, name)
    methods |= _plain(request) | _iteration(request)
    for name, method in methods.items():
        method.__name__ = name
        method.__qualname__ = name
    return methods


def _operator(request: Request, verb: str, member: str) -> Method:
    def method(self: Any, other: Any, /) -> Any:
        return request(verb, self._handle, member, (other,))

    return method


def _unary(request: Request, member: str) -> Method:
    def method(self: Any, /) -> Any:
        return request("unop", self._handle, member)

    return method


def _coerced(request: Request, member: str, kind: type) -> Method:
    def method(self: Any, /) -> Any:
        return kind(request("unop", self._handle, member))

    return method


def _keyed(request: Request, verb: str) -> Method:
    def method(self: Any, key: Any, /) -> Any:
        return request(verb, self._handle, None, (key,))

    return method


def _plain(request: Request) -> dict[str, Method]:
    def setitem(self: Any, key: Any, value: Any, /) -> None:
        request("setitem", self._handle, None, (key, value))

    def call(self: Any, /, *args: Any, **kwargs: Any) -> Any:
        return request("call", self._handle, None, args, kwargs)

    def length(self: Any, /) -> int:
        return int(request("len", self._handle))

    def truth(self: Any, /) -> bool:
        return bool(request("bool", self._handle))

    def hashed(self: Any, /) -> int:
        known = self.__dict__.get("_hash")
        if known is None:
            known = self.__dict__["_hash"] = int(request("hash", self._handle))
        return int(known)

    def index(self: Any, /) -> int:
        return int(request("index", self._handle))

    def contains(self: Any, item: Any, /) -> bool:
        return bool(request("contains", self._handle, None, (item,)))

    def power(self: Any, other: Any, modulus: Any = None, /) -> Any:
        return request("binop", self._handle, "pow", (other,) if modulus is None else (other, modulus))

    def rounded(self: Any, digits: Any = None, /) -> Any:
        return request("unop", self._handle, "round", () if digits is None else (digits,))

    def enter(self: Any, /) -> Any:
        return request("enter", self._handle)

    def leave(self: Any, kind: Any, error: Any, trace: Any, /) -> Any:
        return request("exit", self._handle, None, (None if kind is None else kind.__name__,))

    def interchange(self: Any, nan_as_null: bool = False, allow_copy: bool = True) -> Any:
        return request("interchange", self._handle, None, (nan_as_null, allow_copy))

    named: dict[str, Method] = {
        "dataframe": interchange,
        "setitem": setitem,
        "call": call,
        "len": length,
        "bool": truth,
        "hash": hashed,
        "index": index,
        "contains": contains,
        "pow": power,
        "round": rounded,
        "enter": enter,
        "exit": leave,
    }
    return {f"__{name}__": method for name, method in named.items()}


def _iteration(request: Request) -> dict[str, Method]:
    def iterate(self: Any, /) -> Any:
        if hasattr(type(self), "__next__"):  # an iterator is its own iterator
            feed = _feed(self)
            if not feed.pure:
                feed.pure = bool(request("iter", self._handle)[1])
            return self
        source, pure = request("iter", self._handle)
        handle = getattr(source, "_handle", None)
        return iter(source) if handle is None else _chunks(request, source, handle, pure)

    def following(self: Any, /) -> Any:
        return _feed(self).take()

    def _feed(stub: Any) -> Feed:
        feed = stub.__dict__.get("_feed")
        if feed is None:
            feed = stub.__dict__["_feed"] = Feed(request, stub._handle)
        return feed  # type: ignore[no-any-return]

    return {"__iter__": iterate, "__next__": following}
