"""Python objects as recordings: arrays, lists of trials, tables, and objects of pynapple, neo and elephant.

This is the only module that distinguishes objects of other libraries. It compares the names of type and library, so
that no library is imported.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from infer.errors import InputError
from infer.recordings.spike_times import SpikeTimes, find_columns, find_trials, spikes_of_labels, times_of_unit
from infer.recordings.table import Table
from simulate.user_warnings import libraries_silenced

KINDS = {
    "pynapple": ("TsGroup", "TsdFrame", "TsdTensor", "Tsd"),
    "neo": ("SpikeTrain", "Segment", "Block"),
    "elephant": ("BinnedSpikeTrain",),
    "pandas": ("DataFrame",),
    "polars": ("DataFrame",),
}


def kind_of_object(data: Any) -> str | None:
    """Name of the known type, such as "TsGroup", that an object has or is derived from; None for other objects."""
    for kind in type(data).__mro__:
        if kind.__name__ in KINDS.get(kind.__module__.split(".")[0], ()):
            return kind.__name__
    return None


def recording_of_object(data: Any, spikes: bool) -> tuple[str, Table | SpikeTimes]:
    """Name of the object in messages, and its values, or its spike times if requested or if it holds nothing else."""
    with libraries_silenced():  # what these libraries warn of does not concern users
        return _recording_of_object(data, spikes)


def _recording_of_object(data: Any, spikes: bool) -> tuple[str, Table | SpikeTimes]:
    """As `open_object`, by the type of the object."""
    kind = kind_of_object(data)
    source = f"the {kind or type(data).__name__}"
    if isinstance(data, SpikeTimes):
        return source, data
    if kind == "TsGroup":
        return source, spikes_of_group(data)
    if kind == "TsdFrame":
        return source, table_of_frame(data)
    if kind in ("Segment", "Block"):
        return source, _spikes_of_segments(source, data.segments if kind == "Block" else [data])
    if kind == "BinnedSpikeTrain":
        return source, _table_of_binned(data)
    if kind == "DataFrame":
        return source, _spikes_of_data_frame(source, data) if spikes else _table_of_data_frame(data)
    if isinstance(data, Mapping):
        return source, SpikeTimes.of(data)
    if isinstance(data, Sequence | np.ndarray) and not isinstance(data, str | bytes):
        return _of_sequence(source, data, spikes)
    raise InputError(
        "a recording is read from a file, or from an array, a list of trials, a dict of spike times, a DataFrame, or "
        f"an object of pynapple, neo or elephant, not from {type(data).__name__}"
    )


def _of_sequence(source: str, data: Any, spikes: bool) -> tuple[str, Table | SpikeTimes]:
    """An array of numbers, a list of trials of unequal lengths, or spike times of units or of trials and units."""
    if isinstance(data, np.ndarray) and data.dtype != object:
        return source, _spikes_of_rows(source, data) if spikes and data.ndim == 2 else Table(np.asarray(data))
    items = list(data)
    if not items:
        raise InputError(f"{source} is empty")
    if all(kind_of_object(item) == "SpikeTrain" for item in items):
        return "the list of SpikeTrain", _spikes_of_trains("the list of SpikeTrain", items)
    if spikes:
        nested = [isinstance(item, Sequence | np.ndarray) and len(item) and not np.isscalar(item[0]) for item in items]
        if any(nested):
            return source, _spikes_of_trials(source, items)
        return source, SpikeTimes.of({str(i): times for i, times in enumerate(items)})
    arrays = [_numbers(source, item) for item in items]
    if all(array.ndim == 2 for array in arrays):
        return source, _table_of_trials(source, arrays)
    if any(array.ndim != arrays[0].ndim or array.shape != arrays[0].shape for array in arrays):
        raise InputError(
            f"{source}: its parts have shapes {arrays[0].shape}, ... {arrays[-1].shape}; trials are arrays (time, unit)"
        )
    return source, Table(np.array(arrays))


def _numbers(source: str, item: Any) -> NDArray[Any]:
    """One trial, or one row, as numbers."""
    try:
        array = np.asarray(item)
    except ValueError:
        raise InputError(f"{source}: a trial has rows of unequal lengths; trials are arrays (time, unit)") from None
    if array.dtype.kind not in "biuf":
        raise InputError(f"{source} holds values of type {array.dtype}, not numbers")
    return array


def _table_of_trials(source: str, arrays: list[NDArray[Any]]) -> Table:
    """Trials of any lengths over the same units, concatenated along rows."""
    widths = {array.shape[1] for array in arrays}
    if len(widths) > 1:
        raise InputError(
            f"{source}: trials have {min(widths)} to {max(widths)} columns; all need the same units, one per column"
        )
    chains = np.repeat(np.arange(len(arrays)), [len(array) for array in arrays])
    return Table(np.concatenate(arrays), chains=chains)


def _spikes_of_trials(source: str, trials: list[Any]) -> SpikeTimes:
    """Spike times, relative to the trial, in lists trial by trial and unit by unit."""
    widths = {len(trial) for trial in trials}
    if len(widths) > 1:
        raise InputError(f"{source}: trials have {min(widths)} to {max(widths)} units; all need the same")
    lists = [[times_of_unit(i, times) for i, times in enumerate(trial)] for trial in trials]
    flat = [times for trial in lists for times in trial]
    lengths = [len(times) for times in flat]
    units = np.tile(np.arange(len(lists[0])), len(lists))
    numbers = np.repeat(np.arange(len(lists)), len(lists[0]))
    return SpikeTimes(
        np.concatenate(flat),
        np.repeat(units, lengths),
        tuple(str(i) for i in range(len(lists[0]))),
        trials=np.repeat(numbers, lengths),
        n_trials=len(lists),
    )


def _spikes_of_rows(source: str, values: NDArray[Any]) -> SpikeTimes:
    """Rows of time and unit."""
    if values.shape[1] != 2 or values.dtype.kind not in "iuf":
        raise InputError(
            f"{source} holds {values.dtype} of shape {values.shape}; spike times are rows of time and unit (leave the "
            "bin width out if the values are spins already)"
        )
    return spikes_of_labels(source, values[:, 0], values[:, 1])


# --- tables of pandas and polars


def _table_of_data_frame(frame: Any) -> Table:
    """Columns with their names; text is kept and checked later."""
    names = tuple(str(name) for name in frame.columns)
    columns, labels = [], dict[int, list[str]]()
    for place in range(len(names)):
        column = frame.iloc[:, place] if hasattr(frame, "iloc") else frame[:, place]
        values = column.to_numpy()
        if values.dtype.kind not in "biuf":
            try:
                values = np.array([np.nan if _absent(value) else float(value) for value in values])
            except (TypeError, ValueError):
                labels[place] = ["" if _absent(value) else str(value) for value in values]
                values = np.full(len(values), np.nan)
        columns.append(values)
    if not columns:
        raise InputError("the DataFrame has no columns")
    return Table(np.column_stack(columns), names=names, labels=labels)


def _absent(value: Any) -> bool:
    """Whether a cell of a table is missing: None, NaN, or pandas' NA."""
    return value is None or type(value).__name__ in ("NAType", "NaTType") or bool(value != value)


