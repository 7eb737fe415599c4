"""The tree of errors: one place, one code for each transport, one drawing that is true."""

from __future__ import annotations

import re

import pytest

from proxyplane import errors
from proxyplane.errors import Denied, DeniedAttribute, PolicyError, ProxyPlaneError, Refusal, tree

TREE = tree()
CLASSES = sorted(TREE.values(), key=lambda kind: kind.__name__)


def drawn() -> dict[str, str]:
    """Class name to its parent's, out of the drawing in the module's docstring."""
    found: dict[str, str] = {}
    path: list[str] = []
    for line in (errors.__doc__ or "").splitlines():
        match = re.match(r"    ((?:│   |    )*)(?:├── |└── )(\w+)", line)
        if match:
            depth = len(match[1]) // 4 + 1
            del path[depth:]
            found[match[2]] = path[-1]
            path.append(match[2])
        elif line.strip() == "ProxyPlaneError":
            path = ["ProxyPlaneError"]
    return found


def parent_of(kind: type[ProxyPlaneError]) -> str:
    """The nearest public ancestor: `Refusal` is how two branches share their fields, not a branch."""
    return next(base.__name__ for base in kind.__mro__[1:] if base.__name__ in TREE and base is not Refusal)


def test_the_drawing_is_the_tree():
    """The tree in the docstring has exactly the classes there are, below the parents they have."""
    real = {name: parent_of(kind) for name, kind in TREE.items() if kind not in (ProxyPlaneError, Refusal)}
    assert drawn() == real


def test_all_of_the_tree_is_exported():
    """`__all__` is the tree."""
    assert set(errors.__all__) == set(TREE) - {"Refusal"}


def test_wire_codes_are_unique():
    """A wire code names one class. (`Refusal` is never raised itself and has its base's.)"""
    codes = [kind.code for kind in CLASSES if kind is not Refusal]
    assert len(codes) == len(set(codes))


def test_mcp_errors_are_unique():
    """A JSON-RPC code names one class."""
    codes = [kind.mcp_error for kind in CLASSES if kind is not Refusal]
    assert len(codes) == len(set(codes))


@pytest.mark.parametrize("kind", CLASSES, ids=lambda kind: kind.__name__)
def test_every_error_is_mapped_for_each_transport(kind: type[ProxyPlaneError]):
    """A class has a snake_case wire code, an HTTP error status and an MCP error of the range left to servers."""
    assert re.fullmatch(r"[a-z]+(_[a-z]+)*", kind.code)
    assert 400 <= kind.http_status <= 599
    assert -32099 <= kind.mcp_error <= -32000


@pytest.mark.parametrize("kind", CLASSES, ids=lambda kind: kind.__name__)
def test_every_error_says_what_it_means(kind: type[ProxyPlaneError]):
    """A public class has a docstring of its own."""
    assert "__doc__" in vars(kind)
    assert (kind.__doc__ or "").strip()


def test_agents_catch_a_refusal_as_the_built_in_they_know():
    """`except PermissionError` catches a refusal, `except AttributeError` and `getattr` a refused member."""
    assert issubclass(Denied, PermissionError)
    assert issubclass(DeniedAttribute, AttributeError)
    assert issubclass(Denied, Refusal)
    assert issubclass(DeniedAttribute, Refusal)


def test_a_refusal_carries_what_an_agent_needs_to_go_on():
    """Effect, rule, reason and hint are fields, and the text is the message alone."""
    error = Denied("no", effect="reveal", rule="cap", reason="too many", hint="try .head(10)")
    assert (error.effect, error.rule, error.reason, error.hint) == ("reveal", "cap", "too many", "try .head(10)")
    assert str(error) == "no"


def test_a_refusal_is_not_taken_for_an_os_error_number():
    """PermissionError would read two arguments as errno and text; a refusal has neither."""
    assert Denied("no").errno is None


@pytest.mark.parametrize(
    ("line", "hint", "text"),
    [
        (7, 'did you mean "reveal"?', 'a.toml:7: unknown effect "revel" (did you mean "reveal"?)'),
        (None, "", 'a.toml: unknown effect "revel"'),
    ],
)
def test_a_policy_error_leads_to_the_line(line: int | None, hint: str, text: str):
    """Its text begins with `file:line`, as editors read it, and ends with what to do."""
    error = PolicyError('unknown effect "revel"', file="a.toml", line=line, hint=hint)
    assert str(error) == text
    assert isinstance(error, ValueError)
