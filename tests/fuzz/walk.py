"""Walks in a process of its own, which chance may crash: `python -m tests.fuzz.walk SEED SEQUENCES`."""

from __future__ import annotations

import json
import random
import sys
import warnings
from typing import Any

from proxyplane import ControlPlane, Policy
from proxyplane.errors import ProtocolError

from .walker import POLICY, Vault, Walker, bounded

_A_SESSION = 50
"""Sequences in one session, with the same canaries."""


def walk(seed: int, wanted: int) -> dict[str, Any]:
    """Sequences of operations until enough were made or a canary has crossed.

    Args:
        seed: of chance; the same sequences each time.
        wanted: how many.
    """
    source = random.Random(seed)
    told: dict[str, Any] = {"seed": seed, "sequences": 0, "performed": 0, "answered": 0, "ended": 0, "found": None}
    with ControlPlane(policy=Policy.parse(POLICY)) as plane, bounded():
        while told["sequences"] < wanted and told["found"] is None:
            walker = Walker(plane, Vault(), source)
            try:
                _session(walker, source, told)
            except ProtocolError:  # as of a guest that breaks it: the session would end here
                told["ended"] += 1
            told["performed"] += walker.performed
            told["answered"] += walker.answered
            walker.close()
        told["panics"] = [repr(record) for record in plane.log.records() if record.get("status") == "panic"][:3]
    return told


def _session(walker: Walker, source: random.Random, told: dict[str, Any]) -> None:
    for _ in range(_A_SESSION):
        told["sequences"] += 1
        crossed = walker.sequence(source.randint(1, 10))
        if crossed is not None:
            told["found"] = f"{walker.last} gave {crossed[:2000]!r}"
            return


if __name__ == "__main__":
    warnings.simplefilter("ignore")  # what chance asks for makes libraries warn
    print(json.dumps(walk(int(sys.argv[1]), int(sys.argv[2]))))
