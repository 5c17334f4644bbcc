"""Units of NWB files (Neurodata Without Borders): spike times, observed time, and tables of intervals."""

from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from infer.errors import InputError
from infer.recordings.format import Format
from infer.recordings.formats._hdf5 import MAGIC, check_heaps, is_dataset, is_group, read_values
from infer.recordings.spike_times import SpikeTimes
from infer.wording import shown

NAME_COLUMNS = ("unit_name", "name", "label")
MOST_TABLES = 100
INVALID = "invalid_times"


def read_nwb(path: Path, key: str | None) -> SpikeTimes:
    """Spike times of a table of units: "units", or the one at the place `key`, such as "processing/ecephys/units"."""
    place = key or "units"
    with h5py.File(path, "r") as file:
        check_heaps(path)
        group = file
        for part in place.strip("/").split("/"):
            if not isinstance(group, h5py.Group) or not isinstance(group.get(part, getlink=True), h5py.HardLink):
                raise InputError(f"{path} holds no {shown(place)}; spike times are read from the table of units")
            group = group[part]
        columns = {"spike_times", "spike_times_index", "id"}
        missing = [name for name in sorted(columns) if not is_dataset(group, name)]
        if missing:
            raise InputError(f"{path}: the units have no column {' and no '.join(map(shown, missing))}")
        times, ends, numbers = (read_values(path, group[name]) for name in ("spike_times", "spike_times_index", "id"))
        names = tuple(str(number) for number in numbers.ravel().tolist())
        table = _unit_table(path, group, len(names))
        for name in NAME_COLUMNS:
            if name in table and len(set(table[name])) == len(names) and all(isinstance(t, str) for t in table[name]):
                names = tuple(table[name])
                break
        observed = _observed(path, group, len(names))
        epochs = _interval_tables(path, file)
    lengths = _lengths(ends)
    if times.ndim != 1 or times.dtype.kind != "f" or len(names) != len(lengths) or not len(lengths):
        raise InputError(f"{path}: {times.shape} spike times do not go with {len(lengths)} units of {len(names)} ids")
    if (lengths < 0).any() or ends[-1] != len(times):
        raise InputError(f"{path}: spike_times_index does not divide {len(times)} spike times among the units")
    return SpikeTimes(
        times.astype(np.float64),
        np.repeat(np.arange(len(names)), lengths),
        names,
        observed=observed,
        unseen=epochs.pop(INVALID, None),
        epochs=epochs,
        unit_table={"id": numbers.ravel().tolist(), **table},
    )


def _lengths(ends: NDArray[Any]) -> NDArray[np.int64]:
    """Lengths of concatenated lists that end at these places."""
    if ends.ndim != 1 or not len(ends):
        return np.zeros(0, dtype=np.int64)
    whole = ends.astype(np.int64)
    return whole - np.concatenate([[0], whole[:-1]])


def _unit_table(path: Path, group: h5py.Group, n_units: int) -> dict[str, list[Any]]:
    """Columns of texts or numbers, with one entry per unit."""
    table: dict[str, list[Any]] = {}
    for name in group:
        if len(table) >= MOST_TABLES or not is_dataset(group, name) or group[name].shape != (n_units,):
            continue
        if h5py.check_string_dtype(group[name].dtype):
            table[name] = [str(text) for text in group[name].asstr()[...]]
        elif group[name].dtype.kind in "biuf" and not name.endswith("_index") and not group[name].external:
            table[name] = read_values(path, group[name]).tolist()
    return table


def _observed(path: Path, group: h5py.Group, n_units: int) -> tuple[NDArray[np.float64], ...] | None:
    """Starts and ends of the observed time of each unit."""
    if not is_dataset(group, "obs_intervals") or not is_dataset(group, "obs_intervals_index"):
        return None
    intervals, ends = read_values(path, group["obs_intervals"]), read_values(path, group["obs_intervals_index"])
    lengths = _lengths(ends)
    if intervals.ndim != 2 or intervals.shape[1] != 2 or len(lengths) != n_units or (lengths < 0).any():
        raise InputError(f"{path}: obs_intervals of shape {intervals.shape} do not go with {n_units} units")
    if ends[-1] != len(intervals):
        raise InputError(f"{path}: obs_intervals_index does not divide {len(intervals)} intervals among the units")
    if not len(intervals):
        return None
    return tuple(np.split(intervals.astype(np.float64), np.cumsum(lengths)[:-1]))


def _interval_tables(path: Path, file: h5py.File) -> dict[str, NDArray[np.float64]]:
    """All tables of intervals of the file, by name."""
    if not is_group(file, "intervals"):
        return {}
    tables = {}
    for name in list(file["intervals"])[:MOST_TABLES]:
        if not is_group(file["intervals"], name):
            continue
        table = file["intervals"][name]
        if not (is_dataset(table, "start_time") and is_dataset(table, "stop_time")):
            continue
        ends = [read_values(path, table[column]) for column in ("start_time", "stop_time")]
        if ends[0].ndim == 1 and ends[0].shape == ends[1].shape:
            intervals = np.column_stack(ends).astype(np.float64)
            tables[name] = intervals[np.isfinite(intervals).all(axis=1)]
    return tables


FORMAT = Format(
    name="NWB",
    endings=(".nwb",),
    magic=(MAGIC,),
    read_spikes=read_nwb,
    guarded=True,
    data="HDF5",
)
