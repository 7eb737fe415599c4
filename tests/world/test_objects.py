"""The object table: one handle for each object, freed when nobody needs it, meaningless elsewhere."""

from __future__ import annotations

import threading
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, invariant, rule

from proxyplane.errors import ProtocolError
from proxyplane.objects import Held, ObjectTable


def given_to_guest(table: ObjectTable, value: Any, times: int = 1) -> Held:
    """Adopt an object as crossing does."""
    held, _ = table.adopt(value, None)
    held.sent += times
    return held


def test_the_same_object_has_the_same_handle():
    """`a is b` holds in the guest: identity, not equality, makes a handle."""
    table = ObjectTable(10)
    value, equal = [1], [1]
    first, new = table.adopt(value, None)
    again, newer = table.adopt(value, None)
    other, _ = table.adopt(equal, None)
    assert (new, newer) == (True, False)
    assert first is again
    assert other.handle != first.handle
    assert table.find(value) is first
    assert table.find([1]) is None


def test_handles_of_two_tables_do_not_meet():
    """A handle of one session names nothing in another: each table counts from its own random start."""
    tables = [ObjectTable(10) for _ in range(8)]
    starts = [given_to_guest(table, object()).handle for table in tables]
    assert len(set(starts)) == len(starts)
    for table in tables:
        foreign = next(handle for handle in starts if handle != next(iter(table)).handle)
        with pytest.raises(ProtocolError):
            table.get(foreign)


@pytest.mark.parametrize("handle", [0, -1, 1 << 80, True, 1.0, "1", None, b"", [1]])
def test_what_is_no_handle_is_refused(handle: Any):
    """Anything but an integer of this table is a protocol error, also what equals or hashes like one."""
    table = ObjectTable(10)
    given_to_guest(table, object())
    with pytest.raises(ProtocolError):
        table.get(handle)


def test_a_handle_is_freed_when_all_that_was_sent_is_released():
    """Not before, and then the object is not held any more."""
    table = ObjectTable(10)
    held = given_to_guest(table, object(), times=3)
    table.release([held.handle, 2])
    assert table.get(held.handle) is held
    table.release([held.handle, 1])
    assert len(table) == 0
    with pytest.raises(ProtocolError):
        table.get(held.handle)


@pytest.mark.parametrize("pairs", [[1], (), {}, "ab", 5, None])
def test_releases_in_another_form_are_refused(pairs: Any):
    """Releases are a flat array of pairs."""
    with pytest.raises(ProtocolError):
        ObjectTable(10).release(pairs)


@pytest.mark.parametrize("count", [0, -1, 2, 1 << 70, True, 1.0, None])
def test_more_than_was_sent_cannot_be_released(count: Any):
    """A guest that releases too much, or a negative number, breaks the protocol and frees nothing."""
    table = ObjectTable(10)
    held = given_to_guest(table, object())
    with pytest.raises(ProtocolError):
        table.release([held.handle, count])
    assert table.get(held.handle) is held


def test_what_the_host_keeps_outlives_its_releases():
    """`keep` holds an object whatever the guest releases, until `unkeep`."""
    table = ObjectTable(10)
    held = given_to_guest(table, object())
    table.keep(held)
    table.release([held.handle, 1])
    table.release_all()
    assert table.get(held.handle) is held
    table.unkeep(held)
    assert len(table) == 0


def test_a_pinned_object_lives_until_its_operations_end():
    """Released in the middle of operations that work on it, an object is freed after the last of them."""
    table = ObjectTable(10)
    held = given_to_guest(table, object())
    table.pin([held, held])
    table.release([held.handle, 1])
    table.unpin([held])
    assert table.get(held.handle) is held
    table.unpin([held])
    assert len(table) == 0


def test_a_session_holds_only_so_many_objects():
    """Beyond the limit a new object is refused, in words that say what to do; known ones still go."""
    table = ObjectTable(2)
    first = object()
    given_to_guest(table, first)
    second = given_to_guest(table, object())
    with pytest.raises(ProtocolError, match="limit"):
        table.adopt(object(), None)
    assert table.adopt(first, None)[1] is False
    table.release([second.handle, 1])
    assert table.adopt(object(), None)[1] is True


