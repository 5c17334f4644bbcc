"""Compiled inner loop of the two-parameter dreaming model: log pseudo-likelihood, scores and curvatures of rows."""

import math

import numpy as np
from numba import njit


@njit(cache=True, nogil=True)
def accumulate_rows(
    spins: np.ndarray,
    unit: np.ndarray,
    diagonal: np.ndarray,
    amplitude: float,
    fields: np.ndarray,
    projection: np.ndarray,
    weight: np.ndarray,
    totals: np.ndarray,
    field_totals: np.ndarray,
    scores: np.ndarray,
) -> None:
    """
    Add the rows' log pseudo-likelihood and its derivatives by (amplitude, rate, fields) to running totals.

    With unit fields `u_i = unit[i] - diagonal[0, i] s_i` and their first two derivatives by the rate `u'`, `u''`, local
    fields `h_i = amplitude u_i + fields_i`, residuals `r_i = s_i - tanh h_i` and curvatures `c_i = 1 / cosh^2 h_i`:

    totals : log pseudo-likelihood, r u, A r u', c u u, A c u u' - r u', A^2 c u' u' - A r u''  (summed over i,
    weighted) field_totals : r, c, c u, A c u' for every spin
    scores : for every row (r (u - projection[0]), r (A u' - projection[1])), summed over i, not weighted
    """
    n_rows, n_spins = spins.shape
    for row in range(n_rows):
        logarithm = 0.0
        product = 1.0
        sum_amplitude = 0.0
        sum_rate = 0.0
        curve_aa = 0.0
        curve_ar = 0.0
        curve_rr = 0.0
        score_amplitude = 0.0
        score_rate = 0.0
        w = weight[row]
        for i in range(n_spins):
            s = float(spins[row, i])
            u = unit[row, i] - diagonal[0, i] * s
            u1 = amplitude * (unit[row, n_spins + i] - diagonal[1, i] * s)
            u2 = amplitude * (unit[row, 2 * n_spins + i] - diagonal[2, i] * s)
            h = amplitude * u + fields[i]
            absolute = abs(h)
            e = math.exp(-2.0 * absolute)
            tangent = math.copysign((1.0 - e) / (1.0 + e), h)
            curve = 4.0 * e / ((1.0 + e) * (1.0 + e))
            # log 2 cosh h = |h| + log(1 + e): the logarithm of a product of a few dozen factors at a time
            logarithm += s * h - absolute
            product *= 1.0 + e
            if i % 64 == 63:
                logarithm -= math.log(product)
                product = 1.0
            residual = s - tangent
            sum_amplitude += residual * u
            sum_rate += residual * u1
            curve_aa += curve * u * u
            # u1 carries the amplitude, and amplitude may be zero: the bare derivative is taken afresh
            curve_ar += curve * u * u1 - residual * (unit[row, n_spins + i] - diagonal[1, i] * s)
            curve_rr += curve * u1 * u1 - residual * u2
            score_amplitude += residual * (u - projection[0, i])
            score_rate += residual * (u1 - projection[1, i])
            field_totals[0, i] += w * residual
            field_totals[1, i] += w * curve
            field_totals[2, i] += w * curve * u
            field_totals[3, i] += w * curve * u1
        logarithm -= math.log(product)
        totals[0] += w * logarithm
        totals[1] += w * sum_amplitude
        totals[2] += w * sum_rate
        totals[3] += w * curve_aa
        totals[4] += w * curve_ar
        totals[5] += w * curve_rr
        scores[row, 0] = score_amplitude
        scores[row, 1] = score_rate
