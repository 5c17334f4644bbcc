"""Comparison of couplings with Hebbian and dreamed ones: best rate, interval, null models, verdict."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import linalg, stats

from infer.checks import check_confidence
from infer.similarity.family import DreamingFamily
from infer.similarity.metrics import METRICS, power_of_two, principal_angles, profile_metrics, recall
from infer.similarity.rate_fit import (
    RateInterval,
    best_rates,
    cosines,
    interval_from_replicates,
    interval_from_residuals,
    lowest_searched,
    null_cosines,
    project_replicates,
)
from infer.similarity.replicates import check_draws, replicate_blocks, unpack_couplings
from infer.similarity.result import Similarity
from simulate.checks import Seed, seed_sequence
from simulate.threads import one_thread_for_few_spins

FloatArray = NDArray[np.float64]

MOST_PENALTY = 1.0 / 3.0  # over the curvature of the log pseudo-likelihood: rates are then off by about a quarter


def compare(
    couplings: Any,
    patterns: ArrayLike | None = None,
    *,
    correlations: ArrayLike | None = None,
    rates: ArrayLike | None = None,
    replicates: ArrayLike | None = None,
    alpha: float | None = None,
    n_bootstrap: int = 400,
    n_null: int = 400,
    confidence: float = 0.95,
    seed: Seed = 0,
) -> Similarity:
    """Compare couplings with Hebbian couplings and all their dreamed versions.

    Parameters
    ----------
    couplings : array (n_spins, n_spins) or fitted estimator
        Symmetric; the diagonal is ignored. A fitted estimator gives ``couplings_`` and, where it has
        ``bootstrap_couplings(n_replicates, seed)``, replicates for the interval.
    patterns : array (n_patterns, n_spins) of +-1, optional
        Stored patterns that the family is built from.
    correlations : array (n_spins, n_spins), optional
        In place of patterns: correlation matrix of a recording (:func:`infer.similarity.family.data_correlations`).
    rates : array (n_rates,), optional
        Rates of the profile, above -1/max eig(G); 0 is added. Default: a grid around 0 and the best rate. The search
        for the best rate does not depend on this grid.
    replicates : array (n_replicates, n_spins, n_spins), optional
        Bootstrap replicates of the couplings; replace those of an estimator.
    alpha : float, optional
        Strength of the l2 penalty with which the couplings were fitted, relative to the mean log pseudo-likelihood. A
        fitted estimator knows its own. Where it outweighs what samples say about a coupling (more than a third of the
        curvature of the log pseudo-likelihood), the rate is about 1 / alpha whatever the samples: none is given then.
    n_bootstrap : int
        Number of replicates drawn from a fitted estimator.
    n_null : int
        Draws of each null model.
    confidence : float
        Confidence of the interval, between 0 and 1.
    seed : int, SeedSequence, Generator or None
        Seed of all random numbers.

    Returns
    -------
    Similarity

    Raises
    ------
    ValueError
        If couplings are not square, symmetric and finite, shapes do not fit, or the reference is missing or given
        twice.

    Notes
    -----
    Without replicates the interval treats the residuals of the best fit as noise, which may be correlated between pairs
    that share a spin (dyadic cluster-robust standard error; Aronow, Samii, Assenova 2015, doi 10.1093/pan/mpv018). With
    replicates it is the bias-corrected percentile interval (Efron 1981). The reference is taken as known: the sampling
    noise of a recording's own correlations is not included.

    References
    ----------
    Behera, Du, Jagadisan, Sastry, Rao, Vaikuntanathan, arXiv 2410.06269; Fachechi, Agliari, Barra 2019,
    arXiv 1810.12217.
    """
    matrix, estimator = unpack_couplings(couplings)
    check_confidence(confidence)
    check_draws(n_bootstrap=n_bootstrap, n_null=n_null)
    family = _family(patterns, correlations, len(matrix))
    replicate_seed, null_seed, recall_seed = seed_sequence(seed).spawn(3)
    with one_thread_for_few_spins(len(matrix)):
        blocks = replicate_blocks(estimator, replicates, n_bootstrap, replicate_seed, len(matrix))
        stored = None if patterns is None else np.asarray(patterns).astype(np.int8)
        scale = power_of_two(matrix)  # avoids overflow of sums of squares of couplings
        if blocks is not None:
            blocks = (np.asarray(block) / scale for block in blocks)
        found = _compare(matrix / scale, family, stored, blocks, rates, n_null, confidence, null_seed, recall_seed)
        found = _rescaled(found, scale)
    strength = getattr(estimator, "quadratic_penalty", 0.0) if alpha is None else float(alpha)
    return _without_rate(found) if set_by_penalty(matrix, strength) else found


def set_by_penalty(couplings: FloatArray, alpha: float) -> bool:
    """Whether a quadratic penalty, rather than the samples, decides about a dreaming rate.

    The curvature of the mean log pseudo-likelihood by a coupling is ``<sech^2 H>`` times the variance of a spin. Here
    it is that for independent neighbours of mean zero, whose field H is about Gaussian, of variance ``sum_j J_ij^2``.

    Parameters
    ----------
    couplings : ndarray of float64, shape (n_spins, n_spins)
    alpha : float

    Returns
    -------
    bool
    """
    if alpha == 0.0:
        return False
    nodes, weights = np.polynomial.hermite_e.hermegauss(21)
    spread = np.sqrt((couplings**2).sum(axis=1))
    curvature = (1.0 - np.tanh(np.outer(spread, nodes)) ** 2) @ weights / weights.sum()
    return bool(alpha > MOST_PENALTY * curvature.mean())


def _without_rate(found: Similarity) -> Similarity:
    """The result without numbers that the penalty of the fit sets."""
    nothing = float("nan")
    return dataclasses.replace(
        found,
        best_rate=nothing,
        best_rate_std=nothing,
        best_rate_interval=(nothing, nothing),
        optimum="set by the penalty",
        inverse_temperature=nothing,
        inverse_temperature_std=None,
        slope=nothing,
        slope_std=None,
    )


def _rescaled(found: Similarity, scale: float) -> Similarity:
    """The result for couplings multiplied by a factor."""
    names = ["inverse_temperature", "inverse_temperature_std", "slope", "slope_std"]
    names += ["couplings", "reference_couplings", "hebbian_couplings"]
    changed: dict[str, Any] = {name: value * scale for name in names if (value := getattr(found, name)) is not None}
    changed["spectra"] = {name: values * scale for name, values in found.spectra.items()}
    return dataclasses.replace(found, **changed)


def _compare(
    matrix: FloatArray,
    family: DreamingFamily,
    patterns: NDArray[np.int8] | None,
    blocks: Iterator[ArrayLike] | None,
    rates: ArrayLike | None,
    n_null: int,
    confidence: float,
    null_seed: np.random.SeedSequence,
    recall_seed: np.random.SeedSequence,
) -> Similarity:
    """The numbers of `compare` for checked couplings and a family."""
    projection, norm = family.project(matrix), float(np.linalg.norm(matrix))
    rate = 0.0 if family.proportional else float(best_rates(family, projection[None])[0])
    if family.proportional:
        optimum = "undefined"
    elif np.isinf(rate):
        optimum = "infinite rate"
    else:
        optimum = "lower bound" if rate <= lowest_searched(family) else "interior"

    ceiling = temperature_std = slope_std = None
    projections = None
    if blocks is None:
        interval = interval_from_residuals(family, rate, matrix, projection, confidence)
    else:
        projections, norms, noise2 = project_replicates(family, blocks, matrix)
        interval, replicate_rates = interval_from_replicates(
            family, rate, projection, projections, norm, norms, confidence
        )
        ceiling = float(np.sqrt(max(1.0 - noise2 / norm**2, 0.0)))
        scales = np.array([_scale(family, p, r) for p, r in zip(projections, replicate_rates, strict=True)])
        with np.errstate(invalid="ignore"):
            temperature_std, slope_std = (float(v) for v in np.std(scales, axis=0, ddof=1))
    if optimum == "undefined":
        interval = dataclasses.replace(interval, low=family.lower_bound, high=np.inf, std=np.inf)

    temperature, slope = _scale(family, projection, rate)
    grid = _grid(family, rate, interval, rates)
    # one call for profile, best rate and rate 0, which share their sums
    values = profile_metrics(family, matrix, np.concatenate([grid, [rate, 0.0]]))
    at_best, at_hebbian = ({name: float(values[name][k]) for name in METRICS} for k in (-2, -1))
    best_matrix, hebbian_matrix = _fitted(family, projection, rate), _fitted(family, projection, 0.0)
    null_models = _null_models(family, rate, projection, norm, n_null, null_seed, at_best["cosine"])
    null_models["hebbian"] = {
        "mean": at_hebbian["cosine"],
        "std": interval.hebbian_std,
        "difference": at_best["cosine"] - at_hebbian["cosine"],
        "sigma": interval.sigma,
    }
    if projections is not None:
        null_models["hebbian"]["replicates_mean"] = float(np.mean(cosines(family, projections, norms, np.zeros(1))))
    named = {"inferred": matrix, "hebbian": hebbian_matrix, "best dreamed": best_matrix}
    fewer = family.n_patterns is not None and family.eigenvalues.size < family.n_spins
    retrieval = None
    if patterns is not None:
        # recall depends on the sign of the couplings, not on their scale
        signs = {"inferred": 1.0, "hebbian": np.sign(at_hebbian["cosine"]), "best dreamed": np.sign(at_best["cosine"])}
        n_trials = int(np.clip(500 // len(patterns), 1, 10))
        retrieval = {
            name: recall(signs[name] * value, patterns, n_trials=n_trials, seed=recall_seed)
            for name, value in named.items()
        }
    return Similarity(
        rates=grid,
        profile={name: values[name][:-2] for name in METRICS},
        best_rate=rate,
        best_rate_std=interval.std,
        best_rate_interval=(interval.low, interval.high),
        optimum=optimum,
        confidence=confidence,
        interval_method=interval.method + ("" if patterns is not None else "; the correlations taken as known"),
        inverse_temperature=temperature,
        inverse_temperature_std=temperature_std,
        slope=slope,
        slope_std=slope_std,
        at_best=at_best,
        at_hebbian=at_hebbian,
        hebbian_sigma=interval.sigma,
        noise_ceiling=ceiling,
        null_models=null_models,
        spectra={name: linalg.eigvalsh(value) for name, value in named.items()},
        principal_angles=principal_angles(matrix, family) if fewer else None,
        retrieval=retrieval,
        reference=family.reference,
        n_spins=family.n_spins,
        n_patterns=family.n_patterns,
        rate_lower_bound=family.lower_bound,
        couplings=matrix,
        reference_couplings=best_matrix,
        hebbian_couplings=hebbian_matrix,
    )


def _family(patterns: ArrayLike | None, correlations: ArrayLike | None, n_spins: int) -> DreamingFamily:
    """The family of the one reference given, checked against the size of the couplings."""
    if (patterns is None) == (correlations is None):
        raise ValueError("give either patterns or correlations= (see data_correlations) as the reference")
    if patterns is not None:
        family, name = DreamingFamily.from_patterns(patterns), "patterns"
    else:
        assert correlations is not None
        family, name = DreamingFamily.from_correlations(correlations), "correlations"
    if family.n_spins != n_spins:
        raise ValueError(f"{name}: {family.n_spins} spins do not fit couplings of shape ({n_spins}, {n_spins})")
    weights = family.direction(0.0)
    if not weights @ family.gram @ weights > 1e-20 * float(weights @ weights):
        raise ValueError(
            f"{name}: the Hebbian matrix is zero off the diagonal, so that there is nothing to compare with"
        )
    return family


def _scale(family: DreamingFamily, projection: FloatArray, rate: float) -> tuple[float, float]:
    """Inverse temperature and slope = inverse temperature * (1 + rate) of the best fit at a rate."""
    weights = family.direction(rate)
    scale = float(projection @ weights / (weights @ family.gram @ weights))
    temperature = scale / family.factor(rate)
    return temperature, temperature * (1.0 + rate)


def _fitted(family: DreamingFamily, projection: FloatArray, rate: float) -> FloatArray:
    """The member of the family at a rate, scaled to fit the couplings best."""
    weights = family.direction(rate)
    return family.couplings_of(weights * (projection @ weights) / (weights @ family.gram @ weights))


def _grid(family: DreamingFamily, rate: float, interval: RateInterval, rates: ArrayLike | None) -> FloatArray:
    """Rates of the profile: the given ones and 0, or a grid from near the lower bound to above the best rate."""
    if rates is not None:
        asked = np.asarray(rates, dtype=np.float64).ravel()
        bad = np.flatnonzero(~(np.isfinite(asked) & (asked > family.lower_bound)))
        if bad.size:
            raise ValueError(
                f"rates: entry {bad[0]} is {asked[bad[0]]}; all must be finite and above {family.lower_bound:.6g}"
            )
        return np.unique(np.append(asked, 0.0))
    t = family.to_log_distance(rate) if np.isfinite(rate) else np.log1p(300.0 * family.eigenvalues[0])
    wide = np.linspace(min(-2.5, float(t) - 0.5), max(float(np.log1p(family.eigenvalues[0])), float(t) + 1.0), 61)
    parts = [family.to_rate(wide), np.zeros(1)]
    if np.isfinite(rate):
        parts.append(np.array([rate]))
        reach = 4.0 * interval.std if np.isfinite(interval.std) else 0.0
        close = np.linspace(min(rate, 0.0) - reach, max(rate, 0.0) + reach, 21)
        parts.append(close[close > lowest_searched(family)])
    grid = np.unique(np.concatenate(parts))
    # 0 itself is kept; other rates that are equal up to rounding are removed
    grid = grid[np.append(True, np.diff(grid) > 1e-9)]
    grid[np.argmin(np.abs(grid))] = 0.0
    return grid


def _null_models(
    family: DreamingFamily,
    rate: float,
    projection: FloatArray,
    norm: float,
    n_draws: int,
    seed: np.random.SeedSequence,
    best_cosine: float,
) -> dict[str, dict[str, float]]:
    """Mean, std, 2.5 and 97.5 percentiles of the null cosines, and the share of draws below the best cosine."""
    draws = null_cosines(family, rate, projection, norm, n_draws, np.random.default_rng(seed))
    return {
        name: {
            "mean": float(values.mean()),
            "std": float(values.std(ddof=1)),
            "low": float(np.quantile(values, 0.025)),
            "high": float(np.quantile(values, 0.975)),
            "percentile": float(stats.percentileofscore(values, best_cosine, kind="weak")),
            "n_draws": float(n_draws),
        }
        for name, values in draws.items()
    }
