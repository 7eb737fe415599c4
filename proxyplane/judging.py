"""Judging an operation: capabilities, policy, budgets; and what its records say of the answer."""

from __future__ import annotations

import types
from typing import TYPE_CHECKING, Any

from proxyplane import display, hosts
from proxyplane.asking import approve, refusal_of
from proxyplane.catalog import Denial
from proxyplane.catalogs.arguments import reason_of
from proxyplane.columns import Columns, changed
from proxyplane.contexts import called, context_of, named
from proxyplane.decisions import Ask, Decision, Facts, Request
from proxyplane.effects import Effect
from proxyplane.errors import BudgetExceeded, Denied, ReferenceFailed, Refusal

if TYPE_CHECKING:
    from proxyplane.subjects import Subject


from proxyplane.hosts import shared
from proxyplane.identity import identity
from proxyplane.objects import NOTHING_DECIDED, Held
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


def _has(held: Held, subject: Subject) -> bool:
    """Whether an object's lineage says already all that the subject's says."""
    return (
        subject.roots <= held.roots
        and subject.labels <= held.labels
        and not (held.schema and not subject.schema)
        and not (subject.sized and not held.sized)
    )


_NAMED_WAYS = {"host": "host", "http": "http", "mcp": "mcp"}
"""Ways that rules name as they are; all others are those of the passage."""


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
            if decision.verdict == "redact" or self.plane.policy.passes(decision, effects):  # or it is only watched
                return decision
            if facts is not NO_FACTS:
                self.trace.note("asked", {"rows": facts.rows, "cells": facts.cells})
            if decision.verdict == "ask" and not quiet:
                return self._approved(decision, effects, facts)
            if not quiet:
                self._refused(decision)
            raise self._denial(decision)
        return decision

    def _approved(self, decision: Decision, effects: frozenset[Effect], facts: Facts) -> Decision:
        """Hold the operation until a person has answered; what holds by then is asked anew.

        Raises:
            ApprovalRejected, ApprovalTimedOut: no, or no answer; recorded.
        """
        session, generation = self.session, self.plane.generation
        answer = approve(self, decision, effects)
        self.trace.approval(answer.described())
        if answer.state != "approved":
            self._refused(decision, reason=answer.state)
            raise refusal_of(answer, decision, self._name_of_target())
        if session.frozen is not None:
            self._refused(decision, reason="frozen")
            raise session.frozen.refusal()
        if session.grants.attenuated:
            try:
                session.grants.use(self.subject.roots, effects, count=False)
            except (Refusal, ReferenceFailed) as error:
                self._refused(decision, reason=error.code)
                raise
        if self.plane.generation == generation:
            return decision
        again = self._decided(effects, facts)
        return again if again == decision else self._ask(effects, facts)

    def _decision(self, effects: frozenset[Effect], facts: Facts) -> Decision:
        """What the policy says: a pure function of the request, so that of a plan on one object it is kept."""
        plan, target, subject = self.plan, self.target, self.subject
        keeps = self._kept and facts is NO_FACTS and effects is plan.expected.effects and subject is target.subject
        if not keeps:
            return self._decided(effects, facts)
        via = self.operation.origin.via
        found = target.decided.get(identity(plan))
        if found is not None and found[0] is plan and found[1] is subject and found[2] == via:
            known: Decision = found[3]
            return known
        decision = self._decided(effects, facts)
        if self.plane.policy.needs or (plan.judged and self.plane.policy.bars_members):
            # more than the plan and the object decide
            return decision
        if target.decided is NOTHING_DECIDED:
            target.decided = {}
        target.decided[identity(plan)] = (plan, subject, via, decision)
        return decision

    def _decided(self, effects: frozenset[Effect], facts: Facts) -> Decision:
        policy, request = self.plane.policy, self._request(effects, facts)
        decision: Decision = policy.decide(request)
        if policy.bars_members and self.plan.judged:
            return policy.decide_named(request, decision, named(self))
        return decision

    def _request(self, effects: frozenset[Effect], facts: Facts) -> Request:
        """The question to the policy."""
        operation = self.operation
        origin = operation.origin
        if self.plane.policy.follows:
            facts = self._counted(facts)
        return Request(
            origin.agent,
            VIA.get(operation.verb, _NAMED_WAYS.get(origin.via, self.way)),
            operation.verb,
            called(self),
            self.target.type_name,
            self.subject.roots,
            self.subject.labels,
            effects,
            facts,
            context_of(self),
        )

    def _counted(self, facts: Facts) -> Facts:
        """With the rows that stand behind the smallest value, where that is known."""
        columns = self.subject.columns
        if columns is None and self.facts is not None:  # the object itself is shown
            columns = self.session.grants.columns_of(self.target)
        stands = columns.behind if columns is not None else None
        return facts if stands is None or stands.state != "sums" else facts._replace(group=stands.group)

    def allowed(self) -> bool:
        """Whether the policy would allow it; nothing is recorded, counted or charged."""
        if self.session.grants.attenuated:
            try:
                self.session.grants.use(self.subject.roots, self.effects, count=False)
            except (Refusal, ReferenceFailed):
                return False
        return self.plane.policy.passes(self._decision(self.effects, self.facts or NO_FACTS), self.effects)

    def _reserve(self, decision: Decision, *, quiet: bool = False) -> None:
        if self.reservation is not None:  # the decision on the result takes the place of the one before lowering
            self.reservation.release()
            self.reservation = None
        if not decision.charges:
            return
        origin, beyond = self.operation.origin, set[str]()
        while self.reservation is None:
            try:
                self.reservation = self.plane.ledger.reserve(
                    decision.charges,
                    principal=origin.agent,
                    session=origin.session,
                    rule=decision.rule,
                    beyond=beyond,
                )
            except BudgetExceeded as error:
                if quiet or not self._may_exceed(error, beyond):
                    if not quiet:
                        self._refused(decision._replace(verdict="deny"), reason=error.code)
                    raise
                beyond.add(error.budget)

    def _may_exceed(self, error: BudgetExceeded, beyond: set[str]) -> bool:
        """Whether a person lets the operation go beyond a budget, where the budget says that one is to be asked."""
        if self.plane.policy.mode == "observe" and error.budget not in beyond:
            return True
        budget = self.plane.policy.budgets.get(error.budget)
        if budget is None or budget.exceeded != "ask" or error.budget in beyond:
            return False
        terms = Ask((), 300, "never", (f"budgets.{error.budget}",))
        asked = Decision("ask", terms.rules[0], terms.rules, error.hint, Effect.REVEAL, ask=terms)
        answer = approve(self, asked, self.effects)
        self.trace.approval(answer.described())
        if answer.state != "approved":
            self._refused(asked, reason=answer.state)
            raise refusal_of(answer, asked, self._name_of_target())
        return True

    def _denial(self, decision: Decision) -> Refusal:
        effect = decision.effect or min(self.effects)
        what = self._name_of_target()
        denial = self._denied_by_name() if self.line is None else None
        if denial is not None and effect in (Effect.UNKNOWN, denial.effect):
            effect, text = denial.effect, f"{what}: refused as {denial.effect}: {denial.reason}"
        elif effect == Effect.UNKNOWN:
            text = f"{what}: {self._unknown()}"
        elif decision.reason and decision.reason not in decision.hint and "is refused" in decision.hint:
            _, instead, allowed = decision.hint.partition("; allowed there: ")
            text = f'{what}: {effect} is refused by rule "{decision.rule}": {decision.reason}{instead}{allowed}'
        else:
            text = f"{what}: {decision.hint or decision.reason}"
        return Denied(text, effect=effect, rule=decision.rule, reason=decision.reason, hint=decision.hint)

    def _unknown(self) -> str:
        """Why nobody can say what it would do."""
        if self.line is not None and "keeps" in self.line.flags:
            return KEPT
        return (
            UNCATALOGUED
            if self.expected.why is None
            else f"with these arguments it is refused: {reason_of(self.expected.why)}"
        )

    def _denied_by_name(self) -> Denial | None:
        """The catalog line that refuses this very member."""
        operation = self.operation
        if self.line is not None or operation.member is None or operation.verb not in ATTRIBUTES:
            return None
        denial: Denial | None = self.plane.catalog.denial(self.target.value, operation.member)
        return denial

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
        if Effect.REVEAL in effects and (self.subject.labels or self.operation.origin.via != "guest"):
            # What is labelled is durable before it crosses, also into a sealed guest; what a host asks leaves at once.
            self.plane.log.sync()

    def _refused(self, decision: Decision, reason: str | None = None) -> None:
        if not self._performed:
            self._append(self.trace.outcome("single", decision, "denied", reason=reason))
            return
        phase = "single" if self._single else "outcome"
        self._append(self.trace.outcome(phase, decision, "withheld", reason=reason, changes=self._changes()))

    def _changed(self, held: Held) -> Columns:
        grants, table = self.session.grants, self.session.table
        inputs = [grants.columns_of(table.get(handle)) for handle in self.subject.handles[1:] if table.holds(handle)]
        return changed(self.operation, held is self.target, grants.columns_of(held), inputs)

    def _taint(self, written: list[Any], targets: list[Any], moved: list[Held]) -> None:
        """What came into an object has come into all of the session that show its memory: views, frames over arrays.

        Only where something new came in, so that `x[i] = 1` in a loop looks at nothing else.
        """
        subject = self.subject
        written = [value for value in written if shared.may_change(value)]
        found = [self.session.table.find(value) for value in written]
        if all(held is not None and _has(held, subject) for held in found):
            return
        for held in self.session.table:
            if held in moved or _has(held, subject):
                continue
            if any(shared.may_show(value, held.value) for value in targets):
                held.roots |= subject.roots
                held.labels |= subject.labels
                held.schema = held.schema and subject.schema
                held.sized = held.sized or subject.sized
                held.stamp = None
                if self.plane.policy.follows:
                    held.columns = self._changed(held)

    def _changes(self) -> list[dict[str, Any]] | None:
        """Move the versions of what was declared to change, and of what shares its memory."""
        if Effect.MUTATE not in self.effects:
            return None
        targets = [self.receiver, *self.expected.mutated]
        everything = [*targets, *(relative for value in targets for relative in hosts.family(value))]
        if any(hosts.is_database(value) for value in targets):  # which of them lead to the same rows is not known
            everything += [held.value for held in self.session.table if hosts.is_database(held.value)]
        moved = self.session.table.moved(everything)
        self._taint(targets, everything, moved)
        for held in moved:
            held.roots |= self.subject.roots
            held.stamp = None
            held.labels |= self.subject.labels
            if self.plane.policy.follows:
                held.columns = self._changed(held)
            held.schema = held.schema and self.subject.schema
            held.sized = held.sized or self.subject.sized
        return [{"id": h.handle, "from": h.version - 1, "to": h.version, "kind": "declared"} for h in moved] or None
