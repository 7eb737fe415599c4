"""Recorded operations as questions to a policy."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from proxyplane import audit
from proxyplane.cli.auditing import readable
from proxyplane.decisions import Context, Facts, Request
from proxyplane.effects import ALL_EFFECTS, Effect
from proxyplane.policies import Recorded

__all__ = ["Replay", "recorded"]

_DECIDED = frozenset({"single", "outcome"})
_ALL_COLUMNS = 200
"""A grant that tells so many columns may have more."""
_CONTENT = frozenset({"reveal", "callback", "display"})


class Replay:
    """Turns records into questions, as far as they tell enough.

    Attributes:
        unclear: operations of which some argument's lineage is not in the log; they are left out.
        ungranted: operations that never came to be judged, as their capability was revoked or had run out.
    """

    def __init__(self) -> None:
        self.unclear = 0
        self.ungranted = 0
        self._roots: dict[tuple[str, int], frozenset[str]] = {}
        self._labels: dict[tuple[str, int], frozenset[str]] = {}
        self._ways: dict[str, str] = {}
        self._columns: dict[tuple[str, str], frozenset[str]] = {}

    def operations(self, records: Iterable[Mapping[str, Any]]) -> Iterator[Recorded]:
        """The operations in the order of their records, each once, when it ended.

        Args:
            records: of one log, from its beginning.
        """
        for record in records:
            kind = record.get("kind")
            if kind == "session.open":
                tier = (record.get("detail") or {}).get("tier")
                self._ways[str(record.get("session"))] = "inproc" if tier == "cooperative" else "host"
            elif kind == "grant":
                self._learn(record, (str(record.get("cap")),))
                columns = (record.get("detail") or {}).get("columns")
                if columns is not None and len(columns) < _ALL_COLUMNS:
                    self._columns[str(record.get("session")), str(record.get("cap"))] = frozenset(columns)
            elif kind == "effect":
                self._learn(record, (record.get("target") or {}).get("roots", ()))
                if record.get("phase") in _DECIDED and record.get("verdict") is not None:
                    found = self._operation(record)
                    if found is not None:
                        yield found

    def _learn(self, record: Mapping[str, Any], roots: Iterable[str]) -> None:
        target = record.get("target")
        if isinstance(target, Mapping) and isinstance(target.get("id"), int):
            key = str(record.get("session")), target["id"]
            self._roots[key] = frozenset(roots)
            self._labels[key] = frozenset(target.get("labels", ()))

    def _operation(self, record: Mapping[str, Any]) -> Recorded | None:
        target, session = record.get("target") or {}, str(record.get("session"))
        if record.get("rule") is None and record.get("reason") in ("revoked", "expired", "private", "fs", "frozen"):
            self.ungranted += 1
            return None
        roots, labels = frozenset(target.get("roots", ())), frozenset(target.get("labels", ()))
        for form in record.get("args") or ():
            if form.get("form") == "ref":
                key = session, form.get("ref")
                if key not in self._roots:
                    self.unclear += 1
                    return None
                roots |= self._roots[key]
                labels |= self._labels[key]
        declared = (record.get("effects") or {}).get("declared", ())
        effects = frozenset(Effect(name) for name in declared if name in ALL_EFFECTS)
        request = Request(
            str(record.get("agent")),
            self._way(record, session),
            str(record.get("verb")),
            record.get("member"),
            str(target.get("type", "")),
            roots,
            labels,
            effects,
            _facts(record, declared),
            self._context(record, session, roots),
        )
        return Recorded(request, str(record["verdict"]), int(record["seq"]))

    def _context(self, record: Mapping[str, Any], session: str, roots: frozenset[str]) -> Context:
        """Files that it named; columns that it showed, or else all of what it worked on."""
        shown = (record.get("result") or {}).get("cols")
        known = [self._columns.get((session, root)) for root in roots]
        columns = frozenset().union(*(each for each in known if each is not None)) if None not in known else None
        files = (record.get("detail") or {}).get("files") or ()
        paths = frozenset(str(each.get("path")) for each in files)
        return Context(columns=columns if shown is None else frozenset(map(str, shown)), paths=paths)

    def _way(self, record: Mapping[str, Any], session: str) -> str:
        if record.get("verb") == "callback":
            return "callback"
        if record.get("via") in ("http", "mcp"):
            return str(record["via"])
        return "guest" if record.get("origin") == "guest" else self._ways.get(session, "host")


def recorded(directory: Path) -> tuple[list[Recorded], Replay]:
    """The operations of a log, and what was left out of it.

    Raises:
        Problem: there is no log, or it is damaged.
    """
    replay = Replay()
    with readable(directory):
        return list(replay.operations(audit.read(directory))), replay


def _facts(record: Mapping[str, Any], declared: Iterable[str]) -> Facts:
    """What was shown, or what was asked for where nothing was."""
    shown = record.get("result") or {}
    asked = (record.get("detail") or {}).get("asked") or {}
    rows, cells = shown.get("rows", asked.get("rows")), shown.get("cells", asked.get("cells"))
    if rows is None and not shown.get("roots") and _CONTENT.isdisjoint(declared):
        return Facts()
    return Facts(rows, cells, shown.get("bytes"), shown.get("group"))
