"""Judgement: what a policy file says, what it answers, and what its budgets have left.

policy      Policy: load, decide, could_reveal, check
budgets     Ledger, Reservation
engine      matching rules to a request      hints       the texts of refusals
load        text -> model                    meaning     checks beyond the form
shape       the form of a file (pydantic)    locate      lines of a TOML text
model       the checked policy               match       globs and bounds
vocabulary  the closed sets of words
"""

from __future__ import annotations

from proxyplane.policies.budgets import Ledger, Reservation
from proxyplane.policies.model import Budget, FsGrant, ModuleGrant, ObjectFacts
from proxyplane.policies.policy import Policy

__all__ = ["Budget", "FsGrant", "Ledger", "ModuleGrant", "ObjectFacts", "Policy", "Reservation"]
