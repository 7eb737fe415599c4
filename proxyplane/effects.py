"""The closed vocabulary of effects: what an operation can do to the world or show to an agent.

An operation has a *set* of effects and each one must be granted. `UNKNOWN` is what an operation has
that no catalog entry describes; together with `MEMORY` it is refused unless a rule names it.
"""

from __future__ import annotations

from enum import StrEnum

__all__ = ["ALL_EFFECTS", "LOOKING", "Effect"]


class Effect(StrEnum):
    """One kind of thing that an operation may do."""

    READ = "read"
    """Schema, shape, or a view: nothing of the content reaches the agent."""
    COMPUTE = "compute"
    """A new object; its inputs stay as they are."""
    MUTATE = "mutate"
    """An existing object changes in place."""
    REVEAL = "reveal"
    """Content crosses to the agent, in whatever form."""
    FS_READ = "fs.read"
    FS_WRITE = "fs.write"
    NET = "net"
    PROCESS = "process"
    EXEC = "exec"
    IMPORT = "import"
    ENV = "env"
    MEMORY = "memory"
    """Raw addresses, strides, uninitialised or unchecked memory."""
    CALLBACK = "callback"
    """Host code calls agent code."""
    DISPLAY = "display"
    NOTEBOOK_CREATE = "notebook.create"
    NOTEBOOK_EDIT = "notebook.edit"
    NOTEBOOK_RUN = "notebook.run"
    NOTEBOOK_DELETE = "notebook.delete"
    PACKAGE_INSTALL = "package.install"
    UNKNOWN = "unknown"


ALL_EFFECTS: frozenset[Effect] = frozenset(Effect)

LOOKING: frozenset[Effect] = frozenset({Effect.READ, Effect.COMPUTE, Effect.REVEAL})
"""Effects after which nothing but the agent's knowledge has changed: one `single` record is enough."""
