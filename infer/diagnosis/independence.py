"""Test of independent spins: their pair correlations against those of shifted or shuffled spins."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from infer.diagnosis.blocks import smallest_p_value
from infer.types import FloatArray, IntArray, SpinArray

#: Rate of false alarms at which independence is rejected.
FALSE_ALARMS = 0.01
_WORK = 2e11
_MOST_SAMPLES = 200_000


@dataclass(frozen=True, eq=False)
class Independence:
    """Result of :func:`independence_test`.

    Attributes
    ----------
    p_value : float
        Probability that independent spins correlate as much, in all pairs together or in one of them.
    pairs : ndarray of int64, shape (n, 2)
        Pairs whose correlation is significant, strongest first (rate of false alarms over all pairs: `FALSE_ALARMS`).
    z : ndarray, shape (n,)
        Their correlations in standard deviations of those of independent spins.
    """

    p_value: float
    pairs: IntArray
    z: FloatArray

    @property
    def rejected(self) -> bool:
        """Whether the spins are not independent."""
        return self.p_value <= FALSE_ALARMS


def independence_test(
    rows: SpinArray,
    *,
    counts: IntArray | None = None,
    ordered: bool = True,
    n_resampled: int = 199,
    seed: np.random.SeedSequence,
) -> Independence:
    """Test that spins are independent of each other; the autocorrelation of each spin is kept.

    Resampling shifts the record of each spin circularly by a random number of rows, which keeps its autocorrelation, or
    shuffles it where rows have no order. Statistics are the sum of squares and the largest of all pair correlations in
    units of their spread; the smaller of the two p-values is compared with its own null distribution.

    Parameters
    ----------
    rows : ndarray of int8, shape (n_rows, n_spins)
    counts : ndarray of int64, shape (n_rows,), optional
        Number of times each row was seen. Rows are then repeated that often, and shuffled.
    ordered : bool
        Whether rows are in time order.
    n_resampled : int
        Largest number of resampled records. Fewer, but at least 99, are drawn where there are many rows and spins.
    seed : SeedSequence

    Returns
    -------
    Independence
    """
    rng = np.random.default_rng(seed)
    if counts is not None:
        rows, ordered = np.repeat(rows, counts, axis=0), False
    if len(rows) > _MOST_SAMPLES and not ordered:
        rows = rows[rng.choice(len(rows), _MOST_SAMPLES, replace=False)]
    varying = np.flatnonzero(rows.min(axis=0) != rows.max(axis=0))
    n_rows, n_spins = len(rows), len(varying)
    if n_spins < 2:
        return Independence(1.0, np.empty((0, 2), dtype=np.int64), np.empty(0))
    x = np.ascontiguousarray((rows[:, varying] > 0).T)
    share = x.mean(axis=1)
    i, j = np.triu_indices(n_spins, 1)
    # no standard deviation is taken as smaller than one coincidence
    spread = np.sqrt(np.outer(share * (1 - share), share * (1 - share)) / n_rows + 1.0 / n_rows**2)[i, j]
    n_resampled = int(np.clip(_WORK / (2.0 * n_rows * n_spins**2), 99, n_resampled))
    z = np.empty((1 + n_resampled, len(i)), dtype=np.float32)
    for k in range(1 + n_resampled):
        if k:
            if ordered:
                moved = np.stack(
                    [np.roll(record, shift) for record, shift in zip(x, rng.integers(0, n_rows, n_spins), strict=True)]
                )
            else:
                moved = rng.permuted(x, axis=1)
        else:
            moved = x
        block = moved.astype(np.float32)
        together = (block @ block.T).astype(np.float64) / n_rows
        z[k] = ((together - np.outer(share, share))[i, j] / spread).astype(np.float32)
    # autocorrelated spins have larger chance correlations than others
    scale = np.sqrt(np.mean(z.astype(np.float64) ** 2, axis=0))
    z /= np.maximum(scale, 1.0)
    squares = np.abs(z).astype(np.float64)
    largest = squares.max(axis=1)
    _, p_value = smallest_p_value([np.sum(squares**2, axis=1), largest])
    limit = np.sort(largest[1:])[int(np.ceil((1 - FALSE_ALARMS) * n_resampled)) - 1]
    found = np.flatnonzero(squares[0] > limit)
    found = found[np.argsort(-squares[0, found], kind="stable")]
    return Independence(
        p_value, np.stack([varying[i[found]], varying[j[found]]], axis=1), z[0, found].astype(np.float64)
    )
