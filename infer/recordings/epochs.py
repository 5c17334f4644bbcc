"""Choice of intervals by name, from a table or from an object; detection of time that was not recorded."""

import os
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from infer.errors import InputError
from infer.recordings.intervals import START_NAMES, STOP_NAMES, exact_intervals, intervals_of
from infer.recordings.read import read_table
from infer.recordings.spike_times import SpikeTimes
from infer.recordings.table import Table
from infer.wording import shown

ALL = "all"
TRIALS = ("trials", "epochs")  # tables of intervals; time outside of them may not have been recorded
ENOUGH = 20.0  # expected number of spikes outside of trials from which their absence is significant
FEW = 0.01  # of those expected


def chosen_epochs(source: str, epochs: Any, named: Any) -> NDArray[np.float64] | None:
    """Starts and ends (n, 2) of the chosen epochs; None for the whole recording."""
    if epochs is None or (isinstance(epochs, str) and epochs == ALL):
        return None
    if isinstance(epochs, str) and epochs in named:
        return np.asarray(named[epochs], dtype=np.float64)
    if isinstance(epochs, os.PathLike) or (isinstance(epochs, str) and Path(epochs).is_file()):
        return _intervals_of_table(str(epochs), read_table(epochs, "intervals"))
    if isinstance(epochs, str):
        held = f"it has {', '.join(map(shown, named))}" if named else "it names no intervals"
        raise InputError(f"{source} has no epochs {shown(epochs)}; {held} (or give a file with columns start and stop)")
    return intervals_of(source, epochs)


def _intervals_of_table(source: str, table: Table) -> NDArray[np.float64]:
    """Columns named start and stop, or the only two."""
    values = np.asarray(table.values, dtype=np.float64)
    names = [name.strip().lower() for name in table.names or ()]
    start = next((names.index(name) for name in START_NAMES if name in names), 0 if values.shape[1] == 2 else None)
    stop = next((names.index(name) for name in STOP_NAMES if name in names), 1 if values.shape[1] == 2 else None)
    if start is None or stop is None:
        raise InputError(f"{source} must hold intervals: columns named start and stop, or two columns")
    found = values[:, [start, stop]]
    exact_intervals(source, found)
    return found


def recorded_trials(source: str, spikes: SpikeTimes) -> tuple[str, NDArray[np.float64], str] | None:
    """Trials outside of which no unit fires, where the recorded time is not known otherwise, and a warning."""
    if spikes.intervals is not None or spikes.observed is not None or spikes.trials is not None:
        return None
    for name in TRIALS:
        if name not in spikes.epochs or len(spikes.epochs[name]) < 2 or not len(spikes.times):
            continue
        ends = np.asarray(spikes.epochs[name], dtype=np.float64)
        ends = ends[np.isfinite(ends).all(axis=1)]
        starts, stops = np.sort(ends[:, 0]), np.sort(ends[:, 1])
        # a time lies in a trial if more trials have begun than ended
        begun = np.searchsorted(starts, spikes.times, side="right")
        ended = np.searchsorted(stops, spikes.times, side="left")
        outside = int((begun <= ended).sum())
        inside_time = float((ends[:, 1] - ends[:, 0]).sum())
        outside_time = float(np.maximum(starts[1:] - stops[:-1], 0).sum())
        expected = (len(spikes.times) - outside) / max(inside_time, 1e-300) * outside_time
        if expected >= ENOUGH and outside <= FEW * expected:
            said = (
                f"{source}: units fire only within the {len(ends)} intervals of {shown(name)}, so that time outside of "
                f"them counts as not recorded and they are the epochs; pass epochs={shown(name)} (--epochs {name}) to "
                f"say so, or epochs='{ALL}' (--epochs {ALL}) for all of the time"
            )
            return name, ends, said
    return None


def rows_in_epochs(source: str, table: Table, epochs: NDArray[np.float64]) -> Table:
    """Rows whose times lie in the epochs, each epoch a run; an epoch holds its start and not its end."""
    if table.times is None:
        raise InputError(
            f"{source}: the rows have no times, so that epochs cannot be found in them; name the column of times with "
            "time_column= (--time-column on the command line)"
        )
    times = np.asarray(table.times, dtype=np.float64)
    rows = [np.flatnonzero((times >= start) & (times < stop)) for start, stop in epochs]
    taken = np.concatenate(rows) if rows else np.zeros(0, dtype=np.int64)
    if not len(taken):
        raise InputError(f"{source}: no row lies in any of the {len(epochs)} epochs; times and epochs need one unit")
    return table.of_rows(taken, np.repeat(np.arange(len(rows)), [len(each) for each in rows]))
