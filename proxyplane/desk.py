"""Where a person reaches a running plane: a local socket in a private folder, for commands such as
`proxyplane sessions resume`.

    desk = Desk()           makes the socket: a sealed host does this before it gives up making sockets
    desk.open(plane)        begins to answer
    ask(path, "sessions")   the other side, in another process

One JSON object on a line asks, one answers. The folder is the user's own (0700), and who connects must be the same
user or root: a guest, which has no files and no sockets, cannot. An agent that shares the person's user otherwise (a
shell of its own) can, and `doctor` says so.
"""

from __future__ import annotations

import contextlib
import json
import os
import pwd
import secrets
import socket
import stat
import struct
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Self

from proxyplane.frozen import resume

if TYPE_CHECKING:
    from proxyplane.approvals import Approval
    from proxyplane.plane import ControlPlane

__all__ = ["Desk", "DeskError", "ask", "desks", "runtime_folder"]

Command = Callable[[dict[str, Any], dict[str, Any]], Any]
"""Takes what was asked and who asks; gives plain values. A ValueError is told to who asked."""

_LINE_BYTES: Final = 1 << 16
_ANSWER_BYTES: Final = 1 << 22
_SECONDS: Final = 10.0
_MOST_WRONG: Final = 5
_PEER: Final = struct.Struct("=iII")


class DeskError(RuntimeError):
    """A plane cannot be reached, or refuses; the text says why."""


class Desk:
    """One plane's socket for people; a context manager.

    Attributes:
        path: of the socket.
        commands: what can be asked; more may be added before `open`.

    Raises:
        OSError: no private folder, or no socket in it, can be made.
    """

    def __init__(self) -> None:
        self.path = runtime_folder() / f"{os.getpid()}-{secrets.token_hex(4)}.sock"
        self.commands: dict[str, Command] = {}
        self._users = {0, os.getuid()}
        self.secret: str | None = None
        """Without it nobody of this user approves anything: an agent may share the user."""
        self._wrong = 0
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            self._socket.bind(str(self.path))
            self._socket.listen(8)
        except OSError:
            self._socket.close()
            raise
        self._thread: threading.Thread | None = None

    def open(self, plane: ControlPlane) -> None:
        """Begin to answer for this plane."""
        self.commands |= {
            "sessions": lambda asked, by: [
                {**described(session), "secret": self.secret is not None and self._needs_secret(by)}
                for session in plane.open_sessions()
            ],
            "resume": lambda asked, by: self._resume(plane, asked, by),
            "approvals": lambda asked, by: [
                {**each.described(), "secret": self._needs_secret(by)}
                for each in (plane.approvals.all() if asked.get("every") else plane.approvals.pending())
            ],
            "approve": lambda asked, by: self._approve(plane, asked, by),
            "deny": lambda asked, by: _denied(plane, asked, by),
        }
        self._thread = threading.Thread(target=self._serve, name="proxyplane-desk", daemon=True)
        self._thread.start()

    def show_secret(self) -> bool:
        """Make a secret and show it on the terminal of this process, where a person sits; False without a terminal.

        The terminal itself is written, and not a stream that an agent may have been given.
        """
        secret = "-".join(secrets.token_hex(2) for _ in range(3))
        try:
            with open("/dev/tty", "w", encoding="utf-8") as terminal:
                terminal.write(f"proxyplane: approval secret {secret} (proxyplane approvals list)\n")
        except OSError:
            return False
        self.secret = secret
        return True

    def _needs_secret(self, by: dict[str, Any]) -> bool:
        return bool(by["uid"] == os.getuid())

    def _approve(self, plane: ControlPlane, asked: dict[str, Any], by: dict[str, Any]) -> dict[str, Any]:
        if self._needs_secret(by):
            if self.secret is None:
                raise ValueError(
                    "this plane has no terminal to show a secret on, so nobody of its own user can approve; "
                    "answer as root, or start it from a terminal"
                )
            self._check_secret(asked)
        name = _name(asked, by)
        return _state(plane.approvals.approve(str(asked.get("id")), by=name, scope=asked.get("scope")))

    def _resume(self, plane: ControlPlane, asked: dict[str, Any], by: dict[str, Any]) -> bool:
        if self._needs_secret(by):
            self._check_secret(asked)
        for session in plane.open_sessions():
            if session.id == asked.get("session"):
                return resume(session, by)
        raise ValueError("this plane has no such session")

    def _check_secret(self, asked: dict[str, Any]) -> None:
        """Where a secret was shown, it must be told.

        Raises:
            ValueError: another one was, or too many were.
        """
        if self.secret is None:
            return
        if self._wrong >= _MOST_WRONG:
            raise ValueError("too many wrong secrets: nothing is approved here any more; start a new plane")
        if not secrets.compare_digest(str(asked.get("secret", "")).encode(), self.secret.encode()):
            self._wrong += 1
            raise ValueError("that is not the secret which the plane has shown on its terminal")

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._socket.accept()
            except OSError:
                return
            with connection, contextlib.suppress(OSError, ValueError):
                connection.settimeout(_SECONDS)
                self._answer(connection)

    def _answer(self, connection: socket.socket) -> None:
        credentials = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _PEER.size)
        pid, uid, _ = _PEER.unpack(credentials)
        if uid not in self._users:
            return
        asked: Any = json.loads(_line(connection, _LINE_BYTES))
        if type(asked) is not dict:
            raise ValueError("expected an object")
        command: Command = self.commands.get(str(asked.get("command")), _unknown)
        try:
            answer = {"ok": command(asked, {"uid": uid, "pid": pid})}
        except (ValueError, RuntimeError, LookupError) as error:
            answer = {"error": str(error)}
        connection.sendall(json.dumps(answer).encode() + b"\n")

    def close(self) -> None:
        """Stop answering; idempotent. A sealed host leaves the name, which `desks` takes away."""
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()
        if self._thread is not None:
            self._thread.join()
        with contextlib.suppress(OSError):
            self.path.unlink(missing_ok=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exit_info: object) -> None:
        self.close()


