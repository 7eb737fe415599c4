"""Parts of pandas that agents use less often: what they know of them is true here too."""

from __future__ import annotations

import io
import sqlite3
import textwrap
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from benchmarks import fidelity
from proxyplane import ControlPlane, Policy
from proxyplane.sessions import Session


def frame() -> pd.DataFrame:
    return pd.DataFrame({"a": [1, 2, 3], "b": ["x", "y", "z"], "c": [1.5, 2.5, 3.5]})


@pytest.fixture(scope="module")
def plane(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ControlPlane]:
    """All effects that analysis needs, and files in a folder of its own."""
    with fidelity.permissive(tmp_path_factory.mktemp("files")) as opened:
        yield opened


@pytest.fixture
def session(plane: ControlPlane) -> Iterator[Session]:
    """A frame that lives on the host."""
    with plane.session("agent", objects={"df": frame()}) as opened:
        assert opened.run("import pandas as pd, numpy as np, io").ok
        yield opened


def value_of(session: Session, code: str) -> Any:
    ran = session.run(code)
    assert ran.error is None, ran.error
    return ran.value


def error_of(session: Session, code: str) -> Any:
    ran = session.run(code)
    assert ran.error is not None, ran.value
    return ran.error


AS_NATIVELY = [
    "df.attrs",
    "df.set_flags(allows_duplicate_labels=False).flags",
    "df.flags['allows_duplicate_labels']",
    "df.to_dict('records', into=__import__('collections').OrderedDict)",
    "df.to_dict(into=__import__('collections').defaultdict(list))",
    "df.b.to_dict(into=__import__('collections').OrderedDict)",
    "pd.Series.str, pd.DataFrame.sparse",
    "pd.NaT.to_numpy()",
    "pd.Timedelta('1 days 2 h').components",
    "pd.Timedelta('1 days').components.hours",
    "pd.Index([1, 2]).view('uint64')",
    "pd.array([1, 2, None])._reduce('sum'), pd.array([1, 2])._accumulate('cumsum')",
    "pd.MultiIndex.from_arrays([[0, 1], ['a', 'b']])._is_lexsorted()",
    "pd.col('b').str.upper()",
    "df.assign(d=pd.col('b').str.upper() + '!', e=pd.col('a').clip(0, 2))",
    "pd.eval('df.a + df.c * 2')",
    "pd.eval('d = df.a * 2', target=df)",
    "pd.offsets.Hour(5).is_month_end(pd.Timestamp('2020-01-31'))",
    "pd.DateOffset(5).kwds, pd.offsets.BusinessDay().calendar",
    "__import__('pandas.tseries.holiday').tseries.holiday.USFederalHolidayCalendar().holidays('2020', '2021')[:3]",
    "__import__('pandas.core.dtypes.common').core.dtypes.common.is_numeric_dtype(df.a)",
    "pd.api.interchange.from_dataframe(df.__dataframe__().select_columns_by_name(['a']))",
    "pd.plotting.plot_params['x_compat']",
    "pd.read_xml(io.StringIO('<r><x><a>1</a></x><x><a>2</a></x></r>'))",
]


@pytest.mark.parametrize("code", AS_NATIVELY)
def test_a_member_gives_what_it_gives_natively(session: Session, code: str) -> None:
    """Value and text are pandas' own."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        native = repr(eval(code, {"df": frame(), "pd": pd, "io": io}))
    assert value_of(session, code) == native


def test_attributes_of_a_frame_are_its_own(session: Session) -> None:
    """What the agent notes in `attrs` goes where pandas takes it, and is on the host's object."""
    assert value_of(session, "df.attrs['unit'] = {'a': 'kg'}; df.head(1).attrs") == "{'unit': {'a': 'kg'}}"
    assert session.get("df").attrs == {"unit": {"a": "kg"}}


def test_objects_in_attributes_do_not_come_out_as_copies(plane: ControlPlane) -> None:
    """pandas copies `attrs` deeply: with a table in them they are refused, or the copy would hide nothing."""
    table, kept = frame(), pd.DataFrame({"secret": [4711]})
    table.attrs["source"] = kept
    with plane.session("agent", objects={"df": table}) as session:
        for code in ("df.attrs", "df.head(1).attrs", "df.agg('attrs')", "getattr(df.a, 'attrs')['source']"):
            ran = session.run(code)
            assert "4711" not in f"{ran.value}{ran.stdout}{ran.error}"
            assert ran.error is not None or ran.value == "{}"


