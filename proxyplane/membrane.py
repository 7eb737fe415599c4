"""How values cross between host and guest: by exact type, from a closed set of answers.

Outward (`form`, `encode`) a value is itself, carried along with its handle, or only a handle. Inward (`decode`)
bytes of a guest become plain built-in values, objects of this session, or inert stand-ins. Classes of the guest
never exist here, nothing is unpickled, and no special method of anything that the guest made is ever called.
"""

from __future__ import annotations

import inspect
import math
import sys
import types
from collections.abc import Callable
from typing import Any, Final

from proxyplane import hosts
from proxyplane.callables import GuestCallable, GuestToken
from proxyplane.catalog import Catalog, TypeEntry
from proxyplane.decisions import Facts
from proxyplane.display import is_rich
from proxyplane.effects import Effect
from proxyplane.errors import Denied
from proxyplane.hosts.filled import wiped
from proxyplane.inward import BUILTINS, CALLED, FUNCTIONS, SCALARS, Arguments, Inward
from proxyplane.objects import Held, ObjectTable
from proxyplane.transport.wire import LEAVES, Limits, Tag, encode_int

__all__ = ["CALLED", "CARRIED", "CONTAINER", "NOTHING", "REFERENCE", "VALUE", "Arguments", "Membrane"]

NOTHING: Final = "none"
VALUE: Final = "value"
CARRIED: Final = "carried"
CONTAINER: Final = "container"
REFERENCE: Final = "ref"

_CONTAINERS: Final[dict[type, int]] = {list: Tag.LIST, tuple: Tag.TUPLE, set: Tag.SET, frozenset: Tag.FROZENSET}
_DIRECT: Final = frozenset({str, bool, bytes, type(None)})
"""Types whose values are their own wire form."""
INTEGERS: Final = frozenset({int})
_BUILTIN_NAMES: Final = {id(value): name for name, value in BUILTINS.items()}
_DESCRIPTORS: Final = (property, types.GetSetDescriptorType, types.MemberDescriptorType)


