"""The question and its answer: which rules match a request, and what the strictest of them says.

A request is answered in two steps. What depends on names only (who, which objects, which effects) is worked out once
and kept as a `Plan`; what depends on counts and other facts is added for each request. Both steps are pure functions
of the policy and the request, so their results may be kept and two threads that race only do the work twice.

Rules are found by looking names up (`match.Names`), never by going through them: rules are bits of a number, and
those that speak of a request are the bits that all its names have in common.
"""

from __future__ import annotations

from collections.abc import Iterable

from proxyplane.decisions import Charge, Decision, Facts, Request
from proxyplane.effects import Effect
from proxyplane.policies import hints
from proxyplane.policies.duties import Duties
from proxyplane.policies.match import LONGEST, Names
from proxyplane.policies.model import PolicyModel, Rule
from proxyplane.policies.truth import truth
from proxyplane.policies.vocabulary import CONTENT, EFFECT_ORDER

__all__ = ["Engine", "Plan"]

PLANS = 4096
"""Plans kept at most. Members and agents are the guest's choice, so the number must not be."""
ANSWERS = 256
"""Answers kept at most for one plan; counts are the data's choice."""

_RANK = {effect: number for number, effect in enumerate(EFFECT_ORDER)}.__getitem__

Candidate = tuple[Rule, frozenset[str]]
"""A rule, and the roots that it covers."""


