"""Minimum probability flow: couplings that minimise the initial flow of probability out of the data."""

from __future__ import annotations

from collections.abc import Callable
from numbers import Integral, Real
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils._param_validation import Interval, StrOptions

from infer.estimators.base import Fit, SpinEstimator
from infer.estimators.batch_errors import MOST_SPINS, RowBatches, pair_errors
from infer.estimators.columns import VaryingSpins
from infer.estimators.newton import Local, Minimum, Pairs, minimise
from infer.estimators.rows import CHUNK_ROWS, SpinRows
from simulate.threads import one_blas_thread
from simulate.user_warnings import warn

FloatArray = NDArray[np.float64]


def probability_flow(
    rows: SpinRows, couplings: FloatArray, fields: FloatArray
) -> tuple[float, FloatArray, FloatArray, float]:
    r"""
    Flow :math:`\sum_i \sum_k w_k e^{-s_i (h_i + \sum_j J_{ij} s_j)}` from the samples to their neighbours.

    Parameters
    ----------
    rows : SpinRows
    couplings : ndarray (n_spins, n_spins)
        Symmetric, zero diagonal.
    fields : ndarray (n_spins,)

    Returns
    -------
    flow : float
    by_couplings : ndarray (n_spins, n_spins)
        Derivative for the couplings J_ij = J_ji, i != j (the diagonal is not used).
    by_fields : ndarray (n_spins,)
    margin : float
        Smallest s_i h_i.
    """
    flow, margin = 0.0, np.inf
    by_couplings, by_fields = np.zeros_like(couplings), np.zeros_like(fields)
    for part, chunk, decay in margin_chunks(rows, couplings, fields):
        margin = min(margin, float(decay.min()))
        with np.errstate(over="ignore", invalid="ignore"):  # too long steps have infinite flow and are refused
            terms = np.exp(-decay) * row_share(rows, part)
            flow += float(terms.sum())
            terms *= chunk
            by_couplings -= terms.T @ chunk
            by_fields -= terms.sum(axis=0)
    return flow, by_couplings + by_couplings.T, by_fields, margin


