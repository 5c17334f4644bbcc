"""Bins that turn spike times into spins: half-open, with exact edges, over the time that was observed."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np
from numpy.typing import NDArray

from infer.errors import InputError
from infer.recordings.intervals import (
    Interval,
    bins_inside,
    difference,
    exact,
    exact_intervals,
    intersection,
    union,
    whole_bins,
)
from infer.recordings.spike_times import SpikeTimes
from infer.recordings.table import Table

LARGEST_EXACT = 2**53  # integers up to here are exact in double precision, so their quotients are correctly rounded
MOST_VALUES = 2**32
# bins that are empty for nearly all units result from a width in other units than the times, or from a damaged time
FREE_BINS, BINS_PER_SPIKE = 1_000_000, 1000
MANY = 10**12  # numbers of bins above which an error message gives no digits
# shares of spikes in a bin with another one of their unit: some are common where units burst, most are a loss
SHARE_TO_MENTION, SHARE_TO_WARN = 0.1, 0.5


@dataclass(frozen=True)
class Run:
    """Contiguous bins: the exact start of the first, their number, and their trial."""

    start: Fraction
    n_bins: int
    trial: int | None = None


def bin_spikes(
    source: str,
    spikes: SpikeTimes,
    width: float,
    *,
    epochs: NDArray[np.float64] | None = None,
    start: float | None = None,
    stop: float | None = None,
) -> Table:
    """Spins: +1 in bins in which a unit fired, -1 in the others, 0 where it was not observed; a chain for each run.

    Bins are half-open, ``[edge_k, edge_k+1)``. Where intervals are known (epochs, recorded time, or start and stop),
    bins are the whole ones that fit into each interval, counted from its start; otherwise the edges are integer
    multiples of the width, and the bins reach from the first spike to the last. Spikes of trials with times of their
    own are put into the same bins for all trials, from the first spike of any trial to the last. Times and width are
    read as decimal numbers, and each edge is the floating-point number closest to its exact value: a spike at 0.3
    starts bin 3 of width 0.1, though 0.3 / 0.1 < 3 in floating point.
    """
    wrong = np.flatnonzero(~np.isfinite(spikes.times))
    if len(wrong):
        raise InputError(f"{source}: spike {wrong[0]} (counted from 0) has time {spikes.times[wrong[0]]}")
    if not len(spikes.times):
        raise InputError(f"{source} holds no spikes")
    step = Fraction(repr(float(width)))
    runs = _runs(source, spikes, step, epochs, start, stop)
    n_bins, n_units = sum(run.n_bins for run in runs), len(spikes.names)
    if n_bins < 2:
        raise InputError(f"{source}: {n_bins} bins of width {width:g} fit into the recording; choose a smaller width")
    if n_bins > FREE_BINS + BINS_PER_SPIKE * len(spikes.times) or n_bins * n_units > MOST_VALUES:
        found = n_bins if n_bins < MANY else f"more than {MANY:.0e}"
        raise InputError(
            f"{source}: {found} bins of width {width:g} for {len(spikes.times)} spikes of {n_units} units; choose a "
            "larger width, in the unit of the times, and look for a time that is far from all others"
        )
    cells = _cells(spikes, runs, step)
    taken, counts = np.unique(cells, return_counts=True)
    shared = int(counts[counts > 1].sum())
    spins = np.full(n_bins * n_units, -1, dtype=np.int8)
    spins[taken] = 1
    table = spins.reshape(n_bins, n_units)
    attributes: dict[str, Any] = {
        "bin_width": float(width),
        "first_bin_edge": float(runs[0].start),
        "spikes": len(cells),
        "spikes_outside_bins": max(len(spikes.times) - len(cells), 0),
        "spikes_sharing_a_bin": shared,
    }
    unseen = _unobserved(spikes, runs, step)
    if unseen is not None:
        table[unseen] = 0
        attributes["unobserved_values"] = int(unseen.sum())
    if shared > SHARE_TO_WARN * len(cells):
        attributes["warnings"] = [_sharing(source, spikes, width, shared, len(cells))]
    elif shared > SHARE_TO_MENTION * len(cells):
        attributes["notes"] = [_sharing(source, spikes, width, shared, len(cells))]
    chains = np.repeat(np.arange(len(runs)), [run.n_bins for run in runs])
    return Table(table, names=spikes.names, chains=chains, attributes=attributes, oriented=True)


def _runs(
    source: str,
    spikes: SpikeTimes,
    step: Fraction,
    epochs: NDArray[np.float64] | None,
    start: float | None,
    stop: float | None,
) -> list[Run]:
    """The runs of bins."""
    window = _window(source, spikes, spikes.times, step, start, stop)
    fixed = start is not None or stop is not None
    if spikes.trials is not None and spikes.same_window:
        if epochs is not None:
            raise InputError(f"{source}: times are relative to trials, so that epochs do not apply; leave them out")
        n_bins = whole_bins(window, step)
        return [Run(window[0], n_bins, trial) for trial in range(spikes.n_trials) if n_bins > 0]
    if spikes.trials is not None:
        runs = []
        for trial in range(spikes.n_trials):
            times = spikes.times[spikes.trials == trial]
            if len(times):
                own = _window(source, spikes, times, step, start, stop)
                runs.append(Run(own[0], whole_bins(own, step), trial))
        return [run for run in runs if run.n_bins > 0]
    parts: list[Interval] = [window]
    if epochs is not None:
        parts = exact_intervals(source, epochs)
        parts = intersection(parts, [window]) if fixed else parts
    observed = _observed(source, spikes)
    if observed is not None:
        parts = intersection(parts, observed) if epochs is not None or fixed else observed
    if spikes.unseen is not None and len(spikes.unseen):
        parts = difference(parts, exact_intervals(source, spikes.unseen))
    runs = [Run(part[0], whole_bins(part, step)) for part in parts]
    return [run for run in runs if run.n_bins > 0]


def _window(
    source: str,
    spikes: SpikeTimes,
    times: NDArray[np.float64],
    step: Fraction,
    start: float | None,
    stop: float | None,
) -> Interval:
    """From start to stop, or, where one is not given, from the bin of the first spike or to that of the last."""
    if spikes.window is not None:
        start = spikes.window[0] if start is None else start
        stop = spikes.window[1] if stop is None else stop
    low = exact(start) if start is not None else math.floor(Fraction(repr(float(times.min()))) / step) * step
    if stop is not None:
        high = exact(stop)
    else:
        high = low + (math.floor((Fraction(repr(float(times.max()))) - low) / step) + 1) * step
    if high <= low:
        raise InputError(f"{source}: bins from {float(low):g} to {float(high):g} hold nothing; look at start and stop")
    return low, high


def _observed(source: str, spikes: SpikeTimes) -> list[Interval] | None:
    """Time in which at least one unit was observed; None where nothing is known about it."""
    known = None if spikes.intervals is None else exact_intervals(source, spikes.intervals)
    if spikes.observed is None:
        return known
    each = {intervals.tobytes(): intervals for intervals in spikes.observed if len(intervals)}
    if not each:
        raise InputError(f"{source}: no unit was observed at any time (obs_intervals)")
    lists = [exact_intervals(source, intervals) for intervals in each.values()]
    # intervals of the same list that touch remain separate runs
    seen = sorted(lists[0]) if len(lists) == 1 else union(interval for listed in lists for interval in listed)
    return seen if known is None else intersection(seen, union(known))


def _unobserved(spikes: SpikeTimes, runs: Sequence[Run], step: Fraction) -> NDArray[np.bool_] | None:
    """True for bins and units that were not observed; None where all units were observed alike."""
    if spikes.observed is None:
        return None
    kinds: dict[bytes, list[int]] = {}
    for unit, intervals in enumerate(spikes.observed):
        kinds.setdefault(intervals.tobytes(), []).append(unit)
    if len(kinds) == 1:
        return None
    unseen = np.zeros((sum(run.n_bins for run in runs), len(spikes.names)), dtype=bool)
    for units in kinds.values():
        own = spikes.observed[units[0]]
        seen = union((exact(start), exact(stop)) for start, stop in own)
        inside = np.concatenate([bins_inside(run.start, step, run.n_bins, seen) for run in runs])
        unseen[np.ix_(~inside, np.array(units))] = True
    return unseen if unseen.any() else None


def _cells(spikes: SpikeTimes, runs: Sequence[Run], step: Fraction) -> NDArray[np.int64]:
    """Bin and unit of each spike; spikes outside of all bins are left out."""
    trials = np.zeros(len(spikes.times), dtype=np.int64) if spikes.trials is None else spikes.trials
    order = np.lexsort((spikes.times, trials))
    times, units, trials = spikes.times[order], spikes.units[order], trials[order]
    n_units, cells, offset = len(spikes.names), [], 0
    for run in runs:
        trial = run.trial or 0
        low, high = np.searchsorted(trials, [trial, trial + 1])
        edges = _edges(run.start, step, run.n_bins)
        first, last = low + np.searchsorted(times[low:high], edges[[0, -1]], side="left")
        places = np.searchsorted(edges, times[first:last], side="right") - 1 + offset
        cells.append(places * n_units + units[first:last])
        offset += run.n_bins
    return np.concatenate(cells).astype(np.int64)


def _edges(start: Fraction, step: Fraction, n_bins: int) -> NDArray[np.float64]:
    """The floating-point numbers closest to start + k step, k = 0 ... n_bins."""
    denominator = math.lcm(start.denominator, step.denominator)
    first, by = int(start * denominator), int(step * denominator)
    if max(abs(first), abs(first + n_bins * by), denominator) <= LARGEST_EXACT:
        return (first + by * np.arange(n_bins + 1)) / denominator
    # Python rounds the quotient of two integers correctly, for any size
    return np.array([(first + k * by) / denominator for k in range(n_bins + 1)])


def _sharing(source: str, spikes: SpikeTimes, width: float, shared: int, n_held: int) -> str:
    """Warning of bins that hold several spikes of a unit, with a width that would halve their share."""
    order = np.lexsort((spikes.times, spikes.units))
    times, units = spikes.times[order], spikes.units[order]
    runs = np.zeros(len(times), dtype=np.int64) if spikes.trials is None else spikes.trials[order]
    hint = ""
    for part in (1.5, 2, 3, 4, 5, 7, 10, 15, 20, 30, 50, 100):
        narrow = float(f"{width / part:.2g}")
        bins = np.floor(times / narrow + 1e-9)
        same = (np.diff(bins) == 0) & (np.diff(units) == 0) & (np.diff(runs) == 0)
        sharing = int((np.r_[same, False] | np.r_[False, same]).sum())
        if sharing / len(times) <= shared / n_held / 2:
            hint = f"; width {narrow:g} would about halve that"
            break
    return (
        f"{source}: {100 * shared / n_held:.0f} % of the spikes ({shared} of {n_held}) share a bin of width {width:g} "
        f"with another spike of the same unit, which counts once{hint}"
    )
