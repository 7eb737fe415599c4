"""What a session was granted: objects by name, behind their projections, with their capabilities."""

from __future__ import annotations

import keyword
import re
import types
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from proxyplane import hosts
from proxyplane.capabilities import Capability, mint
from proxyplane.columns import NO_COLUMNS, Columns, joined
from proxyplane.columns import granted as granted_columns
from proxyplane.effects import Effect
from proxyplane.errors import PolicyError, UnknownObject
from proxyplane.hosts.aggregates import granted as behind
from proxyplane.hosts.redacted import masked_table
from proxyplane.hosts.rows import RowFilter
from proxyplane.objects import Held

if TYPE_CHECKING:
    from proxyplane.sessions import Session

__all__ = ["Grants"]

_MOST_COLUMNS = 200
"""Column names that the record of a grant tells."""
_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]*")


class Grants:
    """Granted objects of one session.

    Attributes:
        objects: the entry behind each granted name: of the projection, where there is one.
        attenuated: whether any capability says something beyond the policy.
        known: column labels that the agent knows by right.
        widths: cells of one row of each granted object, where it has rows.
        projected: granted names whose object is a projection, in memory of its own.
        modules: granted names of modules, which hold no data.
        since: when each name was granted, in monotonic nanoseconds.
        columns: the columns of each granted name, as the agent sees it.
        masked: columns that hold tokens in place of their cells.
    """

    def __init__(self, session: Session) -> None:
        self._session = session
        self._capabilities: dict[str, Capability] = {}
        self.objects: dict[str, Held] = {}
        self.attenuated = False
        self.widths: dict[str, int | None] = {}
        self.projected: set[str] = set()
        self.modules: set[str] = set()
        self.since: dict[str, int] = {}
        self.known: set[Any] = set()
        self.columns: dict[str, Columns] = {}
        self.masked: frozenset[str] = frozenset()

    def columns_of(self, held: Held) -> Columns:
        """Where an object's content came from; all columns of all that it was made from, where that is not known."""
        if held.columns is not None:
            return held.columns
        parts = [self.columns[root] for root in held.roots if root in self.columns]
        return joined(parts) if parts else NO_COLUMNS

    def is_column(self, label: Any) -> bool:
        """Whether a label is one of a granted table's columns."""
        return type(label) in (str, int, float, bool) and label in self.known

    def held(self, name: str) -> Held:
        """The entry of a granted name.

        Raises:
            UnknownObject: nothing was granted under it.
        """
        if name not in self.objects:
            raise self.unknown(name)
        return self.objects[name]

    def unknown(self, name: str) -> UnknownObject:
        """The error for a name that was not granted."""
        return UnknownObject(f"nothing is granted as {name!r}; granted: {', '.join(sorted(self.objects)) or 'none'}")

    def grant(self, name: str, value: Any, *, aliases: list[str], capability: Capability | None = None) -> Held:
        """Grant one object; see `Session.put`. `aliases`: all names under which it is granted at once."""
        if not _NAME.fullmatch(name) or keyword.iskeyword(name):
            raise ValueError(f"{name!r} cannot be a granted name; use a Python identifier that begins with a letter")
        if name in self._session.plane.policy.modules.host:
            raise ValueError(f"{name!r} is the name of a granted module; choose another name for the object")
        former = self._capabilities.get(name)
        if former is not None and former.revoked:  # what was made from the former object goes by this name
            raise ValueError(f"{name!r} was revoked in this session; grant the object under another name")
        shown = self._project(name, value, aliases)
        held, _ = self._session.table.adopt(shown, self._session.plane.catalog.of(type(shown)))
        self._session.table.keep(held)
        facts = self._session.plane.policy.objects.get(name)
        held.name = held.name or name
        held.roots |= {name}
        held.stamp = None
        held.labels |= facts.labels if facts is not None else frozenset()
        replaced = self.objects.get(name)
        self.objects[name] = held
        keys = frozenset(facts.keys) if facts is not None else frozenset()
        held.columns = self.columns[name] = granted_columns(shown)._replace(behind=behind(shown, name, keys))
        if replaced is not None and not any(other is replaced for other in self.objects.values()):
            self._session.table.unkeep(replaced)  # whoever still holds it keeps it
        self.widths[name] = hosts.width(shown)
        self.since[name] = self._session.plane.clock.mono()
        (self.projected.add if shown is not value else self.projected.discard)(name)
        (self.modules.add if isinstance(shown, types.ModuleType) else self.modules.discard)(name)
        granted = self._capabilities[name] = capability if capability is not None else mint(name)
        granted.narrowed = lambda: self._narrowed(granted)
        self.attenuated = self.attenuated or not granted.plain
        self.known.update(flat_labels(hosts.column_names(shown)))
        self._session.plane.record(
            "grant",
            session=self._session.id,
            agent=self._session.agent,
            cap=name,
            target={"id": held.handle, "version": held.version, "type": held.type_name, "name": name},
            detail={
                "effects": sorted(self._capabilities[name].effects),
                "projected": shown is not value,
                "columns": sorted(map(str, flat_labels(hosts.column_names(shown))))[:_MOST_COLUMNS],
            },
        )
        return held

    def local_name(self, value: Any, name: str | None) -> str:
        """The name under which an object is granted to in-process code, granting it where it is not yet.

        Args:
            value: the object.
            name: the wanted name; None for any.
        """
        shown = self._session.membrane.seen_as(value)
        for known, held in self.objects.items():
            if held.value is shown and name in (None, known):
                return known
        number = 1
        chosen = name or "object"
        while name is None and chosen in self._capabilities:
            number += 1
            chosen = f"object{number}"
        self.grant(chosen, value, aliases=[chosen])
        return chosen

    def _project(self, name: str, value: Any, aliases: list[str]) -> Any:
        seen = self._session.membrane.seen_as(value)
        if seen is not value:
            return seen
        policy = self._session.plane.policy
        show: tuple[str, ...] | None = None
        hide: tuple[str, ...] = ()
        where: tuple[RowFilter, ...] = ()
        mask: tuple[str, ...] = ()
        own = False
        for alias in aliases:  # a projection belongs to the object: all names of it get the strictest
            facts = policy.objects.get(alias)
            if facts is None:
                continue
            if facts.type is not None and facts.type != type_name(value):
                raise PolicyError(
                    f"[objects.{alias}] says type {facts.type!r}, but the object is a {type_name(value)}",
                    file=policy.name,
                    hint="correct the type, or grant another object",
                )
            if facts.show is not None:
                show = facts.show if show is None else tuple(column for column in show if column in facts.show)
            hide += tuple(column for column in facts.hide if column not in hide)
            where += tuple(each for each in facts.where if each not in where)
            own = own or facts.min_group is not None  # what stands behind a value is known of a copy alone
            mask += tuple(column for column in facts.mask if column not in mask)
        if show is None and not hide and not where and not mask and not own:
            return value
        if self._session.table.find(value) is not None:
            raise ValueError(f"the object of {name!r} is granted already, unprojected; grant a copy")
        shown = value
        if show is not None:
            show, hide = tuple(column for column in show if column not in hide), ()
        shown = hosts.project(shown, show=show, hide=hide, where=where, whole=own)
        if mask:
            left = tuple(column for column in mask if column not in hide and (show is None or column in show))
            shown = masked_table(shown, left, self._session.masks.token)
            self.masked |= frozenset(left)
        self._session.membrane.substitute(value, shown)
        return shown

    def revoke(self, name: str) -> None:
        """Take a capability back; see `Session.revoke`."""
        if name not in self._capabilities:
            raise self.unknown(name)
        self._capabilities[name].revoke()

    def _narrowed(self, capability: Capability) -> None:
        """A capability says less than before: from now on it is asked at each operation."""
        self.attenuated = True
        own = {"session": self._session.id, "agent": self._session.agent, "cap": capability.name}
        if capability.revoked:
            self._session.plane.record("revoke", **own)
        else:
            self._session.plane.record("grant", **own, detail={"effects": sorted(capability.effects), "narrowed": True})

    def use(self, roots: frozenset[str], effects: frozenset[Effect], *, count: bool) -> None:
        """Ask every capability among these roots; raises where one does not allow it. See `Capability.use`."""
        now = self._session.plane.clock.mono()
        for root in roots:
            if root in self._capabilities:  # a file, or an object of another session that a file was made from
                self._capabilities[root].use(effects, now, count=count)


def type_name(value: Any) -> str:
    """Qualified name of a value's exact type."""
    return f"{type(value).__module__}.{type(value).__qualname__}"


def flat_labels(labels: Iterable[Any] | None, *, others: bool = False) -> set[Any]:
    """Plain column labels, also those inside the tuples of a MultiIndex; with `others` labels of every type."""
    found: set[Any] = set()
    for label in labels or ():
        parts = label if type(label) is tuple else (label,)
        found.update(part for part in parts if others or type(part) in (str, int, float, bool))
    return found
