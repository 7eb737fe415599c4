"""Granted libraries besides pandas: an agent writes them as it would natively, and nothing they open is reachable."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from proxyplane import ControlPlane, Policy
from proxyplane.sessions import Session

from .tables import records

np = pytest.importorskip("numpy")
pl = pytest.importorskip("polars")

FRAME: dict[str, list[Any]] = {"g": ["a", "b", "a", "b"], "x": [1, 2, 3, 4], "ssn": ["s1", "s2", "s3", "s4"]}


@pytest.fixture
def lake(open_plane: ControlPlane) -> Iterator[Session]:
    """A session over a polars frame `df` and its lazy form `lf`."""
    frame = pl.DataFrame(FRAME)
    with open_plane.session("agent", objects={"df": frame, "lf": frame.lazy()}) as opened:
        yield opened


def value_of(session: Session, code: str) -> str | None:
    """The text of the last expression; fails where the code failed."""
    result = session.run(code)
    assert result.error is None, (result.error.type, result.error.message)
    return result.value


POLARS = [
    "df.filter(pl.col('x') > 2)['x'].to_list()",
    "df.select(2 * pl.col('x') + 1, (1 - pl.col('x')).alias('m'), pl.col.x.alias('y')).rows()",
    "lf.group_by('g').agg(pl.col('x').sum()).sort('g').collect().to_dicts()",
    "df.with_columns(pl.col('g').str.to_uppercase().alias('G')).get_column('G').to_list()",
    "df.select(cs.numeric()).columns, df.select(~cs.string()).columns",
    "df.schema['x'] == pl.Int64, pl.Int64 == df['x'].dtype, df['g'].dtype in (pl.String, pl.Int8)",
    "[(key, len(part)) for key, part in df.group_by('g', maintain_order=True)]",
    "[row for row in df.iter_rows(named=True)][0]",
    "df.select(pl.when(pl.col('x') > 2).then(pl.lit('hi')).otherwise(pl.lit('lo')).alias('w'))['w'].to_list()",
    "pl.DataFrame(column for column in df.select('x', 'g').iter_columns()).shape",
    "np.sqrt(df['x']).round(3).to_list(), df['x'].to_numpy().sum()",
    "df.lazy().select(pl.col('x').sort(descending=True)).collect().item(0, 0)",
    "pl.concat([df, df]).height, df.shape, len(df), 'x' in df",
    "pl.from_dict({'a': [1, 2]}).extend(pl.DataFrame({'a': [3]})).sum().item()",
    "print(df.head(1))",
]


@pytest.mark.parametrize("code", POLARS)
def test_polars_code_gives_what_it_gives_natively(lake: Session, code: str) -> None:
    """Expressions, namespaces, selectors, lazy frames, groups and rows are as in plain Python."""
    frame = pl.DataFrame(FRAME)
    names = {"pl": pl, "np": np, "cs": pl.selectors, "df": frame, "lf": frame.lazy()}
    if code.startswith("print"):
        assert lake.run(f"import polars as pl\n{code}").stdout == f"{frame.head(1)}\n"
        return
    got = value_of(lake, f"import numpy as np, polars as pl, polars.selectors as cs\n{code}")
    assert got == repr(eval(code, names))


def test_callbacks_from_the_threads_of_a_pool(lake: Session) -> None:
    """polars calls the agent's functions from its own threads; each call is decided and recorded."""
    code = """
import polars as pl
calls = []
def twice(value):
    calls.append(value)
    return value * 2
plan = lf.group_by("g").agg(pl.col("x").map_elements(twice, return_dtype=pl.Int64).sum().alias("s")).sort("g")
out = plan.collect()["s"].to_list()
batch = df.select(pl.col("x").map_batches(lambda s: s + df["x"], return_dtype=pl.Int64))["x"].to_list()
out, sorted(calls), batch
"""
    assert value_of(lake, code) == "([8, 12], [1, 2, 3, 4], [2, 4, 6, 8])"
    assert sum(1 for record in records(lake) if record["verb"] == "callback") >= 5


def test_an_exception_in_a_stored_callback_arrives(lake: Session) -> None:
    """A function that a lazy frame kept, and that fails when it is collected, fails in the agent's code."""
    code = """
import polars as pl
def bad(value): raise KeyError("mine")
plan = lf.select(pl.col("x").map_elements(bad, return_dtype=pl.Int64))
try:
    plan.collect()
    got = "nothing"
except KeyError as error:
    got = "expression" in str(error)
got
"""
    assert value_of(lake, code) == "True"


