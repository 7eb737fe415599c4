"""`Session.run` as section 6 of the design promises it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from proxyplane import ControlPlane, Policy
from proxyplane.sessions import Session

from .tables import records, sales


def test_last_expression_is_shown_as_a_repl_shows_it(session: Session) -> None:
    """`.value` is the text of the last expression, exactly as natively."""
    result = session.run("df.head(2)")
    assert result.ok
    assert result.value == repr(sales().head(2))


def test_nothing_is_shown_for_none(session: Session) -> None:
    """A last expression that is None, and a statement, have no value."""
    assert session.run("None").value is None
    assert session.run("x = 1").value is None


def test_output_and_names_persist(session: Session) -> None:
    """Standard output arrives; names live on from run to run."""
    assert session.run("x = 20\nprint('hello'); import sys; print('oops', file=sys.stderr)").stdout == "hello\n"
    result = session.run("x + 1")
    assert result.value == "21"
    assert result.stderr == ""


def test_ordinary_analysis_equals_native(session: Session) -> None:
    """Groupby, filter, sort and merge give the same text as native pandas."""
    code = """
import pandas as pd
big = df[df.amount > 10]
by = big.groupby("region").amount.agg(["sum", "mean"]).sort_values("sum", ascending=False)
names = pd.DataFrame({"region": ["north", "south", "east"], "boss": ["Ann", "Bob", "Cyd"]})
by.reset_index().merge(names, on="region")
"""
    frame = sales()
    names: dict[str, Any] = {"df": frame}
    exec(code.rsplit("\n", 2)[0], names)
    native = eval(code.strip().rsplit("\n", 1)[1], names)
    assert session.run(code).value == repr(native)


def test_callbacks_run_in_the_guest(session: Session) -> None:
    """A lambda given to apply, map and sorted's key runs in the guest and sees what it would natively."""
    assert session.run("df.units.map(lambda x: x * 2).tolist()").value == "[0, 2, 4, 6, 8, 10]"
    assert session.run("df.apply(lambda row: row.amount + row.units, axis=1).sum()").value == repr(
        sales().apply(lambda row: row.amount + row.units, axis=1).sum()
    )
    assert session.run("df.groupby('region').apply(lambda g: g.amount.max()).to_dict()").value == repr(
        sales().groupby("region").apply(lambda g: g.amount.max()).to_dict()
    )
    assert session.run("sorted(df.units, key=lambda v: -v)[:2]").value == "[5, 4]"


def test_a_callback_may_ask_the_host_and_be_nested(session: Session) -> None:
    """Inside a callback the agent uses stubs, and host code may call it again."""
    code = "df.units.map(lambda x: df.units.map(lambda y: y + x).sum()).tolist()"
    frame = sales()
    assert session.run(code).value == repr(frame.units.map(lambda x: frame.units.map(lambda y: y + x).sum()).tolist())


def test_an_exception_of_a_callback_arrives_as_itself(session: Session) -> None:
    """What the agent's function raised is what the agent catches, through the host's library."""
    code = """
class Mine(Exception): pass
def f(x): raise Mine("here")
try:
    df.units.map(f)
except Mine as e:
    got = str(e)
got
"""
    assert session.run(code).value == "'here'"


def test_syntax_error(session: Session) -> None:
    """A syntax error is reported with the agent's line and runs nothing."""
    result = session.run("x = 1\nfor in range(3): pass")
    assert not result.ok
    assert result.error is not None
    assert result.error.type == "SyntaxError"
    assert "for in range" in result.error.traceback


def test_exception_has_only_the_agents_frames(session: Session) -> None:
    """A traceback shows the agent's own lines and no file of ours."""
    result = session.run("def f(x):\n    return 1 / x\n\nf(0)")
    assert result.error is not None
    assert result.error.type == "ZeroDivisionError"
    assert "return 1 / x" in result.error.traceback
    assert "proxyplane" not in result.error.traceback


def test_native_exceptions_of_host_operations(session: Session) -> None:
    """A host exception arrives as its native type with a text that names only what the agent sent."""
    result = session.run("df['nope']")
    assert result.error is not None
    assert result.error.type == "KeyError"
    assert "nope" in result.error.message
    assert session.run("try:\n    df['nope']\nexcept KeyError as e:\n    r = e.args\nr").value == "('nope',)"
    has = [session.run(f"hasattr(df, {name!r})").value for name in ("amount", "nope", "_mgr")]
    assert has == ["True", "False", "False"]


def test_identity_and_types(session: Session) -> None:
    """`type(x) is`, isinstance and `a is b` hold."""
    code = """
import pandas as pd, numpy as np
col = df["amount"]
[type(df) is pd.DataFrame, isinstance(col, pd.Series), df is df, np.nan is np.nan, isinstance(col.sum(), float)]
"""
    assert session.run(code).value == "[True, True, True, True, True]"


def test_timeout_kills_only_the_guest(open_plane: ControlPlane) -> None:
    """An endless loop ends with GuestTimeout; the session goes on with the granted names and its handles."""
    with open_plane.session("agent", objects={"df": sales()}) as session:
        assert session.run("big = df[df.amount > 20]; plain = 5").ok
        result = session.run("while True: pass", timeout=0.5)
        assert result.error is not None
        assert result.error.type == "GuestTimeout"
        assert "plain" in result.lost
        assert session.run("len(df), len(big)").value == "(6, 3)"
        assert session.run("plain").error is not None


