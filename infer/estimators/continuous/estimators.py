"""Couplings of continuous units: the shrunk precision matrix, and score matching with a quartic potential."""

from __future__ import annotations

from numbers import Real
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator
from sklearn.covariance import ledoit_wolf_shrinkage
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils._param_validation import Interval, StrOptions
from sklearn.utils.validation import check_is_fitted, validate_data

from infer.checks import name_spins, row_chunks
from infer.estimators.continuous.score_matching import Moments, linear_cubes, match_scores, moments_of
from infer.estimators.covariances import invert_covariance, repeat_rows
from infer.samples import Samples
from simulate.user_warnings import warn

FloatArray = NDArray[np.float64]


def check_finite(values: NDArray) -> None:
    """Raise a ValueError that names the first value that is not finite."""
    for rows in row_chunks(*values.shape):
        if not np.isfinite(values[rows]).all():
            row, column = (int(index) for index in np.argwhere(~np.isfinite(values[rows]))[0])
            value = "NaN" if np.isnan(values[rows][row, column]) else "infinity"
            raise ValueError(
                f"row {rows.start + row}, column {column} of X is {value}: drop or fill missing values first"
            )


def read_units(estimator: BaseEstimator, X: Any, sample_weight: ArrayLike | None, *, reset: bool) -> Samples:
    """Read samples of continuous units as finite float64 values, from any accepted input."""
    samples = Samples.of(X, sample_weight)
    array = validate_data(
        estimator,
        samples.values if samples.table is None else samples.table,
        reset=reset,
        dtype="numeric",  # float64 would read text as numbers
        ensure_all_finite=False,
        ensure_min_samples=2 if reset else 1,
        ensure_min_features=2 if reset else 1,
    ).astype(np.float64, copy=False)
    check_finite(array)
    return samples.with_values(array)


class ContinuousEstimator(BaseEstimator):
    """Base class of the estimators of couplings between units of real values."""

    couplings_: FloatArray
    fields_: FloatArray

    def _read(
        self, X: Any, sample_weight: ArrayLike | None = None, *, reset: bool
    ) -> tuple[FloatArray, FloatArray | None]:
        """Finite float64 samples and weights, from any accepted input."""
        samples = read_units(self, X, sample_weight, reset=reset)
        return samples.values, samples.weight

    def _check_units(self, moments: Moments) -> None:
        """Refuse units that never change."""
        variances = np.diag(moments.second) - moments.first**2
        constant = np.flatnonzero(variances <= 1e-12 * np.diag(moments.second))
        if len(constant):
            raise ValueError(
                f"{name_spins(constant).replace('spin', 'unit')} never change: drop these columns, since no coupling "
                "to them can be estimated"
            )


