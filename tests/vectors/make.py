"""Makes the golden log, proof and answers of this folder: `python tests/vectors/make.py FOLDER`.

Everything is fixed (keys, name, clock), so the same bytes come out each time; `test_audit_vectors.py` compares. Run it
again, into this folder, only when the format changes on purpose, together with the format's version.
"""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path

from proxyplane.audit import keys, notes, prove, read, segments, verify
from proxyplane.audit.record import Encoder, Hashed
from proxyplane.audit.storage import Storage
from proxyplane.audit.store import SegmentStore

LOG_ID = bytes(range(16))
SIGNING, SECRET = b"\x11" * 32, b"\x22" * 32
TIME = 1_767_225_600_000_000_000
PROVED = 7


def records() -> list[dict[str, object]]:
    """One record of each kind, and a few effects."""
    ids = [bytes([0] * 6 + [0x70, 0] + [0x80, 0, 0, 0, 0, 0, 0, number]) for number in range(16)]
    shared = {"session": "s-1", "agent": "analyst-1"}
    effect = {
        "kind": "effect",
        **shared,
        "origin": "guest",
        "via": "socket",
        "target": {"id": 7, "version": 0, "name": "df"},
    }
    code = {"code_sha256": bytes(32)}
    made: list[dict[str, object]] = [
        {"kind": "policy.load", "policy": {"digest": bytes(32), "generation": 1, "mode": "enforce"}},
        {"kind": "session.open", **shared, "detail": {"tier": "sealed", "objects": ["df"]}},
        {"kind": "grant", **shared, "cap": "df"},
        {"kind": "code", **shared, "where": code, "detail": {"text": "df.head()\n", "part": 0, "parts": 1}},
        {**effect, "phase": "single", "verb": "getattr", "member": "shape", "effects": {"declared": ["read"]},
         "verdict": "allow", "rule": "look", "status": "ok", "where": {"line": 1, **code}},
        {**effect, "phase": "intent", "verb": "setitem", "args": [{"at": 0, "form": "value", "hmac": Hashed("ssn")}]},
        {**effect, "phase": "outcome", "verb": "setitem", "status": "error",
         "error": {"type": "KeyError", "code": "raised"}},
        {**effect, "phase": "single", "verb": "call", "member": "head", "effects": {"declared": ["reveal"]},
         "verdict": "deny", "reason": "budget", "status": "denied", "result": {"crossing": "none", "rows": 0}},
        {"kind": "observed", **shared, "status": "panic", "reason": "GuestCrashed"},
        {"kind": "approval", **shared, "approval": {"id": "a", "by": "operator", "at": TIME, "scope": "call"}},
        {"kind": "degraded", "reason": "break-glass"},
        {"kind": "revoke", **shared, "cap": "df"},
        {"kind": "session.close", **shared, "reason": "closed", "for": "a person", "trace": b"\x01" * 16,
         "span": b"\x02" * 8},
    ]  # fmt: skip
    return [{**record, "id": ids[at], "op": ids[at], "time": TIME + at, "mono": at} for at, record in enumerate(made)]


def prepare(place: Path) -> None:
    """A log that has its name and keys and nothing else."""
    place.mkdir(mode=0o700, parents=True)
    (place / "keys").mkdir(mode=0o700)
    for name, data in (("ed25519", SIGNING), ("hmac", SECRET)):
        (place / "keys" / name).touch(0o600)
        (place / "keys" / name).write_bytes(data)
    signer = keys.Signer(notes.origin_of(LOG_ID), SIGNING, SECRET)
    (place / "log.pub").write_bytes(signer.public.line().encode() + b"\n")


def make(folder: Path) -> None:
    """The whole folder."""
    place = folder / "log"
    prepare(place)
    encoder = Encoder()
    for first in (0, 9):  # the second opening follows a writer that was killed
        store = SegmentStore(Storage(str(place)), segment_bytes=1200, wall=lambda: TIME)
        for seq, record in list(enumerate(records()))[first : 9 if not first else None]:
            payload = encoder.encode(record, seq)
            frame = segments.sealed_frame(payload, encoder.secrets) if encoder.secrets else segments.frame(payload)
            store.append(frame)
        if first:
            store.close(segments.CLOSE)
        else:
            store.sync()
            store.abandon()
    shutil.rmtree(place / "keys")
    (folder / "records.json").write_text(json.dumps(list(read(place)), indent=1) + "\n", encoding="ascii")
    (folder / f"record-{PROVED}.tlog-proof").write_bytes(prove(place, PROVED).text())
    (folder / "verdict.txt").write_text(f"{verify(place)}\nroot {verify(place).root}\n", encoding="ascii")


if __name__ == "__main__":
    make(Path(sys.argv[1]))
