"""The guest's sandbox: what is taken away from a freshly forked process before agent code runs in it.

    uid 65534 · no capabilities · rlimits · not dumpable · dies with its zygote       every tier
    no_new_privs · seccomp allow-list                                                 filtered, sealed
    Landlock: no file, no TCP port, no abstract socket, no signal                     sealed

Tiers are never assumed. `available()` tries them in a throw-away child, `lock_down()` checks after each
step that the step really took hold, and raises `SandboxError` when it did not, so that a guest that is
less confined than its record says does not come to be.

The system calls are made through `_ctypes` without the `ctypes` package: importing `ctypes` allocates a
page that is both writable and executable, which every guest would inherit. `forget()` drops what this file
holds of it. That is tidiness and not a boundary: the types of `_ctypes` stay reachable through
`object.__subclasses__()`, and the filter holds against code that makes system calls of its own.

Sources: landlock(7), linux/landlock.h, seccomp(2), prctl(2), capset(2).
"""

from __future__ import annotations

import _ctypes
import contextlib
import errno
import os
import resource
import signal
import struct
import sys
from collections.abc import Iterable, Mapping
from typing import Any, TypedDict

from proxyplane.guest import seccomp

__all__ = [
    "NOBODY",
    "TIERS",
    "Report",
    "SandboxError",
    "available",
    "close_all_but",
    "forget",
    "gain_nothing",
    "install_filter",
    "lock_down",
    "protect_zygote",
    "restrict_files",
    "settle",
]

TIERS = ("sealed", "filtered", "split")
"""Strongest first. `split` is a process with rlimits, which is not a boundary."""

NOBODY = 65534

_LANDLOCK_CREATE, _LANDLOCK_ADD, _LANDLOCK_RESTRICT, _CLOSE_RANGE = 444, 445, 446, 436  # the same everywhere
_SCOPE_SIGNAL = 2
_SECCOMP = {"x86_64": 317, "aarch64": 277}
_PR_SET_PDEATHSIG, _PR_SET_DUMPABLE, _PR_SET_NO_NEW_PRIVS = 1, 4, 38
_SECCOMP_SET_MODE_FILTER, _SECCOMP_FILTER_FLAG_TSYNC = 1, 1
_CAPABILITY_VERSION_3 = 0x20080522
_LAST_FD = 0xFFFFFFFF


class Report(TypedDict):
    """What is really enforced in one guest."""

    tier: str
    landlock: int
    """The kernel's Landlock ABI; 0 when Landlock is not in force."""
    seccomp: bool
    rlimits: bool
    uid: int


class SandboxError(RuntimeError):
    """A step of the lock-down did not take hold. The process must not run agent code."""


class _Long(_ctypes._SimpleCData):  # type: ignore[type-arg]
    _type_ = "l"


class _Int(_ctypes._SimpleCData):  # type: ignore[type-arg]
    _type_ = "i"


class _Byte(_ctypes._SimpleCData):  # type: ignore[type-arg]
    _type_ = "B"


class _Function(_ctypes.CFuncPtr):
    _flags_ = 0x1 | 0x8  # FUNCFLAG_CDECL | FUNCFLAG_USE_ERRNO
    _restype_ = _Int


class _LongFunction(_ctypes.CFuncPtr):
    _flags_ = 0x1 | 0x8
    _restype_ = _Long


_machine = os.uname().machine
_libc = _ctypes.dlopen(None, 0)  # type: ignore[arg-type]
_syscall: Any = _LongFunction(_ctypes.dlsym(_libc, "syscall"))
_libc_prctl: Any = _Function(_ctypes.dlsym(_libc, "prctl"))
_libc_capset: Any = _Function(_ctypes.dlsym(_libc, "capset"))


def _call(number: int, *arguments: int | bytes) -> int:
    """One raw system call, for what the C library has no function for.

    Raises:
        OSError: with the kernel's errno.
    """
    return _checked(_syscall, number, *arguments)


def _checked(function: Any, *arguments: int | bytes) -> int:
    """Call a C function that answers -1 on failure; a bytes argument is passed as the address of its content."""
    result: int = function(*(_Long(a) if isinstance(a, int) else a for a in arguments))
    if result == -1:
        code = _ctypes.get_errno()
        raise OSError(code, os.strerror(code))
    return result


def _address(content: bytes) -> int:
    """The address of a copy of `content` that lives as long as this file's data."""
    buffer = (_Byte * len(content)).from_buffer_copy(content)
    _kept.append(buffer)
    return int(_ctypes.addressof(buffer))


_kept: list[Any] = []


def _prctl(option: int, value: int) -> None:
    _checked(_libc_prctl, option, value, 0, 0, 0)


def gain_nothing() -> None:
    """This thread, and those it starts, can gain no rights any more by executing something (`no_new_privs`)."""
    _prctl(_PR_SET_NO_NEW_PRIVS, 1)


