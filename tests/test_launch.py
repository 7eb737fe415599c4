"""The host's side: starting, spawning, ending, and leaving nothing behind."""

import os
import re
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from proxyplane.errors import GuestCrashed, TierUnavailable
from proxyplane.launch import TIERS, ExitStatus, GuestLimits, Zygote, probe

ENTRY = f"{Path(__file__).parent}/guest/snippet_entry.py:main"


@pytest.fixture(scope="module")
def zygote():
    with Zygote.start(entry=ENTRY) as started:
        yield started


def descriptors():
    return sorted(os.listdir("/proc/self/fd"))


def children():
    """Pids of this process's children, zombies included."""
    return {pid for task in Path("/proc/self/task").iterdir() for pid in (task / "children").read_text().split()}


def test_fifty_guests_leave_nothing_behind():
    """After many guests, ended in each way, there are as many descriptors and children as before."""
    open_before, children_before = descriptors(), children()
    with Zygote.start(entry=ENTRY) as zygote:
        for number in range(50):
            guest = zygote.spawn()
            if number % 3:
                guest.close()
            if number % 3 == 1:
                guest.close()
        zygote_children = Path(f"/proc/{zygote.pid}/task/{zygote.pid}/children")
        if os.access(zygote_children, os.R_OK):
            assert len(zygote_children.read_text().split()) == len(range(0, 50, 3))
    assert descriptors() == open_before
    assert children() == children_before


def test_close_is_idempotent_and_final():
    """A closed zygote has no guests and makes none."""
    zygote = Zygote.start(entry=ENTRY)
    guest = zygote.spawn()
    zygote.close()
    zygote.close()
    assert not zygote.alive
    assert not guest.alive
    assert guest.wait(0) == ExitStatus(None)
    guest.kill()
    guest.close()
    with pytest.raises(GuestCrashed, match="was closed"):
        zygote.spawn()


def test_a_guest_s_life(zygote):
    """A guest lives until it is killed; waiting and killing can be repeated."""
    with zygote.spawn() as guest:
        assert guest.alive
        assert guest.wait(0) is None
        assert guest.tier == zygote.tier
        assert "alive" in repr(guest)
        guest.kill()
        guest.kill()
        assert guest.wait(10) == guest.wait() == ExitStatus(-9)
        assert not guest.alive
    assert guest.wait() == ExitStatus(-9)
    assert "killed by SIGKILL" in repr(guest)


def test_end_of_file_means_the_guest_is_gone(zygote):
    """The host sees a guest's end on the socket, without a timeout."""
    with zygote.spawn() as guest:
        guest.kill()
        assert guest.sock.recv(1) == b""


def test_spawn_from_many_threads(zygote):
    """Guests can be made from any number of threads at once, each gets its own."""
    with ThreadPoolExecutor(8) as threads:
        guests = list(threads.map(lambda _: zygote.spawn(), range(24)))
    assert len({guest.pid for guest in guests}) == len({guest.pidfd for guest in guests}) == 24
    for guest in guests:
        guest.close()


def test_start_in_a_host_with_threads():
    """A host that has many threads can start a zygote, from any of them, and its end does not end the zygote."""
    started = []
    done = threading.Event()
    idle = [threading.Thread(target=done.wait) for _ in range(20)]
    for thread in idle:
        thread.start()
    starter = threading.Thread(target=lambda: started.append(Zygote.start(entry=ENTRY)))
    starter.start()
    starter.join()
    with started[0] as zygote, zygote.spawn() as guest:
        assert guest.alive
    done.set()
    for thread in idle:
        thread.join()


def test_options_reach_the_guest(zygote):
    """What `spawn` is given arrives at the guest's entry; what is too long is refused before it is sent."""
    with zygote.spawn(options={"name": "Ada", "numbers": [1, 2]}) as guest:
        guest.sock.sendall(b"print(options)")
        guest.sock.shutdown(1)
        assert guest.sock.recv(1000) == b"{'name': 'Ada', 'numbers': [1, 2]}\n"
    with pytest.raises(ValueError, match="too long"):
        zygote.spawn(options={"name": "x" * 40_000})
    with zygote.spawn() as guest:
        assert guest.alive


