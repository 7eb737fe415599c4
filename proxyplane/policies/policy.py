"""A policy: loaded once, asked for every operation."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from fnmatch import fnmatchcase
from importlib.resources import files
from os import PathLike
from pathlib import Path

from proxyplane.decisions import Decision, Request
from proxyplane.effects import Effect
from proxyplane.errors import PolicyError
from proxyplane.policies.engine import Engine
from proxyplane.policies.load import parse, read
from proxyplane.policies.model import Budget, FsGrant, ModuleGrant, ObjectFacts, PolicyModel, Rule
from proxyplane.policies.vocabulary import CONTENT, PRESETS, suggest

__all__ = ["Policy"]


class Policy:
    """What agents may do. Immutable; safe to share between threads and sessions.

    Get one from `Policy.load`, `Policy.parse` or `Policy.preset`.
    """

    __slots__ = ("_engine", "_model", "_plans", "digest", "name")

    def __init__(self, model: PolicyModel, name: str) -> None:
        self._model = model
        self._engine = Engine(model)
        self._plans = self._engine.plans
        self.name = name
        """The file's or the preset's name, for people."""
        self.digest: bytes = model.digest()
        """SHA-256 of the normalised policy, for records."""

    @classmethod
    def load(cls, path: str | PathLike[str]) -> Policy:
        """Read a policy file.

        Raises:
            PolicyError: it cannot be read, or anything in it is wrong.
        """
        file = Path(path)
        return cls(parse(read(file), file=str(file), folder=file.parent), file.name)

    @classmethod
    def parse(cls, text: str, *, file: str = "<policy>", folder: Path | None = None) -> Policy:
        """Read a policy from a text.

        Args:
            text: TOML.
            file: the name to give in errors.
            folder: what `[fs] root` is relative to; the current directory if not given.

        Raises:
            PolicyError: anything in it is wrong.
        """
        return cls(parse(text, file=file, folder=folder), file)

    @classmethod
    def preset(cls, name: str) -> Policy:
        """One of the policies that come with the package: `open`, `read_only`, `analyst`, `locked`.

        Raises:
            PolicyError: there is no preset of that name.
        """
        if name not in PRESETS:
            raise PolicyError(f'unknown preset "{name}"', file="<preset>", hint=suggest(name, PRESETS))
        text = (files("proxyplane.policies") / "presets" / f"{name}.toml").read_text(encoding="utf-8")
        return cls(parse(text, file=f"<preset {name}>", folder=None), name)

    @property
    def rules(self) -> tuple[Rule, ...]:
        """The rules in file order."""
        return self._model.rules

    @property
    def objects(self) -> Mapping[str, ObjectFacts]:
        """Facts and projections by granted name."""
        return self._model.objects

    @property
    def modules(self) -> ModuleGrant:
        """What may be imported."""
        return self._model.modules

    @property
    def fs(self) -> FsGrant | None:
        """Which files are reachable; `None`: none."""
        return self._model.fs

    @property
    def budgets(self) -> Mapping[str, Budget]:
        """Budgets by name."""
        return self._model.budgets

    @property
    def require_tier(self) -> str | None:
        """The isolation below which no session may start."""
        return self._model.require_tier

    def decide(self, request: Request) -> Decision:
        """The decision for an operation whose counts are as known as they will be.

        A condition on a count that is not known counts as met in a deny and as not met in an allow.
        """
        plan = self._plans.get(request[:8]) or self._engine.plan(request)
        return plan.answer(request[8], hopeful=False) if plan.fixed is None else plan.fixed

    def could_reveal(self, request: Request) -> Decision:
        """The same question before lowering: is there any outcome that `decide` would allow?

        A condition on a count that is not known counts as satisfiable in the agent's favour, so a deny is final.
        Charges that depend on such a count are left out.
        """
        plan = self._plans.get(request[:8]) or self._engine.plan(request)
        return plan.answer(request[8], hopeful=True) if plan.fixed is None else plan.fixed

    def check(self, names: Iterable[str]) -> list[str]:
        """What is not wrong but probably not meant, one sentence each.

        Args:
            names: the names that objects are granted by.
        """
        granted = sorted(set(names))
        return [*self._check_names(granted), *self._check_budgets(), *self._check_effects()]

    def _check_names(self, granted: list[str]) -> Iterable[str]:
        for rule in self.rules:
            named = [pattern for pattern in rule.object if not pattern.startswith("fs:")]
            if (
                named
                and not any(fnmatchcase(name, pattern) for name in granted for pattern in named)
                and (rule.object != ("*",))
            ):
                yield f'rule "{rule.id}" (line {rule.line}) names {_quoted(rule.object)}, and no granted object is that'
        for name in self.objects:
            if name not in granted:
                yield f"[objects.{name}] describes an object that is not granted; hint: {suggest(name, granted)}"

    def _check_budgets(self) -> Iterable[str]:
        for budget in self.budgets.values():
            if not budget.rules:
                yield f'budget "{budget.name}" is never charged: add charge = {{ {budget.name} = "rows" }} to a rule'
            if budget.per == "session":
                yield f'budget "{budget.name}" counts per session: whoever can open sessions resets it'
        for rule in self.rules:
            if CONTENT.isdisjoint(rule.effects) and any(take.fact is not None for take in rule.takes):
                yield f'rule "{rule.id}" (line {rule.line}) charges for content but grants no effect that shows any'

    def _check_effects(self) -> Iterable[str]:
        allowed = {effect for rule in self.rules if not rule.deny for effect in rule.effects}
        for key, effect in (("read", Effect.FS_READ), ("write", Effect.FS_WRITE)):
            if self.fs is not None and getattr(self.fs, key) and effect not in allowed:
                yield f'[fs] {key} lists files, and no rule allows "{effect}"'
        for effect in (Effect.FS_READ, Effect.FS_WRITE):
            if self.fs is None and effect in allowed:
                yield f'a rule allows "{effect}", and without [fs] no file is reachable'


def _quoted(names: Iterable[str]) -> str:
    return ", ".join(f'"{name}"' for name in names)