class Engine:
    """Answers requests for one policy. Safe to use from several threads."""

    __slots__ = (
        "_agents", "_effects", "_labels", "_members", "_narrow", "_objects", "_ops", "_origins", "_refuse",
        "_root_labels", "_rules", "_types", "_wide", "duties", "plans", "stricter",
    )  # fmt: skip

    def __init__(self, model: PolicyModel) -> None:
        rules = self._rules = model.rules
        self.plans: dict[tuple[object, ...], Plan] = {}
        self.duties = Duties(model)
        self._agents = Names(rule.agent for rule in rules)
        self._origins = Names(rule.origin for rule in rules)
        self._ops = Names(("*",) if rule.ops is None else tuple(rule.ops) for rule in rules)
        self._members = Names(rule.member for rule in rules)
        self._types = Names(rule.type for rule in rules)
        self._objects = Names(rule.object for rule in rules)
        self._labels = Names(rule.label for rule in rules)
        self._root_labels = {name: self._any_label(facts.labels) for name, facts in model.objects.items()}
        self._effects = {e: _bits(rule.index for rule in rules if e in rule.effects) for e in EFFECT_ORDER}
        self._refuse = _bits(rule.index for rule in rules if rule.deny)
        self._wide = _bits(rule.index for rule in rules if rule.grants and not rule.deny)
        self._narrow = _bits(rule.index for rule in rules if rule.decide in ("ask", "fork", "redact"))
        self.stricter = self._refuse | self._narrow
        """Rules that hold something back, as bits."""

    def plan(self, request: Request) -> Plan:
        """All of the answer that does not depend on `request.facts` and `request.context`."""
        key = request[:8]
        plan = self.plans.get(key)
        if plan is None:
            plan = Plan(self, request)
            if request.member is not None and len(request.member) > LONGEST:
                return plan
            if len(self.plans) >= PLANS:
                self.plans.clear()
            self.plans[key] = plan
        return plan

    def speaking(self, request: Request) -> int:
        """Rules that accept agent, way, verb, member and type, as bits."""
        return (
            self._agents.bits(request.agent)
            & self._origins.bits(request.via)
            & self._ops.bits(request.verb)
            & self._members.bits(request.member)
            & self._types.bits(request.type)
        )

    def touched(self, request: Request) -> int:
        """Rules of which any root and any label is, as bits."""
        objects = self._objects.open
        for root in request.roots:
            objects |= self._objects.bits(root)
        return objects & (self._labels.open | self._any_label(request.labels))

    @property
    def bars_members(self) -> bool:
        """Whether a rule that holds something back names members."""
        return bool(self.stricter & ~self._members.open)

    def bars(self, member: str) -> bool:
        """Whether a rule that holds something back names this member."""
        return bool(self._members.bits(member) & self.stricter & ~self._members.open)

    def covered(self, request: Request) -> list[tuple[frozenset[str], int]]:
        """For each root the rules that cover it, as bits; for no root those that need none.

        Labels of a request are those of all its roots together. A grant by label therefore needs every one of them
        to match, and where there are several roots each of them must be declared with a matching label, or a
        labelled object would lend its label to an unlabelled one.
        """
        labels = -1 if request.labels else self._labels.open
        for label in request.labels:
            labels &= self._labels.bits(label)
        roots = request.roots
        if not roots:
            return [(roots, labels)]
        if len(roots) == 1:
            return [(roots, self._objects.bits(root) & labels) for root in roots]
        by_root = self._root_labels
        open_labels = self._labels.open
        return [
            (frozenset((root,)), self._objects.bits(root) & labels & (open_labels | by_root.get(root, 0)))
            for root in sorted(roots)
        ]

    def _any_label(self, labels: Iterable[str]) -> int:
        found = 0
        for label in labels:
            found |= self._labels.bits(label)
        return found

    def refusing(self, speaking: int, effect: Effect) -> list[Rule]:
        """Deny rules among these that speak of the effect, in file order."""
        return self._these(speaking & self._refuse & self._effects[effect])

    def narrowing(self, speaking: int, effect: Effect) -> list[Rule]:
        """Ask, fork and redact rules among these that speak of the effect; to redact is only for content."""
        found = self._these(speaking & self._narrow & self._effects[effect])
        return found if effect in CONTENT else [rule for rule in found if rule.decide != "redact"]

    def granting(self, speaking: int, covered: list[tuple[frozenset[str], int]], effect: Effect) -> list[Candidate]:
        """Granting rules among these that speak of the effect, each with the roots that it covers."""
        wanted = speaking & self._wide & self._effects[effect]
        if not wanted:
            return []
        if len(covered) == 1:
            roots, bits = covered[0]
            return [(rule, roots) for rule in self._these(wanted & bits)]
        found: dict[int, set[str]] = {}
        for part, bits in covered:
            for rule in self._these(wanted & bits):
                found.setdefault(rule.index, set()).update(part)
        return [(self._rules[index], frozenset(roots)) for index, roots in sorted(found.items())]

    def granted(self, request: Request) -> list[Effect]:
        """Effects that would be allowed on the request's roots if every condition held; for hints."""
        found = []
        speaking, covered = self.speaking(request), self.covered(request)
        refused = speaking & self.touched(request)
        for effect in EFFECT_ORDER:
            if not any(not rule.conditional for rule in self.refusing(refused, effect)):
                candidates = self.granting(speaking, covered, effect)
                if candidates and request.roots <= _union(candidates):
                    found.append(effect)
        return found

    def _these(self, bits: int) -> list[Rule]:
        rules = self._rules
        found = []
        while bits:
            low = bits & -bits
            found.append(rules[low.bit_length() - 1])
            bits ^= low
        return found


