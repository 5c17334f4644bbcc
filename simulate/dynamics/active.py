"""Active Ornstein-Uhlenbeck units: continuous variables driven by coloured noise, in one of three potentials."""

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
from simulate.dynamics.linear_modes import mode_transition
from simulate.dynamics.potentials import Harmonic, SoftSpin, Spherical, spherical_stiffness
from simulate.dynamics.responses import LinearUnits
from simulate.dynamics.spin_dynamics import generator_state
from simulate.dynamics.threshold_kernels import fill_normals
from simulate.user_warnings import warn

__all__ = ["ActiveOrnsteinUhlenbeck"]

# random numbers drawn in one call, for all chains of a group (4 bytes each): they fit into the cache
_NORMALS_AT_ONCE = 1 << 17
# with fewer chains than this, vector instructions over chains would be half empty; the noise is then drawn chain by
# chain, with as many generators as fill the widest registers
_FEW_CHAINS = 16
_LANES_OF_A_CHAIN = 16
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
    potential : Harmonic, Spherical or SoftSpin
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
        Largest curvature of the energy: k - min eig(J), or an estimate for soft spins.
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
    potential: Harmonic | Spherical | SoftSpin = field(default_factory=Spherical)
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
        if not isinstance(self.potential, Harmonic | Spherical | SoftSpin):
            raise ValueError(f"potential must be Harmonic, Spherical or SoftSpin, got {self.potential!r}")
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
        linear = self.time_step is None and not isinstance(self.potential, SoftSpin)
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
        if isinstance(self.potential, SoftSpin):
            raise ValueError("a soft-spin potential has no single stiffness")
        return spherical_stiffness(self.eigenvalues, self.temperature, self.active_temperature, self.persistence_time)

    @cached_property
    def stiffest(self) -> float:
        """Largest curvature of the potential energy that units reach, in units of inverse time.

        For soft spins u'' = b (3 x^2 - 1) is taken at x^2 = 1 + (max eig(J) + max |H|) / b, where the force of the
        potential balances the largest force of couplings and fields, or where its quartic part equals 9/4 of T + T_a,
        x^2 = 3 sqrt((T + T_a) / b), if that is larger.
        """
        least, largest = self.extreme_eigenvalues
        if not isinstance(self.potential, SoftSpin):
            return self.stiffness - least
        b = self.potential.barrier
        strongest = 0.0 if self.fields is None else float(np.abs(self.fields).max())
        balanced = 1 + (max(largest, 0.0) + strongest) / b
        excursion = 3 * math.sqrt((self.temperature + self.active_temperature) / b)
        return b * (3 * max(balanced, excursion) - 1) - least

    def response(self) -> LinearUnits | None:
        if isinstance(self.potential, SoftSpin):
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
        if isinstance(self.potential, SoftSpin):
            return super().energies(states) + self.potential.barrier / 4 * ((states**2 - 1) ** 2).sum(axis=1)
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
        shape = self.n_spins, len(chain_seeds)
        generators = [np.random.default_rng(seed) for seed in chain_seeds]
        random_start = np.array([rng.standard_normal(self.n_spins) for rng in generators])
        # chains are the last axis of all arrays
        x = np.array(random_start if start.states is None else start.states, dtype=np.float32).T.copy()
        if start.states is None and isinstance(self.potential, SoftSpin):
            x = np.where(x < 0, np.float32(-1), np.float32(1))
        coloured = self.persistence_time > 0 and self.active_temperature > 0
        strength = math.sqrt(self.active_temperature / self.persistence_time) if coloured else 0.0
        random_noise = [strength * rng.standard_normal(self.n_spins) for rng in generators]
        velocity = np.array(random_noise if start.memory is None else start.memory, dtype=np.float32).T.copy()
        fill_noise = _noise_source(chain_seeds, few=schedule.chains < _FEW_CHAINS)
        block = max(1, min(256, _NORMALS_AT_ONCE // (2 * x.size)))
        noise = np.empty((block, 2, *shape), dtype=np.float32)
        if self.exact:
            record, end = self._carry_modes(x, velocity, fill_noise, noise, schedule, advanced)
            return record, end if coloured else None
        advance = _advance(self.couplings, shape[1])
        fields = np.zeros(self.n_spins) if self.fields is None else np.asarray(self.fields)
        external = _repeated(fields, shape[1])
        scalars = tuple(np.float32(value) for value in self._scalars(coloured, strength))

        def run(steps: int) -> None:
            for first in range(0, steps, block):
                count = min(block, steps - first)
                fill_noise(noise[:count])
                advance(x, velocity, noise, count, external, scalars)
                advanced(count * shape[1])

        run(schedule.burn_in)
        record = np.empty((shape[1], schedule.draws, self.n_spins), dtype=np.float32)
        for draw in range(schedule.draws):
            run(schedule.thin)
            record[:, draw] = x.T
        if not np.isfinite(record).all():
            raise ValueError(
                f"units diverged to infinity: the time step {1 / self.steps_per_unit:.3g} is too long for them; "
                f"give a shorter time_step, such as {0.3 / self.steps_per_unit:.2g}"
            )
        return record, velocity.T if coloured else None

    def _carry_modes(
        self,
        x: NDArray[np.float32],
        velocity: NDArray[np.float32],
        fill_noise: Callable[[NDArray[np.float32]], None],
        noise: NDArray[np.float32],
        schedule: Schedule,
        advanced: Callable[[int], Any],
    ) -> tuple[NDArray[np.float32], NDArray[Any]]:
        """Trajectories of linear dynamics from x, each state drawn given the one before; the noise at the end."""
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

    def _scalars(self, coloured: bool, strength: float) -> tuple[float, ...]:
        """Coefficients of the force and of the noise over one step, in the order of the kernels."""
        step = 1.0 / self.steps_per_unit
        white = 2 * self.temperature * step
        if coloured:
            tau, ratio = self.persistence_time, step / self.persistence_time
            decay, kick = math.exp(-ratio), strength * math.sqrt(-math.expm1(-2 * ratio))
            # the integral of v given both its ends: mean tau tanh(r/2) (v + v'), variance s^2 tau^2 (2 r - 4 tanh(r/2))
            carry = tau * math.tanh(ratio / 2)
            rest = 2 * ratio - 4 * math.tanh(ratio / 2) if ratio > 0.02 else ratio**3 / 6 - ratio**5 / 60
            jitter = math.sqrt(white + strength**2 * tau**2 * rest)
        else:
            decay = kick = carry = 0.0
            jitter = math.sqrt(white + 2 * self.active_temperature * step)
        if isinstance(self.potential, SoftSpin):
            linear, cubic = -self.potential.barrier, self.potential.barrier
        else:
            linear, cubic = self.stiffness, 0.0
        return linear, cubic, step, decay, kick, carry, jitter


def _noise_source(chain_seeds: list[np.random.SeedSequence], *, few: bool) -> Callable[[NDArray[np.float32]], None]:
    """Function that fills noise (..., n_chains) with normals, chains in parallel or, for few chains, one by one."""
    if not few:
        state = generator_state(chain_seeds)
        return lambda noise: fill_normals(state, noise.reshape(-1))
    states = [generator_state([seed], _LANES_OF_A_CHAIN) for seed in chain_seeds]

    def fill(noise: NDArray[np.float32]) -> None:
        own = np.empty(noise.shape[:-1], dtype=np.float32)
        for chain, lanes in enumerate(states):
            fill_normals(lanes, own.reshape(-1))
            noise[..., chain] = own

    return fill


def _repeated(values: NDArray[np.float64], n_chains: int) -> NDArray[np.float32]:
    """Values (n_spins,) repeated for every chain, (n_spins, n_chains)."""
    return np.repeat(values.astype(np.float32)[:, None], n_chains, axis=1)


def _advance(couplings: Any, n_chains: int) -> Callable[..., None]:
    """Kernel for this kind of couplings, as a function (x, velocity, noise, count, external, scalars)."""
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

    def advance(
        x: NDArray[np.float32],
        velocity: NDArray[np.float32],
        noise: NDArray[np.float32],
        count: int,
        external: NDArray[np.float32],
        scalars: tuple[np.float32, ...],
    ) -> None:
        kernel(x, velocity, noise, count, *arrays, external, scalars)

    return advance
