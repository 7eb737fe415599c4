"""What a person is told of an operation that waits for an approval: the question, the consequence, the difference."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from proxyplane.approvals import Question
from proxyplane.decisions import Decision
from proxyplane.effects import LOOKING, Effect
from proxyplane.hosts.differences import foretold
from proxyplane.lowering import lower

if TYPE_CHECKING:
    from proxyplane.underway import Underway

__all__ = ["question_of"]

_TRIED: Final = LOOKING | {Effect.MUTATE}
"""Only what does nothing else is tried on a copy beforehand."""
_WORDS: Final = {
    Effect.READ: "looks at the schema",
    Effect.COMPUTE: "computes something new",
    Effect.FS_READ: "reads files",
    Effect.FS_WRITE: "writes files",
    Effect.NET: "reaches the network",
    Effect.PROCESS: "starts a process",
    Effect.EXEC: "runs code that the agent or a file gives, in the host, with all the host's rights",
    Effect.IMPORT: "imports a module on the host",
    Effect.ENV: "reads or sets the host's environment",
    Effect.MEMORY: "reads or writes raw memory, which may hold anything of this process",
    Effect.CALLBACK: "hands content to functions of the agent",
    Effect.DISPLAY: "displays content to people",
    Effect.UNKNOWN: "does what no catalog describes",
}


def question_of(underway: Underway, decision: Decision, effects: frozenset[Effect]) -> Question:
    """The question that a person is asked about this operation.

    Args:
        underway: the operation, before it is lowered or before its result crosses.
        decision: whose verdict is `ask`.
        effects: all that it has.
    """
    operation, subject = underway.operation, underway.subject
    objects = tuple(sorted(subject.roots - underway.session.grants.modules))
    return Question(
        underway.session.id,
        operation.origin.agent,
        operation.id,
        operation.verb,
        operation.member if operation.member is not None else _index_of(operation.verb, operation.args),
        underway.target.type_name,
        objects,
        tuple(sorted(map(str, effects))),
        str(decision.effect or min(effects)),
        decision.ask.rules if decision.ask is not None else (),
        decision.reason,
        operation.origin.line,
        "; ".join(_told(underway, effects, objects)),
        () if underway._performed else _changes(underway, effects),
    )


def _told(underway: Underway, effects: frozenset[Effect], objects: tuple[str, ...]) -> list[str]:
    """One phrase for each effect that matters, the gravest first."""
    named = ", ".join(objects) or "nothing that was granted"
    found = []
    if Effect.MUTATE in effects:
        whose = "the session's own copy of" if subject_is_projected(underway) else "in place, for everybody who has it:"
        found.append(f"changes {whose} {named}")
    files = underway.access.described if underway.access is not None else []
    for effect, words in _WORDS.items():
        if effect in effects and effect not in (Effect.READ, Effect.COMPUTE):
            paths = ", ".join(file["path"] for file in files if file["effect"] == str(effect))
            found.append(f"{words}: {paths}" if paths else words)
    if Effect.REVEAL in effects:
        facts = underway.facts
        if facts is None or facts.rows is None:
            found.append(f"shows the agent content of {named}; how much is not known beforehand")
        else:
            cells = "" if facts.cells is None else f", {facts.cells:,} cells"
            found.append(f"shows the agent {facts.rows:,} rows{cells} of {named}")
    return found or [f"computes with {named}"]


def subject_is_projected(underway: Underway) -> bool:
    """Whether all that it is made from are copies that belong to the session."""
    return bool(underway.subject.roots) and underway.subject.roots <= underway.session.grants.projected


def _index_of(verb: str, args: tuple[Any, ...]) -> str | None:
    """The label that is set, deleted or looked up, where it is a plain one."""
    if verb not in ("setitem", "delitem", "getitem") or not args:
        return None
    return repr(args[0])[:80] if type(args[0]) in (str, int, float, bool) else None


def _changes(underway: Underway, effects: frozenset[Effect]) -> tuple[str, ...]:
    operation = underway.operation
    if Effect.MUTATE not in effects or not effects <= _TRIED or operation.joined or underway.access is not None:
        return ()
    if underway.line is None or underway.line.flags & _NOT_TRIED or underway.receiver is not underway.target.value:
        return ()
    session = underway.session
    heard = len(session.heard)

    def perform(target: Any) -> Any:
        return lower(operation.verb, target, operation.member, operation.args, operation.kwargs)

    try:
        lines: tuple[str, ...] = session.state.perform(foretold, frozenset(), underway.receiver, perform)
    finally:
        del session.heard[heard:]
    return lines


_NOT_TRIED: Final = frozenset({"replaced", "scoped", "zeroed", "holds", "state", "random"})
