"""Basins of the rows of samples: shares, dwell times, transitions inside runs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from infer.types import FloatArray, IntArray

__all__ = ["MOST_IN_TABLE", "Visits", "visits"]

MOST_IN_TABLE = 2000  # minima, above which no table of all pairs is made


@dataclass(frozen=True, eq=False)
class Visits:
    """Visits of rows to the basins of the minima.

    Attributes
    ----------
    shares : ndarray (n_minima,)
        Weighted share of the rows in each basin.
    transitions : ndarray of int64 (n_minima, n_minima), or None
        ``transitions[a, b]``: number of times a row in basin a was followed by one in basin b inside a run; None where
        rows have no order in time. Steps to or from a row with missing values, or from one run to the next, are left
        out.
    dwell_times : ndarray (n_minima,), or None
        Mean length of a stay in rows: the number of steps from a basin over that of steps that leave it. Stays cut off
        by the end of a run cause no bias where the probability to leave is constant. NaN where no step leaves it.
    dwell_times_if_independent : ndarray (n_minima,), or None
        Dwell times of rows with the same shares in random order, ``1 / (1 - share)``; NaN for a share of 1.
    n_rows, n_steps : int
        Number of rows that have a basin, and of steps between them.
    """

    shares: FloatArray
    transitions: IntArray | None
    dwell_times: FloatArray | None
    dwell_times_if_independent: FloatArray | None
    n_rows: int
    n_steps: int

    @property
    def staying(self) -> float:
        """Share of the steps that stay in their basin; NaN without steps."""
        if self.transitions is None or not self.n_steps:
            return float("nan")
        return float(np.trace(self.transitions) / self.n_steps)

    @property
    def staying_if_independent(self) -> float:
        """Share of the steps that would stay in their basin if rows were in random order, ``sum_a share_a^2``."""
        return float(np.sum(self.shares**2))


def visits(
    labels: NDArray[Any], n_minima: int, weights: FloatArray | None = None, chains: NDArray[Any] | None = None
) -> Visits:
    """Shares, dwell times and transitions of rows whose basins are known.

    Parameters
    ----------
    labels : int array (n_rows,)
        Basin of each row, -1 where it is not known.
    n_minima : int
    weights : array (n_rows,), optional
        Weights of the rows in the shares.
    chains : int array (n_rows,), optional
        The run of each row, the rows of a run following each other in time; None: rows have no order.

    Returns
    -------
    Visits
    """
    known = labels >= 0
    counted = np.bincount(labels[known], None if weights is None else weights[known], minlength=n_minima)
    total = len(labels) if weights is None else weights.sum()
    shares = counted / total if known.any() else np.full(n_minima, np.nan)
    if chains is None or n_minima > MOST_IN_TABLE:
        return Visits(shares, None, None, None, int(known.sum()), 0)
    steps = (chains[1:] == chains[:-1]) & known[1:] & known[:-1]
    pairs = labels[:-1][steps].astype(np.int64) * n_minima + labels[1:][steps]
    transitions = np.bincount(pairs, minlength=n_minima**2).reshape(n_minima, n_minima)
    leaving = transitions.sum(axis=1) - np.diag(transitions)
    with np.errstate(divide="ignore", invalid="ignore"):
        dwell = np.where(leaving > 0, transitions.sum(axis=1) / leaving, np.nan)
        independent = np.where(shares < 1.0, 1.0 / (1.0 - shares), np.nan)
    return Visits(shares, transitions, dwell, independent, int(known.sum()), int(steps.sum()))
