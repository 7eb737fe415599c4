"""Requests for the tests of this folder, written shortly."""

from __future__ import annotations

from proxyplane.decisions import Facts, Request
from proxyplane.effects import Effect
from proxyplane.policies import Policy


def request(
    *effects: str,
    roots: str = "visits",
    agent: str = "a",
    via: str = "guest",
    verb: str = "call",
    member: str | None = "head",
    kind: str = "pandas.DataFrame",
    labels: str = "",
    rows: int | None = None,
    cells: int | None = None,
    size: int | None = None,
) -> Request:
    """A request; roots and labels are separated by blanks."""
    names, marks = frozenset(roots.split()), frozenset(labels.split())
    wanted = frozenset(Effect(effect) for effect in effects)
    return Request(agent, via, verb, member, kind, names, marks, wanted, Facts(rows, cells, size))


def policy(*rules: str, head: str = "") -> Policy:
    """A policy of these rules; each is the body of one `[[rules]]` block with `;` between keys."""
    parts = ["schema = 1", head]
    for rule in rules:
        parts += ["[[rules]]", *(line.strip() for line in rule.split(";"))]
    return Policy.parse("\n".join(parts))


def allow(name: str, effect: str, more: str = "", *, agent: str = "*", objects: str = "*") -> str:
    """An allow rule; `effect` is separated by blanks."""
    names = ", ".join(f'"{each}"' for each in effect.split())
    return f'id = "{name}"; agent = "{agent}"; object = "{objects}"; effect = [{names}]; decide = "allow"; {more}'


def deny(name: str, effect: str, more: str = "") -> str:
    """A deny rule; `effect` is separated by blanks."""
    names = ", ".join(f'"{each}"' for each in effect.split())
    return f'id = "{name}"; effect = [{names}]; decide = "deny"; {more}'
