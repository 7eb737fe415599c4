"""Corners in which ordinary code would notice that its objects live elsewhere."""

from __future__ import annotations

import io
import warnings
from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd
import pytest

from proxyplane import ControlPlane, Policy
from proxyplane.sessions import Session


def frame() -> pd.DataFrame:
    return pd.DataFrame({"a": [1, 2, 3], "b": [1.5, 2.5, 3.5], "c": ["x", "y", "z"]})


@pytest.fixture(scope="module")
def plane() -> Iterator[ControlPlane]:
    """A plane with the preset `open`."""
    with ControlPlane(policy=Policy.preset("open")) as opened:
        yield opened


@pytest.fixture
def session(plane: ControlPlane) -> Iterator[Session]:
    """A frame, a list, a dict and a set that live on the host."""
    objects = {"df": frame(), "rows": [3, 1, 2], "config": {"a": 1, "b": [1, 2]}, "tags": {"x", "y"}}
    with plane.session("agent", objects=objects) as opened:
        assert opened.run("import pandas as pd, numpy as np, json, io, warnings").ok
        yield opened


def value_of(session: Session, code: str) -> Any:
    ran = session.run(code)
    assert ran.error is None, ran.error
    return ran.value


NATIVE: dict[str, Any] = {"rows": [3, 1, 2], "config": {"a": 1, "b": [1, 2]}, "pd": pd, "np": np}


@pytest.mark.parametrize(
    "code",
    [
        "[1] + rows",
        "rows + [1]",
        "sorted(rows)",
        "rows == [3, 1, 2], [3, 1, 2] == rows",
        "[*rows], tuple(rows), list(reversed(rows)), rows * 2, rows[1:]",
        "isinstance(rows, list), isinstance(config, dict)",
        "__import__('json').dumps(config)",
        "__import__('json').dumps({'deep': [config, rows]}, indent=1)",
        "{**config}, dict(config), config | {'z': 1}, {'z': 1} | config",
        "(lambda **names: names)(**config)",
        "__import__('copy').deepcopy(config)",
        "','.join(map(str, rows)), max(rows), sum(rows, 1)",
        "f'{rows} {config}'",
    ],
)
def test_lists_and_dicts_of_the_host_behave_as_such(session: Session, code: str) -> None:
    """They concatenate, unpack, compare and serialise as lists and dicts do."""
    assert value_of(session, code) == repr(eval(code, dict(NATIVE)))


def test_sets_of_the_host_behave_as_such(session: Session) -> None:
    """A set is copied, joined and asked for its members."""
    assert value_of(session, "sorted(set(tags)), sorted({'z'} | tags), sorted({'q'}.union(tags))") == repr(
        (["x", "y"], ["x", "y", "z"], ["q", "x", "y"])
    )
    assert value_of(session, "isinstance(tags, set), 'x' in tags, len(tags)") == "(True, True, 2)"


def test_changes_of_a_list_happen_on_the_host(session: Session) -> None:
    """What the agent appends and sorts is in the host's own list."""
    assert session.run("rows.append(9); rows.sort(); config['new'] = rows[0]; rows += [7]; del rows[0]").ok
    assert session.get("rows") == [2, 3, 9, 7]
    assert session.get("config")["new"] == 1


def test_code_that_reads_raw_storage_fails_loudly(session: Session) -> None:
    """C code that goes past all methods of a list meets a refusal, not an empty list."""
    ran = session.run("import heapq\nheapq.heappush(rows, 0)")
    assert ran.error is not None
    assert "lives on the host" in ran.error.message
    assert session.get("rows") == [3, 1, 2]


@pytest.mark.parametrize(
    "code",
    [
        "x == 1",
        "~(x == 1)",
        "(x > 0) is True",
        "(x > 0) is np.True_",
        "not (x > 5)",
        "(x == 1) & True",
        "1 < x, x <= 1.0, x != y",
        "y == 1.5, y > x",
        "x == 'text'",
        "np.float32(0.1) == 0.1",
        "(t == t) is True",
        "('x' == s) is True",
    ],
)
def test_comparisons_give_what_they_give_natively(session: Session, code: str) -> None:
    """numpy's numbers compare to numpy's bools, everything else to plain ones."""
    before = "x = df.a.iloc[0]; y = df.b.iloc[0]; t = pd.Timestamp('2020'); s = df.c.iloc[0]"
    names: dict[str, Any] = {"df": frame(), "pd": pd, "np": np}
    exec(before, names)
    assert session.run(before).ok
    assert value_of(session, code) == repr(eval(code, names))


