"""Does ordinary analysis code run on the road as it does natively?

    python -m benchmarks.fidelity [ds1000|puzzles|tpch|pandas|numpy|polars|...] [--limit N] [--list]

Runs code that nobody here wrote through guests and compares with what the same code gives natively: reference solutions
of DS-1000, the 100 pandas puzzles, TPC-H queries, and the examples in the docstrings of pandas and other libraries. The
corpora are used in place, from `shared/corpora` beside the checkout; without them there is nothing to do. Whole runs
write their rows of the table, and the examples of pandas that differ, into docs/fidelity.md.
"""

from __future__ import annotations

import argparse
import contextlib
import functools
import gzip
import importlib
import io
import json
import os
import re
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

from benchmarks import docstrings, page
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
    source: str = ""
    """Its code, where it is short."""


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
    """TPC-H queries in pandas, over Arrow-backed tables, and in polars, over lazy frames."""
    corpus, same = _corpus_module("run_other"), _corpus_module("run_ds1000").same
    tables = corpus.arrow_tables(corpus.tables())
    items = json.loads((CORPORA / "tpch.json").read_text())
    for item in _some([x for x in items if only in x["id"]], limit):
        native = dict(corpus.tpch_inputs(item, tables))
        try:
            exec(item["agent_imports"] + item["agent_code"], native)
        except ImportError:  # a library that this one needs is not installed
            continue
        with plane.session("agent", objects=corpus.tpch_inputs(item, tables)) as session:
            ran = session.run(item["agent_imports"] + item["agent_code"])
            if not ran.ok and ran.error is not None:
                yield Case(item["id"], False, _line(f"{ran.error.type}: {ran.error.message}"))
            else:
                result = session.get("result")
                both = (result, native["result"])
                polars = item["library"] == "polars"
                good = corpus.close(*map(corpus.norm, both)) if polars else same(*both)
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
            yield from _examples(corpus, session, document, corpus.PRE["pandas"], baseline)


def library_examples(
    plane: ControlPlane, *, library: str = "numpy", limit: int | None = None, only: str = ""
) -> Iterator[Case]:
    """The examples of another installed library's docstrings, as far as they pass natively here."""
    corpus = _corpus_module("doctest_corpus")
    try:
        baseline = docstrings.baseline(library)
    except ImportError:
        return
    known = {name for name, _ in baseline}
    documents = [x for x in docstrings.collect(library) if x.name in known and only in x.name]
    if limit is not None and limit < len(documents):
        documents = documents[:: max(1, len(documents) // limit)][:limit]
    for document in documents:
        with plane.session("agent") as session:
            yield from _examples(corpus, session, document, docstrings.PREFACE[library], baseline)


def _examples(corpus: Any, session: Session, document: Any, preface: str, baseline: set[Any]) -> list[Case]:
    """The examples of one docstring; none, where they need a library that is not installed here."""
    run = _runner(session)
    run(preface)
    cases = []
    for example, good, got in corpus.run_doc(document, run):
        if (document.name, example.idx) in baseline:
            source = _line(example.source.strip())[:110]
            if not good and _lacks(str(got)):
                return []
            note = "" if good else _line(f"{source} -> {got}")
            cases.append(Case(f"{document.name}:{example.idx}", bool(good), note, source))
    return cases


def _lacks(got: str) -> bool:
    """Whether it failed for an optional library that cannot be imported natively either."""
    asked = re.search(r"^ImportError: .*?(?:Import (\w+)` failed|optional dependency '(\w+)')", got)
    if asked is None:
        return False
    name = {"pytables": "tables"}.get(asked[1], asked[1]) or asked[2]
    try:
        importlib.import_module(name)
    except ImportError:
        return True
    return False


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
    **{library: functools.partial(library_examples, library=library) for library in docstrings.COLLECTED},
}


def main(arguments: list[str]) -> int:
    """Run the corpora and print a table; 0 also when they are not there."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.fidelity", description=__doc__.splitlines()[0])
    parser.add_argument("corpora", nargs="*", metavar="CORPUS", help=f"which ones (all): {', '.join(_RUNS)}")
    parser.add_argument("--limit", type=int, help="problems, cells, queries or docstrings of each at most")
    parser.add_argument("--only", default="", help="those whose name contains this")
    parser.add_argument("--list", action="store_true", help="name what fails")
    asked = parser.parse_args(arguments)
    for name in asked.corpora:
        if name not in _RUNS:
            parser.error(f"there is no corpus {name!r}; these are: {', '.join(_RUNS)}")
    if not CORPORA.is_dir():
        print(f"the corpora are not there ({CORPORA}); nothing to compare")
        return 0
    os.environ.setdefault("MPLBACKEND", "Agg")
    print(f"{'corpus':<10}{'examples':>10}{'as native':>11}{'%':>8}{'seconds':>10}")
    results: dict[str, Any] = {}
    with _elsewhere() as folder, permissive(folder) as plane:
        for name in asked.corpora or _RUNS:
            began = time.monotonic()
            cases = list(_RUNS[name](plane, limit=asked.limit, only=asked.only))
            good = sum(case.ok for case in cases)
            share = 100 * good / len(cases) if cases else 100.0
            if cases:
                missed = [(case.name, case.source) for case in cases if not case.ok and name == "pandas"]
                results[name] = {"examples": len(cases), "good": good, "misses": missed}
            print(f"{name:<10}{len(cases):>10}{good:>11}{share:>8.2f}{time.monotonic() - began:>10.1f}")
            for case in cases if asked.list else ():
                if not case.ok:
                    print(f"  {case.name}: {case.note}")
            sys.stdout.flush()
    if asked.limit is None and not asked.only:
        page.keep(results)
        page.update()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
