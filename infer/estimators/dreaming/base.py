"""Base class of the dreaming models of spins and of continuous units: fit, intervals, tests and posterior."""

from __future__ import annotations

import math
from typing import Any, Self

import numpy as np
import xarray as xr
from numpy.typing import ArrayLike, NDArray
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils.validation import check_is_fitted

from infer.checks import seed_of
from infer.estimators.base import SpinEstimator
from infer.estimators.dreaming.errors import Estimate, Grouping, Method, RateTest, rate_test, sandwich
from infer.estimators.dreaming.modes import PatternModes
from infer.estimators.dreaming.problem import Problem, build_problem, explain_failure, rate_is_known, without_signal
from infer.samples import Samples
from infer.statistics.uncertainty import laplace_posterior, student_quantile
from infer.types import FloatArray
from simulate.couplings import dreaming
from simulate.threads import one_blas_thread
from simulate.user_warnings import warn


class DreamingEstimator(SpinEstimator):
    """Base class of the models of dreaming rate and inverse temperature, given the patterns or with a search for them.

    A subclass names its `methods` and the `parameters` that have intervals, reads samples (`read_values`) and builds
    the objective of a method (`build_method`).
    """

    methods: tuple[str, ...] = ()
    parameters: tuple[str, ...] = ("rate", "inverse_temperature", "slope")

    patterns: ArrayLike | None
    method: str
    n_patterns: int | None
    n_batches: int | None
    tol: float
    max_iter: int
    random_state: int | np.random.RandomState | None

    def read_values(self, X: Any, sample_weight: ArrayLike | None, *, reset: bool) -> Samples:
        """Read and check samples of spins or units.

        Parameters
        ----------
        X : array-like (n_samples, n_spins), xarray.Dataset, Samples or Recording
        sample_weight : array-like (n_samples,), optional
        reset : bool
            Whether this is a new fit; otherwise samples are checked against the last one.

        Returns
        -------
        Samples
        """
        raise NotImplementedError(f"{type(self).__name__} has no method that reads samples: write read_values()")

    def build_method(
        self, samples: Samples, weight: FloatArray, modes: PatternModes, grouping: Grouping, seed: int
    ) -> Method:
        """The objective of the chosen method for some samples.

        Parameters
        ----------
        samples : Samples
        weight : ndarray (n_rows,)
        modes : PatternModes
        grouping : Grouping
        seed : int

        Returns
        -------
        Method
        """
        raise NotImplementedError(f"{type(self).__name__} has no objective: write build_method()")

    def potential(self) -> NDArray[np.float64]:
        """Fitted parameters of the potential of each unit, times the inverse temperature; none for spins.

        Returns
        -------
        ndarray (n_terms,)
        """
        return np.zeros(0)

    def _keep_potential(self, terms: FloatArray, std: FloatArray) -> None:
        """Set attributes of the potential of each unit from its parameters and their standard errors."""

    def fit(self, X: Any, y: Any = None, sample_weight: ArrayLike | None = None) -> Self:
        """
        Fit rate and inverse temperature.

        Parameters
        ----------
        X : array-like (n_samples, n_spins) of +-1, xarray.Dataset or Recording
            A Dataset from `simulate.sample` (dims chain, draw, spin) or a recording with chains informs the error bars;
            the rows of a plain array count as one time-ordered chain. Real values for continuous units.
        y : Ignored
            Present for compatibility with scikit-learn.
        sample_weight : array-like (n_samples,), optional
            Relative weights of the rows. (Pass the number of times a row was seen as counts of a recording: a count of
            two means two samples, a weight of two means one sample that counts twice.)

        Returns
        -------
        DreamingEstimator

        Raises
        ------
        ValueError
            If X or the patterns contain values other than +-1 (for continuous units, X values that are not finite), do
            not fit each other, or cannot determine the parameters.

        Warns
        -----
        ConvergenceWarning
            If there is no maximum, chains do not mix, or the patterns that were found do not determine the rate.
        UserWarning
            If the samples show no sign of the patterns, batches are too short, or unknown patterns were not found.
        """
        seed = seed_of(self.random_state)
        problem = build_problem(self, X, sample_weight, None, seed)
        with one_blas_thread():
            best = problem.method.fit(rate=None if problem.rate_matters else 0.0)
            inner, _ = sandwich(best, problem.grouping, problem.method.weight)
        self._unpack(problem, best, inner.covariance)
        self.degrees_of_freedom_ = inner.degrees_of_freedom
        self.batch_correlation_ = inner.batch_correlation
        self.rate_interval_ = self.confidence_interval()
        nothing = without_signal(problem, best)
        if nothing is not None:
            warn(nothing, UserWarning if self.converged_ else ConvergenceWarning, stacklevel=2)
        elif not self.converged_:
            warn(explain_failure(problem, best), ConvergenceWarning, stacklevel=2)
        if inner.batch_correlation > max(0.3, 5.0 / np.sqrt(inner.n_batches)):
            warn(
                f"successive batches of {len(best.scores) // inner.n_batches} rows are still correlated "
                f"({inner.batch_correlation:.2f}): the standard errors are too small; draw longer chains, or ask for "
                "fewer and longer batches with n_batches",
                UserWarning,
                stacklevel=2,
            )
        return self

    def _unpack(self, problem: Problem, best: Estimate, covariance: np.ndarray) -> None:
        """Set attributes from the maximum of the objective and the covariance of (amplitude, rate, ...)."""
        modes = problem.modes
        self.patterns_, self.pattern_quality_ = problem.patterns, problem.quality
        self.lowest_rate_ = modes.lower_bound
        self.rate_ = best.rate
        self.inverse_temperature_ = modes.inverse_temperature(best.amplitude, best.rate)
        self.slope_ = self.inverse_temperature_ * (1.0 + self.rate_)
        self.fields_ = best.fields
        self.couplings_ = self.inverse_temperature_ * dreaming(self.patterns_, self.rate_)
        self.n_iter_, self.converged_ = best.n_iter, best.converged and problem.rate_matters
        # (rate, inverse temperature, potential terms over inverse temperature) by (amplitude, rate, potential terms)
        jacobian = np.eye(len(best.theta))
        jacobian[:2, :2] = modes.jacobian(best.amplitude, best.rate)
        beta = self.inverse_temperature_ or float("nan")  # without couplings the scale of the potentials is undefined
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
        self._keep_potential(terms, stds[2:])

    def confidence_interval(  # type: ignore[override]  # the names of its own parameters
        self,
        confidence: float = 0.95,
        parameter: str = "rate",
    ) -> tuple[float, float]:
        """
        Interval of a parameter: estimate -+ Student's t quantile times standard error.

        For the rate this is done for the logarithm of its distance from the lower bound, whose distribution is closer
        to a Gaussian, so that the interval is longer above the estimate than below, and never crosses the bound. Where
        the standard error is small, it agrees with the symmetric interval.

        Parameters
        ----------
        confidence : float, default 0.95
        parameter : {"rate", "inverse_temperature", "slope"}
            For continuous units also "stiffness" and "quartic".

        Returns
        -------
        (float, float)

        Raises
        ------
        ValueError
            If the confidence is not between 0 and 1, or there is no such parameter.
        """
        check_is_fitted(self, "rate_std_")
        if parameter not in self.parameters:
            raise ValueError(f"parameter must be one of {', '.join(map(repr, self.parameters))}, got {parameter!r}")
        centre, std = getattr(self, f"{parameter}_"), getattr(self, f"{parameter}_std_")
        half = student_quantile(confidence, self.degrees_of_freedom_) * std
        if parameter == "rate":
            distance = centre - self.lowest_rate_
            ratio = min(half / distance, 700.0)  # exp(700) is still finite
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
            Rate of the null hypothesis; 0 for Hebbian couplings.
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
        seed = seed_of(self.random_state)
        problem = build_problem(self, X, sample_weight, self.patterns_, seed)
        if not problem.rate_matters:
            raise ValueError("these patterns give the same couplings at all rates: there is nothing to test")
        start = problem.start(self)
        with one_blas_thread():
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
            Number of independent chains; arviz needs this dimension.

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
            seed=seed_of(random_state),
            accept=lambda found: found["rate"] > lowest,
            attributes={
                "model": type(self).__name__,
                "method": self.method,
                "approximation": "Gaussian, sandwich covariance",
            },
        )
        return result.assign(slope=result["inverse_temperature"] * (1.0 + result["rate"]))
