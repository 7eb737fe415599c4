"""The audit log: every operation is recorded before its result exists for the agent.

    log       AuditLog: open, append, sync, close            verify    recomputes a log from its bytes
    link      the host's end: ring, socket, writer process   reader    read, tail, follow
    record    schema 1: fields, encoder, decoder             segments  byte layouts, frames, checkpoints
    ring      shared memory between host and writer          writer    the log-writer process
    store     recover, append, checkpoint, rotate, sync      storage   system calls on the directory
    merkle    the tree of RFC 6962 and its proofs            mirror    the same on two directories
    notes     C2SP signed notes                              keys      signing and hashing
    anchors   checkpoints that others keep                   proofs    one record with its proof
    standalone  a verifier in one file, without the rest

The format is described in `docs/audit-format.md`.
"""

from proxyplane.audit.anchors import anchor
from proxyplane.audit.log import AuditLog
from proxyplane.audit.proofs import Proof, prove
from proxyplane.audit.reader import follow, read, tail
from proxyplane.audit.verify import Verdict, verify

__all__ = ["AuditLog", "Proof", "Verdict", "anchor", "follow", "prove", "read", "tail", "verify"]
