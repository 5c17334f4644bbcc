"""Standard errors of maximum likelihood: propagation of the errors of the data's moments to couplings and fields."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import LinAlgError, cho_factor, cho_solve

from infer.estimators.likelihood.acceptance import LOUDEST
from infer.estimators.likelihood.maximise import MomentFit
from infer.estimators.likelihood.sampled_curvature import SampledCurvature, WeightedStates, pair_variances, solve
from infer.estimators.likelihood.terms import Terms
from infer.statistics.long_batches import long_batches
from infer.statistics.pair_tables import pair_shares
from infer.types import FloatArray, IntArray, SpinArray

INDEPENDENT_BATCHES = 1000  # of rows without time order: standard errors known to 2 %
MOST_VALUES = 50_000_000  # of all roots together
MOST_DENSE = 6000  # parameters whose covariance is formed (288 MB)
STATES_PER_PARAMETER = 8
STATES = (20_000, 100_000)
STATES_AT_ONCE = 4096
FEW = 10.0  # rows in a cell of a pair's table below which the larger of two errors is used
CG_STATES = 10_000
CG_PRODUCTS = 12


@dataclass(frozen=True, eq=False)
class ParameterErrors:
    """Standard errors of couplings (n_spins, n_spins), fields (n_spins,) and potential (n_spins + 1,)."""

    couplings: FloatArray
    fields: FloatArray
    potential: FloatArray


def moment_roots(
    terms: Terms,
    spins: SpinArray,
    weight: FloatArray | None,
    chains: IntArray | None,
    ordered: bool,
    n_samples: float,
) -> tuple[FloatArray, float, float]:
    """
    Root of the covariance `roots.T @ roots` of the data's moments, from batches of rows.

    Rows in time order are cut into batches inside their runs, whose variance includes all correlations within; where
    rows remember for long, that of slow waves over the batches. Rows
    without order count as ``n_samples`` independent ones; their deviations are added up with random signs.

    Parameters
    ----------
    terms : Terms
    spins : int8 array (n_rows, n_spins)
    weight : ndarray (n_rows,), optional
    chains : int64 array (n_rows,), optional
    ordered : bool
    n_samples : float

    Returns
    -------
    roots : ndarray (n_batches, size)
    freedom : float
        Degrees of freedom of the standard errors.
    time : float
        Rows that count as one independent row.
    """
    n_rows = len(spins)
    if ordered:
        batches = long_batches(spins, chains, weight)
        sums, weights = _batch_sums(terms, spins, weight, batches.labels)
        return *batches.roots(sums, weights / weights.sum(), chains), batches.time
    most = max(20, min(INDEPENDENT_BATCHES, MOST_VALUES // terms.size))
    labels = (np.arange(n_rows) * min(most, n_rows)) // n_rows
    share = np.full(n_rows, 1.0 / n_rows) if weight is None else weight / weight.sum()
    signs = np.random.default_rng(0).choice([-1.0, 1.0], size=n_rows) * np.sqrt(share / n_samples)
    mean = _batch_sums(terms, spins, share, np.zeros(n_rows, dtype=np.int64))[0][0]
    roots, _ = _batch_sums(terms, spins, signs, labels, normalise=False)
    return roots - np.outer(np.bincount(labels, weights=signs), mean), float(len(roots)), 1.0


def _batch_sums(
    terms: Terms, spins: SpinArray, weight: FloatArray | None, labels: IntArray, normalise: bool = True
) -> tuple[FloatArray, FloatArray]:
    """Weighted sums of the statistics over contiguous batches, as shares of the total, and the batches' weights."""
    starts = np.concatenate([[0], np.flatnonzero(np.diff(labels)) + 1, [len(labels)]])
    sums = np.empty((len(starts) - 1, terms.size))
    for batch, (start, stop) in enumerate(pairwise(starts)):
        second, first = np.zeros((terms.n_spins,) * 2), np.zeros(terms.n_spins)
        counts = np.zeros(terms.n_spins + 1)
        for at in range(start, stop, STATES_AT_ONCE):
            rows = slice(at, min(at + STATES_AT_ONCE, stop))
            block: NDArray[Any] = spins[rows].astype(np.float32 if weight is None else np.float64)
            weighted = block if weight is None else block * weight[rows, None]
            second += weighted.T @ block
            first += weighted.sum(axis=0)
            if terms.n_counts:
                up, own = (spins[rows] > 0).sum(axis=1), None if weight is None else weight[rows]
                counts += np.bincount(up, weights=own, minlength=terms.n_spins + 1)
        sums[batch] = terms.pack(second, first, counts)
    weights = np.bincount(labels, weights=weight).astype(np.float64)
    return (sums / weights.sum() if normalise else sums), weights


