"""Budgets survive a restart, a crash and a bad disk; what is not known to be unspent counts as spent."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxyplane.decisions import Charge
from proxyplane.errors import AuditUnavailable, BudgetExceeded
from proxyplane.policies import Budget, Ledger

BUDGETS = {
    "seen": Budget("seen", 10, unit="rows", rules=("show",)),
    "columns": Budget("columns", 3, unit="columns", rules=("show",)),
}


def charge(amount: int, *names: str, budget: str = "seen") -> Charge:
    return Charge(budget, frozenset({"df"}), amount, frozenset(names))


def take(book: Ledger, amount: int, *names: str, budget: str = "seen") -> None:
    book.reserve([charge(amount, *names, budget=budget)], principal="a", session="s").commit()


def left(file: Path, budget: str = "seen") -> int:
    book = Ledger(BUDGETS, file=file)
    try:
        return book.left(budget, "a", "df")
    finally:
        book.close()


def test_what_was_taken_is_taken_after_a_restart(tmp_path: Path) -> None:
    """A new ledger over the same file goes on where the old one ended, as often as it is started."""
    file = tmp_path / "audit.budgets"
    for amount in (3, 4):
        book = Ledger(BUDGETS, file=file)
        take(book, amount)
        with book.reserve([charge(1)], principal="a", session="s"):
            pass
        book.close()
    assert left(file) == left(file) == 3
    assert len(file.read_bytes().splitlines()) == 2
    assert (file.stat().st_mode & 0o777, [path.name for path in tmp_path.iterdir()]) == (0o600, ["audit.budgets"])


def test_what_was_in_progress_at_a_crash_counts_as_taken(tmp_path: Path) -> None:
    """Nobody knows whether the guest has seen it."""
    file = tmp_path / "b"
    process = os.fork()
    if not process:
        Ledger(BUDGETS, file=file).reserve([charge(6)], principal="a", session="s")
        os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(process, 0)[1]) == 0
    assert left(file) == 4


@pytest.mark.parametrize("cut", range(1, 12))
def test_a_torn_last_line_is_passed_over(tmp_path: Path, cut: int) -> None:
    """A reservation that was not written whole was never given."""
    file = tmp_path / "b"
    book = Ledger(BUDGETS, file=file)
    take(book, 4)
    book.reserve([charge(5)], principal="a", session="s")
    book.close()
    file.write_bytes(file.read_bytes()[:-cut])
    assert left(file) == 6


@pytest.mark.parametrize("text", [b"x", b"proxyplane-budgets 2\n", b"proxyplane-bu"])
def test_another_file_is_refused(tmp_path: Path, text: bytes) -> None:
    """What is no budget file is not overwritten, and nothing is given without one."""
    file = tmp_path / "b"
    file.write_bytes(text)
    with pytest.raises(AuditUnavailable, match="no budget file"):
        Ledger(BUDGETS, file=file)
    assert file.read_bytes() == text


def test_a_changed_line_is_found(tmp_path: Path) -> None:
    """Every line has its checksum."""
    file = tmp_path / "b"
    book = Ledger(BUDGETS, file=file)
    take(book, 4)
    book.close()
    file.write_bytes(file.read_bytes().replace(b'"",4', b'"",0'))
    with pytest.raises(AuditUnavailable, match="not what was written"):
        Ledger(BUDGETS, file=file)


def test_one_process_at_a_time(tmp_path: Path) -> None:
    """Two ledgers would each give what is left."""
    book = Ledger(BUDGETS, file=tmp_path / "b")
    with pytest.raises(AuditUnavailable, match="in use"):
        Ledger(BUDGETS, file=tmp_path / "b")
    book.close()
    assert left(tmp_path / "b") == 10


def test_no_link_is_followed(tmp_path: Path) -> None:
    """A link in the file's place leads nowhere."""
    (tmp_path / "other").write_bytes(b"")
    (tmp_path / "b").symlink_to(tmp_path / "other")
    with pytest.raises(AuditUnavailable):
        Ledger(BUDGETS, file=tmp_path / "b")


def test_a_file_that_somebody_changes_closes_the_ledger(tmp_path: Path) -> None:
    """A library that was talked into truncating it resets no budget: nothing more is given."""
    file = tmp_path / "b"
    book = Ledger(BUDGETS, file=file)
    held = book.reserve([charge(1)], principal="a", session="s")
    os.truncate(file, 0)
    with pytest.raises(AuditUnavailable, match="changed by somebody"):
        book.reserve([charge(1)], principal="a", session="s")
    with pytest.raises(AuditUnavailable):
        held.commit()
    with pytest.raises(AuditUnavailable):
        book.sync()
    book.close()


