"""Start and memory of a guest process."""

from __future__ import annotations

import statistics
import time
from pathlib import Path
from typing import Any

from proxyplane import ControlPlane, Policy
from proxyplane.conversation import Conversation

STARTS = 60
SET = 20


def pss(pid: int) -> float:
    """Proportional set size in MB (smaps_rollup)."""
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
        if line.startswith("Pss:"):
            return int(line.split()[1]) / 1024
    raise RuntimeError("no Pss in smaps_rollup")


def start(plane: ControlPlane) -> tuple[Conversation, float]:
    """A guest, and the milliseconds from the request to its hello."""
    began = time.perf_counter()
    process = plane.zygote.spawn(plane.guest_limits, plane.tier)
    conversation = Conversation(process, plane.limits, lambda exchange, message: [])
    conversation.hello(time.monotonic() + 10)
    return conversation, (time.perf_counter() - began) * 1000


def measure() -> list[dict[str, Any]]:
    """Rows of this benchmark."""
    with ControlPlane(policy=Policy.preset("open")) as plane:
        times = []
        for _ in range(STARTS):
            guest, elapsed = start(plane)
            times.append(elapsed)
            guest.end()
        alone, _ = start(plane)
        time.sleep(0.2)
        one = pss(alone.process.pid)
        alone.end()
        guests = [start(plane)[0] for _ in range(SET)]
        time.sleep(0.2)
        many = [pss(guest.process.pid) for guest in guests]
        for guest in guests:
            guest.end()
        tier = plane.tier
    began = statistics.median(times)
    return [
        {
            "what": f"guest start, from the request to its hello (tier {tier})",
            "measured": f"{began:.1f} ms (95 %: {sorted(times)[int(STARTS * 0.95)]:.1f})",
            "wanted": "at most 10 ms",
            "met": began <= 10,
            "raw": {"ms": times},
        },
        {
            "what": "idle guest, alone beside its zygote",
            "measured": f"{one:.1f} MB PSS",
            "wanted": "at most 8 MB",
            "met": one <= 8,
        },
        {
            "what": f"idle guest, in a set of {SET}",
            "measured": f"{statistics.median(many):.1f} MB PSS",
            "wanted": "at most 8 MB",
            "met": statistics.median(many) <= 8,
        },
    ]
