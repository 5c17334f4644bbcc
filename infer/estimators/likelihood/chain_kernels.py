"""Compiled heat-bath sweeps of independent chains on dense couplings, with a population count.

Sites are updated in the order of their index. That order is fixed, so that chains share no random number. Each chain
has its own generators, several lanes of xoshiro128++ (Blackman, Vigna 2021, doi:10.1145/3460772), which fill a buffer
with the thresholds of a whole sweep by vector instructions. Spin i becomes +1 where its local field plus a threshold of
logistic density is positive. Numpy's error model omits the checks for division by zero, which prevent vectorisation.
"""

import numpy as np
from numba import float32, njit, uint32

from simulate.dynamics.threshold_kernels import logistic_threshold


@njit(cache=True, nogil=True, error_model="numpy")
def fill_thresholds(state, bits, out):
    """Fill out, a whole number of lanes long, with thresholds 1/2 log(u / (1 - u)), u uniform; state (4, n_lanes).

    `bits` (n_lanes,) is work space: in a loop over few arrays the compiler can prove that none overlap.
    """
    n_lanes = state.shape[1]
    s0, s1, s2, s3 = state[0], state[1], state[2], state[3]
    for first in range(0, len(out), n_lanes):
        for lane in range(n_lanes):
            total = uint32(s0[lane] + s3[lane])
            turned = uint32(uint32(total << uint32(7)) | uint32(total >> uint32(25)))
            bits[lane] = uint32(turned + s0[lane])
        for lane in range(n_lanes):
            a0 = s0[lane]
            a1 = s1[lane]
            a2 = uint32(s2[lane] ^ a0)
            a3 = uint32(s3[lane] ^ a1)
            s1[lane] = uint32(a1 ^ a2)
            s0[lane] = uint32(a0 ^ a3)
            s2[lane] = uint32(a2 ^ uint32(a1 << uint32(9)))
            s3[lane] = uint32(uint32(a3 << uint32(11)) | uint32(a3 >> uint32(21)))
        part = out[first : first + n_lanes]
        for lane in range(n_lanes):
            part[lane] = logistic_threshold(bits[lane])


@njit(cache=True, nogil=True, error_model="numpy")
def _pair_fields(couplings, chain, pair):
    """Fill pair (width,) with sum_j J_ij s_j, and return the number of +1."""
    pair[:] = float32(0.0)
    up = 0
    for j in range(len(chain)):
        up += chain[j] > 0
        value = float32(chain[j])
        row = couplings[j]
        for i in range(len(pair)):
            pair[i] += row[i] * value
    return up


@njit(cache=True, nogil=True, error_model="numpy")
def _sweep(couplings, fields, steps, scale, chain, pair, noise, up):
    """One sweep of one chain; returns the number of +1 after it."""
    for i in range(len(chain)):
        old = chain[i]
        others = up - (old > 0)
        new = np.int8(1) if scale * pair[i] + fields[i] + steps[others] + noise[i] > float32(0.0) else np.int8(-1)
        if new != old:
            chain[i] = new
            up = others + (new > 0)
            change = float32(2.0) * float32(new)
            row = couplings[i]
            for j in range(len(pair)):
                pair[j] += row[j] * change
    return up


# loops in place of assignments of arrays: those compile a check of shapes with its message, three seconds' worth
@njit(cache=True, nogil=True, error_model="numpy")
def _copy(source, target):
    """Copy the state of a generator (4, n_lanes)."""
    for word in range(source.shape[0]):
        for lane in range(source.shape[1]):
            target[word, lane] = source[word, lane]


