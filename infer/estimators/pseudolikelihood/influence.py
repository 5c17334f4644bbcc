"""Influence of each batch of samples on node-wise estimates: the sandwich formula, one factor for each batch."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import eigh, eigvalsh
from scipy.linalg.lapack import dpocon, dpotrf, dpotri, dpotrs

from infer.estimators.rows import SpinRows
from infer.statistics.batches import batch_labels
from infer.statistics.long_batches import LongBatches

INDEPENDENT_BATCHES = 200  # for rows without time order: standard errors carry a relative error of 1 / sqrt(2 x 200)
METRIC_ROWS = 5000  # samples on which the metric shared by all nodes is compared with their Hessians
MOST_CORRECTION = 0.15  # of the shared metric, beyond which a node gets its own Hessian
LEAST_EIGENVALUE = 1e-4  # of second moments, below which the shared metric is not used
RANK = 5e-7  # of a Hessian's largest eigenvalue, below which another is zero: rounding of single precision
OPEN = 1e-4  # square of a parameter's part in directions of such eigenvalues, beyond which it is not determined
LARGEST_RIDGE = 0.1  # over the smallest curvature: the weight of a ridge differs between nodes with different sech^2
LEAST_BEND = 0.05  # least factor that the term of rank one leaves of the metric along a node's couplings
LEAST_FREEDOM = 0.25  # smallest ratio (n_samples - n_parameters) / n_samples that is used
HESSIAN_ROWS = (4000, 20_000)  # samples used for a node's Hessian: 20 per spin within these bounds
HESSIAN_PRODUCTS = 300_000  # spins times samples that take little time: with few spins more samples are used


@dataclass(frozen=True)
class Influence:
    """First-order change of couplings and fields due to each batch of samples, as a root of their covariance.

    Changes are centred and scaled so that the sum of their outer products with themselves is the covariance.
    """

    couplings: NDArray[np.float32]  # (n_batches, n_spins, n_spins), symmetric
    fields: NDArray[np.float32]  # (n_batches, n_spins)
    independent: bool  # changes are independent of each other: random signs of rows, or slow waves over batches
    constant: NDArray[np.intp]
    degrees_of_freedom: float  # of the standard errors
    time: float = 1.0  # rows that count as one independent row

    def std(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Standard errors of couplings and fields."""
        couplings, fields = np.zeros(self.couplings.shape[1:]), np.zeros(self.fields.shape[1:])
        for coupling_change, field_change in zip(self.couplings, self.fields, strict=True):
            couplings += coupling_change.astype(np.float64) ** 2
            fields += field_change.astype(np.float64) ** 2
        couplings, fields = np.sqrt(couplings), np.sqrt(fields)
        if len(self.constant):
            couplings[self.constant] = couplings[:, self.constant] = fields[self.constant] = np.nan
        np.fill_diagonal(couplings, 0.0)
        return couplings, fields

    def draw_multipliers(self, n_replicates: int, rng: np.random.RandomState) -> NDArray[np.float64]:
        """Weight of each batch in each replicate, less one, (n_replicates, n_batches)."""
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
    and ``H_r`` the Hessian: the solver's metric, corrected on 5000 rows, or, where it is far from the Hessian, the
    Hessian itself (from at most 20 000 random rows, debiased for their number). The variance over batches long enough
    to be independent, or of slow waves over batches where they are not, is the variance of the estimate, for any
    correlations within them. Since residuals of a fit with ``p`` parameters are too small, changes are multiplied by
    the root of ``n / (n - p)``, n the number of independent rows. The variance is NaN where fewer than two batches have
    weight. ``sparse`` keeps couplings at zero that are zero.

    For weighted rows of chains, batches are weighted and only ratios of weights matter. Weighted rows without chains
    are ``n_samples`` independent samples in total, divided in proportion to the weights.
    """
    n_rows, n_spins = rows.n_rows, len(couplings)
    independent = weight is not None and chains is None
    if independent:
        batches = LongBatches(batch_labels(n_rows, chains, min(INDEPENDENT_BATCHES, n_rows)))
    else:
        batches = rows.batches(chains)
    labels = batches.labels
    sign = None
    if weight is not None and independent:
        # random signs make rows independent, and the root gives each row its number of samples
        counts = np.where(weight > 0, weight, 1.0) * (n_samples / weight.sum())
        sign = np.random.default_rng(0).choice([-1.0, 1.0], size=n_rows) / np.sqrt(counts)
    row_couplings = couplings[np.ix_(varying, varying)]
    gradients = rows.batch_gradients(row_couplings, fields[varying], labels, sign)
    batch_weights = np.bincount(labels, weights=weight).astype(np.float64)
    waves = batches.mixing(batch_weights / batch_weights.sum(), chains)
    if waves is not None:
        for gradient in np.moveaxis(gradients, 1, 0):  # node by node and in place, since gradients may be large
            gradient[: len(waves)] = np.tensordot(waves.astype(np.float32), gradient, axes=1)
        gradients = gradients[: len(waves)]
    seen = batch_weights > 0
    if waves is None and not seen.all():  # nothing was observed there
        gradients, batch_weights = gradients[seen], batch_weights[seen]
    determined = len(gradients) > 1  # a single batch has no variance
    degrees_of_freedom = float(len(gradients))
    if not independent and determined and waves is None:
        degrees_of_freedom = _centre(gradients, batch_weights / batch_weights.sum())
    if determined:
        here = fields[varying]
        metric = None if sparse else _shared_metric(rows, row_couplings, here, ridge, fit_fields)
        left = np.arange(len(varying)) if metric is None else metric.poor()
        _apply_hessians(rows, row_couplings, here, ridge, fit_fields, sparse, left, gradients)
        if metric is not None:
            metric.apply(gradients, left)
        bias = _bias(rows, ridge, n_samples / batches.time, row_couplings, sparse)
    else:
        gradients[:] = np.nan
        bias = np.ones(len(varying))
    signed = independent or waves is not None
    found = _symmetric_influence(gradients, -bias, n_spins, varying, fit_fields, signed, degrees_of_freedom)
    return replace(found, time=batches.time)


def _centre(gradients: NDArray[np.float32], shares: NDArray[np.float64]) -> float:
    """`batch_roots` in place, one batch at a time; the degrees of freedom."""
    concentration = float(np.sum(shares**2))
    total = gradients.sum(axis=0)
    root = np.float32(1.0 / np.sqrt(1.0 - concentration))
    buffer = np.empty_like(total)
    for gradient, share in zip(gradients, shares.astype(np.float32), strict=True):
        np.multiply(total, share, out=buffer)
        gradient -= buffer
        gradient *= root
    return 1.0 / concentration - 1.0


def _symmetric_influence(
    change: NDArray[np.float32],
    factor: NDArray[np.float64],
    n_spins: int,
    varying: NDArray[np.intp],
    fit_fields: bool,
    independent: bool,
    degrees_of_freedom: float,
) -> Influence:
    """Influence on all spins from changes (n_batches, n_varying, n_varying + 1) of nodes and factors of the nodes."""
    n_batches, n_varying, _ = change.shape
    constant = np.setdiff1d(np.arange(n_spins), varying)
    # in place, since the changes may take most of the memory
    coupling_change = change[:, :, :-1]
    if len(constant):
        coupling_change = np.zeros((n_batches, n_spins, n_spins), dtype=np.float32)
    field_change = np.zeros((n_batches, n_spins), dtype=np.float32)
    if fit_fields:
        field_change[:, varying] = change[:, :, -1] * factor
    half = (0.5 * factor).astype(np.float32)[:, None]
    mean = np.empty((n_varying, n_varying), dtype=np.float32)
    for batch in range(n_batches):
        scaled = change[batch, :, :-1]
        scaled *= half
        np.add(scaled, scaled.T, out=mean)
        np.fill_diagonal(mean, 0.0)
        if len(constant):
            coupling_change[batch][np.ix_(varying, varying)] = mean
        else:
            scaled[:] = mean
    return Influence(coupling_change, field_change, independent, constant, degrees_of_freedom)


def _apply_hessians(
    rows: SpinRows,
    couplings: NDArray,
    fields: NDArray,
    ridge: float,
    fit_fields: bool,
    sparse: bool,
    nodes: NDArray[np.intp],
    gradients: NDArray[np.float32],
) -> None:
    """Apply the inverse Hessians of some nodes to their gradients, in place; zero for coordinates held at zero."""
    n_spins = len(couplings)
    n_used = max(int(np.clip(20 * n_spins, *HESSIAN_ROWS)), min(HESSIAN_ROWS[1], HESSIAN_PRODUCTS // max(n_spins, 1)))
    for node, hessian, n_hessian in rows.hessians(couplings, fields, n_used, nodes) if len(nodes) else ():
        moving = np.append(couplings[node] != 0 if sparse else np.ones(n_spins, dtype=bool), fit_fields)
        moving[node] = False
        others = np.flatnonzero(moving)
        right = gradients[:, node, others].T.astype(np.float64)
        gradients[:, node] = 0.0
        if not len(others):
            continue
        matrix = hessian[np.ix_(others, others)]
        penalty = np.where(others < n_spins, ridge, 0.0)
        matrix[np.diag_indices_from(matrix)] += penalty
        # the inverse of a matrix estimated from n rows is too large by n / (n - parameters - 1)
        scale = 1.0 if n_hessian is None else max(1.0 - (len(others) + 1) / n_hessian, 0.1)
        gradients[:, node, others] = scale * solve_determined(matrix, right).T


def solve_determined(matrix: NDArray[np.float64], right: NDArray[np.float64]) -> NDArray[np.float64]:
    """Solve ``matrix @ x = right`` for a symmetric matrix without negative eigenvalues but for rounding.

    Directions whose eigenvalue is zero up to rounding are undetermined; parameters with a component along them are NaN,
    and the others are solved for. LAPACK is called directly, since scipy's functions warn of such matrices.

    Parameters
    ----------
    matrix : ndarray of float64, shape (n, n)
    right : ndarray of float64, shape (n, n_columns)

    Returns
    -------
    ndarray of float64, shape (n, n_columns)
    """
    if not np.isfinite(matrix).all():
        return np.full_like(right, np.nan)
    factor, failed = dpotrf(matrix)
    if not failed and dpocon(factor, np.abs(matrix).sum(axis=0).max())[0] > RANK:
        return np.asarray(dpotrs(factor, right)[0])
    values, vectors = eigh(matrix)
    known = values > RANK * max(values[-1], 0.0)
    basis = vectors[:, known]
    solution = basis @ ((basis.T @ right) / values[known, None])
    solution[(vectors[:, ~known] ** 2).sum(axis=1) > OPEN] = np.nan
    return np.asarray(solution)


def positive_inverse(matrix: NDArray[np.float64]) -> NDArray[np.float64] | None:
    """Inverse of a symmetric matrix; None where it is not positive definite in double precision."""
    factor, failed = dpotrf(matrix)
    if failed:
        return None
    inverse, failed = dpotri(factor, overwrite_c=True)
    if failed or not np.isfinite(inverse).all():
        return None
    upper = np.triu(inverse)
    return np.asarray(upper + np.triu(inverse, 1).T)


def _bias(rows: SpinRows, ridge: float, n_samples: float, couplings: NDArray, sparse: bool) -> NDArray[np.float64]:
    """Factor that corrects errors for the smaller residuals of fitted nodes: root of n / (n - parameters).

    A penalty reduces the effective number of parameters: ``sum_k lambda_k / (lambda_k + ridge)``, over the eigenvalues
    of the second moments.
    """
    n_spins = len(couplings)
    if sparse:
        free = (couplings != 0).sum(axis=1).astype(np.float64)
    else:
        free = np.full(n_spins, n_spins - 1.0)
        if ridge > 0:
            values = np.maximum(eigvalsh(rows.second_moments()[1]), 0.0)
            free *= float(np.mean(values / (values + ridge)))
    return np.sqrt(n_samples / np.maximum(n_samples - free, LEAST_FREEDOM * n_samples))


def _sums(a: NDArray[np.float32], b: NDArray[np.float32], c: NDArray[np.float32]) -> NDArray[np.float64]:
    """Sums of products over rows."""
    product = a * b
    product *= c
    return product.sum(axis=0, dtype=np.float64)


class _SharedMetric:
    """Approximate inverse Hessians of all nodes from one inverse, and their distance from the exact ones.

    The solver's metric ``P_r = a C + b u u^T`` has the second moments ``C`` of all spins and a one (and the ridge over
    the mean ``a`` on their diagonal), ``a = <sech^2(h_r)>``, ``u = C w`` along the node's own couplings and field
    ``w``, and ``b`` such that the curvature along ``w`` is the measured one. Its inverse is

    ``P_r^-1 = (K_r - g w w^T) / a``, ``K_r`` the inverse of ``C`` without row and column ``r``.

    With ``D = H_r - P_r``, ``H_r^-1 = P_r^-1 - P_r^-1 D P_r^-1 + ...``; of the second term the diagonal part is kept:
    ``(H_r^-1 g)_j = (P_r^-1 g)_j / x_rj``, ``x_rj = (P_r^-1 H_r P_r^-1)_jj / (P_r^-1)_jj``.
    """

    def __init__(self, moments: NDArray, inverse: NDArray, position: NDArray, fit_fields: bool) -> None:
        self.moments, self.inverse, self.position = moments, inverse, position
        self.nodes = np.arange(len(position))
        self.fit_fields = fit_fields
        own = inverse[self.nodes, self.nodes]
        self.own_column = inverse[self.nodes] / own[:, None]  # of node r: column r of the inverse over its entry r

    def measure(self, design: NDArray[np.float32], share: NDArray, ridge: float) -> None:
        """Compare with the Hessians of some rows (n_rows, n_spins + 1)."""
        design = design[:, : self.moments.shape[0]]
        local = design @ self.position.T.astype(np.float32)
        sech2 = np.tanh(local)
        np.multiply(sech2, sech2, out=sech2)
        np.subtract(1.0, sech2, out=sech2)
        sech2 *= share.astype(np.float32)[:, None]
        self.scale = sech2.sum(axis=0, dtype=np.float64)
        couplings = self.position[:, : len(self.nodes)]
        stretch = _sums(sech2, local, local) + ridge * np.einsum("rj,rj->r", couplings, couplings)
        spread = np.einsum("rj,rj->r", self.position @ self.moments, self.position)
        bend = (stretch - self.scale * spread) / np.maximum(spread, 1e-12) ** 2 / self.scale
        self.turn = bend / np.maximum(1.0 + bend * spread, LEAST_BEND)
        # the excess of sech^2 over its mean: the mean part is in the second moments of all rows
        excess = sech2
        excess -= np.outer(share, self.scale).astype(np.float32)
        solved = design @ self.inverse.astype(np.float32)
        position, column = self.position, self.own_column
        own = solved[:, self.nodes]
        four, five, six = (_sums(excess, a, b)[:, None] for a, b in ((own, own), (local, local), (local, own)))
        two = (excess * own).T @ solved
        local *= excess
        three = local.T @ solved
        solved *= solved
        one = excess.T @ solved
        turned = self.turn[:, None] * position
        excess_part = one - 2 * column * two + column**2 * four + turned**2 * five - 2 * turned * (three - column * six)
        diagonal = np.diag(self.inverse) - column**2 * self.inverse[self.nodes, self.nodes][:, None]
        rest = diagonal - self.turn[:, None] * position**2
        common = diagonal - 2 * self.turn[:, None] * position**2 + (self.turn**2 * spread)[:, None] * position**2
        with np.errstate(divide="ignore", invalid="ignore"):
            self.ratio = (common + excess_part / self.scale[:, None]) / rest
        self.ratio[self.nodes, self.nodes] = 1.0

    def poor(self) -> NDArray[np.intp]:
        """Nodes whose Hessian is too far from the metric for the correction to be valid."""
        return np.flatnonzero(~(np.abs(self.ratio - 1.0).max(axis=1) <= MOST_CORRECTION))

    def apply(self, gradients: NDArray[np.float32], but: NDArray[np.intp]) -> None:
        """Apply the inverse to gradients (n_batches, n_spins, n_spins + 1) of all nodes but some, in place."""
        size, nodes = self.moments.shape[0], self.nodes
        inverse, column = self.inverse.astype(np.float32), self.own_column.astype(np.float32)
        position = self.position.astype(np.float32)
        turn = self.turn.astype(np.float32)
        factor = (1.0 / (self.scale[:, None] * self.ratio)).astype(np.float32)
        factor[nodes, nodes] = 0.0
        solved, buffer = np.empty_like(position), np.empty_like(position)
        for gradient in gradients:
            kept = gradient[but]
            given = gradient[:, :size]
            given[nodes, nodes] = 0.0
            along = turn * np.einsum("rj,rj->r", given, position)
            np.matmul(given, inverse, out=solved)
            np.multiply(column, solved[nodes, nodes][:, None], out=buffer)
            solved -= buffer
            np.multiply(position, along[:, None], out=buffer)
            solved -= buffer
            np.multiply(solved, factor, out=given)
            gradient[:, size:] = 0.0
            gradient[but] = kept


def _shared_metric(
    rows: SpinRows, couplings: NDArray, fields: NDArray, ridge: float, fit_fields: bool
) -> _SharedMetric | None:
    """The metric of all nodes, measured on some rows; None where second moments are singular or the ridge is large."""
    n_spins = len(couplings)
    if n_spins < 2:
        return None
    mean, second = rows.second_moments()
    size = n_spins + fit_fields
    moments = np.ones((size, size))
    moments[:n_spins, :n_spins] = second
    if fit_fields:
        moments[:n_spins, -1] = moments[-1, :n_spins] = mean
    spins, share, _ = rows.picked(METRIC_ROWS)
    design = np.column_stack([spins, np.ones(len(spins), dtype=np.int8)]).astype(np.float32)
    position = np.column_stack([couplings, fields])
    # the metric has one ridge for all nodes, though each has its own sech^2: the ridge must be small
    typical = float(np.mean(share @ (1.0 - np.tanh(design @ position.T.astype(np.float32)) ** 2)))
    moments[np.arange(n_spins), np.arange(n_spins)] += ridge / max(typical, 1e-12)
    inverse = positive_inverse(moments)
    if inverse is None:
        return None
    lowest = 1.0 / np.abs(inverse).sum(axis=0).max()  # no eigenvalue is smaller
    if not lowest > LEAST_EIGENVALUE or ridge > LARGEST_RIDGE * typical * lowest:
        return None
    metric = _SharedMetric(moments, inverse, position[:, :size], fit_fields)
    metric.measure(design, share, ridge)
    return metric
