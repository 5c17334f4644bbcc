"""Equilibrium by block Gibbs sampling: all spins at once given Gaussian hidden units, and conversely."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from simulate.checks import check_fields, check_number
from simulate.couplings import PatternCouplings, check_couplings
from simulate.dynamics import threshold_kernels as kernels
from simulate.dynamics.dynamics import Dynamics, Schedule, Start, even_groups, random_spins
from simulate.dynamics.local_fields import check_range
from simulate.dynamics.responses import EquilibriumResponse
from simulate.dynamics.spin_dynamics import generator_state

__all__ = ["BlockGibbs", "LayerChains", "layer_factor"]

# random numbers drawn in one call, for each chain: they fit into the processor's cache
_NUMBERS_AT_ONCE = 4096
_NULL = 1e-12  # eigenvalues below this fraction of the largest count as zero


def layer_factor(couplings: Any) -> NDArray[np.float64]:
    """Matrix A (n_hidden, n_spins) with A^T A = J off the diagonal, and as few rows as possible.

    Patterns give one hidden unit each. A full matrix is factored by its eigenvectors after its lowest eigenvalue has
    been subtracted from the diagonal, the smallest shift that makes all eigenvalues of A^T A non-negative.
    """
    if isinstance(couplings, PatternCouplings):
        n_patterns, n_spins = couplings.patterns.shape
        if n_patterns < n_spins:
            return np.asarray(np.linalg.cholesky(couplings.kernel).T @ couplings.patterns)
    matrix = couplings.toarray() if hasattr(couplings, "toarray") else np.asarray(couplings)
    values, vectors = np.linalg.eigh(matrix)
    values = values - values[0]
    kept = values > _NULL * max(values[-1], 1e-300)
    return np.sqrt(values[kept])[:, None] * vectors[:, kept].T


class LayerChains:
    """Chains that alternate between spins and Gaussian hidden units; couplings may change between sweeps.

    Parameters
    ----------
    spins : array (n_chains, n_spins) of +-1
        Initial states.
    seeds : list of SeedSequence
        One for each chain. The same seeds and calls give the same chains.
    """

    def __init__(self, spins: NDArray[Any], seeds: list[np.random.SeedSequence]) -> None:
        self._spins = np.ascontiguousarray(np.asarray(spins).T, dtype=np.float32)
        self._visible = generator_state(seeds)
        # separate streams for the hidden units, so that the draws of one layer do not shift those of the other
        self._hidden = generator_state(
            [np.random.SeedSequence(seed.entropy, spawn_key=(*seed.spawn_key, 1)) for seed in seeds]
        )

    @property
    def spins(self) -> NDArray[np.float32]:
        """Current spins, (n_spins, n_chains)."""
        return self._spins

    def advance(
        self,
        factor: NDArray[np.float32],
        external: NDArray[np.float32],
        n_sweeps: int,
        after_sweep: Callable[[NDArray[np.float32]], Any],
    ) -> None:
        """Run sweeps at temperature 1; `after_sweep` is called with the spins (n_spins, n_chains) after each."""
        (n_hidden, n_spins), n_chains = factor.shape, self._spins.shape[1]
        at_once = max(1, min(n_sweeps, _NUMBERS_AT_ONCE // max(n_spins, n_hidden, 1)))
        normals = np.empty((at_once, n_hidden, n_chains), dtype=np.float32)
        thresholds = np.empty((at_once, n_spins, n_chains), dtype=np.float32)
        for first in range(0, n_sweeps, at_once):
            count = min(at_once, n_sweeps - first)
            kernels.fill_normals(self._hidden, normals[:count].reshape(-1))
            kernels.fill_logistic_lanes(self._visible, thresholds[:count].reshape(-1))
            for k in range(count):
                sweep_layers(self._spins, factor, external, normals[k], thresholds[k])
                after_sweep(self._spins)


def sweep_layers(
    spins: NDArray[np.float32],
    factor: NDArray[np.float32],
    external: NDArray[np.float32],
    normals: NDArray[np.float32],
    thresholds: NDArray[np.float32],
) -> None:
    """Draw hidden units y = A s + normals, then spins s = sign(A^T y + external + thresholds), in place.

    spins and thresholds (n_spins, n_chains), factor A (n_hidden, n_spins), normals (n_hidden, n_chains); normals and
    thresholds are overwritten; thresholds are logistic, with the density of 1/2 log(u / (1 - u)).
    """
    normals += factor @ spins
    thresholds += factor.T @ normals
    thresholds += external[:, None]
    np.copysign(np.float32(1.0), thresholds, out=spins)


@dataclass(frozen=True, eq=False)
class BlockGibbs(Dynamics):
    r"""Equilibrium sampler that updates all spins at once, through hidden units (hybrid restricted Boltzmann machine).

    With a matrix A such that A^T A = J off the diagonal, the spins of

        P(s, y) ~ exp(-|y|^2 / 2 + y . A s / sqrt(T) + H . s / T),    y real, s = +-1,

    have the distribution exp(-E / T), E(s) = -1/2 sum_{i != j} J_ij s_i s_j - sum_i H_i s_i, once y is integrated out:
    the diagonal of A^T A is a constant since s_i^2 = 1. A sweep draws the hidden units given the spins (Gaussian, mean
    A s / sqrt(T), variance 1), then all spins given the hidden units (independent, in the field sqrt(T) A^T y + H).
    Detailed balance holds in each half.

    `PatternCouplings` give one hidden unit for each pattern, y = pattern overlaps and noise of covariance
    (1 + rate)(I + rate C)^-1, at any rate above the bound, and a sweep of O(P N). Other couplings are factored by their
    eigenvectors; with up to N hidden units, correlations then decay more slowly than under `Glauber`.

    Parameters
    ----------
    couplings : array_like, scipy sparse matrix (n_spins, n_spins) or PatternCouplings
        Symmetric with zero diagonal.
    temperature : float
        T > 0, in the units of the couplings.
    fields : array_like of shape (n_spins,), float or None
        External fields H, in the units of the couplings.

    Raises
    ------
    ValueError
        If a parameter is out of its range, or the couplings are not symmetric, not finite, or have a diagonal.

    References
    ----------
    Barra, Bernacchia, Santucci, Contucci 2012, Neural Networks 34, 1 (arXiv 1105.2790); Fachechi, Agliari, Barra 2019,
    Neural Networks 112, 24 (arXiv 1810.12217); Hubbard 1959, Phys. Rev. Lett. 3, 77.
    """

    couplings: Any
    temperature: float
    fields: ArrayLike | None = None

    variable: ClassVar[str] = "spins"
    dtype: ClassVar[type] = np.int8

    def __post_init__(self) -> None:
        object.__setattr__(self, "couplings", check_couplings(self.couplings))
        object.__setattr__(self, "temperature", check_number(self.temperature, "temperature", low=0.0, open_low=True))
        object.__setattr__(self, "fields", check_fields(self.fields, self.n_spins))

    def response(self) -> EquilibriumResponse:
        return EquilibriumResponse(self.temperature)

    @property
    def ticks_per_unit(self) -> int:
        return 1

    def group_sizes(self, chains: int, n_jobs: int) -> list[int]:
        return even_groups(chains)

    def trajectories(
        self,
        chain_seeds: list[np.random.SeedSequence],
        start: Start,
        schedule: Schedule,
        advanced: Callable[[int], Any],
    ) -> tuple[NDArray[np.int8], NDArray[Any] | None]:
        n_chains, n_spins = len(chain_seeds), self.n_spins
        random_start = random_spins([np.random.default_rng(seed) for seed in chain_seeds], n_spins)
        chains = LayerChains(random_start if start.states is None else start.states, chain_seeds)
        factor = layer_factor(self.couplings) / np.sqrt(self.temperature)
        strength = np.abs(factor)
        field = 0.0 if self.fields is None else np.abs(np.asarray(self.fields)).max()
        check_range(float((strength.T @ strength.sum(axis=1)).max() + field / self.temperature), self.temperature)
        external = np.zeros(n_spins) if self.fields is None else np.asarray(self.fields) / self.temperature
        record = np.empty((n_chains, schedule.draws, n_spins), dtype=np.int8)
        tick = 0

        def record_draw(spins: NDArray[np.float32]) -> None:
            nonlocal tick
            tick += 1
            draw, rest = divmod(tick - schedule.burn_in, schedule.thin)
            if draw >= 1 and rest == 0:
                record[:, draw - 1] = spins.T
            advanced(n_chains)

        chains.advance(factor.astype(np.float32), external.astype(np.float32), schedule.duration, record_draw)
        return record, None
