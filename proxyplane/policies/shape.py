"""The form of a policy file: which keys there are and what type each value has. Meaning is checked by `load`."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict

__all__ = ["BudgetShape", "FileShape", "FsShape", "ModulesShape", "ObjectShape", "RuleShape"]


def _as_list(value: Any) -> Any:
    return [value] if isinstance(value, str) else value


Names = Annotated[list[str], BeforeValidator(_as_list)]
"""A string or an array of strings."""


class _Shape(BaseModel):
    # Strict, so that `limit = "500"` and `limit = true` are errors; closed, so that no misspelt key is ignored.
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class ObjectShape(_Shape):
    """`[objects.NAME]`: facts and projection of a granted object."""

    type: str | None = None
    labels: Names = []
    show: Names | None = None
    hide: Names | None = None


class BudgetShape(_Shape):
    """`[budgets.NAME]`: how much may be taken, counted for each principal and source object."""

    limit: int
    per: Literal["principal", "session", "day"] = "principal"
    exceeded: Literal["deny"] = "deny"


class ModulesShape(_Shape):
    """`[modules]`: what the agent may import, and from where."""

    host: Names = []
    guest: Names = ["stdlib"]


class FsShape(_Shape):
    """`[fs]`: which files can be reached at all."""

    root: str = "."
    read: Names = []
    write: Names = []


class RuleShape(_Shape):
    """`[[rules]]`: one sentence of the policy."""

    id: str
    decide: Literal["allow", "deny"]
    agent: Names | None = None
    origin: Names | None = None
    object: Names | None = None
    type: Names | None = None
    label: Names | None = None
    member: Names | None = None
    op: Names | None = None
    effect: Names | None = None
    when: dict[str, Any] | None = None
    unless: dict[str, Any] | None = None
    charge: dict[str, Any] | None = None
    reason: str = ""


class FileShape(_Shape):
    """The whole file, without `schema`, which is checked before anything else."""

    default: Literal["deny"] = "deny"
    require_tier: Literal["sealed", "filtered", "split"] | None = None
    objects: dict[str, ObjectShape] = {}
    budgets: dict[str, BudgetShape] = {}
    modules: ModulesShape = ModulesShape()
    fs: FsShape | None = None
    rules: list[RuleShape] = []
