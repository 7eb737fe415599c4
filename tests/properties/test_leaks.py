"""Programs leave nothing behind: what ends in the agent's code ends in the session's table."""

from __future__ import annotations

import contextlib
import gc
import os
import random
from collections import Counter
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from proxyplane import ControlPlane, Policy
from proxyplane.sessions import Session

from .programs import by_proxies, in_guest, inputs, pool, program

CHAINS = int(os.environ.get("PROXYPLANE_CHAINS", "120"))
"""How many programs; 10,000 where there is time."""
TOGETHER = 20
FORGET = """
_name = ""
for _name in [name for name in globals() if name.startswith("program_")]:
    del globals()[_name]
del _name
import gc
gc.collect()
pool["f"], len(pool)
None
"""


def held_by(session: Session) -> Counter[str]:
    """What the session holds for its agent, by type: each entry, and each time that it was handed out.

    Without types and library marks (`np.True_`): a session that has met one knows it for good.
    """
    found: Counter[str] = Counter()
    for held in session.table:
        if held.type_name not in ("builtins.type", "numpy.bool"):
            found[held.type_name] += 1
            found[f"{held.type_name} handed out"] += held.sent + held.pins
    return found


def texts(dice: random.Random) -> list[str]:
    return [program(dice.choice) for _ in range(TOGETHER)]


def test_a_guest_leaks_no_handle(tmp_path: Path):
    """After its variables ended, a guest's session holds what it held before, however many programs it ran."""
    dice = random.Random(20)
    with (
        ControlPlane(policy=Policy.preset("open"), audit=tmp_path / "audit") as plane,
        plane.session("a", objects={"pool": pool(1)}) as session,
    ):
        for value in inputs():
            assert session.run(f"pool[{value!r}]").ok
        assert session.run(FORGET).ok
        before = held_by(session)
        for _ in range(CHAINS // TOGETHER):
            session.put("pool", pool(TOGETHER))
            in_guest(session, texts(dice))
            assert session.run(FORGET).ok
            assert session.run(FORGET).ok  # functions that the host let go of end as the next run begins
            assert held_by(session) == before


@pytest.mark.filterwarnings("ignore")
def test_proxies_leak_no_handle(tmp_path: Path):
    """So it is with in-process proxies; nothing of an operation is kept when its result has ended."""
    dice = random.Random(21)
    local = {"policy": Policy.preset("open"), "require_tier": "cooperative", "audit": tmp_path / "audit"}
    with ControlPlane(**local) as plane:
        before: Any = None
        for _ in range(CHAINS // TOGETHER):
            by_proxies(plane, texts(dice))
            gc.collect()
            session = plane._local["local"]
            len(session.proxy("pool"))  # what has ended is released with the next operation
            len(session.proxy("pool"))
            before = before or held_by(session)
            assert held_by(session) == before
            assert session.inprocess is not None
            assert not session.inprocess._returned
            assert not session.inprocess._lent


CARRIERS = (
    "m[0] = n; n[1:2] = [d, 8]",
    "l.append(n); n.append(s + 1)",
    "m.update(e=o); o['z'] = s + 1",
    "o['z'] = s + 1; l.append(o.values())",
    "o['z'] = s + 1; l.insert(0, o.items())",
    "x = s.map(lambda v: o); o['z'] = s + 1; l.append(x)",
    "l.extend(v for v in [n]); n.append(s + 1)",
)
"""Programs whose own containers reach an object of the host, and hold a proxy before or after."""


@pytest.mark.parametrize("text", CARRIERS)
@pytest.mark.filterwarnings("ignore")
def test_own_containers_carry_no_proxy_into_a_host_object(text: str):
    """What a program put into its own list, and that list into a granted object, ends with the program."""
    with ControlPlane(policy=Policy.preset("open"), require_tier="cooperative") as plane:
        by_proxies(plane, ["k = 3"])
        found = []
        for each in ("k = 4", text):
            told = by_proxies(plane, [each])
            gc.collect()
            session = plane._local["local"]
            len(session.proxy("pool"))
            len(session.proxy("pool"))
            found.append(held_by(session))
            assert "not shown" not in str(told)
            assert "raised" not in str(told)
        assert found[0] == found[1]


def test_a_lent_function_holds_its_object_no_longer_than_it_lives():
    """An object whose method host code was given ends with that function."""
    with ControlPlane(policy=Policy.preset("open"), require_tier="cooperative") as plane:
        names = plane.proxy(pd.Series(["a", "b"]), name="names")
        session = plane._local["local"]

        def lend() -> None:
            names.map(names.copy().repeat)

        sizes = set()
        for _ in range(12):
            with contextlib.suppress(TypeError, ValueError):  # numbers are not what `repeat` takes of texts
                lend()
            gc.collect()
            len(names)
            sizes.add(len(session.table))
        assert len(sizes) == 1
