"""The sentinel: what host code begins beside what its catalog line declares."""

from __future__ import annotations

import ctypes
import os
import pickle
import socket
import sqlite3
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from proxyplane import ControlPlane, Policy, UndeclaredEffect, sentinel
from proxyplane.catalog import Catalog
from proxyplane.sessions import Session

from .tables import sales

CATALOG = """
library = "msgpack"
versions = ">=1"
[type."{module}.Liar"]
act = "method compute"
call = "method compute callback"
seen = "property read schema"
"""

POLICY = """
schema = 1
[modules]
host = ["pandas"]
[[rules]]
id = "work"
agent = "*"
object = "*"
effect = ["read", "compute", "mutate", "reveal", "callback", "display"]
decide = "allow"
"""


class Liar:
    """A host object whose catalog line says that its method computes, and that does something else."""

    seen = 7

    def __init__(self, what: Callable[[], Any]) -> None:
        self._what = what

    def act(self) -> int:
        self._what()
        return 1

    def call(self, function: Callable[[], Any]) -> Any:
        return function()


@pytest.fixture
def catalog(tmp_path: Path) -> Catalog:
    path = tmp_path / "liar.toml"
    path.write_text(CATALOG.format(module=Liar.__module__), encoding="utf-8")
    return Catalog.load(extra=[path])


@pytest.fixture
def plane(catalog: Catalog) -> Iterator[ControlPlane]:
    with ControlPlane(policy=Policy.parse(POLICY), catalog=catalog) as opened:
        yield opened


def acting(plane: ControlPlane, what: Callable[[], Any]) -> Session:
    return plane.session("agent", objects={"liar": Liar(what), "df": sales()})


def write(path: Path) -> Callable[[], Any]:
    return lambda: path.write_text("out")


class _Evil:
    def __reduce__(self) -> Any:
        return (os.getpid, ())


PICKLED = pickle.dumps(_Evil())

ACTS: dict[str, tuple[str, Callable[[Path], Any]]] = {
    "read a file": ("fs.read", lambda folder: (folder / "secret").read_text()),
    "read by descriptor": ("fs.read", lambda folder: os.open(folder / "secret", os.O_RDONLY)),
    "list a folder": ("fs.read", os.listdir),
    "write a file": ("fs.write", lambda folder: (folder / "out").write_text("x")),
    "remove a file": ("fs.write", lambda folder: (folder / "secret").unlink()),
    "rename a file": ("fs.write", lambda folder: (folder / "secret").rename(folder / "open")),
    "make a folder": ("fs.write", lambda folder: (folder / "new").mkdir()),
    "link": ("fs.write", lambda folder: (folder / "link").symlink_to("/etc")),
    "temporary file": ("fs.write", lambda folder: tempfile.mkstemp(dir=folder)),
    "connect by UDP": ("net", lambda folder: socket.socket(socket.AF_INET, socket.SOCK_DGRAM)),
    "look a name up": ("net", lambda folder: socket.getaddrinfo("localhost", 80)),
    "start a program": ("process", lambda folder: subprocess.run(["true"], check=False)),
    "shell": ("process", lambda folder: os.system("true")),
    "fork": ("process", lambda folder: os._exit(1) if not os.fork() else None),
    "unpickle": ("exec", lambda folder: pickle.loads(PICKLED)),
    "load a library": ("memory", lambda folder: ctypes.CDLL("libm.so.6")),
    "read memory": ("memory", lambda folder: ctypes.string_at(id(folder), 8)),
    "a database": ("fs.write", lambda folder: sqlite3.connect(folder / "data.db")),
    "the environment": ("env", lambda folder: os.environ.__setitem__("PROXYPLANE_SEEN", "1")),
}


