"""How values cross between in-process code and the host: arguments unwrapped, results wrapped, both to any depth.

The counterpart of the membrane for code of the same interpreter. Functions of the agent become operations when host
code calls them (`callback`), functions of the host that the agent passes on are decided at each call. An argument of a
class that no catalog knows has the effect `unknown`: its methods would be given whatever host code pleases.
"""

from __future__ import annotations

import io
import sys
import types
from collections import Counter, OrderedDict, defaultdict, deque
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from proxyplane import hosts
from proxyplane.callables import MediatedCallable
from proxyplane.catalog import Entry
from proxyplane.effects import Effect
from proxyplane.errors import TooDeep, UnknownObject
from proxyplane.membrane import CARRIED, CONTAINER, REFERENCE
from proxyplane.objects import Held
from proxyplane.proxies.grip import Bound, grip_of, is_proxy
from proxyplane.transport.wire import LEAVES

if TYPE_CHECKING:
    from proxyplane.proxies.inprocess import InProcess

__all__ = ["AgentFunction", "Cause", "Crossing", "Taken"]

_PLAIN: Final = frozenset({type(None), bool, int, float, complex, str, bytes, range, type(Ellipsis), *LEAVES})
_BUILDERS: Final[dict[type, Callable[[Any], Any]]] = {list: list, tuple: tuple, set: set, frozenset: frozenset}
_BUFFERS: Final = (io.StringIO, io.BytesIO)
_FIXED: Final = frozenset({tuple, frozenset})
_Part = Callable[[Any], Any]


def _mapped(value: Any, take: _Part) -> dict[Any, Any]:
    return {take(key): take(item) for key, item in value.items()}


_MAKERS: Final[dict[type, Callable[[Any, _Part], Any]]] = {
    dict: _mapped,
    type({}.keys()): lambda view, take: dict.fromkeys([take(key) for key in view]).keys(),
    type({}.values()): lambda view, take: _mapped(view.mapping, take).values(),
    type({}.items()): lambda view, take: _mapped(view.mapping, take).items(),
    types.MappingProxyType: lambda view, take: types.MappingProxyType(_mapped(view, take)),
    OrderedDict: lambda value, take: OrderedDict(_mapped(value, take)),
    defaultdict: lambda value, take: defaultdict(take(value.default_factory), _mapped(value, take)),
    Counter: lambda value, take: Counter(_mapped(value, take)),
    deque: lambda value, take: deque([take(item) for item in value], value.maxlen),
}
"""Containers of the agent that are no sequences or sets, and views of them: how the host's own is made."""
_FUNCTIONS: Final = (types.FunctionType, types.MethodType, types.BuiltinFunctionType, types.MethodWrapperType)
_BUILTINS: Final = {
    id(value): value
    for value in (
        int, float, str, bool, complex, bytes, list, dict, set, frozenset, tuple, object, type, slice, range,
        sum, min, max, len, abs, any, all, round, sorted,
    )
}  # fmt: skip
"""Built-ins that host code may be handed as they are: the same as for a guest, and types of plain values."""
_ALIASES: Final = (types.GenericAlias, types.UnionType)
_INTO: Final = frozenset({Effect.READ, Effect.COMPUTE})
_FOREIGN: Final = frozenset({Effect.CALLBACK, Effect.UNKNOWN})
_CALLBACK: Final = frozenset({Effect.CALLBACK})
_NOT_MEDIATED: Final = frozenset({"zeroed", "state", "scoped"})


class Cause(NamedTuple):
    """What a callback's record says of the operation that brought the function."""

    id: bytes
    target: int
    inputs: tuple[int, ...]


class AgentFunction:
    """A function of in-process code, as host code sees it: each call is decided and recorded, then made."""

    def __init__(self, inprocess: InProcess, function: Callable[..., Any]) -> None:
        self._inprocess = inprocess
        self.function = function
        self.cause: Cause | None = None
        """The operation that it was given to; not its arguments, which host code may have let go of long ago."""
        name = getattr(function, "__name__", None)
        self.__name__: str = name if type(name) is str else type(function).__name__
        self.__qualname__ = self.__name__
        self.__doc__ = function.__doc__

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self._inprocess.call_back(self, args, kwargs)

    def __repr__(self) -> str:
        return f"<agent function {self.__name__}>"


class Taken:
    """What was unwrapped for one operation."""

    __slots__ = ("buffers", "cause", "copies", "effects", "functions", "held")

    def __init__(self) -> None:
        self.cause: Cause | None = None
        self.held: list[Held] = []
        """Objects of the session among the arguments, at any depth."""
        self.effects: frozenset[Effect] = frozenset()
        """Effects that the arguments bring with them."""
        self.functions: list[AgentFunction] = []
        self.buffers: dict[int | str, Any] = {}
        """Buffers of the agent by their place: the host gets a copy."""
        self.copies: dict[int, tuple[Any, Any]] = {}
        """Containers of the agent by their identity, each with what the host gets for it."""

    def back(self, items: list[Any], give: Callable[[Any], Any]) -> list[Any]:
        """What the agent gets for the items of a list of its own that host code has written into."""
        own = {id(made): container for container, made in self.copies.values()}
        return [own[id(item)] if id(item) in own else give(item) for item in items]


