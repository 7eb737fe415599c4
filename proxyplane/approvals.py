"""Approvals: an operation that a rule asks a person about is held until somebody has answered, or time is up.

A question is put by the thread that serves the agent, and answered by another one: by a function given to the plane
(`ControlPlane(approver=...)`), by whoever embeds the plane (`plane.approvals.approve(...)`), or from a terminal
(`proxyplane approvals`). Nothing that the agent can send is an answer. No answer in time is a no.
"""

from __future__ import annotations

import secrets
import threading
from collections.abc import Callable
from typing import Any, Final, NamedTuple

from proxyplane.clock import Clock
from proxyplane.decisions import Ask

__all__ = ["SCOPES", "Answer", "Approval", "Approvals", "Question"]

SCOPES: Final = ("never", "call", "shape", "session")
"""For what a yes holds, from the narrowest: this question; this operation; the like of it; the rest of the session."""
_MOST_PENDING: Final = 100
_KEPT: Final = 200
"""Answered questions that can still be listed, and operations for which a yes is remembered."""


class Question(NamedTuple):
    """What a person is asked. Holds names and words; `changes` may hold values, and goes to people only."""

    session: str
    agent: str
    operation: bytes
    verb: str
    member: str | None
    type: str
    """Of the object that is worked on."""
    objects: tuple[str, ...]
    """Granted names that it was made from."""
    effects: tuple[str, ...]
    effect: str
    """The effect that is asked about."""
    rules: tuple[str, ...]
    reason: str
    """The rule's own reason."""
    line: int | None
    """1-based line in the agent's source."""
    consequence: str
    """What happens if it is allowed, in words."""
    changes: tuple[str, ...] = ()
    """What would differ afterwards, where that can be told; a line each."""

    @property
    def shape(self) -> tuple[object, ...]:
        """What operations of the same shape have in common: everything but the values."""
        return (self.session, self.verb, self.member, self.type, self.objects, self.effects, self.rules)


class Answer(NamedTuple):
    """What came of a question."""

    state: str
    """`approved`, `rejected`, `timed_out` or `cancelled`."""
    approval: str
    """The id of the question, or of the one whose answer was remembered."""
    by: tuple[str, ...]
    at: int
    """Nanoseconds since 1970."""
    scope: str
    waited: int
    """Nanoseconds."""
    note: str = ""
    """What the person said; goes to the agent with a rejection."""

    def described(self) -> dict[str, Any]:
        """The `approval` field of records."""
        found: dict[str, Any] = {"id": self.approval, "by": ", ".join(self.by), "at": self.at}
        return found | {"scope": self.scope, "waited_ns": self.waited}


class Approval:
    """One question on its way to an answer."""

    def __init__(self, question: Question, ask: Ask, asked: int) -> None:
        self.id = secrets.token_hex(4)
        self.question = question
        self.ask = ask
        self.asked = asked
        """Nanoseconds since 1970."""
        self.by: tuple[str, ...] = ()
        self.scope = ask.remember
        self.answer: Answer | None = None

    @property
    def state(self) -> str:
        """`pending`, or the state of its answer."""
        return self.answer.state if self.answer is not None else "pending"

    @property
    def wanted(self) -> tuple[str, ...]:
        """Who must still say yes."""
        return tuple(name for name in self.ask.who if name not in self.by)

    def described(self) -> dict[str, Any]:
        """For people: every field of the question and where it stands."""
        question = self.question._asdict()
        question["operation"] = self.question.operation.hex()
        found: dict[str, Any] = {"id": self.id, "state": self.state, "asked": self.asked, **question}
        found |= {"seconds": self.ask.seconds, "remember": self.ask.remember, "who": list(self.ask.who)}
        return found | {"wanted": list(self.wanted), "by": list(self.by)}


Approver = Callable[[Approval], bool | None]
"""Answers in the asking thread: yes, no, or None to leave it to somebody else."""
Listener = Callable[[Approval], None]


