"""The log on its directory: recover what is there, then append, checkpoint, rotate and sync one segment after another.

Any error is final: the store is closed, nothing is tried again on that file, and the next opening starts a new
segment (after a failed fsync the kernel may have dropped the pages and still say yes the second time).

A checkpoint is signed only over a tree that grew from the last one that was signed: its peaks are read from a
checkpoint with a good signature, and nothing but leaves is added to them.

Runs in the log-writer process: the standard library and, for signatures, `cryptography`.
"""

from __future__ import annotations

import os
import time
import zlib
from collections.abc import Callable
from hashlib import sha256
from typing import NamedTuple

from proxyplane.audit import keys, notes, segments
from proxyplane.audit.keys import Signer
from proxyplane.audit.merkle import Tree
from proxyplane.audit.notes import Note
from proxyplane.audit.segments import Checkpoint, Damage, Header
from proxyplane.audit.storage import Storage

__all__ = ["LastEnd", "SegmentStore", "StoreError"]


class StoreError(Exception):
    """The directory holds a log that cannot be continued: durable records are changed or gone."""


class LastEnd(NamedTuple):
    """How the log that was found here ended."""

    how: str
    """`new`: there was none. `closed`: by its host. `host-lost`: the host died, its records are all here.
    `writer-lost`: the writer died or the power failed, records after the last sync may be gone."""
    durable: int
    """Records found."""
    torn: int
    """Bytes of an unfinished write, left where they are."""
    segment: int
    """Number of the last segment found; 0 if none."""


