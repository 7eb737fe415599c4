"""scipy, scikit-learn, matplotlib and pyarrow as ordinary code uses them, and what of them stays out of reach."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from proxyplane import ControlPlane, Policy
from proxyplane.callables import GuestCallable, signature_of
from proxyplane.overheard import overheard

from .natively import plane_over, same

pytest.importorskip("scipy")
pytest.importorskip("sklearn")

SAME = {
    "optimisers print and read signatures": """
import numpy as np
from scipy.optimize import curve_fit, fmin, linear_sum_assignment, minimize
print(minimize(lambda v: ((v - 1) ** 2).sum(), [2.0, 2.0], method="BFGS", options={"disp": True}).success)
print(fmin(lambda v: (v - 3) ** 2, 1.0).round(2), linear_sum_assignment(np.eye(2)))
print(curve_fit(lambda x, a, b=1.0: a * x + b, np.arange(5.0), 2 * np.arange(5.0) + 1)[0].round(3))
class Line:
    def at(self, x, a): return a * x
print(curve_fit(Line().at, np.arange(5.0), 2 * np.arange(5.0))[0].round(3))
""",
    "sparse matrices": """
import numpy as np
from scipy import sparse
A = sparse.csr_array([[1, 0], [0, 2]]); print(A.data, A.indices, A.indptr, A.nnz, A @ np.ones(2), A.toarray())
A.data[0] = 5; print(A); print(repr(A), sparse.csr_array(A.toarray()), sparse.coo_array((2, 3)).shape)
data, at = np.array([1.0, 2.0]), np.array([0, 1])
B = sparse.csr_matrix((data, at, np.array([0, 1, 2])), shape=(2, 2)); at[0] = 10**6; print(B.toarray(), B.T @ B)
C = sparse.coo_array((data, ([0, 1], [1, 0])), shape=(2, 2)); print(C.row, C.col, C.coords, C.tocsr().sum())
sparse.save_npz("a.npz", A); print(sparse.load_npz("a.npz").toarray())
lu = sparse.linalg.splu(sparse.csc_array([[2.0, 0], [0, 4]])); print(lu.solve(np.array([2.0, 4])), lu.perm_c, lu.shape)
print(sparse.eye(3).tolil().toarray(), sparse.dia_array(np.eye(2)).offsets, sparse.block_diag([A, B]).shape)
""",
    "other parts of scipy": """
import numpy as np
from scipy import fft, interpolate, signal, spatial, stats
print(np.abs(fft.fft(np.arange(4.0))), fft.rfft([1.0, 2]), spatial.cKDTree(np.eye(2)).query([0.9, 0.1]))
print(stats.ttest_ind([1.0, 2, 3], [2.0, 3, 5]).pvalue.round(4), stats.norm(0, 1).cdf(0))
print(spatial.ConvexHull(np.eye(3)[:, :2]).area)
print(interpolate.CubicSpline([0, 1, 2], [0, 1, 4])(1.5), signal.find_peaks([0, 1, 0, 2, 0])[0])
s = signal.ShortTimeFFT(np.ones(4), 2, 1.0); s.fft_mode = "centered"; print(s.fft_mode)
""",
    "estimators": """
import numpy as np, sklearn
from sklearn.compose import ColumnTransformer
from sklearn.datasets import load_iris, load_wine
from sklearn.frozen import FrozenEstimator
from sklearn.impute import IterativeImputer
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, HalvingGridSearchCV, cross_val_score, train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler
from sklearn.utils import Bunch
X, y = load_iris(return_X_y=True, as_frame=True)
Xtr, Xte, ytr, yte = train_test_split(X, y, random_state=0)
p = make_pipeline(StandardScaler(), LogisticRegression()); print(p); p.fit(Xtr, ytr)
print(p.score(Xte, yte), cross_val_score(p, X, y, cv=3), p[-1].classes_, p.named_steps["standardscaler"].mean_)
g = GridSearchCV(p, {"logisticregression__C": [0.1, 1]}, n_jobs=2, verbose=1).fit(Xtr, ytr); print(g.best_params_)
sklearn.set_config(transform_output="pandas"); print(StandardScaler().fit_transform(X).head(2))
sklearn.set_config(transform_output="default"); print(type(StandardScaler().fit_transform(X)))
with sklearn.config_context(transform_output="pandas"): print(type(StandardScaler().fit_transform(X)))
print(sklearn.get_config()["transform_output"], Bunch(a=1).a, load_wine().target_names)
print(FunctionTransformer(lambda v: v * 2).fit_transform(np.ones((1, 2))))
print(ColumnTransformer([("s", StandardScaler(), ["sepal length (cm)"])]).fit_transform(X)[:1])
""",
    "arrow": """
