"""The policy as the engine uses it: checked, normalised, immutable."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any, Literal, NamedTuple

from proxyplane.effects import Effect
from proxyplane.policies.match import Bound, Glob, glob
from proxyplane.policies.vocabulary import SCHEMA

__all__ = ["Budget", "FsGrant", "ModuleGrant", "ObjectFacts", "PolicyModel", "Rule", "Take"]

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
    exceeded: Literal["deny"] = "deny"
    unit: str = ""
    """`rows`, `cells`, `bytes` or `operations`; empty when no rule charges it."""
    rules: tuple[str, ...] = ()
    """Ids of the rules that charge it, in file order."""


class Take(NamedTuple):
    """What one use of an allow rule takes from a budget."""

    budget: str
    fact: int | None
    """Index into `Facts` of the counted fact; `None` for a fixed amount."""
    fixed: int = 0


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule. Globs are `None` where the rule accepts everything."""

    index: int
    """Place in the file, from 0; it decides which id is reported, never what is allowed."""
    id: str
    deny: bool
    effects: frozenset[Effect]
    agent: tuple[str, ...] = ("*",)
    origin: tuple[str, ...] = ("*",)
    object: tuple[str, ...] = ("*",)
    type: tuple[str, ...] = ("*",)
    label: tuple[str, ...] = ("*",)
    member: tuple[str, ...] = ("*",)
    ops: frozenset[str] | None = None
    when: tuple[Bound, ...] = ()
    unless: tuple[Bound, ...] = ()
    takes: tuple[Take, ...] = ()
    reason: str = ""
    line: int | None = None
    globs: Mapping[str, Glob] = field(init=False, repr=False, compare=False)
    """Matchers of the keys that restrict anything."""

    def __post_init__(self) -> None:
        names = ("agent", "origin", "object", "type", "label", "member")
        found = {name: matcher for name in names if (matcher := glob(getattr(self, name))) is not None}
        object.__setattr__(self, "globs", MappingProxyType(found))


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

    def digest(self) -> bytes:
        """SHA-256 of the normalised model: comments, layout and the order of sets do not count."""
        fs = None if self.fs is None else [self.fs_root, self.fs.read, self.fs.write]
        content: dict[str, Any] = {
            "schema": SCHEMA,
            "rules": [_plain_rule(rule) for rule in self.rules],
            "objects": {name: asdict(facts) for name, facts in self.objects.items()},
            "budgets": {name: asdict(budget) for name, budget in self.budgets.items()},
            "modules": asdict(self.modules),
            "fs": fs,
            "require_tier": self.require_tier,
        }
        text = json.dumps(content, sort_keys=True, separators=(",", ":"), default=sorted)
        return hashlib.sha256(text.encode()).digest()


def _plain_rule(rule: Rule) -> dict[str, Any]:
    keys = ("id", "deny", "effects", "ops", "when", "unless", "takes", "reason")
    globs = ("agent", "origin", "object", "type", "label", "member")
    return {key: getattr(rule, key) for key in keys} | {key: sorted(set(getattr(rule, key))) for key in globs}
