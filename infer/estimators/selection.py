"""Selection of the non-zero couplings: penalty paths with cross-validation and extended BIC, and decimation."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import KFold

from infer.estimators.base import SpinEstimator, without_errors
from infer.estimators.columns import VaryingSpins
from infer.estimators.likelihood.partition import refuse_gaps
from infer.estimators.newton import Local, Minimum, Pairs, minimise
from infer.estimators.probability_flow import margin_chunks, row_share
from infer.estimators.pseudolikelihood.estimator import PseudoLikelihood
from infer.estimators.rows import SpinRows
from infer.model import PairModel
from infer.wording import brief
from simulate.progress_bars import tqdm
from simulate.threads import one_blas_thread
from simulate.user_warnings import collected_warnings, warn

FloatArray = NDArray[np.float64]

TOLERANCE = 1e-6
MOST_STEPS = 100


@dataclass(frozen=True)
class PenaltyPath:
    """Fits along a path of penalties, with the criteria to choose one.

    Attributes
    ----------
    alphas : ndarray (n_alphas,)
        Penalties, from strong to weak.
    couplings : ndarray (n_alphas, n_spins, n_spins)
        Couplings of the penalised fits.
    fields : ndarray (n_alphas, n_spins)
        Fields of the penalised fits.
    n_couplings : int array (n_alphas,)
        Pairs with a coupling.
    score : ndarray (n_alphas,)
        Mean log pseudo-likelihood per sample, refitted without penalty to those pairs; in nats.
    extended_bic : ndarray (n_alphas,)
        Extended Bayesian information criterion, smaller is better.
    held_out : ndarray (n_alphas,)
        Cross-validated mean log pseudo-likelihood per sample, in nats; larger is better.
    held_out_std : ndarray (n_alphas,)
        Its standard error over folds.
    converged : bool
        Whether all refits without penalty have converged.
    """

    alphas: FloatArray
    couplings: FloatArray
    fields: FloatArray
    n_couplings: NDArray[np.int64]
    score: FloatArray
    extended_bic: FloatArray
    held_out: FloatArray
    held_out_std: FloatArray
    converged: bool

    __repr__ = brief

    @property
    def best_by_extended_bic(self) -> int:
        """Index of the smallest extended BIC."""
        return int(np.argmin(self.extended_bic))

    @property
    def best_by_cross_validation(self) -> int:
        """Index of the largest cross-validated score."""
        return int(np.argmax(self.held_out))

    @property
    def at_edge(self) -> bool:
        """Whether the best cross-validated penalty is the first or the last of several: the best lies beyond."""
        return len(self.alphas) > 1 and self.best_by_cross_validation in (0, len(self.alphas) - 1)


@dataclass(frozen=True)
class Decimation:
    """Couplings that remain when the smallest ones are removed step by step.

    Attributes
    ----------
    couplings : ndarray (n_spins, n_spins)
        Couplings of the step at which the tilted pseudo-likelihood is largest.
    fields : ndarray (n_spins,)
        Fields of the same step.
    n_couplings : int array (n_steps,)
        Number of pairs with a coupling, from all to none.
    score : ndarray (n_steps,)
        Mean log pseudo-likelihood per sample, in nats.
    tilted : ndarray (n_steps,)
        The score less the straight line between the scores without couplings and with all.
    best : int
        Step of the couplings above.
    converged : bool
        Whether all fits have converged.
    """

    couplings: FloatArray
    fields: FloatArray
    n_couplings: NDArray[np.int64]
    score: FloatArray
    tilted: FloatArray
    best: int
    converged: bool

    __repr__ = brief


def fit_on_pairs(
    rows: SpinRows,
    kept: NDArray[np.bool_],
    fit_fields: bool,
    start: FloatArray | None = None,
    tol: float = TOLERANCE,
    max_iter: int = MOST_STEPS,
) -> tuple[FloatArray, FloatArray, Minimum]:
    """
    Symmetric couplings of some pairs only, and fields, that maximise the pseudo-likelihood.

    Parameters
    ----------
    rows : SpinRows
        Rows without constant spins.
    kept : bool array (n_pairs,)
        True for pairs (above the diagonal, row by row) that may have a coupling.
    fit_fields : bool
    start : ndarray, optional
        Couplings of all pairs and fields, as one vector, to start from.
    tol : float
        Largest absolute component of the gradient of the mean negative log pseudo-likelihood per sample.
    max_iter : int

    Returns
    -------
    couplings : ndarray (n_spins, n_spins)
    fields : ndarray (n_spins,)
    minimum : Minimum
        Its point holds the couplings of all pairs and the fields.
    """
    pairs = Pairs(rows.n_spins, fit_fields)
    free = np.concatenate([kept, np.ones(pairs.size - pairs.n_pairs, dtype=bool)])
    full = np.zeros(pairs.size)
    if start is not None:
        full[free] = start[free]

    def spread(vector: FloatArray) -> tuple[FloatArray, FloatArray]:
        everything = np.zeros(pairs.size)
        everything[free] = vector
        return pairs.unpack(everything)

    def local(vector: FloatArray) -> Local:
        couplings, fields = spread(vector)
        value, by_couplings, by_fields = 0.0, np.zeros_like(couplings), np.zeros_like(fields)
        for part, chunk, margins in margin_chunks(rows, couplings, fields):
            share = row_share(rows, part)
            value += float((np.logaddexp(0.0, -2.0 * margins) * share).sum())
            residual = (np.tanh(margins) - 1.0) * chunk * share
            by_couplings += residual.T @ chunk
            by_fields += residual.sum(axis=0)
        return value, pairs.pack(by_couplings + by_couplings.T, by_fields)[free], curvature(couplings, fields)

    def curvature(couplings: FloatArray, fields: FloatArray) -> Callable[[FloatArray], FloatArray]:
        def apply(direction: FloatArray) -> FloatArray:
            change, field_change = spread(direction)
            by_couplings, by_fields = np.zeros_like(couplings), np.zeros_like(fields)
            for part, chunk, margins in margin_chunks(rows, couplings, fields):
                moved = (chunk @ change + field_change) * (1.0 - np.tanh(margins) ** 2) * row_share(rows, part)
                by_couplings += moved.T @ chunk
                by_fields += moved.sum(axis=0)
            return pairs.pack(by_couplings + by_couplings.T, by_fields)[free]

        return apply

    if not free.any():
        return *pairs.unpack(full), Minimum(full, 0.0, False, 0)
    found = minimise(local, full[free], tol, max_iter)
    full = np.zeros(pairs.size)
    full[free] = found.point
    return *pairs.unpack(full), Minimum(full, found.gradient_norm, found.unbounded, found.n_iter)


def _unconverged(found: Minimum) -> bool:
    """Whether a fit stopped short of its optimum, or has none."""
    return found.unbounded or found.gradient_norm > TOLERANCE


def _score(samples: VaryingSpins, couplings: FloatArray, fields: FloatArray) -> float:
    """Mean log pseudo-likelihood of the spins that vary."""
    values = PairModel(couplings, fields).log_pseudolikelihood(samples.spins[:, samples.varying])
    return float(np.average(values, weights=samples.weight))


def penalty_path(
    estimator: SpinEstimator,
    X: Any,
    alphas: ArrayLike,
    sample_weight: ArrayLike | None = None,
    *,
    n_folds: int = 5,
    gamma: float = 0.5,
    progress: bool = False,
) -> PenaltyPath:
    r"""
    Fit an estimator with a sparse penalty at several strengths, with the criteria to choose one of them.

    The pairs with a coupling in each fit are refitted without penalty; their extended Bayesian information criterion is

    .. math:: -2 n L + k (\log n + 2 \gamma \log (N - 1)),

    with n samples of N spins, L the mean log pseudo-likelihood of the refit, and k twice the number of pairs (each is a
    parameter of two conditional probabilities). Cross-validation scores the penalised fit on held-out rows; folds are
    contiguous, so that correlated rows are in the same fold.

    Parameters
    ----------
    estimator : SpinEstimator
        Estimator with a parameter ``alpha``: `InteractionScreening`, or `PseudoLikelihood` with penalty "l1".
    X : array-like (n_samples, n_spins) of +-1, xarray.Dataset or Recording
    alphas : array-like (n_alphas,)
        Penalties, in any order.
    sample_weight : array-like (n_samples,), optional
    n_folds : int
        Number of folds of the cross-validation.
    gamma : float
        Strength with which the criterion favours few couplings among many spins; 0 is the plain BIC.
    progress : bool
        Show a progress bar.

    Returns
    -------
    PenaltyPath

    Raises
    ------
    ValueError
        If there are no alphas, one is negative, there are fewer rows than folds, or values are missing.

    Warns
    -----
    ConvergenceWarning
        If refits without penalty have not converged, so that `score` and `extended_bic` are unreliable.

    References
    ----------
    R. Foygel Barber, M. Drton 2015, Electronic J. Statistics 9, 567, arXiv:1403.3374. J. Chen, Z. Chen 2008,
    Biometrika 95, 759.
    """
    strengths = np.sort(np.unique(np.asarray(alphas, dtype=np.float64)))[::-1]
    if not len(strengths) or strengths.min() < 0 or not np.isfinite(strengths).all():
        raise ValueError(f"alphas must be numbers of at least 0, got {np.asarray(alphas).tolist()}")
    with collected_warnings(ConvergenceWarning):  # every fit would warn of constant spins
        samples = clone(estimator).prepare(X, sample_weight)
    given = samples.samples
    refuse_gaps(given.spins, "a path of penalties")
    rows, above = samples.rows(), np.triu_indices(len(samples.varying), 1)
    array = given.spins
    if len(array) < n_folds or n_folds < 2:
        raise ValueError(f"n_folds must be from 2 to the number of rows, {len(array)}, got {n_folds}")
    weight = given.weight
    estimator = without_errors(estimator).set_params(threshold=None, fit_fields=samples.fit_fields)
    splits = list(KFold(n_folds).split(array))
    all_couplings, all_fields, numbers, scores, held, held_std, bad = [], [], [], [], [], [], 0
    with tqdm(total=len(strengths) * (n_folds + 1), disable=not progress, desc="penalties", unit="fit") as bar:
        for alpha in strengths:
            model = clone(estimator).set_params(alpha=float(alpha)).fit(array, sample_weight=weight)
            bar.update()
            all_couplings.append(model.couplings_)
            all_fields.append(model.fields_)
            kept = model.couplings_[np.ix_(samples.varying, samples.varying)][above] != 0.0
            numbers.append(int(kept.sum()))
            with one_blas_thread():
                couplings, fields, found = fit_on_pairs(rows, kept, samples.fit_fields)
            bad += _unconverged(found)
            scores.append(_score(samples, couplings, fields))
            unseen = []
            for train, test in splits:
                part = clone(model).fit(array[train], sample_weight=None if weight is None else weight[train])
                unseen.append(part.score(array[test], sample_weight=None if weight is None else weight[test]))
                bar.update()
            held.append(np.mean(unseen))
            held_std.append(np.std(unseen, ddof=1) / np.sqrt(n_folds))
    if bad:
        warn(
            f"{bad} of {len(strengths)} refits without penalty did not converge (some spins may be determined by the "
            "others), so that their score and extended BIC are not known: give more samples, larger alphas, or use "
            "cross-validation",
            ConvergenceWarning,
            stacklevel=2,
        )
    n_couplings, score = np.array(numbers), np.array(scores)
    each = np.log(samples.n_samples) + 2.0 * gamma * np.log(max(samples.n_spins - 1, 1))
    return PenaltyPath(
        strengths,
        np.array(all_couplings),
        np.array(all_fields),
        n_couplings,
        score,
        -2.0 * samples.n_samples * score + 2.0 * n_couplings * each,
        np.array(held),
        np.array(held_std),
        bad == 0,
    )


def decimate(
    X: Any,
    sample_weight: ArrayLike | None = None,
    *,
    fit_fields: bool | str = "auto",
    fraction: float = 0.05,
    progress: bool = False,
) -> Decimation:
    r"""
    Remove the smallest couplings step by step, and choose the step with the largest tilted pseudo-likelihood.

    Starts from the symmetric couplings of largest pseudo-likelihood L, sets a fraction of all pairs, those with the
    smallest couplings, permanently to zero, maximises L again over the others, and so on until none is left. With x the
    fraction of pairs left, the couplings chosen are those where the tilted pseudo-likelihood

    .. math:: L(x) - x L_{max} - (1 - x) L_{min}

    is largest, :math:`L_{max}` being L with all couplings and :math:`L_{min}` with none. No penalty is needed, and
    remaining couplings are not shrunk.

    Parameters
    ----------
    X : array-like (n_samples, n_spins) of +-1, xarray.Dataset or Recording
    sample_weight : array-like (n_samples,), optional
    fit_fields : bool or "auto", default "auto"
        "auto": True except for samples of simulations without fields.
    fraction : float, default 0.05
        Fraction of all pairs that is removed in each step.
    progress : bool
        Show a progress bar.

    Returns
    -------
    Decimation

    Raises
    ------
    ValueError
        If X contains values other than +-1, or the fraction is not between 0 and 1.

    Warns
    -----
    ConvergenceWarning
        If the fits of some steps have not converged.

    References
    ----------
    A. Decelle, F. Ricci-Tersenghi 2014, Phys. Rev. Lett. 112, 070603, arXiv:1310.3691.
    """
    if not 0.0 < fraction <= 1.0:
        raise ValueError(f"fraction must be above 0 and at most 1, got {fraction!r}")
    samples = PseudoLikelihood(fit_fields=fit_fields).prepare(X, sample_weight)
    fit_fields = samples.fit_fields
    rows, pairs = samples.rows(), Pairs(len(samples.varying), fit_fields)
    kept = np.ones(pairs.n_pairs, dtype=bool)
    at_once = max(1, round(fraction * pairs.n_pairs))
    start, steps, points, scores, bad = None, [], [], [], 0
    with one_blas_thread(), tqdm(total=pairs.n_pairs, disable=not progress, desc="decimation", unit="pair") as bar:
        while True:
            couplings, fields, found = fit_on_pairs(rows, kept, fit_fields, start)
            bad += _unconverged(found)
            start = found.point
            steps.append(int(kept.sum()))
            points.append((couplings, fields))
            scores.append(_score(samples, couplings, fields))
            if not kept.any():
                break
            strength = np.where(kept, np.abs(start[: pairs.n_pairs]), np.inf)
            gone = np.argsort(strength, kind="stable")[: min(at_once, steps[-1])]
            kept[gone] = False
            bar.update(len(gone))
    if bad:
        warn(
            f"{bad} of {len(steps)} fits did not converge (some spins may be determined by the others): give more "
            "samples, or use InteractionScreening, whose penalty keeps couplings finite",
            ConvergenceWarning,
            stacklevel=2,
        )
    number, score = np.array(steps), np.array(scores)
    left = number / max(pairs.n_pairs, 1)
    tilted = score - left * score[0] - (1.0 - left) * score[-1]
    best = int(np.argmax(tilted))
    return Decimation(*samples.expand(*points[best]), number, score, tilted, best, bad == 0)
