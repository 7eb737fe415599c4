"""Another policy for a running plane.

Whatever was decided under the former policy and not yet done is decided anew (`Passage.lower`); the records say by
their generation which policy it was.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from proxyplane.errors import PolicyError
from proxyplane.policies import Ledger, Policy

if TYPE_CHECKING:
    from proxyplane.plane import ControlPlane

__all__ = ["reload"]

_FIXED = ("modules", "fs")


def reload(plane: ControlPlane, policy: Policy) -> list[str]:
    """Put a policy in the place of the one in force; see `ControlPlane.reload_policy`.

    The order matters: an operation that began before the generation moved is asked again, so it moves last.
    """
    former = plane.policy
    for section in _FIXED:
        if getattr(policy, section) != getattr(former, section):
            raise PolicyError(
                f"[{section}] cannot change while the plane runs", file=policy.name, hint="start a new plane with it"
            )
    if policy.require_tier not in (None, former.require_tier):
        raise PolicyError(
            "require_tier cannot change while the plane runs", file=policy.name, hint="start a new plane with it"
        )
    if policy.budgets and plane.budget_file is not None and not plane.ledger.persists:
        plane.ledger = Ledger(policy.budgets, clock=plane.clock, file=plane.budget_file)
    else:
        plane.ledger.rebind(policy.budgets)
    changed = {
        name
        for name in {*former.objects, *policy.objects}
        if former.objects.get(name) != policy.objects.get(name)
    }  # fmt: skip
    plane.policy = policy
    plane.plans = {}
    stamp = {"digest": policy.digest, "generation": plane.generation + 1, "mode": policy.mode}
    plane.policy_stamp = stamp
    revoked = [f"{session.id}/{name}" for session in plane.open_sessions() for name in session.reloaded(changed)]
    plane.generation += 1
    detail = {"name": policy.name, "catalog": plane.catalog.digest, "tier": plane.tier, "revoked": revoked}
    plane.record("policy.load", policy=stamp, detail=detail)
    return revoked
