"""Best dreaming rate, its interval and the null models, from projections on the modes of a family."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import stats

from infer.similarity.family import DreamingFamily
from infer.similarity.replicates import read_block
from simulate.modes import RANK_TOLERANCE

FloatArray = NDArray[np.float64]

_N_GRID = 400
_N_BISECTIONS = 48
_LOWEST = -12.0  # t = log(1 + rate max eig(G)) at the left end of the search: 6e-6 of the way from the bound to 0


def lowest_searched(family: DreamingFamily) -> float:
    """The rate just above the open lower bound at which the search ends."""
    return float(family.to_rate(_LOWEST))


@dataclass(frozen=True)
class RateInterval:
    """Interval of the best rate and its method; ``sigma`` is the distance from Hebbian in standard errors."""

    low: float
    high: float
    std: float
    sigma: float
    hebbian_std: float
    method: str


def _highest(family: DreamingFamily) -> float:
    """t = log(1 + rate max eig(G)) at the right end of the search: all modes are within 1e-3 of their limits."""
    positive = family.eigenvalues[family.eigenvalues > RANK_TOLERANCE * family.eigenvalues[0]]
    smallest = max(float(positive[-1]), 1e-6 * family.eigenvalues[0])
    return float(np.log1p(1e3 * family.eigenvalues[0] / smallest))


def cosines(family: DreamingFamily, projections: FloatArray, norms: FloatArray, rates: FloatArray) -> FloatArray:
    """Off-diagonal cosines (..., n_rates) of couplings, given as projections (..., n_modes), with the family."""
    weights = family.direction(rates)
    lengths = np.sqrt(np.einsum("rk,kl,rl->r", weights, family.gram, weights))
    return (projections @ weights.T) / (np.asarray(norms)[..., None] * lengths)


def best_rates(family: DreamingFamily, projections: FloatArray) -> FloatArray:
    """Rates (n,) of greatest cosine for couplings given as projections (n, n_modes) on the modes.

    A grid in t = log(1 + rate max eig(G)) finds the highest point, bisection of the slope between its neighbours
    refines it. ``inf`` where the cosine is still growing at the end, or is higher in the limit;
    :func:`lowest_searched` where it grows down to the lower bound.
    """
    grid = np.linspace(_LOWEST, _highest(family), _N_GRID)
    table = cosines(family, projections, np.ones(len(projections)), family.to_rate(grid))
    limit = cosines(family, projections, np.ones(len(projections)), np.array([np.inf]))[:, 0]
    top = np.argmax(table, axis=1)
    low, high = grid[np.maximum(top - 1, 0)], grid[np.minimum(top + 1, _N_GRID - 1)]
    for _ in range(_N_BISECTIONS):
        middle = (low + high) / 2.0
        rising = _slope_sign(family, projections, middle) > 0
        low, high = np.where(rising, middle, low), np.where(rising, high, middle)
    rates = family.to_rate((low + high) / 2.0)
    rates = np.where(top == 0, lowest_searched(family), rates)
    peak = table[np.arange(len(top)), top]
    runs_off = (top == _N_GRID - 1) | (limit > peak + 1e-12 * np.abs(peak))
    return np.where(runs_off, np.inf, rates)


def project_replicates(
    family: DreamingFamily, blocks: Iterable[ArrayLike], couplings: FloatArray
) -> tuple[FloatArray, FloatArray, float]:
    """Projections (n, n_modes) and norms (n,) of replicates, and their mean squared distance from the couplings."""
    projections: list[FloatArray] = []
    norms: list[FloatArray] = []
    noise2 = 0.0
    for stack in blocks:
        block = read_block(stack, sum(len(done) for done in norms))
        projections.append(family.project(block))
        norms.append(np.linalg.norm(block.reshape(len(block), -1), axis=1))
        noise2 += float(np.sum((block - couplings) ** 2))
    lengths = np.concatenate(norms)
    return np.concatenate(projections), lengths, noise2 / len(lengths)


def _slope_sign(family: DreamingFamily, projections: FloatArray, t: FloatArray) -> FloatArray:
    """A number with the sign of d cosine / dt, one for each row of projections at its own t."""
    weights, slopes, _ = _derivatives(family, t)
    through_gram = weights @ family.gram
    norm2 = np.sum(through_gram * weights, axis=1)
    inner = np.sum(projections * weights, axis=1)
    return np.sum(projections * slopes, axis=1) * norm2 - inner * np.sum(through_gram * slopes, axis=1)


def _derivatives(family: DreamingFamily, t: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Mode weights h, dh/dt and d2h/dt2 at t = log(1 + rate max eig(G)), shapes (..., n_modes)."""
    rate = family.to_rate(t)[..., None]
    weights = family.direction(rate[..., 0])
    share = family.eigenvalues / family.eigenvalues[0] * np.exp(t)[..., None] / (1.0 + rate * family.eigenvalues)
    return weights, -weights * share, weights * share * (2.0 * share - 1.0)


