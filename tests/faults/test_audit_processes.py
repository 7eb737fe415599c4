"""What happens to a log when its host or its writer is killed, stopped, forked, or runs out of room."""

from __future__ import annotations

import os
import random
import resource
import shutil
import signal
import subprocess
import sys
import time
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from proxyplane.audit import AuditLog, read, verify
from proxyplane.errors import AuditCorrupt, AuditUnavailable

TOUCH = {"kind": "effect", "phase": "single", "verb": "call", "member": "x" * 100}

HOST = """
import os, sys
from proxyplane.audit import AuditLog
log = AuditLog.open(sys.argv[1], ring_bytes=1 << 16)
print("pid", log.writer_pid, flush=True)
record = {"kind": "effect", "phase": "single", "verb": "call", "member": "x" * 100}
while True:
    for _ in range(20):
        seq = log.append(record)
    os.write(1, b"%d\\n" % seq)
    if len(sys.argv) > 2 and seq > int(sys.argv[2]):
        break
"""


def until(condition: Callable[[], object], seconds: float = 5.0) -> None:
    """Waits for something that another process does."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.002)


def is_gone(pid: int) -> bool:
    """Whether a process has ended (a zombie has)."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] == "Z"
    except (FileNotFoundError, ProcessLookupError):
        return True


def start_host(place: Path, *arguments: str) -> subprocess.Popen[bytes]:
    """A host process that appends without end and acknowledges on its standard output."""
    root = str(Path(__file__).parents[2])
    return subprocess.Popen(
        [sys.executable, "-c", HOST, str(place), *arguments],
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": root},
    )


def kill_after(host: subprocess.Popen[bytes], seconds: float) -> tuple[int, int]:
    """Kills a host; returns its writer's pid and the last number that it acknowledged."""
    assert host.stdout is not None
    first = host.stdout.readline().split()
    time.sleep(seconds)
    host.kill()
    rest = host.stdout.read()
    host.stdout.close()
    host.wait()
    lines = rest.split(b"\n")[:-1]
    return int(first[1]), int(lines[-1]) if lines else -1


KILLS = int(os.environ.get("PROXYPLANE_KILLS", "10"))
"""How often the host is killed; a nightly run sets 1000."""


@pytest.mark.timeout(60 + KILLS)
def test_nothing_acknowledged_is_lost_when_the_host_is_killed(tmp_path: Path) -> None:
    """At random times of being killed, every record whose append returned is in the log, which verifies and goes on."""
    rng = random.Random(7)
    total = 0
    for _ in range(KILLS):
        place = tmp_path / "log"
        writer, acknowledged = kill_after(start_host(place), rng.uniform(0.0, 0.03))
        until(lambda writer=writer: is_gone(writer))
        verdict = verify(place)
        assert verdict.state == "clean", verdict
        assert verdict.records > acknowledged
        assert [r["seq"] for r in read(place)] == list(range(verdict.records))
        total += acknowledged
        shutil.rmtree(place)
    assert total > 0


def test_a_killed_host_leaves_a_gap_record(tmp_path: Path) -> None:
    """The log of a killed host goes on with a `gap` that says that the host, not the log, was lost."""
    place = tmp_path / "log"
    writer, acknowledged = kill_after(start_host(place), 0.01)
    until(lambda: is_gone(writer))
    with AuditLog.open(place) as log:
        assert log.count > acknowledged + 1
    gap = list(read(place))[-1]
    assert (gap["kind"], gap["reason"], gap["detail"]["torn"]) == ("gap", "host-lost", 0)
    assert verify(place).state == "clean"


def test_the_writer_ends_with_a_host_that_just_exits(tmp_path: Path) -> None:
    """A host that ends without closing loses nothing and leaves no process."""
    host = start_host(tmp_path / "log", "500")
    assert host.stdout is not None
    writer = int(host.stdout.readline().split()[1])
    last = int(host.stdout.read().split()[-1])
    host.stdout.close()
    assert host.wait() == 0
    until(lambda: is_gone(writer))
    assert verify(tmp_path / "log").records == last + 1
    assert verify(tmp_path / "log").closed


@pytest.fixture
def log(tmp_path: Path) -> Iterator[AuditLog]:
    """An open log with a short deadline; its writer is gone afterwards."""
    opened = AuditLog.open(tmp_path / "log", deadline=0.3, ring_bytes=1 << 14)
    pid = opened.writer_pid
    assert pid is not None
    yield opened
    try:
        os.kill(pid, signal.SIGCONT)
        opened.close()
    except (AuditUnavailable, ProcessLookupError):
        pass
    until(lambda: is_gone(pid))


def writer_of(log: AuditLog) -> int:
    """Process id of a log's writer."""
    assert log.writer_pid is not None
    return log.writer_pid


