"""The demo's analysis in a guest, beside the same code run natively on the same data."""

from __future__ import annotations

import contextlib
import io
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy  # noqa: F401 - import time is excluded from both
import pandas as pd

from proxyplane import ControlPlane, Policy

EXAMPLES = Path(__file__).parent.parent / "examples"
ROUNDS = 15


def analysis() -> str:
    """The script up to its refusals, which natively would not be refused."""
    source = (EXAMPLES / "analyst.py").read_text()
    return source.split("# --- and three things", 1)[0]


def natively(code: str, frame: pd.DataFrame) -> float:
    """Milliseconds of one native run on a copy of the data."""
    names = {"__name__": "__main__", "visits": frame.copy()}
    program = compile(code, "<native>", "exec")
    with contextlib.redirect_stdout(io.StringIO()):
        began = time.perf_counter()
        exec(program, names)
        return (time.perf_counter() - began) * 1000


def measure() -> list[dict[str, Any]]:
    """Rows of this benchmark."""
    code = analysis()
    frame = pd.read_csv(EXAMPLES / "data" / "randhie.csv")
    policy = Policy.load(EXAMPLES / "analyst.toml")
    ours: list[float] = []
    native: list[float] = []
    operations = 0
    with tempfile.TemporaryDirectory() as folder:
        for round_number in range(ROUNDS + 1):
            # A fresh plane each time: the policy's budget belongs to the principal and does not refill.
            audit = Path(folder) / f"audit-{round_number}"
            with (
                ControlPlane(policy=policy, audit=audit) as plane,
                plane.session("analyst-demo", objects={"visits": frame}) as session,
            ):
                session.run("import pandas as pd\nimport numpy as np")
                result = session.run(code)
                assert result.ok, result.error
                operations = result.operations
                elapsed = natively(code, frame)
                if round_number:
                    ours.append(result.elapsed_ns / 1e6)
                    native.append(elapsed)
    mine, other = statistics.median(ours), statistics.median(native)
    return [
        {
            "what": f"the demo's analysis in a guest ({operations} operations)",
            "measured": f"{mine:.1f} ms",
            "beside": f"native pandas {other:.1f} ms",
            "ratio": round(mine / other, 2),
            "wanted": "at most 2 x",
            "met": mine / other <= 2,
            "raw": {"guest_ms": ours, "native_ms": native},
        }
    ]
