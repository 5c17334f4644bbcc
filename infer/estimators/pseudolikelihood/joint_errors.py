"""Standard errors of symmetric couplings that are fitted by all nodes together."""

from __future__ import annotations

from typing import Any

import numpy as np

from infer.estimators.batch_errors import RowBatches, growth, symmetric_errors
from infer.estimators.columns import VaryingSpins
from infer.estimators.rows import SpinRows
from infer.types import FloatArray
from simulate.threads import one_blas_thread

MOST_JOINT = 200  # spins with errors: curvatures take n_rows n_spins^3 steps
ROWS = (4000, 20_000)  # of curvatures: 20 for each spin within these bounds


def joint_errors(
    samples: VaryingSpins, couplings: FloatArray, fields: FloatArray, ridge: float, n_jobs: int | None
) -> dict[str, Any]:
    """Standard errors of a joint fit: the sandwich formula for symmetric couplings.

    Parameters
    ----------
    samples : VaryingSpins
    couplings : ndarray (n_varying, n_varying)
    fields : ndarray (n_varying,)
    ridge : float
        Penalty of each node.
    n_jobs : int or None

    Returns
    -------
    dict
        Keywords of `Fit`; empty for blocks of Dask arrays and for more than `MOST_JOINT` spins.
    """
    n = samples.n_varying
    if n > MOST_JOINT or n < 2 or samples.samples.blocks:
        return {}
    batches = RowBatches.of(samples.samples)
    if batches is None:  # a single batch has no variance
        return {"couplings_std": np.full((n, n), np.nan), "fields_std": np.full(n, np.nan)}
    with one_blas_thread():
        rows = samples.ordered_rows(n_jobs)
        found = list(rows.hessians(couplings, fields, int(np.clip(20 * n, *ROWS))))
        roots = gradient_roots(rows, batches, couplings, fields)
        std, fields_std = symmetric_errors(
            np.stack([matrix for _, matrix, _ in found]), roots, samples.fit_fields, 2.0 * ridge
        )
    n_averaged = found[0][2] or np.inf
    factor = (1.0 - (n + 1) / n_averaged) * growth((n + 1) // 2, samples.n_samples / batches.time)
    freedom, time = batches.degrees_of_freedom, batches.time
    return {"couplings_std": factor * std, "fields_std": factor * fields_std, "freedom": freedom, "time": time}


def gradient_roots(rows: SpinRows, batches: RowBatches, couplings: FloatArray, fields: FloatArray) -> FloatArray:
    """Roots of the covariance of all nodes' gradients ``<(tanh(h_u) - s_u) (s, 1)>``, (n_roots, n_spins, n_spins + 1).

    Parameters
    ----------
    rows : SpinRows
        Rows in the order of the batches.
    batches : RowBatches
    couplings : ndarray (n_spins, n_spins)
    fields : ndarray (n_spins,)

    Returns
    -------
    ndarray
    """

    def sums(part: slice, weights: FloatArray) -> FloatArray:
        chunk = rows.chunk(part, np.float64)
        residuals = (np.tanh(chunk @ couplings.T + fields) - chunk) * weights[:, None]
        return np.column_stack([residuals.T @ chunk, residuals.sum(axis=0)])

    return np.stack(list(batches.roots(sums)))
