"""Interaction screening: couplings from sums of exp(-s_u h_u), sparse by an l1 penalty."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from numbers import Integral, Real
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, DTypeLike, NDArray
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils._param_validation import Interval, StrOptions

from infer.estimators._base import SpinEstimator
from infer.estimators._preparation import Preparation, prepare
from infer.estimators._products import CHUNK_ROWS, SpinRows, one_blas_thread
from infer.estimators._screening_kernels import descend

FloatArray = NDArray[np.float64]

STRENGTH = {"rise": 0.4, "logrise": 0.8}  # c of the default alpha, Lokhov et al. 2018
# a node is done when, besides its gradient, its last Newton step was this small: where some state never occurs, terms
# exp(-m) fall by 1/e a step for ever, and so do the gradients
SETTLED = 0.1
MODEL_ROWS = (4000, 20)  # curvatures come from this many rows, or that many a spin if more, until progress is slow
BLOCK_VALUES = 1 << 22  # values of the largest array made for curvatures


@dataclass(frozen=True)
class ScreeningFit:
    """Result of `screen_interactions`."""

    couplings: FloatArray  # (n_spins, n_spins), row u minimises the objective of node u; not symmetric
    fields: FloatArray
    residuals: FloatArray  # (n_spins,) largest violation of the optimality conditions
    unbounded: NDArray[np.bool_]  # (n_spins,) no finite optimum
    n_iter: int


def screening_sums(
    rows: SpinRows, parameters: FloatArray, targets: NDArray[np.intp]
) -> tuple[FloatArray, FloatArray, FloatArray]:
    r"""
    Screening sums of some nodes, their gradients, and the smallest margin of each node.

    With margins :math:`m_k = s_u (h_u + \sum_i J_{ui} s_i)` the sum is :math:`\sum_k w_k e^{-m_k}`.

    Parameters
    ----------
    rows : SpinRows
    parameters : ndarray (n_targets, n_spins + 1)
        Couplings, and the field in the last column.
    targets : int array (n_targets,)

    Returns
    -------
    sums : ndarray (n_targets,)
    gradients : ndarray (n_targets, n_spins + 1)
        The derivative for the coupling of a node with itself means nothing.
    margins : ndarray (n_targets,)
    """
    n_targets = len(targets)
    sums, margins = np.zeros(n_targets), np.full(n_targets, np.inf)
    gradients = np.zeros((n_targets, rows.n_spins + 1))
    for start in range(0, rows.n_rows, CHUNK_ROWS):
        part = slice(start, min(start + CHUNK_ROWS, rows.n_rows))
        chunk = rows.chunk(part, np.float64)
        own = chunk[:, targets]
        local = chunk @ parameters[:, :-1].T
        local += parameters[:, -1]
        local *= own
        margins = np.minimum(margins, local.min(axis=0))
        with np.errstate(over="ignore", invalid="ignore"):  # a step too long is refused for its infinite sum
            np.exp(-local, out=local)
            local *= 1.0 / rows.n_rows if rows.weight is None else rows.weight[part, None]
            sums += local.sum(axis=0)
            local *= own
            gradients[:, :-1] -= local.T @ chunk
            gradients[:, -1] -= local.sum(axis=0)
    return sums, gradients, margins


def screen_interactions(
    rows: SpinRows, alpha: float, logarithm: bool, fit_fields: bool, tol: float = 1e-8, max_iter: int = 200
) -> ScreeningFit:
    """
    Minimise the (log) screening sum of every node plus ``alpha sum_i |J_ui|`` by proximal Newton steps, all at once.

    One pass over the rows gives sums and gradients of all nodes that are not done; coordinate descent minimises their
    quadratic models on the couplings that are not zero or want to leave zero; steps that do not lower the objective
    are halved. Curvatures come from a subset of the rows while that serves. Nodes that satisfy the optimality
    conditions leave.

    Parameters
    ----------
    rows : SpinRows
        No constant spins.
    alpha : float
    logarithm : bool
        Minimise the logarithm of the sum.
    fit_fields : bool
    tol : float
        Largest violation of the optimality conditions.
    max_iter : int

    Returns
    -------
    ScreeningFit
    """
    n_spins = rows.n_spins
    penalties = np.append(np.full(n_spins, alpha), 0.0)
    free = np.ones((n_spins, n_spins + 1), dtype=bool)
    np.fill_diagonal(free, False)
    free[:, -1] = fit_fields
    parameters = np.zeros((n_spins, n_spins + 1))
    steps, unbounded = np.zeros(n_spins), np.zeros(n_spins, dtype=bool)
    everyone = np.arange(n_spins)
    objective, gradients, margins = _objective(rows, parameters, everyone, penalties, free, logarithm)
    residuals = _residuals(parameters, gradients, penalties)
    n_model_rows = max(MODEL_ROWS[0], MODEL_ROWS[1] * n_spins)
    # curvatures need not be exact where a penalty keeps couplings finite
    precision = np.float32 if alpha > 0.0 else np.float64
    picked = _pick_rows(rows, n_model_rows, precision)
    steps_too_many = np.zeros(n_spins, dtype=int)
    n_iter = 0
    while True:
        if alpha == 0.0 or logarithm:
            # along t (J, h) with margins above alpha |J| the objective falls for ever
            norms = alpha * np.abs(parameters[:, :-1]).sum(axis=1)
            unbounded |= (margins > norms) & parameters.any(axis=1)
        unbounded |= (steps_too_many > 2) & (steps > SETTLED)
        active = np.flatnonzero(~unbounded & ((residuals > tol) | (steps > SETTLED)))
        if len(active) == 0 or n_iter == max_iter:
            break
        n_iter += 1
        steps_too_many[active] += residuals[active] <= tol
        target = _newton_targets(
            picked, parameters[active], gradients[active], residuals[active], active, penalties, free, logarithm, tol
        )
        before = residuals[active]
        direction = target - parameters[active]
        slopes = (gradients[active] * direction).sum(axis=1)
        slopes += (np.abs(target) - np.abs(parameters[active])) @ penalties
        left, length = np.arange(len(active)), 1.0
        while len(left) and length > 1e-10:
            nodes = active[left]
            trial = parameters[nodes] + length * direction[left]
            found, trial_gradients, trial_margins = _objective(rows, trial, nodes, penalties, free, logarithm)
            trial_residuals = _residuals(trial, trial_gradients, penalties)
            rounding = 1e-13 * (1.0 + np.abs(objective[nodes]))
            good = found <= objective[nodes] + 1e-4 * length * slopes[left] + rounding
            taken = nodes[good]
            parameters[taken], objective[taken] = trial[good], found[good]
            gradients[taken], margins[taken] = trial_gradients[good], trial_margins[good]
            residuals[taken] = trial_residuals[good]
            steps[taken] = length * np.abs(direction[left[good]]).max(axis=1)
            left, length = left[~good], length / 2.0
        slow = residuals[active] > np.maximum(0.3 * before, tol)
        if n_model_rows < rows.n_rows and slow.any() and n_iter > 3:
            n_model_rows *= 4
            picked = _pick_rows(rows, n_model_rows, precision)
        elif len(left) == len(active):
            break  # rounding lets nobody descend any further
    return ScreeningFit(parameters[:, :-1], parameters[:, -1], residuals, unbounded, n_iter)


def _objective(
    rows: SpinRows,
    parameters: FloatArray,
    targets: NDArray[np.intp],
    penalties: FloatArray,
    free: NDArray[np.bool_],
    logarithm: bool,
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Penalised objectives, gradients of their smooth part (zero where a parameter is not free), smallest margins."""
    sums, gradients, margins = screening_sums(rows, parameters, targets)
    gradients[~free[targets]] = 0.0
    if logarithm:
        with np.errstate(divide="ignore", invalid="ignore"):
            sums, gradients = np.log(sums), gradients / sums[:, None]
    return sums + np.abs(parameters) @ penalties, gradients, margins


