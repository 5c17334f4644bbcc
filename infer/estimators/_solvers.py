"""All node-wise logistic regressions of a spin system at once.

Every node ``r`` has its own smooth convex problem: minimise over its couplings ``w`` (``w_r = 0``) and field ``b``

    L_r(w, b) = <log(1 + exp(-2 s_r (b + sum_j w_j s_j)))> + alpha/2 sum_j w_j^2.

All share the samples, so one gradient of all of them is a pair of matrix products. The solver is a quasi-Newton method
run on all nodes together. Its metric is the second-moment matrix shared by all nodes, with the node's own spin taken
out, scaled by the node's mean of sech^2: the exact Hessian at zero couplings, and near it as long as sech^2 varies
little from sample to sample. What it misses is learned by limited-memory BFGS updates. Steps are bounded by a trust
region and judged by the slope along the step, never by differences of losses, so that products may be taken in single
precision. Nodes that have converged leave the batch.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import DTypeLike, NDArray
from scipy.linalg import eigh

from ._products import SpinRows

HISTORY_BYTES = 1 << 26  # memory for the limited-memory pairs
HISTORY = 12  # most pairs kept
OVERSHOOT = 0.5  # a step is taken when the slope at its end is below this fraction of the slope at its start
SINGLE_PRECISION = 3e-7  # gradients are not followed below this in single precision
EIGENVALUE_FLOOR = 1e-5  # of the metric: second moments are averages of +-1, so their eigenvalues are of order one
CURVATURE_FLOOR = 1e-4  # of <sech^2> in the metric: nearly separable rows must not take off
FIRST_RADIUS = 5.0  # of the trust region, in couplings per temperature
LARGEST_RADIUS = 100.0
SEPARATED = 1e-3  # smallest margin s_r h_r that proves a row separable, well above rounding


@dataclass(frozen=True)
class NodeFit:
    """Result of the node-wise regressions."""

    couplings: NDArray[np.float64]  # (n_spins, n_spins), row r fitted by node r, zero diagonal
    fields: NDArray[np.float64]  # (n_spins,)
    largest_gradient: NDArray[np.float64]  # (n_spins,), max |gradient| in double precision
    separable: NDArray[np.bool_]  # (n_spins,), every sample on the right side: no finite optimum without penalty
    n_iter: int  # passes over the samples


def fit_nodes(rows: SpinRows, alpha: float, fit_fields: bool, tol: float, max_iter: int) -> NodeFit:
    """Solve all regressions until ``max |gradient| <= tol`` (checked in double precision) or ``max_iter`` passes."""
    return _NodeSolver(rows, alpha, fit_fields).run(tol, max_iter)


def node_gradients(
    rows: SpinRows, couplings: NDArray, fields: NDArray, alpha: float, fit_fields: bool
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Gradients of all node-wise objectives by couplings (n_spins, n_spins) and fields (n_spins,), double precision."""
    solver = _NodeSolver(rows, alpha, fit_fields)
    solver.position = np.column_stack([couplings, fields])
    gradient = solver.evaluate(solver.position, np.arange(rows.n_spins), np.float64)[0]
    return gradient[:, :-1], gradient[:, -1]


class _Metric:
    """Inverse of ``scale_r C + alpha``, without spin r, and of the field's block beside it where one is fitted."""

    def __init__(self, mean: NDArray, second: NDArray, alpha: float, fit_fields: bool) -> None:
        self.alpha = alpha
        self.mean = mean if fit_fields else None
        values, self.vectors = eigh(second - np.outer(mean, mean) if fit_fields else second)
        self.values = np.maximum(values, EIGENVALUE_FLOOR)

    def solve(self, gradient: NDArray, scale: NDArray, nodes: NDArray) -> NDArray:
        """Apply the inverse to each row of ``gradient`` (n_nodes, n_spins + 1), last column the field."""
        own = np.arange(len(nodes)), nodes
        right = gradient[:, :-1] if self.mean is None else gradient[:, :-1] - np.outer(gradient[:, -1], self.mean)
        right[own] = 0.0
        inverse = 1.0 / (scale[:, None] * self.values + self.alpha)
        # the inverse of a matrix without row and column r is the inverse downdated by its own column r
        column = (inverse * self.vectors[nodes]) @ self.vectors.T
        solution = (inverse * (right @ self.vectors)) @ self.vectors.T
        solution -= column * (solution[own] / column[own])[:, None]
        solution[own] = 0.0
        field = np.zeros(len(nodes)) if self.mean is None else gradient[:, -1] / scale - solution @ self.mean
        return np.column_stack([solution, field])


