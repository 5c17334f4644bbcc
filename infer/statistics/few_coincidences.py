"""Errors of couplings for pairs of spins that rarely take one of their four joint values."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import stats

from infer.statistics.pair_tables import pair_shares
from infer.types import FloatArray

__all__ = ["FEW", "FewCoincidences", "few_coincidences"]

FEW = 10.0
"""Rows in a cell of a pair's table (counted, or expected for independent spins) below which errors are from here."""

BISECTIONS = 40
FARTHEST = 12.0  # couplings per temperature: a table of n rows reaches about log(2 n) / 2
PAIRS_AT_ONCE = 1 << 14  # whose numbers stay in the cache
STEP = np.array([1.0, -1.0, -1.0, 1.0])  # how a table with given margins changes with its first cell
LEAST = 1e-9  # share of the rows that counts as none


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
    worth : ndarray of float64, shape (n_pairs,), optional
        How many independent rows each row is worth for a pair, at most 1; 1 by default.
    """

    pairs: NDArray[np.int64]
    counts: FloatArray
    fit_fields: bool
    worth: ArrayLike = 1.0

    @property
    def independent_counts(self) -> FloatArray:
        """Independent rows that the cells are worth, shape (n_pairs, 4)."""
        return self.counts * np.broadcast_to(np.asarray(self.worth, dtype=np.float64), len(self.counts))[:, None]

    @property
    def empty(self) -> NDArray[np.bool_]:
        """Whether a pair has an empty cell: its coupling is not determined, shape (n_pairs,)."""
        return (self.counts <= LEAST * self.counts.sum(axis=1, keepdims=True)).any(axis=1)

    def std(self) -> FloatArray:
        """Root of the inverse curvature of the tables' likelihood, shape (n_pairs,); NaN for empty pairs.

        ``J = log(n_++ n_-- / (n_+- n_-+)) / 4``, with the variance ``sum 1/n / 16``.
        """
        with np.errstate(divide="ignore"):
            std = np.sqrt((1.0 / np.maximum(self.independent_counts, 0.0)).sum(axis=1)) / 4.0
        # without fields both cells of a pair of opposite states hold half of their rows: the sum over four holds
        std[self.empty] = np.nan
        return std

    def best(self, ridge: float = 0.0, added: float = 0.0) -> FloatArray:
        """Couplings of largest likelihood of the tables, penalised, shape (n_pairs,).

        Parameters
        ----------
        ridge : float
            Strength of a penalty ``ridge/2 J^2`` on the log-likelihood of all rows.
        added : float
            Rows that are added to each cell (half a row is Jeffreys' prior).

        Returns
        -------
        ndarray of float64, shape (n_pairs,)
            Within the range searched, +-12, where the likelihood grows without end.
        """
        counts = self.counts + added
        with np.errstate(divide="ignore", invalid="ignore"):
            log = np.log(counts)
            found = (log[:, 0] + log[:, 3] - log[:, 1] - log[:, 2]) / 4.0
        found = np.clip(np.where(np.isnan(found), 0.0, found), -FARTHEST, FARTHEST)
        if ridge == 0.0:
            return np.asarray(found)

        def excess(coupling: FloatArray, counts: FloatArray) -> FloatArray:
            """Derivative of the penalised log-likelihood."""
            return 4.0 * (counts[:, 0] - self._first_cell(coupling, counts)) - ridge * coupling

        start = np.minimum(0.0, found), np.maximum(0.0, found)
        return self._in_parts(lambda *arrays: _falls_to_zero(excess, *arrays), *start, counts)

    def interval(self, confidence: float) -> tuple[FloatArray, FloatArray]:
        """Lower and upper ends of the couplings by profile likelihood of the tables, fields profiled out.

        Counts are whole numbers, so that half a row is moved towards each end before (continuity correction, Cornfield
        1956), which makes the coverage at least about the confidence. Less than half a row in the (+, +) or the (-, -)
        cell leaves no lower end, in the (+, -) or the (-, +) cell no upper end.

        Parameters
        ----------
        confidence : float

        Returns
        -------
        lower, upper : ndarray of float64, shape (n_pairs,)

        References
        ----------
        J. Cornfield (1956), Proc. Third Berkeley Symposium 4, 135.
        """
        bound = float(stats.chi2.ppf(confidence, 1)) / 2.0
        counts, half = self.independent_counts, 0.5 if self.fit_fields else 0.25
        ends = []
        for sign in (-1.0, 1.0):
            moved = counts + sign * half * STEP
            is_open = moved.min(axis=1) <= 0.0
            table = np.where(is_open[:, None], 1.0, moved)
            log = np.log(table)
            near = np.clip((log[:, 0] + log[:, 3] - log[:, 1] - log[:, 2]) / 4.0, -FARTHEST, FARTHEST)

            def inside(coupling: FloatArray, table: FloatArray, largest: FloatArray) -> FloatArray:
                """Log-likelihood above that of the end of the interval; negative outside of the interval."""
                return bound - (largest - self._profile(coupling, table))

            found = self._in_parts(
                lambda far, table, near: _falls_to_zero(inside, near, far, table, self._profile(near, table)),
                np.full(len(near), sign * FARTHEST),
                table,
                near,
            )
            ends.append(np.where(is_open, sign * np.inf, found))
        return ends[0], ends[1]

    def _in_parts(self, work: Callable[..., FloatArray], *arrays: FloatArray) -> FloatArray:
        """Results of a function of pairs, some pairs at a time."""
        starts = range(0, max(len(self.pairs), 1), PAIRS_AT_ONCE)
        return np.concatenate([work(*(a[start : start + PAIRS_AT_ONCE] for a in arrays)) for start in starts])

    def _first_cell(self, coupling: FloatArray, counts: FloatArray) -> FloatArray:
        """Rows in the first cell of tables with given margins at couplings (of half of A rows that agree)."""
        n = counts.sum(axis=1)
        if not self.fit_fields:
            return n / (1.0 + np.exp(-2.0 * coupling)) / 2.0
        return _cells(counts[:, 0] + counts[:, 1], counts[:, 0] + counts[:, 2], n, coupling)[0]

    def _profile(self, coupling: FloatArray, counts: FloatArray) -> FloatArray:
        """Largest log-likelihood of tables at couplings, over the fields that there are."""
        n = counts.sum(axis=1)
        if not self.fit_fields:
            agree = counts[:, 0] + counts[:, 3]
            return -agree * np.logaddexp(0.0, -2.0 * coupling) - (n - agree) * np.logaddexp(0.0, 2.0 * coupling)
        cells = _cells(counts[:, 0] + counts[:, 1], counts[:, 0] + counts[:, 2], n, coupling)
        total = np.zeros(len(n))
        for count, cell in zip(counts.T, cells, strict=True):
            total += np.where(count > 0, count * np.log(np.maximum(cell, 1e-300) / n), 0.0)
        return total


def _cells(row: FloatArray, column: FloatArray, n: FloatArray, coupling: FloatArray) -> list[FloatArray]:
    """Cells of tables with given margins and log odds ratio ``4 J``: those that maximise the likelihood.

    The first cell x solves ``x (n - r - c + x) = w (r - x) (c - x)``, w the odds ratio. Spins are turned so that
    w <= 1 and r + c <= n, where the formula for the root loses no digits.
    """
    flipped = coupling > 0.0
    c = np.where(flipped, n - column, column)
    both = row + c > n
    r, c = np.where(both, n - row, row), np.where(both, n - c, c)
    odds = np.exp(-4.0 * np.abs(coupling))
    s = n - (r + c) * (1.0 - odds)
    x = 2.0 * r * c * odds / (s + np.sqrt(s * s + 4.0 * r * c * odds * (1.0 - odds)))
    one, two, three, four = x, r - x, c - x, n - r - c + x
    one, two, three, four = (np.where(both, a, b) for a, b in ((four, one), (three, two), (two, three), (one, four)))
    turned = ((two, one), (one, two), (four, three), (three, four))
    return [np.where(flipped, a, b) for a, b in turned]


def _falls_to_zero(
    function: Callable[..., FloatArray], inside: FloatArray, outside: FloatArray, *more: FloatArray
) -> FloatArray:
    """Places where monotonic functions of a coupling reach zero, by bisection.

    `function` is positive at the lower of two places of `best`, and at `inside` of an interval.
    """
    for _ in range(BISECTIONS):
        middle = (inside + outside) / 2.0
        positive = function(middle, *more) >= 0.0
        inside, outside = np.where(positive, middle, inside), np.where(positive, outside, middle)
    return (inside + outside) / 2.0


def few_coincidences(
    means: FloatArray, second_moments: FloatArray, n_samples: float, fit_fields: bool, worth: FloatArray | None = None
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
    worth : ndarray of float64, shape (n_spins, n_spins), optional
        How many independent rows each row is worth for a pair, at most 1; 1 by default.

    Returns
    -------
    FewCoincidences
    """
    known = means if fit_fields else np.zeros_like(means)
    i, j = np.triu_indices(len(means), 1)
    weight = np.ones(len(i)) if worth is None else worth[i, j]
    counts = n_samples * pair_shares(known, second_moments)[:, i, j].T
    expected = n_samples * pair_shares(known, np.outer(known, known))[:, i, j].T
    found = weight * np.minimum(counts, expected).min(axis=1) < FEW
    counts = np.where(counts < LEAST * n_samples, 0.0, counts)
    return FewCoincidences(np.column_stack([i, j])[found], counts[found], fit_fields, weight[found])
