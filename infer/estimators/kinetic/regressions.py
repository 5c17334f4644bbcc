"""All regressions of the next value of each spin on the past, at once.

Node ``i`` minimises, over its couplings ``w`` and field ``b``, the mean over steps of the negative logarithm of

    (1 - u) [s_i(t) = s_i(t-1)] + u / (1 + exp(-2 s_i(t) (b + w x))),    x the past, u the probability of an update,

plus ``ridge/2 |w|^2 + sparsity |w|_1``. With u = 1 this is logistic regression, which is convex. Losses and gradients
of all nodes come from two matrix products per pass, in double precision. The metric of the steps is the Fisher
information of each node (that of all steps in time, or of a sample of them drawn by leverage), so that few passes are
needed. A step is taken when the loss decreases in proportion to the slope (Armijo) and the slope at its end is not too
large; otherwise it is damped (Levenberg 1944). Where the penalty has an l1 part, steps minimise the quadratic model
plus the norm (proximal Newton).
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import LinAlgError, cho_factor, cho_solve

from infer.estimators.kinetic.kinetic_kernels import fisher_weights, lasso_step, parallel_terms, step_terms
from infer.estimators.kinetic.steps import Steps
from simulate.threads import one_blas_thread

METRIC_WORK = 1e10  # operations up to which the metric is computed from all steps
METRIC_ROWS = (8000, 50)  # otherwise from this many steps, or this many per column where that is more
GROUP_BYTES = 1 << 28  # memory for the metrics of nodes that are fitted together
CHUNK_ROWS = 4096
STALE = 0.01  # largest change of a coupling for which the metric is kept
SLOW = 0.1  # a metric is recomputed where a step leaves more of the violation than this
SETTLED = 0.1  # a fit without penalty has converged only where its Newton step is below this
PATIENCE = 3  # passes that gradients may stay below the tolerance while Newton steps do not
UNBOUNDED = 50.0  # coupling (in units of the temperature) at which a fit without penalty is abandoned as infinite
SEPARATED = 1e-3  # smallest margin that proves rows separable, well above rounding
ARMIJO = 1e-4
OVERSHOOT = 0.5  # largest slope at the end of a step, as a share of that at its start
ROUNDING = 1e-13  # relative rounding error of losses
FIRST_DAMPING = 0.1  # of steps that are rejected or too long, in units of the mean curvature
LEAST_DAMPING = 1e-3
LARGEST_DAMPING = 1e10
LONGEST_STEP = 5.0  # largest change of a coupling or field in one step
INNER_SWEEPS = 200
INNER_ACCURACY = 0.02


@dataclass(frozen=True)
class KineticFit:
    """Result of the regressions of all nodes."""

    couplings: NDArray[np.float64]  # (n_spins, n_columns), row i acts on spin i
    fields: NDArray[np.float64]  # (n_spins,)
    largest_gradient: NDArray[np.float64]  # (n_spins,), violation of the optimality conditions
    losses: NDArray[np.float64]  # (n_spins,), mean negative log-likelihood of a step, without penalty
    infinite: NDArray[np.bool_]  # (n_spins,), without penalty the optimum is at infinity
    n_iter: int  # passes over the steps


@dataclass
class _Points:
    """Positions of some nodes, with their losses and gradients."""

    position: NDArray  # (n_nodes, n_columns + 1), last column the field
    loss: NDArray  # with penalty
    gradient: NDArray  # of the smooth part
    plain: NDArray  # loss without penalty
    margin: NDArray  # smallest s h

    def put(self, where: NDArray, other: _Points, picked: NDArray) -> None:
        for name, value in vars(self).items():
            value[where] = getattr(other, name)[picked]


def fit_kinetic(
    steps: Steps,
    ridge: float = 0.0,
    sparsity: float = 0.0,
    update: float = 1.0,
    free: NDArray[np.bool_] | None = None,
    tol: float = 1e-6,
    max_iter: int = 200,
) -> KineticFit:
    """Fit all nodes.

    Parameters
    ----------
    steps : Steps
    ridge, sparsity : float
        Strengths of the quadratic and of the absolute part of the penalty on couplings; fields have none.
    update : float
        Probability that a spin is updated in a step: 1 for parallel updates, the interval in sweeps for sequential
        ones.
    free : bool array (n_spins, n_columns + 1), optional
        Couplings and (last column) fields that are fitted; the others stay zero. Default: all.
    tol : float
        Largest violation of the optimality conditions at the end.
    max_iter : int
        Most passes over the steps.

    Returns
    -------
    KineticFit
    """
    n_spins, n_columns = steps.n_spins, steps.n_columns
    free = np.ones((n_spins, n_columns + 1), dtype=bool) if free is None else free
    group = max(1, GROUP_BYTES // (8 * (n_columns + 1) ** 2))
    position = np.zeros((n_spins, n_columns + 1))
    gradient, losses, infinite, n_iter = np.zeros(n_spins), np.zeros(n_spins), np.zeros(n_spins, dtype=bool), 0
    with one_blas_thread():
        for first in range(0, n_spins, group):
            nodes = np.arange(first, min(first + group, n_spins))
            solver = _Solver(steps, nodes, ridge, sparsity, update, free[nodes])
            n_iter = max(n_iter, solver.run(tol, max_iter))
            position[nodes], gradient[nodes] = solver.here.position, solver.violation()
            losses[nodes], infinite[nodes] = solver.here.plain, solver.infinite
    return KineticFit(position[:, :-1], position[:, -1], gradient, losses, infinite, n_iter)


def evaluate(
    steps: Steps, position: NDArray, nodes: NDArray, update: float, first: int = 0, last: int | None = None
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Losses (n_nodes,), their gradients (n_nodes, n_columns + 1), and smallest ``s h`` of some nodes.

    They are the contributions of the steps from ``first`` to before ``last`` to the means over all steps.
    """
    weights = np.ascontiguousarray(position.T)
    every = len(nodes) == steps.n_spins

    def work(part: slice) -> tuple[NDArray, NDArray, NDArray]:
        design = steps.design(part)
        after, before = steps.next(part), steps.past(part)[:, : steps.n_spins]
        if not every:
            after, before = after[:, nodes], before[:, nodes]
        local = design @ weights
        losses, margins = np.zeros(len(nodes)), np.full(len(nodes), np.inf)
        if update == 1.0 and steps.weight is None:
            decay = np.exp(-2.0 * np.abs(local))
            # columns taken out have another layout, which would be compiled for too
            parallel_terms(local, decay, np.ascontiguousarray(after), 1.0 / steps.n_steps, losses, margins)
        else:
            step_terms(local, before, after, steps.share(part), update, losses, margins)
        return losses, local.T @ design, margins

    loss, gradient, margins = np.zeros(len(nodes)), np.zeros_like(position), np.full(len(nodes), np.inf)
    for chunk_loss, chunk_gradient, chunk_margins in steps.over_chunks(work, first, last):
        loss += chunk_loss
        gradient += chunk_gradient
        np.minimum(margins, chunk_margins, out=margins)
    return loss, gradient, margins


