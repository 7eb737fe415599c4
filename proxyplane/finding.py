"""Which catalog line says what an operation does, and with which effects."""

from __future__ import annotations

import inspect
import types
from typing import TYPE_CHECKING

from proxyplane import display, hosts
from proxyplane.access import open_paths
from proxyplane.catalog import Entry, Expected
from proxyplane.decisions import Decision
from proxyplane.effects import Effect
from proxyplane.errors import DeniedAttribute, ProtocolError
from proxyplane.lowering import dunder_of
from proxyplane.recording import Trace

if TYPE_CHECKING:
    pass


from proxyplane.showing import Showing
from proxyplane.underway import (
    ABSENT,
    ATTRIBUTES,
    CALLBACK,
    DYNAMIC,
    DYNAMIC_SET,
    EXPLORING,
    FETCHED,
    OPTION,
    OPTION_SET,
    SCHEMA,
    UNKNOWN,
)

__all__ = ["Finding"]


class Finding(Showing):
    """The station that looks an operation up."""

    __slots__ = ()

    def _find_line(self) -> Entry | None:
        """The catalog line that says what this operation does; None when no catalog knows."""
        operation, target = self.operation, self.target
        verb, member = operation.verb, operation.member
        if verb in EXPLORING:
            return SCHEMA
        if verb == "callback":
            return CALLBACK
        if verb not in ATTRIBUTES:
            return self._dunder_line(verb, member)
        if member is None:
            return self._call_line()
        if member in display.MEMBERS and verb == "call":
            return display.line_of(target.value, member, self.plane.catalog)
        if member.startswith("_") and not self._is_reviewed(member):
            return self._refuse_private(member)
        if verb in ("setattr", "delattr") and isinstance(target.value, type | types.ModuleType):
            return None  # types and modules are shared by everybody in the process
        line = self.session.membrane.member_of(target, member)
        if line is not None and "local" in line.flags and verb == "call":
            return None  # the guest does it for itself; here it would be done to everybody's
        if verb == "getattr":
            return self._getattr_line(member, line)
        if verb == "call":
            if line is not None and line.kind == "method" and isinstance(target.value, type):
                self._unbound()
                if not isinstance(self.receiver, target.value):
                    return None  # compiled methods do not look at what they are given: pandas' end the host
            return line if line is None or line.kind != "property" else None
        settable = line is not None and "settable" in line.flags
        if settable or (target.kind is not None and target.kind.dynamic and hosts.may_set(target.value, member)):
            return OPTION_SET if hosts.is_options(target.value) else DYNAMIC_SET
        return None

    def _dunder_line(self, verb: str, member: str | None) -> Entry | None:
        dunder = dunder_of(verb, member)
        if dunder is None:
            raise ProtocolError(f"the verb {verb!r} does not exist in this form")
        kind = self.target.kind
        return kind.dunders.get(dunder) if kind is not None else None

    def _call_line(self) -> Entry | None:
        target = self.target
        if isinstance(target.value, type):
            kind = self.plane.catalog.of(target.value)
            return kind.constructor if kind is not None else None
        if target.entry is not None:
            owner = getattr(target.value, "__self__", None)
            if owner is not None and not isinstance(owner, types.ModuleType):
                self.receiver = owner
            elif target.entry.kind == "method":
                self._unbound()
                if type(target.value).__name__ == "cython_function_or_method":
                    return None  # the same
            entry: Entry = target.entry
            return entry
        return target.kind.dunders.get("__call__") if target.kind is not None else None

    def _unbound(self) -> None:
        """A method that was taken from its type: the first argument is the receiver."""
        self.receiver = self.operation.args[0] if self.operation.args else None
        self._skipped = 1

    def _getattr_line(self, member: str, line: Entry | None) -> Entry | None:
        if line is not None:
            return line if line.kind == "property" and not isinstance(self.target.value, type) else FETCHED
        target = self.target
        if target.kind is not None and target.kind.dynamic and hosts.has_dynamic(target.value, member):
            return OPTION if hosts.is_options(target.value) else DYNAMIC
        if inspect.getattr_static(target.value, member, self) is self:
            return ABSENT
        return None

    def _is_reviewed(self, member: str) -> bool:
        """Whether a private member, but no special one, has a catalog line of its own for this very type."""
        if member.startswith("__") or self.operation.verb not in ("getattr", "call"):
            return False
        of_module = isinstance(self.target.value, types.ModuleType)
        return not of_module and self.session.membrane.member_of(self.target, member) is not None

    def _refuse_private(self, member: str) -> Entry | None:
        self.line = None
        self.effects = UNKNOWN
        self.trace = Trace(self.session, self.operation, self.target, UNKNOWN)
        self._append(self.trace.outcome("single", Decision("deny", None), "denied", reason="private"))
        raise DeniedAttribute(
            f"{type(self.target.value).__name__!r} object has no attribute {member!r} here: "
            "private and special members are not reachable",
            effect=Effect.UNKNOWN,
            reason="private and special members are not reachable",
            hint="use the public members; dir() lists them",
        )

    def _expect(self) -> Expected:
        line, operation = self.line, self.operation
        # What came out of data may not stay in options.
        if line is None or ("keeps" in line.flags and self.subject.roots - self.session.grants.modules):
            denial = self._denied_by_name()
            expected = Expected(UNKNOWN if denial is None else UNKNOWN | {denial.effect}, (), ())
        else:
            args = operation.args[self._skipped :]
            expected = self.plane.catalog.expected(line, self.receiver, args, operation.kwargs)
        paths = (*expected.paths, *open_paths(operation)) if operation.joined else expected.paths
        return expected._replace(effects=expected.effects | operation.joined, paths=paths)
