"""What a disk may do to a log, through the storage seam: lost caches, full and odd devices, clocks, forgers."""

from __future__ import annotations

import errno
import os
import random
import shutil
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from test_audit_disk import batch, frames_of, open_store, write_log

from proxyplane.audit import AuditLog, keys, merkle, notes, read, segments, verify
from proxyplane.audit.record import Encoder
from proxyplane.audit.segments import Checkpoint, Header
from proxyplane.audit.storage import Storage
from proxyplane.audit.store import SegmentStore, StoreError

ENCODE = Encoder().encode


# ---- power loss: what was not synced may be there, or not, or in part (15, 21)


class Moment(NamedTuple):
    """What a disk holds for sure, and what it may hold."""

    synced: dict[str, int]
    names: set[str]
    marks: list[bytes]
    sizes: dict[str, int]


class Volatile(Storage):
    """Remembers what was durable at each moment; `crash` leaves what a machine that lost power might have kept."""

    def __init__(self, path: str, keys: str | None = None) -> None:
        super().__init__(path, keys)
        self.files: dict[int, str] = {}
        self.synced: dict[str, int] = {}
        self.durable_names: set[str] = set(self.names())
        self.marks: list[bytes] = []
        """Contents of the checkpoint file since the directory was last synced, oldest first."""
        self.moments: list[Moment] = []

    def _moment(self) -> None:
        sizes = {name: os.stat(os.path.join(self.path, name)).st_size for name in self.names() if name[-4:] == ".seg"}
        self.moments.append(Moment(dict(self.synced), set(self.durable_names), list(self.marks), sizes))

    def create(self, name: str) -> int:
        handle = super().create(name)
        self.files[handle] = name
        self.synced[name] = 0
        self._moment()
        return handle

    def write(self, handle: int, data: bytes | memoryview) -> int:
        taken = super().write(handle, data)
        self._moment()
        return taken

    def sync(self, handle: int) -> None:
        super().sync(handle)
        name = self.files.get(handle)
        if name is not None:
            self.synced[name] = os.fstat(handle).st_size
        self._moment()

    def replace(self, source: str, target: str) -> None:
        super().replace(source, target)
        if target == segments.MARK_NAME:
            self.marks.append(self.read(target))
        self._moment()

    def sync_directory(self) -> None:
        super().sync_directory()
        self.durable_names = {name for name in self.names() if not name.endswith(".new")}
        self.marks = self.marks[-1:]
        self._moment()

    def close_file(self, handle: int) -> None:
        self.files.pop(handle, None)
        super().close_file(handle)


