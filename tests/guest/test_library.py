"""The standard library that a guest has in memory."""

import importlib.util
import json
import os
import py_compile
import sys

import pytest
from snippet_entry import ENTRY, run

from proxyplane.guest import library
from proxyplane.launch import Zygote


@pytest.fixture(scope="module")
def zygote():
    with Zygote.start(entry=ENTRY) as started:
        yield started


@pytest.fixture(scope="module")
def stdlib():
    return library.read_library()


def test_whole_library_is_there(stdlib):
    """All pure modules that a guest may want are served, packages with their submodules."""
    assert {"json", "json.decoder", "email.mime.text", "asyncio", "statistics", "xml.etree.ElementTree"} <= stdlib.names
    assert stdlib.size > 4_000_000
    assert len(stdlib.zone_keys()) > 300


def test_only_the_standard_library(stdlib):
    """Nothing of a site-packages folder, no tests, no graphics, no ctypes."""
    tops = {name.partition(".")[0] for name in stdlib.names}
    assert not tops & {"msgpack", "pip", "pytest", "proxyplane", "test", "tkinter", "idlelib", "ctypes"}
    assert {top for top in tops if not top.startswith("_sysconfigdata")} <= set(sys.stdlib_module_names)


def test_module_from_memory(stdlib):
    """A served module works, is a package where it should be, and does not tell where this machine keeps it."""
    spec = stdlib.find_spec("json")
    assert spec.submodule_search_locations == []
    module = importlib.util.module_from_spec(spec)
    stdlib.exec_module(module)
    assert module.loads("[1]") == [1]
    assert module.loads.__code__.co_filename == "<stdlib>/json/__init__.py"
    assert json.loads.__code__.co_filename != module.loads.__code__.co_filename
    assert stdlib.find_spec("pandas") is None
    with pytest.raises(ImportError, match="no module 'pandas'"):
        stdlib.get_code("pandas")


def test_code_comes_from_the_cache_only_when_it_is_current(tmp_path):
    """Cached code is used when it belongs to the source, else the source itself."""
    source = tmp_path / "thing.py"
    source.write_text("x = 1\n")
    assert library._code_of(str(source)) == (b"x = 1\n", False)
    py_compile.compile(str(source))
    content, compiled = library._code_of(str(source))
    assert compiled
    assert b"thing.py" in content
    source.write_text("x = 22\n")
    assert library._code_of(str(source)) == (b"x = 22\n", False)


def test_source_is_compiled_when_there_is_no_cached_code():
    """An interpreter that comes without cached code serves its library from source."""
    text = b"y = 3\ndef f(): return y\n"
    entry = library.Entry(0, len(text), package=False, compiled=False)
    served = library.Library(memoryview(text), {"thing": entry}, {})
    module = importlib.util.module_from_spec(served.find_spec("thing"))
    served.exec_module(module)
    assert module.f() == 3
    assert module.f.__code__.co_filename == "<stdlib>/thing.py"


def test_without_memfd(monkeypatch):
    """A machine that has no memfd keeps the block in ordinary memory."""

    def refused(*arguments):
        raise OSError(38, "not here")

    monkeypatch.setattr(os, "memfd_create", refused)
    assert library.read_library().get_code("json.decoder").co_filename == "<stdlib>/json/decoder.py"


def test_zones_from_a_named_folder(monkeypatch, tmp_path):
    """Where the system has no time zones, those of the folder that the host names are taken."""
    (tmp_path / "Middle").mkdir()
    (tmp_path / "Middle" / "Earth").write_bytes(b"TZif2...")
    (tmp_path / "readme").write_bytes(b"not a zone")
    monkeypatch.setattr(library, "_ZONE_FOLDERS", ())
    served = library.read_library([str(tmp_path)])
    assert served.zone_keys() == {"Middle/Earth"}
    assert served.zone("Middle/Earth").read() == b"TZif2..."


# Modules that need an extension module which guests do not have, or another system.
ABSENT = {
    *(
        "asyncio.windows_events",
        "asyncio.windows_utils",
        "ctypes",
        "dbm.gnu",
        "dbm.ndbm",
        "encodings.mbcs",
        "encodings.oem",
    ),
    *("multiprocessing.popen_spawn_win32", "ssl", "nturl2path", "winreg", "lib2to3", "pdb", "cgi", "cgitb"),
    *("__main__", "_pyrepl", "rlcompleter", "tty"),
}


