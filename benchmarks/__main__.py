"""Run the benchmarks: `python -m benchmarks [NAME ...]`.

Writes `benchmarks/results/NAME.json` and the tables of `docs/performance.md` between its markers.
"""

from __future__ import annotations

import importlib
import json
import os
import platform
import sys
from importlib.metadata import version
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
RESULTS = HERE / "results"
PAGE = HERE.parent / "docs" / "performance.md"
BEGIN, END = "<!-- benchmarks: begin -->", "<!-- benchmarks: end -->"
SUITES = ("getattr", "guest", "demo", "log", "policy", "proxy", "http")


def machine() -> dict[str, str]:
    """What the numbers were measured on."""
    found = {
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.release().split('-')[0]} {platform.machine()}",
        "cores": str(len(os.sched_getaffinity(0))),
    }
    for package in ("pandas", "numpy", "msgpack", "rpyc"):
        found[package] = version(package)
    return found


def table(reports: list[dict[str, Any]]) -> str:
    """All measured rows as one Markdown table."""
    lines = ["| what | measured | beside | ratio | wanted | met |", "|---|---|---|---|---|---|"]
    for report in reports:
        for row in report["rows"]:
            met = {True: "yes", False: "**no**", None: ""}[row.get("met")]
            lines.append(
                f"| {row['what']} | {row['measured']} | {row.get('beside', '')} | {row.get('ratio', '')} "
                f"| {row.get('wanted', '')} | {met} |"
            )
    facts = ", ".join(f"{key} {value}" for key, value in reports[0]["machine"].items())
    return "\n".join([*lines, "", f"Measured with {facts}. Medians; every row's peer ran in the same process run."])


def main(names: list[str]) -> int:
    """Run the named suites, or all."""
    unknown = [name for name in names if name not in SUITES]
    if unknown:
        print(f"no benchmark is called {', '.join(unknown)}; there are: {', '.join(SUITES)}", file=sys.stderr)
        return 2
    RESULTS.mkdir(exist_ok=True)
    for name in names or SUITES:
        print(f"== {name}", flush=True)
        rows = importlib.import_module(f"benchmarks.bench_{name}").measure()
        for row in rows:
            print("  ", {key: value for key, value in row.items() if key != "raw"}, flush=True)
        report = {"name": name, "machine": machine(), "rows": rows}
        (RESULTS / f"{name}.json").write_text(json.dumps(report, indent=1) + "\n")
    reports = [json.loads(file.read_text()) for file in (RESULTS / f"{name}.json" for name in SUITES) if file.exists()]
    if PAGE.exists() and BEGIN in PAGE.read_text():
        text = PAGE.read_text()
        before, after = text.split(BEGIN)[0], text.split(END)[1]
        PAGE.write_text(f"{before}{BEGIN}\n{table(reports)}\n{END}{after}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
