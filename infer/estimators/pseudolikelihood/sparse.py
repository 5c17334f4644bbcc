"""Node-wise logistic regressions with an l1 or elastic-net penalty, all nodes at once.

Proximal Newton steps in the metric of the smooth solver: each node minimises its quadratic model plus the l1 norm by
coordinate descent, and moves there when the slope at the end of the step is small enough. Where the model's curvature
is too small it is raised. A node has converged when no coordinate violates the optimality conditions by more than the
tolerance: ``|g_j + sparsity sign(w_j)|`` where ``w_j != 0``, ``|g_j| - sparsity`` where ``w_j = 0``.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from infer.estimators.pseudolikelihood.lasso_kernels import lasso_steps
from infer.estimators.pseudolikelihood.nodes import LOSS_NOISE, OVERSHOOT, NodeFit, NodeSolver, Points, row_products
from infer.estimators.rows import SpinRows
from simulate.threads import one_blas_thread

INNER_ACCURACY = 0.02  # of the quadratic models, relative to the violation of the optimality conditions
INNER_SWEEPS = 200
LARGEST_TIGHTENING = 1e6


def fit_sparse_nodes(
    rows: SpinRows, ridge: float, sparsity: float, fit_fields: bool, tol: float, max_iter: int
) -> NodeFit:
    """Solve all regressions with penalty ``ridge/2 sum_j w_j^2 + sparsity sum_j |w_j|`` per node."""
    with one_blas_thread():
        return _SparseSolver(rows, ridge, sparsity, fit_fields).run(tol, max_iter)


def violations(gradient: NDArray, position: NDArray, sparsity: float, nodes: NDArray) -> NDArray[np.float64]:
    """Violation of the optimality conditions by each coordinate (couplings, then field); own couplings: zero."""
    weight = np.append(np.full(gradient.shape[1] - 1, sparsity), 0.0)
    missed = np.where(
        position != 0.0, np.abs(gradient + weight * np.sign(position)), np.maximum(np.abs(gradient) - weight, 0.0)
    )
    missed[np.arange(len(nodes)), nodes] = 0.0
    return missed


class _SparseSolver(NodeSolver):
    """The smooth solver with other steps and another acceptance rule."""

    def __init__(self, rows: SpinRows, ridge: float, sparsity: float, fit_fields: bool) -> None:
        super().__init__(rows, ridge, fit_fields)
        self.sparsity = sparsity
        self.penalised = True
        n_spins = rows.n_spins
        self.moments = np.ones((n_spins + 1, n_spins + 1))
        self.moments[:-1, :-1] = self.metric.second
        self.moments[-1, :-1] = self.moments[:-1, -1] = self.metric.mean
        self.tightening = np.ones(n_spins)

    def largest(self) -> NDArray:
        return violations(self.points.gradient, self.points.position, self.sparsity, np.arange(self.rows.n_spins)).max(
            axis=1
        )

    def _steps(self, nodes: NDArray, first: bool) -> NDArray:
        here = self.points.take(nodes)
        along, bend = self.metric.bend(here.position, here.scale, here.stretch)
        missed = violations(here.gradient, here.position, self.sparsity, nodes).max(axis=1)
        step = np.zeros_like(here.position)
        tightening = self.tightening[nodes]
        lasso_steps(
            self.moments,
            here.gradient,
            here.position,
            tightening * here.scale,
            tightening * bend,
            along,
            self.alpha,
            self.sparsity,
            nodes,
            self.rows.n_spins + int(self.fit_fields),
            INNER_ACCURACY * missed,
            INNER_SWEEPS,
            step,
        )
        return step

    def _restart(self) -> None:
        self.tightening[:] = 1.0

    def _judge(self, nodes: NDArray, found: Points) -> NDArray:
        here = self.points.take(nodes)
        step = found.position - here.position
        norm = self.sparsity * np.abs(here.position[:, :-1]).sum(axis=1)
        end_norm = self.sparsity * np.abs(found.position[:, :-1]).sum(axis=1)
        slope = row_products(step, here.gradient) + end_norm - norm
        end_slope = row_products(step, found.gradient) + end_norm - norm
        accepted = end_slope <= OVERSHOOT * np.abs(slope)
        noise = here.noise + found.noise + LOSS_NOISE * norm
        accepted &= found.loss + end_norm <= here.loss + norm + noise
        along, bend = self.metric.bend(here.position, here.scale, here.stretch)
        modelled = here.scale * row_products(step @ self.moments, step) + bend * row_products(along, step) ** 2
        modelled += self.alpha * row_products(step[:, :-1], step[:, :-1])
        measured = row_products(step, found.gradient - here.gradient) / np.maximum(modelled, 1e-300)
        tightening = self.tightening[nodes]
        eased = np.maximum(1.0, 0.7 * tightening)
        raised = np.maximum(2.0 * tightening, np.minimum(measured, 10.0 * tightening))
        self.tightening[nodes] = np.minimum(np.where(accepted, eased, raised), LARGEST_TIGHTENING)
        return accepted
