"""`[fs]` leads to nothing but what it grants: links, tricks of names, races, odd files, confused libraries."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from proxyplane import ControlPlane, Policy
from proxyplane.errors import PolicyError
from proxyplane.files import check_sources
from proxyplane.sessions import Session

POLICY = """
schema = 1
[objects.df]
hide = ["ssn"]
[modules]
host = ["pandas", "numpy"]
[budgets.rows]
limit = 50
[fs]
root  = "{root}"
read  = ["data/*", "out/**", "link/*"]
write = ["out/**", "box/*"]
[[rules]]
id     = "work"
agent  = "*"
object = "*"
effect = ["read", "compute", "mutate", "callback", "fs.read", "fs.write"]
decide = "allow"
[[rules]]
id     = "show"
agent  = "*"
object = "*"
effect = ["reveal"]
when   = { rows = "<= 20" }
charge = { rows = "rows" }
decide = "allow"
"""
CANARY = "CANARY-7f3a"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A root with a file to read, and canaries outside, beside and behind links."""
    folder = tmp_path / "root"
    for name in ("data", "out", "link", "hidden", "box"):
        (folder / name).mkdir(parents=True)
    (folder / "data" / "a.csv").write_text("x,y\n1,2\n3,4\n")
    (folder / "hidden" / "b.csv").write_text(f"x\n{CANARY}\n")
    (tmp_path / "outside.csv").write_text(f"x\n{CANARY}\n")
    return folder


@pytest.fixture
def plane(root: Path) -> Iterator[ControlPlane]:
    """A plane under `POLICY`."""
    with ControlPlane(policy=Policy.parse(POLICY.replace("{root}", str(root)))) as opened:
        yield opened


@pytest.fixture
def session(plane: ControlPlane) -> Session:
    """A session over a table with a hidden column."""
    return plane.session("agent", objects={"df": pd.DataFrame({"k": range(6), "ssn": [CANARY] * 6})})


def seen(result: Any) -> str:
    """Everything that reached the agent."""
    return result.stdout + result.stderr + (result.value or "") + repr(result.error)


WAYS = {
    "open": "open({p!r}).read()",
    "bytes path": "open({p!r}.encode()).read()",
    "pathlib": "__import__('pathlib').Path({p!r}).read_text()",
    "os.open": "import os; os.read(os.open({p!r}, 0), 100)",
    "read_csv": "import pandas as pd; pd.read_csv({p!r}, header=None).to_csv()",
    "read_csv of a path object": "import pandas as pd, pathlib; pd.read_csv(pathlib.Path({p!r})).to_csv()",
    "mapped": "import pandas as pd; pd.Series([{p!r}]).map(pd.read_csv)[0].to_csv()",
    "mapped path objects": "import pandas as pd, pathlib as l; pd.Series([l.Path({p!r})]).map(pd.read_csv)[0].to_csv()",
    "mapped agg": "import pandas as pd, numpy as np\nfor p in np.array([{p!r}]): pd.read_csv(p).to_csv()",
    "copied": "import shutil; shutil.copyfile({p!r}, 'out/c'); open('out/c').read()",
    "renamed": "import os; os.rename({p!r}, 'out/c'); open('out/c').read()",
    "genfromtxt": "import numpy as np; np.genfromtxt({p!r}, dtype=str).tolist()",
}
PLACES = {
    "up": lambda root: "../outside.csv",
    "up through a folder": lambda root: "data/../../outside.csv",
    "up after the working folder": lambda root: "/work/../outside.csv",
    "absolute": lambda root: str(root.parent / "outside.csv"),
    "beside what is granted": lambda root: "hidden/b.csv",
    "file url": lambda root: f"file://{root.parent}/outside.csv",
    "chained url": lambda root: f"simplecache::file://{root.parent}/outside.csv",
    "home": lambda root: "~/../.." + str(root.parent / "outside.csv"),
    "link to a file": lambda root: link(root, "link/f.csv", root.parent / "outside.csv"),
    "link to a folder": lambda root: link(root, "data/d", root.parent) + "/outside.csv",
    "link inside": lambda root: link(root, "data/l.csv", root / "hidden" / "b.csv"),
    "link in the middle": lambda root: link(root, "out/m", root / "hidden") + "/b.csv",
    "proc": lambda root: f"/proc/self/cwd/../{root.parent}/outside.csv",
}  # fmt: skip