@njit(cache=True, nogil=True, error_model="numpy")
def sweep_chains(state, couplings, fields, steps, spins, n_sweeps, every, record):
    """Advance chains of heat-bath updates, and record their states after every `every` sweeps.

    Parameters
    ----------
    state : uint32 array (n_chains, 4, n_lanes)
        Generators of each chain, changed in place.
    couplings : float32 array (n_spins, width)
        Symmetric with zero diagonal; the columns behind the spins are zero, so that rows are whole vector registers.
    fields : float32 array (n_spins,)
    steps : float32 array (n_spins,)
        (V(k + 1) - V(k)) / 2 of a potential of the number k of other spins that are +1; zeros for none.
    spins : int8 array (n_chains, n_spins)
        States, changed in place.
    n_sweeps, every : int
    record : int8 array (n_chains, at least n_sweeps // every, n_spins)
        Filled with the states after sweeps every, 2 every, ...
    """
    n_chains, n_spins = spins.shape
    n_lanes = state.shape[2]
    noise = np.empty(-(-n_spins // n_lanes) * n_lanes, np.float32)
    bits = np.empty(n_lanes, np.uint32)
    pair = np.empty(couplings.shape[1], np.float32)
    own = np.empty((4, n_lanes), np.uint32)
    for c in range(n_chains):
        chain = spins[c]
        _copy(state[c], own)
        up = _pair_fields(couplings, chain, pair)
        due, kept = every, 0
        for _ in range(n_sweeps):
            fill_thresholds(own, bits, noise)
            up = _sweep(couplings, fields, steps, float32(1.0), chain, pair, noise, up)
            due -= 1
            if due == 0:
                for i in range(n_spins):
                    record[c, kept, i] = chain[i]
                kept += 1
                due = every
        _copy(own, state[c])


@njit(cache=True, nogil=True, error_model="numpy")
def anneal_chains(state, couplings, shift, centre, fields, steps, spins, schedule, log_weights):
    """Anneal chains from independent spins to full couplings, and gather the logarithms of their importance weights.

    Couplings act on deviations from a centre c, so that independent spins with about the right means are a good start:
    at the factor b local fields are b J (s - c) + h. Before a chain takes its sweep at schedule[k], its weight grows by
    (schedule[k] - schedule[k - 1]) times 1/2 (s - c) J (s - c) + V.

    Parameters
    ----------
    state, couplings, steps, spins
        As in `sweep_chains`; spins start from independent spins in the fields.
    shift : float32 array (n_spins,)
        J c.
    centre : float64 array (n_spins,)
    fields : float32 array (n_spins,)
        h, of independent spins.
    schedule : float64 array (n_steps,)
        Increasing, from 0 to 1.
    log_weights : float64 array (n_chains,)
        Filled.
    """
    n_chains, n_spins = spins.shape
    n_lanes = state.shape[2]
    noise = np.empty(-(-n_spins // n_lanes) * n_lanes, np.float32)
    bits = np.empty(n_lanes, np.uint32)
    pair = np.empty(couplings.shape[1], np.float32)
    own = np.empty((4, n_lanes), np.uint32)
    scaled_steps, scaled_fields = np.empty_like(steps), np.empty_like(fields)
    potential = np.zeros(n_spins + 1)
    for k in range(n_spins):
        potential[k + 1] = potential[k] + 2.0 * steps[k]
    for c in range(n_chains):
        chain = spins[c]
        _copy(state[c], own)
        up = _pair_fields(couplings, chain, pair)
        total = 0.0
        for k in range(1, len(schedule)):
            value = 0.0
            for i in range(n_spins):
                value += (pair[i] - shift[i]) * (chain[i] - centre[i])
            total += (schedule[k] - schedule[k - 1]) * (0.5 * value + potential[up])
            if k + 1 < len(schedule):
                scale = float32(schedule[k])
                for i in range(n_spins):
                    scaled_steps[i] = scale * steps[i]
                    scaled_fields[i] = fields[i] - scale * shift[i]
                # rounding errors of the fields, relative 1e-7 at every flip, would accumulate over a long schedule
                if k % 1000 == 0:
                    up = _pair_fields(couplings, chain, pair)
                fill_thresholds(own, bits, noise)
                up = _sweep(couplings, scaled_fields, scaled_steps, scale, chain, pair, noise, up)
        log_weights[c] = total
        _copy(own, state[c])