@pytest.mark.parametrize("name", ACTS)
def test_what_was_not_declared_is_stopped_recorded_and_freezes(name: str, plane: ControlPlane, tmp_path: Path):
    """Nothing of it comes to be, the log names effect and event, and the session does nothing more."""
    effect, act = ACTS[name]
    (tmp_path / "secret").write_text("secret")
    before = sorted(os.listdir(tmp_path))
    session = acting(plane, lambda: act(tmp_path))
    result = session.run("liar.act()")
    assert result.error is not None
    assert result.error.type == "UndeclaredEffect"
    assert result.error.effect == effect
    assert str(tmp_path) not in result.error.message
    assert sorted(os.listdir(tmp_path)) == before
    assert "PROXYPLANE_SEEN" not in os.environ
    observed = [r for r in plane.log.records() if r["kind"] == "observed" and r["session"] == session.id]
    assert [r["effects"]["undeclared"] for r in observed] == [[effect]]
    assert observed[0]["status"] == "denied"
    operation = [r for r in plane.log.records() if r["kind"] == "effect" and r["op"] == observed[0]["op"]]
    assert [r["effects"]["undeclared"] for r in operation] == [[effect]]
    assert operation[-1]["status"] == "error"
    again = session.run("df.shape")
    assert again.error is not None
    assert "frozen" in again.error.message


def test_host_code_that_swallows_the_error_gains_nothing(plane: ControlPlane, tmp_path: Path):
    """The result of an operation that tripped is withheld, also where a library goes on as if nothing had been."""

    def act() -> None:
        try:
            (tmp_path / "out").write_text("x")
        except OSError:
            return

    session = acting(plane, act)
    result = session.run("x = liar.act()\nprint(x)")
    assert (result.stdout, result.ok) == ("", False)
    assert not (tmp_path / "out").exists()


def test_a_person_resumes_a_frozen_session(plane: ControlPlane, tmp_path: Path):
    """`resume` is recorded with who decided it, and the session goes on as before."""
    session = acting(plane, write(tmp_path / "out"))
    assert not session.resume()
    session.run("x = 5\nliar.act()")
    assert session.frozen is not None
    assert (session.frozen.effect, session.frozen.member) == ("fs.write", "act")
    assert session.resume(by="ann")
    assert session.run("df.shape[0] + x").value == str(len(sales()) + 5)
    approval = [r for r in plane.log.records() if r["kind"] == "approval"]
    assert [(r["reason"], r["detail"]["by"]["name"]) for r in approval] == [("resume", "ann")]
    assert approval[0]["detail"]["operation"] == session.frozen.operation if session.frozen else True


def test_other_sessions_are_not_frozen(plane: ControlPlane, tmp_path: Path):
    """What one session's operation did is not another's fault."""
    other = plane.session("other", objects={"df": sales()})
    session = acting(plane, write(tmp_path / "out"))
    session.run("liar.act()")
    assert other.frozen is None
    assert other.run("df.shape").ok


def test_a_thread_that_a_lowering_starts_belongs_to_it(plane: ControlPlane, tmp_path: Path):
    """A library's own pool does not hide what it does."""

    def act() -> None:
        with ThreadPoolExecutor(1) as pool:
            pool.submit((tmp_path / "out").write_text, "x").exception()

    session = acting(plane, act)
    assert not session.run("liar.act()").ok
    assert not (tmp_path / "out").exists()
    assert session.frozen is not None


def test_a_thread_that_outlives_its_operation_still_belongs_to_the_session(plane: ControlPlane, tmp_path: Path):
    """Doing it later is doing it: a timer that a lowering has set is stopped too."""
    go, done = threading.Event(), threading.Event()

    def later() -> None:
        go.wait(30)
        try:
            (tmp_path / "out").write_text("x")
        except PermissionError:
            done.set()

    session = acting(plane, lambda: threading.Thread(target=later, daemon=True).start())
    assert session.run("liar.act()").ok
    go.set()
    assert done.wait(30)
    assert not (tmp_path / "out").exists()
    assert session.frozen is not None
    assert session.frozen.operation == ""


