"""What an in-process proxy may ask of an object beyond what a guest may: special members, and what they do.

A guest answers `isinstance`, `type` and `__doc__` from a type's announcement and has no use for the rest. Code that
holds an in-process proxy lives in the host's interpreter, where Python itself asks for special members. Each is an
operation here: what is a fact of the type is `read`, what hands out content is `reveal`, what reaches the memory is
`memory`, and everything else that no catalog describes is `unknown`, which no preset grants.
"""

from __future__ import annotations

import copy
import inspect
import sys
import types
from collections.abc import Callable
from typing import Any, Final, NamedTuple

from proxyplane.catalog import Entry
from proxyplane.decisions import Decision
from proxyplane.effects import Effect
from proxyplane.errors import DeniedAttribute, Refusal, TierUnavailable
from proxyplane.launch import GuestLimits, GuestProcess
from proxyplane.lowering import dunder_of, lower
from proxyplane.membrane import REFERENCE
from proxyplane.objects import Held
from proxyplane.passage import ABSENT, Outcome, Passage, Raised

__all__ = ["MEDIATED", "SHARED", "TIER", "VIA", "WAYS", "LocalPassage", "NoZygote", "Rendered", "lacks"]

TIER: Final = "cooperative"
"""What the code that holds a proxy is confined by: its own good will."""

VIA: Final = "inproc"
"""`Origin.via` of what an in-process proxy asks."""
MEDIATED: Final = "inproc-mediated"
"""`Origin.via` of a host callable that an in-process proxy passed on, when host code calls it."""
WAYS: Final = frozenset({VIA, MEDIATED})


def _entry(name: str, kind: str, effects: set[Effect], flags: set[str], reveals: str | None = None) -> Entry:
    return Entry(name, kind, frozenset(effects), frozenset(flags), reveals, None, ())


_TYPE_FACT: Final = _entry("fact of a type", "property", {Effect.READ}, {"schema"})
_IDENTITY: Final = _entry("identity", "method", {Effect.READ}, {"schema"})
_HANDED_OUT: Final = _entry("the object itself", "property", {Effect.UNKNOWN, Effect.REVEAL}, set(), "receiver")
_BASE: Final = _entry("the class itself", "method", {Effect.UNKNOWN}, set())
_LISTED: Final = _entry("all names", "method", {Effect.UNKNOWN}, {"fresh"})
_COPIED: Final = _entry("copy as an array", "method", {Effect.COMPUTE, Effect.REVEAL}, set(), "receiver")
_DISPLAYED: Final = _entry("display", "method", {Effect.DISPLAY, Effect.REVEAL}, {"fresh"}, "display")
_MEMORY: Final = _entry("shared memory", "property", {Effect.MEMORY, Effect.REVEAL}, set(), "receiver")

_NAMES: Final = frozenset({"__doc__", "__name__", "__qualname__", "__module__"})
_CHECKS: Final = frozenset({"__instancecheck__", "__subclasscheck__"})
SHARED: Final = frozenset(
    "__array_interface__ __array_struct__ __array_wrap__ __array_finalize__ __buffer__ __dlpack__ __dlpack_device__ "
    "__dataframe__ __arrow_array__ __arrow_c_array__ __arrow_c_schema__ __arrow_c_stream__ "
    "__cuda_array_interface__".split()
)
"""Protocols by which one library reads the memory of another."""
_NAMED: Final = (type, types.ModuleType, types.FunctionType, types.BuiltinFunctionType, types.MethodType)
_FALLBACK: Final[dict[str, tuple[str, ...]]] = {
    "__ne__": ("__eq__",),
    "__str__": ("__repr__",),
    "__format__": ("__str__", "__repr__"),
    "__int__": ("__index__",),
    "__float__": ("__index__",),
    "__complex__": ("__float__", "__index__"),
    "__contains__": ("__iter__",),
}
"""Which special method Python, or `object`, uses where a type has not the first."""
_OWN: Final = frozenset({"__eq__", "__ne__", "__hash__"})


def special_line(held: Held, verb: str, member: str) -> Entry | None:
    """What a private or special member does; None: not known, so `unknown`."""
    if verb == "getattr":
        if member == "__wrapped__":
            return _HANDED_OUT
        if member == "__class__" or (member == "__bases__" and isinstance(held.value, type)):
            return _TYPE_FACT
        if member in _NAMES and _of_the_type(held.value, member):
            return _TYPE_FACT
        return _MEMORY if member in SHARED and not lacks(held, member) else None
    if verb != "call":
        return None
    if member in SHARED:
        return _MEMORY
    if member in _CHECKS and isinstance(held.value, type):
        return _TYPE_FACT
    if member == "__mro_entries__":
        return _BASE
    if member == "__dir__":
        return _LISTED
    kind = held.kind
    if kind is None:
        return None
    if member == "__array__":
        return _COPIED
    if member == "_mime_":
        return _DISPLAYED
    if member in ("__copy__", "__deepcopy__"):
        return kind.dunders.get(member) or (kind.members.get("copy") if member == "__copy__" else None)
    return None


def _of_the_type(value: Any, member: str) -> bool:
    """Whether a name or documentation is that of a type, function or module, and not an attribute that somebody set."""
    if isinstance(value, _NAMED):
        return True
    own = inspect.getattr_static(value, "__dict__", None)
    return own is None or not isinstance(vars(value), dict) or member not in vars(value)


