"""The form of a policy file: which keys there are and what type each value has. Meaning is checked by `meaning`.

The texts of the fields are those of the JSON schema (`proxyplane policy schema`), so that editors can show them.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, WithJsonSchema

__all__ = [
    "AskShape",
    "BudgetShape",
    "ExpectShape",
    "FileShape",
    "FsShape",
    "ModulesShape",
    "ObjectShape",
    "RedactShape",
    "RuleShape",
    "TestShape",
    "TryShape",
]


def _as_list(value: Any) -> Any:
    return [value] if isinstance(value, str) else value


_STRINGS = {"anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}}]}
Names = Annotated[list[str], BeforeValidator(_as_list), WithJsonSchema(_STRINGS)]
"""A string or an array of strings."""


class _Shape(BaseModel):
    # Strict, so that `limit = "500"` and `limit = true` are errors; closed, so that no misspelt key is ignored.
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class ObjectShape(_Shape):
    """`[objects.NAME]`: facts about a granted object, and what of it exists for the agent."""

    type: str | None = Field(None, description="The type that the object must have, such as pandas.DataFrame.")
    labels: Names = Field([], description="Marks that rules go by; what is made from the object carries them too.")
    show: Names | None = Field(None, description="The only columns that exist for the agent. Preferred to hide.")
    hide: Names | None = Field(None, description="Columns that do not exist for the agent.")
    mask: Names | None = Field(None, description="Columns usable as keys whose values are never shown.")
    where: Names | None = Field(None, description="Only these rows exist for the agent: a condition on columns.")
    keys: Names | None = Field(None, description="Columns that aggregates may be grouped or filtered by.")
    min_group: int | None = Field(None, description="Groups of fewer rows are folded into a remainder when shown.")


class BudgetShape(_Shape):
    """`[budgets.NAME]`: how much may be taken, counted for each principal and source object."""

    limit: int = Field(description="The most that may be taken.")
    per: Literal["principal", "session", "day"] = Field(
        "principal", description="principal never refills, day refills at midnight UTC, session with each session."
    )
    exceeded: Literal["deny", "ask"] = Field("deny", description="What happens to an operation that would exceed it.")


class ModulesShape(_Shape):
    """`[modules]`: what the agent may import, and from where."""

    host: Names = Field([], description="Imported on the host; the agent sees stubs.")
    guest: Names = Field(["stdlib"], description='What the guest imports for itself: "stdlib", or a list of modules.')


class FsShape(_Shape):
    """`[fs]`: which files can be reached at all."""

    root: str = Field(".", description="Where the agent's relative paths begin; relative to this file's folder.")
    read: Names = Field([], description="Globs below root.")
    write: Names = Field([], description="Globs below root.")


class RedactShape(_Shape):
    """`redact`: what happens to content before it is shown."""

    rows: int | None = Field(None, description="Show at most so many rows.")
    mask: Names = Field([], description="Columns whose values are replaced by tokens.")
    round: int | None = Field(None, description="Decimal digits; negative for tens, hundreds ...")
    min_group: int | None = Field(None, description="Groups of fewer rows become one remainder group.")


class AskShape(_Shape):
    """`ask`: the terms of an approval."""

    who: Names = Field([], description="Who must answer; by default whoever may approve.")
    timeout: str = Field("5m", description="Without an answer after so long it is a no, such as 30s, 5m, 2h.")
    remember: Literal["never", "call", "shape", "session"] = Field("never", description="For what a yes holds.")


_Condition = dict[str, Any]


class RuleShape(_Shape):
    """`[[rules]]`: one sentence of the policy."""

    id: str = Field(description="The rule's name in refusals and records.")
    decide: Literal["allow", "redact", "fork", "ask", "deny"] = Field(
        description="The strictest of all rules that match decides: deny > ask > fork > redact > allow."
    )
    agent: Names | None = Field(None, description="Who: globs over agents' names.")
    origin: Names | None = Field(None, description="By which way: guest, host, inproc, http, mcp, callback.")
    object: Names | None = Field(None, description="What: globs over granted names, followed through lineage.")
    type: Names | None = Field(None, description="Globs over the target's type, such as pandas.*.")
    label: Names | None = Field(None, description="Globs over labels.")
    column: Names | None = Field(None, description="Globs over columns that the operation touches or shows.")
    member: Names | None = Field(None, description="Globs over attribute and method names.")
    op: Names | None = Field(None, description="Verbs, such as call, getitem, setitem.")
    effect: Names | None = Field(None, description="Effects or patterns of them; each effect must be granted.")
    when: _Condition | None = Field(None, description="Comparisons that must all hold.")
    unless: _Condition | None = Field(None, description="The exception: where all of these hold, the rule is silent.")
    redact: RedactShape | None = Field(None, description='What to redact; with decide = "redact".')
    ask: AskShape | None = Field(None, description='The terms; with decide = "ask".')
    charge: dict[str, Any] | None = Field(None, description="Budgets, and what each use takes from them.")
    declassify: Names | None = Field(None, description="Labels that an aggregate loses; only in an allow.")
    reason: str = Field("", description="What the agent is told.")


class TryShape(_Shape):
    """`try`: an operation that might come."""

    agent: str = Field(description="Who asks.")
    object: Names = Field([], description="Granted names that target and arguments are made from.")
    origin: str = "guest"
    op: str = "call"
    name: str | None = Field(None, description="The attribute or method.")
    type: str | None = None
    label: Names | None = Field(None, description="By default the labels of the objects.")
    column: Names = Field([], description="Columns that it touches.")
    effect: Names = Field(description="Its effects.")
    rows: int | None = None
    cells: int | None = None
    bytes: int | None = None
    group: int | None = None
    path: Names = []
    host: Names = []
    args: dict[str, Any] = {}
    age: str | None = None
    session: dict[str, Any] = {}
    aggregate: bool | None = None


class ExpectShape(_Shape):
    """`expect`: how it must be decided."""

    decision: Literal["allow", "redact", "fork", "ask", "deny"]
    rule: str | None = Field(None, description='The deciding rule; "default" for an operation no rule speaks of.')


class TestShape(_Shape):
    """`[[tests]]`: an example that `proxyplane policy test` decides."""

    __test__ = False

    name: str = ""
    attempt: TryShape = Field(alias="try")
    expect: ExpectShape


class FileShape(_Shape):
    """A policy file: what agents may do."""

    version: Literal[1] = Field(alias="schema", description="The version of the language.")
    default: Literal["deny"] = Field("deny", description="What happens to an operation that no rule speaks of.")
    mode: Literal["enforce", "observe"] = Field(
        "enforce", description="observe records what would have been decided and lets it pass."
    )
    require_tier: Literal["sealed", "filtered", "split"] | None = Field(
        None, description="No session starts with weaker isolation."
    )
    objects: dict[str, ObjectShape] = {}
    budgets: dict[str, BudgetShape] = {}
    modules: ModulesShape | None = None
    fs: FsShape | None = None
    rules: list[RuleShape] = []
    tests: list[TestShape] = []