def test_get_and_put(session: Session) -> None:
    """`get` gives the real object behind a variable, `put` grants one while it runs."""
    session.run("top = df.groupby('region').amount.sum()\nn = 3")
    assert session.get("top").equals(sales().groupby("region").amount.sum())
    assert session.get("n") == 3
    session.put("more", sales(3))
    assert session.run("len(more)").value == "3"


def test_in_memory_files_reach_the_host(session: Session) -> None:
    """A StringIO of the guest is read by the host's library from where it stands."""
    code = "import io, pandas as pd\nf = io.StringIO('skipped\\na,b\\n1,2\\n')\nf.readline()\npd.read_csv(f).to_dict()"
    assert session.run(code).value == "{'a': {0: 1}, 'b': {0: 2}}"


def test_two_sessions_do_not_meet(open_plane: ControlPlane) -> None:
    """Names and objects of one session are unknown in another on the same plane."""
    with (
        open_plane.session("one", objects={"df": sales(3)}) as first,
        open_plane.session("two", objects={"df": sales(5)}) as second,
    ):
        first.run("x = 1")
        assert first.run("len(df)").value == "3"
        assert second.run("len(df)").value == "5"
        result = second.run("x")
        assert result.error is not None
        assert result.error.type == "NameError"


def test_exploring(analyst: Callable[..., Session]) -> None:
    """`describe`, `list_attrs` and `get_attr` tell what may be used; hidden columns are in none of them."""
    session = analyst()
    described = session.describe("sales")
    assert described["type"].endswith("DataFrame")
    assert "ssn" not in repr(described)
    attributes = session.list_attrs("sales")
    assert "amount" in attributes
    assert "head" in attributes
    assert "ssn" not in attributes
    assert session.get_attr("sales", "shape") == (6, 3)
    with pytest.raises(AttributeError):
        session.get_attr("sales", "ssn")


def test_refusals_name_the_rule(analyst: Callable[..., Session]) -> None:
    """A refused effect is a PermissionError with effect, rule and hint, also when uncaught."""
    session = analyst()
    code = "try:\n    sales.to_csv('/tmp/x.csv')\nexcept PermissionError as e:\n    t = type(e).__name__, e.rule\nt"
    caught = session.run(code)
    assert caught.value == "('Denied', 'no-outside-world')"
    result = session.run("sales.to_csv('x.csv')")
    assert result.error is not None
    assert (result.error.type, result.error.effect, result.error.rule) == ("Denied", "fs.write", "no-outside-world")


def test_the_hidden_column_is_absent(analyst: Callable[..., Session]) -> None:
    """A hidden column behaves as if it did not exist."""
    session = analyst()
    result = session.run("sales['ssn']")
    assert result.error is not None
    assert result.error.type == "KeyError"
    assert session.run("'ssn' in sales.columns, sales.shape").value == "(False, (6, 3))"


def test_rows_are_capped_and_charged(analyst: Callable[..., Session]) -> None:
    """One look is capped by the rule, all looks together by the budget."""
    session = analyst(sales(1000))
    result = session.run("sales.amount.tolist()")
    assert result.error is not None
    assert result.error.effect == "reveal"
    assert result.error.rule == "show" or "100" in (result.error.hint or "")
    for _ in range(5):
        assert session.run("len(sales.amount.head(100).tolist())").value == "100"
    result = session.run("sales.amount.head(1).tolist()")
    assert result.error is not None
    assert result.error.type == "BudgetExceeded"


def test_every_operation_is_recorded(analyst: Callable[..., Session]) -> None:
    """Reads, refusals, errors and mutations each have their record, intent before mutation."""
    session = analyst()
    session.run("sales.shape\ntry:\n    sales['nope']\nexcept KeyError: pass\nsales['x'] = 1\n")
    found = [(r["verb"], r["phase"], r["status"] if r["phase"] != "intent" else None) for r in records(session)]
    assert ("getattr", "single", "ok") in found
    assert ("getitem", "single", "error") in found
    at = found.index(("setitem", "intent", None))
    assert found[at + 1] == ("setitem", "outcome", "ok")
    assert records(session)[at + 1]["changes"][0]["to"] == 2


def test_no_record_no_result() -> None:
    """When the log cannot take the record, the operation's result does not cross."""
    from proxyplane.errors import AuditUnavailable

    plane = ControlPlane(policy=Policy.preset("open"))
    with plane.session("agent", objects={"df": sales()}) as session:
        assert session.run("df.shape").ok
        plane.log._sink.reason = "the disk is gone"

        def refuse(*_: Any, **__: Any) -> None:
            raise AuditUnavailable("the disk is gone")

        plane.log.append = refuse  # type: ignore[method-assign, assignment]
        with pytest.raises(AuditUnavailable):
            session.run("print(df.shape)")
        plane.log._sink.reason = ""
        del plane.log.append
    plane.close()
