"""What a confined guest cannot do, tried by doing it."""

import os
import re
import shutil
import struct
import subprocess
import sys
import textwrap
from pathlib import Path

import msgpack
import pytest
from hypothesis import given
from hypothesis import strategies as st
from snippet_entry import ENTRY, run

from proxyplane.guest import sandbox, seccomp
from proxyplane.launch import GuestLimits, Zygote

ROOT = Path(__file__).parents[2]
SITE = str(Path(msgpack.__file__).parents[1])
NOBODY = 65534


@pytest.fixture(scope="module")
def zygote():
    with Zygote.start(entry=ENTRY) as started:
        if started.tier != "sealed":
            pytest.skip(f"this machine offers {started.tier!r} only: {started.reasons}")
        yield started


# What an agent can rebuild of ctypes from the types that are loaded, without importing anything.
RAW = """
def subclass(of, name):
    return next(kind for kind in of.__subclasses__() if kind.__name__ == name)
data = subclass(object, "_CData")
number = type("Number", (subclass(data, "_SimpleCData"),), {"_type_": "l"})
library = type("Library", (), {"_handle": 0})()
call = type("Function", (subclass(data, "CFuncPtr"),), {"_flags_": 9, "_restype_": number})(("syscall", library))
def raw(*arguments):
    result = call(*(number(a) if isinstance(a, int) else a for a in arguments))
    print("refused" if result < 0 else f"got {result}")
"""

X86 = os.uname().machine == "x86_64"

REFUSED = {
    "open": "open('/etc/passwd')",
    "os.open": "import os; os.open('/etc/passwd', os.O_RDONLY)",
    "create": "open('/tmp/made-by-a-guest', 'w')",
    "own memory file": "open('/proc/self/maps')",
    "own environment": "open('/proc/self/environ')",
    "zygote's memory": "import os; open(f'/proc/{options[\"host\"]}/mem', 'rb')",
    "list": "import os; os.listdir('/')",
    "stat": "import os; os.stat('/etc/shadow')",
    "lstat": "import os; os.lstat('/etc/shadow')",
    "access": "import os\nif not os.access('/etc/passwd', os.R_OK): raise PermissionError",
    "readlink": "import os; os.readlink('/proc/self/exe')",
    "unlink": "import os; os.unlink('/tmp/nothing')",
    "chdir": "import os; os.chdir('/tmp')",
    "mkdir": "import os; os.mkdir('/tmp/made-by-a-guest')",
    "tcp": "import socket; socket.socket()",
    "udp": "import socket; socket.socket(socket.AF_INET, socket.SOCK_DGRAM)",
    "unix": "import socket; socket.socket(socket.AF_UNIX)",
    "raw socket": "import socket; socket.socket(socket.AF_INET, socket.SOCK_RAW)",
    "netlink": "import socket; socket.socket(socket.AF_NETLINK, socket.SOCK_RAW)",
    "socketpair": "import socket; socket.socketpair()",
    "send with an address": "sock.sendto(b'', '/tmp/some.sock')",
    "socket options": "import socket; sock.getsockopt(socket.SOL_SOCKET, 17, 12)",
    "fork": "import os; os.fork()",
    "posix_spawn": "import os; os.posix_spawn('/bin/true', ['true'], {})",
    "subprocess": "import subprocess; subprocess.run(['true'])",
    "signal host": "import os; os.kill(options['host'], 0)",
    "signal all": "import os; os.kill(-1, 9)",
    "signal group": "import os; os.killpg(0, 9)",
    "pidfd": "import os; os.pidfd_open(options['host'])",
    "memfd": "import os; os.memfd_create('x')",
    "executable memory": "import mmap; mmap.mmap(-1, 4096, prot=7)",
    "affinity": "import os; os.sched_setaffinity(0, {0})",
    "nice": "import os; os.nice(-5)",
    "another's cpu clock": "import time; time.clock_gettime(~options['host'] << 3 | 2)",
    "dup": "import os; os.dup(3)",
    "pipe": "import os; os.pipe()",
    "setuid": "import os; os.setuid(0)",
    "terminal": "import fcntl; fcntl.ioctl(3, 0x5412, b'x')",
    "sqlite file": "import sqlite3; sqlite3.connect('/tmp/made-by-a-guest')",
}

