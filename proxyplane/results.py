"""What a run came to, as its caller gets it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

__all__ = ["RunError", "RunResult"]


@dataclass(frozen=True, slots=True)
class RunError:
    """Why a run did not finish.

    Attributes:
        type: bare class name, such as `KeyError` or `Denied`.
        message: its text; holds no values of guarded objects.
        traceback: the agent's own frames.
        effect, rule, hint: of a refusal: the effect that was refused, the deciding rule (None for the default) and
            what would be allowed.
    """

    type: str
    message: str
    traceback: str = ""
    effect: str | None = None
    rule: str | None = None
    hint: str | None = None


@dataclass(frozen=True, slots=True)
class RunResult:
    """What one `Session.run` came to.

    Attributes:
        ok: the code ran to its end.
        stdout, stderr: what it printed, bounded and marked where cut.
        value: the last expression as a REPL shows it; None when a REPL prints nothing.
        display: mime bundles.
        error: why it did not finish.
        operations: requests that the guest made.
        elapsed_ns: wall time in nanoseconds.
        lost: names of plain values that ended with a guest that crashed or ran out of time.
    """

    ok: bool
    stdout: str = ""
    stderr: str = ""
    value: str | None = None
    display: list[dict[str, Any]] = field(default_factory=list)
    error: RunError | None = None
    operations: int = 0
    elapsed_ns: int = 0
    lost: tuple[str, ...] = ()
