"""Compiled kernels of the spin dynamics: random thresholds, and single-spin updates from given thresholds.

Everywhere `lanes` are chains side by side: arrays end in the lane axis so that one instruction serves many chains.
The arithmetic of a lane never depends on the other lanes; so results do not depend on how chains are grouped.
Numpy's error model drops the checks for division by zero, which cannot happen here and keep loops from vectorising.
"""

import numpy as np
from numba import float32, int32, njit, uint32


@njit(inline="always", cache=True, nogil=True, error_model="numpy")
def _next_bits(s0, s1, s2, s3, bits):
    """One step of xoshiro128++ (Blackman, Vigna 2021) in every lane.

    Two loops, since one with all five arrays has more pairs that might overlap than the compiler is ready to check.
    """
    for lane in range(len(bits)):
        total = uint32(s0[lane] + s3[lane])
        bits[lane] = uint32(uint32(uint32(total << uint32(7)) | uint32(total >> uint32(25))) + s0[lane])
    for lane in range(len(bits)):
        a0 = s0[lane]
        a1 = s1[lane]
        a2 = uint32(s2[lane] ^ a0)
        a3 = uint32(s3[lane] ^ a1)
        s1[lane] = uint32(a1 ^ a2)
        s0[lane] = uint32(a0 ^ a3)
        s2[lane] = uint32(a2 ^ uint32(a1 << uint32(9)))
        s3[lane] = uint32(uint32(a3 << uint32(11)) | uint32(a3 >> uint32(21)))


@njit(inline="always", cache=True, nogil=True, error_model="numpy")
def _logarithm(value):
    """Natural logarithm of a positive normal float32 to 2e-7 (Cephes logf), free of branches so that it vectorises."""
    pattern = np.float32(value).view(np.int32)
    exponent = int32(int32(pattern - int32(0x3F3504F3)) >> int32(23))
    f = np.int32(pattern - int32(exponent << int32(23))).view(np.float32) - float32(1.0)
    p = float32(7.0376836292e-2)
    p = p * f + float32(-1.1514610310e-1)
    p = p * f + float32(1.1676998740e-1)
    p = p * f + float32(-1.2420140846e-1)
    p = p * f + float32(1.4249322787e-1)
    p = p * f + float32(-1.6668057665e-1)
    p = p * f + float32(2.0000714765e-1)
    p = p * f + float32(-2.4999993993e-1)
    p = p * f + float32(3.3333331174e-1)
    square = f * f
    return f * square * p - float32(0.5) * square + f + float32(exponent) * float32(0.6931471805599453)


@njit(inline="always", cache=True, nogil=True, error_model="numpy")
def _logistic(bits, out):
    """Turn 32 random bits a lane into a threshold with the density of 1/2 log(u / (1 - u)).

    The lowest bit is the sign; the others make w uniform on (0, 1), and |z| = 1/2 log((2 - w) / w) has
    P(|z| > x) = 2 / (1 + exp(2 x)), in full float32 precision out to the last tail at 2^-32.
    """
    for lane in range(len(bits)):
        w = (float32(int32(bits[lane] >> uint32(1))) + float32(0.5)) * float32(2.0**-31)
        sign = float32(0.5) - float32(int32(bits[lane] & uint32(1)))
        out[lane] = _logarithm((float32(2.0) - w) / w) * sign


@njit(cache=True, nogil=True, error_model="numpy")
def fill_logistic(state, out):
    """Fill out (n_updates, n_lanes) with fresh logistic thresholds; state (4, n_lanes) uint32 moves on."""
    s0, s1, s2, s3 = state[0].copy(), state[1].copy(), state[2].copy(), state[3].copy()
    bits = np.empty(out.shape[1], np.uint32)
    for k in range(len(out)):
        _next_bits(s0, s1, s2, s3, bits)
        _logistic(bits, out[k])
    state[0], state[1], state[2], state[3] = s0, s1, s2, s3


@njit(cache=True, nogil=True, error_model="numpy")
def fill_persistent(state, keep, sites, memory, out):
    """Fill out with the thresholds of the visited sites, each kept with probability keep / 2^32, else redrawn.

    memory (n_spins, n_lanes) holds the threshold of every spin and moves on.
    """
    s0, s1, s2, s3 = state[0].copy(), state[1].copy(), state[2].copy(), state[3].copy()
    bits = np.empty(out.shape[1], np.uint32)
    for k in range(len(out)):
        row = out[k]
        kept = memory[sites[k]]
        _next_bits(s0, s1, s2, s3, bits)
        _logistic(bits, row)
        _next_bits(s0, s1, s2, s3, bits)
        for lane in range(len(bits)):
            row[lane] = kept[lane] if bits[lane] < keep else row[lane]
        for lane in range(len(bits)):
            kept[lane] = row[lane]
    state[0], state[1], state[2], state[3] = s0, s1, s2, s3