def flow_curvature(
    rows: SpinRows, couplings: FloatArray, fields: FloatArray, direction: FloatArray, field_direction: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """Second derivative of the flow applied to a symmetric direction of couplings and one of fields."""
    by_couplings, by_fields = np.zeros_like(couplings), np.zeros_like(fields)
    for part, chunk, decay in margin_chunks(rows, couplings, fields):
        terms = np.exp(-decay) * row_share(rows, part)
        terms *= chunk @ direction + field_direction
        by_couplings += terms.T @ chunk
        by_fields += terms.sum(axis=0)
    return by_couplings + by_couplings.T, by_fields


def row_share(rows: SpinRows, part: slice) -> Any:
    """Share of each row of a slice, as a column."""
    return 1.0 / rows.n_rows if rows.weight is None else rows.weight[part, None]


def margin_chunks(rows: SpinRows, couplings: FloatArray, fields: FloatArray) -> Any:
    """Slices of rows, their spins, and their margins s_i h_i."""
    for start in range(0, rows.n_rows, CHUNK_ROWS):
        part = slice(start, min(start + CHUNK_ROWS, rows.n_rows))
        chunk = rows.chunk(part, np.float64)
        margins = chunk @ couplings
        margins += fields
        margins *= chunk
        yield part, chunk, margins


def minimise_flow(
    rows: SpinRows, alpha: float, fit_fields: bool, tol: float = 1e-8, max_iter: int = 200
) -> tuple[FloatArray, FloatArray, Minimum]:
    """
    Couplings and fields that minimise the probability flow plus ``alpha/2 sum_{i != j} J_ij^2``, by Newton's method.

    Parameters
    ----------
    rows : SpinRows
        Rows without constant spins.
    alpha : float
    fit_fields : bool
    tol : float
        Largest absolute component of the gradient.
    max_iter : int

    Returns
    -------
    couplings : ndarray (n_spins, n_spins)
    fields : ndarray (n_spins,)
    minimum : Minimum
    """
    pairs = Pairs(rows.n_spins, fit_fields)
    separated = False

    def local(vector: FloatArray) -> Local:
        nonlocal separated
        couplings, fields = pairs.unpack(vector)
        flow, by_couplings, by_fields, margin = probability_flow(rows, couplings, fields)
        separated |= alpha == 0.0 and margin > 0.0
        gradient = pairs.pack(by_couplings + 2.0 * alpha * couplings, by_fields)
        return flow + alpha / 2.0 * float((couplings**2).sum()), gradient, _curvature(rows, pairs, vector, alpha)

    minimum = minimise(local, np.zeros(pairs.size), tol, max_iter)
    if separated:
        minimum = Minimum(minimum.point, minimum.gradient_norm, True, minimum.n_iter)
    return *pairs.unpack(minimum.point), minimum


def _curvature(rows: SpinRows, pairs: Pairs, vector: FloatArray, alpha: float) -> Callable[[FloatArray], FloatArray]:
    """The function that applies the Hessian at a point."""
    couplings, fields = pairs.unpack(vector)

    def apply(direction: FloatArray) -> FloatArray:
        change, field_change = pairs.unpack(direction)
        by_couplings, by_fields = flow_curvature(rows, couplings, fields, change, field_change)
        return pairs.pack(by_couplings + 2.0 * alpha * change, by_fields)

    return apply


class MinimumProbabilityFlow(SpinEstimator):
    r"""
    Couplings and fields by minimum probability flow with single spin flips.

    For the dynamics that flips single spins at rates :math:`e^{(E(s) - E(s'))/2}`, whose steady state is the Boltzmann
    distribution, it minimises the flow of probability from the samples to states that differ by one spin,

    .. math:: K = \sum_k w_k \sum_i e^{-s_i (h_i + \sum_{j \ne i} J_{ij} s_j)},

    with weights :math:`w_k` that add up to one, plus ``alpha/2 sum_{i != j} J_ij^2``. Neighbours that are
    samples themselves are included. Couplings are symmetric from the start: K is the sum over nodes of the screening
    sums of `InteractionScreening`. It is convex, and consistent for samples of a Boltzmann distribution.

    Parameters
    ----------
    alpha : float, optional
        Strength of the l2 penalty, which keeps couplings finite where the data alone do not. None: one prior sample,
        ``1 / n_samples``; 0.0: no penalty.
    fit_fields : bool or "auto", default "auto"
        Whether to fit fields; otherwise they are zero. "auto": True except for samples of simulations without fields.
    errors : bool, default True
        Whether to compute standard errors in `fit` (for at most 500 spins).
    tol : float, default 1e-8
        Largest absolute component of the gradient at convergence.
    max_iter : int, default 200
        Most Newton steps.
    threshold : float, optional
        Binarise real-valued X: +1 where it exceeds the threshold. None: X must hold +1 and -1.
    constant : {"field", "error"}, default "field"
        Treatment of spins that never change: keep them without couplings (and warn), or refuse.

    Attributes
    ----------
    couplings_ : ndarray (n_spins, n_spins)
        Couplings, symmetric with zero diagonal; they contain 1/T.
    fields_ : ndarray (n_spins,)
        Fields, which contain 1/T; zero unless ``fit_fields``.
    couplings_std_, fields_std_ : ndarray (n_spins, n_spins) and (n_spins,)
        Standard errors by the sandwich formula, with the covariance of gradients from batches of successive rows inside
        runs. NaN where the samples do not determine a coupling.
    gradient_norm_ : float
        Largest absolute component of the gradient, in double precision.
    converged_ : bool
        Whether there is a finite minimum and ``gradient_norm_ <= tol``.
    n_iter_ : int
    n_features_in_ : int

    References
    ----------
    J. Sohl-Dickstein, P. B. Battaglino, M. R. DeWeese 2011, Phys. Rev. Lett. 107, 220601, arXiv:0906.4779.

    Examples
    --------
    >>> import numpy as np
    >>> from infer import MinimumProbabilityFlow
    >>> X = np.random.default_rng(0).choice([-1, 1], size=(1000, 5))
    >>> MinimumProbabilityFlow().fit(X).couplings_.shape
    (5, 5)
    """

    _parameter_constraints: dict = {  # noqa: RUF012
        "alpha": [Interval(Real, 0, None, closed="left"), None],
        "fit_fields": ["boolean", StrOptions({"auto"})],
        "errors": ["boolean"],
        "tol": [Interval(Real, 0, None, closed="neither")],
        "max_iter": [Interval(Integral, 1, None, closed="left")],
        "threshold": [Real, None],
        "constant": [StrOptions({"field", "error"})],
    }

    def __init__(
        self,
        alpha: float | None = None,
        *,
        fit_fields: bool | str = "auto",
        errors: bool = True,
        tol: float = 1e-8,
        max_iter: int = 200,
        threshold: float | None = None,
        constant: str = "field",
    ) -> None:
        self.alpha = alpha
        self.fit_fields = fit_fields
        self.errors = errors
        self.tol = tol
        self.max_iter = max_iter
        self.threshold = threshold
        self.constant = constant

    def solve(self, samples: VaryingSpins) -> Fit:
        """
        Couplings and fields of the spins that vary.

        Parameters
        ----------
        samples : VaryingSpins

        Returns
        -------
        Fit
        """
        n = samples.n_varying
        self.alpha_ = self.prior(self.alpha, samples.n_samples)
        self.gradient_norm_ = 0.0
        if not Pairs(n, samples.fit_fields).size:
            nothing = np.zeros((n, n)), np.zeros(n)
            return Fit(*nothing, True, 0, *(nothing if self.errors else (None, None)))
        with one_blas_thread():
            couplings, fields, minimum = minimise_flow(
                samples.rows(), self.alpha_, samples.fit_fields, self.tol, self.max_iter
            )
        self.gradient_norm_ = minimum.gradient_norm
        why = samples.why_endless() if self.alpha_ == 0.0 else ""
        if minimum.unbounded:
            why = why or "the samples determine some spins by the others"
        converged = minimum.gradient_norm <= self.tol and not why
        if why:
            warn(
                f"{why}, so that the best couplings are infinite and those returned are not reliable; pass alpha > 0 "
                "(say 0.01) to keep couplings finite, or give more samples",
                ConvergenceWarning,
                stacklevel=5,
            )
        elif not converged:
            warn(
                f"no convergence in {minimum.n_iter} Newton steps: largest gradient {minimum.gradient_norm:.2g} > "
                f"tol = {self.tol:.2g}; raise max_iter or tol, or pass alpha > 0 (say 0.01)",
                ConvergenceWarning,
                stacklevel=5,
            )
        return Fit(
            couplings, fields, converged, minimum.n_iter, **self._errors(couplings, fields, minimum.unbounded, samples)
        )

    def _errors(
        self, couplings: FloatArray, fields: FloatArray, unbounded: bool, samples: VaryingSpins
    ) -> dict[str, Any]:
        """Standard errors of a fit; NaN where its minimum is not finite or the samples form a single batch."""
        n = samples.n_varying
        if not self.errors or n > MOST_SPINS:
            return {}
        batches = RowBatches.of(samples.samples)
        if batches is None or unbounded:
            unknown = np.full((n, n), np.nan)
            return {"couplings_std": unknown, "fields_std": unknown[0]}
        with one_blas_thread():
            couplings_std, fields_std = pair_errors(
                samples.ordered_rows(),
                batches,
                couplings,
                fields,
                samples.fit_fields,
                2.0 * self.alpha_,
                samples.n_samples,
            )
        freedom, time = batches.degrees_of_freedom, batches.time
        return {"couplings_std": couplings_std, "fields_std": fields_std, "freedom": freedom, "time": time}

    def _why_no_errors(self) -> str:
        if self.errors and len(self.couplings_) > MOST_SPINS:
            return f"standard errors are computed for at most {MOST_SPINS} spins, and there are {len(self.couplings_)}"
        return super()._why_no_errors()
