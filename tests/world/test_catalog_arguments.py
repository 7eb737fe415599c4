"""Effects as a function of the arguments."""

from __future__ import annotations

import io
import pathlib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxyplane.catalog import Catalog, Expected
from proxyplane.catalogs.expression import MAX_CHARS, is_plain
from proxyplane.effects import Effect

np = pytest.importorskip("numpy")
pd = pytest.importorskip("pandas")

CATALOG = Catalog.load()
FRAME = pd.DataFrame({"a": [1, 2], "b": ["x", "y"]})


def expect(receiver: Any, member: str, *args: Any, **kwargs: Any) -> Expected:
    if isinstance(receiver, str):
        module = CATALOG.module(receiver)
        assert module is not None
        return CATALOG.expected(module.members[member], None, args, kwargs)
    entry = CATALOG.of(type(receiver))
    assert entry is not None
    line = entry.dunders.get(member) or entry.members[member]
    return CATALOG.expected(line, receiver, args, kwargs)


def test_a_path_adds_the_effect_of_its_file() -> None:
    """`to_csv()` writes nothing, `to_csv(path)` writes that file, by position or by name."""
    assert Effect.FS_WRITE not in expect(FRAME, "to_csv").effects
    for found in (expect(FRAME, "to_csv", "out.csv"), expect(FRAME, "to_csv", path_or_buf="out.csv")):
        assert Effect.FS_WRITE in found.effects
        assert found.paths == ((Effect.FS_WRITE, "out.csv"),)
    assert expect("pandas", "read_csv", b"in.csv").paths == ((Effect.FS_READ, "in.csv"),)
    assert expect("pandas", "read_csv", pathlib.PurePosixPath("in.csv")).paths == ((Effect.FS_READ, "in.csv"),)


URLS = [
    "http://x/y.csv", "https://x", "s3://b/k", "ftp://x", "file:///etc/passwd", "file:/etc/passwd", "FILE:/etc/passwd",
    " http://x", "ht\ntp://x", "simplecache::s3://b", "filecache::/etc/passwd", "data:text/csv,a", "x/../zip://a::b",
]  # fmt: skip


@pytest.mark.parametrize("url", URLS)
def test_a_url_is_net_however_it_is_written(url: str) -> None:
    """Whatever a library could take for a URL counts as network and not as a file."""
    found = expect("pandas", "read_csv", url)
    assert Effect.NET in found.effects
    assert Effect.FS_READ not in found.effects


def test_a_home_path_is_the_path_that_the_library_opens(monkeypatch: pytest.MonkeyPatch) -> None:
    """pandas expands `~`, so what is decided upon is expanded too."""
    monkeypatch.setenv("HOME", "/home/someone")
    assert expect("pandas", "read_csv", "~/secret.csv").paths == ((Effect.FS_READ, "/home/someone/secret.csv"),)


@pytest.mark.parametrize("value", [["a.csv"], 7, object(), np.array(["a"]), io.FileIO(0, closefd=False)])
def test_anything_else_where_a_path_belongs_is_unknown(value: object) -> None:
    """Lists, numbers and open files are refused: what they would open is not known."""
    assert Effect.UNKNOWN in expect("pandas", "read_csv", value).effects


def test_an_in_memory_buffer_is_no_file() -> None:
    """StringIO and BytesIO reach nothing."""
    assert expect("pandas", "read_csv", io.StringIO("a\n1")).effects == {Effect.COMPUTE}
    assert expect(FRAME, "to_csv", None).paths == ()


def test_inplace_adds_mutate() -> None:
    """`inplace=True` changes the receiver; False and absent do not."""
    assert Effect.MUTATE in expect(FRAME, "drop", inplace=True).effects
    assert Effect.MUTATE not in expect(FRAME, "drop", inplace=False).effects
    assert Effect.MUTATE not in expect(FRAME, "drop").effects
    assert Effect.MUTATE in expect(FRAME, "drop", inplace=np.True_).effects


