"""Single numpy arrays; large arrays of int8 stay memory maps."""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from infer.errors import InputError
from infer.recordings.format import Format
from infer.recordings.spike_times import SpikeTimes, spikes_of_labels
from infer.recordings.table import Table


def read_npy(path: Path, content: str, key: str | None) -> Table:
    """The array as a read-only memory map."""
    return Table(np.load(path, mmap_mode="r", allow_pickle=False))


def read_npy_spikes(path: Path, key: str | None) -> SpikeTimes:
    """Spike times from rows of time and unit."""
    return spikes_of_matrix(path, np.load(path, allow_pickle=False))


def spikes_of_matrix(path: Path, values: NDArray[Any]) -> SpikeTimes:
    """Spike times from an array with rows of time and unit."""
    if values.ndim != 2 or values.shape[1] != 2 or values.dtype.kind not in "iuf":
        raise InputError(
            f"{path} holds {values.dtype} of shape {values.shape}; spike times are rows of time and unit (leave the "
            "bin width out if the values are spins already)"
        )
    return spikes_of_labels(str(path), values[:, 0], values[:, 1])


FORMAT = Format(
    name="npy",
    endings=(".npy",),
    magic=(b"\x93NUMPY",),
    read_table=read_npy,
    read_spikes=read_npy_spikes,
    has_keys=False,
)
