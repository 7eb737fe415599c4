"""The policy as the engine uses it: checked, normalised, immutable."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any, Literal, NamedTuple

from proxyplane.decisions import Redaction, Request
from proxyplane.effects import Effect
from proxyplane.hosts.rows import RowFilter
from proxyplane.policies.clauses import Clause
from proxyplane.policies.match import Bound, Glob, glob
from proxyplane.policies.vocabulary import SCHEMA

__all__ = ["Budget", "FsGrant", "ModuleGrant", "ObjectFacts", "PolicyModel", "Rule", "Take", "Terms", "Trial"]

Guest = Literal["stdlib"] | tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ObjectFacts:
    """What the policy says about one granted object."""

    type: str | None = None
    """Qualified type name that the object must have."""
    labels: frozenset[str] = frozenset()
    show: tuple[str, ...] | None = None
    """The only columns that exist for the agent; `None`: all but the hidden ones."""
    hide: tuple[str, ...] = ()
    """Columns that do not exist for the agent."""
    mask: tuple[str, ...] = ()
    """Columns whose values are never shown, though they can be worked with."""
    where: tuple[RowFilter, ...] = ()
    """Only rows for which all of these are true exist for the agent."""
    keys: tuple[str, ...] = ()
    """Columns that aggregates may be grouped or filtered by."""
    min_group: int | None = None
    """Rows behind a value that is shown, at least."""

    @property
    def projects(self) -> bool:
        """Whether the agent gets another object than the one that is granted."""
        return self.show is not None or bool(self.hide or self.where)


@dataclass(frozen=True, slots=True)
class ModuleGrant:
    """What the agent may import."""

    host: tuple[str, ...] = ()
    """Imported on the host; the guest sees stubs."""
    guest: Guest = "stdlib"
    """What the guest imports for itself, from memory."""


@dataclass(frozen=True, slots=True)
class FsGrant:
    """Which files are reachable. Globs are relative to `root`; resolving paths is not done here."""

    root: Path
    read: tuple[str, ...] = ()
    write: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Budget:
    """A total that allowed operations use up, counted for each principal and root object."""

    name: str
    limit: int
    per: Literal["principal", "session", "day"] = "principal"
    exceeded: Literal["deny", "ask"] = "deny"
    unit: str = ""
    """`rows`, `cells`, `bytes`, `columns` or `operations`; empty when no rule charges it."""
    rules: tuple[str, ...] = ()
    """Ids of the rules that charge it, in file order."""


class Take(NamedTuple):
    """What one use of a rule takes from a budget."""

    budget: str
    fact: int | None
    """Index into `Facts` of the counted fact; `None` for a fixed amount."""
    fixed: int = 0
    columns: bool = False
    """Each distinct column counts once."""


class Terms(NamedTuple):
    """What an ask rule wants of an approval."""

    who: tuple[str, ...] = ()
    seconds: int = 300
    remember: str = "never"


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule. Globs are `None` where the rule accepts everything."""

    index: int
    """Place in the file, from 0; it decides which id is reported, never what is allowed."""
    id: str
    decide: str
    effects: frozenset[Effect]
    agent: tuple[str, ...] = ("*",)
    origin: tuple[str, ...] = ("*",)
    object: tuple[str, ...] = ("*",)
    type: tuple[str, ...] = ("*",)
    label: tuple[str, ...] = ("*",)
    column: tuple[str, ...] = ("*",)
    member: tuple[str, ...] = ("*",)
    ops: frozenset[str] | None = None
    when: tuple[Bound, ...] = ()
    unless: tuple[Bound, ...] = ()
    when_also: tuple[Clause, ...] = ()
    """Conditions of `when` on what is no count of content."""
    unless_also: tuple[Clause, ...] = ()
    takes: tuple[Take, ...] = ()
    redaction: Redaction | None = None
    terms: Terms | None = None
    declassify: frozenset[str] = frozenset()
    grants: bool = True
    """Whether it gives what it speaks of. A deny never does, a redact only if it names agent and object."""
    reason: str = ""
    line: int | None = None
    file: str = ""
    globs: Mapping[str, Glob] = field(init=False, repr=False, compare=False)
    """Matchers of the keys that restrict anything."""
    contextual: bool = field(init=False, repr=False, compare=False)
    """Whether more than names and counts must be known to tell if it matches, and what it takes."""
    conditional: bool = field(init=False, repr=False, compare=False)
    """Whether more than names must be known."""
    counted: bool = field(init=False, repr=False, compare=False)
    """Whether it charges what reaches the agent."""

    def __post_init__(self) -> None:
        names = ("agent", "origin", "object", "type", "label", "column", "member")
        found = {name: matcher for name in names if (matcher := glob(getattr(self, name))) is not None}
        contextual = bool(self.when_also or self.unless_also or self.declassify or "column" in found)
        contextual = contextual or any(take.columns for take in self.takes)
        object.__setattr__(self, "globs", MappingProxyType(found))
        counted = any(take.fact is not None or take.columns for take in self.takes)
        object.__setattr__(self, "counted", counted)
        object.__setattr__(self, "contextual", contextual)
        object.__setattr__(self, "conditional", bool(contextual or self.when or self.unless))

    @property
    def deny(self) -> bool:
        """Whether it refuses."""
        return self.decide == "deny"


