"""Capabilities are minted by the plane, only ever narrowed, and die when they should."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxyplane.capabilities import Capability, mint
from proxyplane.effects import ALL_EFFECTS, Effect
from proxyplane.errors import Denied, Expired, ProxyPlaneError, Revoked

EFFECTS = st.frozensets(st.sampled_from(sorted(ALL_EFFECTS)))
BOUNDS = st.one_of(st.none(), st.integers(0, 6))
NARROWINGS = st.lists(
    st.fixed_dictionaries({}, optional={"effects": EFFECTS, "uses": BOUNDS, "expires": BOUNDS}), max_size=5
)


def allowed(capability: Capability, effect: Effect, now: int) -> bool:
    """Whether it allows the effect at that time; a question only."""
    try:
        capability.use(frozenset({effect}), now, count=False)
    except ProxyPlaneError:
        return False
    return capability.uses is None or capability.uses > 0


@given(first=st.tuples(EFFECTS, BOUNDS, BOUNDS), narrowings=NARROWINGS, now=st.integers(0, 8))
def test_attenuation_only_narrows(first: Any, narrowings: list[dict[str, Any]], now: int):
    """Whatever is asked of `attenuate`, nothing is allowed afterwards that was not allowed before."""
    capability = mint("x", effects=first[0], uses=first[1], expires=first[2])
    before = {effect for effect in ALL_EFFECTS if allowed(capability, effect, now)}
    for narrowing in narrowings:
        capability.attenuate(**narrowing)
        after = {effect for effect in ALL_EFFECTS if allowed(capability, effect, now)}
        assert after <= before
        if narrowing.get("effects") is not None:
            assert after <= narrowing["effects"]
        if narrowing.get("expires") is not None and now >= narrowing["expires"]:
            assert not after
        before = after


@given(uses=st.integers(0, 5), asked=st.integers(0, 8), questions=st.integers(0, 3))
def test_uses_are_counted_and_questions_are_not(uses: int, asked: int, questions: int):
    """So many operations are allowed and no more; asking again about the same one takes none."""
    capability = mint("x", uses=uses)
    done = 0
    for _ in range(asked):
        for _ in range(questions):
            capability.use(frozenset({Effect.READ}), 0, count=False)
        try:
            capability.use(frozenset({Effect.READ}), 0)
            done += 1
        except Expired:
            assert done == uses
    assert done == min(uses, asked)


def test_a_refused_effect_takes_no_use():
    """Only what was allowed is counted."""
    capability = mint("x", effects=["read"], uses=1)
    with pytest.raises(Denied) as caught:
        capability.use(frozenset({Effect.READ, Effect.MUTATE}), 0)
    assert caught.value.effect == "mutate"
    assert "read" in caught.value.hint
    assert capability.uses == 1


def test_expiry_is_the_first_moment_of_death():
    """At the moment of expiry it is dead; the nanosecond before, it is not."""
    capability = mint("x", expires=100)
    capability.use(frozenset({Effect.READ}), 99)
    with pytest.raises(Expired):
        capability.use(frozenset({Effect.READ}), 100)


def test_revocation_comes_before_everything():
    """A revoked capability says so, whatever else is wrong with it, and stays revoked."""
    capability = mint("x", effects=[], uses=0, expires=0)
    capability.revoke()
    capability.attenuate(effects=ALL_EFFECTS, uses=10)
    assert capability.revoked
    with pytest.raises(Revoked):
        capability.use(frozenset({Effect.READ}), 0)


def test_an_effect_that_does_not_exist_is_refused():
    """A misspelled effect is an error when it is granted, not silence."""
    with pytest.raises(ValueError, match="raed"):
        mint("x", effects=["raed"])
    with pytest.raises(ValueError, match="raed"):
        mint("x").attenuate(effects=["raed"])


@pytest.mark.parametrize(
    "forge",
    [
        lambda: Capability(object(), "x", ALL_EFFECTS, None, None),
        lambda: Capability(None, "x", ALL_EFFECTS, None, None),
        lambda: type("Mine", (Capability,), {})(object(), "x", ALL_EFFECTS, None, None),
    ],
)
def test_only_the_plane_makes_them(forge: Callable[[], Capability]):
    """Constructing one by hand fails and says how to get one."""
    with pytest.raises(TypeError, match=r"session\.put"):
        forge()


def test_plain_means_that_nothing_need_be_asked():
    """The road skips capabilities that say nothing beyond the policy, and only those."""
    assert mint("x").plain
    assert not mint("x", uses=1).plain
    assert not mint("x", expires=1).plain
    assert not mint("x", effects=["read"]).plain
    revoked = mint("x")
    revoked.revoke()
    assert not revoked.plain
