"""proxyplane: an agent's ordinary Python over objects that it never holds.

No declared effect, no call. No record, no result.
"""

# Imports go down only (tests/test_layers.py reads this map). `record` and `judgement` are siblings: neither imports
# the other. The guest's files import the standard library, msgpack, each other, `transport.wire` and `errors`.
#
#   surfaces    cli loading guest seal reach hostcalls watchdog __main__ transport.http transport.mcp
#               transport.client transport.chains
#   plane       plane passage sessions conversation membrane lowering callables exceptions recording results warned
#               subjects describe launch dispatch grants state display paths files folder access shelf amounts
#               cooperative proxies underway overheard judging showing finding sentinel sightings frozen desk
#               approvals asking consequences rights contexts reloading redaction redacting reveals remote inward
#   record      audit
#   judgement   policies
#   world       objects capabilities catalog catalogs hosts columns
#   words       operations effects decisions errors clock identity transport.wire

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from proxyplane.capabilities import Capability
    from proxyplane.errors import (
        ApprovalRejected,
        ApprovalTimedOut,
        AuditCorrupt,
        AuditError,
        AuditUnavailable,
        BudgetExceeded,
        CatalogError,
        Denied,
        DeniedAttribute,
        Expired,
        FrameTooLarge,
        GuestCrashed,
        GuestError,
        GuestTimeout,
        PolicyError,
        ProtocolError,
        ProxyPlaneError,
        ReferenceFailed,
        Revoked,
        Stale,
        TierUnavailable,
        TooDeep,
        UndeclaredEffect,
        UnknownObject,
        UnknownType,
    )
    from proxyplane.plane import ControlPlane
    from proxyplane.policies import Policy
    from proxyplane.results import RunError, RunResult
    from proxyplane.sessions import Session
    from proxyplane.transport.client import connect, connect_async

__version__: Final = "0.1.0"

__all__ = [
    "ApprovalRejected",
    "ApprovalTimedOut",
    "AuditCorrupt",
    "AuditError",
    "AuditUnavailable",
    "BudgetExceeded",
    "Capability",
    "CatalogError",
    "ControlPlane",
    "Denied",
    "DeniedAttribute",
    "Expired",
    "FrameTooLarge",
    "GuestCrashed",
    "GuestError",
    "GuestTimeout",
    "Policy",
    "PolicyError",
    "ProtocolError",
    "ProxyPlaneError",
    "ReferenceFailed",
    "Revoked",
    "RunError",
    "RunResult",
    "Session",
    "Stale",
    "TierUnavailable",
    "TooDeep",
    "UndeclaredEffect",
    "UnknownObject",
    "UnknownType",
    "__version__",
    "connect",
    "connect_async",
]

_HOMES: Final = {
    "Capability": "proxyplane.capabilities",
    "ControlPlane": "proxyplane.plane",
    "Policy": "proxyplane.policies",
    "RunError": "proxyplane.results",
    "RunResult": "proxyplane.results",
    "Session": "proxyplane.sessions",
    "connect": "proxyplane.transport.client",
    "connect_async": "proxyplane.transport.client",
}
"""Where a public name comes from; all others are errors."""


if not TYPE_CHECKING:  # for a type checker a module-level __getattr__ would make every misspelt name an Any

    def __getattr__(name: str) -> Any:
        # Loaded on first use: the command line, and whoever wants only the errors, need not wait for pydantic.
        if name not in __all__:
            raise AttributeError(f"module 'proxyplane' has no attribute {name!r}; public: {', '.join(__all__)}")
        from importlib import import_module  # noqa: PLC0415

        value = getattr(import_module(_HOMES.get(name, "proxyplane.errors")), name)
        globals()[name] = value
        return value

    def __dir__() -> list[str]:
        return sorted({*globals(), *__all__})
