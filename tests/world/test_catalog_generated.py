"""The packaged catalogs are what the reviewed tables make of the installed libraries."""

from __future__ import annotations

import subprocess
import sys

import pytest

from proxyplane.catalog import Catalog

np = pytest.importorskip("numpy")
pd = pytest.importorskip("pandas")
pl = pytest.importorskip("polars")

REVIEWED = {"pandas": "3.1.", "numpy": "2.4.", "polars": "2.1."}
VERSIONS = {"pandas": pd.__version__, "numpy": np.__version__, "polars": pl.__version__}


@pytest.mark.skipif(
    not all(VERSIONS[name].startswith(version) for name, version in REVIEWED.items())
    or sys.version_info[:2] != (3, 11),
    reason="the catalogs were generated from other versions",
)
def test_the_files_are_as_generated() -> None:
    """A member that a library gains, or a line edited in the generated file, shows as a difference."""
    done = subprocess.run(
        [sys.executable, "-m", "proxyplane.catalogs.generate", "--check"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr[-500:]


LEFT_OUT = {
    pd.DataFrame: "boxplot hist plot style to_gbq to_iceberg to_xarray",
    pd.Series: "hist plot to_xarray",
    pd.Index: "",
    np.ndarray: "base ctypes data dump dumps getfield resize setfield setflags strides to_device tofile",
    pl.DataFrame: "deserialize flags plot serialize show sql style to_jax to_torch write_clipboard write_database "
    "write_delta write_excel write_iceberg",
    pl.LazyFrame: "collect_async collect_batches deserialize execute from_lazyframe_resolver inspect remote serialize "
    "show show_graph sink_batches sink_delta sink_iceberg sql",
    pl.Series: "ext flags get_chunks plot sql to_jax to_torch",
    pl.Expr: "deserialize ext inspect",
}


@pytest.mark.parametrize("kind", LEFT_OUT, ids=lambda kind: kind.__name__)
def test_every_public_member_is_catalogued_or_left_out_by_name(kind: type) -> None:
    """Nothing is missing by accident: what has no line stands in the list of this test."""
    entry = Catalog.load().of(kind)
    assert entry is not None
    public = {name for name in dir(kind) if not name.startswith("_")}
    assert public - entry.members.keys() <= set(LEFT_OUT[kind].split())


def test_the_plane_does_not_import_a_library_to_read_its_catalog() -> None:
    """Loading the catalog and the adapters' package imports neither pandas nor numpy."""
    code = """
import sys
from proxyplane import hosts
from proxyplane.catalog import Catalog
Catalog.load().of(list)
hosts.facts([1])
hosts.singleton_name(1.0)
assert not {"pandas", "numpy"} & set(sys.modules)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
