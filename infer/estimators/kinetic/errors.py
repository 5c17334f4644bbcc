"""Standard errors of the kinetic regressions, from batches of successive steps."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import LinAlgError, cho_factor, cho_solve

from infer.estimators.kinetic.regressions import GROUP_BYTES, KineticFit, Metric, evaluate, regularised
from infer.estimators.kinetic.steps import Steps
from infer.statistics.batches import batch_labels, batch_roots, chain_slices
from simulate.threads import one_blas_thread


@dataclass(frozen=True)
class KineticErrors:
    """Standard errors; NaN where the steps do not determine them."""

    couplings: NDArray[np.float64]  # (n_spins, n_columns)
    fields: NDArray[np.float64]  # (n_spins,)
    degrees_of_freedom: float


def kinetic_errors(
    steps: Steps,
    fit: KineticFit,
    n_samples: float,
    ridge: float = 0.0,
    update: float = 1.0,
    free: NDArray[np.bool_] | None = None,
    rare: NDArray[np.bool_] | None = None,
    in_step: bool = False,
) -> KineticErrors:
    """Standard errors of all couplings and fields.

    The sandwich formula, ``(H + ridge)^-1 (V / n) (H + ridge)^-1`` for each node with its Fisher information H and the
    long-run covariance V of the gradients by means over batches inside runs, which is valid for rows that the model
    describes imperfectly. Where few steps determine a coupling, their variance is unreliable, and the error is that
    expected by the model, ``diag((H + ridge)^-1) / n``, if it is larger.

    Parameters
    ----------
    steps : Steps
        Steps in time order.
    fit : KineticFit
        The optimum.
    n_samples : float
        Effective number of steps.
    ridge, update : float
        Values used in the fit.
    free : bool array (n_spins, n_columns + 1), optional
        Couplings and fields that were fitted (with an l1 penalty, those that differ from zero); the others have error
        zero.
    rare : bool array (n_spins, n_columns + 1), optional
        Couplings and fields that few steps determine. Default: none.
    in_step : bool
        Whether runs share random numbers, as simulated chains that update the same spins at the same time do: rows of
        equal time then form one batch, where runs have equal length.

    Returns
    -------
    KineticErrors
    """
    n_spins, n_columns = steps.n_spins, steps.n_columns
    free = np.ones((n_spins, n_columns + 1), dtype=bool) if free is None else free
    rare = np.zeros_like(free) if rare is None else rare
    position = np.column_stack([fit.couplings, fit.fields])
    penalty = np.append(np.full(n_columns, ridge), 0.0)
    std = np.zeros((n_spins, n_columns + 1))
    edges, group_of = _batches(steps, in_step)
    shares = np.bincount(group_of, weights=np.add.reduceat(steps.share(slice(None)), edges[:-1]))
    degrees_of_freedom = 1.0 / float((shares**2).sum()) - 1.0
    group = max(1, GROUP_BYTES // (8 * (n_columns + 1) * max(n_columns + 1, len(shares))))
    with one_blas_thread():
        metric = Metric(steps, update, precise=ridge == 0.0)
        for first in range(0, n_spins, group):
            nodes = np.arange(first, min(first + group, n_spins))
            roots = None
            if len(shares) > 1:
                gradients = np.zeros((len(shares), len(nodes), n_columns + 1))
                for (start, stop), batch in zip(pairwise(edges), group_of, strict=True):
                    gradients[batch] += evaluate(steps, position[nodes], nodes, update, start, stop)[1]
                roots = batch_roots(gradients, shares)[0]
            matrices = metric.matrices(position[nodes], nodes)
            for k, node in enumerate(nodes):
                columns = np.flatnonzero(free[node])
                if not len(columns):
                    continue
                # the inverse of a matrix estimated from m steps is too large by m / (m - parameters - 1)
                debias = 1.0 if metric.complete else 1.0 - (len(columns) + 1) / metric.n_rows
                matrix = regularised(matrices[k][np.ix_(columns, columns)], penalty[columns])
                try:
                    inverse = debias * cho_solve(cho_factor(matrix), np.eye(len(columns)))
                except LinAlgError:  # zero curvature along some direction: the steps do not determine the couplings
                    std[node, columns] = np.nan
                    continue
                expected = np.diag(inverse) / n_samples
                if roots is None:  # a single batch has no variance
                    std[node, columns] = np.nan
                    continue
                scattered = ((roots[:, k, columns] @ inverse) ** 2).sum(axis=0)
                few = rare[node, columns] & (expected > scattered)
                std[node, columns] = np.sqrt(np.where(few, expected, scattered))
    return KineticErrors(std[:, :-1], std[:, -1], degrees_of_freedom)


def _batches(steps: Steps, in_step: bool) -> tuple[list[int], NDArray[np.int64]]:
    """Edges of contiguous pieces of runs, and the batch of each piece."""
    runs = chain_slices(steps.n_steps, steps.chains)
    lengths = {run.stop - run.start for run in runs}
    together = in_step and len(runs) > 1 and len(lengths) == 1
    n_pieces = int(batch_labels(lengths.pop())[-1]) + 1 if together else None
    labels = batch_labels(steps.n_steps, steps.chains, None if n_pieces is None else n_pieces * len(runs))
    edges = [0, *(np.flatnonzero(np.diff(labels)) + 1).tolist(), steps.n_steps]
    pieces = np.arange(len(edges) - 1)
    return edges, pieces if n_pieces is None else pieces % n_pieces