def test_threads_of_the_embedding_program_are_left_alone(plane: ControlPlane, tmp_path: Path):
    """A thread that no lowering started may read and write while one runs: it is not the agent's."""
    begun, written = threading.Event(), threading.Event()

    def own() -> None:
        if begun.wait(30):
            (tmp_path / "own").write_text("mine")
            written.set()

    thread = threading.Thread(target=own)
    thread.start()

    def act() -> None:
        begun.set()
        written.wait(30)

    session = acting(plane, act)
    assert session.run("liar.act()").ok
    thread.join()
    assert (tmp_path / "own").read_text() == "mine"


def test_the_planes_own_work_amid_a_lowering_is_no_operation(plane: ControlPlane, tmp_path: Path):
    """While a function of the guest runs, what this thread does for the plane is not the lowering's doing."""
    plane_files = tmp_path / "own"

    def put() -> None:
        plane_files.write_text("mine")

    session = acting(plane, lambda: None)
    session.grants.known.add("x")
    original = session.dispatch.encode

    def encode(outcome: Any, operation: Any) -> Any:
        put()
        return original(outcome, operation)

    session.dispatch.encode = encode  # type: ignore[method-assign]
    assert session.run("liar.call(lambda: df.shape)").ok
    assert plane_files.exists()


def test_nested_operations_are_judged_by_their_own_effects(plane: ControlPlane, tmp_path: Path):
    """An operation inside a callback that trips is the one on record, and the one around it is withheld."""
    session = acting(plane, write(tmp_path / "out"))
    result = session.run("liar.call(lambda: liar.act())")
    assert not result.ok
    assert session.frozen is not None
    assert session.frozen.member == "act"


def test_what_was_granted_is_not_stopped(catalog: Catalog, tmp_path: Path):
    """Writing under [fs] with `to_csv` is declared: no sighting, and the file is there."""
    text = POLICY.replace('"display"]', '"display", "fs.read", "fs.write"]')
    text += f'[fs]\nroot = "{tmp_path}"\nread = ["**"]\nwrite = ["**"]\n'
    with ControlPlane(policy=Policy.parse(text), catalog=catalog) as plane:
        session = plane.session("agent", objects={"df": sales()})
        result = session.run("import pandas as pd\ndf.to_csv('out.csv', index=False)\npd.read_csv('out.csv').shape")
        assert result.ok, result.error
        assert (tmp_path / "out.csv").exists()
        assert session.frozen is None


