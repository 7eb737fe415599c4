"""scikit-learn's settings as the plane performs them: each session's own, and none that takes a check away.

(`assume_finite` and `skip_parameter_validation` let compiled code see what it does not expect.)
"""

from __future__ import annotations

from typing import Any, Final

import sklearn  # type: ignore[import-untyped]

__all__ = ["OPTIONS", "ConfigContext", "set_config"]

OPTIONS: Final = frozenset(
    "working_memory print_changed_only display pairwise_dist_chunk_size enable_cython_pairwise_dist "
    "transform_output enable_metadata_routing".split()
)


def set_config(**options: Any) -> None:
    """`sklearn.set_config` with settings that change no check.

    Raises:
        TypeError: another setting.
    """
    sklearn.set_config(**_checked(options))


class ConfigContext:
    """`sklearn.config_context`: settings that hold inside a `with` statement."""

    def __init__(self, **options: Any) -> None:
        self._options = _checked(options)
        self._before: list[dict[str, Any]] = []

    def __enter__(self) -> None:
        self._before.append(sklearn.get_config())
        sklearn.set_config(**self._options)

    def __exit__(self, *exit_info: object) -> None:
        if self._before:
            sklearn.set_config(**self._before.pop())


def _checked(options: dict[str, Any]) -> dict[str, Any]:
    unsafe = ("assume_finite", "skip_parameter_validation", "array_api_dispatch")
    found = {name: value for name, value in options.items() if not (name in unsafe and value in (None, False))}
    for name, value in found.items():
        if name not in OPTIONS or type(value) not in (str, int, bool, type(None)):
            raise TypeError(
                f"the setting {name!r} cannot be a session's own; these can: display, transform_output, "
                "enable_metadata_routing, working_memory, print_changed_only, pairwise_dist_chunk_size, "
                "enable_cython_pairwise_dist"
            )
    return found