def test_an_output_argument_is_changed() -> None:
    """`out=`, the target of copyto and a shuffled array are named as mutated, by position or by name."""
    a, b = np.zeros(2), np.zeros(2)
    assert expect(np.add, "__call__", a, a, b).mutated == (b,)
    assert expect(np.add, "__call__", a, a, out=(b,)).mutated == (b,)
    assert expect(np.modf, "__call__", a, a, b).mutated == (a, b)
    assert expect("numpy", "modf", a, a, b).mutated == (a, b)
    assert expect("numpy", "copyto", b, a).mutated == (b,)
    assert expect("numpy.random", "shuffle", b).mutated == (b,)
    found = expect(a, "sum", None, None, b)
    assert found.mutated == (b,)
    assert Effect.MUTATE in found.effects
    assert expect(np.add, "__call__", a, a).effects == {Effect.COMPUTE}


@pytest.mark.parametrize(
    ("member", "kwargs"),
    [
        ("to_csv", {"storage_options": {"key": "x"}}),
        ("to_parquet", {"filesystem": object()}),
        ("to_excel", {"engine_kwargs": {"options": {}}}),
        ("rolling", {"window": 2, "win_type": "get_window"}),
        ("apply", {"func": len, "engine": "some.plugin"}),
        ("query", {"expr": "a > 1", "resolvers": [{}]}),
        ("query", {"expr": "a > 1", "local_dict": [("a", 1)]}),
        ("query", {"expr": "a > 1", "local_dict": {"a.b": 1}}),
        ("query", {"expr": "a > 1", "global_dict": {"a": 1}}),
        ("query", {"expr": "a > 1", "level": 3}),
        ("eval", {"expr": "a", "parser": "other"}),
    ],
)
def test_plug_ins_are_unknown(member: str, kwargs: dict[str, Any]) -> None:
    """Arguments that choose code or hosts elsewhere are refused."""
    assert Effect.UNKNOWN in expect(FRAME, member, **kwargs).effects


def test_memory_of_somebody_else_is_unknown() -> None:
    """A view that would show padding, pointers or what is no truth value, and `ndarray(buffer=)`, are refused."""
    array = np.zeros(2)
    padded = np.zeros(2, dtype=np.dtype([("a", "i1"), ("b", "f8")], align=True))
    for receiver, dtype in [
        (array, "O"), (np.int64(1), "O"), (array, "?"), (padded, "u1"), (array, "V8"), (array, [("x", "O")]),
        (np.zeros(2, dtype="g"), "u1"), (np.array([object()]), "i8"), (array, type), (array, np.memmap),
    ]:  # fmt: skip
        assert Effect.MEMORY in expect(receiver, "view", dtype).effects
    assert expect(array, "view").effects == {Effect.COMPUTE}
    for dtype in ("i8", np.uint8, [("x", "f4"), ("y", "i4")], np.matrix, np.recarray, np.dtype("M8[ns]")):
        assert expect(array, "view", dtype).effects == {Effect.COMPUTE}
    assert expect(array, "view", "i8", np.matrix).effects == {Effect.COMPUTE}
    kind = CATALOG.of(np.ndarray)
    assert kind is not None
    assert kind.constructor is not None
    assert Effect.UNKNOWN in CATALOG.expected(kind.constructor, np.ndarray, (2, "O"), {"buffer": b"1" * 16}).effects
    assert Effect.UNKNOWN in CATALOG.expected(kind.constructor, np.ndarray, (2, "O", None, 0, (0,)), {}).effects
    assert "zeroed" in kind.constructor.flags
    void = CATALOG.of(np.void)
    assert void is not None
    assert void.constructor is None


