"""How much is tried: little in every run, much at night (`PROXYPLANE_FUZZ=night`, or a number of times as much)."""

from __future__ import annotations

import os

__all__ = ["FRAMES", "SEED", "SEQUENCES"]

_NIGHT = 50
_WANTED = os.environ.get("PROXYPLANE_FUZZ", "1")
_TIMES = _NIGHT if _WANTED == "night" else float(_WANTED)

FRAMES = int(20_000 * _TIMES)
"""Frames sent to the host."""
SEQUENCES = int(2_000 * _TIMES)
"""Sequences of operations."""
SEED = int(os.environ.get("PROXYPLANE_FUZZ_SEED", "0")) or None
"""To repeat a run; random by default."""