def parameter_errors(
    fit: MomentFit, means: FloatArray, second_moments: FloatArray, roots: FloatArray, n_samples: float
) -> ParameterErrors:
    r"""
    Standard errors by :math:`(\chi + A)^{-1} \frac{V}{n} (\chi + A)^{-1}`, A the penalty's curvature (on pairs only).

    :math:`\chi` is the covariance of the statistics in the model, V / n that of the data's moments. For pairs with
    fewer than ten observed or expected rows in a cell of their table, where the variance from the data is unreliable,
    the larger of this and :math:`(\chi + A)^{-1} / n` is used. Where the chains of the fit were too short for so many
    rows, the variance of their moments is added to V / n.

    Parameters
    ----------
    fit : MomentFit
    means : ndarray (n_spins,)
    second_moments : ndarray (n_spins, n_spins)
    roots : ndarray (n_batches, size)
        Result of `moment_roots`.
    n_samples : float

    Returns
    -------
    ParameterErrors
    """
    terms = fit.terms
    centre = means if terms.fit_fields else np.zeros_like(means)
    if fit.acceptance is not None and fit.acceptance.noise > LOUDEST:
        # the last steps of the fit were measured by chains as long as those that checked it
        own = fit.acceptance.moments.deviations
        roots = np.concatenate([roots, own * np.sqrt(len(own) / (len(own) - 1.0))])
    right = np.stack([terms.centred_gradient(root, centre) for root in roots])
    if fit.enumeration is None and terms.size > MOST_DENSE:
        change, inverse = _by_conjugate_gradients(fit, centre, second_moments, right)
    else:
        _, debias, factor = _factor(fit, centre)
        change = debias**1.5 * cho_solve(factor, right.T).T
        inverse = _plain_variances(terms, debias * cho_solve(factor, np.eye(terms.size)), centre)
    variance = np.sum(np.stack([terms.plain(row, centre) for row in change]) ** 2, axis=0)
    few = _few(terms, means, second_moments, n_samples)
    variance = np.where(few, np.maximum(variance, inverse / n_samples), variance)
    return _unpacked(terms, variance)


def independent_row_errors(
    fit: MomentFit, means: FloatArray, second_moments: FloatArray, n_samples: float
) -> ParameterErrors:
    """Standard errors for ``n_samples`` independent rows of the model itself, for fits without rows."""
    terms = fit.terms
    centre = means if terms.fit_fields else np.zeros_like(means)
    if fit.enumeration is None and terms.size > MOST_DENSE:
        none = np.zeros((1, terms.size))
        return _unpacked(terms, _by_conjugate_gradients(fit, centre, second_moments, none)[1] / n_samples)
    covariance, debias, factor = _factor(fit, centre)
    inverse = debias * cho_solve(factor, np.eye(terms.size))
    variance = _plain_variances(terms, debias**3 * cho_solve(factor, cho_solve(factor, covariance).T), centre)
    few = _few(terms, means, second_moments, n_samples)
    variance = np.where(few, np.maximum(variance, _plain_variances(terms, inverse, centre)), variance)
    return _unpacked(terms, variance / n_samples)


def _factor(fit: MomentFit, centre: FloatArray) -> tuple[FloatArray, float, tuple]:
    """Covariance of the statistics, factor against the bias of its inverse, and Cholesky factor with the penalty."""
    covariance, debias = _covariance(fit, centre)
    matrix = covariance + fit.penalty.matrix()
    diagonal = np.diag(matrix).copy()
    for ridge in (1e-10, 1e-4, 1e-2):
        # with variances more accurate than covariances, the matrix can be slightly indefinite
        matrix[np.diag_indices_from(matrix)] = diagonal * (1.0 + ridge)
        with suppress(LinAlgError):
            return covariance, debias, cho_factor(matrix)
    return covariance, debias, cho_factor(np.diag(diagonal))


def _unpacked(terms: Terms, variance: FloatArray) -> ParameterErrors:
    """Standard errors from variances (size,)."""
    found = terms.unpack(np.sqrt(variance))
    return ParameterErrors(found.couplings, found.fields, found.potential)


