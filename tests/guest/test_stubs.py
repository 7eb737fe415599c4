"""Stub classes and stubs: an agent's ordinary pandas and numpy, performed by the host, looks as natively."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd
import pytest
from fakehost import Box, FakeHost

from proxyplane.transport.wire import Tag

_FRAME = {"region": ["n", "s", "n"], "amount": [1.5, 2.5, 3.0], "n": [1, 2, 3]}


@pytest.fixture(scope="module")
def guest() -> Iterator[FakeHost]:
    with FakeHost({"df": pd.DataFrame(_FRAME), "s": pd.Series([3, 1, 2]), "box": Box()}) as host:
        host.run("import pandas as pd, numpy as np, copy, pickle, numbers, datetime as dt, math, json")
        yield host


@pytest.fixture
def host(guest: FakeHost) -> FakeHost:
    guest.refuse = lambda verb, member: None
    guest.reveal = True
    guest.pure = True  # type: ignore[attr-defined]
    return guest


_NATIVE = [
    "df.groupby('region').amount.sum()",
    "df[df.amount > 2]",
    "df['amount'].mean()",
    "df.amount.iloc[1]",
    "df.loc[0, 'region']",
    "df.shape, len(df), df.columns.tolist(), list(df)",
    "df.agg({'amount': ['sum', 'mean']})",
    "df.assign(double=df.amount * 2).double.tolist()",
    "df.sort_values('amount', ascending=False).head(1)",
    "pd.concat([df, df]).shape",
    "pd.merge(df, df, on='n').columns.tolist()",
    "df.groupby('region')['amount'].agg(['sum', 'count'])",
    "df.pivot_table(index='region', values='amount', aggfunc='sum')",
    "df.region.str.upper().tolist()",
    "df.apply(lambda row: row['amount'] + row['n'], axis=1).tolist()",
    "df.region.map({'n': 1, 's': 2}).tolist()",
    "df.amount.apply(np.sqrt).round(2).tolist()",
    "df.select_dtypes('number').sum().to_dict()",
    "(df.amount + 1).tolist(), (1 + df.amount).tolist(), (-df.n).tolist(), abs(-df.n).tolist()",
    "(df.n ** 2).tolist(), (2 ** df.n).tolist(), divmod(df.n, 2)[0].tolist(), (df.n // 2).tolist()",
    "~(df.n > 1)",
    "(df.n > 1) & (df.n < 3)",
    "1 in s, 7 in s, 'amount' in df",
    "sum(s), sorted(s), max(s), min(s), list(reversed(s))",
    "[x for x in s], [c for c in df], {k: len(v) for k, v in df.groupby('region')}",
    "[row.amount for row in df.itertuples()]",
    "[(i, r['n']) for i, r in df.iterrows()]",
    "next(df.itertuples(index=False))",
    "dict(zip(df.region, df.amount))",
    "f'{df.amount.sum():.2f} {df.n.sum():>5} {s.max()!r}'",
    "'%.1f' % df.amount.mean(), '{:,.0f}'.format(df.amount.sum() * 1000)",
    "str(df), repr(df) == str(df)",
    "int(s.sum()), float(s.mean()), round(df.amount.mean(), 1), math.sqrt(df.amount.max())",
    "pd.Timestamp('2024-03-01 10:00').strftime('%Y'), pd.Timestamp('2024-03-01').year",
    "pd.Timestamp('2024-03-01') + pd.Timedelta(days=1)",
    "pd.Timestamp('2024-03-02') - pd.Timestamp('2024-03-01')",
    "pd.to_datetime(['2024-01-01', None])[1] is pd.NaT",
    "np.array([1, 2, 3]) * 2",
    "np.add.reduce([1, 2, 3])",
    "np.float64(1.5).dtype, np.int64(3) / 2, np.float32(0.5), np.bool_(True), np.str_('a')",
    "pd.DataFrame({'a': [1]}).equals(pd.DataFrame({'a': [1]}))",
    "pd.DataFrame.from_dict({'a': [1, 2]}).a.sum()",
    "s.apply(pd.Timestamp).iloc[0]",
    "df.groupby('region').amount.agg(pd.Series.mean).to_dict()",
    "df.isna().any().any()",
    "isinstance(df, pd.DataFrame), isinstance(df, pd.Series), isinstance(df.columns, pd.Index)",
    "type(df) is pd.DataFrame, type(s) is pd.Series, type(s.sum()) is np.int64, type(df.amount.max()) is np.float64",
    "pd.DataFrame.__name__, pd.DataFrame.__module__, pd.Series.__qualname__, pd.DataFrame",
    "issubclass(np.int64, np.integer), issubclass(pd.RangeIndex, pd.Index), issubclass(np.float64, float)",
    "isinstance(s.sum(), numbers.Integral), isinstance(df.amount.sum(), numbers.Real), isinstance(1.0, np.floating)",
    "isinstance(pd.Timestamp('2024'), dt.datetime), isinstance(pd.NaT, dt.datetime)",
    "isinstance(pd.Timedelta(1), dt.timedelta), pd.Timedelta(1), pd.Timedelta(1) > pd.Timedelta(0)",
    "json.dumps({'a': np.float64(1.5), 'b': str(np.int64(2))})",
    "{np.int64(3): 'a'}[3], {3: 'b'}[np.int64(3)], hash(np.float64(0.5)) == hash(0.5)",
    "[10, 20, 30][np.int64(1)], list(range(np.int64(2)))",
    "np.float64(2) == 2, np.int64(2) < 3.5, 2 >= np.int64(2), np.int64(1) == np.float64(1), np.str_('a') == 'a'",
    "pd.Timestamp('2024-01-01') == dt.datetime(2024, 1, 1), dt.datetime(2025, 1, 1) > pd.Timestamp('2024-01-01')",
    "pd.Timestamp(1), pd.Timestamp(1) == pd.Timestamp(2), pd.Timestamp(1) < pd.Timestamp(2)",
    "hash(pd.Timestamp(0)) == hash(dt.datetime(1970, 1, 1))",
    "bool(np.int64(0)), bool(np.bool_(True)), not np.float64(0)",
    "pd.NA, pd.NaT, pd.NA + 1, 1 - pd.NA, pd.NA == 1, pd.NA is pd.Series([None], dtype='Int64')[0]",
    "pd.NaT == pd.NaT, pd.NaT != 1, pd.NaT < pd.Timestamp('2024'), pd.Timestamp('2024') > pd.NaT",
    "pd.NaT + pd.Timedelta(1), pd.NaT.year",
    "np.nan is np.nan, np.isnan(np.nan), pd.isna(np.nan), pd.isna(pd.NA)",
    "df.head.__name__, df.head.__self__ is df, pd.merge.__name__, pd.DataFrame.head.__name__",
    "callable(df.head), hasattr(df, 'amount'), hasattr(df, 'nope'), getattr(df, 'nope', 5)",
    "(lambda row: (row._fields, row._asdict(), row[1], isinstance(row, tuple)))(next(df.itertuples()))",
    "copy.copy(df).equals(df), copy.deepcopy(df).equals(df), copy.deepcopy(df) is not df",
    "copy.deepcopy(np.arange(3)).tolist()",
    "df is df, df.columns is df.columns",
    "s.to_frame('x').rename(columns=str.upper).columns.tolist()",
    "pd.Series(x * 2 for x in range(3)).tolist(), pd.Series(range(3)).tolist(), pd.Series({1: 2}.values()).tolist()",
    "df.rename(columns={'n': 'm'}).filter(items=['m']).squeeze().tolist()",
    "s.values[::2].tolist(), s[s > 1].index.tolist(), df.iloc[-1].to_dict()",
    "np.arange(6).reshape(2, 3)[..., 0].tolist(), (np.eye(2) @ np.ones(2)).tolist()",
    "list[pd.DataFrame], pd.DataFrame | None",
]


@pytest.mark.parametrize("expression", _NATIVE)
def test_expression_gives_what_it_gives_natively(host: FakeHost, expression: str) -> None:
    """The repr of the expression in the guest is its repr with the real objects."""
    import copy
    import datetime as dt
    import json
    import math
    import numbers

    names: dict[str, Any] = {
        "df": pd.DataFrame(_FRAME), "s": pd.Series([3, 1, 2]), "pd": pd, "np": np, "copy": copy, "dt": dt,
        "math": math, "numbers": numbers, "json": json,
    }  # fmt: skip
    ran = host.run(expression)
    assert ran.error is None, ran.error["traceback"]
    native = repr(eval(expression, names)).replace("np.False_", "False").replace("np.True_", "True")
    assert (ran.value or "").replace("np.False_", "False").replace("np.True_", "True") == native


_FAILING = [
    ("df.nope", "AttributeError"),
    ("df['nope']", "KeyError"),
    ("bool(df)", "ValueError"),
    ("hash(df)", "TypeError"),
    ("{df: 1}", "TypeError"),
    ("iter(np.int64(3))", "TypeError"),
    ("len(np.float64(3))", "TypeError"),
    ("np.int64(3)()", "TypeError"),
    ("bool(pd.NA)", "TypeError"),
    ("pd.Timestamp('2024') < 3", "TypeError"),
    ("np.int64(3) < 'a'", "UFuncTypeError"),
    ("df + 'x'", "UFuncTypeError"),
    ("s.head(1, 2, 3)", "TypeError"),
    ("pd.merge(df, df, on='n', validate='wrong')", "ValueError"),
    ("with df: pass", "TypeError"),
    ("raise pd.errors.MergeError('mine')", "MergeError"),
    ("pd.merge(df, df, left_index=True)", "MergeError"),
]


@pytest.mark.parametrize(("code", "kind"), _FAILING)
def test_failures_are_of_the_native_type(host: FakeHost, code: str, kind: str) -> None:
    """What fails natively fails here with the same exception type."""
    error = host.run(code).error
    assert error is not None
    assert error["type"] == kind


def test_host_exceptions_are_caught_by_class(host: FakeHost) -> None:
    """`except` with a host's exception class, and with its built-in base, catches what the host raised."""
    code = "try:\n    pd.merge(df, df, left_index=True)\nexcept {} as e:\n    print(isinstance(e, ValueError))"
    assert host.run(code.format("pd.errors.MergeError")).stdout == "True\n"
    assert host.run(code.format("ValueError")).stdout == "True\n"
    assert host.run("class Mine(pd.errors.MergeError): pass\nissubclass(Mine, ValueError)").value == "True"


