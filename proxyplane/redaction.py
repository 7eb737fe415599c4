"""Redaction: what a policy lets an agent see only in part. Applied where content crosses, and nowhere else.

What shows the object itself (its repr, its cells, a text made of it) is performed on a redacted copy; what shows a
result has the result redacted. What can be redacted in neither way is refused. The agent is told by a warning.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from typing import Any

from proxyplane.columns import Columns
from proxyplane.decisions import Facts, Redaction
from proxyplane.hosts.redacted import CannotRedact, redacted
from proxyplane.warned import Heard

__all__ = ["CannotRedact", "Masks", "capped", "needed", "redacted", "told"]


class Masks:
    """Tokens in place of masked cells: equal cells have equal tokens, for one session only.

    HMAC-SHA-256 with a key that is never stored; who sees tokens learns which cells are equal, and no cell.
    """

    __slots__ = ("_key",)

    def __init__(self) -> None:
        self._key = secrets.token_bytes(32)

    def token(self, value: Any) -> str:
        """The token of a cell."""
        text = f"{type(value).__name__}:{value!r}" if not isinstance(value, int | float | bool) else f"n:{value!r}"
        digest = hmac.new(self._key, text.encode("utf-8", "surrogatepass"), hashlib.sha256).hexdigest()
        return f"masked-{digest[:12]}"


def needed(redaction: Redaction, columns: Columns, facts: Facts) -> Redaction | None:
    """What of a redaction has anything to do for this content; None when nothing has.

    Args:
        redaction: what the policy demands.
        columns: where the content came from.
        facts: how much it is.
    """
    rows = (
        redaction.rows if redaction.rows is not None and (facts.rows is None or facts.rows > redaction.rows) else None
    )
    mask = redaction.mask & columns.every
    if rows is None and not mask and redaction.digits is None:
        return None
    return redaction._replace(rows=rows, mask=mask)


def capped(facts: Facts, redaction: Redaction | None) -> Facts:
    """How much is left of the content once it is redacted."""
    if redaction is None or redaction.rows is None or facts.rows is None or facts.rows <= redaction.rows:
        return facts
    share = redaction.rows
    cells = None if facts.cells is None else -(-facts.cells * share // max(facts.rows, 1))
    size = None if facts.bytes is None else -(-facts.bytes * share // max(facts.rows, 1))
    return facts._replace(rows=share, cells=cells, bytes=size)


def told(redaction: Redaction) -> Heard:
    """The warning with which the agent learns that it sees less than there is."""
    parts = []
    if redaction.rows is not None:
        parts.append(f"only the first {redaction.rows} rows are shown")
    if redaction.mask:
        parts.append(f"tokens are shown in place of {', '.join(sorted(redaction.mask))}")
    if redaction.digits is not None:
        parts.append(f"numbers are rounded to {redaction.digits} digits")
    if redaction.min_group is not None:
        parts.append(f"groups of fewer than {redaction.min_group} rows are put together")
    text = "redacted by the policy: " + "; ".join(parts)
    words = compile(repr(text), "<policy>", "eval")  # all words of the text are the policy's own
    return Heard(UserWarning, UserWarning(text), (words,))
