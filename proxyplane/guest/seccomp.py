"""The guest's system-call filter, assembled as classic BPF. Pure: this file makes no system call.

The filter is an allow-list. What is not on it answers EPERM, so that a library which tries something
gets an ordinary `PermissionError`; the few calls that no honest program of this kind makes end the
process (SIGSYS), so that an attempt cannot be mistaken for anything else.

Everything that is allowed works on what the guest already has: its own memory, its one socket,
`/dev/null`, the clock and random bytes. Calls whose arguments could reach further are inspected:

- `mmap`, `mprotect`: never PROT_EXEC, so no machine code can be brought in.
- `sendto`: only without an address. The socket is connected; an address would be an attempt.
- `futex`: wait and wake only. Priority-inheritance operations act on threads of *other* processes.
- `clock_*`: fixed clocks only. A negative clock id reads the CPU time of another process.
- `madvise`: what an allocator needs. MADV_MERGEABLE would let page merging tell about other memory.
- `ioctl`: FIONBIO (the blocking mode of the own socket) only.

Sources: seccomp(2), linux/seccomp.h, linux/audit.h; call numbers from asm/unistd_64.h (x86_64) and
asm-generic/unistd.h (aarch64).
"""

from __future__ import annotations

import struct
from collections.abc import Iterable

__all__ = ["ALLOWED", "DEADLY", "INSPECTED", "MACHINES", "NUMBERS", "assemble", "build"]

MACHINES = ("x86_64", "aarch64")
AUDIT_ARCH = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}

# name: (x86_64, aarch64); None where the architecture has no such call.
NUMBERS: dict[str, tuple[int | None, int | None]] = {
    "read": (0, 63),
    "write": (1, 64),
    "readv": (19, 65),
    "writev": (20, 66),
    "close": (3, 57),
    "fstat": (5, 80),
    "lseek": (8, 62),
    "poll": (7, None),
    "ppoll": (271, 73),
    "select": (23, None),
    "pselect6": (270, 72),
    "futex": (202, 98),
    "mmap": (9, 222),
    "mprotect": (10, 226),
    "munmap": (11, 215),
    "mremap": (25, 216),
    "brk": (12, 214),
    "madvise": (28, 233),
    "rt_sigaction": (13, 134),
    "rt_sigprocmask": (14, 135),
    "rt_sigreturn": (15, 139),
    "sigaltstack": (131, 132),
    "restart_syscall": (219, 128),
    "clock_gettime": (228, 113),
    "clock_getres": (229, 114),
    "clock_nanosleep": (230, 115),
    "nanosleep": (35, 101),
    "gettimeofday": (96, 169),
    "time": (201, None),
    "getrandom": (318, 278),
    "exit": (60, 93),
    "exit_group": (231, 94),
    "sched_yield": (24, 124),
    "getpid": (39, 172),
    "gettid": (186, 178),
    "getuid": (102, 174),
    "geteuid": (107, 175),
    "getgid": (104, 176),
    "getegid": (108, 177),
    "sendto": (44, 206),
    "recvfrom": (45, 207),
    "sendmsg": (46, 211),
    "recvmsg": (47, 212),
    "shutdown": (48, 210),
    "getcwd": (79, 17),
    "ioctl": (16, 29),
    "execve": (59, 221),
    "execveat": (322, 281),
    "ptrace": (101, 117),
    "process_vm_readv": (310, 270),
    "process_vm_writev": (311, 271),
    "io_uring_setup": (425, 425),
    "io_uring_enter": (426, 426),
    "io_uring_register": (427, 427),
    "bpf": (321, 280),
    "mount": (165, 40),
    "umount2": (166, 39),
    "unshare": (272, 97),
    "setns": (308, 268),
    "pivot_root": (155, 41),
    "kexec_load": (246, 104),
    "kexec_file_load": (320, 294),
    "init_module": (175, 105),
    "finit_module": (313, 273),
    "delete_module": (176, 106),
    "reboot": (169, 142),
    "userfaultfd": (323, 282),
    "perf_event_open": (298, 241),
    "pidfd_getfd": (438, 438),
    "open_tree": (428, 428),
    "move_mount": (429, 429),
    "fsopen": (430, 430),
    "fsconfig": (431, 431),
    "fsmount": (432, 432),
    "fspick": (433, 433),
    "mount_setattr": (442, 442),
    "add_key": (248, 217),
    "request_key": (249, 218),
    "keyctl": (250, 219),
    "swapon": (167, 224),
    "swapoff": (168, 225),
    "open_by_handle_at": (304, 265),
}