def test_a_freed_handle_is_not_given_again():
    """A stale handle can never come to name another object."""
    table = ObjectTable(10)
    seen = set()
    for _ in range(50):
        held = given_to_guest(table, object())
        assert held.handle not in seen
        seen.add(held.handle)
        table.release([held.handle, 1])


def test_versions_move_once_for_each_object():
    """A change moves the version of each object that the session holds, and what records say of it."""
    table = ObjectTable(10)
    value, foreign = [1], [2]
    held = given_to_guest(table, value)
    before = held.described()
    assert table.moved([value, value, foreign]) == [held]
    assert held.version == 2
    assert (before["version"], held.described()["version"]) == (1, 2)


def test_a_description_names_the_lineage():
    """Records say under which names and labels an object is known, and never what it holds."""
    table = ObjectTable(10)
    held = given_to_guest(table, ["secret"])
    held.name, held.roots, held.labels = "box", frozenset({"b", "a"}), frozenset({"pii"})
    described = held.described()
    assert described["roots"] == ["a", "b"]
    assert described["labels"] == ["pii"]
    assert described["type"] == "builtins.list"
    assert "secret" not in repr(described)


class TableMachine(RuleBasedStateMachine):
    """The table against a plain model: a multiset of what the guest holds, and a set of what the host keeps."""

    objects = Bundle("objects")

    def __init__(self) -> None:
        super().__init__()
        self.table = ObjectTable(1000)
        self.sent: dict[int, int] = {}
        self.kept: set[int] = set()
        self.values: dict[int, Any] = {}

    @rule(target=objects, times=st.integers(1, 3))
    def give(self, times: int) -> int:
        """Give the guest a new object."""
        value = object()
        held = given_to_guest(self.table, value, times)
        self.sent[held.handle], self.values[held.handle] = times, value
        return held.handle

    @rule(handle=objects)
    def give_again(self, handle: int) -> None:
        """Give it once more; freed objects come back under a new handle only."""
        if handle in self.sent:
            assert given_to_guest(self.table, self.values[handle]).handle == handle
            self.sent[handle] += 1

    @rule(handle=objects, count=st.integers(-1, 4))
    def release(self, handle: int, count: int) -> None:
        """Release some; too many is refused and changes nothing."""
        if 0 < count <= self.sent.get(handle, 0):
            self.table.release([handle, count])
            self.sent[handle] -= count
            self._forget(handle)
        else:
            with pytest.raises(ProtocolError):
                self.table.release([handle, count])

    @rule(handle=objects)
    def keep(self, handle: int) -> None:
        """The host keeps it."""
        if handle in self.sent:
            self.table.keep(self.table.get(handle))
            self.kept.add(handle)

    @rule(handle=consumes(objects))
    def unkeep(self, handle: int) -> None:
        """The host lets it go."""
        if handle in self.kept:
            self.table.unkeep(self.table.get(handle))
            self.kept.discard(handle)
            self._forget(handle)

    def _forget(self, handle: int) -> None:
        if not self.sent[handle] and handle not in self.kept:
            del self.sent[handle], self.values[handle]

    @invariant()
    def holds_exactly_what_somebody_needs(self) -> None:
        """No more, no less."""
        assert {held.handle for held in self.table} == set(self.sent)
        for handle, value in self.values.items():
            assert self.table.get(handle).value is value
            assert self.table.find(value) is self.table.get(handle)


TableMachine.TestCase.settings = settings(max_examples=40, stateful_step_count=30, deadline=None)
TestTable = TableMachine.TestCase


def test_tables_are_not_shared_between_threads_of_sessions():
    """Tables of sessions that work at the same time do not see each other's objects."""
    tables = [ObjectTable(2000) for _ in range(4)]

    def work(table: ObjectTable) -> None:
        for _ in range(300):
            held = given_to_guest(table, object())
            if held.handle % 2:
                table.release([held.handle, 1])

    threads = [threading.Thread(target=work, args=(table,)) for table in tables]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    values = [{id(held.value) for held in table} for table in tables]
    assert all(len(found) == 150 for found in values)
    assert len(set().union(*values)) == 600
