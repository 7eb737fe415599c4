"""What requests hold: the models from which bodies are checked and the API's description is made."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from proxyplane.transport.http.problems import Problem

__all__ = [
    "Answered", "Batch", "Code", "CodeRun", "Create", "Edit", "Open", "Operation", "Wire", "checked",
    "described",
]  # fmt: skip


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)


class Open(_Strict):
    """A session to open."""

    objects: list[str] | None = Field(None, max_length=1000, description="Names to grant; by default all.")


class Operation(_Strict):
    """One operation on an object. Values are in the form that docs/http.md describes."""

    verb: str = Field(description="getattr, call, getitem, binop, repr, ...")
    target: Any = Field(
        description="A name, a handle, {'$ref': handle} or {'$result': number of an earlier operation}."
    )
    member: str | None = Field(None, max_length=512, description="Attribute, method or operator.")
    args: list[Any] = Field(default_factory=list)
    kwargs: dict[str, Any] = Field(default_factory=dict)


class Batch(_Strict):
    """Operations in order; a later one may use the results of earlier ones. The first that fails ends it."""

    operations: list[Operation] = Field(min_length=1)
    results: Literal["all", "last"] = Field("all", description="Whether earlier results are given, and kept.")


class Wire(_Strict):
    """The same for clients that speak the wire protocol (docs/protocol.md), as `proxyplane.connect` does."""

    form: Literal["wire"]
    lane: str | None = Field(None, description="The client's lane; None opens one.")
    bind: list[str] = Field(default_factory=list, max_length=1000, description="Names whose objects are wanted.")
    operations: list[list[Any]] = Field(
        default_factory=list, description="[verb, target, member, args, kwargs]; target is a handle, or [30, number]."
    )
    release: list[Any] = Field(default_factory=list, description="handle, count, handle, count ...")
    results: Literal["all", "last"] = "all"


class Code(_Strict):
    """Code to run."""

    code: str = Field(max_length=1 << 20)
    timeout: float | None = Field(None, gt=0, description="Seconds.")


class CodeRun(BaseModel):
    """Code to run, as notebook clients send it; what else they say is ignored."""

    model_config = ConfigDict(extra="ignore", strict=True)

    code: str = Field(max_length=1 << 20)


class Answered(_Strict):
    """An answer to a question."""

    decision: Literal["approve", "deny"]
    scope: Literal["never", "call", "shape", "session"] | None = Field(None, description="For what a yes holds.")
    note: str = Field("", max_length=500, description="Goes to the agent with a no.")


class Create(BaseModel):
    """A cell to make."""

    model_config = ConfigDict(extra="ignore", strict=True)

    code: str = Field(max_length=1 << 20)
    notebookUri: str | None = None  # noqa: N815 - the protocol's name
    index: int | None = Field(None, ge=0)


class Edit(BaseModel):
    """New code of a cell."""

    model_config = ConfigDict(extra="ignore", strict=True)

    code: str = Field(max_length=1 << 20)


def checked(model: Any, content: Any) -> Any:
    """The content as its model.

    Raises:
        Problem: it does not fit; the text names the places, and repeats nothing of the content.
    """
    try:
        return TypeAdapter(model).validate_python(content if content is not None else {})
    except ValidationError as error:
        faults = [f"{'.'.join(map(str, fault['loc'])) or 'body'}: {fault['msg']}" for fault in error.errors()[:5]]
        raise Problem(422, "body", f"the body is not as it should be: {'; '.join(faults)}") from None


def described(model: type[BaseModel]) -> dict[str, Any]:
    """The model's JSON Schema."""
    return model.model_json_schema(ref_template="#/components/schemas/{model}")
