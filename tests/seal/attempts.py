"""Run as a script: seals itself the way `proxyplane run` does, then tries what the kernel must refuse; prints JSON.

Arguments: a working folder, with `work/` for [fs], `secret.csv` for data that is granted and `log/` for the log.
"""

from __future__ import annotations

import ctypes
import fcntl
import importlib
import json
import os
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from proxyplane import ControlPlane, Policy
from proxyplane.cli.hosting import Sealing, sealing
from proxyplane.loading import DataFile

POLICY = """
schema = 1
default = "deny"
[modules]
host = ["pandas", "numpy", "polars", "pyarrow", "sklearn", "matplotlib"]
[fs]
root = "{root}"
read = ["out/**", "data/*.csv"]
write = ["out/**"]
[[rules]]
id = "work"
agent = "*"
object = "*"
effect = ["read", "compute", "mutate", "reveal", "callback", "display", "fs.read", "fs.write"]
decide = "allow"
"""

SNIPPETS = {
    "pandas": "df.groupby('region').amount.sum().to_dict()",
    "pandas csv": "import pandas as pd\ndf.to_csv('out/x.csv', index=False)\npd.read_csv('out/x.csv').shape",
    "pandas parquet": "df.to_parquet('out/x.parquet')\npd.read_parquet('out/x.parquet').shape",
    "granted file": "pd.read_csv('data/more.csv').shape",
    "polars": "import polars as pl\npl.DataFrame({'a': [1, 2, 3]}).select(pl.col('a').sum()).item()",
    "polars parquet": "pl.DataFrame({'a': [1]}).write_parquet('out/p.parquet')\npl.read_parquet('out/p.parquet').shape",
    "pyarrow": "import pyarrow as pa, pyarrow.compute as pc\npc.sum(pa.array([1, 2])).as_py()",
    "files": "import os\nos.makedirs('out/new')\nopen('out/new/f', 'w').write('hi')\n"
    "os.rename('out/new/f', 'out/new/g')\n"
    "from pathlib import Path\nPath('out/new/g').touch()\nopen('out/new/g').read()",
    "scikit-learn": "from sklearn.cluster import KMeans\nimport numpy as np\n"
    "float(KMeans(n_clusters=2, n_init=1, random_state=0).fit(np.arange(20.0).reshape(-1, 1)).inertia_)",
    "matplotlib": "import matplotlib.pyplot as plt\nplt.plot([1, 2])\nplt.savefig('out/f.png')\n"
    "os.path.getsize('out/f.png') > 100",
    "time zones": "pd.Timestamp('2024-01-01', tz='Europe/Berlin').isoformat()",
}


def warm() -> None:
    """Start the thread pools of the libraries, so that the attempts come from warm ones."""
    import polars as pl
    import pyarrow as pa

    pl.DataFrame({"a": list(range(100_000))}).lazy().group_by("a").agg(pl.len()).collect()
    pa.array(range(100_000)).sort()


