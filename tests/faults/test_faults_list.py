"""The table of faults names tests that exist."""

from __future__ import annotations

import re
from pathlib import Path

TESTS = Path(__file__).parents[1]


def test_every_named_test_exists() -> None:
    """Each test in `README.md` of this folder is defined somewhere below `tests`."""
    named = set(re.findall(r"`(test_\w+)`", (TESTS / "faults" / "README.md").read_text(encoding="utf-8")))
    defined = {
        name
        for path in TESTS.rglob("test_*.py")
        for name in re.findall(r"^def (test_\w+)", path.read_text(encoding="utf-8"), re.MULTILINE)
    }
    assert len(named) > 30
    assert named <= defined, named - defined
