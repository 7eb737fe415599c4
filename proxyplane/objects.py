"""The object table: which real object stands behind each handle of a session, and where it came from.

Handles are plain integers that mean something only inside their own session's table; each table counts from
its own random start, so a handle of another session is not one of this session's by chance.
"""

from __future__ import annotations

import secrets
import types
from collections.abc import Iterable, Iterator
from typing import Any

from proxyplane.catalog import Entry, TypeEntry
from proxyplane.columns import Columns
from proxyplane.errors import ProtocolError

__all__ = ["Held", "ObjectTable"]

NO_NAMES: frozenset[str] = frozenset()
NOTHING_DECIDED: dict[int, tuple[Any, Any, str, Any]] = {}
_MOST_SENT = 5_000


class Held:
    """One object of a session: what it is, what it was made from, and how often the guest was given it."""

    __slots__ = (
        "columns", "decided", "entry", "handle", "inputs", "items_fresh", "kind", "labels", "made_by", "name", "pins",
        "plain", "pure", "roots", "schema", "sent", "shown", "sized", "stamp", "subject", "type_id",
        "type_name", "value", "version",
    )  # fmt: skip

    def __init__(self, handle: int, value: Any, kind: TypeEntry | None) -> None:
        self.handle = handle
        self.value = value
        self.kind = kind
        self.type_id = 0
        self.version = 1
        """Moved by every declared mutation of the object or of memory that it shares."""
        self.sent = 0
        """References the guest holds; 0 for what only the host holds."""
        self.pins = 0
        """Operations in progress that work on it; until they end it is not freed."""
        self.roots: frozenset[str] = NO_NAMES
        """Granted names that it was made from."""
        self.labels: frozenset[str] = NO_NAMES
        self.columns: Columns | None = None
        """Where its content came from, as far as that was followed."""
        self.entry: Entry | None = None
        """For a function: the catalog line under which the guest obtained it."""
        self.schema = False
        """Its content is schema: to show it is `read` and not `reveal`."""
        self.sized = False
        """How long it is may follow from a value of the data: then its size is content, not schema."""
        self.name: str | None = None
        """The granted name, for granted objects."""
        self.made_by: bytes = b""
        """The operation that made it."""
        self.inputs: tuple[int, ...] = ()
        """Handles of what that operation worked on."""
        self.items_fresh = False
        """An iterator whose items were made for this iteration."""
        self.pure = False
        """An iterator that may be read ahead."""
        self.shown = 0
        """Rows that an iterator has handed out so far: one look, in parts."""
        self.plain = kind is not None and not isinstance(value, (type, types.ModuleType))
        """What its members do depends on its type alone."""
        real = type(value)
        self.type_name = kind.name if kind is not None else f"{real.__module__}.{real.__qualname__}"
        """Qualified name of the catalogued type, or of the real one."""
        self.subject: Any = None
        """The subject of operations on it alone, as it was last; see `subjects`."""
        self.decided: dict[int, tuple[Any, Any, str, Any]] = NOTHING_DECIDED
        """Decisions on operations on it alone: plan, subject, way, decision; see `Judging`."""
        self.stamp: dict[str, Any] | None = None
        """The `target` field of records, until something in it changes."""

    def described(self) -> dict[str, Any]:
        """What a record says of it as a target."""
        stamp = self.stamp
        if stamp is None:
            stamp = {"id": self.handle, "version": self.version, "type": self.type_name}
            if self.name is not None:
                stamp["name"] = self.name
            if self.roots:
                stamp["roots"] = sorted(self.roots)
            if self.labels:
                stamp["labels"] = sorted(self.labels)
            self.stamp = stamp
        return stamp


