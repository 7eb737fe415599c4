"""The process that reads the audit log for a server, which itself cannot: a sealed host has no way to its log.

It is started by exec before the server holds data, and answers lines of JSON on one socket until that is closed:

    {"id": 1, "ask": "query", "wanted": {"agent": "a*"}, "after": 17, "limit": 100}
    {"id": 1, "ok": {"records": ["{...}", ...], "last": 230}}
"""

from __future__ import annotations

import json
import socket
import sys
import threading
from dataclasses import fields
from typing import Any, Final

from proxyplane.audit import prove, verify
from proxyplane.audit.export import json_line
from proxyplane.audit.query import Query, find_operation, query
from proxyplane.errors import AuditCorrupt

__all__ = ["FILTERS", "MOST", "main"]

FILTERS: Final = {field.name: str(field.type).partition(" ")[0] for field in fields(Query)}
"""What a query may ask for, with the type of each."""
MOST: Final = 1000
"""Records in one answer."""


def main(arguments: list[str]) -> int:
    """Answer until the other end is gone. Arguments: the audit directory, the number of the socket."""
    directory, number = arguments
    sock = socket.socket(fileno=int(number))
    lock = threading.Lock()

    def serve(asked: dict[str, Any]) -> None:
        try:
            reply = {"id": asked["id"], "ok": _answer(directory, asked)}
        except (OSError, AuditCorrupt, LookupError, ValueError) as error:
            reply = {"id": asked["id"], "error": str(error), "kind": type(error).__name__}
        with lock:
            sock.sendall(json.dumps(reply).encode() + b"\n")

    with sock, sock.makefile("rb") as lines:
        for line in lines:
            threading.Thread(target=serve, args=(json.loads(line),), daemon=True).start()
    return 0


def _answer(directory: str, asked: dict[str, Any]) -> Any:
    kind = asked["ask"]
    if kind == "verify":
        verdict = verify(directory)
        told = ("state", "text", "log_id", "records", "segments", "anchored", "live", "closed", "root")
        return {name: getattr(verdict, name) for name in told}
    if kind == "prove":
        return {"proof": prove(directory, int(asked["seq"])).text().decode("utf-8")}
    if kind == "operation":
        found = find_operation(directory, str(asked["operation"]))
        return {"records": [json_line(record) for record in found[:MOST]]}
    return _page(directory, asked)


def _page(directory: str, asked: dict[str, Any]) -> dict[str, Any]:
    after, limit = int(asked.get("after", -1)), min(int(asked.get("limit", 100)), MOST)
    records: list[str] = []
    last = after
    for record in query(directory, Query(**asked.get("wanted", {}))):
        if record["seq"] <= after:
            continue
        records.append(json_line(record))
        last = record["seq"]
        if len(records) >= limit:
            break
    return {"records": records, "last": last}


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
