"""The log as the plane uses it: append, sync, close, read back."""

from __future__ import annotations

import os
import stat
import threading
from pathlib import Path
from typing import Any

import pytest

from proxyplane.audit import AuditLog, follow, read, record, segments, tail, verify
from proxyplane.audit.log import MemorySink
from proxyplane.errors import AuditCorrupt, AuditUnavailable


def touch(number: int = 0) -> dict[str, Any]:
    """A small effect record."""
    return {"kind": "effect", "phase": "single", "verb": "call", "member": f"m{number}", "status": "ok"}


@pytest.fixture(params=["memory", "directory"])
def log(request: pytest.FixtureRequest, tmp_path: Path) -> Any:
    """An open log of each sort."""
    where = ":memory:" if request.param == "memory" else tmp_path / "audit"
    with AuditLog.open(where) as opened:
        yield opened


def test_numbers_are_contiguous_from_zero(log: AuditLog) -> None:
    """append returns 0, 1, 2 ..., and after sync the records are there under these numbers."""
    assert [log.append(touch(n)) for n in range(5)] == [0, 1, 2, 3, 4]
    log.sync()
    assert (log.count, log.durable, log.state) == (5, 5, "open")
    assert [(r["seq"], r["member"]) for r in log.records()] == [(n, f"m{n}") for n in range(5)]


def test_a_bad_record_takes_no_number(log: AuditLog) -> None:
    """A record that is refused leaves the log open and its number to the next one."""
    with pytest.raises(ValueError, match="unknown record field"):
        log.append({"kind": "effect", "nonsense": 1})
    with pytest.raises(TypeError):
        log.append({"kind": "effect", "member": object()})
    assert log.append(touch()) == 0
    log.sync()
    assert log.state == "open"


def test_closed_means_closed(log: AuditLog) -> None:
    """After close, append and sync raise with the reason; closing again does nothing."""
    log.append(touch())
    log.close()
    log.close()
    assert log.state == "closed: the log was closed by its host"
    with pytest.raises(AuditUnavailable, match="closed by its host"):
        log.append(touch())
    with pytest.raises(AuditUnavailable, match="closed by its host"):
        log.sync()


