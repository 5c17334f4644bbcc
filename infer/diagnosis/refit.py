"""Maximum-likelihood pair models of given moments, for fits to some rows that are judged on others."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from infer.count_model import CountModel
from infer.estimators.likelihood.enumeration import Enumeration, enumerate_states, up_counts
from infer.estimators.likelihood.partition import MOST_EXACT_SPINS
from infer.model import PairModel
from infer.types import FloatArray, IntArray, SpinArray

#: Root mean square difference of moments, in standard errors of the data, below which a fit has converged.
TOLERANCE = 0.02
_MOST_STEPS = 100
_STATES = 20_000
_STATES_AT_ONCE = 2_000  # whose features stay in the cache
_MOST_EXACT_INFORMATION = 12
_LARGEST_STEP = 2.0
_FIRST_COUNT = 3


@dataclass(frozen=True, eq=False)
class Refit:
    """A fitted pair model, its log partition function with standard error, and whether the fit was accepted.

    ``potential`` (n_spins + 1,) is V(K) of the number K of +1, where it was fitted; it adds -V(K) to the energy.
    """

    model: PairModel
    log_partition: float
    log_partition_std: float
    accepted: bool
    why_not: str = ""
    potential: FloatArray | None = None

    @property
    def whole(self) -> PairModel | CountModel:
        """The model with its potential, where it has one."""
        if self.potential is None:
            return self.model
        return CountModel(self.model.couplings, self.model.fields, self.potential)

    def log_likelihood(self, rows: SpinArray) -> FloatArray:
        """Log-likelihood of rows, shape (n_rows,), in nats."""
        return np.asarray(-self.whole.energies(rows) - self.log_partition)


def smoothed_moments(means: FloatArray, second: FloatArray, n_samples: float) -> tuple[FloatArray, FloatArray]:
    """Moments with one sample of independent spins added, whose means include half a sample of either sign."""
    first = means * n_samples / (n_samples + 1.0)
    both = (second * n_samples + np.outer(first, first)) / (n_samples + 1.0)
    np.fill_diagonal(both, 1.0)
    return first, both


def fit_exactly(
    means: FloatArray,
    second: FloatArray,
    alpha: float,
    n_samples: float,
    start: PairModel | None = None,
    counts: FloatArray | None = None,
) -> Refit:
    r"""Maximum likelihood by enumeration, for at most 20 spins.

    Minimises ``log Z - sum_{i<j} J_ij <s_i s_j> - sum_i h_i <s_i> + alpha/2 sum_{i<j} J_ij^2`` by Newton steps. The
    gradient is exact. The curvature is exact up to 12 spins; above, it is estimated from 20 000 states drawn from the
    model.

    Parameters
    ----------
    means, second : ndarray (n_spins,), (n_spins, n_spins)
        Moments, none of the means -1 or +1.
    alpha : float
    n_samples : float
        Number of samples that determines the errors of the moments.
    start : PairModel, optional
        Start of the iteration; independent spins by default.
    counts : ndarray (n_spins + 1,), optional
        Shares of rows with 0, 1, ... spins at +1: fits a potential V of their number too (Tkacik et al. 2014, PLoS
        Comput. Biol. 10, e1003408), V(0) = V(1) = V(2) = 0, with a penalty of strength ``alpha`` on its third
        differences.

    Returns
    -------
    Refit
    """
    n_spins = len(means)
    i, j = np.triu_indices(n_spins, 1)
    n_pairs, n_plain = len(i), len(i) + n_spins
    data = np.concatenate([second[i, j], means] + ([] if counts is None else [counts[_FIRST_COUNT:]]))
    errors = np.sqrt(np.maximum(1.0 - data**2, 1.0 / n_samples) / n_samples)
    if counts is not None:
        errors[n_plain:] = np.sqrt(np.maximum(data[n_plain:] * (1.0 - data[n_plain:]), 1.0 / n_samples) / n_samples)
    penalty = np.diag(np.where(np.arange(len(data)) < n_pairs, alpha, 0.0))
    if counts is not None:
        third = np.diff(np.eye(n_spins + 1), n=3, axis=0)[:, _FIRST_COUNT:]
        penalty[n_plain:, n_plain:] = alpha * third.T @ third
    if start is None:
        start = PairModel.of(np.zeros((n_spins, n_spins)), np.arctanh(np.clip(means, -1 + 1e-12, 1 - 1e-12)))
    vector = np.concatenate([start.couplings[i, j], start.fields, np.zeros(len(data) - n_plain)])
    rng = np.random.default_rng(0)

    def potential(point: FloatArray) -> FloatArray | None:
        return None if counts is None else np.concatenate([np.zeros(_FIRST_COUNT), point[n_plain:]])

    def at(point: FloatArray) -> tuple[PairModel, Enumeration, float, FloatArray]:
        couplings = np.zeros((n_spins, n_spins))
        couplings[i, j] = couplings[j, i] = point[:n_pairs]
        states = enumerate_states(couplings, point[n_pairs:n_plain], potential(point))
        first, both = states.moments()
        value = states.log_partition - float(point @ data) + 0.5 * float(point @ penalty @ point)
        parts = [both[i, j], first]
        if counts is not None:
            up = up_counts(states.left, states.right).ravel()
            shares = np.bincount(up, states.probability.ravel(), minlength=n_spins + 1)[_FIRST_COUNT:]
            parts.append(shares.astype(np.float64))
        gradient = np.concatenate(parts) - data + penalty @ point
        return PairModel(couplings, point[n_pairs:n_plain]), states, value, gradient

    here = at(vector)
    for _ in range(_MOST_STEPS):
        model, states, value, gradient = here
        if np.sqrt(np.mean((gradient / errors) ** 2)) <= TOLERANCE:
            return Refit(model, states.log_partition, 0.0, True, "", potential(vector))
        information = _information(states, n_spins, rng, counts is not None) + penalty
        information[np.diag_indices_from(information)] += 1e-10
        step = -np.linalg.solve(information, gradient)
        step *= min(1.0, _LARGEST_STEP / float(np.abs(step).max()))
        slope = float(gradient @ step)
        length = 1.0
        while length > 1e-6:
            trial = at(vector + length * step)
            if trial[2] <= value + 1e-4 * length * slope + 1e-13 * (1.0 + abs(value)):
                break
            length /= 2.0
        else:
            break
        vector, here = vector + length * step, trial
    model, states, _, gradient = here
    left = float(np.sqrt(np.mean((gradient / errors) ** 2)))
    accepted = left <= 10.0 * TOLERANCE
    why = "" if accepted else f"its moments miss the data's by {left:.2g} standard errors (root mean square)"
    return Refit(model, states.log_partition, 0.0, accepted, why, potential(vector))


def _information(states: Enumeration, n_spins: int, rng: np.random.Generator, counted: bool) -> FloatArray:
    """Covariance of pairs, spins and, where they are fitted, indicators of the number of +1 in the model."""
    n_right = states.probability.shape[1]
    if n_spins <= _MOST_EXACT_INFORMATION:
        weight = states.probability.ravel()
        table = _features(states, *np.divmod(np.arange(len(weight)), n_right), counted, np.float64)
        table -= (table @ weight)[:, None]
        table *= np.sqrt(weight)
        return np.asarray(table @ table.T)
    cumulative = np.cumsum(states.probability.ravel())
    place = np.searchsorted(cumulative, (np.arange(_STATES) + rng.random()) / _STATES * cumulative[-1])
    left, right = np.divmod(np.minimum(place, len(cumulative) - 1), n_right)
    first: Any = 0.0
    second: Any = 0.0
    for start in range(0, _STATES, _STATES_AT_ONCE):
        part = slice(start, start + _STATES_AT_ONCE)
        table = _features(states, left[part], right[part], counted, np.float32)
        first = first + table.sum(axis=1, dtype=np.float64)
        second = second + (table @ table.T).astype(np.float64)  # whole numbers: exact in single precision
    found = second / _STATES - np.outer(first, first) / _STATES**2
    # the drawn states have no variance along some directions
    found[np.diag_indices_from(found)] += 1e-3 * np.diag(found) + 1e-6
    return np.asarray(found)


def _features(states: Enumeration, left: IntArray, right: IntArray, counted: bool, dtype: Any) -> Any:
    """Products of pairs, spins and indicators of the number of +1, (n_features, n_states)."""
    spins = np.concatenate([states.left.T[:, left], states.right.T[:, right]]).astype(dtype)
    i, j = np.triu_indices(len(spins), 1)
    features = [spins[i] * spins[j], spins]
    if counted:
        up = (spins > 0).sum(axis=0)
        features.append((up == np.arange(_FIRST_COUNT, len(spins) + 1)[:, None]).astype(dtype))
    return np.concatenate(features)


def with_constants(refit: Refit, varying: IntArray, means: FloatArray) -> Refit:
    """Complete a fit of the spins that vary by the constant spins, taken as independent."""
    n_spins = len(means)
    couplings, fields = np.zeros((n_spins, n_spins)), np.arctanh(means)
    couplings[np.ix_(varying, varying)] = refit.model.couplings
    fields[varying] = refit.model.fields
    others = np.setdiff1d(np.arange(n_spins), varying)
    added = float(np.logaddexp(fields[others], -fields[others]).sum())
    return Refit(
        PairModel(couplings, fields),
        refit.log_partition + added,
        refit.log_partition_std,
        refit.accepted,
        refit.why_not,
        refit.potential,
    )


def exactly_possible(n_varying: int) -> bool:
    """Whether all states of this many spins are enumerated."""
    return n_varying <= MOST_EXACT_SPINS
