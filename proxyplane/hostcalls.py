"""The system calls that are left to a sealed host, as a filter. Pure: this file makes no system call.

What Landlock judges by its path is free here; this filter takes what Landlock does not know:

- no new sockets, and none is bound or connected: local sockets and UDP are out of Landlock's reach. `sendto` only
  without an address, so it goes where the socket is connected. A connected pair may be made (event loops do);
- nothing is executed, forked, traced or mounted; `clone` only for threads;
- signals go to this process and its zygote, and by a pidfd to guests, whose pidfds the zygote gave;
- `ioctl` as files and terminals need it: never TIOCSTI, which types into the terminal of the person who looks;
- no change of owners, modes, times (but under `[fs]`) and attributes of files; no keys, no namespaces, no users.

What is not allowed answers EPERM, a `PermissionError` in Python: a library that tries gets an error, and no session of
others ends with it.

Sources: seccomp(2), clone(2), ioctl_list(2); call numbers from asm/unistd_64.h (x86_64) and asm-generic/unistd.h.
"""

from __future__ import annotations

from typing import Final

from proxyplane.guest.seccomp import (
    ALLOW,
    ALLOWED,
    UNKNOWN,
    Instruction,
    also,
    build,
    has,
    load,
    mask,
    one_of,
    only,
    zero,
)
from proxyplane.guest.seccomp import NUMBERS as GUEST_NUMBERS

__all__ = ["NUMBERS", "assemble"]

# name: (x86_64, aarch64); None where the architecture has no such call. What guests have too is in their table.
NUMBERS: Final[dict[str, tuple[int | None, int | None]]] = {
    "pread64": (17, 67), "pwrite64": (18, 68), "preadv": (295, 69), "pwritev": (296, 70), "preadv2": (327, 286),
    "pwritev2": (328, 287), "open": (2, None), "openat": (257, 56), "creat": (85, None), "close_range": (436, 436),
    "stat": (4, None), "lstat": (6, None), "newfstatat": (262, 79), "statx": (332, 291), "access": (21, None),
    "faccessat": (269, 48), "faccessat2": (439, 439), "readlink": (89, None), "readlinkat": (267, 78),
    "getdents": (78, None), "getdents64": (217, 61), "statfs": (137, 43), "fstatfs": (138, 44), "fcntl": (72, 25),
    "flock": (73, 32), "fsync": (74, 82), "fdatasync": (75, 83), "sync_file_range": (277, 84), "ftruncate": (77, 46),
    "truncate": (76, 45), "fallocate": (285, 47), "fadvise64": (221, 223), "copy_file_range": (326, 285),
    "sendfile": (40, 71), "dup": (32, 23), "dup2": (33, None), "dup3": (292, 24), "pipe": (22, None),
    "pipe2": (293, 59), "eventfd": (284, None), "eventfd2": (290, 19), "epoll_create": (213, None),
    "epoll_create1": (291, 20), "epoll_ctl": (233, 21), "epoll_wait": (232, None), "epoll_pwait": (281, 22),
    "epoll_pwait2": (441, 441), "timerfd_create": (283, 85), "timerfd_settime": (286, 86),
    "timerfd_gettime": (287, 87), "signalfd4": (289, 74), "rt_sigpending": (127, 136), "rt_sigtimedwait": (128, 137),
    "rt_sigsuspend": (130, 133), "pause": (34, None), "alarm": (37, None), "setitimer": (38, 103),
    "getitimer": (36, 102), "memfd_create": (319, 279), "mincore": (27, 232), "msync": (26, 227), "mlock": (149, 228),
    "munlock": (150, 229), "mlock2": (325, 284), "set_robust_list": (273, 99), "get_robust_list": (274, 100),
    "rseq": (334, 293), "set_tid_address": (218, 96), "membarrier": (324, 283), "futex_waitv": (449, 449),
    "getppid": (110, 173), "getpgrp": (111, None), "getpgid": (121, 155), "getsid": (124, 156),
    "getpriority": (140, 141), "getresuid": (118, 148), "getresgid": (120, 150), "getgroups": (115, 158),
    "sched_getaffinity": (204, 123), "sched_setaffinity": (203, 122), "sched_getparam": (143, 121),
    "sched_getscheduler": (145, 120), "sched_get_priority_max": (146, 125), "sched_get_priority_min": (147, 126),
    "getcpu": (309, 168), "get_mempolicy": (239, 236), "mbind": (237, 235), "set_mempolicy": (238, 237),
    "sysinfo": (99, 179), "uname": (63, 160), "getrusage": (98, 165), "times": (100, 153), "umask": (95, 166),
    "chdir": (80, 49), "fchdir": (81, 50), "wait4": (61, 260), "waitid": (247, 95), "pidfd_send_signal": (424, 424),
    "accept": (43, 202), "accept4": (288, 242), "getsockname": (51, 204), "getpeername": (52, 205),
    "getsockopt": (55, 209), "setsockopt": (54, 208), "recvmmsg": (299, 243), "unlink": (87, None),
    "unlinkat": (263, 35), "rename": (82, None), "renameat": (264, 38), "renameat2": (316, 276), "mkdir": (83, None),
    "mkdirat": (258, 34), "rmdir": (84, None), "symlink": (88, None), "symlinkat": (266, 36),
    "pkey_alloc": (330, 289), "pkey_free": (331, 290), "pkey_mprotect": (329, 288), "arch_prctl": (158, None),
    "getrlimit": (97, 163), "clone": (56, 220), "socketpair": (53, 199), "prctl": (157, 167), "prlimit64": (302, 261),
    "kill": (62, 129), "tgkill": (234, 131), "tkill": (200, 130), "utimensat": (280, 88), "utime": (132, None),
    "utimes": (235, None), "futimesat": (261, None), "clone3": (435, 435), "openat2": (437, 437),
}  # fmt: skip

