"""Run as a script: a sealed host whose object hangs or eats memory, which its watchdog must end.

Arguments: a working folder, and `hang`, `loop` or `eat`.
"""

from __future__ import annotations

import re
import resource
import sys
import time
from pathlib import Path

from proxyplane import ControlPlane, Policy, seal
from proxyplane.catalog import Catalog
from proxyplane.cli.hosting import Sealing, sealing

CATALOG = """
library = "msgpack"
versions = ">=1"
[type."__main__.Heavy"]
hang = "method compute"
loop = "method compute"
eat = "method compute"
"""


class Heavy:
    """What a host object can do to its host."""

    def hang(self) -> None:
        """Hold the interpreter's lock for longer than anybody waits."""
        re.match("(a|a)+$", "a" * 60 + "b")

    def loop(self) -> None:
        """Never come back, while other threads run."""
        while True:
            time.sleep(0.01)

    def eat(self) -> None:
        """Hold ever more memory."""
        held = []
        while True:
            held.append(b"x" * (1 << 22))
            time.sleep(0.001)


def main(folder: Path, how: str) -> None:
    seal.GRACE_SECONDS = 0.5  # type: ignore[misc]
    (folder / "own.toml").write_text(CATALOG)
    catalog = Catalog.load("builtins", extra=[folder / "own.toml"])
    policy = Policy.preset("read_only")
    memory = 400 << 20 if how == "eat" else None
    with (
        sealing(Sealing(own=True, required=True, memory=memory), policy, folder / "log", []) as host,
        ControlPlane(policy=policy, audit=folder / "log", catalog=catalog) as plane,
    ):
        host.close_files(plane)
        host.close_calls(plane, [])
        if how == "eat":  # or the limit of the address space would stop it first
            resource.setrlimit = lambda which, limits: None
        host.limit(plane)
        with plane.session("agent", objects={"heavy": Heavy()}) as session:
            print(session.run(f"heavy.{how}()", timeout=0.5 if how != "eat" else 60.0))


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2])