def contrast_weights(family: DreamingFamily, rate: float, base: float = 0.0) -> FloatArray:
    """Component of B(rate) orthogonal to B(base), the Hebbian one, as mode weights of unit length."""
    start, dreamed = family.direction(base), family.direction(rate)
    if rate == base:
        dreamed = _derivatives(family, family.to_log_distance(base))[1]
    through = family.gram @ start
    rest = dreamed / np.sqrt(dreamed @ family.gram @ dreamed)
    rest = rest - start * (rest @ through) / (start @ through)
    length = np.sqrt(max(float(rest @ family.gram @ rest), 0.0))
    return rest / length if length > 1e-12 else np.zeros_like(rest)


def corrected_percentiles(estimate: float, replicates: FloatArray, confidence: float) -> tuple[float, float]:
    """Bias-corrected percentile interval (Efron 1981) of an estimate from its replicates, some of them infinite."""
    n = len(replicates)
    below = (np.count_nonzero(replicates < estimate) + 0.5 * np.count_nonzero(replicates == estimate)) / n
    shift = stats.norm.ppf(np.clip(below, 0.5 / n, 1.0 - 0.5 / n))
    tail = stats.norm.ppf((1.0 + confidence) / 2.0)
    shares = stats.norm.cdf([2.0 * shift - tail, 2.0 * shift + tail])
    # no interpolation between a finite and an infinite value
    finite = bool(np.isfinite(replicates).all())
    ends = np.quantile(replicates, shares) if finite else np.quantile(replicates, shares, method="nearest")
    return float(ends[0]), float(ends[1])


def interval_from_replicates(
    family: DreamingFamily,
    rate: float,
    projection: FloatArray,
    replicate_projections: FloatArray,
    norm: float,
    replicate_norms: FloatArray,
    confidence: float,
) -> tuple[RateInterval, FloatArray]:
    """Bias-corrected percentile interval of the best rate from replicates of the couplings, and their best rates.

    The bias of the replicates' best rates relative to the estimate is about that of the estimate relative to the true
    rate. The bias-corrected percentile interval (Efron 1981) removes it, respects the lower bound and does not depend
    on the parametrisation of the rate.
    """
    rates = best_rates(family, replicate_projections)
    low, high = corrected_percentiles(rate, rates, confidence)
    std = float(np.std(rates, ddof=1)) if np.isfinite(rates).all() else np.inf
    weights = contrast_weights(family, rate)
    noise = float(np.std(replicate_projections @ weights, ddof=1))
    sigma = _sigmas(float(projection @ weights), noise, norm)
    at_zero = cosines(family, replicate_projections, replicate_norms, np.array([0.0]))[:, 0]
    method_text = f"bias-corrected percentiles of the best rates of {len(rates)} bootstrap replicates of the couplings"
    return RateInterval(low, high, std, sigma, float(np.std(at_zero, ddof=1)), method_text), rates


def interval_from_residuals(
    family: DreamingFamily, rate: float, couplings: FloatArray, projection: FloatArray, confidence: float
) -> RateInterval:
    r"""Interval of the best rate from the couplings alone, with the residuals of the best fit as noise.

    The least-squares fit of scale and t = log(1 + rate max eig(G)) to all pairs of spins has, at pair (i, j), the
    influence :math:`\psi_{ij}`. Pairs that share a spin may be correlated, others not, so the variance is
    :math:`\sum_i (\sum_j \psi_{ij})^2 - \sum_{i<j} \psi_{ij}^2` (Fafchamps, Gubert 2007; Aronow, Samii, Assenova 2015,
    doi 10.1093/pan/mpv018), and at least that of independent pairs. It is the jackknife over spins, corrected for
    counting every pair twice.
    """
    z = stats.norm.ppf((1.0 + confidence) / 2.0)
    interior = np.isfinite(rate) and rate > lowest_searched(family)
    weights = family.direction(rate)
    norm2 = float(weights @ family.gram @ weights)
    scale = float(projection @ weights) / norm2
    residual = couplings - scale * family.couplings_of(weights)
    length2 = float(np.sum(couplings**2))

    def distance(base: float) -> float:
        """Standard errors between the couplings and those of a base rate, along their difference to the best."""
        contrast = contrast_weights(family, rate, base)
        noise = np.sqrt(_dyadic_variance(2.0 * family.couplings_of(contrast) * residual))
        return _sigmas(float(projection @ contrast), float(noise), np.sqrt(length2))

    sigma = distance(0.0)
    hebbian = family.direction(0.0)
    hebbian_matrix = family.couplings_of(hebbian) / np.sqrt(hebbian @ family.gram @ hebbian)
    cosine = float(np.sum(couplings * hebbian_matrix)) / np.sqrt(length2)
    # first-order change of the cosine with the couplings of one pair
    influence = (hebbian_matrix - cosine * couplings / np.sqrt(length2)) / np.sqrt(length2)
    hebbian_std = float(np.sqrt(_dyadic_variance(2.0 * influence * residual)))
    method = "standard error over pairs of spins (dyadic cluster-robust), the residual couplings taken as noise"
    if not interior:
        low, high = _one_sided(family, rate, distance, z)
        return RateInterval(low, high, np.inf, sigma, hebbian_std, method + "; one-sided, the best rate is a limit")
    t = family.to_log_distance(rate)
    _, slope, curve = _derivatives(family, t)
    # least squares in (scale, t) over ordered pairs: gradients weights and scale * slope
    hessian = np.array(
        [
            [norm2, 2 * scale * (weights @ family.gram @ slope) - projection @ slope],
            [0.0, scale**2 * (slope @ family.gram @ slope)],
        ]
    )
    hessian[1, 0] = hessian[0, 1]
    hessian[1, 1] -= scale * (projection @ curve - scale * (weights @ family.gram @ curve))
    if np.linalg.det(hessian) <= 0:
        return RateInterval(family.lower_bound, np.inf, np.inf, sigma, hebbian_std, method + "; flat optimum")
    row = np.linalg.inv(hessian)[1]
    gradient = row[0] * family.couplings_of(weights) + row[1] * scale * family.couplings_of(slope)
    t_std = float(np.sqrt(_dyadic_variance(2.0 * gradient * residual)))
    ends = family.to_rate(t + z * t_std * np.array([-1.0, 1.0]))
    rate_std = t_std * float(np.exp(t)) / family.eigenvalues[0]
    return RateInterval(float(ends[0]), float(ends[1]), rate_std, sigma, hebbian_std, method)


