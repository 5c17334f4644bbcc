"""Compiled kernels of contrastive learning: the weight changes of many synapses in one cycle."""

import math

import numpy as np
from numba import njit
from numpy.typing import NDArray

Array = NDArray[np.float64]
Indices = NDArray[np.int64]


@njit(cache=True, nogil=True, error_model="numpy")
def update(
    free: Array, clamped: Array, numbers: Array, taylor: Array, knots: Array, layers: Array, guide: Indices, out: Array
) -> None:
    """Changes of weights in one cycle, int g(u) dt for u = area free + (clamped - free) phi; synapses (n_synapses,).

    numbers holds area, threshold, period and the largest |phi|. Side 0 of the tables is for u >= threshold, side 1,
    made of -phi, for u <= -threshold: at amplitude A the integral over the times of phi >= level is

        sum_k taylor[k] A^k L_k(level),    L_k(level) = int (phi - level)^k.

    layers[side, j, k] is L_k(knots[side, j]); L_0 is linear between knots, so that the others are exact polynomials.
    guide[side, b] is the last knot not above the lower end of bin b, of bins of equal width between the first and the
    last knot. Everything is in one function, since passing arrays for each synapse would take longer than the look-up.
    """
    area, threshold, period, largest = numbers[0], numbers[1], numbers[2], numbers[3]
    last = knots.shape[1] - 1
    bins = guide.shape[1] - 1
    high_powers = taylor[2] != 0.0 or taylor[3] != 0.0
    for synapse in range(len(free)):
        out[synapse] = 0.0
        amplitude = clamped[synapse] - free[synapse]
        constant = area * free[synapse]
        sign = 1.0
        if amplitude < 0:
            sign, amplitude, constant = -1.0, -amplitude, -constant
        # u stays between constant -+ swing: it may never reach the threshold, or the signal may hardly change
        swing = amplitude * largest
        if abs(constant) + swing < threshold or (swing == 0.0 and constant == 0.0):
            continue
        if swing <= 1e-15 * abs(constant):
            excess = abs(constant) - threshold
            value = taylor[0] + excess * (taylor[1] + excess * (taylor[2] + excess * taylor[3]))
            out[synapse] = sign * math.copysign(value * period, constant)
            continue
        total = 0.0
        for side in range(2):
            level = (threshold - constant) / amplitude if side == 0 else (threshold + constant) / amplitude
            lowest, highest = knots[side, 0], knots[side, last]
            if level > highest:
                continue
            right, slope = 0, 0.0
            if level > lowest:
                place = min(int((level - lowest) / (highest - lowest) * bins), bins - 1)
                # check neighbouring bins: rounding may have put the level into one of them
                left = guide[side, max(place - 1, 0)]
                right = min(guide[side, min(place + 2, bins)] + 1, last)
                while right - left > 1:
                    middle = (left + right) // 2
                    if knots[side, middle] < level:
                        left = middle
                    else:
                        right = middle
                slope = (layers[side, right - 1, 0] - layers[side, right, 0]) / (
                    knots[side, right] - knots[side, right - 1]
                )
            delta = knots[side, right] - level
            t, one = layers[side, right, 0], layers[side, right, 1]
            part = taylor[0] * (t + slope * delta) + taylor[1] * amplitude * (one + delta * (t + delta * slope / 2))
            if high_powers:
                two, three = layers[side, right, 2], layers[side, right, 3]
                square = two + delta * (2 * one + delta * (t + delta * slope / 3))
                cube = three + delta * (3 * two + delta * (3 * one + delta * (t + delta * slope / 4)))
                part += amplitude * amplitude * (taylor[2] * square + taylor[3] * amplitude * cube)
            total += part if side == 0 else -part
        out[synapse] = sign * total


@njit(cache=True, nogil=True, error_model="numpy")
def outer_update(
    free_before: Array,
    free_after: Array,
    clamped_before: Array,
    clamped_after: Array,
    numbers: Array,
    taylor: Array,
    knots: Array,
    layers: Array,
    guide: Indices,
    out: Array,
) -> None:
    """Add to out (n_before, n_after) the changes of all cycles, one per row, of synapses whose signal is a product.

    The signal of synapse (i, j) is before[row, i] * after[row, j], in the free and in the clamped state.
    """
    n_after = free_after.shape[1]
    free, clamped, change = np.empty(n_after), np.empty(n_after), np.empty(n_after)
    for row in range(len(free_before)):
        for i in range(free_before.shape[1]):
            before, before_clamped = free_before[row, i], clamped_before[row, i]
            if before == 0.0 and before_clamped == 0.0:
                continue
            for j in range(n_after):
                free[j] = before * free_after[row, j]
                clamped[j] = before_clamped * clamped_after[row, j]
            update(free, clamped, numbers, taylor, knots, layers, guide, change)
            for j in range(n_after):
                out[i, j] += change[j]