RAW_REFUSED = {
    "openat2": "raw(437, -100, b'/etc/passwd', bytes(24), 24)",
    "landlock again": "raw(444, 0, 0, 1)",
    "pkey_mprotect": "raw(329 if options['x86'] else 288, 0, 4096, 4, -1)",
    "mprotect to executable": "import mmap; raw(10 if options['x86'] else 226, 0x10000, 4096, 4)",
    "prctl": "raw(157 if options['x86'] else 167, 4, 1, 0, 0, 0)",
    "clone3": "raw(435, bytes(88), 88)",
    "prlimit": "raw(302 if options['x86'] else 261, 0, 9, bytes(16), 0)",
    "memory merging": "raw(28 if options['x86'] else 233, 0x10000, 4096, 12)",
    "priority inheritance": "raw(202 if options['x86'] else 98, bytes(8), 6, 0, 0, 0, 0)",
}

DEADLY = {
    "exec": "import os; os.execv('/bin/true', ['true'])",
    "raw execve": RAW + "raw(59 if options['x86'] else 221, b'/bin/true', 0, 0)",
    "raw ptrace": RAW + "raw(101 if options['x86'] else 117, 16, options['host'], 0, 0)",
    "raw io_uring": RAW + "raw(425, 8, bytes(120))",
    "raw process_vm_readv": RAW + "raw(310 if options['x86'] else 270, options['host'], 0, 0, 0, 0, 0)",
    "raw bpf": RAW + "raw(321 if options['x86'] else 280, 0, bytes(64), 64)",
    "raw unshare": RAW + "raw(272 if options['x86'] else 97, 0x10000000)",
}
if X86:
    DEADLY["x32 calls"] = RAW + "raw(0x40000000 | 39)"

OPTIONS = {"host": os.getpid(), "x86": X86}


@pytest.mark.parametrize("code", REFUSED.values(), ids=REFUSED.keys())
def test_refused(zygote, code):
    """An attempt to reach a file, the network or another process is an ordinary error in the guest."""
    said, status = run(zygote, code, options=OPTIONS)
    assert said.startswith(("PermissionError", "OperationalError: unable to open")), said
    assert status == "exited with 0"


@pytest.mark.parametrize("code", RAW_REFUSED.values(), ids=RAW_REFUSED.keys())
def test_refused_raw(zygote, code):
    """System calls that are made without Python's own functions are refused as well."""
    assert run(zygote, RAW + code, options=OPTIONS) == ("refused", "exited with 0")


@pytest.mark.parametrize("code", DEADLY.values(), ids=DEADLY.keys())
def test_deadly(zygote, code):
    """The calls that no honest guest makes end the guest."""
    assert run(zygote, code, options=OPTIONS) == ("", "killed by SIGSYS (the system-call filter)")


def test_raw_calls_do_work_where_allowed(zygote):
    """The raw calls of these tests are real: an allowed one answers."""
    said, _ = run(zygote, RAW + "raw(39 if options['x86'] else 172); print(report['pid'])", options=OPTIONS)
    assert re.fullmatch(r"got (\d+)\n\1", said)


def test_nothing_was_made():
    """None of the attempts left a file behind."""
    assert not Path("/tmp/made-by-a-guest").exists()


def test_threads_are_refused(zygote):
    """A guest cannot start threads."""
    said, _ = run(zygote, "import threading; threading.Thread(target=print).start()")
    assert said == "RuntimeError: can't start new thread"


