"""Active Ornstein-Uhlenbeck units: continuous variables driven by coloured noise, in any potential."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, ClassVar

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import sparse
from scipy.sparse.linalg import LinearOperator, eigsh

from simulate.checks import check_fields, check_number
from simulate.couplings import PatternCouplings, check_couplings
from simulate.dynamics import active_kernels as kernels
from simulate.dynamics.dynamics import Dynamics, Schedule, Start, even_groups
from simulate.dynamics.heun import NoiseLaw, Units, numpy_steps, record_steps, refuse_overflow, start_units
from simulate.dynamics.linear_modes import mode_transition
from simulate.dynamics.potentials import Harmonic, Potential, SoftSpin, Spherical, spherical_stiffness
from simulate.dynamics.responses import LinearUnits
from simulate.user_warnings import warn

__all__ = ["ActiveOrnsteinUhlenbeck"]

# from this size on only the extreme eigenvalues of sparse couplings and PatternCouplings are computed
_LANCZOS_FROM = 500
# sparse couplings and PatternCouplings are decomposed into modes up to this number of units
_MOST_MODES = 2000


@dataclass(frozen=True, eq=False)
class ActiveOrnsteinUhlenbeck(Dynamics):
    """Active Ornstein-Uhlenbeck units (AOUP).

        dx = -grad E dt + v dt + sqrt(2 T) dW,    E(x) = -1/2 x^T J x + sum_i u(x_i) - H . x,

    where v_i is an Ornstein-Uhlenbeck process, ``<v_i(t) v_j(t')> = delta_ij (T_a / tau) exp(-|t - t'| / tau)``. At
    tau = 0 this is Langevin dynamics at temperature T + T_a.

    In a harmonic or spherical potential the dynamics is linear: each recorded state is drawn from the exact law of the
    modes given the one before, whatever the time between them. In other potentials, or where a time step is given, x is
    integrated by Heun steps, whose error in stationary averages is of second order in the step (relative error of the
    variance of the stiffest mode about (a dt)^2 / 4); the coloured noise and its integral over a step are drawn from
    their exact joint law.

    Parameters
    ----------
    couplings : array_like, scipy sparse matrix (n_spins, n_spins) or PatternCouplings
        Symmetric; a diagonal is allowed and adds to the potential.
    persistence_time : float
        tau >= 0, in units of time.
    active_temperature : float
        T_a >= 0, in units of energy.
    temperature : float, default 0
        T >= 0, in units of energy.
    potential : Harmonic, Spherical, SoftSpin or another Potential
        One that you write is a subclass of `Potential`.
    fields : array_like of shape (n_spins,), float or None
        External fields H.
    time_step : float, optional
        Longest step dt; a unit of time is divided into equal steps. By default linear dynamics use no time step (above
        2000 units only if the couplings are a full matrix); others use 0.1 over the stiffness of the stiffest mode.

    Attributes
    ----------
    stiffness : float
        k of a harmonic or spherical potential.
    stiffest : float
        Largest curvature of the energy: k - min eig(J), or an estimate in other potentials.
    steps_per_unit : int
        Number of steps in a unit of time, the ticks of `trajectory`.
    exact : bool
        Whether states are drawn from the exact law of the modes, without error of a time step.

    Raises
    ------
    ValueError
        If a parameter is out of its range, there is no noise (T = T_a = 0), the stiffness of the harmonic potential is
        not above the largest eigenvalue of the couplings, or the time step is beyond the stability limit 2 / stiffest;
        in a run if values overflow.

    Warns
    -----
    RuntimeWarning
        If time_step times stiffest is above 0.5, where errors of stationary variances exceed about 6 %.

    References
    ----------
    Behera, Du, Jagadisan, Sastry, Rao, Vaikuntanathan 2024, arXiv 2410.06269. Fodor, Nardini, Cates, Tailleur, Visco,
    van Wijland 2016, Phys. Rev. Lett. 117, 038103.
    """

    couplings: Any
    persistence_time: float
    active_temperature: float
    temperature: float = 0.0
    potential: Harmonic | Spherical | Potential = field(default_factory=Spherical)
    fields: ArrayLike | None = None
    time_step: float | None = None

    variable: ClassVar[str] = "x"
    dtype: ClassVar[type] = np.float32

    def __post_init__(self) -> None:
        object.__setattr__(self, "couplings", check_couplings(self.couplings, zero_diagonal=False))
        for name in ("persistence_time", "active_temperature", "temperature"):
            object.__setattr__(self, name, check_number(getattr(self, name), name, low=0.0))
        object.__setattr__(self, "fields", check_fields(self.fields, self.n_spins))
        if self.temperature + self.active_temperature == 0:
            raise ValueError("temperature and active_temperature are both 0: nothing drives the units")
        if not isinstance(self.potential, Harmonic | Spherical | Potential):
            raise ValueError(
                f"potential must be Harmonic, Spherical, SoftSpin or another Potential, got {self.potential!r}"
            )
        largest = self.extreme_eigenvalues[1]
        if isinstance(self.potential, Harmonic) and self.potential.stiffness <= largest:
            raise ValueError(
                f"potential: the stiffness {self.potential.stiffness:g} must be above the largest eigenvalue of the "
                f"couplings, {largest:.6g}, for a steady state to exist"
            )
        if self.time_step is not None:
            object.__setattr__(self, "time_step", check_number(self.time_step, "time_step", low=0.0, open_low=True))
            self._check_step(self.time_step)

    def _check_step(self, time_step: float) -> None:
        """Refuse a step that is unstable, and warn of one that is coarse."""
        step = time_step * self.stiffest
        if step >= 2.0:
            raise ValueError(
                f"time_step {time_step:g} is unstable: it must be well below {2 / self.stiffest:.3g}, "
                f"twice the time of the stiffest mode (default {0.1 / self.stiffest:.3g})"
            )
        if step > 0.5:
            warn(
                f"time_step {time_step:g} is coarse: variances of the stiffest mode will be off by about "
                f"{100 * step**2 / 4:.0f} %; {0.1 / self.stiffest:.3g} keeps them within 0.3 %",
                RuntimeWarning,
                stacklevel=4,
            )

    @property
    def exact(self) -> bool:
        """Whether states are drawn from the exact law of the modes."""
        linear = self.time_step is None and not isinstance(self.potential, Potential)
        return linear and (isinstance(self.couplings, np.ndarray) or self.n_spins <= _MOST_MODES)

    @cached_property
    def eigenvalues(self) -> NDArray[np.float64]:
        """All eigenvalues of the couplings, ascending, shape (n_spins,)."""
        return np.asarray(np.linalg.eigvalsh(self._matrix()), dtype=np.float64)

    @cached_property
    def _eigensystem(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Eigenvalues and eigenvectors (in columns) of the couplings."""
        system: tuple[NDArray[np.float64], NDArray[np.float64]] = np.linalg.eigh(self._matrix())
        return system

    def _matrix(self) -> NDArray[np.float64]:
        matrix: NDArray[np.float64] = self.couplings
        return self.couplings.toarray() if hasattr(self.couplings, "toarray") else matrix

    @cached_property
    def extreme_eigenvalues(self) -> tuple[float, float]:
        """Smallest and largest eigenvalue of the couplings (by Lanczos iteration for large ones that are not full)."""
        if isinstance(self.couplings, np.ndarray) or self.n_spins <= _LANCZOS_FROM:
            return float(self.eigenvalues[0]), float(self.eigenvalues[-1])
        shape = (self.n_spins, self.n_spins)
        product = LinearOperator(shape, matvec=lambda x: self.couplings @ x, dtype=np.float64)
        ends = [
            eigsh(product, k=1, which=which, return_eigenvectors=False, v0=np.ones(self.n_spins))[0]
            for which in ("SA", "LA")
        ]
        return float(ends[0]), float(ends[1])

    @cached_property
    def stiffness(self) -> float:
        """Stiffness k of the harmonic potential, or that which satisfies the spherical constraint."""
        if isinstance(self.potential, Harmonic):
            return self.potential.stiffness
        if isinstance(self.potential, Potential):
            raise ValueError(f"a {type(self.potential).__name__} potential has no single stiffness")
        return spherical_stiffness(self.eigenvalues, self.temperature, self.active_temperature, self.persistence_time)

    @cached_property
    def stiffest(self) -> float:
        """Largest curvature of the energy that units reach, in units of inverse time (`Potential.stiffest`)."""
        least, largest = self.extreme_eigenvalues
        if not isinstance(self.potential, Potential):
            return self.stiffness - least
        strongest = 0.0 if self.fields is None else float(np.abs(self.fields).max())
        reached = self.potential.stiffest(max(largest, 0.0), strongest, self.temperature + self.active_temperature)
        return reached - least

    def response(self) -> LinearUnits | None:
        if isinstance(self.potential, Potential):
            return None
        noise = (self.temperature, self.active_temperature, self.persistence_time)
        return LinearUnits(self.stiffness, *noise, spherical=isinstance(self.potential, Spherical))

    @property
    def ticks_per_unit(self) -> int:
        return self.steps_per_unit

    @property
    def steps_per_unit(self) -> int:
        """Number of equal steps in a unit of time."""
        step = min(0.1 / self.stiffest, 1.0) if self.time_step is None else self.time_step
        return max(1, math.ceil(1 / step - 1e-9))

    def energies(self, states: NDArray[np.float64]) -> NDArray[np.float64]:
        if isinstance(self.potential, Potential):
            return np.asarray(super().energies(states) + self.potential.energy(states).sum(axis=1))
        return super().energies(states) + self.stiffness / 2 * (states**2).sum(axis=1)

    def group_sizes(self, chains: int, n_jobs: int) -> list[int]:
        return even_groups(chains, fewest=2)

    def trajectories(
        self,
        chain_seeds: list[np.random.SeedSequence],
        start: Start,
        schedule: Schedule,
        advanced: Callable[[int], Any],
    ) -> tuple[NDArray[np.float32], NDArray[Any] | None]:
        coloured = self.persistence_time > 0 and self.active_temperature > 0
        strength = math.sqrt(self.active_temperature / self.persistence_time) if coloured else 0.0
        units = start_units(chain_seeds, start, self.n_spins, strength, schedule.chains)
        if start.states is None and isinstance(self.potential, Potential):
            np.copyto(units.x, np.where(units.x < 0, np.float32(-1), np.float32(1)))
        if self.exact:
            record, end = self._carry_modes(units, schedule, advanced)
            return record, end if coloured else None
        with np.errstate(over="ignore", invalid="ignore"):  # units that diverge are named below
            record = record_steps(units, self._steps(len(chain_seeds)), schedule, advanced)
        refuse_overflow(record, self.steps_per_unit)
        return record, units.velocity.T if coloured else None

    def _steps(self, n_chains: int) -> Callable[..., None]:
        """Heun steps: compiled for a force that is a cubic polynomial, in numpy for other potentials."""
        law = NoiseLaw.of(1.0 / self.steps_per_unit, self.temperature, self.active_temperature, self.persistence_time)
        fields = np.zeros(self.n_spins) if self.fields is None else np.asarray(self.fields)
        external = _repeated(fields, n_chains)
        if isinstance(self.potential, Potential) and not isinstance(self.potential, SoftSpin):
            product, derivative = _product(self.couplings), self.potential.derivative

            def force(x: NDArray[np.float32]) -> NDArray[np.float32]:
                return np.asarray(product(x) + external - derivative(x), dtype=np.float32)

            return numpy_steps(force, law)
        linear, cubic = self._stiffness_and_quartic()
        scalars = tuple(np.float32(value) for value in (linear, cubic, *law))
        return _advance(self.couplings, n_chains, external, scalars)

    def _carry_modes(
        self, units: Units, schedule: Schedule, advanced: Callable[[int], Any]
    ) -> tuple[NDArray[np.float32], NDArray[Any]]:
        """Trajectories of linear dynamics from x, each state drawn given the one before; the noise at the end."""
        x, velocity, fill_noise, noise = units
        eigenvalues, vectors = self._eigensystem
        stiffness = self.stiffness - eigenvalues
        rest = np.zeros(self.n_spins) if self.fields is None else vectors.T @ np.asarray(self.fields) / stiffness
        modes = vectors.T @ x - rest[:, None]
        drive: NDArray[np.float64] = vectors.T @ velocity
        back = np.ascontiguousarray(vectors, dtype=np.float32)
        n_chains = x.shape[1]
        record = np.empty((n_chains, schedule.draws, self.n_spins), dtype=np.float32)

        def carry(ticks: int, count: int, first: int | None) -> None:
            nonlocal modes, drive
            law = mode_transition(
                stiffness[:, None],
                self.temperature,
                self.active_temperature,
                self.persistence_time,
                ticks / self.steps_per_unit,
            )
            fill_noise(noise[:count])
            for at, (kicks, own) in enumerate(noise[:count]):
                modes = law.decay * modes + law.carry * drive + law.shared * kicks + law.own * own
                drive = law.keep * drive + law.kick * kicks
                if first is not None:
                    record[:, first + at] = (back @ (modes + rest[:, None]).astype(np.float32)).T
            advanced(count * ticks * n_chains)

        if schedule.burn_in:
            carry(schedule.burn_in, 1, None)
        for first in range(0, schedule.draws, len(noise)):
            carry(schedule.thin, min(len(noise), schedule.draws - first), first)
        return record, (vectors @ drive).T

    def _stiffness_and_quartic(self) -> tuple[float, float]:
        """k and b of u(x) = k x^2 / 2 + b x^4 / 4, a constant left out."""
        if isinstance(self.potential, SoftSpin):
            return -self.potential.barrier, self.potential.barrier
        return self.stiffness, 0.0


