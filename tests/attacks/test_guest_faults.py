"""A guest that misbehaves ends itself; the session, its neighbours and the host go on."""

from __future__ import annotations

import gc
from pathlib import Path

import pytest

from proxyplane import ControlPlane

from .conftest import Canaries

FAULTS = {
    "memory bomb": ("x = []\nwhile True: x.append(bytearray(1 << 24))", {"MemoryError", "GuestCrashed"}),
    "fork bomb": ("import os\nwhile True: os.fork()", {"PermissionError", "BlockingIOError", "GuestCrashed"}),
    "segfault": (
        "def f(): return 1\nf.__code__ = f.__code__.replace(co_consts=(), co_code=b'd\\xff' * 4)\nf()",
        {"GuestCrashed"},
    ),
    "deep recursion": (
        "import sys\nsys.setrecursionlimit(10**9)\ndef f(): f()\nf()",
        {"GuestCrashed", "RecursionError", "MemoryError", "GuestTimeout"},
    ),
    "abort": ("import os\nos.abort()", {"GuestCrashed"}),
    "exit": ("import os\nos._exit(3)", {"GuestCrashed"}),
    "closes its socket": (
        "import gc, socket\nfor o in gc.get_objects():\n    if isinstance(o, socket.socket): o.close()\ndf.shape",
        {"GuestCrashed", "OSError", "PermissionError", "HostGone"},
    ),
    "closes every descriptor": (
        "import os\nfor n in range(64):\n    try: os.close(n)\n    except OSError: pass",
        {"GuestCrashed"},
    ),
    "endless loop": ("while True: pass", {"GuestTimeout"}),
    "ignores everything": (
        "import signal\nfor n in range(1, 32):\n    try: signal.signal(n, signal.SIG_IGN)\n    except OSError: pass\n"
        "while True:\n    try:\n        while True: pass\n    except BaseException: pass",
        {"GuestTimeout"},
    ),
    "huge power": ("10 ** (10 ** 8)", {"GuestTimeout", "MemoryError", "ValueError"}),
    "regular expression": ("import re; re.match('(a*)*b', 'a' * 40)", {"GuestTimeout"}),
    "writes noise to its socket": (
        "import gc, socket\nfor o in gc.get_objects():\n    if isinstance(o, socket.socket):\n"
        "        o.sendall(b'\\x00\\x00\\x00\\x02zz')\ndf.shape",
        {"ProtocolError", "OSError"},
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", FAULTS)
def test_only_the_guest_ends(sealed: ControlPlane, canaries: Canaries, name: str) -> None:
    """Each fault is reported as what it is; a neighbour works on, and so does the session unless it forged frames."""
    code, expected = FAULTS[name]
    with (
        sealed.session("neighbour", objects={"df": canaries.frame()}) as neighbour,
        sealed.session("faulty", objects={"df": canaries.frame()}) as session,
    ):
        assert neighbour.run("kept = len(df)").ok
        assert session.run("before = df.head(2)").ok
        result = session.run(code, timeout=2.5)
        assert result.error is not None
        assert result.error.type in expected, result.error
        assert neighbour.run("kept").value == "6"
        after = session.run("len(df), len(before)")
        if result.error.type == "ProtocolError":
            assert not after.ok
        else:
            assert after.value == "(6, 2)", after


def test_a_flood_of_output_is_bounded_and_marked(sealed: ControlPlane, canaries: Canaries) -> None:
    """What is printed beyond the bound is dropped, and the text says so."""
    with sealed.session("loud", objects={"df": canaries.frame()}) as session:
        result = session.run("for _ in range(200_000): print('x' * 100)", timeout=60)
        assert len(result.stdout) <= sealed.limits.output_chars + 200
        assert "output cut" in result.stdout[-200:]
        assert session.run("1").value == "1"


HARMLESS_ON_HOST = {
    "eval": "pd.Series([\"__import__('os').system('touch OUT')\"]).map(eval)",
    "exec": "pd.Series([\"import os; os.system('touch OUT')\"]).map(exec)",
    "read_csv": "pd.Series(['FILE']).map(pd.read_csv)",
    "read_csv by apply": "pd.Series(['FILE']).apply(pd.read_csv)",
    "read_csv in a frame": "pd.DataFrame({'p': ['FILE']}).map(pd.read_csv)",
    "open": "pd.Series(['OUT']).map(open)",
    "open for writing": "pd.Series(['OUT']).map(lambda p: open(p, 'w'))",
    "to_csv by name": "df.agg('to_csv', path_or_buf='OUT')",
    "to_pickle by name": "df.apply('to_pickle', args=('OUT',))",
    "to_csv by pipe": "df.pipe(pd.DataFrame.to_csv, 'OUT')",
    "numpy save": "np.save('OUT', np.arange(3))",
    "numpy tofile": "df.salary.to_numpy().tofile('OUT')",
    "eval of a frame": "df.eval('salary.to_csv(\"OUT\")')",
    "query": "df.query('@pd.read_csv(\"FILE\")')",
    "series of functions": "pd.Series([pd.read_csv]).map(lambda f: f('FILE'))",
    "read_pickle": "pd.read_pickle('FILE')",
}


@pytest.mark.parametrize("name", HARMLESS_ON_HOST)
def test_functions_given_to_pandas_do_nothing_on_the_host(sealed: ControlPlane, canaries: Canaries, name: str) -> None:
    """A function that the agent hands to a host library has no more rights than the agent."""
    out = canaries.folder / f"host-{abs(hash(name))}"
    code = HARMLESS_ON_HOST[name].replace("FILE", str(canaries.file)).replace("OUT", str(out))
    with sealed.session("deputy", objects={"df": canaries.frame()}) as session:
        result = session.run(f"import pandas as pd\nimport numpy as np\nr = {code}\nprint(r)", timeout=10)
        assert canaries.token not in result.stdout + repr(result.error)
    assert not Path(out).exists()


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_handles_are_released(sealed: ControlPlane, canaries: Canaries) -> None:
    """100,000 operations leave no more objects behind than there were after the first hundred."""
    with sealed.session("busy", objects={"df": canaries.frame()}) as session:
        session.run("for _ in range(100): df.head(1)\nimport gc; gc.collect()\nlen(df)")
        before = len(session.table)
        result = session.run("for _ in range(50_000): df.head(1).shape\nlen(df)", timeout=300)
        assert result.ok, result.error
        assert result.operations >= 100_000
        session.run("len(df)")
        gc.collect()
        assert len(session.table) <= before + 5