class GaussianCouplings(ContinuousEstimator):
    r"""
    Couplings of continuous units as minus the precision matrix, the inverse of the (shrunk) covariance.

    Fits :math:`P(x) \propto \exp(\frac12 \sum_{i \ne j} J_{ij} x_i x_j + \sum_i h_i x_i - \frac12 \sum_i k_i x_i^2)` by
    maximum likelihood: couplings are minus the off-diagonal part of the inverse covariance, stiffnesses k its
    diagonal. For active Ornstein-Uhlenbeck units in a harmonic potential they are the effective couplings
    of ``simulate.theory.effective_couplings``.

    Parameters
    ----------
    shrinkage : float in [0, 1], "ledoit-wolf" or None, default None
        The covariance becomes ``(1 - shrinkage) C + shrinkage tr(C) / n_units I``. "ledoit-wolf" takes the value that
        is best for independent rows (too small for correlated ones). None: no shrinkage.
    fit_fields : bool, default True
        Whether to fit fields, that is, to take the covariance about the means; otherwise means are taken as zero.

    Attributes
    ----------
    couplings_ : ndarray (n_units, n_units)
        Couplings, symmetric with zero diagonal; they contain 1/T.
    fields_ : ndarray (n_units,)
        Fields, which contain 1/T; zero unless ``fit_fields``.
    stiffnesses_ : ndarray (n_units,)
        Diagonal of the precision matrix.
    covariance_ : ndarray (n_units, n_units)
        Covariance after shrinkage.
    shrinkage_ : float
        The shrinkage that was used.
    n_iter_ : int
        1: the solution is in closed form.
    converged_ : bool
    n_features_in_ : int

    References
    ----------
    O. Ledoit, M. Wolf 2004, J. Multivariate Analysis 88, 365. Behera, Du, Jagadisan, Sastry, Rao, Vaikuntanathan 2024,
    arXiv:2410.06269.

    Examples
    --------
    >>> import numpy as np
    >>> from infer import GaussianCouplings
    >>> X = np.random.default_rng(0).normal(size=(1000, 5))
    >>> GaussianCouplings().fit(X).couplings_.shape
    (5, 5)
    """

    _parameter_constraints: dict = {  # noqa: RUF012
        "shrinkage": [Interval(Real, 0, 1, closed="both"), StrOptions({"ledoit-wolf"}), None],
        "fit_fields": ["boolean"],
    }

    def __init__(self, shrinkage: float | str | None = None, *, fit_fields: bool = True) -> None:
        self.shrinkage = shrinkage
        self.fit_fields = fit_fields

    def fit(self, X: Any, y: Any = None, sample_weight: ArrayLike | None = None) -> Self:
        """
        Fit couplings, fields and stiffnesses.

        Parameters
        ----------
        X : array-like (n_samples, n_units), xarray.Dataset (variable "x") or Recording
        y : Ignored
            Present for compatibility with scikit-learn.
        sample_weight : array-like (n_samples,), optional
            Weights of the rows (whole numbers for "ledoit-wolf").

        Returns
        -------
        GaussianCouplings

        Raises
        ------
        ValueError
            If a value is not finite (the message gives row and column), units never change, the covariance has no
            inverse, or a parameter is out of range.
        """
        self._validate_params()
        samples, weight = self._read(X, sample_weight, reset=True)
        moments = moments_of(samples, weight)
        self._check_units(moments)
        centre = moments.first if self.fit_fields else np.zeros_like(moments.first)
        covariance = moments.second - np.outer(centre, centre)
        self.shrinkage_ = 0.0
        if isinstance(self.shrinkage, str):
            self.shrinkage_ = _ledoit_wolf_strength(samples - centre, weight)
        elif self.shrinkage is not None:
            self.shrinkage_ = float(self.shrinkage)
        covariance = (1.0 - self.shrinkage_) * covariance + self.shrinkage_ * np.trace(covariance) / len(
            covariance
        ) * np.eye(len(covariance))
        precision = _inverse(covariance, "shrinkage=0.1 or shrinkage='ledoit-wolf'")
        self.covariance_ = covariance
        self.stiffnesses_ = np.diag(precision).copy()
        self.couplings_ = -precision
        np.fill_diagonal(self.couplings_, 0.0)
        self.fields_ = precision @ centre
        self.n_iter_, self.converged_ = 1, True
        return self

    def score(self, X: Any, y: Any = None, sample_weight: ArrayLike | None = None) -> float:
        """Mean log-likelihood per sample, in nats.

        Parameters
        ----------
        X : array-like (n_samples, n_units), xarray.Dataset or Recording
        y : Ignored
            Present for compatibility with scikit-learn.
        sample_weight : array-like (n_samples,), optional

        Returns
        -------
        float
        """
        check_is_fitted(self, "couplings_")
        samples, weight = self._read(X, sample_weight, reset=False)
        precision = np.diag(self.stiffnesses_) - self.couplings_
        deviations = samples - self.covariance_ @ self.fields_
        squares = np.einsum("ki,ki->k", deviations @ precision, deviations)
        n_units = len(precision)
        volume = np.linalg.slogdet(precision)[1] - n_units * np.log(2.0 * np.pi)
        return float(0.5 * (volume - np.average(squares, weights=weight)))


def _inverse(covariance: FloatArray, remedy: str) -> FloatArray:
    """Inverse of a covariance; the error where there is none gives the remedy."""
    return invert_covariance(covariance, np.sqrt(np.diag(covariance)), "unit", f"pass {remedy}")


def _ledoit_wolf_strength(deviations: FloatArray, weight: FloatArray | None) -> float:
    """Shrinkage towards a multiple of the identity that is best for independent rows."""
    return float(ledoit_wolf_shrinkage(repeat_rows(deviations, weight), assume_centered=True))


