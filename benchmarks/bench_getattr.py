"""One attribute through guest, policy and log, beside the same attribute through RPyC on a unix socket."""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
import threading
from pathlib import Path
from typing import Any

import pandas as pd
import rpyc
from rpyc.utils.server import ThreadedServer

from proxyplane import ControlPlane, Policy

LOOPS = 3000
ROUNDS = 9
CLIENT = """
import os, sys, time, rpyc
from rpyc.utils.factory import unix_connect
c = unix_connect(sys.argv[1], config={"allow_all_attrs": True})
df = c.root.df()
for line in sys.stdin:
    n = int(line)
    began = time.perf_counter()
    for _ in range(n):
        df.NAME
    print((time.perf_counter() - began) / n * 1e6, flush=True)
"""
AGENT = """
import time
def measure(n):
    began = time.perf_counter()
    for _ in range(n):
        df.NAME
    return (time.perf_counter() - began) / n * 1e6
"""


class Service(rpyc.Service):  # type: ignore[misc]
    """Gives the frame to its client."""

    frame: Any = None

    def exposed_df(self) -> Any:
        return self.frame


def measure_attribute(name: str, *, writer_too: bool) -> dict[str, Any]:
    """Medians in microseconds of both roads, rounds interleaved.

    Args:
        name: the attribute.
        writer_too: pin the log writer to the core that guest and host share, too; RPyC has nothing of the kind.
    """
    frame = pd.DataFrame({"a": range(1000), "b": 1.5})
    everything = os.sched_getaffinity(0)
    core = {max(everything)}
    os.sched_setaffinity(0, core)
    ours: list[float] = []
    theirs: list[float] = []
    with tempfile.TemporaryDirectory() as folder:
        path = str(Path(folder) / "rpyc.sock")
        Service.frame = frame
        server = ThreadedServer(Service, socket_path=path, protocol_config={"allow_all_attrs": True})
        thread = threading.Thread(target=server.start, daemon=True)
        thread.start()
        client = subprocess.Popen(
            [sys.executable, "-c", CLIENT.replace("NAME", name), path],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert client.stdin is not None
        assert client.stdout is not None
        try:
            os.sched_setaffinity(0, core if writer_too else everything)
            with (
                ControlPlane(policy=Policy.preset("open"), audit=Path(folder) / "audit") as plane,
                plane.session("bench", objects={"df": frame}) as session,
            ):
                os.sched_setaffinity(0, core)
                os.sched_setaffinity(plane.zygote.pid, core)
                assert session.run(AGENT.replace("NAME", name)).ok
                for _ in range(ROUNDS):
                    client.stdin.write(f"{LOOPS}\n")
                    client.stdin.flush()
                    theirs.append(float(client.stdout.readline()))
                    result = session.run(f"measure({LOOPS})")
                    assert result.value is not None, result
                    ours.append(float(result.value))
        finally:
            client.stdin.close()
            client.wait()
            client.stdout.close()
            server.close()
            thread.join(5)
            os.sched_setaffinity(0, everything)
    mine, other = statistics.median(ours), statistics.median(theirs)
    return {
        "what": f"`df.{name}` through guest, policy and log, both ends on one core{', log writer too' * writer_too}",
        "measured": f"{mine:.1f} µs",
        "beside": f"RPyC over a unix socket {other:.1f} µs",
        "ratio": round(mine / other, 2),
        **({} if writer_too else {"wanted": "at most 0.5 x", "met": mine / other <= 0.5}),
        "raw": {"ours_us": ours, "rpyc_us": theirs},
    }


def measure() -> list[dict[str, Any]]:
    """Rows of this benchmark."""
    return [measure_attribute(name, writer_too=too) for name in ("ndim", "shape") for too in (False, True)]