def test_a_granted_path_covers_no_other(catalog: Catalog, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """`to_csv` with a granted path that also writes elsewhere is stopped there."""
    import pandas as pd

    elsewhere = tmp_path / "elsewhere"
    original = pd.DataFrame.to_csv

    def to_csv(self: Any, *args: Any, **kwargs: Any) -> Any:
        elsewhere.write_text("stolen")
        return original(self, *args, **kwargs)

    monkeypatch.setattr(pd.DataFrame, "to_csv", to_csv)
    (tmp_path / "work").mkdir()
    text = POLICY.replace('"display"]', '"display", "fs.write"]')
    text += f'[fs]\nroot = "{tmp_path / "work"}"\nwrite = ["**"]\n'
    with ControlPlane(policy=Policy.parse(text), catalog=catalog) as plane:
        session = plane.session("agent", objects={"df": sales()})
        assert not session.run("df.to_csv('out.csv')").ok
        assert session.frozen is not None
        assert not elsewhere.exists()


def test_libraries_import_and_read_their_own_files(plane: ControlPlane):
    """A lazy import, a font or a template in the middle of an operation is what libraries do."""

    def act() -> None:
        sys.modules.pop("colorsys", None)
        import colorsys  # noqa: F401

        Path(os.__file__).read_bytes()
        Path("/dev/null").write_bytes(b"")
        with open(os.devnull) as null:
            null.read()

    session = acting(plane, act)
    assert session.run("liar.act()").ok


def test_a_module_outside_the_library_folders_is_a_sighting(plane: ControlPlane, tmp_path: Path):
    """Code that is brought in from elsewhere does not run."""
    (tmp_path / "brought.py").write_text("BROUGHT = True")

    def act() -> None:
        import importlib.util

        spec = importlib.util.spec_from_file_location("brought", tmp_path / "brought.py")
        assert spec is not None
        assert spec.loader is not None
        spec.loader.exec_module(importlib.util.module_from_spec(spec))

    session = acting(plane, act)
    assert not session.run("liar.act()").ok
    assert session.frozen is not None


def test_in_process_proxies_are_watched_too(catalog: Catalog, tmp_path: Path):
    """The same tripwire for code that holds a cooperative proxy; its own functions are not the host's doing."""
    with ControlPlane(policy=Policy.parse(POLICY), catalog=catalog, require_tier="cooperative") as plane:
        liar = plane.proxy(Liar(write(tmp_path / "out")), agent="local", name="liar")
        own = tmp_path / "own"
        assert liar.call(lambda: own.write_text("mine")) == 4
        with pytest.raises(UndeclaredEffect):
            liar.act()
        with pytest.raises(UndeclaredEffect, match="frozen"):
            liar.seen
        assert own.exists()
        assert not (tmp_path / "out").exists()


def test_nothing_is_watched_when_nothing_is_lowered(plane: ControlPlane, tmp_path: Path):
    """Between operations the program around the plane does what it likes."""
    acting(plane, lambda: None).run("liar.act()")
    (tmp_path / "own").write_text("mine")
    assert sentinel.LIVE == {}


def test_a_compiled_module_is_written_by_imports_only(plane: ControlPlane):
    """Who could leave a `.pyc` in a library's folder would have code run later."""
    folder = Path(pytest.__file__).parent / "__pycache__"

    def act() -> None:
        (folder / "planted.cpython-311.pyc").write_bytes(b"code")

    session = acting(plane, act)
    assert not session.run("liar.act()").ok
    assert session.frozen is not None
    assert not (folder / "planted.cpython-311.pyc").exists()


def test_a_pool_that_acts_during_a_callback_belongs_to_the_operation_around_it(plane: ControlPlane, tmp_path: Path):
    """While a function of the guest runs, another thread of the same lowering is watched as before."""
    session = acting(plane, lambda: None)
    original = session.dispatch.encode

    def encode(outcome: Any, operation: Any) -> Any:
        if operation.member == "shape":  # asked by the callback, on the thread that rests
            with ThreadPoolExecutor(1) as pool:
                tried.append(pool.submit((tmp_path / "own").write_text, "x").exception())
        return original(outcome, operation)

    tried: list[Any] = []
    session.dispatch.encode = encode  # type: ignore[method-assign]
    assert session.run("liar.call(lambda: df.shape)").ok
    assert tried == [None]  # a thread that the plane's own work starts is the plane's


def test_a_thread_that_python_did_not_start_belongs_to_what_is_under_way(plane: ControlPlane, tmp_path: Path):
    """A library's pool in C calls into Python: what it begins is judged by the operations under way."""
    kind = ctypes.CFUNCTYPE(ctypes.c_void_p, ctypes.c_void_p)
    errors: list[BaseException] = []

    def work(_: Any) -> None:
        try:
            (tmp_path / "out").write_text("x")
        except PermissionError as error:
            errors.append(error)

    entry = kind(work)
    pthread = ctypes.CDLL(None)
    number = ctypes.c_ulong()
    create, join = pthread.pthread_create, pthread.pthread_join
    create.argtypes = [ctypes.c_void_p, ctypes.c_void_p, kind, ctypes.c_void_p]
    join.argtypes = [ctypes.c_ulong, ctypes.c_void_p]

    def act() -> None:
        create(ctypes.byref(number), None, entry, None)
        join(number, None)

    session = acting(plane, act)
    assert not session.run("liar.act()").ok
    assert errors
    assert not (tmp_path / "out").exists()
