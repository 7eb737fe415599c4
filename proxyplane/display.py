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

__all__ = [
    "MEMBERS",
    "RICH",
    "Displays",
    "displays",
    "draws",
    "is_rich",
    "line_of",
    "lowered",
    "measured",
    "settled",
    "subject",
]

MEMBER: Final = "_repr_mimebundle_"
RICH: Final = Entry("display", "method", frozenset({Effect.REVEAL, Effect.DISPLAY}), frozenset(), "display", None, ())
"""The line under which anything is displayed whose text a catalog line describes."""
MEMBERS: Final = frozenset({MEMBER, "_repr_pretty_"})
"""The second one asks for the text alone."""
_NAMED: Final = Entry("name of a figure", "method", frozenset({Effect.READ}), frozenset({"schema"}), None, None, ())
_FIGURE: Final = ("matplotlib.figure", "Figure")
_SHOW: Final = "matplotlib.pyplot.show"
_HTML: Final = (("pandas", "DataFrame"), ("polars", "DataFrame"))
"""Types whose own `_repr_html_` shows the rows that their repr shows."""
_MOST: Final = 200
_MOST_CHARS: Final = 32 << 20
_CUT: Final = "... display cut: this run displayed too much ..."
_MOST_PIXELS: Final = 1 << 24


class Displays:
    """The bundles of one run, bounded."""

    def __init__(self) -> None:
        self._bundles: list[dict[str, Any]] = []
        self._chars = 0
        self._cut = False

    def add(self, bundles: list[dict[str, Any]]) -> None:
        """Keep bundles; what goes beyond the bound is left out, which the last one says."""
        for bundle in bundles:
            self._chars += sum(map(len, bundle.values()))
            if self._cut:
                return
            self._cut = len(self._bundles) >= _MOST or self._chars > _MOST_CHARS
            self._bundles.append(bundle if not self._cut else {"text/plain": _CUT})

    def all(self) -> list[dict[str, Any]]:
        """All of them, in order."""
        return list(self._bundles)


def is_rich(kind: type) -> bool:
    """Whether instances have more to show than text."""
    return _is(kind, *_FIGURE) or any(_is(kind, *known) for known in _HTML) or _is_estimator(kind)


def _is_estimator(kind: type) -> bool:
    base = getattr(sys.modules.get("sklearn.base"), "BaseEstimator", None)
    return isinstance(base, type) and issubclass(kind, base) and kind.__module__.startswith("sklearn.")


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


def displays(line: Entry | None) -> bool:
    """Whether it is a line of displaying something with its content."""
    return line is RICH or (line is not None and line.name == _SHOW)


def measured(line: Entry | None, value: Any) -> Facts:
    """Rows and cells that displaying a value shows: those of its repr; of a figure the points that it draws."""
    if line is RICH:
        if _is(type(value), *_FIGURE):
            return _drawn(value)
        rows = hosts.displayed(value) if _is_estimator(type(value)) else hosts.shown(value)
        return rows if rows.rows is not None else hosts.shown(value)
    each = [_drawn(figure) for figure in _open_figures()]
    if any(facts.rows is None for facts in each):
        return Facts()
    return Facts(sum(facts.rows or 0 for facts in each), sum(facts.cells or 0 for facts in each), None)


def draws(line: Entry, value: Any) -> bool:
    """Whether an operation on this value is about a figure or a part of one."""
    if line.name.startswith("matplotlib.") or "draws" in line.flags:
        return True
    return line is RICH and _is(type(value), *_FIGURE)


def subject(found: Subject, session: Session) -> Subject:
    """What an operation on a figure is about: it may hold anything that was granted, whatever it was made from.

    (`plt.plot(df.x)` draws into a figure that was made from nothing; `plt.gca().lines[0].get_xdata()` gives x back.)
    """
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


def lowered(line: Entry | None, value: Any) -> tuple[str | None, list[dict[str, Any]]] | None:
    """Text and bundles of a value, where this line is one of displaying; None under every other line."""
    if line is _NAMED:
        return repr(value), []
    if not displays(line):
        return None
    if line is RICH:
        found = bundle(value)
        return found["text/plain"], [found]
    bundles = [bundle(figure) for figure in _open_figures()]
    sys.modules["matplotlib._pylab_helpers"].Gcf.figs.clear()  # as in a notebook, the next plot begins a new figure
    return None, bundles


def _open_figures() -> list[Any]:
    """pyplot's figures, which are the session's own while it lowers."""
    managers = sys.modules["matplotlib._pylab_helpers"].Gcf.figs.values()
    return [manager.canvas.figure for manager in managers]


def bundle(value: Any) -> dict[str, Any]:
    """Mime type to content: `text/plain`, and `text/html` or `image/png` (base64) where the type has it."""
    found = {"text/plain": repr(value)}
    kind = type(value)
    if _is(kind, *_FIGURE):
        found["image/png"] = base64.b64encode(_png(value)).decode("ascii")
    elif is_rich(kind) and not (_is_estimator(kind) and hosts.displayed(value).rows is None):
        show = getattr(value, "_repr_html_", None)  # scikit-learn's setting `display` can say that there is none
        html = show() if show is not None else None
        if html is not None:
            found["text/html"] = html
    return found


def _png(figure: Any) -> bytes:
    matplotlib = sys.modules["matplotlib"]
    text: Any = sys.modules["matplotlib.text"].Text
    if matplotlib.rcParams["text.usetex"] or any(each.get_usetex() for each in figure.findobj(text)):
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
    """Rows and cells that one artist draws; None for a kind that is not known."""
    if _is_a(artist, "matplotlib.text", "Text"):
        return (1, 1) if artist.get_text() else (0, 0)
    if _is_a(artist, "matplotlib.lines", "Line2D"):
        count = len(artist.get_xdata(orig=False))
        return count, 2 * count
    if _is_a(artist, "matplotlib.collections", "Collection"):
        values = artist.get_array()
        corners = sum([len(path.vertices) for path in artist.get_paths()])
        count = max(len(artist.get_offsets()), corners, int(values.size) if values is not None else 0)
        return count, 2 * count
    if _is_a(artist, "matplotlib.image", "AxesImage"):
        pixels = artist.get_array()
        return (int(pixels.shape[0]), int(pixels.size)) if pixels is not None else (0, 0)
    if any(_is_a(artist, *kind) for kind in _FRAMEWORK):
        return 0, 0
    return (1, 2) if _is_a(artist, "matplotlib.patches", "Patch") else None


_FRAMEWORK: Final = (("matplotlib.axis", "Axis"), ("matplotlib.spines", "Spine"), ("matplotlib.legend", "Legend"))
"""Parts of axes that show no data; words in them are counted with the axes."""


def _is_a(value: Any, module: str, name: str) -> bool:
    kind = getattr(sys.modules.get(module), name, None)
    return isinstance(kind, type) and isinstance(value, kind)
