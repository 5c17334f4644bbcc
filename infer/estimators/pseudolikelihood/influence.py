"""How much each batch of samples moves node-wise estimates: the sandwich formula, one factor for each batch."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import LinAlgError, cho_factor, cho_solve

from infer.estimators.rows import SpinRows
from infer.statistics.batches import batch_roots
from infer.statistics.uncertainty import batch_labels

INDEPENDENT_BATCHES = 200  # for rows without time order: standard errors carry a relative error of 1 / sqrt(2 x 200)
HESSIAN_ROWS = (4000, 20_000)  # samples used for a node's Hessian: 20 per spin within these bounds


@dataclass(frozen=True)
class Influence:
    """First-order change of couplings and fields due to each batch of samples, as a root of their covariance.

    Changes are centred and scaled so that the sum of their outer squares over batches is the covariance.
    """

    couplings: NDArray[np.float32]  # (n_batches, n_spins, n_spins), symmetric
    fields: NDArray[np.float32]  # (n_batches, n_spins)
    independent: bool  # rows carry random signs, so batches are not centred
    constant: NDArray[np.intp]
    degrees_of_freedom: float  # of the standard errors

    def std(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Standard errors of couplings and fields."""
        couplings, fields = (
            np.sqrt((values.astype(np.float64) ** 2).sum(axis=0)) for values in (self.couplings, self.fields)
        )
        if len(self.constant):
            couplings[self.constant] = couplings[:, self.constant] = fields[self.constant] = np.nan
        np.fill_diagonal(couplings, 0.0)
        return couplings, fields

    def draw_multipliers(self, n_replicates: int, rng: np.random.RandomState) -> NDArray[np.float64]:
        """How much each batch counts more than once in each replicate (n_replicates, n_batches)."""
        n_batches = len(self.couplings)
        if self.independent:
            return rng.standard_normal((n_replicates, n_batches))
        counts = rng.multinomial(n_batches, np.full(n_batches, 1.0 / n_batches), size=n_replicates)
        return np.asarray(counts - 1.0)


def batch_influence(
    rows: SpinRows,
    couplings: NDArray,
    fields: NDArray,
    weight: NDArray | None,
    n_samples: float,
    chains: NDArray | None,
    varying: NDArray,
    ridge: float,
    fit_fields: bool,
    sparse: bool = False,
) -> Influence:
    """Influence of batches of rows on symmetrised node-wise estimates (the sandwich formula, one factor per batch).

    A batch ``b`` of rows moves the estimate of node ``r`` by ``-H_r^-1 g_br``, with ``g_br`` its share of the gradient
    and ``H_r`` the Hessian (from at most 20 000 random rows, debiased for their number). The variance over batches long
    enough to be independent is the variance of the estimate, whatever the correlations within them. It is NaN where
    fewer than two batches have weight. ``sparse`` keeps couplings at zero that are zero.

    Weighted rows of chains weigh their batch, and only ratios of weights matter. Weighted rows without chains are
    ``n_samples`` independent samples altogether, of which each row is its share.
    """
    n_rows, n_spins = rows.n_rows, len(couplings)
    independent = weight is not None and chains is None
    labels = batch_labels(n_rows, chains, min(INDEPENDENT_BATCHES, n_rows) if independent else None)
    sign = None
    if weight is not None and independent:
        # random signs make rows independent, and the root makes a row count as so many samples
        counts = np.where(weight > 0, weight, 1.0) * (n_samples / weight.sum())
        sign = np.random.default_rng(0).choice([-1.0, 1.0], size=n_rows) / np.sqrt(counts)
    row_couplings = couplings[np.ix_(varying, varying)]
    gradients = rows.batch_gradients(row_couplings, fields[varying], labels, sign)
    batch_weights = np.bincount(labels, weights=weight).astype(np.float64)
    seen = batch_weights > 0
    if not seen.all():  # nothing was observed there
        gradients, batch_weights = gradients[seen], batch_weights[seen]
    determined = len(gradients) > 1  # a single batch does not scatter
    degrees_of_freedom = float(len(gradients))
    if not independent and determined:
        gradients, degrees_of_freedom = batch_roots(gradients, batch_weights / batch_weights.sum())
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
        change = np.full((len(gradients), len(others)), np.nan)
        if determined:
            with suppress(LinAlgError):  # flat in some direction: the samples do not tell the couplings
                change = -debias * cho_solve(cho_factor(matrix), gradients[:, node, others].T.astype(np.float64)).T
        partners = others[others < len(varying)]
        coupling_change[:, varying[node], varying[partners]] = change[:, : len(partners)]
        if fit_fields:
            field_change[:, varying[node]] = change[:, -1]
    coupling_change += coupling_change.transpose(0, 2, 1).copy()
    coupling_change *= 0.5
    constant = np.setdiff1d(np.arange(n_spins), varying)
    return Influence(coupling_change, field_change, independent, constant, degrees_of_freedom)
