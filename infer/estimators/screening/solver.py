"""The (log) screening sums of all nodes minimised at once, with an l1 penalty: proximal Newton steps."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from joblib import Parallel, delayed
from numpy.typing import DTypeLike, NDArray

from infer.estimators.rows import SpinRows
from infer.estimators.screening.screening_kernels import descend

FloatArray = NDArray[np.float64]

# a node has converged when its gradient is small and its last Newton step was shorter than this: where some state never
# occurs, terms exp(-m) and gradients decrease by 1/e per step without limit
SETTLED = 0.1
MODEL_ROWS = (4000, 20)  # curvatures come from this many rows, or that many per spin if more, until progress is slow
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
        The derivative for the coupling of a node with itself is not used.
    margins : ndarray (n_targets,)
    """
    n_targets = len(targets)
    sums, margins = np.zeros(n_targets), np.full(n_targets, np.inf)
    gradients = np.zeros((n_targets, rows.n_spins + 1))

    def work(part: slice) -> tuple[FloatArray, FloatArray, FloatArray, FloatArray]:
        chunk = rows.chunk(part, np.float64)
        own = chunk[:, targets]
        local = chunk @ parameters[:, :-1].T
        local += parameters[:, -1]
        local *= own
        least = local.min(axis=0)
        with np.errstate(over="ignore", invalid="ignore"):  # a step that is too long has an infinite sum and is refused
            np.exp(-local, out=local)
            local *= 1.0 / rows.n_rows if rows.weight is None else rows.weight[part, None]
            total = local.sum(axis=0)
            local *= own
            return least, total, local.T @ chunk, local.sum(axis=0)

    for least, total, by_couplings, by_fields in rows.over_chunks(work):
        margins = np.minimum(margins, least)
        sums += total
        gradients[:, :-1] -= by_couplings
        gradients[:, -1] -= by_fields
    return sums, gradients, margins


def screen_interactions(
    rows: SpinRows, alpha: float, logarithm: bool, fit_fields: bool, tol: float = 1e-8, max_iter: int = 200
) -> ScreeningFit:
    """
    Minimise the (log) screening sum of every node plus ``alpha sum_i |J_ui|`` by proximal Newton steps, all at once.

    One pass over the rows gives sums and gradients of all nodes that have not converged; coordinate descent minimises
    their quadratic models on the couplings that differ from zero or whose gradients exceed the penalty; steps that do
    not lower the objective are halved. Curvatures come from a subset of the rows as long as the fit makes progress with
    it. Nodes that satisfy the optimality conditions are left out of further steps.

    Parameters
    ----------
    rows : SpinRows
        Rows without constant spins.
    alpha : float
    logarithm : bool
        Whether to minimise the logarithm of the sum.
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
            # along t (J, h) with margins above alpha |J| the objective has no minimum
            norms = alpha * np.abs(parameters[:, :-1]).sum(axis=1)
            unbounded |= (margins > norms) & parameters.any(axis=1)
        unbounded |= (steps_too_many > 2) & (steps > SETTLED)
        active = np.flatnonzero(~unbounded & ((residuals > tol) | (steps > SETTLED)))
        if len(active) == 0 or n_iter == max_iter:
            break
        n_iter += 1
        steps_too_many[active] += residuals[active] <= tol
        target = _newton_targets(
            picked,
            parameters[active],
            gradients[active],
            residuals[active],
            active,
            penalties,
            free,
            logarithm,
            tol,
            rows.n_jobs,
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
            break  # rounding errors prevent any further decrease
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
    n_jobs: int | None,
) -> FloatArray:
    """Minima of the penalised quadratic models of some nodes, in blocks of nodes with similar numbers of couplings."""
    design, share = picked
    wanted = free[nodes] & ((parameters != 0.0) | (np.abs(gradients) >= 0.9 * penalties))
    counts = wanted.sum(axis=1)
    order = np.argsort(counts, kind="stable")
    target = parameters.copy()
    blocks, first = [], 0
    while first < len(order):
        # sorted by size: the last node of a block is the widest
        last = min(len(order), first + max(1, BLOCK_VALUES // (len(share) * max(1, int(counts[order[first]])))))
        blocks.append(order[first:last])
        first = last

    def work(block: NDArray[np.intp]) -> FloatArray:
        width = int(counts[block].max())
        moved = target[block]
        if width == 0:
            return moved
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
        np.put_along_axis(moved, index, np.where(among, found, here), axis=1)
        return moved

    if n_jobs == 1:
        moved = [work(block) for block in blocks]
    else:
        moved = Parallel(n_jobs=n_jobs, require="sharedmem")(delayed(work)(block) for block in blocks)
    for block, found in zip(blocks, moved, strict=True):
        target[block] = found
    return target