def _few(terms: Terms, means: FloatArray, second_moments: FloatArray, n_samples: float) -> np.ndarray:
    """True (size,) for parameters of pairs with few observed or expected rows in a cell, and of their spins."""
    middle = means if terms.fit_fields else np.zeros_like(means)
    observed = pair_shares(middle, second_moments).min(axis=0)
    expected = pair_shares(middle, np.outer(middle, middle)).min(axis=0)
    few = n_samples * np.minimum(observed, expected) < FEW
    np.fill_diagonal(few, False)
    return terms.pack(few, few.any(axis=1), np.zeros(terms.n_spins + 1, dtype=bool))


def _plain_variances(terms: Terms, inverse: FloatArray, centre: FloatArray) -> FloatArray:
    """Diagonal (size,) of the inverse for plain parameters, from the inverse for centred ones."""
    result = np.diag(inverse).copy()
    if terms.fit_fields:
        i, j = terms.above
        pairs = np.arange(terms.n_pairs)
        change = np.zeros((terms.n_spins, terms.size))
        change[i, pairs], change[j, pairs] = -centre[j], -centre[i]
        own = slice(terms.n_pairs, terms.n_pairs + terms.n_spins)
        change[np.arange(terms.n_spins), np.arange(own.start, own.stop)] = 1.0
        result[own] = np.einsum("ia,ia->i", change @ inverse, change)
    return result


def _covariance(fit: MomentFit, centre: FloatArray) -> tuple[FloatArray, float]:
    """Covariance (size, size) of centred statistics in the model; factor that corrects the bias of its inverse."""
    if fit.enumeration is not None:
        plain = fit.enumeration.covariance_matrix(fit.terms)
        half = np.stack([fit.terms.centred_gradient(row, centre) for row in plain])
        return np.stack([fit.terms.centred_gradient(row, centre) for row in half.T]), 1.0
    moments = fit.model_moments
    assert moments is not None
    terms = fit.terms
    wanted = int(np.clip(STATES_PER_PARAMETER * terms.size, *STATES))
    states = moments.resampled(wanted)
    total, mean = np.zeros((terms.size, terms.size), dtype=np.float32), np.zeros(terms.size)
    for start in range(0, len(states), STATES_AT_ONCE):
        features = centred_features(terms, states[start : start + STATES_AT_ONCE], centre)
        total += features.T @ features
        mean += features.sum(axis=0)
    mean /= len(states)
    covariance = total.astype(np.float64) / len(states) - np.outer(mean, mean)
    # variances from all moments of the chains are far more accurate: few of the states contain a rare pair
    model = terms.unpack(moments.mean)
    first = model.fields if terms.fit_fields else np.zeros(terms.n_spins)
    second = model.couplings + np.eye(terms.n_spins)
    known = np.diag(covariance).copy()
    known[: terms.n_pairs] = pair_variances(terms, centre, first, second)
    if terms.fit_fields:
        known[terms.n_pairs : terms.n_pairs + terms.n_spins] = 1.0 - first**2
    scale = np.sqrt(np.maximum(known, 1e-300) / np.maximum(np.diag(covariance), 1e-300))
    np.clip(scale, 0.2, 5.0, out=scale)
    covariance *= scale[:, None] * scale
    np.fill_diagonal(covariance, np.maximum(known, 1e-300))
    return covariance, max(0.5, 1.0 - terms.size / len(states))


def centred_features(terms: Terms, states: SpinArray, centre: FloatArray) -> np.ndarray:
    """Centred statistics (n_states, size) of states, in single precision."""
    deviations = states.astype(np.float32) - centre.astype(np.float32)
    i, j = terms.above
    parts = [deviations[:, i] * deviations[:, j]]
    if terms.fit_fields:
        parts.append(deviations)
    if terms.n_counts:
        up = (states > 0).sum(axis=1)
        parts.append((up[:, None] == np.arange(terms.first_count, terms.n_spins + 1)).astype(np.float32))
    return np.concatenate(parts, axis=1)


def _by_conjugate_gradients(
    fit: MomentFit, centre: FloatArray, second_moments: FloatArray, right: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """Changes (n_batches, size) of centred parameters, and the approximate diagonal of the inverse."""
    moments = fit.model_moments
    assert moments is not None
    states = WeightedStates(fit.terms, moments.resampled(CG_STATES), centre)
    shrinkage = min(0.5, 0.01 + 0.5 * fit.terms.size / len(states.shares))
    curve = SampledCurvature(fit.penalty, states, states.shares, centre, second_moments, shrinkage)
    change = np.stack([solve(curve.apply, curve.precondition, row, 0.03, CG_PRODUCTS) for row in right])
    return change, curve.inverse_diagonal()
