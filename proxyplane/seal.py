"""Sealing a host: what holds the objects gives up files, network and processes before it holds them.

    seal = Seal(audit=..., fs=policy.fs, guarded=[...])     private folder, watchdog: while processes can be made
    plane = ControlPlane(...)                               log writer and zygote
    seal.close_files(plane)                                 Landlock
    ...                                                     import libraries
    seal.close_calls(plane)                                 the system-call filter, on all threads
    ...                                                     load data through files that were opened before
    seal.limit(plane)                                       memory and time, watched from outside
    seal.end()

For processes that are the plane's own (`run`, `exec`, `demo`, `serve`, `mcp`), never for one that it is a guest of:
nothing of it can be undone. Each step is tried afterwards; one that did not take hold raises `SealError`, and then the
host counts as `unsealed`.

Measured with Landlock before the imports (docs/isolation.md): pandas, polars, pyarrow and duckdb compute as usual, and
all of their own input and output is refused by the kernel, warm thread pools or not.
"""

from __future__ import annotations

import contextlib
import glob
import os
import resource
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Final

from proxyplane import hostcalls
from proxyplane.guest import sandbox
from proxyplane.reach import READ, WRITE, Reach, library_folders, module_places
from proxyplane.watchdog import BEAT

if TYPE_CHECKING:
    from proxyplane.plane import ControlPlane
    from proxyplane.policies import FsGrant

__all__ = ["SEALED", "Seal", "SealError", "memory_of_the_machine"]

SEALED: Final = "sealed"
GRACE_SECONDS: Final = 10.0
"""What a run may overrun its time limit before its host is ended: the guest is ended first, in an orderly way."""
IDLE_SECONDS: Final = 300.0
"""Silence that is allowed between runs."""
BEAT_SECONDS: Final = 1.0
_PACKAGE: Final = os.path.dirname(os.path.abspath(__file__))
_START: Final = """
import sys
sys.path[:0] = sys.argv[1].split(":")
from proxyplane.watchdog import main
sys.exit(main(sys.argv[2:]))
"""
_SYMLINKS: Final = 1 << 12  # LANDLOCK_ACCESS_FS_MAKE_SYM


class SealError(RuntimeError):
    """A step of the seal cannot be had on this machine, or did not take hold. The text says which, and why."""


