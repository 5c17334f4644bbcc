"""From samples and patterns to the problem that a method of the dreaming model solves, and what to say of failures."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from infer.checks import constant_spins, name_spins
from infer.estimators.columns import check_worth
from infer.estimators.continuous.estimators import read_units
from infer.estimators.dreaming.continuous_units import ContinuousMethod, GaussianMethod, ScoreMatchingMethod
from infer.estimators.dreaming.errors import Estimate, Grouping, Method
from infer.estimators.dreaming.hybrid_machine import HybridMachineMethod
from infer.estimators.dreaming.likelihood import PatternSamples, PseudoLikelihoodMethod
from infer.estimators.dreaming.modes import PatternModes
from infer.estimators.dreaming.patterns import find_patterns
from infer.samples import Samples
from infer.statistics.uncertainty import batch_labels
from simulate.checks import check_count, check_patterns

FloatArray = NDArray[np.float64]

SPINS = ("pseudolikelihood", "hybrid-rbm")
CONTINUOUS = ("gaussian", "score-matching")
GOOD_QUALITY = 0.85  # the best vectors of +-1 in a subspace without any have 0.65 (large N) to 0.8 (four of forty)
SIGNAL = 4.0  # standard errors of the couplings from none at all, below which samples show no sign of the patterns


@dataclass(frozen=True, eq=False)
class Problem:
    """Samples in the basis of the patterns, with a method to fit them."""

    patterns: NDArray[np.int8]
    quality: FloatArray
    modes: PatternModes
    grouping: Grouping
    method: Method
    samples: PatternSamples | None  # of spins
    rate_matters: bool

    def log_pseudolikelihood(self, found: Estimate) -> float:
        """Mean per sample of spins, nan for continuous units."""
        if self.samples is None:
            return float("nan")
        return self.samples.evaluate(found.amplitude, found.rate, found.fields).value

    def start(self, model: Any) -> Estimate:
        """Where a fitted model is, as a start for other fits."""
        beta = model.inverse_temperature_
        terms = [] if self.samples is not None else [model.stiffness_ * beta, model.quartic_ * beta]
        theta = np.array([self.modes.amplitude(beta, model.rate_), model.rate_, *(t for t in terms if not np.isnan(t))])
        nothing = np.empty((0, 0))
        return Estimate(theta, model.fields_, float("nan"), nothing, nothing, nothing, 0, True)


def pose(model: Any, X: Any, sample_weight: ArrayLike | None, patterns: NDArray[np.int8] | None, seed: int) -> Problem:
    """Check everything that a `DreamingModel` was given; `patterns` are those of an earlier fit, None in a fit."""
    if model.method not in SPINS + CONTINUOUS:
        raise ValueError(f"method must be one of {', '.join(map(repr, SPINS + CONTINUOUS))}, got {model.method!r}")
    reset = patterns is None
    if model.patterns is None and model.n_patterns is None:
        raise ValueError("give the patterns, or n_patterns to have as many looked for in the samples")
    if model.patterns is not None and model.n_patterns is not None:
        raise ValueError("give either patterns or n_patterns, not both")
    given = None if model.patterns is None else check_patterns(model.patterns)
    given_samples = _samples_of(model, X, sample_weight, reset)
    check_worth(given_samples)
    values, weight = given_samples.values, given_samples.weight
    if given is not None and given.shape[1] != values.shape[1]:
        raise ValueError(f"patterns have {given.shape[1]} spins, but X has {values.shape[1]} columns")
    quality = np.ones(0 if given is None else len(given))
    if patterns is None and given is None:
        count = check_count(model.n_patterns, "n_patterns", low=1)
        found = find_patterns(values, weight, count, model.fit_fields, np.random.default_rng(seed))
        patterns, quality = found.patterns, found.quality
        _warn_of_patterns(quality, count)
    elif patterns is None:
        patterns = given
    assert patterns is not None
    modes = PatternModes.from_patterns(patterns)
    matters = modes.rate_matters()
    if not matters and given is not None:
        raise ValueError(
            "the dreaming rate cannot be told: these patterns give the same couplings (up to a factor) at all "
            "rates, as patterns orthogonal to each other do; give at least two correlated patterns"
        )
    if model.fit_fields and model.method in SPINS and len(constant := constant_spins(values, weight)):
        raise ValueError(
            f"{name_spins(constant, given_samples.names)} never change, so that their fields would be infinite: drop "
            "these columns of X and of the patterns, or pass fit_fields=False"
        )
    chains = given_samples.chains
    # shares are worth fewer samples than counts: scaled to add up to so many
    counts = None if weight is None or chains is not None else weight * (given_samples.n_samples / weight.sum())
    grouping = Grouping(batch_labels(len(values), chains, model.n_batches), chains, counts)
    weight = np.ones(len(values)) if weight is None else weight
    method: Method
    if model.method in CONTINUOUS:
        method, samples = _continuous(model, values, weight, modes), None
    else:
        samples = PatternSamples.prepare(values, weight, modes)
        method = PseudoLikelihoodMethod(samples, model.fit_fields, model.tol, model.max_iter)
        if model.method == "hybrid-rbm":
            method = HybridMachineMethod(samples, grouping, model.fit_fields, model.max_iter, seed, model.progress)
    return Problem(patterns, quality, modes, grouping, method, samples, matters)


def unit_scores(model: Any, X: Any, sample_weight: ArrayLike | None) -> float:
    """Mean objective of continuous units at the parameters of a fitted model."""
    samples = _samples_of(model, X, sample_weight, False)
    values, weight = samples.values, samples.weight
    precision = -model.couplings_.copy()
    kappa, quartic = model.stiffness_ * model.inverse_temperature_, 0.0
    if not np.isnan(model.quartic_):
        quartic = model.quartic_ * model.inverse_temperature_
    precision[np.diag_indices(len(precision))] = kappa
    if model.method == "gaussian":
        mean = np.linalg.solve(precision, model.fields_)
        deviations = values - mean
        squares = np.einsum("ki,ki->k", deviations @ precision, deviations)
        volume = np.linalg.slogdet(precision)[1] - len(precision) * np.log(2.0 * np.pi)
        return float(0.5 * (volume - np.average(squares, weights=weight)))
    slopes = model.fields_ - values @ precision - quartic * values**3
    curvatures = -kappa - 3.0 * quartic * values**2
    return float(-np.average((0.5 * slopes**2 + curvatures).sum(axis=1), weights=weight))


def rate_is_known(problem: Problem, best: Estimate) -> bool:
    """Whether there is a rate to speak of: patterns that can tell it, and an estimate inside the range."""
    return problem.rate_matters and not problem.modes.at_end(best.rate)


def without_signal(problem: Problem, best: Estimate) -> str | None:
    """What to say where the samples might as well have no couplings at all: then the rate is a play of chance.

    At a given rate the amplitude over its standard error is a standard normal if there are no couplings; at the best of
    all rates it is somewhat larger, which `SIGNAL` leaves room for.
    """
    spread = problem.grouping.mean_covariance(best.scores[:, :1], problem.method.weight).covariance[0, 0]
    error = np.sqrt(spread) / max(abs(float(best.hessian[0, 0])), 1e-300)
    if not problem.rate_matters or abs(best.amplitude) > SIGNAL * error:
        return None
    return (
        f"the samples show no sign of the patterns (couplings are {abs(best.amplitude) / max(error, 1e-300):.1f} "
        "standard errors from none at all), so that the rate means nothing, nor does its error: check that patterns "
        "and X have their spins in the same order, draw more samples, or lower the temperature"
    )


def explain_failure(problem: Problem, best: Estimate) -> str:
    """Why there is no maximum, and what to do."""
    if not problem.rate_matters:
        return (
            "the patterns that were found give the same couplings at all rates, so that only the inverse temperature "
            "is known: give the patterns, or other n_patterns"
        )
    if problem.modes.at_end(best.rate):
        end = "its lower bound" if best.rate < 0 else "infinity (the pseudo-inverse couplings)"
        return (
            f"the rate ran off to {end}: no dreaming matrix in between fits better, or the couplings are too weak "
            "to tell the rate; more samples help in the latter case"
        )
    return f"no convergence after {best.n_iter} iterations: raise max_iter or tol"


def _samples_of(model: Any, X: Any, sample_weight: ArrayLike | None, reset: bool) -> Samples:
    """Checked samples: spins, or finite numbers for the methods of continuous units."""
    if model.method in SPINS:
        checked: Samples = model._read(X, sample_weight, reset=reset)
        return checked
    return read_units(model, X, sample_weight, reset=reset)


def _continuous(model: Any, values: FloatArray, weight: FloatArray, modes: PatternModes) -> ContinuousMethod:
    """The method for continuous units; a ValueError where they do not determine its parameters."""
    arguments = (values, weight, modes, bool(model.fit_fields), float(model.tol), int(model.max_iter))
    if model.method == "gaussian":
        method: ContinuousMethod = GaussianMethod(*arguments)
    else:
        method = ScoreMatchingMethod(*arguments, quartic=bool(model.quartic))
    variances = np.diag(method.second)
    constant = np.flatnonzero(variances <= 1e-12 * np.maximum(np.diag(method.moments.second), 1e-300))
    if len(constant):
        raise ValueError(f"{name_spins(constant).replace('spin', 'unit')} never change: drop these columns")
    return method


def _warn_of_patterns(quality: FloatArray, wanted: int) -> None:
    """Tell when the samples do not show as many binary patterns as were asked for."""
    if len(quality) < wanted or quality.min() < GOOD_QUALITY:
        good = int(np.sum(quality >= GOOD_QUALITY))
        warnings.warn(
            f"only {good} of {wanted} patterns of +-1 were found clearly in the correlations: the rate refers to "
            "patterns_, which may not be what is stored; ask for fewer patterns, or give more samples",
            UserWarning,
            stacklevel=4,
        )
