"""How the guest's values cross to the host, and back."""

from __future__ import annotations

import datetime as dt
import math
import operator
import re
import socket
import uuid
import zoneinfo
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import msgpack
import numpy as np
import pandas as pd
import pytest
from fakehost import Box, FakeHost, Record, Token
from hypothesis import given
from hypothesis import strategies as st

from proxyplane.errors import ProtocolError
from proxyplane.guest import singletons
from proxyplane.guest.main import Guest
from proxyplane.guest.values import Values
from proxyplane.transport.wire import Tag, decode_body


@pytest.fixture(scope="module")
def host() -> Iterator[FakeHost]:
    with FakeHost({"box": Box(), "df": pd.DataFrame({"a": [1]})}) as host:
        host.run(
            "import collections, dataclasses, datetime as dt, decimal, enum, functools, io, operator\n"
            "import array, pathlib, re, types, uuid, zoneinfo, pandas as pd, numpy as np"
        )
        yield host


@pytest.fixture(scope="module")
def values() -> Iterator[Values]:
    ours, theirs = socket.socketpair()
    yield Guest(theirs, {})._values
    ours.close()
    theirs.close()


def _taken(host: FakeHost, expression: str) -> Any:
    ran = host.run(f"_ = box.take({expression})")
    assert ran.error is None, ran.error
    box = host.handles[ran.names["box"]]
    return box.seen


_ZONE = dt.timezone(dt.timedelta(hours=2))


@pytest.mark.parametrize(
    ("expression", "arrives"),
    [
        ("2 ** 200", 2**200),
        ("-(2 ** 64)", -(2**64)),
        ("[1, (2, {3}), {'k': frozenset([4])}]", [1, (2, {3}), {"k": frozenset([4])}]),
        ("{(1, 'a'): None}", {(1, "a"): None}),
        ("slice(1, None, 2)", slice(1, None, 2)),
        ("...", ...),
        ("1 + 2j", 1 + 2j),
        ("b'\\x00'", b"\x00"),
        ("bytearray(b'x')", b"x"),
        ("'\\ud800'", "\ud800"),
        ("dt.date(2024, 1, 2)", dt.date(2024, 1, 2)),
        ("dt.datetime(2024, 1, 2, tzinfo=dt.timezone(dt.timedelta(hours=2)))", dt.datetime(2024, 1, 2, tzinfo=_ZONE)),
        ("dt.timedelta(days=-1)", dt.timedelta(days=-1)),
        ("dt.time(1, 2)", dt.time(1, 2)),
        ("decimal.Decimal('1.50')", Decimal("1.50")),
        ("uuid.UUID(int=5)", uuid.UUID(int=5)),
        ("re.compile('a+', re.I)", re.compile("a+", re.IGNORECASE)),
        ("range(2 ** 70)", range(2**70)),
        ("zoneinfo.ZoneInfo('Europe/Berlin')", zoneinfo.ZoneInfo("Europe/Berlin")),
        ("(x * 2 for x in range(3))", [0, 2, 4]),
        ("zip('ab', [1, 2])", [("a", 1), ("b", 2)]),
        ("enumerate('a')", [(0, "a")]),
        ("map(str, [1])", ["1"]),
        ("reversed([1, 2])", [2, 1]),
        ("{'a': 1}.keys()", ["a"]),
        ("{'a': 1}.items()", [("a", 1)]),
        ("iter([1])", [1]),
        ("collections.deque([1, 2])", [1, 2]),
        ("collections.OrderedDict(a=1)", {"a": 1}),
        ("collections.defaultdict(list, a=[1])", {"a": [1]}),
        ("collections.Counter('aab')", {"a": 2, "b": 1}),
        ("collections.ChainMap({'a': 1})", {"a": 1}),
        ("types.MappingProxyType({'a': 1})", {"a": 1}),
        ("array.array('i', [1, 2])", [1, 2]),
        ("memoryview(b'ab')", b"ab"),
        ("pathlib.PurePosixPath('a/b')", "a/b"),
        ("type('S', (str,), {'__str__': lambda s: 'fake'})('real')", "real"),
        ("type('I', (int,), {'__int__': lambda s: 9})(4)", 4),
        ("type('F', (float,), {})(1.5)", 1.5),
        ("type('L', (list,), {'__iter__': lambda s: iter([9])})([1])", [1]),
        ("type('D', (dict,), {'items': lambda s: []})(a=1)", {"a": 1}),
        ("type('T', (dt.datetime,), {})(2024, 1, 2)", dt.datetime(2024, 1, 2)),
        ("enum.IntEnum('E', 'A').A", 1),
        ("enum.Enum('E', {'A': 'x'}, type=str).A", "x"),
        ("int", int),
        ("sorted", sorted),
        ("object", object),
        ("pd.DataFrame", pd.DataFrame),
        ("np.float64", np.float64),
        ("np.float64(1.5)", np.float64(1.5)),
        ("pd.Timestamp('2024-01-02')", pd.Timestamp("2024-01-02")),
        ("pd.NA", pd.NA),
        ("pd.NaT", pd.NaT),
        ("collections.namedtuple('P', 'x y')(1, [2])", Record("P", {"x": 1, "y": [2]})),
        ("dataclasses.make_dataclass('C', ['x', 'y'])(1, (2,))", Record("C", {"x": 1, "y": (2,)})),
        ("io.StringIO('a,b')", Record("StringIO", {"content": "a,b", "position": 0})),
    ],
)
def test_value_arrives_as(host: FakeHost, expression: str, arrives: Any) -> None:
    """Each kind of value arrives as its plain equal of exactly the right type."""
    seen = _taken(host, expression)
    assert type(seen) is type(arrives)
    assert seen is arrives or seen == arrives


