"""`proxyplane catalog check`, `show` and `list`: what is known of libraries, and files that tell of further ones."""

from __future__ import annotations

import importlib.metadata
import sys
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from proxyplane.catalog import LIBRARIES, Catalog, Denial, Entry
from proxyplane.catalogs.check import against, mistakes
from proxyplane.cli.problems import Exit, Problem, guess
from proxyplane.cli.terminal import put
from proxyplane.errors import CatalogError

__all__ = ["check_file", "list_catalogs", "show_lines"]

_SHOWN = 20


def check_file(path: Path, module: str | None) -> Exit:
    """Tell every mistake of a catalog file.

    Args:
        path: the file.
        module: a module to compare it with; it is imported, so code of it runs.

    Returns:
        0 when it can be used, 1 when something is wrong.

    Raises:
        Problem: no such file or module.
    """
    try:
        text = path.read_bytes()
    except OSError as error:
        raise Problem(f"{path} cannot be read: {error.strerror}") from error
    wrong = mistakes(path.name, text, LIBRARIES)
    missing: list[str] = []
    if not wrong and module is not None:
        sys.path.insert(0, "")
        try:
            wrong, missing = against(path.name, text, module)
        except ImportError as error:
            raise Problem(
                f"there is no module {module!r} here", hint="install it where proxyplane is installed"
            ) from error
        finally:
            sys.path.remove("")
    for each in wrong:
        put(f"{each}\n")
    if missing:
        more = ", ..." if len(missing) > _SHOWN else ""
        put(f"{path.name}: not described, so refused: {', '.join(missing[:_SHOWN])}{more}\n")
    if wrong:
        put(f"{len(wrong)} {'mistake' if len(wrong) == 1 else 'mistakes'}\n")
        return Exit.FAILED
    put(f"{path.name}: {_counted(tomllib.loads(text.decode()))}\n")
    return Exit.OK


def show_lines(name: str, files: tuple[Path, ...]) -> Exit:
    """Print what is known of a module, a type or a member.

    Args:
        name: such as `pandas.DataFrame.to_csv`, `pandas.DataFrame` or `pandas`.
        files: further catalog files.

    Raises:
        Problem: no catalog speaks of it, or a file has mistakes.
    """
    catalog = load(files)
    lines = catalog.lines(name)
    if lines is not None:
        for member in sorted(lines, key=lambda each: (each.startswith("__"), each)):
            put(f"{member:<24} {told(lines[member])}\n")
        return Exit.OK
    owner, _, member = name.rpartition(".")
    lines = catalog.lines(owner) if owner else None
    if lines is None:
        raise Problem(f"no catalog speaks of {name!r}, so it is refused", hint=guess(name, LIBRARIES, of="libraries"))
    line = lines.get(member)
    if line is None:
        raise Problem(f"{owner} has no line for {member!r}, so it is refused", hint=guess(member, lines, of=owner))
    put(f"{line.name}\n  {told(line)}\n")
    return Exit.OK


def list_catalogs(files: tuple[Path, ...]) -> Exit:
    """Print each catalog: its library, the versions it was reviewed for, the one installed, and what it has.

    Raises:
        Problem: a file has mistakes.
    """
    load(files)
    packaged = Path(sys.modules[Catalog.__module__].__file__ or "").parent / "catalogs"
    for path in (*sorted(packaged.glob("*.toml")), *files):
        content = tomllib.loads(path.read_text(encoding="utf-8"))
        library = content["library"]
        try:
            installed = "Python" if library == "builtins" else importlib.metadata.version(library)
        except importlib.metadata.PackageNotFoundError:
            installed = "not installed"
        put(f"{path.stem:<12} {library:<14} {content['versions']:<12} {installed:<14} {_counted(content)}\n")
    return Exit.OK


def load(files: tuple[Path, ...]) -> Catalog:
    """All packaged catalogs, and these files.

    Raises:
        Problem: a file has mistakes; every one is told.
    """
    try:
        return Catalog.load(extra=files)
    except CatalogError as error:
        raise Problem(
            f"the catalog cannot be used:\n{error}", hint="`proxyplane catalog check FILE` tells the same"
        ) from error


def told(line: Entry | Denial) -> str:
    """One line, for people."""
    if isinstance(line, Denial):
        return f"refused as {line.effect}: {line.reason}"
    words = [line.kind, *sorted(line.effects), *sorted(line.flags)]
    words += [f"reveals={line.reveals}"] if line.reveals else []
    words += [f"prints={line.prints}"] if line.prints else []
    place = {param: f"@{param.position}" if param.position is not None else "" for param in line.params}
    return " ".join([*words, *(f"{param.name}{place[param]}:{param.action}" for param in line.params)])


def _counted(content: Mapping[str, Any]) -> str:
    tables = [table for section in ("module", "type") for table in content.get(section, {}).values()]
    lines = [line for table in tables for line in table.values() if isinstance(line, str)]
    refused = sum(line.startswith("denied ") for line in lines)
    rules = ", rules" if "rules" in content else ""
    return f"{len(tables)} tables, {len(lines) - refused} members described, {refused} refused by name{rules}"
