"""Mime bundles of a run: made by the host, decided and recorded, and charged by what they show."""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from proxyplane import ControlPlane, Policy
from proxyplane.display import Displays
from proxyplane.results import RunResult
from proxyplane.sessions import Session

from .tables import ANALYST, records, sales

FIGURES = ANALYST.replace('"numpy"]', '"numpy", "matplotlib", "matplotlib.pyplot"]')


def kinds(result: RunResult) -> list[list[str]]:
    """The mime types of each bundle."""
    return [sorted(bundle) for bundle in result.display]


def is_png(bundle: dict[str, Any]) -> bool:
    """Whether the bundle holds a picture."""
    return base64.b64decode(bundle["image/png"]).startswith(b"\x89PNG\r\n")


@pytest.fixture
def pyplot() -> Iterator[Any]:
    """Matplotlib on the host, with a figure of the host's own; figures of tests are closed."""
    matplotlib = pytest.importorskip("matplotlib")
    matplotlib.use("agg")
    from matplotlib import pyplot

    pyplot.figure("the host's")
    yield pyplot
    pyplot.close("all")


def test_a_frame_as_last_expression(session: Session) -> None:
    """A frame is displayed as text and HTML, and the text is the value, exactly as natively."""
    result = session.run("df.head(3)")
    head = sales().head(3)
    assert result.value == repr(head)
    assert result.display == [{"text/plain": repr(head), "text/html": head._repr_html_()}]


def test_display_shows_each_object(session: Session) -> None:
    """`display(...)` gives a bundle for each object of the host, and prints what lives in the guest."""
    result = session.run("from IPython.display import display as show\nshow(df, df.units)\ndisplay('here', [1])")
    assert kinds(result) == [["text/html", "text/plain"], ["text/plain"]]
    assert result.display[1]["text/plain"] == repr(sales().units)
    assert (result.stdout, result.value) == ("'here'\n[1]\n", None)


def test_text_has_no_bundle(session: Session) -> None:
    """A last expression that has nothing but text, a callback's and an earlier run's bundles are not displayed."""
    assert session.run("df.units.sum()").display == []
    assert session.run("df.units").display == []
    assert session.run("df.units.head(2).map(lambda x: display(df.head(1))).tolist()").ok
    assert session.run("1").display == []


def test_one_look_one_charge(analyst: Callable[..., Session]) -> None:
    """Text and HTML of a frame are one operation: one decision, one charge, intent and outcome on record."""
    session = analyst(sales(90))
    assert kinds(session.run("sales")) == [["text/html", "text/plain"]]
    found = records(session)
    assert [(r["phase"], r["effects"]["declared"]) for r in found] == [
        ("intent", found[0]["effects"]["declared"]),
        ("outcome", found[0]["effects"]["declared"]),
    ]
    assert set(found[0]["effects"]["declared"]) == {"reveal", "display"}
    assert found[1]["result"]["rows"] == 10
    for _ in range(49):
        assert session.run("sales").ok
    assert session.run("sales").error is not None


def test_the_sessions_own_options_hold(analyst: Callable[..., Session]) -> None:
    """The rows of the HTML are capped by the session's options, and charged by them."""
    session = analyst(sales(90))
    html = session.run("import pandas as pd\npd.set_option('display.max_rows', None)\nsales").display[0]["text/html"]
    assert html.count("<tr") == 91
    assert records(session)[-1]["result"]["rows"] == 90


def test_without_display_only_the_text_remains(analyst: Callable[..., Session]) -> None:
    """Where `display` is not granted, a last expression is its text, without any refusal; `display(...)` is refused."""
    session = analyst(text=ANALYST.replace(', "display"', ""))
    result = session.run("sales.head(2)")
    assert result.value == repr(sales().head(2).drop(columns="ssn"))
    assert result.display == []
    assert all(r.get("status") != "denied" for r in records(session))
    code = "try:\n    display(sales)\nexcept PermissionError as e:\n    r = e.effect\nr"
    assert session.run(code).value == "'display'"


