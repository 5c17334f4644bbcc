"""Umbrella sampling: a bias that makes chains visit all counts of spins along a pattern, corrected by weights."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from infer.types import FloatArray

EVEN_SHARE = 0.4  # of the states of biased chains that is spread evenly over all counts
CLEARLY = 1.5  # factor by which the variance along the leading eigenvector must exceed that of the number of +1
LEAST_LOG_SHARE = -300.0


@dataclass(frozen=True, eq=False)
class CountBias:
    """
    Potential ``W(k)`` added to that of a model, ``k`` the number of spins that agree with a pattern.

    Where states with different counts are separated by states of small probability, as silence and bursts are, chains
    of the biased model pass between them. Averages in the model itself are those of states with weights ``exp(-W(k))``
    (Torrie, Valleau 1977, J. Comput. Phys. 23, 187, doi:10.1016/0021-9991(77)90121-8).

    Parameters
    ----------
    pattern : int8 array (n_spins,)
        Entries -1 and +1.
    potential : ndarray (n_spins + 1,)
    """

    pattern: NDArray[np.int8]
    potential: FloatArray

    @classmethod
    def of(cls, pattern: NDArray[np.int8], log_shares: FloatArray) -> CountBias:
        """
        Bias that leads to a mixture of the model's distribution of the count and an even one.

        In the mixture no state has more than 1 / (1 - `EVEN_SHARE`) times the weight of an average one.

        Parameters
        ----------
        pattern : int8 array (n_spins,)
        log_shares : ndarray (n_spins + 1,)
            Logarithms of the shares of the counts in the model, up to a constant.
        """
        share = np.exp(np.maximum(log_shares - log_shares.max(), LEAST_LOG_SHARE))
        share /= share.sum()
        mixture = (1.0 - EVEN_SHARE) * share + EVEN_SHARE / len(share)
        return cls(pattern, np.log(mixture / share))

    @classmethod
    def none(cls, n_spins: int) -> CountBias:
        """No bias."""
        return cls(np.ones(n_spins, dtype=np.int8), np.zeros(n_spins + 1))

    @classmethod
    def seen(cls, pattern: NDArray[np.int8], states: NDArray[np.int8], weights: FloatArray) -> CountBias:
        """Bias for a model of which states with weights are known; shares of counts not seen are interpolated."""
        counts = counts_along(pattern, states)
        shares = np.bincount(counts, weights=weights, minlength=len(pattern) + 1)
        known = np.flatnonzero(np.bincount(counts, minlength=len(pattern) + 1))
        logs = np.log(np.maximum(shares[known] / shares.max(), np.exp(LEAST_LOG_SHARE)))
        return cls.of(pattern, np.interp(np.arange(len(pattern) + 1), known, logs))

    @property
    def half_steps(self) -> FloatArray:
        """``(W(k + 1) - W(k)) / 2``, the field along the pattern on a spin when k others agree with it; (n_spins,)."""
        return np.asarray(np.diff(self.potential) / 2.0)

    def log_weights(self, states: NDArray[np.int8]) -> FloatArray:
        """Logarithms of the weights of states (..., n_spins) of biased chains."""
        return np.asarray(-self.potential[counts_along(self.pattern, states)])

    def starts(self, means: FloatArray, n_chains: int, generator: np.random.Generator) -> NDArray[np.int8]:
        """States (n_chains, n_spins) of about independent spins with given means, whose counts are spread evenly."""
        n_spins = len(means)
        odds = np.clip(means, -1.0 + 1e-6, 1.0 - 1e-6) * self.pattern
        keys = np.log1p(odds) - np.log1p(-odds) + generator.gumbel(size=(n_chains, n_spins))
        ranks = np.argsort(np.argsort(-keys, axis=1), axis=1)
        counts = generator.integers(0, n_spins + 1, n_chains)
        return np.asarray(np.where(ranks < counts[:, None], self.pattern, -self.pattern), dtype=np.int8)


def counts_along(pattern: NDArray[np.int8], states: NDArray[np.int8]) -> NDArray[np.int64]:
    """Number of spins that agree with a pattern, for states (..., n_spins)."""
    overlaps = states.astype(np.float32) @ pattern.astype(np.float32)
    return np.asarray(np.rint(overlaps + len(pattern)).astype(np.int64) // 2)


def count_log_shares(means: FloatArray) -> FloatArray:
    """Logarithms of the distribution (n_spins + 1,) of the number of +1 of independent spins."""
    shares = np.ones(1)
    for up in (1.0 + means) / 2.0:
        shares = np.convolve(shares, (1.0 - up, up))
    return np.asarray(np.log(np.maximum(shares, 1e-300)))


def main_pattern(means: FloatArray, second_moments: FloatArray) -> NDArray[np.int8]:
    """
    Pattern of +-1 along which the data vary most.

    It is the signs of the leading eigenvector of the covariance, as for two parties whose members vote against each
    other, but all +1 unless the count along the eigenvector varies clearly more than the number of +1.
    """
    covariance = second_moments - np.outer(means, means)
    np.fill_diagonal(covariance, 1.0 - means**2)
    leading = np.linalg.eigh(covariance)[1][:, -1]
    signs = np.where(leading * np.sign(leading.sum() or 1.0) >= 0.0, 1, -1).astype(np.int8)
    ones = np.ones_like(signs)
    if signs @ covariance @ signs > CLEARLY * (ones @ covariance @ ones):
        return np.asarray(signs)
    return np.asarray(ones)
