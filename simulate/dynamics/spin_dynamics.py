"""Base class of dynamics that update one spin at a time and differ only in the distribution of thresholds."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from simulate.checks import check_fields
from simulate.couplings import check_couplings
from simulate.dynamics.dynamics import Dynamics, Schedule, Start, random_spins
from simulate.dynamics.local_fields import LocalFields, largest_field, local_fields, unit_of_energy
from simulate.dynamics.threshold_kernels import fill_sites
from simulate.vector_intrinsics import LANES

__all__ = [
    "CompiledSpinDynamics",
    "SpinDynamics",
    "Thresholds",
    "advance_chains",
    "check_model",
    "generator_state",
    "streams",
]

Fill = Callable[[NDArray[np.int32], NDArray[Any]], None]

# updates whose sites and thresholds a chain draws in one call, in whole rows of its generators, since the rest of a row
# is discarded. The numbers of a few chains (8 bytes per update) stay in the second-level cache until they are used;
# rows of an odd number of cache lines do not all map to the same places of the first
_UPDATES_AT_ONCE = 16 * 255
_FEWEST_CHAINS_AT_ONCE = 8
# sweeps after which fields are recomputed: single-precision rounding errors have then grown to about 1e-5 of a field
# (measured for 1000 spins; they grow as the square root of the sweeps), while a refresh takes as long as some sweeps
_SWEEPS_BETWEEN_REFRESHES = 1000


@dataclass
class Thresholds:
    """Source of thresholds, and its memory from one update to the next.

    Parameters
    ----------
    fill : callable
        Fills an array with thresholds, in the units of the couplings, for the sites that are visited in turn.
    memory : ndarray, shape (..., n_spins), optional
        Changed by `fill` in place. `sample` keeps it for continued runs (`continue_from`).
    finish : callable, optional
        Called once after the last update, to advance `memory` to the end of the run.
    """

    fill: Fill
    memory: NDArray[Any] | None = None
    finish: Callable[[], None] | None = None


def generator_state(seeds: list[np.random.SeedSequence], lanes: int = 1) -> NDArray[np.uint32]:
    """State (4, n_seeds * lanes) of compiled generators, `lanes` of them from each seed; no state is zero."""
    state = np.concatenate([seed.generate_state(4 * lanes, np.uint32).reshape(lanes, 4) for seed in seeds])
    state[:, 0] |= ~state.any(axis=1)
    return np.ascontiguousarray(state.T)


def streams(seeds: list[np.random.SeedSequence]) -> tuple[NDArray[np.uint32], NDArray[np.uint32]]:
    """Two streams of each chain, for its sites and for its thresholds, each (n_chains, 4, 16); no state is zero."""
    state = np.array([seed.generate_state(8 * LANES, np.uint32) for seed in seeds]).reshape(-1, 2, LANES, 4)
    state[..., 0] |= ~state.any(axis=-1)
    sites, thresholds = np.ascontiguousarray(state.transpose(1, 0, 3, 2))
    return sites, thresholds


def check_model(owner: Any, *, symmetric: bool = True) -> None:
    """Check couplings and fields of a dynamics, and convert them to the form used for computation."""
    object.__setattr__(owner, "couplings", check_couplings(owner.couplings, symmetric=symmetric))
    object.__setattr__(owner, "fields", check_fields(owner.fields, owner.n_spins))


def advance_chains(
    fields: LocalFields,
    order: NDArray[np.uint32],
    fill: Fill,
    n_spins: int,
    schedule: Schedule,
    record: NDArray[np.int8],
    *,
    metropolis: bool = False,
    advanced: Callable[[int], Any] | None = None,
) -> None:
    """Update spins of the chains that `fields` holds, each at random sites from its own stream in `order`.

    `fill` is given sites and thresholds (n_chains, n_updates), in the unit of the fields.
    """
    n_chains = len(order)
    size = n_chains * min(_UPDATES_AT_ONCE, schedule.duration)
    sites_at_once, noise_at_once = np.empty(size, dtype=np.int32), np.empty(size, dtype=np.float32)
    since_refresh = 0
    for first in range(0, schedule.duration, _UPDATES_AT_ONCE):
        count = min(_UPDATES_AT_ONCE, schedule.duration - first)
        if since_refresh >= _SWEEPS_BETWEEN_REFRESHES * n_spins:
            fields.refresh()
            since_refresh = 0
        sites = sites_at_once[: n_chains * count].reshape(n_chains, count)
        noise = noise_at_once[: n_chains * count].reshape(n_chains, count)
        fill_sites(order, n_spins, sites)
        fill(sites, noise)
        fields.advance(sites, noise, metropolis, first - schedule.burn_in, schedule.thin, record)
        since_refresh += count
        if advanced is not None:
            advanced(count * n_chains)


def _chain_by_chain(chains: list[Thresholds], unit: float) -> Thresholds:
    """One source for several chains, in a unit of energy, from one source for each chain in units of the couplings."""
    remembering = [chain for chain in chains if chain.memory is not None]
    memory = np.array([chain.memory for chain in remembering]) if len(remembering) == len(chains) else None
    begun = False

    def fill(sites: NDArray[np.int32], out: NDArray[np.float32]) -> None:
        nonlocal begun
        if memory is not None and not begun:  # the array may have been replaced by that of a continued run
            for chain, row in zip(chains, memory, strict=True):
                np.copyto(np.asarray(chain.memory), row)
        begun = True
        for chain, own_sites, own in zip(chains, sites, out, strict=True):
            values = np.empty(len(own))
            chain.fill(own_sites, values)
            own[:] = values / unit

    def finish() -> None:
        for k, chain in enumerate(chains):
            if chain.finish is not None:
                chain.finish()
            if memory is not None:
                memory[k] = chain.memory

    return Thresholds(fill, memory, finish)


class SpinDynamics(Dynamics):
    """Random-sequential updates s_i = sign(h_i + threshold); the distribution of thresholds defines the dynamics.

    A subclass implements `threshold_source`. With `metropolis` a spin flips where s_i h_i is below the threshold. Every
    chain visits the sites in its own random order.
    """

    variable: ClassVar[str] = "spins"
    dtype: ClassVar[type] = np.int8
    metropolis: ClassVar[bool] = False
    fields: Any

    @property
    def ticks_per_unit(self) -> int:
        return self.n_spins

    @cached_property
    def unit(self) -> float:
        """Energy by which couplings, fields and thresholds are divided before they are cast to single precision."""
        largest = largest_field(self.couplings, self.fields)
        return unit_of_energy(largest) if largest > 0 else 1.0

    @abstractmethod
    def threshold_source(self, rng: np.random.Generator) -> Thresholds | Fill:
        """Source of the thresholds of one chain.

        Parameters
        ----------
        rng : Generator
            Generator of the chain.

        Returns
        -------
        callable or Thresholds
            Fills an array (n_updates,) with thresholds, in the units of the couplings, for the sites
            (n_updates,) that the chain visits in turn. `Thresholds` also holds a memory, (n_spins,).
        """

    def sources(self, state: NDArray[np.uint32], generators: list[np.random.Generator]) -> Thresholds:
        """Source of the thresholds of several chains, (n_chains, n_updates), in the `unit`.

        Parameters
        ----------
        state : ndarray of uint32, shape (n_chains, 4, 16)
            Compiled generators of each chain.
        generators : list of Generator
            One generator for each chain.

        Returns
        -------
        Thresholds
            With memory (n_chains, n_spins) where the dynamics has one.
        """
        found = [self.threshold_source(rng) for rng in generators]
        chains = [source if isinstance(source, Thresholds) else Thresholds(source) for source in found]
        return _chain_by_chain(chains, self.unit)

    def trajectories(
        self,
        chain_seeds: list[np.random.SeedSequence],
        start: Start,
        schedule: Schedule,
        advanced: Callable[[int], Any],
    ) -> tuple[NDArray[np.int8], NDArray[Any] | None]:
        n_chains, n_spins = len(chain_seeds), self.n_spins
        fields = local_fields(self.couplings, self.fields, self.unit)
        record = np.empty((n_chains, schedule.draws, n_spins), dtype=np.int8)
        memories: list[NDArray[Any] | None] = []
        most = max(_FEWEST_CHAINS_AT_ONCE * _UPDATES_AT_ONCE // min(_UPDATES_AT_ONCE, schedule.duration), 1)
        for first in range(0, n_chains, most):
            part = slice(first, first + most)
            memories.append(
                self._advance_part(fields, chain_seeds[part], start[part], schedule, record[part], advanced)
            )
        kept = [memory for memory in memories if memory is not None]
        return record, np.concatenate(kept) if kept else None

    def _advance_part(
        self,
        fields: LocalFields,
        seeds: list[np.random.SeedSequence],
        start: Start,
        schedule: Schedule,
        record: NDArray[np.int8],
        advanced: Callable[[int], Any],
    ) -> NDArray[Any] | None:
        """Recorded states of the chains of these seeds, and the memory of their spins at the end."""
        generators = [np.random.default_rng(seed) for seed in seeds]
        spins = random_spins(generators, self.n_spins) if start.states is None else start.states.astype(np.int8)
        order, state = streams(seeds)
        thresholds = self.sources(state, generators)
        if thresholds.memory is not None and start.memory is not None:
            thresholds.memory[...] = start.memory
        fields.start(spins)
        advance_chains(
            fields,
            order,
            thresholds.fill,
            self.n_spins,
            schedule,
            record,
            metropolis=self.metropolis,
            advanced=advanced,
        )
        if thresholds.finish is not None:
            thresholds.finish()
        return thresholds.memory


class CompiledSpinDynamics(SpinDynamics):
    """Single-spin dynamics at a temperature with thresholds drawn by compiled code, for several chains in one call.

    A subclass implements `sources`, with thresholds in the `unit`.
    """

    temperature: Any

    @cached_property
    def unit(self) -> float:
        return unit_of_energy(float(np.min(self.temperature)))

    def in_units(self, temperature: float) -> np.float32:
        """Convert a temperature to the `unit` of the chains.

        Parameters
        ----------
        temperature : float
            In the units of the couplings.

        Returns
        -------
        float32

        Raises
        ------
        ValueError
            If it is outside the range of single precision.
        """
        ratio = temperature / self.unit
        if ratio > 1e30:
            raise ValueError(
                f"temperatures {temperature:.3g} and about {self.unit:.3g} are too far apart for single precision, in "
                "which chains compute, up to a factor 1e+30: bring them closer together"
            )
        return np.float32(ratio)

    def threshold_source(self, rng: np.random.Generator) -> Thresholds:
        seed = np.random.SeedSequence(int.from_bytes(rng.bytes(16), "little"))
        several = self.sources(streams([seed])[1], [rng])
        unit = self.unit

        def fill(sites: NDArray[np.int32], out: NDArray[np.float32]) -> None:
            several.fill(sites[None], out[None])
            out *= unit

        memory = None if several.memory is None else several.memory[0]
        return Thresholds(fill, memory, several.finish)
