"""Private members of pandas that may be reached all the same: those that its documentation shows examples of.

Each computes nothing that a public member, named beside it, does not give; shares no memory that the public way does
not; and changes nothing but what its line says. Each holds for its very type and for no subclass. Everything else with
a leading underscore is refused, `_values_for_argsort` among it although documented: it hands out the memory under a
mask.
"""

from __future__ import annotations

__all__ = ["PRIVATE"]

_INDEXES = (
    "Index RangeIndex CategoricalIndex IntervalIndex DatetimeIndex TimedeltaIndex PeriodIndex MultiIndex"
).split()
_MASKED = ("IntegerArray", "FloatingArray", "BooleanArray")
_SEQUENCES = (*_MASKED, "DatetimeArray", "TimedeltaArray", "Categorical", "IntervalArray", "PeriodArray")
_GROUPS = ("DataFrameGroupBy", "SeriesGroupBy")
_ACCUMULATED = "name:one-of(cumsum|cumprod|cummin|cummax)"
_REDUCED = "name:one-of(any|all|min|max|sum|prod|mean|var|std|median|skew|kurt|sem|count)"


PRIVATE = {
    **{
        f"{kind}._set_axis_name": ("method compute inplace:mutate", "rename_axis with a scalar or list")
        for kind in ("DataFrame", "Series")
    },
    **{
        f"{kind}._positional_selector": ("property read", "rows of each group by position, as nth gives them")
        for kind in _GROUPS
    },
    "MultiIndex._is_lexsorted": ("method compute", "one truth about the labels, as is_monotonic_increasing"),
    **{
        f"{kind}._format_duplicate_message": ("method compute", "a new frame of repeated labels and their places")
        for kind in _INDEXES
    },
    **{f"{kind}._from_sequence": ("classmethod compute", "pandas.array with that dtype") for kind in _SEQUENCES},
    **{
        f"{kind}._from_sequence_of_strings": ("classmethod compute", "pandas.array of to_numeric of texts")
        for kind in _MASKED
    },
    "IntervalArray._from_factorized": ("classmethod compute", "pandas.array of intervals with the dtype of another"),
    **{
        f"{kind}._is_monotonic_{way}creasing": ("property compute", "Index(array).is_monotonic_..., false with gaps")
        for kind in _MASKED
        for way in ("in", "de")
    },
    **{f"{kind}._reduce": (f"method compute {_REDUCED}", "the reduction of that name") for kind in _MASKED},
    **{f"{kind}._accumulate": (f"method compute {_ACCUMULATED}", "Series.cumsum and so on") for kind in _MASKED},
    **{
        f"{kind}._pad_or_backfill": ("method compute copy:one-of(True)", "Series.ffill and bfill, of a copy")
        for kind in _MASKED
    },
    **{
        f"{kind}._values_for_factorize": ("method compute fresh", "astype(object), a copy without what a mask covers")
        for kind in _MASKED
    },
    **{
        f"{kind}._hash_pandas_object": ("method compute", "util.hash_array; what a mask covers is overwritten")
        for kind in _MASKED
    },
    "ArrowExtensionArray._explode": ("method compute fresh", "Series.explode and the lengths of its lists"),
    "Categorical._reverse_indexer": (
        "method compute fresh reveals=receiver",
        "Series.groupby(...).indices by category, in new arrays",
    ),
    "Categorical._set_categories": (
        "method mutate fastpath:never",  # that way it would not be checked, and codes would point outside
        "rename_categories in place; as many as before, or it raises",
    ),
}
"""`Type.member` to its line, and the public way to the same."""
