"""Chains of heat-bath updates that live on while couplings change."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from simulate.dynamics.dynamics import Schedule
from simulate.dynamics.local_fields import DenseFields
from simulate.dynamics.spin_dynamics import advance_chains, streams
from simulate.dynamics.threshold_kernels import fill_logistic

# chains advanced together: their numbers stay in the second cache
_CHAINS_AT_ONCE = 8


class PersistentChains:
    """Chains of random-sequential heat-bath updates at temperature 1, in compiled code, each with sites of its own.

    Parameters
    ----------
    spins : array (n_chains, n_spins) of +-1
        Where the chains start.
    seed : int
        Same seed, same chains.
    """

    def __init__(self, spins: NDArray, seed: int) -> None:
        self.spins = np.array(spins, dtype=np.int8)
        self._order, self._state = streams(np.random.SeedSequence(seed).spawn(len(self.spins)))

    def advance(
        self, couplings: NDArray[np.float64], fields: NDArray[np.float64], n_sweeps: int, *, record: bool = False
    ) -> NDArray[np.int8]:
        """Advance all chains by some sweeps; their states after each sweep (n_chains, n_sweeps, n_spins) if asked."""
        n_chains, n_spins = self.spins.shape
        local = DenseFields(couplings, fields)
        states = np.empty((n_chains, n_sweeps if record else 0, n_spins), dtype=np.int8)
        # without a record all of it is burn-in
        schedule = Schedule(n_chains, n_sweeps, 0, n_spins) if record else Schedule(n_chains, 0, n_sweeps * n_spins, 1)
        for first in range(0, n_chains, _CHAINS_AT_ONCE):
            part = slice(first, first + _CHAINS_AT_ONCE)
            state = self._state[part]

            def fill(sites: NDArray[np.int32], out: NDArray[np.float32], state: NDArray[np.uint32] = state) -> None:
                fill_logistic(state, np.float32(1.0), out)

            local.start(self.spins[part])
            advance_chains(local, self._order[part], fill, n_spins, schedule, states[part])
            self.spins[part] = local.states()
        return states
