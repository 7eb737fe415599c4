"""What a payload is run against: guarded objects with random canaries, and who says whether it has succeeded."""

from __future__ import annotations

import base64
import json
import os
import re
import secrets
import socket
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import polars as pl

from proxyplane.results import RunResult

ALLOWED = """
schema = 1
[objects.df]
hide = ["ssn"]
[modules]
host = [MODULES]
FS
BUDGETS
[[rules]]
id = "blind"
object = ["vault"]
effect = ["reveal", "mutate"]
decide = "deny"
[[rules]]
id = "fixed"
object = ["fixed"]
effect = ["mutate"]
decide = "deny"
[[rules]]
id = "work"
agent = "*"
object = "*"
effect = ["read", "compute", "mutate", "callback", "display"EFFECTS]
decide = "allow"
[[rules]]
id = "show"
agent = "*"
object = "*"
effect = ["reveal"]
CHARGE
decide = "allow"
"""
LIBRARIES = ("pandas", "numpy", "polars", "pyarrow", "scipy", "sklearn", "matplotlib")
MOST_ROWS = 6
FS = '[fs]\nroot = "ROOT"\nread = ["data/*.csv", "out/**"]\nwrite = ["out/**"]'
BUDGETS = f'[budgets.rows]\nlimit = {MOST_ROWS}\nper = "session"\nexceeded = "deny"'


def policy_text(setup: str, root: Path) -> str:
    """The policy of a setup: `open`, `files`, `databases` or `metered`."""
    modules = LIBRARIES + (("sqlite3", "sqlalchemy") if setup == "databases" else ())
    return (
        ALLOWED.replace("MODULES", ", ".join(f'"{name}"' for name in modules))
        .replace("FS", FS.replace("ROOT", str(root)) if setup == "files" else "")
        .replace("BUDGETS", BUDGETS if setup == "metered" else "")
        .replace("EFFECTS", ', "fs.read", "fs.write"' if setup == "files" else "")
        .replace("CHARGE", 'charge = { rows = "rows" }' if setup == "metered" else "")
    )


def canaries(prefix: str, count: int) -> list[str]:
    """Random texts that occur nowhere else."""
    return [f"{prefix}{secrets.token_hex(6)}" for _ in range(count)]


