"""A policy: loaded once, asked for every operation."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from importlib.resources import files
from os import PathLike
from pathlib import Path

from proxyplane.decisions import STRICTNESS, Decision, Request
from proxyplane.effects import Effect
from proxyplane.errors import PolicyError
from proxyplane.policies import lint
from proxyplane.policies.engine import Engine
from proxyplane.policies.load import parse, read
from proxyplane.policies.model import Budget, FsGrant, ModuleGrant, ObjectFacts, PolicyModel, Rule, Trial
from proxyplane.policies.surface import Surface
from proxyplane.policies.unite import unite
from proxyplane.policies.vocabulary import FLOOR, PRESETS, suggest

__all__ = ["Policy"]


class Policy:
    """What agents may do. Immutable; safe to share between threads and sessions.

    Get one from `Policy.load`, `Policy.parse`, `Policy.preset` or `Policy.united`.
    """

    __slots__ = (
        "_engine",
        "_holding",
        "_model",
        "_plans",
        "bars_members",
        "digest",
        "follows",
        "mode",
        "name",
        "needs",
    )

    def __init__(self, model: PolicyModel, name: str) -> None:
        self._model = model
        self._engine = Engine(model)
        self._plans = self._engine.plans
        self.name = name
        """The file's or the preset's name, for people."""
        self.digest: bytes = model.digest()
        """SHA-256 of the normalised policy, for records."""
        self._holding = frozenset(rule.id for rule in model.rules if rule.decide != "allow")
        self.bars_members = self._engine.bars_members
        """Whether a rule that holds something back names members; see `decide_named`."""
        self.mode = model.mode
        """`enforce`, or `observe`: decisions are recorded, and most that refuse are let pass."""
        self.needs: frozenset[str] = frozenset(_needs(model.rules))
        """What of `Context` any rule asks for: `columns paths hosts args age session aggregate`."""
        self.follows: bool = (
            "columns" in self.needs
            or any(rule.redaction is not None or rule.declassify for rule in model.rules)
            or any(facts.min_group is not None for facts in model.objects.values())
        )
        """Whether it matters which columns content came from."""

    @classmethod
    def load(
        cls,
        path: str | PathLike[str],
        *,
        layers: Iterable[Policy | str | PathLike[str]] = (),
        surface: Surface | None = None,
    ) -> Policy:
        """Read a policy file.

        Args:
            path: a TOML file.
            layers: further policies, or their files, that hold together with it; see `united`.
            surface: what there is to use; members and types that it does not have are faults then.

        Raises:
            PolicyError: it cannot be read, or anything in it is wrong; `problems` has every fault of the file.
        """
        file = Path(path)
        own = cls(parse(read(file), file=str(file), folder=file.parent, surface=surface), file.name)
        others = [each if isinstance(each, Policy) else cls.load(each, surface=surface) for each in layers]
        return cls.united([*others, own]) if others else own

    @classmethod
    def parse(
        cls, text: str, *, file: str = "<policy>", folder: Path | None = None, surface: Surface | None = None
    ) -> Policy:
        """Read a policy from a text.

        Args:
            text: TOML.
            file: the name to give in errors.
            folder: what `[fs] root` is relative to; the current directory if not given.
            surface: see `load`.

        Raises:
            PolicyError: anything in it is wrong; `problems` has every fault.
        """
        return cls(parse(text, file=file, folder=folder, surface=surface), file)

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

    @classmethod
    def united(cls, layers: Sequence[Policy]) -> Policy:
        """Several policies that hold together: managed, project, user.

        Nothing of one is overridden by another: their rules are put together and the strictest that matches decides;
        of budgets the smaller limit holds, of projections what all of them leave, and it is only watched
        (`mode = "observe"`) if all of them say so.

        Raises:
            PolicyError: two rules of one id differ, or facts of one object exclude each other.
        """
        if not layers:
            raise ValueError("a policy of no layers would allow nothing; give at least one")
        return cls(unite([each._model for each in layers]), " + ".join(each.name for each in layers))

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

    @property
    def trials(self) -> tuple[Trial, ...]:
        """The file's own tests; `trials.try_all` decides them."""
        return self._model.trials

    @property
    def texts(self) -> Mapping[str, str]:
        """The text of each file that it was read from, for quoting."""
        return self._model.texts

    @property
    def engine(self) -> Engine:
        """What decides; for explaining."""
        return self._engine

    def decide(self, request: Request) -> Decision:
        """The decision for an operation whose facts are as known as they will be.

        A condition on a fact that is not known counts as met in a rule that refuses, asks or redacts, and as not met
        in an allow.
        """
        plan = self._plans.get(request[:8]) or self._engine.plan(request)
        return plan.answer(request, hopeful=False) if plan.fixed is None else plan.fixed

    def could_reveal(self, request: Request) -> Decision:
        """The same question before lowering: is there any outcome that `decide` would allow?

        A condition on a fact that is not known counts as satisfiable in the agent's favour, so a deny is final.
        Charges that depend on such a count are left out.
        """
        plan = self._plans.get(request[:8]) or self._engine.plan(request)
        return plan.answer(request, hopeful=True) if plan.fixed is None else plan.fixed

    def decide_named(self, request: Request, decision: Decision, members: Iterable[str]) -> Decision:
        """The decision for an operation that uses further members by their names, as `df.agg("to_csv")` does.

        A rule that holds something back by one of those names holds here too; none of them grants anything.

        Args:
            request: the operation.
            decision: on it, by its own member.
            members: the further names.
        """
        for member in members:
            if self._engine.bars(member):
                other = self.decide(request._replace(member=member))
                speaks = other.rule in self._holding
                if speaks and STRICTNESS.index(other.verdict) > STRICTNESS.index(decision.verdict):
                    decision = other
        return decision

    def passes(self, decision: Decision, effects: frozenset[Effect]) -> bool:
        """Whether an operation so decided goes on as it is.

        In the mode `observe` what would be refused, asked or redacted goes on too and is recorded as decided, but for
        the effects that lead out of the granted objects (memory, processes, the network ...), which no mode opens.
        """
        return decision.verdict == "allow" or (self.mode == "observe" and effects.isdisjoint(FLOOR))

    def check(self, names: Iterable[str] | None = None) -> list[str]:
        """What is not wrong but probably not meant, one sentence each.

        Args:
            names: the names that objects are granted by; without them, what speaks of other names is not told.
        """
        return lint.notes(self._model, names)


def _needs(rules: Iterable[Rule]) -> Iterable[str]:
    words = {"path": "paths", "host": "hosts", "age": "age", "args": "args", "session": "session"}
    for rule in rules:
        if "column" in rule.globs or any(take.columns for take in rule.takes):
            yield "columns"
        if rule.declassify:
            yield "aggregate"
        for each in (*rule.when_also, *rule.unless_also):
            yield words[each.key.partition(".")[0]]
