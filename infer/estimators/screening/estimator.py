"""Interaction screening: couplings from sums of exp(-s_u h_u), sparse by an l1 penalty."""

from __future__ import annotations

from numbers import Integral, Real
from typing import Any

import numpy as np
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils._param_validation import Interval, StrOptions

from infer.estimators.base import Fit, SpinEstimator
from infer.estimators.batch_errors import RowBatches, screening_errors
from infer.estimators.columns import VaryingSpins
from infer.estimators.screening.solver import ScreeningFit, screen_interactions
from simulate.threads import one_blas_thread
from simulate.user_warnings import warn

STRENGTH = {"rise": 0.4, "logrise": 0.8}  # c of the default alpha, Lokhov et al. 2018


class InteractionScreening(SpinEstimator):
    r"""
    Couplings that screen every spin from its neighbours, sparse by an l1 penalty.

    With margins :math:`m_k = s_u (h_u + \sum_{i \ne u} J_{ui} s_i)` of node u in sample k, of weight :math:`w_k`
    (:math:`\sum_k w_k = 1`), row u minimises :math:`\sum_k w_k e^{-m_k}` ("rise"), or its logarithm ("logrise"), plus
    ``alpha sum_i |J_ui|``; the field is not penalised. The two estimates of each coupling are then averaged. For
    samples of a Boltzmann distribution both are consistent, and at strong coupling they need fewer samples than
    pseudo-likelihood to identify zero couplings.

    Parameters
    ----------
    objective : {"rise", "logrise"}, default "rise"
    alpha : float, optional
        Strength of the l1 penalty. None: ``c sqrt(log(n_spins^2 / 0.05) / n_samples)`` with c = 0.4 for "rise" and 0.8
        for "logrise" (Lokhov et al. 2018); n_samples is the sum of the weights, or the number of rows where that is
        larger. The penalty sets couplings to zero and shrinks the others; 0 gives consistent values.
    fit_fields : bool or "auto", default "auto"
        Whether to fit fields; otherwise they are zero. "auto": True except for samples of simulations without fields.
    errors : bool, default True
        Compute standard errors in `fit`.
    tol : float, default 1e-8
        Largest violation of the optimality conditions at which a node has converged.
    max_iter : int, default 200
        Most Newton steps.
    threshold : float, optional
        Binarise real-valued X: +1 where it exceeds the threshold. None: X must hold +1 and -1.
    constant : {"field", "error"}, default "field"
        Treatment of spins that never change: keep them without couplings (and warn), or refuse.
    n_jobs : int or None, default 1
        Threads, over rows for gradients and over nodes for curvatures; results do not depend on it.

    Attributes
    ----------
    couplings_ : ndarray (n_spins, n_spins)
        Couplings, symmetric with zero diagonal; they contain 1/T.
    fields_ : ndarray (n_spins,)
        Fields, which contain 1/T; zero unless ``fit_fields``.
    couplings_std_, fields_std_ : ndarray (n_spins, n_spins) and (n_spins,)
        Standard errors: the sandwich formula for each node, with the covariance of gradients from batches of successive
        rows inside runs. They are conditional on the set of zero couplings (which have error zero), and do not include
        the shrinkage by the penalty. NaN where the samples do not determine a coupling.
    row_couplings_ : ndarray (n_spins, n_spins)
        Row u as fitted by node u, before averaging.
    alpha_ : float
        The penalty that was used.
    residual_ : float
        Largest violation of the optimality conditions, in double precision.
    converged_ : bool
        Whether every node has a finite optimum and ``residual_ <= tol``.
    n_iter_ : int
    n_features_in_ : int

    References
    ----------
    M. Vuffray, S. Misra, A. Y. Lokhov, M. Chertkov 2016, NeurIPS 29, arXiv:1605.07252. A. Y. Lokhov, M. Vuffray,
    S. Misra, M. Chertkov 2018, Science Advances 4, e1700791, arXiv:1612.05024.

    Examples
    --------
    >>> import numpy as np
    >>> from infer import InteractionScreening
    >>> X = np.random.default_rng(0).choice([-1, 1], size=(1000, 5))
    >>> bool(np.any(InteractionScreening().fit(X).couplings_))
    False
    """

    _parameter_constraints: dict = {  # noqa: RUF012
        "objective": [StrOptions({"rise", "logrise"})],
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
        objective: str = "rise",
        alpha: float | None = None,
        *,
        fit_fields: bool | str = "auto",
        errors: bool = True,
        tol: float = 1e-8,
        max_iter: int = 200,
        threshold: float | None = None,
        constant: str = "field",
        n_jobs: int | None = 1,
    ) -> None:
        self.objective = objective
        self.alpha = alpha
        self.fit_fields = fit_fields
        self.errors = errors
        self.tol = tol
        self.max_iter = max_iter
        self.threshold = threshold
        self.constant = constant
        self.n_jobs = n_jobs

    def solve(self, samples: VaryingSpins) -> Fit:
        """
        Couplings and fields of the spins that vary, node by node.

        Parameters
        ----------
        samples : VaryingSpins

        Returns
        -------
        Fit
        """
        c = STRENGTH[self.objective]
        default = c * np.sqrt(np.log(samples.n_spins**2 / 0.05) / samples.n_samples)
        self.alpha_ = float(default if self.alpha is None else self.alpha)
        n = samples.n_varying
        couplings, fields = np.zeros((n, n)), np.zeros(n)
        self.residual_, converged, n_iter = 0.0, True, 0
        errors: dict[str, Any] = {"couplings_std": couplings, "fields_std": fields} if self.errors else {}
        if n:
            with one_blas_thread():
                fit = screen_interactions(
                    samples.rows(self.n_jobs),
                    self.alpha_,
                    self.objective == "logrise",
                    samples.fit_fields,
                    self.tol,
                    self.max_iter,
                )
            couplings, fields, n_iter = fit.couplings, fit.fields, fit.n_iter
            self.residual_ = float(fit.residuals.max())
            why = samples.why_endless() if self.alpha_ == 0.0 else ""
            converged = bool(self.residual_ <= self.tol and not fit.unbounded.any() and not why)
            if not converged:
                self._warn(fit, samples, why)
            if self.errors:
                errors = self._errors(fit, samples)
        by_row, _ = samples.expand(couplings, fields)
        return Fit(couplings, fields, converged, n_iter, attributes={"row_couplings_": by_row}, **errors)

    def _errors(self, fit: ScreeningFit, samples: VaryingSpins) -> dict[str, Any]:
        """Standard errors of a fit; NaN where its optimum is not finite or the samples form a single batch."""
        n, batches = samples.n_varying, RowBatches.of(samples.samples)
        if batches is None or fit.unbounded.any():
            unknown = np.full((n, n), np.nan)
            return {"couplings_std": unknown, "fields_std": unknown[0]}
        free = np.column_stack([(fit.couplings != 0.0) | (self.alpha_ == 0.0), np.full(n, samples.fit_fields)])
        np.fill_diagonal(free, False)
        with one_blas_thread():
            couplings, fields = screening_errors(
                samples.ordered_rows(),
                batches,
                fit.couplings,
                fit.fields,
                free,
                samples.n_samples,
                self.objective == "logrise",
            )
        freedom, time = batches.degrees_of_freedom, batches.time
        return {"couplings_std": couplings, "fields_std": fields, "freedom": freedom, "time": time}

    @property
    def quadratic_penalty(self) -> float:
        """Zero: the penalty is on absolute values."""
        return 0.0

    def _warn(self, fit: ScreeningFit, samples: VaryingSpins, why: str) -> None:
        """Warn that the fit is not reliable, with the remedy."""
        if fit.unbounded.any():
            why = why or f"the samples determine {samples.named(np.flatnonzero(fit.unbounded))} by the other spins"
        if why:
            raised = f"{max(2.0 * self.alpha_, 0.01):.2g}"
            text = (
                f"{why}, so that the best couplings are infinite and those returned are not reliable; raise alpha (say "
                f"to {raised}), take objective='rise' with alpha > 0, or give more samples"
            )
        else:
            left = np.flatnonzero(fit.residuals > self.tol)
            text = (
                f"{samples.named(left)} did not converge in {fit.n_iter} Newton steps: largest violation of the "
                f"optimality conditions {self.residual_:.2g} > tol = {self.tol:.2g}; raise max_iter or tol"
            )
        warn(text, ConvergenceWarning, stacklevel=6)