def test_accessors_of_the_agent_live_in_the_guest(session: Session) -> None:
    """A registered accessor works on this session's objects; the host's class knows nothing of it."""
    code = """
        @pd.api.extensions.register_dataframe_accessor("twice")
        class Twice:
            def __init__(self, table): self._table = table
            def total(self): return self._table.a.sum() * 2
    """
    assert session.run(textwrap.dedent(code)).ok
    assert (
        value_of(session, "int(df.twice.total()), int(df.head(1).twice.total()), df.twice is df.twice")
        == "(12, 2, True)"
    )
    assert not hasattr(pd.DataFrame, "twice")


def test_windows_of_the_agent_end_where_the_values_end(session: Session) -> None:
    """A subclass of BaseIndexer gives bounds; those behind the values are cut, natively memory is read there."""
    code = """
        class Ahead(pd.api.indexers.BaseIndexer):
            def get_window_bounds(self, num_values, min_periods, center, closed, step):
                start = np.arange(num_values, dtype=np.int64)
                return start, start + self.window_size
        wide = df[["a"]].rolling(Ahead(window_size=100), min_periods=1).sum().a.tolist()
    """
    assert session.run(textwrap.dedent(code)).ok
    assert value_of(session, "wide") == "[6.0, 5.0, 3.0]"


@pytest.mark.parametrize("path", ["book.xlsx", "buffer"])
def test_a_writer_writes_at_its_end(session: Session, path: str) -> None:
    """Sheets of an ExcelWriter are in its file, or in the agent's buffer, when the `with` statement ends."""
    pytest.importorskip("openpyxl")
    code = f"""
        where = io.BytesIO() if {path!r} == "buffer" else {path!r}
        with pd.ExcelWriter(where) as writer:
            df.to_excel(writer, sheet_name="one", index=False)
            df.head(1).to_excel(writer, sheet_name="two", index=False)
        sheets = pd.read_excel(where, sheet_name=None)
    """
    ran = session.run(textwrap.dedent(code))
    assert ran.error is None, ran.error
    assert (
        value_of(session, "list(sheets), sheets['one'].equals(df), len(sheets['two'])") == "(['one', 'two'], True, 1)"
    )


def test_what_was_written_by_a_writer_is_still_the_tables(tmp_path: Path) -> None:
    """A file that a writer made of a table counts as that table when it is read back: budgets go on."""
    pytest.importorskip("openpyxl")
    policy = f"""
        schema = 1
        default = "deny"
        [modules]
        host = ["pandas"]
        [fs]
        root = "{tmp_path}"
        read = ["**"]
        write = ["**"]
        [[rules]]
        id = "all"
        agent = "*"
        object = "*"
        effect = ["read", "compute", "mutate", "reveal", "fs.read", "fs.write"]
        decide = "allow"
    """
    parsed = Policy.parse(textwrap.dedent(policy))
    with ControlPlane(policy=parsed) as plane, plane.session("agent", objects={"df": frame()}) as session:
        assert session.run("import pandas as pd\nwith pd.ExcelWriter('x.xlsx') as w: df.to_excel(w)").ok
        assert session.run("back = pd.read_excel('x.xlsx')").ok
        held = session.table.find(session.get("back"))
        assert held is not None
        assert "df" in held.roots


def test_databases_in_memory(session: Session) -> None:
    """`to_sql` and `read_sql` over connections that the session made, with sqlite3 and with sqlalchemy."""
    pytest.importorskip("sqlalchemy")
    code = """
        import sqlite3, sqlalchemy
        con, engine = sqlite3.connect(":memory:"), sqlalchemy.create_engine("sqlite://")
        done = df.to_sql("t", con, index=False), df.to_sql("t", engine, index=False)
    """
    assert session.run(textwrap.dedent(code)).ok
    con = sqlite3.connect(":memory:")
    frame().to_sql("t", con, index=False)
    assert value_of(session, "pd.read_sql('select a, b from t where a > 1', con)") == repr(
        pd.read_sql("select a, b from t where a > 1", con)
    )
    assert value_of(session, "pd.read_sql_table('t', engine).equals(df), len(pd.read_sql('t', engine))") == "(True, 3)"


def test_rows_in_a_database_are_still_the_tables(session: Session) -> None:
    """What went into a database comes out as the table's, also by a cursor that was made before."""
    code = """
        import sqlite3
        con = sqlite3.connect(":memory:"); before = con.cursor()
        df.to_sql("t", con, index=False)
        rows = before.execute("select * from t")
        back = pd.read_sql("select * from t", con)
    """
    assert session.run(textwrap.dedent(code)).ok
    for name in ("before", "rows", "back", "con"):
        held = session.table.find(session.get(name))
        assert held is not None
        assert "df" in held.roots, name