class ObjectTable:
    """Handle to object, and object to handle, for one session.

    The same object always has the same handle while it is held, so that `a is b` holds in the guest. A handle
    is freed when the guest has released it as often as it was sent, unless the host keeps it (`keep`).
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._next = secrets.randbelow(1 << 30) + 1
        self._by_handle: dict[int, Held] = {}
        self._by_identity: dict[int, Held] = {}
        self._kept: set[int] = set()

    def __len__(self) -> int:
        return len(self._by_handle)

    def __iter__(self) -> Iterator[Held]:
        return iter(list(self._by_handle.values()))

    def adopt(self, value: Any, kind: TypeEntry | None) -> tuple[Held, bool]:
        """The entry of this object, and whether it is new.

        Raises:
            ProtocolError: the session holds as many objects as its limit allows.
        """
        held = self._by_identity.get(id(value))
        if held is not None:
            return held, False
        if len(self._by_handle) >= self._limit:
            raise ProtocolError(
                f"this session holds {self._limit} objects, which is its limit; drop references (del, or smaller loops)"
            )
        handle = self._next
        self._next += 1
        held = Held(handle, value, kind)
        self._by_handle[handle] = held
        self._by_identity[id(value)] = held
        return held, True

    def holds(self, handle: int) -> bool:
        """Whether a handle names an object of the session."""
        return handle in self._by_handle

    def get(self, handle: int) -> Held:
        """The entry behind a handle that a guest sent.

        Raises:
            ProtocolError: no object of this session has it.
        """
        held = self._by_handle.get(handle) if type(handle) is int else None
        if held is None:
            raise ProtocolError("a handle that names no object of this session")
        return held

    def find(self, value: Any) -> Held | None:
        """The entry of an object that the session already knows."""
        return self._by_identity.get(id(value))

    def keep(self, held: Held) -> None:
        """Hold the object for the host itself, whatever the guest releases."""
        self._kept.add(held.handle)

    def unkeep(self, held: Held) -> None:
        """Undo `keep`."""
        self._kept.discard(held.handle)
        self._free(held)

    def pin(self, helds: list[Held]) -> None:
        """Keep objects that an operation works on until `unpin`, whatever the guest releases meanwhile."""
        for held in helds:
            held.pins += 1

    def unpin(self, helds: list[Held]) -> None:
        """End one `pin` of each."""
        for held in helds:
            if held.pins <= 1:
                self._free(held, pins=1)
            held.pins -= 1  # last: who is interrupted before can do it again

    def release(self, pairs: list[Any]) -> None:
        """Take back references: handle, count, handle, count ...

        Raises:
            ProtocolError: not pairs of integers, an unknown handle, or more than was sent.
        """
        if type(pairs) is not list or len(pairs) % 2:
            raise ProtocolError("releases are not pairs of handle and count")
        for at in range(0, len(pairs), 2):
            held, count = self.get(pairs[at]), pairs[at + 1]
            if type(count) is not int or not 0 < count <= held.sent:
                raise ProtocolError("a handle is released more often than it was sent")
            held.sent -= count
            self._free(held)

    def release_all(self) -> None:
        """The guest is gone and with it all that it held."""
        for held in list(self._by_handle.values()):
            held.sent = 0
            held.type_id = 0
            self._free(held)

    def _free(self, held: Held, pins: int = 0) -> None:
        """Drop an entry that nothing holds but so many pins that end now."""
        if not held.sent and held.pins <= pins and held.handle not in self._kept:
            self._by_handle.pop(held.handle, None)
            self._by_identity.pop(id(held.value), None)

    def sent_by_guest(self, values: Iterable[Any], depth: int = 0, longest: int | None = None) -> list[Any]:
        """The plain values that a guest itself put among arguments, at most some thousands.

        What stands inside a container that the host holds is the host's: the guest sent a handle, not the content.

        Args:
            values: the arguments.
            depth: how deep they lie.
            longest: containers with more items are data and left out.
        """
        found: list[Any] = []
        for value in values:
            kind = type(value)
            if kind in (str, int, float, bool):
                found.append(value)
            elif kind in (list, tuple, set, frozenset, dict) and depth < 4 and self.find(value) is None:
                if longest is not None and len(value) > longest:
                    continue
                found += self.sent_by_guest(value, depth + 1, longest)
                if kind is dict:
                    found += self.sent_by_guest(value.values(), depth + 1, longest)
            if len(found) > _MOST_SENT:
                break
        return found

    def moved(self, values: Iterable[Any]) -> list[Held]:
        """Count up the versions of these objects, where the session holds them; the entries that moved."""
        found = []
        for value in values:
            held = self._by_identity.get(id(value))
            if held is not None and held not in found:
                held.version += 1
                held.stamp = None
                found.append(held)
        return found
