"""Inverses of covariances, and rows that were counted, for the estimators that start from covariances."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from infer.estimators.continuous.score_matching import SINGULAR


def invert_covariance(covariance: NDArray, scale: NDArray, what: str, remedy: str) -> NDArray[np.float64]:
    """Inverse of a covariance, by way of the coefficients ``covariance_ij / (scale_i scale_j)``.

    Raises
    ------
    ValueError
        If there is none; the message ends with the remedy.
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
    """Every row as often as it was seen, for a shrinkage that depends on the number of rows."""
    if weight is None:
        return rows
    if np.any(weight % 1 != 0):
        row = int(np.flatnonzero(weight % 1 != 0)[0])
        raise ValueError(
            f"shrinkage='ledoit-wolf' needs to know how many rows there are, but the weight of row {row} is "
            f"{weight[row]:g}: give whole numbers (counts), or the shrinkage as a number"
        )
    return np.repeat(rows, weight.astype(np.int64), axis=0)
