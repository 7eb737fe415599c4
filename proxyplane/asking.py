"""Putting an operation to a person: question and answer are recorded, and the guest's clock stands still meanwhile."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from proxyplane.approvals import Answer, Question
from proxyplane.consequences import question_of
from proxyplane.decisions import Decision
from proxyplane.effects import Effect
from proxyplane.errors import ApprovalRejected, ApprovalTimedOut, Refusal

if TYPE_CHECKING:
    from proxyplane.underway import Underway

__all__ = ["approve", "refusal_of"]


def approve(underway: Underway, decision: Decision, effects: frozenset[Effect]) -> Answer:
    """Ask a person, and wait.

    Args:
        underway: the operation.
        decision: whose verdict is `ask`.
        effects: all that the operation has.

    Raises:
        AuditUnavailable: the question or its answer cannot be recorded.
    """
    session, plane = underway.session, underway.plane
    question = question_of(underway, decision, effects)
    assert decision.ask is not None
    answer = plane.approvals.remembered(question)
    if answer is not None:
        plane.approvals.counts["remembered"] += 1
        return answer
    _record(underway, question, "ask", {"seconds": decision.ask.seconds, "who": list(decision.ask.who)})
    plane.reachable()
    due = session.due
    if due is not None:  # nor does the watchdog of a sealed host take a host that waits for a person for a dead one
        session.due = due + decision.ask.seconds
    try:
        with session.state.outside():
            answer = plane.approvals.ask(question, decision.ask)
    finally:
        session.due = due
    if due is not None:
        session.due = due + answer.waited / 1e9
    conversation = session.conversation
    if conversation is not None:
        conversation.extend(answer.waited / 1e9)
    verdict = "allow" if answer.state == "approved" else "deny"
    _record(underway, question, verdict, {"state": answer.state}, approval=answer.described())
    return answer


def refusal_of(answer: Answer, decision: Decision, what: str) -> Refusal:
    """What is raised where the answer was no, or there was none.

    Args:
        answer: which is no yes.
        decision: what was asked about.
        what: the operation in words.
    """
    effect, rule = decision.effect or "", decision.rule
    if answer.state == "timed_out":
        seconds = decision.ask.seconds if decision.ask is not None else 0
        text = f'{what}: {effect} needs a person\'s approval by rule "{rule}", and nobody answered within {seconds} s'
        hint = "go on without it, or try again when somebody can answer"
        return ApprovalTimedOut(text, effect=effect, rule=rule, reason=decision.reason, hint=hint)
    said = f": {answer.note}" if answer.note else ""
    how = "was not given, since the session ended" if answer.state == "cancelled" else f"was refused{said}"
    text = f'{what}: {effect} needs a person\'s approval by rule "{rule}", which {how}'
    hint = "go on without it; do not ask the same again"
    return ApprovalRejected(text, effect=effect, rule=rule, reason=answer.note or decision.reason, hint=hint)


def _record(underway: Underway, question: Question, verdict: str, detail: dict[str, Any], **more: Any) -> None:
    """A record of kind `approval`, durable before anything else happens."""
    plane = underway.plane
    plane.record(
        "approval",
        op=question.operation,
        session=question.session,
        agent=question.agent,
        verb=question.verb,
        member=underway.operation.member,
        target=underway.target.described(),
        effects={"declared": list(question.effects)},
        verdict=verdict,
        rule=question.rules[0] if question.rules else None,
        matched=list(question.rules),
        policy=plane.policy_stamp,
        detail=detail,
        **more,
    )
    plane.log.sync()
