"""MATLAB files: versions 4 to 7 by scipy, version 7.3, which is HDF5, by h5py; cell arrays hold spike times."""

from pathlib import Path
from typing import Any

import h5py
import numpy as np

from infer.errors import InputError
from infer.recordings.format import Format
from infer.recordings.formats._arrays import spikes_of_arrays, table_of_arrays
from infer.recordings.formats._hdf5 import LARGEST_COMPRESSION, MAGIC, check_heaps, read_values
from infer.recordings.spike_times import SpikeTimes
from infer.recordings.table import Table
from infer.wording import shown

MOST_NAMES = 1000
MOST_CELLS = 10_000_000


def read_matlab(path: Path, content: str, key: str | None) -> Table:
    """The variable `key` (or `content`, or the only table), with its names, counts and chains."""
    return table_of_arrays(path, _Variables(path), content, key)


def read_matlab_spikes(path: Path, key: str | None) -> SpikeTimes:
    """A cell array of spike times for each unit, two lists named as times and units, or rows of time and unit."""
    return spikes_of_arrays(path, _Variables(path), key)


class _Variables:
    """Variables of a file by name (fields as "struct.field"): numbers as arrays, cells as lists, text as text."""

    def __init__(self, path: Path) -> None:
        self.path = path
        with path.open("rb") as handle:
            start = handle.read(520)
        self.hdf5 = start.startswith(MAGIC) or start[512:520] == MAGIC
        self.shapes: dict[str, tuple[int, ...]] = {}
        if self.hdf5:
            check_heaps(path)
            with h5py.File(path, "r") as file:
                self._list(file, "", 0)
        else:
            self._list_old()

    def _list(self, group: h5py.Group, prefix: str, depth: int) -> None:
        """List names and shapes of the variables of version 7.3."""
        for name in group:
            if len(self.shapes) >= MOST_NAMES or name.startswith("#"):
                continue
            if not isinstance(group.get(name, getlink=True), h5py.HardLink):
                continue
            item = group[name]
            if isinstance(item, h5py.Dataset) and "MATLAB_empty" not in item.attrs and item.shape is not None:
                self.shapes[prefix + name] = item.shape[::-1]
            elif isinstance(item, h5py.Group) and depth < 3:
                self._list(item, f"{prefix}{name}.", depth + 1)

    def _list_old(self) -> None:
        """List names and shapes of the variables of older versions."""
        from scipy.io import whosmat

        allowed = LARGEST_COMPRESSION * self.path.stat().st_size
        for name, shape, kind in whosmat(self.path)[:MOST_NAMES]:
            if not 0 <= int(np.prod([int(n) for n in shape], dtype=object)) <= allowed:
                raise InputError(f"{self.path}: {shown(name)} claims more values than the file has room for")
            if kind == "struct":
                for inner, values in self._struct(name).items():
                    self.shapes[f"{name}.{inner}"] = np.shape(values)
            elif kind not in ("function", "opaque", "object", "sparse"):
                self.shapes[name] = tuple(shape)

    def _load(self, name: str) -> Any:
        """One variable of an older version."""
        from scipy.io import loadmat

        return loadmat(self.path, variable_names=[name])[name]

    def _struct(self, name: str) -> dict[str, Any]:
        """The fields of a single struct; none for an array of structs."""
        values = self._load(name)
        if values.dtype.names is None or values.size != 1:
            return {}
        return {field: values.flat[0][field] for field in values.dtype.names}

    def __getitem__(self, name: str) -> Any:
        """The values of a variable."""
        if not self.hdf5:
            outer, _, inner = name.partition(".")
            return _plain(self._struct(outer)[inner] if inner else self._load(name))
        with h5py.File(self.path, "r") as file:
            return self._values(file, file[name.replace(".", "/")])

    def _values(self, file: h5py.File, item: h5py.Dataset) -> Any:
        """Numbers, text or a list of them, in the order that MATLAB shows."""
        if item.dtype == h5py.ref_dtype:
            if not 0 <= item.size <= min(MOST_CELLS, self.path.stat().st_size):
                raise InputError(f"{self.path}: {item.size} cells are more than the file has room for")
            references = np.asarray(item[...]).T
            cells = np.empty(references.shape, dtype=object)
            for place in np.ndindex(references.shape):
                inner = file[references[place]]
                known = isinstance(inner, h5py.Dataset) and inner.dtype != h5py.ref_dtype
                cells[place] = self._values(file, inner) if known else None
            return cells
        if "MATLAB_empty" in item.attrs:
            return np.zeros((0, 0))
        values = read_values(self.path, item).T
        if item.attrs.get("MATLAB_class") in (b"char", "char"):
            return "".join(chr(int(letter)) for letter in values.ravel()) if values.dtype.kind == "u" else ""
        return values


def _plain(values: Any) -> Any:
    """Text of one row as str; other values unchanged."""
    if isinstance(values, np.ndarray) and values.dtype.kind == "U":
        return str(values.flat[0]) if values.size == 1 else [str(text).strip() for text in values.ravel()]
    if isinstance(values, np.ndarray) and values.dtype == object:
        cells = np.empty(values.shape, dtype=object)
        for place in np.ndindex(values.shape):
            cells[place] = _plain(values[place]) if isinstance(values[place], np.ndarray) else None
        return cells
    return np.asarray(values)


FORMAT = Format(
    name="MATLAB",
    endings=(".mat",),
    magic=(b"MATLAB", MAGIC, b"\0\0\0\0", b"\0\0\x03\xe8", b"\x0a\0\0\0", b"\x14\0\0\0", b"\x1e\0\0\0", b"\x32\0\0\0"),
    read_table=read_matlab,
    read_spikes=read_matlab_spikes,
    guarded=True,
    by_chance=True,  # scipy reads beyond its memory where the sizes in a file are wrong
    libraries=("scipy.io",),
)