def test_every_module_imports_after_lock_down(zygote):
    """Each module of the library can be imported in a sealed guest, or fails with an ordinary ImportError."""
    code = f"""
import sys, warnings
warnings.simplefilter("ignore")
library = next(finder for finder in sys.meta_path if hasattr(finder, "zone_keys"))
failed = {{}}
for name in sorted(library.names - set({sorted(ABSENT)!r})):
    if name.rpartition(".")[2] == "__main__": continue
    try: __import__(name)
    except ImportError as error: failed[name] = "import"
    except BaseException as error: failed[name] = repr(error)
print([(name, why) for name, why in failed.items() if why != "import"], len(failed), sorted(failed))
"""
    said, status = run(zygote, code)
    assert status == "exited with 0", said
    assert said.startswith("[] "), said
    assert int(said.split()[1]) < 20, said


@pytest.mark.parametrize(
    ("code", "said"),
    [
        ("import colorsys, email.message; print(colorsys.rgb_to_hsv(0, 0, 0))", "(0.0, 0.0, 0)"),
        (
            "import hashlib; print(hashlib.sha256(b'').hexdigest()[:8], hashlib.new('sha3_256').name)",
            "e3b0c442 sha3_256",
        ),
        ("import sqlite3; print(sqlite3.connect(':memory:').execute('select 6 * 7').fetchone())", "(42,)"),
        ("import xml.etree.ElementTree as et; print(et.fromstring('<a><b/></a>')[0].tag)", "b"),
        (
            "import zlib, bz2, lzma; print(all(m.decompress(m.compress(b'x')) == b'x' for m in (zlib, bz2, lzma)))",
            "True",
        ),
        (
            "print('ä'.encode('utf-16-le'), 'あ'.encode('shift_jis'), 'é'.encode('cp850'))",
            r"b'\xe4\x00' b'\x82\xa0' b'\x82'",
        ),
        ("import uuid; print(uuid.uuid4().version, uuid.uuid1().version)", "4 1"),
        ("import sysconfig, platform; print(sysconfig.get_config_var('prefix'), platform.system())", "<stdlib> Linux"),
        (
            "import inspect, json\ntry: inspect.getsource(json.dumps)\nexcept OSError as e: print(e)",
            "could not get source code",
        ),
        ("import importlib, re; print(importlib.reload(re).sub('a', 'b', 'a'))", "b"),
        ("import pkgutil, json; print(list(pkgutil.iter_modules(json.__path__)))", "[]"),
        ("import decimal, fractions, cmath, array; print(decimal.Decimal(1) / 8)", "0.125"),
    ],
    ids=[
        "pure",
        "hashlib",
        "sqlite",
        "xml",
        "compression",
        "codecs",
        "uuid",
        "sysconfig",
        "source",
        "reload",
        "pkgutil",
        "numbers",
    ],
)
def test_ordinary_use(zygote, code, said):
    """What agents do with the standard library works in a sealed guest."""
    assert run(zygote, code) == (said, "exited with 0")


def test_time_zones(zygote):
    """Time zones work without files; an unknown one is the error that `zoneinfo` documents."""
    code = """
import datetime, zoneinfo
vienna = zoneinfo.ZoneInfo("Europe/Vienna")
print(datetime.datetime(2024, 7, 1, tzinfo=vienna).utcoffset(), vienna.key, len(zoneinfo.available_timezones()) > 300)
for key in ("Europe/Atlantis", "etc/passwd"):
    try: zoneinfo.ZoneInfo(key)
    except zoneinfo.ZoneInfoNotFoundError as error: print(error)
"""
    said, _ = run(zygote, code)
    assert said.splitlines() == [
        "2:00:00 Europe/Vienna True",
        "'No time zone found with key Europe/Atlantis'",
        "'No time zone found with key etc/passwd'",
    ]


def test_traceback_without_source(zygote):
    """A traceback through modules without source is printed, only without their lines."""
    code = "import traceback, json\ntry: json.loads('{')\nexcept ValueError: print(traceback.format_exc())"
    said, _ = run(zygote, code)
    assert '"<stdlib>/json/decoder.py", line' in said
    assert "JSONDecodeError" in said


def test_installed_packages_are_not_importable(zygote):
    """What is installed beside the interpreter stays out of a guest."""
    code = "for name in ('pytest', 'pip', 'numpy', 'pandas'):\n try: __import__(name)\n except ImportError: print(name)"
    assert run(zygote, code)[0].split() == ["pytest", "pip", "numpy", "pandas"]
