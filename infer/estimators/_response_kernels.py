"""Compiled element-wise work between the two matrix products of a pseudo-likelihood gradient."""

from numba import njit


@njit(cache=True, nogil=True, error_model="numpy", fastmath={"contract", "reassoc", "nsz", "arcp"})
def respond(local, decay, share, curvature, stretch, loss):
    """Turn local fields h (rows, nodes) into share * tanh(h), in place, and add up what a solver needs by node.

    ``decay`` is exp(-2 |h|). ``curvature`` grows by share * sech^2(h), ``stretch`` by share * sech^2(h) h^2, ``loss``
    by share * log(2 cosh h). All arrays have the type of ``local``, so rows must be few when that is single precision.
    """
    one = local.dtype.type(1.0)
    zero = local.dtype.type(0.0)
    two = local.dtype.type(2.0)
    third, fifth, seventh, ninth, eleventh = (
        local.dtype.type(1.0 / 3.0),
        local.dtype.type(1.0 / 5.0),
        local.dtype.type(1.0 / 7.0),
        local.dtype.type(1.0 / 9.0),
        local.dtype.type(1.0 / 11.0),
    )
    n_rows, n_nodes = local.shape
    for k in range(n_rows):
        weight = share[k]
        for r in range(n_nodes):
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
            local[k, r] = weight * (t if h >= zero else -t)
