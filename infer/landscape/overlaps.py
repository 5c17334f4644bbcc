"""Overlaps of minima with patterns."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from infer.types import FloatArray, IntArray, SpinArray

__all__ = ["Memories", "memories"]

N_SHUFFLES = 999
CHUNK_MINIMA = 4096


@dataclass(frozen=True, eq=False)
class Memories:
    """Overlaps of minima with patterns, and their significance.

    Attributes
    ----------
    overlaps : ndarray (n_minima, n_patterns)
        ``sum_i minimum_i pattern_i / n_spins``, from -1 to 1.
    nearest : ndarray of int64 (n_patterns,)
        The minimum of largest overlap (in absolute value where ``mirrored``) with each pattern.
    p_values : ndarray (n_patterns,)
        Probability that the pattern with its spins in random order has as large an overlap with the minimum nearest to
        it, from 999 random orders. It is corrected for the number of minima, not for that of patterns.
    mirrored : bool
        Whether every state and its negative have the same energy, so that either of them may be the stored pattern.
    are_minima : ndarray of bool (n_patterns,)
        Whether the pattern (or its negative, where ``mirrored``) is a minimum itself.
    """

    overlaps: FloatArray
    nearest: IntArray
    p_values: FloatArray
    mirrored: bool
    are_minima: NDArray[np.bool_]

    def remembered(self, false_alarms: float = 0.05) -> NDArray[np.bool_]:
        """True (n_patterns,) for patterns nearer to a minimum than by chance; false alarms for all together (Holm)."""
        order = np.argsort(self.p_values, kind="stable")
        passed = self.p_values[order] * np.arange(len(order), 0, -1) <= false_alarms
        found = np.empty(len(order), dtype=bool)
        found[order] = np.logical_and.accumulate(passed)
        return found


def memories(minima: SpinArray, patterns: SpinArray, mirrored: bool, seed: np.random.SeedSequence) -> Memories:
    """Overlaps of minima with patterns, and the probability of overlaps as large by chance.

    Parameters
    ----------
    minima : ndarray of int8, shape (n_minima, n_spins)
    patterns : ndarray of int8, shape (n_patterns, n_spins)
    mirrored : bool
    seed : numpy.random.SeedSequence
        Seed of the random orders.

    Returns
    -------
    Memories
    """
    products = minima.astype(np.int64) @ patterns.T.astype(np.int64)
    size = np.abs(products) if mirrored else products
    largest = size.max(axis=0)
    rng = np.random.default_rng(seed)
    p_values = np.empty(len(patterns))
    for k, pattern in enumerate(patterns):
        orders = rng.permuted(np.tile(pattern.astype(np.float32), (N_SHUFFLES, 1)), axis=1)
        best = np.full(N_SHUFFLES, -np.inf)
        for start in range(0, len(minima), CHUNK_MINIMA):
            # sums of +-1 are exact in single precision
            found = orders @ minima[start : start + CHUNK_MINIMA].T.astype(np.float32)
            best = np.maximum(best, (np.abs(found) if mirrored else found).max(axis=1))
        p_values[k] = (1 + np.count_nonzero(best >= largest[k])) / (1 + N_SHUFFLES)
    n_spins = minima.shape[1]
    return Memories(products / n_spins, size.argmax(axis=0), p_values, mirrored, largest == n_spins)
