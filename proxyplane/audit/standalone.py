#!/usr/bin/env python3
"""Checks a proxyplane audit log, or one record with its proof, without proxyplane: one file, standard library only.

    python verifier.py log DIRECTORY [--key KEY]      every record, checkpoint and signature of a log
    python verifier.py proof FILE --key KEY           one record and that it is in the log; prints the record

KEY is the line of `log.pub`, from somebody whom you trust. Without it a log is checked against its own `log.pub`, which
shows that it is consistent and not who wrote it. Exit code 0 when everything holds, 1 when not, 2 for wrong usage.
The format is that of `docs/audit-format.md`; this is a second implementation of its reading half, kept apart from the
first on purpose. Signatures are Ed25519 as RFC 8032 defines them, in plain integers: slow, and nothing to trust.
"""

from __future__ import annotations

import base64
import hashlib
import json
import os
import struct
import sys
import zlib
from collections.abc import Iterator
from typing import Any

Point = tuple[int, int, int, int]
Key = tuple[str, bytes, bytes]
"""Name, id, public key."""
NAMES = (
    "v seq kind phase id op parent time mono session agent for origin cap via peer request_id trace span where verb "
    "target member args effects verdict rule matched policy reason obligations approval budget status error result "
    "changes dur detail"
).split()


class BadError(Exception):
    """What does not hold."""


# ---- Ed25519 (RFC 8032, section 6)

