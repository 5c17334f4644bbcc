"""Compiled kernels of learning and unlearning: zero-temperature relaxation and updates of the couplings."""

import math

import numpy as np
from numba import njit

#: A field counts as zero, a tie, up to this fraction of sum_j |J_ij|: rounding of sums, and of single precision.
TIE = 1e-7


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
def settle_from(outgoing, spins, bias, rng, max_sweeps):
    """As `settle`, in the fields sum_j J_ij (s_j - bias) of centred spins."""
    n_spins = len(spins)
    fields = np.zeros(n_spins)
    tolerance = np.zeros(n_spins)
    for i in range(n_spins):
        for j in range(n_spins):
            fields[j] += outgoing[i, j] * (spins[i] - bias)
            tolerance[j] += TIE * abs(outgoing[i, j])
    orders = np.empty((1, n_spins), np.int64)
    for sweep in range(max_sweeps):
        shuffled_orders(rng, orders)
        flips = 0
        for k in range(n_spins):
            i = orders[0, k]
            if spins[i] * fields[i] < -tolerance[i]:
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
def settle(outgoing, spins, rng, max_sweeps):
    """Relax spins (n_spins,) in place, each sweep in a new random order; returns the sweeps, -1 if too few.

    outgoing[i] are the couplings by which spin i acts on the others, the columns of the couplings: rows of a symmetric
    matrix. A spin flips only where the field opposes it by more than a tie (`TIE`). With symmetric couplings the energy
    then decreases with every flip, and a fixed point s_i h_i >= 0 is reached after finitely many; with asymmetric ones
    there may be none. The last sweep, in which no spin flips, is counted.
    """
    return settle_from(outgoing, spins, 0.0, rng, max_sweeps)


@njit(cache=True, nogil=True, error_model="numpy")
def settle_all(outgoing, states, rng, max_sweeps, sweeps):
    """Relax every row of states (n_states, n_spins) in place; `sweeps` (n_states,) as `settle` returns them."""
    for k in range(len(states)):
        sweeps[k] = settle(outgoing, states[k], rng, max_sweeps)


@njit(cache=True, nogil=True, error_model="numpy")
def unlearn(couplings, n_dreams, amount, rng, max_sweeps):
    """Dream n_dreams times, with couplings changed in place; returns the number of dreams without a fixed point."""
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
    """Learn a random pattern and unlearn a fixed point n_steps times, in place; returns the unsettled count."""
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


@njit(cache=True, nogil=True, error_model="numpy")
def unlearn_within(couplings, n_dreams, amount, largest, rng, max_sweeps):
    """As `unlearn`, with couplings of absolute value `largest` at most."""
    n_spins = len(couplings)
    unsettled = 0
    for _ in range(n_dreams):
        unsettled += unlearn(couplings, 1, amount, rng, max_sweeps)
        for i in range(n_spins):
            for j in range(n_spins):
                couplings[i, j] = min(max(couplings[i, j], -largest), largest)
    return unsettled


@njit(cache=True, nogil=True, error_model="numpy")
def centred_daydream(couplings, patterns, bias, n_steps, amount, rng, max_sweeps):
    """As `daydream`, of spins minus their mean `bias`, from random states of that mean."""
    n_patterns, n_spins = patterns.shape
    spins = np.empty(n_spins)
    unsettled = 0
    for _ in range(n_steps):
        for i in range(n_spins):
            spins[i] = 1.0 if rng.random() < (1.0 + bias) / 2.0 else -1.0
        unsettled += settle_from(couplings, spins, bias, rng, max_sweeps) < 0
        subtract_outer(couplings, spins - bias, amount)
        subtract_outer(couplings, patterns[rng.integers(0, n_patterns)] - bias, -amount)
    return unsettled


@njit(cache=True, nogil=True, error_model="numpy")
def dream_eigenvectors(couplings, vectors, n_dreams, amount, leading, rng, max_sweeps):
    """Dream n_dreams times, each lowering eigenvalues as the squared overlaps of a fixed point with the eigenvectors.

    Columns of `vectors` are the eigenvectors; `couplings` (zero diagonal) change in place. If `leading`, only the
    eigenvalue of the eigenvector of largest overlap is lowered, by `amount` n_spins. Returns the unsettled count.
    """
    n_spins = len(couplings)
    spins = np.empty(n_spins)
    unsettled = 0
    for _ in range(n_dreams):
        for i in range(n_spins):
            spins[i] = 1.0 if rng.random() < 0.5 else -1.0
        unsettled += settle(couplings, spins, rng, max_sweeps) < 0
        squares = np.dot(spins, vectors) ** 2
        if leading:
            largest = np.argmax(squares)
            column = vectors[:, largest].copy()
            subtract_outer(couplings, column, amount * n_spins)
        else:
            couplings -= np.dot(vectors * (amount * squares), vectors.T)
            for i in range(n_spins):
                couplings[i, i] = 0.0
    return unsettled


@njit(cache=True, nogil=True, error_model="numpy")
def thermal_correlations(couplings, temperature, spins, fields, burn_in, draws, rng, total):
    """Add s s^T of `draws` states, a sweep apart, to total (n_spins, n_spins): heat bath from the spins (n_spins,).

    A sweep updates n_spins random spins, each to +1 with probability 1 / (1 + exp(-2 h / T)). Spins and the fields J s
    change in place.
    """
    n_spins = len(couplings)
    for sweep in range(burn_in + draws):
        for _ in range(n_spins):
            i = rng.integers(0, n_spins)
            value = 1.0 if rng.random() * (1.0 + math.exp(-2.0 * fields[i] / temperature)) < 1.0 else -1.0
            if value != spins[i]:
                spins[i] = value
                row = couplings[i]
                change = 2.0 * value
                for j in range(n_spins):
                    fields[j] += change * row[j]
        if sweep >= burn_in:
            for i in range(n_spins):
                for j in range(n_spins):
                    total[i, j] += spins[i] * spins[j]


@njit(cache=True, nogil=True, error_model="numpy")
def learn_margins(couplings, patterns, margin, step, symmetric, normalised):
    """One pass of margin learning over the patterns, in place; returns the number of spins below the margin."""
    n_patterns, n_spins = patterns.shape
    wrong = np.empty(n_spins)
    taught = 0
    for mu in range(n_patterns):
        xi = patterns[mu]
        count = 0
        for i in range(n_spins):
            field = 0.0
            square = 0.0
            row = couplings[i]
            for j in range(n_spins):
                field += row[j] * xi[j]
                square += row[j] * row[j]
            needed = margin * math.sqrt(square) if normalised else margin
            # a row of zeros has a stability of 0 at any margin: it always learns
            lacking = field * xi[i] < needed or square == 0.0
            wrong[i] = 1.0 if lacking else 0.0
            count += lacking
        if count == 0:
            continue
        taught += count
        for i in range(n_spins):
            row = couplings[i]
            for j in range(n_spins):
                share = wrong[i] + wrong[j] if symmetric else wrong[i]
                row[j] += step * share * xi[i] * xi[j]
            row[i] = 0.0
    return taught
