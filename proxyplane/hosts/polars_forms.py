"""polars' functions in the form in which the plane performs them: options that can be a session's own, and statements
whose tables are the agent's variables and never what the frames of the host hold.
"""

from __future__ import annotations

from typing import Any, Final

import polars as pl

__all__ = ["OPTIONS", "Config", "sql"]

_REACH_FURTHER: Final = frozenset(
    "set_verbose set_engine_affinity set_streaming_chunk_size set_default_credential_provider".split()
)
"""They print to the host's terminal, choose engines and memory, or hold secrets."""
OPTIONS: Final = frozenset(name for name in dir(pl.Config) if name.startswith("set_")) - _REACH_FURTHER


def Config(*, restore_defaults: bool = False, apply_on_context_enter: bool = False, **options: Any) -> Any:  # noqa: N802
    """`polars.Config` with the options of a display.

    (polars takes the name of any method for an option: `load`, which sets environment variables, `save_to_file`.)
    """
    for name in options:
        if name not in OPTIONS and f"set_{name}" not in OPTIONS:
            raise AttributeError(
                f"`Config` has no option {name!r} here; it has those of a display, such as tbl_rows, tbl_cols, "
                "fmt_str_lengths, tbl_width_chars, float_precision, tbl_formatting, tbl_hide_dataframe_shape"
            )
    return pl.Config(
        restore_defaults=bool(restore_defaults), apply_on_context_enter=bool(apply_on_context_enter), **options
    )


def sql(query: str, *, eager: bool = False, frames: dict[str, Any] | None = None) -> Any:
    """`polars.sql` over named frames."""
    with pl.SQLContext(frames, register_globals=False) as context:
        return context.execute(query, eager=eager)
