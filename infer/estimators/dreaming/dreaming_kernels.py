"""Compiled inner loops of the two-parameter dreaming model: local fields, scores and curvatures of rows.

The exponential between the two loops is left to numpy, whose vector instructions are an order of magnitude faster.
"""

import numpy as np
from numba import njit


@njit(cache=True, nogil=True, error_model="numpy", fastmath={"contract", "reassoc", "nsz", "arcp"})
def local_fields(
    spins: np.ndarray,
    unit: np.ndarray,
    diagonal: np.ndarray,
    amplitude: float,
    fields: np.ndarray,
    local: np.ndarray,
    exponent: np.ndarray,
) -> None:
    """
    Subtract the self-term `diagonal[k, i] s_i` from the blocks of `unit`, in place; fill local fields h and -2 |h|.

    The blocks of `unit` (n_rows, 3 n_spins) are the fields for amplitude one, and their two derivatives by the rate.
    """
    n_rows, n_spins = spins.shape
    for row in range(n_rows):
        for i in range(n_spins):
            s = float(spins[row, i])
            u = unit[row, i] - diagonal[0, i] * s
            unit[row, i] = u
            unit[row, n_spins + i] -= diagonal[1, i] * s
            unit[row, 2 * n_spins + i] -= diagonal[2, i] * s
            h = amplitude * u + fields[i]
            local[row, i] = h
            exponent[row, i] = -2.0 * abs(h)


@njit(cache=True, nogil=True, error_model="numpy", fastmath={"contract", "reassoc", "nsz", "arcp"})
def accumulate_rows(
    spins: np.ndarray,
    unit: np.ndarray,
    amplitude: float,
    local: np.ndarray,
    decay: np.ndarray,
    projection: np.ndarray,
    weight: np.ndarray,
    totals: np.ndarray,
    field_totals: np.ndarray,
    scores: np.ndarray,
) -> None:
    """
    Add the rows' derivatives of the log pseudo-likelihood by (amplitude A, rate, fields) to running totals.

    With the blocks u, u', u'' of `unit`, local fields h, residuals `r = s - tanh h`, `c = 1 / cosh^2 h`
    and `decay = exp(-2 |h|)`:

    totals : s h - |h|, r u, A r u', c u u, A c u u' - r u', A^2 c u' u' - A r u''  (summed over spins, weighted)
    field_totals : r, c, c u, A c u' for every spin
    scores : for every row (r (u - projection[0]), r (A u' - projection[1])), summed over spins, not weighted
    """
    n_rows, n_spins = spins.shape
    for row in range(n_rows):
        logarithm = 0.0
        sum_amplitude = 0.0
        sum_rate = 0.0
        curve_aa = 0.0
        curve_ar = 0.0
        curve_rr = 0.0
        projected_amplitude = 0.0
        projected_rate = 0.0
        w = weight[row]
        for i in range(n_spins):
            s = float(spins[row, i])
            u = unit[row, i]
            u1 = unit[row, n_spins + i]
            u2 = unit[row, 2 * n_spins + i]
            h = local[row, i]
            e = decay[row, i]
            share = 1.0 / (1.0 + e)
            size = (1.0 - e) * share
            residual = s - (size if h >= 0.0 else -size)
            curve = 4.0 * e * share * share
            logarithm += s * h - abs(h)
            sum_amplitude += residual * u
            sum_rate += residual * u1
            curve_aa += curve * u * u
            curve_ar += amplitude * curve * u * u1 - residual * u1
            curve_rr += amplitude * (amplitude * curve * u1 * u1 - residual * u2)
            projected_amplitude += residual * projection[0, i]
            projected_rate += residual * projection[1, i]
            field_totals[0, i] += w * residual
            field_totals[1, i] += w * curve
            field_totals[2, i] += w * curve * u
            field_totals[3, i] += w * amplitude * curve * u1
        totals[0] += w * logarithm
        totals[1] += w * sum_amplitude
        totals[2] += w * amplitude * sum_rate
        totals[3] += w * curve_aa
        totals[4] += w * curve_ar
        totals[5] += w * curve_rr
        scores[row, 0] = sum_amplitude - projected_amplitude
        scores[row, 1] = amplitude * sum_rate - projected_rate