def test_expressions_see_the_agents_variables(session: Session) -> None:
    """`@name` in `query` and `eval` is a variable of the code that calls, local ones first."""
    code = """
limit, wanted, series = 2, ["x", "z"], df.a * 2
def inner():
    limit = 1
    return df.query("a > @limit").a.tolist()
df.query("a > @limit").a.tolist(), df.query("c in @wanted").c.tolist(), inner(), df.eval("a + @series").tolist()
"""
    assert value_of(session, code) == "([3], ['x', 'z'], [2, 3], [3, 6, 9])"


@pytest.mark.parametrize("text", ["a > @pd.x", "a > @secret_of_the_host", "@__builtins__", "a > @f()"])
def test_expressions_never_see_the_hosts_variables(session: Session, text: str) -> None:
    """A name that the agent does not have is an error, and what is more than a name is refused."""
    secret_of_the_host = 1  # what a walk through the host's frames would find
    ran = session.run(f"f = len\ndf.query({text!r})")
    assert ran.error is not None
    assert ran.error.type in ("UndefinedVariableError", "Denied")
    assert secret_of_the_host == 1


def test_called_by_name_an_expression_cannot_name_variables(session: Session) -> None:
    """`apply("eval", ...)` would look for `@name` in the host's frames, so it is refused."""
    ran = session.run("df.apply('eval', expr='a > @x')")
    assert ran.error is not None
    assert ran.error.type == "Denied"


def test_warnings_of_the_host_are_the_agents(session: Session, recwarn: pytest.WarningsRecorder) -> None:
    """They reach the agent's filters with category and text, show its own line, and never the host's."""
    code = """
with warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter("always")
    np.log(np.array([0.0]))
[(w.category.__name__, str(w.message)) for w in caught]
"""
    assert value_of(session, code) == repr([("RuntimeWarning", "divide by zero encountered in log")])
    shown = session.run("np.log(np.array([0.0]))")
    assert "RuntimeWarning: divide by zero" in shown.stderr
    assert "<agent-" in shown.stderr
    failed = session.run("warnings.simplefilter('error')\nnp.log(np.array([0.0]))")
    assert failed.error is not None
    assert failed.error.type == "RuntimeWarning"
    assert len(recwarn) == 0


def test_the_hosts_filters_do_not_rule_the_agents_code(session: Session) -> None:
    """Where the host makes warnings errors, an operation of an agent still ends well."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        ran = session.run("np.log(np.array([0.0]))")
        assert ran.ok
        with pytest.raises(RuntimeWarning):
            np.log(np.array([0.0]))


def test_warnings_hold_nothing_of_the_data(plane: ControlPlane, monkeypatch: pytest.MonkeyPatch) -> None:
    """A word of the data in a warning's text does not cross; its template does."""

    def noisy(self: pd.DataFrame, n: int = 5) -> None:
        warnings.warn(f"the value {self.s[0]} looks odd", UserWarning, stacklevel=2)

    monkeypatch.setattr(pd.DataFrame, "head", noisy)
    with plane.session("agent", objects={"hidden": pd.DataFrame({"s": ["zqxhidden"]})}) as session:
        ran = session.run("hidden.head()")
    assert "UserWarning: the value … looks odd" in ran.stderr
    assert "zqxhidden" not in ran.stderr


def test_what_the_host_writes_into_a_buffer_arrives(session: Session) -> None:
    """`to_csv`, `info` and `to_parquet` fill the agent's buffers; reading moves their position."""
    expected = io.StringIO()
    frame().to_csv(expected)
    assert value_of(session, "out = io.StringIO(); df.to_csv(out); out.getvalue()") == repr(expected.getvalue())
    assert value_of(session, "out.seek(0); pd.read_csv(out).shape, out.read()") == "((3, 4), '')"
    assert "Data columns" in value_of(session, "text = io.StringIO(); df.info(buf=text); text.getvalue()")
    assert session.run("import sys\ndf.to_csv(sys.stdout)").stdout == expected.getvalue()
    assert (
        value_of(session, "raw = io.BytesIO(); df.to_pickle(raw) or df.to_csv(raw); len(raw.getvalue()) > 40") == "True"
    )