def lacks(held: Held, member: str) -> bool:
    """Whether an object has no such attribute, and is not of an unknown class that makes attributes up."""
    nothing: Any = lacks
    if inspect.getattr_static(held.value, member, nothing) is not nothing:
        return False
    return held.kind is not None or not hasattr(type(held.value), "__getattr__")


def dunder_line(held: Held, dunder: str) -> Entry | None:
    """The line of a special method that the catalog does not name, where the type inherits what Python does itself."""
    kind = type(held.value)
    if dunder in _OWN and getattr(kind, dunder, None) is getattr(object, dunder):
        return _IDENTITY
    if dunder == "__bool__" and not hasattr(kind, "__bool__") and not hasattr(kind, "__len__"):
        return _IDENTITY
    if held.kind is None:
        return None
    inherited = getattr(kind, dunder, None) is getattr(object, dunder, None)
    for other in _FALLBACK.get(dunder, ()) if inherited else ():
        line = held.kind.dunders.get(other)
        if line is not None:
            return line
    return None


class Rendered(NamedTuple):
    """How an object looks, for a person: a MIME type and a text. Notebooks call `_mime_`."""

    mime: str
    data: str

    def _mime_(self) -> tuple[str, str]:
        return self.mime, self.data


def _rendered(target: Any, args: tuple[Any, ...]) -> tuple[str, str]:
    html = getattr(type(target), "_repr_html_", None)
    text = html(target) if html is not None else None
    return ("text/html", text) if type(text) is str else ("text/plain", repr(target))


def _bases(target: Any, args: tuple[Any, ...]) -> tuple[Any, ...]:
    entries = None if isinstance(target, type) else getattr(target, "__mro_entries__", None)
    return (target,) if entries is None else tuple(entries(*args))


def _as_array(target: Any, args: tuple[Any, ...]) -> Any:
    return sys.modules["numpy"].array(target, *args, copy=True)


_LOWER: Final[dict[tuple[str, str | None], Callable[[Any, tuple[Any, ...]], Any]]] = {
    ("getattr", "__wrapped__"): lambda target, args: target,
    ("call", "__mro_entries__"): _bases,
    ("call", "__dir__"): lambda target, args: dir(target),
    ("call", "__copy__"): lambda target, args: copy.copy(target),
    ("call", "__deepcopy__"): lambda target, args: copy.deepcopy(target, *args),
    ("call", "__array__"): _as_array,
    ("call", "_mime_"): _rendered,
}
"""Special members that are not simply fetched or called."""


def _perform(verb: str, target: Any, member: str | None, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    special = _LOWER.get((verb, member))
    if special is not None:
        return special(target, args)
    if verb == "exit":  # in one process the exception itself is at hand
        return target.__exit__(*(args or (None, None, None)))
    return lower(verb, target, member, args, kwargs)


class LocalPassage(Passage):
    """The passage of what an in-process proxy asks for: the same stations, with special members decided."""

    __slots__ = ()

    way = VIA
    _perform = staticmethod(_perform)

    def _refuse_private(self, member: str) -> Entry | None:
        line = special_line(self.target, self.operation.verb, member)
        if line is None and self.operation.verb == "getattr" and lacks(self.target, member):
            return ABSENT
        return line

    def _getattr_line(self, member: str, line: Entry | None) -> Entry | None:
        found = super()._getattr_line(member, line)
        made_up = found is ABSENT and not lacks(self.target, member)
        return None if made_up else found

    def _dunder_line(self, verb: str, member: str | None) -> Entry | None:
        found = super()._dunder_line(verb, member)
        return found if found is not None else dunder_line(self.target, dunder_of(verb, member) or "")

    def _denial(self, decision: Decision) -> Refusal:
        refusal = super()._denial(decision)
        member = self.operation.member
        if self.operation.verb != "getattr" or member is None or not member.startswith("_"):
            return refusal
        text = str(refusal)
        if member == "__wrapped__":
            text = (
                f"{self._name_of_target()}: an in-process proxy does not hand out its object; use its members, or have "
                "a rule allow the effects unknown and reveal by name"
            )
        # Python asks whether an object has such members: to be told no, it needs an AttributeError.
        return DeniedAttribute(text, effect=refusal.effect, rule=refusal.rule, reason=refusal.reason, hint=refusal.hint)

    def _raised(self, error: BaseException) -> BaseException:
        raised = super()._raised(error)
        if isinstance(raised, Raised):
            raised.unknown = Effect.UNKNOWN in self.effects
        return raised

    def _is_schema(self, value: Any) -> bool:
        return self.line is _TYPE_FACT or self.line is _IDENTITY or super()._is_schema(value)

    def classify(self, value: Any) -> Outcome:
        if self.operation.origin.via == MEDIATED:  # the caller is host code: nothing crosses
            return Outcome(value, REFERENCE, False, False, False, self.subject, self.line, "")
        return super().classify(value)


class NoZygote:
    """Stands for the zygote of a plane that has in-process proxies only."""

    pid = 0
    tier = TIER

    def spawn(self, limits: GuestLimits, tier: str) -> GuestProcess:
        """There are no guests.

        Raises:
            TierUnavailable: always.
        """
        raise TierUnavailable(
            "this plane was made with require_tier='cooperative': it has in-process proxies, no guests"
        )

    def close(self) -> None:
        """Nothing to end."""
