"""What an operation that is not refused owes: redactions, and the terms of an approval. All rules that match count."""

from __future__ import annotations

from collections.abc import Iterable
from fnmatch import fnmatchcase

from proxyplane.decisions import STRICTNESS, Ask, Charge, Decision, Redaction, Request
from proxyplane.effects import Effect
from proxyplane.policies.model import PolicyModel, Rule
from proxyplane.policies.vocabulary import CONTENT, REMEMBER

__all__ = ["Duties", "redactions"]


class Duties:
    """Joins what rules and objects demand.

    Attributes:
        any: whether any object demands something by itself, or any rule takes labels away.
    """

    __slots__ = ("_objects", "any")

    def __init__(self, model: PolicyModel) -> None:
        self._objects = {
            name: Redaction(None, frozenset(facts.mask), None, facts.min_group, (f"objects.{name}",))
            for name, facts in model.objects.items()
            if facts.mask or facts.min_group is not None
        }
        self.any = bool(self._objects) or any(rule.declassify for rule in model.rules)

    def roots(self, rule: Rule, roots: frozenset[str]) -> Iterable[str]:
        """The roots that a rule speaks of."""
        matches = rule.globs.get("object")
        return roots if matches is None else (root for root in roots if matches(root))

    def join(
        self,
        request: Request,
        limits: list[tuple[Effect, Rule]],
        granting: list[Rule],
        matched: tuple[str, ...],
        charges: tuple[Charge, ...],
    ) -> Decision:
        """The decision on an operation that is granted.

        Args:
            request: the question.
            limits: matching rules that ask, fork or redact, and of which effect.
            granting: matching rules that grant.
            matched: ids of all that matched.
            charges: of all that matched.
        """
        demanded = [rule.redaction for _, rule in limits if rule.redaction is not None]
        if not CONTENT.isdisjoint(request.effects):
            demanded += [self._objects[root] for root in sorted(request.roots) if root in self._objects]
        redaction = redactions(demanded)
        labels = frozenset(
            label for rule in granting for label in request.labels if rule.declassify and _takes(rule, label)
        )
        if not limits:
            verdict, rule_id, effect = "allow", matched[0], None
            if redaction is not None:
                verdict, rule_id = "redact", redaction.rules[0]
            return Decision(verdict, rule_id, matched, charges=charges, redaction=redaction, declassify=labels)
        effect, rule = max(limits, key=lambda each: (STRICTNESS.index(each[1].decide), -each[1].index))
        asks = [each for _, each in limits if each.decide == "ask"]
        return Decision(
            rule.decide,
            rule.id,
            matched,
            rule.reason,
            effect,
            _asked(rule, effect) if asks else "",
            charges,
            _terms(asks) if asks else None,
            redaction,
            labels,
        )


def redactions(demanded: Iterable[Redaction]) -> Redaction | None:
    """The strictest of several in each respect; `None` for none."""
    found: Redaction | None = None
    for each in demanded:
        if found is None:
            found = each
            continue
        found = Redaction(
            _least(found.rows, each.rows),
            found.mask | each.mask,
            _least(found.digits, each.digits),
            _most(found.min_group, each.min_group),
            tuple(dict.fromkeys((*found.rules, *each.rules))),
        )
    return found


def _least(one: int | None, other: int | None) -> int | None:
    return other if one is None else one if other is None else min(one, other)


def _most(one: int | None, other: int | None) -> int | None:
    return other if one is None else one if other is None else max(one, other)


def _takes(rule: Rule, label: str) -> bool:
    return any(fnmatchcase(label, pattern) for pattern in rule.declassify)


def _terms(asks: list[Rule]) -> Ask:
    """The strictest of all: everybody's answer, the shortest wait, the shortest memory."""
    terms = [rule.terms for rule in asks if rule.terms is not None]
    return Ask(
        tuple(dict.fromkeys(name for each in terms for name in each.who)),
        min((each.seconds for each in terms), default=300),
        min((each.remember for each in terms), key=REMEMBER.index, default="never"),
        tuple(dict.fromkeys(rule.id for rule in asks)),
    )


def _asked(rule: Rule, effect: Effect) -> str:
    return f'"{effect}" needs an approval by rule "{rule.id}"'
