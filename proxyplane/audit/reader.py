"""Reads records back, in order, also while the log is being written.

Text that came from agents or data is returned raw: whoever shows it to a person must escape it. Reading checks each
frame's CRC and each record's schema and number; what else can be proved is `verify`'s task.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from proxyplane.audit import record, segments
from proxyplane.audit.segments import Damage, Header
from proxyplane.errors import AuditCorrupt

_BEGINNING = segments.HEADER_BYTES + segments.FRAME.size + segments.LONGEST_CHECKPOINT
"""Bytes that hold a segment's header and its first checkpoint."""

__all__ = ["follow", "payloads", "read", "segment", "tail"]


def read(directory: str | Path) -> Iterator[dict[str, Any]]:
    """All records, by their JSON names; unfinished writes are passed over.

    Raises:
        OSError: the directory or a segment cannot be read.
        AuditCorrupt: at the place where the bytes are not what was written, or records are missing.
    """
    numbers = _numbers(directory)
    expected = 0
    for index, number in enumerate(numbers):
        following = numbers[index + 1] if index + 1 < len(numbers) else None
        for found in segment(directory, number, following):
            if found["seq"] != expected:
                raise AuditCorrupt(f"segment {number}: record {found['seq']} stands where {expected} should be")
            expected += 1
            yield found


def payloads(directory: str | Path) -> Iterator[memoryview]:
    """The stored bytes of all records in order, checked by CRC and number only; unfinished writes are passed over.

    Raises:
        OSError, AuditCorrupt: as `read`.
    """
    numbers = _numbers(directory)
    expected = 0
    for index, number in enumerate(numbers):
        following = numbers[index + 1] if index + 1 < len(numbers) else None
        for _, item in _stored(directory, number, following):
            if item.seq != expected:
                raise AuditCorrupt(f"segment {number}: another record stands where {expected} should be")
            expected += 1
            yield item.payload


def tail(directory: str | Path, count: int) -> list[dict[str, Any]]:
    """The last `count` records, oldest first; reads only the segments that it needs.

    Raises:
        OSError, AuditCorrupt: as `read`.
    """
    numbers = _numbers(directory)
    following: int | None = None
    kept: list[dict[str, Any]] = []
    for number in reversed(numbers):
        if len(kept) >= count:
            break
        kept = [*segment(directory, number, following), *kept]
        following = number
    return kept[-count:] if count > 0 else []


def follow(
    directory: str | Path,
    *,
    first: int = 0,
    poll: float = 0.1,
    stop: Callable[[], bool] = lambda: False,
) -> Iterator[dict[str, Any]]:
    """Records from number `first` on, then each new one as it is written, in this segment and later ones.

    Args:
        directory: the audit directory; it may still be empty.
        first: number of the first record wanted.
        poll: seconds between two looks.
        stop: asked whenever nothing new is there; true ends the iteration.

    Raises:
        OSError, AuditCorrupt: as `read`.
    """
    number, at = 1, 0
    while True:
        ended = _exists(directory, number + 1)
        found, at = _new_records(directory, number, at)
        for item in found:
            if item["seq"] >= first:
                yield item
        if ended:
            number, at = number + 1, 0
        elif not found:
            if stop():
                return
            time.sleep(poll)


def _numbers(directory: str | Path) -> list[int]:
    numbers = sorted(n for n in map(segments.number_of, os.listdir(directory)) if n is not None)
    if numbers != list(range(1, len(numbers) + 1)):
        raise AuditCorrupt("a segment is missing; run `proxyplane audit verify`")
    return numbers


def _exists(directory: str | Path, number: int) -> bool:
    return os.path.lexists(os.path.join(directory, segments.segment_name(number)))


def _bytes(directory: str | Path, number: int, start: int = 0, size: int = -1) -> bytes:
    path = os.path.join(directory, segments.segment_name(number))
    with open(os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC), "rb") as file:
        file.seek(start)
        return file.read(size)


def _limit(directory: str | Path, following: int | None) -> int | None:
    """Where the next segment says that this one ends; None when it does not say."""
    if following is None:
        return None
    try:
        begun = _bytes(directory, following, 0, _BEGINNING)
        return Header.unpack(begun).previous_length if segments.is_begun(begun) else None
    except ValueError:
        return None


def segment(directory: str | Path, number: int, following: int | None) -> Iterator[dict[str, Any]]:
    """The records of one segment, by their JSON names; `following` is the number of its successor, if it has one.

    Raises:
        OSError, AuditCorrupt: as `read`.
    """
    for _, item in _stored(directory, number, following):
        yield record.decode(item.payload)


def _stored(directory: str | Path, number: int, following: int | None) -> Iterator[tuple[int, segments.Frame]]:
    """The records of a segment as frames, each with the offset at which it begins."""
    limit = _limit(directory, following)
    data = _bytes(directory, number)
    if not segments.is_begun(data):
        return
    _check_header(data, number)
    if limit is not None and limit > len(data):
        raise AuditCorrupt(f"segment {number} ends before its successor says; run `proxyplane audit verify`")
    at = segments.HEADER_BYTES
    for item in segments.frames(data, at, limit):
        if isinstance(item, Damage):
            if limit is not None or not item.torn:
                raise AuditCorrupt(f"segment {number}, byte {item.offset}: {item.text}")
            return
        if not item.is_checkpoint:
            yield at, item
        at = item.end


def _new_records(directory: str | Path, number: int, at: int) -> tuple[list[dict[str, Any]], int]:
    """Complete records after offset `at`, and the offset after them."""
    try:
        data = _bytes(directory, number, at)
    except FileNotFoundError:
        return [], at
    if not at:
        if len(data) < segments.HEADER_BYTES or not data.strip(b"\0"):
            return [], 0
        _check_header(data, number)
        at, data = segments.HEADER_BYTES, data[segments.HEADER_BYTES :]
    found = []
    end = 0
    for item in segments.frames(data, 0):
        if isinstance(item, Damage):
            if not item.torn:
                limit = _limit(directory, number + 1) if _exists(directory, number + 1) else None
                if limit is None or limit > at + item.offset:
                    raise AuditCorrupt(f"segment {number}, byte {at + item.offset}: {item.text}")
            break
        end = item.end
        if not item.is_checkpoint:
            found.append(record.decode(item.payload))
    return found, at + end


def _check_header(data: bytes, number: int) -> None:
    try:
        header = Header.unpack(data)
    except ValueError as error:
        raise AuditCorrupt(f"segment {number}: {error}") from None
    if header.number != number:
        raise AuditCorrupt(f"segment {number} is segment {header.number} under another name")
