"""Arrays of HDF5 files of any layout, chosen by their place in the file."""

from pathlib import Path
from typing import Any

import h5py
import numpy as np

from infer.recordings.format import Format
from infer.recordings.formats._arrays import spikes_of_arrays, table_of_arrays
from infer.recordings.formats._hdf5 import MAGIC, check_heaps, read_values
from infer.recordings.spike_times import SpikeTimes, times_of_unit
from infer.recordings.table import Table

MOST_NAMES, DEEPEST = 2000, 6


def read_hdf5(path: Path, content: str, key: str | None) -> Table:
    """The array at the place `key` (or called `content`, or the only table), such as "estimates/S"."""
    check_heaps(path)
    with h5py.File(path, "r") as file:
        return table_of_arrays(path, _Datasets(path, file), content, key)


def read_hdf5_spikes(path: Path, key: str | None) -> SpikeTimes:
    """Two lists named as times and units, rows of time and unit, or a group with a list of times for each unit."""
    check_heaps(path)
    with h5py.File(path, "r") as file:
        arrays = _Datasets(path, file)
        prefix = "" if key is None else key.strip("/") + "/"
        inside = [name for name in arrays.shapes if name.startswith(prefix) and "/" not in name[len(prefix) :]]
        if key is not None and key.strip("/") not in arrays.shapes and len(inside) > 1:
            return SpikeTimes.of({name[len(prefix) :]: times_of_unit(name, arrays[name]) for name in inside})
        return spikes_of_arrays(path, arrays, key)


class _Datasets:
    """Arrays of a file by their places."""

    def __init__(self, path: Path, file: h5py.File) -> None:
        self.path, self.file = path, file
        self.shapes: dict[str, tuple[int, ...]] = {}
        self._list(file, "", 0)

    def _list(self, group: h5py.Group, prefix: str, depth: int) -> None:
        """List names and shapes of arrays in the file itself, not of links to other files."""
        for name in group:
            if len(self.shapes) >= MOST_NAMES or not isinstance(group.get(name, getlink=True), h5py.HardLink):
                continue
            item = group[name]
            if isinstance(item, h5py.Dataset) and item.shape is not None:
                self.shapes[prefix + name] = item.shape
            elif isinstance(item, h5py.Group) and depth < DEEPEST:
                self._list(item, f"{prefix}{name}/", depth + 1)

    def __getitem__(self, name: str) -> Any:
        """The values of an array; texts as a list."""
        item = self.file[name]
        if h5py.check_string_dtype(item.dtype) and item.ndim <= 1:
            texts = item.asstr()[...]
            return texts if isinstance(texts, str) else np.asarray(texts, dtype=str)
        return read_values(self.path, item)


FORMAT = Format(
    name="HDF5",
    endings=(".h5", ".hdf5", ".hdf"),
    magic=(MAGIC,),
    read_table=read_hdf5,
    read_spikes=read_hdf5_spikes,
    guarded=True,
)
