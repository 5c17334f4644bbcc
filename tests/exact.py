"""Exact answers for small systems: averages over all 2^N states, the judge of everything that is sampled or fitted.

Conventions: ``E(s) = -1/2 sum_{i != j} J_ij s_i s_j - sum_i h_i s_i`` (the diagonal of ``J`` is ignored) and
``P(s) ~ exp(-E / T)``. State ``k`` has spin ``i`` up when bit ``i`` of ``k`` is set.
"""

import numpy as np
from numpy.typing import NDArray


def all_states(n_spins: int) -> NDArray[np.int8]:
    """All 2^N states, shape (2^N, N), of +-1."""
    bits = (np.arange(2**n_spins)[:, None] >> np.arange(n_spins)) & 1
    return (2 * bits - 1).astype(np.int8)


def state_index(spins: NDArray) -> NDArray[np.int64]:
    """Row of ``all_states`` that each of the given states (..., N) is."""
    spins = np.asarray(spins)
    return ((spins > 0) * (1 << np.arange(spins.shape[-1]))).sum(axis=-1)


def energies(couplings: NDArray, fields: NDArray | None = None) -> NDArray[np.float64]:
    """Energy of all 2^N states."""
    J = np.array(couplings, dtype=float)
    np.fill_diagonal(J, 0.0)
    states = all_states(len(J)).astype(float)
    energy = -0.5 * np.einsum("ki,ki->k", states @ J, states)
    return energy if fields is None else energy - states @ np.asarray(fields, dtype=float)


def boltzmann(couplings: NDArray, fields: NDArray | None = None, temperature: float = 1.0) -> NDArray[np.float64]:
    """Boltzmann probability of all 2^N states."""
    exponent = -energies(couplings, fields) / temperature
    weight = np.exp(exponent - exponent.max())
    return weight / weight.sum()


def log_partition(couplings: NDArray, fields: NDArray | None = None, temperature: float = 1.0) -> float:
    """Logarithm of the partition function."""
    exponent = -energies(couplings, fields) / temperature
    return float(exponent.max() + np.log(np.exp(exponent - exponent.max()).sum()))


def moments(
    couplings: NDArray, fields: NDArray | None = None, temperature: float = 1.0
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Means <s_i>, shape (N,), and second moments <s_i s_j>, shape (N, N)."""
    states = all_states(len(couplings)).astype(float)
    probability = boltzmann(couplings, fields, temperature)
    return probability @ states, (states * probability[:, None]).T @ states


def draw(
    couplings: NDArray,
    n_samples: int,
    fields: NDArray | None = None,
    temperature: float = 1.0,
    seed: int | np.random.Generator = 0,
) -> NDArray[np.int8]:
    """Independent exact samples, shape (n_samples, N)."""
    rng = np.random.default_rng(seed)
    rows = rng.choice(2 ** len(couplings), size=n_samples, p=boltzmann(couplings, fields, temperature))
    return all_states(len(couplings))[rows]


def random_couplings(n_spins: int, scale: float, seed: int | np.random.Generator = 0) -> NDArray[np.float64]:
    """Symmetric Gaussian couplings, zero diagonal, standard deviation scale / sqrt(N)."""
    upper = np.triu(np.random.default_rng(seed).normal(0.0, scale / np.sqrt(n_spins), (n_spins, n_spins)), 1)
    return upper + upper.T
