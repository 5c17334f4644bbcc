"""Standard errors from batches of rows: first-order change of an estimate with the weight of each batch."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import LinAlgError, cho_factor, cho_solve

from infer.estimators.rows import CHUNK_ROWS, SpinRows
from infer.samples import Samples
from infer.statistics.batches import batch_labels
from infer.statistics.long_batches import LongBatches, long_batches
from infer.types import FloatArray

__all__ = [
    "RowBatches",
    "growth",
    "node_curvatures",
    "pair_errors",
    "screening_errors",
    "screening_roots",
    "symmetric_errors",
]

INDEPENDENT_BATCHES = 200  # for counted rows: standard errors carry a relative error of 1 / sqrt(2 x 200)
CURVATURE_ROWS = (4000, 20_000)  # rows used for the curvatures of a node: 20 per spin, within these bounds
LEAST_FREEDOM = 0.25  # smallest ratio (n_samples - n_parameters) / n_samples that is used
MOST_SPINS = 500  # of joint errors, for which the curvatures of all nodes are kept: 8 n^3 bytes
MOST_PRODUCTS = 1000  # steps of conjugate gradients
ACCURACY = 1e-6  # relative, of the solution by conjugate gradients


@dataclass(frozen=True, eq=False)
class RowBatches:
    """Batches of rows that are nearly independent of each other.

    Rows of a run are divided into batches of successive rows. Weighted rows without runs are independent samples: rows
    are multiplied by random signs and by the root of their number of samples, so that the outer products of batch sums
    add up to the covariance of independent samples on average.

    Parameters
    ----------
    edges : list of int
        First row of each batch, and the number of rows.
    row_shares : ndarray (n_rows,)
        Weight of each row; they add up to one.
    signed_shares : ndarray (n_rows,) or None
        Weight of each row in the sums over batches, where rows are independent.
    waves : ndarray (n_waves, n_batches), optional
        Slow waves that sums over batches are projected on, where rows remember for long.
    time : float
        Rows that count as one independent row.
    """

    edges: list[int]
    row_shares: FloatArray
    signed_shares: FloatArray | None
    waves: FloatArray | None = None
    time: float = 1.0

    @classmethod
    def of(cls, samples: Samples) -> RowBatches | None:
        """Batches of samples; None where fewer than two have weight, so that there is no variance."""
        n_rows, weight, chains = samples.n_rows, samples.weight, samples.chains
        shares = np.full(n_rows, 1.0 / n_rows) if weight is None else weight / weight.sum()
        independent = weight is not None and chains is None
        if independent:
            batches = LongBatches(batch_labels(n_rows, chains, min(INDEPENDENT_BATCHES, n_rows)))
        else:
            batches = long_batches(samples.spins, chains, weight)
        edges = [0, *(np.flatnonzero(np.diff(batches.labels)) + 1).tolist(), n_rows]
        totals = np.add.reduceat(shares, edges[:-1])
        if np.count_nonzero(totals) < 2:
            return None
        signed = None
        if independent:
            signs = np.random.default_rng(0).choice([-1.0, 1.0], size=n_rows)
            signed = signs * np.sqrt(shares / samples.n_samples)
        return cls(edges, shares, signed, batches.mixing(totals, chains), batches.time)

    @property
    def weights(self) -> FloatArray:
        """Sum of the weights of the rows of each batch, as used in the sums."""
        rows = self.row_shares if self.signed_shares is None else self.signed_shares
        return np.add.reduceat(rows, self.edges[:-1])

    @property
    def concentration(self) -> float:
        """Sum of the squared shares of batches, the inverse of their effective number."""
        return float(np.sum(np.add.reduceat(self.row_shares, self.edges[:-1]) ** 2))

    @property
    def degrees_of_freedom(self) -> float:
        """Degrees of freedom of standard errors: effective number of batches, minus one where they are centred."""
        if self.waves is not None:
            return float(len(self.waves))
        return float(len(self.edges) - 1) if self.signed_shares is not None else 1.0 / self.concentration - 1.0

    @property
    def n_roots(self) -> int:
        """Number of roots that `roots` yields."""
        return len(self.edges) - 1 if self.waves is None else len(self.waves)

    def roots(
        self, sums: Callable[[slice, FloatArray], FloatArray], mean: FloatArray | None = None
    ) -> Iterator[FloatArray]:
        """Centred sums of all batches, or of slow waves over them: the sum of their squares is that of the mean.

        Parameters
        ----------
        sums : callable
            Gives the sum of a quantity over a slice of rows with given weights of these rows.
        mean : ndarray, optional
            Mean of that quantity over all rows. Default: it is computed first.

        Yields
        ------
        ndarray
        """
        if mean is None:
            mean = self.mean(sums)
        rows, scale = self.signed_shares, 1.0
        if self.waves is not None:
            total = np.zeros((len(self.waves), *mean.shape))
            for (start, stop), part in zip(pairwise(self.edges), self.waves.T, strict=True):
                total += np.multiply.outer(part, self._over(sums, slice(start, stop), self.row_shares))
            yield from total
            return
        if rows is None:
            rows, scale = self.row_shares, 1.0 / float(np.sqrt(1.0 - self.concentration))
        for (start, stop), weight in zip(pairwise(self.edges), self.weights, strict=True):
            yield scale * (self._over(sums, slice(start, stop), rows) - weight * mean)

    def mean(self, sums: Callable[[slice, FloatArray], FloatArray]) -> FloatArray:
        """Mean over all rows of the quantity that `sums` computes, as in `roots`."""
        return self._over(sums, slice(0, self.edges[-1]), self.row_shares)

    @staticmethod
    def _over(sums: Callable[[slice, FloatArray], FloatArray], batch: slice, weights: FloatArray) -> FloatArray:
        """The sum over a batch, in chunks of rows."""
        parts = [
            slice(start, min(start + CHUNK_ROWS, batch.stop)) for start in range(batch.start, batch.stop, CHUNK_ROWS)
        ]
        total = sums(parts[0], weights[parts[0]])
        for part in parts[1:]:
            total = total + sums(part, weights[part])
        return total


def screening_roots(
    rows: SpinRows, batches: RowBatches, couplings: FloatArray, fields: FloatArray, logarithm: bool = False
) -> NDArray[np.float32]:
    r"""
    Roots of the covariance of the gradients of all screening sums.

    The sum of node u is :math:`\sum_k w_k e^{-m_k}` with margins
    :math:`m_k = s_u (h_u + \sum_i J_{ui} s_i)`; its gradient is :math:`-\sum_k w_k e^{-m_k} s_u (s, 1)`.

    Parameters
    ----------
    rows : SpinRows
        Rows in the order of the batches.
    batches : RowBatches
    couplings : ndarray (n_spins, n_spins)
        Row u belongs to node u; need not be symmetric.
    fields : ndarray (n_spins,)
    logarithm : bool
        Whether gradients are those of the logarithms of the sums.

    Returns
    -------
    ndarray of float32 (n_batches, n_spins, n_spins + 1)
        The derivative by the field is the last column; that by the coupling of a node with itself is not used.
    """
    n = rows.n_spins

    def sums(part: slice, weights: FloatArray) -> FloatArray:
        chunk = rows.chunk(part, np.float64)
        terms = np.exp(-(chunk @ couplings.T + fields) * chunk) * weights[:, None]
        total = np.empty((n, n + 2))
        total[:, n + 1] = terms.sum(axis=0)
        terms *= chunk
        total[:, :n], total[:, n] = -(terms.T @ chunk), -terms.sum(axis=0)
        return total

    mean = batches.mean(sums)
    roots = np.empty((batches.n_roots, n, n + 1), dtype=np.float32)
    for root, found in zip(roots, batches.roots(sums, mean), strict=True):
        if logarithm:
            size = mean[:, n + 1 :]
            root[:] = found[:, : n + 1] / size - mean[:, : n + 1] / size**2 * found[:, n + 1 :]
        else:
            root[:] = found[:, : n + 1]
    return roots


def node_curvatures(
    rows: SpinRows, couplings: FloatArray, fields: FloatArray, logarithm: bool = False
) -> Iterator[tuple[FloatArray, float]]:
    """Second derivatives of the (logarithms of the) screening sums of all nodes, and the number of rows averaged over.

    Parameters
    ----------
    rows : SpinRows
    couplings : ndarray (n_spins, n_spins)
    fields : ndarray (n_spins,)
    logarithm : bool

    Yields
    ------
    curvature : ndarray (n_spins + 1, n_spins + 1)
        Second derivatives by the couplings of the node and its field.
    n_averaged : float
        Effective number of rows where a part of them was drawn; infinite where all rows were used.
    """
    few, many = CURVATURE_ROWS
    spins, share, everything = rows.picked(min(max(20 * rows.n_spins, few), many))
    design = np.column_stack([spins, np.ones(len(spins))]).astype(np.float64)
    for node in range(rows.n_spins):
        own = design[:, node]
        terms = share * np.exp(-own * (design[:, :-1] @ couplings[node] + fields[node]))
        curvature = (design * terms[:, None]).T @ design
        if logarithm:
            size = terms.sum()
            slope = (terms * own) @ design / size
            curvature = curvature / size - np.outer(slope, slope)
        yield curvature, np.inf if everything else float(terms.sum() ** 2 / (terms**2).sum())


def screening_errors(
    rows: SpinRows,
    batches: RowBatches,
    couplings: FloatArray,
    fields: FloatArray,
    free: NDArray[np.bool_],
    n_samples: float,
    logarithm: bool = False,
) -> tuple[FloatArray, FloatArray]:
    """Standard errors of couplings that are fitted node by node and then averaged with their transpose.

    The sandwich formula for each node, conditional on the set of zero couplings. Since the residuals of a fit with p
    parameters are too small, errors are multiplied by the root of ``n_samples / (n_samples - p)``.

    Parameters
    ----------
    rows : SpinRows
        Rows in the order of the batches.
    batches : RowBatches
    couplings : ndarray (n_spins, n_spins)
        Row u as fitted by node u.
    fields : ndarray (n_spins,)
    free : bool array (n_spins, n_spins + 1)
        Couplings and field of each node that are not held at zero.
    n_samples : float
    logarithm : bool
        Whether nodes minimise the logarithms of their sums.

    Returns
    -------
    couplings_std : ndarray (n_spins, n_spins)
        Zero where both nodes hold a coupling at zero; NaN where the samples do not determine it.
    fields_std : ndarray (n_spins,)
    """
    n = rows.n_spins
    roots = screening_roots(rows, batches, couplings, fields, logarithm)
    for node, (curvature, n_averaged) in enumerate(node_curvatures(rows, couplings, fields, logarithm)):
        columns = np.flatnonzero(free[node])
        changes = np.zeros((len(roots), n + 1))
        if len(columns):
            # the inverse of a matrix estimated from m rows is too large by m / (m - parameters - 1)
            factor = (1.0 - (len(columns) + 1) / n_averaged) * growth(len(columns), n_samples / batches.time)
            try:
                solver = cho_factor(curvature[np.ix_(columns, columns)])
                changes[:, columns] = factor * cho_solve(solver, roots[:, node, columns].T.astype(np.float64)).T
            except LinAlgError:  # zero curvature along some direction: the samples do not determine the couplings
                changes[:, columns] = np.nan
        roots[:, node] = changes
    averaged = (roots[:, :, :n] + roots[:, :, :n].transpose(0, 2, 1)) / 2.0
    return _norms(averaged), _norms(roots[:, :, n])


def pair_errors(
    rows: SpinRows,
    batches: RowBatches,
    couplings: FloatArray,
    fields: FloatArray,
    fit_fields: bool,
    ridge: float,
    n_samples: float,
) -> tuple[FloatArray, FloatArray]:
    """Standard errors of symmetric couplings that minimise the sum of all screening sums (the probability flow).

    Parameters
    ----------
    rows : SpinRows
        In the order of the batches; at most `MOST_SPINS` spins.
    batches : RowBatches
    couplings : ndarray (n_spins, n_spins)
        Symmetric.
    fields : ndarray (n_spins,)
    fit_fields : bool
    ridge : float
        Second derivative of the penalty by each coupling.
    n_samples : float

    Returns
    -------
    couplings_std : ndarray (n_spins, n_spins)
    fields_std : ndarray (n_spins,)
        NaN where the samples do not determine them.
    """
    n = rows.n_spins
    found = list(node_curvatures(rows, couplings, fields))
    curvatures = np.stack([curvature for curvature, _ in found])
    n_averaged = min(number for _, number in found)
    del found
    roots = screening_roots(rows, batches, couplings, fields)
    couplings_std, fields_std = symmetric_errors(curvatures, roots, fit_fields, ridge)
    # a coupling appears in the sums of two nodes, a field in one
    factor = (1.0 - (n + 1) / n_averaged) * growth((n + 1) // 2, n_samples / batches.time)
    return factor * couplings_std, factor * fields_std


def symmetric_errors(
    curvatures: FloatArray, roots: NDArray, fit_fields: bool, ridge: float
) -> tuple[FloatArray, FloatArray]:
    """Standard errors of symmetric couplings from curvatures and gradients of all nodes.

    Parameters
    ----------
    curvatures : ndarray (n_spins, n_spins + 1, n_spins + 1)
        Second derivatives of each node's objective by the couplings of the node and its field.
    roots : ndarray (n_roots, n_spins, n_spins + 1)
        Roots of the covariance of the nodes' gradients.
    fit_fields : bool
    ridge : float
        Second derivative of the penalty by each coupling.

    Returns
    -------
    couplings_std : ndarray (n_spins, n_spins)
    fields_std : ndarray (n_spins,)
        NaN where the samples do not determine them.
    """
    n = len(curvatures)
    first, second = np.triu_indices(n, 1)
    n_pairs = len(first)

    def pack(values: NDArray) -> FloatArray:
        pairs = values[first, second] + values[second, first]
        return np.concatenate([pairs, values[:, n]]) if fit_fields else pairs

    def apply(vectors: FloatArray) -> FloatArray:
        values = np.zeros((n, n + 1, vectors.shape[1]))
        values[first, second] = values[second, first] = vectors[:n_pairs]
        if fit_fields:
            values[:, n] = vectors[n_pairs:]
        result = pack(np.matmul(curvatures, values))
        result[:n_pairs] += ridge * vectors[:n_pairs]
        return result

    diagonal = pack(np.einsum("uii->ui", curvatures))
    diagonal[:n_pairs] += ridge
    gradients = pack(roots.transpose(1, 2, 0)).astype(np.float64)
    std = np.sqrt((solve(apply, gradients, diagonal) ** 2).sum(axis=1))
    couplings_std = np.zeros((n, n))
    couplings_std[first, second] = couplings_std[second, first] = std[:n_pairs]
    return couplings_std, std[n_pairs:] if fit_fields else np.zeros(n)


def solve(apply: Callable[[FloatArray], FloatArray], targets: FloatArray, diagonal: FloatArray) -> FloatArray:
    """Solutions of H x = b for several b at once by conjugate gradients, scaled by the diagonal of H.

    Parameters
    ----------
    apply : callable
        Multiplies H with the columns of an array (n, n_targets).
    targets : ndarray (n, n_targets)
    diagonal : ndarray (n,)

    Returns
    -------
    ndarray (n, n_targets)
        NaN where H is singular to rounding: of single unknowns without curvature, or of all.
    """
    flat = diagonal <= np.finfo(np.float64).eps ** 2 * diagonal.max()
    inverse = np.where(flat, 0.0, 1.0 / np.where(flat, 1.0, diagonal))[:, None]
    solution, residual = np.zeros_like(targets), targets.copy()
    scaled = residual * inverse
    search = scaled.copy()
    square = (residual * scaled).sum(axis=0)
    enough = ACCURACY**2 * square
    for _ in range(MOST_PRODUCTS):
        if np.all(square <= enough):
            solution[flat] = np.nan
            return solution
        curved = apply(search)
        curvature = (search * curved).sum(axis=0)
        moving = (square > enough) & (curvature > 0.0)
        if np.any((square > enough) & ~moving):
            break
        length = np.where(moving, square / np.where(moving, curvature, 1.0), 0.0)
        solution += length * search
        residual -= length * curved
        scaled = residual * inverse
        new_square = (residual * scaled).sum(axis=0)
        search = scaled + np.where(moving, new_square / np.where(moving, square, 1.0), 0.0) * search
        square = np.where(moving, new_square, square)
    return np.full_like(targets, np.nan)


def growth(n_parameters: int, n_samples: float) -> float:
    """Factor that corrects errors for the smaller residuals of a fit with this many parameters.

    Parameters
    ----------
    n_parameters : int
    n_samples : float
        Independent ones.

    Returns
    -------
    float
    """
    return float(1.0 / np.sqrt(max(1.0 - n_parameters / n_samples, LEAST_FREEDOM)))


def _norms(roots: NDArray) -> FloatArray:
    """Root of the sum of squares over batches."""
    total = np.zeros(roots.shape[1:])
    for root in roots:
        total += root.astype(np.float64) ** 2
    return np.sqrt(total)