REFUSED = [
    "pl.read_csv('/etc/passwd')",
    "pl.scan_parquet('s3://bucket/x')",
    "df.write_csv('/tmp/out.csv')",
    "lf.sink_parquet('/tmp/out.parquet')",
    "pl.sql('select * from read_csv(\"/etc/passwd\")')",
    "pl.Config.set_verbose(True)",
    "pl.Config.load('{}')",
    "pl.Config(load='{}')",
    "pl.Config(save_to_file='/tmp/c.json')",
    "df.sql('select * from read_csv(\"/etc/passwd\")')",
    "pl.LazyFrame.deserialize(b'')",
    "pl.plugins",
    "lf.collect(background=True)",
    "df['g'].cast(pl.Categorical).cat.to(pl.Categorical)",
    "df.to_numpy().flags.writeable.__class__; a = df.to_numpy(); a.flags.writeable = True",
]


@pytest.mark.parametrize("code", REFUSED)
def test_what_polars_opens_is_refused(lake: Session, code: str) -> None:
    """Files, addresses, SQL, plugins, plans that are read back and settings of the process are not granted."""
    result = lake.run(f"import polars as pl\n{code}")
    assert result.error is not None
    assert result.error.type in ("Denied", "DeniedAttribute", "AttributeError")


def test_a_hidden_column_of_a_polars_frame_is_absent() -> None:
    """`hide` works on polars frames and lazy frames alike."""
    policy = Policy.parse(
        'schema = 1\ndefault = "deny"\n[objects.df]\nhide = ["ssn"]\n[objects.lf]\nhide = ["ssn"]\n[modules]\n'
        'host = ["polars"]\n[[rules]]\nid = "r"\nagent = "*"\nobject = "*"\n'
        'effect = ["read", "compute", "mutate", "reveal", "callback"]\ndecide = "allow"\n'
    )
    frame = pl.DataFrame(FRAME)
    with ControlPlane(policy=policy) as plane, plane.session("a", objects={"df": frame, "lf": frame.lazy()}) as session:
        assert value_of(session, "df.columns, lf.collect_schema().names()") == "(['g', 'x'], ['g', 'x'])"
        assert value_of(session, "import polars as pl\n'ssn' in repr(df) or 's1' in str(df.to_dicts())") == "False"
        for code in ("df['ssn']", "lf.select('ssn').collect()", "df.select(pl.all().exclude('x')).to_dict()['ssn']"):
            assert not session.run(f"import polars as pl\n{code}").ok


def test_what_a_stored_callback_returns_keeps_its_lineage() -> None:
    """A frame that a callback brings into a later operation on another object makes the result its descendant."""
    policy = Policy.parse(
        'schema = 1\ndefault = "deny"\n[modules]\nhost = ["polars"]\n[[rules]]\nid = "r"\nagent = "*"\nobject = "*"\n'
        'effect = ["read", "compute", "mutate", "callback"]\ndecide = "allow"\n[[rules]]\nid = "few"\nagent = "*"\n'
        'object = "*"\neffect = ["reveal"]\nwhen = { rows = "<= 2" }\ndecide = "allow"\n'
    )
    frame = pl.DataFrame(FRAME)
    with ControlPlane(policy=policy) as plane, plane.session("a", objects={"df": frame}) as session:
        code = """
import polars as pl
other = pl.DataFrame({"k": [0, 0, 0, 0]})
expr = pl.col("k").map_batches(lambda s: df["x"], return_dtype=pl.Int64)
stolen = other.select(expr)["k"]
stolen.to_list()
"""
        result = session.run(code)
        assert result.error is not None
        assert (result.error.type, result.error.effect) == ("Denied", "reveal")


NUMPY = [
    "np.array([s, s, 2.0 * s]).tolist()",
    "2 + a, a + 2, 1 / (a + 1), 2 ** a, a @ a, [1, 2, 3] + a, -a",
    "np.float64(2.0) * a, a * np.float64(2.0), np.int64(3) + 4, 4 - np.int64(3)",
    "np.sqrt(4.0), np.add(s, 1), np.hypot(3, 4), np.multiply.outer([1, 2], [3, 4]).tolist()",
    "np.random.default_rng(7).integers(0, 10, 3).tolist()",
    "(lambda o: (np.add(a, 1, out=o) is o, o.tolist()))(np.zeros(3))",
    "np.polynomial.polynomial.polyval(2, [1, 2, 3]), np.emath.sqrt(-1)",
    "np.lib.stride_tricks.sliding_window_view(np.arange(4), 2).tolist()",
    "np.frombuffer(b'\\x01\\x02', dtype=np.uint8).tolist(), a.flags.writeable",
    "[x for x in a.flat], np.broadcast([1, 2], [[3], [4]]).shape",
]


