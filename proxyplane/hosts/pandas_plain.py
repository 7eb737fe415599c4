"""What the plane performs in place of functions of pandas that would touch the process: versions, plotting settings.

(`pandas.show_versions` imports every library that pandas can use and starts a process; `plot_params.use` is a generator
that would restore its setting whenever it is collected, with another session's settings in place.)
"""

from __future__ import annotations

import importlib.metadata
import io
import json
import locale
import os
import platform
import re
import struct
import sys
from collections.abc import Mapping
from typing import Any

import pandas as pd

__all__ = ["PlotSetting", "show_versions"]

_NAME = re.compile(r"[\w.-]+")
_FIRST = ("pandas", "numpy", "dateutil", "pip", "Cython", "sphinx", "IPython")


def show_versions(as_json: bool = False, *, buf: io.StringIO | None = None) -> None:
    """`pandas.show_versions`: the same facts, from the names of what is installed; nothing is imported or started.

    Args:
        as_json: as JSON instead of a table.
        buf: where the text goes.
    """
    if buf is None:
        return
    system, versions = _system(), _versions()
    if as_json:
        buf.write(json.dumps({"system": system, "dependencies": versions}, indent=2))
        return
    language = system["LOCALE"]
    system["LOCALE"] = f"{language['language-code']}.{language['encoding']}"
    width = max(map(len, versions))
    facts = [f"{name.ljust(width)}: {value}" for name, value in system.items()]
    libraries = [f"{name.ljust(width)}: {value}" for name, value in versions.items()]
    lines = ["", "INSTALLED VERSIONS", "------------------", *facts, "", *libraries]
    buf.write("\n".join(lines) + "\n")


def _system() -> dict[str, Any]:
    machine = os.uname()
    code, encoding = locale.getlocale()
    meson: Any = sys.modules.get("pandas._version_meson")
    return {
        "commit": getattr(meson, "__git_version__", None),
        "python": platform.python_version(),
        "python-bits": struct.calcsize("P") * 8,
        "OS": machine.sysname,
        "OS-release": machine.release,
        "Version": machine.version,
        "machine": machine.machine,
        "processor": "",
        "byteorder": sys.byteorder,
        "LC_ALL": os.environ.get("LC_ALL"),
        "LANG": os.environ.get("LANG"),
        "LOCALE": {"language-code": code, "encoding": encoding},
    }


def _versions() -> dict[str, str | None]:
    optional: Any = importlib.import_module("pandas.compat._optional")
    owners: Mapping[str, list[str]] = importlib.metadata.packages_distributions()
    found: dict[str, str | None] = {}
    for name in (*_FIRST, *optional.VERSIONS):
        loaded = getattr(sys.modules.get(name), "__version__", None)
        distributions = owners.get(name.partition(".")[0], [])
        complete = bool(distributions) and _is_complete(distributions[0], owners)
        installed = importlib.metadata.version(distributions[0]) if complete else None
        found[name] = loaded if type(loaded) is str else installed
    return found


def _is_complete(distribution: str, owners: Mapping[str, list[str]]) -> bool:
    """Whether all that it needs is installed: without, it could not be imported."""
    there = {_normal(name) for names in owners.values() for name in names}
    needed = [line for line in importlib.metadata.requires(distribution) or () if ";" not in line]
    return all(_normal(_NAME.match(line)[0]) in there for line in needed)  # type: ignore[index]


def _normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


class PlotSetting:
    """`pandas.plotting.plot_params.use`: a setting that holds inside a `with` statement.

    Args:
        key: its name.
        value: what it is to be.

    Raises:
        ValueError: there is no such setting.
    """

    def __init__(self, key: str, value: Any) -> None:
        self._params: Any = pd.plotting.plot_params
        self._key = key
        self._value = value
        self._before = self._params[key]

    def __enter__(self) -> Any:
        self._before = self._params[self._key]
        self._params[self._key] = self._value
        return self._params

    def __exit__(self, *exit_info: object) -> None:
        self._params[self._key] = self._before
