"""Compiled kernels that draw random sites and thresholds for single-spin updates.

Each chain has its own streams, sixteen generators in parallel (n_chains, 4, 16), whose numbers it uses in turn. The
rest of a row of sixteen is discarded when a call ends, so that only calls of a multiple of sixteen updates give the
same numbers as one call. Numpy's error model omits the checks for division by zero, which would prevent vectorisation.
"""

import numpy as np
from numba import float32, int32, njit, uint32, uint64

from simulate.vector_intrinsics import LANES, fill_words, logistic

# numbers that each generator produces per call: they stay in the first-level cache until they are used
_ROWS = 32
_WORDS = _ROWS * LANES
_STREAM = 4 * LANES


@njit(cache=True, nogil=True, error_model="numpy")
def _fill_bits(state, bits, n_rows):
    """Fill n_rows of bits (n_words, _ROWS, n_lanes) with xoshiro128++ (Blackman, Vigna 2021), a stream in every lane.

    There are two loops over the lanes, since for one the compiler would not check all pairs of arrays for overlap.
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
def logistic_threshold(bits):
    """Threshold with the density of 1/2 log(u / (1 - u)) from 32 random bits.

    The lowest bit is the sign; the others make w uniform on (0, 1), and |z| = 1/2 log((2 - w) / w) has
    P(|z| > x) = 2 / (1 + exp(2 x)), in full float32 precision down to tail probabilities of 2^-32.
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
def fill_logistic_lanes(state, out):
    """Fill out (n,) with logistic thresholds from the lanes of state (4, n_lanes) in turn."""
    n_lanes = state.shape[1]
    bits = np.empty((1, _ROWS, n_lanes), np.uint32)
    words = bits[0].reshape(-1)
    for first in range(0, len(out), len(words)):
        part = out[first : first + len(words)]
        _fill_bits(state, bits, (len(part) + n_lanes - 1) // n_lanes)
        for at in range(len(part)):
            part[at] = logistic_threshold(words[at])


@njit(cache=True, nogil=True, error_model="numpy")
def _rows_of(count):
    """Number of rows of sixteen that hold `count` numbers."""
    return (count + LANES - 1) // LANES


@njit(cache=True, nogil=True, error_model="numpy")
def fill_sites(state, n_spins, out):
    """Fill out (n_chains, n_updates) with random sites: the integer part of n_spins u / 2^64, u of 64 random bits.

    A site is more likely than another by 2^-64 n_spins at most (Lemire 2019, arXiv 1805.10941, without rejection).
    """
    words = np.empty((2, _WORDS), np.uint32)
    for chain in range(out.shape[0]):
        for first in range(0, out.shape[1], _WORDS):
            count = min(_WORDS, out.shape[1] - first)
            fill_words(state, chain * _STREAM, words, 2, _rows_of(count))
            upper, lower, part = words[0], words[1], out[chain, first : first + count]
            for at in range(len(part)):
                carry = (uint64(lower[at]) * uint64(n_spins)) >> uint64(32)
                part[at] = int32((uint64(upper[at]) * uint64(n_spins) + carry) >> uint64(32))


@njit(cache=True, nogil=True, error_model="numpy")
def fill_logistic(state, scale, out):
    """Fill out (n_chains, n_updates) with scale times new logistic thresholds; state (n_chains, 4, 16) is advanced."""
    words, fresh = np.empty((1, _WORDS), np.uint32), np.empty(_WORDS, np.float32)
    for chain in range(out.shape[0]):
        for first in range(0, out.shape[1], _WORDS):
            count = min(_WORDS, out.shape[1] - first)
            fill_words(state, chain * _STREAM, words, 1, _rows_of(count))
            logistic(words, scale, fresh, _rows_of(count))
            part = out[chain, first : first + count]
            for at in range(len(part)):
                part[at] = fresh[at]


@njit(cache=True, nogil=True, error_model="numpy")
def fill_logistic_at(state, scales, sites, out):
    """As `fill_logistic`, each threshold scaled by the number that belongs to its site, scales (n_spins,)."""
    fill_logistic(state, float32(1.0), out)
    for chain in range(out.shape[0]):
        for at in range(out.shape[1]):
            out[chain, at] *= scales[sites[chain, at]]


@njit(cache=True, nogil=True, error_model="numpy")
def fill_exponential(state, scale, out):
    """Fill out with -scale/2 log(w), w uniform: thresholds of Metropolis steps at temperature `scale`."""
    words = np.empty((1, _WORDS), np.uint32)
    for chain in range(out.shape[0]):
        for first in range(0, out.shape[1], _WORDS):
            count = min(_WORDS, out.shape[1] - first)
            fill_words(state, chain * _STREAM, words, 1, _rows_of(count))
            fresh, part = words[0], out[chain, first : first + count]
            for at in range(len(part)):
                part[at] = float32(-0.5) * scale * _logarithm(_uniform(fresh[at]))


@njit(cache=True, nogil=True, error_model="numpy")
def fill_mixture(state, share, scale, other_scale, out):
    """Fill out with logistic thresholds, scaled by `scale` with probability share / 2^32, else by `other_scale`."""
    words, fresh = np.empty((2, _WORDS), np.uint32), np.empty(_WORDS, np.float32)
    for chain in range(out.shape[0]):
        for first in range(0, out.shape[1], _WORDS):
            count = min(_WORDS, out.shape[1] - first)
            fill_words(state, chain * _STREAM, words, 2, _rows_of(count))
            logistic(words, float32(1.0), fresh, _rows_of(count))  # of the first words
            luck, part = words[1], out[chain, first : first + count]
            for at in range(len(part)):
                part[at] = fresh[at] * (scale if luck[at] < share else other_scale)


@njit(cache=True, nogil=True, error_model="numpy")
def fill_persistent(state, keep, scale, sites, memory, out):
    """Fill out with scale times the thresholds of the visited sites, each kept with probability keep / 2^32, else new.

    memory (n_chains, n_spins) holds the threshold of every spin and is updated.
    """
    words = np.empty((2, _WORDS), np.uint32)
    fresh = np.empty(_WORDS, np.float32)
    for chain in range(out.shape[0]):
        for first in range(0, out.shape[1], _WORDS):
            count = min(_WORDS, out.shape[1] - first)
            fill_words(state, chain * _STREAM, words, 2, _rows_of(count))
            logistic(words, float32(1.0), fresh, _rows_of(count))  # of the first words
            luck, kept = words[1], memory[chain]
            visited, part = sites[chain, first : first + count], out[chain, first : first + count]
            for at in range(len(part)):
                # sequential, since a site may occur twice; new thresholds are drawn beforehand
                site = uint64(visited[at])
                value = kept[site] if luck[at] < keep else fresh[at]
                kept[site] = value
                part[at] = scale * value


@njit(cache=True, nogil=True, error_model="numpy")
def fill_coloured(state, temperature, tau, strength, unit, sites, clock, last_visit, memory, out):
    """Fill out with temperature times a logistic threshold plus the coloured field of the visited site over `unit`.

    memory (n_chains, n_spins) holds the Ornstein-Uhlenbeck field of every spin, of standard deviation `strength`, at
    its last visit, the number of an update (n_chains, n_spins); it is propagated to the present by its exact law,
    exp(-elapsed / tau). Update k happens at the time (clock + k) / n_spins in sweeps. Normals by Box and Muller 1958.
    """
    words = np.empty((3, _WORDS), np.uint32)
    normals = np.empty(_WORDS, np.float32)
    n_spins = memory.shape[1]
    for chain in range(out.shape[0]):
        for first in range(0, out.shape[1], _WORDS):
            count = min(_WORDS, out.shape[1] - first)
            fill_words(state, chain * _STREAM, words, 3, _rows_of(count))
            for at in range(count):
                radius = np.sqrt(float32(-2.0) * _logarithm(_uniform(words[0, at])))
                sine = _half_sine(words[1, at])
                normals[at] = radius * (float32(2.0) * sine * sine - float32(1.0))
            for at in range(count):
                out[chain, first + at] = temperature * logistic_threshold(words[2, at])
            for at in range(count):
                site, now = uint64(sites[chain, first + at]), clock + first + at
                elapsed = (now - last_visit[chain, site]) / n_spins
                last_visit[chain, site] = now
                kick = strength * np.sqrt(-np.expm1(-2.0 * elapsed / tau))
                memory[chain, site] = np.exp(-elapsed / tau) * memory[chain, site] + kick * normals[at]
                out[chain, first + at] += float32(memory[chain, site] / unit)