@pytest.mark.parametrize("code", NUMPY)
def test_numpy_code_gives_what_it_gives_natively(open_plane: ControlPlane, code: str) -> None:
    """Operators in both orders, `out=`, generators, scalars and stubs in lists are as in plain Python."""
    setup = "import numpy as np\na = np.array([0.0, 1.0, 2.0]); s = a.sum()\n"
    names: dict[str, Any] = {}
    exec(setup, names)
    with open_plane.session("agent") as session:
        assert value_of(session, setup + code) == repr(eval(code, names))


MEMORY = [
    "a.flags.writeable = True",
    "a.flags['WRITEABLE'] = True",
    "a.flags.setflags(write=True)",
    "np.frombuffer(a, dtype=np.uint8)",
    "np.frombuffer(a.flat, dtype=np.uint8)",
    "np.lib.stride_tricks.as_strided(a, (10,), (8,))",
    "a.flat.base",
    "np.rec.fromstring(b'12345678', dtype='O')",
    "import scipy.sparse as sp; sp.csr_matrix(([1.0], [10**6], [0, 1]), shape=(1, 1)) @ np.ones(1)",
    "import scipy.sparse as sp; m = sp.eye(3).tocsr(); m.indices[0] = 10**6",
    "import scipy.sparse as sp; m = sp.eye(3).tocsr(); m.indptr = np.array([0, 10**6])",
    "import scipy.sparse as sp; m = sp.eye(3).tocoo(); m.row[0] = 10**6",
    "from sklearn.tree import DecisionTreeRegressor as T; T().fit([[1], [2]], [1, 2]).tree_.children_left[0] = 10**6",
    "from sklearn.svm import SVC; c = SVC().fit([[1], [2]], [1, 2]); c.support_ = np.array([10**6])",
    "import pyarrow as pa; pa.ListArray.from_arrays([0, 10**6], pa.array([1]))",
    "import pyarrow as pa; pa.DictionaryArray.from_arrays([10**6], ['a'], safe=False)",
    "import pyarrow as pa, pyarrow.compute as pc; pc.take(pa.array([1]), pa.array([10**6]), boundscheck=False)",
    "np.lib.format",
]


@pytest.mark.parametrize("code", MEMORY)
def test_no_way_to_raw_memory(open_plane: ControlPlane, code: str) -> None:
    """Flags are read only, views are of values that were sent or lie within bounds."""
    array = np.arange(4.0)
    array.flags.writeable = False
    with open_plane.session("agent", objects={"a": array}) as session:
        result = session.run(f"import numpy as np\n{code}")
        assert result.error is not None
        expected = ("Denied", "DeniedAttribute", "AttributeError", "TypeError", "ValueError")
        assert result.error.type in expected, result.error
    assert not array.flags.writeable


def test_in_place_operators_change_the_array(open_plane: ControlPlane) -> None:
    """`+=` and slices write into the host's array, also through `flat`, and the versions say so."""
    array = np.arange(4.0)
    with open_plane.session("agent", objects={"a": array}) as session:
        session.run("b = a\nb += 1\nb[0] = 9\na.flat[1] = 7")
        assert array.tolist() == [9.0, 7.0, 3.0, 4.0]
        changed = [change for record in records(session) for change in record.get("changes") or ()]
        assert len(changed) >= 3


def run_with(plane: ControlPlane, library: str, code: str) -> str | None:
    pytest.importorskip(library)
    with plane.session("agent", objects={"X": np.arange(40.0).reshape(20, 2), "y": np.arange(20.0)}) as session:
        return value_of(session, code)


