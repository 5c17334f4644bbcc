"""Spike times of named units, with the time in which each was observed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from infer.errors import InputError
from infer.wording import brief, shown

TIME_NAMES = ("time", "times", "t", "spike_time", "spike_times", "time_s", "timestamp", "timestamps", "seconds")
UNIT_NAMES = (
    *("unit", "units", "unit_id", "unit_name", "neuron", "neurons", "neuron_id", "cell", "cell_id", "cluster"),
    *("clusters", "cluster_id", "spike_cluster", "spike_clusters", "channel", "electrode", "id", "name"),
)
TRIAL_NAMES = ("trial", "trials", "trial_id", "trial_number", "trial_index", "sweep", "repeat", "repetition", "segment")
LARGEST_EXACT = 2**53


@dataclass(frozen=True, eq=False)
class SpikeTimes:
    """Spikes of all units in one list, and the observed time of units.

    Attributes
    ----------
    times : ndarray of float64, shape (n_spikes,)
        Times in the unit of the file.
    units : ndarray of int64, shape (n_spikes,)
        Index of the unit of each spike in `names`.
    names : tuple of str
        Names of the units.
    intervals : ndarray of float64, shape (n_intervals, 2), or None
        Starts and ends of the recorded time of all units; None: not known.
    observed : tuple of ndarray of float64, each of shape (n_intervals, 2), or None
        Starts and ends of the observed time of each unit.
    unseen : ndarray of float64, shape (n_intervals, 2), or None
        Time that is left out, such as artefacts.
    trials : ndarray of int64, shape (n_spikes,), or None
        Trial of each spike, counted from 0, where each trial has a clock of its own.
    n_trials : int
        Number of trials.
    same_window : bool
        Whether all trials are observed over the same span of their clocks.
    window : tuple of float, or None
        Start and end of each trial on its clock; None: from the first spike of any trial to the last.
    epochs : mapping of str to ndarray of float64, shape (n_intervals, 2)
        Intervals that the file names.
    unit_table : mapping of str to sequence, length n_units
        Columns of the table of units, such as their quality.
    default_units : str, optional
        Units taken by default, such as "group=good".
    notes : tuple of str
        Notes on the reading, in sentences.
    attributes : mapping
        Metadata.

    Examples
    --------
    >>> SpikeTimes.of({"a": [0.1, 0.4], "b": [0.3]}).names
    ('a', 'b')
    """

    times: NDArray[np.float64]
    units: NDArray[np.int64]
    names: tuple[str, ...]
    intervals: NDArray[np.float64] | None = None
    observed: tuple[NDArray[np.float64], ...] | None = None
    unseen: NDArray[np.float64] | None = None
    trials: NDArray[np.int64] | None = None
    n_trials: int = 0
    same_window: bool = True
    window: tuple[float, float] | None = None
    epochs: Mapping[str, NDArray[np.float64]] = field(default_factory=dict)
    unit_table: Mapping[str, Sequence[Any]] = field(default_factory=dict)
    default_units: str | None = None
    notes: tuple[str, ...] = ()
    attributes: Mapping[str, Any] = field(default_factory=dict)

    __repr__ = brief

    @classmethod
    def of(cls, spikes: Mapping[Any, Any], intervals: Any = None) -> SpikeTimes:
        """Spike times of each unit in a list of its own.

        Parameters
        ----------
        spikes : mapping of unit to array_like, shape (n_spikes,)
            Times of the spikes of each unit.
        intervals : array_like, shape (n_intervals, 2), optional
            Starts and ends of the recorded time.

        Returns
        -------
        SpikeTimes
            For `read_recording` with ``bin_width``.

        Raises
        ------
        InputError
            If there is no unit, or the times of one are not a list of numbers.
        """
        if not spikes:
            raise InputError("the dict of spike times has no units")
        lists = [times_of_unit(name, times) for name, times in spikes.items()]
        units = np.repeat(np.arange(len(lists)), [len(times) for times in lists])
        known = None if intervals is None else np.asarray(intervals, dtype=np.float64).reshape(-1, 2)
        return cls(np.concatenate(lists), units, tuple(str(name) for name in spikes), known)


def times_of_unit(name: Any, times: Any) -> NDArray[np.float64]:
    """The spike times of one unit as numbers."""
    try:
        values = np.asarray(times, dtype=np.float64)
    except (TypeError, ValueError):
        raise InputError(f"the spike times of unit {shown(str(name))} are no list of numbers") from None
    if values.ndim != 1 and values.size:
        raise InputError(f"the spike times of unit {shown(str(name))} have shape {values.shape}; they are one list")
    return values.reshape(-1)


def find_columns(source: str, names: Sequence[str], n_columns: int) -> tuple[int, int]:
    """Columns of a spike-time table that hold times and units."""
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


def find_trials(names: Sequence[str]) -> int | None:
    """Column of a spike-time table that holds trials, if any."""
    plain = [name.strip().lower().replace(" ", "_") for name in names]
    return next((i for i, name in enumerate(plain) if name in TRIAL_NAMES), None)


def spikes_of_labels(
    source: str, times: NDArray[Any], labels: NDArray[Any], trials: NDArray[Any] | None = None
) -> SpikeTimes:
    """Spike times from rows with a time, a unit and perhaps a trial (numbers or names)."""
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
    spikes = SpikeTimes(times.astype(np.float64), place[units.reshape(-1)], tuple(names[i] for i in order))
    return spikes if trials is None else with_trials(source, spikes, trials)


def with_trials(source: str, spikes: SpikeTimes, labels: NDArray[Any]) -> SpikeTimes:
    """Spike times whose trials have clocks of their own, or, where trials follow each other in time, one clock."""
    if labels.shape != spikes.times.shape:
        raise InputError(
            f"{source}: {labels.shape} trials and {spikes.times.shape} times; each spike needs one of both"
        )
    if labels.dtype.kind not in "iuUbf":
        labels = np.array([str(label) for label in labels], dtype=str)
    distinct, numbers = np.unique(labels, return_inverse=True)
    numbers = numbers.reshape(-1)
    n_trials = len(distinct)
    notes: tuple[str, ...] = (f"{n_trials} trials were taken as runs",)
    if labels.dtype.kind in "iuf" and (distinct == np.floor(distinct)).all():
        first, last = int(distinct[0]), int(distinct[-1])
        holes = last - first + 1 - n_trials
        if 0 < holes <= n_trials:  # trials in which no unit fired
            numbers, n_trials = labels.astype(np.int64) - first, last - first + 1
            notes = (f"{n_trials} trials were taken as runs, {holes} of them without a spike",)
    bounds = np.full((n_trials, 2), np.nan)
    finite = np.isfinite(spikes.times)
    for trial in range(n_trials):
        own = spikes.times[(numbers == trial) & finite]
        if len(own):
            bounds[trial] = own.min(), own.max()
    found = bounds[np.isfinite(bounds).all(axis=1)]
    found = found[np.argsort(found[:, 0])]
    if len(found) > 1 and (found[1:, 0] > found[:-1, 1]).all():
        notes = (*notes, "their times follow each other, so that each reaches from its first spike to its last")
        return replace(spikes, trials=numbers, n_trials=n_trials, same_window=False, notes=notes)
    return replace(spikes, trials=numbers, n_trials=n_trials, notes=notes)
