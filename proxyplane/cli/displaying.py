"""What a run displayed: text on the terminal, pictures and HTML in files."""

from __future__ import annotations

import base64
import html
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final

from proxyplane.cli.terminal import one_line, put, put_agents

__all__ = ["show_displays"]

_PAGE: Final = """<!doctype html>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'; img-src data:">
<title>{title}</title>
<iframe sandbox style="border:0;width:100%;height:95vh" srcdoc="{content}"></iframe>
"""
"""HTML that came from data: without scripts and without the origin of the page (docs/display.md)."""


def show_displays(bundles: Iterable[dict[str, Any]], folder: Path | None, *, last: bool = False) -> None:
    """Print the text of each bundle, and save what is more than text.

    Args:
        bundles: of a run.
        folder: where to; None: it is counted, and how to have it is said.
        last: the text of the last bundle has been printed already, as the value of the last expression.
    """
    found = list(bundles)
    left = 0
    for number, bundle in enumerate(found, 1):
        text = bundle.get("text/plain")
        if text and not (last and number == len(found)):
            put_agents(f"{text}\n", sys.stdout)
        for kind, extension in (("image/png", "png"), ("text/html", "html")):
            if kind not in bundle:
                continue
            if folder is None:
                left += kind == "image/png"
                continue
            path = _save(folder, extension, number, bundle[kind])
            put(f"proxyplane: display {number}: {one_line(str(path))}\n", sys.stderr)
    if left:
        put(f"proxyplane: {left} pictures were displayed; --display-dir DIR saves them\n", sys.stderr)


def _save(folder: Path, extension: str, number: int, content: str) -> Path:
    """Write one file under a name that nothing has yet."""
    again = 0
    while True:
        path = folder / f"display-{number}{f'-{again}' if again else ''}.{extension}"
        try:
            with open(path, "xb") as file:
                file.write(_bytes(extension, content, path.stem))
        except FileExistsError:
            again += 1
            continue
        return path


def _bytes(extension: str, content: str, title: str) -> bytes:
    if extension == "png":
        return base64.b64decode(content)
    return _PAGE.format(title=title, content=html.escape(content, quote=True)).encode("utf-8", "backslashreplace")
