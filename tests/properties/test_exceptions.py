"""No text of the data comes through a rebuilt exception."""

from __future__ import annotations

import re
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from proxyplane.exceptions import Rebuilt, rebuild, scrub

LETTERS = "bcdfghjklmnpqrstvwxz"
SECRETS = st.text(LETTERS + LETTERS.upper() + "0123456789", min_size=6, max_size=24).map(lambda text: f"Zq{text}7")
"""Words that stand in no source: data."""
JOINS = st.sampled_from([" ", "-", "'", ", ", "_", ".", "\n", ":", "/", "@", "  [", "=", "|", "é", "('", "\x00"])
TYPES = st.sampled_from([ValueError, TypeError, RuntimeError, OverflowError, KeyError, IndexError, AssertionError])


HIDDEN = "Zqhidden77"


def nobody_knows(word: str) -> bool:
    """A session that was granted no names."""
    return False


def raised(kind: type[Exception], *args: Any, note: str = "", context: str = "") -> Exception:
    """An exception with a traceback, a cause and notes, as a library raises it."""
    error = kind(*args)
    error.add_note(note)
    error.__cause__ = error.__context__ = LookupError(context)
    with pytest.raises(kind) as caught:
        raise error
    return caught.value


def everything(rebuilt: Rebuilt) -> str:
    """All that crosses of it, and all that it would hold once raised in the guest."""
    remade = rebuilt.type(*rebuilt.args)
    parts = [rebuilt.message, rebuilt.args, str(remade), remade, remade.args, getattr(remade, "__notes__", "")]
    return " ".join(map(repr, [*parts, remade.__cause__, remade.__context__, remade.__traceback__]))


@given(kind=TYPES, words=st.lists(SECRETS, min_size=1, max_size=6), joins=st.lists(JOINS, min_size=6, max_size=6))
def test_a_text_of_the_data_never_comes_through(kind: type[Exception], words: list[str], joins: list[str]):
    """Whatever a message is made of, no word of the data is in what crosses."""
    text = "could not convert: " + "".join(word + join for word, join in zip(words, joins, strict=False))
    found = everything(rebuild(raised(kind, text, note=text, context=text), [], nobody_knows))
    assert not any(word in found for word in words)


@given(kind=TYPES, secret=SECRETS, others=st.lists(SECRETS, max_size=3))
def test_arguments_that_are_no_text_do_not_come_through(kind: type[Exception], secret: str, others: list[str]):
    """Tuples, lists, objects and extra arguments of an exception are dropped or scrubbed like its text."""

    class Holder:
        def __repr__(self) -> str:
            return f"<holder of {secret}>"

    for args in [(secret,), ((secret, 1),), ([secret],), ({secret: secret},), (Holder(),), ("x", secret, *others)]:
        found = everything(rebuild(raised(kind, *args), [], nobody_knows))
        assert not any(word in found for word in [secret, *others])


@given(secret=SECRETS, own=SECRETS)
def test_own_arguments_come_through_whole(secret: str, own: str):
    """What the agent itself sent is shown as it was; the data beside it is not."""
    rebuilt = rebuild(raised(ValueError, f"{own!r} is not one of {secret!r}"), [own, 5], nobody_knows)
    assert repr(own) in rebuilt.message
    assert secret not in everything(rebuilt) or secret in own


@given(key=st.one_of(SECRETS, st.integers(), st.booleans(), st.floats(allow_nan=False)))
def test_a_key_error_gives_back_the_agents_own_key(key: Any):
    """`except KeyError as e: e.args[0]` is the key that was asked for, in its own type."""
    rebuilt = rebuild(raised(KeyError, key), [key], nobody_knows)
    assert rebuilt.args == (key,)
    assert type(rebuilt.args[0]) is type(key)


@given(number=st.integers(min_value=10**8, max_value=10**12))
@settings(max_examples=30)
def test_pieces_of_a_number_do_not_add_up(number: int):
    """All pairs of digits as own arguments do not spell a number of the data."""
    pairs = [f"{n:02d}" for n in range(100)]
    for text in (
        f"bad value {number}",
        f"bad value '{number}'",
        "bad value " + "-".join(re.findall("..", str(number))),
    ):
        assert not re.search(r"\d", scrub(text, set(pairs), nobody_knows))


@given(word=SECRETS, known=SECRETS)
def test_known_names_are_shown(word: str, known: str):
    """A name that the session was granted stands in the text; another word does not."""
    rebuilt = rebuild(raised(ValueError, f"columns {known} {word}"), [], lambda asked: asked == known)
    assert known in rebuilt.message
    assert word not in rebuilt.message or word in known


@given(secret=SECRETS, length=st.integers(min_value=0, max_value=100_000))
@settings(max_examples=20)
def test_a_text_is_bounded(secret: str, length: int):
    """A message of any length is cut, and what str() itself raises does not stop the rebuilding."""

    class Broken(Exception):
        def __str__(self) -> str:
            raise ValueError(secret)

    assert len(rebuild(raised(ValueError, "x" * length), ["x" * length], nobody_knows).message) <= 2_000
    rebuilt = rebuild(raised(Broken, secret), [], nobody_knows)
    assert secret not in repr(rebuilt)


def test_the_words_of_the_code_that_raised_are_kept():
    """A template in the source of the raising function is shown, with the values in it left out."""

    def jam(what: str) -> None:
        raise ValueError(f"the frobnicator of {what} is jammed")

    with pytest.raises(ValueError) as caught:
        jam(HIDDEN)
    rebuilt = rebuild(caught.value, [], nobody_knows)
    assert rebuilt.message == "the frobnicator of … is jammed"
    assert rebuilt.type is ValueError
