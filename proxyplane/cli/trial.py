"""Whether a host can be sealed on this machine, tried out: a process of its own gives up what a host gives up, and then
tries what must not work any more."""

from __future__ import annotations

import errno
import json
import os
import socket
import subprocess
import sys
import tempfile
from collections.abc import Callable
from typing import Any, Final

from proxyplane import hostcalls
from proxyplane.guest import sandbox
from proxyplane.reach import READ, WRITE, Reach, library_folders

__all__ = ["try_seal"]

_SECONDS: Final = 30.0
_START: Final = """
import json, sys
sys.path[:] = json.loads(sys.argv[1])
from proxyplane.cli.trial import main
main(sys.argv[2])
"""


def try_seal() -> dict[str, Any]:
    """The tier that a host gets here, why it is not better, and each attempt with what refused it."""
    with tempfile.TemporaryDirectory(prefix="proxyplane-trial-") as folder:
        path = os.path.join(folder, "listener.sock")
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listener:
            listener.bind(path)
            listener.listen()
            done = subprocess.run(
                [sys.executable, "-I", "-c", _START, json.dumps(sys.path), path],
                cwd=folder, stdin=subprocess.DEVNULL, capture_output=True, timeout=_SECONDS, check=False,
            )  # fmt: skip
    try:
        found: dict[str, Any] = json.loads(done.stdout)
    except ValueError:
        reason = done.stderr.decode("utf-8", "replace").strip().rpartition("\n")[2]
        return {"tier": "unsealed", "because": reason or f"the trial ended with {done.returncode}", "probes": []}
    return found


def main(listener: str) -> None:
    """Give up what a host gives up, try, and print what came of it."""
    try:
        with Reach() as reach:
            for folder in library_folders([]):
                reach.add(folder, READ)
            reach.add(os.devnull, WRITE)
            sandbox.gain_nothing()
            sandbox.restrict_files(reach.rules, signals=True)
        sandbox.install_filter(hostcalls.assemble(os.uname().machine, own=(os.getpid(),), times=False))
    except (sandbox.SandboxError, LookupError, OSError) as error:
        print(json.dumps({"tier": "unsealed", "because": str(error), "probes": []}))
        return
    probes = [_tried(name, act) for name, act in _attempts(listener).items()]
    tier = "sealed" if all(probe["refused"] for probe in probes) else "unsealed"
    print(json.dumps({"tier": tier, "because": "" if tier == "sealed" else "an attempt succeeded", "probes": probes}))


def _attempts(listener: str) -> dict[str, Callable[[], Any]]:
    return {
        "read a file": lambda: open("/etc/passwd"),
        "create a file": lambda: open(os.path.join(os.path.dirname(listener), "x"), "w"),
        "read another process": lambda: open(f"/proc/{os.getppid()}/mem", "rb"),
        "connect by TCP": lambda: socket.create_connection(("127.0.0.1", 9), 1),
        "connect by UDP": lambda: socket.socket(socket.AF_INET, socket.SOCK_DGRAM).connect(("127.0.0.1", 9)),
        "connect to a local socket": lambda: socket.socket(socket.AF_UNIX).connect(listener),
        "start a program": lambda: subprocess.run([sys.executable, "-c", ""], check=False),
        "fork": lambda: os.fork() or os._exit(0),
        "signal another process": lambda: os.kill(os.getppid(), 0),
    }


def _tried(name: str, act: Callable[[], Any]) -> dict[str, Any]:
    try:
        act()
    except PermissionError as error:
        return {"name": name, "refused": True, "how": errno.errorcode.get(error.errno or 0, "PermissionError")}
    except OSError as error:  # it got as far as the network, or to what is not there
        return {"name": name, "refused": False, "how": errno.errorcode.get(error.errno or 0, type(error).__name__)}
    return {"name": name, "refused": False, "how": "it worked"}
