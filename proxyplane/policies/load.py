"""From a policy text to a checked model; all that is wrong is told at once, each with line and hint."""

from __future__ import annotations

import re
import tomllib
from dataclasses import replace
from pathlib import Path as FilePath
from types import MappingProxyType
from typing import Any, NoReturn

from proxyplane.errors import PolicyError
from proxyplane.policies.faults import Faults
from proxyplane.policies.form import Form
from proxyplane.policies.locate import locate
from proxyplane.policies.meaning import Meaning
from proxyplane.policies.model import PolicyModel
from proxyplane.policies.surface import Surface
from proxyplane.policies.vocabulary import SCHEMA

__all__ = ["parse", "read"]


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


def parse(text: str, *, file: str, folder: FilePath | None, surface: Surface | None = None) -> PolicyModel:
    """Check a policy text completely.

    Args:
        text: the TOML text.
        file: its name in errors.
        folder: what `[fs] root` is relative to; the current directory when `None`.
        surface: what there is to use; members and types that it does not have are faults then.

    Raises:
        PolicyError: something is wrong; `problems` has every fault.
    """
    try:
        raw = tomllib.loads(text)
        lines = locate(text)
    except tomllib.TOMLDecodeError as error:
        _syntax(error, text, file)
    except RecursionError:
        raise PolicyError("values are nested too deeply", file=file) from None
    faults = Faults(file, lines)
    _version(raw, faults)
    form = Form(raw, faults)
    shape = form.shape()
    model = Meaning(shape, faults, form, surface).model(folder or FilePath())
    faults.settle()
    return replace(model, texts=MappingProxyType({file: text}))


def _syntax(error: tomllib.TOMLDecodeError, text: str, file: str) -> NoReturn:
    found = re.search(r"\s*\(at (?:line (\d+), column \d+|end of document)\)$", str(error))
    line = int(found[1]) if found and found[1] else text.rstrip("\n").count("\n") + 1
    message = str(error)[: found.start()] if found else str(error)
    raise PolicyError(f"not valid TOML: {message}", file=file, line=line) from None


def _version(raw: dict[str, Any], faults: Faults) -> None:
    """Report a version that is not known, and go on as if it were."""
    given = raw.get("schema")
    if "schema" not in raw:
        faults("the version of the file's form is missing", (), hint=f"write schema = {SCHEMA} at the top")
    elif type(given) is not int or given != SCHEMA:
        faults(f"schema version {given!r} is not known", ("schema",), hint=f"this version reads schema = {SCHEMA}")
    raw["schema"] = SCHEMA