def _one_sided(
    family: DreamingFamily, rate: float, distance: Callable[[float], float], z: float
) -> tuple[float, float]:
    """Rates that are within z standard errors of a best rate that is one of the two limits."""
    inside, outside = (_highest(family), _LOWEST) if np.isinf(rate) else (_LOWEST, _highest(family))
    if distance(float(family.to_rate(outside))) <= z:
        return family.lower_bound, np.inf
    for _ in range(_N_BISECTIONS // 2):
        middle = (inside + outside) / 2.0
        inside, outside = (middle, outside) if distance(float(family.to_rate(middle))) <= z else (inside, middle)
    end = float(family.to_rate(inside))
    return (end, np.inf) if np.isinf(rate) else (family.lower_bound, end)


def _sigmas(value: float, noise: float, norm: float) -> float:
    """Size of a component of couplings in standard errors; 0 or infinite where the noise is below rounding."""
    if noise > 1e-12 * norm:
        return abs(value) / noise
    return 0.0 if abs(value) < 1e-7 * norm else np.inf


def _dyadic_variance(influence: FloatArray) -> float:
    """Variance of the sum over pairs of a symmetric influence matrix, pairs with a shared spin correlated."""
    pairs = float(np.sum(influence**2)) / 2.0
    return max(float(np.sum(influence.sum(axis=1) ** 2)) - pairs, pairs)


def null_cosines(
    family: DreamingFamily,
    rate: float,
    projection: FloatArray,
    norm: float,
    n_draws: int,
    rng: np.random.Generator,
) -> dict[str, FloatArray]:
    """Cosines (n_draws,) of the null models "shuffled eigenvalues" and "random couplings".

    Shuffled eigenvalues: the best dreamed matrix with its mode weights permuted among the modes of the family (the
    pattern subspace stays), against the couplings. Random couplings: independent Gaussian entries, each draw at its
    own best rate. Their projections on the modes have covariance proportional to M, and the rest of their squared
    length is chi-squared, so no matrix is drawn.
    """
    weights = family.direction(rate)
    shuffled = rng.permuted(np.tile(weights, (n_draws, 1)), axis=1)
    lengths = np.sqrt(np.einsum("dk,kl,dl->d", shuffled, family.gram, shuffled))
    values, vectors = np.linalg.eigh(family.gram)
    keep = values > 1e-10
    root = vectors[:, keep] * np.sqrt(values[keep])
    normal = rng.standard_normal((n_draws, int(keep.sum())))
    n_pairs = family.n_spins * (family.n_spins - 1) // 2
    rest = rng.chisquare(max(n_pairs - int(keep.sum()), 0), size=n_draws) if n_pairs > keep.sum() else 0.0
    random = normal @ root.T
    random_norms = np.sqrt(np.sum(normal**2, axis=1) + rest)
    at_best = best_rates(family, random)
    best_weights = family.direction(at_best)
    best_lengths = np.sqrt(np.einsum("dk,kl,dl->d", best_weights, family.gram, best_weights))
    return {
        "shuffled eigenvalues": (shuffled @ projection) / (norm * np.where(lengths > 0, lengths, 1.0)),
        "random couplings": np.sum(random * best_weights, axis=1) / (random_norms * best_lengths),
    }