def test_limits_reach_the_guest(zygote):
    """The limits that are enforced are those that were given."""
    with zygote.spawn(GuestLimits(memory_bytes=200 << 20, cpu_seconds=7, open_files=9)) as guest:
        guest.sock.sendall(b"print(len(bytearray(300 << 20)))")
        guest.sock.shutdown(1)
        assert guest.sock.recv(1000) == b"MemoryError: "
    with zygote.spawn(GuestLimits(cpu_seconds=7, open_files=9)) as guest:
        guest.sock.sendall(b"import time; sock.sendall(b'x'); time.sleep(60)")
        guest.sock.shutdown(1)
        guest.sock.recv(1)  # it runs code: it is confined
        limits = Path(f"/proc/{guest.pid}/limits").read_text()
    assert re.search(r"Max cpu time +7 +8 ", limits)
    assert re.search(r"Max open files +9 +9 ", limits)
    assert re.search(r"Max file size +0 +0 ", limits)
    assert re.search(r"Max processes +0 +0 ", limits)


def test_unknown_tiers_are_named():
    """A misspelt tier is an error that names the tiers there are."""
    with pytest.raises(ValueError, match="expected one of sealed, filtered, split"):
        Zygote.start(tier_required="seeled")


@pytest.mark.parametrize("tier", TIERS)
def test_each_tier_can_be_asked_for(zygote, tier):
    """A guest is confined as its tier says, not less and not more."""
    if TIERS.index(tier) < TIERS.index(zygote.tier):
        with pytest.raises(TierUnavailable):
            zygote.spawn(tier=tier)
        return
    with zygote.spawn(tier=tier) as guest:
        guest.sock.sendall(b"print(report['tier'], report['landlock'] > 0, report['seccomp'], report['rlimits'])")
        guest.sock.shutdown(1)
        expected = f"{tier} {tier == 'sealed'} {tier != 'split'} True\n"
        assert guest.sock.recv(1000).decode() == expected


@pytest.mark.parametrize(
    ("entry", "text"),
    [
        ("proxyplane.guest.nothing:main", "No module named 'proxyplane.guest.nothing'"),
        (ENTRY.replace(":main", ":other"), "has no attribute 'other'"),
        ("/nowhere/entry.py:main", "No such file or directory"),
    ],
    ids=["module", "function", "file"],
)
def test_a_zygote_that_cannot_get_ready_says_why(entry, text):
    """A start that fails is one error with the reason in it, and leaves nothing behind."""
    open_before, children_before = descriptors(), children()
    with pytest.raises(GuestCrashed, match="could not get ready") as raised:
        Zygote.start(entry=entry)
    assert text in str(raised.value)
    assert descriptors() == open_before
    assert children() == children_before


def test_no_interpreter(monkeypatch):
    """An interpreter that cannot be started is one clear error."""
    monkeypatch.setattr("sys.executable", "/nowhere/python")
    open_before = descriptors()
    with pytest.raises(GuestCrashed, match="could not be started: No such file"):
        Zygote.start()
    assert descriptors() == open_before


def test_probe_refuses_everything():
    """In a sealed guest every probe is refused, and says by what."""
    try:
        found = probe("sealed")
    except TierUnavailable as missing:
        pytest.skip(str(missing))
    assert [attack for attack in found if not attack.refused] == []
    assert len(found) > 20
    assert all(attack.how for attack in found)


def test_probe_can_tell():
    """The probes are real: in a guest that is not a boundary, many of them succeed."""
    got = {attack.name for attack in probe("split") if not attack.refused}
    assert {"read a file", "list a folder", "connect by TCP", "make memory executable"} <= got
    assert not {"raise its own limits", "import an installed package", "use more memory than granted"} & got


def test_statuses_read_well():
    """Each way to end has its own words."""
    assert [str(ExitStatus(code)) for code in (0, 71, 78, -9, -31, None)] == [
        "exited with 0",
        "exited with 71 (it ran out of memory)",
        "exited with 78 (it could not be confined)",
        "killed by SIGKILL",
        "killed by SIGSYS (the system-call filter)",
        "ended with its zygote",
    ]
