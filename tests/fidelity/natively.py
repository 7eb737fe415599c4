"""Run the same code in a guest and in this process, and compare what is printed."""

from __future__ import annotations

import contextlib
import io
import os
from pathlib import Path
from typing import Any

from proxyplane import ControlPlane, Policy

__all__ = ["POLICY", "native", "same"]

POLICY = """
schema = 1
default = "deny"
[modules]
host = ["numpy", "pandas", "polars", "scipy", "sklearn", "matplotlib", "pyarrow"]
[fs]
root = "{root}"
read = ["**"]
write = ["**"]
[[rules]]
id = "all"
agent = "*"
object = "*"
effect = ["read", "compute", "mutate", "reveal", "fs.read", "fs.write", "callback", "display"]
decide = "allow"
"""


def plane_over(folder: Path) -> ControlPlane:
    """A plane whose agents have files in `folder`, and every effect but exec and what no rule ever grants."""
    return ControlPlane(policy=Policy.parse(POLICY.format(root=folder)))


def native(code: str, folder: Path) -> str:
    """What the code prints in this process, in that folder."""
    printed, before = io.StringIO(), os.getcwd()
    names: dict[str, Any] = {"__name__": "__main__"}
    os.chdir(folder)
    try:
        with contextlib.redirect_stdout(printed):
            exec(compile(code, "<agent>", "exec"), names)
    finally:
        os.chdir(before)
    return printed.getvalue()


def same(code: str, folder: Path) -> None:
    """Assert that it prints the same in a guest."""
    (folder / "guest").mkdir()
    (folder / "host").mkdir()
    with plane_over(folder / "guest") as plane, plane.session("agent") as session:
        ran = session.run(code)
        assert ran.error is None, (ran.error.type, ran.error.message)
        assert ran.stdout == native(code, folder / "host")
