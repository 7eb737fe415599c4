"""One decision, kept and not kept, with few and with many rules; cedarpy on the same question in the same run."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from typing import Any

from proxyplane.decisions import Facts, Request
from proxyplane.effects import Effect
from proxyplane.policies import Policy

LOOPS = 20_000
ROUNDS = 7
HEAD = "schema = 1\n[budgets.revealed_rows]\nlimit = 500\n"
RULE = """
[[rules]]
id = "rule-{n}"
agent = "analyst-{n}*"
object = "object-{n}"
effect = ["read", "compute"]
decide = "allow"
"""
SHOW = """
[[rules]]
id = "show"
agent = "*"
object = "*"
effect = ["read", "compute", "reveal"]
when = { rows = "<= 100" }
charge = { revealed_rows = "rows" }
decide = "allow"
"""
DENY = """
[[rules]]
id = "no-outside-world"
effect = ["fs.*", "net", "process", "exec"]
decide = "deny"
"""
CEDAR = (
    'permit(principal, action == Action::"compute", resource == Object::"object-{n}") when {{ principal.n == {n} }};\n'
)
CEDAR_SHOW = (
    'permit(principal, action in [Action::"compute", Action::"reveal"], resource) when { context.rows <= 100 };\n'
)
CEDAR_DENY = 'forbid(principal, action == Action::"net", resource);\n'


def request(member: str = "sum", rows: int = 1) -> Request:
    """Computing one value of an object and showing it."""
    return Request(
        "analyst-1", "guest", "call", member, "pandas.Series", frozenset({"object-1"}), frozenset(),
        frozenset({Effect.COMPUTE, Effect.REVEAL}), Facts(rows, rows, 8),
    )  # fmt: skip


def policy_of(rules: int) -> Policy:
    """A policy with this many rules."""
    return Policy.parse(HEAD + "".join(RULE.format(n=n) for n in range(rules - 2)) + SHOW + DENY)


def median(function: Callable[[Any], object], questions: list[Any]) -> float:
    """Median microseconds of one call, of the processor's time: a busy machine makes nobody think longer."""
    times = []
    for _ in range(ROUNDS):
        began = time.thread_time()
        for question in questions:
            function(question)
        times.append((time.thread_time() - began) / len(questions) * 1e6)
    return statistics.median(times)


def row(what: str, taken: float, limit: float) -> dict[str, Any]:
    """A row with its limit; both in microseconds."""
    found = {"what": what, "measured": f"{taken:.2f} µs", "raw": taken}
    return {**found, "wanted": f"at most {limit:g} µs", "met": taken <= limit}


def kept(rules: int) -> dict[str, Any]:
    """A question that was asked before."""
    policy = policy_of(rules)
    taken = median(policy.decide, [request()] * LOOPS)
    return row(f"one decision, kept, {rules} rules", taken, 1.0)


def fresh(rules: int, limit: float) -> dict[str, Any]:
    """A question that was never asked: each is about another member, and nothing of it is kept."""
    policy = policy_of(rules)
    questions = [request(f"member_{n}", n % 90) for n in range(2_000)]
    forget = policy.engine.plans.clear

    def decide(question: Request) -> None:
        forget()
        policy.decide(question)

    taken = median(decide, questions)
    return row(f"one decision, not kept, {rules} rules", taken, limit)


def cedar(rules: int) -> tuple[float, str] | None:
    """Microseconds of the same question for cedarpy: one action at a time, so two calls; None where it is missing."""
    try:
        import cedarpy
    except ImportError:
        return None
    text = "".join(CEDAR.format(n=n) for n in range(rules - 2)) + CEDAR_SHOW + CEDAR_DENY
    entities: Any = [{"uid": {"type": "User", "id": "analyst-1"}, "attrs": {"n": 1}, "parents": []}]
    policies: Any = text
    if hasattr(cedarpy, "PolicySet") and hasattr(cedarpy.PolicySet, "from_str"):
        policies = cedarpy.PolicySet.from_str(text)

    def decide(rows: int) -> None:
        for action in ("compute", "reveal"):
            asked = {
                "principal": 'User::"analyst-1"',
                "action": f'Action::"{action}"',
                "resource": 'Object::"object-1"',
                "context": {"rows": rows},
            }
            if not cedarpy.is_authorized(asked, policies, entities).allowed:
                raise RuntimeError("cedar refuses what the policy allows: the comparison is void")

    taken = median(decide, [n % 90 for n in range(max(20, 4_000 // rules))])
    return taken, "policies as text" if policies is text else "policies parsed beforehand"


def measure() -> list[dict[str, Any]]:
    """Rows of this benchmark."""
    found = [kept(5), kept(200)]
    for rules, limit in ((5, 10.0), (200, 20.0)):
        own = fresh(rules, limit)
        peer = cedar(rules)
        found.append(own)
        what = f"cedarpy on the same question, {rules} rules"
        if peer is None:
            found.append({"what": what, "measured": "cedarpy is not installed"})
            continue
        ratio = peer[0] / own["raw"]
        found.append(
            {
                "what": f"{what}, {peer[1]}",
                "measured": f"{peer[0]:.0f} µs",
                "beside": own["measured"],
                "ratio": f"{ratio:.1f}",
                "wanted": "at least 3 x slower",
                "met": ratio >= 3,
            }
        )
    return found
