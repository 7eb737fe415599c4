"""Sealed segments as Parquet, and SQL over a whole log. Needs the extra `analytics` (pyarrow, duckdb).

A segment that has a successor never changes again, so its Parquet copy is made once, into `index/` beside the other
things that can be made again; the last segment is read as it is. The copies are for asking, `verify` never reads them.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterable, Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any, Final

from proxyplane.audit import keys, reader, segments
from proxyplane.errors import AuditCorrupt

__all__ = ["COLUMNS", "sql", "to_parquet"]

COLUMNS: Final = {
    "seq": "uint64", "kind": "string", "phase": "string", "id": "string", "op": "string", "parent": "string",
    "time": "int64", "mono": "int64", "session": "string", "agent": "string", "verb": "string", "member": "string",
    "object": "string", "handle": "int64", "type": "string", "roots": "list", "labels": "list", "effects": "list",
    "undeclared": "list", "verdict": "string", "rule": "string", "reason": "string", "status": "string",
    "rows": "int64", "cells": "int64", "line": "int64", "code": "string", "record": "string",
}  # fmt: skip
"""Columns of the table `log` and their types; `record` is the whole record as JSON."""
_BATCH: Final = 50_000
_NEEDS: Final = "it needs pyarrow and duckdb; install proxyplane[analytics]"


def row_of(record: dict[str, Any]) -> dict[str, Any]:
    """A record (by its JSON names) as a row of the table."""
    target, effects = record.get("target") or {}, record.get("effects") or {}
    result, where = record.get("result") or {}, record.get("where") or {}
    row = {name: record.get(name) for name in COLUMNS}
    undeclared = effects.get("undeclared")
    row |= {
        "object": target.get("name"),
        "handle": target.get("id"),
        "type": target.get("type"),
        "roots": list(target.get("roots") or ()),
        "labels": list(target.get("labels") or ()),
        "effects": list(effects.get("declared") or ()),
        "undeclared": list(undeclared) if isinstance(undeclared, list) else [],
        "rows": result.get("rows"),
        "cells": result.get("cells"),
        "line": where.get("line"),
        "code": where.get("code_sha256"),
        "record": json.dumps(record, ensure_ascii=True, default=str),
    }
    return row


def _tables(records: Iterable[dict[str, Any]]) -> Iterator[Any]:
    import pyarrow as pa  # noqa: PLC0415 - an extra

    kinds = {"string": pa.string(), "int64": pa.int64(), "uint64": pa.uint64(), "list": pa.list_(pa.string())}
    schema = pa.schema([(name, kinds[kind]) for name, kind in COLUMNS.items()])
    rows: list[dict[str, Any]] = []
    for record in records:
        rows.append(row_of(record))
        if len(rows) >= _BATCH:
            yield pa.Table.from_pylist(rows, schema)
            rows = []
    yield pa.Table.from_pylist(rows, schema)


def to_parquet(directory: str | Path, folder: str | Path | None = None) -> list[Path]:
    """Writes each sealed segment that has no Parquet copy yet.

    Args:
        directory: the audit directory.
        folder: where the copies go; by default `index` in it.

    Returns:
        The copies of all sealed segments, in order.

    Raises:
        OSError, AuditCorrupt: as `reader.read`.
        ImportError: the extra is not installed.
    """
    target = Path(folder) if folder is not None else Path(directory) / "index"
    target.mkdir(mode=0o700, parents=True, exist_ok=True)
    numbers = sorted(n for n in map(segments.number_of, os.listdir(directory)) if n)
    log, made = _name_of(directory), []
    for number, following in pairwise(numbers):
        path = target / f"{log}-{number:08d}.parquet"
        if not path.exists():
            _write(path, reader.segment(directory, number, following))
        made.append(path)
    return made


def _name_of(directory: str | Path) -> str:
    """The log's own name, so that copies of another log that was here before are not taken for its."""
    try:
        return keys.public_keys((Path(directory) / keys.PUBLIC_NAME).read_bytes())[0].name.rpartition("/")[2]
    except ValueError as error:
        raise AuditCorrupt(f"the file log.pub is damaged ({error})") from None


def _write(path: Path, records: Iterable[dict[str, Any]]) -> None:
    import pyarrow.parquet as pq  # noqa: PLC0415 - an extra

    temporary = path.with_suffix(".new")
    writer = None
    try:
        for table in _tables(records):
            writer = writer or pq.ParquetWriter(temporary, table.schema, compression="zstd")
            writer.write_table(table)
    finally:
        if writer is not None:
            writer.close()
    temporary.replace(path)


def sql(directory: str | Path, statement: str) -> tuple[list[str], list[tuple[Any, ...]]]:
    """Asks a whole log in SQL: one statement over the table `log` (see `COLUMNS`).

    DuckDB runs in memory and, once the log is loaded, without access to files, network or extensions.

    Returns:
        Names of the columns, and rows.

    Raises:
        ValueError: DuckDB refuses the statement; its message.
        OSError, AuditCorrupt, ImportError: as `to_parquet`.
    """
    try:
        import duckdb  # noqa: PLC0415 - an extra
        import pyarrow  # noqa: F401, PLC0415
    except ImportError as error:
        raise ImportError(_NEEDS) from error
    copies = to_parquet(directory)
    numbers = sorted(n for n in map(segments.number_of, os.listdir(directory)) if n)
    base = duckdb.connect(":memory:")
    try:
        names: list[str] = []
        for place, table in enumerate(_tables(reader.segment(directory, numbers[-1], None) if numbers else ())):
            base.register(f"newest_{place}", table)
            names.append(f"newest_{place}")
        parts = [f"select * from {name}" for name in names]  # noqa: S608 - our own names
        if copies:
            listed = ", ".join("'" + str(path).replace("'", "''") + "'" for path in copies)
            parts.append(f"select * from read_parquet([{listed}])")  # noqa: S608 - our own file names
        whole = " union all ".join(parts)
        base.execute(f"create table log as {whole}")
        base.execute("set enable_external_access=false")
        base.execute("set lock_configuration=true")
        found = base.execute(statement)
        return [item[0] for item in found.description or []], found.fetchall()
    except duckdb.Error as error:
        raise ValueError(re.sub(r"\s+", " ", str(error))) from None
    finally:
        base.close()
