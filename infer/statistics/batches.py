"""Batches, bootstrap blocks and autocorrelation times of correlated samples.

Rows of a sample come from chains (time-ordered runs) and are correlated in time. Everything here works on contiguous
pieces of chains long enough to be nearly independent, so that standard errors are right for correlated rows too.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from scipy import fft, stats

from simulate.checks import Seed, seed_sequence

MAX_BATCHES = 100
"""Default upper limit of the number of batches: a standard error from 100 is known to 7 %, and batches stay long."""

MIN_BATCH_LENGTH = 2


def chain_slices(n_rows: int, chains: np.ndarray | None = None) -> list[slice]:
    """
    Rows of each chain as slices, in the order of the rows.

    Parameters
    ----------
    n_rows : int
    chains : int array (n_rows,), optional
        The chain that each row belongs to. Rows of one chain follow each other, in time order. None: one chain.

    Returns
    -------
    list of slice

    Raises
    ------
    ValueError
        If `chains` has the wrong length, or the rows of a chain do not follow each other.
    """
    if n_rows < 1:
        raise ValueError(f"there are no rows (n_rows={n_rows})")
    if chains is None:
        return [slice(0, n_rows)]
    chains = np.asarray(chains)
    if chains.shape != (n_rows,):
        raise ValueError(f"chains must hold one label for each of the {n_rows} rows, got shape {chains.shape}")
    starts = np.concatenate([[0], np.flatnonzero(chains[1:] != chains[:-1]) + 1])
    if len(np.unique(chains[starts])) != len(starts):
        labels, seen = np.unique(chains[starts], return_counts=True)
        raise ValueError(f"rows of chain {labels[seen > 1][0]} are not contiguous: sort by chain, keep time order")
    return [slice(int(a), int(b)) for a, b in zip(starts, [*starts[1:], n_rows], strict=True)]


def batch_labels(n_rows: int, chains: np.ndarray | None = None, n_batches: int | None = None) -> np.ndarray:
    """
    Divide rows into contiguous batches of nearly equal length within chains.

    Parameters
    ----------
    n_rows : int
    chains : int array (n_rows,), optional
        The chain that each row belongs to (rows of a chain together, in time order). None: one chain.
    n_batches : int, optional
        Number of batches over all chains, distributed in proportion to the chains' lengths; every chain has at least
        one, so there are never fewer batches than chains. Default: the square root of the number of rows (Flegal and
        Jones 2010), at most 100: few long batches allow longer autocorrelation than many short ones.

    Returns
    -------
    int64 array (n_rows,)
        Batch of each row: 0, 1, ... in the order of the rows, every number used.

    Raises
    ------
    ValueError
        If `n_batches` is less than 1 or more than the number of rows, or `chains` is malformed.

    References
    ----------
    J. M. Flegal, G. L. Jones (2010), Annals of Statistics 38, 1034, arXiv:0811.1729.
    """
    slices = chain_slices(n_rows, chains)
    lengths = np.array([rows.stop - rows.start for rows in slices])
    if n_batches is None:
        n_batches = min(MAX_BATCHES, max(int(np.sqrt(n_rows)), 1))
        most = np.maximum(lengths // MIN_BATCH_LENGTH, 1)
    else:
        if not 1 <= n_batches <= n_rows:
            raise ValueError(f"n_batches must lie between 1 and the number of rows ({n_rows}), got {n_batches}")
        most = lengths
    # one batch for each chain, then repeatedly one more for the chain whose batches are longest
    pieces = np.ones(len(slices), dtype=np.int64)
    queue = [(-float(length), chain) for chain, length in enumerate(lengths) if most[chain] > 1]
    heapq.heapify(queue)
    for _ in range(n_batches - len(slices)):
        if not queue:
            break
        _, chain = heapq.heappop(queue)
        pieces[chain] += 1
        if pieces[chain] < most[chain]:
            heapq.heappush(queue, (-lengths[chain] / pieces[chain], chain))
    labels = np.empty(n_rows, dtype=np.int64)
    first = 0
    for rows, length, n_pieces in zip(slices, lengths, pieces, strict=True):
        labels[rows] = first + (np.arange(length) * n_pieces) // length
        first += int(n_pieces)
    return labels


def batch_sums(
    values: np.ndarray, labels: np.ndarray, sample_weight: np.ndarray | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """
    Weighted sums of rows over batches.

    Parameters
    ----------
    values : array (n_rows,) or (n_rows, k)
    labels : int array (n_rows,)
        Batch of each row, as given by `batch_labels`.
    sample_weight : array (n_rows,), optional

    Returns
    -------
    sums : float64 array (n_batches, k)
    weights : float64 array (n_batches,)
        Sum of the weights (number of rows) in each batch.
    """
    values = np.asarray(values, dtype=np.float64)
    values = values[:, None] if values.ndim == 1 else values
    n_batches = int(labels.max()) + 1
    weights = np.bincount(labels, weights=sample_weight, minlength=n_batches).astype(np.float64)
    weighted = values if sample_weight is None else values * np.asarray(sample_weight, dtype=np.float64)[:, None]
    sums = np.stack([np.bincount(labels, weights=column, minlength=n_batches) for column in weighted.T], axis=1)
    return sums, weights


@dataclass(frozen=True, eq=False)
class LongRunCovariance:
    """
    Mean of correlated rows with its covariance, from batch means.

    Attributes
    ----------
    mean : array (k,)
        Weighted mean of the rows.
    covariance : array (k, k)
        Covariance of that mean (not of a row).
    degrees_of_freedom : float
        Effective number of batches minus one: `(sum w_b)^2 / sum w_b^2 - 1`, `w_b` the weight of batch b. Intervals
        take their quantile from Student's t with this many degrees of freedom.
    n_batches : int
    batch_correlation : float
        Largest correlation, over the k components, between a batch mean and the next one of the same chain (nan where
        no chain has enough batches). Near zero when batches are long against the autocorrelation time; when it is
        clearly positive the covariance is too small.
    total_weight : float
        Sum of the weights (number of rows without weights).
    """

    mean: np.ndarray
    covariance: np.ndarray
    degrees_of_freedom: float
    n_batches: int
    batch_correlation: float
    total_weight: float

    @property
    def std(self) -> np.ndarray:
        """Standard error of the mean, (k,)."""
        return np.sqrt(np.diag(self.covariance))

    @property
    def long_run(self) -> np.ndarray:
        """Long-run covariance per row, `total_weight * covariance`, (k, k)."""
        return self.total_weight * self.covariance

    def quantile(self, confidence: float = 0.95) -> float:
        """Half-width, in standard errors, of a two-sided interval of this confidence."""
        return student_quantile(confidence, self.degrees_of_freedom)


def student_quantile(confidence: float, degrees_of_freedom: float) -> float:
    """
    Half-width, in standard errors, of a two-sided interval: Student's t quantile at `(1 + confidence) / 2`.

    Raises
    ------
    ValueError
        If `confidence` is not between 0 and 1 (both excluded).
    """
    if not 0.0 < confidence < 1.0:
        raise ValueError(f"confidence must lie between 0 and 1, for example 0.95, got {confidence}")
    return float(stats.t.ppf(0.5 + confidence / 2.0, degrees_of_freedom))


def batch_means_covariance(
    values: np.ndarray,
    labels: np.ndarray,
    sample_weight: np.ndarray | None = None,
    chains: np.ndarray | None = None,
) -> LongRunCovariance:
    """
    Covariance of the mean of correlated rows from the scatter of batch means.

    With batch sums `S_b = sum_{t in b} w_t x_t`, weights `w_b` and the mean `x = sum_b S_b / W`, `W = sum_b w_b`::

        cov(x) = 1 / W^2 * sum_b (S_b - w_b x)(S_b - w_b x)^T / (1 - sum_b w_b^2 / W^2)

    which is unbiased when batches are independent, for batches of unequal length too. Differences between chains
    are included: their batches scatter around the common mean.

    Parameters
    ----------
    values : array (n_rows,) or (n_rows, k)
        For example the rows themselves, or the influence of each row on an estimate.
    labels : int array (n_rows,)
        Batch of each row, as given by `batch_labels`.
    sample_weight : array (n_rows,), optional
        Relative weights; only their ratios matter for the covariance.
    chains : int array (n_rows,), optional
        The chain of each row; pairs of batches of different chains are left out of `batch_correlation`.

    Returns
    -------
    LongRunCovariance

    Raises
    ------
    ValueError
        If there are fewer than two batches with weight.

    References
    ----------
    Flegal and Jones (2010), arXiv:0811.1729; Vats, Flegal, Jones (2019), Biometrika 106, 321, arXiv:1512.07713.
    """
    labels = np.asarray(labels)
    sums, weights = batch_sums(values, labels, sample_weight)
    chain_of_batch = None
    if chains is not None:
        chain_of_batch = np.asarray(chains)[np.unique(labels, return_index=True)[1]]
    return covariance_from_batches(sums, weights, chain_of_batch)


def covariance_from_batches(
    sums: np.ndarray, weights: np.ndarray, chain_of_batch: np.ndarray | None = None
) -> LongRunCovariance:
    """
    As `batch_means_covariance`, from the sums over batches, so that rows need not be held in memory.

    Parameters
    ----------
    sums : array (n_batches, k)
        Weighted sums of the rows of each batch.
    weights : array (n_batches,)
        Sums of the weights of each batch.
    chain_of_batch : int array (n_batches,), optional

    Returns
    -------
    LongRunCovariance

    Raises
    ------
    ValueError
        If there are fewer than two batches with weight.
    """
    total = float(weights.sum())
    if np.count_nonzero(weights) < 2:
        raise ValueError("at least two batches with weight are needed for a standard error: give more rows")
    roots, degrees_of_freedom = batch_roots(sums / total, weights / total)
    return LongRunCovariance(
        mean=sums.sum(axis=0) / total,
        covariance=roots.T @ roots,
        degrees_of_freedom=degrees_of_freedom,
        n_batches=len(weights),
        batch_correlation=_batch_correlation(roots, chain_of_batch),
        total_weight=total,
    )


def batch_roots(contributions: np.ndarray, shares: np.ndarray) -> tuple[np.ndarray, float]:
    """
    Contributions of batches to a weighted mean, centred and scaled to a root of the covariance of that mean.

    Parameters
    ----------
    contributions : array (n_batches, ...)
        Weighted sums of the rows of each batch, divided by the total weight, so that they add up to the mean.
    shares : array (n_batches,)
        Weight of each batch as a share of the total, at least two of them positive.

    Returns
    -------
    roots : array (n_batches, ...)
        The sum of their outer squares is the covariance of `batch_means_covariance`.
    degrees_of_freedom : float
        As in `LongRunCovariance`.
    """
    concentration = float(np.sum(shares**2))
    expected = np.multiply.outer(shares.astype(contributions.dtype), contributions.sum(axis=0))
    return (contributions - expected) / float(np.sqrt(1.0 - concentration)), 1.0 / concentration - 1.0


def _batch_correlation(deviations: np.ndarray, chain_of_batch: np.ndarray | None) -> float:
    """Largest correlation over the components between successive batches of a chain; nan below eight pairs."""
    before, after = deviations[:-1], deviations[1:]
    if chain_of_batch is not None:
        same = chain_of_batch[1:] == chain_of_batch[:-1]
        before, after = before[same], after[same]
    variance = np.mean(deviations**2, axis=0)
    if len(before) < 8 or not np.all(variance > 0.0):
        return float("nan")
    return float(np.max(np.mean(before * after, axis=0) / variance))


def block_bootstrap_indices(
    n_rows: int,
    chains: np.ndarray | None = None,
    *,
    n_replicates: int = 1,
    block_length: int | None = None,
    seed: Seed = None,
) -> Iterator[np.ndarray]:
    """
    Row indices of circular block bootstrap replicates; blocks stay inside their chain.

    Every replicate keeps the length of every chain: for each chain it joins blocks of `block_length` successive rows
    with random starts in the chain. A block that reaches the end of the chain continues at its beginning, so that every
    row is equally likely.

    Parameters
    ----------
    n_rows : int
    chains : int array (n_rows,), optional
        The chain of each row (rows of a chain together, in time order). None: one chain.
    n_replicates : int
    block_length : int, optional
        Should be several times the autocorrelation time. Default: the length of the default batches of `batch_labels`.
        1 is the ordinary bootstrap of independent rows (within chains).
    seed : int, SeedSequence, Generator or None

    Yields
    ------
    int64 array (n_rows,)
        One replicate.

    Raises
    ------
    ValueError
        If `block_length` is less than 1.

    References
    ----------
    D. N. Politis, J. P. Romano (1992), in: Exploring the Limits of Bootstrap, 263.
    """
    slices = chain_slices(n_rows, chains)
    if block_length is None:
        block_length = int(np.ceil(n_rows / (batch_labels(n_rows, chains)[-1] + 1)))
    if block_length < 1:
        raise ValueError(f"block_length must be at least 1 row, got {block_length}")
    return _blocks(slices, n_replicates, block_length, np.random.default_rng(seed_sequence(seed)))


def _blocks(
    slices: list[slice], n_replicates: int, block_length: int, generator: np.random.Generator
) -> Iterator[np.ndarray]:
    """The replicates of `block_bootstrap_indices`."""
    for _ in range(n_replicates):
        pieces = []
        for rows in slices:
            length = rows.stop - rows.start
            block = min(block_length, length)
            starts = generator.integers(0, length, size=-(-length // block))
            offsets = (starts[:, None] + np.arange(block)).ravel()[:length] % length
            pieces.append(rows.start + offsets)
        yield np.concatenate(pieces).astype(np.int64)


def autocorrelation_time(values: np.ndarray, chains: np.ndarray | None = None, *, window: float = 5.0) -> np.ndarray:
    """
    Integrated autocorrelation time in rows, `tau = 1 + 2 sum_{t >= 1} rho(t)`.

    The variance of a mean of n rows is `tau / n` times the variance of a row. Autocovariances are averaged over the
    chains (about the common mean of all rows) and summed up to the self-consistent window
    `t >= window * max(tau(t), 1)`.

    Parameters
    ----------
    values : array (n_rows,) or (n_rows, k)
    chains : int array (n_rows,), optional
        The chain of each row (rows of a chain together, in time order). None: one chain.
    window : float

    Returns
    -------
    float64 array (k,)
        1 for independent rows; nan for a constant column. Inf where the window is not reached within the longest chain:
        the chains are too short to measure it.

    References
    ----------
    N. Madras, A. D. Sokal (1988), J. Stat. Phys. 50, 109; A. D. Sokal (1997), in: Functional Integration, 131.
    """
    values = np.asarray(values, dtype=np.float64)
    values = values[:, None] if values.ndim == 1 else values
    slices = chain_slices(len(values), chains)
    longest = max(rows.stop - rows.start for rows in slices)
    n_lags = max(longest // 2, 1)
    total = np.zeros((n_lags, values.shape[1]))
    pairs = np.zeros(n_lags)
    mean = values.mean(axis=0)
    for rows in slices:
        length = rows.stop - rows.start
        size = fft.next_fast_len(2 * length, real=True)
        power = np.abs(fft.rfft(values[rows] - mean, n=size, axis=0)) ** 2
        lags = min(n_lags, length)
        total[:lags] += fft.irfft(power, n=size, axis=0)[:lags]
        pairs[:lags] += length - np.arange(lags)
    covariances = total / pairs[:, None]
    times = np.full(values.shape[1], np.nan)
    moving = covariances[0] > 1e-14 * np.maximum(mean**2, 1e-300)
    rho = covariances[:, moving] / covariances[0, moving]
    tau = 2.0 * np.cumsum(rho, axis=0) - 1.0
    reached = np.arange(n_lags)[:, None] >= window * np.maximum(tau, 1.0)
    first = np.argmax(reached, axis=0)
    times[moving] = np.where(reached.any(axis=0), np.take_along_axis(tau, first[None, :], axis=0)[0], np.inf)
    return times