def test_without_reveal_nothing_is_displayed(analyst: Callable[..., Session]) -> None:
    """Where the rows may not be revealed, neither bundle nor text crosses."""
    session = analyst(text=ANALYST.replace('"<= 100"', '"<= 2"'))
    for code in ("display(sales)", "sales"):
        result = session.run(code)
        assert result.error is not None
        assert result.error.effect == "reveal"
        assert result.display == []
    assert "canary" not in repr(records(session))


def test_hidden_columns_are_not_displayed(analyst: Callable[..., Session]) -> None:
    """HTML is made of the projection."""
    assert "canary" not in repr(analyst().run("display(sales)\nsales").display)


def test_what_no_catalog_describes_is_not_displayed(analyst: Callable[..., Session]) -> None:
    """An object whose repr nobody reviewed, and whose `_repr_html_` would run code, is refused."""

    class Trap:
        def _repr_html_(self) -> str:
            raise AssertionError("this must not run")

        __repr__ = _repr_html_

    session = analyst()
    session.put("trap", Trap())
    result = session.run("display(trap)")
    assert result.error is not None
    assert result.error.effect == "unknown"


def test_bundles_of_a_run_that_fails_are_kept(session: Session) -> None:
    """What was displayed before an error, or before the guest died, is in the result."""
    assert kinds(session.run("display(df)\n1 / 0")) == [["text/html", "text/plain"]]
    assert kinds(session.run("display(df)\nimport os; os._exit(1)")) == [["text/html", "text/plain"]]


def test_the_guest_cannot_make_bundles(session: Session) -> None:
    """Arguments of the request do not reach the bundle, and private members stay refused."""
    code = "type(df)._request('call', df._handle, '_repr_mimebundle_', ({'text/html': '<script>'},))"
    assert "<script>" not in repr(session.run(code).display)
    for member in ("_repr_html_", "_repr_latex_", "__repr__"):
        assert session.run(f"type(df)._request('call', df._handle, '{member}')").error is not None


def test_bundles_are_bounded() -> None:
    """Beyond the bound of a run the rest is left out, and said so once."""
    displays = Displays()
    displays.add([{"text/plain": "x" * (20 << 20)}] * 3)
    displays.add([{"text/plain": "y"}])
    assert [len(bundle["text/plain"]) > 100 for bundle in displays.all()] == [True, False]
    many = Displays()
    many.add([{"text/plain": "y"}] * 300)
    assert len(many.all()) == 201
    assert "cut" in many.all()[-1]["text/plain"]


# Figures


def test_a_granted_figure(analyst: Callable[..., Session], pyplot: Any) -> None:
    """A figure is displayed as PNG, also of a policy that grants no plotting module."""
    session = analyst()
    figure = pyplot.figure()
    figure.subplots().plot([1, 2, 3])
    session.put("fig", figure)
    result = session.run("fig")
    assert (result.value, is_png(result.display[0])) == ("<Figure size 640x480 with 1 Axes>", True)
    assert is_png(session.run("display(fig)").display[0])
    canvas = figure.canvas
    assert figure.canvas is canvas


def test_a_figure_is_charged_by_what_it_draws(analyst: Callable[..., Session], pyplot: Any) -> None:
    """Points count as rows: a figure of too many is withheld, and its name remains."""
    session = analyst(sales(150), text=FIGURES)
    code = "import matplotlib.pyplot as plt\nfig, ax = plt.subplots()\nax.plot(sales.amount{})\nfig"
    result = session.run(code.format(""))
    assert (result.value, result.display) == ("<Figure size 640x480 with 1 Axes>", [])
    assert session.run("try:\n    display(fig)\nexcept PermissionError as e:\n    r = e.effect\nr").value == "'reveal'"
    assert is_png(session.run(code.format(".head(50)")).display[0])
    assert records(session)[-1]["result"]["rows"] >= 50