def test_subclassing_a_stub_class_says_why_not(host: FakeHost) -> None:
    """A subclass of a host type fails when the class is made, with the reason."""
    error = host.run("class Mine(pd.DataFrame):\n    pass").error
    assert error is not None
    assert error["type"] == "TypeError"
    assert "live on the host" in error["message"]


@pytest.mark.parametrize(
    "code", ["df._mgr", "df.__array__()", "df.__dict_of_mine__", "pd.DataFrame._constructor", "df._x = 1"]
)
def test_private_names_fail_without_a_request(host: FakeHost, code: str) -> None:
    """Private and unannounced special names are an AttributeError made in the guest."""
    ran = host.run(code)
    assert ran.requests == []
    assert ran.error is not None
    assert ran.error["type"] == "DeniedAttribute"
    assert "has no attribute" in ran.error["message"]


def test_a_method_call_is_one_request(host: FakeHost) -> None:
    """Calls, attributes and operators each cost exactly one request; looking at a method costs none."""
    for code, expected in [
        ("x = df.head(2)", ["call"]),
        ("x = df.shape", ["getattr"]),
        ("x = df.amount", ["getattr"]),
        ("x = df + df", ["binop"]),
        ("df['z'] = 1", ["setitem"]),
        ("del df['z']", ["delitem"]),
        ("df.head; df.sum; pd.DataFrame.head", []),
    ]:
        assert [request[2] for request in host.run(code).requests] == expected


