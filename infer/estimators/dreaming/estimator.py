"""Inverse temperature and dreaming rate of samples whose patterns are known: two numbers instead of N^2."""

from __future__ import annotations

import math
import warnings
from typing import Any, Literal, Self

import numpy as np
import xarray as xr
from numpy.typing import ArrayLike
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_is_fitted
from threadpoolctl import threadpool_limits

from infer.estimators.base import SpinEstimator
from infer.estimators.dreaming.errors import Estimate, RateTest, rate_test, sandwich
from infer.estimators.dreaming.problem import (
    CONTINUOUS,
    Problem,
    explain_failure,
    pose,
    rate_is_known,
    unit_scores,
    without_signal,
)
from infer.statistics.uncertainty import laplace_posterior, student_quantile
from simulate.couplings import dreaming


class DreamingModel(SpinEstimator):
    r"""
    Dreaming rate and inverse temperature of samples, given the patterns.

    The model has two parameters, the inverse temperature :math:`\beta` and the dreaming rate :math:`\lambda`:

    .. math:: P(s) \propto \exp\Big(\tfrac12 \sum_{i \ne j} \beta J_{ij}(\lambda) s_i s_j + \sum_i h_i s_i\Big),
              \qquad J(\lambda) = \tfrac1N \xi^T (1+\lambda)(I + \lambda C)^{-1} \xi, \quad C = \xi \xi^T / N.

    `rate = 0` is the Hebbian matrix, positive rates are unlearned (dreamed) matrices. The rate is free down to its open
    lower bound `-1 / max eig(C)`: a constraint at zero would hide the truth. For continuous units there is a potential
    :math:`\beta (k x_i^2 / 2 + b x_i^4 / 4)` for each, with two more parameters.

    Four objectives, all from the overlaps with the at most min(P, N) eigenvectors of C, in O(M N P) for M samples:

    "pseudolikelihood"
        The mean log pseudo-likelihood :math:`\sum_i \log p(s_i \mid \text{rest})`, by Newton's method.
    "hybrid-rbm"
        The likelihood, in the restricted Boltzmann machine of binary visible and Gaussian hidden units,
        :math:`P(s, y) \propto \exp(-\frac12 y^T K^{-1} y + \sqrt{\beta / N}\, y^T \xi s + h \cdot s)` with
        :math:`K = (1+\lambda)(I + \lambda C)^{-1}`, which gives the model when y is summed out. K is positive definite
        for all rates above the bound. Averages come from persistent chains that alternate between the layers
        (`simulate.BlockGibbs`), the step from the natural gradient. Chains must mix: far below the transition
        they do not, and a warning says so.
    "gaussian"
        Continuous units (no b): the likelihood of the Gaussian of precision :math:`\beta (k I - J(\lambda))`. (Active
        units have effective stiffnesses that differ a little from unit to unit. With one for all, the rate comes out a
        few per cent above `simulate.theory.dreaming_rate` even for little activity.)
    "score-matching"
        Continuous units: the score-matching objective, which needs no partition function, so that b may be fitted too.

    Standard errors are those of the sandwich `H^-1 V H^-1`, V the long-run covariance of the score from batch means
    inside chains, so that they hold for autocorrelated samples, and for samples that the model describes imperfectly.

    **Unknown patterns.** Without `patterns`, vectors of +-1 are looked for in the leading eigenvectors of the
    correlations, which span the couplings of the low-rank Hopfield model of largest likelihood (Cocco, Monasson, Sessak
    2011). The rate then measures dreaming from the Hebbian couplings of `patterns_`, whose signs and order are left
    open, and do not matter. It means what it means for known patterns where `pattern_quality_` is near one. Any
    couplings of low rank are Hebbian couplings of *some* real patterns: the rate owes its meaning to patterns that
    are binary. Error bars take the patterns found as given.

    Parameters
    ----------
    patterns : array-like of +-1, shape (n_patterns, n_spins), optional
        Linearly dependent patterns are fine. At least two patterns that are not orthogonal to each other, since
        orthogonal patterns give the same couplings at all rates. None: unknown, `n_patterns` are looked for.
    method : {"pseudolikelihood", "hybrid-rbm", "gaussian", "score-matching"}
    n_patterns : int, optional
        Number of unknown patterns.
    fit_fields : bool, default False
        Whether to fit an external field to every spin (in units of temperature) too.
    quartic : bool, default True
        With "score-matching": fit the quartic term b; otherwise it is zero.
    n_batches : int, optional
        Number of batches for the standard errors. Default: see `infer.statistics.uncertainty.batch_labels`.
        Batches should be several times longer than the autocorrelation time.
    tol : float, default 1e-8
        Converged when a Newton step changes inverse temperature, distance of the rate from its bound (both relative)
        and fields by less. "hybrid-rbm" instead stops when the next step would be well below the standard error.
    max_iter : int, default 100
    threshold : float, optional
        Binarise real-valued X: +1 where it exceeds the threshold. None: X must hold +1 and -1.
    random_state : int, RandomState or None, default 0
        For the chains of "hybrid-rbm" and the search for patterns.
    progress : bool, default False
        Show the steps of "hybrid-rbm".

    Attributes
    ----------
    rate_, rate_std_ : float
        Dreaming rate and its standard error, infinite where the rate ran off to an end of its range.
    inverse_temperature_, inverse_temperature_std_ : float
        In units of the couplings of the patterns, `1 / T`.
    slope_, slope_std_ : float
        `inverse_temperature_ * (1 + rate_)`, the coefficient of the Hebbian matrix at small load, and its standard
        error.
    stiffness_, stiffness_std_, quartic_, quartic_std_ : float
        k and b of continuous units, in units of the couplings; of spins nan.
    covariance_ : ndarray (2, 2)
        Covariance of the estimates of (rate, inverse temperature).
    rate_interval_ : tuple of float
        95 % interval of the rate; `confidence_interval` gives others.
    degrees_of_freedom_ : float
        Of Student's t, for intervals: effective number of batches minus one.
    batch_correlation_ : float
        Correlation between successive batches; clearly positive means that the standard errors are too small.
    couplings_ : ndarray (n_spins, n_spins)
        `inverse_temperature_ * dreaming(patterns, rate_)`: they contain 1/T.
    fields_ : ndarray (n_spins,)
        Zero unless `fit_fields`; contain 1/T.
    log_pseudolikelihood_ : float
        Mean per sample, of spins, at the parameters found; of continuous units nan.
    patterns_ : ndarray of int8 (n_patterns, n_spins)
        The patterns, given or found.
    pattern_quality_ : ndarray (n_patterns,)
        Share of each found pattern's squared length in the leading subspace; one for given patterns.
    lowest_rate_ : float
        The open bound `-1 / max eig(C)`.
    n_iter_ : int
    converged_ : bool
        False, with a warning, if there is no maximum inside the range of rates.
    n_features_in_ : int

    References
    ----------
    Fachechi, Agliari, Barra 2019, arXiv:1810.12217 (dreaming); Behera et al. 2024, arXiv:2410.06269 (the rate as a
    measure of activity); Besag 1975, The Statistician 24, 179 (pseudo-likelihood); Barra, Bernacchia, Santucci,
    Contucci 2012, arXiv:1105.2790 (hybrid machine); Hyvärinen 2005, J. Machine Learning Research 6, 695 (score
    matching); Cocco, Monasson, Sessak 2011, Phys. Rev. E 83, 051123 (low-rank Hopfield models); Varin, Reid, Firth
    2011, Statistica Sinica 21, 5 (sandwich and tests for composite likelihoods); Kent 1982, Biometrika 69, 19
    (adjusted likelihood ratio).

    Examples
    --------
    >>> import numpy as np
    >>> from infer import DreamingModel
    >>> from simulate import PersistentGlauber, hebbian, random_patterns, sample
    >>> patterns = random_patterns(20, 100, seed=0)
    >>> dynamics = PersistentGlauber(hebbian(patterns), temperature=2.0, persistence=0.5)
    >>> model = DreamingModel(patterns).fit(sample(dynamics, draws=5000, chains=4, seed=0))
    >>> model.rate_, model.rate_std_  # doctest: +SKIP
    """

    def __init__(
        self,
        patterns: ArrayLike | None = None,
        method: Literal["pseudolikelihood", "hybrid-rbm", "gaussian", "score-matching"] = "pseudolikelihood",
        *,
        n_patterns: int | None = None,
        fit_fields: bool = False,
        quartic: bool = True,
        n_batches: int | None = None,
        tol: float = 1e-8,
        max_iter: int = 100,
        threshold: float | None = None,
        random_state: int | np.random.RandomState | None = 0,
        progress: bool = False,
    ) -> None:
        self.patterns = patterns
        self.method = method
        self.n_patterns = n_patterns
        self.fit_fields = fit_fields
        self.quartic = quartic
        self.n_batches = n_batches
        self.tol = tol
        self.max_iter = max_iter
        self.threshold = threshold
        self.random_state = random_state
        self.progress = progress

    def fit(self, X: Any, y: Any = None, sample_weight: ArrayLike | None = None) -> Self:
        """
        Fit rate and inverse temperature.

        Parameters
        ----------
        X : array-like (n_samples, n_spins) of +-1, xarray.Dataset or Recording
            A Dataset from `simulate.sample` (dims chain, draw, spin) or a recording with chains informs the error bars;
            the rows of a plain array count as one time-ordered chain. Real values for "gaussian" and "score-matching".
        y : Ignored
            Present for compatibility with scikit-learn.
        sample_weight : array-like (n_samples,), optional
            Relative weights of the rows. (How often a row was seen belongs into the counts of a recording: seen twice
            means two samples, weight two means one sample that counts twice.)

        Returns
        -------
        DreamingModel

        Raises
        ------
        ValueError
            If X or the patterns hold anything but +-1 (X of continuous units anything but finite numbers), do not fit
            each other, or cannot determine the parameters.

        Warns
        -----
        ConvergenceWarning
            If there is no maximum, chains do not mix, or patterns that were found cannot tell the rate.
        UserWarning
            If the samples show no sign of the patterns, batches are too short, or unknown patterns were not found.
        """
        seed = int(check_random_state(self.random_state).randint(np.iinfo(np.int32).max))
        problem = pose(self, X, sample_weight, None, seed)
        with _one_thread():
            best = problem.method.fit(rate=None if problem.rate_matters else 0.0)
            inner, _ = sandwich(best, problem.grouping, problem.method.weight)
        self._unpack(problem, best, inner.covariance)
        self.degrees_of_freedom_ = inner.degrees_of_freedom
        self.batch_correlation_ = inner.batch_correlation
        self.rate_interval_ = self.confidence_interval()
        nothing = without_signal(problem, best)
        if nothing is not None:
            warnings.warn(nothing, UserWarning if self.converged_ else ConvergenceWarning, stacklevel=2)
        elif not self.converged_:
            warnings.warn(explain_failure(problem, best), ConvergenceWarning, stacklevel=2)
        if inner.batch_correlation > max(0.3, 5.0 / np.sqrt(inner.n_batches)):
            warnings.warn(
                f"successive batches of {len(best.scores) // inner.n_batches} rows are still correlated "
                f"({inner.batch_correlation:.2f}): the standard errors are too small; draw longer chains, or ask for "
                "fewer and longer batches with n_batches",
                UserWarning,
                stacklevel=2,
            )
        return self

    def _unpack(self, problem: Problem, best: Estimate, covariance: np.ndarray) -> None:
        """Attributes from where the objective is largest and the covariance of (amplitude, rate, ...)."""
        modes = problem.modes
        self.patterns_, self.pattern_quality_ = problem.patterns, problem.quality
        self.lowest_rate_ = modes.lower_bound
        self.rate_ = best.rate
        self.inverse_temperature_ = modes.inverse_temperature(best.amplitude, best.rate)
        self.slope_ = self.inverse_temperature_ * (1.0 + self.rate_)
        self.fields_ = best.fields
        self.couplings_ = self.inverse_temperature_ * dreaming(self.patterns_, self.rate_)
        self.log_pseudolikelihood_ = problem.log_pseudolikelihood(best)
        self.n_iter_, self.converged_ = best.n_iter, best.converged and problem.rate_matters
        # (rate, inverse temperature, potential terms over inverse temperature) by (amplitude, rate, potential terms)
        jacobian = np.eye(len(best.theta))
        jacobian[:2, :2] = modes.jacobian(best.amplitude, best.rate)
        beta = self.inverse_temperature_ or float("nan")  # without couplings potentials have no scale
        terms = best.theta[2:] / beta
        jacobian[2:] = (jacobian[2:] - terms[:, None] * jacobian[1]) / beta
        full = jacobian @ covariance @ jacobian.T
        known = rate_is_known(problem, best)
        if not known:
            full[0] = full[:, 0] = 0.0
            full[0, 0] = np.inf
        self.covariance_ = full[:2, :2]
        stds = np.sqrt(np.diag(full))
        self.rate_std_, self.inverse_temperature_std_ = float(stds[0]), float(stds[1])
        slope = np.array([self.inverse_temperature_, 1.0 + self.rate_])
        self.slope_std_ = float(np.sqrt(slope @ self.covariance_ @ slope)) if known else float("inf")
        values, errors = (np.concatenate([x, np.full(2, np.nan)])[:2] for x in (terms, stds[2:]))
        (self.stiffness_, self.quartic_), (self.stiffness_std_, self.quartic_std_) = (
            map(float, values),
            map(float, errors),
        )

    def confidence_interval(  # type: ignore[override]  # of its own parameters
        self,
        confidence: float = 0.95,
        parameter: Literal["rate", "inverse_temperature", "slope", "stiffness", "quartic"] = "rate",
    ) -> tuple[float, float]:
        """
        Interval of a parameter: estimate -+ Student's t quantile times standard error.

        For the rate this is done for the logarithm of its distance from the lower bound, whose distribution is closer
        to a Gaussian, so that the interval reaches further up than down and never beyond the bound. Where the rate is
        known well the two agree.

        Parameters
        ----------
        confidence : float, default 0.95
        parameter : {"rate", "inverse_temperature", "slope", "stiffness", "quartic"}

        Returns
        -------
        (float, float)

        Raises
        ------
        ValueError
            If the confidence is not between 0 and 1, or there is no such parameter.
        """
        check_is_fitted(self, "rate_std_")
        names = ("rate", "inverse_temperature", "slope", "stiffness", "quartic")
        if parameter not in names:
            raise ValueError(f"parameter must be one of {', '.join(map(repr, names))}, got {parameter!r}")
        centre, std = getattr(self, f"{parameter}_"), getattr(self, f"{parameter}_std_")
        half = student_quantile(confidence, self.degrees_of_freedom_) * std
        if parameter == "rate":
            distance = centre - self.lowest_rate_
            ratio = min(half / distance, 700.0)  # exp(700) is as good as infinite, and still a number
            return self.lowest_rate_ + distance * math.exp(-ratio), self.lowest_rate_ + distance * math.exp(ratio)
        return float(centre - half), float(centre + half)

    def rate_test(self, X: Any, rate: float = 0.0, sample_weight: ArrayLike | None = None) -> RateTest:
        """
        Test whether the rate differs from a given one: Wald, score and adjusted likelihood-ratio test.

        Parameters
        ----------
        X : array-like (n_samples, n_spins) of +-1, xarray.Dataset or Recording
            The samples that the model was fitted to.
        rate : float, default 0
            0 asks whether the samples are told from those of Hebbian couplings.
        sample_weight : array-like (n_samples,), optional

        Returns
        -------
        RateTest

        Raises
        ------
        ValueError
            If `rate` is not above its lower bound, or these patterns give the same couplings at all rates.

        Warns
        -----
        ConvergenceWarning
            If the fit over all parameters, or the one at this rate, has not converged.
        """
        check_is_fitted(self, "rate_")
        if not rate > self.lowest_rate_:
            raise ValueError(f"rate must be above -1 / max eig(C) = {self.lowest_rate_:.6g}, got {rate:g}")
        seed = int(check_random_state(self.random_state).randint(np.iinfo(np.int32).max))
        problem = pose(self, X, sample_weight, self.patterns_, seed)
        if not problem.rate_matters:
            raise ValueError("these patterns give the same couplings at all rates: there is nothing to test")
        start = problem.start(self)
        with _one_thread():
            return rate_test(problem.method, problem.modes, problem.grouping, start, float(rate))

    def posterior(
        self, draws: int = 1000, random_state: int | np.random.RandomState | None = None, *, chains: int = 4
    ) -> xr.Dataset:
        """
        Draws from the Gaussian approximation of the posterior of rate and inverse temperature (flat prior).

        Parameters
        ----------
        draws : int
            Draws of each chain.
        random_state : int, RandomState or None
        chains : int
            Independent chains, so that arviz finds what it expects.

        Returns
        -------
        xarray.Dataset
            Variables `rate`, `inverse_temperature` and `slope`, dims (chain, draw). Draws below the lower bound of the
            rate are drawn again.

        Raises
        ------
        ValueError
            If a number of draws or chains is below 1, or the standard errors are not finite.
        """
        check_is_fitted(self, "covariance_")
        lowest = self.lowest_rate_
        result = laplace_posterior(
            {"rate": self.rate_, "inverse_temperature": self.inverse_temperature_},
            self.covariance_,
            draws=draws,
            chains=chains,
            random_state=random_state,
            accept=lambda found: found["rate"] > lowest,
            attributes={
                "model": "DreamingModel",
                "method": self.method,
                "approximation": "Gaussian, sandwich covariance",
            },
        )
        return result.assign(slope=result["inverse_temperature"] * (1.0 + result["rate"]))

    def score(self, X: Any, y: Any = None, sample_weight: ArrayLike | None = None) -> float:
        """
        Mean log pseudo-likelihood per sample of spins; of continuous units what their method maximises.

        Parameters
        ----------
        X : array-like (n_samples, n_spins), xarray.Dataset or Recording
        y : Ignored
            Present for compatibility with scikit-learn.
        sample_weight : array-like (n_samples,), optional

        Returns
        -------
        float
            In nats for all but "score-matching"; the larger the better.

        Raises
        ------
        ValueError
            If X does not hold what the method takes, or another number of units than the fit.
        """
        check_is_fitted(self, "couplings_")
        if self.method not in CONTINUOUS:
            return super().score(X, y, sample_weight)
        return unit_scores(self, X, sample_weight)


def _one_thread() -> threadpool_limits:
    """Matrix products on one thread: these are so narrow that threads wait for each other most of the time."""
    return threadpool_limits(limits=1, user_api="blas")
