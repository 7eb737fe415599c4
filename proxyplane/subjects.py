"""What an operation works on: the lineage of its target and of every object among its arguments, joined."""

from __future__ import annotations

from typing import NamedTuple

from proxyplane.objects import Held, ObjectTable

__all__ = ["Subject", "joined", "subject_of"]


class Subject(NamedTuple):
    """Joined lineage; what an operation makes inherits it."""

    roots: frozenset[str]
    """Granted names that any of it was made from."""
    labels: frozenset[str]
    schema: bool
    """All of it is schema: showing it is `read`."""
    handles: tuple[int, ...]


def subject_of(table: ObjectTable, target: Held, inputs: tuple[int, ...]) -> Subject:
    """The subject of an operation on `target` with these handles among its arguments."""
    if not inputs:
        return Subject(target.roots, target.labels, target.schema, (target.handle,))
    roots, labels, schema = target.roots, target.labels, target.schema
    for handle in inputs:
        held = table.get(handle)
        roots |= held.roots
        labels |= held.labels
        schema = schema and (held.schema or not held.roots)
    return Subject(roots, labels, schema, (target.handle, *inputs))


def joined(subject: Subject, held: Held) -> Subject:
    """The subject with one more object in it."""
    return Subject(
        subject.roots | held.roots,
        subject.labels | held.labels,
        subject.schema and (held.schema or not held.roots),
        (*subject.handles, held.handle),
    )
