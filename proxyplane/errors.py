"""Every error of the project, in one tree.

    ProxyPlaneError
    ├── Denied (PermissionError)              the policy said no
    │   ├── BudgetExceeded
    │   ├── ApprovalRejected
    │   ├── ApprovalTimedOut
    │   └── UndeclaredEffect
    ├── DeniedAttribute (AttributeError)      a private, dunder or uncatalogued attribute
    ├── ReferenceFailed
    │   ├── Stale
    │   ├── Revoked
    │   ├── Expired
    │   └── UnknownObject
    ├── AuditError
    │   ├── AuditUnavailable
    │   └── AuditCorrupt
    ├── PolicyError (ValueError)              a policy file that cannot be used: file, line, hint
    ├── CatalogError (ValueError)
    ├── ProtocolError                         hostile or broken bytes from a guest
    │   ├── FrameTooLarge
    │   ├── TooDeep
    │   └── UnknownType
    ├── GuestError
    │   ├── GuestCrashed
    │   └── GuestTimeout
    └── TierUnavailable                       this machine cannot isolate as strictly as was required

`DeniedAttribute` is an AttributeError and not also a PermissionError, because CPython cannot make a class
that is both ("multiple bases have instance lay-out conflict"), and `hasattr`, `getattr` with a default,
`copy` and every library that probes for an optional method need the AttributeError.

Messages never contain values of guarded objects.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, ClassVar

__all__ = [
    "ApprovalRejected",
    "ApprovalTimedOut",
    "AuditCorrupt",
    "AuditError",
    "AuditUnavailable",
    "BudgetExceeded",
    "CatalogError",
    "Denied",
    "DeniedAttribute",
    "Expired",
    "FrameTooLarge",
    "GuestCrashed",
    "GuestError",
    "GuestTimeout",
    "PolicyError",
    "ProtocolError",
    "ProxyPlaneError",
    "ReferenceFailed",
    "Revoked",
    "Stale",
    "TierUnavailable",
    "TooDeep",
    "UndeclaredEffect",
    "UnknownObject",
    "UnknownType",
]


class ProxyPlaneError(Exception):
    """Root of the tree. Each class has one wire code, one HTTP status and one MCP (JSON-RPC) error code."""

    code: ClassVar[str] = "error"
    http_status: ClassVar[int] = 500
    mcp_error: ClassVar[int] = -32000


class Refusal(ProxyPlaneError):
    """What all refusals carry: the effect, the rule, its reason and what would be allowed."""

    def __init__(
        self, message: str, *, effect: str = "", rule: str | None = None, reason: str = "", hint: str = ""
    ) -> None:
        super().__init__(message)
        self.effect = str(effect)
        self.rule = rule
        self.reason = reason
        self.hint = hint

    def __str__(self) -> str:
        return str(self.args[0]) if self.args else ""


class Denied(Refusal, PermissionError):
    """The policy refuses this operation."""

    code = "denied"
    http_status = 403
    mcp_error = -32001


class DeniedAttribute(Refusal, AttributeError):
    """A member that no policy can grant by default: private, dunder, or not in the catalog."""

    code = "denied_attribute"
    http_status = 403
    mcp_error = -32002


class BudgetExceeded(Denied):
    """Allowed by the rules, but the budget it is charged to is used up."""

    code = "budget_exceeded"
    http_status = 429
    mcp_error = -32003

    def __init__(
        self,
        message: str,
        *,
        effect: str = "",
        rule: str | None = None,
        reason: str = "",
        hint: str = "",
        budget: str = "",
    ) -> None:
        super().__init__(message, effect=effect, rule=rule, reason=reason, hint=hint)
        self.budget = budget
        """The budget's name."""


class ApprovalRejected(Denied):
    """A person said no."""

    code = "approval_rejected"
    mcp_error = -32004


class ApprovalTimedOut(Denied):
    """Nobody answered in time, which counts as no."""

    code = "approval_timed_out"
    http_status = 408
    mcp_error = -32005


class UndeclaredEffect(Denied):
    """The host library began something that its catalog entry does not declare."""

    code = "undeclared_effect"
    mcp_error = -32006