class Approvals:
    """All questions of one plane.

    Args:
        clock: wall time for records, monotonic time for waiting times.
        approver: asked first; see `Approver`.
    """

    def __init__(self, clock: Clock, approver: Approver | None = None) -> None:
        self._clock = clock
        self._approver = approver
        self._turn = threading.Condition()
        self._open: dict[str, Approval] = {}
        self._answered: dict[str, Approval] = {}
        self._shapes: dict[tuple[object, ...], Answer] = {}
        self._sessions: dict[tuple[str, tuple[str, ...]], Answer] = {}
        self._operations: dict[bytes, tuple[tuple[str, ...], Answer]] = {}
        self.counts = {"asked": 0, "approved": 0, "rejected": 0, "timed_out": 0, "cancelled": 0, "remembered": 0}
        """How often what happened: asks should stay rare."""
        self.nobody = ""
        """Why nobody can answer here, where that is known: then nothing waits for it."""
        self.listeners: list[Listener] = []
        """Told of each question and of each answer."""

    # The agent's side: the road asks

    def ask(self, question: Question, ask: Ask) -> Answer:
        """Hold the calling thread until there is an answer.

        Args:
            question: what is asked.
            ask: on which terms.

        Returns:
            The answer; a remembered one at once.
        """
        remembered = self.remembered(question)
        if remembered is not None:
            self.counts["remembered"] += 1
            return remembered
        began = self._clock.mono()
        approval = Approval(question, ask, self._clock.wall())
        with self._turn:
            self.counts["asked"] += 1
            full = "too many questions are open" if len(self._open) >= _MOST_PENDING else ""
            if full or (self.nobody and self._approver is None):
                return self._settle(approval, "rejected", ("proxyplane",), began, full or self.nobody)
            self._open[approval.id] = approval
        try:
            self._tell(approval)
            said = self._approver(approval) if self._approver is not None else None
            if said is not None and approval.answer is None:
                (self.approve if said else self.deny)(approval.id, by="approver")
        except BaseException:
            with self._turn:
                self._settle(approval, "cancelled", (), began)
            raise
        with self._turn:
            self._turn.wait_for(lambda: approval.answer is not None, timeout=ask.seconds)
            if approval.answer is None:
                self._settle(approval, "timed_out", (), began)
            answer = approval.answer
        assert answer is not None
        self._tell(approval)
        return answer._replace(waited=self._clock.mono() - began)

    def remembered(self, question: Question) -> Answer | None:
        """The yes that was already given for this; None when a person has to be asked."""
        with self._turn:
            rules, answer = self._operations.get(question.operation, ((), None))
            if answer is not None and rules == question.rules:
                return answer
            found = self._shapes.get(question.shape)
            return found if found is not None else self._sessions.get((question.session, question.rules))

    # The person's side

    def pending(self) -> list[Approval]:
        """Questions without an answer, the oldest first."""
        with self._turn:
            return list(self._open.values())

    def all(self) -> list[Approval]:
        """Questions without an answer, and the last that were answered."""
        with self._turn:
            return [*self._answered.values(), *self._open.values()]

    def find(self, identifier: str) -> Approval:
        """One question.

        Raises:
            LookupError: there is none with this id.
        """
        with self._turn:
            found = self._open.get(identifier) or self._answered.get(identifier)
        if found is None:
            raise LookupError(f"no question has the id {identifier!r}; `proxyplane approvals list` shows them")
        return found

    def approve(self, identifier: str, *, by: str, scope: str | None = None) -> Approval:
        """Say yes.

        Args:
            identifier: the question's id.
            by: who says so.
            scope: for what it holds, one of `SCOPES`; never wider than the rule's `remember`, which is the default.

        Raises:
            LookupError: no open question has this id.
            ValueError: the rule does not ask this person, or the scope is none, or wider than the rule allows.
        """
        with self._turn:
            approval = self._pending(identifier, by)
            if scope is not None:
                if scope not in SCOPES:
                    raise ValueError(f"a scope is one of {', '.join(SCOPES)}; got {scope!r}")
                if SCOPES.index(scope) > SCOPES.index(approval.ask.remember):
                    raise ValueError(f"the rule lets a yes hold for {approval.ask.remember!r} at most; got {scope!r}")
                approval.scope = min(scope, approval.scope, key=SCOPES.index)
            approval.by = (*approval.by, by)
            if not approval.wanted:
                self._settle(approval, "approved", approval.by, None)
            return approval

    def deny(self, identifier: str, *, by: str, note: str = "") -> Approval:
        """Say no; one no is enough.

        Raises:
            LookupError, ValueError: as for `approve`.
        """
        with self._turn:
            approval = self._pending(identifier, by)
            self._settle(approval, "rejected", (by,), None, note[:500])
            return approval

    def cancel(self, session: str) -> None:
        """Nothing of this session waits any longer, and nothing that it was allowed is remembered."""
        with self._turn:
            for approval in [found for found in self._open.values() if found.question.session == session]:
                self._settle(approval, "cancelled", (), None)
            self._shapes = {key: value for key, value in self._shapes.items() if key[0] != session}
            self._sessions = {key: value for key, value in self._sessions.items() if key[0] != session}

    def _pending(self, identifier: str, by: str) -> Approval:
        approval = self._open.get(identifier)
        if approval is None:
            known = self._answered.get(identifier)
            if known is not None:
                raise LookupError(f"the question {identifier!r} is {known.state.replace('_', ' ')} already")
            raise LookupError(f"no open question has the id {identifier!r}; `proxyplane approvals list` shows them")
        if approval.ask.who and by not in approval.ask.who:
            raise ValueError(f"the rule asks {', '.join(approval.ask.who)}, not {by!r}")
        if by in approval.by:
            raise ValueError(f"{by!r} has said yes already; still wanted: {', '.join(approval.wanted)}")
        return approval

    def _settle(self, approval: Approval, state: str, by: tuple[str, ...], began: int | None, note: str = "") -> Answer:
        waited = self._clock.mono() - began if began is not None else 0
        answer = approval.answer = Answer(state, approval.id, by, self._clock.wall(), approval.scope, waited, note)
        self.counts[state] += 1
        self._open.pop(approval.id, None)
        self._answered[approval.id] = approval
        while len(self._answered) > _KEPT:
            del self._answered[next(iter(self._answered))]
        if state == "approved":
            question = approval.question
            if approval.scope == "session":
                self._sessions[question.session, question.rules] = answer
            elif approval.scope == "shape":
                self._shapes[question.shape] = answer
            elif approval.scope == "call":
                self._operations[question.operation] = (question.rules, answer)
                while len(self._operations) > _KEPT:
                    del self._operations[next(iter(self._operations))]
        self._turn.notify_all()
        return answer

    def _tell(self, approval: Approval) -> None:
        for listener in list(self.listeners):
            listener(approval)
