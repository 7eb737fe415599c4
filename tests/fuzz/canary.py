"""Values that may never cross, and the forms in which they could."""

from __future__ import annotations

import base64
import re
import secrets
import struct
from collections.abc import Iterable, Iterator

__all__ = ["finder", "numbers", "texts"]


def texts(count: int) -> list[str]:
    """Random texts that occur nowhere else."""
    return [f"Canary{secrets.token_hex(6)}" for _ in range(count)]


def numbers(count: int) -> list[int]:
    """Random integers, too large for anybody to count up to or to allocate."""
    return [(1 << 61) + secrets.randbelow(1 << 60) for _ in range(count)]


def finder(values: Iterable[str | int]) -> re.Pattern[bytes]:
    """A pattern that finds any of the values in bytes, however it is encoded."""
    forms = {form for value in values for form in _forms(value) if len(form) >= 7}
    return re.compile(b"|".join(map(re.escape, sorted(forms, key=len, reverse=True))))


def _forms(value: str | int) -> Iterator[bytes]:
    if isinstance(value, int):
        yield from _forms(str(value))
        for order in ("little", "big"):  # as in an array, and as of msgpack
            yield value.to_bytes(8, order)  # type: ignore[arg-type]
        yield struct.pack(">d", value)
        yield struct.pack("<d", value)
        yield repr(float(value)).encode()
        yield f"{value:,}".encode()
        yield f"{value:_}".encode()
        yield f"{value:x}".encode()
        return
    raw = value.encode()
    yield raw
    yield raw[::-1]
    yield value.upper().encode()
    yield value.lower().encode()
    yield value.encode("utf-16-le")
    yield value.encode("utf-16-be")
    yield value.encode("utf-32-le")
    yield raw.hex().encode()
    yield ",".join(map(str, raw)).encode()
    yield ", ".join(map(str, raw)).encode()
    for skipped in range(3):
        coded = base64.b64encode(b"\0" * skipped + raw).rstrip(b"=")
        yield coded[-(-skipped * 4 // 3) + (skipped > 0) : -2]
