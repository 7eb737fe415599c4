"""A policy that shows nothing: every way that we know to see a cell, and each of them fails."""

# ruff: noqa: E501 - an attack is read best on one line

from __future__ import annotations

import re
import warnings
from collections.abc import Iterator

import numpy as np
import pandas as pd
import pytest

from proxyplane import ControlPlane, Policy
from proxyplane.results import RunResult
from proxyplane.sessions import Session

from .tables import records

POLICY = """
schema = 1
[modules]
host = ["pandas", "numpy"]
[[rules]]
id = "work"
agent = "*"
object = "*"
effect = ["read", "compute", "mutate", "callback", "display"]
decide = "allow"
[[rules]]
id = "closed"
effect = "reveal"
decide = "deny"
"""
SECRET = re.compile(r"canary|7345\d\d|734\.|2031|\bpeek")
"""Any cell of the table; `peek` is what the attacks print where they have learned something."""

WAYS = {
    "as a text": """
        repr(df) | str(df) | f"{df}" | format(df) | "%s" % df.num.iloc[0] | f"{df.num.iloc[0]:d}" | print(df.name)
        repr(df.num.iloc[0]) | str(df.num.iloc[0]) | df.f.iloc[0].__str__() | df.f.iloc[0].__format__('') | df.info()
        df.to_string() | df.to_csv() | df.to_json() | df.name.str.cat() | df.name.sum() | str(df.groupby('name').groups)
        import pprint; pprint.pprint(df) | import sys; df.to_csv(sys.stdout) | import sys; df.info(buf=sys.stdout)
        import io; b = io.StringIO(); df.to_csv(b); b.getvalue() | print(df.cat.dtype) | repr(df.dtypes)
    """,
    "as a value": """
        df.num.iloc[0].item() | float(df.f.iloc[0]) | int(df.num.iloc[0]) | complex(df.f.iloc[0]) | round(df.f.iloc[0])
        df.num.tolist() | df.name.iloc[0] | df.at[0, 'name'] | df.iat[0, 0] | df.to_dict() | df.num.values.tobytes()
        df.when.iloc[0].year | df.when.iloc[0].isoformat() | df.when.iloc[0].timestamp() | df.when.iloc[0].to_pydatetime()
        df.f.iloc[0].hex() | df.f.iloc[0].as_integer_ratio() | import math; math.floor(df.f.iloc[0]) | hex(df.num.iloc[0])
        import operator; operator.index(df.num.iloc[0]) | range(df.num.iloc[0]) | 'x' * (df.num.iloc[0] - 734400)
        chr(df.num.iloc[0]) | bytes(df.num.iloc[0] - 734400) | import struct; struct.pack('q', df.num.iloc[0])
        import decimal; decimal.Decimal(df.f.iloc[0]) | import json; json.dumps(df.num.iloc[0]) | df.pop('name')[0]
        df.name.max() | df.set_index('name').num.idxmax() | df.iloc[0].name | df.set_index('num').iloc[0].name
        df.num.iloc[0].tobytes() | df.name.str.encode('utf8').iloc[0] | df.f.values.base | df.f.values.ctypes
        df.num.values.data | bytes(df.num.values) | memoryview(df.num.values) | df.f.values.__array_interface__
        df.num.sum() | df.f.mean() + 0.5 | df.num.agg(['sum']).tolist() | df.f.describe().to_dict() | df.__array__()
        import pickle; pickle.dumps(df) | import copy; print(copy.deepcopy(df)) | df.__dict__['_mgr'] | df._mgr | df.attrs
    """,
    "as a truth": """
        if (df.num == 734501).any(): print("peek") | if 'canary0x' in df.name.values: print("peek")
        if 'canary0x' in df.name.tolist(): print("peek") | if df.num.iloc[0] == 734501: print("peek")
        if 734501 == df.num.iloc[0]: print("peek") | if df.f.iloc[0] > 1: print("peek") | if df.b.iloc[0]: print("peek")
        if not df.b.iloc[1]: print("peek") | bool(df.num.iloc[0]) and print("peek") | df.num.iloc[0] and print("peek")
        assert (df.num == 1).any(); print("peek") | if df.num.iloc[0] in [734501]: print("peek")
        if df.num.iloc[0] in {734501}: print("peek") | if [734501] == [df.num.iloc[0]]: print("peek")
        import operator; operator.eq(df.num.iloc[0], 734501) and print("peek") | if df.equals(df): print("peek")
        import numpy as np; np.array_equal(df.num, df.num) and print("peek") | if df.name.is_unique: print("peek")
        if df.num.isin([734501]).any(): print("peek") | if df.name.str.startswith('canary').all(): print("peek")
        if df.name.str.contains('0').sum() == 1: print("peek") | if df.name.nunique() == 6: print("peek")
        if 'canary0x' in df.set_index('name').T: print("peek") | if any(df.b): print("peek") | if all(df.num): print("peek")
        if 'canary0x' in df.set_index('name').index: print("peek") | if df.num.between(1, 10**6).all(): print("peek")
    """,
    "as a key or an index": """
        hash(df.num.iloc[0]) | {df.num.iloc[0]: 1} | {df.num.iloc[0]} | {734501: print}.get(df.num.iloc[0])("peek")
        [0] * df.num.iloc[0] | [1, 2, 3][df.num.iloc[0]:] | [734501].index(df.num.iloc[0]) and print("peek")
        sorted(df.num) | max(df.num) | min(df.name) | sum(df.num) | dict(df.name) | {**df.set_index('name').num}
        import collections; print(collections.Counter(df.name)) | import random; random.choice(df.name)
    """,
    "by iteration": """
        list(df.name) | [x for x in df.name] | tuple(df.num) | set(df.name) | next(iter(df.name)) | a, *b = df.name; print(a)
        for row in df.itertuples(): print(row) | for i, row in df.iterrows(): print(row.name) | list(map(str, df.name))
        for k, g in df.groupby('name'): print(k) | for n, c in df.items(): print(c[0]) | for v in df.num.values: print(v)
        for v in df.num.values.flat: print(v) | for v in df.name.array: print(v) | for i in df.set_index('name').index: print(i)
        for k in df.set_index('name').T: print(k) | for c in df.cat.cat.categories: print(c) | list(zip(df.name, df.num))
        import itertools; list(itertools.islice(df.num, 2)) | import functools; functools.reduce(max, df.num)
        import numpy as np; [print(v) for v in np.nditer(df.num.values)] | list(reversed(df.num.values)) | list(df.obj.iloc[0])
        [*df.obj.iloc[0]] | "".join(df.obj.iloc[0]) | df.obj.iloc[0][0] | df.obj.iloc[0].pop() | list(df.groupby('name').groups)
    """,
    "in the agent's own functions": r"""
        df.name.map(print) | df.name.map(lambda x: print(x)) | df.apply(lambda r: print(r.num), axis=1) | df.agg(lambda s: print(s))
        df.name.map(got.append); print(got) | df.num.where(lambda s: print(s)) | df.pipe(lambda d, x: print(x), df.f.iloc[0])
        df.pipe(lambda d, x: print(x), x=df.f.iloc[0]) | df.num.combine(df.f, lambda a, b: print(a) or 0)
        pd.Series([1]).apply(lambda v, x: print(x), x=df.f.iloc[0]) | pd.Series([1]).apply(lambda v, x: print(x), args=(df.f.iloc[0],))
        df.groupby('name').apply(lambda g: print(g.name)) | df.rename(index=lambda i: print(i) or i)
        df.set_index('name').rename(index=lambda i: print(i) or i) | df.num.rolling(2).apply(lambda a: print(a[0]) or 0)
        df.sort_values('num', key=lambda s: print(s[0]) or s) | df.name.str.replace('c', lambda m: print(m), regex=True)
        df.num.rolling(2).apply(lambda a: print(a) or 0, raw=True) | df.num.map('{}'.format).tolist()
        class F:\n    def write(self, s): print(s)\ndf.to_csv(F()) | class F:\n    def write(self, s): print(s)\ndf.to_string(buf=F())
    """,
    "by way of an object of one's own": """
        pd.Series([df.num.iloc[0]]).tolist() | s = pd.Series([0] * 6); s[:] = df.num; s.tolist() | np.array([df.f.iloc[0]]).tolist()
        s = pd.Series([0.] * 6); s += df.f; s.tolist() | a = np.zeros(6); a[:] = df.f.values; a.tolist()
        a = np.zeros(6); np.add(df.f.values, 0, out=a); a.tolist() | a = np.zeros(6); np.copyto(a, df.f.values); a.tolist()
        a = np.zeros(6); v = a[1:]; a[:] = df.f.values; v.tolist() | a = np.zeros(6); v = a[1:]; v[:] = df.f.values[1:]; a.tolist()
        d = pd.DataFrame({'a': [0.] * 6}); d['a'] = df.f; d.a.tolist() | d = pd.DataFrame({'a': [0.]}); d.insert(0, 'b', df.f); d.b.tolist()
        pd.Series([1.]).map(lambda v: df.f.iloc[0]).tolist() | pd.Series([0]).map(df.num.get).tolist() | pd.Series([0]).map(df.num).tolist()
        pd.Series(['num']).map(df.get).iloc[0].tolist() | d = pd.DataFrame([[1] * 6]); d.columns = df.name; list(d)
        d = pd.DataFrame([[1] * 6]); d.columns = df.name; dir(d) | s = pd.Series(['x']); s.name = df.f.iloc[0]; s.name
        pd.DataFrame({'a': [1]}).rename(columns={'a': df.f.iloc[0]}).columns.tolist() | pd.CategoricalDtype(df.name).categories
        pd.Interval(0, df.f.iloc[0]).right | pd.Timestamp(df.num.iloc[0]).value | pd.Timedelta(df.num.iloc[0]) | pd.cut(df.f, df.f).dtype
        np.float64(df.f.iloc[0]).item() | print(np.unique(df.num)) | np.fromiter(df.num, dtype=int).tolist() | np.save("x.npy", df.num)
        np.array2string(df.num.values) | a = np.zeros(6); df.f.values.sum(out=a[:1].reshape(())); a.tolist()
    """,
    "as a size": """
        np.zeros(df.num.iloc[0]).shape | np.arange(df.num.iloc[0]).size | len(np.arange(df.num.iloc[0])) | len([0] * df.num.iloc[0])
        df.head(df.num.iloc[0] - 734499).shape | len(df.iloc[:df.num.iloc[0] - 734499]) | pd.RangeIndex(df.num.iloc[0]).shape
        np.tile(np.zeros(1), df.num.iloc[0]).shape | pd.Series([1]).repeat(df.num.iloc[0]).size
        pd.date_range('2000', periods=df.num.iloc[0] - 734400).shape | np.zeros((df.num.iloc[0], 1)).T.shape
        x = np.zeros(df.num.iloc[0]); (x + 1).shape | pd.DataFrame({'a': np.zeros(df.num.iloc[0])}).empty
    """,
    "as a label": """
        list(df.set_index('name').T) | df.set_index('name').T.columns.tolist() | dir(df.set_index('name').T) | dir(df.set_index('name').num)
        df.set_index('name').T.dtypes.index.tolist() | df.set_index('name').T.keys().tolist() | df.set_index('name').T.axes[1].tolist()
        df.set_index('name').T.columns[0] | df.pivot(index='num', columns='name', values='f').columns.tolist()
        pd.get_dummies(df.name).columns.tolist() | df.name.str.get_dummies().columns.tolist() | df.set_index('name').T.info()
        df.name.value_counts().to_frame().T.columns.tolist() | df.name.value_counts().index.tolist() | df.cat.dtype.categories
        df.set_index('name').T.to_records().dtype.names | df.set_index(['name', 'num']).unstack().columns.levels[1].tolist()
        pd.crosstab(df.name, df.num).columns.tolist() | list(df.set_index('name').T.to_dict('series')) | df.cat.cat.categories.tolist()
        df.groupby('name').first().T.columns.tolist() | df.groupby('name').indices.keys() | df.set_index('name').index.tolist()
        df.set_index('num').T.columns.max() | df.set_index('name').T.columns.str.upper().tolist() | df.name.astype('category').dtype
    """,
    "in an error": """
        df.name.astype(float) | df.name.map(int) | df.name.map(float) | pd.to_numeric(df.name) | df.loc[df.name] | df[df.name]
        pd.to_datetime(df.name, format='%Y') | df.drop(columns=df.name) | df.set_index('name').loc['nope'] | df.query('name > num')
        pd.concat([df, df]).merge(df, on='name', validate='1:1') | pd.concat([df, df]).set_index('name', verify_integrity=True)
        pd.concat([df.set_index('name')] * 2, verify_integrity=True) | pd.Series([1], index=df.num.iloc[:1]).loc['x'] | df.num / df.name
        pd.testing.assert_series_equal(df.name, df.name.str.upper()) | np.testing.assert_array_equal(df.num, df.f) | pd.Period(df.name[0])
        np.zeros(3).reshape(df.num.iloc[0]) | pd.Series(['num']).map(df.loc.__getitem__) | pd.Timestamp(df.num.iloc[0] * 10**15)
        df.name.astype('datetime64[ns]') | df.astype({'name': int}) | pd.Categorical(df.name).as_ordered().max() < df.name
    """,
}
CASES = [
    pytest.param(kind, way.strip().replace("\\n", "\n"), id=f"{kind}: {way.strip()[:60]}")
    for kind, block in WAYS.items()
    for line in block.strip().splitlines()
    for way in line.split(" | ")
]
PRELUDE = "import pandas as pd, numpy as np\ngot = []\n"


