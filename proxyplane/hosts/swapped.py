"""What of a library's process-wide state can be swapped: each table puts one session's values in place and back.

Imports no library; a table is made only for a library that is loaded.
"""

from __future__ import annotations

import contextlib
import contextvars
import functools
import importlib
import os
import sys
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Final, Protocol

__all__ = [
    "Figures",
    "PandasOptions",
    "PolarsConfig",
    "Random",
    "SklearnConfig",
    "Table",
    "is_swapped_variable",
    "load_drawing",
    "printing",
    "reachable",
    "swappable",
    "tables",
]


class Table(Protocol):
    """One library's state, for one session."""

    def enter(self) -> None:
        """Put the session's values in place, keeping what the host has."""

    def watch(self) -> None:
        """From now until `leave` operations may change them."""

    def leave(self) -> None:
        """Take the session's values as they are now, and put the host's back."""

    def values(self) -> list[Any]:
        """The session's values that are not the host's."""

    def drop(self, unwanted: Callable[[Any], bool]) -> None:
        """Forget those of them that are unwanted."""


_SWAPPABLE: Final = ("display.", "styler.", "future.", "mode.")
_PROCESS: Final = frozenset({"display.html.table_schema", "mode.max_threads", "styler.format.formatter"})
"""Of these, options that reach beyond pandas: a formatter of IPython, thread pools, texts for `str.format`, which walk
from a cell to all that the process holds (`{0.__init__.__globals__}`)."""


def swappable(key: str) -> bool:
    """Whether a pandas option can differ from session to session.

    Others set switches outside the options (`compute.*`), choose what reads and writes files (`io.*`) or import
    modules by name (`plotting.*`).
    """
    return key.startswith(_SWAPPABLE) and key not in _PROCESS


def reachable(key: str) -> bool:
    """Whether it is such an option, or a group of options that has some."""
    return swappable(key) or f"{key}." in _SWAPPABLE or (key.startswith(_SWAPPABLE) and key not in _PROCESS)


class PandasOptions:
    """`pandas.options`."""

    def __init__(self) -> None:
        self._own: dict[str, Any] = {}
        self._host: dict[str, Any] = {}
        self._watched: dict[str, Any] | None = None
        self._places = dict(_places(sys.modules["pandas._config.config"]._global_config, ""))

    def enter(self) -> None:
        """See `Table`."""
        self._host = self._now(self._own)
        self._put(self._own)

    def watch(self) -> None:
        """See `Table`."""
        if self._watched is None:
            self._watched = self._now(self._places)

    def leave(self) -> None:
        """See `Table`."""
        before, self._watched = self._watched, None
        if before is not None:
            now = self._now(self._places)
            changed = {key for key in now if now[key] is not before[key]}
            self._host = {key: before[key] for key in changed} | self._host
            self._own = {key: now[key] for key in now if key in self._own or key in changed}
        self._put(self._host)
        self._host = {}

    def _now(self, keys: Iterable[str]) -> dict[str, Any]:
        places = self._places
        return {key: places[key][0][places[key][1]] for key in keys}

    def _put(self, values: dict[str, Any]) -> None:
        for key, value in values.items():
            place, name = self._places[key]
            place[name] = value

    def values(self) -> list[Any]:
        """See `Table`."""
        return list((self._now(self._places) if self._watched is not None else self._own).values())

    def drop(self, unwanted: Callable[[Any], bool]) -> None:
        """See `Table`."""
        self._own = {key: value for key, value in self._own.items() if not unwanted(value)}


def _places(table: dict[str, Any], prefix: str) -> Iterator[tuple[str, tuple[dict[str, Any], str]]]:
    """Key of each swappable option to the dictionary that holds it."""
    for name, value in table.items():
        if isinstance(value, dict):
            yield from _places(value, f"{prefix}{name}.")
        elif swappable(prefix + name):
            yield prefix + name, (table, name)


