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

from infer.estimators._base import SpinEstimator, constant_spins, name_spins
from infer.estimators._dreaming_errors import Grouping, RateTest, rate_test, sandwich
from infer.estimators._dreaming_likelihood import Maximum, PatternModes, Samples, fit_pseudolikelihood
from infer.uncertainty import batch_labels, posterior_dataset, student_quantile
from simulate._validation import check_patterns
from simulate.memory.couplings import dreaming

METHODS = ("pseudolikelihood",)


class DreamingModel(SpinEstimator):
    r"""
    Dreaming rate and inverse temperature of samples, given the patterns.

    The model has two parameters, the inverse temperature :math:`\beta` and the dreaming rate :math:`\lambda`:

    .. math:: P(s) \propto \exp\Big(\tfrac12 \sum_{i \ne j} \beta J_{ij}(\lambda) s_i s_j + \sum_i h_i s_i\Big),
              \qquad J(\lambda) = \tfrac1N \xi^T (1+\lambda)(I + \lambda C)^{-1} \xi, \quad C = \xi \xi^T / N.

    `rate = 0` is the Hebbian matrix, positive rates are unlearned (dreamed) matrices. The rate is free down to its open
    lower bound `-1 / max eig(C)`: a constraint at zero would hide the truth. Both parameters maximise the mean log
    pseudo-likelihood :math:`\sum_i \log p(s_i \mid \text{rest})` by Newton's method with exact derivatives. Everything
    is computed from the overlaps with the at most min(P, N) eigenvectors of C, in O(M N P) for M samples.

    Standard errors are those of the sandwich `H^-1 V H^-1`, V the long-run covariance of the score from batch means
    inside chains, so that they hold for autocorrelated samples, and for samples that the model describes imperfectly.

    Parameters
    ----------
    patterns : array-like of +-1, shape (n_patterns, n_spins)
        Linearly dependent patterns are fine. At least two patterns that are not orthogonal to each other, since
        orthogonal patterns give the same couplings at all rates.
    method : {"pseudolikelihood"}
    fit_fields : bool, default False
        Whether to fit an external field to every spin (in units of temperature) too.
    n_batches : int, optional
        Number of batches for the standard errors. Default: see `infer.uncertainty.batch_labels`. Batches should be
        several times longer than the autocorrelation time.
    tol : float, default 1e-8
        Converged when a Newton step changes inverse temperature, distance of the rate from its bound (both relative)
        and fields by less.
    max_iter : int, default 100
    threshold : float, optional
        Binarise real-valued X: +1 where it exceeds the threshold. None: X must hold +1 and -1.

    Attributes
    ----------
    rate_, rate_std_ : float
        Dreaming rate and its standard error.
    inverse_temperature_, inverse_temperature_std_ : float
        In units of the couplings of the patterns, `1 / T`.
    slope_, slope_std_ : float
        `inverse_temperature_ * (1 + rate_)`, the coefficient of the Hebbian matrix at small load, and its standard
        error.
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
        Mean per sample at the maximum.
    lowest_rate_ : float
        The open bound `-1 / max eig(C)`.
    n_iter_ : int
    converged_ : bool
        False, with a warning, if there is no maximum inside the range of rates.
    n_features_in_ : int

    References
    ----------
    Fachechi, Agliari, Barra 2019, arXiv:1810.12217 (dreaming); Behera et al. 2024, arXiv:2410.06269 (the rate as a
    measure of activity); Besag 1975, The Statistician 24, 179 (pseudo-likelihood); Varin, Reid, Firth 2011,
    Statistica Sinica 21, 5 (sandwich and tests for composite likelihoods); Kent 1982, Biometrika 69, 19 (adjusted
    likelihood ratio).

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
        patterns: ArrayLike,
        method: Literal["pseudolikelihood"] = "pseudolikelihood",
        *,
        fit_fields: bool = False,
        n_batches: int | None = None,
        tol: float = 1e-8,
        max_iter: int = 100,
        threshold: float | None = None,
    ) -> None:
        self.patterns = patterns
        self.method = method
        self.fit_fields = fit_fields
        self.n_batches = n_batches
        self.tol = tol
        self.max_iter = max_iter
        self.threshold = threshold

    def fit(self, X: Any, y: Any = None, sample_weight: ArrayLike | None = None) -> Self:
        """
        Fit rate and inverse temperature.

        Parameters
        ----------
        X : array-like (n_samples, n_spins) of +-1, xarray.Dataset or Recording
            A Dataset from `simulate.sample` (dims chain, draw, spin) or a recording with chains informs the error bars;
            the rows of a plain array count as one time-ordered chain.
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
            If X or the patterns hold anything but +-1, do not fit each other, or cannot determine the parameters.
        """
        samples, grouping = self._prepare(X, sample_weight, reset=True)
        modes = samples.modes
        with _one_thread():
            best = fit_pseudolikelihood(samples, fit_fields=self.fit_fields, tol=self.tol, max_iter=self.max_iter)
            inner, _ = sandwich(samples, best, grouping, self.fit_fields)
        self.rate_ = best.rate
        self.inverse_temperature_ = modes.inverse_temperature(best.amplitude, best.rate)
        self.slope_ = self.inverse_temperature_ * (1.0 + self.rate_)
        self.fields_ = best.fields
        self.couplings_ = self.inverse_temperature_ * dreaming(self.patterns, self.rate_)
        self.log_pseudolikelihood_ = best.likelihood.value
        self.lowest_rate_ = modes.lower_bound
        self.n_iter_ = best.n_iter
        self.converged_ = best.converged
        if not best.converged:
            self._warn_not_converged(modes, best)
        jacobian = modes.jacobian(best.amplitude, best.rate)
        self.covariance_ = jacobian @ inner.covariance @ jacobian.T
        self.rate_std_, self.inverse_temperature_std_ = (float(x) for x in np.sqrt(np.diag(self.covariance_)))
        slope = np.array([self.inverse_temperature_, 1.0 + self.rate_])
        self.slope_std_ = float(np.sqrt(slope @ self.covariance_ @ slope))
        self.degrees_of_freedom_ = inner.degrees_of_freedom
        self.batch_correlation_ = inner.batch_correlation
        self.rate_interval_ = self.confidence_interval()
        if inner.batch_correlation > max(0.3, 5.0 / np.sqrt(inner.n_batches)):
            warnings.warn(
                f"successive batches of {len(samples.spins) // inner.n_batches} rows are still correlated "
                f"({inner.batch_correlation:.2f}): the standard errors are too small; draw longer chains, or ask for "
                "fewer and longer batches with n_batches",
                UserWarning,
                stacklevel=2,
            )
        return self

    def confidence_interval(
        self, level: float = 0.95, parameter: Literal["rate", "inverse_temperature", "slope"] = "rate"
    ) -> tuple[float, float]:
        """
        Interval of a parameter: estimate -+ Student's t quantile times standard error.

        For the rate this is done for the logarithm of its distance from the lower bound, whose distribution is closer
        to a Gaussian, so that the interval reaches further up than down and never beyond the bound. Where the rate is
        known well the two agree.

        Parameters
        ----------
        level : float, default 0.95
        parameter : {"rate", "inverse_temperature", "slope"}

        Returns
        -------
        (float, float)
        """
        check_is_fitted(self, "rate_std_")
        if parameter not in ("rate", "inverse_temperature", "slope"):
            raise ValueError(f"parameter must be 'rate', 'inverse_temperature' or 'slope', got {parameter!r}")
        centre, std = getattr(self, f"{parameter}_"), getattr(self, f"{parameter}_std_")
        half = student_quantile(level, self.degrees_of_freedom_) * std
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
            If `rate` is not above its lower bound.
        """
        check_is_fitted(self, "rate_")
        if not rate > self.lowest_rate_:
            raise ValueError(f"rate must be above -1 / max eig(C) = {self.lowest_rate_:.6g}, got {rate:g}")
        samples, grouping = self._prepare(X, sample_weight, reset=False)
        amplitude = samples.modes.amplitude(self.inverse_temperature_, self.rate_)
        with _one_thread():
            return rate_test(
                samples,
                grouping,
                (amplitude, self.rate_, self.fields_),
                float(rate),
                fit_fields=self.fit_fields,
                tol=self.tol,
                max_iter=self.max_iter,
            )

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
        """
        check_is_fitted(self, "covariance_")
        if draws < 1 or chains < 1:
            raise ValueError(f"draws and chains must be at least 1, got draws={draws}, chains={chains}")
        if not np.isfinite(self.covariance_).all():
            raise ValueError("the standard errors are not known, so there is no posterior to draw from")
        generator = check_random_state(random_state)
        values, vectors = np.linalg.eigh(self.covariance_)
        root = vectors * np.sqrt(np.maximum(values, 0.0))
        centre = np.array([self.rate_, self.inverse_temperature_])
        points = centre + generator.normal(size=(chains * draws, 2)) @ root.T
        while np.any(outside := points[:, 0] <= self.lowest_rate_):
            points[outside] = centre + generator.normal(size=(int(outside.sum()), 2)) @ root.T
        rate, beta = points.T.reshape(2, chains, draws)
        return posterior_dataset(
            {"rate": rate, "inverse_temperature": beta, "slope": beta * (1.0 + rate)},
            {"model": "DreamingModel", "method": self.method, "approximation": "Gaussian, sandwich covariance"},
        )

    def _prepare(self, X: Any, sample_weight: ArrayLike | None, *, reset: bool) -> tuple[Samples, Grouping]:
        """Checked samples in the basis of the patterns, and which rows belong together."""
        if self.method not in METHODS:
            raise ValueError(f"method must be one of {', '.join(map(repr, METHODS))}, got {self.method!r}")
        patterns = check_patterns(self.patterns)
        spins, weight, chains, names = self._validate(X, sample_weight, reset=reset)
        if patterns.shape[1] != spins.shape[1]:
            raise ValueError(f"patterns have {patterns.shape[1]} spins, but X has {spins.shape[1]} columns")
        modes = PatternModes.from_patterns(patterns)
        if not modes.rate_matters():
            raise ValueError(
                "the dreaming rate cannot be told: these patterns give the same couplings (up to a factor) at all "
                "rates, as patterns orthogonal to each other do; give at least two correlated patterns"
            )
        if self.fit_fields and len(constant := constant_spins(spins, weight)):
            raise ValueError(
                f"{name_spins(constant, names)} never change, so that their fields would be infinite: drop these "
                "columns of X and of the patterns, or pass fit_fields=False"
            )
        counts = getattr(X, "counts", None) if hasattr(X, "spins") else None
        counts = None if counts is None else np.asarray(counts, dtype=np.float64)
        labels = batch_labels(len(spins), chains, self.n_batches)
        return Samples.prepare(spins, weight, modes), Grouping(labels, chains, counts)

    def _warn_not_converged(self, modes: PatternModes, best: Maximum) -> None:
        """Say why there is no maximum, and what to do."""
        if modes.at_end(best.rate):
            end = "its lower bound" if best.rate < 0 else "infinity (the pseudo-inverse couplings)"
            text = (
                f"the rate ran off to {end}: no dreaming matrix in between fits better, or the couplings are too weak "
                "to tell the rate; more samples help in the latter case"
            )
        else:
            text = f"no convergence after {best.n_iter} iterations: raise max_iter or tol"
        warnings.warn(text, ConvergenceWarning, stacklevel=3)


def _one_thread() -> threadpool_limits:
    """Matrix products on one thread: these are so narrow that threads wait for each other most of the time."""
    return threadpool_limits(limits=1, user_api="blas")