def table() -> pd.DataFrame:
    """Texts, numbers, dates, categories, truths and lists, each cell recognizable."""
    return pd.DataFrame(
        {
            "name": [f"canary{n}x" for n in range(6)],
            "num": [734501 + n for n in range(6)],
            "f": [734.25 + n for n in range(6)],
            "when": pd.date_range("2031-05-01", periods=6),
            "cat": pd.Categorical([f"canarycat{n}" for n in range(6)]),
            "b": [True, False] * 3,
            "obj": [[f"canaryobj{n}"] for n in range(6)],
        }
    )


@pytest.fixture(scope="module")
def session() -> Iterator[Session]:
    """A session that may compute everything and see nothing."""
    with (
        ControlPlane(policy=Policy.parse(POLICY)) as plane,
        plane.session("agent", objects={"df": table()}) as opened,
    ):
        yield opened


def attempt(session: Session, code: str, first: int = 0) -> RunResult:
    """Run the code over a fresh copy of the table from row `first` on; host libraries may warn."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return session.run(f"{PRELUDE}df = pristine.iloc[{first}:].reset_index(drop=True)\n{code}")


@pytest.fixture(autouse=True)
def pristine(session: Session) -> None:
    """The granted table under a name that no attack binds."""
    if "pristine" not in session.grants.objects:
        session.put("pristine", table())


@pytest.mark.parametrize(("kind", "way"), CASES)
def test_no_cell_is_seen(session: Session, kind: str, way: str):
    """The attempt shows nothing: not in the value, not on the output, not in the error, in no part of it."""
    first = 1 if kind == "in an error" else 0  # the first row's name was guessed: a guess is the agent's own word
    result = attempt(session, way, first)
    seen = [result.value, result.stdout, result.stderr]
    if result.error is not None:
        seen += [result.error.message, result.error.hint]
    assert not SECRET.search(" ".join(map(str, seen)).replace(way, ""))
    caught = attempt(session, f"try:\n{_indented(way)}\nexcept Exception as error:\n{CATCH}", first)
    assert not SECRET.search(caught.stdout.replace(repr(way), "")), caught.stdout


CATCH = """
    for e in (error, error.__cause__, error.__context__):
        print(str(e), repr(e), getattr(e, 'args', ''), getattr(e, '__notes__', ''), getattr(e, 'obj', ''), vars(e) if e else '')
    t = error.__traceback__
    while t is not None:
        if not t.tb_frame.f_code.co_filename.startswith('<agent'):
            print(t.tb_frame.f_locals)
        t = t.tb_next