class ScoreMatching(ContinuousEstimator):
    r"""
    Couplings and on-site potentials of continuous units by score matching, which needs no partition function.

    Fits :math:`P(x) \propto \exp(\frac12 \sum_{i \ne j} J_{ij} x_i x_j + \sum_i h_i x_i - \sum_i (a_i x_i^2 / 2 + b_i
    x_i^4 / 4))` by minimising :math:`\langle \sum_i \frac12 \psi_i^2 + \partial_i \psi_i \rangle` with the score
    :math:`\psi_i = \partial \log P / \partial x_i`: linear least squares for every unit, whose two estimates of each
    coupling are then averaged. Without the quartic term it gives the couplings of `GaussianCouplings`. Soft spins
    (``simulate.SoftSpin(b)``) in equilibrium at temperature T have quartic b / T and stiffness -b / T.

    Parameters
    ----------
    quartic : bool, default True
        Whether to fit the quartic terms b_i; otherwise they are zero.
    alpha : float, default 0.0
        Strength of the l2 penalty ``alpha/2 sum_{j != i} J_ij^2`` on each row, for units scaled to ``<x_i^2> = 1``.
    fit_fields : bool, default True
        Whether to fit fields; otherwise they are zero.

    Attributes
    ----------
    couplings_ : ndarray (n_units, n_units)
        Couplings, symmetric with zero diagonal; they contain 1/T.
    fields_ : ndarray (n_units,)
        Fields, which contain 1/T; zero unless ``fit_fields``.
    stiffnesses_, quartics_ : ndarray (n_units,)
        a and b of the potentials; they contain 1/T.
    row_couplings_ : ndarray (n_units, n_units)
        Row i as fitted by unit i, before averaging.
    n_iter_ : int
        1: the solution is in closed form.
    converged_ : bool
        Whether the potentials confine all units (no b_i is negative).
    n_features_in_ : int

    References
    ----------
    A. Hyvärinen 2005, J. Machine Learning Research 6, 695.

    Examples
    --------
    >>> import numpy as np
    >>> from infer import ScoreMatching
    >>> X = np.random.default_rng(0).normal(size=(1000, 5))
    >>> ScoreMatching(quartic=False).fit(X).couplings_.shape
    (5, 5)
    """

    _parameter_constraints: dict = {  # noqa: RUF012
        "quartic": ["boolean"],
        "alpha": [Interval(Real, 0, None, closed="left")],
        "fit_fields": ["boolean"],
    }

    def __init__(self, quartic: bool = True, alpha: float = 0.0, *, fit_fields: bool = True) -> None:
        self.quartic = quartic
        self.alpha = alpha
        self.fit_fields = fit_fields

    def fit(self, X: Any, y: Any = None, sample_weight: ArrayLike | None = None) -> Self:
        """
        Fit couplings, fields and potentials.

        Parameters
        ----------
        X : array-like (n_samples, n_units), xarray.Dataset (variable "x") or Recording
        y : Ignored
            Present for compatibility with scikit-learn.
        sample_weight : array-like (n_samples,), optional
            Weights of the rows.

        Returns
        -------
        ScoreMatching

        Raises
        ------
        ValueError
            If a value is not finite (the message gives row and column), units never change, the data do not determine
            the couplings, all units take two values only, or a parameter is out of range.

        Warns
        -----
        ConvergenceWarning
            If a quartic term is negative, so that the fitted model cannot be normalised, or is set to zero, since
            the unit takes two values only.
        """
        self._validate_params()
        samples, weight = self._read(X, sample_weight, reset=True)
        moments = moments_of(samples, weight)
        self._check_units(moments)
        # values are scaled to unit size: real data may have any magnitude, and their cubes overflow
        scale = np.sqrt(np.diag(moments.second))
        scaled = moments.in_units_of(scale)
        centre = scaled.first if self.fit_fields else np.zeros_like(scale)
        if not self.alpha:
            _inverse(scaled.second - np.outer(centre, centre), "alpha=0.01")
        quartic = np.full(len(scale), self.quartic)
        if self.quartic:
            quartic[self._units_of_few_values(scaled)] = False
        found = match_scores(scaled, quartic, self.fit_fields, float(self.alpha))
        self.row_couplings_ = found[0] / np.outer(scale, scale)
        self.couplings_ = (self.row_couplings_ + self.row_couplings_.T) / 2.0
        self.fields_, self.stiffnesses_, self.quartics_ = found[1] / scale, found[2] / scale**2, found[3] / scale**4
        self.n_iter_, self.converged_ = 1, not np.any(self.quartics_ < 0.0)
        if not self.converged_:
            units = name_spins(np.flatnonzero(self.quartics_ < 0.0)).replace("spin", "unit")
            warn(
                f"the quartic terms of {units} are negative, so that the fitted potential confines nothing (more "
                "weight in the tails than a Gaussian has); pass quartic=False, or use GaussianCouplings",
                ConvergenceWarning,
                stacklevel=2,
            )
        return self

    def _units_of_few_values(self, moments: Moments) -> NDArray[np.intp]:
        """Units whose values any quartic term fits, with a warning; an error where these are all."""
        few = linear_cubes(moments, self.fit_fields)
        if len(few):
            text = f"too few different values for a quartic potential in {name_spins(few).replace('spin', 'unit')}"
            if len(few) == len(moments.first):
                raise ValueError(f"{text}: pass quartic=False, or fit spins with PseudoLikelihood")
            warn(f"{text}: the quartic terms of these are set to zero", ConvergenceWarning, stacklevel=3)
        return few

    def score(self, X: Any, y: Any = None, sample_weight: ArrayLike | None = None) -> float:
        """Minus the mean score-matching objective, ``-<sum_i psi_i^2 / 2 + d psi_i / d x_i>``; larger is better.

        Parameters
        ----------
        X : array-like (n_samples, n_units), xarray.Dataset or Recording
        y : Ignored
            Present for compatibility with scikit-learn.
        sample_weight : array-like (n_samples,), optional

        Returns
        -------
        float
        """
        check_is_fitted(self, "couplings_")
        samples, weight = self._read(X, sample_weight, reset=False)
        slopes = samples @ self.couplings_ + self.fields_ - self.stiffnesses_ * samples - self.quartics_ * samples**3
        curvatures = -self.stiffnesses_ - 3.0 * self.quartics_ * samples**2
        return float(-np.average((0.5 * slopes**2 + curvatures).sum(axis=1), weights=weight))
