"""Compiled kernels of the continuous dynamics: many Heun steps in one call, for each kind of couplings.

All arrays are single precision: its rounding, 6e-8 of x a step, is far below the noise of any step, and products and
random numbers cost half.

The noise of a step is a pair of standard normals a unit, noise (n_chains, n_steps, 2, n_spins). `scalars` are
(linear, cubic, step, decay, kick, carry, jitter): the force is J x + external - linear x - cubic x^3, the coloured
noise goes from v to v' = decay v + kick n1, and the impulse of a step is carry (v + v') + jitter n2.
"""

import numpy as np
from numba import float32, njit


@njit(cache=True, nogil=True, error_model="numpy")
def _predict(x, force, velocity, noise, at, external, scalars, impulse, ahead):
    """First half of a step: the coloured noise exactly, and x by an Euler step into `ahead`.

    force holds J x and becomes the whole force. Two loops: in one there are more pairs of arrays that might overlap
    than the compiler is ready to check, and it would not vectorise.
    """
    linear, cubic, step, decay, kick, carry, jitter = scalars
    for chain in range(x.shape[0]):
        for i in range(x.shape[1]):
            before = velocity[chain, i]
            after = decay * before + kick * noise[chain, at, 0, i]
            velocity[chain, i] = after
            impulse[chain, i] = carry * (before + after) + jitter * noise[chain, at, 1, i]
        for i in range(x.shape[1]):
            here = x[chain, i]
            total = force[chain, i] + external[i] - (linear + cubic * here * here) * here
            force[chain, i] = total
            ahead[chain, i] = here + step * total + impulse[chain, i]


@njit(cache=True, nogil=True, error_model="numpy")
def _correct(x, product, external, scalars, force, impulse, ahead):
    """Second half: x moves by the mean of the forces at both ends of the step; product is J times `ahead`."""
    linear, cubic, half = scalars[0], scalars[1], float32(0.5) * scalars[2]
    for chain in range(x.shape[0]):
        for i in range(x.shape[1]):
            there = ahead[chain, i]
            end = product[chain, i] + external[i] - (linear + cubic * there * there) * there
            x[chain, i] += half * (force[chain, i] + end) + impulse[chain, i]


@njit(cache=True, nogil=True, error_model="numpy")
def steps_dense(x, velocity, noise, count, couplings, external, scalars):
    """Move x and velocity (n_chains, n_spins) by `count` steps; couplings (n_spins, n_spins) symmetric."""
    product, force, impulse, ahead = np.empty_like(x), np.empty_like(x), np.empty_like(x), np.empty_like(x)
    for at in range(count):
        np.dot(x, couplings, force)
        _predict(x, force, velocity, noise, at, external, scalars, impulse, ahead)
        np.dot(ahead, couplings, product)
        _correct(x, product, external, scalars, force, impulse, ahead)


@njit(cache=True, nogil=True, error_model="numpy")
def steps_patterns(x, velocity, noise, count, weighted, patterns, self_couplings, external, scalars):
    """As `steps_dense` with J = weighted patterns - diag(self_couplings); weighted (n_spins, n_patterns)."""
    product, force, impulse, ahead = np.empty_like(x), np.empty_like(x), np.empty_like(x), np.empty_like(x)
    overlaps = np.empty((x.shape[0], patterns.shape[0]), np.float32)
    for at in range(count):
        np.dot(x, weighted, overlaps)
        np.dot(overlaps, patterns, force)
        force -= self_couplings * x
        _predict(x, force, velocity, noise, at, external, scalars, impulse, ahead)
        np.dot(ahead, weighted, overlaps)
        np.dot(overlaps, patterns, product)
        product -= self_couplings * ahead
        _correct(x, product, external, scalars, force, impulse, ahead)


@njit(cache=True, nogil=True, error_model="numpy")
def _sparse_product(x, start, neighbours, weights, product):
    """product = x J for symmetric J in compressed rows."""
    for chain in range(x.shape[0]):
        for i in range(x.shape[1]):
            total = float32(0.0)
            for at in range(start[i], start[i + 1]):
                total += weights[at] * x[chain, neighbours[at]]
            product[chain, i] = total


@njit(cache=True, nogil=True, error_model="numpy")
def steps_sparse(x, velocity, noise, count, start, neighbours, weights, external, scalars):
    """As `steps_dense` with J in compressed rows start[i]:start[i + 1]."""
    product, force, impulse, ahead = np.empty_like(x), np.empty_like(x), np.empty_like(x), np.empty_like(x)
    for at in range(count):
        _sparse_product(x, start, neighbours, weights, force)
        _predict(x, force, velocity, noise, at, external, scalars, impulse, ahead)
        _sparse_product(ahead, start, neighbours, weights, product)
        _correct(x, product, external, scalars, force, impulse, ahead)