"""


def _indented(code: str) -> str:
    return "\n".join(f"    {line}" for line in code.splitlines())


def test_nothing_was_shown_according_to_the_log(session: Session):
    """No record of the session says that a row or a cell of the table has crossed."""
    attempt(session, "df.shape")
    for record in records(session):
        if "df" in record.get("target", {}).get("roots", ()) or "pristine" in record.get("target", {}).get("roots", ()):
            assert not (record.get("result") or {}).get("cells"), record


def test_what_needs_no_look_still_works(session: Session):
    """Shapes, types, column names and computing go on as ever: a closed policy is usable."""
    result = attempt(
        session,
        "big = df[df.num > 734503].merge(df[['name', 'f']], on='name')\n"
        "(big.shape, list(df.columns), df.num.dtype.name, isinstance(df.f.iloc[0], float), len(df), type(big).__name__)",
    )
    assert result.error is None
    columns = ["name", "num", "f", "when", "cat", "b", "obj"]
    assert result.value == repr(((3, 8), columns, "int64", True, 6, "DataFrame"))


def test_exploring_shows_no_labels_that_came_out_of_data(session: Session):
    """`describe` and `list_attrs` of a table whose columns the agent has made out of cells are refused too."""
    wide = pd.DataFrame(np.zeros((1, 6)), columns=list("abcdef"))
    session.put("wide", wide)
    assert attempt(session, "wide.columns = df.name").ok
    for explore in (session.describe, session.list_attrs):
        with pytest.raises(PermissionError):
            explore("wide")
    assert "canary" not in repr(session.describe("pristine"))
