"""Spins that are updated one at a time, driven by thresholds with a memory."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from simulate._validation import check_couplings, check_fields, check_number
from simulate.dynamics import _threshold_kernels as kernels
from simulate.dynamics.base import Dynamics, Schedule
from simulate.dynamics.local_fields import local_fields

__all__ = ["PersistentGlauber", "SpinDynamics"]

# updates computed in one go: their thresholds (4 bytes a chain each) stay in the processor's cache
_UPDATES_AT_ONCE = 4096
# sweeps after which fields are computed afresh; single-precision rounding stays near 1e-5 of a field till then
_SWEEPS_BETWEEN_REFRESHES = 50


def _words(seed: np.random.SeedSequence) -> NDArray[np.uint32]:
    """State of the generator of one chain, never all zero."""
    state = seed.generate_state(4, np.uint32).astype(np.uint32)
    state[0] |= np.uint32(not state.any())
    return state


class SpinDynamics(Dynamics):
    """Random-sequential updates s_i = sign(h_i + threshold), where the dynamics is in the law of the thresholds.

    A subclass writes `threshold_source`: given the streams of the chains, a function (sites, out) that fills out
    (n_updates, n_chains) with the thresholds, in units of the fields, met at the sites visited in turn.
    """

    variable: ClassVar[str] = "spins"
    dtype: ClassVar[type] = np.int8
    fields: Any

    @abstractmethod
    def threshold_source(
        self, state: NDArray[np.uint32], generators: list[np.random.Generator]
    ) -> Callable[[NDArray[np.int32], NDArray[np.float32]], None]:
        """Function that fills thresholds for visited sites; `state` (4, n_chains) seeds the compiled generator."""

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
        state = np.ascontiguousarray(np.array([_words(seed) for seed in chain_seeds]).T)
        thresholds = self.threshold_source(state, generators)
        # all chains visit the sites in one order: given the order they are independent, and one load of a site's
        # couplings serves every chain
        order = np.random.default_rng(shared_seed)
        fields = local_fields(self.couplings, self.fields, spins)
        noise = np.empty((_UPDATES_AT_ONCE, n_chains), dtype=np.float32)
        nothing = np.empty((n_chains, 0, n_spins), dtype=np.int8)
        since_refresh = 0

        def run(updates: int, every: int, record: NDArray[np.int8]) -> None:
            nonlocal since_refresh
            for first in range(0, updates, _UPDATES_AT_ONCE):
                count = min(_UPDATES_AT_ONCE, updates - first)
                if since_refresh >= _SWEEPS_BETWEEN_REFRESHES * n_spins:
                    fields.refresh()
                    since_refresh = 0
                sites = order.integers(0, n_spins, size=count, dtype=np.int32)
                thresholds(sites, noise[:count])
                fields.advance(sites, noise[:count], False, every, record)
                since_refresh += count

        for first in range(0, schedule.burn_in, 16):
            sweeps = min(16, schedule.burn_in - first)
            run(sweeps * n_spins, 0, nothing)
            advanced(sweeps * n_chains)
        record = np.empty((n_chains, schedule.draws, n_spins), dtype=np.int8)
        at_once = max(1, _UPDATES_AT_ONCE // (schedule.thin * n_spins))
        for first in range(0, schedule.draws, at_once):
            draws = min(at_once, schedule.draws - first)
            updates = schedule.thin * n_spins
            if draws * updates <= _UPDATES_AT_ONCE:
                part = np.empty((n_chains, draws, n_spins), dtype=np.int8)
                run(draws * updates, updates, part)
                record[:, first : first + draws] = part
            else:
                run(updates, 0, nothing)
                record[:, first] = fields.states()
            advanced(draws * schedule.thin * n_chains)
        return record


@dataclass(frozen=True, eq=False)
class PersistentGlauber(SpinDynamics):
    """Persistent-threshold Glauber dynamics: active spins, out of equilibrium for persistence above 0.

    The energy is

        E(s) = -1/2 sum_{i != j} J_ij s_i s_j - sum_i H_i s_i.

    Each spin carries a threshold z_i with the density of 1/2 log(u / (1 - u)), u uniform on (0, 1). An update of a
    random spin i keeps z_i with probability `persistence`, else draws it anew, and sets

        s_i = sign(h_i + T z_i),    h_i = sum_j J_ij s_j + H_i.

    Persistence 0 is exactly heat-bath Glauber dynamics at temperature T, whose steady state is exp(-E / T);
    a redraw rate of 1 - persistence per sweep makes the noise coloured, with correlation exp(-(1 - persistence) t).

    Parameters
    ----------
    couplings : array_like, scipy sparse matrix (n_spins, n_spins) or PatternCouplings
        Symmetric with zero diagonal.
    temperature : float
        T > 0, in the units of the couplings.
    persistence : float
        Probability in [0, 1) that an update keeps the threshold.
    fields : array_like of shape (n_spins,), float or None
        External fields H, in the units of the couplings.

    Raises
    ------
    ValueError
        If a parameter is out of its range, or the couplings are not symmetric, not finite, or have a diagonal.

    References
    ----------
    Behera, Du, Jagadisan, Sastry, Rao, Vaikuntanathan 2024, arXiv 2410.06269. Glauber 1963, J. Math. Phys. 4, 294.
    """

    couplings: Any
    temperature: float
    persistence: float = 0.0
    fields: ArrayLike | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "couplings", check_couplings(self.couplings))
        object.__setattr__(self, "temperature", check_number(self.temperature, "temperature", low=0.0, open_low=True))
        object.__setattr__(
            self, "persistence", check_number(self.persistence, "persistence", low=0.0, high=1.0, open_high=True)
        )
        object.__setattr__(self, "fields", check_fields(self.fields, self.n_spins))

    def threshold_source(
        self, state: NDArray[np.uint32], generators: list[np.random.Generator]
    ) -> Callable[[NDArray[np.int32], NDArray[np.float32]], None]:
        scale = np.float32(self.temperature)
        if self.persistence == 0.0:

            def fresh(sites: NDArray[np.int32], out: NDArray[np.float32]) -> None:
                kernels.fill_logistic(state, scale, out)

            return fresh
        keep = np.uint32(round(self.persistence * 2.0**32 - 0.5))
        memory = (
            np.stack([rng.logistic(scale=0.5, size=self.n_spins) for rng in generators], axis=1).astype(np.float32)
            * scale
        )

        def persistent(sites: NDArray[np.int32], out: NDArray[np.float32]) -> None:
            kernels.fill_persistent(state, keep, scale, sites, memory, out)

        return persistent
