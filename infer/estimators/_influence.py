"""Error bars of node-wise estimates: how much each batch of samples moves them (sandwich formula by batch means)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import LinAlgError, cho_factor, cho_solve

from infer.estimators._products import SpinRows
from infer.uncertainty import batch_labels

INDEPENDENT_BATCHES = 200  # for rows without time order: standard errors carry a relative error of 1 / sqrt(2 x 200)
HESSIAN_ROWS = (4000, 20_000)  # samples used for a node's Hessian: 20 per spin within these bounds


@dataclass(frozen=True)
class Influence:
    """First-order change of couplings and fields due to each batch of samples."""

    couplings: NDArray[np.float32]  # (n_batches, n_spins, n_spins), symmetric
    fields: NDArray[np.float32]  # (n_batches, n_spins)
    independent: bool  # rows carry random signs, so batches are not centred
    constant: NDArray[np.intp]

    def std(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Standard errors of couplings and fields."""
        out = []
        for values in (self.couplings, self.fields):
            values = values.astype(np.float64)
            n_batches = len(values)
            if self.independent:
                variance = (values**2).sum(axis=0)
            else:
                variance = values.var(axis=0) * n_batches**2 / max(n_batches - 1, 1)
            out.append(np.sqrt(variance))
        couplings, fields = out
        if len(self.constant):
            couplings[self.constant] = couplings[:, self.constant] = fields[self.constant] = np.nan
        np.fill_diagonal(couplings, 0.0)
        return couplings, fields

    def draw_multipliers(self, n_replicates: int, rng: np.random.RandomState) -> NDArray[np.float64]:
        """How much each batch counts more than once in each replicate (n_replicates, n_batches)."""
        n_batches = len(self.couplings)
        if self.independent:
            return rng.standard_normal((n_replicates, n_batches))
        # drawn counts spread by (n - 1) / n too little
        counts = rng.multinomial(n_batches, np.full(n_batches, 1.0 / n_batches), size=n_replicates)
        return (counts - 1.0) * np.sqrt(n_batches / max(n_batches - 1, 1))


def batch_influence(
    spins: NDArray[np.int8],
    couplings: NDArray,
    fields: NDArray,
    weight: NDArray | None,
    chains: NDArray | None,
    varying: NDArray,
    ridge: float,
    fit_fields: bool,
    sparse: bool = False,
    n_jobs: int | None = 1,
) -> Influence:
    """Influence of batches of rows on symmetrised node-wise estimates (the sandwich formula, one factor per batch).

    A batch ``b`` of rows moves the estimate of node ``r`` by ``-H_r^-1 g_br``, with ``g_br`` its share of the gradient
    and ``H_r`` the Hessian (from at most 20 000 random rows, debiased for their number). The variance over batches long
    enough to be independent is the variance of the estimate, whatever the correlations within them. ``sparse`` keeps
    couplings at zero that are zero.
    """
    n_rows, n_spins = spins.shape
    independent = weight is not None and chains is None
    sign = None
    if weight is not None and chains is None:
        # random signs make rows independent, and the root makes a weight count as so many repeats of a row
        labels = batch_labels(n_rows, None, min(INDEPENDENT_BATCHES, n_rows))
        sign = np.random.default_rng(0).choice([-1.0, 1.0], size=n_rows) / np.sqrt(np.where(weight > 0, weight, 1.0))
    else:
        labels = batch_labels(n_rows, chains)
    rows = SpinRows(spins, weight, varying, n_jobs)
    row_couplings = couplings[np.ix_(varying, varying)]
    gradients = rows.batch_gradients(row_couplings, fields[varying], labels, sign)
    coupling_change = np.zeros((len(gradients), n_spins, n_spins), dtype=np.float32)
    field_change = np.zeros((len(gradients), n_spins), dtype=np.float32)
    n_used = int(np.clip(20 * len(varying), *HESSIAN_ROWS))
    for node, hessian, n_hessian in rows.hessians(row_couplings, fields[varying], n_used):
        moving = np.append(row_couplings[node] != 0 if sparse else np.ones(len(varying), dtype=bool), fit_fields)
        moving[node] = False
        others = np.flatnonzero(moving)
        if not len(others):
            continue
        matrix = hessian[np.ix_(others, others)]
        penalty = np.where(others < len(varying), ridge, 0.0)
        matrix[np.diag_indices_from(matrix)] += penalty + max(1e-10 * np.trace(matrix) / len(others), 1e-300)
        # the inverse of a matrix estimated from n rows is too large by n / (n - parameters - 1)
        debias = 1.0 if n_hessian is None else max(1.0 - (len(others) + 1) / n_hessian, 0.1)
        try:
            change = -debias * cho_solve(cho_factor(matrix), gradients[:, node, others].T.astype(np.float64)).T
        except LinAlgError:  # flat in some direction: the samples do not tell the couplings, so no error is finite
            change = np.full((len(gradients), len(others)), np.nan)
        partners = others[others < len(varying)]
        coupling_change[:, varying[node], varying[partners]] = change[:, : len(partners)]
        if fit_fields:
            field_change[:, varying[node]] = change[:, -1]
    coupling_change += coupling_change.transpose(0, 2, 1).copy()
    coupling_change *= 0.5
    constant = np.setdiff1d(np.arange(n_spins), varying)
    return Influence(coupling_change, field_change, independent, constant)
