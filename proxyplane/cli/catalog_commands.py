"""The commands of `proxyplane catalog`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

__all__ = ["Files", "app"]

app = typer.Typer(
    help="Look at what is known of libraries, and check files that tell of further ones.", no_args_is_help=True
)

Files = Annotated[
    list[Path],
    typer.Option(
        "--catalog", metavar="FILE", help="A file that describes a further library; may be given several times."
    ),
]


@app.command()
def check(
    path: Annotated[Path, typer.Argument(metavar="FILE", help="A catalog file.")],
    module: Annotated[
        str | None, typer.Option("--module", metavar="NAME", help="Import this module and compare the file with it.")
    ] = None,
) -> None:
    """Tell every mistake of a catalog file, with its line and what to write instead."""
    from proxyplane.cli.catalogs import check_file

    raise typer.Exit(check_file(path, module))


@app.command()
def show(
    name: Annotated[str, typer.Argument(metavar="NAME", help="Such as pandas.DataFrame.to_csv, or pandas.DataFrame.")],
    files: Files = [],  # noqa: B006 - typer copies it
) -> None:
    """Print what is known of a module, a type or a member; refused members with the reason."""
    from proxyplane.cli.catalogs import show_lines

    raise typer.Exit(show_lines(name, tuple(files)))


@app.command("list")
def list_all(files: Files = []) -> None:  # noqa: B006 - typer copies it
    """Print all catalogs, for which versions they were reviewed, and which are installed."""
    from proxyplane.cli.catalogs import list_catalogs

    raise typer.Exit(list_catalogs(tuple(files)))
