"""Chains of heat-bath updates that live on while couplings change."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from simulate.dynamics.local_fields import DenseFields
from simulate.dynamics.spin_dynamics import generator_state
from simulate.dynamics.threshold_kernels import fill_logistic

_UPDATES_AT_ONCE = 4096


class PersistentChains:
    """Chains of random-sequential heat-bath updates at temperature 1, in compiled code.

    Parameters
    ----------
    spins : array (n_chains, n_spins) of +-1
        Where the chains start.
    seed : int
        Same seed, same chains.
    """

    def __init__(self, spins: NDArray, seed: int) -> None:
        shared, chains = np.random.SeedSequence(seed).spawn(2)
        self.spins = np.array(spins, dtype=np.int8)
        self._state = generator_state(chains.spawn(len(self.spins)))
        self._order = np.random.default_rng(shared)

    def advance(
        self, couplings: NDArray[np.float64], fields: NDArray[np.float64], n_sweeps: int, *, record: bool = False
    ) -> NDArray[np.int8]:
        """Advance all chains by some sweeps; their states after each sweep (n_chains, n_sweeps, n_spins) if asked."""
        n_chains, n_spins = self.spins.shape
        local = DenseFields(couplings, fields, self.spins, few=False)
        total = n_spins * n_sweeps
        noise = np.empty((min(total, _UPDATES_AT_ONCE), n_chains), dtype=np.float32)
        states = np.empty((n_chains, n_sweeps if record else 0, n_spins), dtype=np.int8)
        every = n_spins if record else total + 1
        for first in range(0, total, _UPDATES_AT_ONCE):
            count = min(_UPDATES_AT_ONCE, total - first)
            sites = self._order.integers(0, n_spins, size=count, dtype=np.int32)
            fill_logistic(self._state, np.float32(1.0), noise[:count])
            local.advance(sites, noise[:count], False, first, every, states)
        self.spins = local.states()
        return states
