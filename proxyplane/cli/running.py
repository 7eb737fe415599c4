"""`proxyplane run` and `proxyplane exec`: an agent's code in a sealed guest, over objects that come from files."""

from __future__ import annotations

import contextlib
import keyword
import sys
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any

from proxyplane.cli.catalogs import load as load_catalog
from proxyplane.cli.displaying import show_displays
from proxyplane.cli.hosting import Sealing, sealing
from proxyplane.cli.policyfile import find_policy
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

__all__ = ["Settings", "execute", "hosted", "made", "open_session", "run_script", "show"]

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
    sealing: Sealing = field(default_factory=Sealing)
    display: Path | None = None
    """Where pictures and HTML that the agent displays are saved."""
    catalogs: tuple[Path, ...] = ()
    """Files that describe further libraries."""


def run_script(script: Path, settings: Settings) -> Exit:
    """Run a script; its output goes where this process's does.

    Raises:
        Problem: it could not begin, or its log could not be written.
    """
    code = _read_script(script)
    _check_code(code, str(script))
    with open_session(settings) as session:
        return _run(session, code, settings)


def execute(code: str, settings: Settings) -> Exit:
    """Run code and print what a REPL prints of its last expression.

    Raises:
        Problem: it could not begin, or its log could not be written.
    """
    _check_code(code, "the code")
    with open_session(settings) as session:
        return _run(session, code, settings, value=True)


def _run(session: Session, code: str, settings: Settings, *, value: bool = False) -> Exit:
    live = Live()
    session.on_output = live
    result = session.run(code, settings.timeout)
    ended = show(result, live=live, value=value)
    show_displays(result.display, settings.display, last=value and bool(result.value))
    if stopped := session.plane.stopped_by_seal:
        names = ", ".join(dict.fromkeys(stopped))
        put(
            f"proxyplane: note: the sealed host was refused a file, the network or a process in: {names}\n"
            "  hint: grant the file in [fs]; if a library needs it for itself, docs/isolation.md says what to do\n",
            sys.stderr,
        )
    return ended


class Live:
    """Shows what a run prints as it comes; what comes on one stream keeps its order."""

    def __init__(self) -> None:
        self.shown = {1: 0, 2: 0}
        """Characters of each stream that are out."""

    def __call__(self, stream: int, text: str) -> None:
        self.shown[stream] += len(text)
        with contextlib.suppress(BrokenPipeError):  # a reader that has seen enough: said at the end
            put_agents(text, sys.stdout if stream == 1 else sys.stderr)


def show(result: RunResult, *, live: Live | None = None, value: bool = False) -> Exit:
    """Print what a run came to, and say how it ended.

    Args:
        result: the run.
        live: what is out already.
        value: also the text of the last expression.
    """
    shown = live.shown if live is not None else {1: 0, 2: 0}
    put_agents(result.stdout[shown[1] :], sys.stdout)
    if value and result.value is not None:
        put_agents(f"{result.value}\n", sys.stdout)
    put_agents(result.stderr[shown[2] :], sys.stderr)
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
    with hosted(settings) as (plane, objects), _session(plane, settings.agent, objects) as session:
        yield session


@contextmanager
def hosted(
    settings: Settings,
    *,
    hidden: Mapping[str, str] = MappingProxyType({}),
    writable: Iterable[Path] = (),
    left: Iterable[Path] = (),
) -> Iterator[tuple[ControlPlane, dict[str, Any]]]:
    """A plane in a sealed host, and the objects from their files.

    Args:
        settings: what the options say.
        hidden: further files that no agent may reach, with what they are.
        writable: further folders that the command itself writes into.
        left: files that are removed when this process has ended.

    Raises:
        Problem: something of the settings cannot be used, or the log could not be written.
    """
    with explained(), ExitStack() as stack:
        policy = find_policy(settings.policy)
        files = _parse_objects(settings.objects, policy)
        sources = {name: stack.enter_context(_open(name, path)) for name, path in files.items()}
        _check(settings)
        check_sources(policy, files)
        for note in policy.check(files):
            put(f"proxyplane: note: {policy.name}: {note}\n", sys.stderr)
        guarded = [files[name] for name in projected(policy, files)]
        guarded += [*([] if settings.policy in PRESETS else [settings.policy]), *hidden]
        folders = [*writable, *([] if settings.display is None else [made(settings.display, "--display-dir")])]
        host = stack.enter_context(sealing(settings.sealing, policy, settings.audit, guarded, folders, left))
        # The log writer and the zygote start before this process holds any data.
        catalog = load_catalog(settings.catalogs)
        plane = ControlPlane(policy=policy, audit=settings.audit, require_tier=settings.require_tier, catalog=catalog)
        stack.enter_context(plane)
        _guard_sources(plane, files, settings.policy)
        for path, what in hidden.items():
            plane.files.hide(path, what)
        host.close_files(plane)
        host.close_calls(plane, (*policy.modules.host, *(["pandas"] if sources else [])))
        objects = _load(sources)
        for source in sources.values():
            source.close()  # what a projection hides stays in no open file
        host.limit(plane)
        yield plane, objects


def _guard_sources(plane: ControlPlane, files: Mapping[str, str], policy: str) -> None:
    """What is read from an object's own file counts as the object; behind a projection, and the policy, are closed."""
    for name, path in files.items():
        plane.files.know(path, name)
    for name in projected(plane.policy, files):
        plane.files.hide(files[name], f'the file of "{name}", of which only a projection is granted')
    if policy not in PRESETS:
        plane.files.hide(policy, "the policy itself")


def made(folder: Path, option: str) -> Path:
    """A folder that an option names, made where it is missing.

    Raises:
        Problem: it cannot be made.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise Problem(f"{option} {folder} cannot be made: {error.strerror}") from None
    return folder


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
