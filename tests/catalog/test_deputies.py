"""Host libraries are not talked into doing IO, running code or showing hidden cells by what they are given."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from proxyplane import ControlPlane, Policy
from proxyplane.errors import PolicyError

pd = pytest.importorskip("pandas")
np = pytest.importorskip("numpy")
pl = pytest.importorskip("polars")

POLICY = """
schema = 1
[objects.df]
hide = ["ssn"]
[modules]
host = ["pandas", "numpy", "polars", "pyarrow", "sqlite3"]
[fs]
root  = "{root}"
read  = ["data/*.csv"]
write = ["out/**"]
[[rules]]
id = "work"
agent = "*"
object = "*"
effect = ["read", "compute", "mutate", "reveal", "callback", "display", "fs.read", "fs.write"]
decide = "allow"
"""


class Place(NamedTuple):
    """A plane, and what an escape would touch."""

    plane: ControlPlane
    root: Path
    outside: Path
    secret: str
    ssn: str


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    """A folder with allowed files, links that lead out of it, and a secret beside it."""
    outside = tmp_path_factory.mktemp("outside")
    root = tmp_path_factory.mktemp("root")
    secret, ssn = secrets.token_hex(8), secrets.token_hex(8)
    (outside / "secret.csv").write_text(f"a,b\n1,{secret}\n")
    for folder in ("data", "out"):
        (root / folder).mkdir()
    (root / "data" / "fine.csv").write_text("a,b\n1,2\n")
    (root / "data" / "link.csv").symlink_to(outside / "secret.csv")
    (root / "out" / "far").symlink_to(outside)
    with ControlPlane(policy=Policy.parse(POLICY.format(root=root))) as plane:
        yield Place(plane, root, outside, secret, ssn)


def run(place: Place, code: str) -> Any:
    """One payload in a session of its own."""
    frame = pd.DataFrame({"a": [1, 2, 3], "b": ["x", "y", "z"], "ssn": [place.ssn] * 3})
    head = "import io, numpy as np, pandas as pd, polars as pl\n"
    text = code.replace("$SECRET", str(place.outside / "secret.csv")).replace("$OUT", str(place.outside / "stolen"))
    with place.plane.session("agent", objects={"df": frame}) as session:
        return session.run(head + text)


WRITES = [
    "df.agg('to_csv', 0, '$OUT')",
    "df.agg('to_csv', path_or_buf='$OUT')",
    "df.agg(['sum', 'to_csv'], path_or_buf='$OUT')",
    "df.agg({'a': 'to_csv'}, path_or_buf='$OUT')",
    "df.agg({'a': ['sum', 'to_csv']}, path_or_buf='$OUT')",
    "df.agg(('sum', 'to_csv'), path_or_buf='$OUT')",
    "df.agg(x=('a', 'to_csv'), path_or_buf='$OUT')",
    "df.groupby('b').agg(x=pd.NamedAgg('a', 'to_csv', '$OUT'))",
    "df.groupby('b').agg({'a': 'to_csv'}, path_or_buf='$OUT')",
    "df.groupby('b').a.agg(x='to_csv', path_or_buf='$OUT')",
    "df.groupby('b').apply('to_csv', '$OUT')",
    "df.apply('to_csv', path_or_buf='$OUT')",
    "df.apply('to_pickle', args=('$OUT',))",
    "df.apply('to_json', 0, path_or_buf='$OUT')",
    "df.a.apply('to_csv', args=('$OUT',))",
    "df.transform('to_pickle', path='$OUT')",
    "df.a.transform('to_csv', 0, '$OUT')",
    "df.pipe('to_csv', '$OUT')",
    "df.pipe(('to_csv', 'path_or_buf'), '$OUT')",
    "df.pipe(pd.DataFrame.to_csv, '$OUT')",
    "df.a.map('to_csv', '$OUT')",
    "df.a.pipe(pd.Series.to_csv, '$OUT')",
    "df.rolling(1).agg('to_csv', '$OUT')",
    "df[['a']].expanding().agg('to_csv', '$OUT')",
    "df.resample('D').apply('to_csv', '$OUT')",
    "df.agg('agg', 0, 'to_csv', path_or_buf='$OUT')",
    "df.agg('apply', 0, 'to_csv', path_or_buf='$OUT')",
    "df.agg('pipe', 0, 'to_csv', '$OUT')",
    "df.groupby('b').transform('to_csv', path_or_buf='$OUT')",
    "df.groupby('b').filter('to_csv', path_or_buf='$OUT')",
    "df.pivot_table(index='b', aggfunc='to_csv', path_or_buf='$OUT')",
    "pd.crosstab(df.a, df.b, values=df.a, aggfunc='to_csv', path_or_buf='$OUT')",
    "df.apply(np.savetxt, args=('$OUT',))",
    "pd.Series(['$OUT']).map(df.to_csv)",
    "pd.Series(['$OUT']).apply(df.to_pickle)",
    "list(map(df.to_csv, ['$OUT']))",
    "pd.Series(['$OUT']).map(lambda path: df.to_csv(path))",
    "df.apply(lambda column: column.to_csv('$OUT'))",
    "df.agg([pd.DataFrame.to_csv], path_or_buf='$OUT')",
    "df.to_csv('$OUT')",
    "df.to_csv('file://$OUT')",
    "df.to_csv('out/far/stolen')",
    "df.to_csv('out/../../stolen')",
    "df.to_csv('out/./far/../far/stolen')",
    "df.to_csv(compression={'method': 'zip', 'archive_name': '../x'}, path_or_buf='$OUT')",
    "df.to_csv('out/x.csv', storage_options={'a': 1})",
    "df.to_parquet('out/x', filesystem='file')",
    "df.to_parquet('$OUT', engine='auto')",
    "df.to_excel('$OUT', engine_kwargs={'a': 1})",
    "df.to_hdf('$OUT', key='a')",
    "df.to_feather('$OUT')",
    "df.to_xml('out/x.xml', stylesheet='$SECRET')",
    "df.style.to_excel('$OUT')",
    "pl.DataFrame({'a': [1]}).write_csv('$OUT')",
    "pl.LazyFrame({'a': [1]}).sink_csv('$OUT')",
    "pl.DataFrame({'a': [1]}).write_parquet('$OUT')",
    "pl.LazyFrame({'a': [1]}).sink_parquet('out/far/stolen')",
    "pl.DataFrame({'a': [1]}).write_csv('out/x', storage_options={'a': 'b'})",
    "np.savetxt('$OUT', np.eye(2))",
    "np.save('$OUT', np.eye(2))",
    "np.eye(2).tofile('$OUT')",
    "np.memmap('$OUT', mode='w+', shape=(2,))",
    "import sqlite3; sqlite3.connect('$OUT')",
    "import sqlite3; sqlite3.connect(':memory:').execute(\"ATTACH '$OUT' AS x\")",
    "import sqlite3; sqlite3.connect(':memory:').execute(\"VACUUM INTO '$OUT'\")",
    "np.save(b'$OUT', np.array([1]), allow_pickle=True)",
    "open('$OUT', 'w')",
    "open('out/far/stolen', 'w')",
    "import pathlib; pathlib.Path('$OUT').write_text('x')",
]


@pytest.mark.parametrize("code", WRITES)
def test_no_form_of_naming_a_writer_writes_outside(place: Place, code: str) -> None:
    """Whatever verb, container or callable carries the name, the path is judged before anything is opened."""
    result = run(place, code)
    assert sorted(path.name for path in place.outside.iterdir()) == ["secret.csv"], code
    assert not (place.root.parent / "stolen").exists()
    assert result.error is not None, code


READS = [
    "pd.read_csv('$SECRET')",
    "pd.read_csv('file://$SECRET')",
    "pd.read_csv('file:$SECRET')",
    "pd.read_csv('data/link.csv')",
    "pd.read_csv('data/../../' + '$SECRET')",
    "pd.read_csv('data/' + '../' * 12 + '$SECRET'[1:])",
    "pd.read_csv(b'$SECRET')",
    "import pathlib; pd.read_csv(pathlib.Path('$SECRET'))",
    "pd.read_csv('filecache::$SECRET')",
    "pd.read_csv('zip://x::$SECRET')",
    "pd.read_table('$SECRET')",
    "pd.read_fwf('$SECRET')",
    "pd.read_json('$SECRET')",
    "pd.read_html('$SECRET')",
    "pd.read_xml('$SECRET')",
    "pd.read_pickle('$SECRET')",
    "pd.read_orc('$SECRET')",
    "pd.read_sas('$SECRET')",
    "pd.read_stata('$SECRET')",
    "pd.read_hdf('$SECRET')",
    "pd.Series(['$SECRET']).map(pd.read_csv)",
    "pd.Series(['$SECRET']).apply(pd.read_csv)[0]",
    "list(map(pd.read_csv, ['$SECRET']))",
    "pd.DataFrame({'p': ['$SECRET']}).apply(lambda row: pd.read_csv(row.p), axis=1)",
    "df.pipe(lambda _: pd.read_csv('$SECRET'))",
    "df.pipe((pd.read_csv, 'filepath_or_buffer'))",
    "pd.read_csv(io.StringIO('a\\n$SECRET'), converters={'a': pd.read_csv})",
    "pd.read_csv(io.StringIO('a\\n$SECRET'), converters={'a': open})",
    "pd.read_csv(io.StringIO('a\\n$SECRET'), date_parser=pd.read_csv)",
    "np.loadtxt('$SECRET', dtype=str)",
    "np.genfromtxt('$SECRET', dtype=str)",
    "np.load('$SECRET', allow_pickle=True)",
    "np.fromfile('$SECRET')",
    "np.fromregex('$SECRET', '(.*)', [('a', 'S9')])",
    "np.vectorize(pd.read_csv)(['$SECRET'])",
    "np.frompyfunc(pd.read_csv, 1, 1)(['$SECRET'])",
    "np.loadtxt(['1'], converters={0: pd.read_csv})",
    "pl.read_csv('$SECRET')",
    "pl.scan_csv('$SECRET').collect()",
    "pl.read_csv('data/*.csv')",
    "pl.scan_csv('data/link.csv').collect()",
    "pl.scan_csv(['data/fine.csv', '$SECRET']).collect()",
    "pl.read_csv('file://$SECRET')",
    "pl.SQLContext().execute(\"select * from read_csv('$SECRET')\").collect()",
    "pl.sql(\"select * from read_csv('$SECRET')\").collect()",
    "df.query(\"@pd.read_csv('$SECRET')\")",
    "df.eval(\"x = @pd.read_csv('$SECRET')\")",
    "pd.eval(\"pd.read_csv('$SECRET')\")",
    "df.query(\"a.to_csv('$OUT')\", engine='python')",
    "df.query('@__builtins__', engine='python')",
    "df.query('a > 0', engine='plugin')",
    "df.query('__import__(\"os\")', engine='python')",
    "df.eval('a.__class__')",
    "df.eval('@df.a.__class__')",
    "df.query('a == a.__init__.__globals__')",
    "open('$SECRET').read()",
    "open('data/link.csv').read()",
    "import pathlib; pathlib.Path('data/link.csv').read_text()",
    "pd.read_csv('http://127.0.0.1:9/x')",
    "pd.read_csv('s3://bucket/key')",
    "pd.read_json('https://127.0.0.1:9/x')",
    "pl.read_csv('https://127.0.0.1:9/x')",
    "pd.read_csv('data/fine.csv', storage_options={'a': 'b'})",
    "pd.read_parquet('data/fine.csv', filesystem='file')",
    "pd.read_csv('data/fine.csv', engine='x')",
]


@pytest.mark.parametrize("code", READS)
def test_no_form_of_naming_a_file_reads_outside(place: Place, code: str) -> None:
    """Paths, URLs, links, globs, callables and evaluated texts reach no file that `[fs]` does not name."""
    result = run(place, f"_ = {code}\nprint(_)" if ";" not in code else code)
    assert place.secret not in f"{result.stdout}{result.stderr}{result.value}{result.error}", code
    assert place.ssn not in f"{result.stdout}{result.stderr}{result.value}{result.error}", code
    assert result.error is not None or place.secret not in str(result.display), code


FORMATS = [
    "'{0.__class__}'.format(df)",
    "'{0._mgr}'.format(df)",
    "'{0.a.values.base}'.format(df)",
    "'{0.__class__.__init__.__globals__}'.format(df)",
    "df.style.format('{0.__class__}').to_html()",
    "df.style.format('{.__init__.__globals__}').to_html()",
    "df.style.format({'a': '{0.__class__}'}).to_html()",
    "df.a.map('{0.__class__.__mro__}'.format).tolist()",
    "df.b.map('{0.__init__.__globals__}'.format).tolist()",
    "np.char.mod('%s', df)",
    "df.b.str.cat(df.ssn)",
    "df.style.format_index('{0.__class__}', axis=1).to_html()",
    "df.to_string(formatters={'a': '{0.__class__}'.format})",
    "df.to_latex(header=['{0.__class__}'] * 2)",
    "np.str_('{0.__class__}').format(df)",
    "np.str_('{0.ssn}').format(df)",
    "df.to_csv(float_format='{0.__class__}'.format)",
    "f'{df.ssn}'",
    "format(df, 'ssn')",
    "pd.Series(['{0.__class__}']).str.format(df)",
    "pd.options.display.float_format = '{0.__class__}'.format; repr(df)",
    "np.set_printoptions(formatter={'all': '{0.__class__}'.format}); print(df.values)",
]


@pytest.mark.parametrize("code", FORMATS)
def test_a_format_text_walks_nowhere(place: Place, code: str) -> None:
    """A text with attributes in its fields is formatted in the guest over stubs, or refused; the host walks none."""
    lines = code.split("; ")
    result = run(place, "\n".join([*lines[:-1], f"print({lines[-1]})"]))
    shown = f"{result.stdout}{result.stderr}{result.error}"
    assert place.ssn not in shown
    for trace in ("BlockManager", "'__builtins__'", "__loader__", "NDArrayBacked", "site-packages"):
        assert trace not in shown, code


def test_a_glob_that_matches_the_file_behind_a_projection_is_a_policy_error(tmp_path: Path) -> None:
    """What is hidden in an object cannot be read from the file that it came from."""
    from proxyplane.files import check_sources

    (tmp_path / "data").mkdir()
    source = tmp_path / "data" / "people.csv"
    source.write_text("a,b,ssn\n1,2,3\n")
    policy = Policy.parse(POLICY.format(root=tmp_path))
    with pytest.raises(PolicyError, match="narrow the globs"):
        check_sources(policy, {"df": str(source)})
    link = tmp_path / "people.csv"
    link.symlink_to(source)
    with pytest.raises(PolicyError):
        check_sources(policy, {"df": str(link)})
    elsewhere = tmp_path / "people2.csv"
    elsewhere.write_text("a,b,ssn\n1,2,3\n")
    check_sources(policy, {"df": str(elsewhere)})


def test_what_is_allowed_still_works(place: Place) -> None:
    """The same forms, on paths that `[fs]` names."""
    for code in (
        "pd.read_csv('data/fine.csv').a.tolist()",
        "pl.read_csv('data/fine.csv').rows()",
        "df.to_csv('out/mine.csv')",
        "pd.Series(['data/fine.csv']).map(pd.read_csv)[0].a.tolist()",
        "df.agg(['sum', 'max'])",
        "df.query('a > 1').a.tolist()",
        "df.groupby('b').agg(x=('a', 'sum'))",
        "df.a.map('{:.2f}'.format).tolist()",
        "df.style.format('{:.2f}', subset=['a']).to_html()",
    ):
        result = run(place, code)
        assert result.error is None, (code, result.error)
    assert (place.root / "out" / "mine.csv").exists()