INSPECTED = (
    *("mmap", "mprotect", "madvise", "sendto", "futex", "ioctl"),
    *("clock_gettime", "clock_getres", "clock_nanosleep"),
)

DEADLY = (
    *("execve", "execveat", "ptrace", "process_vm_readv", "process_vm_writev", "pidfd_getfd", "perf_event_open"),
    *("io_uring_setup", "io_uring_enter", "io_uring_register", "bpf", "userfaultfd", "open_by_handle_at"),
    *("mount", "umount2", "unshare", "setns", "pivot_root", "open_tree", "move_mount", "mount_setattr"),
    *("fsopen", "fsconfig", "fsmount", "fspick", "swapon", "swapoff", "add_key", "request_key", "keyctl"),
    *("kexec_load", "kexec_file_load", "init_module", "finit_module", "delete_module", "reboot"),
)

ALLOWED = tuple(name for name in NUMBERS if name not in INSPECTED and name not in DEADLY)

_LOAD, _JUMP_EQUAL, _JUMP_GREATER_EQUAL, _JUMP_SET, _AND, _RETURN = 0x20, 0x15, 0x35, 0x45, 0x54, 0x06
_ALLOW, _REFUSE, _KILL = 0x7FFF0000, 0x00050000 | 1, 0x80000000  # ERRNO | EPERM
_NR, _ARCH = 0, 4  # offsets in struct seccomp_data; argument n starts at 16 + 8 n, low half first
_X32_BIT = 0x40000000

_PROT_EXEC = 0x4
_FIXED_CLOCKS = 16
_FUTEX_COMMAND = 0x7F  # without FUTEX_PRIVATE_FLAG; FUTEX_CLOCK_REALTIME lies above it
_FUTEX_WAIT_WAKE = (0, 1, 9, 10)  # WAIT, WAKE, WAIT_BITSET, WAKE_BITSET
_MADVISE_ALLOCATOR = (4, 8, 14, 15)  # DONTNEED, FREE, HUGEPAGE, NOHUGEPAGE
_FIONBIO = 0x5421

Instruction = tuple[int, int, int, int]

ALLOW: Instruction = (_RETURN, 0, 0, _ALLOW)
REFUSE: Instruction = (_RETURN, 0, 0, _REFUSE)
UNKNOWN: Instruction = (_RETURN, 0, 0, 0x00050000 | 38)
"""ENOSYS: whoever asks takes an older call instead, which can be inspected."""


def assemble(machine: str) -> bytes:
    """The filter for `machine` as an array of `struct sock_filter`.

    Args:
        machine: `x86_64` or `aarch64`, as `os.uname().machine` says it.

    Raises:
        LookupError: no filter is known for this machine.
    """
    inspections = _inspections()
    calls = [(NUMBERS[name], inspections[name]) for name in INSPECTED]
    calls += [(NUMBERS[name], [ALLOW]) for name in ALLOWED]
    return build(machine, [*calls, *((NUMBERS[name], [(_RETURN, 0, 0, _KILL)]) for name in DEADLY)])