def append(log: AuditLog, count: int) -> None:
    """Records, as fast as they are taken."""
    for _ in range(count):
        log.append(TOUCH)


def append_and_sync(log: AuditLog, count: int) -> int:
    """Records, each made durable; returns the last number."""
    seq = -1
    for _ in range(count):
        seq = log.append(TOUCH)
        log.sync()
    return seq


def assert_closed(log: AuditLog, text: str) -> None:
    """Everything raises with the first reason."""
    assert log.state.startswith("closed: ")
    assert text in log.state
    for call in (lambda: log.append(TOUCH), log.sync):
        with pytest.raises(AuditUnavailable, match=text):
            call()


def test_a_killed_writer_closes_the_log(log: AuditLog, tmp_path: Path) -> None:
    """When the writer is killed the host notices without a call, everything raises, and the next opening tells."""
    log.append(TOUCH)
    log.sync()
    os.kill(writer_of(log), signal.SIGKILL)
    until(lambda: log.state != "open")
    assert_closed(log, "writer process ended")
    log.close()
    with AuditLog.open(tmp_path / "log") as again:
        assert again.count == 2
    assert list(read(tmp_path / "log"))[1]["reason"] == "writer-lost"


def test_a_sync_on_a_killed_writer_raises(log: AuditLog) -> None:
    """A sync never returns for records that the writer did not live to write; close tells of them."""
    os.kill(writer_of(log), signal.SIGSTOP)
    log.append(TOUCH)
    os.kill(writer_of(log), signal.SIGKILL)
    with pytest.raises(AuditUnavailable):
        log.sync()
    with pytest.raises(AuditUnavailable, match="of 1 records 0 are known to be durable"):
        log.close()


def test_a_stopped_writer_closes_the_log_at_the_deadline(log: AuditLog, tmp_path: Path) -> None:
    """A sync on a writer that hangs raises at the deadline; what was in the ring is written when it runs again."""
    os.kill(writer_of(log), signal.SIGSTOP)
    log.append(TOUCH)
    with pytest.raises(AuditUnavailable, match=r"durable within 0\.3 s"):
        log.sync()
    assert_closed(log, "durable within")
    with pytest.raises(AuditUnavailable):
        log.close()
    os.kill(writer_of(log), signal.SIGCONT)
    until(lambda: is_gone(writer_of(log)))
    assert (verify(tmp_path / "log").state, verify(tmp_path / "log").records) == ("clean", 1)


def test_a_slow_writer_is_waited_for(tmp_path: Path) -> None:
    """A writer that stands still for less than the deadline delays a sync and closes nothing."""
    with AuditLog.open(tmp_path / "log", deadline=20.0) as log:
        log.append(TOUCH)
        os.kill(writer_of(log), signal.SIGSTOP)
        waker = subprocess.Popen(["/bin/sh", "-c", f"sleep 0.3; kill -CONT {writer_of(log)}"])
        log.sync()
        assert waker.wait() == 0
        assert (log.state, log.durable) == ("open", 1)


def test_a_full_ring_closes_the_log_at_the_deadline(log: AuditLog, tmp_path: Path) -> None:
    """When nobody takes records the append that finds no room raises, and the ones before it are still written."""
    os.kill(writer_of(log), signal.SIGSTOP)
    with pytest.raises(AuditUnavailable, match="stayed full"):
        append(log, 10_000)
    accepted = log.count
    assert 50 < accepted < 200
    assert_closed(log, "stayed full")
    os.kill(writer_of(log), signal.SIGCONT)
    with pytest.raises(AuditUnavailable):
        log.close()
    until(lambda: is_gone(writer_of(log)))
    assert verify(tmp_path / "log").records == accepted


def test_a_full_disk_closes_the_log(log: AuditLog, tmp_path: Path) -> None:
    """A short write and then an error close the log; all that was durable stays readable."""
    log.append(TOUCH)
    log.sync()
    resource.prlimit(writer_of(log), resource.RLIMIT_FSIZE, (1000, 1000))
    with pytest.raises(AuditUnavailable, match="File too large"):
        append_and_sync(log, 1000)
    assert_closed(log, "File too large")
    durable = log.durable
    with pytest.raises(AuditUnavailable):
        log.close()
    verdict = verify(tmp_path / "log")
    assert verdict.state == "torn-tail"
    assert verdict.records >= durable
    with AuditLog.open(tmp_path / "log") as again:
        assert again.count == verdict.records + 1


def test_a_deleted_directory_closes_the_log(log: AuditLog, tmp_path: Path) -> None:
    """A log whose directory was removed is noticed by the next sync and not written into nowhere."""
    log.append(TOUCH)
    log.sync()
    shutil.rmtree(tmp_path / "log")
    log.append(TOUCH)
    with pytest.raises(AuditUnavailable, match="removed, renamed or changed"):
        log.sync()
    assert_closed(log, "removed, renamed or changed")


