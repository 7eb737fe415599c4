"""The watchdog of a sealed host: a small process outside, which ends a host that hangs or eats memory.

The host writes into a pipe for how many seconds it may now be silent (a double each time). When they have passed, or
when it holds more memory than it may, it is killed. Its log writer then writes what was in the ring, and this process
adds a record that says why. Whatever way the host ends, its private folder is removed.

Executed by `proxyplane.seal` before the host seals itself; standard library only, until there is something to record.
"""

from __future__ import annotations

import contextlib
import os
import select
import shutil
import signal
import struct
import sys
import time
from pathlib import Path
from typing import Any, Final

__all__ = ["Watchdog", "main"]

TICK_SECONDS: Final = 0.25
BEAT: Final = struct.Struct("=d")
_LOG_SECONDS: Final = 10.0
_PAGE: Final = os.sysconf("SC_PAGE_SIZE")


class Watchdog:
    """Watches one host.

    Args:
        host: pidfd of the host.
        pid: of the same.
        pulse: descriptor that the host writes into; its end of file says that the host closes in an orderly way.
        memory: bytes that the host may hold at once.
    """

    def __init__(self, host: int, pid: int, pulse: int, memory: int) -> None:
        self._host = host
        self._statm = f"/proc/{pid}/statm"
        self._pulse = pulse
        self._memory = memory
        self._due: float | None = None
        self._poll = select.poll()
        self._poll.register(host, select.POLLIN)
        self._poll.register(pulse, select.POLLIN)

    def watch(self) -> dict[str, Any] | None:
        """Until the host has ended or closes; why it was ended here, or None."""
        while True:
            ready = {descriptor for descriptor, _ in self._poll.poll(TICK_SECONDS * 1000)}
            if self._host in ready:
                return None
            if self._pulse in ready:
                beats = os.read(self._pulse, 4096)
                if not beats:
                    return None
                self._due = time.monotonic() + BEAT.unpack(beats[-BEAT.size :])[0]
            held = self._held()
            if held > self._memory:
                return self._end({"cause": "memory", "bytes": held, "limit": self._memory})
            if self._due is not None and time.monotonic() > self._due:
                return self._end({"cause": "silence"})

    def _held(self) -> int:
        """Bytes of memory that the host holds now."""
        try:
            with open(self._statm, "rb") as file:
                return int(file.read().split()[1]) * _PAGE
        except (OSError, IndexError):
            return 0

    def _end(self, why: dict[str, Any]) -> dict[str, Any]:
        with contextlib.suppress(ProcessLookupError):
            signal.pidfd_send_signal(self._host, signal.SIGKILL)
        waiting = select.poll()
        waiting.register(self._host, select.POLLIN)
        waiting.poll(_LOG_SECONDS * 1000)
        return why


_TOLD: Final = {
    "silence": "it gave no sign of life for longer than its run may take",
    "memory": "it held more memory than it may",
}


def record(directory: str, why: dict[str, Any]) -> None:
    """Add to the log why its host was ended; the writer of that host has to finish first."""
    from proxyplane.audit import AuditLog  # noqa: PLC0415 - costs memory that a watchdog seldom needs
    from proxyplane.clock import Identifiers, SystemClock  # noqa: PLC0415
    from proxyplane.errors import AuditError  # noqa: PLC0415

    clock = SystemClock()
    until = time.monotonic() + _LOG_SECONDS
    while True:
        try:
            log = AuditLog.open(Path(directory), clock=clock)
            break
        except AuditError:
            if time.monotonic() > until:
                raise
            time.sleep(0.1)
    with log:
        log.append(
            {
                "kind": "observed",
                "id": Identifiers(clock).next(),
                "time": clock.wall(),
                "status": "timeout" if why["cause"] == "silence" else "panic",
                "reason": "watchdog",
                "detail": why,
            }
        )


def main(arguments: list[str]) -> int:
    """Runs the process: the host's process id, descriptor of the pulse, bytes of memory, log, and what to remove."""
    pid, pulse, memory, directory, *left = arguments
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    host = os.pidfd_open(int(pid))
    why = None
    try:
        if os.getppid() == int(pid):
            why = Watchdog(host, int(pid), int(pulse), int(memory)).watch()
        if why is not None:
            sys.stderr.write(f"proxyplane: the host was ended by its watchdog: {_TOLD[why['cause']]}\n")
            sys.stderr.flush()
            record(directory, why)
    finally:
        for path in left:
            if os.path.isdir(path):
                shutil.rmtree(path, ignore_errors=True)
            else:
                with contextlib.suppress(OSError):
                    os.unlink(path)
    return 0
