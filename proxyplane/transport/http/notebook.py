"""The cells of a session, kept as a notebook that a person can open and run again (marimo's file format).

Every run of an agent is a cell. In a marimo notebook a name is defined in one cell only, so where cells define a name
again, they and all between them become one cell of the file; imports are gathered in the first one.
"""

from __future__ import annotations

import ast
import os
import secrets
import symtable
import textwrap
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, NamedTuple

__all__ = ["Cell", "Notebook"]

_MOST_CELLS: Final = 1000
_MOST_SHOWN: Final = 100
"""Cells, the newest, whose outputs are kept."""
_HEAD: Final = "import marimo\n\napp = marimo.App()\n"
_TAIL: Final = '\n\nif __name__ == "__main__":\n    app.run()\n'
_COMPREHENSIONS: Final = frozenset({"genexpr", "listcomp", "setcomp", "dictcomp", "lambda"})


class Cell(NamedTuple):
    """One cell: its code, and what its last run came to."""

    code: str
    ran: bool = False
    ok: bool | None = None
    outputs: tuple[dict[str, Any], ...] = ()

    def described(self, index: int) -> dict[str, Any]:
        """For a list of cells."""
        summary = {"success": self.ok} if self.ran else None
        told = {"index": index, "kind": "code", "languageId": "python", "code": self.code}
        return told | {"executionSummary": summary, "outputs": list(self.outputs)}


