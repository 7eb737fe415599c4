"""Process-wide state of libraries: each session has its own, and the host's never changes."""

from __future__ import annotations

import gc
import threading
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from proxyplane import ControlPlane
from proxyplane.sessions import Session
from proxyplane.state import SessionState

from .tables import ANALYST, records, sales

LONG = 200


def host_state() -> tuple[Any, ...]:
    """All of the host's state that sessions could touch."""
    random = np.random.get_state()
    options = {key: pd.get_option(key) for key in ("display.max_rows", "display.precision", "display.float_format")}
    return (options, np.get_printoptions(), np.geterr(), random[1].tolist(), random[2:])


@pytest.fixture(autouse=True)
def unchanged() -> Iterator[None]:
    """Whatever a test does, the host's own state is what it was."""
    before = host_state()
    yield
    gc.collect()
    assert host_state() == before


@pytest.fixture
def pair(open_plane: ControlPlane) -> Iterator[tuple[Session, Session]]:
    """Two sessions on one plane over a long table."""
    with (
        open_plane.session("one", objects={"df": sales(LONG)}) as first,
        open_plane.session("two", objects={"df": sales(LONG)}) as second,
    ):
        yield first, second


def failed(session: Session, code: str) -> str:
    """The type of the error that the code ends with."""
    result = session.run(code)
    assert result.error is not None, result.value
    return result.error.type


def shown(session: Session, code: str) -> Any:
    """The value of a plain last expression."""
    result = session.run(code)
    assert result.ok, result.error
    return eval(result.value or "None")


ROWS = "len(repr(df).splitlines())"


def test_options_are_a_sessions_own(pair: tuple[Session, Session]) -> None:
    """What one session sets is seen by it alone, from run to run."""
    first, second = pair
    usual = len(repr(sales(LONG)).splitlines())
    first.run(
        "import pandas as pd, numpy as np\npd.set_option('display.max_rows', 4)\nnp.set_printoptions(precision=2)"
    )
    second.run("import pandas as pd, numpy as np\npd.set_option('display.max_rows', 20, 'display.min_rows', 20)")
    code = "pd.get_option('display.max_rows'), pd.options.display.max_rows, np.get_printoptions()['precision']"
    assert shown(first, code) == (4, 4, 2)
    assert shown(second, code) == (20, 20, 8)
    with pd.option_context("display.max_rows", None):
        assert shown(first, ROWS) < usual < shown(second, ROWS)
    assert len(repr(sales(LONG)).splitlines()) == usual


@pytest.mark.parametrize(
    "code",
    [
        "pd.set_option('display.precision', 2)",
        "pd.set_option({'display.precision': 2})",
        "pd.set_option('y.precision', 2)",
        "pd.options.display.precision = 2",
        "cm = pd.option_context('display.precision', 2); cm.__enter__()",
    ],
)
def test_every_way_of_setting_an_option(session: Session, code: str) -> None:
    """Functions, attributes and contexts set the session's option, and `reset_option` gives the default back."""
    assert shown(session, f"import pandas as pd\n{code}\npd.get_option('display.precision')") == 2
    with pd.option_context("display.precision", 2):
        expected = repr(sales().amount / 3)
    assert shown(session, "repr(df.amount / 3)") == expected
    assert shown(session, "pd.reset_option('display.precision'); pd.options.display.precision") == 6


def test_contexts_end(session: Session) -> None:
    """`option_context`, `printoptions` and `errstate` hold inside their `with`, also when it ends with an error."""
    code = """
import pandas as pd, numpy as np
inside = []
try:
    with pd.option_context("display.max_rows", 3, "display.precision", 1), np.printoptions(precision=1) as options:
        with np.errstate(divide="ignore"):
            inside += [pd.get_option("display.max_rows"), options["precision"], np.geterr()["divide"]]
            1 / 0
except ZeroDivisionError:
    pass
inside + [pd.get_option("display.max_rows"), np.get_printoptions()["precision"], np.geterr()["divide"]]
"""
    assert shown(session, code) == [3, 1, "ignore", pd.get_option("display.max_rows"), 8, "warn"]