def link(root: Path, name: str, target: Path) -> str:
    """Make a symbolic link below the root."""
    (root / name).symlink_to(target)
    return name


@pytest.mark.parametrize("place", PLACES)
def test_nothing_outside_is_read(session: Session, root: Path, place: str) -> None:
    """No way of reading leads to a file outside of the grant, whatever the path looks like; each is refused."""
    path = PLACES[place](root)
    for name, way in WAYS.items():
        result = session.run(way.format(p=path))
        assert CANARY not in seen(result), name
        assert result.error is not None, name
        assert result.error.type in ("Denied", "PermissionError", "FileNotFoundError"), (name, result.error)
    assert (root.parent / "outside.csv").exists()
    assert (root / "hidden" / "b.csv").exists()


WRITES = {
    "open": "open({p!r}, 'w').write('x')",
    "append": "open({p!r}, 'a').write('x')",
    "update": "open({p!r}, 'r+').write('x')",
    "to_csv": "df.to_csv({p!r})",
    "agg": "df.agg('to_csv', path_or_buf={p!r})",
    "apply": "df.k.apply('to_csv', args=({p!r},))",
    "truncate": "import os; os.truncate({p!r}, 0)",
    "remove": "import os; os.remove({p!r})",
    "rename over": "import os; open('out/n', 'w').write('n'); os.replace('out/n', {p!r})",
    "savetxt": "import numpy as np; np.savetxt({p!r}, np.zeros(2))",
    "touch": "__import__('pathlib').Path({p!r}).touch()",
    "open file to the host": "f = open({p!r}, 'w'); df.to_csv(f)",
    "mkdir": "import os; os.makedirs({p!r} + '/x')",
}
TARGETS = {
    "outside": lambda root: str(root.parent / "outside.csv"),
    "up": lambda root: "../outside.csv",
    "read only": lambda root: "data/a.csv",
    "hidden": lambda root: "hidden/b.csv",
    "link": lambda root: link(root, "out/l.csv", root.parent / "outside.csv"),
    "link to a folder": lambda root: link(root, "out/d", root.parent) + "/outside.csv",
    "hard link": lambda root: hard_link(root, "out/h.csv", root.parent / "outside.csv"),
    "file url": lambda root: f"file://{root.parent}/outside.csv",
}


def hard_link(root: Path, name: str, target: Path) -> str:
    """Make a hard link below the root."""
    os.link(target, root / name)
    return name


@pytest.mark.parametrize("target", TARGETS)
def test_nothing_outside_is_written(session: Session, root: Path, target: str) -> None:
    """No way of writing changes a file that no write glob grants; each is refused."""
    kept = {
        path: path.read_text() for path in (root.parent / "outside.csv", root / "data/a.csv", root / "hidden/b.csv")
    }
    path = TARGETS[target](root)
    for name, way in WRITES.items():
        result = session.run(way.format(p=path))
        assert result.error is not None, name
        assert result.error.type in ("Denied", "PermissionError", "NotADirectoryError"), (name, result.error)
        assert {each: each.read_text() for each in kept} == kept, name


def test_a_link_that_is_swapped_in_does_not_lead_out(session: Session, root: Path) -> None:
    """While another process swaps a granted name between a file and a link out, only the file is ever read."""
    good, bad, name = root / "good", root / "bad", root / "data" / "swap.csv"
    stop = threading.Event()

    def swap() -> None:
        while not stop.is_set():
            good.write_text("x\n1\n")
            os.replace(good, name)
            bad.symlink_to(root.parent / "outside.csv")
            os.replace(bad, name)

    thread = threading.Thread(target=swap)
    thread.start()
    try:
        code = """
import pandas as pd
for n in range(60):
    for read in (lambda p: open(p).read(), lambda p: pd.read_csv(p).to_csv()):
        try: print(len(read('data/swap.csv')))
        except OSError as e: print(type(e).__name__)
        except pd.errors.EmptyDataError: pass
"""
        result = session.run(code.replace("to_csv()", "shape"), timeout=30)
    finally:
        stop.set()
        thread.join()
    assert CANARY not in seen(result)
    assert "Denied" in result.stdout