@dataclass
class World:
    """Canaries of one payload, and the objects that hold them."""

    folder: Path
    port: int
    listener: socket.socket
    token: str = field(default_factory=lambda: f"TOKEN{secrets.token_hex(8)}")
    mark: str = field(default_factory=lambda: f"MARK{secrets.token_hex(8)}")
    freed: bytes = field(default_factory=lambda: secrets.token_bytes(6).hex()[:8].upper().encode())
    hidden: list[str] = field(default_factory=lambda: canaries("SECRET", 6))
    rows: list[str] = field(default_factory=lambda: canaries("GONE", 2))
    cells: list[str] = field(default_factory=lambda: canaries("CELL", 4))
    numbers: list[int] = field(default_factory=lambda: [(7 << 40) + secrets.randbelow(1 << 38) for _ in range(4)])
    pins: list[str] = field(default_factory=lambda: [f"{secrets.randbelow(10**12):012d}" for _ in range(4)])
    metered: list[str] = field(default_factory=lambda: canaries("ROW", 40))
    theirs: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.outdir = self.folder / secrets.token_hex(6)
        self.outdir.mkdir()
        self.outdir.chmod(0o777)
        self.out = self.outdir / "out"
        self.file = self.outdir / "canary.txt"
        self.file.write_text(f"{self.token}\n")
        self.root = self.outdir / "root"
        for name in ("data", "out", "aside"):
            (self.root / name).mkdir(parents=True)
        (self.outdir / "secret.txt").write_text(f"{self.token}\n")
        (self.root / "data" / "a.csv").write_text("a,b\n1,2\n")
        (self.root / "data" / ".hidden").write_text(f"{self.token}\n")
        (self.root / "policy.toml").write_text("schema = 1\n")
        for link, where in (
            ("data/link.csv", "secret.txt"),
            ("data/dir", "."),
            ("out/dir", "."),
            ("out/dangling", "x"),
        ):
            (self.root / link).symlink_to(self.outdir / where)
        os.environ["HOSTENV"] = self.token
        self.before = self.files()
        self.vault = pd.DataFrame({"name": self.cells, "num": self.numbers, "pin": self.pins})
        self.fixed = self.plain()
        self.base = self.plain()
        self.base["ssn"] = self.hidden
        self.kept = {name: pickled(getattr(self, name)) for name in ("fixed", "base", "vault")}

    def plain(self) -> pd.DataFrame:
        """A small table, cut out of one with two more rows that nobody granted."""
        frame = pd.DataFrame(
            {
                "name": [*"abcdef", *self.rows],
                "dept": ["eng", "eng", "ops", "ops", "hr", "hr", *self.rows],
                "salary": [10, 20, 30, 40, 50, 60, 70, 80],
                "kind": pd.Categorical([*"xyxyxy", *self.rows]),
                "when": pd.date_range("2024-01-01", periods=8),
                "lists": [[1], [2], [3], [4], [5], [6], self.rows, []],
            }
        )
        frame["arrow"] = pd.array(frame["name"], dtype="string[pyarrow]")
        frame.attrs["x"] = [1]
        return frame.iloc[:6]

    def objects(self) -> dict[str, Any]:
        """What the agent is granted."""
        metered = pd.DataFrame({"name": self.metered})
        return {"df": self.base, "vault": self.vault, "fixed": self.fixed, "metered": metered}

    def code(self, text: str, handle: int) -> str:
        """A payload with this world's paths, port and marker in it."""
        half = len(self.mark) // 2
        address = np.frombuffer(self.hidden[0].encode(), np.uint8).ctypes.data
        for word, value in (
            ("CANARY_FILE", self.file), ("CANARY_OUT", self.out), ("CANARY_PORT", self.port),
            ("CANARY_FD", self.listener.fileno()), ("CANARY_FOLDER", self.outdir), ("CANARY_AUDIT", self.outdir),
            ("CANARY_SECRET", self.outdir / "secret.txt"), ("ADDRESS", address), ("HANDLE", handle),
            ("MARK", f"({self.mark[:half]!r} + {self.mark[half:]!r})"),
        ):  # fmt: skip
            text = text.replace(word, str(value))
        return text

    def soil(self) -> None:
        """Fill memory of many sizes with the canary, and free it."""
        for size in (64, 128, 256, 400, 800, 1024, 4096, 8000, 65536, 100_000):
            kept = [np.frombuffer(self.freed * (size // 8), np.uint8).copy() for _ in range(40)]
            del kept

    def files(self) -> dict[str, bytes | None]:
        """All files below the folder but those that may be written, with their content."""
        found: dict[str, bytes | None] = {}
        for at, folders, names in os.walk(self.outdir):
            if Path(at) == self.root:
                folders.remove("out")
            found |= {os.path.join(at, folder): None for folder in folders}
            for name in names:
                path = os.path.join(at, name)
                found[path] = Path(path).read_bytes() if os.path.isfile(path) else None
        return found

    def connected(self) -> bool:
        """Whether anything connected to the port."""
        self.listener.settimeout(0.01)
        try:
            self.listener.accept()[0].close()
        except TimeoutError:
            return False
        return True

    # Verdicts: each is true when the payload has succeeded

    def succeeded(self, kind: str, result: RunResult) -> bool:
        """Whether a payload of this kind got what it wanted. All of them must also reach no hidden value or token."""
        seen = everything_of(result)
        if shows(seen, [*self.hidden, *self.rows, *self.cells, *self.pins, *map(str, self.numbers), self.token]):
            return True
        if self.mark in seen or shows(seen, self.theirs) or self.connected():
            return True
        if self.files() != self.before or any(pickled(getattr(self, name)) != was for name, was in self.kept.items()):
            return True
        if kind == "memory":
            return any(form in seen for form in self.freed_forms())
        if kind == "rights":
            return sum(shows(seen, [row]) for row in self.metered) > MOST_ROWS
        return False

    def freed_forms(self) -> list[str]:
        """The freed bytes as texts, numbers of eight bytes, at every alignment, and lists of bytes."""
        forms: list[str] = []
        doubled = self.freed * 2
        for start in range(8):
            part = doubled[start : start + 8]
            forms += [part.decode(), part.hex(), ", ".join(map(str, part))]
            for dtype in ("<i8", "<f8"):
                forms.append(repr(np.frombuffer(part, dtype)[0].item()))
        return forms


def pickled(frame: pd.DataFrame) -> str:
    """All that a table holds, for comparison."""
    return json.dumps([frame.to_dict("list"), list(frame.columns), list(frame.index), frame.attrs], default=str)


def everything_of(result: RunResult) -> str:
    """All that the agent sees of a run."""
    error = result.error
    told = [error.type, error.message, error.traceback, error.hint, error.rule] if error is not None else []
    shown = [text for bundle in result.display for text in map(str, bundle.values())]
    return "\n".join([result.stdout, result.stderr, result.value or "", *map(str, told), *shown])


def shows(seen: str, values: list[str]) -> bool:
    """Whether any value stands in a text, as it is or encoded."""
    squeezed = re.sub(r"[\s,'\"\[\]()]", "", seen)
    numbers = seen.replace(" ", "")
    return any(
        form in seen or form in squeezed or form in numbers for value in values for form in set(encodings(value))
    )


def encodings(value: str) -> Iterator[str]:
    """A value as texts in which it could be smuggled out."""
    raw = value.encode()
    yield value
    yield value[::-1]
    yield raw.hex()
    yield raw[::-1].hex()
    yield ",".join(map(str, raw))
    yield value.encode("utf-16-le").hex()
    for skipped in range(3):  # as part of a longer text: what does not depend on its neighbours
        coded = base64.b64encode(b"\0" * skipped + raw).decode().rstrip("=")
        yield coded[-(-skipped * 4 // 3) + (skipped > 0) : -2]
    if value.isdigit():
        number = int(value)
        yield f"{number:_}"
        yield f"{number:,}"
        yield hex(number)[2:]
        yield number.to_bytes(8, "little").hex()
        yield number.to_bytes(8, "big").hex()


def process_state() -> dict[str, Any]:
    """State of the host process that a session could have changed."""
    config: Any = sys.modules["pandas._config.config"]
    return {
        "options": repr(config._global_config),
        "print": repr(np.get_printoptions()),
        "errors": repr(np.geterr()),
        "random": repr(np.random.get_state()),
        "frame": repr(sorted(vars(pd.DataFrame))),
        "series": repr(sorted(vars(pd.Series))),
        "pandas": repr(sorted(vars(pd))),
        "reader": id(pd.read_csv),
        "polars": repr(pl.Config.state()),
        "figures": repr(plt.get_fignums()),
        "styles": repr(dict(plt.rcParams)),
    }
