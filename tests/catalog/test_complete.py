"""Every public member of the supported libraries is described, or refused by name with a reason."""

from __future__ import annotations

import datetime
import importlib
import types
import warnings
from collections.abc import Iterator
from typing import Any

import pytest

from proxyplane.catalog import Catalog
from proxyplane.effects import Effect
from tests.catalog import objects

np = pytest.importorskip("numpy")
pd = pytest.importorskip("pandas")
pl = pytest.importorskip("polars")
pa = pytest.importorskip("pyarrow")
pytest.importorskip("matplotlib")
pytest.importorskip("jinja2")

CATALOG = Catalog.load()
VERSIONS = {"pandas": "3.1.", "numpy": "2.4.", "polars": "2.1.", "pyarrow": "26."}
pytestmark = pytest.mark.skipif(
    not all(importlib.import_module(name).__version__.startswith(version) for name, version in VERSIONS.items()),
    reason="the catalogs were reviewed for other versions",
)

MODULES = """
pandas pandas.api.types pandas.api.typing pandas.api.indexers pandas.api.extensions pandas.arrays pandas.errors
pandas.plotting pandas.testing pandas.tseries.offsets pandas.tseries.frequencies pandas.util
numpy numpy.linalg numpy.fft numpy.random numpy.ma numpy.strings numpy.char numpy.rec numpy.polynomial numpy.dtypes
numpy.exceptions numpy.testing numpy.lib.stride_tricks numpy.polynomial.polynomial numpy.polynomial.chebyshev
polars polars.selectors polars.exceptions polars.testing polars.datatypes
pyarrow pyarrow.compute
""".split()


def undescribed(owner: Any, described: Any) -> list[str]:
    """Public members with neither a line nor a refusal. Submodules are there or not, as somebody imported them."""
    names = (name for name in dir(owner) if not name.startswith("_") and not is_module(getattr(owner, name, None)))
    return [name for name in names if name not in described and CATALOG.denial(owner, name) is None]


def is_module(value: Any) -> bool:
    return isinstance(value, types.ModuleType)


@pytest.mark.parametrize("name", MODULES)
def test_every_public_member_of_a_module_is_described_or_refused(name: str) -> None:
    """A function, class or constant that a library gains fails this test until somebody has looked at it."""
    module = importlib.import_module(name)
    entry = CATALOG.module(name)
    assert entry is not None
    assert undescribed(module, entry.members) == []


def classes() -> Iterator[type]:
    """Every class that a described module offers."""
    for name in MODULES:
        entry = CATALOG.module(name)
        assert entry is not None
        module = importlib.import_module(name)
        for member, line in entry.members.items():
            value = getattr(module, member, None)
            if line.kind == "type" and isinstance(value, type):
                yield value


VALUES = (1, 1.0, True, None, 1j, datetime.date(2024, 1, 1), datetime.timedelta(1))
"""These cross as themselves: the agent's own Python has their members."""


def kinds() -> list[type]:
    makers = (objects.pandas, objects.numpy, objects.polars, objects.pyarrow, objects.builtins)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        made = [value for make in makers for value in make() if not is_module(value)]
        return list(dict.fromkeys([*classes(), *map(type, made)]))


@pytest.mark.parametrize("kind", kinds(), ids=lambda kind: f"{kind.__module__}.{kind.__qualname__}")
def test_every_public_member_of_a_type_is_described_or_refused(kind: type) -> None:
    """What an object of the host offers natively is either usable or refused by a line that says why."""
    entry = CATALOG.of(kind)
    assert entry is not None
    rest = undescribed(kind, entry.members)
    if entry.dynamic == "fields":
        rest = [name for name in rest if type(vars(kind).get(name)).__name__ != "_tuplegetter"]
    assert rest == []


def test_values_need_no_line() -> None:
    """What crosses as a value is never held by handle, so its type has no table."""
    for value in VALUES:
        entry = CATALOG.of(type(value))
        assert entry is None or not entry.members


def refusals() -> list[tuple[Any, str]]:
    owners = [*map(importlib.import_module, MODULES), *kinds()]
    names = ((owner, name) for owner in owners for name in dir(owner) if not name.startswith("_"))
    return [(owner, name) for owner, name in names if CATALOG.denial(owner, name) is not None]


def test_every_refusal_says_what_the_member_would_do_and_why() -> None:
    """No member is refused for no reason, and none is both described and refused."""
    found = refusals()
    assert len(found) > 500
    for owner, name in found:
        denial = CATALOG.denial(owner, name)
        assert denial is not None
        assert "not reviewed" not in denial.reason, f"{owner} {name}"
        entry = CATALOG.module(owner.__name__) if isinstance(owner, types.ModuleType) else CATALOG.of(owner)
        assert entry is not None
        assert name not in entry.members
        assert denial.effect not in (Effect.READ, Effect.COMPUTE)