class Notebook:
    """The cells of one session, and their file.

    Args:
        name: of the file, without its ending.
        folder: where it is written, after each change; None keeps it in memory.
        sources: files from which granted objects came, by name: the first cell of the file loads them.
    """

    def __init__(self, name: str, *, folder: Path | None = None, sources: Mapping[str, str] | None = None) -> None:
        self._file = None if folder is None else folder / f"{name}.py"
        self.path = str(self._file) if self._file is not None else f"{name}.py"
        """Of the file; a bare name where there is none."""
        self._sources = dict(sources or {})
        self.fault = ""
        """Why the last cell could not be kept."""
        self._cells: list[Cell] = []
        self._lock = threading.Lock()

    @property
    def cells(self) -> list[Cell]:
        """All cells, in order."""
        return list(self._cells)

    def add(self, cell: Cell, index: int | None = None) -> int:
        """Put a cell at its place, by default the end; its index.

        Raises:
            ValueError: there are too many.
        """
        with self._lock:
            if len(self._cells) >= _MOST_CELLS:
                raise ValueError(f"a notebook holds {_MOST_CELLS} cells at most; delete some")
            place = len(self._cells) if index is None else index
            self._cells.insert(place, cell)
            faded = len(self._cells) - _MOST_SHOWN - 1
            if faded >= 0:
                self._cells[faded] = self._cells[faded]._replace(outputs=())
            self._save()
            return place

    def put(self, index: int, cell: Cell) -> None:
        """Replace a cell."""
        with self._lock:
            self._cells[index] = cell
            self._save()

    def drop(self, index: int) -> None:
        """Delete a cell."""
        with self._lock:
            del self._cells[index]
            self._save()

    def text(self) -> str:
        """The file: what ran well, in order, and what has not run yet."""
        kept = [cell.code for cell in self._cells if cell.code.strip() and cell.ok is not False]
        first, bodies = gathered(kept)
        if self._sources:
            first = ["from proxyplane.loading import load", *first]
        cells = ["\n".join(first)] if first else []
        cells += [f"{name} = load({path!r})" for name, path in self._sources.items()]
        cells += merged([body for body in bodies if body.strip()])
        return _HEAD + "".join(_function(body) for body in cells) + _TAIL

    def _save(self) -> None:
        if self._file is None:
            return
        draft = self._file.with_name(f".{self._file.name}.{secrets.token_hex(4)}")
        with open(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
            file.write(self.text())
        os.replace(draft, self._file)


def gathered(codes: list[str]) -> tuple[list[str], list[str]]:
    """Import statements at the top level of cells, each once, and the cells without them.

    An import stays where it is when its line holds something else, or binds a name that something else binds too.
    """
    kept: set[str] = set()
    while True:
        found, bodies = _gathered(codes, kept)
        twice = found.keys() & {name for body in bodies for name in defined(body)}
        if not twice:
            return list(dict.fromkeys(found.values())), bodies
        kept |= twice


def _gathered(codes: list[str], kept: set[str]) -> tuple[dict[str, str], list[str]]:
    found: dict[str, str] = {}
    bodies = []
    for code in codes:
        lines = code.split("\n")
        for node in _parsed(code).body:
            if not isinstance(node, ast.Import | ast.ImportFrom) or _shares_a_line(node, code):
                continue
            names = [(alias.asname or alias.name).partition(".")[0] for alias in node.names]
            text = ast.unparse(node)
            if "*" in names or not kept.isdisjoint(names) or any(found.get(name, text) != text for name in names):
                continue
            found |= dict.fromkeys(names, text)
            for line in range(node.lineno - 1, (node.end_lineno or node.lineno)):
                lines[line] = ""
        bodies.append("\n".join(lines).strip("\n"))
    return found, bodies


def _parsed(code: str) -> ast.Module:
    try:
        return ast.parse(code)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return ast.Module([], [])


def _shares_a_line(node: ast.stmt, code: str) -> bool:
    segment = ast.get_source_segment(code, node) or ""
    lines = code.split("\n")[node.lineno - 1 : node.end_lineno]
    return "\n".join(lines).split("#")[0].strip() != segment.split("#")[0].strip()


def merged(codes: list[str]) -> list[str]:
    """The same cells, where those that define a name again are one with the first that did, and with all between."""
    groups: list[list[str]] = []
    home: dict[str, int] = {}
    for code in codes:
        names = defined(code)
        at = min([home[name] for name in names if name in home], default=len(groups))
        tail = [part for group in groups[at:] for part in group]
        for name, place in home.items():
            if place > at:
                home[name] = at
        groups[at:] = [[*tail, code]]
        home |= {name: home.get(name, at) for name in names}
    return ["\n\n".join(group) for group in groups]


def defined(code: str) -> set[str]:
    """Names that a cell defines at its top level, as marimo counts: all but those that begin with `_`."""
    try:
        table = symtable.symtable(code, "<cell>", "exec")
    except (SyntaxError, ValueError, RecursionError):
        return set()
    found = {symbol.get_name() for symbol in table.get_symbols() if symbol.is_assigned() or symbol.is_imported()}
    found |= {child.get_name() for child in table.get_children() if child.get_name() not in _COMPREHENSIONS}
    return {name for name in found if not name.startswith("_")}


def used(code: str) -> set[str]:
    """Names that a cell takes from others."""
    try:
        table = symtable.symtable(code, "<cell>", "exec")
    except (SyntaxError, ValueError, RecursionError):
        return set()
    waiting, found = [table], set()
    while waiting:
        scope = waiting.pop()
        waiting += scope.get_children()
        found |= {s.get_name() for s in scope.get_symbols() if s.is_global() and s.is_referenced()}
        if scope is table:
            found |= {s.get_name() for s in scope.get_symbols() if s.is_referenced() and not s.is_assigned()}
    return {name for name in found if not name.startswith("_") and name not in _BUILTINS}


_BUILTINS: Final = frozenset(dir(__import__("builtins")))


def _function(code: str) -> str:
    """A cell as marimo writes it: a function of what it uses that gives what it defines."""
    if _parsed(code).body == [] and code.strip():  # it never ran: kept as text
        code = "\n".join(f"# {line}" for line in code.splitlines())
    names = defined(code)
    takes = ", ".join(sorted(used(code) - names))
    gives = ", ".join(sorted(names))
    returned = f"    return ({gives},)\n" if names else "    return\n"
    is_async = "async " if _awaits(code) else ""
    return f"\n\n@app.cell\n{is_async}def _({takes}):\n{_indented(code)}\n{returned}"


def _awaits(code: str) -> bool:
    waiting: list[ast.AST] = list(_parsed(code).body)
    while waiting:
        node = waiting.pop()
        if isinstance(node, ast.Await | ast.AsyncFor | ast.AsyncWith):
            return True
        if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef | ast.Lambda):
            waiting += ast.iter_child_nodes(node)
    return False


def _indented(code: str) -> str:
    """The code one level deeper, its texts of several lines left as they are."""
    inside: set[int] = set()
    for node in ast.walk(_parsed(code)):
        if isinstance(node, ast.Constant | ast.JoinedStr) and (node.end_lineno or 0) > node.lineno:
            inside |= set(range(node.lineno + 1, (node.end_lineno or 0) + 1))
    lines = code.split("\n")
    done = [line if at in inside else textwrap.indent(line, "    ") for at, line in enumerate(lines, start=1)]
    return "\n".join(done)
