"""The server's end of its log reader: what happened, whether the log is whole, one record with its proof."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import subprocess
import sys
import threading
from concurrent.futures import Future
from itertools import count
from pathlib import Path
from typing import Any, Final, Self

from proxyplane.transport.http.problems import Problem

__all__ = ["Effects"]

_START: Final = """
import sys
sys.path[:0] = sys.argv[1].split(":")
from proxyplane.transport.http.logreader import main
sys.exit(main(sys.argv[2:]))
"""
_SECONDS: Final = 60.0


class Effects:
    """Asks a log; a context manager.

    Args:
        directory: the audit directory. It need not exist yet.

    Raises:
        OSError: the reader cannot be started.
    """

    def __init__(self, directory: Path) -> None:
        mine, theirs = socket.socketpair()
        package = Path(__file__).resolve().parents[3]
        paths = [str(package), *(os.path.abspath(entry) for entry in sys.path if entry)]
        place = os.path.abspath(directory)
        try:
            self._process = subprocess.Popen(
                [sys.executable, "-I", "-S", "-c", _START, ":".join(paths), place, str(theirs.fileno())],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                pass_fds=(theirs.fileno(),),
                cwd="/",
                env={},
                start_new_session=True,
            )
        except OSError:
            mine.close()
            raise
        finally:
            theirs.close()
        self._socket = mine
        self._numbers = count(1)
        self._waiting: dict[int, Future[Any]] = {}
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None

    def open(self) -> None:
        """Begin to listen; a host that seals itself does so after that, since it may have no threads before."""
        self._thread = threading.Thread(target=self._listen, name="proxyplane-effects", daemon=True)
        self._thread.start()

    def _listen(self) -> None:
        with self._socket.makefile("rb") as lines:
            for line in lines:
                reply = json.loads(line)
                waiting = self._waiting.pop(reply["id"], None)
                if waiting is not None:
                    waiting.set_result(reply)
        for waiting in list(self._waiting.values()):
            waiting.set_result({"error": "the log reader has ended", "kind": "OSError"})

    def ask(self, kind: str, **more: Any) -> Any:
        """One question; see `logreader`.

        Raises:
            Problem: the log cannot be read, is damaged, or has no such record.
        """
        number, waiting = next(self._numbers), Future[Any]()
        self._waiting[number] = waiting
        try:
            with self._lock:
                self._socket.sendall(json.dumps({"id": number, "ask": kind, **more}).encode() + b"\n")
            reply = waiting.result(_SECONDS)
        except (OSError, TimeoutError):
            self._waiting.pop(number, None)
            raise Problem(503, "audit", "the log reader does not answer") from None
        if "error" in reply:
            statuses = {
                "IndexError": (404, "no_proof"),
                "ValueError": (422, "query"),
                "AuditCorrupt": (500, "audit_corrupt"),
            }
            status, code = statuses.get(reply["kind"], (503, "audit"))
            raise Problem(status, code, str(reply["error"]))
        return reply["ok"]

    def close(self) -> None:
        """End the reader; idempotent."""
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        if self._thread is not None:
            self._thread.join()
        self._socket.close()
        try:
            self._process.wait(5.0)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exit_info: object) -> None:
        self.close()
