"""Does ordinary analysis code run on the road as it does natively?

    python -m benchmarks.fidelity [ds1000|puzzles|tpch|pandas] [--limit N] [--list]

Runs code that nobody here wrote through guests and compares with what the same code gives natively: reference solutions
of DS-1000, the 100 pandas puzzles, TPC-H queries, and the examples of pandas' own documentation. The corpora are
used in place, from `shared/corpora` beside the checkout; without them there is nothing to do.
"""

from __future__ import annotations

import argparse
import contextlib
import gzip
import importlib
import io
import json
import os
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

from proxyplane import ControlPlane, Policy
from proxyplane.sessions import Session

__all__ = ["CORPORA", "Case", "ds1000", "main", "pandas_examples", "permissive", "puzzles", "tpch"]

CORPORA = Path(__file__).resolve().parents[2] / "shared" / "corpora"
_POLICY = """
schema = 1
default = "deny"

[modules]
host = ["pandas", "numpy", "polars", "scipy", "sklearn", "matplotlib", "pyarrow", "sqlite3", "sqlalchemy"]

[fs]
root = "{root}"
read = ["**"]
write = ["**"]

[[rules]]
id = "all"
agent = "*"
object = "*"
effect = ["read", "compute", "mutate", "reveal", "fs.read", "fs.write", "exec", "import", "callback", "display"]
decide = "allow"
"""


class Case(NamedTuple):
    """What one example came to."""

    name: str
    ok: bool
    note: str
    """Why it failed, in a line."""


def permissive(folder: Path) -> ControlPlane:
    """A plane that allows what analysis needs: all effects but net, process, env, memory and unknown.

    Args:
        folder: where the agent's files lie.
    """
    return ControlPlane(policy=Policy.parse(_POLICY.format(root=folder)))


def _corpus_module(name: str) -> Any:
    if str(CORPORA) not in sys.path:
        sys.path.insert(0, str(CORPORA))
    return importlib.import_module(name)


def _line(text: object) -> str:
    return " ".join(str(text).split())[:300]


@contextlib.contextmanager
def _elsewhere() -> Iterator[Path]:
    """Files that examples write land in a folder that goes away."""
    before = os.getcwd()
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        os.chdir(folder)
        try:
            yield Path(folder)
        finally:
            os.chdir(before)


def ds1000(plane: ControlPlane, *, limit: int | None = None, only: str = "") -> Iterator[Case]:
    """DS-1000's pandas problems: the result in the host passes its checker and equals the native result."""
    corpus = _corpus_module("run_ds1000")
    with gzip.open(CORPORA / "ds1000_pandas.jsonl.gz", "rt") as lines:
        problems = [json.loads(line) for line in lines]
    for problem in _some([p for p in problems if only in p["id"]], limit):
        for number in range(1, problem["n_cases"] + 1):
            try:
                inputs, expected = corpus.build_case(problem, number)
                with contextlib.redirect_stdout(io.StringIO()):
                    native, _ = corpus.run_native_case(problem, number)
            except ImportError:  # a library that this one needs is not installed
                continue
            with plane.session("agent", objects=inputs) as session:
                ran = session.run(corpus.agent_source(problem))
                result = session.get("result") if ran.ok else None
            name = f"{problem['id']}#{number}"
            if not ran.ok:
                yield Case(name, False, _line(f"{ran.error.type}: {ran.error.message}" if ran.error else ""))
            elif not corpus.check(problem, result, expected):
                yield Case(name, False, _line(f"wrong: {result!r}"))
            else:
                same = not problem["deterministic"] or corpus.same(result, native)
                yield Case(name, same, "" if same else _line(f"differs: {result!r} for {native!r}"))


def puzzles(plane: ControlPlane, *, limit: int | None = None, only: str = "") -> Iterator[Case]:
    """The pandas puzzles, all in one session, in order; output as natively unless it is random."""
    cells = json.loads((CORPORA / "pandas_puzzles.json").read_text())
    native: dict[str, Any] = {"__name__": "__main__"}
    numpy = importlib.import_module("numpy")
    with plane.session("agent") as session:
        for cell in _some(cells, limit):
            code = "import numpy; numpy.random.seed(7)\n" + cell["exec_code"]
            numpy.random.seed(7)
            printed = io.StringIO()
            try:
                with contextlib.redirect_stdout(printed):
                    exec(code, native)
            except ImportError:
                continue
            ran = session.run(code)
            if only not in cell["id"]:
                continue
            if not ran.ok and ran.error is not None:
                yield Case(cell["id"], False, _line(f"{ran.error.type}: {ran.error.message}"))
            else:
                same = ran.stdout == printed.getvalue()
                yield Case(cell["id"], same, "" if same else _line(f"{ran.stdout} for {printed.getvalue()}"))


