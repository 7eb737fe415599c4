"""What an operation works on: the lineage of its target and of every object among its arguments, joined."""

from __future__ import annotations

from typing import Final, NamedTuple

from proxyplane.columns import Columns
from proxyplane.objects import Held, ObjectTable

__all__ = ["Subject", "joined", "subject_of"]

_AXES: Final = 64
"""As many axes as an array can have."""


class Subject(NamedTuple):
    """Joined lineage; what an operation makes inherits it."""

    roots: frozenset[str]
    """Granted names that any of it was made from."""
    labels: frozenset[str]
    schema: bool
    """All of it is schema: showing it is `read`."""
    handles: tuple[int, ...]
    sized: bool
    """A scalar of the data, or an object made with one, could decide how long the result is.

    (`np.zeros(cell).shape` gave a cell of any size for one operation that only reads.)
    """
    columns: Columns | None = None
    """Where its content came from; None where the policy does not ask, or before it is performed."""


def subject_of(table: ObjectTable, target: Held, inputs: tuple[int, ...], elementwise: bool) -> Subject:
    """The subject of an operation on `target` with these handles among its arguments.

    Args:
        table: the session's objects.
        target: what is operated on.
        inputs: handles among the arguments.
        elementwise: an operator or comparison, which leaves arrays as long as they are.
    """
    kept: Subject | None = target.subject
    if kept is not None and not inputs and not elementwise and _holds(kept, target):
        return kept
    if not inputs:
        sized = target.sized or (elementwise and _is_scalar(target))
        found = Subject(target.roots, target.labels, target.schema, (target.handle,), sized)
        if not elementwise:
            target.subject = found
        return found
    roots, labels, schema = target.roots, target.labels, target.schema
    helds = [target, *map(table.get, inputs)]
    for held in helds[1:]:
        roots |= held.roots
        labels |= held.labels
        schema = schema and (held.schema or not held.roots)
    arrays = [held for held in helds if _is_array(held)] if elementwise else []
    sized = any(held.sized for held in arrays) if arrays else any(held.sized or _is_scalar(held) for held in helds)
    if not sized and not elementwise:
        hands_on = any(held.entry is not None or not held.plain for held in helds[1:])  # `column.pipe(numpy.zeros)`
        sized = any(map(_is_shape, helds if hands_on else helds[1:]))
    return Subject(roots, labels, schema, (target.handle, *inputs), sized)


def _holds(kept: Subject, target: Held) -> bool:
    """Whether a subject that was kept still says what the object's own lineage says."""
    return (
        kept.roots is target.roots
        and kept.labels is target.labels
        and kept.schema is target.schema
        and kept.sized is target.sized
    )


def joined(subject: Subject, held: Held) -> Subject:
    """The subject with one more object in it."""
    return Subject(
        subject.roots | held.roots,
        subject.labels | held.labels,
        subject.schema and (held.schema or not held.roots),
        (*subject.handles, held.handle),
        subject.sized or held.sized or _is_scalar(held) or _is_shape(held),
    )


def _is_scalar(held: Held) -> bool:
    return bool(held.roots) and held.kind is not None and held.kind.carries


def _is_shape(held: Held) -> bool:
    """Whether it is a few integers of the data, which can be taken for a shape or for counts.

    (`np.broadcast_to(0, column[:1]).shape` gave a cell of any size for one operation that only reads.)
    """
    if not held.roots:
        return False
    value = held.value
    if type(value) in (list, tuple):
        return len(value) <= _AXES
    if not _is_array(held):
        return False
    kind, size = getattr(getattr(value, "dtype", None), "kind", None), getattr(value, "size", None)
    return type(kind) is str and kind in "iuO" and type(size) is int and size <= _AXES


def _is_array(held: Held) -> bool:
    return held.plain and not _is_scalar(held) and held.type_name.startswith(("pandas.", "numpy."))
