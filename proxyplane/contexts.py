"""What a policy may ask of an operation besides names and counts. Worked out only for policies that ask it."""

from __future__ import annotations

import inspect
import types
from typing import TYPE_CHECKING, Any, Final

from proxyplane.columns import touched
from proxyplane.decisions import NO_CONTEXT, Context
from proxyplane.effects import Effect
from proxyplane.paths import locate

if TYPE_CHECKING:
    from proxyplane.grants import Grants
    from proxyplane.underway import Underway

__all__ = ["called", "context_of", "named"]

_PLAIN: Final = (type(None), bool, int, float, str)
_SECOND: Final = 1_000_000_000
_DEPTH: Final = 20
_LOOKS: Final = frozenset({Effect.READ})


def context_of(underway: Underway) -> Context:
    """What is known of an operation, as far as `Policy.needs` asks.

    Args:
        underway: the operation; where it names files, its access to them is made already.
    """
    needs = underway.plane.policy.needs
    if not needs:
        return NO_CONTEXT
    session = underway.session
    now = underway.plane.clock.mono()
    conversation = session.conversation
    return Context(
        columns=_columns(underway) if "columns" in needs else None,
        paths=_paths(underway) if "paths" in needs else frozenset(),
        args=_arguments(underway) if "args" in needs else None,
        age=_age(underway, now) if "age" in needs else None,
        session_age=(now - session.opened) // _SECOND,
        operations=session.operations + conversation.requests if conversation is not None else None,
        runs=session.runs if conversation is not None else None,
        tier=session.tier,
        aggregate=_is_aggregate(underway) if "aggregate" in needs else None,
    )


def _is_aggregate(underway: Underway) -> bool:
    columns = underway.subject.columns
    stands = columns.behind if columns is not None else underway.session.grants.columns_of(underway.target).behind
    return stands is not None and stands.state == "sums"


def called(underway: Underway) -> str | None:
    """The member that an operation uses: a method that was fetched first and is called now is still that method."""
    operation = underway.operation
    if operation.member is not None or operation.verb != "call" or underway.target.entry is None:
        return operation.member
    return underway.target.entry.name.rpartition(".")[2]


def named(underway: Underway) -> set[str]:
    """Methods that host code is asked to call by name: every text among the arguments of an operation that does so.

    (`df.agg("to_csv")`, `df.agg({"a": ["sum", "to_csv"]})`; which of the texts name methods only the library knows.)
    """
    line = underway.line
    if line is None or not any(param.action == "named" for param in line.params):
        return set()
    found: set[str] = set()
    _texts((*underway.operation.args, *underway.operation.kwargs.values()), found, 0)
    return found


def _texts(values: Any, found: set[str], depth: int) -> None:
    for value in values:
        if type(value) is str:
            found.add(value)
        elif isinstance(value, list | tuple | set | frozenset | dict) and depth < _DEPTH:
            _texts(value.values() if isinstance(value, dict) else value, found, depth + 1)


def _columns(underway: Underway) -> frozenset[str] | None:
    """The columns whose cells it touches; None where an object that went into it may hold columns nobody can tell."""
    session, operation = underway.session, underway.operation
    grants = session.grants
    for root in underway.subject.roots:
        held = grants.objects.get(root)
        if held is None or not (grants.columns[root].labels is not None or _has_no_columns(held.value, root, grants)):
            return None
    if underway.subject.columns is not None:
        return underway.subject.columns.every
    if underway.effects <= _LOOKS and operation.verb not in ("getitem", "getattr"):
        return frozenset()  # schema alone
    inputs = [grants.columns_of(session.table.get(handle)) for handle in operation.inputs]
    return touched(operation, grants.columns_of(underway.target), inputs)


def _has_no_columns(value: Any, root: str, grants: Grants) -> bool:
    return root in grants.modules or type(value) in _PLAIN


def _paths(underway: Underway) -> frozenset[str]:
    """Files below the root of `[fs]`; none at all if one of them cannot be placed, which counts as not known."""
    access, fs = underway.access, underway.plane.policy.fs
    if access is None or fs is None:
        return frozenset()
    found = set()
    for _, text in access.places:
        try:
            parts = locate(text, str(fs.root))
        except ValueError:
            parts = None
        if parts is None:
            return frozenset()
        found.add("/".join(parts))
    return frozenset(found)


def _age(underway: Underway, now: int) -> int | None:
    since = underway.session.grants.since
    ages = [now - since[root] for root in underway.subject.roots if root in since]
    return max(ages, default=0) // _SECOND if len(ages) == len(underway.subject.roots) else None


def _arguments(underway: Underway) -> dict[str, object]:
    """Plain values by parameter, defaults included; what is an object, or cannot be named, is left out."""
    operation = underway.operation
    bound: dict[str, Any] = {}
    try:
        signature = _signature(underway)
        given = signature.bind(*operation.args, **operation.kwargs)
        given.apply_defaults()
        for name, value in given.arguments.items():
            kind = signature.parameters[name].kind
            if kind is inspect.Parameter.VAR_KEYWORD:
                bound.update(value)
            elif kind is not inspect.Parameter.VAR_POSITIONAL:
                bound[name] = value
    except (TypeError, ValueError):  # compiled without a signature, or arguments that it will refuse itself
        bound = dict(operation.kwargs)
    return {name: value for name, value in bound.items() if type(value) in _PLAIN}


def _signature(underway: Underway) -> inspect.Signature:
    operation, value = underway.operation, underway.target.value
    if operation.member is None:
        return inspect.signature(value)
    if isinstance(value, type | types.ModuleType):
        return inspect.signature(getattr(value, operation.member))
    signature = inspect.signature(getattr(type(value), operation.member))
    if isinstance(inspect.getattr_static(type(value), operation.member), classmethod | staticmethod):
        return signature
    return signature.replace(parameters=list(signature.parameters.values())[1:])
