"""Compiled coordinate descent on quadratic models with an l1 penalty, many small problems at a time."""

import numpy as np
from numba import njit


@njit(cache=True, nogil=True)
def descend(hessians, gradients, start, penalties, counts, tolerances, max_sweeps):
    """Minimise g.(x - start) + (x - start).H.(x - start) / 2 + sum_j penalties_j |x_j| for every problem.

    hessians (n, k, k), gradients, start, penalties (n, k); only the first counts[p] coordinates of problem p are used.
    Stops where a sweep changes no slope by more than tolerances[p]. Returns x (n, k).
    """
    result = start.copy()
    n_problems, width = start.shape
    slope = np.empty(width)
    for p in range(n_problems):
        n = counts[p]
        hessian = hessians[p]
        for j in range(n):
            slope[j] = gradients[p, j]
        for _ in range(max_sweeps):
            largest = 0.0
            for j in range(n):
                curvature = hessian[j, j]
                if curvature <= 0.0:
                    continue
                old = result[p, j]
                target = curvature * old - slope[j]
                penalty = penalties[p, j]
                if target > penalty:
                    new = (target - penalty) / curvature
                elif target < -penalty:
                    new = (target + penalty) / curvature
                else:
                    new = 0.0
                change = new - old
                if change != 0.0:
                    result[p, j] = new
                    for i in range(n):
                        slope[i] += change * hessian[j, i]
                    largest = max(largest, abs(change) * curvature)
            if largest <= tolerances[p]:
                break
    return result
