"""Files in the guest: the standard library works on granted files as it does natively."""

from __future__ import annotations

import ast
import gc
import shutil
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from proxyplane.sessions import Session

from .conftest import POLICY


def run(session: Session, code: str) -> Any:
    """The value of the last expression."""
    result = session.run(code)
    assert result.error is None, (result.error.message, result.error.traceback)
    return ast.literal_eval(result.value or "None")


SAME = {
    "read": "open('data/a.csv').read()",
    "bytes": "open('data/a.csv', 'rb').read()",
    "lines": "list(open('data/a.csv'))",
    "readline and tell": "f = open('data/a.csv', 'rb'); (f.readline(), f.tell(), f.seek(2), f.read(3), f.name, f.mode)",
    "latin-1": "open('data/a.csv', encoding='latin-1').read()",
    "errors": "open('data/a.csv', encoding='ascii', errors='replace').read()",
    "newline": """
with open('out/n.txt', 'w', newline='\\r\\n') as f: f.write('a\\nb\\n')
(open('out/n.txt', 'rb').read(), open('out/n.txt').read(), open('out/n.txt', newline='').read())""",
    "write, append": """
with open('out/w.txt', 'w') as f:
    f.writelines(['one\\n', 'two\\n']); n = f.tell()
with open('out/w.txt', 'a') as f: f.write('three')
(n, open('out/w.txt').read())""",
    "exclusive": """
open('out/x.txt', 'x').close()
try: open('out/x.txt', 'x')
except FileExistsError as e: found = (e.errno, e.filename)
found""",
    "update": """
with open('out/u.bin', 'w+b') as f:
    f.write(b'0123456789'); f.seek(3); f.write(b'ab'); f.seek(0); got = f.read(); f.truncate(4)
with open('out/u.bin', 'r+b') as f: f.seek(0, 2); f.write(b'!')
(got, open('out/u.bin', 'rb').read())""",
    "missing": """
try: open('data/none.csv')
except FileNotFoundError as e: found = (e.errno, e.strerror, e.filename)
found""",
    "a folder": """
try: open('data')
except IsADirectoryError as e: found = e.errno
found""",
    "bad mode": """
found = []
for mode in ('q', 'rw', 'rbt', ''):
    try: open('data/a.csv', mode)
    except ValueError as e: found.append(str(e)[:12])
found""",
    "closed": """
f = open('data/a.csv'); f.close()
try: f.read()
except ValueError as e: found = str(e)
found""",
    "not writable": """
import io
try: open('data/a.csv').write('x')
except io.UnsupportedOperation as e: found = str(e)
found""",
    "os": """
import os
os.makedirs('out/p/q'); os.makedirs('out/p/q', exist_ok=True)
open('out/p/q/f', 'w').write('12345')
got = (os.listdir('out/p'), os.path.exists('out/p/q/f'), os.path.isfile('out/p/q'), os.path.isdir('out/p/q'),
       os.path.getsize('out/p/q/f'), sorted(e.name for e in os.scandir('out/p')), os.path.exists('out/none'))
os.rename('out/p/q/f', 'out/p/g'); os.remove('out/p/g'); os.rmdir('out/p/q'); os.rmdir('out/p')
(got, os.path.exists('out/p'))""",
    "walk": """
import os
os.makedirs('out/a/b'); open('out/a/b/c', 'w').close(); open('out/a/d', 'w').close()
sorted((str(d), sorted(ds), sorted(fs)) for d, ds, fs in os.walk('out/a'))""",
    "pathlib": """
from pathlib import Path
p = Path('out/d'); p.mkdir(); p.mkdir(exist_ok=True)
(p / 't.txt').write_text('ä\\n'); (p / 'b.bin').write_bytes(b'\\x00\\xff')
got = ((p / 't.txt').read_text(), (p / 'b.bin').read_bytes(), sorted(x.name for x in p.iterdir()),
       sorted(str(x) for x in Path('out').glob('**/*.txt')), (p / 'b.bin').stat().st_size,
       p.is_dir(), (p / 'x').exists())
(p / 'b.bin').unlink(); (p / 'n').touch()
(got, sorted(x.name for x in p.iterdir()))""",
    "os.open": """
import os
fd = os.open('out/fd', os.O_CREAT | os.O_RDWR | os.O_EXCL)
os.write(fd, b'abc'); os.lseek(fd, 1, 0); got = os.read(fd, 10); os.close(fd)
(got, os.stat('out/fd').st_size)""",
    "zip": """
import zipfile
with zipfile.ZipFile('out/z.zip', 'w') as z: z.writestr('a', 'hello')
zipfile.ZipFile('out/z.zip').read('a')""",
    "csv and json": """
import csv, json
with open('out/c.csv', 'w', newline='') as f: csv.writer(f).writerows([[1, 'a'], [2, 'b']])
with open('out/j.json', 'w') as f: json.dump({'a': [1]}, f)
(list(csv.reader(open('out/c.csv'))), json.load(open('out/j.json')))""",
    "shutil": """
import shutil
shutil.copyfile('data/a.csv', 'out/copy.csv'); shutil.move('out/copy.csv', 'out/moved.csv')
open('out/moved.csv').read()""",
}


