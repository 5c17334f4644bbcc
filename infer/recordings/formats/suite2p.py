"""Folders of suite2p: fluorescence or deconvolved activity of the regions that are cells."""

from pathlib import Path

import numpy as np

from infer.errors import InputError
from infer.recordings.format import Format
from infer.recordings.table import Table
from infer.wording import shown

KEYS = ("spks", "F", "Fneu")


def _plane(path: Path) -> Path:
    """The folder itself, or the only plane in it."""
    planes = [each for each in sorted(path.glob("plane*")) if (each / "iscell.npy").is_file()]
    return planes[0] if len(planes) == 1 and not (path / "iscell.npy").is_file() else path


def is_suite2p(path: Path) -> bool:
    """Whether a folder holds regions of suite2p."""
    plane = _plane(path)
    return (plane / "iscell.npy").is_file() and any((plane / f"{key}.npy").is_file() for key in KEYS)


def read_suite2p(path: Path, content: str, key: str | None) -> Table:
    """Activity (time, cell): "spks" (deconvolved), or another one by `key`, "F" or "Fneu"."""
    plane = _plane(path)
    held = [each for each in KEYS if (plane / f"{each}.npy").is_file()]
    taken = key or held[0]
    if taken not in held:
        raise InputError(f"{path} holds no {shown(taken)}; it holds {', '.join(held)}")
    cell = np.load(plane / "iscell.npy", allow_pickle=False)
    values = np.load(plane / f"{taken}.npy", mmap_mode="r", allow_pickle=False)
    if values.ndim != 2 or cell.ndim not in (1, 2) or len(cell) != len(values) or cell.dtype.kind not in "biuf":
        raise InputError(f"{path}: {taken}.npy of shape {values.shape} does not go with iscell.npy of {cell.shape}")
    kept = np.flatnonzero((cell if cell.ndim == 1 else cell[:, 0]) > 0)
    if not len(kept):
        raise InputError(f"{path}: iscell.npy calls none of the {len(cell)} regions a cell")
    note = f"{len(kept)} of {len(cell)} regions are cells (iscell.npy); {taken}.npy was read"
    return Table(
        np.ascontiguousarray(values[kept].T),
        names=tuple(str(i) for i in kept),
        attributes={"notes": [note]},
        oriented=True,
    )


FORMAT = Format(
    name="suite2p",
    endings=(),
    is_folder=is_suite2p,
    read_table=read_suite2p,
    no_spikes="a suite2p folder holds no spike times; give a threshold, and no bin width",
)