import pandas as pd, pyarrow as pa, pyarrow.compute as pc, pyarrow.csv as pacsv, pyarrow.parquet as pq
t = pa.table({"a": [1, 2, 3], "b": ["x", "y", None]}); print(t, t["a"], t.schema, t.column_names)
print(t.to_pandas(), pa.Table.from_pandas(pd.DataFrame({"q": [1.5]})).to_pydict(), pc.sum(t["a"]).as_py())
print(t.filter(pc.field("a") > 1).num_rows, t.set_column(0, "c", [[7, 8, 9]]).to_pylist())
print([c.null_count for c in t.itercolumns()])
pq.write_table(t, "t.parquet"); print(pq.read_table("t.parquet", columns=["a"]).to_pylist())
print(pq.read_schema("t.parquet").names)
pacsv.write_csv(t, "t.csv"); print(pacsv.read_csv("t.csv", read_options=pacsv.ReadOptions(skip_rows=1)).num_rows)
""",
}


@pytest.mark.parametrize("code", SAME.values(), ids=list(SAME))
@pytest.mark.filterwarnings("ignore")
def test_it_prints_what_it_prints_natively(code: str, tmp_path: Path) -> None:
    """Callbacks with signatures, output of host code, sparse matrices, estimators and tables are as in the library."""
    same("import warnings; warnings.simplefilter('ignore')\n" + code, tmp_path)


REFUSED = {
    "sp.csr_array(([1.0], [10**6], [0, 1]), shape=(1, 1)) @ np.ones(1)": "ValueError",
    "sp.csc_matrix((np.ones(1), np.array([0]), np.array([0, 10**6])), shape=(1, 1))": "ValueError",
    "sp.coo_array(([1.0], ([10**6], [0])), shape=(1, 1)).tocsr()": "ValueError",
    "sp.coo_array(([1.0], ([-1], [0])), shape=(1, 1)).tocsr()": "ValueError",
    "sp.bsr_array((np.ones((1, 1, 1)), [10**6], [0, 1]), shape=(1, 1))": "ValueError",
    "sp.load_npz('bad.npz')": "ValueError",
    "sp.eye(3).tocsr().indptr[0] = 10**6": "ValueError",
    "sp.eye(3).tocoo().coords[0][0] = 10**6": "ValueError",
    "sp.eye(3).tocsr().indices = np.array([10**6])": "Denied",
    "sp.eye(3).tocsr().data = np.ones(99)": "Denied",
    "sp.eye(3).tolil().rows": "Denied",
    "import sklearn; sklearn.set_config(assume_finite=True)": "TypeError",
    "import sklearn; sklearn.config_context(skip_parameter_validation=True)": "TypeError",
    "from sklearn.datasets import fetch_openml; fetch_openml('x')": "Denied",
    "from scipy.datasets import face; face()": "Denied",
    "import pyarrow.parquet as pq; pq.read_table('/etc/passwd')": "Denied",
    "import pyarrow.parquet as pq; pq.read_table('x', filesystem='s3')": "Denied",
    "import pyarrow.parquet as pq; pq.ParquetFile('bad.npz')": "Denied",
}


@pytest.mark.parametrize(("code", "error"), REFUSED.items())
def test_indices_settings_and_addresses_are_checked(code: str, error: str, tmp_path: Path) -> None:
    """No index leads out of a matrix, no setting takes a check away, nothing is fetched."""
    np.savez(tmp_path / "bad.npz", indices=np.array([10**6]), indptr=np.array([0, 1]), format=b"csr",
             shape=np.array([1, 1]), data=np.ones(1))  # fmt: skip
    with plane_over(tmp_path) as plane, plane.session("agent") as session:
        ran = session.run(f"import numpy as np, scipy.sparse as sp\n{code}")
        assert ran.error is not None
        assert ran.error.type == error, ran.error.message


def test_settings_of_scikit_learn_are_each_sessions_own(tmp_path: Path) -> None:
    """What one session sets, neither another session nor the host sees."""
    import sklearn

    code = "import sklearn\nprint(sklearn.get_config()['transform_output'])"
    with plane_over(tmp_path) as plane, plane.session("one") as one, plane.session("two") as two:
        assert one.run("import sklearn\nsklearn.set_config(transform_output='pandas')").ok
        assert one.run(code).stdout == "pandas\n"
        assert two.run(code).stdout == "default\n"
        assert sklearn.get_config()["transform_output"] == "default"


def test_figures_and_estimators_are_displayed(tmp_path: Path) -> None:
    """A figure reaches `display` as PNG, an estimator as HTML, both with their text."""
    pytest.importorskip("matplotlib")
    with plane_over(tmp_path) as plane, plane.session("agent") as session:
        drawn = session.run("import matplotlib.pyplot as plt\nfig, ax = plt.subplots()\nax.plot([1, 2])\nfig")
        assert drawn.error is None, drawn.error
        assert [sorted(bundle) for bundle in drawn.display] == [["image/png", "text/plain"]]
        code = "from sklearn.linear_model import Ridge\nm = Ridge(alpha=2).fit([[0.0], [1.0]], [0.0, 7.125])\nm"
        shown = session.run(code)
        assert shown.value == "Ridge(alpha=2)"
        assert [sorted(bundle) for bundle in shown.display] == [["text/html", "text/plain"]]
        plain = session.run("import sklearn\nsklearn.set_config(display='text')\nm")
        assert not any("text/html" in bundle for bundle in plain.display)
        deep = session.run(
            "import numpy as np\nfrom mpl_toolkits.mplot3d import Axes3D\n"
            "ax = plt.figure().add_subplot(projection='3d')\n"
            "ax.plot_surface(*np.meshgrid([1, 2], [1, 2]), np.ones((2, 2)))\n"
            "ax.azim = 10\nax.azim, ax.xaxis is ax.xaxis"
        )
        assert deep.value == "(10, True)"


CAPPED = """
schema = 1
default = "deny"
[modules]
host = ["pyarrow", "sklearn", "numpy"]
[objects.t]
hide = ["ssn"]
[[rules]]
id = "all"
agent = "*"
object = "*"
effect = ["read", "compute", "mutate", "callback", "display"]
decide = "allow"
[[rules]]
id = "some"
agent = "*"
object = "*"
effect = ["reveal"]
when = { rows = "<= 5" }
decide = "allow"
"""


@pytest.fixture
def capped() -> Iterator[Any]:
    """A session over an Arrow table with a hidden column, where one look shows five rows at most."""
    pa = pytest.importorskip("pyarrow")
    table = pa.table({
        "ssn": [f"078-05-{n:04}" for n in range(50)],
        "x": list(range(50)),
        "words": [["a"] * 10] * 50,
        "kind": pa.array(["u", "v"] * 25).dictionary_encode(),
    })  # fmt: skip
    with ControlPlane(policy=Policy.parse(CAPPED)) as plane, plane.session("agent", objects={"t": table}) as session:
        yield session


@pytest.mark.parametrize(
    ("code", "shown"),
    [
        ("t.slice(0, 5).select(['x']).to_pylist()", True),
        ("t['x'].slice(0, 5)", True),
        ("t.num_rows, t.column_names", True),
        ("t['x'].slice(0, 6).to_pylist()", False),
        ("t.to_pylist()", False),
        ("t['x']", False),
        ("t['words'].slice(0, 1).to_pylist()", False),
        ("t.select(['x'])", False),
        ("str(t['x'])", False),
        ("t['ssn']", False),
        ("t.to_pandas()['ssn']", False),
        ("t.schema.metadata['pandas']", False),
    ],
)
def test_amounts_of_arrow_tables_are_known_and_hidden_columns_absent(capped: Any, code: str, shown: bool) -> None:
    """Rows, items of lists and what a repr shows are counted exactly; a hidden column is not there."""
    ran = capped.run(code)
    assert (ran.error is None) is shown, ran.error


def test_a_projected_arrow_table_is_rebuilt() -> None:
    """Hidden columns, other rows of a slice, hidden values under nulls and metadata are in no buffer of it."""
    pa = pytest.importorskip("pyarrow")
    from proxyplane import hosts

    secret = pa.array(["SECRET-A", "shown", "SECRET-B"])
    table = pa.table({"ssn": secret, "x": secret, "d": secret.dictionary_encode()}).slice(1, 1)
    table = table.replace_schema_metadata({"columns": "ssn"})
    made = hosts.project(table, show=None, hide=("ssn",))
    assert made.to_pydict() == {"x": ["shown"], "d": ["shown"]}
    assert made.schema.metadata is None
    for column in made.columns:
        for chunk in column.chunks:
            parts = [chunk, chunk.dictionary] if isinstance(chunk, pa.DictionaryArray) else [chunk]
            for buffer in (b for part in parts for b in part.buffers() if b is not None):
                assert b"SECRET" not in buffer.to_pybytes()


def test_output_goes_to_the_operation_of_its_thread(capsys: pytest.CaptureFixture[str]) -> None:
    """What is printed inside is kept, nested listeners hear for themselves, and the terminal gets the rest."""
    before = sys.stdout
    with overheard() as outer:
        print("one")
        with overheard() as inner:
            print("two")
        print("three")
    print("four")
    assert (outer.getvalue(), inner.getvalue()) == ("one\nthree\n", "two\n")
    assert sys.stdout is before
    assert capsys.readouterr().out == "four\n"


def test_a_signature_is_data() -> None:
    """Names and defaults cross as text that is only read, and nonsense is no signature."""
    found = signature_of("(x, a, b=1.5, *rest, c, d=..., **more)")
    assert str(found) == "(x, a, b=1.5, *rest, c, d=Ellipsis, **more)"
    for text in ("(x", "(x, x)", "(a=1, b)", "(a=open('x'))", "(lambda)", "(" * 500, "(a=__import__('os'))", "(1)"):
        assert signature_of(text) is None
    function = GuestCallable(lambda *_: None, 1, "f", None)
    function.sign("(x, y)")
    assert list(inspect.signature(function).parameters) == ["x", "y"]
