"""Judging an operation: capabilities, policy, budgets; and what its records say of the answer."""

from __future__ import annotations

import types
from typing import TYPE_CHECKING, Any

from proxyplane import display, hosts
from proxyplane.decisions import Decision, Facts, Request
from proxyplane.effects import Effect
from proxyplane.errors import Denied, ReferenceFailed, Refusal

if TYPE_CHECKING:
    pass


from proxyplane.objects import NOTHING_DECIDED
from proxyplane.underway import (
    ATTRIBUTES,
    KEPT,
    MUTATE,
    NO_FACTS,
    UNCATALOGUED,
    VIA,
    Underway,
)

__all__ = ["Judging"]


class Judging(Underway):
    """The stations that ask and record."""

    __slots__ = ()

    def _ask(self, effects: frozenset[Effect], facts: Facts, *, quiet: bool = False) -> Decision:
        """The policy's answer; unless `quiet`, a refusal is recorded before it is raised."""
        if self.session.grants.attenuated:
            try:
                self.session.grants.use(self.subject.roots, effects, count=not self._performed)
            except (Refusal, ReferenceFailed) as error:
                if not quiet:
                    self._refused(Decision("deny", None, reason=error.code), reason=error.code)
                raise
        decision = self._decision(effects, facts)
        if decision.verdict != "allow":
            if not quiet:
                self._refused(decision)
            raise self._denial(decision)
        return decision

    def _decision(self, effects: frozenset[Effect], facts: Facts) -> Decision:
        """What the policy says: a pure function of the request, so that of a plan on one object it is kept."""
        plan, target, subject = self.plan, self.target, self.subject
        keeps = self._kept and facts is NO_FACTS and effects is plan.expected.effects and subject is target.subject
        if not keeps:
            return self._decided(effects, facts)
        via = self.operation.origin.via
        found = target.decided.get(id(plan))
        if found is not None and found[0] is plan and found[1] is subject and found[2] == via:
            known: Decision = found[3]
            return known
        decision = self._decided(effects, facts)
        if target.decided is NOTHING_DECIDED:
            target.decided = {}
        target.decided[id(plan)] = (plan, subject, via, decision)
        return decision

    def _decided(self, effects: frozenset[Effect], facts: Facts) -> Decision:
        operation = self.operation
        origin = operation.origin
        request = Request(
            origin.agent,
            VIA.get(operation.verb, "host" if origin.via == "host" else self.way),
            operation.verb,
            operation.member,
            self.target.type_name,
            self.subject.roots,
            self.subject.labels,
            effects,
            facts,
        )
        decision: Decision = self.plane.policy.decide(request)
        return decision

    def allowed(self) -> bool:
        """Whether the policy would allow it; nothing is recorded, counted or charged."""
        if self.session.grants.attenuated:
            try:
                self.session.grants.use(self.subject.roots, self.effects, count=False)
            except (Refusal, ReferenceFailed):
                return False
        return self._decision(self.effects, self.facts or NO_FACTS).verdict == "allow"

    def _reserve(self, decision: Decision, *, quiet: bool = False) -> None:
        if self.reservation is not None:  # the decision on the result takes the place of the one before lowering
            self.reservation.release()
            self.reservation = None
        if not decision.charges:
            return
        origin = self.operation.origin
        try:
            self.reservation = self.plane.ledger.reserve(
                decision.charges, principal=origin.agent, session=origin.session, rule=decision.rule
            )
        except Denied as error:
            if not quiet:
                self._refused(decision._replace(verdict="deny"), reason=error.code)
            raise

    def _denial(self, decision: Decision) -> Refusal:
        effect = decision.effect or min(self.effects)
        what = self._name_of_target()
        if effect == Effect.UNKNOWN:
            text = f"{what}: {KEPT if self.line is not None and 'keeps' in self.line.flags else UNCATALOGUED}"
        elif decision.reason and decision.reason not in decision.hint and "is refused" in decision.hint:
            _, instead, allowed = decision.hint.partition("; allowed there: ")
            text = f'{what}: {effect} is refused by rule "{decision.rule}": {decision.reason}{instead}{allowed}'
        else:
            text = f"{what}: {decision.hint or decision.reason}"
        return Denied(text, effect=effect, rule=decision.rule, reason=decision.reason, hint=decision.hint)

    def _name_of_target(self) -> str:
        operation = self.operation
        value = self.target.value
        base = value.__name__ if isinstance(value, type | types.ModuleType) else type(value).__name__
        name = f"{base}.{operation.member}" if operation.member and operation.verb in ATTRIBUTES else base
        if operation.member in display.MEMBERS:
            name = f"display of {base}"
        elif operation.verb == "call":
            name += "()"
        elif operation.verb not in ATTRIBUTES:
            name = f"{operation.verb} of {base}"
        return f"{name} on {', '.join(sorted(self.subject.roots))}" if self.subject.roots else name

    def _append(self, fields: dict[int, Any]) -> None:
        effects = self.effects
        if Effect.MUTATE in effects and self.subject.roots <= self.session.grants.projected:
            effects = effects - MUTATE  # a projection shares nothing with its base: what changes is the session's own
        self.plane.append(fields, effects, self.trace.prefix)

    def _refused(self, decision: Decision, reason: str | None = None) -> None:
        if not self._performed:
            self._append(self.trace.outcome("single", decision, "denied", reason=reason))
            return
        phase = "single" if self._single else "outcome"
        self._append(self.trace.outcome(phase, decision, "withheld", reason=reason, changes=self._changes()))

    def _changes(self) -> list[dict[str, Any]] | None:
        """Move the versions of what was declared to change, and of what shares its memory."""
        if Effect.MUTATE not in self.effects:
            return None
        targets = [self.receiver, *self.expected.mutated]
        everything = [*targets, *(relative for value in targets for relative in hosts.family(value))]
        moved = self.session.table.moved(everything)
        for held in moved:
            held.roots |= self.subject.roots
            held.stamp = None
            held.labels |= self.subject.labels
            held.schema = held.schema and self.subject.schema
            held.sized = held.sized or self.subject.sized
        return [{"id": h.handle, "from": h.version - 1, "to": h.version, "kind": "declared"} for h in moved] or None
