"""Every way in which the disk or somebody with access to it can hurt a log; in process, through the storage seam."""

from __future__ import annotations

import errno
import os
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from proxyplane.audit import AuditLog, read, segments, verify
from proxyplane.audit.record import Encoder
from proxyplane.audit.storage import Storage
from proxyplane.audit.store import SegmentStore, StoreError
from proxyplane.errors import AuditCorrupt

ENCODE = Encoder().encode


def batch(first: int, count: int) -> bytes:
    """Frames of small records."""
    return b"".join(
        segments.frame(ENCODE({"kind": "effect", "member": f"m{n}"}, n)) for n in range(first, first + count)
    )


def open_store(place: Path, storage: type[Storage] = Storage, **options: Any) -> SegmentStore:
    """A store with a clock that stands still."""
    return SegmentStore(storage(str(place)), wall=lambda: 1_700_000_000_123_456_789, **options)


def write_log(place: Path, count: int, *, reason: int | None = segments.CLOSE, **options: Any) -> None:
    """A log of `count` records; without a reason it ends as if the writer had been killed after a sync."""
    store = open_store(place, **options)
    store.append(batch(0, count))
    if reason is None:
        store.sync()
        store.abandon()
    else:
        store.close(reason)


class Failing(Storage):
    """Fails at one call, counted over all calls, and counts what comes after."""

    calls = 0
    fail_at = sys.maxsize
    short = False
    after = 0

    def _count(self) -> bool:
        cls = type(self)
        cls.calls += 1
        if cls.calls > cls.fail_at:
            cls.after += 1
        if cls.calls == cls.fail_at:
            raise OSError(errno.EIO, "Input/output error")
        return cls.calls % 2 == 0

    def write(self, handle: int, data: bytes | memoryview) -> int:
        half = self._count() and type(self).short and len(data) > 1
        return super().write(handle, data[: len(data) // 2] if half else data)

    def create(self, name: str) -> int:
        self._count()
        return super().create(name)

    def sync(self, handle: int) -> None:
        self._count()
        super().sync(handle)

    def sync_directory(self) -> None:
        self._count()
        super().sync_directory()

    def replace(self, source: str, target: str) -> None:
        self._count()
        super().replace(source, target)


def session(place: Path, storage: type[Storage]) -> int:
    """Ten batches with syncs and rotations; returns how many records were acknowledged as durable."""
    durable = 0
    store = None
    try:
        store = open_store(place, storage, segment_bytes=900)
        for n in range(10):
            store.append(batch(store.count, 4))
            store.sync(segments.PERIODIC if n % 2 else None)
            durable = store.durable
            if n % 3 == 0:
                store.mark()
        store.close(segments.CLOSE)
    except OSError:
        if store is not None:
            store.abandon()
    return durable


@pytest.mark.parametrize("short", [False, True])
def test_a_failure_at_any_call_loses_nothing_that_was_durable(tmp_path: Path, short: bool) -> None:
    """Whichever write, sync, create or rename fails, all acknowledged records are there and the log goes on."""

    class Counting(Failing):
        pass

    Counting.short = short
    assert session(tmp_path / "whole", Counting) == 40
    total = Counting.calls
    assert total > 60
    for fail_at in range(1, total + 1):

        class Once(Failing):
            pass

        Once.fail_at, Once.short = fail_at, short
        place = tmp_path / str(fail_at)
        durable = session(place, Once)
        assert Once.calls >= fail_at
        assert Once.after == 0, "something was tried again after the failure"
        again = open_store(place)
        assert again.count >= durable
        again.append(batch(again.count, 3))
        again.close(segments.CLOSE)
        verdict = verify(place)
        assert verdict.exit_code == 0, f"call {fail_at}: {verdict}"
        assert [r["seq"] for r in read(place)] == list(range(again.count))
        shutil.rmtree(place)


def test_a_failed_sync_is_not_tried_again(tmp_path: Path) -> None:
    """After a sync failed once the writer's process ends; a later yes of the kernel would prove nothing."""

    class SyncFails(Failing):
        pass

    store = open_store(tmp_path / "a", SyncFails)
    store.append(batch(0, 3))
    SyncFails.fail_at = SyncFails.calls + 1
    with pytest.raises(OSError, match="Input/output"):
        store.sync(None)
    assert store.durable == 0
    store.abandon()
    assert SyncFails.after == 0


def copies(source: Path, target: Path) -> Path:
    """A fresh copy of a log."""
    if target.exists():
        shutil.rmtree(target)
    shutil.copytree(source, target)
    return target


def test_a_tail_cut_at_every_length_is_torn_and_continued(tmp_path: Path) -> None:
    """A last frame cut anywhere is `torn-tail`; the next opening continues and leaves the rest where it is."""
    place = tmp_path / "log"
    write_log(place, 5, reason=None)
    whole = (place / "00000001.seg").read_bytes()
    last = len(whole) - len(batch(4, 1))
    for length in range(last + 1, len(whole)):
        cut = copies(place, tmp_path / "cut")
        os.truncate(cut / "00000001.seg", length)
        verdict = verify(cut)
        assert (verdict.state, verdict.torn_bytes, verdict.records) == ("torn-tail", length - last, 4)
        assert verdict.exit_code == 0
        store = open_store(cut)
        assert (store.count, store.last_end.how, store.last_end.torn) == (4, "writer-lost", length - last)
        store.append(batch(4, 2))
        store.close(segments.CLOSE)
        assert (cut / "00000001.seg").stat().st_size == length
        assert (verify(cut).state, verify(cut).records) == ("torn-tail", 6)
        assert [r["seq"] for r in read(cut)] == list(range(6))


def test_a_closed_log_without_part_of_its_last_checkpoint_is_torn(tmp_path: Path) -> None:
    """Bytes missing from the closing checkpoint only are `torn-tail`: no record is missing. One byte more is not."""
    place = tmp_path / "log"
    write_log(place, 5)
    path = place / "00000001.seg"
    size, frame = path.stat().st_size, len(frames_of(path.read_bytes())[-1])
    for missing in range(1, frame + 1):
        cut = copies(place, tmp_path / "cut")
        os.truncate(cut / "00000001.seg", size - missing)
        verdict = verify(cut)
        assert (verdict.state, verdict.records, verdict.closed) == (
            "torn-tail" if missing < frame else "clean",
            5,
            False,
        )
        with AuditLog.open(cut) as log:
            assert log.count == 6
    assert verify(copies(place, tmp_path / "again")).state == "clean"
    os.truncate(tmp_path / "again" / "00000001.seg", size - frame - 1)
    assert verify(tmp_path / "again").state == "rolled-back"


def test_opening_after_a_torn_tail_records_a_gap(tmp_path: Path) -> None:
    """The first record after an unclean end is a `gap` with what was found."""
    place = tmp_path / "log"
    write_log(place, 5, reason=None)
    path = place / "00000001.seg"
    os.truncate(path, path.stat().st_size - 3)
    with AuditLog.open(place) as log:
        assert log.append({"kind": "effect"}) == 5
    gap = list(read(place))[4]
    assert (gap["kind"], gap["reason"]) == ("gap", "writer-lost")
    assert gap["detail"] == {"durable": 4, "torn": len(batch(4, 1)) - 3, "segment": 1}
    assert (verify(place).state, verify(place).recorded_gaps) == ("torn-tail", 1)


def test_a_tail_of_zeros_is_torn(tmp_path: Path) -> None:
    """A file that grew before its data reached the disk is torn, not corrupt."""
    place = tmp_path / "log"
    write_log(place, 3, reason=None)
    with (place / "00000001.seg").open("ab") as file:
        file.write(bytes(700))
    assert (verify(place).state, verify(place).torn_bytes) == ("torn-tail", 700)


@pytest.mark.parametrize("reason", [segments.CLOSE, None])
def test_every_flipped_bit_is_seen(tmp_path: Path, reason: int | None) -> None:
    """A bit flipped in any byte of any file of a small log never verifies clean or torn."""
    place = tmp_path / "log"
    write_log(place, 4, reason=reason)
    broken = copies(place, tmp_path / "broken")
    for path in sorted(path for path in broken.iterdir() if path.is_file()):
        data = path.read_bytes()
        for index in range(len(data)):
            for bit in (0, 5, 7):
                changed = bytearray(data)
                changed[index] ^= 1 << bit
                path.write_bytes(changed)
                verdict = verify(broken)
                assert verdict.exit_code == 1, f"{path.name} byte {index} bit {bit}: {verdict}"
                assert verdict.state.split("@")[0] in {"corrupt", "rolled-back", "forked", "gap", "bad-signature"}
        path.write_bytes(data)
    assert verify(broken).state == "clean"


def frames_of(data: bytes) -> list[bytes]:
    """All frames of a segment as bytes."""
    found = [item for item in segments.frames(data) if isinstance(item, segments.Frame)]
    return [segments.frame(bytes(item.payload)) for item in found]


@pytest.mark.parametrize(
    ("change", "state"),
    [
        (lambda f: [*f[:2], f[3], f[2], *f[4:]], "corrupt@1"),
        (lambda f: [*f[:3], f[2], *f[3:]], "corrupt@2"),
        (lambda f: [*f[:2], *f[3:]], "corrupt@1"),
        (lambda f: [*f[:3], segments.frame(ENCODE({"kind": "effect", "member": "forged"}, 2)), *f[4:]], "corrupt@0"),
        (lambda f: [*f[:6], segments.frame(b"\xde\x00"), *f[6:]], "corrupt@5"),
        (lambda f: [*f[:6], segments.frame(b"\x93\x01\x02\x03"), *f[6:]], "corrupt@5"),
        (lambda f: [*f, f[0]], "corrupt@5"),
        (lambda f: f[1:], "corrupt@0"),
    ],
    ids=[
        "swapped",
        "repeated",
        "deleted",
        "forged",
        "not-a-record",
        "other-payload",
        "other-checkpoint",
        "no-beginning",
    ],
)
def test_rearranged_frames_are_seen(tmp_path: Path, change: Callable[[list[bytes]], list[bytes]], state: str) -> None:
    """Whole frames with good CRCs in another order, twice, missing, or forged: verify names the place."""
    place = tmp_path / "log"
    write_log(place, 5)
    path = place / "00000001.seg"
    data = path.read_bytes()
    path.write_bytes(data[: segments.HEADER_BYTES] + b"".join(change(frames_of(data))))
    verdict = verify(place)
    assert (verdict.state, verdict.exit_code) == (state, 1)
    with pytest.raises(StoreError):
        open_store(place)


def test_a_record_of_another_log_is_seen(tmp_path: Path) -> None:
    """A frame with the right number, taken from another log, does not fit the next checkpoint."""
    write_log(tmp_path / "a", 5)
    store = open_store(tmp_path / "b")
    store.append(b"".join(segments.frame(ENCODE({"kind": "effect", "member": "other"}, n)) for n in range(5)))
    store.close(segments.CLOSE)
    mine, other = ((tmp_path / name / "00000001.seg").read_bytes() for name in "ab")
    spliced = [*frames_of(mine)[:4], frames_of(other)[4], *frames_of(mine)[5:]]
    (tmp_path / "a" / "00000001.seg").write_bytes(mine[: segments.HEADER_BYTES] + b"".join(spliced))
    assert verify(tmp_path / "a").state == "corrupt@0"
    shutil.copy(tmp_path / "b" / "00000001.seg", tmp_path / "a" / "00000001.seg")
    assert verify(tmp_path / "a").state == "corrupt@0"


def test_a_cut_between_frames_is_rolled_back_if_it_was_known(tmp_path: Path) -> None:
    """A cut at a frame's end is `rolled-back` where `checkpoint` knows more, else clean, not closed and unanchored."""
    place = tmp_path / "log"
    store = open_store(place)
    store.append(batch(0, 3))
    store.sync(segments.PERIODIC)
    store.mark()
    store.append(batch(3, 3))
    store.sync()
    store.abandon()
    data = (place / "00000001.seg").read_bytes()
    ends = [item.end for item in segments.frames(data) if isinstance(item, segments.Frame)]
    assert len(ends) == 8
    for index, end in enumerate(ends):
        cut = copies(place, tmp_path / "cut")
        os.truncate(cut / "00000001.seg", end)
        verdict = verify(cut)
        if index < 3:
            assert (verdict.state, verdict.exit_code) == ("rolled-back", 1)
            with pytest.raises(AuditCorrupt, match="durable up to record 3"):
                AuditLog.open(cut)
        else:
            assert str(verdict).startswith("clean unanchored since 0")
            assert "not closed" in str(verdict)
            assert verdict.records == (3 if index == 3 else index - 1)


def test_another_history_after_the_checkpoint_is_forked(tmp_path: Path) -> None:
    """A consistent log that never had the durable state is `forked`."""
    write_log(tmp_path / "a", 3)
    shutil.copytree(tmp_path / "a", tmp_path / "b")
    with AuditLog.open(tmp_path / "a") as log:
        log.append({"kind": "effect", "member": "told"})
    with AuditLog.open(tmp_path / "b") as log:
        log.append({"kind": "effect", "member": "untold"})
        log.append({"kind": "effect", "member": "untold"})
    shutil.copy(tmp_path / "a" / "checkpoint", tmp_path / "b" / "checkpoint")
    assert verify(tmp_path / "b").state == "forked"
    with pytest.raises(AuditCorrupt):
        AuditLog.open(tmp_path / "b")


def three_segments(place: Path) -> None:
    """A closed log of three segments."""
    write_log(place, 30, segment_bytes=600)
    assert len(list(place.glob("*.seg"))) >= 3


@pytest.mark.parametrize("number", [1, 2])
@pytest.mark.parametrize("how", ["removed", "renamed", "symlinked", "emptied"])
def test_a_missing_segment_is_seen(tmp_path: Path, number: int, how: str) -> None:
    """A segment that is gone, renamed, replaced by a link or emptied is never passed over."""
    place = tmp_path / "log"
    three_segments(place)
    path = place / segments.segment_name(number)
    if how == "removed":
        path.unlink()
    elif how == "renamed":
        path.rename(place / "00000099.seg")
    elif how == "symlinked":
        path.rename(tmp_path / "elsewhere")
        path.symlink_to(tmp_path / "elsewhere")
    else:
        os.truncate(path, 0)
    verdict = verify(place)
    assert verdict.exit_code == 1
    assert verdict.state in {"gap", "rolled-back", "corrupt@0"}
    if how != "emptied":
        assert verdict.state == "gap"


def test_a_missing_last_segment_or_checkpoint_is_rolled_back(tmp_path: Path) -> None:
    """Without its newest segment, or without the file `checkpoint`, a log is `rolled-back` and not continued."""
    for what in ("segment", "checkpoint"):
        place = tmp_path / what
        three_segments(place)
        gone = sorted(place.glob("*.seg"))[-1] if what == "segment" else place / "checkpoint"
        gone.unlink()
        assert (verify(place).state, verify(place).exit_code) == ("rolled-back", 1)
        with pytest.raises(AuditCorrupt):
            AuditLog.open(place)


def test_a_segment_cut_inside_the_log_is_a_gap(tmp_path: Path) -> None:
    """A segment shorter than its successor says is a gap."""
    place = tmp_path / "log"
    three_segments(place)
    data = (place / "00000002.seg").read_bytes()
    ends = [item.end for item in segments.frames(data) if isinstance(item, segments.Frame)]
    os.truncate(place / "00000002.seg", ends[0])
    assert verify(place).state == "gap"
    with pytest.raises(AuditCorrupt):
        list(read(place))


def test_a_segment_that_never_began_is_passed_over(tmp_path: Path) -> None:
    """A machine that stopped while a segment was made leaves part of a header; the log goes on after it."""
    for size in (0, 1, 127):
        place = tmp_path / str(size)
        write_log(place, 3, reason=None)
        (place / "00000002.seg").write_bytes(b"\x89PPLOG\r\n".ljust(size, b"x")[:size])
        assert verify(place).exit_code == 0
        store = open_store(place)
        assert (store.count, store.number, store.last_end.how) == (3, 3, "writer-lost")
        store.append(batch(3, 2))
        store.close(segments.CLOSE)
        assert (verify(place).exit_code, verify(place).records) == (0, 5)
        assert [r["seq"] for r in read(place)] == list(range(5))


def test_a_segment_changed_behind_the_writer_closes_it(tmp_path: Path) -> None:
    """The next sync fails when another program removed, renamed, cut or appended to the segment."""

    def append(path: Path) -> None:
        with path.open("ab") as file:
            file.write(b"more")

    changes: list[Callable[[Path], Any]] = [
        Path.unlink,
        lambda p: p.rename(p.with_name("x")),
        lambda p: os.truncate(p, 130),
        append,
        lambda p: shutil.rmtree(p.parent),
    ]
    for index, change in enumerate(changes):
        place = tmp_path / str(index)
        store = open_store(place)
        store.append(batch(0, 2))
        change(place / "00000001.seg")
        with pytest.raises(OSError, match="another program"):
            store.sync()
        assert store.durable == 0
        store.abandon()


def test_bytes_that_are_no_records_never_reach_the_log(tmp_path: Path) -> None:
    """A ring with a wrong number, a wrong CRC or half a frame stops the store; what came before stays whole."""
    good = batch(0, 2)
    flipped = bytearray(batch(2, 1))
    flipped[-1] ^= 1
    for index, bad in enumerate([batch(7, 1), bytes(flipped), batch(2, 1)[:-1], b"\0\0\0"]):
        store = open_store(tmp_path / str(index))
        with pytest.raises(ValueError, match="the ring holds"):
            store.append(good + bad)
        store.abandon()
        assert verify(tmp_path / str(index)).records in {0, 2}
        assert verify(tmp_path / str(index)).state == "clean"