def test_a_refused_property_is_asked_once(host: FakeHost) -> None:
    """A property that is refused as an attribute is not asked of the host a second time."""
    host.refuse = lambda verb, member: (
        {"code": "denied_attribute", "message": "no shape"} if member == "shape" else None
    )
    ran = host.run("getattr(df, 'shape', 'default')")
    assert ran.value == "'default'"
    assert len(ran.requests) == 1
    host.refuse = lambda verb, member: None
    assert host.run("df.shape").value == "(3, 3)"


def test_setting_attributes_reaches_the_host(host: FakeHost) -> None:
    """setattr and delattr are requests; so is setting an attribute of a type, which the host decides."""
    ran = host.run("t = df.copy()\nt.n = [7, 8, 9]\nt.n.tolist()")
    assert ran.value == "[7, 8, 9]"
    host.refuse = lambda verb, member: (
        {"code": "denied", "message": "types do not change"} if verb == "setattr" else None
    )
    error = host.run("pd.DataFrame.head = None").error
    assert error is not None
    assert error["type"] == "Denied"


def test_value_references_answer_locally(host: FakeHost) -> None:
    """Showing, hashing, comparing and converting a numpy scalar or timestamp asks nothing; its dtype does."""
    host.run("x = s.sum(); t = pd.Timestamp('2024-05-06 07:08:09')")
    ran = host.run(
        "repr(x), str(x), f'{x:03d}', hash(x), bool(x), int(x), float(x), x == 6, x < 7.5, {x}, t.year, t == t, str(t)"
    )
    assert ran.error is None
    assert ran.requests == []
    assert len(host.run("x.dtype, x + 1, t.quarter").requests) >= 3


