"""One decision, from the cache, with few and with many rules."""

from __future__ import annotations

import statistics
import time
from typing import Any

from proxyplane.decisions import Facts, Request
from proxyplane.effects import Effect
from proxyplane.policies import Policy

LOOPS = 50_000
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
when = {{ rows = "<= 100" }}
charge = {{ revealed_rows = "rows" }}
decide = "allow"
"""


def one(rules: int) -> dict[str, Any]:
    """Median microseconds of a decision with this many rules."""
    text = HEAD + "".join(RULE.format(n=n) for n in range(rules - 1)) + SHOW.format()
    policy = Policy.parse(text)
    request = Request(
        "analyst-1", "guest", "call", "sum", "pandas.Series", frozenset({"object-1"}), frozenset(),
        frozenset({Effect.COMPUTE, Effect.REVEAL}), Facts(1, 1, 8),
    )  # fmt: skip
    times = []
    for _ in range(7):
        began = time.perf_counter()
        for _ in range(LOOPS):
            policy.decide(request)
        times.append((time.perf_counter() - began) / LOOPS * 1e6)
    return {"what": f"one decision, {rules} rules", "measured": f"{statistics.median(times):.2f} µs"}


def measure() -> list[dict[str, Any]]:
    """Rows of this benchmark."""
    return [one(5), one(200)]