class ReferenceFailed(ProxyPlaneError):
    """A handle that names nothing usable any more."""

    code = "reference_failed"
    http_status = 410
    mcp_error = -32010


class Stale(ReferenceFailed):
    """The name was bound to a new object."""

    code = "stale"
    http_status = 409
    mcp_error = -32011


class Revoked(ReferenceFailed):
    """The capability was taken back."""

    code = "revoked"
    mcp_error = -32012


class Expired(ReferenceFailed):
    """The capability's time or use count has run out."""

    code = "expired"
    mcp_error = -32013


class UnknownObject(ReferenceFailed):
    """No object of this session has that name or handle."""

    code = "unknown_object"
    http_status = 404
    mcp_error = -32014


class AuditError(ProxyPlaneError):
    """The log."""

    code = "audit"
    http_status = 503
    mcp_error = -32020


class AuditUnavailable(AuditError):
    """The log cannot be written; nothing is decided, lowered or shown until it can."""

    code = "audit_unavailable"
    mcp_error = -32021


class AuditCorrupt(AuditError):
    """What is on disk is not what was written."""

    code = "audit_corrupt"
    http_status = 500
    mcp_error = -32022


class PolicyError(ProxyPlaneError, ValueError):
    """A policy that cannot be used.

    Args:
        message: what is wrong.
        file: name of the file, or `<policy>` for a text.
        line: 1-based line, when known.
        hint: what to do, such as `did you mean "reveal"?`.
        others: further faults of the same file, told with this one.
    """

    code = "policy"
    http_status = 422
    mcp_error = -32030

    def __init__(
        self,
        message: str,
        *,
        file: str = "<policy>",
        line: int | None = None,
        hint: str = "",
        others: Iterable[PolicyError] = (),
    ) -> None:
        where = f"{file}:{line}" if line else file
        self.problems: tuple[PolicyError, ...] = (self, *others)
        """Every fault of the file, from its top."""
        first = f"{where}: {message}" + (f" ({hint})" if hint else "")
        super().__init__("\n".join([first, *map(str, self.problems[1:])]))
        self.file = file
        self.line = line
        self.hint = hint


class CatalogError(ProxyPlaneError, ValueError):
    """A catalog file that cannot be used.

    Args:
        message: what is wrong, one mistake on each line.
        mistakes: the same, one by one.
    """

    code = "catalog"
    mcp_error = -32031

    def __init__(self, message: str, mistakes: Iterable[str] = ()) -> None:
        super().__init__(message)
        self.mistakes = tuple(mistakes) or (message,)


class ProtocolError(ProxyPlaneError):
    """Bytes that no honest guest would send. The session that sent them ends."""

    code = "protocol"
    http_status = 400
    mcp_error = -32040


class FrameTooLarge(ProtocolError):
    """A frame longer than the limit."""

    code = "frame_too_large"
    http_status = 413
    mcp_error = -32041


class TooDeep(ProtocolError):
    """Values nested deeper than the limit."""

    code = "too_deep"
    mcp_error = -32042


class UnknownType(ProtocolError):
    """A value in a form that cannot cross."""

    code = "unknown_type"
    mcp_error = -32043


class GuestError(ProxyPlaneError):
    """The guest process ended before its work did."""

    code = "guest"
    http_status = 502
    mcp_error = -32050


class GuestCrashed(GuestError):
    """The guest died: killed by the kernel, a segmentation fault, a closed socket."""

    code = "guest_crashed"
    mcp_error = -32051


class GuestTimeout(GuestError):
    """The guest was killed because its time was up."""

    code = "guest_timeout"
    http_status = 504
    mcp_error = -32052


class TierUnavailable(ProxyPlaneError):
    """This machine cannot isolate a guest as strictly as was required."""

    code = "tier_unavailable"
    http_status = 503
    mcp_error = -32060


def tree(root: type[ProxyPlaneError] = ProxyPlaneError) -> dict[str, type[ProxyPlaneError]]:
    """Every error class by its name, the root included."""
    found: dict[str, Any] = {root.__name__: root}
    for child in root.__subclasses__():
        found.update(tree(child))
    return found
