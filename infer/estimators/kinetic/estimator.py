"""Kinetic Ising model: couplings that need not be symmetric, from the dependence of each row on the one before."""

from __future__ import annotations

from dataclasses import replace
from numbers import Integral, Real
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils._param_validation import Interval, StrOptions
from sklearn.utils.validation import check_is_fitted

from infer.estimators.base import Fit, SpinEstimator
from infer.estimators.columns import VaryingSpins
from infer.estimators.kinetic.errors import kinetic_errors
from infer.estimators.kinetic.records import Records
from infer.estimators.kinetic.regressions import KineticFit, fit_kinetic, step_losses
from infer.estimators.kinetic.steps import Steps
from infer.samples import Samples
from infer.types import FloatArray
from simulate.user_warnings import warn

__all__ = ["KineticCouplings"]

FEW = 30.0  # steps (updates) with the rarest combination of a pair, below which their variance is no valid error
FLAT = 1e-9  # eigenvalue of the moments of the past below which a combination of couplings is not determined


class KineticCouplings(SpinEstimator):
    """Couplings of a kinetic Ising model, by which each row of spins acts on the next.

    With ``update="parallel"`` all spins are updated in every step, independently given the row before,

    ``p(s_i(t) | s(t-1)) = 1 / (1 + exp(-2 s_i(t) h_i(t)))``, ``h_i(t) = h_i + sum_j J_ij s_j(t-1)``.

    With ``update="sequential"`` rows are records of single spin updates at intervals ``dt`` far below a sweep, and

    ``p(s_i(t) | s(t-1)) = (1 - dt) [s_i(t) = s_i(t-1)] + dt / (1 + exp(-2 s_i(t) h_i(t)))``.

    ``J_ij`` acts on spin ``i`` and is not symmetric. The mean over steps of the log-likelihood minus the penalty is
    maximised for each spin by itself. Couplings and fields contain the inverse temperature. The first rows of each run
    have no past and are only the past of others; no step leads from one run to the next.

    Parameters
    ----------
    update : {"parallel", "sequential"}, default="parallel"
        Update of the spins. For recordings, whose rows are bins of time, "parallel" models the prediction of a bin from
        the one before.
    n_lags : int, default=1
        Number of past rows that act on the next, each with its own couplings; 1 for sequential updates.
    self_coupling : bool, default=True
        Whether a spin's own past acts on it.
    interval : float, optional
        Time between rows in sweeps (updates of every spin, on average), for sequential updates; at most 0.1, or that of
        a single update, ``1 / n_spins``. Default: the attribute ``interval`` of a Dataset of ``simulate.trajectory``.
    penalty : {"l2", "l1", None}, default="l2"
        Penalty on the couplings of each spin, ``alpha/2 sum_j J_ij^2`` or ``alpha sum_j |J_ij|``, own past and all lags
        included; fields have none.
    alpha : float, optional
        Strength of the penalty, relative to the mean (per step) negative log-likelihood. None: one prior sample,
        ``1 / n``, n the number of steps.
    fit_fields : bool or "auto", default="auto"
        Whether to fit fields; "auto": True except for simulations without fields.
    errors : bool, default=True
        Compute standard errors.
    tol : float, default=1e-6
        Largest absolute component of the gradient (with "l1" the largest violation of the optimality conditions) at
        which a fit has converged.
    max_iter : int, default=200
        Most passes over the rows.
    threshold : float, optional
        Converts real values to +1 above the threshold and -1 otherwise. Default: rows must be -1 or +1.
    constant : {"field", "error"}, default="field"
        Treatment of spins that never change: keep them without couplings and warn, or raise.
    n_jobs : int, default=1
        Threads; results do not depend on it.

    Attributes
    ----------
    couplings_ : ndarray of float64, shape (n_spins, n_spins) or (n_lags, n_spins, n_spins)
        ``J``, row ``i`` acts on spin ``i``, in units of the temperature; with several lags the most recent row first.
    fields_ : ndarray of float64, shape (n_spins,)
        In units of the temperature.
    couplings_std_, fields_std_ : ndarray of float64
        Standard errors, shaped as couplings and fields; NaN for spins that never change.
    undetermined_ : ndarray of bool, shaped as couplings
        Pairs of which one of the four combinations of past and next value never occurs, so that the best coupling
        without penalty is infinite, and the penalty determines its value.
    alpha_ : float
        Strength of the penalty.
    n_steps_ : int
        Number of steps.
    converged_ : bool
        Whether the gradient is below ``tol`` and the optimum is finite: False for separable rows without a penalty.
    gradient_norm_ : float
        Largest violation of the optimality conditions.
    n_iter_ : int
        Passes over the rows.
    n_features_in_ : int
        Number of spins.

    Notes
    -----
    Standard errors come from the sandwich formula with long-run covariances by batch means inside runs, so that they
    are valid also where the rows depend on a longer past than in the model. For pairs of which a combination of values
    occurs fewer than 30 times they come from the curvature of the likelihood where that gives a larger value. With an
    l1 penalty they are conditional on the set of zero couplings, which have error zero. Simulated chains of sequential
    updates visit the spins in one order: batches are then made of equal times of all chains.

    The sequential likelihood is exact for intervals of one single update, ``1 / n_spins`` sweeps (the default of
    ``simulate.trajectory``). For longer ones couplings are too small by a share of about ``dt - 1 / n_spins``, since
    spins change more than once between two rows; rows a sweep apart would give about a third of the couplings and are
    refused.

    References
    ----------
    Y. Roudi, J. Hertz (2011), Phys. Rev. Lett. 106, 048702, arXiv:1009.5946.
    H.-L. Zeng, M. Alava, E. Aurell, J. Hertz, Y. Roudi (2013), Phys. Rev. Lett. 110, 210601, arXiv:1209.2401.

    Examples
    --------
    >>> import numpy as np
    >>> from infer import KineticCouplings
    >>> spins = np.random.default_rng(0).choice([-1, 1], size=(1000, 5))
    >>> KineticCouplings().fit(spins).couplings_.shape
    (5, 5)
    """

    judges_pairs = False  # pairs of past and next values have tables of their own

    _parameter_constraints: dict = {  # noqa: RUF012
        "update": [StrOptions({"parallel", "sequential"})],
        "n_lags": [Interval(Integral, 1, None, closed="left")],
        "self_coupling": ["boolean"],
        "interval": [Interval(Real, 0, None, closed="neither"), None],
        "penalty": [StrOptions({"l2", "l1"}), None],
        "alpha": [Interval(Real, 0, None, closed="left"), None],
        "fit_fields": ["boolean", StrOptions({"auto"})],
        "errors": ["boolean"],
        "tol": [Interval(Real, 0, None, closed="neither")],
        "max_iter": [Interval(Integral, 1, None, closed="left")],
        "threshold": [Real, None],
        "constant": [StrOptions({"field", "error"})],
        "n_jobs": [Integral, None],
    }

    def __init__(
        self,
        update: str = "parallel",
        n_lags: int = 1,
        *,
        self_coupling: bool = True,
        interval: float | None = None,
        penalty: str | None = "l2",
        alpha: float | None = None,
        fit_fields: bool | str = "auto",
        errors: bool = True,
        tol: float = 1e-6,
        max_iter: int = 200,
        threshold: float | None = None,
        constant: str = "field",
        n_jobs: int | None = 1,
    ) -> None:
        self.update = update
        self.n_lags = n_lags
        self.self_coupling = self_coupling
        self.interval = interval
        self.penalty = penalty
        self.alpha = alpha
        self.fit_fields = fit_fields
        self.errors = errors
        self.tol = tol
        self.max_iter = max_iter
        self.threshold = threshold
        self.constant = constant
        self.n_jobs = n_jobs

    def solve(self, samples: VaryingSpins) -> Fit:
        """Couplings (n_lags, n_varying, n_varying) and fields of the spins that vary.

        Parameters
        ----------
        samples : VaryingSpins

        Returns
        -------
        Fit

        Raises
        ------
        ValueError
            If rows are not in time order, no run is longer than ``n_lags``, or the rows do not fit ``update``.
        """
        chance = self._chance(samples.samples)
        if self.update == "parallel":
            Records.of(samples.samples).check_parallel()
        steps = self._steps(samples.samples, samples.varying)
        n_samples = samples.n_samples * steps.total / _total(samples.samples)
        moments = steps.cross_moments()
        free, fixed = self._free(steps, moments, samples)
        ridge, sparsity = self._strengths(n_samples)
        found = fit_kinetic(steps, ridge, sparsity, chance, free, float(self.tol), int(self.max_iter))
        undetermined = (_least_cells(*moments) < 1e-9) & free[:, :-1]
        converged = bool(found.largest_gradient.max(initial=0.0) <= self.tol)
        if ridge + sparsity == 0.0:
            infinite = found.infinite | undetermined.any(axis=1)
            open_ends = (
                steps.n_steps <= steps.n_columns or steps.least_spread(np.asarray(free[:, :-1].any(axis=0))) < FLAT
            )
            if infinite.any() or open_ends:
                converged = False
                self._warn_without_optimum(infinite, samples)
            else:
                self._warn_of_gradients(found, samples)
        else:
            self._warn_of_gradients(found, samples)
        fields = found.fields.copy()
        if samples.fit_fields:
            fields[fixed] = moments[0][fixed, -1] * 0.5 * np.log(2.0 * n_samples + 1.0)
        couplings_std = fields_std = None
        freedom = np.inf
        if self.errors:
            moving = free.copy()
            if sparsity:
                moving[:, :-1] &= found.couplings != 0.0
            seldom = _least_cells(*moments) * n_samples * chance < FEW
            rare = np.column_stack([seldom, seldom.any(axis=1)])
            in_step = self.update == "sequential" and samples.samples.simulated
            errors = kinetic_errors(steps, found, n_samples, ridge, chance, moving, rare, in_step)
            couplings_std, fields_std, freedom = (
                self._by_lag(errors.couplings),
                errors.fields,
                errors.degrees_of_freedom,
            )
            couplings_std[:, fixed] = fields_std[fixed] = np.nan
        return Fit(
            self._by_lag(found.couplings),
            fields,
            converged,
            found.n_iter,
            couplings_std,
            fields_std,
            freedom,
            {
                "undetermined_": self._by_lag(undetermined),
                "n_steps_": steps.n_steps,
                "gradient_norm_": float(found.largest_gradient.max(initial=0.0)),
            },
        )

    def score_samples(self, X: Any) -> FloatArray:
        """Conditional log-likelihood of every row given those before it, ``sum_i log p(s_i(t) | s(t-1), ...)``.

        Parameters
        ----------
        X : array-like (n_samples, n_spins), xarray.Dataset, Samples or Recording
            Rows in time order.

        Returns
        -------
        ndarray of float64, shape (n_samples,)
            In nats; NaN for the first ``n_lags`` rows of each run, which have no past.

        Raises
        ------
        ValueError
            If X contains values other than +-1, has another number of spins than the fit, no run longer than
            ``n_lags``, or rows that do not fit ``update``.
        """
        check_is_fitted(self, "couplings_")
        return self._log_likelihoods(self._read(X, reset=False))

    def score(self, X: Any, y: Any = None, sample_weight: ArrayLike | None = None) -> float:
        """Mean conditional log-likelihood of a row, ``mean_t sum_i log p(s_i(t) | s(t-1), ...)``.

        Parameters
        ----------
        X : array-like (n_samples, n_spins), xarray.Dataset, Samples or Recording
            Rows in time order.
        y : Ignored
            Present for compatibility with scikit-learn.
        sample_weight : array-like (n_samples,), optional
            Weights of the steps into the rows.

        Returns
        -------
        float
            Natural logarithm, at most 0; rows without a past are left out.

        Raises
        ------
        ValueError
            As `score_samples`.
        """
        check_is_fitted(self, "couplings_")
        samples = self._read(X, sample_weight, reset=False)
        values = self._log_likelihoods(samples)
        rows = np.isfinite(values)
        return float(np.average(values[rows], weights=None if samples.weight is None else samples.weight[rows]))

    def _log_likelihoods(self, samples: Samples) -> FloatArray:
        """`score_samples` of checked samples."""
        steps = self._steps(replace(samples, weights=None), np.arange(samples.n_spins))
        couplings = self.couplings_.reshape(-1, samples.n_spins, samples.n_spins)
        position = np.column_stack([np.concatenate(list(couplings), axis=1), self.fields_])
        values = np.full(samples.n_rows, np.nan)
        values[steps.rows] = -step_losses(steps, position, self._chance(samples))
        return values

    def _read(self, X: Any, sample_weight: ArrayLike | None = None, *, reset: bool) -> Samples:
        samples = Samples.of(X)
        # weights of the rows of one run are weights of steps, and the rows keep their time order
        ordered = X.ordered if isinstance(X, Samples) else samples.ordered
        if samples.blocks:
            X = samples.with_values(np.asarray(samples.values))
        found = replace(super()._read(X, sample_weight, reset=reset), ordered=ordered)
        if not ordered:
            raise ValueError(
                "kinetic couplings need rows in the order of time, and these are counted states: give the rows as they "
                "were recorded, or use PseudoLikelihood"
            )
        return found

    def _keep(self, found: Fit, samples: VaryingSpins) -> None:
        couplings = found.couplings
        super()._keep(replace(found, couplings=couplings[0], couplings_std=None, fields_std=None), samples)
        n_lags, n_spins, varying = len(couplings), samples.n_spins, samples.varying

        def expand(values: NDArray, fill: Any) -> NDArray:
            full = np.full((n_lags, n_spins, n_spins), fill)
            full[np.ix_(np.arange(n_lags), varying, varying)] = values
            return full[0] if n_lags == 1 else full

        self.couplings_ = expand(couplings, 0.0)
        self.undetermined_ = expand(found.attributes["undetermined_"], False)
        if found.couplings_std is not None and found.fields_std is not None:
            self.couplings_std_ = expand(found.couplings_std, np.nan)
            self.fields_std_ = np.full(n_spins, np.nan)
            self.fields_std_[varying] = found.fields_std
            self.errors_freedom_ = float(found.freedom)

    def _by_lag(self, values: NDArray) -> NDArray:
        """(n_spins, n_lags n_spins) as (n_lags, n_spins, n_spins)."""
        n_spins = len(values)
        return np.ascontiguousarray(values.reshape(n_spins, self.n_lags, n_spins).transpose(1, 0, 2))

    def _steps(self, samples: Samples, spins: NDArray[np.intp]) -> Steps:
        """Steps of some of the spins."""
        rows = samples.spins if len(spins) == samples.n_spins else samples.spins[:, spins]
        return Steps.of(rows, samples.chains, int(self.n_lags), samples.weight, self.n_jobs)

    def _chance(self, samples: Samples) -> float:
        """Probability that a spin is updated between two rows."""
        if self.update == "parallel":
            return 1.0
        if self.n_lags != 1:
            raise ValueError(f"sequential updates depend on the last row only: n_lags is {self.n_lags}, pass n_lags=1")
        return Records.of(samples).interval_of_single_updates(self.interval, samples.n_spins)

    def _free(
        self, steps: Steps, moments: tuple[NDArray, NDArray], samples: VaryingSpins
    ) -> tuple[NDArray[np.bool_], NDArray[np.intp]]:
        """True for couplings and fields that are fitted, and the spins that have the same value after all steps."""
        cross, mean = moments
        exact = 1.0 - 1e-12
        free = np.ones((steps.n_spins, steps.n_columns + 1), dtype=bool)
        free[:, np.append(np.abs(mean[:-1]) > exact, False)] = False  # no other than a field
        fixed = np.flatnonzero(np.abs(cross[:, -1]) > exact)
        free[fixed] = False
        if not self.self_coupling:
            free[:, :-1] &= ~steps.own_past()
        free[:, -1] &= samples.fit_fields
        self.report_constant(samples.varying[fixed], samples.names)
        return free, fixed

    def _strengths(self, n_samples: float) -> tuple[float, float]:
        """Strengths of the quadratic and of the absolute part of the penalty."""
        self.alpha_ = alpha = self.prior(self.alpha, n_samples)
        return alpha * (self.penalty == "l2"), alpha * (self.penalty == "l1")

    def _warn_without_optimum(self, infinite: NDArray[np.bool_], samples: VaryingSpins) -> None:
        """Warn where a fit without penalty has no finite or no unique optimum, with the reason and the remedy."""
        remedy = "pass alpha > 0 (say 0.01) to keep couplings finite, or give more rows"
        if infinite.any():
            text = (
                f"the past separates the values of {samples.named(np.flatnonzero(infinite))}, in whole or in part, so "
                f"the best couplings are infinite and those returned are unreliable; {remedy}"
            )
        else:
            text = (
                "the rows do not determine all couplings (fewer rows than couplings of a spin, or spins that "
                f"repeat others); {remedy}"
            )
        warn(text, ConvergenceWarning, stacklevel=5)

    def _warn_of_gradients(self, found: KineticFit, samples: VaryingSpins) -> None:
        """Warn of spins that have not converged, with the remedy."""
        left = np.flatnonzero(found.largest_gradient > self.tol)
        if len(left):
            warn(
                f"{samples.named(left)} did not converge in {found.n_iter} passes: largest gradient "
                f"{found.largest_gradient.max():.2g} > tol = {self.tol:.2g}; raise max_iter or tol",
                ConvergenceWarning,
                stacklevel=5,
            )


def _total(samples: Samples) -> float:
    """Sum of the weights of all rows."""
    return float(samples.n_rows if samples.weight is None else samples.weight.sum())


def _least_cells(cross: NDArray, mean: NDArray) -> FloatArray:
    """Smallest share of the four combinations of each next and past value (n_spins, n_columns)."""
    after, before, both = cross[:, -1:], mean[None, :-1], cross[:, :-1]
    shares = [1 + a * after + b * before + a * b * both for a in (-1, 1) for b in (-1, 1)]
    return np.asarray(np.min(shares, axis=0) / 4.0)