def _residuals(parameters: FloatArray, gradients: FloatArray, penalties: FloatArray) -> FloatArray:
    """Largest distance of zero from the subdifferential, for each node."""
    at_zero = np.maximum(np.abs(gradients) - penalties, 0.0)
    elsewhere = np.abs(gradients + np.sign(parameters) * penalties)
    return np.where(parameters == 0.0, at_zero, elsewhere).max(axis=1)


def _pick_rows(rows: SpinRows, n_wanted: int, dtype: DTypeLike) -> tuple[NDArray, NDArray]:
    """Rows with a last column of ones, transposed, and their shares: all of them or a fixed random choice by share."""
    if rows.n_rows <= n_wanted:
        index = np.arange(rows.n_rows)
        share = np.full(rows.n_rows, 1.0 / rows.n_rows) if rows.weight is None else rows.weight
    else:
        drawn = np.random.default_rng(0).choice(rows.n_rows, size=n_wanted, p=rows.weight)
        index, counts = np.unique(drawn, return_counts=True)
        share = counts / n_wanted
    spins = rows.spins[index] if rows.columns is None else rows.spins[index][:, rows.columns]
    return np.vstack([spins.T, np.ones((1, len(index)))]).astype(dtype), share.astype(dtype)


def _newton_targets(
    picked: tuple[NDArray, NDArray],
    parameters: FloatArray,
    gradients: FloatArray,
    residuals: FloatArray,
    nodes: NDArray[np.intp],
    penalties: FloatArray,
    free: NDArray[np.bool_],
    logarithm: bool,
    tol: float,
) -> FloatArray:
    """Minima of the penalised quadratic models of some nodes, in blocks of nodes with similar numbers of couplings."""
    design, share = picked
    wanted = free[nodes] & ((parameters != 0.0) | (np.abs(gradients) >= 0.9 * penalties))
    counts = wanted.sum(axis=1)
    order = np.argsort(counts, kind="stable")
    target = parameters.copy()
    first = 0
    while first < len(order):
        # sorted by size: the last node of a block is the widest
        last = min(len(order), first + max(1, BLOCK_VALUES // (len(share) * max(1, int(counts[order[first]])))))
        block = order[first:last]
        first = last
        width = int(counts[block].max())
        if width == 0:
            continue
        index = np.argsort(~wanted[block], axis=1, kind="stable")[:, :width]
        among = np.arange(width) < counts[block][:, None]
        margins = (parameters[block].astype(design.dtype) @ design) * design[nodes[block]]
        if logarithm:  # only ratios of weights matter, and large ones would overflow
            margins -= margins.min(axis=1, keepdims=True)
        with np.errstate(over="ignore"):
            weights = np.exp(-margins) * share
        features = design[index]  # (n_block, width, n_rows)
        features[~among] = 0.0
        means = None
        if logarithm:
            weights /= weights.sum(axis=1, keepdims=True)
            signed = weights * design[nodes[block]]
            means = np.matmul(features, signed[:, :, None])[:, :, 0]
        hessians = np.matmul(features * weights[:, None, :], features.transpose(0, 2, 1)).astype(np.float64)
        if means is not None:
            hessians -= (means[:, :, None] * means[:, None, :]).astype(np.float64)
        here = np.take_along_axis(parameters[block], index, axis=1)
        slope = np.where(among, np.take_along_axis(gradients[block], index, axis=1), 0.0)
        diagonal = np.einsum("nii->ni", hessians)
        # keeps singular models (repeated spins, fewer rows than spins) solvable
        ridge = 1e-6 if penalties[0] > 0.0 else 1e-3 * min(tol, 1e-6)
        diagonal += ridge * diagonal.mean(axis=1, keepdims=True) + ~among
        if penalties[0] == 0.0:
            found = here - np.linalg.solve(hessians, slope[:, :, None])[:, :, 0]
        else:
            tolerances = np.maximum(0.01 * residuals[block] * np.minimum(residuals[block], 1.0), 0.01 * tol)
            found = descend(hessians, slope, here, penalties[index], counts[block], tolerances, 1000)
        moved = target[block]
        np.put_along_axis(moved, index, np.where(among, found, here), axis=1)
        target[block] = moved
    return target


class InteractionScreening(SpinEstimator):
    r"""
    Couplings that screen every spin from its neighbours, sparse by an l1 penalty.

    With margins :math:`m_k = s_u (h_u + \sum_{i \ne u} J_{ui} s_i)` of node u in sample k, of weight :math:`w_k`
    (:math:`\sum_k w_k = 1`), row u minimises :math:`\sum_k w_k e^{-m_k}` ("rise"), or its logarithm ("logrise"), plus
    ``alpha sum_i |J_ui|``; the field is not penalised. The two estimates of each coupling are then averaged. For
    samples of a Boltzmann distribution both are consistent, and at strong coupling they need fewer samples than
    pseudo-likelihood to tell which couplings are zero.

    Parameters
    ----------
    objective : {"rise", "logrise"}, default "rise"
    alpha : float, optional
        Strength of the l1 penalty. None: ``c sqrt(log(n_spins^2 / 0.05) / n_samples)`` with c = 0.4 for "rise" and 0.8
        for "logrise" (Lokhov et al. 2018); n_samples is the sum of the weights, or the number of rows where that is
        larger. The penalty serves to find which couplings are zero, and shrinks the others; 0 gives consistent values.
    fit_fields : bool, default False
        Fit fields; otherwise they are zero.
    tol : float, default 1e-8
        Largest violation of the optimality conditions at which a node is done.
    max_iter : int, default 200
        Most Newton steps.
    threshold : float, optional
        Binarise real-valued X: +1 where it exceeds the threshold. None: X must hold +1 and -1.
    constant : {"field", "error"}, default "field"
        What to do with spins that never change: keep them without couplings (and warn), or refuse.

    Attributes
    ----------
    couplings_ : ndarray (n_spins, n_spins)
        Symmetric, zero diagonal. They contain 1/T.
    fields_ : ndarray (n_spins,)
        They contain 1/T; zero unless ``fit_fields``.
    row_couplings_ : ndarray (n_spins, n_spins)
        Row u as node u finds it, before averaging.
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
        "fit_fields": ["boolean"],
        "tol": [Interval(Real, 0, None, closed="neither")],
        "max_iter": [Interval(Integral, 1, None, closed="left")],
        "threshold": [Real, None],
        "constant": [StrOptions({"field", "error"})],
    }

    def __init__(
        self,
        objective: str = "rise",
        alpha: float | None = None,
        *,
        fit_fields: bool = False,
        tol: float = 1e-8,
        max_iter: int = 200,
        threshold: float | None = None,
        constant: str = "field",
    ) -> None:
        self.objective = objective
        self.alpha = alpha
        self.fit_fields = fit_fields
        self.tol = tol
        self.max_iter = max_iter
        self.threshold = threshold
        self.constant = constant

    def fit(self, X: Any, y: Any = None, sample_weight: ArrayLike | None = None) -> Self:
        """
        Fit couplings and fields.

        Parameters
        ----------
        X : array-like (n_samples, n_spins) of +-1, xarray.Dataset or Recording
        y : Ignored
            Present for compatibility with scikit-learn.
        sample_weight : array-like (n_samples,), optional
            Weights of the rows, such as counts.

        Returns
        -------
        InteractionScreening

        Raises
        ------
        ValueError
            If X holds anything but +-1 (the message gives row, column and value) or a parameter is out of range.

        Warns
        -----
        ConvergenceWarning
            If spins are constant, the objective of a node has no finite minimum, or ``max_iter`` was reached.
        """
        self._validate_params()
        samples = prepare(self, X, sample_weight)
        c = STRENGTH[self.objective]
        default = c * np.sqrt(np.log(samples.n_spins**2 / 0.05) / samples.n_samples)
        self.alpha_ = float(default if self.alpha is None else self.alpha)
        n_varying = len(samples.varying)
        found = np.zeros((n_varying, n_varying)), np.zeros(n_varying)
        self.residual_, self.converged_, self.n_iter_ = 0.0, True, 0
        if n_varying:
            with one_blas_thread():
                fit = screen_interactions(
                    samples.rows(), self.alpha_, self.objective == "logrise", self.fit_fields, self.tol, self.max_iter
                )
            found = fit.couplings, fit.fields
            self.residual_ = float(fit.residuals.max())
            self.converged_ = bool(self.residual_ <= self.tol and not fit.unbounded.any())
            self.n_iter_ = fit.n_iter
            if not self.converged_:
                self._warn(fit, samples)
        self.row_couplings_, self.fields_ = samples.expand(*found, self.fit_fields)
        self.couplings_ = (self.row_couplings_ + self.row_couplings_.T) / 2.0
        return self

    def _warn(self, fit: ScreeningFit, samples: Preparation) -> None:
        """Say why the fit is not to be trusted, and what to do."""
        if fit.unbounded.any():
            raised = f"{max(2.0 * self.alpha_, 0.01):.2g}"
            text = (
                f"the samples determine {samples.named(np.flatnonzero(fit.unbounded))} by the other spins, so that the "
                f"best couplings are infinite and those returned mean little; raise alpha (say to {raised}), take "
                "objective='rise' with alpha > 0, or give more samples"
            )
        else:
            left = np.flatnonzero(fit.residuals > self.tol)
            text = (
                f"{samples.named(left)} did not converge in {fit.n_iter} Newton steps: largest violation of the "
                f"optimality conditions {self.residual_:.2g} > tol = {self.tol:.2g}; raise max_iter or tol"
            )
        warnings.warn(text, ConvergenceWarning, stacklevel=3)
