"""Compiled kernels that draw random sites and thresholds for single-spin updates, generators side by side in lanes.

Thresholds (n_updates, n_chains) are filled in the order of memory, a number from each lane in turn. There are as many
lanes as chains, one each, so that one instruction serves many chains; or, for a chain by itself, any number
of lanes, which then make its next updates together. Numpy's error model drops the checks for division by zero, which
would keep loops from vectorising.
"""

import numpy as np
from numba import float32, int32, njit, uint32, uint64

# numbers that each lane makes in one go: they stay in the innermost cache until they are used
_ROWS = 32


@njit(cache=True, nogil=True, error_model="numpy")
def _fill_bits(state, bits, n_rows):
    """Fill n_rows of bits (n_words, _ROWS, n_lanes) with xoshiro128++ (Blackman, Vigna 2021), a stream in every lane.

    Two loops over the lanes: one with all arrays has more pairs that might overlap than the compiler is ready to check.
    """
    n_words, _, n_lanes = bits.shape
    s0, s1, s2, s3 = state[0].copy(), state[1].copy(), state[2].copy(), state[3].copy()
    for row in range(n_rows):
        for word in range(n_words):
            for lane in range(n_lanes):
                total = uint32(s0[lane] + s3[lane])
                turned = uint32(uint32(total << uint32(7)) | uint32(total >> uint32(25)))
                bits[word, row, lane] = uint32(turned + s0[lane])
            for lane in range(n_lanes):
                a0 = s0[lane]
                a1 = s1[lane]
                a2 = uint32(s2[lane] ^ a0)
                a3 = uint32(s3[lane] ^ a1)
                s1[lane] = uint32(a1 ^ a2)
                s0[lane] = uint32(a0 ^ a3)
                s2[lane] = uint32(a2 ^ uint32(a1 << uint32(9)))
                s3[lane] = uint32(uint32(a3 << uint32(11)) | uint32(a3 >> uint32(21)))
    state[0], state[1], state[2], state[3] = s0, s1, s2, s3


@njit(cache=True, nogil=True, error_model="numpy")
def _uniform(bits):
    """Uniform float32 on the open interval (0, 1) from the upper 31 of 32 random bits, down to 2^-32."""
    return (float32(int32(bits >> uint32(1))) + float32(0.5)) * float32(2.0**-31)


@njit(cache=True, nogil=True, error_model="numpy")
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


@njit(cache=True, nogil=True, error_model="numpy")
def _logistic(bits):
    """Threshold with the density of 1/2 log(u / (1 - u)) from 32 random bits.

    The lowest bit is the sign; the others make w uniform on (0, 1), and |z| = 1/2 log((2 - w) / w) has
    P(|z| > x) = 2 / (1 + exp(2 x)), in full float32 precision out to the last tail at 2^-32.
    """
    w = _uniform(bits)
    return _logarithm((float32(2.0) - w) / w) * (float32(0.5) - float32(int32(bits & uint32(1))))


@njit(cache=True, nogil=True, error_model="numpy")
def _half_sine(bits):
    """Sine of an angle x uniform on [-pi/2, pi/2) to 6e-8: 2 sin^2(x) - 1 is minus the cosine of the angle 2 x."""
    x = float32(int32(bits)) * float32(np.pi * 2.0**-32)
    square = x * x
    sine = float32(-2.5052108e-8) * square + float32(2.7557319e-6)
    sine = sine * square - float32(1.9841270e-4)
    sine = sine * square + float32(8.3333333e-3)
    sine = sine * square - float32(1.6666667e-1)
    return (sine * square + float32(1.0)) * x


@njit(cache=True, nogil=True, error_model="numpy")
def fill_normals(state, out):
    """Fill out (n,) with standard normals (Box, Muller 1958) from the lanes of state (4, n_lanes) in turn."""
    n_lanes = state.shape[1]
    bits = np.empty((2, _ROWS, n_lanes), np.uint32)
    lengths, angles = bits[0].reshape(-1), bits[1].reshape(-1)
    block = np.empty((2, len(lengths)), np.float32)
    for first in range(0, len(out), block.size):
        _fill_bits(state, bits, _ROWS)
        for at in range(len(lengths)):
            radius = np.sqrt(float32(-2.0) * _logarithm(_uniform(lengths[at])))
            sine = _half_sine(angles[at])
            block[0, at] = radius * (float32(2.0) * sine * sine - float32(1.0))
            block[1, at] = radius * float32(2.0) * sine * np.sqrt(max(float32(1.0) - sine * sine, float32(0.0)))
        count = min(block.size, len(out) - first)
        out[first : first + count] = block.reshape(-1)[:count]


