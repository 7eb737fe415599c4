"""The zygote: what guests inherit, and who dies with whom."""

import os
import select
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from snippet_entry import ENTRY, run

from proxyplane.errors import GuestCrashed
from proxyplane.launch import Zygote

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def zygote():
    with Zygote.start(entry=ENTRY) as started:
        yield started


def vanished(*pidfds):
    """Whether all these processes end within ten seconds."""
    return all(select.select([pidfd], [], [], 10)[0] for pidfd in pidfds)


def test_guests_do_not_share_random_numbers(zygote):
    """Two guests of one zygote draw different numbers."""
    said = {run(zygote, "import random, uuid; print(random.random(), uuid.uuid4())")[0] for _ in range(4)}
    assert len({line.split()[0] for line in said}) == len({line.split()[1] for line in said}) == 4


def test_guests_do_not_see_each_other(zygote):
    """What one guest changes in its modules, no other has."""
    assert run(zygote, "import json; json.mark = 1; print(json.mark)")[0] == "1"
    assert run(zygote, "import json; print(hasattr(json, 'mark'))")[0] == "False"


def test_nothing_of_this_machine_is_told(zygote):
    """Environment, arguments, paths of folders: a guest finds none of the host's."""
    code = """
import gc, os, sys, types
texts = [repr(sorted(os.environ)), repr(sys.argv), repr(sys.orig_argv), sys.executable, sys.prefix, sys.base_prefix]
texts += sys.path + [str(vars(module).get(name)) for module in list(sys.modules.values())
                     for name in ("__file__", "__cached__", "__spec__", "__path__", "__loader__")]
seen, todo = set(), [vars(module) for module in list(sys.modules.values())]
while todo:
    names = todo.pop()
    if id(names) in seen: continue
    seen.add(id(names))
    for value in list(names.values()):
        if type(value) is types.FunctionType: texts.append(value.__code__.co_filename)
        elif isinstance(value, type): todo.append(dict(vars(value)))
print([text for text in texts if any(place in text for place in options["places"])], len(texts))
"""
    options = {"places": [str(ROOT), sys.base_prefix, sys.prefix, str(Path.home())]}
    said, _ = run(zygote, code, options=options)
    assert said.startswith("[] "), said
    assert int(said.split()[1]) > 1000


def test_zygote_s_roads_are_cut(zygote):
    """A guest does not find its maker's control socket or sandbox in modules or frames."""
    code = """
import sys
print([name for name in sys.modules if "ctypes" in name or "sandbox" in name or "seccomp" in name])
frame, found = sys._getframe(), []
while frame:
    found += [type(value).__name__ for value in frame.f_locals.values() if type(value).__name__ == "_Nursery"]
    found += [value.fileno() for value in frame.f_locals.values() if type(value).__name__ == "socket"]
    frame = frame.f_back
print(sorted(set(found)))
"""
    assert run(zygote, code)[0].splitlines() == ["[]", "[-1, 3]"]


def test_the_library_s_pages_are_private(zygote):
    """The shared block is mapped so that no guest can change what another imports."""
    if os.geteuid() != 0:
        pytest.skip("only root may look at a guest's memory map")
    with zygote.spawn() as guest:
        lines = [line for line in Path(f"/proc/{guest.pid}/maps").read_text().splitlines() if "memfd:stdlib" in line]
        assert [line.split()[1] for line in lines] == ["r--p"]


def test_statuses(zygote):
    """Each end of a guest is told apart."""
    assert run(zygote, "raise SystemExit(3)")[1] == "exited with 0"  # caught by the entry
    assert run(zygote, "import os; os._exit(5)")[1] == "exited with 5"
    assert run(zygote, "class Odd(BaseException): pass\nraise Odd")[1] == (
        "exited with 70 (its code raised an error that nothing caught)"
    )
    with zygote.spawn() as guest:
        guest.kill()
        assert str(guest.wait(10)) == "killed by SIGKILL"


def test_death_of_the_zygote():
    """When the zygote is killed, its guests are gone, and the next request says so plainly."""
    with Zygote.start(entry=ENTRY) as zygote:
        guests = [zygote.spawn() for _ in range(3)]
        os.kill(zygote.pid, signal.SIGKILL)
        assert vanished(*(guest.pidfd for guest in guests))
        with pytest.raises(GuestCrashed, match=r"the zygote is gone \(killed by SIGKILL\)"):
            zygote.spawn()
        assert not zygote.alive
        assert str(guests[0].wait(1)) == "ended with its zygote"


def test_death_of_the_zygote_takes_a_guest_that_ignores_everything():
    """A guest that ignores signals and hangs up dies with its zygote all the same."""
    code = b"""
import signal
for number in range(1, 65):
    try: signal.signal(number, signal.SIG_IGN)
    except (OSError, ValueError): pass
sock.sendall(b'x')
while True: pass
"""
    with Zygote.start(entry=ENTRY) as zygote:
        guest = zygote.spawn()
        guest.sock.sendall(code)
        guest.sock.shutdown(1)
        assert guest.sock.recv(1) == b"x"
        os.kill(zygote.pid, signal.SIGKILL)
        assert vanished(guest.pidfd)


HOST = f"""
import sys, time
sys.path.insert(0, {str(ROOT)!r})
from proxyplane.launch import Zygote
zygote = Zygote.start(entry={ENTRY!r})
guests = [zygote.spawn() for _ in range(2)]
print(zygote.pid, *(guest.pid for guest in guests), flush=True)
{{then}}
time.sleep(60)
"""

LEAVE_A_COPY = """
import os
if not os.fork():
    time.sleep(60)
"""


@pytest.mark.parametrize("then", ["", LEAVE_A_COPY], ids=["alone", "with a forked copy of its sockets"])
def test_death_of_the_host(then):
    """When the host is killed, zygote and guests vanish, even if a fork of the host still holds its sockets."""
    with subprocess.Popen(
        [sys.executable, "-c", HOST.format(then=then)], stdout=subprocess.PIPE, start_new_session=True
    ) as host:
        pids = [int(pid) for pid in host.stdout.readline().split()]
        pidfds = [os.pidfd_open(pid) for pid in pids]
        try:
            host.kill()
            assert vanished(*pidfds)
        finally:
            os.killpg(host.pid, signal.SIGKILL)
            for pidfd in pidfds:
                os.close(pidfd)
