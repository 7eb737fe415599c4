"""Rules describe a whole library by a few sentences, and leave out what they cannot judge."""

from __future__ import annotations

import sys
import types
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from proxyplane.catalog import Catalog
from proxyplane.effects import Effect
from proxyplane.errors import CatalogError

RULES = """
library  = "gaugelib"
versions = ">=1"

[rules]
modules = ["gaugelib gaugelib.tools"]
except  = ["fetch_* Gauge.secret gaugelib.hidden.*"]
mutate  = ["fit set_*"]
reveal  = ["dump"]
dynamic = "fields"

[rules.params]
path      = "path-read"
"*memory" = "never"

[rules.lines]
"gaugelib.special" = "function reveal reveals=receiver"
"""
SOURCE = """
import json as borrowed
from os.path import join
def read(path, memory=None): ...
def fetch_all(): ...
def special(x): ...
def passes_on(**kwargs): ...
def _private(): ...
class Gauge:
    def __init__(self, memory=None): self.limit_ = 1
    def fit(self, x): return self
    def dump(self): ...
    def secret(self): ...
    @property
    def size(self): return 1
    def __len__(self): return 1
class Borrowed(dict): ...
LIMIT = 3
"""


@pytest.fixture
def library() -> Iterator[Any]:
    """A library that exists for the test only."""
    module = types.ModuleType("gaugelib")
    module.__dict__["__name__"] = "gaugelib"
    exec(SOURCE, module.__dict__)
    module.compiled = min  # type: ignore[attr-defined]
    sys.modules["gaugelib"] = module
    yield module
    del sys.modules["gaugelib"]


@pytest.fixture
def catalog(tmp_path: Path, library: Any) -> Catalog:
    """The catalog of that library's rules."""
    path = tmp_path / "gaugelib.toml"
    path.write_text(RULES)
    return Catalog.load("builtins", extra=[path])


def test_public_functions_and_classes_compute(catalog: Catalog) -> None:
    """What is public, the library's own and not left out has a line; nothing else has."""
    entry = catalog.module("gaugelib")
    assert entry is not None
    assert set(entry.members) == {"read", "special", "passes_on", "Gauge", "Borrowed", "LIMIT", "tools"}
    assert entry.members["Gauge"].kind == "type"
    assert entry.members["special"].reveals == "receiver"
    assert catalog.module("gaugelib.tools") is None


def test_parameters_are_judged_by_name(catalog: Catalog, library: Any) -> None:
    """A path names its file, at its position too; a starred name means keywords and keys of dicts at any depth."""
    entry = catalog.module("gaugelib")
    assert entry is not None
    read, passes_on = entry.members["read"], entry.members["passes_on"]
    assert catalog.expected(read, library, ("/x",), {}).paths == ((Effect.FS_READ, "/x"),)
    assert Effect.UNKNOWN in catalog.expected(read, library, (None, "cache"), {}).effects
    assert Effect.UNKNOWN not in catalog.expected(read, library, (None, None), {}).effects
    for bad in ({"a__memory": "x"}, {"memory": "x"}, {"options": {"memory": "x"}}, {"parts": [{"b__memory": "x"}]}):
        assert Effect.UNKNOWN in catalog.expected(passes_on, library, (), bad).effects
    assert Effect.UNKNOWN not in catalog.expected(passes_on, library, (), {"options": {"c": "x"}}).effects
    assert catalog.expected(passes_on, library, (), {"path": "/x"}).paths


def test_methods_of_classes(catalog: Catalog, library: Any) -> None:
    """Methods compute, those named under `mutate` change their object, and what is left out has no line."""
    entry = catalog.of(library.Gauge)
    assert entry is not None
    assert set(entry.members) == {"fit", "dump", "size"}
    assert Effect.MUTATE in entry.members["fit"].effects
    assert entry.members["dump"].reveals == "receiver"
    assert entry.members["size"].kind == "property"
    assert "joins" in entry.members["fit"].flags
    assert entry.dynamic == "fields"
    assert "__len__" in entry.dunders
    assert entry.constructor is not None
    assert Effect.UNKNOWN in catalog.expected(entry.constructor, library.Gauge, ("x",), {}).effects


def test_a_subclass_of_a_container_is_one(catalog: Catalog, library: Any) -> None:
    """A class that inherits a built-in container has that container's lines."""
    entry = catalog.of(library.Borrowed)
    assert entry is not None
    assert entry.builtin == "dict"
    assert {"keys", "items"} <= set(entry.members)


def test_an_override_outside_the_library_has_no_line(catalog: Catalog, library: Any) -> None:
    """A class of somebody else that inherits one of the library keeps only what it did not override."""

    class Mine(library.Gauge):  # type: ignore[misc, name-defined]
        def fit(self, x: Any) -> Any:
            return x

    entry = catalog.of(Mine)
    assert entry is not None
    assert set(entry.members) == {"dump", "size"}
    assert entry.constructor is None


@pytest.mark.parametrize(
    "text",
    [
        "[rules]\nmodule = []\n",
        "[rules]\nmodules = 1\n",
        "[rules.params]\nx = 'nonsense'\n",
        "[rules.lines]\n'a.b' = 'x'\n",
        "rules = 1\n",
    ],
)
def test_a_mistake_in_rules_is_an_error(tmp_path: Path, text: str) -> None:
    """Unknown keys, wrong forms and unknown actions are found when the file is read."""
    path = tmp_path / "bad.toml"
    path.write_text('library = "bad"\nversions = ">=1"\n' + text)
    with pytest.raises(CatalogError, match=r"bad\.toml"):
        Catalog.load("builtins", extra=[path])


LEFT_OUT = {
    "sklearn.datasets": "load_files load_svmlight_file dump_svmlight_file get_data_home clear_data_home",
    "sklearn": "show_versions externals",
    "scipy": "io LowLevelCallable test",
    "scipy.datasets": "download_all clear_cache",
    "matplotlib.pyplot": "imread imsave switch_backend rcParams rc setp pause ginput",
    "matplotlib": "rcParams use rc backends animation font_manager",
    "pyarrow": "foreign_buffer py_buffer memory_map OSFile fs flight ipc open_file input_stream Buffer",
    "sqlalchemy": "event create_mock_engine engine_from_config make_url URL inspect",
    "polars": "plugins api read_database read_delta scan_iceberg StringCache Categories defer",
}


@pytest.mark.parametrize("module", LEFT_OUT)
def test_what_reaches_the_world_has_no_line(module: str) -> None:
    """Members of big libraries that fetch, open, run or set something for everybody are left out."""
    import importlib

    pytest.importorskip(module.partition(".")[0])
    importlib.import_module(module)
    entry = Catalog.load().module(module)
    assert entry is not None
    assert entry.members
    assert entry.members.keys().isdisjoint(LEFT_OUT[module].split())