def test_a_context_that_is_dropped_half_way_changes_nothing(pair: tuple[Session, Session]) -> None:
    """Contexts that are never left, or whose guest dies inside, have no finalizer that acts later."""
    first, second = pair
    code = """
import pandas as pd, numpy as np
pd.set_option("display.max_rows", 7)
cm = pd.option_context("display.max_rows", 5)
cm.__enter__()
other = np.printoptions(precision=3)
other.__enter__()
del cm, other
df.shape
"""
    assert first.run(code).ok
    gc.collect()
    assert second.run(f"import pandas as pd\n{ROWS}").value == str(len(repr(sales(LONG)).splitlines()))
    assert (
        failed(first, "with pd.option_context('display.max_rows', 9):\n    import os\n    os._exit(3)")
        == "GuestCrashed"
    )
    gc.collect()
    assert shown(first, "import pandas as pd; pd.get_option('display.max_rows')") == 9


def test_errors_and_timeouts_leave_nothing(session: Session) -> None:
    """After an error inside a lowering, a refused value and a guest that is killed in a callback, all is as before."""
    assert (
        failed(session, "import pandas as pd, numpy as np\npd.set_option('display.max_rows', 'many')") == "ValueError"
    )
    assert failed(session, "pd.set_option('display.max_rows', 4, 'display.nope', 1)") == "OptionError"
    assert failed(session, "np.seterr(divide='raise'); np.array([1.0]) / 0") == "FloatingPointError"
    result = session.run("df.units.map(lambda x: [None for _ in iter(int, 1)])", timeout=0.7)
    assert result.error is not None
    assert result.error.type == "GuestTimeout"
    assert shown(session, "import pandas as pd, numpy as np; pd.get_option('display.max_rows')") == 4
    assert failed(session, "np.array([1.0]) / 0") == "FloatingPointError"


def test_a_callback_sees_the_sessions_state_and_others_do_not(pair: tuple[Session, Session]) -> None:
    """While the guest runs a callback the host's state is in place; what the callback sets is the session's own."""
    first, second = pair
    seen: list[Any] = []

    code = """
import pandas as pd
pd.set_option("display.max_rows", 4)
def f(x):
    before = pd.get_option("display.max_rows")
    pd.set_option("display.max_rows", before + 1)
    return before
df.units.head(3).map(f).tolist(), pd.get_option("display.max_rows")
"""
    asking = first.state.outside

    def outside() -> Any:
        context = asking()

        class Looking:
            def __enter__(self) -> None:
                context.__enter__()
                seen.append((pd.get_option("display.max_rows"), second.run(ROWS).value))

            def __exit__(self, *info: Any) -> None:
                context.__exit__(*info)

        return Looking()

    first.state.outside = outside  # type: ignore[method-assign, assignment]
    assert shown(first, code) == ([4, 5, 6], 7)
    assert seen == [(pd.get_option("display.max_rows"), str(len(repr(sales(LONG)).splitlines())))] * 3


def test_formatters_of_the_guest(session: Session) -> None:
    """A function of the agent formats what is shown, with intent and callback on record; it ends with its guest."""
    code = (
        "import pandas as pd\npd.set_option('display.float_format', lambda x: f'<{x:.1f}>')\nprint(df.amount.head(2))"
    )
    assert "<10.0>" in session.run(code).stdout
    found = [r for r in records(session) if r["verb"] in ("repr", "str") and "callback" in r["effects"]["declared"]]
    assert [r["phase"] for r in found] == ["intent", "outcome"]
    assert any(r["verb"] == "callback" for r in records(session))
    assert failed(session, "import os; os._exit(1)") == "GuestCrashed"
    assert session.run("df.amount.head(2)").value == repr(sales().amount.head(2))


