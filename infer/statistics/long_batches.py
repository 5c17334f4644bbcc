"""Batches long against the autocorrelation time of rows, which is measured on the scatter of shorter ones."""

from __future__ import annotations

import numpy as np

from infer.statistics.batches import batch_labels, batch_roots

__all__ = ["batch_times", "long_batch_labels"]

FEWEST_BATCHES = 20
"""Batches that are not made fewer for the sake of length: a standard error from 20 is known to 16 %."""

TIMES_PER_BATCH = 10.0  # autocorrelation times: batch means then lose 5 % of the variance
MOST_COLUMNS = 64  # whose autocorrelation times are looked at
MOST_ROWS = 20_000  # of them, evenly spaced


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
