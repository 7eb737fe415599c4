"""Recorded operations under another policy: what would be decided otherwise, and the least that would do."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from typing import TYPE_CHECKING, NamedTuple

from proxyplane.decisions import Decision, Request
from proxyplane.policies.match import NOTHING
from proxyplane.policies.vocabulary import CONTENT, EFFECT_ORDER

if TYPE_CHECKING:
    from proxyplane.policies.policy import Policy

__all__ = ["Flip", "Recorded", "flips", "learned"]

NO_OBJECT = "(none)"
"""Stands for no object in a learned rule: no granted name can be that."""


class Recorded(NamedTuple):
    """An operation out of a log."""

    request: Request
    verdict: str
    number: int
    """Of its record."""


class Flip(NamedTuple):
    """Equal operations that two policies decide differently."""

    request: Request
    before: Decision
    after: Decision
    times: int
    number: int
    """Of the first of their records."""


def flips(before: Policy, after: Policy, operations: Iterable[Recorded]) -> list[Flip]:
    """Operations whose verdict differs under two policies, the most frequent first.

    Budgets are not spent: what differs is what the rules say.
    """
    counts: Counter[str] = Counter()
    first: dict[str, Recorded] = {}
    for each in operations:
        key = repr(each.request)  # its arguments are a dict
        counts[key] += 1
        first.setdefault(key, each)
    found = []
    for key, each in first.items():
        old, new = before.decide(each.request), after.decide(each.request)
        if old.verdict != new.verdict:
            found.append(Flip(each.request, old, new, counts[key], each.number))
    return sorted(found, key=lambda flip: (-flip.times, flip.number))


class _Kind(NamedTuple):
    """What one learned rule is for."""

    agent: str
    origin: str
    roots: tuple[str, ...]
    type: str
    verb: str
    named: bool
    effects: tuple[str, ...]
    counted: bool


def learned(operations: Iterable[Recorded]) -> str:
    """A policy file that allows what was allowed, and as little else as rules can say.

    Each rule names agent, way, objects, type, verb, members, effects, and as many rows and cells as were shown at
    most. Operations that were not allowed teach nothing. Its tests are one operation of each rule, and the same by
    somebody else.

    Args:
        operations: out of a log.
    """
    groups: dict[_Kind, list[Recorded]] = {}
    for each in operations:
        if each.verdict == "allow" and each.request.effects:
            groups.setdefault(_kind(each.request), []).append(each)
    parts = [
        "# Learned from a log: what was allowed there, and no more. Read every rule before you use it;",
        "# add the sections [modules], [fs], [objects] and [budgets] that the agents worked with.",
        "schema  = 1",
        'default = "deny"',
    ]
    rules = sorted(groups.items(), key=lambda item: (item[0].agent, item[0].roots, -len(item[1]), item[0]))
    for number, (kind, group) in enumerate(rules, 1):
        parts.append(_rule(f"learned-{number}", kind, group))
    for _, group in rules:
        parts += _tests(group[0].request)
    return "\n".join(parts) + "\n"


def _kind(request: Request) -> _Kind:
    effects = tuple(str(effect) for effect in EFFECT_ORDER if effect in request.effects)
    shows = not CONTENT.isdisjoint(request.effects)
    named = request.verb != "callback"  # a callback's name is the agent's choice
    return _Kind(
        request.agent,
        request.via,
        tuple(sorted(request.roots)),
        request.type,
        request.verb,
        named,
        effects,
        shows and request.facts.rows is not None,
    )


def _rule(name: str, kind: _Kind, group: Sequence[Recorded]) -> str:
    example = group[0].request
    shown = f"{example.verb} {example.type}{'.' + example.member if example.member else ''}"
    times = "once" if len(group) == 1 else f"{len(group)} times"
    lines = [
        "",
        f"# {times}, first in record {group[0].number}: {_comment(shown)}",
        "[[rules]]",
        f"id     = {json.dumps(name)}",
        f"agent  = {_quoted([kind.agent])}",
        f"origin = {json.dumps(kind.origin)}",
        f"object = {_quoted(kind.roots or [NO_OBJECT])}",
        *([f"type   = {_quoted([kind.type])}"] if kind.type else []),
        f"op     = {json.dumps(kind.verb)}",
    ]
    if kind.named:
        lines.append(f"member = {_members({each.request.member for each in group})}")
    lines.append(f"effect = {json.dumps(list(kind.effects))}")
    if kind.counted:
        rows = max(each.request.facts.rows or 0 for each in group)
        cells = [each.request.facts.cells for each in group]
        known = [each for each in cells if each is not None]
        more = f', cells = "<= {max(known)}"' if len(known) == len(cells) else ""
        lines.append(f'when   = {{ rows = "<= {rows}"{more} }}')
    return "\n".join([*lines, 'decide = "allow"'])


def _tests(request: Request) -> list[str]:
    facts = [f"{key} = {value}" for key, value in request.facts._asdict().items() if value is not None]
    member = [f"name = {_text(request.member)}"] if request.member is not None else []
    what = [
        f"origin = {json.dumps(request.via)}",
        f"object = [{', '.join(map(_text, sorted(request.roots)))}]",
        f"type = {_text(request.type)}",
        f"op = {json.dumps(request.verb)}",
        *member,
        f"effect = {json.dumps([str(each) for each in EFFECT_ORDER if each in request.effects])}",
        *facts,
    ]
    return [
        "",
        "[[tests]]",
        f"try    = {{ agent = {_text(request.agent)}, {', '.join(what)} }}",
        'expect = { decision = "allow" }',
        "",
        "[[tests]]",
        f"try    = {{ agent = {_text(request.agent + ' (somebody else)')}, {', '.join(what)} }}",
        'expect = { decision = "deny", rule = "default" }',
    ]


def _members(names: Collection[str | None]) -> str:
    known = sorted(name for name in names if name is not None)
    nothing = [_text(NOTHING)] if None in names else []
    return f"[{', '.join([*nothing, *(_text(_literal(name)) for name in known)])}]"


def _quoted(names: Iterable[str]) -> str:
    """Names as TOML, each as itself: a name out of a log must not act as a pattern."""
    return f"[{', '.join(_text(_literal(name)) for name in names)}]"


def _text(name: str) -> str:
    """A TOML string."""
    return json.dumps(name, ensure_ascii=False).replace("\x7f", "\\u007f")


def _literal(name: str) -> str:
    return "".join(f"[{mark}]" if mark in "*?[" else mark for mark in name)


def _comment(text: str) -> str:
    return "".join(mark if mark.isprintable() else "?" for mark in text)
