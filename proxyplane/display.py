"""Rich display: the mime bundles that the host makes of an object, and what making them shows.

The guest only asks for them (`call` of `_repr_mimebundle_`, docs/protocol.md). The bundle is made here and goes into
`RunResult.display`, past the guest, so nothing in it was written by agent code but what an agent put into the data.
Figures are drawn by Agg into memory: no window, no file, no process.
"""

from __future__ import annotations

import base64
import io
import sys
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, Final

from proxyplane import hosts
from proxyplane.catalog import Catalog, Entry
from proxyplane.decisions import Facts
from proxyplane.effects import Effect
from proxyplane.errors import Denied
from proxyplane.subjects import Subject, joined

if TYPE_CHECKING:
    from proxyplane.operations import Operation
    from proxyplane.sessions import Session

__all__ = ["MEMBERS", "RICH", "Displays", "is_rich", "line_of", "lowered", "measured", "settled", "subject"]

MEMBER: Final = "_repr_mimebundle_"
RICH: Final = Entry(
    "display", "method", frozenset({Effect.REVEAL, Effect.DISPLAY}), frozenset(), "display", None, ()
)
"""The line under which anything is displayed whose text a catalog line describes."""
MEMBERS: Final = frozenset({MEMBER, "_repr_pretty_"})
"""The second one asks for the text alone."""
_NAMED: Final = Entry("name of a figure", "method", frozenset({Effect.READ}), frozenset({"schema"}), None, None, ())
_FIGURE: Final = ("matplotlib.figure", "Figure")
_HTML: Final = (("pandas", "DataFrame"), ("polars", "DataFrame"))
"""Types whose own `_repr_html_` shows the rows that their repr shows."""
_MOST: Final = 200
_MOST_CHARS: Final = 32 << 20
_MOST_PIXELS: Final = 1 << 24


class Displays:
    """The bundles of one run, bounded."""

    def __init__(self) -> None:
        self._bundles: list[dict[str, Any]] = []
        self._chars = 0

    def add(self, bundle: dict[str, Any]) -> None:
        """Keep a bundle; what goes beyond the bound is left out and named."""
        size = sum(map(len, bundle.values()))
        if len(self._bundles) >= _MOST or self._chars + size > _MOST_CHARS:
            if len(self._bundles) <= _MOST:
                self._bundles.append({"text/plain": "... display cut: this run displayed too much ..."})
                self._chars = _MOST_CHARS
            return
        self._bundles.append(bundle)
        self._chars += size

    def all(self) -> list[dict[str, Any]]:
        """All of them, in order."""
        return list(self._bundles)


def is_rich(kind: type) -> bool:
    """Whether instances have more to show than text."""
    return _is(kind, *_FIGURE) or any(_is(kind, *known) for known in _HTML)


def _is(kind: type, module: str, name: str) -> bool:
    """By identity, and only where the library is loaded: a subclass may draw itself with code that nobody reviewed."""
    return getattr(sys.modules.get(module), name, None) is kind


def line_of(value: Any, member: str, catalog: Catalog) -> Entry | None:
    """The catalog line of displaying a value; None where not even its repr is described."""
    kind = type(value)
    if member != MEMBER:
        return _NAMED if _is(kind, *_FIGURE) else None
    if is_rich(kind):
        return RICH
    entry = catalog.of(kind)
    return RICH if entry is not None and "__repr__" in entry.dunders else None


def measured(value: Any) -> Facts:
    """Rows and cells that the bundle of a value shows: those of its repr; of a figure the points that it draws."""
    return _drawn(value) if _is(type(value), *_FIGURE) else hosts.shown(value)


def subject(found: Subject, session: Session, value: Any) -> Subject:
    """What displaying a value is about: a figure may draw from everything that was granted, whatever it was made from.

    (`plt.plot(df.x)` draws into a figure that was made from nothing.)
    """
    if _is(type(value), *_FIGURE):
        for held in session.grants.objects.values():
            found = joined(found, held)
    return found


def settled(session: Session, operation: Operation) -> Operation:
    """The last expression of a run is displayed where that is allowed, and elsewhere it is shown as text.

    Args:
        session: whose run it is.
        operation: a `call` of one of `MEMBERS`; with an argument it is about the last expression.
    """
    from proxyplane.passage import Passage  # noqa: PLC0415 - the passage asks this module how to lower

    if operation.member == MEMBER and (not operation.args or Passage(session, operation).allowed()):
        return operation._replace(args=())
    if _is(type(session.table.get(operation.target).value), *_FIGURE):
        return operation._replace(member="_repr_pretty_", args=())
    return operation._replace(verb="repr", member=None, args=())


