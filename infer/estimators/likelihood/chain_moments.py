"""Statistics of a model (moments, distribution of the count) from chains, with their noise."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from infer.estimators.likelihood.chains import PersistentChains
from infer.estimators.likelihood.count_bias import CountBias
from infer.estimators.likelihood.terms import Parameters, Terms
from infer.types import FloatArray

BLOCK_VALUES = 1 << 22  # spins recorded at once
EVERY = 3  # sweeps between averaged states: averaging a state costs more than a sweep


@dataclass(eq=False)
class ChainMoments:
    """Weighted sums of the statistics of each chain, in the order of `Terms`, and states that they came from."""

    sums: FloatArray  # (n_chains, size)
    totals: FloatArray  # sums of the weights, (n_chains,)
    states: NDArray[np.int8]  # (n_states, n_spins)
    weights: FloatArray  # (n_states,), positive
    n_draws: int  # of each chain

    @property
    def mean(self) -> FloatArray:
        """Mean over all chains, (size,)."""
        return np.asarray(self.sums.sum(axis=0) / self.totals.sum())

    @property
    def deviations(self) -> FloatArray:
        """Contributions (n_chains, size) of the chains to the deviation of `mean` from its expectation."""
        return np.asarray((self.sums - self.totals[:, None] * self.mean) / self.totals.sum())

    @property
    def variance(self) -> FloatArray:
        """Squared standard error of `mean`, (size,), from the variance between the independent chains."""
        n_chains = len(self.totals)
        return np.asarray((self.deviations**2).sum(axis=0) * n_chains / (n_chains - 1.0))

    def error_along(self, direction: FloatArray) -> float:
        """Standard error of the mean of the statistics' product with a direction (size,)."""
        n_chains = len(self.totals)
        own = (self.sums @ direction - self.totals * (self.mean @ direction)) / self.totals.sum()
        return float(np.sqrt((own**2).sum() * n_chains / (n_chains - 1.0)))

    def joined(self, other: ChainMoments, most_states: int) -> ChainMoments:
        """Moments of the same chains after further draws."""
        return ChainMoments(
            self.sums + other.sums,
            self.totals + other.totals,
            np.concatenate([self.states, other.states])[-2 * most_states :],
            np.concatenate([self.weights, other.weights])[-2 * most_states :],
            self.n_draws + other.n_draws,
        )

    def beside(self, other: ChainMoments) -> ChainMoments:
        """Moments of these chains and of others of the same model."""
        return ChainMoments(
            np.concatenate([self.sums, other.sums]),
            np.concatenate([self.totals, other.totals]),
            np.concatenate([self.states, other.states]),
            np.concatenate([self.weights, other.weights]),
            min(self.n_draws, other.n_draws),
        )

    def resampled(self, n_states: int, seed: int = 0) -> NDArray[np.int8]:
        """About ``n_states`` states of the model itself, each of equal weight."""
        n_states = min(n_states, len(self.states))
        ends = np.cumsum(self.weights) / self.weights.sum()
        points = (np.arange(n_states) + np.random.default_rng(seed).random()) / n_states
        return np.asarray(self.states[np.searchsorted(ends, points).clip(max=len(ends) - 1)])


