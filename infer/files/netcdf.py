"""NetCDF files that are complete or absent, also on a full disk."""

import errno
import os
import shutil
from collections.abc import Mapping
from pathlib import Path

import xarray as xr

__all__ = ["reserve_space", "write_datasets"]

#: Bytes for the structure of a file, and for each of its variables and attributes (measured: 21 kB for 6 and 21).
_OF_FILE, _OF_ITEM = 16_384, 1024


def write_datasets(path: Path, groups: Mapping[str | None, xr.Dataset]) -> None:
    """Write datasets to one NetCDF file, each as a group (None: the root), after making sure that they find room.

    The HDF5 library ends the process with a segmentation fault when the disk is full, so that this is found out before.

    Parameters
    ----------
    path : pathlib.Path
        The file, usually the temporary one of `atomic_write`.
    groups : mapping of str or None to xarray.Dataset

    Raises
    ------
    OSError
        If the disk has no room for them.
    """
    reserve_space(path, _OF_FILE + sum(map(_bytes_of, groups.values())))
    for number, (group, dataset) in enumerate(groups.items()):
        dataset.to_netcdf(path, group=group, mode="a" if number else "w", engine="h5netcdf")


def reserve_space(path: Path, n_bytes: int) -> None:
    """Create a file of so many bytes, which a later write replaces.

    Parameters
    ----------
    path : pathlib.Path
    n_bytes : int
        Above 0.

    Raises
    ------
    OSError
        In one line, if the disk has less room; no file is left.
    """
    try:
        with open(path, "wb") as file:
            if hasattr(os, "posix_fallocate"):  # heeds quotas, too; not on macOS and Windows
                os.posix_fallocate(file.fileno(), 0, n_bytes)
            elif shutil.disk_usage(path.parent).free < n_bytes:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    except OSError as error:
        path.unlink(missing_ok=True)
        if error.errno not in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
            raise
        raise OSError(
            f"there is no room for a file of {_megabytes(n_bytes)} in {path.parent} ({error.strerror}; "
            f"{_megabytes(shutil.disk_usage(path.parent).free)} are free); nothing was written"
        ) from None


def _bytes_of(dataset: xr.Dataset) -> int:
    """Bytes that a dataset takes in a file, at most, text counted in full."""
    total = _OF_ITEM * (len(dataset.variables) + len(dataset.attrs)) + sum(len(str(v)) for v in dataset.attrs.values())
    for variable in dataset.variables.values():
        total += variable.nbytes
        if variable.dtype.kind in "OU":
            total += sum(16 + len(str(value).encode()) for value in variable.values.ravel())
    return total


def _megabytes(n_bytes: float) -> str:
    """A size for readers."""
    return f"{n_bytes / 1e6:.3g} MB"
