"""What agents and data wrote is shown to people, never obeyed by their terminals."""

from __future__ import annotations

import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxyplane.cli.terminal import escaped, one_line, put, put_agents


class Terminal(io.StringIO):
    """A stream that says it is a terminal."""

    encoding = "utf-8"

    def isatty(self) -> bool:
        return True


@given(st.text())
def test_nothing_escaped_controls_a_terminal(text: str):
    """Of control characters only tab and line feed are left, and no surrogate that cannot be written."""
    shown = escaped(text)
    assert all(char in "\t\n" or (ord(char) >= 32 and not 127 <= ord(char) < 160) for char in shown)
    shown.encode("utf-8")


@given(st.text())
def test_one_line_is_one_line(text: str):
    """A record's text cannot pretend to be the next record."""
    assert len(one_line(text).splitlines()) <= 1


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("\x1b[2J", "\\x1b[2J"),
        ("\x1b]52;c;aGk=\x07", "\\x1b]52;c;aGk=\\x07"),
        ("a\rb", "a\\x0db"),
        ("\x9b31m", "\\x9b31m"),
        ("admin\u202enimda", "admin\\u202enimda"),
        ("plain\ttext\n", "plain\ttext\n"),
        ("größe 数", "größe 数"),
    ],
)
def test_examples(text: str, shown: str):
    """Clearing the screen, writing the clipboard, overwriting a line and reversing text become visible."""
    assert escaped(text) == shown


def test_an_agents_output_is_escaped_on_a_terminal_only():
    """A person is protected; a file or pipe gets what the agent printed."""
    terminal, file = Terminal(), io.StringIO()
    put_agents("\x1b[31mred", terminal)
    put_agents("\x1b[31mred", file)
    assert terminal.getvalue() == "\\x1b[31mred"
    assert file.getvalue() == "\x1b[31mred"


def test_a_narrow_encoding_is_no_error():
    """What the stream cannot encode is escaped, not raised."""
    raw = io.BytesIO()
    stream = io.TextIOWrapper(raw, encoding="ascii")
    put("größe \ud800", stream)
    assert raw.getvalue() == b"gr\\xf6\\xdfe \\ud800"
