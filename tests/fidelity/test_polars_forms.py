"""polars as ordinary code uses it: options, statements, files and buffers, callbacks from its own threads."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from proxyplane.catalogs.values import is_polars_statement

from .natively import plane_over, same

pl = pytest.importorskip("polars")

FRAME = 'import io, polars as pl\ndf = pl.DataFrame({"g": ["a", "b", "a"], "x": [1, 2, 3]})\n'
SAME = {
    "options": """
with pl.Config(tbl_rows=2, tbl_hide_dataframe_shape=True): print(df)
print(df)
pl.Config.set_tbl_hide_column_data_types(True); pl.Config.set_fmt_float("full"); print(df); pl.Config.restore_defaults()
print(df)
""",
    "statements": """
ctx = pl.SQLContext(); ctx.register("t", df)
print(ctx.tables(), ctx.execute("select g, sum(x) as s from t group by g order by g", eager=True))
with pl.SQLContext(frame=df, eager=True) as inner: print(inner.execute("select count(*) as n from frame"))
import pandas as pd
other = pd.DataFrame({"g": ["a"], "y": [5]})
def within(frame): return pl.sql("select g, x * 2 as z from frame where x > 1", eager=True)
print(within(df), pl.sql("select * from df join other using (g) order by x", eager=True)["y"].to_list())
print(df.sql("select max(x) as m from self"), df.lazy().sql("select min(x) from self").collect())
print(df["x"].sql("select x + 1 as y from self"), df.select(pl.sql_expr("x + 1 as y")))
""",
    "files and buffers": """
df.write_csv("a.csv"); df.write_csv("b.csv"); df.write_parquet("a.parquet"); df.lazy().sink_parquet("b.parquet")
print(pl.scan_csv(["a.csv", "b.csv"]).collect(), pl.read_csv(b"a,b\\n1,2"), pl.read_parquet("b.parquet"))
buffer = df.write_ipc(None); buffer.seek(0); print(pl.read_ipc(buffer).equals(df))
buffer = io.BytesIO(); df.write_parquet(buffer); buffer.seek(0); print(pl.read_parquet(buffer).equals(df))
print(pl.DataFrame.deserialize(io.BytesIO(df.serialize())).equals(df), pl.read_lines(b"one\\ntwo"))
""",
    "callbacks": """
print(df.select(pl.col("x").map_elements(lambda v: v + 1, return_dtype=pl.Int64)))
print(df.lazy().map_batches(lambda f: f.head(1)).collect())
print(df.group_by("g", maintain_order=True).map_groups(lambda f: f.head(1)))
summed = pl.col("x").map_batches(lambda s: s.sum(), return_dtype=pl.Int64, returns_scalar=True)
print(df.lazy().group_by("g", maintain_order=True).agg(summed).collect())
print(sorted(df.lazy().collect_schema()), df.cast({pl.selectors.numeric(): pl.Float64}))
""",
    "shown": "df.show(2)\ndf.lazy().show(1)\ndf.glimpse()\n",
    "from elsewhere": """
import pandas as pd
print(pl.from_pandas(pd.DataFrame({"a": [1]})), pl.from_dict({"a": [1]}), pl.from_dicts([{"a": 1}]))
print(pl.from_arrow(df.to_arrow()))
print(pl.from_records([[1, 2]]), pl.from_numpy(df.select("x").to_numpy()), pl.from_dataframe(pd.DataFrame({"a": [1]})))
from polars.testing import assert_frame_equal
assert_frame_equal(df, df)
print(df["x"].sort().flags, [part.len() for part in df["x"].get_chunks()])
""",
}


@pytest.mark.parametrize("code", SAME.values(), ids=list(SAME))
@pytest.mark.filterwarnings("ignore")
def test_polars_prints_what_it_prints_natively(code: str, tmp_path: Path) -> None:
    """Options, SQL over the agent's own variables, files, buffers and callbacks are as in the library."""
    same("import warnings; warnings.simplefilter('ignore')\n" + FRAME + code, tmp_path)


def test_options_are_each_sessions_own(tmp_path: Path) -> None:
    """What one session sets, neither another session nor the host sees, and a with statement takes it back."""
    before = pl.Config.save()
    with plane_over(tmp_path) as plane, plane.session("one") as one, plane.session("two") as two:
        code = FRAME + "print(df)"
        usual = two.run(code).stdout
        assert one.run(FRAME + "pl.Config.set_tbl_rows(1)\npl.Config.set_float_precision(1)\nprint(df)").stdout != usual
        assert two.run(code).stdout == usual
        assert pl.Config.save() == before
        assert one.run("print(df)").stdout != usual
    assert pl.Config.save() == before


REFUSED = [
    "pl.sql(\"select * from read_csv('/etc/passwd')\")",
    "pl.sql('select * from \"Read_Parquet\"(\\'x\\')')",
    "df.sql(\"select * from self union select * from read_csv/**/('x')\")",
    "pl.SQLContext(df=df).execute(\"select * from READ_JSON('x')\")",
    "pl.SQLContext(register_globals=True)",
    "pl.SQLContext.execute_global('select 1')",
    "pl.sql_expr([\"read_csv('x')\"])",
    'pl.Config.load(\'{"environment": {"LD_PRELOAD": "x"}}\')',
    'pl.Config(load=\'{"environment": {"LD_PRELOAD": "x"}}\')',
    "pl.Config(save_to_file='out.json')",
    "pl.Config(__class__=None)",
    "pl.Config.set_verbose(True)",
    "pl.LazyFrame.deserialize(io.BytesIO(df.lazy().serialize()))",
    "pl.Expr.deserialize(io.BytesIO(pl.col('a').meta.serialize()))",
]


@pytest.mark.parametrize("code", REFUSED)
def test_what_opens_files_or_sets_variables_is_refused(code: str, tmp_path: Path) -> None:
    """Table functions, host frames, environment variables and pickled plans stay out of reach."""
    names = dict(os.environ)
    with plane_over(tmp_path) as plane, plane.session("agent") as session:
        ran = session.run(FRAME + code)
        assert ran.error is not None
        assert ran.error.type in ("Denied", "DeniedAttribute", "AttributeError"), ran.error.message
    assert "LD_PRELOAD" not in os.environ or os.environ["LD_PRELOAD"] == names.get("LD_PRELOAD")
    assert not (tmp_path / "out.json").exists()


def test_statements_of_the_host_see_no_frames_of_the_host(tmp_path: Path) -> None:
    """A name that the agent does not have is not found, although a frame of this test has it."""
    secret_frame = pl.DataFrame({"ssn": ["078-05-1120"]})
    with plane_over(tmp_path) as plane, plane.session("agent") as session:
        ran = session.run("import polars as pl\npl.sql('select * from secret_frame').collect()")
        assert ran.error is not None
        assert "078" not in str(ran.error)
    assert secret_frame.height == 1


@pytest.mark.parametrize(
    ("text", "plain"),
    [
        ("select a from t", True),
        (["a + 1", "b"], True),
        ("select readiness from t", True),
        ("select * from reaD_csv ('x')", False),
        ("attach 'x' as y", False),
        ("copy t to 'x'", False),
        (["a", "read_csv('x')"], False),
        (b"select 1", False),
        (["a", 1], False),
    ],
)
def test_which_statements_are_plain(text: object, plain: bool) -> None:
    """Statements without words that lead to files, and lists of them."""
    assert is_polars_statement(text) is plain
