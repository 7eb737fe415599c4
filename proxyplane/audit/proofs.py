"""One record with the proof that it is in the log: a file that anybody can check offline (C2SP `tlog-proof`).

c2sp.org/tlog-proof@v1
extra BASE64                 the record's exact stored bytes
index 17                     its number
BASE64                       each hash of the inclusion path, from the leaf up
                             (an empty line)
...                          the signed checkpoint (see `notes`)
"""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Any, Final, NamedTuple

from proxyplane.audit import keys, merkle, reader, record, segments
from proxyplane.audit.notes import Note, PublicKey
from proxyplane.errors import AuditCorrupt

__all__ = ["Proof", "prove"]

FORMAT: Final = "c2sp.org/tlog-proof@v1"
_BLOCK: Final = 1024
"""Leaves of the aligned subtrees of which only the root is kept while a log is read."""
_MOST_HASHES: Final = 64


class Proof(NamedTuple):
    """A record, its place in the tree, and a signed checkpoint of the tree."""

    payload: bytes
    """The record as it is stored."""
    seq: int
    """Its number, which is its place."""
    path: tuple[bytes, ...]
    note: Note

    def text(self) -> bytes:
        """The whole file."""
        lines = [FORMAT, f"extra {base64.b64encode(self.payload).decode()}", f"index {self.seq}"]
        lines += [base64.b64encode(item).decode() for item in self.path]
        return "\n".join([*lines, "", ""]).encode() + self.note.text()

    @classmethod
    def parse(cls, text: bytes) -> Proof:
        """From a file's bytes; a ValueError says what is wrong. Nothing is checked here."""
        head, found, note = text.partition(b"\n\n")
        try:
            lines = head.decode("ascii").split("\n")
        except UnicodeDecodeError:
            raise ValueError("a proof is ASCII text") from None
        if not found or len(lines) < 3 or lines[0] != FORMAT or len(lines) > _MOST_HASHES + 3:
            raise ValueError(f"a proof begins with the line {FORMAT}")
        extra, index = lines[1].removeprefix("extra "), lines[2].removeprefix("index ")
        if extra == lines[1] or index == lines[2] or not (index.isascii() and index.isdigit()):
            raise ValueError("a proof has a line `extra` with the record and a line `index`")
        path = tuple(base64.b64decode(line, validate=True) for line in lines[3:])
        return cls(base64.b64decode(extra, validate=True), int(index), path, Note.parse(note))

    def check(self, key: PublicKey) -> dict[str, Any]:
        """The record, by its JSON names, if all of the proof holds.

        Args:
            key: the log's public key, from a source that is trusted.

        Raises:
            AuditCorrupt: it does not hold, and why.
        """
        if not keys.is_signed(self.note, [key]):
            raise AuditCorrupt("the checkpoint of the proof is not signed by this key")
        leaf = merkle.leaf_hash(self.payload)
        if not merkle.verify_inclusion(leaf, self.seq, self.note.size, self.path, self.note.root):
            raise AuditCorrupt("the record is not in the tree that the checkpoint states")
        found = record.decode(self.payload)
        if found["seq"] != self.seq:
            raise AuditCorrupt("the record has another number than its place in the tree")
        return found


def prove(directory: str | Path, seq: int) -> Proof:
    """The proof that record number `seq` is in the log, under its newest signed checkpoint.

    Raises:
        OSError: the log cannot be read.
        AuditCorrupt: the log is damaged, or its checkpoint is not that of its records.
        IndexError: no signed checkpoint covers such a record (yet).
    """
    place = Path(directory)
    try:
        note = Note.parse((place / segments.MARK_NAME).read_bytes())
    except ValueError as error:
        raise AuditCorrupt(f"the checkpoint file is damaged ({error})") from None
    if not 0 <= seq < note.size:
        raise IndexError(f"the newest signed checkpoint covers records 0 to {note.size - 1}, not {seq}")
    blocks: list[bytes] = []
    mine: list[bytes] = []
    payload = b""
    leaves: list[bytes] = []
    for number, stored in enumerate(reader.payloads(directory)):
        if number == note.size:
            break
        if number == seq:
            payload = bytes(stored)
        leaves.append(merkle.leaf_hash(bytes(stored)))
        if len(leaves) == _BLOCK or number + 1 == note.size:
            blocks.append(merkle.root_of(leaves))
            mine = leaves if number // _BLOCK == seq // _BLOCK else mine
            leaves = []
    if merkle.root_of(blocks) != note.root:
        raise AuditCorrupt("the records are not those that the checkpoint states; run `proxyplane audit verify`")
    path = merkle.inclusion_path(mine, seq % _BLOCK) + merkle.inclusion_path(blocks, seq // _BLOCK)
    return Proof(payload, seq, tuple(path), note)
