"""No record, no result: what the road does when its log fails, is killed or is interrupted, at each of its stations."""

from __future__ import annotations

import contextlib
import gc
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from proxyplane import ControlPlane, Policy
from proxyplane.audit import AuditLog, read, verify
from proxyplane.audit.query import Query, query
from proxyplane.audit.stats import stats
from proxyplane.errors import AuditUnavailable, Denied
from proxyplane.passage import Passage

pd = pytest.importorskip("pandas")

ROOT = str(Path(__file__).parents[2])


@pytest.fixture
def plane(tmp_path: Path) -> Iterator[ControlPlane]:
    """A plane for in-process proxies with its log on disk."""
    opened = ControlPlane(policy=Policy.preset("open"), audit=tmp_path / "log", require_tier="cooperative")
    yield opened
    with contextlib.suppress(AuditUnavailable):
        opened.close()


def frame() -> Any:
    """A small table."""
    return pd.DataFrame({"a": [1, 2, 3], "b": [4.0, 5.0, 6.0]})


def kill_writer(plane: ControlPlane) -> None:
    """Ends the log writer, and waits until the plane knows."""
    pid = plane.log.writer_pid
    assert pid is not None
    os.kill(pid, signal.SIGKILL)
    end = time.monotonic() + 5
    while plane.log.state == "open":
        assert time.monotonic() < end
        time.sleep(0.002)


# ---- the log fails (18)


def test_nothing_is_revealed_without_its_record(plane: ControlPlane) -> None:
    """After the log has ended, looking at content raises and gives nothing."""
    proxy = plane.proxy(frame(), name="df")
    assert proxy.shape == (3, 2)
    kill_writer(plane)
    looks: list[Callable[[], object]] = [
        lambda: str(proxy), lambda: proxy.shape, lambda: list(proxy),
    ]  # fmt: skip
    for look in looks:
        with pytest.raises(AuditUnavailable):
            look()


def test_nothing_is_changed_without_its_intent(plane: ControlPlane) -> None:
    """A change whose intent cannot be recorded does not happen."""
    real = frame()
    proxy = plane.proxy(real, name="df")
    kill_writer(plane)
    with pytest.raises(AuditUnavailable):
        proxy["c"] = 1
    assert list(real.columns) == ["a", "b"]