def test_figures_of_pyplot_are_a_sessions_own(pyplot: Any) -> None:
    """Sessions see neither each other's figures nor the host's, and `plt.show()` displays their own."""
    with ControlPlane(policy=Policy.parse(FIGURES)) as plane:
        first = plane.session("one", objects={"sales": sales()})
        second = plane.session("two", objects={"sales": sales()})
        assert first.run("import matplotlib.pyplot as plt\nplt.plot(sales.amount)\nplt.figure()").ok
        assert second.run("import matplotlib.pyplot as plt\nplt.get_fignums()").value == "[]"
        assert first.run("plt.get_fignums()").value == "[1, 2]"
        assert pyplot.get_figlabels() == ["the host's"]
        assert [is_png(bundle) for bundle in first.run("plt.show()").display] == [True, True]
        assert first.run("plt.get_fignums()").value == "[]"
        assert second.run("plt.show()").display == []


def test_what_a_figure_holds_stays_content(analyst: Callable[..., Session], pyplot: Any) -> None:
    """Data that went into a figure through pyplot comes out of it as data of the granted objects."""
    session = analyst(sales(150), text=FIGURES)
    code = "import matplotlib.pyplot as plt\nplt.plot(sales.amount)\nplt.gca().lines[0].get_ydata().tolist()"
    result = session.run(code)
    assert result.error is not None
    assert result.error.effect == "reveal"


def test_tex_is_refused(analyst: Callable[..., Session], pyplot: Any) -> None:
    """A figure that would run TeX is not drawn."""
    session = analyst()
    figure = pyplot.figure()
    figure.text(0.5, 0.5, "x", usetex=True)
    session.put("fig", figure)
    result = session.run("display(fig)")
    assert result.error is not None
    assert result.error.effect == "process"
    assert session.run("fig").value == "<Figure size 640x480 with 0 Axes>"


def test_what_pandas_draws_is_the_sessions(analyst: Callable[..., Session], pyplot: Any) -> None:
    """A plot of pandas is drawn into the session's own figures, in its own style, and comes out as content."""
    session = analyst(text=FIGURES)
    before = pyplot.rcParams["axes.facecolor"]
    code = "import matplotlib.pyplot as plt\nplt.style.use('ggplot')\nax = sales.plot(y='amount')\nplt.get_fignums()"
    result = session.run(code)
    assert (result.value, result.error) == ("[1]", None)
    assert pyplot.get_figlabels() == ["the host's"]
    assert pyplot.rcParams["axes.facecolor"] == before
    crossed = session.run("ax.get_lines()[0].get_ydata().tolist()")
    assert crossed.ok
    assert records(session)[-1]["result"]["rows"] == len(sales())


@pytest.mark.parametrize(
    "code",
    [
        "sales.plot(backend='antigravity')",
        "sales.plot(usetex=True)",
        "sales.agg('plot')",
        "sales.amount.agg('hist')",
        "sales.groupby('region').agg('hist')",
        "sales.style.format('{0.__class__}')",
        "sales.to_latex(header=['{0.__class__}'] * 9)",
        "import pandas as pd\npd.set_option('styler.format.formatter', '{0.__class__}')",
        "import matplotlib.ticker as t\nt.StrMethodFormatter('{x.__class__}')(sales)",
        "import matplotlib.pyplot as plt\nplt.style.use('/etc/passwd')",
        "import matplotlib.pyplot as plt\nplt.bar_label(plt.bar([1], [2]), fmt='{.__class__}')",
    ],
)
def test_drawing_and_styling_reach_nothing_else(analyst: Callable[..., Session], pyplot: Any, code: str) -> None:
    """No back end by name, no TeX, no drawing by a method's name, and no text for `str.format`."""
    assert pyplot.get_figlabels() == ["the host's"]
    result = analyst(text=FIGURES).run(code)
    assert result.error is not None
    assert result.error.effect == "unknown"


def test_a_styler_shows_what_went_into_it() -> None:
    """Text of a Styler is revealed as content of all frames that were given to it."""
    objects = {"df": sales(), "other": sales().add_prefix("o_")}
    with (
        ControlPlane(policy=Policy.preset("open"), audit=":memory:") as plane,
        plane.session("agent", objects=objects) as session,
    ):
        assert session.run("s = df.head(2).style\ns.set_tooltips(other)\nt = s.to_html()").ok
        shown = [r for r in records(session) if "reveal" in r["effects"]["declared"]][-1]
        assert set(shown["target"]["roots"]) == {"df", "other"}
