"""The audit log: every operation is recorded before its result exists for the agent.

    log       AuditLog: open, append, sync, close            verify    recomputes a log from its bytes
    link      the host's end: ring, socket, writer process   reader    read, tail, follow
    record    schema 1: fields, encoder, decoder             segments  byte layouts, frames, chain
    ring      shared memory between host and writer          writer    the log-writer process
    store     recover, append, checkpoint, rotate, sync      storage   system calls on the directory

The format is described in `docs/audit-format.md`.
"""

from proxyplane.audit.log import AuditLog
from proxyplane.audit.reader import follow, read, tail
from proxyplane.audit.verify import Verdict, verify

__all__ = ["AuditLog", "Verdict", "follow", "read", "tail", "verify"]
