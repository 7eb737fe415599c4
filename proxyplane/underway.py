"""What is known of an operation on its way down the road, and the words that its stations share."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any, NamedTuple

from proxyplane import display, warned
from proxyplane.access import Access
from proxyplane.catalog import Entry, Expected
from proxyplane.decisions import Decision, Facts
from proxyplane.effects import Effect
from proxyplane.operations import Operation
from proxyplane.policies import Reservation
from proxyplane.recording import Trace
from proxyplane.subjects import Subject

if TYPE_CHECKING:
    from proxyplane.objects import Held
    from proxyplane.plane import ControlPlane
    from proxyplane.sessions import Session


UNKNOWN = frozenset({Effect.UNKNOWN})
READ = frozenset({Effect.READ})
COMPUTE = frozenset({Effect.COMPUTE})
MUTATE = frozenset({Effect.MUTATE})
REVEAL = frozenset({Effect.REVEAL})
REVEAL_BY_CALLBACK = frozenset({Effect.REVEAL, Effect.CALLBACK})
"""A function of the guest formats what is shown."""
NO_FACTS = Facts()
NO_BUNDLES: list[dict[str, Any]] = []
NO_FLAGS: frozenset[str] = frozenset()
DRAWING = frozenset({"state"})
NOTHING_SHOWN = Facts(0, 0, 0)
ONE = Facts(1, 1, None)
VIA = {"callback": "callback"}
ATTRIBUTES = frozenset({"getattr", "setattr", "delattr", "call"})
EXPLORING = frozenset({"describe", "list"})
ELEMENTWISE = frozenset({"binop", "compare"})
LABELS = frozenset({"name", "names"})
"""Schema members whose numbers are labels and not sizes."""
PLAIN = frozenset({str, int, float, bool, bytes})

DYNAMIC = Entry("dynamic attribute", "property", COMPUTE, frozenset(), None, None, ())
DYNAMIC_SET = Entry("dynamic attribute", "property", MUTATE, frozenset(), None, None, ())
OPTION = Entry("option", "property", READ, frozenset({"schema"}), None, None, ())
OPTION_SET = Entry("option", "property", COMPUTE, frozenset({"state", "keeps"}), None, None, ())
SCHEMA = Entry("schema", "method", READ, frozenset({"schema", "fresh"}), None, None, ())
ABSENT = Entry("absent attribute", "property", READ, frozenset(), None, None, ())
CALLBACK = Entry("guest function", "function", frozenset({Effect.CALLBACK}), frozenset(), None, None, ())
FETCHED = Entry("catalogued member", "property", READ, frozenset(), None, None, ())
BUFFERS = (io.StringIO, io.BytesIO)
MADE_UP = (DYNAMIC, DYNAMIC_SET, OPTION, OPTION_SET, ABSENT)
"""Lines that hold for one object and not for all of its type."""
BEFOREHAND = ("receiver", "display")
UNCATALOGUED = "no catalog describes it, and only catalogued members can be used"
KEPT = "only options that can be a session's own can be set (display.*, mode.*), and not with values out of data"
UNDECIDED = Decision("allow", None)


LENT = -1


class Written(NamedTuple):
    """A buffer of the agent after the host has used it."""

    at: int | str
    """Its place among the arguments; below zero: -1 for the first buffer that was lent to the target, and so on."""
    content: str | bytes | list[Any] | None
    """None where it is as it was."""
    position: int
    """`LENT`: the result keeps it, and writes it later."""


class Outcome(NamedTuple):
    """What an operation came to."""

    value: Any
    """The real result."""
    form: str
    """How it crosses."""
    fresh: bool
    """Containers in it were made for this operation."""
    show: bool
    """Whether its content may cross."""
    schema: bool
    """Its content is schema."""
    subject: Subject
    """Lineage that new objects in it inherit."""
    line: Entry | None
    """The catalog line it was performed under."""
    printed: str
    """What the host printed while it was performed."""
    written: tuple[Written, ...] = ()
    """What it wrote into the agent's buffers."""
    heard: list[warned.Heard] = []  # noqa: RUF012 - replaced, never changed in place
    """Warnings that host code issued."""
    bundles: list[dict[str, Any]] = []  # noqa: RUF012 - replaced, never changed in place
    """What it displays, which does not cross to the guest."""


class Raised(Exception):  # noqa: N818 - not an error of the plane: it carries the operation's
    """A lowered operation raised. Holds the real exception, which never crosses as it is."""

    def __init__(self, error: BaseException, own: tuple[Any, ...], heard: list[warned.Heard] | None = None) -> None:
        super().__init__("the operation raised")
        self.unknown = False
        """Whether it was granted the effect `unknown`, so that nothing is known to be held back."""
        self.error = error
        self.own = own
        self.heard = heard or []


class Plan(NamedTuple):
    """What is known of an operation before its arguments are looked at; kept per type, verb and member."""

    line: Entry | None
    expected: Expected
    flags: frozenset[str]
    drawn: bool
    """It is about a figure: see `display.subject`."""
    schema: bool
    """Its result is schema."""
    judged: bool
    """Its effects depend on its arguments."""
    reveals: bool
    """It is known beforehand to show content."""
    direct: bool
    """Nothing is to be done but to perform it."""


def plan_of(line: Entry | None, value: Any, member: str | None) -> Plan:
    """The plan of an operation on `value` under this line."""
    if line is None:
        return Plan(None, Expected(UNKNOWN, (), ()), NO_FLAGS, False, False, True, False, False)
    drawn = display.draws(line, value)
    return Plan(
        line,
        Expected(line.effects, (), ()),
        DRAWING | (line.flags & _DRAWS) if drawn else line.flags,
        drawn,
        "schema" in line.flags,
        bool(line.params) or "keeps" in line.flags,
        line.reveals in BEFOREHAND or Effect.REVEAL in line.effects,
        not (drawn or line is ABSENT or line.prints or line.flags & _SPECIAL or member in display.MEMBERS),
    )


_SPECIAL = frozenset({"replaced", "scoped", "zeroed", "plainly", "speaks", "copied", "holds"})
_DRAWS = frozenset({"draws"})


class Underway:
    """One operation between its frame and its record: the state that the stations of the road hand on."""

    __slots__ = (
        "_kept", "_performed", "_single", "_skipped", "access", "bundles", "decision", "effects", "expected", "facts",
        "generation", "instead", "line", "operation", "plan", "plane", "printed", "receiver", "reservation", "session",
        "subject", "target", "trace", "written",
    )  # fmt: skip

    _kept: bool
    _performed: bool
    _single: bool
    _skipped: int
    access: Access | None
    bundles: list[dict[str, Any]]
    decision: Decision
    effects: frozenset[Effect]
    expected: Expected
    facts: Facts | None
    generation: int
    instead: tuple[Any] | None
    line: Entry | None
    operation: Operation
    plan: Plan
    plane: ControlPlane
    printed: str
    receiver: Any
    reservation: Reservation | None
    session: Session
    subject: Subject
    target: Held
    trace: Trace
    written: tuple[Written, ...]

    way = "guest"
    """By which way operations come, as rules name it."""