class Random:
    """numpy's legacy generator, which `np.random.rand`, `DataFrame.sample` and many others draw from."""

    def __init__(self) -> None:
        random = sys.modules["numpy.random"]
        self._bits = random.MT19937()
        self._state = random.RandomState(self._bits).get_state(legacy=False)
        self._host: tuple[Any, Any] | None = None

    def enter(self) -> None:
        """See `Table`."""
        random = sys.modules["numpy.random"]
        shared = random.mtrand._rand
        self._host = (random.get_bit_generator(), shared.get_state(legacy=False))
        random.set_bit_generator(self._bits)
        shared.set_state(self._state)

    def watch(self) -> None:
        """See `Table`. What draws from it is not always declared, so it is always taken."""

    def leave(self) -> None:
        """See `Table`."""
        if self._host is None:
            return
        random = sys.modules["numpy.random"]
        shared = random.mtrand._rand
        self._state = shared.get_state(legacy=False)
        bits, state = self._host
        self._host = None
        random.set_bit_generator(bits)
        shared.set_state(state)

    def values(self) -> list[Any]:
        """See `Table`."""
        return []

    def drop(self, unwanted: Callable[[Any], bool]) -> None:
        """See `Table`."""


class Figures:
    """pyplot's figures, drawn without a window, and the settings that a style sheet makes."""

    def __init__(self) -> None:
        self._figures: OrderedDict[int, Any] = OrderedDict()
        self._settings: dict[str, Any] = {}
        self._settings_host: dict[str, Any] = {}
        self._host: tuple[Any, Any] | None = None

    def enter(self) -> None:
        """See `Table`."""
        pyplot: Any = sys.modules["matplotlib.pyplot"]
        agg: Any = importlib.import_module("matplotlib.backends.backend_agg")
        shown: Any = sys.modules["matplotlib._pylab_helpers"].Gcf
        self._host = (shown.figs, pyplot._backend_mod)
        shown.figs, pyplot._backend_mod = self._figures, agg._BackendAgg
        settings: Any = pyplot.rcParams
        self._settings_host = dict(dict.items(settings))
        dict.update(settings, self._settings)

    def watch(self) -> None:
        """See `Table`."""

    def leave(self) -> None:
        """See `Table`."""
        if self._host is None:
            return
        shown: Any = sys.modules["matplotlib._pylab_helpers"].Gcf
        pyplot: Any = sys.modules["matplotlib.pyplot"]
        shown.figs, pyplot._backend_mod = self._host
        before, settings = self._settings_host, pyplot.rcParams
        self._settings = {key: value for key, value in dict.items(settings) if value is not before.get(key)}
        dict.update(settings, before)
        self._host = None

    def values(self) -> list[Any]:
        """See `Table`."""
        return []

    def drop(self, unwanted: Callable[[Any], bool]) -> None:
        """See `Table`."""


class Contents:
    """What a dict of the process holds, such as the converters that matplotlib asks.

    Args:
        place: the dict.
    """

    def __init__(self, place: dict[Any, Any]) -> None:
        self._place = place
        self._own: dict[Any, Any] | None = None
        self._host: dict[Any, Any] | None = None

    def enter(self) -> None:
        """See `Table`."""
        if self._own is not None:
            self.watch()
            self._put(self._own)

    def watch(self) -> None:
        """See `Table`."""
        if self._host is None:
            self._host = dict(dict.items(self._place))

    def leave(self) -> None:
        """See `Table`."""
        before, self._host = self._host, None
        if before is None:
            return
        now = dict(dict.items(self._place))
        if self._own is not None or now != before:
            self._own = now
            self._put(before)

    def _put(self, content: dict[Any, Any]) -> None:
        dict.clear(self._place)
        dict.update(self._place, content)

    def values(self) -> list[Any]:
        """See `Table`."""
        return list((self._own or {}).values())

    def drop(self, unwanted: Callable[[Any], bool]) -> None:
        """See `Table`."""
        if self._own is not None:
            self._own = {key: value for key, value in self._own.items() if not unwanted(value)}


_CONTENTS: Final = (
    ("pandas.plotting._misc", "plot_params"),
    ("matplotlib.units", "registry"),
    ("pandas.plotting._matplotlib.converter", "_mpl_units"),
)
"""Dicts of the process in which sessions differ."""