def test_nan_keeps_its_identity(host: FakeHost) -> None:
    """`np.nan` arrives as the host's own; another nan is just a nan."""
    the_one: object = np.nan
    assert _taken(host, "np.nan") is the_one
    other = _taken(host, "float('nan')")
    assert other is not the_one
    assert math.isnan(other)


@pytest.mark.parametrize(
    "expression",
    ["lambda: 1", "eval", "open", "print", "functools.partial(int, base=2)", "operator.itemgetter(0)", "'a'.upper",
     "isinstance", "type('C', (), {})", "dt.datetime", "type('C', (), {'__call__': lambda s: 1})()", "type",
     "str.upper"],
)  # fmt: skip
def test_callables_stay_in_the_guest(host: FakeHost, expression: str) -> None:
    """Everything callable that is not one of the named built-ins arrives as a function of the guest."""
    assert type(_taken(host, expression)).__name__ == "GuestFunction"


def test_guest_objects_return_as_themselves(host: FakeHost) -> None:
    """An instance of the agent's class crosses as a token, the same for the same object, and returns as itself."""
    host.run("class Thing:\n    def __eq__(self, other): raise RuntimeError\n    __hash__ = None\nthing = Thing()")
    assert host.run("box.echo(thing) is thing, box.echo([thing])[0] is thing").value == "(True, True)"
    first, second, other = _taken(host, "[thing, thing, Thing()]")
    assert type(first) is Token
    assert first == second != other
    host.run("class Colour(enum.Enum):\n    RED = 1")
    assert host.run("box.echo(Colour.RED) is Colour.RED").value == "True"


@pytest.mark.parametrize(
    ("code", "kind", "text"),
    [
        ("x = []\nfor _ in range(40): x = [x]\nbox.take(x)", "TypeError", "nested deeper than 32"),
        ("x = []\nx.append(x)\nbox.take(x)", "TypeError", "nested deeper than 32"),
        ("x = {}\nx['x'] = x\nbox.take(x)", "TypeError", "nested deeper than 32"),
        ("box.take(1 << 40_000)", "ValueError", "4096 bytes"),
        ("box.take('x' * (17 << 20))", "ValueError", "in parts"),
        ("import itertools\nbox.take(itertools.count())", "ValueError", "1,000,000 items"),
        ("class Z(dt.tzinfo): pass\nbox.take(dt.datetime(2024, 1, 1, tzinfo=Z()))", "TypeError", "time zone"),
        ("box.take(decimal.Decimal('1' * 5000))", "ValueError", "4300"),
    ],
)
def test_what_cannot_cross_says_so_and_sends_nothing(host: FakeHost, code: str, kind: str, text: str) -> None:
    """A value beyond a limit is an error in the guest, not the end of the session."""
    ran = host.run(code)
    assert ran.error is not None
    assert ran.error["type"] == kind
    assert text in ran.error["message"]
    assert not any(request[4] == "take" for request in ran.requests)
    assert host.run("1").value == "1"


