"""Tables, policies and readings that tests of the road share."""

from __future__ import annotations

from typing import Any

import pandas as pd

from proxyplane.sessions import Session

ANALYST = """
schema = 1
default = "deny"

[objects.sales]
hide = ["ssn"]

[modules]
host = ["pandas", "numpy"]

[budgets.revealed_rows]
limit = 500

[[rules]]
id     = "work"
agent  = "*"
object = "*"
effect = ["read", "compute", "mutate", "callback", "display"]
decide = "allow"

[[rules]]
id     = "show"
agent  = "*"
object = "*"
effect = ["reveal"]
when   = { rows = "<= 100" }
charge = { revealed_rows = "rows" }
decide = "allow"

[[rules]]
id     = "no-outside-world"
effect = ["fs.*", "net", "process", "exec"]
decide = "deny"
reason = "nothing leaves this machine"
"""


def sales(rows: int = 6) -> pd.DataFrame:
    """A small table with one column to hide."""
    return pd.DataFrame(
        {
            "region": [["north", "south", "east"][n % 3] for n in range(rows)],
            "amount": [float(n * 10) for n in range(rows)],
            "units": list(range(rows)),
            "ssn": [f"SECRET-{n:04d}-canary" for n in range(rows)],
        }
    )


def records(session: Session) -> list[dict[str, Any]]:
    """The effect records of a session on an in-memory log, in order."""
    return [
        record
        for record in session.plane.log.records()
        if record.get("session") == session.id and record["kind"] == "effect"
    ]
