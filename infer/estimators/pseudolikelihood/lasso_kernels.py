"""Compiled coordinate descent for the quadratic models with an l1 penalty of all nodes."""

import numpy as np
from numba import njit


@njit(cache=True, nogil=True, error_model="numpy")
def lasso_steps(
    moments, gradient, position, scale, bend, along, ridge, sparsity, nodes, last, accuracy, most_sweeps, step
):
    """Minimise, for each node and over its step d, a quadratic model of its loss plus the l1 norm of its end point:

    ``gradient . d + d . (scale moments + bend along along^T + ridge) . d / 2 + sparsity sum_j |position_j + d_j|``

    Coordinates are couplings, the last one a field (neither ridge nor l1); the node's own coupling stays zero, as do
    coordinates from ``last`` on. ``step`` starts at zero and is filled. Sweeps end when no coordinate's gradient
    changes by more than ``accuracy``.
    """
    n_coordinates = gradient.shape[1]
    shift = np.empty(n_coordinates)
    for k in range(len(nodes)):
        shift[:] = 0.0  # moments @ step
        lean = 0.0  # along @ step
        for _ in range(most_sweeps):
            largest = 0.0
            for j in range(last):
                if j == nodes[k]:
                    continue
                coupling = j < n_coordinates - 1
                own_ridge = ridge if coupling else 0.0
                curvature = max(scale[k] * moments[j, j] + bend[k] * along[k, j] ** 2 + own_ridge, 1e-12)
                slope = gradient[k, j] + scale[k] * shift[j] + bend[k] * along[k, j] * lean + own_ridge * step[k, j]
                here = position[k, j] + step[k, j]
                target = here - slope / curvature
                threshold = sparsity / curvature if coupling else 0.0
                new = np.sign(target) * max(abs(target) - threshold, 0.0)
                change = new - here
                if change != 0.0:
                    step[k, j] += change
                    lean += change * along[k, j]
                    for i in range(n_coordinates):
                        shift[i] += change * moments[j, i]
                    largest = max(largest, abs(change) * curvature)
            if largest <= accuracy[k]:
                break
