"""The examples in the docstrings of installed libraries, as code that nobody here wrote.

    python -m benchmarks.docstrings numpy OUT.json     # which examples pass natively, into a file

Whatever library is installed: numpy and polars as `shared/corpora` collects them, of any other the public modules,
their functions, classes and public members. What passes natively is found out in a process of its own, since examples
change the state of the libraries, and kept in the temporary folder for the installed version.
"""

from __future__ import annotations

import contextlib
import importlib
import inspect
import io
import json
import os
import pkgutil
import subprocess
import sys
import tempfile
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

__all__ = ["COLLECTED", "PREFACE", "baseline", "collect", "native_run"]

CORPORA = Path(__file__).resolve().parents[2] / "shared" / "corpora"
COLLECTED = ("numpy", "polars", "sklearn", "scipy", "pyarrow")
"""Libraries whose examples are run."""
_BY_CORPUS = ("numpy", "polars")
_SCIPY = "stats optimize sparse linalg interpolate signal spatial"
_LEFT_OUT = ("tests", "externals", "conftest", "estimator_checks", "setup", "misc", "vendored", "flight", "benchmark")
PREFACE = {
    "numpy": "import numpy as np\n",
    "polars": (
        "import polars as pl\nimport polars.selectors as cs\nfrom datetime import date, datetime, timedelta, time\n"
    ),
    "sklearn": "import numpy as np\n",
    "scipy": "import numpy as np\n",
    "pyarrow": "import pyarrow as pa\nimport pyarrow.compute as pc\nimport pandas as pd\nimport numpy as np\n",
}
"""What examples of a library take for granted."""


def corpus() -> Any:
    """The collector and checker of `shared/corpora`."""
    if str(CORPORA) not in sys.path:
        sys.path.insert(0, str(CORPORA))
    return importlib.import_module("doctest_corpus")


def collect(library: str) -> list[Any]:
    """Docstrings with examples of an installed library, each once, in the corpus' form.

    Args:
        library: the name it is imported by.
    """
    held = corpus()
    if library in _BY_CORPUS:
        found: list[Any] = held.collect(library)
        return found
    seen: set[str] = set()
    documents = []
    for name, written in _texts(library):
        text = inspect.cleandoc(written)
        if ">>>" not in text or text in seen:
            continue
        seen.add(text)
        with contextlib.suppress(ValueError):
            parsed = held._parser.get_examples(text)
            examples = [
                held.Example(each.source, each.want, each.exc_msg, dict(each.options), number)
                for number, each in enumerate(parsed)
            ]
            if examples:
                documents.append(held.Doc(name, name.rpartition(".")[0], examples))
    return documents


def _texts(library: str) -> Iterator[tuple[str, str]]:
    for module in _modules(library):
        for name in getattr(module, "__all__", None) or dir(module):
            member = None if name.startswith("_") else getattr(module, name, None)
            home = getattr(member, "__module__", None)
            if member is None or inspect.ismodule(member) or not str(home).startswith(library):
                continue
            yield from _with_members(f"{module.__name__}.{name}", member)


def _with_members(name: str, member: Any) -> Iterator[tuple[str, str]]:
    if type(member.__doc__) is str:
        yield name, member.__doc__
    for inner in dir(member) if inspect.isclass(member) else ():
        if not inner.startswith("_"):
            static = inspect.getattr_static(member, inner)
            held = static.__func__ if isinstance(static, (classmethod, staticmethod)) else static
            if type(held.__doc__) is str:
                yield f"{name}.{inner}", held.__doc__


def _modules(library: str) -> Iterator[ModuleType]:
    """The public modules of a library; of scipy a sample of its folders."""
    top = importlib.import_module(library)
    yield top
    folders = _SCIPY.split() if library == "scipy" else ["" for _ in top.__path__]
    for folder in folders:
        paths = [os.path.join(path, folder) for path in top.__path__]
        prefix = f"{library}.{folder}." if folder else f"{library}."
        names = [prefix[:-1]] if folder else []
        names += [each.name for each in pkgutil.walk_packages(paths, prefix, onerror=lambda name: None)]
        for name in names:
            parts = name.split(".")
            if any(part.startswith("_") or part in _LEFT_OUT for part in parts):
                continue
            try:
                yield importlib.import_module(name)
            except Exception:
                continue


def native_run(library: str) -> Callable[[str], str]:
    """Run code in this process, in a namespace of its own; what it printed."""
    held: dict[str, Any] = {"__name__": "__main__"}
    exec(PREFACE[library], held)

    def run(code: str) -> str:
        printed = io.StringIO()
        with contextlib.redirect_stdout(printed):
            exec(compile(code, "<agent>", "exec"), held)
        return printed.getvalue()

    return run


def baseline(library: str) -> set[tuple[str, int]]:
    """Docstring and number of each example that passes natively with what is installed."""
    version = importlib.import_module(library).__version__
    kept = Path(tempfile.gettempdir()) / f"proxyplane-docstrings-{library}-{version}-{os.getuid()}.json"
    if not kept.exists():
        made = kept.with_suffix(f".{os.getpid()}")
        subprocess.run([sys.executable, "-m", "benchmarks.docstrings", library, str(made)], check=True, stdin=-3)
        made.replace(kept)
    return {(name, number) for name, number in json.loads(kept.read_text())}


def _measure(library: str, out: str) -> None:
    out = os.path.abspath(out)
    held = corpus()
    passing = []
    sys.path.append(os.getcwd())
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        os.chdir(folder)
        for document in collect(library):
            for example, good, _ in held.run_doc(document, native_run(library)):
                if good:
                    passing.append((document.name, example.idx))
        os.chdir("/")
    Path(out).write_text(json.dumps(passing))


if __name__ == "__main__":
    os.environ.setdefault("MPLBACKEND", "Agg")
    _measure(sys.argv[1], sys.argv[2])
