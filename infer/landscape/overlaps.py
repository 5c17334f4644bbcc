"""Overlaps of minima with patterns: are the attractors the memories?"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import stats

from infer.types import FloatArray, SpinArray

__all__ = ["Memories", "memories"]


@dataclass(frozen=True, eq=False)
class Memories:
    """Minima beside patterns.

    Attributes
    ----------
    overlaps : ndarray (n_minima, n_patterns)
        ``sum_i minimum_i pattern_i / n_spins``, from -1 to 1.
    p_values : ndarray (n_minima, n_patterns)
        Chance of an overlap as large between the minimum and the pattern with its spins in random order
        (hypergeometric); of an absolute overlap where ``mirrored``.
    mirrored : bool
        The model has no fields, so that a state and its mirror image have the same energy and a pattern may be
        remembered as either.
    are_minima : ndarray of bool (n_patterns,)
        Whether the pattern (or its mirror image) is a minimum itself.
    """

    overlaps: FloatArray
    p_values: FloatArray
    mirrored: bool
    are_minima: np.ndarray

    def remembered(self, false_alarms: float = 0.05) -> np.ndarray:
        """Which minima (n_minima,) overlap with a pattern more than by chance, false alarms for all together."""
        return self.p_values.min(axis=1) * self.p_values.size <= false_alarms


def memories(minima: SpinArray, patterns: SpinArray, mirrored: bool) -> Memories:
    """Overlaps of minima with patterns, and how likely ones as large are by chance.

    Parameters
    ----------
    minima : ndarray of int8, shape (n_minima, n_spins)
    patterns : ndarray of int8, shape (n_patterns, n_spins)
    mirrored : bool

    Returns
    -------
    Memories
    """
    n_spins = minima.shape[1]
    products = minima.astype(np.int64) @ patterns.T.astype(np.int64)
    up = np.broadcast_to((minima > 0).sum(axis=1)[:, None], products.shape)
    pattern_up = np.broadcast_to((patterns > 0).sum(axis=1)[None], products.shape)
    # spins that are up in both: products = n - 2 (up + pattern_up) + 4 both
    both = (products - n_spins + 2 * (up + pattern_up)) // 4
    if mirrored:
        # both tails of the overlap: counts of `both` that give an overlap of at least this size of either sign
        high = -(-(np.abs(products) - n_spins + 2 * (up + pattern_up)) // 4)
        low = (-np.abs(products) - n_spins + 2 * (up + pattern_up)) // 4
        p = stats.hypergeom.sf(high - 1, n_spins, up, pattern_up) + stats.hypergeom.cdf(low, n_spins, up, pattern_up)
    else:
        p = stats.hypergeom.sf(both - 1, n_spins, up, pattern_up)
    size = np.abs(products) if mirrored else products
    return Memories(products / n_spins, np.minimum(p, 1.0), mirrored, (size == n_spins).any(axis=0))