def test_random_streams(pair: tuple[Session, Session]) -> None:
    """`np.random.seed` and what draws from it are a session's own, and as natively."""
    first, second = pair
    native = np.random.RandomState(7)
    expected = (native.randn(3).tolist(), native.permutation(5).tolist(), native.rand())
    first.run("import numpy as np; np.random.seed(7)")
    second.run("import numpy as np; np.random.seed(8)")
    half = shown(first, "np.random.randn(3).tolist()")
    second.run("np.random.randn(5); df.sample(3)")
    rest = shown(first, "np.random.permutation(5).tolist(), float(np.random.rand())")
    assert (half, *rest) == expected
    code = "state = np.random.get_state(); a = np.random.rand(); np.random.set_state(state); a == np.random.rand()"
    assert shown(first, code) is True
    assert (
        shown(second, "np.random.seed(3); df.sample(4).units.tolist()")
        == sales(LONG).sample(4, random_state=np.random.RandomState(3)).units.tolist()
    )


def test_functions_that_change_state_are_mediated(open_plane: ControlPlane) -> None:
    """Given to host code as an argument, such a function is still an operation, and the session's own is changed."""
    code = "import pandas as pd, numpy as np\n{}pd.Series([{}]).map(np.random.seed)\nfloat(np.random.rand())"
    for before in ("", "pd.set_option('display.max_rows', 3)\n"):
        with open_plane.session("agent", objects={}) as session:
            assert shown(session, code.format(before, 4)) == np.random.RandomState(4).rand()


@pytest.mark.parametrize(
    "code",
    [
        "pd.set_option('plotting.backend', 'antigravity')",
        "pd.set_option('compute.use_numexpr', False)",
        "pd.set_option('io.excel.xlsx.reader', 'x')",
        "pd.set_option('display.html.table_schema', True)",
        "pd.options.plotting.backend = 'x'",
        "pd.options.mode.max_threads = 1",
        "pd.option_context('compute.use_numexpr', False)",
        "pd.reset_option('compute')",
        "pd.set_option('(a+)+$', 1)",
        "pd.set_option('display.max_rows', df.units.sum())",
        "pd.options.display.max_rows = df.units.sum()",
        "np.random.seed(df.units.sum())",
        "np.set_printoptions(threshold=df.units.sum())",
        "np.seterr(all='print')",
        "np.errstate(call=print)",
        "np.seterrcall(print)",
        "np.random.set_bit_generator(np.random.PCG64(1))",
        "pd.DataFrame.max_rows = 3",
    ],
)
def test_what_cannot_be_swapped_is_refused(session: Session, code: str) -> None:
    """Options that reach beyond the library, and values that came out of data, are refused before anything happens."""
    assert failed(session, f"import pandas as pd, numpy as np\n{code}") in (
        "Denied",
        "DeniedAttribute",
        "AttributeError",
    )


def test_all_rows_are_charged_when_all_are_shown(analyst: Callable[..., Session]) -> None:
    """The row cap sees the rows that the session's own options let a repr show."""
    session = analyst(sales(90))
    session.run("import pandas as pd\nsales")
    assert [r["result"]["rows"] for r in records(session) if r.get("result", {}).get("rows")] == [10]
    assert session.run("pd.set_option('display.max_rows', None); print(sales)").stdout.count("\n") == 91
    assert [r["result"]["rows"] for r in records(session) if r.get("result", {}).get("rows")][-1] == 90
    assert session.run("pd.options.display.max_rows = 4; pd.options.display.min_rows = 4; print(sales)").ok
    assert [r["result"]["rows"] for r in records(session) if r.get("result", {}).get("rows")][-1] == 4
    long = analyst(sales(101))
    assert failed(long, "import pandas as pd\npd.set_option('display.max_rows', None); print(sales)") == "Denied"


def test_numpys_threshold_counts_too(analyst: Callable[..., Session]) -> None:
    """A raised print threshold shows the whole array, and is charged so."""
    session = analyst(sales(2000))
    assert session.run("import numpy as np\na = sales.amount.to_numpy()\nprint(a)").ok
    assert failed(session, "np.set_printoptions(threshold=10**6)\nprint(a)") == "Denied"


def test_reading_options_needs_no_content(analyst: Callable[..., Session]) -> None:
    """Options are no content: under a policy without `reveal` they can be read, set and described."""
    session = analyst(text=ANALYST.replace('effect = ["reveal"]', 'effect = ["display"]'))
    code = "import pandas as pd\npd.set_option('display.max_rows', 5)\npd.describe_option('max_rows')\n"
    result = session.run(f"{code}pd.options.display.max_rows")
    assert (result.value, result.stdout.partition(" ")[0]) == ("5", "display.max_rows")


