"""The way of all dynamics that update one spin at a time: they differ in the law of their thresholds only."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from simulate.checks import check_fields
from simulate.couplings import check_couplings
from simulate.dynamics.dynamics import Dynamics, Schedule, random_spins
from simulate.dynamics.local_fields import local_fields
from simulate.dynamics.threshold_kernels import fill_sites

__all__ = ["FEW_CHAINS", "LANES_OF_A_CHAIN", "SpinDynamics", "Thresholds", "check_model", "generator_state"]

# fills thresholds (n_updates, n_chains), in units of the fields, for the sites (n_updates,) visited in turn
Thresholds = Callable[[NDArray[np.int32], NDArray[np.float32]], None]

# thresholds drawn in one go (4 bytes each): they stay in the processor's cache. With few chains these are many updates,
# since threads that come back to the interpreter every instant would wait for each other
_THRESHOLDS_AT_ONCE = 1 << 18
_FEWEST_UPDATES_AT_ONCE = 4096
# below this many chains in a run the lanes of one instruction would stay half empty; each chain then has its own
# thresholds made, with as many generators as fill the widest registers
FEW_CHAINS = 16
LANES_OF_A_CHAIN = 16
# sweeps after which fields are computed afresh: single-precision rounding has then grown to about 1e-5 of a field
# (measured for 1000 spins; it grows as the square root of the sweeps), while a refresh costs as much as some sweeps
_SWEEPS_BETWEEN_REFRESHES = 1000


def generator_state(seeds: list[np.random.SeedSequence], lanes: int = 1) -> NDArray[np.uint32]:
    """State (4, n_seeds * lanes) of compiled generators, `lanes` of them from each seed, nowhere all zero."""
    state = np.concatenate([seed.generate_state(4 * lanes, np.uint32).reshape(lanes, 4) for seed in seeds])
    state[:, 0] |= ~state.any(axis=1)
    return np.ascontiguousarray(state.T)


def check_model(owner: Any, *, symmetric: bool = True) -> None:
    """Couplings and fields of a dynamics, checked and as they are computed with."""
    object.__setattr__(owner, "couplings", check_couplings(owner.couplings, symmetric=symmetric))
    object.__setattr__(owner, "fields", check_fields(owner.fields, owner.n_spins))


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

        Parameters
        ----------
        state : ndarray of uint32, shape (4, n_lanes)
            Compiled generators: one of each chain, or any number that belong to the only chain.
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
        spins = random_spins(generators, n_spins) if initial is None else initial.astype(np.int8)
        few = schedule.chains < FEW_CHAINS
        if few:
            thresholds = _chain_by_chain(self, chain_seeds, generators)
        else:
            thresholds = self.threshold_source(generator_state(chain_seeds), generators)
        # all chains visit the sites in one order: given the order they are independent, and one load of a site's
        # couplings serves every chain
        order = generator_state([shared_seed], LANES_OF_A_CHAIN)
        fields = local_fields(self.couplings, self.fields, spins, few=few)
        # from the number of all chains, not of those of this group, on which results must not depend
        at_once = max(_THRESHOLDS_AT_ONCE // max(schedule.chains, 4), _FEWEST_UPDATES_AT_ONCE)
        # in whole rows of the lanes of a chain by itself: what is left of a row is lost
        at_once -= at_once % LANES_OF_A_CHAIN
        sites_at_once = np.empty(at_once, dtype=np.int32)
        noise_at_once = np.empty(at_once * n_chains, dtype=np.float32)
        record = np.empty((n_chains, schedule.draws, n_spins), dtype=np.int8)
        since_refresh = 0
        for first in range(0, schedule.duration, at_once):
            count = min(at_once, schedule.duration - first)
            if since_refresh >= _SWEEPS_BETWEEN_REFRESHES * n_spins:
                fields.refresh()
                since_refresh = 0
            sites, noise = sites_at_once[:count], noise_at_once[: count * n_chains]
            noise = noise.reshape(n_chains, count).T if few else noise.reshape(count, n_chains)
            fill_sites(order, n_spins, sites)
            thresholds(sites, noise)
            fields.advance(sites, noise, self.metropolis, first - schedule.burn_in, schedule.thin, record)
            since_refresh += count
            advanced(count * n_chains)
        return record


def _chain_by_chain(
    dynamics: SpinDynamics, chain_seeds: list[np.random.SeedSequence], generators: list[np.random.Generator]
) -> Thresholds:
    """Source of the thresholds of few chains, each with generators of its own that make its next updates together."""
    sources = [
        dynamics.threshold_source(generator_state([seed], LANES_OF_A_CHAIN), [rng])
        for seed, rng in zip(chain_seeds, generators, strict=True)
    ]

    def fill(sites: NDArray[np.int32], out: NDArray[np.float32]) -> None:
        for chain, source in enumerate(sources):
            source(sites, out[:, chain : chain + 1])

    return fill
