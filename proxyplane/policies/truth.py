"""Whether the conditions of a rule hold for a request: yes, no, or not known."""

from __future__ import annotations

from proxyplane.decisions import Request
from proxyplane.policies.clauses import clauses_hold
from proxyplane.policies.match import hold
from proxyplane.policies.model import Rule

__all__ = ["truth"]


def truth(rule: Rule, request: Request, *, granting: bool) -> bool | None:
    """Whether `column`, `when` and `unless` are met; what cannot be evaluated is `None`, and the caller's to judge.

    Args:
        rule: one whose names match.
        request: the question.
        granting: whether it is asked what the rule gives, for which it must speak of every column, file and host, or
            what it holds back, for which any is enough.
    """
    answer = hold(rule.when, request.facts)
    if answer is False:
        return False
    if rule.contextual:
        for part in (_columns(rule, request, granting), _clauses(rule, request, granting), _aggregate(rule, request)):
            if part is False:
                return False
            if part is None:
                answer = None
    if rule.unless or rule.unless_also:
        excepted = _excepted(rule, request, granting)
        if excepted:
            return False
        if excepted is None:
            answer = None
    return answer


def _columns(rule: Rule, request: Request, granting: bool) -> bool | None:
    matches = rule.globs.get("column")
    if matches is None:
        return True
    columns = request.context.columns
    if columns is None:
        return None
    return (all if granting else any)(matches(column) for column in columns)


def _clauses(rule: Rule, request: Request, granting: bool) -> bool | None:
    if not rule.when_also:
        return True
    return clauses_hold(rule.when_also, request.context, request.verb, request.effects, any_name=not granting)


def _excepted(rule: Rule, request: Request, granting: bool) -> bool | None:
    """Whether all of `unless` holds."""
    answer = hold(rule.unless, request.facts)
    if answer is False or not rule.unless_also:
        return answer
    also = clauses_hold(rule.unless_also, request.context, request.verb, request.effects, any_name=granting)
    return False if also is False else None if also is None or answer is None else True


def _aggregate(rule: Rule, request: Request) -> bool | None:
    """Labels are taken away from nothing but aggregates."""
    return request.context.aggregate if rule.declassify else True