def run_chains(
    terms: Terms,
    vector: FloatArray,
    chains: PersistentChains,
    centre: FloatArray,
    n_draws: int,
    *,
    bias: CountBias | None = None,
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
    bias : CountBias, optional
        Bias of the chains, which the weights of their states correct.
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
    keep_every = max(1, n_draws * n_chains // most_states)
    applied = CountBias.none(n_spins) if bias is None else bias
    half_steps = applied.half_steps + (model.half_steps if terms.with_counts else 0.0)
    sums, totals = np.zeros((n_chains, terms.size)), np.zeros(n_chains)
    kept: list[NDArray[np.int8]] = []
    weighted: list[FloatArray] = []
    for states in _blocks(model, chains, n_draws, every, half_steps, applied.pattern):
        weights = None if bias is None else np.exp(bias.log_weights(states))
        block, total = _block_sums(terms, model, states, weights, centre)
        sums += block
        totals += total
        chosen = slice(None, None, min(keep_every, states.shape[1]))
        kept.append(states[:, chosen].reshape(-1, n_spins))
        weighted.append(np.ones(len(kept[-1])) if weights is None else weights[:, chosen].ravel())
    return ChainMoments(sums, totals, np.concatenate(kept), np.concatenate(weighted), n_draws)


def run_states(
    terms: Terms, vector: FloatArray, chains: PersistentChains, n_draws: int, *, every: int = EVERY, most_states: int
) -> NDArray[np.int8]:
    """The states that `run_chains` returns, (n_states, n_spins), without the moments of each chain.

    With a thousand spins the moments of 64 chains take two gigabytes.
    """
    model = terms.unpack(vector)
    n_chains, n_spins = chains.spins.shape
    keep_every = max(1, n_draws * n_chains // most_states)
    none = CountBias.none(n_spins)
    half_steps = none.half_steps + (model.half_steps if terms.with_counts else 0.0)
    return np.concatenate(
        [
            states[:, :: min(keep_every, states.shape[1])].reshape(-1, n_spins)
            for states in _blocks(model, chains, n_draws, every, half_steps, none.pattern)
        ]
    )


def _blocks(
    model: Parameters,
    chains: PersistentChains,
    n_draws: int,
    every: int,
    half_steps: FloatArray,
    pattern: NDArray[np.int8],
) -> Iterator[NDArray[np.int8]]:
    """States (n_chains, n, n_spins) of chains that are advanced, some draws at a time."""
    n_chains, n_spins = chains.spins.shape
    at_once = max(1, min(n_draws, BLOCK_VALUES // (n_chains * n_spins)))
    for done in range(0, n_draws, at_once):
        count = min(at_once, n_draws - done)
        yield chains.advance(
            model.couplings,
            model.fields,
            count * every,
            record=True,
            every=every,
            half_steps=half_steps,
            pattern=pattern,
        )


def _block_sums(
    terms: Terms, model: Parameters, states: NDArray[np.int8], weights: FloatArray | None, centre: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """Weighted sums (n_chains, size) of the statistics of states (n_chains, n_draws, n_spins), and of the weights."""
    n_chains, n_draws, n_spins = states.shape
    middle = centre.astype(np.float32)
    spins = states.astype(np.float32)
    total = np.full(n_chains, float(n_draws)) if weights is None else weights.sum(axis=1)
    shares: FloatArray | None = None
    if terms.with_counts:
        # the count is a sum of the spins: with their own values its noise is consistent with that of means and pairs
        expected = spins.copy()
        up = (states > 0).sum(axis=2, dtype=np.int64)
        flat = (np.arange(n_chains)[:, None] * (n_spins + 1) + up).ravel()
        own = None if weights is None else weights.ravel()
        shares = np.bincount(flat, weights=own, minlength=n_chains * (n_spins + 1)).astype(np.float64)
        shares = shares.reshape(n_chains, -1)
    else:
        local = spins.reshape(-1, n_spins) @ model.couplings.astype(np.float32)
        local += model.fields.astype(np.float32)
        expected = np.tanh(local, out=local).reshape(states.shape)
    expected -= middle
    spins -= middle
    if weights is not None:
        expected *= weights.astype(np.float32)[:, :, None]
    means = expected.sum(axis=1, dtype=np.float64)
    products = np.matmul(expected.transpose(0, 2, 1), spins).astype(np.float64)
    products = (products + products.transpose(0, 2, 1)) / 2.0
    means += total[:, None] * centre
    shifted = means[:, :, None] * centre[None, None, :]
    products += shifted + shifted.transpose(0, 2, 1) - total[:, None, None] * np.outer(centre, centre)
    return terms.pack(products, means, shares), total


def independent_spins(means: FloatArray, n_chains: int, generator: np.random.Generator) -> NDArray[np.int8]:
    """States (n_chains, n_spins) of independent spins with given means."""
    up = generator.random((n_chains, len(means))) < (1.0 + means) / 2.0
    return np.where(up, np.int8(1), np.int8(-1))