def test_what_is_swapped_after_the_decision_is_not_used(plane: ControlPlane, root: Path) -> None:
    """Host code opens the very file that was decided on, even when its name leads elsewhere by then."""
    from proxyplane.effects import Effect

    place = plane.files.place(Effect.FS_READ, "data/a.csv")
    folder, path = plane.files.stage(place)
    (root / "data" / "a.csv").unlink()
    (root / "data" / "a.csv").symlink_to(root.parent / "outside.csv")
    assert pd.read_csv(path).shape == (2, 2)
    place.close()
    assert not os.path.exists(path)
    os.unlink(path)
    os.rmdir(folder)


def test_odd_files_never_block(session: Session, root: Path) -> None:
    """Pipes, sockets and devices are refused without being opened; a folder is no file."""
    os.mkfifo(root / "data" / "pipe")
    os.mkfifo(root / "out" / "pipe")
    for path in ("data/pipe", "out/pipe"):
        for way in (
            "open({p!r}).read()",
            "open({p!r}, 'w')",
            "import pandas as pd; pd.read_csv({p!r})",
            "df.to_csv({p!r})",
        ):
            result = session.run(way.format(p=path), timeout=5)
            assert result.error is not None
            assert result.error.type == "Denied", result.error
    assert session.run("open('data').read()").error.type in ("Denied", "IsADirectoryError")
    assert session.run("df.to_csv('out/sub')\nimport os\nos.mkdir('out/dir')\ndf.to_csv('out/dir')").error.type in (
        "IsADirectoryError",
        "Denied",
    )


def test_large_files_are_bounded(session: Session, root: Path) -> None:
    """A file of a terabyte is refused by its size, for the guest and for host libraries."""
    with (root / "data" / "big.csv").open("wb") as file:
        file.truncate(1 << 40)
    for way in ("open('data/big.csv').read()", "import pandas as pd; pd.read_csv('data/big.csv')"):
        result = session.run(way, timeout=10)
        assert result.error is not None
        assert result.error.type == "ValueError"


NAMES = ["a\nb.csv", "\x1b[2J.csv", "a\u202eb.csv", "-rf", "a b'\".csv", "ü" * 100 + ".csv", "a|b;c&d.csv", "%s.csv"]


@pytest.mark.parametrize("name", NAMES)
def test_hard_names(session: Session, root: Path, name: str) -> None:
    """Odd names work as names, and records show them without control characters."""
    code = f"p = 'out/' + {name!r}\nopen(p, 'w').write('a,b\\n1,2\\n')\nimport os\n(open(p).read(), os.listdir('out'))"
    result = session.run(code)
    assert result.value == repr(("a,b\n1,2\n", [name]))
    assert (root / "out" / name).exists()
    for record in session.plane.log.records():
        for file in record.get("detail", {}).get("files", []) if isinstance(record.get("detail"), dict) else []:
            assert file["path"].isprintable()


@pytest.mark.parametrize("path", ["a\\0b", "x" * 300, "x/" * 3000, "\\ud800", ""])
def test_impossible_names(session: Session, path: str) -> None:
    """A NUL, endless names and lone surrogates are errors of the agent, and end nothing."""
    result = session.run(f"p = '{path}'\nopen('out/' + p if p else p, 'w')")
    assert result.error is not None
    assert result.error.type in ("Denied", "ValueError", "OSError", "FileNotFoundError", "UnicodeEncodeError")
    assert session.run("1 + 1").value == "2"


