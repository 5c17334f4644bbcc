"""Kinetic Ising model: couplings need not be symmetric, spins are updated in turn or all together."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from simulate.checks import check_number
from simulate.dynamics import threshold_kernels as kernels
from simulate.dynamics.dynamics import Schedule, Start, even_groups, random_spins
from simulate.dynamics.spin_dynamics import CompiledSpinDynamics, Thresholds, check_model, streams

__all__ = ["KineticIsing"]


@dataclass(frozen=True, eq=False)
class KineticIsing(CompiledSpinDynamics):
    """Kinetic Ising model with couplings J_ij, with which j acts on i, that need not be symmetric.

    A spin is set to s_i = +1 with probability 1 / (1 + exp(-2 h_i / T)), h_i = sum_j J_ij s_j + H_i: one random spin
    after the other, or all spins at once from the state before. One unit of time is a sweep of N single updates, or one
    parallel update. With symmetric couplings and single updates this is `Glauber`; with asymmetric ones detailed
    balance is broken.

    Parameters
    ----------
    couplings : array_like or scipy sparse matrix (n_spins, n_spins) or PatternCouplings
        Zero diagonal; may be asymmetric.
    temperature : float
        T > 0, in the units of the couplings.
    update : {"sequential", "parallel"}
    fields : array_like of shape (n_spins,), float or None
        External fields H, in the units of the couplings.

    Raises
    ------
    ValueError
        If a parameter is out of its range, or the couplings are not finite or have a diagonal.

    References
    ----------
    Crisanti, Sompolinsky 1988, Phys. Rev. A 37, 4865; Roudi, Hertz 2011, Phys. Rev. Lett. 106, 048702.
    """

    couplings: Any
    temperature: float
    update: str = "sequential"
    fields: ArrayLike | None = None

    def __post_init__(self) -> None:
        check_model(self, symmetric=False)
        object.__setattr__(self, "temperature", check_number(self.temperature, "temperature", low=0.0, open_low=True))
        if self.update not in ("sequential", "parallel"):
            raise ValueError(f"update must be 'sequential' or 'parallel', got {self.update!r}")

    @property
    def ticks_per_unit(self) -> int:
        return self.n_spins if self.update == "sequential" else 1

    def group_sizes(self, chains: int, n_jobs: int) -> list[int]:
        if self.update == "sequential":
            return super().group_sizes(chains, n_jobs)
        return even_groups(chains)

    def sources(self, state: NDArray[np.uint32], generators: list[np.random.Generator]) -> Thresholds:
        scale = self.in_units(self.temperature)
        return Thresholds(lambda sites, out: kernels.fill_logistic(state, scale, out))

    def trajectories(
        self,
        chain_seeds: list[np.random.SeedSequence],
        start: Start,
        schedule: Schedule,
        advanced: Callable[[int], Any],
    ) -> tuple[NDArray[np.int8], NDArray[Any] | None]:
        if self.update == "sequential":
            return super().trajectories(chain_seeds, start, schedule, advanced)
        n_chains, n_spins = len(chain_seeds), self.n_spins
        generators = [np.random.default_rng(seed) for seed in chain_seeds]
        states = random_spins(generators, n_spins) if start.states is None else start.states
        spins = np.array(states, dtype=np.float64).T
        thresholds = self.sources(streams(chain_seeds)[1], generators)
        external = np.zeros((n_spins, 1)) if self.fields is None else np.asarray(self.fields)[:, None]
        every_site = np.tile(np.arange(n_spins, dtype=np.int32), (n_chains, 1))
        noise = np.empty((n_chains, n_spins), dtype=np.float32)
        record = np.empty((n_chains, schedule.draws, n_spins), dtype=np.int8)
        for tick in range(1, schedule.duration + 1):
            thresholds.fill(every_site, noise)
            spins = np.where(self.couplings @ spins + external + self.unit * noise.T.astype(np.float64) >= 0, 1.0, -1.0)
            draw, rest = divmod(tick - schedule.burn_in, schedule.thin)
            if draw >= 1 and rest == 0:
                record[:, draw - 1] = spins.T
            advanced(n_chains)
        return record, None
