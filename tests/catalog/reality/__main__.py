"""Runs every library in a process of its own and writes `docs/catalog-reality.md`; exit code 1 when a line is wrong.

python -m tests.catalog.reality [--brief] [LIBRARY ...]
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

__all__ = ["exercise", "main", "page"]

LIBRARIES = ("pandas", "numpy", "polars", "pyarrow")
BRIEF = 0.04
"""The share of docstrings in a brief run."""
PAGE = Path(__file__).parents[3] / "docs" / "catalog-reality.md"
_HEAD = """\
# The catalog against reality

*Written by `make catalog-check`.* Docstring examples, and simple calls of what no example shows, run natively in a
process of their own. Each use of a described member is watched: an audit hook sees what is opened, connected, spawned
or unpickled; receiver and arguments are compared before and after; a result that is said to be fresh must be held by
nobody else; a writeable array must be known as a view of what it shares memory with; a result that is said to be schema
must hold no cell; a text must not hold more rows than it is counted for. A member that does what its line does not say
fails.

"Exercised" means that a use returned and was compared. The others are listed below: no run has shown that their lines
are true. Members whose use is refused, or lies outside (network, processes, functions that the plane performs itself),
are among them. Drawing from a random generator moves its state on; that is not counted as a change.

"""
_ALIASES = """\
What pyarrow and polars take over of an array without a copy changes when the array does. Its version does not tell so;
where something came from does: what is written into the array counts as come into all that lies over its memory
(`proxyplane/hosts/shared.py`). Views of arrays are known as such and move together."""


def exercise(library: str, share: float = 1.0) -> dict[str, Any]:
    """What a run of one library found; see `worker.run`.

    Args:
        library: one of `LIBRARIES`.
        share: the part of its docstrings that is run.
    """
    command = [sys.executable, "-X", "faulthandler", "-m", "tests.catalog.reality.worker", library, str(share)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=Path(__file__).parents[3])
    if done.returncode != 0:
        raise RuntimeError(f"the run of {library} ended with {done.returncode}: {done.stderr[-2000:]}")
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def page(found: Iterable[dict[str, Any]]) -> str:
    """The page: counts for each library, then what was not exercised."""
    results = list(found)
    out = [_HEAD, "| library | described | exercised | uses compared | wrong |", "|---|---|---|---|---|"]
    for each in results:
        share = each["exercised"] / each["described"]
        counts = f"{each['described']:,} | {each['exercised']:,} ({share:.0%})"
        out.append(f"| {each['library']} | {counts} | {each['uses']:,} | {len(each['faults'])} |")
    out += ["", "## Results that go on sharing memory with an argument", "", _ALIASES, ""]
    out += [f"- `{name}`: {kinds}" for each in results for name, kinds in sorted(each["aliases"].items())]
    for each in results:
        out += ["", f"## {each['library']}: not exercised", ""]
        out += [f"- `{owner}`: {names}" for owner, names in _by_owner(each["missing"])]
    return "\n".join(out) + "\n"


def _by_owner(names: list[str]) -> list[tuple[str, str]]:
    grouped: dict[str, list[str]] = {}
    for name in names:
        owner, _, member = name.rpartition(".")
        grouped.setdefault(owner, []).append(member)
    return [(owner, ", ".join(members)) for owner, members in sorted(grouped.items())]


def main(arguments: list[str]) -> int:
    """Run, tell what is wrong, and write the page after a whole run without a fault."""
    brief = "--brief" in arguments
    chosen = [name for name in arguments if not name.startswith("-")] or list(LIBRARIES)
    results = []
    for library in chosen:
        each = exercise(library, BRIEF if brief else 1.0)
        results.append(each)
        print(f"{library}: {each['exercised']} of {each['described']} members, {each['uses']} uses", flush=True)
        for name, what, where in each["faults"]:
            print(f"  wrong: {name}: {what} (in {where})", flush=True)
    if any(each["faults"] for each in results):
        return 1
    if not brief and chosen == list(LIBRARIES):
        PAGE.write_text(page(results))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
