"""The page about policies is run."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from proxyplane.effects import Effect
from proxyplane.policies import Policy
from proxyplane.policies.shape import RuleShape
from proxyplane.policies.vocabulary import CONDITIONS, ORIGINS, PRESETS

PAGE = (Path(__file__).parents[2] / "docs" / "policies.md").read_text(encoding="utf-8")
EXAMPLES = re.findall(r"^```toml\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)


@pytest.mark.parametrize("text", EXAMPLES, ids=range(len(EXAMPLES)))
def test_every_example_of_the_page_is_a_policy(text: str) -> None:
    """A reader may copy any example, and the checker has nothing to say against it."""
    policy = Policy.parse(text)
    assert policy.rules
    assert policy.check({"sales", "salaries"}) == []


def test_the_page_holds_examples() -> None:
    """The test above has something to parse."""
    assert len(EXAMPLES) >= 3


WORDS = {word.strip(".") for span in re.findall(r"`[^`\n]+`", PAGE) for word in re.findall(r"[\w.]+", span)}
LANGUAGE = {*Effect, *RuleShape.model_fields, *PRESETS, *ORIGINS, *CONDITIONS}


@pytest.mark.parametrize("word", sorted(LANGUAGE))
def test_every_word_of_the_language_stands_on_the_page(word: str) -> None:
    """Effects, rule keys, presets and words that are not available yet are all documented."""
    assert word in WORDS
