"""Errors of couplings for pairs of spins that rarely take one of their four joint values."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from infer.statistics.pair_tables import pair_shares
from infer.types import FloatArray

FEW = 10.0
"""Rows in a cell of a pair's table (counted, or expected for independent spins) below which errors are from here."""

BISECTIONS = 60
FARTHEST = 30.0  # largest coupling (in units of the temperature) in the search for the ends of intervals


@dataclass(frozen=True, eq=False)
class FewCoincidences:
    """Pairs with few rows in a cell of their table, with errors and intervals of their couplings from these tables.

    Parameters
    ----------
    pairs : ndarray of int64, shape (n_pairs, 2)
        Indices i < j of the spins.
    counts : ndarray of float64, shape (n_pairs, 4)
        Rows in the cells (+, +), (+, -), (-, +), (-, -); without fields, two cells that differ by a flip of both spins
        share their rows equally.
    fit_fields : bool
        Whether the model has fields.
    """

    pairs: NDArray[np.int64]
    counts: FloatArray
    fit_fields: bool

    @property
    def empty(self) -> NDArray[np.bool_]:
        """Whether a pair has an empty cell: its coupling is not determined, shape (n_pairs,)."""
        return (self.counts <= 1e-9 * self.counts.sum(axis=1, keepdims=True)).any(axis=1)

    def std(self) -> FloatArray:
        """Root of the inverse curvature of the tables' likelihood, shape (n_pairs,); NaN for empty pairs.

        ``J = log(n_++ n_-- / (n_+- n_-+)) / 4``, with the variance ``sum 1/n / 16``.
        """
        with np.errstate(divide="ignore"):
            std = np.sqrt((1.0 / np.maximum(self.counts, 0.0)).sum(axis=1)) / 4.0
        # without fields both cells of opposite states hold half of their rows, so the sum over four cells stays correct
        std[self.empty] = np.nan
        return std

    def interval(self, confidence: float) -> tuple[FloatArray, FloatArray]:
        """Lower and upper ends of the couplings by profile likelihood of the tables, fields profiled out.

        An empty (+, +) or (-, -) cell leaves no lower end, an empty (+, -) or (-, +) cell no upper end.

        Parameters
        ----------
        confidence : float

        Returns
        -------
        lower, upper : ndarray of float64, shape (n_pairs,)
        """
        bound = float(stats.chi2.ppf(confidence, 1)) / 2.0
        with np.errstate(divide="ignore", invalid="ignore"):
            log = np.log(np.where(self.counts > 0, self.counts, 0.0))
            best = np.clip((log[:, 0] + log[:, 3] - log[:, 1] - log[:, 2]) / 4.0, -FARTHEST, FARTHEST)
        best = np.where(np.isfinite(best), best, 0.0)
        down, up = self.empty & self._lacks((0, 3)), self.empty & self._lacks((1, 2))
        best = np.where(down & ~up, -FARTHEST, np.where(up & ~down, FARTHEST, best))
        top = self._profile(best)
        ends = []
        for sign, open_end in ((-1.0, down), (1.0, up)):
            near, far = best.copy(), np.full_like(best, sign * FARTHEST)
            for _ in range(BISECTIONS):
                middle = (near + far) / 2.0
                inside = top - self._profile(middle) <= bound
                near, far = np.where(inside, middle, near), np.where(inside, far, middle)
            ends.append(np.where(open_end, sign * np.inf, near))
        return ends[0], ends[1]

    def _lacks(self, cells: tuple[int, int]) -> NDArray[np.bool_]:
        """Whether one of two cells is empty."""
        return (self.counts[:, cells] <= 1e-9 * self.counts.sum(axis=1, keepdims=True)).any(axis=1)

    def _profile(self, coupling: FloatArray) -> FloatArray:
        """Largest log-likelihood of the tables at given couplings, over the fields where the model has them.

        A table with given margins and given log odds ratio ``4 J`` maximises the likelihood: its first cell solves a
        quadratic equation.
        """
        n = self.counts.sum(axis=1)
        if not self.fit_fields:
            agree = self.counts[:, 0] + self.counts[:, 3]
            return -agree * np.logaddexp(0.0, -2.0 * coupling) - (n - agree) * np.logaddexp(0.0, 2.0 * coupling)
        row, column = self.counts[:, 0] + self.counts[:, 1], self.counts[:, 0] + self.counts[:, 2]
        # the first cell by bisection, in the logarithm of the odds: stable for every coupling
        low, high = np.maximum(0.0, row + column - n), np.minimum(row, column)
        for _ in range(BISECTIONS):
            x = (low + high) / 2.0
            with np.errstate(divide="ignore", invalid="ignore"):
                odds = np.log(x) + np.log(n - row - column + x) - np.log(row - x) - np.log(column - x)
            below = odds < 4.0 * coupling
            low, high = np.where(below, x, low), np.where(below, high, x)
        x = (low + high) / 2.0
        cells = np.column_stack([x, row - x, column - x, n - row - column + x])
        with np.errstate(divide="ignore", invalid="ignore"):
            terms = np.where(self.counts > 0, self.counts * np.log(np.maximum(cells, 1e-300) / n[:, None]), 0.0)
        return np.asarray(terms.sum(axis=1))


def few_coincidences(
    means: FloatArray, second_moments: FloatArray, n_samples: float, fit_fields: bool
) -> FewCoincidences:
    """
    Pairs of spins with fewer than ten rows in a cell of their table, counted, or expected for independent spins.

    Parameters
    ----------
    means : ndarray of float64, shape (n_spins,)
        Means of spins that vary.
    second_moments : ndarray of float64, shape (n_spins, n_spins)
    n_samples : float
        Effective number of samples of the rows.
    fit_fields : bool

    Returns
    -------
    FewCoincidences
    """
    known = means if fit_fields else np.zeros_like(means)
    i, j = np.triu_indices(len(means), 1)
    counts = n_samples * pair_shares(known, second_moments)[:, i, j].T
    expected = n_samples * pair_shares(known, np.outer(known, known))[:, i, j].T
    found = (np.minimum(counts, expected) < FEW).any(axis=1)
    counts = np.where(counts < 1e-9 * n_samples, 0.0, counts)
    return FewCoincidences(np.column_stack([i, j])[found], counts[found], fit_fields)
