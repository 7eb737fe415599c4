"""Budgets: how much of a source object a principal has already taken.

A charge is reserved as an upper bound before the operation is lowered and committed with the true amount afterwards,
so that of two operations that race for the last row one is refused before it runs. With a file, counts survive a
restart (`journal`); without one they end with the ledger.
"""

from __future__ import annotations

import threading
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple

from proxyplane.clock import Clock, SystemClock
from proxyplane.decisions import Charge
from proxyplane.errors import AuditUnavailable, BudgetExceeded
from proxyplane.policies.journal import Entry, Journal
from proxyplane.policies.model import Budget

__all__ = ["Ledger", "Reservation"]

_DAY = 86_400 * 10**9
"""Nanoseconds of a day; days are counted in UTC."""


class _Counter(NamedTuple):
    """What is counted separately."""

    budget: str
    principal: str
    root: str
    period: str
    """The session or the day; empty for budgets that never refill."""


class _Asked(NamedTuple):
    """What one reservation holds of one counter."""

    amount: int
    names: frozenset[str] = frozenset()


class Ledger:
    """What has been taken from each budget, by each principal, of each root object. Thread-safe.

    Args:
        budgets: `Policy.budgets`.
        clock: where the day comes from.
        file: where counts survive a restart; opened once, before a host is sealed.

    Raises:
        AuditUnavailable: the file cannot be used. Without knowing what was taken, nothing may be given.
    """

    def __init__(self, budgets: Mapping[str, Budget], clock: Clock | None = None, file: Path | None = None) -> None:
        self._budgets = budgets
        self._clock: Clock = clock or SystemClock()
        self._lock = threading.Lock()
        self._used: dict[_Counter, int] = {}
        self._held: dict[_Counter, int] = {}
        self._names: dict[_Counter, set[str]] = {}
        """Columns that were taken, for budgets of distinct columns."""
        self._last: dict[_Counter, dict[str, Any]] = {}
        self._broken: AuditUnavailable | None = None
        self._journal = Journal(file) if file is not None else None
        self.persists = file is not None
        """Whether counts survive a restart."""
        for entry in self._journal.found if self._journal is not None else ():
            counter = _Counter(*entry[:4])
            if entry.names:
                self._names.setdefault(counter, set()).update(entry.names)
                self._used[counter] = len(self._names[counter])
            else:
                self._used[counter] = self._used.get(counter, 0) + entry.amount

    def reserve(
        self,
        charges: Iterable[Charge],
        *,
        principal: str,
        session: str,
        rule: str | None = None,
        beyond: Collection[str] = (),
    ) -> Reservation:
        """Set amounts aside, all of them or none.

        Args:
            charges: of one decision; each amount is taken for each of its roots.
            principal: the agent whose budget it is.
            session: counts for budgets with `per = "session"`.
            rule: the deciding rule, for the refusal; the first rule that charges the budget if not given.
            beyond: budgets that a person has allowed to exceed this once.

        Raises:
            BudgetExceeded: a budget has less left than is asked; `budget` names it.
            AuditUnavailable: it cannot be written down.
        """
        with self._lock:
            self._check()
            asked = self._asked(charges, principal, session)
            for counter, each in asked.items():
                if each.amount > self._left(counter) and counter.budget not in beyond:
                    raise self._exceeded(counter, each.amount, rule)
            number = self._write("reserve", asked) if self._journal is not None and asked else 0
            for counter, each in asked.items():
                self._held[counter] = self._held.get(counter, 0) + each.amount
        return Reservation(self, asked, number)

    def left(self, budget: str, principal: str, root: str, *, session: str = "") -> int:
        """How much may still be reserved.

        Args:
            budget: its name.
            principal: the agent.
            root: the granted name of the source object.
            session: needed for budgets with `per = "session"`.
        """
        counter = self._counter(self._budgets[budget], principal, root, session)
        with self._lock:
            return self._left(counter)

    def entries(self) -> list[dict[str, Any]]:
        """The latest committed charge of every counter.

        Each is `{name, unit, principal, root, before, charged, after}`; `after` is what has been used in all.
        """
        with self._lock:
            return [dict(entry) for entry in self._last.values()]

    def rebind(self, budgets: Mapping[str, Budget]) -> None:
        """Go by other budgets, as after a reload of the policy; what was taken is kept by the budget's name."""
        with self._lock:
            self._budgets = budgets

    def sync(self) -> None:
        """Make the file survive a loss of power."""
        with self._lock:
            if self._journal is not None:
                self._check()
                self._journal.sync()

    def close(self) -> None:
        """Let the file go; idempotent. Nothing can be reserved afterwards if there was one."""
        with self._lock:
            if self._journal is not None:
                self._journal.close()
                self._broken = self._broken or AuditUnavailable("the budget file is closed; make a new plane")

    def _asked(self, charges: Iterable[Charge], principal: str, session: str) -> dict[_Counter, _Asked]:
        asked: dict[_Counter, _Asked] = {}
        for charge in charges:
            if charge.amount < 0:
                raise ValueError(f"a charge must not be negative, got {charge.amount}")
            for root in charge.roots:
                counter = self._counter(self._budgets[charge.budget], principal, root, session)
                before = asked.get(counter, _Asked(0))
                new = charge.names - self._names.get(counter, set()) - before.names
                amount = len(new) if charge.names else charge.amount
                asked[counter] = _Asked(before.amount + amount, before.names | new)
        return asked

    def _counter(self, budget: Budget, principal: str, root: str, session: str) -> _Counter:
        period = ""
        if budget.per == "session":
            period = session
        elif budget.per == "day":
            period = str(self._clock.wall() // _DAY)
        return _Counter(budget.name, principal, root, period)

    def _left(self, counter: _Counter) -> int:
        budget = self._budgets.get(counter.budget)
        taken = self._used.get(counter, 0) + self._held.get(counter, 0)
        return max(0, budget.limit - taken) if budget is not None else 0

    def _exceeded(self, counter: _Counter, asked: int, rule: str | None) -> BudgetExceeded:
        budget = self._budgets[counter.budget]
        unit = budget.unit or "units"
        used, held, left = self._used.get(counter, 0), self._held.get(counter, 0), self._left(counter)
        reserved = f", reserved {held}" if held else ""
        message = f'budget "{budget.name}" on "{counter.root}": limit {budget.limit} {unit}, used {used}{reserved}'
        are = "is" if left == 1 else "are"
        noun = unit.removesuffix("s") if left == 1 else unit
        return BudgetExceeded(
            f"{message}, asked {asked}",
            effect="reveal",
            rule=rule or (budget.rules[0] if budget.rules else None),
            reason=f'budget "{budget.name}" is used up' if not left else f'budget "{budget.name}" has too little left',
            hint=f'{left} {noun} {are} left in budget "{budget.name}"',
            budget=budget.name,
        )

    def _settle(
        self, asked: Mapping[_Counter, _Asked], charged: Mapping[_Counter, int] | None, number: int
    ) -> list[dict[str, Any]]:
        """Give back what was held and take what was really used, in one step."""
        entries = []
        with self._lock:
            if self._journal is not None and number:
                self._check()
                taken = {counter: _Asked(n, asked[counter].names) for counter, n in (charged or {}).items()}
                self._write("commit" if charged is not None else "release", taken, number)
            for counter, each in asked.items():
                held = self._held.pop(counter, 0) - each.amount
                if held:
                    self._held[counter] = held
            for counter, each in asked.items() if charged is not None else ():
                amount = self._taken(counter, each, charged or {})
                before = self._used.get(counter, 0)
                entry = self._entry(counter, before, amount)
                if before + amount:
                    self._used[counter] = before + amount
                    self._last[counter] = entry | {"principal": counter.principal}
                entries.append(entry)
        return entries

    def _taken(self, counter: _Counter, each: _Asked, charged: Mapping[_Counter, int]) -> int:
        """What is really taken; of columns those that nobody took meanwhile."""
        if not each.names:
            return charged[counter]
        known = self._names.setdefault(counter, set())
        new = each.names - known
        known |= new
        return len(new)

    def _write(self, how: str, asked: Mapping[_Counter, _Asked], number: int = 0) -> int:
        """Write it down; what cannot be written closes the ledger."""
        assert self._journal is not None
        entries = [Entry(*counter, each.amount, tuple(sorted(each.names))) for counter, each in asked.items()]
        try:
            if how == "reserve":
                return self._journal.reserve(entries)
            if how == "commit":
                self._journal.commit(number, entries)
            else:
                self._journal.release(number)
        except AuditUnavailable as error:
            self._broken = error
            raise
        return number

    def _check(self) -> None:
        if self._broken is not None:
            raise AuditUnavailable(str(self._broken))

    def _entry(self, counter: _Counter, before: int, amount: int) -> dict[str, Any]:
        budget = self._budgets.get(counter.budget)
        return {
            "name": counter.budget,
            "unit": budget.unit if budget is not None else "",
            "root": counter.root,
            "before": before,
            "charged": amount,
            "after": before + amount,
        }


class Reservation:
    """Amounts set aside for one operation. Ends once: by `commit`, or by `release`.

    As a context manager it releases on the way out what was not committed.
    """

    __slots__ = ("_asked", "_ledger", "_lock", "_number", "_open", "entries")

    def __init__(self, ledger: Ledger, asked: Mapping[_Counter, _Asked], number: int = 0) -> None:
        self._ledger = ledger
        self._asked = asked
        self._number = number
        self._open = True
        self._lock = threading.Lock()
        self.entries: list[dict[str, Any]] = []
        """After `commit`: what it took, for the record, as `{name, unit, root, before, charged, after}`."""

    def commit(self, actual: Mapping[str, int] | None = None) -> list[dict[str, Any]]:
        """Take the true amounts and give the rest back.

        Args:
            actual: units really taken of each root, by budget; a budget that is not named takes what was reserved.
                More than was reserved is counted too: what has been seen cannot be unseen.

        Returns:
            The entries for the record.

        Raises:
            ValueError: an amount is negative, a budget was not reserved, or the reservation has already ended.
            AuditUnavailable: it cannot be written down; what was reserved counts as taken after a restart.
        """
        true = dict(actual or {})
        known = {counter.budget for counter in self._asked}
        for budget, amount in true.items():
            if amount < 0:
                raise ValueError(f'the amount for budget "{budget}" must not be negative, got {amount}')
            if amount and budget not in known:
                raise ValueError(f'budget "{budget}" is not part of this reservation; reserve it first')
        if not self._end():
            raise ValueError("this reservation has already been committed or released; reserve again")
        charged = {counter: true.get(counter.budget, each.amount) for counter, each in self._asked.items()}
        self.entries = self._ledger._settle(self._asked, charged, self._number)
        return self.entries

    def release(self) -> None:
        """Give everything back. Does nothing after `commit` or `release`, so that it may stand in a `finally`."""
        if self._end():
            self._ledger._settle(self._asked, None, self._number)

    def _end(self) -> bool:
        """Whether this call is the one that ends it."""
        with self._lock:
            was, self._open = self._open, False
            return was

    def __enter__(self) -> Reservation:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release()
