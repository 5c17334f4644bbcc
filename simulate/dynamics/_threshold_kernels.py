"""Compiled kernels that draw random thresholds for single-spin updates, many chains side by side.

Arrays end in the axis of lanes, one chain each, so that one instruction serves many chains; every lane has a generator
of its own. Numpy's error model drops the checks for division by zero, which would keep loops from vectorising.
"""

import numpy as np
from numba import float32, int32, njit, uint32

# updates whose random bits are made in one go: they stay in the innermost cache until they are used
_ROWS = 32


@njit(cache=True, nogil=True, error_model="numpy")
def _fill_bits(state, bits):
    """Fill bits (n_rows, n_words, n_lanes) with xoshiro128++ (Blackman, Vigna 2021), a stream in every lane.

    Two loops over the lanes: one with all arrays has more pairs that might overlap than the compiler is ready to check.
    """
    n_rows, n_words, n_lanes = bits.shape
    s0, s1, s2, s3 = state[0].copy(), state[1].copy(), state[2].copy(), state[3].copy()
    for row in range(n_rows):
        for word in range(n_words):
            for lane in range(n_lanes):
                total = uint32(s0[lane] + s3[lane])
                turned = uint32(uint32(total << uint32(7)) | uint32(total >> uint32(25)))
                bits[row, word, lane] = uint32(turned + s0[lane])
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
    bits = np.empty((_ROWS, 2, n_lanes), np.uint32)
    block = np.empty((_ROWS, 2, n_lanes), np.float32)
    size = _ROWS * 2 * n_lanes
    for first in range(0, len(out), size):
        _fill_bits(state, bits)
        for k in range(_ROWS):
            for lane in range(n_lanes):
                radius = np.sqrt(float32(-2.0) * _logarithm(_uniform(bits[k, 0, lane])))
                sine = _half_sine(bits[k, 1, lane])
                block[k, 0, lane] = radius * (float32(2.0) * sine * sine - float32(1.0))
                block[k, 1, lane] = (
                    radius * float32(2.0) * sine * np.sqrt(max(float32(1.0) - sine * sine, float32(0.0)))
                )
        count = min(size, len(out) - first)
        out[first : first + count] = block.reshape(-1)[:count]


@njit(cache=True, nogil=True, error_model="numpy")
def fill_logistic(state, scale, out):
    """Fill out (n_updates, n_lanes) with scale times fresh logistic thresholds; state (4, n_lanes) uint32 moves on."""
    n_lanes = out.shape[1]
    bits = np.empty((_ROWS, 1, n_lanes), np.uint32)
    for first in range(0, len(out), _ROWS):
        count = min(_ROWS, len(out) - first)
        _fill_bits(state, bits[:count])
        for k in range(count):
            for lane in range(n_lanes):
                out[first + k, lane] = scale * _logistic(bits[k, 0, lane])


@njit(cache=True, nogil=True, error_model="numpy")
def fill_exponential(state, scale, out):
    """Fill out with -scale/2 log(w), w uniform: thresholds of Metropolis steps at temperature `scale`."""
    n_lanes = out.shape[1]
    bits = np.empty((_ROWS, 1, n_lanes), np.uint32)
    for first in range(0, len(out), _ROWS):
        count = min(_ROWS, len(out) - first)
        _fill_bits(state, bits[:count])
        for k in range(count):
            for lane in range(n_lanes):
                out[first + k, lane] = float32(-0.5) * scale * _logarithm(_uniform(bits[k, 0, lane]))


@njit(cache=True, nogil=True, error_model="numpy")
def fill_persistent(state, keep, scale, sites, memory, out):
    """Fill out with the thresholds of the visited sites, each kept with probability keep / 2^32, else redrawn.

    memory (n_spins, n_lanes) holds the threshold of every spin, times scale, and moves on.
    """
    n_lanes = out.shape[1]
    bits = np.empty((_ROWS, 2, n_lanes), np.uint32)
    for first in range(0, len(out), _ROWS):
        count = min(_ROWS, len(out) - first)
        _fill_bits(state, bits[:count])
        for k in range(count):
            site = sites[first + k]
            for lane in range(n_lanes):
                fresh = scale * _logistic(bits[k, 0, lane])
                kept = memory[site, lane]
                memory[site, lane] = kept if bits[k, 1, lane] < keep else fresh
            for lane in range(n_lanes):
                out[first + k, lane] = memory[site, lane]


@njit(cache=True, nogil=True, error_model="numpy")
def fill_mixture(state, share, scale, other_scale, out):
    """Fill out with logistic thresholds, scaled by `scale` with probability share / 2^32, else by `other_scale`."""
    n_lanes = out.shape[1]
    bits = np.empty((_ROWS, 2, n_lanes), np.uint32)
    for first in range(0, len(out), _ROWS):
        count = min(_ROWS, len(out) - first)
        _fill_bits(state, bits[:count])
        for k in range(count):
            for lane in range(n_lanes):
                drawn = scale if bits[k, 1, lane] < share else other_scale
                out[first + k, lane] = drawn * _logistic(bits[k, 0, lane])


@njit(cache=True, nogil=True, error_model="numpy")
def fill_coloured(state, temperature, tau, strength, sites, clock, last_visit, memory, out):
    """Fill out with temperature times a logistic threshold plus the coloured field of the visited site.

    memory (n_spins, n_lanes) holds the Ornstein-Uhlenbeck field of every spin, of standard deviation `strength`, at its
    last visit; it is carried to the present by its exact law, exp(-elapsed / tau). Visit k happens at the time
    (clock + k) / n_spins in sweeps. Normals by Box and Muller 1958.
    """
    n_lanes = out.shape[1]
    bits = np.empty((_ROWS, 3, n_lanes), np.uint32)
    for first in range(0, len(out), _ROWS):
        count = min(_ROWS, len(out) - first)
        _fill_bits(state, bits[:count])
        for k in range(count):
            site = sites[first + k]
            now = clock + first + k
            elapsed = (now - last_visit[site]) / len(last_visit)
            last_visit[site] = now
            decay = float32(np.exp(-elapsed / tau))
            kick = float32(strength * np.sqrt(-np.expm1(-2.0 * elapsed / tau)))
            for lane in range(n_lanes):
                radius = np.sqrt(float32(-2.0) * _logarithm(_uniform(bits[k, 0, lane])))
                sine = _half_sine(bits[k, 1, lane])
                normal = radius * (float32(2.0) * sine * sine - float32(1.0))
                memory[site, lane] = decay * memory[site, lane] + kick * normal
            for lane in range(n_lanes):
                out[first + k, lane] = temperature * _logistic(bits[k, 2, lane]) + memory[site, lane]
