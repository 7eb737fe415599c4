"""Judgement: what a policy file says, what it answers, and what its budgets have left.

policy      Policy: load, unite, decide, could_reveal, check
engine      matching rules to a request      duties      what an operation owes that is not refused
truth       conditions of a rule             clauses     conditions on files, age, arguments, the session
budgets     Ledger, Reservation              journal     the file in which budgets survive a restart
load        text -> model                    form        keys and types         faults    all that is wrong, at once
meaning     sections                         ruling      rules                  trials    the file's own tests
unite       layers                           lint        legal, but not meant   surface   what there is to use
explain     why, and what would turn it      compare     recorded operations under another policy
shape       the form of a file (pydantic)    locate      lines of a TOML text
model       the checked policy               match       globs and bounds       hints     the texts of refusals
vocabulary  the closed sets of words
"""

from __future__ import annotations

from proxyplane.policies.budgets import Ledger, Reservation
from proxyplane.policies.compare import Flip, Recorded, flips, learned
from proxyplane.policies.explain import Explanation, explain, quote
from proxyplane.policies.model import Budget, FsGrant, ModuleGrant, ObjectFacts, Rule, Trial
from proxyplane.policies.policy import Policy
from proxyplane.policies.surface import Surface
from proxyplane.policies.trials import Result, request_of, try_all

__all__ = [
    "Budget",
    "Explanation",
    "Flip",
    "FsGrant",
    "Ledger",
    "ModuleGrant",
    "ObjectFacts",
    "Policy",
    "Recorded",
    "Reservation",
    "Result",
    "Rule",
    "Surface",
    "Trial",
    "explain",
    "flips",
    "learned",
    "quote",
    "request_of",
    "try_all",
]
