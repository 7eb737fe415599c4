"""What an agent may do with an object, as a Python stub file (PEP 484): the way models like to read an API.

Members that the policy refuses are left out and named at the end with the reason; what a person must approve says so.
"""

from __future__ import annotations

import ast
import inspect
import keyword
import re
from typing import TYPE_CHECKING, Any, Final

from proxyplane import describe, hosts

if TYPE_CHECKING:
    from proxyplane.objects import Held
    from proxyplane.sessions import Session

__all__ = ["stub_text"]

_DOC_CHARS: Final = 200
_MOST_COLUMNS: Final = 200
_PLAIN: Final = (type(None), bool, int, float, str)


def stub_text(session: Session, held: Held) -> str:
    """A stub file that says what this session may use of an object.

    Args:
        session: whose rights they are.
        held: a granted object.
    """
    told = describe.describe(session, held)
    kind = type(held.value)
    name = held.name or "value"
    lines = [f"# What {_comment(session.agent)} may use of {name} ({told['type']}).", "from typing import Any", ""]
    body = [*_columns(held, told), *_members(kind, told)]
    lines += [f"class {_identifier(kind.__name__)}:", *(f"    {line}" for line in body or ["..."]), ""]
    lines += [f"{name}: {_identifier(kind.__name__)}", ""]
    refused = _refused(told)
    if refused:
        lines += ["# Refused here:", *(f"#   {line}" for line in refused), ""]
    return "\n".join(lines)


def _members(kind: type, told: dict[str, Any]) -> list[str]:
    found: list[str] = []
    for name, member in sorted(told["members"].items()):
        if member["verdict"] == "deny" or not name.isidentifier() or keyword.iskeyword(name):
            continue
        found += [f"# {line}" for line in _terms(member)]
        found += _member(name, inspect.getattr_static(kind, name, None), getattr(kind, name, None))
    return found


def _member(name: str, static: Any, value: Any) -> list[str]:
    doc = _first_line(value)
    if not callable(value) and not isinstance(static, classmethod | staticmethod):
        return ["@property", f"def {name}(self) -> Any:", *_body(doc)]
    decorator = [f"@{type(static).__name__}"] if isinstance(static, classmethod | staticmethod) else []
    return [*decorator, f"def {name}{_signature(static, value)}:", *_body(doc)]


def _body(doc: str) -> list[str]:
    return [f'    """{doc}"""', "    ..."] if doc else ["    ..."]


def _signature(static: Any, value: Any) -> str:
    """Parameters as Python can parse them; types and defaults that it could not are left out."""
    first = "" if isinstance(static, staticmethod) else "cls" if isinstance(static, classmethod) else "self"
    anything = f"({first + ', ' if first else ''}*args: Any, **kwargs: Any) -> Any"
    try:
        given = list(inspect.signature(value).parameters.values())
    except (TypeError, ValueError):
        return anything
    if first and given and not isinstance(static, classmethod) and given[0].name == "self":
        given = given[1:]
    parts, star, bare = [first] if first else [], False, 0
    for one in given:
        if one.kind is one.KEYWORD_ONLY and not star:
            parts.append("*")
            star = True
        star = star or one.kind is one.VAR_POSITIONAL
        if one.kind is one.POSITIONAL_ONLY:
            bare = len(parts) + 1
        mark = "*" if one.kind is one.VAR_POSITIONAL else "**" if one.kind is one.VAR_KEYWORD else ""
        parts.append(f"{mark}{one.name}{_default(one)}")
    if bare:
        parts.insert(bare, "/")
    text = f"({', '.join(parts)}) -> Any"
    return text if _parses(f"def f{text}: ...") else anything


def _default(parameter: inspect.Parameter) -> str:
    if parameter.default is parameter.empty:
        return ""
    return f"={parameter.default!r}" if type(parameter.default) in _PLAIN else "=..."


def _columns(held: Held, told: dict[str, Any]) -> list[str]:
    """Attributes for columns whose names are identifiers; the others as comments."""
    schema = told.get("schema") or {}
    columns: list[dict[str, Any]] = schema.get("columns") or []
    reachable = set(hosts.names(held.value)) if held.kind is not None and held.kind.dynamic else set()
    lines = []
    for column in columns[:_MOST_COLUMNS]:
        name, dtype = column["name"], _comment(str(column["dtype"]))
        plain = type(name) is str and name in reachable and name not in told["members"] and not keyword.iskeyword(name)
        lines.append(f"{name}: Any  # column, {dtype}" if plain else f"# column {_comment(repr(name))}, {dtype}")
    if len(columns) > _MOST_COLUMNS:
        lines.append(f"# ... and {len(columns) - _MOST_COLUMNS} more columns")
    return lines


def _terms(member: dict[str, Any]) -> list[str]:
    return [] if member["verdict"] == "allow" else [_comment(f"{member['verdict']}: {member['why']}")]


def _refused(told: dict[str, Any]) -> list[str]:
    """Refused members, joined by the reason."""
    reasons: dict[str, list[str]] = {}
    for name, member in sorted(told["members"].items()):
        if member["verdict"] == "deny":
            reasons.setdefault(member["why"], []).append(name)
    return [f"{', '.join(names)}: {_comment(why)}" for why, names in reasons.items()]


def _first_line(value: Any) -> str:
    doc = inspect.getdoc(value) if not isinstance(value, _PLAIN) else None
    paragraph = " ".join((doc or "").strip().partition("\n\n")[0].split())[:_DOC_CHARS]
    return paragraph.replace("\\", "\\\\").replace('"', "'").strip()


def _comment(text: str) -> str:
    return re.sub(r"[^\x20-\x7e\xa1-\u1fff\u2c00-\ud7ff]", " ", text)


def _identifier(name: str) -> str:
    return name if name.isidentifier() and not keyword.iskeyword(name) else "Object"


def _parses(code: str) -> bool:
    try:
        ast.parse(code)
    except SyntaxError:
        return False
    return True