@pytest.mark.parametrize(
    "code",
    [
        "pd.read_sql('attach database \"x\" as y', con)",
        "pd.read_sql('select 1', 'sqlite:////etc/passwd')",
        "pd.read_sql('select 1', 'postgresql://host/x')",
        "df.to_sql('t', con, dtype={'a': 'INTEGER); ATTACH x AS y; --'})",
        "df.to_sql('t', 'sqlite:///x.db')",
        "pd.read_xml(io.StringIO('<r><a>1</a></r>'), stylesheet=io.StringIO('<x/>'))",
        "df.style.format('{0.__class__}')",
        "df.style.format({'a': '{:{0.real}}'})",
        "df.style.format_index('{0[0]}')",
        "df.style.relabel_index(['{0.__class__}', 'b', 'c'])",
        "df.style.relabel_index(pd.Index(['{0.__class__}', 'b', 'c']))",
        "odd = pd.DataFrame({'\U0001d41attrs': [1]}); pd.eval('odd.\U0001d41attrs')",
        "pd.io.formats.style.Styler(df, formatter='{0.__init__}')",
        "df.style.use({'apply': [(lambda styler: styler.to_html, (), {})]})",
        "pd.eval('df._mgr')",
        "pd.eval('df.values')",
        "pd.eval('df.a.sum()')",
        "pd.col('a').to_csv",
        "pd.array([1, None])._data",
        "pd.array([1, None])._values_for_argsort()",
        "pd.array([1])._reduce('_mask')",
        "pd.array([1])._accumulate('__init__')",
        "pd.Categorical(['a'])._set_categories(pd.Index(['a', 'b']), fastpath=True)",
        "df._mgr",
        "df.a._values",
        "df.__array__()",
        "pd.offsets.Hour(5).is_month_end('2020-01-31')",
        "pd.HDFStore('x.h5', driver='H5FD_SPLIT')",
        "pd.core.internals",
        "pd.io.common",
    ],
)
def test_what_leads_further_is_refused(session: Session, code: str) -> None:
    """The roads beside these members that lead to files, raw memory or code stay closed, and say so."""
    assert session.run("import sqlite3; con = sqlite3.connect(':memory:')").ok
    error = error_of(session, code)
    assert error.type in ("Denied", "DeniedAttribute", "AttributeError"), error


def test_private_members_are_in_no_list(session: Session) -> None:
    """A reviewed private member can be used, and shows in no `dir`, description or listing; others do not exist."""
    assert value_of(session, "'_set_axis_name' in dir(df), '_set_axis_name' in dir(pd.DataFrame)") == "(False, False)"
    assert not any(name.startswith("_") for name in session.list_attrs("df"))
    assert not any(name.startswith("_") for name in session.describe("df")["members"])
    assert value_of(session, "df._set_axis_name('n').index.name") == "'n'"
    assert (
        value_of(session, "[hasattr(df, n) for n in ('_set_axis_name', '_mgr', '_constructor')]")
        == "[True, False, False]"
    )


def test_a_private_line_holds_for_its_own_type_only() -> None:
    """A subclass that nobody reviewed has none of the private members of its base."""
    from proxyplane.catalog import Catalog

    class Special(pd.DataFrame):
        """Of somebody else."""

    catalog = Catalog.load()
    known, other = catalog.of(pd.DataFrame), catalog.of(Special)
    assert known is not None
    assert other is not None
    assert "_set_axis_name" in known.members
    assert "_set_axis_name" not in other.members
    assert "head" in other.members


def test_versions_are_shown_without_importing_anything(session: Session) -> None:
    """`show_versions` prints the native table; it starts no process and imports nothing."""
    import sys

    before = set(sys.modules)
    ran = session.run("pd.show_versions()")
    assert ran.error is None
    assert "INSTALLED VERSIONS" in ran.stdout
    assert pd.__version__ in ran.stdout
    assert not {
        name
        for name in set(sys.modules) - before
        if not name.startswith(("pandas", "importlib", "email", "csv", "proxyplane"))
    }


def test_plot_settings_and_converters_are_a_sessions_own(session: Session) -> None:
    """What a session registers or sets for plots ends with its operations: the process has its own."""
    pytest.importorskip("matplotlib")
    from matplotlib import units

    assert session.run("df.a.plot()").ok  # what is imported for plots registers its own, as natively
    before = dict(units.registry)
    assert session.run("pd.plotting.register_matplotlib_converters()").ok
    assert dict(units.registry) == before
    assert (
        value_of(session, "with_ = pd.plotting.plot_params.use('x_compat', True); with_.__enter__()['x_compat']")
        == "True"
    )
    assert pd.plotting.plot_params["x_compat"] is False
    assert value_of(session, "pd.plotting.plot_params['x_compat']") == "True"