@pytest.mark.parametrize(
    ("code", "said"),
    [
        ("print(sum(range(10)))", "45"),
        ("import time; time.sleep(0.001); print(time.monotonic() > 0, time.time() > 0)", "True True"),
        ("import os; print(len(os.urandom(8)), os.getcwd(), dict(os.environ))", "8 / {}"),
        ("x = bytearray(50 << 20); del x; print('ok')", "ok"),
        (
            "def f(): f()\ntry: f()\nexcept RecursionError: print(1)",
            "1",
        ),
        ("import threading\nwith threading.Lock(): print(threading.Event().wait(0.001))", "False"),
    ],
    ids=["compute", "clocks", "process", "memory", "stack", "locks"],
)
def test_benign(zygote, code, said):
    """What an ordinary program needs works."""
    limits = GuestLimits(memory_bytes=2 << 30)
    assert run(zygote, code, limits=limits) == (said, "exited with 0")


def test_report(zygote):
    """The report says what is enforced, and is what the guest finds about itself."""
    said, _ = run(
        zygote, "import os; print(sorted(report), report['tier'], report['seccomp'], report['uid'] == os.getuid())"
    )
    assert said == "['landlock', 'pid', 'rlimits', 'seccomp', 'tier', 'uid'] sealed True True"


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")
def test_root_becomes_nobody(zygote):
    """A guest of a host that runs as root is nobody."""
    assert run(zygote, "import os; print(os.getuid(), os.geteuid(), os.getgid())") == (
        f"{NOBODY} {NOBODY} {NOBODY}",
        "exited with 0",
    )


def test_only_one_way_out(zygote):
    """Apart from the socket, a guest has /dev/null three times and nothing else."""
    code = """
import os, stat
found = {}
for fd in range(1024):
    try: found[fd] = stat.S_IFMT(os.fstat(fd).st_mode) == stat.S_IFSOCK
    except OSError: pass
print(found)
"""
    said, _ = run(zygote, code)
    # Where the C library asks by newfstatat, which can name paths, the question itself is refused.
    assert said in ("{0: False, 1: False, 2: False, 3: True}", "{}")
    with zygote.spawn() as guest:
        folder = Path(f"/proc/{guest.pid}/fd")
        if os.access(folder, os.R_OK):
            guest.sock.sendall(b"pass")  # the guest has begun to read only after it closed the rest
            while len(list(folder.iterdir())) > 4:
                assert guest.alive
            assert {int(path.name) for path in folder.iterdir()} == {0, 1, 2, 3}


@pytest.mark.parametrize(
    "code", ["x = bytearray(1 << 40)", "x = []\nwhile True: x.append(bytearray(1 << 20))"], ids=["at once", "by and by"]
)
def test_memory_bomb(zygote, code):
    """Memory beyond the limit is a MemoryError for the guest, not a problem for the machine."""
    said, status = run(zygote, code, limits=GuestLimits(memory_bytes=128 << 20))
    assert (said, status) in (("MemoryError:", "exited with 0"), ("", "exited with 71 (it ran out of memory)"))


def test_cpu_limit(zygote):
    """An endless loop ends at the CPU limit, and the status says so."""
    said, status = run(zygote, "while True: pass", limits=GuestLimits(cpu_seconds=1))
    assert (said, status) == ("", "killed by SIGXCPU (the CPU limit)")


def test_segfault_is_the_guest_s_own(zygote):
    """A guest that crashes takes nothing along."""
    code = RAW + "type('F', (type(call),), {'_flags_': 1})(8)()"
    assert run(zygote, code) == ("", "killed by SIGSEGV")
    assert run(zygote, "print(1)") == ("1", "exited with 0")


def test_ctypes_is_not_importable(zygote):
    """The package that makes system calls easy is not there."""
    assert run(zygote, "import ctypes")[0] == "ModuleNotFoundError: No module named 'ctypes'"
    assert run(zygote, "import _ctypes")[0] == "ModuleNotFoundError: No module named '_ctypes'"


# --- the filter as a program ------------------------------------------------------------------------