class PolarsConfig:
    """`polars.Config`: environment variables, values inside the engine, and objects."""

    def __init__(self) -> None:
        self._config: Any = importlib.import_module("polars.config")
        self._own = self._now()
        self._host: tuple[dict[str, Any], ...] | None = None

    def enter(self) -> None:
        """See `Table`."""
        self._host = self._now()
        self._put(self._own)

    def watch(self) -> None:
        """See `Table`."""

    def leave(self) -> None:
        """See `Table`."""
        if self._host is not None:
            self._own, host, self._host = self._now(), self._host, None
            self._put(host)

    def _now(self) -> tuple[dict[str, Any], ...]:
        config = self._config
        variables = {name: os.environ.get(name) for name in config._POLARS_CFG_ENV_VARS}
        inside = {name: value() for name, value in config._POLARS_CFG_DIRECT_VARS.items()}
        return variables, inside, config._snapshot_runtime_vars()

    def _put(self, values: tuple[dict[str, Any], ...]) -> None:
        now = self._now()
        if now == values:
            return
        for name, value in values[0].items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
        for name, value in values[1].items():
            if now[1][name] != value:
                getattr(self._config.Config, name)(value)
        self._config._restore_runtime_vars(values[2])
        self._config.plr.config_reload_env_vars()

    def values(self) -> list[Any]:
        """See `Table`."""
        return []

    def drop(self, unwanted: Callable[[Any], bool]) -> None:
        """See `Table`."""


class SklearnConfig:
    """scikit-learn's settings, which belong to a thread."""

    def __init__(self) -> None:
        self._config: Any = sys.modules["sklearn._config"]
        self._own: dict[str, Any] = dict(self._config._get_threadlocal_config())
        self._host: dict[str, Any] = {}
        self._place: dict[str, Any] | None = None

    def enter(self) -> None:
        """See `Table`."""
        self._place = self._config._get_threadlocal_config()
        self._host = dict(self._place)
        self._place.update(self._own)

    def watch(self) -> None:
        """See `Table`."""

    def leave(self) -> None:
        """See `Table`."""
        if self._place is not None:
            self._own = dict(self._place)
            self._place.update(self._host)
            self._place = None

    def values(self) -> list[Any]:
        """See `Table`."""
        return []

    def drop(self, unwanted: Callable[[Any], bool]) -> None:
        """See `Table`."""


def is_swapped_variable(name: str) -> bool:
    """Whether an environment variable holds an option that is swapped."""
    config = sys.modules.get("polars.config")
    return config is not None and name in config._POLARS_CFG_ENV_VARS


def tables() -> Iterator[tuple[str, Callable[[], Table]]]:
    """The tables of the libraries that are loaded, by name."""
    if "pandas" in sys.modules:
        yield "pandas", PandasOptions
    if "matplotlib.pyplot" in sys.modules:
        yield "matplotlib", Figures
    if "polars" in sys.modules:
        yield "polars", PolarsConfig
    if "sklearn._config" in sys.modules:
        yield "sklearn", SklearnConfig
    for module, name in _CONTENTS:
        place: Any = getattr(sys.modules.get(module), name, None)
        if place is not None:
            yield f"{module}.{name}", functools.partial(Contents, place)


def load_drawing() -> None:
    """Import what pandas draws with; where it is not installed, pandas says so itself."""
    if "matplotlib.pyplot" not in sys.modules:
        with contextlib.suppress(ImportError):
            importlib.import_module("matplotlib.pyplot")
    if "pandas" in sys.modules and "pandas.plotting._matplotlib" not in sys.modules:
        with contextlib.suppress(ImportError):
            importlib.import_module("pandas.plotting._matplotlib")


def printing(context: contextvars.Context) -> Any:
    """numpy's print options in a context; None where they are the default or numpy is not loaded."""
    options = sys.modules.get("numpy._core.printoptions")
    return context.get(options.format_options) if options is not None else None