WITHOUT_REVEAL = """
schema = 1
default = "deny"
[modules]
host = ["pandas"]
[[rules]]
id = "work"
agent = "*"
object = "*"
effect = ["read", "compute"]
decide = "allow"
"""


def test_writing_into_a_buffer_is_a_look(session: Session) -> None:
    """Where reveal is refused, a buffer stays empty."""
    with (
        ControlPlane(policy=Policy.parse(WITHOUT_REVEAL)) as plane,
        plane.session("a", objects={"df": frame()}) as narrow,
    ):
        for call in ("df.to_csv(out)", "df.to_json(out)", "df.to_pickle(out)", "df.to_string(out)"):
            kind = "BytesIO" if "pickle" in call else "StringIO"
            ran = narrow.run(f"import io\nout = io.{kind}()\n{call}")
            assert ran.error is not None
            assert (ran.error.type, ran.error.effect) == ("Denied", "reveal")
            assert narrow.run("len(out.getvalue())").value == "0"


def test_categories_are_content_also_in_a_schema() -> None:
    """A categorical dtype shows its categories only where reveal is allowed, however the agent came by it."""
    table = pd.DataFrame({"c": pd.Categorical(["zqxhidden", "other"])})
    with (
        ControlPlane(policy=Policy.parse(WITHOUT_REVEAL)) as plane,
        plane.session("a", objects={"df": table}) as narrow,
    ):
        for code in ("df.c.dtype", "df.dtypes.iloc[0]", "df.c.dtype.categories", "list(df.dtypes.iloc[0].categories)"):
            ran = narrow.run(code)
            assert ran.error is not None, code
            assert ran.error.effect == "reveal"
        assert narrow.run("str(df.c.dtype)").value in ("'category'", None)


def test_constants_of_a_type_are_on_the_type(session: Session) -> None:
    """`Timestamp.max` is a value on the class as on an instance."""
    code = "pd.Timestamp.max, pd.Timestamp('2020').max, pd.Timedelta.min, pd.Timedelta.resolution"
    assert value_of(session, code) == repr(eval(code, {"pd": pd}))


def test_nat_answers_as_natively(session: Session) -> None:
    """Methods of a time give NaT or NaN."""
    code = "pd.NaT.ceil('D') is pd.NaT, pd.NaT.tz_localize(None) is pd.NaT, pd.NaT.day_name(), pd.NaT.tz_convert('UTC')"
    assert value_of(session, code) == repr(eval(code, {"pd": pd}))


def test_matches_reach_a_callback(session: Session) -> None:
    """The replacement function of `str.replace` gets a match object that answers."""
    code = "df.c.str.replace(r'(x|y)', lambda m: m.group(1).upper() + str(m.start()), regex=True).tolist()"
    assert value_of(session, code) == "['X0', 'Y0', 'z']"


def test_labels_and_names_can_be_set(session: Session) -> None:
    """`df.columns = ...` and `df.index.name = ...` change the host's frame."""
    assert session.run("df.columns = ['p', 'q', 'r']; df.index.name = 'n'; df.p = 0").ok
    changed = session.get("df")
    assert list(changed.columns) == ["p", "q", "r"]
    assert changed.index.name == "n"
    assert changed.p.tolist() == [0, 0, 0]


def test_help_and_dir_show_the_host_types(session: Session) -> None:
    """`help(df.merge)` prints the documentation, `dir(df)` has methods and columns, `help(len)` is Python's own."""
    assert "Merge DataFrame" in session.run("help(df.merge)").stdout
    assert "Return the number of items" in session.run("help(len)").stdout
    assert value_of(session, "{'merge', 'a', 'shape'} <= set(dir(df)), '_mgr' in dir(df)") == "(True, False)"


@pytest.mark.parametrize(
    ("code", "message"),
    [
        ("pd.to_datetime('garbage')", "Unknown datetime string format, unable to parse: garbage"),
        ("df['nope']", "'nope'"),
        ("df.loc[77]", "77"),
        ("df.nope", "'DataFrame' object has no attribute 'nope'"),
        ("pd.concat([])", "No objects to concatenate"),
        ("df.query('nope > 1')", "name 'nope' is not defined"),
        ("df.iloc[99]", "single positional indexer is out-of-bounds"),
    ],
)
def test_error_texts_are_the_native_ones(session: Session, code: str, message: str) -> None:
    """Texts of errors are those of the library wherever they hold nothing but its words and the agent's."""
    ran = session.run(code)
    assert ran.error is not None
    assert message in ran.error.message