ALLOW, REFUSE, KILL = 0x7FFF0000, 0x00050001, 0x80000000


def verdict(program, machine, number, arguments=(0,) * 6):
    """Interpret a classic BPF program on one system call."""
    arch = seccomp.AUDIT_ARCH[machine]
    data = struct.pack("=IIQ6Q", number, arch, 0, *arguments)
    instructions = list(struct.iter_unpack("=HBBI", program))
    accumulator = at = 0
    while True:
        code, jump, fall, value = instructions[at]
        at += 1
        if code == 0x06:
            return value
        if code == 0x20:
            accumulator = struct.unpack_from("=I", data, value)[0]
        elif code == 0x54:
            accumulator &= value
        else:
            held = {0x15: accumulator == value, 0x35: accumulator >= value, 0x45: bool(accumulator & value)}[code]
            at += jump if held else fall


@pytest.mark.parametrize("machine", seccomp.MACHINES)
@given(number=st.integers(0, 2**32 - 1) | st.integers(0, 600), arguments=st.tuples(*[st.integers(0, 2**64 - 1)] * 6))
def test_filter_allows_only_the_list(machine, number, arguments):
    """Whatever the arguments: allowed is what is listed, and nothing else."""
    column = seccomp.MACHINES.index(machine)
    names = {numbers[column]: name for name, numbers in seccomp.NUMBERS.items()}
    found = verdict(seccomp.assemble(machine), machine, number, arguments)
    name = names.get(number)
    if name in seccomp.ALLOWED:
        assert found == ALLOW
    elif name in seccomp.DEADLY or (machine == "x86_64" and number >= 0x40000000):
        assert found == KILL
    elif name in seccomp.INSPECTED:
        assert found in (ALLOW, REFUSE)
    else:
        assert found == REFUSE


@pytest.mark.parametrize("machine", seccomp.MACHINES)
@given(arguments=st.tuples(*[st.integers(0, 2**64 - 1)] * 6))
def test_filter_never_allows_executable_memory(machine, arguments):
    """No combination of arguments maps or makes memory executable, and none sends to an address."""
    program, column = seccomp.assemble(machine), seccomp.MACHINES.index(machine)
    for name in ("mmap", "mprotect"):
        expected = REFUSE if arguments[2] & 4 else ALLOW
        assert verdict(program, machine, seccomp.NUMBERS[name][column], arguments) == expected
    expected = REFUSE if arguments[4] else ALLOW
    assert verdict(program, machine, seccomp.NUMBERS["sendto"][column], arguments) == expected


def test_filter_refuses_other_conventions():
    """Calls by another architecture's numbers end the process."""
    assert verdict(seccomp.assemble("x86_64"), "aarch64", 63) == KILL


def test_no_filter_for_an_unknown_machine():
    """A machine without a filter is an error and not an empty filter."""
    with pytest.raises(LookupError, match="expected one of x86_64, aarch64"):
        seccomp.assemble("riscv64")


@pytest.mark.parametrize(
    ("column", "header"),
    [(0, "/usr/include/x86_64-linux-gnu/asm/unistd_64.h"), (1, "/usr/include/asm-generic/unistd.h")],
    ids=seccomp.MACHINES,
)
def test_numbers_are_the_kernel_s(column, header):
    """The numbers of the tables are those of the kernel's headers."""
    if not Path(header).exists():
        pytest.skip(f"{header} is not installed")
    known = dict(re.findall(r"#define __NR(?:3264)?_(\w+) (\d+)", Path(header).read_text()))
    known["open_by_handle_at"] = known.get("open_by_handle_at", "265")  # spelled over two lines in one of them
    for name, numbers in seccomp.NUMBERS.items():
        if numbers[column] is not None:
            assert known[name] == str(numbers[column]), name


# --- other machines, played here --------------------------------------------------------------------

