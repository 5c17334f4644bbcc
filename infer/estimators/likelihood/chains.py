"""Persistent chains of heat-bath updates, which continue when couplings change."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from infer.estimators.likelihood.chain_kernels import sweep_chains
from simulate.threads import check_stop

LANES = 32  # generators of a chain, which produce its next thresholds together
REGISTER = 32  # single-precision numbers that rows of couplings are padded to a multiple of
UPDATES_AT_ONCE = 10_000_000  # of spins, between two moments at which an interrupt is heeded: up to about a second


def chain_generators(n_chains: int, seed: int | np.random.SeedSequence) -> NDArray[np.uint32]:
    """States (n_chains, 4, lanes) of the generators of compiled chains, different for all chains, none of them zero."""
    root = seed if isinstance(seed, np.random.SeedSequence) else np.random.SeedSequence(seed)
    state = np.stack([child.generate_state(4 * LANES, np.uint32) for child in root.spawn(n_chains)])
    state = state.reshape(n_chains, 4, LANES)
    state[:, 0] |= ~state.any(axis=1)
    return np.asarray(state, dtype=np.uint32)


def padded(couplings: NDArray) -> NDArray[np.float32]:
    """Couplings in single precision, with each row padded by zeros to whole vector registers."""
    n_spins = len(couplings)
    result = np.zeros((n_spins, -(-n_spins // REGISTER) * REGISTER), dtype=np.float32)
    result[:, :n_spins] = couplings
    np.fill_diagonal(result, 0.0)
    return result


class PersistentChains:
    """Independent chains of heat-bath sweeps at temperature 1, in compiled code.

    Parameters
    ----------
    spins : array (n_chains, n_spins) of +-1
        States from which the chains start.
    seed : int or SeedSequence
        The same seed gives the same chains.
    """

    def __init__(self, spins: NDArray, seed: int | np.random.SeedSequence) -> None:
        self.spins = np.array(spins, dtype=np.int8, order="C")
        self._state = chain_generators(len(self.spins), seed)

    def advance(
        self,
        couplings: NDArray[np.float64],
        fields: NDArray[np.float64],
        n_sweeps: int,
        *,
        record: bool = False,
        every: int = 1,
        half_steps: NDArray[np.float64] | None = None,
        pattern: NDArray[np.int8] | None = None,
    ) -> NDArray[np.int8]:
        """
        Advance all chains by some sweeps; their states (n_chains, n_sweeps // every, n_spins) if ``record`` is set.

        ``half_steps`` (n_spins,) is the additional field on a spin when 0, 1, ... others are +1; with a ``pattern``
        (n_spins,) of -1 and +1, the field along the pattern when 0, 1, ... others agree with it.
        """
        if pattern is not None and (pattern < 0).any():
            # spins that count as +1 where they agree with the pattern
            self.spins *= pattern
            turned = np.outer(pattern, pattern) * couplings, pattern * fields
            states = self.advance(*turned, n_sweeps, record=record, every=every, half_steps=half_steps)
            self.spins *= pattern
            states *= pattern
            return states
        n_chains, n_spins = self.spins.shape
        kept = n_sweeps // every if record else 0
        states = np.empty((n_chains, kept, n_spins), dtype=np.int8)
        steps = np.zeros(n_spins) if half_steps is None else half_steps
        fixed = padded(couplings), np.asarray(fields, dtype=np.float32), np.asarray(steps, dtype=np.float32)
        count = max(1, UPDATES_AT_ONCE // max(1, n_sweeps * n_spins))
        for first in range(0, n_chains, count):
            check_stop()
            part = slice(first, first + count)
            sweep_chains(
                self._state[part], *fixed, self.spins[part], n_sweeps, every if record else n_sweeps + 1, states[part]
            )
        return states
