"""No sequence of operations, whatever the catalog allows, brings a hidden value across."""

from __future__ import annotations

import json
import random
import secrets
import subprocess
import sys
from pathlib import Path

import pytest

from proxyplane import ControlPlane, Policy

from .settings import SEED, SEQUENCES
from .walker import POLICY, Vault, Walker

SHOWING = (("repr", None), ("str", None), ("call", "to_csv"), ("call", "to_json"), ("call", "to_html"))
_A_PROCESS = 4_000
"""Sequences in one process."""


@pytest.mark.slow
@pytest.mark.timeout(0)
def test_no_canary_crosses() -> None:
    """Hidden columns, hidden rows and a table without `reveal` are full of canaries; no answer holds one, encoded or
    not, and neither the plane nor the process fails."""
    done = 0
    while done < SEQUENCES:
        seed = SEED + done if SEED is not None else secrets.randbelow(1 << 32)
        count = min(_A_PROCESS, SEQUENCES - done)
        command = [sys.executable, "-X", "faulthandler", "-m", "tests.fuzz.walk", str(seed), str(count)]
        ended = subprocess.run(command, cwd=Path(__file__).parents[2], capture_output=True, text=True, check=False)
        assert ended.returncode == 0, f"seed {seed}: {ended.stderr[-3000:]}"
        told = json.loads(ended.stdout.splitlines()[-1])
        assert told["found"] is None, f"seed {seed}: {told['found']}"
        assert told["panics"] == [], f"seed {seed}: {told['panics']}"
        assert told["sequences"] >= count
        assert told["answered"] > told["performed"] / 10  # chance meets enough that works
        done += count


def test_the_search_finds_what_crosses() -> None:
    """A policy that reveals the table is noticed at once: the canaries and their forms are the right ones."""
    text = POLICY.replace('object = ["vault"]', 'object = ["nothing"]')
    with ControlPlane(policy=Policy.parse(text)) as plane:
        vault = Vault()
        walker = Walker(plane, vault, random.Random(1))
        found = [vault.pattern.search(walker.ask(verb, "vault", member)) for verb, member in SHOWING]
        walker.close()
    assert all(found)
