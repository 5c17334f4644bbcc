"""Errors and intervals of couplings of pairs that rarely coincide, for every estimator."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from infer.estimators.columns import VaryingSpins
from infer.samples import Samples
from infer.statistics.few_coincidences import FewCoincidences, few_coincidences
from infer.statistics.long_batches import batch_times, long_batch_labels
from infer.statistics.pair_tables import pair_shares
from infer.types import FloatArray

__all__ = ["RarePairs", "rare_pairs"]

CONFIDENCE = 0.95  # of the intervals that standard errors of rare pairs are made of
SLOWEST = 100.0  # rows that may count as one, where it is asked whether cells are small
MOST_FIXED = 500  # spins up to which triples and combinations that never change are looked for
NEGLIGIBLE = 0.01  # prior samples below which a penalty does not set the couplings of empty pairs


@dataclass(frozen=True, eq=False)
class RarePairs:
    """Pairs of spins whose couplings few rows determine, with their errors.

    Parameters
    ----------
    few : FewCoincidences
        Their tables; the pairs are indices among all spins.
    undetermined : ndarray of bool, shape (n_spins, n_spins)
        Pairs without a finite coupling of largest likelihood, symmetric.
    means : ndarray of float64, shape (n_spins,)
    shift : ndarray of float64, shape (n_pairs,)
        Fitted couplings less those of the tables under the same penalty: what the other spins explain.
    """

    few: FewCoincidences
    undetermined: NDArray[np.bool_]
    means: FloatArray
    shift: FloatArray

    def errors(
        self, couplings: FloatArray, couplings_std: FloatArray, fields_std: FloatArray
    ) -> tuple[FloatArray, FloatArray]:
        """Standard errors that hold for few coincidences: NaN where a coupling or a field is not determined.

        Those of the other rare pairs are the largest of the given ones, the root of the inverse curvature of the
        pair's table, and the distance to the end of its 95 % interval on the side of zero over 1.96: few coincidences
        are not normal, and a ratio of coupling and error must not make a chance event a discovery.

        Parameters
        ----------
        couplings, couplings_std : ndarray of float64, shape (n_spins, n_spins)
        fields_std : ndarray of float64, shape (n_spins,)

        Returns
        -------
        couplings_std, fields_std : ndarray of float64
        """
        i, j = self.few.pairs.T
        wide = couplings_std.copy()
        with np.errstate(invalid="ignore"):
            found = np.maximum(self._of_tables(couplings[i, j]), couplings_std[i, j])
        # a sparse penalty keeps couplings at zero without error
        found = np.where(couplings_std[i, j] == 0.0, 0.0, found)
        wide[i, j] = wide[j, i] = found
        wide[self.undetermined & (couplings_std != 0.0)] = np.nan
        fields = fields_std.copy()
        if self.few.fit_fields:
            # h_i moves by -m_j J_ij, so that it has the errors of the couplings of its spin, and one of its own
            more = np.zeros_like(wide)
            gained = np.maximum(found**2 - couplings_std[i, j] ** 2, 0.0)
            more[i, j], more[j, i] = gained * self.means[j] ** 2, gained * self.means[i] ** 2
            fields = np.sqrt(fields**2 + more.sum(axis=1))
        fields[np.isnan(wide).any(axis=1) & (fields_std != 0.0)] = np.nan
        return wide, fields

    def _of_tables(self, couplings: FloatArray) -> FloatArray:
        """Standard errors (n_pairs,) from the tables alone; NaN where an interval is open on the side of zero."""
        best = self.few.best()
        lower, upper = self.few.interval(CONFIDENCE)
        near = np.where(couplings > 0.0, best - lower, upper - best) / stats.norm.ppf(0.5 + CONFIDENCE / 2.0)
        return np.where(np.isfinite(near), np.maximum(near, self.few.std()), np.nan)

    def interval(
        self, couplings: FloatArray, couplings_std: FloatArray, confidence: float, lower: FloatArray, upper: FloatArray
    ) -> tuple[FloatArray, FloatArray]:
        """Intervals of all couplings, those of rare pairs by profile likelihood of their tables.

        Parameters
        ----------
        couplings : ndarray of float64, shape (n_spins, n_spins)
        couplings_std : ndarray of float64, shape (n_spins, n_spins)
            As of `errors`.
        confidence : float
        lower, upper : ndarray of float64, shape (n_spins, n_spins)
            Intervals of the other pairs.

        Returns
        -------
        lower, upper : ndarray of float64, shape (n_spins, n_spins)
        """
        i, j = self.few.pairs.T
        low, high = self.few.interval(confidence)
        best, here = self.few.best(), couplings[i, j]
        with np.errstate(invalid="ignore", divide="ignore"):
            # neighbours that share its rows leave a pair less than its own table
            tables = self._of_tables(here)
            wider = np.fmax(couplings_std[i, j] / tables, 1.0)
        # the fit knows no error for another reason, such as a single batch of rows
        wider[np.isfinite(tables) & np.isnan(couplings_std[i, j])] = np.nan
        lower, upper = lower.copy(), upper.copy()
        lower[i, j] = lower[j, i] = np.minimum(here, best - wider * (best - low) + self.shift)
        upper[i, j] = upper[j, i] = np.maximum(here, best + wider * (high - best) + self.shift)
        # their own tables do not tell what is open: triples and larger combinations of spins
        open_pairs = self.undetermined.copy()
        i, j = self.few.pairs[self.few.empty].T
        open_pairs[i, j] = open_pairs[j, i] = False
        lower[open_pairs], upper[open_pairs] = -np.inf, np.inf
        return lower, upper


def rare_pairs(samples: VaryingSpins, couplings: FloatArray, ridge: float, added: float) -> RarePairs | None:
    """
    Pairs that take one of their joint values in few rows, or always obey a combination of spins; None for none.

    Parameters
    ----------
    samples : VaryingSpins
    couplings : ndarray of float64, shape (n_spins, n_spins)
        As fitted.
    ridge : float
        Strength of the fit's penalty ``ridge/2 J^2``, relative to the mean log-likelihood.
    added : float
        Rows that the penalty of the fit adds to each cell of a table (Firth's: 1/2).

    Returns
    -------
    RarePairs or None
    """
    if samples.n_varying < 2:
        return None
    means, second = samples.moments()
    n, fit_fields = samples.n_samples, samples.fit_fields
    fixed = np.zeros((len(means),) * 2, dtype=bool)
    if len(means) <= MOST_FIXED and samples.n_rows > 2 * (len(means) + 1):
        fixed = samples.open_pairs.beyond_tables
    known = means if fit_fields else np.zeros_like(means)
    least = np.minimum(pair_shares(known, second), pair_shares(known, np.outer(known, known))).min(axis=0)
    np.fill_diagonal(least, 1.0)
    worth = None
    if n * least.min() < SLOWEST * 10.0 and samples.samples.ordered:
        worth = _worth(samples.samples, samples.varying)
    few = few_coincidences(means, second, n, fit_fields, worth)
    if not len(few.pairs) and not fixed.any():
        return None
    few = FewCoincidences(samples.varying[few.pairs], few.counts, fit_fields, few.worth)
    undetermined = np.zeros((samples.n_spins,) * 2, dtype=bool)
    undetermined[np.ix_(samples.varying, samples.varying)] = fixed
    i, j = few.pairs[few.empty].T
    undetermined[i, j] = undetermined[j, i] = True
    every = np.zeros(samples.n_spins)
    every[samples.varying] = means
    tables = few.best(n * ridge, added if fit_fields else added / 2.0)
    shift = couplings[tuple(few.pairs.T)] - tables
    if n * ridge < NEGLIGIBLE and not added:
        shift[few.empty] = 0.0  # both have run off
    return RarePairs(few, undetermined, every, shift)


def _worth(samples: Samples, varying: NDArray[np.intp]) -> FloatArray | None:
    """Number of independent rows that a row is worth, for each pair, from the correlation times of its spins.

    Autocorrelations of a product of two spins fall as the product of theirs; taken as exponentials, a time ``(1 + r) /
    (1 - r)`` of each gives ``(1 + r_i r_j) / (1 - r_i r_j)`` for the pair.
    """
    if samples.blocks or samples.n_rows < 4:
        return None
    spins = samples.spins[:, varying]
    labels = long_batch_labels(spins, samples.chains, samples.weight)
    times = batch_times(spins, labels, samples.weight, samples.chains)
    kept = np.clip((times - 1.0) / (times + 1.0), 0.0, 0.999)
    both = np.outer(kept, kept)
    return np.asarray((1.0 - both) / (1.0 + both))
