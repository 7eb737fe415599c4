"""`proxyplane skill`: the instructions for agents, in the Agent Skills format, put where an agent looks for them."""

from __future__ import annotations

import contextlib
import os
import secrets
from pathlib import Path
from typing import Annotated

import typer

from proxyplane.cli.problems import Exit, Problem
from proxyplane.cli.terminal import put

__all__ = ["app", "install", "source"]

app = typer.Typer(help="Instructions for agents that work through proxyplane.", no_args_is_help=True)

NAME = "proxyplane"
FILE = "SKILL.md"
_MARK = f"\nname: {NAME}\n"
"""By which a file is known for an earlier version of this skill."""


@app.command("install")
def install_command(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="A folder of skills, such as .claude/skills.")],
) -> None:
    """Write DIR/proxyplane/SKILL.md; an earlier version of it is replaced, anything else is left alone."""
    put(f"{install(folder)}\n")
    raise typer.Exit(Exit.OK)


@app.command("show")
def show_command() -> None:
    """Print the skill."""
    put(_text())


def source() -> Path:
    """The skill's file: of the installed package, or of the checkout that the package is imported from.

    Raises:
        Problem: it is not there.
    """
    package = Path(__file__).parents[1]
    for folder in (package / "skills", package.parent / "skills"):
        path = folder / NAME / FILE
        if path.is_file():
            return path
    raise Problem("the skill is not installed", hint="install the package again, or run it from a checkout")


def _text() -> str:
    path = source()
    try:
        return path.read_text(encoding="utf-8")
    except OSError as error:
        raise Problem(f"{path} cannot be read: {error.strerror}") from None


def install(folder: Path) -> Path:
    """Put the skill into a folder of skills, whole or not at all.

    Args:
        folder: made where it is missing.

    Returns:
        The file.

    Raises:
        Problem: something else is in its place, or the folder cannot be written.
    """
    text = _text()
    target = folder / NAME
    path = target / FILE
    try:
        target.mkdir(parents=True, exist_ok=True)
        if target.is_symlink() or path.is_symlink():
            raise Problem(f"{target} is a link, or holds one", hint="remove it, or choose another folder")
        _check(path)
        _write(path, text)
    except (FileExistsError, NotADirectoryError) as error:
        where = error.filename or str(target)
        raise Problem(f"{where} is a file and not a folder", hint="choose another folder") from None
    except OSError as error:
        raise Problem(f"{error.filename or target} cannot be written: {error.strerror}") from None
    return path


def _write(path: Path, text: str) -> None:
    draft = path.with_name(f".{FILE}.{secrets.token_hex(4)}")
    try:
        draft.write_text(text, encoding="utf-8")
        os.replace(draft, path)
    except OSError:
        with contextlib.suppress(OSError):
            draft.unlink()
        raise


def _check(path: Path) -> None:
    """Whether what is at the skill's place is the skill, or nothing.

    Raises:
        Problem: it is something else.
    """
    try:
        present = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return
    except (UnicodeDecodeError, IsADirectoryError):
        present = ""
    if not present.startswith("---\n") or _MARK not in present.partition("\n---\n")[0] + "\n":
        hint = "move it away, or choose another folder"
        raise Problem(f"{path} is there already and is not this skill", hint=hint)