P = 2**255 - 19
Q = 2**252 + 27742317777372353535851937790883648493
D = -121665 * pow(121666, P - 2, P) % P
ROOT_OF_MINUS_ONE = pow(2, (P - 1) // 4, P)


def add(a: Point, b: Point) -> Point:
    """The sum of two points, in extended coordinates."""
    x, y = (a[1] - a[0]) * (b[1] - b[0]) % P, (a[1] + a[0]) * (b[1] + b[0]) % P
    c, d = 2 * a[3] * b[3] * D % P, 2 * a[2] * b[2] % P
    e, f, g, h = y - x, d - c, d + c, y + x
    return e * f % P, g * h % P, f * g % P, e * h % P


def multiply(number: int, point: Point) -> Point:
    """A point, so many times."""
    found = (0, 1, 1, 0)
    while number:
        if number & 1:
            found = add(found, point)
        point = add(point, point)
        number >>= 1
    return found


def same(a: Point, b: Point) -> bool:
    """Whether two sets of coordinates are one point."""
    return (a[0] * b[2] - b[0] * a[2]) % P == 0 and (a[1] * b[2] - b[1] * a[2]) % P == 0


def point_of(data: bytes) -> Point | None:
    """The point that 32 bytes stand for; None when there is none."""
    y = int.from_bytes(data, "little")
    sign, y = y >> 255, y & (1 << 255) - 1
    if y >= P:
        return None
    square = (y * y - 1) * pow(D * y * y + 1, P - 2, P) % P
    x = pow(square, (P + 3) // 8, P)
    if (x * x - square) % P:
        x = x * ROOT_OF_MINUS_ONE % P
    if (x * x - square) % P or (not x and sign):
        return None
    x = P - x if x & 1 != sign else x
    return x, y, 1, x * y % P


BASE: Point = point_of((4 * pow(5, P - 2, P) % P).to_bytes(32, "little")) or (0, 0, 0, 0)


def signed(public: bytes, message: bytes, signature: bytes) -> bool:
    """Whether it is an Ed25519 signature of the message."""
    if len(public) != 32 or len(signature) != 64:
        return False
    key, r, s = point_of(public), point_of(signature[:32]), int.from_bytes(signature[32:], "little")
    if key is None or r is None or s >= Q:
        return False
    h = int.from_bytes(hashlib.sha512(signature[:32] + public + message).digest(), "little") % Q
    return same(multiply(s, BASE), add(r, multiply(h, key)))


# ---- the Merkle tree (RFC 6962)


def leaf(payload: bytes) -> bytes:
    """Hash of a leaf."""
    return hashlib.sha256(b"\0" + payload).digest()


def node(left: bytes, right: bytes) -> bytes:
    """Hash of an inner node."""
    return hashlib.sha256(b"\1" + left + right).digest()


class Tree:
    """Peaks of the perfect subtrees, by level."""

    def __init__(self) -> None:
        self.levels: list[bytes | None] = []
        self.size = 0

    def add(self, hashed: bytes) -> None:
        """One more leaf."""
        self.size += 1
        for level, waiting in enumerate(self.levels):
            if waiting is None:
                self.levels[level] = hashed
                return
            hashed, self.levels[level] = node(waiting, hashed), None
        self.levels.append(hashed)

    def peaks(self) -> bytes:
        """The peaks, the largest first."""
        return b"".join(peak for peak in reversed(self.levels) if peak)

    def root(self) -> bytes:
        """The root."""
        found: bytes | None = None
        for peak in filter(None, self.levels):
            found = peak if found is None else node(peak, found)
        return found or hashlib.sha256().digest()


def included(hashed: bytes, index: int, size: int, path: list[bytes], root: bytes) -> bool:
    """Whether the path leads from the leaf to the root (RFC 9162, 2.1.3.2)."""
    at, last = index, size - 1
    for other in path:
        if not last:
            return False
        if at & 1 or at == last:
            hashed = node(other, hashed)
            while not at & 1 and at:
                at, last = at >> 1, last >> 1
        else:
            hashed = node(hashed, other)
        at, last = at >> 1, last >> 1
    return 0 <= index < size and not last and hashed == root


# ---- signed notes


def key_of(line: str) -> Key:
    """(name, id, public key) of a line of log.pub."""
    name, number, text = [*line.strip().split("+", 2), "", ""][:3]
    data = base64.b64decode(text, validate=True)
    if len(data) != 33 or data[0] != 1 or hashlib.sha256(name.encode() + b"\n" + data).hexdigest()[:8] != number:
        raise BadError("that is no key as log.pub has it")
    return name, bytes.fromhex(number), data[1:]


def body_of(origin: str, size: int, root: bytes) -> bytes:
    """What is signed."""
    return f"{origin}\n{size}\n{base64.b64encode(root).decode()}\n".encode()


def note_of(data: bytes, keys: list[Key]) -> tuple[str, int, bytes]:
    """(origin, size, root) of a signed checkpoint."""
    if len(data) > 16384:
        raise BadError("the checkpoint is too long")
    head, _, tail = data.decode().rpartition("\n\n")
    origin, size, root = head.split("\n")
    lines = tail[:-1].split("\n")
    if len(lines) > 16 or not tail.endswith("\n") or str(int(size)) != size:
        raise BadError("the checkpoint is no signed note")
    good = False
    for line in lines:
        dash, name, text = line.split(" ")
        if dash != "\u2014":
            raise BadError("the checkpoint has something else than signatures at its end")
        signature = base64.b64decode(text, validate=True)
        for key, number, public in keys:
            if (key, number) == (name, signature[:4]) and key == origin:
                if not signed(public, (head + "\n").encode(), signature[4:]):
                    raise BadError("the signature of the checkpoint is wrong")
                good = True
    if not good:
        raise BadError("the checkpoint is not signed by this key")
    return origin, int(size), base64.b64decode(root, validate=True)


# ---- msgpack, the part that records use


def read(data: bytes, at: int, depth: int = 0) -> tuple[Any, int]:
    """(value, offset after it)."""
    if depth > 512 or at >= len(data):
        raise BadError("a record is cut or nested too deeply")
    mark, at = data[at], at + 1
    if mark < 0x80:
        return mark, at
    if mark >= 0xE0:
        return mark - 256, at
    if mark in SIMPLE:
        return SIMPLE[mark], at
    if mark in NUMBERS:
        form = NUMBERS[mark]
        return struct.unpack_from(form, data, at)[0], at + struct.calcsize(form)
    size, at = (mark & 0x1F, at) if 0xA0 <= mark < 0xC0 else (mark & 0x0F, at)
    if mark in SIZES:
        size = int.from_bytes(data[at : at + SIZES[mark]], "big")
        at += SIZES[mark]
    elif not 0x80 <= mark < 0xC0:
        raise BadError("a record holds something that records do not hold")
    if 0x80 <= mark < 0x90 or mark in (0xDE, 0xDF):
        found = {}
        for _ in range(size):
            key, at = read(data, at, depth + 1)
            found[key], at = read(data, at, depth + 1)
        return found, at
    if 0x90 <= mark < 0xA0 or mark in (0xDC, 0xDD):
        items = []
        for _ in range(size):
            item, at = read(data, at, depth + 1)
            items.append(item)
        return items, at
    if at + size > len(data):
        raise BadError("a record is cut")
    piece = data[at : at + size]
    return (piece if mark in (0xC4, 0xC5, 0xC6) else piece.decode()), at + size


SIMPLE = {0xC0: None, 0xC2: False, 0xC3: True}
NUMBERS = {0xCC: ">B", 0xCD: ">H", 0xCE: ">I", 0xCF: ">Q", 0xD0: ">b", 0xD1: ">h", 0xD2: ">i", 0xD3: ">q"}
SIZES = {
    0xC4: 1, 0xC5: 2, 0xC6: 4, 0xD9: 1, 0xDA: 2, 0xDB: 4, 0xDC: 2, 0xDD: 4, 0xDE: 2, 0xDF: 4,
}  # fmt: skip


def record_of(payload: bytes, seq: int) -> dict[str, Any]:
    """The record by its JSON names."""
    stored, end = read(payload, 0)
    if end != len(payload) or not isinstance(stored, dict) or stored.get(0) != 1 or stored.get(1) != seq:
        raise BadError(f"record {seq} is not a record of schema 1 with this number")
    if any(not isinstance(key, int) or key >= len(NAMES) for key in stored):
        raise BadError(f"record {seq} has a field that this verifier does not know")
    return {NAMES[key]: shown(value) for key, value in stored.items()}


def shown(value: Any) -> Any:
    """The value as JSON can have it."""
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, list):
        return [shown(item) for item in value]
    if isinstance(value, dict):
        return {str(shown(key)): shown(item) for key, item in value.items()}
    return value


# ---- a whole log


def check_log(folder: str, key: str | None) -> str:
    """Everything about a log; the line to print."""
    with open(os.path.join(folder, "log.pub"), encoding="ascii") as file:
        keys = [key_of(line) for line in file.read().splitlines()] if key is None else [key_of(key)]
    with open(os.path.join(folder, "checkpoint"), "rb") as file:
        origin, size, root = note_of(file.read(), keys)
    tree, length, state = Tree(), 0, "clean"
    names = sorted(name for name in os.listdir(folder) if name.endswith(".seg"))
    if names != [f"{number:08d}.seg" for number in range(1, len(names) + 1)]:
        raise BadError("a segment is missing")
    heads = []
    for name in names:
        with open(os.path.join(folder, name), "rb") as file:
            heads.append(file.read())
    reached = not size
    for number, data in enumerate(heads, 1):
        following = heads[number] if number < len(heads) else b""
        limit = struct.unpack_from("<Q", following, 80)[0] if is_begun(following) else None
        if not is_begun(data):
            length, state = 0, "torn-tail" if data else state
            continue
        check_header(data, number, origin, tree, length)
        length = 128
        for payload, end in frames(data, limit):
            if payload[0] == 0x43 or end == 136 + len(payload):
                check_checkpoint(payload, origin, keys, tree, first=end == 136 + len(payload))
            else:
                record_of(payload, tree.size)
                tree.add(leaf(payload))
            length = end
            if tree.size == size and not reached:
                reached = True
                if tree.root() != root:
                    raise BadError(f"the checkpoint states another root of {size} records")
        if length != (len(data) if limit is None else limit):
            if limit is not None:
                raise BadError(f"segment {number} is damaged after byte {length}, record {tree.size}")
            state = "torn-tail"
    if not reached:
        raise BadError(f"{size} records were signed for, {tree.size} are here")
    return f"{state}: {tree.size} records, root {tree.root().hex()}, {origin}"


def is_begun(data: bytes) -> bool:
    """Whether a segment has its header and its first checkpoint."""
    return len(data) > 136 and any(data[:128]) and 136 + struct.unpack_from("<I", data, 128)[0] <= len(data)


def check_header(data: bytes, number: int, origin: str, tree: Tree, length: int) -> None:
    """A segment goes on where the one before ended."""
    magic, version, flags, log, named, first, root, before = struct.unpack_from("<8sII16sQQ32sQ", data)
    if zlib.crc32(data[:124]) != struct.unpack_from("<I", data, 124)[0] or magic != b"\x89PPLOG\r\n":
        raise BadError(f"the header of segment {number} is damaged")
    if (version, flags) != (2, 0):
        raise BadError(f"segment {number} is of another format version")
    same_log = origin.rpartition("/")[2].replace("-", "") == log.hex()
    if not same_log or (named, first, root, before) != (number, tree.size, tree.root(), length):
        raise BadError(f"segment {number} does not continue the one before")


def check_checkpoint(payload: bytes, origin: str, keys: list[Key], tree: Tree, *, first: bool) -> None:
    """A checkpoint states the tree so far and is signed."""
    if len(payload) < 88 or payload[0] != 0x43 or (payload[1] == 1) != first:
        raise BadError(f"after record {tree.size - 1} stands something that is no checkpoint")
    count, _, number, signature = struct.unpack_from("<QQ4s64s", payload, 4)
    if count != tree.size or payload[88:] != tree.peaks():
        raise BadError(f"the checkpoint after record {tree.size - 1} is not that of the records")
    for name, known, public in keys:
        if (origin, number) == (name, known) and signed(public, body_of(origin, count, tree.root()), signature):
            return
    raise BadError(f"the checkpoint after record {tree.size - 1} is not signed by this key")


def frames(data: bytes, limit: int | None) -> Iterator[tuple[bytes, int]]:
    """(payload, end) of each whole frame."""
    at, end = 128, len(data) if limit is None else min(limit, len(data))
    while end - at >= 8:
        size, crc = struct.unpack_from("<II", data, at)
        payload = data[at + 8 : at + 8 + size]
        if not 0 < size <= 1 << 20 or at + 8 + size > end or zlib.crc32(payload) != crc:
            break
        at += 8 + size
        yield payload, at
    if limit is None and not torn(data, at):
        raise BadError(f"byte {at} and what follows were changed")


def torn(data: bytes, at: int) -> bool:
    """Whether what follows looks like one unfinished write and not like changed bytes."""
    rest, written = data[at:], len(data[at:].rstrip(b"\0"))
    if not written or len(data) - -(-(at + written) // 512) * 512 >= 16 or len(rest) < 8:
        return True
    size, crc = struct.unpack_from("<II", rest)
    if len(rest) - 8 >= size > 0:
        return False
    found = 0
    for byte in rest[8:]:
        found = zlib.crc32(bytes((byte,)), found)
        if found == crc:
            return False
    return True


# ---- one proof


def check_proof(path: str, key: str) -> dict[str, Any]:
    """The record that a proof file shows to be in the log."""
    with open(path, "rb") as file:
        head, _, note = file.read().partition(b"\n\n")
    lines = head.decode("ascii").split("\n")
    if lines[0] != "c2sp.org/tlog-proof@v1" or not lines[1].startswith("extra ") or not lines[2].startswith("index "):
        raise BadError("this is no proof of a record")
    payload, index = base64.b64decode(lines[1][6:], validate=True), int(lines[2][6:])
    hashes = [base64.b64decode(line, validate=True) for line in lines[3:]]
    _, size, root = note_of(note, [key_of(key)])
    if not included(leaf(payload), index, size, hashes, root):
        raise BadError("the record is not in the tree that the checkpoint states")
    return record_of(payload, index)


def main(arguments: list[str]) -> int:
    """Runs the command."""
    key: str | None = None
    if "--key" in arguments[:-1]:
        at = arguments.index("--key")
        key, arguments = arguments[at + 1], arguments[:at] + arguments[at + 2 :]
    if len(arguments) != 2 or arguments[0] not in ("log", "proof") or (arguments[0] == "proof" and not key):
        print(__doc__, file=sys.stderr)
        return 2
    try:
        if arguments[0] == "log":
            print(check_log(arguments[1], key))
        else:
            print(json.dumps(check_proof(arguments[1], key or ""), ensure_ascii=True))
    except (BadError, OSError, ValueError, IndexError, struct.error, UnicodeError) as error:
        print(f"does not hold: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
