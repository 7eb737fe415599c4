"""In-process proxies: attributes, calls and operators beside the plain object, `wrapt.ObjectProxy` and zope.security.

zope.security's proxies check names against a list in C, and write no record; rows for them only where it is installed.
"""

from __future__ import annotations

import importlib.util
import statistics
import time
from collections.abc import Callable
from typing import Any

import pandas as pd
import wrapt

from proxyplane import ControlPlane, Policy

LOOPS = 2000
ROUNDS = 9


def per_call(touch: Callable[[Any], Any], value: Any) -> float:
    """Nanoseconds of one touch."""
    loops = range(LOOPS)
    began = time.perf_counter_ns()
    for _ in loops:
        touch(value)
    return (time.perf_counter_ns() - began) / LOOPS


TOUCHES: dict[str, tuple[str, Callable[[Any], Any]]] = {
    "an attribute (`df.shape`)": ("frame", lambda value: value.shape),
    "a method that was not called (`df.head`)": ("frame", lambda value: value.head),
    "a call (`rows.count(3)`)": ("rows", lambda value: value.count(3)),
    "an item (`rows[1]`)": ("rows", lambda value: value[1]),
    "a length (`len(rows)`)": ("rows", len),
    "a comparison (`rows == 1`)": ("rows", lambda value: value == 1),
    "`isinstance(df, pd.DataFrame)`": ("frame", lambda value: isinstance(value, pd.DataFrame)),
}


def checked(value: Any) -> Any:
    """A proxy of zope.security that allows these touches by name; None where it is not installed."""
    if importlib.util.find_spec("zope") is None or importlib.util.find_spec("zope.security") is None:
        return None
    from zope.security.checker import NamesChecker, ProxyFactory

    names = "shape head count __getitem__ __len__ __class__".split()
    return ProxyFactory(value, NamesChecker(names))


def measure() -> list[dict[str, Any]]:
    """Rows of this benchmark: every operation decided, with its record in an in-memory log."""
    values: dict[str, Any] = {"frame": pd.DataFrame({"a": range(1000), "b": 1.5}), "rows": [1, 2, 3, 4]}
    found = []
    for what, (name, touch) in TOUCHES.items():
        ours: list[float] = []
        wrapped: list[float] = []
        plain: list[float] = []
        zope: list[float] = []
        with ControlPlane(policy=Policy.preset("open"), require_tier="cooperative") as plane:
            proxy = plane.proxy(values[name], agent="bench", name=name)
            other = wrapt.ObjectProxy(values[name])
            by_name = checked(values[name])
            for _ in range(ROUNDS):
                ours.append(per_call(touch, proxy))
                wrapped.append(per_call(touch, other))
                plain.append(per_call(touch, values[name]))
                if by_name is not None:
                    zope.append(per_call(touch, by_name))
        mine, theirs, native = map(statistics.median, (ours, wrapped, plain))
        security = f"zope.security {statistics.median(zope):,.0f} ns (names checked, no record), " if zope else ""
        found.append(
            {
                "what": f"in-process proxy: {what}",
                "measured": f"{mine:,.0f} ns",
                "beside": f"wrapt {theirs:,.0f} ns (no decision, no record), {security}plain {native:,.0f} ns",
                "ratio": round(mine / theirs, 1),
                "raw": {"proxy_ns": ours, "wrapt_ns": wrapped, "plain_ns": plain, "zope_security_ns": zope},
            }
        )
    return found