@njit(cache=True, nogil=True, error_model="numpy")
def fill_sites(state, n_spins, out):
    """Fill out (n_updates,) with random sites: the integer part of n_spins u / 2^64, u of 64 random bits.

    A site is more likely than another by 2^-64 n_spins at most (Lemire 2019, arXiv 1805.10941, without rejection).
    """
    n_lanes = state.shape[1]
    bits = np.empty((2, _ROWS, n_lanes), np.uint32)
    upper, lower = bits[0].reshape(-1), bits[1].reshape(-1)
    for first in range(0, len(out), len(upper)):
        part = out[first : first + len(upper)]
        _fill_bits(state, bits, (len(part) + n_lanes - 1) // n_lanes)
        for at in range(len(part)):
            carry = (uint64(lower[at]) * uint64(n_spins)) >> uint64(32)
            part[at] = int32((uint64(upper[at]) * uint64(n_spins) + carry) >> uint64(32))


@njit(cache=True, nogil=True, error_model="numpy")
def fill_logistic(state, scale, out):
    """Fill out (n_updates, n_chains) with scale times fresh logistic thresholds; state (4, n_lanes) uint32 moves on."""
    n_lanes = state.shape[1]
    bits = np.empty((1, _ROWS, n_lanes), np.uint32)
    words = bits[0].reshape(-1)
    for first in range(0, out.size, len(words)):
        part = out.reshape(-1)[first : first + len(words)]
        _fill_bits(state, bits, (len(part) + n_lanes - 1) // n_lanes)
        for at in range(len(part)):
            part[at] = scale * _logistic(words[at])


@njit(cache=True, nogil=True, error_model="numpy")
def fill_exponential(state, scale, out):
    """Fill out with -scale/2 log(w), w uniform: thresholds of Metropolis steps at temperature `scale`."""
    n_lanes = state.shape[1]
    bits = np.empty((1, _ROWS, n_lanes), np.uint32)
    words = bits[0].reshape(-1)
    for first in range(0, out.size, len(words)):
        part = out.reshape(-1)[first : first + len(words)]
        _fill_bits(state, bits, (len(part) + n_lanes - 1) // n_lanes)
        for at in range(len(part)):
            part[at] = float32(-0.5) * scale * _logarithm(_uniform(words[at]))


@njit(cache=True, nogil=True, error_model="numpy")
def fill_mixture(state, share, scale, other_scale, out):
    """Fill out with logistic thresholds, scaled by `scale` with probability share / 2^32, else by `other_scale`."""
    n_lanes = state.shape[1]
    bits = np.empty((2, _ROWS, n_lanes), np.uint32)
    words, luck = bits[0].reshape(-1), bits[1].reshape(-1)
    for first in range(0, out.size, len(words)):
        part = out.reshape(-1)[first : first + len(words)]
        _fill_bits(state, bits, (len(part) + n_lanes - 1) // n_lanes)
        for at in range(len(part)):
            part[at] = (scale if luck[at] < share else other_scale) * _logistic(words[at])


@njit(cache=True, nogil=True, error_model="numpy")
def fill_persistent(state, keep, scale, sites, memory, out):
    """Fill out with the thresholds of the visited sites, each kept with probability keep / 2^32, else redrawn.

    memory (n_spins, n_chains) holds the threshold of every spin, times scale, and moves on.
    """
    n_lanes, n_chains = state.shape[1], out.shape[1]
    bits = np.empty((2, _ROWS, n_lanes), np.uint32)
    words, luck = bits[0].reshape(-1), bits[1].reshape(-1)
    updates = len(words) // n_chains
    for first in range(0, len(out), updates):
        part = out[first : first + updates].reshape(-1)
        _fill_bits(state, bits, (len(part) + n_lanes - 1) // n_lanes)
        if n_chains == 1:
            # one update after the other, since a site may return, but with all fresh thresholds made beforehand
            for at in range(len(part)):
                part[at] = scale * _logistic(words[at])
            for at in range(len(part)):
                site = uint64(sites[first + at])
                fresh, kept = part[at], memory[site, 0]
                value = kept if luck[at] < keep else fresh
                memory[site, 0] = value
                part[at] = value
            continue
        for k in range(len(part) // n_chains):
            site, start = uint64(sites[first + k]), uint64(k * n_chains)
            for chain in range(n_chains):
                at = start + uint64(chain)
                fresh, kept = scale * _logistic(words[at]), memory[site, chain]
                memory[site, chain] = kept if luck[at] < keep else fresh
            for chain in range(n_chains):
                part[start + uint64(chain)] = memory[site, chain]


@njit(cache=True, nogil=True, error_model="numpy")
def fill_coloured(state, temperature, tau, strength, sites, clock, last_visit, memory, out):
    """Fill out with temperature times a logistic threshold plus the coloured field of the visited site.

    memory (n_spins, n_chains) holds the Ornstein-Uhlenbeck field of every spin, of standard deviation `strength`, at
    its last visit; it is carried to the present by its exact law, exp(-elapsed / tau). Visit k happens at the time
    (clock + k) / n_spins in sweeps. Normals by Box and Muller 1958.
    """
    n_lanes, n_chains = state.shape[1], out.shape[1]
    bits = np.empty((3, _ROWS, n_lanes), np.uint32)
    lengths, angles, words = bits[0].reshape(-1), bits[1].reshape(-1), bits[2].reshape(-1)
    normals = np.empty(len(words), np.float32)
    updates = len(words) // n_chains
    for first in range(0, len(out), updates):
        part = out[first : first + updates].reshape(-1)
        _fill_bits(state, bits, (len(part) + n_lanes - 1) // n_lanes)
        for at in range(len(part)):
            radius = np.sqrt(float32(-2.0) * _logarithm(_uniform(lengths[at])))
            sine = _half_sine(angles[at])
            normals[at] = radius * (float32(2.0) * sine * sine - float32(1.0))
        for at in range(len(part)):
            part[at] = temperature * _logistic(words[at])
        for k in range(len(part) // n_chains):
            site, start = uint64(sites[first + k]), uint64(k * n_chains)
            now = clock + first + k
            elapsed = (now - last_visit[site]) / len(last_visit)
            last_visit[site] = now
            decay = float32(np.exp(-elapsed / tau))
            kick = float32(strength * np.sqrt(-np.expm1(-2.0 * elapsed / tau)))
            for chain in range(n_chains):
                at = start + uint64(chain)
                coloured = decay * memory[site, chain] + kick * normals[at]
                memory[site, chain] = coloured
                part[at] += coloured