# --- Landlock ---------------------------------------------------------------------------------------


def _landlock() -> tuple[int, bytes]:
    """The kernel's Landlock ABI and a ruleset attribute that handles every right it knows.

    The rights are asked for and not listed: a ruleset without rules denies all that it handles, so a right
    that a later kernel adds is denied too. The kernel answers EINVAL to a bit that it does not know.
    """
    try:
        abi = _call(_LANDLOCK_CREATE, 0, 0, 1)
    except OSError:
        return 0, b""
    masks = [0, 0, 0]  # handled_access_fs, handled_access_net, scoped
    for field in range(3):
        for bit in range(64):
            trial = [mask | (1 << bit if at == field else 0) for at, mask in enumerate(masks)]
            attribute = struct.pack("=QQQ", *trial)
            try:
                os.close(_call(_LANDLOCK_CREATE, attribute, len(attribute), 0))
            except OSError:
                break
            masks = trial
    return (abi, struct.pack("=QQQ", *masks)) if masks[0] else (0, b"")


_landlock_abi, _landlock_rights = _landlock()


def restrict_files(rules: Iterable[tuple[int, int]] = (), *, signals: bool = False) -> int:
    """Landlock this thread; those that it starts later inherit it.

    Args:
        rules: descriptor of a folder or file, and the rights that stay there; nothing else stays.
        signals: processes outside may still be signalled.

    Returns:
        The ABI that is in force.

    Raises:
        SandboxError: it could not be had, or did not take hold.
        OSError: with the kernel's errno.
    """
    if not _landlock_abi:
        raise SandboxError("Landlock is not available in this kernel")
    files, net, scoped = struct.unpack("=QQQ", _landlock_rights)
    attribute = struct.pack("=QQQ", files, net, scoped & ~_SCOPE_SIGNAL if signals else scoped)
    ruleset = _call(_LANDLOCK_CREATE, attribute, len(attribute), 0)
    try:
        for descriptor, rights in rules:
            _call(_LANDLOCK_ADD, ruleset, 1, struct.pack("=Qi", rights & files, descriptor), 0)
        _call(_LANDLOCK_RESTRICT, ruleset, 0)
    finally:
        os.close(ruleset)
    try:
        os.close(os.open("/", os.O_RDONLY | os.O_DIRECTORY))
    except PermissionError:
        return _landlock_abi
    raise SandboxError("Landlock answered yes, and a folder could still be opened")


# --- seccomp ----------------------------------------------------------------------------------------


def _loaded(program: bytes) -> bytes:
    """A `struct sock_fprog` of a filter."""
    return struct.pack("=HxxxxxxQ", len(program) // 8, _address(program))


def _filter() -> bytes:
    """The guest's filter for this machine, ready to be installed; empty when there is none for it."""
    try:
        return _loaded(seccomp.assemble(_machine))
    except LookupError:
        return b""


_program = _filter()


def install_filter(program: bytes) -> None:
    """Put all threads of this process under a system-call filter.

    Args:
        program: an array of `struct sock_filter`.

    Raises:
        SandboxError: a thread stays outside.
        OSError: with the kernel's errno.
    """
    _install(_loaded(program))


def _install(loaded: bytes) -> None:
    if _call(_SECCOMP[_machine], _SECCOMP_SET_MODE_FILTER, _SECCOMP_FILTER_FLAG_TSYNC, loaded):
        raise SandboxError("a thread could not be brought under the system-call filter")


def _restrict_calls() -> None:
    """Install the guest's filter on all threads."""
    if not _program:
        raise SandboxError(f"there is no system-call filter for {_machine}")
    _install(_program)
    try:
        os.stat("/")  # a lookup, which Landlock alone would let through
    except PermissionError:
        return
    raise SandboxError("the system-call filter answered yes, and a path could still be looked up")


# --- what every tier takes away ---------------------------------------------------------------------


def _drop_privileges() -> int:
    """Become nobody without groups and capabilities; the uid that the guest has."""
    if os.geteuid() == 0:
        # In a user namespace that does not map nobody this is refused; the capabilities go all the same.
        with contextlib.suppress(OSError):
            os.setgroups([])
            os.setresgid(NOBODY, NOBODY, NOBODY)
            os.setresuid(NOBODY, NOBODY, NOBODY)
    header, nothing = struct.pack("=Ii", _CAPABILITY_VERSION_3, 0), bytes(24)
    _checked(_libc_capset, header, nothing)
    return os.getuid()


def _die_with(parent: int) -> None:
    """Be killed when the zygote ends; after setuid, which clears the wish."""
    _prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        raise SandboxError("the zygote ended while its guest was being made")


def _limit(limits: Mapping[str, int]) -> None:
    """Lower the rlimits, soft and hard, and check that they are what was asked."""
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)  # a write beyond FSIZE is then an error and not a death
    cpu = limits["cpu_seconds"]
    wanted = {
        resource.RLIMIT_AS: (limits["memory_bytes"],) * 2,
        resource.RLIMIT_CPU: (cpu, cpu + 1),  # first SIGXCPU, which names the cause, then SIGKILL
        resource.RLIMIT_FSIZE: (0, 0),
        resource.RLIMIT_NPROC: (0, 0),
        resource.RLIMIT_NOFILE: (limits["open_files"],) * 2,
        resource.RLIMIT_CORE: (0, 0),
        resource.RLIMIT_MEMLOCK: (0, 0),
        resource.RLIMIT_MSGQUEUE: (0, 0),
    }
    for which, (soft, hard) in wanted.items():
        ceiling = resource.getrlimit(which)[1]
        if ceiling != resource.RLIM_INFINITY:
            soft, hard = min(soft, ceiling), min(hard, ceiling)  # noqa: PLW2901
        resource.setrlimit(which, (soft, hard))
        if resource.getrlimit(which) != (soft, hard):
            raise SandboxError(f"rlimit {which} did not take the value it was set to")


