"""Compiled kernels of contrastive learning: updates of many synapses, thermal averages of spins."""

import math

import numpy as np
from numba import njit
from numpy.typing import NDArray

Array = NDArray[np.float64]
Indices = NDArray[np.int64]


@njit(cache=True, nogil=True, error_model="numpy")
def above(level: float, amplitude: float, taylor: Array, knots: Array, layers: Array, guide: Indices) -> float:
    """sum_k taylor[k] amplitude^k L_k(level), L_k(level) = int (phi - level)^k over the times of phi >= level.

    layers[j, k] is L_k(knots[j]); L_0 is linear between knots, so the others are exact polynomials. guide[b] is the
    last knot not above the lower end of bin b, for bins of equal width between the first and the last knot.
    """
    last = len(knots) - 1
    if level > knots[last]:
        return 0.0
    if level <= knots[0]:
        right = 0
        slope = 0.0
    else:
        bins = len(guide) - 1
        place = min(int((level - knots[0]) / (knots[last] - knots[0]) * bins), bins - 1)
        # a bin to either side: rounding may have put the level into its neighbour
        low = guide[max(place - 1, 0)]
        high = min(guide[min(place + 2, bins)] + 1, last)
        while high - low > 1:
            middle = (low + high) // 2
            if knots[middle] < level:
                low = middle
            else:
                high = middle
        right = high
        slope = (layers[right - 1, 0] - layers[right, 0]) / (knots[right] - knots[right - 1])
    delta = knots[right] - level
    t, first = layers[right, 0], layers[right, 1]
    total = taylor[0] * (t + slope * delta) + taylor[1] * amplitude * (first + delta * (t + delta * slope / 2))
    if taylor[2] != 0.0 or taylor[3] != 0.0:
        second, third = layers[right, 2], layers[right, 3]
        square = second + delta * (2 * first + delta * (t + delta * slope / 3))
        cube = third + delta * (3 * second + delta * (3 * first + delta * (t + delta * slope / 4)))
        total += amplitude * amplitude * (taylor[2] * square + taylor[3] * amplitude * cube)
    return total


@njit(cache=True, nogil=True, error_model="numpy")
def cycle_update(
    free: float,
    clamped: float,
    numbers: Array,
    taylor: Array,
    knots: Array,
    layers: Array,
    guide: Indices,
    down_knots: Array,
    down_layers: Array,
    down_guide: Indices,
) -> float:
    """Change of one weight in one cycle: int g(u) dt for u = area free + (clamped - free) phi.

    numbers holds area, threshold, period and the largest |phi|; the tables are those of phi and of -phi.
    """
    area, threshold, period, largest = numbers[0], numbers[1], numbers[2], numbers[3]
    amplitude = clamped - free
    constant = area * free
    sign = 1.0
    if amplitude < 0:
        sign, amplitude, constant = -1.0, -amplitude, -constant
    # u stays between constant -+ swing: the threshold may never be met, or the signal may hardly change at all
    swing = amplitude * largest
    if abs(constant) + swing < threshold:
        return 0.0
    if swing <= 1e-15 * abs(constant) or swing == 0.0:
        excess = abs(constant) - threshold
        value = taylor[0] + excess * (taylor[1] + excess * (taylor[2] + excess * taylor[3]))
        if constant == 0.0:
            return 0.0
        return sign * math.copysign(value * period, constant)
    total = above((threshold - constant) / amplitude, amplitude, taylor, knots, layers, guide)
    total -= above((threshold + constant) / amplitude, amplitude, taylor, down_knots, down_layers, down_guide)
    return sign * total


@njit(cache=True, nogil=True, error_model="numpy")
def update(
    free: Array,
    clamped: Array,
    numbers: Array,
    taylor: Array,
    knots: Array,
    layers: Array,
    guide: Indices,
    down_knots: Array,
    down_layers: Array,
    down_guide: Indices,
    out: Array,
) -> None:
    """Changes of weights in one cycle, for synapses (n_synapses,) with signals free and clamped."""
    for k in range(len(free)):
        out[k] = cycle_update(
            free[k], clamped[k], numbers, taylor, knots, layers, guide, down_knots, down_layers, down_guide
        )


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
    down_knots: Array,
    down_layers: Array,
    down_guide: Indices,
    out: Array,
) -> None:
    """Add to out (n_before, n_after) the changes of all cycles, one a row, of synapses whose signal is a product.

    The signal of synapse (i, j) is before[row, i] * after[row, j], in the free and in the clamped state.
    """
    for row in range(len(free_before)):
        for i in range(free_before.shape[1]):
            free, clamped = free_before[row, i], clamped_before[row, i]
            if free == 0.0 and clamped == 0.0:
                continue
            for j in range(free_after.shape[1]):
                out[i, j] += cycle_update(
                    free * free_after[row, j],
                    clamped * clamped_after[row, j],
                    numbers,
                    taylor,
                    knots,
                    layers,
                    guide,
                    down_knots,
                    down_layers,
                    down_guide,
                )


@njit(cache=True, nogil=True, error_model="numpy")
def thermal_correlations(
    couplings: Array, spins: Array, temperature: float, sites: Indices, uniform: Array, burn_in: int, out: Array
) -> None:
    """Average of s s^T over the sweeps after burn_in, by heat bath from spins (n_spins,), which move on in place.

    sites and uniform (n_sweeps, n_spins) are the spins visited and the random numbers that decide; out (n_spins,
    n_spins) is overwritten.
    """
    n_sweeps, n_spins = sites.shape
    fields = np.zeros(n_spins)
    for i in range(n_spins):
        for j in range(n_spins):
            fields[i] += couplings[i, j] * spins[j]
    out[:] = 0.0
    for sweep in range(n_sweeps):
        for k in range(n_spins):
            i = sites[sweep, k]
            up = 1.0 / (1.0 + math.exp(-2.0 * fields[i] / temperature))
            value = 1.0 if uniform[sweep, k] < up else -1.0
            if value != spins[i]:
                spins[i] = value
                for j in range(n_spins):
                    fields[j] += 2.0 * value * couplings[i, j]
        if sweep >= burn_in:
            for i in range(n_spins):
                for j in range(n_spins):
                    out[i, j] += spins[i] * spins[j]
    out /= n_sweeps - burn_in