def test_a_change_without_outcome_is_seen_afterwards(
    plane: ControlPlane, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """If the log ends between the call and its outcome, the caller gets an error and the log an open intent."""
    proxy = plane.proxy(frame(), name="df")
    lower = Passage.lower

    def lower_then_lose(self: Passage) -> Any:
        value = lower(self)
        if self.operation.verb == "setitem":
            kill_writer(plane)
        return value

    monkeypatch.setattr(Passage, "lower", lower_then_lose)
    with pytest.raises(AuditUnavailable):
        proxy["c"] = 1
    monkeypatch.undo()
    assert verify(tmp_path / "log").exit_code == 0
    assert len(stats(read(tmp_path / "log")).open_intents) == 1


def test_a_denial_stays_a_denial(tmp_path: Path) -> None:
    """What the policy refuses is not done either when the refusal cannot be recorded."""
    real = frame()
    plane = ControlPlane(policy=Policy.preset("read_only"), audit=tmp_path / "log", require_tier="cooperative")
    proxy = plane.proxy(real, name="df")
    with pytest.raises(Denied):
        proxy["c"] = 1
    kill_writer(plane)
    with pytest.raises((Denied, AuditUnavailable)):
        proxy["c"] = 1
    assert list(real.columns) == ["a", "b"]
    with contextlib.suppress(AuditUnavailable):
        plane.close()


def test_a_run_ends_with_the_log(tmp_path: Path) -> None:
    """A session whose log has ended runs nothing more, and opens none."""
    plane = ControlPlane(policy=Policy.preset("open"), audit=tmp_path / "log", require_tier="split")
    session = plane.session("agent", objects={"df": frame()})
    assert session.run("df.shape").value == "(3, 2)"
    kill_writer(plane)
    with pytest.raises(AuditUnavailable):
        session.run("print(df)")
    with pytest.raises(AuditUnavailable):
        plane.session("other", objects={})
    with contextlib.suppress(AuditUnavailable):
        plane.close()


# ---- the host is killed (2)

KILLED = """
import os, sys, signal
import pandas as pd
from proxyplane import ControlPlane, Policy
from proxyplane.passage import Passage
where, station = sys.argv[1:]
plane = ControlPlane(policy=Policy.preset("open"), audit=where, require_tier="cooperative")
proxy = plane.proxy(pd.DataFrame({"a": [1]}), name="df")
native = getattr(Passage, station)
def killed(self, *arguments):
    if self.operation.verb == "setitem" and os.environ["WHEN"] == "before":
        os.kill(os.getpid(), signal.SIGKILL)
    value = native(self, *arguments)
    if self.operation.verb == "setitem":
        os.kill(os.getpid(), signal.SIGKILL)
    return value
from proxyplane.cooperative import LocalPassage
for kind in (Passage, LocalPassage):
    setattr(kind, station, killed)
proxy["b"] = 2
"""


@pytest.mark.parametrize(
    ("station", "when", "phases"),
    [
        ("intend", "before", []),
        ("lower", "before", ["intent"]),
        ("lower", "after", ["intent"]),
        ("conclude", "before", ["intent"]),
        ("conclude", "after", ["intent", "outcome"]),
    ],
)
def test_a_host_killed_at_a_station_leaves_what_was_begun(
    tmp_path: Path, station: str, when: str, phases: list[str]
) -> None:
    """Between intent and call, call and outcome, outcome and crossing: what was begun is in the log."""
    done = subprocess.run(
        [sys.executable, "-c", KILLED, str(tmp_path / "log"), station],
        env={**os.environ, "PYTHONPATH": ROOT, "WHEN": when},
        timeout=60,
        check=False,
    )
    assert done.returncode == -signal.SIGKILL
    end = time.monotonic() + 5
    while verify(tmp_path / "log").live:
        assert time.monotonic() < end
        time.sleep(0.01)
    found = list(query(tmp_path / "log", Query(verb="setitem"), index=False))
    assert [record["phase"] for record in found] == phases
    assert len(stats(read(tmp_path / "log")).open_intents) == (phases == ["intent"])
    assert verify(tmp_path / "log").state == "clean"


# ---- interrupts, threads, finalisers (22, 23)


@pytest.mark.parametrize("kind", [KeyboardInterrupt, SystemExit, GeneratorExit])
@pytest.mark.parametrize("station", ["lower", "classify", "conclude"])
def test_an_interrupt_at_a_station_is_recorded(
    plane: ControlPlane, monkeypatch: pytest.MonkeyPatch, kind: type[BaseException], station: str
) -> None:
    """What ends an operation from outside passes through, and the record of the operation says `panic`."""
    proxy = plane.proxy(frame(), name="df")

    def struck(self: Passage, *arguments: Any) -> Any:
        raise kind

    with monkeypatch.context() as patch:
        patch.setattr(Passage, station, struck)
        from proxyplane.cooperative import LocalPassage

        if station in vars(LocalPassage):
            patch.setattr(LocalPassage, station, struck)
        with pytest.raises(kind):
            proxy["c"] = 1
    assert proxy.shape[0] == 3
    plane.log.sync()
    found = [record for record in plane.log.records() if record.get("verb") == "setitem"]
    assert [(record["phase"], record.get("status")) for record in found] == [("intent", None), ("outcome", "panic")]
    assert found[-1]["error"]["type"] == kind.__name__


def test_many_threads_signals_and_finalisers_append(tmp_path: Path) -> None:
    """A hundred threads, a signal handler and finalisers on one log: no hole, nothing lost, no deadlock."""
    log = AuditLog.open(tmp_path / "log", ring_bytes=1 << 16)
    appended: list[int] = []
    lock = threading.Lock()

    class Finalised:
        def __del__(self) -> None:
            self.note()

        def note(self) -> None:
            try:
                seq = log.append({"kind": "effect", "verb": "finaliser"})
            except AuditUnavailable:  # it struck inside an append of its own thread
                return
            appended.append(seq)

    def handler(*_: object) -> None:
        Finalised().note()

    def work() -> None:
        for _ in range(30):
            cycle: Any = Finalised()
            cycle.itself = cycle
            seq = log.append({"kind": "effect", "verb": "thread"})
            with lock:
                appended.append(seq)

    before = signal.signal(signal.SIGALRM, handler)
    signal.setitimer(signal.ITIMER_REAL, 0.002, 0.002)
    try:
        threads = [threading.Thread(target=work) for _ in range(100)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
            assert not thread.is_alive()
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
        gc.collect()
    log.close()
    found = list(read(tmp_path / "log"))
    assert [record["seq"] for record in found] == list(range(len(found)))
    assert sorted(appended) == list(range(len(found)))
    assert sum(record["verb"] == "thread" for record in found) == 3000


# ---- records that cannot be made (24)


def test_an_operation_that_cannot_be_recorded_is_withheld(plane: ControlPlane) -> None:
    """An operation with so many arguments that its record is too large gives nothing; the log stays open."""
    proxy = plane.proxy(frame(), name="df")
    with pytest.raises(Exception) as caught:
        proxy.isin(*[str(number) for number in range(60_000)])
    assert not isinstance(caught.value, AuditUnavailable)
    assert proxy.shape == (3, 2)
    assert plane.log.state == "open"


def test_code_is_stored_once_and_operations_name_its_line(tmp_path: Path) -> None:
    """The agent's code is in the log once per digest, and each operation says which line of it asked."""
    code = "x = df.shape\n\ny = df.columns\n"
    with ControlPlane(policy=Policy.preset("open"), audit=tmp_path / "log", require_tier="split") as plane:
        session = plane.session("agent", objects={"df": frame()})
        for _ in range(3):
            assert session.run(code).ok
        assert session.run("# " + "long " * 100_000).ok
    found = list(read(tmp_path / "log"))
    parts = [record for record in found if record["kind"] == "code"]
    assert parts[0]["detail"]["text"] == code
    assert [record["detail"]["parts"] for record in parts] == [1, 3, 3, 3]
    assert "".join(record["detail"]["text"] for record in parts[1:]) == "# " + "long " * 100_000
    digest = parts[0]["where"]["code_sha256"]
    lines = [record["where"]["line"] for record in found if record["kind"] == "effect" and "where" in record]
    assert set(lines) == {1, 3}
    assert {r["where"]["code_sha256"] for r in found if r["kind"] == "effect" and "where" in r} == {digest}


def test_a_plane_takes_a_log_with_anchors_and_a_second_directory(tmp_path: Path) -> None:
    """A plane may be given a log that was opened with more than a directory; it closes it and guards its places."""
    log = AuditLog.open(
        tmp_path / "log", anchors=[tmp_path / "anchor"], mirror=tmp_path / "second", keys=tmp_path / "keys"
    )
    assert set(log.places) == {str(tmp_path / name) for name in ("log", "anchor", "second", "keys")}
    policy = Policy.parse(
        f"""
        schema = 1
        default = "deny"
        [fs]
        root = "{tmp_path}"
        read = ["**"]
        write = ["**"]
        [modules]
        guest = "stdlib"
        [[rules]]
        id = "all"
        agent = "*"
        object = "*"
        effect = ["read", "reveal", "fs.read", "fs.write"]
        decide = "allow"
        """
    )
    (tmp_path / "free.txt").write_text("free")
    with ControlPlane(policy=policy, audit=log, require_tier="split") as plane:
        session = plane.session("agent")
        assert session.run("open('free.txt').read()").value == "'free'"
        for name in ("log/checkpoint", "second/checkpoint", "keys/hmac", "anchor/x"):
            refused = session.run(f"open({name!r}).read()").error
            assert refused is not None, name
            written = session.run(f"open({name!r}, 'w')").error
            assert written is not None, name
    assert verify(tmp_path / "log", anchors=[tmp_path / "anchor"]).anchor == "anchored"
    assert verify(tmp_path / "second").state == "clean"