WRITERS: list[tuple[Any, str, tuple[Any, ...], dict[str, Any]]] = [
    (FRAME, "agg", ("to_csv",), {"path_or_buf": "p"}),
    (FRAME, "agg", ("to_csv", 0, "p"), {}),
    (FRAME, "agg", (["sum", "to_csv"],), {"path_or_buf": "p"}),
    (FRAME, "agg", ({"a": "to_csv"},), {"path_or_buf": "p"}),
    (FRAME, "agg", ({"a": ["to_csv"]},), {"path_or_buf": "p"}),
    (FRAME, "agg", (("sum", "to_csv"), 0, "p"), {}),
    (FRAME, "apply", ("to_csv",), {"args": ("p",)}),
    (FRAME, "apply", ("to_pickle",), {"path": "p"}),
    (FRAME, "transform", ("to_pickle",), {"path": "p"}),
    (FRAME, "aggregate", (), {"func": "to_json", "path_or_buf": "p"}),
    (FRAME.a, "agg", ("to_csv",), {"path_or_buf": "p"}),
    (FRAME.a, "apply", ("to_csv", "p"), {}),
    (FRAME.groupby("b"), "agg", (), {"x": ("a", "to_csv"), "path_or_buf": "p"}),
    (FRAME.groupby("b"), "agg", (), {"x": pd.NamedAgg("a", "to_csv", "p")}),
    (FRAME.groupby("b"), "agg", ({"a": "to_csv"}, "p"), {}),
    (FRAME.groupby("b"), "apply", ("to_csv", "p"), {}),
    (FRAME.groupby("b").a, "agg", (), {"x": "to_csv", "path_or_buf": "p"}),
    (FRAME.rolling(1), "agg", ("to_csv", "p"), {}),
    (FRAME, "pivot_table", (), {"index": "b", "aggfunc": "to_csv", "path_or_buf": "p"}),
    (FRAME, "agg", ("agg", 0, "to_csv"), {"path_or_buf": "p"}),
]


@pytest.mark.parametrize(("receiver", "member", "args", "kwargs"), WRITERS)
def test_a_method_named_by_a_text_has_its_effects(receiver: Any, member: str, args: Any, kwargs: Any) -> None:
    """Every way of naming a writer, with every way of handing it its path, is a write of that file (or unknown)."""
    found = expect(receiver, member, *args, **kwargs)
    assert Effect.UNKNOWN in found.effects or (Effect.FS_WRITE, "p") in found.paths


@pytest.mark.parametrize(
    "name", ["to_iceberg", "plot", "_mgr", "__reduce__", "memmap", "load", "save", "empty_like", "attrs"]
)
def test_a_text_that_names_what_is_not_catalogued_is_unknown(name: str) -> None:
    """A real member of pandas or numpy without a line, private ones included."""
    assert Effect.UNKNOWN in expect(FRAME, "agg", name).effects


@pytest.mark.parametrize(
    "hiding", [pd.Series(["to_csv"]), pd.Index(["to_csv"]), np.array(["to_csv"]), iter(["to_csv"])]
)
def test_a_container_that_may_hide_a_name_is_unknown(hiding: Any) -> None:
    """Only texts, lists, tuples, sets and dicts are read for names."""
    assert Effect.UNKNOWN in expect(FRAME, "agg", hiding).effects


@pytest.mark.parametrize(
    ("receiver", "args", "kwargs"),
    [
        (FRAME, ("sum",), {}),
        (FRAME, (["sum", "mean"],), {}),
        (FRAME, ({"a": ["min", "max"], "b": "count"},), {}),
        (FRAME, ("sum", 1), {}),
        (FRAME, ("sum", "columns"), {}),
        (FRAME, (lambda column: 1,), {}),
        (FRAME, ("ptp",), {}),
        (FRAME, ("no_such_thing",), {}),
        (FRAME.groupby("b"), (), {"total": ("a", "sum"), "n": pd.NamedAgg("a", "count")}),
        (FRAME.groupby("b").a, (), {"total": "sum"}),
        (FRAME.groupby("b").a, ([("low", "min"), ("high", "max")],), {}),
        (FRAME.groupby("b"), ("first",), {}),
        (FRAME.groupby("b"), ("quantile", 0.5), {}),
    ],
)
def test_ordinary_aggregations_only_compute(receiver: Any, args: Any, kwargs: Any) -> None:
    """What analysts write gets no effect beyond reading and computing."""
    assert expect(receiver, "agg", *args, **kwargs).effects <= {Effect.COMPUTE, Effect.READ}


def test_a_named_method_that_mutates_adds_mutate() -> None:
    """`apply("fillna", inplace=True)` is a mutation, `apply("update")` too."""
    assert Effect.MUTATE in expect(FRAME, "apply", "fillna", value=0, inplace=True).effects
    assert Effect.MUTATE in expect(FRAME, "apply", "update", args=(FRAME,)).effects


