"""Inverses and shrinkage of covariances, for the estimators that start from them."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from sklearn.covariance import ledoit_wolf_shrinkage

from infer.estimators.continuous.score_matching import SINGULAR


def invert_covariance(covariance: NDArray, scale: NDArray, what: str, remedy: str) -> NDArray[np.float64]:
    """Inverse of a covariance, computed from the coefficients ``covariance_ij / (scale_i scale_j)``.

    Raises
    ------
    ValueError
        If there is no inverse; the message ends with the remedy.
    """
    values, vectors = np.linalg.eigh(covariance / np.outer(scale, scale))
    if values[0] < SINGULAR * values[-1]:
        rank = int(np.sum(values >= SINGULAR * values[-1]))
        raise ValueError(
            f"the covariance of the {len(scale)} {what}s has no inverse (rank {rank}): too few different rows, or "
            f"{what}s that repeat others; give more rows, drop the copies, or {remedy}"
        )
    inverse = (vectors / values) @ vectors.T / np.outer(scale, scale)
    return np.asarray((inverse + inverse.T) / 2.0)


def repeat_rows(rows: NDArray, weight: NDArray | None) -> NDArray:
    """Repeat every row by its count, for a shrinkage that depends on the number of rows."""
    if weight is None:
        return rows
    if np.any(weight % 1 != 0):
        row = int(np.flatnonzero(weight % 1 != 0)[0])
        raise ValueError(
            f"shrinkage='ledoit-wolf' needs to know how many rows there are, but the weight of row {row} is "
            f"{weight[row]:g}: give whole numbers (counts), or the shrinkage as a number"
        )
    return np.repeat(rows, weight.astype(np.int64), axis=0)


def ledoit_wolf_strength(
    spins: NDArray[np.int8], means: NDArray[np.float64], weight: NDArray[np.float64] | None = None
) -> float:
    """
    Shrinkage of the correlation coefficients by Ledoit and Wolf (2004), which is best for independent rows.

    Parameters
    ----------
    spins : int8 array (n_rows, n_spins)
    means : array (n_spins,)
    weight : array of whole numbers (n_rows,), optional
        Count of each row.

    Returns
    -------
    float
        Shrinkage between 0 and 1.

    Raises
    ------
    ValueError
        If a weight is not a whole number.

    References
    ----------
    O. Ledoit, M. Wolf 2004, J. Multivariate Analysis 88, 365; scikit-learn's `ledoit_wolf_shrinkage`.
    """
    spins = repeat_rows(spins, weight)
    standardised = (spins - means) / np.sqrt(1.0 - means**2)
    return float(ledoit_wolf_shrinkage(standardised, assume_centered=True))
