"""Standard errors and tests of the dreaming model: the sandwich, and three ways to ask whether the rate differs."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from infer.estimators._dreaming_likelihood import Maximum, Samples, fit_pseudolikelihood, profile_hessian
from infer.uncertainty import LongRunCovariance, batch_means_covariance

FloatArray = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Grouping:
    """Which rows belong together: batches, chains, and how often each row was seen (then rows are independent)."""

    labels: NDArray[np.int64]
    chains: NDArray[np.int64] | None = None
    counts: FloatArray | None = None

    def mean_covariance(self, values: FloatArray, weight: FloatArray) -> LongRunCovariance:
        """Covariance of the weighted mean of rows: batch means, or independent samples where there are counts."""
        if self.counts is None:
            return batch_means_covariance(values, self.labels, weight, self.chains)
        # a row seen c times is c independent samples: c (w / c)^2 with w its total weight
        total = float(weight.sum())
        mean = weight @ values / total
        deviations = values - mean
        seen = self.counts > 0
        squares = np.where(seen, weight**2 / np.where(seen, self.counts, 1.0), 0.0)
        concentration = float(squares.sum()) / total**2
        covariance = (deviations * squares[:, None]).T @ deviations / (total**2 * (1.0 - concentration))
        n_samples = round(float(self.counts.sum()))
        return LongRunCovariance(mean, covariance, 1.0 / concentration - 1.0, n_samples, float("nan"), total)


def sandwich(
    samples: Samples, best: Maximum, grouping: Grouping, fit_fields: bool
) -> tuple[LongRunCovariance, FloatArray]:
    """Covariance of the estimates of (amplitude, rate) from batch means of the scores, and the inverse Hessian."""
    hessian, projection = profile_hessian(best.likelihood, fit_fields)
    here = samples.evaluate(best.amplitude, best.rate, best.fields, with_scores=True, projection=projection)
    assert here.scores is not None
    inverse = np.asarray(np.linalg.pinv(hessian, rcond=1e-14, hermitian=True), dtype=np.float64)
    return grouping.mean_covariance(here.scores @ inverse, samples.weight), inverse


@dataclass(frozen=True)
class RateTest:
    """
    Is the dreaming rate different from `rate`? Three tests that account for autocorrelation.

    Each statistic is, when the rate is `rate`, the square of a Student t variable with `degrees_of_freedom` (an F
    variable with 1 and as many degrees of freedom); `*_p_value` is the probability of one at least as large.

    Attributes
    ----------
    rate : float
        The rate in question, 0 for Hebbian couplings.
    wald, wald_p_value : float
        Squared distance of the fitted rate from `rate` in standard errors.
    score, score_p_value : float
        Squared slope of the log pseudo-likelihood by the rate, at `rate` and the best inverse temperature (and
        fields) for it, in standard errors. Does not depend on how the rate is parametrised; to be preferred near the
        lower bound.
    likelihood_ratio, likelihood_ratio_p_value : float
        Twice the gain in log pseudo-likelihood, divided by what it would be on average by chance (Kent 1982): without
        that, neither pseudo-likelihood nor correlated rows give a chi-square variable.
    degrees_of_freedom : float
    inverse_temperature : float
        The best one when the rate is `rate`.
    """

    rate: float
    wald: float
    wald_p_value: float
    score: float
    score_p_value: float
    likelihood_ratio: float
    likelihood_ratio_p_value: float
    degrees_of_freedom: float
    inverse_temperature: float

    def to_dict(self) -> dict[str, float]:
        """The numbers as a dictionary of floats."""
        return asdict(self)


def rate_test(
    samples: Samples,
    grouping: Grouping,
    found: tuple[float, float, FloatArray],
    rate: float,
    *,
    fit_fields: bool,
    tol: float,
    max_iter: int,
) -> RateTest:
    """Wald, score and adjusted likelihood-ratio test of a rate; `found` is (amplitude, rate, fields) of the fit."""
    modes = samples.modes
    fit = partial(fit_pseudolikelihood, fit_fields=fit_fields, tol=tol, max_iter=max_iter)
    restricted, full = fit(samples, rate=rate), fit(samples, start=found)
    inner, inverse_hessian = sandwich(samples, full, grouping, fit_fields)
    variance = inner.covariance[1, 1]
    wald = (full.rate - rate) ** 2 / variance
    gain = 2.0 * (full.likelihood.value - restricted.likelihood.value)
    likelihood_ratio = max(gain, 0.0) * inverse_hessian[1, 1] / variance

    hessian, projection = profile_hessian(restricted.likelihood, fit_fields)
    here = samples.evaluate(restricted.amplitude, rate, restricted.fields, with_scores=True, projection=projection)
    assert here.scores is not None
    effective = here.scores[:, 1] - hessian[0, 1] / hessian[0, 0] * here.scores[:, 0]
    slope = grouping.mean_covariance(effective[:, None], samples.weight)
    score = slope.mean[0] ** 2 / slope.covariance[0, 0]
    wald_p, score_p, ratio_p = stats.f.sf([wald, score, likelihood_ratio], 1, slope.degrees_of_freedom)
    return RateTest(
        rate=rate,
        wald=float(wald),
        wald_p_value=float(wald_p),
        score=float(score),
        score_p_value=float(score_p),
        likelihood_ratio=float(likelihood_ratio),
        likelihood_ratio_p_value=float(ratio_p),
        degrees_of_freedom=slope.degrees_of_freedom,
        inverse_temperature=modes.inverse_temperature(restricted.amplitude, rate),
    )