def test_what_was_written_keeps_its_source(plane: ControlPlane, session: Session, root: Path) -> None:
    """A guarded table that is written to a file and read back is still that table: its budget and cap hold."""
    frame = pd.DataFrame({"k": range(45)})
    with plane.session("writer", objects={"wide": frame}) as other:
        assert other.run("wide.to_csv('out/w.csv', index=False)").ok
        capped = other.run("open('out/w.csv').read()")
        assert capped.error is not None
        assert capped.error.type == "Denied"
        code = "import pandas as pd\nback = pd.read_csv('out/w.csv')\nfor n in (0, 15, 30): print(back.iloc[n:n+15])"
        assert other.run(code).ok
        spent = other.run("print(wide.head(10))")
        assert spent.error is not None
        assert spent.error.type == "BudgetExceeded"
        assert other.run("import os; os.rename('out/w.csv', 'out/v.csv')").ok
        assert not other.run("print(pd.read_csv('out/v.csv').head(10))").ok


def test_a_mediated_read_keeps_its_source(session: Session) -> None:
    """What a library reads through a mapped function is the file's, and metered as such."""
    session.run("import pandas as pd\ntables = pd.Series(['data/a.csv']).map(pd.read_csv)")
    held = session.table.find(session.get("tables"))
    assert held is not None
    assert "fs:data/a.csv" in held.roots


def test_a_rule_can_name_a_file(root: Path) -> None:
    """`object = "fs:..."` in a rule speaks of what is read from these files."""
    (root / "data" / "b.csv").write_text("x\n1\n")
    rule = '\n[[rules]]\nid = "not-b"\nobject = "fs:data/b*"\neffect = "reveal"\ndecide = "deny"\n'
    with ControlPlane(policy=Policy.parse(POLICY.replace("{root}", str(root)) + rule)) as plane:
        session = plane.session("agent")
        assert session.run("open('data/a.csv').read()").ok
        refused = session.run("open('data/b.csv').read()")
        assert refused.error is not None
        assert refused.error.rule == "not-b"
        assert session.run("import pandas as pd; pd.read_csv('data/b.csv').shape").ok


def test_a_rename_does_not_make_readable(session: Session, root: Path) -> None:
    """A file that may only be written cannot be moved to where it may be read."""
    (root / "box" / "s").write_text(CANARY)
    result = session.run("import os; os.rename('box/s', 'out/s')\nprint(open('out/s').read())")
    assert result.error is not None
    assert result.error.type == "Denied"
    assert (root / "box" / "s").exists()


def test_listing_shows_what_is_granted(session: Session, root: Path) -> None:
    """Names that no glob grants, and links, do not appear in listings."""
    (root / "out" / "f").write_text("")
    (root / "out" / "l").symlink_to(root / "hidden")
    (root / "out" / ".git").mkdir()
    result = session.run(
        "import os; (os.listdir('.'), os.listdir('out'), os.path.exists('hidden'), os.path.exists('out/l'))"
    )
    assert result.value == "(['box', 'data', 'link', 'out'], ['f'], False, False)"


def test_the_log_is_out_of_reach(tmp_path: Path) -> None:
    """A policy that grants everything does not grant the folder of the audit log."""
    text = POLICY.replace("{root}", str(tmp_path)).replace('"out/**", "box/*"', '"**"').replace('"data/*"', '"**"')
    with ControlPlane(policy=Policy.parse(text), audit=tmp_path / "audit") as plane, plane.session("agent") as session:
        for code in ("import os; os.listdir('audit')", "open('audit/x', 'w')", "import os; os.rename('audit', 'b')"):
            result = session.run(code)
            assert result.error is not None
            assert result.error.type == "Denied"