class Membrane(Inward):
    """One session's crossing point.

    Args:
        table: the session's objects.
        catalog: what is known of host types.
        limits: bounds on what may cross.
        session: the session's id, for tokens.
        callable_of: makes the host's stand-in for guest function (number, name, doc).
        mediate: makes a `MediatedCallable` for (held, member or None, name).
    """

    def __init__(
        self,
        table: ObjectTable,
        catalog: Catalog,
        limits: Limits,
        session: str,
        *,
        callable_of: Callable[[int, str, Any], GuestCallable],
        mediate: Callable[[Held, str | None, str], Any],
    ) -> None:
        self.table = table
        self.catalog = catalog
        self.limits = limits
        self._session = session
        self._callable_of = callable_of
        self._mediate = mediate
        self._substitutes: dict[int, tuple[Any, Any]] = {}
        self._type_ids: dict[type, int] = {}
        self._types: dict[int, type] = {}
        self._announced: set[type] = set()
        self._described: set[str] = set()
        self._news: list[dict[str, Any]] = []
        self._records: dict[tuple[str, tuple[str, ...]], Any] = {}

    # Outward

    def substitute(self, original: Any, shown: Any) -> None:
        """Whatever road leads to `original`, this session gets `shown`: a projection belongs to identity."""
        self._substitutes[id(original)] = (original, shown)

    def seen_as(self, value: Any) -> Any:
        """The projection that stands for this object, or the object."""
        found = self._substitutes.get(id(value))
        return found[1] if found is not None else value

    def form(self, value: Any, fresh: bool) -> str:
        """How a value would cross: nothing, value, carried, container, or reference.

        Args:
            value: any host value.
            fresh: whether the catalog says that nobody else holds it.
        """
        kind = type(value)
        if value is None:
            return NOTHING
        if kind in SCALARS or kind is int or kind in LEAVES:
            return VALUE
        if kind is tuple or kind is frozenset or (fresh and kind in (list, dict, set)):
            return CONTAINER
        if kind is slice or value is Ellipsis or value is NotImplemented:
            return NOTHING
        entry = self.catalog.of(kind)
        if entry is not None and entry.carries:
            return CARRIED
        return REFERENCE

    def encode(self, value: Any, fresh: bool, made: Callable[[Held], None] | None = None, *, show: bool = True) -> Any:
        """The wire form of a value.

        Args:
            value: any host value.
            fresh: containers inside are fresh too.
            made: called with each entry that is new in the table, to give it its lineage.
            show: whether content may cross; without it a value-carrying type crosses as a bare handle.

        Raises:
            Denied: a module that no catalog describes.
        """
        return self._encode(value, fresh, made, show, 0)

    def _encode(self, value: Any, fresh: bool, made: Callable[[Held], None] | None, show: bool, depth: int) -> Any:
        kind = type(value)
        if value is None or kind is str or kind is bool or kind is bytes:
            return value
        if kind is float:
            return [Tag.SINGLETON, "numpy.nan"] if math.isnan(value) and hosts.singleton_name(value) else value
        if kind is int:
            return encode_int(value)
        leaf = LEAVES.get(kind)
        if leaf is not None:
            return leaf(value)
        if depth < self.limits.depth and (kind is tuple or kind is frozenset or (fresh and kind in _CONTAINERS)):
            if INTEGERS.issuperset(map(type, value)):
                return [_CONTAINERS[kind], *map(encode_int, value)]
            if _DIRECT.issuperset(map(type, value)):
                return [_CONTAINERS[kind], *value]
            return [_CONTAINERS[kind], *[self._encode(item, fresh, made, show, depth + 1) for item in value]]
        if fresh and kind is dict and depth < self.limits.depth:
            flat: list[Any] = [Tag.DICT]
            for key, item in value.items():
                flat.append(self._encode(key, fresh, made, show, depth + 1))
                flat.append(self._encode(item, fresh, made, show, depth + 1))
            return flat
        if kind is slice:
            parts = (value.start, value.stop, value.step)
            return [Tag.SLICE, *(self._encode(part, fresh, made, show, depth + 1) for part in parts)]
        return self._encode_object(value, kind, made, show)

    def _encode_object(self, value: Any, kind: type, made: Callable[[Held], None] | None, show: bool) -> Any:
        if value is Ellipsis or value is NotImplemented:
            return [Tag.SINGLETON, "Ellipsis" if value is Ellipsis else "NotImplemented"]
        if kind is GuestToken:
            return [Tag.TOKEN, value.number]
        name = hosts.singleton_name(value)
        if name is not None:
            return [Tag.SINGLETON, name]
        if id(value) in _BUILTIN_NAMES and BUILTINS[_BUILTIN_NAMES[id(value)]] is value:
            return [Tag.BUILTIN, _BUILTIN_NAMES[id(value)]]
        if isinstance(value, type):
            return [Tag.TYPE, self.type_id(value)]
        value = self.seen_as(value)
        entry = self.catalog.of(type(value))
        held, new = self.table.adopt(value, entry)
        if new:
            if kind.__module__ == "numpy":
                wiped(value)
            if made is not None:
                made(held)
        held.sent += 1
        if kind is types.ModuleType:
            return [Tag.MODULE, held.handle, value.__name__, self._module_description(value.__name__)]
        if kind in FUNCTIONS:
            doc = getattr(value, "__doc__", None)
            return [Tag.FUNCTION, held.handle, getattr(value, "__qualname__", "function"), doc if held.entry else None]
        held.type_id = held.type_id or self.type_id(type(value))
        if show and entry is not None and entry.carries:
            carried = hosts.carried(value)
            if carried is not None:
                content = self._encode(carried.value, True, made, show, 1)
                extra = self._encode(carried.extra, True, made, show, 1)
                return [Tag.VALUE_REF, held.handle, held.type_id, content, carried.repr, carried.str, extra]
        return [Tag.REF, held.handle, held.type_id]

    def content(self, value: Any, fresh: bool) -> Facts:
        """How much would reach the agent if this crossed: leaves that are values; references count nothing.

        A list or set has as many rows as it has items with content, a tuple is one row, a dict has a row for each item
        or, when its items are containers (columns of a table), as many rows as the longest of them.
        """
        cells = self._leaves(value, fresh, 0)
        size = len(value) if type(value) in (str, bytes) else None
        return Facts(self._rows(value, fresh, 0) if cells else 0, cells, size)

    def _rows(self, value: Any, fresh: bool, depth: int) -> int:
        kind = type(value)
        if depth > 2 or kind not in (list, set, frozenset, dict) or self.form(value, fresh) != CONTAINER:
            return 1 if self._leaves(value, fresh, depth) else 0
        if kind is not dict:
            return sum(1 for item in value if self._leaves(item, fresh, depth + 1))
        nested = [self._rows(item, fresh, depth + 1) for item in value.values() if type(item) in (list, dict)]
        rows = max([*nested, 0]) if len(nested) == len(value) else 0
        return rows or (len(value) if self._leaves(value, fresh, depth) else 0)  # keys are content, too

    def _leaves(self, value: Any, fresh: bool, depth: int) -> int:
        form = self.form(value, fresh)
        if form != CONTAINER:
            return 1 if form in (VALUE, CARRIED) else 0
        if depth >= self.limits.depth:
            return 0
        if type(value) is dict:
            return sum(self._leaves(k, fresh, depth + 1) + self._leaves(v, fresh, depth + 1) for k, v in value.items())
        return sum(self._leaves(item, fresh, depth + 1) for item in value)

    def news(self) -> list[dict[str, Any]]:
        """Announcements of types that the next frame must carry."""
        news, self._news = self._news, []
        return news

    def forget_guest(self) -> None:
        """A new guest knows no types and holds no references."""
        self._announced.clear()
        self._described.clear()
        self._news.clear()
        self.table.release_all()

    def type_id(self, kind: type) -> int:
        """The id of a host type, announcing it (and its bases first) where the guest has not met it."""
        number = self._type_ids.get(kind)
        if number is None:
            number = len(self._type_ids) + 1
            self._type_ids[kind] = number
            self._types[number] = kind
        if kind not in self._announced:
            self._announced.add(kind)
            self._news.append(self._announcement(kind, number))
        return number

    def _announcement(self, kind: type, number: int) -> dict[str, Any]:
        entry = self.catalog.of(kind)
        held, _ = self.table.adopt(kind, self.catalog.of(type))
        self.table.keep(held)
        own = entry if entry is not None else None
        members = own.members if own else {}
        lasting = [
            n for n, m in members.items() if m.kind == "constant" or (m.kind == "property" and self._on_type(kind, n))
        ]
        return {
            "id": number,
            "handle": held.handle,
            "name": kind.__name__,
            "module": kind.__module__,
            "doc": kind.__doc__ if own and type(kind.__doc__) is str else None,
            "bases": [self.type_id(base) for base in self._bases(kind)],
            "builtin": _builtin_base(kind, own),
            "methods": [n for n, m in members.items() if m.kind in ("method", "classmethod")],
            "properties": [
                n for n, m in members.items() if m.kind not in ("method", "classmethod") and n not in lasting
            ],
            "constants": lasting,
            "dunders": [n for n in own.dunders if n != "()"] if own else [],
            "dynamic": bool(own and own.dynamic),
            "rich": is_rich(kind),
            "hashable": own.hashable if own else kind.__hash__ is not None,
            "extends": _extension(kind, own.extends) if own and own.extends else None,
        }

    def _on_type(self, kind: type, name: str) -> bool:
        """Whether a property has a value on the type as well, as `Timestamp.max` has, and not only a descriptor.

        That of an accessor (`Series.sparse`) is its class.
        """
        static = inspect.getattr_static(kind, name, None)
        if type(static) in _DESCRIPTORS or not hasattr(type(static), "__get__"):
            return False
        value = getattr(kind, name, static)
        return value is not static and (not isinstance(value, type) or self.catalog.of(value) is not None)

    def _bases(self, kind: type) -> list[type]:
        chosen: list[type] = []
        for base in kind.__mro__[1:]:
            if base.__module__ == "builtins" or any(issubclass(other, base) for other in chosen):
                continue
            entry = self.catalog.of(base)
            named = entry is not None and entry.name == f"{base.__module__}.{base.__qualname__}"
            if named or issubclass(base, BaseException):
                chosen.append(base)
        return chosen

    def _module_description(self, name: str) -> dict[str, Any] | None:
        module = self.catalog.module(name)
        if module is None:
            raise Denied(
                f"the module {name!r} is in no catalog",
                effect=Effect.UNKNOWN,
                hint="grant modules that a catalog describes",
            )
        if name in self._described:
            return None
        self._described.add(name)
        version = getattr(sys.modules.get(name), "__version__", None)
        by_kind: dict[str, list[str]] = {"function": [], "type": [], "constant": [], "module": []}
        for member, line in module.members.items():
            by_kind.setdefault(line.kind, []).append(member)
        return {
            "functions": by_kind["function"],
            "types": by_kind["type"],
            "constants": by_kind["constant"],
            "modules": by_kind["module"],
            "doc": None,
            "version": version if type(version) is str else None,
        }


def _extension(kind: Any, hooks: tuple[str, ...]) -> dict[str, Any]:
    """What the guest must know of a class that is made to be inherited: its hooks, and what it is made with, as far as
    the defaults are plain."""
    found = [p for p in inspect.signature(kind).parameters.values() if p.kind is p.POSITIONAL_OR_KEYWORD]
    plain = [[p.name, p.default] for p in found if p.default is None or type(p.default) in (int, float, str, bool)]
    return {"hooks": list(hooks), "parameters": plain}


def _builtin_base(kind: type, entry: TypeEntry | None) -> str | None:
    if issubclass(kind, BaseException):
        return next(base.__name__ for base in kind.__mro__ if base.__module__ == "builtins")
    return entry.builtin if entry is not None else None
