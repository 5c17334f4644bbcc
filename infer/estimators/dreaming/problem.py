"""Problem of samples and patterns that a method of a dreaming model solves, and the messages of its failures."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from infer.estimators.columns import check_worth
from infer.estimators.dreaming.errors import Estimate, Grouping, Method
from infer.estimators.dreaming.modes import PatternModes
from infer.estimators.dreaming.patterns import find_patterns
from infer.statistics.uncertainty import batch_labels
from simulate.checks import check_count, check_patterns
from simulate.user_warnings import warn

FloatArray = NDArray[np.float64]

GOOD_QUALITY = 0.85  # in a subspace without patterns the best vectors of +-1 have 0.65 (large N) to 0.8 (four of forty)
SIGNAL = 4.0  # amplitude of the couplings, in standard errors, below which samples show no sign of the patterns


@dataclass(frozen=True, eq=False)
class Problem:
    """Samples in the basis of the patterns, with a method to fit them."""

    patterns: NDArray[np.int8]
    quality: FloatArray
    modes: PatternModes
    grouping: Grouping
    method: Method
    rate_matters: bool

    def start(self, model: Any) -> Estimate:
        """The parameters of a fitted model, as a start for other fits."""
        beta = model.inverse_temperature_
        theta = np.array([self.modes.amplitude(beta, model.rate_), model.rate_, *model.potential()])
        nothing = np.empty((0, 0))
        return Estimate(theta, model.fields_, float("nan"), nothing, nothing, nothing, 0, True)


def build_problem(
    model: Any, X: Any, sample_weight: ArrayLike | None, patterns: NDArray[np.int8] | None, seed: int
) -> Problem:
    """Check samples and options of a dreaming model; `patterns` are those of an earlier fit, None in a new one."""
    if model.method not in model.methods:
        raise ValueError(f"method must be one of {', '.join(map(repr, model.methods))}, got {model.method!r}")
    reset = patterns is None
    if model.patterns is None and model.n_patterns is None:
        raise ValueError("give the patterns, or n_patterns to have as many looked for in the samples")
    if model.patterns is not None and model.n_patterns is not None:
        raise ValueError("give either patterns or n_patterns, not both")
    given = None if model.patterns is None else check_patterns(model.patterns)
    given_samples = model.read_values(X, sample_weight, reset=reset)
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
    chains = given_samples.chains
    # shares are scaled to add up to the effective number of samples
    counts = None if weight is None or chains is not None else weight * (given_samples.n_samples / weight.sum())
    grouping = Grouping(batch_labels(len(values), chains, model.n_batches), chains, counts)
    weight = np.ones(len(values)) if weight is None else weight
    method = model.build_method(given_samples, weight, modes, grouping, seed)
    return Problem(patterns, quality, modes, grouping, method, matters)


def rate_is_known(problem: Problem, best: Estimate) -> bool:
    """Whether the patterns determine a rate, and the estimate lies inside the range."""
    return problem.rate_matters and not problem.modes.at_end(best.rate)


def without_signal(problem: Problem, best: Estimate) -> str | None:
    """Warning for samples whose couplings do not differ from zero, so that the rate is random; None where they do.

    At a given rate the amplitude over its standard error is a standard normal if there are no couplings; at the best of
    all rates it is somewhat larger, which is why `SIGNAL` is large.
    """
    spread = problem.grouping.mean_covariance(best.scores[:, :1], problem.method.weight).covariance[0, 0]
    error = np.sqrt(spread) / max(abs(float(best.hessian[0, 0])), 1e-300)
    if not problem.rate_matters or abs(best.amplitude) > SIGNAL * error:
        return None
    return (
        f"the samples show no sign of the patterns (couplings are {abs(best.amplitude) / max(error, 1e-300):.1f} "
        "standard errors from none at all), so that the rate and its error are meaningless: check that patterns "
        "and X have their spins in the same order, draw more samples, or lower the temperature"
    )


def explain_failure(problem: Problem, best: Estimate) -> str:
    """Reason why there is no maximum, with the remedy."""
    if not problem.rate_matters:
        return (
            "the patterns that were found give the same couplings at all rates, so that only the inverse temperature "
            "is known: give the patterns, or other n_patterns"
        )
    if problem.modes.at_end(best.rate):
        end = "its lower bound" if best.rate < 0 else "infinity (the pseudo-inverse couplings)"
        return (
            f"the rate diverged to {end}: no dreaming matrix in between fits better, or the couplings are too weak "
            "to tell the rate; more samples help in the latter case"
        )
    return f"no convergence after {best.n_iter} iterations: raise max_iter or tol"


def _warn_of_patterns(quality: FloatArray, wanted: int) -> None:
    """Warn where fewer binary patterns were found than `wanted`."""
    if len(quality) < wanted or quality.min() < GOOD_QUALITY:
        good = int(np.sum(quality >= GOOD_QUALITY))
        warn(
            f"only {good} of {wanted} patterns of +-1 were found clearly in the correlations: the rate refers to "
            "patterns_, which may not be what is stored; ask for fewer patterns, or give more samples",
            UserWarning,
            stacklevel=4,
        )
