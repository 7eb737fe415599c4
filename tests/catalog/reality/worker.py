"""One library, in a process of its own: `python -m tests.catalog.reality.worker LIBRARY [SHARE]` prints JSON.

SHARE is the part of the docstrings that is run, such as 0.05; probes always run.
"""

from __future__ import annotations

import contextlib
import importlib
import io
import json
import os
import signal
import sys
import tempfile
import types
import warnings
import zlib
from typing import Any

from proxyplane.catalog import Catalog
from tests.catalog.reality.examples import NAME, documented, examples_of
from tests.catalog.reality.probes import probe
from tests.catalog.reality.watch import Watch

MODULES = {
    "pandas": "pandas pandas.api.types pandas.api.typing pandas.api.extensions pandas.api.indexers pandas.arrays "
    "pandas.errors pandas.testing pandas.tseries.offsets pandas.tseries.frequencies pandas.util pandas.plotting",
    "numpy": "numpy numpy.linalg numpy.fft numpy.random numpy.ma numpy.strings numpy.char numpy.rec numpy.testing "
    "numpy.polynomial numpy.polynomial.polynomial numpy.polynomial.chebyshev numpy.polynomial.hermite "
    "numpy.polynomial.hermite_e numpy.polynomial.laguerre numpy.polynomial.legendre numpy.polynomial.polyutils "
    "numpy.lib.stride_tricks numpy.lib.scimath numpy.dtypes numpy.exceptions",
    "polars": "polars polars.selectors polars.exceptions polars.testing polars.datatypes",
    "pyarrow": "pyarrow pyarrow.compute",
}
_NAMES = {"pandas": "pd", "numpy": "np", "polars": "pl", "pyarrow": "pa"}
_SECONDS = 20


def run(library: str, share: float) -> dict[str, Any]:
    """Exercise one library; what was exercised, what was not, and the faults."""
    catalog = Catalog.load()
    modules = [importlib.import_module(name) for name in MODULES[library].split()]
    importlib.import_module("matplotlib.font_manager")  # it looks for fonts once
    watch = Watch(catalog, library)
    for name, text in documented(catalog, modules):
        if zlib.crc32(name.encode()) % 1000 < share * 1000:
            _run(watch, name, text)
    probe(watch, library)
    described = _described(catalog, library)
    missing = sorted(described - watch.exercised.keys())
    return {
        "library": library,
        "described": len(described),
        "exercised": len(described & watch.exercised.keys()),
        "uses": sum(watch.exercised.values()),
        "missing": missing,
        "aliases": watch.aliases,
        "faults": sorted(watch.faults.values()),
    }


def _described(catalog: Catalog, library: str) -> set[str]:
    """Names of all lines of a library that can be used natively: no constants, types and modules."""
    import tomllib

    from proxyplane.catalog import _FOLDER  # the packaged files

    content = tomllib.loads((_FOLDER / f"{library}.toml").read_text())
    found = set()
    for section in ("module", "type"):
        for owner, lines in content[section].items():
            for member, line in lines.items():
                word = line.split()[0] if isinstance(line, str) else ""
                special = member.startswith("__") or member in ("inherits", "builtin", "carries", "dynamic")
                if word in ("method", "classmethod", "property", "function") and not special:
                    found.add(f"{owner}.{member}")
    return found


def _run(watch: Watch, name: str, text: str) -> None:
    space: dict[str, Any] = {NAME: watch, "__name__": "__example__"}
    for library, short in _NAMES.items():
        if library in sys.modules:
            space[short] = sys.modules[library]
    watch.where = name
    for code in examples_of(text):
        with quiet(), contextlib.suppress(Exception, SystemExit, TimeoutError):
            exec(code, space)


@contextlib.contextmanager
def quiet() -> Any:
    """Without output, warnings, or more than some seconds."""
    signal.alarm(_SECONDS)
    try:
        with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        signal.alarm(0)


def _late(number: int, frame: types.FrameType | None) -> None:
    raise TimeoutError("an example takes too long")


def main(arguments: list[str]) -> int:
    """Run in a temporary folder, so that whatever is written is gone afterwards."""
    library, share = arguments[0], float(arguments[1]) if len(arguments) > 1 else 1.0
    os.environ["MPLBACKEND"] = "agg"
    signal.signal(signal.SIGALRM, _late)
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        try:
            found = run(library, share)
        finally:
            os.chdir("/")
    print(json.dumps(found))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