def test_every_try_is_on_record(session: Session, root: Path) -> None:
    """Refused and performed operations on files are recorded with their path, intent before outcome."""
    session.run("open('out/n', 'w').write('x')")
    session.run("open('../outside.csv')")
    found = [
        (record["phase"], record.get("status"), file["effect"], file["path"])
        for record in session.plane.log.records()
        if record["kind"] == "effect" and "detail" in record
        for file in record["detail"].get("files", ())
    ]
    assert found[:4] == [
        ("intent", None, "fs.write", "out/n"),
        ("outcome", "ok", "fs.write", "out/n"),
        ("intent", None, "fs.write", "out/n"),
        ("outcome", "ok", "fs.write", "out/n"),
    ]
    assert found[-1] == ("single", "denied", "read", "../outside.csv")


def test_without_fs_no_file_is_reachable(root: Path) -> None:
    """Without `[fs]` everything is refused, with a text that says what is missing; and it is recorded."""
    text = "\n".join(line for line in POLICY.splitlines() if not line.startswith(("[fs]", "root ", "read ", "write ")))
    with ControlPlane(policy=Policy.parse(text)) as plane, plane.session("agent") as session:
        for code in (
            "open('data/a.csv')",
            "import os; os.listdir('.')",
            "import pandas as pd; pd.read_csv('/etc/passwd')",
        ):
            result = session.run(code)
            assert result.error is not None
            assert result.error.type == "Denied"
            assert "no [fs] section" in result.error.message
            assert '"fs.read"' in (result.error.hint or "")
        denied = [r for r in plane.log.records() if r.get("status") == "denied"]
        assert len(denied) == 3


@pytest.mark.parametrize(("globs", "wrong"), [('["data/*.csv"]', True), ('["*"]', False), ('["**"]', True)])
def test_a_glob_over_the_source_of_a_projection_is_a_policy_error(root: Path, globs: str, wrong: bool) -> None:
    """What `hide` hides must not lie open beside it."""
    text = f'schema = 1\n[objects.df]\nhide = ["y"]\n[fs]\nroot = "{root}"\nread = {globs}\n'
    policy = Policy.parse(text)
    check_sources(policy, {"other": root / "data" / "a.csv"})
    if wrong:
        with pytest.raises(PolicyError, match=r"data/a\.csv"):
            check_sources(policy, {"df": root / "data" / "a.csv"})
    else:
        check_sources(policy, {"df": root / "data" / "a.csv"})


def test_a_second_name_of_the_source_does_not_help(plane: ControlPlane, session: Session, root: Path) -> None:
    """A file that was put out of reach is so under every name that it has."""
    os.link(root / "data" / "a.csv", root / "out" / "other.csv")
    plane.files.hide(root / "data" / "a.csv", "the source")
    for path in ("data/a.csv", "out/other.csv"):
        result = session.run(f"open({path!r}).read()")
        assert result.error is not None
        assert result.error.type == "Denied"


def test_nothing_is_left_open(plane: ControlPlane, session: Session) -> None:
    """Descriptors and private names of operations go with them, also on errors and refusals."""
    run: Callable[[str], Any] = session.run
    code = """
import pandas as pd
for n in range(20):
    for path in ('data/a.csv', 'data/none.csv', '../x', 'hidden/b.csv'):
        try: pd.read_csv(path)
        except OSError: pass
    df.to_csv('out/x.csv')
"""
    run(code)
    before = len(os.listdir("/proc/self/fd"))
    assert run(code).ok
    assert len(os.listdir("/proc/self/fd")) <= before
    assert plane.files._private is not None
    assert os.listdir(plane.files._private) == []


@pytest.mark.parametrize(
    "url", ["file:///etc/passwd", "FILE:/etc/passwd", "fi\tle:///etc/passwd", "zip::file:///x", "x:y"]
)
def test_a_grant_of_the_network_does_not_lead_to_files(root: Path, url: str) -> None:
    """Where a rule allows `net`, addresses that lead to files of this machine are refused all the same."""
    text = POLICY.replace("{root}", str(root)).replace('"fs.write"]', '"fs.write", "net"]')
    with ControlPlane(policy=Policy.parse(text)) as plane, plane.session("agent") as session:
        result = session.run(f"import pandas as pd; pd.read_csv({url!r}, header=None).shape")
        assert result.error is not None
        assert (result.error.type, result.error.effect) == ("Denied", "net")
