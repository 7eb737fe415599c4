"""pandas' option functions as the plane performs them: on what can be swapped only, and with nothing left to run later.

(`pandas.option_context` is a generator: dropped half way, it would restore its options whenever it is collected, with
another session's options or the host's in place.)
"""

from __future__ import annotations

import io
from typing import Any

import pandas as pd

from proxyplane.hosts.swapped import swappable

__all__ = ["OptionContext", "describe_option", "reset_option"]

_config: Any = __import__("pandas._config.config", fromlist=["config"])


class OptionContext:
    """`pandas.option_context`: options that hold inside a `with` statement.

    Args:
        args: pairs of pattern and value, or a dict of them.

    Raises:
        ValueError: an odd number of arguments.
    """

    def __init__(self, *args: Any) -> None:
        if len(args) == 1 and isinstance(args[0], dict):
            args = tuple(part for pair in args[0].items() for part in pair)
        if len(args) % 2 != 0 or len(args) < 2:
            raise ValueError("Provide an even amount of arguments as option_context(pat, val, pat, val...).")
        self._wanted = list(zip(args[::2], args[1::2], strict=True))
        self._undo: list[tuple[str, Any]] = []

    def __enter__(self) -> None:
        undo = [(pattern, pd.get_option(pattern)) for pattern, _ in self._wanted]
        self._undo = undo
        try:
            for pattern, value in self._wanted:
                pd.set_option(pattern, value)
        except BaseException:
            self.__exit__()
            raise

    def __exit__(self, *exit_info: object) -> None:
        undo, self._undo = self._undo, []
        for pattern, value in undo:
            pd.set_option(pattern, value)


def reset_option(pat: str) -> None:
    """`pandas.reset_option`, for the options that are a session's own.

    Raises:
        pandas.errors.OptionError: no option matches.
        ValueError: a short pattern that matches several.
    """
    keys = _config._select_options(pat)
    if not keys:
        raise pd.errors.OptionError(f"No such keys(s) for {pat=}")
    if len(keys) > 1 and len(pat) < 4 and pat != "all":
        raise ValueError(
            "You must specify at least 4 characters when resetting multiple keys, use the special keyword "
            '"all" to reset all the options to their default value'
        )
    for key in filter(swappable, keys):
        _config._set_option_impl(key, _config._registered_options[key].defval, warn=False)


def describe_option(pat: str = "", _print_desc: bool = True, *, buf: io.StringIO | None = None) -> str | None:
    """`pandas.describe_option`; what it would print goes to `buf`.

    Raises:
        pandas.errors.OptionError: no option matches.
    """
    text: str = pd.describe_option(pat, _print_desc=False)
    if not _print_desc or buf is None:
        return text
    buf.write(f"{text}\n")
    return None