_LEAVES = st.one_of(
    st.none(), st.booleans(), st.integers(-(2**100), 2**100), st.text(), st.binary(),
    st.complex_numbers(allow_nan=False),
    st.floats(allow_nan=False), st.dates(), st.times(), st.datetimes(), st.timedeltas(), st.uuids(),
    st.decimals(allow_nan=False), st.builds(range, st.integers(), st.integers()), st.just(...), st.just(NotImplemented),
)  # fmt: skip
_HASHABLE = st.one_of(st.none(), st.booleans(), st.integers(), st.text(), st.dates())
_VALUES = st.recursive(
    _LEAVES,
    lambda inner: st.one_of(
        st.lists(inner, max_size=4),
        st.tuples(inner, inner),
        st.dictionaries(_HASHABLE, inner, max_size=4),
        st.frozensets(_HASHABLE, max_size=4),
        st.sets(_HASHABLE, max_size=4),
    ),
    max_leaves=12,
)


@given(value=_VALUES)
def test_plain_values_survive_the_way_there_and_back(values: Values, value: Any) -> None:
    """Decoding what was encoded gives an equal value of the same type, through real frames."""
    wire = decode_body(msgpack.packb([5, 1, values.encode(value), []], unicode_errors="surrogatepass"))[2]
    back = values.decode(wire)
    assert type(back) is type(value)
    assert back == value


@given(
    wire=st.recursive(st.one_of(st.integers(0, 40), st.text(max_size=5), st.none()), lambda x: st.lists(x, min_size=1))
)
def test_broken_values_raise_ordinary_exceptions(values: Values, wire: Any) -> None:
    """Wire values that make no sense raise an Exception, never something that ends the process."""
    try:
        values.decode(wire)
    except Exception as error:
        assert not isinstance(error, (SystemError, RecursionError))  # noqa: PT017


def test_unannounced_types_are_protocol_errors(values: Values) -> None:
    """A reference to a type that was never announced is refused."""
    for wire in ([Tag.REF, 1, 999], [Tag.VALUE_REF, 1, 999, 1, None, None, None], [Tag.TYPE, 999], [Tag.TOKEN, 77]):
        with pytest.raises(ProtocolError):
            values.decode(wire)


# Singletons


def test_na_propagates_as_natively() -> None:
    """Operators of `pandas.NA` with plain values give what pandas' own gives."""
    for name in "add sub mul truediv floordiv mod pow eq ne lt le gt ge and_ or_ xor divmod".split():
        function = divmod if name == "divmod" else getattr(operator, name)
        for other in (1, 0, 2.5, True, False):
            for swap in (False, True):
                if name in ("and_", "or_", "xor") and type(other) is not bool:
                    continue
                native = function(other, pd.NA) if swap else function(pd.NA, other)
                ours = function(other, singletons.NA) if swap else function(singletons.NA, other)
                assert repr(ours) == repr(native), (name, other, swap)
    with pytest.raises(TypeError, match="boolean value of NA is ambiguous"):
        bool(singletons.NA)
    assert repr(~singletons.NA) == "<NA>"


def test_nat_compares_as_natively() -> None:
    """`NaT` is unequal to everything, refuses to be ordered with what is no time, and swallows arithmetic."""
    now = dt.datetime(2024, 1, 1)
    nat = singletons.NaT
    for name in ("eq", "lt", "le", "gt", "ge"):
        compare = getattr(operator, name)
        assert [compare(nat, nat), compare(nat, now), compare(now, nat)] == [False] * 3
    assert [operator.ne(nat, nat), operator.ne(nat, 3)] == [True, True]
    assert nat + dt.timedelta(1) is nat
    assert now - nat is nat
    with pytest.raises(TypeError):
        operator.lt(nat, 3)
    assert (str(nat), f"{nat:%Y}", nat.isoformat()) == ("NaT", "NaT", "NaT")
    assert isinstance(nat, dt.datetime)
    assert nat.year is singletons.NAN


def test_other_singletons_are_one_each() -> None:
    """A singleton without special behaviour is one object per name, and says its name."""
    one = singletons.named("library.nothing")
    assert one is singletons.named("library.nothing")
    assert repr(one) == "<nothing>"
    assert singletons.name_of(one) == "library.nothing"
    masked = singletons.named("numpy.ma.masked")
    assert (repr(masked), str(masked), f"{masked}") == ("masked", "--", "--")
    assert singletons.name_of(masked) == "numpy.ma.masked"
