"""Sealed planes for payloads, each with another session beside the attacker's."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from proxyplane import ControlPlane, Policy
from proxyplane.errors import TierUnavailable
from proxyplane.sessions import Session

from .world import canaries, policy_text

SETUP = "import matplotlib.pyplot as plt\nplt.figure('LABEL')\nplt.title('LABEL')\nimport pandas as pd\n"
SETUP += "pd.set_option('display.max_rows', 77)\nkeep = theirs.name.iloc[0]"


class Planes:
    """Sealed planes by setup; each is made at its first use, with another session that lives beside the attacker's."""

    def __init__(self) -> None:
        self._made: dict[str, tuple[ControlPlane, Session, list[str]]] = {}

    def of(self, setup: str, root: Path) -> tuple[ControlPlane, Session, list[str]]:
        """The plane, the neighbour and the neighbour's canaries."""
        if setup == "files":  # its policy names a folder of this world
            return self._plane(setup, root)
        if setup not in self._made:
            self._made[setup] = self._plane(setup, root)
        return self._made[setup]

    def _plane(self, setup: str, root: Path) -> tuple[ControlPlane, Session, list[str]]:
        text = policy_text(setup, root)
        try:
            plane = ControlPlane(policy=Policy.parse(text), require_tier="sealed")
        except TierUnavailable as error:
            pytest.skip(f"this machine has no sealed tier: {error}")
        names = canaries("THEIRS", 4)
        neighbour = plane.session("neighbour", objects={"theirs": pd.DataFrame({"name": names})})
        if setup == "open":
            assert neighbour.run(SETUP.replace("LABEL", names[1])).ok
        return plane, neighbour, names

    def close(self) -> None:
        """End them all."""
        for plane, _, _ in self._made.values():
            plane.close()