class Trial(NamedTuple):
    """One of the file's own tests."""

    name: str
    request: Request
    decision: str
    rule: str | None
    """The rule that must decide; `default` for none; `None` where any may."""
    line: int | None
    file: str


@dataclass(frozen=True, slots=True)
class PolicyModel:
    """A whole policy."""

    rules: tuple[Rule, ...] = ()
    objects: Mapping[str, ObjectFacts] = field(default_factory=dict)
    budgets: Mapping[str, Budget] = field(default_factory=dict)
    modules: ModuleGrant = ModuleGrant()
    fs: FsGrant | None = None
    fs_root: str = ""
    """The root as written, so that the digest does not depend on where the file lies."""
    require_tier: str | None = None
    mode: Literal["enforce", "observe"] = "enforce"
    trials: tuple[Trial, ...] = ()
    texts: Mapping[str, str] = field(default_factory=dict)
    """The text of each file, for quoting its rules."""
    guest_stated: bool = False
    """Whether the file says what the guest imports, or that is the default."""

    def digest(self) -> bytes:
        """SHA-256 of the normalised model: comments, layout, tests and the order of sets do not count."""
        fs = None if self.fs is None else [self.fs_root, self.fs.read, self.fs.write]
        content: dict[str, Any] = {
            "schema": SCHEMA,
            "mode": self.mode,
            "rules": [_plain_rule(rule) for rule in self.rules],
            "objects": {name: _plain_object(facts) for name, facts in self.objects.items()},
            "budgets": {name: asdict(budget) for name, budget in self.budgets.items()},
            "modules": asdict(self.modules),
            "fs": fs,
            "require_tier": self.require_tier,
        }
        text = json.dumps(content, sort_keys=True, separators=(",", ":"), default=sorted)
        return hashlib.sha256(text.encode()).digest()


def _plain_object(facts: ObjectFacts) -> dict[str, Any]:
    names = ("type", "labels", "show", "hide", "mask", "keys", "min_group")
    return {name: getattr(facts, name) for name in names} | {"where": [each.text for each in facts.where]}


def _plain_rule(rule: Rule) -> dict[str, Any]:
    keys = ("id", "decide", "effects", "ops", "when", "unless", "when_also", "unless_also", "takes", "redaction",
            "terms", "declassify", "reason")  # fmt: skip
    globs = ("agent", "origin", "object", "type", "label", "column", "member")
    return {key: getattr(rule, key) for key in keys} | {key: sorted(set(getattr(rule, key))) for key in globs}