def test_estimators_fit_and_predict(open_plane: ControlPlane) -> None:
    """`fit` changes the estimator and gives it back; what it found is reachable by its attributes."""
    code = """
from sklearn.linear_model import LinearRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.model_selection import cross_val_score, train_test_split
model = LinearRegression()
same = model.fit(X, y) is model
pipe = make_pipeline(StandardScaler(), LinearRegression()).fit(X, y)
left, right, _, _ = train_test_split(X, y, test_size=0.5, random_state=0)
scores = cross_val_score(LinearRegression(), X, y, cv=2, n_jobs=2)
same, model.coef_.round(3).tolist(), round(float(pipe.score(X, y)), 3), left.shape, len(scores), str(model)
"""
    assert run_with(open_plane, "sklearn", code) == "(True, [0.25, 0.25], 1.0, (10, 2), 2, 'LinearRegression()')"


def test_jobs_are_threads(open_plane: ControlPlane) -> None:
    """`n_jobs` starts no process, and a scoring function of the agent is called from the threads."""
    code = """
from sklearn.linear_model import Ridge
from sklearn.model_selection import GridSearchCV
seen = []
def score(model, a, b):
    seen.append(1)
    return float(model.score(a, b))
search = GridSearchCV(Ridge(), {"alpha": [0.1, 1.0]}, cv=2, n_jobs=2, scoring=score).fit(X, y)
search.best_params_, len(seen)
"""
    before = threading.active_count()
    assert run_with(open_plane, "sklearn", code) == "({'alpha': 0.1}, 4)"
    assert threading.active_count() <= before + 8


SKLEARN_REFUSED = [
    "from sklearn.datasets import fetch_openml; fetch_openml('x')",
    "import sklearn.datasets as d; d.load_files('/etc')",
    "from sklearn.pipeline import Pipeline; from sklearn.decomposition import PCA\n"
    "Pipeline([('a', PCA())], memory='/tmp/c')",
    "from sklearn.pipeline import Pipeline; from sklearn.decomposition import PCA\n"
    "p = Pipeline([('a', PCA())]); p.memory = '/tmp/c'",
    "from sklearn.pipeline import Pipeline; from sklearn.decomposition import PCA\n"
    "p = Pipeline([('a', Pipeline([('b', PCA())]))]); p.set_params(a__memory='/tmp/c')",
    "from sklearn.feature_extraction.text import CountVectorizer as C; C(input='filename').fit(['/etc/passwd'])",
    "from sklearn.feature_extraction.text import CountVectorizer as C; c = C(); c.input = 'filename'",
    "from sklearn.tree import export_graphviz as e, DecisionTreeRegressor as T; e(T().fit(X, y), '/tmp/t.dot')",
]


@pytest.mark.parametrize("code", SKLEARN_REFUSED)
def test_what_estimators_would_read_or_write_is_refused(open_plane: ControlPlane, code: str) -> None:
    """Data sets from outside, caches, inputs by file name and settings of the process are refused."""
    pytest.importorskip("sklearn")
    with open_plane.session("agent", objects={"X": np.arange(8.0).reshape(4, 2), "y": np.arange(4.0)}) as session:
        result = session.run(code)
        assert result.error is not None
        assert result.error.type in ("Denied", "DeniedAttribute", "AttributeError", "ImportError"), result.error


def test_scipy_functions_and_results(open_plane: ControlPlane) -> None:
    """Distributions, optimisers over the agent's functions, and results by attribute and by unpacking."""
    code = """
import scipy.stats as st
from scipy import optimize
found = optimize.minimize(lambda v: float((v[0] - 1.0) ** 2), [0.0])
result = st.ttest_ind([1, 2, 3], [2, 3, 4])
t, p = result
round(float(found.x[0]), 3), float(t) == float(result.statistic), isinstance(result, tuple), float(st.norm.cdf(0.0))
"""
    assert run_with(open_plane, "scipy", code) == "(1.0, True, True, 0.5)"


def test_figures_are_drawn_into_memory(open_plane: ControlPlane) -> None:
    """A figure is drawn, saved into a buffer of the agent, and into no file."""
    code = """
import io
import matplotlib
from matplotlib.figure import Figure
fig = Figure()
ax = fig.subplots()
line, = ax.plot([1, 2, 3])
ax.set_title("t")
buffer = io.BytesIO()
fig.savefig(buffer, format="png")
try:
    fig.savefig("/tmp/proxyplane-figure.png"); wrote = True
except PermissionError:
    wrote = False
try:
    ax.text(0, 0, "x", usetex=True); tex = True
except PermissionError:
    tex = False
try:
    ax.text(0, 0, "x", fontdict={"usetex": True}); tex_in_dict = True
except PermissionError:
    tex_in_dict = False
buffer.getvalue()[1:4], ax.get_title(), wrote, tex, tex_in_dict
"""
    assert run_with(open_plane, "matplotlib", code) == "(b'PNG', 't', False, False, False)"


