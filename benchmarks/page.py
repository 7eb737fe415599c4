"""Writes what `make fidelity` measured into docs/fidelity.md, between its markers; the prose around them stays.

The numbers are kept in benchmarks/results/fidelity.json, and a test holds the page against them: it cannot be stale.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

__all__ = ["CAUSES", "KEPT", "PAGE", "cause_of", "keep", "render", "update"]

_TOP = Path(__file__).resolve().parents[1]
PAGE = _TOP / "docs" / "fidelity.md"
KEPT = _TOP / "benchmarks" / "results" / "fidelity.json"
_MARKERS = re.compile(r"(<!-- (\w+): written by make fidelity -->\n).*?(<!-- end -->)", re.DOTALL)
_TITLES = {
    "ds1000": "DS-1000, pandas problems: the reference solutions, by their own checkers and by strict comparison",
    "puzzles": "100 pandas puzzles, in one session, in order (cells that run natively)",
    "tpch": "TPC-H-shaped queries: pandas q1 to q8, polars q1 to q22",
    "pandas": "docstring examples of pandas that pass natively",
}
_OTHERS = "docstring examples of {name} that pass natively"
CAUSES: tuple[tuple[str, str], ...] = (
    ("*._formatter:*", "a class of the agent cannot inherit from a host class: its methods would have to run there"),
    ("*register_extension_dtype:1", "a class of the agent cannot inherit from a host class (a dtype)"),
    ("*BaseIndexer:4", "natively the windows reach behind the array, and pandas reads the memory there; here they end"),
    ("*._values_for_argsort:*", "hands out the memory under a mask: what a masked cell held before"),
)
"""Why an example of pandas differs, by patterns of its name."""


def cause_of(name: str) -> str | None:
    """Why an example differs; None where nobody has said."""
    return next((cause for pattern, cause in CAUSES if fnmatchcase(name, pattern)), None)


def keep(results: dict[str, Any]) -> None:
    """Keep the numbers of whole runs, beside those of other corpora.

    Args:
        results: per corpus `examples`, `good`, and `misses` as pairs of name and source.
    """
    known = json.loads(KEPT.read_text()) if KEPT.exists() else {}
    KEPT.write_text(json.dumps(known | results, indent=1, sort_keys=True) + "\n")


def render(results: dict[str, Any], page: str) -> str:
    """The page with these numbers.

    Args:
        results: as `keep` takes them.
        page: the page as it is.
    """
    parts = {"table": _table(results), "misses": _misses(results.get("pandas", {}).get("misses", ()))}
    return _MARKERS.sub(lambda found: f"{found[1]}{parts[found[2]]}\n{found[3]}", page)


def update() -> None:
    """Write the page from the numbers that are kept."""
    PAGE.write_text(render(json.loads(KEPT.read_text()), PAGE.read_text()))


def _table(results: dict[str, Any]) -> str:
    lines = ["| code | examples | as natively |", "|---|--:|--:|"]
    for name in sorted(
        results, key=lambda name: (name not in _TITLES, list(_TITLES).index(name) if name in _TITLES else name)
    ):
        count, good = results[name]["examples"], results[name]["good"]
        title = _TITLES.get(name) or _OTHERS.format(name=name)
        lines.append(f"| {title} | {count:,} | {_share(good, count)} |")
    return "\n".join(lines)


def _share(good: int, count: int) -> str:
    if good == count:
        return "100 %"
    return f"{int(10_000 * good / count) / 100:.2f} %"  # never rounded up


def _misses(misses: Iterable[Any]) -> str:
    found = list(misses)
    if not found:
        return "No example of pandas differs."
    lines = ["| example | why |", "|---|---|"]
    for name, source in found:
        code = source.replace("|", "\\|").replace("`", "'")
        lines.append(f"| {name}: `{code}` | {cause_of(name) or 'not known yet'} |")
    return "\n".join(lines)