# Runs in a process of its own: makes system calls fail as on an older kernel, for itself and all it starts.
WITHOUT = """
import struct, sys
from proxyplane.guest import sandbox
from proxyplane.errors import TierUnavailable
from proxyplane.launch import Zygote
def without(*numbers):
    steps = [(0x20, 0, 0, 0)]
    for number in numbers:
        steps += [(0x15, 0, 1, number), (0x06, 0, 0, 0x00050000 | 38)]
    steps.append((0x06, 0, 0, 0x7FFF0000))
    program = b"".join(struct.pack("=HBBI", *step) for step in steps)
    sandbox._prctl(38, 1)
    sandbox._call(sandbox._SECCOMP[sandbox._machine], 1, 0,
                  struct.pack("=HxxxxxxQ", len(steps), sandbox._address(program)))
"""


def python(script, **options):
    """Run a script in a new interpreter; what it printed."""
    done = subprocess.run(
        [options.pop("interpreter", sys.executable), "-c", textwrap.dedent(script)],
        env={"PYTHONPATH": f"{ROOT}{os.pathsep}{SITE}", "PYTHONDONTWRITEBYTECODE": "1"},
        cwd="/",
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        **options,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.split()


@pytest.mark.parametrize(
    ("missing", "tier", "required"),
    [("444", "filtered", "sealed"), ("444, sandbox._SECCOMP[sandbox._machine]", "split", "filtered")],
    ids=["without Landlock", "without both"],
)
def test_weaker_machines_say_so_and_fail_closed(missing, tier, required):
    """A kernel that lacks a wall gives a weaker tier by name, and none at all where more is required."""
    script = f"""
without({missing})
with Zygote.start() as zygote:
    print(zygote.tier)
    try: zygote.spawn(tier={required!r})
    except TierUnavailable: print("refused")
try: Zygote.start(tier_required={required!r})
except TierUnavailable as error: print("refused" if {required!r} in str(error) else error)
"""
    assert python(WITHOUT + script) == [tier, "refused", "refused"]


def test_failing_calls_are_noticed():
    """A step that the kernel refuses is an error, by whichever function it is asked for."""
    with pytest.raises(OSError, match="Invalid argument"):
        sandbox._prctl(9999, 0)
    with pytest.raises(OSError, match="Invalid argument"):
        sandbox._checked(sandbox._libc_capset, bytes(8), bytes(24))
    with pytest.raises(OSError, match="Function not implemented"):
        sandbox._call(100_000)


def test_a_wall_that_breaks_later_means_no_guest():
    """When a wall is gone at the moment of the fork, the guest ends before it says anything."""
    script = """
import os
limits = {"memory_bytes": 1 << 29, "cpu_seconds": 9, "open_files": 16}
without(444)
child = os.fork()
if not child:
    try: sandbox.lock_down(limits, "sealed", os.getppid())
    except sandbox.SandboxError: os._exit(78)
    os._exit(0)
print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""
    assert python(WITHOUT + script) == ["78"]


def interpreters_for_nobody():
    """Interpreters that an ordinary user of this machine may run."""
    for path in (sys.executable, shutil.which("python3", path="/usr/local/bin:/usr/bin")):
        if path:
            script = "import sys, msgpack; print(sys.version_info >= (3, 11))"
            try:
                if python(script, interpreter=path, user=NOBODY, group=NOBODY) == ["True"]:
                    yield path
            except (AssertionError, PermissionError):
                continue


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")
def test_a_plain_user_s_guests_are_sealed_too(zygote):
    """A host without privileges gets the same walls."""
    interpreter = next(interpreters_for_nobody(), None)
    if interpreter is None:
        pytest.skip("no interpreter here may be run by an ordinary user")
    script = """
from proxyplane.launch import Zygote, probe
with Zygote.start(tier_required="sealed") as zygote:
    print(zygote.tier)
print([probe.name for probe in probe() if not probe.refused])
"""
    assert python(script, interpreter=interpreter, user=NOBODY, group=NOBODY) == ["sealed", "[]"]
