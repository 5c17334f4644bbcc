"""The way of all dynamics that update one spin at a time: they differ in the law of their thresholds only."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from simulate.dynamics.base import Dynamics, Schedule
from simulate.dynamics.local_fields import local_fields

__all__ = ["SpinDynamics", "Thresholds", "generator_state"]

# fills thresholds (n_updates, n_chains), in units of the fields, for the sites (n_updates,) visited in turn
Thresholds = Callable[[NDArray[np.int32], NDArray[np.float32]], None]

# thresholds drawn in one go (4 bytes each): they stay in the processor's cache. With few chains these are many updates,
# since threads that come back to the interpreter every instant would wait for each other
_THRESHOLDS_AT_ONCE = 1 << 18
_FEWEST_UPDATES_AT_ONCE = 4096
# below this many chains in a run the lanes of one instruction would stay half empty
_FEW_CHAINS = 16
# sweeps after which fields are computed afresh; single-precision rounding stays near 1e-5 of a field till then
_SWEEPS_BETWEEN_REFRESHES = 50


def generator_state(seeds: list[np.random.SeedSequence]) -> NDArray[np.uint32]:
    """State (4, n_chains) of the compiled generators of the chains, nowhere all zero."""
    state = np.array([seed.generate_state(4, np.uint32) for seed in seeds], dtype=np.uint32)
    state[:, 0] |= ~state.any(axis=1)
    return np.ascontiguousarray(state.T)


class SpinDynamics(Dynamics):
    """Random-sequential updates s_i = sign(h_i + threshold), where the dynamics is in the law of the thresholds.

    A subclass writes `threshold_source`. With `metropolis` a spin turns where s_i h_i falls below the threshold.
    """

    variable: ClassVar[str] = "spins"
    dtype: ClassVar[type] = np.int8
    metropolis: ClassVar[bool] = False
    fields: Any

    @property
    def ticks_per_unit(self) -> int:
        return self.n_spins

    @abstractmethod
    def threshold_source(self, state: NDArray[np.uint32], generators: list[np.random.Generator]) -> Thresholds:
        """Source of the thresholds that the spins of a group of chains meet.

        `generators` are for what is drawn once, such as the memory that a chain starts with.

        Parameters
        ----------
        state : ndarray of uint32, shape (4, n_chains)
            Compiled generators of the chains.
        generators : list of Generator
            For what is drawn once, such as the memory that a chain starts with.

        Returns
        -------
        callable
            Fills an array (n_updates, n_chains) with thresholds, in the units of the couplings, for the sites
            (n_updates,) that are visited in turn.
        """

    def trajectories(
        self,
        chain_seeds: list[np.random.SeedSequence],
        shared_seed: np.random.SeedSequence,
        initial: NDArray[np.float64] | None,
        schedule: Schedule,
        advanced: Callable[[int], Any],
    ) -> NDArray[np.int8]:
        n_chains, n_spins = len(chain_seeds), self.n_spins
        generators = [np.random.default_rng(seed) for seed in chain_seeds]
        random_start = [np.where(rng.random(n_spins) < 0.5, -1, 1) for rng in generators]
        spins = np.asarray(random_start if initial is None else initial).astype(np.int8)
        thresholds = self.threshold_source(generator_state(chain_seeds), generators)
        # all chains visit the sites in one order: given the order they are independent, and one load of a site's
        # couplings serves every chain
        order = np.random.default_rng(shared_seed)
        fields = local_fields(self.couplings, self.fields, spins, few=schedule.chains < _FEW_CHAINS)
        # from the number of all chains, not of those of this group, on which results must not depend
        at_once = max(_THRESHOLDS_AT_ONCE // max(schedule.chains, 4), _FEWEST_UPDATES_AT_ONCE)
        noise = np.empty((at_once, n_chains), dtype=np.float32)
        nothing = np.empty((n_chains, 0, n_spins), dtype=np.int8)
        since_refresh = 0

        def run(updates: int, every: int, record: NDArray[np.int8]) -> None:
            nonlocal since_refresh
            for first in range(0, updates, at_once):
                count = min(at_once, updates - first)
                if since_refresh >= _SWEEPS_BETWEEN_REFRESHES * n_spins:
                    fields.refresh()
                    since_refresh = 0
                sites = order.integers(0, n_spins, size=count, dtype=np.int32)
                thresholds(sites, noise[:count])
                fields.advance(sites, noise[:count], self.metropolis, every, record)
                since_refresh += count
                advanced(count * n_chains)

        run(schedule.burn_in, 0, nothing)
        record = np.empty((n_chains, schedule.draws, n_spins), dtype=np.int8)
        draws_at_once = at_once // schedule.thin
        if draws_at_once == 0:
            for draw in range(schedule.draws):
                run(schedule.thin, 0, nothing)
                record[:, draw] = fields.states()
            return record
        for first in range(0, schedule.draws, draws_at_once):
            part = np.empty((n_chains, min(draws_at_once, schedule.draws - first), n_spins), dtype=np.int8)
            run(part.shape[1] * schedule.thin, schedule.thin, part)
            record[:, first : first + part.shape[1]] = part
        return record
