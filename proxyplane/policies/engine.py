"""The question and its answer: which rules match a request, and what the strictest of them says.

A request is answered in two steps. What depends on names only (who, which objects, which effects) is worked out once
and kept as a `Plan`; what depends on counts is added for each request. Both steps are pure functions of the policy
and the request, so their results may be kept and two threads that race only do the work twice.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from proxyplane.decisions import Charge, Decision, Facts, Request
from proxyplane.effects import Effect
from proxyplane.policies import hints
from proxyplane.policies.match import hold
from proxyplane.policies.model import ObjectFacts, PolicyModel, Rule
from proxyplane.policies.vocabulary import CONTENT, EFFECT_ORDER

__all__ = ["Engine", "Plan"]

PLANS = 4096
"""Plans kept at most. Members and agents are the guest's choice, so the number must not be."""
ANSWERS = 256
"""Answers kept at most for one plan; counts are the data's choice."""

_Candidate = tuple[Rule, frozenset[str]]
"""An allow rule, and the roots that it covers."""


class Engine:
    """Answers requests for one policy. Safe to use from several threads."""

    __slots__ = ("_allows", "_denies", "_objects", "plans")

    def __init__(self, model: PolicyModel) -> None:
        self._objects = model.objects
        self.plans: dict[tuple[object, ...], Plan] = {}
        self._denies = {e: tuple(r for r in model.rules if r.deny and e in r.effects) for e in EFFECT_ORDER}
        self._allows = {e: tuple(r for r in model.rules if not r.deny and e in r.effects) for e in EFFECT_ORDER}

    def plan(self, request: Request) -> Plan:
        """All of the answer that does not depend on `request.facts`."""
        key = request[:8]
        plan = self.plans.get(key)
        if plan is None:
            if len(self.plans) >= PLANS:
                self.plans.clear()
            plan = self.plans[key] = Plan(self, request)
        return plan

    def denies(self, request: Request, effect: Effect) -> list[Rule]:
        """Deny rules that speak of this effect of the request, if their conditions hold."""
        return [rule for rule in self._denies[effect] if _speaks(rule, request) and _touches(rule, request)]

    def allows(self, request: Request, effect: Effect) -> list[_Candidate]:
        """Allow rules that speak of this effect of the request, each with the roots that it covers."""
        found = []
        for rule in self._allows[effect]:
            if _speaks(rule, request):
                roots = _covered(rule, request, self._objects)
                if roots is not None:
                    found.append((rule, roots))
        return found

    def granted(self, request: Request) -> list[Effect]:
        """Effects that would be allowed on the request's roots if every condition held; for hints."""
        found = []
        for effect in EFFECT_ORDER:
            if not any(not (rule.when or rule.unless) for rule in self.denies(request, effect)):
                candidates = self.allows(request, effect)
                if candidates and request.roots <= _union(candidates):
                    found.append(effect)
        return found


