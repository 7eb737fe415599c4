"""Telling objects apart on the hot path."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

__all__ = ["identity"]

identity: Final[Callable[[Any], int]] = object.__hash__
"""A number that no other living object has, whatever its type says its hash is.

For keys that are made at each operation. `id()` raises an audit event, which costs a call of every audit hook of the
process (measured: 116 ns instead of 21 ns with the sentinel's); this raises none (38 ns).
"""