PLAIN = [
    "a > 1",
    "a>1 and b == 'x y'",
    "`my col` not in [1, 2.5]",
    "not (a + 1) ** 2 <= -3",
    "a in (1, 2)",
    "~(a > 1) & b < .5",
    "c = a + b",
    "c = a\nd = `c d` * 2",
    "a == True or b == None",
    "1e3 < a <= 2",
    "größe > 1",
]
NOT_PLAIN = [
    "@x.y > 1",
    "@x() > 1",
    "@__x > 1",
    "a@x > 1",
    "@ x > 1",
    "@@x > 1",
    "a.b > 1",
    "f(a)",
    "a.str.len()",
    "a[0]",
    "f'{a}'",
    "b'x' == a",
    "a # `b",
    "'a' 'b'",
    "1j * a",
    "lambda: 1",
    "__import__",
    "a; b",
    "a if b else c",
    "a == 'x\\'",
    "[x for x in a]",
    "{1: 2}",
    "a := 1",
    "a\n.b",
    "",
    "a >",
    "(a",
    "a)",
    "a b",
    "[a](b)",
    "a == '`@x`",
    "`@x`.y",
    "a == '''x'''",
    "x = y = 1",
    "not",
    "a not b",
    "`a`(1)",
    "(a)(b)",
    "'x'(1)",
    "1.real",
    "()",
    "a == 'it''s'",
    "await a",
    "import os",
]


@pytest.mark.parametrize("text", PLAIN)
def test_plain_expressions_are_computed(text: str) -> None:
    """Comparison, arithmetic, boolean operators, membership, quoted names."""
    assert is_plain(text)
    assert Effect.UNKNOWN not in expect(FRAME, "query", text).effects


@pytest.mark.parametrize("text", NOT_PLAIN)
def test_other_expressions_are_unknown(text: str) -> None:
    """Attributes, calls, subscripts, `@`, comments, prefixes and all that is ambiguous."""
    assert not is_plain(text)
    assert Effect.UNKNOWN in expect(FRAME, "query", text).effects
    assert Effect.UNKNOWN in expect(FRAME, "eval", expr=text).effects


def test_an_expression_that_is_no_text_is_unknown() -> None:
    """Only an exact text is read."""
    assert Effect.UNKNOWN in expect(FRAME, "query", b"a > 1").effects
    assert Effect.UNKNOWN in expect(FRAME, "query", np.str_("a > 1")).effects
    assert not is_plain("a" * (MAX_CHARS + 1))
    assert not is_plain("(" * 60 + "a" + ")" * 60)


@given(st.text(alphabet="ab1 .@()[]'\"`#\\\n=<>&|~+-,:{}_", max_size=30))
def test_no_plain_text_calls_or_looks_up_anything(text: str) -> None:
    """Whatever is accepted parses to names, literals, operators, lists and tuples; never an attribute or a call."""
    import ast

    if not is_plain(text):
        return
    for line in text.split("\n"):
        bare = line
        while bare.count("`") >= 2:
            head, _, rest = bare.partition("`")
            bare = head + " q " + rest.partition("`")[2]
        try:
            tree = ast.parse(bare.strip())
        except (SyntaxError, ValueError):
            continue
        forbidden = (ast.Attribute, ast.Call, ast.Subscript, ast.Lambda, ast.JoinedStr, ast.NamedExpr)
        assert not [node for node in ast.walk(tree) if isinstance(node, forbidden)]


@given(
    st.dictionaries(
        st.sampled_from(["path_or_buf", "inplace", "func", "args", "x"]),
        st.one_of(st.none(), st.booleans(), st.text(max_size=5), st.lists(st.text(max_size=5), max_size=3)),
        max_size=4,
    )
)
def test_judging_never_raises(kwargs: dict[str, Any]) -> None:
    """Whatever a guest passes, the answer is a set of effects."""
    for member in ("agg", "to_csv", "drop", "query", "rolling"):
        assert expect(FRAME, member, **kwargs).effects