class SegmentStore:
    """Writes the segments of one log. Not thread-safe.

    Args:
        storage: the locked directory.
        segment_bytes: size after which a new segment begins.
        wall: wall clock, ns.

    Raises:
        StoreError: what is there must not be continued.
        OSError: from the directory.
    """

    def __init__(
        self,
        storage: Storage,
        *,
        segment_bytes: int = segments.SEGMENT_BYTES,
        wall: Callable[[], int] = time.time_ns,
    ) -> None:
        self._storage = storage
        self._segment_bytes = segment_bytes
        self._wall = wall
        self._file = -1
        self._length = 0
        self._previous_length = 0
        self._segment_first = 0
        self._tree = Tree()
        self._leaves: list[bytes] = []
        """Hashes of the records since the last checkpoint."""
        self.log_id = b""
        self.number = 0
        self.count = 0
        """Records in the log; the number of the next one."""
        self.durable = 0
        """Records of which it is known that they survive a power failure."""
        self.dirty = False
        """Whether something was written since the last sync."""
        self._open = True
        self.note: Note | None = None
        """The newest signed checkpoint."""
        self._marked = -1
        try:
            self._signer, self.last_end = self._recover()
            self.durable = self.count
            self._begin_segment()
        except BaseException:
            self.abandon()
            raise

    @property
    def public(self) -> bytes:
        """The file `log.pub`: the log's public key."""
        return f"{self._signer.public.line()}\n".encode()

    # ---- what is there

    def _recover(self) -> tuple[Signer, LastEnd]:
        numbers = sorted(n for n in map(segments.number_of, self._storage.names()) if n is not None)
        self._storage.remove(_temporary(segments.MARK_NAME))
        self._storage.remove(_temporary(keys.PUBLIC_NAME))
        public, text = self._read(keys.PUBLIC_NAME), self._read(segments.MARK_NAME)
        if not numbers and text is None:
            return self._make(public), LastEnd("new", 0, 0, 0)
        if public is None or text is None:
            name = keys.PUBLIC_NAME if public is None else "checkpoint"
            raise StoreError(
                f"the file {name} of the log is missing; run `proxyplane audit verify`, keep the directory as evidence "
                "and open another one"
            )
        signer, mark = self._identify(public, text)
        if not numbers:
            if mark.size:
                raise StoreError("the log's segments are gone; keep the rest as evidence and open another directory")
            return signer, LastEnd("new", 0, 0, 0)
        return signer, self._recover_last(numbers, mark, signer)

    def _make(self, public: bytes | None) -> Signer:
        """A new log; or one whose making was cut short after its name was there."""
        if public is None:
            self.log_id = os.urandom(16)
            signer = Signer.make(self._storage, notes.origin_of(self.log_id))
            self._replace(keys.PUBLIC_NAME, signer.public.line().encode() + b"\n")
        else:
            try:
                origin = keys.public_keys(public)[0].name
                self.log_id = notes.log_id_of(origin)
            except ValueError as error:
                raise StoreError(f"the file log.pub is damaged ({error}); open another directory") from None
            signer = self._load(public, origin)
        root = self._tree.root()
        self.note = notes.note_of(signer.origin, 0, root, signer.public.id, signer.sign(0, root))
        self.mark()
        self._storage.sync_directory()
        return signer

    def _identify(self, public: bytes, text: bytes) -> tuple[Signer, Note]:
        try:
            mark = Note.parse(text)
            self.log_id = notes.log_id_of(mark.origin)
            known = keys.public_keys(public)
        except ValueError as error:
            raise StoreError(
                f"the checkpoint file or log.pub is damaged ({error}); keep the directory and open another"
            ) from None
        if not keys.is_signed(mark, known):
            raise StoreError("the checkpoint file is not signed by the log's key; keep the directory and open another")
        return self._load(public, mark.origin), mark

    def _load(self, public: bytes, origin: str) -> Signer:
        signer = Signer.load(self._storage, origin)
        if signer is None:
            raise StoreError("the log's keys are missing; give their folder back, or open another directory")
        if signer.public not in keys.public_keys(public):
            raise StoreError("the keys are not those that log.pub names; give the right ones or open another directory")
        return signer

    def _read(self, name: str) -> bytes | None:
        try:
            return self._storage.read(name)
        except FileNotFoundError:
            return None

    def _recover_last(self, numbers: list[int], mark: Note, signer: Signer) -> LastEnd:
        """Continues after the last segment; one whose beginning never became durable is passed over."""
        number = numbers[-1]
        data = self._storage.read(segments.segment_name(number))
        if not segments.is_begun(data):
            if len(numbers) > 1:
                end = self._recover_last(numbers[:-1], mark, signer)
                # The segment before it is known to the next header only through this one: nothing of it counts.
                self.number, self._previous_length = number, 0
                return LastEnd("writer-lost", end.durable, end.torn + len(data), number)
            if mark.size:
                raise StoreError("the log's only segment is empty, though records were durable; open another directory")
            self.number, self._previous_length = number, 0
            return LastEnd("writer-lost", 0, len(data), number)
        try:
            header = Header.unpack(data)
        except ValueError as error:
            raise StoreError(f"segment {number}: {error}; open another directory") from None
        if (header.log_id, header.number) != (self.log_id, number):
            raise StoreError(f"segment {number} belongs to another log or place; open another directory")
        return self._scan(data, header, mark, signer)

    def _scan(self, data: bytes, header: Header, mark: Note, signer: Signer) -> LastEnd:
        """Recomputes the last segment from its first checkpoint, which we must have signed, and goes on from there."""
        self.number, self.count = header.number, header.first_seq
        end, torn, how, trusted = segments.HEADER_BYTES, 0, "writer-lost", False
        for item in segments.frames(data):
            if isinstance(item, Damage):
                torn = len(data) - item.offset
                break
            if item.is_checkpoint or end == segments.HEADER_BYTES:
                newest = self._believe(item.payload, signer, begins=end == segments.HEADER_BYTES)
                trusted = trusted or newest.records > mark.size  # it grew out of that state, or it is compared below
                how = {segments.CLOSE: "closed", segments.HOST_LOST: "host-lost"}.get(newest.reason, "writer-lost")
            elif item.seq != self.count:
                raise StoreError(f"where record {self.count} should be is another one; open another directory")
            else:
                self._leaves.append(sha256(b"\0" + item.payload).digest())
                self.count += 1
                how = "writer-lost"
            end = item.end
            if self.count == mark.size and not trusted:
                trusted = self._root() == mark.root
                if not trusted:
                    break
        if not trusted:
            raise StoreError(
                f"the log was durable up to record {mark.size}, but its segments do not hold that state; run "
                "`proxyplane audit verify`, keep the directory as evidence and open another one"
            )
        self._previous_length = end
        return LastEnd(how if not torn else "writer-lost", self.count, torn, header.number)

    def _root(self) -> bytes:
        self._tree.extend(self._leaves)
        self._leaves = []
        return self._tree.root()

    def _believe(self, payload: memoryview, signer: Signer, *, begins: bool) -> Checkpoint:
        """A checkpoint of the last segment, after its tree was compared and its signature checked."""
        try:
            found = Checkpoint.unpack(payload)
        except ValueError as error:
            raise StoreError(f"after record {self.count}: {error}; open another directory") from None
        if begins:
            self._tree = Tree(found.records, found.peaks)
        root = self._root()
        fits = (found.records, list(found.peaks)) == (self.count, self._tree.peaks())
        if not fits or begins != (found.reason == segments.BEGIN):
            raise StoreError(f"a checkpoint after record {self.count} does not fit; open another directory")
        body = notes.body_of(signer.origin, found.records, root)
        known = found.key == signer.public.id and keys.check_signature(signer.public.public, found.signature, body)
        if not known:
            raise StoreError(f"the checkpoint after record {found.records} is not signed by us; open another directory")
        return found

    # ---- what comes

    def append(self, batch: bytes) -> int:
        """Writes whole frames of records as they came from the host. Returns how many there were.

        Raises:
            ValueError: the bytes are not whole, intact, contiguous records; the ones before the fault are written.
            OSError: from the file system. Either error is final.
        """
        unpack, stamp, crc_of, hash_of = segments.FRAME.unpack_from, segments.STAMP.unpack_from, zlib.crc32, sha256
        view, leaves, end, before = memoryview(batch), self._leaves, len(batch), self.count
        at: int = 0
        start = 0
        while at < end:
            if end - at < segments.FRAME.size:
                raise ValueError("the ring holds part of a frame")
            length, crc = unpack(batch, at)
            if length & segments.SECRETS:
                self._write(view[start:at])
                at = start = self._unseal(batch, at)
                leaves = self._leaves
                continue
            stop = at + 8 + length
            payload = batch[at + 8 : stop]
            whole = 15 <= length <= segments.MAX_PAYLOAD and stop <= end and crc_of(payload) == crc
            if not whole or stamp(payload) != (0xDE, 0x000101CF, self.count):
                self._write(view[start:at])
                raise ValueError(f"the ring holds something else where record {self.count} should be")
            if self._length + (stop - start) > self._segment_bytes and self.count > self._segment_first:
                self._write(view[start:at])
                start = at
                self._rotate()
                leaves = self._leaves
            leaves.append(hash_of(b"\0" + payload).digest())
            self.count += 1
            at = stop
            if len(leaves) >= segments.CHECKPOINT_RECORDS:
                self._write(view[start:at])
                start = at
                self._checkpoint(segments.PERIODIC)
                leaves = self._leaves
        self._write(view[start:at])
        return self.count - before

    def _unseal(self, batch: bytes, at: int) -> int:
        """Writes one record whose sensitive texts are to be hashed; returns where it ends."""
        length, crc = segments.FRAME.unpack_from(batch, at)
        stop: int = at + segments.FRAME.size + (length & ~segments.SECRETS)
        body = batch[at + segments.FRAME.size : stop]
        if stop > len(batch) or zlib.crc32(body) != crc:
            raise ValueError(f"the ring holds something else where record {self.count} should be")
        self.append(segments.frame(segments.unsealed(body, self._signer.hashed)))
        return stop

    def sync(self, reason: int | None = None) -> None:
        """Makes everything written durable.

        Args:
            reason: when given, a checkpoint with this reason is written before, if records came since the last one
                (always for rotation and an end).

        Raises:
            OSError: from the file system, or because the segment was touched by somebody else. Final.
        """
        if reason is not None and (self._leaves or reason >= segments.ROTATION):
            self._checkpoint(reason)
        if self.dirty:
            self._storage.sync(self._file)
            size = self._storage.size_if_same(segments.segment_name(self.number), self._file)
            if size != self._length:
                raise OSError("the segment was removed, renamed or changed by another program")
            self.dirty = False
        self.durable = self.count

    def mark(self) -> None:
        """Replaces the checkpoint file by what the newest checkpoint states, which must be durable."""
        if self.note is not None and self._marked != self.note.size:
            self._replace(segments.MARK_NAME, self.note.text())
            self._marked = self.note.size

    def close(self, reason: int) -> None:
        """Last checkpoint, sync, checkpoint file; gives up the directory."""
        self.sync(reason)
        self.mark()
        self._storage.sync_directory()
        self.abandon()

    def abandon(self) -> None:
        """Gives up the directory and writes nothing more."""
        if self._file >= 0:
            handle, self._file = self._file, -1
            self._storage.close_file(handle)
        if self._open:
            self._open = False
            self._storage.close()

    def _checkpoint(self, reason: int) -> None:
        self._write(segments.frame(self._state(reason).pack()))

    def _state(self, reason: int) -> Checkpoint:
        """The signed state of the log as it is now."""
        root = self._root()
        signer = self._signer
        signature = signer.sign(self.count, root)
        self.note = notes.note_of(signer.origin, self.count, root, signer.public.id, signature)
        return Checkpoint(reason, self.count, self._wall(), signer.public.id, signature, tuple(self._tree.peaks()))

    def _rotate(self) -> None:
        self.sync(segments.ROTATION)
        handle, self._file = self._file, -1
        self._storage.close_file(handle)
        self._previous_length = self._length
        self._begin_segment()

    def _begin_segment(self) -> None:
        state = self._state(segments.BEGIN)
        assert self.note is not None
        self.number += 1
        header = Header(self.log_id, self.number, self.count, self.note.root, self._previous_length, self._wall())
        self._file = self._storage.create(segments.segment_name(self.number))
        self._length = 0
        self._segment_first = self.count
        self._write(header.pack() + segments.frame(state.pack()))
        self._storage.sync(self._file)
        self._storage.sync_directory()
        self.dirty = False
        self.mark()

    def _write(self, data: bytes | memoryview) -> None:
        view = memoryview(data)
        while view:
            taken = self._storage.write(self._file, view)
            if taken <= 0:
                raise OSError("the file system took no bytes")
            self._length += taken
            self.dirty = True
            view = view[taken:]

    def _replace(self, name: str, text: bytes) -> None:
        """Puts a small file in place of the one of that name, durably but for the directory's own sync."""
        handle = self._storage.create(_temporary(name))
        try:
            data = memoryview(text)
            while data:
                taken = self._storage.write(handle, data)
                if taken <= 0:
                    raise OSError("the file system took no bytes")
                data = data[taken:]
            self._storage.sync(handle)
        finally:
            self._storage.close_file(handle)
        self._storage.replace(_temporary(name), name)


def _temporary(name: str) -> str:
    return f"{name}.new"