@pytest.mark.parametrize("name", SAME)
def test_the_same_as_natively(
    session: Session, root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """The same code gives the same value in a guest and in this process, on a copy of the same files."""
    native = tmp_path / "native"
    shutil.copytree(root, native)
    monkeypatch.chdir(native)
    code = SAME[name]
    body, _, last = code.strip().rpartition("\n")
    names: dict[str, Any] = {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        exec(body, names)
        if not body and ";" in last:
            *front, last = last.split("; ")
            exec("; ".join(front), names)
        expected = eval(last, names)
        names.clear()
        gc.collect()
    assert run(session, code) == expected


def test_temporary_files_go_below_a_writable_glob(session: Session, root: Path) -> None:
    """`tempfile` makes its files in the first folder that `[fs] write` opens whole, and takes them away."""
    code = """
import tempfile, os
with tempfile.TemporaryDirectory() as d:
    open(d + '/t', 'w').write('x')
    inside = os.listdir(d)
with tempfile.NamedTemporaryFile('w+', suffix='.csv') as t:
    t.write('abc'); t.flush(); t.seek(0)
    got = t.read(), os.path.exists(t.name)
(inside, got, d.startswith('/work/out/'), os.path.exists(d), os.path.exists(t.name))
"""
    assert run(session, code) == (["t"], ("abc", True), True, False, False)
    assert list((root / "out").iterdir()) == []


def test_what_a_run_wrote_is_there_when_it_ends(session: Session, root: Path) -> None:
    """A file that the agent left open is written at the end of the run."""
    run(session, "f = open('out/left.txt', 'w'); _ = f.write('unfinished'); None")
    assert (root / "out" / "left.txt").read_text() == "unfinished"


def test_a_large_file_is_written_in_parts(session: Session, root: Path) -> None:
    """What is longer than one frame is written whole."""
    run(session, "with open('out/big.bin', 'wb') as f: _ = f.write(b'x' * 20_000_000)")
    assert (root / "out" / "big.bin").stat().st_size == 20_000_000


def test_a_file_goes_to_host_code_and_comes_back(session: Session, root: Path) -> None:
    """An open file of the agent is read and written by the host at its place, with its encoding."""
    code = """
import pandas as pd
read = pd.read_csv(open('data/a.csv')).shape
with open('out/t.csv', 'w', encoding='utf-16') as f:
    f.write('# begin\\n'); df.to_csv(f, index=False); f.write('# end\\n')
part = open('data/a.csv'); part.readline()
(read, open('out/t.csv', encoding='utf-16').read(), pd.read_csv(part, header=None).shape)
"""
    assert run(session, code) == ((2, 2), "# begin\nk\n1\n2\n3\n# end\n", (2, 2))


def test_a_file_of_the_agent_that_goes_to_the_host_is_not_revealed(session: Session) -> None:
    """`df.to_csv(open(...))` writes on the host: nothing of the content crosses, and the record says so."""
    run(session, "with open('out/t.csv', 'w') as f: df.to_csv(f)")
    found = [r for r in session.plane.log.records() if r.get("member") == "to_csv" and r["phase"] == "outcome"]
    assert [sorted(r["effects"]["declared"]) for r in found] == [["compute", "fs.write"]]
    assert found[0]["detail"]["files"] == [{"effect": "fs.write", "path": "out/t.csv"}]


def test_buffers_in_memory_need_no_grant(open_session: Callable[..., Session]) -> None:
    """`df.info(buf=...)` and `pd.read_json(StringIO(...))` work without `[fs]`."""
    text = POLICY.replace("[fs]", "").replace('root  = "{root}"\n', "")
    text = "\n".join(line for line in text.splitlines() if not line.startswith(("read ", "write ")))
    code = """
import io, pandas as pd
b = io.StringIO(); df.info(buf=b)
('RangeIndex' in b.getvalue(), pd.read_json(io.StringIO('{"a": [1, 2]}')).shape)
"""
    assert run(open_session(text), code) == (True, (2, 1))


def test_lazy_frames_read_their_file_later(session: Session) -> None:
    """`scan_csv` opens its file when it is collected; it is still the one that was decided."""
    pytest.importorskip("polars")
    assert run(session, "import polars as pl\nlazy = pl.scan_csv('data/a.csv')\nlazy.collect().shape") == (2, 2)


def test_a_new_guest_has_its_files_too(session: Session) -> None:
    """After a guest has died the next one reads and writes as before."""
    assert not session.run("import os; os._exit(3)").ok
    assert run(session, "open('data/a.csv').readline()") == "x,y\n"
