"""`proxyplane run` and `proxyplane exec`: an agent's code in a sealed guest, over objects that come from files."""

from __future__ import annotations

import keyword
import sys
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from proxyplane.cli.problems import Exit, Problem, explained, guess
from proxyplane.cli.terminal import put, put_agents
from proxyplane.errors import ReferenceFailed, Refusal, tree
from proxyplane.files import check_sources, projected
from proxyplane.launch import TIERS
from proxyplane.loading import DataFile
from proxyplane.plane import ControlPlane
from proxyplane.policies import Policy
from proxyplane.policies.vocabulary import PRESETS
from proxyplane.results import RunError, RunResult
from proxyplane.sessions import Session

__all__ = ["Settings", "execute", "open_session", "run_script", "show"]

_REFUSALS = frozenset({*tree(Refusal), *tree(ReferenceFailed)})
_CODE_BYTES = 1 << 20


@dataclass(frozen=True)
class Settings:
    """What the options say."""

    objects: tuple[str, ...]
    """`NAME=FILE` each."""
    policy: str
    """A file, or the name of a preset."""
    audit: Path
    agent: str
    timeout: float
    """Seconds."""
    require_tier: str | None = None


def run_script(script: Path, settings: Settings) -> Exit:
    """Run a script; its output goes where this process's does.

    Raises:
        Problem: it could not begin, or its log could not be written.
    """
    code = _read_script(script)
    _check_code(code, str(script))
    with open_session(settings) as session:
        result = session.run(code, settings.timeout)
        return show(result)


def execute(code: str, settings: Settings) -> Exit:
    """Run code and print what a REPL prints of its last expression.

    Raises:
        Problem: it could not begin, or its log could not be written.
    """
    _check_code(code, "the code")
    with open_session(settings) as session:
        result = session.run(code, settings.timeout)
        return show(result, value=True)


def show(result: RunResult, *, value: bool = False) -> Exit:
    """Print what a run came to, and say how it ended.

    Args:
        result: the run.
        value: also the text of the last expression.
    """
    put_agents(result.stdout, sys.stdout)
    if value and result.value is not None:
        put_agents(f"{result.value}\n", sys.stdout)
    put_agents(result.stderr, sys.stderr)
    error = result.error
    if error is None or (error.type == "SystemExit" and error.message in ("", "0", "None")):
        return Exit.OK
    put(_told(error), sys.stderr)
    return Exit.REFUSED if error.type in _REFUSALS else Exit.FAILED


def _told(error: RunError) -> str:
    """An error as Python would print it, then what decided a refusal and what would be allowed."""
    last = f"{error.type}: {error.message}" if error.message else error.type
    text = error.traceback.rstrip("\n")
    if not text.endswith(last):
        text = f"{text}\n{last}".lstrip("\n")
    if error.effect:
        text += (
            f"\n  refused: {error.effect}, by {f'rule {error.rule}' if error.rule else 'default: no rule allows it'}"
        )
    if error.hint and error.hint not in text:
        text += f"\n  hint: {error.hint}"
    return f"{text}\n"


@contextmanager
def open_session(settings: Settings) -> Iterator[Session]:
    """A session with its objects, in a plane of its own that ends with it.

    Raises:
        Problem: something of the settings cannot be used, or the log could not be written.
    """
    with explained(), ExitStack() as stack:
        policy = _find_policy(settings.policy)
        files = _parse_objects(settings.objects, policy)
        sources = {name: stack.enter_context(_open(name, path)) for name, path in files.items()}
        _check(settings)
        check_sources(policy, files)
        for note in policy.check(files):
            put(f"proxyplane: note: {policy.name}: {note}\n", sys.stderr)
        # The log writer and the zygote start before this process holds any data.
        plane = ControlPlane(policy=policy, audit=settings.audit, require_tier=settings.require_tier)
        stack.enter_context(plane)
        _guard_sources(plane, files, settings.policy)
        objects = _load(sources)
        yield stack.enter_context(_session(plane, settings.agent, objects))


