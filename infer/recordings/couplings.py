"""Matrices of couplings from files."""

import os

import numpy as np
from numpy.typing import NDArray

from infer.errors import InputError
from infer.recordings.read import read_table
from simulate.couplings import ASYMMETRY, remedy_of_asymmetry


def read_couplings(path: str | os.PathLike[str], *, key: str | None = None) -> NDArray[np.float64]:
    """Read a matrix of couplings from npy, npz, csv, tsv, txt, parquet or NetCDF, such as `reverie fit` writes.

    Parameters
    ----------
    path : str or path-like
        The file. In npz and NetCDF files the array "couplings" or else the only 2-D array is taken.
    key : str, optional
        Name of the array (npz) or variable (NetCDF) that holds the couplings.

    Returns
    -------
    ndarray of float64, shape (n_spins, n_spins)
        Symmetric; the diagonal as it is in the file.

    Raises
    ------
    InputError
        A ValueError of one line: not square, an entry that is not finite, or two entries that should be equal and
        differ by more than 1e-6 of the largest one (named by row and column). Smaller differences, such as those of
        single precision, are averaged.
    """
    source = os.fspath(path)
    table = read_table(path, "couplings", key)
    n_rows, n_columns = table.values.shape
    if n_rows != n_columns or n_rows < 2:
        raise InputError(
            f"{source} holds {n_rows} x {n_columns} values; couplings are a square matrix of at least 2 x 2"
        )
    couplings = np.array(table.values, dtype=np.float64)
    wrong = np.argwhere(~np.isfinite(couplings))
    if len(wrong):
        row, column = wrong[0]
        raise InputError(f"{source}: {table.place(row, column)} holds {couplings[row, column]}; couplings are finite")
    difference = np.abs(couplings - couplings.T)
    if difference.max() > ASYMMETRY * np.abs(couplings).max():
        row, column = np.unravel_index(difference.argmax(), difference.shape)
        raise InputError(
            f"{source}: {table.place(int(row), int(column))} holds {couplings[row, column]:.6g}, but row {column}, "
            f"column {row} holds {couplings[column, row]:.6g}; couplings are symmetric: "
            f"{remedy_of_asymmetry(couplings, 'save')}"
        )
    return couplings if difference.max() == 0.0 else (couplings + couplings.T) / 2.0
