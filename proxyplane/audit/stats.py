"""A log in numbers: what was done, how it was decided, on what, and what content reached whom."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field, fields
from typing import Any

__all__ = ["Revealed", "Stats", "stats"]


@dataclass
class Revealed:
    """What of one granted object reached one agent."""

    looks: int = 0
    """Operations that showed something."""
    rows: int = 0
    cells: int = 0
    unmeasured: int = 0
    """Looks of which the amount is not known."""
    columns: dict[str, int] = field(default_factory=dict)
    """Looks in which a column took part, as far as they were of whole columns that the agent knew by right."""


@dataclass
class Stats:
    """Counts over records. An operation counts once: by its `single` or `outcome` record."""

    records: int = 0
    operations: int = 0
    sessions: int = 0
    gaps: int = 0
    first: int | None = None
    """Wall clock of the first and the last record, ns UTC."""
    last: int | None = None
    kinds: Counter[str] = field(default_factory=Counter)
    effects: Counter[str] = field(default_factory=Counter)
    verdicts: Counter[str] = field(default_factory=Counter)
    statuses: Counter[str] = field(default_factory=Counter)
    rules: Counter[str] = field(default_factory=Counter)
    agents: Counter[str] = field(default_factory=Counter)
    objects: Counter[str] = field(default_factory=Counter)
    """Operations on each granted object and what was made from it."""
    open_intents: list[str] = field(default_factory=list)
    """Operations that were begun and have no outcome."""
    ledger: dict[tuple[str, str], Revealed] = field(default_factory=dict)
    """(agent, object): what was revealed."""

    def as_json(self) -> dict[str, Any]:
        """The same with lists and text keys only."""
        found = {item.name: getattr(self, item.name) for item in fields(self)}
        found["ledger"] = [
            {"agent": agent, "object": name, **asdict(revealed)} for (agent, name), revealed in self.ledger.items()
        ]
        return found


def stats(records: Iterable[dict[str, Any]]) -> Stats:
    """Counts records (by their JSON names) in their order."""
    found = Stats()
    begun: dict[str, None] = {}
    for record in records:
        found.records += 1
        found.kinds[record["kind"]] += 1
        time = record.get("time")
        if time is not None:
            found.first = time if found.first is None else found.first
            found.last = time
        found.sessions += record["kind"] == "session.open"
        found.gaps += record["kind"] == "gap"
        if record["kind"] != "effect":
            continue
        if record.get("phase") == "intent":
            begun[record.get("op", "")] = None
            continue
        begun.pop(record.get("op", ""), None)
        _count(found, record)
    found.open_intents = list(begun)
    return found


def _count(found: Stats, record: dict[str, Any]) -> None:
    found.operations += 1
    declared = (record.get("effects") or {}).get("declared", ())
    found.effects.update(declared)
    for counter, key in (
        (found.verdicts, "verdict"), (found.statuses, "status"), (found.rules, "rule"), (found.agents, "agent"),
    ):  # fmt: skip
        if record.get(key):
            counter[record[key]] += 1
    names = names_of(record)
    found.objects.update(names)
    if "reveal" in declared and record.get("status") in ("ok", "error"):
        for name in names or ["(none)"]:
            _reveal(found.ledger.setdefault((record.get("agent", ""), name), Revealed()), record)


def _reveal(revealed: Revealed, record: dict[str, Any]) -> None:
    result = record.get("result") or {}
    revealed.looks += 1
    revealed.rows += result.get("rows") or 0
    revealed.cells += result.get("cells") or 0
    revealed.unmeasured += result.get("cells") is None
    for column in result.get("cols") or ():
        revealed.columns[column] = revealed.columns.get(column, 0) + 1


def names_of(record: dict[str, Any]) -> list[str]:
    """The granted objects that an operation was on, by way of whatever was made from them."""
    target = record.get("target") or {}
    return list(target.get("roots") or ([target["name"]] if target.get("name") else []))
