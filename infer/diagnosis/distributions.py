"""Distributions of single numbers, such as the energy, as shares in bins with errors from batches."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from infer.statistics.moments import Estimates

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]
Batches = Iterator[tuple[IntArray | slice, IntArray | None]]

#: Bins that distributions are compared in: enough to see a shape, few enough for each to be well filled.
N_BINS = 12


def equal_share_bins(observed: FloatArray, weight: FloatArray | None, predicted: FloatArray) -> FloatArray:
    """Inner edges of at most `N_BINS` bins that hold equal shares of both together (each counted half)."""
    values = np.concatenate([observed, predicted])
    first = np.full(len(observed), 1.0 / len(observed)) if weight is None else weight / weight.sum()
    share = np.concatenate([first, np.full(len(predicted), 1.0 / len(predicted))]) / 2.0
    order = np.argsort(values, kind="stable")
    cumulative = np.cumsum(share[order])
    places = np.searchsorted(cumulative, np.arange(1, N_BINS) / N_BINS)
    edges = np.unique(values[order][np.minimum(places, len(values) - 1)])
    return edges[(edges > values.min()) & (edges <= values.max())]


def shares_in_batches(values: FloatArray, batches: Batches, edges: FloatArray) -> Estimates:
    """Share of samples in each bin, with the deviations of the batches; bin k is ``edges[k-1] <= value < edges[k]``."""
    place = np.searchsorted(edges, values, side="right")
    shares, sizes = [], []
    for rows, counts in batches:
        chosen = place[rows]
        size = len(chosen) if counts is None else int(counts.sum())
        shares.append(np.bincount(chosen, weights=counts, minlength=len(edges) + 1) / size)
        sizes.append(size)
    weight = np.asarray(sizes, dtype=np.float64)
    weight /= weight.sum()
    table = np.asarray(shares)
    total = weight @ table
    return Estimates(total, weight[:, None] * (table - total))


def merge_neighbours(observed: Estimates, predicted: Estimates) -> tuple[Estimates, Estimates]:
    """Neighbouring shares put together until each holds about 1/`N_BINS` of both together."""
    cumulative = np.cumsum((observed.values + predicted.values) / 2.0)
    group = np.minimum((np.concatenate([[0.0], cumulative[:-1]]) * N_BINS + 1e-9).astype(int), N_BINS - 1)
    starts = np.concatenate([[0], np.flatnonzero(np.diff(group)) + 1])

    def merged(shares: Estimates) -> Estimates:
        return Estimates(np.add.reduceat(shares.values, starts), np.add.reduceat(shares.deviations, starts, axis=1))

    return merged(observed), merged(predicted)