class Plan:
    """The rules that speak of one kind of request."""

    __slots__ = ("_allows", "_content", "_denies", "_engine", "_kept", "_order", "_request", "fixed")

    def __init__(self, engine: Engine, request: Request) -> None:
        self._engine = engine
        self._request = request._replace(facts=Facts())
        self._order = [effect for effect in EFFECT_ORDER if effect in request.effects]
        self._content = not CONTENT.isdisjoint(request.effects)
        self._denies = [(effect, engine.denies(request, effect)) for effect in self._order]
        self._allows = [(effect, engine.allows(request, effect)) for effect in self._order]
        self._kept: dict[tuple[Facts, bool], Decision] = {}
        rules = [rule for _, found in self._denies for rule in found]
        rules += [rule for _, found in self._allows for rule, _ in found]
        counting = any(rule.when or rule.unless or self._counts(rule) for rule in rules)
        self.fixed: Decision | None = None if counting else self._decide(Facts(), hopeful=False)
        """The answer, where it does not depend on facts."""

    def answer(self, facts: Facts, *, hopeful: bool) -> Decision:
        """The decision for these counts.

        Args:
            facts: counts; `None` where not known.
            hopeful: take a condition on an unknown count as satisfied in the agent's favour.
        """
        kept = self._kept.get((facts, hopeful))
        if kept is None:
            if len(self._kept) >= ANSWERS:
                self._kept.clear()
            kept = self._kept[facts, hopeful] = self._decide(facts, hopeful=hopeful)
        return kept

    def _decide(self, facts: Facts, *, hopeful: bool) -> Decision:
        """The five sentences, in their order of strictness: an explicit deny, then a missing allow, then allow."""
        denies = [(e, [r for r in found if self._applies(r, facts, hopeful)]) for e, found in self._denies]
        allows = [(e, [c for c in found if self._applies(c[0], facts, hopeful)]) for e, found in self._allows]
        matched = _ids([rule for _, found in denies for rule in found] + [r for _, found in allows for r, _ in found])
        for effect, refusing in denies:
            if refusing:
                return self._refused_by(refusing[0], effect, matched)
        for effect, granting in allows:
            missing = self._request.roots - _union(granting)
            if missing or not granting:
                return self._not_allowed(effect, missing, facts, hopeful, matched)
        if not self._order:
            return Decision("deny", None, (), "an operation without a declared effect is not allowed", None, "")
        charges = self._charges([candidate for _, found in allows for candidate in found], facts)
        return Decision("allow", matched[0], matched, charges=charges)

    def _applies(self, rule: Rule, facts: Facts, hopeful: bool) -> bool:
        """Whether the conditions hold; what cannot be evaluated counts against the agent, unless `hopeful`."""
        answer = hold(rule.when, facts)
        if rule.unless and answer is not False:
            excepted = hold(rule.unless, facts)
            if excepted:
                return False
            if excepted is None:
                answer = None
        if answer and self._counts(rule) and any(facts[t.fact] is None for t in rule.takes if t.fact is not None):
            answer = None  # what cannot be counted cannot be charged
        return rule.deny is not hopeful if answer is None else answer

    def _counts(self, rule: Rule) -> bool:
        """Whether the rule charges a fact of this request; without content nothing reaches the agent."""
        return self._content and any(take.fact is not None for take in rule.takes)

    def _charges(self, granting: list[_Candidate], facts: Facts) -> tuple[Charge, ...]:
        """Each budget once for each root, with the largest amount that a matching rule takes."""
        amounts: dict[tuple[str, str], int] = {}
        for rule, roots in granting:
            for take in rule.takes:
                amount = take.fixed if take.fact is None else (facts[take.fact] or 0) * self._content
                for root in roots if amount else ():
                    key = (take.budget, root)
                    amounts[key] = max(amounts.get(key, 0), amount)
        grouped: dict[tuple[str, int], set[str]] = {}
        for (budget, root), amount in amounts.items():
            grouped.setdefault((budget, amount), set()).add(root)
        return tuple(Charge(budget, frozenset(roots), amount) for (budget, amount), roots in sorted(grouped.items()))

    def _refused_by(self, rule: Rule, effect: Effect, matched: tuple[str, ...]) -> Decision:
        reason = rule.reason or f'rule "{rule.id}" denies it'
        hint = hints.denied(rule, effect, self._request, self._granted())
        return Decision("deny", rule.id, matched, reason, effect, hint)

    def _not_allowed(
        self, effect: Effect, missing: frozenset[str], facts: Facts, hopeful: bool, matched: tuple[str, ...]
    ) -> Decision:
        """A default deny: point at the rule whose condition stood in the way, else say that there is none."""
        candidates = next(found for each, found in self._allows if each is effect)
        closed = [
            rule
            for rule, roots in candidates
            if not self._applies(rule, facts, hopeful) and (not missing or not missing.isdisjoint(roots))
        ]
        if closed:
            rule = max(closed, key=hints.generosity)
            reason, hint = hints.capped(rule, effect, facts)
            return Decision("deny", rule.id, matched, reason, effect, hint)
        hint = hints.absent(effect, self._request, missing, self._granted())
        return Decision("deny", None, matched, hints.NOTHING_ALLOWS, effect, hint)

    def _granted(self) -> list[Effect]:
        return self._engine.granted(self._request)


def _speaks(rule: Rule, request: Request) -> bool:
    """Whether the rule is about this agent, way, verb, member and type."""
    if rule.ops is not None and request.verb not in rule.ops:
        return False
    globs = rule.globs
    if not globs:
        return True
    for key, name in (
        ("agent", request.agent),
        ("origin", request.via),
        ("member", request.member),
        ("type", request.type),
    ):
        matches = globs.get(key)
        if matches is not None and (name is None or not matches(name)):
            return False
    return True


def _touches(rule: Rule, request: Request) -> bool:
    """A deny matches if any root and any label does."""
    for key, names in (("object", request.roots), ("label", request.labels)):
        matches = rule.globs.get(key)
        if matches is not None and not any(matches(name) for name in names):
            return False
    return True


def _covered(rule: Rule, request: Request, objects: Mapping[str, ObjectFacts]) -> frozenset[str] | None:
    """The roots that an allow covers; `None` if it does not match at all.

    Labels of a request are those of all its roots together. An allow by label therefore needs every one of them
    to match, and where there are several roots each of them must be declared with a matching label, or a labelled
    object would lend its label to an unlabelled one.
    """
    roots = request.roots
    of_object = rule.globs.get("object")
    covered = roots if of_object is None else frozenset(root for root in roots if of_object(root))
    of_label = rule.globs.get("label")
    if of_label is not None:
        if not request.labels or not all(of_label(label) for label in request.labels):
            return None
        if len(roots) > 1:
            covered = frozenset(
                root for root in covered if root in objects and any(map(of_label, objects[root].labels))
            )
    return covered if covered or not roots else None


def _union(candidates: Iterable[_Candidate]) -> frozenset[str]:
    return frozenset().union(*(roots for _, roots in candidates))


def _ids(rules: Iterable[Rule]) -> tuple[str, ...]:
    """Ids without repetition, in file order."""
    return tuple(name for _, name in sorted({(rule.index, rule.id) for rule in rules}))