def described(session: Any) -> dict[str, Any]:
    """A session for a list: who, how confined, and whether it is frozen."""
    frozen = session.frozen
    found = {"session": session.id, "agent": session.agent, "tier": session.tier, "host": session.plane.host_tier}
    found["log"] = session.plane.log.location
    found["state"] = "frozen" if frozen is not None else "running" if session.due is not None else "idle"
    if frozen is not None:
        found["frozen"] = frozen._asdict()
    return found


def _unknown(asked: dict[str, Any], by: dict[str, Any]) -> None:
    raise ValueError("there is no such command")


def _denied(plane: ControlPlane, asked: dict[str, Any], by: dict[str, Any]) -> dict[str, Any]:
    note = asked.get("note")
    return _state(
        plane.approvals.deny(str(asked.get("id")), by=_name(asked, by), note=note if type(note) is str else "")
    )


def _state(approval: Approval) -> dict[str, Any]:
    return {"state": approval.state, "wanted": list(approval.wanted) if approval.state == "pending" else []}


def _name(asked: dict[str, Any], by: dict[str, Any]) -> str:
    """Who answers: the name given, else the system's name of the user."""
    given = asked.get("by")
    if type(given) is str and given:
        return given[:100]
    try:
        return pwd.getpwuid(by["uid"]).pw_name
    except KeyError:
        return f"uid {by['uid']}"


def runtime_folder() -> Path:
    """The user's own folder for sockets, made where it is missing.

    Raises:
        OSError: it cannot be made, or is not the user's alone.
    """
    base = os.environ.get("XDG_RUNTIME_DIR")
    folder = Path(base) / "proxyplane" if base and os.path.isdir(base) else Path(f"/tmp/proxyplane-{os.getuid()}")  # noqa: S108 - checked below
    with contextlib.suppress(FileExistsError):
        folder.mkdir(mode=0o700)
    status = folder.lstat()
    if not stat.S_ISDIR(status.st_mode) or status.st_uid != os.getuid() or status.st_mode & 0o077:
        raise PermissionError(f"{folder} is not a folder of this user alone (0700); remove it, or set XDG_RUNTIME_DIR")
    return folder


def desks() -> Iterator[Path]:
    """Sockets of planes that run; names that dead ones have left are removed."""
    for path in sorted(runtime_folder().glob("*.sock")):
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
            try:
                probe.connect(str(path))
            except OSError:
                path.unlink(missing_ok=True)
                continue
        yield path


def ask(path: Path, command: str, **more: Any) -> Any:
    """Ask a running plane.

    Args:
        path: its socket.
        command: `sessions`, or `resume` with `session=`.

    Raises:
        DeskError: it does not answer, or refuses.
    """
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
            connection.settimeout(_SECONDS)
            connection.connect(str(path))
            connection.sendall(json.dumps({"command": command, **more}).encode() + b"\n")
            answer = json.loads(_line(connection, _ANSWER_BYTES))
    except (OSError, ValueError) as error:
        raise DeskError(f"the plane does not answer ({type(error).__name__})") from None
    if "error" in answer:
        raise DeskError(str(answer["error"]))
    return answer["ok"]


def _line(connection: socket.socket, limit: int) -> bytes:
    received = b""
    while not received.endswith(b"\n"):
        chunk = connection.recv(1 << 16)
        if not chunk or len(received) > limit:
            raise ValueError("expected one line")
        received += chunk
    return received