def _guard_sources(plane: ControlPlane, files: Mapping[str, str], policy: str) -> None:
    """What is read from an object's own file counts as the object; behind a projection, and the policy, are closed."""
    for name, path in files.items():
        plane.files.know(path, name)
    for name in projected(plane.policy, files):
        plane.files.hide(files[name], f'the file of "{name}", of which only a projection is granted')
    if policy not in PRESETS:
        plane.files.hide(policy, "the policy itself")


def _read_script(script: Path) -> str:
    try:
        return script.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        folder = script.parent
        scripts = [path.name for path in folder.glob("*.py")] if folder.is_dir() else []
        hint = guess(script.name, scripts, of=f"scripts in {folder}")
        raise Problem(f"there is no script {script}", hint=hint) from None
    except UnicodeDecodeError as error:
        raise Problem(f"{script} is not UTF-8 text (byte {error.start})", hint="save it as UTF-8") from None
    except OSError as error:
        raise Problem(f"the script {script} cannot be read: {error.strerror}") from None


def _check_code(code: str, name: str) -> None:
    """What no guest could be sent. Standard input and arguments carry bytes that are not UTF-8 as lone surrogates."""
    try:
        size = len(code.encode("utf-8"))
    except UnicodeEncodeError as error:
        raise Problem(f"{name} is not UTF-8 text (character {error.start})", hint="give it as UTF-8") from None
    if size > _CODE_BYTES:
        raise Problem(f"{name} has {size:,} bytes; at most {_CODE_BYTES:,} can be run", hint="split it")


def _find_policy(given: str) -> Policy:
    if given in PRESETS:
        return Policy.preset(given)
    path = Path(given)
    if not path.exists():
        near = [*PRESETS, *(str(found) for found in path.parent.glob("*.toml"))]
        raise Problem(f"there is no policy file or preset {given!r}", hint=guess(given, near, of="there are"))
    return Policy.load(path)


def _parse_objects(given: tuple[str, ...], policy: Policy) -> dict[str, str]:
    files: dict[str, str] = {}
    for item in given:
        name, equals, path = item.partition("=")
        if not equals or not name or not path:
            raise Problem(f"--object needs NAME=FILE, not {item!r}", hint="for example: --object sales=data/sales.csv")
        if not name.isidentifier() or keyword.iskeyword(name) or name.startswith("_") or not name.isascii():
            raise Problem(
                f"--object {item}: {name!r} cannot be a name in the agent's code",
                hint="use letters, digits and underscores, beginning with a letter; no Python keyword",
            )
        if name in files:
            raise Problem(f"--object gives the name {name!r} twice: {files[name]} and {path}", hint="use two names")
        if name in policy.modules.host:
            raise Problem(
                f"--object {item}: {name!r} is the name of a module that the policy grants", hint="use another name"
            )
        files[name] = path
    return files


def _open(name: str, path: str) -> DataFile:
    try:
        return DataFile.open(path)
    except (ValueError, OSError) as error:
        raise Problem(f"--object {name}: {error}") from None


def _check(settings: Settings) -> None:
    if settings.require_tier is not None and settings.require_tier not in TIERS:
        hint = guess(settings.require_tier, TIERS, of="tiers")
        raise Problem(f"there is no tier {settings.require_tier!r}", hint=hint)
    if str(settings.audit) == ":memory:":
        raise Problem("--audit needs a directory; a log in memory would end with this command")
    if not settings.agent or len(settings.agent) > 200 or not settings.agent.isprintable():
        raise Problem("--agent needs a name of 1 to 200 printable characters")


def _load(sources: Mapping[str, DataFile]) -> dict[str, Any]:
    """Each file once: two names of one file are one object, so that its projections join."""
    loaded: dict[tuple[int, int], Any] = {}
    for name, source in sources.items():
        if source.identity not in loaded:
            try:
                loaded[source.identity] = source.load()
            except (ValueError, ImportError) as error:
                raise Problem(f"--object {name}: {error}") from None
    return {name: loaded[source.identity] for name, source in sources.items()}


def _session(plane: ControlPlane, agent: str, objects: dict[str, Any]) -> Session:
    try:
        return plane.session(agent, objects=objects)
    except (ValueError, TypeError) as error:
        raise Problem(str(error)) from error
