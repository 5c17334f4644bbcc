"""Sums over all states of a few spins, as matrices: states of one half of the spins by states of the other."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]


def half_states(n_spins: int) -> FloatArray:
    """All states (2^n_spins, n_spins) of +-1."""
    bits = (np.arange(2**n_spins)[:, None] >> np.arange(n_spins)) & 1
    states: FloatArray = (2 * bits - 1).astype(np.float64)
    return states


@dataclass(frozen=True)
class Enumeration:
    """Boltzmann probabilities of all states of spins with given couplings and fields."""

    left: FloatArray  # (2^n, n) states of the first half of the spins
    right: FloatArray  # (2^m, m) states of the others
    probability: FloatArray  # (2^n, 2^m)
    log_partition: float

    def sums(self, weight: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Sums of s_i and s_i s_j over all states with any weights (2^n, 2^m)."""
        by_left, by_right = weight.sum(axis=1), weight.sum(axis=0)
        first = np.concatenate([by_left @ self.left, by_right @ self.right])
        across = self.left.T @ weight @ self.right
        second = np.block(
            [
                [(self.left * by_left[:, None]).T @ self.left, across],
                [across.T, (self.right * by_right[:, None]).T @ self.right],
            ]
        )
        return first, second

    def moments(self) -> tuple[FloatArray, FloatArray]:
        """Means <s_i> and second moments <s_i s_j>."""
        return self.sums(self.probability)

    def covariances(self, couplings: FloatArray, fields: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Covariances of s_i, and of s_i s_j, with ``sum_{i<j} couplings_ij s_i s_j + sum_i fields_i s_i``."""
        weight = exponents(self.left, self.right, couplings, fields)
        weight -= float((self.probability * weight).sum())
        weight *= self.probability
        return self.sums(weight)


def exponents(left: FloatArray, right: FloatArray, couplings: FloatArray, fields: FloatArray) -> FloatArray:
    """Minus the energy, ``sum_{i<j} J_ij s_i s_j + sum_i h_i s_i``, of every pair of half states."""
    n = left.shape[1]
    by_left = 0.5 * np.einsum("ki,ki->k", left @ couplings[:n, :n], left) + left @ fields[:n]
    by_right = 0.5 * np.einsum("ki,ki->k", right @ couplings[n:, n:], right) + right @ fields[n:]
    result = (left @ couplings[:n, n:]) @ right.T
    result += by_left[:, None]
    result += by_right
    return result


def enumerate_states(couplings: FloatArray, fields: FloatArray) -> Enumeration:
    """Probabilities of all states; time and memory grow as 2^n_spins (8 MB for 20 spins)."""
    n_left = (len(couplings) + 1) // 2
    left, right = half_states(n_left), half_states(len(couplings) - n_left)
    weight = exponents(left, right, couplings, fields)
    largest = float(weight.max())
    weight -= largest
    np.exp(weight, out=weight)
    total = float(weight.sum())
    weight /= total
    return Enumeration(left, right, weight, largest + float(np.log(total)))