class Crossing:
    """Unwraps what one session's in-process code passes on, and wraps what it gets.

    Args:
        inprocess: the session's proxies.
    """

    def __init__(self, inprocess: InProcess) -> None:
        self._inprocess = inprocess
        self._session = inprocess.session
        self._catalog = inprocess.session.plane.catalog
        self._membrane = inprocess.session.membrane
        self._table = inprocess.session.table

    # Inward

    def take_buffers(self, args: tuple[Any, ...], kwargs: dict[str, Any], taken: Taken) -> Any:
        """The arguments with in-memory files copied, so that a refused result has not been written to the agent's."""
        if not kwargs and all(type(value) not in _BUFFERS for value in args):
            return args, kwargs
        listed = list(args)
        named = dict(kwargs)
        given: list[tuple[int | str, Any]] = [*enumerate(args), *kwargs.items()]
        for place, value in given:
            if type(value) not in _BUFFERS:
                continue
            taken.buffers[place] = value
            made = io.StringIO(newline="") if type(value) is io.StringIO else io.BytesIO()
            made.write(value.getvalue())
            made.seek(value.tell())
            if type(place) is int:
                listed[place] = made
            else:
                named[str(place)] = made
        return tuple(listed), named

    def take(self, value: Any, taken: Taken, depth: int = 0) -> Any:
        """The real value behind what in-process code passes to the host.

        Raises:
            UnknownObject: a proxy of another session.
            TooDeep: nested deeper than the plane's limit.
        """
        kind = type(value)
        if kind in _PLAIN:
            return value
        if is_proxy(value):
            return self._take_proxy(value, taken)
        if kind in _BUILDERS or kind in _MAKERS:
            if depth > self._session.plane.limits.depth:
                raise TooDeep(f"an argument nested deeper than {self._session.plane.limits.depth}")
            return self._take_container(value, kind, taken, depth + 1)
        if kind is slice:
            parts = [self.take(part, taken, depth + 1) for part in (value.start, value.stop, value.step)]
            return slice(*parts)
        if kind is Bound:
            return self._take_bound(value, taken)
        known = self._table.find(value)
        if known is not None:
            taken.held.append(known)
            return value
        if id(value) in _BUILTINS or hosts.singleton_name(value) is not None:
            return value
        return self._take_other(value, kind, taken)

    def _take_container(self, value: Any, kind: type, taken: Taken, depth: int) -> Any:
        """A copy with real objects: what stayed the agent's own could change, or be given a proxy, in the host's hands.

        (`granted.append(own); own.append(proxy)` changed a granted object without an operation.)
        """
        known = taken.copies.get(id(value))
        if known is not None:
            return known[1]
        if kind in _MAKERS:
            made = _MAKERS[kind](value, lambda part: self.take(part, taken, depth))
        else:
            before = list(value)
            after = [item if type(item) in _PLAIN else self.take(item, taken, depth) for item in before]
            if kind in _FIXED and all(a is b for a, b in zip(after, before, strict=True)):
                return value
            made = _BUILDERS[kind](after)
        taken.copies[id(value)] = (value, made)
        return made

    def _take_proxy(self, proxy: Any, taken: Taken) -> Any:
        grip = grip_of(proxy)
        if grip.inprocess is not self._inprocess:
            raise UnknownObject(
                "a proxy of another session was passed as an argument; use objects that the same agent was given"
            )
        held: Held = grip.held
        taken.held.append(held)
        if isinstance(held.value, types.ModuleType):
            taken.effects |= _FOREIGN
            return held.value
        if held.entry is not None or type(held.value) in _FUNCTIONS:
            return self._callable(held, None, held.entry, held.value, taken)
        if isinstance(held.value, type):
            return self._take_type(held.value, taken)
        return held.value

    def _take_bound(self, bound: Bound, taken: Taken) -> Any:
        held: Held = grip_of(bound.__self__).held
        taken.held.append(held)
        entry = self._membrane.member_of(held, bound.__name__)
        return self._callable(held, bound.__name__, entry, getattr(held.value, bound.__name__, None), taken)

    def _callable(self, held: Held, member: str | None, entry: Entry | None, real: Any, taken: Taken) -> Any:
        """A host callable as an argument: itself when no argument could give it another effect, else mediated."""
        if (
            entry is not None
            and real is not None
            and not entry.params
            and entry.prints is None
            and entry.effects <= _INTO
            and not entry.flags & _NOT_MEDIATED
        ):
            taken.effects |= entry.effects
            return real
        return self._inprocess.mediate(held, member, str(member or getattr(real, "__name__", "function")))

    def _take_type(self, kind: type, taken: Taken) -> Any:
        entry = self._catalog.of(kind)
        maker = entry.constructor if entry is not None else None
        if issubclass(kind, BaseException) or (maker is not None and _harmless(maker)):
            return kind
        if entry is not None and maker is not None:
            held, _ = self._table.adopt(kind, self._catalog.of(type))
            return self._inprocess.mediate(held, None, kind.__name__)
        if not _of_the_standard_library(kind):
            taken.effects |= _FOREIGN
        return kind

    def _take_other(self, value: Any, kind: type, taken: Taken) -> Any:
        if isinstance(value, type):
            return self._take_type(value, taken)
        if kind in _ALIASES and self._plain_alias(value):
            return value
        entry = self._catalog.function(value)
        if entry is not None:
            held, _ = self._table.adopt(value, self._catalog.of(kind))
            held.entry, held.plain = entry, False
            taken.held.append(held)  # as when a guest sends a function; the entry ends with the operation
            return self._callable(held, None, entry, value, taken)
        if kind in (AgentFunction, MediatedCallable, *_BUFFERS):
            return value
        if hasattr(kind, "__next__"):
            taken.effects |= _CALLBACK
            return self._take_each(value, taken)
        if kind in _FUNCTIONS or (callable(value) and not self._described(kind)):
            return self._take_function(value, taken)
        if isinstance(value, types.ModuleType) or not (self._described(kind) or _of_the_standard_library(kind)):
            taken.effects |= _FOREIGN
        return value

    def _plain_alias(self, alias: Any) -> bool:
        """Whether calling `list[int]` does no more than calling `list`."""
        tried = Taken()
        parts = (getattr(alias, "__origin__", None), *alias.__args__)
        same = all(self.take(part, tried) is part for part in parts)
        return same and not (tried.effects or tried.functions or tried.held)

    def _take_function(self, value: Any, taken: Taken) -> AgentFunction:
        taken.effects |= _CALLBACK
        for known in taken.functions:
            if known.function is value:
                return known
        made = AgentFunction(self._inprocess, value)
        taken.functions.append(made)
        return made

    def _take_each(self, items: Iterator[Any], sent: Taken) -> Iterator[Any]:
        """What an iterator of the agent gives, unwrapped item by item while host code reads it."""
        for item in items:
            taken = Taken()
            value = self.take(item, taken)
            for function in taken.functions:
                function.cause = sent.cause
            if sent.cause is not None:
                self._inprocess.joins(sent.cause, taken.held)
            yield value

    def _described(self, kind: type) -> bool:
        """Whether a catalog describes exactly this type, or it belongs to the same library as its described base."""
        entry = self._catalog.of(kind)
        return entry is not None and str(kind.__module__).partition(".")[0] == entry.name.partition(".")[0]

    # Outward

    def give(self, value: Any, fresh: bool, made: Callable[[Held], None], *, show: bool, depth: int = 0) -> Any:
        """What in-process code gets for a host value: plain values as they are, everything else as a proxy.

        Args:
            value: any host value.
            fresh: containers in it were made for this operation.
            made: called with each entry that is new in the table, to give it its lineage.
            show: whether content may cross.
        """
        form = self._membrane.form(value, fresh)
        if form == CONTAINER and depth < self._session.plane.limits.depth:
            return self._give_container(value, fresh, made, show, depth + 1)
        if form in (CONTAINER, REFERENCE) or (form == CARRIED and not show):
            return self.wrap(value, made)
        return value

    def _give_container(self, value: Any, fresh: bool, made: Callable[[Held], None], show: bool, depth: int) -> Any:
        kind = type(value)
        if _PLAIN.issuperset(map(type, value)) and kind is not dict:
            # An inner list may be a cell that the host holds: as for a guest, it is copied.
            return value if depth == 1 or kind in (tuple, frozenset) else kind(value)
        if kind is dict:
            return {
                self.give(k, fresh, made, show=show, depth=depth): self.give(v, fresh, made, show=show, depth=depth)
                for k, v in value.items()
            }
        return _BUILDERS[kind]([self.give(item, fresh, made, show=show, depth=depth) for item in value])

    def wrap(self, value: Any, made: Callable[[Held], None]) -> Any:
        """The proxy of a host object; the object itself where code would compare it by identity or gave it itself."""
        if type(value) is AgentFunction:
            return value.function
        if type(value) is object and self._table.find(value) is None:
            return value  # a mark such as `get(key, missing)` is given: it has nothing, and is compared by identity
        if id(value) in _BUILTINS or hosts.singleton_name(value) is not None:
            return value
        if isinstance(value, type):
            entry = self._catalog.of(value)
            if issubclass(value, BaseException) or (entry is not None and entry.carries):
                return value  # for `except`, and of values that cross as themselves
        value = self._membrane.seen_as(value)
        held, new = self._table.adopt(value, self._catalog.of(type(value)))
        try:
            if new:
                made(held)
            return self._inprocess.proxy_of(held)
        except BaseException:
            if new:  # nobody has a proxy of it
                self._table.unkeep(held)
            raise


def _harmless(maker: Entry) -> bool:
    return maker.effects <= _INTO and all(param.action in ("fills", "mutate") for param in maker.params)


def _of_the_standard_library(kind: type) -> bool:
    module = kind.__module__
    if type(module) is not str or module.partition(".")[0] not in sys.stdlib_module_names:
        return False
    return module == "builtins" or getattr(sys.modules.get(module), kind.__qualname__, None) is kind
