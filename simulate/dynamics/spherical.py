"""Spherical spins with a quartic term, which makes room for retrieval, in thermal and coloured noise."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from simulate.checks import check_number
from simulate.couplings import PatternCouplings
from simulate.dynamics.dynamics import Dynamics, Schedule, Start, even_groups
from simulate.dynamics.heun import NoiseLaw, numpy_steps, record_steps, refuse_overflow, start_units

__all__ = ["SphericalHopfield"]

Single = NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class SphericalHopfield(Dynamics):
    """Spherical Hopfield network with a quartic term, in thermal and coloured noise.

        E(x) = -1/2 x^T J x - (u N / 4) sum_mu (m^mu)^4,    m^mu = (1/N) sum_i xi_i^mu x_i,    |x|^2 = N,
        dx = -grad E dt + v dt + sqrt(2 T) dW - k(t) x dt,

    where k(t) holds x on the sphere at all times, and v_i is an Ornstein-Uhlenbeck process of correlation
    ``<v_i(t) v_j(t')> = delta_ij (T_a / tau) exp(-|t - t'| / tau)``. Without the quartic term spherical spins condense
    into many modes and remember no single pattern; with it there is a retrieval phase
    (`simulate.theory.spherical_retrieval`). Without coloured noise (tau = 0, where T_a adds to T) the steady state has
    the density exp(-E / (T + T_a)) on the sphere.

    x is moved by Heun steps, each half of which ends on the sphere; errors in stationary averages are of first order in
    the step. The coloured noise and its integral over a step are drawn from their exact joint law.

    Parameters
    ----------
    couplings : PatternCouplings
        J, with the patterns xi of the quartic term.
    quartic : float
        u >= 0, in units of energy.
    temperature : float, default 0
        T >= 0, in units of energy.
    active_temperature : float, default 0
        T_a >= 0, in units of energy.
    persistence_time : float, default 0
        tau >= 0, in units of time.
    time_step : float, optional
        Longest step dt; a unit of time is divided into equal steps. By default 0.05 over the largest curvature.

    Attributes
    ----------
    stiffest : float
        Largest curvature of the energy on the sphere, in units of inverse time.
    steps_per_unit : int
        Number of steps in a unit of time, the ticks of `trajectory`.

    Raises
    ------
    ValueError
        If a parameter is out of its range, there is no noise (T = T_a = 0), or couplings are not `PatternCouplings`.

    References
    ----------
    Bolle, Nieuwenhuizen, Perez Castillo, Verbeiren 2003, J. Phys. A 36, 10269, arXiv cond-mat/0305316
    (equilibrium and Langevin dynamics); the coloured noise of Behera et al. 2024, arXiv 2410.06269.
    """

    couplings: Any
    quartic: float
    temperature: float = 0.0
    active_temperature: float = 0.0
    persistence_time: float = 0.0
    time_step: float | None = None

    variable: ClassVar[str] = "x"
    dtype: ClassVar[type] = np.float32

    def __post_init__(self) -> None:
        if not isinstance(self.couplings, PatternCouplings):
            raise ValueError(
                f"couplings must be PatternCouplings(patterns), since the quartic term needs the patterns, "
                f"got {type(self.couplings).__name__}"
            )
        for name in ("quartic", "temperature", "active_temperature", "persistence_time"):
            object.__setattr__(self, name, check_number(getattr(self, name), name, low=0.0))
        if self.temperature + self.active_temperature == 0:
            raise ValueError("temperature and active_temperature are both 0: nothing drives the units")
        if self.time_step is not None:
            step = check_number(self.time_step, "time_step", low=0.0, open_low=True, high=1 / self.stiffest)
            object.__setattr__(self, "time_step", step)

    @cached_property
    def stiffest(self) -> float:
        """Largest curvature: the largest force along x over |x|, less the smallest eigenvalue of the couplings.

        Along x the noise adds at most its power for each unit, T + min(T_a, sqrt(T_a / tau)), to the force 1 + u of a
        pattern or the largest eigenvalue.
        """
        tau, active = self.persistence_time, self.active_temperature
        power = min(active, math.sqrt(active / tau)) if tau > 0 else active
        weighted, patterns = self.couplings.weighted_patterns, self.couplings.patterns
        largest = float(np.linalg.eigvals(weighted @ patterns.T.astype(np.float64)).real.max())
        return largest + self.quartic + self.temperature + power + float(self.couplings.self_couplings.max())

    @property
    def steps_per_unit(self) -> int:
        """Number of equal steps in a unit of time."""
        step = min(0.05 / self.stiffest, 1.0) if self.time_step is None else self.time_step
        return max(1, math.ceil(1 / step - 1e-9))

    @property
    def ticks_per_unit(self) -> int:
        return self.steps_per_unit

    def energies(self, states: NDArray[np.float64]) -> NDArray[np.float64]:
        overlaps = states @ self.couplings.patterns.T / self.n_spins
        return np.asarray(super().energies(states) - self.quartic * self.n_spins / 4 * (overlaps**4).sum(axis=1))

    def group_sizes(self, chains: int, n_jobs: int) -> list[int]:
        return even_groups(chains, fewest=2)

    def trajectories(
        self,
        chain_seeds: list[np.random.SeedSequence],
        start: Start,
        schedule: Schedule,
        advanced: Callable[[int], Any],
    ) -> tuple[Single, NDArray[Any] | None]:
        coloured = self.persistence_time > 0 and self.active_temperature > 0
        strength = math.sqrt(self.active_temperature / self.persistence_time) if coloured else 0.0
        units = start_units(chain_seeds, start, self.n_spins, strength, schedule.chains)
        _to_sphere(units.x)
        noise = self.temperature, self.active_temperature, self.persistence_time
        steps = numpy_steps(self._force(), NoiseLaw.of(1 / self.steps_per_unit, *noise), _to_sphere)
        record = record_steps(units, steps, schedule, advanced)
        refuse_overflow(record, self.steps_per_unit)
        return record, units.velocity.T if coloured else None

    def _force(self) -> Callable[[Single], Single]:
        """-grad E of units (n_spins, n_chains), up to multiples of x, which the sphere takes away."""
        patterns = np.ascontiguousarray(self.couplings.patterns.T, dtype=np.float32)
        kernel = np.asarray(self.couplings.kernel * self.n_spins, dtype=np.float32)
        diagonal = np.asarray(self.couplings.self_couplings, dtype=np.float32)[:, None]
        quartic, hebbian = np.float32(self.quartic), self.couplings.rate == 0

        def force(x: Single) -> Single:
            overlaps = patterns.T @ x / np.float32(self.n_spins)
            if hebbian:  # the diagonal is the same for all units
                return np.asarray(patterns @ (overlaps + quartic * overlaps**3))
            return np.asarray(patterns @ (kernel @ overlaps + quartic * overlaps**3) - diagonal * x)

        return force


def _to_sphere(x: Single) -> None:
    """Scale every chain of x (n_spins, n_chains) to |x|^2 = n_spins, in place."""
    x *= np.sqrt(np.float32(len(x)) / np.einsum("ic,ic->c", x, x))
