"""Which policy an option means: the name of a preset, or a file."""

from __future__ import annotations

from pathlib import Path

from proxyplane.cli.problems import Problem, guess
from proxyplane.policies import Policy
from proxyplane.policies.surface import Surface
from proxyplane.policies.vocabulary import PRESETS

__all__ = ["find_policy"]


def find_policy(given: str, surface: Surface | None = None) -> Policy:
    """A policy by its file or preset.

    Args:
        given: as typed.
        surface: what catalogs know, where names of members are to be checked too.

    Raises:
        Problem: there is no such file.
        PolicyError: it is wrong; with every fault.
    """
    if given in PRESETS:
        return Policy.preset(given)
    path = Path(given)
    if not path.exists():
        near = [*PRESETS, *(str(found) for found in path.parent.glob("*.toml"))]
        raise Problem(f"there is no policy file or preset {given!r}", hint=guess(given, near, of="there are"))
    return Policy.load(path, surface=surface)
