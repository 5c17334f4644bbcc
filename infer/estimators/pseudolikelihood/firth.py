"""Node-wise logistic regressions with Firth's penalty, which removes the bias of order 1 / n_samples.

Node ``r`` maximises ``sum_k w_k log p(s_kr | rest) + 1/2 log det I(theta)`` over its couplings and field, with weights
``w_k`` that count samples and the Fisher information ``I = sum_k w_k sech^2(h_k) x_k x_k^T``, ``x`` the other spins and
a one for the field. The second part (Jeffreys' prior) falls to minus infinity where couplings diverge, so that there is
a finite maximum even for separated samples. Its gradient is ``-sum_k q_k tanh(h_k) x_k`` with the diagonal of the hat
matrix, ``q_k = w_k sech^2(h_k) x_k^T I^-1 x_k``. Fisher scoring with halved steps, all nodes at once, in double
precision.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from infer.estimators.pseudolikelihood.nodes import NodeFit
from infer.estimators.rows import SpinRows
from simulate.threads import one_blas_thread

FloatArray = NDArray[np.float64]

BLOCK_VALUES = 1 << 21  # values of the largest temporary array
RANK = 1e-9  # eigenvalues of second moments (of order one) below this carry no information
LARGEST_STEP = 5.0  # of a coupling in units of the temperature, as in Heinze and Schemper
LEAST_LENGTH = 1e-9
SUFFICIENT = 1e-4
ROUNDING = 1e-12
FLOOR = 1e-250


@dataclass(frozen=True)
class FirthFit(NodeFit):
    """Result of the regressions."""

    undetermined: NDArray[np.bool_]  # (n_spins,), whether samples leave some direction of the couplings undetermined


@dataclass
class _Local:
    """Objective, gradient and step of some nodes at their positions."""

    objective: FloatArray  # (n_nodes,), per sample, to be minimised
    gradient: FloatArray  # (n_nodes, n_parameters), of the objective, within the directions that samples determine
    step: FloatArray  # (n_nodes, n_parameters), minus the inverse Fisher information per sample times the gradient


def fit_firth_nodes(rows: SpinRows, n_samples: float, fit_fields: bool, tol: float, max_iter: int) -> FirthFit:
    """Solve all regressions until ``max |gradient| <= tol`` per sample, or ``max_iter`` steps."""
    with one_blas_thread():
        return _FirthSolver(rows, n_samples, fit_fields).run(tol, max_iter)


class _FirthSolver:
    """Positions of all nodes and the loop that improves them together."""

    def __init__(self, rows: SpinRows, n_samples: float, fit_fields: bool) -> None:
        self.rows, self.strength = rows, 1.0 / n_samples
        n_spins = rows.n_spins
        mean, second = rows.second_moments()
        self.moments = np.ones((n_spins + 1, n_spins + 1))
        self.moments[:-1, :-1], self.moments[-1, :-1], self.moments[:-1, -1] = second, mean, mean
        self.free = np.ones((n_spins, n_spins + 1), dtype=bool)
        np.fill_diagonal(self.free, False)
        self.free[:, -1] = fit_fields
        self.bases = [self._directions(node) for node in range(n_spins)]
        self.undetermined = np.array([b.shape[1] < f.sum() for b, f in zip(self.bases, self.free, strict=True)])

    def _directions(self, node: int) -> FloatArray:
        """Basis (n_parameters, rank) of the directions of a node's parameters that samples determine."""
        free = np.flatnonzero(self.free[node])
        values, vectors = np.linalg.eigh(self.moments[np.ix_(free, free)])
        basis = np.zeros((len(self.moments), int((values > RANK).sum())))
        basis[free] = vectors[:, values > RANK]
        return basis

    def run(self, tol: float, max_iter: int) -> FirthFit:
        """Fisher scoring; nodes that have converged are left out."""
        n_spins = self.rows.n_spins
        position = np.zeros((n_spins, n_spins + 1))
        everyone = np.arange(n_spins)
        here = self._evaluate(position, everyone)
        largest = np.abs(here.gradient).max(axis=1)
        stuck = np.zeros(n_spins, dtype=bool)
        n_iter = 0
        while n_iter < max_iter:
            active = np.flatnonzero((largest > tol) & ~stuck)
            if not len(active):
                break
            n_iter += 1
            step = here.step[active]
            slope = np.einsum("bi,bi->b", step, here.gradient[active])
            length = np.minimum(1.0, LARGEST_STEP / np.maximum(np.abs(step).max(axis=1), LARGEST_STEP))
            left = np.arange(len(active))
            while len(left):
                nodes = active[left]
                trial = position[nodes] + length[left, None] * step[left]
                found = self._evaluate(trial, nodes)
                rounding = ROUNDING * (1.0 + np.abs(here.objective[nodes]))
                bound = here.objective[nodes] + SUFFICIENT * length[left] * slope[left] + rounding
                good = found.objective <= bound
                taken = nodes[good]
                position[taken] = trial[good]
                here.objective[taken], here.gradient[taken] = found.objective[good], found.gradient[good]
                here.step[taken] = found.step[good]
                left = left[~good]
                length[left] /= 2.0
                hopeless = length[left] < LEAST_LENGTH
                stuck[active[left[hopeless]]] = True  # rounding errors prevent any further decrease
                left = left[~hopeless]
            largest = np.abs(here.gradient).max(axis=1)
        nobody = np.zeros(n_spins, dtype=bool)
        return FirthFit(position[:, :-1], position[:, -1], largest, nobody, n_iter, self.undetermined)

    def _chunks(self) -> Iterator[tuple[FloatArray, FloatArray]]:
        """Rows with a last column of ones, and their shares."""
        n_rows = max(1, BLOCK_VALUES // (self.rows.n_spins + 1))
        for start in range(0, self.rows.n_rows, n_rows):
            part = slice(start, min(start + n_rows, self.rows.n_rows))
            chunk = self.rows.chunk(part, np.float64)
            yield np.column_stack([chunk, np.ones(len(chunk))]), self._share(part)

    def _share(self, part: slice) -> FloatArray:
        """Shares of a slice of rows."""
        weight = self.rows.weight
        return np.full(part.stop - part.start, 1.0 / self.rows.n_rows) if weight is None else weight[part]

    def _evaluate(self, position: FloatArray, nodes: NDArray[np.intp]) -> _Local:
        """Objective, gradient and scoring step of some nodes at some positions, a few nodes at a time."""
        width = position.shape[1]
        found = _Local(np.zeros(len(nodes)), np.zeros_like(position), np.zeros_like(position))
        per_node = min(self.rows.n_rows, max(1, BLOCK_VALUES // width)) * width
        at_once = max(1, BLOCK_VALUES // per_node)
        for first in range(0, len(nodes), at_once):
            block = slice(first, first + at_once)
            values = self._evaluate_block(position[block], nodes[block])
            found.objective[block], found.gradient[block], found.step[block] = values
        return found

    def _evaluate_block(
        self, position: FloatArray, nodes: NDArray[np.intp]
    ) -> tuple[FloatArray, FloatArray, FloatArray]:
        """The same for nodes whose products fit into memory together."""
        count, width = position.shape
        objective, gradient = np.zeros(count), np.zeros_like(position)
        fisher = np.zeros((count, width, width))
        for design, share in self._chunks():
            local = position @ design.T
            spins = design[:, nodes].T
            objective += np.logaddexp(0.0, -2.0 * local * spins) @ share
            response = np.tanh(local)
            gradient += ((response - spins) * share) @ design
            fisher += np.matmul(design.T * ((1.0 - response**2) * share)[:, None, :], design)
        inverse = np.zeros_like(fisher)
        for place, node in enumerate(nodes):
            basis = self.bases[node]
            values, vectors = np.linalg.eigh(basis.T @ fisher[place] @ basis)
            values = np.maximum(values, FLOOR)
            objective[place] -= 0.5 * self.strength * float(np.log(values).sum())
            turned = basis @ vectors
            inverse[place] = (turned / values) @ turned.T
        for design, share in self._chunks():
            response = np.tanh(position @ design.T)
            hat = np.einsum("bmi,mi->bm", np.matmul(design, inverse), design) * (1.0 - response**2) * share
            gradient += self.strength * ((hat * response) @ design)
        gradient[~self.free[nodes]] = 0.0
        for place, node in enumerate(nodes):
            if self.undetermined[node]:
                gradient[place] = self.bases[node] @ (self.bases[node].T @ gradient[place])
        return objective, gradient, -np.einsum("bij,bj->bi", inverse, gradient)
