"""Records cut into nearly independent blocks, for tests that permute or reverse whole blocks."""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from infer.statistics.batches import autocorrelation_time, batch_labels, chain_slices

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]

#: Autocorrelation times that a block should hold, so that neighbouring blocks are nearly independent.
TIMES_IN_A_BLOCK = 8.0
#: Fewest blocks for a randomisation test: 12 signs have 2^12 arrangements, far more than 1/0.01.
FEWEST_BLOCKS = 12
#: Most blocks: more would shorten the blocks without a better test.
MOST_BLOCKS = 64
#: Number of leading principal components of the record that are tested beside single spins.
N_MODES = 6
_CHUNK_ROWS = 16_384
_FEWEST_ROWS_FOR_TRENDS = 64


@dataclass(frozen=True, eq=False)
class TimeBlocks:
    """Contiguous blocks of rows in time order.

    Attributes
    ----------
    slices : tuple of slice
        Rows of each block; no block crosses the end of a run.
    runs : ndarray of int64 (n_blocks,)
        Run (chain) of each block, counted from 0.
    correlation_time : float
        Longest integrated autocorrelation time, in rows, of energy and principal components without their slow trends;
        ``inf`` where the record is too short to measure it.
    """

    slices: tuple[slice, ...]
    runs: IntArray
    correlation_time: float

    @property
    def lengths(self) -> IntArray:
        """Rows of each block."""
        return np.array([rows.stop - rows.start for rows in self.slices])

    @property
    def independent(self) -> bool:
        """Whether blocks are long compared with the autocorrelation time."""
        return bool(np.median(self.lengths) >= TIMES_IN_A_BLOCK * self.correlation_time)


def collective_observables(
    rows: NDArray[np.int8], couplings: FloatArray, fields: FloatArray, n_modes: int = N_MODES
) -> FloatArray:
    """Energy in units of the temperature, then the leading principal components of the rows; (n_rows, 1 + n_modes).

    Each column has mean zero and variance one; a constant one is zero.
    """
    n_rows, n_spins = rows.shape
    first, gram = np.zeros(n_spins), np.zeros((n_spins, n_spins))
    for start in range(0, n_rows, _CHUNK_ROWS):
        block = rows[start : start + _CHUNK_ROWS].astype(np.float64)
        first += block.sum(axis=0)
        gram += block.T @ block
    mean = first / n_rows
    _, vectors = np.linalg.eigh(gram / n_rows - np.outer(mean, mean))
    leading = vectors[:, ::-1][:, : min(n_modes, n_spins)]
    values = np.empty((n_rows, 1 + leading.shape[1]))
    for start in range(0, n_rows, _CHUNK_ROWS):
        block = rows[start : start + _CHUNK_ROWS].astype(np.float64)
        part = values[start : start + _CHUNK_ROWS]
        part[:, 0] = -np.einsum("ri,ri->r", block, 0.5 * (block @ couplings) + fields)
        part[:, 1:] = (block - mean) @ leading
    values -= values.mean(axis=0)
    spread = values.std(axis=0)
    return values / np.where(spread > 1e-12, spread, np.inf)


def time_blocks(values: FloatArray, chains: IntArray | None, least_length: int) -> TimeBlocks | None:
    """Blocks for observables (n_rows, k), eight autocorrelation times long where the record is long enough.

    None where there are too few rows for `FEWEST_BLOCKS` blocks of ``least_length`` rows.
    """
    n_rows = len(values)
    # trends are removed first: a drift would count as an infinite correlation time, and no drift could be found
    moving = without_trends(values[:, values.std(axis=0) > 0], chains)
    with np.errstate(all="ignore"):
        times = autocorrelation_time(moving, chains) if moving.shape[1] else np.ones(1)
    correlation_time = float(np.max(np.maximum(np.nan_to_num(times, nan=1.0, posinf=math.inf), 1.0)))
    wanted = min(max(math.sqrt(n_rows), least_length, TIMES_IN_A_BLOCK * correlation_time), n_rows)
    n_blocks = int(np.clip(n_rows / wanted, FEWEST_BLOCKS, MOST_BLOCKS))
    if n_rows < FEWEST_BLOCKS * least_length:
        return None
    labels = batch_labels(n_rows, chains, n_batches=n_blocks)
    run_of_row = np.zeros(n_rows, dtype=np.int64)
    for run, rows in enumerate(chain_slices(n_rows, chains)):
        run_of_row[rows] = run
    edges = np.concatenate([[0], np.flatnonzero(np.diff(labels)) + 1, [n_rows]])
    slices = tuple(slice(int(a), int(b)) for a, b in pairwise(edges))
    kept = tuple(rows for rows in slices if rows.stop - rows.start >= least_length)
    if len(kept) < FEWEST_BLOCKS:
        return None
    return TimeBlocks(kept, run_of_row[[rows.start for rows in kept]], correlation_time)


def without_trends(values: FloatArray, chains: IntArray | None) -> FloatArray:
    """Observables less a straight line fitted to each quarter of a run; in runs below 64 rows, less their mean."""
    left = np.empty_like(values)
    for run in chain_slices(len(values), chains):
        length = run.stop - run.start
        edges = run.start + (np.arange(5) * length) // 4 if length >= _FEWEST_ROWS_FOR_TRENDS else (run.start, run.stop)
        for start, stop in pairwise(edges):
            part = values[start:stop]
            left[start:stop] = part - part.mean(axis=0)
            if length >= _FEWEST_ROWS_FOR_TRENDS:
                time = np.arange(stop - start) - (stop - start - 1) / 2.0
                left[start:stop] -= np.outer(time, time @ part / (time @ time))
    return left


def block_kernel(values: FloatArray) -> FloatArray:
    """K_bc = sum_k a_bk a_ck / sum_b a_bk^2 for contributions (n_blocks, k); columns of zeros are left out.

    The sum of squared scores after any sign change or permutation of whole blocks is a quadratic form in K.
    """
    square = np.einsum("bk,bk->k", values, values)
    scaled = values / np.sqrt(np.where(square > 1e-20 * max(float(square.max(initial=0.0)), 1e-300), square, np.inf))
    return scaled @ scaled.T


def smallest_p_value(null: list[FloatArray]) -> tuple[list[float], float]:
    """p-values of several statistics, and that of the smallest of them; exact for any dependence between them.

    Each array holds the observed statistic first and then its values under randomisation, the same randomisations in
    the same order in all of them (Westfall, Young 1993).
    """
    n = len(null[0])
    tails = np.empty((len(null), n))
    for row, values in zip(tails, null, strict=True):
        # equal randomisations must stay tied despite rounding
        largest = float(np.abs(values).max())
        rounded = np.round(values / largest, 9) if largest > 0 else values
        ordered = np.sort(rounded)
        row[:] = (n - np.searchsorted(ordered, rounded, side="left")) / n
    smallest = tails.min(axis=0)
    return [float(p) for p in tails[:, 0]], float(np.mean(smallest <= smallest[0]))
