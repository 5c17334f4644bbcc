"""Heun steps of units in coloured noise: random numbers, coefficients, the recording loop, and steps in numpy."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from simulate.dynamics.dynamics import Schedule, Start
from simulate.dynamics.spin_dynamics import generator_state
from simulate.dynamics.threshold_kernels import fill_normals

__all__ = ["NoiseLaw", "Units", "numpy_steps", "record_steps", "refuse_overflow", "start_units"]

Single = NDArray[np.float32]

# random numbers drawn in one call, for all chains of a group (4 bytes each): they fit into the cache
_NORMALS_AT_ONCE = 1 << 17
# with fewer chains than this, vector instructions over chains would be half empty; the noise is then drawn chain by
# chain, with as many generators as fill the widest registers
_FEW_CHAINS = 16
_LANES_OF_A_CHAIN = 16


class NoiseLaw(NamedTuple):
    """Joint law of the coloured noise and its integral over one step.

    With standard normals n1 and n2 the noise goes from v to v' = decay v + kick n1, and the impulse of the step,
    thermal noise included, is carry (v + v') + jitter n2.
    """

    step: float
    decay: float
    kick: float
    carry: float
    jitter: float

    @classmethod
    def of(cls, step: float, temperature: float, active_temperature: float, persistence_time: float) -> NoiseLaw:
        """The exact law; without a persistence time T_a is added to T."""
        white = 2 * temperature * step
        if persistence_time == 0 or active_temperature == 0:
            return cls(step, 0.0, 0.0, 0.0, math.sqrt(white + 2 * active_temperature * step))
        tau, ratio = persistence_time, step / persistence_time
        strength = math.sqrt(active_temperature / tau)
        decay, kick = math.exp(-ratio), strength * math.sqrt(-math.expm1(-2 * ratio))
        # the integral of v given both its ends: mean tau tanh(r/2) (v + v'), variance s^2 tau^2 (2 r - 4 tanh(r/2))
        carry = tau * math.tanh(ratio / 2)
        rest = 2 * ratio - 4 * math.tanh(ratio / 2) if ratio > 0.02 else ratio**3 / 6 - ratio**5 / 60
        return cls(step, decay, kick, carry, math.sqrt(white + strength**2 * tau**2 * rest))


class Units(NamedTuple):
    """State of a group of chains (the last axis), their coloured noise, a source of normals, and a block of them."""

    x: Single
    velocity: Single
    fill_noise: Callable[[Single], None]
    noise: Single


def start_units(
    chain_seeds: list[np.random.SeedSequence], start: Start, n_spins: int, noise_strength: float, chains: int
) -> Units:
    """Initial units of a group: those of `start`, or normal random numbers, and stationary coloured noise.

    Parameters
    ----------
    noise_strength : float
        Standard deviation of the coloured noise, 0 where there is none.
    chains : int
        Number of chains of the whole run, which decides how random numbers are drawn.
    """
    shape = n_spins, len(chain_seeds)
    generators = [np.random.default_rng(seed) for seed in chain_seeds]
    random_start = np.array([rng.standard_normal(n_spins) for rng in generators])
    x = np.array(random_start if start.states is None else start.states, dtype=np.float32).T.copy()
    random_noise = [noise_strength * rng.standard_normal(n_spins) for rng in generators]
    velocity = np.array(random_noise if start.memory is None else start.memory, dtype=np.float32).T.copy()
    block = max(1, min(256, _NORMALS_AT_ONCE // (2 * x.size)))
    return Units(
        x,
        velocity,
        _noise_source(chain_seeds, few=chains < _FEW_CHAINS),
        np.empty((block, 2, *shape), dtype=np.float32),
    )


def _noise_source(chain_seeds: list[np.random.SeedSequence], *, few: bool) -> Callable[[Single], None]:
    """Function that fills noise (..., n_chains) with normals, chains in parallel or, for few chains, one by one."""
    if not few:
        state = generator_state(chain_seeds)
        return lambda noise: fill_normals(state, noise.reshape(-1))
    states = [generator_state([seed], _LANES_OF_A_CHAIN) for seed in chain_seeds]

    def fill(noise: Single) -> None:
        own = np.empty(noise.shape[:-1], dtype=np.float32)
        for chain, lanes in enumerate(states):
            fill_normals(lanes, own.reshape(-1))
            noise[..., chain] = own

    return fill


def record_steps(
    units: Units,
    advance: Callable[[Single, Single, Single, int], None],
    schedule: Schedule,
    advanced: Callable[[int], Any],
) -> Single:
    """States (n_chains, draws, n_spins); `advance(x, velocity, noise, count)` makes `count` steps in place."""
    n_spins, n_chains = units.x.shape

    def run(steps: int) -> None:
        for first in range(0, steps, len(units.noise)):
            count = min(len(units.noise), steps - first)
            units.fill_noise(units.noise[:count])
            advance(units.x, units.velocity, units.noise, count)
            advanced(count * n_chains)

    run(schedule.burn_in)
    record = np.empty((n_chains, schedule.draws, n_spins), dtype=np.float32)
    for draw in range(schedule.draws):
        run(schedule.thin)
        record[:, draw] = units.x.T
    return record


def refuse_overflow(record: Single, steps_per_unit: int) -> None:
    """Raise a ValueError where units are not finite."""
    if not np.isfinite(record).all():
        raise ValueError(
            f"units diverged to infinity: the time step {1 / steps_per_unit:.3g} is too long for them; "
            f"give a shorter time_step, such as {0.3 / steps_per_unit:.2g}"
        )


def numpy_steps(
    force: Callable[[Single], Single], law: NoiseLaw, confine: Callable[[Single], None] | None = None
) -> Callable[[Single, Single, Single, int], None]:
    """Heun steps for any force, an array operation at a time.

    Parameters
    ----------
    force : callable
        Maps units (n_spins, n_chains) to -grad E, of the same shape.
    law : NoiseLaw
    confine : callable, optional
        Puts units back on a surface, in place, after each half of a step.
    """
    step, decay, kick, carry, jitter = (np.float32(value) for value in law)

    def advance(x: Single, velocity: Single, noise: Single, count: int) -> None:
        for kicks, jitters in noise[:count]:
            before = velocity.copy()
            velocity *= decay
            velocity += kick * kicks
            impulse = carry * (before + velocity) + jitter * jitters
            here = force(x)
            ahead = x + step * here + impulse
            if confine is not None:
                confine(ahead)
            x += np.float32(0.5) * step * (here + force(ahead)) + impulse
            if confine is not None:
                confine(x)

    return advance
