"""Statistics of a model (moments, distribution of the count) from chains, with their noise."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from infer.estimators.likelihood.chains import PersistentChains
from infer.estimators.likelihood.terms import Parameters, Terms
from infer.types import FloatArray

BLOCK_VALUES = 1 << 22  # spins recorded at once
EVERY = 3  # sweeps between averaged states: averaging a state costs more than a sweep


@dataclass(eq=False)
class ChainMoments:
    """Means of the statistics of each chain, in the order of `Terms`, and states that they came from."""

    by_chain: FloatArray  # (n_chains, size)
    states: NDArray[np.int8]  # (n_states, n_spins)
    n_draws: int  # of each chain

    @property
    def mean(self) -> FloatArray:
        """Mean over all chains, (size,)."""
        return np.asarray(self.by_chain.mean(axis=0))

    @property
    def variance(self) -> FloatArray:
        """Squared standard error of `mean`, (size,), from the variance between the independent chains."""
        return np.asarray(self.by_chain.var(axis=0, ddof=1) / len(self.by_chain))

    def error_along(self, direction: FloatArray) -> float:
        """Standard error of the mean of the statistics' product with a direction (size,)."""
        return float((self.by_chain @ direction).std(ddof=1) / np.sqrt(len(self.by_chain)))

    def joined(self, other: ChainMoments, most_states: int) -> ChainMoments:
        """Moments of the same chains after further draws."""
        total = self.n_draws + other.n_draws
        by_chain = (self.n_draws * self.by_chain + other.n_draws * other.by_chain) / total
        states = np.concatenate([self.states, other.states])[-2 * most_states :]
        return ChainMoments(by_chain, states, total)


def run_chains(
    terms: Terms,
    vector: FloatArray,
    chains: PersistentChains,
    centre: FloatArray,
    n_draws: int,
    *,
    every: int = EVERY,
    most_states: int = 20_000,
) -> ChainMoments:
    """
    Statistics of the model at ``vector`` from ``n_draws`` states of each chain, which are advanced.

    Means are those of the conditional mean ``t_i = tanh(local field)``, and of pairs it is
    ``<(t_i - c_i)(s_j - c_j)>`` that is averaged, which has the same expectation as with ``s_i`` and less noise
    (Rao-Blackwell), far less where couplings are weak. With a potential of the count the spins themselves are averaged.

    Parameters
    ----------
    terms : Terms
    vector : ndarray (size,)
    chains : PersistentChains
    centre : ndarray (n_spins,)
        ``c``, near the means; the expectation does not depend on it.
    n_draws : int
    every : int
        Sweeps between draws.
    most_states : int
        Approximate largest number of states to return.

    Returns
    -------
    ChainMoments
    """
    model = terms.unpack(vector)
    n_chains, n_spins = chains.spins.shape
    at_once = max(1, min(n_draws, BLOCK_VALUES // (n_chains * n_spins)))
    keep_every = max(1, n_draws * n_chains // most_states)
    total = np.zeros((n_chains, terms.size))
    kept: list[NDArray[np.int8]] = []
    done = 0
    while done < n_draws:
        count = min(at_once, n_draws - done)
        states = chains.advance(
            model.couplings,
            model.fields,
            count * every,
            record=True,
            every=every,
            half_steps=model.half_steps if terms.with_counts else None,
        )
        total += count * _block_moments(terms, model, states, centre)
        kept.append(states[:, :: min(keep_every, count)].reshape(-1, n_spins))
        done += count
    return ChainMoments(total / n_draws, np.concatenate(kept), n_draws)


def _block_moments(terms: Terms, model: Parameters, states: NDArray[np.int8], centre: FloatArray) -> FloatArray:
    """Statistics (n_chains, size) of the states (n_chains, n_draws, n_spins) of each chain."""
    n_chains, n_draws, n_spins = states.shape
    middle = centre.astype(np.float32)
    spins = states.astype(np.float32)
    shares = None
    if terms.with_counts:
        # the count is a sum of the spins: with their own values its noise is consistent with that of means and pairs
        expected = spins.copy()
        up = (states > 0).sum(axis=2, dtype=np.int64)
        flat = (np.arange(n_chains)[:, None] * (n_spins + 1) + up).ravel()
        shares = np.bincount(flat, minlength=n_chains * (n_spins + 1)).reshape(n_chains, -1) / n_draws
    else:
        local = spins.reshape(-1, n_spins) @ model.couplings.astype(np.float32)
        local += model.fields.astype(np.float32)
        expected = np.tanh(local, out=local).reshape(states.shape)
    expected -= middle
    means = expected.mean(axis=1, dtype=np.float64)
    spins -= middle
    products = np.matmul(expected.transpose(0, 2, 1), spins).astype(np.float64) / n_draws
    products = (products + products.transpose(0, 2, 1)) / 2.0
    means += centre
    shifted = means[:, :, None] * centre[None, None, :]
    products += shifted + shifted.transpose(0, 2, 1) - np.outer(centre, centre)
    return terms.pack(products, means, shares)


def independent_spins(means: FloatArray, n_chains: int, generator: np.random.Generator) -> NDArray[np.int8]:
    """States (n_chains, n_spins) of independent spins with given means."""
    up = generator.random((n_chains, len(means))) < (1.0 + means) / 2.0
    return np.where(up, np.int8(1), np.int8(-1))