class Seal:
    """One host's seal, step by step; each step once, in the order above.

    Args:
        audit: the audit directory, for the watchdog's record.
        fs: what the policy grants of the file system; its folders stay reachable.
        modules: names of modules that are granted; they can be imported, wherever they are installed.
        guarded: files and folders that must not: the log, files behind projections, the policy.
        writable: further folders that the host itself writes into.
        memory: bytes that the host may hold; by default most of the machine's.
        left: files that nobody needs once the host has ended, which it then cannot remove itself.

    Raises:
        SealError: the watchdog cannot be started.
    """

    def __init__(
        self,
        *,
        audit: Path,
        fs: FsGrant | None = None,
        modules: Iterable[str] = (),
        guarded: Iterable[str | os.PathLike[str]] = (),
        writable: Iterable[Path] = (),
        memory: int | None = None,
        left: Iterable[Path] = (),
    ) -> None:
        self.memory = memory if memory is not None else memory_of_the_machine()
        """Bytes."""
        self.landlock = 0
        """The Landlock ABI in force."""
        self.notes: list[str] = []
        """What stays reachable that should not."""
        self._fs = fs
        self._modules = tuple(modules)
        self._guarded = [audit, *map(Path, guarded)]
        self._writable = tuple(writable)
        self._private = tempfile.mkdtemp(prefix="proxyplane-host-")
        self._beating = threading.Event()
        self._heart: threading.Thread | None = None
        self._statm = os.open("/proc/self/statm", os.O_RDONLY | os.O_CLOEXEC)
        reader, self._pulse = os.pipe()
        os.set_blocking(self._pulse, False)
        try:
            self._watchdog = self._start_watchdog(reader, audit, left)
        except OSError as error:
            os.close(self._pulse)
            os.close(self._statm)
            shutil.rmtree(self._private, ignore_errors=True)
            raise SealError(f"the watchdog could not be started: {error.strerror}") from None
        finally:
            os.close(reader)
        self._settle_in()

    def _start_watchdog(self, pulse: int, audit: Path, left: Iterable[Path]) -> subprocess.Popen[bytes]:
        paths = [os.path.dirname(_PACKAGE), *(os.path.abspath(entry) for entry in sys.path if entry)]
        arguments = [str(os.getpid()), str(pulse), str(self.memory), os.path.abspath(audit)]
        arguments += [self._private, *map(str, left)]
        return subprocess.Popen(
            [sys.executable, "-I", "-S", "-c", _START, ":".join(paths), *arguments],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            pass_fds=(pulse,),
            cwd="/",
            env={},
            start_new_session=True,
        )

    def _settle_in(self) -> None:
        """Let libraries keep what they must write in the private folder."""
        fonts = os.path.join(self._private, "matplotlib")
        os.mkdir(fonts, 0o700)
        home = os.path.expanduser("~")
        kept = os.environ.get("MPLCONFIGDIR") or os.path.join(home, ".cache", "matplotlib")
        settings = os.environ.get("MPLCONFIGDIR") or os.path.join(home, ".config", "matplotlib")
        for path in (*glob.glob(f"{glob.escape(kept)}/fontlist-*.json"), f"{settings}/matplotlibrc"):
            with contextlib.suppress(OSError):
                shutil.copy(path, fonts)
        os.environ.update(
            HOME=self._private,
            TMPDIR=self._private,
            MPLCONFIGDIR=fonts,
            JOBLIB_MULTIPROCESSING="0",  # its semaphores need /dev/shm; without them it computes in threads of its own
        )
        for name in ("XDG_CACHE_HOME", "XDG_CONFIG_HOME", "XDG_DATA_HOME", "XDG_RUNTIME_DIR"):
            os.environ.pop(name, None)
        tempfile.tempdir = self._private

    def close_files(self, plane: ControlPlane) -> None:
        """Give up the file system, but for libraries (to read), the private folder and what `[fs]` grants.

        Raises:
            SealError: this kernel cannot, other threads run already, or it did not take hold.
        """
        log, threads = plane.log, len(os.listdir("/proc/self/task"))
        if plane.budget_file is not None:
            self._guarded.append(plane.budget_file)
        if threads > 1 + log.threads:
            raise SealError(
                f"{threads - 1 - log.threads} threads run already, which would keep what this one gives up: a library "
                "was imported too early"
            )
        with Reach() as reach:
            for folder in library_folders(self._guarded):
                reach.add(folder, READ)
            for place, rights in module_places(self._modules):
                reach.add(place, rights)
            reach.add(os.devnull, WRITE)
            reach.add(self._private, WRITE | _SYMLINKS)
            for own in self._writable:
                reach.add(own, WRITE)
            if self._fs is not None:
                reach.add_granted(self._fs, self._guarded)
            self.notes += reach.notes
            faults: list[BaseException] = []

            def restrict() -> None:
                try:
                    sandbox.gain_nothing()
                    self.landlock = sandbox.restrict_files(reach.rules, signals=True)
                except (sandbox.SandboxError, OSError) as error:
                    faults.append(error)

            restrict()
            if not faults:
                log.aside(restrict)
        if faults:
            raise SealError(f"files could not be given up: {faults[0]}")

    def close_calls(self, plane: ControlPlane) -> None:
        """Put all threads under the system-call filter: no new sockets, nothing is executed.

        Raises:
            SealError: there is no filter for this machine, or it did not take hold.
        """
        times = self._fs is not None and bool(self._fs.write)
        pids = tuple(dict.fromkeys((os.getpid(), plane.zygote.pid)))
        try:
            program = hostcalls.assemble(os.uname().machine, own=pids, times=times)
            sandbox.install_filter(program)
        except (LookupError, OSError, sandbox.SandboxError) as error:
            raise SealError(f"the system-call filter could not be installed: {error}") from None
        try:
            socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM).close()
        except PermissionError:
            return
        raise SealError("the system-call filter answered yes, and a socket could still be made")

    def limit(self, plane: ControlPlane) -> None:
        """Bound the memory, and begin to give the watchdog signs of life. Data is loaded by now."""
        held = int(os.pread(self._statm, 256, 0).split()[0]) * os.sysconf("SC_PAGE_SIZE")
        resource.setrlimit(resource.RLIMIT_AS, (held + self.memory, held + self.memory))
        plane.pulse = lambda: self._beat(plane)
        self._heart = threading.Thread(target=self._beats, args=(plane,), name="proxyplane-pulse", daemon=True)
        self._heart.start()

    def _beats(self, plane: ControlPlane) -> None:
        while not self._beating.is_set():
            self._beat(plane)
            self._beating.wait(BEAT_SECONDS)

    def _beat(self, plane: ControlPlane) -> None:
        """Tell for how long this host may be silent: until the next run of a session would be overdue."""
        now = time.monotonic()
        due = min(
            (session.due for session in plane.open_sessions() if session.due is not None), default=now + IDLE_SECONDS
        )
        if due + GRACE_SECONDS < now:
            return  # a run is overdue: this host is not alive in the sense that counts
        with contextlib.suppress(OSError):  # a full pipe holds beats enough; without a watchdog there is nobody to tell
            os.write(self._pulse, BEAT.pack(due + GRACE_SECONDS - now))

    def end(self) -> None:
        """The host closes: no more signs of life are due, and the private folder goes. Idempotent."""
        if self._pulse < 0:
            return
        self._beating.set()
        if self._heart is not None:
            self._heart.join()
        os.close(self._pulse)
        os.close(self._statm)
        self._pulse = -1
        self._watchdog.wait()


def memory_of_the_machine() -> int:
    """Bytes that a host may hold unless it is told otherwise: four fifths of what this machine, or its group, has."""
    total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    for path in ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"):
        with contextlib.suppress(OSError, ValueError), open(path, encoding="ascii") as file:
            total = min(total, int(file.read()))
    return total // 5 * 4