def step_losses(steps: Steps, position: NDArray, update: float) -> NDArray[np.float64]:
    """Negative log-likelihood of each step (n_steps,), summed over all spins; position (n_spins, n_columns + 1)."""
    weights = np.ascontiguousarray(position.T)

    def work(part: slice) -> NDArray[np.float64]:
        after, before = steps.next(part), steps.past(part)[:, : steps.n_spins]
        losses = np.logaddexp(0.0, -2.0 * after * (steps.design(part) @ weights))
        if update < 1.0:
            stayed = before == after
            losses = -np.logaddexp(np.log(update) - losses, np.where(stayed, np.log1p(-update), -np.inf))
        return np.asarray(losses.sum(axis=1))

    with one_blas_thread():
        return np.concatenate(list(steps.over_chunks(work)))


class Metric:
    """Fisher information of nodes, from all steps or from a sample of them.

    A step is drawn with a probability that grows with its leverage (from rare values in its past), and weighted by the
    inverse, so that rare spins are represented.
    """

    def __init__(self, steps: Steps, update: float, precise: bool = True) -> None:
        self.update = update
        self.dtype = np.float64 if precise else np.float32
        most = metric_rows(steps.n_columns)
        work = float(steps.n_steps) * steps.n_columns**2 * steps.n_spins
        self.complete = steps.n_steps <= most or work <= METRIC_WORK
        picked: Any = slice(None)
        share = steps.share(picked)
        if not self.complete:
            chance = np.minimum(1.0, most * _leverage(steps))
            drawn = np.flatnonzero(np.random.default_rng(0).random(steps.n_steps) < chance)
            picked, share = drawn, share[drawn] / chance[drawn]
            share /= share.sum()
        self.share = share
        self.past = steps.past(picked)
        self.before = self.past[:, : steps.n_spins].astype(np.float64)
        self.n_rows = len(self.past)

    def matrices(self, position: NDArray, nodes: NDArray) -> NDArray[np.float64]:
        """The information of some nodes (n_nodes, n_columns + 1, n_columns + 1)."""
        n_columns = self.past.shape[1] + 1
        found = np.zeros((len(nodes), n_columns, n_columns))
        if not position.any() and len(nodes) > 1:  # where all weights are equal
            found[:] = self.matrices(position[:1], nodes[:1])[0]
            return found
        for start in range(0, self.n_rows, CHUNK_ROWS):
            part = slice(start, start + CHUNK_ROWS)
            design = np.ones((len(self.past[part]), n_columns), dtype=self.dtype)
            design[:, :-1] = self.past[part]
            local = design.astype(np.float64, copy=False) @ position.T
            weight = np.empty(len(design))
            for k, node in enumerate(nodes):
                field, before = np.ascontiguousarray(local[:, k]), np.ascontiguousarray(self.before[part, node])
                fisher_weights(field, before, self.update, weight)
                scaled = design * np.sqrt(weight * self.share[part])[:, None].astype(self.dtype)
                found[k] += scaled.T @ scaled
        return found