def test_a_second_writer_is_refused(log: AuditLog, tmp_path: Path) -> None:
    """One directory has one writer; the second is told so and the first goes on."""
    with pytest.raises(AuditUnavailable, match="another log writer holds"):
        AuditLog.open(tmp_path / "log")
    assert log.append(TOUCH) == 0
    log.sync()


def test_the_writer_outlives_terminal_signals(log: AuditLog) -> None:
    """Ctrl-C, a hang-up and SIGTERM do not end the writer before its host."""
    for number in (signal.SIGINT, signal.SIGHUP, signal.SIGTERM):
        os.kill(writer_of(log), number)
    log.append(TOUCH)
    log.sync()
    assert log.durable == 1


def test_a_forked_child_cannot_append(tmp_path: Path) -> None:
    """In a fork of the host every use raises, its end does not close the log, and the parent goes on."""
    script = """
import os, sys
from proxyplane.audit import AuditLog
from proxyplane.errors import AuditUnavailable
log = AuditLog.open(sys.argv[1])
log.append({"kind": "effect"})
child = os.fork()
if not child:
    failed = 0
    for call in (lambda: log.append({"kind": "effect"}), log.sync):
        try:
            call()
        except AuditUnavailable as error:
            failed += "forked child" in str(error)
    log.close()
    os._exit(failed)
_, status = os.waitpid(child, 0)
assert os.waitstatus_to_exitcode(status) == 2, status
again = os.fork()
if not again:
    sys.exit(0)
os.waitpid(again, 0)
assert log.append({"kind": "effect"}) == 1
log.sync()
log.close()
"""
    root = str(Path(__file__).parents[2])
    subprocess.run(
        [sys.executable, "-c", script, str(tmp_path / "log")],
        check=True,
        timeout=30,
        env={**os.environ, "PYTHONPATH": root},
    )
    assert (verify(tmp_path / "log").state, verify(tmp_path / "log").records) == ("clean", 2)


def test_a_fork_that_outlives_the_host_does_not_keep_the_writer(tmp_path: Path) -> None:
    """The writer ends with its host although a forked child lives on."""
    script = """
import os, sys, time
from proxyplane.audit import AuditLog
log = AuditLog.open(sys.argv[1])
log.append({"kind": "effect"})
child = os.fork()
if not child:
    os.close(1)
    time.sleep(20)
    os._exit(0)
print(log.writer_pid, child, flush=True)
os._exit(0)
"""
    root = str(Path(__file__).parents[2])
    done = subprocess.run(
        [sys.executable, "-c", script, str(tmp_path / "log")],
        check=True,
        timeout=30,
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": root},
    )
    writer, child = map(int, done.stdout.split())
    try:
        until(lambda: is_gone(writer))
    finally:
        os.kill(child, signal.SIGKILL)
    assert verify(tmp_path / "log").records == 1


def test_a_damaged_ring_closes_the_log(log: AuditLog) -> None:
    """A stray write into the ring's header ends the log instead of writing rubbish."""
    log.append(TOUCH)
    log.sync()
    log._sink._ring._words[8] = 2**40  # type: ignore[attr-defined]
    until(lambda: log.state != "open")
    assert_closed(log, "the head of the ring")


@pytest.mark.parametrize("length", [0, 3, 1 << 31, 1 << 31 | 3, 1 << 31 | 20, (1 << 32) - 1])
def test_a_host_that_puts_rubbish_closes_the_log(log: AuditLog, tmp_path: Path, length: int) -> None:
    """Bytes in the ring that are no frame of a record end the log; what came before is whole."""
    log.append(TOUCH)
    log.sync()
    body = bytes(range(32))[: length & 0xFF]
    frame = length.to_bytes(4, "little") + zlib.crc32(body).to_bytes(4, "little") + body
    log._sink.put(frame)  # type: ignore[attr-defined]
    until(lambda: log.state != "open")
    assert_closed(log, "ring")
    assert (verify(tmp_path / "log").state, verify(tmp_path / "log").records) == ("clean", 1)


def test_a_corrupt_directory_is_refused(tmp_path: Path) -> None:
    """Opening a log whose durable records were cut raises AuditCorrupt and changes nothing."""
    place = tmp_path / "log"
    with AuditLog.open(place) as log:
        for _ in range(3):
            log.append(TOUCH)
    os.truncate(place / "00000001.seg", 300)
    before = {path.name: path.read_bytes() for path in place.rglob("*") if path.is_file()}
    with pytest.raises(AuditCorrupt, match="durable up to record 3"):
        AuditLog.open(place)
    assert {path.name: path.read_bytes() for path in place.rglob("*") if path.is_file()} == before
