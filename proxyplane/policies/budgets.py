"""Budgets: how much of a source object a principal has already taken.

A charge is reserved as an upper bound before the operation is lowered and committed with the true amount afterwards,
so that of two operations that race for the last row one is refused before it runs. Counts live in memory: they
end with the ledger.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Mapping
from types import TracebackType
from typing import Any, NamedTuple

from proxyplane.clock import Clock, SystemClock
from proxyplane.decisions import Charge
from proxyplane.errors import BudgetExceeded
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


class Ledger:
    """What has been taken from each budget, by each principal, of each root object. Thread-safe.

    Args:
        budgets: `Policy.budgets`.
        clock: where the day comes from.
    """

    def __init__(self, budgets: Mapping[str, Budget], clock: Clock | None = None) -> None:
        self._budgets = budgets
        self._clock: Clock = clock or SystemClock()
        self._lock = threading.Lock()
        self._used: dict[_Counter, int] = {}
        self._held: dict[_Counter, int] = {}
        self._last: dict[_Counter, dict[str, Any]] = {}

    def reserve(
        self, charges: Iterable[Charge], *, principal: str, session: str, rule: str | None = None
    ) -> Reservation:
        """Set amounts aside, all of them or none.

        Args:
            charges: of one decision; each amount is taken for each of its roots.
            principal: the agent whose budget it is.
            session: counts for budgets with `per = "session"`.
            rule: the deciding rule, for the refusal; the first rule that charges the budget if not given.

        Raises:
            BudgetExceeded: a budget has less left than is asked.
        """
        asked: dict[_Counter, int] = {}
        for charge in charges:
            if charge.amount < 0:
                raise ValueError(f"a charge must not be negative, got {charge.amount}")
            for root in charge.roots:
                counter = self._counter(self._budgets[charge.budget], principal, root, session)
                asked[counter] = asked.get(counter, 0) + charge.amount
        with self._lock:
            for counter, amount in asked.items():
                if amount > self._left(counter):
                    raise self._exceeded(counter, amount, rule)
            for counter, amount in asked.items():
                self._held[counter] = self._held.get(counter, 0) + amount
        return Reservation(self, asked)

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

    def _counter(self, budget: Budget, principal: str, root: str, session: str) -> _Counter:
        period = ""
        if budget.per == "session":
            period = session
        elif budget.per == "day":
            period = str(self._clock.wall() // _DAY)
        return _Counter(budget.name, principal, root, period)

    def _left(self, counter: _Counter) -> int:
        taken = self._used.get(counter, 0) + self._held.get(counter, 0)
        return max(0, self._budgets[counter.budget].limit - taken)

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
        )

    def _settle(self, asked: Mapping[_Counter, int], charged: Mapping[_Counter, int]) -> list[dict[str, Any]]:
        """Give back what was held and take what was really used, in one step."""
        entries = []
        with self._lock:
            for counter, amount in asked.items():
                held = self._held.pop(counter, 0) - amount
                if held:
                    self._held[counter] = held
            for counter, amount in charged.items():
                before = self._used.get(counter, 0)
                entry = self._entry(counter, before, amount)
                if before + amount:
                    self._used[counter] = before + amount
                    self._last[counter] = entry | {"principal": counter.principal}
                entries.append(entry)
        return entries

    def _entry(self, counter: _Counter, before: int, amount: int) -> dict[str, Any]:
        unit = self._budgets[counter.budget].unit
        return {
            "name": counter.budget,
            "unit": unit,
            "root": counter.root,
            "before": before,
            "charged": amount,
            "after": before + amount,
        }


class Reservation:
    """Amounts set aside for one operation. Ends once: by `commit`, or by `release`.

    As a context manager it releases on the way out what was not committed.
    """

    __slots__ = ("_asked", "_ledger", "_lock", "_open", "entries")

    def __init__(self, ledger: Ledger, asked: Mapping[_Counter, int]) -> None:
        self._ledger = ledger
        self._asked = asked
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
        charged = {counter: true.get(counter.budget, amount) for counter, amount in self._asked.items()}
        self.entries = self._ledger._settle(self._asked, charged)
        return self.entries

    def release(self) -> None:
        """Give everything back. Does nothing after `commit` or `release`, so that it may stand in a `finally`."""
        if self._end():
            self._ledger._settle(self._asked, {})

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