def metric_rows(n_columns: int) -> int:
    """Number of steps from which metrics are computed where all would take too long."""
    return max(METRIC_ROWS[0], METRIC_ROWS[1] * n_columns)


def _leverage(steps: Steps) -> NDArray[np.float64]:
    """Shares of the steps (n_steps,) in the leverage of independent spins, mixed with equal ones."""
    count = np.zeros(steps.n_columns)
    for part in steps.over_chunks(lambda part: part):
        count += (steps.past(part) > 0).sum(axis=0)
    rare = np.where(2 * count <= steps.n_steps, 1, -1)
    number = np.maximum(np.minimum(count, steps.n_steps - count), 1)
    found = [(steps.past(part) == rare) @ (1.0 / number) for part in steps.over_chunks(lambda part: part)]
    return 0.5 / steps.n_steps + 0.5 * np.concatenate(found) / steps.n_columns


def regularised(matrix: NDArray, ridge: NDArray) -> NDArray[np.float64]:
    """A Fisher information plus the penalty, and a diagonal term against rounding errors."""
    out = matrix.copy()
    out[np.diag_indices_from(out)] += ridge + max(1e-12 * np.trace(matrix) / len(matrix), 1e-15)
    return np.asarray(out)


class _Solver:
    """Positions of some nodes and the loop that improves them together."""

    def __init__(
        self, steps: Steps, nodes: NDArray, ridge: float, sparsity: float, update: float, free: NDArray[np.bool_]
    ) -> None:
        self.steps, self.nodes, self.update, self.free = steps, nodes, update, free
        n = len(nodes)
        coupling = np.append(np.ones(steps.n_columns), 0.0)
        self.ridge, self.sparsity = ridge * coupling, sparsity * coupling
        self.penalised = ridge > 0 or sparsity > 0
        self.metric = Metric(steps, update, precise=not self.penalised)
        self.matrices = np.zeros((n, steps.n_columns + 1, steps.n_columns + 1))
        self.stale = np.ones(n, dtype=bool)
        self.patience = np.zeros(n, dtype=np.int64)
        self.infinite = np.zeros(n, dtype=bool)
        start = np.zeros((n, steps.n_columns + 1))
        self.here = self._evaluate(start, np.arange(n))
        self.direction = np.zeros_like(start)
        self.expected = np.zeros(n)  # change of the loss along the direction, to first order
        self.damping = np.zeros(n)

    def _evaluate(self, position: NDArray, which: NDArray) -> _Points:
        plain, gradient, margin = evaluate(self.steps, position, self.nodes[which], self.update)
        gradient = (gradient + self.ridge * position) * self.free[which]
        penalty = 0.5 * (self.ridge * position**2).sum(axis=1) + (self.sparsity * np.abs(position)).sum(axis=1)
        return _Points(position, plain + penalty, gradient, plain, margin)

    def violation(self) -> NDArray[np.float64]:
        """Violation of the optimality conditions by each node."""
        gradient, position = self.here.gradient, self.here.position
        missed = np.where(
            position != 0.0,
            np.abs(gradient + self.sparsity * np.sign(position)),
            np.maximum(np.abs(gradient) - self.sparsity, 0.0),
        )
        return np.asarray((missed * self.free).max(axis=1))

    def run(self, tol: float, max_iter: int) -> int:
        """Iterate until all nodes have converged or were abandoned; returns the number of passes."""
        active = np.flatnonzero(self.free.any(axis=1))
        self._aim(active)
        n_iter = 1
        while n_iter < max_iter:
            active = active[~self._finished(active, tol)]
            if not len(active):
                break
            found = self._evaluate(self.here.position[active] + self.direction[active], active)
            n_iter += 1
            taken = self._judge(active, found)
            moved = active[taken]
            change = np.abs(self.direction[moved]).max(axis=1, initial=0.0)
            before = self.violation()[moved]
            self.here.put(moved, found, np.flatnonzero(taken))
            slow = self.violation()[moved] > SLOW * before
            self.stale[moved] |= slow & (change > STALE)
            self.damping[moved] *= np.where(self.damping[moved] > LEAST_DAMPING, 0.25, 0.0)
            held = active[~taken]
            self.damping[held] = np.maximum(4.0 * self.damping[held], FIRST_DAMPING)
            self._aim(active)
        return n_iter

    def _judge(self, active: NDArray, found: _Points) -> NDArray[np.bool_]:
        """True for the active nodes whose step is accepted."""
        loss, expected, step = self.here.loss[active], self.expected[active], self.direction[active]
        grown = (self.sparsity * (np.abs(found.position) - np.abs(self.here.position[active]))).sum(axis=1)
        end_slope = (found.gradient * step).sum(axis=1) + grown
        descends = found.loss <= loss + ARMIJO * expected + ROUNDING * (1.0 + np.abs(loss))
        return np.asarray(descends & (end_slope <= OVERSHOOT * np.abs(expected)))

    def _finished(self, active: NDArray, tol: float) -> NDArray[np.bool_]:
        """True for the active nodes that need no further pass."""
        small = self.violation()[active] <= tol
        given_up = self.damping[active] > LARGEST_DAMPING
        if not self.penalised:
            steady = np.abs(self.direction[active]).max(axis=1) <= SETTLED
            self.patience[active] += small & ~steady
            # where losses decrease like exp(-x), so do gradients, but Newton steps keep their length
            self.infinite[active] |= self.patience[active] >= PATIENCE
            self.infinite[active] |= self.here.margin[active] > SEPARATED
            self.infinite[active] |= np.abs(self.here.position[active]).max(axis=1) > UNBOUNDED
            small &= steady
        return np.asarray(small | given_up | self.infinite[active])

    def _aim(self, which: NDArray) -> None:
        """Recompute metrics that are out of date, and all directions."""
        old = which[self.stale[which]]
        if len(old):
            self.matrices[old] = self.metric.matrices(self.here.position[old], self.nodes[old])
            self.stale[old] = False
        missed = self.violation()
        for k in which:
            while True:
                with suppress(LinAlgError):
                    step, expected = self._step(k, INNER_ACCURACY * missed[k])
                    if np.abs(step).max() <= LONGEST_STEP or self.damping[k] > LARGEST_DAMPING:
                        break
                self.damping[k] = max(4.0 * self.damping[k], FIRST_DAMPING)
            self.direction[k] = step
            self.expected[k] = expected

    def _step(self, k: int, accuracy: float) -> tuple[NDArray[np.float64], float]:
        """Damped Newton step of a node, and the first-order change of its loss along it."""
        free = np.flatnonzero(self.free[k])
        gradient, position, norm = self.here.gradient[k, free], self.here.position[k, free], self.sparsity[free]
        matrix = self.matrices[k][np.ix_(free, free)]
        matrix = regularised(matrix, self.ridge[free] + self.damping[k] * np.trace(matrix) / len(free))
        if norm.any():
            step = np.zeros(len(free))
            lasso_step(matrix, gradient, position, norm, accuracy, INNER_SWEEPS, step)
        else:
            step = -cho_solve(cho_factor(matrix), gradient)
        grown = (norm * (np.abs(position + step) - np.abs(position))).sum()
        full = np.zeros(len(self.direction[k]))
        full[free] = step
        return full, float(gradient @ step + grown)
