"""From a policy text to a checked model; everything that is wrong is a `PolicyError` with file, line and hint."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Collection, Mapping
from pathlib import Path as FilePath
from typing import Any, NoReturn

from pydantic import BaseModel, ValidationError

from proxyplane.errors import PolicyError
from proxyplane.policies.locate import Path, locate, nearest
from proxyplane.policies.meaning import Fail, Meaning
from proxyplane.policies.model import PolicyModel
from proxyplane.policies.shape import BudgetShape, FileShape, FsShape, ModulesShape, ObjectShape, RuleShape
from proxyplane.policies.vocabulary import SCHEMA, UNAVAILABLE, suggest

__all__ = ["parse", "read"]

_WORDS = {
    bool: "a boolean",
    int: "an integer",
    float: "a float",
    str: "a string",
    list: "an array",
    dict: "a table",
}
_EXPECTED = {
    "string_type": "a string",
    "int_type": "an integer",
    "list_type": "a string or an array of strings",
    "dict_type": "a table",
    "model_type": "a table",
}


def read(path: FilePath) -> str:
    """The text of a policy file.

    Raises:
        PolicyError: the file cannot be read or is not UTF-8.
    """
    try:
        return path.read_text(encoding="utf-8")
    except OSError as error:
        raise PolicyError(f"cannot be read: {error.strerror}", file=str(path)) from error
    except UnicodeDecodeError as error:
        line = path.read_bytes()[: error.start].count(b"\n") + 1
        raise PolicyError("is not UTF-8 text", file=str(path), line=line) from error


def parse(text: str, *, file: str, folder: FilePath | None) -> PolicyModel:
    """Check a policy text completely.

    Args:
        text: the TOML text.
        file: its name in errors.
        folder: what `[fs] root` is relative to; the current directory when `None`.

    Raises:
        PolicyError: for the first thing that is wrong.
    """
    try:
        raw = tomllib.loads(text)
        lines = locate(text)
    except tomllib.TOMLDecodeError as error:
        _syntax(error, text, file)
    except RecursionError:
        raise PolicyError("values are nested too deeply", file=file) from None

    def fail(message: str, path: Path, hint: str = "") -> NoReturn:
        raise PolicyError(message, file=file, line=nearest(lines, path), hint=hint) from None

    _schema(raw, fail)
    del raw["schema"]
    _unavailable(raw, fail)
    try:
        shape = FileShape.model_validate(raw)
    except ValidationError as errors:
        _form(errors, lines, fail)
    return Meaning(shape, lines, fail).model(folder or FilePath())


def _syntax(error: tomllib.TOMLDecodeError, text: str, file: str) -> NoReturn:
    found = re.search(r"\s*\(at (?:line (\d+), column \d+|end of document)\)$", str(error))
    line = int(found[1]) if found and found[1] else text.rstrip("\n").count("\n") + 1
    message = str(error)[: found.start()] if found else str(error)
    raise PolicyError(f"not valid TOML: {message}", file=file, line=line) from None


def _schema(raw: dict[str, Any], fail: Fail) -> None:
    if "schema" not in raw:
        fail("the version of the file's form is missing", (), hint=f"write schema = {SCHEMA} at the top")
    if type(raw["schema"]) is not int or raw["schema"] != SCHEMA:
        fail(
            f"schema version {raw['schema']!r} is not known", ("schema",), hint=f"this version reads schema = {SCHEMA}"
        )


def _unavailable(raw: dict[str, Any], fail: Fail) -> None:
    """Refuse by name what only later versions understand, so that no such line is ever taken for a typing error."""

    def refuse(scope: str, keys: Collection[str], path: Path) -> None:
        for key in keys:
            if key.split(".")[0] in UNAVAILABLE[scope]:
                fail(f'"{key}" is not available in this version', (*path, key), hint="remove it")

    refuse("file", raw, ())
    for name, table in _tables(raw.get("objects")).items():
        refuse("objects", _tables(table), ("objects", name))
    for name, table in _tables(raw.get("budgets")).items():
        if _tables(table).get("exceeded") in UNAVAILABLE["exceeded"]:
            fail('exceeded = "ask" is not available in this version', ("budgets", name, "exceeded"), 'use "deny"')
    rules = raw.get("rules")
    for index, rule in enumerate(rules if isinstance(rules, list) else ()):
        path: Path = ("rules", index)
        decide = _tables(rule).get("decide")
        if isinstance(decide, str) and decide in UNAVAILABLE["decide"]:
            fail(f'decide = "{decide}" is not available in this version', (*path, "decide"), 'use "allow" or "deny"')
        refuse("rules", _tables(rule), path)
        for key in ("when", "unless"):
            refuse("condition", _tables(_tables(rule).get(key)), (*path, key))


def _tables(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


def _form(errors: ValidationError, lines: dict[Path, int], fail: Fail) -> NoReturn:
    """Report the topmost of pydantic's findings in the words of the file."""
    first = min(errors.errors(), key=lambda each: nearest(lines, each["loc"]) or 0)
    path = first["loc"]
    kind, given = first["type"], first["input"]
    key = next((part for part in reversed(path) if isinstance(part, str)), "")
    if kind == "extra_forbidden":
        fail(f'unknown key "{path[-1]}"{_inside(path)}', path, hint=suggest(str(path[-1]), _keys(path)))
    if kind == "missing":
        fail(f'"{path[-1]}" is missing{_inside(path)}', path)
    if kind == "literal_error":
        expected = str(first["ctx"]["expected"]).replace("'", '"')
        known = re.findall(r'"([^"]*)"', expected)
        fail(f'"{key}" must be {expected}, not {_given(given)}', path, hint=suggest(str(given), known))
    if kind in _EXPECTED:
        fail(f'"{key}" must be {_EXPECTED[kind]}, not {_WORDS.get(type(given), "a date or time")}', path)
    fail(f'"{key}": {first["msg"]}', path)


def _given(value: Any) -> str:
    return f'"{value}"' if isinstance(value, str) else _WORDS.get(type(value), "a date or time")


def _inside(path: Path) -> str:
    if len(path) == 1:
        return ""
    if path[0] == "rules":
        return f" in [[rules]] number {int(path[1]) + 1}"
    return f" in [{'.'.join(str(part) for part in path[:-1])}]"


def _keys(path: Path) -> Collection[str]:
    """The keys that could have stood where an unknown one stands."""
    if len(path) == 1:
        return ["schema", *FileShape.model_fields]
    sections: dict[str, type[BaseModel]] = {
        "rules": RuleShape,
        "objects": ObjectShape,
        "budgets": BudgetShape,
        "modules": ModulesShape,
        "fs": FsShape,
    }
    return sections[str(path[0])].model_fields
