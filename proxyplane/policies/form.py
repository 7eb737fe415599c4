"""The form of a file: keys and types, told in the words of the file.

A fault must not hide the others. So what has the wrong form is noted, taken out, and the rest is read on; checks of
meaning leave alone what was taken out.
"""

from __future__ import annotations

import copy
import re
from collections.abc import Collection
from typing import Any

from pydantic import BaseModel, ValidationError

from proxyplane.policies.faults import Faults
from proxyplane.policies.locate import Path
from proxyplane.policies.shape import (
    AskShape,
    BudgetShape,
    ExpectShape,
    FileShape,
    FsShape,
    ModulesShape,
    ObjectShape,
    RedactShape,
    RuleShape,
    TestShape,
    TryShape,
)
from proxyplane.policies.vocabulary import SCHEMA, near, suggest

__all__ = ["Form"]

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
    "bool_type": "a boolean",
    "list_type": "a string or an array of strings",
    "dict_type": "a table",
    "model_type": "a table",
}
_SECTIONS: dict[str, type[BaseModel]] = {
    "rules": RuleShape,
    "objects": ObjectShape,
    "budgets": BudgetShape,
    "modules": ModulesShape,
    "fs": FsShape,
    "tests": TestShape,
}
_INSIDE: dict[str, type[BaseModel]] = {"redact": RedactShape, "ask": AskShape, "try": TryShape, "expect": ExpectShape}
_RULE = {"id": "?", "decide": "deny"}
_TEST = {"try": {"agent": "?", "effect": []}, "expect": {"decision": "deny"}}
_ROUNDS = 50


class Form:
    """Reads the form of one file.

    Args:
        raw: the file as TOML gives it.
        faults: where to tell what is wrong.

    Attributes:
        spoilt: keys of a table that were taken out, by the table's path; of a table that is no table at all, `*`.
    """

    def __init__(self, raw: dict[str, Any], faults: Faults) -> None:
        self._raw = copy.deepcopy(raw)
        self._faults = faults
        self.spoilt: dict[Path, set[str]] = {}

    def shape(self) -> FileShape:
        """The file, without what has the wrong form."""
        for _ in range(_ROUNDS):
            try:
                return FileShape.model_validate(self._raw)
            except ValidationError as found:
                for error in found.errors():
                    self._tell(error)  # type: ignore[arg-type]
                for error in found.errors():
                    self._take_out(error["loc"], error["type"])
        return FileShape.model_validate({"schema": SCHEMA})

    def is_spoilt(self, path: Path, *keys: str) -> bool:
        """Whether any of these keys of the table at `path` had a fault already."""
        known = self.spoilt.get(path, set())
        return "*" in known or not known.isdisjoint(keys)

    def _tell(self, error: dict[str, Any]) -> None:
        path, kind, given = error["loc"], error["type"], error["input"]
        key = next((part for part in reversed(path) if isinstance(part, str)), "")
        faults = self._faults
        if kind == "extra_forbidden":
            faults(f'unknown key "{path[-1]}"{_inside(path)}', path, suggest(str(path[-1]), _keys(path)))
        elif kind == "missing":
            faults(f'"{path[-1]}" is missing{_inside(path)}', path)
        elif kind == "literal_error":
            expected = str(error["ctx"]["expected"]).replace("'", '"')
            known = re.findall(r'"([^"]*)"', expected)
            faults(f'"{key}" must be {expected}, not {_given(given)}', path, suggest(str(given), known))
        elif kind in _EXPECTED:
            faults(f'"{key}" must be {_EXPECTED[kind]}, not {_WORDS.get(type(given), "a date or time")}', path)
        else:
            faults(f'"{key}": {error["msg"]}', path)

    def _take_out(self, path: Path, kind: str) -> None:
        section, depth = path[0], 2
        if section in ("modules", "fs"):
            depth = 1
        if len(path) <= depth:  # the section, or a whole table in it
            self._replace(path)
            return
        table: Path = path[:depth]
        key = str(path[depth])
        holder = self._at(table)
        if section == "tests":
            self._replace(table)
            return
        spoilt = self.spoilt.setdefault(table, set())
        spoilt.add(key)
        if kind == "extra_forbidden":
            meant = near(key, _keys(path[: depth + 1])) if len(path) == depth + 1 else None
            spoilt.add(meant or key)
        inner = holder.get(key)
        if len(path) > depth + 1 and kind == "extra_forbidden" and isinstance(inner, dict):
            inner.pop(path[depth + 1], None)
            return
        holder.pop(key, None)
        placeholder = {("rules", "id"): "?", ("rules", "decide"): "deny", ("budgets", "limit"): 0}
        if (section, key) in placeholder:
            holder[key] = placeholder[str(section), key]

    def _replace(self, path: Path) -> None:
        """Put something harmless in the place of a table, so that those after it keep their numbers."""
        self.spoilt.setdefault(path, set()).add("*")
        if len(path) == 1:
            self._raw.pop(str(path[0]), None)
            return
        holder = self._raw[str(path[0])]
        if isinstance(holder, list):
            holder[int(path[1])] = copy.deepcopy(_RULE if path[0] == "rules" else _TEST)
        else:
            holder[path[1]] = {"limit": 0} if path[0] == "budgets" else {}

    def _at(self, path: Path) -> dict[str, Any]:
        found: Any = self._raw
        for part in path:
            found = found[part]
        assert isinstance(found, dict)
        return found


def _given(value: Any) -> str:
    return f'"{value}"' if isinstance(value, str) else _WORDS.get(type(value), "a date or time")


def _inside(path: Path) -> str:
    if len(path) == 1:
        return ""
    if path[0] in ("rules", "tests"):
        within = "".join(f" ({part})" for part in path[2:-1])
        return f" in [[{path[0]}]] number {int(path[1]) + 1}{within}"
    return f" in [{'.'.join(str(part) for part in path[:-1])}]"


def _keys(path: Path) -> Collection[str]:
    """The keys that could have stood where an unknown one stands."""
    model: type[BaseModel] = FileShape
    if len(path) > 1:
        model = next((_INSIDE[part] for part in reversed(path[2:-1]) if part in _INSIDE), _SECTIONS[str(path[0])])
    return [field.alias or name for name, field in model.model_fields.items()]