def test_threads_share_one_sequence(log: AuditLog) -> None:
    """Records from many threads get contiguous numbers, and each stands under the number its thread was told."""
    told: dict[int, str] = {}

    def work(name: int) -> None:
        for n in range(200):
            told[log.append({"kind": "effect", "member": f"{name}-{n}"})] = f"{name}-{n}"
            if n % 50 == 0:
                log.sync()

    threads = [threading.Thread(target=work, args=(n,)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    log.sync()
    assert {r["seq"]: r["member"] for r in log.records()} == told
    assert sorted(told) == list(range(1600))


def test_an_append_inside_an_append_is_refused(log: AuditLog) -> None:
    """A finaliser or signal handler that appends while its thread appends gets an error and no deadlock."""
    seen: list[str] = []

    class Nosy(dict):  # type: ignore[type-arg]
        def get(self, key: Any, default: Any = None) -> Any:
            if not seen:
                try:
                    log.append(touch(1))
                except AuditUnavailable as error:
                    seen.append(str(error))
            return super().get(key, default)

    assert log.append(Nosy({record.KIND: "effect"})) == 0
    assert "interrupted by another" in seen[0]
    assert log.append(touch(2)) == 1


def test_an_interrupt_between_copy_and_count_loses_no_number(monkeypatch: pytest.MonkeyPatch) -> None:
    """A KeyboardInterrupt right after the copy leaves the record in and the next number right."""
    log = AuditLog.open(":memory:")
    put = MemorySink.put

    def interrupted(self: MemorySink, frame: bytes) -> int:
        put(self, frame)
        raise KeyboardInterrupt

    monkeypatch.setattr(MemorySink, "put", interrupted)
    with pytest.raises(KeyboardInterrupt):
        log.append(touch(0))
    monkeypatch.undo()
    assert log.append(touch(1)) == 1
    assert [r["member"] for r in log.records()] == ["m0", "m1"]


def test_the_directory_is_private(tmp_path: Path) -> None:
    """The directory has mode 0700 and its files 0600."""
    with AuditLog.open(tmp_path / "audit") as log:
        log.append(touch())
        log.sync()
        assert stat.S_IMODE(os.stat(log.location).st_mode) == 0o700
        place = Path(log.location)
        files = [path for path in place.rglob("*") if path.is_file()]
        assert {path.name for path in files} == {"00000001.seg", "checkpoint", "log.pub", "ed25519", "hmac"}
        assert {stat.S_IMODE(path.stat().st_mode) for path in files} == {0o600}
        assert stat.S_IMODE((place / "keys").stat().st_mode) == 0o700


def test_a_directory_of_others_is_refused(tmp_path: Path) -> None:
    """A directory that others may write to, a symbolic link and a file are no place for a log."""
    loose, link, file = tmp_path / "loose", tmp_path / "link", tmp_path / "file"
    loose.mkdir()
    loose.chmod(0o777)
    link.symlink_to(tmp_path)
    file.touch()
    for place in (loose, link, file):
        with pytest.raises(AuditUnavailable, match=place.name):
            AuditLog.open(place)


def test_reopening_continues_numbers_and_chain(tmp_path: Path) -> None:
    """A cleanly closed log goes on with the next number in a new segment, under the same id, without a gap."""
    with AuditLog.open(tmp_path / "audit") as log:
        first = log.id
        log.append(touch(0))
    with AuditLog.open(tmp_path / "audit") as log:
        assert (log.id, log.append(touch(1))) == (first, 1)
    verdict = verify(tmp_path / "audit")
    assert (verdict.state, verdict.records, verdict.segments, verdict.recorded_gaps) == ("clean", 2, 2, 0)
    assert verdict.log_id == first


def test_segments_rotate(tmp_path: Path) -> None:
    """A log longer than a segment goes on in the next, also with a sync after each record; all of it verifies."""
    place = tmp_path / "audit"
    with AuditLog.open(place, segment_bytes=4096) as log:
        for n in range(100):
            log.append(touch(n))
        for n in range(100, 140):
            log.append(touch(n))
            log.sync()
        log.append({"kind": "effect", "member": "x" * 10_000})
        log.append(touch(141))
    verdict = verify(place)
    assert (verdict.state, verdict.records, verdict.closed) == ("clean", 142, True)
    assert verdict.segments > 3
    sizes = [file.stat().st_size for file in sorted(place.glob("*.seg"))]
    assert sorted(sizes)[-2] < 4096 + 200
    assert [r["seq"] for r in read(place)] == list(range(142))
    assert [r["seq"] for r in tail(place, 30)] == list(range(112, 142))
    assert tail(place, 0) == []
    assert len(tail(place, 1000)) == 142


def test_checkpoints_stand_after_1024_records(tmp_path: Path) -> None:
    """Between two checkpoints there are never more than 1,024 records."""
    with AuditLog.open(tmp_path / "audit") as log:
        for n in range(3000):
            log.append(touch(n))
    data = (tmp_path / "audit" / segments.segment_name(1)).read_bytes()
    run = longest = 0
    for item in segments.frames(data):
        assert isinstance(item, segments.Frame)
        run = 0 if item.is_checkpoint else run + 1
        longest = max(longest, run)
    assert 0 < longest <= 1024


def test_a_live_log_verifies(tmp_path: Path) -> None:
    """While it is written, a log verifies as far as it is synced, and says that it is live."""
    with AuditLog.open(tmp_path / "audit") as log:
        for n in range(10):
            log.append(touch(n))
        log.sync()
        verdict = verify(tmp_path / "audit")
        assert (verdict.state, verdict.records, verdict.live) == ("clean", 10, True)
        assert "still being written" in str(verdict)
        for n in range(10):
            log.append(touch(n))


def test_verdicts_begin_with_state_and_anchor(tmp_path: Path) -> None:
    """The line begins with the state, then `unanchored since 0`; the exit codes are 0 and 4."""
    place = tmp_path / "audit"
    with AuditLog.open(place) as log:
        log.append(touch())
    verdict = verify(place)
    assert str(verdict) == "clean unanchored since 0; 1 record, 1 segment"
    assert verdict.exit_code == 0
    (tmp_path / "empty").mkdir()
    for missing in (tmp_path / "none", tmp_path / "empty"):
        assert str(verify(missing)).split()[0] == "unreadable"
        assert verify(missing).exit_code == 4


def test_follow_sees_new_records_and_segments(tmp_path: Path) -> None:
    """follow gives what is there and then what comes, across segments, each record once and in order."""
    place = tmp_path / "audit"
    seen: list[int] = []
    with AuditLog.open(place, segment_bytes=4096) as log:
        for n in range(20):
            log.append(touch(n))
        log.sync()
        finished = threading.Event()
        records = follow(place, first=5, poll=0.005, stop=finished.is_set)
        seen.extend(next(records)["seq"] for _ in range(15))
        for n in range(20, 200):
            log.append(touch(n))
        log.sync()
        finished.set()
        seen.extend(item["seq"] for item in records)
    assert seen == list(range(5, 200))


def test_reading_stops_at_changed_bytes(tmp_path: Path) -> None:
    """read, tail and follow raise at a record whose bytes were changed and never show it."""
    place = tmp_path / "audit"
    with AuditLog.open(place) as log:
        for n in range(3):
            log.append(touch(n))
    path = place / segments.segment_name(1)
    data = bytearray(path.read_bytes())
    data[data.index(b"m1")] ^= 1
    path.write_bytes(data)
    records = read(place)
    assert next(records)["member"] == "m0"
    with pytest.raises(AuditCorrupt):
        next(records)
    with pytest.raises(AuditCorrupt):
        tail(place, 1)
    with pytest.raises(AuditCorrupt):
        list(follow(place, stop=lambda: True))


def test_a_ring_smaller_than_the_log_waits_and_loses_nothing(tmp_path: Path) -> None:
    """A ring that is full all the time slows the host down and drops nothing; a record larger than it is refused."""
    with AuditLog.open(tmp_path / "audit", ring_bytes=4096) as log:
        for n in range(2000):
            log.append(touch(n))
        with pytest.raises(ValueError, match="does not fit"):
            log.append({"kind": "effect", "member": "x" * 5000})
        assert log.append(touch()) == 2000
    assert verify(tmp_path / "audit").records == 2001
    with pytest.raises(ValueError, match="power of two"):
        AuditLog.open(tmp_path / "audit", ring_bytes=5000)


def test_a_forgotten_log_closes_when_collected(tmp_path: Path) -> None:
    """A log that nobody refers to gives its directory back, complete and cleanly ended."""
    log = AuditLog.open(tmp_path / "audit")
    log.append(touch())
    del log
    with AuditLog.open(tmp_path / "audit") as again:
        assert again.append(touch()) == 1
    assert verify(tmp_path / "audit").recorded_gaps == 0
