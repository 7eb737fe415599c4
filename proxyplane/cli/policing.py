"""`proxyplane policy`: check, test, explain, schema."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from proxyplane import catalogs
from proxyplane.catalog import Catalog
from proxyplane.cli.policyfile import find_policy
from proxyplane.cli.problems import Exit, Problem, guess
from proxyplane.cli.replaying import recorded
from proxyplane.cli.terminal import one_line, put
from proxyplane.effects import ALL_EFFECTS
from proxyplane.errors import PolicyError
from proxyplane.operations import VERBS
from proxyplane.policies import (
    Explanation,
    Policy,
    Rule,
    explain,
    quote,
    request_of,
    try_all,
)
from proxyplane.policies.shape import FileShape, TryShape

__all__ = ["check", "explain_asked", "explain_recorded", "load", "print_schema", "run_tests"]

_SHOWN = 20


def load(given: str, layers: Iterable[str] = ()) -> Policy:
    """A policy by its file or preset, united with further ones.

    Raises:
        Problem: it does not exist, or is wrong; with every fault.
    """
    with _faults():
        found = [find_policy(name, Catalogued()) for name in (*layers, given)]
        return found[0] if len(found) == 1 else Policy.united(found)


@contextmanager
def _faults() -> Iterator[None]:
    try:
        yield
    except PolicyError as error:
        count = len(error.problems)
        told = f"{count} faults" if count > 1 else "1 fault"
        lines = "\n".join(f"  {line}" for line in str(error).splitlines())
        raise Problem(f"{told} in the policy:\n{lines}", hint="docs/policies.md describes the language") from error


class Catalogued:
    """What the packaged catalogs describe by name; what some of them describe by rules has no names here."""

    complete = False

    def members(self) -> frozenset[str]:
        """Every name that the catalogs make public."""
        return _vocabulary()

    def types(self) -> frozenset[str]:
        """Qualified names of types."""
        return _types()


def _vocabulary() -> frozenset[str]:
    catalog = Catalog.load()
    for library in _libraries():
        catalog.module(library)
    return frozenset(catalog.vocabulary) | {"<lambda>"}


def _types() -> frozenset[str]:
    return frozenset(name for path in _files() for name in _type_names(path))


def _files() -> list[Path]:
    return sorted(Path(next(iter(catalogs.__path__))).glob("*.toml"))


def _libraries() -> list[str]:
    return [path.stem for path in _files()]


def _type_names(path: Path) -> Iterable[str]:
    def walk(prefix: str, table: Mapping[str, Any]) -> Iterator[str]:
        if prefix:
            yield prefix
        for name, inner in table.items():
            if isinstance(inner, dict):
                yield from walk(f"{prefix}.{name}" if prefix else name, inner)

    return walk("", tomllib.loads(path.read_text(encoding="utf-8")).get("type", {}))


# -- check, test, schema


def check(given: str, layers: Iterable[str], objects: Iterable[str], *, strict: bool = False) -> Exit:
    """Lint a policy, run its tests, tell which rules they reach. Notes fail it only with `strict`."""
    policy = load(given, layers)
    notes = policy.check(list(objects) or None)
    for note in notes:
        put(f"note: {one_line(note)}\n")
    failed = run_tests_of(policy)
    _coverage(policy)
    counts = f"{len(policy.rules)} rules, {len(policy.trials)} tests, {failed} failed, {len(notes)} notes"
    put(f"{'failed' if failed else 'ok'}: {counts}\n")
    return Exit.FAILED if failed or (strict and notes) else Exit.OK


def run_tests(given: str, layers: Iterable[str]) -> Exit:
    """Run a policy's own tests."""
    policy = load(given, layers)
    failed = run_tests_of(policy, every=True)
    put(f"{'failed' if failed else 'ok'}: {len(policy.trials)} tests, {failed} failed\n")
    return Exit.FAILED if failed else Exit.OK


def run_tests_of(policy: Policy, *, every: bool = False) -> int:
    """Print the tests that fail, with `every` all of them; how many failed."""
    failed = 0
    for result in try_all(policy):
        failed += not result.passed
        if every or not result.passed:
            put(f"{'pass' if result.passed else 'FAIL'} {one_line(str(result))}\n")
    return failed