class Plan:
    """The rules that speak of one kind of request."""

    __slots__ = ("_content", "_denies", "_engine", "_grants", "_kept", "_limits", "_request", "contextual", "fixed")

    def __init__(self, engine: Engine, request: Request) -> None:
        self._engine = engine
        self._request = request
        effects = request.effects
        order = sorted(effects, key=_RANK) if len(effects) > 1 else list(effects)
        speaking = engine.speaking(request)
        covered = engine.covered(request)
        stricter = speaking & engine.stricter
        touched = stricter & engine.touched(request) if stricter else 0
        self._content = not CONTENT.isdisjoint(effects)
        self._denies: list[tuple[Effect, Rule]] = []
        self._limits: list[tuple[Effect, Rule]] = []
        if touched:
            self._denies = [(effect, rule) for effect in order for rule in engine.refusing(touched, effect)]
            self._limits = [(effect, rule) for effect in order for rule in engine.narrowing(touched, effect)]
        self._grants = [(effect, engine.granting(speaking, covered, effect)) for effect in order]
        self._kept: dict[tuple[Facts, bool], Decision] = {}
        self.contextual = False
        """Whether the answer depends on more than counts, so that it is not kept."""
        varies = False
        for rule in [rule for _, found in self._grants for rule, _ in found]:
            if rule.conditional or (rule.counted and self._content):
                varies = True
                self.contextual = self.contextual or rule.contextual
        for _, rule in (*self._denies, *self._limits) if touched else ():
            if rule.conditional or (rule.counted and self._content):
                varies = True
                self.contextual = self.contextual or rule.contextual
        self.fixed: Decision | None = None if varies else self._decide(request, hopeful=False)
        """The answer, where it does not depend on facts."""

    def answer(self, request: Request, *, hopeful: bool) -> Decision:
        """The decision for these facts.

        Args:
            request: one that this is the plan of.
            hopeful: take a condition on an unknown fact as satisfied in the agent's favour.
        """
        if self.contextual:
            return self._decide(request, hopeful=hopeful)
        facts = request.facts
        kept = self._kept.get((facts, hopeful))
        if kept is None:
            if len(self._kept) >= ANSWERS:
                self._kept.clear()
            kept = self._kept[facts, hopeful] = self._decide(request, hopeful=hopeful)
        return kept

    def _decide(self, request: Request, *, hopeful: bool) -> Decision:
        """The five sentences, in their order of strictness: an explicit deny, a missing grant, then what is milder."""
        denies = self._met(self._denies, request, hopeful)
        limits = self._met(self._limits, request, hopeful)
        giving, grants = self._given(request, hopeful)
        if denies:
            effect, rule = denies[0]
            return self._refused_by(rule, effect, _ids(denies, limits, giving))
        for effect, granting in grants:
            covered = granting[0][1] if len(granting) == 1 else _union(granting)
            if not granting or not request.roots <= covered:
                matched = _ids(denies, limits, giving)
                return self._not_allowed(effect, request.roots - covered, request, hopeful, matched)
        if not grants:
            return Decision("deny", None, (), "an operation without a declared effect is not allowed", None, "")
        matched = _ids(denies, limits, giving)
        candidates = list(giving.values())
        duties = self._engine.duties
        if not limits and not duties.any:
            return Decision("allow", matched[0], matched, "", None, "", self._charges(candidates, request))
        touching = [(rule, frozenset(duties.roots(rule, request.roots))) for _, rule in limits]
        charges = self._charges([*candidates, *touching], request)
        return duties.join(request, limits, [rule for rule, _ in candidates], matched, charges)

    def _met(self, rules: list[tuple[Effect, Rule]], request: Request, hopeful: bool) -> list[tuple[Effect, Rule]]:
        """Of the rules that refuse or narrow those whose conditions hold, or are not known to fail."""
        if not rules:
            return rules
        strict = (True,) if hopeful else (True, None)
        return [(effect, rule) for effect, rule in rules if self._truth(rule, request, False) in strict]

    def _given(
        self, request: Request, hopeful: bool
    ) -> tuple[dict[int, Candidate], list[tuple[Effect, list[Candidate]]]]:
        """Of the rules that grant those whose conditions hold: all, by number, and for each effect."""
        mild = (True, None) if hopeful else (True,)
        tried: dict[int, bool] = {}
        giving: dict[int, Candidate] = {}
        grants = []
        for effect, found in self._grants:
            granting = []
            for candidate in found:
                rule = candidate[0]
                holds = tried.get(rule.index)
                if holds is None:
                    holds = tried[rule.index] = self._truth(rule, request, True) in mild
                if holds:
                    giving[rule.index] = candidate
                    granting.append(candidate)
            grants.append((effect, granting))
        return giving, grants

    def _truth(self, rule: Rule, request: Request, granting: bool) -> bool | None:
        """Whether the conditions hold; a rule that cannot count what it charges cannot be evaluated."""
        answer = truth(rule, request, granting=granting) if rule.conditional else True
        if answer and rule.counted and self._content:
            facts = request.facts
            for take in rule.takes:
                if take.fact is not None and facts[take.fact] is None:
                    return None
                if take.columns and request.context.columns is None:
                    return None
        return answer

    def _charges(self, granting: list[Candidate], request: Request) -> tuple[Charge, ...]:
        """Each budget once for each root, with the largest amount that a matching rule takes."""
        charging = [candidate for candidate in granting if candidate[0].takes]
        if not charging:
            return ()
        amounts: dict[tuple[str, str], int] = {}
        names: dict[str, set[str]] = {}
        for rule, roots in charging:
            for take in rule.takes:
                if take.columns:
                    if self._content and request.context.columns:
                        names.setdefault(take.budget, set()).update(roots)
                    continue
                amount = take.fixed if take.fact is None else (request.facts[take.fact] or 0) * self._content
                for root in roots if amount else ():
                    key = (take.budget, root)
                    amounts[key] = max(amounts.get(key, 0), amount)
        if len(amounts) == 1 and not names:
            (((budget, root), amount),) = amounts.items()
            return (Charge(budget, frozenset((root,)), amount),)
        grouped: dict[tuple[str, int], set[str]] = {}
        for (budget, root), amount in amounts.items():
            grouped.setdefault((budget, amount), set()).add(root)
        found = [Charge(budget, frozenset(roots), amount) for (budget, amount), roots in sorted(grouped.items())]
        columns = request.context.columns or frozenset()
        found += [Charge(budget, frozenset(roots), 0, columns) for budget, roots in sorted(names.items())]
        return tuple(found)

    def _refused_by(self, rule: Rule, effect: Effect, matched: tuple[str, ...]) -> Decision:
        reason = rule.reason or f'rule "{rule.id}" denies it'
        hint = hints.denied(rule, effect, self._request, self._granted())
        return Decision("deny", rule.id, matched, reason, effect, hint)

    def _not_allowed(
        self, effect: Effect, missing: frozenset[str], request: Request, hopeful: bool, matched: tuple[str, ...]
    ) -> Decision:
        """A default deny: point at the rule whose condition stood in the way, else say that there is none."""
        mild = (True, None) if hopeful else (True,)
        candidates = next(found for each, found in self._grants if each is effect)
        closed = [
            rule
            for rule, roots in candidates
            if self._truth(rule, request, True) not in mild and (not missing or not missing.isdisjoint(roots))
        ]
        if closed:
            rule = max(closed, key=hints.generosity)
            reason, hint = hints.capped(rule, effect, request)
            return Decision("deny", rule.id, matched, reason, effect, hint)
        hint = hints.absent(effect, self._request, missing, self._granted())
        return Decision("deny", None, matched, hints.NOTHING_ALLOWS, effect, hint)

    def _granted(self) -> list[Effect]:
        return self._engine.granted(self._request)


def _bits(numbers: Iterable[int]) -> int:
    found = 0
    for number in numbers:
        found |= 1 << number
    return found


def _union(candidates: Iterable[Candidate]) -> frozenset[str]:
    return frozenset().union(*[roots for _, roots in candidates])


def _ids(
    denies: list[tuple[Effect, Rule]], limits: list[tuple[Effect, Rule]], giving: dict[int, Candidate]
) -> tuple[str, ...]:
    """Ids of all that match, without repetition, in file order."""
    if len(giving) == 1 and not denies and not limits:
        ((rule, _),) = giving.values()
        return (rule.id,)
    found = {index: rule.id for index, (rule, _) in giving.items()}
    found.update((rule.index, rule.id) for _, rule in (*denies, *limits))
    return tuple([found[index] for index in sorted(found)])