_GUEST_JUDGED: Final = ("mmap", "mprotect", "madvise", "futex", "clock_gettime", "clock_getres", "clock_nanosleep")
"""Calls whose arguments are looked at in a guest, and which a host may make in any form."""
_NEWER: Final = ("clone3", "openat2")
"""Their arguments lie in memory, where a filter cannot look."""
_TIMES: Final = ("utimensat", "utime", "utimes", "futimesat")
_JUDGED: Final = ("clone", "socketpair", "prctl", "prlimit64", "kill", "tgkill", "tkill")

_CLONE_THREAD: Final = 0x00010000
_SOCKET_TYPE: Final = 0xF
_CONNECTED: Final = (1, 5)  # SOCK_STREAM, SOCK_SEQPACKET
_OF_FILES: Final = (0x5401, 0x5413, 0x540F, 0x541B, 0x5421, 0x5450, 0x5451, 0x802C542A)
"""TCGETS, TIOCGWINSZ, TIOCGPGRP, FIONREAD, FIONBIO, FIONCLEX, FIOCLEX, TCGETS2."""
_OF_PROCESSES: Final = (3, 7, 15, 16, 21, 27, 30, 34, 39, 40, 42, 0x53564D41)
"""prctl: what only asks, names of threads (PR_SET_NAME) and of memory (PR_SET_VMA)."""
_RLIMIT_AS: Final = 9


def assemble(machine: str, *, own: tuple[int, ...], times: bool) -> bytes:
    """The filter of a sealed host as an array of `struct sock_filter`.

    Args:
        machine: `x86_64` or `aarch64`.
        own: process ids that may be signalled, this process first.
        times: whether the times of files may be set, which Landlock does not judge.

    Raises:
        LookupError: no filter is known for this machine.
    """
    free = [(GUEST_NUMBERS[name], [ALLOW]) for name in (*ALLOWED, *_GUEST_JUDGED)]
    free += [
        (numbers, [ALLOW])
        for name, numbers in NUMBERS.items()
        if name not in _JUDGED and name not in _NEWER and (times or name not in _TIMES)
    ]
    free = [(numbers, body) for numbers, body in free if numbers != GUEST_NUMBERS["ioctl"]]
    judged = [(NUMBERS[name], body) for name, body in _judgements(own).items()]
    judged += [(GUEST_NUMBERS["ioctl"], [load(1), *one_of(_OF_FILES)]), (GUEST_NUMBERS["sendto"], zero(4))]
    return build(machine, [*judged, *free, *((NUMBERS[name], [UNKNOWN]) for name in _NEWER)])


def _judgements(own: tuple[int, ...]) -> dict[str, list[Instruction]]:
    """What follows calls whose arguments are looked at."""
    return {
        "clone": [load(0), *has(_CLONE_THREAD)],
        "socketpair": [load(1), mask(_SOCKET_TYPE), *one_of(_CONNECTED)],
        "prctl": [load(0), *one_of(_OF_PROCESSES)],
        # Of this process: asking (no new limit is given), and the limit of the address space.
        "prlimit64": [load(0), *only(0), load(1), *also(_RLIMIT_AS), *zero(2)],
        "kill": [load(0), *one_of(own)],
        "tgkill": [load(0), *one_of(own[:1])],
        "tkill": [load(0), *one_of(own[:1])],
    }