def _spikes_of_data_frame(source: str, frame: Any) -> SpikeTimes:
    """Columns of times and units, and of trials where there are any."""
    names = [str(name) for name in frame.columns]
    time, unit = find_columns(source, names, len(names))
    trial = find_trials(names)
    columns = [np.asarray(frame[frame.columns[place]]) for place in (time, unit)]
    trials = None if trial is None else np.asarray(frame[frame.columns[trial]])
    return spikes_of_labels(source, columns[0], columns[1], trials)


# --- pynapple


def table_of_frame(frame: Any) -> Table:
    """The values of a TsdFrame, its columns as names; each interval of its time support is a chain."""
    times, starts = np.asarray(frame.t), np.asarray(frame.time_support.start)
    chains = np.searchsorted(starts, times, side="right") - 1
    names = tuple(str(name) for name in frame.columns)
    return Table(np.asarray(frame.values), names=names, chains=chains, times=times, oriented=True)


def spikes_of_group(group: Any) -> SpikeTimes:
    """The times of a TsGroup in seconds, its index as names, its time support as recorded time."""
    keys = list(group.index)
    if not keys:
        raise InputError("the TsGroup has no units")
    times = [np.asarray(group[key].t, dtype=np.float64) for key in keys]
    units = np.repeat(np.arange(len(keys)), [len(each) for each in times])
    intervals = np.column_stack([group.time_support.start, group.time_support.end]).astype(np.float64)
    table = {str(name): list(group[name]) for name in getattr(group, "metadata_columns", ())}
    names = tuple(str(key) for key in keys)
    return SpikeTimes(np.concatenate(times), units, names, intervals, unit_table=table)


