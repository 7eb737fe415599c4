"""The exploring verbs: what an agent may know of an object before it uses it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from proxyplane import hosts
from proxyplane.decisions import Decision, Facts, Request
from proxyplane.effects import Effect
from proxyplane.objects import Held

if TYPE_CHECKING:
    from proxyplane.catalog import Entry
    from proxyplane.passage import Outcome
    from proxyplane.sessions import Session

__all__ = ["Reference", "describe", "list_attrs", "outcome_value"]

_MINT = object()


class Reference:
    """An object that stayed with the host: its handle, type and version. Only sessions make them."""

    __slots__ = ("handle", "type", "version")

    def __init__(self, mint: object, handle: int, type_name: str, version: int) -> None:
        if mint is not _MINT:
            raise TypeError("references are handed out by a session, not constructed")
        self.handle = handle
        self.type = type_name
        self.version = version

    def __repr__(self) -> str:
        return f"<Reference {self.handle} to {self.type}, version {self.version}>"


def right(session: Session, held: Held, verb: str, member: str, line: Entry) -> Decision:
    """What the policy says of a member when nothing is known of the amounts yet; nothing is recorded or charged."""
    effects = line.effects or frozenset({Effect.READ})
    if line.reveals is not None and "schema" not in line.flags:
        effects |= {Effect.REVEAL}
    request = Request(
        session.agent, "guest", verb, member, held.type_name, held.roots, held.labels, frozenset(effects), Facts()
    )
    return session.plane.policy.could_reveal(request)


def _members(held: Held) -> dict[str, tuple[str, Entry]]:
    if held.kind is None:
        return {}
    return {
        name: ("call" if line.kind in ("method", "classmethod") else "getattr", line)
        for name, line in held.kind.members.items()
        if not name.startswith("_")
    }


def describe(session: Session, held: Held) -> dict[str, Any]:
    """Type, version, schema and members of an object, as far as this session may know them."""
    members = {
        name: {"effects": sorted(line.effects), **_told(right(session, held, verb, name, line))}
        for name, (verb, line) in _members(held).items()
    }
    return {
        "name": held.name,
        "type": held.type_name,
        "version": held.version,
        "doc": (type(held.value).__doc__ or "").strip().partition("\n")[0] if held.kind is not None else "",
        "schema": hosts.schema(held.value),
        "members": members,
    }


def _told(decision: Decision) -> dict[str, Any]:
    """The verdict, and unless it is a plain yes the rule and why."""
    if decision.verdict == "allow":
        return {"verdict": "allow"}
    why = decision.reason or decision.hint
    if decision.verdict == "ask":
        why = f"a person must approve it{f': {why}' if why else ''}"
    return {"verdict": decision.verdict, "rule": decision.rule, "why": why}


def list_attrs(session: Session, held: Held) -> list[str]:
    """Members that could be allowed, then dynamic names (columns), each once, sorted within their kind."""
    usable = sorted(
        name
        for name, (verb, line) in _members(held).items()
        if right(session, held, verb, name, line).verdict != "deny"
    )
    dynamic = hosts.names(held.value) if held.kind is not None and held.kind.dynamic else []
    return usable + sorted(set(dynamic) - set(usable))


def outcome_value(session: Session, outcome: Outcome) -> Any:
    """A result for a caller in the host: the value where it crosses as one, else a reference."""
    if outcome.form in ("value", "carried", "container", "none") and outcome.show:
        return outcome.value
    held = session.dispatch.hold(outcome.value, b"", outcome.subject)
    session.table.keep(held)
    return Reference(_MINT, held.handle, held.type_name, held.version)
