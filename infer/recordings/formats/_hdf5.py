"""Common parts of formats based on HDF5: checks before the library is called, and reading of values."""

import mmap
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from infer.errors import InputError

MAGIC = b"\x89HDF\r\n\x1a\n"
# deflate packs at most 1032 to 1, so a file that claims more than this many values per byte is forged or damaged
LARGEST_COMPRESSION = 2000
HEAP = b"GCOL\x01\0\0\0"


def check_heaps(path: Path) -> None:
    """Walk through the global heaps, where HDF5 keeps texts and references of variable length.

    They have no checksum, and the library (2.0.0) loops forever on one whose free space has size 0. Layout:
    HDF5 File Format Specification, version 3.0, section III.E.
    """
    with path.open("rb") as handle, mmap.mmap(handle.fileno(), 0, access=mmap.ACCESS_READ) as data:
        start = data.find(HEAP)
        while start >= 0:
            end = start + int.from_bytes(data[start + 8 : start + 16], "little")
            position = start + 16
            while position + 16 <= end <= len(data):
                size = int.from_bytes(data[position + 8 : position + 16], "little")
                if data[position : position + 2] == b"\0\0":  # the free space at the end counts its own header
                    position += size
                    break
                position += 16 + -(-size // 8) * 8
            if not end - 16 < position <= end:
                raise InputError(
                    f"{path} is damaged: the heap of texts and references at byte {start} is not consistent"
                )
            start = data.find(HEAP, start + 8)


def read_values(path: Path, variable: h5py.Dataset) -> NDArray[Any]:
    """The numbers of a variable, NaN where NetCDF marks them as missing."""
    name = variable.name.rsplit("/", 1)[-1]
    if variable.is_virtual or variable.external:
        raise InputError(f"{path}: {name} keeps its values in other files; save it with its values inside")
    if variable.dtype.kind not in "biuf":
        raise InputError(f"{path}: {name} holds values of type {variable.dtype}, not numbers")
    if variable.size is None or variable.size > LARGEST_COMPRESSION * path.stat().st_size:
        raise InputError(f"{path}: {name} claims {variable.size} values; the file is too small for that, it is damaged")
    if "scale_factor" in variable.attrs or "add_offset" in variable.attrs:
        raise InputError(f"{path}: {name} is packed (scale_factor, add_offset); save the values themselves")
    values = np.asarray(variable[...])
    if "_FillValue" in variable.attrs:
        absent = values == np.ravel(variable.attrs["_FillValue"])[0]
        if absent.any():
            values = np.where(absent, np.nan, values)
    return values


def is_group(group: h5py.Group, name: str) -> bool:
    """Whether the group itself (no link to elsewhere) has a group of this name."""
    return isinstance(group.get(name, getlink=True), h5py.HardLink) and isinstance(group[name], h5py.Group)


def is_dataset(group: h5py.Group, name: str) -> bool:
    """Whether the group itself (no link to elsewhere) has an array of this name."""
    return isinstance(group.get(name, getlink=True), h5py.HardLink) and isinstance(group[name], h5py.Dataset)
