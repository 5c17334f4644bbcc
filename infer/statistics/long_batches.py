"""Long-run covariances of rows that remember for long, by slow waves over batches, and the worth of such rows."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from infer.statistics.batches import batch_labels, batch_roots, chain_slices
from infer.types import FloatArray, IntArray

__all__ = ["LongBatches", "batch_times", "long_batch_labels", "long_batches", "slow_waves"]

FEWEST_BATCHES = 20
"""Batches that are not made fewer for the sake of length: a standard error from 20 is known to 16 %."""

FEWEST_WAVES = 12  # a standard error from 12 is known to 20 %, which Student's t takes into account
TIMES_PER_BATCH = 10.0  # autocorrelation times: batch means then lose 5 % of the variance
MOST_COLUMNS = 64  # whose autocorrelation times are looked at
MOST_ROWS = 20_000  # of them, evenly spaced
ALIKE = 2.0  # rows that one is worth, below which rows count as independent: above the scatter of the estimate
BATCHES_PER_CHAIN = 4.0  # needed at least to measure times inside chains


@dataclass(frozen=True, eq=False)
class LongBatches:
    """Batches of rows in time order, from which the long-run covariance of a mean follows.

    Parameters
    ----------
    labels : ndarray of int64, shape (n_rows,)
        Batch of each row.
    n_pieces : int, optional
        Number of slow waves, the mean among them, that the sums over batches are projected on; None where batches are
        long against the autocorrelation time, so that their scatter is what is wanted.
    time : float
        Rows that count as one independent row, on average over directions of the rows, at least 1.
    """

    labels: IntArray
    n_pieces: int | None = None
    time: float = 1.0

    def mixing(self, shares: FloatArray, chains: IntArray | None = None) -> FloatArray | None:
        """Waves (n_roots, n_batches) that take sums over batches to a root of the covariance; None for no waves.

        Parameters
        ----------
        shares : ndarray (n_batches,)
            Weight of each batch as a share of the total.
        chains : int array (n_rows,), optional
            The chain of each row.

        Returns
        -------
        ndarray or None
        """
        if self.n_pieces is None:
            return None
        starts = np.concatenate([[0], np.flatnonzero(np.diff(self.labels)) + 1])
        waves = slow_waves(shares, None if chains is None else chains[starts], self.n_pieces)
        return waves if len(waves) else None

    def roots(
        self, contributions: FloatArray, shares: FloatArray, chains: IntArray | None = None
    ) -> tuple[FloatArray, float]:
        """Root of the covariance of a weighted mean, and its degrees of freedom, as from `batch_roots`.

        Parameters
        ----------
        contributions : ndarray (n_batches, ...)
            Weighted sums of the rows of each batch, divided by the total weight.
        shares : ndarray (n_batches,)
            Weight of each batch as a share of the total.
        chains : int array (n_rows,), optional

        Returns
        -------
        roots : ndarray (n_roots, ...)
        degrees_of_freedom : float
        """
        waves = self.mixing(shares, chains)
        if waves is None:
            seen = shares > 0
            return batch_roots(contributions[seen], shares[seen] / shares[seen].sum())
        return np.tensordot(waves, contributions, axes=1), float(len(waves))


def slow_waves(shares: FloatArray, chain_of_batch: IntArray | None, n_pieces: int) -> FloatArray:
    r"""
    Slow waves over batches, whose scatter gives the variance of a mean without the bias of short batches.

    In every chain cosines of the lowest frequencies, :math:`\cos(\pi k (t + 1/2) / n)`, together with differences
    between chains, made orthonormal for the weights of batches and orthogonal to a constant. Means of batches of length
    b lose a share ``tau / (2 b)`` of the variance; the K lowest waves of a record of T autocorrelation times lose
    ``(pi K / (2 T))^2 / 3``, for exponential decay, which is far less for the same degrees of freedom.

    Parameters
    ----------
    shares : ndarray (n_batches,)
        Weight of each batch as a share of the total; batches of weight zero are passed over.
    chain_of_batch : int array (n_batches,), optional
    n_pieces : int
        Number of waves of all chains together, a constant in each among them, divided in proportion to the number of
        their batches.

    Returns
    -------
    ndarray (n_waves, n_batches)
        Products with sums over batches, as shares of the total weight, are independent with the covariance of the mean
        over ``n_waves``, so that their outer squares add up to that covariance.

    References
    ----------
    E. Lazarus, D. J. Lewis, J. H. Stock, M. W. Watson (2018), J. Business & Economic Statistics 36, 541 (cosines with
    quantiles of Student's t); U. K. Mueller (2004), J. Econometrics 122, 107.
    """
    seen = np.flatnonzero(shares > 0)
    chains = np.zeros(len(seen), dtype=np.int64) if chain_of_batch is None else np.asarray(chain_of_batch)[seen]
    pieces = batch_labels(len(seen), chains, int(np.clip(n_pieces, 1, len(seen))))
    columns = [np.ones(len(seen))]
    edges = [0, *(np.flatnonzero(np.diff(chains)) + 1).tolist(), len(seen)]
    for number, (first, last) in enumerate(pairwise(edges)):
        for k in range(0 if number else 1, int(pieces[last - 1] - pieces[first]) + 1):
            column = np.zeros(len(seen))
            column[first:last] = np.cos(np.pi * k * (np.arange(last - first) + 0.5) / (last - first))
            columns.append(column)
    root = np.sqrt(shares[seen])
    waves = np.linalg.qr(root[:, None] * np.stack(columns, axis=1))[0][:, 1:] / root[:, None]
    found = np.zeros((waves.shape[1], len(shares)))
    found[:, seen] = waves.T / np.sqrt(max(waves.shape[1], 1))
    return found


def batch_times(
    values: np.ndarray, labels: np.ndarray, sample_weight: np.ndarray | None = None, chains: np.ndarray | None = None
) -> np.ndarray:
    """
    Autocorrelation times of columns in rows, from the scatter of batch means: without Fourier transforms or copies.

    The variance of batch means times their length over the variance of rows, and ``1 + 2 r`` times that for a positive
    correlation r of successive batches, which takes off most of what is missing where batches are short.

    Parameters
    ----------
    values : array (n_rows, k)
    labels : int array (n_rows,)
        Batch of each row, as given by `batch_labels`.
    sample_weight : array (n_rows,), optional
    chains : int array (n_rows,), optional

    Returns
    -------
    float64 array (k,)
        1 for columns that do not vary, and where fewer than two batches have weight.
    """
    starts = np.concatenate([[0], np.flatnonzero(np.diff(labels)) + 1])
    weights = np.add.reduceat(np.ones(len(labels)) if sample_weight is None else sample_weight, starts)
    times = np.ones(values.shape[1])
    seen = weights > 0
    if np.count_nonzero(seen) < 2:
        return times
    shares = weights / weights.sum()
    same = np.ones(len(starts) - 1, dtype=bool) if chains is None else chains[starts[1:]] == chains[starts[:-1]]
    for k, column in enumerate(values.T):
        weighted = np.ascontiguousarray(column) if sample_weight is None else column * sample_weight
        sums = np.add.reduceat(weighted, starts, dtype=np.float64) / weights.sum()
        mean = sums.sum()
        square = float(np.dot(weighted.astype(np.float64), column)) / weights.sum()
        variance = square - mean**2
        if not variance > 1e-12 * max(square, 1e-300):
            continue
        roots = batch_roots(sums[:, None], shares)[0][:, 0]
        spread = float(np.sum(roots**2))
        following = float(np.sum((roots[:-1] * roots[1:])[same])) / max(spread, 1e-300)
        times[k] = len(labels) * spread / variance * (1.0 + 2.0 * max(following, 0.0))
    return times


def long_batch_labels(
    values: np.ndarray, chains: np.ndarray | None = None, sample_weight: np.ndarray | None = None
) -> np.ndarray:
    """
    Batches as of `batch_labels`, fewer and longer where rows remember for long.

    Batch means of length b lose a share of about ``tau / (2 b)`` of the variance of a quantity with autocorrelation
    time tau. Batches are ten times as long as the slowest tenth of the columns remembers, as long as that leaves 20.

    Parameters
    ----------
    values : array (n_rows, k)
        Such as spins in time order.
    chains : int array (n_rows,), optional
    sample_weight : array (n_rows,), optional

    Returns
    -------
    int64 array (n_rows,)
    """
    n_rows = len(values)
    labels = batch_labels(n_rows, chains)
    n_batches = int(labels[-1]) + 1
    if n_batches <= FEWEST_BATCHES:
        return labels
    # rows left out can only make the time, in rows of the others, look longer
    some = slice(None, None, -(-n_rows // MOST_ROWS))
    columns = np.asarray(values[some, :: -(-values.shape[1] // MOST_COLUMNS)])
    weight = None if sample_weight is None else sample_weight[some]
    time = float(np.quantile(batch_times(columns, labels[some], weight, None if chains is None else chains[some]), 0.9))
    wanted = int(len(columns) / (TIMES_PER_BATCH * max(time, 1.0)))
    return labels if wanted >= n_batches else batch_labels(n_rows, chains, max(wanted, FEWEST_BATCHES))


def long_batches(
    values: np.ndarray, chains: np.ndarray | None = None, sample_weight: np.ndarray | None = None
) -> LongBatches:
    """
    Batches as of `batch_labels`, with slow waves over them where rows remember for long.

    There are as many waves as batches of ten autocorrelation times of the slowest tenth of the columns, at least 12,
    and at most half as many as batches, so that the waves are slow against the length of a batch. Where that leaves
    one for each chain or less, batches are whole chains.

    Parameters
    ----------
    values : array (n_rows, k)
        Such as spins in time order.
    chains : int array (n_rows,), optional
    sample_weight : array (n_rows,), optional

    Returns
    -------
    LongBatches
    """
    n_rows = len(values)
    labels = batch_labels(n_rows, chains)
    n_batches = int(labels[-1]) + 1
    if n_batches <= FEWEST_BATCHES:  # too few to tell how long rows remember
        return LongBatches(labels)
    some = slice(None, None, -(-n_rows // MOST_ROWS))
    columns = np.asarray(values[some, :: -(-values.shape[1] // MOST_COLUMNS)])
    weight = None if sample_weight is None else sample_weight[some]
    chain = None if chains is None else np.asarray(chains)[some]
    time = time_of_directions(columns, labels[some], weight, chain) * (n_rows / len(columns))
    time = time if time > ALIKE else 1.0
    slow = float(np.quantile(batch_times(columns, labels[some], weight, chain), 0.9))
    wanted = int(len(columns) / (TIMES_PER_BATCH * max(slow, 1.0)))
    if wanted >= n_batches:
        return LongBatches(labels, None, time)
    n_pieces = int(np.clip(wanted, FEWEST_WAVES, n_batches // 2))
    if chains is not None and n_pieces <= len(chain_slices(n_rows, chains)):
        return LongBatches(batch_labels(n_rows, chains, 1), None, time)
    return LongBatches(labels, n_pieces, time)


def time_of_directions(
    values: np.ndarray, labels: np.ndarray, sample_weight: np.ndarray | None = None, chains: np.ndarray | None = None
) -> float:
    """
    Autocorrelation time inside chains, in rows, on average over the directions in which rows vary.

    A few slow directions that all columns have in common, such as the overlap with a pattern, count as a few. Rows are
    taken about the mean of their chain. 1 where chains are too short to tell, or nothing varies.

    Parameters
    ----------
    values : array (n_rows, k)
    labels : int array (n_rows,)
    sample_weight : array (n_rows,), optional
    chains : int array (n_rows,), optional

    Returns
    -------
    float
    """
    chain = np.zeros(len(values), dtype=np.int64) if chains is None else np.unique(chains, return_inverse=True)[1]
    n_chains, n_batches = int(chain.max()) + 1, len(np.unique(labels))
    if n_batches < BATCHES_PER_CHAIN * n_chains:
        return 1.0
    weight = np.ones(len(values)) if sample_weight is None else np.asarray(sample_weight, dtype=np.float64)
    total = np.maximum(np.bincount(chain, weights=weight), 1e-300)
    centred = np.empty(values.shape)
    for k, column in enumerate(values.T):
        centred[:, k] = column - (np.bincount(chain, weights=weight * column) / total)[chain]
    size, vectors = np.linalg.eigh((centred * weight[:, None]).T @ centred / weight.sum())
    kept = size > 1e-6 * max(size[-1], 1e-300)
    if not kept.any():
        return 1.0
    times = batch_times(centred @ vectors[:, kept], labels, sample_weight, chains)
    return float(np.mean(times)) * (n_batches - 1.0) / (n_batches - n_chains)