def lowered(line: Entry | None, value: Any) -> tuple[str, dict[str, Any] | None] | None:
    """Text and bundle of a value, where this line is one of displaying; None under every other line."""
    if line is _NAMED:
        return repr(value), None
    if line is not RICH:
        return None
    found = bundle(value)
    return found["text/plain"], found


def bundle(value: Any) -> dict[str, Any]:
    """Mime type to content: `text/plain`, and `text/html` or `image/png` (base64) where the type has it."""
    found = {"text/plain": repr(value)}
    kind = type(value)
    if _is(kind, *_FIGURE):
        found["image/png"] = base64.b64encode(_png(value)).decode("ascii")
    elif is_rich(kind):
        html = value._repr_html_()
        if html is not None:
            found["text/html"] = html
    return found


def _png(figure: Any) -> bytes:
    matplotlib = sys.modules["matplotlib"]
    text: Any = sys.modules["matplotlib.text"].Text  # type: ignore[attr-defined]
    if matplotlib.rcParams["text.usetex"] or any(each.get_usetex() for each in figure.findobj(text)):  # type: ignore[attr-defined]
        raise Denied(
            "a figure with usetex cannot be displayed: TeX would run as a process of the host",
            effect=Effect.PROCESS,
            hint="use matplotlib's own mathtext, without usetex",
        )
    width, height = figure.get_size_inches() * figure.dpi
    if not width * height <= _MOST_PIXELS:
        raise ValueError(f"a figure of more than {_MOST_PIXELS:,} pixels is not displayed; make it smaller")
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=figure.dpi, bbox_inches=None)
    return buffer.getvalue()


# What a figure shows


def _drawn(figure: Any) -> Facts:
    """Points, boxes, pixels' rows and words that a figure draws: one row each; unknown where an artist is unknown."""
    rows = cells = 0
    for axes in _all_axes(figure):
        for artist in axes.get_children():
            count = _points(artist)
            if count is None:
                return Facts()
            rows += count[0]
            cells += count[1]
        labels = (*axes.get_xticklabels(), *axes.get_yticklabels(), *_legend_texts(axes))
        written = sum(1 for label in labels if _names_something(label.get_text()))
        rows, cells = rows + written, cells + written
    words = sum(1 for text in figure.texts if text.get_text())
    if figure.lines or figure.patches or figure.images or figure.artists:
        return Facts()
    return Facts(rows + words, cells + words, None)


def _all_axes(figure: Any) -> Iterable[Any]:
    return [*figure.axes, *(axes for inner in figure.subfigs for axes in _all_axes(inner))]


def _legend_texts(axes: Any) -> Iterable[Any]:
    legend = axes.get_legend()
    return legend.get_texts() if legend is not None else ()


def _names_something(text: str) -> bool:
    """Numbers along an axis say nothing that the points do not."""
    return any(character.isalpha() for character in text)


def _points(artist: Any) -> tuple[int, int] | None:
    module = sys.modules.get
    if isinstance(artist, _kinds(module("matplotlib.text"), "Text")):
        return (1, 1) if artist.get_text() else (0, 0)
    if isinstance(artist, _kinds(module("matplotlib.lines"), "Line2D")):
        count = len(artist.get_xdata(orig=False))
        return count, 2 * count
    if isinstance(artist, _kinds(module("matplotlib.collections"), "Collection")):
        values = artist.get_array()
        count = max(
            len(artist.get_offsets()),
            sum(len(path.vertices) for path in artist.get_paths()),
            int(values.size) if values is not None else 0,
        )
        return count, 2 * count
    if isinstance(artist, _kinds(module("matplotlib.patches"), "Patch")):
        return 1, 2
    if isinstance(artist, _kinds(module("matplotlib.image"), "AxesImage")):
        size = artist.get_array()
        return (int(size.shape[0]), int(size.size)) if size is not None else (0, 0)
    if isinstance(artist, _kinds(module("matplotlib.axis"), "Axis")) or isinstance(
        artist, (*_kinds(module("matplotlib.spines"), "Spine"), *_kinds(module("matplotlib.legend"), "Legend"))
    ):
        return 0, 0
    return None


def _kinds(module: Any, name: str) -> tuple[type, ...]:
    kind = getattr(module, name, None)
    return (kind,) if isinstance(kind, type) else ()
