"""The station at which content is redacted: on the object that is shown, or on the result that shows it."""

from __future__ import annotations

from typing import Any

from proxyplane.columns import NO_COLUMNS, Columns, followed
from proxyplane.decisions import Decision, Facts, Redaction
from proxyplane.effects import Effect
from proxyplane.errors import Denied
from proxyplane.hosts.aggregates import REDUCTIONS, folded, is_reduction, stands_behind
from proxyplane.judging import Judging
from proxyplane.redaction import CannotRedact, capped, needed, redacted, told

__all__ = ["Redacting"]

REVEALS = frozenset({Effect.REVEAL})


class Redacting(Judging):
    """The stations that show less than there is."""

    __slots__ = ()

    def _follow(self, value: Any) -> None:
        """Note which columns the result came from."""
        session, operation = self.session, self.operation
        grants, table = session.grants, session.table
        inputs = [grants.columns_of(table.get(handle)) for handle in self.subject.handles[1:] if table.holds(handle)]
        target = grants.columns_of(self.target)
        found = followed(operation, target, inputs, value)
        behind = [each.behind for each in inputs]
        least = (self._least_group() or 2) if target.behind is not None else 2
        stands = stands_behind(operation, self.target.value, value, target.behind, behind, least, self._version_of)
        self.subject = self.subject._replace(columns=found._replace(behind=stands))

    def _version_of(self, value: Any) -> int:
        held = self.session.table.find(value)
        return held.version if held is not None else -1

    def _hides_counts(self) -> bool:
        """Whether, under a policy that follows columns, the number of rows is content: rows of a minimum group's object
        were chosen."""
        if not self.subject.roots or self._least_group() is None:
            return False
        stands = self.session.grants.columns_of(self.target).behind
        return stands is None or not (stands.state == "sums" or len(stands.chosen) == stands.total)

    def _least_group(self) -> int | None:
        """The minimum group under which content of this lineage may be shown at all."""
        decided = self.plane.policy.could_reveal(self._request(self.effects | REVEALS, Facts()))
        return decided.redaction.min_group if decided.redaction is not None else None

    def _fold(self) -> None:
        """Have groups that are too small folded into one before they are reduced."""
        stands = self.session.grants.columns_of(self.target).behind
        if stands is None or stands.state != "grouped" or not is_reduction(self.operation):
            return
        least = self._least_group()
        regrouped = folded(stands, least) if least is not None else None
        if regrouped is not None and least is not None:
            self.instead = (regrouped,)
            self._tell(Redaction(min_group=least))

    def _check_groups(self, least: int, columns: Columns) -> None:
        """See that enough rows stand behind every value, and behind its difference from what was shown before.

        Raises:
            Denied: they do not, or it is not known; recorded.
        """
        stands = columns.behind
        if stands is None or stands.state != "sums":
            raise self._unredactable(
                f"at least {least} rows must stand behind each value: group or filter by the declared keys alone, then "
                f"use one of {', '.join(sorted(REDUCTIONS))}"
            )
        if stands.group < least:
            raise self._unredactable(f"fewer than {least} rows stand behind one of these values")
        if stands.sets is None:
            return
        differs = self.plane.reveals.admit(self.operation.origin.agent, stands.root, stands.sets, least)
        if differs == 0:
            raise self._unredactable(
                "so many aggregates were shown already that no more can be kept apart (differencing)"
            )
        if differs is not None:
            raise self._unredactable(
                f"it differs by fewer than {least} rows from an aggregate that was shown before, so that their "
                "difference would show what the minimum hides (differencing)"
            )

    def _redact_receiver(self, receiver: Any) -> None:
        """Have the operation performed on a redacted copy of what it shows.

        Raises:
            Denied: it cannot be redacted; recorded.
        """
        columns = self._columns_of(receiver)
        redaction = self._due(self.decision, columns, self.facts or Facts())
        if redaction is None:
            return
        if receiver is not self.target.value:
            raise self._unredactable("it is called in a way that cannot be redacted; call it as a method of the object")
        try:
            self.instead = (
                redacted(receiver, columns, redaction, self.session.masks.token, self.session.grants.is_column),
            )
        except CannotRedact as error:
            raise self._unredactable(str(error)) from None
        if self.facts is not None and redaction.rows is not None:
            self.facts = capped(self.facts, redaction)
            charges = self._decided(self.effects, self.facts).charges
            self.decision = self.decision._replace(charges=charges)
        self._tell(redaction)

    def _columns_of(self, value: Any) -> Columns:
        held = self.session.table.find(value)
        return self.session.grants.columns_of(held if held is not None else self.target)

    def _redact_result(self, value: Any, decision: Decision, facts: Facts) -> None:
        """Have a redacted copy of a result cross in its place.

        Raises:
            Denied: it cannot be redacted; recorded as withheld.
        """
        self.decision = decision
        if self.operation.verb == "next" and facts.rows is not None:  # one look, in parts
            facts = facts._replace(rows=facts.rows + self.target.shown)
        redaction = self._due(decision, self.subject.columns or NO_COLUMNS, facts)
        if redaction is None:
            return
        columns = self.subject.columns or NO_COLUMNS
        verb = self.operation.verb
        if verb in ("next", "callback") and redaction.rows is not None:
            raise self._unredactable(f"more than {redaction.rows} rows cannot be shown one by one; take .head() first")
        try:
            self.instead = (self._redacted(value, verb, columns, redaction),)
        except CannotRedact as error:
            raise self._unredactable(str(error)) from None
        if redaction.rows is not None:
            shown = capped(facts, redaction)
            self.decision = decision._replace(charges=self._decided(self.effects | REVEALS, shown).charges)
        self._tell(redaction)

    def _redacted(self, value: Any, verb: str, columns: Columns, redaction: Redaction) -> Any:
        token, knows = self.session.masks.token, self.session.grants.is_column
        if verb == "next":
            finished, items = value
            return finished, [redacted(item, columns, redaction, token, knows) for item in items]
        if verb == "callback":
            args, kwargs = value
            named = {key: redacted(item, columns, redaction, token, knows) for key, item in kwargs.items()}
            return tuple(redacted(item, columns, redaction, token, knows) for item in args), named
        return redacted(value, columns, redaction, token, knows)

    def _due(self, decision: Decision, columns: Columns, facts: Facts) -> Redaction | None:
        """What of the decision's redaction is still to be done."""
        demanded = decision.redaction
        if demanded is None or (self.plane.policy.mode == "observe" and decision.verdict != "allow"):
            return None
        if demanded.min_group is not None and self.subject.roots and facts.cells != 0:
            self._check_groups(demanded.min_group, columns)
        masked = self.session.grants.masked
        if masked and demanded.mask & masked:  # tokens already
            demanded = demanded._replace(mask=demanded.mask - masked)
        return needed(demanded, columns, facts)

    def _refuse_sides(self, decision: Decision) -> None:
        """Text that host code printed or wrote cannot be redacted.

        Raises:
            Denied: recorded as withheld.
        """
        columns = self.subject.columns
        if columns is not None and self._due(decision, columns, Facts()) is not None:
            raise self._unredactable("text that host code prints or writes cannot be redacted; show the object itself")

    def _unredactable(self, why: str) -> Denied:
        decision = self.decision
        rule = decision.redaction.rules[0] if decision.redaction is not None else decision.rule
        self._refused(decision._replace(verdict="deny"), reason="redaction")
        text = f'{self._name_of_target()}: by rule "{rule}" it may be shown only in part, and {why}'
        return Denied(text, effect=Effect.REVEAL, rule=rule, reason="redaction", hint=why)

    def _tell(self, redaction: Redaction) -> None:
        """For the record, and for the agent."""
        self.trace.obligations(redaction.described())
        self.session.heard.append(told(redaction))