@njit(fastmath={"contract"}, cache=True, nogil=True, error_model="numpy")
def advance_patterns(sites, thresholds, left, right, self_couplings, external, spins, overlaps, every, record):
    """Update spins (n_spins, n_lanes) one site after the other: s_i = sign(h_i + external_i + threshold).

    h_i = sum_mu left[i, mu] overlaps[mu] - self_couplings[i] s_i, and overlaps (n_patterns, n_lanes) follow each
    flip by right[i]. After each `every` updates the states go into record (n_lanes, n_records, n_spins).
    """
    n_lanes = spins.shape[1]
    n_patterns = left.shape[1]
    field = np.empty(n_lanes, np.float32)
    change = np.empty(n_lanes, np.float32)
    for k in range(len(sites)):
        site = sites[k]
        state = spins[site]
        noise = thresholds[k]
        weights = left[site]
        for lane in range(n_lanes):
            field[lane] = noise[lane] + external[site] - self_couplings[site] * state[lane]
        mu = 0
        while mu + 4 <= n_patterns:  # four patterns a pass, to load and store the field a fourth as often
            w0, w1, w2, w3 = weights[mu], weights[mu + 1], weights[mu + 2], weights[mu + 3]
            m0, m1, m2, m3 = overlaps[mu], overlaps[mu + 1], overlaps[mu + 2], overlaps[mu + 3]
            for lane in range(n_lanes):
                field[lane] += w0 * m0[lane] + w1 * m1[lane] + w2 * m2[lane] + w3 * m3[lane]
            mu += 4
        while mu < n_patterns:
            w0 = weights[mu]
            m0 = overlaps[mu]
            for lane in range(n_lanes):
                field[lane] += w0 * m0[lane]
            mu += 1
        flips = 0
        for lane in range(n_lanes):
            new = float32(1.0) if field[lane] >= float32(0.0) else float32(-1.0)
            change[lane] = new - state[lane]
            flips |= int32(new != state[lane])
            state[lane] = new
        if flips:
            step = right[site]
            for mu in range(n_patterns):
                w0 = step[mu]
                m0 = overlaps[mu]
                for lane in range(n_lanes):
                    m0[lane] += w0 * change[lane]
        if every and (k + 1) % every == 0:
            index = (k + 1) // every - 1
            for i in range(spins.shape[0]):
                for lane in range(n_lanes):
                    record[lane, index, i] = np.int8(spins[i, lane])


@njit(cache=True, nogil=True, error_model="numpy")
def advance_dense(sites, thresholds, incoming, spins, fields, every, record):
    """Update spins (n_lanes, n_spins) one site after the other: s_i = sign(fields_i + threshold).

    fields (n_lanes, n_spins) include the external ones and follow each flip of spin i by incoming[i], the couplings
    J_ji with which i acts on all j. One chain after the other: a flip then walks along contiguous memory.
    """
    for lane in range(len(spins)):
        state = spins[lane]
        field = fields[lane]
        for k in range(len(sites)):
            site = sites[k]
            new = float32(1.0) if field[site] + thresholds[k, lane] >= float32(0.0) else float32(-1.0)
            if new != state[site]:
                change = new - state[site]
                state[site] = new
                row = incoming[site]
                for j in range(len(field)):
                    field[j] += change * row[j]
            if every and (k + 1) % every == 0:
                index = (k + 1) // every - 1
                for i in range(len(state)):
                    record[lane, index, i] = np.int8(state[i])


@njit(cache=True, nogil=True, error_model="numpy")
def advance_sparse(sites, thresholds, start, neighbours, weights, spins, fields, every, record):
    """As `advance_dense`, with row i of the couplings J_ji in compressed form start[i]:start[i + 1]."""
    for lane in range(len(spins)):
        state = spins[lane]
        field = fields[lane]
        for k in range(len(sites)):
            site = sites[k]
            new = float32(1.0) if field[site] + thresholds[k, lane] >= float32(0.0) else float32(-1.0)
            if new != state[site]:
                change = new - state[site]
                state[site] = new
                for at in range(start[site], start[site + 1]):
                    field[neighbours[at]] += change * weights[at]
            if every and (k + 1) % every == 0:
                index = (k + 1) // every - 1
                for i in range(len(state)):
                    record[lane, index, i] = np.int8(state[i])
