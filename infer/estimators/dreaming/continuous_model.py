"""Inverse temperature, dreaming rate and potential of continuous units whose patterns are known."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.utils.validation import check_is_fitted

from infer.checks import name_spins
from infer.estimators.continuous.estimators import read_units
from infer.estimators.dreaming.base import DreamingEstimator
from infer.estimators.dreaming.continuous_units import ContinuousMethod, GaussianMethod, ScoreMatchingMethod
from infer.estimators.dreaming.errors import Grouping, Method
from infer.estimators.dreaming.modes import PatternModes
from infer.samples import Samples
from infer.types import FloatArray

__all__ = ["ContinuousDreamingModel"]


class ContinuousDreamingModel(DreamingEstimator):
    r"""
    Dreaming rate, inverse temperature and potential of samples of continuous units, given the patterns.

    The couplings are those of `DreamingModel`, with inverse temperature :math:`\beta` and dreaming rate
    :math:`\lambda`; each unit has a potential with a stiffness k and a quartic term b:

    .. math:: P(x) \propto \exp\Big(\tfrac12 \sum_{i \ne j} \beta J_{ij}(\lambda) x_i x_j
              - \beta \sum_i \big(\tfrac k2 x_i^2 + \tfrac b4 x_i^4\big) + \sum_i h_i x_i\Big),
              \qquad J(\lambda) = \tfrac1N \xi^T (1+\lambda)(I + \lambda C)^{-1} \xi, \quad C = \xi \xi^T / N.

    Two objectives:

    "gaussian"
        Without b: the likelihood of the Gaussian of precision :math:`\beta (k I - J(\lambda))`. (Active units have
        effective stiffnesses that differ a little from unit to unit. With a common stiffness, the fitted rate is a few
        per cent above `simulate.theory.dreaming_rate` even for little activity.)
    "score-matching"
        The score-matching objective, which needs no partition function, so that b may be fitted too.

    Standard errors and unknown patterns as in `DreamingModel`.

    Parameters
    ----------
    patterns : array-like of +-1, shape (n_patterns, n_units), optional
        As in `DreamingModel`. None: unknown, and `n_patterns` of them are searched for.
    method : {"gaussian", "score-matching"}
    n_patterns : int, optional
        Number of unknown patterns.
    fit_fields : bool, default False
        Whether to fit also an external field to every unit, in units of temperature.
    quartic : bool, default True
        Whether "score-matching" fits the quartic term b; otherwise it is zero.
    n_batches : int, optional
        Number of batches for the standard errors. Default: see `infer.statistics.uncertainty.batch_labels`.
        Batches should be several times longer than the autocorrelation time.
    tol : float, default 1e-8
        Converged when a Newton step changes inverse temperature, distance of the rate from its bound and potential
        (all relative) by less.
    max_iter : int, default 100
    random_state : int, RandomState or None, default 0
        Seed of the search for patterns.

    Attributes
    ----------
    rate_, rate_std_ : float
        Dreaming rate and its standard error, infinite where the rate is at an end of its range.
    inverse_temperature_, inverse_temperature_std_ : float
        Inverse temperature `1 / T` in units of the couplings of the patterns, and its standard error.
    slope_, slope_std_ : float
        `inverse_temperature_ * (1 + rate_)`, the coefficient of the Hebbian matrix at small load, and its standard
        error.
    stiffness_, stiffness_std_ : float
        k and its standard error, in units of the couplings.
    quartic_, quartic_std_ : float
        b and its standard error, in units of the couplings; both zero where b is not fitted.
    covariance_ : ndarray (2, 2)
        Covariance of the estimates of (rate, inverse temperature).
    rate_interval_ : tuple of float
        95 % interval of the rate; `confidence_interval` gives others.
    degrees_of_freedom_ : float
        Degrees of freedom of Student's t for intervals: effective number of batches minus one.
    batch_correlation_ : float
        Correlation between successive batches; clearly positive means that the standard errors are too small.
    couplings_ : ndarray (n_units, n_units)
        `inverse_temperature_ * dreaming(patterns, rate_)`: they contain 1/T.
    fields_ : ndarray (n_units,)
        Fields, which contain 1/T; zero unless `fit_fields`.
    patterns_ : ndarray of int8 (n_patterns, n_units)
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
    measure of activity); Hyvärinen 2005, J. Machine Learning Research 6, 695 (score matching).

    Examples
    --------
    >>> from infer import ContinuousDreamingModel
    >>> from simulate import ActiveOrnsteinUhlenbeck, Harmonic, hebbian, random_patterns, sample
    >>> patterns = random_patterns(5, 50, seed=0)
    >>> dynamics = ActiveOrnsteinUhlenbeck(
    ...     hebbian(patterns), persistence_time=1.0, active_temperature=0.5, temperature=0.0, potential=Harmonic(3.0)
    ... )
    >>> model = ContinuousDreamingModel(patterns).fit(sample(dynamics, draws=1000, chains=4, seed=0))
    >>> model.rate_, model.stiffness_  # doctest: +SKIP
    """

    methods = ("gaussian", "score-matching")
    parameters = (*DreamingEstimator.parameters, "stiffness", "quartic")

    def __init__(
        self,
        patterns: ArrayLike | None = None,
        method: Literal["gaussian", "score-matching"] = "gaussian",
        *,
        n_patterns: int | None = None,
        fit_fields: bool = False,
        quartic: bool = True,
        n_batches: int | None = None,
        tol: float = 1e-8,
        max_iter: int = 100,
        random_state: int | np.random.RandomState | None = 0,
    ) -> None:
        self.patterns = patterns
        self.method = method
        self.n_patterns = n_patterns
        self.fit_fields = fit_fields
        self.quartic = quartic
        self.n_batches = n_batches
        self.tol = tol
        self.max_iter = max_iter
        self.random_state = random_state

    def read_values(self, X: Any, sample_weight: ArrayLike | None, *, reset: bool) -> Samples:
        """Checked samples of continuous units.

        Parameters
        ----------
        X : array-like (n_samples, n_units), xarray.Dataset or Samples
        sample_weight : array-like (n_samples,), optional
        reset : bool
            Whether this is a fit; otherwise samples are compared with those of the last one.

        Returns
        -------
        Samples

        Raises
        ------
        ValueError
            If X does not hold finite numbers, or another number of units than the fit.
        """
        return read_units(self, X, sample_weight, reset=reset)

    def build_method(
        self, samples: Samples, weight: FloatArray, modes: PatternModes, grouping: Grouping, seed: int
    ) -> Method:
        """The Gaussian likelihood, or the score-matching objective, of some samples.

        Parameters
        ----------
        samples : Samples
        weight : ndarray (n_rows,)
        modes : PatternModes
        grouping : Grouping
            Not needed here.
        seed : int
            Not needed here.

        Returns
        -------
        Method

        Raises
        ------
        ValueError
            If units never change.
        """
        arguments = (samples.values, weight, modes, bool(self.fit_fields), float(self.tol), int(self.max_iter))
        method: ContinuousMethod
        if self.method == "gaussian":
            method = GaussianMethod(*arguments)
        else:
            method = ScoreMatchingMethod(*arguments, quartic=bool(self.quartic))
        variances = np.diag(method.second)
        constant = np.flatnonzero(variances <= 1e-12 * np.maximum(np.diag(method.moments.second), 1e-300))
        if len(constant):
            raise ValueError(f"{name_spins(constant).replace('spin', 'unit')} never change: drop these columns")
        return method

    @property
    def fits_quartic(self) -> bool:
        """Whether the quartic term is fitted."""
        return self.method == "score-matching" and bool(self.quartic)

    def potential(self) -> NDArray[np.float64]:
        """Fitted parameters of the potential of each unit, times the inverse temperature.

        Returns
        -------
        ndarray (n_terms,)
            Those of the stiffness, and of the quartic term where it is fitted.
        """
        terms = [self.stiffness_, self.quartic_] if self.fits_quartic else [self.stiffness_]
        return np.array(terms) * self.inverse_temperature_

    def _keep_potential(self, terms: FloatArray, std: FloatArray) -> None:
        self.stiffness_, self.stiffness_std_ = float(terms[0]), float(std[0])
        self.quartic_, self.quartic_std_ = (float(terms[1]), float(std[1])) if self.fits_quartic else (0.0, 0.0)

    def score(self, X: Any, y: Any = None, sample_weight: ArrayLike | None = None) -> float:
        """
        Mean objective of the method per sample: log-likelihood, or minus the score-matching objective.

        Parameters
        ----------
        X : array-like (n_samples, n_units), xarray.Dataset or Samples
        y : Ignored
            Present for compatibility with scikit-learn.
        sample_weight : array-like (n_samples,), optional

        Returns
        -------
        float
            In nats with "gaussian"; larger is better.

        Raises
        ------
        ValueError
            If X does not hold finite numbers, or another number of units than the fit.
        """
        values = self.score_samples(X)
        return float(np.average(values, weights=self.read_values(X, sample_weight, reset=False).weight))

    def score_samples(self, X: Any) -> FloatArray:
        """
        Objective of the method for every sample: log-likelihood, or minus the score-matching objective.

        Parameters
        ----------
        X : array-like (n_samples, n_units), xarray.Dataset or Samples

        Returns
        -------
        ndarray of float64, shape (n_samples,)
            In nats with "gaussian".

        Raises
        ------
        ValueError
            If X does not hold finite numbers, or another number of units than the fit.
        """
        check_is_fitted(self, "couplings_")
        values = self.read_values(X, None, reset=False).values
        kappa, quartic = self.stiffness_ * self.inverse_temperature_, self.quartic_ * self.inverse_temperature_
        precision = -self.couplings_.copy()
        precision[np.diag_indices(len(precision))] = kappa
        if self.method == "gaussian":
            deviations = values - np.linalg.solve(precision, self.fields_)
            squares = np.einsum("ki,ki->k", deviations @ precision, deviations)
            volume = np.linalg.slogdet(precision)[1] - len(precision) * np.log(2.0 * np.pi)
            return np.asarray(0.5 * (volume - squares))
        slopes = self.fields_ - values @ precision - quartic * values**3
        curvatures = -kappa - 3.0 * quartic * values**2
        return np.asarray(-(0.5 * slopes**2 + curvatures).sum(axis=1))