def test_content_that_is_not_revealed_stays_away(host: FakeHost) -> None:
    """Without its content a float is still a numpy.float64 to isinstance, and every look at it is a request."""
    host.reveal = False
    ran = host.run("y = df.amount.max()\nisinstance(y, np.float64), isinstance(y, float), y.__class__ is np.float64")
    assert ran.value == "(True, True, True)"
    host.refuse = lambda verb, member: {"code": "denied", "message": "not revealed"} if verb != "getattr" else None
    for code in ["y", "y == 3.0", "float(y)", "math.sqrt(y)", "f'{y}'", "y + 1", "hash(y)", "bool(y)"]:
        error = host.run(code).error
        assert error is not None, code
        assert error["type"] == "Denied", code


def test_pickle_is_refused(host: FakeHost) -> None:
    """Stubs and value references cannot be pickled."""
    for code in ["pickle.dumps(df)", "pickle.dumps(pd.Timestamp('2024'))", "pickle.dumps(s.sum())"]:
        error = host.run(code).error
        assert error is not None
        assert error["type"] == "TypeError"
        assert "pickle" in error["message"]


def test_dir_lists_members_and_columns(host: FakeHost) -> None:
    """`dir` gives the type's members and what the host adds for this instance, and nothing private of the stub."""
    ran = host.run("names = dir(df)\n'head' in names, 'shape' in names, 'amount' in names, '_handle' in names")
    assert ran.value == "(True, True, True, False)"
    assert [request[2] for request in ran.requests] == ["list"]


def test_documentation_is_the_hosts(host: FakeHost) -> None:
    """Types carry their documentation; a method's is fetched when it is read."""
    assert host.run("'Two-dimensional' in pd.DataFrame.__doc__").requests == []
    assert host.run("'first' in df.head.__doc__").value == "True"


# Iteration


def _sizes(requests: list[list[Any]]) -> list[int]:
    return [request[5][0] for request in requests if request[2] == "next"]