def close_all_but(keep: int) -> int:
    """Close every file descriptor above standard error but one, which becomes number 3.

    Returns:
        3, the descriptor that `keep` was moved to.
    """
    if keep != 3:
        os.dup2(keep, 3, inheritable=False)
    try:
        _call(_CLOSE_RANGE, 4, _LAST_FD, 0)
    except OSError:  # before Linux 5.9
        os.closerange(4, resource.getrlimit(resource.RLIMIT_NOFILE)[1])
    return 3


def protect_zygote() -> None:
    """Keep others of the same uid from tracing this process, and let guests die first when memory is short."""
    with contextlib.suppress(OSError), open("/proc/self/oom_score_adj", "wb", buffering=0) as score:
        score.write(b"800")
    _prctl(_PR_SET_DUMPABLE, 0)


def settle() -> None:
    """Give memory that is free back to the kernel, before it is shared with guests."""
    with contextlib.suppress(OSError):  # a C library without malloc_trim
        trim: Any = _Function(_ctypes.dlsym(_libc, "malloc_trim"))
        trim(_Long(0))


def lock_down(limits: Mapping[str, int], tier: str, parent: int) -> Report:
    """Confine this process, for good, exactly as `tier` says.

    Args:
        limits: `memory_bytes`, `cpu_seconds`, `open_files`.
        tier: one of `TIERS`.
        parent: pid of the zygote, with which the guest dies.

    Returns:
        What is enforced now.

    Raises:
        SandboxError: a step did not take hold. The caller ends the process.
    """
    if tier not in TIERS:
        raise SandboxError(f"unknown tier {tier!r}: expected one of {', '.join(TIERS)}")
    report = Report(tier=tier, landlock=0, seccomp=False, rlimits=False, uid=-1)
    try:
        report["uid"] = _drop_privileges()
        _prctl(_PR_SET_DUMPABLE, 0)
        _die_with(parent)
        _limit(limits)
        report["rlimits"] = True
        if tier != "split":
            gain_nothing()
            if tier == "sealed":
                report["landlock"] = restrict_files()
            _restrict_calls()
            report["seccomp"] = True
    except OSError as error:
        raise SandboxError(f"{tier}: {errno.errorcode.get(error.errno or 0, error.errno)} ({error.strerror})") from None
    return report


def available(limits: Mapping[str, int]) -> tuple[str, dict[str, str]]:
    """The strongest tier that this machine really enforces, tried in throw-away children.

    Returns:
        The tier, and for each stronger one why it could not be had.

    Raises:
        SandboxError: not even `split` works here.
    """
    reasons: dict[str, str] = {}
    for tier in TIERS:
        problem = _attempt(limits, tier)
        if not problem:
            return tier, reasons
        reasons[tier] = problem
    raise SandboxError(f"no guest can be confined here: {reasons}")


def _attempt(limits: Mapping[str, int], tier: str) -> str:
    """Lock down a child and say what went wrong; empty when nothing did."""
    parent = os.getpid()
    reader, writer = os.pipe()
    child = os.fork()
    if not child:
        text = ""
        try:
            lock_down(limits, tier, parent)
        except BaseException as error:
            text = str(error) or type(error).__name__
        finally:
            os.write(writer, b"+" + text.encode())
            os._exit(0)
    os.close(writer)
    with open(reader, "rb") as answers:
        answer = answers.read()
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    if answer[:1] == b"+":
        return answer[1:].decode()
    return f"the child ended with {status} before it was confined"


def forget() -> None:
    """Drop this file's ways to make system calls, and its module, after lock-down.

    Only these: to take apart all that the zygote had made would give each guest its own copy of the memory it lies in.
    """
    names = globals()
    for name in ("_ctypes", "ctypes", __name__, seccomp.__name__):
        sys.modules.pop(name, None)
    for name in ("_ctypes", "_libc", "_syscall", "_libc_prctl", "_libc_capset"):
        names[name] = None
