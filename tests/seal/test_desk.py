"""The desk: a person reaches a running plane by a socket in a private folder, and resumes a frozen session."""

from __future__ import annotations

import json
import os
import re
import socket
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from proxyplane import ControlPlane, Policy
from proxyplane.catalog import Catalog
from proxyplane.cli import main
from proxyplane.desk import Desk, DeskError, ask, desks, runtime_folder

CATALOG = """
library = "msgpack"
versions = ">=1"
[type."{module}.Liar"]
act = "method compute"
"""


class Liar:
    """A host object whose catalog line does not say that it reads a file."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def act(self) -> int:
        return len(self._path.read_text())


@pytest.fixture(autouse=True)
def runtime(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    return tmp_path / "proxyplane"


@pytest.fixture
def plane(tmp_path: Path) -> Iterator[ControlPlane]:
    (tmp_path / "own.toml").write_text(CATALOG.format(module=Liar.__module__))
    (tmp_path / "secret").write_text("secret")
    catalog = Catalog.load("builtins", extra=[tmp_path / "own.toml"])
    with ControlPlane(policy=Policy.preset("read_only"), catalog=catalog) as opened:
        yield opened


def test_the_folder_is_the_users_alone(runtime: Path):
    """Nobody else may look into it; one that others can write into is not used."""
    assert runtime_folder() == runtime
    assert stat.S_IMODE(runtime.stat().st_mode) == 0o700
    runtime.chmod(0o755)
    with pytest.raises(PermissionError, match="0700"):
        runtime_folder()


def test_a_link_is_no_folder(runtime: Path, tmp_path: Path):
    """A symbolic link that somebody has put there is not followed."""
    (tmp_path / "elsewhere").mkdir(mode=0o700)
    runtime.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(PermissionError):
        runtime_folder()


def test_a_plane_has_no_desk_until_a_session_is_frozen(plane: ControlPlane, tmp_path: Path):
    """An embedding program's plane opens it when somebody needs it, and closes it with itself."""
    session = plane.session("agent", objects={"liar": Liar(tmp_path / "secret")})
    assert list(desks()) == []
    assert not session.run("liar.act()").ok
    path = next(desks())
    found = ask(path, "sessions")
    assert [(each["session"], each["state"], each["frozen"]["effect"]) for each in found] == [
        (session.id, "frozen", "fs.read")
    ]
    assert ask(path, "resume", session=session.id) is True
    assert session.frozen is None
    approval = [r for r in plane.log.records() if r["kind"] == "approval"]
    assert approval[0]["detail"]["by"] == {"uid": os.getuid(), "pid": os.getpid()}
    plane.close()
    assert list(desks()) == []


def test_the_command_line_lists_and_resumes(
    plane: ControlPlane, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
):
    """`sessions list` says what was seen; `resume` needs a person at a terminal or --yes."""
    session = plane.session("agent", objects={"liar": Liar(tmp_path / "secret")})
    session.run("liar.act()")
    assert main(["sessions", "list"]) == 0
    told = capsys.readouterr().out
    assert re.search(rf"{session.id}\s+frozen", told)
    assert f"fs.read without having declared it: open on {tmp_path / 'secret'}" in told
    assert main(["sessions", "resume", session.id]) == 2
    assert session.frozen is not None
    assert main(["sessions", "resume", session.id, "--yes"]) == 0
    assert session.frozen is None
    assert main(["sessions", "resume", session.id, "--yes"]) == 2
    assert main(["sessions", "resume", "s-none", "--yes"]) == 2
    capsys.readouterr()
    assert main(["sessions", "list", "--json"]) == 0
    assert [each["state"] for each in json.loads(capsys.readouterr().out)] == ["idle"]


@pytest.mark.parametrize(
    "line", [b"", b"\n", b"nonsense\n", b"[]\n", b'{"command": 5}\n', b'{"command": ["x"]}\n', b"\xff\n"]
)
def test_what_is_no_question_is_no_harm(plane: ControlPlane, line: bytes):
    """Anything else than a question on a line is refused or hung up on, and the desk goes on."""
    with Desk() as desk:
        desk.open(plane)
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as hostile:
            hostile.connect(str(desk.path))
            hostile.sendall(line)
            hostile.shutdown(socket.SHUT_WR)
            answer = hostile.recv(4096)
        assert not answer or set(json.loads(answer)) == {"error"}
        assert ask(desk.path, "sessions") == []


def test_where_a_secret_was_shown_it_resumes(plane: ControlPlane, tmp_path: Path):
    """An agent that shares the user and has not seen the terminal cannot resume itself."""
    session = plane.session("agent", objects={"liar": Liar(tmp_path / "secret")})
    session.run("liar.act()")
    assert plane.desk is not None
    plane.desk.secret = "1-2-3"
    plane.desk._needs_secret = lambda by: True  # type: ignore[method-assign]
    assert [each["secret"] for each in ask(plane.desk.path, "sessions")] == [True]
    for wrong in ({}, {"secret": "1-2-4"}, {"secret": None}):
        with pytest.raises(DeskError, match="not the secret"):
            ask(plane.desk.path, "resume", session=session.id, **wrong)
    assert session.frozen is not None
    assert ask(plane.desk.path, "resume", session=session.id, secret="1-2-3") is True


def test_only_the_user_is_answered(plane: ControlPlane, monkeypatch: pytest.MonkeyPatch):
    """A peer of another user gets no answer at all."""
    with Desk() as desk:
        desk.open(plane)
        desk._users = {4_000_000}
        with pytest.raises(DeskError):
            ask(desk.path, "sessions")


def test_names_that_dead_planes_leave_are_taken_away(runtime: Path):
    """A sealed host cannot remove its own socket's name."""
    desk = Desk()
    desk._socket.close()
    assert desk.path.exists()
    assert list(desks()) == []
    assert not desk.path.exists()
