"""Spike times of named units, and the bins that turn them into spins: half-open, with exact edges."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np
from numpy.typing import NDArray

from infer.errors import InputError
from infer.recordings.table import Table
from infer.wording import shown

TIME_NAMES = ("time", "times", "t", "spike_time", "spike_times", "time_s", "timestamp", "timestamps", "seconds")
UNIT_NAMES = (
    *("unit", "units", "unit_id", "unit_name", "neuron", "neurons", "neuron_id", "cell", "cell_id", "cluster"),
    *("clusters", "cluster_id", "spike_cluster", "spike_clusters", "channel", "electrode", "id", "name"),
)
LARGEST_EXACT = 2**53  # integers up to here are exact in double precision, so their quotients are correctly rounded
MOST_VALUES = 2**32
# bins that are empty for nearly all units come from a width in other units than the times, or from a damaged time
FREE_BINS, BINS_PER_SPIKE = 1_000_000, 1000


@dataclass(frozen=True)
class SpikeTimes:
    """Spikes of all units in one list.

    times (n_spikes,) in the file's unit of time; units (n_spikes,), which of the names; intervals (n_intervals, 2),
    start and end of what was recorded, where that is known.
    """

    times: NDArray[np.float64]
    units: NDArray[np.int64]
    names: tuple[str, ...]
    intervals: NDArray[np.float64] | None = None


def find_columns(source: str, names: Sequence[str], n_columns: int) -> tuple[int, int]:
    """Which columns of a spike-time table hold times and units."""
    plain = [name.strip().lower().replace(" ", "_") for name in names]
    times = [i for i, name in enumerate(plain) if name in TIME_NAMES]
    units = [i for i, name in enumerate(plain) if name in UNIT_NAMES]
    if n_columns == 2 and len(times) + len(units) <= 1:
        return (1, 0) if times == [1] or units == [0] else (0, 1)
    if len(times) == len(units) == 1:
        return times[0], units[0]
    held = f" named {', '.join(map(shown, names[:10]))}" if names else ""
    raise InputError(
        f"{source} has {n_columns} columns{held}; with a bin width it must be a table of spike times: two columns, or "
        "two of them named time and unit (leave the bin width out if the values are spins already)"
    )


def spikes_of_labels(source: str, times: NDArray[Any], labels: NDArray[Any]) -> SpikeTimes:
    """Spike times from one time and one unit (a number or a name) a row."""
    if times.shape != labels.shape or times.ndim != 1:
        raise InputError(f"{source}: {times.shape} times and {labels.shape} units; each spike needs one of both")
    if times.dtype.kind not in "iuf":
        raise InputError(f"{source}: the times are of type {times.dtype}, not numbers")
    if labels.dtype.kind == "f":
        whole = np.isfinite(labels) & (labels == np.floor(labels)) & (np.abs(labels) < LARGEST_EXACT)
        if not whole.all():
            row = int(np.flatnonzero(~whole)[0])
            raise InputError(f"{source}: row {row} (counted from 0) has unit {labels[row]}, which is no whole number")
        labels = labels.astype(np.int64)
    if labels.dtype.kind not in "iuUb":
        labels = np.array([str(label) for label in labels], dtype=str)
    distinct, units = np.unique(labels, return_inverse=True)
    names = [str(label) for label in distinct]
    order = np.arange(len(names))
    if distinct.dtype.kind == "U" and all(name.isdecimal() and name.isascii() and len(name) < 18 for name in names):
        order = np.argsort([int(name) for name in names], kind="stable")
    place = np.empty(len(names), dtype=np.int64)
    place[order] = np.arange(len(names))
    return SpikeTimes(times.astype(np.float64), place[units.reshape(-1)], tuple(names[i] for i in order))


def bin_spikes(source: str, spikes: SpikeTimes, width: float) -> Table:
    """Spins: +1 in bins in which a unit fired, -1 in the others; one chain for each interval.

    Bins are half-open, ``[edge_k, edge_k+1)``. Where the recorded intervals are known they are the whole bins that fit,
    from each start on; otherwise the edges are whole multiples of the width and the bins reach from the first spike to
    the last. Times and width are taken as the decimal numbers that they are written as, and each edge as the number
    nearest to its exact value: a spike at 0.3 starts bin 3 of width 0.1, though 0.3 / 0.1 < 3 in floating point.
    """
    wrong = np.flatnonzero(~np.isfinite(spikes.times))
    if len(wrong):
        raise InputError(f"{source}: spike {wrong[0]} (counted from 0) has time {spikes.times[wrong[0]]}")
    if not len(spikes.times):
        raise InputError(f"{source} holds no spikes")
    step = Fraction(repr(float(width)))
    if spikes.intervals is None:
        first, last = (math.floor(Fraction(repr(float(t))) / step) for t in (spikes.times.min(), spikes.times.max()))
        runs = [(first * step, last - first + 1)]
    else:
        ends = [[Fraction(repr(float(end))) for end in interval] for interval in spikes.intervals]
        runs = [(start, math.floor((stop - start) / step)) for start, stop in ends]
    runs = [(start, n_bins) for start, n_bins in runs if n_bins > 0]
    n_bins, n_units = sum(n for _, n in runs), len(spikes.names)
    if n_bins < 2:
        raise InputError(f"{source}: {n_bins} bins of width {width:g} fit into the recording; choose a smaller width")
    if n_bins > FREE_BINS + BINS_PER_SPIKE * len(spikes.times) or n_bins * n_units > MOST_VALUES:
        raise InputError(
            f"{source}: {n_bins} bins of width {width:g} for {len(spikes.times)} spikes of {n_units} units; choose a "
            "larger width, in the unit of the times, and look for a time that is far from all others"
        )
    cells, n_held, offset = [], 0, 0
    for start, n in runs:
        edges = _edges(start, step, n)
        inside = (spikes.times >= edges[0]) & (spikes.times < edges[-1])
        places = np.searchsorted(edges, spikes.times[inside], side="right") - 1 + offset
        cells.append(places * n_units + spikes.units[inside])
        n_held += int(inside.sum())
        offset += n
    taken, counts = np.unique(np.concatenate(cells), return_counts=True)
    shared = int(counts[counts > 1].sum())
    if 2 * shared > n_held:
        raise InputError(
            f"{source}: {shared} of {n_held} spikes share a bin of width {width:g} with another spike of the same "
            "unit, so that spins would not tell them apart; choose a smaller bin width"
        )
    spins = np.full(n_bins * n_units, -1, dtype=np.int8)
    spins[taken] = 1
    attributes = {
        "bin_width": float(width),
        "first_bin_edge": float(runs[0][0]),
        "spikes": n_held,
        "spikes_outside_bins": len(spikes.times) - n_held,
        "spikes_sharing_a_bin": shared,
    }
    chains = np.repeat(np.arange(len(runs)), [n for _, n in runs])
    return Table(spins.reshape(n_bins, n_units), names=spikes.names, chains=chains, attributes=attributes)


def _edges(start: Fraction, step: Fraction, n_bins: int) -> NDArray[np.float64]:
    """The numbers nearest to start + k step, k = 0 ... n_bins."""
    denominator = math.lcm(start.denominator, step.denominator)
    first, by = int(start * denominator), int(step * denominator)
    if max(abs(first), abs(first + n_bins * by), denominator) <= LARGEST_EXACT:
        return (first + by * np.arange(n_bins + 1)) / denominator
    # the quotient of two integers of Python is correctly rounded, whatever their size
    return np.array([(first + k * by) / denominator for k in range(n_bins + 1)])