def crash(place: Path, target: Path, moment: Moment, rng: random.Random) -> bool:
    """One legal state of the disk after power was lost at a moment; false when the log had not begun."""
    synced, names, marks, sizes = moment
    if not {"log.pub", segments.MARK_NAME} <= names:
        return False
    shutil.copytree(place, target)
    for path in list(target.glob("*.seg")):
        if path.name not in sizes or (path.name not in names and rng.random() < 0.5):
            path.unlink()
            continue
        size, kept = sizes[path.name], synced[path.name]
        os.truncate(path, size)
        lost = rng.choice(["all", "none", "part", "zeroed", "hole"])
        if lost == "all":
            os.truncate(path, kept)
        elif lost == "part":
            os.truncate(path, rng.randint(kept, size))
        elif lost == "hole" and size > kept:  # later sectors arrived and an earlier one did not
            start = rng.randrange(kept, size)
            with path.open("r+b") as file:
                file.seek(start)
                file.write(bytes(min(start // 512 * 512 + 512, size) - start))
        elif lost == "zeroed":  # the file grew, the data of some last sectors did not arrive
            start = max(kept, rng.randint(kept, size) // 512 * 512)
            with path.open("r+b") as file:
                file.seek(start)
                file.write(bytes(size - start))
    # Files after one that never came into being did not come into being either: names are synced in order.
    numbers = sorted(segments.number_of(path.name) or 0 for path in target.glob("*.seg"))
    for number in numbers:
        if any(earlier not in numbers for earlier in range(1, number)):
            (target / segments.segment_name(number)).unlink()
    if marks:
        (target / segments.MARK_NAME).write_bytes(rng.choice(marks))
    return True


def test_synced_records_survive_the_loss_of_power(tmp_path: Path) -> None:
    """At whatever call power is lost, whatever unsynced bytes are kept: synced records are there, the log goes on."""
    place = tmp_path / "log"
    storage = Volatile(str(place))
    store = SegmentStore(storage, segment_bytes=900, wall=lambda: 1)
    durable_at: list[tuple[int, int]] = []
    for step in range(12):
        store.append(batch(store.count, 3))
        if step % 2:
            store.sync(segments.PERIODIC)
            store.mark()
        durable_at.append((len(storage.moments), store.durable))
    store.close(segments.CLOSE)
    tried = 0
    for index, moment in [*enumerate(storage.moments)] * 4:
        rng = random.Random(index + 1000 * tried)
        durable = max((count for at, count in durable_at if at <= index), default=0)
        target = tmp_path / "after"
        if not crash_at(place, target, moment, rng):
            continue
        tried += 1
        again = open_store(target)
        assert again.count >= durable, f"after call {index}"
        again.append(batch(again.count, 2))
        again.close(segments.CLOSE)
        verdict = verify(target)
        assert verdict.exit_code == 0, f"after call {index}: {verdict}"
        assert [item["seq"] for item in read(target)] == list(range(again.count))
        shutil.rmtree(target)
    assert tried > 200


def crash_at(place: Path, target: Path, moment: Moment, rng: random.Random) -> bool:
    """`crash`, with what was written only after the moment taken away first."""
    if not crash(place, target, moment, rng):
        shutil.rmtree(target, ignore_errors=True)
        return False
    return True


# ---- devices (11, 12, 13, 14, 17)


@pytest.mark.parametrize("number", [errno.EIO, errno.ENOSPC, errno.EAGAIN, errno.EINTR, errno.EROFS, errno.ESTALE])
@pytest.mark.parametrize("what", ["write", "sync", "close_file", "sync_directory", "create", "replace"])
def test_any_error_of_any_call_is_final(tmp_path: Path, number: int, what: str) -> None:
    """Whatever the system says to whichever call: it is passed on, nothing is tried again, the log is whole."""
    place = tmp_path / "log"
    armed: list[str] = []
    calls: list[str] = []

    def failing(name: str) -> Any:
        native = getattr(Storage, name)

        def call(self: Storage, *arguments: Any) -> Any:
            calls.append(name)
            if name in armed:
                armed.clear()
                calls.clear()
                raise OSError(number, os.strerror(number))
            return native(self, *arguments)

        return call

    names = ("write", "sync", "close_file", "sync_directory", "create", "replace")
    storage = type("Faulty", (Storage,), {name: failing(name) for name in names})
    store = open_store(place, storage, segment_bytes=700)
    store.append(batch(0, 2))
    store.sync()
    armed.append(what)

    def work() -> None:
        for _ in range(5):
            store.append(batch(store.count, 2))
            store.sync()
        store.close(segments.CLOSE)

    with pytest.raises(OSError, match=r".*") as caught:
        work()
    assert caught.value.errno == number
    assert set(calls) <= {"close_file"}, "only what is open may still be closed"
    store.abandon()
    again = open_store(place)
    assert again.count >= 2
    again.close(segments.CLOSE)
    assert verify(place).exit_code == 0


def test_a_device_that_is_always_full(tmp_path: Path) -> None:
    """A device that takes nothing more (`/dev/full`) ends the store with the reason."""

    class Full(Storage):
        full = False

        def create(self, name: str) -> int:
            return os.open("/dev/full", os.O_WRONLY) if type(self).full else super().create(name)

    store = open_store(tmp_path / "log", Full, segment_bytes=500)
    store.append(batch(0, 2))
    store.sync()
    Full.full = True
    with pytest.raises(OSError, match="No space left"):
        store.append(batch(2, 20))
    store.abandon()
    assert verify(tmp_path / "log").exit_code == 0
    assert verify(tmp_path / "log").records >= 2


# ---- forgers (8, 9, 10)


def forge(place: Path, signer: keys.Signer | None) -> None:
    """Rewrites record 2 and then every checkpoint and the checkpoint file, signed by somebody, or as they were."""
    path = place / segments.segment_name(1)
    data = path.read_bytes()
    tree = merkle.Tree()
    made = bytearray(data[: segments.HEADER_BYTES])
    note = None
    for frame in frames_of(data):
        payload = frame[segments.FRAME.size :]
        if payload[0] == segments.CHECKPOINT_MARKER:
            old = Checkpoint.unpack(payload)
            signature = signer.sign(tree.size, tree.root()) if signer else old.signature
            key = signer.public.id if signer else old.key
            payload = old._replace(peaks=tuple(tree.peaks()), signature=signature, key=key).pack()
            origin = notes.origin_of(Header.unpack(data).log_id)
            note = notes.note_of(origin, tree.size, tree.root(), key, signature)
        else:
            if segments.seq_of(payload) == 2:
                payload = ENCODE({"kind": "effect", "member": "forged"}, 2)
            tree.extend([merkle.leaf_hash(payload)])
        made += segments.frame(payload)
    path.write_bytes(made)
    assert note is not None
    (place / segments.MARK_NAME).write_bytes(note.text())


def test_a_forged_record_does_not_get_past_the_signatures(tmp_path: Path) -> None:
    """A record that is hashed, framed and put under checkpoints again needs the key; another key shows."""
    place = tmp_path / "log"
    write_log(place, 5)
    origin = notes.origin_of(Header.unpack((place / segments.segment_name(1)).read_bytes()).log_id)
    for signer in (None, keys.Signer(origin, b"\1" * 32, b"\2" * 32)):
        forged = tmp_path / "forged"
        shutil.copytree(place, forged)
        forge(forged, signer)
        verdict = verify(forged)
        assert (verdict.state, verdict.exit_code) == ("bad-signature", 1)
        with pytest.raises(StoreError):
            open_store(forged)
        shutil.rmtree(forged)


def test_who_has_the_key_is_seen_by_an_anchor_only(tmp_path: Path) -> None:
    """The same forgery with the log's own key verifies clean and unanchored, and is `forked` to an anchor."""
    place = tmp_path / "log"
    with AuditLog.open(place, anchors=[tmp_path / "anchor"]) as log:
        for number in range(5):
            log.append({"kind": "effect", "member": f"m{number}"})
    storage = Storage(str(place))
    origin = notes.origin_of(Header.unpack((place / segments.segment_name(1)).read_bytes()).log_id)
    signer = keys.Signer.load(storage, origin)
    storage.close()
    forge(place, signer)
    assert str(verify(place)).startswith("clean unanchored since 0")
    assert verify(place, anchors=[tmp_path / "anchor"]).state == "forked"


def test_a_missing_or_foreign_key_is_a_bad_signature(tmp_path: Path) -> None:
    """Without `log.pub`, or with that of another log, no checkpoint is believed."""
    write_log(tmp_path / "a", 3)
    write_log(tmp_path / "b", 3)
    shutil.copy(tmp_path / "b" / "log.pub", tmp_path / "a" / "log.pub")
    assert verify(tmp_path / "a").state == "bad-signature"
    (tmp_path / "a" / "log.pub").unlink()
    assert verify(tmp_path / "a").state == "bad-signature"
    with pytest.raises(StoreError, match=r"log\.pub of the log is missing"):
        open_store(tmp_path / "a")


# ---- clocks (20) and versions (27)


class Wandering:
    """A wall clock that steps an hour back, ten years forward, and stands still; a monotonic one that does not."""

    def __init__(self) -> None:
        self.now = 1_700_000_000_000_000_000
        self.ticks = 0

    def wall(self) -> int:
        self.now += random.Random(self.ticks).choice([-3600, 315_360_000, 0, 1]) * 1_000_000_000
        return self.now

    def mono(self) -> int:
        self.ticks += 1
        return self.ticks


def test_order_does_not_come_from_the_wall_clock(tmp_path: Path) -> None:
    """Whatever the wall clock does, numbers and monotonic times order the records, and the log verifies."""
    clock = Wandering()
    with AuditLog.open(tmp_path / "log", clock=clock) as log:
        for _ in range(50):
            log.append({"kind": "effect", "time": clock.wall(), "mono": clock.mono()})
    found = list(read(tmp_path / "log"))
    assert [item["seq"] for item in found] == list(range(50))
    assert [item["mono"] for item in found] == sorted(item["mono"] for item in found)
    assert [item["time"] for item in found] != sorted(item["time"] for item in found)
    assert verify(tmp_path / "log").state == "clean"


@pytest.mark.parametrize(("version", "word"), [(1, "older"), (3, "newer")])
def test_another_version_of_the_format_is_refused_kindly(tmp_path: Path, version: int, word: str) -> None:
    """A segment of another format version is not guessed at: the error says which program can read it."""
    place = tmp_path / "log"
    write_log(place, 2)
    path = place / segments.segment_name(1)
    data = bytearray(path.read_bytes())
    data[8:12] = version.to_bytes(4, "little")
    data[124:128] = __import__("zlib").crc32(data[:124]).to_bytes(4, "little")
    path.write_bytes(data)
    assert f"{word} proxyplane" in verify(place).text
    with pytest.raises(StoreError, match=f"{word} proxyplane"):
        open_store(place)