def attempts(folder: Path, writer: int) -> dict[str, Callable[[], Any]]:
    """What must be refused, by name."""
    import polars as pl
    import pyarrow as pa
    import pyarrow.csv
    import pyarrow.dataset as ds
    import pyarrow.parquet as pq

    frame, table = pl.DataFrame({"a": list(range(1000))}), pa.table({"a": [1]})
    libc = ctypes.CDLL(None, use_errno=True)

    def raw(name: str, *arguments: int) -> None:
        if getattr(libc, name)(*arguments) == -1:
            raise OSError(ctypes.get_errno(), name)

    def shell() -> None:
        if os.system("true"):
            raise PermissionError("the shell did not start")

    def segment() -> Path:
        return folder / "log" / os.environ["SEGMENT"]

    found: dict[str, Callable[[], Any]] = {
        "polars write_parquet": lambda: frame.write_parquet(folder / "x.parquet"),
        "polars write_csv": lambda: frame.write_csv(folder / "x.csv"),
        "polars sink_csv": lambda: frame.lazy().sink_csv(folder / "x.csv"),
        "polars sink_parquet": lambda: frame.lazy().sink_parquet(folder / "x.parquet"),
        "polars scan_csv": lambda: pl.scan_csv(folder / "secret.csv").collect(),
        "polars read_csv": lambda: pl.read_csv(folder / "secret.csv"),
        "pyarrow write_table": lambda: pq.write_table(table, folder / "x.parquet"),
        "pyarrow write_dataset": lambda: ds.write_dataset(table, folder / "set", format="parquet"),
        "pyarrow read": lambda: pa.csv.read_csv(folder / "secret.csv"),
        "python open": (folder / "secret.csv").open,
        "python write": lambda: (folder / "x").write_text("x"),
        "remove": (folder / "secret.csv").unlink,
        "change mode": lambda: os.chmod(folder / "secret.csv", 0o777),
        "make a folder": (folder / "new").mkdir,
        "write a log segment": lambda: frame.write_csv(segment()),
        "read a log segment": lambda: segment().read_bytes(),
        "remove a log segment": lambda: segment().unlink(),
        "list the log": lambda: os.listdir(folder / "log"),
        "/etc/passwd": Path("/etc/passwd").open,
        "other processes' memory": Path(f"/proc/{writer}/mem").open,
        "tcp": lambda: socket.create_connection(("127.0.0.1", 9), 1),
        "udp": lambda: socket.socket(socket.AF_INET, socket.SOCK_DGRAM),
        "unix socket": lambda: socket.socket(socket.AF_UNIX, socket.SOCK_STREAM).connect(os.environ["LISTENER"]),
        "datagram pair": lambda: socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM),
        "child process": lambda: subprocess.run(["true"], check=False),
        "shell": shell,
        "fork": lambda: os.fork() or os._exit(0),
        "ptrace": lambda: raw("ptrace", 16, writer, 0, 0),
        "signal the log writer": lambda: os.kill(writer, 9),
        "pidfd of the log writer": lambda: os.pidfd_open(writer),
        "type into the terminal": lambda: fcntl.ioctl(0, 0x5412, b"x"),
        "a new user": lambda: os.setuid(65534),
        "memory beyond the limit": lambda: bytearray(1 << 40),
    }
    duckdb = importlib.import_module("duckdb") if importlib.util.find_spec("duckdb") else None
    if duckdb is not None:
        found["duckdb copy"] = lambda: duckdb.sql(f"copy (select 1) to '{folder}/x.csv'")
        found["duckdb read_text"] = lambda: duckdb.sql("select content from read_text('/etc/passwd')").fetchall()
    return found


def tried(act: Callable[[], Any]) -> str:
    """The class of the error, or what came of it."""
    try:
        return f"done: {act()!r}"
    except (Exception, MemoryError) as error:
        return type(error).__name__


def main(folder: Path) -> None:
    policy = Policy.parse(POLICY.format(root=folder / "work"))
    results: dict[str, Any] = {"snippets": {}, "attempts": {}}
    with (
        DataFile.open(folder / "secret.csv") as source,
        sealing(Sealing(own=True, required=True), policy, folder / "log", [str(folder / "secret.csv")]) as host,
        ControlPlane(policy=policy, audit=folder / "log") as plane,
    ):
        os.environ["SEGMENT"] = next(path.name for path in (folder / "log").iterdir() if path.suffix == ".seg")
        host.close_files(plane)
        host.close_calls(plane, ["pandas", "numpy"])
        frame = source.load()
        host.limit(plane)
        with plane.session("agent", objects={"df": frame}) as session:
            for name, code in SNIPPETS.items():
                ran = session.run(code)
                results["snippets"][name] = ran.value if ran.ok else f"{ran.error}"
            results["frozen"] = session.frozen
            warm()
            for name, act in attempts(folder, plane.log.writer_pid or 0).items():
                results["attempts"][name] = tried(act)
            results["after"] = session.run("df.shape").value
            results["host"] = plane.host_tier
    print(json.dumps(results))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
