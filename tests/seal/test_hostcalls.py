"""The sealed host's filter as a pure function: which calls pass, with which arguments."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxyplane import hostcalls
from proxyplane.guest import seccomp

ALLOW, EPERM, ENOSYS, KILL = 0x7FFF0000, 0x00050001, 0x00050026, 0x80000000
OWN = (4242, 4243)
NAMES = {**seccomp.NUMBERS, **hostcalls.NUMBERS}


def verdict(program: bytes, machine: str, number: int, arguments: tuple[int, ...] = ()) -> int:
    """What the filter answers, by an interpreter of classic BPF."""
    padded = (*arguments, *(0,) * (6 - len(arguments)))
    data = struct.pack("=IIQ6Q", number, seccomp.AUDIT_ARCH[machine], 0, *(each & (1 << 64) - 1 for each in padded))
    steps = [struct.unpack_from("=HBBI", program, at) for at in range(0, len(program), 8)]
    at = word = 0
    while True:
        code, yes, no, value = steps[at]
        at += 1
        if code == 0x06:
            return int(value)
        if code == 0x20:
            word = struct.unpack_from("=I", data, value)[0]
        elif code == 0x54:
            word &= value
        else:
            holds = {0x15: word == value, 0x35: word >= value, 0x45: bool(word & value)}[code]
            at += yes if holds else no


def asked(name: str, *arguments: int, machine: str = "x86_64", times: bool = False) -> int:
    number = NAMES[name][seccomp.MACHINES.index(machine)]
    assert number is not None
    return verdict(hostcalls.assemble(machine, own=OWN, times=times), machine, number, arguments)


MACHINES = pytest.mark.parametrize("machine", seccomp.MACHINES)

NEVER = (
    *((41, 198), (42, 203), (49, 200), (50, 201)),  # socket, connect, bind, listen
    *((59, 221), (322, 281), (101, 117), (310, 270), (311, 271)),  # execve, execveat, ptrace, process_vm_*
    *((434, 434), (438, 438), (425, 425), (321, 280), (298, 241)),  # pidfd_open, pidfd_getfd, io_uring, bpf, perf
    *(
        (165, 40),
        (272, 97),
        (308, 268),
        (161, 51),
        (105, 146),
        (126, 91),
    ),  # mount, unshare, setns, chroot, setuid, capset
    *((91, 52), (268, 53), (93, 55), (265, 37), (259, 33)),  # fchmod, fchmodat, fchown, linkat, mknodat
    *((188, 5), (29, 194), (240, 180), (307, 269)),  # setxattr, shmget, mq_open, sendmmsg
)


@MACHINES
@pytest.mark.parametrize("numbers", NEVER)
def test_what_a_host_never_needs_is_refused(machine: str, numbers: tuple[int, int]):
    """New sockets, execution, tracing, namespaces, owners and modes: an error, and the host lives on."""
    number = numbers[seccomp.MACHINES.index(machine)]
    assert verdict(hostcalls.assemble(machine, own=OWN, times=True), machine, number) == EPERM


@MACHINES
@pytest.mark.parametrize(
    ("name", "passes", "refused"),
    [
        ("clone", (0x3D0F00,), (0x01200011,)),
        ("socketpair", (1, 1 | 0o2000000), (1, 2)),
        ("sendto", (5, 1, 1, 0, 0), (5, 1, 1, 0, 0x7F00_0000_0000)),
        ("kill", (4243, 9), (4244, 9)),
        ("kill", (4242, 9), (-1, 9)),
        ("tgkill", (4242, 7, 6), (4243, 7, 6)),
        ("prctl", (15,), (38,)),
        ("prlimit64", (0, 7, 0), (0, 7, 0x7F00_0000_0000)),
        ("prlimit64", (0, 9, 0x7F00_0000_0000), (1, 9, 0x7F00_0000_0000)),
        ("prlimit64", (0, 7, 0), (0, 7, 1 << 32)),
        ("ioctl", (0, 0x5401), (0, 0x5412)),
    ],
)
def test_calls_that_are_looked_at(machine: str, name: str, passes: tuple[int, ...], refused: tuple[int, ...]):
    """Threads but no processes, connected pairs but no datagrams, own signals, own limits, no typing into terminals."""
    assert asked(name, *passes, machine=machine) == ALLOW
    assert asked(name, *refused, machine=machine) == EPERM


@MACHINES
def test_newer_forms_do_not_exist(machine: str):
    """Calls whose arguments a filter cannot see answer that they do not exist, so that older ones are taken."""
    assert asked("clone3", machine=machine) == asked("openat2", machine=machine) == ENOSYS


@MACHINES
def test_times_of_files_are_set_only_where_files_are_written(machine: str):
    """Landlock does not judge them, so they are part of what `[fs] write` grants."""
    assert asked("utimensat", machine=machine) == EPERM
    assert asked("utimensat", machine=machine, times=True) == ALLOW


@MACHINES
@given(number=st.integers(0, 0x3FFFFFFF))
def test_every_other_number_is_refused(machine: str, number: int):
    """What is not in the table does not pass, whatever the kernel will once do under that number."""
    column = seccomp.MACHINES.index(machine)
    if number not in {numbers[column] for numbers in NAMES.values()}:
        assert verdict(hostcalls.assemble(machine, own=OWN, times=True), machine, number) == EPERM


def test_other_calling_conventions_end_the_process():
    """Numbers mean something else there."""
    program = hostcalls.assemble("x86_64", own=OWN, times=True)
    assert verdict(program, "aarch64", 63) == KILL
    assert verdict(program, "x86_64", 0x40000000) == KILL