def test_pure_iteration_grows_its_chunks(host: FakeHost) -> None:
    """Chunks double up to 512 when the host says that reading ahead is harmless."""
    ran = host.run("big = pd.Series(range(2000))\nsum(1 for _ in big)")
    assert ran.value == "2000"
    assert _sizes(ran.requests) == [1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 512, 512]


def test_impure_iteration_never_reads_ahead(host: FakeHost) -> None:
    """An iterator with effects is asked for one item at a time."""
    host.pure = False  # type: ignore[attr-defined]
    ran = host.run("for x in box.numbers(100):\n    if x == 3: break\nbox.seen")
    assert ran.value == "3"
    assert set(_sizes(ran.requests)) == {1}


def test_iterators_remember_where_they_are(host: FakeHost) -> None:
    """An iterator that was read ahead of the agent loses no item, however it is read or passed on."""
    code = "it = box.numbers(50)\na = next(it)\nfor x in it:\n    if x == 9: break\nb = next(it)\nc = box.echo([1])\n"
    assert host.run(code + "a, x, b, sum(1 for _ in it), list(it)").value == "(0, 9, 10, 39, [])"
    passed = host.run("it = box.numbers(6)\nfor x in it:\n    if x == 2: break\npd.Series(it).tolist()")
    assert passed.value == "[3, 4, 5]"
    assert host.run("it = iter(s)\nlist(it), list(it)").value == "([3, 1, 2], [])"


def test_context_managers_open_and_close(host: FakeHost) -> None:
    """`with` on a host's context manager enters and leaves it there."""
    assert host.run("with box.opened() as x:\n    y = box.seen\nx, y, box.seen").value == "(7, 'open', 'closed')"


# Life and death


def test_every_reference_is_released(host: FakeHost) -> None:
    """What the guest dropped is released as often as it was received, on a later request."""
    ran = host.run("a = df.head(); b = df.tail(); r = next(df.itertuples()); c = a.columns; d = a.columns\nx = s.sum()")
    mine = {ran.names[name] for name in "abcrdx"}
    assert all(host.sent[handle] > 0 for handle in mine)
    assert host.sent[ran.names["c"]] == 2
    host.run("del a, b, c, d, r, x\n_ = None\nlen(df)")
    assert {host.sent[handle] for handle in mine} == {0}


def test_many_short_lived_stubs_leave_nothing(host: FakeHost) -> None:
    """Thousands of results that were dropped at once are all released."""
    host.run("for i in range(300): df.head(); s.sum(); next(df.itertuples())")
    host.run("_ = 0; len(df)")
    alive = [handle for handle, count in host.sent.items() if count > 0 and type(host.handles.get(handle)) is np.int64]
    assert alive == []


def test_same_handle_same_stub(host: FakeHost) -> None:
    """An object that crosses twice is one object in the guest."""
    assert host.run("box.echo(df) is df, box.echo([df, s])[1] is s").value == "(True, True)"


def test_release_is_not_lost_when_a_request_cannot_be_sent() -> None:
    """Releases that were to ride on a frame that was too long ride on the next one."""
    with FakeHost({"box": Box(), "s": pd.Series([1])}, options={"frame_bytes": 1 << 16}) as host:
        ran = host.run("t = s + 1")
        handle = ran.names["t"]
        error = host.run("del t\nbox.take('x' * 100_000)").error
        assert error is not None
        assert error["type"] == "ValueError"
        assert "in parts" in error["message"]
        host.run("len(s)")
        assert host.sent[handle] == 0


def test_types_are_known_by_id(host: FakeHost) -> None:
    """Stub classes, host functions and unfetched methods cross back as what they are."""
    ran = host.run("box.take(pd.DataFrame); box.take(df.head); box.take(pd.merge); box.take(np.sqrt); box.take(pd)")
    tags = [request[5][0][0] for request in ran.requests if request[4] == "take"]
    assert tags == [Tag.TYPE, Tag.BOUND, Tag.BOUND, Tag.BOUND, Tag.MODULE]
