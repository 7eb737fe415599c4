"""Budgets are never overdrawn, and never charged for what did not happen."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxyplane.decisions import Charge
from proxyplane.errors import BudgetExceeded
from proxyplane.policies import Budget, Ledger

DAY = 86_400 * 10**9


class SetClock:
    """A clock that a test moves."""

    now = 0

    def wall(self) -> int:
        return self.now

    def mono(self) -> int:
        return self.now


def ledger(limit: int = 10, *, per: str = "principal", clock: SetClock | None = None) -> Ledger:
    budget = Budget("seen", limit, per, unit="rows", rules=("show",))  # type: ignore[arg-type]
    return Ledger({"seen": budget, "looks": Budget("looks", 3, unit="operations")}, clock)


def charge(amount: int, *roots: str, budget: str = "seen") -> Charge:
    return Charge(budget, frozenset(roots or ("df",)), amount)


def test_a_reservation_is_committed_with_the_true_amount() -> None:
    """The upper bound is held while the operation runs; afterwards only what was really taken counts."""
    book = ledger()
    held = book.reserve([charge(8)], principal="a", session="s")
    assert book.left("seen", "a", "df") == 2
    entry = {"name": "seen", "unit": "rows", "root": "df", "before": 0, "charged": 3, "after": 3}
    assert held.commit({"seen": 3}) == [entry] == held.entries
    assert book.left("seen", "a", "df") == 7
    assert book.reserve([charge(7)], principal="a", session="s").commit()[0]["after"] == 10
    assert book.entries() == [entry | {"principal": "a", "before": 3, "charged": 7, "after": 10}]


def test_a_refusal_says_what_is_left() -> None:
    """Limit, use and what was asked stand in the message; counts only."""
    book = ledger()
    book.reserve([charge(7)], principal="a", session="s").commit()
    held = book.reserve([charge(2)], principal="a", session="s")
    with pytest.raises(BudgetExceeded) as caught:
        book.reserve([charge(4)], principal="a", session="s")
    error = caught.value
    assert str(error) == 'budget "seen" on "df": limit 10 rows, used 7, reserved 2, asked 4'
    assert (error.effect, error.rule, error.hint) == ("reveal", "show", '1 row is left in budget "seen"')
    held.release()
    with pytest.raises(BudgetExceeded) as caught:
        book.reserve([charge(4)], principal="a", session="s", rule="mine")
    assert (caught.value.rule, caught.value.hint) == ("mine", '3 rows are left in budget "seen"')
    book.reserve([charge(3)], principal="a", session="s").commit()
    with pytest.raises(BudgetExceeded) as caught:
        book.reserve([charge(1)], principal="a", session="s")
    assert caught.value.reason == 'budget "seen" is used up'


def test_all_or_nothing() -> None:
    """If one budget or one root has too little, nothing is held of the others."""
    book = ledger()
    book.reserve([charge(9, "b")], principal="a", session="s").commit()
    with pytest.raises(BudgetExceeded, match='on "b"'):
        book.reserve([charge(1, "df", budget="looks"), charge(2, "df", "b")], principal="a", session="s")
    assert [book.left("looks", "a", "df"), book.left("seen", "a", "df"), book.left("seen", "a", "b")] == [3, 10, 1]


def test_principals_and_roots_are_counted_apart_and_sessions_together() -> None:
    """A new session of the same agent does not refill its budget."""
    book = ledger()
    book.reserve([charge(10)], principal="a", session="one").commit()
    with pytest.raises(BudgetExceeded):
        book.reserve([charge(1)], principal="a", session="two")
    book.reserve([charge(10)], principal="b", session="one").commit()
    book.reserve([charge(10, "other")], principal="a", session="one").commit()


def test_budgets_per_session_and_day() -> None:
    """`session` counts each session apart; `day` refills at midnight UTC."""
    book = ledger(per="session")
    book.reserve([charge(10)], principal="a", session="one").commit()
    assert (book.left("seen", "a", "df", session="one"), book.left("seen", "a", "df", session="two")) == (0, 10)
    clock = SetClock()
    book = ledger(per="day", clock=clock)
    clock.now = 5 * DAY - 1
    late = book.reserve([charge(10)], principal="a", session="s")
    clock.now = 5 * DAY
    assert book.left("seen", "a", "df") == 10
    late.commit()  # belongs to the day on which it was reserved
    assert book.left("seen", "a", "df") == 10
    clock.now = 5 * DAY - 1
    assert book.left("seen", "a", "df") == 0


def test_a_reservation_ends_once() -> None:
    """A release after the end does nothing; a second commit is an error; leaving the block gives back."""
    book = ledger()
    with book.reserve([charge(4)], principal="a", session="s") as held:
        held.commit()
    held.release()
    assert book.left("seen", "a", "df") == 6
    with pytest.raises(ValueError, match="already been"):
        held.commit()
    with pytest.raises(KeyError), book.reserve([charge(4)], principal="a", session="s"):
        raise KeyError("the operation failed")
    assert book.left("seen", "a", "df") == 6


def test_wrong_amounts_leave_the_reservation_open() -> None:
    """A commit that cannot be right changes nothing, and can be repeated rightly."""
    book = ledger()
    held = book.reserve([charge(4)], principal="a", session="s")
    with pytest.raises(ValueError, match="negative"):
        held.commit({"seen": -1})
    with pytest.raises(ValueError, match="not part"):
        held.commit({"looks": 1})
    assert held.commit({"seen": 0})[0]["after"] == 0
    with pytest.raises(ValueError, match="negative"):
        book.reserve([charge(-1)], principal="a", session="s")
    assert (book.left("seen", "a", "df"), book.entries()) == (10, [])


def test_what_has_been_seen_counts_even_above_the_bound() -> None:
    """More than was reserved is charged in full, and nothing is left below zero."""
    book = ledger()
    assert book.reserve([charge(1)], principal="a", session="s").commit({"seen": 99})[0]["after"] == 99
    assert book.left("seen", "a", "df") == 0
    book.reserve([charge(0), charge(5)._replace(roots=frozenset())], principal="a", session="s").commit()


def test_one_row_left_and_a_hundred_threads() -> None:
    """Exactly one of those who race for the last row gets it."""
    book = ledger()
    book.reserve([charge(9)], principal="a", session="s").commit()
    start = Barrier(100)

    def race(number: int) -> bool:
        start.wait(timeout=60)
        try:
            held = book.reserve([charge(1)], principal="a", session=str(number))
        except BudgetExceeded:
            return False
        held.commit()
        return True

    with ThreadPoolExecutor(100) as pool:
        assert sum(pool.map(race, range(100))) == 1
    assert book.left("seen", "a", "df") == 0


STEPS = st.lists(
    st.tuples(st.integers(0, 6), st.sampled_from([("x",), ("y",), ("x", "y")]), st.integers(0, 6), st.booleans())
)


@given(STEPS)
def test_use_never_exceeds_the_limit(steps: list[tuple[int, tuple[str, ...], int, bool]]) -> None:
    """Whatever is reserved, committed up to its bound, released or left open: use and holds stay within the limit."""
    book = ledger()
    used = {"x": 0, "y": 0}
    held = {"x": 0, "y": 0}
    for asked, roots, part, end in steps:
        fits = all(used[root] + held[root] + asked <= 10 for root in roots)
        try:
            reservation = book.reserve([charge(asked, *roots)], principal="a", session="s")
        except BudgetExceeded:
            assert not fits
            continue
        assert fits
        true = min(asked, part)
        for root in roots:
            used[root] += true if end else 0
            held[root] += 0 if end else asked
        if end:
            reservation.commit({"seen": true})
        assert all(book.left("seen", "a", root) == 10 - used[root] - held[root] for root in used)
