"""docs/fidelity.md says what was measured."""

from __future__ import annotations

import json

from benchmarks import page


def test_the_page_is_what_was_measured() -> None:
    """Its table and its list are those of the kept numbers: nobody wrote them by hand."""
    text = page.PAGE.read_text()
    assert page.render(json.loads(page.KEPT.read_text()), text) == text


def test_every_difference_in_pandas_has_a_cause() -> None:
    """Each example that is listed says why, and there are at most 14 of them, 0.2 %."""
    misses = json.loads(page.KEPT.read_text())["pandas"]["misses"]
    assert len(misses) <= 14
    assert [name for name, _ in misses if page.cause_of(name) is None] == []


def test_shares_are_never_rounded_up() -> None:
    """99.999 % is not written as 100 %, and code in a cell does not break the table."""
    results = {"pandas": {"examples": 100_000, "good": 99_999, "misses": [["x:1", "a | b"]]}}
    found = page.render(results, page.PAGE.read_text())
    assert "| 100,000 | 99.99 % |" in found
    assert "x:1: `a \\| b` | not known yet |" in found
