"""Compiled kernels of learning and unlearning: zero-temperature relaxation and what it does to the couplings."""

import numpy as np
from numba import njit


@njit(cache=True, nogil=True, error_model="numpy")
def relax(couplings, spins, orders):
    """Asynchronous zero-temperature relaxation of spins (n_spins,) in place; True if a fixed point was reached.

    Each row of orders (max_sweeps, n_spins) is the order of one sweep. A spin turns only where the field opposes it, so
    that the energy falls with every flip and a fixed point s_i h_i >= 0 is reached in finitely many.
    """
    n_spins = len(spins)
    fields = np.zeros(n_spins)
    for i in range(n_spins):
        for j in range(n_spins):
            fields[i] += couplings[i, j] * spins[j]
    tolerance = 1e-12  # rounding of incremental fields: a flip within it would not lower the energy for sure
    for sweep in range(len(orders)):
        flips = 0
        for k in range(n_spins):
            i = orders[sweep, k]
            if spins[i] * fields[i] < -tolerance:
                spins[i] = -spins[i]
                flips += 1
                row = couplings[i]
                change = 2.0 * spins[i]
                for j in range(n_spins):
                    fields[j] += change * row[j]
        if flips == 0:
            return True
    return False


@njit(cache=True, nogil=True, error_model="numpy")
def subtract_outer(couplings, spins, amount):
    """couplings -= amount spins spins^T off the diagonal, in place."""
    for i in range(len(spins)):
        step = amount * spins[i]
        row = couplings[i]
        for j in range(len(spins)):
            row[j] -= step * spins[j]
        row[i] = 0.0


@njit(cache=True, nogil=True, error_model="numpy")
def shuffled_orders(rng, orders):
    """Fill each row of orders (n_sweeps, n_spins) with a random permutation (Fisher-Yates)."""
    n_spins = orders.shape[1]
    for sweep in range(len(orders)):
        row = orders[sweep]
        for i in range(n_spins):
            row[i] = i
        for i in range(n_spins - 1, 0, -1):
            j = rng.integers(0, i + 1)
            row[i], row[j] = row[j], row[i]


@njit(cache=True, nogil=True, error_model="numpy")
def settle(outgoing, spins, rng, max_sweeps):
    """Relax spins (n_spins,) in place, each sweep in a fresh random order; sweeps used, -1 if max_sweeps were too few.

    outgoing[i] are the couplings by which spin i acts on the others, the columns of the couplings: rows of a symmetric
    matrix. The last sweep, in which no spin turns, counts. With asymmetric couplings there may be no fixed point.
    """
    n_spins = len(spins)
    fields = np.zeros(n_spins)
    for i in range(n_spins):
        for j in range(n_spins):
            fields[j] += outgoing[i, j] * spins[i]
    orders = np.empty((1, n_spins), np.int64)
    tolerance = 1e-12
    for sweep in range(max_sweeps):
        shuffled_orders(rng, orders)
        flips = 0
        for k in range(n_spins):
            i = orders[0, k]
            if spins[i] * fields[i] < -tolerance:
                spins[i] = -spins[i]
                flips += 1
                row = outgoing[i]
                change = 2.0 * spins[i]
                for j in range(n_spins):
                    fields[j] += change * row[j]
        if flips == 0:
            return sweep + 1
    return -1


@njit(cache=True, nogil=True, error_model="numpy")
def settle_all(outgoing, states, rng, max_sweeps, sweeps):
    """Relax every row of states (n_states, n_spins) in place; `sweeps` (n_states,) as `settle` returns them."""
    for k in range(len(states)):
        sweeps[k] = settle(outgoing, states[k], rng, max_sweeps)


@njit(cache=True, nogil=True, error_model="numpy")
def unlearn(couplings, n_dreams, amount, rng, max_sweeps):
    """Dream n_dreams times, couplings in place; the number of dreams that did not reach a fixed point."""
    n_spins = len(couplings)
    spins = np.empty(n_spins)
    unsettled = 0
    for _ in range(n_dreams):
        for i in range(n_spins):
            spins[i] = 1.0 if rng.random() < 0.5 else -1.0
        unsettled += settle(couplings, spins, rng, max_sweeps) < 0
        subtract_outer(couplings, spins, amount)
    return unsettled


@njit(cache=True, nogil=True, error_model="numpy")
def daydream(couplings, patterns, n_steps, amount, rng, max_sweeps):
    """n_steps times learn a random pattern and unlearn a fixed point, couplings in place; unsettled count."""
    n_patterns, n_spins = patterns.shape
    spins = np.empty(n_spins)
    unsettled = 0
    for _ in range(n_steps):
        for i in range(n_spins):
            spins[i] = 1.0 if rng.random() < 0.5 else -1.0
        unsettled += settle(couplings, spins, rng, max_sweeps) < 0
        subtract_outer(couplings, spins, amount)
        subtract_outer(couplings, patterns[rng.integers(0, n_patterns)], -amount)
    return unsettled