def _repeated(values: NDArray[np.float64], n_chains: int) -> NDArray[np.float32]:
    """Values (n_spins,) repeated for every chain, (n_spins, n_chains)."""
    return np.repeat(values.astype(np.float32)[:, None], n_chains, axis=1)


def _product(couplings: Any) -> Callable[[NDArray[np.float32]], NDArray[np.float32]]:
    """J x for units x (n_spins, n_chains)."""
    if isinstance(couplings, np.ndarray):
        couplings = np.ascontiguousarray(couplings, dtype=np.float32)
    return lambda x: couplings @ x


def _advance(
    couplings: Any, n_chains: int, external: NDArray[np.float32], scalars: tuple[np.float32, ...]
) -> Callable[..., None]:
    """Kernel for this kind of couplings, as a function (x, velocity, noise, count)."""
    kernel: Any
    arrays: tuple[NDArray[Any], ...]
    if isinstance(couplings, PatternCouplings):
        kernel = kernels.steps_patterns
        arrays = (
            np.ascontiguousarray(couplings.weighted_patterns, dtype=np.float32),
            np.ascontiguousarray(couplings.patterns.T, dtype=np.float32),
            _repeated(couplings.self_couplings, n_chains),
        )
    elif sparse.issparse(couplings):
        kernel = kernels.steps_sparse
        arrays = (
            couplings.indptr.astype(np.int64),
            couplings.indices.astype(np.int64),
            couplings.data.astype(np.float32),
        )
    else:
        kernel = kernels.steps_dense
        arrays = (np.ascontiguousarray(couplings, dtype=np.float32),)

    def advance(x: NDArray[np.float32], velocity: NDArray[np.float32], noise: NDArray[np.float32], count: int) -> None:
        kernel(x, velocity, noise, count, *arrays, external, scalars)

    return advance
