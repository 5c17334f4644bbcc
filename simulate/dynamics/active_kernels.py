"""Compiled kernels of the continuous dynamics: many Heun steps per call, for each kind of couplings.

All arrays are single precision: its rounding error, 6e-8 of x per step, is far below the noise of any step, and
products and random numbers take half the time. Chains are the last axis: the product J x of a large matrix with few
columns is faster than that of few rows with the matrix, and normals are drawn with a generator in every lane.

The noise of a step is a pair of standard normals per unit, noise (n_steps, 2, n_spins, n_chains). `scalars` are
(linear, cubic, step, decay, kick, carry, jitter): the force is J x + external - linear x - cubic x^3, the coloured
noise goes from v to v' = decay v + kick n1, and the impulse of a step is carry (v + v') + jitter n2. `external` and
`self_couplings` are (n_spins, n_chains) too.
"""

import numpy as np
from numba import float32, njit


@njit(cache=True, nogil=True, error_model="numpy")
def _predict(x, force, velocity, kicks, jitters, external, scalars, impulse, ahead):
    """First half of a step: the coloured noise exactly, and x by an Euler step into `ahead`; all arrays are flat.

    force holds J x and becomes the whole force. There are two loops, since in one the compiler would have to check more
    pairs of arrays for overlap than it does, and would not vectorise it.
    """
    linear, cubic, step, decay, kick, carry, jitter = scalars
    for at in range(len(velocity)):
        before = velocity[at]
        after = decay * before + kick * kicks[at]
        velocity[at] = after
        impulse[at] = carry * (before + after) + jitter * jitters[at]
    for at in range(len(x)):
        here = x[at]
        total = force[at] + external[at] - (linear + cubic * here * here) * here
        force[at] = total
        ahead[at] = here + step * total + impulse[at]


@njit(cache=True, nogil=True, error_model="numpy")
def _correct(x, product, external, scalars, force, impulse, ahead):
    """Second half: x moves by the mean of the forces at both ends of the step; product is J times `ahead`."""
    linear, cubic, half = scalars[0], scalars[1], float32(0.5) * scalars[2]
    for at in range(len(x)):
        there = ahead[at]
        end = product[at] + external[at] - (linear + cubic * there * there) * there
        x[at] += half * (force[at] + end) + impulse[at]


@njit(cache=True, nogil=True, error_model="numpy")
def _first_half(x, force, velocity, noise, at, external, scalars, impulse, ahead):
    """`_predict` of arrays (n_spins, n_chains): flat, so that loops are long for any number of chains."""
    kicks, jitters = noise[at, 0].reshape(-1), noise[at, 1].reshape(-1)
    flat = external.reshape(-1)
    _predict(
        x.reshape(-1),
        force.reshape(-1),
        velocity.reshape(-1),
        kicks,
        jitters,
        flat,
        scalars,
        impulse.reshape(-1),
        ahead.reshape(-1),
    )


@njit(cache=True, nogil=True, error_model="numpy")
def _second_half(x, product, external, scalars, force, impulse, ahead):
    """`_correct` of arrays (n_spins, n_chains)."""
    flat = external.reshape(-1)
    _correct(
        x.reshape(-1), product.reshape(-1), flat, scalars, force.reshape(-1), impulse.reshape(-1), ahead.reshape(-1)
    )


@njit(cache=True, nogil=True, error_model="numpy")
def steps_dense(x, velocity, noise, count, couplings, external, scalars):
    """Move x and velocity (n_spins, n_chains) by `count` steps; couplings (n_spins, n_spins) symmetric."""
    product, force, impulse, ahead = np.empty_like(x), np.empty_like(x), np.empty_like(x), np.empty_like(x)
    for at in range(count):
        np.dot(couplings, x, force)
        _first_half(x, force, velocity, noise, at, external, scalars, impulse, ahead)
        np.dot(couplings, ahead, product)
        _second_half(x, product, external, scalars, force, impulse, ahead)


@njit(cache=True, nogil=True, error_model="numpy")
def _less_self_couplings(product, self_couplings, x):
    """product -= self_couplings x, entry by entry; both are (n_spins, n_chains)."""
    own, here, there = self_couplings.reshape(-1), x.reshape(-1), product.reshape(-1)
    for at in range(len(here)):
        there[at] -= own[at] * here[at]


@njit(cache=True, nogil=True, error_model="numpy")
def steps_patterns(x, velocity, noise, count, weighted, patterns, self_couplings, external, scalars):
    """As `steps_dense` with J = patterns^T weighted - diag(self_couplings); `patterns` are given as (n_spins, P)."""
    product, force, impulse, ahead = np.empty_like(x), np.empty_like(x), np.empty_like(x), np.empty_like(x)
    overlaps = np.empty((weighted.shape[0], x.shape[1]), np.float32)
    for at in range(count):
        np.dot(weighted, x, overlaps)
        np.dot(patterns, overlaps, force)
        _less_self_couplings(force, self_couplings, x)
        _first_half(x, force, velocity, noise, at, external, scalars, impulse, ahead)
        np.dot(weighted, ahead, overlaps)
        np.dot(patterns, overlaps, product)
        _less_self_couplings(product, self_couplings, ahead)
        _second_half(x, product, external, scalars, force, impulse, ahead)


@njit(cache=True, nogil=True, error_model="numpy")
def _sparse_product(start, neighbours, weights, x, product):
    """product = J x for J in compressed rows."""
    for i in range(x.shape[0]):
        for chain in range(x.shape[1]):
            product[i, chain] = float32(0.0)
        for at in range(start[i], start[i + 1]):
            neighbour, weight = neighbours[at], weights[at]
            for chain in range(x.shape[1]):
                product[i, chain] += weight * x[neighbour, chain]


@njit(cache=True, nogil=True, error_model="numpy")
def steps_sparse(x, velocity, noise, count, start, neighbours, weights, external, scalars):
    """As `steps_dense` with J in compressed rows start[i]:start[i + 1]."""
    product, force, impulse, ahead = np.empty_like(x), np.empty_like(x), np.empty_like(x), np.empty_like(x)
    for at in range(count):
        _sparse_product(start, neighbours, weights, x, force)
        _first_half(x, force, velocity, noise, at, external, scalars, impulse, ahead)
        _sparse_product(start, neighbours, weights, ahead, product)
        _second_half(x, product, external, scalars, force, impulse, ahead)
