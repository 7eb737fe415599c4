"""What was revealed of which rows to whom: two aggregates over nearly the same rows tell their difference.

(The differencing attack: Dwork and Roth, *The Algorithmic Foundations of Differential Privacy*, 2014, 1.1.) Row sets
are known for aggregates under a minimum group, see `hosts.aggregates`. They are kept in memory while the plane runs.
"""

from __future__ import annotations

import threading
from typing import Final

from proxyplane.hosts.aggregates import closest

__all__ = ["MOST", "Reveals"]

MOST: Final = 4096
"""Row sets that are kept for one principal and object; a set takes a bit for each row."""


class Reveals:
    """The row sets behind the aggregates that each principal has seen of each granted object."""

    def __init__(self) -> None:
        self._seen: dict[tuple[str, str], list[int]] = {}
        self._lock = threading.Lock()

    def admit(self, principal: str, root: str, sets: tuple[int, ...], least: int) -> int | None:
        """Note that these are shown, unless they differ too little from what was shown before.

        Args:
            principal: the agent.
            root: the granted name.
            sets: rows behind each value.
            least: in fewer rows two sets must not differ.

        Returns:
            None; or by how few rows two of them differ, and then nothing is noted. 0: so many were shown already that
            no more can be kept apart.
        """
        with self._lock:
            seen = self._seen.setdefault((principal, root), [])
            differs = closest(sets, seen)
            if differs is not None and differs < least:
                return differs
            fresh = [found for found in dict.fromkeys(sets) if found not in seen]
            if fresh and len(seen) >= MOST:
                return 0
            seen.extend(fresh)
            return None