def build(machine: str, calls: Iterable[tuple[tuple[int | None, int | None], list[Instruction]]]) -> bytes:
    """A filter out of what is done for each call; every other one answers EPERM.

    Args:
        machine: `x86_64` or `aarch64`.
        calls: a call's number on each machine, and what follows when it is made: instructions that end in a verdict on
            every path.

    Raises:
        LookupError: no filter is known for this machine.
    """
    if machine not in AUDIT_ARCH:
        raise LookupError(f"no system-call filter for {machine!r}: expected one of {', '.join(MACHINES)}")
    column = MACHINES.index(machine)
    program: list[Instruction] = [
        (_LOAD, 0, 0, _ARCH),
        (_JUMP_EQUAL, 1, 0, AUDIT_ARCH[machine]),
        (_RETURN, 0, 0, _KILL),  # another calling convention has other numbers
        (_LOAD, 0, 0, _NR),
    ]
    if machine == "x86_64":
        program += [(_JUMP_GREATER_EQUAL, 0, 1, _X32_BIT), (_RETURN, 0, 0, _KILL)]
    for numbers, body in calls:
        number = numbers[column]
        if number is not None:
            program += [(_JUMP_EQUAL, 0, len(body), number), *body]
    program.append(REFUSE)
    return b"".join(struct.pack("=HBBI", *instruction) for instruction in program)


def load(argument: int, *, high: bool = False) -> Instruction:
    """Load the low (or high) half of a call's argument."""
    return (_LOAD, 0, 0, _low(argument) + (4 if high else 0))


def mask(bits: int) -> Instruction:
    """Keep these bits of what is loaded."""
    return (_AND, 0, 0, bits)


def one_of(values: tuple[int, ...]) -> list[Instruction]:
    """Allow when the loaded word is one of `values`, else refuse."""
    jumps = [(_JUMP_EQUAL, len(values) - at, 0, value) for at, value in enumerate(values)]
    return [*jumps, REFUSE, ALLOW]


def has(bits: int) -> list[Instruction]:
    """Allow when one of these bits of the loaded word is set, else refuse."""
    return [(_JUMP_SET, 1, 0, bits), REFUSE, ALLOW]


def only(value: int) -> list[Instruction]:
    """Refuse when the loaded word is another value."""
    return [(_JUMP_EQUAL, 1, 0, value), REFUSE]


def also(value: int) -> list[Instruction]:
    """Allow when the loaded word is this value."""
    return [(_JUMP_EQUAL, 0, 1, value), ALLOW]


def zero(argument: int) -> list[Instruction]:
    """Allow when an argument is zero (a null pointer), else refuse."""
    low, high = load(argument), load(argument, high=True)
    return [low, (_JUMP_EQUAL, 1, 0, 0), REFUSE, high, (_JUMP_EQUAL, 1, 0, 0), REFUSE, ALLOW]


def _inspections() -> dict[str, list[Instruction]]:
    """What follows the match of an inspected call. Each body ends in a verdict on every path."""
    not_executable = [
        (_LOAD, 0, 0, _low(2)),
        (_JUMP_SET, 0, 1, _PROT_EXEC),
        (_RETURN, 0, 0, _REFUSE),
        (_RETURN, 0, 0, _ALLOW),
    ]
    fixed_clock = [
        (_LOAD, 0, 0, _low(0)),
        (_JUMP_GREATER_EQUAL, 0, 1, _FIXED_CLOCKS),
        (_RETURN, 0, 0, _REFUSE),
        (_RETURN, 0, 0, _ALLOW),
    ]
    return {
        "mmap": not_executable,
        "mprotect": not_executable,
        "sendto": zero(4),
        "futex": [(_LOAD, 0, 0, _low(1)), (_AND, 0, 0, _FUTEX_COMMAND), *one_of(_FUTEX_WAIT_WAKE)],
        "clock_gettime": fixed_clock,
        "clock_getres": fixed_clock,
        "clock_nanosleep": fixed_clock,
        "madvise": [(_LOAD, 0, 0, _low(2)), *one_of(_MADVISE_ALLOCATOR)],
        "ioctl": [(_LOAD, 0, 0, _low(1)), *one_of((_FIONBIO,))],
    }


def _low(argument: int) -> int:
    """Offset of the low half of an argument; both machines are little-endian."""
    return 16 + 8 * argument
