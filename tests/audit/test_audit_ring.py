"""The ring hands over every byte once, in order, and overwrites nothing."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from proxyplane.audit.ring import Ring, RingError, shared_memory

CAPACITY = 4096


@pytest.fixture
def ends() -> Iterator[tuple[Ring, Ring]]:
    """Both ends of a small ring."""
    memory = shared_memory(CAPACITY)
    put, take = Ring(memory, create=True), Ring(memory)
    os.close(memory)
    yield put, take
    put.close()
    take.close()


@settings(max_examples=60, deadline=None)
@given(steps=st.lists(st.binary(min_size=1, max_size=1500) | st.none(), max_size=60))
def test_bytes_arrive_whole_and_in_order(steps: list[bytes | None]) -> None:
    """Whatever is put and taken in whatever rhythm, the taken bytes are the put bytes."""
    memory = shared_memory(CAPACITY)
    put, take = Ring(memory, create=True), Ring(memory)
    os.close(memory)
    sent, got = b"", b""
    for step in steps:
        if step is not None and put.put(step):
            sent += step
        elif step is not None:
            assert len(sent) - len(got) + len(step) > CAPACITY
        else:
            batch = take.peek()
            got += batch
            take.take(len(batch))
            assert got == sent
    assert got + take.peek() == sent
    assert put.head == len(sent)
    put.close()
    take.close()


def test_a_full_ring_takes_nothing_more(ends: tuple[Ring, Ring]) -> None:
    """What does not fit is refused and what is there stays, until it was taken."""
    put, take = ends
    assert put.put(b"a" * CAPACITY)
    assert not put.put(b"b")
    assert take.peek() == b"a" * CAPACITY
    assert not put.put(b"b")
    take.take(CAPACITY)
    assert put.put(b"b")
    assert take.peek() == b"b"


@pytest.mark.parametrize("word", [1, 2**63, 2**64 - 1])
def test_a_damaged_tail_is_noticed_by_the_putter(ends: tuple[Ring, Ring], word: int) -> None:
    """A tail that is ahead of the head raises instead of overwriting."""
    put, _ = ends
    put._words[16] = word
    with pytest.raises(RingError):
        put.put(b"x" * (CAPACITY + 1))


@pytest.mark.parametrize("head", [CAPACITY + 1, 2**64 - 1])
def test_a_damaged_head_is_noticed_by_the_taker(ends: tuple[Ring, Ring], head: int) -> None:
    """A head further than one ring away raises instead of handing over rubbish."""
    _, take = ends
    take._words[8] = head
    with pytest.raises(RingError):
        take.peek()


def test_a_head_that_went_back_is_noticed(ends: tuple[Ring, Ring]) -> None:
    """A head behind what was taken, or a foreign change of the tail, raises."""
    put, take = ends
    put.put(b"abc")
    take.take(len(take.peek()))
    put._words[8] = 1
    with pytest.raises(RingError):
        take.peek()


def test_memory_that_is_no_ring_is_refused() -> None:
    """Attaching to memory without the header, or of another size, raises; nobody can resize the real one."""
    memory = shared_memory(CAPACITY)
    with pytest.raises(RingError):
        Ring(memory)
    with pytest.raises(OSError):
        os.ftruncate(memory, 10)
    os.close(memory)
    odd = os.memfd_create("odd", os.MFD_CLOEXEC)
    os.ftruncate(odd, 5000)
    with pytest.raises(RingError):
        Ring(odd, create=True)
    os.close(odd)