# --- neo and elephant


def _seconds(quantity: Any) -> Any:
    """The numbers of a quantity in seconds."""
    return np.asarray(quantity.rescale("s").magnitude, dtype=np.float64)


def _spikes_of_trains(source: str, trains: Sequence[Any]) -> SpikeTimes:
    """One unit per train, observed from its t_start to its t_stop."""
    times = [_seconds(train).reshape(-1) for train in trains]
    spans = [np.array([[_seconds(train.t_start), _seconds(train.t_stop)]], dtype=np.float64) for train in trains]
    same = all(np.array_equal(span, spans[0]) for span in spans)
    names = [train.name or train.annotations.get("unit_id", None) for train in trains]
    if any(name is None for name in names) or len(set(map(str, names))) < len(names):
        names = list(range(len(trains)))
    units = np.repeat(np.arange(len(times)), [len(each) for each in times])
    return SpikeTimes(
        np.concatenate(times),
        units,
        tuple(str(name) for name in names),
        intervals=spans[0] if same else None,
        observed=None if same else tuple(spans),
    )


def _spikes_of_segments(source: str, segments: Sequence[Any]) -> SpikeTimes:
    """The spike trains of a segment, or those of all segments of a block, each segment a run."""
    parts = [_spikes_of_trains(source, list(segment.spiketrains)) for segment in segments if len(segment.spiketrains)]
    if not parts:
        raise InputError(f"{source} holds no spike trains")
    if len(parts) == 1:
        return parts[0]
    if any(len(part.names) != len(parts[0].names) for part in parts):
        raise InputError(f"{source}: its segments have different numbers of spike trains; give one of them")
    spans = [part.intervals for part in parts]
    relative = [0.0 if span is None else float(span[0, 0]) for span in spans]
    numbers = np.repeat(np.arange(len(parts)), [len(part.times) for part in parts])
    lengths = {None if span is None else round(float(span[0, 1] - span[0, 0]), 9) for span in spans}
    if len(lengths) > 1 or None in lengths:
        raise InputError(f"{source}: its segments have different lengths; give one of them")
    times = np.concatenate([part.times for part in parts]) - np.repeat(relative, [len(part.times) for part in parts])
    return replace(
        parts[0],
        times=times,
        units=np.concatenate([part.units for part in parts]),
        trials=numbers,
        n_trials=len(parts),
        window=(0.0, float(next(iter(lengths)) or 0.0)),
        intervals=None,
    )


def _table_of_binned(binned: Any) -> Table:
    """Spins from existing bins, whose rows are units in elephant."""
    active = np.asarray(binned.to_bool_array())
    spins = np.where(active.T, 1, -1).astype(np.int8)
    trains = getattr(binned, "input_spiketrains", None) or ()
    names = [getattr(train, "name", None) for train in trains]
    named = len(names) == spins.shape[1] and all(names) and len(set(names)) == len(names)
    width = float(binned.bin_size.rescale("s").magnitude)
    return Table(spins, names=tuple(map(str, names)) if named else None, attributes={"bin_width": width}, oriented=True)