@pytest.mark.parametrize("call", range(6))
def test_a_failing_disk_gives_nothing_away(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: int) -> None:
    """Whichever write fails: nothing is reserved or committed without its line, and a restart counts no less."""
    file = tmp_path / "b"
    book = Ledger(BUDGETS, file=file)
    real, calls, given = os.write, [0], 0

    def failing(descriptor: int, data: bytes) -> int:
        calls[0] += 1
        if calls[0] > call:
            raise OSError(28, "No space left on device")
        return real(descriptor, data)

    monkeypatch.setattr(os, "write", failing)
    for _ in range(3):
        try:
            held = book.reserve([charge(2)], principal="a", session="s")
        except AuditUnavailable:
            break
        given += 2
        try:
            held.commit()
        except AuditUnavailable:
            break
    monkeypatch.undo()
    book.close()
    assert left(file) == 10 - given
    assert given == 2 * ((call + 1) // 2)


def test_a_hundred_threads_and_a_restart(tmp_path: Path) -> None:
    """Exactly ten of a hundred who race for ten rows get one, and the file knows."""
    book = Ledger(BUDGETS, file=tmp_path / "b")
    start = Barrier(100)

    def race(number: int) -> bool:
        start.wait(timeout=60)
        try:
            book.reserve([charge(1)], principal="a", session=str(number)).commit()
        except BudgetExceeded:
            return False
        return True

    with ThreadPoolExecutor(100) as pool:
        assert sum(pool.map(race, range(100))) == 10
    book.close()
    assert left(tmp_path / "b") == 0


def test_distinct_columns_count_once(tmp_path: Path) -> None:
    """A column that was seen costs nothing again, also after a restart; the fourth of three is refused."""
    book = Ledger(BUDGETS, file=tmp_path / "b")
    take(book, 0, "x", "y", budget="columns")
    take(book, 0, "x", budget="columns")
    assert book.left("columns", "a", "df") == 1
    one = book.reserve([charge(0, "z", budget="columns")], principal="a", session="s")
    with pytest.raises(BudgetExceeded):
        book.reserve([charge(0, "w", budget="columns")], principal="a", session="s")
    assert one.commit()[0]["charged"] == 1
    book.close()
    book = Ledger(BUDGETS, file=tmp_path / "b")
    take(book, 0, "x", "y", "z", budget="columns")
    with pytest.raises(BudgetExceeded, match="limit 3 columns, used 3, asked 1"):
        take(book, 0, "w", budget="columns")
    book.close()


def test_an_allowed_excess_counts() -> None:
    """A person may let one operation go beyond; the count goes on from there."""
    book = Ledger(BUDGETS)
    take(book, 9)
    assert book.reserve([charge(5)], principal="a", session="s", beyond=["seen"]).commit()[0]["after"] == 14
    with pytest.raises(BudgetExceeded):
        take(book, 1)


def test_rebinding_keeps_what_was_taken() -> None:
    """A reloaded policy changes limits, never counts; a budget that is gone gives nothing."""
    book = Ledger(BUDGETS)
    take(book, 4)
    book.rebind({"seen": Budget("seen", 5, unit="rows")})
    assert book.left("seen", "a", "df") == 1
    with pytest.raises(BudgetExceeded) as caught:
        take(book, 2)
    assert caught.value.budget == "seen"


STEPS = st.lists(st.tuples(st.integers(0, 5), st.integers(0, 5), st.sampled_from(["commit", "release", "open"])))


@given(STEPS)
def test_a_restart_counts_what_was_committed_and_what_was_open(
    tmp_path_factory: pytest.TempPathFactory, steps: list[tuple[int, int, str]]
) -> None:
    """Whatever happened before: after a restart as much is taken as was committed, and what never ended."""
    file = tmp_path_factory.mktemp("ledger") / "b"
    book = Ledger(BUDGETS, file=file)
    taken = 0
    for asked, true, end in steps:
        try:
            held = book.reserve([charge(asked)], principal="a", session="s")
        except BudgetExceeded:
            continue
        if end == "commit":
            held.commit({"seen": min(asked, true)})
        elif end == "release":
            held.release()
        taken += min(asked, true) if end == "commit" else asked if end == "open" else 0
    book.close()
    assert left(file) == 10 - taken


def test_syncing_is_done_where_something_is_new(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One system call after a charge, none without; a disk that cannot is an error."""
    calls = []
    monkeypatch.setattr(os, "fdatasync", calls.append)
    book = Ledger(BUDGETS, file=tmp_path / "b")
    book.sync()
    take(book, 1)
    book.sync()
    book.sync()
    assert len(calls) == 1
    take(book, 1)

    def failing(descriptor: int) -> None:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(os, "fdatasync", failing)
    with pytest.raises(AuditUnavailable, match="durable"):
        book.sync()
    book.close()
