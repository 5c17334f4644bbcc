"""Rates between the ten states of a chemotaxis receptor, and the steady state of such rates."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["LEVELS", "ladder_rates", "matrix_of_rates", "stationary_state"]

# methylation levels 0..4; states are the active ones by level, then the inactive ones
LEVELS = 5
# dissociation constants of the ligand from the inactive and the active receptor, in micromolar
_INACTIVE_DISSOCIATION, _ACTIVE_DISSOCIATION = 18.2, 3000.0


def ladder_rates(gamma: float, switching_rate: float, signal: float) -> NDArray[np.float64]:
    """Rates of the ladder, [i, j] of j -> i; gamma may be 0 here."""
    rates = np.zeros((2 * LEVELS, 2 * LEVELS))
    level = np.arange(LEVELS)
    low, high = level[:-1], level[1:]
    rates[low, high] = 1.0
    rates[high, low] = np.e * gamma
    rates[high + LEVELS, low + LEVELS] = 1.0
    rates[low + LEVELS, high + LEVELS] = np.e * gamma
    energy = 2.0 * (1 - level) + np.log1p(signal / _INACTIVE_DISSOCIATION) - np.log1p(signal / _ACTIVE_DISSOCIATION)
    rates[level + LEVELS, level] = switching_rate * np.exp(np.maximum(energy, 0.0))
    rates[level, level + LEVELS] = switching_rate * np.exp(np.maximum(-energy, 0.0))
    return rates


def matrix_of_rates(rates: NDArray[np.float64]) -> NDArray[np.float64]:
    return rates - np.diag(rates.sum(axis=0))


def stationary_state(rates: NDArray[np.float64]) -> NDArray[np.float64]:
    """Steady state by the elimination of Grassmann, Taksar, Heyman 1985, which keeps each entry accurate."""
    a = rates.T.copy()
    n = len(a)
    for k in range(n - 1, 0, -1):
        a[:k, k] /= a[k, :k].sum()
        a[:k, :k] += np.outer(a[:k, k], a[k, :k])
    state = np.zeros(n)
    state[0] = 1.0
    for k in range(1, n):
        state[k] = state[:k] @ a[:k, k]
    return state / state.sum()
