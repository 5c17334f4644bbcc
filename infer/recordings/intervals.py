"""Intervals of time with exact decimal ends: union, intersection, difference, and the bins that fit into them.

Ends of intervals are rounded to decimal numbers of 15 digits, so that 0.1 + 0.7, computed in floating point, becomes
0.8. Inside this package intervals are pairs of `fractions.Fraction`, ordered in time.
"""

import math
from collections.abc import Iterable
from fractions import Fraction
from typing import Any

import numpy as np
from numpy.typing import NDArray

from infer.errors import InputError
from infer.wording import shown

Interval = tuple[Fraction, Fraction]
START_NAMES = ("start", "start_time", "t_start", "tstart", "begin", "onset", "from")
STOP_NAMES = ("stop", "stop_time", "end", "end_time", "t_stop", "tstop", "t_end", "offset", "to")
# a bin fits into an interval that is too short by up to a millionth of a bin: rounding to nanoseconds may shorten it
TOLERANCE = Fraction(1, 1_000_000)


def exact(number: float) -> Fraction:
    """The decimal number of 15 digits closest to a floating-point number; integers unchanged."""
    number = float(number)
    return Fraction(int(number)) if number.is_integer() else Fraction(f"{number:.15g}")


def exact_intervals(source: str, intervals: Any) -> list[Interval]:
    """Intervals from an array (n, 2) of starts and ends, in the order given."""
    try:
        ends = np.asarray(intervals, dtype=np.float64)
    except (TypeError, ValueError):
        raise InputError(f"{source}: intervals are pairs of numbers, start and end, got {shown(intervals)}") from None
    if ends.ndim == 1 and ends.shape == (2,):
        ends = ends[None]
    if ends.ndim != 2 or ends.shape[1] != 2 or not len(ends):
        raise InputError(f"{source}: intervals have shape {ends.shape}; they are rows of start and end")
    wrong = np.flatnonzero(~(np.isfinite(ends).all(axis=1) & (ends[:, 1] >= ends[:, 0])))
    if len(wrong):
        start, stop = ends[wrong[0]]
        raise InputError(f"{source}: interval {wrong[0]} (counted from 0) is {start:g} to {stop:g}; start comes first")
    return [(exact(start), exact(stop)) for start, stop in ends]


def union(intervals: Iterable[Interval]) -> list[Interval]:
    """Intervals merged where they overlap or touch."""
    merged: list[Interval] = []
    for start, stop in sorted(intervals):
        if merged and start <= merged[-1][1]:
            merged[-1] = (merged[-1][0], max(merged[-1][1], stop))
        else:
            merged.append((start, stop))
    return merged


def intersection(chosen: Iterable[Interval], observed: list[Interval]) -> list[Interval]:
    """The parts of each chosen interval that lie in observed ones, which are disjoint and ordered."""
    starts = np.array([float(start) for start, _ in observed])
    parts = []
    for start, stop in chosen:
        first = max(int(np.searchsorted(starts, float(start), side="right")) - 2, 0)
        for other_start, other_stop in observed[first:]:
            if other_start >= stop:
                break
            low, high = max(start, other_start), min(stop, other_stop)
            if low < high:
                parts.append((low, high))
    return parts


def difference(chosen: Iterable[Interval], removed: Iterable[Interval]) -> list[Interval]:
    """The parts of each chosen interval outside of removed ones."""
    parts = []
    holes = union(removed)
    for start, stop in chosen:
        position = start
        for hole_start, hole_stop in holes:
            if hole_stop <= position or hole_start >= stop:
                continue
            if hole_start > position:
                parts.append((position, hole_start))
            position = max(position, hole_stop)
        if position < stop:
            parts.append((position, stop))
    return parts


def whole_bins(interval: Interval, step: Fraction) -> int:
    """Number of whole bins that fit into an interval, counted from its start."""
    return math.floor((interval[1] - interval[0]) / step + TOLERANCE)


def bins_inside(start: Fraction, step: Fraction, n_bins: int, intervals: list[Interval]) -> NDArray[np.bool_]:
    """True for bins, counted from `start`, that lie completely in one of the intervals."""
    inside = np.zeros(n_bins, dtype=bool)
    for low, high in intersection([(start, start + n_bins * step)], intervals):
        first = math.ceil((low - start) / step - TOLERANCE)
        last = math.floor((high - start) / step + TOLERANCE)
        inside[max(first, 0) : max(last, 0)] = True
    return inside


def intervals_of(source: str, value: Any) -> NDArray[np.float64]:
    """Starts and ends (n, 2) from an array, a table with columns start and stop, or an IntervalSet of pynapple."""
    columns = {str(name).strip().lower(): name for name in getattr(value, "columns", ())}
    start = next((columns[name] for name in START_NAMES if name in columns), None)
    stop = next((columns[name] for name in STOP_NAMES if name in columns), None)
    if start is not None and stop is not None:
        value = np.column_stack([np.asarray(value[start]), np.asarray(value[stop])])
    elif hasattr(value, "start") and hasattr(value, "end"):
        value = np.column_stack([np.asarray(value.start), np.asarray(value.end)])
    exact_intervals(source, value)
    return np.asarray(value, dtype=np.float64).reshape(-1, 2)
