"""Why a request is decided so: the deciding rule as written, what else matched, what failed, what would turn it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, NamedTuple

from proxyplane.decisions import Decision, Request
from proxyplane.effects import Effect
from proxyplane.policies.hints import exceptions, terms
from proxyplane.policies.match import NOTHING, Bound
from proxyplane.policies.model import Rule
from proxyplane.policies.truth import truth
from proxyplane.policies.vocabulary import FACTS

if TYPE_CHECKING:
    from proxyplane.policies.policy import Policy

__all__ = ["Change", "Explanation", "Miss", "explain", "quote"]

_MISSES = 8
"""Rules that did not match, told at most; the nearest come first."""


class Miss(NamedTuple):
    """A rule that speaks of one of the effects and did not match."""

    rule: Rule
    failed: tuple[str, ...]
    """What stood in the way."""


class Change(NamedTuple):
    """What would turn the verdict."""

    words: str
    request: Request | None
    """The request so changed; `None` where only the policy can change."""
    verdict: str


class Explanation(NamedTuple):
    """The answer, and everything that led to it."""

    request: Request
    decision: Decision
    kind: str
    """`allowed`, `explicit deny`, `implicit deny`, `needs approval`, `redacted`."""
    deciding: Rule | None
    others: tuple[Rule, ...]
    """Further rules that matched."""
    misses: tuple[Miss, ...]
    change: Change


def explain(policy: Policy, request: Request) -> Explanation:
    """Explain the decision of a policy on a request."""
    decision = policy.decide(request)
    by_id = {rule.id: rule for rule in policy.rules}
    deciding = by_id.get(decision.rule or "")
    kinds = {"allow": "allowed", "ask": "needs approval", "redact": "redacted", "fork": "forked"}
    kind = kinds.get(decision.verdict, "explicit deny" if deciding is not None and deciding.deny else "implicit deny")
    others = tuple(by_id[name] for name in decision.matched if name in by_id and by_id[name] is not deciding)
    misses = sorted(_misses(policy.rules, request, decision), key=lambda miss: (len(miss.failed), miss.rule.index))
    change = _in_request(policy, request, decision) or _in_policy(request, decision, deciding, misses)
    return Explanation(request, decision, kind, deciding, others, tuple(misses[:_MISSES]), change)


def quote(policy: Policy, rule: Rule) -> str:
    """A rule as it is written in its file; empty where the text is not known."""
    text = policy.texts.get(rule.file)
    if text is None or rule.line is None:
        return ""
    lines = text.splitlines()[rule.line - 1 :]
    end = next((at for at, line in enumerate(lines) if at and _is_header(line)), len(lines))
    kept = lines[:end]
    while kept and (not kept[-1].strip() or kept[-1].lstrip().startswith("#")):
        kept.pop()
    return "\n".join(kept)


def _is_header(line: str) -> bool:
    """A table that is not part of the rule before it."""
    return line.startswith("[") and not line.startswith("[rules.")


def _misses(rules: Iterable[Rule], request: Request, decision: Decision) -> Iterable[Miss]:
    matched = set(decision.matched)
    for rule in rules:
        if rule.id not in matched and not rule.effects.isdisjoint(request.effects):
            failed = tuple(_failed(rule, request))
            if failed:
                yield Miss(rule, failed)


def _failed(rule: Rule, request: Request) -> Iterable[str]:
    """Each key of a rule that the request does not meet."""
    for key, name in (
        ("agent", request.agent),
        ("origin", request.via),
        ("member", request.member),
        ("type", request.type),
    ):
        matches = rule.globs.get(key)
        if matches is not None and not matches(NOTHING if name is None else name):
            yield f"{key} is {_name(name)}, not {_either(getattr(rule, key))}"
    if rule.ops is not None and request.verb not in rule.ops:
        yield f"op is {_name(request.verb)}, not {_either(sorted(rule.ops))}"
    for key, names in (("object", request.roots), ("label", request.labels)):
        matches = rule.globs.get(key)
        if matches is not None and not any(matches(name) for name in names):
            given = _either(sorted(names)) if names else "none"
            yield f"{key} is {given}, not {_either(getattr(rule, key))}"
    granting = rule.decide == "allow"
    answer = truth(rule, request, granting=granting)
    if answer is False or (answer is None and granting):
        known = "does not hold" if answer is False else "is not known to hold"
        words = [f"{terms(rule)} {known}"] if terms(rule) else []
        words += [f"the exception {exceptions(rule)} {'holds' if answer is False else 'may hold'}"] * bool(
            exceptions(rule)
        )
        yield " or ".join(words)


def _in_request(policy: Policy, request: Request, decision: Decision) -> Change | None:
    """The first change of the request, from small to large, that is decided otherwise."""
    for words, changed in _neighbours(policy, request):
        verdict = policy.decide(changed).verdict
        if verdict != decision.verdict and (decision.verdict == "allow" or verdict != "deny"):
            return Change(words, changed, verdict)
    return None


def _neighbours(policy: Policy, request: Request) -> Iterable[tuple[str, Request]]:
    yield from _other_counts(policy.rules, request)
    columns = request.context.columns
    for column in sorted(columns or ()):
        context = request.context._replace(columns=(columns or frozenset()) - {column})
        yield f'without the column "{column}"', request._replace(context=context)
    for effect in sorted(request.effects):
        if len(request.effects) > 1:
            yield f"without the effect {effect}", request._replace(effects=request.effects - {effect})
    for root in sorted(request.roots):
        if len(request.roots) > 1:
            yield f'without the object "{root}"', request._replace(roots=request.roots - {root})
    for path in sorted(request.context.paths):
        if len(request.context.paths) > 1:
            context = request.context._replace(paths=request.context.paths - {path})
            yield f'without the file "{path}"', request._replace(context=context)
    agents = dict.fromkeys(name for rule in policy.rules for name in rule.agent if "agent" in rule.globs)
    for agent in agents:
        name = agent.replace("*", "1").replace("?", "1")
        yield f'as an agent called like "{agent}"', request._replace(agent=name)


def _other_counts(rules: Iterable[Rule], request: Request) -> Iterable[tuple[str, Request]]:
    """The counts at which some rule begins or ceases to match, the nearest first."""
    edges: set[tuple[int, int]] = set()
    bounds: Iterable[Bound] = (each for rule in rules for each in (*rule.when, *rule.unless))
    for each in bounds:
        edges.update((each.fact, value) for value in (each.low, each.low - 1) if value >= 0)
        if each.high is not None:
            edges.update((each.fact, value) for value in (each.high, each.high + 1))

    def distance(edge: tuple[int, int]) -> tuple[int, int]:
        known = request.facts[edge[0]]
        return (abs(edge[1] - known) if known is not None else edge[1], edge[0])

    for fact, value in sorted(edges, key=distance):
        known = request.facts[fact]
        if value != known:
            facts = request.facts._replace(**{FACTS[fact]: value})
            yield f"with {FACTS[fact]} = {value}" + _now(known), request._replace(facts=facts)


def _now(known: int | None) -> str:
    return " (now not known)" if known is None else f" (now {known})"


def _in_policy(request: Request, decision: Decision, deciding: Rule | None, misses: list[Miss]) -> Change:
    if decision.verdict != "deny":
        names = " and ".join(f'"{name}"' for name in decision.matched)
        return Change(f"only the policy: without the rule {names}" if names else "only the policy", None, "deny")
    if deciding is not None and deciding.deny:
        where = f"{deciding.file}, line {deciding.line}"
        words = f'only the policy: an `unless` in rule "{deciding.id}" ({where}), which no other rule outweighs'
        return Change(words, None, "allow")
    near = next((miss for miss in misses if miss.rule.grants and not miss.rule.deny), None)
    if near is not None:
        words = f'only the policy: rule "{near.rule.id}" ({near.rule.file}, line {near.rule.line}) would grant it, but '
        return Change(words + "; ".join(near.failed), None, near.rule.decide)
    return Change("only the policy: a rule such as\n" + _missing_rule(request, decision.effect), None, "allow")


def _missing_rule(request: Request, effect: Effect | None) -> str:
    roots = ", ".join(f'"{root}"' for root in sorted(request.roots)) or '"*"'
    effects = [effect] if effect is not None else sorted(request.effects)
    names = ", ".join(f'"{each}"' for each in effects)
    return f'[[rules]]\nid = "new"\nagent = "{request.agent}"\nobject = [{roots}]\neffect = [{names}]\ndecide = "allow"'


def _name(name: str | None) -> str:
    return "none" if name is None else f'"{name}"'


def _either(names: Iterable[str]) -> str:
    return " or ".join(f'"{name}"' for name in names)
