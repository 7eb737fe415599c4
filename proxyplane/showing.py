"""What of a result is content, how much of it, and whether it may cross."""

from __future__ import annotations

import re
import types
from typing import TYPE_CHECKING, Any, Final

from proxyplane import display, hosts, warned
from proxyplane.access import measure
from proxyplane.amounts import Source, spread
from proxyplane.catalog import Entry
from proxyplane.decisions import Facts
from proxyplane.effects import Effect
from proxyplane.errors import ReferenceFailed, Refusal
from proxyplane.grants import flat_labels
from proxyplane.membrane import CARRIED, CONTAINER, INTEGERS, NOTHING, REFERENCE, VALUE

if TYPE_CHECKING:
    pass


from proxyplane.redacting import Redacting
from proxyplane.redaction import capped
from proxyplane.underway import (
    BEFOREHAND,
    LABELS,
    NO_FACTS,
    NOTHING_SHOWN,
    ONE,
    PLAIN,
    REVEAL,
    Outcome,
)

__all__ = ["Showing"]

_WORDS: Final = re.compile(r"\w+")
_UNITS: Final = frozenset("D h min s ms us ns dtype object datetime64 timedelta64 True False None O".split())
"""Words of dtypes that no member of a library is named by."""


class Showing(Redacting):
    """The stations that measure, classify and reveal."""

    __slots__ = ()

    def _facts_before(self, line: Entry) -> Facts:
        if not self.subject.roots:
            return NOTHING_SHOWN
        if line.reveals not in BEFOREHAND:
            return ONE
        measured = self._measured()
        displayed = line.reveals == "display"
        return self._spread(self._facts_of(measured, shown=displayed), None, measured, displayed=displayed)

    def _spread(self, amount: Facts, shown: Any, receiver: Any, *, displayed: bool = False) -> Facts:
        session, roots = self.session, self.subject.roots
        source = Source(tuple([session.grants.widths.get(root) for root in roots]), session.dispatch.knows)
        if displayed:
            return session.state.perform(lambda: spread(amount, shown, receiver, source, displayed=True))
        return spread(amount, shown, receiver, source)

    def _measured(self) -> Any:
        """The object whose content is shown: the receiver; of a module's function the first argument."""
        receiver = self.receiver
        function = self.operation.verb == "call" and self.operation.member is None and self.target.entry is not None
        if receiver is self.target.value and (isinstance(receiver, types.ModuleType) or function):
            return self.operation.args[0] if self.operation.args else None
        return receiver

    def _facts_of(self, value: Any, *, shown: bool = False) -> Facts:
        line = self.line

        def look() -> Facts:
            return display.measured(line, value) if display.displays(line) else hosts.shown(value)

        try:
            return self.session.state.perform(look) if shown else hosts.facts(value)
        except Exception:  # an object that its library lets exist but cannot measure: not known, so not shown
            return NO_FACTS

    def classify(self, value: Any) -> Outcome:
        """Decide how the result crosses, and whether its content may.

        Raises:
            Denied, BudgetExceeded: the content may not cross; the result is withheld, and recorded as withheld.
        """
        line, verb = self.line, self.operation.verb
        fresh = self.target.items_fresh if verb == "next" else line is not None and "fresh" in line.flags
        schema = self.subject.schema or (self.plan.schema and self._is_schema(value))
        if self.plane.policy.follows:
            self._follow(value)
        if verb == "iter":
            return self._iterator(value, schema)
        if self.operation.origin.via == "mediated":  # the caller is host code: nothing crosses
            return Outcome(value, REFERENCE, fresh, False, schema, self.subject, line, "")
        form = CONTAINER if verb in ("next", "callback") else self.session.membrane.form(value, fresh)
        show = True
        self.instead = None
        if self.printed and not schema and self.facts is None:
            self._reveal_text(self.printed)
        if self.written and not schema and not (line is not None and line.reveals == "receiver"):
            self._reveal_written()
        if form in (VALUE, CARRIED, CONTAINER) and not schema and self.facts is None:
            show = self._reveal(value, form, fresh)
        if self.decision.declassify:
            self.subject = self.subject._replace(labels=self.subject.labels - self.decision.declassify)
        if self.instead is not None:  # redacted
            value = self.instead[0]
            form = form if form == CONTAINER else self.session.membrane.form(value, True)
        form = form if show else REFERENCE
        heard = self._heard() if self.session.heard else []
        return Outcome(
            value, form, fresh, show, schema, self.subject, line, self.printed, self.written, heard, self.bundles
        )

    def _is_schema(self, value: Any) -> bool:
        """Whether what a schema member gave is schema: column labels that came out of data are content."""
        kind = type(value)
        number = kind is int or kind is bool or (kind is tuple and INTEGERS.issuperset(map(type, value)))
        if number and self.operation.verb != "contains" and self.operation.member not in LABELS:
            return not (self.subject.sized or (self.plane.policy.follows and self._hides_counts()))
        if self.operation.verb == "describe":
            labels = self._described(value)
        else:
            labels = tuple(value) if self.operation.verb == "list" else hosts.index_labels(value)
        if labels is None and kind in (list, tuple):  # of axes, say
            axes = [found for item in value if (found := hosts.index_labels(item)) is not None]
            labels = tuple(label for axis in axes for label in axis) if axes else None
        if labels is None:
            if self.subject.sized and not self._is_worded(value):
                return False
            labels = (*(hosts.labels(self.receiver) or ()), *(hosts.labels(value) or ()))
            if self.printed or self.written:  # a summary, with the first and the last row's labels
                labels += hosts.ends(self.receiver)
        return all(self.session.dispatch.knows(label) for label in labels)

    def _is_worded(self, value: Any) -> bool:
        """Whether a dtype, frequency or the like is made of words that libraries have.

        (That of an object which a cell decided on can tell the cell: `417D`, `<U417`.)
        """
        words = _WORDS.findall(str(value)) if value is not None else ()
        vocabulary = self.session.plane.catalog.vocabulary
        return all(word in vocabulary or word in _UNITS for word in words)

    def _described(self, schema: dict[str, Any] | None) -> tuple[Any, ...] | None:
        """The labels that a description shows: of columns and axes, and no categories."""
        if schema is None or "index" not in schema:
            return hosts.labels(self.receiver)
        axes = tuple(name for name in schema["index"] if name)
        return axes + tuple(flat_labels(hosts.column_names(self.receiver), others=True))

    def _amount(self, value: Any, fresh: bool) -> Facts:
        """How much of the result is content that crosses with it."""
        content = self.session.membrane.content
        if self.access is not None and isinstance(value, str | bytes):
            beforehand = self.line is not None and self.line.reveals in BEFOREHAND
            return self._facts_of(self._measured()) if beforehand else measure(value)
        if self.operation.verb == "next":  # the list of items is the protocol's own
            items = value[1]
            if PLAIN.issuperset(map(type, items)):
                return Facts(len(items), len(items), None)
            parts = [content(item, fresh) for item in items]
            return Facts(sum(1 for part in parts if part.cells), sum(part.cells or 0 for part in parts), None)
        if self.operation.verb == "callback":
            args, kwargs = value
            return content((*args, *kwargs.values()), fresh)
        return content(value, fresh)

    def _reveal(self, value: Any, form: str, fresh: bool) -> bool:
        """Have the crossing of content decided and charged; False when a carried value must stay behind."""
        amount = self._amount(value, fresh)
        if amount.cells == 0:
            return True
        if self.line is not None and "joins" in self.line.flags and isinstance(value, str | bytes):
            amount = self._facts_of(self._measured())  # one text that can hold the content of every row
        if not self.subject.roots:
            amount = NOTHING_SHOWN
        elif form == CONTAINER or isinstance(value, tuple):
            amount = self._spread(amount, value[1] if self.operation.verb == "next" else value, self.receiver)
        effects = self.effects | REVEAL
        quiet = form == CARRIED  # without its content the handle still crosses, which is no refusal
        if not quiet:
            self._add_reveal()
        try:
            if self.operation.verb == "next":  # one look, in parts: the rule's cap is on all that it has shown
                self._ask(effects, Facts(self.target.shown + (amount.rows or 0), amount.cells, amount.bytes))
            decision = self._ask(effects, amount, quiet=quiet)
            if decision.redaction is not None:
                self._redact_result(value, decision, amount)
                if self.instead is not None:
                    decision, amount = self.decision, capped(amount, decision.redaction)
            self._reserve(decision, quiet=quiet)
        except (Refusal, ReferenceFailed):
            if not quiet:
                raise
            return False
        self.decision = decision
        if quiet:
            self._add_reveal()
        if self.operation.verb == "next":
            self.target.shown += amount.rows or 0
        self.facts = amount
        return True

    def _reveal_text(self, text: str) -> None:
        """What the host printed names columns that came out of data."""
        lines = text.count("\n") if self.subject.roots else 0
        self._reveal_amount(Facts(lines, lines, len(text)))

    def _reveal_written(self) -> None:
        """What the host wrote into a buffer of the agent crosses with the answer."""
        contents = [buffer.content for buffer in self.written if buffer.content is not None]
        if not contents:
            return
        if self.line is not None and self.line.prints and type(contents[0]) is str:
            self._reveal_text(contents[0])
        else:
            measured = self._measured()
            amount = self._spread(self._facts_of(measured), None, measured) if self.subject.roots else NOTHING_SHOWN
            self._reveal_amount(amount)

    def _reveal_amount(self, amount: Facts) -> None:
        self._add_reveal()
        self.decision = self._ask(self.effects, amount)
        if self.decision.redaction is not None:
            self._refuse_sides(self.decision)
        self._reserve(self.decision)
        self.facts = amount

    def _add_reveal(self) -> None:
        self.effects |= REVEAL
        self.trace.add_effect(Effect.REVEAL)

    def _iterator(self, value: Any, schema: bool) -> Outcome:
        flags = self.line.flags if self.line is not None else frozenset()
        held = self.session.dispatch.hold(value, self.operation.id, self.subject)
        if held.made_by == self.operation.id:
            held.items_fresh, held.pure, held.schema = "fresh" in flags, "pure" in flags, schema
        return Outcome((value, held.pure), NOTHING, False, True, schema, self.subject, self.line, "")

    def _heard(self) -> list[warned.Heard]:
        """Take the warnings that host code has issued."""
        heard = self.session.heard[:]
        self.session.heard.clear()
        return heard