@pytest.fixture
def databases() -> Iterator[Callable[[], Session]]:
    """Makes sessions whose host modules are sqlite3 and sqlalchemy."""
    text = (
        'schema = 1\ndefault = "deny"\n[modules]\nhost = ["sqlite3", "sqlalchemy", "pyarrow"]\n[[rules]]\nid = "r"\n'
        'agent = "*"\nobject = "*"\neffect = ["read", "compute", "mutate", "reveal", "callback"]\ndecide = "allow"\n'
    )
    planes: list[ControlPlane] = []

    def make() -> Session:
        plane = ControlPlane(policy=Policy.parse(text))
        planes.append(plane)
        return plane.session("a")

    yield make
    for plane in planes:
        plane.close()


def test_sqlite_is_in_memory_only(databases: Callable[[], Session]) -> None:
    """A database in memory works; files, `attach` and `vacuum into` are refused."""
    session = databases()
    code = """
import sqlite3
c = sqlite3.connect(":memory:")
c.execute("create table t(a)")
c.executemany("insert into t values (?)", [(1,), (2,)])
c.execute("select * from t").fetchall()
"""
    assert value_of(session, code) == "[(1,), (2,)]"
    for bad in ('sqlite3.connect("/tmp/x.db")', "sqlite3.connect('file::memory:?x', uri=True)",
                'c.execute("ATTACH \'/tmp/x.db\' as y")', 'c.executescript("select 1; VACUUM INTO \'/tmp/x.db\'")',
                "c.enable_load_extension(True)", "sqlite3.Connection('/tmp/x.db')"):  # fmt: skip
        result = session.run(bad)
        assert result.error is not None, bad
        assert result.error.type in ("Denied", "DeniedAttribute", "AttributeError"), (bad, result.error)


def test_sqlalchemy_is_in_memory_only(databases: Callable[[], Session]) -> None:
    """The core works over sqlite in memory; any other address is refused."""
    pytest.importorskip("sqlalchemy")
    session = databases()
    code = """
from sqlalchemy import create_engine, text
engine = create_engine("sqlite://")
with engine.connect() as c:
    c.execute(text("create table t(a)"))
    c.execute(text("insert into t values (1)"))
    rows = [tuple(row) for row in c.execute(text("select a from t"))]
rows
"""
    assert value_of(session, code) == "[(1,)]"
    for bad in ('create_engine("sqlite:////tmp/x.db")', 'create_engine("postgresql://h/x")',
                'create_engine("sqlite://", creator=lambda: None)', 'text("attach \'x\' as y")',
                "engine.raw_connection()", "engine.dialect", "engine.pool"):  # fmt: skip
        result = session.run(bad)
        assert result.error is not None, bad
        assert result.error.type in ("Denied", "DeniedAttribute", "AttributeError"), (bad, result.error)


def test_arrow_tables(databases: Callable[[], Session]) -> None:
    """Tables and arrays compute; buffers, files and addresses are not there."""
    pytest.importorskip("pyarrow")
    session = databases()
    code = "import pyarrow as pa\nt = pa.table({'a': [1, 2, 3]})\nt.num_rows, t['a'].to_pylist(), t.slice(1).num_rows"
    assert value_of(session, code) == "(3, [1, 2, 3], 2)"
    for bad in ("pa.foreign_buffer(1, 2)", "pa.memory_map('/etc/passwd')", "pa.OSFile('/etc/passwd')",
                "t['a'].chunk(0).buffers()", "import pyarrow.ipc", "import pyarrow.fs"):  # fmt: skip
        result = session.run(bad)
        assert result.error is not None, bad
        assert result.error.type in ("Denied", "DeniedAttribute", "AttributeError", "ModuleNotFoundError"), bad


def test_libraries_are_imported_when_the_agent_imports_them() -> None:
    """A session does not wait for granted libraries that it does not use."""
    import subprocess
    import sys

    code = """
import sys
from proxyplane import ControlPlane, Policy
with ControlPlane(policy=Policy.preset("open")) as plane, plane.session("a") as session:
    assert session.run("1 + 1").value == "2"
    assert not {"sklearn", "scipy", "matplotlib", "polars"} & set(sys.modules)
    assert session.run("import polars as pl\\npl.DataFrame({'a': [1]}).height").value == "1"
    assert "polars" in sys.modules
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
