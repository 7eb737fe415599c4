"""Arbitrary Python in a sealed guest reaches no file, no network, no process and not its host."""

from __future__ import annotations

import importlib.util
import json
import os
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from proxyplane import ControlPlane

from .conftest import Canaries

PAYLOADS = {
    "open": "print(open('FILE').read())",
    "io.open": "import io; print(io.open('FILE').read())",
    "os.open": "import os; fd = os.open('FILE', os.O_RDONLY); print(os.read(fd, 100))",
    "raw write": "import os; fd = os.open('OUT', os.O_CREAT | os.O_WRONLY); os.write(fd, b'x')",
    "system": "import os; os.system('touch OUT')",
    "posix_spawn": "import os; os.posix_spawn('/usr/bin/touch', ['touch', 'OUT'], {})",
    "fork and exec": "import os\nif os.fork() == 0:\n    os.execv('/usr/bin/touch', ['touch', 'OUT'])",
    "subprocess": "import subprocess; subprocess.run(['touch', 'OUT'])",
    "socket": "import socket; socket.create_connection(('127.0.0.1', PORT), 1)",
    "udp": "import socket; s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); s.sendto(b'x', ('127.0.0.1', PORT))",
    "urllib": "import urllib.request; urllib.request.urlopen('http://127.0.0.1:PORT/')",
    "environment": "import os; print(dict(os.environ))",
    "proc self": "print(open('/proc/self/environ').read())",
    "proc parent": "import os; print(open(f'/proc/{os.getppid()}/environ').read())",
    "parent memory": "import os; print(open(f'/proc/{os.getppid()}/maps').read())",
    "ctypes": "import ctypes; ctypes.CDLL(None).system(b'touch OUT')",
    "_ctypes": """
import _ctypes
handle = _ctypes.dlopen(None, 2)
_ctypes.call_function(_ctypes.dlsym(handle, 'system'), (b'touch OUT',))
""",
    "gc to ctypes": """
import gc
for o in gc.get_objects():
    if getattr(type(o), '__name__', '') == 'CDLL':
        o.system(b'touch OUT')
""",
    "gc to a socket": """
import gc, socket
for o in gc.get_objects():
    if isinstance(o, socket.socket):
        o.sendall(b'\\xff\\xff\\xff\\xff' * 4)
""",
    "subclasses": """
for c in object.__subclasses__():
    if c.__name__ == '_wrap_close':
        c.__init__.__globals__['system']('touch OUT')
""",
    "sys.modules": "import sys; sys.modules['os'].system('touch OUT')",
    "frames": """
import sys
f = sys._getframe()
while f.f_back: f = f.f_back
print(f.f_globals.get('FILE'), f.f_builtins['open']('FILE').read())
""",
    "kill the parent": "import os; os.kill(os.getppid(), 9); open('OUT', 'w')",
    "kill everything": "import os; os.kill(-1, 9); open('OUT', 'w')",
    "sqlite": "import sqlite3; sqlite3.connect('OUT').execute('create table t (a)')",
    "shutil": "import shutil; shutil.copy('FILE', 'OUT')",
    "pickle": "import pickle; pickle.loads(b\"cos\\nsystem\\n(S'touch OUT'\\ntR.\")",
    "thread": "import threading, os; t = threading.Thread(target=os.system, args=('touch OUT',)); t.start(); t.join()",
    "multiprocessing": "import multiprocessing as m; p = m.Process(target=print); p.start()\nopen('OUT', 'w')",
    "raise own limits": "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (9999, 9999)); open('OUT', 'w')",
    "memfd": """
import os
fd = os.memfd_create('x'); os.write(fd, b'#!/bin/sh'); os.execve(fd, ['x'], {})
open('OUT', 'w')
""",
    "mmap exec": "import mmap; m = mmap.mmap(-1, 4096, prot=mmap.PROT_EXEC | mmap.PROT_READ); open('OUT', 'w')",
    "symlink": "import os; os.symlink('FILE', 'OUT')",
    "chdir": "import os; os.chdir('/'); os.mkdir('OUT')",
    "listdir": "import os; print(os.listdir('FOLDER')); print(os.stat('FILE'))",
}  # fmt: skip


@pytest.mark.parametrize("name", PAYLOADS)
def test_nothing_gets_out(sealed: ControlPlane, canaries: Canaries, name: str) -> None:
    """Each payload, in a fresh sealed guest, reads no canary, writes no file and connects to nothing."""
    out = canaries.folder / f"out-{abs(hash(name))}"
    code = PAYLOADS[name].replace("FILE", str(canaries.file)).replace("OUT", str(out))
    code = code.replace("PORT", str(canaries.port)).replace("FOLDER", str(canaries.folder))
    with sealed.session("attacker", objects={"df": canaries.frame()}) as session:
        result = session.run(code, timeout=10)
    seen = result.stdout + result.stderr + (result.value or "") + repr(result.error)
    assert canaries.token not in seen
    assert not any(secret in seen for secret in canaries.secrets)
    assert not os.path.lexists(out)
    assert not canaries.connected()


CORPUS = Path(__file__).parents[3] / "shared" / "corpora"


def corpus_module() -> ModuleType:
    """The corpus runner, used in place."""
    spec = importlib.util.spec_from_file_location("run_escapes", CORPUS / "run_escapes.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.skipif(not (CORPUS / "escapes.jsonl").exists(), reason="the escape corpus is not on this machine")
@pytest.mark.timeout(900)
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # the runner leaves its own files open
@pytest.mark.parametrize("layer", ["G", "P", "X", "D"])
def test_the_corpus_finds_no_hole(sealed: ControlPlane, tmp_path: Path, layer: str) -> None:
    """All entries of the corpus fail, each in a fresh sealed guest: G in the guest, P by libraries, X, D by objects."""
    runner = corpus_module()
    harness = runner.Harness(str(tmp_path))
    entries = [json.loads(line) for line in (CORPUS / "escapes.jsonl").read_text().splitlines()]
    entries = [entry for entry in entries if entry["layer"] == layer]
    assert len(entries) > 30

    def make_run(made: Any) -> Callable[[str], tuple[str, str | None]]:
        def run(code: str) -> tuple[str, str | None]:
            with sealed.session("attacker", objects={"df": made.make_df()}) as session:
                session.run("import pandas as pd\nimport numpy as np")
                result = session.run(code, timeout=10)
            error = None if result.error is None else f"{result.error.traceback} {result.error.message}"
            return result.stdout + result.stderr + (result.value or ""), error

        return run

    try:
        found = runner.evaluate(entries, make_run, harness)
    finally:
        harness.sock.close()
        harness._leakfd.close()
        os.environ.pop("CANARY_ENV", None)
    assert [entry["id"] for entry in found if entry["escaped"]] == []
