"""Spike times of the units in an NWB file (Neurodata Without Borders), read with h5py as the other HDF5 files are."""

from pathlib import Path

import h5py
import numpy as np

from infer.errors import InputError
from infer.recordings.format import Format
from infer.recordings.formats._hdf5 import MAGIC, check_heaps, is_dataset, read_values
from infer.recordings.spike_times import SpikeTimes
from infer.wording import shown

NAME_COLUMNS = ("unit_name", "name", "label")


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
        for name in NAME_COLUMNS:
            if (
                is_dataset(group, name)
                and h5py.check_string_dtype(group[name].dtype)
                and group[name].shape == (len(names),)
            ):
                found = tuple(str(text) for text in group[name].asstr()[...])
                names = found if len(set(found)) == len(found) else names
                break
    starts = np.concatenate([[0], ends[:-1]]).astype(np.int64) if ends.ndim == 1 and len(ends) else np.zeros(0, int)
    lengths = ends.astype(np.int64) - starts if len(starts) else starts
    if times.ndim != 1 or times.dtype.kind != "f" or len(names) != len(starts) or not len(starts):
        raise InputError(f"{path}: {times.shape} spike times do not go with {len(starts)} units of {len(names)} ids")
    if (lengths < 0).any() or ends[-1] != len(times):
        raise InputError(f"{path}: spike_times_index does not divide {len(times)} spike times among the units")
    return SpikeTimes(times.astype(np.float64), np.repeat(np.arange(len(names)), lengths), names)


FORMAT = Format(
    name="NWB",
    endings=(".nwb",),
    magic=(MAGIC,),
    read_spikes=read_nwb,
    guarded=True,
    data="HDF5",
)
