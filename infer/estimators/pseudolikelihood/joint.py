"""Pseudo-likelihood over symmetric couplings: one convex problem for all nodes instead of one for each.

Minimises ``sum_r L_r(J_r, h_r)`` of the node-wise objectives over ``J = J^T`` by limited-memory BFGS. The metric is the
inverse of the node-wise approximate Hessian, restricted to symmetric couplings: conjugate gradients on N x N matrices,
without passes over the samples. Steps are bounded and accepted as in the node-wise solver.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import DTypeLike, NDArray

from infer.estimators.pseudolikelihood.nodes import (
    CURVATURE_FLOOR,
    HISTORY_BYTES,
    LATE,
    LEAST_RADIUS,
    OVERSHOOT,
    SEPARATED,
    SINGLE_PRECISION,
    UNBOUNDED,
    NodeFit,
    NodeSolver,
    Points,
    row_products,
)
from infer.estimators.rows import SpinRows
from simulate.threads import one_blas_thread

PAIRS = 12  # limited-memory pairs kept, at most
INNER_ACCURACY = 1e-3  # relative residual at which conjugate gradients end
INNER_STEPS = 100
CERTAIN = CURVATURE_FLOOR  # <sech^2> of a node that is certain in every sample, to about one part in ten thousand


def fit_joint(rows: SpinRows, alpha: float, fit_fields: bool, tol: float, max_iter: int) -> NodeFit:
    """Symmetric couplings at which no component of ``(G + G^T) / 2`` or of the fields' gradients exceeds ``tol``."""
    with one_blas_thread():
        return _JointSolver(rows, alpha, fit_fields).run(tol, max_iter)


def symmetric(rows: NDArray) -> NDArray:
    """Rows of couplings and fields with the couplings averaged with their transpose."""
    out = rows.copy()
    out[:, :-1] = 0.5 * (rows[:, :-1] + rows[:, :-1].T)
    return out