def tpch(plane: ControlPlane, *, limit: int | None = None, only: str = "") -> Iterator[Case]:
    """TPC-H queries in pandas, over Arrow-backed tables."""
    corpus, same = _corpus_module("run_other"), _corpus_module("run_ds1000").same
    tables = corpus.arrow_tables(corpus.tables())
    items = json.loads((CORPORA / "tpch.json").read_text())
    for item in _some([x for x in items if x["library"] == "pandas" and only in x["id"]], limit):
        native = dict(corpus.tpch_inputs(item, tables))
        exec(item["agent_imports"] + item["agent_code"], native)
        with plane.session("agent", objects=corpus.tpch_inputs(item, tables)) as session:
            ran = session.run(item["agent_imports"] + item["agent_code"])
            if not ran.ok and ran.error is not None:
                yield Case(item["id"], False, _line(f"{ran.error.type}: {ran.error.message}"))
            else:
                good = same(session.get("result"), native["result"])
                yield Case(item["id"], good, "" if good else "differs")


def pandas_examples(plane: ControlPlane, *, limit: int | None = None, only: str = "") -> Iterator[Case]:
    """The examples of the installed pandas' docstrings, as far as they pass natively; a docstring is one session.

    With a limit, docstrings are taken evenly from the whole.
    """
    corpus = _corpus_module("doctest_corpus")
    baseline = {(name, index) for name, index in json.loads(_baseline().read_text())["pass"]}
    documents = [x for x in corpus.collect("pandas") if any((x.name, e.idx) in baseline for e in x.examples)]
    documents = [x for x in documents if only in x.name]
    if limit is not None and limit < len(documents):
        documents = documents[:: max(1, len(documents) // limit)][:limit]
    for document in documents:
        with plane.session("agent") as session:
            run = _runner(session)
            run(corpus.PRE["pandas"])
            for example, good, got in corpus.run_doc(document, run):
                if (document.name, example.idx) in baseline:
                    note = "" if good else _line(f"{example.source.strip()[:110]} -> {got}")
                    yield Case(f"{document.name}:{example.idx}", bool(good), note)


def _baseline() -> Path:
    return CORPORA / "doctest_baseline_pandas.json"


class GuestFailure(Exception):  # noqa: N818 - made anew under the name of what the agent's code raised
    """The agent's code failed in the guest."""


def _runner(session: Session) -> Callable[[str], str]:
    def run(code: str) -> str:
        ran = session.run(code, timeout=30)
        if not ran.ok and ran.error is not None:
            kind = type(ran.error.type, (GuestFailure,), {})
            raise kind(ran.error.message)
        return ran.stdout

    return run


def _some(items: list[Any], limit: int | None) -> list[Any]:
    return items[:limit]


_RUNS: dict[str, Callable[..., Iterable[Case]]] = {
    "ds1000": ds1000,
    "puzzles": puzzles,
    "tpch": tpch,
    "pandas": pandas_examples,
}


def main(arguments: list[str]) -> int:
    """Run the corpora and print a table; 0 also when they are not there."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.fidelity", description=__doc__.splitlines()[0])
    parser.add_argument("corpus", nargs="?", choices=list(_RUNS), help="which one (all)")
    parser.add_argument("--limit", type=int, help="problems, cells, queries or docstrings of each at most")
    parser.add_argument("--only", default="", help="those whose name contains this")
    parser.add_argument("--list", action="store_true", help="name what fails")
    asked = parser.parse_args(arguments)
    if not CORPORA.is_dir():
        print(f"the corpora are not there ({CORPORA}); nothing to compare")
        return 0
    os.environ.setdefault("MPLBACKEND", "Agg")
    print(f"{'corpus':<10}{'examples':>10}{'as native':>11}{'%':>8}{'seconds':>10}")
    with _elsewhere() as folder, permissive(folder) as plane:
        for name in [asked.corpus] if asked.corpus else _RUNS:
            began = time.monotonic()
            cases = list(_RUNS[name](plane, limit=asked.limit, only=asked.only))
            good = sum(case.ok for case in cases)
            share = 100 * good / len(cases) if cases else 100.0
            print(f"{name:<10}{len(cases):>10}{good:>11}{share:>8.2f}{time.monotonic() - began:>10.1f}")
            for case in cases if asked.list else ():
                if not case.ok:
                    print(f"  {case.name}: {case.note}")
            sys.stdout.flush()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
