"""Exit codes, and what a person did wrong or must mend: told in a few lines, never as a Python traceback."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from difflib import get_close_matches
from enum import IntEnum

from proxyplane.errors import AuditError, GuestError, PolicyError, TierUnavailable

__all__ = ["Exit", "Problem", "explained", "guess"]


class Exit(IntEnum):
    """What the exit code of a command means."""

    OK = 0
    FAILED = 1
    """The agent's code failed; a log has a fault; this machine isolates too weakly."""
    USAGE = 2
    """Usage, a bad policy, a missing or unusable file."""
    REFUSED = 3
    """The agent's code ended with a refusal that it did not catch."""
    AUDIT = 4
    """The audit log cannot be written or read."""


class Problem(Exception):  # noqa: N818 - not a fault of the program
    """Ends a command with a message.

    Args:
        message: what was expected and what came.
        hint: what to do.
        code: the exit code.
    """

    def __init__(self, message: str, *, hint: str = "", code: Exit = Exit.USAGE) -> None:
        super().__init__(message)
        self.hint = hint
        self.code = code


@contextmanager
def explained() -> Iterator[None]:
    """Turn errors that a person can mend into problems with the right exit code."""
    try:
        yield
    except AuditError as error:
        hint = "choose another --audit directory, or end the process that holds it; nothing runs without its log"
        raise Problem(f"the audit log is not available: {error}", hint=hint, code=Exit.AUDIT) from error
    except PolicyError as error:
        raise Problem(str(error), hint="correct the policy; docs/policies.md describes the language") from error
    except TierUnavailable as error:
        raise Problem(str(error)) from error
    except GuestError as error:
        hint = "run `proxyplane doctor` to see what this machine offers"
        raise Problem(f"no guest could be started: {error}", hint=hint) from error


def guess(given: str, known: Iterable[str], *, of: str = "known") -> str:
    """A hint for a name that is not one of the known: the nearest of them, then all (twelve at most)."""
    names = sorted(known)
    near = get_close_matches(given, names, n=1)
    shown = ", ".join(names[:12]) + (", ..." if len(names) > 12 else "")
    told = f"{of}: {shown}" if names else f"{of}: none"
    return f"did you mean {near[0]}? {told}" if near else told