def _coverage(policy: Policy) -> None:
    reached = {name for result in try_all(policy) for name in result.decision.matched}
    missed = [rule for rule in policy.rules if rule.id not in reached]
    put(f"coverage: {len(policy.rules) - len(missed)} of {len(policy.rules)} rules are reached by a test\n")
    for rule in missed[:_SHOWN]:
        put(f"  not reached: {one_line(rule.id)} ({_place(rule)})\n")


def print_schema() -> Exit:
    """Print the JSON schema of policy files."""
    put(json.dumps(FileShape.model_json_schema(), indent=2) + "\n")
    return Exit.OK


# -- explain


def explain_asked(given: str, layers: Iterable[str], asked: Mapping[str, Any], *, as_json: bool) -> Exit:
    """Explain a hypothetical operation."""
    policy = load(given, layers)
    if asked["op"] not in VERBS:
        raise Problem(f"there is no verb {asked['op']!r}", hint=guess(asked["op"], VERBS))
    for effect in asked["effect"]:
        if effect not in ALL_EFFECTS:
            raise Problem(f"there is no effect {effect!r}", hint=guess(effect, ALL_EFFECTS))
    attempt = TryShape(**{key: value for key, value in asked.items() if value is not None})
    request = request_of(attempt, policy.objects)
    _print(policy, explain(policy, request), as_json=as_json)
    return Exit.OK


def explain_recorded(given: str, layers: Iterable[str], directory: Path, number: int, *, as_json: bool) -> Exit:
    """Explain an operation of a log, as this policy would decide it."""
    policy = load(given, layers)
    for each in recorded(directory)[0]:
        if each.number == number:
            if not as_json:
                put(f"record {number} was decided: {one_line(each.verdict)}\n")
            _print(policy, explain(policy, each.request), as_json=as_json)
            return Exit.OK
    hint = "give the number of a record that ends an operation: proxyplane audit tail"
    raise Problem(f"record {number} is no decided operation of {directory}", hint=hint)


def _print(policy: Policy, found: Explanation, *, as_json: bool) -> None:
    decision = found.decision
    if as_json:
        put(json.dumps(_plain(policy, found), indent=2) + "\n")
        return
    put(f"{decision.verdict}: {found.kind}{f', of the effect {decision.effect}' if decision.effect else ''}\n")
    if found.deciding is not None:
        put(f"by rule {found.deciding.id} ({_place(found.deciding)}):\n")
        put("".join(f"    {line}\n" for line in quote(policy, found.deciding).splitlines()))
    elif decision.rule is not None:
        put(f"by {one_line(decision.rule)}\n")
    for text in (decision.reason, decision.hint):
        if text:
            put(f"  {one_line(text)}\n")
    for label, told in (
        (
            "charges",
            [f"{c.budget} {len(c.names) or c.amount} of {', '.join(sorted(c.roots))}" for c in decision.charges],
        ),
        ("redacts", [str(each) for each in decision.redaction.described()] if decision.redaction else []),
        ("also matched", [f"{rule.id} ({_place(rule)})" for rule in found.others]),
    ):
        if told:
            put(f"{label}: {one_line('; '.join(told))}\n")
    for miss in found.misses:
        put(f"did not match: {one_line(miss.rule.id)} ({_place(miss.rule)}): {one_line('; '.join(miss.failed))}\n")
    put(f"would be {found.change.verdict}: {found.change.words}\n")


def _plain(policy: Policy, found: Explanation) -> dict[str, Any]:
    decision, rule = found.decision, found.deciding
    return {
        "verdict": decision.verdict,
        "kind": found.kind,
        "effect": decision.effect,
        "rule": decision.rule,
        "file": rule.file if rule is not None else None,
        "line": rule.line if rule is not None else None,
        "text": quote(policy, rule) if rule is not None else None,
        "reason": decision.reason,
        "hint": decision.hint,
        "matched": list(decision.matched),
        "not_matched": [{"rule": m.rule.id, "line": m.rule.line, "failed": list(m.failed)} for m in found.misses],
        "change": {"words": found.change.words, "verdict": found.change.verdict},
    }


def _either(names: Iterable[str]) -> str:
    return ", ".join(sorted(names))


def _place(rule: Rule) -> str:
    return one_line(f"{rule.file}, line {rule.line}")