class _JointSolver(NodeSolver):
    """The node-wise solver's evaluation and metric with one trust region and one set of quasi-Newton pairs."""

    def evaluate(self, position: NDArray, nodes: NDArray, dtype: DTypeLike, with_margins: bool = False) -> Points:
        found = super().evaluate(position, nodes, dtype, with_margins)
        found.gradient = symmetric(found.gradient)
        return found

    def run(self, tol: float, max_iter: int) -> NodeFit:
        """Iterate in single precision until close, then in double precision."""
        n_spins = self.rows.n_spins
        nodes = np.arange(n_spins)
        single_tol = max(0.9 * tol, SINGLE_PRECISION)
        pairs: list[tuple[NDArray, NDArray]] = []
        most_pairs = int(np.clip(HISTORY_BYTES // (16 * n_spins * (n_spins + 1)), 2, PAIRS))
        radius = np.inf
        double = False
        n_iter = 0
        converged = False
        while n_iter < max_iter and not converged:
            if not double and (self.largest().max() <= 10 * single_tol or n_iter >= LATE):
                double = True
                if n_iter:  # values at this position must have the precision of those they are compared with
                    self.points = self.evaluate(self.points.position, nodes, np.float64)
                    n_iter += 1
                    converged = bool(self.largest().max() <= tol)
                    continue
            here = self.points
            step = self._direction(pairs)
            length = float(np.linalg.norm(step, axis=1).max())
            step *= min(1.0, radius / max(length, 1e-300))
            found = self.evaluate(here.position + step, nodes, np.float64 if double else np.float32)
            n_iter += 1
            slope, end_slope = float((step * here.gradient).sum()), float((step * found.gradient).sum())
            change = found.gradient - here.gradient
            if here.position.any() and (step * change).sum() > 0:
                pairs = [*pairs[-most_pairs + 1 :], (step, change)]
            noise = here.noise.sum() + found.noise.sum()
            if end_slope <= OVERSHOOT * abs(slope) and found.loss.sum() <= here.loss.sum() + noise:
                self.points = found
                radius = max(radius, 2 * min(length, radius))
            else:
                turned = np.clip(slope / (slope - end_slope), 0.1, 0.7) if end_slope > 0 else 0.5
                radius = max(turned * min(length, radius), LEAST_RADIUS)
            converged = double and bool(self.largest().max() <= tol)
            if not self.penalised and np.abs(self.points.position).max() > UNBOUNDED:
                break
        position = self.points.position
        if not double:
            self.points = self.evaluate(position, nodes, np.float64)
        unbounded = np.zeros(n_spins, dtype=bool)
        if not self.penalised:
            unbounded = (np.abs(position).max(axis=1) > UNBOUNDED) | self._certain(nodes)
        return NodeFit(position[:, :-1], position[:, -1], self.largest(), unbounded, n_iter)

    def _certain(self, nodes: NDArray) -> NDArray:
        """Nodes that the others determine in every sample: their gradients vanish because couplings diverge."""
        certain = self.points.scale <= CERTAIN
        if certain.any():
            certain &= self.evaluate(self.points.position, nodes, np.float64, with_margins=True).margins > SEPARATED
        return certain

    def _direction(self, pairs: list[tuple[NDArray, NDArray]]) -> NDArray:
        """Quasi-Newton direction of descent (two-loop recursion)."""
        here = self.points
        vector = here.gradient.copy()
        weights = []
        for step, change in pairs[::-1]:
            weight = (step * vector).sum() / (step * change).sum()
            vector -= weight * change
            weights.append(weight)
        vector = self._solve(vector)
        for (step, change), weight in zip(pairs, weights[::-1], strict=True):
            vector += (weight - (change * vector).sum() / (step * change).sum()) * step
        return -vector

    def _solve(self, vector: NDArray) -> NDArray:
        """Inverse of the approximate Hessian applied to symmetric couplings and fields."""
        apply = self._modelled_hessian()
        solution = np.zeros_like(vector)
        residual = vector.copy()
        conditioned = self._precondition(residual)
        direction = conditioned.copy()
        product = float((residual * conditioned).sum())
        first = product
        for _ in range(INNER_STEPS):
            if product <= INNER_ACCURACY**2 * first or product <= 0.0:
                break
            image = apply(direction)
            along = product / float((direction * image).sum())
            solution += along * direction
            residual -= along * image
            conditioned = self._precondition(residual)
            before, product = product, float((residual * conditioned).sum())
            direction = conditioned + (product / before) * direction
        return solution

    def _modelled_hessian(self) -> Callable[[NDArray], NDArray]:
        """The node-wise approximate Hessians acting on symmetric couplings and fields."""
        here = self.points
        along, bend = self.metric.bend(here.position, here.scale, here.stretch)
        own = np.arange(len(along))
        along[own, own] = 0.0
        floor = np.maximum(self.metric.values.min(), 0.0)

        def apply(rows: NDArray) -> NDArray:
            image = np.zeros_like(rows)
            image[:, :-1] = rows[:, :-1] @ self.metric.second + floor * rows[:, :-1]
            if self.fit_fields:
                image[:, :-1] += np.outer(rows[:, -1], self.metric.mean)
                image[:, -1] = rows[:, :-1] @ self.metric.mean + rows[:, -1]
            image *= here.scale[:, None]
            image += (bend * row_products(along, rows))[:, None] * along
            image += self.penalty * rows
            image[own, own] = 0.0
            return symmetric(image)

        return apply

    def _precondition(self, rows: NDArray) -> NDArray:
        """Inverse for equal curvature of all nodes: the Lyapunov equation in the eigenvectors of the moments."""
        scale = float(self.points.scale.mean())
        vectors, values = self.metric.vectors, self.metric.values
        spectrum = 0.5 * scale * (values[:, None] + values) + self.alpha
        out = np.zeros_like(rows)
        out[:, :-1] = vectors @ ((vectors.T @ rows[:, :-1] @ vectors) / spectrum) @ vectors.T
        np.fill_diagonal(out[:, :-1], 0.0)
        out[:, -1] = rows[:, -1] / self.points.scale
        return out