class _Memory:
    """Limited-memory quasi-Newton pairs of all nodes; one without a pair in a slot has inverse curvature zero there."""

    def __init__(self, n_spins: int) -> None:
        n_pairs = int(np.clip(HISTORY_BYTES // (8 * n_spins * (n_spins + 1)), 2, HISTORY))
        self.steps = np.zeros((n_pairs, n_spins, n_spins + 1), dtype=np.float32)
        self.changes = np.zeros_like(self.steps)
        self.inverse_curvature = np.zeros((n_pairs, n_spins))
        self.n_stored = 0

    def store(self, nodes: NDArray, step: NDArray, change: NDArray) -> None:
        """Keep a step and the change of gradient along it, where it shows positive curvature."""
        slot = self.n_stored % len(self.steps)
        self.n_stored += 1
        self.steps[slot, nodes] = step
        self.changes[slot, nodes] = change
        curvature = _dot(step, change)
        useful = curvature > 1e-8 * np.sqrt(_dot(step, step) * _dot(change, change)) + 1e-200
        self.inverse_curvature[slot] = 0.0
        self.inverse_curvature[slot, nodes] = np.where(useful, 1.0 / np.where(useful, curvature, 1.0), 0.0)

    def direction(self, nodes: NDArray, gradient: NDArray, scale: NDArray, metric: _Metric) -> NDArray:
        """Quasi-Newton direction of descent of each row (two-loop recursion, Nocedal 1980)."""
        newest = range(self.n_stored - 1, max(-1, self.n_stored - 1 - len(self.steps)), -1)
        slots = [k % len(self.steps) for k in newest]
        vector = gradient.copy()
        weights = []
        for slot in slots:
            weight = self.inverse_curvature[slot, nodes] * _dot(self.steps[slot, nodes], vector)
            vector -= weight[:, None] * self.changes[slot, nodes]
            weights.append(weight)
        vector = metric.solve(vector, scale, nodes)
        for slot, weight in zip(slots[::-1], weights[::-1], strict=True):
            correction = self.inverse_curvature[slot, nodes] * _dot(self.changes[slot, nodes], vector)
            vector += (weight - correction)[:, None] * self.steps[slot, nodes]
        return -vector


class _NodeSolver:
    """Positions, gradients and trust radii of all rows, and the loop that improves them together."""

    def __init__(self, rows: SpinRows, alpha: float, fit_fields: bool) -> None:
        self.rows = rows
        self.fit_fields = fit_fields
        self.alpha = alpha
        n_spins = rows.n_spins
        mean, second = rows.second_moments()
        self.metric = _Metric(mean, second, alpha, fit_fields)
        self.target = np.column_stack([second, mean if fit_fields else np.zeros(n_spins)])
        np.fill_diagonal(self.target, 0.0)
        self.penalty = np.append(np.full(n_spins, alpha), 0.0)
        self.position = np.zeros((n_spins, n_spins + 1))
        self.gradient = -self.target
        self.scale = np.ones(n_spins)
        self.radius = np.full(n_spins, FIRST_RADIUS)
        self.separable = np.zeros(n_spins, dtype=bool)

    def evaluate(
        self, position: NDArray, nodes: NDArray, dtype: DTypeLike, with_margins: bool = False
    ) -> tuple[NDArray, NDArray, NDArray | None]:
        """Gradients of the objectives of some nodes, their mean sech^2, and their smallest margins if wanted."""
        found = self.rows.responses(position[:, :-1], position[:, -1], dtype, nodes if with_margins else None)
        means = found.means if self.fit_fields else np.zeros(len(nodes))
        gradient = np.column_stack([found.products, means]) - self.target[nodes] + self.penalty * position
        gradient[np.arange(len(nodes)), nodes] = 0.0
        return gradient, np.maximum(found.curvature, CURVATURE_FLOOR), found.margins

    def run(self, tol: float, max_iter: int) -> NodeFit:
        """Iterate; nodes go from active, perhaps by pending (done in single precision), to verified or given up."""
        n_spins = self.rows.n_spins
        memory = _Memory(n_spins)
        single_tol = max(0.9 * tol, SINGLE_PRECISION)
        largest = np.abs(self.gradient).max(axis=1)
        active = np.ones(n_spins, dtype=bool)
        pending = np.zeros(n_spins, dtype=bool)
        verified = np.zeros(n_spins, dtype=bool)
        double = False
        n_iter = 0
        while active.any() or pending.any():
            if n_iter >= max_iter:
                break
            nodes = np.flatnonzero(active)
            step = self._steps(nodes, memory, first=n_iter == 0)
            # the last pass is made in double precision for all nodes at once, so that it is the check as well
            last = not len(nodes) or largest[nodes].max() <= 20 * single_tol
            double = double or last
            checked = np.flatnonzero(active | pending) if last else nodes
            trial = self.position[checked].copy()
            moved = active[checked]
            trial[moved] += step
            look = self.alpha == 0 and (last or n_iter + 1 in (4, 8, 16, 32, 64, 128, 256))
            gradient, scale, margins = self.evaluate(trial, checked, np.float64 if double else np.float32, look)
            n_iter += 1
            accepted = self._judge(nodes, step, gradient[moved], scale[moved], memory)
            if last:
                self.gradient[checked[~moved]] = gradient[~moved]
            largest[checked] = np.abs(self.gradient[checked]).max(axis=1)
            taken = np.ones(len(checked), dtype=bool)
            taken[moved] = accepted
            if margins is not None:
                self.separable[checked[(margins > SEPARATED) & taken]] = True
            if double:
                verified[checked] = largest[checked] <= tol
                active[checked] = ~verified[checked]
                pending[checked] = False
            else:
                pending[nodes] = largest[nodes] <= single_tol
                active[nodes] = ~pending[nodes]
            active &= ~self.separable
            pending &= ~self.separable
        return self._finish(largest, verified, n_iter)

    def _steps(self, nodes: NDArray, memory: _Memory, first: bool) -> NDArray:
        """Quasi-Newton steps of some nodes, shortened to their trust radii."""
        direction = memory.direction(nodes, self.gradient[nodes], self.scale[nodes], self.metric)
        if first and self.alpha == 0:
            direction *= _gaussian_scale(_dot(direction, self.target))[:, None]
        length = np.sqrt(_dot(direction, direction))
        return direction * np.minimum(1.0, self.radius[nodes] / np.maximum(length, 1e-300))[:, None]

    def _judge(self, nodes: NDArray, step: NDArray, gradient: NDArray, scale: NDArray, memory: _Memory) -> NDArray:
        """Take the steps at whose end the slope has not turned up too far; learn from all of them."""
        slope = _dot(step, self.gradient[nodes])
        end_slope = _dot(step, gradient)
        length = np.sqrt(_dot(step, step))
        memory.store(nodes, step, gradient - self.gradient[nodes])
        accepted = end_slope <= OVERSHOOT * np.abs(slope)
        shrink = np.clip(slope / np.where(accepted, 1.0, slope - end_slope), 0.1, 0.7)
        wider = np.minimum(np.maximum(self.radius[nodes], 2 * length), LARGEST_RADIUS)
        self.radius[nodes] = np.where(accepted, wider, shrink * length)
        taken = nodes[accepted]
        self.position[taken] += step[accepted]
        self.gradient[taken] = gradient[accepted]
        self.scale[taken] = scale[accepted]
        return accepted

    def _finish(self, largest: NDArray, verified: NDArray, n_iter: int) -> NodeFit:
        """Result, with the gradients of nodes that were given up computed in double precision."""
        rest = np.flatnonzero(~verified)
        if len(rest):
            gradient, _, margins = self.evaluate(self.position[rest], rest, np.float64, with_margins=True)
            largest[rest] = np.abs(gradient).max(axis=1)
            if self.alpha == 0 and margins is not None:
                self.separable[rest] = margins > SEPARATED
        return NodeFit(self.position[:, :-1], self.position[:, -1], largest, self.separable, n_iter)


def _dot(a: NDArray, b: NDArray) -> NDArray:
    """Inner products row by row."""
    return np.einsum("rj,rj->r", a, b)


def _gaussian_scale(explained: NDArray) -> NDArray:
    """Factor k >= 1 for which k <sech^2(k h)> = 1 with Gaussian h of the given variance (Stein's lemma), at most 2.

    Linear regression gives h with <h s_j> = <s_r s_j>; tanh(k h) then meets the same moments.
    """
    points, weights = np.polynomial.hermite_e.hermegauss(20)
    weights = weights / weights.sum()
    spread = np.sqrt(np.clip(explained, 0.0, None))[:, None] * points
    scale = np.ones(len(explained))
    for _ in range(20):
        gain = (1.0 / np.cosh(np.clip(scale[:, None] * spread, -20.0, 20.0)) ** 2) @ weights
        scale = np.clip(0.5 * (scale + 1.0 / gain), 1.0, 2.0)
    return scale