def test_a_session_without_state_of_its_own_never_waits(session: Session) -> None:
    """Until somebody changes something, nothing is swapped, copied or locked."""
    session.run("df.amount.sum(); repr(df); df.units.map(lambda x: x)")
    assert not session.state.private
    assert session.state._tables == {}


# Threads


def test_two_sessions_in_two_threads(pair: tuple[Session, Session]) -> None:
    """Sessions that run at the same time, with callbacks, each see only their own values."""
    faults: list[Any] = []

    def work(session: Session, rows: int) -> None:
        code = f"""
import pandas as pd, numpy as np
pd.set_option("display.max_rows", {rows}, "display.min_rows", {rows})
np.random.seed({rows})
found = []
for n in range(6):
    found += [{ROWS}, *df.units.head(2).map(lambda x: pd.get_option("display.max_rows")).tolist()]
set(found), float(np.random.rand())
"""
        result = session.run(code)
        if not result.ok or eval(result.value or "") != ({rows + 4, rows}, np.random.RandomState(rows).rand()):
            faults.append((rows, result.value, result.error))

    threads = [threading.Thread(target=work, args=(s, rows)) for s, rows in zip(pair, (6, 20), strict=True)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert not faults
    assert not any(thread.is_alive() for thread in threads)


def test_a_lowering_that_began_before_is_not_disturbed() -> None:
    """A session swaps only when no other lowers, also when those began before anybody had state of its own."""
    one, two = SessionState(), SessionState()
    began, swapped, go = threading.Event(), threading.Event(), threading.Event()
    seen: list[Any] = []

    def long() -> None:
        began.set()
        go.wait(10)
        seen.append((pd.get_option("display.max_rows"), swapped.is_set()))

    def change() -> None:
        pd.set_option("display.max_rows", 3)
        swapped.set()

    first = threading.Thread(target=one.perform, args=(long,))
    first.start()
    began.wait(10)
    second = threading.Thread(target=two.perform, args=(change, frozenset({"state"})))
    second.start()
    swapped.wait(0.05)
    go.set()
    first.join(10)
    second.join(10)
    assert seen == [(pd.get_option("display.max_rows"), False)]
    assert swapped.is_set()
    two.close()


STEPS = st.lists(
    st.tuples(st.integers(0, 2), st.sampled_from(["set", "look", "fail", "nest", "call"]), st.integers(1, 50)),
    max_size=20,
)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(STEPS)
def test_any_interleaving_keeps_them_apart(steps: list[tuple[int, str, int]]) -> None:
    """Whatever sessions do one after another or inside each other's callbacks, each reads what it wrote."""
    states = [SessionState() for _ in range(3)]
    wrote: dict[int, int] = {}
    usual = pd.get_option("display.max_rows")

    def put(who: int, value: int) -> None:
        states[who].perform(lambda: pd.set_option("display.max_rows", value), frozenset({"state"}))
        wrote[who] = value

    def read(who: int) -> Any:
        return states[who].perform(lambda: pd.get_option("display.max_rows"))

    def calling(who: int, value: int) -> None:
        with states[who].outside():
            assert pd.get_option("display.max_rows") == usual
            put((who + 1) % 3, value)
            put(who, value + 1)
        assert pd.get_option("display.max_rows") in (wrote[who], usual)

    for who, what, value in steps:
        if what == "set":
            put(who, value)
        elif what == "fail":
            with pytest.raises(ZeroDivisionError):
                states[who].perform(lambda: 1 / 0, frozenset({"state"}))
        elif what == "nest":
            states[who].perform(lambda who=who, value=value: put(who, value))
        elif what == "call":
            states[who].perform(lambda who=who, value=value: calling(who, value))
        assert [read(n) for n in range(3)] == [wrote.get(n, usual) for n in range(3)]
        assert pd.get_option("display.max_rows") == usual
    for state in states:
        state.close()
