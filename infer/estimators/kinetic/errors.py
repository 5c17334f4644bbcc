"""Standard errors of the kinetic regressions: how much each batch of successive steps moves them."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import LinAlgError, cho_factor, cho_solve

from infer.estimators.kinetic.regressions import GROUP_BYTES, KineticFit, Metric, evaluate, regularised
from infer.estimators.kinetic.steps import Steps
from infer.estimators.rows import one_blas_thread
from infer.statistics.batches import batch_labels, batch_roots


@dataclass(frozen=True)
class KineticErrors:
    """Standard errors; NaN where the steps do not tell them."""

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
) -> KineticErrors:
    """Standard errors of all couplings and fields.

    The sandwich formula, ``(H + ridge)^-1 (V / n) (H + ridge)^-1`` for each node with its Fisher information H and the
    long-run covariance V of the gradients by means over batches inside runs, or the error that the model itself
    expects, ``diag((H + ridge)^-1) / n``, whichever is larger: the first holds for rows that the model describes
    imperfectly, the second where few steps carry what is known of a coupling.

    Parameters
    ----------
    steps : Steps
        In the order of time.
    fit : KineticFit
        The optimum.
    n_samples : float
        Effective number of steps.
    ridge, update : float
        As in the fit.
    free : bool array (n_spins, n_columns + 1), optional
        What was fitted; the rest has error zero. With an l1 penalty that is what differs from zero.

    Returns
    -------
    KineticErrors
    """
    n_spins, n_columns = steps.n_spins, steps.n_columns
    free = np.ones((n_spins, n_columns + 1), dtype=bool) if free is None else free
    position = np.column_stack([fit.couplings, fit.fields])
    penalty = np.append(np.full(n_columns, ridge), 0.0)
    std = np.zeros((n_spins, n_columns + 1))
    labels = batch_labels(steps.n_steps, steps.chains)
    shares = np.bincount(labels, weights=steps.share(slice(None)))
    degrees_of_freedom = 1.0 / float((shares**2).sum()) - 1.0
    group = max(1, GROUP_BYTES // (8 * (n_columns + 1) * max(n_columns + 1, len(shares))))
    with one_blas_thread():
        metric = Metric(steps, update, precise=ridge == 0.0)
        for first in range(0, n_spins, group):
            nodes = np.arange(first, min(first + group, n_spins))
            roots = None
            if len(shares) > 1:
                roots = batch_roots(_batch_gradients(steps, position[nodes], nodes, update, labels), shares)[0]
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
                except LinAlgError:  # flat in some direction: the steps do not tell the couplings
                    std[node, columns] = np.nan
                    continue
                expected = np.diag(inverse) / n_samples
                if roots is None:  # a single batch does not scatter
                    std[node, columns] = np.nan
                    continue
                scattered = ((roots[:, k, columns] @ inverse) ** 2).sum(axis=0)
                std[node, columns] = np.sqrt(np.maximum(scattered, expected))
    return KineticErrors(std[:, :-1], std[:, -1], degrees_of_freedom)


def _batch_gradients(
    steps: Steps, position: NDArray, nodes: NDArray, update: float, labels: NDArray
) -> NDArray[np.float64]:
    """Share of each batch in the gradients of some nodes (n_batches, n_nodes, n_columns + 1)."""
    edges = np.concatenate([[0], np.flatnonzero(np.diff(labels)) + 1, [len(labels)]])
    return np.stack([evaluate(steps, position, nodes, update, int(a), int(b))[1] for a, b in pairwise(edges)])
