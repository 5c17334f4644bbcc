"""Compiled element-wise work between the two matrix products of a pseudo-likelihood gradient."""

import numpy as np
from numba import njit

BLOCK = 128  # rows summed in the type of the data, before their sum is added in double precision


@njit(cache=True, nogil=True, error_model="numpy", fastmath={"contract", "reassoc", "nsz", "arcp"})
def _respond_block(local, decay, share, start, stop, curvature, stretch, loss, response):
    """``respond`` for a few rows, sums in the type of the data."""
    zero = local.dtype.type(0.0)
    one = local.dtype.type(1.0)
    two = local.dtype.type(2.0)
    third, fifth, seventh, ninth, eleventh = (
        local.dtype.type(1.0 / 3.0),
        local.dtype.type(1.0 / 5.0),
        local.dtype.type(1.0 / 7.0),
        local.dtype.type(1.0 / 9.0),
        local.dtype.type(1.0 / 11.0),
    )
    for k in range(start, stop):
        weight = share[k]
        for r in range(local.shape[1]):
            h = local[k, r]
            e = decay[k, r]
            size = abs(h)
            t = (one - e) / (one + e)
            sech2 = one - t * t
            # log(1 + e) = 2 atanh(z), z = e / (2 + e) <= 1/3: the terms left out are below 1e-7
            z = e / (two + e)
            z2 = z * z
            log1p = two * z * (one + z2 * (third + z2 * (fifth + z2 * (seventh + z2 * (ninth + z2 * eleventh)))))
            curvature[r] += weight * sech2
            stretch[r] += weight * sech2 * h * h
            loss[r] += weight * (size + log1p)
            value = weight * (t if h >= zero else -t)
            response[r] += value
            local[k, r] = value


@njit(cache=True, nogil=True)
def respond(local, decay, share, sums):
    """Turn local fields h (rows, nodes) into share * tanh(h), in place, and add up what a solver needs by node.

    ``decay`` is exp(-2 |h|). ``sums`` (4, nodes), in double precision, grow by share * sech^2(h),
    share * sech^2(h) h^2, share * log(2 cosh h) and share * tanh(h).
    """
    n_rows, n_nodes = local.shape
    part = np.zeros((4, n_nodes), dtype=local.dtype)
    for start in range(0, n_rows, BLOCK):
        part[:] = 0.0
        _respond_block(local, decay, share, start, min(start + BLOCK, n_rows), part[0], part[1], part[2], part[3])
        for i in range(4):
            for r in range(n_nodes):
                sums[i, r] += part[i, r]
